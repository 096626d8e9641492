/* consume.c - reads a stream without a group, see consume.h.
 *
 * A partition is over when a message at or after its last wanted offset came, or when Kafka said that its end is
 * reached: after compaction the last offsets may be empty, so that no message with them ever comes. A partition that
 * is over is paused, so that nothing more of it is fetched.
 * What retention or compaction removes between asking for the ends and reading is skipped: the client reports the
 * offset as out of range (newsmill never resets silently), and the partition goes on at what is the oldest now. */
#include "consume.h"

#include "ask.h"
#include "newsmill/worker.h"
#include "tool.h"

#include <stdlib.h>
#include <string.h>

#define ASK_SOON_MS  500
#define ASK_LATER_MS 5000
#define ASK_MS       200 /* what a question may take while a stop is waited for */

void nm_consume_close(struct nm_consume *consume)
{
    if (!consume)
        return;
    if (!consume->gone_ms) /* librdkafka before 2.6.1 never comes back from closing a consumer of a deleted stream */
        nm_kafka_close(consume->rk);
    free(consume->span);
    free(consume);
}

/* One request for every partition; a partition without such a message starts at its end. */
static enum nm_status find_time(struct nm_consume *consume, int64_t deadline_ms, struct nm_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)consume->n_spans);
    enum nm_status status = NM_OK;

    for (size_t i = 0; i < consume->n_spans; i++)
        rd_kafka_topic_partition_list_add(list, consume->plan.topic, consume->span[i].partition)->offset =
            consume->plan.time_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(consume->rk, list, nm_ask_time_left(deadline_ms));
    if (code)
        status = nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY, "asking for a time in %s: %s",
                         consume->plan.topic, rd_kafka_err2str(code));
    for (int i = 0; i < list->cnt && status == NM_OK; i++) {
        for (size_t k = 0; k < consume->n_spans; k++) {
            struct nm_span *span = &consume->span[k];
            if (span->partition == list->elems[i].partition)
                span->from = list->elems[i].offset >= 0 ? list->elems[i].offset : span->end;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

static int64_t start_of(const struct nm_plan *plan, const struct nm_span *span)
{
    switch (plan->from) {
    case NM_FROM_END:
        return span->end;
    case NM_FROM_LAST:
        return span->end - span->oldest > plan->last ? span->end - plan->last : span->oldest;
    case NM_FROM_OFFSET:
        return plan->offset;
    case NM_FROM_OLDEST:
    case NM_FROM_TIME:
        break;
    }
    return span->oldest;
}

static enum nm_status make_spans(struct nm_consume *consume, int64_t deadline_ms, struct nm_error *err)
{
    const struct nm_plan *plan = &consume->plan;
    int32_t n = 0;
    enum nm_status status = nm_ask_partitions(consume->rk, plan->topic, deadline_ms, &n, err);

    if (status != NM_OK)
        return status;
    int32_t only = plan->key ? nm_partition_of(plan->key, strlen(plan->key), n) : plan->partition;
    bool one = plan->from == NM_FROM_OFFSET || plan->key;
    if (one && (only < 0 || only >= n))
        return nm_fail(err, NM_CONFIG, "%s has the partitions 0 to %d, not %d", plan->topic, n - 1, only);
    consume->span = calloc((size_t)n + 1, sizeof *consume->span);
    if (!consume->span)
        return nm_fail(err, NM_FATAL, "out of memory");
    consume->n_spans = one ? 1 : (size_t)n;
    for (size_t i = 0; i < consume->n_spans; i++) {
        struct nm_span *span = &consume->span[i];
        span->partition = one ? only : (int32_t)i;
        status = nm_ask_ends(consume->rk, plan->topic, span->partition, deadline_ms, &span->oldest, &span->end, err);
        if (status != NM_OK)
            return status;
        span->from = start_of(plan, span);
    }
    if (plan->from == NM_FROM_TIME)
        status = find_time(consume, deadline_ms, err);
    for (size_t i = 0; i < consume->n_spans; i++)
        consume->span[i].next = consume->span[i].from;
    return status;
}

static enum nm_status assign(struct nm_consume *consume, struct nm_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)consume->n_spans);
    enum nm_status status = NM_OK;

    for (size_t i = 0; i < consume->n_spans; i++) {
        struct nm_span *span = &consume->span[i];
        span->finished = consume->plan.to_end && span->from >= span->end;
        if (span->finished)
            continue;
        consume->n_open++;
        rd_kafka_topic_partition_list_add(list, consume->plan.topic, span->partition)->offset = span->from;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(consume->rk, list);
    if (code)
        status = nm_fail(err, NM_FATAL, "reading %s: %s", consume->plan.topic, rd_kafka_err2str(code));
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* From rd_kafka_consumer_poll(), so in the same thread. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct nm_consume *consume = opaque;

    (void)rk;
    (void)reason;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        consume->down = true;
}

enum nm_status nm_consume_open(const struct nm_settings *settings, const struct nm_plan *plan, struct nm_consume **out,
                               struct nm_error *err)
{
    NM_AUTO(nm_consume_close) struct nm_consume *consume = calloc(1, sizeof *consume);
    int64_t deadline_ms = nm_boottime_ms() + NM_KAFKA_WAIT_MS;

    if (!consume)
        return nm_fail(err, NM_FATAL, "out of memory");
    consume->plan = *plan;
    struct nm_kafka_hooks hooks = {.error = on_error, .opaque = consume};
    enum nm_status status = nm_kafka_consumer_open(settings, NULL, &hooks, &consume->rk, err);
    if (status == NM_OK)
        status = make_spans(consume, deadline_ms, err);
    if (status == NM_OK)
        status = assign(consume, err);
    if (status != NM_OK)
        return status;
    consume->moved_ms = consume->asked_ms = nm_boottime_ms();
    *out = consume;
    consume = NULL;
    return NM_OK;
}

bool nm_consume_over(const struct nm_consume *consume)
{
    return consume->plan.to_end && consume->n_open == 0;
}

static struct nm_span *span_of(struct nm_consume *consume, int32_t partition)
{
    for (size_t i = 0; i < consume->n_spans; i++) {
        if (consume->span[i].partition == partition)
            return &consume->span[i];
    }
    return NULL;
}

static void finish(struct nm_consume *consume, struct nm_span *span)
{
    if (span->finished)
        return;
    span->finished = true;
    consume->n_open--;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, consume->plan.topic, span->partition);
    (void)rd_kafka_pause_partitions(consume->rk, list); /* only saves traffic: what comes anyway is dropped */
    rd_kafka_topic_partition_list_destroy(list);
}

