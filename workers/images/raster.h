/* raster.h - the first frame of a file, decoded by the library of its type, as rows for thumbnails.
 *
 * Strict: the whole first frame must be there and right, and as large as the header probe said. Works on a file in
 * memory, opens nothing and prints nothing. Runs in the decoder process only (decoder_process.h), which may be killed
 * while a library works; what a library allocates is bounded by the address space of that process. One thread. */
#ifndef IMAGES_RASTER_H
#define IMAGES_RASTER_H

#include "probe.h"
#include "thumbnails.h"

struct im_source {
    const uint8_t *data; /* the file, borrowed */
    size_t len;          /* up to the end of the image: appended bytes are no part of it */
    enum im_type type;
    int32_t raw_width, raw_height; /* what the canvas must be */
    int32_t max_scans;             /* JPEG */
    int64_t max_pixels;            /* GIF: of the first frame, which may be larger than its screen */
    bool no_end;                   /* JPEG that lacks only its EOI */
};

/* IM_NONE: every row went to `set`. truncated: the file ends in the first frame; decode_fail: it is damaged, or not the
 * size that it must be; scans_too_many; dims_too_big: a GIF frame; decode_killed: no memory. */
NM_MUST_USE enum im_reason im_raster_read(const struct im_source *source, struct im_thumbs *set);

/* One type each. */
NM_MUST_USE enum im_reason im_raster_jpeg(const struct im_source *source, struct im_thumbs *set);
NM_MUST_USE enum im_reason im_raster_png(const struct im_source *source, struct im_thumbs *set);
NM_MUST_USE enum im_reason im_raster_gif(const struct im_source *source, struct im_thumbs *set);
NM_MUST_USE enum im_reason im_raster_webp(const struct im_source *source, struct im_thumbs *set);

#endif
