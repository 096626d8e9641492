/* redis_internal.h - what the files of the Redis client share. */
#ifndef NM_REDIS_INTERNAL_H
#define NM_REDIS_INTERNAL_H

#include "newsmill/redis.h"

#include <hiredis/hiredis.h>

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

/* Like nm_redis_exec(), but error replies reach the caller (type NM_REPLY_ERROR). */
NM_MUST_USE enum nm_status nm_redis_roundtrip(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err);

/* Refuses a server that could lose or delete state by itself; see nm_redis_open(). */
NM_MUST_USE enum nm_status nm_redis_check_server(struct nm_redis *redis, bool allow_unsafe, char *warning,
                                                 struct nm_error *err);

#endif
