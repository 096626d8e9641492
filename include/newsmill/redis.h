/* redis.h - one Redis connection, used in pipelines: one round trip carries the commands of a whole batch.
 *
 * A pipe collects commands (already as RESP) and, after nm_redis_exec() or between nm_redis_submit() and
 * nm_pipe_done(), their replies. Replies are decoded into an arena of the pipe (redis_decode.c) and live until the pipe
 * is reset or sent again. Several pipes may be in flight on a connection; they are answered in the order of their
 * submission. Everything has a time limit. A connection that failed in any way is closed at once and never used again:
 * a timed-out reply would be read as the answer to a later command. Whoever sees NM_RETRY must assume that any prefix
 * of the pipes in flight was applied, and that the Redis behind the next connection may have lost its last writes. One
 * thread at a time per connection and the pipes in flight on it; other pipes are independent. */
#ifndef NEWSMILL_REDIS_H
#define NEWSMILL_REDIS_H

#include "newsmill/buf.h"
#include "newsmill/settings.h"
#include "newsmill/status.h"

#include <stdint.h>

/* A Lua script, sent as EVALSHA. `sha` is filled by nm_redis_load(). */
struct nm_script {
    const char *name, *source;
    char sha[41];
    char *owned; /* source, where nm_script_write() made it */
};

/* source = parameters (lines of Lua that set them), then `shared`, then `body`. Parameters that are written into it
 * cost no argument in each call; instances with other options load other scripts. What was written before is freed.
 * NM_FATAL: out of memory, `source` is NULL. */
NM_MUST_USE enum nm_status nm_script_write(struct nm_script *script, const char *parameters, const char *shared,
                                           const char *body, struct nm_error *err);
void nm_script_clear(struct nm_script *script); /* frees what was written */

enum nm_reply_type { NM_REPLY_NIL, NM_REPLY_INT, NM_REPLY_STR, NM_REPLY_ARRAY, NM_REPLY_STATUS, NM_REPLY_ERROR };

struct nm_reply {
    union {
        const char *str;                /* STR, STATUS, ERROR; INT: its digits; NIL: "". NUL-terminated */
        const struct nm_reply *element; /* ARRAY */
    };
    uint32_t len; /* bytes of str, or elements of an array */
    enum nm_reply_type type;
};

struct nm_pipe {
    struct nm_buf request; /* of the arena's pool, if it has one, until it is answered */
    size_t n_commands;
    struct nm_arena arena;  /* of the replies */
    struct nm_reply *reply; /* n_commands of them once the pipe is done */
    size_t reply_cap;
    /* of the connection, while the pipe is in flight */
    struct nm_pipe *next; /* submitted after this one */
    size_t n_replies;
    int64_t limit_ms;
    bool in_flight, done, takes_errors;
};

/* Neither of the two, nor a further command, while the pipe is in flight: that is a bug, and asserted. Who gives up
 * pipes in flight closes the connection first. */
void nm_pipe_reset(struct nm_pipe *pipe); /* forgets commands and replies, keeps the memory */
void nm_pipe_clear(struct nm_pipe *pipe); /* frees */

/* Starts a command of `n_args` arguments, its name included; then exactly n_args calls of the three below.
 * Returns the command's index, which is the index of its reply. */
size_t nm_pipe_command(struct nm_pipe *pipe, size_t n_args);
void nm_pipe_arg(struct nm_pipe *pipe, const void *data, size_t len);
void nm_pipe_str(struct nm_pipe *pipe, const char *text);
void nm_pipe_int(struct nm_pipe *pipe, long long value);
/* Starts EVALSHA of a loaded script; then n_keys + n_args calls. Returns the command's index. */
size_t nm_pipe_script(struct nm_pipe *pipe, const struct nm_script *script, size_t n_keys, size_t n_args);

/* True when every reply is there and none is an error: after nm_redis_exec() returned NM_OK, or once nm_redis_advance()
 * brought the last reply of a submitted pipe. False again from nm_pipe_reset() or the next submission on. */
bool nm_pipe_done(const struct nm_pipe *pipe);

/* The i-th reply of a pipe that is done; never NULL, never an error. */
const struct nm_reply *nm_pipe_reply(const struct nm_pipe *pipe, size_t i);
/* Element i of an array reply; a NIL reply where there is none. */
const struct nm_reply *nm_reply_at(const struct nm_reply *reply, size_t i);
/* The number in an INT reply or a STR of decimal digits (64 bits, exact); `def` where it is neither. */
int64_t nm_reply_int(const struct nm_reply *reply, int64_t def);

