/* streams.h - the streams as the brokers have them, compared with the option file.
 *
 * One thread; every call waits at most NM_KAFKA_WAIT_MS for Kafka. */
#ifndef NEWSMILL_STREAMS_H
#define NEWSMILL_STREAMS_H

#include "newsmill/kafka.h"
#include "newsmill/settings.h"

#include <stdbool.h>
#include <stdint.h>

#define NM_MAX_DIFFERENCES 8

struct nm_difference {
    const char *setting;
    char broker[64], file[64];
};

struct nm_stream_state {
    const char *topic;                                 /* borrowed from the settings */
    int64_t retention_ms, max_message_bytes, messages; /* messages: ends minus oldest, all partitions */
    struct nm_difference difference[NM_MAX_DIFFERENCES];
    size_t n_differences;
    enum nm_stream stream;
    int partitions, replication; /* replication: the least of any partition */
    char cleanup[64], timestamps[64];
    bool present, created;
};

/* What the brokers have, for every stream, with the differences. NM_RETRY: no answer in time. NM_CONFIG: not allowed.
 */
NM_MUST_USE enum nm_status nm_streams_look(rd_kafka_t *rk, const struct nm_settings *settings,
                                           struct nm_stream_state out[NM_N_STREAMS], struct nm_error *err);

/* Creates the streams that `state` shows as missing and waits until their partitions have leaders. state[i].created is
 * set for those that this call made. NM_CONFIG: the brokers refuse (the message says why). */
NM_MUST_USE enum nm_status nm_streams_create(rd_kafka_t *rk, const struct nm_settings *settings,
                                             struct nm_stream_state state[NM_N_STREAMS], struct nm_error *err);

/* "compact" for records, else "delete". */
const char *nm_stream_cleanup(enum nm_stream stream);

#endif
