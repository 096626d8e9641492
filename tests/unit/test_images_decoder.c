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
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct im_decoders *pool;

static uint8_t icc_rgb[600], icc_grey[400];

static int open_pool(void **state)
{
    (void)state;
    /* A header that libpng accepts (ICC.1:2010, 7.2): size, version, class, space, connection space, signature. */
    static const struct {
        uint8_t *icc;
        size_t len;
        const char *space;
    } profiles[] = {{icc_rgb, sizeof icc_rgb, "RGB "}, {icc_grey, sizeof icc_grey, "GRAY"}};
    for (size_t i = 0; i < 2; i++) {
        uint8_t *icc = profiles[i].icc;
        for (size_t b = 132; b < profiles[i].len; b++) /* libpng refuses what is too easily compressed */
            icc[b] = (uint8_t)(b * 7919 >> 3);
        icc[2] = (uint8_t)(profiles[i].len >> 8);
        icc[3] = (uint8_t)profiles[i].len;
        memcpy(icc + 8, "\x02\x10\0\0mntr", 8);
        memcpy(icc + 16, profiles[i].space, 4);
        memcpy(icc + 20, "XYZ ", 4);
        memcpy(icc + 36, "acsp", 4);
        memcpy(icc + 68, "\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d", 12); /* D50 */
    }
    pool = dr_open(NULL, 1, 5000, 20000);
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    im_decoders_close(pool);
    return 0;
}

static struct im_decoder_job job_of(enum im_type type, int width, int height, const struct nm_buf *file)
{
    return (struct im_decoder_job){.facts = dr_facts(type, width, height, 1, file->len),
                                   .limits = dr_limits(),
                                   .input_fd = dr_file(file->data, file->len)};
}

static void add_thumb(struct im_decoder_job *job, int edge, enum im_thumb_format format)
{
    job->thumb[job->n_thumbs] = (struct im_thumb){.edge = edge, .format = (int32_t)format, .quality = 95};
    job->output_fd[job->n_thumbs++] = dr_empty();
}

static void close_job(const struct im_decoder_job *job)
{
    (void)close(job->input_fd);
    for (int i = 0; i < job->n_thumbs; i++)
        (void)close(job->output_fd[i]);
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
    struct im_decoder_job job = job_of(type, canvas->width, canvas->height, file);
    job.facts.orientation = orientation;
    add_thumb(&job, 160, IM_THUMB_JPEG);
    add_thumb(&job, 100, IM_THUMB_WEBP);
    add_thumb(&job, 1200, IM_THUMB_JPEG);
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
    close_job(&job);
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
    struct im_decoder_job job = job_of(IM_JPEG, 1200, 630, &file);
    job.facts.orientation = 6;
    add_thumb(&job, 320, IM_THUMB_JPEG);
    struct im_decoded got = dr_run(pool, &job);
    assert_int_equal(got.reason, IM_NONE);
    assert_int_equal(got.thumb[0].width, 168);
    assert_int_equal(got.thumb[0].height, 320);
    expect_thumb(&job, &got, 0, &picture, 2.0, 40);
    close_job(&job);
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
        struct im_decoder_job job = job_of(cases[i].png ? IM_PNG : IM_JPEG, 300, 200, &file);
        add_thumb(&job, 100, IM_THUMB_JPEG);
        add_thumb(&job, 100, IM_THUMB_WEBP);
        assert_int_equal(dr_run(pool, &job).reason, IM_NONE);
        for (int t = 0; t < 2; t++) {
            size_t icc_len;
            free(read_output(&job, t, &icc_len).data);
            assert_int_equal(icc_len, t == 0 ? cases[i].jpeg : cases[i].webp);
        }
        close_job(&job);
        free(picture.data);
        nm_buf_clear(&file);
    }
}

/* A file of 300 x 200 of a type, as the tests of damage want it. */
static void make(enum im_type type, int kind, struct nm_buf *file)
{
    struct df_picture picture = df_draw(300, 200, type == IM_GIF ? 1 : 3);
    if (type == IM_JPEG)
        df_jpeg(&picture, &(struct df_jpeg){.progressive = kind}, file);
    else if (type == IM_PNG)
        df_png(&picture, &(struct df_png){.adam7 = kind}, file);
    else if (type == IM_GIF)
        df_gif(&picture, &(struct df_gif){.interlaced = kind}, file);
    else
        df_webp(&picture, kind, file);
    free(picture.data);
}

static enum im_reason reason_of(enum im_type type, const struct nm_buf *file, bool no_end)
{
    struct im_decoder_job job = job_of(type, 300, 200, file);
    job.facts.no_end = no_end;
    add_thumb(&job, 100, IM_THUMB_JPEG);
    enum im_reason reason = dr_run(pool, &job).reason;
    close_job(&job);
    return reason;
}

