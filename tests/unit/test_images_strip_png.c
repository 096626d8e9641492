/* test_images_strip_png.c - the public copy of a PNG: chunks that stay, CRCs, iCCP, texts, APNG, broken structures. */
#include "strip_case.h"

#include <zlib.h>

static struct nm_buf in, want, part, copy;

static void reset(void)
{
    nm_buf_reset(&in);
    nm_buf_reset(&want);
    nm_buf_reset(&part);
    case_png_start(&in);
    case_png_start(&want);
}

static void gives_want(void)
{
    case_png_data(&in);
    CHUNK(&in, "IEND", "");
    case_png_data(&want);
    CHUNK(&want, "IEND", "");
    case_gives(&in, IM_PNG, &want);
}

/* Wrong by one bit. */
static void spoil_crc(struct nm_buf *out)
{
    out->data[out->len - 1] = (char)(out->data[out->len - 1] ^ 1);
}

static void png__a_picture_alone_stays_as_it_is(void **state)
{
    (void)state;
    reset();
    gives_want();
}

static void png__colours_and_size_of_a_pixel_stay(void **state)
{
    (void)state;
    reset();
    for (int i = 0; i < 2; i++) {
        struct nm_buf *out = i ? &in : &want;
        CHUNK(out, "cHRM", "0123456789abcdef0123456789abcdef");
        CHUNK(out, "gAMA", "\0\0\xB1\x8F");
        CHUNK(out, "sBIT", "\x08\x08\x08");
        CHUNK(out, "sRGB", "\0");
        CHUNK(out, "cICP", "\1\x0D\0\1");
        CHUNK(out, "mDCV", "0123456789abcdefghijklmn");
        CHUNK(out, "cLLI", "01234567");
        CHUNK(out, "PLTE", "\0\0\0\xFF\xFF\xFF");
        CHUNK(out, "tRNS", "\0\xFF");
        CHUNK(out, "bKGD", "\1");
        CHUNK(out, "pHYs", "\0\0\x0B\x13\0\0\x0B\x13\1");
    }
    gives_want();
}

static void png__everything_else_goes(void **state)
{
    (void)state;
    reset();
    CHUNK(&in, "tIME", "\x07\xEF\1\1\1\1\1");
    CHUNK(&in, "hIST", "PRIVATE.");
    CHUNK(&in, "sPLT", "PRIVATE");
    CHUNK(&in, "tEXt", "Comment\0PRIVATE");
    CHUNK(&in, "tEXt", "Raw profile type exif\0PRIVATE");
    CHUNK(&in, "iTXt", "XML:com.adobe.xmp\0\0\0\0\0PRIVATE");
    CHUNK(&in, "zTXt", "Copyright\0\0PRIVATE");
    CHUNK(&in, "prVt", "PRIVATE");
    CHUNK(&in, "gAMA", "\0\0\xB1\x8FPRIVATE");
    CHUNK(&in, "sRGB", "");
    CHUNK(&in, "bKGD", "PRIVATE");
    case_png_data(&in);
    CHUNK(&in, "pHYs", "PRIVATE!!");
    CHUNK(&in, "tIME", "\x07\xEF\1\1\1\1\1");
    CHUNK(&in, "IEND", "");
    CHUNK(&in, "tEXt", "Author\0PRIVATE");
    ADD(&in, "PK\3\4PRIVATE");
    case_png_data(&want);
    CHUNK(&want, "IEND", "");
    case_gives(&in, IM_PNG, &want);
}

static void png__a_chunk_of_colour_stays_once(void **state)
{
    (void)state;
    reset();
    CHUNK(&in, "gAMA", "\0\0\0\1");
    spoil_crc(&in);
    CHUNK(&in, "gAMA", "\0\0\0\2");
    CHUNK(&in, "gAMA", "\0\0\0\3");
    CHUNK(&want, "gAMA", "\0\0\0\2");
    gives_want();
}

static void png__exif_is_written_anew_from_either_side_of_the_picture(void **state)
{
    (void)state;
    for (int behind = 0; behind <= 1; behind++) {
        reset();
        if (behind)
            case_png_data(&in);
        case_tiff(&part, &(struct case_tiff){true, 6, "", "Gazette"});
        case_png_chunk(&in, "eXIf", part.data, part.len);
        spoil_crc(&in);
        CHUNK(&in, "eXIf", "MM\0*\0\0");
        case_png_chunk(&in, "eXIf", part.data, part.len);
        if (!behind)
            case_png_data(&in);
        CHUNK(&in, "IEND", "");
        CHUNK(&want, "eXIf",
              "MM\0*\0\0\0\x08\0\2\x01\x12\0\3\0\0\0\1\0\6\0\0"
              "\x82\x98\0\2\0\0\0\x08\0\0\0\x26\0\0\0\0Gazette\0");
        case_png_data(&want);
        CHUNK(&want, "IEND", "");
        case_gives(&in, IM_PNG, &want);
    }
}

