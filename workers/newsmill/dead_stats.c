/* dead_stats.c - dead letters counted by kind, see dead_stats.h. Groups are looked up one by one: there are few. */
#include "dead_stats.h"

#include "message.h"
#include "plain.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct nm_dead_group *group_of(struct nm_dead_stats *stats, const char *code, const char *worker,
                                      const char *stream)
{
    for (size_t i = 0; i < stats->n_groups; i++) {
        struct nm_dead_group *group = &stats->group[i];
        if (strcmp(group->code, code) == 0 && strcmp(group->worker, worker) == 0 && strcmp(group->stream, stream) == 0)
            return group;
    }
    if (stats->n_groups == NM_DEAD_GROUPS + 1)
        return &stats->group[NM_DEAD_GROUPS];
    bool other = stats->n_groups == NM_DEAD_GROUPS;
    struct nm_dead_group *group = &stats->group[stats->n_groups++];
    *group = (struct nm_dead_group){.first_ms = -1, .last_ms = -1};
    (void)snprintf(group->code, sizeof group->code, "%s", other ? "(other)" : code);
    (void)snprintf(group->worker, sizeof group->worker, "%s", other ? "" : worker);
    (void)snprintf(group->stream, sizeof group->stream, "%s", other ? "" : stream);
    return group;
}

void nm_dead_stats_add(struct nm_dead_stats *stats, const char *code, const char *worker, const char *stream,
                       int64_t time_ms)
{
    char short_code[64], short_worker[64], short_stream[250]; /* as they are kept, so that they are found again */
    (void)snprintf(short_code, sizeof short_code, "%s", code);
    (void)snprintf(short_worker, sizeof short_worker, "%s", worker);
    (void)snprintf(short_stream, sizeof short_stream, "%s", stream);
    struct nm_dead_group *group = group_of(stats, short_code, short_worker, short_stream);

    stats->n++;
    group->n++;
    if (time_ms < 0)
        return;
    if (group->first_ms < 0 || time_ms < group->first_ms)
        group->first_ms = time_ms;
    if (time_ms > group->last_ms)
        group->last_ms = time_ms;
}

static int compare(const void *a, const void *b)
{
    const struct nm_dead_group *left = a, *right = b;

    if (left->n != right->n)
        return left->n > right->n ? -1 : 1;
    int order = strcmp(left->code, right->code);
    if (order == 0)
        order = strcmp(left->worker, right->worker);
    return order ? order : strcmp(left->stream, right->stream);
}

void nm_dead_stats_sort(struct nm_dead_stats *stats)
{
    qsort(stats->group, stats->n_groups, sizeof *stats->group, compare);
}

static double share_of(const struct nm_dead_stats *stats, const struct nm_dead_group *group)
{
    return stats->n ? (double)group->n / (double)stats->n : 0;
}

static void text_member(struct nm_buf *out, const char *name, const char *text)
{
    nm_buf_addf(out, "\"%s\":", name);
    nm_json_string(text, strlen(text), out);
    nm_buf_addc(out, ',');
}

static void json_line(const struct nm_dead_stats *stats, const struct nm_dead_group *group, struct nm_buf *out)
{
    char first[21], last[21];

    nm_time_text(group->first_ms, first);
    nm_time_text(group->last_ms, last);
    nm_buf_addc(out, '{');
    text_member(out, "code", group->code);
    text_member(out, "worker", group->worker);
    text_member(out, "stream", group->stream);
    if (*first) {
        text_member(out, "first", first);
        text_member(out, "last", last);
    }
    nm_buf_addf(out, "\"count\":%llu,\"share\":%.4f}\n", group->n, share_of(stats, group));
}

static const struct nm_column columns[] = {
    {"count", true, 5, 12},   {"share", true, 7, 7},    {"code", false, 8, 32},  {"worker", false, 6, 16},
    {"stream", false, 8, 60}, {"first", false, 20, 20}, {"last", false, 20, 20}, {0},
};

static void table_row(const struct nm_dead_stats *stats, const struct nm_dead_group *group, struct nm_table *table)
{
    char share[16], first[21], last[21];

    (void)snprintf(share, sizeof share, "%.1f %%", share_of(stats, group) * 100);
    nm_time_text(group->first_ms, first);
    nm_time_text(group->last_ms, last);
    nm_table_number(table, (long long)group->n);
    nm_table_cells(table, share);
    nm_table_cells(table, group->code);
    nm_table_cells(table, group->worker);
    nm_table_cells(table, group->stream);
    nm_table_cells(table, first);
    nm_table_cells(table, last);
}

enum nm_status nm_dead_stats_print(const struct nm_dead_stats *stats, bool json, unsigned width, struct nm_buf *out,
                                   struct nm_error *err)
{
    struct nm_table table;
    enum nm_status status = NM_OK;

    nm_table_init(&table, columns);
    for (size_t i = 0; i < stats->n_groups; i++) {
        if (json)
            json_line(stats, &stats->group[i], out);
        else
            table_row(stats, &stats->group[i], &table);
    }
    if (!json)
        status = nm_table_print(&table, width, out, err);
    nm_table_clear(&table);
    if (status == NM_OK && !nm_buf_ok(out))
        status = nm_fail(err, NM_FATAL, "out of memory");
    return status;
}
