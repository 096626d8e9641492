/* test_images_strip.c - what holds for the public copy of any image: what is refused, bytes behind the end, mutations,
 * every length, large hostile inputs, and images that hold everything. */
#include "strip_case.h"

static const enum im_type types[] = {IM_JPEG, IM_PNG, IM_GIF, IM_WEBP};

static struct nm_buf in, copy;

static void strip__other_types_are_not_allowed(void **state)
{
    static const enum im_type others[] = {IM_UNKNOWN, IM_AVIF};
    (void)state;
    case_sample(&in, IM_JPEG);
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(case_strip(&in, others[i], 1, true, &copy), IM_type_not_allowed);
}

static void strip__a_type_that_the_bytes_are_not_is_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        case_sample(&in, types[i]);
        for (size_t j = 0; j < COUNT(types); j++)
            if (i != j)
                case_broken(&in, types[j], "another type");
    }
}

static void strip__nothing_private_and_no_tail_is_in_the_copy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        case_sample(&in, types[i]);
        assert_true(HAS(&in, "PRIVATE tail"));
        assert_int_equal(case_strip(&in, types[i], 0, true, &copy), IM_NONE);
        assert_false(HAS(&copy, "PRIVATE"));
    }
}

static void strip__texts_stay_only_if_they_are_to(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        if (types[i] == IM_GIF) /* has none */
            continue;
        case_sample(&in, types[i]);
        assert_int_equal(case_strip(&in, types[i], 0, true, &copy), IM_NONE);
        assert_true(HAS(&copy, "Ada Vance") && HAS(&copy, "Harbour Gazette"));
        assert_int_equal(case_strip(&in, types[i], 0, false, &copy), IM_NONE);
        assert_false(HAS(&copy, "Ada Vance") || HAS(&copy, "Harbour Gazette") || HAS(&copy, "Copyright"));
    }
}

/* What the facts say is shown: an own block where the file has none, none where they say 1. */
static void strip__the_orientation_is_that_of_the_facts(void **state)
{
    static const enum im_type with[] = {IM_JPEG, IM_PNG, IM_WEBP};
    (void)state;
    for (size_t i = 0; i < COUNT(with); i++)
        for (int orientation = -1; orientation <= 9; orientation++) {
            int want = orientation < 1 || orientation > 8 ? 6 : orientation; /* 6 is in the file */
            char entry[] = "\x01\x12\0\3\0\0\0\1\0?";
            entry[9] = (char)want;
            case_sample(&in, with[i]);
            assert_int_equal(case_strip(&in, with[i], orientation, false, &copy), IM_NONE);
            assert_int_equal(case_has(&copy, entry, 10), want > 1);
            assert_int_equal(case_has(&copy, entry, 4), want > 1);
        }
}

/* The result says it; the buffer keeps what it had. */
static void strip__without_memory_the_decoder_is_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        struct im_facts facts = {.type = types[i]};
        case_sample(&in, types[i]);
        nm_buf_reset(&copy);
        nm_buf_adds(&copy, "held");
        copy.oom = true; /* as after an allocation that failed */
        assert_int_equal(im_strip((const uint8_t *)in.data, in.len, &facts, true, &copy), IM_decode_killed);
        assert_int_equal(copy.len, 4);
        assert_memory_equal(copy.data, "held", 4);
    }
}

/* Cut anywhere in front of its end, an image is broken; a JPEG may have its scan cut, which the probe finds. */
static void strip__every_beginning_of_an_image(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        case_sample(&in, types[i]);
        size_t whole = in.len, tail = strlen("PRIVATE tail"), taken = 0;
        for (in.len = 0; in.len < whole - tail; in.len++)
            taken += case_strip(&in, types[i], 0, true, &copy) == IM_NONE;
        assert_int_equal(taken, types[i] == IM_JPEG ? strlen("one??two??three??") : 0);
    }
}

static uint64_t seed = 20261127;

static uint32_t draw(uint32_t below) /* xorshift64 */
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 32) % below);
}

/* One to four changes: a bit, a byte, a piece copied over another, a piece cut out. */
static void mutate(struct nm_buf *image)
{
    for (uint32_t n = 1 + draw(4); n; n--) {
        size_t at = draw((uint32_t)image->len), from = draw((uint32_t)image->len);
        size_t room = image->len - (at > from ? at : from), piece = room < 16 ? room : 16;
        switch (draw(4)) {
        case 0:
            image->data[at] = (char)(image->data[at] ^ 1 << draw(8));
            break;
        case 1:
            image->data[at] = (char)draw(256);
            break;
        case 2:
            memmove(image->data + at, image->data + from, piece);
            break;
        default:
            if (at < from) {
                memmove(image->data + at, image->data + from, image->len - from);
                image->len -= from - at;
            }
            break;
        }
    }
}

