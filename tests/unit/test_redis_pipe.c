/* test_redis_pipe.c - commands as exact bytes, and replies of every shape decoded by hiredis' reader into the arena. */
#include "redis_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- encoding ---- */

static void pipe__command_bytes(void **state)
{
    (void)state;
    struct nm_pipe pipe = {0};
    assert_int_equal(nm_pipe_command(&pipe, 3), 0);
    nm_pipe_str(&pipe, "SET");
    nm_pipe_arg(&pipe, "a\0b\r\n", 5);
    nm_pipe_str(&pipe, "");
    assert_int_equal(nm_pipe_command(&pipe, 1), 1);
    nm_pipe_str(&pipe, "TIME");
    static const char want[] = "*3\r\n$3\r\nSET\r\n$5\r\na\0b\r\n\r\n$0\r\n\r\n*1\r\n$4\r\nTIME\r\n";
    assert_int_equal(pipe.request.len, sizeof want - 1);
    assert_memory_equal(pipe.request.data, want, sizeof want - 1);
    assert_int_equal(pipe.n_commands, 2);
    nm_pipe_clear(&pipe);
}

static void pipe__int_bytes(void **state)
{
    (void)state;
    static const struct {
        long long value;
        const char *want;
    } cases[] = {
        {0, "$1\r\n0\r\n"},
        {7, "$1\r\n7\r\n"},
        {10, "$2\r\n10\r\n"},
        {-1, "$2\r\n-1\r\n"},
        {-90, "$3\r\n-90\r\n"},
        {INT64_MAX, "$19\r\n9223372036854775807\r\n"},
        {INT64_MIN, "$20\r\n-9223372036854775808\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_pipe pipe = {0};
        nm_pipe_int(&pipe, cases[i].value);
        assert_string_equal(nm_buf_str(&pipe.request), cases[i].want);
        nm_pipe_clear(&pipe);
    }
}

static void pipe__lengths_around_powers_of_ten(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 65535, 65536, 1000000};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct nm_pipe pipe = {0};
        char *data = calloc(lens[i] + 1, 1), head[32];
        assert_non_null(data);
        memset(data, 'z', lens[i]);
        nm_pipe_arg(&pipe, data, lens[i]);
        int head_len = snprintf(head, sizeof head, "$%zu\r\n", lens[i]);
        assert_int_equal(pipe.request.len, (size_t)head_len + lens[i] + 2);
        assert_memory_equal(pipe.request.data, head, (size_t)head_len);
        assert_memory_equal(pipe.request.data + head_len, data, lens[i]);
        assert_memory_equal(pipe.request.data + head_len + lens[i], "\r\n", 2);
        free(data);
        nm_pipe_clear(&pipe);
    }
}

static void pipe__script_is_evalsha_with_its_keys(void **state)
{
    (void)state;
    struct nm_script script = {.name = "x", .sha = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"};
    struct nm_pipe pipe = {0};
    (void)nm_pipe_command(&pipe, 1);
    nm_pipe_str(&pipe, "PING");
    nm_pipe_reset(&pipe);
    assert_int_equal(nm_pipe_script(&pipe, &script, 1, 2), 0);
    nm_pipe_str(&pipe, "k");
    nm_pipe_int(&pipe, 5);
    nm_pipe_str(&pipe, "v");
    assert_string_equal(nm_buf_str(&pipe.request),
                        "*6\r\n$7\r\nEVALSHA\r\n$40\r\naaaaaaaaaabbbbbbbbbbccccccccccdddddddddd\r\n$1\r\n1\r\n"
                        "$1\r\nk\r\n$1\r\n5\r\n$1\r\nv\r\n");
    nm_pipe_clear(&pipe);
}

/* ---- decoding ---- */

struct decoder {
    struct nm_pipe pipe;
    redisReader *reader;
};

static struct decoder decoder_new(void)
{
    struct decoder decoder = {.reader = redisReaderCreateWithFunctions(&nm_redis_arena_functions)};
    assert_non_null(decoder.reader);
    decoder.reader->maxbuf = 0;
    return decoder;
}

static void decoder_clear(struct decoder *decoder)
{
    redisReaderFree(decoder->reader);
    nm_pipe_clear(&decoder->pipe);
}

/* Feeds `step` bytes at a time; the reply, NULL when it is not whole, fails when the reader refuses it. */
static const struct nm_reply *decode_in_steps(struct decoder *decoder, const char *text, size_t len, size_t step)
{
    void *reply = NULL;
    decoder->reader->privdata = &decoder->pipe;
    for (size_t at = 0; at < len && !reply; at += step) {
        size_t n = step < len - at ? step : len - at;
        assert_int_equal(redisReaderFeed(decoder->reader, text + at, n), REDIS_OK);
        if (redisReaderGetReply(decoder->reader, &reply) != REDIS_OK)
            fail_msg("%s", decoder->reader->errstr);
    }
    return reply;
}

static const struct nm_reply *decode(struct decoder *decoder, const char *text)
{
    return decode_in_steps(decoder, text, strlen(text), strlen(text));
}

static void reply__simple_types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum nm_reply_type type;
        long long integer;
        const char *str;
    } cases[] = {
        {"+OK\r\n", NM_REPLY_STATUS, 0, "OK"},
        {"+\r\n", NM_REPLY_STATUS, 0, ""},
        {"-ERR no\r\n", NM_REPLY_ERROR, 0, "ERR no"},
        {":0\r\n", NM_REPLY_INT, 0, ""},
        {":-42\r\n", NM_REPLY_INT, -42, ""},
        {":9223372036854775807\r\n", NM_REPLY_INT, INT64_MAX, ""},
        {"$3\r\nabc\r\n", NM_REPLY_STR, 0, "abc"},
        {"$0\r\n\r\n", NM_REPLY_STR, 0, ""},
        {"$-1\r\n", NM_REPLY_NIL, 0, ""},
        {"*-1\r\n", NM_REPLY_NIL, 0, ""},
        {"*0\r\n", NM_REPLY_ARRAY, 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step <= strlen(cases[i].text); step++) {
            struct decoder decoder = decoder_new();
            const struct nm_reply *reply = decode_in_steps(&decoder, cases[i].text, strlen(cases[i].text), step);
            assert_non_null(reply);
            assert_int_equal(reply->type, cases[i].type);
            assert_int_equal(reply->integer, cases[i].integer);
            assert_string_equal(reply->str, cases[i].str);
            assert_int_equal(reply->len, strlen(cases[i].str));
            decoder_clear(&decoder);
        }
    }
}

