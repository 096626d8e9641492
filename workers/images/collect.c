/* collect.c - garbage collection and purge, see collect.h.
 *
 * gc goes through img:lru, where every object stands. An object in `deleting` that another run left behind is taken
 * over; one that is dying for long enough goes; of one that is idle the articles that are gone leave its URLs, and then
 * a script marks it. The file is removed within half of deleting_ms of the script that allowed it, or not at all. */
#include "collect_internal.h"

#include "newsmill/clock.h"

#include <string.h>

enum { PAGE = 100, MEMBERS = 2000 /* the hard maximum of maxUsers */, MEMBER_BYTES = 64, FAILS = 10 };

/* ---- files that go ---- */

typedef size_t say_fn(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, const char *token);

/* That the files are gone: im_deleted() or im_purged(). Redis may have lost what it knew of it, and has to learn. */
static enum nm_status say(struct im_run *run, say_fn *what, const char *sha, struct im_answer *out,
                          struct nm_error *err)
{
    const struct im_collect *collect = run->collect;
    struct im_answer answer = {.how = IM_HOW_more};
    enum nm_status status = NM_OK;
    for (int fails = 0; status == NM_OK && answer.how == IM_HOW_more;) {
        nm_pipe_reset(&run->pipe);
        (void)what(&run->state, &run->pipe, sha, run->token);
        status = im_run_ask(run, &answer, err);
        if (status == NM_RETRY && collect->again && fails++ < FAILS) {
            answer.how = IM_HOW_more;
            status = collect->again(collect->ctx, &run->redis, err);
        }
    }
    *out = answer;
    return status;
}

static enum nm_status take_down(struct im_run *run, struct im_place *place, const struct im_row *row,
                                struct nm_error *err)
{
    struct im_answer answer;
    bool done;
    if (run->collect->dry_run) {
        im_run_did(run, IM_DEED_REMOVE, row->sha, row->all_bytes, row->dying_ms);
        return NM_OK;
    }
    int64_t started_ms = nm_boottime_ms(); /* before Redis looks at its clock */
    nm_pipe_reset(&run->pipe);
    (void)im_deleting(&run->state, &run->pipe, row->sha, run->token);
    enum nm_status status = im_run_ask(run, &answer, err);
    if (status != NM_OK)
        return status;
    if (answer.how == IM_HOW_held)
        run->out->held++;
    if (answer.how != IM_HOW_ok)
        return NM_OK; /* used meanwhile, or gone */
    status = im_run_remove(run, row->sha, started_ms, &done, err);
    if (status != NM_OK || !done)
        return status;
    status = say(run, im_deleted, row->sha, &answer, err);
    if (status != NM_OK)
        return status;
    if (answer.how == IM_HOW_lost)
        run->out->lost++;
    if (answer.how != IM_HOW_held)
        im_rows_gone(place, row);
    run->out->objects--;
    run->out->object_bytes -= row->all_bytes;
    im_run_did(run, IM_DEED_REMOVE, row->sha, row->all_bytes, row->dying_ms);
    return NM_OK;
}

/* ---- articles that are gone ---- */

struct look { /* at the articles of an object */
    bool in_use;
    int64_t gone;
};

/* The members that `reply` has, one script each. */
static enum nm_status look_at_members(struct im_run *run, const char *url, char (*member)[MEMBER_BYTES], size_t n,
                                      struct look *look, struct nm_error *err)
{
    struct im_answer answer;
    nm_pipe_reset(&run->pipe);
    for (size_t i = 0; i < n; i++)
        (void)im_member(&run->state, &run->pipe, url, member[i]);
    enum nm_status status = n ? im_run_exec(run, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        status = im_run_answer(run, i, &answer, err);
        if (status == NM_OK && answer.how == IM_HOW_used)
            look->in_use = true;
        else if (status == NM_OK && answer.how == IM_HOW_ok)
            look->gone++;
    }
    return status;
}

/* One page of a set, as far as its members can be ours. Names that cannot be are of no use to anybody and stay: the
 * object is in use then. */
static size_t take_members(const struct nm_reply *reply, char (*member)[MEMBER_BYTES], struct look *look)
{
    size_t n = 0;
    for (size_t i = 0; i < reply->len && n < MEMBERS; i++) {
        const struct nm_reply *text = nm_reply_at(reply, i);
        if (text->type != NM_REPLY_STR || text->len == 0 || text->len >= MEMBER_BYTES ||
            strlen(text->str) != text->len) {
            look->in_use = true;
            continue;
        }
        memcpy(member[n++], text->str, text->len + 1);
    }
    return n;
}

/* Until one is found that shows the URL, or none is left. SRANDMEMBER and not SSCAN: what is gone is taken out, so the
 * next page is another one, and a page has a size. A dry run takes nobody out, so it looks at all in one page. */
