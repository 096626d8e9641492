/* redis.h - one Redis connection, used in pipelines: one round trip carries the commands of a whole batch.
 *
 * A pipe collects commands (already as RESP) and, after nm_redis_exec(), their replies. Replies are decoded by
 * hiredis' reader into an arena of the pipe, not into an object per element (reliability: reply objects were two
 * thirds of a worker's CPU), and live until the pipe is reset or executed again.
 * Everything has a time limit. A connection that failed in any way is closed at once and never used again: a timed-out
 * reply would be read as the answer to a later command. Whoever sees NM_RETRY must assume that any prefix of the pipe
 * was applied, and that the Redis behind the next connection may have lost its last writes. One thread at a time per
 * connection; pipes are independent. */
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
};

enum nm_reply_type { NM_REPLY_NIL, NM_REPLY_INT, NM_REPLY_STR, NM_REPLY_ARRAY, NM_REPLY_STATUS, NM_REPLY_ERROR };

struct nm_reply {
    enum nm_reply_type type;
    long long integer;
    const char *str; /* STR, STATUS, ERROR: NUL-terminated */
    size_t len;      /* bytes of str, or elements of an array */
    struct nm_reply **element;
};

struct nm_pipe {
    struct nm_buf request;
    size_t n_commands;
    struct nm_arena arena;
    struct nm_reply **reply; /* n_commands of them after a successful exec */
    size_t reply_cap;
};

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

/* The i-th reply; never NULL after a successful exec. An error reply never reaches the caller of exec. */
const struct nm_reply *nm_pipe_reply(const struct nm_pipe *pipe, size_t i);
/* Element i of an array reply; a NIL reply where there is none. */
const struct nm_reply *nm_reply_at(const struct nm_reply *reply, size_t i);
/* The number in an INT reply or a STR of decimal digits (exact up to 2^63-1); `def` where it is neither. */
int64_t nm_reply_int(const struct nm_reply *reply, int64_t def);

struct nm_redis;

/* Connects, authenticates, selects the database of the URL. NM_RETRY: not reachable, still loading, or a replica;
 * NM_CONFIG: refused credentials, rediss:// without TLS in this build, cluster mode, or an unsafe policy
 * (maxmemory-policy other than noeviction, lazyfree-lazy-expire off) unless allowUnsafe. *warning (may be NULL; 300
 * bytes) gets what allowUnsafe let pass, else "". */
NM_MUST_USE enum nm_status nm_redis_open(const struct nm_settings *settings, struct nm_redis **out, char *warning,
                                         struct nm_error *err);
void nm_redis_close(struct nm_redis *redis); /* NULL is fine */
NM_DEFINE_CLEANUP(struct nm_redis, nm_redis_close)

/* Loads scripts and fills their sha. NM_RETRY as exec; NM_FATAL: the server refuses the source (a bug). */
NM_MUST_USE enum nm_status nm_redis_load(struct nm_redis *redis, struct nm_script *const *scripts, size_t n_scripts,
                                         struct nm_error *err);

/* Sends the pipe and reads every reply, within redis.commandTimeoutMs (for the whole pipe, longer for one above 1 MiB:
 * that time for each MiB). NM_OK only when no reply is an error. NM_RETRY: the connection failed, the time ran out, or
 * a reply says that this server cannot serve now (LOADING READONLY MASTERDOWN NOREPLICAS OOM MISCONF BUSY NOSCRIPT
 * CLUSTERDOWN TRYAGAIN): the connection is closed, a prefix may have been applied. NM_CONFIG: NOAUTH, NOPERM,
 * WRONGPASS, MOVED (cluster). NM_FATAL: WRONGTYPE or a script error, which is a bug or a foreign key in our namespace.
 * Nothing is sent for an empty pipe. */
NM_MUST_USE enum nm_status nm_redis_exec(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err);

/* Looks whether the server closed the connection while it was not used, without waiting. False: it is closed now. */
bool nm_redis_probe(struct nm_redis *redis);

/* True until something failed; after that every exec returns NM_RETRY. */
bool nm_redis_alive(const struct nm_redis *redis);

#endif
