/* state.h - what `related` and `publish` keep of articles and stories in Redis, read for people.
 *
 * Whoever can write to Redis can write anything there: strings are read up to what a worker would store and a byte
 * more, and what does not look as the workers write it is left out and named in `problems`. The layout is described in
 * workers/related/state.lua and workers/publish/publish_state.c. Nothing is ever written. One thread. */
#ifndef NEWSMILL_STATE_H
#define NEWSMILL_STATE_H

#include "linkage.h"
#include "newsmill/digest.h"
#include "newsmill/redis.h"
#include "newsmill/settings.h"
#include "newsmill/url.h"

#include <jansson.h>

enum { NM_RAW_ID = 16, NM_PROBLEMS = 20 };
#define NM_LAST_SECOND 253402300799 /* the end of the year 9999 */

/* The number of a reply, INT64_MIN where it is none or outside of the range: so that nothing overflows after this. */
int64_t nm_state_number(const struct nm_reply *reply, int64_t min, int64_t max);
/* Ranges of what related writes: qualities, and how many members a story has. */
#define NM_QUALITY_MOST 1000000
#define NM_MEMBERS_MOST 1000000000

struct nm_state {
    struct nm_redis *redis;
    const struct nm_settings *settings;
    struct nm_pipe pipe;
    json_t *problems; /* sentences, at most NM_PROBLEMS */
};

/* NM_FATAL: Redis is not reachable; waiting for it is up to the operator. Release with nm_state_close(), also then. */
NM_MUST_USE enum nm_status nm_state_open(const struct nm_settings *settings, struct nm_state *out,
                                         struct nm_error *err);
void nm_state_close(struct nm_state *state);
void nm_state_problem(struct nm_state *state, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

enum nm_part { NM_PART_ARTICLE, NM_PART_IMAGES, NM_PART_RELATED, NM_PART_HEAT, NM_N_PARTS };

/* An article as Redis has it. */
struct nm_known {
    char id[NM_ID_BYTES];
    /* of publish */
    json_t *article; /* what a record shows of it; NULL: publish does not know it, or it is retracted */
    json_t *story;   /* {id, lead, size} as its facet said it last; NULL: none */
    int64_t part_revision[NM_N_PARTS]; /* -1: there is none */
    bool part_empty[NM_N_PARTS];       /* retracted */
    int64_t revision;                  /* of the record; -1: none */
    int64_t heat;
    bool has_heat, holds; /* holds: waits for publish.expect */
    /* of related */
    bool linked, gone; /* placed; retracted */
    unsigned char story_name[NM_RAW_ID];
    int64_t at_s, quality, related_revision;
    double norm;
    struct nm_vector vector; /* empty where there is none */
};
void nm_known_clear(struct nm_known *known);

/* One round trip for n ids (known[i].id is set, the rest is zero). NM_FATAL, NM_CONFIG: of Redis. */
NM_MUST_USE enum nm_status nm_state_articles(struct nm_state *state, struct nm_known *known, size_t n,
                                             struct nm_error *err);

struct nm_story {
    bool there;
    unsigned char name[NM_RAW_ID], lead[NM_RAW_ID];
    int64_t n, last_s;
    bool has_lead, moving; /* moving: members of a merged story are still on their way */
    struct nm_vector centroid;
};
/* The story that a name stands for today. Not there: expired, or ended. */
NM_MUST_USE enum nm_status nm_state_story(struct nm_state *state, const unsigned char name[NM_RAW_ID],
                                          struct nm_story *out, struct nm_error *err);
/* *place: of a member among all, from 0; -1: it is not in the list. second: the member behind the lead; "": none. */
NM_MUST_USE enum nm_status nm_state_order(struct nm_state *state, const struct nm_story *story, const char *id,
                                          int64_t *place, char second[NM_ID_BYTES], struct nm_error *err);

struct nm_stored_link {
    char id[NM_ID_BYTES];
    double score;
};
/* out: NM_LINKS. */
NM_MUST_USE enum nm_status nm_state_links(struct nm_state *state, const char *id, struct nm_stored_link *out, size_t *n,
                                          struct nm_error *err);

struct nm_neighbour {
    unsigned char id[NM_RAW_ID];
    double shared; /* sum of the weights of the shared terms */
};
/* Everybody under the postings of the first linking->query_terms terms, the greatest shared weight first, without `id`.
 * *out: release with free(). */
NM_MUST_USE enum nm_status nm_state_neighbours(struct nm_state *state, const struct nm_known *known,
                                               const struct nm_linking *linking, struct nm_neighbour **out, size_t *n,
                                               struct nm_error *err);

#endif
