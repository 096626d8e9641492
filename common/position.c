/* position.c - how far each partition is finished: in wm beside the state, then as Kafka's committed offset.
 *
 * Works finish in any order; a partition's position covers only the finished prefix. wm moves by compare-and-set from
 * the value that this owner last read or wrote, one pipeline at a time, which carries whatever finished meanwhile. */
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMMIT_MS 3000 /* longest wait for the answer to a commit */
#define LOOK_MS   1000 /* between two questions whether wm is still what it was, while nothing moves it */

/* ---- wm ---- */

static bool take_spans(struct nm_runtime *rt, struct nm_work *work)
{
    bool all = true;
    for (size_t i = 0; i < work->n_spans; i++) {
        struct nm_span *span = &work->span[i];
        struct nm_partition *part = &rt->part[span->part];
        if (span->taken)
            continue;
        if (work->stage != NM_STAGE_DONE || part->blocked) {
            part->blocked = true;
            all = false;
            continue;
        }
        part->next = span->next;
        part->dirty = part->rebuild_until < 0; /* a rebuild input has no wm */
        part->done = part->dirty ? part->done : span->next.next;
        span->taken = true;
    }
    return all && work->stage == NM_STAGE_DONE;
}

/* Works that are finished and counted are released. Of lost partitions nothing is counted. */
static void take_finished(struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        rt->part[i].blocked = false;
    for (size_t i = 0; i < rt->n_works;) {
        struct nm_work *work = rt->order[i];
        bool over = work->stage == NM_STAGE_DONE || work->stage == NM_STAGE_DROPPED;
        if (nm_is_fenced(rt) ? over : take_spans(rt, work))
            nm_work_release(rt, work);
        else
            i++;
    }
}

/* An empty string: the script's word for no watermark. */
static enum nm_status is_moved(const struct nm_partition *part, const struct nm_reply *now, struct nm_error *err)
{
    if (now->len == 0)
        return nm_fail(err, NM_RETRY, "Redis has no watermark of partition %d any more", part->id);
    return nm_fail(err, NM_RETRY,
                   "the watermark of partition %d reads '%.60s' and not '%.60s': another instance moved it", part->id,
                   now->str, part->wm_text);
}

enum nm_status nm_position_moved(struct nm_partition *part, const struct nm_reply *reply, struct nm_error *err)
{
    const struct nm_reply *value = nm_reply_at(reply, 1);
    if (nm_reply_int(nm_reply_at(reply, 0), 0) != 1)
        return is_moved(part, value, err);
    enum nm_status status = nm_watermark_parse(value->str, &part->wm, err);
    if (status == NM_OK && value->len >= sizeof part->wm_text)
        status = nm_fail(err, NM_FATAL, "a watermark of %" PRIu32 " bytes", value->len);
    if (status == NM_OK) {
        memcpy(part->wm_text, value->str, value->len + 1);
        part->has_wm = true;
        part->done = part->wm.next;
        if (part->wm.last_crc >= 0)
            part->newest = nm_watermark_last(&part->wm);
        if (part->anchor.crc < 0)
            part->anchor = nm_watermark_last(&part->wm);
    }
    return status;
}

static bool has_wm(const struct nm_runtime *rt, const struct nm_partition *part)
{
    return nm_has_position(rt, part) && !part->held;
}

static void append_get(struct nm_pipe *pipe, const struct nm_partition *part)
{
    (void)nm_pipe_command(pipe, 2);
    nm_pipe_str(pipe, "GET");
    nm_pipe_str(pipe, part->key);
}

/* An emptied Redis keeps its connections, and an idle worker moves nothing that could tell. */
static enum nm_status look(struct nm_runtime *rt, struct nm_error *err)
{
    bool quiet = rt->n_works == 0 && rt->rebalance == NM_REBALANCE_NONE && rt->resolved && !rt->verifying;
    if (!quiet || nm_boottime_ms() - rt->wm_asked_ms < LOOK_MS)
        return NM_OK;
    rt->wm_asked_ms = nm_boottime_ms();
    for (size_t i = 0; i < rt->n_parts; i++)
        if (has_wm(rt, &rt->part[i]))
            append_get(&rt->wm_pipe, &rt->part[i]);
    rt->wm_looks = rt->wm_waiting = rt->wm_pipe.n_commands > 0;
    return nm_redis_submit(rt->redis, &rt->wm_pipe, err);
}

static enum nm_status read_look(struct nm_runtime *rt, struct nm_error *err)
{
    size_t at = 0;
    enum nm_status status = NM_OK;
    rt->wm_waiting = rt->wm_looks = false;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        const struct nm_partition *part = &rt->part[i];
        if (!has_wm(rt, part))
            continue;
        const struct nm_reply *reply = nm_pipe_reply(&rt->wm_pipe, at++);
        if (strcmp(reply->str, part->wm_text) != 0)
            status = is_moved(part, reply, err);
    }
    return status;
}

