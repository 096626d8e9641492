/* text_slug.c - the readable part of a record's path.
 *
 * A slug is ASCII: letters are decomposed (NFD) and lose their marks; letters that Unicode does not decompose but
 * readers spell with ASCII come from a table; symbols and other scripts vanish. What may be a path is decided by what
 * is written, [a-z0-9-], never by what is removed. No allocation but the caller's buffer. Thread-safe: no state. */
#include "text_internal.h"

#include <string.h>
#include <utf8proc.h>

struct spelling {
    uint32_t code;
    char ascii[4];
};

/* Letters without a canonical decomposition, in order of their code points. */
static const struct spelling spellings[] = {
    {0xc6, "ae"},   {0xd0, "d"},     {0xd8, "o"},     {0xde, "th"},   {0xdf, "ss"},   {0xe6, "ae"},   {0xf0, "d"},
    {0xf8, "o"},    {0xfe, "th"},    {0x110, "d"},    {0x111, "d"},   {0x126, "h"},   {0x127, "h"},   {0x131, "i"},
    {0x132, "ij"},  {0x133, "ij"},   {0x138, "k"},    {0x13f, "l"},   {0x140, "l"},   {0x141, "l"},   {0x142, "l"},
    {0x149, "n"},   {0x14a, "ng"},   {0x14b, "ng"},   {0x152, "oe"},  {0x153, "oe"},  {0x166, "t"},   {0x167, "t"},
    {0x17f, "s"},   {0x180, "b"},    {0x181, "b"},    {0x187, "c"},   {0x188, "c"},   {0x189, "d"},   {0x18a, "d"},
    {0x18e, "e"},   {0x18f, "e"},    {0x191, "f"},    {0x192, "f"},   {0x193, "g"},   {0x197, "i"},   {0x198, "k"},
    {0x199, "k"},   {0x19a, "l"},    {0x1ac, "t"},    {0x1ad, "t"},   {0x1b3, "y"},   {0x1b4, "y"},   {0x1b5, "z"},
    {0x1b6, "z"},   {0x1dd, "e"},    {0x1e4, "g"},    {0x1e5, "g"},   {0x221, "d"},   {0x237, "j"},   {0x23a, "a"},
    {0x23b, "c"},   {0x23c, "c"},    {0x23d, "l"},    {0x23e, "t"},   {0x243, "b"},   {0x246, "e"},   {0x247, "e"},
    {0x248, "j"},   {0x249, "j"},    {0x24c, "r"},    {0x24d, "r"},   {0x24e, "y"},   {0x24f, "y"},   {0x253, "b"},
    {0x256, "d"},   {0x257, "d"},    {0x259, "e"},    {0x268, "i"},   {0x1e9e, "ss"}, {0xfb00, "ff"}, {0xfb01, "fi"},
    {0xfb02, "fl"}, {0xfb03, "ffi"}, {0xfb04, "ffl"}, {0xfb05, "st"}, {0xfb06, "st"},
};

static const char *find_spelling(uint32_t code)
{
    size_t low = 0, high = sizeof spellings / sizeof *spellings;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spellings[middle].code == code)
            return spellings[middle].ascii;
        if (spellings[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return "";
}

/* Hyphens are written only between letters, so none begins, ends or doubles. */
static void put(struct nm_buf *out, size_t start, uint32_t code, bool *gap)
{
    if (code >= 'A' && code <= 'Z')
        code += 'a' - 'A';
    if (code == '-' || nm_text_is_white(code)) {
        *gap = true;
        return;
    }
    if (!((code >= 'a' && code <= 'z') || (code >= '0' && code <= '9')))
        return;
    if (*gap && out->len > start)
        nm_buf_addc(out, '-');
    *gap = false;
    nm_buf_addc(out, (char)code);
}

static void put_code(struct nm_buf *out, size_t start, uint32_t code, bool *gap)
{
    enum { PARTS_MAX = 32 };
    utf8proc_int32_t parts[PARTS_MAX];
    int boundary = 0;
    if (code < 0x80 || nm_text_is_white(code)) {
        put(out, start, code, gap);
        return;
    }
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)code, parts, PARTS_MAX,
                                                 UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
    for (utf8proc_ssize_t i = 0; i < n && i < PARTS_MAX; i++) {
        uint32_t part = (uint32_t)parts[i];
        if (part < 0x80)
            put(out, start, part, gap);
        else
            for (const char *ascii = find_spelling(part); *ascii; ascii++)
                put(out, start, (unsigned char)*ascii, gap);
    }
}

/* The longest prefix of at most max_bytes that ends before a hyphen; where the first word is longer, its beginning. */
static size_t cut(const char *slug, size_t len, size_t max_bytes)
{
    if (len <= max_bytes)
        return len;
    for (size_t at = max_bytes; at > 0; at--)
        if (slug[at] == '-')
            return at;
    return max_bytes;
}

enum nm_status nm_text_slug(const char *title, size_t len, size_t max_bytes, struct nm_buf *out, struct nm_error *err)
{
    size_t start = out->len;
    bool gap = false;
    for (size_t i = 0; i < len && out->len - start <= max_bytes;) {
        uint32_t code = (unsigned char)title[i];
        i += code < 0x80 ? 1 : nm_text_decode(title + i, len - i, &code);
        put_code(out, start, code, &gap);
    }
    if (!nm_buf_ok(out))
        return nm_fail(err, NM_FATAL, "out of memory for a slug");
    if (out->len > start)
        out->len = start + cut(out->data + start, out->len - start, max_bytes);
    return NM_OK;
}
