/* work_redis.c - what tasks ask Redis, one pipe of commands at a time, and what its answers mean for them. */
#include "work_internal.h"

#include "newsmill/fault.h"
#include "newsmill/log.h"

#include <string.h>

/* ---- asking ---- */

static void note(struct im_work *work, struct im_task *task, enum im_want kind, size_t need, size_t index)
{
    task->n_asked++;
    work->ask[work->n_asks++] = (struct im_ask){.task = task, .kind = kind, .need = need, .index = index};
}

static void ask_slots_end(struct im_work *work, struct im_task *task, struct nm_pipe *pipe)
{
    for (size_t i = 0; i < task->n_needs; i++) {
        struct im_need *need = &task->need[i];
        bool stays = need->passed_on;
        if (!need->granted && !stays)
            continue;
        need->granted = need->passed_on = false;
        /* Only the last host of a chain has shown what it is like. */
        enum im_host_answer answer = i == task->at_need ? task->answer : IM_HOST_NONE;
        note(work, task, IM_WANT_SLOT_END, i,
             im_slot_end(work->config.state, pipe, need->host->name, need->held, task->place, answer,
                         i == task->at_need ? task->pause_ms : 0, stays));
    }
}

static void ask_slots(struct im_work *work, struct im_task *task, struct nm_pipe *pipe)
{
    task->n_slots_asked = task->n_needs - task->first_need;
    task->refused_ms = 0;
    for (size_t i = task->first_need; i < task->n_needs; i++) {
        struct im_need *need = &task->need[i];
        if (!need->granted) /* one that was taken over stays at its address */
            memcpy(need->held, need->host->address, sizeof need->held);
        note(work, task, IM_WANT_SLOT, i, im_slot(work->config.state, pipe, need->host->name, need->held, task->place));
    }
}

static void ask(struct im_work *work, struct im_task *task, struct nm_pipe *pipe)
{
    const struct im_state *state = work->config.state;
    unsigned wants = task->wants;
    task->wants = 0;
    if (wants & IM_WANT_RESULT)
        note(work, task, IM_WANT_RESULT, 0,
             im_result(state, pipe, task->hash, task->token, im_jitter(), &task->result));
    if (wants & IM_WANT_SLOT_END)
        ask_slots_end(work, task, pipe);
    if (wants & IM_WANT_LEASE_END)
        note(work, task, IM_WANT_LEASE_END, 0, im_extend(state, pipe, task->hash, task->token, false));
    if (wants & IM_WANT_BACK)
        note(work, task, IM_WANT_BACK, 0, im_back(state, pipe, task->id, task->claimed, task->back_ms));
    if (wants & IM_WANT_EXTEND)
        note(work, task, IM_WANT_EXTEND, 0, im_extend(state, pipe, task->hash, task->token, true));
    if (wants & IM_WANT_SLOT)
        ask_slots(work, task, pipe);
    if (wants & IM_WANT_LEASE)
        note(work, task, IM_WANT_LEASE, 0, im_lease(state, pipe, task->hash, task->token));
}

static void ask_looks(struct im_work *work, struct nm_pipe *pipe)
{
    for (size_t i = 0; work->n_looks && i < IM_MAX_LOOKS && work->n_asks < IM_MAX_ASKS; i++) {
        struct im_look *look = &work->look[i];
        if (look->state != IM_LOOK_MISSING)
            continue;
        look->state = IM_LOOK_ASKED;
        size_t index = im_reset(work->config.state, pipe, look->hash, look->sha256);
        work->ask[work->n_asks++] = (struct im_ask){.look = look, .index = index};
    }
}

void im_work_ask(struct im_work *work, struct nm_pipe *pipe)
{
    enum { MOST_OF_A_TASK = 2 * IM_MAX_NEEDS + 4 };
    work->n_asks = 0;
    if (!work->want_first && !work->n_looks)
        return;
    (void)nm_pipe_command(pipe, 1);
    nm_pipe_str(pipe, "TIME");
    while (work->want_first && work->n_asks + MOST_OF_A_TASK <= IM_MAX_ASKS) {
        struct im_task *task = work->want_first;
        work->want_first = task->want_next;
        if (!work->want_first)
            work->want_end = &work->want_first;
        task->in_wants = false;
        ask(work, task, pipe);
        im_task_free_if_over(task); /* what it wanted went elsewhere */
    }
    ask_looks(work, pipe);
    if (work->n_asks == 0)
        nm_pipe_reset(pipe);
}

/* ---- answers ---- */

static bool is_over(const struct im_task *task)
{
    return task->stage == IM_STAGE_END;
}

static void on_slot(struct im_task *task, size_t need, const struct im_answer *answer)
{
    bool granted = answer->how == IM_HOW_ok, had = task->need[need].granted;
    task->need[need].granted = granted || had;
    if (granted && !had)
        task->place_since_ms = nm_boottime_ms();
    if (is_over(task)) {
        if (granted || had)
            im_host_give_up(task);
        return;
    }
    if (!granted && answer->value > task->refused_ms)
        task->refused_ms = answer->value;
    if (--task->n_slots_asked > 0)
        return;
    if (task->refused_ms == 0) {
        task->stage = IM_STAGE_LEASE;
        im_task_want(task, IM_WANT_LEASE);
        return;
    }
    task->answer = IM_HOST_NONE;
    task->pause_ms = 0;
    bool for_rate = task->n_needs == 1 && answer->how == IM_HOW_rate;
    if (!had || !for_rate)
        im_host_give_up(task); /* of those that were granted; for its turn it waits with what it has */
    im_host_refused(task, task->refused_ms, for_rate);
}

