/* cmd_ps.c - `newsmill ps`: the workers that run, as they announce themselves in Redis.
 *
 * The names come from one sorted set and not from a scan of all keys, so it is quick beside millions of articles.
 * Everything is bounded: the newest MAX_INSTANCES names, and of each announcement one byte more than it may have. Redis
 * is asked for the type of a key before it is read: a foreign key is shown as broken, and is no error. */
#include "instances.h"
#include "newsmill/announce.h"
#include "newsmill/redis.h"
#include "table.h"
#include "tool.h"

#include <inttypes.h>
#include <string.h>

#define MAX_INSTANCES 1000
#define CHUNK         50 /* announcements in one round trip */

struct list {
    struct nm_redis *redis;
    const struct nm_settings *settings;
    struct nm_pipe pipe;
    struct nm_buf *name; /* n of them */
    struct nm_instance *item;
    size_t n, n_names, n_known; /* items read; names read; names in the set */
};

static void command(struct nm_pipe *pipe, const char *word, const char *key)
{
    (void)nm_pipe_command(pipe, 2);
    nm_pipe_str(pipe, word);
    nm_pipe_str(pipe, key);
}

/* Whatever is wrong with Redis, trying again is up to the operator. */
static enum nm_status exec(struct list *list, struct nm_error *err)
{
    enum nm_status status = nm_redis_exec(list->redis, &list->pipe, err);
    return status == NM_RETRY ? NM_FATAL : status;
}

static bool type_is(const struct nm_reply *reply, const char *type)
{
    return reply->type == NM_REPLY_STATUS && strcmp(reply->str, type) == 0;
}

static enum nm_status copy_names(struct list *list, const struct nm_reply *names, struct nm_error *err)
{
    list->name = calloc(names->len + 1, sizeof *list->name);
    list->item = calloc(names->len + 1, sizeof *list->item);
    if (!list->name || !list->item)
        return nm_fail(err, NM_FATAL, "out of memory");
    for (size_t i = 0; names->type == NM_REPLY_ARRAY && i < names->len; i++) {
        const struct nm_reply *name = nm_reply_at(names, i);
        nm_buf_add(&list->name[i], name->str, name->type == NM_REPLY_STR ? name->len : 0);
        list->n_names++;
    }
    return NM_OK;
}

static enum nm_status read_names(struct list *list, struct nm_error *err)
{
    char set[300];
    nm_announce_key(list->settings, NULL, set, sizeof set);
    command(&list->pipe, "TYPE", set);
    enum nm_status status = exec(list, err);
    if (status != NM_OK)
        return status;
    bool none = type_is(nm_pipe_reply(&list->pipe, 0), "none");
    if (!none && !type_is(nm_pipe_reply(&list->pipe, 0), "zset"))
        return nm_fail(err, NM_CONFIG, "the Redis key '%s' is not newsmill's: another program uses this namespace",
                       set);
    nm_pipe_reset(&list->pipe);
    (void)nm_pipe_command(&list->pipe, 4);
    nm_pipe_str(&list->pipe, "ZREVRANGE");
    nm_pipe_str(&list->pipe, set);
    nm_pipe_int(&list->pipe, 0);
    nm_pipe_int(&list->pipe, MAX_INSTANCES - 1);
    command(&list->pipe, "ZCARD", set);
    status = exec(list, err);
    if (status != NM_OK)
        return status;
    list->n_known = (size_t)nm_reply_int(nm_pipe_reply(&list->pipe, 1), 0);
    return copy_names(list, nm_pipe_reply(&list->pipe, 0), err);
}

static enum nm_status key_of(struct list *list, size_t i, char **out, struct nm_error *err)
{
    const char *name = nm_buf_str(&list->name[i]);
    size_t size = strlen(list->settings->ns) + strlen(name) + 8;
    char *key = malloc(size);
    if (!key || !nm_buf_ok(&list->name[i])) {
        free(key);
        return nm_fail(err, NM_FATAL, "out of memory");
    }
    nm_announce_key(list->settings, name, key, size);
    *out = key;
    return NM_OK;
}

