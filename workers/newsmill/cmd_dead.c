/* cmd_dead.c - `newsmill dead ls|stats|show`: the events that could not become articles, and why.
 *
 * `ls` reads only the last --limit messages of each partition (with a filter: all since --since) and keeps only what it
 * shows of them, so it is small on a stream of any length. `stats` reads all since --since and keeps counts. `show`
 * finds one message by the position that `ls` prints. */
#include "consume.h"
#include "dead_stats.h"
#include "message.h"
#include "newsmill/clock.h"
#include "newsmill/datetime.h"
#include "plain.h"
#include "table.h"
#include "tool.h"

#include <assert.h>
#include <string.h>

#define MAX_LIMIT    10000
#define POLL_MS      100
#define HEADER_BYTES 512

/* What is shown of one dead letter. */
struct dead {
    int32_t partition;
    int64_t offset, time_ms;
    char *line; /* --json: the line; else the cells, each with its NUL */
};

struct dead_list {
    struct dead *item;
    size_t n, cap;
};

static int compare_dead(const void *a, const void *b)
{
    const struct dead *left = a, *right = b;

    if (left->time_ms != right->time_ms)
        return left->time_ms < right->time_ms ? -1 : 1;
    if (left->partition != right->partition)
        return left->partition < right->partition ? -1 : 1;
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

/* The message stands below its row, whole: it says what to do. */
static const struct nm_column columns[] = {
    {"position", false, 8, 16},
    {"code", false, 8, 18},
    {"worker", false, 6, 12},
    {"source", false, 10, 40},
    {"time", false, 20, 20},
    {"id or key", false, 9, 80},
    {0},
};
#define N_CELLS (sizeof columns / sizeof *columns - 1)

static void header(const rd_kafka_message_t *message, const char *name, struct nm_buf *out)
{
    char text[HEADER_BYTES];
    (void)nm_kafka_header(message, name, text, sizeof text);
    nm_buf_adds(out, text);
}

/* The key, but of a URL with a password (a reason for many a dead letter) only what is no secret: a list is copied
 * into chats and tickets. `show` has everything. */
static void add_key(const rd_kafka_message_t *message, struct nm_buf *out)
{
    const char *key = message->key, *at = NULL;
    size_t len = message->key_len, from = 0;

    while (from + 3 <= len && memcmp(key + from, "://", 3) != 0)
        from++;
    from += 3;
    for (size_t i = from; i < len && key[i] != '/' && key[i] != '?' && key[i] != '#'; i++) {
        if (key[i] == '@')
            at = key + i;
    }
    if (!at) {
        nm_buf_add(out, key, len);
        return;
    }
    nm_buf_add(out, key, from);
    nm_buf_adds(out, "***");
    nm_buf_add(out, at, len - (size_t)(at - key));
}

static void add_cells(const rd_kafka_message_t *message, struct nm_buf *out)
{
    char text[HEADER_BYTES];
    struct nm_buf key = {0};

    nm_buf_addf(out, "%d:%lld%c", (int)message->partition, (long long)message->offset, 0);
    header(message, "nm-code", out);
    nm_buf_addc(out, 0);
    header(message, "nm-worker", out);
    nm_buf_addc(out, 0);
    header(message, "nm-stream", out);
    nm_buf_addc(out, '/');
    header(message, "nm-partition", out);
    nm_buf_addc(out, '/');
    header(message, "nm-offset", out);
    nm_buf_addc(out, 0);
    nm_time_text(nm_message_time_ms(message), text);
    nm_buf_adds(out, text);
    nm_buf_addc(out, 0);
    if (nm_kafka_header(message, "nm-id", text, sizeof text) > 0)
        nm_buf_adds(out, text);
    else if (message->key)
        add_key(message, &key);
    (void)nm_plain_line(key.data, key.len, HEADER_BYTES, out); /* here: cells end with a NUL, a key may hold one */
    out->oom = out->oom || key.oom;
    nm_buf_clear(&key);
    nm_buf_addc(out, 0);
    header(message, "nm-message", out);
    nm_buf_addc(out, 0);
}

static void add_json(const rd_kafka_message_t *message, struct nm_buf *out)
{
    static const char *const names[][2] = {
        {"code", "nm-code"},           {"message", "nm-message"},   {"worker", "nm-worker"},
        {"version", "nm-version"},     {"stream", "nm-stream"},     {"sourcePartition", "nm-partition"},
        {"sourceOffset", "nm-offset"}, {"attempts", "nm-attempts"}, {"id", "nm-id"}};
    char text[HEADER_BYTES];
    long long number = 0;
    int64_t ms = nm_message_time_ms(message);

    nm_buf_addf(out, "{\"position\":\"%d:%lld\"", (int)message->partition, (long long)message->offset);
    if (ms >= 0)
        nm_buf_addf(out, ",\"timestamp\":%lld", (long long)ms);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (nm_kafka_header(message, names[i][1], text, sizeof text) < 0)
            continue;
        nm_buf_addf(out, ",\"%s\":", names[i][0]);
        bool is_number = strstr(names[i][0], "source") || strcmp(names[i][0], "attempts") == 0;
        if (is_number && nm_number_parse(text, 0, INT64_MAX, &number, NULL) == NM_OK)
            nm_buf_addf(out, "%lld", number);
        else
            nm_json_string(text, strlen(text), out);
    }
    nm_buf_adds(out, ",\"key\":");
    if (message->key) {
        struct nm_buf key = {0};
        add_key(message, &key);
        nm_json_string(key.data, key.len, out);
        out->oom = out->oom || key.oom;
        nm_buf_clear(&key);
    } else {
        nm_buf_adds(out, "null");
    }
    nm_buf_addf(out, ",\"bytes\":%zu}\n", message->payload ? message->len : 0);
}

