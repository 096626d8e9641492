/* probe_internal.h - what the files of the probe share.
 *
 *   probe.c       signature, limits, head and file     probe_exif.c       orientation
 *   probe_jpeg.c  the segments of a JPEG               probe_jpeg_scan.c  whether its last scan is whole
 *   probe_png.c   probe_gif.c   probe_webp.c           probe_avif.c       dimensions only
 *
 * A walker reads its format from the front, in the order of the file, and stops at the first thing that is wrong. It
 * decides by nothing but the bytes that it has read, so more bytes behind them never change its mind: that is why
 * im_probe_head() and im_probe_file() agree. Where the bytes end before the image does it says IM_truncated. */
#ifndef IMAGES_PROBE_INTERNAL_H
#define IMAGES_PROBE_INTERNAL_H

#include "numbers.h"
#include "probe.h"

#include "newsmill/status.h"

struct im_walk {
    const uint8_t *data;
    size_t len;
    const struct im_limits *limits;
    bool whole; /* no byte comes after data + len */
    struct im_facts facts;
};

/* One walker a format; `data` begins with its signature. IM_NONE: complete, facts and their `end` are written. */
NM_MUST_USE enum im_reason im_walk_jpeg(struct im_walk *walk);
NM_MUST_USE enum im_reason im_walk_png(struct im_walk *walk);
NM_MUST_USE enum im_reason im_walk_gif(struct im_walk *walk);
NM_MUST_USE enum im_reason im_walk_webp(struct im_walk *walk);
/* IM_truncated while more bytes may come and tell the dimensions, else IM_type_not_allowed; never IM_NONE. */
NM_MUST_USE enum im_reason im_walk_avif(struct im_walk *walk);

/* Notes the canvas as stored and checks it against the limits; facts.type is set before. */
NM_MUST_USE enum im_reason im_walk_canvas(struct im_walk *walk, int64_t width, int64_t height);
/* Counts a frame of an animation. */
NM_MUST_USE enum im_reason im_walk_frame(struct im_walk *walk);
/* orientation: 1 to 8. Swaps the laid out width and height where it asks for that. */
void im_walk_orient(struct im_walk *walk, int orientation);

/* The orientation of a TIFF structure, 1 to 8; 0 where it says nothing readable. Only IFD 0 is looked at. */
int im_exif_orientation(const uint8_t *tiff, size_t len);

/* ---- a JPEG's scans ---- */

#define IM_JPEG_COMPONENTS 4
#define IM_JPEG_TABLES     4
/* Scans of which the coding is kept. The usual progressive script has 10, in CMYK 18; one of more than this has to end
 * in EOI. It also bounds what a file without EOI may cost. */
#define IM_JPEG_KEPT_SCANS 24

/* A Huffman table as its DHT segment has it: how many codes of each length 1 to 16, then their symbols. */
struct im_jpeg_table {
    const uint8_t *counts, *symbols; /* NULL: not defined */
};

struct im_jpeg_scan {
    const uint8_t *data; /* behind the header */
    struct im_jpeg_table dc[IM_JPEG_COMPONENTS], ac[IM_JPEG_COMPONENTS];
    int component[IM_JPEG_COMPONENTS], n_components;
    uint8_t ss, se, ah, al; /* the band and its bits; sequential: 0, 63, 0, 0 */
    uint32_t restart;       /* MCUs between restart markers; 0: none */
};

struct im_jpeg {
    bool progressive;
    int32_t width, height;
    int n_components, h_max, v_max;
    struct {
        uint8_t id;
        int h, v;
    } component[IM_JPEG_COMPONENTS];
    struct im_jpeg_table tables[2][IM_JPEG_TABLES]; /* DC, AC */
    uint32_t restart;
    struct im_jpeg_scan scans[IM_JPEG_KEPT_SCANS];
    int n_scans;                                 /* all of them; those beyond the array are not kept      */
    signed char missing[IM_JPEG_COMPONENTS][64]; /* low bits still to come of each coefficient; -1: all   */
};

/* Whether every coefficient of the image is there to its last bit: each has had its scans, and the data of the last
 * scan reach to its last block. `end`: end of the file. *behind = first byte that the scan does not use. */
bool im_jpeg_complete(const struct im_jpeg *jpeg, const uint8_t *end, const uint8_t **behind);

/* Whether `n` bytes stand at `pos`. */
static inline bool im_has(const struct im_walk *walk, size_t pos, size_t n)
{
    return pos <= walk->len && walk->len - pos >= n;
}

#endif
