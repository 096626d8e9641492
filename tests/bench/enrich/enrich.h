/* enrich.h - the parts of the job that know nothing of Kafka and Redis. */
#ifndef ENRICH_H
#define ENRICH_H

#include <stddef.h>

enum { TERMS = 8, NEWEST = 64, BEST = 5, ID = 32, SLOTS = 1024, HASH = 65 };

void enrich_canonical(char *url); /* in its place: host in lower case, no parameter utm_* */
long enrich_line(char *title);    /* in its place: one space for each run of white space; its penalty */
void enrich_hash(const char *text, char out[HASH]); /* SHA-256 in hex */

/* Ids of one article in the order of their first appearance, and how often each came. */
struct enrich_ids {
    struct enrich_seen {
        const char *id; /* borrowed */
        unsigned round, n;
    } slot[SLOTS], *seen[TERMS * NEWEST];
    unsigned round;
    size_t n;
};
void enrich_ids_reset(struct enrich_ids *ids);
void enrich_ids_add(struct enrich_ids *ids, const char *id);
/* The most frequent ones but for `own`, of equals the one that came first. */
size_t enrich_ids_best(const struct enrich_ids *ids, const char *own, const char *best[BEST]);

#endif
