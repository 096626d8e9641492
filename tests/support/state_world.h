/* state_world.h - what the tests of Lua scripts share: one real Redis, a seeded choice, one script call at a time.
 *
 * The seed is printed; NM_SEED=n runs the same choices again. */
#ifndef STATE_WORLD_H
#define STATE_WORLD_H

#include "newsmill/redis.h"

#include <stdint.h>

struct state_world {
    struct real_redis *server;
    struct nm_redis *redis;
    struct nm_pipe pipe;
    uint64_t random;
    char url[200];
};

/* Starts Redis, connects, loads the scripts. Fails the test when that does not work. */
void state_world_open(struct state_world *world, struct nm_script *const *scripts, size_t n_scripts);
void state_world_close(struct state_world *world);
void state_world_flush(struct state_world *world); /* forgets every key */

/* A number from 0 to n-1. */
unsigned state_world_pick(struct state_world *world, unsigned n);

/* Calls a script with one key and arguments (ended by NULL); the reply lives until the next call. *before_us and
 * *after_us (may be NULL) enclose the TIME that the script saw. */
const struct nm_reply *state_world_call(struct state_world *world, const struct nm_script *script, const char *key,
                                        const char *const *args, int64_t *before_us, int64_t *after_us);
/* Runs one command of words (ended by NULL). */
const struct nm_reply *state_world_run(struct state_world *world, const char *const *words);
/* A field of a hash; "" where it is missing. Lives until the next call. */
const char *state_world_field(struct state_world *world, const char *key, const char *name);

#endif
