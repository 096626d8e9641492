/* terms_stem.c - languages and their Snowball stemmers.
 *
 * A stemmer is made when a text in its language comes for the first time. Languages are those of the table, so no
 * stream of odd locales can make more. Thread-safe: stemmers are the caller's, and not shared. */
#include "terms_internal.h"

#include <libstemmer.h>
#include <string.h>

static const struct {
    char code[3];
    const char *algorithm;
} languages[NM_TERMS_LANGUAGES] = {
    {"ar", "arabic"},    {"da", "danish"},  {"de", "german"},    {"el", "greek"},     {"en", "english"},
    {"es", "spanish"},   {"fi", "finnish"}, {"fr", "french"},    {"hu", "hungarian"}, {"it", "italian"},
    {"nb", "norwegian"}, {"nl", "dutch"},   {"nn", "norwegian"}, {"no", "norwegian"}, {"pt", "portuguese"},
    {"ro", "romanian"},  {"ru", "russian"}, {"sv", "swedish"},   {"tr", "turkish"},
};

enum { ENGLISH = 4 };

int nm_terms_language(const char *locale)
{
    if (!locale)
        return ENGLISH;
    size_t len = strcspn(locale, "-_");
    if (len != 2)
        return -1;
    char code[3] = {(char)nm_terms_lower((unsigned char)locale[0]), (char)nm_terms_lower((unsigned char)locale[1])};
    for (int i = 0; i < NM_TERMS_LANGUAGES; i++)
        if (memcmp(languages[i].code, code, 2) == 0)
            return i;
    return -1;
}

bool nm_terms_is_english(int language)
{
    return language == ENGLISH;
}

void nm_terms_stemmers_clear(struct nm_terms_stemmers *stemmers)
{
    for (size_t i = 0; i < NM_TERMS_LANGUAGES; i++)
        sb_stemmer_delete(stemmers->of[i]);
}

/* A stem may be longer than the word by a letter (Turkish); NM_TERM_BYTES holds even that, since such a letter follows
 * others of one or two bytes. Should a new algorithm differ, the stem ends at a character. */
static size_t fitting(const char *stem, size_t len)
{
    if (len < NM_TERM_BYTES)
        return len;
    len = NM_TERM_BYTES - 1;
    while (len > 0 && ((unsigned char)stem[len] & 0xc0) == 0x80)
        len--;
    return len;
}

enum nm_status nm_terms_stem(struct nm_terms_stemmers *stemmers, int language, char *word, size_t *len,
                             struct nm_error *err)
{
    if (language < 0)
        return NM_OK;
    if (!stemmers->of[language])
        stemmers->of[language] = sb_stemmer_new(languages[language].algorithm, "UTF_8");
    if (!stemmers->of[language])
        return nm_fail(err, NM_FATAL, "libstemmer makes no stemmer '%s': out of memory, or it was built without it",
                       languages[language].algorithm);
    struct sb_stemmer *stemmer = stemmers->of[language];
    const sb_symbol *stem = sb_stemmer_stem(stemmer, (const sb_symbol *)word, (int)*len);
    if (!stem)
        return nm_fail(err, NM_FATAL, "out of memory for a stem");
    *len = fitting((const char *)stem, (size_t)sb_stemmer_length(stemmer));
    memcpy(word, stem, *len);
    return NM_OK;
}
