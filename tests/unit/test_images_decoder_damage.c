/* test_images_decoder_damage.c - what a decoder process refuses and why, and the public copy of what it takes. */
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

static int open_pool(void **state)
{
    (void)state;
    pool = dr_open(NULL, 1, 5000, 80000);
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    im_decoders_close(pool);
    return 0;
}

/* A file of 300 x 200 of a type, as the tests of damage want it. */
static void make(enum im_type type, int kind, struct nm_buf *file)
{
    struct df_picture picture = df_draw(300, 200, type == IM_GIF ? 1 : 3);
    if (type == IM_JPEG)
        df_jpeg(&picture, &(struct df_jpeg){.progressive = kind}, file);
    else if (type == IM_PNG)
        df_png(&picture, &(struct df_png){.adam7 = kind, .copyright = "an invented agency"}, file);
    else if (type == IM_GIF)
        df_gif(&picture, &(struct df_gif){.interlaced = kind}, file);
    else
        df_webp(&picture, kind, file);
    free(picture.data);
}

static enum im_reason reason_of(enum im_type type, const struct nm_buf *file, bool no_end)
{
    struct im_decoder_job job = dr_job(type, 300, 200, file);
    job.facts.no_end = no_end;
    dr_add_thumb(&job, 100, IM_THUMB_JPEG);
    enum im_reason reason = dr_run(pool, &job).reason;
    dr_close_job(&job);
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
            struct im_decoder_job job = dr_job((enum im_type)type, 300 - i, 199 + i, &file);
            assert_int_equal(dr_run(pool, &job).reason, IM_decode_fail);
            dr_close_job(&job);
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

/* Where `what` stands in the file; its length: nowhere. */
static size_t find(const struct nm_buf *file, const char *what)
{
    for (size_t i = 0; i + strlen(what) <= file->len; i++)
        if (memcmp(file->data + i, what, strlen(what)) == 0)
            return i;
    return file->len;
}

/* The same job with the image in memory makes the same bytes: the copy, and behind it the thumbnail. */
static void expect_same_in_memory(const struct im_decoder_job *job, const struct nm_buf *file,
                                  const struct nm_buf *copy)
{
    struct im_decoder_job again = *job;
    again.input = (const uint8_t *)file->data;
    again.input_fd = again.copy_fd = again.output_fd[0] = -1;
    struct im_decoded got = dr_run(pool, &again);
    assert_int_equal(got.reason, IM_NONE);
    assert_int_equal(got.copy_bytes, copy->len);
    assert_non_null(got.made);
    assert_memory_equal(got.made, copy->data, copy->len);
    size_t len = (size_t)got.thumb[0].bytes;
    void *data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, job->output_fd[0], 0);
    assert_true(data != MAP_FAILED);
    assert_memory_equal(got.made + copy->len, data, len);
    (void)munmap(data, len);
    free(got.made);
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
            struct im_decoder_job job = dr_job((enum im_type)type, 300, 200, &file);
            job.facts.end = len;
            job.copy = (enum im_copy)copy;
            job.copy_fd = dr_empty();
            dr_add_thumb(&job, 100, IM_THUMB_JPEG);
            struct im_decoded got = dr_run(pool, &job);
            assert_int_equal(got.reason, IM_NONE);
            assert_int_equal(im_strip((const uint8_t *)file.data, len, &job.facts, copy == IM_COPY_CREDITED, &want),
                             IM_NONE);
            assert_int_equal(got.copy_bytes, want.len);
            if (type == IM_PNG)
                assert_int_equal(find(&want, "an invented agency") < want.len, copy == IM_COPY_CREDITED);
            void *data = mmap(NULL, want.len, PROT_READ, MAP_PRIVATE, job.copy_fd, 0);
            assert_true(data != MAP_FAILED);
            assert_memory_equal(data, want.data, want.len);
            assert_true(got.thumb[0].bytes > 0);
            (void)munmap(data, want.len);
            expect_same_in_memory(&job, &file, &want);
            (void)close(job.copy_fd);
            dr_close_job(&job);
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
    struct im_decoder_job job = dr_job(IM_JPEG, 300, 200, &file);
    job.copy = IM_COPY_BARE;
    job.copy_fd = dr_empty();
    struct im_decoded got = dr_run(pool, &job);
    assert_int_equal(got.reason, IM_decode_fail);
    assert_int_equal(got.copy_bytes, 0);
    assert_int_equal(fstat(job.copy_fd, &info), 0);
    assert_int_equal(info.st_size, 0);
    (void)close(job.copy_fd);
    dr_close_job(&job);
    nm_buf_clear(&file);
}

/* T128: the checksum stands behind the chunk's data. */
static void damage__png_checksums(void **state)
{
    (void)state;
    static const struct {
        const char *chunk;
        enum im_reason want;
    } cases[] = {{"IHDR", IM_decode_fail}, {"IDAT", IM_decode_fail}, {"zTXt", IM_NONE}, {"iCCP", IM_NONE}};
    uint8_t icc_rgb[600];
    df_profile("RGB ", icc_rgb, sizeof icc_rgb);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf file = {0};
        struct df_picture picture = df_draw(300, 200, 3);
        df_png(&picture, &(struct df_png){.text = "text", .text_len = 4, .icc = icc_rgb, .icc_len = sizeof icc_rgb},
               &file);
        size_t at = find(&file, cases[i].chunk);
        assert_true(at < file.len);
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
    assert_true(at < file.len);
    struct im_decoder_job job = dr_job(IM_WEBP, 301, 200, &file);
    dr_close_job(&job);
    file.data[at + 8 + 4]++;
    job = dr_job(IM_WEBP, 301, 200, &file);
    assert_int_equal(dr_run(pool, &job).reason, IM_decode_fail);
    dr_close_job(&job);
    free(picture.data);
    nm_buf_clear(&file);
}

int main(int argc, char **argv)
{
    dr_be_decoder(argc, argv);
    const struct CMUnitTest tests[] = {
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
