/* plain.h - untrusted bytes made fit for a terminal, for JSON, and for exact but readable display.
 *
 * Pure functions that append to a caller's buffer (ask nm_buf_ok() once); thread-safe. */
#ifndef NEWSMILL_PLAIN_H
#define NEWSMILL_PLAIN_H

#include "newsmill/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads one code point at *at of [*at, end) and moves *at behind it; a byte that is no UTF-8 gives U+FFFD. */
int32_t nm_next_char(const unsigned char **at, const unsigned char *end);

/* True for what must not reach a terminal as it is: controls (C0, DEL, C1), the marks that change the direction of
 * text and other invisible format characters (but the zero-width joiners), line separators, noncharacters. */
bool nm_is_unsafe_char(int32_t c);

/* One line of text for a person: unsafe characters and line breaks become a space, runs of them one; trimmed; cut to
 * `columns` terminal columns, with an ellipsis where something was cut. Returns the columns used. */
unsigned nm_plain_line(const char *text, size_t len, unsigned columns, struct nm_buf *out);

/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD, unsafe characters \u escapes. */
void nm_json_string(const char *text, size_t len, struct nm_buf *out);

/* JSON text as it is, but with unsafe characters (which JSON allows in its strings) as \u escapes. */
void nm_json_safe(const char *json, size_t len, struct nm_buf *out);

/* Every byte shown: printable UTF-8 as it is, a backslash as \\, line feed, tab and return as \n \t \r, anything else
 * as \xNN. The original bytes can be told from it. */
void nm_visible_bytes(const char *data, size_t len, struct nm_buf *out);

#endif
