/* loop.c - the worker's life: move what is in flight as far as it goes, take more, sleep until a message, a report, an
 * answer of Redis or a timer; and when a dependency fails drop everything above wm, back off and begin again from
 * there. The consumer is polled all the time, so that the group keeps its member.
 *
 * Stopping and giving partitions back: nothing new is taken, what is under way is finished within runtime.drainMs, its
 * offsets are committed. A second signal, or runtime.stopMs, ends the process at once (which is harmless: nothing is
 * acknowledged before its time). */
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 5000
#define FLUSH_MS       5    /* sends at once what lingers */
#define LOOK_MS        1000 /* at least, for what was sent before partitions are left */

/* ---- moving ---- */

static enum nm_status pump(struct nm_runtime *rt, bool *idle, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    *idle = false;
    nm_observe_phase(rt, NM_PHASE_ACK);
    if (rt->producer)
        (void)rd_kafka_poll(rt->producer, 0);
    nm_observe_phase(rt, NM_PHASE_REDIS);
    if (nm_redis_in_flight(rt->redis))
        status = nm_redis_advance(rt->redis, err);
    nm_observe_phase(rt, NM_PHASE_PROCESS);
    if (status == NM_OK)
        status = nm_works_advance(rt, err);
    nm_observe_phase(rt, NM_PHASE_COMMIT);
    if (status == NM_OK)
        status = nm_positions_advance(rt, idle, err);
    *idle = *idle && rt->n_works == 0;
    nm_observe_phase(rt, NM_PHASE_BESIDE);
    return status == NM_OK ? nm_beside_turn(rt, true, idle, err) : status;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Sleeps until something happens, NM_POLL_MS at most. */
static void wait_for_something(struct nm_runtime *rt, int64_t until_ms)
{
    int64_t left_ms = least(until_ms - nm_boottime_ms(), NM_POLL_MS);
    struct pollfd fd[2 + NM_BESIDE_FDS] = {{.fd = rt->wake_fd, .events = POLLIN}, {.fd = -1}};
    if (nm_redis_alive(rt->redis) && nm_redis_in_flight(rt->redis)) {
        fd[1].fd = nm_redis_fd(rt->redis);
        fd[1].events = (short)(POLLIN | (nm_redis_wants_write(rt->redis) ? POLLOUT : 0));
    }
    size_t n_fds = 2 + nm_beside_fds(rt, fd + 2);
    nm_observe_phase(rt, NM_PHASE_IDLE);
    if (left_ms > 0 && poll(fd, n_fds, (int)left_ms) > 0 && (fd[0].revents & POLLIN)) {
        uint64_t n;
        (void)!read(rt->wake_fd, &n, sizeof n);
    }
}

static enum nm_status pump_until_idle(struct nm_runtime *rt, int64_t ms, struct nm_error *err)
{
    int64_t until_ms = nm_boottime_ms() + ms;
    struct nm_work *filling = nm_work_filling(rt);
    if (filling) /* polled but not begun: whoever comes next reads it again */
        nm_work_release(rt, filling);
    for (;;) {
        bool idle;
        nm_watchdog_beat(rt->observer.watchdog);
        enum nm_status status = pump(rt, &idle, err);
        if (status != NM_OK || idle)
            return status;
        if (nm_boottime_ms() >= until_ms)
            return nm_fail(err, NM_RETRY, "%zu events were not finished within runtime.drainMs", rt->in_flight_items);
        if (rt->producer && rd_kafka_outq_len(rt->producer))
            (void)rd_kafka_flush(rt->producer, FLUSH_MS);
        else
            wait_for_something(rt, least(until_ms, nm_beside_deadline_ms(rt)));
    }
}

/* Finishes what is in flight, without taking more, until ms passed. */
static enum nm_status drain(struct nm_runtime *rt, int64_t ms, struct nm_error *err)
{
    rt->draining = true;
    enum nm_status status = pump_until_idle(rt, ms, err);
    rt->draining = false;
    return status;
}

/* What is in flight only looks (at sets, the group, wm) or announces: its answers cost less than another connection.
 * The commands of a batch are not waited for: what of them is still unsent must not be applied any more. */
static bool only_looks(const struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_works; i++)
        if (rt->order[i]->waiting && !nm_pipe_done(rt->order[i]->batch.pipe))
            return false;
    return !rt->wm_waiting || rt->wm_looks;
}

