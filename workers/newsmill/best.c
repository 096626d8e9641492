/* best.c - the best stories of many, see best.h: the worst row lies at the root, and gives way to a better one. */
#include "best.h"

#include <stdlib.h>
#include <string.h>

int64_t nm_best_hot(const struct nm_best_row *row)
{
    if (row->has_heat)
        return row->heat;
    return (row->has_quality ? row->quality : 0) + 10 * (row->size - 1);
}

/* Negative: a is better. */
static int compare(const void *left, const void *right)
{
    const struct nm_best_row *a = left, *b = right;
    if (a->rank != b->rank)
        return a->rank > b->rank ? -1 : 1;
    if (a->last_s != b->last_s)
        return a->last_s > b->last_s ? -1 : 1;
    return memcmp(b->id, a->id, sizeof a->id);
}

static void swap(struct nm_best_row *a, struct nm_best_row *b)
{
    struct nm_best_row kept = *a;
    *a = *b;
    *b = kept;
}

static void sink(struct nm_best *best, size_t at)
{
    for (;;) {
        size_t worst = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < best->n; child++)
            if (compare(&best->row[child], &best->row[worst]) > 0)
                worst = child;
        if (worst == at)
            return;
        swap(&best->row[at], &best->row[worst]);
        at = worst;
    }
}

static void rise(struct nm_best *best, size_t at)
{
    for (; at > 0 && compare(&best->row[at], &best->row[(at - 1) / 2]) > 0; at = (at - 1) / 2)
        swap(&best->row[at], &best->row[(at - 1) / 2]);
}

static bool has(const struct nm_best *best, const struct nm_best_row *row)
{
    for (size_t i = 0; i < best->n; i++)
        if (memcmp(best->row[i].id, row->id, sizeof row->id) == 0)
            return true;
    return false;
}

void nm_best_add(struct nm_best *best, const struct nm_best_row *row)
{
    bool full = best->n == best->most;
    if (best->most == 0 || (full && compare(row, &best->row[0]) >= 0) || has(best, row))
        return;
    best->row[full ? 0 : best->n] = *row;
    if (full) {
        sink(best, 0);
    } else {
        best->n++;
        rise(best, best->n - 1);
    }
}

void nm_best_sort(struct nm_best *best)
{
    if (best->n)
        qsort(best->row, best->n, sizeof *best->row, compare);
}
