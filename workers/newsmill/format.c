/* format.c - which kind of file an input is, see format.h.
 *
 * The first character decides nearly always. Only an object may be a line of NDJSON, one document, or a container:
 * then the first line is parsed. Complete: NDJSON, unless it is a container. Cut off by the line feed: a document
 * written over many lines, unless another object begins on the next line, as after a broken line of NDJSON. */
#include "format.h"

#include <string.h>
#include <yyjson.h>

#define HEAD_BYTES 65536 /* in which a container of one long line names itself */

static const char *const words[NM_N_FORMATS] = {"ndjson", "json", "rss", "front-matter"};

const char *nm_format_word(enum nm_format format)
{
    return words[format];
}

bool nm_format_from_word(const char *word, enum nm_format *out)
{
    for (int i = 0; i < NM_N_FORMATS; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (enum nm_format)i;
            return true;
        }
    }
    return false;
}

static size_t skip_space(const char *data, size_t from, size_t n)
{
    while (from < n && data[from] && strchr(" \t\r\n", data[from]))
        from++;
    return from;
}

static bool is_container(yyjson_val *root)
{
    const char *version = yyjson_get_str(yyjson_obj_get(root, "version"));
    return yyjson_obj_get(root, "@graph") ||
           (version && strstr(version, "//jsonfeed.org/version/") && yyjson_is_arr(yyjson_obj_get(root, "items")));
}

/* data[from] is the brace of the first object. */
static bool object_format(const char *data, size_t from, size_t n, bool ended, enum nm_format *out)
{
    const char *feed = memchr(data + from, '\n', n - from);
    size_t end = feed ? (size_t)(feed - data) : n;
    yyjson_read_err why = {0};

    if (!feed && !ended)
        return false;
    *out = NM_FORMAT_NDJSON;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)data + from, end - from, YYJSON_READ_NOFLAG, NULL, &why);
    if (doc) {
        if (is_container(yyjson_doc_get_root(doc)))
            *out = NM_FORMAT_JSON;
        yyjson_doc_free(doc);
        return true;
    }
    if (why.code != YYJSON_READ_ERROR_UNEXPECTED_END)
        return true;
    size_t next = skip_space(data, end, n);
    if (next == n)
        return ended;
    if (data[next] != '{')
        *out = NM_FORMAT_JSON;
    return true;
}

/* A line of --- with nothing but white space behind it. */
static bool rule_format(const char *data, size_t from, size_t n, bool ended, enum nm_format *out)
{
    size_t at = from;

    *out = NM_FORMAT_NDJSON;
    while (at < n && at < from + 3 && data[at] == '-')
        at++;
    bool rule = at == from + 3;
    while (rule && at < n && (data[at] == ' ' || data[at] == '\t'))
        at++;
    if (at == n && !ended)
        return false;
    if (rule && (at == n || data[at] == '\r' || data[at] == '\n'))
        *out = NM_FORMAT_FRONT_MATTER;
    return true;
}

bool nm_format_of(const char *data, size_t n, bool ended, enum nm_format *out)
{
    if (n < 3 && !ended)
        return false;
    *out = NM_FORMAT_NDJSON;
    if (n >= 2 && (memcmp(data, "\xFE\xFF", 2) == 0 || memcmp(data, "\xFF\xFE", 2) == 0)) {
        *out = NM_FORMAT_RSS; /* UTF-16, which only XML comes in */
        return true;
    }
    bool mark = n >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0;
    size_t from = skip_space(data, mark ? 3 : 0, n);
    if (from == n)
        return ended;
    switch (data[from]) {
    case '<':
        *out = NM_FORMAT_RSS;
        return true;
    case '[':
        *out = NM_FORMAT_JSON;
        return true;
    case '{':
        return object_format(data, from, n, ended, out);
    case '-':
        return rule_format(data, from, n, ended, out);
    default:
        return true;
    }
}

static bool holds(const char *data, size_t n, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= n; i++)
        if (memcmp(data + i, word, len) == 0)
            return true;
    return false;
}

enum nm_status nm_format_detect(struct nm_source *source, enum nm_format *out, struct nm_error *err)
{
    const char *data = "";
    size_t n = 0, want = 1;

    for (;;) {
        enum nm_status status = nm_source_peek(source, want, &data, &n, err);
        if (status != NM_OK)
            return status;
        const char *packed = nm_source_packed_with(data, n);
        if (packed)
            return nm_bad(err, "packed",
                          "is packed %s%s, which newsmill does not unpack; do it before: ... | newsmill load -",
                          nm_source_is_gzip(source) ? "twice, inside with " : "with ", packed);
        bool ended = n < want;
        if (nm_format_of(data, n, ended, out))
            return NM_OK;
        if (n >= NM_SOURCE_PEEK_BYTES)
            break;
        want = n + 1;
    }
    /* One line longer than any event may be: only a container can be meant. */
    size_t head = n < HEAD_BYTES ? n : HEAD_BYTES;
    bool container = holds(data, head, "//jsonfeed.org/version/") || holds(data, head, "\"@graph\"");
    *out = container ? NM_FORMAT_JSON : NM_FORMAT_NDJSON;
    return NM_OK;
}
