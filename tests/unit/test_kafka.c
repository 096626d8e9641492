/* test_kafka.c - how Kafka clients are opened: which properties the option file may not change, which take effect, the
 * group's name, and the delivery timeout that follows from the session timeout. No broker is needed for any of it. */
#include "newsmill/kafka.h"
#include "newsmill/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum map { COMMON, CONSUMER, PRODUCER };

struct fixture {
    char brokers[16], ns[8], name[64], value[64], session_name[32], session_value[32];
    struct nm_pair pair, session;
    struct nm_settings settings;
};

/* Settings with one property in one of the maps; name NULL: none. */
static struct nm_settings *with(struct fixture *f, enum map map, const char *name, const char *value)
{
    *f = (struct fixture){.brokers = "127.0.0.1:1", .ns = "news"};
    f->settings.brokers = f->brokers;
    f->settings.ns = f->ns;
    for (int i = 0; i < NM_N_STREAMS; i++)
        f->settings.stream[i].max_message_bytes = i == NM_RAW ? 1114112 : 2097152;
    (void)snprintf(f->name, sizeof f->name, "%s", name ? name : "");
    (void)snprintf(f->value, sizeof f->value, "%s", value ? value : "");
    f->pair = (struct nm_pair){.name = f->name, .value = f->value};
    struct nm_pairs *maps[] = {&f->settings.kafka_common, &f->settings.kafka_consumer, &f->settings.kafka_producer};
    if (name)
        *maps[map] = (struct nm_pairs){.item = &f->pair, .n = 1};
    return &f->settings;
}

static void session_timeout(struct fixture *f, const char *value)
{
    (void)snprintf(f->session_name, sizeof f->session_name, "session.timeout.ms");
    (void)snprintf(f->session_value, sizeof f->session_value, "%s", value);
    f->session = (struct nm_pair){.name = f->session_name, .value = f->session_value};
    f->settings.kafka_consumer = (struct nm_pairs){.item = &f->session, .n = 1};
}

/* Opens both kinds; the worse status. */
static enum nm_status open_both(const struct nm_settings *settings, struct nm_error *err)
{
    rd_kafka_t *consumer = NULL, *producer = NULL;
    enum nm_status status = nm_kafka_consumer_open(settings, "g", NULL, &consumer, err);
    assert_int_equal(status == NM_OK, consumer != NULL);
    nm_kafka_close(consumer);
    if (status != NM_OK)
        return status;
    status = nm_kafka_producer_open(settings, NULL, &producer, err);
    assert_int_equal(status == NM_OK, producer != NULL);
    nm_kafka_close(producer);
    return status;
}

static void open__refuses_what_the_promise_hangs_on(void **state)
{
    (void)state;
    static const char *const names[] = {
        "bootstrap.servers",
        "metadata.broker.list",
        "enable.auto.commit",
        "auto.commit.enable",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "allow.auto.create.topics",
        "partition.assignment.strategy",
        "enable.idempotence",
        "acks",
        "request.required.acks",
        "partitioner",
        "delivery.timeout.ms",
        "message.timeout.ms",
        "client.rack",
        "group.instance.id",
        "message.max.bytes",
        "transactional.id",
    };
    static const char *const options[] = {"kafka.common.", "kafka.consumer.", "kafka.producer."};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (enum map map = COMMON; map <= PRODUCER; map++) {
            struct fixture f;
            struct nm_error err = {0};
            char want[80];
            (void)snprintf(want, sizeof want, "%s%s", options[map], names[i]);
            if (open_both(with(&f, map, names[i], "1"), &err) != NM_CONFIG)
                fail_msg("%s was taken", want);
            if (!strstr(err.msg, want))
                fail_msg("the sentence does not name %s: %s", want, err.msg);
        }
}

