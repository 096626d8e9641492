/* fake_redis.h - a Redis server of the test itself, in a thread, on a free loopback port.
 *
 * It answers by rules: the first one whose words begin the command (words joined by one space, case as sent). What no
 * rule answers gets what a healthy primary would say to the commands that nm_redis_open() sends, else +OK.
 * Several connections may come one after the other; each is served to its end before the next. Never uses cmocka: its
 * assertions belong to the test's thread. */
#ifndef FAKE_REDIS_H
#define FAKE_REDIS_H

#include "newsmill/settings.h"

#include <stddef.h>

enum fake_then {
    FAKE_GO_ON, /* reads the next command                          */
    FAKE_CLOSE, /* closes the connection after `reply`             */
    FAKE_HANG,  /* after `reply` nothing more, until the peer ends */
};

struct fake_rule {
    const char *command; /* NULL: ends the table */
    const char *reply;   /* RESP as it stands; "" for nothing */
    enum fake_then then;
};

struct fake_redis;
/* `rules` may be NULL and is borrowed. Aborts the test program when there is no socket. */
struct fake_redis *fake_redis_start(const struct fake_rule *rules);
int fake_redis_port(const struct fake_redis *fake);
/* How many commands were read, and connections taken, so far. */
size_t fake_redis_commands(struct fake_redis *fake);
size_t fake_redis_connections(struct fake_redis *fake);
size_t fake_redis_longest_word(struct fake_redis *fake); /* bytes */
void fake_redis_stop(struct fake_redis *fake);           /* ends the thread and frees */

/* A port on which nothing listens. */
int fake_closed_port(void);

/* Settings for nm_redis_open(): redis://<userinfo>127.0.0.1:<port>/0, with time limits of 1 s to connect and
 * `timeout_ms` for commands. `url` is the caller's room for the text. */
struct nm_settings fake_settings(char url[200], const char *userinfo, int port, long long timeout_ms);

#endif
