/* assignment.c - which partitions are ours, where each is taken up, and how they are given back.
 *
 * A rebalance event is only noted in librdkafka's callback and served by the loop between two batches, when nothing is
 * in flight. Every beginning (an assignment, a lost Redis connection, a failed delivery) takes the same road: fetch
 * nothing, read wm and the committed offsets, decide, then rd_kafka_assign() with explicit offsets. That is also how
 * one seeks: the seek calls of librdkafka 2.0.2 have bugs, and assign() throws away what was fetched before. */
#include "newsmill/datetime.h"
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void nm_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct nm_runtime *rt = opaque;
    if (rt->closing) {
        (void)rd_kafka_assign(rk, NULL);
        return;
    }
    if (rt->rebalance_list)
        rd_kafka_topic_partition_list_destroy(rt->rebalance_list);
    rt->rebalance_list = rd_kafka_topic_partition_list_copy(list);
    rt->rebalance = event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? NM_REBALANCE_ASSIGN : NM_REBALANCE_REVOKE;
    rt->rebalance_lost = rd_kafka_assignment_lost(rk) != 0;
}

size_t nm_input_find(const struct nm_runtime *rt, const char *topic)
{
    size_t input = 0;
    while (input < rt->worker->n_inputs &&
           strcmp(rt->settings.stream[rt->worker->inputs[input].stream].name, topic) != 0)
        input++;
    return input;
}

struct nm_partition *nm_partition_find(struct nm_runtime *rt, enum nm_stream stream, int32_t id)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].id == id && rt->worker->inputs[rt->part[i].input].stream == stream)
            return &rt->part[i];
    return NULL;
}

static const char *topic_of(const struct nm_runtime *rt, const struct nm_partition *part)
{
    return rt->settings.stream[rt->worker->inputs[part->input].stream].name;
}

static rd_kafka_topic_partition_list_t *list_of(const struct nm_runtime *rt)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)rt->n_parts + 1);
    for (size_t i = 0; i < rt->n_parts; i++)
        (void)rd_kafka_topic_partition_list_add(list, topic_of(rt, &rt->part[i]), rt->part[i].id);
    return list;
}

/* ---- commit ---- */

void nm_on_committed(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)rk;
    struct nm_runtime *rt = opaque;
    /* A failed commit is harmless, since wm is the truth, but it is tried again, also when nothing else happens. */
    if (code && code != RD_KAFKA_RESP_ERR__NO_OFFSET)
        nm_log(NM_DEBUG, "kafka.commit", "offsets were not committed: %s", rd_kafka_err2str(code));
    for (int i = 0; list && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *told = &list->elems[i];
        for (size_t k = 0; k < rt->n_parts; k++) {
            struct nm_partition *part = &rt->part[k];
            if (part->id != told->partition || strcmp(topic_of(rt, part), told->topic) != 0)
                continue;
            if (!code && !told->err && told->offset > part->committed)
                part->committed = told->offset;
            if (part->asked <= told->offset)
                part->asked = part->committed;
        }
    }
}

enum nm_status nm_commit(struct nm_runtime *rt, bool wait, struct nm_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)rt->n_parts + 1);
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        /* Never backwards: a commit above wm is how the next owner sees that Redis lost writes. */
        if (part->done <= part->committed || part->done <= part->asked)
            continue;
        rd_kafka_topic_partition_list_add(list, topic_of(rt, part), part->id)->offset = part->done;
        part->asked = part->done;
    }
    rt->last_commit_ms = nm_boottime_ms();
    rd_kafka_resp_err_t code = list->cnt ? rd_kafka_commit(rt->consumer, list, !wait) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(list);
    NM_FAULT(NM_POINT_COMMITTED);
    if (code && nm_kafka_is_config_error(code))
        return nm_fail(err, NM_CONFIG, "committing offsets of %s: %s", rt->group, rd_kafka_err2str(code));
    if (code)
        nm_log(NM_DEBUG, "kafka.commit", "offsets were not committed: %s", rd_kafka_err2str(code));
    return NM_OK;
}

/* ---- beginning ---- */

void nm_assignment_drop(struct nm_runtime *rt)
{
    nm_batch_forget(rt);
    if (rt->resolved) { /* an empty list, not NULL: we stay a member and fetch nothing */
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);
        (void)rd_kafka_assign(rt->consumer, none);
        rd_kafka_topic_partition_list_destroy(none);
    }
    rt->resolved = false;
}

