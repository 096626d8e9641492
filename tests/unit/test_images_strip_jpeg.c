/* test_images_strip_jpeg.c - the public copy of a JPEG: which segments stay, ICC, JFIF, Adobe, EOI, broken structures.
 */
#include "strip_case.h"

static struct nm_buf in, want, part;

static void reset(void)
{
    nm_buf_reset(&in);
    nm_buf_reset(&want);
    nm_buf_reset(&part);
    ADD(&in, "\xFF\xD8");
    ADD(&want, "\xFF\xD8");
}

static void jpeg__a_picture_alone_stays_as_it_is(void **state)
{
    (void)state;
    reset();
    case_jpeg_picture(&in);
    case_gives(&in, IM_JPEG, &in);
}

static void jpeg__other_segments_go_wherever_they_stand(void **state)
{
    (void)state;
    reset();
    for (int marker = 0xE0; marker <= 0xEF; marker++)
        SEGMENT(&in, marker, "PRIVATE");
    SEGMENT(&in, 0xE0, "JFXX\0\x10PRIVATE");
    SEGMENT(&in, 0xE1, "http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>PRIVATE");
    SEGMENT(&in, 0xE2, "MPF\0PRIVATE");
    SEGMENT(&in, 0xFE, "PRIVATE");
    ADD(&in, "PRIVATE\xFF\x00PRIVATE\xFF\xFF\x01\xFF\xD3\xFF\xD0\xFF\xD7");
    case_jpeg_picture(&in);
    case_jpeg_picture(&want);
    case_gives(&in, IM_JPEG, &want);
}

/* A progressive file: several scans, tables and metadata between them. Decoders take no metadata from there. */
static void jpeg__between_scans_only_tables_stay(void **state)
{
    (void)state;
    reset();
    for (int i = 0; i < 2; i++) {
        struct nm_buf *out = i ? &in : &want;
        SEGMENT(out, 0xC2, "\x08\x00\x08\x00\x08\x01\x01\x11\x00");
        SEGMENT(out, 0xDA, "\x01\x01\x00\x00\x00\x01");
        ADD(out, "dc");
        if (i) {
            ADD(out, "\xFF\xFF\xFF");
            SEGMENT(out, 0xFE, "PRIVATE");
            SEGMENT(out, 0xEE, "Adobe\0\x64\0\0\0\0\1");
            SEGMENT(out, 0xE0, "JFIF\0\1\2\0\0\1\0\1\0\0");
            case_exif(out, &(struct case_tiff){false, 3, "Ada", "Vance"});
            ADD(out, "PRIVATE\xFF\xD1PRIVATE");
        }
        SEGMENT(out, 0xC4, "\x10\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\3");
        SEGMENT(out, 0xDA, "\x01\x01\x00\x01\x3F\x00");
        ADD(out, "ac\xFF\xD9");
    }
    case_gives(&in, IM_JPEG, &want);
}

static void jpeg__without_eoi_gets_one(void **state)
{
    static const char *const ends[] = {"", "\xFF", "\xFF\xFF\xFF"};
    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        reset();
        case_jpeg_picture(&in);
        case_jpeg_picture(&want);
        in.len -= 2;
        nm_buf_adds(&in, ends[i]);
        case_gives(&in, IM_JPEG, &want);
    }
}

static void jpeg__nothing_behind_eoi_stays(void **state)
{
    static const char *const tails[] = {"<script>alert(1)</script>", "PK\3\4", "\xFF\xD8\xFF\xE1", "\xFF\xD9\xFF\xD9"};
    (void)state;
    for (size_t i = 0; i < COUNT(tails); i++) {
        reset();
        case_jpeg_picture(&in);
        case_jpeg_picture(&want);
        nm_buf_adds(&in, tails[i]);
        case_gives(&in, IM_JPEG, &want);
    }
}

