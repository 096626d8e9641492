/* kafka_refusal.c - a broker that refuses us, or whose certificate we refuse: told in one sentence.
 *
 * librdkafka tries for ever and tells the reason only to the error hook, else in its log; a question that was asked
 * meanwhile just times out. So the last such reason is kept, for the whole process (all of its clients have the same
 * settings), and whoever ends with NM_RETRY looks whether that was why. A broker that refuses also hangs up, now and
 * then before it could say why: that does not take the place of a refusal that still holds. The words are those of
 * librdkafka 2.0 to 2.8 and of OpenSSL; what is not among them stays NM_RETRY.
 * Threads: librdkafka's own call nm_kafka_note_error(); a mutex guards what is kept. */
#include "newsmill/clock.h"
#include "newsmill/kafka.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define KEPT_MS     60000                            /* librdkafka repeats a reason that holds on at least every 30 s */
#define SCRAM_WORKS 0x020601ff                       /* librdkafka 2.6.1 */
#define OUR_DOING   "Local: Broker handle destroyed" /* what was in flight when this process closed its client */

struct refusal {
    const char *words, *advice;
    enum nm_status status;
    int before; /* version of librdkafka, as rd_kafka_version() tells it; 0: any */
};

static const struct refusal refusals[] = {
    {"SaslAuthenticateRequest failed: Local:", "hung up while the password was checked", NM_RETRY, 0},
    {"Unsupported SASL mechanism", "does not offer sasl.mechanism of kafka.common", NM_CONFIG, 0},
    {"with SASL mechanism SCRAM",
     "refuses sasl.username or sasl.password of kafka.common, or is a Kafka 4, with which SCRAM needs librdkafka 2.6.1 "
     "or newer (PLAIN over TLS works with older ones)",
     NM_CONFIG, SCRAM_WORKS},
    {"SASL authentication error:", "refuses sasl.username or sasl.password of kafka.common", NM_CONFIG, 0},
    {"certificate verify failed",
     "has a certificate that cannot be verified: set ssl.ca.location in kafka.common to the PEM file of the authority "
     "that signed it, and give kafka.brokers names that stand in it",
     NM_CONFIG, 0},
    {"alert certificate required", "asks for a certificate: set ssl.certificate.location and ssl.key.location",
     NM_CONFIG, 0},
    {"alert bad certificate", "refuses the certificate of ssl.certificate.location or ssl.keystore.location", NM_CONFIG,
     0},
    {"alert certificate unknown", "refuses the certificate of ssl.certificate.location or ssl.keystore.location",
     NM_CONFIG, 0},
    {"alert unknown ca", "refuses the certificate of ssl.certificate.location or ssl.keystore.location", NM_CONFIG, 0},
    {"alert certificate expired",
     "refuses the certificate of ssl.certificate.location or ssl.keystore.location: it has expired", NM_CONFIG, 0},
    {"security.protocol", "hangs up: is security.protocol of kafka.common the one of this port?", NM_RETRY, 0},
    {"SSL handshake failed", "hangs up: is security.protocol of kafka.common the one of this port?", NM_RETRY, 0},
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const struct refusal *kept;
static char kept_address[100];
static int64_t kept_at_ms;

/* The host and port in "[thrd:NAME]: sasl_ssl://host:port/1: REASON", where the thread and the scheme may be missing;
 * "?" where it is none. */
static void find_address(const char *text, char *out, size_t size)
{
    const char *thread = text[0] == '[' ? strstr(text, "]: ") : NULL;
    const char *from = thread ? thread + 3 : text;
    const char *scheme = strstr(from, "://");
    from = scheme ? scheme + 3 : from;
    size_t len = strcspn(from, "/ ");
    bool found = from[len] == '/' && memchr(from, ':', len);
    (void)snprintf(out, size, "%.*s", found ? (int)(len < size ? len : size - 1) : 1, found ? from : "?");
}

static bool holds(void)
{
    return kept && nm_boottime_ms() - kept_at_ms < KEPT_MS;
}

void nm_kafka_note_error(const char *reason)
{
    if (strstr(reason, OUR_DOING))
        return;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (!strstr(reason, refusals[i].words) || (refusals[i].before && rd_kafka_version() >= refusals[i].before))
            continue;
        (void)pthread_mutex_lock(&mutex);
        if (refusals[i].status == NM_CONFIG || !holds() || kept->status != NM_CONFIG) {
            kept = &refusals[i];
            kept_at_ms = nm_boottime_ms();
            find_address(reason, kept_address, sizeof kept_address);
        }
        (void)pthread_mutex_unlock(&mutex);
        return;
    }
}

enum nm_status nm_kafka_judge(enum nm_status status, struct nm_error *err)
{
    if (status != NM_OK && status != NM_RETRY)
        return status;
    (void)pthread_mutex_lock(&mutex);
    if (holds() && (kept->status == NM_CONFIG || status == NM_RETRY))
        status = nm_fail(err, kept->status, "Kafka at %s %s", kept_address, kept->advice);
    (void)pthread_mutex_unlock(&mutex);
    return status;
}
