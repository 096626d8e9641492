/* raster_gif.c - the first frame of a GIF by libgif, line by line, on its logical screen.
 *
 * What the frame leaves free of the screen is transparent, as browsers show it. Never DGifSlurp(), which holds all
 * frames. libgif decodes a frame outside the screen without complaint; here it is an error. Only the part on the screen
 * is held, one byte a pixel. */
#include "raster.h"

#include <string.h>

#include <gif_lib.h>

struct gif_reader {
    const struct im_source *source;
    size_t at;
    bool ended;
    int clear;                     /* index that is transparent; -1: none                   */
    int32_t left, top, wide, high; /* of the frame, before it is cut to the screen          */
    int32_t x0, x1, y0, y1;        /* what of it lies on the screen, in the screen's pixels */
    bool interlaced;
    uint8_t colour[256][4];
    uint8_t *kept; /* (x1 - x0) x (y1 - y0) indices */
    uint8_t *line; /* of the frame                  */
};

static int read_bytes(GifFileType *gif, GifByteType *out, int len)
{
    struct gif_reader *reader = gif->UserData;
    size_t left = reader->source->len - reader->at, n = len > 0 ? (size_t)len : 0;
    if (n > left) {
        reader->ended = true;
        n = left;
    }
    memcpy(out, reader->source->data + reader->at, n);
    reader->at += n;
    return (int)n;
}

static enum im_reason failed(const struct gif_reader *reader, int error)
{
    if (error == D_GIF_ERR_NOT_ENOUGH_MEM)
        return IM_decode_killed;
    return reader->ended ? IM_truncated : IM_decode_fail;
}

