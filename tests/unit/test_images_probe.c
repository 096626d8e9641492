/* test_images_probe.c - what holds for all kinds: signatures, names, the order of reasons, beginnings; and AVIF. */
#include "images_probe_jpeg.h"

static void probe__signatures(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        enum im_type type;
    } cases[] = {
        {"\xFF\xD8\xFF", 3, IM_JPEG},
        {"\x89PNG\r\n\x1A\n", 8, IM_PNG},
        {"GIF87a", 6, IM_GIF},
        {"GIF89a", 6, IM_GIF},
        {"RIFF\0\1\2\3WEBP", 12, IM_WEBP},
        {"\0\0\0\x1C"
         "ftypavif",
         12, IM_AVIF},
        {"\0\0\0\x1C"
         "ftypavis",
         12, IM_AVIF},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t n = 0; n <= cases[i].len; n++) {
            enum im_type want = n == cases[i].len ? cases[i].type : IM_UNKNOWN;
            assert_int_equal(im_probe_signature((const uint8_t *)cases[i].bytes, n), want);
        }
}

static void probe__other_kinds_are_not_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>", 71},
        {"<?xml version=\"1.0\"?><!DOCTYPE svg [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>", 76},
        {"\x1F\x8B\x08\0\0\0\0\0\0\x03 svgz and more", 24},
        {"<!doctype html><title>404 not found</title>", 42},
        {"II*\0\x08\0\0\0 TIFF and more bytes", 28},
        {"MM\0*\0\0\0\x08 TIFF and more bytes", 28},
        {"BM\x46\0\0\0\0\0\0\0\x36\0\0\0 BMP and more", 26},
        {"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0 ICO", 18},
        {"8BPS\0\x01\0\0\0\0\0\0\0\x03 PSD", 18},
        {"%PDF-1.7 and more bytes", 23},
        {"\0\0\0\x18"
         "ftypheic\0\0\0\0heic",
         20},
        {"\0\0\0\x18"
         "ftypisom\0\0\0\0mp42",
         20},
        {"\xFF\x0A\xFA\x1F a JXL codestream", 20},
        {"\0\0\0\x0CJXL \r\n\x87\n and more", 21},
        {"\x89PNG\r\n\x1A\r a PNG that a text mode broke", 30},
        {"GIF88a and more bytes", 21},
        {"RIFF\0\0\0\0WAVEfmt and more", 24},
        {"\xFF\xD8 and more bytes than sixteen", 31},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        struct im_facts f;
        for (size_t n = 0; n <= cases[i].len; n++) {
            enum im_reason want = n >= IM_SIGNATURE_BYTES ? IM_type_not_allowed : IM_NONE;
            assert_int_equal(ask(im_probe_head, cases[i].bytes, n, &test_limits, &f), want);
        }
        nm_buf_add(&b, cases[i].bytes, cases[i].len);
        put_zeros(&b, 10);
        EXPECT(&b, type_not_allowed);
    }
}

static void probe__names(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"", ""},
                                           {"image/jpeg", "jpg"},
                                           {"image/png", "png"},
                                           {"image/gif", "gif"},
                                           {"image/webp", "webp"},
                                           {"image/avif", "avif"}};
    for (int i = IM_UNKNOWN; i <= IM_AVIF; i++) {
        assert_string_equal(im_type_name((enum im_type)i), names[i][0]);
        assert_string_equal(im_type_ext((enum im_type)i), names[i][1]);
    }
}

static void probe__bytes_at_the_minimum(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    struct im_limits limits = test_limits;
    struct im_facts f;
    put_png(&b, 8, 8, 8, 2, 0);
    for (int more = 0; more < 2; more++) {
        limits.min_bytes = (int64_t)b.len + more;
        assert_int_equal(ask(im_probe_file, b.data, b.len, &limits, &f), more ? IM_too_small : IM_NONE);
        assert_int_equal(ask(im_probe_head, b.data, b.len, &limits, &f), IM_NONE); /* there may come more */
    }
    nm_buf_clear(&b);
    nm_buf_add(&b, "<svg/>", 6);
    EXPECT(&b, too_small); /* said before the kind is looked at */
}