/* Everything up to the last event is finished, and Kafka said that there is no other one. The offset below the new
 * position is no record, so there is no mark of it. */
static void pass_over_markers(const struct nm_runtime *rt, struct nm_partition *part)
{
    if (!has_wm(rt, part) || part->dirty || part->rebuild_until >= 0 || part->skip_to <= part->skip_from ||
        part->polled != part->skip_from || part->done != part->skip_from)
        return;
    part->next = part->wm;
    part->next.next = part->polled = part->skip_to;
    part->next.last_ms = part->next.last_crc = -1;
    part->dirty = true;
}

/* The parts that the pipeline in flight moves are marked by `moving`; they stay dirty when more finished meanwhile. */
static enum nm_status ask_wm(struct nm_runtime *rt, struct nm_error *err)
{
    nm_pipe_reset(&rt->wm_pipe);
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        pass_over_markers(rt, part);
        part->moving = part->dirty;
        part->dirty = false;
        part->next.anchor = part->anchor;
        if (part->moving)
            nm_watermark_append(&rt->wm_pipe, part->key, part->wm_text, &part->next);
    }
    if (rt->wm_pipe.n_commands == 0)
        return look(rt, err);
    rt->wm_asked_ms = nm_boottime_ms();
    rt->wm_waiting = true;
    return nm_redis_submit(rt->redis, &rt->wm_pipe, err);
}

static enum nm_status read_wm(struct nm_runtime *rt, struct nm_error *err)
{
    size_t at = 0;
    enum nm_status status = NM_OK;
    rt->wm_waiting = false;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++)
        if (rt->part[i].moving)
            status = nm_position_moved(&rt->part[i], nm_pipe_reply(&rt->wm_pipe, at++), err);
    if (status != NM_OK)
        return status;
    NM_FAULT(NM_POINT_WM_WRITTEN);
    nm_observe_recovered(rt);
    return NM_OK;
}

static enum nm_status commit_in_time(struct nm_runtime *rt, struct nm_error *err)
{
    if (NM_CONTROL(NM_CONTROL_STORED_OFFSETS)) {
        (void)rd_kafka_commit(rt->consumer, NULL, 1);
        return NM_OK;
    }
    bool now = NM_CONTROL(NM_CONTROL_COMMIT_BEFORE_REPORT) ||
               nm_boottime_ms() - rt->last_commit_ms >= rt->settings.runtime.commit_ms;
    return now ? nm_commit(rt, NM_CONTROL(NM_CONTROL_COMMIT_BEFORE_REPORT), err) : NM_OK;
}

#ifdef NM_CHAOS
/* Negative control: what was handed to the client library counts as delivered. */
static void finish_early(struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_works; i++)
        for (size_t k = 0; rt->order[i]->stage >= NM_STAGE_SENT && k < rt->order[i]->n_spans; k++) {
            struct nm_span *span = &rt->order[i]->span[k];
            if (span->taken)
                continue;
            rt->part[span->part].next = span->next;
            rt->part[span->part].dirty = span->taken = true;
        }
}
#endif

enum nm_status nm_positions_advance(struct nm_runtime *rt, bool *idle, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    *idle = false;
    if (rt->wm_waiting) {
        if (!nm_pipe_done(&rt->wm_pipe))
            return NM_OK;
        status = rt->wm_looks ? read_look(rt, err) : read_wm(rt, err);
        if (nm_is_fenced(rt))
            status = status == NM_RETRY ? NM_OK : status; /* that another instance moved it is known */
        else if (status == NM_OK)
            status = commit_in_time(rt, err);
    }
#ifdef NM_CHAOS
    if (nm_control_is(NM_CONTROL_COMMIT_BEFORE_REPORT))
        finish_early(rt);
#endif
    if (status == NM_OK) {
        take_finished(rt);
        if (!nm_is_fenced(rt))
            status = ask_wm(rt, err);
    }
    *idle = !rt->wm_waiting;
    return status;
}

#ifdef NM_CHAOS
enum nm_status nm_positions_adopt(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        nm_pipe_reset(&rt->wm_pipe);
        (void)nm_pipe_command(&rt->wm_pipe, 2);
        nm_pipe_str(&rt->wm_pipe, "GET");
        nm_pipe_str(&rt->wm_pipe, rt->part[i].key);
        status = nm_redis_exec(rt->redis, &rt->wm_pipe, err);
        if (status == NM_OK)
            (void)snprintf(rt->part[i].wm_text, NM_WM_BYTES, "%s", nm_pipe_reply(&rt->wm_pipe, 0)->str);
        rt->part[i].dirty = rt->part[i].dirty || rt->part[i].moving;
    }
    rt->wm_waiting = false;
    return status;
}
#endif