static void jpeg__jfif_stays_without_its_thumbnail_and_adobe_without_a_tail(void **state)
{
    (void)state;
    reset();
    SEGMENT(&in, 0xEE, "Adobe\0\x64\0\0\0\0\2PRIVATE");
    SEGMENT(&in, 0xE0, "JFIF\0\1\2\1\0\x48\0\x48\2\1PRIVAT");
    SEGMENT(&in, 0xEE, "Adobe\0\x64");
    SEGMENT(&in, 0xE0, "JFIF\0\1\2");
    case_jpeg_picture(&in);
    SEGMENT(&want, 0xE0, "JFIF\0\1\2\1\0\x48\0\x48\0\0");
    SEGMENT(&want, 0xEE, "Adobe\0\x64\0\0\0\0\2");
    case_jpeg_picture(&want);
    case_gives(&in, IM_JPEG, &want);
}

/* ---- ICC ---- */

static void jpeg__icc_is_put_together_and_what_lies_behind_it_goes(void **state)
{
    enum { SIZE = 70000 };
    (void)state;
    reset();
    case_icc(&part, SIZE);
    ADD(&part, "PRIVATE");
    case_icc_part(&in, 3, 3, part.data + 40000, part.len - 40000);
    case_icc_part(&in, 1, 3, part.data, 100);
    case_icc_part(&in, 2, 3, part.data + 100, 39900);
    case_jpeg_picture(&in);
    case_icc_part(&want, 1, 2, part.data, 65519);
    case_icc_part(&want, 2, 2, part.data + 65519, SIZE - 65519);
    case_jpeg_picture(&want);
    case_gives(&in, IM_JPEG, &want);
}

/* Two parts of 100 bytes each, the second one in one piece or two. */
static void jpeg__an_icc_that_is_not_whole_goes(void **state)
{
    static const struct {
        int number[3], count[3];
        size_t size; /* that the header tells */
    } cases[] = {
        {{1, 3, 3}, {3, 3, 3}, 200}, {{1, 1, 2}, {2, 2, 2}, 200}, {{1, 2, 2}, {2, 2, 2}, 200},
        {{1, 2, 2}, {2, 3, 2}, 200}, {{1, 2, 2}, {2, 2, 3}, 200}, {{0, 1, 2}, {2, 2, 2}, 200},
        {{1, 2, 0}, {2, 2, 2}, 200}, {{1, 2, 3}, {2, 2, 2}, 200}, {{1, 2, 3}, {2, 2, 3}, 200},
        {{1, 2, 3}, {0, 0, 0}, 200}, {{1, 2, 3}, {3, 3, 3}, 201}, {{1, 2, 3}, {3, 3, 3}, 127},
        {{1, 2, 4}, {3, 3, 3}, 200}, {{1, 2, 4}, {4, 4, 4}, 200},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        reset();
        case_icc(&part, 200);
        part.data[3] = (char)cases[i].size;
        case_icc_part(&in, cases[i].number[0], cases[i].count[0], part.data, 100);
        case_icc_part(&in, cases[i].number[1], cases[i].count[1], part.data + 100, 100);
        case_icc_part(&in, cases[i].number[2], cases[i].count[2], part.data + 200, 0);
        case_jpeg_picture(&in);
        case_jpeg_picture(&want);
        case_gives(&in, IM_JPEG, &want);
    }
}

/* Other segments that look like a part; a part may be empty. */
static void jpeg__only_parts_of_an_icc_count(void **state)
{
    (void)state;
    reset();
    case_icc(&part, 200);
    SEGMENT(&in, 0xE2, "MPF\0MM\0*\0\0\0\x08\0\0\0\0\0\0\0\0");
    SEGMENT(&in, 0xE2, "");
    SEGMENT(&in, 0xE2, "ICC_PROFILE\0");
    SEGMENT(&in, 0xE2, "ICC_PROFILE\0\1");
    SEGMENT(&in, 0xE3, "ICC_PROFILE\0\1\2PRIVATE");
    case_icc_part(&in, 1, 2, part.data, 200);
    case_icc_part(&in, 2, 2, part.data, 0);
    case_jpeg_picture(&in);
    case_icc_part(&want, 1, 1, part.data, 200);
    case_jpeg_picture(&want);
    case_gives(&in, IM_JPEG, &want);
}

