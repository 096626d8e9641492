/* state_world.c - see state_world.h. Uses cmocka's assertions, so it belongs to the thread of the test. */
#include "state_world.h"
#include "fake_redis.h"
#include "real_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static uint64_t seed(void)
{
    const char *given = getenv("NM_SEED");
    uint64_t value = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("seed: NM_SEED=%llu\n", (unsigned long long)value);
    return value * 0x9E3779B97F4A7C15u | 1;
}

void state_world_open(struct state_world *world, struct nm_script *const *scripts, size_t n_scripts)
{
    *world = (struct state_world){.random = seed()};
    world->server = real_redis_start(NULL);
    struct nm_settings settings = fake_settings(world->url, "", real_redis_port(world->server), 10000);
    struct nm_error err = {0};
    if (nm_redis_open(&settings, &world->redis, NULL, &err) != NM_OK ||
        nm_redis_load(world->redis, scripts, n_scripts, &err) != NM_OK)
        fail_msg("%s", err.msg);
}

void state_world_close(struct state_world *world)
{
    nm_pipe_clear(&world->pipe);
    nm_redis_close(world->redis);
    real_redis_stop(world->server);
}

void state_world_flush(struct state_world *world)
{
    (void)state_world_run(world, (const char *const[]){"FLUSHALL", NULL});
}

unsigned state_world_pick(struct state_world *world, unsigned n)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (unsigned)((world->random >> 11) % n);
}

static size_t count(const char *const *words)
{
    size_t n = 0;
    while (words[n])
        n++;
    return n;
}

static void add_time(struct state_world *world)
{
    (void)nm_pipe_command(&world->pipe, 1);
    nm_pipe_str(&world->pipe, "TIME");
}

static int64_t time_us(const struct nm_reply *reply)
{
    return nm_reply_int(nm_reply_at(reply, 0), 0) * 1000000 + nm_reply_int(nm_reply_at(reply, 1), 0);
}

static void exec(struct state_world *world)
{
    struct nm_error err = {0};
    if (nm_redis_exec(world->redis, &world->pipe, &err) != NM_OK)
        fail_msg("%s", err.msg);
}

const struct nm_reply *state_world_call(struct state_world *world, const struct nm_script *script, const char *key,
                                        const char *const *args, int64_t *before_us, int64_t *after_us)
{
    size_t n = count(args);
    nm_pipe_reset(&world->pipe);
    add_time(world);
    (void)nm_pipe_script(&world->pipe, script, 1, n);
    nm_pipe_str(&world->pipe, key);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(&world->pipe, args[i]);
    add_time(world);
    exec(world);
    if (before_us)
        *before_us = time_us(nm_pipe_reply(&world->pipe, 0));
    if (after_us)
        *after_us = time_us(nm_pipe_reply(&world->pipe, 2));
    return nm_pipe_reply(&world->pipe, 1);
}

const struct nm_reply *state_world_run(struct state_world *world, const char *const *words)
{
    size_t n = count(words);
    nm_pipe_reset(&world->pipe);
    (void)nm_pipe_command(&world->pipe, n);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(&world->pipe, words[i]);
    exec(world);
    return nm_pipe_reply(&world->pipe, 0);
}

const char *state_world_field(struct state_world *world, const char *key, const char *name)
{
    return state_world_run(world, (const char *const[]){"HGET", key, name, NULL})->str;
}
