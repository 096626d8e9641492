/* test_images_decoder.c - images of every kind through a decoder process: what comes out, and what is refused why.
 *
 * Thumbnails are read back and compared with the exact area average of the picture that was drawn. */
#include "decoder_files.h"
#include "decoder_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct im_decoders *pool;

static uint8_t icc_rgb[600], icc_grey[400];

static int open_pool(void **state)
{
    (void)state;
    df_profile("RGB ", icc_rgb, sizeof icc_rgb);
    df_profile("GRAY", icc_grey, sizeof icc_grey);
    pool = dr_open(NULL, 1, 5000, 80000);
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    im_decoders_close(pool);
    return 0;
}

static struct df_picture read_output(const struct im_decoder_job *job, int i, size_t *icc_len)
{
    struct stat info;
    assert_int_equal(fstat(job->output_fd[i], &info), 0);
    size_t len = (size_t)info.st_size;
    void *data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, job->output_fd[i], 0);
    assert_true(data != MAP_FAILED);
    struct df_picture picture = df_read(data, len, icc_len);
    (void)munmap(data, len);
    return picture;
}

/* Thumbnail i against the average of `drawn`, the canvas as stored and in the channels it is expected to have. */
static void expect_thumb(const struct im_decoder_job *job, const struct im_decoded *got, int i,
                         const struct df_picture *drawn, double mean, int most)
{
    size_t icc_len;
    int largest;
    bool swap = job->facts.orientation >= 5;
    const struct im_reply_thumb *size = &got->thumb[i];
    struct df_picture shown = read_output(job, i, &icc_len);
    struct df_picture average =
        df_average(drawn, swap ? size->height : size->width, swap ? size->width : size->height, true);
    df_flatten(&shown); /* what colour a clear pixel has is nobody's business */
    struct df_picture want = df_upright(&average, job->facts.orientation);
    double difference = df_difference(&shown, &want, &largest);
    if (difference > mean || largest > most)
        fail_msg("thumbnail %d: %.2f on average, at most %d", i, difference, largest);
    free(shown.data);
    free(average.data);
    free(want.data);
}

/* Runs a good file with two thumbnails, JPEG and WebP, and one that is not made. */
static void expect_good(const char *name, enum im_type type, const struct nm_buf *file, const struct df_picture *canvas,
                        int orientation, double mean, int most)
{
    struct im_decoder_job job = dr_job(type, canvas->width, canvas->height, file);
    job.facts.orientation = orientation;
    dr_add_thumb(&job, 160, IM_THUMB_JPEG);
    dr_add_thumb(&job, 100, IM_THUMB_WEBP);
    dr_add_thumb(&job, 1200, IM_THUMB_JPEG);
    struct im_decoded got = dr_run(pool, &job);
    if (got.reason != IM_NONE)
        fail_msg("%s: %s %s", name, im_reason_name(got.reason), got.cause);
    assert_int_equal(got.width, canvas->width);
    assert_int_equal(got.height, canvas->height);
    assert_true(got.cpu_us >= 0);
    expect_thumb(&job, &got, 0, canvas, mean, most);
    /* WebP has no grey. */
    if (canvas->channels >= 3)
        expect_thumb(&job, &got, 1, canvas, mean + 1.5, most + 20);
    assert_true(got.thumb[1].bytes > 0);
    assert_true(got.thumb[2].width == 0 && got.thumb[2].height == 0 && got.thumb[2].bytes == 0);
    dr_close_job(&job);
}

static void good__jpeg_of_every_kind(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int width, height, channels;
        struct df_jpeg how;
    } cases[] = {{"plain", 600, 400, 3, {0}},
                 {"full chroma", 601, 399, 3, {.full_chroma = true}},
                 {"progressive", 600, 401, 3, {.progressive = true}},
                 {"grey", 599, 400, 1, {0}},
                 {"grey progressive", 600, 400, 1, {.progressive = true}},
                 {"inks", 600, 400, 3, {.cmyk = true}},
                 {"barely larger", 161, 90, 3, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf file = {0};
        struct df_picture picture = df_draw(cases[i].width, cases[i].height, cases[i].channels);
        df_jpeg(&picture, &cases[i].how, &file);
        expect_good(cases[i].name, IM_JPEG, &file, &picture, 1, 2.0, 40);
        free(picture.data);
        nm_buf_clear(&file);
    }
}

