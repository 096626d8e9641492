/* group.c - how far the whole group is, as its watermarks in Redis tell: who owns a partition does not matter.
 *
 * After a beginning some partitions of the group, ours or others', are still below the end that they had then. Until
 * all have passed it, what was sent before may be missing in the state without a sign, and events of one article that
 * lie in different partitions come in another order than before: items say `catching_up`. The same looks keep a replay
 * in step (pause.c). */
#include "runtime_internal.h"

#include <string.h>

#define LOOK_MS         200 /* between two looks while some partition is behind */
#define LOOK_WAITING_MS 20  /* the same while one of ours waits for another's */

void nm_group_close(struct nm_runtime *rt)
{
    nm_pipe_clear(&rt->peers.pipe);
    free(rt->peers.peer);
    rt->peers = (struct nm_peers){0};
}

static enum nm_status list_peers(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_peers *peers = &rt->peers;
    size_t n = 0;
    for (size_t i = 0; i < rt->worker->n_inputs; i++)
        if (rt->worker->inputs[i].when == NM_ALWAYS)
            n += (size_t)rt->n_partitions[rt->worker->inputs[i].stream];
    struct nm_peer *peer = calloc(n + 1, sizeof *peer);
    if (!peer)
        return nm_fail(err, NM_FATAL, "out of memory for %zu partitions", n);
    free(peers->peer);
    peers->peer = peer;
    peers->n = n;
    for (size_t i = 0; i < rt->worker->n_inputs; i++) {
        enum nm_stream stream = rt->worker->inputs[i].stream;
        for (int32_t id = 0; rt->worker->inputs[i].when == NM_ALWAYS && id < rt->n_partitions[stream]; id++, peer++) {
            peer->topic = rt->settings.stream[stream].name;
            peer->id = id;
            nm_watermark_key(rt->settings.ns, rt->group, peer->topic, id, peer->key);
        }
    }
    return NM_OK;
}

/* The ends of all partitions in one question: librdkafka passes the time on, and -1 is Kafka's word for the end. */
static enum nm_status read_ends(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_peers *peers = &rt->peers;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)peers->n + 1);
    for (size_t i = 0; i < peers->n; i++)
        rd_kafka_topic_partition_list_add(list, peers->peer[i].topic, peers->peer[i].id)->offset = -1;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rt->consumer, list, NM_KAFKA_WAIT_MS);
    for (size_t i = 0; !code && i < peers->n; i++) {
        const rd_kafka_topic_partition_t *got =
            rd_kafka_topic_partition_list_find(list, peers->peer[i].topic, peers->peer[i].id);
        code = got ? got->err : RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
        peers->peer[i].end = peers->peer[i].until = got ? got->offset : 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY,
                       "asking for the ends of the streams: %s", rd_kafka_err2str(code));
    return NM_OK;
}

static void append_looks(struct nm_peers *peers)
{
    nm_pipe_reset(&peers->pipe);
    for (size_t i = 0; i < peers->n; i++) {
        (void)nm_pipe_command(&peers->pipe, 2);
        nm_pipe_str(&peers->pipe, "GET");
        nm_pipe_str(&peers->pipe, peers->peer[i].key);
    }
}

/* A partition without a watermark: nobody has begun it, so nothing of it could be missing; but where offsets were
 * committed its state is gone, and whoever owns it has still to notice, or reads something else first. */
static enum nm_status wait_for_lost(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_peers *peers = &rt->peers;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)peers->n + 1);
    for (size_t i = 0; i < peers->n; i++)
        if (nm_pipe_reply(&peers->pipe, i)->type != NM_REPLY_STR) {
            peers->peer[i].until = 0;
            rd_kafka_topic_partition_list_add(list, peers->peer[i].topic, peers->peer[i].id);
        }
    rd_kafka_resp_err_t code = list->cnt ? rd_kafka_committed(rt->consumer, list, NM_KAFKA_WAIT_MS) : 0;
    for (size_t i = 0; !code && i < peers->n; i++) {
        const rd_kafka_topic_partition_t *got =
            rd_kafka_topic_partition_list_find(list, peers->peer[i].topic, peers->peer[i].id);
        if (got && got->offset > 0)
            peers->peer[i].until = peers->peer[i].end;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY,
                       "reading committed offsets of %s: %s", rt->group, rd_kafka_err2str(code));
    return NM_OK;
}

static void take_looks(struct nm_runtime *rt)
{
    struct nm_peers *peers = &rt->peers;
    bool behind = false, replaying = false;
    for (size_t i = 0; i < peers->n; i++) {
        struct nm_peer *peer = &peers->peer[i];
        const struct nm_reply *reply = nm_pipe_reply(&peers->pipe, i);
        struct nm_watermark wm;
        if (reply->type != NM_REPLY_STR || nm_watermark_parse(reply->str, &wm, NULL) != NM_OK) /* its owner says so */
            wm = (struct nm_watermark){.next = 0, .event_ms = -1};
        peer->next = wm.next;
        peer->event_ms = wm.event_ms;
        behind = behind || peer->next < peer->until;
        replaying = replaying || peer->next < peer->end;
    }
    rt->behind = behind;
    peers->replaying = replaying;
    peers->at_ms = nm_boottime_ms() + LOOK_MS;
}

enum nm_status nm_group_begin(struct nm_runtime *rt, struct nm_error *err)
{
    rt->peers.waiting = false;
    enum nm_status status = list_peers(rt, err);
    if (status == NM_OK)
        status = read_ends(rt, err);
    if (status != NM_OK)
        return status;
    append_looks(&rt->peers);
    status = nm_redis_exec(rt->redis, &rt->peers.pipe, err);
    if (status == NM_OK)
        status = wait_for_lost(rt, err);
    if (status == NM_OK)
        take_looks(rt);
    return status;
}

enum nm_status nm_group_advance(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_peers *peers = &rt->peers;
    if (peers->waiting) {
        if (!nm_pipe_done(&peers->pipe))
            return NM_OK;
        peers->waiting = false;
        take_looks(rt);
        if (nm_pause_ahead(rt))
            peers->at_ms = nm_boottime_ms() + LOOK_WAITING_MS;
    }
    if (!peers->replaying || nm_boottime_ms() < peers->at_ms)
        return NM_OK;
    append_looks(peers);
    peers->waiting = true;
    return nm_redis_submit(rt->redis, &peers->pipe, err);
}

int64_t nm_group_deadline_ms(const struct nm_runtime *rt)
{
    return rt->peers.replaying && !rt->peers.waiting ? rt->peers.at_ms : INT64_MAX;
}
