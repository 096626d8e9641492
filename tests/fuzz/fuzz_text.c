/* fuzz_text.c - cleaning, cutting, slugs, folding and words from any bytes.
 *
 * Held: bytes that are not UTF-8 are refused; clean text is UTF-8 without controls, without white space at its ends or
 * twice, and (as long as it holds no markup) clean already; a cut and a slug keep to their limits and alphabet; a text
 * holds its own first word. */
#include "text_internal.h"

#include <string.h>

static void require(bool held)
{
    if (!held)
        abort();
}

static void check_clean(const struct nm_buf *clean)
{
    bool white = true;
    require(nm_text_is_utf8(clean->data, clean->len));
    for (size_t i = 0; i < clean->len;) {
        uint32_t code;
        i += nm_text_decode(clean->data + i, clean->len - i, &code);
        require(code >= 0x20 && (code < 0x7f || code >= 0xa0));
        bool now_white = nm_text_is_white(code);
        require(!now_white || (code == ' ' && !white));
        white = now_white;
    }
    require(clean->len == 0 || !white);
    if (clean->len == 0 || memchr(clean->data, '<', clean->len) || memchr(clean->data, '&', clean->len))
        return;
    struct nm_buf again = {0};
    require(nm_text_clean(clean->data, clean->len, &again, NULL) == NM_OK);
    require(again.len == clean->len && memcmp(again.data, clean->data, clean->len) == 0);
    nm_buf_clear(&again);
}

static void check_cut(const struct nm_buf *clean, size_t max_chars)
{
    size_t cut = nm_text_cut(clean->data, clean->len, max_chars);
    require(cut <= clean->len && nm_text_is_utf8(clean->data, cut));
    require(nm_text_length(clean->data, cut) <= max_chars);
    require(cut == clean->len || nm_text_length(clean->data, clean->len) > max_chars);
}

static void check_slug(const struct nm_buf *clean, size_t max_bytes)
{
    struct nm_buf slug = {0};
    require(nm_text_slug(clean->data, clean->len, max_bytes, &slug, NULL) == NM_OK);
    require(slug.len <= max_bytes);
    for (size_t i = 0; i < slug.len; i++) {
        char c = slug.data[i];
        require((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                (c == '-' && i > 0 && i + 1 < slug.len && slug.data[i - 1] != '-'));
    }
    nm_buf_clear(&slug);
}

static void check_words(const struct nm_buf *clean)
{
    struct nm_buf folded = {0};
    require(nm_text_fold(clean->data, clean->len, &folded, NULL) == NM_OK);
    require(nm_text_is_utf8(nm_buf_str(&folded), folded.len));
    size_t word = nm_text_cut(nm_buf_str(&folded), folded.len, folded.len);
    const char *space = folded.len ? memchr(folded.data, ' ', folded.len) : NULL;
    if (space)
        word = (size_t)(space - folded.data);
    if (word > 0) {
        require(nm_text_has_word(folded.data, folded.len, folded.data, word, false));
        require(nm_text_has_word(folded.data, folded.len, folded.data, word, true));
    }
    nm_buf_clear(&folded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nm_buf clean = {0}, raw = {0};
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 2;
    size_t len = size - 2;
    enum nm_status s = nm_text_clean(text, len, &clean, NULL);
    require((s == NM_OK) == nm_text_is_utf8(text, len));
    if (s == NM_OK && clean.len > 0) {
        check_clean(&clean);
        check_cut(&clean, data[0]);
        check_slug(&clean, data[1]);
        check_words(&clean);
    }
    /* The others take what they get, clean or not. */
    (void)!nm_text_fold(text, len, &raw, NULL);
    (void)!nm_text_slug(text, len, data[1], &raw, NULL);
    require(nm_text_cut(text, len, data[0]) <= len);
    size_t split = data[0] < len ? data[0] : len;
    (void)nm_text_has_word(text, len, text, split, false);
    nm_buf_clear(&raw);
    nm_buf_clear(&clean);
    return 0;
}
