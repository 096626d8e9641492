/* test_redis_real.c - the Redis connection against a real redis-server: long pipelines, big values, a server that stops
 * answering, and the errors that only a real one words right. Servers that misbehave: test_redis.c. */
#include "fake_redis.h"
#include "newsmill/clock.h"
#include "pipe_checks.h"
#include "real_redis.h"
#include "redis_internal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct real_redis *server;
    char url[200], warning[300];
    struct nm_settings settings;
    struct nm_redis *redis;
    struct nm_error err;
};

static struct fixture *fixture_new(const char *const *extra, const char *userinfo, long long timeout_ms)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->server = real_redis_start(extra);
    f->settings = fake_settings(f->url, userinfo, real_redis_port(f->server), timeout_ms);
    return f;
}

static enum nm_status open_it(struct fixture *f)
{
    nm_redis_close(f->redis);
    f->redis = NULL;
    return nm_redis_open(&f->settings, &f->redis, f->warning, &f->err);
}

static struct fixture *opened(const char *const *extra, long long timeout_ms)
{
    struct fixture *f = fixture_new(extra, "", timeout_ms);
    if (open_it(f) != NM_OK)
        fail_msg("%s", f->err.msg);
    return f;
}

static void fixture_free(struct fixture *f)
{
    nm_redis_close(f->redis);
    real_redis_stop(f->server);
    free(f);
}

static enum nm_status run_on(struct nm_redis *redis, const char *a, const char *b, const char *c, const char *d)
{
    struct nm_pipe pipe = {0};
    struct nm_error err = {0};
    pipe_add(&pipe, a, b, c, d);
    enum nm_status status = nm_redis_exec(redis, &pipe, &err);
    nm_pipe_clear(&pipe);
    return status;
}

/* A second connection, for what an operator does meanwhile. */
static void operate(struct fixture *f, const char *a, const char *b, const char *c, const char *d)
{
    NM_AUTO(nm_redis_close) struct nm_redis *other = NULL;
    assert_int_equal(nm_redis_open(&f->settings, &other, NULL, &f->err), NM_OK);
    assert_int_equal(run_on(other, a, b, c, d), NM_OK);
}

static void exec__fifty_thousand_commands_twenty_mebibytes(void **state)
{
    (void)state;
    enum { COMMANDS = 50000, BYTES = 420 };
    struct fixture *f = opened(NULL, 20000);
    struct nm_pipe pipe = {0};
    char value[BYTES + 1];
    memset(value, 'v', BYTES);
    value[BYTES] = '\0';
    assert_int_equal(run_on(f->redis, "SET", "k", value, NULL), NM_OK);
    for (int i = 0; i < COMMANDS; i++)
        pipe_add(&pipe, i % 2 ? "GET" : "ECHO", "k", NULL, NULL);
    assert_int_equal(nm_redis_exec(f->redis, &pipe, &f->err), NM_OK);
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(nm_pipe_reply(&pipe, i)->str, i % 2 ? value : "k") != 0)
            fail_msg("reply %zu is wrong", i);
    nm_pipe_clear(&pipe);
    fixture_free(f);
}

static void exec__one_value_of_twenty_mebibytes_there_and_back(void **state)
{
    (void)state;
    struct fixture *f = opened(NULL, 20000);
    pipe_check_large_value(f->redis);
    fixture_free(f);
}

/* ---- several pipes in flight ---- */

static void submit__a_hundred_thousand_commands_in_flight(void **state)
{
    (void)state;
    struct fixture *f = opened(NULL, 20000);
    pipe_check_many(f->redis, 1000, 100);
    fixture_free(f);
}

/* A pipe of one INCR and up to `most` ECHOs of up to 3000 bytes; its replies are checked by check_random(). */
static void fill_random(struct nm_pipe *pipe, const char *text, unsigned *seed, unsigned most)
{
    pipe_add(pipe, "INCR", "counter", NULL, NULL);
    for (unsigned n = (unsigned)rand_r(seed) % (most + 1); n > 0; n--) {
        (void)nm_pipe_command(pipe, 2);
        nm_pipe_str(pipe, "ECHO");
        nm_pipe_arg(pipe, text, (size_t)rand_r(seed) % 3000);
    }
}

