/* probe_gif.c - the blocks of a GIF (87a and 89a). No frame is decoded.
 *
 * The canvas is the logical screen, whatever the frames say: it is what a decoder allocates. A frame that lies outside
 * of it shows nothing, so a GIF of none but such frames is no image. */
#include "probe_internal.h"

#define HEADER_BYTES     13 /* signature and logical screen descriptor */
#define DESCRIPTOR_BYTES 9  /* of an image, behind its ','             */
#define HAS_TABLE        0x80
#define INTERLACED       0x40
#define LABEL_CONTROL    0xF9
#define LZW_MAX_BITS     8

struct gif {
    struct im_walk *walk;
    size_t pos;
    int screen_bits; /* of the global table; 0: there is none */
    bool transparent, visible;
};

static size_t table_bytes(int packed)
{
    return packed & HAS_TABLE ? (size_t)3 << ((packed & 7) + 1) : 0;
}

static int table_bits(int packed)
{
    return packed & HAS_TABLE ? (packed & 7) + 1 : 0;
}

/* Moves behind a run of sub-blocks and the empty one that ends it. *bytes = what they hold. */
static enum im_reason skip_blocks(struct gif *gif, size_t *bytes)
{
    size_t total = 0;
    for (;;) {
        if (!im_has(gif->walk, gif->pos, 1))
            return IM_truncated;
        size_t n = gif->walk->data[gif->pos];
        if (!im_has(gif->walk, gif->pos + 1, n))
            return IM_truncated;
        gif->pos += 1 + n;
        total += n;
        if (n == 0) {
            *bytes = total;
            return IM_NONE;
        }
    }
}

static enum im_reason read_extension(struct gif *gif)
{
    const uint8_t *p = gif->walk->data + gif->pos;
    size_t bytes;
    /* label, size 4, flags */
    if (gif->walk->facts.frames == 0 && im_has(gif->walk, gif->pos, 3) && p[0] == LABEL_CONTROL && p[1] >= 4)
        gif->transparent = p[2] & 1;
    if (!im_has(gif->walk, gif->pos, 1))
        return IM_truncated;
    gif->pos++;
    return skip_blocks(gif, &bytes);
}

static void note_first_frame(struct gif *gif, int packed)
{
    struct im_facts *facts = &gif->walk->facts;
    int bits = table_bits(packed) ? table_bits(packed) : gif->screen_bits;
    facts->bit_depth = bits ? bits : LZW_MAX_BITS;
    facts->interlaced = packed & INTERLACED;
    facts->alpha = gif->transparent;
}

static enum im_reason read_frame(struct gif *gif)
{
    struct im_walk *walk = gif->walk;
    if (!im_has(walk, gif->pos, DESCRIPTOR_BYTES))
        return IM_truncated;
    const uint8_t *p = walk->data + gif->pos;
    int packed = p[8];
    bool first = walk->facts.frames == 0;
    if (first)
        note_first_frame(gif, packed);
    enum im_reason reason = im_walk_frame(walk);
    if (reason != IM_NONE)
        return reason;
    if (im_le16(p) < (uint32_t)walk->facts.raw_width && im_le16(p + 2) < (uint32_t)walk->facts.raw_height &&
        im_le16(p + 4) > 0 && im_le16(p + 6) > 0)
        gif->visible = true;
    size_t table = table_bytes(packed), bytes = 0;
    if (!im_has(walk, gif->pos + DESCRIPTOR_BYTES, table + 1))
        return IM_truncated;
    gif->pos += DESCRIPTOR_BYTES + table;
    int code_bits = walk->data[gif->pos++];
    if (code_bits < 1 || code_bits > LZW_MAX_BITS)
        return IM_decode_fail;
    reason = skip_blocks(gif, &bytes);
    if (reason == IM_NONE && first && bytes == 0)
        return IM_decode_fail; /* it is the first frame that the decoder draws */
    return reason;
}

enum im_reason im_walk_gif(struct im_walk *walk)
{
    struct gif gif = {.walk = walk, .pos = HEADER_BYTES};
    if (!im_has(walk, 0, HEADER_BYTES))
        return IM_truncated;
    int packed = walk->data[10];
    walk->facts.channels = 1;
    gif.screen_bits = table_bits(packed);
    enum im_reason reason = im_walk_canvas(walk, im_le16(walk->data + 6), im_le16(walk->data + 8));
    if (reason != IM_NONE)
        return reason;
    gif.pos += table_bytes(packed);
    while (reason == IM_NONE) {
        if (!im_has(walk, gif.pos, 1))
            return IM_truncated;
        switch (walk->data[gif.pos++]) {
        case '!':
            reason = read_extension(&gif);
            break;
        case ',':
            reason = read_frame(&gif);
            break;
        case ';':
            walk->facts.end = gif.pos;
            return gif.visible ? IM_NONE : IM_decode_fail;
        default:
            return IM_decode_fail;
        }
    }
    return reason;
}
