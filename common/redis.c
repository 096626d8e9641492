/* redis.c - connect, check, and run pipelines with a time limit on everything.
 *
 * hiredis connects and parses; reading and writing are done here on the non-blocking socket, both at once, so that a
 * long pipeline can neither dead-lock on full buffers nor wait longer than its limit (hiredis' own timeout is per
 * read(2)). A connection that failed is closed at once: a reply that comes late must not be read as the answer to the
 * next command. Invariant: between two calls nothing is in flight. One thread. */
#include "newsmill/redis.h"
#include "newsmill/clock.h"
#include "newsmill/fault.h"
#include "redis_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES      65536
#define MAX_REPLY_BYTES (1LL << 30) /* of one pipe; more is a foreign or broken server */

struct nm_redis {
    redisContext *context; /* NULL: failed, closed */
    redisReader *reader;
    int command_timeout_ms;
    char read_buffer[READ_BYTES];
};

static void disconnect(struct nm_redis *redis)
{
    if (redis->reader)
        redisReaderFree(redis->reader);
    if (redis->context)
        redisFree(redis->context);
    redis->reader = NULL;
    redis->context = NULL;
}

void nm_redis_close(struct nm_redis *redis)
{
    if (!redis)
        return;
    disconnect(redis);
    free(redis);
}

bool nm_redis_alive(const struct nm_redis *redis)
{
    return redis && redis->context;
}

bool nm_redis_probe(struct nm_redis *redis)
{
    if (!nm_redis_alive(redis))
        return false;
    char byte;
    ssize_t n = recv(redis->context->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    disconnect(redis); /* closed, broken, or a byte that nobody asked for */
    return false;
}

/* ---- one round trip ---- */

struct trip {
    struct nm_pipe *pipe;
    size_t written, n_replies;
    long long read_bytes;
    int64_t deadline_ms;
};

/* NM_OK: wrote what the socket takes now. */
static enum nm_status write_some(struct nm_redis *redis, struct trip *trip, struct nm_error *err)
{
    const struct nm_buf *request = &trip->pipe->request;
    while (trip->written < request->len) {
        ssize_t n = send(redis->context->fd, request->data + trip->written, request->len - trip->written, MSG_NOSIGNAL);
        if (n > 0) {
            trip->written += (size_t)n;
            NM_FAULT(NM_POINT_REDIS_SENT);
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return NM_OK;
        } else {
            return nm_fail(err, NM_RETRY, "writing to Redis: %s", strerror(errno));
        }
    }
    return NM_OK;
}

static enum nm_status take_replies(struct nm_redis *redis, struct trip *trip, struct nm_error *err)
{
    while (trip->n_replies < trip->pipe->n_commands) {
        void *reply = NULL;
        if (redisReaderGetReply(redis->reader, &reply) != REDIS_OK)
            return nm_fail(err, NM_RETRY, "Redis sent a reply that is not RESP: %s", redis->reader->errstr);
        if (!reply)
            return NM_OK;
        trip->pipe->reply[trip->n_replies++] = reply;
    }
    return NM_OK;
}

static enum nm_status read_some(struct nm_redis *redis, struct trip *trip, struct nm_error *err)
{
    ssize_t n = recv(redis->context->fd, redis->read_buffer, sizeof redis->read_buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return NM_OK;
    if (n == 0)
        return nm_fail(err, NM_RETRY, "Redis closed the connection");
    if (n < 0)
        return nm_fail(err, NM_RETRY, "reading from Redis: %s", strerror(errno));
    trip->read_bytes += n;
    if (trip->read_bytes > MAX_REPLY_BYTES)
        return nm_fail(err, NM_RETRY, "Redis answered one pipeline with more than %lld bytes", MAX_REPLY_BYTES);
    if (redisReaderFeed(redis->reader, redis->read_buffer, (size_t)n) != REDIS_OK)
        return nm_fail(err, NM_RETRY, "Redis reply: %s", redis->reader->errstr);
    return take_replies(redis, trip, err);
}

static enum nm_status move_data(struct nm_redis *redis, struct trip *trip, struct nm_error *err)
{
    while (trip->n_replies < trip->pipe->n_commands) {
        int64_t left_ms = trip->deadline_ms - nm_boottime_ms();
        if (left_ms <= 0)
            return nm_fail(err, NM_RETRY, "Redis did not answer within redis.commandTimeoutMs (%d ms)",
                           redis->command_timeout_ms);
        bool writing = trip->written < trip->pipe->request.len;
        struct pollfd fd = {.fd = redis->context->fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0))};
        int n = poll(&fd, 1, (int)left_ms);
        if (n < 0 && errno != EINTR)
            return nm_fail(err, NM_RETRY, "waiting for Redis: %s", strerror(errno));
        enum nm_status status = NM_OK;
        if (n > 0 && (fd.revents & (POLLIN | POLLHUP | POLLERR)))
            status = read_some(redis, trip, err);
        if (status == NM_OK && n > 0 && writing && (fd.revents & POLLOUT))
            status = write_some(redis, trip, err);
        if (status != NM_OK)
            return status;
    }
    return NM_OK;
}

