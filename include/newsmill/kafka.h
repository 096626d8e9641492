/* kafka.h - librdkafka clients as every program of newsmill opens them, and small helpers around them.
 *
 * The properties are those measured for librdkafka 2.0.2 (README.md of common/ lists them with reasons): idempotent
 * producer, murmur2 partitioner as Java clients have it, explicit offsets only, assignor `range`, no automatic commit,
 * no automatic topics. The option file's kafka.common / consumer / producer maps go on top; those that the delivery
 * promise hangs on cannot be changed there. Log lines of the library become nm_log lines. */
#ifndef NEWSMILL_KAFKA_H
#define NEWSMILL_KAFKA_H

#include "newsmill/settings.h"
#include "newsmill/status.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

/* What a caller may hook into; every member may be NULL. `opaque` comes back in each call. */
struct nm_kafka_hooks {
    void (*rebalance)(rd_kafka_t *rk, rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t *list, void *opaque);
    void (*report)(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);
    void (*error)(rd_kafka_t *rk, int code, const char *reason, void *opaque);
    void (*committed)(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque);
    void *opaque;
};

void nm_kafka_close(rd_kafka_t *rk); /* destroys without leaving a group cleanly; NULL is fine */
NM_DEFINE_CLEANUP(rd_kafka_t, nm_kafka_close)

/* A consumer in `group` (not subscribed yet), or with group NULL one for rd_kafka_assign() only: nothing is ever
 * committed. NM_CONFIG: a property that librdkafka refuses, or one that may not be changed. */
NM_MUST_USE enum nm_status nm_kafka_consumer_open(const struct nm_settings *settings, const char *group,
                                                  const struct nm_kafka_hooks *hooks, rd_kafka_t **out,
                                                  struct nm_error *err);
/* A consumer without a group, for rd_kafka_consume_start_queue(): for single records, so it fetches little ahead. */
NM_MUST_USE enum nm_status nm_kafka_reader_open(const struct nm_settings *settings, rd_kafka_t **out,
                                                struct nm_error *err);
NM_MUST_USE enum nm_status nm_kafka_producer_open(const struct nm_settings *settings,
                                                  const struct nm_kafka_hooks *hooks, rd_kafka_t **out,
                                                  struct nm_error *err);

/* How long a message may wait for its delivery: two thirds of the consumer's session timeout, so that a worker that was
 * stopped cannot send after its successor took over. */
long long nm_kafka_delivery_timeout_ms(const struct nm_settings *settings);

/* The group of a worker: group.id of kafka.consumer, else "<namespace>.<worker>". Appends to out[256]. */
void nm_kafka_group(const struct nm_settings *settings, const char *worker, char out[256]);

/* Number of partitions of a topic, asked from the cluster, which also warms the client up for it.
 * NM_RETRY: no answer in time; NM_CONFIG: the topic does not exist, or access is denied. timeout_ms > 0. */
NM_MUST_USE enum nm_status nm_kafka_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, int32_t *out,
                                               struct nm_error *err);

/* Oldest and end offset of one partition. NM_RETRY on failure. */
NM_MUST_USE enum nm_status nm_kafka_ends(rd_kafka_t *rk, const char *topic, int32_t partition, int timeout_ms,
                                         int64_t *oldest, int64_t *end, struct nm_error *err);

/* True for errors after which the operator must act (authorisation, authentication, unsupported version). */
bool nm_kafka_is_config_error(rd_kafka_resp_err_t code);

/* Has a byte written to eventfd `fd` whenever something comes into the empty queue, which is given up here. */
void nm_kafka_wake(rd_kafka_queue_t *queue, int fd);

/* Keeps why a broker refuses this process, or the process a broker (credentials, certificates), where that is what
 * `reason` says: librdkafka's words, as hooks->error gets them. A client without that hook does it by itself.
 * Any thread. */
void nm_kafka_note_error(const char *reason);
/* NM_OK or NM_RETRY becomes NM_CONFIG with a sentence where a broker refused this process within the last minute, since
 * no answer will ever come. Otherwise NM_RETRY of a question to Kafka gets a better sentence than "timed out", where
 * one is known, and every other status stays as it is. */
NM_MUST_USE enum nm_status nm_kafka_judge(enum nm_status status, struct nm_error *err);

/* The last header of that name as text, cut to size-1 bytes, "" where there is none. Returns its full length, or -1. */
long nm_kafka_header(const rd_kafka_message_t *message, const char *name, char *out, size_t size);

#endif