/* ---- whether the state stands ---- */

void nm_state_ask(struct nm_runtime *rt, struct nm_work *work)
{
    work->n_looks = 0;
    for (size_t i = 0; i < work->n_spans; i++)
        if (has_wm(rt, &rt->part[work->span[i].part])) {
            append_get(work->batch.pipe, &rt->part[work->span[i].part]);
            work->n_looks++;
        }
}

enum nm_status nm_state_check(const struct nm_work *work, struct nm_error *err)
{
    const struct nm_pipe *replies = work->batch.replies;
    for (size_t i = replies->n_commands - work->n_looks; i < replies->n_commands; i++)
        if (nm_pipe_reply(replies, i)->type == NM_REPLY_NIL)
            return nm_fail(err, NM_RETRY, "Redis lost its watermarks under a batch of %zu", work->batch.n_items);
    return NM_OK;
}

/* ---- commit ---- */

static void note_committed(struct nm_runtime *rt, rd_kafka_resp_err_t code, const rd_kafka_topic_partition_t *told)
{
    struct nm_partition *part = nm_partition_find(rt, nm_input_find(rt, told->topic), told->partition);
    if (part && !code && !told->err)
        part->committed = told->offset;
    else if (part)
        part->asked = part->committed; /* so that it is asked again */
}

void nm_on_committed(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)rk;
    /* A failed commit is harmless, since wm is the truth, but it is tried again, also when nothing else happens. */
    if (code && code != RD_KAFKA_RESP_ERR__NO_OFFSET)
        nm_log(NM_DEBUG, "kafka.commit", "offsets were not committed: %s", rd_kafka_err2str(code));
    for (int i = 0; list && i < list->cnt; i++)
        note_committed(opaque, code, &list->elems[i]);
}

static void add_commit(const struct nm_runtime *rt, rd_kafka_topic_partition_list_t *list, struct nm_partition *part)
{
    rd_kafka_topic_partition_t *row = rd_kafka_topic_partition_list_add(list, nm_partition_topic(rt, part), part->id);
    char note[NM_COMMIT_NOTE_BYTES];
    nm_commit_note(part->wm.redis_us, part->done < part->resend_until ? part->resend_until : 0, note);
    row->offset = part->done;
    row->metadata = strdup(note); /* librdkafka's list frees it */
    row->metadata_size = row->metadata ? strlen(note) : 0;
    part->asked = part->done;
}

/* librdkafka's own wait has no limit of ours: without a broker it outlasts a stop. */
static rd_kafka_resp_err_t commit_and_wait(rd_kafka_t *consumer, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(consumer, list, queue, NULL, NULL);
    rd_kafka_event_t *event = code ? NULL : rd_kafka_queue_poll(queue, COMMIT_MS);
    if (event)
        code = rd_kafka_event_error(event);
    else if (!code)
        code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    return code;
}

enum nm_status nm_commit(struct nm_runtime *rt, bool wait, struct nm_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)rt->n_parts + 1);
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        /* Backwards too: after a loss the offset must not be above what is finished in this timeline. */
        if (has_wm(rt, part) && part->done != part->asked)
            add_commit(rt, list, part);
    }
    rt->last_commit_ms = nm_boottime_ms();
    bool some = list->cnt > 0;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (some)
        code = wait ? commit_and_wait(rt->consumer, list) : rd_kafka_commit(rt->consumer, list, true);
    rd_kafka_topic_partition_list_destroy(list);
    if (some)
        NM_FAULT(NM_POINT_COMMITTED);
    if (code && nm_kafka_is_config_error(code))
        return nm_fail(err, NM_CONFIG, "committing offsets of %s: %s", rt->group, rd_kafka_err2str(code));
    if (code)
        nm_log(NM_DEBUG, "kafka.commit", "offsets were not committed: %s", rd_kafka_err2str(code));
    return NM_OK;
}

/* Before anything of a new timeline is sent, Kafka knows where it began. Unlike other commits this one must succeed. */
enum nm_status nm_commit_beginning(struct nm_runtime *rt, struct nm_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)rt->n_parts + 1);
    for (size_t i = 0; i < rt->n_parts; i++)
        if ((rt->part[i].rolled_back || rt->part[i].lost || rt->part[i].gap) && !rt->part[i].held)
            add_commit(rt, list, &rt->part[i]);
    rd_kafka_resp_err_t code = list->cnt ? commit_and_wait(rt->consumer, list) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY,
                       "committing where group %s begins again: %s", rt->group, rd_kafka_err2str(code));
    return NM_OK;
}
