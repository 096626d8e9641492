/* probe_png.c - the chunks of a PNG (ISO/IEC 15948). Nothing is inflated.
 *
 * The CRC of a critical chunk has to be right, for no decoder takes one that is not; that of a text chunk is not looked
 * at. An animated PNG is the still image in its IDAT: acTL, fcTL and fdAT are passed over like other ancillary chunks.
 */
#include "probe_internal.h"

#include <string.h>
#include <zlib.h>

#define CHUNK_MAX   0x7FFFFFFFu
#define PALETTE_MAX (256 * 3)
#define ANCILLARY   0x20 /* of the first letter of a chunk's name: lower case */
#define GREY        0
#define RGB         2
#define PALETTE     3
#define GREY_ALPHA  4
#define RGB_ALPHA   6

struct png {
    struct im_walk *walk;
    int color;
    bool has_palette, has_data, ended;
};

struct chunk {
    const uint8_t *name, *data; /* the name stands right before the data */
    uint32_t len;
};

static bool is(const struct chunk *chunk, const char *name)
{
    return memcmp(chunk->name, name, 4) == 0;
}

static bool crc_is_right(const struct chunk *chunk)
{
    /* zlib takes an uInt: a chunk has less than 2^31 bytes, and the name 4. */
    return crc32(0, chunk->name, chunk->len + 4) == im_be32(chunk->data + chunk->len);
}

static bool depth_fits(int color, int depth)
{
    switch (color) {
    case GREY:
        return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case PALETTE:
        return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case RGB:
    case GREY_ALPHA:
    case RGB_ALPHA:
        return depth == 8 || depth == 16;
    default:
        return false;
    }
}

static enum im_reason read_header(struct png *png, const struct chunk *chunk)
{
    static const int channels[] = {[GREY] = 1, [RGB] = 3, [PALETTE] = 1, [GREY_ALPHA] = 2, [RGB_ALPHA] = 4};
    struct im_facts *facts = &png->walk->facts;
    const uint8_t *p = chunk->data;
    if (!depth_fits(p[9], p[8]) || p[10] != 0 || p[11] != 0 || p[12] > 1)
        return IM_decode_fail;
    png->color = p[9];
    facts->bit_depth = p[8];
    facts->channels = channels[png->color];
    facts->alpha = png->color == GREY_ALPHA || png->color == RGB_ALPHA;
    facts->interlaced = p[12] == 1;
    facts->frames = 1;
    return im_walk_canvas(png->walk, im_be32(p), im_be32(p + 4));
}

static enum im_reason read_palette(struct png *png, const struct chunk *chunk)
{
    bool bad = chunk->len == 0 || chunk->len > PALETTE_MAX || chunk->len % 3 != 0;
    if (png->has_palette || (png->color == PALETTE && (bad || png->has_data)))
        return IM_decode_fail;
    png->has_palette = true;
    return IM_NONE;
}

static enum im_reason read_critical(struct png *png, const struct chunk *chunk)
{
    if (!crc_is_right(chunk))
        return IM_decode_fail;
    if (is(chunk, "PLTE"))
        return read_palette(png, chunk);
    if (is(chunk, "IDAT")) {
        if (png->color == PALETTE && !png->has_palette)
            return IM_decode_fail;
        png->has_data |= chunk->len > 0;
        return IM_NONE;
    }
    if (!is(chunk, "IEND") || chunk->len != 0 || !png->has_data)
        return IM_decode_fail; /* also a second IHDR, and a critical chunk that nobody knows */
    png->ended = true;
    return IM_NONE;
}

/* Both count only before the pixels: browsers lay an image out before they have read what stands behind them. */
static void read_ancillary(struct png *png, const struct chunk *chunk)
{
    struct im_walk *walk = png->walk;
    if (png->has_data)
        return;
    if (is(chunk, "tRNS") && chunk->len > 0 && chunk->len <= 256 && crc_is_right(chunk))
        walk->facts.alpha = true;
    if (is(chunk, "eXIf") && walk->facts.orientation == 1 && chunk->len <= walk->limits->metadata_bytes &&
        crc_is_right(chunk)) {
        int orientation = im_exif_orientation(chunk->data, chunk->len);
        if (orientation)
            im_walk_orient(walk, orientation);
    }
}

static bool is_name(const uint8_t *name)
{
    for (int i = 0; i < 4; i++) {
        int lower = name[i] | 0x20;
        if (lower < 'a' || lower > 'z')
            return false;
    }
    return true;
}

/* The chunk at *pos, which moves behind it. Its length and name are judged before its data are there. */
static enum im_reason next_chunk(const struct png *png, size_t *pos, struct chunk *chunk)
{
    const struct im_walk *walk = png->walk;
    if (!im_has(walk, *pos, 8))
        return IM_truncated;
    const uint8_t *p = walk->data + *pos;
    *chunk = (struct chunk){.name = p + 4, .data = p + 8, .len = im_be32(p)};
    if (chunk->len > CHUNK_MAX || !is_name(chunk->name))
        return IM_decode_fail;
    if (!im_has(walk, *pos + 8, (size_t)chunk->len + 4))
        return IM_truncated;
    *pos += 8 + (size_t)chunk->len + 4;
    return IM_NONE;
}

enum im_reason im_walk_png(struct im_walk *walk)
{
    struct png png = {.walk = walk};
    struct chunk chunk;
    size_t pos = 8; /* behind the signature */
    if (im_has(walk, pos, 8) && memcmp(walk->data + pos, "\0\0\0\x0DIHDR", 8) != 0)
        return IM_decode_fail;
    enum im_reason reason = next_chunk(&png, &pos, &chunk);
    if (reason == IM_NONE)
        reason = crc_is_right(&chunk) ? read_header(&png, &chunk) : IM_decode_fail;
    while (reason == IM_NONE && !png.ended) {
        reason = next_chunk(&png, &pos, &chunk);
        if (reason != IM_NONE)
            break;
        if (chunk.name[0] & ANCILLARY)
            read_ancillary(&png, &chunk);
        else
            reason = read_critical(&png, &chunk);
    }
    walk->facts.end = pos;
    return reason;
}
