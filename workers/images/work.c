/* work.c - the table of tasks, their queues, and the turn that moves them. */
#include "work_internal.h"

#include "newsmill/digest.h"
#include "newsmill/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- queues ---- */

static void queue_open(struct im_queue *queue)
{
    *queue = (struct im_queue){.first = NULL};
    queue->end = &queue->first;
}

void im_queue_add(struct im_queue *queue, struct im_task *task)
{
    if (!queue->end) /* a zeroed one */
        queue->end = &queue->first;
    task->next = NULL;
    *queue->end = task;
    queue->end = &task->next;
    queue->n++;
}

void im_queue_add_first(struct im_queue *queue, struct im_task *task)
{
    if (!queue->first) {
        im_queue_add(queue, task);
        return;
    }
    task->next = queue->first;
    queue->first = task;
    queue->n++;
}

struct im_task *im_queue_take(struct im_queue *queue)
{
    struct im_task *task = queue->first;
    if (!task)
        return NULL;
    queue->first = task->next;
    if (!queue->first)
        queue->end = &queue->first;
    queue->n--;
    task->next = NULL;
    return task;
}

/* ---- tasks ---- */

int64_t im_work_now_ms(const struct im_work *work)
{
    if (work->clock_ms == 0) /* Redis has not told yet */
        return work->config.clock->now_ms(work->config.clock->self);
    return work->clock_ms + nm_boottime_ms() - work->clock_boot_ms;
}

int64_t im_jitter(void)
{
    return random() % 1000000;
}

void im_task_want(struct im_task *task, unsigned wants)
{
    struct im_work *work = task->work;
    task->wants |= wants;
    if (task->in_wants || !task->wants)
        return;
    task->in_wants = true;
    task->want_next = NULL;
    *work->want_end = task;
    work->want_end = &task->want_next;
}

void im_task_lease(struct im_task *task, bool leased)
{
    struct im_work *work = task->work;
    if (task->leased) {
        *(task->lease_prev ? &task->lease_prev->lease_next : &work->lease_first) = task->lease_next;
        *(task->lease_next ? &task->lease_next->lease_prev : &work->lease_last) = task->lease_prev;
    }
    task->leased = leased;
    if (!leased)
        return;
    task->extended_ms = nm_boottime_ms();
    task->lease_next = NULL;
    task->lease_prev = work->lease_last;
    *(work->lease_last ? &work->lease_last->lease_next : &work->lease_first) = task;
    work->lease_last = task;
}

static struct im_task **bucket(struct im_work *work, const char *hash)
{
    uint64_t head = 0;
    for (int i = 0; i < 8; i++)
        head = head << 8 | (unsigned char)hash[i];
    return &work->table[(size_t)(head * 0x9E3779B97F4A7C15u >> 32) & (work->table_size - 1)];
}

static struct im_task **find(struct im_work *work, const char *hash)
{
    struct im_task **at = bucket(work, hash);
    while (*at && strcmp((*at)->hash, hash) != 0)
        at = &(*at)->hash_next;
    return at;
}

static void task_free(struct im_task *task)
{
    free(task->resume);
    free(task->url);
    free(task);
}

void im_task_free_if_over(struct im_task *task)
{
    struct im_work *work = task->work;
    if (task->stage != IM_STAGE_END || task->wants || task->n_asked || task->in_wants)
        return;
    for (size_t i = 0; i < task->n_needs; i++)
        task->need[i].host->n_uses--;
    *(task->all_prev ? &task->all_prev->all_next : &work->all) = task->all_next;
    if (task->all_next)
        task->all_next->all_prev = task->all_prev;
    task_free(task);
    work->n_tasks--;
}

void im_task_end(struct im_task *task, int64_t back_ms)
{
    bool has_places = false;
    unsigned wants = 0;
    for (size_t i = 0; i < task->n_needs; i++)
        has_places = has_places || task->need[i].granted || task->need[i].passed_on;
    if (task->leased)
        wants |= IM_WANT_LEASE_END;
    if (back_ms >= 0)
        wants |= IM_WANT_BACK;
    task->back_ms = back_ms;
    im_host_left(task);
    im_task_lease(task, false);
    im_task_release(task);
    im_picture_clear(task);
    struct im_task **at = find(task->work, task->hash);
    if (*at == task)
        *at = task->hash_next;
    task->stage = IM_STAGE_END;
    task->wants = 0;
    if (has_places)
        im_host_give_up(task);
    im_task_want(task, wants);
    im_task_free_if_over(task);
}

static char *put_text(char **at, const char *text)
{
    size_t len = strlen(text) + 1;
    char *put = memcpy(*at, text, len);
    *at += len;
    return put;
}

