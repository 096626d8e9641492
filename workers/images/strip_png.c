/* strip_png.c - a PNG of the chunks that make the picture, its colours and its animation.
 *
 * Chunks: PNG (Third Edition), W3C. A chunk of the picture with a wrong CRC breaks the image, any other is left out
 * with it. Chunks of colour have a fixed size or a small largest one and stand once, in front of IDAT: so they hide
 * nothing. An iCCP is inflated once to see that it is a profile of its own size, and its name, which is free text, is
 * replaced. Compressed texts are never inflated. New eXIf and text chunks stand behind IHDR. */
#include "strip_internal.h"

#include "newsmill/text.h"

#include <string.h>
#include <zlib.h>

enum { SIGNATURE_BYTES = 8, FRAME_BYTES = 12, IHDR_BYTES = 13 }; /* a chunk's length, type and CRC: 12 */

#define TYPE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
enum {
    IHDR = TYPE('I', 'H', 'D', 'R'),
    PLTE = TYPE('P', 'L', 'T', 'E'),
    IDAT = TYPE('I', 'D', 'A', 'T'),
    IEND = TYPE('I', 'E', 'N', 'D'),
    ICCP = TYPE('i', 'C', 'C', 'P'),
    EXIF = TYPE('e', 'X', 'I', 'f'),
    TEXT = TYPE('t', 'E', 'X', 't'),
    ITXT = TYPE('i', 'T', 'X', 't'),
    ACTL = TYPE('a', 'c', 'T', 'L'),
    FCTL = TYPE('f', 'c', 'T', 'L'),
    FDAT = TYPE('f', 'd', 'A', 'T')
};

/* Copied as they are: once, in front of IDAT, with a size from min to max. mDCv and cLLi are the names of drafts. */
static const struct {
    uint32_t type, min, max;
} kept[] = {
    {ACTL, 8, 8},
    {TYPE('c', 'H', 'R', 'M'), 32, 32},
    {TYPE('g', 'A', 'M', 'A'), 4, 4},
    {TYPE('s', 'B', 'I', 'T'), 1, 4},
    {TYPE('s', 'R', 'G', 'B'), 1, 1},
    {TYPE('c', 'I', 'C', 'P'), 4, 4},
    {TYPE('m', 'D', 'C', 'V'), 24, 24},
    {TYPE('m', 'D', 'C', 'v'), 24, 24},
    {TYPE('c', 'L', 'L', 'I'), 8, 8},
    {TYPE('c', 'L', 'L', 'i'), 8, 8},
    {TYPE('t', 'R', 'N', 'S'), 1, 256},
    {TYPE('b', 'K', 'G', 'D'), 1, 6},
    {TYPE('p', 'H', 'Y', 's'), 9, 9},
};
enum { N_KEPT = sizeof kept / sizeof *kept };

static const char *const keywords[] = {"Author", "Copyright", "Credit"}; /* of texts that stay */
enum { N_KEYWORDS = sizeof keywords / sizeof *keywords };

struct chunk {
    uint32_t type;
    struct im_span whole, body;
};

struct png {
    struct im_strip *job;
    struct im_span rest; /* not read yet */
    bool has_exif;
    struct im_exif exif;
    struct im_text latin[N_KEYWORDS], utf8[N_KEYWORDS]; /* of tEXt, of iTXt */
    bool seen[N_KEPT];
    bool palette, icc, data, data_ended, animated;
};

