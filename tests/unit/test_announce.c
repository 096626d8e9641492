/* test_announce.c - what a worker says of itself, and what of it stands in a real Redis, and for how long. */
#include "fake_redis.h"
#include "newsmill/announce.h"
#include "real_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define NOW_MS 1933740145000

static const struct nm_announcer who = {
    .worker = "normalize", .instance = "00112233445566ff", .admin = "127.0.0.1:43211", .started_ms = 1933740000999};

/* Not in order, and of two streams: as a runtime may keep them. */
static const struct nm_partition_report rows[] = {
    {.stream = "raw", .partition = 10, .next = 5, .end = 9},
    {.stream = "facets", .partition = 2, .next = 100, .end = 100},
    {.stream = "raw", .partition = 2, .next = 0, .end = 1},
    {.stream = "raw", .partition = 3, .next = -1, .end = 50},
    {.stream = "raw", .partition = 4, .next = 7, .end = -1},
    {.stream = "raw", .partition = 5, .next = 8, .end = 6},
};

static void json__is_as_documented(void **state)
{
    (void)state;
    struct nm_report report = {
        .joined = true, .redis_ok = true, .kafka_ok = true, .partition = rows, .n_partitions = 6};
    struct nm_buf out = {0};
    char host[256] = "", text[900];
    assert_int_equal(nm_announce_json(&who, &report, &out, NULL), NM_OK);
    assert_null(strchr(nm_buf_str(&out), '\n'));
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(text, sizeof text,
                   "{\"worker\":\"normalize\",\"version\":\"" NM_VERSION "\",\"instance\":\"00112233445566ff\","
                   "\"host\":\"%s\",\"pid\":%d,\"admin\":\"127.0.0.1:43211\",\"startedAt\":\"2031-04-12T06:00:00Z\","
                   "\"ready\":true,\"partitions\":[{\"stream\":\"facets\",\"partitions\":[2]},"
                   "{\"stream\":\"raw\",\"partitions\":[2,3,4,5,10]}],\"lag\":5}",
                   host, (int)getpid());
    assert_string_equal(nm_buf_str(&out), text);
    nm_buf_clear(&out);
}

