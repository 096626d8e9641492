/* test_redis.c - the Redis connection against servers that misbehave: every failure ends in a closed connection, the
 * right status, in time, and never in a reply that belongs to another command. Real servers: test_redis_real.c. */
#include "fake_redis.h"
#include "redis_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct fixture {
    struct fake_redis *fake;
    char url[200], warning[300];
    struct nm_settings settings;
    struct nm_redis *redis;
    struct nm_error err;
};

/* A server with these rules and settings for it; nothing is open yet. */
static struct fixture *fixture_new(const struct fake_rule *rules, const char *userinfo, long long timeout_ms)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->fake = fake_redis_start(rules);
    f->settings = fake_settings(f->url, userinfo, fake_redis_port(f->fake), timeout_ms);
    return f;
}

static void fixture_free(struct fixture *f)
{
    nm_redis_close(f->redis);
    fake_redis_stop(f->fake);
    free(f);
}

static enum nm_status open_it(struct fixture *f)
{
    return nm_redis_open(&f->settings, &f->redis, f->warning, &f->err);
}

static struct fixture *opened(const struct fake_rule *rules, long long timeout_ms)
{
    struct fixture *f = fixture_new(rules, "", timeout_ms);
    enum nm_status status = NM_RETRY;
    for (int i = 0; i < 50 && status == NM_RETRY; i++) /* a short limit may pass on a busy machine */
        status = open_it(f);
    if (status != NM_OK)
        fail_msg("%s", f->err.msg);
    return f;
}

static void add_words(struct nm_pipe *pipe, const char *first, const char *second)
{
    (void)nm_pipe_command(pipe, second ? 2 : 1);
    nm_pipe_str(pipe, first);
    if (second)
        nm_pipe_str(pipe, second);
}

/* ---- opening ---- */

static void open__healthy_server(void **state)
{
    (void)state;
    struct fixture *f = opened(NULL, 2000);
    assert_true(nm_redis_alive(f->redis));
    assert_string_equal(f->warning, "");
    nm_redis_close(f->redis);
    f->redis = NULL;
    assert_int_equal(nm_redis_open(&f->settings, &f->redis, NULL, &f->err), NM_OK);
    assert_false(nm_redis_alive(NULL));
    fixture_free(f);
}

static void open__nobody_listens_is_retry(void **state)
{
    (void)state;
    char url[200];
    struct nm_settings settings = fake_settings(url, "ana:hunter2@", fake_closed_port(), 2000);
    struct nm_redis *redis = NULL;
    struct nm_error err = {0};
    assert_int_equal(nm_redis_open(&settings, &redis, NULL, &err), NM_RETRY);
    assert_null(redis);
    assert_non_null(strstr(err.msg, "127.0.0.1"));
    assert_null(strstr(err.msg, "hunter2"));
}

static void open__host_without_address_is_retry(void **state)
{
    (void)state;
    char url[200];
    struct nm_settings settings = fake_settings(url, "", 1, 2000);
    (void)snprintf(url, sizeof url, "redis://no-such-host.invalid:6379");
    struct nm_redis *redis = NULL;
    assert_int_equal(nm_redis_open(&settings, &redis, NULL, NULL), NM_RETRY);
    assert_null(redis);
}

static void open__certificates_without_tls_are_refused(void **state)
{
    (void)state;
    char file[] = "/etc/ssl/certs/ca-certificates.crt";
    for (int i = 0; i < 3; i++) {
        struct fixture *f = fixture_new(NULL, "", 2000);
        *(i == 0   ? &f->settings.redis.ca_file
          : i == 1 ? &f->settings.redis.cert_file
                   : &f->settings.redis.key_file) = file;
        assert_int_equal(open_it(f), NM_CONFIG);
        assert_non_null(strstr(f->err.msg, "rediss://"));
        assert_int_equal(fake_redis_connections(f->fake), 0);
        fixture_free(f);
    }
}

static void open__silent_server_is_given_up_in_time(void **state)
{
    (void)state;
    static const struct fake_rule rules[] = {{"SELECT", "", FAKE_HANG}, {0}};
    struct fixture *f = fixture_new(rules, "", 100);
    int64_t began = now_ms();
    assert_int_equal(open_it(f), NM_RETRY);
    assert_in_range(now_ms() - began, 90, 20000);
    assert_non_null(strstr(f->err.msg, "redis.commandTimeoutMs"));
    assert_null(f->redis);
    fixture_free(f);
}