/* Which dead letters are wanted; NULL: any. */
struct filter {
    const char *code, *worker;
    bool json;
    size_t limit; /* only the newest so many are kept; 0: none are, they are counted */
};

static bool is_wanted(const struct filter *filter, const rd_kafka_message_t *message)
{
    char text[HEADER_BYTES];

    if (filter->code) {
        (void)nm_kafka_header(message, "nm-code", text, sizeof text);
        if (strcmp(text, filter->code) != 0)
            return false;
    }
    if (!filter->worker)
        return true;
    (void)nm_kafka_header(message, "nm-worker", text, sizeof text);
    return strcmp(text, filter->worker) == 0;
}

static void clear_list(struct dead_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->item[i].line);
    free(list->item);
    *list = (struct dead_list){0};
}

/* Sorted, and none but the newest `limit` left. */
static void keep_newest(struct dead_list *list, size_t limit)
{
    if (list->n == 0)
        return;
    qsort(list->item, list->n, sizeof *list->item, compare_dead);
    if (list->n <= limit)
        return;
    size_t n_old = list->n - limit;
    for (size_t i = 0; i < n_old; i++)
        free(list->item[i].line);
    memmove(list->item, list->item + n_old, limit * sizeof *list->item);
    list->n = limit;
}

static enum nm_status keep(struct dead_list *list, const rd_kafka_message_t *message, const struct filter *filter,
                           struct nm_error *err)
{
    struct nm_buf text = {0};

    assert(list);
    if (list->n == list->cap && list->n >= 2 * filter->limit)
        keep_newest(list, filter->limit);
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        struct dead *item = realloc(list->item, cap * sizeof *item);
        if (!item)
            return nm_fail(err, NM_FATAL, "out of memory");
        list->item = item;
        list->cap = cap;
    }
    if (filter->json)
        add_json(message, &text);
    else
        add_cells(message, &text);
    char *line = nm_buf_take(&text);
    if (!line)
        return nm_fail(err, NM_FATAL, "out of memory");
    list->item[list->n++] = (struct dead){message->partition, message->offset, nm_message_time_ms(message), line};
    return NM_OK;
}

