/* redis_flow.c - pipes in flight on a connection: written, answered and completed in the order of their submission.
 *
 * Reading and writing are done on the non-blocking socket, both at once, so that a long pipeline can neither dead-lock
 * on full buffers nor wait longer than its limit (hiredis' own timeout is per read(2)). A connection that failed is
 * closed at once: a reply that comes late must not be read as the answer to the next command.
 * Replies are decoded in the read buffer, each into the arena of the pipe that it answers; what is left of a read is
 * the beginning of a line at most, which moves to the front. Invariants: `unsent` is `first` or behind it, or NULL;
 * nothing in flight, nothing half read. One thread. */
#include "newsmill/clock.h"
#include "newsmill/fault.h"
#include "newsmill/redis.h"
#include "redis_internal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define MOST_PARTS      16          /* pipes that one system call writes */
#define MAX_REPLY_BYTES (1LL << 30) /* of one pipe; more is a foreign or broken server */

enum nm_status nm_redis_adopt(int fd, int command_timeout_ms, struct nm_redis **out, struct nm_error *err)
{
    struct nm_redis *redis = calloc(1, sizeof *redis);
    if (!redis) {
        (void)close(fd);
        return nm_fail(err, NM_FATAL, "out of memory for a Redis connection");
    }
    redis->link.fd = fd;
    redis->command_timeout_ms = command_timeout_ms;
    redis->deadline_ms = INT64_MAX;
    *out = redis;
    return NM_OK;
}

void nm_redis_close(struct nm_redis *redis)
{
    if (!redis)
        return;
    nm_redis_disconnect(redis);
    free(redis);
}

void nm_redis_disconnect(struct nm_redis *redis)
{
    for (struct nm_pipe *pipe = redis->first; pipe;) {
        struct nm_pipe *next = pipe->next;
        pipe->next = NULL;
        pipe->in_flight = false;
        pipe = next;
    }
    redis->first = redis->last = redis->unsent = NULL;
    redis->n_in_flight = 0;
    redis->deadline_ms = INT64_MAX;
    nm_link_close(&redis->link);
}

bool nm_redis_alive(const struct nm_redis *redis)
{
    return redis && redis->link.fd >= 0;
}

int nm_redis_fd(const struct nm_redis *redis)
{
    return redis->link.fd;
}

bool nm_redis_wants_write(const struct nm_redis *redis)
{
    return redis->unsent || nm_link_wants_write(&redis->link);
}

size_t nm_redis_in_flight(const struct nm_redis *redis)
{
    return !redis ? 0 : redis->n_in_flight;
}

int64_t nm_redis_deadline_ms(const struct nm_redis *redis)
{
    return redis->deadline_ms;
}

/* ---- writing ---- */

static void mark_written(struct nm_redis *redis, size_t n)
{
    while (redis->unsent) {
        size_t left = redis->unsent->request.len - redis->written;
        if (n < left) {
            redis->written += n;
            return;
        }
        n -= left;
        redis->unsent = redis->unsent->next;
        redis->written = 0;
    }
}

/* NM_OK: wrote what the socket takes now. */
static enum nm_status write_some(struct nm_redis *redis, struct nm_error *err)
{
    while (redis->unsent) {
        struct iovec part[MOST_PARTS];
        int n_parts = 0;
        size_t skip = redis->written, n = 0;
        for (struct nm_pipe *pipe = redis->unsent; pipe && n_parts < MOST_PARTS; pipe = pipe->next) {
            part[n_parts++] =
                (struct iovec){.iov_base = pipe->request.data + skip, .iov_len = pipe->request.len - skip};
            skip = 0;
        }
        enum nm_status status = nm_link_write(&redis->link, part, n_parts, &n, err);
        if (status != NM_OK || n == 0)
            return status;
        mark_written(redis, n);
        NM_FAULT(NM_POINT_REDIS_SENT);
    }
    return NM_OK;
}

/* ---- reading ---- */

static enum nm_status surplus(struct nm_error *err)
{
    return nm_fail(err, NM_RETRY, "Redis sent more replies than it was asked for");
}

