/* resume.c - where each partition is taken up.
 *
 * Every beginning (an assignment, a lost Redis connection, a failed delivery) takes the same road: fetch nothing, read
 * the committed offsets, then wm; look whether the stream is still the one that was processed (witness.c); decide
 * (watermark.c); rd_kafka_assign() with explicit offsets. That is also how one seeks: the seek calls of
 * librdkafka 2.0.2 have bugs, and assign() throws away what was fetched before.
 *
 * Rebuild: when the state of a partition is gone and runtime.onStateLoss says so, inputs that are marked for it are
 * read first, from their oldest offset to their end, and only then the partition's other inputs from the beginning.
 * Until then there is no wm, so a process that dies meanwhile begins the rebuild anew. What is read after a rollback is
 * read in the same way, from a minute before the newest wm on; until then neither wm nor the commit moves, so whoever
 * comes next sees the rollback, too. */
#include "newsmill/datetime.h"
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BACK_MS 60000 /* read so much before the newest wm: clocks of producers and Redis differ */

static bool is_read(const struct nm_runtime *rt, const struct nm_partition *part, enum nm_when when)
{
    return rt->worker->inputs[part->input].when == when;
}

/* Partitions with a position of ours: all but those that are read at times only. */
static rd_kafka_topic_partition_list_t *list_of(const struct nm_runtime *rt)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)rt->n_parts + 1);
    for (size_t i = 0; i < rt->n_parts; i++)
        if (nm_has_position(rt, &rt->part[i]))
            (void)rd_kafka_topic_partition_list_add(list, nm_partition_topic(rt, &rt->part[i]), rt->part[i].id);
    return list;
}

/* ---- facts ---- */

static enum nm_status read_committed(struct nm_runtime *rt, struct nm_error *err)
{
    rd_kafka_topic_partition_list_t *list = list_of(rt);
    rd_kafka_resp_err_t code = list->cnt ? rd_kafka_committed(rt->consumer, list, NM_KAFKA_WAIT_MS) : 0;
    for (size_t i = 0; !code && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        if (!nm_has_position(rt, part))
            continue;
        const rd_kafka_topic_partition_t *got =
            rd_kafka_topic_partition_list_find(list, nm_partition_topic(rt, part), part->id);
        code = got ? got->err : RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
        part->facts.committed = got && got->offset >= 0 ? got->offset : -1;
        nm_commit_note_read(got ? got->metadata : NULL, got ? got->metadata_size : 0, &part->facts);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY,
                       "reading committed offsets of %s: %s", rt->group, rd_kafka_err2str(code));
    return NM_OK;
}

static enum nm_status take_wm(struct nm_partition *part, const struct nm_reply *reply, struct nm_error *err)
{
    struct nm_resume_facts *facts = &part->facts;
    facts->had_wm = part->has_wm;
    facts->mine = part->wm;
    facts->has_wm = reply->type == NM_REPLY_STR;
    part->wm_text[0] = '\0';
    if (!facts->has_wm)
        return NM_OK;
    if (reply->len >= NM_WM_BYTES)
        return nm_fail(err, NM_FATAL, "key %s holds %" PRIu32 " bytes, no watermark", part->key, reply->len);
    enum nm_status status = nm_watermark_parse(reply->str, &facts->wm, err);
    if (status == NM_OK)
        (void)snprintf(part->wm_text, sizeof part->wm_text, "%s", reply->str);
    return status;
}

static enum nm_status read_wm(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_pipe *pipe = &rt->wm_pipe;
    nm_pipe_reset(pipe);
    for (size_t i = 0; i < rt->n_parts; i++) {
        (void)nm_pipe_command(pipe, 2);
        nm_pipe_str(pipe, "GET");
        nm_pipe_str(pipe, rt->part[i].key);
    }
    enum nm_status status = nm_redis_exec(rt->redis, pipe, err);
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++)
        status = take_wm(&rt->part[i], nm_pipe_reply(pipe, i), err);
    return status;
}

