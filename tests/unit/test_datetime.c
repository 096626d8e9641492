/* test_datetime.c - reading, writing and dating points in time.
 *
 * Zones are tested twice: with TZif files built here byte by byte, so that every machine runs them, and with the
 * system's zones where they are installed. */
#include "datetime_internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

struct text_case {
    const char *in, *want; /* want: "YYYY-MM-DDTHH:MM:SSZ", or "" for refused */
};

static void check_texts(const struct text_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char got[NM_TIME_TEXT_BYTES] = "";
        int64_t ms = -7;
        struct nm_error err;
        if (nm_time_parse(cases[i].in, strlen(cases[i].in), &ms, &err) == NM_OK) {
            nm_time_format(ms, got);
        } else {
            assert_string_equal(err.code, "date_invalid");
            assert_int_equal(ms, -7);
        }
        if (strcmp(got, cases[i].want) != 0)
            print_message("input: '%s'\n", cases[i].in);
        assert_string_equal(got, cases[i].want);
    }
}

static void datetime__iso_8601(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {"2031-04-12", "2031-04-12T00:00:00Z"},
        {"2031-04-12T07:30Z", "2031-04-12T07:30:00Z"},
        {"2031-04-12T07:30:05Z", "2031-04-12T07:30:05Z"},
        {"2031-04-12t07:30:05z", "2031-04-12T07:30:05Z"},
        {"2031-04-12 07:30:05", "2031-04-12T07:30:05Z"},
        {"2031-04-12T07:30:05.123456789Z", "2031-04-12T07:30:05Z"},
        {"2031-04-12T07:30:05,9", "2031-04-12T07:30:05Z"},
        {"2031-04-12T07:30:00+02:00", "2031-04-12T05:30:00Z"},
        {"2031-04-12T07:30:00+0200", "2031-04-12T05:30:00Z"},
        {"2031-04-12T07:30:00+02", "2031-04-12T05:30:00Z"},
        {"2031-04-12T07:30:00-03:30", "2031-04-12T11:00:00Z"},
        {"2031-04-12T07:30:00-00:00", "2031-04-12T07:30:00Z"},
        {"2031-04-12 07:30:00 +0200", "2031-04-12T05:30:00Z"},
        {"2031-04-12 07:30:00 UTC", "2031-04-12T07:30:00Z"},
        {"20310412T073005Z", "2031-04-12T07:30:05Z"},
        {"20310412T0730", "2031-04-12T07:30:00Z"},
        {" \t2031-04-12T07:30:00Z\r\n", "2031-04-12T07:30:00Z"},
        {"2032-02-29T23:59:60Z", "2032-02-29T23:59:59Z"},
        {"2000-02-29", "2000-02-29T00:00:00Z"},
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
        {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z"},
        {"2031-12-31T23:30:00-01:00", "2032-01-01T00:30:00Z"},
    };
    check_texts(cases, N(cases));
}

static void datetime__rfc_2822(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {"Sat, 12 Apr 2031 07:30:05 +0200", "2031-04-12T05:30:05Z"},
        {"sat,12 APR 2031 07:30 GMT", "2031-04-12T07:30:00Z"},
        {"12 Apr 2031 07:30:05 UT", "2031-04-12T07:30:05Z"},
        {"2 Apr 31 07:30:05 Z", "2031-04-02T07:30:05Z"},
        {"2 Apr 49 07:30:05 Z", "2049-04-02T07:30:05Z"},
        {"2 Apr 99 07:30:05 utc", "1999-04-02T07:30:05Z"},
        {"2 Apr 131 07:30:05 Z", "2031-04-02T07:30:05Z"},
        {"Saturday, 12 April 2031 07:30:05 EST", "2031-04-12T12:30:05Z"},
        {"12 Sept 2031 07:30:05 EDT", "2031-09-12T11:30:05Z"},
        {"12 Apr 2031 07:30:05 CST", "2031-04-12T13:30:05Z"},
        {"12 Apr 2031 07:30:05 CDT", "2031-04-12T12:30:05Z"},
        {"12 Apr 2031 07:30:05 MST", "2031-04-12T14:30:05Z"},
        {"12 Apr 2031 07:30:05 MDT", "2031-04-12T13:30:05Z"},
        {"12 Apr 2031 07:30:05 PST", "2031-04-12T15:30:05Z"},
        {"12 Apr 2031 07:30:05 PDT", "2031-04-12T14:30:05Z"},
        {"12 Apr 2031 07:30:05", "2031-04-12T07:30:05Z"},
        {"Sat,  12  Apr  2031  07:30:05  -0330 (NST)", "2031-04-12T11:00:05Z"},
        {"Tue, 29 Feb 2028 23:59:60 +0000", "2028-02-29T23:59:59Z"},
    };
    check_texts(cases, N(cases));
}