/* The oldest pipe has all its replies. The clock of the next one starts. */
static enum nm_status complete_first(struct nm_redis *redis, struct nm_error *err)
{
    struct nm_pipe *pipe = redis->first;
    if (pipe == redis->unsent)
        return surplus(err);
    redis->first = pipe->next;
    if (!redis->first)
        redis->last = NULL;
    redis->n_in_flight--;
    redis->answer_bytes = 0;
    redis->decoder = (struct nm_decoder){0};
    redis->deadline_ms = redis->first ? nm_boottime_ms() + redis->first->limit_ms : INT64_MAX;
    pipe->next = NULL;
    pipe->in_flight = false;
    pipe->done = true;
    nm_pool_return(pipe->arena.pool, &pipe->request);
    NM_FAULT(NM_POINT_REDIS_DONE);
    return NM_OK;
}

/* The next reply to `first`, as far as it is there; from *at on, which moves behind what was taken. */
static enum nm_status take_reply(struct nm_redis *redis, const char **at, const char *end, bool *whole,
                                 struct nm_error *err)
{
    struct nm_pipe *pipe = redis->first;
    struct nm_reply *reply = &pipe->reply[pipe->n_replies];
    const char *from = *at;
    enum nm_status status = nm_decode(&redis->decoder, &pipe->arena, at, end, reply, whole, err);
    redis->answer_bytes += *at - from;
    if (status == NM_OK && redis->answer_bytes > MAX_REPLY_BYTES)
        status = nm_fail(err, NM_RETRY, "Redis answered one pipeline with more than %lld bytes", MAX_REPLY_BYTES);
    if (status != NM_OK || !*whole)
        return status;
    if (reply->type == NM_REPLY_ERROR && !pipe->takes_errors)
        return nm_fail(err, nm_redis_classify(reply->str), "Redis: %s", reply->str);
    return ++pipe->n_replies == pipe->n_commands ? complete_first(redis, err) : NM_OK;
}

/* What lies in read_buffer, up to `len`. */
static enum nm_status take_replies(struct nm_redis *redis, size_t len, struct nm_error *err)
{
    const char *at = redis->read_buffer, *end = at + len;
    bool whole = true;
    redis->read_buffer[len] = '\0';
    redis->answered = true;
    while (redis->first && whole) {
        enum nm_status status = take_reply(redis, &at, end, &whole, err);
        if (status != NM_OK)
            return status;
    }
    redis->rest = (size_t)(end - at);
    if (redis->rest && !redis->first)
        return surplus(err);
    memmove(redis->read_buffer, at, redis->rest);
    return NM_OK;
}

/* A server with TLS hangs up on a plain client without a word. */
static enum nm_status read_link(struct nm_redis *redis, size_t *n, bool *more, struct nm_error *err)
{
    enum nm_status status =
        nm_link_read(&redis->link, redis->read_buffer + redis->rest, NM_REDIS_READ_BYTES - redis->rest, n, more, err);
    if (status == NM_RETRY && !redis->answered && !redis->link.tls)
        status = nm_fail(err, NM_RETRY,
                         "Redis closed the connection without an answer; if this is its TLS port, redis.url must "
                         "begin with rediss://");
    return status;
}

/* NM_OK: took what the socket gives now. */
static enum nm_status read_some(struct nm_redis *redis, struct nm_error *err)
{
    enum nm_status status;
    size_t n = 0;
    bool more = false;
    do {
        status = read_link(redis, &n, &more, err);
        if (status == NM_OK && n > 0)
            status = take_replies(redis, redis->rest + n, err);
    } while (status == NM_OK && more);
    return status;
}

/* ---- pipes ---- */

static enum nm_status prepare(struct nm_pipe *pipe, struct nm_error *err)
{
    if (!nm_buf_ok(&pipe->request))
        return nm_fail(err, NM_FATAL, "out of memory for a Redis pipeline");
    if (pipe->n_commands > pipe->reply_cap) {
        struct nm_reply *reply = realloc(pipe->reply, pipe->n_commands * sizeof *reply);
        if (!reply)
            return nm_fail(err, NM_FATAL, "out of memory for %zu Redis replies", pipe->n_commands);
        pipe->reply = reply;
        pipe->reply_cap = pipe->n_commands;
    }
    return NM_OK;
}

