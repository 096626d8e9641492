/* deliver.c - one batch, in the order that loses nothing:
 *
 *   process() steps with Redis -> produce -> every report good -> reported() steps with Redis -> wm -> commit
 *
 * Several are on their way at once, each in a stage of its own. Redis answers in the order of asking, and a work is
 * sent only when every older one was, so commands and outputs keep the order of the batches. A crash between any two
 * stages leaves wm below the batch, so it is read again, and its effects find themselves in place. NM_RETRY from here
 * means: a dependency failed, nothing in flight counts, the caller drops everything above wm and begins again from
 * there. There is no second attempt with the same batch: Redis may be back without its last writes, and only wm knows.
 */
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_STEPS  16  /* of one process() or reported(); more is a bug of the worker */
#define MAX_ROUNDS 100 /* of "process again" in one batch; more: somebody else keeps changing the same ids */

/* ---- steps ---- */

typedef enum nm_status (*step_fn)(void *ctx, struct nm_batch *batch, struct nm_error *err);

static void begin_steps(struct nm_work *work, enum nm_stage stage)
{
    work->stage = stage;
    work->waiting = false;
    work->batch.step = 0;
    work->n_looks = 0;
    nm_pipe_reset(work->batch.replies);
}

static enum nm_status ask(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    if (work->batch.step == 0)
        work->asked_ms = nm_boottime_ms();
    work->asked_ns = nm_observe_clock_ns();
    work->waiting = true;
    return nm_redis_submit(rt->redis, work->batch.pipe, err);
}

/* Takes the answer of the last step, if it is there. */
static bool answered(struct nm_work *work)
{
    struct nm_batch *batch = &work->batch;
    if (!work->waiting)
        return true;
    if (!nm_pipe_done(batch->pipe))
        return false;
    nm_series_observe(work->rt->observer.rm.redis_seconds, (double)(nm_observe_clock_ns() - work->asked_ns) / 1e9);
    struct nm_pipe *answer = batch->pipe;
    batch->pipe = batch->replies;
    batch->replies = answer;
    batch->step++;
    work->waiting = false;
    return true;
}

/* Runs one of the worker's step functions as far as Redis has answered; *over when it asks for nothing more. */
static enum nm_status run_steps(struct nm_runtime *rt, struct nm_work *work, step_fn step, bool *over,
                                struct nm_error *err)
{
    struct nm_batch *batch = &work->batch;
    *over = false;
    while (answered(work)) {
        if (batch->step == MAX_STEPS)
            return nm_fail(err, NM_FATAL, "worker %s does not come to an end of its steps", rt->worker->name);
        enum nm_status status = nm_state_check(work, err);
        if (status != NM_OK)
            return status;
        nm_pipe_reset(batch->pipe);
        status = step(rt->ctx, batch, err);
        if (status == NM_OK && batch->oom)
            status = nm_fail(err, NM_FATAL, "out of memory in a batch of %zu", batch->n_items);
        *over = status == NM_OK && batch->pipe->n_commands == 0;
        if (*over)
            nm_pipe_reset(batch->replies); /* large where much was asked; others have use for the memory by now */
        if (status != NM_OK || *over)
            return status;
        if (work->stage == NM_STAGE_PROCESS) /* what was sent is looked at in any case */
            nm_state_ask(rt, work);
        status = ask(rt, work, err);
        if (status != NM_OK)
            return status;
    }
    return NM_OK;
}

static enum nm_status check_verdicts(const struct nm_runtime *rt, const struct nm_work *work, struct nm_error *err)
{
    for (size_t i = 0; i < work->batch.n_items; i++)
        if (work->batch.item[i].verdict == NM_UNSET)
            return nm_fail(err, NM_FATAL, "worker %s left the event at offset %" PRId64 " without a verdict",
                           rt->worker->name, work->batch.item[i].offset);
    return NM_OK;
}

/* A process that was stopped for long is probably no longer the owner: what it composed then may be old news by now,
 * and nothing after the report would notice if it died right after sending. The age counts from the first question to
 * Redis: what it answered may be from before the stop although later steps were asked after it. */
static enum nm_status check_age(const struct nm_runtime *rt, const struct nm_work *work, struct nm_error *err)
{
    int64_t age_ms = nm_boottime_ms() - work->asked_ms;
    if (age_ms * 2 <= rt->session_timeout_ms)
        return NM_OK;
    return nm_fail(err, NM_RETRY, "this process stood still for %" PRId64 " ms: another may own its partitions by now",
                   age_ms);
}

/* ---- stages ---- */

enum nm_status nm_work_start(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    begin_steps(work, NM_STAGE_PROCESS);
    work->batch.n_outputs = 0;
    work->asked_ms = nm_boottime_ms(); /* nothing of the state was read before */
    for (size_t i = 0; work->round == 0 && i < work->n_spans; i++) {
        struct nm_span *span = &work->span[i];
        nm_watermark_note(&span->next, span->last->timestamp_ms, span->last->value, span->last->value_len);
    }
    if (rt->suspicious && work->round == 0) {
        enum nm_status status = nm_guard_note(rt, work, err);
        if (status != NM_OK)
            return status;
    }
    for (size_t i = 0; i < work->batch.n_items; i++)
        if (work->batch.item[i].verdict == NM_UNSET)
            NM_BEGUN(work->batch.item[i].value, work->batch.item[i].value_len);
    return NM_OK;
}

/* The step that the next batch waits for is in Redis' queue, or behind. */
static bool asked_step(const struct nm_work *work, unsigned step)
{
    if (work->stage != NM_STAGE_PROCESS || work->round > 0)
        return true;
    return work->batch.step > step || (work->batch.step == step && work->waiting);
}

