/* load_world.h - what a reader of `newsmill load` makes of some bytes: its events and refusals as text.
 *
 * The bytes come through a file, as they do for users, in pieces of `block` bytes, so that a test can put a cut between
 * any two of them. */
#ifndef LOAD_WORLD_H
#define LOAD_WORLD_H

#include "newsmill/event.h"

struct load_world {
    size_t block, max_bytes; /* 0: 64 KiB each */
    struct nm_buf events;    /* a line each */
    struct nm_buf said;      /* "line:item why" of each refusal, "line:item (note) text" of each remark, a line each */
    size_t n_skipped;
    enum nm_status status; /* of the reader */
    struct nm_error err;
};

typedef enum nm_status load_reader(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err);

/* Forgets what was there before. */
void load_world_read(struct load_world *world, load_reader *reader, const void *data, size_t len);
void load_world_clear(struct load_world *world);

/* The bytes as a gzip member, appended. */
void load_world_gzip(const void *data, size_t len, struct nm_buf *out);

/* A source on a file of these bytes; close both. */
struct nm_source *load_world_source(const void *data, size_t len, size_t block, int *fd);

#endif
