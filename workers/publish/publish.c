/* publish.c - the worker that puts records together: articles and facets in, one record (or tombstone) an article out,
 * and a touch to the leads that show it.
 *
 * step 0    each event is applied to record:{id} and takes the record's revision (one script an item)
 * step 1    of each id the last item that did so composes: card, leads, lists and members' cards in one round trip
 * step 2    the record, if it differs from the last reported one; a touch for each lead that was not told of the card
 * reported  the marks, only where the revision is still the newest; else, where somebody else composed meanwhile, the
 *           present state is composed and sent again */
#include "newsmill/fault.h"
#include "newsmill/url.h"
#include "publish_view.h"

#include <stdio.h>
#include <string.h>

struct item_data {
    struct pb_event event;
    struct pb_view view;
#ifdef NM_CHAOS
    struct pb_control control;
#endif
};

static const struct nm_metric_spec dropped = {
    .kind = NM_COUNTER,
    .name = "related_dropped_total",
    .help = "Related articles that were left out of records, which would have been too large.",
};

static enum nm_status publish_init(void *ctx, const struct nm_deps *deps, struct nm_error *err)
{
    (void)err;
    struct publish *publish = ctx;
    const struct nm_strings *expect = &deps->settings->expect;
    long long room = deps->settings->stream[NM_RECORDS].max_message_bytes - NM_ENVELOPE_BYTES - PB_ID;
    publish->settings = deps->settings;
    publish->options.max_related = deps->settings->max_related;
    publish->dropped = nm_metric(deps->metrics, &dropped, NULL);
    publish->room = room > 0 ? (size_t)room : 0;
    memcpy(publish->instance, deps->instance, sizeof publish->instance);
    (void)snprintf(publish->keep_ms, sizeof publish->keep_ms, "%lld", deps->settings->keep_days * 86400000LL);
    for (size_t i = 0; i < expect->n && i + 1 < sizeof publish->expect; i++)
        publish->expect[i] = expect->item[i][0]; /* i, r, h as in enum pb_kind */
    return NM_OK;
}

static void publish_fini(void *ctx)
{
    struct publish *publish = ctx;
    nm_buf_clear(&publish->scratch);
    nm_arena_clear(&publish->doc);
}

/* ---- process ---- */

/* A due entry. What is no id was put there by somebody else: it is taken out again and means nothing. */
static bool read_due(const struct nm_item *item, struct pb_event *event)
{
    if (!nm_is_article_id(item->key, item->key_len))
        return false;
    *event = (struct pb_event){.kind = PB_DUE, .revision = item->score, .data = {.s = "", .len = 0}};
    memcpy(event->id, item->key, PB_ID);
    return true;
}

static enum nm_status ask(struct publish *publish, struct nm_batch *batch, struct nm_item *item, struct nm_error *err)
{
    struct item_data *data = item->data;
    struct pb_maker maker = pb_maker_of(publish, batch);
    struct nm_error why = {0};
    bool again = data->view.again;
    if (item->set && !again && !read_due(item, &data->event)) {
        item->verdict = NM_DONE;
        return NM_OK;
    }
    enum nm_status status = item->set || again ? NM_OK : pb_read(&maker, item, &data->event, &why);
    if (status == NM_BAD_INPUT) {
        nm_item_dead(batch, item, &why);
        return NM_OK;
    }
    if (status != NM_OK) {
        *err = why;
        return status;
    }
    memcpy(item->id, data->event.id, sizeof item->id);
    data->view = (struct pb_view){.item = item, .id = item->id, .again = again};
    pb_view_ask(publish, batch, &data->view, &data->event);
    return NM_OK;
}

/* Of several items of one id only the last composes: it saw what the others did. It is as fresh as any of them, and
 * marks that counted before the first of them count for it if nobody came between. */
static void supersede(struct pb_view *older, struct pb_view *view)
{
    older->composes = false;
    view->fresh = view->fresh || older->fresh;
    view->retells = view->retells || older->retells;
    view->again = view->again || older->again;
    if (view->sent.len == 0 && view->before == older->revision)
        view->sent = older->sent;
}

static enum nm_status take_replies(struct nm_batch *batch, struct nm_error *err)
{
    struct pb_table views = {0};
    enum nm_status status = pb_table_init(&views, batch->n_items, batch->arena, err);
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++) {
        struct nm_item *item = &batch->item[i];
        struct item_data *data = item->data;
        if (item->verdict != NM_UNSET)
            continue;
        if (data->event.kind == PB_BACK)
            item->verdict = NM_DONE;
        else if (pb_view_take(&data->view, nm_pipe_reply(batch->replies, data->view.command))) {
            struct pb_view **last = (struct pb_view **)pb_table_at(&views, item->id);
            data->view.composes = true;
            if (*last)
                supersede(*last, &data->view);
            *last = &data->view;
        }
    }
    return status;
}

static enum nm_status prepare(struct publish *publish, struct nm_batch *batch, struct nm_error *err)
{
    enum nm_status status = take_replies(batch, err);
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++) {
        struct item_data *data = batch->item[i].data;
        if (data->view.composes)
            status = pb_view_prepare(publish, batch, &data->view, err);
    }
    return status;
}

