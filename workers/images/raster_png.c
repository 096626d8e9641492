/* raster_png.c - PNG by libpng, row by row; with Adam7 the picture is held, in the fewest channels that it has.
 *
 * Text, time, EXIF and the other ancillary chunks that say nothing of the pixels are skipped unread, so none is ever
 * inflated. A wrong checksum in a critical chunk is an error, in another one that chunk is left out. */
#include "raster.h"

#include <setjmp.h>
#include <string.h>

#include <png.h>

#define PROFILE_MAX                                                                                                    \
    4194304 /* bytes that libpng may allocate for one chunk: a profile that inflates further is dropped */

struct png_reader {
    jmp_buf jump;
    enum im_reason reason;
    bool ended;
    size_t at;
    const struct im_source *source;
    struct im_thumbs *set;
    png_structp png;
    png_infop info;
    uint8_t *pixels;
};

static void give_up(struct png_reader *reader, enum im_reason reason)
{
    reader->reason = reason;
    longjmp(reader->jump, 1);
}

static void on_error(png_structp png, png_const_charp text)
{
    (void)text;
    struct png_reader *reader = png_get_error_ptr(png);
    give_up(reader, reader->ended ? IM_truncated : IM_decode_fail);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep out, png_size_t len)
{
    struct png_reader *reader = png_get_io_ptr(png);
    if (len > reader->source->len - reader->at) {
        reader->ended = true;
        png_error(png, "the file ends");
    }
    memcpy(out, reader->source->data + reader->at, len);
    reader->at += len;
}

static void prepare(struct png_reader *reader)
{
    static const png_byte unread[] = "tEXt\0zTXt\0iTXt\0tIME\0eXIf\0sPLT\0hIST\0bKGD\0pHYs\0oFFs\0pCAL\0sCAL";
    png_structp png = reader->png;
    png_set_user_limits(png, (png_uint_32)reader->source->raw_width, (png_uint_32)reader->source->raw_height);
    png_set_chunk_malloc_max(png, PROFILE_MAX);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, unread, (int)(sizeof unread / 5));
    png_set_read_fn(png, reader, read_bytes);
    png_read_info(png, reader->info);
    if (png_get_image_width(png, reader->info) != (png_uint_32)reader->source->raw_width ||
        png_get_image_height(png, reader->info) != (png_uint_32)reader->source->raw_height)
        give_up(reader, IM_decode_fail);
}

static int choose_channels(struct png_reader *reader)
{
    png_set_expand(reader->png);   /* palettes, few bits and transparent colours */
    png_set_scale_16(reader->png); /* not png_set_strip_16: that one only cuts   */
    if (png_get_interlace_type(reader->png, reader->info) != PNG_INTERLACE_NONE)
        (void)png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
    return png_get_channels(reader->png, reader->info);
}

static void keep_profile(struct png_reader *reader)
{
    png_charp name;
    int method;
    png_bytep icc;
    png_uint_32 len;
    if (png_get_iCCP(reader->png, reader->info, &name, &method, &icc, &len) == PNG_INFO_iCCP)
        im_thumbs_profile(reader->set, icc, len);
}

static void read_passes(struct png_reader *reader, size_t line, size_t height)
{
    reader->pixels = calloc(line, height);
    if (!reader->pixels)
        give_up(reader, IM_decode_killed);
    for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; pass++)
        for (size_t y = 0; y < height; y++)
            png_read_row(reader->png, reader->pixels + y * line, NULL);
    for (size_t y = 0; y < height; y++)
        im_thumbs_row(reader->set, reader->pixels + y * line);
}

static void read_rows(struct png_reader *reader)
{
    prepare(reader);
    int channels = choose_channels(reader);
    size_t line = (size_t)reader->source->raw_width * (size_t)channels, height = (size_t)reader->source->raw_height;
    if (channels < 1 || channels > 4 || png_get_rowbytes(reader->png, reader->info) != line)
        give_up(reader, IM_decode_fail);
    enum im_reason reason =
        im_thumbs_begin(reader->set, reader->source->raw_width, reader->source->raw_height, channels);
    if (reason != IM_NONE)
        give_up(reader, reason);
    keep_profile(reader);
    if (png_get_interlace_type(reader->png, reader->info) != PNG_INTERLACE_NONE) {
        read_passes(reader, line, height);
    } else {
        reader->pixels = malloc(line);
        if (!reader->pixels)
            give_up(reader, IM_decode_killed);
        for (size_t y = 0; y < height; y++) {
            png_read_row(reader->png, reader->pixels, NULL);
            im_thumbs_row(reader->set, reader->pixels);
        }
    }
    png_read_end(reader->png, NULL);
}

/* Apart from its caller, so that no variable of that one lives across the jump. */
static void guarded(struct png_reader *reader)
{
    if (setjmp(reader->jump) == 0) {
        reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning);
        reader->info = reader->png ? png_create_info_struct(reader->png) : NULL;
        if (!reader->info)
            give_up(reader, IM_decode_killed);
        read_rows(reader);
    }
    png_destroy_read_struct(&reader->png, &reader->info, NULL);
}

enum im_reason im_raster_png(const struct im_source *source, struct im_thumbs *set)
{
    struct png_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return IM_decode_killed;
    reader->source = source;
    reader->set = set;
    guarded(reader);
    enum im_reason reason = reader->reason;
    free(reader->pixels);
    free(reader);
    return reason;
}
