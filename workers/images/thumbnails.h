/* thumbnails.h - small copies of a picture: rows of the decoded picture go in, upright encoded files come out.
 *
 * Area average: each pixel of a thumbnail is the mean of exactly the part of the picture that it covers, in integers,
 * so the same rows always give the same bytes. Only the thumbnail and one row of sums are held, never the picture.
 * Colours are averaged as stored (no linear light, as browsers do) and weighted with their alpha. Never enlarged.
 * A set belongs to one thread. */
#ifndef IMAGES_THUMBNAILS_H
#define IMAGES_THUMBNAILS_H

#include "newsmill/status.h"
#include "reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IM_THUMBS         8       /* sizes an image may have at most                               */
#define IM_THUMB_EDGE_MIN 10      /* pixels: what the locations of the web server accept (two digits) */
#define IM_THUMB_EDGE_MAX 4096    /* pixels: a picture of this edge is 64 MiB while it is built     */
#define IM_EDGE_MAX       32767   /* pixels of a source: sums of a row stay within 32 bits          */
#define IM_ICC_BYTES      1048576 /* a larger colour profile is left out                            */

enum im_thumb_format { IM_THUMB_JPEG = 0, IM_THUMB_WEBP };

struct im_thumb {
    int32_t edge;    /* pixels of the longer edge, IM_THUMB_EDGE_MIN..MAX */
    int32_t format;  /* enum im_thumb_format                              */
    int32_t quality; /* 1..100                                            */
};

struct im_scaled { /* one thumbnail while it grows, not yet upright */
    int32_t width, height;
    uint8_t *pixels; /* width x height x channels; NULL: none is made */
    uint64_t *sums;  /* of the row that grows: width x channels       */
    int32_t row;     /* the next row to be finished                   */
    int64_t filled;  /* of its weight, 0..source height - 1           */
};

struct im_thumbs {
    struct im_thumb want[IM_THUMBS];
    struct im_scaled made[IM_THUMBS];
    int n;
    int32_t raw_width, raw_height; /* of the canvas as stored */
    int orientation;               /* EXIF, 1..8              */
    int32_t width, height;         /* of the rows that come: the canvas, or smaller where the decoder scales */
    int channels;                  /* 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; 8 bits each          */
    int32_t rows;                  /* that came                                                              */
    uint8_t *icc;                  /* colour profile of the picture, owned; NULL: none                       */
    size_t icc_len;
    uint32_t *line; /* one source row in the width of a thumbnail */
};

/* The size that a thumbnail gets, upright: false where it would not be smaller than the picture, so none is made.
 * width, height: of the picture as displayed, 1..IM_EDGE_MAX. */
bool im_thumb_size(int32_t width, int32_t height, int32_t edge, int32_t *out_width, int32_t *out_height);

/* want: n of them, all in range. The set holds nothing yet; clear it in any case. */
void im_thumbs_init(struct im_thumbs *set, const struct im_thumb *want, int n, int32_t raw_width, int32_t raw_height,
                    int orientation);
void im_thumbs_clear(struct im_thumbs *set);

/* Whether no thumbnail is larger than width x height: to this size a decoder may scale the picture by itself. */
bool im_thumbs_fit(const struct im_thumbs *set, int32_t width, int32_t height);

/* Keeps a copy of a colour profile that fits the channels; another one, or one too large, is left out. `data` may be
 * NULL. Call after _begin. */
void im_thumbs_profile(struct im_thumbs *set, const uint8_t *data, size_t len);

/* Now rows of width x channels samples come, `height` of them from the top. decode_killed: no memory; decode_fail: a
 * size that is no size of this picture. */
NM_MUST_USE enum im_reason im_thumbs_begin(struct im_thumbs *set, int32_t width, int32_t height, int channels);
void im_thumbs_row(struct im_thumbs *set, const uint8_t *row);

/* Writes thumbnail `i` to the empty file `fd`, after the last row. IM_NONE: *bytes, and its upright *width and *height;
 * all 0 where none is made. store_full, store_io: the file cannot be written. decode_killed: no memory.
 * JPEG: alpha on white. No metadata but the colour profile. */
NM_MUST_USE enum im_reason im_thumbs_write(const struct im_thumbs *set, int i, int fd, int32_t *width, int32_t *height,
                                           int64_t *bytes);

/* ---- for thumbnails_encode.c ---- */

/* One upright row of thumbnail i, y from 0: width x channels samples. */
void im_thumbs_upright(const struct im_thumbs *set, int i, int32_t y, uint8_t *out);

struct im_drawing { /* what an encoder needs of one thumbnail */
    const struct im_thumbs *set;
    int index;
    int32_t width, height; /* upright */
    int quality;
    int fd;
    int64_t bytes; /* written so far */
};
NM_MUST_USE enum im_reason im_encode_jpeg(struct im_drawing *drawing);
NM_MUST_USE enum im_reason im_encode_webp(struct im_drawing *drawing);

#endif
