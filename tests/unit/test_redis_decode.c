/* test_redis_decode.c - replies of every shape, cut anywhere, and everything that is no reply. The decoder gets each
 * piece in memory of just that size, so that under ASan it reads no byte too many. What comes over a socket:
 * test_redis_flow.c; against hiredis: tests/fuzz/fuzz_resp.c. */
#include "redis_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_LEFT = 24, LINE = 64 * 1024 }; /* bytes of a number's line; of any line */

struct decoder {
    struct nm_arena arena;
    struct nm_decoder decoder;
    struct nm_reply reply;
    const char *text;
    size_t len, taken, given;
    struct nm_error err;
};

static struct decoder decoder_new(const char *text, size_t len)
{
    return (struct decoder){.text = text, .len = len};
}

/* `n` more bytes of the text, or what is left of it. */
static enum nm_status feed(struct decoder *d, size_t n, bool *whole)
{
    d->given += n < d->len - d->given ? n : d->len - d->given;
    size_t size = d->given - d->taken;
    char *piece = malloc(size + 1);
    assert_non_null(piece);
    memcpy(piece, d->text + d->taken, size);
    piece[size] = '\0';
    const char *at = piece;
    enum nm_status status = nm_decode(&d->decoder, &d->arena, &at, piece + size, &d->reply, whole, &d->err);
    if (status == NM_OK)
        d->taken += (size_t)(at - piece);
    free(piece);
    return status;
}

/* Feeds `step` bytes at a time until it is whole, was refused, or nothing is left. */
static enum nm_status feed_in_steps(struct decoder *d, size_t step, bool *whole)
{
    enum nm_status status = NM_OK;
    *whole = false;
    while (status == NM_OK && !*whole && d->given < d->len)
        status = feed(d, step, whole);
    return status;
}

/* The reply, which is all of the text. */
static const struct nm_reply *decode(struct decoder *d, size_t step)
{
    bool whole;
    if (feed_in_steps(d, step, &whole) != NM_OK)
        fail_msg("%s", d->err.msg);
    assert_true(whole);
    assert_int_equal(d->taken, d->len);
    return &d->reply;
}

static void decoder_clear(struct decoder *d)
{
    nm_arena_clear(&d->arena);
}

/* ---- what is RESP ---- */

static void reply__simple_types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum nm_reply_type type;
        const char *str;
    } cases[] = {
        {"+OK\r\n", NM_REPLY_STATUS, "OK"},
        {"+\r\n", NM_REPLY_STATUS, ""},
        {"+a\rb\nc\r\r\n", NM_REPLY_STATUS, "a\rb\nc\r"},
        {"-ERR no\r\n", NM_REPLY_ERROR, "ERR no"},
        {":0\r\n", NM_REPLY_INT, "0"},
        {":-42\r\n", NM_REPLY_INT, "-42"},
        {":9223372036854775807\r\n", NM_REPLY_INT, "9223372036854775807"},
        {":-9223372036854775808\r\n", NM_REPLY_INT, "-9223372036854775808"},
        {"$3\r\nabc\r\n", NM_REPLY_STR, "abc"},
        {"$0\r\n\r\n", NM_REPLY_STR, ""},
        {"$-1\r\n", NM_REPLY_NIL, ""},
        {"*-1\r\n", NM_REPLY_NIL, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len = strlen(cases[i].text);
        for (size_t step = 1; step <= len; step++) {
            struct decoder d = decoder_new(cases[i].text, len);
            const struct nm_reply *reply = decode(&d, step);
            assert_int_equal(reply->type, cases[i].type);
            assert_string_equal(reply->str, cases[i].str);
            assert_int_equal(reply->len, strlen(cases[i].str));
            if (reply->type == NM_REPLY_INT)
                assert_true(nm_reply_int(reply, 5) == strtoll(cases[i].str, NULL, 10));
            decoder_clear(&d);
        }
    }
}

static void reply__empty_array(void **state)
{
    (void)state;
    struct decoder d = decoder_new("*0\r\n", 4);
    const struct nm_reply *reply = decode(&d, 4);
    assert_int_equal(reply->type, NM_REPLY_ARRAY);
    assert_int_equal(reply->len, 0);
    assert_int_equal(nm_reply_at(reply, 0)->type, NM_REPLY_NIL);
    decoder_clear(&d);
}

static void reply__binary_string_keeps_its_bytes(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 11; step++) {
        struct decoder d = decoder_new("$5\r\na\0\r\nb\r\n", 11);
        const struct nm_reply *reply = decode(&d, step);
        assert_int_equal(reply->len, 5);
        assert_memory_equal(reply->str, "a\0\r\nb", 6);
        decoder_clear(&d);
    }
}

