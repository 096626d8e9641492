/* ask.h - questions to Kafka that are asked again until a deadline.
 *
 * A topic that was just created, or whose leader just moved, answers "not leader" for a moment. One thread. */
#ifndef NEWSMILL_ASK_H
#define NEWSMILL_ASK_H

#include "newsmill/kafka.h"

#include <stdint.h>

/* nm_kafka_partitions() and nm_kafka_ends(), repeated while they say NM_RETRY and deadline_ms (of nm_boottime_ms())
 * is not over. Their statuses; NM_RETRY also after a signal. */
NM_MUST_USE enum nm_status nm_ask_partitions(rd_kafka_t *rk, const char *topic, int64_t deadline_ms, int32_t *out,
                                             struct nm_error *err);
NM_MUST_USE enum nm_status nm_ask_ends(rd_kafka_t *rk, const char *topic, int32_t partition, int64_t deadline_ms,
                                       int64_t *oldest, int64_t *end, struct nm_error *err);

/* All topics of the cluster, to be given to rd_kafka_metadata_destroy(). The same statuses; NM_CONFIG also as soon as a
 * broker says that it refuses us. */
NM_MUST_USE enum nm_status nm_ask_topics(rd_kafka_t *rk, int64_t deadline_ms, const struct rd_kafka_metadata **out,
                                         struct nm_error *err);

/* Milliseconds until the deadline, at least 1, as Kafka's calls take them. */
int nm_ask_time_left(int64_t deadline_ms);

#endif