static void probe__edges_and_pixels_at_their_limits(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        enum im_reason want;
    } cases[] = {
        {2, 2, IM_NONE},           {1, 2, IM_too_small},      {2, 1, IM_too_small},      {500, 20, IM_NONE},
        {501, 2, IM_dims_too_big}, {2, 501, IM_dims_too_big}, {100, 100, IM_NONE},       {101, 100, IM_dims_too_big},
        {1, 501, IM_too_small},    {0, 501, IM_dims_invalid}, {501, 0, IM_dims_invalid},
    };
    struct im_limits limits = test_limits;
    limits.min_edge = 2;
    limits.max_edge = 500;
    limits.max_pixels = limits.max_gif_pixels = 10000;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int kind = 0; kind < 3; kind++) {
            struct nm_buf b = {0};
            struct im_facts f;
            struct jpeg_spec spec = {.width = cases[i].width, .height = cases[i].height, .n_components = 1};
            struct gif_frame frame = {.width = 1, .height = 1};
            if (kind == 0) {
                put_png(&b, cases[i].width, cases[i].height, 8, 0, 0);
            } else if (kind == 1) {
                put_gif_header(&b, "GIF89a", cases[i].width, cases[i].height);
                put_gif_frame(&b, &frame);
                nm_buf_addc(&b, ';');
            } else {
                put_jpeg(&b, &spec);
            }
            enum im_reason got = ask(im_probe_file, b.data, b.len, &limits, &f);
            if (got != cases[i].want)
                fail_msg("kind %d, %u x %u: %s", kind, cases[i].width, cases[i].height, im_reason_name(got));
            assert_int_equal(ask(im_probe_head, b.data, b.len, &limits, &f), cases[i].want);
            nm_buf_clear(&b);
        }
}

/* The canvas of a GIF has a limit of its own, and the one of all images too. */
static void probe__pixels_of_a_gif(void **state)
{
    (void)state;
    struct im_limits limits = test_limits;
    struct im_facts f;
    struct nm_buf b = {0};
    put_gif_header(&b, "GIF89a", 100, 100);
    for (int own = 9999; own <= 10000; own++)
        for (int all = 9999; all <= 10000; all++) {
            limits.max_gif_pixels = own;
            limits.max_pixels = all;
            bool fits = own == 10000 && all == 10000;
            assert_int_equal(ask(im_probe_head, b.data, b.len, &limits, &f), fits ? IM_NONE : IM_dims_too_big);
        }
    nm_buf_clear(&b);
}

