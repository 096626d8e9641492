/* normalize_json.c - from the bytes of a raw event to a tree that is safe to walk.
 *
 * yyjson checks neither nesting nor duplicate names, so both are done here: nesting before the parser sees a byte
 * (one pass over the text that jumps over strings with memchr), duplicates in each object that is read, by sorting,
 * so that no choice of names makes it slow. Numbers too large for a double stay text: an unknown member must not cost
 * an article. The tree lives in the batch's arena and its strings with it.
 * Threads: pure functions. */
#include "normalize_internal.h"

#include "newsmill/article.h"
#include "newsmill/text.h"

#include <stdlib.h>
#include <string.h>

struct nz_str nz_str_of(const char *text)
{
    return (struct nz_str){text, strlen(text)};
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct nz_str nz_trim(struct nz_str text)
{
    while (text.len > 0 && is_space(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.data[text.len - 1]))
        text.len--;
    return text.len > 0 ? text : (struct nz_str){NULL, 0};
}

bool nz_str_equal(struct nz_str a, struct nz_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool nz_is_word(struct nz_str text)
{
    if (text.len < 1 || text.len > 64)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return true;
}

const char *nz_shown(struct nz_str text, char out[NZ_SHOWN_BYTES])
{
    size_t n = text.len;
    if (n > 60) {
        n = 57;
        while (n > 0 && ((unsigned char)text.data[n] & 0xC0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.data[i];
        out[i] = c < 0x20 || c == 0x7f || c == '"' || c == '\\' ? '?' : text.data[i];
    }
    memcpy(out + n, n < text.len ? "..." : "", n < text.len ? 4 : 1);
    return out;
}

/* The quote that ends the string after `p`, or `end`. A quote behind an odd run of backslashes is content; the runs
 * looked back over are disjoint, so that all strings together cost linear time. */
static const char *string_end(const char *p, const char *end)
{
    const char *start = p;
    while ((p = memchr(p, '"', (size_t)(end - p)))) {
        size_t slashes = 0;
        while (p - slashes > start && p[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return p;
        p++;
        start = p; /* what lies before is settled */
    }
    return end;
}

static bool too_deep(const char *text, size_t len, long long max_depth)
{
    const char *end = text + len;
    long long depth = 0;
    for (const char *p = text; p < end; p++) {
        switch (*p) {
        case '"':
            p = string_end(p + 1, end);
            if (p == end)
                return false; /* never closed: the parser says so */
            break;
        case '{':
        case '[':
            if (++depth > max_depth)
                return true;
            break;
        case '}':
        case ']':
            depth--;
            break;
        default:
            break;
        }
    }
    return false;
}

static enum nm_status parse(struct nm_arena *arena, const char *value, size_t len, yyjson_val **out,
                            struct nm_error *err)
{
    yyjson_alc alc = nm_arena_alc(arena);
    yyjson_read_err why = {0};
    /* Without YYJSON_READ_INSITU the text is only read. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)value, len, YYJSON_READ_BIGNUM_AS_RAW, &alc, &why);
    if (!doc && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return nm_fail(err, NM_FATAL, "out of memory for a raw event of %zu bytes", len);
    if (!doc)
        return nm_bad(err, "not_json", "not JSON at byte %zu: %s; send one JSON object a message", why.pos, why.msg);
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!yyjson_is_obj(root))
        return nm_bad(err, "not_object", "the value is JSON but %s; send one JSON object a message",
                      yyjson_is_arr(root) ? "an array" : "neither an object nor an array");
    *out = root;
    return NM_OK;
}

enum nm_status nz_json_open(const struct nz_options *options, struct nm_arena *arena, const char *value, size_t len,
                            yyjson_val **out, struct nm_error *err)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (len > (size_t)options->max_bytes)
        return nm_bad(err, "too_big", "the event has %zu bytes; send at most %lld", len, options->max_bytes);
    if (!nm_text_is_utf8(value, len))
        return nm_bad(err, "utf8_invalid", "the event is not UTF-8; encode it as UTF-8 before sending");
    if (len >= 3 && memcmp(value, mark, 3) == 0) {
        value += 3;
        len -= 3;
    }
    if (len == 0)
        return nm_bad(err, "not_json", "the event is only a byte order mark; send one JSON object a message");
    if (too_deep(value, len, options->max_depth))
        return nm_bad(err, "too_deep", "the event is nested deeper than %lld levels; send a flatter one",
                      options->max_depth);
    return parse(arena, value, len, out, err);
}

static int by_name(const void *a, const void *b)
{
    const struct nz_str *left = a, *right = b;
    if (left->len != right->len)
        return left->len < right->len ? -1 : 1;
    return memcmp(left->data, right->data, left->len);
}

/* Few names: each against those before it, first by length, which settles nearly all of them. */
static const struct nz_str *duplicate_of_few(const struct nz_str *name, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (by_name(&name[i], &name[k]) == 0)
                return &name[i];
    return NULL;
}

static const struct nz_str *duplicate_of_many(struct nz_str *name, size_t n)
{
    qsort(name, n, sizeof *name, by_name);
    for (size_t i = 1; i < n; i++)
        if (by_name(&name[i], &name[i - 1]) == 0)
            return &name[i];
    return NULL;
}

enum nm_status nz_json_keys(struct nm_arena *arena, yyjson_val *object, struct nm_error *err)
{
    enum { FEW = 24 };
    struct nz_str few[FEW];
    size_t n = yyjson_obj_size(object), i = 0;
    struct nz_str *name = n <= FEW ? few : nm_arena_alloc(arena, n * sizeof *name);
    if (!name)
        return nm_fail(err, NM_FATAL, "out of memory for %zu names", n);
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; i < n && (key = yyjson_obj_iter_next(&iter));)
        name[i++] = (struct nz_str){yyjson_get_str(key), yyjson_get_len(key)};
    const struct nz_str *twice = n <= FEW ? duplicate_of_few(name, i) : duplicate_of_many(name, i);
    if (!twice)
        return NM_OK;
    char shown[NZ_SHOWN_BYTES];
    return nm_bad(err, "duplicate_key", "\"%s\" stands twice in one object; send it once", nz_shown(*twice, shown));
}
