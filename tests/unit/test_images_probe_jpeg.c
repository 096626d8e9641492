/* test_images_probe_jpeg.c - JPEGs: segments that lie, scans without number, EXIF, and files that lack their end. */
#include "images_probe_jpeg.h"

static const struct jpeg_spec small = {.width = 40, .height = 33, .n_components = 3, .h = {2, 1, 1}, .v = {2, 1, 1}};
static const struct jpeg_spec grey = {.width = 24, .height = 17, .n_components = 1};
static struct jpeg_maker maker;

/* Where the marker stands first; fails when it does not. */
static size_t find_marker(const struct nm_buf *b, int marker)
{
    for (size_t i = 2; i + 1 < b->len; i++)
        if ((uint8_t)b->data[i] == 0xFF && (uint8_t)b->data[i + 1] == marker)
            return i;
    fail_msg("no marker %02X", (unsigned)marker);
    return 0;
}

/* Puts bytes before the marker. */
static void insert(struct nm_buf *b, size_t at, const struct nm_buf *what)
{
    assert_non_null(nm_buf_room(b, what->len));
    memmove(b->data + at + what->len, b->data + at, b->len - at);
    memcpy(b->data + at, what->data, what->len);
    b->len += what->len;
}

static void insert_segment(struct nm_buf *b, int before, int marker, const void *data, size_t len)
{
    struct nm_buf s = {0};
    put_segment(&s, marker, data, len);
    insert(b, find_marker(b, before), &s);
    nm_buf_clear(&s);
}

static void jpeg__good_ones(void **state)
{
    (void)state;
    static const struct {
        struct jpeg_spec spec;
        int scans;
    } cases[] = {
        {{.width = 1, .height = 1, .n_components = 1}, 1},
        {{.width = 40, .height = 33, .n_components = 3, .h = {2, 1, 1}, .v = {2, 1, 1}}, 1},
        {{.width = 40, .height = 33, .n_components = 3, .h = {2, 1, 1}, .restart = 2}, 1},
        {{.width = 33, .height = 20, .n_components = 4}, 1},
        {{.width = 50, .height = 41, .n_components = 3, .h = {2, 1, 1}, .v = {2, 1, 1}, .progressive = true}, 14},
        {{.width = 17, .height = 90, .n_components = 1, .progressive = true, .restart = 3}, 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct jpeg_spec *s = &cases[i].spec;
        struct nm_buf b = {0};
        put_jpeg(&b, s);
        size_t len = b.len;
        struct im_facts f = facts_of(&b);
        assert_int_equal(f.type, IM_JPEG);
        assert_int_equal(f.width, s->width);
        assert_int_equal(f.height, s->height);
        assert_int_equal(f.raw_width, s->width);
        assert_int_equal(f.raw_height, s->height);
        assert_int_equal(f.orientation, 1);
        assert_int_equal(f.frames, 1);
        assert_int_equal(f.scans, cases[i].scans);
        assert_int_equal(f.bit_depth, 8);
        assert_int_equal(f.channels, s->n_components);
        assert_int_equal(f.interlaced, s->progressive);
        assert_false(f.alpha);
        assert_false(f.no_end);
        assert_int_equal(f.end, len);
    }
}

static void jpeg__frames_that_no_browser_reads_fail(void **state)
{
    (void)state;
    static const struct {
        int at, value; /* a byte of the frame segment, counted from its marker */
    } cases[] = {
        {1, 0xC3},                                                         /* lossless                    */
        {1, 0xC9},                                                         /* arithmetic coding           */
        {1, 0xCA},  {1, 0xC5},  {1, 0xF7},  {1, 0x02}, {1, 0xD8}, {3, 16}, /* not the length of three components */
        {4, 12},                                                           /* bits                        */
        {9, 2},                                                            /* components                  */
        {9, 0},     {9, 255},   {11, 0x01},                                /* sampling                    */
        {11, 0x10}, {11, 0x51}, {11, 0x15},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        put_jpeg(&b, &small);
        b.data[find_marker(&b, 0xC0) + (size_t)cases[i].at] = (char)(uint8_t)cases[i].value;
        EXPECT(&b, decode_fail);
    }
}

static void jpeg__frame_and_scans_out_of_order_fail(void **state)
{
    (void)state;
    struct nm_buf b = {0}, frame = {0};
    put_frame_header(&frame, 0xC0, &small);
    nm_buf_add(&b, "\xFF\xD8\xFF\xD9 and some bytes so that it is not too small", 40);
    EXPECT(&b, decode_fail); /* nothing at all */
    put_jpeg(&b, &small);
    b.data[find_marker(&b, 0xC0) + 1] = (char)0xFE;
    EXPECT(&b, decode_fail); /* no frame */
    put_jpeg(&b, &small);
    insert(&b, find_marker(&b, 0xC4), &frame);
    EXPECT(&b, decode_fail); /* two of them */
    put_jpeg(&b, &small);
    b.len -= 2;
    nm_buf_add(&b, frame.data, frame.len);
    nm_buf_add(&b, "\xFF\xD9", 2);
    EXPECT(&b, decode_fail); /* the second behind the scan */
    put_jpeg(&b, &small);
    b.len = find_marker(&b, 0xDA);
    nm_buf_add(&b, "\xFF\xD9", 2);
    EXPECT(&b, decode_fail); /* no scan */
    put_jpeg(&b, &small);
    insert_segment(&b, 0xDA, 0xFE, "x", 1);
    memcpy(b.data + find_marker(&b, 0xFE), "\xFF\xD8", 2);
    EXPECT(&b, decode_fail); /* a second beginning */
    nm_buf_clear(&frame);
}

static void jpeg__segment_lengths_that_lie_fail(void **state)
{
    (void)state;
    static const int markers[] = {0xE0, 0xDB, 0xC0, 0xC4, 0xDA};
    static const uint16_t lengths[] = {0, 1, 2, 3, 0xFFFF};
    for (size_t i = 0; i < sizeof markers / sizeof *markers; i++) {
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            if (lengths[k] >= 2 && markers[i] != 0xC0 && markers[i] != 0xDA && lengths[k] != 0xFFFF)
                continue; /* what follows a segment that is shorter than its data is skipped */
            struct nm_buf b = {0};
            put_jpeg(&b, &small);
            size_t at = find_marker(&b, markers[i]);
            b.data[at + 2] = (char)(uint8_t)(lengths[k] >> 8);
            b.data[at + 3] = (char)(uint8_t)lengths[k];
            EXPECT(&b, decode_fail);
        }
    }
    struct nm_buf b = {0};
    put_jpeg(&b, &small);
    b.len = find_marker(&b, 0xC0) + 9;
    EXPECT(&b, truncated); /* the same without an end is a cut file */
}

