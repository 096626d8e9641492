/* observe.c - what the runtime tells about itself: metrics, the admin endpoint's report, the announcement for
 * `newsmill ps`, and the beats of the watchdog. Nothing here changes what the worker does. */
#include "newsmill/log.h"
#include "redis_internal.h"
#include "runtime_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define REPORT_MS   250
#define LATE_MS     2500  /* nobody looked for so long */
#define CALM_MS     30000 /* without a failure: it is over */
#define METADATA_MS 100   /* longest look whether a cluster that was away is back, or where a partition ends */

enum nm_status nm_observe_open(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_observer *ob = &rt->observer;
    ob->started_ms = nm_wall_clock.now_ms(nm_wall_clock.self);
    ob->phase_at_ns = nm_observe_clock_ns();
    struct nm_redis_url url;
    if (nm_redis_url_parse(rt->settings.redis.url, &url, NULL) == NM_OK)
        (void)snprintf(ob->redis_address, sizeof ob->redis_address, "%s:%d", url.host, url.port);
    enum nm_status status = nm_metrics_new(rt->worker->name, &ob->metrics, err);
    if (status != NM_OK)
        return status;
    nm_runtime_metrics_init(&ob->rm, ob->metrics, rt->worker);
    rt->deps.metrics = ob->metrics;
    status = nm_admin_open(&rt->settings, rt->worker->name, ob->metrics, &ob->admin, err);
    if (status == NM_OK)
        status = nm_watchdog_open(rt->settings.runtime.stall_ms, &ob->watchdog, err);
    if (status == NM_OK)
        rt->deps.listening = nm_admin_address(ob->admin);
    if (status == NM_OK && nm_admin_address(ob->admin)[0])
        nm_log(NM_INFO, "admin", "listening on http://%s: /livez /readyz /metrics /status",
               nm_admin_address(ob->admin));
    return status;
}

void nm_observe_close(struct nm_runtime *rt)
{
    struct nm_observer *ob = &rt->observer;
    nm_watchdog_close(ob->watchdog);
    nm_admin_close(ob->admin);
    nm_metrics_free(ob->metrics);
    nm_pipe_clear(&ob->pipe);
    nm_buf_clear(&ob->json);
    free(ob->report);
}

/* ---- time by phase ---- */

int64_t nm_observe_clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void nm_observe_phase(struct nm_runtime *rt, enum nm_phase next)
{
    struct nm_observer *ob = &rt->observer;
    if (next == ob->phase)
        return;
    int64_t now_ns = nm_observe_clock_ns();
    nm_series_add(ob->rm.loop_seconds[ob->phase], (double)(now_ns - ob->phase_at_ns) / 1e9);
    ob->phase = next;
    ob->phase_at_ns = now_ns;
}

void nm_observe_beat(struct nm_runtime *rt)
{
    nm_watchdog_beat(rt->observer.watchdog);
}

void nm_observe_retry(struct nm_runtime *rt, const struct nm_error *why)
{
    struct nm_observer *ob = &rt->observer;
    bool redis = !nm_redis_alive(rt->redis);
    nm_series_add(ob->rm.retries[redis ? NM_DEPENDENCY_REDIS : NM_DEPENDENCY_KAFKA], 1);
    (void)snprintf(ob->retrying, sizeof ob->retrying, "%s", why->msg);
    ob->failed_ms = nm_boottime_ms();
}

void nm_observe_recovered(struct nm_runtime *rt)
{
    if (rt->failures)
        nm_log_again(NM_INFO, "recovered", "going on after %u failures", rt->failures);
    rt->failures = 0;
}

void nm_observe_done(struct nm_runtime *rt, const struct nm_work *work)
{
    struct nm_runtime_metrics *rm = &rt->observer.rm;
    double count[NM_N_STREAMS][NM_N_OUTCOMES] = {{0}};
    for (size_t i = 0; i < work->batch.n_items; i++) {
        const struct nm_item *item = &work->batch.item[i];
        if (item->dead)
            nm_runtime_metrics_dead(rm, item->dead->code);
        if (!item->set)
            count[item->stream][item->dead                  ? NM_OUTCOME_DEAD
                                : item->verdict == NM_STALE ? NM_OUTCOME_STALE
                                                            : NM_OUTCOME_OK] += 1;
    }
    for (size_t stream = 0; stream < NM_N_STREAMS; stream++)
        for (size_t outcome = 0; outcome < NM_N_OUTCOMES; outcome++)
            if (count[stream][outcome] > 0)
                nm_series_add(rm->events[stream][outcome], count[stream][outcome]);
    nm_series_observe(rm->batch_items, (double)work->batch.n_items);
}