static enum nm_status look_at_members_of(struct im_run *run, const char *url, char (*member)[MEMBER_BYTES],
                                         struct look *look, struct nm_error *err)
{
    char key[IM_KEY], most[12];
    size_t page = run->state.dry ? MEMBERS : PAGE, all = page;
    enum nm_status status = NM_OK;
    im_run_key(run, "users:", url, key);
    (void)snprintf(most, sizeof most, "%zu", page);
    while (status == NM_OK && all == page && !look->in_use) {
        int64_t before = look->gone;
        nm_pipe_reset(&run->pipe);
        IM_ADD(run, "SRANDMEMBER", key, most);
        status = im_run_exec(run, err);
        if (status != NM_OK)
            return status;
        const struct nm_reply *reply = nm_pipe_reply(&run->pipe, 0);
        all = reply->type == NM_REPLY_ARRAY ? reply->len : 0;
        size_t n = all ? take_members(reply, member, look) : 0;
        status = look_at_members(run, url, member, n, look, err);
        if (run->state.dry || look->gone == before)
            break;
    }
    return status;
}

static enum nm_status look_at_url(struct im_run *run, const char *url, struct look *look, struct nm_error *err)
{
    char(*member)[MEMBER_BYTES] = calloc(MEMBERS, sizeof *member);
    if (!member)
        return nm_fail(err, NM_FATAL, "out of memory");
    enum nm_status status = look_at_members_of(run, url, member, look, err);
    free(member);
    return status;
}

static enum nm_status look_at_object(struct im_run *run, const char *sha, struct look *look, struct nm_error *err)
{
    char key[IM_KEY], most[24];
    enum { URLS = 1000 };
    char(*url)[IM_URL_HASH_BYTES] = calloc(URLS, sizeof *url);
    size_t n = 0;
    if (!url)
        return nm_fail(err, NM_FATAL, "out of memory");
    im_run_key(run, "urls:", sha, key);
    (void)snprintf(most, sizeof most, "%d", (int)run->state.options.max_urls);
    nm_pipe_reset(&run->pipe);
    IM_ADD(run, "SRANDMEMBER", key, most);
    enum nm_status status = im_run_exec(run, err);
    const struct nm_reply *reply = status == NM_OK ? nm_pipe_reply(&run->pipe, 0) : NULL;
    for (size_t i = 0; reply && reply->type == NM_REPLY_ARRAY && i < reply->len && n < URLS; i++) {
        const struct nm_reply *text = nm_reply_at(reply, i);
        if (text->type == NM_REPLY_STR && text->len == IM_URL_HASH_BYTES - 1 && strlen(text->str) == text->len)
            memcpy(url[n++], text->str, IM_URL_HASH_BYTES);
    }
    for (size_t i = 0; status == NM_OK && i < n && !look->in_use; i++)
        status = look_at_url(run, url[i], look, err);
    free(url);
    run->out->members += look->gone;
    return status;
}

/* ---- marks ---- */

static void marked(struct im_run *run, const struct im_row *row)
{
    im_run_did(run, IM_DEED_MARK, row->sha, row->all_bytes,
               row->used_ms > row->stored_ms ? row->used_ms : row->stored_ms);
    if (run->collect->dry_run)
        return;
    run->out->waiting++;
    run->out->waiting_bytes += row->all_bytes;
}

/* Idle, but a script says that it is used: perhaps by articles that are gone. */
static enum nm_status mark_after_look(struct im_run *run, const struct im_row *row, struct nm_error *err)
{
    struct look look = {0};
    struct im_answer answer;
    enum nm_status status = look_at_object(run, row->sha, &look, err);
    if (status != NM_OK || look.in_use || look.gone == 0)
        return status;
    nm_pipe_reset(&run->pipe);
    (void)im_mark_idle(&run->state, &run->pipe, row->sha, run->state.options.idle_ms, true);
    status = im_run_ask(run, &answer, err);
    if (status == NM_OK && answer.how == IM_HOW_dying)
        marked(run, row);
    return status;
}

static enum nm_status mark_page(struct im_run *run, const size_t *idle, size_t n, struct nm_error *err)
{
    bool again[IM_ROWS] = {false};
    struct im_answer answer;
    nm_pipe_reset(&run->pipe);
    for (size_t i = 0; i < n; i++)
        (void)im_mark(&run->state, &run->pipe, run->row[idle[i]].sha);
    enum nm_status status = n ? im_run_exec(run, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        status = im_run_answer(run, i, &answer, err);
        again[i] = status == NM_OK && answer.how == IM_HOW_used;
        if (status == NM_OK && answer.how == IM_HOW_dying)
            marked(run, &run->row[idle[i]]);
    }
    for (size_t i = 0; status == NM_OK && i < n; i++)
        if (again[i])
            status = mark_after_look(run, &run->row[idle[i]], err);
    return status;
}

/* ---- the walk ---- */

bool im_row_idle(const struct im_run *run, const struct im_row *row)
{
    const struct im_state_options *options = &run->state.options;
    int64_t used_ms = row->used_ms > row->stored_ms ? row->used_ms : row->stored_ms;
    return run->now_ms - used_ms >= options->idle_ms && run->now_ms - row->stored_ms >= options->min_age_ms;
}

