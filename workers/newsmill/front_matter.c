/* front_matter.c - a record as YAML front matter, see front_matter.h.
 *
 * An own writer and not libyaml's emitter: the file is diffed and read by people and static site generators, so blank
 * lines between its parts, quoted titles and URLs, and never a folded line matter, which the emitter does not offer.
 * What may go wrong in YAML is the scalar, so there is one function for it: a string is plain only when it is made of
 * harmless bytes and is no word that a YAML 1.1 or 1.2 parser takes for a boolean, null or number; all else is
 * in double quotes with every unprintable character escaped. Times are plain, as sites expect. */
#include "front_matter.h"

#include "newsmill/datetime.h"
#include "plain.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <yyjson.h>

#define MAX_PLAIN_BYTES 64
#define LETTERS         "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define WORD_BYTES      LETTERS "0123456789._-"

static bool is_taken_word(const char *text, size_t len)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i]) == len && strncasecmp(words[i], text, len) == 0)
            return true;
    }
    return false;
}

static bool is_one_of(const char *set, char c)
{
    return c && strchr(set, c);
}

/* Words of letters, digits, ".", "_" and "-", the first beginning with a letter, single spaces between them. */
static bool is_plain(const char *text, size_t len)
{
    if (len == 0 || len > MAX_PLAIN_BYTES || !is_one_of(LETTERS, text[0]) || is_taken_word(text, len))
        return false;
    for (size_t i = 0; i < len; i++) {
        bool space = text[i] == ' ' && i + 1 < len && text[i + 1] != ' ';
        if (!space && !is_one_of(WORD_BYTES, text[i]))
            return false;
    }
    return true;
}

static void add_quoted_char(struct nm_buf *out, int32_t c)
{
    if (c == '"' || c == '\\')
        nm_buf_addf(out, "\\%c", (char)c);
    else if (c == '\n')
        nm_buf_adds(out, "\\n");
    else if (c == '\t')
        nm_buf_adds(out, "\\t");
    else if (nm_is_unsafe_char(c) && c < 0x100)
        nm_buf_addf(out, "\\x%02X", (unsigned)c);
    else if (nm_is_unsafe_char(c) && c < 0x10000)
        nm_buf_addf(out, "\\u%04X", (unsigned)c);
    else
        nm_buf_addf(out, "\\U%08X", (unsigned)c);
}

void nm_yaml_string(const char *text, size_t len, bool plain, struct nm_buf *out)
{
    const unsigned char *at = (const unsigned char *)(len ? text : ""), *end = at + len;

    if (plain && is_plain(text, len)) {
        nm_buf_add(out, text, len);
        return;
    }
    nm_buf_addc(out, '"');
    while (at < end) {
        const unsigned char *from = at;
        int32_t c = nm_next_char(&at, end);
        if (c == '"' || c == '\\' || nm_is_unsafe_char(c))
            add_quoted_char(out, c);
        else
            nm_buf_add(out, from, (size_t)(at - from));
    }
    nm_buf_addc(out, '"');
}

/* "YYYY-MM-DDTHH:MM:SSZ" of a day that exists: a parser that reads times fails on others. */
static bool is_time(const char *text, size_t len)
{
    static const char shape[] = "0000-00-00T00:00:00Z";
    int64_t ms = 0;

    if (len != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == '0' ? !digit : text[i] != shape[i])
            return false;
    }
    return nm_time_parse(text, len, &ms, NULL) == NM_OK;
}

enum kind { WORD, TEXT, TIME, INTEGER, BOOLEAN };

struct member {
    const char *name;
    enum kind kind;
};

static void spaces(struct nm_buf *out, unsigned n)
{
    for (; n > 0; n--)
        nm_buf_addc(out, ' ');
}

/* True when `value` is of this kind; then it is appended. */
static bool scalar(struct nm_buf *out, enum kind kind, yyjson_val *value)
{
    const char *text = yyjson_get_str(value);
    size_t len = yyjson_get_len(value);

    switch (kind) {
    case INTEGER:
        if (!yyjson_is_int(value))
            return false;
        if (yyjson_is_uint(value))
            nm_buf_addf(out, " %llu", (unsigned long long)yyjson_get_uint(value));
        else
            nm_buf_addf(out, " %lld", (long long)yyjson_get_sint(value));
        return true;
    case BOOLEAN:
        if (!yyjson_is_bool(value))
            return false;
        nm_buf_adds(out, yyjson_get_bool(value) ? " true" : " false");
        return true;
    case TIME:
    case TEXT:
    case WORD:
        if (!text)
            return false;
        nm_buf_addc(out, ' ');
        if (kind == TIME && is_time(text, len))
            nm_buf_add(out, text, len);
        else
            nm_yaml_string(text, len, kind == WORD, out);
        return true;
    }
    return false;
}

/* Where the next member stands; `dash`: it is the first one of a list's element. */
struct place {
    unsigned indent;
    bool dash;
};

static void start_line(struct nm_buf *out, struct place *place, const char *name)
{
    spaces(out, place->dash ? place->indent - 2 : place->indent);
    nm_buf_adds(out, place->dash ? "- " : "");
    nm_buf_adds(out, name);
    nm_buf_addc(out, ':');
    place->dash = false;
}

static void members(struct nm_buf *out, struct place *place, yyjson_val *object, const struct member *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len_before = out->len;
        bool dash_before = place->dash;
        yyjson_val *value = yyjson_obj_get(object, table[i].name);
        if (!value)
            continue;
        start_line(out, place, table[i].name);
        if (scalar(out, table[i].kind, value)) {
            nm_buf_addc(out, '\n');
        } else { /* of another type than a record's: as if it were absent */
            out->len = len_before;
            place->dash = dash_before;
        }
    }
}
#define MEMBERS(out, place, object, table) members(out, place, object, table, sizeof(table) / sizeof *(table))