static enum nm_status read_committed(struct nm_runtime *rt, struct nm_resume_facts *facts, struct nm_error *err)
{
    rd_kafka_topic_partition_list_t *list = list_of(rt);
    rd_kafka_resp_err_t code = rd_kafka_committed(rt->consumer, list, NM_KAFKA_WAIT_MS);
    for (size_t i = 0; !code && i < rt->n_parts; i++) {
        const rd_kafka_topic_partition_t *got =
            rd_kafka_topic_partition_list_find(list, topic_of(rt, &rt->part[i]), rt->part[i].id);
        code = got ? got->err : RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
        facts[i].committed = got && got->offset >= 0 ? got->offset : -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY,
                       "reading committed offsets of %s: %s", rt->group, rd_kafka_err2str(code));
    return NM_OK;
}

static enum nm_status read_wm(struct nm_runtime *rt, struct nm_resume_facts *facts, struct nm_error *err)
{
    struct nm_pipe *pipe = rt->batch.pipe;
    nm_pipe_reset(pipe);
    for (size_t i = 0; i < rt->n_parts; i++) {
        (void)nm_pipe_command(pipe, 2);
        nm_pipe_str(pipe, "GET");
        nm_pipe_str(pipe, rt->part[i].key);
    }
    enum nm_status status = nm_redis_exec(rt->redis, pipe, err);
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        const struct nm_reply *reply = nm_pipe_reply(pipe, i);
        facts[i].had_wm = part->has_wm;
        facts[i].mine = part->wm;
        facts[i].has_wm = reply->type == NM_REPLY_STR;
        if (facts[i].has_wm && reply->len >= NM_WM_BYTES)
            status = nm_fail(err, NM_FATAL, "key %s holds %zu bytes, no watermark", part->key, reply->len);
        else if (facts[i].has_wm)
            status = nm_watermark_parse(reply->str, &facts[i].wm, err);
        if (status == NM_OK)
            (void)snprintf(part->wm_text, sizeof part->wm_text, "%s", reply->str);
    }
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
    rd_kafka_topic_partition_list_add(list, topic_of(rt, part), part->id)->offset = time_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rt->consumer, list, NM_KAFKA_WAIT_MS);
    if (!code && list->elems[0].offset >= 0) /* -1: nothing is that young, so the end */
        facts->fresh = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, NM_RETRY, "looking up runtime.start in %s: %s", topic_of(rt, part), rd_kafka_err2str(code));
    return NM_OK;
}

static void begin_at(struct nm_runtime *rt, struct nm_partition *part, const struct nm_resume_facts *facts,
                     const struct nm_resume *resume)
{
    part->done = resume->start;
    part->committed = part->asked = facts->committed;
    part->has_wm = facts->has_wm;
    part->wm = facts->wm;
    if (!facts->has_wm)
        part->wm = (struct nm_watermark){.next = resume->start, .event_ms = -1, .last_ms = -1, .last_crc = -1};
    part->behind_until = facts->has_wm ? facts->end : 0;
    if (resume->rolled_back && part->resend_until < facts->end)
        part->resend_until = facts->end;
    struct nm_where where = {.stream = topic_of(rt, part), .partition = part->id, .offset = resume->start};
    if (resume->rolled_back)
        nm_log_at(NM_WARN, "state.rollback", &where,
                  "Redis lost writes (committed %" PRId64 ", watermark %" PRId64 "): what was lost is applied again",
                  facts->committed, facts->wm.next);
    else
        nm_log_at(NM_DEBUG, "partition.begin", &where, "committed %" PRId64 ", end %" PRId64, facts->committed,
                  facts->end);
}

static enum nm_status decide(struct nm_runtime *rt, struct nm_resume_facts *facts, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        struct nm_resume resume;
        char what[300];
        (void)snprintf(what, sizeof what, "%.250s/%d", topic_of(rt, part), part->id);
        status = nm_kafka_ends(rt->consumer, topic_of(rt, part), part->id, NM_KAFKA_WAIT_MS, &facts[i].oldest,
                               &facts[i].end, err);
        if (status == NM_OK)
            status = read_fresh(rt, part, &facts[i], err);
        if (status == NM_OK)
            status = nm_resume_decide(what, &facts[i], &resume, err);
        if (status == NM_OK && (NM_CONTROL(NM_CONTROL_COMMITTED_ONLY) || NM_CONTROL(NM_CONTROL_STORED_OFFSETS)) &&
            facts[i].committed >= 0)
            resume = (struct nm_resume){.start = facts[i].committed};
        if (status == NM_OK)
            begin_at(rt, part, &facts[i], &resume);
    }
    return status;
}

