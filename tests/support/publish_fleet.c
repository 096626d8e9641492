/* publish_fleet.c - see publish_fleet.h. What happens to instances and to Redis; what a batch goes through is in
 * publish_flight.c. */
#include "publish_fleet.h"
#include "publish_flight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const stream_words[] = {"normalized", "facets", "records"};

int fleet_part(const char *id)
{
    return nm_partition_of(id, 32, FLEET_PARTS);
}

static void start(struct fleet *fleet, struct fleet_instance *instance)
{
    struct nm_error err = {0};
    (void)snprintf(instance->deps->instance, sizeof instance->deps->instance, "%016llx",
                   (unsigned long long)(0xABC000 + fleet->n_started++));
    if (publish_worker.init(instance->ctx, instance->deps, &err) != NM_OK)
        fail_msg("%s", err.msg);
}

void fleet_open(struct fleet *fleet, struct state_world *world, struct story *story, int n_instances,
                const char *const *expect, size_t n_expect, int wait_ms)
{
    static char ns[] = "t";
    *fleet = (struct fleet){.world = world, .story = story, .n_instances = n_instances, .random = story->seed * 31 | 1};
    fleet->settings = calloc(1, sizeof *fleet->settings);
    fleet->settings->ns = ns;
    fleet->settings->keep_days = 400;
    fleet->settings->max_related = STORY_MAX_RELATED;
    fleet->settings->expect.item = calloc(n_expect + 1, sizeof(char *));
    fleet->settings->expect.n = n_expect;
    for (size_t k = 0; k < n_expect; k++)
        fleet->settings->expect.item[k] = strdup(expect[k]);
    fleet->settings->stream[NM_RECORDS].max_message_bytes = 2097152;
    for (int i = 0; i < n_instances; i++) {
        struct fleet_instance *instance = &fleet->instance[i];
        instance->ctx = calloc(1, publish_worker.ctx_size);
        instance->deps = calloc(1, sizeof *instance->deps);
        instance->deps->settings = fleet->settings;
        instance->deps->clock = &nm_wall_clock;
        struct pb_options *options = instance->ctx; /* as the runtime fills them */
        *options = (struct pb_options){.min_quality = STORY_MIN_QUALITY, .wait_ms = wait_ms};
        start(fleet, instance);
    }
    for (int p = 0; p < FLEET_PARTS; p++) {
        fleet->owner[p] = p % n_instances;
        fleet->instance[fleet->owner[p]].believes[p] = true;
    }
    state_world_flush(world);
}

static void drop_flights(struct fleet_instance *instance)
{
    while (instance->n_flights > 0)
        flight_free(instance->flight[--instance->n_flights]);
    instance->on_wire = NULL;
}

void fleet_close(struct fleet *fleet)
{
    for (int i = 0; i < fleet->n_instances; i++) {
        struct fleet_instance *instance = &fleet->instance[i];
        drop_flights(instance);
        publish_worker.fini(instance->ctx);
        nm_options_clear(publish_options, instance->ctx);
        free(instance->ctx);
        free(instance->deps);
    }
    for (int s = 0; s < FLEET_STREAMS; s++)
        for (int p = 0; p < FLEET_PARTS; p++) {
            for (size_t i = 0; i < fleet->log[s][p].n; i++)
                free(fleet->log[s][p].message[i].value);
            free(fleet->log[s][p].message);
        }
    for (size_t k = 0; k < fleet->settings->expect.n; k++)
        free(fleet->settings->expect.item[k]);
    free(fleet->settings->expect.item);
    free(fleet->settings);
}

void fleet_append(struct fleet *fleet, int stream, int id, const char *value, size_t len, int64_t revision)
{
    struct fleet_log *log = &fleet->log[stream][fleet_part(fleet->story->id[id])];
    if (log->n == FLEET_LOG)
        fail_msg("%s grows without end", stream_words[stream]);
    if (!log->message)
        log->message = calloc(FLEET_LOG, sizeof *log->message);
    struct fleet_message *message = &log->message[log->n++];
    *message = (struct fleet_message){.id = id, .len = len, .revision = revision};
    if (value) {
        message->value = malloc(len + 1);
        memcpy(message->value, value, len);
        message->value[len] = '\0';
    }
}

void fleet_feed(struct fleet *fleet, int id, enum story_kind kind, int version)
{
    char text[STORY_TEXT];
    story_message(fleet->story, id, kind, version, text);
    story_deliver(fleet->story, id, kind, version);
    fleet_append(fleet, kind == STORY_ARTICLE ? FLEET_NORMALIZED : FLEET_FACETS, id, text, strlen(text), 0);
}

/* ---- assignments ---- */

/* Where the partition is taken up, and the end that it had then. */
static void take_up(struct fleet *fleet, struct fleet_instance *instance, int part)
{
    for (int s = 0; s < FLEET_STREAMS; s++) {
        instance->next[s][part] = fleet->position.wm[s][part];
        if (fleet->behind_until[s][part] < fleet->log[s][part].n)
            fleet->behind_until[s][part] = fleet->log[s][part].n;
    }
}

static void take_up_all(struct fleet *fleet, struct fleet_instance *instance)
{
    int me = (int)(instance - fleet->instance);
    for (int p = 0; p < FLEET_PARTS; p++) {
        instance->believes[p] = fleet->owner[p] == me;
        if (instance->believes[p])
            take_up(fleet, instance, p);
    }
}