static void jpeg__tables_that_lie_fail(void **state)
{
    (void)state;
    static const struct {
        int marker, at, value; /* from the marker */
    } cases[] = {
        {0xC4, 4, 0x20}, {0xC4, 4, 0x04}, {0xC4, 4, 0x14}, {0xC4, 5, 0xFF}, {0xC4, 20, 0xF0},
        {0xDA, 4, 0},    {0xDA, 4, 4},    {0xDA, 4, 2},    {0xDA, 5, 9},    {0xDA, 7, 1},
        {0xDA, 6, 0x40}, {0xDA, 6, 0x04}, {0xDD, 3, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0};
        struct jpeg_spec spec = small;
        spec.restart = 2;
        put_jpeg(&b, &spec);
        b.data[find_marker(&b, cases[i].marker) + (size_t)cases[i].at] = (char)(uint8_t)cases[i].value;
        EXPECT(&b, decode_fail);
    }
}

/* One symbol less than the counts of the table say, as its last table; and one more. */
static void jpeg__tables_of_another_length_fail(void **state)
{
    (void)state;
    static const char table[] = "\x01\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0ABCDEF";
    for (size_t symbols = 4; symbols <= 6; symbols++) {
        struct nm_buf b = {0};
        put_jpeg(&b, &small);
        insert_segment(&b, 0xDA, 0xC4, table, 17 + symbols);
        expect_at(__LINE__, &b, symbols == 5 ? IM_NONE : IM_decode_fail);
    }
    for (size_t len = 1; len <= 3; len++) { /* a restart interval has two bytes */
        struct nm_buf b = {0};
        put_jpeg(&b, &small);
        insert_segment(&b, 0xC0, 0xDD, "\0\0\0", len);
        expect_at(__LINE__, &b, len == 2 ? IM_NONE : IM_decode_fail);
    }
}

