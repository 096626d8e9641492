/* witness.c - whether a stream is still the one that was processed.
 *
 * A stream may be deleted, made again and filled beyond our position between two fetches, or while this process stands
 * still. The consumer then goes on at its offset, in another stream, and nothing of Kafka's protocol that librdkafka
 * 2.0.2 shows (it knows no topic ids) tells of it. So a record that was processed is read again: at each beginning the
 * one below wm, and while working, every few seconds, an older one, the partition's anchor. The next anchor is the
 * record that was below wm when the question for the present one was asked: an anchor that is still there proves that
 * everything processed before was of the same stream.
 *
 * A client of its own reads, so that the group's consumer is not moved: it joins no group, and is asked for one
 * partition at a time while working. A record that is gone (retention, compaction) is no sign of anything. */
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>

#define ANSWER_MS 5000 /* a record must be there by then */
#define EVERY_MS  5000 /* between two rounds while working */

enum answer { ANSWER_NONE, ANSWER_SAME, ANSWER_OTHER, ANSWER_GONE };

enum nm_status nm_witness_open(struct nm_runtime *rt, struct nm_error *err)
{
    static const uint64_t one = 1;
    struct nm_witness *witness = &rt->witness;
    enum nm_status status = nm_kafka_reader_open(&rt->settings, &witness->rk, err);
    if (status != NM_OK)
        return status;
    witness->queue = rd_kafka_queue_new(witness->rk);
    rd_kafka_queue_io_event_enable(witness->queue, rt->wake_fd, &one, sizeof one);
    for (size_t i = 0; i < rt->worker->n_inputs; i++) {
        enum nm_stream stream = rt->worker->inputs[i].stream;
        const char *name = rt->settings.stream[stream].name;
        witness->topic[stream] = rd_kafka_topic_new(witness->rk, name, NULL);
        if (!witness->topic[stream])
            return nm_fail(err, NM_CONFIG, "topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
    }
    return NM_OK;
}

void nm_witness_close(struct nm_runtime *rt)
{
    struct nm_witness *witness = &rt->witness;
    nm_witness_drop(rt);
    for (size_t i = 0; i < NM_N_STREAMS; i++)
        if (witness->topic[i])
            rd_kafka_topic_destroy(witness->topic[i]);
    if (witness->queue)
        rd_kafka_queue_destroy(witness->queue);
    nm_kafka_close(witness->rk);
}

/* ---- one question ---- */

static rd_kafka_topic_t *topic_of(const struct nm_runtime *rt, const struct nm_partition *part)
{
    return rt->witness.topic[rt->worker->inputs[part->input].stream];
}

/* Asks for the record below *below. */
static enum nm_status ask(struct nm_runtime *rt, struct nm_partition *part, const struct nm_watermark *below,
                          struct nm_error *err)
{
    part->asked_below = *below;
    if (rd_kafka_consume_start_queue(topic_of(rt, part), part->id, below->next - 1, rt->witness.queue))
        return nm_fail(err, NM_RETRY, "reading what lies below the watermark of %.100s/%" PRId32 ": %s",
                       nm_partition_topic(rt, part), part->id, rd_kafka_err2str(rd_kafka_last_error()));
    part->asking = true;
    return NM_OK;
}

static void stop_asking(const struct nm_runtime *rt, struct nm_partition *part)
{
    if (part->asking)
        (void)rd_kafka_consume_stop(topic_of(rt, part), part->id);
    part->asking = false;
}

static enum answer judge(const struct nm_watermark *below, const rd_kafka_message_t *message)
{
    if (message->err)
        return message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ? ANSWER_GONE : ANSWER_NONE;
    if (message->offset != below->next - 1) /* a later one: retention, compaction, or a transaction's marker */
        return message->offset < below->next ? ANSWER_NONE : ANSWER_GONE;
    struct nm_watermark found;
    nm_watermark_note(&found, rd_kafka_message_timestamp(message, NULL), message->payload, message->len);
    return found.last_crc == below->last_crc && found.last_ms == below->last_ms ? ANSWER_SAME : ANSWER_OTHER;
}

/* The next partition that has its answer, which ends its question; NULL: none has. */
static struct nm_partition *answered(struct nm_runtime *rt, enum answer *out)
{
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consume_queue(rt->witness.queue, 0))) {
        struct nm_partition *part = NULL;
        if (message->rkt)
            part = nm_partition_find(rt, nm_input_find(rt, rd_kafka_topic_name(message->rkt)), message->partition);
        enum answer answer = part && part->asking ? judge(&part->asked_below, message) : ANSWER_NONE;
        rd_kafka_message_destroy(message);
        if (answer == ANSWER_NONE)
            continue;
        stop_asking(rt, part);
        *out = answer;
        return part;
    }
    return NULL;
}

static struct nm_partition *asking(const struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].asking)
            return &rt->part[i];
    return NULL;
}