static void jpeg__what_stays_stands_in_one_order(void **state)
{
    struct nm_buf payload = {0};
    (void)state;
    reset();
    case_set(&part, 2, 80, "Ada");
    ADD(&payload, "Photoshop 3.0\0");
    case_8bim(&payload, 0x0404, &part);
    nm_buf_reset(&part);
    case_icc(&part, 200);
    for (int i = 0; i < 10; i++) { /* the parts in one order, then the other way round */
        struct nm_buf *out = i < 5 ? &want : &in;
        switch (i < 5 ? i : 9 - i) {
        case 0:
            SEGMENT(out, 0xE0, "JFIF\0\1\2\0\0\1\0\1\0\0");
            break;
        case 1:
            SEGMENT(out, 0xE1, "Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0");
            break;
        case 2:
            case_segment(out, 0xED, payload.data, payload.len);
            break;
        case 3:
            case_icc_part(out, 1, 1, part.data, part.len);
            break;
        default:
            SEGMENT(out, 0xEE, "Adobe\0\x64\0\0\0\0\1");
            break;
        }
    }
    case_jpeg_picture(&in);
    case_jpeg_picture(&want);
    case_gives(&in, IM_JPEG, &want);
    nm_buf_clear(&payload);
}

static void jpeg__an_icc_that_is_none_goes(void **state)
{
    (void)state;
    reset();
    case_icc(&part, 200);
    part.data[36] = 'A';
    case_icc_part(&in, 1, 1, part.data, part.len);
    case_jpeg_picture(&in);
    case_jpeg_picture(&want);
    case_gives(&in, IM_JPEG, &want);
}

/* ---- broken structures ---- */

#define SOF  "\xFF\xC0\0\x0B\x08\0\1\0\1\1\1\x11\0"
#define SCAN "\xFF\xDA\0\x08\1\1\0\0\0\0data"

static void jpeg__a_broken_structure_is_refused(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t len;
    } cases[] = {
#define CASE(what, bytes) {what, bytes, sizeof(bytes) - 1}
        CASE("nothing", ""),
        CASE("no frame and no scan", "\xFF\xD9"),
        CASE("no scan", SOF "\xFF\xD9"),
        CASE("no frame", SCAN "\xFF\xD9"),
        CASE("two frames", SOF SOF SCAN "\xFF\xD9"),
        CASE("a frame behind the scan", SOF SCAN SOF "\xFF\xD9"),
        CASE("a second SOI", "\xFF\xD8" SOF SCAN "\xFF\xD9"),
        CASE("a SOI behind the scan", SOF SCAN "\xFF\xD8\xFF\xD9"),
        CASE("a length of 0", "\xFF\xFE\0\0" SOF SCAN "\xFF\xD9"),
        CASE("a length of 1", "\xFF\xE1\0\1" SOF SCAN "\xFF\xD9"),
        CASE("a length beyond the end", SOF SCAN "\xFF\xE1\0\x10..."),
        CASE("half a length", SOF SCAN "\xFF\xE1\0"),
        CASE("a frame without components", "\xFF\xC0\0\x08\x08\0\1\0\1\0" SCAN "\xFF\xD9"),
        CASE("a frame with more than its components", "\xFF\xC0\0\x0C\x08\0\1\0\1\1\1\x11\0?" SCAN "\xFF\xD9"),
        CASE("a scan with more than its components", SOF "\xFF\xDA\0\x09\1\1\0\0\0\0?data\xFF\xD9"),
        CASE("a scan without components", SOF "\xFF\xDA\0\6\0\0\0\0data\xFF\xD9"),
        CASE("half a quantisation table", "\xFF\xDB\0\x05\0\1\1" SOF SCAN "\xFF\xD9"),
        CASE("half a Huffman table", "\xFF\xC4\0\x05\0\1\1" SOF SCAN "\xFF\xD9"),
        CASE("symbols that are not there", "\xFF\xC4\0\x13\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" SOF SCAN "\xFF\xD9"),
        CASE("half an arithmetic table", "\xFF\xCC\0\3\0" SOF SCAN "\xFF\xD9"),
        CASE("a long restart interval", "\xFF\xDD\0\5\0\0\0" SOF SCAN "\xFF\xD9"),
        CASE("a number of lines in front of the scan", SOF "\xFF\xDC\0\4\0\1" SCAN "\xFF\xD9"),
        CASE("a hierarchical one", "\xFF\xDE\0\x0B\x08\0\1\0\1\1\1\x11\0" SOF SCAN "\xFF\xD9"),
        CASE("a reserved marker", SOF "\xFF\x02\0\2" SCAN "\xFF\xD9"),
        CASE("a reserved marker", SOF "\xFF\xC8\0\2" SCAN "\xFF\xD9"),
        CASE("a reserved marker", SOF "\xFF\xF0\0\2" SCAN "\xFF\xD9"),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        reset();
        nm_buf_add(&in, cases[i].bytes, cases[i].len);
        case_broken(&in, IM_JPEG, cases[i].what);
    }
    static const char overfull[17 + 257] = {[15] = 2, [16] = (char)255};
    reset();
    case_segment(&in, 0xC4, overfull, sizeof overfull);
    ADD(&in, SOF SCAN "\xFF\xD9");
    case_broken(&in, IM_JPEG, "a Huffman table of 257 symbols");
    reset();
    ADD(&in, SOF "\xFF\xDC" SCAN);
    in.data[1] = (char)0xD9;
    case_broken(&in, IM_JPEG, "no SOI");
}

