/* test_images_thumbnails.c - the area average against floating point, sizes, orientations, profiles, full disks. */
#include "decoder_files.h"
#include "images/thumbnails.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void size__longer_edge_is_the_edge(void **state)
{
    (void)state;
    static const struct {
        int32_t width, height, edge, want_width, want_height; /* 0: none */
    } cases[] = {
        {1200, 630, 320, 320, 168}, {630, 1200, 320, 168, 320},  {4000, 3000, 1200, 1200, 900}, {320, 100, 320, 0, 0},
        {321, 321, 320, 320, 320},  {100, 80, 320, 0, 0},        {10000, 1, 320, 320, 1},       {1, 10000, 320, 1, 320},
        {32767, 32767, 10, 10, 10}, {1001, 1000, 999, 999, 998},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t width = 0, height = 0;
        bool made = im_thumb_size(cases[i].width, cases[i].height, cases[i].edge, &width, &height);
        if (made != (cases[i].want_width > 0) || width != cases[i].want_width || height != cases[i].want_height)
            fail_msg("case %zu: %d x %d", i, (int)width, (int)height);
    }
}

/* The rows of a picture through a set of one thumbnail of this edge. */
static void feed(struct im_thumbs *set, const struct df_picture *picture, int32_t edge, int orientation)
{
    struct im_thumb want = {.edge = edge, .format = IM_THUMB_JPEG, .quality = 90};
    im_thumbs_init(set, &want, 1, picture->width, picture->height, orientation);
    assert_int_equal(im_thumbs_begin(set, picture->width, picture->height, picture->channels), IM_NONE);
    for (int y = 0; y < picture->height; y++)
        im_thumbs_row(set, picture->data + (size_t)y * (size_t)picture->width * (size_t)picture->channels);
}

static void average__is_exact_to_one_step(void **state)
{
    (void)state;
    static const int sizes[][3] = {{120, 63, 32}, {63, 120, 62}, {97, 89, 96}, {200, 3, 10},
                                   {3, 200, 11},  {400, 1, 100}, {64, 64, 16}, {101, 67, 50}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int channels = 1; channels <= 4; channels++) {
            struct df_picture picture = df_draw(sizes[i][0], sizes[i][1], channels);
            struct im_thumbs set;
            feed(&set, &picture, sizes[i][2], 1);
            struct df_picture got = {set.made[0].width, set.made[0].height, channels, set.made[0].pixels};
            struct df_picture want = df_average(&picture, got.width, got.height, false);
            int largest;
            assert_int_equal(set.made[0].row, got.height);
            (void)df_difference(&got, &want, &largest);
            if (largest > 1)
                fail_msg("%d x %d, %d channels: off by %d", got.width, got.height, channels, largest);
            free(want.data);
            free(picture.data);
            im_thumbs_clear(&set);
        }
    }
}

static void average__of_one_colour_is_that_colour(void **state)
{
    (void)state;
    struct df_picture picture = df_draw(1023, 511, 4);
    for (size_t i = 0; i < (size_t)1023 * 511; i++)
        memcpy(picture.data + i * 4, "\xff\x01\x80\xff", 4);
    struct im_thumbs set;
    feed(&set, &picture, 100, 1);
    for (size_t i = 0; i < (size_t)set.made[0].width * (size_t)set.made[0].height; i++)
        assert_memory_equal(set.made[0].pixels + i * 4, "\xff\x01\x80\xff", 4);
    im_thumbs_clear(&set);
    free(picture.data);
}

static void average__widest_picture_does_not_overflow(void **state)
{
    (void)state;
    struct df_picture picture = {IM_EDGE_MAX, 2, 4, NULL};
    size_t n = (size_t)IM_EDGE_MAX * 2 * 4;
    picture.data = malloc(n);
    assert_non_null(picture.data);
    memset(picture.data, 255, n);
    struct im_thumbs set;
    feed(&set, &picture, 10, 1);
    assert_int_equal(set.made[0].width, 10);
    assert_int_equal(set.made[0].height, 1);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(set.made[0].pixels[i], 255);
    im_thumbs_clear(&set);
    free(picture.data);
}

