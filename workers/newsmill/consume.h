/* consume.h - reads a stream without a group: from somewhere to its end as it was at the start, or on and on.
 *
 * The ends are asked once, before the first message, so that reading a stream that is written meanwhile ends. Nothing
 * is ever committed. One thread. */
#ifndef NEWSMILL_CONSUME_H
#define NEWSMILL_CONSUME_H

#include "newsmill/kafka.h"
#include "newsmill/settings.h"

#include <stdbool.h>
#include <stdint.h>

enum nm_from { NM_FROM_OLDEST, NM_FROM_END, NM_FROM_TIME, NM_FROM_LAST, NM_FROM_OFFSET };

struct nm_plan {
    const char *topic;
    enum nm_from from;
    int64_t time_ms;   /* FROM_TIME: the first message of this time or later           */
    int64_t last;      /* FROM_LAST: that many before the end of each partition        */
    int32_t partition; /* FROM_OFFSET: this partition only,                            */
    int64_t offset;    /* from this offset                                             */
    const char *key;   /* not FROM_OFFSET: only the partition of this key; NULL: all   */
    bool to_end;
};

struct nm_span {
    int32_t partition;
    int64_t oldest, from, end; /* [from, end) is read where the plan ends at the end */
    int64_t next;              /* offset that comes next */
    bool finished;
};

struct nm_consume {
    rd_kafka_t *rk;
    struct nm_plan plan;
    struct nm_span *span;
    size_t n_spans, n_open; /* spans not finished */
    int64_t moved_ms;       /* when the last message or end was seen      */
    bool down;              /* no broker can be reached; read it at will  */
    int64_t asked_ms;       /* when they were last asked                  */
    int64_t gone_ms;        /* since when they do not know the stream; 0: they do */
    size_t n_cut;           /* how often the next offset was not there any more */
};

/* NM_CONFIG: the topic or the partition does not exist, access is denied. NM_RETRY: Kafka did not answer within
 * NM_KAFKA_WAIT_MS. The plan's topic is borrowed. */
NM_MUST_USE enum nm_status nm_consume_open(const struct nm_settings *settings, const struct nm_plan *plan,
                                           struct nm_consume **out, struct nm_error *err);
void nm_consume_close(struct nm_consume *consume);
NM_DEFINE_CLEANUP(struct nm_consume, nm_consume_close)

/* The next message, or NULL: none came within wait_ms, or nm_consume_over(). Give it back with
 * rd_kafka_message_destroy(). NM_RETRY: an end is known but Kafka sent nothing for NM_KAFKA_WAIT_MS. Where none is
 * known, brokers that are away are waited for; `down` says so. NM_CONFIG: the stream is not there any more. */
NM_MUST_USE enum nm_status nm_consume_next(struct nm_consume *consume, int wait_ms, rd_kafka_message_t **out,
                                           struct nm_error *err);

/* True when every partition was read up to its end (only where the plan ends there). */
bool nm_consume_over(const struct nm_consume *consume);

#endif