static void good__png_of_every_kind(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int channels;
        struct df_png how;
    } cases[] = {{"colour", 3, {0}},
                 {"alpha", 4, {0}},
                 {"grey", 1, {0}},
                 {"grey and alpha", 2, {0}},
                 {"16 bits", 3, {.depth = 16}},
                 {"16 bits and alpha", 4, {.depth = 16}},
                 {"Adam7", 3, {.adam7 = true}},
                 {"Adam7, 16 bits, alpha", 4, {.adam7 = true, .depth = 16}},
                 {"text", 3, {.text = "an invented comment", .text_len = 19}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf file = {0};
        struct df_picture picture = df_draw(403, 302, cases[i].channels);
        df_png(&picture, &cases[i].how, &file);
        expect_good(cases[i].name, IM_PNG, &file, &picture, 1, 1.5, 40);
        free(picture.data);
        nm_buf_clear(&file);
    }
}

/* A grey picture as RGB or RGBA, on a larger canvas that is transparent around it. */
static struct df_picture on_canvas(const struct df_picture *picture, int width, int height, int left, int top,
                                   int channels)
{
    struct df_picture canvas = df_draw(width, height, channels);
    memset(canvas.data, 0, (size_t)width * (size_t)height * (size_t)channels);
    for (int y = 0; y < picture->height; y++) {
        for (int x = 0; x < picture->width; x++) {
            if (x + left >= width || y + top >= height)
                continue;
            const uint8_t *from = picture->data + (y * picture->width + x) * picture->channels;
            uint8_t *to = canvas.data + ((y + top) * width + x + left) * channels;
            for (int c = 0; c < channels; c++)
                to[c] = c < picture->channels ? from[c] : c == 3 ? 255 : from[0];
        }
    }
    return canvas;
}

static void good__palettes_and_gif(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct df_gif how;
        int channels;
    } cases[] = {{"still", {0}, 3},
                 {"interlaced", {.interlaced = true}, 3},
                 {"three frames", {.frames = 3}, 3},
                 {"smaller than its screen", {.screen_width = 400, .screen_height = 300, .left = 50, .top = 20}, 4},
                 {"partly off the screen", {.screen_width = 200, .screen_height = 190, .left = 10, .top = 20}, 4},
                 {"larger than its screen", {.screen_width = 200, .screen_height = 100, .interlaced = true}, 3}};
    struct df_picture picture = df_draw(301, 203, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf file = {0};
        int width = cases[i].how.screen_width ? cases[i].how.screen_width : 301;
        int height = cases[i].how.screen_height ? cases[i].how.screen_height : 203;
        struct df_picture canvas =
            on_canvas(&picture, width, height, cases[i].how.left, cases[i].how.top, cases[i].channels);
        df_gif(&picture, &cases[i].how, &file);
        expect_good(cases[i].name, IM_GIF, &file, &canvas, 1, 1.5, 60);
        free(canvas.data);
        nm_buf_clear(&file);
    }
    struct nm_buf file = {0};
    struct df_picture canvas = on_canvas(&picture, 301, 203, 0, 0, 3);
    df_png(&picture, &(struct df_png){.palette = true}, &file);
    expect_good("palette", IM_PNG, &file, &canvas, 1, 1.5, 40);
    free(canvas.data);
    free(picture.data);
    nm_buf_clear(&file);
}

static void good__gif_colour_that_is_transparent(void **state)
{
    (void)state;
    struct nm_buf file = {0};
    struct df_picture picture = df_draw(300, 200, 1), canvas;
    for (size_t i = 0; i < 300 * 100; i++)
        picture.data[i] = 0;
    df_gif(&picture, &(struct df_gif){.clear = true}, &file);
    canvas = on_canvas(&picture, 300, 200, 0, 0, 4);
    for (size_t i = 0; i < 300 * 100; i++)
        memset(canvas.data + 4 * i, 0, 4);
    expect_good("transparent", IM_GIF, &file, &canvas, 1, 1.5, 80);
    free(canvas.data);
    free(picture.data);
    nm_buf_clear(&file);
}