static void enqueue(struct nm_redis *redis, struct nm_pipe *pipe)
{
    pipe->limit_ms = redis->command_timeout_ms * (1 + (int64_t)(pipe->request.len >> 20));
    pipe->n_replies = 0;
    pipe->in_flight = true;
    pipe->next = NULL;
    if (redis->last) {
        redis->last->next = pipe;
    } else {
        redis->first = pipe;
        redis->deadline_ms = nm_boottime_ms() + pipe->limit_ms;
    }
    redis->last = pipe;
    redis->n_in_flight++;
    if (!redis->unsent)
        redis->unsent = pipe;
}

static enum nm_status submit(struct nm_redis *redis, struct nm_pipe *pipe, bool takes_errors, struct nm_error *err)
{
    assert(!pipe->in_flight);
    pipe->done = pipe->n_commands == 0 && nm_buf_ok(&pipe->request);
    if (pipe->done)
        return NM_OK;
    if (!nm_redis_alive(redis))
        return nm_fail(err, NM_RETRY, "the Redis connection is closed");
    enum nm_status status = prepare(pipe, err);
    if (status != NM_OK)
        return status;
    pipe->takes_errors = takes_errors;
    enqueue(redis, pipe);
    status = write_some(redis, err);
    if (status == NM_OK)
        return NM_OK;
    enum nm_status heard = read_some(redis, err); /* a server that hung up may have said why */
    nm_redis_disconnect(redis);
    return heard == NM_OK ? status : heard;
}

enum nm_status nm_redis_submit(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err)
{
    return submit(redis, pipe, false, err);
}

enum nm_status nm_redis_advance(struct nm_redis *redis, struct nm_error *err)
{
    if (!nm_redis_alive(redis))
        return nm_fail(err, NM_RETRY, "the Redis connection is closed");
    enum nm_status status = read_some(redis, err); /* first: a server that hangs up says why before */
    if (status == NM_OK)
        status = write_some(redis, err);
    if (status == NM_OK && redis->first && nm_boottime_ms() >= redis->deadline_ms)
        status = nm_fail(err, NM_RETRY, "Redis did not answer within redis.commandTimeoutMs (%d ms)",
                         redis->command_timeout_ms);
    if (status != NM_OK)
        nm_redis_disconnect(redis);
    return status;
}

static enum nm_status wait_done(struct nm_redis *redis, const struct nm_pipe *pipe, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    while (status == NM_OK && !pipe->done) {
        int64_t left_ms = redis->deadline_ms - nm_boottime_ms();
        left_ms = left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : left_ms;
        struct pollfd fd = {.fd = redis->link.fd,
                            .events = (short)(POLLIN | (nm_redis_wants_write(redis) ? POLLOUT : 0))};
        if (poll(&fd, 1, (int)left_ms) < 0 && errno != EINTR) {
            status = nm_fail(err, NM_RETRY, "waiting for Redis: %s", strerror(errno));
            nm_redis_disconnect(redis);
        } else {
            status = nm_redis_advance(redis, err);
        }
    }
    return status;
}

enum nm_status nm_redis_roundtrip(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err)
{
    enum nm_status status = submit(redis, pipe, true, err);
    return status == NM_OK ? wait_done(redis, pipe, err) : status;
}

enum nm_status nm_redis_exec(struct nm_redis *redis, struct nm_pipe *pipe, struct nm_error *err)
{
    enum nm_status status = submit(redis, pipe, false, err);
    return status == NM_OK ? wait_done(redis, pipe, err) : status;
}

enum nm_status nm_redis_settle(struct nm_redis *redis, struct nm_error *err)
{
    if (!nm_redis_alive(redis))
        return nm_fail(err, NM_RETRY, "the Redis connection is closed");
    return redis->last ? wait_done(redis, redis->last, err) : NM_OK;
}

bool nm_redis_probe(struct nm_redis *redis)
{
    return nm_redis_alive(redis) && nm_redis_advance(redis, NULL) == NM_OK;
}