static void jpeg__bands_that_no_decoder_takes_fail(void **state)
{
    (void)state;
    static const struct jpeg_scan cases[] = {
        {.components = {0, 1}, .n = 2, .ss = 1, .se = 63},
        {.components = {0}, .n = 1, .ss = 0, .se = 1},
        {.components = {0}, .n = 1, .ss = 5, .se = 4},
        {.components = {0}, .n = 1, .ss = 1, .se = 64},
        {.components = {0}, .n = 1, .ah = 2},
        {.components = {0}, .n = 1, .al = 14},
    };
    struct jpeg_spec spec = small;
    spec.progressive = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf b = {0}, s = {0};
        jpeg_open(&maker, &b, &spec);
        put_be(&s, (uint64_t)cases[i].n, 1);
        for (int c = 0; c < cases[i].n; c++)
            put_be(&s, (uint64_t)(cases[i].components[c] + 1) << 8, 2);
        put_be(&s, (uint64_t)cases[i].ss, 1);
        put_be(&s, (uint64_t)cases[i].se, 1);
        put_be(&s, (uint64_t)(cases[i].ah << 4 | cases[i].al), 1);
        put_segment(&b, 0xDA, s.data, s.len);
        nm_buf_add(&b, "\x55\x55\xFF\xD9", 4);
        nm_buf_clear(&s);
        EXPECT(&b, decode_fail);
    }
}

static void jpeg__dimensions_in_the_header(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        enum im_reason want;
    } cases[] = {
        {0, 100, IM_dims_invalid},  {100, 0, IM_dims_invalid},  {65500, 65500, IM_dims_too_big},
        {4097, 1, IM_dims_too_big}, {1, 4097, IM_dims_too_big}, {1001, 1000, IM_dims_too_big},
        {1000, 1000, IM_truncated},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jpeg_spec spec = {.width = cases[i].width, .height = cases[i].height, .n_components = 1};
        struct nm_buf b = {0};
        nm_buf_add(&b, "\xFF\xD8", 2);
        put_frame_header(&b, 0xC0, &spec);
        put_zeros(&b, 10);
        expect_at(__LINE__, &b, cases[i].want);
    }
}

static void jpeg__megabytes_of_segments_before_the_frame(void **state)
{
    (void)state;
    static uint8_t app[65533];
    struct nm_buf b = {0}, many = {0};
    memset(app, 0xFF, sizeof app);
    for (int i = 0; i < 40; i++)
        put_segment(&many, 0xE2, app, sizeof app);
    put_jpeg(&b, &small);
    insert(&b, find_marker(&b, 0xC0), &many);
    nm_buf_clear(&many);
    struct im_facts f = facts_of(&b);
    assert_int_equal(f.width, 40);
}

static void jpeg__bytes_between_segments_are_skipped(void **state)
{
    (void)state;
    struct nm_buf b = {0}, junk = {0};
    nm_buf_add(&junk, "a few\xFF\0bytes\xFF\xFF\xFF", 15);
    put_jpeg(&b, &small);
    insert(&b, find_marker(&b, 0xC0), &junk);
    assert_int_equal(facts_of(&b).width, 40);
    nm_buf_clear(&junk);
}

static void jpeg__more_scans_than_allowed(void **state)
{
    (void)state;
    struct jpeg_spec spec = grey;
    spec.progressive = true;
    for (int n = 19; n <= 22; n++) {
        struct nm_buf b = {0};
        jpeg_open(&maker, &b, &spec);
        for (int i = 0; i < n; i++)
            put_scan(&maker, &(struct jpeg_scan){.components = {0}, .n = 1});
        nm_buf_add(&b, "\xFF\xD9", 2);
        if (n > test_limits.max_scans)
            EXPECT(&b, scans_too_many);
        else
            assert_int_equal(facts_of(&b).scans, n);
    }
}

static void jpeg__a_thousand_scans_by_the_marker_alone(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    jpeg_open(&maker, &b, &grey);
    size_t from = b.len;
    put_scan(&maker, &(struct jpeg_scan){.components = {0}, .n = 1, .se = 63});
    size_t len = b.len - from;
    for (int i = 0; i < 1000; i++) {
        char *room = nm_buf_room(&b, len);
        assert_non_null(room);
        memcpy(room, b.data + from, len);
        b.len += len;
    }
    nm_buf_add(&b, "\xFF\xD9", 2);
    EXPECT(&b, scans_too_many);
}

