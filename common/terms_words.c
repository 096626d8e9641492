/* terms_words.c - the words of a text, one at a time.
 *
 * Scripts without spaces have no words that could be seen, so of a run of such characters every two neighbours are
 * taken together; a character alone stays alone. A character's marks go with it. Both kinds are ranges of the text,
 * nothing is copied; a character is looked at twice at most. Thread-safe: no state. */
#include "terms_internal.h"

static bool is_class(const struct nm_terms_chars *chars, size_t at, unsigned class)
{
    return at < chars->n && (chars->class[at] & class) != 0;
}

static size_t word_end(const struct nm_terms_chars *chars, size_t at)
{
    do
        at++;
    while (is_class(chars, at, NM_TERMS_WORD | NM_TERMS_MARK) ||
           (is_class(chars, at, NM_TERMS_INNER) && is_class(chars, at + 1, NM_TERMS_WORD)));
    return at;
}

static size_t cell_end(const struct nm_terms_chars *chars, size_t at)
{
    do
        at++;
    while (is_class(chars, at, NM_TERMS_MARK));
    return at;
}

bool nm_terms_next_word(struct nm_terms_scan *scan, struct nm_terms_word *out)
{
    const struct nm_terms_chars *chars = scan->chars;
    while (scan->at < chars->n) {
        size_t start = scan->at;
        bool paired = scan->paired;
        scan->paired = false;
        if (is_class(chars, start, NM_TERMS_WORD)) {
            scan->at = word_end(chars, start);
            *out = (struct nm_terms_word){.start = start, .end = scan->at};
            return true;
        }
        if (!is_class(chars, start, NM_TERMS_DENSE)) {
            scan->at++;
            continue;
        }
        scan->at = cell_end(chars, start);
        scan->paired = is_class(chars, scan->at, NM_TERMS_DENSE);
        if (scan->paired || !paired) {
            size_t end = scan->paired ? cell_end(chars, scan->at) : scan->at;
            *out = (struct nm_terms_word){.start = start, .end = end, .dense = true};
            return true;
        }
    }
    return false;
}
