/* probe_exif.c - the orientation out of EXIF data.
 *
 * One directory is read, IFD 0, and no offset in it is followed: there is nothing to loop through. Whatever is not as
 * it should be means "says nothing": a picture with broken metadata is a picture. */
#include "probe_internal.h"

#include <string.h>

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT      3
#define ENTRY_BYTES     12

static uint32_t get16(const uint8_t *p, bool big)
{
    return big ? im_be16(p) : im_le16(p);
}

static uint32_t get32(const uint8_t *p, bool big)
{
    return big ? im_be32(p) : im_le32(p);
}

int im_exif_orientation(const uint8_t *tiff, size_t len)
{
    if (len < 8)
        return 0;
    bool big = tiff[0] == 'M';
    if (memcmp(tiff, big ? "MM\0*" : "II*\0", 4) != 0)
        return 0;
    size_t at = get32(tiff + 4, big);
    if (at > len || len - at < 2)
        return 0;
    size_t n = get16(tiff + at, big), room = (len - at - 2) / ENTRY_BYTES;
    const uint8_t *entry = tiff + at + 2;
    for (size_t i = 0; i < n && i < room; i++, entry += ENTRY_BYTES) {
        if (get16(entry, big) != TAG_ORIENTATION)
            continue;
        uint32_t value = get16(entry + 8, big);
        bool readable = get16(entry + 2, big) == TYPE_SHORT && get32(entry + 4, big) == 1 && value >= 1 && value <= 8;
        return readable ? (int)value : 0;
    }
    return 0;
}