static void datetime__epoch(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {"0", "1970-01-01T00:00:00Z"},
        {"1933740131", "2031-04-12T06:02:11Z"},
        {"1933740131.75", "2031-04-12T06:02:11Z"},
        {"1933740131000", "2031-04-12T06:02:11Z"},
        {"1933740131999.9", "2031-04-12T06:02:11Z"},
        {"99999999999", "5138-11-16T09:46:39Z"},
        {"100000000000", "1973-03-03T09:46:40Z"},
        {"253402300799999", "9999-12-31T23:59:59Z"},
        {"253402300800000", ""},
        {"99999999999999999999999999", ""},
        {"-1", ""},
        {"1.", ""},
        {".5", ""},
        {"1e9", ""},
        {"12.5.6", ""},
        {"0x10", ""},
    };
    check_texts(cases, N(cases));
}

static void datetime__refused(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {"", ""},
        {"   ", ""},
        {"yesterday", ""},
        {"2031-02-29", ""},
        {"2100-02-29", ""},
        {"2031-04-31", ""},
        {"2031-13-01", ""},
        {"2031-00-01", ""},
        {"2031-04-00", ""},
        {"1969-12-31T23:59:59Z", ""},
        {"1970-01-01T00:30:00+01:00", ""},
        {"9999-12-31T23:59:59-01:00", ""},
        {"10000-01-01", ""},
        {"0000-01-01", ""},
        {"2031-4-12", ""},
        {"2031-04-12T", ""},
        {"2031-04-12T07", ""},
        {"2031-04-12T7:30", ""},
        {"2031-04-12T24:00:00Z", ""},
        {"2031-04-12T07:60:00Z", ""},
        {"2031-04-12T07:30:61Z", ""},
        {"2031-04-12T07:30:00.Z", ""},
        {"2031-04-12T07:30:00+24:00", ""},
        {"2031-04-12T07:30:00+02:60", ""},
        {"2031-04-12T07:30:00+2", ""},
        {"2031-04-12T07:30:00+02:0", ""},
        {"2031-04-12T07:30:00+02000", ""},
        {"2031-04-12T07:30:00ZZ", ""},
        {"2031-04-12T07:30:00 XYZ", ""},
        {"2031-04-12T0730", ""},
        {"20310412 0730", ""},
        {"2031/04/12", ""},
        {"12.04.2031", ""},
        {"Sat, 31 Apr 2031 07:30:00 GMT", ""},
        {"Sat, 12 Foo 2031 07:30:00 GMT", ""},
        {"Sat, 12 Ap 2031 07:30:00 GMT", ""},
        {"Sat, 12 Apr 2031", ""},
        {"Sat, 12 Apr 1 07:30:00 GMT", ""},
        {"Sat, 12 Apr 20310 07:30:00 GMT", ""},
        {"Foo, 12 Apr 2031 07:30:00 GMT", ""},
        {"Sat, 12 Apr 2031 07:30:00 CEST", ""},
        {"Sat, 12 Apr 2031 07:30:00 +0200 x", ""},
        {"Sat, 12 Apr 2031 07:30:00 +0200 (x", ""},
        {"12 Apr 69 07:30:00 GMT", ""},
    };
    check_texts(cases, N(cases));
}

static void datetime__odd_bytes_refused(void **state)
{
    (void)state;
    int64_t ms = 0;
    char nines[5000];
    memset(nines, '9', sizeof nines);
    assert_int_equal(nm_time_parse(nines, sizeof nines, &ms, NULL), NM_BAD_INPUT);
    assert_int_equal(nm_time_parse("2031-04-12\0", 11, &ms, NULL), NM_BAD_INPUT);
    assert_int_equal(nm_time_parse("2031-04-12T07:30:00Z", 18, &ms, NULL), NM_BAD_INPUT); /* no reading past the end */
}

