/* latest.h - the newest revision of each record, hottest first.
 *
 * Bounded: above the limits the rows that rank lowest are dropped, and counted. What is there in the end are the
 * hottest ones without a gap. Not thread-safe. */
#ifndef NEWSMILL_LATEST_H
#define NEWSMILL_LATEST_H

#include "newsmill/status.h"
#include "newsmill/url.h"

#include <stddef.h>
#include <stdint.h>

struct nm_latest_row {
    char id[NM_ID_BYTES];
    char published[21]; /* publishedDateTime, "" where there is none */
    int64_t revision, heat;
    char *text;     /* what to show of it; NULL: a tombstone, kept so that an older revision stays out */
    size_t len, at; /* at: index in the array of rows */
};

struct nm_latest {
    void *index; /* a search tree of rows by id */
    struct nm_latest_row **row;
    size_t n_rows, cap, n_bytes, max_rows, max_bytes;
    size_t n_dropped;          /* records                                           */
    struct nm_latest_row best; /* of the dropped: nothing that ranks below it is kept */
};

/* Takes one message of the stream: record NULL is a tombstone; `text` (copied) is kept as what to show. It replaces the
 * row of its id unless that has a greater revision. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_latest_add(struct nm_latest *latest, const char *id, int64_t revision, const char *record,
                                         size_t record_len, const char *text, size_t text_len, struct nm_error *err);

/* Sorts the rows: heat descending, then newest published, then id; tombstones last. Returns how many rows are records.
 */
size_t nm_latest_sort(struct nm_latest *latest);
void nm_latest_clear(struct nm_latest *latest);

#endif
