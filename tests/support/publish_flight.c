/* publish_flight.c - see publish_flight.h. A pipe is cut into its commands, which are executed a few at a time, so that
 * those of other instances come between them, as they do at a real server. */
#include "publish_flight.h"
#include "runtime_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_COMMANDS = 128, MOST_ROUNDS = 60, MOST_STEPS = 16 };
enum phase { PROCESS, SEND, REPORT, DONE };

struct wire { /* a pipe under way */
    size_t at[MOST_COMMANDS], len[MOST_COMMANDS], order[MOST_COMMANDS];
    size_t n, n_done;
    struct nm_pipe piece[MOST_COMMANDS]; /* hold the replies until the next pipe */
    size_t n_pieces;
};

struct flight {
    struct nm_batch batch;
    struct nm_item item[FLEET_ITEMS];
    char key[FLEET_ITEMS][33];
    char *data;
    struct nm_pipe pipe[2];
    struct nm_arena arena;
    struct wire wire[2]; /* of pipe and replies, swapped with them */
    size_t from[FLEET_STREAMS][FLEET_PARTS], count[FLEET_STREAMS][FLEET_PARTS];
    enum phase phase;
    bool asked, started; /* a pipe is under way; its first one was */
    bool sent_once, sent, late;
    size_t n_sent;
    unsigned round;
};

static const enum nm_stream streams[] = {NM_NORMALIZED, NM_FACETS, NM_RECORDS};

bool flight_is_sent(const struct flight *flight)
{
    return flight->sent;
}

bool flight_sent_late(const struct flight *flight)
{
    return flight->late;
}

bool flight_is_done(const struct flight *flight)
{
    return flight->phase == DONE;
}

static void wire_clear(struct wire *wire)
{
    while (wire->n_pieces > 0)
        nm_pipe_clear(&wire->piece[--wire->n_pieces]);
    wire->n = wire->n_done = 0;
}

void flight_free(struct flight *flight)
{
    for (int i = 0; i < 2; i++) {
        wire_clear(&flight->wire[i]);
        nm_pipe_clear(&flight->pipe[i]);
    }
    nm_arena_clear(&flight->arena);
    free(flight->batch.output);
    free(flight->data);
    free(flight);
}

/* ---- a new batch ---- */

static bool catching_up(const struct fleet *fleet, const struct fleet_instance *instance)
{
    for (int p = 0; p < FLEET_PARTS; p++)
        for (int s = 0; instance->believes[p] && s < FLEET_RECORDS; s++)
            if (fleet->position.rebuilding[p] || fleet->position.wm[s][p] < fleet->behind_until[s][p])
                return true;
    return false;
}

static struct nm_item *add_item(struct flight *flight, const char *id, int part)
{
    size_t i = flight->batch.n_items++;
    memcpy(flight->key[i], id, 33);
    flight->item[i] = (struct nm_item){.partition = part,
                                       .offset = -1,
                                       .key = flight->key[i],
                                       .key_len = 32,
                                       .data = flight->data + i * publish_worker.item_size};
    return &flight->item[i];
}

static void take_event(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight, int part, int s)
{
    if (fleet->position.rebuilding[part] != (s == FLEET_RECORDS)) /* records first, and only then */
        return;
    const struct fleet_log *log = &fleet->log[s][part];
    size_t at = instance->next[s][part];
    if (at >= log->n)
        return;
    const struct fleet_message *message = &log->message[at];
    struct nm_item *item = add_item(flight, fleet->story->id[message->id], part);
    item->stream = streams[s];
    item->offset = (int64_t)at;
    item->value = message->value;
    item->value_len = message->len;
    item->revision = message->revision;
    item->resend = at < fleet->resend_until[s][part];
    item->catching_up = catching_up(fleet, instance);
    if (flight->count[s][part]++ == 0)
        flight->from[s][part] = at;
    instance->next[s][part]++;
}

static bool is_under_way(const struct fleet_instance *instance, const struct flight *flight, const char *id)
{
    for (int i = 0; i <= instance->n_flights; i++) {
        const struct flight *other = i < instance->n_flights ? instance->flight[i] : flight;
        for (size_t k = 0; k < other->batch.n_items; k++)
            if (other->item[k].set && memcmp(other->key[k], id, 32) == 0)
                return true;
    }
    return false;
}