static void datetime__number(void **state)
{
    (void)state;
    static const struct {
        double in;
        int64_t want; /* -1: refused */
    } cases[] = {
        {0, 0},
        {1.001, 1001},
        {1933740131, 1933740131000},
        {1933740131.123, 1933740131123},
        {1933740131.9999, 1933740131999},
        {1933740131000.0, 1933740131000},
        {99999999999.0, 99999999999000},
        {100000000000.0, 100000000000},
        {253402300799999.0, 253402300799999},
        {253402300800000.0, -1},
        {-0.5, -1},
        {1e300, -1},
        {(double)INFINITY, -1},
        {(double)-INFINITY, -1},
        {(double)NAN, -1},
    };
    for (size_t i = 0; i < N(cases); i++) {
        int64_t ms = -1;
        assert_int_equal(nm_time_from_number(cases[i].in, &ms, NULL), cases[i].want < 0 ? NM_BAD_INPUT : NM_OK);
        assert_int_equal(ms, cases[i].want);
    }
}

static void datetime__format_never_leaves_its_field(void **state)
{
    (void)state;
    char out[NM_TIME_TEXT_BYTES];
    nm_time_format(INT64_MAX, out);
    assert_string_equal(out, "9999-12-31T23:59:59Z");
    nm_time_format(INT64_MIN, out);
    assert_string_equal(out, "1970-01-01T00:00:00Z");
    nm_time_format(951782400999, out);
    assert_string_equal(out, "2000-02-29T00:00:00Z");
}

/* Every day from 1970 to 9999 survives the way to text and back. */
static void datetime__round_trip_of_every_day(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 2932897; day++) {
        int64_t ms = day * 86400000 + day % 86400000, back = -1;
        char text[NM_TIME_TEXT_BYTES];
        nm_time_format(ms, text);
        assert_int_equal(nm_time_parse(text, NM_TIME_TEXT_BYTES - 1, &back, NULL), NM_OK);
        assert_int_equal(back, ms / 1000 * 1000);
    }
}

/* A TZif file: version 2, an empty first block, `n` changes to type 1 and 0 in turn, and the footer. */
struct tzif {
    unsigned char data[512];
    size_t len;
};

static void put_u32(struct tzif *f, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        f->data[f->len++] = (unsigned char)(value >> shift);
}

static void put_header(struct tzif *f, uint32_t n_times, uint32_t n_types)
{
    static const unsigned char magic[20] = {'T', 'Z', 'i', 'f', '2'};
    for (size_t i = 0; i < sizeof magic; i++)
        f->data[f->len++] = magic[i];
    const uint32_t counts[] = {0, 0, 0, n_times, n_types, 4};
    for (size_t i = 0; i < N(counts); i++)
        put_u32(f, counts[i]);
}

static void put_type(struct tzif *f, int32_t offset_s)
{
    put_u32(f, (uint32_t)offset_s);
    f->data[f->len++] = 0;
    f->data[f->len++] = 0;
}

static void put_text(struct tzif *f, const char *text)
{
    while (*text)
        f->data[f->len++] = (unsigned char)*text++;
}

