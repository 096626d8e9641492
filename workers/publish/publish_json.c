/* publish_json.c - JSON as bytes: members are written one by one into a buffer and spliced from then on.
 *
 * The same value always gives the same bytes, whatever it was parsed from: the hash of a record hangs on that. */
#include "publish.h"

#include <inttypes.h>
#include <string.h>

static void add_escape(struct nm_buf *buf, unsigned char c)
{
    static const char short_form[] = "btnvfr"; /* from 8 on; JSON has no \v */
    if (c == '"' || c == '\\')
        nm_buf_addf(buf, "\\%c", c);
    else if (c >= 8 && c <= 13 && c != 11)
        nm_buf_addf(buf, "\\%c", short_form[c - 8]);
    else
        nm_buf_addf(buf, "\\u%04X", c);
}

void pb_add_string(struct nm_buf *buf, const char *text, size_t len)
{
    nm_buf_addc(buf, '"');
    size_t from = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        nm_buf_add(buf, text + from, i - from);
        add_escape(buf, c);
        from = i + 1;
    }
    nm_buf_add(buf, text + from, len - from);
    nm_buf_addc(buf, '"');
}

void pb_add_value(struct nm_buf *buf, yyjson_val *value, const yyjson_alc *alc)
{
    switch (yyjson_get_tag(value)) {
    case YYJSON_TYPE_STR | YYJSON_SUBTYPE_NOESC: /* as the reader found it: nothing to escape */
        nm_buf_addc(buf, '"');
        nm_buf_add(buf, yyjson_get_str(value), yyjson_get_len(value));
        nm_buf_addc(buf, '"');
        return;
    case YYJSON_TYPE_STR | YYJSON_SUBTYPE_NONE:
        pb_add_string(buf, yyjson_get_str(value), yyjson_get_len(value));
        return;
    case YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_TRUE:
        nm_buf_add(buf, "true", 4);
        return;
    case YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_FALSE:
        nm_buf_add(buf, "false", 5);
        return;
    default:
        break;
    }
    size_t len = 0;
    char *text = yyjson_val_write_opts(value, YYJSON_WRITE_NOFLAG, alc, &len, NULL);
    if (text)
        nm_buf_add(buf, text, len);
    else
        buf->oom = true; /* nothing else can fail: the value came out of a document */
}

void pb_add_member(struct nm_buf *buf, const char *name, yyjson_val *value, const yyjson_alc *alc)
{
    if (!value)
        return;
    nm_buf_add(buf, ",\"", 2);
    nm_buf_adds(buf, name);
    nm_buf_add(buf, "\":", 2);
    pb_add_value(buf, value, alc);
}

enum nm_status pb_keep(const struct nm_buf *buf, size_t skip, struct nm_arena *arena, struct pb_text *out,
                       struct nm_error *err)
{
    size_t len = nm_buf_ok(buf) && buf->len > skip ? buf->len - skip : 0;
    char *copy = nm_buf_ok(buf) ? nm_arena_copy(arena, len ? buf->data + skip : "", len) : NULL;
    if (!copy)
        return nm_fail(err, NM_FATAL, "out of memory for a record's part of %zu bytes", buf->len);
    *out = (struct pb_text){.s = copy, .len = len};
    return NM_OK;
}

enum nm_status pb_parse(const char *value, size_t len, const char *what, struct nm_arena *doc, yyjson_val **root,
                        struct nm_error *err)
{
    yyjson_alc alc = nm_arena_alc(doc);
    yyjson_read_err why = {0};
    if (!value || len == 0)
        return nm_bad(err, "not_json", "the value is empty; %s was expected", what);
    /* Without YYJSON_READ_INSITU the text is only read. */
    yyjson_doc *parsed = yyjson_read_opts((char *)(uintptr_t)value, len, YYJSON_READ_NOFLAG, &alc, &why);
    if (!parsed && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return nm_fail(err, NM_FATAL, "out of memory for %s of %zu bytes", what, len);
    if (!parsed)
        return nm_bad(err, "not_json", "not JSON at byte %zu: %s", why.pos, why.msg);
    if (!yyjson_is_obj(yyjson_doc_get_root(parsed)))
        return nm_bad(err, "not_object", "%s is a JSON object", what);
    *root = yyjson_doc_get_root(parsed);
    return NM_OK;
}
