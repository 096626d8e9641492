/* terms.c - the terms of a title and an excerpt.
 *
 * Every word is stemmed, also those after the last term that is kept: a later occurrence may be the one that shows a
 * name's capital letter, and whether a text is a heading is asked of all its words. The terms that are kept are at most
 * 2 * NM_TERMS_MAX, so the table in which a word is looked up has a fixed size and no input can make its chains long.
 * Nothing is allocated once the buffers have grown, but the result in the caller's arena. */
#include "newsmill/digest.h"
#include "terms_internal.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

enum { TERMS = 2 * NM_TERMS_MAX, SLOTS = 256 };

struct term {
    uint32_t hash;
    uint16_t at; /* in bytes */
    uint8_t len;
    bool excerpt, weak, capital;
};

struct nm_terms {
    struct nm_terms_chars chars;
    struct nm_terms_stemmers stemmers;
    size_t n_title, n_excerpt; /* limits */
    size_t n_terms, n_bytes;
    struct term term[TERMS];
    uint8_t slot[SLOTS];               /* of a hash: 1 + index into term; 0: free */
    char bytes[TERMS * NM_TERM_BYTES]; /* the terms, each with a NUL */
};

/* One text on its way: the title, or the excerpt. */
struct pass {
    int language;
    bool excerpt;
    size_t limit;                  /* n_terms may become so many               */
    size_t n_words, n_capitalised; /* kept words; of those after the first, how many begin in upper case */
};

enum nm_status nm_terms_new(size_t n_title, size_t n_excerpt, struct nm_terms **out, struct nm_error *err)
{
    assert(n_title <= NM_TERMS_MAX && n_excerpt <= NM_TERMS_MAX);
    struct nm_terms *text = malloc(sizeof *text);
    if (!text)
        return nm_fail(err, NM_FATAL, "out of memory for the analysis of texts");
    nm_terms_chars_init(&text->chars);
    text->stemmers = (struct nm_terms_stemmers){0};
    text->n_title = n_title;
    text->n_excerpt = n_excerpt;
    *out = text;
    return NM_OK;
}

void nm_terms_free(struct nm_terms *text)
{
    if (!text)
        return;
    nm_terms_chars_clear(&text->chars);
    nm_terms_stemmers_clear(&text->stemmers);
    free(text);
}

/* ---- a word becomes a term ---- */

static size_t put(char *out, int32_t code)
{
    if (code >= 0x80)
        return (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)out);
    *out = (char)code;
    return 1;
}

static bool ends_in_s(const struct nm_terms_chars *chars, const struct nm_terms_word *word)
{
    return word->end - word->start >= 2 && nm_terms_lower(chars->code[word->end - 1]) == 's' &&
           chars->code[word->end - 2] == '\'';
}

/* Whether the word, as far as `end`, is a stop word. */
static bool is_stop_word(const struct nm_terms_chars *chars, size_t start, size_t end)
{
    char low[NM_TERMS_STOP_CHARS + 1];
    size_t len = end - start;
    if (len > NM_TERMS_STOP_CHARS)
        return false;
    for (size_t i = 0; i < len; i++) {
        int32_t code = nm_terms_lower(chars->code[start + i]);
        if (code >= 0x80)
            return false;
        low[i] = (char)code;
    }
    low[len] = 0;
    return nm_terms_is_stop_word(low);
}

static bool is_number(const struct nm_terms_chars *chars, size_t start, size_t end)
{
    for (size_t i = start; i < end; i++)
        if (!(chars->class[i] & NM_TERMS_DIGIT) && chars->code[i] != '.')
            return false;
    return true;
}

/* At most NM_TERM_CHARS characters in lower case into out; without '.' and ' where asked for. Returns bytes. */
static size_t write_low(const struct nm_terms_chars *chars, size_t start, size_t end, bool points, char *out)
{
    size_t len = 0, n = 0;
    for (size_t i = start; i < end && n < NM_TERM_CHARS; i++) {
        int32_t code = chars->code[i];
        if (!points && (code == '.' || code == '\''))
            continue;
        len += put(out + len, nm_terms_lower(code));
        n++;
    }
    return len;
}

