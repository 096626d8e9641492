/* text.h - human text: HTML to plain text, normal form, cutting, slugs.
 *
 * All text is UTF-8. Results are appended to a caller's nm_buf. Pure functions; thread-safe. */
#ifndef NEWSMILL_TEXT_H
#define NEWSMILL_TEXT_H

#include "newsmill/buf.h"
#include "newsmill/status.h"

#include <stdbool.h>
#include <stddef.h>

/* True for well-formed UTF-8 (no surrogates, nothing above U+10FFFF, no overlong forms). */
bool nm_text_is_utf8(const char *text, size_t len);

/* HTML or plain text to clean text: tags removed (the content of script, style, head and comments too; block elements
 * and <br> become a space), entities decoded once, NFC, control and format-only characters (Cc, and U+200B, U+FEFF,
 * U+2028/9 as space) dropped, white space (Unicode White_Space) collapsed to one space, trimmed.
 * Text without '<' and '&' does not enter the HTML parser. "a < b" stays text. Time and memory are linear in len; a run
 * of more than 30 combining marks is cut to 30. NM_BAD_INPUT `utf8_invalid`: not UTF-8. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_text_clean(const char *text, size_t len, struct nm_buf *out, struct nm_error *err);

/* Length of the longest prefix of at most max_chars code points that ends at a word boundary (before white space;
 * where the first word alone is longer, at a code point, never inside a combining sequence), trailing white space not
 * counted. Returns bytes. */
size_t nm_text_cut(const char *text, size_t len, size_t max_chars);

/* Number of code points. */
size_t nm_text_length(const char *text, size_t len);

/* The slug of a clean title: canonical decomposition (NFD), marks dropped, a table for sharp s, ae, o slash, d stroke,
 * l stroke, thorn and the like, lower case, only [a-z0-9 -] kept (symbols dropped, not spelled; other scripts dropped),
 * spaces to hyphens, hyphens collapsed, none at the ends, cut at a word boundary at max_bytes.
 * Appends nothing for a title without any slug letter. */
NM_MUST_USE enum nm_status nm_text_slug(const char *title, size_t len, size_t max_bytes, struct nm_buf *out,
                                        struct nm_error *err);

/* Full Unicode case folding with NFC, for matching words; appended to `out`. */
NM_MUST_USE enum nm_status nm_text_fold(const char *text, size_t len, struct nm_buf *out, struct nm_error *err);

/* True when `needle` (folded) stands in `text` (folded) as whole words: the code points next to it are neither letters
 * nor digits nor marks. prefix: only the left side must be a boundary. */
bool nm_text_has_word(const char *text, size_t len, const char *needle, size_t needle_len, bool prefix);

#endif
