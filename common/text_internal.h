/* text_internal.h - parts shared by text*.c and their tests. */
#ifndef NEWSMILL_TEXT_INTERNAL_H
#define NEWSMILL_TEXT_INTERNAL_H

#include "newsmill/text.h"

#include <stdint.h>

/* Decodes the code point at `text` (well-formed UTF-8, len > 0) and returns its length in bytes; text that is not
 * well-formed gives U+FFFD and 1. */
size_t nm_text_decode(const char *text, size_t len, uint32_t *code);

/* Appends a code point; what is none (a surrogate, above U+10FFFF) becomes U+FFFD. */
void nm_text_encode(uint32_t code, struct nm_buf *out);

/* Unicode's White_Space property. */
bool nm_text_is_white(uint32_t code);

/* True for a code point that NFC never changes, wherever it stands; false may mean "not known". */
bool nm_text_is_inert(uint32_t code);

/* Looks up a named character reference; name: the letters and digits behind "&"; closed: a ";" follows them.
 * Returns how many bytes of the name it stands for (the ";" belongs to it when that is all of them), 0: none.
 * codes[1] is 0 where the name stands for one code point. */
size_t nm_text_entity(const char *name, size_t len, bool closed, uint32_t codes[2]);

/* Appends the text of a piece of HTML as it stands: white space and control characters are not touched. */
void nm_text_from_html(const char *html, size_t len, struct nm_buf *out);

#endif
