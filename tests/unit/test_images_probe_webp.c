/* test_images_probe_webp.c - WebP: still, lossless, extended and animated; canvases and chunks that do not fit. */
#include "images_probe_fixture.h"

#define ANIMATED 0x02
#define ALPHA    0x10

/* An extended still image of 20 x 10. */
static void put_extended(struct nm_buf *b, int flags, uint32_t canvas_width, uint32_t canvas_height)
{
    put_webp(b);
    put_vp8x(b, flags, canvas_width, canvas_height);
    put_riff(b, "ICCP", "profile", 7);
    put_riff(b, "ALPH", "\0x", 2);
    put_vp8(b, 20, 10);
    put_riff(b, "XMP ", "x", 1);
    webp_close(b);
}

static void webp__simple_and_lossless(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        int kind; /* 0 VP8, 1 VP8L, 2 VP8L with alpha */
    } cases[] = {{20, 10, 0}, {20, 10, 1}, {20, 10, 2}, {1, 1, 0}, {1, 1, 1}, {999, 1000, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_webp(&b);
        if (cases[i].kind == 0)
            put_vp8(&b, cases[i].width | 0x4000, cases[i].height | 0x8000); /* the upper two bits are a scale */
        else
            put_vp8l(&b, cases[i].width, cases[i].height, cases[i].kind == 2);
        webp_close(&b);
        size_t len = b.len;
        nm_buf_adds(&b, "<script>");
        struct im_facts f = facts_of(&b);
        assert_int_equal(f.type, IM_WEBP);
        assert_int_equal(f.width, cases[i].width);
        assert_int_equal(f.height, cases[i].height);
        assert_int_equal(f.alpha, cases[i].kind == 2);
        assert_int_equal(f.channels, cases[i].kind == 2 ? 4 : 3);
        assert_int_equal(f.bit_depth, 8);
        assert_int_equal(f.frames, 1);
        assert_int_equal(f.end, len);
    }
}

static void webp__extended(void **state)
{
    (void)state;
    for (int alpha = 0; alpha < 2; alpha++) {
        struct nm_buf b = {0};
        put_extended(&b, alpha ? ALPHA : 0, 20, 10);
        struct im_facts f = facts_of(&b);
        assert_int_equal(f.width, 20);
        assert_int_equal(f.height, 10);
        assert_int_equal(f.alpha, alpha);
        assert_int_equal(f.frames, 1);
    }
    struct nm_buf b = {0};
    put_webp(&b); /* without the pad byte of its last chunk */
    put_vp8x(&b, 0, 20, 10);
    put_vp8l(&b, 20, 10, 1);
    put_riff(&b, "XMP ", "x", 1);
    b.len--;
    webp_close(&b);
    assert_true(facts_of(&b).alpha);
}

/* EXIF stands behind the pixels: no browser turns the picture by it. */
static void webp__orientation_is_1(void **state)
{
    (void)state;
    struct nm_buf b = {0}, t = {0};
    put_exif(&t, &(struct exif){.orientation = 6});
    put_webp(&b);
    put_vp8x(&b, 8, 20, 10);
    put_vp8(&b, 20, 10);
    put_riff(&b, "EXIF", t.data, t.len);
    webp_close(&b);
    struct im_facts f = facts_of(&b);
    assert_int_equal(f.orientation, 1);
    assert_int_equal(f.width, 20);
    nm_buf_clear(&t);
}

static void webp__canvas_and_bitstream_that_differ_fail(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{21, 10}, {19, 10}, {20, 11}, {20, 9}, {10, 20}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct nm_buf b = {0};
        put_extended(&b, 0, sizes[i][0], sizes[i][1]);
        EXPECT(&b, decode_fail);
    }
}

static void webp__dimensions_in_the_header(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    put_extended(&b, 0, 16384, 16384);
    EXPECT(&b, dims_too_big);
    put_webp(&b);
    put_vp8(&b, 0, 10);
    webp_close(&b);
    EXPECT(&b, dims_invalid);
    put_webp(&b);
    put_vp8l(&b, 16384, 16384, 0);
    webp_close(&b);
    EXPECT(&b, dims_too_big);
    put_webp(&b);
    put_vp8x(&b, ANIMATED, 16384, 16384);
    put_riff(&b, "ANIM", "\0\0\0\0\0", 6);
    put_webp_frame(&b, &(struct webp_frame){.width = 2, .height = 2});
    webp_close(&b);
    EXPECT(&b, dims_too_big);
}

