/* terms_wire.c - "UPDATE 2-", "BREAKING:", "[site] Video -": what agencies and editors put before a title.
 *
 * Such a prefix is one or more keywords, each with optional digits and a dash or colon, after an optional short text in
 * brackets; without a keyword the brackets stay. Thread-safe: no state. */
#include "terms_internal.h"

#include <string.h>

enum { BRACKET_CHARS = 24 };

static const char *const keywords[] = {
    "analysis", "breaking", "corrected", "exclusive", "factbox", "insight", "live",  "photos",
    "refile",   "rpt",      "timeline",  "update",    "urgent",  "video",   "watch", "wrapup",
};

static size_t skip_white(const struct nm_terms_chars *chars, size_t at)
{
    while (at < chars->n && nm_terms_is_white(chars->code[at]))
        at++;
    return at;
}

/* Behind "[...]" and white space; `at` where there is none. */
static size_t skip_bracket(const struct nm_terms_chars *chars, size_t at)
{
    size_t end = at + 1;
    if (at == chars->n || chars->code[at] != '[')
        return at;
    while (end < chars->n && end - at <= BRACKET_CHARS && chars->code[end] != ']')
        end++;
    if (end == at + 1 || end == chars->n || chars->code[end] != ']')
        return at;
    return skip_white(chars, end + 1);
}

/* In any case; the Turkish letters between I and i count as i. */
static bool is_letter(int32_t code, char letter)
{
    return nm_terms_lower(code) == letter || (letter == 'i' && code == 0x131);
}

static size_t skip_keyword(const struct nm_terms_chars *chars, size_t at)
{
    for (size_t k = 0; k < sizeof keywords / sizeof *keywords; k++) {
        const char *keyword = keywords[k];
        size_t i = 0;
        while (keyword[i] && at + i < chars->n && is_letter(chars->code[at + i], keyword[i]))
            i++;
        if (!keyword[i])
            return at + i;
    }
    return at;
}

/* Behind a keyword with its number and dash; `at` where there is none. */
static size_t skip_label(const struct nm_terms_chars *chars, size_t at)
{
    size_t end = skip_keyword(chars, at);
    if (end == at)
        return at;
    end = skip_white(chars, end);
    while (end < chars->n && nm_terms_is_decimal(chars->code[end]))
        end++;
    end = skip_white(chars, end);
    if (end == chars->n)
        return at;
    int32_t code = chars->code[end];
    if (code != '-' && code != ':' && code != 0x2013 && code != 0x2014)
        return at;
    return skip_white(chars, end + 1);
}

size_t nm_terms_wire_end(const struct nm_terms_chars *chars)
{
    size_t start = skip_bracket(chars, skip_white(chars, 0)), at = start, next;
    while ((next = skip_label(chars, at)) != at)
        at = next;
    return at == start ? 0 : at;
}
