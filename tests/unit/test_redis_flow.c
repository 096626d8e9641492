/* test_redis_flow.c - pipes in flight over a socket whose other end is the test itself: what is written, what each byte
 * of an answer does, and what is left of the pipes when the connection fails. Real servers: test_redis_real.c. */
#include "newsmill/clock.h"
#include "redis_internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PIPES 3

struct fixture {
    int server; /* the other end */
    struct nm_redis *redis;
    struct nm_pipe pipe[PIPES];
    struct nm_error err;
};

static struct fixture *fixture_new(int timeout_ms)
{
    int ends[2];
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(ends[i], F_SETFL, O_NONBLOCK), 0);
    f->server = ends[0];
    assert_int_equal(nm_redis_adopt(ends[1], timeout_ms, &f->redis, &f->err), NM_OK);
    return f;
}

static void fixture_free(struct fixture *f)
{
    nm_redis_close(f->redis);
    for (size_t i = 0; i < PIPES; i++)
        nm_pipe_clear(&f->pipe[i]);
    if (f->server >= 0)
        (void)close(f->server);
    free(f);
}

/* Pipe i asks "<letter>1", "<letter>2", ... */
static void fill(struct nm_pipe *pipe, char letter, int n)
{
    for (int i = 1; i <= n; i++) {
        char word[16];
        (void)snprintf(word, sizeof word, "%c%d", letter, i);
        (void)nm_pipe_command(pipe, 1);
        nm_pipe_str(pipe, word);
    }
}

/* Pipes of 2, 1 and 2 commands: a1 a2, b1, c1 c2. */
static struct fixture *in_flight(int timeout_ms)
{
    static const int n_commands[PIPES] = {2, 1, 2};
    struct fixture *f = fixture_new(timeout_ms);
    for (size_t i = 0; i < PIPES; i++) {
        fill(&f->pipe[i], (char)('a' + i), n_commands[i]);
        assert_int_equal(nm_redis_submit(f->redis, &f->pipe[i], &f->err), NM_OK);
    }
    return f;
}

static void say(struct fixture *f, const char *text, size_t len)
{
    assert_int_equal(send(f->server, text, len, MSG_NOSIGNAL), len);
}

static void hang_up(struct fixture *f)
{
    (void)close(f->server);
    f->server = -1;
}

static enum nm_status advance(struct fixture *f)
{
    return nm_redis_advance(f->redis, &f->err);
}

/* "aB-": pipe a is done, B is in flight, the third is neither. */
static void check_pipes(struct fixture *f, const char *want)
{
    char got[PIPES + 1] = "";
    for (size_t i = 0; i < PIPES; i++) {
        bool done = nm_pipe_done(&f->pipe[i]), flies = f->pipe[i].in_flight;
        assert_false(done && flies);
        got[i] = (char)(done ? 'a' + i : flies ? 'A' + i : '-');
    }
    assert_string_equal(got, want);
}

/* ---- in order ---- */

static void submit__everything_is_written_in_order(void **state)
{
    (void)state;
    struct fixture *f = in_flight(5000);
    char got[200] = "";
    static const char want[] =
        "*1\r\n$2\r\na1\r\n*1\r\n$2\r\na2\r\n*1\r\n$2\r\nb1\r\n*1\r\n$2\r\nc1\r\n*1\r\n$2\r\nc2\r\n";
    assert_int_equal(recv(f->server, got, sizeof got - 1, 0), sizeof want - 1);
    assert_string_equal(got, want);
    assert_int_equal(nm_redis_in_flight(f->redis), 3);
    assert_false(nm_redis_wants_write(f->redis));
    assert_true(nm_redis_fd(f->redis) >= 0);
    check_pipes(f, "ABC");
    assert_int_equal(advance(f), NM_OK); /* nothing came: nothing happens */
    check_pipes(f, "ABC");
    fixture_free(f);
}