static void count(struct nm_dead_stats *stats, const rd_kafka_message_t *message)
{
    char code[HEADER_BYTES], worker[HEADER_BYTES], stream[HEADER_BYTES];

    (void)nm_kafka_header(message, "nm-code", code, sizeof code);
    (void)nm_kafka_header(message, "nm-worker", worker, sizeof worker);
    (void)nm_kafka_header(message, "nm-stream", stream, sizeof stream);
    nm_dead_stats_add(stats, code, worker, stream, nm_message_time_ms(message));
}

/* Every wanted dead letter up to the end, into either; NULL: not there. */
static enum nm_status collect(struct nm_consume *consume, const struct filter *filter, struct dead_list *list,
                              struct nm_dead_stats *stats, struct nm_error *err)
{
    enum nm_status status = NM_OK;

    while (status == NM_OK && !nm_consume_over(consume) && !nm_tool_stopped()) {
        rd_kafka_message_t *message = NULL;
        status = nm_consume_next(consume, POLL_MS, &message, err);
        if (!message)
            continue;
        if (is_wanted(filter, message)) {
            if (stats)
                count(stats, message);
            if (list)
                status = keep(list, message, filter, err);
        }
        rd_kafka_message_destroy(message);
    }
    return status;
}

/* One row, and below it the reason. */
static enum nm_status add_row(struct nm_table *table, const char *cells, struct nm_buf *out, struct nm_error *err)
{
    for (size_t k = 0; k < N_CELLS; k++, cells += strlen(cells) + 1)
        nm_table_cells(table, cells);
    enum nm_status status = nm_table_stream(table, nm_tool_columns(), out, err);
    nm_buf_adds(out, "          ");
    (void)nm_plain_line(cells, strlen(cells), HEADER_BYTES, out);
    nm_buf_addc(out, '\n');
    return status;
}

static enum nm_status print_cells(const struct dead *item, size_t n, struct nm_error *err)
{
    struct nm_table table;
    struct nm_buf out = {0};

    nm_table_init(&table, columns);
    enum nm_status status = nm_table_header(&table, nm_tool_columns(), &out, err);
    for (size_t i = 0; status == NM_OK && i < n; i++)
        status = add_row(&table, item[i].line, &out, err);
    if (status == NM_OK)
        status = nm_tool_write(nm_buf_str(&out), out.len, err);
    nm_buf_clear(&out);
    nm_table_clear(&table);
    return status;
}

/* A time, or how long ago. */
static enum nm_status read_since(const struct nm_args *args, struct nm_plan *plan, struct nm_error *err)
{
    const char *text = nm_flag_text(args, "--since");
    long long ago_ms = 0;

    if (!text)
        return NM_OK;
    plan->from = NM_FROM_TIME;
    if (nm_duration_parse(text, &ago_ms, NULL) == NM_OK) {
        int64_t now_ms = nm_wall_clock.now_ms(nm_wall_clock.self);
        plan->time_ms = now_ms > ago_ms ? now_ms - ago_ms : 0;
        return NM_OK;
    }
    if (nm_time_parse(text, strlen(text), &plan->time_ms, NULL) == NM_OK)
        return NM_OK;
    return nm_fail(err, NM_CONFIG,
                   "--since: '%.60s' is neither a time such as 2031-04-12T07:30:00Z nor a duration such as 24h", text);
}

static enum nm_status list_dead(struct nm_tool *tool, const struct nm_plan *plan, const struct filter *filter,
                                struct nm_error *err)
{
    NM_AUTO(nm_consume_close) struct nm_consume *consume = NULL;
    struct dead_list list = {0};
    enum nm_status status = nm_consume_open(&tool->settings, plan, &consume, err);