static void reply__nested_arrays_with_holes(void **state)
{
    (void)state;
    static const char text[] = "*5\r\n:1\r\n*2\r\n$1\r\nx\r\n*0\r\n$-1\r\n*3\r\n*1\r\n*-1\r\n+s\r\n-E e\r\n$1\r\ny\r\n";
    for (size_t step = 1; step < sizeof text; step++) {
        struct decoder d = decoder_new(text, sizeof text - 1);
        const struct nm_reply *reply = decode(&d, step);
        assert_int_equal(reply->len, 5);
        assert_int_equal(nm_reply_int(nm_reply_at(reply, 0), 9), 1);
        const struct nm_reply *second = nm_reply_at(reply, 1);
        assert_string_equal(nm_reply_at(second, 0)->str, "x");
        assert_int_equal(nm_reply_at(second, 1)->type, NM_REPLY_ARRAY);
        assert_int_equal(nm_reply_at(second, 1)->len, 0);
        assert_int_equal(nm_reply_at(reply, 2)->type, NM_REPLY_NIL);
        const struct nm_reply *fourth = nm_reply_at(reply, 3);
        assert_int_equal(nm_reply_at(nm_reply_at(fourth, 0), 0)->type, NM_REPLY_NIL);
        assert_int_equal(nm_reply_at(fourth, 1)->type, NM_REPLY_STATUS);
        assert_int_equal(nm_reply_at(fourth, 2)->type, NM_REPLY_ERROR);
        assert_string_equal(nm_reply_at(reply, 4)->str, "y");
        decoder_clear(&d);
    }
}

/* Strings of 0 to 80 bytes: around the longest of the hot case, and the last ones close to the end of what is there. */
static void reply__array_of_every_length_cut_anywhere(void **state)
{
    (void)state;
    enum { N = 81 };
    static const char content[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghi";
    struct nm_buf text = {0};
    nm_buf_addf(&text, "*%d\r\n", N);
    for (int i = 0; i < N; i++) {
        int len = (i * 7) % N;
        nm_buf_addf(&text, "$%d\r\n%.*s\r\n", len, len, content);
    }
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct decoder d = decoder_new(text.data, text.len);
        bool whole;
        assert_int_equal(feed(&d, cut, &whole), NM_OK);
        assert_int_equal(whole, cut == text.len);
        assert_true(d.given - d.taken < MOST_LEFT);
        if (!whole)
            assert_int_equal(feed(&d, text.len, &whole), NM_OK);
        assert_true(whole);
        for (size_t i = 0; i < N; i++) {
            const struct nm_reply *string = nm_reply_at(&d.reply, i);
            assert_int_equal(string->type, NM_REPLY_STR);
            assert_int_equal(string->len, (i * 7) % N);
            assert_int_equal(strlen(string->str), string->len);
            assert_memory_equal(string->str, content, string->len);
        }
        decoder_clear(&d);
    }
    nm_buf_clear(&text);
}

/* A long string that was taken between short ones lies behind the piece that those are packed into. */
static void reply__short_strings_stay_in_their_piece(void **state)
{
    (void)state;
    enum { N = 1000, LONG_ONE = 600 };
    struct nm_buf text = {0};
    nm_buf_addf(&text, "*%d\r\n", N);
    for (int i = 0; i < N; i++) {
        int len = i % 100 == 50 ? LONG_ONE : i % 41;
        nm_buf_addf(&text, "$%d\r\n%0*d\r\n", len ? len + 3 : 3, len + 3, i);
    }
    struct decoder d = decoder_new(text.data, text.len);
    const struct nm_reply *reply = decode(&d, text.len);
    for (size_t i = 0; i < N; i++)
        if (strtoul(nm_reply_at(reply, i)->str, NULL, 10) != i ||
            strspn(nm_reply_at(reply, i)->str, "0123456789") != nm_reply_at(reply, i)->len)
            fail_msg("element %zu is '%s'", i, nm_reply_at(reply, i)->str);
    decoder_clear(&d);
    nm_buf_clear(&text);
}

/* What looks like RESP inside of a string, wherever the string is cut. */
static void reply__string_that_holds_resp(void **state)
{
    (void)state;
    static const char inner[] = "$5\r\nabcde\r\n$5\r\nabcde\r\n*2\r\n$5\r\nabcde\r\n:1\r\n";
    struct nm_buf text = {0};
    nm_buf_adds(&text, "*5\r\n");
    for (int i = 0; i < 5; i++)
        nm_buf_addf(&text, "$%d\r\n%s%s%s\r\n", (int)(sizeof inner - 1) * 3, inner, inner, inner);
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct decoder d = decoder_new(text.data, text.len);
        bool whole;
        assert_int_equal(feed(&d, cut, &whole), NM_OK);
        const struct nm_reply *reply = whole ? &d.reply : decode(&d, text.len);
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(nm_reply_at(reply, i)->len, (sizeof inner - 1) * 3);
            assert_memory_equal(nm_reply_at(reply, i)->str, inner, sizeof inner - 1);
        }
        decoder_clear(&d);
    }
    nm_buf_clear(&text);
}

