/* test_redis_acl.c - users and permissions of a real redis-server: who is let in, what is asked of the operator when
 * one is not, at the start and at runtime, and that no message holds a password. */
#include "fake_redis.h"
#include "real_redis.h"
#include "redis_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The administrator is the default user, without a password; "ana" is what the workers are. */
struct fixture {
    struct real_redis *server;
    char url[200], admin_url[200], warning[300], user[40];
    struct nm_settings settings, admin_settings;
    struct nm_redis *redis, *admin;
    struct nm_error err;
};

#define ENOUGH "ACL SETUSER ana reset on >hunter2 ~news:* +select +info +config|get +get +set +script|load +evalsha"

/* Words with one space between them. */
static enum nm_status run_on(struct nm_redis *redis, const char *words, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    size_t n = 1;
    for (const char *at = words; *at; at++)
        n += *at == ' ';
    (void)nm_pipe_command(&pipe, n);
    for (const char *at = words; n > 0; n--) {
        size_t len = strcspn(at, " ");
        nm_pipe_arg(&pipe, at, len);
        at += len + 1;
    }
    enum nm_status status = nm_redis_exec(redis, &pipe, err);
    nm_pipe_clear(&pipe);
    return status;
}

static void operate(struct fixture *f, const char *words)
{
    if (run_on(f->admin, words, &f->err) != NM_OK)
        fail_msg("%s: %s", words, f->err.msg);
}

static struct fixture *fixture_new(const char *userinfo)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->server = real_redis_start(NULL);
    f->admin_settings = fake_settings(f->admin_url, "", real_redis_port(f->server), 5000);
    f->settings = fake_settings(f->url, userinfo, real_redis_port(f->server), 5000);
    if (nm_redis_open(&f->admin_settings, &f->admin, NULL, &f->err) != NM_OK)
        fail_msg("%s", f->err.msg);
    operate(f, ENOUGH);
    return f;
}

static enum nm_status open_it(struct fixture *f)
{
    nm_redis_close(f->redis);
    f->redis = NULL;
    enum nm_status status = nm_redis_open(&f->settings, &f->redis, f->warning, &f->err);
    if (status != NM_OK)
        assert_null(strstr(f->err.msg, "hunter"));
    return status;
}

static void fixture_free(struct fixture *f)
{
    nm_redis_close(f->redis);
    nm_redis_close(f->admin);
    real_redis_stop(f->server);
    free(f);
}

/* What an administrator does before a worker connects. */
static void open__table(void **state)
{
    (void)state;
    static const struct {
        const char *name, *userinfo, *before;
        enum nm_status want;
        const char *words;
    } cases[] = {
        {"enough", "ana:hunter2@", "PING", NM_OK, ""},
        {"wrong password", "ana:hunter3@", "PING", NM_CONFIG, "redis.passwordFile"},
        {"no such user", "bob:hunter2@", "PING", NM_CONFIG, "redis.username"},
        {"password of the default user", ":hunter2@", "PING", NM_CONFIG, "redis.passwordFile"},
        {"disabled", "ana:hunter2@", "ACL SETUSER ana off", NM_CONFIG, "redis.username"},
        {"other password by now", "ana:hunter2@", "ACL SETUSER ana resetpass >hunter4", NM_CONFIG,
         "redis.passwordFile"},
        {"default user is off", "", "ACL SETUSER default off", NM_CONFIG, "NOAUTH"},
        {"without CONFIG", "ana:hunter2@", "ACL SETUSER ana -config|get", NM_OK, ""},
        {"without INFO", "ana:hunter2@", "ACL SETUSER ana -info", NM_CONFIG, "info"},
        {"without SELECT", "ana:hunter2@", "ACL SETUSER ana -select", NM_CONFIG, "select"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new(cases[i].userinfo);
        operate(f, cases[i].before);
        enum nm_status status = open_it(f);
        if (status != cases[i].want || (status != NM_OK && !strstr(f->err.msg, cases[i].words)))
            fail_msg("%s: got %d: %s", cases[i].name, (int)status, f->err.msg);
        fixture_free(f);
    }
}

/* INFO tells the policy where CONFIG may not. */
static void open__unsafe_policy_is_seen_without_config(void **state)
{
    (void)state;
    struct fixture *f = fixture_new("ana:hunter2@");
    operate(f, "ACL SETUSER ana -config|get");
    operate(f, "CONFIG SET maxmemory-policy allkeys-lru");
    assert_int_equal(open_it(f), NM_CONFIG);
    assert_non_null(strstr(f->err.msg, "allkeys-lru"));
    fixture_free(f);
}

/* Every key must be of the namespace; and a script may do what its caller may do by hand, no more. */
static void exec__scripts_have_the_users_permissions(void **state)
{
    (void)state;
    static struct nm_script writer = {.name = "w", .source = "redis.call('SET', KEYS[1], ARGV[1]) return 1"};
    static const struct {
        const char *key, *before;
        enum nm_status want;
    } cases[] = {{"news:a", "PING", NM_OK},
                 {"news2:a", "PING", NM_CONFIG},
                 {"a", "PING", NM_CONFIG},
                 {"news:a", "ACL SETUSER ana -set", NM_CONFIG}};
    struct nm_script *const scripts[] = {&writer};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new("ana:hunter2@");
        struct nm_pipe pipe = {0};
        operate(f, cases[i].before);
        assert_int_equal(open_it(f), NM_OK);
        assert_int_equal(nm_redis_load(f->redis, scripts, 1, &f->err), NM_OK);
        (void)nm_pipe_script(&pipe, &writer, 1, 1);
        nm_pipe_str(&pipe, cases[i].key);
        nm_pipe_str(&pipe, "1");
        if (nm_redis_exec(f->redis, &pipe, &f->err) != cases[i].want)
            fail_msg("%s: %s", cases[i].key, f->err.msg);
        assert_int_equal(nm_redis_alive(f->redis), cases[i].want == NM_OK);
        nm_pipe_clear(&pipe);
        fixture_free(f);
    }
}

