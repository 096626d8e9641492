/* dead_stats.h - dead letters counted by code, worker and stream.
 *
 * Bounded: there are few kinds in practice; above NM_DEAD_GROUPS the rest is counted together under the code "(other)".
 * Not thread-safe. */
#ifndef NEWSMILL_DEAD_STATS_H
#define NEWSMILL_DEAD_STATS_H

#include "newsmill/buf.h"
#include "newsmill/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NM_DEAD_GROUPS 500

struct nm_dead_group {
    char code[64], worker[64], stream[250];
    unsigned long long n;
    int64_t first_ms, last_ms; /* of the dead letters; -1: they have no time */
};

struct nm_dead_stats {
    struct nm_dead_group group[NM_DEAD_GROUPS + 1];
    size_t n_groups;
    unsigned long long n;
};

void nm_dead_stats_add(struct nm_dead_stats *stats, const char *code, const char *worker, const char *stream,
                       int64_t time_ms);

/* Most frequent first; then by name. */
void nm_dead_stats_sort(struct nm_dead_stats *stats);

/* A table, or one JSON object a line. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_dead_stats_print(const struct nm_dead_stats *stats, bool json, unsigned width,
                                               struct nm_buf *out, struct nm_error *err);

#endif