static void png__texts_of_author_copyright_and_credit_stay(void **state)
{
    (void)state;
    reset();
    CHUNK(&in, "tEXt", "Credit\0Gazette\n\0");
    CHUNK(&in, "tEXt", "Copyright\0\xA9 Harbour Gazette");
    CHUNK(&in, "tEXt", "Copyright\0PRIVATE second");
    CHUNK(&in, "iTXt",
          "Author\0\0\0de\0Autorin\0Ada\tL\xC3\xBC"
          "de");
    CHUNK(&in, "iTXt", "Copyright\0\1\0\0\0PRIVATE compressed");
    CHUNK(&in, "iTXt", "Copyright\0\0\0\0\0PRIVATE\xFF");
    CHUNK(&in, "tEXt", "Author");
    CHUNK(&in, "tEXt", "Author\0\n ");
    CHUNK(&in, "tEXt", "author\0PRIVATE");
    CHUNK(&in, "tEXt", "Authors\0PRIVATE");
    CHUNK(&in, "iTXt", "Credit\0\0\0no end");
    CHUNK(&in, "tEXt", "Author\0PRIVATE");
    spoil_crc(&in);
    CHUNK(&want, "iTXt",
          "Author\0\0\0\0\0Ada L\xC3\xBC"
          "de");
    CHUNK(&want, "tEXt", "Copyright\0\xA9 Harbour Gazette");
    CHUNK(&want, "tEXt", "Credit\0Gazette");
    gives_want();
}

/* ---- iCCP ---- */

/* `data` packed, behind a name, with `tail` behind the stream. */
static void add_iccp(struct nm_buf *out, const char *name, const struct nm_buf *data, const char *tail)
{
    struct nm_buf body = {0};
    uLongf n = compressBound(data->len);
    nm_buf_add(&body, name, strlen(name) + 1);
    nm_buf_addc(&body, 0);
    Bytef *room = (Bytef *)nm_buf_room(&body, n);
    assert_non_null(room);
    assert_int_equal(compress(room, &n, (const Bytef *)data->data, data->len), Z_OK);
    body.len += n;
    nm_buf_adds(&body, tail);
    case_png_chunk(out, "iCCP", body.data, body.len);
    nm_buf_clear(&body);
}

static void png__a_profile_stays_without_its_name_and_tail(void **state)
{
    static const size_t sizes[] = {128, 129, 3000, 16512, 100000};
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        reset();
        case_icc(&part, sizes[i]);
        add_iccp(&in, "PRIVATE", &part, "PRIVATE");
        add_iccp(&in, "second", &part, "");
        add_iccp(&want, "ICC", &part, "");
        gives_want();
    }
}

static void png__a_profile_that_is_none_goes(void **state)
{
    static const struct {
        size_t len; /* of 500 that the header tells */
        int mark;   /* first byte of "acsp" */
    } cases[] = {{0, 'a'}, {127, 'a'}, {499, 'a'}, {507, 'a'}, {500, 'A'}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        reset();
        case_icc(&part, 500);
        ADD(&part, "PRIVATE");
        part.data[36] = (char)cases[i].mark;
        part.len = cases[i].len;
        add_iccp(&in, "name", &part, "");
        gives_want();
    }
}

/* With a wrong CRC, or behind the picture. */
static void png__a_profile_out_of_place_goes(void **state)
{
    (void)state;
    reset();
    case_icc(&part, 200);
    add_iccp(&in, "name", &part, "");
    spoil_crc(&in);
    gives_want();
    reset();
    case_png_data(&in);
    case_icc(&part, 200);
    add_iccp(&in, "name", &part, "");
    CHUNK(&in, "IEND", "");
    case_png_data(&want);
    CHUNK(&want, "IEND", "");
    case_gives(&in, IM_PNG, &want);
}