static bool is_due(const struct im_run *run, const struct im_row *row)
{
    const struct im_state_options *options = &run->state.options;
    if (row->dying_ms >= 0 && run->now_ms < row->dying_ms + options->grace_ms)
        return false;
    return row->deleting_ms >= 0 ? run->now_ms >= row->deleting_ms + options->deleting_ms : row->dying_ms >= 0;
}

static enum nm_status collect_page(struct im_run *run, struct im_place *place, struct nm_error *err)
{
    size_t idle[IM_ROWS], n = 0;
    enum nm_status status = NM_OK;
    for (size_t i = 0; i < run->n_rows && status == NM_OK; i++) {
        const struct im_row *row = &run->row[i];
        if (row->stored_ms < 0)
            continue; /* gone between the two commands */
        run->out->objects++;
        run->out->object_bytes += row->all_bytes;
        if (is_due(run, row)) {
            status = take_down(run, place, row, err);
        } else if (row->dying_ms >= 0 || row->deleting_ms >= 0) {
            run->out->waiting++;
            run->out->waiting_bytes += row->all_bytes;
        } else if (im_row_idle(run, row)) {
            idle[n++] = i;
        }
    }
    return status == NM_OK ? mark_page(run, idle, n, err) : status;
}

static enum nm_status collect_all(struct im_run *run, struct nm_error *err)
{
    struct im_place place = {.skip = 0};
    enum nm_status status = im_run_clock(run, err);
    while (status == NM_OK && !place.over && !im_run_stopped(run, "objects in Redis")) {
        status = im_rows_next(run, &place, err);
        if (status == NM_OK)
            status = collect_page(run, &place, err);
    }
    return status;
}

enum nm_status im_gc(const struct im_collect *collect, struct im_collected *out, struct nm_error *err)
{
    struct im_run run;
    enum nm_status status = im_run_open(&run, collect, out, err);
    if (status == NM_OK)
        status = im_gc_store(&run, err);
    if (status == NM_OK && !out->stopped)
        status = im_gc_thumbs(&run, err);
    if (status == NM_OK && !out->stopped)
        status = collect_all(&run, err);
    if (status == NM_OK && !out->stopped)
        status = im_gc_evict(&run, err);
    im_run_clear(&run);
    return status;
}

/* ---- purge ---- */

/* The scripts and the files. *again: somebody put it in between. */
static enum nm_status purge_once(struct im_run *run, const char *sha, bool *again, enum im_purged *how,
                                 struct nm_error *err)
{
    struct im_answer answer = {.how = IM_HOW_NONE};
    bool done = false;
    enum nm_status status = im_run_steps(run, im_purge, sha, &answer, err);
    *again = false;
    *how = IM_PURGED_NONE;
    if (status != NM_OK || answer.how == IM_HOW_none)
        return status;
    int64_t started_ms = nm_boottime_ms();
    nm_pipe_reset(&run->pipe);
    (void)im_purging(&run->state, &run->pipe, sha, run->token); /* one that was left behind, too */
    status = im_run_ask(run, &answer, err);
    *again = answer.how == IM_HOW_used;
    *how = answer.how == IM_HOW_none ? IM_PURGED_NONE : IM_PURGED_ELSEWHERE;
    if (status != NM_OK || answer.how != IM_HOW_ok)
        return status;
    status = im_run_remove(run, sha, started_ms, &done, err);
    if (status == NM_OK && !done)
        return nm_fail(err, NM_RETRY, "the store could not remove all files of %.12s... in time; try again in a minute",
                       sha);
    *how = IM_PURGED;
    return status == NM_OK ? say(run, im_purged, sha, &answer, err) : status;
}

enum nm_status im_purge_object(const struct im_collect *collect, const char *sha256, enum im_purged *how,
                               struct im_collected *out, struct nm_error *err)
{
    enum { TRIES = 20 };
    struct im_run run;
    struct im_row row;
    bool again = true;
    enum im_purged mine = IM_PURGED_NONE;
    enum nm_status status = im_run_open(&run, collect, out, err);
    run.strict = true;
    if (status == NM_OK) {
        nm_pipe_reset(&run.pipe);
        im_rows_ask(&run, sha256);
        status = im_run_exec(&run, err);
    }
    bool there = status == NM_OK && im_row_of(nm_pipe_reply(&run.pipe, 0), &row);
    if (there && collect->dry_run)
        mine = row.deleting_ms >= 0 ? IM_PURGED_ELSEWHERE : IM_PURGED;
    for (int i = 0; i < TRIES && status == NM_OK && there && !collect->dry_run && again; i++)
        status = purge_once(&run, sha256, &again, &mine, err);
    if (status == NM_OK && mine == IM_PURGED)
        im_run_did(&run, IM_DEED_REMOVE, sha256, row.all_bytes, row.stored_ms);
    if (status == NM_OK)
        *how = mine;
    im_run_clear(&run);
    return status;
}
