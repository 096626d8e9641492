/* linkage.h - how articles and stories are alike, computed from what `related` stored of them.
 *
 * The formulas are those of workers/related (README.md there): an article is a vector of weighted terms, a story the
 * sum of its members' vectors. Bytes come from Redis and are read with suspicion. Pure; thread-safe. */
#ifndef NEWSMILL_LINKAGE_H
#define NEWSMILL_LINKAGE_H

#include "newsmill/terms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NM_VECTOR_TERMS = 256,     /* the most of an article or a story             */
    NM_VECTOR_TERM_BYTES = 12, /* as stored: key, then the weight as float      */
    NM_ARTICLE_TERMS = 128,    /* the most of an article                        */
    NM_LINK_BYTES = 20,
    NM_LINKS = 50, /* as stored: raw id, then the score as float */
};

struct nm_weight {
    unsigned char key[NM_TERM_KEY_BYTES];
    double weight;
};
struct nm_vector {
    size_t n;
    struct nm_weight term[NM_VECTOR_TERMS];
};

/* related.* as far as they are shown or computed with; times in seconds. */
struct nm_linking {
    double link, boost, join, merge, bridge, gate, floor, alpha, link_half_s, story_half_s, window_s;
    double query_terms, postings;
};

/* False: not terms of 12 bytes, more than `most` of them, or a weight that is no finite number, or below 0. */
bool nm_vector_read(const void *bytes, size_t len, size_t most, struct nm_vector *out);
/* A little-endian float; NaN where it is not finite. */
double nm_float_read(const unsigned char *bytes);
/* The weight of a term, 0 where it is none of the vector's. */
double nm_vector_weight(const struct nm_vector *vector, const unsigned char key[NM_TERM_KEY_BYTES]);
/* 1 for an empty one, as related has it. */
double nm_vector_length(const struct nm_vector *vector);
double nm_vector_dot(const struct nm_vector *a, const struct nm_vector *b);

/* A term that two vectors share. */
struct nm_shared {
    unsigned char key[NM_TERM_KEY_BYTES];
    double weight, other;
};
/* Sorted by `weight`, the greatest first; out has room for NM_ARTICLE_TERMS. Returns how many. */
size_t nm_vector_shared(const struct nm_vector *vector, const struct nm_vector *other, struct nm_shared *out);

struct nm_linked {
    const struct nm_vector *vector;
    double norm;
    int64_t at_s;
};
/* What `related` finds when the younger of the two is placed (of equals `a`): with its weights, 0 to 1. */
double nm_similarity(const struct nm_linking *linking, const struct nm_linked *a, const struct nm_linked *b);

struct nm_fit {
    double cosine, score; /* faded by the time since the story's last article */
};
/* How well an article fits a story whose centroid, last event time and best similarity to the article are these. */
struct nm_fit nm_story_fit(const struct nm_linking *linking, const struct nm_linked *article,
                           const struct nm_vector *centroid, int64_t last_s, double best);

#endif
