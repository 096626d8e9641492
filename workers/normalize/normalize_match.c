/* normalize_match.c - all keywords of all topics in one walk over a text.
 *
 * The keywords are sorted, and the sorted array is used as a trie: from every place where a word may start, the range
 * of keywords that agree with the text so far is narrowed byte by byte; a keyword that ends there is the first of its
 * range, because a text sorts before everything that it begins. So the cost depends on how far the text follows some
 * keyword, hardly on how many there are: most places end after one look at their first four bytes.
 * What a word is: nm_text_has_word() says so, and the unit test compares the two; a code point that is a letter, a mark
 * or a digit belongs to a word, and a keyword may start or end wherever no such code point is next to it.
 * Threads: pure functions. */
#include "normalize_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static int by_word(const void *a, const void *b)
{
    const struct nz_keyword *left = a, *right = b;
    size_t shorter = left->len < right->len ? left->len : right->len;
    int order = memcmp(left->word, right->word, shorter);
    if (order != 0)
        return order;
    if (left->len != right->len)
        return left->len < right->len ? -1 : 1;
    return (left->topic > right->topic) - (left->topic < right->topic);
}

static uint32_t beginning(const char *word)
{
    uint32_t four;
    memcpy(&four, word, sizeof four);
    return (four * UINT32_C(0x9e3779b1)) >> 16; /* Knuth's multiplicative hash, 16 bits */
}

static void note_beginning(struct nz_keywords *keywords, const struct nz_keyword *item)
{
    if (item->len < 4) {
        keywords->is_short[(unsigned char)item->word[0]] = true;
        return;
    }
    uint32_t at = beginning(item->word);
    keywords->begins[at / 8] |= (unsigned char)(1 << at % 8);
}

static bool may_begin(const struct nz_keywords *keywords, struct nz_str text, size_t at)
{
    if (text.len - at < 4 || keywords->is_short[(unsigned char)text.data[at]])
        return true;
    uint32_t four = beginning(text.data + at);
    return keywords->begins[four / 8] >> four % 8 & 1;
}

void nz_keywords_index(struct nz_keywords *keywords)
{
    memset(keywords->begins, 0, sizeof keywords->begins);
    memset(keywords->is_short, 0, sizeof keywords->is_short);
    for (size_t k = 0; k < keywords->n; k++)
        note_beginning(keywords, &keywords->item[k]);
    if (keywords->n > 0)
        qsort(keywords->item, keywords->n, sizeof *keywords->item, by_word);
    size_t i = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        while (i < keywords->n && (unsigned char)keywords->item[i].word[0] < byte)
            i++;
        keywords->first[byte] = i;
    }
    keywords->first[256] = keywords->n;
}

static bool is_word_char(utf8proc_int32_t c)
{
    static const uint64_t ascii[2] = {UINT64_C(0x03ff) << '0', UINT64_C(0x07fffffe07fffffe)}; /* 0-9; A-Z and a-z */
    if (c < 0x80)
        return ascii[c >> 6] >> (c & 63) & 1;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return false;
    }
}

/* The code point at `at` and its length in bytes; a broken byte (there are none in folded text) counts as one. */
static utf8proc_int32_t char_at(struct nz_str text, size_t at, size_t *len)
{
    unsigned char byte = (unsigned char)text.data[at];
    utf8proc_int32_t c = byte;
    utf8proc_ssize_t n = 1;
    if (byte >= 0x80)
        n = utf8proc_iterate((const utf8proc_uint8_t *)text.data + at, (utf8proc_ssize_t)(text.len - at), &c);
    *len = n > 0 ? (size_t)n : 1;
    return c;
}

static bool word_goes_on(struct nz_str text, size_t at)
{
    size_t len = 0;
    return at < text.len && is_word_char(char_at(text, at, &len));
}

/* The first in [low, high) whose byte at `depth` is at least `byte`; all of them are longer than `depth`. */
static size_t narrow(const struct nz_keywords *keywords, size_t low, size_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)keywords->item[middle].word[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Every keyword that starts at `at`, where a word may start. */
static void find_at(const struct nz_keywords *keywords, struct nz_str text, size_t at,
                    void (*hit)(void *self, const struct nz_keyword *keyword), void *self)
{
    unsigned byte = (unsigned char)text.data[at];
    size_t low = keywords->first[byte], high = keywords->first[byte + 1];
    for (size_t depth = 1; low < high; depth++) {
        bool ends = keywords->item[low].len == depth && (keywords->prefix || !word_goes_on(text, at + depth));
        for (; low < high && keywords->item[low].len == depth; low++)
            if (ends)
                hit(self, &keywords->item[low]);
        if (at + depth >= text.len)
            return;
        byte = (unsigned char)text.data[at + depth];
        low = narrow(keywords, low, high, depth, byte);
        high = narrow(keywords, low, high, depth, byte + 1);
    }
}

/* The end of the word that begins at `at`; `at` where none does. */
static size_t word_end(struct nz_str text, size_t at)
{
    for (size_t len; at < text.len && is_word_char(char_at(text, at, &len)); at += len)
        ;
    return at;
}

void nz_keywords_find(const struct nz_keywords *keywords, struct nz_str text,
                      void (*hit)(void *self, const struct nz_keyword *keyword), void *self)
{
    if (keywords->n == 0)
        return;
    for (size_t at = 0, len = 0; at < text.len; at += len) {
        if (may_begin(keywords, text, at))
            find_at(keywords, text, at, hit, self);
        at = word_end(text, at);
        len = 0;
        if (at < text.len)
            (void)char_at(text, at, &len); /* nothing begins right behind a word */
    }
}
