/* cmd_tail.c - `newsmill tail`: what lies on a stream.
 *
 * Two ways. Every message as it comes: any stream, table or JSON, for ever or up to the end. Or the view of records
 * that a site has: the newest revision of each id without retracted ones, hottest first; this needs the end and is
 * collected in nm_latest, which is bounded. Output is flushed whenever nothing waits to be read, so a live tail shows a
 * message at once and a long one costs few system calls. */
#include "consume.h"
#include "front_matter.h"
#include "latest.h"
#include "message.h"
#include "newsmill/datetime.h"
#include "newsmill/url.h"
#include "plain.h"
#include "seen.h"
#include "tool.h"

#include <string.h>

#define MAX_LATEST_IDS   100000
#define MAX_LATEST_BYTES ((size_t)256 << 20)
#define POLL_MS          100

enum format { TABLE, JSON, FRONT_MATTER };

struct tail {
    enum nm_stream stream;
    enum format format;
    bool newest; /* the view of records, not every message */
    long long top;
    char id[NM_ID_BYTES]; /* "": every message */
    unsigned width;
    struct nm_plan plan;
    struct nm_latest latest;
    struct nm_table table;
    struct nm_buf out;
    struct nm_seen *seen; /* a live table of records says which rows are updates */
    size_t n_foreign;     /* records without an id as key, or unreadable ones */
    bool said_down;       /* that Kafka does not answer */
    size_t said_cut;
};

static enum nm_status read_id(struct tail *tail, const char *text, struct nm_error *err)
{
    struct nm_error why = {0};
    enum nm_status status = text ? nm_tool_id(text, tail->id, &why) : NM_OK;
    return status == NM_OK ? NM_OK : nm_fail(err, status, "--id: %s", why.msg);
}

static enum nm_status read_from(struct tail *tail, const char *text, struct nm_error *err)
{
    if (!text)
        tail->plan.from = tail->plan.to_end ? NM_FROM_OLDEST : NM_FROM_END;
    else if (strcmp(text, "beginning") == 0)
        tail->plan.from = NM_FROM_OLDEST;
    else if (strcmp(text, "end") == 0)
        tail->plan.from = NM_FROM_END;
    else if (nm_time_parse(text, strlen(text), &tail->plan.time_ms, NULL) == NM_OK)
        tail->plan.from = NM_FROM_TIME;
    else
        return nm_fail(err, NM_CONFIG,
                       "--from: '%.60s' is neither beginning, end nor a time such as 2031-04-12T07:30:00Z", text);
    return NM_OK;
}

static enum nm_status read_args(struct tail *tail, const struct nm_args *args, struct nm_error *err)
{
    const char *format = nm_flag_text(args, "--format");
    bool known = nm_stream_from_word(nm_flag_text(args, "--stream"), &tail->stream);
    bool records = known && tail->stream == NM_RECORDS;

    tail->format = strcmp(format, "json") == 0 ? JSON : strcmp(format, "table") == 0 ? TABLE : FRONT_MATTER;
    tail->plan.to_end = nm_flag_given(args, "--exit-at-end");
    tail->top = nm_flag_given(args, "--top") ? nm_flag_number(args, "--top") : 0;
    tail->newest = records && tail->plan.to_end && (tail->format != JSON || tail->top);
    tail->width = nm_tool_columns();
    if (tail->format == FRONT_MATTER && !records)
        return nm_fail(err, NM_CONFIG, "--format front-matter needs --stream records");
    if (tail->top && !tail->newest)
        return nm_fail(err, NM_CONFIG, "--top needs --stream records and --exit-at-end");
    enum nm_status status = read_id(tail, nm_flag_text(args, "--id"), err);
    return status == NM_OK ? read_from(tail, nm_flag_text(args, "--from"), err) : status;
}

/* The key is the id, or where a crawler wrote it, a URL of that id. */
static bool is_wanted(const struct tail *tail, const rd_kafka_message_t *message, struct nm_url *url)
{
    char id[NM_ID_BYTES];

    if (!tail->id[0])
        return true;
    if (!message->key)
        return false;
    if (nm_is_article_id(message->key, message->key_len))
        return memcmp(message->key, tail->id, NM_ID_BYTES - 1) == 0;
    if (nm_url_canonical(message->key, message->key_len, false, url, NULL) != NM_OK)
        return false;
    nm_article_id(url->text, url->len, id);
    return strcmp(id, tail->id) == 0;
}

/* 0: there is none, or no number. */
static int64_t revision_of(const rd_kafka_message_t *message)
{
    char text[24];
    long long number = 0;

    (void)nm_kafka_header(message, "nm-revision", text, sizeof text);
    return nm_number_parse(text, 0, INT64_MAX, &number, NULL) == NM_OK ? number : 0;
}

static enum nm_status keep(struct tail *tail, const rd_kafka_message_t *message, struct nm_error *err)
{
    char id[NM_ID_BYTES] = "";
    int64_t revision = revision_of(message); /* without one the later message counts */

