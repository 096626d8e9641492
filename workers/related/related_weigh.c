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

/* ---- candidates ----
 *
 * The lists of common terms give many ids, nearly all of which share nothing else with the article. So the lists of the
 * lightest terms, which together make nobody similar enough, are only searched for those that other lists gave. A
 * candidate has a bit for each list that it is in; its sums are made in the order of the terms, whatever the lists'. */

struct entry {
    const unsigned char *id;
    uint64_t terms;
};
struct table { /* open; a slot: 16 bits of the hash, then the number of the entry, from 1 on; 0: free */
    uint32_t *slot;
    struct entry *entry;
    size_t n, mask;
};

/* False: out of memory. */
static bool table_init(struct table *table, size_t most, struct nm_arena *arena)
{
    size_t size = 16;
    while (size < 2 * most)
        size *= 2;
    *table = (struct table){.slot = nm_arena_alloc(arena, size * sizeof *table->slot),
                            .entry = nm_arena_alloc(arena, most * sizeof *table->entry),
                            .mask = size - 1};
    if (!table->slot || !table->entry)
        return false;
    memset(table->slot, 0, size * sizeof *table->slot);
    return true;
}

/* Ids are digests, but where somebody counts them they must not meet in one place: every byte tells. */
static uint64_t hash_of(const unsigned char *id)
{
    uint64_t half[2];
    memcpy(half, id, sizeof half);
    return (half[0] ^ half[1] ^ half[1] >> 32) * 0x9E3779B97F4A7C15;
}

enum { NUMBER = 0xffff };

/* The slot that has an id, or is free for it. */
static uint32_t *slot_of(const struct table *table, const unsigned char *id, uint64_t hash)
{
    for (size_t at = hash >> 24 & table->mask;; at = (at + 1) & table->mask) {
        uint32_t *slot = &table->slot[at];
        if (*slot == 0 ||
            ((*slot ^ hash >> 32) <= NUMBER && memcmp(table->entry[(*slot & NUMBER) - 1].id, id, RL_ID) == 0))
            return slot;
    }
}

/* `adds`: also who was in no list before. */
static void table_take(struct table *table, const struct nm_reply *list, uint64_t term, bool adds)
{
    size_t n = list->type == NM_REPLY_ARRAY ? list->len : 0;
    for (const struct nm_reply *reply = list->element; n > 0; reply++, n--) {
        const unsigned char *id = (const unsigned char *)reply->str;
        if (reply->len != RL_ID)
            continue;
        uint64_t hash = hash_of(id);
        uint32_t *slot = slot_of(table, id, hash);
        if (*slot) {
            table->entry[(*slot & NUMBER) - 1].terms |= term;
        } else if (adds) {
            table->entry[table->n++] = (struct entry){id, term};
            *slot = ((uint32_t)(hash >> 32) & ~(uint32_t)NUMBER) | (uint32_t)table->n;
        }
    }
}

/* The norm of the other one is not known yet, but hardly below sqrt(dot): so this bounds the similarity from above. */
static double bound_of(const struct rl_question *question, double dot, double shared)
{
    double bound = sqrt(dot) / question->norm, gate = question->options->gate;
    return gate > 0 && shared < gate ? bound * (shared / gate) : bound;
}

/* A bit for each term of the lists that only need to be searched. */
static uint64_t lightest(const struct rl_question *question)
{
    uint64_t light = 0;
    double dot = 0, shared = 0;
    for (;;) {
        size_t next = question->n;
        for (size_t i = 0; i < question->n; i++)
            if (!(light >> i & 1) && (next == question->n || question->weight[i] < question->weight[next]))
                next = i;
        if (next == question->n)
            return light;
        dot += question->weight[next] * question->weight[next];
        shared += question->weight[next];
        if (bound_of(question, dot, shared) > RL_LEAST * 0.999) /* sums in another order end in other last digits */
            return light;
        light |= UINT64_C(1) << next;
    }
}

static bool is_better(const struct rl_candidate *a, const struct rl_candidate *b)
{
    if (a->dot > b->dot || a->dot < b->dot)
        return a->dot > b->dot;
    return memcmp(a->id, b->id, RL_ID) < 0;
}

static struct rl_candidate sum_up(const struct rl_question *question, const struct entry *entry)
{
    struct rl_candidate sum = {.id = entry->id};
    for (uint64_t terms = entry->terms; terms; terms &= terms - 1) {
        double weight = question->weight[__builtin_ctzll(terms)];
        sum.dot += weight * weight;
        sum.shared += weight;
    }
    return sum;
}

/* Few are kept of many: each goes into its place among the best so far. */
static size_t best_of(const struct table *table, const struct rl_question *question, struct rl_candidate *best)
{
    size_t most = (size_t)question->options->candidates, n = 0;
    uint64_t poor = 0; /* terms of which one alone is not enough */
    assert(most > 0 && most <= RL_CANDIDATES);
    for (size_t i = 0; i < question->n; i++)
        if (bound_of(question, question->weight[i] * question->weight[i], question->weight[i]) < RL_LEAST)
            poor |= UINT64_C(1) << i;
    for (size_t i = 0; i < table->n; i++) {
        const struct entry *entry = &table->entry[i];
        if (!(entry->terms & (entry->terms - 1)) && (entry->terms & poor))
            continue;
        struct rl_candidate c = sum_up(question, entry);
        if (bound_of(question, c.dot, c.shared) < RL_LEAST || (n == most && !is_better(&c, &best[most - 1])) ||
            memcmp(c.id, question->id, RL_ID) == 0)
            continue;
        size_t at = n < most ? n++ : n - 1;
        for (; at > 0 && is_better(&c, &best[at - 1]); at--)
            best[at] = best[at - 1];
        best[at] = c;
    }
    return n;
}

enum nm_status rl_find(const struct rl_question *question, const struct nm_reply *list, struct nm_arena *arena,
                       struct rl_candidate best[RL_CANDIDATES], size_t *out, struct nm_error *err)
{
    uint64_t light = lightest(question);
    struct table table;
    size_t most = 1;
    assert(question->n <= 64);
    for (size_t i = 0; i < question->n; i++)
        most += light >> i & 1 ? 0 : list[i].len;
    if (!table_init(&table, most, arena))
        return nm_fail(err, NM_FATAL, "out of memory for %zu candidates", most);
    for (size_t i = 0; i < question->n; i++)
        if (!(light >> i & 1))
            table_take(&table, &list[i], UINT64_C(1) << i, true);
    for (size_t i = 0; i < question->n; i++)
        if (light >> i & 1)
            table_take(&table, &list[i], UINT64_C(1) << i, false);
    *out = best_of(&table, question, best);
    return NM_OK;
}