void nm_witness_drop(struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        stop_asking(rt, &rt->part[i]);
    rt->witness.at_ms = 0;
}

/* ---- at a beginning ---- */

static bool has_record_below(const struct nm_runtime *rt, const struct nm_partition *part)
{
    const struct nm_resume_facts *facts = &part->facts;
    return rt->worker->inputs[part->input].when == NM_ALWAYS && facts->has_wm && facts->wm.last_crc >= 0 &&
           facts->wm.next > facts->oldest && facts->wm.next <= facts->end;
}

enum nm_status nm_witness_begin(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++)
        if (has_record_below(rt, &rt->part[i]))
            status = ask(rt, &rt->part[i], &rt->part[i].facts.wm, err);
    rt->witness.by_ms = nm_boottime_ms() + ANSWER_MS;
    return status;
}

enum nm_status nm_witness_begun(struct nm_runtime *rt, bool *done, struct nm_error *err)
{
    enum answer answer;
    for (struct nm_partition *part; (part = answered(rt, &answer));)
        part->facts.recreated = answer == ANSWER_OTHER;
    const struct nm_partition *open = asking(rt);
    *done = !open;
    if (open && nm_boottime_ms() >= rt->witness.by_ms)
        return nm_fail(err, NM_RETRY, "the record below the watermark of %.100s/%" PRId32 " did not come within %d ms",
                       nm_partition_topic(rt, open), open->id, ANSWER_MS);
    return NM_OK;
}

/* ---- while working ---- */

static bool can_look(const struct nm_runtime *rt, const struct nm_partition *part)
{
    return rt->worker->inputs[part->input].when == NM_ALWAYS && part->fetched && part->has_wm &&
           part->anchor.last_crc >= 0;
}

/* Of this round; NULL: it is over. */
static struct nm_partition *next_partition(struct nm_runtime *rt)
{
    while (rt->witness.turn < rt->n_parts) {
        struct nm_partition *part = &rt->part[rt->witness.turn++];
        if (can_look(rt, part))
            return part;
    }
    return NULL;
}

static enum nm_status take_answer(struct nm_runtime *rt, struct nm_error *err)
{
    enum answer answer;
    struct nm_partition *part = answered(rt, &answer);
    if (part && answer == ANSWER_OTHER) {
        part->recreated = true;
        return nm_fail(err, NM_RETRY,
                       "%.100s/%" PRId32 " has another record at offset %" PRId64
                       " than the one that was processed: the stream was recreated",
                       nm_partition_topic(rt, part), part->id, part->asked_below.next - 1);
    }
    if (part && part->next_anchor.last_crc >= 0)
        part->anchor = part->next_anchor;
    part = asking(rt);
    if (part && nm_boottime_ms() >= rt->witness.by_ms) { /* asked again in the next round */
        nm_log(NM_DEBUG, "witness", "%.100s/%" PRId32 ": the record at offset %" PRId64 " did not come",
               nm_partition_topic(rt, part), part->id, part->asked_below.next - 1);
        stop_asking(rt, part);
    }
    return NM_OK;
}

enum nm_status nm_witness_advance(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_witness *witness = &rt->witness;
    int64_t now_ms = nm_boottime_ms();
    if (now_ms < witness->at_ms)
        return NM_OK;
    if (witness->at_ms == 0) { /* a beginning has just looked */
        witness->at_ms = now_ms + EVERY_MS;
        witness->turn = 0;
        return NM_OK;
    }
    enum nm_status status = take_answer(rt, err);
    if (status != NM_OK || asking(rt))
        return status;
    struct nm_partition *part = next_partition(rt);
    if (!part) {
        witness->at_ms = 0;
        return NM_OK;
    }
    part->next_anchor = part->wm;
    witness->by_ms = now_ms + ANSWER_MS;
    return ask(rt, part, &part->anchor, err);
}

/* ---- what was found ---- */

/* Another instance may have seen the same, and gone on in the new stream. */
static bool is_of_anchor(const struct nm_partition *part)
{
    return part->facts.has_wm && part->facts.wm.generation == part->anchor.generation &&
           part->facts.wm.next >= part->anchor.next;
}

enum nm_status nm_witness_put_back(struct nm_runtime *rt, bool *changed, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        part->recreated = part->recreated && is_of_anchor(part);
        if (part->recreated)
            nm_watermark_append(&pipe, part->key, part->wm_text, &part->anchor);
    }
    *changed = pipe.n_commands > 0;
    enum nm_status status = *changed ? nm_redis_exec(rt->redis, &pipe, err) : NM_OK;
    size_t at = 0;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        if (part->recreated)
            status = nm_position_moved(part, nm_pipe_reply(&pipe, at++), err);
        part->recreated = part->recreated && status != NM_OK;
    }
    nm_pipe_clear(&pipe);
    return status;
}
