/* witness.c - whether a stream is still the one that was processed.
 *
 * A stream may be deleted, made again and filled beyond our position between two fetches, or while this process stands
 * still. The consumer then goes on at its offset, in another stream, and nothing of Kafka's protocol that librdkafka
 * 2.0.2 shows (it knows no topic ids) tells of it. So a record that was processed is read again, at each beginning and
 * every few seconds while working: the anchor. The next anchor is the record that was below wm when the question for
 * the present one was asked: an anchor that is still there proves that everything processed before was of the same
 * stream. wm carries it, so whoever comes next asks for the same record, however far wm went in the other stream.
 *
 * A client of its own reads, so that the group's consumer is not moved: it joins no group, and while working it is
 * asked for one partition at a time. A record that is gone (retention, compaction, a transaction that was aborted) is
 * no sign of anything: then the next anchor is taken as it is, and a beginning asks for the record below wm. */
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

static enum nm_status ask(struct nm_runtime *rt, struct nm_partition *part, const struct nm_mark *mark,
                          struct nm_error *err)
{
    part->wanted = *mark;
    if (rd_kafka_consume_start_queue(topic_of(rt, part), part->id, mark->next - 1, rt->witness.queue))
        return nm_fail(err, NM_RETRY, "reading offset %" PRId64 " of %.100s/%" PRId32 " again: %s", mark->next - 1,
                       nm_partition_topic(rt, part), part->id, rd_kafka_err2str(rd_kafka_last_error()));
    part->asked_for = true;
    rt->witness.by_ms = nm_boottime_ms() + ANSWER_MS;
    return NM_OK;
}

/* Waits for librdkafka's main thread, never for a broker. */
static void stop_asking(const struct nm_runtime *rt, struct nm_partition *part)
{
    if (part->asked_for)
        (void)rd_kafka_consume_stop(topic_of(rt, part), part->id);
    part->asked_for = false;
}

static enum answer judge(const struct nm_mark *mark, const rd_kafka_message_t *message)
{
    if (message->err)
        return message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ? ANSWER_GONE : ANSWER_NONE;
    if (message->offset != mark->next - 1)
        return message->offset < mark->next ? ANSWER_NONE : ANSWER_GONE;
    struct nm_watermark found;
    nm_watermark_note(&found, rd_kafka_message_timestamp(message, NULL), message->payload, message->len);
    return found.last_crc == mark->crc && found.last_ms == mark->ms ? ANSWER_SAME : ANSWER_OTHER;
}

/* The next partition that has its answer, which ends its question; NULL: none has. */
static struct nm_partition *answered(struct nm_runtime *rt, enum answer *out)
{
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consume_queue(rt->witness.queue, 0))) {
        struct nm_partition *part = NULL;
        if (message->rkt)
            part = nm_partition_find(rt, nm_input_find(rt, rd_kafka_topic_name(message->rkt)), message->partition);
        enum answer answer = part && part->asked_for ? judge(&part->wanted, message) : ANSWER_NONE;
        rd_kafka_message_destroy(message);
        if (answer == ANSWER_NONE)
            continue;
        stop_asking(rt, part);
        *out = answer;
        return part;
    }
    return NULL;
}

static struct nm_partition *open_question(const struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        if (rt->part[i].asked_for)
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

static bool may_be_there(const struct nm_resume_facts *facts, const struct nm_mark *mark)
{
    return mark->crc >= 0 && mark->next > facts->oldest && mark->next <= facts->end;
}

enum nm_status nm_witness_begin(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        const struct nm_resume_facts *facts = &part->facts;
        part->anchor = NM_NO_MARK;
        if (!nm_has_position(rt, part) || !facts->has_wm)
            continue;
        part->anchor = facts->wm.anchor;
        if (!may_be_there(facts, &part->anchor))
            part->anchor = nm_watermark_last(&facts->wm);
        if (may_be_there(facts, &part->anchor))
            status = ask(rt, part, &part->anchor, err);
    }
    return status;
}

