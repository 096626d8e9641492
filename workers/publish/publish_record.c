/* publish_record.c - the record of an article, as bytes. Pure.
 *
 * What a reader sees is everything but the revision, so the body is composed and hashed without it, and the head is put
 * in front at the end. */
#include "newsmill/digest.h"
#include "publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Members that a record takes over from its article, in the article's order, which is the record's too. */
static bool belongs_to_body(const char *name)
{
    static const char *const shown[] = {"path",         "category",          "type",        "locale",  "title",
                                        "excerpt",      "publishedDateTime", "originalUrl", "webUrl",  "ampWebUrl",
                                        "cdnAmpWebUrl", "provider",          "topics",      "quality", "images",
                                        "secured"};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (strcmp(name, shown[i]) == 0)
            return true;
    return false;
}

/* The images of an article before its images facet: nothing is cached. NULL: out of memory. */
static yyjson_mut_val *uncached_images(yyjson_mut_doc *doc, yyjson_val *images)
{
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    size_t i, n;
    yyjson_val *image;
    yyjson_arr_foreach(images, i, n, image)
    {
        yyjson_mut_val *copy = yyjson_val_mut_copy(doc, image);
        if (!copy || !yyjson_mut_obj_add_bool(doc, copy, "isCached", false) || !yyjson_mut_arr_append(list, copy))
            return NULL;
    }
    return list;
}

static bool add_members(yyjson_mut_doc *doc, yyjson_mut_val *body, yyjson_val *article)
{
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(article, i, n, key, value)
    {
        const char *name = yyjson_get_str(key);
        if (!belongs_to_body(name))
            continue;
        yyjson_mut_val *copy =
            strcmp(name, "images") == 0 ? uncached_images(doc, value) : yyjson_val_mut_copy(doc, value);
        if (!copy || !yyjson_mut_obj_add(body, yyjson_val_mut_copy(doc, key), copy))
            return false;
    }
    return true;
}

/* Only the shape that composing hangs on; the rest is passed on as normalize wrote it. */
static enum nm_status check_images(const struct nm_article *article, struct nm_error *err)
{
    yyjson_val *images = yyjson_obj_get(article->root, "images"), *image;
    size_t i, n;
    if (images && !yyjson_is_arr(images))
        return nm_bad(err, "wrong_type", "\"images\" of the article is not an array");
    yyjson_arr_foreach(images, i, n, image)
    {
        if (!yyjson_is_obj(image))
            return nm_bad(err, "wrong_type", "\"images\" of the article holds something else than objects");
    }
    return NM_OK;
}

enum nm_status pb_compose(const struct pb_options *options, const struct nm_article *article, struct nm_arena *arena,
                          struct pb_body *out, struct nm_error *err)
{
    if (article->retracted) {
        *out = (struct pb_body){.hash = "retracted"};
        return NM_OK;
    }
    enum nm_status status = check_images(article, err);
    if (status != NM_OK)
        return status;
    yyjson_alc alc = nm_arena_alc(arena);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(&alc);
    yyjson_mut_val *body = doc ? yyjson_mut_obj(doc) : NULL;
    int64_t quality = yyjson_get_sint(yyjson_obj_get(article->root, "quality"));
    struct pb_body composed = {0};
    if (body && add_members(doc, body, article->root) &&
        yyjson_mut_obj_add_bool(doc, body, "published", quality >= options->min_quality) &&
        yyjson_mut_obj_add_sint(doc, body, "heat", quality))
        composed.text = yyjson_mut_val_write_opts(body, 0, &alc, &composed.len, NULL);
    if (!composed.text)
        return nm_fail(err, NM_FATAL, "out of memory for the record of %s", article->id);
    composed.text++; /* without its opening brace */
    composed.len--;
    nm_digest(composed.text, composed.len, composed.hash);
    *out = composed;
    return NM_OK;
}

enum nm_status pb_record(const char *id, const struct pb_body *body, int64_t revision, struct nm_arena *arena,
                         const char **out, size_t *out_len, struct nm_error *err)
{
    if (!body->text) {
        *out = NULL;
        *out_len = 0;
        return NM_OK;
    }
    char head[96];
    int head_len = snprintf(head, sizeof head, "{\"id\":\"%s\",\"revision\":%" PRId64 ",", id, revision);
    char *text = nm_arena_alloc(arena, (size_t)head_len + body->len);
    if (!text)
        return nm_fail(err, NM_FATAL, "out of memory for the record of %s", id);
    memcpy(text, head, (size_t)head_len);
    memcpy(text + head_len, body->text, body->len);
    *out = text;
    *out_len = (size_t)head_len + body->len;
    return NM_OK;
}
