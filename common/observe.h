/* observe.h - the state of observe.c; one thread. */
#ifndef NM_OBSERVE_H
#define NM_OBSERVE_H

#include "newsmill/admin.h"
#include "newsmill/announce.h"
#include "newsmill/watchdog.h"
#include "runtime_metrics.h"

struct nm_observer {
    struct nm_metrics *metrics;
    struct nm_runtime_metrics rm;
    struct nm_admin *admin;
    struct nm_watchdog *watchdog;
    enum nm_phase phase; /* of the loop, now */
    int64_t phase_at_ns;
    int64_t started_ms;             /* wall clock */
    int64_t reported_ms, failed_ms; /* boot time  */
    struct nm_partition_report *report;
    char retrying[300], stalled[320], redis_address[300];
    struct nm_pipe pipe; /* the announcement that is in flight */
    struct nm_buf json;
    bool waiting, announced_ready;
    int64_t announced_ms;
    size_t end_turn; /* partition whose end is asked for next */
};

#endif
