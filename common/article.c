/* article.c - reading the articles of `articles.normalized`.
 *
 * Only normalize writes these, so the reader checks the four members that every worker depends on and leaves the rest
 * to who uses it. Members that are not known are ignored, so that an older worker can read a newer article.
 * yyjson does not recurse, so that depth is no danger here; the size is bounded by the stream.
 * Threads: none shared; the arena belongs to the caller. */
#include "newsmill/article.h"

#include "newsmill/url.h"

#include <string.h>

static void *arena_malloc(void *ctx, size_t size)
{
    return nm_arena_alloc(ctx, size);
}

static void *arena_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    return nm_arena_resize(ctx, ptr, old_size, size);
}

static void arena_free(void *ctx, void *ptr)
{
    (void)ctx;
    (void)ptr;
}

yyjson_alc nm_arena_alc(struct nm_arena *arena)
{
    return (yyjson_alc){.malloc = arena_malloc, .realloc = arena_realloc, .free = arena_free, .ctx = arena};
}

/* A whole number from 1 to 2^53-1: what JSON carries exactly everywhere. */
static bool exact(yyjson_val *val, int64_t *out)
{
    if (!yyjson_is_uint(val))
        return false;
    uint64_t number = yyjson_get_uint(val);
    if (number == 0 || number > ((uint64_t)1 << 53) - 1)
        return false;
    *out = (int64_t)number;
    return true;
}

static bool is_zero(yyjson_val *val)
{
    return yyjson_is_uint(val) && yyjson_get_uint(val) == 0;
}

enum nm_status nm_article_read(const char *value, size_t len, struct nm_arena *arena, struct nm_article *out,
                               struct nm_error *err)
{
    yyjson_alc alc = nm_arena_alc(arena);
    yyjson_read_err why = {0};
    if (!value || len == 0)
        return nm_bad(err, "not_json", "the value is empty; an article/1 was expected");
    /* Without YYJSON_READ_INSITU the text is only read. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)value, len, YYJSON_READ_NOFLAG, &alc, &why);
    if (!doc && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return nm_fail(err, NM_FATAL, "out of memory for an article of %zu bytes", len);
    if (!doc)
        return nm_bad(err, "not_json", "not JSON at byte %zu: %s", why.pos, why.msg);
    struct nm_article article = {.doc = doc, .root = yyjson_doc_get_root(doc)};
    if (!yyjson_is_obj(article.root))
        return nm_bad(err, "not_object", "an article/1 is a JSON object");

    yyjson_val *id = yyjson_obj_get(article.root, "id");
    if (!nm_is_article_id(yyjson_get_str(id) ? yyjson_get_str(id) : "", yyjson_get_len(id)))
        return nm_bad(err, "wrong_type", "\"id\" is not 32 lower-case hex digits");
    article.id = yyjson_get_str(id);
    if (!exact(yyjson_obj_get(article.root, "revision"), &article.revision))
        return nm_bad(err, "wrong_type", "\"revision\" is not a whole number from 1 to 2^53-1");
    yyjson_val *time = yyjson_obj_get(article.root, "sourceTime");
    if (!exact(time, &article.source_time) && !is_zero(time))
        return nm_bad(err, "wrong_type", "\"sourceTime\" is not a whole number from 0 to 2^53-1");
    yyjson_val *retracted = yyjson_obj_get(article.root, "retracted");
    if (retracted && !yyjson_is_bool(retracted))
        return nm_bad(err, "wrong_type", "\"retracted\" is neither true nor false");
    article.retracted = yyjson_is_true(retracted);
    *out = article;
    return NM_OK;
}