/* One answer; where the anchor is gone the record below wm is asked for. */
static enum nm_status take_first_answer(struct nm_runtime *rt, struct nm_partition *part, enum answer answer,
                                        struct nm_error *err)
{
    part->facts.recreated = answer == ANSWER_OTHER;
    part->facts.recreated_at = part->wanted.next - 1;
    if (answer != ANSWER_GONE || part->wanted.next == part->facts.wm.next)
        return NM_OK;
    part->anchor = nm_watermark_last(&part->facts.wm);
    return may_be_there(&part->facts, &part->anchor) ? ask(rt, part, &part->anchor, err) : NM_OK;
}

enum nm_status nm_witness_begun(struct nm_runtime *rt, bool *done, struct nm_error *err)
{
    enum answer answer;
    enum nm_status status = NM_OK;
    for (struct nm_partition *part; status == NM_OK && (part = answered(rt, &answer));) {
        rt->witness.by_ms = nm_boottime_ms() + ANSWER_MS; /* it goes on: many partitions may take longer */
        status = take_first_answer(rt, part, answer, err);
    }
    const struct nm_partition *open = open_question(rt);
    *done = !open;
    if (status == NM_OK && open && nm_boottime_ms() >= rt->witness.by_ms)
        return nm_fail(err, NM_RETRY,
                       "the record at offset %" PRId64 " of %.100s/%" PRId32 " did not come within %d ms",
                       open->wanted.next - 1, nm_partition_topic(rt, open), open->id, ANSWER_MS);
    return status;
}

/* ---- while working ---- */

/* Of this round; NULL: it is over. */
static struct nm_partition *next_partition(struct nm_runtime *rt)
{
    while (rt->witness.turn < rt->n_parts) {
        struct nm_partition *part = &rt->part[rt->witness.turn++];
        if (nm_has_position(rt, part) && part->fetched && part->has_wm && part->anchor.crc >= 0)
            return part;
    }
    return NULL;
}

static enum nm_status take_answer(struct nm_runtime *rt, struct nm_error *err)
{
    enum answer answer;
    struct nm_partition *part = answered(rt, &answer);
    if (part && answer == ANSWER_OTHER)
        return nm_fail(err, NM_RETRY,
                       "%.100s/%" PRId32 " has another record at offset %" PRId64
                       " than the one that was processed: the stream was recreated",
                       nm_partition_topic(rt, part), part->id, part->wanted.next - 1);
    if (part && part->next_anchor.crc >= 0)
        part->anchor = part->next_anchor;
    struct nm_partition *open = open_question(rt);
    if (open && nm_boottime_ms() >= rt->witness.by_ms) { /* asked again in the next round */
        nm_log(NM_DEBUG, "witness", "%.100s/%" PRId32 ": the record at offset %" PRId64 " did not come",
               nm_partition_topic(rt, open), open->id, open->wanted.next - 1);
        stop_asking(rt, open);
    }
    return NM_OK;
}

static void begin_round(struct nm_witness *witness)
{
    witness->at_ms = nm_boottime_ms() + EVERY_MS;
    witness->turn = 0;
}

enum nm_status nm_witness_advance(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_witness *witness = &rt->witness;
    if (witness->at_ms == 0) /* at the beginning all were looked at */
        begin_round(witness);
    if (nm_boottime_ms() < witness->at_ms)
        return NM_OK;
    enum nm_status status = take_answer(rt, err);
    if (status != NM_OK || open_question(rt))
        return status;
    struct nm_partition *part = next_partition(rt);
    if (!part) {
        nm_log(NM_DEBUG, "witness", "a round over %zu partitions is over", rt->n_parts);
        (void)rd_kafka_poll(witness->rk, 0); /* nobody wants its events; statistics must not pile up */
        begin_round(witness);
        return NM_OK;
    }
    part->next_anchor = part->newest;
    return ask(rt, part, &part->anchor, err);
}
