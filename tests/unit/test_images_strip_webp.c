/* test_images_strip_webp.c - the public copy of a WebP: the simple and the extended form, animations, broken
 * structures. */
#include "strip_case.h"

static struct nm_buf in, want, part;

enum { ICC = 0x20, ALPHA = 0x10, EXIF = 0x08, XMP = 0x04, ANIMATION = 0x02 }; /* flags of VP8X */

static void reset(int in_flags, int want_flags)
{
    nm_buf_reset(&in);
    nm_buf_reset(&want);
    nm_buf_reset(&part);
    case_webp_start(&in);
    case_webp_vp8x(&in, in_flags);
    case_webp_start(&want);
    case_webp_vp8x(&want, want_flags);
}

static void gives_want(void)
{
    case_webp_end(&in);
    case_webp_end(&want);
    case_gives(&in, IM_WEBP, &want);
}

static void webp__the_simple_form_is_one_chunk(void **state)
{
    static const char *const types[] = {"VP8 ", "VP8L"};
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        nm_buf_reset(&in);
        nm_buf_reset(&want);
        case_webp_start(&in);
        RIFF(&in, types[i], "picture");
        nm_buf_add(&want, in.data, in.len);
        case_tiff(&part, &(struct case_tiff){true, 6, "Ada", "Gazette"});
        case_riff(&in, "EXIF", part.data, part.len);
        RIFF(&in, "XMP ", "PRIVATE");
        gives_want();
    }
}

static void webp__the_extended_form_is_put_in_order(void **state)
{
    (void)state;
    reset(EXIF | XMP | 0xC1, ICC | EXIF);
    in.data[21] = in.data[22] = in.data[23] = 'P'; /* reserved */
    RIFF(&in, "XMP ", "PRIVATE");
    case_tiff(&part, &(struct case_tiff){true, 6, "", ""});
    case_riff(&in, "EXIF", part.data, part.len);
    RIFF(&in, "junk", "PRIVATE");
    RIFF(&in, "VP8 ", "picture");
    nm_buf_reset(&part);
    case_icc(&part, 201);
    nm_buf_adds(&part, "PRIVATE");
    case_riff(&in, "ICCP", part.data, part.len);
    case_riff(&in, "ICCP", part.data, part.len);
    case_riff(&want, "ICCP", part.data, 201);
    RIFF(&want, "VP8 ", "picture");
    RIFF(&want, "EXIF", "MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0");
    gives_want();
}

static void webp__flags_tell_what_is_there(void **state)
{
    (void)state;
    reset(ICC | ALPHA | EXIF | XMP, ALPHA);
    RIFF(&in, "ICCP", "PRIVATE, no profile");
    RIFF(&in, "EXIF", "PRIVATE, no block");
    RIFF(&in, "ALPH", "alpha");
    RIFF(&in, "VP8 ", "picture");
    RIFF(&in, "ALPH", "PRIVATE, too late");
    RIFF(&want, "ALPH", "alpha");
    RIFF(&want, "VP8 ", "picture");
    gives_want();
}

static void webp__exif_may_begin_as_in_a_jpeg(void **state)
{
    (void)state;
    reset(EXIF, EXIF);
    RIFF(&in, "VP8L", "picture");
    RIFF(&in, "EXIF", "Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\3\0\0\0\0\0\0");
    RIFF(&want, "VP8L", "picture");
    RIFF(&want, "EXIF", "MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\3\0\0\0\0\0\0");
    gives_want();
}

static void webp__lossless_has_no_alpha_chunk(void **state)
{
    (void)state;
    reset(ALPHA, ALPHA);
    RIFF(&in, "ALPH", "PRIVATE");
    RIFF(&in, "VP8L", "picture");
    RIFF(&want, "VP8L", "picture");
    gives_want();
}

static void webp__frames_of_an_animation_are_filtered(void **state)
{
    (void)state;
    reset(ANIMATION | ALPHA, ANIMATION | ALPHA);
    for (int i = 0; i < 2; i++) {
        struct nm_buf *out = i ? &in : &want;
        if (i) {
            RIFF(out, "XMP ", "PRIVATE");
            RIFF(out, "ANIM", "\xFF\xFF\xFF\xFF\0\0PRIVATE");
            RIFF(out, "ANIM", "PRIVAT");
        } else {
            RIFF(out, "ANIM", "\xFF\xFF\xFF\xFF\0\0");
        }
        for (int frame = 0; frame < 3; frame++) {
            nm_buf_reset(&part);
            ADD(&part, "0123456789abcdef");
            if (i)
                RIFF(&part, "EXIF", "PRIVATE");
            if (frame == 1)
                RIFF(&part, "ALPH", "alpha");
            case_riff(&part, frame ? "VP8 " : "VP8L", "picture", (size_t)(7 - frame));
            if (i)
                RIFF(&part, "junk", "PRIVATE");
            if (i)
                ADD(&part, "PRIV");
            case_riff(out, "ANMF", part.data, part.len);
            if (i)
                RIFF(out, "junk", "PRIVATE");
        }
    }
    gives_want();
}

static void webp__without_the_flag_frames_go(void **state)
{
    (void)state;
    reset(0, 0);
    RIFF(&in, "ANIM", "\xFF\xFF\xFF\xFF\0\0");
    RIFF(&in, "ANMF", "PRIVATE");
    RIFF(&in, "VP8L", "picture");
    RIFF(&want, "VP8L", "picture");
    gives_want();
}