/* Where a group without any position begins: runtime.start. */
static enum nm_status read_fresh(struct nm_runtime *rt, const struct nm_partition *part, struct nm_resume_facts *facts,
                                 struct nm_error *err)
{
    const char *start = rt->settings.runtime.start;
    facts->fresh = facts->oldest;
    if (facts->has_wm || strcmp(start, "oldest") == 0)
        return NM_OK;
    facts->fresh = facts->end;
    if (strcmp(start, "newest") == 0)
        return NM_OK;
    int64_t time_ms = 0;
    enum nm_status status = nm_time_parse(start, strlen(start), &time_ms, err);
    if (status != NM_OK)
        return NM_CONFIG;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, nm_partition_topic(rt, part), part->id)->offset = time_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rt->consumer, list, NM_KAFKA_WAIT_MS);
    if (!code && list->elems[0].offset >= 0) /* -1: nothing is that young, so the end */
        facts->fresh = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, NM_RETRY, "looking up runtime.start in %s: %s", nm_partition_topic(rt, part),
                       rd_kafka_err2str(code));
    return NM_OK;
}

static enum nm_status read_ends(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        struct nm_resume_facts *facts = &part->facts;
        nm_observe_beat(rt);
        /* By the witness, which is connected to the leaders then. */
        status = nm_kafka_ends(rt->witness.rk, nm_partition_topic(rt, part), part->id, NM_KAFKA_WAIT_MS, &facts->oldest,
                               &facts->end, err);
        if (status == NM_OK)
            status = read_fresh(rt, part, facts, err);
        facts->recreated = false;
        facts->rebuild = strcmp(rt->settings.runtime.on_state_loss, "rebuild") == 0;
        facts->on_gap = strcmp(rt->settings.runtime.on_gap, "oldest") == 0   ? NM_GAP_OLDEST
                        : strcmp(rt->settings.runtime.on_gap, "newest") == 0 ? NM_GAP_NEWEST
                                                                             : NM_GAP_STOP;
    }
    return status;
}

/* ---- deciding ---- */

static struct nm_watermark fresh_wm(int64_t next, int64_t generation)
{
    return (struct nm_watermark){
        .next = next, .event_ms = -1, .last_ms = -1, .last_crc = -1, .generation = generation, .anchor = NM_NO_MARK};
}

static void begin_at(struct nm_runtime *rt, struct nm_partition *part, const struct nm_resume *resume)
{
    const struct nm_resume_facts *facts = &part->facts;
    part->done = part->polled = resume->start;
    part->committed = part->asked = facts->committed;
    if (resume->gap) /* the old commits mean offsets of a stream that is gone */
        part->committed = part->asked = -1;
    part->has_wm = facts->has_wm;
    part->wm = facts->wm;
    part->make_wm = !facts->has_wm || resume->gap;
    if (part->make_wm)
        part->wm = fresh_wm(resume->start, facts->has_wm ? facts->wm.generation + resume->recreated : 0);
    if (part->make_wm)
        part->anchor = NM_NO_MARK;
    part->newest = nm_watermark_last(&part->wm);
    part->event_ms = part->wm.event_ms;
    if (resume->state_lost || resume->rolled_back || resume->gap) /* else to begin again is no progress */
        part->furthest = resume->start;
    part->behind_until = facts->has_wm ? facts->end : 0;
    part->lost = resume->state_lost;
    part->held = false;
    part->rolled_back = resume->rolled_back;
    part->gap = resume->gap;
    if (!part->rebuilt && part->resend_until < resume->resend_until)
        part->resend_until = resume->resend_until;
    if (resume->state_lost || (resume->rolled_back && !part->rebuilt))
        nm_series_add(rt->observer.rm.state_losses, 1);
    struct nm_where where = {.stream = nm_partition_topic(rt, part), .partition = part->id, .offset = resume->start};
    if (resume->state_lost)
        nm_log_at(NM_WARN, "state.lost", &where,
                  "Redis has no watermark although offsets were committed (%" PRId64 "): rebuilding from the streams",
                  facts->committed);
    else if (resume->gap)
        nm_log_at(NM_WARN, "stream.gap", &where,
                  "the stream was recreated, or lost events before they were processed (oldest %" PRId64
                  ", end %" PRId64 ", watermark %" PRId64 "): going on as runtime.onGap says",
                  facts->oldest, facts->end, facts->wm.next);
    else if (resume->rolled_back && !part->rebuilt)
        nm_log_at(NM_WARN, "state.rollback", &where,
                  "Redis lost writes (committed %" PRId64 ", watermark %" PRId64 "): what was lost is applied again",
                  facts->committed, facts->wm.next);
    else
        nm_log_at(NM_DEBUG, "partition.begin", &where, "committed %" PRId64 ", end %" PRId64, facts->committed,
                  facts->end);
}

