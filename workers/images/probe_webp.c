/* probe_webp.c - the chunks of a WebP file (RFC 9649). No bitstream is decoded; of VP8 (RFC 6386, 9.1) and VP8L only
 * the header is read, for the canvas that VP8X promises has to be the one that the bitstream has.
 *
 * An EXIF chunk stands behind the pixels, where browsers do not look for an orientation: it is 1. */
#include "probe_internal.h"

#include <string.h>

#define FILE_HEADER       12 /* "RIFF", size, "WEBP" */
#define CHUNK_HEADER      8
#define RIFF_MAX          0xFFFFFFF6u /* the largest size that its own header still fits beside */
#define VP8_HEADER        10
#define VP8L_HEADER       5
#define VP8L_SIGNATURE    0x2F
#define VP8X_BYTES        10
#define VP8X_ANIMATION    0x02
#define VP8X_ALPHA        0x10
#define ANIM_BYTES        6
#define ANIM_FRAME_HEADER 16

struct webp {
    struct im_walk *walk;
    size_t pos;
    bool animated, has_loop; /* VP8X says so; ANIM was there */
    bool has_image;          /* of a still image             */
    uint32_t canvas_width, canvas_height;
};

struct chunk {
    const uint8_t *name;
    size_t at;    /* of the first byte of its data in the file */
    size_t len;   /* of the data, without padding              */
    size_t after; /* where the next one begins                 */
};

struct picture {
    uint32_t width, height;
    bool alpha;
};

static bool is(const struct chunk *chunk, const char *name)
{
    return memcmp(chunk->name, name, 4) == 0;
}

/* The chunk at `pos` of a run of chunks that ends at `end`. Its data need not be there yet; they lie before `end`. */
static enum im_reason read_chunk(const struct im_walk *walk, size_t pos, size_t end, struct chunk *chunk)
{
    if (!im_has(walk, pos, CHUNK_HEADER))
        return IM_truncated;
    size_t len = im_le32(walk->data + pos + 4), room = end - pos - CHUNK_HEADER;
    if (len > room)
        return IM_decode_fail;
    *chunk = (struct chunk){.name = walk->data + pos, .at = pos + CHUNK_HEADER, .len = len};
    chunk->after = chunk->at + len + (len < room ? len & 1 : 0); /* some writers leave the last pad byte out */
    return IM_NONE;
}

static enum im_reason read_vp8(const struct im_walk *walk, const struct chunk *chunk, struct picture *picture)
{
    if (chunk->len < VP8_HEADER)
        return IM_decode_fail;
    if (!im_has(walk, chunk->at, VP8_HEADER))
        return IM_truncated;
    const uint8_t *p = walk->data + chunk->at;
    uint32_t tag = im_le24(p);
    bool shown_key_frame = !(tag & 1) && (tag >> 4 & 1), known_profile = (tag >> 1 & 7) <= 3;
    if (!shown_key_frame || !known_profile || tag >> 5 >= chunk->len || memcmp(p + 3, "\x9D\x01\x2A", 3) != 0)
        return IM_decode_fail;
    *picture = (struct picture){.width = im_le16(p + 6) & 0x3FFF, .height = im_le16(p + 8) & 0x3FFF};
    return IM_NONE;
}

static enum im_reason read_vp8l(const struct im_walk *walk, const struct chunk *chunk, struct picture *picture)
{
    if (chunk->len < VP8L_HEADER)
        return IM_decode_fail;
    if (!im_has(walk, chunk->at, VP8L_HEADER))
        return IM_truncated;
    const uint8_t *p = walk->data + chunk->at;
    uint32_t bits = im_le32(p + 1);
    if (p[0] != VP8L_SIGNATURE || bits >> 29 != 0) /* the version */
        return IM_decode_fail;
    *picture = (struct picture){
        .width = (bits & 0x3FFF) + 1, .height = (bits >> 14 & 0x3FFF) + 1, .alpha = (bits >> 28 & 1) != 0};
    return IM_NONE;
}

static bool is_bitstream(const struct chunk *chunk)
{
    return is(chunk, "VP8 ") || is(chunk, "VP8L");
}

/* The header of a bitstream; its data may still be missing. */
static enum im_reason read_bitstream(const struct im_walk *walk, const struct chunk *chunk, struct picture *picture)
{
    return is(chunk, "VP8L") ? read_vp8l(walk, chunk, picture) : read_vp8(walk, chunk, picture);
}

static void note_alpha(struct im_walk *walk, bool alpha)
{
    walk->facts.alpha |= alpha;
    walk->facts.channels = walk->facts.alpha ? 4 : 3;
}

