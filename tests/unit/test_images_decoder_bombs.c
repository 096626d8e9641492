/* test_images_decoder_bombs.c - small files that cost much, and mutated ones: bounded in time and memory, or killed. */
#include "decoder_files.h"
#include "decoder_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

static void add_chunk(struct nm_buf *file, const char name[4], const void *data, size_t len)
{
    uint8_t head[8] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    memcpy(head + 4, name, 4);
    uLong sum = crc32(crc32(0, head + 4, 4), data, (uInt)len);
    uint8_t tail[4] = {(uint8_t)(sum >> 24), (uint8_t)(sum >> 16), (uint8_t)(sum >> 8), (uint8_t)sum};
    nm_buf_add(file, head, 8);
    nm_buf_add(file, data, len);
    nm_buf_add(file, tail, 4);
}

static void png_head(struct nm_buf *file, uint32_t width, uint32_t height, int depth, int type, int interlace)
{
    uint8_t header[13] = {(uint8_t)(width >> 24),
                          (uint8_t)(width >> 16),
                          (uint8_t)(width >> 8),
                          (uint8_t)width,
                          (uint8_t)(height >> 24),
                          (uint8_t)(height >> 16),
                          (uint8_t)(height >> 8),
                          (uint8_t)height,
                          (uint8_t)depth,
                          (uint8_t)type,
                          0,
                          0,
                          (uint8_t)interlace};
    nm_buf_add(file, "\x89PNG\r\n\x1a\n", 8);
    add_chunk(file, "IHDR", header, sizeof header);
}

/* `n` zeros compressed: what a black picture is, whatever its rows and passes. */
static void add_zeros(struct nm_buf *file, size_t n)
{
    static uint8_t zeros[1 << 20];
    uint8_t *out = malloc(1 << 20);
    z_stream stream = {0};
    assert_int_equal(deflateInit(&stream, 1), Z_OK);
    int rc;
    do {
        stream.next_in = zeros;
        stream.avail_in = (uInt)(n < sizeof zeros ? n : sizeof zeros);
        n -= stream.avail_in;
        stream.next_out = out;
        stream.avail_out = 1 << 20;
        rc = deflate(&stream, n ? Z_NO_FLUSH : Z_FINISH);
        if (stream.avail_out < 1 << 20)
            add_chunk(file, "IDAT", out, (1 << 20) - stream.avail_out);
    } while (rc == Z_OK);
    assert_int_equal(rc, Z_STREAM_END);
    (void)deflateEnd(&stream);
    free(out);
}

static struct im_decoded run(struct im_decoders *pool, enum im_type type, int width, int height, int max_scans,
                             const struct nm_buf *file)
{
    struct im_decoder_job job = {.facts = dr_facts(type, width, height, 1, file->len),
                                 .limits = dr_limits(),
                                 .input_fd = dr_file(file->data, file->len),
                                 .n_thumbs = 2,
                                 .thumb = {{320, IM_THUMB_JPEG, 80}, {1200, IM_THUMB_JPEG, 80}}};
    job.copy = IM_COPY_CREDITED;
    job.copy_fd = dr_empty();
    job.limits.max_scans = max_scans;
    job.limits.max_pixels = 100000000;
    for (int i = 0; i < job.n_thumbs; i++)
        job.output_fd[i] = dr_empty();
    struct im_decoded got = dr_run(pool, &job);
    (void)close(job.input_fd);
    (void)close(job.copy_fd);
    for (int i = 0; i < job.n_thumbs; i++)
        (void)close(job.output_fd[i]);
    return got;
}