static void submit__empty_pipe_is_done_at_once(void **state)
{
    (void)state;
    struct fixture *f = in_flight(5000);
    struct nm_pipe empty = {0};
    assert_false(nm_pipe_done(&empty));
    assert_int_equal(nm_redis_submit(f->redis, &empty, &f->err), NM_OK);
    assert_true(nm_pipe_done(&empty));
    assert_int_equal(nm_redis_in_flight(f->redis), 3);
    nm_pipe_reset(&empty);
    assert_false(nm_pipe_done(&empty));
    hang_up(f);
    assert_int_equal(advance(f), NM_RETRY);
    assert_int_equal(nm_redis_exec(f->redis, &empty, &f->err), NM_OK);
    assert_int_equal(nm_redis_fd(f->redis), -1);
    fill(&empty, 'x', 1);
    assert_int_equal(nm_redis_submit(f->redis, &empty, &f->err), NM_RETRY);
    assert_false(nm_pipe_done(&empty));
    nm_pipe_clear(&empty);
    fixture_free(f);
}

static const char answers[] = "$2\r\nA1\r\n*3\r\n:7\r\n$-1\r\n*1\r\n+in\r\n"
                              "*0\r\n"
                              "$5\r\nC\r\n1\r\r\n:-12\r\n";

static void check_answers(struct fixture *f)
{
    check_pipes(f, "abc");
    assert_int_equal(nm_redis_in_flight(f->redis), 0);
    assert_string_equal(nm_pipe_reply(&f->pipe[0], 0)->str, "A1");
    const struct nm_reply *array = nm_pipe_reply(&f->pipe[0], 1);
    assert_int_equal(nm_reply_int(nm_reply_at(array, 0), 0), 7);
    assert_int_equal(nm_reply_at(array, 1)->type, NM_REPLY_NIL);
    assert_string_equal(nm_reply_at(nm_reply_at(array, 2), 0)->str, "in");
    assert_int_equal(nm_pipe_reply(&f->pipe[1], 0)->type, NM_REPLY_ARRAY);
    assert_memory_equal(nm_pipe_reply(&f->pipe[2], 0)->str, "C\r\n1\r", 6);
    assert_int_equal(nm_reply_int(nm_pipe_reply(&f->pipe[2], 1), 0), -12);
}

/* Cut at every pair of places, which includes every single one. */
static void advance__answers_cut_anywhere(void **state)
{
    (void)state;
    size_t len = sizeof answers - 1;
    for (size_t first = 0; first <= len; first++) {
        for (size_t second = first; second <= len; second++) {
            struct fixture *f = in_flight(5000);
            const size_t cut[] = {0, first, second, len};
            for (size_t i = 0; i < 3; i++) {
                say(f, answers + cut[i], cut[i + 1] - cut[i]);
                assert_int_equal(advance(f), NM_OK);
            }
            check_answers(f);
            fixture_free(f);
        }
    }
}

static void advance__answers_byte_by_byte(void **state)
{
    (void)state;
    struct fixture *f = in_flight(5000);
    size_t first = 30, second = first + 4; /* where the answers to a and b end */
    for (size_t i = 0; i < sizeof answers - 1; i++) {
        check_pipes(f, i < first ? "ABC" : i < second ? "aBC" : "abC");
        say(f, answers + i, 1);
        assert_int_equal(advance(f), NM_OK);
    }
    check_answers(f);
    /* and the pipes can be used again, in another order */
    for (size_t i = PIPES; i-- > 0;) {
        nm_pipe_reset(&f->pipe[i]);
        fill(&f->pipe[i], 'z', 1);
        assert_int_equal(nm_redis_submit(f->redis, &f->pipe[i], &f->err), NM_OK);
    }
    say(f, ":1\r\n:2\r\n:3\r\n", 12);
    assert_int_equal(advance(f), NM_OK);
    for (size_t i = 0; i < PIPES; i++)
        assert_int_equal(nm_reply_int(nm_pipe_reply(&f->pipe[i], 0), 0), (int)(PIPES - i));
    fixture_free(f);
}