static void reply__strings_are_packed(void **state)
{
    (void)state;
    struct nm_buf text = {0};
    nm_buf_adds(&text, "*50\r\n");
    for (int i = 0; i < 50; i++)
        nm_buf_adds(&text, i % 10 ? "$20\r\n01234567890123456789\r\n" : ":7\r\n");
    struct decoder d = decoder_new(text.data, text.len);
    const struct nm_reply *reply = decode(&d, text.len);
    for (size_t i = 0; i + 1 < 50; i++)
        assert_ptr_equal(nm_reply_at(reply, i + 1)->str, nm_reply_at(reply, i)->str + nm_reply_at(reply, i)->len + 1);
    assert_int_equal((uintptr_t)nm_arena_alloc(&d.arena, 1) % 16, 0);
    decoder_clear(&d);
    nm_buf_clear(&text);
}

static void reply__one_mebibyte_and_many_elements(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20, ELEMENTS = 20000 };
    struct nm_buf text = {0};
    nm_buf_addf(&text, "*%d\r\n$%d\r\n", ELEMENTS + 1, BYTES);
    for (int i = 0; i < BYTES; i++)
        nm_buf_addc(&text, (char)('a' + i % 26));
    nm_buf_adds(&text, "\r\n");
    for (int i = 0; i < ELEMENTS; i++)
        nm_buf_addf(&text, ":%d\r\n", i);
    struct decoder d = decoder_new(text.data, text.len);
    const struct nm_reply *reply = decode(&d, 65536);
    assert_int_equal(reply->len, ELEMENTS + 1);
    const struct nm_reply *big = nm_reply_at(reply, 0);
    assert_int_equal(big->len, BYTES);
    for (int i = 0; i < BYTES; i++)
        if (big->str[i] != 'a' + i % 26)
            fail_msg("byte %d is wrong", i);
    for (int i = 0; i < ELEMENTS; i++)
        if (nm_reply_int(nm_reply_at(reply, (size_t)i + 1), -1) != i)
            fail_msg("element %d is wrong", i);
    nm_buf_clear(&text);
    decoder_clear(&d);
}

static void reply__next_one_is_left_alone(void **state)
{
    (void)state;
    static const char text[] = "+one\r\n*1\r\n$3\r\ntwo\r\n:3\r\n$4\r\nfo";
    struct decoder d = decoder_new(text, sizeof text - 1);
    struct nm_reply reply[3];
    bool whole;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(feed(&d, sizeof text, &whole), NM_OK);
        assert_true(whole);
        reply[i] = d.reply;
    }
    assert_int_equal(feed(&d, sizeof text, &whole), NM_OK);
    assert_false(whole);
    assert_string_equal(reply[0].str, "one");
    assert_string_equal(nm_reply_at(&reply[1], 0)->str, "two");
    assert_int_equal(nm_reply_int(&reply[2], 0), 3);
    decoder_clear(&d);
}

/* ---- what is not ---- */

#define SEVEN "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"
/* HOT: then there is a piece for short strings, so that the next element may be taken by the hot case. */
#define HOT  "*2\r\n$1\r\nx\r\n"
#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

