/* buf.h - a growable run of bytes, an arena whose pieces live until it is reset, and a pool of what they do not use.
 *
 * nm_buf: append without checking, then ask once with nm_buf_ok(): a failed allocation sets `oom`, and later
 * appends do nothing. `data` always has room for one byte after `len`; nm_buf_str() puts a NUL there.
 * nm_arena: bump allocation in chunks that are kept and used again after nm_arena_reset(), so a batch of a steady
 * stream allocates nothing. Pieces are aligned to 16 bytes and never move.
 * nm_pool: spare memory of many buffers and arenas that are large in turn: together they keep what they needed most at
 * one moment, not the sum of what each one ever needed. What was given back last is taken first.
 * No type is thread-safe; a pool belongs to one thread with everything that takes from it. */
#ifndef NEWSMILL_BUF_H
#define NEWSMILL_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct nm_buf {
    char *data;
    size_t len, cap;
    bool oom;
};

void nm_buf_clear(struct nm_buf *buf); /* frees; the buffer may be used again */
void nm_buf_reset(struct nm_buf *buf); /* keeps the memory, forgets the content and `oom` */
void nm_buf_add(struct nm_buf *buf, const void *data, size_t len);
void nm_buf_adds(struct nm_buf *buf, const char *text);
void nm_buf_addc(struct nm_buf *buf, char c);
void nm_buf_addf(struct nm_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for `n` bytes behind the content, which the caller writes and adds to `len` himself; NULL when out of memory. */
char *nm_buf_room(struct nm_buf *buf, size_t n);
bool nm_buf_ok(const struct nm_buf *buf);
/* NUL-terminated content, borrowed until the next append; "" when empty or out of memory. */
const char *nm_buf_str(struct nm_buf *buf);
/* Hands the NUL-terminated content to the caller (free it) and leaves the buffer empty; NULL when out of memory. */
char *nm_buf_take(struct nm_buf *buf);

struct nm_chunk;

#define NM_POOL_BUFS 32 /* spare buffers kept; the memory of more is freed */
struct nm_pool {
    struct nm_chunk *chunk;
    struct nm_buf buf[NM_POOL_BUFS];
    size_t n_bufs;
};
void nm_pool_clear(struct nm_pool *pool); /* frees what is spare; what was taken stays with its takers */
/* An empty buffer gets the memory of a spare one. A NULL pool does nothing. */
void nm_pool_lend(struct nm_pool *pool, struct nm_buf *buf);
/* Takes the memory of a buffer, which is empty then. A NULL pool leaves it as it is. */
void nm_pool_return(struct nm_pool *pool, struct nm_buf *buf);

struct nm_arena {
    struct nm_chunk *first, *current;
    struct nm_pool *pool; /* may be NULL; borrowed. Set before the first use */
};

void *nm_arena_alloc(struct nm_arena *arena, size_t size);                 /* NULL when out of memory; not zeroed */
char *nm_arena_copy(struct nm_arena *arena, const void *data, size_t len); /* adds a NUL */
/* A piece of `old_size` bytes becomes one of `size`: in its place where it is the last one, else a larger one is a
 * copy. */
void *nm_arena_resize(struct nm_arena *arena, void *piece, size_t old_size, size_t size);
void nm_arena_reset(struct nm_arena *arena); /* keeps one chunk, or without a pool all */
void nm_arena_clear(struct nm_arena *arena); /* frees; the arena may be used again */

#endif
