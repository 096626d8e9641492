/* test_images_fetch_headers.c - the values of response headers that a fetch heeds. */
#include "images/fetch_headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

/* In memory of exactly its size, so that a sanitizer sees each byte read behind it. */
static struct im_value value_of(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return (struct im_value){.text = copy, .len = len};
}

static void drop(struct im_value value)
{
    free((void *)(uintptr_t)value.text);
}

static void headers__line(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want; /* NULL: not the header ETag */
    } cases[] = {{"ETag: \"a\"\r\n", "\"a\""},
                 {"etag:x\n", "x"},
                 {"ETAG: \t x y \t\r\n", "x y"},
                 {"ETag:\r\n", ""},
                 {"ETag:", ""},
                 {"ETag : x\r\n", NULL},
                 {"ETags: x\r\n", NULL},
                 {"ETa", NULL},
                 {"", NULL},
                 {"X-ETag: x\r\n", NULL},
                 {"\r\n", NULL},
                 {"ETag: a\r\rb\r\n", "a\r\rb"}};
    for (size_t i = 0; i < N(cases); i++) {
        struct im_value got = {.text = "untouched", .len = 9}, line = value_of(cases[i].line, strlen(cases[i].line));
        bool is = im_header_is(line.text, line.len, "etag", &got);
        assert_int_equal(is, cases[i].want != NULL);
        const char *want = cases[i].want ? cases[i].want : "untouched";
        assert_int_equal(got.len, strlen(want));
        assert_memory_equal(got.text, want, got.len);
        drop(line);
    }
}

static void headers__status(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int want;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n", 200}, {"HTTP/2 404\r\n", 404},   {"HTTP/1.0 999", 999}, {"HTTP/1.1 2000 X\r\n", 0},
        {"HTTP/1.1 20\r\n", 0},       {"HTTP/1.1 099 X\r\n", 0}, {"HTTP/ 200\r\n", 0},  {"HTTP/1.1  200\r\n", 0},
        {"http/1.1 200 OK\r\n", 0},   {"HTTP/1.1", 0},           {"HTTP", 0},           {"", 0},
        {"HTTP/1.1 200OK\r\n", 200},  {"HTTP/1.1 -20 X\r\n", 0}};
    for (size_t i = 0; i < N(cases); i++) {
        struct im_value line = value_of(cases[i].line, strlen(cases[i].line));
        if (im_header_status(line.text, line.len) != cases[i].want)
            fail_msg("%s", cases[i].line);
        drop(line);
    }
}

static void headers__length(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want; /* -1: no number */
    } cases[] = {{"0", 0},
                 {"00012", 12},
                 {"9223372036854775806", INT64_MAX - 1},
                 {"9223372036854775807", INT64_MAX},
                 {"9223372036854775808", INT64_MAX},
                 {"99999999999999999999999", INT64_MAX},
                 {"", -1},
                 {"-5", -1},
                 {"+5", -1},
                 {"5, 5", -1},
                 {"0x10", -1},
                 {"5 ", -1}};
    for (size_t i = 0; i < N(cases); i++) {
        struct im_value value = value_of(cases[i].text, strlen(cases[i].text));
        int64_t got = -1;
        bool ok = im_header_length(value, &got);
        if (got != cases[i].want || ok != (cases[i].want >= 0))
            fail_msg("'%s': %lld", cases[i].text, (long long)got);
        drop(value);
    }
}

/* What becomes of a text in `read`, which copies. */
static void check_copy(void (*read)(struct im_value, char *), const char *text, const char *want)
{
    char out[IM_ETAG_BYTES];
    struct im_value value = value_of(text, strlen(text));
    memset(out, 'z', sizeof out);
    read(value, out);
    if (strcmp(out, want) != 0)
        fail_msg("'%s': '%s' instead of '%s'", text, out, want);
    drop(value);
}

static void read_etag(struct im_value value, char *out)
{
    im_header_etag(value, out);
}

static void read_date(struct im_value value, char *out)
{
    im_header_date(value, out);
}

static void read_media(struct im_value value, char *out)
{
    im_header_media(value, out);
}

/* T93. */
static void headers__etag(void **state)
{
    (void)state;
    static const char
        *const good[] = {"\"\"", "\"a\"", "W/\"a\"", "\"!#~\"", "\"it's;,\""},
               *const bad[] = {
                   "",    "a",   "\"", "W/\"",     "w/\"a\"", "\"a\"b\"", "\"a b\"", "\"a\r\nX: y\"", "\"\xc3\xbc\"",
                   "\"a", "a\"", "*",  "\"\x7f\"", "W/",      "\"a\" "};
    char text[IM_ETAG_BYTES + 1];
    for (size_t i = 0; i < N(good); i++)
        check_copy(read_etag, good[i], good[i]);
    for (size_t i = 0; i < N(bad); i++)
        check_copy(read_etag, bad[i], "");
    memset(text, 'x', sizeof text);
    text[0] = text[IM_ETAG_BYTES - 2] = '"';
    text[IM_ETAG_BYTES - 1] = '\0';
    check_copy(read_etag, text, text); /* the longest */
    text[IM_ETAG_BYTES - 2] = 'x';
    text[IM_ETAG_BYTES - 1] = '"';
    text[IM_ETAG_BYTES] = '\0';
    check_copy(read_etag, text, "");
}