/* ---- the report ---- */

/* Whether Kafka answers: told by the client when all brokers are gone, looked at when they may be back. */
static bool kafka_ok(struct nm_runtime *rt)
{
    if (!rt->kafka_down)
        return true;
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(rt->consumer, 0, NULL, &metadata, METADATA_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rt->kafka_down = false;
        rd_kafka_metadata_destroy(metadata);
    }
    return !rt->kafka_down;
}

static void count_in_flight(const struct nm_runtime *rt, size_t part, struct nm_partition_report *out,
                            int64_t *first_ms)
{
    for (size_t i = 0; i < rt->n_works; i++)
        for (size_t k = 0; k < rt->order[i]->n_spans; k++) {
            const struct nm_span *span = &rt->order[i]->span[k];
            if (span->part != part || span->taken)
                continue;
            if (out->in_flight == 0)
                *first_ms = span->first_ms;
            out->in_flight += span->n_items;
        }
}

/* An input that is read after a loss only has neither lag nor progress but then. */
static bool is_reported(const struct nm_runtime *rt, const struct nm_partition *part)
{
    return nm_has_position(rt, part) || part->fetched;
}

static void report_partition(struct nm_runtime *rt, size_t i, bool all_well, struct nm_partition_report *out)
{
    struct nm_partition *part = &rt->part[i];
    int64_t now_ms = nm_wall_clock.now_ms(nm_wall_clock.self), boot_ms = nm_boottime_ms();
    *out = (struct nm_partition_report){.stream = nm_stream_word(rt->worker->inputs[part->input].stream),
                                        .partition = part->id,
                                        .next = part->done,
                                        .committed = part->committed,
                                        .end = part->end,
                                        .paused = part->paused,
                                        .lag_ms = -1};
    bool lag = out->end > out->next;
    if (out->end >= 0 && !lag)
        part->caught_up_ms = now_ms;
    /* Nearly the time of the next one: that of the last one, but what waits came after it was caught up with. */
    int64_t next_ms = part->wm.last_ms > part->caught_up_ms ? part->wm.last_ms : part->caught_up_ms;
    count_in_flight(rt, i, out, &next_ms);
    if (out->end >= 0 && !lag)
        out->lag_ms = 0;
    else if (lag && next_ms > 0)
        out->lag_ms = now_ms > next_ms ? now_ms - next_ms : 0;
    bool advanced = part->done > part->furthest;
    if (!lag || !all_well || advanced || part->held || part->ahead)
        part->progress_ms = boot_ms;
    if (advanced)
        part->furthest = part->done;
    nm_runtime_metrics_lag(&rt->observer.rm, rt->worker->inputs[part->input].stream, part->id,
                           out->end < 0 ? -1 : out->end - out->next, out->lag_ms);
}

static const char *not_live(struct nm_runtime *rt)
{
    struct nm_observer *ob = &rt->observer;
    for (size_t i = 0; i < rt->n_parts; i++) {
        const struct nm_partition *part = &rt->part[i];
        if (!is_reported(rt, part) || nm_boottime_ms() - part->progress_ms <= rt->settings.runtime.stall_ms)
            continue;
        (void)snprintf(ob->stalled, sizeof ob->stalled,
                       "%.200s/%d has events and made no progress for %lld ms although Redis and Kafka answer",
                       nm_partition_topic(rt, part), part->id, rt->settings.runtime.stall_ms);
        return ob->stalled;
    }
    return NULL;
}

static void set_gauges(struct nm_runtime *rt)
{
    struct nm_runtime_metrics *rm = &rt->observer.rm;
    size_t n_paused = 0;
    for (size_t i = 0; i < rt->n_parts; i++)
        n_paused += rt->part[i].paused;
    nm_series_set(rm->in_flight_items, (double)rt->in_flight_items);
    nm_series_set(rm->in_flight_bytes, (double)rt->in_flight_bytes);
    nm_series_set(rm->paused_partitions, (double)n_paused);
}

/* Where a partition ends: as its fetches told; while it is not fetched (paused, or a dependency is away) one partition
 * is asked for at a time, so that lag grows before the eyes of whoever watches it. */
static void look_for_ends(struct nm_runtime *rt)
{
    struct nm_observer *ob = &rt->observer;
    bool asked = !rt->member || rt->kafka_down;
    for (size_t k = 0; k < rt->n_parts; k++) {
        size_t i = (ob->end_turn + k) % rt->n_parts;
        struct nm_partition *part = &rt->part[i];
        int64_t low = -1, high = -1;
        bool told = rt->resolved && !rt->verifying && part->fetched && !part->paused;
        if (told &&
            !rd_kafka_get_watermark_offsets(rt->consumer, nm_partition_topic(rt, part), part->id, &low, &high) &&
            high >= 0)
            part->end = high;
        if (told || asked || !part->has_wm)
            continue;
        if (nm_kafka_ends(rt->witness.rk, nm_partition_topic(rt, part), part->id, METADATA_MS, &low, &high, NULL) ==
            NM_OK)
            part->end = high;
        ob->end_turn = i + 1;
        asked = true;
    }
}

