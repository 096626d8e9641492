/* real_redis.h - a redis-server that the test starts on a free loopback port, in a temporary folder, without saving.
 *
 * It dies with the test program (also when that is killed). Aborts the program when it cannot be started. */
#ifndef REAL_REDIS_H
#define REAL_REDIS_H

struct real_redis;
/* `extra`: more command line arguments of redis-server, ended by NULL; NULL: none. Returns when it answers.
 * With --tls-cert-file among them it has a second port, for TLS. */
struct real_redis *real_redis_start(const char *const *extra);
int real_redis_port(const struct real_redis *redis);
int real_redis_tls_port(const struct real_redis *redis); /* 0: none */
void real_redis_signal(const struct real_redis *redis, int number);
void real_redis_stop(struct real_redis *redis); /* ends it, removes its folder, frees */

#endif
