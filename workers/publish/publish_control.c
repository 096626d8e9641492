/* publish_control.c - a mistake on purpose, for the chaos build: whoever sees a member change composes and sends the
 * records of the leads that show it, instead of asking their owners to. Two instances then send records of one id, in
 * no common order; the tests' checkers must see it. */
#include "publish_view.h"

#include <string.h>

#ifdef NM_CHAOS
enum nm_status pb_control_begin(struct publish *publish, struct nm_batch *batch, struct nm_item *item,
                                const struct nm_reply *leads, struct pb_control *out, struct nm_error *err)
{
    struct pb_control control = {.view = nm_arena_alloc(batch->arena, (leads->len + 1) * sizeof(struct pb_view))};
    if (!control.view)
        return nm_fail(err, NM_FATAL, "out of memory for %zu leads", (size_t)leads->len);
    for (size_t i = 0; i < leads->len; i++) {
        const struct nm_reply *lead = nm_reply_at(leads, i);
        struct pb_event event = {.kind = PB_AGAIN, .data = {.s = "", .len = 0}};
        if (lead->len != PB_ID || memcmp(lead->str, item->id, PB_ID) == 0)
            continue;
        memcpy(event.id, lead->str, PB_ID + 1);
        struct pb_view *view = &control.view[control.n_views++];
        *view = (struct pb_view){.item = item, .again = true, .id = nm_arena_copy(batch->arena, event.id, PB_ID)};
        if (!view->id)
            return nm_fail(err, NM_FATAL, "out of memory for the lead %s", event.id);
        pb_view_ask(publish, batch, view, &event);
    }
    *out = control;
    return NM_OK;
}

enum nm_status pb_control_step(struct publish *publish, struct nm_batch *batch, struct pb_control *control,
                               struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < control->n_views; i++) {
        struct pb_view *view = &control->view[i];
        if (batch->step == 3 && pb_view_take(view, nm_pipe_reply(batch->replies, view->command))) {
            view->composes = true;
            status = pb_view_prepare(publish, batch, view, err);
        } else if (batch->step == 4 && view->composes)
            status = pb_view_finish(publish, batch, view, err);
    }
    if (batch->step == 3 && control->n_views) { /* so that step 4 comes in any case */
        (void)nm_pipe_command(batch->pipe, 1);
        nm_pipe_str(batch->pipe, "PING");
    }
    if (batch->step == 4)
        *control = (struct pb_control){0};
    return status;
}
#else
typedef int pb_control_is_empty_here;
#endif