static bool is_letter(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* The next chunk, its CRC not looked at; false at the end and for what is none. */
static bool take_chunk(struct im_span *rest, struct chunk *chunk)
{
    if (rest->len < FRAME_BYTES || im_be32(rest->data) > rest->len - FRAME_BYTES)
        return false;
    size_t n = im_be32(rest->data);
    const uint8_t *type = rest->data + 4;
    if (!is_letter(type[0]) || !is_letter(type[1]) || !is_letter(type[2]) || !is_letter(type[3]))
        return false;
    chunk->type = im_be32(type);
    chunk->body = (struct im_span){rest->data + 8, n};
    return im_take(rest, n + FRAME_BYTES, &chunk->whole);
}

static uint32_t crc_of(const void *type_and_body, size_t len)
{
    return (uint32_t)crc32_z(0, type_and_body, len);
}

static bool crc_holds(const struct chunk *chunk)
{
    return crc_of(chunk->whole.data + 4, chunk->body.len + 4) == im_be32(chunk->body.data + chunk->body.len);
}

/* A chunk whose body is what is appended until end_chunk(), which takes the place that begin_chunk() returned. */
static size_t begin_chunk(struct nm_buf *out, uint32_t type)
{
    size_t at = out->len;
    im_add_be32(out, 0);
    im_add_be32(out, type);
    return at;
}

static void end_chunk(struct nm_buf *out, size_t at)
{
    if (!nm_buf_ok(out))
        return;
    size_t n = out->len - at - 8;
    const uint8_t length[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(out->data + at, length, sizeof length);
    im_add_be32(out, crc_of(out->data + at + 4, n + 4));
}

/* ---- first time: EXIF and texts ---- */

/* Up to the next NUL, which is taken as well. */
static bool take_string(struct im_span *rest, struct im_span *string)
{
    const uint8_t *nul = rest->len ? memchr(rest->data, 0, rest->len) : NULL;
    struct im_span end;
    return nul && im_take(rest, (size_t)(nul - rest->data), string) && im_take(rest, 1, &end);
}

static int find_keyword(struct im_span word)
{
    for (int i = 0; i < N_KEYWORDS; i++)
        if (word.len == strlen(keywords[i]) && im_starts(word, keywords[i], word.len))
            return i;
    return -1;
}

/* tEXt: keyword, text. iTXt: keyword, compressed or not, method, language, keyword in it, text. */
static void take_text(struct png *png, const struct chunk *chunk)
{
    struct im_span rest = chunk->body, keyword, flags, language, translated;
    int i = take_string(&rest, &keyword) ? find_keyword(keyword) : -1;
    if (i < 0 || !crc_holds(chunk))
        return;
    if (chunk->type == TEXT)
        im_text_take(&png->latin[i], rest);
    else if (im_take(&rest, 2, &flags) && flags.data[0] == 0 && take_string(&rest, &language) &&
             take_string(&rest, &translated) && rest.len && nm_text_is_utf8((const char *)rest.data, rest.len))
        im_text_take(&png->utf8[i], rest);
}

static void read_metadata(struct png *png)
{
    struct im_span rest = png->rest;
    struct chunk chunk;
    while (take_chunk(&rest, &chunk) && chunk.type != IEND) {
        if (chunk.type == EXIF && !png->has_exif && crc_holds(&chunk))
            png->has_exif = im_exif_read(chunk.body, &png->exif);
        else if ((chunk.type == TEXT || chunk.type == ITXT) && png->job->keep_copyright)
            take_text(png, &chunk);
    }
}

static void add_text(struct nm_buf *out, uint32_t type, const char *keyword, const struct im_text *text)
{
    if (text->len == 0)
        return;
    size_t at = begin_chunk(out, type);
    nm_buf_add(out, keyword, strlen(keyword) + 1);
    if (type == ITXT)
        nm_buf_add(out, "\0\0\0\0", 4); /* not compressed, method 0, no language, no keyword in it */
    nm_buf_add(out, text->data, text->len);
    end_chunk(out, at);
}

static void add_metadata(struct png *png)
{
    struct nm_buf *out = png->job->out, *block = &png->job->scratch;
    im_exif_write(png->job, &png->exif);
    if (block->len) {
        size_t at = begin_chunk(out, EXIF);
        nm_buf_add(out, block->data, block->len);
        end_chunk(out, at);
    }
    for (int i = 0; i < N_KEYWORDS; i++) {
        add_text(out, TEXT, keywords[i], &png->latin[i]);
        add_text(out, ITXT, keywords[i], &png->utf8[i]);
    }
}

/* ---- iCCP ---- */

/* Inflates to nowhere: `used` bytes of the stream make a profile of exactly its own size, or 0 if they do not. */
static enum im_reason profile_bytes(struct im_span stream, size_t *used)
{
    uint8_t header[IM_ICC_HEADER], spill[16384];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)stream.data, .avail_in = (uInt)stream.len};
    *used = 0;
    if (inflateInit(&z) != Z_OK)
        return IM_decode_killed; /* no memory: another try may keep the profile */
    z.next_out = header;
    z.avail_out = sizeof header;
    int rc = inflate(&z, Z_NO_FLUSH);
    while (rc == Z_OK && z.avail_out == 0 && z.total_out <= IM_ICC_MAX) {
        z.next_out = spill;
        z.avail_out = sizeof spill;
        rc = inflate(&z, Z_NO_FLUSH);
    }
    bool profile = rc == Z_STREAM_END && z.total_out >= sizeof header &&
                   im_icc_size((struct im_span){header, z.total_out}) == z.total_out;
    if (profile)
        *used = z.total_in;
    (void)inflateEnd(&z);
    return rc == Z_MEM_ERROR ? IM_decode_killed : IM_NONE;
}

