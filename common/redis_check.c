/* redis_check.c - is this a Redis that keeps what it acknowledged? Asked once per connection.
 *
 * An eviction policy other than noeviction deletes state behind our back, and lazyfree-lazy-expire off makes a large
 * expired key block every worker; both are refused unless redis.allowUnsafe says that the operator knows. Cluster mode
 * is refused because one `wm` cannot follow many shards. */
#include "redis_internal.h"

#include <stdio.h>
#include <string.h>

/* The value in a CONFIG GET reply; NULL where the server did not tell (renamed command, no permission). */
static const char *config_value(const struct nm_reply *reply)
{
    const struct nm_reply *value = nm_reply_at(reply, 1);
    return value->type == NM_REPLY_STR ? value->str : NULL;
}

/* The value of "name:value\r\n" in an INFO reply, up to size-1 bytes; "" where it is missing. */
static void info_value(const struct nm_reply *info, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);
    out[0] = '\0';
    if (info->type != NM_REPLY_STR)
        return;
    for (const char *line = info->str; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
        if (strncmp(line, name, name_len) != 0 || line[name_len] != ':')
            continue;
        size_t len = strcspn(line + name_len + 1, "\r\n");
        if (len >= size)
            len = size - 1;
        memcpy(out, line + name_len + 1, len);
        out[len] = '\0';
        return;
    }
}

static void config_get(struct nm_pipe *pipe, const char *name)
{
    (void)nm_pipe_command(pipe, 3);
    nm_pipe_str(pipe, "CONFIG");
    nm_pipe_str(pipe, "GET");
    nm_pipe_str(pipe, name);
}

static void info(struct nm_pipe *pipe, const char *section)
{
    (void)nm_pipe_command(pipe, 2);
    nm_pipe_str(pipe, "INFO");
    nm_pipe_str(pipe, section);
}

static enum nm_status judge(const struct nm_pipe *pipe, bool allow_unsafe, char *warning, struct nm_error *err)
{
    char policy[32], role[16], cluster[8];
    const struct nm_reply *first = nm_pipe_reply(pipe, 2);
    if (first->type == NM_REPLY_ERROR)
        return nm_fail(err, nm_redis_classify(first->str) == NM_RETRY ? NM_RETRY : NM_CONFIG, "Redis: %s", first->str);
    info_value(nm_pipe_reply(pipe, 2), "maxmemory_policy", policy, sizeof policy);
    info_value(nm_pipe_reply(pipe, 3), "role", role, sizeof role);
    info_value(nm_pipe_reply(pipe, 4), "cluster_enabled", cluster, sizeof cluster);
    if (strcmp(cluster, "1") == 0)
        return nm_fail(err, NM_CONFIG,
                       "Redis runs in cluster mode, which this version cannot use (one watermark cannot follow "
                       "many shards): point redis.url at a single primary with replicas");
    if (strcmp(role, "slave") == 0)
        return nm_fail(err, NM_RETRY,
                       "this Redis is a replica: point redis.url at the primary, or wait for its promotion");
    const char *told = config_value(nm_pipe_reply(pipe, 0));
    const char *lazy = config_value(nm_pipe_reply(pipe, 1));
    if (told)
        (void)snprintf(policy, sizeof policy, "%s", told);
    char problem[200] = "";
    if (policy[0] && strcmp(policy, "noeviction") != 0)
        (void)snprintf(problem, sizeof problem, "maxmemory-policy is %s and may delete state: set it to noeviction",
                       policy);
    else if (lazy && strcmp(lazy, "yes") != 0)
        (void)snprintf(problem, sizeof problem, "lazyfree-lazy-expire is %s: set it to yes (large keys expire here)",
                       lazy);
    if (problem[0] && !allow_unsafe)
        return nm_fail(err, NM_CONFIG, "Redis: %s, or allow it with redis.allowUnsafe: true", problem);
    if (warning)
        (void)snprintf(warning, 300, "%s", problem);
    return NM_OK;
}

enum nm_status nm_redis_check_server(struct nm_redis *redis, bool allow_unsafe, char *warning, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    config_get(&pipe, "maxmemory-policy");
    config_get(&pipe, "lazyfree-lazy-expire");
    info(&pipe, "memory");
    info(&pipe, "replication");
    info(&pipe, "cluster");
    enum nm_status status = nm_redis_roundtrip(redis, &pipe, err);
    if (status == NM_OK)
        status = judge(&pipe, allow_unsafe, warning, err);
    nm_pipe_clear(&pipe);
    return status;
}
