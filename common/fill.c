/* fill.c - from Kafka's messages to the items of a work, and when to take none.
 *
 * A work starts when it is full (runtime.batchItems, batchBytes), batchMs after its first event, or after a tenth of
 * that while nothing else is on its way to Redis. When the window is full, nothing is polled; when it stays full, the
 * partitions are paused and the consumer is polled again, so that a rebalance is answered. A short stop does not pause:
 * that would throw away what librdkafka has fetched ahead. */
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_AFTER_MS 1000

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

static void note_position(struct nm_runtime *rt, struct nm_partition *part, struct nm_work *work,
                          const struct nm_item *item)
{
    struct nm_span *span = nm_work_span(work, (size_t)(part - rt->part));
    struct nm_watermark *next = &span->next;
    if (span->n_items++ == 0) {
        next->event_ms = part->event_ms;
        next->generation = part->wm.generation;
        span->first_ms = item->timestamp_ms;
    }
    span->last = item; /* what wm keeps of it is noted when the work starts */
    next->next = part->polled = item->offset + 1;
    if (item->timestamp_ms > 0 && next->event_ms < item->timestamp_ms)
        next->event_ms = item->timestamp_ms;
    part->event_ms = next->event_ms;
}

/* Takes the message into the work, which owns it from now on. */
static enum nm_status add_message(struct nm_runtime *rt, struct nm_work *work, rd_kafka_message_t *message,
                                  struct nm_error *err)
{
    size_t input = nm_input_find(rt, rd_kafka_topic_name(message->rkt));
    struct nm_partition *part = nm_partition_find(rt, input, message->partition);
    if (!part || !part->fetched || message->offset < part->polled) {
        rd_kafka_message_destroy(message); /* of an assignment that is over */
        return NM_OK;
    }
    struct nm_batch *batch = &work->batch;
    size_t i = batch->n_items++;
    struct nm_item *item = &batch->item[i];
    size_t bytes = message->len + message->key_len;
    work->message[i] = message;
    work->bytes += bytes;
    rt->in_flight_bytes += bytes;
    rt->in_flight_items++;
    *item = (struct nm_item){.stream = rt->worker->inputs[input].stream,
                             .partition = message->partition,
                             .offset = message->offset,
                             .generation = part->wm.generation,
                             .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
                             .key = message->key,
                             .key_len = message->key_len,
                             .value = message->payload,
                             .value_len = message->len,
                             .resend = message->offset < part->resend_until,
                             .catching_up = rt->behind,
                             .data = work->item_data + i * rt->worker->item_size};
    memset(item->data, 0, rt->worker->item_size);
    if (item->timestamp_ms < 0)
        item->timestamp_ms = 0;
    note_position(rt, part, work, item);
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
    struct nm_runtime *rt = opaque;
    nm_kafka_note_error(reason);
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        rt->kafka_down = true;
    bool missing = code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                   code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    if (missing)
        nm_log(NM_WARN, "kafka.topic", "%s: run `newsmill streams apply`", reason);
    else
        nm_log(NM_DEBUG, "kafka.consumer", "%s", reason);
}

/* The last offsets may hold no event: of a compacted stream they are gone, and those of the markers that end
 * transactions are never delivered. What is read for a rebuild ends where Kafka says so, and a position passes over
 * them. */
static void note_end(struct nm_runtime *rt, const rd_kafka_message_t *message)
{
    struct nm_partition *part =
        nm_partition_find(rt, nm_input_find(rt, rd_kafka_topic_name(message->rkt)), message->partition);
    if (!part || !part->fetched)
        return;
    if (part->rebuild_until >= 0 && message->offset >= part->rebuild_until)
        part->rebuild_until = part->polled;
    part->skip_from = part->polled;
    part->skip_to = message->offset;
}

/* What consumer_poll() says instead of a message. */
static enum nm_status consumer_event(struct nm_runtime *rt, const rd_kafka_message_t *message, struct nm_error *err)
{
    const char *topic = message->rkt ? rd_kafka_topic_name(message->rkt) : "";
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        note_end(rt, message);
        return NM_OK;
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
        return NM_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET: /* the next beginning finds the gap, and follows runtime.onGap */
        return nm_fail(err, NM_RETRY, "%s/%d: our position is outside of the stream (%s)", topic, message->partition,
                       rd_kafka_message_errstr(message));
    case RD_KAFKA_RESP_ERR__BAD_MSG: /* what follows must not carry the position over it */
        return nm_fail(err, NM_RETRY, "%s/%d: damaged records (%s)", topic, message->partition,
                       rd_kafka_message_errstr(message));
    case RD_KAFKA_RESP_ERR__FATAL:
        return nm_fail(err, NM_FATAL, "Kafka consumer: %s", rd_kafka_message_errstr(message));
    default:
        if (nm_kafka_is_config_error(message->err))
            return nm_fail(err, NM_CONFIG, "Kafka consumer, group %s: %s", rt->group, rd_kafka_message_errstr(message));
        nm_log(NM_DEBUG, "kafka.consumer", "%s", rd_kafka_message_errstr(message));
        return NM_OK;
    }
}

