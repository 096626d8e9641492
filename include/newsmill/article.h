/* article.h - reading the articles of `articles.normalized` (schema article/1).
 *
 * Written by normalize only; read by every later worker. Strings are borrowed from the document, which lives in the
 * arena given to nm_article_read(). Thread-safe as far as the arena is not shared. */
#ifndef NEWSMILL_ARTICLE_H
#define NEWSMILL_ARTICLE_H

#include "newsmill/buf.h"
#include "newsmill/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

struct nm_article {
    yyjson_doc *doc;
    yyjson_val *root;
    const char *id;      /* 32 lower-case hex digits */
    int64_t revision;    /* µs */
    int64_t source_time; /* ms */
    bool retracted;      /* then nothing else is there */
};

/* An allocator for yyjson that takes from an arena; freeing does nothing. `arena` is borrowed. */
yyjson_alc nm_arena_alc(struct nm_arena *arena);

/* NM_BAD_INPUT not_json, not_object or wrong_type: not an article/1. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_article_read(const char *value, size_t len, struct nm_arena *arena,
                                           struct nm_article *out, struct nm_error *err);

#endif