static enum nm_status decide(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        struct nm_resume resume = {0};
        char what[300];
        part->rebuild_until = -1;
        if (!nm_has_position(rt, part))
            continue;
        (void)snprintf(what, sizeof what, "%.250s/%d", nm_partition_topic(rt, part), part->id);
        status = nm_resume_decide(what, &part->facts, &resume, err);
        if (status == NM_OK && (NM_CONTROL(NM_CONTROL_COMMITTED_ONLY) || NM_CONTROL(NM_CONTROL_STORED_OFFSETS)) &&
            part->facts.committed >= 0)
            resume = (struct nm_resume){.start = part->facts.committed};
        if (status == NM_OK)
            begin_at(rt, part, &resume);
    }
    return status;
}

/* Some input of this partition lost its state, so all of them begin again: what they made together is gone. */
static bool state_lost(const struct nm_runtime *rt, int32_t id)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].id == id && rt->part[i].lost)
            return true;
    return false;
}

static bool reading_first(const struct nm_runtime *rt, int32_t id)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].id == id && rt->part[i].rebuild_until >= 0)
            return true;
    return false;
}

static void begin_again(struct nm_partition *part, bool held)
{
    part->done = part->polled = part->furthest = part->facts.oldest;
    part->wm = fresh_wm(part->done, part->wm.generation);
    part->anchor = part->newest = NM_NO_MARK;
    part->event_ms = -1;
    part->make_wm = true;
    part->held = held;
}

/* ---- what is read first, and who waits for it ---- */

static void read_first(struct nm_partition *first, int64_t from)
{
    if (from >= first->facts.end)
        return;
    first->done = first->polled = from;
    first->rebuild_until = first->facts.end;
    first->furthest = -1;
    first->progress_ms = nm_boottime_ms();
}

/* Redis lost writes of ours, or was away: then a partition in which nothing happened meanwhile has no sign of it. */
static bool may_have_lost_writes(struct nm_runtime *rt)
{
    bool lost = rt->begun_connects > 0 && rt->redis_connects != rt->begun_connects;
    rt->begun_connects = rt->redis_connects;
    for (size_t i = 0; i < rt->n_parts; i++)
        lost = lost || (nm_has_position(rt, &rt->part[i]) && rt->part[i].rolled_back);
    return lost;
}

/* A minute before the newest position in Redis, ms; -1: there is none. */
static int64_t time_before_loss(const struct nm_runtime *rt)
{
    int64_t newest_us = -1;
    for (size_t i = 0; i < rt->n_parts; i++)
        if (nm_has_position(rt, &rt->part[i]) && rt->part[i].has_wm && rt->part[i].wm.redis_us > newest_us)
            newest_us = rt->part[i].wm.redis_us;
    int64_t ms = newest_us / 1000 - BACK_MS;
    return newest_us < 0 ? -1 : ms > 0 ? ms : 0;
}

static enum nm_status plan_reading_back(struct nm_runtime *rt, struct nm_error *err)
{
    int64_t from_ms = may_have_lost_writes(rt) ? time_before_loss(rt) : -1;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)rt->n_parts + 1);
    for (size_t i = 0; from_ms >= 0 && i < rt->n_parts; i++)
        if (is_read(rt, &rt->part[i], NM_AFTER_ROLLBACK))
            rd_kafka_topic_partition_list_add(list, nm_partition_topic(rt, &rt->part[i]), rt->part[i].id)->offset =
                from_ms;
    rd_kafka_resp_err_t code = list->cnt ? rd_kafka_offsets_for_times(rt->consumer, list, NM_KAFKA_WAIT_MS) : 0;
    for (int k = 0; !code && k < list->cnt; k++) {
        const rd_kafka_topic_partition_t *found = &list->elems[k];
        struct nm_partition *first = nm_partition_find(rt, nm_input_find(rt, found->topic), found->partition);
        if (first && found->offset >= 0) /* -1: nothing is that young */
            read_first(first, found->offset);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, NM_RETRY, "looking up what was sent before Redis lost writes: %s", rd_kafka_err2str(code));
    return NM_OK;
}

static enum nm_status plan_reading_first(struct nm_runtime *rt, struct nm_error *err)
{
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *first = &rt->part[i];
        if (is_read(rt, first, NM_AFTER_LOSS) && state_lost(rt, first->id))
            read_first(first, first->facts.oldest);
    }
    enum nm_status status = plan_reading_back(rt, err);
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        if (!nm_has_position(rt, part))
            continue;
        if (state_lost(rt, part->id))
            begin_again(part, reading_first(rt, part->id));
        else
            part->held = reading_first(rt, part->id);
    }
    return status;
}