/* A frame of an animation: its place within the canvas, and one bitstream of exactly its size. */
static enum im_reason read_frame(struct webp *webp, const struct chunk *frame)
{
    struct im_walk *walk = webp->walk;
    if (frame->len < ANIM_FRAME_HEADER || !webp->has_loop)
        return IM_decode_fail;
    if (!im_has(walk, frame->at, ANIM_FRAME_HEADER))
        return IM_truncated;
    const uint8_t *p = walk->data + frame->at;
    uint32_t x = im_le24(p) * 2, y = im_le24(p + 3) * 2, width = im_le24(p + 6) + 1, height = im_le24(p + 9) + 1;
    if (x + width > webp->canvas_width || y + height > webp->canvas_height)
        return IM_decode_fail;
    enum im_reason reason = im_walk_frame(walk);
    size_t end = frame->at + frame->len;
    for (size_t pos = frame->at + ANIM_FRAME_HEADER; reason == IM_NONE && end - pos >= CHUNK_HEADER;) {
        struct chunk chunk = {0};
        struct picture picture = {0};
        reason = read_chunk(walk, pos, end, &chunk);
        if (reason == IM_NONE && is_bitstream(&chunk)) {
            reason = read_bitstream(walk, &chunk, &picture);
            if (reason != IM_NONE)
                return reason;
            return picture.width == width && picture.height == height ? IM_NONE : IM_decode_fail;
        }
        pos = chunk.after;
    }
    return reason == IM_NONE ? IM_decode_fail : reason;
}

static enum im_reason read_still(struct webp *webp, const struct chunk *chunk)
{
    struct im_walk *walk = webp->walk;
    struct picture picture = {0};
    if (webp->has_image || webp->animated)
        return IM_decode_fail;
    enum im_reason reason = read_bitstream(walk, chunk, &picture);
    if (reason != IM_NONE)
        return reason;
    if (picture.width != webp->canvas_width || picture.height != webp->canvas_height)
        return IM_decode_fail;
    note_alpha(walk, picture.alpha);
    webp->has_image = true;
    return IM_NONE;
}

static enum im_reason read_extended(struct webp *webp, const struct chunk *chunk)
{
    if (is_bitstream(chunk))
        return read_still(webp, chunk);
    if (webp->animated && is(chunk, "ANIM")) {
        webp->has_loop = true;
        return chunk->len >= ANIM_BYTES ? IM_NONE : IM_decode_fail;
    }
    if (webp->animated && is(chunk, "ANMF"))
        return read_frame(webp, chunk);
    return IM_NONE; /* ALPH, ICCP, EXIF, XMP and what nobody knows */
}

/* VP8X, then chunks up to the end of the file. */
static enum im_reason walk_extended(struct webp *webp, const struct chunk *first, size_t end)
{
    struct im_walk *walk = webp->walk;
    if (first->len != VP8X_BYTES)
        return IM_decode_fail;
    if (!im_has(walk, first->at, VP8X_BYTES))
        return IM_truncated;
    const uint8_t *p = walk->data + first->at;
    webp->animated = p[0] & VP8X_ANIMATION;
    webp->canvas_width = im_le24(p + 4) + 1;
    webp->canvas_height = im_le24(p + 7) + 1;
    walk->facts.frames = webp->animated ? 0 : 1;
    note_alpha(walk, p[0] & VP8X_ALPHA);
    enum im_reason reason = im_walk_canvas(walk, webp->canvas_width, webp->canvas_height);
    struct chunk chunk = {0};
    for (size_t pos = first->after; reason == IM_NONE && end - pos >= CHUNK_HEADER; pos = chunk.after) {
        reason = read_chunk(walk, pos, end, &chunk);
        if (reason == IM_NONE)
            reason = read_extended(webp, &chunk);
    }
    if (reason == IM_NONE && (webp->animated ? walk->facts.frames == 0 : !webp->has_image))
        return IM_decode_fail;
    return reason;
}

/* One bitstream and nothing else that a decoder looks at. */
static enum im_reason walk_simple(struct im_walk *walk, const struct chunk *chunk)
{
    struct picture picture = {0};
    enum im_reason reason = read_bitstream(walk, chunk, &picture);
    if (reason != IM_NONE)
        return reason;
    walk->facts.frames = 1;
    note_alpha(walk, picture.alpha);
    return im_walk_canvas(walk, picture.width, picture.height);
}

enum im_reason im_walk_webp(struct im_walk *walk)
{
    struct webp webp = {.walk = walk};
    struct chunk chunk;
    size_t riff = im_le32(walk->data + 4); /* the signature has FILE_HEADER bytes */
    if (riff < FILE_HEADER || riff > RIFF_MAX)
        return IM_decode_fail;
    size_t end = CHUNK_HEADER + riff;
    walk->facts.bit_depth = 8;
    walk->facts.end = end;
    enum im_reason reason = read_chunk(walk, FILE_HEADER, end, &chunk);
    if (reason != IM_NONE)
        return reason;
    if (is(&chunk, "VP8X"))
        reason = walk_extended(&webp, &chunk, end);
    else
        reason = is_bitstream(&chunk) ? walk_simple(walk, &chunk) : IM_decode_fail;
    return reason == IM_NONE && walk->len < end ? IM_truncated : reason;
}