static void png__a_broken_iccp_goes(void **state)
{
    static const struct {
        const char *body;
        size_t len;
    } cases[] = {
        {"", 0}, {"name", 4}, {"name\0", 5}, {"name\0\0", 6}, {"name\0\0no stream", 15}, {"name\0\1method", 12}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        reset();
        case_png_chunk(&in, "iCCP", cases[i].body, cases[i].len);
        gives_want();
    }
}

/* 64 MB of zeros that begin like a profile, in some 64 KB, a hundred times: at most 4 MiB are inflated. */
static void png__bombs_in_profiles_go(void **state)
{
    enum { SIZE = 64 << 20 };
    (void)state;
    reset();
    case_icc(&part, 128);
    char *zeros = nm_buf_room(&part, SIZE - 128);
    assert_non_null(zeros);
    memset(zeros, 0, SIZE - 128);
    part.len = SIZE;
    part.data[0] = SIZE >> 24;
    part.data[3] = 0;
    add_iccp(&in, "bomb", &part, "");
    nm_buf_reset(&part);
    nm_buf_add(&part, in.data + want.len, in.len - want.len); /* the chunk */
    for (int i = 1; i < 100; i++)
        nm_buf_add(&in, part.data, part.len);
    gives_want();
    nm_buf_clear(&part);
}

/* ---- APNG ---- */

#define FCTL(n) "\0\0\0" n "\0\0\0\2\0\0\0\2\0\0\0\0\0\0\0\0\0\1\0\1\0\0"

static void png__frames_of_an_animation_stay(void **state)
{
    (void)state;
    reset();
    for (int i = 0; i < 2; i++) {
        struct nm_buf *out = i ? &in : &want;
        CHUNK(out, "acTL", "\0\0\0\2\0\0\0\0");
        CHUNK(out, "fcTL", FCTL("\0"));
        case_png_data(out);
        CHUNK(out, "fcTL", FCTL("\1"));
        if (i)
            CHUNK(out, "tEXt", "Comment\0PRIVATE");
        CHUNK(out, "fdAT", "\0\0\0\2frame");
        CHUNK(out, "fdAT", "\0\0\0\3frame");
        CHUNK(out, "IEND", "");
    }
    case_gives(&in, IM_PNG, &want);
}

static void png__frames_without_an_animation_go(void **state)
{
    (void)state;
    reset();
    CHUNK(&in, "acTL", "\0\0\0\2\0\0\0\0");
    spoil_crc(&in);
    CHUNK(&in, "fcTL", FCTL("\0"));
    case_png_data(&in);
    CHUNK(&in, "acTL", "\0\0\0\2\0\0\0\0");
    CHUNK(&in, "fdAT", "\0\0\0\2PRIVATE");
    CHUNK(&in, "IEND", "");
    case_png_data(&want);
    CHUNK(&want, "IEND", "");
    case_gives(&in, IM_PNG, &want);
}

/* ---- broken structures ---- */

enum { NO_IHDR, SECOND_IHDR, LONG_IHDR, IHDR_CRC, NO_IDAT, IDAT_CRC, TWO_RUNS, NO_IEND, FULL_IEND, IEND_CRC, N_BREAKS };

static void add_broken(int what)
{
    nm_buf_reset(&in);
    ADD(&in, "\x89PNG\r\n\x1A\n");
    if (what == LONG_IHDR)
        CHUNK(&in, "IHDR", "\0\0\0\2\0\0\0\2\x08\0\0\0\0?");
    else if (what != NO_IHDR)
        CHUNK(&in, "IHDR", "\0\0\0\2\0\0\0\2\x08\0\0\0\0");
    if (what == IHDR_CRC)
        spoil_crc(&in);
    if (what == SECOND_IHDR)
        CHUNK(&in, "IHDR", "\0\0\0\2\0\0\0\2\x08\0\0\0\0");
    if (what != NO_IDAT)
        case_png_data(&in);
    if (what == IDAT_CRC)
        spoil_crc(&in);
    if (what == TWO_RUNS) {
        CHUNK(&in, "tEXt", "Comment\0between");
        case_png_data(&in);
    }
    if (what == FULL_IEND)
        CHUNK(&in, "IEND", "?");
    else if (what != NO_IEND)
        CHUNK(&in, "IEND", "");
    if (what == IEND_CRC)
        spoil_crc(&in);
}

static void png__a_broken_structure_is_refused(void **state)
{
    char what[] = "break 0";
    (void)state;
    for (int i = 0; i < N_BREAKS; i++, what[6]++) {
        add_broken(i);
        case_broken(&in, IM_PNG, what);
    }
    add_broken(N_BREAKS); /* none of them */
    assert_int_equal(case_strip(&in, IM_PNG, 0, true, &copy), IM_NONE);
}

