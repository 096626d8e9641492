/* test_kafka_refusal.c - what librdkafka and OpenSSL say when a broker refuses us, and what the operator is told. The
 * sentences are those of librdkafka 2.0.2 against Kafka 4.1 (tests/integration/test_secure.py has the real ones). */
#include "newsmill/kafka.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define THREAD "[thrd:sasl_ssl://127.0.0.1:9093/bootstrap]: sasl_ssl://127.0.0.1:9093/bootstrap: "

#define REFUSED                                                                                                        \
    THREAD "SASL authentication error: Authentication failed: Invalid username or password (after 302ms in state "     \
           "AUTH_REQ)"

/* A client that was closed while its password was checked. */
#define OUR_DOING                                                                                                      \
    THREAD "SASL authentication error: SaslAuthenticateRequest failed: Local: Broker handle destroyed (after 0ms in "  \
           "state DOWN)"

/* Those that say nothing for certain come first: one that does is not forgotten for them. */
static const struct {
    const char *reason;
    enum nm_status want;
    const char *address, *words;
} cases[] = {
    {THREAD "SASL authentication error: SaslAuthenticateRequest failed: Local: Broker transport failure (after 2ms in "
            "state DOWN)",
     NM_RETRY, "127.0.0.1:9093", "hung up"},
    {"ssl://127.0.0.1:9094/1: SSL handshake failed: error:0A000126:SSL routines::unexpected eof while reading (after "
     "4ms in state SSL_HANDSHAKE)",
     NM_RETRY, "127.0.0.1:9094", "security.protocol"},
    {"[thrd:127.0.0.1:9093/bootstrap]: 127.0.0.1:9093/bootstrap: Disconnected while requesting ApiVersion: might be "
     "caused by incorrect security.protocol configuration (connecting to a SSL listener?)",
     NM_RETRY, "127.0.0.1:9093", "security.protocol"},
    {REFUSED, NM_CONFIG, "127.0.0.1:9093", "sasl.password"},
    {"sasl_ssl://kafka-2.example:9093/2: SASL authentication error: Authentication failed during authentication due to "
     "invalid credentials with SASL mechanism SCRAM-SHA-512 (after 316ms in state AUTH_REQ)",
     NM_CONFIG, "kafka-2.example:9093", "sasl.password"},
    {THREAD "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported mechanisms: "
            "SCRAM-SHA-512 (after 302ms in state AUTH_HANDSHAKE)",
     NM_CONFIG, "127.0.0.1:9093", "sasl.mechanism"},
    {"ssl://[::1]:9093/1: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker "
     "certificate could not be verified, verify that ssl.ca.location is correctly configured",
     NM_CONFIG, "[::1]:9093", "ssl.ca.location"},
    {"ssl://127.0.0.1:9094/1: SSL handshake failed: error:0A00045C:SSL routines::tlsv13 alert certificate required: "
     "SSL "
     "alert number 116",
     NM_CONFIG, "127.0.0.1:9094", "ssl.certificate.location"},
    {"ssl://127.0.0.1:9094/1: SSL handshake failed: error:0A000418:SSL routines::tlsv1 alert unknown ca: SSL alert "
     "number 48",
     NM_CONFIG, "127.0.0.1:9094", "refuses the certificate"},
    {"certificate verify failed", NM_CONFIG, "at ? ", "ssl.ca.location"},
    {"a://certificate verify failed/", NM_CONFIG, "at ? ", "ssl.ca.location"},
};

/* First of all tests: nothing was noted yet. */
static void judge__without_a_reason(void **state)
{
    (void)state;
    struct nm_error err = {.msg = "as it was"};
    nm_kafka_note_error("127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused");
    nm_kafka_note_error("");
    nm_kafka_note_error(OUR_DOING);
    for (int status = NM_OK; status <= NM_FATAL; status++)
        assert_int_equal(nm_kafka_judge((enum nm_status)status, &err), status);
    assert_string_equal(err.msg, "as it was");
}

static void judge__table(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_error err = {0};
        nm_kafka_note_error(cases[i].reason);
        enum nm_status status = nm_kafka_judge(NM_RETRY, &err);
        if (status != cases[i].want || !strstr(err.msg, cases[i].address) || !strstr(err.msg, cases[i].words)) {
            print_error("'%s': got %d: %s\n", cases[i].reason, (int)status, err.msg);
            bad++;
        }
        assert_int_equal(nm_kafka_judge(NM_OK, NULL), status == NM_CONFIG ? NM_CONFIG : NM_OK);
    }
    assert_int_equal(bad, 0);
}

/* Who waits for an answer is told even before the time is over, also when the broker hung up afterwards. */
static void judge__other_statuses(void **state)
{
    (void)state;
    struct nm_error err = {0};
    nm_kafka_note_error(REFUSED);
    for (size_t i = 0; cases[i].want == NM_RETRY; i++)
        nm_kafka_note_error(cases[i].reason);
    nm_kafka_note_error(OUR_DOING);
    assert_int_equal(nm_kafka_judge(NM_OK, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "sasl.password"));
    assert_int_equal(nm_kafka_judge(NM_RETRY, NULL), NM_CONFIG);
    assert_int_equal(nm_kafka_judge(NM_FATAL, NULL), NM_FATAL);
    assert_int_equal(nm_kafka_judge(NM_BAD_INPUT, NULL), NM_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judge__without_a_reason),
        cmocka_unit_test(judge__table),
        cmocka_unit_test(judge__other_statuses),
    };
    return cmocka_run_group_tests_name("kafka_refusal", tests, NULL, NULL);
}
