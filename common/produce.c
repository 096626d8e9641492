/* produce.c - what a batch emits, its dead letters, and the delivery reports that are the only acknowledgement.
 *
 * After any failure the producer is destroyed with all that it holds and opened anew: nothing of an abandoned batch can
 * be sent later, and librdkafka's fatal idempotence errors heal the same way. What was in flight may be on the stream;
 * it is a version like any other, and a newer one follows. */
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const nm_schemas[NM_N_STREAMS] = {
    [NM_NORMALIZED] = "article/1", [NM_FACETS] = "facet/1", [NM_RECORDS] = "record/1", [NM_DEAD] = "dead/1"};

void nm_on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct nm_runtime *rt = opaque;
    struct nm_work *work = message->_private;
    if (!rt->producer || !work || !work->outstanding)
        return; /* of a producer that is being dropped */
    work->outstanding--;
    if (message->err && work->n_failed++ == 0)
        work->first_failure = message->err;
}

static void on_producer_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)opaque;
    char text[256];
    nm_kafka_note_error(reason);
    if (code == RD_KAFKA_RESP_ERR__FATAL) /* its reports fail too, and the producer is opened anew */
        (void)rd_kafka_fatal_error(rk, text, sizeof text);
    else
        (void)snprintf(text, sizeof text, "%s", reason);
    nm_log(NM_DEBUG, "kafka.producer", "%s", text);
}

void nm_producer_drop(struct nm_runtime *rt)
{
    for (int i = 0; i < NM_N_STREAMS; i++) {
        if (rt->topic[i])
            rd_kafka_topic_destroy(rt->topic[i]);
        rt->topic[i] = NULL;
    }
    rd_kafka_t *producer = rt->producer;
    rt->producer = NULL; /* first: reports that come now are nobody's */
    if (producer) {
        (void)rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(producer);
    }
}

static enum nm_status open_topic(struct nm_runtime *rt, enum nm_stream stream, int32_t *n_partitions,
                                 struct nm_error *err)
{
    const char *name = rt->settings.stream[stream].name;
    /* Asking for it now also spares the first message the second that 2.0.2 would wait for metadata. */
    enum nm_status status = nm_kafka_partitions(rt->producer, name, NM_KAFKA_WAIT_MS, n_partitions, err);
    if (status != NM_OK)
        return status;
    rt->topic[stream] = rd_kafka_topic_new(rt->producer, name, NULL);
    if (!rt->topic[stream])
        return nm_fail(err, NM_CONFIG, "topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
    return NM_OK;
}

/* Streams keyed by article id have equally many partitions, so that one instance owns an id in all of them. */
static enum nm_status check_partitions(struct nm_runtime *rt, struct nm_error *err)
{
    static const enum nm_stream keyed[] = {NM_NORMALIZED, NM_FACETS, NM_RECORDS};
    int32_t first = 0, n = 0;
    const char *first_name = NULL;
    for (size_t i = 0; i < sizeof keyed / sizeof *keyed; i++) {
        const char *name = rt->settings.stream[keyed[i]].name;
        enum nm_status status = nm_kafka_partitions(rt->producer, name, NM_KAFKA_WAIT_MS, &n, err);
        if (status != NM_OK)
            return status;
        if (first_name && n != first)
            return nm_fail(
                err, NM_CONFIG,
                "%s has %d partitions and %s has %d: streams keyed by id need equally many; create them anew with "
                "`newsmill streams apply`",
                first_name, first, name, n);
        first = n;
        first_name = name;
    }
    return NM_OK;
}

enum nm_status nm_producer_start(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_kafka_hooks hooks = {.report = nm_on_report, .error = on_producer_error, .opaque = rt};
    enum nm_status status = nm_kafka_producer_open(&rt->settings, &hooks, &rt->producer, err);
    int32_t n = 0;
    for (size_t i = 0; status == NM_OK && i < rt->worker->n_inputs; i++) {
        enum nm_stream stream = rt->worker->inputs[i].stream;
        status = nm_kafka_partitions(rt->producer, rt->settings.stream[stream].name, NM_KAFKA_WAIT_MS,
                                     &rt->n_partitions[stream], err);
    }
    for (size_t i = 0; status == NM_OK && i < rt->worker->n_outputs; i++)
        status = open_topic(rt, rt->worker->outputs[i], &n, err);
    if (status == NM_OK)
        status = open_topic(rt, NM_DEAD, &n, err);
    if (status == NM_OK)
        status = check_partitions(rt, err);
    if (status == NM_OK)
        nm_kafka_wake(rd_kafka_queue_get_main(rt->producer), rt->wake_fd);
    else
        nm_producer_drop(rt);
    return status;
}

/* ---- producing ---- */

static rd_kafka_headers_t *output_headers(const struct nm_runtime *rt, const struct nm_output *output)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(3);
    bool ok =
        headers && nm_header_text(headers, "nm-schema", nm_schemas[output->stream]) &&
        nm_header_text(headers, "nm-ns", rt->settings.ns) &&
        (output->revision == 0 || nm_header_number(headers, "nm-revision", output->revision)); /* a touch has none */
    if (!ok && headers) {
        rd_kafka_headers_destroy(headers);
        headers = NULL;
    }
    return headers;
}