/* In front of the picture, where it is whole otherwise. */
static void png__a_broken_chunk_of_the_picture_is_refused(void **state)
{
    static const struct {
        const char *type, *body;
        size_t len;
        bool spoilt;
    } cases[] = {
        {"PLTE", "", 0, false},   {"PLTE", "1234", 4, false},
        {"PLTE", "123", 3, true}, {"CgBI", "\x50\0\x20\2", 4, false},
        {"IDaT", "", 0, false},   {"ID4T", "", 0, false},
        {"t4xt", "", 0, false},   {"tex4", "", 0, false},
        {"4ext", "", 0, false},   {"te4t", "", 0, false},
        {"te{t", "", 0, false},   {"\0\0\0\0", "", 0, false},
        {"IHDR", "", 0, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        reset();
        size_t at = in.len;
        case_be(&in, (uint32_t)cases[i].len, 4);
        nm_buf_add(&in, cases[i].type, 4);
        nm_buf_add(&in, cases[i].body, cases[i].len);
        uint32_t crc = (uint32_t)crc32(0, (const Bytef *)in.data + at + 4, (uInt)cases[i].len + 4);
        case_be(&in, crc ^ cases[i].spoilt, 4);
        case_png_data(&in);
        CHUNK(&in, "IEND", "");
        case_broken(&in, IM_PNG, cases[i].type);
    }
    reset();
    CHUNK(&in, "PLTE", "123");
    CHUNK(&in, "PLTE", "123");
    case_png_data(&in);
    CHUNK(&in, "IEND", "");
    case_broken(&in, IM_PNG, "two palettes");
    reset();
    case_png_data(&in);
    CHUNK(&in, "PLTE", "123");
    CHUNK(&in, "IEND", "");
    case_broken(&in, IM_PNG, "a palette behind the data");
}

static void png__a_length_beyond_the_end_is_refused(void **state)
{
    static const uint32_t lengths[] = {21, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF4, 0xFFFFFFFF};
    (void)state;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        reset();
        case_png_data(&in);
        case_be(&in, lengths[i], 4);
        ADD(&in, "tEXtbody............");
        case_broken(&in, IM_PNG, "a length beyond the end");
    }
}

static void png__a_broken_frame_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        reset();
        CHUNK(&in, "acTL", "\0\0\0\2\0\0\0\0");
        if (i == 0)
            CHUNK(&in, "fdAT", "\0\0\0\2frame in front of the picture");
        case_png_data(&in);
        if (i == 1)
            CHUNK(&in, "fdAT", "\0\0\0");
        else if (i == 2)
            CHUNK(&in, "fcTL", "short");
        else
            CHUNK(&in, "fdAT", "\0\0\0\2frame");
        if (i == 3)
            spoil_crc(&in);
        CHUNK(&in, "IEND", "");
        case_broken(&in, IM_PNG, "a frame");
    }
}

static int free_all(void **state)
{
    (void)state;
    nm_buf_clear(&in);
    nm_buf_clear(&want);
    nm_buf_clear(&part);
    nm_buf_clear(&copy);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png__a_picture_alone_stays_as_it_is),
        cmocka_unit_test(png__colours_and_size_of_a_pixel_stay),
        cmocka_unit_test(png__everything_else_goes),
        cmocka_unit_test(png__a_chunk_of_colour_stays_once),
        cmocka_unit_test(png__exif_is_written_anew_from_either_side_of_the_picture),
        cmocka_unit_test(png__texts_of_author_copyright_and_credit_stay),
        cmocka_unit_test(png__a_profile_stays_without_its_name_and_tail),
        cmocka_unit_test(png__a_profile_that_is_none_goes),
        cmocka_unit_test(png__a_profile_out_of_place_goes),
        cmocka_unit_test(png__a_broken_iccp_goes),
        cmocka_unit_test(png__bombs_in_profiles_go),
        cmocka_unit_test(png__frames_of_an_animation_stay),
        cmocka_unit_test(png__frames_without_an_animation_go),
        cmocka_unit_test(png__a_broken_structure_is_refused),
        cmocka_unit_test(png__a_broken_chunk_of_the_picture_is_refused),
        cmocka_unit_test(png__a_length_beyond_the_end_is_refused),
        cmocka_unit_test(png__a_broken_frame_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, free_all);
}
