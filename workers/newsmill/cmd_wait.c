/* cmd_wait.c - `newsmill wait`: until every worker has caught up.
 *
 * A group has caught up when its committed offset is the end of every partition that it reads. Workers commit only what
 * is finished (outputs acknowledged), and note it in Redis before (wm). The smaller of the two counts: after Redis lost
 * writes, the commit says what was done, and wm what is done again. Once a worker is at the end of its input,
 * everything that it sends is already in the streams below. Groups are looked at in that order, each with the ends
 * asked after the groups above it; two such looks must find nothing, so that an event which arrives in between is
 * waited for too. A worker that not every fleet has is waited for once it committed something, or if publish.expect
 * names it.
 *
 * Kafka must answer within NM_KAFKA_WAIT_MS at first; a broker that goes away later is waited for until the time is
 * over, since restarts are what people wait through. */
#include "newsmill/clock.h"
#include "newsmill/kafka.h"
#include "newsmill/redis.h"
#include "newsmill/watermark.h"
#include "newsmill/worker.h"
#include "tool.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#define PAUSE_MS 250  /* between two looks                            */
#define LOOK_MS  5000 /* a look that takes longer found Kafka not there */
#define N_LOOKS  2
#define SAY_MS   1000 /* between two lines about what is waited for */

struct view {
    rd_kafka_t *rk;
    struct nm_redis *redis; /* NULL: not connected yet, or lost */
    const struct nm_settings *settings;
    struct nm_buf text;  /* what is waited for, one line a group and stream */
    int64_t deadline_ms; /* of this look: no request goes on beyond it      */
};

static int time_left(const struct view *view)
{
    int64_t left = view->deadline_ms - nm_boottime_ms();
    return left < 1 ? 1 : (int)left;
}

static enum nm_status kafka_failed(rd_kafka_resp_err_t code, const char *what, struct nm_error *err)
{
    return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY, "asking for the offsets of %s: %s", what,
                   rd_kafka_err2str(code));
}

/* Copies the offsets of the reply into `list`. */
static enum nm_status take_offsets(rd_kafka_event_t *event, const char *group, rd_kafka_topic_partition_list_t *list,
                                   struct nm_error *err)
{
    size_t n = 0;

    if (rd_kafka_event_error(event))
        return kafka_failed(rd_kafka_event_error(event), group, err);
    const rd_kafka_ListConsumerGroupOffsets_result_t *result = rd_kafka_event_ListConsumerGroupOffsets_result(event);
    const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &n);
    if (n != 1)
        return nm_fail(err, NM_RETRY, "Kafka gave no offsets of %s", group);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    if (error)
        return kafka_failed(rd_kafka_error_code(error), group, err);
    const rd_kafka_topic_partition_list_t *found = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *to = &list->elems[i];
        const rd_kafka_topic_partition_t *from = NULL;
        for (int k = 0; k < found->cnt && !from; k++) {
            if (found->elems[k].partition == to->partition && strcmp(found->elems[k].topic, to->topic) == 0)
                from = &found->elems[k];
        }
        if (from && from->err)
            return kafka_failed(from->err, group, err);
        to->offset = from ? from->offset : RD_KAFKA_OFFSET_INVALID;
    }
    return NM_OK;
}