static void webp__nothing_behind_its_size_stays(void **state)
{
    (void)state;
    reset(0, 0);
    RIFF(&in, "VP8L", "picture");
    ADD(&in, "PRIV"); /* inside, but no chunk */
    case_webp_end(&in);
    ADD(&in, "PK\3\4PRIVATE");
    RIFF(&want, "VP8L", "picture");
    case_webp_end(&want);
    case_gives(&in, IM_WEBP, &want);
}

/* The byte that makes the last chunk even: some writers leave it out; what it is does not matter. */
static void webp__the_last_chunk_may_be_odd(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        reset(0, 0);
        RIFF(&in, "VP8L", "picture");
        RIFF(&want, "VP8L", "picture");
        if (i)
            in.data[in.len - 1] = 'P';
        else
            in.len--;
        gives_want();
    }
}

/* ---- broken structures ---- */

static void refused(const char *what)
{
    case_webp_end(&in);
    case_broken(&in, IM_WEBP, what);
}

static void webp__a_broken_still_picture_is_refused(void **state)
{
    (void)state;
    reset(0, 0);
    refused("no picture");
    RIFF(&in, "VP8 ", "picture");
    RIFF(&in, "VP8L", "picture");
    refused("two pictures");
    reset(0, 0);
    ADD(&in, "VP8 \x08\0\0\0picture");
    refused("a chunk beyond the end");
    reset(0, 0);
    RIFF(&in, "VP8 ", "picture");
    ADD(&in, "EXIF\xFF\xFF\xFF\xFF.");
    refused("a chunk far beyond the end");
    nm_buf_reset(&in);
    case_webp_start(&in);
    RIFF(&in, "VP8X", "123456789");
    RIFF(&in, "VP8 ", "picture");
    refused("a short VP8X");
    nm_buf_reset(&in);
    case_webp_start(&in);
    RIFF(&in, "EXIF", "first");
    RIFF(&in, "VP8 ", "picture");
    refused("neither a picture nor VP8X in front");
    nm_buf_reset(&in);
    case_webp_start(&in);
    refused("empty");
}

static void webp__a_broken_animation_is_refused(void **state)
{
    static const char frame[] = "0123456789abcdefVP8L\2\0\0\0..";
    (void)state;
    reset(ANIMATION, 0);
    case_riff(&in, "ANMF", frame, sizeof frame - 1);
    refused("no ANIM");
    reset(ANIMATION, 0);
    RIFF(&in, "ANIM", "12345");
    case_riff(&in, "ANMF", frame, sizeof frame - 1);
    refused("a short ANIM");
    for (size_t len = 0; len < sizeof frame - 1; len++) {
        reset(ANIMATION, 0);
        RIFF(&in, "ANIM", "123456");
        case_riff(&in, "ANMF", frame, sizeof frame - 1);
        case_riff(&in, "ANMF", frame, len);
        refused("a cut frame");
    }
    reset(ANIMATION, 0);
    RIFF(&in, "ANIM", "123456");
    refused("no frame");
    case_riff(&in, "ANMF", frame, sizeof frame - 1);
    RIFF(&in, "VP8L", "picture");
    refused("a picture beside the frames");
    reset(ANIMATION, 0);
    RIFF(&in, "ANIM", "123456");
    case_riff(&in, "ANMF", frame, sizeof frame - 1);
    nm_buf_add(&part, frame, sizeof frame - 1);
    RIFF(&part, "VP8L", "..");
    case_riff(&in, "ANMF", part.data, part.len);
    refused("a frame with two pictures");
}

static void webp__a_broken_riff_is_refused(void **state)
{
    static const uint32_t sizes[] = {0, 3, 4, 11, 0x7FFFFFFF, 0xFFFFFFFF};
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        reset(0, 0);
        RIFF(&in, "VP8L", "picture");
        for (int j = 0; j < 4; j++)
            in.data[4 + j] = (char)(sizes[i] >> 8 * j);
        case_broken(&in, IM_WEBP, "a size");
    }
    reset(0, 0);
    RIFF(&in, "VP8L", "picture");
    in.data[3] = 'X';
    refused("no RIFF");
    in.data[3] = 'F';
    in.data[8] = 'V';
    refused("no WEBP");
}

static int free_all(void **state)
{
    (void)state;
    nm_buf_clear(&in);
    nm_buf_clear(&want);
    nm_buf_clear(&part);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(webp__the_simple_form_is_one_chunk),
        cmocka_unit_test(webp__the_extended_form_is_put_in_order),
        cmocka_unit_test(webp__flags_tell_what_is_there),
        cmocka_unit_test(webp__exif_may_begin_as_in_a_jpeg),
        cmocka_unit_test(webp__lossless_has_no_alpha_chunk),
        cmocka_unit_test(webp__frames_of_an_animation_are_filtered),
        cmocka_unit_test(webp__without_the_flag_frames_go),
        cmocka_unit_test(webp__nothing_behind_its_size_stays),
        cmocka_unit_test(webp__the_last_chunk_may_be_odd),
        cmocka_unit_test(webp__a_broken_still_picture_is_refused),
        cmocka_unit_test(webp__a_broken_animation_is_refused),
        cmocka_unit_test(webp__a_broken_riff_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, free_all);
}
