/* fuzz_resp.c - any bytes as the answers to pipes in flight, as the client reads them from its socket.
 *
 * The first bytes say how many pipes of how many commands are in flight and where the answers are cut; the rest is what
 * the server says. Checked: nothing but what a reply may be is handed on (types, NUL behind each text, depth, no
 * error); pipes are done in order, or are their owner's again; cutting the answers elsewhere changes nothing; and
 * hiredis' reader, kept to our bounds, takes and refuses the same and reads the same values.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_resp tests/fuzz/corpus/resp */
#include "redis_internal.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPES = 4, MOST_BYTES = 65536, MOST_DEPTH = NM_DECODER_DEPTH + 1, MOST_ELEMENTS = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

struct run {
    struct nm_pipe pipe[PIPES];
    size_t n_done;
    enum nm_status status;
    struct nm_error err;
};

/* The answers in pieces of `step` bytes, 0: in one. */
static void run_it(struct run *run, const uint8_t *shape, const uint8_t *answer, size_t len, size_t step)
{
    struct nm_redis *redis = NULL;
    int ends[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0, "a socket");
    require(nm_redis_adopt(ends[1], 60000, &redis, NULL) == NM_OK, "a connection");
    run->status = NM_OK;
    for (size_t i = 0; i < PIPES; i++) {
        nm_pipe_reset(&run->pipe[i]);
        for (int n = shape[0] >> (2 * i) & 3; n >= 0; n--) {
            (void)nm_pipe_command(&run->pipe[i], 1);
            nm_pipe_str(&run->pipe[i], "PING");
        }
        require(nm_redis_submit(redis, &run->pipe[i], NULL) == NM_OK, "the pipe is taken");
    }
    for (size_t at = 0; at < len && run->status == NM_OK; at += step ? step : len) {
        size_t n = step && step < len - at ? step : len - at;
        require(send(ends[0], answer + at, n, MSG_NOSIGNAL) == (ssize_t)n, "the answer is sent");
        run->status = nm_redis_advance(redis, &run->err);
    }
    bool alive = nm_redis_alive(redis);
    require(alive == (run->status == NM_OK), "a failed connection is closed, no other");
    nm_redis_close(redis);
    (void)close(ends[0]);
}

static void check_reply(const struct nm_reply *reply, int depth)
{
    require(reply != NULL && depth <= MOST_DEPTH, "depth");
    require(reply->type <= NM_REPLY_ERROR && (depth > 1 || reply->type != NM_REPLY_ERROR), "type");
    if (reply->type == NM_REPLY_ARRAY) {
        for (size_t i = 0; i < reply->len; i++)
            check_reply(&reply->element[i], depth + 1);
        return;
    }
    require(reply->str[reply->len] == '\0', "NUL behind the text");
    require(reply->len == 0 || reply->type != NM_REPLY_NIL, "text");
    (void)nm_reply_int(reply, 0);
}

static void same(const struct nm_reply *a, const struct nm_reply *b)
{
    require(a->type == b->type && a->len == b->len, "the same reply");
    if (a->type != NM_REPLY_ARRAY)
        require(memcmp(a->str, b->str, a->len) == 0, "the same text");
    for (size_t i = 0; a->type == NM_REPLY_ARRAY && i < a->len; i++)
        same(&a->element[i], &b->element[i]);
}

static void check_pipes(struct run *run)
{
    run->n_done = 0;
    while (run->n_done < PIPES && nm_pipe_done(&run->pipe[run->n_done]))
        run->n_done++;
    for (size_t i = 0; i < PIPES; i++) {
        require(!run->pipe[i].in_flight, "every pipe is its owner's again");
        require(nm_pipe_done(&run->pipe[i]) == (i < run->n_done), "done in order");
        for (size_t k = 0; i < run->n_done && k < run->pipe[i].n_commands; k++)
            check_reply(nm_pipe_reply(&run->pipe[i], k), 1);
    }
}

/* ---- hiredis' reader ---- */

#if HIREDIS_MAJOR >= 1
typedef size_t count;
#else
typedef int count;
#endif

static redisReplyObjectFunctions theirs; /* what hiredis itself makes of a reply */

/* Deeper than we take it, or a kind of RESP3. */
static bool out_of_bounds(const redisReadTask *task)
{
    int depth = 0;
    for (const redisReadTask *parent = task->parent; parent; parent = parent->parent)
        depth++;
    return depth > NM_DECODER_DEPTH || task->type < REDIS_REPLY_STRING || task->type > REDIS_REPLY_ERROR;
}

/* hiredis does not look at what ends a string. */
static void *bounded_string(const redisReadTask *task, char *text, size_t len)
{
    return out_of_bounds(task) || memcmp(text + len, "\r\n", 2) != 0 ? NULL : theirs.createString(task, text, len);
}

static void *bounded_array(const redisReadTask *task, count n)
{
    return out_of_bounds(task) || n > MOST_ELEMENTS ? NULL : theirs.createArray(task, n);
}

static void *bounded_integer(const redisReadTask *task, long long value)
{
    return out_of_bounds(task) ? NULL : theirs.createInteger(task, value);
}

