/* runtime_metrics.h - what the runtime measures: the handles of every series whose labels are known at start, and
 * functions for those whose labels come with the work. Streams are named by their short word ("raw"). One thread. */
#ifndef NM_RUNTIME_METRICS_H
#define NM_RUNTIME_METRICS_H

#include "newsmill/metrics.h"
#include "newsmill/worker.h"

#include <stdint.h>

enum nm_outcome { NM_OUTCOME_OK, NM_OUTCOME_DEAD, NM_OUTCOME_STALE, NM_N_OUTCOMES };
enum nm_dependency { NM_DEPENDENCY_REDIS, NM_DEPENDENCY_KAFKA, NM_N_DEPENDENCIES };
enum nm_phase {
    NM_PHASE_POLL,
    NM_PHASE_PROCESS,
    NM_PHASE_REDIS,
    NM_PHASE_PRODUCE,
    NM_PHASE_ACK,
    NM_PHASE_COMMIT,
    NM_PHASE_BESIDE,
    NM_PHASE_IDLE,
    NM_N_PHASES
};

struct nm_runtime_metrics {
    struct nm_metrics *metrics;
    struct nm_series *events[NM_N_STREAMS][NM_N_OUTCOMES]; /* of the inputs; NULL elsewhere           */
    struct nm_series *messages_out[NM_N_STREAMS];          /* of the outputs and dead; NULL elsewhere */
    struct nm_series *retries[NM_N_DEPENDENCIES];
    struct nm_series *loop_seconds[NM_N_PHASES]; /* seconds */
    struct nm_series *batch_items;               /* histogram: items of a batch                             */
    struct nm_series *redis_seconds;             /* histogram: one pipeline, from sending to the last reply */
    struct nm_series *produce_seconds;           /* histogram: from the first message of a batch to its last report */
    struct nm_series *in_flight_items, *in_flight_bytes, *paused_partitions, *breaker_open; /* gauges */
    struct nm_series *rebalances, *state_losses;                                            /* counters */
};

/* Makes every series above, with 0, so that rates are right from the first event on. metrics may be NULL: then
 * everything is harmless. */
void nm_runtime_metrics_init(struct nm_runtime_metrics *rm, struct nm_metrics *metrics, const struct nm_worker *worker);

/* lag_messages and lag_seconds of a partition; a negative value is unknown and takes its series from the page. */
void nm_runtime_metrics_lag(struct nm_runtime_metrics *rm, enum nm_stream stream, int32_t partition, int64_t messages,
                            int64_t lag_ms);
/* Takes both from the page: the partition was given back or lost. */
void nm_runtime_metrics_give_back(struct nm_runtime_metrics *rm, enum nm_stream stream, int32_t partition);
/* set_members of a set of the worker, by its name. */
void nm_runtime_metrics_set(struct nm_runtime_metrics *rm, const char *set, int64_t members);
/* dead_total of a dead-letter code. */
void nm_runtime_metrics_dead(struct nm_runtime_metrics *rm, const char *code);

#endif
