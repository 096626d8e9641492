/* cmd_stories.c - `newsmill stories`: the stories that `related` has in Redis, the hottest or the newest first.
 *
 * There is no list of all stories, so their keys are scanned, a page at a time, and only the best are kept: memory does
 * not depend on how many there are, time does. A scan may miss what is made or merged while it runs. */
#include "best.h"
#include "message.h"
#include "newsmill/redis.h"
#include "plain.h"
#include "state.h"
#include "table.h"
#include "tool.h"

#include <inttypes.h>
#include <string.h>

enum { MOST_ROWS = 1000, PAGE = 500, TELL_MS = 2000, KEY = 160 };

struct list {
    struct nm_state state;
    struct nm_best best;
    bool newest, json;
    size_t n_seen, n_broken;
    char prefix[KEY];
    size_t prefix_len;
    struct nm_best_row *page; /* of one page of the scan */
    size_t n_page, page_cap;
};

static enum nm_status exec(struct list *list, struct nm_error *err)
{
    enum nm_status status = nm_redis_exec(list->state.redis, &list->state.pipe, err);
    return status == NM_RETRY ? NM_FATAL : status;
}

/* The ids behind the prefix, into the page. */
static enum nm_status take_keys(struct list *list, const struct nm_reply *keys, struct nm_error *err)
{
    size_t n = keys->type == NM_REPLY_ARRAY ? keys->len : 0;

    list->n_page = 0;
    if (n > list->page_cap) {
        struct nm_best_row *page = realloc(list->page, n * sizeof *page);
        if (!page)
            return nm_fail(err, NM_FATAL, "out of memory for %zu stories", n);
        list->page = page;
        list->page_cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        const struct nm_reply *key = nm_reply_at(keys, i);
        struct nm_best_row row = {0};
        if (key->type != NM_REPLY_STR || key->len != list->prefix_len + sizeof row.id)
            continue;
        memcpy(row.id, key->str + list->prefix_len, sizeof row.id);
        list->page[list->n_page++] = row;
    }
    return NM_OK;
}

static enum nm_status scan_page(struct list *list, char cursor[24], struct nm_error *err)
{
    struct nm_pipe *pipe = &list->state.pipe;
    char pattern[KEY + 8];

    (void)snprintf(pattern, sizeof pattern, "%s*", list->prefix); /* a namespace has no sign that a pattern has */
    nm_pipe_reset(pipe);
    (void)nm_pipe_command(pipe, 6);
    nm_pipe_str(pipe, "SCAN");
    nm_pipe_str(pipe, cursor);
    nm_pipe_str(pipe, "MATCH");
    nm_pipe_str(pipe, pattern);
    nm_pipe_str(pipe, "COUNT");
    nm_pipe_int(pipe, PAGE);
    enum nm_status status = exec(list, err);
    if (status != NM_OK)
        return status;
    const struct nm_reply *reply = nm_pipe_reply(pipe, 0), *next = nm_reply_at(reply, 0);
    if (next->type != NM_REPLY_STR || next->len >= 24)
        return nm_fail(err, NM_FATAL, "Redis answers a scan without a cursor");
    status = take_keys(list, nm_reply_at(reply, 1), err);
    memcpy(cursor, next->str, next->len + 1);
    return status;
}

/* The stories of the page; those that were merged or are broken go. */
static enum nm_status read_stories(struct list *list, struct nm_error *err)
{
    struct nm_pipe *pipe = &list->state.pipe;
    char key[KEY + 16];
    size_t kept = 0;

    nm_pipe_reset(pipe);
    memcpy(key, list->prefix, list->prefix_len);
    for (size_t i = 0; i < list->n_page; i++) {
        memcpy(key + list->prefix_len, list->page[i].id, 16);
        (void)nm_pipe_command(pipe, 6);
        nm_pipe_str(pipe, "HMGET");
        nm_pipe_arg(pipe, key, list->prefix_len + 16);
        nm_pipe_str(pipe, "n");
        nm_pipe_str(pipe, "last");
        nm_pipe_str(pipe, "lead");
        nm_pipe_str(pipe, "into");
    }
    enum nm_status status = list->n_page ? exec(list, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < list->n_page; i++) {
        const struct nm_reply *fields = nm_pipe_reply(pipe, i), *lead = nm_reply_at(fields, 2);
        struct nm_best_row row = list->page[i];
        row.size = nm_state_number(nm_reply_at(fields, 0), 1, NM_MEMBERS_MOST);
        row.last_s = nm_state_number(nm_reply_at(fields, 1), 0, NM_LAST_SECOND);
        if (nm_reply_at(fields, 3)->type != NM_REPLY_NIL || nm_reply_at(fields, 0)->type == NM_REPLY_NIL)
            continue; /* a pointer, or it expired meanwhile */
        if (row.size < 1 || row.last_s < 0 || lead->type != NM_REPLY_STR || lead->len != 16) {
            list->n_broken++;
            continue;
        }
        memcpy(row.lead, lead->str, 16);
        list->page[kept++] = row;
    }
    list->n_page = kept;
    return status;
}

