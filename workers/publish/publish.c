/* publish.c - the worker that puts records together: articles in, one record (or tombstone) an article out.
 *
 * step 0  parse, compose the body, apply to record:{id} (one script an item)
 * step 1  what changed, or was never reported, is emitted; what equals the last reported body is not
 * reported  the sent mark, only where the revision is still the newest; else the present state is composed and sent
 * again, so that a late sender (a process that was stopped and woken) can never leave old news as the last word
 *
 * Of several articles of one id in one batch only the last that applies is emitted: the state holds nothing else. */
#include "publish.h"
#include "newsmill/worker.h"

#include <stdio.h>
#include <string.h>

struct publish {
    struct pb_options options;
    const struct nm_settings *settings;
    char keep_ms[24];
};

struct item_data {
    struct nm_article article;
    struct pb_body body;
    int64_t revision; /* of the record that was emitted */
    bool recompose;   /* second round: from the state, not from the event */
    bool emitted;
    char key[104]; /* <namespace>:record:{<id>} */
};

static enum nm_status publish_init(void *ctx, const struct nm_deps *deps, struct nm_error *err)
{
    (void)err;
    struct publish *publish = ctx;
    publish->settings = deps->settings;
    (void)snprintf(publish->keep_ms, sizeof publish->keep_ms, "%lld", deps->settings->keep_days * 86400000LL);
    return NM_OK;
}

static void publish_fini(void *ctx)
{
    (void)ctx;
}

/* ---- process ---- */

static enum nm_status apply(struct publish *publish, struct nm_batch *batch, struct nm_item *item, struct nm_error *err)
{
    struct item_data *data = item->data;
    struct nm_error why = {0};
    enum nm_status status = nm_article_read(item->value, item->value_len, batch->arena, &data->article, &why);
    if (status == NM_OK)
        status = pb_compose(&publish->options, &data->article, batch->arena, &data->body, &why);
    if (status == NM_BAD_INPUT) {
        nm_item_dead(batch, item, &why);
        return NM_OK;
    }
    if (status != NM_OK) {
        *err = why;
        return status;
    }
    memcpy(item->id, data->article.id, sizeof item->id);
    (void)snprintf(data->key, sizeof data->key, "%s:record:{%s}", publish->settings->ns, item->id);
    (void)nm_pipe_script(batch->pipe, &pb_apply_script, 1, 5);
    nm_pipe_str(batch->pipe, data->key);
    nm_pipe_int(batch->pipe, data->article.revision);
    nm_pipe_arg(batch->pipe, item->value, item->value_len);
    nm_pipe_str(batch->pipe, data->body.hash);
    nm_pipe_str(batch->pipe, item->resend ? "1" : "0");
    nm_pipe_str(batch->pipe, publish->keep_ms);
    return NM_OK;
}

static void read_state(struct nm_batch *batch, const struct item_data *data)
{
    (void)nm_pipe_command(batch->pipe, 4);
    nm_pipe_str(batch->pipe, "HMGET");
    nm_pipe_str(batch->pipe, data->key);
    nm_pipe_str(batch->pipe, "a");
    nm_pipe_str(batch->pipe, "rev");
}

static enum nm_status emit(struct nm_batch *batch, struct nm_item *item, struct nm_error *err)
{
    struct item_data *data = item->data;
    const char *record;
    size_t len;
    enum nm_status status = pb_record(item->id, &data->body, data->revision, batch->arena, &record, &len, err);
    if (status != NM_OK)
        return status;
    nm_emit(batch, item, NM_RECORDS, item->id, record, len, data->revision);
    data->emitted = true;
    return NM_OK;
}

/* Second round: the state of now, whoever wrote it. */
static enum nm_status emit_state(struct publish *publish, struct nm_batch *batch, struct nm_item *item,
                                 const struct nm_reply *reply, struct nm_error *err)
{
    struct item_data *data = item->data;
    const struct nm_reply *article = nm_reply_at(reply, 0);
    item->verdict = NM_DONE;
    data->revision = nm_reply_int(nm_reply_at(reply, 1), 0);
    if (article->type != NM_REPLY_STR) {
        data->emitted = false; /* the key is gone: expired, or Redis was emptied, which the watermark tells */
        return NM_OK;
    }
    enum nm_status status = nm_article_read(article->str, article->len, batch->arena, &data->article, err);
    if (status == NM_OK)
        status = pb_compose(&publish->options, &data->article, batch->arena, &data->body, err);
    if (status == NM_BAD_INPUT)
        return nm_fail(err, NM_FATAL, "key %s holds an article that cannot be read", data->key);
    return status == NM_OK ? emit(batch, item, err) : status;
}

/* Ids seen so far, from the last item backwards: an open table in the batch's arena. */
struct id_set {
    const char **slot;
    size_t mask;
};