/* T110, T111 in a quarter of their size: 3500 x 3500. */
static void black__png_takes_the_memory_of_its_kind(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int depth, type, interlace;
        size_t bits; /* of a pixel */
        long max_kb; /* what is held is one row, or with Adam7 the picture */
    } cases[] = {{"by rows", 8, 2, 0, 24, 16000},
                 {"Adam7", 8, 2, 1, 24, 60000},
                 {"16 bits, alpha", 16, 6, 0, 64, 16000},
                 {"1 bit", 1, 0, 0, 1, 16000},
                 {"4 bits", 4, 0, 0, 4, 16000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct im_decoders *pool = dr_open(NULL, 1, 20000, 30000);
        struct nm_buf file = {0};
        png_head(&file, 3500, 3500, cases[i].depth, cases[i].type, cases[i].interlace);
        /* Each row has one more byte, its filter; the passes of Adam7 have 15 rows for 8. */
        add_zeros(&file, 3500 * ((3500 * cases[i].bits + 7) / 8) + (cases[i].interlace ? 6563 : 3500));
        add_chunk(&file, "IEND", "", 0);
        struct im_decoded got = run(pool, IM_PNG, 3500, 3500, 100, &file);
        if (got.reason != IM_NONE)
            fail_msg("%s: %s %s", cases[i].name, im_reason_name(got.reason), got.cause);
        assert_true(got.thumb[0].width == 320 && got.thumb[1].width == 1200);
        if (!dr_sanitized() && dr_memory_kb(pool, "VmHWM:") > cases[i].max_kb)
            fail_msg("%s: %ld kB", cases[i].name, dr_memory_kb(pool, "VmHWM:"));
        nm_buf_clear(&file);
        im_decoders_close(pool);
    }
}

static void memory__limit_fails_the_job_alone(void **state)
{
    (void)state;
    if (dr_sanitized()) /* there is no limit then */
        skip();
    struct im_decoder_settings settings = {
        .processes = 1, .cpu_ms = 5000, .wall_ms = 20000, .memory_bytes = IM_MEMORY_MIN};
    struct im_decoders *pool = NULL;
    struct nm_buf file = {0}, small = {0};
    assert_int_equal(im_decoders_open(&settings, 0, &pool, NULL), NM_OK);
    png_head(&file, 9000, 9000, 8, 6, 1);
    add_zeros(&file, 1000);
    struct im_decoded got = run(pool, IM_PNG, 9000, 9000, 100, &file);
    assert_int_equal(got.reason, IM_decode_killed);
    assert_string_equal(got.cause, "memory limit");
    struct df_picture picture = df_draw(30, 20, 3);
    df_jpeg(&picture, &(struct df_jpeg){0}, &small);
    assert_int_equal(run(pool, IM_JPEG, 30, 20, 100, &small).reason, IM_NONE);
    assert_int_equal(im_decoders_stats(pool).kills, 0);
    free(picture.data);
    nm_buf_clear(&file);
    nm_buf_clear(&small);
    im_decoders_close(pool);
}

/* ---- JPEG with a scan repeated (T115-T117) ---- */

static size_t next_marker(const struct nm_buf *file, size_t from, int code)
{
    const uint8_t *data = (const uint8_t *)file->data;
    for (size_t i = from; i + 1 < file->len; i++)
        if (data[i] == 0xff && data[i + 1] == code)
            return i;
    fail_msg("no marker %02x", code);
    return 0;
}

/* A grey progressive JPEG of one colour, whose second scan with its table stands there `n` times. */
static void scan_bomb(int side, int n, struct nm_buf *out)
{
    struct nm_buf file = {0};
    struct df_picture picture = {side, side, 1, calloc((size_t)side, (size_t)side)};
    df_jpeg(&picture, &(struct df_jpeg){.progressive = true}, &file);
    size_t first = next_marker(&file, 0, 0xda), start = next_marker(&file, first + 2, 0xc4);
    size_t scan = next_marker(&file, start, 0xda), end = next_marker(&file, scan + 2, 0xc4);
    nm_buf_add(out, file.data, end);
    for (int i = 1; i < n; i++)
        nm_buf_add(out, file.data + start, end - start);
    nm_buf_add(out, file.data + end, file.len - end);
    assert_true(nm_buf_ok(out));
    free(picture.data);
    nm_buf_clear(&file);
}

