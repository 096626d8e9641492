/* related_text_internal.h - the steps of the analysis, for related_text.c and the files that hold them.
 *
 * bytes -> rl_chars (normal form, one class a character) -> rl_word (a range of characters) -> lower case, no stop
 * words -> stem. */
#ifndef NEWSMILL_RELATED_TEXT_INTERNAL_H
#define NEWSMILL_RELATED_TEXT_INTERNAL_H

#include "related_text.h"

/* ---- related_chars.c: characters in normal form ---- */

enum {
    RL_WORD = 1,       /* a letter or number that words are made of                  */
    RL_DENSE = 2,      /* a letter or number of a script without spaces              */
    RL_MARK = 4,       /* goes with the character before it                          */
    RL_INNER = 8,      /* . ' & are part of a word where a word character follows    */
    RL_UPPER = 16,     /* upper case; letters of two cases in one (title case) are not */
    RL_DIGIT = 32,     /* a digit of any script, also of those that do not count by tens */
    RL_TABLED = 0x600, /* classes of characters below come from a table */
};

struct rl_chars {
    int32_t *code;
    uint8_t *class; /* RL_WORD and so on, of code[i] */
    size_t n;
    unsigned seen;  /* all classes that occur        */
    int32_t *spare; /* of `cap` characters, like the other two */
    size_t cap;
    uint8_t tabled[RL_TABLED];
};

void rl_chars_init(struct rl_chars *chars);
void rl_chars_clear(struct rl_chars *chars);

/* Reads UTF-8 up to `len` or the first bad byte: NFKC, every apostrophe ', no backslash. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status rl_chars_read(struct rl_chars *chars, const char *text, size_t len, struct nm_error *err);

unsigned rl_class(const struct rl_chars *chars, int32_t code);

/* The simple mapping, one to one. */
int32_t rl_lower(int32_t code);

bool rl_is_white(int32_t code);
bool rl_is_decimal(int32_t code);

/* ---- related_wire.c ---- */

/* Where the text begins behind an English wire prefix: "UPDATE 2-", "[site] Video:", ...; 0: there is none. */
size_t rl_wire_end(const struct rl_chars *chars);

/* ---- related_words.c ---- */

struct rl_word {
    size_t start, end; /* in chars, start < end                            */
    bool dense;        /* one or two characters of a script without spaces */
};

struct rl_scan {
    const struct rl_chars *chars;
    size_t at;
    bool paired; /* the character at `at` is the second of the pair before */
};

bool rl_next_word(struct rl_scan *scan, struct rl_word *out); /* false: there is no other */

/* ---- related_stem.c ---- */

enum { RL_LANGUAGES = 19 };

struct sb_stemmer;
struct rl_stemmers {
    struct sb_stemmer *of[RL_LANGUAGES]; /* made when first asked for */
};

/* Of a locale; -1: one that has no stemmer. */
int rl_language(const char *locale);
bool rl_is_english(int language);

void rl_stemmers_clear(struct rl_stemmers *stemmers);

/* Replaces the `len` bytes at `word` by their stem, which may be empty; word has room for RL_TERM_BYTES.
 * NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status rl_stem(struct rl_stemmers *stemmers, int language, char *word, size_t *len,
                                   struct nm_error *err);

/* ---- related_stop_words.c ---- */

enum { RL_STOP_CHARS = 10 }; /* the longest */

extern const char rl_stop_words[][RL_STOP_CHARS + 1]; /* in order; "" ends them */

/* Whether an English word, in lower case, NUL-terminated, is too common to tell one article from another. */
bool rl_is_stop_word(const char *word);

#endif