static struct im_task *task_new(struct im_work *work, const struct im_wanted *wanted)
{
    struct im_task *task = calloc(1, sizeof *task);
    char *texts = malloc(wanted->url->len + strlen(wanted->etag) + strlen(wanted->last_modified) + 3);
    unsigned char random_bytes[16];
    if (!task || !texts || getrandom(random_bytes, sizeof random_bytes, 0) != (ssize_t)sizeof random_bytes) {
        free(task);
        free(texts);
        return NULL;
    }
    task->work = work;
    task->fetched.fd = task->input_fd = -1;
    task->url = put_text(&texts, wanted->url->text);
    task->etag = put_text(&texts, wanted->etag);
    task->last_modified = put_text(&texts, wanted->last_modified);
    memcpy(task->hash, wanted->url->hash, sizeof task->hash - 1);
    memcpy(task->id, wanted->id, sizeof task->id - 1);
    task->claimed = wanted->claimed;
    nm_hex_write(random_bytes, sizeof random_bytes, task->token);
    memcpy(task->place, task->token, sizeof task->place);
    return task;
}

void im_task_need(struct im_task *task, struct im_host *host)
{
    host->n_uses++;
    task->need[task->n_needs++].host = host;
}

void im_task_result(struct im_task *task)
{
    task->stage = IM_STAGE_RESULT;
    im_task_want(task, IM_WANT_RESULT);
}

/* The host of the URL, and the one that it is known to lead to. */
static enum nm_status need_hosts(struct im_task *task, struct im_host *host, struct nm_error *err)
{
    im_task_need(task, host);
    if (!*host->leads_to || strcmp(host->leads_to, host->name) == 0)
        return NM_OK;
    struct im_host *next;
    enum nm_status status = im_host_find(task->work, host->leads_to, &next, err);
    if (status == NM_OK)
        im_task_need(task, next);
    return status;
}

/* How long nothing new of the host is taken; 0: it is. */
static int64_t wait_ms(const struct im_work *work, struct im_host *host)
{
    int64_t now_ms = nm_boottime_ms(), left_ms = host->not_before_ms - now_ms;
    if (now_ms < work->paused_until_ms)
        return work->paused_until_ms - now_ms + 1;
    if (left_ms > work->config.state->options.lease_ms)
        return left_ms;
    return host->queue.n >= IM_HOST_TASKS ? im_host_turn_ms(work, host) : 0;
}

enum nm_status im_work_add(struct im_work *work, const struct im_wanted *wanted, enum im_taken *taken,
                           int64_t *later_ms, struct nm_error *err)
{
    struct im_host *host;
    struct im_task **at = find(work, wanted->url->hash);
    *taken = IM_TAKEN;
    if (*at)
        return NM_OK;
    *taken = IM_FULL;
    if (work->n_tasks >= work->max_tasks)
        return NM_OK;
    enum nm_status status = im_host_find(work, wanted->url->host, &host, err);
    if (status != NM_OK)
        return status;
    int64_t left_ms = wait_ms(work, host);
    if (left_ms > 0) {
        *taken = IM_WAIT;
        *later_ms = im_work_now_ms(work) + left_ms;
        return NM_OK;
    }
    struct im_task *task = task_new(work, wanted);
    if (!task)
        return nm_fail(err, NM_FATAL, "out of memory for an image's task");
    work->n_tasks++;
    task->all_next = work->all;
    if (work->all)
        work->all->all_prev = task;
    work->all = task;
    status = need_hosts(task, host, err);
    if (status != NM_OK)
        return status; /* fatal */
    task->hash_next = *at;
    *at = task;
    im_host_enqueue(task, false);
    *taken = IM_TAKEN;
    return NM_OK;
}

/* ---- the turn ---- */

/* Leases are renewed at a third of their time: when the next one is. */
static int64_t renewal_due_ms(const struct im_work *work)
{
    const struct im_task *task = work->lease_first;
    return task ? task->extended_ms + work->config.state->options.lease_ms / 3 : INT64_MAX;
}

static void renew_leases(struct im_work *work)
{
    int64_t now_ms = nm_boottime_ms();
    while (now_ms >= renewal_due_ms(work)) {
        struct im_task *task = work->lease_first;
        if (task->stage != IM_STAGE_RESULT) /* whose answer ends it, or says that it came late */
            im_task_want(task, IM_WANT_EXTEND);
        im_task_lease(task, true);
    }
}

/* Those that gc got in the way of are put again when it has certainly ended. */
static void wake_away(struct im_work *work)
{
    int64_t now_ms = nm_boottime_ms();
    for (size_t n = work->away.n; n > 0; n--) {
        struct im_task *task = im_queue_take(&work->away);
        bool now = now_ms >= task->away_ms;
        task->stage = now ? IM_STAGE_STORE : IM_STAGE_AWAY;
        im_queue_add(now ? &work->store : &work->away, task);
    }
}

/* Everything that waits or is on its way to the picture; what is being decoded or stored ends by itself. */
static void give_all_back(struct im_work *work)
{
    struct im_task *next;
    for (struct im_task *task = work->all; task; task = next) {
        next = task->all_next;
        if (task->stage == IM_STAGE_DECODING || task->stage == IM_STAGE_STORING || task->stage >= IM_STAGE_RESULT)
            continue;
        if (task->stage == IM_STAGE_FETCH && !im_fetcher_cancel(work->fetcher, task->fetch_id))
            continue; /* it is over, and about to be taken */
        im_task_end(task, im_work_now_ms(work));
    }
    for (size_t i = 0; i < IM_MAX_HOSTS; i++)
        for (struct im_host *host = work->hosts[i]; host; host = host->hash_next) {
            queue_open(&host->queue);
            queue_open(&host->held);
        }
    queue_open(&work->start);
    queue_open(&work->decode);
    queue_open(&work->store);
    queue_open(&work->away);
}