/* Ids as they come from a sorted set, several times the read buffer, in whatever pieces the socket takes. */
static void advance__answers_longer_than_the_read_buffer(void **state)
{
    (void)state;
    enum { IDS = 30000 };
    struct fixture *f = fixture_new(5000);
    struct nm_buf text = {0};
    for (size_t i = 0; i < PIPES; i++) {
        fill(&f->pipe[i], (char)('a' + i), 1);
        assert_int_equal(nm_redis_submit(f->redis, &f->pipe[i], &f->err), NM_OK);
        nm_buf_addf(&text, "*%d\r\n", IDS);
        for (unsigned k = 0; k < IDS; k++)
            nm_buf_addf(&text, "$32\r\n%032u\r\n", k);
    }
    for (size_t at = 0; at < text.len;) {
        ssize_t n = send(f->server, text.data + at, text.len - at, MSG_NOSIGNAL);
        at += n > 0 ? (size_t)n : 0;
        assert_int_equal(advance(f), NM_OK);
    }
    check_pipes(f, "abc");
    for (size_t i = 0; i < PIPES; i++) {
        const struct nm_reply *reply = nm_pipe_reply(&f->pipe[i], 0);
        assert_int_equal(reply->len, IDS);
        for (size_t k = 0; k < IDS; k++)
            if (nm_reply_at(reply, k)->len != 32 || strtoul(nm_reply_at(reply, k)->str, NULL, 10) != k)
                fail_msg("element %zu is wrong", k);
    }
    nm_buf_clear(&text);
    fixture_free(f);
}

/* ---- failures ---- */

struct failure {
    const char *name, *answer;
    bool hangs_up;
    const char *want; /* of check_pipes() */
    enum nm_status status;
};

