/* test_images_probe_png.c - PNG and GIF: depths and kinds, checksums, frames and screens, what is missing or too much.
 */
#include "images_probe_fixture.h"

/* ---- PNG ---- */

static void png__depths_and_colours(void **state)
{
    (void)state;
    static const struct {
        int color, channels, depths; /* a bit for each depth that is allowed */
    } cases[] = {
        {0, 1, 1 | 2 | 4 | 8 | 16},
        {1, 0, 0},
        {2, 3, 8 | 16},
        {3, 1, 1 | 2 | 4 | 8},
        {4, 2, 8 | 16},
        {5, 0, 0},
        {6, 4, 8 | 16},
        {7, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int depth = 0; depth <= 32; depth++)
            for (int adam7 = 0; adam7 < 3; adam7++) {
                struct nm_buf b = {0};
                bool allowed = (depth & (depth - 1)) == 0 && (cases[i].depths & depth) != 0 && adam7 < 2;
                put_png(&b, 31, 17, depth, cases[i].color, adam7);
                size_t len = b.len;
                if (!allowed) {
                    EXPECT(&b, decode_fail);
                    continue;
                }
                struct im_facts f = facts_of(&b);
                assert_int_equal(f.type, IM_PNG);
                assert_int_equal(f.width, 31);
                assert_int_equal(f.height, 17);
                assert_int_equal(f.bit_depth, depth);
                assert_int_equal(f.channels, cases[i].channels);
                assert_int_equal(f.alpha, cases[i].color >= 4);
                assert_int_equal(f.interlaced, adam7);
                assert_int_equal(f.frames, 1);
                assert_int_equal(f.scans, 0);
                assert_int_equal(f.end, len);
            }
}

static void png__dimensions_in_the_header(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        enum im_reason want;
    } cases[] = {
        {60000, 60000, IM_dims_too_big},
        {0x7FFFFFFF, 0x7FFFFFFF, IM_dims_too_big},
        {0x80000000, 0x80000000, IM_dims_invalid},
        {0xFFFFFFFF, 1, IM_dims_invalid},
        {0, 10, IM_dims_invalid},
        {10, 0, IM_dims_invalid},
        {10, 0x80000000, IM_dims_invalid},
        {20000, 20000, IM_dims_too_big},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_png_header(&b, cases[i].width, cases[i].height, 8, 2, 0); /* and nothing behind it */
        struct im_facts f;
        assert_int_equal(ask(im_probe_head, b.data, b.len, &test_limits, &f), cases[i].want);
        expect_at(__LINE__, &b, cases[i].want);
    }
}

static void png__checksums(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum im_reason want;
    } cases[] = {{"IHDR", IM_decode_fail}, {"PLTE", IM_decode_fail}, {"IDAT", IM_decode_fail},
                 {"IEND", IM_decode_fail}, {"tEXt", IM_NONE},        {"tRNS", IM_NONE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_png_header(&b, 8, 8, 8, 3, 0);
        put_chunk(&b, "tEXt", "Title\0x", 7);
        put_chunk(&b, "PLTE", "redgrn", 6);
        put_chunk(&b, "tRNS", "\x7F", 1);
        put_png_end(&b);
        for (size_t at = 0; at + 4 <= b.len; at++)
            if (memcmp(b.data + at, cases[i].name, 4) == 0) {
                size_t data = ((size_t)(uint8_t)b.data[at - 2] << 8) + (uint8_t)b.data[at - 1];
                b.data[at + 4 + data] ^= 1;
                break;
            }
        struct im_facts f = {0};
        assert_int_equal(ask_file(&b, &f), cases[i].want);
        if (cases[i].want == IM_NONE)
            assert_int_equal(f.alpha, i == 4); /* a broken transparency is none */
        nm_buf_clear(&b);
    }
}

