/* test_images_probe_any.c - every good kind: each beginning of it, halves, and ten thousand changes of each.
 *
 * Whatever the bytes are, a refusal of a beginning is the refusal of the file, and what is accepted is within limits.
 */
#include "images_probe_jpeg.h"

#define MUTATIONS 10000

/* ---- the good files ---- */

static void put_gif(struct nm_buf *b, const char *version, int frames, int packed)
{
    put_gif_header(b, version, 20, 10);
    if (version[4] == '9')
        nm_buf_add(b, "!\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0!\xF9\x04\x01\0\0\0", 27);
    for (int i = 0; i < frames; i++)
        put_gif_frame(b, &(struct gif_frame){.x = 1, .width = 19, .height = 10, .packed = packed});
    nm_buf_addc(b, ';');
}

static void put_png_with_all(struct nm_buf *b)
{
    struct nm_buf t = {0};
    put_exif(&t, &(struct exif){.big = true, .entries = 2, .orientation = 6});
    put_png_header(b, 31, 17, 8, 3, 1);
    put_chunk(b, "acTL", "\0\0\0\x02\0\0\0\0", 8);
    put_chunk(b, "PLTE", "redgrnblu", 9);
    put_chunk(b, "tRNS", "\x7F", 1);
    put_chunk(b, "eXIf", t.data, t.len);
    put_chunk(b, "tEXt", "Title\0invented", 14);
    put_png_end(b);
    nm_buf_clear(&t);
}

static void put_webp_kind(struct nm_buf *b, int kind)
{
    put_webp(b);
    if (kind == 0) {
        put_vp8(b, 20, 10);
    } else if (kind == 1) {
        put_vp8l(b, 20, 10, 1);
    } else if (kind == 2) {
        put_vp8x(b, 0x10, 20, 10);
        put_riff(b, "ICCP", "profile", 7);
        put_riff(b, "ALPH", "\0x", 2);
        put_vp8(b, 20, 10);
        put_riff(b, "EXIF", "MM\0*\0\0\0\x08\0", 10);
    } else {
        put_vp8x(b, 0x12, 100, 50);
        put_riff(b, "ANIM", "\0\0\0\0\0", 6);
        put_webp_frame(b, &(struct webp_frame){.width = 100, .height = 50});
        put_webp_frame(b, &(struct webp_frame){.x = 4, .width = 9, .height = 9, .lossless = true});
    }
    webp_close(b);
}

static void put_jpeg_kind(struct nm_buf *b, int kind)
{
    static const struct jpeg_spec specs[] = {
        {.width = 16, .height = 9, .n_components = 1},
        {.width = 24, .height = 17, .n_components = 3, .h = {2, 1, 1}, .v = {2, 1, 1}},
        {.width = 24, .height = 17, .n_components = 3, .h = {2, 1, 1}, .restart = 1},
        {.width = 9, .height = 9, .n_components = 4},
        {.width = 17, .height = 16, .n_components = 3, .h = {2, 1, 1}, .v = {2, 1, 1}, .progressive = true},
        {.width = 17, .height = 16, .n_components = 1, .progressive = true, .restart = 2},
    };
    put_jpeg(b, &specs[kind]);
}

#define N_JPEG  6
#define N_PNG   4
#define N_GIF   3
#define N_WEBP  4
#define N_GOOD  (N_JPEG + N_PNG + N_GIF + N_WEBP)
#define N_KINDS (N_GOOD + 1) /* AVIF last: its bytes are good, and it is refused */

static void put_kind(struct nm_buf *b, int kind)
{
    if (kind < N_JPEG)
        put_jpeg_kind(b, kind);
    else if ((kind -= N_JPEG) < N_PNG - 1)
        put_png(b, 31, 17, kind == 1 ? 16 : 8, kind == 0 ? 2 : 6, kind == 2);
    else if (kind == N_PNG - 1)
        put_png_with_all(b);
    else if ((kind -= N_PNG) < N_GIF)
        put_gif(b, kind == 0 ? "GIF87a" : "GIF89a", kind + 1, kind == 2 ? 0xC1 : 0);
    else if ((kind -= N_GIF) < N_WEBP)
        put_webp_kind(b, kind);
    else
        put_avif(b, 1200, 630, 1);
    assert_true(nm_buf_ok(b));
}

/* ---- what always holds ---- */