static void jpeg__only_the_end_is_missing(void **state)
{
    (void)state;
    struct nm_buf b = {0};
    put_jpeg(&b, &small);
    b.len -= 2;
    size_t len = b.len;
    struct im_facts f = facts_of(&b);
    assert_true(f.no_end);
    assert_int_equal(f.end, len);
    put_jpeg(&b, &small);
    b.len -= 1; /* the first byte of the end is there */
    f = facts_of(&b);
    assert_true(f.no_end);
    assert_int_equal(f.end, len);
    put_jpeg(&b, &small);
    b.len -= 2;
    nm_buf_adds(&b, "<script>alert(1)</script>"); /* is no part of it */
    f = facts_of(&b);
    assert_true(f.no_end);
    assert_int_equal(f.end, len);
    put_jpeg(&b, &small);
    b.len -= 3;
    EXPECT(&b, truncated); /* the last byte of the last block is missing too */
    put_jpeg(&b, &small);
    assert_int_equal(ask(im_probe_head, b.data, len, &test_limits, &f), IM_NONE);
    assert_false(f.no_end); /* more may come */
    assert_int_equal(f.width, 40);
    nm_buf_clear(&b);
}

/* A progressive file without its end is whole only when its last scan has been. */
static void jpeg__a_scan_is_missing_with_the_end(void **state)
{
    (void)state;
    struct jpeg_spec spec = grey;
    spec.progressive = true;
    static const struct jpeg_scan script[] = {
        {.components = {0}, .n = 1, .al = 1},
        {.components = {0}, .n = 1, .ss = 1, .se = 63, .al = 2},
        {.components = {0}, .n = 1, .ah = 1},
        {.components = {0}, .n = 1, .ss = 1, .se = 63, .ah = 2, .al = 1},
        {.components = {0}, .n = 1, .ss = 1, .se = 63, .ah = 1},
    };
    for (size_t n = 1; n <= sizeof script / sizeof *script; n++) {
        struct nm_buf b = {0};
        jpeg_open(&maker, &b, &spec);
        for (size_t i = 0; i < n; i++)
            put_scan(&maker, &script[i]);
        if (n < sizeof script / sizeof *script)
            EXPECT(&b, truncated);
        else
            assert_true(facts_of(&b).no_end);
    }
    struct nm_buf b = {0}; /* sequential, of three components only two */
    jpeg_open(&maker, &b, &small);
    put_scan(&maker, &(struct jpeg_scan){.components = {0}, .n = 1});
    put_scan(&maker, &(struct jpeg_scan){.components = {2}, .n = 1});
    EXPECT(&b, truncated);
}