/* Where Kafka refused something there is nothing to wait for: the others may never be reported either. */
static bool some_sent(const struct nm_runtime *rt)
{
    bool some = false;
    for (size_t i = 0; i < rt->n_works; i++) {
        const struct nm_work *work = rt->order[i];
        if (work->n_failed > 0)
            return false;
        some = some || work->stage == NM_STAGE_SENT || work->stage == NM_STAGE_REPORTED || work->round > 0;
    }
    return some;
}

/* Before works are dropped by a process that others may have replaced: what it sent late may lie above what they sent,
 * with nobody else to look. Finishes the works that were sent, as far as Redis and Kafka allow; of their partitions
 * neither wm nor the commit moves. */
static void look_at_sent(struct nm_runtime *rt, int64_t ms)
{
    if (!rt->producer || !nm_redis_alive(rt->redis) || !some_sent(rt))
        return;
    struct nm_error why = {0};
    rt->fenced = true;
    if (drain(rt, ms, &why) != NM_OK)
        nm_log(NM_DEBUG, "retry", "what was sent last is not looked at: %s", why.msg);
    rt->fenced = false;
}

enum nm_status nm_drain_to_leave(struct nm_runtime *rt, const char *event, struct nm_error *err)
{
    int64_t by_ms = nm_boottime_ms() + rt->settings.runtime.drain_ms;
    struct nm_error why = {0};
    enum nm_status status = drain(rt, rt->settings.runtime.drain_ms, &why);
    if (status == NM_RETRY) {
        nm_log(NM_WARN, event, "%s: whoever owns the partitions next reads it again", why.msg);
        int64_t left_ms = by_ms - nm_boottime_ms();
        look_at_sent(rt, left_ms > LOOK_MS ? left_ms : LOOK_MS);
    } else if (status != NM_OK && err)
        *err = why;
    return status;
}

void nm_drop_all(struct nm_runtime *rt)
{
    bool sent = false;
    if (only_looks(rt) && nm_redis_in_flight(rt->redis) && nm_redis_settle(rt->redis, NULL) != NM_OK)
        nm_log(NM_DEBUG, "redis", "the last looks were not answered");
    while (rt->n_works) {
        sent = sent || rt->order[0]->outstanding || rt->order[0]->stage == NM_STAGE_SENT;
        nm_work_release(rt, rt->order[0]);
    }
    if (sent)
        nm_producer_drop(rt);            /* else it holds nothing of them */
    if (nm_redis_in_flight(rt->redis)) { /* their answers must not be waited for, nor read as others' */
        nm_redis_close(rt->redis);
        rt->redis = NULL;
    }
    rt->wm_waiting = rt->wm_looks = rt->peers.waiting = rt->observer.waiting = false;
    nm_beside_drop(rt);
    nm_sets_reset(rt);
    nm_assignment_drop(rt);
}

/* ---- failing ---- */

/* Serves the group for a while without taking work. */
static enum nm_status idle(struct nm_runtime *rt, int64_t ms, struct nm_error *err)
{
    int64_t until_ms = nm_boottime_ms() + ms;
    enum nm_status status = NM_OK;
    while (status == NM_OK && !nm_stop_requested && rt->rebalance == NM_REBALANCE_NONE) {
        int64_t left_ms = until_ms - nm_boottime_ms();
        if (left_ms <= 0)
            break;
        bool got;
        status = nm_poll_idle(rt, (int)least(left_ms, NM_POLL_MS), &got, err);
        if (status == NM_OK)
            status = nm_beside_turn(rt, false, &got, err);
        if (status == NM_OK)
            status = nm_observe_tick(rt, err);
    }
    return status;
}

