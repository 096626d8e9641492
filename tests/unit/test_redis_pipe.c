/* test_redis_pipe.c - commands as exact bytes, and what is asked of a reply. Decoding: test_redis_decode.c. */
#include "newsmill/redis.h"

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

/* ---- elements ---- */

static void reply__element_that_is_not_there_is_nil(void **state)
{
    (void)state;
    const struct nm_reply string = {.type = NM_REPLY_STR, .str = "x", .len = 1};
    const struct nm_reply array = {.type = NM_REPLY_ARRAY, .element = &string, .len = 1};
    assert_ptr_equal(nm_reply_at(&array, 0), &string);
    assert_int_equal(nm_reply_at(&array, 1)->type, NM_REPLY_NIL);
    assert_int_equal(nm_reply_at(&array, SIZE_MAX)->type, NM_REPLY_NIL);
    assert_int_equal(nm_reply_at(&string, 0)->type, NM_REPLY_NIL);
    assert_string_equal(nm_reply_at(&string, 0)->str, "");
    assert_int_equal(nm_reply_at(nm_reply_at(&string, 0), 3)->type, NM_REPLY_NIL);
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
        {"-9223372036854775808", INT64_MIN},
        {"-9223372036854775809", 5},
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
        struct nm_reply reply = {.type = NM_REPLY_STR, .str = cases[i].text, .len = (uint32_t)strlen(cases[i].text)};
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
    struct nm_reply reply = {.str = "-3", .len = 2};
    for (enum nm_reply_type type = NM_REPLY_NIL; type <= NM_REPLY_ERROR; type++) {
        reply.type = type;
        if (type != NM_REPLY_ARRAY)
            assert_int_equal(nm_reply_int(&reply, 5), type == NM_REPLY_INT || type == NM_REPLY_STR ? -3 : 5);
    }
    const struct nm_reply array = {.type = NM_REPLY_ARRAY, .element = &reply, .len = 1};
    assert_int_equal(nm_reply_int(&array, 5), 5);
    const struct nm_reply nul = {.type = NM_REPLY_STR, .str = "1\0002", .len = 3};
    assert_int_equal(nm_reply_int(&nul, 5), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipe__command_bytes),
        cmocka_unit_test(pipe__int_bytes),
        cmocka_unit_test(pipe__lengths_around_powers_of_ten),
        cmocka_unit_test(pipe__script_is_evalsha_with_its_keys),
        cmocka_unit_test(reply__element_that_is_not_there_is_nil),
        cmocka_unit_test(reply_int__edges),
        cmocka_unit_test(reply_int__by_type),
    };
    return cmocka_run_group_tests_name("redis_pipe", tests, NULL, NULL);
}
