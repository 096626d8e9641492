/* lines.h - lines of a source, in bounded memory. Not thread-safe. */
#ifndef NEWSMILL_LINES_H
#define NEWSMILL_LINES_H

#include "newsmill/status.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>

struct nm_lines {
    struct nm_source *source;
    size_t max_bytes; /* a longer line is reported without its content   */
    char *data;
    size_t cap, from, len;     /* data[from..len) is read but not handed out yet  */
    size_t scanned;            /* no line feed in data[from..scanned)             */
    unsigned long long number; /* of the last line handed out, 1 for the first    */
    bool skipping, at_end;
};

enum nm_line { NM_LINE, NM_LINE_TOO_LONG, NM_LINE_END };

/* source is borrowed. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_lines_init(struct nm_lines *lines, struct nm_source *source, size_t max_bytes,
                                         struct nm_error *err);
void nm_lines_clear(struct nm_lines *lines);

/* The next line without its line feed (or return and line feed), valid until the next call; a byte order mark at the
 * start of the input is no part of the first one. NM_LINE_END: the end, or the source was stopped.
 * Statuses of nm_source_read(). */
NM_MUST_USE enum nm_status nm_lines_next(struct nm_lines *lines, enum nm_line *what, const char **line, size_t *len,
                                         struct nm_error *err);

#endif