/* Fills `list` with the committed offsets of the group; a negative one where nothing was committed. */
static enum nm_status committed(struct view *view, const char *group, rd_kafka_topic_partition_list_t *list,
                                struct nm_error *err)
{
    char reason[200];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(view->rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(group, list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(view->rk); /* of its own: a late reply must not answer the next one */
    enum nm_status status = NM_OK;
    int wait_ms = time_left(view);

    if (rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, reason, sizeof reason))
        status = nm_fail(err, NM_FATAL, "%s", reason);
    if (status == NM_OK) {
        rd_kafka_ListConsumerGroupOffsets(view->rk, &request, 1, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, wait_ms + 1000);
        if (event)
            status = take_offsets(event, group, list, err);
        else
            status = nm_fail(err, NM_RETRY, "Kafka gave no offsets of %s in time", group);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    rd_kafka_AdminOptions_destroy(options);
    return status;
}

static enum nm_status connect_redis(struct view *view, struct nm_error *err)
{
    if (nm_redis_alive(view->redis))
        return NM_OK;
    nm_redis_close(view->redis);
    view->redis = NULL;
    return nm_redis_open(view->settings, &view->redis, NULL, err);
}

/* Lowers the offsets of `list` to those of wm; where there is none, nothing counts as done. */
static enum nm_status lower_to_wm(struct view *view, const char *group, rd_kafka_topic_partition_list_t *list,
                                  struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    char key[NM_WM_KEY_BYTES];
    enum nm_status status = connect_redis(view, err);

    for (int i = 0; i < list->cnt && status == NM_OK; i++) {
        nm_watermark_key(view->settings->ns, group, list->elems[i].topic, list->elems[i].partition, key);
        (void)nm_pipe_command(&pipe, 2);
        nm_pipe_str(&pipe, "GET");
        nm_pipe_str(&pipe, key);
    }
    if (status == NM_OK)
        status = nm_redis_exec(view->redis, &pipe, err);
    for (int i = 0; i < list->cnt && status == NM_OK; i++) {
        const struct nm_reply *value = nm_pipe_reply(&pipe, (size_t)i);
        struct nm_watermark wm = {.next = 0};
        if (value->type == NM_REPLY_STR)
            status = nm_watermark_parse(value->str, &wm, err);
        if (status == NM_OK && wm.next < list->elems[i].offset)
            list->elems[i].offset = wm.next;
    }
    nm_pipe_clear(&pipe);
    return status;
}

/* One more line of what is waited for: group, stream, partitions with lag, and the sum. */
static enum nm_status add_lag(struct view *view, const char *group, enum nm_stream stream,
                              const rd_kafka_topic_partition_list_t *list, struct nm_error *err)
{
    const char *topic = view->settings->stream[stream].name;
    struct nm_buf partitions = {0};
    int64_t sum = 0;
    enum nm_status status = NM_OK;

    for (int i = 0; i < list->cnt && status == NM_OK; i++) {
        int64_t oldest = 0, end = 0;
        status = nm_kafka_ends(view->rk, topic, list->elems[i].partition, time_left(view), &oldest, &end, err);
        if (status != NM_OK)
            break;
        int64_t next = list->elems[i].offset > oldest ? list->elems[i].offset : oldest;
        if (next >= end)
            continue;
        nm_buf_addf(&partitions, "%s%d", partitions.len ? "," : "", (int)list->elems[i].partition);
        sum += end - next;
    }
    if (status == NM_OK && sum > 0)
        nm_buf_addf(&view->text, "group %s, stream %s (%s), partitions %s: lag %" PRId64 "\n", group,
                    nm_stream_word(stream), topic, nm_buf_str(&partitions), sum);
    nm_buf_clear(&partitions);
    return status;
}

static bool is_expected(const struct view *view, const struct nm_reader *reader)
{
    const struct nm_strings *expect = &view->settings->expect;
    for (size_t i = 0; i < expect->n; i++)
        if (strcmp(expect->item[i], reader->worker) == 0)
            return true;
    return !reader->optional;
}

static bool has_committed(const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].offset >= 0)
            return true;
    return false;
}

/* What a worker has still to send for others than the events that it read. */
static enum nm_status look_at_out(struct view *view, const struct nm_reader *reader, int32_t n, struct nm_error *err)
{
    const struct nm_set set = {.name = reader->out};
    struct nm_pipe pipe = {0};
    char key[NM_WM_KEY_BYTES];
    int64_t sum = 0;
    enum nm_status status = connect_redis(view, err);

    for (int32_t i = 0; i < n && status == NM_OK; i++) {
        nm_set_key(view->settings, &set, i, key, sizeof key);
        (void)nm_pipe_command(&pipe, 2);
        nm_pipe_str(&pipe, "ZCARD");
        nm_pipe_str(&pipe, key);
    }
    if (status == NM_OK)
        status = nm_redis_exec(view->redis, &pipe, err);
    for (int32_t i = 0; i < n && status == NM_OK; i++)
        sum += nm_reply_int(nm_pipe_reply(&pipe, (size_t)i), 0);
    if (status == NM_OK && sum > 0)
        nm_buf_addf(&view->text, "worker %s, %" PRId64 " still to be sent (%s)\n", reader->worker, sum, reader->out);
    nm_pipe_clear(&pipe);
    return status;
}

static enum nm_status look_at(struct view *view, const struct nm_reader *reader, enum nm_stream stream,
                              struct nm_error *err)
{
    const char *topic = view->settings->stream[stream].name;
    char group[256];
    int32_t n = 0;
    enum nm_status status = nm_kafka_partitions(view->rk, topic, time_left(view), &n, err);

