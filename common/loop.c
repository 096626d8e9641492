/* loop.c - the worker's life: fill a batch, deliver it, and when a dependency fails drop everything above wm, back off
 * and begin again from there. The consumer is polled all the time, so that the group keeps its member.
 *
 * A batch is full at runtime.batchItems, batchBytes or batchMs after its first event, whichever comes first. Stopping:
 * the batch that is under way is finished, its offsets are committed, the group is left; a second signal, or
 * runtime.stopMs, ends the process at once (which is harmless: nothing is acknowledged before its time). */
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define POLL_MS        100
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 5000

/* ---- filling ---- */

/* Schema and namespace of a message on a stream that newsmill writes. */
static enum nm_status check_headers(const struct nm_runtime *rt, const struct nm_input *input,
                                    const rd_kafka_message_t *message, struct nm_item *item, struct nm_error *err)
{
    char text[80];
    const char *topic = rt->settings.stream[input->stream].name;
    if (nm_kafka_header(message, "nm-ns", text, sizeof text) >= 0 && strcmp(text, rt->settings.ns) != 0)
        return nm_fail(err, NM_CONFIG,
                       "%s/%d holds a message of namespace '%s' at offset %" PRId64
                       ", this is '%s': two namespaces may share "
                       "raw and signals only; give this one streams of its own",
                       topic, message->partition, text, message->offset, rt->settings.ns);
    if (nm_kafka_header(message, "nm-schema", text, sizeof text) >= 0) {
        size_t len = strlen(input->schema);
        long version =
            strncmp(text, input->schema, len) == 0 && text[len] == '/' ? strtol(text + len + 1, NULL, 10) : 0;
        if (version < 1 || version > input->version)
            return nm_fail(err, NM_CONFIG,
                           "%s/%d holds a message of schema '%s' at offset %" PRId64
                           ", this version reads %s/%d: update newsmill",
                           topic, message->partition, text, message->offset, input->schema, input->version);
    }
    if (nm_kafka_header(message, "nm-revision", text, sizeof text) >= 0)
        item->revision = strtoll(text, NULL, 10);
    return NM_OK;
}

static void note_position(struct nm_partition *part, const struct nm_item *item)
{
    if (!part->touched)
        part->next = part->wm;
    part->touched = true;
    part->next.next = item->offset + 1;
    part->next.last_ms = item->timestamp_ms > 0 ? item->timestamp_ms : -1;
    part->next.last_crc = (int64_t)crc32(0, (const Bytef *)item->value, (uInt)item->value_len);
    if (part->next.event_ms < part->next.last_ms)
        part->next.event_ms = part->next.last_ms;
}

/* Takes the message into the batch, which owns it from now on. */
static enum nm_status add_message(struct nm_runtime *rt, rd_kafka_message_t *message, struct nm_error *err)
{
    size_t input = nm_input_find(rt, rd_kafka_topic_name(message->rkt));
    struct nm_partition *part = NULL;
    if (input < rt->worker->n_inputs)
        part = nm_partition_find(rt, rt->worker->inputs[input].stream, message->partition);
    if (!part || message->offset < (part->touched ? part->next.next : part->done)) {
        rd_kafka_message_destroy(message); /* of an assignment that is over */
        return NM_OK;
    }
    size_t i = rt->batch.n_items++;
    struct nm_item *item = &rt->batch.item[i];
    rt->message[i] = message;
    *item = (struct nm_item){.stream = rt->worker->inputs[input].stream,
                             .partition = message->partition,
                             .offset = message->offset,
                             .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
                             .key = message->key,
                             .key_len = message->key_len,
                             .value = message->payload,
                             .value_len = message->len,
                             .resend = message->offset < part->resend_until,
                             .catching_up = rt->behind,
                             .data = rt->item_data + i * rt->worker->item_size};
    memset(item->data, 0, rt->worker->item_size);
    if (item->timestamp_ms < 0)
        item->timestamp_ms = 0;
    rt->batch_bytes += message->len + message->key_len;
    note_position(part, item);
    enum nm_status status = NM_OK;
    if (rt->worker->inputs[input].schema)
        status = check_headers(rt, &rt->worker->inputs[input], message, item, err);
    if (item->revision > rt->max_revision)
        rt->max_revision = item->revision;
    return status;
}