static void jpeg__any_sort_of_frame_and_table_stays(void **state)
{
    static const uint8_t frames[] = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC7, 0xC9, 0xCB, 0xCD, 0xCF};
    static const char full[17 + 256] = {[15] = 1, [16] = (char)255}; /* a Huffman table of 256 symbols */
    char wide[129] = {0x10};
    (void)state;
    for (size_t i = 0; i < COUNT(frames); i++) {
        reset();
        case_segment(&in, 0xDB, wide, sizeof wide); /* 16-bit values */
        case_segment(&in, 0xC4, full, sizeof full);
        SEGMENT(&in, 0xCC, "\x00\x10");
        SEGMENT(&in, frames[i], "\x08\x00\x08\x00\x08\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00");
        SEGMENT(&in, 0xDA, "\x03\x01\x00\x02\x00\x03\x00\x00\x3F\x00");
        ADD(&in, "\xFF\x00\xFF\xFF\x00\xFF\xFF\xD7.\xFF\xD0");
        SEGMENT(&in, 0xDC, "\0\x08");
        ADD(&in, "\xFF\xD9");
        case_gives(&in, IM_JPEG, &in);
    }
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
        cmocka_unit_test(jpeg__a_picture_alone_stays_as_it_is),
        cmocka_unit_test(jpeg__other_segments_go_wherever_they_stand),
        cmocka_unit_test(jpeg__between_scans_only_tables_stay),
        cmocka_unit_test(jpeg__without_eoi_gets_one),
        cmocka_unit_test(jpeg__nothing_behind_eoi_stays),
        cmocka_unit_test(jpeg__jfif_stays_without_its_thumbnail_and_adobe_without_a_tail),
        cmocka_unit_test(jpeg__icc_is_put_together_and_what_lies_behind_it_goes),
        cmocka_unit_test(jpeg__an_icc_that_is_not_whole_goes),
        cmocka_unit_test(jpeg__only_parts_of_an_icc_count),
        cmocka_unit_test(jpeg__what_stays_stands_in_one_order),
        cmocka_unit_test(jpeg__an_icc_that_is_none_goes),
        cmocka_unit_test(jpeg__a_broken_structure_is_refused),
        cmocka_unit_test(jpeg__any_sort_of_frame_and_table_stays),
    };
    return cmocka_run_group_tests(tests, NULL, free_all);
}