static void probe__frames_times_pixels_at_the_limit(void **state)
{
    (void)state;
    static const struct {
        int64_t total;
        enum im_reason want;
    } cases[] = {{1, IM_frames_too_many}, {39999, IM_frames_too_many}, {40000, IM_NONE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        struct im_facts f;
        struct im_limits limits = test_limits;
        struct gif_frame frame = {.width = 1, .height = 1};
        limits.max_total_pixels = cases[i].total;
        put_gif_header(&b, "GIF89a", 100, 100);
        for (int n = 0; n < 4; n++)
            put_gif_frame(&b, &frame);
        nm_buf_addc(&b, ';');
        assert_int_equal(ask(im_probe_file, b.data, b.len, &limits, &f), cases[i].want);
        nm_buf_clear(&b);
    }
}

/* Limits as large as they can be: nothing overflows, and a still image is no animation. */
static void probe__no_limits(void **state)
{
    (void)state;
    struct im_limits limits = {.max_pixels = INT64_MAX,
                               .max_gif_pixels = INT64_MAX,
                               .max_total_pixels = INT64_MAX,
                               .metadata_bytes = INT64_MAX,
                               .max_edge = INT32_MAX,
                               .max_frames = INT32_MAX,
                               .max_scans = INT32_MAX};
    struct nm_buf b = {0};
    struct im_facts f;
    put_png(&b, INT32_MAX, INT32_MAX, 8, 2, 0);
    assert_int_equal(ask(im_probe_file, b.data, b.len, &limits, &f), IM_NONE);
    assert_int_equal(f.width, INT32_MAX);
    nm_buf_clear(&b);
    put_gif_header(&b, "GIF89a", 9, 9);
    put_gif_frame(&b, &(struct gif_frame){.width = 9, .height = 9});
    nm_buf_addc(&b, ';');
    limits.max_total_pixels = 1;
    assert_int_equal(ask(im_probe_file, b.data, b.len, &limits, &f), IM_NONE);
    nm_buf_clear(&b);
    put_webp(&b);
    put_vp8x(&b, 2, 1 << 24, 1 << 24);
    put_riff(&b, "ANIM", "\0\0\0\0\0", 6);
    put_webp_frame(&b, &(struct webp_frame){.width = 3, .height = 3});
    put_webp_frame(&b, &(struct webp_frame){.width = 3, .height = 3});
    webp_close(&b);
    limits.max_total_pixels = INT64_MAX;
    assert_int_equal(ask(im_probe_file, b.data, b.len, &limits, &f), IM_NONE);
    assert_int_equal(f.frames, 2);
    nm_buf_clear(&b);
}

/* The dimensions of each kind are known long before the file is there. */
static void probe__a_head_has_the_dimensions(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    struct im_facts f = {0};
    put_png(&b, 30, 20, 8, 2, 0);
    assert_int_equal(ask(im_probe_head, b.data, 32, &test_limits, &f), IM_NONE);
    assert_int_equal(f.type, IM_PNG);
    assert_int_equal(f.width, 0); /* the checksum of the header is not there */
    assert_int_equal(ask(im_probe_head, b.data, 33, &test_limits, &f), IM_NONE);
    assert_int_equal(f.width, 30);
    assert_int_equal(f.height, 20);
    nm_buf_clear(&b);
    put_gif_header(&b, "GIF89a", 30, 20);
    assert_int_equal(ask(im_probe_head, b.data, 13, &test_limits, &f), IM_NONE);
    assert_int_equal(f.width, 30);
    nm_buf_clear(&b);
    put_webp(&b);
    put_vp8(&b, 30, 20);
    webp_close(&b);
    assert_int_equal(ask(im_probe_head, b.data, 30, &test_limits, &f), IM_NONE);
    assert_int_equal(f.width, 30);
    nm_buf_clear(&b);
    put_jpeg(&b, &(struct jpeg_spec){.width = 30, .height = 20, .n_components = 1});
    assert_int_equal(ask(im_probe_head, b.data, 120, &test_limits, &f), IM_NONE);
    assert_int_equal(f.width, 30);
    nm_buf_clear(&b);
}

/* ---- AVIF: refused, with its dimensions ---- */

static struct im_facts avif_facts(struct nm_buf *b, const struct im_limits *limits)
{
    struct im_facts f;
    memset(&f, 0x5A, sizeof f);
    assert_true(nm_buf_ok(b));
    assert_int_equal(ask(im_probe_file, b->data, b->len, limits, &f), IM_type_not_allowed);
    assert_int_equal(f.type, IM_AVIF);
    nm_buf_clear(b);
    return f;
}

static void avif__the_size_and_turns_of_the_main_item(void **state)
{
    (void)state;
    static const int orientations[] = {1, 8, 3, 6};
    for (int turns = 0; turns < 4; turns++) {
        struct nm_buf b = {0};
        put_avif(&b, 1200, 630, turns);
        struct im_facts f = avif_facts(&b, &test_limits);
        assert_int_equal(f.raw_width, 1200);
        assert_int_equal(f.raw_height, 630);
        assert_int_equal(f.orientation, orientations[turns]);
        assert_int_equal(f.width, turns & 1 ? 630 : 1200);
        assert_int_equal(f.height, turns & 1 ? 1200 : 630);
    }
}

static void avif__a_head_waits_for_the_dimensions(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    put_avif(&b, 1200, 630, 0);
    size_t known = b.len - 38; /* what follows is the box mdat */
    for (size_t n = 12; n <= b.len; n++) {
        struct im_facts f = {0};
        enum im_reason reason = ask(im_probe_head, b.data, n, &test_limits, &f);
        assert_int_equal(reason, n >= known ? IM_type_not_allowed : IM_NONE);
        assert_int_equal(f.type, IM_AVIF);
        assert_int_equal(f.width, n >= known ? 1200 : 0);
    }
    nm_buf_clear(&b);
}

/* Where the name of a box stands. */
static uint8_t *find_box(const struct nm_buf *b, const char *name)
{
    for (size_t i = 0; i + 4 <= b->len; i++)
        if (memcmp(b->data + i, name, 4) == 0)
            return (uint8_t *)b->data + i;
    fail_msg("no box %s", name);
    return NULL;
}

static void avif__what_does_not_tell_has_no_dimensions(void **state)
{
    (void)state;
    static const struct {
        const char *name; /* of a box; `at` bytes behind its name stands `value` */
        int at, value;
    } cases[] = {
        {"meta", 0, 'x' /* its flags do not matter: found */},
        {"pitm", 5, 9},
        {"ipma", 7, 0},
        {"ipma", 15, 0x84},
        {"iprp", -4, 0x7F},
        {"ipco", -1, 3},
        {"ipco", -4, 1},
        {"meta", -4, 0xFF},
        {"meta", -1, 1},
        {"ftyp", -1, 7},
        {"pitm", -1, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_avif(&b, 1200, 630, 0);
        uint8_t *at = find_box(&b, cases[i].name);
        at[cases[i].at < 0 ? cases[i].at : cases[i].at + 4] = (uint8_t)cases[i].value;
        struct im_facts f = avif_facts(&b, &test_limits);
        if (f.width != (i ? 0 : 1200))
            fail_msg("case %zu: width %d", i, f.width);
    }
    static const uint32_t sizes[][2] = {{0, 5}, {5, 0}, {0x80000000u, 5}, {5, 0xFFFFFFFFu}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct nm_buf b = {0};
        put_avif(&b, sizes[i][0], sizes[i][1], 0);
        assert_int_equal(avif_facts(&b, &test_limits).width, 0);
    }
}

static void avif__not_within_the_bytes_looked_at(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    struct im_limits limits = test_limits;
    struct im_facts f;
    put_avif(&b, 1200, 630, 0);
    limits.metadata_bytes = (int64_t)b.len - 38;
    assert_int_equal(ask(im_probe_head, b.data, b.len, &limits, &f), IM_type_not_allowed);
    assert_int_equal(f.width, 1200);
    limits.metadata_bytes--;
    assert_int_equal(ask(im_probe_head, b.data, b.len - 40, &limits, &f), IM_NONE);
    assert_int_equal(ask(im_probe_head, b.data, b.len - 39, &limits, &f),
                     IM_type_not_allowed); /* all that is looked at */
    assert_int_equal(ask(im_probe_head, b.data, b.len, &limits, &f), IM_type_not_allowed);
    assert_int_equal(f.width, 0);
    nm_buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe__signatures),
        cmocka_unit_test(probe__other_kinds_are_not_allowed),
        cmocka_unit_test(probe__names),
        cmocka_unit_test(probe__bytes_at_the_minimum),
        cmocka_unit_test(probe__edges_and_pixels_at_their_limits),
        cmocka_unit_test(probe__pixels_of_a_gif),
        cmocka_unit_test(probe__frames_times_pixels_at_the_limit),
        cmocka_unit_test(probe__no_limits),
        cmocka_unit_test(probe__a_head_has_the_dimensions),
        cmocka_unit_test(avif__the_size_and_turns_of_the_main_item),
        cmocka_unit_test(avif__a_head_waits_for_the_dimensions),
        cmocka_unit_test(avif__what_does_not_tell_has_no_dimensions),
        cmocka_unit_test(avif__not_within_the_bytes_looked_at),
    };
    return cmocka_run_group_tests_name("images_probe", tests, NULL, NULL);
}
