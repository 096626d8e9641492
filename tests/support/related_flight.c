/* related_flight.c - see related_flight.h. A step calls the worker, or sends more of the pipe that the last call made;
 * what a call leaves empty is passed over, so every answer but "wait" tells of something that happened. */
#include "related_flight.h"
#include "related/related.h"
#include "runtime_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

extern const struct nm_worker related_worker;

enum phase { PROCESS, PRODUCE, REPORT, CLEAR, DONE };
static const char *const phase_words[] = {"process", "produce", "report", "clear", "done"};

struct piece { /* of a pipe: some commands that went out together; holds their replies */
    struct nm_pipe pipe;
    struct piece *next;
};
struct wire { /* a pipe under way */
    struct nm_pipe pipe;
    struct piece *pieces;
    size_t at; /* first byte that was not sent */
    size_t n_sent;
};
struct rf_flight {
    struct nm_batch batch;
    struct nm_item *item;
    char *data;
    struct nm_arena arena;
    struct wire wire[2]; /* batch.pipe and batch.replies are theirs, in turn */
    int now;             /* index of the wire that batch.pipe is of */
    enum phase phase;
    bool of_set, asked; /* asked: a pipe is under way */
};

/* ---- wires ---- */

static void wire_reset(struct wire *wire)
{
    while (wire->pieces) {
        struct piece *piece = wire->pieces;
        wire->pieces = piece->next;
        nm_pipe_clear(&piece->pipe);
        free(piece);
    }
    nm_pipe_reset(&wire->pipe);
    wire->at = wire->n_sent = 0;
}

static size_t number_at(const char *text, size_t *at)
{
    size_t value = 0;
    for ((*at)++; text[*at] != '\r'; (*at)++)
        value = value * 10 + (size_t)(text[*at] - '0');
    *at += 2;
    return value;
}

/* Where the command at `at` ends. */
static size_t command_end(const char *text, size_t at)
{
    for (size_t words = number_at(text, &at); words > 0; words--) {
        size_t len = number_at(text, &at);
        at += len + 2;
    }
    return at;
}

static void add_hex(struct nm_buf *out, const char *bytes, size_t len)
{
    nm_buf_addc(out, '"');
    for (size_t i = 0; i < len; i++)
        nm_buf_addf(out, "%02x", (unsigned)(unsigned char)bytes[i]);
    nm_buf_addc(out, '"');
}

/* The command at `at`, if it places or takes out an article: {how, revision, sha, args} with what the script said. */
static void add_call(struct nm_buf *out, const char *text, size_t at, const struct nm_reply *reply)
{
    size_t words = number_at(text, &at);
    for (size_t i = 0; i < words; i++) {
        size_t len = number_at(text, &at);
        const char *word = text + at;
        at += len + 2;
        if (i == 1 &&
            (len != 40 || (memcmp(word, rl_place_script.sha, 40) != 0 && memcmp(word, rl_retract_script.sha, 40) != 0)))
            return;
        if (i == 1)
            nm_buf_addf(out, "%s{\"how\":\"%s\",\"revision\":%" PRId64 ",\"sha\":\"%.40s\",\"args\":[",
                        out->len ? "," : "", nm_reply_at(reply, 0)->str,
                        nm_reply_int(nm_reply_at(nm_reply_at(reply, 1), 4), 0), word);
        if (i > 3)
            nm_buf_adds(out, i > 4 ? "," : "");
        if (i > 3)
            add_hex(out, word, len);
    }
    if (words > 3)
        nm_buf_adds(out, "]}");
}

