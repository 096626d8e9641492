/* fuzz_terms.c - any bytes as title and excerpt, in any language.
 *
 * The first byte chooses the locale, the second the limits; a line break ends the title. Held: terms keep to their
 * limits, are UTF-8 and unique, the title's come first; the same text gives the same terms again, whatever came
 * between; an excerpt takes nothing from the title's terms. */
#include "newsmill/terms.h"
#include "newsmill/text.h"

#include <string.h>

enum { SMALL = 8 };

struct terms {
    struct nm_term *term;
    size_t n;
};

static void require(bool held)
{
    if (!held)
        abort();
}

static struct nm_terms *new_text(size_t n_title, size_t n_excerpt)
{
    struct nm_terms *text = NULL;
    require(nm_terms_new(n_title, n_excerpt, &text, NULL) == NM_OK);
    return text;
}

static struct terms analyse(struct nm_terms *text, const struct nm_terms_source *source, struct nm_arena *arena)
{
    struct terms all = {0};
    require(nm_terms_analyse(text, source, arena, &all.term, &all.n, NULL) == NM_OK);
    return all;
}

static void check_terms(const struct terms *all, size_t n_title, size_t n_excerpt)
{
    size_t n[2] = {0, 0};
    for (size_t i = 0; i < all->n; i++) {
        const struct nm_term *term = &all->term[i];
        require(term->len > 0 && term->len < NM_TERM_BYTES && term->text[term->len] == 0);
        require(nm_text_is_utf8(term->text, term->len) && !memchr(term->text, ' ', term->len));
        require(term->sighting <= NM_TERM_CASE_CAPITAL && (term->excerpt || n[1] == 0));
        n[term->excerpt]++;
        for (size_t j = 0; j < i; j++)
            require(strcmp(all->term[j].text, term->text) != 0);
    }
    require(n[0] <= n_title && n[1] <= n_excerpt);
}

static void check_same(const struct terms *some, const struct terms *all)
{
    require(some->n <= all->n);
    for (size_t i = 0; i < some->n; i++) {
        const struct nm_term *a = &some->term[i], *b = &all->term[i];
        require(a->len == b->len && memcmp(a->text, b->text, a->len) == 0);
        require(a->excerpt == b->excerpt && a->weak == b->weak && a->sighting == b->sighting);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const locales[] = {"en", "ar", "da", "de", "el", "es", "fi", "fr", "hu", "it", "nb", "nl",
                                          "no", "pt", "ro", "ru", "sv", "tr", "zh", "ja", "th", "ko", ""};
    static struct nm_terms *large, *small; /* kept, as a worker does */
    if (!large) {
        large = new_text(NM_TERMS_MAX, NM_TERMS_MAX);
        small = new_text(SMALL, SMALL);
    }
    if (size < 2)
        return 0;
    struct nm_terms *text = data[1] % 2 ? small : large;
    size_t limit = data[1] % 2 ? SMALL : NM_TERMS_MAX;
    struct nm_terms_source title = {.title = (const char *)data + 2, .title_len = size - 2};
    title.locale = locales[data[0] % (sizeof locales / sizeof *locales)];
    struct nm_terms_source both = title;
    const char *line_break = memchr(title.title, '\n', title.title_len);
    if (line_break) {
        both.title_len = title.title_len = (size_t)(line_break - title.title);
        both.excerpt = line_break + 1;
        both.excerpt_len = size - 2 - title.title_len - 1;
    }
    struct nm_arena arena = {0};
    struct terms first = analyse(text, &title, &arena), all = analyse(text, &both, &arena);
    check_terms(&all, limit, limit);
    check_same(&first, &all);
    struct terms again = analyse(text, &both, &arena);
    require(again.n == all.n);
    check_same(&again, &all);
    nm_arena_clear(&arena);
    return 0;
}
