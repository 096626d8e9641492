/* redis_pipe.c - commands as RESP in one buffer, replies in one arena.
 *
 * A command is encoded once, straight into the buffer that write(2) gets: no format strings (user text in a hiredis
 * format is a bug class of its own), no copy. Replies are built by hiredis' reader through own object functions: its
 * default ones cost two allocations an element, which was two thirds of a worker's CPU where replies are long. */
#include "newsmill/redis.h"
#include "redis_internal.h"

#include <assert.h>
#include <string.h>

#define MAX_DEPTH    6         /* parents of an element: what hiredis 0.14 takes */
#define MAX_ELEMENTS (1 << 20) /* of one array; no script or command of ours comes near it */

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

/* "<mark><value>\r\n" */
static void add_number(struct nm_buf *buf, char mark, unsigned long long value)
{
    char text[24];
    size_t at = sizeof text;
    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    text[--at] = mark;
    nm_buf_add(buf, text + at, sizeof text - at);
}

size_t nm_pipe_command(struct nm_pipe *pipe, size_t n_args)
{
    assert(!pipe->in_flight);
    nm_pool_lend(pipe->arena.pool, &pipe->request);
    add_number(&pipe->request, '*', n_args);
    return pipe->n_commands++;
}

void nm_pipe_arg(struct nm_pipe *pipe, const void *data, size_t len)
{
    add_number(&pipe->request, '$', len);
    nm_buf_add(&pipe->request, data, len);
    nm_buf_add(&pipe->request, "\r\n", 2);
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
    return pipe->reply[i];
}

const struct nm_reply *nm_reply_at(const struct nm_reply *reply, size_t i)
{
    if (reply->type != NM_REPLY_ARRAY || i >= reply->len || !reply->element[i])
        return &nil_reply;
    return reply->element[i];
}

int64_t nm_reply_int(const struct nm_reply *reply, int64_t def)
{
    if (reply->type == NM_REPLY_INT)
        return reply->integer;
    if (reply->type != NM_REPLY_STR || reply->len == 0 || reply->len > 20)
        return def;
    bool negative = reply->str[0] == '-';
    int64_t value = 0;
    for (size_t i = negative ? 1 : 0; i < reply->len; i++) {
        int digit = reply->str[i] - '0';
        if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10)
            return def;
        value = value * 10 + digit;
    }
    if (negative && reply->len == 1)
        return def;
    return negative ? -value : value;
}

/* ---- object functions of the reader ---- */

/* hiredis 1.x nests deeper than 0.14; our replies are flat, so both refuse the same. */
static bool too_deep(const redisReadTask *task)
{
    int depth = 0;
    for (const redisReadTask *parent = task->parent; parent; parent = parent->parent)
        depth++;
    return depth > MAX_DEPTH;
}

static struct nm_reply *new_reply(const redisReadTask *task, enum nm_reply_type type)
{
    struct nm_pipe *pipe = task->privdata;
    if (too_deep(task))
        return NULL;
    struct nm_reply *reply = nm_arena_alloc(&pipe->arena, sizeof *reply);
    if (!reply)
        return NULL;
    *reply = (struct nm_reply){.type = type, .str = ""};
    if (task->parent) {
        struct nm_reply *array = task->parent->obj;
        array->element[task->idx] = reply;
    }
    return reply;
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    enum nm_reply_type type = task->type == REDIS_REPLY_ERROR    ? NM_REPLY_ERROR
                              : task->type == REDIS_REPLY_STATUS ? NM_REPLY_STATUS
                                                                 : NM_REPLY_STR;
    struct nm_pipe *pipe = task->privdata;
    char *copy = nm_arena_copy(&pipe->arena, text, len);
    struct nm_reply *reply = copy ? new_reply(task, type) : NULL;
    if (reply) {
        reply->str = copy;
        reply->len = len;
    }
    return reply;
}

static struct nm_reply *create_array_of(const redisReadTask *task, size_t n)
{
    struct nm_pipe *pipe = task->privdata;
    if (n > MAX_ELEMENTS ||
        task->type != REDIS_REPLY_ARRAY) /* a foreign or broken server: the reader gives up on the reply */
        return NULL;
    struct nm_reply *reply = new_reply(task, NM_REPLY_ARRAY);
    if (!reply)
        return NULL;
    reply->element = nm_arena_alloc(&pipe->arena, (n ? n : 1) * sizeof(struct nm_reply *));
    if (!reply->element)
        return NULL;
    memset(reply->element, 0, (n ? n : 1) * sizeof(struct nm_reply *));
    reply->len = n;
    return reply;
}

#if HIREDIS_MAJOR >= 1
static void *create_array(const redisReadTask *task, size_t n)
{
    return create_array_of(task, n);
}
#else
static void *create_array(const redisReadTask *task, int n)
{
    return create_array_of(task, n > 0 ? (size_t)n : 0);
}
#endif

static void *create_integer(const redisReadTask *task, long long value)
{
    struct nm_reply *reply = new_reply(task, NM_REPLY_INT);
    if (reply)
        reply->integer = value;
    return reply;
}

static void *create_nil(const redisReadTask *task)
{
    return new_reply(task, NM_REPLY_NIL);
}

#if HIREDIS_MAJOR >= 1
/* Kinds of RESP3, which we never ask for. Without a function the reader would make a small number into a pointer. */
static void *create_double(const redisReadTask *task, double value, char *text, size_t len)
{
    (void)task, (void)value, (void)text, (void)len;
    return NULL;
}

static void *create_bool(const redisReadTask *task, int value)
{
    (void)task, (void)value;
    return NULL;
}
#endif

static void free_object(void *object)
{
    (void)object; /* the arena owns it */
}

redisReplyObjectFunctions nm_redis_arena_functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
#if HIREDIS_MAJOR >= 1
    .createDouble = create_double,
    .createBool = create_bool,
#endif
    .freeObject = free_object,
};