/* Two commands a name of [from, to); mode: TYPE and PTTL, or GETRANGE where is_string says so. */
static enum nm_status ask(struct list *list, size_t from, size_t to, const bool *is_string, struct nm_error *err)
{
    nm_pipe_reset(&list->pipe);
    for (size_t i = from; i < to; i++) {
        NM_AUTO(free) char *key = NULL;
        enum nm_status status = key_of(list, i, &key, err);
        if (status != NM_OK)
            return status;
        if (!is_string) {
            command(&list->pipe, "TYPE", key);
            command(&list->pipe, "PTTL", key);
        } else if (is_string[i - from]) {
            (void)nm_pipe_command(&list->pipe, 4);
            nm_pipe_str(&list->pipe, "GETRANGE");
            nm_pipe_str(&list->pipe, key);
            nm_pipe_int(&list->pipe, 0);
            nm_pipe_int(&list->pipe, NM_ANNOUNCE_BYTES);
        }
    }
    return exec(list, err);
}

static enum nm_status read_chunk(struct list *list, size_t from, size_t to, struct nm_error *err)
{
    bool is_string[CHUNK] = {false}, is_there[CHUNK] = {false};
    int64_t left_ms[CHUNK] = {0};
    enum nm_status status = ask(list, from, to, NULL, err);
    for (size_t i = 0; status == NM_OK && i < to - from; i++) {
        const struct nm_reply *type = nm_pipe_reply(&list->pipe, 2 * i);
        is_string[i] = type_is(type, "string");
        is_there[i] = !type_is(type, "none");
        left_ms[i] = nm_reply_int(nm_pipe_reply(&list->pipe, 2 * i + 1), -1);
    }
    if (status == NM_OK)
        status = ask(list, from, to, is_string, err);
    for (size_t i = 0, k = 0; status == NM_OK && i < to - from; i++) {
        const struct nm_reply *text = is_string[i] ? nm_pipe_reply(&list->pipe, k++) : NULL;
        /* an announcement that expired meanwhile reads as "" */
        const char *json = text && text->len ? text->str : is_there[i] && !text ? "" : NULL;
        status = nm_instance_read(list->name[from + i].data ? list->name[from + i].data : "", list->name[from + i].len,
                                  json, json && text ? text->len : 0, left_ms[i], &list->item[list->n], err);
        list->n += status == NM_OK;
    }
    return status;
}

static enum nm_status read_all(struct list *list, struct nm_error *err)
{
    enum nm_status status = read_names(list, err);
    for (size_t from = 0; status == NM_OK && from < list->n_names && !nm_tool_stopped(); from += CHUNK)
        status = read_chunk(list, from, from + CHUNK < list->n_names ? from + CHUNK : list->n_names, err);
    if (status == NM_OK && list->n)
        qsort(list->item, list->n, sizeof *list->item, nm_instance_compare);
    return status;
}

static void clear_list(struct list *list)
{
    for (size_t i = 0; i < list->n; i++)
        nm_instance_clear(&list->item[i]);
    for (size_t i = 0; i < list->n_names; i++)
        nm_buf_clear(&list->name[i]);
    free(list->item);
    free(list->name);
    nm_pipe_clear(&list->pipe);
    nm_redis_close(list->redis);
}

/* ---- output ---- */

static const struct nm_column columns[] = {
    {"worker", false, 9, 16}, {"version", false, 7, 12},     {"host/pid", false, 12, 40},
    {"state", false, 9, 12},  {"assignment", false, 12, 60}, {"lag", true, 5, 12},
    {"up", true, 3, 6},       {"admin", false, 15, 47},      {0},
};

/* "45s" "12m" "7h" "3d": the greatest unit of which there is at least one. */
static void add_age(int64_t ms, struct nm_buf *out)
{
    int64_t s = ms > 0 ? ms / 1000 : 0;
    if (s < 60)
        nm_buf_addf(out, "%" PRId64 "s", s);
    else if (s < 3600)
        nm_buf_addf(out, "%" PRId64 "m", s / 60);
    else if (s < 86400)
        nm_buf_addf(out, "%" PRId64 "h", s / 3600);
    else
        nm_buf_addf(out, "%" PRId64 "d", s / 86400);
}

