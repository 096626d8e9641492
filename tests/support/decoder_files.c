/* decoder_files.c - see decoder_files.h. */
#include "decoder_files.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gif_lib.h>
#include <jpeglib.h>
#include <png.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

static struct df_picture new_picture(int width, int height, int channels)
{
    struct df_picture picture = {width, height, channels, calloc((size_t)width * (size_t)height, (size_t)channels)};
    assert_non_null(picture.data);
    return picture;
}

static uint8_t *at(const struct df_picture *picture, int x, int y)
{
    return picture->data + ((size_t)y * (size_t)picture->width + (size_t)x) * (size_t)picture->channels;
}

struct df_picture df_draw(int width, int height, int channels)
{
    struct df_picture picture = new_picture(width, height, channels);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            double u = (double)x / width, v = (double)y / height;
            bool disc = (u - 0.3) * (u - 0.3) + (v - 0.6) * (v - 0.6) < 0.04;
            double light[4] = {40 + 180 * u, 30 + 200 * v, 220 - 150 * u * v, 90 + 160 * v};
            uint8_t *to = at(&picture, x, y);
            for (int c = 0; c < channels; c++)
                to[c] = (uint8_t)(disc ? light[c] / 2 + 10 * c : light[c]);
            if (channels == 2 || channels == 4)
                to[channels - 1] = (uint8_t)(disc ? 255 : light[3]);
        }
    }
    return picture;
}

struct df_picture df_upright(const struct df_picture *picture, int orientation)
{
    bool swap = orientation >= 5;
    struct df_picture out = new_picture(swap ? picture->height : picture->width,
                                        swap ? picture->width : picture->height, picture->channels);
    int w = picture->width - 1, h = picture->height - 1;
    for (int y = 0; y < picture->height; y++) {
        for (int x = 0; x < picture->width; x++) {
            /* Where the stored pixel is shown, by the table of EXIF: 0th row and column are top-left, top-right, ... */
            const int shown[9][2] = {{0, 0}, {x, y},     {w - x, y},     {w - x, h - y}, {x, h - y},
                                     {y, x}, {h - y, x}, {h - y, w - x}, {y, w - x}};
            memcpy(at(&out, shown[orientation][0], shown[orientation][1]), at(picture, x, y),
                   (size_t)picture->channels);
        }
    }
    return out;
}

/* How much of pixel i lies in [from, to). */
static double part(int i, double from, double to)
{
    double a = fmax(from, i), b = fmin(to, i + 1);
    return b > a ? b - a : 0;
}

static void average_pixel(const struct df_picture *picture, const double box[4], double out[5])
{
    bool alpha = picture->channels == 2 || picture->channels == 4;
    int colours = alpha ? picture->channels - 1 : picture->channels;
    double area = (box[1] - box[0]) * (box[3] - box[2]), sum[5] = {0};
    for (int y = (int)box[2]; y < (int)ceil(box[3]) && y < picture->height; y++) {
        for (int x = (int)box[0]; x < (int)ceil(box[1]) && x < picture->width; x++) {
            const uint8_t *from = at(picture, x, y);
            double weight = part(x, box[0], box[1]) * part(y, box[2], box[3]),
                   cover = alpha ? from[colours] / 255.0 : 1;
            for (int c = 0; c < colours; c++)
                sum[c] += weight * cover * from[c];
            sum[4] += weight * cover;
        }
    }
    for (int c = 0; c < colours; c++)
        out[c] = sum[4] > 0 ? sum[c] / sum[4] : 0;
    out[4] = sum[4] / area;
}

struct df_picture df_average(const struct df_picture *picture, int width, int height, bool flat)
{
    bool alpha = picture->channels == 2 || picture->channels == 4;
    int colours = alpha ? picture->channels - 1 : picture->channels;
    struct df_picture out = new_picture(width, height, alpha && !flat ? colours + 1 : colours);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            double box[4] = {(double)x * picture->width / width, (double)(x + 1) * picture->width / width,
                             (double)y * picture->height / height, (double)(y + 1) * picture->height / height};
            double pixel[5] = {0};
            average_pixel(picture, box, pixel);
            for (int c = 0; c < colours; c++)
                at(&out, x, y)[c] =
                    (uint8_t)lround(alpha && flat ? pixel[c] * pixel[4] + 255 * (1 - pixel[4]) : pixel[c]);
            if (alpha && !flat)
                at(&out, x, y)[colours] = (uint8_t)lround(255 * pixel[4]);
        }
    }
    return out;
}