/* Sends `n` more commands of the pipe; their replies go where the worker looks for them. */
static enum nm_status wire_send(struct rf_fleet *fleet, struct wire *wire, size_t n, struct nm_buf *calls,
                                struct nm_error *err)
{
    struct piece *piece = calloc(1, sizeof *piece);
    const char *text = wire->pipe.request.data;
    size_t from = wire->at, end = from;
    if (!piece)
        return nm_fail(err, NM_FATAL, "out of memory");
    piece->next = wire->pieces;
    wire->pieces = piece;
    for (size_t i = 0; i < n; i++)
        end = command_end(text, end);
    nm_buf_add(&piece->pipe.request, text + from, end - from);
    piece->pipe.n_commands = n;
    enum nm_status status = nm_redis_exec(fleet->redis, &piece->pipe, err);
    if (status != NM_OK)
        return status;
    for (size_t i = 0; i < n; i++, from = command_end(text, from)) {
        wire->pipe.reply[wire->n_sent + i] = piece->pipe.reply[i];
        add_call(calls, text, from, &piece->pipe.reply[i]);
    }
    wire->at = end;
    wire->n_sent += n;
    return NM_OK;
}

static enum nm_status make_room(struct nm_pipe *pipe, struct nm_error *err)
{
    if (pipe->reply_cap >= pipe->n_commands)
        return NM_OK;
    free(pipe->reply);
    pipe->reply_cap = 0;
    pipe->reply = calloc(pipe->n_commands, sizeof *pipe->reply);
    if (!pipe->reply)
        return nm_fail(err, NM_FATAL, "out of memory");
    pipe->reply_cap = pipe->n_commands;
    return NM_OK;
}

/* ---- flights ---- */

static void flight_free(struct rf_flight *flight)
{
    for (int i = 0; i < 2; i++) {
        wire_reset(&flight->wire[i]);
        nm_pipe_clear(&flight->wire[i].pipe);
    }
    nm_arena_clear(&flight->arena);
    free(flight->batch.output);
    free(flight->item);
    free(flight->data);
    free(flight);
}

static struct rf_flight *flight_new(size_t n)
{
    struct rf_flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return NULL;
    flight->item = calloc(n, sizeof *flight->item);
    flight->data = calloc(n, related_worker.item_size);
    if (!flight->item || !flight->data) {
        flight_free(flight);
        return NULL;
    }
    flight->batch = (struct nm_batch){
        .item = flight->item, .pipe = &flight->wire[0].pipe, .replies = &flight->wire[1].pipe, .arena = &flight->arena};
    return flight;
}

bool rf_may_begin(const struct rf_instance *instance, bool of_set)
{
    for (int i = 0; i < instance->n_flights; i++) {
        const struct rf_flight *flight = instance->flight[i];
        bool asked = flight->phase != PROCESS || flight->batch.step > related_worker.follows_step ||
                     (flight->batch.step == related_worker.follows_step && flight->asked);
        if (!asked || (of_set && flight->of_set))
            return false;
    }
    return instance->n_flights < RF_FLIGHTS;
}

enum nm_status rf_begin(struct rf_instance *instance, const struct rf_event *event, size_t n, struct nm_error *err)
{
    struct rf_flight *flight = flight_new(n);
    if (!flight)
        return nm_fail(err, NM_FATAL, "out of memory");
    for (size_t i = 0; i < n; i++)
        flight->item[i] = (struct nm_item){.stream = NM_NORMALIZED,
                                           .partition = event[i].partition,
                                           .offset = event[i].offset,
                                           .key = event[i].key,
                                           .key_len = event[i].key_len,
                                           .value = event[i].value,
                                           .value_len = event[i].value_len,
                                           .data = flight->data + i * related_worker.item_size};
    flight->batch.n_items = n;
    instance->flight[instance->n_flights++] = flight;
    return NM_OK;
}

static enum nm_status add_members(struct rf_flight *flight, int32_t partition, const struct nm_reply *found,
                                  struct nm_error *err)
{
    for (size_t i = 0; i < found->len / 2; i++) {
        const struct nm_reply *member = nm_reply_at(found, 2 * i);
        const char *key = nm_arena_copy(&flight->arena, member->str, member->len);
        if (!key)
            return nm_fail(err, NM_FATAL, "out of memory");
        flight->item[i] = (struct nm_item){.stream = NM_NORMALIZED,
                                           .partition = partition,
                                           .offset = -1,
                                           .key = key,
                                           .key_len = member->len,
                                           .set = related_worker.sets,
                                           .score = (int64_t)strtod(nm_reply_at(found, 2 * i + 1)->str, NULL),
                                           .data = flight->data + i * related_worker.item_size};
        flight->batch.n_items++;
    }
    return NM_OK;
}

