/* latest.c - the newest revision of each record, see latest.h.
 *
 * The index is POSIX's search tree: ids are hashes of URLs that anyone may choose, and a tree has no worst case to be
 * provoked. When a limit is passed, a tenth of the rows is dropped at once, so the sorting for it costs little per row.
 * A dropped record whose older revision is read after it would come back; revisions of an id arrive in order within
 * its partition but for what a crash repeats, so this needs a full table and a crash together, and shows an old row
 * of low heat at worst. */
#include "latest.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

static int compare_ids(const void *a, const void *b)
{
    const struct nm_latest_row *left = a, *right = b;
    return strcmp(left->id, right->id);
}

static int compare_rank(const struct nm_latest_row *left, const struct nm_latest_row *right)
{
    if (!left->text != !right->text)
        return left->text ? -1 : 1;
    if (left->heat != right->heat)
        return left->heat > right->heat ? -1 : 1;
    int order = strcmp(right->published, left->published);
    return order ? order : strcmp(left->id, right->id);
}

static void rank(struct nm_latest_row *row, const char *record, size_t len)
{
    yyjson_doc *doc = record ? yyjson_read(record, len, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *heat = yyjson_obj_get(root, "heat"), *published = yyjson_obj_get(root, "publishedDateTime");

    row->heat = yyjson_is_int(heat) ? yyjson_get_sint(heat) : INT64_MIN;
    row->published[0] = '\0';
    if (yyjson_is_str(published) && yyjson_get_len(published) < sizeof row->published)
        memcpy(row->published, yyjson_get_str(published), yyjson_get_len(published) + 1);
    yyjson_doc_free(doc);
}

static enum nm_status set_text(struct nm_latest *latest, struct nm_latest_row *row, const char *text, size_t len,
                               struct nm_error *err)
{
    char *copy = NULL;

    if (text) {
        copy = malloc(len + 1);
        if (!copy)
            return nm_fail(err, NM_FATAL, "out of memory for records");
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    latest->n_bytes -= row->len;
    free(row->text);
    row->text = copy;
    row->len = copy ? len : 0;
    latest->n_bytes += row->len;
    return NM_OK;
}

static int compare_rows(const void *a, const void *b)
{
    return compare_rank(*(struct nm_latest_row *const *)a, *(struct nm_latest_row *const *)b);
}

static void forget(struct nm_latest *latest, struct nm_latest_row *row)
{
    struct nm_latest_row *last = latest->row[--latest->n_rows];

    latest->row[row->at] = last;
    last->at = row->at;
    (void)tdelete(row, &latest->index, compare_ids);
    latest->n_bytes -= row->len;
    free(row->text);
    free(row);
}

static void drop(struct nm_latest *latest, struct nm_latest_row *row)
{
    if (row->text && (!latest->n_dropped || compare_rank(row, &latest->best) < 0)) {
        latest->best = *row;
        latest->best.text = latest->best.id; /* only says that it is no tombstone */
    }
    latest->n_dropped += row->text != NULL;
    forget(latest, row);
}

static void shrink(struct nm_latest *latest)
{
    (void)nm_latest_sort(latest);
    size_t keep = latest->n_rows - latest->n_rows / 10 - 1;

    while (latest->n_rows > keep || (latest->n_bytes > latest->max_bytes / 10 * 9 && latest->n_rows > 1))
        drop(latest, latest->row[latest->n_rows - 1]);
}

/* A new row of this id; it is in the index and in the array, or nowhere. */
static enum nm_status new_row(struct nm_latest *latest, const char *id, struct nm_latest_row **out,
                              struct nm_error *err)
{
    if (latest->n_rows == latest->cap) {
        size_t cap = latest->cap ? latest->cap * 2 : 256;
        struct nm_latest_row **row = realloc(latest->row, cap * sizeof(struct nm_latest_row *));
        if (!row)
            return nm_fail(err, NM_FATAL, "out of memory for records");
        latest->row = row;
        latest->cap = cap;
    }
    struct nm_latest_row *row = calloc(1, sizeof *row);
    if (row)
        (void)snprintf(row->id, sizeof row->id, "%s", id);
    if (!row || !tsearch(row, &latest->index, compare_ids)) {
        free(row);
        return nm_fail(err, NM_FATAL, "out of memory for records");
    }
    row->revision = INT64_MIN;
    row->at = latest->n_rows;
    latest->row[latest->n_rows++] = row;
    *out = row;
    return NM_OK;
}

enum nm_status nm_latest_add(struct nm_latest *latest, const char *id, int64_t revision, const char *record,
                             size_t record_len, const char *text, size_t text_len, struct nm_error *err)
{
    struct nm_latest_row like = {0}, *row = NULL;
    enum nm_status status = NM_OK;

    (void)snprintf(like.id, sizeof like.id, "%s", id);
    void *found = tfind(&like, &latest->index, compare_ids);
    if (found)
        row = *(struct nm_latest_row **)found;
    else
        status = new_row(latest, id, &row, err);
    if (status != NM_OK || !row || row->revision > revision)
        return status;
    status = set_text(latest, row, record ? text : NULL, text_len, err);
    if (status != NM_OK)
        return status;
    row->revision = revision;
    rank(row, record, record_len);
    if (latest->n_dropped && row->text && compare_rank(row, &latest->best) > 0)
        drop(latest, row);
    else if (latest->n_rows > latest->max_rows || (latest->n_bytes > latest->max_bytes && latest->n_rows > 1))
        shrink(latest);
    return NM_OK;
}

size_t nm_latest_sort(struct nm_latest *latest)
{
    size_t n = 0;

    if (latest->n_rows)
        qsort(latest->row, latest->n_rows, sizeof(struct nm_latest_row *), compare_rows);
    for (size_t i = 0; i < latest->n_rows; i++)
        latest->row[i]->at = i;
    while (n < latest->n_rows && latest->row[n]->text)
        n++;
    return n;
}

void nm_latest_clear(struct nm_latest *latest)
{
    while (latest->n_rows)
        forget(latest, latest->row[latest->n_rows - 1]);
    free(latest->row);
    memset(latest, 0, sizeof *latest);
}
