/* publish_view.c - one id in the steps of a batch: ask (apply the event, take a revision), take, prepare (card, lists,
 * reads), finish (compose, emit). What hangs on the order of these is in README.md. */
#include "publish_view.h"
#include "newsmill/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- ids of a batch ---- */

enum nm_status pb_table_init(struct pb_table *table, size_t most, struct nm_arena *arena, struct nm_error *err)
{
    size_t size = 16;
    while (size < most * 2)
        size *= 2;
    table->id = nm_arena_alloc(arena, size * sizeof(const char *));
    table->value = nm_arena_alloc(arena, size * sizeof(void *));
    if (!table->id || !table->value)
        return nm_fail(err, NM_FATAL, "out of memory for a batch of %zu", most);
    memset(table->id, 0, size * sizeof(const char *));
    memset(table->value, 0, size * sizeof(void *));
    table->mask = size - 1;
    return NM_OK;
}

void **pb_table_at(struct pb_table *table, const char *id)
{
    size_t at = 0;
    memcpy(&at, id, sizeof at); /* hex of a hash: as good as random */
    for (at = (at * 0x9E3779B97F4A7C15u) >> 32;; at++) {
        size_t slot = at & table->mask;
        if (!table->id[slot])
            table->id[slot] = id;
        if (memcmp(table->id[slot], id, PB_ID) == 0)
            return &table->value[slot];
    }
}

/* ---- step 0 ---- */

/* "<namespace>:<word>:{<id>}" */
static void add_key(const struct publish *publish, struct nm_batch *batch, const char *word, const char *id)
{
    char key[128];
    int len = snprintf(key, sizeof key, "%s:%s:{%.32s}", publish->settings->ns, word, id);
    nm_pipe_arg(batch->pipe, key, (size_t)len);
}

static void add_rev(struct nm_batch *batch, int64_t revision)
{
    nm_pipe_int(batch->pipe, revision);
}

void pb_view_ask(struct publish *publish, struct nm_batch *batch, struct pb_view *view, const struct pb_event *event)
{
    char key[128], kind = (char)(view->again ? PB_AGAIN : event->kind), revision[24];
    if (event->kind == PB_BACK) {
        view->command = nm_pipe_script(batch->pipe, &pb_back_script, 1, 4);
        add_key(publish, batch, "record", event->id);
        add_rev(batch, event->revision);
        nm_pipe_str(batch->pipe, event->hash);
        nm_pipe_str(batch->pipe, event->awaits);
        nm_pipe_str(batch->pipe, publish->keep_ms);
        return;
    }
    view->retells = kind == PB_ARTICLE || kind == PB_IMAGES; /* a card is made of these two */
    view->command = nm_pipe_script(batch->pipe, &pb_apply_script, PB_APPLY_KEYS, PB_APPLY_ARGS);
    add_key(publish, batch, "record", event->id);
    add_key(publish, batch, "shown", event->id);
    nm_set_key(publish->settings, &pb_due, view->item->partition, key, sizeof key);
    nm_pipe_str(batch->pipe, key);
    (void)snprintf(revision, sizeof revision, "%016" PRId64, event->revision);
    nm_pipe_arg(batch->pipe, &kind, 1);
    nm_pipe_str(batch->pipe, revision);
    nm_pipe_arg(batch->pipe, event->data.s, event->data.len);
    nm_pipe_str(batch->pipe, publish->instance);
    nm_pipe_str(batch->pipe, view->item->catching_up ? "1" : "0");
    nm_pipe_str(batch->pipe, publish->keep_ms);
    nm_pipe_str(batch->pipe, publish->expect);
    nm_pipe_int(batch->pipe, publish->options.wait_ms);
    nm_pipe_str(batch->pipe, event->id);
}

/* ---- step 1 ---- */

static struct pb_text text_of(const struct nm_reply *reply, size_t skip)
{
    return (struct pb_text){.s = reply->len > skip ? reply->str + skip : "",
                            .len = reply->len > skip ? reply->len - skip : 0};
}