static void scans__are_counted_while_they_are_read(void **state)
{
    (void)state;
    struct im_decoders *pool = dr_open(NULL, 1, 5000, 80000);
    struct nm_buf file = {0};
    scan_bomb(600, 95, &file); /* with the other five of a grey picture: 100 */
    assert_int_equal(run(pool, IM_JPEG, 600, 600, 100, &file).reason, IM_NONE);
    assert_int_equal(run(pool, IM_JPEG, 600, 600, 99, &file).reason, IM_scans_too_many);
    nm_buf_clear(&file);
    scan_bomb(4000, 1000, &file);
    struct im_decoded got = run(pool, IM_JPEG, 4000, 4000, 20, &file);
    assert_int_equal(got.reason, IM_scans_too_many);
    assert_int_equal(im_decoders_stats(pool).kills, 0);
    nm_buf_clear(&file);
    im_decoders_close(pool);
}

static void scans__without_a_cap_end_at_the_cpu_limit(void **state)
{
    (void)state;
    struct im_decoders *pool = dr_open(NULL, 1, 1000, 80000);
    struct nm_buf file = {0}, good = {0};
    scan_bomb(4000, 20000, &file);
    struct im_decoded got = run(pool, IM_JPEG, 4000, 4000, INT32_MAX, &file);
    assert_int_equal(got.reason, IM_decode_killed);
    assert_string_equal(got.cause, "cpu limit");
    scan_bomb(600, 1, &good);
    assert_int_equal(run(pool, IM_JPEG, 600, 600, 100, &good).reason, IM_NONE);
    assert_int_equal(im_decoders_stats(pool).kills, 1);
    nm_buf_clear(&file);
    nm_buf_clear(&good);
    im_decoders_close(pool);
}

/* ---- PNG chunks (T126, T127) ---- */

/* A good PNG with chunks between its header and the rest. */
static void png_with(const struct nm_buf *chunks, struct nm_buf *out)
{
    struct nm_buf file = {0};
    struct df_picture picture = df_draw(400, 300, 3);
    df_png(&picture, &(struct df_png){0}, &file);
    nm_buf_add(out, file.data, 33);
    nm_buf_add(out, chunks->data, chunks->len);
    nm_buf_add(out, file.data + 33, file.len - 33);
    free(picture.data);
    nm_buf_clear(&file);
}

static void add_inflating(struct nm_buf *chunks, const char name[4], const char *head, size_t head_len,
                          const uint8_t *start, size_t start_len, size_t n)
{
    uint8_t *plain = calloc(n, 1);
    uLongf len = compressBound(n);
    uint8_t *data = malloc(head_len + len);
    assert_true(plain && data);
    memcpy(plain, start, start_len);
    memcpy(data, head, head_len);
    assert_int_equal(compress2(data + head_len, &len, plain, n, 6), Z_OK);
    add_chunk(chunks, name, data, head_len + len);
    free(plain);
    free(data);
}

static void chunks__of_text_are_not_inflated_and_profiles_only_so_far(void **state)
{
    (void)state;
    enum { MANY = 50000000 };
    uint8_t icc[132] = {MANY >> 24, MANY >> 16 & 255, MANY >> 8 & 255, MANY & 255, 0, 0, 0, 0, 2, 16};
    memcpy(icc + 12, "mntrRGB XYZ ", 12);
    memcpy(icc + 36, "acsp", 4);
    memcpy(icc + 68, "\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d", 12);
    for (int kind = 0; kind < 4; kind++) {
        struct im_decoders *pool = dr_open(NULL, 1, 5000, 80000);
        struct nm_buf chunks = {0}, file = {0};
        for (int i = 0; kind == 0 && i < 40; i++) /* each below what libpng would take */
            add_inflating(&chunks, "zTXt", "Comment\0", 9, icc, 0, MANY / 16);
        if (kind == 1)
            add_inflating(&chunks, "iCCP", "test\0", 6, icc, sizeof icc, MANY);
        for (int i = 0; kind == 2 && i < 10000; i++)
            add_chunk(&chunks, "tEXt", "Comment\0text", 12);
        if (kind == 3) /* T126 itself: 50 MB in 51 kB */
            add_inflating(&chunks, "zTXt", "Comment\0", 9, icc, 0, MANY);
        assert_true(kind != 3 || (chunks.len > 40000 && chunks.len < 60000));
        png_with(&chunks, &file);
        struct im_decoded got = run(pool, IM_PNG, 400, 300, 100, &file);
        if (got.reason != IM_NONE || got.cpu_us > 50000)
            fail_msg("kind %d: %s %s, %lld us", kind, im_reason_name(got.reason), got.cause, (long long)got.cpu_us);
        assert_true(dr_sanitized() || dr_memory_kb(pool, "VmHWM:") < 20000);
        nm_buf_clear(&chunks);
        nm_buf_clear(&file);
        im_decoders_close(pool);
    }
}

