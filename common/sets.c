/* sets.c - due sets and out sets: what the owner of a partition has to do without an event.
 *
 * Each set of the worker exists once for each partition of inputs[0]. The owner looks into those of its partitions on
 * assignment, then every SET_MS; what it finds comes to process() as one batch, and the next look waits until that is
 * finished, so that no member is on its way twice. A finished member is taken out only where its score is still the one
 * that came: a worker that scored it anew meanwhile has scheduled it anew. A crash before that leaves it in. */
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <stdio.h>
#include <string.h>

#define SET_MS 100 /* between two looks */

/* KEYS set; ARGV most, timed 0/1, grace in ms. Replies member, score, member, score, ... */
struct nm_script nm_set_due_script = {
    .name = "runtime.due",
    .source = "local most = '+inf'\n"
              "local t = redis.call('TIME')\n"
              "if ARGV[2] == '1' then most = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))\n"
              "elseif ARGV[3] ~= '0' then most = string.format('%.0f', t[1] * 1000000 + t[2] - ARGV[3] * 1000) end\n"
              "return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', most, 'WITHSCORES', 'LIMIT', 0, ARGV[1])\n",
};

/* KEYS set; ARGV member, score. */
struct nm_script nm_set_clear_script = {
    .name = "runtime.clear",
    .source = "local score = redis.call('ZSCORE', KEYS[1], ARGV[1])\n"
              "if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end\n"
              "return redis.call('ZREM', KEYS[1], ARGV[1])\n",
};

void nm_sets_reset(struct nm_runtime *rt)
{
    rt->set_waiting = false;
    rt->set_more = false;
    rt->set_at_ms = 0;
}

static bool on_its_way(const struct nm_runtime *rt)
{
    for (size_t i = 0; i < rt->n_works; i++)
        if (rt->order[i]->batch.n_items && rt->order[i]->batch.item[0].set)
            return true;
    return false;
}

/* What was found needs a work of its own, and a worker that takes members now. */
static bool has_room(const struct nm_runtime *rt)
{
    return rt->n_works < NM_MAX_WORKS && !nm_work_filling(rt) && nm_beside_room(rt);
}

/* What was found waits for room, and the next look for its end: both wake the loop. */
int64_t nm_sets_deadline_ms(const struct nm_runtime *rt)
{
    bool may_look = rt->worker->n_sets && rt->resolved && !rt->set_waiting && !on_its_way(rt) && nm_beside_room(rt);
    return may_look ? rt->set_at_ms : INT64_MAX;
}

static bool has_sets(const struct nm_partition *part)
{
    return part->input == 0 && !part->held;
}

/* Of one batch. */
static size_t most_members(const struct nm_runtime *rt)
{
    size_t most = (size_t)rt->settings.runtime.batch_items, room = nm_beside_room(rt);
    return room < most ? room : most;
}

/* The replies about set s of a partition come in the order of the questions, two each: what is due, how many there
 * are. */
static size_t count_due(const struct nm_runtime *rt)
{
    size_t n = 0;
    for (size_t i = 0; i < rt->set_pipe.n_commands; i += 2)
        n += nm_pipe_reply(&rt->set_pipe, i)->len / 2;
    return n;
}

static void tell_sizes(struct nm_runtime *rt)
{
    for (size_t s = 0; s < rt->worker->n_sets; s++) {
        int64_t members = 0;
        for (size_t i = s; 2 * i + 1 < rt->set_pipe.n_commands; i += rt->worker->n_sets)
            members += nm_reply_int(nm_pipe_reply(&rt->set_pipe, 2 * i + 1), 0);
        nm_runtime_metrics_set(&rt->observer.rm, rt->worker->sets[s].name, members);
    }
}