void df_flatten(struct df_picture *picture)
{
    if (picture->channels != 2 && picture->channels != 4)
        return;
    int colours = picture->channels - 1;
    size_t n = (size_t)picture->width * (size_t)picture->height;
    for (size_t i = 0; i < n; i++) {
        uint8_t *from = picture->data + i * (size_t)picture->channels, alpha = from[colours];
        for (int c = 0; c < colours; c++)
            picture->data[i * (size_t)colours + (size_t)c] =
                (uint8_t)lround(from[c] * (alpha / 255.0) + 255 * (1 - alpha / 255.0));
    }
    picture->channels = colours;
}

/* ---- written ---- */

void df_profile(const char *space, uint8_t *icc, size_t len)
{
    /* ICC.1:2010, 7.2: size, version, class, space, connection space, signature, white point D50. */
    memset(icc, 0, len);
    for (size_t i = 132; i < len; i++) /* libpng refuses what is too easily compressed */
        icc[i] = (uint8_t)(i * 7919 >> 3);
    icc[2] = (uint8_t)(len >> 8);
    icc[3] = (uint8_t)len;
    memcpy(icc + 8, "\x02\x10\0\0mntr", 8);
    memcpy(icc + 16, space, 4);
    memcpy(icc + 20, "XYZ ", 4);
    memcpy(icc + 36, "acsp", 4);
    memcpy(icc + 68, "\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d", 12);
}

void df_jpeg(const struct df_picture *picture, const struct df_jpeg *how, struct nm_buf *out)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned char *file = NULL;
    unsigned long len = 0;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &file, &len);
    info.image_width = (JDIMENSION)picture->width;
    info.image_height = (JDIMENSION)picture->height;
    info.input_components = how->cmyk ? 4 : picture->channels;
    info.in_color_space = how->cmyk ? JCS_CMYK : picture->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&info);
    if (how->cmyk)
        info.write_Adobe_marker = TRUE;
    jpeg_set_quality(&info, how->quality ? how->quality : 92, TRUE);
    if (how->full_chroma)
        info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
    if (how->progressive)
        jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    if (how->icc)
        jpeg_write_icc_profile(&info, how->icc, how->icc_len);
    uint8_t *line = malloc((size_t)picture->width * 4);
    for (int y = 0; y < picture->height; y++) {
        JSAMPROW row = at(picture, 0, y);
        for (int x = 0; how->cmyk && x < picture->width; x++) {
            /* No black: inverted inks are then the colours themselves. */
            memcpy(line + x * 4, at(picture, x, y), 3);
            line[x * 4 + 3] = 255;
            row = line;
        }
        (void)jpeg_write_scanlines(&info, &row, 1);
    }
    free(line);
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    nm_buf_add(out, file, len);
    free(file);
}

static void png_out(png_structp png, png_bytep data, png_size_t len)
{
    nm_buf_add(png_get_io_ptr(png), data, len);
}

static void png_flush_nothing(png_structp png)
{
    (void)png;
}

static void png_head(png_structp png, png_infop info, const struct df_picture *picture, const struct df_png *how)
{
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                PNG_COLOR_TYPE_RGB_ALPHA};
    png_set_IHDR(png, info, (png_uint_32)picture->width, (png_uint_32)picture->height, how->depth ? how->depth : 8,
                 how->palette ? PNG_COLOR_TYPE_PALETTE : types[picture->channels],
                 how->adam7 ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (how->palette) {
        png_color greys[256];
        for (int i = 0; i < 256; i++)
            greys[i] = (png_color){(png_byte)i, (png_byte)i, (png_byte)i};
        png_set_PLTE(png, info, greys, 256);
    }
    if (how->icc)
        png_set_iCCP(png, info, "test", PNG_COMPRESSION_TYPE_BASE, how->icc, how->icc_len);
    if (how->copyright) {
        char key[] = "Copyright", *text = strdup(how->copyright);
        png_text chunk = {.compression = PNG_TEXT_COMPRESSION_NONE, .key = key, .text = text};
        chunk.text_length = strlen(text);
        png_set_text(png, info, &chunk, 1);
        free(text);
    }
    if (how->text) {
        char key[] = "Comment", *text = strndup(how->text, how->text_len);
        png_text chunk = {.compression = PNG_TEXT_COMPRESSION_zTXt, .key = key, .text = text};
        chunk.text_length = how->text_len;
        png_set_text(png, info, &chunk, 1);
        free(text);
    }
}