static void take_lead(const struct nm_reply *heat, const struct nm_reply *quality, struct nm_best_row *row)
{
    struct nm_reply number = *heat;

    row->quality = nm_state_number(quality, -NM_QUALITY_MOST, NM_QUALITY_MOST);
    row->has_quality = row->quality != INT64_MIN;
    if (heat->type != NM_REPLY_STR || heat->len <= 16)
        return;
    number.str += 16; /* behind the revision */
    number.len -= 16;
    row->heat = nm_reply_int(&number, INT64_MIN);
    row->has_heat = row->heat != INT64_MIN;
}

/* Heat and quality of the leads; then the page goes into the heap. */
static enum nm_status read_leads(struct list *list, struct nm_error *err)
{
    struct nm_pipe *pipe = &list->state.pipe;
    const char *ns = list->state.settings->ns;
    char key[KEY], id[NM_ID_BYTES];

    nm_pipe_reset(pipe);
    for (size_t i = 0; i < list->n_page; i++) {
        nm_hex_write(list->page[i].lead, NM_RAW_ID, id);
        (void)snprintf(key, sizeof key, "%s:record:{%s}", ns, id);
        (void)nm_pipe_command(pipe, 3);
        nm_pipe_str(pipe, "HGET");
        nm_pipe_str(pipe, key);
        nm_pipe_str(pipe, "h");
        int len = snprintf(key, sizeof key - 16, "%s:{rel}:m:", ns);
        memcpy(key + len, list->page[i].lead, 16);
        (void)nm_pipe_command(pipe, 3);
        nm_pipe_str(pipe, "HGET");
        nm_pipe_arg(pipe, key, (size_t)len + 16);
        nm_pipe_str(pipe, "q");
    }
    enum nm_status status = list->n_page ? exec(list, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < list->n_page; i++) {
        struct nm_best_row *row = &list->page[i];
        take_lead(nm_pipe_reply(pipe, 2 * i), nm_pipe_reply(pipe, 2 * i + 1), row);
        row->rank = list->newest ? row->last_s : nm_best_hot(row);
        nm_best_add(&list->best, row);
        list->n_seen++;
    }
    return status;
}

static enum nm_status scan(struct list *list, struct nm_error *err)
{
    char cursor[24] = "0";
    enum nm_status status = NM_OK;
    int64_t told_ms = nm_boottime_ms();

    do {
        status = scan_page(list, cursor, err);
        if (status == NM_OK)
            status = read_stories(list, err);
        if (status == NM_OK)
            status = read_leads(list, err);
        if (nm_boottime_ms() - told_ms >= TELL_MS) {
            (void)fprintf(stderr, "newsmill: %zu stories so far\n", list->n_seen);
            told_ms = nm_boottime_ms();
        }
    } while (status == NM_OK && strcmp(cursor, "0") != 0 && !nm_tool_stopped());
    nm_best_sort(&list->best);
    return status;
}

/* ---- output ---- */

static const struct nm_column columns[] = {
    {"size", true, 4, 8},
    {"heat", true, 4, 8},
    {"quality", true, 7, 8},
    {"age", true, 3, 6},
    {"title", false, 16, 300},
    {"story", false, 32, 32},
    {0},
};

static void age_text(int64_t s, char out[24])
{
    s = s > 0 ? s : 0;
    if (s < 3600)
        (void)snprintf(out, 24, "%" PRId64 "m", s / 60);
    else if (s < 2 * 86400)
        (void)snprintf(out, 24, "%" PRId64 "h", s / 3600);
    else
        (void)snprintf(out, 24, "%" PRId64 "d", s / 86400);
}

static void add_row(const struct nm_best_row *row, const struct nm_known *lead, struct nm_table *table)
{
    char id[NM_ID_BYTES], age[24];
    const char *title = json_string_value(json_object_get(lead->article, "title"));

    nm_hex_write(row->id, NM_RAW_ID, id);
    age_text(nm_wall_clock.now_ms(nm_wall_clock.self) / 1000 - row->last_s, age);
    nm_table_number(table, row->size);
    if (row->has_heat)
        nm_table_number(table, row->heat);
    else
        nm_table_cells(table, "-");
    if (row->has_quality)
        nm_table_number(table, row->quality);
    else
        nm_table_cells(table, "-");
    nm_table_cells(table, age);
    nm_table_cells(table, title ? title : lead->id);
    nm_table_cells(table, id);
}

