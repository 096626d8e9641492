/* announce.c - see announce.h.
 *
 * The set is there because a scan of all keys would read everything that Redis holds: millions of keys of articles, for
 * a handful of workers. Its scores are clocks of several machines, so they only decide what is forgotten after an hour;
 * whether a worker lives is said by the expiry of its string. Pure but for hostname and process id. */
#include "newsmill/announce.h"

#include "newsmill/datetime.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int compare_partitions(const void *a, const void *b)
{
    const struct nm_partition_report *x = a, *y = b;
    int by_stream = strcmp(x->stream, y->stream);
    return by_stream ? by_stream : (x->partition > y->partition) - (x->partition < y->partition);
}

/* [{"stream", "partitions": [...]}] of the sorted rows; NULL: out of memory. */
static json_t *group_rows(const struct nm_partition_report *row, size_t n)
{
    json_t *list = json_array(), *numbers = NULL;
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        if (i == 0 || strcmp(row[i - 1].stream, row[i].stream) != 0) {
            numbers = json_array();
            ok = json_array_append_new(list, json_pack("{s:s, s:o}", "stream", row[i].stream, "partitions", numbers)) ==
                 0;
        }
        ok = ok && json_array_append_new(numbers, json_integer(row[i].partition)) == 0;
    }
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *partitions(const struct nm_report *report)
{
    struct nm_partition_report *row = calloc(report->n_partitions + 1, sizeof *row);
    if (!row)
        return NULL;
    for (size_t i = 0; i < report->n_partitions; i++)
        row[i] = report->partition[i];
    qsort(row, report->n_partitions, sizeof *row, compare_partitions);
    json_t *list = group_rows(row, report->n_partitions);
    free(row);
    return list;
}

enum nm_status nm_announce_json(const struct nm_announcer *who, const struct nm_report *report, struct nm_buf *out,
                                struct nm_error *err)
{
    char host[256] = "", started[NM_TIME_TEXT_BYTES];
    (void)gethostname(host, sizeof host - 1);
    nm_time_format(who->started_ms, started);
    json_t *name = json_string(host);
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:o, s:I, s:s, s:s, s:b, s:o, s:I}", "worker", who->worker, "version", NM_VERSION,
                  "instance", who->instance, "host", name ? name : json_null(), "pid", (json_int_t)getpid(), "admin",
                  who->admin, "startedAt", started, "ready", (int)nm_report_ready(report), "partitions",
                  partitions(report), "lag", (json_int_t)nm_report_lag(report));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text)
        return nm_fail(err, NM_FATAL, "out of memory for the announcement of %s", who->worker);
    nm_buf_adds(out, text);
    free(text);
    return nm_buf_ok(out) ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for the announcement of %s", who->worker);
}

void nm_announce_key(const struct nm_settings *settings, const char *instance_of_worker, char *out, size_t size)
{
    (void)snprintf(out, size, "%s:ps%s%s", settings->ns, instance_of_worker ? ":" : "",
                   instance_of_worker ? instance_of_worker : "");
}

struct names {
    char member[200], key[300], set[100];
};

static void name_all(const struct nm_settings *settings, const char *worker, const char *instance, struct names *out)
{
    (void)snprintf(out->member, sizeof out->member, "%s:%s", worker, instance);
    nm_announce_key(settings, out->member, out->key, sizeof out->key);
    nm_announce_key(settings, NULL, out->set, sizeof out->set);
}

static void command(struct nm_pipe *pipe, size_t n, const char *const *word)
{
    (void)nm_pipe_command(pipe, n);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(pipe, word[i]);
}

#define COMMAND(pipe, ...)                                                                                             \
    command(pipe, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

void nm_announce_append(struct nm_pipe *pipe, const struct nm_settings *settings, const char *worker,
                        const char *instance, const char *json, int64_t now_ms)
{
    struct names names;
    char expiry[24], now[24], old[24];
    name_all(settings, worker, instance, &names);
    (void)snprintf(expiry, sizeof expiry, "%d", NM_ANNOUNCE_MS);
    (void)snprintf(now, sizeof now, "%lld", (long long)now_ms);
    (void)snprintf(old, sizeof old, "%lld", (long long)now_ms - NM_ANNOUNCE_FORGET_MS);
    COMMAND(pipe, "SET", names.key, json, "PX", expiry);
    COMMAND(pipe, "ZADD", names.set, now, names.member);
    COMMAND(pipe, "ZREMRANGEBYSCORE", names.set, "-inf", old);
}

void nm_announce_remove_append(struct nm_pipe *pipe, const struct nm_settings *settings, const char *worker,
                               const char *instance)
{
    struct names names;
    name_all(settings, worker, instance, &names);
    COMMAND(pipe, "DEL", names.key);
    COMMAND(pipe, "ZREM", names.set, names.member);
}
