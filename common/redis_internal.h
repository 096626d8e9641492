/* redis_internal.h - what the files of the Redis client share. */
#ifndef NM_REDIS_INTERNAL_H
#define NM_REDIS_INTERNAL_H

#include "newsmill/redis.h"

#include <sys/uio.h>

/* Where a Redis URL points to. */
struct nm_redis_url {
    char host[256], user[260], password[520];
    int port, db;
    bool tls;
};
/* redis://[user[:password]@]host[:port][/db]; rediss:// likewise; parts percent-decoded; [v6] addresses in brackets.
 * NM_CONFIG. */
NM_MUST_USE enum nm_status nm_redis_url_parse(const char *text, struct nm_redis_url *out, struct nm_error *err);

/* What an error reply asks for, by its first word; NM_FATAL for one that is not known. */
enum nm_status nm_redis_classify(const char *error_reply);

/* ---- the socket: redis_link.c; TLS on it: redis_tls.c ---- */

struct nm_tls;

struct nm_link {
    int fd;             /* -1: closed */
    struct nm_tls *tls; /* NULL: plain */
};

/* Both move what the socket gives or takes now, in *n; 0: it would have to wait. *more: a read may give more at once,
 * without waiting for the socket. NM_RETRY: closed or broken; NM_CONFIG: the server refuses this client's certificate.
 */
NM_MUST_USE enum nm_status nm_link_read(struct nm_link *link, void *data, size_t size, size_t *n, bool *more,
                                        struct nm_error *err);
NM_MUST_USE enum nm_status nm_link_write(struct nm_link *link, const struct iovec *part, int n_parts, size_t *n,
                                         struct nm_error *err);
/* A read has to write first (TLS only). */
bool nm_link_wants_write(const struct nm_link *link);
void nm_link_close(struct nm_link *link);

/* TLS 1.2 or newer on a connected socket that does not block, which stays the caller's; waits for the handshake until
 * `deadline_ms` (boot time). The server's certificate must be signed by the authorities of redis.caFile, else of the
 * system, and made for the host of the URL, a name or an address. NM_CONFIG: it is not, a file cannot be used, or the
 * other end wants another certificate or version, or is no TLS server. NM_RETRY: the connection broke or took too
 * long. */
NM_MUST_USE enum nm_status nm_tls_open(int fd, const struct nm_redis_url *url, const struct nm_settings *settings,
                                       int64_t deadline_ms, struct nm_tls **out, struct nm_error *err);
void nm_tls_close(struct nm_tls *tls);
/* As their namesakes for a link. */
NM_MUST_USE enum nm_status nm_tls_read(struct nm_tls *tls, void *data, size_t size, size_t *n, struct nm_error *err);
NM_MUST_USE enum nm_status nm_tls_write(struct nm_tls *tls, const void *data, size_t len, size_t *n,
                                        struct nm_error *err);
bool nm_tls_wants_write(const struct nm_tls *tls);

/* ---- replies: redis_decode.c ---- */

enum { NM_DECODER_DEPTH = 6 }; /* arrays around an element */

/* What is half read. Zeroed before the first reply that goes into an arena. */
struct nm_decoder {
    struct nm_arena *arena;
    char *text; /* strings are packed into this piece of the arena */
    size_t text_left;
    char *fill; /* the string that is half read goes on here; NULL: none is */
    size_t fill_left;
    struct {
        struct nm_reply *next, *stop;
    } open[NM_DECODER_DEPTH];
    size_t depth;
    const char *why; /* it was refused */
};

/* Takes bytes from *at up to `end` (whose byte is readable and no digit) and moves *at behind them. *whole: they end a
 * reply, which stands in *out, what it refers to in `arena`. Else all were taken but for the beginning of a line, a few
 * bytes (64 KiB of a status or an error), which have to come again with more behind them, and with the same `out`.
 * NM_RETRY: no Redis sends this, or out of memory; the decoder is not to be used again. */
NM_MUST_USE enum nm_status nm_decode(struct nm_decoder *decoder, struct nm_arena *arena, const char **at,
                                     const char *end, struct nm_reply *out, bool *whole, struct nm_error *err);

/* ---- the connection: redis.c opens it, redis_flow.c moves pipes over it ---- */

enum { NM_REDIS_READ_BYTES = 256 * 1024 };

struct nm_redis {
    struct nm_link link;
    struct nm_decoder decoder; /* of the answer to `first` */
    int command_timeout_ms;
    /* pipes in flight, oldest first; `unsent` is the first one that is not wholly written, of it `written` bytes are */
    struct nm_pipe *first, *last, *unsent;
    size_t n_in_flight, written;
    int64_t deadline_ms;    /* of `first` */
    long long answer_bytes; /* read of the answer to `first` */
    bool answered;          /* anything, ever */
    size_t rest;            /* bytes of read_buffer that are not decoded: the beginning of a line */
    char read_buffer[NM_REDIS_READ_BYTES + 1];
};

/* A connection on a non-blocking socket that is connected already; takes it, also on failure. NM_FATAL: no memory. */
NM_MUST_USE enum nm_status nm_redis_adopt(int fd, int command_timeout_ms, struct nm_redis **out, struct nm_error *err);
void nm_redis_disconnect(struct nm_redis *redis); /* abandons what is in flight */

/* Like nm_redis_exec(), but error replies reach the caller (type NM_REPLY_ERROR). */
NM_MUST_USE enum nm_status nm_redis_roundtrip(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err);

/* Refuses a server that could lose or delete state by itself; see nm_redis_open(). */
NM_MUST_USE enum nm_status nm_redis_check_server(struct nm_redis *redis, bool allow_unsafe, char *warning,
                                                 struct nm_error *err);

#endif