/* ---- mutations (T136) ---- */

static uint32_t seed;

static uint32_t chance(uint32_t n)
{
    seed = seed * 1664525 + 1013904223; /* Numerical Recipes: any generator with a fixed seed will do */
    return (seed >> 8) % n;
}

static void good_file(int which, struct nm_buf *file)
{
    struct df_picture picture = df_draw(60, 40, which == 4 || which == 5 ? 1 : which == 3 || which == 7 ? 4 : 3);
    if (which < 2)
        df_jpeg(&picture, &(struct df_jpeg){.progressive = which == 1}, file);
    else if (which < 4)
        df_png(&picture, &(struct df_png){.adam7 = which == 3}, file);
    else if (which < 6)
        df_gif(&picture, &(struct df_gif){.interlaced = which == 5}, file);
    else
        df_webp(&picture, which == 7, file);
    free(picture.data);
}

static void mutate(struct nm_buf *file)
{
    for (uint32_t n = 1 + chance(4); n > 0; n--) {
        size_t at = chance((uint32_t)file->len);
        if (chance(8) == 0)
            file->len = at + 1;
        else if (chance(2))
            file->data[at] = (char)chance(256);
        else
            file->data[at] = (char)(file->data[at] ^ 1 << chance(8));
    }
}

static void mutations__never_harm_the_pool(void **state)
{
    (void)state;
    static const enum im_type types[] = {IM_JPEG, IM_JPEG, IM_PNG, IM_PNG, IM_GIF, IM_GIF, IM_WEBP, IM_WEBP};
    struct im_decoders *pool = dr_open(NULL, 1, 5000, 80000);
    const char *more = getenv("NM_MUTATIONS"); /* of each file; 10,000 take some minutes */
    int n = more ? (int)strtol(more, NULL, 10) : 250, count[IM_N_REASONS] = {0};
    seed = 20310412;
    for (int which = 0; which < 8; which++) {
        struct nm_buf good = {0};
        good_file(which, &good);
        for (int i = 0; i < n; i++) {
            struct nm_buf file = {0};
            nm_buf_add(&file, good.data, good.len);
            mutate(&file);
            count[run(pool, types[which], 60, 40, 100, &file).reason]++;
            nm_buf_clear(&file);
        }
        assert_int_equal(run(pool, types[which], 60, 40, 100, &good).reason, IM_NONE);
        nm_buf_clear(&good);
    }
    print_message("%d mutations of each of 8 files: %d decoded, %d truncated, %d failed, %d killed\n", n,
                  count[IM_NONE], count[IM_truncated], count[IM_decode_fail], count[IM_decode_killed]);
    assert_true(count[IM_NONE] > 0 && count[IM_truncated] > 0 && count[IM_decode_fail] > 0);
    assert_int_equal(im_decoders_stats(pool).forged, 0);
    assert_int_equal(im_decoders_stats(pool).kills, 0); /* no library was broken by these */
    im_decoders_close(pool);
}

int main(int argc, char **argv)
{
    dr_be_decoder(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(black__png_takes_the_memory_of_its_kind),
        cmocka_unit_test(memory__limit_fails_the_job_alone),
        cmocka_unit_test(scans__are_counted_while_they_are_read),
        cmocka_unit_test(scans__without_a_cap_end_at_the_cpu_limit),
        cmocka_unit_test(chunks__of_text_are_not_inflated_and_profiles_only_so_far),
        cmocka_unit_test(mutations__never_harm_the_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