static void reply__binary_string_keeps_its_bytes(void **state)
{
    (void)state;
    struct decoder decoder = decoder_new();
    const struct nm_reply *reply = decode_in_steps(&decoder, "$5\r\na\0\r\nb\r\n", 11, 4);
    assert_int_equal(reply->len, 5);
    assert_memory_equal(reply->str, "a\0\r\nb", 6);
    decoder_clear(&decoder);
}

static void reply__nested_arrays_with_holes(void **state)
{
    (void)state;
    static const char text[] = "*5\r\n:1\r\n*2\r\n$1\r\nx\r\n*0\r\n$-1\r\n*3\r\n*1\r\n*-1\r\n+s\r\n-E e\r\n$1\r\ny\r\n";
    for (size_t step = 1; step < sizeof text; step += 3) {
        struct decoder decoder = decoder_new();
        const struct nm_reply *reply = decode_in_steps(&decoder, text, sizeof text - 1, step);
        assert_non_null(reply);
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
        decoder_clear(&decoder);
    }
}

static void reply__element_that_is_not_there_is_nil(void **state)
{
    (void)state;
    struct decoder decoder = decoder_new();
    const struct nm_reply *array = decode(&decoder, "*1\r\n$1\r\nx\r\n");
    assert_int_equal(nm_reply_at(array, 1)->type, NM_REPLY_NIL);
    assert_int_equal(nm_reply_at(array, SIZE_MAX)->type, NM_REPLY_NIL);
    const struct nm_reply *string = nm_reply_at(array, 0);
    assert_int_equal(nm_reply_at(string, 0)->type, NM_REPLY_NIL);
    assert_string_equal(nm_reply_at(string, 0)->str, "");
    assert_int_equal(nm_reply_at(nm_reply_at(string, 0), 3)->type, NM_REPLY_NIL);
    decoder_clear(&decoder);
}

static void reply__one_mebibyte_and_many_elements(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20, ELEMENTS = 20000 };
    struct decoder decoder = decoder_new();
    struct nm_buf text = {0};
    nm_buf_addf(&text, "*%d\r\n$%d\r\n", ELEMENTS + 1, BYTES);
    for (int i = 0; i < BYTES; i++)
        nm_buf_addc(&text, (char)('a' + i % 26));
    nm_buf_adds(&text, "\r\n");
    for (int i = 0; i < ELEMENTS; i++)
        nm_buf_addf(&text, ":%d\r\n", i);
    const struct nm_reply *reply = decode_in_steps(&decoder, text.data, text.len, 65536);
    assert_non_null(reply);
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
    decoder_clear(&decoder);
}

static void reply__several_in_one_feed_live_side_by_side(void **state)
{
    (void)state;
    struct decoder decoder = decoder_new();
    decoder.reader->privdata = &decoder.pipe;
    static const char text[] = "+one\r\n*1\r\n$3\r\ntwo\r\n:3\r\n$4\r\nfo";
    assert_int_equal(redisReaderFeed(decoder.reader, text, sizeof text - 1), REDIS_OK);
    void *reply[4] = {0};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(redisReaderGetReply(decoder.reader, &reply[i]), REDIS_OK);
    assert_string_equal(((struct nm_reply *)reply[0])->str, "one");
    assert_string_equal(nm_reply_at(reply[1], 0)->str, "two");
    assert_int_equal(nm_reply_int(reply[2], 0), 3);
    assert_null(reply[3]);
    assert_int_equal(redisReaderFeed(decoder.reader, "ur\r\n", 4), REDIS_OK);
    assert_int_equal(redisReaderGetReply(decoder.reader, &reply[3]), REDIS_OK);
    assert_string_equal(((struct nm_reply *)reply[3])->str, "four");
    assert_string_equal(((struct nm_reply *)reply[0])->str, "one");
    decoder_clear(&decoder);
}