static enum nm_status prepare(struct nm_pipe *pipe, struct nm_error *err)
{
    if (!nm_buf_ok(&pipe->request))
        return nm_fail(err, NM_FATAL, "out of memory for a Redis pipeline");
    if (pipe->n_commands > pipe->reply_cap) {
        struct nm_reply **reply = realloc(pipe->reply, pipe->n_commands * sizeof(struct nm_reply *));
        if (!reply)
            return nm_fail(err, NM_FATAL, "out of memory for %zu Redis replies", pipe->n_commands);
        pipe->reply = reply;
        pipe->reply_cap = pipe->n_commands;
    }
    return NM_OK;
}

enum nm_status nm_redis_roundtrip(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err)
{
    if (pipe->n_commands == 0)
        return NM_OK;
    if (!redis->context)
        return nm_fail(err, NM_RETRY, "the Redis connection is closed");
    enum nm_status status = prepare(pipe, err);
    if (status != NM_OK)
        return status;
    redis->reader->privdata = pipe;
    int64_t limit_ms = redis->command_timeout_ms * (1 + (int64_t)(pipe->request.len >> 20));
    struct trip trip = {.pipe = pipe, .deadline_ms = nm_boottime_ms() + limit_ms};
    status = write_some(redis, &trip, err);
    if (status == NM_OK)
        status = move_data(redis, &trip, err);
    if (status == NM_OK && redis->reader->pos < redis->reader->len)
        status = nm_fail(err, NM_RETRY, "Redis sent more replies than it was asked for");
    if (status != NM_OK)
        disconnect(redis);
    else
        NM_FAULT(NM_POINT_REDIS_DONE);
    return status;
}

enum nm_status nm_redis_exec(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err)
{
    enum nm_status status = nm_redis_roundtrip(redis, pipe, err);
    for (size_t i = 0; status == NM_OK && i < pipe->n_commands; i++) {
        if (pipe->reply[i]->type != NM_REPLY_ERROR)
            continue;
        status = nm_fail(err, nm_redis_classify(pipe->reply[i]->str), "Redis: %s", pipe->reply[i]->str);
        disconnect(redis); /* the rest of the pipe may or may not be applied: a new assignment decides */
    }
    return status;
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

/* ---- opening ---- */

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

static enum nm_status connect_socket(struct nm_redis *redis, const struct nm_redis_url *url, long long timeout_ms,
                                     struct nm_error *err)
{
    struct timeval timeout = {.tv_sec = (time_t)(timeout_ms / 1000),
                              .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
    redis->context = redisConnectWithTimeout(url->host, url->port, timeout);
    redis->reader = redisReaderCreateWithFunctions(&nm_redis_arena_functions);
    if (!redis->context || !redis->reader)
        return nm_fail(err, NM_FATAL, "out of memory for a Redis connection");
    if (redis->context->err)
        return nm_fail(err, NM_RETRY, "connecting to Redis at %s:%d: %s", url->host, url->port, redis->context->errstr);
    redis->reader->maxbuf = 0; /* keep the buffer between pipelines */
    int flags = fcntl(redis->context->fd, F_GETFL);
    if (flags < 0 || fcntl(redis->context->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return nm_fail(err, NM_RETRY, "connecting to Redis: %s", strerror(errno));
    return NM_OK;
}

enum nm_status nm_redis_open(const struct nm_settings *settings, struct nm_redis **out, char *warning,
                             struct nm_error *err)
{
    struct nm_redis_url url;
    enum nm_status status = nm_redis_url_parse(settings->redis.url, &url, err);
    if (status != NM_OK)
        return status;
    if (url.tls)
        return nm_fail(err, NM_CONFIG,
                       "redis.url: rediss:// needs TLS, which this version does not have; use redis://");
    if (settings->redis.username[0])
        (void)snprintf(url.user, sizeof url.user, "%s", settings->redis.username);
    if (settings->redis.password_file[0]) {
        status = read_password(settings->redis.password_file, url.password, sizeof url.password, err);
        if (status != NM_OK)
            return status;
    }
    NM_AUTO(nm_redis_close) struct nm_redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        return nm_fail(err, NM_FATAL, "out of memory for a Redis connection");
    redis->command_timeout_ms = (int)settings->redis.command_timeout_ms;
    status = connect_socket(redis, &url, settings->redis.connect_timeout_ms, err);
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
