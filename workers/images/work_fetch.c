/* work_fetch.c - the transfers of tasks: the gate's count of addresses, start, and what came. */
#include "work_internal.h"

#include "newsmill/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- the gate ---- */

/* The place of the host was taken under the address that it had last. Another one: the attempt ends, and a place is
 * asked for under that. */
static bool address_ok(void *ctx, void *token, const char *address)
{
    struct im_task *task = token;
    struct im_need *need = &task->need[task->at_need];
    (void)ctx;
    if (strcmp(need->held, address) == 0 || task->busy_rounds >= IM_BUSY_ROUNDS)
        return true;
    (void)snprintf(need->host->address, sizeof need->host->address, "%s", address);
    task->busy_rounds++;
    return false;
}

/* A redirect to another host needs a place there too. */
static bool host_ok(void *ctx, void *token, const char *name)
{
    struct im_work *work = ctx;
    struct im_task *task = token;
    for (size_t i = 0; i < task->n_needs; i++)
        if (strcmp(task->need[i].host->name, name) == 0) {
            task->at_need = i;
            return true;
        }
    struct im_host *host;
    if (task->n_needs == IM_MAX_NEEDS || im_host_find(work, name, &host, NULL) != NM_OK)
        return true; /* longer than any chain that is followed; without memory the host's limit is not kept */
    struct im_host *from = task->need[task->at_need].host;
    (void)snprintf(from->leads_to, sizeof from->leads_to, "%s", name);
    task->at_need = task->n_needs;
    im_task_need(task, host);
    task->busy_rounds++;
    return false;
}

/* What the transfer says about the last host. */
static enum im_host_answer judge(const struct im_fetched *fetched)
{
    if (fetched->outcome == IM_FETCH_BODY || fetched->outcome == IM_FETCH_UNCHANGED)
        return IM_HOST_GOOD;
    if (fetched->reason == IM_rate_limited)
        return IM_HOST_NONE;
    if (im_reason_kind(fetched->reason) == IM_KIND_RETRY || fetched->status >= 500)
        return IM_HOST_BAD;
    return fetched->status > 0 ? IM_HOST_GOOD : IM_HOST_NONE;
}

/* A connection is open as long as somebody holds a place for it: it goes on to the next task with the place, or ends.
 */
static bool keep(void *ctx, const struct im_fetched *fetched)
{
    struct im_task *task = fetched->token;
    (void)ctx;
    if (!task->lost && judge(fetched) == IM_HOST_GOOD)
        task->heir = im_host_heir(task);
    return task->heir != NULL;
}

/* ---- start ---- */

enum nm_status im_fetch_open(struct im_work *work, struct nm_error *err)
{
    const struct im_settings *settings = work->config.settings;
    work->fetch_config = (struct im_fetch_config){.limits = &settings->fetch,
                                                  .check = &settings->check,
                                                  .policy = &settings->policy,
                                                  .user_agent = settings->user_agent,
                                                  .temp_dir = settings->temp_path,
                                                  .ca_file = settings->ca_file,
                                                  .resolve = settings->resolve,
                                                  .clock = work->config.clock,
                                                  .allow_downgrade = settings->allow_downgrade,
                                                  .reject_mixed = settings->reject_mixed,
                                                  .strict_type = settings->strict_type,
                                                  .http2 = settings->http2,
                                                  .address_ok = address_ok,
                                                  .host_ok = host_ok,
                                                  .keep = keep,
                                                  .ctx = work};
    return im_fetcher_open(&work->fetch_config, &work->fetcher, err);
}

/* In the order of the leases, until the fetcher is full. */
static enum nm_status start(struct im_work *work, struct nm_error *err)
{
    struct im_url url;
    struct im_task *task;
    while ((task = work->start.first)) {
        const char *text = task->resume ? task->resume : task->url;
        if (task->lost || im_url_read(text, strlen(text), NM_FETCH_MAX_BYTES, &url) != IM_NONE) {
            (void)im_queue_take(&work->start);
            im_task_end(task, -1);
            continue;
        }
        struct im_fetch_request request = {.url = &url,
                                           .etag = *task->etag ? task->etag : NULL,
                                           .last_modified = *task->last_modified ? task->last_modified : NULL,
                                           .hops = task->hops,
                                           .spent_ms = task->spent_ms,
                                           .try_https = work->config.settings->try_https,
                                           .token = task};
        task->at_need = task->first_need;
        enum nm_status status = im_fetcher_start(work->fetcher, &request, &task->fetch_id, err);
        if (status == NM_RETRY)
            return NM_OK;
        if (status != NM_OK)
            return status;
        (void)im_queue_take(&work->start);
        task->stage = IM_STAGE_FETCH;
    }
    return NM_OK;
}

/* ---- what came ---- */

void im_task_release(struct im_task *task)
{
    if (task->has_body)
        im_fetcher_release(task->work->fetcher, &task->fetched);
    task->has_body = false;
}

