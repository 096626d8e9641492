/* probe_avif.c - the dimensions of an AVIF image (ISO/IEC 23008-12 and 14496-12), for operators; it is refused anyway.
 *
 * The way there: the box `meta` holds `pitm`, the number of the main item, and `iprp`; in that, `ipma` says which of
 * the properties in `ipco` are the item's. Of those `ispe` has the size and `irot` the quarter turns. What is not
 * found, or not within the first metadata_bytes, leaves the dimensions 0. */
#include "probe_internal.h"

#include <string.h>

#define PROPERTIES 256 /* looked at; an encoder writes about ten */

struct range {
    const uint8_t *at, *end;
};

struct box {
    const uint8_t *name;
    struct range data;
    uint64_t len; /* with its header; 0: up to the end of the file */
    size_t header;
};

static size_t left(const struct range *r)
{
    return (size_t)(r->end - r->at);
}

/* The header of the box at r->at. */
static bool read_header(const struct range *r, struct box *box)
{
    if (left(r) < 8)
        return false;
    *box = (struct box){.name = r->at + 4, .len = im_be32(r->at), .header = 8};
    if (box->len == 1) {
        if (left(r) < 16)
            return false;
        box->len = (uint64_t)im_be32(r->at + 8) << 32 | im_be32(r->at + 12);
        box->header = 16;
    }
    return box->len == 0 || box->len >= box->header;
}

/* The next box, all of which lies in *r; *r moves behind it. */
static bool next_box(struct range *r, struct box *box)
{
    if (!read_header(r, box))
        return false;
    if (box->len == 0)
        box->len = left(r);
    if (box->len > left(r))
        return false;
    box->data = (struct range){r->at + box->header, r->at + box->len};
    r->at += box->len;
    return true;
}

/* The first box of that name; an empty range where there is none. */
static struct range find(struct range in, const char *name)
{
    struct box box;
    while (next_box(&in, &box))
        if (memcmp(box.name, name, 4) == 0)
            return box.data;
    return (struct range){in.end, in.end};
}

static bool take(struct range *r, size_t bytes, uint32_t *value)
{
    if (left(r) < bytes)
        return false;
    *value = 0;
    for (; bytes > 0; bytes--)
        *value = *value << 8 | *r->at++;
    return true;
}

static bool main_item(struct range meta, uint32_t *item)
{
    struct range pitm = find(meta, "pitm");
    uint32_t version;
    return take(&pitm, 4, &version) && take(&pitm, version >> 24 ? 4 : 2, item);
}

/* Marks the properties, counted from 1, that `ipma` gives to the item. */
static void mark_properties(struct range ipma, uint32_t item, bool mark[PROPERTIES])
{
    uint32_t version, entries, id, n, property;
    if (!take(&ipma, 4, &version) || !take(&ipma, 4, &entries))
        return;
    size_t width = version & 1 ? 2 : 1;
    for (; entries > 0; entries--) {
        if (!take(&ipma, version >> 24 ? 4 : 2, &id) || !take(&ipma, 1, &n))
            return;
        for (; n > 0; n--) {
            if (!take(&ipma, width, &property))
                return;
            property &= width == 2 ? 0x7FFF : 0x7F; /* without the flag "essential" */
            if (id == item && property < PROPERTIES)
                mark[property] = true;
        }
    }
}

static void read_meta(struct im_walk *walk, struct range meta)
{
    uint32_t item, version, width = 0, height = 0, turns = 0;
    bool mark[PROPERTIES] = {false};
    struct box box;
    if (!take(&meta, 4, &version) || !main_item(meta, &item))
        return;
    struct range iprp = find(meta, "iprp"), ipco = find(iprp, "ipco");
    mark_properties(find(iprp, "ipma"), item, mark);
    for (int i = 1; i < PROPERTIES && next_box(&ipco, &box); i++) {
        if (mark[i] && memcmp(box.name, "ispe", 4) == 0 &&
            (!take(&box.data, 4, &version) || !take(&box.data, 4, &width) || !take(&box.data, 4, &height)))
            return;
        if (mark[i] && memcmp(box.name, "irot", 4) == 0 && !take(&box.data, 1, &turns))
            return;
    }
    if (width == 0 || height == 0 || width > INT32_MAX || height > INT32_MAX)
        return;
    static const int orientations[] = {1, 8, 3, 6}; /* quarter turns against the clock, as EXIF has them */
    walk->facts.raw_width = (int32_t)width;
    walk->facts.raw_height = (int32_t)height;
    im_walk_orient(walk, orientations[turns & 3]);
}

enum im_reason im_walk_avif(struct im_walk *walk)
{
    int64_t limit = walk->limits->metadata_bytes;
    bool all = walk->whole || (int64_t)walk->len >= limit; /* no more bytes will be looked at */
    size_t len = (int64_t)walk->len < limit ? walk->len : (size_t)(limit < 0 ? 0 : limit);
    struct range file = {walk->data, walk->data + len};
    struct box box;
    walk->facts.frames = 1;
    while (read_header(&file, &box)) {
        bool is_meta = memcmp(box.name, "meta", 4) == 0, fits = box.len > 0 && box.len <= left(&file);
        if (is_meta && fits)
            read_meta(walk, (struct range){file.at + box.header, file.at + box.len});
        if (is_meta ? fits : box.len == 0)
            return IM_type_not_allowed;
        if (!fits)
            return all ? IM_type_not_allowed : IM_truncated;
        file.at += box.len;
    }
    return all || left(&file) >= 16 ? IM_type_not_allowed : IM_truncated;
}