/* Not on time: this process stood still, which says nothing about its work. */
static bool make_report(struct nm_runtime *rt, bool on_time, struct nm_report *out)
{
    struct nm_observer *ob = &rt->observer;
    struct nm_partition_report *rows = realloc(ob->report, (rt->n_parts + 1) * sizeof *rows);
    if (!rows)
        return false;
    ob->report = rows;
    *out = (struct nm_report){.joined = rt->member && rt->resolved && !rt->verifying,
                              .redis_ok = nm_redis_alive(rt->redis),
                              .kafka_ok = rt->consumer && kafka_ok(rt),
                              .retrying = rt->failures ? ob->retrying : NULL,
                              .redis_address = ob->redis_address[0] ? ob->redis_address : NULL,
                              .redis_connects = rt->redis_connects,
                              .partition = rows};
    bool all_well = on_time && out->redis_ok && out->kafka_ok;
    look_for_ends(rt);
    for (size_t i = 0; i < rt->n_parts; i++)
        if (is_reported(rt, &rt->part[i]))
            report_partition(rt, i, all_well, &rows[out->n_partitions++]);
        else
            nm_runtime_metrics_give_back(&rt->observer.rm, rt->worker->inputs[rt->part[i].input].stream,
                                         rt->part[i].id);
    out->not_live = not_live(rt);
    return true;
}

/* ---- the announcement ---- */

static enum nm_status announce(struct nm_runtime *rt, const struct nm_report *report, int64_t now_ms,
                               struct nm_error *err)
{
    struct nm_observer *ob = &rt->observer;
    const struct nm_announcer who = {.worker = rt->worker->name,
                                     .instance = rt->deps.instance,
                                     .admin = nm_admin_address(ob->admin),
                                     .started_ms = ob->started_ms};
    bool due = now_ms - ob->announced_ms >= NM_ANNOUNCE_EVERY_MS || ob->announced_ready != nm_report_ready(report);
    if (!due || !nm_redis_alive(rt->redis) || (ob->waiting && !nm_pipe_done(&ob->pipe)))
        return NM_OK;
    ob->announced_ms = now_ms;
    ob->announced_ready = nm_report_ready(report);
    nm_buf_reset(&ob->json);
    if (nm_announce_json(&who, report, &ob->json, NULL) != NM_OK)
        return NM_OK; /* without memory nobody hears of us for a while */
    nm_pipe_reset(&ob->pipe);
    nm_announce_append(&ob->pipe, &rt->settings, who.worker, who.instance, nm_buf_str(&ob->json),
                       nm_wall_clock.now_ms(nm_wall_clock.self));
    ob->waiting = true;
    return nm_redis_submit(rt->redis, &ob->pipe, err);
}

enum nm_status nm_observe_tick(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_observer *ob = &rt->observer;
    int64_t now_ms = nm_boottime_ms();
    nm_watchdog_beat(ob->watchdog);
    if (now_ms - ob->reported_ms < REPORT_MS)
        return NM_OK;
    bool on_time = now_ms - ob->reported_ms < LATE_MS;
    ob->reported_ms = now_ms;
    nm_log_tick();
    if (rt->resolved && !rt->verifying && now_ms - ob->failed_ms >= CALM_MS)
        nm_observe_recovered(rt); /* a worker without work moves no position */
    struct nm_report report;
    if (!make_report(rt, on_time, &report))
        return NM_OK;
    set_gauges(rt);
    nm_admin_publish(ob->admin, &report);
    return announce(rt, &report, now_ms, err);
}

void nm_observe_forget(struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        nm_runtime_metrics_give_back(&rt->observer.rm, rt->worker->inputs[rt->part[i].input].stream, rt->part[i].id);
}

void nm_observe_leave(struct nm_runtime *rt)
{
    struct nm_pipe pipe = {0};
    nm_announce_remove_append(&pipe, &rt->settings, rt->worker->name, rt->deps.instance);
    if (nm_redis_alive(rt->redis) && nm_redis_exec(rt->redis, &pipe, NULL) != NM_OK)
        nm_log(NM_DEBUG, "announce", "the announcement was not taken back");
    nm_pipe_clear(&pipe);
}
