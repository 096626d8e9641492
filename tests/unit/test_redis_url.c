/* test_redis_url.c - redis.url: what is taken, what each part becomes, and that no refusal repeats a password. */
#include "redis_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct url_case {
    const char *text;
    struct nm_redis_url want;
};

static const struct url_case good[] = {
    {"redis://localhost", {.host = "localhost", .port = 6379}},
    {"redis://localhost/", {.host = "localhost", .port = 6379}},
    {"redis://localhost:7000", {.host = "localhost", .port = 7000}},
    {"redis://localhost:1/0", {.host = "localhost", .port = 1}},
    {"redis://localhost:65535/15", {.host = "localhost", .port = 65535, .db = 15}},
    {"redis://127.0.0.1:6380/3", {.host = "127.0.0.1", .port = 6380, .db = 3}},
    {"rediss://cache.example", {.host = "cache.example", .port = 6379, .tls = true}},
    {"redis://[::1]", {.host = "::1", .port = 6379}},
    {"redis://[2001:db8::7]:7001/2", {.host = "2001:db8::7", .port = 7001, .db = 2}},
    {"redis://:secret@h", {.host = "h", .port = 6379, .password = "secret"}},
    {"redis://ana@h", {.host = "h", .port = 6379, .user = "ana"}},
    {"redis://ana:secret@h:7", {.host = "h", .port = 7, .user = "ana", .password = "secret"}},
    {"redis://ana:@h", {.host = "h", .port = 6379, .user = "ana"}},
    {"redis://ana:a:b@h", {.host = "h", .port = 6379, .user = "ana", .password = "a:b"}},
    {"redis://ana:p@ss@h", {.host = "h", .port = 6379, .user = "ana", .password = "p@ss"}},
    {"redis://ana:%40%2f%3A%25@h", {.host = "h", .port = 6379, .user = "ana", .password = "@/:%"}},
    {"redis://a%6ea:100%@h", {.host = "h", .port = 6379, .user = "ana", .password = "100%"}},
    {"redis://:%zz%2@h", {.host = "h", .port = 6379, .password = "%zz%2"}},
    {"redis://:p%20q@[::1]:9/1", {.host = "::1", .port = 9, .db = 1, .password = "p q"}},
};

static void redis_url__good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct url_case *c = &good[i];
        struct nm_redis_url url;
        struct nm_error err = {0};
        if (nm_redis_url_parse(c->text, &url, &err) != NM_OK)
            fail_msg("%s: %s", c->text, err.msg);
        assert_string_equal(url.host, c->want.host);
        assert_string_equal(url.user, c->want.user);
        assert_string_equal(url.password, c->want.password);
        assert_int_equal(url.port, c->want.port);
        assert_int_equal(url.db, c->want.db);
        assert_int_equal(url.tls, c->want.tls);
    }
}

static const char *const bad[] = {
    "",
    "localhost",
    "localhost:6379",
    "redis:localhost",
    "redis:/localhost",
    "REDIS://localhost",
    " redis://localhost",
    "http://localhost",
    "unix:///run/redis.sock",
    "redis://",
    "redis:///0",
    "redis://:6379",
    "redis://ana:hunter2@",
    "redis://ana:hunter2@/0",
    "redis://ana:hunter2@:6379",
    "redis://localhost:",
    "redis://localhost:0",
    "redis://localhost:65536",
    "redis://localhost:99999999999",
    "redis://localhost:-1",
    "redis://localhost:+1",
    "redis://localhost: 1",
    "redis://localhost:6379x",
    "redis://ana:hunter2@localhost:port",
    "redis://localhost/x",
    "redis://localhost/-1",
    "redis://localhost/1/2",
    "redis://localhost/0?timeout=1",
    "redis://localhost?db=1",
    "redis://localhost#1",
    "redis://localhost/99999999",
    "redis://ana:hunter2@localhost/hunter2",
    "redis://ana:hunter2/x@localhost",
    "redis://[::1",
    "redis://[]",
    "redis://[::1]x",
    "redis://[::1]:",
    "redis://ana:hunter2%00@localhost",
    "redis://%00",
};

static void redis_url__bad_is_config_and_tells_no_password(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nm_redis_url url = {.port = 4};
        struct nm_error err = {0};
        if (nm_redis_url_parse(bad[i], &url, &err) != NM_CONFIG)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(url.port, 4);
        assert_null(strstr(err.msg, "hunter2"));
        assert_non_null(strstr(err.msg, "redis.url"));
    }
}

/* Each part at its longest and one byte longer. */
static void redis_url__lengths(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        size_t most;
    } parts[] = {{"redis://", ":1/0", sizeof((struct nm_redis_url *)0)->host - 1},
                 {"redis://", "@h", sizeof((struct nm_redis_url *)0)->user - 1},
                 {"redis://:", "@h", sizeof((struct nm_redis_url *)0)->password - 1}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        for (size_t len = parts[i].most; len <= parts[i].most + 1; len++) {
            char text[1000] = "";
            memcpy(text, parts[i].before, strlen(parts[i].before));
            size_t at = strlen(text);
            memset(text + at, 'h', len);
            memcpy(text + at + len, parts[i].after, strlen(parts[i].after) + 1);
            struct nm_redis_url url;
            enum nm_status status = nm_redis_url_parse(text, &url, NULL);
            assert_int_equal(status, len > parts[i].most ? NM_CONFIG : NM_OK);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_url__good),
        cmocka_unit_test(redis_url__bad_is_config_and_tells_no_password),
        cmocka_unit_test(redis_url__lengths),
    };
    return cmocka_run_group_tests_name("redis_url", tests, NULL, NULL);
}