/* librdkafka 2.0.2 gives a missing topic as an error of the client, not as a message. */
void nm_on_consumer_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    (void)opaque;
    bool missing = code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                   code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    if (missing)
        nm_log(NM_WARN, "kafka.topic", "%s: run `newsmill streams apply`", reason);
    else
        nm_log(NM_DEBUG, "kafka.consumer", "%s", reason);
}

/* What consumer_poll() says instead of a message. */
static enum nm_status consumer_event(struct nm_runtime *rt, const rd_kafka_message_t *message, struct nm_error *err)
{
    const char *topic = message->rkt ? rd_kafka_topic_name(message->rkt) : "";
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
        return NM_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        return nm_fail(err, NM_CONFIG,
                       "%s/%d: our position is outside of the stream (%s): retention or a recreated stream took events "
                       "that were not "
                       "processed; start a fresh namespace or restore the stream",
                       topic, message->partition, rd_kafka_message_errstr(message));
    case RD_KAFKA_RESP_ERR__FATAL:
        return nm_fail(err, NM_FATAL, "Kafka consumer: %s", rd_kafka_message_errstr(message));
    default:
        if (nm_kafka_is_config_error(message->err))
            return nm_fail(err, NM_CONFIG, "Kafka consumer, group %s: %s", rt->group, rd_kafka_message_errstr(message));
        nm_log(NM_DEBUG, "kafka.consumer", "%s", rd_kafka_message_errstr(message));
        return NM_OK;
    }
}

/* Polls once. *got: a message came (it may have been dropped). */
static enum nm_status poll_once(struct nm_runtime *rt, int wait_ms, bool *got, struct nm_error *err)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rt->consumer, wait_ms);
    *got = message != NULL;
    if (!message)
        return NM_OK;
    if (!message->err && rt->resolved && rt->rebalance == NM_REBALANCE_NONE)
        return add_message(rt, message, err);
    enum nm_status status = message->err ? consumer_event(rt, message, err) : NM_OK;
    rd_kafka_message_destroy(message);
    return status;
}

static bool is_behind(const struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].done < rt->part[i].behind_until)
            return true;
    return false;
}

static enum nm_status fill(struct nm_runtime *rt, struct nm_error *err)
{
    int64_t until_ms = 0;
    rt->behind = is_behind(rt);
    while (rt->batch.n_items < (size_t)rt->settings.runtime.batch_items &&
           rt->batch_bytes < (size_t)rt->settings.runtime.batch_bytes && !nm_stop_requested) {
        int wait_ms = POLL_MS;
        if (rt->batch.n_items) {
            int64_t left_ms = until_ms - nm_boottime_ms();
            wait_ms = left_ms > 0 ? (int)left_ms : 0;
        }
        bool got;
        size_t before = rt->batch.n_items;
        enum nm_status status = poll_once(rt, wait_ms, &got, err);
        if (status != NM_OK || rt->rebalance != NM_REBALANCE_NONE || !got)
            return status;
        if (before == 0 && rt->batch.n_items == 1)
            until_ms = nm_boottime_ms() + rt->settings.runtime.batch_ms;
        NM_FAULT(NM_POINT_POLLED);
    }
    return NM_OK;
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
        status = poll_once(rt, left_ms < POLL_MS ? (int)left_ms : POLL_MS, &got, err);
    }
    return status;
}

/* Full jitter: anything from nothing to the bound, which doubles. */
static int64_t backoff_ms(unsigned failures)
{
    int64_t most = BACKOFF_MIN_MS << (failures < 8 ? failures : 7);
    if (most > BACKOFF_MAX_MS)
        most = BACKOFF_MAX_MS;
    return BACKOFF_MIN_MS / 5 + random() % most;
}

