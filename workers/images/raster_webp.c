/* raster_webp.c - the first frame of a WebP by libwebp, on its canvas.
 *
 * libwebp decodes into one buffer of the frame's size, shrunk by itself where that leaves enough pixels for every
 * thumbnail: its rescaler averages areas too. Of an animation the frame may be smaller than the canvas; the rest is
 * transparent, as browsers show it. */
#include "raster.h"

#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

static enum im_reason failed(VP8StatusCode status)
{
    switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
        return IM_decode_killed;
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return IM_truncated;
    default:
        return IM_decode_fail;
    }
}

/* The largest power of two by which the canvas may shrink; 1 where only a part of it is drawn. */
static int32_t choose_scale(const struct im_source *source, const struct im_thumbs *set, const WebPIterator *frame)
{
    if (frame->width != source->raw_width || frame->height != source->raw_height)
        return 1;
    int32_t scale = 8;
    while (scale > 1 &&
           !im_thumbs_fit(set, (source->raw_width + scale - 1) / scale, (source->raw_height + scale - 1) / scale))
        scale /= 2;
    return scale;
}

static void show(const WebPDecBuffer *decoded, const WebPIterator *frame, bool whole, struct im_thumbs *set,
                 uint8_t *row)
{
    size_t channels = (size_t)set->channels, line = (size_t)decoded->width * channels;
    const uint8_t *pixels = decoded->u.RGBA.rgba;
    size_t stride = (size_t)decoded->u.RGBA.stride;
    int32_t top = whole ? 0 : frame->y_offset;
    for (int32_t y = 0; y < set->height; y++) {
        if (whole) {
            im_thumbs_row(set, pixels + (size_t)y * stride);
            continue;
        }
        memset(row, 0, (size_t)set->width * channels);
        if (y >= top && y < top + decoded->height)
            memcpy(row + (size_t)frame->x_offset * channels, pixels + (size_t)(y - top) * stride, line);
        im_thumbs_row(set, row);
    }
}

static enum im_reason decode(const struct im_source *source, const WebPIterator *frame, WebPDecoderConfig *config,
                             struct im_thumbs *set)
{
    const uint8_t *data = frame->fragment.bytes;
    size_t len = frame->fragment.size;
    VP8StatusCode status = WebPGetFeatures(data, len, &config->input);
    if (status != VP8_STATUS_OK)
        return failed(status);
    if (config->input.width != frame->width || config->input.height != frame->height)
        return IM_decode_fail;
    int32_t scale = choose_scale(source, set, frame);
    bool whole = frame->width == source->raw_width && frame->height == source->raw_height;
    bool alpha = config->input.has_alpha || !whole;
    int32_t width = (source->raw_width + scale - 1) / scale, height = (source->raw_height + scale - 1) / scale;
    if (scale > 1) {
        config->options.use_scaling = 1;
        config->options.scaled_width = width;
        config->options.scaled_height = height;
    }
    config->output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
    status = WebPDecode(data, len, config);
    if (status != VP8_STATUS_OK)
        return failed(status);
    enum im_reason reason = im_thumbs_begin(set, width, height, alpha ? 4 : 3);
    uint8_t *row = malloc((size_t)width * 4);
    if (reason == IM_NONE && !row)
        reason = IM_decode_killed;
    if (reason == IM_NONE)
        show(&config->output, frame, whole, set, row);
    free(row);
    return reason;
}

static bool on_canvas(const struct im_source *source, const WebPIterator *frame)
{
    return frame->width >= 1 && frame->height >= 1 && frame->x_offset >= 0 && frame->y_offset >= 0 &&
           frame->width <= source->raw_width - frame->x_offset && frame->height <= source->raw_height - frame->y_offset;
}

static void keep_profile(const WebPDemuxer *demux, struct im_thumbs *set)
{
    WebPChunkIterator chunk = {0};
    if (WebPDemuxGetChunk(demux, "ICCP", 1, &chunk))
        im_thumbs_profile(set, chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
}

/* Why nothing could be found in the file: it is shorter than its head says, or wrong. */
static enum im_reason no_container(const struct im_source *source, WebPDemuxState state)
{
    if (state == WEBP_DEMUX_PARSING_HEADER || state == WEBP_DEMUX_PARSED_HEADER)
        return IM_truncated;
    if (source->len < 12)
        return IM_truncated;
    const uint8_t *size = source->data + 4;
    uint64_t want =
        8 + ((uint64_t)size[0] | (uint64_t)size[1] << 8 | (uint64_t)size[2] << 16 | (uint64_t)size[3] << 24);
    return want > source->len ? IM_truncated : IM_decode_fail;
}

enum im_reason im_raster_webp(const struct im_source *source, struct im_thumbs *set)
{
    WebPData data = {source->data, source->len};
    WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
    WebPDemuxer *demux = WebPDemuxPartial(&data, &state);
    if (!demux || state != WEBP_DEMUX_DONE) {
        WebPDemuxDelete(demux);
        return no_container(source, state);
    }
    WebPIterator frame = {0};
    WebPDecoderConfig config;
    enum im_reason reason = IM_decode_fail;
    if (WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH) == (uint32_t)source->raw_width &&
        WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT) == (uint32_t)source->raw_height &&
        WebPDemuxGetFrame(demux, 1, &frame) && on_canvas(source, &frame) && WebPInitDecoderConfig(&config)) {
        reason = decode(source, &frame, &config, set);
        if (reason == IM_NONE)
            keep_profile(demux, set);
        WebPFreeDecBuffer(&config.output);
    }
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(demux);
    return reason;
}