bool pb_view_take(struct pb_view *view, const struct nm_reply *reply)
{
    enum { REVISION = 16 };
    const char *word = nm_reply_at(reply, 0)->str;
    view->item->verdict = strcmp(word, "stale") == 0 ? NM_STALE : NM_DONE;
    if (strcmp(word, "go") != 0)
        return false;
    view->revision = nm_reply_int(nm_reply_at(reply, 1), 0);
    view->before = nm_reply_int(nm_reply_at(reply, 2), 0);
    view->sent = text_of(nm_reply_at(reply, 3), 0);
    view->quiet = nm_reply_int(nm_reply_at(reply, 4), 0) == 1;
    view->back = nm_reply_int(nm_reply_at(reply, 5), 0) == 1;
    view->untold = nm_reply_int(nm_reply_at(reply, 12), 0);
    view->fresh = view->item->resend || (view->item->catching_up && !view->back);
    view->retells = view->fresh && view->retells;
    view->state = (struct pb_state){.id = view->id,
                                    .article = text_of(nm_reply_at(reply, 6), REVISION),
                                    .images = text_of(nm_reply_at(reply, 7), REVISION),
                                    .related = text_of(nm_reply_at(reply, 8), REVISION),
                                    .heat = text_of(nm_reply_at(reply, 9), REVISION),
                                    .card = text_of(nm_reply_at(reply, 10), 0),
                                    .lists = text_of(nm_reply_at(reply, 11), 0)};
    return true;
}

static bool equal(struct pb_text a, struct pb_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.s, b.s, a.len) == 0);
}

static bool lists_id(struct pb_text list, const char *id)
{
    for (size_t at = 0; at + PB_ID <= list.len; at += PB_ID)
        if (memcmp(list.s + at, id, PB_ID) == 0)
            return true;
    return false;
}

static void append_lists(const struct publish *publish, struct nm_batch *batch, const struct pb_view *view)
{
    struct pb_text now = view->own.members, before = view->state.lists;
    size_t n_removed = 0, n_added = now.len / PB_ID;
    for (size_t at = 0; at + PB_ID <= before.len; at += PB_ID)
        n_removed += !lists_id(now, before.s + at);
    (void)nm_pipe_script(batch->pipe, &pb_lists_script, 1 + n_added + n_removed, 5);
    add_key(publish, batch, "record", view->id);
    for (size_t at = 0; at < now.len; at += PB_ID)
        add_key(publish, batch, "shown", now.s + at);
    for (size_t at = 0; at + PB_ID <= before.len; at += PB_ID)
        if (!lists_id(now, before.s + at))
            add_key(publish, batch, "shown", before.s + at);
    add_rev(batch, view->revision);
    nm_pipe_str(batch->pipe, view->id);
    nm_pipe_str(batch->pipe, publish->keep_ms);
    nm_pipe_int(batch->pipe, (long long)n_added);
    nm_pipe_arg(batch->pipe, now.s, now.len);
}

/* The order is the point: the card before the leads are read, the lists before the members' cards are read. So of a
 * change and a lead that begins to show it, one sees the other. */
static void append_exchange(const struct publish *publish, struct nm_batch *batch, const struct pb_view *view)
{
    struct pb_text members = view->own.members;
    if (view->writes_card) {
        (void)nm_pipe_script(batch->pipe, &pb_card_script, 1, 2);
        add_key(publish, batch, "record", view->id);
        add_rev(batch, view->revision);
        nm_pipe_arg(batch->pipe, view->own.card.s, view->own.card.len);
    }
    if (view->asks_leads) {
        (void)nm_pipe_command(batch->pipe, 2);
        nm_pipe_str(batch->pipe, "SMEMBERS");
        add_key(publish, batch, "shown", view->id);
    }
    if (view->writes_lists)
        append_lists(publish, batch, view);
    for (size_t at = 0; at < members.len; at += PB_ID) {
        (void)nm_pipe_command(batch->pipe, 3);
        nm_pipe_str(batch->pipe, "HGET");
        add_key(publish, batch, "record", members.s + at);
        nm_pipe_str(batch->pipe, "card");
    }
}

