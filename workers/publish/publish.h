/* publish.h - from an article to a record; private to this folder. */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "newsmill/article.h"
#include "newsmill/option.h"
#include "newsmill/redis.h"

struct pb_options { /* publish.* */
    long long min_quality;
};
extern const struct nm_option publish_options[];

/* A record without its head: what follows after `{"id":"...","revision":N,` on the wire. */
struct pb_body {
    const char *text; /* "path":...} */
    size_t len;
    char hash[33]; /* of the text: 16 bytes of SHA-256 as hex; "retracted" for a tombstone, whose text is NULL */
};

/* Composes the body of an article that is a story of its own (no facets yet): the article's members in the order of
 * messages.md, images with isCached, published, heat. Lives in the arena. NM_BAD_INPUT wrong_type: images that are no
 * objects. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status pb_compose(const struct pb_options *options, const struct nm_article *article,
                                      struct nm_arena *arena, struct pb_body *out, struct nm_error *err);

/* The whole record with its revision; NULL for a tombstone. */
NM_MUST_USE enum nm_status pb_record(const char *id, const struct pb_body *body, int64_t revision,
                                     struct nm_arena *arena, const char **out, size_t *out_len, struct nm_error *err);

/* ---- state: record:{id}, a hash: arev, a (article), ah (hash of its body), rev (of the record), sent, srev ---- */

/* KEYS record; ARGV article revision, article, body hash, resend 0/1, keep ms.
 * Replies {"stale"} or {"ok", record revision, hash of the last sent body or ""}. */
extern struct nm_script pb_apply_script;
/* KEYS record; ARGV record revision, body hash, keep ms. Replies 1 when that revision is still the newest, else 0. */
extern struct nm_script pb_sent_script;

#endif