static void check_facts(const struct im_facts *f, size_t len)
{
    const struct im_limits *l = &test_limits;
    int64_t pixels = (int64_t)f->raw_width * f->raw_height;
    assert_true(f->type >= IM_JPEG && f->type <= IM_WEBP);
    assert_true(f->raw_width >= l->min_edge && f->raw_height >= l->min_edge);
    assert_true(f->raw_width <= l->max_edge && f->raw_height <= l->max_edge && pixels <= l->max_pixels);
    assert_true(f->type != IM_GIF || pixels <= l->max_gif_pixels);
    assert_true(f->orientation >= 1 && f->orientation <= 8);
    assert_int_equal(f->width, f->orientation >= 5 ? f->raw_height : f->raw_width);
    assert_int_equal(f->height, f->orientation >= 5 ? f->raw_width : f->raw_height);
    assert_true(f->frames >= 1 && f->frames <= l->max_frames);
    assert_true(f->frames == 1 || f->frames * pixels <= l->max_total_pixels);
    assert_true(f->type == IM_JPEG ? f->scans >= 1 && f->scans <= l->max_scans : f->scans == 0);
    assert_true(f->bit_depth >= 1 && f->bit_depth <= 16 && f->channels >= 1 && f->channels <= 4);
    assert_true(f->end > 12 && f->end <= len && (!f->no_end || f->type == IM_JPEG));
}

/* The reason of the file, after every rule about it and one of its beginnings was checked. */
static enum im_reason check(const struct nm_buf *b, size_t head)
{
    struct im_facts f = {0}, h = {0};
    enum im_reason reason = ask_file(b, &f);
    enum im_reason early = ask(im_probe_head, b->data, head, &test_limits, &h);
    assert_int_not_equal(early, IM_truncated);
    if (early != IM_NONE && early != reason)
        fail_msg("the first %zu of %zu bytes are %s, all are %s", head, b->len, im_reason_name(early),
                 im_reason_name(reason));
    if (reason == IM_NONE)
        check_facts(&f, b->len);
    return reason;
}

static void any__good_ones_are_good(void **state)
{
    (void)state;
    for (int kind = 0; kind < N_KINDS; kind++) {
        struct nm_buf b = {0};
        put_kind(&b, kind);
        assert_int_equal(check(&b, b.len), kind < N_GOOD ? IM_NONE : IM_type_not_allowed);
        nm_buf_clear(&b);
    }
}

static void any__every_beginning(void **state)
{
    (void)state;
    for (int kind = 0; kind < N_GOOD; kind++) {
        struct nm_buf b = {0};
        put_kind(&b, kind);
        for (size_t n = 0; n < b.len; n++) {
            struct im_facts f = {0};
            assert_int_equal(ask(im_probe_head, b.data, n, &test_limits, &f), IM_NONE);
            enum im_reason reason = ask(im_probe_file, b.data, n, &test_limits, &f);
            bool lacks_end = kind < N_JPEG && n + 2 >= b.len;
            if ((reason == IM_NONE) != lacks_end || (lacks_end && (!f.no_end || f.end != b.len - 2)))
                fail_msg("kind %d: %zu of %zu bytes: '%s'", kind, n, b.len, im_reason_name(reason));
        }
        nm_buf_clear(&b);
    }
}

static void probe__half_a_file_is_truncated(void **state)
{
    (void)state;
    for (int kind = 0; kind < N_GOOD; kind++) {
        struct nm_buf b = {0};
        put_kind(&b, kind);
        b.len /= 2;
        EXPECT(&b, truncated);
    }
}

static void change(struct nm_buf *b, uint64_t *seed)
{
    static const uint8_t special[] = {0, 1, 0x7F, 0x80, 0xFF, 0xD9, 0xDA, 0xC0};
    for (uint32_t n = 1 + next_random(seed) % 4; n > 0; n--) {
        size_t at = next_random(seed) % b->len;
        uint32_t r = next_random(seed);
        if (r % 16 == 0)
            b->len = at > 0 ? at : 1;
        else if (r % 4 == 1)
            b->data[at] = (char)special[(r >> 8) % sizeof special];
        else if (r % 4 == 2)
            b->data[at] = (char)(uint8_t)((uint8_t)b->data[at] ^ 1u << (r >> 8) % 8);
        else
            b->data[at] = (char)(uint8_t)(r >> 8);
    }
}

static void any__ten_thousand_changes_of_each(void **state)
{
    (void)state;
    uint64_t seed = 20261128;
    for (int kind = 0; kind < N_KINDS; kind++) {
        struct nm_buf good = {0}, b = {0};
        int refused = 0;
        put_kind(&good, kind);
        for (int i = 0; i < MUTATIONS; i++) {
            nm_buf_reset(&b);
            nm_buf_add(&b, good.data, good.len);
            change(&b, &seed);
            if (b.len >= (size_t)test_limits.min_bytes)
                refused += check(&b, next_random(&seed) % (b.len + 1)) != IM_NONE;
        }
        assert_true(refused > MUTATIONS / 100);
        nm_buf_clear(&good);
        nm_buf_clear(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any__good_ones_are_good),
        cmocka_unit_test(any__every_beginning),
        cmocka_unit_test(probe__half_a_file_is_truncated),
        cmocka_unit_test(any__ten_thousand_changes_of_each),
    };
    return cmocka_run_group_tests_name("images_probe_any", tests, NULL, NULL);
}