static void take_due(struct fleet *fleet, const struct fleet_instance *instance, struct flight *flight, int part)
{
    char key[64];
    nm_set_key(fleet->settings, &pb_due, part, key, sizeof key);
    const struct nm_reply *due =
        state_world_run(fleet->world, (const char *const[]){"ZRANGE", key, "0", "-1", "WITHSCORES", NULL});
    for (size_t i = 0; i + 1 < due->len && flight->batch.n_items < FLEET_ITEMS; i += 2) {
        const char *id = nm_reply_at(due, i)->str;
        if (is_under_way(instance, flight, id))
            continue;
        struct nm_item *item = add_item(flight, id, part);
        item->set = &pb_due;
        item->score = nm_reply_int(nm_reply_at(due, i + 1), -1);
        item->resend = fleet->position.wm[FLEET_FACETS][part] < fleet->resend_until[FLEET_FACETS][part];
        item->catching_up = catching_up(fleet, instance);
    }
}

/* A partition whose records were all read back goes on with its events. */
static void end_rebuild(struct fleet *fleet, int part)
{
    if (fleet->position.wm[FLEET_RECORDS][part] >= fleet->log[FLEET_RECORDS][part].n)
        fleet->position.rebuilding[part] = false;
}

/* Whatever there is, in turn: at the end nothing may be left. */
static void take_all(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight)
{
    for (int part = 0; part < FLEET_PARTS; part++) {
        if (!instance->believes[part])
            continue;
        for (int s = 0; s < FLEET_STREAMS && flight->batch.n_items < FLEET_ITEMS; s++)
            take_event(fleet, instance, flight, part, s);
        if (!fleet->position.rebuilding[part])
            take_due(fleet, instance, flight, part);
    }
}

static void take_some(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight)
{
    bool dues = story_pick(&fleet->random, 4) == 0;
    unsigned tries = 1 + story_pick(&fleet->random, 3 * FLEET_ITEMS);
    for (unsigned i = 0; i < tries && flight->batch.n_items < FLEET_ITEMS; i++) {
        int part = (int)story_pick(&fleet->random, FLEET_PARTS);
        if (!instance->believes[part])
            continue;
        if (dues && !fleet->position.rebuilding[part] && story_pick(&fleet->random, 2) == 0)
            take_due(fleet, instance, flight, part);
        else
            take_event(fleet, instance, flight, part, (int)story_pick(&fleet->random, FLEET_STREAMS));
    }
}

bool flight_begin(struct fleet *fleet, struct fleet_instance *instance)
{
    struct flight *flight = calloc(1, sizeof *flight);
    flight->data = calloc(FLEET_ITEMS, publish_worker.item_size);
    flight->batch = (struct nm_batch){
        .item = flight->item, .pipe = &flight->pipe[0], .replies = &flight->pipe[1], .arena = &flight->arena};
    for (int part = 0; part < FLEET_PARTS; part++)
        if (instance->believes[part] && fleet->position.rebuilding[part])
            end_rebuild(fleet, part);
    if (fleet->thorough)
        take_all(fleet, instance, flight);
    else
        take_some(fleet, instance, flight);
    if (flight->batch.n_items == 0) {
        flight_free(flight);
        return false;
    }
    instance->flight[instance->n_flights++] = flight;
    return true;
}

/* ---- Redis ---- */

static size_t number_at(const char *text, size_t *at)
{
    size_t value = 0;
    for ((*at)++; text[*at] != '\r'; (*at)++)
        value = value * 10 + (size_t)(text[*at] - '0');
    *at += 2;
    return value;
}

static bool calls(const char *command, size_t len, const struct nm_script *script)
{
    for (size_t i = 0; i + 40 <= len && i < 40; i++)
        if (memcmp(command + i, script->sha, 40) == 0)
            return true;
    return false;
}