static enum nm_status advance_process(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    bool over;
    enum nm_status status = run_steps(rt, work, rt->worker->process, &over, err);
    if (status == NM_OK && over)
        status = check_verdicts(rt, work, err);
    if (status != NM_OK || !over)
        return status;
    nm_reject_oversized(rt, &work->batch); /* before the breaker judges: a limit set too low is a bad deploy, too */
    work->stage = NM_STAGE_JUDGE;
    return NM_OK;
}

/* Its turn comes when all older works are judged, then when they are sent. */
static enum nm_status advance_judge(struct nm_runtime *rt, struct nm_work *work, bool first_unjudged, bool first_unsent,
                                    struct nm_error *err)
{
    enum nm_status status = NM_OK;
    bool late = NM_CONTROL(NM_CONTROL_LATE_SENDER) && check_age(rt, work, NULL) != NM_OK &&
                NM_CONTROL_ONCE(NM_CONTROL_LATE_SENDER);
    if (nm_is_fenced(rt) && work->round == 0 && !late) {
        work->stage = NM_STAGE_DROPPED;
        return NM_OK;
    }
    if (!work->judged && first_unjudged)
        status = nm_work_judge(rt, work, err);
    if (status != NM_OK || !work->judged || !first_unsent || nm_work_held(rt, work))
        return status;
    status = late ? NM_OK : check_age(rt, work, err);
    if (status != NM_OK)
        return status;
    work->stage = NM_STAGE_SENT; /* from the first message on */
    nm_observe_phase(rt, NM_PHASE_PRODUCE);
    status = nm_produce(rt, work, err);
    if (status != NM_OK) { /* some of it was not even given to the library: it must never count as reported */
        work->n_failed++;
        work->first_failure = RD_KAFKA_RESP_ERR__FAIL;
    }
    if (late)
        (void)rd_kafka_flush(rt->producer, 1000); /* it is on the stream before anything else happens */
    nm_observe_phase(rt, NM_PHASE_PROCESS);
    return status;
}

/* Items whose output turned out to be old news go round again; dead letters and the rest are done. */
static size_t prepare_again(struct nm_work *work)
{
    size_t n = 0;
    for (size_t i = 0; i < work->batch.n_items; i++) {
        struct nm_item *item = &work->batch.item[i];
        if (item->verdict == NM_REJECTED)
            item->verdict = NM_DONE; /* its letter is delivered */
        if (!item->again)
            continue;
        item->again = false;
        item->verdict = NM_UNSET;
        n++;
    }
    return n;
}

static enum nm_status after_reported(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    NM_FAULT(NM_POINT_MARKED);
    if (prepare_again(work)) {
        if (++work->round == MAX_ROUNDS)
            return nm_fail(err, NM_RETRY, "the same ids keep changing under a batch of %zu", work->batch.n_items);
        return nm_work_start(rt, work, err);
    }
    nm_observe_done(rt, work);
    work->stage = NM_STAGE_DONE;
    nm_pipe_reset(work->batch.pipe);
    nm_sets_clear(rt, work);
    if (work->batch.pipe->n_commands == 0)
        return NM_OK;
    work->stage = NM_STAGE_CLEAR;
    return ask(rt, work, err);
}

static enum nm_status advance_sent(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    bool all;
    enum nm_status status = nm_reports_look(rt, work, &all, err);
    if (status != NM_OK || !all)
        return status;
    nm_series_observe(rt->observer.rm.produce_seconds, (double)(nm_observe_clock_ns() - work->sent_ns) / 1e9);
    if (!rt->worker->reported)
        return after_reported(rt, work, err);
    begin_steps(work, NM_STAGE_REPORTED);
    return NM_OK;
}

static enum nm_status advance_reported(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    bool over;
    enum nm_status status = run_steps(rt, work, rt->worker->reported, &over, err);
    return status == NM_OK && over ? after_reported(rt, work, err) : status;
}

/* One work, as far as it goes. */
static enum nm_status advance(struct nm_runtime *rt, struct nm_work *work, bool first_unjudged, bool first_unsent,
                              struct nm_error *err)
{
    enum nm_stage before;
    enum nm_status status = NM_OK;
    do {
        before = work->stage;
        if (work->stage == NM_STAGE_PROCESS)
            status = advance_process(rt, work, err);
        else if (work->stage == NM_STAGE_JUDGE)
            status = advance_judge(rt, work, first_unjudged, first_unsent || work->round > 0, err);
        else if (work->stage == NM_STAGE_SENT)
            status = advance_sent(rt, work, err);
        else if (work->stage == NM_STAGE_REPORTED)
            status = advance_reported(rt, work, err);
        else if (work->stage == NM_STAGE_CLEAR && nm_pipe_done(work->batch.pipe))
            work->stage = NM_STAGE_DONE;
    } while (status == NM_OK && work->stage != before);
    return status;
}

/* Judges ahead of the sending, since a held work waits for the verdicts of the younger ones. */
enum nm_status nm_works_advance(struct nm_runtime *rt, struct nm_error *err)
{
    bool first_unjudged = true, first_unsent = true, may_begin = true;
    unsigned follows = rt->worker->follows_step;
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < rt->n_works; i++) {
        struct nm_work *work = rt->order[i];
        if (work->stage == NM_STAGE_FILLING || !may_begin)
            break;
        status = advance(rt, work, first_unjudged, first_unsent, err);
        may_begin = follows == 0 || asked_step(work, follows);
        first_unjudged = first_unjudged && work->judged;
        first_unsent = first_unsent && (work->stage >= NM_STAGE_SENT || work->round > 0);
    }
    return status;
}
