/* explain_words.c - from the keys of terms back to words: a key is a digest, so the words are those of the text. */
#include "explain.h"

#include <string.h>

static const char *text_of(const json_t *article, const char *name, size_t *len)
{
    const json_t *value = json_object_get(article, name);
    *len = json_is_string(value) ? json_string_length(value) : 0;
    return json_string_value(value);
}

enum nm_status nm_words_read(const json_t *article, struct nm_words *out, struct nm_error *err)
{
    NM_AUTO(nm_terms_free) struct nm_terms *text = NULL;
    struct nm_arena arena = {0};
    struct nm_terms_source source = {.locale = json_string_value(json_object_get(article, "locale"))};
    struct nm_term *term = NULL;
    size_t n = 0;

    out->n = 0;
    source.title = text_of(article, "title", &source.title_len);
    source.excerpt = text_of(article, "excerpt", &source.excerpt_len);
    if (!source.title)
        return NM_OK;
    enum nm_status status = nm_terms_new(NM_TERMS_MAX, NM_TERMS_MAX, &text, err);
    if (status == NM_OK)
        status = nm_terms_analyse(text, &source, &arena, &term, &n, err);
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        struct nm_word *word = &out->word[out->n++];
        nm_term_key(&term[i], word->key);
        memcpy(word->text, term[i].text, (size_t)term[i].len + 1);
    }
    nm_arena_clear(&arena);
    return status;
}

const char *nm_words_find(const struct nm_words *words, const unsigned char key[NM_TERM_KEY_BYTES])
{
    for (size_t i = 0; i < words->n; i++)
        if (memcmp(words->word[i].key, key, NM_TERM_KEY_BYTES) == 0)
            return words->word[i].text;
    return NULL;
}
