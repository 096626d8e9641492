/* buf.c - growable bytes, an arena that keeps its memory between batches, and a pool for what is not used.
 *
 * nm_buf doubles, so n appends cost O(n). Its capacity always exceeds its length by one byte, which is where
 * nm_buf_str() writes the NUL.
 * nm_arena is a list of chunks. Pieces come from `current`; when it is full the next chunk with room takes over. A
 * piece that is bigger than a chunk gets one of its own, and `current` stays, so that one big article does not waste
 * the rest of a chunk. Reset only forgets what is used, or with a pool gives back all chunks but one. Invariants:
 * current is in the list or NULL; used <= size; sizes are multiples of 16; a spare chunk has CHUNK_BYTES. */
#include "newsmill/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 64, ARENA_ALIGN = 16, CHUNK_BYTES = 128 * 1024 };

void nm_buf_clear(struct nm_buf *buf)
{
    free(buf->data);
    *buf = (struct nm_buf){0};
}

void nm_buf_reset(struct nm_buf *buf)
{
    buf->len = 0;
    buf->oom = false;
}

/* Makes room for `more` bytes and the NUL. */
static bool buf_reserve(struct nm_buf *buf, size_t more)
{
    if (buf->oom)
        return false;
    if (more < buf->cap - buf->len) /* cap is 0, or greater than len */
        return true;
    if (more > SIZE_MAX / 2 - buf->len - 1) {
        buf->oom = true;
        return false;
    }
    size_t need = buf->len + more + 1;
    size_t cap = buf->cap ? buf->cap * 2 : BUF_FIRST;
    if (cap < need)
        cap = need;
    char *data = realloc(buf->data, cap);
    if (!data) {
        buf->oom = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void nm_buf_add(struct nm_buf *buf, const void *data, size_t len)
{
    if (len == 0 || !buf_reserve(buf, len))
        return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void nm_buf_adds(struct nm_buf *buf, const char *text)
{
    nm_buf_add(buf, text, strlen(text));
}

void nm_buf_addc(struct nm_buf *buf, char c)
{
    if (buf_reserve(buf, 1))
        buf->data[buf->len++] = c;
}

char *nm_buf_room(struct nm_buf *buf, size_t n)
{
    return buf_reserve(buf, n) ? buf->data + buf->len : NULL;
}

void nm_buf_addf(struct nm_buf *buf, const char *fmt, ...)
{
    va_list args, again;
    if (!buf_reserve(buf, BUF_FIRST - 1))
        return;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(buf->data + buf->len, buf->cap - buf->len, fmt, args);
    if (n >= 0 && (size_t)n >= buf->cap - buf->len) {
        if (buf_reserve(buf, (size_t)n))
            n = vsnprintf(buf->data + buf->len, buf->cap - buf->len, fmt, again);
        else
            n = 0;
    }
    va_end(again);
    va_end(args);
    if (n < 0)
        buf->oom = true; /* vsnprintf fails only for want of memory or on a wide-character format */
    else
        buf->len += (size_t)n;
}

bool nm_buf_ok(const struct nm_buf *buf)
{
    return !buf->oom;
}

const char *nm_buf_str(struct nm_buf *buf)
{
    if (buf->oom || !buf->data)
        return "";
    buf->data[buf->len] = '\0';
    return buf->data;
}

char *nm_buf_take(struct nm_buf *buf)
{
    char *taken = NULL;
    if (buf_reserve(buf, 0)) {
        taken = buf->data;
        taken[buf->len] = '\0';
        buf->data = NULL;
    }
    nm_buf_clear(buf);
    return taken;
}

struct nm_chunk {
    struct nm_chunk *next;
    size_t size, used;
    _Alignas(ARENA_ALIGN) char data[];
};

static void *chunk_take(struct nm_chunk *chunk, size_t need)
{
    void *piece = chunk->data + chunk->used;
    chunk->used += need;
    return piece;
}

static bool chunk_fits(const struct nm_chunk *chunk, size_t need)
{
    return need <= chunk->size - chunk->used;
}

/* A chunk with room for `need` bytes, linked in behind the current one. */
static struct nm_chunk *arena_grow(struct nm_arena *arena, size_t need)
{
    size_t size = need > CHUNK_BYTES ? need : CHUNK_BYTES;
    struct nm_chunk *chunk = arena->pool && size == CHUNK_BYTES ? arena->pool->chunk : NULL;
    if (chunk)
        arena->pool->chunk = chunk->next;
    else
        chunk = malloc(sizeof *chunk + size);
    if (!chunk)
        return NULL;
    struct nm_chunk **link = arena->current ? &arena->current->next : &arena->first;
    *chunk = (struct nm_chunk){.next = *link, .size = size};
    *link = chunk;
    return chunk;
}

static size_t aligned(size_t size)
{
    return size ? (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN : ARENA_ALIGN;
}

void *nm_arena_alloc(struct nm_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t need = aligned(size);
    if (arena->current && chunk_fits(arena->current, need))
        return chunk_take(arena->current, need);
    bool own = need > CHUNK_BYTES;
    struct nm_chunk *chunk = arena->current ? arena->current->next : arena->first;
    while (chunk && !chunk_fits(chunk, need))
        chunk = chunk->next;
    if (!chunk)
        chunk = arena_grow(arena, need);
    if (!chunk)
        return NULL;
    if (!own || !arena->current)
        arena->current = chunk;
    return chunk_take(chunk, need);
}

char *nm_arena_copy(struct nm_arena *arena, const void *data, size_t len)
{
    char *copy = len < SIZE_MAX / 2 ? nm_arena_alloc(arena, len + 1) : NULL;
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

void *nm_arena_resize(struct nm_arena *arena, void *piece, size_t old_size, size_t size)
{
    if (!piece || size > SIZE_MAX / 2)
        return piece ? NULL : nm_arena_alloc(arena, size);
    struct nm_chunk *last = arena->current;
    size_t had = aligned(old_size), need = aligned(size);
    bool is_last = last && last->used >= had && last->data + (last->used - had) == (char *)piece;
    if (is_last && need <= last->size - (last->used - had)) {
        last->used = last->used - had + need;
        return piece;
    }
    if (size <= old_size)
        return piece;
    void *grown = nm_arena_alloc(arena, size);
    if (grown)
        memcpy(grown, piece, old_size);
    return grown;
}

/* Chunks from `chunk` on: to the pool, or free where they are not what it keeps. */
static void give_back(struct nm_pool *pool, struct nm_chunk *chunk)
{
    while (chunk) {
        struct nm_chunk *next = chunk->next;
        if (pool && chunk->size == CHUNK_BYTES) {
            chunk->next = pool->chunk;
            pool->chunk = chunk;
        } else {
            free(chunk);
        }
        chunk = next;
    }
}

void nm_arena_reset(struct nm_arena *arena)
{
    if (arena->pool && arena->first) {
        struct nm_chunk **rest = arena->first->size == CHUNK_BYTES ? &arena->first->next : &arena->first;
        give_back(arena->pool, *rest);
        *rest = NULL;
    }
    for (struct nm_chunk *chunk = arena->first; chunk; chunk = chunk->next)
        chunk->used = 0;
    arena->current = arena->first;
}

void nm_arena_clear(struct nm_arena *arena)
{
    give_back(NULL, arena->first);
    arena->first = arena->current = NULL;
}

void nm_pool_lend(struct nm_pool *pool, struct nm_buf *buf)
{
    if (pool && !buf->data && pool->n_bufs)
        *buf = pool->buf[--pool->n_bufs];
}

void nm_pool_return(struct nm_pool *pool, struct nm_buf *buf)
{
    if (!pool || !buf->data)
        return;
    nm_buf_reset(buf);
    if (pool->n_bufs == NM_POOL_BUFS)
        free(buf->data);
    else
        pool->buf[pool->n_bufs++] = *buf;
    *buf = (struct nm_buf){0};
}

void nm_pool_clear(struct nm_pool *pool)
{
    give_back(NULL, pool->chunk);
    pool->chunk = NULL;
    while (pool->n_bufs)
        nm_buf_clear(&pool->buf[--pool->n_bufs]);
}