static const struct {
    const char *text, *why;
} garbage[] = {
    {"HTTP/1.1 400 Bad Request\r\n", "means nothing"},
    {"hello\r\n", "means nothing"},
    {"\r\n\r\n", "means nothing"},
    {"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", "means nothing"}, /* RESP3 */
    {"*2\r\n:1\r\n_\r\n", "means nothing"},
    {"*200000000\r\n:1\r\n", "of an array"}, /* 3.2 GB for a reply of 12 bytes */
    {"*1048577\r\n:1\r\n", "of an array"},
    {"*-2\r\n", "of an array"},
    {"$-2\r\nab\r\n", "of a string"},
    {"$134217729\r\nab\r\n", "of a string"},
    {"*99999999999999999999\r\n", "number"},
    {"$99999999999999999999\r\n", "number"},
    {"$9223372036854775808\r\n", "number"},
    {":9223372036854775808\r\n", "number"},
    {":-9223372036854775809\r\n", "number"},
    {":00000000000000000000", "number"},
    {":12x\r\n", "number"},
    {":1\r2\r\n", "number"},
    {":1\n", "number"},
    {":\r\n", "number"},
    {":-\r\n", "number"},
    {":--1\r\n", "number"},
    {":+1\r\n", "number"},
    {":-0\r\n", "number"},
    {":007\r\n", "number"},
    {"$01\r\nx\r\n", "number"},
    {"*01\r\n:1\r\n", "number"},
    {"$ 1\r\nx\r\n", "number"},
    {"$1\r\nxy\r\n", "longer than it said"},
    {"$1\r\nx\n\r", "longer than it said"},
    {HOT "$1\r\nx\rx" LONG, "longer than it said"},
    {HOT "$1\r\nxx\n" LONG, "longer than it said"},
    {HOT "$20\r\n" LONG "\r\n", "longer than it said"},
    {HOT "$00\r\n\r\n" LONG, "number"},
    {HOT "$01\r\nx\r\n" LONG, "number"},
    {HOT "$A\r\n0123456789abcdefg\r\n" LONG, "number"}, /* 'A' - '0' of them */
    {HOT "$:\r\n0123456789\r\n" LONG, "number"},
    {HOT "$1\n\nx\r\n" LONG, "number"},
    {HOT "$1x\nx\r\n" LONG, "number"},
    {HOT "$-3\r\n" LONG, "of a string"},
    {SEVEN ":1\r\n", "nested"},
    {SEVEN "*0\r\n", "nested"},
};

static void reply__garbage_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        for (size_t step = 1; step <= strlen(garbage[i].text); step++) {
            struct decoder d = decoder_new(garbage[i].text, strlen(garbage[i].text));
            bool whole;
            if (feed_in_steps(&d, step, &whole) != NM_RETRY || whole)
                fail_msg("'%s' was taken", garbage[i].text);
            if (!strstr(d.err.msg, "not RESP") || !strstr(d.err.msg, garbage[i].why))
                fail_msg("'%s': %s", garbage[i].text, d.err.msg);
            decoder_clear(&d);
        }
    }
}

static void reply__as_deep_as_is_taken(void **state)
{
    (void)state;
    static const char text[] = "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n";
    struct decoder d = decoder_new(text, sizeof text - 1);
    const struct nm_reply *reply = decode(&d, 3);
    for (int i = 0; i < NM_DECODER_DEPTH; i++)
        reply = nm_reply_at(reply, 0);
    assert_int_equal(reply->type, NM_REPLY_ARRAY);
    assert_int_equal(reply->len, 0);
    decoder_clear(&d);
}

static void reply__line_has_a_bound(void **state)
{
    (void)state;
    static const size_t steps[] = {1000, LINE, LINE + 10};
    static char text[LINE + 10];
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        memset(text, 'x', sizeof text);
        text[0] = '+';
        memcpy(text + 1 + LINE, "\r\n", 2);
        struct decoder d = decoder_new(text, 1 + LINE + 2);
        assert_int_equal(decode(&d, steps[i])->len, LINE);
        decoder_clear(&d);
        memcpy(text + 1 + LINE, "y\r\n", 3);
        d = decoder_new(text, 1 + LINE + 3);
        bool whole;
        assert_int_equal(feed_in_steps(&d, steps[i], &whole), NM_RETRY);
        assert_non_null(strstr(d.err.msg, "line"));
        decoder_clear(&d);
    }
}

/* What is announced takes memory only within bounds, and what was begun is simply given up. */
static void reply__half_of_something_large(void **state)
{
    (void)state;
    static const char *const cases[] = {"$134217728\r\nx", "*1048576\r\n*1048576\r\n:1\r\n", "*3\r\n$5\r\nab",
                                        "*1\r\n-"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct decoder d = decoder_new(cases[i], strlen(cases[i]));
        bool whole;
        assert_int_equal(feed_in_steps(&d, 2, &whole), NM_OK);
        assert_false(whole);
        decoder_clear(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reply__simple_types),
        cmocka_unit_test(reply__empty_array),
        cmocka_unit_test(reply__binary_string_keeps_its_bytes),
        cmocka_unit_test(reply__nested_arrays_with_holes),
        cmocka_unit_test(reply__array_of_every_length_cut_anywhere),
        cmocka_unit_test(reply__short_strings_stay_in_their_piece),
        cmocka_unit_test(reply__string_that_holds_resp),
        cmocka_unit_test(reply__strings_are_packed),
        cmocka_unit_test(reply__one_mebibyte_and_many_elements),
        cmocka_unit_test(reply__next_one_is_left_alone),
        cmocka_unit_test(reply__garbage_is_refused),
        cmocka_unit_test(reply__as_deep_as_is_taken),
        cmocka_unit_test(reply__line_has_a_bound),
        cmocka_unit_test(reply__half_of_something_large),
    };
    return cmocka_run_group_tests_name("redis_decode", tests, NULL, NULL);
}