/* PNG: half of the mutants get right CRCs, else each would be out at once. */
static void repair_crcs(const struct nm_buf *image)
{
    struct nm_buf chunk = {0};
    for (size_t at = 8; image->len >= 12 && at <= image->len - 12;) {
        const uint8_t *p = (const uint8_t *)image->data + at;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (n > image->len - 12 - at)
            break;
        nm_buf_reset(&chunk);
        case_png_chunk(&chunk, "", p + 4, n + 4); /* its CRC is that of type and body */
        memcpy(image->data + at + 8 + n, chunk.data + chunk.len - 4, 4);
        at += n + 12;
    }
    nm_buf_clear(&chunk);
}

static void strip__mutations(void **state)
{
    enum { ROUNDS = 10000 };
    struct nm_buf sample = {0};
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        size_t taken = 0;
        case_sample(&sample, types[i]);
        for (int round = 0; round < ROUNDS; round++) {
            nm_buf_reset(&in);
            nm_buf_add(&in, sample.data, sample.len);
            mutate(&in);
            if (types[i] == IM_PNG && round % 2)
                repair_crcs(&in);
            taken += case_strip(&in, types[i], 0, true, &copy) == IM_NONE;
        }
        assert_in_range(taken, ROUNDS / 20, ROUNDS - ROUNDS / 20); /* both ways are walked */
    }
    nm_buf_clear(&sample);
}

static void add_start(enum im_type type)
{
    nm_buf_reset(&in);
    if (type == IM_JPEG) {
        ADD(&in, "\xFF\xD8");
    } else if (type == IM_PNG) {
        case_png_start(&in);
    } else if (type == IM_GIF) {
        case_gif_start(&in);
    } else {
        case_webp_start(&in);
        case_webp_vp8x(&in, 0);
    }
}

static void add_end(enum im_type type)
{
    if (type == IM_JPEG) {
        case_jpeg_picture(&in);
    } else if (type == IM_PNG) {
        case_png_data(&in);
        CHUNK(&in, "IEND", "");
    } else if (type == IM_GIF) {
        case_gif_frame(&in);
        ADD(&in, "\x3B");
    } else {
        RIFF(&in, "VP8 ", "picture");
        case_webp_end(&in);
    }
}

/* A million bytes that are one structure again and again: a walk that goes back would never end. */
static void strip__large_hostile_images_take_linear_time(void **state)
{
    static const struct {
        enum im_type type;
        const char *unit;
        size_t len;
        bool stays;
    } cases[] = {
#define CASE(type, unit, stays) {type, unit, sizeof(unit) - 1, stays}
        CASE(IM_JPEG, "\xFF", false),
        CASE(IM_JPEG, "garbage \xFF\x00", false),
        CASE(IM_JPEG, "\xFF\xE1\0\2", false),
        CASE(IM_JPEG,
             "\xFF\xE1\0\x10"
             "Exif\0\0MM\0*\xFF\xFF\xFF\xFF",
             false),
        CASE(IM_JPEG, "\xFF\xE2\0\x10ICC_PROFILE\0\1\1", false),
        CASE(IM_JPEG,
             "\xFF\xED\0\x1BPhotoshop 3.0\0"
             "8BIM\4\4\0\0\xFF\xFF\xFF",
             false),
        CASE(IM_JPEG, "\xFF\xFE\0\2garbage\xFF", false),
        CASE(IM_JPEG, "\xFF\xDD\0\4\0\1", true),
        CASE(IM_PNG, "\0\0\0\7tEXtAuthor\0\x3D\x65\x71\x44", false),
        CASE(IM_PNG, "\0\0\0\0eXIf????", false),
        CASE(IM_GIF, "\x21\xFE\0", false),
        CASE(IM_GIF, "\x21\xFE\1x\0", false),
        CASE(IM_GIF, "\x21\xF9\4\0\0\0\0\0", false),
        CASE(IM_GIF, "\x2C\0\0\0\0\1\0\1\0\0\2\0", true),
        CASE(IM_WEBP, "junk\0\0\0\0", false),
        CASE(IM_WEBP, "ICCP\0\0\0\0", false),
        CASE(IM_WEBP, "ALPH\0\0\0\0", false),
#undef CASE
    };
    enum { BYTES = 1000000 };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        add_start(cases[i].type);
        while (in.len < BYTES)
            nm_buf_add(&in, cases[i].unit, cases[i].len);
        add_end(cases[i].type);
        assert_int_equal(case_strip(&in, cases[i].type, 0, true, &copy), IM_NONE);
        assert_int_equal(copy.len > BYTES, cases[i].stays);
        assert_true(copy.len > BYTES || copy.len < 1000);
    }
}

static int free_all(void **state)
{
    (void)state;
    nm_buf_clear(&in);
    nm_buf_clear(&copy);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strip__other_types_are_not_allowed),
        cmocka_unit_test(strip__a_type_that_the_bytes_are_not_is_broken),
        cmocka_unit_test(strip__nothing_private_and_no_tail_is_in_the_copy),
        cmocka_unit_test(strip__texts_stay_only_if_they_are_to),
        cmocka_unit_test(strip__the_orientation_is_that_of_the_facts),
        cmocka_unit_test(strip__without_memory_the_decoder_is_out),
        cmocka_unit_test(strip__every_beginning_of_an_image),
        cmocka_unit_test(strip__mutations),
        cmocka_unit_test(strip__large_hostile_images_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, free_all);
}