static void upright__every_orientation(void **state)
{
    (void)state;
    struct df_picture picture = df_draw(37, 23, 3);
    for (int orientation = 1; orientation <= 8; orientation++) {
        struct im_thumbs set;
        feed(&set, &picture, 20, orientation);
        struct df_picture flat = {set.made[0].width, set.made[0].height, 3, set.made[0].pixels};
        struct df_picture want = df_upright(&flat, orientation);
        uint8_t row[20 * 3];
        for (int y = 0; y < want.height; y++) {
            im_thumbs_upright(&set, 0, y, row);
            assert_memory_equal(row, want.data + (size_t)y * (size_t)want.width * 3, (size_t)want.width * 3);
        }
        free(want.data);
        im_thumbs_clear(&set);
    }
    free(picture.data);
}

static void begin__a_size_that_is_too_small_or_too_large_is_refused(void **state)
{
    (void)state;
    static const struct {
        int32_t width, height;
        enum im_reason want;
    } cases[] = {{1200, 630, IM_NONE},        {600, 315, IM_NONE},        {320, 168, IM_NONE},
                 {319, 168, IM_decode_fail},  {320, 167, IM_decode_fail}, {1201, 630, IM_decode_fail},
                 {1200, 631, IM_decode_fail}, {0, 630, IM_decode_fail},   {1200, -1, IM_decode_fail}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct im_thumb want = {.edge = 320, .quality = 80};
        struct im_thumbs set;
        im_thumbs_init(&set, &want, 1, 1200, 630, 1);
        assert_int_equal(im_thumbs_begin(&set, cases[i].width, cases[i].height, 3), cases[i].want);
        im_thumbs_clear(&set);
    }
}

static void profile__only_one_that_fits_the_samples(void **state)
{
    (void)state;
    static const struct {
        const char *space;
        size_t len;
        int channels;
        bool want;
    } cases[] = {{"RGB ", 500, 3, true},
                 {"RGB ", 500, 4, true},
                 {"RGB ", 500, 1, false},
                 {"GRAY", 500, 1, true},
                 {"GRAY", 500, 2, true},
                 {"GRAY", 500, 3, false},
                 {"CMYK", 500, 3, false},
                 {"RGB ", 127, 3, false},
                 {"RGB ", 128, 3, true},
                 {"RGB ", IM_ICC_BYTES, 3, true},
                 {"RGB ", IM_ICC_BYTES + 1, 3, false}};
    static uint8_t icc[IM_ICC_BYTES + 1];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct im_thumbs set;
        memcpy(icc + 16, cases[i].space, 4);
        im_thumbs_init(&set, NULL, 0, 30, 20, 1);
        assert_int_equal(im_thumbs_begin(&set, 30, 20, cases[i].channels), IM_NONE);
        im_thumbs_profile(&set, NULL, 500);
        im_thumbs_profile(&set, icc, cases[i].len);
        if ((set.icc != NULL) != cases[i].want)
            fail_msg("%s of %zu bytes for %d channels", cases[i].space, cases[i].len, cases[i].channels);
        im_thumbs_clear(&set);
    }
}

static void write__a_full_disk_is_no_fault_of_the_picture(void **state)
{
    (void)state;
    struct df_picture picture = df_draw(120, 80, 3);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), wrong = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(full >= 0 && wrong >= 0);
    for (int32_t format = IM_THUMB_JPEG; format <= IM_THUMB_WEBP; format++) {
        struct im_thumbs set;
        int32_t width = 7, height = 7;
        int64_t bytes = 7;
        feed(&set, &picture, 50, 1);
        set.want[0].format = format;
        assert_int_equal(im_thumbs_write(&set, 0, full, &width, &height, &bytes), IM_store_full);
        assert_int_equal(im_thumbs_write(&set, 0, wrong, &width, &height, &bytes), IM_store_io);
        assert_true(width == 7 && height == 7 && bytes == 7);
        im_thumbs_clear(&set);
    }
    (void)close(full);
    (void)close(wrong);
    free(picture.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size__longer_edge_is_the_edge),
        cmocka_unit_test(average__is_exact_to_one_step),
        cmocka_unit_test(average__of_one_colour_is_that_colour),
        cmocka_unit_test(average__widest_picture_does_not_overflow),
        cmocka_unit_test(upright__every_orientation),
        cmocka_unit_test(begin__a_size_that_is_too_small_or_too_large_is_refused),
        cmocka_unit_test(profile__only_one_that_fits_the_samples),
        cmocka_unit_test(write__a_full_disk_is_no_fault_of_the_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