void df_png(const struct df_picture *picture, const struct df_png *how, struct nm_buf *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    png_set_write_fn(png, out, png_out, png_flush_nothing);
    png_head(png, info, picture, how);
    png_write_info(png, info);
    size_t n = (size_t)picture->width * (size_t)picture->channels;
    uint8_t *wide = calloc(n, 2);
    int passes = how->adam7 ? png_set_interlace_handling(png) : 1;
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < picture->height; y++) {
            const uint8_t *row = at(picture, 0, y);
            for (size_t i = 0; how->depth == 16 && i < n; i++)
                wide[2 * i] = wide[2 * i + 1] = row[i]; /* v * 257 */
            png_write_row(png, how->depth == 16 ? wide : row);
        }
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(wide);
}

static int gif_out(GifFileType *gif, const GifByteType *data, int len)
{
    nm_buf_add(gif->UserData, data, (size_t)len);
    return len;
}

static void gif_lines(GifFileType *gif, const struct df_picture *picture, bool interlaced)
{
    static const int passes[4][2] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
    for (int pass = 0; pass < (interlaced ? 4 : 1); pass++)
        for (int y = interlaced ? passes[pass][0] : 0; y < picture->height; y += interlaced ? passes[pass][1] : 1)
            assert_int_equal(EGifPutLine(gif, at(picture, 0, y), picture->width), GIF_OK);
}

void df_gif(const struct df_picture *picture, const struct df_gif *how, struct nm_buf *out)
{
    int error = 0;
    GifColorType greys[256];
    for (int i = 0; i < 256; i++)
        greys[i] = (GifColorType){(GifByteType)i, (GifByteType)i, (GifByteType)i};
    ColorMapObject *map = GifMakeMapObject(256, greys);
    GifFileType *gif = EGifOpen(out, gif_out, &error);
    assert_non_null(gif);
    EGifSetGifVersion(gif, true);
    int width = how->screen_width ? how->screen_width : picture->width;
    int height = how->screen_height ? how->screen_height : picture->height;
    assert_int_equal(EGifPutScreenDesc(gif, width, height, 8, 0, map), GIF_OK);
    for (int i = 0; i < (how->frames ? how->frames : 1); i++) {
        const GifByteType control[4] = {how->clear, 10, 0, 0};
        assert_int_equal(EGifPutExtension(gif, GRAPHICS_EXT_FUNC_CODE, 4, control), GIF_OK);
        assert_int_equal(
            EGifPutImageDesc(gif, how->left, how->top, picture->width, picture->height, how->interlaced, NULL), GIF_OK);
        gif_lines(gif, picture, how->interlaced);
    }
    assert_int_equal(EGifCloseFile(gif, &error), GIF_OK);
    GifFreeMapObject(map);
}

void df_webp(const struct df_picture *picture, bool lossless, struct nm_buf *out)
{
    uint8_t *file = NULL;
    int stride = picture->width * picture->channels;
    const uint8_t *data = picture->data;
    size_t len;
    if (picture->channels == 4)
        len = lossless ? WebPEncodeLosslessRGBA(data, picture->width, picture->height, stride, &file)
                       : WebPEncodeRGBA(data, picture->width, picture->height, stride, 92, &file);
    else
        len = lossless ? WebPEncodeLosslessRGB(data, picture->width, picture->height, stride, &file)
                       : WebPEncodeRGB(data, picture->width, picture->height, stride, 92, &file);
    assert_true(len > 0);
    nm_buf_add(out, file, len);
    WebPFree(file);
}

