/* thumbnails_encode.c - a thumbnail as a JPEG or WebP file.
 *
 * The libraries report failures by a jump (libjpeg) or by a null pointer (libwebp); what a failed write said is kept
 * beside, since a full disk is no fault of the picture. */
#include "output.h"
#include "thumbnails.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <webp/encode.h>
#include <webp/mux.h>

static enum im_reason write_all(struct im_drawing *drawing, const void *data, size_t len)
{
    return im_output(drawing->fd, data, len, &drawing->bytes);
}

/* A sample on white: what a page without a colour of its own shows behind it. */
static uint8_t on_white(uint8_t sample, uint8_t alpha)
{
    return (uint8_t)((sample * alpha + 255 * (255 - alpha) + 127) / 255);
}

/* In place; `out` may be `row`, since no pixel grows. */
static void flatten(const uint8_t *row, int32_t width, int channels, uint8_t *out)
{
    if (channels != 2 && channels != 4)
        return;
    int colours = channels - 1;
    for (int32_t x = 0; x < width; x++, row += channels, out += colours) {
        uint8_t alpha = row[colours];
        for (int c = 0; c < colours; c++)
            out[c] = on_white(row[c], alpha);
    }
}

/* ---- JPEG ---- */

enum { WRITE_BYTES = 65536 };

struct jpeg_writer {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr to;
    jmp_buf jump;
    enum im_reason reason;
    struct im_drawing *drawing;
    uint8_t *row;
    uint8_t buffer[WRITE_BYTES];
};

static void jpeg_failed(j_common_ptr info)
{
    struct jpeg_writer *writer = info->client_data;
    if (writer->reason == IM_NONE)
        writer->reason = IM_decode_killed; /* the encoder fails for want of memory only */
    longjmp(writer->jump, 1);
}

static void jpeg_silent(j_common_ptr info)
{
    (void)info;
}

static void jpeg_begin(j_compress_ptr info)
{
    struct jpeg_writer *writer = info->client_data;
    writer->to.next_output_byte = writer->buffer;
    writer->to.free_in_buffer = WRITE_BYTES;
}

static boolean jpeg_full(j_compress_ptr info)
{
    struct jpeg_writer *writer = info->client_data;
    writer->reason = write_all(writer->drawing, writer->buffer, WRITE_BYTES);
    if (writer->reason != IM_NONE)
        jpeg_failed((j_common_ptr)info);
    jpeg_begin(info);
    return TRUE;
}

static void jpeg_end(j_compress_ptr info)
{
    struct jpeg_writer *writer = info->client_data;
    writer->reason = write_all(writer->drawing, writer->buffer, WRITE_BYTES - writer->to.free_in_buffer);
    if (writer->reason != IM_NONE)
        jpeg_failed((j_common_ptr)info);
}

static void jpeg_draw(struct jpeg_writer *writer)
{
    const struct im_drawing *drawing = writer->drawing;
    const struct im_thumbs *set = drawing->set;
    struct jpeg_compress_struct *info = &writer->info;
    jpeg_create_compress(info);
    writer->to.init_destination = jpeg_begin;
    writer->to.empty_output_buffer = jpeg_full;
    writer->to.term_destination = jpeg_end;
    info->dest = &writer->to;
    info->image_width = (JDIMENSION)drawing->width;
    info->image_height = (JDIMENSION)drawing->height;
    info->input_components = set->channels <= 2 ? 1 : 3;
    info->in_color_space = set->channels <= 2 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, drawing->quality, TRUE);
    info->optimize_coding = TRUE; /* a twentieth smaller for a second look at few pixels */
    jpeg_start_compress(info, TRUE);
    if (set->icc)
        jpeg_write_icc_profile(info, set->icc, (unsigned)set->icc_len);
    for (int32_t y = 0; y < drawing->height; y++) {
        im_thumbs_upright(set, drawing->index, y, writer->row);
        flatten(writer->row, drawing->width, set->channels, writer->row);
        JSAMPROW row = writer->row;
        (void)jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
}

/* Apart from its caller, so that no variable of that one lives across the jump. */
static void jpeg_guarded(struct jpeg_writer *writer)
{
    if (setjmp(writer->jump) == 0)
        jpeg_draw(writer);
    jpeg_destroy_compress(&writer->info);
}