/* The term of a word into out (NM_TERM_BYTES); *len is 0 where it has none. */
static enum nm_status make_term(struct nm_terms *text, int language, const struct nm_terms_word *word, char *out,
                                size_t *len, struct nm_error *err)
{
    const struct nm_terms_chars *chars = &text->chars;
    size_t start = word->start, end = word->end;
    *len = 0;
    if (word->dense) {
        *len = write_low(chars, start, end, true, out);
        return NM_OK;
    }
    bool english = nm_terms_is_english(language);
    if (english && is_stop_word(chars, start, end))
        return NM_OK;
    if (ends_in_s(chars, word)) {
        end -= 2;
        if (english && is_stop_word(chars, start, end))
            return NM_OK;
    }
    if (end - start < 2)
        return NM_OK;
    *len = write_low(chars, start, end, is_number(chars, start, end), out);
    return nm_terms_stem(&text->stemmers, language, out, len, err);
}

/* ---- the terms that are kept ---- */

static uint32_t hash_of(const char *term, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)term[i]) * 16777619u;
    return hash ^ hash >> 16;
}

/* Digits only, and one or two of them, or a year. */
static bool is_weak(const struct nm_terms_chars *chars, const char *term, size_t len)
{
    size_t n = 0, at = 0;
    for (; at < len && n < 5; n++) {
        int32_t code = (unsigned char)term[at];
        at += code < 0x80
                  ? 1
                  : (size_t)utf8proc_iterate((const utf8proc_uint8_t *)term + at, (utf8proc_ssize_t)(len - at), &code);
        if (!(nm_terms_class(chars, code) & NM_TERMS_DIGIT))
            return false;
    }
    return n <= 2 || (n == 4 && (memcmp(term, "19", 2) == 0 || memcmp(term, "20", 2) == 0));
}

/* The term that is kept under this name; NULL: none is, and there is room for no other. */
static struct term *keep(struct nm_terms *text, const struct pass *pass, const char *name, size_t len)
{
    uint32_t hash = hash_of(name, len);
    size_t slot = hash % SLOTS;
    for (; text->slot[slot]; slot = (slot + 1) % SLOTS) {
        struct term *term = &text->term[text->slot[slot] - 1];
        if (term->hash == hash && term->len == len && memcmp(text->bytes + term->at, name, len) == 0)
            return term;
    }
    if (text->n_terms == pass->limit)
        return NULL;
    struct term *term = &text->term[text->n_terms++];
    *term = (struct term){.hash = hash, .at = (uint16_t)text->n_bytes, .len = (uint8_t)len, .excerpt = pass->excerpt};
    term->weak = is_weak(&text->chars, name, len);
    memcpy(text->bytes + text->n_bytes, name, len + 1);
    text->n_bytes += len + 1;
    text->slot[slot] = (uint8_t)text->n_terms;
    return term;
}

/* ---- a text ---- */

static bool has_inner_capital(const struct nm_terms_chars *chars, const struct nm_terms_word *word)
{
    for (size_t i = word->start + 1; i < word->end; i++)
        if (chars->class[i] & NM_TERMS_UPPER)
            return true;
    return false;
}

