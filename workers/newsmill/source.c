/* source.c - bytes of a file, unpacked, see source.h.
 *
 * Two buffers: `in` has bytes of the file as they are, `peeked` what was looked at but not taken. Everything else goes
 * from `in` or zlib straight to the caller. zlib gets one block at a time and gives at most what the caller has room
 * for, so memory does not depend on the input.
 * MAX_RATIO: events of one shape, each different, pack 5 to 20 times, the same line again and again about 170 times;
 * only made-up data reach 500. The first FREE_BYTES are not judged. */
#include "source.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define BLOCK_BYTES ((size_t)64 << 10)
#define FREE_BYTES  (64ULL << 20)
#define MAX_RATIO   500
#define POLL_MS     100
#define GZIP_WINDOW (15 + 16) /* zlib's way to ask for gzip alone */

struct nm_source {
    struct nm_source_options options;
    unsigned char *in;
    size_t in_from, in_len;
    char *peeked;
    size_t peeked_from, peeked_len, peeked_cap;
    unsigned long long n_taken, n_unpacked;
    z_stream z;
    bool started, gzip, in_member, at_end, stopped;
};

const char *nm_source_packed_with(const char *data, size_t n)
{
    static const struct {
        const char *name, *magic;
        size_t len;
    } kinds[] = {{"gzip", "\x1F\x8B", 2},         {"bzip2", "BZh", 3},      {"xz", "\3757zXZ", 5},
                 {"zstd", "\x28\xB5\x2F\xFD", 4}, {"zip", "PK\x03\x04", 4}, {"lz4", "\x04\x22\x4D\x18", 4}};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (n >= kinds[i].len && memcmp(data, kinds[i].magic, kinds[i].len) == 0)
            return kinds[i].name;
    return NULL;
}

enum nm_status nm_source_open(const struct nm_source_options *options, struct nm_source **out, struct nm_error *err)
{
    NM_AUTO(nm_source_close) struct nm_source *source = calloc(1, sizeof *source);

    if (source) {
        source->options = *options;
        if (source->options.block_bytes == 0 || source->options.block_bytes > BLOCK_BYTES)
            source->options.block_bytes = BLOCK_BYTES;
        source->in = malloc(BLOCK_BYTES);
    }
    if (!source || !source->in)
        return nm_fail(err, NM_FATAL, "out of memory");
    *out = source;
    source = NULL;
    return NM_OK;
}

void nm_source_close(struct nm_source *source)
{
    if (!source)
        return;
    if (source->gzip)
        (void)inflateEnd(&source->z);
    free(source->in);
    free(source->peeked);
    free(source);
}

bool nm_source_stopped(const struct nm_source *source)
{
    return source->stopped;
}

bool nm_source_is_gzip(const struct nm_source *source)
{
    return source->gzip;
}

unsigned long long nm_source_taken(const struct nm_source *source)
{
    return source->n_taken;
}

static bool goes_on(struct nm_source *source)
{
    if (!source->options.idle || source->options.idle(source->options.opaque))
        return true;
    source->stopped = source->at_end = true;
    return false;
}

/* One read(2) into buf. *n 0: the end, or stopped. */
static enum nm_status read_once(struct nm_source *source, void *buf, size_t cap, size_t *n, struct nm_error *err)
{
    *n = 0;
    if (cap > source->options.block_bytes)
        cap = source->options.block_bytes;
    while (!source->at_end && goes_on(source)) {
        struct pollfd in = {.fd = source->options.fd, .events = POLLIN};
        int ready = poll(&in, 1, POLL_MS);
        ssize_t got = ready > 0 ? read(source->options.fd, buf, cap) : -1;
        if (ready == 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)))
            continue;
        if (got < 0)
            return nm_fail(err, NM_FATAL, "cannot be read: %s", strerror(errno));
        source->n_taken += (unsigned long long)got;
        *n = (size_t)got;
        /* Ctrl-C stops the writer of a pipe, too: its end is no end of the input then */
        source->at_end = got == 0 && goes_on(source);
        if (got > 0)
            return NM_OK;
    }
    return NM_OK;
}

/* Appends one read to `in`. */
static enum nm_status fill(struct nm_source *source, struct nm_error *err)
{
    size_t n = 0;

    if (source->in_from == source->in_len)
        source->in_from = source->in_len = 0;
    enum nm_status status = read_once(source, source->in + source->in_len, BLOCK_BYTES - source->in_len, &n, err);
    source->in_len += n;
    return status;
}

/* Enough to know what it is. */
static enum nm_status start(struct nm_source *source, struct nm_error *err)
{
    while (source->in_len < 2 && !source->at_end) {
        enum nm_status status = fill(source, err);
        if (status != NM_OK)
            return status;
    }
    source->started = true;
    if (source->in_len < 2 || memcmp(source->in, "\x1F\x8B", 2) != 0)
        return NM_OK;
    int code = inflateInit2(&source->z, GZIP_WINDOW);
    if (code != Z_OK)
        return nm_fail(err, NM_FATAL, "out of memory for unpacking");
    source->gzip = source->in_member = true;
    return NM_OK;
}