void im_task_failed(struct im_task *task, enum im_reason reason)
{
    char shown[IM_URL_SHOWN_BYTES];
    const struct im_fetched *fetched = &task->fetched;
    nm_log(NM_INFO, "image.refused", "%s: %s (hop %d, status %d)", im_reason_name(reason),
           *fetched->shown ? fetched->shown : im_url_show(task->url, strlen(task->url), shown), fetched->hops,
           fetched->status);
    task->result = (struct im_result){.outcome = IM_RESULT_FAILED,
                                      .reason = reason,
                                      .width = task->facts.width,
                                      .height = task->facts.height,
                                      .status = fetched->status,
                                      .after_ms = fetched->retry_after_ms};
    im_task_release(task);
    im_picture_clear(task);
    im_task_result(task);
}

/* It was no try: back to its queue, for other places. Behind a redirect it goes on from there. */
static void again(struct im_task *task)
{
    struct im_fetched *fetched = &task->fetched;
    if (fetched->next) {
        free(task->resume);
        task->resume = fetched->next;
        fetched->next = NULL;
        task->hops = fetched->hops;
        task->spent_ms = fetched->spent_ms;
        task->first_need = task->at_need;
    }
    im_task_release(task);
    task->answer = IM_HOST_NONE;
    task->pause_ms = 0;
    im_host_left(task);
    im_task_lease(task, false);
    im_host_give_up(task);
    im_task_want(task, IM_WANT_LEASE_END);
    im_host_enqueue(task, true);
}

int64_t im_fresh_ms(const struct im_fetched *fetched)
{
    return fetched->max_age_s < 0 ? -1 : fetched->max_age_s * 1000;
}

static void unchanged(struct im_task *task)
{
    task->result = (struct im_result){.outcome = IM_RESULT_SAME,
                                      .etag = task->fetched.etag,
                                      .last_modified = task->fetched.last_modified,
                                      .fresh_ms = im_fresh_ms(&task->fetched)};
    im_task_release(task);
    im_task_result(task);
}

static enum im_reason probe_file(struct im_task *task, const struct im_limits *limits)
{
    size_t len = (size_t)task->fetched.bytes;
    void *data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, task->fetched.fd, 0);
    if (data == MAP_FAILED)
        return IM_store_io;
    enum im_reason reason = im_probe_file(data, len, limits, &task->facts);
    (void)munmap(data, len);
    return reason;
}

/* Our own look at the whole body, before any library sees it. */
static enum im_reason probe(struct im_task *task)
{
    const struct im_settings *settings = task->work->config.settings;
    const struct im_fetched *fetched = &task->fetched;
    if (fetched->bytes == 0)
        return IM_truncated;
    enum im_reason reason = fetched->data
                                ? im_probe_file(fetched->data, (size_t)fetched->bytes, &settings->check, &task->facts)
                                : probe_file(task, &settings->check);
    int64_t pixels = (int64_t)task->facts.raw_width * task->facts.raw_height;
    if (reason == IM_NONE && pixels > 4000000 && pixels * 4 / task->fetched.bytes > settings->bomb_ratio) {
        nm_series_add(task->work->counts.bombs, 1);
        reason = settings->refuse_bombs ? IM_bomb_ratio : IM_NONE;
    }
    return reason;
}

/* Temporary files lie on the disk of the store, so what befalls them befalls it. */
static void failed(struct im_task *task, enum im_reason reason)
{
    if (im_reason_kind(reason) == IM_KIND_OURS)
        im_store_failed(task, reason, "the file of a transfer");
    else
        im_task_failed(task, reason);
}

static void body(struct im_work *work, struct im_task *task)
{
    enum im_reason reason = probe(task);
    if (reason == IM_NONE)
        reason = im_picture_input(task);
    if (reason != IM_NONE) {
        failed(task, reason);
        return;
    }
    nm_series_add(work->counts.no_end, task->facts.no_end);
    nm_series_add(work->counts.mismatch,
                  *task->fetched.declared && strcmp(task->fetched.declared, im_type_name(task->facts.type)) != 0);
    task->stage = IM_STAGE_DECODE;
    im_queue_add(&work->decode, task);
}

static void take(struct im_work *work, struct im_task *task)
{
    const struct im_fetched *fetched = &task->fetched;
    nm_series_add(work->counts.bytes_in, (double)fetched->received);
    nm_series_add(work->counts.mixed, fetched->mixed);
    task->has_body = true; /* or what stands for it, to be released */
    task->kept = task->kept && !*fetched->address;
    if (task->lost) {
        im_task_end(task, -1);
        return;
    }
    if (fetched->outcome == IM_FETCH_BUSY) {
        again(task);
        return;
    }
    task->facts = fetched->facts;
    task->answer = judge(fetched);
    task->pause_ms = fetched->retry_after_ms;
    im_host_left(task);
    im_host_give_up(task);
    if (task->heir)
        im_host_pass_on(task, task->heir);
    task->heir = NULL;
    if (fetched->outcome == IM_FETCH_UNCHANGED)
        unchanged(task);
    else if (fetched->outcome == IM_FETCH_BODY)
        body(work, task);
    else
        failed(task, fetched->reason);
}

enum nm_status im_fetch_move(struct im_work *work, struct nm_error *err)
{
    struct im_fetched fetched;
    enum nm_status status = start(work, err);
    if (status == NM_OK)
        status = im_fetcher_advance(work->fetcher, err);
    while (status == NM_OK && im_fetcher_take(work->fetcher, &fetched)) {
        struct im_task *task = fetched.token;
        task->fetched = fetched;
        take(work, task);
    }
    return status;
}
