/* collect_evict.c - eviction: above the store's cap, objects go that gc would leave.
 *
 * What is on its way already counts first, so a second run within the grace asks for no more. Then, the least used
 * first: objects that no article shows, and if that is not enough, those that articles show, which are told at once.
 * The files themselves are for the gc after the grace. Another run beside this one marks from the same end; what it
 * marks is seen and counted here too, if in doubt twice: what is missing then the next run takes. */
#include "collect_internal.h"

#include <string.h>

struct need {
    int64_t bytes, files; /* that are still to go */
    int64_t since_ms;     /* what is dying since then may not be counted */
};

static int64_t above(int64_t used, int64_t cap)
{
    return used > cap ? used - cap / 16 * 15 : 0;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool is_met(const struct need *need)
{
    return need->bytes <= 0 && need->files <= 0;
}

static void goes(struct need *need, const struct im_row *row)
{
    need->bytes -= row->all_bytes;
    need->files -= row->n_files;
}

/* What is on its way. */
static enum nm_status count_waiting(struct im_run *run, struct need *need, struct nm_error *err)
{
    struct im_place place = {.skip = 0};
    enum nm_status status = im_run_clock(run, err);
    need->since_ms = run->now_ms;
    while (status == NM_OK && !place.over && !is_met(need) && !im_run_stopped(run, "what is on its way")) {
        status = im_rows_next(run, &place, err);
        for (size_t i = 0; status == NM_OK && i < run->n_rows; i++)
            if (run->row[i].stored_ms >= 0 && (run->row[i].dying_ms >= 0 || run->row[i].deleting_ms >= 0))
                goes(need, &run->row[i]);
    }
    if (run->state.dry) { /* what would be marked by now */
        need->bytes -= run->out->bytes[IM_DEED_MARK] + run->out->bytes[IM_DEED_UNUSED];
        need->files -= run->out->n[IM_DEED_MARK] + run->out->n[IM_DEED_UNUSED];
    }
    return status;
}

/* Above the caps, without what is on its way. */
static enum nm_status look(struct im_run *run, struct need *out, struct nm_error *err)
{
    const struct im_collect *collect = run->collect;
    struct im_space space;
    if (im_store_space(collect->store, &space, err) != IM_NONE)
        return NM_RETRY;
    *out = (struct need){.bytes = 0};
    if (collect->max_bytes > 0)
        out->bytes = above(run->out->object_bytes, collect->max_bytes);
    int64_t percent = collect->max_percent;
    if (space.known && percent > 0)
        out->bytes = most(out->bytes, above(space.total_bytes - space.free_bytes, space.total_bytes / 100 * percent));
    if (space.known && percent > 0 && space.total_inodes > 0)
        out->files = above(space.total_inodes - space.free_inodes, space.total_inodes / 100 * percent);
    return is_met(out) ? NM_OK : count_waiting(run, out, err);
}

static int64_t used_ms(const struct im_row *row)
{
    return most(row->used_ms, row->stored_ms);
}

/* As many from `from` on as are needed, if none is spared; of a page of rows. */
static size_t choose(struct im_run *run, struct need *need, size_t from, size_t *chosen, size_t *n)
{
    struct need left = *need;
    *n = 0;
    for (; from < run->n_rows && !is_met(&left); from++) {
        const struct im_row *row = &run->row[from];
        if (row->stored_ms < 0 || row->deleting_ms >= 0 || run->now_ms - row->stored_ms < run->state.options.min_age_ms)
            continue;
        if (row->dying_ms >= 0) {
            if (row->dying_ms >= need->since_ms) { /* by another run beside this one */
                goes(need, row);
                goes(&left, row);
            }
            continue;
        }
        chosen[(*n)++] = from;
        goes(&left, row);
    }
    return from;
}

/* Marks those that no article shows. taken[i]: whether it was. */
static enum nm_status mark_chosen(struct im_run *run, const size_t *chosen, size_t n, bool *taken, struct nm_error *err)
{
    struct im_answer answer;
    nm_pipe_reset(&run->pipe);
    for (size_t i = 0; i < n; i++)
        (void)im_mark_idle(&run->state, &run->pipe, run->row[chosen[i]].sha, 0, false);
    enum nm_status status = n ? im_run_exec(run, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        status = im_run_answer(run, i, &answer, err);
        taken[i] = status == NM_OK && answer.how == IM_HOW_dying;
    }
    return status;
}

static enum nm_status take_unused(struct im_run *run, struct need *need, const size_t *chosen, size_t n,
                                  struct nm_error *err)
{
    bool taken[IM_ROWS] = {false};
    enum nm_status status = mark_chosen(run, chosen, n, taken, err);
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        const struct im_row *row = &run->row[chosen[i]];
        if (!taken[i] || (run->state.dry && im_row_idle(run, row)))
            continue;
        goes(need, row);
        im_run_did(run, IM_DEED_UNUSED, row->sha, row->all_bytes, used_ms(row));
    }
    return status;
}

static enum nm_status take_used(struct im_run *run, struct need *need, const size_t *chosen, size_t n,
                                struct nm_error *err)
{
    bool before[IM_ROWS] = {false}; /* dry: the pass before this one took it */
    struct im_answer answer;
    enum nm_status status = run->state.dry ? mark_chosen(run, chosen, n, before, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < n && !is_met(need); i++) {
        const struct im_row *row = &run->row[chosen[i]];
        if (before[i])
            continue;
        status = im_run_steps(run, im_evict, row->sha, &answer, err);
        if (status != NM_OK || answer.how != IM_HOW_ok)
            continue;
        goes(need, row);
        im_run_did(run, IM_DEED_EVICT, row->sha, row->all_bytes, used_ms(row));
    }
    return status;
}

static enum nm_status pass(struct im_run *run, struct need *need, bool used, struct nm_error *err)
{
    struct im_place place = {.skip = 0};
    size_t chosen[IM_ROWS], n;
    enum nm_status status = look(run, need, err);
    while (status == NM_OK && !place.over && !is_met(need) && !im_run_stopped(run, "eviction")) {
        status = im_rows_next(run, &place, err);
        for (size_t at = 0; status == NM_OK && at < run->n_rows && !is_met(need);) {
            at = choose(run, need, at, chosen, &n);
            status = used ? take_used(run, need, chosen, n, err) : take_unused(run, need, chosen, n, err);
        }
    }
    return status;
}

enum nm_status im_gc_evict(struct im_run *run, struct nm_error *err)
{
    struct need need = {.bytes = 0};
    enum nm_status status = pass(run, &need, false, err);
    if (status == NM_OK && !run->out->stopped && !is_met(&need))
        status = pass(run, &need, true, err);
    run->out->short_bytes = most(need.bytes, 0);
    run->out->short_files = most(need.files, 0);
    return status;
}