    if (!message->key || !nm_is_article_id(message->key, message->key_len)) {
        tail->n_foreign++;
        return NM_OK;
    }
    memcpy(id, message->key, NM_ID_BYTES - 1);
    if (tail->format != JSON)
        return nm_latest_add(&tail->latest, id, revision, message->payload, message->len, message->payload,
                             message->len, err);
    nm_buf_reset(&tail->out);
    enum nm_status status = nm_message_json(message, &tail->out, err);
    if (status != NM_OK)
        return status;
    return nm_latest_add(&tail->latest, id, revision, message->payload, message->len, tail->out.data, tail->out.len,
                         err);
}

static enum nm_status print_front_matter(struct tail *tail, const char *value, size_t len, struct nm_error *err)
{
    enum nm_status status = nm_front_matter(value, len, &tail->out, err);
    if (status == NM_BAD_INPUT) {
        tail->n_foreign++;
        return NM_OK;
    }
    if (status == NM_OK)
        nm_buf_addc(&tail->out, '\n'); /* between two records */
    return status;
}

/* What this message is to the one before it of the same article. */
static const char *change_of(struct tail *tail, const rd_kafka_message_t *message)
{
    static const char *const words[] = {
        [NM_SIGHT_FIRST] = "", [NM_SIGHT_UPDATE] = "update", [NM_SIGHT_AGAIN] = "again", [NM_SIGHT_OLDER] = "older"};
    int64_t revision = revision_of(message);

    if (!message->key || !nm_is_article_id(message->key, message->key_len) || revision <= 0)
        return "";
    enum nm_sight sight = nm_seen_note(tail->seen, message->key, revision);
    if (!message->payload && sight <= NM_SIGHT_UPDATE)
        return "retracted";
    return words[sight];
}

static enum nm_status print_row(struct tail *tail, const rd_kafka_message_t *message, struct nm_error *err)
{
    if (tail->stream == NM_RECORDS) {
        nm_record_row(message->payload, message->len, message->key, message->key_len, &tail->table);
        nm_table_cells(&tail->table, change_of(tail, message));
    } else {
        nm_message_row(message, &tail->table);
    }
    return nm_table_stream(&tail->table, tail->width, &tail->out, err);
}

static enum nm_status print_message(struct tail *tail, const rd_kafka_message_t *message, struct nm_error *err)
{
    enum nm_status status = NM_OK;

    nm_buf_reset(&tail->out);
    if (tail->format == TABLE) {
        status = print_row(tail, message, err);
    } else if (tail->format == JSON) {
        status = nm_message_json(message, &tail->out, err);
        nm_buf_addc(&tail->out, '\n');
    } else if (message->payload) {
        status = print_front_matter(tail, message->payload, message->len, err);
    }
    if (status == NM_OK && !nm_buf_ok(&tail->out))
        status = nm_fail(err, NM_FATAL, "out of memory");
    return status == NM_OK ? nm_tool_write(tail->out.data, tail->out.len, err) : status;
}

/* On stderr, whenever it changes. */
static void say_state(struct tail *tail, const struct nm_consume *consume)
{
    if (consume->down != tail->said_down)
        (void)fprintf(stderr, "newsmill: note: %s\n",
                      consume->down ? "Kafka does not answer; waiting for it" : "Kafka answers again");
    tail->said_down = consume->down;
    if (consume->n_cut != tail->said_cut)
        (void)fprintf(stderr, "newsmill: note: some messages were deleted before they were read\n");
    tail->said_cut = consume->n_cut;
}

static enum nm_status follow(struct tail *tail, struct nm_consume *consume, struct nm_url *url, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    int wait_ms = 0;

    while (status == NM_OK && !nm_tool_stopped() && !nm_consume_over(consume)) {
        rd_kafka_message_t *message = NULL;
        status = nm_consume_next(consume, wait_ms, &message, err);
        wait_ms = message ? 0 : POLL_MS;
        if (!tail->plan.to_end)
            say_state(tail, consume);
        if (message && is_wanted(tail, message, url))
            status = tail->newest ? keep(tail, message, err) : print_message(tail, message, err);
        if (message)
            rd_kafka_message_destroy(message);
        else if (status == NM_OK)
            status = nm_tool_flush(err);
        if (status == NM_OK && wait_ms && nm_tool_reader_gone())
            break;
    }
    return status;
}

static enum nm_status print_latest_row(struct tail *tail, const struct nm_latest_row *row, struct nm_error *err)
{
    if (tail->format == TABLE) {
        nm_story_rows(row->text, row->len, row->id, strlen(row->id), &tail->table);
        return NM_OK;
    }
    nm_buf_reset(&tail->out);
    if (tail->format == FRONT_MATTER) {
        enum nm_status status = print_front_matter(tail, row->text, row->len, err);
        return status == NM_OK ? nm_tool_write(tail->out.data, tail->out.len, err) : status;
    }
    enum nm_status status = nm_tool_write(row->text, row->len, err);
    return status == NM_OK ? nm_tool_write("\n", 1, err) : status;
}

