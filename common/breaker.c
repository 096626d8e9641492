/* breaker.c - see breaker.h; and how works are judged by it.
 *
 * A worker that rejects everything is more likely wrong than its input. Judging comes before the dead letters of a
 * batch are sent, and the letters of a streak that reaches the end of a batch wait for the verdicts on the events that
 * follow (which the consumer has at hand when the partition is behind), so that of the streak that trips the breaker
 * nothing was sent or committed, whatever the size of a batch. At the end of a partition there is nothing to wait for.
 */
#include "breaker.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define HOLD_MS         1000 /* longest wait of a streak for what follows it, ... */
#define HOLD_OF_SESSION 8    /* ... and this part of the session at most: what was asked of Redis grows old meanwhile */

void nm_breaker_clear(struct nm_breaker *breaker)
{
    free(breaker->ring);
    *breaker = (struct nm_breaker){0};
}

static bool ring_swap(struct nm_breaker *breaker, size_t window, bool dead)
{
    unsigned char bit = (unsigned char)(1u << (breaker->at & 7)), *byte = &breaker->ring[breaker->at >> 3];
    bool was = (*byte & bit) != 0;
    *byte = (unsigned char)(dead ? *byte | bit : *byte & ~bit);
    breaker->at = (breaker->at + 1) % window;
    return was;
}

bool nm_breaker_count(struct nm_breaker *breaker, const struct nm_breaker_limits *limits, int64_t offset, bool dead)
{
    if (!dead)
        breaker->streak = 0;
    else if (breaker->streak++ == 0)
        breaker->streak_begin = offset;
    if (!breaker->ring)
        breaker->ring = calloc(1, limits->window / 8 + 1);
    if (breaker->ring) {
        bool was = ring_swap(breaker, limits->window, dead);
        if (breaker->n < limits->window)
            breaker->n++;
        else if (was)
            breaker->n_dead--;
        if (dead)
            breaker->n_dead++;
    }
    return breaker->streak < limits->consecutive &&
           (breaker->n < limits->window || (double)breaker->n_dead <= limits->ratio * (double)limits->window);
}

static enum nm_status tripped(const struct nm_runtime *rt, const struct nm_partition *part, const struct nm_item *item,
                              struct nm_error *err)
{
    nm_series_set(rt->observer.rm.breaker_open, 1);
    const struct nm_breaker *breaker = &part->breaker;
    char what[100];
    bool streak = breaker->streak >= rt->breaker_limits.consecutive;
    if (streak)
        (void)snprintf(what, sizeof what, "the last %zu events, from offset %" PRId64 " on,", breaker->streak,
                       breaker->streak_begin);
    else
        (void)snprintf(what, sizeof what, "%zu of the last %zu events", breaker->n_dead, breaker->n);
    return nm_fail(err, NM_FATAL,
                   "%.80s/%d: %s cannot be processed (the last: %s); stopped before %s sent to the dead letters. Mend "
                   "the cause, or raise runtime.breaker.%s",
                   nm_partition_topic(rt, part), part->id, what, item->dead->code,
                   streak ? "any of them was" : "this batch was", streak ? "consecutive" : "ratio");
}

enum nm_status nm_work_judge(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    work->judged = true;
    work->judged_ms = nm_boottime_ms();
    for (size_t i = 0; i < work->batch.n_items; i++) {
        const struct nm_item *item = &work->batch.item[i];
        if (item->set)
            continue;
        struct nm_partition *part = nm_item_partition(rt, item);
        if (!part)
            continue;
        bool dead = item->verdict == NM_REJECTED;
        nm_work_span(work, (size_t)(part - rt->part))->ends_dead = dead;
        if (!nm_breaker_count(&part->breaker, &rt->breaker_limits, item->offset, dead) && dead) {
            nm_guard_end(rt); /* a stop and no crash, however often a supervisor starts us again */
            return tripped(rt, part, item, err);
        }
    }
    return NM_OK;
}

static bool more_to_come(struct nm_runtime *rt, const struct nm_partition *part)
{
    int64_t low = 0, high = 0; /* as the consumer knows them, without asking */
    if (rd_kafka_get_watermark_offsets(rt->consumer, nm_partition_topic(rt, part), part->id, &low, &high))
        return false;
    return high > part->polled;
}

bool nm_work_held(struct nm_runtime *rt, const struct nm_work *work)
{
    int64_t most_ms =
        rt->session_timeout_ms / HOLD_OF_SESSION < HOLD_MS ? rt->session_timeout_ms / HOLD_OF_SESSION : HOLD_MS;
    if (nm_boottime_ms() - work->judged_ms >= most_ms || nm_stop_requested || rt->rebalance != NM_REBALANCE_NONE)
        return false;
    if (rt->suspicious || nm_window_full(rt)) /* nothing that could tell is taken meanwhile */
        return false;
    for (size_t i = 0; i < work->n_spans; i++) {
        const struct nm_span *span = &work->span[i];
        const struct nm_partition *part = &rt->part[span->part];
        bool open = span->ends_dead && part->breaker.streak && part->breaker.streak_begin < span->next.next;
        if (open && (part->polled > span->next.next || more_to_come(rt, part)))
            return true;
    }
    return false;
}