/* A watermark exists from the first moment on, so that a Redis without one is known to have lost it. */
static enum nm_status make_wm(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].make_wm && !rt->part[i].held)
            nm_watermark_append(&pipe, rt->part[i].key, rt->part[i].wm_text, &rt->part[i].wm);
    enum nm_status status = nm_redis_exec(rt->redis, &pipe, err);
    size_t at = 0;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        if (!part->make_wm || part->held)
            continue;
        status = nm_position_moved(part, nm_pipe_reply(&pipe, at++), err);
        part->make_wm = false;
    }
    nm_pipe_clear(&pipe);
    return status;
}

static bool is_fetched(const struct nm_runtime *rt, const struct nm_partition *part)
{
    return nm_has_position(rt, part) ? !part->held : part->rebuild_until >= 0;
}

static enum nm_status fetch_from_positions(struct nm_runtime *rt, struct nm_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)rt->n_parts + 1);
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        part->fetched = is_fetched(rt, part);
        part->skip_from = part->skip_to = 0;
        if (part->fetched)
            rd_kafka_topic_partition_list_add(list, nm_partition_topic(rt, part), part->id)->offset = part->polled;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(rt->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, NM_RETRY, "assigning %zu partitions: %s", rt->n_parts, rd_kafka_err2str(code));
    rt->resolved = true;
    nm_sets_reset(rt);
    NM_FAULT(NM_POINT_ASSIGNED);
    return NM_OK;
}

static enum nm_status begin(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = decide(rt, err);
    nm_observe_beat(rt);
    if (status == NM_OK)
        status = plan_reading_first(rt, err);
    if (status == NM_OK)
        status = make_wm(rt, err);
    if (status == NM_OK)
        status = nm_commit_beginning(rt, err);
    nm_observe_beat(rt);
    if (status == NM_OK)
        status = nm_group_begin(rt, err);
    nm_observe_beat(rt);
    if (status == NM_OK)
        status = fetch_from_positions(rt, err);
    return status == NM_OK ? nm_guard_begin(rt, err) : status;
}

/* ---- whether it is still the same stream ---- */

enum nm_status nm_resume_verified(struct nm_runtime *rt, struct nm_error *err)
{
    bool done;
    enum nm_status status = nm_witness_begun(rt, &done, err);
    if (status != NM_OK || !done)
        return status;
    rt->verifying = false;
    return begin(rt, err);
}

enum nm_status nm_assignment_resolve(struct nm_runtime *rt, struct nm_error *err)
{
    if (rt->n_parts == 0)
        return fetch_from_positions(rt, err);
    enum nm_status status = read_committed(rt, err);
    if (status == NM_OK) /* after the committed offsets: wm is written first, so only a loss can put it behind them */
        status = read_wm(rt, err);
    if (status == NM_OK)
        status = read_ends(rt, err);
    if (status == NM_OK)
        status = nm_witness_begin(rt, err);
    rt->verifying = rt->resolved = status == NM_OK;
    return status == NM_OK ? nm_resume_verified(rt, err) : status;
}

/* ---- what was read first is read ---- */

static bool release_held(struct nm_runtime *rt, const struct nm_partition *first)
{
    bool any = false;
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        if (part->id != first->id || !part->held)
            continue;
        part->held = false;
        part->rebuilt = is_read(rt, first, NM_AFTER_LOSS);
        any = true;
    }
    return any;
}

enum nm_status nm_resume_rebuilt(struct nm_runtime *rt, struct nm_error *err)
{
    bool changed = false;
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *first = &rt->part[i];
        if (first->rebuild_until < 0 || first->done < first->rebuild_until)
            continue;
        struct nm_where where = {
            .stream = nm_partition_topic(rt, first), .partition = first->id, .offset = first->done};
        nm_log_at(NM_INFO, is_read(rt, first, NM_AFTER_LOSS) ? "state.rebuild" : "state.read_back", &where,
                  "read to its end; going on with the other streams");
        first->rebuild_until = -1;
        changed = release_held(rt, first) || changed;
    }
    if (!changed)
        return NM_OK;
    enum nm_status status = make_wm(rt, err);
    if (status == NM_OK)
        status = nm_commit_beginning(rt, err);
    if (status != NM_OK)
        return status;
    nm_pause_end(rt); /* what is fetched from now on is not paused yet, whatever the window did */
    return fetch_from_positions(rt, err);
}
