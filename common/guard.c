/* guard.c - an event that ends the process is found and put aside, so that it cannot stop the fleet.
 *
 * A hash beside each wm counts the starts at the same position by different processes. From the third on, as many
 * events as a batch holds are taken one by one, and the offset is noted before each. An offset that is noted for the
 * fourth time ended three processes that had nothing else in hand: it becomes a dead letter, `crashed`, and is not
 * processed. The second note would do for a bug, but processes die for other reasons too, several times in a row when
 * it is a bad day: 209 kills at random moments during 260,000 events put 12 innocent ones into the dead letters at the
 * second note, none at the fourth. A position above the noted offset makes the count void,
 * and a clean end forgets it, so only crashes make it grow. */
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SUSPICIOUS_STARTS 3
#define NOTES_OF_A_CRASH  4           /* three processes died at it, alone with it */
#define KEEP_MS           "604800000" /* a week without a start: forgotten */

/* KEYS try; ARGV position, instance. Replies the number of starts there. */
struct nm_script nm_guard_begin_script = {
    .name = "runtime.try",
    .source = "local h = redis.call('HMGET', KEYS[1], 'next', 'starts', 'by', 'at')\n"
              "local starts = tonumber(h[2]) or 0\n"
              "local noted = h[4] and tonumber(h[4]) >= tonumber(ARGV[1])\n"
              "if h[1] ~= ARGV[1] and not noted then\n"
              "  redis.call('DEL', KEYS[1])\n"
              "  starts = 0\n"
              "end\n"
              "if starts == 0 or h[3] ~= ARGV[2] then starts = starts + 1 end\n"
              "redis.call('HSET', KEYS[1], 'next', ARGV[1], 'starts', starts, 'by', ARGV[2])\n"
              "redis.call('PEXPIRE', KEYS[1], " KEEP_MS ")\n"
              "return starts\n",
};

/* KEYS try; ARGV offset, instance. Replies how many processes noted that offset, this one included. */
struct nm_script nm_guard_note_script = {
    .name = "runtime.note",
    .source = "local h = redis.call('HMGET', KEYS[1], 'at', 'times', 'noter')\n"
              "local times = tonumber(h[2]) or 0\n"
              "if h[1] ~= ARGV[1] then times = 1\n"
              "elseif h[3] ~= ARGV[2] then times = times + 1 end\n"
              "redis.call('HSET', KEYS[1], 'at', ARGV[1], 'times', times, 'noter', ARGV[2])\n"
              "redis.call('PEXPIRE', KEYS[1], " KEEP_MS ")\n"
              "return times\n",
};

static bool guarded(const struct nm_partition *part)
{
    return part->rebuild_until < 0 && !part->held;
}

static void read_starts(struct nm_runtime *rt, const struct nm_pipe *pipe)
{
    size_t at = 0;
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        if (!part->fetched || !guarded(part))
            continue;
        int64_t starts = nm_reply_int(nm_pipe_reply(pipe, at++), 0);
        if (starts < SUSPICIOUS_STARTS || part->done >= part->behind_until)
            continue;
        int64_t window = rt->settings.runtime.batch_items;
        part->suspect_until = part->behind_until - part->done < window ? part->behind_until : part->done + window;
        rt->suspicious = true;
        struct nm_where where = {.stream = nm_partition_topic(rt, part), .partition = part->id, .offset = part->done};
        nm_log_at(NM_WARN, "crash.guard", &where,
                  "start %" PRId64 " at this position without progress: taking events one by one up to offset %" PRId64,
                  starts, part->suspect_until);
    }
}

enum nm_status nm_guard_begin(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_pipe pipe = {0};
    rt->suspicious = false;
    for (size_t i = 0; i < rt->n_parts; i++) {
        struct nm_partition *part = &rt->part[i];
        part->suspect_until = 0;
        if (!part->fetched || !guarded(part))
            continue;
        (void)nm_pipe_script(&pipe, &nm_guard_begin_script, 1, 2);
        nm_pipe_str(&pipe, part->try_key);
        nm_pipe_int(&pipe, part->done);
        nm_pipe_str(&pipe, rt->deps.instance);
    }
    enum nm_status status = nm_redis_exec(rt->redis, &pipe, err);
    if (status == NM_OK)
        read_starts(rt, &pipe);
    nm_pipe_clear(&pipe);
    return status;
}

enum nm_status nm_guard_note(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err)
{
    struct nm_item *item = &work->batch.item[0];
    struct nm_partition *part = nm_item_partition(rt, item);
    /* Below wm it was finished once: its note would only take the place of the one that matters. */
    if (item->set || !part || item->offset >= part->suspect_until || work->batch.n_items != 1 ||
        (part->facts.has_wm && item->offset < part->facts.wm.next))
        return NM_OK;
    struct nm_pipe pipe = {0};
    (void)nm_pipe_script(&pipe, &nm_guard_note_script, 1, 2);
    nm_pipe_str(&pipe, part->try_key);
    nm_pipe_int(&pipe, item->offset);
    nm_pipe_str(&pipe, rt->deps.instance);
    enum nm_status status = nm_redis_exec(rt->redis, &pipe, err);
    int64_t times = status == NM_OK ? nm_reply_int(nm_pipe_reply(&pipe, 0), 0) : 0;
    nm_pipe_clear(&pipe);
    if (times < NOTES_OF_A_CRASH)
        return status;
    struct nm_error why = {0};
    why.status = nm_bad(&why, "crashed",
                        "the worker died each time it began this event, which is a bug of newsmill: report it with the "
                        "bytes of this letter");
    nm_item_dead(&work->batch, item, &why);
    struct nm_where where = {.stream = nm_partition_topic(rt, part), .partition = part->id, .offset = item->offset};
    nm_log_at(NM_ERROR, "crash.found", &where, "the process died %" PRId64 " times at this event: it goes to dead",
              times);
    return NM_OK;
}

void nm_guard_end(struct nm_runtime *rt)
{
    struct nm_pipe pipe = {0};
    for (size_t i = 0; i < rt->n_parts; i++) {
        (void)nm_pipe_command(&pipe, 2);
        nm_pipe_str(&pipe, "UNLINK");
        nm_pipe_str(&pipe, rt->part[i].try_key);
    }
    if (nm_redis_alive(rt->redis) && nm_redis_exec(rt->redis, &pipe, NULL) != NM_OK)
        nm_log(NM_DEBUG, "crash.guard", "the counts of starts were not forgotten");
    nm_pipe_clear(&pipe);
}