static void check_random(struct nm_pipe *pipe, const char *text, unsigned seed, unsigned most, size_t nth)
{
    assert_true(nm_pipe_done(pipe));
    assert_int_equal(nm_reply_int(nm_pipe_reply(pipe, 0), -1), nth);
    assert_int_equal(pipe->n_commands, (unsigned)rand_r(&seed) % (most + 1) + 1);
    for (size_t i = 1; i < pipe->n_commands; i++) {
        size_t len = (size_t)rand_r(&seed) % 3000;
        assert_int_equal(nm_pipe_reply(pipe, i)->len, len);
        assert_memory_equal(nm_pipe_reply(pipe, i)->str, text, len);
    }
    nm_pipe_reset(pipe);
}

static void submit__random_interleavings(void **state)
{
    (void)state;
    enum { RING = 64, ROUNDS = 20000, MOST = 12 };
    struct fixture *f = opened(NULL, 20000);
    struct nm_pipe *pipe = calloc(RING, sizeof *pipe);
    unsigned seeds[RING], seed = (unsigned)nm_boottime_ms();
    char text[3000];
    assert_non_null(pipe);
    print_message("seed %u\n", seed);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)rand_r(&seed);
    size_t begun = 0, checked = 0;
    for (int round = 0; round < ROUNDS || checked < begun; round++) {
        unsigned dice = (unsigned)rand_r(&seed) % 16;
        enum nm_status status = NM_OK;
        if (round < ROUNDS && dice < 9 && begun - checked < RING) {
            struct nm_pipe *next = &pipe[begun % RING];
            seeds[begun++ % RING] = seed;
            fill_random(next, text, &seed, MOST);
            status = (dice ? nm_redis_submit : nm_redis_exec)(f->redis, next, &f->err);
        } else {
            status = dice < 14 || begun == checked ? nm_redis_advance(f->redis, &f->err)
                                                   : pipe_wait_and_advance(f->redis, &f->err);
        }
        if (status != NM_OK)
            fail_msg("round %d: %s", round, f->err.msg);
        for (; checked < begun && nm_pipe_done(&pipe[checked % RING]); checked++)
            check_random(&pipe[checked % RING], text, seeds[checked % RING], MOST, checked + 1);
        assert_int_equal(nm_redis_in_flight(f->redis), begun - checked);
    }
    for (size_t i = 0; i < RING; i++)
        nm_pipe_clear(&pipe[i]);
    free(pipe);
    fixture_free(f);
}

/* A server that stops, or dies, with pipes in flight: what it answered is kept, the rest is the owner's again. */
static void submit__server_stops_or_dies_in_the_middle(void **state)
{
    (void)state;
    static const int signals[] = {SIGSTOP, SIGKILL};
    for (size_t s = 0; s < 2; s++) {
        struct fixture *f = opened(NULL, 300);
        struct nm_pipe pipe[3] = {0};
        pipe_add(&pipe[0], "SET", "k", "1", NULL);
        assert_int_equal(nm_redis_exec(f->redis, &pipe[0], &f->err), NM_OK);
        real_redis_signal(f->server, signals[s]);
        enum nm_status status = NM_OK;
        for (size_t i = 1; i < 3 && status == NM_OK; i++) {
            pipe_add(&pipe[i], "INCR", "k", NULL, NULL);
            status = nm_redis_submit(f->redis, &pipe[i], &f->err);
        }
        while (status == NM_OK)
            status = pipe_wait_and_advance(f->redis, &f->err);
        assert_int_equal(status, NM_RETRY);
        assert_false(nm_redis_alive(f->redis));
        assert_true(nm_pipe_done(&pipe[0]) && !nm_pipe_done(&pipe[1]) && !nm_pipe_done(&pipe[2]));
        for (size_t i = 0; i < 3; i++)
            nm_pipe_clear(&pipe[i]);
        fixture_free(f);
    }
}