enum nm_status rf_begin_out(struct rf_fleet *fleet, struct rf_instance *instance, int32_t partition, size_t n_most,
                            size_t *n, struct nm_error *err)
{
    char key[NM_WM_KEY_BYTES];
    struct nm_pipe look = {0};
    struct rf_flight *flight = NULL;
    nm_set_key(fleet->settings, related_worker.sets, partition, key, sizeof key);
    (void)nm_pipe_script(&look, &nm_set_due_script, 1, 3);
    nm_pipe_str(&look, key);
    nm_pipe_int(&look, (long long)n_most);
    nm_pipe_str(&look, "0");
    nm_pipe_str(&look, "0");
    enum nm_status status = nm_redis_exec(fleet->redis, &look, err);
    const struct nm_reply *found = status == NM_OK ? nm_pipe_reply(&look, 0) : NULL;
    *n = found ? found->len / 2 : 0;
    if (*n) {
        flight = flight_new(*n);
        status = flight ? add_members(flight, partition, found, err) : nm_fail(err, NM_FATAL, "out of memory");
    }
    nm_pipe_clear(&look);
    if (flight && status == NM_OK) {
        flight->of_set = true;
        instance->flight[instance->n_flights++] = flight;
    } else if (flight) {
        flight_free(flight);
    }
    return status;
}

/* ---- steps ---- */

/* As the runtime's sets do it when a batch is over. */
static void clear_set(const struct rf_fleet *fleet, struct nm_batch *batch)
{
    char key[NM_WM_KEY_BYTES];
    for (size_t i = 0; batch->step == 0 && i < batch->n_items; i++) {
        const struct nm_item *item = &batch->item[i];
        if (!item->set)
            continue;
        nm_set_key(fleet->settings, item->set, item->partition, key, sizeof key);
        (void)nm_pipe_script(batch->pipe, &nm_set_clear_script, 1, 2);
        nm_pipe_str(batch->pipe, key);
        nm_pipe_arg(batch->pipe, item->key, item->key_len);
        nm_pipe_int(batch->pipe, item->score);
    }
}

static enum nm_status call(const struct rf_fleet *fleet, const struct rf_instance *instance, struct rf_flight *flight,
                           struct nm_error *err)
{
    struct nm_batch *batch = &flight->batch;
    enum nm_status status = NM_OK;
    wire_reset(&flight->wire[flight->now]);
    if (batch->step == 0)
        wire_reset(&flight->wire[!flight->now]);
    if (flight->phase == CLEAR)
        clear_set(fleet, batch);
    else
        status =
            (flight->phase == PROCESS ? related_worker.process : related_worker.reported)(instance->ctx, batch, err);
    if (status == NM_OK && batch->pipe->n_commands)
        status = make_room(batch->pipe, err);
    flight->asked = status == NM_OK && batch->pipe->n_commands > 0;
    return status;
}

static enum nm_status exchange(struct rf_fleet *fleet, struct rf_flight *flight, size_t n_most, struct nm_buf *answer,
                               struct nm_error *err)
{
    struct wire *wire = &flight->wire[flight->now];
    struct nm_batch *batch = &flight->batch;
    struct nm_buf calls = {0};
    size_t n = wire->pipe.n_commands - wire->n_sent;
    enum nm_status status = wire_send(fleet, wire, n < n_most ? n : n_most, &calls, err);
    nm_buf_addf(answer, "{\"at\":\"%s\",\"step\":%u,\"of\":%zu,\"sent\":%zu,\"calls\":[%s]}",
                phase_words[flight->phase], batch->step, wire->pipe.n_commands, wire->n_sent, nm_buf_str(&calls));
    nm_buf_clear(&calls);
    if (status != NM_OK || wire->n_sent < wire->pipe.n_commands)
        return status;
    flight->now = !flight->now;
    batch->replies = batch->pipe;
    batch->pipe = &flight->wire[flight->now].pipe;
    batch->step++;
    flight->asked = false;
    return NM_OK;
}

