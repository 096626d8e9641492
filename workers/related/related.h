/* related.h - which articles belong together; private to this folder. README.md has the algorithm.
 *
 * related_event.c     what comes in: an article, cut down to what linking needs
 * related_weigh.c     weights of terms, candidates among the articles that share them; pure
 * related_facet.c     from a view of the state to the bytes of a facet; pure
 * related_state.c     the Lua scripts, and what each is called with
 * related.c           the descriptor: batches, reports
 * *.lua               the scripts; state.lua says what lies in Redis */
#ifndef RELATED_H
#define RELATED_H

#include "newsmill/digest.h"
#include "newsmill/option.h"
#include "newsmill/redis.h"
#include "newsmill/terms.h"
#include "newsmill/worker.h"

struct rl_options { /* related.* */
    long long query_terms, postings, candidates, links, title_terms, excerpt_terms, stories, max_merges;
    long long link_half_ms, story_half_ms, window_ms, centroid_keep, centroid_max;
    double excerpt_weight, prior_stories, rarity_exponent, name_span, gate, link, boost, join, merge, bridge, alpha,
        floor;
};
extern const struct nm_option related_options[];

enum {
    RL_ID = 16,                 /* bytes of an id in Redis                        */
    RL_HEX = 32,                /* bytes of an id in messages                     */
    RL_KEY = NM_TERM_KEY_BYTES, /* of a term in Redis                    */
    RL_TERMS = 128,             /* most terms of an article, title and excerpt    */
    RL_CANDIDATES = 64,         /* most that one article has                      */
    RL_HASH = 8,                /* bytes of the hash of what linking uses         */
    RL_PREFIX = 96,             /* "<namespace>:{rel}:" and a NUL                 */
    RL_WALK = 32,               /* members that one walk over a story gives       */
    RL_SKEW_S = 86400,          /* a late article finds others that are that much younger */
    RL_EPOCH_S = 28 * 86400,
};

/* ---- related_event.c ---- */

struct rl_article {
    char hex[RL_HEX + 1];
    unsigned char id[RL_ID];
    int64_t revision;
    bool retracted; /* then the rest is empty */
    int64_t at_s;   /* event time: publishedDateTime in seconds */
    int64_t quality;
    unsigned char hash[RL_HASH];  /* of title, excerpt, language and time */
    struct nm_term *term;         /* in the batch's arena */
    unsigned char (*key)[RL_KEY]; /* likewise: the same as in Redis */
    size_t n_terms;
};
/* NM_BAD_INPUT not_json, not_object, wrong_type or date_invalid: no article/1, or its key is not its id. NM_FATAL: out
 * of memory. `doc` is reset. */
NM_MUST_USE enum nm_status rl_read(struct nm_terms *text, const struct nm_item *item, struct nm_arena *doc,
                                   struct nm_arena *arena, struct rl_article *out, struct nm_error *err);

/* A facet that was sent before Redis lost writes. *out: whether it is one of ours; then its id is out_id. NM_BAD_INPUT,
 * NM_FATAL as above. */
NM_MUST_USE enum nm_status rl_read_facet(const struct nm_item *item, struct nm_arena *doc, bool *out,
                                         unsigned char out_id[RL_ID], struct nm_error *err);

/* ---- related_weigh.c ---- */

struct rl_counts { /* of one term: stories with it; of those, first seen in capitals, or not */
    int64_t df, capital, lower;
};
/* README.md, "Weights". `stories`: ever started. weight[i] for term[i]; returns the length of the vector, or 1. */
double rl_weigh(const struct rl_options *options, const struct nm_term *term, const struct rl_counts *counts, size_t n,
                int64_t stories, double *weight);

/* An article that shares terms: the sums of squared and of plain weights of those terms. */
struct rl_candidate {
    const unsigned char *id; /* borrowed from replies */
    double dot, shared;
};
struct rl_question { /* who is similar to an article */
    const struct rl_options *options;
    const unsigned char *id; /* its own, which lies in the lists, too */
    const double *weight;    /* of its first n terms, 64 at most */
    size_t n;
    double norm;
};
#define RL_LEAST 0.15
/* Of those in list[i], the ids of articles with term i: the best ones, by dot, then the smaller id; *out of them, at
 * most options->candidates of those whose similarity can reach RL_LEAST. `arena` is scratch. NM_FATAL: out of memory.
 */
NM_MUST_USE enum nm_status rl_find(const struct rl_question *question, const struct nm_reply *list,
                                   struct nm_arena *arena, struct rl_candidate best[RL_CANDIDATES], size_t *out,
                                   struct nm_error *err);

/* ---- related_facet.c ---- */

struct rl_view {                                   /* one reply of the scripts, borrowed from it */
    const char *id, *story, *lead, *links, *shown; /* raw; links and shown: id and f32 each */
    int64_t size, revision;
    size_t n_links, n_shown;
    bool gone; /* retracted: id and revision only */
};
/* False: no view (an unknown article), or one that the scripts do not write. */
bool rl_view_read(const struct nm_reply *reply, struct rl_view *out);
/* A facet/1 in the arena. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status rl_facet(const struct rl_view *view, struct nm_buf *scratch, struct nm_arena *arena,
                                    const char **text, size_t *len, struct nm_error *err);

/* ---- related_state.c ---- */

struct rl_state { /* the scripts are loaded by the runtime: they are the same for every instance of one option file */
    char prefix[RL_PREFIX];
    size_t prefix_len;
    int64_t article_ttl_s, story_ttl_s, gone_ttl_s;
};
extern struct nm_script rl_place_script, rl_retract_script, rl_view_script, rl_sent_script, rl_walk_script,
    rl_walked_script, rl_again_script;

/* Writes the parameters into the scripts. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status rl_state_open(struct rl_state *state, const struct rl_options *options,
                                         const struct nm_settings *settings, struct nm_error *err);
void rl_state_close(void);
/* Refuses a namespace whose weights have another meaning (NM_CONFIG), or notes the meaning of these. */
NM_MUST_USE enum nm_status rl_state_check(const struct rl_state *state, const struct rl_options *options,
                                          struct nm_redis *redis, struct nm_error *err);

/* An article's postings. */
void rl_post(const struct rl_state *state, const struct rl_options *options, struct nm_pipe *pipe,
             const struct rl_article *article);
/* Trip 1: an article's postings, then what it asks. Returns the index of the first question's reply: the counters of
 * the two epochs, then the postings of each of the first queryTerms terms. */
size_t rl_ask(const struct rl_state *state, const struct rl_options *options, struct nm_pipe *pipe,
              const struct rl_article *article);
/* The counters of all terms, from two replies. */
void rl_counts_read(const struct nm_reply *present, const struct nm_reply *before, size_t n, struct rl_counts *counts,
                    int64_t *stories);
struct rl_placement {
    const struct rl_article *article;
    const double *weight; /* of its terms */
    double norm;
    const struct rl_candidate *found; /* n_found of them */
    size_t n_found;
};
/* Trip 2. */
size_t rl_place(const struct rl_state *state, struct nm_pipe *pipe, int32_t partition,
                const struct rl_placement *placement, struct nm_buf *scratch);
size_t rl_retract(const struct rl_state *state, struct nm_pipe *pipe, int32_t partition,
                  const struct rl_article *article);
/* Starts a script of the sets: KEYS prefix, ARGV partition; n further arguments follow. */
size_t rl_call(const struct rl_state *state, struct nm_pipe *pipe, const struct nm_script *script, int32_t partition,
               size_t n);

extern const struct nm_set rl_out;

#endif
