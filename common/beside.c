/* beside.c - turns of what a worker does beside its batches (struct nm_beside in worker.h).
 *
 * It has one pipe of commands in flight at most: what it wants meanwhile goes with the next one. While partitions are
 * given back it may go on, but asks nothing, so that its commands do not hold up the drain. */
#include "runtime_internal.h"

static bool answered(const struct nm_runtime *rt)
{
    return rt->beside_waiting && nm_pipe_done(&rt->beside_pipe[rt->beside_asked]);
}

enum nm_status nm_beside_turn(struct nm_runtime *rt, bool redis, bool *idle, struct nm_error *err)
{
    const struct nm_beside *beside = rt->worker->beside;
    if (!beside)
        return NM_OK;
    struct nm_turn turn = {.stopping = nm_stop_requested != 0};
    if (answered(rt)) {
        turn.replies = &rt->beside_pipe[rt->beside_asked];
        rt->beside_asked ^= 1;
        rt->beside_waiting = false;
    }
    if (redis && !rt->beside_waiting && (!rt->draining || turn.stopping)) {
        turn.pipe = &rt->beside_pipe[rt->beside_asked];
        nm_pipe_reset(turn.pipe);
    }
    enum nm_status status = beside->turn(rt->ctx, &turn, err);
    if (status == NM_OK && turn.pipe && turn.pipe->n_commands) {
        status = nm_redis_submit(rt->redis, turn.pipe, err);
        rt->beside_waiting = true; /* also where it failed: nm_beside_drop() tells then */
    }
    if (rt->beside_waiting || (turn.stopping && !turn.idle))
        *idle = false;
    return status;
}

size_t nm_beside_fds(struct nm_runtime *rt, struct pollfd *out)
{
    return rt->worker->beside ? rt->worker->beside->fds(rt->ctx, out, NM_BESIDE_FDS) : 0;
}

int64_t nm_beside_deadline_ms(const struct nm_runtime *rt)
{
    return rt->worker->beside ? rt->worker->beside->due_ms(rt->ctx) : INT64_MAX;
}

size_t nm_beside_room(const struct nm_runtime *rt)
{
    return rt->worker->beside ? rt->worker->beside->room(rt->ctx) : SIZE_MAX;
}

void nm_beside_drop(struct nm_runtime *rt)
{
    if (!rt->beside_waiting || answered(rt)) /* replies that are there already are given with the next turn */
        return;
    rt->beside_waiting = false;
    rt->worker->beside->dropped(rt->ctx);
}

void nm_beside_close(struct nm_runtime *rt)
{
    nm_pipe_clear(&rt->beside_pipe[0]);
    nm_pipe_clear(&rt->beside_pipe[1]);
}
