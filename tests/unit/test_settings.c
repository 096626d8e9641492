/* test_settings.c - the options that all programs share: defaults, ranges, and what follows from several of them. */
#include "config_internal.h"
#include "newsmill/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *no_env[] = {NULL};

/* Loads a file and fills the settings; problems are appended as text to `shown`. */
static enum nm_status fill(const char *text, struct nm_settings *settings, struct nm_buf *shown)
{
    struct nm_config_input input = {.path = "t.yaml",
                                    .data = text,
                                    .len = strlen(text),
                                    .program = "newsmill",
                                    .tables = nm_option_tables,
                                    .env = no_env};
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    struct nm_error err = {0};
    enum nm_status status = nm_config_load_input(&input, &config, &problems, &err);
    if (status == NM_OK)
        status = nm_config_apply(config, nm_common_options, settings, &problems, &err);
    for (size_t i = 0; i < problems.n; i++)
        nm_buf_addf(shown, "%s\n", problems.item[i].msg);
    nm_problems_clear(&problems);
    if (status != NM_OK)
        return status;
    status = nm_settings_finish(settings, &err);
    if (status != NM_OK)
        nm_buf_adds(shown, err.msg);
    return status;
}

static void defaults__are_as_documented(void **state)
{
    (void)state;
    struct nm_settings s = {0};
    struct nm_buf shown = {0};
    assert_int_equal(fill("", &s, &shown), NM_OK);
    assert_string_equal(s.ns, "news");
    assert_string_equal(s.brokers, "127.0.0.1:9092");
    assert_int_equal(s.kafka_common.n + s.kafka_consumer.n + s.kafka_producer.n, 0);
    assert_string_equal(s.redis.url, "redis://127.0.0.1:6379/0");
    assert_string_equal(s.redis.username, "");
    assert_string_equal(s.redis.password_file, "");
    assert_string_equal(s.redis.ca_file, "");
    assert_string_equal(s.redis.cert_file, "");
    assert_string_equal(s.redis.key_file, "");
    assert_int_equal(s.redis.connect_timeout_ms, 1000);
    assert_int_equal(s.redis.command_timeout_ms, 2000);
    assert_false(s.redis.allow_unsafe);
    assert_string_equal(s.admin.listen, "127.0.0.1:0");
    assert_string_equal(s.log.level, "info");
    assert_string_equal(s.log.format, "json");
    assert_int_equal(s.runtime.batch_items, 500);
    assert_int_equal(s.runtime.batch_bytes, 1048576);
    assert_int_equal(s.runtime.batch_ms, 20);
    assert_int_equal(s.runtime.commit_ms, 1000);
    assert_int_equal(s.runtime.drain_ms, 5000);
    assert_int_equal(s.runtime.stop_ms, 10000);
    assert_int_equal(s.runtime.stall_ms, 30000);
    assert_string_equal(s.runtime.start, "oldest");
    assert_int_equal(s.keep_days, 400);
    nm_settings_clear(&s);
    nm_buf_clear(&shown);
}

static const struct {
    const char *word, *name, *trial_name; /* the name in the namespace "trial" */
    long long retention_ms, max_message_bytes;
} streams[NM_N_STREAMS] = {
    [NM_RAW] = {"raw", "articles.raw", "articles.raw", 604800000, 1114112},
    [NM_NORMALIZED] = {"normalized", "articles.normalized", "trial.articles.normalized", 2592000000, 2097152},
    [NM_FACETS] = {"facets", "articles.facets", "trial.articles.facets", 2592000000, 2097152},
    [NM_SIGNALS] = {"signals", "articles.signals", "articles.signals", 604800000, 1114112},
    [NM_RECORDS] = {"records", "articles.records", "trial.articles.records", -1, 2097152},
    [NM_DEAD] = {"dead", "articles.dead", "trial.articles.dead", 2592000000, 2097152},
};

static void streams__have_names_and_bounds(void **state)
{
    (void)state;
    struct nm_settings s = {0}, trial = {0};
    struct nm_buf shown = {0};
    assert_int_equal(fill("", &s, &shown), NM_OK);
    assert_int_equal(fill("namespace: trial\n", &trial, &shown), NM_OK);
    for (int i = 0; i < NM_N_STREAMS; i++) {
        enum nm_stream found = NM_N_STREAMS;
        assert_string_equal(nm_stream_word((enum nm_stream)i), streams[i].word);
        assert_true(nm_stream_from_word(streams[i].word, &found));
        assert_int_equal(found, i);
        assert_string_equal(s.stream[i].name, streams[i].name);
        assert_string_equal(trial.stream[i].name, streams[i].trial_name);
        assert_int_equal(s.stream[i].partitions, 8);
        assert_int_equal(s.stream[i].replication, 1);
        assert_int_equal(s.stream[i].retention_ms, streams[i].retention_ms);
        assert_int_equal(s.stream[i].max_message_bytes, streams[i].max_message_bytes);
    }
    enum nm_stream untouched = NM_DEAD;
    assert_false(nm_stream_from_word("record", &untouched));
    assert_false(nm_stream_from_word("", &untouched));
    assert_int_equal(untouched, NM_DEAD);
    nm_settings_clear(&s);
    nm_settings_clear(&trial);
    nm_buf_clear(&shown);
}