    if (status == NM_OK)
        status = collect(consume, filter, &list, NULL, err);
    if (status == NM_OK) {
        keep_newest(&list, filter->limit);
        if (!filter->json)
            status = print_cells(list.item, list.n, err);
        for (size_t i = 0; filter->json && i < list.n && status == NM_OK; i++)
            status = nm_tool_write(list.item[i].line, strlen(list.item[i].line), err);
    }
    clear_list(&list);
    return status;
}

static enum nm_status count_dead(struct nm_tool *tool, const struct nm_plan *plan, const struct filter *filter,
                                 struct nm_error *err)
{
    NM_AUTO(nm_consume_close) struct nm_consume *consume = NULL;
    struct nm_dead_stats *stats = calloc(1, sizeof *stats);
    struct nm_buf out = {0};
    enum nm_status status =
        stats ? nm_consume_open(&tool->settings, plan, &consume, err) : nm_fail(err, NM_FATAL, "out of memory");

    if (status == NM_OK)
        status = collect(consume, filter, NULL, stats, err);
    if (status == NM_OK) {
        nm_dead_stats_sort(stats);
        status = nm_dead_stats_print(stats, filter->json, nm_tool_columns(), &out, err);
    }
    if (status == NM_OK)
        status = nm_tool_write(nm_buf_str(&out), out.len, err);
    nm_buf_clear(&out);
    free(stats);
    return status;
}

/* `ls` and `stats`: which dead letters, and then either. */
static enum nm_status survey(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct filter filter = {.code = nm_flag_text(args, "--code"),
                            .worker = nm_flag_text(args, "--worker"),
                            .json = nm_flag_given(args, "--json"),
                            .limit = (size_t)nm_flag_number(args, "--limit")};
    bool list = strcmp(args->action, "ls") == 0;
    struct nm_plan plan = {.to_end = true, .from = NM_FROM_OLDEST, .last = (int64_t)filter.limit};

    if (list && !filter.code && !filter.worker)
        plan.from = NM_FROM_LAST;
    enum nm_status status = read_since(args, &plan, err);
    if (status == NM_OK)
        status = nm_tool_configure(tool, args, err);
    if (status != NM_OK)
        return status;
    plan.topic = tool->settings.stream[NM_DEAD].name;
    return list ? list_dead(tool, &plan, &filter, err) : count_dead(tool, &plan, &filter, err);
}

static enum nm_status read_position(const char *text, struct nm_plan *plan, struct nm_error *err)
{
    size_t len = strcspn(text, ":");
    char partition[12];
    long long number = 0, offset = 0;

    if (text[len] == ':' && len < sizeof partition) {
        memcpy(partition, text, len);
        partition[len] = '\0';
        if (nm_number_parse(partition, 0, INT32_MAX, &number, NULL) == NM_OK &&
            nm_number_parse(text + len + 1, 0, INT64_MAX - 1, &offset, NULL) == NM_OK) {
            plan->partition = (int32_t)number;
            plan->offset = offset;
            return NM_OK;
        }
    }
    return nm_fail(err, NM_CONFIG, "'%.60s' is not PARTITION:OFFSET as `newsmill dead ls` prints it", text);
}

static enum nm_status print_dead(const rd_kafka_message_t *message, struct nm_error *err)
{
    rd_kafka_headers_t *headers = NULL;
    const char *name = NULL;
    const void *value = NULL;
    size_t len = 0;
    struct nm_buf out = {0};

    if (!rd_kafka_message_headers(message, &headers)) {
        for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &len); i++) {
            nm_visible_bytes(name, strlen(name), &out);
            nm_buf_adds(&out, ": ");
            nm_visible_bytes(value, value ? len : 0, &out);
            nm_buf_addc(&out, '\n');
        }
    }
    nm_buf_adds(&out, "key: ");
    nm_visible_bytes(message->key, message->key ? message->key_len : 0, &out);
    nm_buf_addf(&out, "%s\n", message->key ? "" : "(none)");
    nm_buf_addf(&out, "value, %zu bytes%s\n", message->len, message->payload ? ":" : " (tombstone)");
    nm_visible_bytes(message->payload, message->payload ? message->len : 0, &out);
    nm_buf_addc(&out, '\n');
    enum nm_status status =
        nm_buf_ok(&out) ? nm_tool_write(out.data, out.len, err) : nm_fail(err, NM_FATAL, "out of memory");
    nm_buf_clear(&out);
    return status;
}