/* Finds the commands in the pipe, and the order in which the server gets them. */
static void wire_open(struct wire *wire, const struct nm_pipe *pipe, enum fleet_mistake mistake)
{
    size_t at = 0;
    wire_clear(wire);
    if (pipe->n_commands > MOST_COMMANDS)
        fail_msg("%zu commands", pipe->n_commands);
    while (at < pipe->request.len) {
        wire->at[wire->n] = at;
        for (size_t words = number_at(pipe->request.data, &at); words > 0; words--) {
            size_t len = number_at(pipe->request.data, &at);
            at += len + 2;
        }
        wire->len[wire->n] = at - wire->at[wire->n];
        wire->n++;
    }
    assert_int_equal(wire->n, pipe->n_commands);
    size_t n = 0;
    for (int late = 0; late < 2; late++)
        for (size_t i = 0; i < wire->n; i++) {
            const char *text = pipe->request.data + wire->at[i];
            bool last = (mistake == FLEET_LISTS_LAST && calls(text, wire->len[i], &pb_lists_script)) ||
                        (mistake == FLEET_CARD_LAST && calls(text, wire->len[i], &pb_card_script));
            if (last == (late == 1))
                wire->order[n++] = i;
        }
}

/* Executes `n` more commands; their replies go where the worker looks for them. */
static void wire_send(struct fleet *fleet, struct wire *wire, struct nm_pipe *pipe, size_t n)
{
    struct nm_pipe *piece = &wire->piece[wire->n_pieces++];
    struct nm_error err = {0};
    *piece = (struct nm_pipe){0};
    for (size_t i = 0; i < n; i++) {
        size_t command = wire->order[wire->n_done + i];
        nm_buf_add(&piece->request, pipe->request.data + wire->at[command], wire->len[command]);
    }
    piece->n_commands = n;
    if (nm_redis_exec(fleet->world->redis, piece, &err) != NM_OK)
        fail_msg("%s", err.msg);
    if (pipe->reply_cap < wire->n) {
        free(pipe->reply);
        pipe->reply = calloc(wire->n, sizeof *pipe->reply);
        pipe->reply_cap = wire->n;
    }
    for (size_t i = 0; i < n; i++)
        pipe->reply[wire->order[wire->n_done + i]] = piece->reply[i];
    wire->n_done += n;
}

/* ---- steps ---- */

typedef enum nm_status step_fn(void *ctx, struct nm_batch *batch, struct nm_error *err);

static void exchange(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight)
{
    struct wire *wire = &flight->wire[flight->batch.pipe == &flight->pipe[1]];
    size_t left = wire->n - wire->n_done;
    wire_send(fleet, wire, flight->batch.pipe,
              story_pick(&fleet->random, 3) ? 1 + story_pick(&fleet->random, (unsigned)left) : left);
    if (wire->n_done < wire->n)
        return;
    struct nm_pipe *answered = flight->batch.pipe;
    flight->batch.pipe = flight->batch.replies;
    flight->batch.replies = answered;
    flight->batch.step++;
    flight->asked = false;
    flight->started = true;
    instance->on_wire = NULL;
}

/* Calls the worker; true when this was its last step. */
static bool call(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight, step_fn *step)
{
    struct nm_error err = {0};
    struct nm_batch *batch = &flight->batch;
    if (batch->step == 0)
        nm_pipe_reset(batch->replies);
    nm_pipe_reset(batch->pipe);
    if (batch->step > MOST_STEPS)
        fail_msg("no end of steps");
    if (step(instance->ctx, batch, &err) != NM_OK)
        fail_msg("%s", err.msg);
    if (batch->pipe->n_commands == 0)
        return true;
    wire_open(&flight->wire[batch->pipe == &flight->pipe[1]], batch->pipe, fleet->mistake);
    flight->asked = true;
    instance->on_wire = flight;
    return false;
}

/* True when every batch before this one has come as far. */
static bool earlier(const struct fleet_instance *instance, const struct flight *flight, bool sent)
{
    for (int i = 0; instance->flight[i] != flight; i++)
        if (!(sent ? instance->flight[i]->sent_once : instance->flight[i]->started))
            return false;
    return true;
}

