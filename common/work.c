/* work.c - batches on their way: their memory, what workers append to them, and the window that bounds them.
 *
 * All memory is taken once and used again: items, their data and outputs by the same work, what the arenas and pipes
 * need by all of them from one pool. `order` holds the works that are not free, oldest first; Redis commands and
 * outputs keep that order. */
#include "runtime_internal.h"

#include <string.h>

static enum nm_status open_work(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    size_t n = (size_t)rt->settings.runtime.batch_items;
    size_t item_size = rt->worker->item_size ? rt->worker->item_size : 1;
    struct nm_batch *batch = &work->batch;
    work->rt = rt;
    batch->item = calloc(n, sizeof *batch->item);
    batch->pipe = calloc(1, sizeof *batch->pipe);
    batch->replies = calloc(1, sizeof *batch->replies);
    batch->arena = calloc(1, sizeof *batch->arena);
    work->message = calloc(n, sizeof(rd_kafka_message_t *));
    work->item_data = calloc(n, item_size);
    work->span = calloc(n, sizeof *work->span);
    if (!batch->item || !batch->pipe || !batch->replies || !batch->arena || !work->message || !work->item_data ||
        !work->span)
        return nm_fail(err, NM_FATAL, "out of memory for batches of %zu", n);
    batch->arena->pool = batch->pipe->arena.pool = batch->replies->arena.pool = &rt->pool;
    return NM_OK;
}

enum nm_status nm_works_open(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < NM_MAX_WORKS; i++)
        status = open_work(rt, &rt->work[i], err);
    return status;
}

static void close_pipe(struct nm_pipe *pipe)
{
    if (pipe)
        nm_pipe_clear(pipe);
    free(pipe);
}

void nm_works_close(struct nm_runtime *rt)
{
    while (rt->n_works)
        nm_work_release(rt, rt->order[0]);
    for (size_t i = 0; i < NM_MAX_WORKS; i++) {
        struct nm_work *work = &rt->work[i];
        close_pipe(work->batch.pipe);
        close_pipe(work->batch.replies);
        if (work->batch.arena)
            nm_arena_clear(work->batch.arena);
        free(work->batch.arena);
        free(work->batch.item);
        free(work->batch.output);
        free(work->message);
        free(work->item_data);
        free(work->span);
    }
    nm_pipe_clear(&rt->wm_pipe);
    nm_pipe_clear(&rt->set_pipe);
    nm_pool_clear(&rt->pool);
}

/* In flight it is only while its connection is given up; then the next step resets it. */
static void idle_pipe(struct nm_pipe *pipe)
{
    if (!pipe->in_flight)
        nm_pipe_reset(pipe);
}

struct nm_work *nm_work_take(struct nm_runtime *rt, enum nm_stage stage)
{
    if (rt->n_works == NM_MAX_WORKS)
        return NULL;
    struct nm_work *work = rt->work;
    while (work->stage != NM_STAGE_FREE)
        work++;
    work->stage = stage;
    work->filled_ms = nm_boottime_ms();
    rt->order[rt->n_works++] = work;
    return work;
}

void nm_work_release(struct nm_runtime *rt, struct nm_work *work)
{
    for (size_t i = 0; i < work->batch.n_items; i++)
        if (work->message[i])
            rd_kafka_message_destroy(work->message[i]);
    rt->in_flight_items -= work->batch.n_items;
    rt->in_flight_bytes -= work->bytes;
    nm_arena_reset(work->batch.arena);
    idle_pipe(work->batch.pipe);
    idle_pipe(work->batch.replies);
    work->batch.n_items = work->batch.n_outputs = 0;
    work->bytes = work->n_spans = work->outstanding = work->n_failed = 0;
    work->round = 0;
    work->waiting = work->judged = false;
    work->stage = NM_STAGE_FREE;
    size_t at = 0;
    while (rt->order[at] != work)
        at++;
    rt->n_works--;
    for (; at < rt->n_works; at++)
        rt->order[at] = rt->order[at + 1];
}

bool nm_window_full(const struct nm_runtime *rt)
{
    return (rt->n_works == NM_MAX_WORKS && !nm_work_filling(rt)) ||
           rt->in_flight_items >= (size_t)rt->settings.runtime.in_flight_items ||
           rt->in_flight_bytes >= (size_t)rt->settings.runtime.in_flight_bytes;
}

struct nm_work *nm_work_filling(const struct nm_runtime *rt)
{
    struct nm_work *youngest = rt->n_works ? rt->order[rt->n_works - 1] : NULL;
    return youngest && youngest->stage == NM_STAGE_FILLING ? youngest : NULL;
}

struct nm_span *nm_work_span(struct nm_work *work, size_t part)
{
    for (size_t i = work->n_spans; i-- > 0;)
        if (work->span[i].part == part)
            return &work->span[i];
    struct nm_span *span = &work->span[work->n_spans++]; /* at most one an item */
    *span = (struct nm_span){.part = part};
    return span;
}

struct nm_output *nm_batch_output(struct nm_batch *batch)
{
    if (batch->n_outputs == batch->output_cap) {
        size_t cap = batch->output_cap ? batch->output_cap * 2 : 512;
        struct nm_output *output = realloc(batch->output, cap * sizeof *output);
        if (!output) {
            batch->oom = true;
            return NULL;
        }
        batch->output = output;
        batch->output_cap = cap;
    }
    struct nm_output *output = &batch->output[batch->n_outputs++];
    *output = (struct nm_output){0};
    return output;
}

void nm_emit(struct nm_batch *batch, struct nm_item *item, enum nm_stream stream, const char *key, const char *value,
             size_t len, int64_t revision)
{
    struct nm_output *output = nm_batch_output(batch);
    if (output)
        *output = (struct nm_output){.stream = stream,
                                     .item = item,
                                     .key = key,
                                     .key_len = strlen(key),
                                     .value = value,
                                     .len = len,
                                     .revision = revision};
}

void nm_item_dead(struct nm_batch *batch, struct nm_item *item, const struct nm_error *err)
{
    struct nm_error *copy = nm_arena_alloc(batch->arena, sizeof *copy);
    if (!copy) {
        batch->oom = true;
        return;
    }
    *copy = *err;
    item->dead = copy;
    item->verdict = NM_REJECTED;
}