/* ---- failures ---- */

static void exec__stopped_server_times_out_and_comes_back(void **state)
{
    (void)state;
    struct fixture *f = opened(NULL, 200);
    real_redis_signal(f->server, SIGSTOP);
    assert_int_equal(run_on(f->redis, "SET", "late", "1", NULL), NM_RETRY);
    assert_false(nm_redis_alive(f->redis));
    assert_int_equal(open_it(f), NM_RETRY); /* the kernel takes the connection, nobody answers */
    real_redis_signal(f->server, SIGCONT);
    f->settings.redis.command_timeout_ms = 5000;
    assert_int_equal(open_it(f), NM_OK);
    struct nm_pipe pipe = {0};
    pipe_add(&pipe, "GET", "late", NULL, NULL); /* the command of the dead connection may or may not be there */
    pipe_add(&pipe, "ECHO", "mine", NULL, NULL);
    assert_int_equal(nm_redis_exec(f->redis, &pipe, &f->err), NM_OK);
    assert_string_equal(nm_pipe_reply(&pipe, 1)->str, "mine");
    nm_pipe_clear(&pipe);
    fixture_free(f);
}

static void exec__killed_server_is_retry(void **state)
{
    (void)state;
    struct fixture *f = opened(NULL, 2000);
    real_redis_signal(f->server, SIGKILL);
    assert_int_equal(run_on(f->redis, "SET", "k", "1", NULL), NM_RETRY);
    assert_false(nm_redis_alive(f->redis));
    assert_int_equal(open_it(f), NM_RETRY);
    fixture_free(f);
}

static void exec__errors_as_the_server_words_them(void **state)
{
    (void)state;
    static struct nm_script writer = {.name = "w", .source = "redis.call('SET', KEYS[1], ARGV[1]) return 1"};
    struct nm_script *const scripts[] = {&writer};
    static const char *const steps[][4] = {
        {"SCRIPT", "FLUSH"},                             /* -> NOSCRIPT */
        {"REPLICAOF", "127.0.0.1", "1"},                 /* -> READONLY */
        {"CONFIG", "SET", "min-replicas-to-write", "1"}, /* -> NOREPLICAS */
        {"CONFIG", "SET", "maxmemory", "1"},             /* -> OOM */
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct fixture *f = opened(NULL, 2000);
        assert_int_equal(nm_redis_load(f->redis, scripts, 1, &f->err), NM_OK);
        operate(f, steps[i][0], steps[i][1], steps[i][2], steps[i][3]);
        struct nm_pipe pipe = {0};
        (void)nm_pipe_script(&pipe, &writer, 1, 1);
        nm_pipe_str(&pipe, "k");
        nm_pipe_str(&pipe, "v");
        if (nm_redis_exec(f->redis, &pipe, &f->err) != NM_RETRY)
            fail_msg("after %s: %s", steps[i][0], f->err.msg);
        assert_false(nm_redis_alive(f->redis));
        nm_pipe_clear(&pipe);
        fixture_free(f);
    }
}

static void exec__wrong_type_and_script_errors_are_fatal(void **state)
{
    (void)state;
    struct fixture *f = opened(NULL, 2000);
    assert_int_equal(run_on(f->redis, "LPUSH", "list", "x", NULL), NM_OK);
    assert_int_equal(run_on(f->redis, "GET", "list", NULL, NULL), NM_FATAL);
    assert_int_equal(open_it(f), NM_OK);
    assert_int_equal(run_on(f->redis, "EVAL", "return redis.call('GET', 'list')", "0", NULL), NM_FATAL);
    assert_int_equal(open_it(f), NM_OK);
    assert_int_equal(run_on(f->redis, "EVAL", "return nothing.at.all", "0", NULL), NM_FATAL);
    assert_int_equal(open_it(f), NM_OK);
    assert_int_equal(run_on(f->redis, "NOSUCHCOMMAND", NULL, NULL, NULL), NM_FATAL);
    fixture_free(f);
}