static void check_verdicts(const struct flight *flight)
{
    for (size_t i = 0; i < flight->batch.n_items; i++) {
        const struct nm_item *item = &flight->item[i];
        if (item->verdict == NM_REJECTED)
            fail_msg("dead letter %s: %s", item->dead->code, item->dead->msg);
        assert_int_not_equal(item->verdict, NM_UNSET);
    }
}

static bool step_process(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight)
{
    if (flight->round == 0 && !flight->started && !earlier(instance, flight, false))
        return false;
    if (flight->batch.step == 0)
        flight->batch.n_outputs = 0;
    if (!call(fleet, instance, flight, publish_worker.process))
        return true;
    check_verdicts(flight);
    flight->started = true;
    flight->phase = SEND;
    flight->n_sent = 0;
    return true;
}

static void send_one(struct fleet *fleet, const struct fleet_instance *instance, struct flight *flight)
{
    const struct nm_output *output = &flight->batch.output[flight->n_sent++];
    int id = story_index(fleet->story, output->key);
    bool touch = output->stream == NM_FACETS;
    if (id < 0)
        fail_msg("an output under '%s'", output->key);
    flight->sent = true;
    if (&fleet->instance[fleet->owner[output->item->partition]] != instance)
        flight->late = true;
    if (!touch || fleet->mistake != FLEET_NO_TOUCH)
        fleet_append(fleet, touch ? FLEET_FACETS : FLEET_RECORDS, id, output->value, output->len, output->revision);
}

static bool step_send(struct fleet *fleet, const struct fleet_instance *instance, struct flight *flight)
{
    if (flight->round == 0 && !earlier(instance, flight, true))
        return false;
    if (flight->n_sent < flight->batch.n_outputs) {
        send_one(fleet, instance, flight);
        return true;
    }
    flight->sent_once = true;
    flight->phase = REPORT;
    flight->batch.step = 0;
    return true;
}

static bool step_report(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight)
{
    if (!call(fleet, instance, flight, publish_worker.reported))
        return true;
    flight->phase = DONE;
    for (size_t i = 0; i < flight->batch.n_items; i++) {
        struct nm_item *item = &flight->item[i];
        if (!item->again)
            continue;
        item->again = false;
        item->verdict = NM_UNSET;
        flight->phase = PROCESS;
        fleet->n_again++;
    }
    flight->batch.step = 0;
    if (flight->phase == PROCESS && ++flight->round > MOST_ROUNDS)
        fail_msg("no end of rounds");
    return true;
}

/* A due entry is taken out if its score is still the one that came. */
static void take_out(struct fleet *fleet, const struct nm_item *item)
{
    static const char *const source = "if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then\n"
                                      "  redis.call('ZREM', KEYS[1], ARGV[1]) end";
    char key[64], score[24];
    nm_set_key(fleet->settings, &pb_due, item->partition, key, sizeof key);
    (void)snprintf(score, sizeof score, "%lld", (long long)item->score);
    (void)state_world_run(fleet->world, (const char *const[]){"EVAL", source, "1", key, item->key, score, NULL});
}

/* wm moves only from where this instance took the events up, which is also the fence against zombies. */
static void finish(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight)
{
    for (size_t i = 0; i < flight->batch.n_items; i++)
        if (flight->item[i].set)
            take_out(fleet, &flight->item[i]);
    for (int s = 0; s < FLEET_STREAMS; s++)
        for (int p = 0; p < FLEET_PARTS; p++)
            if (flight->count[s][p] && &fleet->instance[fleet->owner[p]] == instance &&
                fleet->position.wm[s][p] == flight->from[s][p])
                fleet->position.wm[s][p] += flight->count[s][p];
    instance->n_flights--;
    memmove(&instance->flight[0], &instance->flight[1], (size_t)instance->n_flights * sizeof *instance->flight);
    flight_free(flight);
}

bool flight_step(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight)
{
    if (flight->asked) {
        exchange(fleet, instance, flight);
        return true;
    }
    switch (flight->phase) {
    case PROCESS:
        return step_process(fleet, instance, flight);
    case SEND:
        return step_send(fleet, instance, flight);
    case REPORT:
        return step_report(fleet, instance, flight);
    default:
        break;
    }
    if (instance->flight[0] != flight)
        return false;
    finish(fleet, instance, flight);
    return true;
}