/* A watermark exists from the first moment on, so that a Redis without one is known to have lost it. */
static enum nm_status create_missing_wm(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_pipe *pipe = rt->batch.pipe;
    nm_pipe_reset(pipe);
    for (size_t i = 0; i < rt->n_parts; i++)
        if (!rt->part[i].has_wm)
            nm_watermark_append(pipe, rt->part[i].key, "", &rt->part[i].wm);
    if (pipe->n_commands == 0)
        return NM_OK;
    enum nm_status status = nm_redis_exec(rt->redis, pipe, err);
    size_t at = 0;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        if (part->has_wm)
            continue;
        const struct nm_reply *reply = nm_pipe_reply(pipe, at++);
        const struct nm_reply *value = nm_reply_at(reply, 1);
        if (nm_reply_int(nm_reply_at(reply, 0), 0) != 1)
            return nm_fail(err, NM_RETRY, "another instance created the watermark of partition %d", part->id);
        status = nm_watermark_parse(value->str, &part->wm, err);
        if (status == NM_OK)
            (void)snprintf(part->wm_text, sizeof part->wm_text, "%s", value->str);
        part->has_wm = status == NM_OK;
    }
    return status;
}

static enum nm_status fetch_from_positions(struct nm_runtime *rt, struct nm_error *err)
{
    rd_kafka_topic_partition_list_t *list = list_of(rt);
    for (size_t i = 0; i < rt->n_parts; i++)
        rd_kafka_topic_partition_list_find(list, topic_of(rt, &rt->part[i]), rt->part[i].id)->offset = rt->part[i].done;
    rd_kafka_resp_err_t code = rd_kafka_assign(rt->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, NM_RETRY, "assigning %zu partitions: %s", rt->n_parts, rd_kafka_err2str(code));
    rt->resolved = true;
    NM_FAULT(NM_POINT_ASSIGNED);
    return NM_OK;
}

enum nm_status nm_assignment_resolve(struct nm_runtime *rt, struct nm_error *err)
{
    if (rt->n_parts == 0)
        return fetch_from_positions(rt, err);
    struct nm_resume_facts *facts = calloc(rt->n_parts, sizeof *facts);
    if (!facts)
        return nm_fail(err, NM_FATAL, "out of memory for %zu partitions", rt->n_parts);
    enum nm_status status = read_committed(rt, facts, err);
    if (status ==
        NM_OK) /* after the committed offsets: wm is written first, so it cannot be behind them but by a loss */
        status = read_wm(rt, facts, err);
    if (status == NM_OK)
        status = decide(rt, facts, err);
    if (status == NM_OK)
        status = create_missing_wm(rt, err);
    if (status == NM_OK)
        status = fetch_from_positions(rt, err);
    free(facts);
    return status;
}

/* ---- rebalances ---- */

static enum nm_status take_assignment(struct nm_runtime *rt, struct nm_error *err)
{
    const rd_kafka_topic_partition_list_t *list = rt->rebalance_list;
    struct nm_partition *part = calloc((size_t)list->cnt + 1, sizeof *part);
    if (!part)
        return nm_fail(err, NM_FATAL, "out of memory for %d partitions", list->cnt);
    size_t n = 0;
    for (int i = 0; i < list->cnt; i++) {
        size_t input = nm_input_find(rt, list->elems[i].topic);
        if (input == rt->worker->n_inputs)
            continue; /* a member with another option file subscribed to it */
        part[n].input = input;
        part[n].id = list->elems[i].partition;
        nm_watermark_key(rt->settings.ns, rt->group, list->elems[i].topic, list->elems[i].partition, part[n].key);
        n++;
    }
    free(rt->part);
    rt->part = part;
    rt->n_parts = n;
    rt->member = true;
    rt->resolved = true; /* so that the drop below answers librdkafka */
    nm_assignment_drop(rt);
    nm_log(NM_INFO, "group.assigned", "%zu partitions of group %s", n, rt->group);
    return NM_OK;
}

static enum nm_status give_back(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    nm_batch_forget(rt); /* polled but not begun: whoever comes next reads it again */
    if (!rt->rebalance_lost)
        status = nm_commit(rt, true, err);
    nm_log(NM_INFO, "group.revoked", "%zu partitions of group %s%s", rt->n_parts, rt->group,
           rt->rebalance_lost ? " (lost)" : "");
    free(rt->part);
    rt->part = NULL;
    rt->n_parts = 0;
    rt->member = false;
    rt->resolved = false;
    NM_FAULT(NM_POINT_REVOKED);
    (void)rd_kafka_assign(rt->consumer, NULL);
    return status;
}

enum nm_status nm_rebalance_serve(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_rebalance event = rt->rebalance;
    if (event == NM_REBALANCE_NONE)
        return NM_OK;
    rt->rebalance = NM_REBALANCE_NONE;
    enum nm_status status = event == NM_REBALANCE_ASSIGN ? take_assignment(rt, err) : give_back(rt, err);
    rd_kafka_topic_partition_list_destroy(rt->rebalance_list);
    rt->rebalance_list = NULL;
    return status;
}