static void streams__a_name_in_the_file_is_taken_as_it_is(void **state)
{
    (void)state;
    struct nm_settings s = {0};
    struct nm_buf shown = {0};
    assert_int_equal(fill("namespace: trial\nstreams: {dead: {name: Old_dead.1, partitions: 2}}\n", &s, &shown), NM_OK);
    assert_string_equal(s.stream[NM_DEAD].name, "Old_dead.1");
    assert_int_equal(s.stream[NM_DEAD].partitions, 2);
    assert_string_equal(s.stream[NM_RECORDS].name, "trial.articles.records");
    nm_settings_clear(&s);
    nm_buf_clear(&shown);
}

static void rules__problems(void **state)
{
    (void)state;
    static const struct {
        const char *file, *want;
    } cases[] = {
        {"namespace: News\n",
         "namespace is 'News', but takes only a-z, 0-9, '.', '_' and '-', a letter or a digit first\n"},
        {"namespace: -a\n",
         "namespace is '-a', but takes only a-z, 0-9, '.', '_' and '-', a letter or a digit first\n"},
        {"namespace: a{b}\n",
         "namespace is 'a{b}', but takes only a-z, 0-9, '.', '_' and '-', a letter or a digit first\n"},
        {"namespace: ''\n", "namespace is empty\n"},
        {"streams.raw.name: a b\n",
         "streams.raw.name is 'a b', but a Kafka topic takes only a-z, A-Z, 0-9, '.', '_' and '-'\n"},
        {"streams.raw.name: ..\n",
         "streams.raw.name is '..', but a Kafka topic takes only a-z, A-Z, 0-9, '.', '_' and '-'\n"},
        {"streams.raw.partitions: 0\n", "streams.raw.partitions is 0, not within 1..1000\n"},
        {"streams.raw.retentionMs: 0\n",
         "streams.raw.retentionMs is 0, less than a minute (60000 ms); -1 keeps messages for ever\n"},
        {"streams.raw.retentionMs: 59999\n",
         "streams.raw.retentionMs is 59999, less than a minute (60000 ms); -1 keeps messages for ever\n"},
        {"streams.raw.retentionMs: 60000\n", ""},
        {"streams.records.maxMessageBytes: 1023\n",
         "streams.records.maxMessageBytes is 1023, not within 1024..104857600 bytes\n"},
        {"runtime.start: someday\n",
         "runtime.start is 'someday', not oldest, newest or a time such as 2026-01-31T12:00:00Z\n"},
        {"runtime.start: 2026-01-31T12:00:00Z\n", ""},
        {"runtime.start: newest\n", ""},
        {"redis.url: localhost\n", "redis.url must start with redis:// or rediss://\n"},
        {"admin.listen: '9602'\n",
         "admin.listen is '9602', not host:port such as 127.0.0.1:9602 or [::1]:0 (0: a free port)\n"},
        {"admin.listen: ':9602'\n",
         "admin.listen is ':9602' without a host; 0.0.0.0:9602 or [::]:9602 is every address of this machine\n"},
        {"admin.listen: ''\n", ""},
        {"admin: {listen: '[::1]:9602'}\n", ""},
        {"runtime.stallMs: 2999\n", "runtime.stallMs is 2999, not within 3000..3600000 ms\n"},
        {"runtime.stallMs: 3000\n",
         "runtime.stallMs is 3000, but a worker may wait 3000 ms for Redis (redis.connectTimeoutMs and "
         "redis.commandTimeoutMs): make it larger than that"},
        {"runtime.stallMs: 3001\n", ""},
        {"redis: {connectTimeoutMs: 5000, commandTimeoutMs: 25000}\n",
         "runtime.stallMs is 30000, but a worker may wait 30000 ms for Redis (redis.connectTimeoutMs and "
         "redis.commandTimeoutMs): make it larger than that"},
        {"log.level: trace\n", "log.level is 'trace', not one of debug, info, warn, error\n"},
        {"streams.facets.partitions: 4\n",
         "streams.normalized.partitions is 8, streams.facets.partitions 4 and streams.records.partitions 8: streams "
         "keyed by article id need the same number"},
        {"streams: {normalized: {partitions: 2}, facets: {partitions: 2}, records: {partitions: 2}}\n", ""},
        {"streams.dead.name: articles.raw\n",
         "streams.raw.name and streams.dead.name are both 'articles.raw': each stream needs a topic of its own"},
        {"streams: {raw: {name: x}, signals: {name: x}}\n",
         "streams.raw.name and streams.signals.name are both 'x': each stream needs a topic of its own"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_settings s = {0};
        struct nm_buf shown = {0};
        enum nm_status status = fill(cases[i].file, &s, &shown);
        assert_string_equal(nm_buf_str(&shown), cases[i].want);
        assert_int_equal(status, *cases[i].want ? NM_CONFIG : NM_OK);
        nm_settings_clear(&s);
        nm_buf_clear(&shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults__are_as_documented),
        cmocka_unit_test(streams__have_names_and_bounds),
        cmocka_unit_test(streams__a_name_in_the_file_is_taken_as_it_is),
        cmocka_unit_test(rules__problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