/* Scans of one component each, of which one lacks its last byte or nothing; the last one is of each kind. */
static void jpeg__any_last_scan_without_end(void **state)
{
    (void)state;
    static const struct {
        bool progressive;
        struct jpeg_scan scans[8];
    } cases[] = {
        {false, {{{0}, 1, 0, 63, 0, 0}, {{1}, 1, 0, 63, 0, 0}, {{2}, 1, 0, 63, 0, 0}}},
        {false, {{{2}, 1, 0, 63, 0, 0}, {{1}, 1, 0, 63, 0, 0}, {{0}, 1, 0, 63, 0, 0}}},
        {false, {{{0}, 1, 0, 63, 0, 0}, {{1, 2}, 2, 0, 63, 0, 0}}},
        {true, /* ends in the first bits of AC */
         {{{0, 1, 2}, 3, 0, 0, 0, 0}, {{0}, 1, 1, 63, 0, 0}, {{2}, 1, 1, 63, 0, 0}, {{1}, 1, 1, 63, 0, 0}}},
        {true, /* in DC, and that of one component */
         {{{0}, 1, 1, 63, 0, 0},
          {{2}, 1, 1, 63, 0, 0},
          {{1}, 1, 1, 63, 0, 0},
          {{0, 1}, 2, 0, 0, 0, 0},
          {{2}, 1, 0, 0, 0, 0}}},
        {true, /* in corrections of DC */
         {{{0, 1, 2}, 3, 0, 0, 0, 1},
          {{0}, 1, 1, 63, 0, 0},
          {{2}, 1, 1, 63, 0, 0},
          {{1}, 1, 1, 63, 0, 0},
          {{0, 1, 2}, 3, 0, 0, 1, 0}}},
        {true, /* in corrections of AC, in bands that are not those of before */
         {{{0, 1, 2}, 3, 0, 0, 0, 0},
          {{0}, 1, 1, 63, 0, 0},
          {{2}, 1, 1, 63, 0, 0},
          {{1}, 1, 1, 63, 0, 1},
          {{1}, 1, 1, 20, 1, 0},
          {{1}, 1, 21, 63, 1, 0}}},
        {true,
         {{{0, 1, 2}, 3, 0, 0, 0, 0},
          {{0}, 1, 1, 9, 0, 1},
          {{0}, 1, 10, 63, 0, 1},
          {{2}, 1, 1, 63, 0, 0},
          {{1}, 1, 1, 63, 0, 0},
          {{0}, 1, 30, 63, 1, 0},
          {{0}, 1, 1, 29, 1, 0}}},
    };
    struct jpeg_spec spec = {.width = 35, .height = 21, .n_components = 3, .h = {2, 1, 1}, .v = {2, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int restart = 0; restart < 3; restart++) {
            struct nm_buf b = {0};
            spec.progressive = cases[i].progressive;
            spec.restart = restart;
            jpeg_open(&maker, &b, &spec);
            for (int n = 0; n < 8 && cases[i].scans[n].n > 0; n++)
                put_scan(&maker, &cases[i].scans[n]);
            for (size_t tail = 0; tail < 14; tail++) {
                struct nm_buf more = {0};
                nm_buf_add(&more, b.data, b.len);
                nm_buf_add(&more, "\xFF\0\0\xFF\0 tail\xFF\0\xFF\0", tail);
                struct im_facts f = facts_of(&more);
                if (!f.no_end || f.end != b.len)
                    fail_msg("case %zu, restart %d, tail %zu: %zu of %zu", i, restart, tail, f.end, b.len);
            }
            b.len--;
            EXPECT(&b, truncated);
        }
}

static void jpeg__without_end_and_with_more_scans_than_are_kept(void **state)
{
    (void)state;
    struct im_limits limits = test_limits;
    limits.max_scans = 500;
    for (int n = 24; n <= 25; n++) {
        struct nm_buf b = {0};
        struct im_facts f;
        jpeg_open(&maker, &b, &grey);
        for (int i = 0; i < n; i++)
            put_scan(&maker, &(struct jpeg_scan){.components = {0}, .n = 1});
        assert_int_equal(ask(im_probe_file, b.data, b.len, &limits, &f), n == 24 ? IM_NONE : IM_truncated);
        if (n == 24)
            assert_int_equal(f.end, b.len);
        nm_buf_add(&b, "\xFF\xD9", 2);
        assert_int_equal(ask(im_probe_file, b.data, b.len, &limits, &f), IM_NONE);
        nm_buf_clear(&b);
    }
}

static void jpeg__what_is_appended_is_no_part_of_it(void **state)
{
    (void)state;
    static const char *const tails[] = {"<script>alert(1)</script>", "PK\x03\x04 a whole archive",
                                        "\xFF\xD8\xFF\xE0 MPO"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        struct nm_buf b = {0};
        put_jpeg(&b, &small);
        size_t len = b.len;
        nm_buf_adds(&b, tails[i]);
        struct im_facts f = facts_of(&b);
        assert_int_equal(f.end, len);
        assert_false(f.no_end);
    }
}

/* A JPEG of 40 x 33 with this behind "Exif"; returns its orientation and checks the dimensions that follow from it. */
static int orientation_with(const struct nm_buf *tiff, int before)
{
    struct nm_buf b = {0}, app = {0};
    nm_buf_add(&app, "Exif\0", 6);
    if (tiff->len > 0)
        nm_buf_add(&app, tiff->data, tiff->len);
    put_jpeg(&b, &small);
    insert_segment(&b, before, 0xE1, app.data, app.len);
    nm_buf_clear(&app);
    struct im_facts f = facts_of(&b);
    assert_int_equal(f.raw_width, 40);
    assert_int_equal(f.raw_height, 33);
    assert_int_equal(f.width, f.orientation >= 5 ? 33 : 40);
    assert_int_equal(f.height, f.orientation >= 5 ? 40 : 33);
    return f.orientation;
}

static void jpeg__orientation(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        for (int o = 0; o <= 9; o++) {
            struct nm_buf t = {0};
            put_exif(&t, &(struct exif){.big = big, .entries = 3, .orientation = o});
            int want = o >= 1 && o <= 8 ? o : 1;
            assert_int_equal(orientation_with(&t, 0xDB), want); /* before the frame, and behind it */
            assert_int_equal(orientation_with(&t, 0xC4), want);
            nm_buf_clear(&t);
        }
    }
}

