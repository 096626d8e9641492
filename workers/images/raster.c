/* raster.c - which library reads a type. The type comes from the probe: no library guesses. */
#include "raster.h"

enum im_reason im_raster_read(const struct im_source *source, struct im_thumbs *set)
{
    enum im_reason reason = IM_decode_fail;
    switch (source->type) {
    case IM_JPEG:
        reason = im_raster_jpeg(source, set);
        break;
    case IM_PNG:
        reason = im_raster_png(source, set);
        break;
    case IM_GIF:
        reason = im_raster_gif(source, set);
        break;
    case IM_WEBP:
        reason = im_raster_webp(source, set);
        break;
    case IM_UNKNOWN:
    case IM_AVIF:
        break;
    }
    if (reason == IM_NONE && set->rows != set->height)
        return IM_decode_fail;
    return reason;
}