/* What a server may answer while it is asked whether it is safe. */
struct open_case {
    const char *name;
    struct fake_rule rules[4];
    bool allow_unsafe;
    enum nm_status want;
    const char *words; /* in the message, or in the warning where NM_OK is wanted */
};

#define POLICY(text)                                                                                                   \
    {                                                                                                                  \
        "CONFIG GET maxmemory-policy", "*2\r\n$16\r\nmaxmemory-policy\r\n" text, FAKE_GO_ON                            \
    }
#define LAZY(text)                                                                                                     \
    {                                                                                                                  \
        "CONFIG GET lazyfree-lazy-expire", "*2\r\n$20\r\nlazyfree-lazy-expire\r\n" text, FAKE_GO_ON                    \
    }
#define NO_CONFIG                                                                                                      \
    {                                                                                                                  \
        "CONFIG GET", "-ERR unknown command 'CONFIG', with args beginning with: 'GET' \r\n", FAKE_GO_ON                \
    }
#define DENIED                                                                                                         \
    {                                                                                                                  \
        "CONFIG GET", "-NOPERM this user has no permissions to run the 'config|get' command\r\n", FAKE_GO_ON           \
    }

/* clang-format off */
static const struct open_case open_cases[] = {
    {"cluster", {{"INFO cluster", "$19\r\ncluster_enabled:1\r\n\r\n", FAKE_GO_ON}}, false, NM_CONFIG, "cluster mode"},
    {"cluster, unsafe", {{"INFO cluster", "$19\r\ncluster_enabled:1\r\n\r\n", FAKE_GO_ON}}, true, NM_CONFIG, "cluster mode"},
    {"replica", {{"INFO replication", "$12\r\nrole:slave\r\n\r\n", FAKE_GO_ON}}, false, NM_RETRY, "replica"},
    {"replica, unsafe", {{"INFO replication", "$12\r\nrole:slave\r\n\r\n", FAKE_GO_ON}}, true, NM_RETRY, "replica"},
    {"lru", {POLICY("$11\r\nallkeys-lru\r\n")}, false, NM_CONFIG, "maxmemory-policy"},
    {"lru, unsafe", {POLICY("$11\r\nallkeys-lru\r\n")}, true, NM_OK, "maxmemory-policy"},
    {"volatile", {POLICY("$12\r\nvolatile-ttl\r\n")}, false, NM_CONFIG, "volatile-ttl"},
    {"lazyfree", {LAZY("$2\r\nno\r\n")}, false, NM_CONFIG, "lazyfree-lazy-expire"},
    {"lazyfree, unsafe", {LAZY("$2\r\nno\r\n")}, true, NM_OK, "lazyfree-lazy-expire"},
    {"both bad, unsafe", {POLICY("$11\r\nallkeys-lfu\r\n"), LAZY("$2\r\nno\r\n")}, true, NM_OK, "allkeys-lfu"},
    {"no CONFIG, INFO is good", {NO_CONFIG}, false, NM_OK, ""},
    {"no permission for CONFIG", {DENIED}, false, NM_OK, ""},
    {"no CONFIG, INFO is bad", {NO_CONFIG, {"INFO memory", "$30\r\nmaxmemory_policy:allkeys-lru\r\n\r\n", FAKE_GO_ON}}, false, NM_CONFIG, "allkeys-lru"},
    {"CONFIG GET is empty", {{"CONFIG GET", "*0\r\n", FAKE_GO_ON}}, false, NM_OK, ""},
    {"CONFIG GET is nil", {{"CONFIG GET", "*-1\r\n", FAKE_GO_ON}}, false, NM_OK, ""},
    {"INFO is denied", {{"INFO", "-NOPERM this user has no permissions to run the 'info' command\r\n", FAKE_GO_ON}}, false, NM_CONFIG, "NOPERM"},
    {"INFO is loading", {{"INFO", "-LOADING Redis is loading the dataset in memory\r\n", FAKE_GO_ON}}, false, NM_RETRY, "LOADING"},
    {"SELECT: no such database", {{"SELECT", "-ERR DB index is out of range\r\n", FAKE_GO_ON}}, false, NM_CONFIG, "DB index"},
    {"SELECT: asks for a password", {{"SELECT", "-NOAUTH Authentication required.\r\n", FAKE_GO_ON}}, false, NM_CONFIG, "NOAUTH"},
    {"SELECT: loading", {{"SELECT", "-LOADING Redis is loading the dataset in memory\r\n", FAKE_GO_ON}}, false, NM_RETRY, "LOADING"},
    {"full: told and closed", {{"SELECT", "-ERR max number of clients reached\r\n", FAKE_CLOSE}}, false, NM_RETRY, "max number"},
    {"protected mode", {{"SELECT", "-DENIED Redis is running in protected mode\r\n", FAKE_CLOSE}}, false, NM_CONFIG, "DENIED"},
    {"closed at once", {{"SELECT", "", FAKE_CLOSE}}, false, NM_RETRY, "closed"},
    {"closed while checked", {{"INFO replication", "$99\r\nrole", FAKE_CLOSE}}, false, NM_RETRY, "closed"},
    {"not a Redis", {{"SELECT", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", FAKE_GO_ON}}, false, NM_RETRY, "RESP"},
};
/* clang-format on */

static void open__table(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof open_cases / sizeof *open_cases; i++) {
        const struct open_case *c = &open_cases[i];
        struct fixture *f = fixture_new(c->rules, "", 2000);
        f->settings.redis.allow_unsafe = c->allow_unsafe;
        enum nm_status status = open_it(f);
        const char *said = status == NM_OK ? f->warning : f->err.msg;
        bool words = *c->words ? strstr(said, c->words) != NULL : *said == '\0';
        if (status != c->want || !words || (status == NM_OK) != (f->redis != NULL)) {
            print_error("%s: wanted %d, got %d: %s\n", c->name, (int)c->want, (int)status, said);
            bad++;
        }
        fixture_free(f);
    }
    assert_int_equal(bad, 0);
}

/* ---- credentials ---- */

static void auth__from_the_url_or_the_file(void **state)
{
    (void)state;
    static const struct fake_rule rules[] = {{"AUTH ana hunter2", "+OK\r\n", FAKE_GO_ON},
                                             {"AUTH hunter2", "+OK\r\n", FAKE_GO_ON},
                                             {"AUTH", "-WRONGPASS invalid username-password pair\r\n", FAKE_GO_ON},
                                             {0}};
    static const struct {
        const char *userinfo, *username, *file;
        enum nm_status want;
    } cases[] = {
        {"ana:hunter2@", "", NULL, NM_OK},
        {":hunter2@", "", NULL, NM_OK},
        {"ana:wrong@", "", NULL, NM_CONFIG},
        {":hunter2@", "ana", NULL, NM_OK},
        {"bob:hunter2@", "ana", NULL, NM_OK},
        {"bob:hunter2@", "", NULL, NM_CONFIG},
        {"", "ana", "hunter2", NM_OK},
        {"", "", "hunter2\n", NM_OK},
        {"", "", "hunter2\r\nsecond line\n", NM_OK},
        {":wrong@", "", "hunter2\n", NM_OK},
        {":hunter2@", "", "wrong\n", NM_CONFIG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new(rules, cases[i].userinfo, 2000);
        char username[64], path[] = "/tmp/newsmill-password-XXXXXX";
        (void)snprintf(username, sizeof username, "%s", cases[i].username);
        f->settings.redis.username = username;
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        if (cases[i].file) {
            assert_int_equal(write(fd, cases[i].file, strlen(cases[i].file)), strlen(cases[i].file));
            f->settings.redis.password_file = path;
        }
        (void)close(fd);
        if (open_it(f) != cases[i].want)
            fail_msg("case %zu: %s", i, f->err.msg);
        assert_null(strstr(f->err.msg, "hunter2"));
        (void)unlink(path);
        fixture_free(f);
    }
}

/* A server that does not know AUTH repeats its arguments. */
static void auth__no_answer_brings_the_password_into_the_message(void **state)
{
    (void)state;
    static const char *const replies[] = {
        "-ERR unknown command 'AUTH', with args beginning with: 'ana' 'hunter2' \r\n",
        "-ERR unknown command `AUTH`, with args beginning with: `hunter2`, \r\n",
        "-WRONGPASS hunter2 is not it\r\n",
        "hunter2?\r\n",
    };
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct fake_rule rules[] = {{"AUTH", replies[i], FAKE_GO_ON}, {0}};
        struct fixture *f = fixture_new(rules, "ana:hunter2@", 2000);
        enum nm_status status = open_it(f);
        assert_true(status == NM_CONFIG || status == NM_RETRY);
        if (strstr(f->err.msg, "hunter2"))
            fail_msg("the message holds the password: %s", f->err.msg);
        fixture_free(f);
    }
}

static void auth__bad_files_and_names_are_config(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(NULL, "", 2000);
    char missing[] = "/nowhere/newsmill/password", empty[] = "/dev/null", folder[] = "/tmp";
    char *const paths[] = {missing, empty, folder};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        f->settings.redis.password_file = paths[i];
        assert_int_equal(open_it(f), NM_CONFIG);
        assert_non_null(strstr(f->err.msg, "redis.passwordFile"));
    }
    fixture_free(f);
}

/* The longest name that the option takes arrives whole; a password that has no room is refused, not cut. */
static void auth__long_names_and_passwords(void **state)
{
    (void)state;
    char name[257], answer[400], path[] = "/tmp/newsmill-password-XXXXXX", none[] = "";
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    name[255] = 'z';
    (void)snprintf(answer, sizeof answer, "AUTH %.127s", name); /* what the fake server keeps of a long word */
    const struct fake_rule rules[] = {{answer, "+OK\r\n", FAKE_GO_ON}, {"AUTH", "-ERR no\r\n", FAKE_GO_ON}, {0}};
    struct fixture *f = fixture_new(rules, ":p@", 2000);
    f->settings.redis.username = name;
    assert_int_equal(open_it(f), NM_OK);
    assert_int_equal(fake_redis_longest_word(f->fake), 256);
    f->settings.redis.username = none;
    int fd = mkstemp(path);
    for (int i = 0; i < 4; i++)
        assert_int_equal(write(fd, name, 256), 256);
    (void)close(fd);
    f->settings.redis.password_file = path;
    struct nm_redis *second = NULL;
    assert_int_equal(nm_redis_open(&f->settings, &second, NULL, &f->err), NM_CONFIG);
    assert_non_null(strstr(f->err.msg, "redis.passwordFile"));
    (void)unlink(path);
    fixture_free(f);
}

/* ---- one round trip ---- */

static void exec__empty_pipe_sends_nothing(void **state)
{
    (void)state;
    struct fixture *f = opened(NULL, 2000);
    struct nm_pipe pipe = {0};
    size_t before = fake_redis_commands(f->fake);
    assert_int_equal(nm_redis_exec(f->redis, &pipe, &f->err), NM_OK);
    add_words(&pipe, "PING", NULL);
    assert_int_equal(nm_redis_exec(f->redis, &pipe, &f->err), NM_OK);
    assert_int_equal(fake_redis_commands(f->fake), before + 1);
    assert_string_equal(nm_pipe_reply(&pipe, 0)->str, "OK");
    nm_pipe_clear(&pipe);
    fixture_free(f);
}

/* What a server may do to the second of three commands. */
struct break_case {
    const char *name;
    struct fake_rule rule;
    enum nm_status want;
};

/* clang-format off */
static const struct break_case break_cases[] = {
    {"hangs before the reply", {"GET b", "", FAKE_HANG}, NM_RETRY},
    {"hangs in the reply's head", {"GET b", "$5", FAKE_HANG}, NM_RETRY},
    {"hangs in the reply's body", {"GET b", "$5\r\nab", FAKE_HANG}, NM_RETRY},
    {"hangs in an array", {"GET b", "*2\r\n$1\r\na\r\n", FAKE_HANG}, NM_RETRY},
    {"hangs after the second reply", {"GET b", "$2\r\nbb\r\n", FAKE_HANG}, NM_RETRY},
    {"closes before the reply", {"GET b", "", FAKE_CLOSE}, NM_RETRY},
    {"closes in the reply", {"GET b", "$5\r\nab", FAKE_CLOSE}, NM_RETRY},
    {"closes after the reply", {"GET b", "$2\r\nbb\r\n", FAKE_CLOSE}, NM_RETRY},
    {"garbage", {"GET b", "what?\r\n", FAKE_GO_ON}, NM_RETRY},
    {"a length that is none", {"GET b", "$x\r\n", FAKE_GO_ON}, NM_RETRY},
    {"RESP3", {"GET b", "%1\r\n+a\r\n+b\r\n", FAKE_GO_ON}, NM_RETRY},
    {"too deep", {"GET b", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", FAKE_GO_ON}, NM_RETRY},
    {"loading", {"GET b", "-LOADING Redis is loading the dataset in memory\r\n", FAKE_GO_ON}, NM_RETRY},
    {"replica", {"GET b", "-READONLY You can't write against a read only replica.\r\n", FAKE_GO_ON}, NM_RETRY},
    {"out of memory", {"GET b", "-OOM command not allowed when used memory > 'maxmemory'.\r\n", FAKE_GO_ON}, NM_RETRY},
    {"script is gone", {"GET b", "-NOSCRIPT No matching script. Please use EVAL.\r\n", FAKE_GO_ON}, NM_RETRY},
    {"logged out", {"GET b", "-NOAUTH Authentication required.\r\n", FAKE_GO_ON}, NM_CONFIG},
    {"no permission", {"GET b", "-NOPERM this user has no permissions to run the 'get' command\r\n", FAKE_GO_ON}, NM_CONFIG},
    {"cluster", {"GET b", "-MOVED 3999 127.0.0.1:6381\r\n", FAKE_GO_ON}, NM_CONFIG},
    {"wrong type", {"GET b", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", FAKE_GO_ON}, NM_FATAL},
    {"script error", {"GET b", "-ERR user_script:1: attempt to index a nil value\r\n", FAKE_GO_ON}, NM_FATAL},
};
/* clang-format on */

static void check_broken(const struct break_case *c)
{
    struct fake_rule rules[] = {c->rule, {0}};
    struct fixture *f = opened(rules, c->rule.then == FAKE_HANG ? 150 : 5000);
    struct nm_pipe pipe = {0};
    int64_t began = now_ms();
    add_words(&pipe, "GET", "a");
    add_words(&pipe, "GET", "b");
    add_words(&pipe, "GET", "c");
    enum nm_status status = nm_redis_exec(f->redis, &pipe, &f->err);
    if (status != c->want)
        fail_msg("%s: wanted %d, got %d: %s", c->name, (int)c->want, (int)status, f->err.msg);
    assert_true(now_ms() - began < 10000);
    assert_string_not_equal(f->err.msg, "");
    assert_false(nm_redis_alive(f->redis)); /* never used again: ... */
    size_t before = fake_redis_connections(f->fake);
    nm_pipe_reset(&pipe);
    add_words(&pipe, "GET", "a");
    assert_int_equal(nm_redis_exec(f->redis, &pipe, &f->err), NM_RETRY);
    assert_int_equal(nm_redis_roundtrip(f->redis, &pipe, &f->err), NM_RETRY);
    assert_int_equal(fake_redis_connections(f->fake), before); /* ... not even by a reconnect in secret */
    nm_pipe_clear(&pipe);
    fixture_free(f);
}

static void exec__every_failure_closes_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof break_cases / sizeof *break_cases; i++)
        check_broken(&break_cases[i]);
}

/* An answer too many must not become the answer to the next question. */
static void exec__surplus_reply_is_not_the_next_answer(void **state)
{
    (void)state;
    static const char *const surplus[] = {"$1\r\na\r\n$5\r\nstale\r\n", "$1\r\na\r\n$5\r\nst",
                                          "$1\r\na\r\n-ERR late\r\n"};
    for (size_t i = 0; i < sizeof surplus / sizeof *surplus; i++) {
        struct fake_rule rules[] = {{"GET a", surplus[i], FAKE_GO_ON}, {"GET b", "$5\r\nright\r\n", FAKE_GO_ON}, {0}};
        struct fixture *f = opened(rules, 500);
        struct nm_pipe pipe = {0};
        add_words(&pipe, "GET", "a");
        enum nm_status first = nm_redis_exec(f->redis, &pipe, &f->err);
        nm_pipe_reset(&pipe);
        add_words(&pipe, "GET", "b");
        enum nm_status second = nm_redis_exec(f->redis, &pipe, &f->err);
        if (second == NM_OK && strcmp(nm_pipe_reply(&pipe, 0)->str, "right") != 0)
            fail_msg("GET b was answered with '%s'", nm_pipe_reply(&pipe, 0)->str);
        assert_true(first == NM_OK || first == NM_RETRY);
        assert_true(second == NM_OK || second == NM_RETRY);
        nm_pipe_clear(&pipe);
        fixture_free(f);
    }
}

/* Between two pipes: is the peer still there? A server that closed, or says something unasked, is left at once. */
static void probe__sees_what_happened_meanwhile(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        enum fake_then then;
        bool want;
    } cases[] = {{"$1\r\na\r\n", FAKE_GO_ON, true}, {"$1\r\na\r\n", FAKE_CLOSE, false}};
    assert_false(nm_redis_probe(NULL));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake_rule rules[] = {{"GET a", cases[i].reply, cases[i].then}, {0}};
        struct fixture *f = opened(rules, 2000);
        assert_true(nm_redis_probe(f->redis));
        struct nm_pipe pipe = {0};
        add_words(&pipe, "GET", "a");
        assert_int_equal(nm_redis_exec(f->redis, &pipe, &f->err), NM_OK);
        if (cases[i].want) {
            assert_true(nm_redis_probe(f->redis));
            assert_int_equal(nm_redis_exec(f->redis, &pipe, &f->err), NM_OK); /* nothing was taken from the stream */
        } else {
            for (int64_t until = now_ms() + 5000; nm_redis_probe(f->redis) && now_ms() < until;)
                ;
            assert_false(nm_redis_probe(f->redis));
            assert_false(nm_redis_alive(f->redis));
        }
        nm_pipe_clear(&pipe);
        fixture_free(f);
    }
}

/* The limit is for the whole pipe, and longer for a long one: that time for each MiB. */
static void exec__limit_grows_with_the_pipe(void **state)
{
    (void)state;
    static const struct fake_rule rules[] = {{"GET", "", FAKE_HANG}, {0}};
    struct fixture *f = opened(rules, 100);
    struct nm_pipe pipe = {0};
    char *value = calloc(1, 3 << 20);
    assert_non_null(value);
    (void)nm_pipe_command(&pipe, 2);
    nm_pipe_str(&pipe, "GET");
    nm_pipe_arg(&pipe, value, 3 << 20);
    int64_t began = now_ms();
    assert_int_equal(nm_redis_exec(f->redis, &pipe, &f->err), NM_RETRY);
    assert_in_range(now_ms() - began, 290, 30000);
    free(value);
    nm_pipe_clear(&pipe);
    fixture_free(f);
}

/* A server that writes all its replies before it reads on: 20 MB each way fill both directions' buffers. */
static void exec__long_pipe_does_not_dead_lock(void **state)
{
    (void)state;
    enum { COMMANDS = 50000, BYTES = 420 };
    char reply[BYTES + 16];
    int head = snprintf(reply, sizeof reply, "$%d\r\n", BYTES);
    memset(reply + head, 'r', BYTES);
    memcpy(reply + head + BYTES, "\r\n", 3);
    const struct fake_rule rules[] = {{"GET", reply, FAKE_GO_ON}, {0}};
    struct fixture *f = opened(rules, 1000);
    struct nm_pipe pipe = {0};
    for (int i = 0; i < COMMANDS; i++)
        add_words(&pipe, "GET", reply + head);
    if (nm_redis_exec(f->redis, &pipe, &f->err) != NM_OK)
        fail_msg("%s", f->err.msg);
    for (size_t i = 0; i < COMMANDS; i++)
        if (nm_pipe_reply(&pipe, i)->len != BYTES || nm_pipe_reply(&pipe, i)->str[BYTES - 1] != 'r')
            fail_msg("reply %zu is wrong", i);
    nm_pipe_clear(&pipe);
    fixture_free(f);
}

/* The same in a hundred thousand commands of many pipes, all of them submitted before one answer is read. */
static void submit__many_pipes_do_not_dead_lock(void **state)
{
    (void)state;
    enum { PIPES = 200, COMMANDS = 500, BYTES = 420 };
    char reply[BYTES + 16];
    int head = snprintf(reply, sizeof reply, "$%d\r\n", BYTES);
    memset(reply + head, 'r', BYTES);
    memcpy(reply + head + BYTES, "\r\n", 3);
    const struct fake_rule rules[] = {{"GET", reply, FAKE_GO_ON}, {0}};
    struct fixture *f = opened(rules, 2000);
    struct nm_pipe *pipe = calloc(PIPES, sizeof *pipe);
    assert_non_null(pipe);
    for (size_t p = 0; p < PIPES; p++) {
        for (int i = 0; i < COMMANDS; i++)
            add_words(&pipe[p], "GET", reply + head);
        assert_int_equal(nm_redis_submit(f->redis, &pipe[p], &f->err), NM_OK);
    }
    assert_true(nm_redis_wants_write(f->redis));
    struct nm_pipe last = {0};
    add_words(&last, "GET", "last");
    if (nm_redis_exec(f->redis, &last, &f->err) != NM_OK)
        fail_msg("%s", f->err.msg);
    assert_int_equal(nm_redis_in_flight(f->redis), 0);
    for (size_t p = 0; p < PIPES; p++) {
        assert_true(nm_pipe_done(&pipe[p]));
        for (size_t i = 0; i < COMMANDS; i++)
            assert_int_equal(nm_pipe_reply(&pipe[p], i)->len, BYTES);
        nm_pipe_clear(&pipe[p]);
    }
    nm_pipe_clear(&last);
    free(pipe);
    fixture_free(f);
}

/* ---- scripts ---- */

static void load__what_the_server_may_say(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        enum nm_status want;
    } cases[] = {
        {"$40\r\n0123456789012345678901234567890123456789\r\n", NM_OK},
        {"$3\r\nabc\r\n", NM_FATAL},
        {"$-1\r\n", NM_FATAL},
        {":1\r\n", NM_FATAL},
        {"-ERR Error compiling script (new function): user_script:1: '=' expected near 'x'\r\n", NM_FATAL},
        {"-LOADING Redis is loading the dataset in memory\r\n", NM_RETRY},
        {"-NOPERM this user has no permissions to run the 'script|load' command\r\n", NM_CONFIG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake_rule rules[] = {{"SCRIPT LOAD", cases[i].reply, FAKE_GO_ON}, {0}};
        struct fixture *f = opened(rules, 2000);
        struct nm_script script = {.name = "x", .source = "return 1"};
        struct nm_script *const list[] = {&script};
        enum nm_status status = nm_redis_load(f->redis, list, 1, &f->err);
        if (status != cases[i].want)
            fail_msg("'%s': got %d", cases[i].reply, (int)status);
        assert_string_equal(script.sha, status == NM_OK ? "0123456789012345678901234567890123456789" : "");
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__healthy_server),
        cmocka_unit_test(open__nobody_listens_is_retry),
        cmocka_unit_test(open__host_without_address_is_retry),
        cmocka_unit_test(open__certificates_without_tls_are_refused),
        cmocka_unit_test(open__silent_server_is_given_up_in_time),
        cmocka_unit_test(open__table),
        cmocka_unit_test(auth__from_the_url_or_the_file),
        cmocka_unit_test(auth__no_answer_brings_the_password_into_the_message),
        cmocka_unit_test(auth__bad_files_and_names_are_config),
        cmocka_unit_test(auth__long_names_and_passwords),
        cmocka_unit_test(exec__empty_pipe_sends_nothing),
        cmocka_unit_test(exec__every_failure_closes_the_connection),
        cmocka_unit_test(exec__surplus_reply_is_not_the_next_answer),
        cmocka_unit_test(probe__sees_what_happened_meanwhile),
        cmocka_unit_test(exec__limit_grows_with_the_pipe),
        cmocka_unit_test(exec__long_pipe_does_not_dead_lock),
        cmocka_unit_test(submit__many_pipes_do_not_dead_lock),
        cmocka_unit_test(load__what_the_server_may_say),
    };
    return cmocka_run_group_tests_name("redis", tests, NULL, NULL);
}
