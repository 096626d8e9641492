/* source.h - the bytes of a file or pipe, unpacked where they are gzip, in bounded memory.
 *
 * gzip is told by its first two bytes; members that follow one another are one input, as gzip itself has it. What
 * expands more than a file of events ever does is refused, so that a small file cannot fill the streams.
 * While nothing comes, and before every read, idle() is called: the caller serves its other work there and says whether
 * to go on. One thread. */
#ifndef NEWSMILL_SOURCE_H
#define NEWSMILL_SOURCE_H

#include "newsmill/status.h"

#include <stdbool.h>
#include <stddef.h>

struct nm_source;

struct nm_source_options {
    int fd;                     /* borrowed */
    size_t block_bytes;         /* most bytes of one read; 0: 64 KiB */
    bool (*idle)(void *opaque); /* at least every 100 ms; false: stop reading. NULL: never stop */
    void *opaque;
};

/* NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_source_open(const struct nm_source_options *options, struct nm_source **out,
                                          struct nm_error *err);
void nm_source_close(struct nm_source *source);
NM_DEFINE_CLEANUP(struct nm_source, nm_source_close)

/* The next 1 to cap bytes; *n 0: the end, or stopped.
 * NM_BAD_INPUT: the compressed data are damaged or cut, expand too much, or are of another kind than gzip: what came
 * before is good, nothing more comes. NM_FATAL: the input cannot be read. */
NM_MUST_USE enum nm_status nm_source_read(struct nm_source *source, void *buf, size_t cap, size_t *n,
                                          struct nm_error *err);

/* Looks at the next bytes without taking them: *n is at least `want` unless the input is shorter or was stopped. *data
 * is borrowed until the next call. want: at most NM_SOURCE_PEEK_BYTES. Statuses of nm_source_read(). */
#define NM_SOURCE_PEEK_BYTES ((size_t)2 << 20)
NM_MUST_USE enum nm_status nm_source_peek(struct nm_source *source, size_t want, const char **data, size_t *n,
                                          struct nm_error *err);

bool nm_source_stopped(const struct nm_source *source);             /* idle() said so */
bool nm_source_is_gzip(const struct nm_source *source);             /* known after the first read or peek */
unsigned long long nm_source_taken(const struct nm_source *source); /* bytes of the file so far, packed */

/* The name of a compression other than gzip that these first bytes belong to ("xz"), or NULL. */
const char *nm_source_packed_with(const char *data, size_t n);

#endif
