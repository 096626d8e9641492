/* fuzz_resp.c - any bytes as the answers to pipes in flight, as the client reads them from its socket.
 *
 * The first bytes say how many pipes of how many commands are in flight and where the answers are cut; the rest is what
 * the server says. Checked: nothing but what a reply may be is handed on (types, NUL behind each text, depth, no
 * error); pipes are done in order, or are their owner's again; and cutting the answers elsewhere changes nothing.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_resp tests/fuzz/corpus/resp */
#include "redis_internal.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPES = 4, MOST_BYTES = 65536, MOST_DEPTH = 7 };

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
        run->status = nm_redis_advance(redis, NULL);
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
            check_reply(reply->element[i], depth + 1);
        return;
    }
    require(reply->str[reply->len] == '\0', "NUL behind the text");
    require(reply->len == 0 || reply->type == NM_REPLY_STR || reply->type == NM_REPLY_STATUS ||
                reply->type == NM_REPLY_ERROR,
            "text");
    (void)nm_reply_int(reply, 0);
}

static void same(const struct nm_reply *a, const struct nm_reply *b)
{
    require(a->type == b->type && a->integer == b->integer && a->len == b->len, "the same reply");
    if (a->type != NM_REPLY_ARRAY)
        require(memcmp(a->str, b->str, a->len) == 0, "the same text");
    for (size_t i = 0; a->type == NM_REPLY_ARRAY && i < a->len; i++)
        same(a->element[i], b->element[i]);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, cut;
    if (size < 2 || size > MOST_BYTES)
        return 0;
    run_it(&whole, data, data + 2, size - 2, 0);
    check_pipes(&whole);
    run_it(&cut, data, data + 2, size - 2, 1 + data[1] % 64);
    check_pipes(&cut);
    require(whole.n_done == cut.n_done && whole.status == cut.status, "cutting changes nothing");
    for (size_t i = 0; i < whole.n_done; i++)
        for (size_t k = 0; k < whole.pipe[i].n_commands; k++)
            same(nm_pipe_reply(&whole.pipe[i], k), nm_pipe_reply(&cut.pipe[i], k));
    return 0;
}
