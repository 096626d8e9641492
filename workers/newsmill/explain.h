/* explain.h - everything that is known of one article, and why it is as it is.
 *
 *   explain_streams.c  what lies on the streams of it           explain_words.c  the words of its terms
 *   explain_links.c    who it is linked with, who nearly was     (state.h: what lies in Redis)
 *   explain_doc.c      all of that as one JSON document, whose names are a promise to scripts
 *   explain_text.c     the document as text for people
 *
 * The text is made from the document, so the two never say different things. Not thread-safe. */
#ifndef NEWSMILL_EXPLAIN_H
#define NEWSMILL_EXPLAIN_H

#include "linkage.h"
#include "newsmill/buf.h"
#include "newsmill/config.h"
#include "state.h"

#include <jansson.h>

enum { NM_FACET_IMAGES, NM_FACET_RELATED, NM_FACET_HEAT, NM_N_FACETS, NM_NEAR = 5, NM_SCHEMA_BYTES = 24 };
extern const char *const nm_facet_names[NM_N_FACETS];

struct nm_word {
    unsigned char key[NM_TERM_KEY_BYTES];
    char text[NM_TERM_BYTES];
};
struct nm_words {
    size_t n;
    struct nm_word word[2 * NM_TERMS_MAX];
};

/* A message of a stream, the newest of its kind. */
struct nm_found {
    json_t *root; /* NULL: none was found */
    int64_t revision;
    char schema[NM_SCHEMA_BYTES];
};

struct nm_tie { /* another article of the explained one's links */
    double score;
    bool same_story;
    struct nm_known known;
};
struct nm_near {
    double shared, similarity;
    int64_t apart_s; /* between the event times of the two */
    struct nm_known known;
    struct nm_story story;
    struct nm_fit fit;
};

struct nm_explain {
    char id[NM_ID_BYTES];
    const char *asked; /* as it was given; borrowed */
    bool has_id;       /* false: no id and no good URL, only looked for among the dead letters */
    double min_quality, half_life_ms;
    struct nm_linking linking;
    /* of the streams */
    struct nm_found article, facet[NM_N_FACETS];
    json_t *letters; /* newest last */
    /* of Redis; zero where it is not known */
    struct nm_known self, lead, second;
    struct nm_story story;
    int64_t place; /* in the story, from 0; -1: not in its list */
    struct nm_tie *tie;
    size_t n_ties, n_near;
    struct nm_near near[NM_NEAR];
    struct nm_words words;
    json_t *notes; /* borrowed from the state: what could not be read, what was left out */
};
void nm_explain_clear(struct nm_explain *explain);

/* Reads the newest article and facets of the id, and the dead letters. Says on stderr how far it is when it takes long.
 * Statuses of nm_consume_next(). */
NM_MUST_USE enum nm_status nm_explain_streams(const struct nm_settings *settings, struct nm_explain *explain,
                                              struct nm_error *err);

/* Reads links and neighbours; needs `self` and `story`. */
NM_MUST_USE enum nm_status nm_explain_links(struct nm_state *state, struct nm_explain *explain, struct nm_error *err);

/* What a record or an article message says of it: the message's where there is one; NULL: nothing is known. */
const json_t *nm_explain_article(const struct nm_explain *explain);

/* The words of the terms of a title and an excerpt. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_words_read(const json_t *article, struct nm_words *out, struct nm_error *err);
/* NULL: not one of them. */
const char *nm_words_find(const struct nm_words *words, const unsigned char key[NM_TERM_KEY_BYTES]);

/* A new document; NULL: out of memory. */
json_t *nm_explain_json(const struct nm_explain *explain);

/* The document as text. */
void nm_explain_text(const json_t *document, struct nm_buf *out);

#endif