static enum nm_status take_words(struct nm_terms *text, struct pass *pass, struct nm_error *err)
{
    const struct nm_terms_chars *chars = &text->chars;
    struct nm_terms_scan scan = {.chars = chars,
                                 .at = nm_terms_is_english(pass->language) ? nm_terms_wire_end(chars) : 0};
    struct nm_terms_word word;
    for (bool first = true; nm_terms_next_word(&scan, &word); first = false) {
        char name[NM_TERM_BYTES];
        size_t len;
        enum nm_status s = make_term(text, pass->language, &word, name, &len, err);
        if (s != NM_OK)
            return s;
        if (len == 0)
            continue;
        name[len] = 0;
        bool upper = (chars->class[word.start] & NM_TERMS_UPPER) != 0;
        if (!word.dense && pass->n_words++ > 0 && upper)
            pass->n_capitalised++;
        struct term *term = keep(text, pass, name, len);
        if (term && term->excerpt == pass->excerpt && upper && (!first || has_inner_capital(chars, &word)))
            term->capital = true;
    }
    return NM_OK;
}

/* Whether upper and lower case tell names from other words here. In a heading, more than 60 % of the words after the
 * first are capitalised. */
static bool is_telling(const struct nm_terms_chars *chars, const struct pass *pass)
{
    bool heading = pass->n_words > 3 && pass->n_capitalised * 5 > (pass->n_words - 1) * 3;
    return (chars->seen & NM_TERMS_UPPER) && !heading;
}

/* *telling: of the case of this text. */
static enum nm_status take_text(struct nm_terms *text, struct pass *pass, const char *bytes, size_t len, bool *telling,
                                struct nm_error *err)
{
    enum nm_status s = nm_terms_chars_read(&text->chars, bytes, len, err);
    if (s == NM_OK)
        s = take_words(text, pass, err);
    if (s == NM_OK)
        *telling = is_telling(&text->chars, pass);
    return s;
}

/* ---- the article ---- */

static enum nm_status hand_out(struct nm_terms *text, const bool telling[2], struct nm_arena *arena,
                               struct nm_term **out, struct nm_error *err)
{
    struct nm_term *terms = nm_arena_alloc(arena, text->n_terms * sizeof *terms + text->n_bytes);
    if (!terms)
        return nm_fail(err, NM_FATAL, "out of memory for %zu terms", text->n_terms);
    char *bytes = (char *)(terms + text->n_terms);
    memcpy(bytes, text->bytes, text->n_bytes);
    for (size_t i = 0; i < text->n_terms; i++) {
        const struct term *term = &text->term[i];
        terms[i] =
            (struct nm_term){.text = bytes + term->at, .len = term->len, .excerpt = term->excerpt, .weak = term->weak};
        if (telling[term->excerpt])
            terms[i].sighting = term->capital ? NM_TERM_CASE_CAPITAL : NM_TERM_CASE_LOWER;
    }
    *out = terms;
    return NM_OK;
}

static size_t at_most(size_t len, size_t most)
{
    return len < most ? len : most;
}

enum nm_status nm_terms_analyse(struct nm_terms *text, const struct nm_terms_source *source, struct nm_arena *arena,
                                struct nm_term **out, size_t *n_out, struct nm_error *err)
{
    bool telling[2] = {false, false}; /* title, excerpt */
    struct pass pass = {.language = nm_terms_language(source->locale), .limit = text->n_title};
    text->n_terms = text->n_bytes = 0;
    memset(text->slot, 0, sizeof text->slot);
    enum nm_status s =
        take_text(text, &pass, source->title, at_most(source->title_len, NM_TERMS_TITLE_BYTES), &telling[0], err);
    if (s == NM_OK && source->excerpt && text->n_excerpt > 0) {
        pass = (struct pass){.language = pass.language, .excerpt = true, .limit = text->n_terms + text->n_excerpt};
        s = take_text(text, &pass, source->excerpt, at_most(source->excerpt_len, NM_TERMS_EXCERPT_BYTES), &telling[1],
                      err);
    }
    if (s == NM_OK)
        s = hand_out(text, telling, arena, out, err);
    if (s == NM_OK)
        *n_out = text->n_terms;
    return s;
}

void nm_term_key(const struct nm_term *term, unsigned char out[NM_TERM_KEY_BYTES])
{
    nm_digest_raw(term->text, term->len, out, NM_TERM_KEY_BYTES);
}