/* T118, and every tenth of each file. */
static void truncated__at_any_length(void **state)
{
    (void)state;
    for (int type = IM_JPEG; type <= IM_WEBP; type++) {
        for (int kind = 0; kind < 2; kind++) {
            struct nm_buf file = {0};
            make((enum im_type)type, kind, &file);
            assert_int_equal(reason_of((enum im_type)type, &file, false), IM_NONE);
            for (size_t tenth = 1; tenth < 10; tenth++) {
                struct nm_buf cut = {.data = file.data, .len = file.len * tenth / 10};
                enum im_reason reason = reason_of((enum im_type)type, &cut, false);
                if (reason != IM_truncated)
                    fail_msg("type %d, kind %d, %zu0 %%: %s", type, kind, tenth, im_reason_name(reason));
            }
            nm_buf_clear(&file);
        }
    }
}

/* T119. */
static void truncated__jpeg_without_its_end_marker_is_taken_if_the_probe_says_so(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct nm_buf file = {0};
        make(IM_JPEG, kind, &file);
        file.len -= 2;
        assert_int_equal(reason_of(IM_JPEG, &file, false), IM_truncated);
        assert_int_equal(reason_of(IM_JPEG, &file, true), IM_NONE);
        file.len -= 300;
        assert_int_equal(reason_of(IM_JPEG, &file, true), IM_truncated);
        nm_buf_clear(&file);
    }
}

static void damage__facts_of_another_size(void **state)
{
    (void)state;
    for (int type = IM_JPEG; type <= IM_WEBP; type++) {
        for (int i = 0; i < 2; i++) {
            struct nm_buf file = {0};
            make((enum im_type)type, 0, &file);
            struct im_decoder_job job = job_of((enum im_type)type, 300 - i, 199 + i, &file);
            assert_int_equal(dr_run(pool, &job).reason, IM_decode_fail);
            close_job(&job);
            nm_buf_clear(&file);
        }
    }
}

static void damage__another_type_than_the_facts_say(void **state)
{
    (void)state;
    for (int type = IM_JPEG; type <= IM_WEBP; type++) {
        struct nm_buf file = {0};
        make((enum im_type)type, 0, &file);
        for (int claimed = IM_JPEG; claimed <= IM_WEBP; claimed++) {
            enum im_reason reason = reason_of((enum im_type)claimed, &file, false);
            if (claimed != type)
                assert_true(reason == IM_decode_fail || reason == IM_truncated);
        }
        nm_buf_clear(&file);
    }
}

/* libjpeg fills what is missing with grey and only warns. */
static void damage__jpeg_that_ends_in_its_middle(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct nm_buf file = {0};
        make(IM_JPEG, kind, &file);
        memcpy(file.data + file.len / 2, "\xff\xd9", 2);
        assert_int_equal(reason_of(IM_JPEG, &file, false), IM_decode_fail);
        nm_buf_clear(&file);
    }
}

/* R14: the copy is what strip.h makes of the image, and of an image that does not decode there is none. */
static void copy__is_the_image_without_what_is_appended(void **state)
{
    (void)state;
    for (int type = IM_JPEG; type <= IM_WEBP; type++) {
        for (int copy = IM_COPY_BARE; copy <= IM_COPY_CREDITED; copy++) {
            struct nm_buf file = {0}, want = {0};
            make((enum im_type)type, 0, &file);
            size_t len = file.len;
            nm_buf_adds(&file, "<script>alert(1)</script>");
            struct im_decoder_job job = job_of((enum im_type)type, 300, 200, &file);
            job.facts.end = len;
            job.copy = (enum im_copy)copy;
            job.copy_fd = dr_empty();
            add_thumb(&job, 100, IM_THUMB_JPEG);
            struct im_decoded got = dr_run(pool, &job);
            assert_int_equal(got.reason, IM_NONE);
            assert_int_equal(im_strip((const uint8_t *)file.data, len, &job.facts, copy == IM_COPY_CREDITED, &want),
                             IM_NONE);
            assert_int_equal(got.copy_bytes, want.len);
            void *data = mmap(NULL, want.len, PROT_READ, MAP_PRIVATE, job.copy_fd, 0);
            assert_true(data != MAP_FAILED);
            assert_memory_equal(data, want.data, want.len);
            assert_true(got.thumb[0].bytes > 0);
            (void)munmap(data, want.len);
            (void)close(job.copy_fd);
            close_job(&job);
            nm_buf_clear(&file);
            nm_buf_clear(&want);
        }
    }
}

static void copy__of_a_broken_image_is_none(void **state)
{
    (void)state;
    struct nm_buf file = {0};
    struct stat info;
    make(IM_JPEG, 0, &file);
    memcpy(file.data + file.len / 2, "\xff\xd9", 2);
    struct im_decoder_job job = job_of(IM_JPEG, 300, 200, &file);
    job.copy = IM_COPY_BARE;
    job.copy_fd = dr_empty();
    struct im_decoded got = dr_run(pool, &job);
    assert_int_equal(got.reason, IM_decode_fail);
    assert_int_equal(got.copy_bytes, 0);
    assert_int_equal(fstat(job.copy_fd, &info), 0);
    assert_int_equal(info.st_size, 0);
    (void)close(job.copy_fd);
    close_job(&job);
    nm_buf_clear(&file);
}