enum nm_status nm_poll_idle(struct nm_runtime *rt, int wait_ms, bool *got, struct nm_error *err)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rt->consumer, wait_ms);
    enum nm_status status = NM_OK;
    *got = message != NULL;
    if (message && message->err)
        status = consumer_event(rt, message, err);
    if (message)
        rd_kafka_message_destroy(message);
    return status;
}

/* ---- filling ---- */

/* The window is full. */
static enum nm_status wait_for_room(struct nm_runtime *rt, struct nm_error *err)
{
    int64_t now_ms = nm_boottime_ms();
    if (!rt->full_since_ms)
        rt->full_since_ms = now_ms;
    if (!rt->window_paused && now_ms - rt->full_since_ms < PAUSE_AFTER_MS)
        return NM_OK;
    if (!rt->window_paused)
        nm_log(NM_DEBUG, "window.full", "%zu events in flight: partitions paused", rt->in_flight_items);
    nm_pause_window(rt, true);
    bool got;
    return nm_poll_idle(rt, 0, &got, err);
}

static bool is_suspicious(const struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].done < rt->part[i].suspect_until)
            return true;
    return false;
}

/* Something else is between its first question to Redis and its sending. */
static bool redis_is_busy(const struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_works; i++)
        if (rt->order[i]->stage == NM_STAGE_PROCESS || rt->order[i]->stage == NM_STAGE_JUDGE)
            return true;
    return false;
}

static int64_t deadline_of(const struct nm_runtime *rt, const struct nm_work *work)
{
    int64_t wait_ms = rt->settings.runtime.batch_ms;
    return work->filled_ms + (redis_is_busy(rt) ? wait_ms : wait_ms / 10);
}

int64_t nm_fill_deadline_ms(const struct nm_runtime *rt)
{
    const struct nm_work *work = nm_work_filling(rt);
    return work ? deadline_of(rt, work) : INT64_MAX;
}

static bool is_full(const struct nm_runtime *rt, const struct nm_work *work)
{
    return work->batch.n_items >= (size_t)(rt->suspicious ? 1 : rt->settings.runtime.batch_items) ||
           work->bytes >= (size_t)rt->settings.runtime.batch_bytes;
}

static enum nm_status start_when_ready(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_work *work = nm_work_filling(rt);
    if (!work || (!is_full(rt, work) && nm_boottime_ms() < deadline_of(rt, work)))
        return NM_OK;
    return nm_work_start(rt, work, err);
}

/* One message or event from the consumer, if there is any now. */
static enum nm_status take_one(struct nm_runtime *rt, bool *got, struct nm_error *err)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rt->consumer, 0);
    *got = message != NULL;
    if (!message)
        return NM_OK;
    if (message->err || rt->rebalance != NM_REBALANCE_NONE) {
        enum nm_status status = message->err ? consumer_event(rt, message, err) : NM_OK;
        rd_kafka_message_destroy(message);
        return status;
    }
    rt->kafka_down = false;
    struct nm_work *work = nm_work_filling(rt);
    if (!work)
        work = nm_work_take(rt, NM_STAGE_FILLING);
    enum nm_status status = add_message(rt, work, message, err);
    if (work->batch.n_items == 0)
        nm_work_release(rt, work);
    NM_FAULT(NM_POINT_POLLED);
    return status;
}

enum nm_status nm_fill(struct nm_runtime *rt, bool *busy, struct nm_error *err)
{
    bool got = true;
    enum nm_status status = NM_OK;
    rt->suspicious = rt->suspicious && is_suspicious(rt);
    while (status == NM_OK && got && rt->rebalance == NM_REBALANCE_NONE) {
        struct nm_work *work = nm_work_filling(rt);
        if (work && is_full(rt, work)) {
            *busy = true; /* there is more */
            return nm_work_start(rt, work, err);
        }
        if (nm_window_full(rt) || (rt->suspicious && !work && (rt->n_works || rt->wm_waiting))) {
            status = start_when_ready(rt, err);
            return status == NM_OK ? wait_for_room(rt, err) : status;
        }
        rt->full_since_ms = 0;
        nm_pause_window(rt, false);
        status = take_one(rt, &got, err);
    }
    return status == NM_OK ? start_when_ready(rt, err) : status;
}
