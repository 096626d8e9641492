/* work_host.c - the hosts that tasks talk to: their queues, and what this process knows of them.
 *
 * The fleet's limits are kept by Redis (slot.lua); here is only what saves asking: how many of a host are on their way
 * from here, when it may be asked again, by which address it was reached, and to which other host it redirects, so that
 * a place is asked for there too before the first request. */
#include "work_internal.h"

#include <stdlib.h>
#include <string.h>

static struct im_host **bucket(struct im_work *work, const char *name)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *at = name; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    return &work->hosts[(size_t)(hash >> 32) & (IM_MAX_HOSTS - 1)];
}

/* What nobody uses and nothing is to be remembered of but an address. */
static void forget_idle(struct im_work *work)
{
    int64_t now_ms = nm_boottime_ms();
    for (size_t i = 0; i < IM_MAX_HOSTS; i++)
        for (struct im_host **at = &work->hosts[i]; *at;) {
            struct im_host *host = *at;
            if (host->n_uses || host->in_line || host->not_before_ms > now_ms) {
                at = &host->hash_next;
                continue;
            }
            *at = host->hash_next;
            free(host);
            work->n_hosts--;
        }
}

enum nm_status im_host_find(struct im_work *work, const char *name, struct im_host **out, struct nm_error *err)
{
    struct im_host **at = bucket(work, name);
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->hash_next;
    if (!*at) {
        if (work->n_hosts >= IM_MAX_HOSTS) {
            forget_idle(work); /* may leave more, by those that are in use or paused: bounded by the tasks */
            at = bucket(work, name);
        }
        struct im_host *host = calloc(1, sizeof *host);
        if (!host)
            return nm_fail(err, NM_FATAL, "out of memory for a host");
        (void)strncpy(host->name, name, sizeof host->name - 1);
        host->hash_next = *at;
        *at = host;
        work->n_hosts++;
    }
    *out = *at;
    return NM_OK;
}

static void wait_in_line(struct im_work *work, struct im_host *host)
{
    if (host->in_line)
        return;
    host->in_line = true;
    host->line_next = NULL;
    *(work->line_last ? &work->line_last->line_next : &work->line_first) = host;
    work->line_last = host;
}

void im_host_enqueue(struct im_task *task, bool first)
{
    struct im_host *host = task->need[0].host;
    struct im_queue *queue = task->holds ? &host->held : &host->queue;
    task->stage = IM_STAGE_QUEUED;
    if (first)
        im_queue_add_first(queue, task);
    else
        im_queue_add(queue, task);
    wait_in_line(task->work, host);
    task->work->hosts_due_ms = 0;
}

/* At the rate of the fleet: who is sent away comes back in turn, and not all at once, again and again. */
int64_t im_host_turn_ms(const struct im_work *work, struct im_host *host)
{
    int64_t before = IM_HOST_TASKS / 2 + host->n_sent_away++;
    int64_t left_ms = before * 1000 / work->config.state->options.host_rate;
    return left_ms > IM_TURN_MIN_MS ? left_ms : IM_TURN_MIN_MS;
}

static bool has_place(const struct im_task *task)
{
    return task->stage >= IM_STAGE_SLOT && task->stage <= IM_STAGE_FETCH;
}

void im_host_left(struct im_task *task)
{
    if (!has_place(task))
        return;
    task->need[0].host->active--;
    task->work->n_fetching--;
    task->work->hosts_due_ms = 0;
}

static struct im_task *take(struct im_host *host)
{
    return im_queue_take(host->held.n ? &host->held : &host->queue);
}

static size_t n_waiting(const struct im_host *host)
{
    return host->held.n + host->queue.n;
}

/* Its article looks again then, so that a host that is away for long holds no memory. */
static void give_back(struct im_host *host, int64_t until_ms)
{
    struct im_task *task;
    while ((task = take(host)))
        im_task_end(task, until_ms + 2 * (im_jitter() / 1000));
}

void im_host_refused(struct im_task *task, int64_t until_ms, bool for_rate)
{
    struct im_work *work = task->work;
    struct im_host *host = task->need[0].host;
    int64_t left_ms = until_ms - im_work_now_ms(work);
    im_host_left(task);
    host->not_before_ms = nm_boottime_ms() + (left_ms > 1 ? left_ms : 1);
    host->waits_turn = for_rate;
    task->holds = for_rate && task->need[0].granted;
    im_host_enqueue(task, true);
    if (left_ms > work->config.state->options.lease_ms)
        give_back(host, until_ms);
}

