/* redis.c - opens a connection: connect, log in, check, load the scripts. What then happens on it: redis_flow.c.
 *
 * hiredis connects; then its socket is taken from it, since reading and writing are done by ourselves. */
#include "newsmill/redis.h"
#include "newsmill/clock.h"
#include "redis_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum nm_status nm_script_write(struct nm_script *script, const char *parameters, const char *shared, const char *body,
                               struct nm_error *err)
{
    struct nm_buf source = {0};
    nm_script_clear(script);
    nm_buf_adds(&source, parameters);
    nm_buf_adds(&source, shared);
    nm_buf_adds(&source, body);
    script->source = script->owned = nm_buf_take(&source);
    return script->owned ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for script %s", script->name);
}

void nm_script_clear(struct nm_script *script)
{
    free(script->owned);
    script->source = script->owned = NULL;
}

enum nm_status nm_redis_load(struct nm_redis *redis, struct nm_script *const *scripts, size_t n_scripts,
                             struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    for (size_t i = 0; i < n_scripts; i++) {
        (void)nm_pipe_command(&pipe, 3);
        nm_pipe_str(&pipe, "SCRIPT");
        nm_pipe_str(&pipe, "LOAD");
        nm_pipe_str(&pipe, scripts[i]->source);
    }
    enum nm_status status = nm_redis_exec(redis, &pipe, err);
    for (size_t i = 0; status == NM_OK && i < n_scripts; i++) {
        const struct nm_reply *sha = nm_pipe_reply(&pipe, i);
        if (sha->len != sizeof scripts[i]->sha - 1)
            status = nm_fail(err, NM_FATAL, "Redis did not load script %s", scripts[i]->name);
        else
            memcpy(scripts[i]->sha, sha->str, sizeof scripts[i]->sha);
    }
    nm_pipe_clear(&pipe);
    return status;
}

/* The first line of the file, without its end. */
static enum nm_status read_password(const char *path, char *out, size_t size, struct nm_error *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return nm_fail(err, NM_CONFIG, "redis.passwordFile '%s': %s", path, strerror(errno));
    char *got = fgets(out, (int)size, file);
    (void)fclose(file);
    if (!got)
        return nm_fail(err, NM_CONFIG, "redis.passwordFile '%s' is empty", path);
    if (strlen(out) + 1 == size)
        return nm_fail(err, NM_CONFIG, "redis.passwordFile '%s': a password has at most %zu bytes", path, size - 2);
    out[strcspn(out, "\r\n")] = '\0';
    return NM_OK;
}

/* The words of the server are not passed on where they may repeat the password. */
static enum nm_status authenticate(struct nm_redis *redis, const struct nm_redis_url *url, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    (void)nm_pipe_command(&pipe, url->user[0] ? 3 : 2);
    nm_pipe_str(&pipe, "AUTH");
    if (url->user[0])
        nm_pipe_str(&pipe, url->user);
    nm_pipe_str(&pipe, url->password);
    enum nm_status status = nm_redis_roundtrip(redis, &pipe, err);
    if (status == NM_OK && nm_pipe_reply(&pipe, 0)->type == NM_REPLY_ERROR) {
        status = nm_redis_classify(nm_pipe_reply(&pipe, 0)->str) == NM_RETRY ? NM_RETRY : NM_CONFIG;
        status = nm_fail(err, status,
                         "Redis refused the user name or password of redis.url, redis.username, redis.passwordFile");
    }
    nm_pipe_clear(&pipe);
    return status;
}

static enum nm_status log_in(struct nm_redis *redis, const struct nm_redis_url *url, struct nm_error *err)
{
    enum nm_status status = url->password[0] ? authenticate(redis, url, err) : NM_OK;
    if (status != NM_OK)
        return status;
    struct nm_pipe pipe = {0};
    (void)nm_pipe_command(&pipe, 2);
    nm_pipe_str(&pipe, "SELECT");
    nm_pipe_int(&pipe, url->db);
    status = nm_redis_exec(redis, &pipe, err);
    nm_pipe_clear(&pipe);
    return status == NM_FATAL ? NM_CONFIG : status; /* "ERR DB index is out of range" */
}

/* *fd is connected and does not block. */
static enum nm_status connect_socket(const struct nm_redis_url *url, long long timeout_ms, int *fd,
                                     struct nm_error *err)
{
    struct timeval timeout = {.tv_sec = (time_t)(timeout_ms / 1000),
                              .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
    redisContext *context = redisConnectWithTimeout(url->host, url->port, timeout);
    if (!context)
        return nm_fail(err, NM_FATAL, "out of memory for a Redis connection");
    if (context->err) {
        enum nm_status status =
            nm_fail(err, NM_RETRY, "connecting to Redis at %s:%d: %s", url->host, url->port, context->errstr);
        redisFree(context);
        return status;
    }
    int got = redisFreeKeepFd(context);
    int flags = fcntl(got, F_GETFL);
    if (flags < 0 || fcntl(got, F_SETFL, flags | O_NONBLOCK) < 0) {
        (void)close(got);
        return nm_fail(err, NM_RETRY, "connecting to Redis: %s", strerror(errno));
    }
    *fd = got;
    return NM_OK;
}

enum nm_status nm_redis_open(const struct nm_settings *settings, struct nm_redis **out, char *warning,
                             struct nm_error *err)
{
    struct nm_redis_url url;
    enum nm_status status = nm_redis_url_parse(settings->redis.url, &url, err);
    if (status != NM_OK)
        return status;
    if (settings->redis.username[0])
        (void)snprintf(url.user, sizeof url.user, "%s", settings->redis.username);
    if (settings->redis.password_file[0]) {
        status = read_password(settings->redis.password_file, url.password, sizeof url.password, err);
        if (status != NM_OK)
            return status;
    }
    if (!url.tls && (settings->redis.ca_file[0] || settings->redis.cert_file[0] || settings->redis.key_file[0]))
        return nm_fail(err, NM_CONFIG,
                       "redis.caFile, redis.certFile and redis.keyFile need TLS, but redis.url begins "
                       "with redis://: make it rediss://, or take them out");
    int64_t deadline_ms = nm_boottime_ms() + settings->redis.connect_timeout_ms;
    int fd = -1;
    status = connect_socket(&url, settings->redis.connect_timeout_ms, &fd, err);
    if (status != NM_OK)
        return status;
    NM_AUTO(nm_redis_close) struct nm_redis *redis = NULL;
    status = nm_redis_adopt(fd, (int)settings->redis.command_timeout_ms, &redis, err);
    if (status == NM_OK && url.tls)
        status = nm_tls_open(fd, &url, settings, deadline_ms, &redis->link.tls, err);
    if (status == NM_OK)
        status = log_in(redis, &url, err);
    if (status == NM_OK)
        status = nm_redis_check_server(redis, settings->redis.allow_unsafe, warning, err);
    if (status != NM_OK)
        return status;
    *out = redis;
    redis = NULL;
    return NM_OK;
}