/* What cannot be sent is the item's fault after all: its output is taken back, and the item becomes a dead letter. */
void nm_reject_oversized(struct nm_runtime *rt, struct nm_batch *batch)
{
    for (size_t i = 0; i < batch->n_outputs; i++) {
        struct nm_output *output = &batch->output[i];
        const struct nm_stream_settings *stream = &rt->settings.stream[output->stream];
        if ((long long)(output->len + output->key_len) + NM_ENVELOPE_BYTES <= stream->max_message_bytes)
            continue;
        struct nm_error why = {0};
        why.status =
            nm_bad(&why, "too_big", "what was made of this event has %zu bytes, streams.%s.maxMessageBytes is %lld",
                   output->len, nm_stream_word(output->stream), stream->max_message_bytes);
        output->taken_back = true;
        nm_item_dead(batch, output->item, &why);
    }
}

static enum nm_status add_dead_letters(struct nm_runtime *rt, struct nm_batch *batch, struct nm_error *err)
{
    for (size_t i = 0; i < batch->n_items; i++) {
        struct nm_item *item = &batch->item[i];
        if (item->verdict != NM_REJECTED)
            continue;
        struct nm_output *output = nm_batch_output(batch);
        if (!output)
            return nm_fail(err, NM_FATAL, "out of memory for a dead letter");
        nm_dead_letter(rt, item, output);
        struct nm_where where = {.id = item->id[0] ? item->id : NULL,
                                 .stream = rt->settings.stream[item->stream].name,
                                 .partition = item->partition,
                                 .offset = item->offset};
        nm_log_at(NM_DEBUG, "event.dead", &where, "%s: %s", item->dead->code, item->dead->msg);
    }
    return NM_OK;
}

static enum nm_status produce_one(struct nm_runtime *rt, struct nm_work *work, const struct nm_output *output,
                                  struct nm_error *err)
{
    const rd_kafka_message_t *source = work->message[output->item - work->batch.item];
    rd_kafka_headers_t *headers = output->dead ? nm_dead_headers(rt, output, source) : output_headers(rt, output);
    if (!headers)
        return nm_fail(err, NM_FATAL, "out of memory for message headers");
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_producev(
            rt->producer, RD_KAFKA_V_RKT(rt->topic[output->stream]), RD_KAFKA_V_KEY(output->key, output->key_len),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)output->value, output->len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(work), RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            work->outstanding++;
            return NM_OK;
        }
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) { /* ends: every message is delivered or fails in time */
            (void)rd_kafka_poll(rt->producer, 10);
            continue;
        }
        rd_kafka_headers_destroy(headers);
        const char *name = rt->settings.stream[output->stream].name;
        if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
            return nm_fail(err, NM_FATAL, "a message of %zu bytes for %s is larger than streams.%s.maxMessageBytes",
                           output->len, name, nm_stream_word(output->stream));
        return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY, "sending to %s: %s", name,
                       rd_kafka_err2str(code));
    }
}

enum nm_status nm_produce(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    enum nm_status status = add_dead_letters(rt, &work->batch, err);
    if (status == NM_OK && work->batch.oom)
        status = nm_fail(err, NM_FATAL, "out of memory for a batch's outputs");
    work->sent_ms = nm_boottime_ms();
    work->sent_ns = nm_observe_clock_ns();
    for (size_t i = 0; status == NM_OK && i < work->batch.n_outputs; i++) {
        struct nm_output *output = &work->batch.output[i];
        if (output->taken_back)
            continue;
        if (output->revision > rt->max_revision)
            rt->max_revision = output->revision;
        status = produce_one(rt, work, output, err);
        if (i % 64 == 0)
            NM_FAULT(NM_POINT_PRODUCED);
    }
    return status;
}

static void count_delivered(struct nm_runtime *rt, const struct nm_batch *batch)
{
    double n[NM_N_STREAMS] = {0};
    for (size_t i = 0; i < batch->n_outputs; i++)
        if (!batch->output[i].taken_back)
            n[batch->output[i].stream] += 1;
    for (size_t stream = 0; stream < NM_N_STREAMS; stream++)
        if (n[stream] > 0)
            nm_series_add(rt->observer.rm.messages_out[stream], n[stream]);
}

enum nm_status nm_reports_look(struct nm_runtime *rt, struct nm_work *work, bool *all, struct nm_error *err)
{
    int64_t limit_ms = nm_kafka_delivery_timeout_ms(&rt->settings) + 5000;
    *all = work->outstanding == 0;
    if (!*all) {
        if (nm_boottime_ms() - work->sent_ms > limit_ms)
            return nm_fail(err, NM_RETRY, "%zu messages without a delivery report", work->outstanding);
        return NM_OK;
    }
    NM_FAULT(NM_POINT_REPORTED);
    if (work->n_failed == 0) {
        count_delivered(rt, &work->batch);
        return NM_OK;
    }
    enum nm_status status = nm_kafka_is_config_error(work->first_failure) ? NM_CONFIG : NM_RETRY;
    if (work->first_failure == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        status = NM_FATAL;
    return nm_fail(err, status, "%zu messages were not delivered: %s", work->n_failed,
                   rd_kafka_err2str(work->first_failure));
}