static void open__password_and_permissions(void **state)
{
    (void)state;
    static const char *const secret[] = {"--requirepass", "hunter2", NULL};
    static const struct {
        const char *userinfo;
        enum nm_status want;
    } cases[] = {{"", NM_CONFIG},
                 {":wrong@", NM_CONFIG},
                 {":hunter2@", NM_OK},
                 {"default:hunter2@", NM_OK},
                 {"bob:hunter2@", NM_CONFIG}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new(secret, cases[i].userinfo, 2000);
        if (open_it(f) != cases[i].want)
            fail_msg("'%s': %s", cases[i].userinfo, f->err.msg);
        assert_null(strstr(f->err.msg, "hunter2"));
        if (f->redis) {
            assert_int_equal(run_on(f->redis, "ACL", "SETUSER", "default", "-set"), NM_OK);
            assert_int_equal(run_on(f->redis, "SET", "k", "v", NULL), NM_CONFIG); /* NOPERM */
        }
        fixture_free(f);
    }
}

static void open__refuses_what_a_real_server_tells(void **state)
{
    (void)state;
    static const char *const lru[] = {"--maxmemory-policy", "allkeys-lru", NULL};
    static const char *const lazy[] = {"--lazyfree-lazy-expire", "no", NULL};
    static const char *const replica[] = {"--replicaof", "127.0.0.1 1", NULL};
    static const char *const full[] = {"--maxclients", "1", NULL};
    static const struct {
        const char *const *extra;
        enum nm_status want, unsafe;
    } cases[] = {{lru, NM_CONFIG, NM_OK}, {lazy, NM_CONFIG, NM_OK}, {replica, NM_RETRY, NM_RETRY}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new(cases[i].extra, "", 2000);
        assert_int_equal(open_it(f), cases[i].want);
        f->settings.redis.allow_unsafe = true;
        assert_int_equal(open_it(f), cases[i].unsafe);
        assert_int_equal(f->warning[0] != '\0', cases[i].unsafe == NM_OK);
        fixture_free(f);
    }
    struct fixture *f = opened(full, 2000);
    struct nm_redis *second = NULL;
    assert_int_equal(nm_redis_open(&f->settings, &second, NULL, &f->err), NM_RETRY);
    assert_int_equal(run_on(f->redis, "PING", NULL, NULL, NULL), NM_OK);
    fixture_free(f);
}

static void open__database_of_the_url(void **state)
{
    (void)state;
    struct fixture *f = opened(NULL, 2000);
    assert_int_equal(run_on(f->redis, "SET", "k", "of 0", NULL), NM_OK);
    f->url[strlen(f->url) - 1] = '3';
    assert_int_equal(open_it(f), NM_OK);
    struct nm_pipe pipe = {0};
    pipe_add(&pipe, "GET", "k", NULL, NULL);
    assert_int_equal(nm_redis_exec(f->redis, &pipe, &f->err), NM_OK);
    assert_int_equal(nm_pipe_reply(&pipe, 0)->type, NM_REPLY_NIL);
    nm_pipe_clear(&pipe);
    (void)strncat(f->url, "000", 4);
    assert_int_equal(open_it(f), NM_CONFIG);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exec__fifty_thousand_commands_twenty_mebibytes),
        cmocka_unit_test(exec__one_value_of_twenty_mebibytes_there_and_back),
        cmocka_unit_test(submit__a_hundred_thousand_commands_in_flight),
        cmocka_unit_test(submit__random_interleavings),
        cmocka_unit_test(submit__server_stops_or_dies_in_the_middle),
        cmocka_unit_test(exec__stopped_server_times_out_and_comes_back),
        cmocka_unit_test(exec__killed_server_is_retry),
        cmocka_unit_test(exec__errors_as_the_server_words_them),
        cmocka_unit_test(exec__wrong_type_and_script_errors_are_fatal),
        cmocka_unit_test(open__password_and_permissions),
        cmocka_unit_test(open__refuses_what_a_real_server_tells),
        cmocka_unit_test(open__database_of_the_url),
    };
    return cmocka_run_group_tests_name("redis_real", tests, NULL, NULL);
}
