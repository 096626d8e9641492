/* strip_exif.c - three fields of an EXIF block, read from hostile bytes and written into a new one.
 *
 * Only the first directory is read and nothing is followed from it, neither the next directory nor those of EXIF and
 * GPS: so there is no loop to run into, and no way for another field to come along. Tags and types: TIFF 6.0, section 2
 * and 8; EXIF 3.0 adds the type UTF-8. The new block is big-endian, its entries sorted by tag as TIFF demands. */
#include "strip_internal.h"

#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TAG_ARTIST = 0x013B, TAG_COPYRIGHT = 0x8298 };
enum { TYPE_ASCII = 2, TYPE_SHORT = 3, TYPE_UTF8 = 129 };
enum { HEADER_BYTES = 8, ENTRY_BYTES = 12 };

struct tiff {
    struct im_span block;
    bool little;
};

static uint32_t get16(const struct tiff *tiff, const uint8_t *p)
{
    return tiff->little ? im_le16(p) : im_be16(p);
}

static uint32_t get32(const struct tiff *tiff, const uint8_t *p)
{
    return tiff->little ? im_le32(p) : im_be32(p);
}

/* The text of an entry: inside it up to four bytes, else elsewhere in the block. */
static void take_text(const struct tiff *tiff, const uint8_t *entry, struct im_text *text)
{
    uint32_t type = get16(tiff, entry + 2), n = get32(tiff, entry + 4), at = get32(tiff, entry + 8);
    if (type != TYPE_ASCII && type != TYPE_UTF8)
        return;
    if (n <= 4)
        im_text_take(text, (struct im_span){entry + 8, n});
    else if (at <= tiff->block.len && n <= tiff->block.len - at)
        im_text_take(text, (struct im_span){tiff->block.data + at, n});
}

static void take_entry(const struct tiff *tiff, const uint8_t *entry, struct im_exif *exif)
{
    switch (get16(tiff, entry)) {
    case TAG_ORIENTATION: {
        uint32_t value = get16(tiff, entry + 8);
        if (!exif->orientation && get16(tiff, entry + 2) == TYPE_SHORT && get32(tiff, entry + 4) == 1 && value >= 1 &&
            value <= 8)
            exif->orientation = (int)value;
        break;
    }
    case TAG_ARTIST:
        take_text(tiff, entry, &exif->artist);
        break;
    case TAG_COPYRIGHT:
        take_text(tiff, entry, &exif->copyright);
        break;
    default:
        break;
    }
}

bool im_exif_read(struct im_span block, struct im_exif *exif)
{
    struct tiff tiff = {block, im_starts(block, "II", 2)};
    if (block.len < HEADER_BYTES || !(tiff.little || im_starts(block, "MM", 2)) || get16(&tiff, block.data + 2) != 42)
        return false;
    size_t at = get32(&tiff, block.data + 4);
    if (at < HEADER_BYTES || at > block.len || block.len - at < 2)
        return false;
    size_t n = get16(&tiff, block.data + at), room = (block.len - at - 2) / ENTRY_BYTES;
    *exif = (struct im_exif){0};
    for (size_t i = 0; i < n && i < room; i++)
        take_entry(&tiff, block.data + at + 2 + i * ENTRY_BYTES, exif);
    return true;
}

/* ---- the new block ---- */

static size_t stored_bytes(const struct im_text *text)
{
    return text->len + 1; /* TIFF counts the NUL */
}

/* One entry of a text; *at is where its bytes will stand if they are more than four. */
static void add_text_entry(struct nm_buf *out, uint32_t tag, const struct im_text *text, size_t *at)
{
    size_t n = stored_bytes(text);
    char inside[4] = {0};
    if (!text->len)
        return;
    im_add_be16(out, tag);
    im_add_be16(out, TYPE_ASCII);
    im_add_be32(out, (uint32_t)n);
    if (n <= sizeof inside) {
        memcpy(inside, text->data, text->len);
        nm_buf_add(out, inside, sizeof inside);
    } else {
        im_add_be32(out, (uint32_t)*at);
        *at += n + (n & 1); /* values begin at even places */
    }
}

static void add_text(struct nm_buf *out, const struct im_text *text)
{
    size_t n = stored_bytes(text);
    if (n <= 4)
        return;
    nm_buf_add(out, text->data, text->len);
    nm_buf_add(out, "\0", n & 1 ? 2 : 1);
}

void im_exif_write(struct im_strip *job, const struct im_exif *exif)
{
    static const struct im_text none = {0};
    struct nm_buf *out = &job->scratch;
    const struct im_text *artist = job->keep_copyright ? &exif->artist : &none;
    const struct im_text *copyright = job->keep_copyright ? &exif->copyright : &none;
    int orientation = job->orientation ? job->orientation : exif->orientation;
    size_t n = (size_t)(orientation > 1) + (artist->len > 0) + (copyright->len > 0);

    nm_buf_reset(out);
    if (n == 0)
        return;
    nm_buf_add(out, "MM\0*\0\0\0\x08", HEADER_BYTES);
    im_add_be16(out, (uint32_t)n);
    if (orientation > 1) {
        im_add_be16(out, TAG_ORIENTATION);
        im_add_be16(out, TYPE_SHORT);
        im_add_be32(out, 1);
        im_add_be16(out, (uint32_t)orientation);
        im_add_be16(out, 0);
    }
    size_t at = HEADER_BYTES + 2 + n * ENTRY_BYTES + 4;
    add_text_entry(out, TAG_ARTIST, artist, &at);
    add_text_entry(out, TAG_COPYRIGHT, copyright, &at);
    im_add_be32(out, 0); /* no next directory: that is where a thumbnail would be */
    add_text(out, artist);
    add_text(out, copyright);
}