static void reply__reset_forgets_and_the_memory_is_used_again(void **state)
{
    (void)state;
    struct decoder decoder = decoder_new();
    const struct nm_reply *first = decode(&decoder, "$3\r\nabc\r\n");
    nm_pipe_reset(&decoder.pipe);
    const struct nm_reply *second = decode(&decoder, "$3\r\nxyz\r\n");
    assert_ptr_equal(first, second);
    assert_string_equal(second->str, "xyz");
    decoder_clear(&decoder);
}

/* ---- what is not RESP ---- */

static void reply__garbage_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "hello\r\n",
        "\r\n\r\n",
        "*200000000\r\n:1\r\n", /* 1.6 GB for a reply of 12 bytes */
        "*2147483647\r\n",
        "*99999999999999999999\r\n",
        "*-2\r\n",
        "$-2\r\nab\r\n",
        "$99999999999999999999\r\n",
        ":12x\r\n",
        ":\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct decoder decoder = decoder_new();
        decoder.reader->privdata = &decoder.pipe;
        void *reply = NULL;
        assert_int_equal(redisReaderFeed(decoder.reader, cases[i], strlen(cases[i])), REDIS_OK);
        if (redisReaderGetReply(decoder.reader, &reply) != REDIS_ERR)
            fail_msg("'%s' was taken", cases[i]);
        assert_null(reply);
        decoder_clear(&decoder);
    }
}

/* ---- numbers ---- */

static void reply_int__edges(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want; /* 5: not a number */
    } cases[] = {
        {"0", 0},
        {"7", 7},
        {"-7", -7},
        {"007", 7},
        {"1700000000000000", 1700000000000000},
        {"9007199254740993", 9007199254740993},
        {"9223372036854775799", 9223372036854775799},
        {"9223372036854775800", 9223372036854775800},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775807", -INT64_MAX},
        {"9223372036854775808", 5},
        {"18446744073709551616", 5},
        {"99999999999999999999", 5},
        {"999999999999999999999999", 5},
        {"", 5},
        {"-", 5},
        {"--1", 5},
        {"+1", 5},
        {" 1", 5},
        {"1 ", 5},
        {"1.0", 5},
        {"1e3", 5},
        {"0x10", 5},
        {"1.79e+15", 5},
    };
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_reply reply = {.type = NM_REPLY_STR, .str = cases[i].text, .len = strlen(cases[i].text)};
        int64_t got = nm_reply_int(&reply, 5);
        if (got != cases[i].want) {
            print_error("'%s': wanted %lld, got %lld\n", cases[i].text, (long long)cases[i].want, (long long)got);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void reply_int__by_type(void **state)
{
    (void)state;
    struct decoder decoder = decoder_new();
    assert_int_equal(nm_reply_int(decode(&decoder, ":-9223372036854775807\r\n"), 5), -INT64_MAX);
    assert_int_equal(nm_reply_int(decode(&decoder, "$-1\r\n"), 5), 5);
    assert_int_equal(nm_reply_int(decode(&decoder, "*1\r\n:3\r\n"), 5), 5);
    assert_int_equal(nm_reply_int(decode(&decoder, "+3\r\n"), 5), 5);
    assert_int_equal(nm_reply_int(decode(&decoder, "-3\r\n"), 5), 5);
    struct nm_reply nul = {.type = NM_REPLY_STR, .str = "1\0002", .len = 3};
    assert_int_equal(nm_reply_int(&nul, 5), 5);
    decoder_clear(&decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipe__command_bytes),
        cmocka_unit_test(pipe__int_bytes),
        cmocka_unit_test(pipe__lengths_around_powers_of_ten),
        cmocka_unit_test(pipe__script_is_evalsha_with_its_keys),
        cmocka_unit_test(reply__simple_types),
        cmocka_unit_test(reply__binary_string_keeps_its_bytes),
        cmocka_unit_test(reply__nested_arrays_with_holes),
        cmocka_unit_test(reply__element_that_is_not_there_is_nil),
        cmocka_unit_test(reply__one_mebibyte_and_many_elements),
        cmocka_unit_test(reply__several_in_one_feed_live_side_by_side),
        cmocka_unit_test(reply__reset_forgets_and_the_memory_is_used_again),
        cmocka_unit_test(reply__garbage_is_refused),
        cmocka_unit_test(reply_int__edges),
        cmocka_unit_test(reply_int__by_type),
    };
    return cmocka_run_group_tests_name("redis_pipe", tests, NULL, NULL);
}
