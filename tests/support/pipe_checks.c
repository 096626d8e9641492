/* pipe_checks.c - see pipe_checks.h. */
#include "pipe_checks.h"

#include "newsmill/clock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void pipe_add(struct nm_pipe *pipe, const char *a, const char *b, const char *c, const char *d)
{
    const char *const words[] = {a, b, c, d};
    size_t n = 0;
    while (n < 4 && words[n])
        n++;
    (void)nm_pipe_command(pipe, n);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(pipe, words[i]);
}

enum nm_status pipe_wait_and_advance(struct nm_redis *redis, struct nm_error *err)
{
    struct pollfd fd = {.fd = nm_redis_fd(redis),
                        .events = (short)(POLLIN | (nm_redis_wants_write(redis) ? POLLOUT : 0))};
    int64_t left_ms = nm_redis_deadline_ms(redis) - nm_boottime_ms();
    (void)poll(&fd, 1, left_ms < 0 ? 0 : (int)left_ms);
    return nm_redis_advance(redis, err);
}

void pipe_check_many(struct nm_redis *redis, size_t n_pipes, size_t n_commands)
{
    enum { BYTES = 420 };
    struct nm_error err = {0};
    struct nm_pipe *pipe = calloc(n_pipes, sizeof *pipe);
    char value[BYTES + 1];
    assert_non_null(pipe);
    memset(value, 'v', BYTES);
    value[BYTES] = '\0';
    for (size_t p = 0; p < n_pipes; p++) {
        for (size_t i = 0; i < n_commands; i++)
            pipe_add(&pipe[p], i % 2 ? "ECHO" : "INCR", i % 2 ? value : "counter", NULL, NULL);
        assert_int_equal(nm_redis_submit(redis, &pipe[p], &err), NM_OK);
    }
    while (nm_redis_in_flight(redis) > 0)
        if (pipe_wait_and_advance(redis, &err) != NM_OK)
            fail_msg("%s", err.msg);
    for (size_t p = 0; p < n_pipes; p++) {
        assert_true(nm_pipe_done(&pipe[p]));
        for (size_t i = 0; i < n_commands; i += 2) {
            assert_int_equal(nm_reply_int(nm_pipe_reply(&pipe[p], i), 0), (p * n_commands + i) / 2 + 1);
            assert_string_equal(nm_pipe_reply(&pipe[p], i + 1)->str, value);
        }
        nm_pipe_clear(&pipe[p]);
    }
    free(pipe);
}

void pipe_check_large_value(struct nm_redis *redis)
{
    enum { BYTES = 20 << 20 };
    struct nm_error err = {0};
    struct nm_pipe pipe = {0};
    char *value = malloc(BYTES);
    assert_non_null(value);
    for (size_t i = 0; i < BYTES; i++)
        value[i] = (char)(i * 31 >> 3);
    (void)nm_pipe_command(&pipe, 3);
    nm_pipe_str(&pipe, "SET");
    nm_pipe_str(&pipe, "k");
    nm_pipe_arg(&pipe, value, BYTES);
    pipe_add(&pipe, "GET", "k", NULL, NULL);
    assert_int_equal(nm_redis_exec(redis, &pipe, &err), NM_OK);
    assert_int_equal(nm_pipe_reply(&pipe, 1)->len, BYTES);
    assert_memory_equal(nm_pipe_reply(&pipe, 1)->str, value, BYTES);
    nm_pipe_reset(&pipe);
    pipe_add(&pipe, "GET", "none", NULL, NULL);
    assert_int_equal(nm_redis_exec(redis, &pipe, &err), NM_OK);
    assert_int_equal(nm_pipe_reply(&pipe, 0)->type, NM_REPLY_NIL);
    nm_pipe_clear(&pipe);
    free(value);
}