static enum nm_status produce(const struct rf_flight *flight, struct nm_buf *answer, struct nm_error *err)
{
    const struct nm_batch *batch = &flight->batch;
    nm_buf_adds(answer, "{\"at\":\"produce\",\"dead\":[");
    for (size_t i = 0, n = 0; i < batch->n_items; i++) {
        if (batch->item[i].verdict == NM_UNSET)
            return nm_fail(err, NM_FATAL, "an item without a verdict");
        if (batch->item[i].verdict == NM_REJECTED)
            nm_buf_addf(answer, "%s\"%s\"", n++ ? "," : "", batch->item[i].dead->code);
    }
    nm_buf_adds(answer, "],\"outputs\":[");
    for (size_t i = 0; i < batch->n_outputs; i++) {
        const struct nm_output *output = &batch->output[i];
        nm_buf_addf(answer, "%s{\"key\":\"%.32s\",\"revision\":%" PRId64 ",\"value\":", i ? "," : "", output->key,
                    output->revision);
        nm_buf_add(answer, output->value, output->len);
        nm_buf_addc(answer, '}');
    }
    nm_buf_adds(answer, "]}");
    return NM_OK;
}

/* Something of this instance that must come first. */
static bool must_wait(const struct rf_instance *instance, int at)
{
    const struct rf_flight *flight = instance->flight[at];
    for (int i = 0; i < instance->n_flights; i++)
        if (i != at && instance->flight[i]->asked)
            return true;
    for (int i = 0; i < at; i++)
        if (flight->phase >= PRODUCE && instance->flight[i]->phase <= flight->phase)
            return true;
    return false;
}

static void finish(struct rf_instance *instance, int at)
{
    flight_free(instance->flight[at]);
    instance->n_flights--;
    for (int i = at; i < instance->n_flights; i++)
        instance->flight[i] = instance->flight[i + 1];
}

enum nm_status rf_step(struct rf_fleet *fleet, struct rf_instance *instance, int at, size_t n_most,
                       struct nm_buf *answer, struct nm_error *err)
{
    struct rf_flight *flight = instance->flight[at];
    enum nm_status status = NM_OK;
    for (;;) {
        if (must_wait(instance, at)) {
            nm_buf_adds(answer, "{\"at\":\"wait\"}");
            return NM_OK;
        }
        if (flight->phase == PRODUCE) {
            flight->phase = REPORT;
            return produce(flight, answer, err);
        }
        if (flight->phase == DONE) {
            finish(instance, at);
            nm_buf_adds(answer, "{\"at\":\"done\"}");
            return NM_OK;
        }
        if (!flight->asked)
            status = call(fleet, instance, flight, err);
        if (status != NM_OK)
            return status;
        if (flight->asked)
            return exchange(fleet, flight, n_most, answer, err);
        flight->phase++;
        flight->batch.step = 0;
    }
}

/* ---- instances ---- */

static void drop(struct rf_instance *instance)
{
    while (instance->n_flights > 0)
        flight_free(instance->flight[--instance->n_flights]);
}

enum nm_status rf_start(struct rf_fleet *fleet, void *ctx, struct nm_error *err)
{
    static const char digits[] = "0123456789abcdef";
    struct rf_instance *instance = &fleet->instance[fleet->n_instances];
    *instance = (struct rf_instance){.ctx = ctx, .deps = {.settings = fleet->settings, .clock = &nm_wall_clock}};
    memset(instance->deps.instance, digits[fleet->n_instances++], sizeof instance->deps.instance - 1);
    return related_worker.init(ctx, &instance->deps, err);
}

void rf_crash(struct rf_instance *instance)
{
    drop(instance);
}

void rf_close(struct rf_fleet *fleet)
{
    for (int i = 0; i < fleet->n_instances; i++) {
        drop(&fleet->instance[i]);
        related_worker.fini(fleet->instance[i].ctx);
    }
    nm_redis_close(fleet->redis);
}