/* The cell in `cell`, which is empty again then. */
static void put(struct nm_table *table, struct nm_buf *cell)
{
    table->oom = table->oom || !nm_buf_ok(cell);
    nm_table_cell(table, nm_buf_str(cell), cell->len);
    nm_buf_reset(cell);
}

static void add_row(struct nm_table *table, const struct nm_instance *item, int64_t now_ms, struct nm_buf *cell)
{
    bool known = item->root != NULL;
    nm_table_cells(table, item->worker);
    nm_table_cells(table, item->version);
    if (known)
        nm_buf_addf(cell, "%s/%" PRId64, item->host, item->pid);
    else
        nm_buf_addf(cell, "instance %s", item->id);
    put(table, cell);
    nm_instance_state_text(item, cell);
    put(table, cell);
    if (known)
        nm_instance_assignment(item, cell);
    put(table, cell);
    if (known)
        nm_buf_addf(cell, "%" PRId64, item->lag);
    put(table, cell);
    if (known)
        add_age(now_ms - item->started_ms, cell);
    put(table, cell);
    nm_table_cells(table, known && !*item->admin ? "off" : item->admin);
}

static enum nm_status print_list(const struct list *list, bool json, struct nm_error *err)
{
    struct nm_table table;
    struct nm_buf out = {0}, cell = {0};
    enum nm_status status = NM_OK;
    nm_table_init(&table, columns);
    for (size_t i = 0; i < list->n; i++) {
        if (json)
            nm_instance_json(&list->item[i], &out);
        else
            add_row(&table, &list->item[i], nm_wall_clock.now_ms(nm_wall_clock.self), &cell);
    }
    if (!json)
        status = nm_table_print(&table, nm_tool_columns(), &out, err);
    if (status == NM_OK)
        status =
            nm_buf_ok(&out) ? nm_tool_write(nm_buf_str(&out), out.len, err) : nm_fail(err, NM_FATAL, "out of memory");
    nm_table_clear(&table);
    nm_buf_clear(&out);
    nm_buf_clear(&cell);
    return status;
}

static enum nm_status ps_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct list list = {.settings = &tool->settings};
    enum nm_status status = nm_tool_configure(tool, args, err);
    if (status == NM_OK) {
        status = nm_redis_open(&tool->settings, &list.redis, NULL, err);
        status = status == NM_RETRY ? NM_FATAL : status;
    }
    if (status == NM_OK)
        status = read_all(&list, err);
    if (status == NM_OK)
        status = print_list(&list, nm_flag_given(args, "--json"), err);
    if (status == NM_OK && list.n == 0)
        (void)fprintf(stderr, "newsmill: no worker of namespace %s has announced itself\n", tool->settings.ns);
    if (status == NM_OK && list.n_known > list.n_names)
        (void)fprintf(stderr, "newsmill: only the %zu that announced themselves last, of %zu\n", list.n_names,
                      list.n_known);
    clear_list(&list);
    return status;
}

static const struct nm_flag flags[] = {
    {"--json", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "one JSON object a line"},
    {0},
};

const struct nm_command nm_ps_command = {
    .name = "ps",
    .summary = "lists the running workers",
    .needs_config = true,
    .flags = flags,
    .details =
        "Lists the workers of the namespace, which announce themselves in Redis every 5 s: host and process id,\n"
        "partitions, lag in messages, and where their pages /livez /readyz /metrics /status are.\n"
        "State: ready; not ready (/readyz says why); silent (no announcement for 10 s); gone (ended within the last\n"
        "hour without saying so: killed, crashed or cut off from Redis); broken (not an announcement).",
    .example = "  newsmill ps -c newsmill.yaml\n"
               "  newsmill ps -c newsmill.yaml --json",
    .run = ps_command,
};