static void headers__date(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "yesterday",
                                      "1700000000",
                                      "Tue, 14 Nov 2023 22:13:20 GMT\r\nX: y",
                                      "Tue, 99 Nov 2023 22:13:20 GMT",
                                      "Tue, 14 Nov 2023 22:13:20 GMT              x"};
    check_copy(read_date, "Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:20 GMT");
    for (size_t i = 0; i < N(bad); i++)
        check_copy(read_date, bad[i], "");
}

static void headers__media_type(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {{"image/jpeg", "image/jpeg"},
                 {"Image/JPEG; charset=x", "image/jpeg"},
                 {"text/html;charset=utf-8", "text/html"},
                 {"image/svg+xml ;a", "image/svg+xml"},
                 {"image", ""},
                 {"image/", ""},
                 {"/jpeg", ""},
                 {"image/jpeg/x", ""},
                 {"image/jpeg, text/html", ""},
                 {"image /jpeg", ""},
                 {"", ""},
                 {"image/\x01", ""},
                 {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""}};
    for (size_t i = 0; i < N(cases); i++)
        check_copy(read_media, cases[i].text, cases[i].want);
}

static void headers__codings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool identity, chunked;
    } cases[] = {{"", true, true},
                 {"identity", true, false},
                 {"IDENTITY", true, false},
                 {"chunked", false, true},
                 {"Chunked", false, true},
                 {"gzip", false, false},
                 {"gzip, chunked", false, false},
                 {"identity, gzip", false, false}};
    for (size_t i = 0; i < N(cases); i++) {
        struct im_value value = value_of(cases[i].text, strlen(cases[i].text));
        assert_int_equal(im_header_is_identity(value), cases[i].identity);
        assert_int_equal(im_header_is_chunked(value), cases[i].chunked);
        drop(value);
    }
    struct im_value nul = value_of("chunked\0gzip", 12);
    assert_false(im_header_is_chunked(nul));
    drop(nul);
}

static void headers__max_age(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {{"max-age=60", 60},
                 {"public, Max-Age=\"60\"", 60},
                 {"max-age=60, max-age=30", 30},
                 {"no-store", 0},
                 {"max-age=60,no-cache", 0},
                 {"max-age=99999999999999999999", IM_MAX_AGE_MOST_S},
                 {"max-age=-1", -1},
                 {"max-age=", -1},
                 {"max-age", -1},
                 {"max-age=6x", -1},
                 {"s-maxage=60", -1},
                 {"x=\"a, max-age=60\"", -1},
                 {"x=\"a, max-age=60", -1},
                 {",,  ,max-age=5,", 5},
                 {"", -1}};
    for (size_t i = 0; i < N(cases); i++) {
        struct im_value value = value_of(cases[i].text, strlen(cases[i].text));
        if (im_header_max_age(value) != cases[i].want)
            fail_msg("'%s': %lld", cases[i].text, (long long)im_header_max_age(value));
        drop(value);
    }
}

/* T89, T90. Now is 2023-11-14T22:13:20Z. */
static void headers__retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {{"120", 120000},
                 {"0", 1000},
                 {"3600", 3600000},
                 {"3601", 3600000},
                 {"99999999999", 3600000},
                 {"99999999999999999999999999", 3600000},
                 {"-1", 60000},
                 {"1.5", 60000},
                 {"soon", 60000},
                 {"", 60000},
                 {"Tue, 14 Nov 2023 22:13:50 GMT", 30000},
                 {"Tue, 14 Nov 2023 22:13:20 GMT", 1000},
                 {"Sun, 06 Nov 1994 08:49:37 GMT", 1000},
                 {"Fri, 31 Dec 9999 23:59:59 GMT", 3600000},
                 {"Tue, 31 Feb 2023 22:13:50 GMT", 60000}};
    for (size_t i = 0; i < N(cases); i++) {
        struct im_value value = value_of(cases[i].text, strlen(cases[i].text));
        int64_t got = im_header_retry_after(value, 1700000000000, 1000, 3600000, 60000);
        if (got != cases[i].want)
            fail_msg("'%s': %lld", cases[i].text, (long long)got);
        drop(value);
    }
}

/* 100,000 random values: every reader keeps to its bytes (a sanitizer watches) and to its range. */
static void headers__random_bytes(void **state)
{
    (void)state;
    static const char *const pieces[] = {"max-age=", "\"", ",", "W/", "/",  "chunked", "9",
                                         "Nov",      " ",  ";", "-",  "\r", "\xff"};
    uint64_t seed = 4711;
    for (int round = 0; round < 100000; round++) {
        char text[64], out[IM_ETAG_BYTES];
        size_t len = 0;
        for (int i = 0; i < 8; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const char *piece = pieces[(seed >> 33) % N(pieces)];
            for (; *piece && len < sizeof text; piece++)
                text[len++] = *piece;
        }
        struct im_value value = value_of(text, len);
        int64_t n;
        im_header_etag(value, out);
        im_header_date(value, out);
        im_header_media(value, out);
        if (im_header_length(value, &n))
            assert_true(n >= 0);
        assert_in_range(im_header_retry_after(value, 1700000000000, 1000, 3600000, 60000), 1000, 3600000);
        assert_true(im_header_max_age(value) >= -1 && im_header_max_age(value) <= IM_MAX_AGE_MOST_S);
        drop(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers__line),        cmocka_unit_test(headers__status),
        cmocka_unit_test(headers__length),      cmocka_unit_test(headers__etag),
        cmocka_unit_test(headers__date),        cmocka_unit_test(headers__media_type),
        cmocka_unit_test(headers__codings),     cmocka_unit_test(headers__max_age),
        cmocka_unit_test(headers__retry_after), cmocka_unit_test(headers__random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