/* Full jitter: anything from nothing to the bound, which doubles. */
static int64_t backoff_ms(unsigned failures)
{
    int64_t most = BACKOFF_MIN_MS << (failures < 8 ? failures : 7);
    return BACKOFF_MIN_MS / 5 + random() % least(most, BACKOFF_MAX_MS);
}

static enum nm_status recover(struct nm_runtime *rt, const struct nm_error *why, struct nm_error *err)
{
    rt->failures++;
    nm_observe_retry(rt, why);
    nm_log_again(NM_WARN, "retry", "%s; dropping what is in memory and going on from the watermark (%u in a row)",
                 why->msg, rt->failures);
    look_at_sent(rt, rt->settings.runtime.drain_ms);
    nm_drop_all(rt);
    enum nm_status status = idle(rt, backoff_ms(rt->failures), err);
    if (status != NM_RETRY)
        return status;
    nm_drop_all(rt); /* an announcement, or one more of the consumer's errors: the same beginning mends it */
    return NM_OK;
}

#ifdef NM_CHAOS
/* Negative control: the batches that met a lost connection are tried again on the next one. */
static enum nm_status retry_same_batches(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_RETRY;
    while (status == NM_RETRY && !nm_stop_requested) {
        status = nm_redis_reconnect(rt, err);
        if (status == NM_OK)
            status = nm_positions_adopt(rt, err);
    }
    nm_sets_reset(rt);
    for (size_t i = 0; status == NM_OK && i < rt->n_works; i++) {
        struct nm_work *work = rt->order[i];
        if (work->stage == NM_STAGE_FILLING || work->stage == NM_STAGE_DONE)
            continue;
        for (size_t k = 0; k < work->batch.n_items; k++)
            work->batch.item[k].verdict = NM_UNSET;
        status = nm_work_start(rt, work, err);
    }
    return status;
}
#endif

/* ---- the loop ---- */

/* An idle worker, too, must see that Redis went away: a lost connection is a new assignment. */
static enum nm_status get_redis(struct nm_runtime *rt, struct nm_error *err)
{
    if (nm_redis_alive(rt->redis) && (nm_redis_in_flight(rt->redis) || nm_redis_probe(rt->redis)))
        return NM_OK;
#ifdef NM_CHAOS
    if (nm_control_is(NM_CONTROL_RETRY_BATCH) && rt->resolved)
        return retry_same_batches(rt, err);
#endif
    if (rt->resolved || rt->n_works)
        return nm_fail(err, NM_RETRY, "the connection to Redis was lost");
    return nm_redis_reconnect(rt, err);
}

/* Everything that must stand before work is taken. *ready: false when there is no assignment yet. */
static enum nm_status get_ready(struct nm_runtime *rt, bool *ready, struct nm_error *err)
{
    *ready = false;
    enum nm_status status = nm_rebalance_serve(rt, err);
    if (status == NM_OK && !rt->producer)
        status = nm_producer_start(rt, err);
    if (status == NM_OK)
        status = get_redis(rt, err);
    if (status == NM_OK && rt->member && !rt->resolved)
        status = nm_assignment_resolve(rt, err);
    *ready = status == NM_OK && rt->member;
    return status;
}

/* Looks at the records below wm before anything is taken. */
static enum nm_status verify(struct nm_runtime *rt, struct nm_error *err)
{
    bool got;
    wait_for_something(rt, nm_boottime_ms() + NM_POLL_MS);
    enum nm_status status = nm_poll_idle(rt, 0, &got, err);
    if (status != NM_OK || rt->rebalance != NM_REBALANCE_NONE)
        return status;
    return nm_resume_verified(rt, err);
}

static int64_t next_timer_ms(const struct nm_runtime *rt)
{
    int64_t at_ms = least(nm_fill_deadline_ms(rt), least(nm_sets_deadline_ms(rt), nm_group_deadline_ms(rt)));
    at_ms = least(at_ms, nm_beside_deadline_ms(rt));
    return nm_redis_in_flight(rt->redis) ? least(at_ms, nm_redis_deadline_ms(rt->redis)) : at_ms;
}