static void json__without_partitions(void **state)
{
    (void)state;
    static const struct {
        bool joined, redis_ok, kafka_ok, ready;
    } cases[] = {
        {true, true, true, true}, {false, true, true, false}, {true, false, true, false}, {true, true, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_report report = {
            .joined = cases[i].joined, .redis_ok = cases[i].redis_ok, .kafka_ok = cases[i].kafka_ok};
        struct nm_buf out = {0};
        assert_int_equal(nm_announce_json(&who, &report, &out, NULL), NM_OK);
        json_t *root = json_loads(nm_buf_str(&out), 0, NULL);
        assert_non_null(root);
        assert_int_equal(json_is_true(json_object_get(root, "ready")), cases[i].ready);
        assert_int_equal(json_array_size(json_object_get(root, "partitions")), 0);
        assert_true(json_is_array(json_object_get(root, "partitions")));
        assert_int_equal(json_integer_value(json_object_get(root, "lag")), 0);
        json_decref(root);
        nm_buf_clear(&out);
    }
}

/* A worker of every partition of every stream still fits. */
static void json__largest_fits(void **state)
{
    (void)state;
    static struct nm_partition_report many[NM_N_STREAMS * 1000];
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        many[i] = (struct nm_partition_report){.stream = nm_stream_word((enum nm_stream)(i / 1000)),
                                               .partition = (int32_t)(i % 1000),
                                               .next = 0,
                                               .end = INT64_MAX / 6001};
    struct nm_report report = {.partition = many, .n_partitions = sizeof many / sizeof *many};
    struct nm_buf out = {0};
    assert_int_equal(nm_announce_json(&who, &report, &out, NULL), NM_OK);
    assert_in_range(out.len, 10000, NM_ANNOUNCE_BYTES);
    nm_buf_clear(&out);
}

static void keys__are_of_the_namespace(void **state)
{
    (void)state;
    struct nm_settings settings = {.ns = (char *)(uintptr_t) "trial"};
    char key[64], small[10];
    nm_announce_key(&settings, "publish:aa", key, sizeof key);
    assert_string_equal(key, "trial:ps:publish:aa");
    nm_announce_key(&settings, NULL, key, sizeof key);
    assert_string_equal(key, "trial:ps");
    nm_announce_key(&settings, "publish:aa", small, sizeof small);
    assert_string_equal(small, "trial:ps:");
}

/* ---- in Redis ---- */

static const struct nm_reply *ask(struct nm_redis *redis, struct nm_pipe *pipe, const char *const *word)
{
    size_t n = 0;
    while (word[n])
        n++;
    nm_pipe_reset(pipe);
    (void)nm_pipe_command(pipe, n);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(pipe, word[i]);
    assert_int_equal(nm_redis_exec(redis, pipe, NULL), NM_OK);
    return nm_pipe_reply(pipe, 0);
}
#define ASK(...) ask(redis, &pipe, (const char *const[]){__VA_ARGS__, NULL})

static void redis__announcements_come_and_go(void **state)
{
    (void)state;
    static const char *const safe[] = {"--maxmemory-policy", "noeviction", "--lazyfree-lazy-expire", "yes", NULL};
    struct real_redis *server = real_redis_start(safe);
    char url[200];
    struct nm_settings settings = fake_settings(url, "", real_redis_port(server), 5000);
    struct nm_redis *redis = NULL;
    struct nm_pipe pipe = {0};
    struct nm_error err = {0};
    settings.ns = (char *)(uintptr_t) "trial";
    if (nm_redis_open(&settings, &redis, NULL, &err) != NM_OK)
        fail_msg("%s", err.msg);

    nm_announce_append(&pipe, &settings, "publish", "old", "{}", NOW_MS - NM_ANNOUNCE_FORGET_MS - 1);
    nm_announce_append(&pipe, &settings, "publish", "aa", "{\"a\":1}", NOW_MS - 1000);
    nm_announce_append(&pipe, &settings, "normalize", "bb", "{\"b\":1}", NOW_MS);
    nm_announce_append(&pipe, &settings, "publish", "aa", "{\"a\":2}", NOW_MS + 1);
    assert_int_equal(nm_redis_exec(redis, &pipe, NULL), NM_OK);

    assert_string_equal(ASK("GET", "trial:ps:publish:aa")->str, "{\"a\":2}");
    assert_in_range(nm_reply_int(ASK("PTTL", "trial:ps:publish:aa"), -9), 1, NM_ANNOUNCE_MS);
    const struct nm_reply *names = ASK("ZREVRANGE", "trial:ps", "0", "-1");
    assert_int_equal(names->len, 2); /* the old one is forgotten */
    assert_string_equal(nm_reply_at(names, 0)->str, "publish:aa");
    assert_string_equal(nm_reply_at(names, 1)->str, "normalize:bb");

    nm_pipe_reset(&pipe);
    nm_announce_remove_append(&pipe, &settings, "publish", "aa");
    assert_int_equal(nm_redis_exec(redis, &pipe, NULL), NM_OK);
    assert_int_equal(nm_reply_int(ASK("EXISTS", "trial:ps:publish:aa"), -9), 0);
    assert_int_equal(nm_reply_int(ASK("ZCARD", "trial:ps"), -9), 1);
    assert_int_equal(nm_reply_int(ASK("EXISTS", "trial:ps:normalize:bb"), -9), 1);

    nm_pipe_clear(&pipe);
    nm_redis_close(redis);
    real_redis_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json__is_as_documented),
        cmocka_unit_test(json__without_partitions),
        cmocka_unit_test(json__largest_fits),
        cmocka_unit_test(keys__are_of_the_namespace),
        cmocka_unit_test(redis__announcements_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