/* What was sent is looked at after its report; what was not is dropped. */
static void finish_sent(struct fleet *fleet, struct fleet_instance *instance, bool late_only)
{
    for (int i = 0; i < instance->n_flights; i++) {
        struct flight *flight = instance->flight[i];
        while (flight_is_sent(flight) && (!late_only || flight_sent_late(flight)) && !flight_is_done(flight))
            if (!flight_step(fleet, instance, instance->on_wire ? instance->on_wire : flight))
                fail_msg("a batch that was sent does not come to its end");
    }
}

void fleet_notice(struct fleet *fleet, int at)
{
    struct fleet_instance *instance = &fleet->instance[at];
    finish_sent(fleet, instance, false);
    drop_flights(instance);
    take_up_all(fleet, instance);
}

void fleet_crash(struct fleet *fleet, int at)
{
    struct fleet_instance *instance = &fleet->instance[at];
    finish_sent(fleet, instance, true);
    drop_flights(instance);
    publish_worker.fini(instance->ctx);
    start(fleet, instance);
    take_up_all(fleet, instance);
}

void fleet_move(struct fleet *fleet, int part, int to, bool graceful)
{
    struct fleet_instance *from = &fleet->instance[fleet->owner[part]];
    if (fleet->owner[part] == to)
        return;
    while (graceful && from->n_flights > 0)
        (void)flight_step(fleet, from, from->on_wire ? from->on_wire : from->flight[0]);
    if (graceful)
        from->believes[part] = false;
    /* a zombie of the new owner's own past learns of it now */
    fleet_notice(fleet, to);
    fleet->owner[part] = to;
    fleet->instance[to].believes[part] = true;
    take_up(fleet, &fleet->instance[to], part);
}

/* ---- Redis ---- */

/* ARGV[1], ARGV[2]: numbers of the databases. */
static const char *const copy_all =
    "redis.call('SELECT', ARGV[2]) redis.call('FLUSHDB') redis.call('SELECT', ARGV[1])\n"
    "for _, key in ipairs(redis.call('KEYS', '*')) do\n"
    "  redis.call('COPY', key, key, 'DB', ARGV[2])\n"
    "end\n"
    "return 1";

static void copy(struct fleet *fleet, const char *from, const char *to)
{
    (void)state_world_run(fleet->world, (const char *const[]){"EVAL", copy_all, "0", from, to, NULL});
}

void fleet_snapshot(struct fleet *fleet)
{
    copy(fleet, "0", "1");
    fleet->saved = fleet->position;
    fleet->has_snapshot = true;
}

/* Connections are lost: everything under way is dropped, everybody begins anew. */
static void begin_anew(struct fleet *fleet, bool noticed)
{
    for (int i = 0; i < fleet->n_instances; i++) {
        struct fleet_instance *instance = &fleet->instance[i];
        drop_flights(instance);
        if (!noticed) {
            publish_worker.fini(instance->ctx);
            start(fleet, instance);
        }
        take_up_all(fleet, instance);
    }
}

static void finish_late(struct fleet *fleet)
{
    for (int i = 0; i < fleet->n_instances; i++)
        finish_sent(fleet, &fleet->instance[i], true);
}

void fleet_rollback(struct fleet *fleet, bool noticed)
{
    finish_late(fleet);
    copy(fleet, "1", "0");
    fleet->position = fleet->saved;
    for (int s = 0; noticed && s < FLEET_STREAMS; s++)
        for (int p = 0; p < FLEET_PARTS; p++)
            fleet->resend_until[s][p] = fleet->log[s][p].n;
    begin_anew(fleet, noticed);
}

void fleet_lose_all(struct fleet *fleet)
{
    finish_late(fleet);
    state_world_flush(fleet->world);
    fleet->has_snapshot = false;
    memset(&fleet->position, 0, sizeof fleet->position);
    memset(fleet->resend_until, 0, sizeof fleet->resend_until);
    for (int p = 0; p < FLEET_PARTS; p++)
        fleet->position.rebuilding[p] = true;
    begin_anew(fleet, true);
}

/* ---- steps ---- */

bool fleet_step(struct fleet *fleet, int at)
{
    struct fleet_instance *instance = &fleet->instance[at];
    if (instance->on_wire)
        return flight_step(fleet, instance, instance->on_wire);
    bool room = instance->n_flights < FLEET_FLIGHTS;
    if (room && (instance->n_flights == 0 || story_pick(&fleet->random, 3) == 0) && flight_begin(fleet, instance))
        return true;
    if (instance->n_flights == 0)
        return false;
    int first = (int)story_pick(&fleet->random, (unsigned)instance->n_flights);
    for (int i = 0; i < instance->n_flights; i++)
        if (flight_step(fleet, instance, instance->flight[(first + i) % instance->n_flights]))
            return true;
    return false;
}

bool fleet_settle(struct fleet *fleet)
{
    for (int i = 0; i < fleet->n_instances; i++)
        fleet_notice(fleet, i);
    for (int steps = 0, idle = 0; steps < 200000; steps++) {
        int at = (int)story_pick(&fleet->random, (unsigned)fleet->n_instances);
        fleet->thorough = idle > 0 || story_pick(&fleet->random, 4) == 0;
        idle = fleet_step(fleet, at) ? 0 : idle + 1;
        bool rest = idle > 0;
        for (int i = 0; rest && i < fleet->n_instances; i++)
            rest = !fleet_step(fleet, i);
        if (rest && idle > 1)
            return true;
    }
    return false;
}