static enum nm_status work(struct nm_runtime *rt, struct nm_error *err)
{
    bool nothing, busy = false;
    enum nm_status status = pump(rt, &nothing, err);
    if (status == NM_OK)
        status = nm_group_advance(rt, err);
    if (status == NM_OK)
        status = nm_resume_rebuilt(rt, err);
    if (status == NM_OK && rt->resolved)
        status = nm_sets_advance(rt, err);
    if (status == NM_OK && rt->resolved)
        status = nm_witness_advance(rt, err);
    nm_observe_phase(rt, NM_PHASE_POLL);
    if (status == NM_OK && rt->resolved)
        status = nm_fill(rt, &busy, err);
    nm_observe_phase(rt, NM_PHASE_PROCESS);
    if (status == NM_OK)
        status = nm_works_advance(rt, err);
    nm_observe_phase(rt, NM_PHASE_COMMIT);
    if (status == NM_OK && nm_boottime_ms() - rt->last_commit_ms >= rt->settings.runtime.commit_ms)
        status = nm_commit(rt, false, err);
    if (status == NM_OK && rt->suspicious && rd_kafka_outq_len(rt->producer))
        (void)rd_kafka_flush(rt->producer, FLUSH_MS); /* one event at a time: no other would share its message set */
    else if (status == NM_OK && !busy && rt->rebalance == NM_REBALANCE_NONE)
        wait_for_something(rt, next_timer_ms(rt));
    return status;
}

static enum nm_status turn(struct nm_runtime *rt, struct nm_error *err)
{
    bool ready;
    enum nm_status status = get_ready(rt, &ready, err);
    if (status != NM_OK)
        return status;
    if (!ready && nm_redis_in_flight(rt->redis)) /* announcements, while nobody works */
        status = nm_redis_advance(rt->redis, err);
    if (status != NM_OK)
        return status;
    if (!ready)
        return idle(rt, NM_POLL_MS, err);
    return rt->verifying ? verify(rt, err) : work(rt, err);
}

static enum nm_status stop(struct nm_runtime *rt, struct nm_error *err)
{
    if (!rt->member || !rt->resolved || rt->verifying)
        return NM_OK;
    enum nm_status status = nm_drain_to_leave(rt, "stop.undrained", err);
    rt->undrained = status == NM_RETRY;
    if (status == NM_OK) {
        nm_guard_end(rt);
        nm_observe_leave(rt);
    }
    return status == NM_OK || status == NM_RETRY ? nm_commit(rt, true, err) : status;
}

/* The operator must act: what is in flight and in order is finished first. */
static void finish_before_exit(struct nm_runtime *rt)
{
    if (rt->member && rt->resolved && !rt->verifying && drain(rt, rt->settings.runtime.drain_ms, NULL) == NM_OK &&
        nm_commit(rt, true, NULL) != NM_OK)
        nm_log(NM_DEBUG, "kafka.commit", "the last offsets were not committed");
    if (rt->n_parts && nm_redis_reconnect(rt, NULL) == NM_OK)
        nm_guard_end(rt); /* no crash, however often a supervisor starts us again */
}

enum nm_status nm_loop(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    while (!nm_stop_requested && status == NM_OK) {
        struct nm_error why = {0};
        status = turn(rt, &why);
        if (status == NM_OK)
            status = nm_observe_tick(rt, &why);
        if ((status == NM_RETRY || (status == NM_OK && !rt->member)) && nm_kafka_judge(NM_OK, &why) != NM_OK)
            status = NM_CONFIG; /* no broker will ever let us in */
        if (status == NM_RETRY)
            status = recover(rt, &why, err);
        else if (status != NM_OK && err)
            *err = why;
    }
    if (status == NM_CONFIG)
        finish_before_exit(rt);
    return status == NM_OK ? stop(rt, err) : status;
}