static size_t find(const struct nm_buf *file, const char *what)
{
    for (size_t i = 0; i + strlen(what) <= file->len; i++)
        if (memcmp(file->data + i, what, strlen(what)) == 0)
            return i;
    fail_msg("no %s", what);
    return 0;
}

/* T128: the checksum stands behind the chunk's data. */
static void damage__png_checksums(void **state)
{
    (void)state;
    static const struct {
        const char *chunk;
        enum im_reason want;
    } cases[] = {{"IHDR", IM_decode_fail}, {"IDAT", IM_decode_fail}, {"zTXt", IM_NONE}, {"iCCP", IM_NONE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf file = {0};
        struct df_picture picture = df_draw(300, 200, 3);
        df_png(&picture, &(struct df_png){.text = "text", .text_len = 4, .icc = icc_rgb, .icc_len = sizeof icc_rgb},
               &file);
        size_t at = find(&file, cases[i].chunk);
        const uint8_t *length = (const uint8_t *)file.data + at - 4;
        file.data[at + 4 + ((size_t)length[2] << 8 | length[3])] ^= 1;
        assert_int_equal(reason_of(IM_PNG, &file, false), cases[i].want);
        free(picture.data);
        nm_buf_clear(&file);
    }
}

/* T123. */
static void damage__gif(void **state)
{
    (void)state;
    static const struct {
        int left, top;
    } outside[] = {{300, 0}, {0, 200}, {65000, 65000}};
    struct df_picture picture = df_draw(40, 30, 1);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        struct nm_buf file = {0};
        df_gif(
            &picture,
            &(struct df_gif){.screen_width = 300, .screen_height = 200, .left = outside[i].left, .top = outside[i].top},
            &file);
        assert_int_equal(reason_of(IM_GIF, &file, false), IM_decode_fail);
        nm_buf_clear(&file);
    }
    free(picture.data);
    for (int code = 0; code < 256; code += code < 14 ? 1 : 60) {
        struct nm_buf file = {0};
        make(IM_GIF, 0, &file);
        size_t data = 13 + 768 + 8 + 10; /* head, palette, control extension, descriptor */
        assert_int_equal(file.data[data], 8);
        file.data[data] = (char)code;
        enum im_reason reason = reason_of(IM_GIF, &file, false);
        if (code != 8 && reason != IM_decode_fail)
            fail_msg("code size %d: %s", code, im_reason_name(reason));
        nm_buf_clear(&file);
    }
    struct nm_buf file = {0};
    nm_buf_add(&file, "GIF89a\x2c\x01\xc8\0\0\0\0;", 14); /* no frame, no palette */
    assert_int_equal(reason_of(IM_GIF, &file, false), IM_decode_fail);
    nm_buf_clear(&file);
}

static void damage__a_gif_frame_far_larger_than_its_screen(void **state)
{
    (void)state;
    struct nm_buf file = {0};
    make(IM_GIF, 0, &file);
    memset(file.data + 13 + 768 + 8 + 5, 255, 4); /* 65535 x 65535 */
    assert_int_equal(reason_of(IM_GIF, &file, false), IM_dims_too_big);
    nm_buf_clear(&file);
}

/* T125: the canvas of the extended header says 1 more than the picture has. */
static void damage__webp_canvas_and_picture_differ(void **state)
{
    (void)state;
    struct nm_buf file = {0};
    struct df_picture picture = df_draw(300, 200, 4);
    df_webp(&picture, false, &file);
    size_t at = find(&file, "VP8X");
    struct im_decoder_job job = job_of(IM_WEBP, 301, 200, &file);
    close_job(&job);
    file.data[at + 8 + 4]++;
    job = job_of(IM_WEBP, 301, 200, &file);
    assert_int_equal(dr_run(pool, &job).reason, IM_decode_fail);
    close_job(&job);
    free(picture.data);
    nm_buf_clear(&file);
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
        cmocka_unit_test(copy__is_the_image_without_what_is_appended),
        cmocka_unit_test(copy__of_a_broken_image_is_none),
        cmocka_unit_test(truncated__at_any_length),
        cmocka_unit_test(truncated__jpeg_without_its_end_marker_is_taken_if_the_probe_says_so),
        cmocka_unit_test(damage__facts_of_another_size),
        cmocka_unit_test(damage__another_type_than_the_facts_say),
        cmocka_unit_test(damage__jpeg_that_ends_in_its_middle),
        cmocka_unit_test(damage__png_checksums),
        cmocka_unit_test(damage__gif),
        cmocka_unit_test(damage__a_gif_frame_far_larger_than_its_screen),
        cmocka_unit_test(damage__webp_canvas_and_picture_differ),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}
