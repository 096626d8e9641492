/* terms_internal.h - the steps of the analysis, for terms.c and the files that hold them.
 *
 * bytes -> nm_terms_chars (normal form, one class a character) -> nm_terms_word (a range of characters) -> lower case,
 * no stop words -> stem. */
#ifndef NEWSMILL_TERMS_INTERNAL_H
#define NEWSMILL_TERMS_INTERNAL_H

#include "newsmill/terms.h"

/* ---- terms_chars.c: characters in normal form ---- */

enum {
    NM_TERMS_WORD = 1,       /* a letter or number that words are made of                  */
    NM_TERMS_DENSE = 2,      /* a letter or number of a script without spaces              */
    NM_TERMS_MARK = 4,       /* goes with the character before it                          */
    NM_TERMS_INNER = 8,      /* . ' & are part of a word where a word character follows    */
    NM_TERMS_UPPER = 16,     /* upper case; letters of two cases in one (title case) are not */
    NM_TERMS_DIGIT = 32,     /* a digit of any script, also of those that do not count by tens */
    NM_TERMS_TABLED = 0x600, /* classes of characters below come from a table */
};

struct nm_terms_chars {
    int32_t *code;
    uint8_t *class; /* NM_TERMS_WORD and so on, of code[i] */
    size_t n;
    unsigned seen;  /* all classes that occur        */
    int32_t *spare; /* of `cap` characters, like the other two */
    size_t cap;
    uint8_t tabled[NM_TERMS_TABLED];
};

void nm_terms_chars_init(struct nm_terms_chars *chars);
void nm_terms_chars_clear(struct nm_terms_chars *chars);

/* Reads UTF-8 up to `len` or the first bad byte: NFKC, every apostrophe ', no backslash. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_terms_chars_read(struct nm_terms_chars *chars, const char *text, size_t len,
                                               struct nm_error *err);

unsigned nm_terms_class(const struct nm_terms_chars *chars, int32_t code);

/* The simple mapping, one to one. */
int32_t nm_terms_lower(int32_t code);

bool nm_terms_is_white(int32_t code);
bool nm_terms_is_decimal(int32_t code);

/* ---- terms_wire.c ---- */

/* Where the text begins behind an English wire prefix: "UPDATE 2-", "[site] Video:", ...; 0: there is none. */
size_t nm_terms_wire_end(const struct nm_terms_chars *chars);

/* ---- terms_words.c ---- */

struct nm_terms_word {
    size_t start, end; /* in chars, start < end                            */
    bool dense;        /* one or two characters of a script without spaces */
};

struct nm_terms_scan {
    const struct nm_terms_chars *chars;
    size_t at;
    bool paired; /* the character at `at` is the second of the pair before */
};

bool nm_terms_next_word(struct nm_terms_scan *scan, struct nm_terms_word *out); /* false: there is no other */

/* ---- terms_stem.c ---- */

enum { NM_TERMS_LANGUAGES = 19 };

struct sb_stemmer;
struct nm_terms_stemmers {
    struct sb_stemmer *of[NM_TERMS_LANGUAGES]; /* made when first asked for */
};

/* Of a locale; -1: one that has no stemmer. */
int nm_terms_language(const char *locale);
bool nm_terms_is_english(int language);

void nm_terms_stemmers_clear(struct nm_terms_stemmers *stemmers);

/* Replaces the `len` bytes at `word` by their stem, which may be empty; word has room for NM_TERM_BYTES.
 * NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_terms_stem(struct nm_terms_stemmers *stemmers, int language, char *word, size_t *len,
                                         struct nm_error *err);

/* ---- terms_stop_words.c ---- */

enum { NM_TERMS_STOP_CHARS = 10 }; /* the longest */

extern const char nm_terms_stop_words[][NM_TERMS_STOP_CHARS + 1]; /* in order; "" ends them */

/* Whether an English word, in lower case, NUL-terminated, is too common to tell one article from another. */
bool nm_terms_is_stop_word(const char *word);

#endif
