/* batch.c - the batch: its memory, what workers append to it, and forgetting it.
 *
 * All memory is taken once and used again: items, their data, outputs, the arena and the two pipes. */
#include "runtime_internal.h"

#include <string.h>

enum nm_status nm_batch_open(struct nm_runtime *rt, struct nm_error *err)
{
    size_t n = (size_t)rt->settings.runtime.batch_items;
    size_t item_size = rt->worker->item_size ? rt->worker->item_size : 1;
    rt->batch.item = calloc(n, sizeof *rt->batch.item);
    rt->message = calloc(n, sizeof(rd_kafka_message_t *));
    rt->item_data = calloc(n, item_size);
    rt->batch.pipe = calloc(1, sizeof *rt->batch.pipe);
    rt->batch.replies = calloc(1, sizeof *rt->batch.replies);
    rt->batch.arena = calloc(1, sizeof *rt->batch.arena);
    if (!rt->batch.item || !rt->message || !rt->item_data || !rt->batch.pipe || !rt->batch.replies || !rt->batch.arena)
        return nm_fail(err, NM_FATAL, "out of memory for batches of %zu", n);
    return NM_OK;
}

void nm_batch_close(struct nm_runtime *rt)
{
    nm_batch_forget(rt);
    if (rt->batch.pipe)
        nm_pipe_clear(rt->batch.pipe);
    if (rt->batch.replies)
        nm_pipe_clear(rt->batch.replies);
    if (rt->batch.arena)
        nm_arena_clear(rt->batch.arena);
    free(rt->batch.pipe);
    free(rt->batch.replies);
    free(rt->batch.arena);
    free(rt->batch.item);
    free(rt->batch.output);
    free(rt->message);
    free(rt->item_data);
}

void nm_batch_forget(struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->batch.n_items; i++)
        rd_kafka_message_destroy(rt->message[i]);
    rt->batch.n_items = 0;
    rt->batch.n_outputs = 0;
    rt->batch_bytes = 0;
    for (size_t i = 0; i < rt->n_parts; i++)
        rt->part[i].touched = false;
    if (rt->batch.arena)
        nm_arena_reset(rt->batch.arena);
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