static void *bounded_nil(const redisReadTask *task)
{
    return out_of_bounds(task) || task->type == REDIS_REPLY_NIL ? NULL : theirs.createNil(task);
}

static redisReader *reader_new(void)
{
    static redisReplyObjectFunctions bounded;
    redisReader *reader = redisReaderCreate();
    require(reader != NULL, "a reader");
    theirs = *reader->fn;
    bounded = (redisReplyObjectFunctions){.createString = bounded_string,
                                          .createArray = bounded_array,
                                          .createInteger = bounded_integer,
                                          .createNil = bounded_nil,
                                          .freeObject = theirs.freeObject};
    reader->fn = &bounded;
    return reader;
}

static void same_as_theirs(const struct nm_reply *reply, const redisReply *their)
{
    static const enum nm_reply_type types[] = {
        [REDIS_REPLY_STRING] = NM_REPLY_STR,    [REDIS_REPLY_ARRAY] = NM_REPLY_ARRAY,
        [REDIS_REPLY_INTEGER] = NM_REPLY_INT,   [REDIS_REPLY_NIL] = NM_REPLY_NIL,
        [REDIS_REPLY_STATUS] = NM_REPLY_STATUS, [REDIS_REPLY_ERROR] = NM_REPLY_ERROR};
    char digits[24];
    require(reply->type == types[their->type], "the type that hiredis reads");
    if (reply->type == NM_REPLY_ARRAY) {
        require(reply->len == their->elements, "as many elements as hiredis reads");
        for (size_t i = 0; i < reply->len; i++)
            same_as_theirs(nm_reply_at(reply, i), their->element[i]);
    } else if (reply->type == NM_REPLY_INT) {
        (void)snprintf(digits, sizeof digits, "%lld", their->integer);
        require(nm_reply_int(reply, 0) == their->integer, "the number that hiredis reads");
        require(strcmp(reply->str, digits) == 0, "the digits of the number");
    } else if (reply->type != NM_REPLY_NIL) {
        require(reply->len == (size_t)their->len && memcmp(reply->str, their->str, reply->len) == 0,
                "the text that hiredis reads");
    }
}

enum outcome { WAITS, REFUSED, FINISHED };

/* What hiredis thinks of the answers; the replies of the pipes that are done are compared on the way. */
static enum outcome read_theirs(const struct run *run, redisReader *reader, size_t *n_done)
{
    for (*n_done = 0; *n_done < PIPES; ++*n_done) {
        const struct nm_pipe *pipe = &run->pipe[*n_done];
        for (size_t k = 0; k < pipe->n_commands; k++) {
            redisReply *reply = NULL;
            if (redisReaderGetReply(reader, (void **)&reply) != REDIS_OK)
                return REFUSED;
            if (!reply)
                return WAITS;
            bool error = reply->type == REDIS_REPLY_ERROR;
            if (!error && nm_pipe_done(pipe))
                same_as_theirs(nm_pipe_reply(pipe, k), reply);
            freeReplyObject(reply);
            if (error)
                return REFUSED;
        }
    }
    return reader->pos < reader->len ? REFUSED : FINISHED;
}

/* Where hiredis still waits, a reply may be refused already: for our bounds, or because hiredis looks at a number only
 * once its line has an end. */
static bool refused_early(const struct run *run, redisReader *reader)
{
    redisReply *reply = NULL;
    if (strstr(run->err.msg, "nested too deep") || strstr(run->err.msg, "length of a string"))
        return true;
    require(redisReaderFeed(reader, "\r\n", 2) == REDIS_OK, "the line is ended");
    return strstr(run->err.msg, "a number") && redisReaderGetReply(reader, (void **)&reply) != REDIS_OK;
}

static void compare_with_theirs(const struct run *run, const uint8_t *answer, size_t len)
{
    redisReader *reader = reader_new();
    size_t n_done;
    require(redisReaderFeed(reader, (const char *)answer, len) == REDIS_OK, "hiredis takes the bytes");
    enum outcome outcome = read_theirs(run, reader, &n_done);
    require(n_done == run->n_done, "hiredis reads as many pipes");
    if (run->status == NM_OK)
        require(outcome != REFUSED, "hiredis does not refuse what is taken");
    else if (outcome != REFUSED)
        require(outcome == WAITS && refused_early(run, reader), "hiredis refuses it, too");
    redisReaderFree(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, cut;
    if (size < 2 || size > MOST_BYTES)
        return 0;
    run_it(&whole, data, data + 2, size - 2, 0);
    check_pipes(&whole);
    compare_with_theirs(&whole, data + 2, size - 2);
    run_it(&cut, data, data + 2, size - 2, data[1] < 128 ? 1 + data[1] % 64 : 8 * (data[1] - 127));
    check_pipes(&cut);
    require(whole.n_done == cut.n_done && whole.status == cut.status, "cutting changes nothing");
    for (size_t i = 0; i < whole.n_done; i++)
        for (size_t k = 0; k < whole.pipe[i].n_commands; k++)
            same(nm_pipe_reply(&whole.pipe[i], k), nm_pipe_reply(&cut.pipe[i], k));
    return 0;
}
