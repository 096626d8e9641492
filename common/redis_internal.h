/* redis_internal.h - what the files of the Redis client share. */
#ifndef NM_REDIS_INTERNAL_H
#define NM_REDIS_INTERNAL_H

#include "newsmill/redis.h"

#include <hiredis/hiredis.h>
#include <sys/uio.h>

/* Object functions for hiredis' reader: replies go into the arena of the pipe in `privdata`. */
extern redisReplyObjectFunctions nm_redis_arena_functions;

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

/* ---- the socket: redis_link.c ---- */

struct nm_link {
    int fd; /* -1: closed */
};

/* Both move what the socket gives or takes now, in *n; 0: it would have to wait. NM_RETRY: closed or broken. A read
 * that does not fill `size` has taken everything that was there. */
NM_MUST_USE enum nm_status nm_link_read(struct nm_link *link, void *data, size_t size, size_t *n, struct nm_error *err);
NM_MUST_USE enum nm_status nm_link_write(struct nm_link *link, const struct iovec *part, int n_parts, size_t *n,
                                         struct nm_error *err);
void nm_link_close(struct nm_link *link);

/* ---- the connection: redis.c opens it, redis_flow.c moves pipes over it ---- */

enum { NM_REDIS_READ_BYTES = 256 * 1024 };

struct nm_redis {
    struct nm_link link;
    redisReader *reader;
    int command_timeout_ms;
    /* pipes in flight, oldest first; `unsent` is the first one that is not wholly written, of it `written` bytes are */
    struct nm_pipe *first, *last, *unsent;
    size_t n_in_flight, written;
    int64_t deadline_ms;    /* of `first` */
    long long answer_bytes; /* read of the answer to `first` */
    char read_buffer[NM_REDIS_READ_BYTES];
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
