/* raster_jpeg.c - JPEG by libjpeg-turbo, row by row.
 *
 * Scaled in the DCT where that leaves enough pixels for every thumbnail: the entropy coding, where damage shows, is
 * still read to the end. libjpeg only warns of missing or broken data and makes up grey; here the warnings that mean
 * lost pixels are errors, while those about odd but harmless files (extra bytes between markers) are not. */
#include "raster.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

struct jpeg_reader {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr from;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    enum im_reason reason;
    bool ended; /* the file had no more bytes */
    const struct im_source *source;
    struct im_thumbs *set;
    uint8_t *row;
};

static const JOCTET end_marker[] = {0xff, JPEG_EOI};

static void give_up(struct jpeg_reader *reader, enum im_reason reason)
{
    reader->reason = reason;
    longjmp(reader->jump, 1);
}

static void on_error(j_common_ptr info)
{
    struct jpeg_reader *reader = info->client_data;
    bool memory = info->err->msg_code == JERR_OUT_OF_MEMORY;
    give_up(reader, memory ? IM_decode_killed : reader->ended ? IM_truncated : IM_decode_fail);
}

static void on_message(j_common_ptr info, int level)
{
    struct jpeg_reader *reader = info->client_data;
    if (level >= 0)
        return; /* a trace */
    switch (info->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
        give_up(reader, reader->ended ? IM_truncated : IM_decode_fail);
        break;
    default:
        break;
    }
}

static void on_text(j_common_ptr info)
{
    (void)info;
}

static void no_step(j_decompress_ptr info)
{
    (void)info;
}

static boolean no_more(j_decompress_ptr info)
{
    struct jpeg_reader *reader = info->client_data;
    bool first = !reader->ended;
    reader->ended = true;
    if (!reader->source->no_end || !first)
        give_up(reader, IM_truncated);
    reader->from.next_input_byte = end_marker; /* the one marker that this file may lack */
    reader->from.bytes_in_buffer = sizeof end_marker;
    return TRUE;
}

static void skip(j_decompress_ptr info, long n)
{
    struct jpeg_reader *reader = info->client_data;
    if (n <= 0)
        return;
    if ((size_t)n > reader->from.bytes_in_buffer) {
        reader->ended = true;
        give_up(reader, IM_truncated);
    }
    reader->from.next_input_byte += n;
    reader->from.bytes_in_buffer -= (size_t)n;
}

static void on_progress(j_common_ptr info)
{
    struct jpeg_reader *reader = info->client_data;
    if (reader->info.input_scan_number > reader->source->max_scans)
        give_up(reader, IM_scans_too_many);
}

static void prepare(struct jpeg_reader *reader)
{
    struct jpeg_decompress_struct *info = &reader->info;
    jpeg_create_decompress(info);
    reader->from = (struct jpeg_source_mgr){.next_input_byte = reader->source->data,
                                            .bytes_in_buffer = reader->source->len,
                                            .init_source = no_step,
                                            .fill_input_buffer = no_more,
                                            .skip_input_data = skip,
                                            .resync_to_restart = jpeg_resync_to_restart,
                                            .term_source = no_step};
    info->src = &reader->from;
    reader->progress.progress_monitor = on_progress;
    info->progress = &reader->progress;
    jpeg_save_markers(info, JPEG_APP0 + 2, 0xffff);
    (void)jpeg_read_header(info, TRUE);
    if (info->image_width != (JDIMENSION)reader->source->raw_width ||
        info->image_height != (JDIMENSION)reader->source->raw_height)
        give_up(reader, IM_decode_fail);
}

/* How many channels the rows have; CMYK has 4 that become 3. */
static int choose_colours(struct jpeg_reader *reader)
{
    struct jpeg_decompress_struct *info = &reader->info;
    switch (info->jpeg_color_space) {
    case JCS_GRAYSCALE:
        info->out_color_space = JCS_GRAYSCALE;
        return 1;
    case JCS_YCbCr:
    case JCS_RGB:
        info->out_color_space = JCS_RGB;
        return 3;
    case JCS_CMYK:
    case JCS_YCCK:
        info->out_color_space = JCS_CMYK;
        return 3;
    default:
        give_up(reader, IM_decode_fail);
        return 0;
    }
}

static void choose_scale(struct jpeg_reader *reader)
{
    struct jpeg_decompress_struct *info = &reader->info;
    info->scale_num = 1;
    for (info->scale_denom = 8; info->scale_denom > 1; info->scale_denom /= 2) {
        jpeg_calc_output_dimensions(info);
        if (im_thumbs_fit(reader->set, (int32_t)info->output_width, (int32_t)info->output_height))
            return;
    }
}

/* Inks to light, in place. Adobe's programs store them inverted, and say so by their marker. */
static void cmyk_to_rgb(uint8_t *row, JDIMENSION width, bool inverted)
{
    const uint8_t *in = row;
    for (JDIMENSION x = 0; x < width; x++, in += 4, row += 3) {
        uint8_t black = inverted ? in[3] : (uint8_t)(255 - in[3]);
        for (int c = 0; c < 3; c++) {
            uint8_t light = inverted ? in[c] : (uint8_t)(255 - in[c]);
            row[c] = (uint8_t)((light * black + 127) / 255);
        }
    }
}

static void keep_profile(struct jpeg_reader *reader)
{
    JOCTET *icc = NULL;
    unsigned len = 0;
    if (jpeg_read_icc_profile(&reader->info, &icc, &len))
        im_thumbs_profile(reader->set, icc, len);
    free(icc);
}

static void read_rows(struct jpeg_reader *reader)
{
    struct jpeg_decompress_struct *info = &reader->info;
    prepare(reader);
    int channels = choose_colours(reader);
    choose_scale(reader);
    (void)jpeg_start_decompress(info);
    enum im_reason reason =
        im_thumbs_begin(reader->set, (int32_t)info->output_width, (int32_t)info->output_height, channels);
    if (reason != IM_NONE)
        give_up(reader, reason);
    keep_profile(reader);
    reader->row = malloc((size_t)info->output_width * (size_t)info->output_components);
    if (!reader->row)
        give_up(reader, IM_decode_killed);
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = reader->row;
        (void)jpeg_read_scanlines(info, &row, 1);
        if (info->out_color_space == JCS_CMYK)
            cmyk_to_rgb(reader->row, info->output_width, info->saw_Adobe_marker);
        im_thumbs_row(reader->set, reader->row);
    }
    (void)jpeg_finish_decompress(info);
}

/* Apart from its caller, so that no variable of that one lives across the jump. */
static void guarded(struct jpeg_reader *reader)
{
    if (setjmp(reader->jump) == 0)
        read_rows(reader);
    jpeg_destroy_decompress(&reader->info);
}

enum im_reason im_raster_jpeg(const struct im_source *source, struct im_thumbs *set)
{
    struct jpeg_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return IM_decode_killed;
    reader->source = source;
    reader->set = set;
    reader->info.err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = on_error;
    reader->errors.emit_message = on_message;
    reader->errors.output_message = on_text;
    reader->info.client_data = reader;
    guarded(reader);
    enum im_reason reason = reader->reason;
    free(reader->row);
    free(reader);
    return reason;
}