static void good__webp_of_every_kind(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int width, height, channels;
        bool lossless;
    } cases[] = {{"lossy", 600, 400, 3, false},
                 {"lossy alpha", 603, 401, 4, false},
                 {"lossless", 333, 222, 3, true},
                 {"lossless alpha", 650, 222, 4, true},
                 {"barely larger", 161, 90, 3, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf file = {0};
        struct df_picture picture = df_draw(cases[i].width, cases[i].height, cases[i].channels);
        df_webp(&picture, cases[i].lossless, &file);
        expect_good(cases[i].name, IM_WEBP, &file, &picture, 1, 2.5, 60);
        free(picture.data);
        nm_buf_clear(&file);
    }
    struct nm_buf file = {0};
    struct df_picture picture = df_draw(200, 100, 3), canvas = on_canvas(&picture, 400, 300, 40, 60, 4);
    df_webp_moving(&picture, 400, 300, 40, 60, &file);
    expect_good("moving", IM_WEBP, &file, &canvas, 1, 2.5, 100); /* hard edges, chroma at half size */
    free(canvas.data);
    free(picture.data);
    nm_buf_clear(&file);
}

static void good__every_orientation(void **state)
{
    (void)state;
    struct nm_buf file = {0};
    struct df_picture picture = df_draw(480, 252, 3);
    df_jpeg(&picture, &(struct df_jpeg){.full_chroma = true}, &file);
    for (int orientation = 1; orientation <= 8; orientation++)
        expect_good("turned", IM_JPEG, &file, &picture, orientation, 2.0, 40);
    free(picture.data);
    nm_buf_clear(&file);
}

/* T132. */
static void good__orientation_6_is_upright_within_320(void **state)
{
    (void)state;
    struct nm_buf file = {0};
    struct df_picture picture = df_draw(1200, 630, 3);
    df_jpeg(&picture, &(struct df_jpeg){0}, &file);
    struct im_decoder_job job = dr_job(IM_JPEG, 1200, 630, &file);
    job.facts.orientation = 6;
    dr_add_thumb(&job, 320, IM_THUMB_JPEG);
    struct im_decoded got = dr_run(pool, &job);
    assert_int_equal(got.reason, IM_NONE);
    assert_int_equal(got.thumb[0].width, 168);
    assert_int_equal(got.thumb[0].height, 320);
    expect_thumb(&job, &got, 0, &picture, 2.0, 40);
    dr_close_job(&job);
    free(picture.data);
    nm_buf_clear(&file);
}

static void profile__is_kept_where_it_fits(void **state)
{
    (void)state;
    static const struct {
        int channels;
        bool png, rgb_profile;
        size_t jpeg, webp; /* bytes of the profile in the thumbnail */
    } cases[] = {{3, false, true, sizeof icc_rgb, sizeof icc_rgb},
                 {3, true, true, sizeof icc_rgb, sizeof icc_rgb},
                 {4, true, true, sizeof icc_rgb, sizeof icc_rgb},
                 {1, false, false, sizeof icc_grey, 0},
                 {1, true, false, sizeof icc_grey, 0},
                 {3, false, false, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf file = {0};
        struct df_picture picture = df_draw(300, 200, cases[i].channels);
        const void *icc = cases[i].rgb_profile ? icc_rgb : icc_grey;
        unsigned len = cases[i].rgb_profile ? sizeof icc_rgb : sizeof icc_grey;
        if (cases[i].png)
            df_png(&picture, &(struct df_png){.icc = icc, .icc_len = len}, &file);
        else
            df_jpeg(&picture, &(struct df_jpeg){.icc = icc, .icc_len = len}, &file);
        struct im_decoder_job job = dr_job(cases[i].png ? IM_PNG : IM_JPEG, 300, 200, &file);
        dr_add_thumb(&job, 100, IM_THUMB_JPEG);
        dr_add_thumb(&job, 100, IM_THUMB_WEBP);
        assert_int_equal(dr_run(pool, &job).reason, IM_NONE);
        for (int t = 0; t < 2; t++) {
            size_t icc_len;
            free(read_output(&job, t, &icc_len).data);
            assert_int_equal(icc_len, t == 0 ? cases[i].jpeg : cases[i].webp);
        }
        dr_close_job(&job);
        free(picture.data);
        nm_buf_clear(&file);
    }
}

int main(int argc, char **argv)
{
    dr_be_decoder(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good__jpeg_of_every_kind),
        cmocka_unit_test(good__png_of_every_kind),
        cmocka_unit_test(good__palettes_and_gif),
        cmocka_unit_test(good__gif_colour_that_is_transparent),
        cmocka_unit_test(good__webp_of_every_kind),
        cmocka_unit_test(good__every_orientation),
        cmocka_unit_test(good__orientation_6_is_upright_within_320),
        cmocka_unit_test(profile__is_kept_where_it_fits),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}
