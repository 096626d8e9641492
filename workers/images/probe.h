/* probe.h - what the bytes of an image say of themselves, read by our own bounded code before any library sees them.
 *
 * Pure functions: no allocation, no I/O, every read inside [data, data + len); time is linear in len, and for a JPEG
 * without EOI also in its blocks, which max_pixels bounds. Thread-safe.
 *
 * Bytes decide in the order of the file: the first thing that is wrong is the reason, whatever comes behind it. So what
 * im_probe_head() says of a beginning im_probe_file() says of the file (or too_small, where it has under min_bytes),
 * and a refused file is read no further. */
#ifndef IMAGES_PROBE_H
#define IMAGES_PROBE_H

#include "reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum im_type { IM_UNKNOWN = 0, IM_JPEG, IM_PNG, IM_GIF, IM_WEBP, IM_AVIF };

#define IM_SIGNATURE_BYTES 16 /* enough to tell the type, or that it is none of ours */

/* Options check.*; the defaults and maxima stand in images_options.c. */
struct im_limits {
    int64_t max_pixels, max_gif_pixels; /* width x height of the canvas        */
    int64_t max_total_pixels;           /* frames x canvas                     */
    int64_t min_bytes;                  /* of the file                         */
    int64_t metadata_bytes;             /* looked at for EXIF, XMP and the like */
    int32_t max_edge, min_edge;         /* pixels                              */
    int32_t max_frames;
    int32_t max_scans; /* SOS markers of a JPEG               */
};

struct im_facts {
    enum im_type type;
    int32_t width, height;         /* as a browser lays it out: after orientation                        */
    int32_t raw_width, raw_height; /* of the canvas as stored; GIF: the logical screen                   */
    int orientation;               /* EXIF, 1 to 8; 1 where it says nothing readable before the pixels:
                                    * browsers heed no other (so WebP, where EXIF comes last, has 1)     */
    int32_t frames;                /* 1 for a still image and for an animated PNG                        */
    int32_t scans;                 /* JPEG: SOS markers; else 0                                          */
    int bit_depth;                 /* of a sample                                                        */
    int channels;                  /* as stored: 1 grey or palette, 2 grey and alpha, 3, 4               */
    bool alpha, interlaced;        /* interlaced: progressive JPEG, Adam7 PNG, interlaced first GIF frame */
    bool no_end;                   /* JPEG that lacks only its EOI: accepted, stored with one            */
    size_t end;                    /* first byte behind the image; what follows is no part of it. AVIF: 0 */
};

/* The type by the first bytes; IM_UNKNOWN also while len is too short to tell, at most IM_SIGNATURE_BYTES. */
enum im_type im_probe_signature(const uint8_t *data, size_t len);
const char *im_type_name(enum im_type type); /* "image/jpeg"; "" for IM_UNKNOWN */
/* The type of that name, of those that are stored: JPEG, PNG, GIF, WebP; else IM_UNKNOWN. */
enum im_type im_type_stored(const char *name);
const char *im_type_ext(enum im_type type); /* "jpg", without the dot           */

/* What a beginning of the file says: IM_NONE with `facts` of what is known so far (width 0: not yet), or the reason why
 * the transfer need not go on. Never `truncated`. An AVIF is IM_NONE until its dimensions are known or will not be,
 * then type_not_allowed with facts (type and dimensions; width 0: it does not tell). */
enum im_reason im_probe_head(const uint8_t *data, size_t len, const struct im_limits *limits, struct im_facts *facts);

/* The whole file. IM_NONE: complete and within every limit; facts are written then, and for type_not_allowed of an AVIF
 * (type and dimensions). Else too_small (bytes), type_not_allowed, or the first in the file of: decode_fail for a
 * structure that no decoder or no browser can read, dims_invalid, too_small (edge), dims_too_big, frames_too_many (also
 * for max_total_pixels), scans_too_many; where one place shows several, in this order. truncated: none of these, but
 * the bytes end before the image does. */
enum im_reason im_probe_file(const uint8_t *data, size_t len, const struct im_limits *limits, struct im_facts *facts);

#endif
