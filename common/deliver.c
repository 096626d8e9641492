/* deliver.c - one batch, in the order that loses nothing:
 *
 *   process() steps with Redis -> produce -> every report good -> reported() steps with Redis -> wm -> commit
 *
 * A crash between any two of them leaves wm below the batch, so the batch is read again and its effects find
 * themselves in place. NM_RETRY from here means: a dependency failed, nothing of this batch counts, the caller drops
 * everything above wm and begins again from there. There is no second attempt with the same batch: Redis may be back
 * without its last writes, and only wm knows. */
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_STEPS  16  /* of one process() or reported(); more is a bug of the worker */
#define MAX_ROUNDS 100 /* of "process again" in one batch; more: somebody else keeps changing the same ids */

/* ---- the connection ---- */

/* Rule 10: revisions come from Redis' TIME, so a server whose clock is behind what was already sent must be waited for.
 */
static enum nm_status check_clock(struct nm_runtime *rt, struct nm_redis *redis, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    (void)nm_pipe_command(&pipe, 1);
    nm_pipe_str(&pipe, "TIME");
    enum nm_status status = nm_redis_exec(redis, &pipe, err);
    if (status == NM_OK) {
        const struct nm_reply *time = nm_pipe_reply(&pipe, 0);
        int64_t now_us = nm_reply_int(nm_reply_at(time, 0), 0) * 1000000 + nm_reply_int(nm_reply_at(time, 1), 0);
        if (now_us <= rt->max_revision)
            status =
                nm_fail(err, NM_RETRY,
                        "the clock of Redis is %" PRId64 " ms behind the newest revision that was sent: waiting for it",
                        (rt->max_revision - now_us) / 1000 + 1);
    }
    nm_pipe_clear(&pipe);
    return status;
}

/* The marker of the key layout: written once, never changed. */
static enum nm_status check_format(struct nm_runtime *rt, struct nm_redis *redis, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    struct nm_buf key = {0};
    nm_buf_addf(&key, "%s:format", rt->settings.ns);
    (void)nm_pipe_command(&pipe, 4);
    nm_pipe_str(&pipe, "SET");
    nm_pipe_str(&pipe, nm_buf_str(&key));
    nm_pipe_str(&pipe, "newsmill/1");
    nm_pipe_str(&pipe, "NX");
    (void)nm_pipe_command(&pipe, 2);
    nm_pipe_str(&pipe, "GET");
    nm_pipe_str(&pipe, nm_buf_str(&key));
    enum nm_status status = nm_redis_exec(redis, &pipe, err);
    if (status == NM_OK && strcmp(nm_pipe_reply(&pipe, 1)->str, "newsmill/1") != 0)
        status = nm_fail(err, NM_CONFIG, "the keys of namespace %s have format '%.40s', this version reads newsmill/1",
                         rt->settings.ns, nm_pipe_reply(&pipe, 1)->str);
    nm_pipe_clear(&pipe);
    nm_buf_clear(&key);
    return status;
}

enum nm_status nm_redis_reconnect(struct nm_runtime *rt, struct nm_error *err)
{
    if (nm_redis_alive(rt->redis))
        return NM_OK;
    nm_redis_close(rt->redis);
    rt->redis = NULL;
    char warning[300] = "";
    NM_AUTO(nm_redis_close) struct nm_redis *redis = NULL;
    enum nm_status status = nm_redis_open(&rt->settings, &redis, warning, err);
    if (status == NM_OK)
        status = nm_redis_load(redis, rt->scripts, rt->n_scripts, err);
    if (status == NM_OK)
        status = check_clock(rt, redis, err);
    if (status == NM_OK)
        status = check_format(rt, redis, err);
    if (status == NM_OK && rt->worker->connected)
        status = rt->worker->connected(rt->ctx, redis, err);
    if (status != NM_OK)
        return status;
    if (warning[0])
        nm_log(NM_WARN, "redis.unsafe", "%s (redis.allowUnsafe)", warning);
    rt->redis = redis;
    redis = NULL;
    rt->redis_seen_ms = nm_boottime_ms();
    return NM_OK;
}

/* ---- steps ---- */

static enum nm_status exchange(struct nm_runtime *rt, struct nm_pipe *pipe, struct nm_error *err)
{
    enum nm_status status = nm_redis_exec(rt->redis, pipe, err);
    if (status == NM_OK)
        rt->redis_seen_ms = nm_boottime_ms();
    return status;
}

/* Runs one of the worker's step functions until a step asks Redis for nothing more. */
static enum nm_status run_steps(struct nm_runtime *rt,
                                enum nm_status (*step)(void *ctx, struct nm_batch *batch, struct nm_error *err),
                                struct nm_error *err)
{
    struct nm_batch *batch = &rt->batch;
    nm_pipe_reset(batch->replies);
    for (batch->step = 0; batch->step < MAX_STEPS; batch->step++) {
        nm_pipe_reset(batch->pipe);
        enum nm_status status = step(rt->ctx, batch, err);
        if (status == NM_OK && batch->oom)
            status = nm_fail(err, NM_FATAL, "out of memory in a batch of %zu", batch->n_items);
        if (status != NM_OK || batch->pipe->n_commands == 0)
            return status;
        status = exchange(rt, batch->pipe, err);
        if (status != NM_OK)
            return status;
        struct nm_pipe *answered = batch->pipe;
        batch->pipe = batch->replies;
        batch->replies = answered;
    }
    return nm_fail(err, NM_FATAL, "worker %s does not come to an end of its steps", rt->worker->name);
}