    if (status != NM_OK)
        return status;
    nm_kafka_group(view->settings, reader->worker, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
    for (int32_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, topic, i);
    status = committed(view, group, list, err);
    bool counts = status == NM_OK && (is_expected(view, reader) || has_committed(list));
    if (counts)
        status = lower_to_wm(view, group, list, err);
    if (status == NM_OK && counts)
        status = add_lag(view, group, stream, list, err);
    if (status == NM_OK && counts && reader->out && stream == reader->inputs[0])
        status = look_at_out(view, reader, n, err);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* view->text: what is behind, empty when nothing is. */
static enum nm_status look(struct view *view, struct nm_error *err)
{
    enum nm_status status = NM_OK;

    nm_buf_reset(&view->text);
    view->deadline_ms = nm_boottime_ms() + LOOK_MS;
    for (const struct nm_reader *reader = nm_readers; reader->worker && status == NM_OK; reader++) {
        for (size_t i = 0; i < reader->n_inputs && status == NM_OK; i++)
            status = look_at(view, reader, reader->inputs[i], err);
    }
    if (status == NM_OK && !nm_buf_ok(&view->text))
        status = nm_fail(err, NM_FATAL, "out of memory");
    return status;
}

struct progress {
    unsigned n_good; /* looks without lag, one after another */
    bool answered;   /* Kafka answered once                  */
    int64_t started_ms, said_ms;
    struct nm_buf said;
    struct nm_error why; /* the last look failed with it */
};

/* On stderr, when it differs from what was said last, and not too often. */
static void say(struct progress *progress, const char *text)
{
    if (strcmp(nm_buf_str(&progress->said), text) == 0 || nm_boottime_ms() - progress->said_ms < SAY_MS)
        return;
    progress->said_ms = nm_boottime_ms();
    nm_buf_reset(&progress->said);
    nm_buf_adds(&progress->said, text);
    for (const char *at = text; *at;) {
        int len = (int)strcspn(at, "\n");
        (void)fprintf(stderr, "waiting for %.*s\n", len, at);
        at += len + (at[len] == '\n');
    }
}

/* One look. NM_RETRY only where Kafka never answered within its time. */
static enum nm_status look_once(struct view *view, struct progress *progress, struct nm_error *err)
{
    struct nm_error why = {0};
    enum nm_status status = look(view, &why);

    if (status == NM_OK) {
        progress->answered = true;
        progress->n_good = view->text.len ? 0 : progress->n_good + 1;
        say(progress, nm_buf_str(&view->text));
        return NM_OK;
    }
    progress->n_good = 0;
    bool patient = progress->answered || nm_boottime_ms() - progress->started_ms < NM_KAFKA_WAIT_MS;
    if (status != NM_RETRY || !patient)
        return nm_fail(err, status, "%s", why.msg);
    nm_buf_reset(&view->text);
    nm_buf_addf(&view->text, "an answer: %s\n", why.msg);
    progress->why = why;
    say(progress, nm_buf_str(&view->text));
    return NM_OK;
}

static enum nm_status wait_until(struct nm_tool *tool, struct view *view, long long timeout_ms, struct nm_error *err)
{
    struct progress progress = {.started_ms = nm_boottime_ms(), .said_ms = -SAY_MS};
    enum nm_status status = NM_OK;

    while (status == NM_OK && progress.n_good < N_LOOKS) {
        status = look_once(view, &progress, err);
        if (status != NM_OK || progress.n_good == N_LOOKS)
            break;
        bool late = nm_boottime_ms() - progress.started_ms >= timeout_ms && progress.n_good == 0;
        if (late && !progress.answered) {
            status = nm_fail(err, NM_RETRY, "%s", progress.why.msg);
        } else if (late || nm_tool_stopped()) {
            (void)fprintf(stderr, "newsmill: %s after %.1f s; left:\n%s", late ? "not reached" : "stopped",
                          (double)(nm_boottime_ms() - progress.started_ms) / 1000,
                          view->text.len ? nm_buf_str(&view->text) : "nothing that is known\n");
            tool->exit_code = NM_EXIT_NOT_REACHED;
            break;
        }
        if (status == NM_OK)
            (void)poll(NULL, 0, PAUSE_MS); /* a signal ends it early */
    }
    if (status == NM_OK && progress.n_good == N_LOOKS)
        (void)fprintf(stderr, "newsmill: every worker has caught up, after %.1f s\n",
                      (double)(nm_boottime_ms() - progress.started_ms) / 1000);
    nm_buf_clear(&progress.said);
    return status;
}

static enum nm_status wait_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct view view = {.settings = &tool->settings};
    NM_AUTO(nm_kafka_close) rd_kafka_t *rk = NULL;
    enum nm_status status = nm_tool_configure(tool, args, err);

    if (status == NM_OK)
        status = nm_kafka_consumer_open(&tool->settings, NULL, NULL, &rk, err);
    if (status != NM_OK)
        return status;
    view.rk = rk;
    status = wait_until(tool, &view, nm_flag_number(args, "--timeout"), err);
    nm_redis_close(view.redis);
    nm_buf_clear(&view.text);
    return status;
}

static const struct nm_flag flags[] = {
    {"--timeout", NM_FLAG_MS, "TIME", "60s", 0, 31LL * 24 * 3600 * 1000, "how long to wait: 500ms, 60s, 5m, 2h"},
    {0},
};

const struct nm_command nm_wait_command = {
    .name = "wait",
    .summary = "waits until every worker has caught up",
    .needs_config = true,
    .flags = flags,
    .details =
        "Waits until every worker of the namespace has finished each partition that it reads up to its end (Kafka's\n"
        "committed offset and the watermark in Redis), twice a quarter of a second apart, and says what it waits for.\n"
        "Exit code 3 when the time is over before.",
    .example = "  newsmill wait -c newsmill.yaml --timeout 5m",
    .run = wait_command,
};