static void jpeg__exif_that_lies_is_ignored(void **state)
{
    (void)state;
    struct nm_buf t = {0};
    assert_int_equal(orientation_with(&t, 0xC0), 1); /* empty */
    put_exif(&t, &(struct exif){.orientation = 6});
    for (size_t n = t.len; t.len > 0; n--) { /* cut: the entry is complete up to 4 bytes before the end */
        assert_int_equal(orientation_with(&t, 0xC0), n >= 22 ? 6 : 1);
        t.len--;
    }
    nm_buf_clear(&t);
    static const uint32_t offsets[] = {4, 9, 22, 25, 26, 27, 0x7FFFFFFF, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        put_exif(&t, &(struct exif){.big = true, .orientation = 6, .offset = offsets[i]});
        assert_int_equal(orientation_with(&t, 0xC0), 1);
        nm_buf_clear(&t);
    }
    put_exif(&t, &(struct exif){.orientation = 6});
    memset(t.data + 8, 0xFF, 2); /* 65,535 entries, the first of which is it */
    assert_int_equal(orientation_with(&t, 0xC0), 6);
    t.data[12] = 4; /* a LONG */
    assert_int_equal(orientation_with(&t, 0xC0), 1);
    nm_buf_clear(&t);
}

static void jpeg__exif_behind_the_pixels_or_too_large_is_ignored(void **state)
{
    (void)state;
    struct nm_buf b = {0}, t = {0};
    struct im_limits limits = test_limits;
    struct im_facts f;
    nm_buf_add(&t, "Exif\0", 6);
    put_exif(&t, &(struct exif){.orientation = 6});
    put_jpeg(&b, &small);
    b.len -= 2;
    put_segment(&b, 0xE1, t.data, t.len);
    nm_buf_add(&b, "\xFF\xD9", 2);
    assert_int_equal(facts_of(&b).orientation, 1);
    put_jpeg(&b, &small);
    insert_segment(&b, 0xC0, 0xE1, t.data, t.len);
    for (int less = 0; less < 2; less++) {
        limits.metadata_bytes = (int64_t)t.len - 6 - less;
        assert_int_equal(ask(im_probe_file, b.data, b.len, &limits, &f), IM_NONE);
        assert_int_equal(f.orientation, less ? 1 : 6);
    }
    nm_buf_clear(&b);
    nm_buf_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg__good_ones),
        cmocka_unit_test(jpeg__frames_that_no_browser_reads_fail),
        cmocka_unit_test(jpeg__frame_and_scans_out_of_order_fail),
        cmocka_unit_test(jpeg__segment_lengths_that_lie_fail),
        cmocka_unit_test(jpeg__tables_that_lie_fail),
        cmocka_unit_test(jpeg__tables_of_another_length_fail),
        cmocka_unit_test(jpeg__bands_that_no_decoder_takes_fail),
        cmocka_unit_test(jpeg__dimensions_in_the_header),
        cmocka_unit_test(jpeg__megabytes_of_segments_before_the_frame),
        cmocka_unit_test(jpeg__bytes_between_segments_are_skipped),
        cmocka_unit_test(jpeg__more_scans_than_allowed),
        cmocka_unit_test(jpeg__a_thousand_scans_by_the_marker_alone),
        cmocka_unit_test(jpeg__only_the_end_is_missing),
        cmocka_unit_test(jpeg__a_scan_is_missing_with_the_end),
        cmocka_unit_test(jpeg__any_last_scan_without_end),
        cmocka_unit_test(jpeg__without_end_and_with_more_scans_than_are_kept),
        cmocka_unit_test(jpeg__what_is_appended_is_no_part_of_it),
        cmocka_unit_test(jpeg__orientation),
        cmocka_unit_test(jpeg__exif_that_lies_is_ignored),
        cmocka_unit_test(jpeg__exif_behind_the_pixels_or_too_large_is_ignored),
    };
    return cmocka_run_group_tests_name("images_probe_jpeg", tests, NULL, NULL);
}
