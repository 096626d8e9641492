/* table.c - text in columns, see table.h.
 *
 * Cells lie in one buffer with an array of ends, so a table of a hundred thousand rows is two allocations. They are
 * cleaned when they are added (a title of a megabyte costs CELL_COLUMNS columns, not a megabyte) and cut again when
 * the widths are known. */
#include "table.h"

#include "plain.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define CELL_COLUMNS 400 /* no cell is kept longer */
#define GAP          2

void nm_table_init(struct nm_table *table, const struct nm_column *columns)
{
    memset(table, 0, sizeof *table);
    table->column = columns;
    while (columns[table->n_columns].name)
        table->n_columns++;
    assert(table->n_columns > 0 && table->n_columns <= NM_TABLE_COLUMNS);
}

void nm_table_clear(struct nm_table *table)
{
    nm_buf_clear(&table->cells);
    free(table->end);
    memset(table, 0, sizeof *table);
}

void nm_table_cell(struct nm_table *table, const char *text, size_t len)
{
    if (table->n_cells == table->cap) {
        size_t cap = table->cap ? table->cap * 2 : 64;
        size_t *end = realloc(table->end, cap * sizeof *end);
        if (!end) {
            table->oom = true;
            return;
        }
        table->end = end;
        table->cap = cap;
    }
    if (text)
        (void)nm_plain_line(text, len, CELL_COLUMNS, &table->cells);
    table->end[table->n_cells++] = table->cells.len;
}

void nm_table_cells(struct nm_table *table, const char *text)
{
    nm_table_cell(table, text, text ? strlen(text) : 0);
}

void nm_table_number(struct nm_table *table, long long value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", value);
    nm_table_cells(table, text);
}

static const char *cell_text(const struct nm_table *table, size_t i, size_t *len)
{
    size_t from = i ? table->end[i - 1] : 0;
    *len = table->end[i] - from;
    return table->cells.data ? table->cells.data + from : "";
}

static unsigned at_least(const struct nm_column *column)
{
    unsigned name = (unsigned)strlen(column->name);
    return column->min > name ? column->min : name;
}

/* Makes the columns fit: the widest that is above its least gives one column at a time. Widths are small numbers. */
static void fit(const struct nm_table *table, unsigned width, unsigned *wide)
{
    unsigned total = GAP * (unsigned)(table->n_columns - 1);

    for (size_t i = 0; i < table->n_columns; i++)
        total += wide[i];
    while (total > width) {
        size_t widest = table->n_columns;
        for (size_t i = 0; i < table->n_columns; i++) {
            if (wide[i] > at_least(&table->column[i]) && (widest == table->n_columns || wide[i] > wide[widest]))
                widest = i;
        }
        if (widest == table->n_columns)
            return; /* narrower than the least: the terminal wraps */
        wide[widest]--;
        total--;
    }
}

static void widest_allowed(const struct nm_table *table, unsigned width, unsigned *wide)
{
    for (size_t i = 0; i < table->n_columns; i++)
        wide[i] =
            table->column[i].max > at_least(&table->column[i]) ? table->column[i].max : at_least(&table->column[i]);
    fit(table, width, wide);
}

static void as_needed(const struct nm_table *table, unsigned width, unsigned *wide)
{
    struct nm_buf scratch = {0};
    size_t full = table->n_cells - table->n_cells % table->n_columns;

    for (size_t i = 0; i < table->n_columns; i++)
        wide[i] = (unsigned)strlen(table->column[i].name);
    for (size_t i = 0; i < full; i++) {
        size_t len = 0, at = i % table->n_columns;
        const char *text = cell_text(table, i, &len);
        unsigned used = (unsigned)len;
        if (used > wide[at]) { /* only then can it be wider: a column takes at least one byte */
            nm_buf_reset(&scratch);
            used = nm_plain_line(text, len, CELL_COLUMNS, &scratch);
        }
        if (used > table->column[at].max)
            used = table->column[at].max;
        if (used > wide[at])
            wide[at] = used;
    }
    nm_buf_clear(&scratch);
    fit(table, width, wide);
}

static void pad(struct nm_buf *out, unsigned n)
{
    for (; n > 0; n--)
        nm_buf_addc(out, ' ');
}

static void put_cell(const struct nm_table *table, size_t at, const char *text, size_t len, const unsigned *wide,
                     struct nm_buf *out)
{
    bool last = at + 1 == table->n_columns;
    struct nm_buf cell = {0};
    unsigned used = nm_plain_line(text, len, wide[at], &cell);
    unsigned space = used < wide[at] ? wide[at] - used : 0;

    if (table->column[at].right)
        pad(out, space);
    nm_buf_add(out, cell.data, cell.len);
    if (!table->column[at].right && !last)
        pad(out, space);
    if (!last)
        pad(out, GAP);
    else
        nm_buf_addc(out, '\n');
    out->oom = out->oom || cell.oom;
    nm_buf_clear(&cell);
}

static void put_header(const struct nm_table *table, const unsigned *wide, struct nm_buf *out)
{
    for (size_t i = 0; i < table->n_columns; i++)
        put_cell(table, i, table->column[i].name, strlen(table->column[i].name), wide, out);
}

static void put_rows(const struct nm_table *table, const unsigned *wide, struct nm_buf *out)
{
    size_t full = table->n_cells - table->n_cells % table->n_columns;

    for (size_t i = 0; i < full; i++) {
        size_t len = 0;
        const char *text = cell_text(table, i, &len);
        put_cell(table, i % table->n_columns, text, len, wide, out);
    }
}

static enum nm_status finish(const struct nm_table *table, const struct nm_buf *out, struct nm_error *err)
{
    if (table->oom || !nm_buf_ok(&table->cells) || !nm_buf_ok(out))
        return nm_fail(err, NM_FATAL, "out of memory for a table");
    return NM_OK;
}

enum nm_status nm_table_print(const struct nm_table *table, unsigned width, struct nm_buf *out, struct nm_error *err)
{
    unsigned wide[NM_TABLE_COLUMNS];

    as_needed(table, width, wide);
    put_header(table, wide, out);
    put_rows(table, wide, out);
    return finish(table, out, err);
}

enum nm_status nm_table_header(const struct nm_table *table, unsigned width, struct nm_buf *out, struct nm_error *err)
{
    unsigned wide[NM_TABLE_COLUMNS];

    widest_allowed(table, width, wide);
    put_header(table, wide, out);
    return finish(table, out, err);
}

enum nm_status nm_table_stream(struct nm_table *table, unsigned width, struct nm_buf *out, struct nm_error *err)
{
    unsigned wide[NM_TABLE_COLUMNS];

    widest_allowed(table, width, wide);
    put_rows(table, wide, out);
    enum nm_status status = finish(table, out, err);
    nm_buf_reset(&table->cells);
    table->n_cells = 0;
    return status;
}
