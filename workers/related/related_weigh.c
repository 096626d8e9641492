/* related_weigh.c - how much a term says, and who shares what it says. See README.md, "Weights" and "Candidates". */
#include "related.h"

#include <assert.h>
#include <math.h>
#include <string.h>

double rl_weigh(const struct rl_options *options, const struct nm_term *term, const struct rl_counts *counts, size_t n,
                int64_t stories, double *weight)
{
    double total = (double)stories + options->prior_stories, most = log(1 + total), sum = 0;
    for (size_t i = 0; i < n; i++) {
        const struct rl_counts *c = &counts[i];
        double df = c->df > 1 ? (double)c->df : 1;
        double rarity = pow(log(1 + total / df) / most, options->rarity_exponent);
        double ratio = ((double)c->capital + 0.5) / ((double)(c->capital + c->lower) + 1);
        weight[i] = rarity * (1 + options->name_span * (ratio - 0.5)) * (term[i].weak ? 0.5 : 1) *
                    (term[i].excerpt ? options->excerpt_weight : 1);
        sum += weight[i] * weight[i];
    }
    return sum > 0 ? sqrt(sum) : 1;
}

/* Ids are digests. */
static size_t place_of(const struct rl_candidates *table, const unsigned char *id)
{
    uint64_t half[2];
    memcpy(half, id, sizeof half);
    return (size_t)(half[0] ^ half[1]) & table->mask;
}

enum nm_status rl_candidates_init(struct rl_candidates *table, size_t most, struct nm_arena *arena,
                                  struct nm_error *err)
{
    size_t size = 16;
    while (size < 2 * most)
        size *= 2;
    struct rl_candidate *slot = nm_arena_alloc(arena, size * sizeof *slot);
    if (!slot)
        return nm_fail(err, NM_FATAL, "out of memory for %zu candidates", most);
    memset(slot, 0, size * sizeof *slot);
    *table = (struct rl_candidates){.slot = slot, .mask = size - 1};
    return NM_OK;
}

void rl_candidates_add(struct rl_candidates *table, const unsigned char *id, double weight)
{
    size_t at = place_of(table, id);
    while (table->slot[at].id && memcmp(table->slot[at].id, id, RL_ID) != 0)
        at = (at + 1) & table->mask;
    struct rl_candidate *slot = &table->slot[at];
    if (!slot->id) {
        slot->id = id;
        table->n++;
    }
    slot->dot += weight * weight;
    slot->shared += weight;
}

/* The norm of the other one is not known yet, but hardly below sqrt(dot): so this bounds the similarity from above. */
static bool may_be_similar(const struct rl_candidate *c, const struct rl_options *options, double norm)
{
    double bound = sqrt(c->dot) / norm;
    if (options->gate > 0 && c->shared < options->gate)
        bound *= c->shared / options->gate;
    return bound >= RL_LEAST;
}

static bool is_better(const struct rl_candidate *a, const struct rl_candidate *b)
{
    if (a->dot > b->dot || a->dot < b->dot)
        return a->dot > b->dot;
    return memcmp(a->id, b->id, RL_ID) < 0;
}

/* Few are kept of many: each goes into its place among the best so far. */
size_t rl_candidates_best(struct rl_candidates *table, const struct rl_options *options, double norm)
{
    struct rl_candidate best[64] = {0};
    size_t most = (size_t)options->candidates, n = 0;
    assert(most > 0 && most <= sizeof best / sizeof *best);
    for (size_t i = 0; i <= table->mask; i++) {
        const struct rl_candidate *c = &table->slot[i];
        if (!c->id || !may_be_similar(c, options, norm) || (n == most && !is_better(c, &best[most - 1])))
            continue;
        size_t at = n < most ? n++ : n - 1;
        for (; at > 0 && is_better(c, &best[at - 1]); at--)
            best[at] = best[at - 1];
        best[at] = *c;
    }
    memcpy(table->slot, best, n * sizeof *best);
    return n;
}