static enum nm_status recover(struct nm_runtime *rt, const struct nm_error *why, struct nm_error *err)
{
    rt->failures++;
    if ((rt->failures & (rt->failures - 1)) == 0) /* the 1st, 2nd, 4th, ... in a row */
        nm_log(NM_WARN, "retry", "%s; dropping what is in memory and going on from the watermark (%u in a row)",
               why->msg, rt->failures);
    if (rt->producing)
        nm_producer_drop(rt); /* else it holds nothing of the batch */
    nm_assignment_drop(rt);
    return idle(rt, backoff_ms(rt->failures), err);
}

/* ---- the loop ---- */

/* Everything that must stand before work is taken. *ready: false when there is no assignment yet. */
static enum nm_status get_ready(struct nm_runtime *rt, bool *ready, struct nm_error *err)
{
    *ready = false;
    enum nm_status status = nm_rebalance_serve(rt, err);
    if (status == NM_OK && !rt->producer)
        status = nm_producer_start(rt, err);
    if (status == NM_OK && !nm_redis_probe(rt->redis)) { /* an idle worker, too, must see that Redis went away */
        if (!NM_CONTROL(NM_CONTROL_RETRY_BATCH))
            nm_assignment_drop(rt); /* a lost connection is a new assignment */
        status = nm_redis_reconnect(rt, err);
    }
    if (status == NM_OK && rt->member && !rt->resolved)
        status = nm_assignment_resolve(rt, err);
    *ready = status == NM_OK && rt->member;
    return status;
}

#ifdef NM_CHAOS
/* Negative control: the batch that met a lost connection is tried again on the next one. */
static enum nm_status retry_same_batch(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_RETRY;
    while (status == NM_RETRY && !nm_stop_requested) {
        status = nm_redis_reconnect(rt, err);
        for (size_t i = 0; i < rt->batch.n_items; i++)
            rt->batch.item[i].verdict = NM_UNSET;
        if (status == NM_OK)
            status = nm_deliver(rt, err);
    }
    return status;
}
#endif

static enum nm_status turn(struct nm_runtime *rt, struct nm_error *err)
{
    bool ready;
    enum nm_status status = get_ready(rt, &ready, err);
    if (status != NM_OK)
        return status;
    if (!ready)
        return idle(rt, POLL_MS, err);
    status = fill(rt, err);
    if (status == NM_OK && rt->rebalance != NM_REBALANCE_NONE)
        return NM_OK; /* served by the next turn; what was polled is dropped there */
    if (status == NM_OK && rt->batch.n_items && !nm_stop_requested) {
        status = nm_deliver(rt, err);
#ifdef NM_CHAOS
        if (status == NM_RETRY && nm_control_is(NM_CONTROL_RETRY_BATCH) && !nm_redis_alive(rt->redis))
            status = retry_same_batch(rt, err);
#endif
        if (status == NM_OK) {
            if (rt->failures)
                nm_log(NM_INFO, "recovered", "going on after %u failures", rt->failures);
            rt->failures = 0;
        }
    }
    if (status == NM_OK)
        nm_batch_forget(rt);
    if (status == NM_OK && nm_boottime_ms() - rt->last_commit_ms >= rt->settings.runtime.commit_ms)
        status = nm_commit(rt, false, err);
    return status;
}

enum nm_status nm_loop(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    while (!nm_stop_requested && status == NM_OK) {
        struct nm_error why = {0};
        status = turn(rt, &why);
        if (status == NM_RETRY)
            status = recover(rt, &why, err);
        else if (status != NM_OK && err)
            *err = why;
    }
    nm_batch_forget(rt);
    if (status == NM_OK && rt->member && rt->resolved && rt->failures == 0)
        status = nm_commit(rt, true, err);
    return status;
}