static bool read_extension(struct gif_reader *reader, GifFileType *gif)
{
    int label;
    GifByteType *block;
    if (DGifGetExtension(gif, &label, &block) == GIF_ERROR)
        return false;
    GraphicsControlBlock control;
    if (label == GRAPHICS_EXT_FUNC_CODE && block && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        reader->clear = control.TransparentColor;
    while (block)
        if (DGifGetExtensionNext(gif, &block) == GIF_ERROR)
            return false;
    return true;
}

/* On to the first frame; false: an error, or there is none. */
static bool find_frame(struct gif_reader *reader, GifFileType *gif)
{
    for (;;) {
        GifRecordType type;
        if (DGifGetRecordType(gif, &type) == GIF_ERROR)
            return false;
        if (type == IMAGE_DESC_RECORD_TYPE)
            return DGifGetImageDesc(gif) == GIF_OK;
        if (type != EXTENSION_RECORD_TYPE || !read_extension(reader, gif))
            return false;
    }
}

static int32_t at_most(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static enum im_reason place(struct gif_reader *reader, const GifFileType *gif)
{
    const GifImageDesc *frame = &gif->Image;
    const ColorMapObject *map = frame->ColorMap ? frame->ColorMap : gif->SColorMap;
    reader->left = frame->Left;
    reader->top = frame->Top;
    reader->wide = frame->Width;
    reader->high = frame->Height;
    reader->interlaced = frame->Interlace;
    if (!map || reader->left < 0 || reader->top < 0 || reader->wide < 1 || reader->high < 1)
        return IM_decode_fail;
    if ((int64_t)reader->wide * reader->high > reader->source->max_pixels)
        return IM_dims_too_big;
    reader->x0 = at_most(reader->left, reader->source->raw_width);
    reader->x1 = at_most(reader->left + reader->wide, reader->source->raw_width);
    reader->y0 = at_most(reader->top, reader->source->raw_height);
    reader->y1 = at_most(reader->top + reader->high, reader->source->raw_height);
    if (reader->x0 == reader->x1 || reader->y0 == reader->y1)
        return IM_decode_fail;
    for (int i = 0; i < 256; i++) {
        const GifColorType *from = i < map->ColorCount ? &map->Colors[i] : NULL;
        uint8_t alpha = i == reader->clear ? 0 : 255;
        uint8_t *to = reader->colour[i];
        to[0] = from ? from->Red : 0;
        to[1] = from ? from->Green : 0;
        to[2] = from ? from->Blue : 0;
        to[3] = alpha;
    }
    return IM_NONE;
}

static bool read_line(struct gif_reader *reader, GifFileType *gif, int32_t y)
{
    if (DGifGetLine(gif, reader->line, reader->wide) == GIF_ERROR)
        return false;
    int32_t on_screen = reader->top + y;
    if (on_screen < reader->y0 || on_screen >= reader->y1)
        return true;
    size_t n = (size_t)(reader->x1 - reader->x0);
    memcpy(reader->kept + (size_t)(on_screen - reader->y0) * n, reader->line, n);
    return true;
}

static bool read_lines(struct gif_reader *reader, GifFileType *gif)
{
    /* GIF89a, appendix E: every 8th line from 0, every 8th from 4, every 4th from 2, every 2nd from 1. */
    static const struct {
        int32_t from, step;
    } passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
    if (!reader->interlaced) {
        for (int32_t y = 0; y < reader->high; y++)
            if (!read_line(reader, gif, y))
                return false;
        return true;
    }
    for (size_t pass = 0; pass < sizeof passes / sizeof *passes; pass++)
        for (int32_t y = passes[pass].from; y < reader->high; y += passes[pass].step)
            if (!read_line(reader, gif, y))
                return false;
    return true;
}

/* The screen as rows. `row`: room for 4 bytes a pixel of the screen. */
static void show(const struct gif_reader *reader, struct im_thumbs *set, uint8_t *row)
{
    int32_t width = reader->source->raw_width, height = reader->source->raw_height;
    size_t channels = (size_t)set->channels, n = (size_t)(reader->x1 - reader->x0);
    for (int32_t y = 0; y < height; y++) {
        memset(row, 0, (size_t)width * channels);
        if (y >= reader->y0 && y < reader->y1) {
            const uint8_t *from = reader->kept + (size_t)(y - reader->y0) * n;
            uint8_t *to = row + (size_t)reader->x0 * channels;
            for (size_t x = 0; x < n; x++, to += channels)
                memcpy(to, reader->colour[from[x]], channels);
        }
        im_thumbs_row(set, row);
    }
}

static enum im_reason read_frame(struct gif_reader *reader, GifFileType *gif, struct im_thumbs *set)
{
    int32_t width = reader->source->raw_width, height = reader->source->raw_height;
    if (gif->SWidth != width || gif->SHeight != height)
        return IM_decode_fail;
    if (!find_frame(reader, gif))
        return failed(reader, gif->Error);
    enum im_reason reason = place(reader, gif);
    if (reason != IM_NONE)
        return reason;
    bool covers = reader->x0 == 0 && reader->y0 == 0 && reader->x1 == width && reader->y1 == height;
    reader->kept = calloc((size_t)(reader->x1 - reader->x0), (size_t)(reader->y1 - reader->y0));
    reader->line = malloc((size_t)reader->wide);
    uint8_t *row = malloc((size_t)width * 4);
    reason = reader->kept && reader->line && row ? IM_NONE : IM_decode_killed;
    if (reason == IM_NONE && !read_lines(reader, gif))
        reason = failed(reader, gif->Error);
    if (reason == IM_NONE)
        reason = im_thumbs_begin(set, width, height, covers && reader->clear < 0 ? 3 : 4);
    if (reason == IM_NONE)
        show(reader, set, row);
    free(row);
    return reason;
}

enum im_reason im_raster_gif(const struct im_source *source, struct im_thumbs *set)
{
    struct gif_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return IM_decode_killed;
    reader->source = source;
    reader->clear = NO_TRANSPARENT_COLOR;
    int error = 0;
    GifFileType *gif = DGifOpen(reader, read_bytes, &error);
    enum im_reason reason = gif ? read_frame(reader, gif, set) : failed(reader, error);
    if (gif)
        (void)DGifCloseFile(gif, &error);
    free(reader->kept);
    free(reader->line);
    free(reader);
    return reason;
}
