/* redis_pipe.c - commands as RESP in one buffer, and what is asked of their replies.
 *
 * A command is encoded once, straight into the buffer that write(2) gets: no format strings (user text in a hiredis
 * format is a bug class of its own), no copy. Replies: redis_decode.c. */
#include "newsmill/redis.h"

#include <assert.h>
#include <string.h>

enum { LINE = 24 }; /* bytes of a number's line */

static const struct nm_reply nil_reply = {.type = NM_REPLY_NIL, .str = ""};

void nm_pipe_reset(struct nm_pipe *pipe)
{
    assert(!pipe->in_flight);
    nm_buf_reset(&pipe->request);
    nm_pool_return(pipe->arena.pool, &pipe->request);
    nm_arena_reset(&pipe->arena);
    pipe->n_commands = 0;
    pipe->done = false;
}

void nm_pipe_clear(struct nm_pipe *pipe)
{
    assert(!pipe->in_flight);
    nm_buf_clear(&pipe->request);
    nm_arena_clear(&pipe->arena);
    free(pipe->reply);
    *pipe = (struct nm_pipe){0};
}

/* "<mark><value>\r\n" to `out`, at most LINE bytes; returns what is behind it. */
static char *put_number(char *out, char mark, size_t value)
{
    size_t n_digits = 1;
    for (size_t rest = value; rest >= 10; rest /= 10)
        n_digits++;
    *out++ = mark;
    for (size_t at = n_digits; at-- > 0; value /= 10)
        out[at] = (char)('0' + value % 10);
    out += n_digits;
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

size_t nm_pipe_command(struct nm_pipe *pipe, size_t n_args)
{
    assert(!pipe->in_flight);
    nm_pool_lend(pipe->arena.pool, &pipe->request);
    char *out = nm_buf_room(&pipe->request, LINE);
    if (out)
        pipe->request.len += (size_t)(put_number(out, '*', n_args) - out);
    return pipe->n_commands++;
}

void nm_pipe_arg(struct nm_pipe *pipe, const void *data, size_t len)
{
    char *begin = nm_buf_room(&pipe->request, len + LINE + 2);
    if (!begin)
        return;
    char *out = put_number(begin, '$', len);
    if (len)
        memcpy(out, data, len);
    out += len;
    *out++ = '\r';
    *out++ = '\n';
    pipe->request.len += (size_t)(out - begin);
}

void nm_pipe_str(struct nm_pipe *pipe, const char *text)
{
    nm_pipe_arg(pipe, text, strlen(text));
}

void nm_pipe_int(struct nm_pipe *pipe, long long value)
{
    char text[24];
    size_t at = sizeof text;
    unsigned long long rest = value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        text[--at] = '-';
    nm_pipe_arg(pipe, text + at, sizeof text - at);
}

size_t nm_pipe_script(struct nm_pipe *pipe, const struct nm_script *script, size_t n_keys, size_t n_args)
{
    size_t index = nm_pipe_command(pipe, 3 + n_keys + n_args);
    assert(script->sha[0]); /* nm_redis_load() ran */
    nm_pipe_arg(pipe, "EVALSHA", 7);
    nm_pipe_arg(pipe, script->sha, 40);
    nm_pipe_int(pipe, (long long)n_keys);
    return index;
}

bool nm_pipe_done(const struct nm_pipe *pipe)
{
    return pipe->done;
}

const struct nm_reply *nm_pipe_reply(const struct nm_pipe *pipe, size_t i)
{
    assert(i < pipe->n_commands && pipe->reply);
    return &pipe->reply[i];
}

const struct nm_reply *nm_reply_at(const struct nm_reply *reply, size_t i)
{
    return reply->type == NM_REPLY_ARRAY && i < reply->len ? &reply->element[i] : &nil_reply;
}

int64_t nm_reply_int(const struct nm_reply *reply, int64_t def)
{
    if ((reply->type != NM_REPLY_INT && reply->type != NM_REPLY_STR) || reply->len == 0 || reply->len > 20)
        return def;
    bool negative = reply->str[0] == '-';
    int64_t value = 0; /* negated: there is one more of those */
    for (size_t i = negative ? 1 : 0; i < reply->len; i++) {
        int digit = reply->str[i] - '0';
        if (digit < 0 || digit > 9 || value < (INT64_MIN + digit) / 10)
            return def;
        value = value * 10 - digit;
    }
    if ((negative && reply->len == 1) || (!negative && value == INT64_MIN))
        return def;
    return negative ? value : -value;
}