/* "Compose again", once a batch for each lead; a card changes nothing in the article's own record. */
static enum nm_status touch_leads(struct nm_batch *batch, struct nm_item *item, const struct nm_reply *leads,
                                  struct pb_table *told, struct nm_error *err)
{
    static const char form[] = "{\"id\":\"%s\",\"facet\":\"touch\"}";
    for (size_t i = 0; i < leads->len; i++) {
        const struct nm_reply *lead = nm_reply_at(leads, i);
        if (!nm_is_article_id(lead->str, lead->len) || memcmp(lead->str, item->id, PB_ID) == 0)
            continue;
        char *id = nm_arena_copy(batch->arena, lead->str, PB_ID);
        char *text = nm_arena_alloc(batch->arena, sizeof form + PB_ID);
        if (!id || !text)
            return nm_fail(err, NM_FATAL, "out of memory for the leads of %s", item->id);
        void **value = pb_table_at(told, id);
        if (*value)
            continue;
        *value = id;
        int len = snprintf(text, sizeof form + PB_ID, form, id);
        nm_emit(batch, item, NM_FACETS, id, text, (size_t)len, 0);
    }
    return NM_OK;
}

static size_t count_leads(const struct nm_batch *batch)
{
    size_t n = 0;
    for (size_t i = 0; i < batch->n_items; i++) {
        struct item_data *data = batch->item[i].data;
        if (data->view.composes)
            n += pb_view_leads(batch, &data->view)->len;
    }
    return n;
}

static enum nm_status finish(struct publish *publish, struct nm_batch *batch, struct nm_error *err)
{
    struct pb_table told = {0};
    enum nm_status status = pb_table_init(&told, count_leads(batch), batch->arena, err);
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++) {
        struct nm_item *item = &batch->item[i];
        struct item_data *data = item->data;
        if (!data->view.composes)
            continue;
        data->view.composes = false;
        status = pb_view_finish(publish, batch, &data->view, err);
        const struct nm_reply *leads = pb_view_leads(batch, &data->view);
#ifdef NM_CHAOS
        if (status == NM_OK && nm_control_is(NM_CONTROL_LEAD_BY_ANYONE)) {
            status = pb_control_begin(publish, batch, item, leads, &data->control, err);
            continue;
        }
#endif
        if (status == NM_OK)
            status = touch_leads(batch, item, leads, &told, err);
    }
    return status;
}

#ifdef NM_CHAOS
/* Steps 3 and 4 of the negative control. */
static enum nm_status control(struct publish *publish, struct nm_batch *batch, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++) {
        struct item_data *data = batch->item[i].data;
        status = pb_control_step(publish, batch, &data->control, err);
    }
    return status;
}
#endif

static enum nm_status publish_process(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    struct publish *publish = ctx;
    enum nm_status status = NM_OK;
    if (batch->step == 0) {
        for (size_t i = 0; status == NM_OK && i < batch->n_items; i++)
            if (batch->item[i].verdict == NM_UNSET)
                status = ask(publish, batch, &batch->item[i], err);
        return status;
    }
    if (batch->step == 1) {
        status = prepare(publish, batch, err);
        if (status != NM_OK || batch->pipe->n_commands > 0)
            return status;
    }
#ifdef NM_CHAOS
    if (batch->step > 2)
        return control(publish, batch, err);
#endif
    return finish(publish, batch, err);
}

/* ---- reported ---- */

static void append_marks(struct publish *publish, struct nm_batch *batch)
{
    for (size_t i = 0; i < batch->n_items; i++) {
        struct pb_view *view = &((struct item_data *)batch->item[i].data)->view;
        if (batch->item[i].verdict == NM_REJECTED) /* the record did not fit: it is not on the stream */
            view->marked = false;
        if (!view->marked)
            continue;
        view->command = nm_pipe_script(batch->pipe, &pb_mark_script, 1, 4);
        char key[128];
        (void)snprintf(key, sizeof key, "%s:record:{%s}", publish->settings->ns, view->id);
        nm_pipe_str(batch->pipe, key);
        nm_pipe_int(batch->pipe, view->revision);
        nm_pipe_str(batch->pipe, view->hash);
        nm_pipe_str(batch->pipe, publish->instance);
        nm_pipe_int(batch->pipe, view->untold);
    }
}

static void read_marks(struct nm_batch *batch)
{
    for (size_t i = 0; i < batch->n_items; i++) {
        struct pb_view *view = &((struct item_data *)batch->item[i].data)->view;
        if (!view->marked)
            continue;
        bool old_news = nm_reply_int(nm_pipe_reply(batch->replies, view->command), 0) == 0;
        view->marked = false;
        view->again = old_news && (view->emitted || view->back); /* what was not sent is no old news */
        batch->item[i].again = view->again;
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

static const struct nm_input inputs[] = {
    {.stream = NM_NORMALIZED, .schema = "article", .version = 1},
    {.stream = NM_FACETS, .schema = "facet", .version = 1},
    {.stream = NM_RECORDS, .schema = "record", .version = 1, .when = NM_AFTER_LOSS}};
static const enum nm_stream outputs[] = {NM_RECORDS, NM_FACETS};
static struct nm_script *const scripts[] = {&pb_apply_script, &pb_card_script, &pb_lists_script, &pb_mark_script,
                                            &pb_back_script};

const struct nm_worker publish_worker = {
    .name = "publish",
    .summary = "composes the record of each article and publishes it whenever it changes",
    .options = publish_options,
    .ctx_size = sizeof(struct publish),
    .item_size = sizeof(struct item_data),
    .inputs = inputs,
    .n_inputs = sizeof inputs / sizeof *inputs,
    .outputs = outputs,
    .n_outputs = sizeof outputs / sizeof *outputs,
    .scripts = scripts,
    .n_scripts = 5,
    .sets = &pb_due,
    .n_sets = 1,
    .init = publish_init,
    .process = publish_process,
    .reported = publish_reported,
    .fini = publish_fini,
};