static enum nm_status show_dead(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct nm_plan plan = {.topic = tool->settings.stream[NM_DEAD].name, .from = NM_FROM_OFFSET, .to_end = true};
    NM_AUTO(nm_consume_close) struct nm_consume *consume = NULL;
    rd_kafka_message_t *message = NULL;
    enum nm_status status = read_position(args->operand[0], &plan, err);

    if (status == NM_OK)
        status = nm_consume_open(&tool->settings, &plan, &consume, err);
    if (status == NM_OK && (plan.offset < consume->span[0].oldest || plan.offset >= consume->span[0].end))
        return nm_fail(err, NM_CONFIG, "no dead letter at %d:%lld: this partition has %lld to %lld",
                       (int)plan.partition, (long long)plan.offset, (long long)consume->span[0].oldest,
                       (long long)consume->span[0].end - 1);
    while (status == NM_OK && !message && !nm_consume_over(consume) && !nm_tool_stopped())
        status = nm_consume_next(consume, POLL_MS, &message, err);
    if (status != NM_OK)
        return status;
    if (!message || message->offset != plan.offset)
        status = nm_fail(err, NM_CONFIG, "the dead letter at %.60s is gone", args->operand[0]);
    else if (nm_flag_given(args, "--raw"))
        status = nm_tool_write(message->payload, message->len, err);
    else
        status = print_dead(message, err);
    if (message)
        rd_kafka_message_destroy(message);
    return status;
}

static enum nm_status dead_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    bool show = strcmp(args->action, "show") == 0;

    if (show && args->n_operands != 1)
        return nm_fail(err, NM_CONFIG, "dead show needs PARTITION:OFFSET, as `newsmill dead ls` prints it");
    if (!show && args->n_operands != 0)
        return nm_fail(err, NM_CONFIG, "dead %s takes no argument", args->action);
    if (!show)
        return survey(tool, args, err);
    enum nm_status status = nm_tool_configure(tool, args, err);
    return status == NM_OK ? show_dead(tool, args, err) : status;
}

static const struct nm_flag flags[] = {
    {"--limit", NM_FLAG_INT, "N", "50", 1, MAX_LIMIT, "ls: only the newest N"},
    {"--code", NM_FLAG_TEXT, "CODE", NULL, 0, 0, "ls, stats: only those of this code"},
    {"--worker", NM_FLAG_TEXT, "NAME", NULL, 0, 0, "ls, stats: only those of this worker"},
    {"--since", NM_FLAG_TEXT, "TIME|DURATION", NULL, 0, 0, "ls, stats: only those from then on, or not older than 24h"},
    {"--json", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "ls, stats: one JSON object a line"},
    {"--raw", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "show: only the original bytes, exactly"},
    {0},
};

const struct nm_command nm_dead_command = {
    .name = "dead",
    .summary = "lists and counts dead letters, or shows one with its original bytes",
    .actions = "ls|stats|show",
    .operands = "[PARTITION:OFFSET]",
    .max_operands = 1,
    .needs_config = true,
    .flags = flags,
    .details =
        "ls lists the events that can never succeed, newest last: why, by which worker, where the event stands in its\n"
        "stream. stats counts them by code, worker and stream, with the times of the first and the last one.\n"
        "show prints all headers and the original bytes of one, unprintable ones as \\xNN.",
    .example = "  newsmill dead stats -c newsmill.yaml --since 24h\n"
               "  newsmill dead ls -c newsmill.yaml --code url_credentials --limit 20\n"
               "  newsmill dead show -c newsmill.yaml 0:17 --raw > event.json",
    .run = dead_command,
};