/* What an administrator does while a worker is connected: the next command, and then the next connection. */
static void exec__permissions_change_at_runtime(void **state)
{
    (void)state;
    static const struct {
        const char *name, *meanwhile;
        enum nm_status next, again;
    } cases[] = {
        {"nothing", "PING", NM_OK, NM_OK},
        {"a command is taken away", "ACL SETUSER ana -get", NM_CONFIG, NM_OK},
        {"the keys are taken away", "ACL SETUSER ana resetkeys", NM_CONFIG, NM_OK},
        {"disabled: whoever is connected stays", "ACL SETUSER ana off", NM_OK, NM_CONFIG},
        {"deleted: connections are closed", "ACL DELUSER ana", NM_RETRY, NM_CONFIG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *f = fixture_new("ana:hunter2@");
        assert_int_equal(open_it(f), NM_OK);
        operate(f, cases[i].meanwhile);
        enum nm_status next = run_on(f->redis, "GET news:a", &f->err);
        if (next != cases[i].next)
            fail_msg("%s: got %d: %s", cases[i].name, (int)next, f->err.msg);
        assert_int_equal(nm_redis_alive(f->redis), next == NM_OK);
        assert_null(strstr(f->err.msg, "hunter"));
        assert_int_equal(open_it(f), cases[i].again);
        fixture_free(f);
    }
}

/* A login that is asked for from now on, with pipes in flight: the first that is refused takes the rest with it. */
static void submit__refused_in_the_middle(void **state)
{
    (void)state;
    struct fixture *f = fixture_new("ana:hunter2@");
    struct nm_pipe pipe[3] = {0};
    static const char *const keys[] = {"news:a", "old:a", "news:b"};
    assert_int_equal(open_it(f), NM_OK);
    enum nm_status status = NM_OK;
    for (size_t i = 0; i < 3 && status == NM_OK; i++) {
        (void)nm_pipe_command(&pipe[i], 2);
        nm_pipe_str(&pipe[i], "GET");
        nm_pipe_str(&pipe[i], keys[i]);
        status = nm_redis_submit(f->redis, &pipe[i], &f->err);
    }
    while (status == NM_OK)
        status = nm_redis_advance(f->redis, &f->err);
    assert_int_equal(status, NM_CONFIG);
    assert_non_null(strstr(f->err.msg, "NOPERM"));
    assert_true(nm_pipe_done(&pipe[0]) && !nm_pipe_done(&pipe[1]) && !nm_pipe_done(&pipe[2]));
    for (size_t i = 0; i < 3; i++)
        nm_pipe_clear(&pipe[i]);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__table),
        cmocka_unit_test(open__unsafe_policy_is_seen_without_config),
        cmocka_unit_test(exec__scripts_have_the_users_permissions),
        cmocka_unit_test(exec__permissions_change_at_runtime),
        cmocka_unit_test(submit__refused_in_the_middle),
    };
    return cmocka_run_group_tests_name("redis_acl", tests, NULL, NULL);
}