static enum nm_status check_verdicts(const struct nm_runtime *rt, struct nm_error *err)
{
    for (size_t i = 0; i < rt->batch.n_items; i++)
        if (rt->batch.item[i].verdict == NM_UNSET)
            return nm_fail(err, NM_FATAL, "worker %s left the event at offset %" PRId64 " without a verdict",
                           rt->worker->name, rt->batch.item[i].offset);
    return NM_OK;
}

/* A process that was stopped for long is probably no longer the owner: what it composed then may be old news by now,
 * and nothing after the report would notice if it died right after sending. */
static enum nm_status check_age(const struct nm_runtime *rt, struct nm_error *err)
{
    int64_t age_ms = nm_boottime_ms() - rt->redis_seen_ms;
    if (age_ms * 2 <= rt->session_timeout_ms)
        return NM_OK;
    return nm_fail(err, NM_RETRY, "this process stood still for %" PRId64 " ms: another may own its partitions by now",
                   age_ms);
}

/* ---- wm ---- */

static void advance_positions(struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        if (part->touched)
            part->done = part->next.next;
        part->touched = false;
    }
}

/* Moves wm of every partition of the batch. A mismatch means that somebody else moved it: a new assignment. */
static enum nm_status write_wm(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_pipe *pipe = rt->batch.pipe;
    nm_pipe_reset(pipe);
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].touched)
            nm_watermark_append(pipe, rt->part[i].key, rt->part[i].wm_text, &rt->part[i].next);
    enum nm_status status = exchange(rt, pipe, err);
    size_t at = 0;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        if (!part->touched)
            continue;
        const struct nm_reply *reply = nm_pipe_reply(pipe, at++);
        const struct nm_reply *value = nm_reply_at(reply, 1);
        if (nm_reply_int(nm_reply_at(reply, 0), 0) != 1)
            return nm_fail(err, NM_RETRY,
                           "the watermark of partition %d reads '%.60s' and not '%.60s': another instance moved it",
                           part->id, value->str, part->wm_text);
        status = nm_watermark_parse(value->str, &part->wm, err);
        if (status == NM_OK && value->len >= sizeof part->wm_text)
            status = nm_fail(err, NM_FATAL, "a watermark of %zu bytes", value->len);
        if (status == NM_OK)
            memcpy(part->wm_text, value->str, value->len + 1);
    }
    return status;
}

#ifdef NM_CHAOS
/* Negative control: reads the present watermarks as if they were ours. */
static enum nm_status adopt_wm(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        nm_pipe_reset(rt->batch.pipe);
        (void)nm_pipe_command(rt->batch.pipe, 2);
        nm_pipe_str(rt->batch.pipe, "GET");
        nm_pipe_str(rt->batch.pipe, rt->part[i].key);
        status = exchange(rt, rt->batch.pipe, err);
        if (status == NM_OK)
            (void)snprintf(rt->part[i].wm_text, NM_WM_BYTES, "%s", nm_pipe_reply(rt->batch.pipe, 0)->str);
    }
    return status;
}
#endif

static enum nm_status finish(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
#ifdef NM_CHAOS
    if (nm_control_is(NM_CONTROL_RETRY_BATCH))
        status = adopt_wm(rt, err);
#endif
    if (status == NM_OK)
        status = write_wm(rt, err);
    if (status != NM_OK)
        return status;
    NM_FAULT(NM_POINT_WM_WRITTEN);
    advance_positions(rt);
    if (NM_CONTROL(NM_CONTROL_STORED_OFFSETS)) {
        (void)rd_kafka_commit(rt->consumer, NULL, 1);
        return NM_OK;
    }
    bool now = NM_CONTROL(NM_CONTROL_COMMIT_BEFORE_REPORT) ||
               nm_boottime_ms() - rt->last_commit_ms >= rt->settings.runtime.commit_ms;
    return now ? nm_commit(rt, NM_CONTROL(NM_CONTROL_COMMIT_BEFORE_REPORT), err) : NM_OK;
}

/* ---- the batch ---- */

/* process() of what is undecided, produce, reports. */
static enum nm_status process_and_send(struct nm_runtime *rt, struct nm_error *err)
{
    rt->batch.n_outputs = 0;
    rt->redis_seen_ms = nm_boottime_ms(); /* nothing of the state was read before */
    enum nm_status status = run_steps(rt, rt->worker->process, err);
    if (status == NM_OK)
        status = check_verdicts(rt, err);
    if (status == NM_OK)
        status = check_age(rt, err);
    if (status == NM_OK)
        status = nm_produce(rt, err);
    if (status == NM_OK && NM_CONTROL(NM_CONTROL_COMMIT_BEFORE_REPORT))
        status = finish(rt, err);
    return status == NM_OK ? nm_reports_wait(rt, err) : status;
}

/* Items whose output turned out to be old news go round again; dead letters and the rest are done. */
static size_t prepare_again(struct nm_runtime *rt)
{
    size_t n = 0;
    for (size_t i = 0; i < rt->batch.n_items; i++) {
        struct nm_item *item = &rt->batch.item[i];
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

enum nm_status nm_deliver(struct nm_runtime *rt, struct nm_error *err)
{
    for (unsigned round = 0; round < MAX_ROUNDS; round++) {
        enum nm_status status = process_and_send(rt, err);
        if (status == NM_OK && rt->worker->reported)
            status = run_steps(rt, rt->worker->reported, err);
        if (status != NM_OK)
            return status;
        NM_FAULT(NM_POINT_MARKED);
        if (prepare_again(rt) == 0)
            return NM_CONTROL(NM_CONTROL_COMMIT_BEFORE_REPORT) ? NM_OK : finish(rt, err);
    }
    return nm_fail(err, NM_RETRY, "the same ids keep changing under a batch of %zu", rt->batch.n_items);
}
