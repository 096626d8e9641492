/* pause.c - partitions that are not fetched for a while: all of them while the window is full, and during a replay
 * those that are too far ahead.
 *
 * A replay must not tear the streams apart in event time: a worker that looks at several partitions (stories, heat)
 * would see the news of a week in one and of a morning in another. While a partition is behind the end that it had when
 * it was taken up, it pauses when its event time is more than replay.aheadMs ahead of the slowest partition of the
 * group that is behind too. librdkafka 2.0.2 may rewind a partition that is resumed without being paused, so only what
 * is paused is resumed. */
#include "newsmill/log.h"
#include "runtime_internal.h"

static void apply(struct nm_runtime *rt, bool pause)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)rt->n_parts + 1);
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        bool wanted = rt->window_paused || part->ahead;
        if (!part->fetched || part->paused == wanted || wanted != pause)
            continue;
        (void)rd_kafka_topic_partition_list_add(list, nm_partition_topic(rt, part), part->id);
        part->paused = wanted;
    }
    if (list->cnt && pause)
        (void)rd_kafka_pause_partitions(rt->consumer, list);
    else if (list->cnt)
        (void)rd_kafka_resume_partitions(rt->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void nm_pause_window(struct nm_runtime *rt, bool pause)
{
    if (rt->window_paused == pause)
        return;
    rt->window_paused = pause;
    apply(rt, pause);
}

/* Event time of the slowest partition of the group that is behind the end it had; -1: none is, or it is not known. */
static int64_t slowest_ms(const struct nm_runtime *rt)
{
    int64_t slowest = -1;
    for (size_t i = 0; i < rt->peers.n; i++) {
        const struct nm_peer *peer = &rt->peers.peer[i];
        if (peer->next < peer->end && peer->event_ms >= 0 && (slowest < 0 || peer->event_ms < slowest))
            slowest = peer->event_ms;
    }
    return slowest;
}

bool nm_pause_ahead(struct nm_runtime *rt)
{
    int64_t slowest = slowest_ms(rt);
    bool changed = false, waiting = false;
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        /* What is read at times only is waited for by others: it never waits for them. */
        bool ahead = slowest >= 0 && part->fetched && nm_has_position(rt, part) && part->polled < part->facts.end &&
                     part->event_ms - slowest > rt->settings.replay_ahead_ms;
        waiting = waiting || ahead;
        if (ahead == part->ahead)
            continue;
        part->ahead = ahead;
        changed = true;
        struct nm_where where = {.stream = nm_partition_topic(rt, part), .partition = part->id, .offset = part->polled};
        nm_log_at(NM_DEBUG, "replay.step", &where, ahead ? "waiting for slower partitions" : "going on");
    }
    if (changed) {
        apply(rt, true);
        apply(rt, false);
    }
    return waiting;
}

void nm_pause_end(struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_parts; i++)
        rt->part[i].ahead = false;
    rt->window_paused = false;
    apply(rt, false);
    rt->full_since_ms = 0;
}