/* Between two members: another one, or the zeros with which tapes were filled up, or the end. */
static enum nm_status next_member(struct nm_source *source, bool *more, struct nm_error *err)
{
    *more = false;
    for (;;) {
        while (source->in_from < source->in_len && source->in[source->in_from] == 0)
            source->in_from++;
        if (source->in_from < source->in_len)
            break;
        if (source->at_end)
            return NM_OK;
        enum nm_status status = fill(source, err);
        if (status != NM_OK)
            return status;
    }
    if (source->in[source->in_from] != 0x1F)
        return nm_bad(err, "not_gzip", "there is something else than gzip behind the compressed data");
    if (inflateReset(&source->z) != Z_OK)
        return nm_fail(err, NM_FATAL, "unpacking cannot start again");
    *more = source->in_member = true;
    return NM_OK;
}

static enum nm_status unpack_failed(const struct nm_source *source, int code, struct nm_error *err)
{
    if (code == Z_MEM_ERROR)
        return nm_fail(err, NM_FATAL, "out of memory for unpacking");
    return nm_bad(err, "not_gzip", "the compressed data are damaged (%s); events before this place were read",
                  source->z.msg ? source->z.msg : "no gzip");
}

/* One inflate() of what `in` holds. */
static enum nm_status inflate_some(struct nm_source *source, void *buf, size_t cap, size_t *n, struct nm_error *err)
{
    source->z.next_in = source->in + source->in_from;
    source->z.avail_in = (uInt)(source->in_len - source->in_from);
    source->z.next_out = buf;
    source->z.avail_out = (uInt)cap;
    int code = inflate(&source->z, Z_NO_FLUSH);
    *n = cap - source->z.avail_out;
    source->in_from = source->in_len - source->z.avail_in;
    source->n_unpacked += *n;
    if (code == Z_STREAM_END)
        source->in_member = false;
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return unpack_failed(source, code, err);
    unsigned long long used = source->n_taken - source->z.avail_in;
    if (source->n_unpacked > FREE_BYTES && source->n_unpacked / MAX_RATIO > used)
        return nm_bad(err, "too_big",
                      "expands more than %d times, which no file of events does; if it is meant, use: gzip -dc FILE | "
                      "newsmill load -c FILE -",
                      MAX_RATIO);
    return NM_OK;
}

static enum nm_status unpack(struct nm_source *source, void *buf, size_t cap, size_t *n, struct nm_error *err)
{
    bool more = true;

    if (cap > BLOCK_BYTES)
        cap = BLOCK_BYTES; /* also far from the limits of zlib's counters */
    for (;;) {
        enum nm_status status = source->in_member ? NM_OK : next_member(source, &more, err);
        if (status == NM_OK && more)
            status = inflate_some(source, buf, cap, n, err); /* also without input: zlib may hold back output */
        if (status != NM_OK || !more || *n > 0)
            return status;
        if (!source->in_member || source->in_from < source->in_len)
            continue;
        if (source->at_end)
            return source->stopped ? NM_OK
                                   : nm_bad(err, "not_gzip",
                                            "the compressed data end too early; events before this place were read");
        status = fill(source, err);
        if (status != NM_OK)
            return status;
    }
}

/* The next bytes, whoever wants them. */
static enum nm_status produce(struct nm_source *source, void *buf, size_t cap, size_t *n, struct nm_error *err)
{
    enum nm_status status = NM_OK;

    *n = 0;
    if (!source->started)
        status = start(source, err);
    if (status != NM_OK)
        return status;
    if (source->gzip)
        return unpack(source, buf, cap, n, err);
    size_t held = source->in_len - source->in_from;
    if (held == 0)
        return read_once(source, buf, cap, n, err);
    *n = held < cap ? held : cap;
    memcpy(buf, source->in + source->in_from, *n);
    source->in_from += *n;
    return NM_OK;
}

enum nm_status nm_source_read(struct nm_source *source, void *buf, size_t cap, size_t *n, struct nm_error *err)
{
    size_t held = source->peeked_len - source->peeked_from;

    if (held == 0)
        return produce(source, buf, cap, n, err);
    *n = held < cap ? held : cap;
    memcpy(buf, source->peeked + source->peeked_from, *n);
    source->peeked_from += *n;
    if (source->peeked_from == source->peeked_len) { /* a look happens once, at the beginning */
        free(source->peeked);
        source->peeked = NULL;
        source->peeked_from = source->peeked_len = source->peeked_cap = 0;
    }
    return NM_OK;
}

enum nm_status nm_source_peek(struct nm_source *source, size_t want, const char **data, size_t *n, struct nm_error *err)
{
    enum nm_status status = NM_OK;

    while (status == NM_OK && source->peeked_len - source->peeked_from < want) {
        size_t got = 0;
        if (source->peeked_cap - source->peeked_len < BLOCK_BYTES) {
            size_t cap = source->peeked_cap ? source->peeked_cap * 2 : BLOCK_BYTES * 2;
            char *grown = realloc(source->peeked, cap);
            if (!grown)
                return nm_fail(err, NM_FATAL, "out of memory");
            source->peeked = grown;
            source->peeked_cap = cap;
        }
        status = produce(source, source->peeked + source->peeked_len, BLOCK_BYTES, &got, err);
        source->peeked_len += got;
        if (got == 0)
            break;
    }
    *data = source->peeked ? source->peeked + source->peeked_from : "";
    *n = source->peeked_len - source->peeked_from;
    return status;
}
