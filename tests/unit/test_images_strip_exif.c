/* test_images_strip_exif.c - what stays of EXIF and IPTC, and the texts that stay: mostly hostile blocks in a JPEG. */
#include "strip_case.h"

static struct nm_buf in, want, part, payload, copy;

static void reset(void)
{
    nm_buf_reset(&in);
    nm_buf_reset(&want);
    nm_buf_reset(&part);
    nm_buf_reset(&payload);
    ADD(&in, "\xFF\xD8");
    ADD(&want, "\xFF\xD8");
}

static void gives_want(void)
{
    case_jpeg_picture(&in);
    case_jpeg_picture(&want);
    case_gives(&in, IM_JPEG, &want);
}

/* ---- EXIF ---- */

static void exif__only_three_fields_stay_of_either_byte_order(void **state)
{
    (void)state;
    for (int little = 0; little <= 1; little++) {
        reset();
        case_exif(&in, &(struct case_tiff){little, 8, "Ada Vance", "2031 Harbour Gazette"});
        SEGMENT(&want, 0xE1,
                "Exif\0\0MM\0*\0\0\0\x08\0\3"
                "\x01\x12\0\3\0\0\0\1\0\x08\0\0"
                "\x01\x3B\0\2\0\0\0\x0A\0\0\0\x32"
                "\x82\x98\0\2\0\0\0\x15\0\0\0\x3C"
                "\0\0\0\0"
                "Ada Vance\0"
                "2031 Harbour Gazette\0\0");
        gives_want();
    }
}

static void exif__short_texts_stand_in_their_entries(void **state)
{
    (void)state;
    reset();
    case_exif(&in, &(struct case_tiff){true, 1, "Ada", ""});
    SEGMENT(&want, 0xE1, "Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x3B\0\2\0\0\0\4Ada\0\0\0\0\0");
    gives_want();
}

/* EXIF 3.0: type 129; of two artists and two orientations the first one counts, also if it says 1. */
static void exif__texts_may_be_of_the_type_utf8(void **state)
{
    (void)state;
    reset();
    ADD(&part, "Exif\0\0MM\0*\0\0\0\x08\0\4");
    case_entry(&part, 0x0112, 3, 1, 1U << 16);
    case_entry(&part, 0x013B, 129, 4, 0x4164C3A0);
    case_entry(&part, 0x013B, 2, 3, 0x426F0000);
    case_entry(&part, 0x0112, 3, 1, 7U << 16);
    case_segment(&in, 0xE1, part.data, part.len);
    SEGMENT(&want, 0xE1, "Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x3B\0\2\0\0\0\5\0\0\0\x1A\0\0\0\0Ad\xC3\xA0\0\0");
    gives_want();
}

static void exif__a_block_of_which_nothing_stays_goes(void **state)
{
    (void)state;
    reset();
    case_exif(&in, &(struct case_tiff){true, 1, "", ""});
    gives_want();
}

static void exif__the_first_readable_block_counts(void **state)
{
    (void)state;
    reset();
    SEGMENT(&in, 0xE1, "Exif\0\0XX\0*\0\0\0\x08\0\0");
    case_exif(&in, &(struct case_tiff){false, 1, "Ada", ""});
    case_exif(&in, &(struct case_tiff){false, 3, "Bo", "Bo"});
    SEGMENT(&want, 0xE1, "Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x3B\0\2\0\0\0\4Ada\0\0\0\0\0");
    gives_want();
}