static void png__chunks_out_of_order_fail(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    nm_buf_add(&b, "\x89PNG\r\n\x1A\n", 8);
    put_chunk(&b, "IDAT", "01234567890123456789", 20);
    EXPECT(&b, decode_fail); /* no header */
    nm_buf_add(&b, "\x89PNG\r\n\x1A\n", 8);
    put_chunk(&b, "IHDR", "\0\0\0\x08\0\0\0\x08\x08\0\0\0", 12);
    EXPECT(&b, decode_fail); /* a short one */
    put_png_header(&b, 8, 8, 8, 2, 0);
    size_t from = b.len;
    put_png_header(&b, 8, 8, 8, 2, 0);
    memmove(b.data + from, b.data + from + 8, b.len - from - 8);
    b.len -= 8;
    put_png_end(&b);
    EXPECT(&b, decode_fail); /* two */
    put_png_header(&b, 8, 8, 8, 3, 0);
    put_png_end(&b);
    EXPECT(&b, decode_fail); /* no palette */
    put_png_header(&b, 8, 8, 8, 2, 0);
    put_chunk(&b, "PLTE", "red", 3);
    put_chunk(&b, "PLTE", "red", 3);
    put_png_end(&b);
    EXPECT(&b, decode_fail); /* two of them */
    put_png_header(&b, 8, 8, 8, 2, 0);
    put_chunk(&b, "IEND", NULL, 0);
    EXPECT(&b, decode_fail); /* no pixels */
    put_png_header(&b, 8, 8, 8, 2, 0);
    put_chunk(&b, "IDAT", NULL, 0);
    put_chunk(&b, "IEND", NULL, 0);
    EXPECT(&b, decode_fail); /* none again */
    put_png_header(&b, 8, 8, 8, 2, 0);
    put_chunk(&b, "ABCD", "unknown and critical", 20);
    put_png_end(&b);
    EXPECT(&b, decode_fail);
    put_png_header(&b, 8, 8, 8, 2, 0);
    put_chunk(&b, "IDAT", "x", 1);
    put_chunk(&b, "IEND", "x", 1);
    EXPECT(&b, decode_fail);
}

static void png__palettes(void **state)
{
    (void)state;
    static const char colours[771];
    static const struct {
        size_t bytes;
        enum im_reason want;
    } cases[] = {{0, IM_decode_fail}, {1, IM_decode_fail}, {2, IM_decode_fail},  {3, IM_NONE},
                 {4, IM_decode_fail}, {768, IM_NONE},      {771, IM_decode_fail}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_png_header(&b, 8, 8, 8, 3, 0);
        put_chunk(&b, "PLTE", colours, cases[i].bytes);
        put_png_end(&b);
        expect_at(__LINE__, &b, cases[i].want);
    }
}

static void png__lengths_and_names_that_lie(void **state)
{
    (void)state;
    static const struct {
        uint32_t len;
        const char *name;
        enum im_reason want;
    } cases[] = {
        {0x80000000, "IDAT", IM_decode_fail}, {0xFFFFFFFF, "tEXt", IM_decode_fail}, {0x7FFFFFFF, "IDAT", IM_truncated},
        {0x7FFFFFFF, "tEXt", IM_truncated},   {5, "tE\0t", IM_decode_fail},         {5, "ID1T", IM_decode_fail},
        {5, "[DAT", IM_decode_fail},          {5, "@DAT", IM_decode_fail},          {100, "IDAT", IM_truncated},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_png_header(&b, 8, 8, 8, 2, 0);
        put_be(&b, cases[i].len, 4);
        nm_buf_add(&b, cases[i].name, 4);
        put_zeros(&b, 50);
        expect_at(__LINE__, &b, cases[i].want);
    }
}

/* A name that is none fails by itself, with the right checksum and a good rest. */
static void png__names_that_are_none_fail(void **state)
{
    (void)state;
    static const char *const names[] = {"tE1t", "te{t", "tE[t", "`Ext", "tEx\x80"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct nm_buf b = {0};
        put_png_header(&b, 8, 8, 8, 2, 0);
        put_chunk(&b, names[i], "x", 1);
        put_png_end(&b);
        EXPECT(&b, decode_fail);
    }
}

