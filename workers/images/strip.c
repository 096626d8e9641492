/* strip.c - the public copy of an image: which filter, and what the filters share.
 *
 * Each filter reads the input twice: once for the metadata, which may stand anywhere, and once for the picture, which
 * is copied in its order. So new metadata has a fixed place, and a copy of a copy is the same bytes. */
#include "strip_internal.h"

#include <string.h>

enum im_reason im_strip(const uint8_t *data, size_t len, const struct im_facts *facts, bool keep_copyright,
                        struct nm_buf *out)
{
    size_t before = out->len;
    enum im_reason reason = IM_type_not_allowed;
    struct im_strip job = {.in = {data, len}, .keep_copyright = keep_copyright, .out = out};

    job.orientation = facts->orientation >= 1 && facts->orientation <= 8 ? facts->orientation : 0;
    (void)nm_buf_room(out, len); /* at once, as a copy is rarely longer; a failure is found below */
    if (facts->type == IM_JPEG)
        reason = im_strip_jpeg(&job);
    else if (facts->type == IM_PNG)
        reason = im_strip_png(&job);
    else if (facts->type == IM_GIF)
        reason = im_strip_gif(&job);
    else if (facts->type == IM_WEBP)
        reason = im_strip_webp(&job);
    if (reason == IM_NONE && !(nm_buf_ok(out) && nm_buf_ok(&job.scratch)))
        reason = IM_decode_killed;
    if (reason != IM_NONE)
        out->len = before;
    nm_buf_clear(&job.scratch);
    return reason;
}

/* ---- numbers and spans ---- */

void im_add_be16(struct nm_buf *out, uint32_t n)
{
    const uint8_t bytes[2] = {(uint8_t)(n >> 8), (uint8_t)n};
    nm_buf_add(out, bytes, sizeof bytes);
}

void im_add_be32(struct nm_buf *out, uint32_t n)
{
    im_add_be16(out, n >> 16);
    im_add_be16(out, n & 0xFFFF);
}

void im_add_le32(struct nm_buf *out, uint32_t n)
{
    const uint8_t bytes[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
    nm_buf_add(out, bytes, sizeof bytes);
}

void im_add_span(struct nm_buf *out, struct im_span span)
{
    nm_buf_add(out, span.data, span.len);
}

bool im_take(struct im_span *rest, size_t n, struct im_span *taken)
{
    if (n > rest->len)
        return false;
    *taken = (struct im_span){rest->data, n};
    if (n) /* an empty span may have no address */
        rest->data += n;
    rest->len -= n;
    return true;
}

bool im_starts(struct im_span span, const void *start, size_t len)
{
    return span.len >= len && memcmp(span.data, start, len) == 0;
}

/* ---- texts ---- */

static bool is_space(uint8_t c)
{
    return c <= 0x20 || c == 0x7F;
}

/* Where to cut a text that is longer than `n`: in front of a character of UTF-8 that would be halved. Bytes that are no
 * UTF-8, such as Latin-1, are cut at n. */
static size_t cut_at(const uint8_t *text, size_t n)
{
    size_t start = n;
    while (start > 0 && n - start < 3 && (text[start] & 0xC0) == 0x80)
        start--;
    return text[start] >= 0xC0 ? start : n;
}

void im_text_take(struct im_text *text, struct im_span raw)
{
    if (text->len)
        return;
    while (raw.len && is_space(raw.data[0])) {
        raw.data++;
        raw.len--;
    }
    size_t n = raw.len > IM_STRIP_TEXT ? cut_at(raw.data, IM_STRIP_TEXT) : raw.len;
    while (n && is_space(raw.data[n - 1]))
        n--;
    for (size_t i = 0; i < n; i++)
        text->data[i] = is_space(raw.data[i]) ? ' ' : (char)raw.data[i];
    text->len = n;
}

/* ---- ICC ---- */

size_t im_icc_size(struct im_span profile)
{
    if (profile.len < IM_ICC_HEADER || memcmp(profile.data + 36, "acsp", 4) != 0)
        return 0;
    size_t size = im_be32(profile.data);
    return size >= IM_ICC_HEADER && size <= profile.len && size <= IM_ICC_MAX ? size : 0;
}
