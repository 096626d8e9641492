/* report.h - how a worker is: what its thread tells the admin endpoint and `newsmill ps` a few times a second.
 *
 * Plain data, filled by the runtime, borrowed for the time of one call. No secret has a place in it. */
#ifndef NEWSMILL_REPORT_H
#define NEWSMILL_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nm_partition_report {
    const char *stream; /* short word: "raw" */
    int32_t partition;
    int64_t next, committed, end; /* offsets; -1: unknown                                 */
    size_t in_flight;             /* items taken from Kafka and not finished              */
    bool paused;
    int64_t lag_ms; /* age of the next message; 0 without lag, -1: unknown */
};

struct nm_report {
    bool joined; /* the group gave an assignment (which may be empty) and its positions are known */
    bool redis_ok, kafka_ok;
    const char *retrying;      /* one sentence: what is being tried again; NULL: nothing        */
    const char *not_live;      /* why this process should be replaced; NULL: it is well         */
    const char *redis_address; /* host:port, without credentials; NULL: not known               */
    uint64_t redis_connects;   /* good connections since start                                  */
    const struct nm_partition_report *partition;
    size_t n_partitions;
};

/* Joined, and Redis and Kafka answer. */
bool nm_report_ready(const struct nm_report *report);
/* Messages between `next` and `end` of every partition where both are known. */
int64_t nm_report_lag(const struct nm_report *report);

#endif
