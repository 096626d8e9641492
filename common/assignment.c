/* assignment.c - which partitions are ours: taking them and giving them back.
 *
 * A rebalance event is only noted in librdkafka's callback and served by the loop, which finishes what is in flight
 * first. Where the partitions are taken up is decided in resume.c. */
#include "newsmill/clock.h"
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

struct nm_partition *nm_partition_find(struct nm_runtime *rt, size_t input, int32_t id)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].id == id && rt->part[i].input == input)
            return &rt->part[i];
    return NULL;
}

struct nm_partition *nm_item_partition(struct nm_runtime *rt, const struct nm_item *item)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].id == item->partition && rt->worker->inputs[rt->part[i].input].stream == item->stream)
            return &rt->part[i];
    return NULL;
}

const char *nm_partition_topic(const struct nm_runtime *rt, const struct nm_partition *part)
{
    return rt->settings.stream[rt->worker->inputs[part->input].stream].name;
}

void nm_assignment_drop(struct nm_runtime *rt)
{
    nm_witness_drop(rt);
    nm_pause_end(rt);   /* a pause would outlive the assignment */
    if (rt->resolved) { /* an empty list, not NULL: we stay a member and fetch nothing */
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);
        (void)rd_kafka_assign(rt->consumer, none);
        rd_kafka_topic_partition_list_destroy(none);
    }
    for (size_t i = 0; i < rt->n_parts; i++) {
        rt->part[i].fetched = rt->part[i].dirty = rt->part[i].moving = false;
        nm_breaker_clear(&rt->part[i].breaker); /* what was counted comes again */
    }
    rt->resolved = rt->verifying = false;
}

static void forget_parts(struct nm_runtime *rt)
{
    nm_observe_forget(rt);
    nm_witness_drop(rt);
    for (size_t i = 0; i < rt->n_parts; i++)
        nm_breaker_clear(&rt->part[i].breaker);
    free(rt->part);
    rt->part = NULL;
    rt->n_parts = 0;
}

static void name_keys(const struct nm_runtime *rt, struct nm_partition *part, const char *topic)
{
    nm_watermark_key(rt->settings.ns, rt->group, topic, part->id, part->key);
    (void)snprintf(part->try_key, sizeof part->try_key, "%s:try:%s:%s:%" PRId32, rt->settings.ns, rt->group, topic,
                   part->id);
}

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
        part[n].rebuild_until = part[n].end = part[n].furthest = -1;
        part[n].progress_ms = nm_boottime_ms();
        name_keys(rt, &part[n], list->elems[i].topic);
        n++;
    }
    forget_parts(rt);
    rt->part = part;
    rt->n_parts = n;
    rt->member = true;
    rt->resolved = true; /* so that the drop answers librdkafka */
    nm_drop_all(rt);
    nm_series_add(rt->observer.rm.rebalances, 1);
    nm_log(NM_INFO, "group.assigned", "%zu partitions of group %s", n, rt->group);
    return NM_OK;
}

/* Drain first; the fence is wm's compare-and-set. What a lost partition reported is still looked at, but neither wm nor
 * the committed offset moves. */
static enum nm_status give_back(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    if (rt->resolved && !rt->verifying)
        status = nm_drain_to_leave(rt, "group.undrained", err);
    if (status == NM_OK && !rt->rebalance_lost && rt->resolved && !rt->verifying)
        nm_guard_end(rt);
    bool commit = !rt->rebalance_lost && (status == NM_OK || status == NM_RETRY);
    if (status == NM_RETRY)
        status = NM_OK;
    if (commit)
        status = nm_commit(rt, true, err);
    nm_drop_all(rt);
    nm_log(NM_INFO, "group.revoked", "%zu partitions of group %s%s", rt->n_parts, rt->group,
           rt->rebalance_lost ? " (lost)" : "");
    forget_parts(rt);
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
    enum nm_status status = event == NM_REBALANCE_ASSIGN ? take_assignment(rt, err) : give_back(rt, err);
    rt->rebalance = NM_REBALANCE_NONE;
    rd_kafka_topic_partition_list_destroy(rt->rebalance_list);
    rt->rebalance_list = NULL;
    return status;
}