static void put_animation(struct nm_buf *b, int n, const struct webp_frame *frame)
{
    put_webp(b);
    put_vp8x(b, ANIMATED | ALPHA, 100, 50);
    put_riff(b, "ANIM", "\0\0\0\0\0", 6);
    for (int i = 0; i < n; i++)
        put_webp_frame(b, frame);
    put_riff(b, "XMP ", "x", 1);
    webp_close(b);
}

static void webp__animated(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    put_animation(&b, 3, &(struct webp_frame){.x = 80, .y = 40, .width = 20, .height = 10, .lossless = true});
    struct im_facts f = facts_of(&b);
    assert_int_equal(f.width, 100);
    assert_int_equal(f.height, 50);
    assert_int_equal(f.frames, 3);
    assert_true(f.alpha);
    for (int n = 15; n <= 18; n++) {
        put_animation(&b, n, &(struct webp_frame){.width = 20, .height = 10});
        if (n > test_limits.max_frames)
            EXPECT(&b, frames_too_many);
        else
            assert_int_equal(facts_of(&b).frames, n);
    }
    put_animation(&b, 500, &(struct webp_frame){.width = 20, .height = 10});
    EXPECT(&b, frames_too_many);
}

static void webp__frames_that_do_not_fit_fail(void **state)
{
    (void)state;
    static const struct webp_frame cases[] = {
        {.x = 82, .y = 40, .width = 20, .height = 10},
        {.x = 80, .y = 42, .width = 20, .height = 10},
        {.width = 101, .height = 10},
        {.width = 10, .height = 51},
        {.x = 0x1FFFFFE, .width = 1 << 24, .height = 10},
        {.width = 20, .height = 10, .picture_width = 21, .picture_height = 10},
        {.width = 20, .height = 10, .picture_width = 20, .picture_height = 9, .lossless = true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_animation(&b, 2, &cases[i]);
        EXPECT(&b, decode_fail);
    }
}

static void webp__animations_without_parts_fail(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    struct webp_frame frame = {.width = 20, .height = 10};
    put_animation(&b, 0, &frame);
    EXPECT(&b, decode_fail); /* no frame */
    put_webp(&b);
    put_vp8x(&b, ANIMATED, 100, 50);
    put_webp_frame(&b, &frame);
    webp_close(&b);
    EXPECT(&b, decode_fail); /* no ANIM before it */
    put_webp(&b);
    put_vp8x(&b, ANIMATED, 100, 50);
    put_riff(&b, "ANIM", "\0\0\0\0", 4);
    put_webp_frame(&b, &frame);
    webp_close(&b);
    EXPECT(&b, decode_fail); /* a short one */
    put_webp(&b);
    put_vp8x(&b, ANIMATED, 20, 10);
    put_vp8(&b, 20, 10);
    webp_close(&b);
    EXPECT(&b, decode_fail); /* a still picture in it */
    put_webp(&b);
    put_vp8x(&b, ANIMATED, 20, 10);
    put_riff(&b, "ANIM", "\0\0\0\0\0", 6);
    put_webp_frame(&b, &frame);
    put_vp8(&b, 20, 10);
    webp_close(&b);
    EXPECT(&b, decode_fail); /* beside a frame too */
    put_webp(&b);
    put_vp8x(&b, ANIMATED, 100, 50);
    put_riff(&b, "ANIM", "\0\0\0\0\0", 6);
    put_riff(&b, "ANMF", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
    webp_close(&b);
    EXPECT(&b, decode_fail); /* a short frame */
    put_webp(&b);
    put_vp8x(&b, ANIMATED, 100, 50);
    put_riff(&b, "ANIM", "\0\0\0\0\0", 6);
    put_riff(&b, "ANMF", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0ALPH\x02\0\0\0xx", 26);
    webp_close(&b);
    EXPECT(&b, decode_fail); /* one without a picture */
}

static void webp__stills_without_or_with_two_pictures_fail(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    put_webp(&b);
    put_vp8x(&b, 0, 20, 10);
    put_riff(&b, "XMP ", "xy", 2);
    webp_close(&b);
    EXPECT(&b, decode_fail);
    put_webp(&b);
    put_vp8x(&b, 0, 20, 10);
    put_vp8(&b, 20, 10);
    put_vp8(&b, 20, 10);
    webp_close(&b);
    EXPECT(&b, decode_fail);
    put_webp(&b);
    put_riff(&b, "ALPH", "xxxxxxxxxxxx", 12); /* neither a bitstream nor VP8X first */
    put_vp8(&b, 20, 10);
    webp_close(&b);
    EXPECT(&b, decode_fail);
    put_webp(&b);
    put_riff(&b, "VP8X", "\0\0\0\0\x13\0\0\x09\0\0\0\0", 12); /* not its length */
    put_vp8(&b, 20, 10);
    webp_close(&b);
    EXPECT(&b, decode_fail);
}

static void webp__bitstream_headers_that_no_decoder_takes_fail(void **state)
{
    (void)state;
    static const struct {
        int at, value; /* from the beginning of the bitstream */
        bool lossless;
    } cases[] = {
        {0, 0x31, false},                                                  /* no key frame                 */
        {0, 0x20, false},                                                  /* not shown                    */
        {0, 0x38, false},                                                  /* profile 4                    */
        {1, 0x80, false},                                                  /* a partition beyond the chunk */
        {3, 0x9C, false}, {5, 0, false}, {0, 0x2E, true}, {4, 0x20, true}, /* version 1 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_webp(&b);
        if (cases[i].lossless)
            put_vp8l(&b, 20, 10, 0);
        else
            put_vp8(&b, 20, 10);
        webp_close(&b);
        b.data[20 + cases[i].at] = (char)(uint8_t)cases[i].value;
        EXPECT(&b, decode_fail);
    }
    struct nm_buf b = {0};
    put_webp(&b);
    put_riff(&b, "VP8 ", "\x30\0\0\x9D\x01\x2A\x14\0\x0A", 9);
    webp_close(&b);
    EXPECT(&b, decode_fail);
    put_webp(&b);
    put_riff(&b, "VP8L", "\x2F\x13\x40\0", 4);
    webp_close(&b);
    EXPECT(&b, decode_fail);
}

static void webp__sizes_that_lie(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
        enum im_reason want;
    } cases[] = {
        {4, 0, IM_decode_fail},           {4, 11, IM_decode_fail},          {4, 12, IM_decode_fail},
        {4, 0xFFFFFFFF, IM_decode_fail},  {4, 0xFFFFFFF6, IM_truncated},    {4, 46, IM_truncated},
        {16, 0xFFFFFFFF, IM_decode_fail}, {16, 0x7FFFFFFF, IM_decode_fail}, {16, 27, IM_decode_fail},
        {16, 0, IM_decode_fail},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_webp(&b);
        put_vp8(&b, 20, 10);
        webp_close(&b);
        for (int k = 0; k < 4; k++)
            b.data[cases[i].at + (size_t)k] = (char)(uint8_t)(cases[i].value >> (8 * k));
        expect_at(__LINE__, &b, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(webp__simple_and_lossless),
        cmocka_unit_test(webp__extended),
        cmocka_unit_test(webp__orientation_is_1),
        cmocka_unit_test(webp__canvas_and_bitstream_that_differ_fail),
        cmocka_unit_test(webp__dimensions_in_the_header),
        cmocka_unit_test(webp__animated),
        cmocka_unit_test(webp__frames_that_do_not_fit_fail),
        cmocka_unit_test(webp__animations_without_parts_fail),
        cmocka_unit_test(webp__stills_without_or_with_two_pictures_fail),
        cmocka_unit_test(webp__bitstream_headers_that_no_decoder_takes_fail),
        cmocka_unit_test(webp__sizes_that_lie),
    };
    return cmocka_run_group_tests_name("images_probe_webp", tests, NULL, NULL);
}
