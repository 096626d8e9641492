/* pipe_checks.h - what must hold of pipes on any connection, plain or TLS; fails the running test where it does not. */
#ifndef PIPE_CHECKS_H
#define PIPE_CHECKS_H

#include "newsmill/redis.h"

/* One command of up to four words; NULL behind the last. */
void pipe_add(struct nm_pipe *pipe, const char *a, const char *b, const char *c, const char *d);

/* Waits for the socket until the oldest pipe's deadline, then moves what it takes and gives. */
NM_MUST_USE enum nm_status pipe_wait_and_advance(struct nm_redis *redis, struct nm_error *err);

/* n_pipes of n_commands (an even number) each, all submitted before one answer is read; about 200 bytes each way for a
 * command. Every reply must be there, in its place. The key "counter" must not exist. */
void pipe_check_many(struct nm_redis *redis, size_t n_pipes, size_t n_commands);

/* One value of 20 MiB there and back. */
void pipe_check_large_value(struct nm_redis *redis);

#endif