static enum nm_status print_latest(struct tail *tail, struct nm_error *err)
{
    size_t n = nm_latest_sort(&tail->latest);
    enum nm_status status = NM_OK;

    if (tail->top && (unsigned long long)tail->top < n)
        n = (size_t)tail->top;
    for (size_t i = 0; i < n && status == NM_OK; i++)
        status = print_latest_row(tail, tail->latest.row[i], err);
    if (status == NM_OK && tail->format == TABLE) {
        nm_buf_reset(&tail->out);
        status = nm_table_print(&tail->table, tail->width, &tail->out, err);
        if (status == NM_OK)
            status = nm_tool_write(tail->out.data, tail->out.len, err);
    }
    if (tail->latest.n_dropped)
        (void)fprintf(stderr, "newsmill: note: %zu records of the lowest heat are left out, to keep memory bounded\n",
                      tail->latest.n_dropped);
    return status;
}

static enum nm_status run_tail(struct tail *tail, struct nm_consume *consume, struct nm_error *err)
{
    struct nm_url *url = malloc(sizeof *url);
    enum nm_status status = NM_OK;

    if (!url)
        return nm_fail(err, NM_FATAL, "out of memory");
    if (tail->format == TABLE && !tail->newest) {
        status = nm_table_header(&tail->table, tail->width, &tail->out, err);
        if (status == NM_OK)
            status = nm_tool_write(tail->out.data, tail->out.len, err);
    }
    if (status == NM_OK)
        status = follow(tail, consume, url, err);
    if (status == NM_OK && tail->newest && !nm_tool_stopped())
        status = print_latest(tail, err);
    if (tail->n_foreign)
        (void)fprintf(stderr, "newsmill: note: %zu messages are no records of newsmill and are left out\n",
                      tail->n_foreign);
    free(url);
    return status;
}

static enum nm_status tail_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct tail tail = {.latest = {.max_rows = MAX_LATEST_IDS, .max_bytes = MAX_LATEST_BYTES}};
    NM_AUTO(nm_consume_close) struct nm_consume *consume = NULL;
    enum nm_status status = read_args(&tail, args, err);

    if (status == NM_OK)
        status = nm_tool_configure(tool, args, err);
    if (status != NM_OK)
        return status;
    tail.plan.topic = tool->settings.stream[tail.stream].name;
    const struct nm_column *columns = tail.newest ? nm_record_columns : nm_live_record_columns;
    nm_table_init(&tail.table, tail.stream == NM_RECORDS ? columns : nm_message_columns);
    status = nm_seen_new(&tail.seen, err);
    if (status == NM_OK)
        status = nm_consume_open(&tool->settings, &tail.plan, &consume, err);
    if (status == NM_OK)
        status = run_tail(&tail, consume, err);
    nm_seen_free(tail.seen);
    nm_latest_clear(&tail.latest);
    nm_table_clear(&tail.table);
    nm_buf_clear(&tail.out);
    return status;
}

static const struct nm_flag flags[] = {
    {"--stream", NM_FLAG_WORD, "raw|normalized|facets|records|dead|signals", "records", 0, 0, "which stream"},
    {"--format", NM_FLAG_WORD, "table|json|front-matter", "table", 0, 0, "how a message is shown"},
    {"--from", NM_FLAG_TEXT, "beginning|end|TIME", NULL, 0, 0,
     "where to begin; else at the end, with --exit-at-end at the beginning"},
    {"--exit-at-end", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "end at what is the end of the stream now"},
    {"--top", NM_FLAG_INT, "N", NULL, 1, MAX_LATEST_IDS, "only the N hottest records, with --exit-at-end"},
    {"--id", NM_FLAG_TEXT, "ID|URL", NULL, 0, 0, "only the messages of this article"},
    {0},
};

const struct nm_command nm_tail_command = {
    .name = "tail",
    .summary = "shows what lies on a stream, live or up to its end",
    .needs_config = true,
    .flags = flags,
    .details = "Shows the messages of a stream as they come, also after Kafka was away for a while; Ctrl-C ends it.\n"
               "A row of a record says what it is to the one before of the same article: update, retracted,\n"
               "again (sent twice) or older (came late, does not count).\n"
               "With --exit-at-end, records in table or front-matter format (or with --top) are shown as a site has\n"
               "them: the newest revision of each, without retracted ones, hottest first.\n"
               "json: one object a line: partition, offset, timestamp, key, headers, value (null: a tombstone).\n"
               "front-matter: YAML between lines of ---, an empty line after each record.",
    .example = "  newsmill tail -c newsmill.yaml\n"
               "  newsmill tail -c newsmill.yaml --exit-at-end --top 10\n"
               "  newsmill tail -c newsmill.yaml --stream dead --format json --from 2031-04-12T07:30:00Z",
    .run = tail_command,
};