static void add_json(const struct nm_best_row *row, const struct nm_known *lead, struct nm_buf *out)
{
    char id[NM_ID_BYTES], time[21];
    const json_t *title = json_object_get(lead->article, "title");

    nm_hex_write(row->id, NM_RAW_ID, id);
    nm_time_text(row->last_s * 1000, time);
    nm_buf_addf(out, "{\"id\":\"%s\",\"size\":%" PRId64 ",\"lead\":\"%s\"", id, row->size, lead->id);
    if (row->has_heat)
        nm_buf_addf(out, ",\"heat\":%" PRId64, row->heat);
    if (row->has_quality)
        nm_buf_addf(out, ",\"quality\":%" PRId64, row->quality);
    nm_buf_addf(out, ",\"last\":\"%s\"", time);
    if (json_is_string(title)) {
        nm_buf_adds(out, ",\"title\":");
        nm_json_string(json_string_value(title), json_string_length(title), out);
    }
    nm_buf_adds(out, "}\n");
}

/* A lead has a vector, so few are read at once. */
static enum nm_status add_rows(struct list *list, struct nm_table *table, struct nm_buf *out, struct nm_error *err)
{
    enum { CHUNK = 32 };
    struct nm_known *lead = calloc(CHUNK, sizeof *lead);
    enum nm_status status = NM_OK;

    if (!lead)
        return nm_fail(err, NM_FATAL, "out of memory");
    for (size_t from = 0; status == NM_OK && from < list->best.n; from += CHUNK) {
        size_t n = list->best.n - from < CHUNK ? list->best.n - from : CHUNK;
        for (size_t i = 0; i < n; i++)
            nm_hex_write(list->best.row[from + i].lead, NM_RAW_ID, lead[i].id);
        status = nm_state_articles(&list->state, lead, n, err);
        for (size_t i = 0; i < n; i++) {
            if (status == NM_OK && list->json)
                add_json(&list->best.row[from + i], &lead[i], out);
            else if (status == NM_OK)
                add_row(&list->best.row[from + i], &lead[i], table);
            nm_known_clear(&lead[i]);
        }
    }
    free(lead);
    return status;
}

static enum nm_status print_list(struct list *list, struct nm_error *err)
{
    struct nm_table table;
    struct nm_buf out = {0};

    nm_table_init(&table, columns);
    enum nm_status status = add_rows(list, &table, &out, err);
    if (status == NM_OK && !list->json)
        status = nm_table_print(&table, nm_tool_columns(), &out, err);
    if (status == NM_OK)
        status =
            nm_buf_ok(&out) ? nm_tool_write(nm_buf_str(&out), out.len, err) : nm_fail(err, NM_FATAL, "out of memory");
    nm_table_clear(&table);
    nm_buf_clear(&out);
    return status;
}

static enum nm_status read_args(struct list *list, const struct nm_args *args, struct nm_error *err)
{
    list->newest = nm_flag_given(args, "--new");
    list->json = strcmp(nm_flag_text(args, "--format"), "json") == 0;
    list->best.most = (size_t)nm_flag_number(args, "--limit");
    if (list->newest && nm_flag_given(args, "--hot"))
        return nm_fail(err, NM_CONFIG, "--hot and --new: one of them");
    list->best.row = calloc(list->best.most, sizeof *list->best.row);
    return list->best.row ? NM_OK : nm_fail(err, NM_FATAL, "out of memory");
}

static enum nm_status stories_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct list list = {0};
    enum nm_status status = read_args(&list, args, err);

    if (status == NM_OK)
        status = nm_tool_configure(tool, args, err);
    if (status == NM_OK)
        status = nm_state_open(&tool->settings, &list.state, err);
    if (status == NM_OK) {
        list.prefix_len = (size_t)snprintf(list.prefix, sizeof list.prefix, "%s:{rel}:s:", tool->settings.ns);
        status = scan(&list, err);
    }
    if (status == NM_OK)
        status = print_list(&list, err);
    if (status == NM_OK && list.n_seen == 0)
        (void)fprintf(stderr, "newsmill: namespace %s has no stories\n", tool->settings.ns);
    if (status == NM_OK && list.n_broken)
        (void)fprintf(stderr, "newsmill: %zu %s not the form that related writes, left out\n", list.n_broken,
                      list.n_broken == 1 ? "story has" : "stories have");
    free(list.best.row);
    free(list.page);
    nm_state_close(&list.state);
    return status;
}

static const struct nm_flag flags[] = {
    {"--hot", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "the hottest first: what is done without --new"},
    {"--new", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "those with the newest article first"},
    {"--limit", NM_FLAG_INT, "N", "20", 1, MOST_ROWS, "only so many"},
    {"--format", NM_FLAG_WORD, "table|json", "table", 0, 0, "json: one object a line"},
    {0},
};

const struct nm_command nm_stories_command = {
    .name = "stories",
    .summary = "lists the stories, hottest or newest first",
    .needs_config = true,
    .flags = flags,
    .details = "One line a story: articles, heat and quality of its lead, how old its newest article is, the lead's\n"
               "title. The hottest first: by the heat of the lead, where it is not known by its quality and ten for\n"
               "each further article.",
    .example = "  newsmill stories -c newsmill.yaml\n"
               "  newsmill stories -c newsmill.yaml --new --limit 50 --format json",
    .run = stories_command,
};