/* A list below a key; where no element has anything to show, the key is left out too. */
static void list(struct nm_buf *out, struct place *place, yyjson_val *object, const char *name,
                 void (*element)(struct nm_buf *out, unsigned indent, yyjson_val *value))
{
    yyjson_val *array = yyjson_obj_get(object, name), *value = NULL;
    size_t len_before = out->len, i = 0, max = 0;
    bool dash_before = place->dash;

    if (!yyjson_is_arr(array))
        return;
    start_line(out, place, name);
    nm_buf_addc(out, '\n');
    size_t len_empty = out->len;
    yyjson_arr_foreach(array, i, max, value)
    {
        element(out, place->indent + 2, value);
    }
    if (out->len == len_empty) {
        out->len = len_before;
        place->dash = dash_before;
    }
}

static void thumbnail(struct nm_buf *out, unsigned indent, yyjson_val *value)
{
    static const struct member table[] = {{"url", TEXT}, {"width", INTEGER}, {"height", INTEGER}};
    struct place place = {indent + 2, true};
    MEMBERS(out, &place, value, table);
}

static void image(struct nm_buf *out, unsigned indent, yyjson_val *value)
{
    static const struct member table[] = {
        {"url", TEXT}, {"width", INTEGER}, {"height", INTEGER}, {"isCached", BOOLEAN}, {"cachedUrl", TEXT}};
    struct place place = {indent + 2, true};
    MEMBERS(out, &place, value, table);
    list(out, &place, value, "thumbnails", thumbnail);
}

static void topic(struct nm_buf *out, unsigned indent, yyjson_val *value)
{
    if (!yyjson_is_str(value))
        return;
    spaces(out, indent);
    nm_buf_addc(out, '-');
    (void)scalar(out, WORD, value);
    nm_buf_addc(out, '\n');
}

static void provider(struct nm_buf *out, struct place *place, yyjson_val *object)
{
    static const struct member table[] = {{"name", WORD}, {"domain", WORD}};
    yyjson_val *value = yyjson_obj_get(object, "provider");
    size_t len_before = out->len;
    bool dash_before = place->dash;
    struct place inner = {place->indent + 2, false};

    if (!yyjson_is_obj(value))
        return;
    start_line(out, place, "provider");
    nm_buf_addc(out, '\n');
    size_t len_empty = out->len;
    MEMBERS(out, &inner, value, table);
    list(out, &inner, value, "images", image);
    if (out->len == len_empty) {
        out->len = len_before;
        place->dash = dash_before;
    }
}

static void related(struct nm_buf *out, unsigned indent, yyjson_val *value)
{
    static const struct member before[] = {{"title", TEXT},  {"excerpt", TEXT},   {"publishedDateTime", TIME},
                                           {"webUrl", TEXT}, {"ampWebUrl", TEXT}, {"cdnAmpWebUrl", TEXT},
                                           {"type", WORD}};
    static const struct member after[] = {{"quality", INTEGER}};
    struct place place = {indent + 2, true};

    MEMBERS(out, &place, value, before);
    provider(out, &place, value);
    MEMBERS(out, &place, value, after);
    list(out, &place, value, "images", image);
}

/* A part of the document with a blank line before it, or nothing. */
static void part(struct nm_buf *out, size_t len_before)
{
    if (out->len == len_before + 1)
        out->len = len_before;
}

static void document(struct nm_buf *out, yyjson_val *root)
{
    static const struct member head[] = {{"category", WORD},          {"title", TEXT},        {"excerpt", TEXT},
                                         {"publishedDateTime", TIME}, {"originalUrl", TEXT},  {"webUrl", TEXT},
                                         {"ampWebUrl", TEXT},         {"cdnAmpWebUrl", TEXT}, {"type", WORD},
                                         {"quality", INTEGER},        {"heat", INTEGER},      {"published", BOOLEAN}};
    static const struct member foot[] = {{"secured", TEXT}};
    static const struct {
        const char *name;
        void (*element)(struct nm_buf *out, unsigned indent, yyjson_val *value);
    } lists[] = {{"topics", topic}, {"images", image}, {"related", related}};
    struct place top = {0, false};

    nm_buf_adds(out, "---\n");
    MEMBERS(out, &top, root, head);
    size_t before = out->len;
    nm_buf_addc(out, '\n');
    provider(out, &top, root);
    part(out, before);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        before = out->len;
        nm_buf_addc(out, '\n');
        list(out, &top, root, lists[i].name, lists[i].element);
        part(out, before);
    }
    before = out->len;
    nm_buf_addc(out, '\n');
    MEMBERS(out, &top, root, foot);
    part(out, before);
    nm_buf_adds(out, "---\n");
}

enum nm_status nm_front_matter(const char *record, size_t len, struct nm_buf *out, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    yyjson_read_err why = {0};
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)record, len, 0, NULL, &why);

    if (!doc && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return nm_fail(err, NM_FATAL, "out of memory for a record");
    if (!doc)
        return nm_bad(err, "not_json", "the record is not JSON: %s at byte %zu", why.msg ? why.msg : "?", why.pos);
    if (yyjson_is_obj(yyjson_doc_get_root(doc)))
        document(out, yyjson_doc_get_root(doc));
    else
        status = nm_bad(err, "not_object", "the record is not a JSON object");
    yyjson_doc_free(doc);
    if (status == NM_OK && !nm_buf_ok(out))
        status = nm_fail(err, NM_FATAL, "out of memory for front matter");
    return status;
}
