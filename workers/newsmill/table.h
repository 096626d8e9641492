/* table.h - text in columns that fits the width of a terminal.
 *
 * A table is either collected (every cell is known before widths are chosen, nm_table_print) or streamed (widths
 * are the largest allowed, made to fit, nm_table_stream). Cells are untrusted text; they are cleaned and cut by
 * nm_plain_line(). Where the columns together are too wide, the widest one that may shrink gives way first.
 * Width is counted in terminal columns: an ideograph or emoji takes two. Not thread-safe. */
#ifndef NEWSMILL_TABLE_H
#define NEWSMILL_TABLE_H

#include "newsmill/buf.h"
#include "newsmill/status.h"

#include <stdbool.h>
#include <stddef.h>

#define NM_TABLE_COLUMNS 12

struct nm_column {
    const char *name; /* NULL ends an array */
    bool right;
    unsigned min, max; /* terminal columns; min 0: the name's width */
};

struct nm_table {
    const struct nm_column *column;
    size_t n_columns;
    struct nm_buf cells; /* every cell of every row, one after another */
    size_t *end;         /* where each cell ends in `cells` */
    size_t n_cells, cap;
    bool oom;
};

/* columns: an array ended by a row without name, borrowed, at most NM_TABLE_COLUMNS. */
void nm_table_init(struct nm_table *table, const struct nm_column *columns);
void nm_table_clear(struct nm_table *table);
/* Adds the next cell of the present row; a row is full after n_columns cells. text NULL: empty. */
void nm_table_cell(struct nm_table *table, const char *text, size_t len);
void nm_table_cells(struct nm_table *table, const char *text); /* NUL-terminated */
void nm_table_number(struct nm_table *table, long long value);

/* The header line and every full row, at most `width` columns wide, appended to out. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_table_print(const struct nm_table *table, unsigned width, struct nm_buf *out,
                                          struct nm_error *err);
/* Streamed: the header line alone, and the rows collected so far, which are then forgotten. */
NM_MUST_USE enum nm_status nm_table_header(const struct nm_table *table, unsigned width, struct nm_buf *out,
                                           struct nm_error *err);
NM_MUST_USE enum nm_status nm_table_stream(struct nm_table *table, unsigned width, struct nm_buf *out,
                                           struct nm_error *err);

#endif
