/* normalize_topics.h - the registry of topics as it lies in memory; for normalize_topics*.c only. */
#ifndef NORMALIZE_TOPICS_H
#define NORMALIZE_TOPICS_H

#include "normalize_internal.h"

#define NZ_NO_TOPIC UINT32_MAX

struct nz_topic {
    struct nz_str id, name;
    uint32_t parent, depth; /* depth: number of ancestors */
};
struct nz_topic_name {
    struct nz_str text;
    uint32_t topic;
};
struct nz_topic_place {
    uint32_t depth, topic;
};
struct nz_topics {
    struct nm_arena arena; /* holds everything below */
    struct nz_topic *item; /* in the order of the file */
    uint32_t n;
    struct nz_topic_name *by_id;   /* sorted */
    struct nz_topic_name *by_name; /* folded, sorted */
    struct nz_topic_place *order;  /* deeper first, then as in the file */
    uint32_t *always;
    size_t n_always;
    struct nz_keywords keywords;
    bool in_title, in_excerpt, in_content;
};

/* NZ_NO_TOPIC: none has this id, or name. */
uint32_t nz_topic_find(const struct nz_topic_name *names, uint32_t n, struct nz_str text);

#endif
