/* collect_walk.c - the store is walked: what Redis does not know becomes an unused object, and thumbnails that nobody
 * shows go.
 *
 * A worker that finds a file in its place does not write it again. So none may be taken away before that worker has
 * told Redis. A file without an object is adopted, and goes by the states that every writer heeds; so is a thumbnail
 * without an object. One that its object no longer lists goes at once, but only where no worker makes such thumbnails
 * any more, and the object was left alone for longer than gc.graceMs. */
#include "collect_internal.h"

#include <stdio.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)

/* ---- pages ---- */

typedef enum nm_status page_fn(struct im_run *run, const struct im_page *page, struct nm_error *err);

static enum nm_status walk(struct im_run *run, enum im_area area, const char *what, page_fn *each, struct nm_error *err)
{
    struct im_page page = {.entry = run->entry, .max = IM_FILES_PAGE, .more = true};
    enum nm_status status = NM_OK;
    while (status == NM_OK && page.more && !im_run_stopped(run, what)) {
        if (im_store_list(run->collect->store, area, &page, err) != IM_NONE)
            return NM_RETRY;
        run->out->foreign += (int64_t)page.n_foreign;
        *(area == IM_OBJECTS ? &run->out->files : &run->out->thumbs) += (int64_t)page.n;
        status = im_run_clock(run, err);
        if (status == NM_OK)
            status = each(run, &page, err);
    }
    return status;
}

/* When it was stored, not later than now: the clock of the store may be ahead. */
static int64_t stored_ms(const struct im_run *run, const struct im_entry *entry)
{
    int64_t s = entry->changed_s > 0 ? entry->changed_s : 0;
    return s < run->now_ms / 1000 ? s * 1000 : run->now_ms;
}

static bool is_old(const struct im_run *run, const struct im_entry *entry)
{
    return run->now_ms - stored_ms(run, entry) >= DAY_MS;
}

static struct im_name name_of(const struct im_entry *entry)
{
    struct im_name name = {.type = IM_JPEG};
    (void)im_name_read(entry->name, strlen(entry->name), &name); /* im_store_list() gives no other */
    return name;
}

static void ask_exists(struct im_run *run, const char *sha)
{
    char key[IM_KEY];
    im_run_key(run, "o:", sha, key);
    IM_ADD(run, "EXISTS", key);
}

/* ---- objects ---- */

/* Dry: whether Redis knows it; else it is adopted. */
static enum nm_status adopt_page(struct im_run *run, const struct im_page *page, struct nm_error *err)
{
    size_t asked[IM_FILES_PAGE], n = 0;
    char sha[IM_SHA_BYTES];
    bool dry = run->collect->dry_run;
    nm_pipe_reset(&run->pipe);
    for (size_t i = 0; i < page->n; i++) {
        struct im_name name = name_of(&page->entry[i]);
        im_entry_sha(&name, sha);
        if (!is_old(run, &page->entry[i]))
            continue;
        asked[n++] = i;
        if (dry)
            ask_exists(run, sha);
        else
            (void)im_adopt(&run->state, &run->pipe, sha, stored_ms(run, &page->entry[i]), im_type_name(name.type),
                           page->entry[i].bytes);
    }
    enum nm_status status = n ? im_run_exec(run, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        const struct im_entry *entry = &page->entry[asked[i]];
        struct im_answer answer = {.how = IM_HOW_ok};
        if (!dry)
            status = im_run_answer(run, i, &answer, err);
        else if (nm_reply_int(nm_pipe_reply(&run->pipe, i), 1) == 0)
            answer.how = IM_HOW_adopted;
        if (status == NM_OK && answer.how == IM_HOW_adopted)
            im_run_did(run, IM_DEED_ADOPT, entry->name, entry->bytes, stored_ms(run, entry));
    }
    return status;
}

enum nm_status im_gc_store(struct im_run *run, struct nm_error *err)
{
    return walk(run, IM_OBJECTS, "objects in the store", adopt_page, err);
}

/* ---- thumbnails ---- */

enum of_thumb { FINE, HOMELESS /* Redis has no such object */, UNLISTED /* its object lists others */ };

struct thumb {
    const struct im_entry *entry;
    struct im_name name;
    char sha[IM_SHA_BYTES];
    enum of_thumb what;
};

static bool is_listed(const struct im_thumb_file *file, size_t n, const struct im_name *name)
{
    for (size_t i = 0; i < n; i++)
        if (file[i].edge == name->edge && file[i].webp == (name->type == IM_WEBP))
            return true;
    return false;
}

/* Of a kind that workers make today: one may be about to list it. */
static bool is_made_today(const struct im_collect *collect, const struct im_name *name)
{
    for (int i = 0; i < collect->n_thumbs; i++)
        if (collect->thumb[i].edge == name->edge &&
            (collect->thumb[i].format == IM_THUMB_WEBP) == (name->type == IM_WEBP))
            return true;
    return false;
}

