/* terms.h - from the text of an article to the terms by which it is linked.
 *
 * A term is a stemmed word, a number, or a pair of neighbouring characters of a script without spaces. Stop words and,
 * in English, wire prefixes ("UPDATE 2-") are gone. What follows from terms (rarity, weights) is not decided here.
 *
 * The input is clean UTF-8; at most NM_TERMS_TITLE_BYTES and NM_TERMS_EXCERPT_BYTES of it are read, and of what is not
 * UTF-8 the part before the first bad byte. Time and memory are linear in what is read. No function here has state
 * outside of its nm_terms: one for each thread. */
#ifndef NEWSMILL_TERMS_H
#define NEWSMILL_TERMS_H

#include "newsmill/buf.h"
#include "newsmill/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NM_TERMS_TITLE_BYTES = 4096,
    NM_TERMS_EXCERPT_BYTES = 16384,
    NM_TERM_CHARS = 32,      /* characters of a term before it is stemmed  */
    NM_TERM_BYTES = 128 + 1, /* room for any term and a NUL                */
    NM_TERM_KEY_BYTES = 8,   /* what stands for a term where it is stored  */
    NM_TERMS_MAX = 64,       /* the most terms of a title, of an excerpt   */
};

/* How a term was written in the text it was taken from. Unknown: the case of that text says nothing, since all of it is
 * lower case, capitals or a heading with most words capitalised. */
enum nm_term_case {
    NM_TERM_CASE_UNKNOWN,
    NM_TERM_CASE_LOWER,
    NM_TERM_CASE_CAPITAL, /* somewhere in it, as names are */
};

struct nm_term {
    const char *text;           /* NUL-terminated UTF-8, lower case    */
    uint8_t len;                /* bytes, 1 to NM_TERM_BYTES - 1       */
    bool excerpt;               /* not one of the title's terms        */
    bool weak;                  /* a number of one or two digits, or a year 19xx or 20xx */
    enum nm_term_case sighting; /* in the title, or, of the excerpt's terms, in the excerpt */
};

struct nm_terms_source {
    const char *title; /* not NUL-terminated */
    size_t title_len;
    const char *excerpt; /* NULL: there is none */
    size_t excerpt_len;
    const char *locale; /* "en-GB", "pt_br"; NULL: English */
};

struct nm_terms; /* stemmers and buffers that are used again: 20 KB at first, 2 MB at most */

/* n_title, n_excerpt: how many terms of each are kept, at most NM_TERMS_MAX. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_terms_new(size_t n_title, size_t n_excerpt, struct nm_terms **out, struct nm_error *err);
void nm_terms_free(struct nm_terms *text);
NM_DEFINE_CLEANUP(struct nm_terms, nm_terms_free)

/* The terms of an article, each once, in the order of their first occurrence: the title's, then those of the excerpt
 * that are not among them. They live in `arena`. No term at all is no error. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_terms_analyse(struct nm_terms *text, const struct nm_terms_source *source,
                                            struct nm_arena *arena, struct nm_term **out, size_t *n_out,
                                            struct nm_error *err);

/* The first bytes of SHA-256 of a term. */
void nm_term_key(const struct nm_term *term, unsigned char out[NM_TERM_KEY_BYTES]);

#endif