static bool id_set_add(struct id_set *set, const char *id)
{
    size_t at = 0;
    memcpy(&at, id, sizeof at); /* hex of a hash: as good as random */
    for (at = (at * 0x9E3779B97F4A7C15u) >> 32;; at++) {
        const char **slot = &set->slot[at & set->mask];
        if (!*slot) {
            *slot = id;
            return true;
        }
        if (memcmp(*slot, id, 32) == 0)
            return false;
    }
}

static enum nm_status id_set_init(struct id_set *set, size_t n, struct nm_arena *arena, struct nm_error *err)
{
    size_t size = 16;
    while (size < n * 2)
        size *= 2;
    set->slot = nm_arena_alloc(arena, size * sizeof(const char *));
    if (!set->slot)
        return nm_fail(err, NM_FATAL, "out of memory for a batch of %zu", n);
    memset(set->slot, 0, size * sizeof(const char *));
    set->mask = size - 1;
    return NM_OK;
}

static void judge(struct nm_item *item, const struct nm_reply *reply, struct id_set *newer)
{
    struct item_data *data = item->data;
    if (strcmp(nm_reply_at(reply, 0)->str, "stale") == 0) {
        item->verdict = NM_STALE;
        return;
    }
    item->verdict = NM_DONE;
    data->revision = nm_reply_int(nm_reply_at(reply, 1), 0);
    bool sent = strcmp(nm_reply_at(reply, 2)->str, data->body.hash) == 0 && !item->resend;
    bool last = id_set_add(newer, item->id);
    data->emitted = last && !sent; /* emitted below, in the order of the batch */
}

static enum nm_status read_replies(struct publish *publish, struct nm_batch *batch, struct nm_error *err)
{
    struct id_set newer = {0};
    enum nm_status status = id_set_init(&newer, batch->n_items, batch->arena, err);
    size_t at = batch->replies->n_commands;
    for (size_t i = batch->n_items; status == NM_OK && i-- > 0;) {
        struct nm_item *item = &batch->item[i];
        struct item_data *data = item->data;
        if (item->verdict != NM_UNSET)
            continue;
        const struct nm_reply *reply = nm_pipe_reply(batch->replies, --at);
        if (data->recompose)
            status = emit_state(publish, batch, item, reply, err);
        else
            judge(item, reply, &newer);
    }
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++) {
        struct item_data *data = batch->item[i].data;
        if (data->emitted && !data->recompose)
            status = emit(batch, &batch->item[i], err);
    }
    return status;
}

static enum nm_status publish_process(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    struct publish *publish = ctx;
    if (batch->step > 0)
        return batch->replies->n_commands ? read_replies(publish, batch, err) : NM_OK;
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++) {
        struct nm_item *item = &batch->item[i];
        struct item_data *data = item->data;
        if (item->verdict != NM_UNSET)
            continue;
        if (data->recompose)
            read_state(batch, data);
        else
            status = apply(publish, batch, item, err);
    }
    return status;
}

/* ---- reported ---- */

static void append_marks(struct publish *publish, struct nm_batch *batch)
{
    for (size_t i = 0; i < batch->n_items; i++) {
        struct item_data *data = batch->item[i].data;
        if (!data->emitted || batch->item[i].verdict == NM_REJECTED)
            continue;
        (void)nm_pipe_script(batch->pipe, &pb_sent_script, 1, 3);
        nm_pipe_str(batch->pipe, data->key);
        nm_pipe_int(batch->pipe, data->revision);
        nm_pipe_str(batch->pipe, data->body.hash);
        nm_pipe_str(batch->pipe, publish->keep_ms);
    }
}

static void read_marks(struct nm_batch *batch)
{
    size_t at = 0;
    for (size_t i = 0; i < batch->n_items; i++) {
        struct item_data *data = batch->item[i].data;
        if (!data->emitted || batch->item[i].verdict == NM_REJECTED)
            continue;
        bool newest = nm_reply_int(nm_pipe_reply(batch->replies, at++), 0) == 1;
        data->emitted = false;
        data->recompose = !newest;
        batch->item[i].again = !newest;
    }
}

static enum nm_status publish_reported(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    (void)err;
    if (batch->step == 0)
        append_marks(ctx, batch);
    else if (batch->step == 1)
        read_marks(batch);
    return NM_OK;
}

static const struct nm_input inputs[] = {{.stream = NM_NORMALIZED, .schema = "article", .version = 1}};
static const enum nm_stream outputs[] = {NM_RECORDS};
static struct nm_script *const scripts[] = {&pb_apply_script, &pb_sent_script};

const struct nm_worker publish_worker = {
    .name = "publish",
    .summary = "composes the record of each article and publishes it whenever it changes",
    .options = publish_options,
    .ctx_size = sizeof(struct publish),
    .item_size = sizeof(struct item_data),
    .inputs = inputs,
    .n_inputs = 1,
    .outputs = outputs,
    .n_outputs = 1,
    .scripts = scripts,
    .n_scripts = 2,
    .init = publish_init,
    .process = publish_process,
    .reported = publish_reported,
    .fini = publish_fini,
};