enum nm_status im_work_turn(struct im_work *work, struct nm_turn *turn, struct nm_error *err)
{
    enum nm_status status = turn->replies ? im_work_answered(work, turn->replies, err) : NM_OK;
    if (status == NM_OK && turn->stopping)
        give_all_back(work);
    if (status == NM_OK)
        status = im_fetch_move(work, err);
    wake_away(work);
    if (status == NM_OK)
        status = im_picture_move(work, err);
    if (status != NM_OK)
        return status;
    renew_leases(work);
    if (turn->pipe) {
        if (!turn->stopping)
            im_hosts_serve(work);
        im_work_ask(work, turn->pipe);
    }
    im_counts_tick(work);
    turn->idle = work->n_tasks == 0;
    return NM_OK;
}

size_t im_work_fds(struct im_work *work, struct pollfd *out, size_t max)
{
    if (max < 2)
        return 0;
    out[0] = (struct pollfd){.fd = im_fetcher_fd(work->fetcher), .events = POLLIN};
    out[1] = (struct pollfd){.fd = im_store_thread_fd(work->store_thread), .events = POLLIN};
    return 2 + im_decoders_fds(work->decoders, out + 2, max - 2);
}

int64_t im_work_due_ms(const struct im_work *work)
{
    int64_t now_ms = nm_boottime_ms(), at_ms = work->hosts_due_ms;
    int fetcher_ms = im_fetcher_timeout_ms(work->fetcher);
    if (fetcher_ms >= 0 && now_ms + fetcher_ms < at_ms)
        at_ms = now_ms + fetcher_ms;
    if (im_decoders_due_ms(work->decoders) < at_ms)
        at_ms = im_decoders_due_ms(work->decoders);
    return renewal_due_ms(work) < at_ms ? renewal_due_ms(work) : at_ms;
}

size_t im_work_room(const struct im_work *work)
{
    if (nm_boottime_ms() < work->paused_until_ms || work->n_tasks >= work->max_tasks)
        return 0;
    return work->max_tasks - work->n_tasks;
}

void im_work_dropped(struct im_work *work)
{
    size_t n = work->n_asks;
    work->n_asks = 0;
    for (size_t i = 0; i < n; i++) {
        struct im_ask *ask = &work->ask[i];
        if (!ask->task) {
            ask->look->state = IM_LOOK_MISSING;
            continue;
        }
        /* Asked once more: a repeated command finds what the first one left. */
        ask->task->n_asked--;
        bool over = ask->task->stage == IM_STAGE_END;
        if (!over || ask->kind == IM_WANT_LEASE_END || ask->kind == IM_WANT_BACK)
            im_task_want(ask->task, ask->kind);
        im_task_free_if_over(ask->task);
    }
}

/* ---- open, close ---- */

static enum nm_status allocate(struct im_work *work, struct nm_error *err)
{
    work->max_tasks = (size_t)work->config.settings->fetch.in_flight_items * 4 + 256;
    work->table_size = 1024;
    while (work->table_size < 2 * work->max_tasks)
        work->table_size *= 2;
    work->table = calloc(work->table_size, sizeof(struct im_task *));
    work->hosts = calloc(IM_MAX_HOSTS, sizeof(struct im_host *));
    return work->table && work->hosts ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for the images' tasks");
}

enum nm_status im_work_open(const struct im_work_config *config, struct im_work **out, struct nm_error *err)
{
    struct im_work *work NM_AUTO(im_work_close) = calloc(1, sizeof *work);
    if (!work)
        return nm_fail(err, NM_FATAL, "out of memory for the images' tasks");
    work->config = *config;
    work->want_end = &work->want_first;
    work->hosts_due_ms = INT64_MAX;
    enum nm_status status = allocate(work, err);
    if (status == NM_OK)
        status = im_fetch_open(work, err); /* before there is another thread */
    if (status == NM_OK)
        status = im_decoders_open(&config->settings->decoder, nm_boottime_ms(), &work->decoders, err);
    if (status == NM_OK)
        status = im_store_thread_open(config->store, IM_MAX_LOOKS + work->max_tasks, &work->store_thread, err);
    if (status != NM_OK)
        return status;
    im_counts_open(work);
    *out = work;
    work = NULL;
    return NM_OK;
}

static void free_tasks(struct im_work *work)
{
    while (work->all) {
        struct im_task *task = work->all;
        work->all = task->all_next;
        im_task_release(task);
        im_picture_clear(task);
        task_free(task);
    }
}

void im_work_close(struct im_work *work)
{
    if (!work)
        return;
    im_store_thread_free(work->store_thread);
    im_decoders_close(work->decoders);
    free_tasks(work);
    im_fetcher_close(work->fetcher);
    im_hosts_close(work);
    free(work->table);
    free(work->hosts);
    free(work);
}