/* fields: storedAt, deleting, thumbs; used: the score in img:lru. What cannot be read, and an object without
 * thumbnails, which may have been adopted, decide nothing: they go with their object. */
static enum of_thumb judge(const struct im_run *run, const struct thumb *thumb, const struct nm_reply *fields,
                           const struct nm_reply *used)
{
    const struct im_state_options *options = &run->state.options;
    struct im_thumb_file file[IM_THUMBS];
    size_t n;
    if (nm_reply_at(fields, 0)->type == NM_REPLY_NIL)
        return HOMELESS;
    if (nm_reply_at(fields, 1)->type != NM_REPLY_NIL || !im_thumbs_of(nm_reply_at(fields, 2), file, &n) || n == 0 ||
        is_listed(file, n, &thumb->name) || is_made_today(run->collect, &thumb->name))
        return FINE;
    int64_t quiet_ms = options->touch_ms + options->grace_ms;
    return run->now_ms - nm_reply_int(used, run->now_ms) >= quiet_ms ? UNLISTED : FINE;
}

static enum nm_status judge_page(struct im_run *run, struct thumb *thumb, size_t n, struct nm_error *err)
{
    char key[IM_KEY], lru[IM_KEY];
    im_run_plain_key(run, "lru", lru);
    nm_pipe_reset(&run->pipe);
    for (size_t i = 0; i < n; i++) {
        im_run_key(run, "o:", thumb[i].sha, key);
        IM_ADD(run, "HMGET", key, "storedAt", "deleting", "thumbs");
        IM_ADD(run, "ZSCORE", lru, thumb[i].sha);
    }
    enum nm_status status = n ? im_run_exec(run, err) : NM_OK;
    for (size_t i = 0; status == NM_OK && i < n; i++)
        thumb[i].what = judge(run, &thumb[i], nm_pipe_reply(&run->pipe, 2 * i), nm_pipe_reply(&run->pipe, 2 * i + 1));
    return status;
}

/* As an object that is idle by now; no file of that name needs to be there. */
static enum nm_status adopt_homeless(struct im_run *run, const struct thumb *thumb, struct nm_error *err)
{
    const struct im_state_options *options = &run->state.options;
    int64_t idle_ms = options->idle_ms > options->min_age_ms ? options->idle_ms : options->min_age_ms;
    int64_t at_ms = stored_ms(run, thumb->entry);
    struct im_answer answer = {.how = IM_HOW_adopted};
    enum nm_status status = NM_OK;
    if (at_ms > run->now_ms - idle_ms)
        at_ms = run->now_ms > idle_ms ? run->now_ms - idle_ms : 0;
    if (!run->collect->dry_run) {
        nm_pipe_reset(&run->pipe);
        (void)im_adopt(&run->state, &run->pipe, thumb->sha, at_ms, "", 0);
        status = im_run_ask(run, &answer, err);
    }
    if (status == NM_OK && (answer.how == IM_HOW_adopted || answer.how == IM_HOW_ok))
        im_run_did(run, IM_DEED_ORPHAN, thumb->entry->name, thumb->entry->bytes, stored_ms(run, thumb->entry));
    return status;
}

static enum nm_status remove_unlisted(struct im_run *run, const struct thumb *thumb, struct nm_error *err)
{
    struct nm_error why = {0};
    if (!run->collect->dry_run && im_store_remove(run->collect->store, thumb->entry->name, &why) != IM_NONE)
        return im_run_failed(run, &why, err);
    im_run_did(run, IM_DEED_ORPHAN, thumb->entry->name, thumb->entry->bytes, stored_ms(run, thumb->entry));
    return NM_OK;
}

static enum nm_status thumbs_page(struct im_run *run, const struct im_page *page, struct nm_error *err)
{
    struct thumb *thumb = calloc(IM_FILES_PAGE, sizeof *thumb);
    size_t n = 0;
    if (!thumb)
        return nm_fail(err, NM_FATAL, "out of memory");
    for (size_t i = 0; i < page->n; i++) {
        struct im_name name = name_of(&page->entry[i]);
        im_run_edge(run, name.edge, name.type);
        if (!is_old(run, &page->entry[i]))
            continue;
        thumb[n] = (struct thumb){.entry = &page->entry[i], .name = name};
        im_entry_sha(&name, thumb[n++].sha);
    }
    enum nm_status status = judge_page(run, thumb, n, err);
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        if (thumb[i].what == HOMELESS)
            status = adopt_homeless(run, &thumb[i], err);
        else if (thumb[i].what == UNLISTED)
            status = remove_unlisted(run, &thumb[i], err);
    }
    free(thumb);
    return status;
}

enum nm_status im_gc_thumbs(struct im_run *run, struct nm_error *err)
{
    return walk(run, IM_THUMBNAILS, "thumbnails in the store", thumbs_page, err);
}