/* clang-format off */
static const struct failure failures[] = {
    {"error in the first", "-LOADING Redis is loading\r\n", false, "---", NM_RETRY},
    {"error at the end of the first", ":1\r\n-READONLY You can't\r\n", false, "---", NM_RETRY},
    {"error in the middle", ":1\r\n:2\r\n-WRONGTYPE Operation against\r\n:4\r\n:5\r\n", false, "a--", NM_FATAL},
    {"refused in the middle", ":1\r\n:2\r\n-NOPERM no permissions\r\n", false, "a--", NM_CONFIG},
    {"error in the last", ":1\r\n:2\r\n:3\r\n:4\r\n-NOAUTH Authentication required.\r\n", false, "ab-", NM_CONFIG},
    {"error, then the end", ":1\r\n:2\r\n-NOAUTH Authentication required.\r\n", true, "a--", NM_CONFIG},
    {"an error deeper in a reply is data", ":1\r\n*1\r\n-ERR x\r\nwhat\r\n", false, "a--", NM_RETRY},
    {"end before the first", "", true, "---", NM_RETRY},
    {"end in the first", ":1\r\n", true, "---", NM_RETRY},
    {"end between two", ":1\r\n:2\r\n", true, "a--", NM_RETRY},
    {"end in the second", ":1\r\n:2\r\n$5\r\nab", true, "a--", NM_RETRY},
    {"end after the last", ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n", true, "abc", NM_RETRY},
    {"not RESP between two", ":1\r\n:2\r\nHTTP/1.1 400\r\n", false, "a--", NM_RETRY},
    {"one reply too many", ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n", false, "abc", NM_RETRY},
    {"half a reply too many", ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:", false, "abc", NM_RETRY},
};
/* clang-format on */

static void advance__every_failure_abandons_what_is_in_flight(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        const struct failure *c = &failures[i];
        struct fixture *f = in_flight(5000);
        print_message("%s\n", c->name);
        say(f, c->answer, strlen(c->answer));
        if (c->hangs_up)
            hang_up(f);
        enum nm_status status = advance(f);
        if (status == NM_OK) /* the end is seen by the call after the one that took the last bytes */
            status = advance(f);
        assert_int_equal(status, c->status);
        assert_string_not_equal(f->err.msg, "");
        check_pipes(f, c->want);
        assert_false(nm_redis_alive(f->redis));
        assert_int_equal(nm_redis_in_flight(f->redis), 0);
        assert_true(nm_redis_deadline_ms(f->redis) == INT64_MAX);
        assert_false(nm_redis_wants_write(f->redis));
        for (size_t k = 0; k < PIPES; k++) {
            if (nm_pipe_done(&f->pipe[k])) /* what was completed before stays readable */
                assert_int_equal(nm_reply_int(nm_pipe_reply(&f->pipe[k], 0), 0), k + 1 + (k > 0));
            nm_pipe_reset(&f->pipe[k]);
        }
        assert_int_equal(advance(f), NM_RETRY);
        fixture_free(f);
    }
}

static void close__leaves_the_pipes_to_their_owner(void **state)
{
    (void)state;
    struct fixture *f = in_flight(5000);
    nm_redis_close(f->redis);
    f->redis = NULL;
    check_pipes(f, "---");
    nm_pipe_reset(&f->pipe[1]);
    fixture_free(f);
}

/* A reply before its command was written is a reply to something else. */
static void advance__answer_before_the_question_is_surplus(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    struct fixture *f = fixture_new(5000);
    char *value = calloc(1, BYTES);
    assert_non_null(value);
    (void)nm_pipe_command(&f->pipe[0], 1);
    nm_pipe_arg(&f->pipe[0], value, BYTES);
    free(value);
    assert_int_equal(nm_redis_submit(f->redis, &f->pipe[0], &f->err), NM_OK);
    assert_true(nm_redis_wants_write(f->redis));
    say(f, ":1\r\n", 4);
    assert_int_equal(advance(f), NM_RETRY);
    assert_non_null(strstr(f->err.msg, "more replies"));
    check_pipes(f, "---");
    fixture_free(f);
}

/* ---- time ---- */

static void wait_until(int64_t boot_ms)
{
    while (nm_boottime_ms() < boot_ms)
        ;
}

static void deadline__clock_of_a_pipe_starts_when_it_is_next(void **state)
{
    (void)state;
    enum { LIMIT_MS = 100 };
    struct fixture *f = fixture_new(LIMIT_MS);
    assert_true(nm_redis_deadline_ms(f->redis) == INT64_MAX);
    int64_t before = nm_boottime_ms();
    for (size_t i = 0; i < 2; i++) {
        fill(&f->pipe[i], (char)('a' + i), 1);
        assert_int_equal(nm_redis_submit(f->redis, &f->pipe[i], &f->err), NM_OK);
    }
    int64_t first = nm_redis_deadline_ms(f->redis);
    assert_in_range(first, before + LIMIT_MS, nm_boottime_ms() + LIMIT_MS);
    wait_until(before + 20);
    say(f, ":1\r\n", 4);
    int64_t answered = nm_boottime_ms();
    assert_int_equal(advance(f), NM_OK);
    check_pipes(f, "aB-");
    int64_t second = nm_redis_deadline_ms(f->redis);
    assert_true(second >= answered + LIMIT_MS && second > first);
    enum nm_status status = NM_OK;
    while ((status = advance(f)) == NM_OK)
        assert_true(nm_boottime_ms() < second + 10000);
    assert_true(nm_boottime_ms() >= second);
    assert_int_equal(status, NM_RETRY);
    assert_non_null(strstr(f->err.msg, "redis.commandTimeoutMs"));
    check_pipes(f, "a--");
    fixture_free(f);
}

/* Who looks late finds what came in time. */
static void deadline__what_lies_in_the_socket_is_in_time(void **state)
{
    (void)state;
    struct fixture *f = in_flight(30);
    say(f, ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n", 20);
    wait_until(nm_redis_deadline_ms(f->redis) + 1);
    assert_int_equal(advance(f), NM_OK);
    check_pipes(f, "abc");
    assert_true(nm_redis_deadline_ms(f->redis) == INT64_MAX);
    fixture_free(f);
}

static void deadline__longer_for_a_long_pipe(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1000);
    char *value = calloc(1, 3 << 20);
    assert_non_null(value);
    (void)nm_pipe_command(&f->pipe[0], 1);
    nm_pipe_arg(&f->pipe[0], value, 3 << 20);
    free(value);
    int64_t before = nm_boottime_ms();
    assert_int_equal(nm_redis_submit(f->redis, &f->pipe[0], &f->err), NM_OK);
    assert_in_range(nm_redis_deadline_ms(f->redis), before + 4000, nm_boottime_ms() + 4000);
    fixture_free(f);
}

/* ---- probing ---- */

static void probe__advances_what_is_in_flight(void **state)
{
    (void)state;
    struct fixture *f = in_flight(5000);
    assert_true(nm_redis_probe(f->redis));
    say(f, ":1\r\n:2\r\n:3\r\n", 12);
    assert_true(nm_redis_probe(f->redis));
    check_pipes(f, "abC");
    say(f, ":4\r\n:5\r\n", 8);
    assert_true(nm_redis_probe(f->redis));
    check_pipes(f, "abc");
    assert_true(nm_redis_probe(f->redis));
    say(f, ":", 1); /* unasked */
    assert_false(nm_redis_probe(f->redis));
    assert_false(nm_redis_alive(f->redis));
    fixture_free(f);
}

static void advance__idle_connection_is_watched(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(50);
    assert_int_equal(advance(f), NM_OK);
    hang_up(f);
    assert_int_equal(advance(f), NM_RETRY);
    assert_false(nm_redis_probe(f->redis));
    fixture_free(f);
}

static void settle__takes_every_answer_and_keeps_the_connection(void **state)
{
    (void)state;
    static const char five[] = ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n";
    struct fixture *f = in_flight(200);
    say(f, five, sizeof five - 1);
    assert_int_equal(nm_redis_settle(f->redis, &f->err), NM_OK);
    check_pipes(f, "abc");
    assert_int_equal(nm_redis_in_flight(f->redis), 0);
    assert_int_equal(nm_redis_settle(f->redis, &f->err), NM_OK); /* nothing to wait for */
    fixture_free(f);
    f = in_flight(100);
    say(f, five, 8); /* the rest does not come */
    assert_int_equal(nm_redis_settle(f->redis, &f->err), NM_RETRY);
    check_pipes(f, "a--");
    assert_false(nm_redis_alive(f->redis));
    assert_int_equal(nm_redis_settle(f->redis, &f->err), NM_RETRY);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submit__everything_is_written_in_order),
        cmocka_unit_test(submit__empty_pipe_is_done_at_once),
        cmocka_unit_test(advance__answers_cut_anywhere),
        cmocka_unit_test(advance__answers_byte_by_byte),
        cmocka_unit_test(advance__answers_longer_than_the_read_buffer),
        cmocka_unit_test(advance__every_failure_abandons_what_is_in_flight),
        cmocka_unit_test(close__leaves_the_pipes_to_their_owner),
        cmocka_unit_test(advance__answer_before_the_question_is_surplus),
        cmocka_unit_test(deadline__clock_of_a_pipe_starts_when_it_is_next),
        cmocka_unit_test(deadline__what_lies_in_the_socket_is_in_time),
        cmocka_unit_test(deadline__longer_for_a_long_pipe),
        cmocka_unit_test(probe__advances_what_is_in_flight),
        cmocka_unit_test(advance__idle_connection_is_watched),
        cmocka_unit_test(settle__takes_every_answer_and_keeps_the_connection),
    };
    return cmocka_run_group_tests_name("redis_flow", tests, NULL, NULL);
}