/* Fifty megabytes of text in 51 KB, and a colour profile that becomes 100 MB: nothing inflates them. */
static void png__compressed_metadata_is_not_inflated(void **state)
{
    (void)state;
    static uint8_t text[51000] = "Comment\0";
    struct nm_buf b = {0};
    put_png_header(&b, 8, 8, 8, 2, 0);
    put_chunk(&b, "zTXt", text, sizeof text);
    put_chunk(&b, "iCCP", text, sizeof text);
    for (int i = 0; i < 10000; i++)
        put_chunk(&b, "tEXt", "Comment\0x", 9);
    put_png_end(&b);
    assert_int_equal(facts_of(&b).width, 8);
}

static void png__animated_is_a_still(void **state)
{
    (void)state;
    static const uint8_t control[26], data[60];
    struct nm_buf b = {0};
    put_png_header(&b, 8, 8, 8, 2, 0);
    put_chunk(&b, "acTL", "\0\0\0\x64\0\0\0\0", 8);
    put_chunk(&b, "fcTL", control, sizeof control);
    put_chunk(&b, "IDAT", data, sizeof data);
    for (int i = 0; i < 100; i++)
        put_chunk(&b, "fdAT", data, sizeof data);
    put_chunk(&b, "IEND", NULL, 0);
    size_t len = b.len;
    nm_buf_adds(&b, "<script>");
    struct im_facts f = facts_of(&b);
    assert_int_equal(f.frames, 1);
    assert_int_equal(f.end, len);
}

static void png__orientation(void **state)
{
    (void)state;
    for (int behind = 0; behind < 2; behind++) {
        struct nm_buf b = {0}, t = {0};
        put_exif(&t, &(struct exif){.big = true, .orientation = 8});
        put_png_header(&b, 12, 8, 8, 2, 0);
        if (behind)
            put_chunk(&b, "IDAT", "x", 1);
        put_chunk(&b, "eXIf", t.data, t.len);
        put_png_end(&b);
        struct im_facts f = facts_of(&b);
        assert_int_equal(f.orientation, behind ? 1 : 8);
        assert_int_equal(f.width, behind ? 12 : 8);
        assert_int_equal(f.raw_width, 12);
        nm_buf_clear(&t);
    }
}

/* ---- GIF ---- */

static void gif__good_ones(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct nm_buf b = {0};
        struct gif_frame frame = {.width = 20, .height = 10, .packed = i & 1 ? 0xC2 : 0};
        put_gif_header(&b, i & 2 ? "GIF89a" : "GIF87a", 20, 10);
        if (i & 2) {
            nm_buf_add(&b, "!\xFE\x0F<script></script", 18);
            nm_buf_addc(&b, (char)0xFF); /* the longest block */
            for (int k = 0; k < 255; k++)
                nm_buf_addc(&b, ';');
            nm_buf_addc(&b, 0);
            nm_buf_add(&b, "!\xF9\x04\x01\0\0\0", 8);
        }
        put_gif_frame(&b, &frame);
        nm_buf_addc(&b, ';');
        size_t len = b.len;
        nm_buf_adds(&b, "PK and an archive");
        struct im_facts f = facts_of(&b);
        assert_int_equal(f.type, IM_GIF);
        assert_int_equal(f.width, 20);
        assert_int_equal(f.height, 10);
        assert_int_equal(f.frames, 1);
        assert_int_equal(f.interlaced, i & 1);
        assert_int_equal(f.alpha, (i & 2) != 0);
        assert_int_equal(f.bit_depth, i & 1 ? 3 : 2);
        assert_int_equal(f.channels, 1);
        assert_int_equal(f.end, len);
    }
}