static void on_lease(struct im_work *work, struct im_task *task, const struct im_answer *answer)
{
    if (is_over(task)) {
        im_task_want(task, answer->how == IM_HOW_taken ? IM_WANT_LEASE_END : 0);
        return;
    }
    if (answer->how == IM_HOW_taken) {
        im_task_lease(task, true);
        task->stage = IM_STAGE_START;
        im_queue_add(&work->start, task);
        return;
    }
    /* Its holder may die; or it was just done, then the article only has to see. */
    int64_t back_ms = im_work_now_ms(work);
    if (answer->how == IM_HOW_held)
        back_ms = answer->value + work->config.state->options.lease_jitter_ms * im_jitter() / 1000000;
    im_task_end(task, back_ms);
}

static void on_extend(struct im_work *work, struct im_task *task, const struct im_answer *answer)
{
    if (answer->how != IM_HOW_lost || is_over(task) || task->stage == IM_STAGE_RESULT)
        return;
    nm_series_add(work->counts.leases_lost, 1);
    im_task_lease(task, false);
    task->lost = true; /* whoever has it now ends it */
    if (task->stage == IM_STAGE_FETCH && im_fetcher_cancel(work->fetcher, task->fetch_id))
        im_task_end(task, -1);
}

/* The object is put once more: gc was removing it or may have, or the lease had run out meanwhile. */
static void put_again(struct im_work *work, struct im_task *task, const struct im_answer *answer)
{
    bool deleting = answer->how == IM_HOW_deleting;
    int64_t wait_ms = deleting ? answer->value - im_work_now_ms(work) : 0;
    task->replace = deleting || answer->value == 1;
    task->result.put_again_ms = deleting ? answer->since_ms : 0;
    task->away_ms = nm_boottime_ms() + (wait_ms > 0 ? wait_ms : 0);
    task->stage = IM_STAGE_AWAY;
    im_picture_waits(task);
    im_queue_add(&work->away, task);
    im_task_lease(task, true);
    im_task_want(task, IM_WANT_EXTEND);
}

static void on_result(struct im_work *work, struct im_task *task, const struct im_answer *answer)
{
    static const char *const outcomes[] = {"cached", "unchanged", "failed"};
    if (answer->how == IM_HOW_deleting || answer->how == IM_HOW_late) {
        put_again(work, task, answer);
        return;
    }
    if (answer->how == IM_HOW_cached)
        NM_FAULT(NM_POINT_KNOWN);
    im_task_lease(task, false); /* the script ended it */
    int64_t back_ms = -1;       /* woken */
    if (answer->how == IM_HOW_again)
        back_ms = answer->value;
    else if (answer->how == IM_HOW_ours)
        back_ms = im_work_now_ms(work) + work->pause_ms;
    else if (answer->how == IM_HOW_same || answer->how == IM_HOW_stays || answer->how == IM_HOW_none)
        back_ms = im_work_now_ms(work);
    if (answer->how == IM_HOW_lost)
        nm_series_add(work->counts.leases_lost, 1);
    else
        im_count_outcome(work, task->need[task->at_need].host->name, outcomes[task->result.outcome],
                         task->result.outcome == IM_RESULT_FAILED ? im_reason_name(task->result.reason) : "");
    im_task_end(task, back_ms);
}

static void on_answer(struct im_work *work, const struct im_ask *asked, const struct im_answer *answer)
{
    struct im_task *task = asked->task;
    if (!task) {
        asked->look->state = IM_LOOK_FREE;
        work->n_looks--;
        return;
    }
    if (asked->kind == IM_WANT_SLOT)
        on_slot(task, asked->need, answer);
    else if (asked->kind == IM_WANT_LEASE)
        on_lease(work, task, answer);
    else if (asked->kind == IM_WANT_EXTEND)
        on_extend(work, task, answer);
    else if (asked->kind == IM_WANT_RESULT)
        on_result(work, task, answer);
    task->n_asked--;
    im_task_free_if_over(task);
}

static void read_clock(struct im_work *work, const struct nm_reply *reply)
{
    work->clock_ms = nm_reply_int(nm_reply_at(reply, 0), 0) * 1000 + nm_reply_int(nm_reply_at(reply, 1), 0) / 1000;
    work->clock_boot_ms = nm_boottime_ms();
}

enum nm_status im_work_answered(struct im_work *work, const struct nm_pipe *replies, struct nm_error *err)
{
    size_t n = work->n_asks;
    work->n_asks = 0;
    read_clock(work, nm_pipe_reply(replies, 0));
    for (size_t i = 0; i < n; i++) {
        struct im_answer answer;
        if (!im_answer_read(nm_pipe_reply(replies, work->ask[i].index), &answer))
            return nm_fail(err, NM_FATAL, "a script of images replied something else than it should");
        on_answer(work, &work->ask[i], &answer);
    }
    return NM_OK;
}