static struct tzif make_tzif(const int64_t *times_s, uint32_t n, int32_t first_s, int32_t second_s, const char *footer)
{
    struct tzif f = {.len = 0};
    put_header(&f, 0, 1);
    put_type(&f, 0);
    put_text(&f, "UTC.");
    put_header(&f, n, 2);
    for (uint32_t i = 0; i < n; i++) {
        put_u32(&f, (uint32_t)((uint64_t)times_s[i] >> 32));
        put_u32(&f, (uint32_t)times_s[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        f.data[f.len++] = (unsigned char)((i + 1) % 2);
    put_type(&f, first_s);
    put_type(&f, second_s);
    put_text(&f, "ABC.");
    put_text(&f, "\n");
    put_text(&f, footer);
    put_text(&f, "\n");
    return f;
}

static int64_t parse_s(const char *text)
{
    int64_t ms = 0;
    assert_int_equal(nm_time_parse(text, strlen(text), &ms, NULL), NM_OK);
    return ms / 1000;
}

static void datetime__zone_transitions(void **state)
{
    (void)state;
    const int64_t times[] = {1000, 2000, 3000};
    struct tzif f = make_tzif(times, 3, 3600, 7200, "");
    struct nm_zone *zone = NULL;
    assert_int_equal(nm_zone_read(f.data, f.len, &zone, NULL), NM_OK);
    static const struct {
        int64_t at_s;
        int32_t want;
    } cases[] = {{0, 3600}, {999, 3600}, {1000, 7200}, {1999, 7200}, {2000, 3600}, {3000, 7200}, {9999999999, 7200}};
    for (size_t i = 0; i < N(cases); i++)
        assert_int_equal(nm_zone_offset_s(zone, cases[i].at_s), cases[i].want);
    nm_zone_close(zone);
}

static void datetime__zone_footer_rules(void **state)
{
    (void)state;
    static const struct {
        const char *footer, *at;
        int32_t want;
    } cases[] = {
        {"QQQ-1", "2050-07-01T00:00:00Z", 3600},
        {"<+0330>-3:30", "2050-07-01T00:00:00Z", 12600},
        {"QQQ-1QQS,M3.5.0,M10.5.0/3", "2050-03-27T00:59:59Z", 3600},
        {"QQQ-1QQS,M3.5.0,M10.5.0/3", "2050-03-27T01:00:00Z", 7200},
        {"QQQ-1QQS,M3.5.0,M10.5.0/3", "2050-10-30T00:59:59Z", 7200},
        {"QQQ-1QQS,M3.5.0,M10.5.0/3", "2050-10-30T01:00:00Z", 3600},
        {"QQQ5QQS4,M3.2.0,M11.1.0", "2050-03-13T06:59:59Z", -18000},
        {"QQQ5QQS4,M3.2.0,M11.1.0", "2050-03-13T07:00:00Z", -14400},
        {"QQQ5QQS4,M3.2.0,M11.1.0", "2050-11-06T06:00:00Z", -18000},
        {"QQQ-10QQS,M10.1.0,M4.1.0/3", "2050-01-15T00:00:00Z", 39600}, /* the south: summer over the new year */
        {"QQQ-10QQS,M10.1.0,M4.1.0/3", "2050-07-15T00:00:00Z", 36000},
        {"QQQ0QQS,J60/0,J300/0", "2052-02-29T23:59:59Z", 0}, /* J never counts 29 February: day 60 is 1 March */
        {"QQQ0QQS,J60/0,J300/0", "2052-03-01T00:00:00Z", 3600},
        {"QQQ0QQS,59/0,299/0", "2052-02-29T00:00:00Z", 3600},
        {"QQQ2QQS,M3.4.4/50,M10.4.4/50", "2050-03-26T03:59:59Z", -7200}, /* two days and two hours later */
        {"QQQ2QQS,M3.4.4/50,M10.4.4/50", "2050-03-26T04:00:00Z", -3600},
    };
    for (size_t i = 0; i < N(cases); i++) {
        const int64_t times[] = {1000};
        struct tzif f = make_tzif(times, 1, 60, 120, cases[i].footer);
        struct nm_zone *zone = NULL;
        assert_int_equal(nm_zone_read(f.data, f.len, &zone, NULL), NM_OK);
        assert_int_equal(nm_zone_offset_s(zone, parse_s(cases[i].at)), cases[i].want);
        assert_int_equal(nm_zone_offset_s(zone, 500), 60);
        nm_zone_close(zone);
    }
}

static void datetime__damaged_zone_is_refused(void **state)
{
    (void)state;
    static const char *const footers[] = {"Q",
                                          "QQQ",
                                          "QQQ-1QQS",
                                          "QQQ-1QQS,M3.5.0",
                                          "QQQ-1QQS,M0.5.0,M10.5.0",
                                          "QQQ-1,M3.5.0",
                                          "<QQQ-1",
                                          "QQQ25",
                                          "QQQ-1QQS,M3.6.0,M10.5.0",
                                          "QQQ-1QQS,J0,J9",
                                          "QQQ-1QQS,366,9",
                                          "QQQ-1QQS,M3.5.0,M10.5.0x"};
    const int64_t times[] = {1000, 2000}, disordered[] = {2000, 1000};
    struct nm_zone *zone = NULL;
    for (size_t i = 0; i < N(footers); i++) {
        struct tzif f = make_tzif(times, 2, 0, 3600, footers[i]);
        assert_int_equal(nm_zone_read(f.data, f.len, &zone, NULL), NM_CONFIG);
    }
    struct tzif f = make_tzif(disordered, 2, 0, 3600, "");
    assert_int_equal(nm_zone_read(f.data, f.len, &zone, NULL), NM_CONFIG);
    f = make_tzif(times, 2, 0, 999999, "");
    assert_int_equal(nm_zone_read(f.data, f.len, &zone, NULL), NM_CONFIG);
    f = make_tzif(times, 2, 0, 3600, "");
    f.data[4] = '1';
    assert_int_equal(nm_zone_read(f.data, f.len, &zone, NULL), NM_CONFIG);
    f = make_tzif(times, 2, 0, 3600, "QQQ-1");
    for (size_t len = 0; len + 1 < f.len - 6; len++) /* cut anywhere before the footer */
        assert_int_equal(nm_zone_read(f.data, len, &zone, NULL), NM_CONFIG);
    assert_null(zone);
}

static void datetime__zone_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/etc/localtime",
                                      "../zoneinfo/UTC",
                                      "Europe/../UTC",
                                      "Europe",
                                      "Mars/Olympus",
                                      "UTC\n",
                                      "Europe/Berlin ",
                                      "caf\u00e9",
                                      "A123456789012345678901234567890123456789012345678901234567890123456789"};
    for (size_t i = 0; i < N(bad); i++) {
        struct nm_zone *zone = NULL;
        struct nm_error err;
        assert_int_equal(nm_zone_open(bad[i], &zone, &err), NM_CONFIG);
        assert_null(zone);
        assert_true(err.msg[0] != '\0');
    }
    nm_zone_close(NULL);
}

static void check_date(const char *name, const char *at, const char *want)
{
    struct nm_zone *zone = NULL;
    char date[11];
    assert_int_equal(nm_zone_open(name, &zone, NULL), NM_OK);
    nm_zone_date(zone, parse_s(at) * 1000, date);
    nm_zone_close(zone);
    assert_string_equal(date, want);
}

static void datetime__utc_needs_no_file(void **state)
{
    (void)state;
    check_date("UTC", "2031-04-12T23:59:59Z", "2031-04-12");
    check_date("UTC", "1970-01-01T00:00:00Z", "1970-01-01");
    check_date("UTC", "9999-12-31T23:59:59Z", "9999-12-31");
}

static void datetime__system_zones(void **state)
{
    (void)state;
    static const struct {
        const char *name, *at, *want;
    } cases[] = {
        {"Europe/Berlin", "2031-01-12T22:59:59Z", "2031-01-12"}, /* winter, +1 */
        {"Europe/Berlin", "2031-01-12T23:00:00Z", "2031-01-13"},
        {"Europe/Berlin", "2031-07-12T21:59:59Z", "2031-07-12"}, /* summer, +2 */
        {"Europe/Berlin", "2031-07-12T22:00:00Z", "2031-07-13"},
        {"Europe/Berlin", "2070-07-12T22:00:00Z", "2070-07-13"}, /* by the footer */
        {"Europe/Berlin", "2070-01-12T22:30:00Z", "2070-01-12"},
        {"America/New_York", "2031-01-12T04:59:59Z", "2031-01-11"}, /* -5 */
        {"America/New_York", "2031-07-12T04:00:00Z", "2031-07-12"}, /* -4 */
        {"America/New_York", "2070-07-12T03:59:59Z", "2070-07-11"},
        {"America/New_York", "1970-01-01T00:00:00Z", "1969-12-31"},
        {"Asia/Kolkata", "2031-04-12T18:29:59Z", "2031-04-12"}, /* +5:30 */
        {"Asia/Kolkata", "2031-04-12T18:30:00Z", "2031-04-13"},
        {"Australia/Lord_Howe", "2070-01-12T12:59:59Z", "2070-01-12"}, /* summer +11, winter +10:30 */
        {"Australia/Lord_Howe", "2070-01-12T13:00:00Z", "2070-01-13"},
        {"Pacific/Kiritimati", "9999-12-31T23:00:00Z", "9999-12-31"},
    };
    if (access("/usr/share/zoneinfo/Australia/Lord_Howe", R_OK) != 0)
        skip();
    for (size_t i = 0; i < N(cases); i++)
        check_date(cases[i].name, cases[i].at, cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datetime__iso_8601),
        cmocka_unit_test(datetime__rfc_2822),
        cmocka_unit_test(datetime__epoch),
        cmocka_unit_test(datetime__refused),
        cmocka_unit_test(datetime__odd_bytes_refused),
        cmocka_unit_test(datetime__number),
        cmocka_unit_test(datetime__format_never_leaves_its_field),
        cmocka_unit_test(datetime__round_trip_of_every_day),
        cmocka_unit_test(datetime__zone_transitions),
        cmocka_unit_test(datetime__zone_footer_rules),
        cmocka_unit_test(datetime__damaged_zone_is_refused),
        cmocka_unit_test(datetime__zone_names),
        cmocka_unit_test(datetime__utc_needs_no_file),
        cmocka_unit_test(datetime__system_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