static void open__bad_properties_are_config(void **state)
{
    (void)state;
    static const struct {
        enum map map;
        const char *name, *value;
    } cases[] = {
        {COMMON, "no.such.property", "1"},
        {CONSUMER, "fetch.wait.max.ms", "soon"},
        {CONSUMER, "session.timeout.ms", "x"},
        {CONSUMER, "session.timeout.ms", "-1"},
        {PRODUCER, "retries", "0"},
        {PRODUCER, "max.in.flight", "10"},
        {PRODUCER, "compression.codec", "rar"},
        {COMMON, "security.protocol", "tls"},
        {CONSUMER, "session.timeout.ms", "400000"}, /* above max.poll.interval.ms */
        {PRODUCER, "linger.ms", "600000"},          /* above the delivery timeout */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        struct nm_error err = {0};
        if (open_both(with(&f, cases[i].map, cases[i].name, cases[i].value), &err) != NM_CONFIG)
            fail_msg("%s=%s was taken", cases[i].name, cases[i].value);
        assert_string_not_equal(err.msg, "");
    }
}

static void open__good_properties_are_taken(void **state)
{
    (void)state;
    static const struct {
        enum map map;
        const char *name, *value;
    } cases[] = {
        {COMMON, NULL, NULL},
        {COMMON, "client.id", "a"},
        {COMMON, "socket.timeout.ms", "5000"},
        {COMMON, "session.timeout.ms", "6000"}, /* of the consumer; the producer ignores it */
        {CONSUMER, "group.id", "other"},
        {CONSUMER, "isolation.level", "read_uncommitted"},
        {PRODUCER, "linger.ms", "50"},
        {PRODUCER, "compression.type", "zstd"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        struct nm_error err = {0};
        if (open_both(with(&f, cases[i].map, cases[i].name, cases[i].value), &err) != NM_OK)
            fail_msg("%s=%s: %s", cases[i].name, cases[i].value, err.msg);
    }
}

/* A message may not outlive the ownership of its partition. */
static void delivery_timeout__is_below_the_session_timeout(void **state)
{
    (void)state;
    static const struct {
        const char *session;
        long long want;
    } cases[] = {{NULL, 10000}, {"6000", 4000}, {"45000", 30000}, {"1000", 1000}, {"100", 1000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        (void)with(&f, COMMON, cases[i].session ? "session.timeout.ms" : NULL, cases[i].session);
        assert_int_equal(nm_kafka_delivery_timeout_ms(&f.settings), cases[i].want);
        (void)with(&f, COMMON, "session.timeout.ms", "30000"); /* kafka.consumer wins over kafka.common */
        if (cases[i].session) {
            session_timeout(&f, cases[i].session);
            assert_int_equal(nm_kafka_delivery_timeout_ms(&f.settings), cases[i].want);
        }
    }
}

static void group__is_the_workers_unless_the_file_says_so(void **state)
{
    (void)state;
    struct fixture f;
    char group[256];
    nm_kafka_group(with(&f, COMMON, NULL, NULL), "publish", group);
    assert_string_equal(group, "news.publish");
    nm_kafka_group(with(&f, CONSUMER, "group.id", "mine"), "publish", group);
    assert_string_equal(group, "mine");
    nm_kafka_group(with(&f, CONSUMER, "client.id", "mine"), "publish", group);
    assert_string_equal(group, "news.publish");
}

static void config_error__means_the_operator(void **state)
{
    (void)state;
    assert_true(nm_kafka_is_config_error(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED));
    assert_true(nm_kafka_is_config_error(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED));
    assert_true(nm_kafka_is_config_error(RD_KAFKA_RESP_ERR__AUTHENTICATION));
    static const rd_kafka_resp_err_t others[] = {
        RD_KAFKA_RESP_ERR_NO_ERROR,
        RD_KAFKA_RESP_ERR__TRANSPORT,
        RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
        RD_KAFKA_RESP_ERR__TIMED_OUT,
        RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
        RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(nm_kafka_is_config_error(others[i]));
}

int main(void)
{
    nm_log_setup("test", "error", true); /* that nobody listens on port 1 is no news */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__refuses_what_the_promise_hangs_on),
        cmocka_unit_test(open__bad_properties_are_config),
        cmocka_unit_test(open__good_properties_are_taken),
        cmocka_unit_test(delivery_timeout__is_below_the_session_timeout),
        cmocka_unit_test(group__is_the_workers_unless_the_file_says_so),
        cmocka_unit_test(config_error__means_the_operator),
    };
    return cmocka_run_group_tests_name("kafka", tests, NULL, NULL);
}
