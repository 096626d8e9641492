/* plain.c - untrusted bytes for people, see plain.h.
 *
 * Everything that the tool shows comes from the web by way of crawlers: a title may hold escape sequences that
 * rewrite a terminal, or direction marks that make one URL look like another. So text is decoded one code point at a
 * time and judged by its Unicode category, and nothing is passed on that was not recognised. Linear time. */
#include "plain.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

#define REPLACEMENT           0xFFFD
#define ZERO_WIDTH_NON_JOINER 0x200C
#define ZERO_WIDTH_JOINER     0x200D

int32_t nm_next_char(const unsigned char **at, const unsigned char *end)
{
    utf8proc_int32_t c = 0;
    utf8proc_ssize_t n = utf8proc_iterate(*at, end - *at, &c);

    if (n <= 0) {
        (*at)++;
        return REPLACEMENT;
    }
    *at += n;
    return c;
}

bool nm_is_unsafe_char(int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CS:
        return true;
    case UTF8PROC_CATEGORY_CF:
        return c != ZERO_WIDTH_JOINER && c != ZERO_WIDTH_NON_JOINER; /* emoji, Persian */
    default:
        return (c & 0xFFFE) == 0xFFFE;
    }
}

static void add_char(struct nm_buf *out, int32_t c)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t n = utf8proc_encode_char(c, bytes);
    nm_buf_add(out, bytes, n > 0 ? (size_t)n : 0);
}

/* Drops code points from the end of out[from..] until at most `columns` are left; returns those. */
static unsigned cut_back(struct nm_buf *out, size_t from, unsigned columns)
{
    if (out->len == from)
        return 0; /* also an empty buffer, which has no bytes to point at */
    assert(out->data);
    const unsigned char *start = (const unsigned char *)out->data;
    const unsigned char *at = start + from;
    const unsigned char *end = start + out->len;
    unsigned used = 0;

    while (at < end) {
        const unsigned char *before = at;
        int width = utf8proc_charwidth(nm_next_char(&at, end));
        if (used + (unsigned)width > columns) {
            at = before;
            break;
        }
        used += (unsigned)width;
    }
    out->len = (size_t)(at - start);
    while (out->len > from && out->data[out->len - 1] == ' ') {
        out->len--;
        used--;
    }
    return used;
}

unsigned nm_plain_line(const char *text, size_t len, unsigned columns, struct nm_buf *out)
{
    const unsigned char *at = (const unsigned char *)(len ? text : ""), *end = at + len;
    size_t from = out->len;
    unsigned used = 0;
    bool space = false;

    while (at < end && !out->oom) {
        int32_t c = nm_next_char(&at, end);
        utf8proc_category_t category = utf8proc_category(c);
        if (nm_is_unsafe_char(c) || category == UTF8PROC_CATEGORY_ZS) {
            space = category == UTF8PROC_CATEGORY_CF ? space : used > 0; /* a format character takes no room */
            continue;
        }
        unsigned width = (unsigned)utf8proc_charwidth(c);
        if (used == 0 && width == 0)
            continue; /* a combining mark with nothing to stand on */
        if (used + space + width > columns) {
            used = columns ? cut_back(out, from, columns - 1) : 0;
            if (columns) {
                nm_buf_adds(out, "…");
                used++;
            }
            return used;
        }
        if (space)
            nm_buf_addc(out, ' ');
        add_char(out, c);
        used += space + width;
        space = false;
    }
    return used;
}

static void add_escape(struct nm_buf *out, int32_t c)
{
    if (c >= 0x10000) { /* JSON knows UTF-16 units only */
        nm_buf_addf(out, "\\u%04x", (unsigned)(0xD7C0 + (c >> 10)));
        nm_buf_addf(out, "\\u%04x", (unsigned)(0xDC00 + (c & 0x3FF)));
        return;
    }
    nm_buf_addf(out, "\\u%04x", (unsigned)c);
}

void nm_json_safe(const char *json, size_t len, struct nm_buf *out)
{
    const unsigned char *at = (const unsigned char *)(len ? json : ""), *end = at + len;

    while (at < end) {
        const unsigned char *run = at;
        while (at < end && *at < 0x7F)
            at++;
        nm_buf_add(out, run, (size_t)(at - run));
        if (at >= end)
            break;
        int32_t c = nm_next_char(&at, end);
        if (nm_is_unsafe_char(c))
            add_escape(out, c);
        else
            add_char(out, c);
    }
}

void nm_json_string(const char *text, size_t len, struct nm_buf *out)
{
    const unsigned char *at = (const unsigned char *)(len ? text : ""), *end = at + len;

    nm_buf_addc(out, '"');
    while (at < end) {
        int32_t c = nm_next_char(&at, end);
        if (c == '"' || c == '\\') {
            nm_buf_addc(out, '\\');
            nm_buf_addc(out, (char)c);
        } else if (c == '\n') {
            nm_buf_adds(out, "\\n");
        } else if (nm_is_unsafe_char(c)) {
            add_escape(out, c);
        } else {
            add_char(out, c);
        }
    }
    nm_buf_addc(out, '"');
}

void nm_visible_bytes(const char *data, size_t len, struct nm_buf *out)
{
    const unsigned char *at = (const unsigned char *)(len ? data : ""), *end = at + len;

    while (at < end) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t n = utf8proc_iterate(at, end - at, &c);
        if (n > 0 && !nm_is_unsafe_char(c) && c != '\\') {
            nm_buf_add(out, at, (size_t)n);
            at += n;
            continue;
        }
        n = n > 0 ? n : 1;
        if (n == 1 && *at && strchr("\\\n\t\r", *at)) {
            nm_buf_addc(out, '\\');
            nm_buf_addc(out, *at == '\n' ? 'n' : *at == '\t' ? 't' : *at == '\r' ? 'r' : '\\');
            at++;
            continue;
        }
        for (; n > 0; n--, at++)
            nm_buf_addf(out, "\\x%02x", (unsigned)*at);
    }
}