struct nm_redis;

/* Connects, authenticates, selects the database of the URL. NM_RETRY: not reachable, still loading, or a replica;
 * NM_CONFIG: refused credentials, a certificate that cannot be verified or read, no TLS on either side where the other
 * wants it, cluster mode, or an unsafe policy (maxmemory-policy other than noeviction, lazyfree-lazy-expire off) unless
 * allowUnsafe. *warning (may be NULL; 300 bytes) gets what allowUnsafe let pass, else "". */
NM_MUST_USE enum nm_status nm_redis_open(const struct nm_settings *settings, struct nm_redis **out, char *warning,
                                         struct nm_error *err);
/* NULL is fine. Pipes in flight are abandoned: their owners may reset or clear them from then on. */
void nm_redis_close(struct nm_redis *redis);
NM_DEFINE_CLEANUP(struct nm_redis, nm_redis_close)

/* Loads scripts and fills their sha. NM_RETRY as exec; NM_FATAL: the server refuses the source (a bug). */
NM_MUST_USE enum nm_status nm_redis_load(struct nm_redis *redis, struct nm_script *const *scripts, size_t n_scripts,
                                         struct nm_error *err);

/* Queues the pipe behind those in flight and writes what the socket takes now; never waits. From NM_OK on the pipe
 * belongs to the connection, until nm_pipe_done() or until the connection failed or was closed. An empty pipe is done
 * at once, also on a closed connection. Allocates nothing once the pipe has had as many commands before.
 * NM_RETRY: the connection is closed or failed in writing (then as for nm_redis_advance()). NM_FATAL: out of memory;
 * nothing was queued and the connection is as before. */
NM_MUST_USE enum nm_status nm_redis_submit(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err);

/* Writes what the socket takes and reads what it gives, now; never waits. Completes pipes in the order of their
 * submission. To be called when nm_redis_fd() is readable (or writable, where nm_redis_wants_write()), and when
 * nm_redis_deadline_ms() has passed; with nothing in flight it only looks whether the server closed the connection.
 * A pipe's time limit is redis.commandTimeoutMs (longer for one above 1 MiB: that time for each MiB), counted from its
 * submission, but not before the pipe ahead of it was answered; what lies in the socket already is in time.
 * Anything but NM_OK: the connection is closed, every pipe in flight is abandoned (not done, its owner's again), and a
 * prefix of their commands may have been applied; pipes that were completed before keep their replies.
 * NM_RETRY: the connection failed, the time ran out, or a reply says that this server cannot serve now (LOADING
 * READONLY MASTERDOWN NOREPLICAS OOM MISCONF BUSY NOSCRIPT CLUSTERDOWN TRYAGAIN). NM_CONFIG: NOAUTH, NOPERM, WRONGPASS,
 * MOVED (cluster). NM_FATAL: WRONGTYPE or a script error, which is a bug or a foreign key in our namespace. */
NM_MUST_USE enum nm_status nm_redis_advance(struct nm_redis *redis, struct nm_error *err);

/* What to wait for between two calls of nm_redis_advance(): the socket (-1: closed) to be readable, and writable too
 * where something is still to be written; not longer than until the deadline of the oldest pipe in flight, which is
 * the next to pass (boot time, nm_boottime_ms(); INT64_MAX: nothing is in flight). */
int nm_redis_fd(const struct nm_redis *redis);
bool nm_redis_wants_write(const struct nm_redis *redis);
int64_t nm_redis_deadline_ms(const struct nm_redis *redis);
size_t nm_redis_in_flight(const struct nm_redis *redis); /* pipes */

/* nm_redis_submit(), then nm_redis_advance() until this pipe is done; pipes submitted earlier are completed on the
 * way. NM_OK only when no reply is an error; else the statuses and consequences of those two. */
NM_MUST_USE enum nm_status nm_redis_exec(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err);

/* nm_redis_advance() until nothing is in flight. */
NM_MUST_USE enum nm_status nm_redis_settle(struct nm_redis *redis, struct nm_error *err);

/* Looks without waiting whether the server closed the connection, or said something unasked; with pipes in flight it
 * advances them. False: it is closed now (why is not told: with pipes in flight nm_redis_advance() serves better). */
bool nm_redis_probe(struct nm_redis *redis);

/* True until something failed; after that every exec returns NM_RETRY. */
bool nm_redis_alive(const struct nm_redis *redis);

#endif