static enum im_reason copy_icc(struct png *png, const struct chunk *chunk)
{
    struct im_span rest = chunk->body, name, method, stream;
    size_t used = 0;
    if (png->icc || png->data || !crc_holds(chunk) || !take_string(&rest, &name) || !im_take(&rest, 1, &method) ||
        method.data[0] != 0)
        return IM_NONE;
    png->icc = true; /* only the first one is inflated: many small ones may each want 4 MiB */
    enum im_reason reason = profile_bytes(rest, &used);
    if (reason != IM_NONE || used == 0 || !im_take(&rest, used, &stream))
        return reason;
    size_t at = begin_chunk(png->job->out, ICCP);
    nm_buf_add(png->job->out, "ICC\0", 5); /* name and method */
    im_add_span(png->job->out, stream);
    end_chunk(png->job->out, at);
    return IM_NONE;
}

/* ---- second time: the picture ---- */

static enum im_reason copy(struct png *png, const struct chunk *chunk, bool fits)
{
    if (!fits || !crc_holds(chunk))
        return IM_decode_fail;
    im_add_span(png->job->out, chunk->whole);
    return IM_NONE;
}

static void copy_kept(struct png *png, const struct chunk *chunk)
{
    for (size_t i = 0; i < N_KEPT; i++) {
        if (chunk->type != kept[i].type || png->seen[i] || png->data || chunk->body.len < kept[i].min ||
            chunk->body.len > kept[i].max || !crc_holds(chunk))
            continue;
        png->seen[i] = true;
        png->animated = png->animated || chunk->type == ACTL;
        im_add_span(png->job->out, chunk->whole);
    }
}

static enum im_reason copy_chunk(struct png *png, const struct chunk *chunk)
{
    size_t n = chunk->body.len;
    bool again = png->palette;
    png->data_ended = png->data_ended || (png->data && chunk->type != IDAT);
    switch (chunk->type) {
    case PLTE:
        png->palette = true;
        return copy(png, chunk, !again && !png->data && n >= 3 && n <= 768 && n % 3 == 0);
    case IDAT:
        png->data = true;
        return copy(png, chunk, !png->data_ended); /* it stands in one run */
    case ICCP:
        return copy_icc(png, chunk);
    case FCTL:
        return png->animated ? copy(png, chunk, n == 26) : IM_NONE;
    case FDAT:
        return png->animated ? copy(png, chunk, png->data && n >= 4) : IM_NONE;
    default:
        if (!(chunk->type & TYPE(0x20, 0, 0, 0))) /* a part of the picture that nobody here knows, or IHDR again */
            return IM_decode_fail;
        copy_kept(png, chunk);
        return IM_NONE;
    }
}

enum im_reason im_strip_png(struct im_strip *job)
{
    struct png png = {.job = job, .rest = job->in};
    struct im_span signature;
    struct chunk chunk;
    if (!im_starts(png.rest, "\x89PNG\r\n\x1A\n", SIGNATURE_BYTES) || !im_take(&png.rest, SIGNATURE_BYTES, &signature))
        return IM_decode_fail;
    im_add_span(job->out, signature);
    if (!take_chunk(&png.rest, &chunk) ||
        copy(&png, &chunk, chunk.type == IHDR && chunk.body.len == IHDR_BYTES) != IM_NONE)
        return IM_decode_fail;
    read_metadata(&png);
    add_metadata(&png);
    while (take_chunk(&png.rest, &chunk)) {
        if (chunk.type == IEND)
            return copy(&png, &chunk, png.data && chunk.body.len == 0);
        enum im_reason reason = copy_chunk(&png, &chunk);
        if (reason != IM_NONE)
            return reason;
    }
    return IM_decode_fail;
}