static void gif__the_screen_counts_not_the_frame(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        struct gif_frame frame;
        enum im_reason want;
    } cases[] = {
        {65535, 65535, {.width = 1, .height = 1}, IM_dims_too_big},
        {500, 501, {.width = 1, .height = 1}, IM_dims_too_big},
        {500, 500, {.width = 65535, .height = 65535}, IM_NONE},
        {0, 9, {.width = 9, .height = 9}, IM_dims_invalid},
        {9, 0, {.width = 9, .height = 9}, IM_dims_invalid},
        {9, 9, {.x = 8, .y = 8, .width = 9, .height = 9}, IM_NONE},
        {9, 9, {.x = 9, .y = 8, .width = 9, .height = 9}, IM_decode_fail},
        {9, 9, {.x = 8, .y = 9, .width = 9, .height = 9}, IM_decode_fail},
        {9, 9, {.x = 8, .y = 8, .width = 0, .height = 9}, IM_decode_fail},
        {9, 9, {.x = 8, .y = 8, .width = 9, .height = 0}, IM_decode_fail},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_gif_header(&b, "GIF89a", cases[i].width, cases[i].height);
        put_gif_frame(&b, &cases[i].frame);
        nm_buf_addc(&b, ';');
        expect_at(__LINE__, &b, cases[i].want);
    }
}

static void gif__no_frame_or_no_data_or_no_code_size_fails(void **state)
{
    (void)state;
    static const int bad[] = {9, 12, 13, 255};
    struct nm_buf b = {0};
    struct gif_frame frame = {.width = 9, .height = 9};
    put_gif_header(&b, "GIF89a", 9, 9);
    nm_buf_addc(&b, ';');
    EXPECT(&b, decode_fail);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_gif_header(&b, "GIF89a", 9, 9);
        frame.code_bits = bad[i];
        put_gif_frame(&b, &frame);
        nm_buf_addc(&b, ';');
        EXPECT(&b, decode_fail);
    }
    put_gif_header(&b, "GIF89a", 9, 9);
    nm_buf_add(&b, ",\0\0\0\0\x09\0\x09\0\0\0\x01x\0;", 15); /* a code size of 0 */
    EXPECT(&b, decode_fail);
    put_gif_header(&b, "GIF89a", 9, 9);
    frame = (struct gif_frame){.width = 9, .height = 9, .blocks = -1};
    put_gif_frame(&b, &frame);
    nm_buf_addc(&b, ';');
    EXPECT(&b, decode_fail);
    put_gif_header(&b, "GIF89a", 9, 9);
    nm_buf_adds(&b, "X no block that anybody knows");
    EXPECT(&b, decode_fail);
}

static void gif__frames_at_the_limit(void **state)
{
    (void)state;
    for (int n = 15; n <= 18; n++) {
        struct nm_buf b = {0};
        struct gif_frame frame = {.width = 1, .height = 1};
        put_gif_header(&b, "GIF89a", 9, 9);
        for (int i = 0; i < n; i++)
            put_gif_frame(&b, &frame);
        nm_buf_addc(&b, ';');
        if (n > test_limits.max_frames)
            EXPECT(&b, frames_too_many);
        else
            assert_int_equal(facts_of(&b).frames, n);
    }
}

static void gif__without_its_trailer_is_truncated(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    struct gif_frame frame = {.width = 9, .height = 9};
    put_gif_header(&b, "GIF89a", 9, 9);
    put_gif_frame(&b, &frame);
    EXPECT(&b, truncated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png__depths_and_colours),
        cmocka_unit_test(png__dimensions_in_the_header),
        cmocka_unit_test(png__checksums),
        cmocka_unit_test(png__chunks_out_of_order_fail),
        cmocka_unit_test(png__palettes),
        cmocka_unit_test(png__lengths_and_names_that_lie),
        cmocka_unit_test(png__names_that_are_none_fail),
        cmocka_unit_test(png__compressed_metadata_is_not_inflated),
        cmocka_unit_test(png__animated_is_a_still),
        cmocka_unit_test(png__orientation),
        cmocka_unit_test(gif__good_ones),
        cmocka_unit_test(gif__the_screen_counts_not_the_frame),
        cmocka_unit_test(gif__no_frame_or_no_data_or_no_code_size_fails),
        cmocka_unit_test(gif__frames_at_the_limit),
        cmocka_unit_test(gif__without_its_trailer_is_truncated),
    };
    return cmocka_run_group_tests_name("images_probe_png", tests, NULL, NULL);
}