static enum nm_status ask(struct nm_runtime *rt, struct nm_error *err)
{
    char key[NM_WM_KEY_BYTES];
    nm_pipe_reset(&rt->set_pipe);
    for (size_t i = 0; i < rt->n_parts; i++)
        for (size_t s = 0; has_sets(&rt->part[i]) && s < rt->worker->n_sets; s++) {
            nm_set_key(&rt->settings, &rt->worker->sets[s], rt->part[i].id, key, sizeof key);
            (void)nm_pipe_script(&rt->set_pipe, &nm_set_due_script, 1, 3);
            nm_pipe_str(&rt->set_pipe, key);
            nm_pipe_int(&rt->set_pipe, (long long)most_members(rt));
            nm_pipe_str(&rt->set_pipe, rt->worker->sets[s].timed ? "1" : "0");
            nm_pipe_int(&rt->set_pipe, rt->worker->sets[s].grace_ms);
            (void)nm_pipe_command(&rt->set_pipe, 2);
            nm_pipe_str(&rt->set_pipe, "ZCARD");
            nm_pipe_str(&rt->set_pipe, key);
        }
    rt->set_at_ms = nm_boottime_ms() + SET_MS;
    if (rt->set_pipe.n_commands == 0) {
        tell_sizes(rt);
        return NM_OK;
    }
    rt->set_waiting = true;
    return nm_redis_submit(rt->redis, &rt->set_pipe, err);
}

static void add_member(struct nm_runtime *rt, struct nm_work *work, const struct nm_partition *part,
                       const struct nm_set *set, const struct nm_reply *member, const struct nm_reply *score)
{
    size_t i = work->batch.n_items;
    char *key = nm_arena_copy(work->batch.arena, member->str, member->len);
    if (!key) {
        work->batch.oom = true;
        return;
    }
    work->batch.n_items++;
    rt->in_flight_items++;
    work->message[i] = NULL;
    work->batch.item[i] = (struct nm_item){.stream = rt->worker->inputs[part->input].stream,
                                           .partition = part->id,
                                           .offset = -1,
                                           .key = key,
                                           .key_len = member->len,
                                           .resend = part->done < part->resend_until,
                                           .catching_up = rt->behind,
                                           .set = set,
                                           .score = (int64_t)strtod(score->str, NULL),
                                           .data = work->item_data + i * rt->worker->item_size};
    memset(work->batch.item[i].data, 0, rt->worker->item_size);
}

static void add_members(struct nm_runtime *rt, struct nm_work *work, const struct nm_partition *part,
                        const struct nm_set *set, const struct nm_reply *reply)
{
    size_t most = most_members(rt);
    for (size_t k = 0; k + 1 < reply->len; k += 2) {
        if (work->batch.n_items == most) {
            rt->set_more = true;
            return;
        }
        add_member(rt, work, part, set, nm_reply_at(reply, k), nm_reply_at(reply, k + 1));
    }
}

/* Everything that was found, up to one batch. Without room for it the answer is kept: what changes meanwhile gets
 * another score, and comes once more. */
static enum nm_status take(struct nm_runtime *rt, struct nm_error *err)
{
    size_t at = 0, n_found = count_due(rt);
    if (n_found && !has_room(rt))
        return NM_OK;
    rt->set_waiting = rt->set_more = false;
    tell_sizes(rt);
    if (!n_found)
        return NM_OK;
    struct nm_work *work = nm_work_take(rt, NM_STAGE_FILLING);
    for (size_t i = 0; i < rt->n_parts; i++)
        for (size_t s = 0; has_sets(&rt->part[i]) && s < rt->worker->n_sets; s++)
            add_members(rt, work, &rt->part[i], &rt->worker->sets[s], nm_pipe_reply(&rt->set_pipe, 2 * at++));
    return nm_work_start(rt, work, err);
}

enum nm_status nm_sets_advance(struct nm_runtime *rt, struct nm_error *err)
{
    if (!rt->worker->n_sets || !rt->resolved || rt->verifying)
        return NM_OK;
    if (rt->set_waiting)
        return nm_pipe_done(&rt->set_pipe) ? take(rt, err) : NM_OK;
    if (on_its_way(rt) || (nm_boottime_ms() < rt->set_at_ms && !rt->set_more) || !nm_beside_room(rt))
        return NM_OK;
    return ask(rt, err);
}

void nm_sets_clear(struct nm_runtime *rt, struct nm_work *work)
{
    char key[NM_WM_KEY_BYTES];
    for (size_t i = 0; i < work->batch.n_items; i++) {
        const struct nm_item *item = &work->batch.item[i];
        if (!item->set)
            continue;
        nm_set_key(&rt->settings, item->set, item->partition, key, sizeof key);
        (void)nm_pipe_script(work->batch.pipe, &nm_set_clear_script, 1, 2);
        nm_pipe_str(work->batch.pipe, key);
        nm_pipe_arg(work->batch.pipe, item->key, item->key_len);
        nm_pipe_int(work->batch.pipe, item->score);
    }
}