enum nm_status pb_view_prepare(struct publish *publish, struct nm_batch *batch, struct pb_view *view,
                               struct nm_error *err)
{
    struct pb_maker maker = pb_maker_of(publish, batch);
    enum nm_status status = pb_make_own(&maker, &view->state, &view->own, err);
    if (status != NM_OK)
        return status;
    view->command = batch->pipe->n_commands;
    view->writes_card = !equal(view->own.card, view->state.card);
    /* what points into the replies of step 0 and is needed in step 2 */
    const char *sent = nm_arena_copy(batch->arena, view->sent.s, view->sent.len);
    const char *members = nm_arena_copy(batch->arena, view->own.members.s, view->own.members.len);
    if (!sent || !members)
        return nm_fail(err, NM_FATAL, "out of memory for %s", view->id);
    if (view->writes_card)
        view->untold = view->revision;
    view->asks_leads = view->retells || view->untold;
    view->writes_lists = !equal(view->own.members, view->state.lists);
    append_exchange(publish, batch, view);
    view->sent.s = sent;
    view->own.members.s = members;
    view->state = (struct pb_state){.id = view->id};
    return NM_OK;
}

/* ---- the last step ---- */

const struct nm_reply *pb_view_leads(const struct nm_batch *batch, const struct pb_view *view)
{
    static const struct nm_reply none = {.type = NM_REPLY_NIL, .str = ""};
    return view->asks_leads ? nm_pipe_reply(batch->replies, view->command + view->writes_card) : &none;
}

static enum nm_status make_body(struct publish *publish, struct nm_batch *batch, const struct pb_view *view,
                                struct pb_body *body, struct nm_error *err)
{
    struct pb_maker maker = pb_maker_of(publish, batch);
    struct pb_member member[PB_MAX_RELATED];
    size_t n = view->own.members.len / PB_ID;
    size_t at = view->command + view->writes_card + view->asks_leads + view->writes_lists;
    for (size_t i = 0; i < n; i++) {
        const struct nm_reply *card = nm_pipe_reply(batch->replies, at + i);
        member[i] = (struct pb_member){.id = view->own.members.s + i * PB_ID, .card = text_of(card, 0)};
    }
    return pb_make_body(&maker, &view->own, member, n, publish->room, body, err);
}

static void note_size(struct publish *publish, const struct pb_view *view, const struct pb_body *body)
{
    struct nm_where where = {.id = view->id, .partition = -1, .offset = -1};
    nm_series_add(publish->dropped, (double)body->n_dropped);
    if (body->n_dropped)
        nm_log_at(NM_WARN, "record.cut", &where,
                  "not all related articles fit into a record of %zu bytes; raise streams.records.maxMessageBytes or "
                  "lower publish.maxRelated",
                  publish->room);
}

enum nm_status pb_view_finish(struct publish *publish, struct nm_batch *batch, struct pb_view *view,
                              struct nm_error *err)
{
    struct pb_body body;
    enum nm_status status = make_body(publish, batch, view, &body, err);
    view->marked = !view->quiet || view->untold;
    if (status != NM_OK || view->quiet)
        return status;
    memcpy(view->hash, body.hash, sizeof view->hash);
    bool sent = view->sent.len >= PB_ID && memcmp(view->sent.s, body.hash, PB_ID) == 0;
    view->emitted = !sent || view->fresh || view->again;
    if (!view->emitted)
        return NM_OK;
    struct pb_text record = pb_record(view->id, &body, view->revision);
    if (view->item->set && record.len > publish->room) { /* no event that could become a dead letter */
        view->emitted = view->marked = false;
        return NM_OK;
    }
    note_size(publish, view, &body);
    nm_emit(batch, view->item, NM_RECORDS, view->id, record.s, record.len, view->revision);
    return NM_OK;
}