static void begin(struct im_task *task)
{
    struct im_work *work = task->work;
    task->stage = IM_STAGE_SLOT;
    task->holds = false;
    task->need[0].host->active++;
    work->n_fetching++;
    im_task_want(task, IM_WANT_SLOT);
}

/* Whether it goes over one host only, from its beginning. */
static bool is_simple(const struct im_task *task)
{
    return task->n_needs == 1 && task->first_need == 0 && !task->resume;
}

struct im_task *im_host_heir(const struct im_task *task)
{
    const struct im_work *work = task->work;
    struct im_host *host = task->need[0].host;
    int64_t now_ms = nm_boottime_ms();
    const struct im_task *next = host->queue.first;
    if (!next || !is_simple(task) || !task->need[0].granted || !is_simple(next))
        return NULL;
    if ((now_ms < host->not_before_ms && !host->waits_turn) || now_ms < work->paused_until_ms ||
        work->decode.n >= IM_DECODE_AHEAD)
        return NULL;
    if (now_ms - task->place_since_ms > IM_PLACE_MS) {
        host->not_before_ms = now_ms + work->config.state->options.slot_retry_ms;
        host->waits_turn = false;
        return NULL;
    }
    return im_queue_take(&host->queue);
}

void im_host_pass_on(struct im_task *task, struct im_task *heir)
{
    char place[IM_TOKEN_BYTES];
    memcpy(place, heir->place, sizeof place);
    memcpy(heir->place, task->place, sizeof place);
    memcpy(task->place, place, sizeof place);
    heir->place_since_ms = task->place_since_ms;
    heir->kept = true;
    memcpy(heir->need[0].held, task->need[0].held, sizeof heir->need[0].held);
    task->need[0].granted = false;
    task->need[0].passed_on = heir->need[0].granted = true;
    heir->holds = nm_boottime_ms() < heir->need[0].host->not_before_ms;
    if (heir->holds)
        im_host_enqueue(heir, false);
    else
        begin(heir);
}

void im_host_give_up(struct im_task *task)
{
    if (task->kept)
        im_fetcher_hang_up(task->work->fetcher, task->need[0].host->name);
    task->kept = false;
    im_task_want(task, IM_WANT_SLOT_END);
}

/* One host, as far as it and the fetcher have room. */
static void serve(struct im_work *work, struct im_host *host)
{
    size_t per_host = (size_t)work->config.state->options.per_host;
    size_t most = (size_t)work->config.settings->fetch.in_flight_items;
    /* What waits for the decoder is behind all that is fetched now, and takes memory. */
    while (n_waiting(host) && host->active < per_host && work->n_fetching < most && work->decode.n < IM_DECODE_AHEAD)
        begin(take(host));
    if (host->queue.n <= IM_HOST_TASKS / 2)
        host->n_sent_away = 0;
}

void im_hosts_serve(struct im_work *work)
{
    int64_t now_ms = nm_boottime_ms(), due_ms = INT64_MAX;
    if (now_ms < work->hosts_due_ms)
        return;
    if (now_ms < work->paused_until_ms) {
        work->hosts_due_ms = work->paused_until_ms;
        return;
    }
    struct im_host *host = work->line_first, *next;
    work->line_first = work->line_last = NULL;
    for (; host; host = next) { /* who waits on stands behind those that come meanwhile: each has its turn first */
        next = host->line_next;
        host->in_line = false;
        if (n_waiting(host) && host->not_before_ms > now_ms)
            due_ms = host->not_before_ms < due_ms ? host->not_before_ms : due_ms;
        else
            serve(work, host);
        if (n_waiting(host))
            wait_in_line(work, host);
    }
    work->hosts_due_ms = due_ms; /* what waits for others is looked at when they end */
}

void im_hosts_close(struct im_work *work)
{
    for (size_t i = 0; work->hosts && i < IM_MAX_HOSTS; i++)
        while (work->hosts[i]) {
            struct im_host *host = work->hosts[i];
            work->hosts[i] = host->hash_next;
            free(host);
        }
}