enum im_reason im_encode_jpeg(struct im_drawing *drawing)
{
    struct jpeg_writer *writer = calloc(1, sizeof *writer);
    uint8_t *row = malloc((size_t)drawing->width * (size_t)drawing->set->channels);
    enum im_reason reason = IM_decode_killed;
    if (writer && row) {
        writer->drawing = drawing;
        writer->row = row;
        writer->info.err = jpeg_std_error(&writer->errors);
        writer->errors.error_exit = jpeg_failed;
        writer->errors.output_message = jpeg_silent;
        writer->info.client_data = writer;
        jpeg_guarded(writer);
        reason = writer->reason;
    }
    free(row);
    free(writer);
    return reason;
}

/* ---- WebP ---- */

/* The samples as RGB or RGBA, which is all that the encoder takes; NULL: no memory. */
static uint8_t *webp_pixels(const struct im_drawing *drawing, int *out_channels)
{
    int channels = drawing->set->channels, want = channels == 2 || channels == 4 ? 4 : 3;
    size_t width = (size_t)drawing->width, n = width * (size_t)drawing->height;
    uint8_t *row = malloc(width * (size_t)channels), *pixels = malloc(n * (size_t)want);
    if (!row || !pixels) {
        free(row);
        free(pixels);
        return NULL;
    }
    uint8_t *out = pixels;
    for (int32_t y = 0; y < drawing->height; y++) {
        im_thumbs_upright(drawing->set, drawing->index, y, row);
        for (size_t x = 0; x < width; x++, out += want) {
            const uint8_t *in = row + x * (size_t)channels;
            for (int c = 0; c < 3; c++)
                out[c] = in[channels <= 2 ? 0 : c];
            if (want == 4)
                out[3] = in[channels - 1];
        }
    }
    free(row);
    *out_channels = want;
    return pixels;
}

static bool webp_compress(const struct im_drawing *drawing, const uint8_t *pixels, int channels,
                          WebPMemoryWriter *memory)
{
    WebPConfig config;
    WebPPicture picture;
    if (!WebPConfigPreset(&config, WEBP_PRESET_PHOTO, (float)drawing->quality) || !WebPPictureInit(&picture))
        return false;
    picture.width = drawing->width;
    picture.height = drawing->height;
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = memory;
    int stride = drawing->width * channels;
    bool ok = channels == 4 ? WebPPictureImportRGBA(&picture, pixels, stride)
                            : WebPPictureImportRGB(&picture, pixels, stride);
    ok = ok && WebPEncode(&config, &picture);
    WebPPictureFree(&picture);
    return ok;
}

static enum im_reason webp_with_profile(struct im_drawing *drawing, const WebPMemoryWriter *memory)
{
    WebPData image = {memory->mem, memory->size}, out = {NULL, 0};
    WebPData icc = {drawing->set->icc, drawing->set->icc_len};
    WebPMux *mux = WebPMuxNew();
    enum im_reason reason = IM_decode_killed;
    if (mux && WebPMuxSetImage(mux, &image, 0) == WEBP_MUX_OK && WebPMuxSetChunk(mux, "ICCP", &icc, 0) == WEBP_MUX_OK &&
        WebPMuxAssemble(mux, &out) == WEBP_MUX_OK)
        reason = write_all(drawing, out.bytes, out.size);
    WebPDataClear(&out);
    WebPMuxDelete(mux);
    return reason;
}

enum im_reason im_encode_webp(struct im_drawing *drawing)
{
    int channels = 0;
    uint8_t *pixels = webp_pixels(drawing, &channels);
    if (!pixels)
        return IM_decode_killed;
    WebPMemoryWriter memory;
    WebPMemoryWriterInit(&memory);
    enum im_reason reason = IM_decode_killed;
    if (webp_compress(drawing, pixels, channels, &memory)) {
        /* A profile of grey does not describe the colours that grey became. */
        bool profile = drawing->set->icc && drawing->set->channels > 2;
        reason = profile ? webp_with_profile(drawing, &memory) : write_all(drawing, memory.mem, memory.size);
    }
    WebPMemoryWriterClear(&memory);
    free(pixels);
    return reason;
}
