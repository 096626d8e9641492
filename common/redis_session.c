/* redis_session.c - what must hold after each connection to Redis: the scripts are there, its clock is not behind what
 * was sent, and the keys have a layout that this version reads. */
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <string.h>

/* Rule 10: revisions come from Redis' TIME, so a server whose clock is behind what was already sent must be waited for.
 */
static enum nm_status check_clock(struct nm_runtime *rt, struct nm_redis *redis, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    (void)nm_pipe_command(&pipe, 1);
    nm_pipe_str(&pipe, "TIME");
    enum nm_status status = nm_redis_exec(redis, &pipe, err);
    if (status == NM_OK) {
        const struct nm_reply *time = nm_pipe_reply(&pipe, 0);
        int64_t now_us = nm_reply_int(nm_reply_at(time, 0), 0) * 1000000 + nm_reply_int(nm_reply_at(time, 1), 0);
        if (now_us <= rt->max_revision)
            status =
                nm_fail(err, NM_RETRY,
                        "the clock of Redis is %" PRId64 " ms behind the newest revision that was sent: waiting for it",
                        (rt->max_revision - now_us) / 1000 + 1);
    }
    nm_pipe_clear(&pipe);
    return status;
}

/* The marker of the key layout: written once, never changed. */
static enum nm_status check_format(struct nm_runtime *rt, struct nm_redis *redis, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    struct nm_buf key = {0};
    nm_buf_addf(&key, "%s:format", rt->settings.ns);
    (void)nm_pipe_command(&pipe, 4);
    nm_pipe_str(&pipe, "SET");
    nm_pipe_str(&pipe, nm_buf_str(&key));
    nm_pipe_str(&pipe, "newsmill/1");
    nm_pipe_str(&pipe, "NX");
    (void)nm_pipe_command(&pipe, 2);
    nm_pipe_str(&pipe, "GET");
    nm_pipe_str(&pipe, nm_buf_str(&key));
    enum nm_status status = nm_redis_exec(redis, &pipe, err);
    if (status == NM_OK && strcmp(nm_pipe_reply(&pipe, 1)->str, "newsmill/1") != 0)
        status = nm_fail(err, NM_CONFIG, "the keys of namespace %s have format '%.40s', this version reads newsmill/1",
                         rt->settings.ns, nm_pipe_reply(&pipe, 1)->str);
    nm_pipe_clear(&pipe);
    nm_buf_clear(&key);
    return status;
}

enum nm_status nm_redis_reconnect(struct nm_runtime *rt, struct nm_error *err)
{
    if (nm_redis_alive(rt->redis))
        return NM_OK;
    nm_redis_close(rt->redis);
    rt->redis = NULL;
    char warning[300] = "";
    NM_AUTO(nm_redis_close) struct nm_redis *redis = NULL;
    enum nm_status status = nm_redis_open(&rt->settings, &redis, warning, err);
    nm_observe_beat(rt);
    if (status == NM_OK)
        status = nm_redis_load(redis, rt->scripts, rt->n_scripts, err);
    if (status == NM_OK)
        status = check_clock(rt, redis, err);
    nm_observe_beat(rt);
    if (status == NM_OK)
        status = check_format(rt, redis, err);
    if (status == NM_OK && rt->worker->connected)
        status = rt->worker->connected(rt->ctx, redis, err);
    if (status != NM_OK)
        return status;
    if (warning[0])
        nm_log(NM_WARN, "redis.unsafe", "%s (redis.allowUnsafe)", warning);
    rt->redis = redis;
    rt->redis_connects++;
    redis = NULL;
    return NM_OK;
}