void df_webp_moving(const struct df_picture *picture, int canvas_width, int canvas_height, int left, int top,
                    struct nm_buf *out)
{
    struct nm_buf still = {0};
    df_webp(picture, true, &still);
    WebPMux *mux = WebPMuxNew();
    WebPMuxFrameInfo frame = {.bitstream = {(const uint8_t *)still.data, still.len},
                              .x_offset = left,
                              .y_offset = top,
                              .duration = 100,
                              .id = WEBP_CHUNK_ANMF,
                              .dispose_method = WEBP_MUX_DISPOSE_NONE,
                              .blend_method = WEBP_MUX_NO_BLEND};
    WebPMuxAnimParams params = {.bgcolor = 0xffffffff, .loop_count = 0};
    WebPData data = {0};
    assert_int_equal(WebPMuxPushFrame(mux, &frame, 1), WEBP_MUX_OK);
    assert_int_equal(WebPMuxPushFrame(mux, &frame, 1), WEBP_MUX_OK);
    assert_int_equal(WebPMuxSetAnimationParams(mux, &params), WEBP_MUX_OK);
    assert_int_equal(WebPMuxSetCanvasSize(mux, canvas_width, canvas_height), WEBP_MUX_OK);
    assert_int_equal(WebPMuxAssemble(mux, &data), WEBP_MUX_OK);
    nm_buf_add(out, data.bytes, data.size);
    WebPDataClear(&data);
    WebPMuxDelete(mux);
    nm_buf_clear(&still);
}

/* ---- read back ---- */

static struct df_picture read_jpeg(const void *file, size_t len, size_t *icc_len)
{
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, file, len);
    jpeg_save_markers(&info, JPEG_APP0 + 2, 0xffff);
    jpeg_save_markers(&info, JPEG_APP0 + 1, 0xffff);
    assert_int_equal(jpeg_read_header(&info, TRUE), JPEG_HEADER_OK);
    for (jpeg_saved_marker_ptr marker = info.marker_list; marker; marker = marker->next)
        assert_int_not_equal(marker->marker, JPEG_APP0 + 1); /* EXIF or XMP */
    JOCTET *icc = NULL;
    unsigned n = 0;
    *icc_len = jpeg_read_icc_profile(&info, &icc, &n) ? n : 0;
    free(icc);
    (void)jpeg_start_decompress(&info);
    struct df_picture picture = new_picture((int)info.output_width, (int)info.output_height, info.output_components);
    while (info.output_scanline < info.output_height) {
        JSAMPROW row = at(&picture, 0, (int)info.output_scanline);
        (void)jpeg_read_scanlines(&info, &row, 1);
    }
    (void)jpeg_finish_decompress(&info);
    assert_int_equal(errors.num_warnings, 0);
    jpeg_destroy_decompress(&info);
    return picture;
}

static struct df_picture read_webp(const void *file, size_t len, size_t *icc_len)
{
    WebPBitstreamFeatures features;
    assert_int_equal(WebPGetFeatures(file, len, &features), VP8_STATUS_OK);
    struct df_picture picture = new_picture(features.width, features.height, features.has_alpha ? 4 : 3);
    size_t size = (size_t)picture.width * (size_t)picture.height * (size_t)picture.channels;
    int stride = picture.width * picture.channels;
    assert_non_null(features.has_alpha ? WebPDecodeRGBAInto(file, len, picture.data, size, stride)
                                       : WebPDecodeRGBInto(file, len, picture.data, size, stride));
    WebPData data = {file, len};
    WebPDemuxer *demux = WebPDemux(&data);
    WebPChunkIterator chunk = {0};
    *icc_len = WebPDemuxGetChunk(demux, "ICCP", 1, &chunk) ? chunk.chunk.size : 0;
    WebPDemuxReleaseChunkIterator(&chunk);
    assert_false(WebPDemuxGetChunk(demux, "EXIF", 1, &chunk));
    WebPDemuxReleaseChunkIterator(&chunk);
    WebPDemuxDelete(demux);
    return picture;
}

struct df_picture df_read(const void *file, size_t len, size_t *icc_len)
{
    assert_true(len > 12);
    if (memcmp(file, "RIFF", 4) == 0)
        return read_webp(file, len, icc_len);
    return read_jpeg(file, len, icc_len);
}

double df_difference(const struct df_picture *a, const struct df_picture *b, int *largest)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->channels, b->channels);
    size_t n = (size_t)a->width * (size_t)a->height * (size_t)a->channels;
    double sum = 0;
    *largest = 0;
    for (size_t i = 0; i < n; i++) {
        int difference = abs(a->data[i] - b->data[i]);
        sum += difference;
        if (difference > *largest)
            *largest = difference;
    }
    return sum / (double)n;
}