static void exif__broken_blocks_go(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t len;
    } cases[] = {
#define CASE(what, bytes) {what, bytes, sizeof(bytes) - 1}
        CASE("nothing", ""),
        CASE("another byte order", "MI\0*\0\0\0\x08\0\0\0\0\0\0"),
        CASE("another number", "MM\0+\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
        CASE("half a header", "MM\0*\0\0\0"),
        CASE("a directory in the header", "MM\0*\0\0\0\4\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
        CASE("a directory behind the end", "MM\0*\xFF\xFF\xFF\xFF\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
        CASE("a directory at the end", "MM\0*\0\0\0\x09\0\1"),
        CASE("half an entry", "MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6"),
        CASE("an entry behind the last one", "MM\0*\0\0\0\x08\0\0\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
        CASE("orientation 0", "MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\0\0\0\0\0\0\0"),
        CASE("orientation 9", "MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x09\0\0\0\0\0\0"),
        CASE("orientation as LONG", "MM\0*\0\0\0\x08\0\1\x01\x12\0\4\0\0\0\1\0\6\0\0\0\0\0\0"),
        CASE("two orientations", "MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\2\0\6\0\6\0\0\0\0"),
        CASE("an artist as SHORT", "MM\0*\0\0\0\x08\0\1\x01\x3B\0\3\0\0\0\2\0\6\0\6\0\0\0\0"),
        CASE("an artist behind the end", "MM\0*\0\0\0\x08\0\1\x01\x3B\0\2\0\0\0\5\0\0\0\x16\0\0\0\0"),
        CASE("an artist far away", "MM\0*\0\0\0\x08\0\1\x01\x3B\0\2\0\0\0\5\xFF\xFF\xFF\xFF\0\0\0\0"),
        CASE("an endless artist", "MM\0*\0\0\0\x08\0\1\x01\x3B\0\2\xFF\xFF\xFF\xFF\0\0\0\x08\0\0\0\0"),
        CASE("an empty artist", "MM\0*\0\0\0\x08\0\1\x01\x3B\0\2\0\0\0\0\0\0\0\x08\0\0\0\0"),
        CASE("a blank artist", "MM\0*\0\0\0\x08\0\1\x01\x3B\0\2\0\0\0\3 \n\0\0\0\0\0\0"),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        reset();
        ADD(&part, "Exif\0\0");
        nm_buf_add(&part, cases[i].bytes, cases[i].len);
        case_segment(&in, 0xE1, part.data, part.len);
        case_jpeg_picture(&in);
        case_jpeg_picture(&want);
        assert_int_equal(case_strip(&in, IM_JPEG, 0, true, &copy), IM_NONE);
        if (copy.len != want.len || memcmp(copy.data, want.data, want.len) != 0)
            fail_msg("something stayed of %s", cases[i].what);
    }
}

/* Directories that name each other, and one that says it has 65,535 entries: the one that is there is read, and its
 * orientation stays. */
static void exif__loops_and_endless_directories_end(void **state)
{
    (void)state;
    reset();
    ADD(&part, "Exif\0\0MM\0*\0\0\0\x08\xFF\xFF");
    case_entry(&part, 0x8769, 4, 1, 8);
    case_entry(&part, 0x8825, 4, 1, 8);
    case_entry(&part, 0x014A, 4, 0xFFFFFFFF, 8);
    case_entry(&part, 0x0112, 3, 1, 5U << 16);
    case_entry(&part, 0x0112, 3, 1, 7U << 16); /* the first one counts */
    while (part.len < 60000)
        case_entry(&part, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF);
    case_segment(&in, 0xE1, part.data, part.len);
    SEGMENT(&want, 0xE1, "Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\5\0\0\0\0\0\0");
    gives_want();
}

/* ---- texts ---- */

static void text__is_one_line_without_space_around(void **state)
{
    (void)state;
    reset();
    case_exif(&in, &(struct case_tiff){true, 1, " \t\r\nAda\x7F\x1BVance\n \x01", ""});
    case_jpeg_picture(&in);
    assert_int_equal(case_strip(&in, IM_JPEG, 0, true, &copy), IM_NONE);
    assert_true(HAS(&copy, "Ada  Vance\0"));
    assert_false(HAS(&copy, "\x1B") || HAS(&copy, "\n"));
}

/* A text of `len` characters, each `c`, as copyright of an EXIF block. */
static void add_long_copyright(const char *c, size_t len)
{
    reset();
    ADD(&part, "Exif\0\0MM\0*\0\0\0\x08\0\1");
    case_entry(&part, 0x8298, 2, (uint32_t)(len * strlen(c)), 26);
    case_be(&part, 0, 4);
    for (size_t i = 0; i < len; i++)
        nm_buf_adds(&part, c);
    case_segment(&in, 0xE1, part.data, part.len);
    case_jpeg_picture(&in);
}

static void text__is_cut_between_characters(void **state)
{
    static const struct {
        const char *c;
        uint32_t bytes; /* that stay */
    } cases[] = {
        {"x", 1024},    {"\xC2\xA9", 1024}, {"\xE2\x82\xAC", 1023}, {"\xF0\x9F\x93\xB7", 1024},
        {"\xA9", 1024}, {"\xE9", 1024},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char entry[] = "\x82\x98\0\2\0\0\4?";
        entry[7] = (char)(cases[i].bytes + 1 - 1024); /* TIFF counts the NUL */
        add_long_copyright(cases[i].c, 2000);
        assert_int_equal(case_strip(&in, IM_JPEG, 0, true, &copy), IM_NONE);
        assert_true(case_has(&copy, entry, 8));
    }
    add_long_copyright("x", 1024);
    assert_int_equal(case_strip(&in, IM_JPEG, 0, true, &copy), IM_NONE);
    assert_true(HAS(&copy, "\x82\x98\0\2\0\0\4\1"));
}

/* ---- IPTC ---- */

static void add_payload(const void *data, size_t len)
{
    nm_buf_reset(&payload);
    ADD(&payload, "Photoshop 3.0\0");
    nm_buf_add(&payload, data, len);
    case_segment(&in, 0xED, payload.data, payload.len);
}

static void add_record(struct nm_buf *out, const struct nm_buf *sets)
{
    struct nm_buf all = {0};
    ADD(&all, "Photoshop 3.0\0");
    case_8bim(&all, 0x0404, sets);
    case_segment(out, 0xED, all.data, all.len);
    nm_buf_clear(&all);
}

static void iptc__authors_credit_and_copyright_stay(void **state)
{
    struct nm_buf resources = {0};
    (void)state;
    reset();
    ADD(&part, "PRIVATE picture");
    case_8bim(&resources, 0x040C, &part);
    ADD(&resources, "8BIM\4\x22\5place\0\0\0\7PRIVATE\0"); /* a resource with a name */
    nm_buf_reset(&part);
    case_set(&part, 2, 116, "(c) Harbour Gazette");
    case_set(&part, 1, 90, "\x1B%G");
    case_set(&part, 2, 80, "Ada Vance");
    case_set(&part, 2, 90, "PRIVATE city");
    case_set(&part, 2, 120, "PRIVATE caption");
    case_set(&part, 2, 80, "  ");
    case_set(&part, 2, 80, "Bo Lind");
    case_set(&part, 2, 110, "Gazette");
    case_set(&part, 2, 110, "PRIVATE second credit");
    case_set(&part, 3, 80, "PRIVATE record");
    case_8bim(&resources, 0x0404, &part);
    add_payload(resources.data, resources.len);

    nm_buf_reset(&part);
    case_set(&part, 1, 90, "\x1B%G");
    case_set(&part, 2, 80, "Ada Vance");
    case_set(&part, 2, 80, "Bo Lind");
    case_set(&part, 2, 110, "Gazette");
    case_set(&part, 2, 116, "(c) Harbour Gazette");
    add_record(&want, &part);
    gives_want();
    nm_buf_clear(&resources);
}

static void iptc__without_the_texts_nothing_stays(void **state)
{
    (void)state;
    reset();
    case_set(&part, 1, 90, "\x1B%G");
    case_set(&part, 2, 90, "PRIVATE city");
    add_record(&in, &part);
    gives_want();
}

static void iptc__of_many_authors_eight_stay(void **state)
{
    (void)state;
    reset();
    case_set(&part, 1, 90, "\x1B%/"); /* no UTF-8 */
    for (int i = 0; i < 20; i++)
        case_set(&part, 2, 80, " ");
    for (char c = 'a'; c <= 'z'; c++)
        case_set(&part, 2, 80, (char[]){c, '\0'});
    case_set(&part, 2, 110, "Gazette!"); /* an odd size in all */
    add_record(&in, &part);
    nm_buf_reset(&part);
    for (char c = 'a'; c <= 'h'; c++)
        case_set(&part, 2, 80, (char[]){c, '\0'});
    case_set(&part, 2, 110, "Gazette!");
    add_record(&want, &part);
    gives_want();
}

static void iptc__what_stands_in_front_of_the_break_stays(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } tails[] = {
#define CASE(bytes) {bytes, sizeof(bytes) - 1}
        CASE(""),
        CASE("\x1C"),
        CASE("\x1C\2\x74\0"),
        CASE("\x1C\2\x74\0\x08PRIVATE"),
        CASE("\x1C\2\x74\x80\4\0\0\0\7PRIVATE"),
        CASE("\x1D\2\x74\0\7PRIVATE"),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < COUNT(tails); i++) {
        reset();
        case_set(&part, 2, 80, "Ada Vance");
        add_record(&want, &part);
        nm_buf_add(&part, tails[i].bytes, tails[i].len);
        add_record(&in, &part);
        gives_want();
    }
}

static void iptc__broken_resources_go(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
#define CASE(bytes) {bytes, sizeof(bytes) - 1}
        CASE(""),
        CASE("8BIM"),
        CASE("8BIM\4\4\0"),
        CASE("8BIM\4\4\0\0\0\0\0"),
        CASE("8BIM\4\4\0\0\0\0\0\x0F\x1C\2\x50\0\x09PRIVATE!"),
        CASE("8BIM\4\4\0\0\xFF\xFF\xFF\xFF\x1C\2\x50\0\7PRIVATE"),
        CASE("8BIM\4\4\xFFPRIVATE"),
        CASE("8BOM\4\4\0\0\0\0\0\x0C\x1C\2\x50\0\7PRIVATE"),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        reset();
        add_payload(cases[i].bytes, cases[i].len);
        gives_want();
    }
    reset();
    SEGMENT(&in, 0xED,
            "Photoshop 3.1\0"
            "8BIM\4\4\0\0\0\0\0\x0C\x1C\2\x50\0\7PRIVATE");
    SEGMENT(&in, 0xED, "Photoshop 3.0");
    gives_want();
}

static int free_all(void **state)
{
    (void)state;
    nm_buf_clear(&in);
    nm_buf_clear(&want);
    nm_buf_clear(&part);
    nm_buf_clear(&payload);
    nm_buf_clear(&copy);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exif__only_three_fields_stay_of_either_byte_order),
        cmocka_unit_test(exif__short_texts_stand_in_their_entries),
        cmocka_unit_test(exif__texts_may_be_of_the_type_utf8),
        cmocka_unit_test(exif__a_block_of_which_nothing_stays_goes),
        cmocka_unit_test(exif__the_first_readable_block_counts),
        cmocka_unit_test(exif__broken_blocks_go),
        cmocka_unit_test(exif__loops_and_endless_directories_end),
        cmocka_unit_test(text__is_one_line_without_space_around),
        cmocka_unit_test(text__is_cut_between_characters),
        cmocka_unit_test(iptc__authors_credit_and_copyright_stay),
        cmocka_unit_test(iptc__without_the_texts_nothing_stays),
        cmocka_unit_test(iptc__of_many_authors_eight_stay),
        cmocka_unit_test(iptc__what_stands_in_front_of_the_break_stays),
        cmocka_unit_test(iptc__broken_resources_go),
    };
    return cmocka_run_group_tests(tests, NULL, free_all);
}