/* The next offset is gone: go on at the oldest one that is there now, or, where the stream was cut (its end lies before
 * the next offset), at its end. */
static enum nm_status skip_gap(struct nm_consume *consume, struct nm_span *span, struct nm_error *err)
{
    int64_t oldest = 0, end = 0;
    enum nm_status status = nm_ask_ends(consume->rk, consume->plan.topic, span->partition,
                                        nm_boottime_ms() + NM_KAFKA_WAIT_MS, &oldest, &end, err);
    if (status != NM_OK)
        return status;
    if (consume->plan.to_end && oldest >= span->end) {
        finish(consume, span);
        return NM_OK;
    }
    span->next = span->next > end ? end : oldest;
    consume->n_cut++;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, consume->plan.topic, span->partition)->offset = span->next;
    rd_kafka_error_t *error = rd_kafka_seek_partitions(consume->rk, list, NM_KAFKA_WAIT_MS);
    if (error)
        status = nm_fail(err, NM_RETRY, "reading %s: %s", consume->plan.topic, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* While nothing comes: whether the brokers are back, which the client tells nobody, and whether the stream is still
 * there, of which it tells late. A broker that has just started may not know its topics yet, so only what stays true
 * for NM_KAFKA_WAIT_MS counts. */
static enum nm_status ask_again(struct nm_consume *consume, struct nm_error *err)
{
    bool worried = consume->down || consume->gone_ms;
    int64_t now_ms = nm_boottime_ms();
    int32_t n = 0;

    if (consume->plan.to_end || now_ms - consume->asked_ms < (worried ? ASK_SOON_MS : ASK_LATER_MS))
        return NM_OK;
    consume->asked_ms = now_ms;
    enum nm_status status = nm_kafka_partitions(consume->rk, consume->plan.topic, ASK_MS, &n, err);
    if (status == NM_CONFIG) {
        consume->gone_ms = consume->gone_ms ? consume->gone_ms : now_ms;
        return now_ms - consume->gone_ms >= NM_KAFKA_WAIT_MS ? NM_CONFIG : NM_OK;
    }
    if (status == NM_OK) {
        consume->down = false;
        consume->gone_ms = 0;
    }
    return NM_OK;
}

static enum nm_status take_event(struct nm_consume *consume, const rd_kafka_message_t *message, struct nm_error *err)
{
    struct nm_span *span = message->rkt ? span_of(consume, message->partition) : NULL;

    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        if (span && consume->plan.to_end && message->offset >= span->end)
            finish(consume, span);
        return NM_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return span ? skip_gap(consume, span, err) : NM_OK;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        if (!consume->plan.to_end) { /* see ask_again() */
            consume->gone_ms = consume->gone_ms ? consume->gone_ms : nm_boottime_ms();
            return NM_OK;
        }
        return nm_fail(err, NM_CONFIG, "reading %s: %s", consume->plan.topic, rd_kafka_err2str(message->err));
    default:
        if (nm_kafka_is_config_error(message->err))
            return nm_fail(err, NM_CONFIG, "reading %s: %s", consume->plan.topic, rd_kafka_err2str(message->err));
        return NM_OK; /* the client tries again by itself */
    }
}

enum nm_status nm_consume_next(struct nm_consume *consume, int wait_ms, rd_kafka_message_t **out, struct nm_error *err)
{
    *out = NULL;
    if (nm_consume_over(consume))
        return NM_OK;
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consume->rk, wait_ms);
    if (!message) {
        if (consume->plan.to_end && nm_boottime_ms() - consume->moved_ms > NM_KAFKA_WAIT_MS)
            return nm_fail(err, NM_RETRY, "Kafka sent nothing for %d s while %s was read", NM_KAFKA_WAIT_MS / 1000,
                           consume->plan.topic);
        return ask_again(consume, err);
    }
    if (message->err) {
        enum nm_status status = take_event(consume, message, err);
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            consume->moved_ms = nm_boottime_ms();
        rd_kafka_message_destroy(message);
        return status;
    }
    consume->moved_ms = nm_boottime_ms();
    consume->down = false;
    struct nm_span *span = span_of(consume, message->partition);
    if (span)
        span->next = message->offset + 1;
    bool wanted = span && !span->finished && (!consume->plan.to_end || message->offset < span->end);
    if (span && consume->plan.to_end && message->offset + 1 >= span->end)
        finish(consume, span);
    if (!wanted) {
        rd_kafka_message_destroy(message);
        return NM_OK;
    }
    *out = message;
    return NM_OK;
}
