/* heat.c - the worker that says how much attention an article deserves now: articles, related facets and the site's
 * signals in, a heat facet out whenever it changes, also by time alone.
 *
 * step 0    one script an event applies it and replies what the facet says now
 * step 1    of each id the last reply becomes a facet, unless the last reported one said the same
 * reported  the marks, only where the revision is still the newest; timers go on to the next one */
#include "heat.h"

#include "newsmill/url.h"

#include <string.h>

enum { N_SIGNAL_OUTCOMES = 6 };
static const char *const outcomes[N_SIGNAL_OUTCOMES] = {"counted", "waits", "late", "twice", "again", "gone"};

struct item_data {
    struct hp_event event;
    struct hp_view view;
    size_t command;
    bool newest, marked;
};

struct heat { /* the worker's context; the options come first */
    struct hp_options options;
    struct hp_state state;
    const struct nm_clock *clock;
    struct nm_arena doc;
    struct nm_series *signals[N_SIGNAL_OUTCOMES], *dropped, *forgotten, *crowded;
};

static void open_metrics(struct heat *heat, struct nm_metrics *metrics)
{
    static const struct nm_metric_spec signals = {
        .kind = NM_COUNTER,
        .name = "heat_signals_total",
        .help =
            "Signals by what was done with them: counted, waits for its article, late (outside of its window), twice "
            "(a signalId that was counted), again (redelivered), gone (of a retracted article).",
        .label = {"how"},
    };
    static const struct nm_metric_spec dropped = {
        .kind = NM_COUNTER,
        .name = "heat_dropped_buckets_total",
        .help = "Oldest steps of an article's counters that were dropped, because it had too many steps or sources.",
    };
    static const struct nm_metric_spec forgotten = {
        .kind = NM_COUNTER,
        .name = "heat_forgotten_ids_total",
        .help = "Signals that were counted without keeping their signalId, because the article has too many.",
    };
    static const struct nm_metric_spec crowded = {
        .kind = NM_COUNTER,
        .name = "heat_dropped_waiting_total",
        .help = "Ids without an article whose signals were dropped, because too many of them wait (heat.maxWaiting).",
    };
    for (size_t i = 0; i < N_SIGNAL_OUTCOMES; i++)
        heat->signals[i] = nm_metric(metrics, &signals, &outcomes[i]);
    heat->dropped = nm_metric(metrics, &dropped, NULL);
    heat->forgotten = nm_metric(metrics, &forgotten, NULL);
    heat->crowded = nm_metric(metrics, &crowded, NULL);
}

static enum nm_status heat_init(void *ctx, const struct nm_deps *deps, struct nm_error *err)
{
    struct heat *heat = ctx;
    heat->clock = deps->clock;
    open_metrics(heat, deps->metrics);
    return hp_state_open(&heat->state, &heat->options, deps->settings, err);
}

static void heat_fini(void *ctx)
{
    struct heat *heat = ctx;
    hp_state_close();
    nm_arena_clear(&heat->doc);
}

/* ---- step 0 ---- */

static enum nm_status read_item(struct heat *heat, const struct nm_item *item, struct hp_event *event,
                                struct nm_error *err)
{
    if (item->stream == NM_SIGNALS)
        return hp_read_signal(item, heat->clock->now_ms(heat->clock->self), &heat->doc, event, err);
    if (!item->set)
        return hp_read(item, &heat->doc, event, err);
    /* What is no id was put there by somebody else: it is taken out and means nothing. */
    bool ours = nm_is_article_id(item->key, item->key_len);
    *event = (struct hp_event){.type = ours ? HP_DUE : HP_NOTHING};
    if (ours)
        memcpy(event->id, item->key, HP_ID);
    return NM_OK;
}

static enum nm_status ask(struct heat *heat, struct nm_batch *batch, struct nm_item *item, struct nm_error *err)
{
    struct item_data *data = item->data;
    struct nm_error why = {0};
    enum nm_status status = read_item(heat, item, &data->event, &why);
    if (status == NM_BAD_INPUT) {
        nm_item_dead(batch, item, &why);
        return NM_OK;
    }
    if (status != NM_OK) {
        *err = why;
        return status;
    }
    if (data->event.type == HP_NOTHING) {
        item->verdict = NM_DONE;
        return NM_OK;
    }
    memcpy(item->id, data->event.id, sizeof item->id);
    data->command = hp_apply(&heat->state, batch->pipe, item, &data->event);
    return NM_OK;
}

/* ---- step 1 ---- */

static void count(struct heat *heat, const struct item_data *data)
{
    for (size_t i = 0; data->event.type == HP_SIGNAL_EVENT && i < N_SIGNAL_OUTCOMES; i++)
        if (strcmp(data->view.how, outcomes[i]) == 0)
            nm_series_add(heat->signals[i], 1);
    if (data->view.dropped)
        nm_series_add(heat->dropped, (double)data->view.dropped);
    if (data->view.forgotten)
        nm_series_add(heat->forgotten, (double)data->view.forgotten);
    if (data->view.crowded)
        nm_series_add(heat->crowded, (double)data->view.crowded);
}

static bool take_reply(struct heat *heat, const struct nm_batch *batch, struct nm_item *item)
{
    struct item_data *data = item->data;
    if (!hp_view_read(nm_pipe_reply(batch->replies, data->command), &data->view))
        return false;
    count(heat, data);
    item->verdict = strcmp(data->view.how, "stale") == 0 ? NM_STALE : NM_DONE;
    return true;
}

/* An id that several items of the batch are about is told of once, as it is after the last of them. */
static enum nm_status mark_newest(struct nm_batch *batch, struct nm_error *err)
{
    size_t size = 16;
    while (size < 2 * batch->n_items)
        size *= 2;
    struct nm_item **slot = nm_arena_alloc(batch->arena, size * sizeof(struct nm_item *));
    if (!slot)
        return nm_fail(err, NM_FATAL, "out of memory for %zu ids", batch->n_items);
    memset(slot, 0, size * sizeof(struct nm_item *));
    for (size_t i = batch->n_items; i-- > 0;) {
        struct nm_item *item = &batch->item[i];
        struct item_data *data = item->data;
        if (data->view.emit == HP_SILENT)
            continue;
        uint64_t hash;
        memcpy(&hash, item->id + 8, sizeof hash);
        size_t at = (size_t)(hash * 0x9E3779B97F4A7C15u >> 20) & (size - 1);
        while (slot[at] && memcmp(slot[at]->id, item->id, HP_ID) != 0)
            at = (at + 1) & (size - 1);
        data->newest = !slot[at];
        slot[at] = slot[at] ? slot[at] : item;
    }
    return NM_OK;
}

static enum nm_status emit(struct nm_batch *batch, struct nm_item *item, struct nm_error *err)
{
    struct item_data *data = item->data;
    char text[HP_FACET_BYTES];
    size_t len = hp_facet(item->id, &data->view, text);
    char *value = nm_arena_copy(batch->arena, text, len);
    if (!value)
        return nm_fail(err, NM_FATAL, "out of memory for the facet of %s", item->id);
    nm_emit(batch, item, NM_FACETS, item->id, value, len, data->view.revision);
    data->marked = true;
    return NM_OK;
}

static enum nm_status answer(struct heat *heat, struct nm_batch *batch, struct nm_error *err)
{
    for (size_t i = 0; i < batch->n_items; i++)
        if (batch->item[i].verdict == NM_UNSET && !take_reply(heat, batch, &batch->item[i]))
            return nm_fail(err, NM_FATAL, "a script of heat replied something else than it should");
    enum nm_status status = mark_newest(batch, err);
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++)
        if (((struct item_data *)batch->item[i].data)->newest)
            status = emit(batch, &batch->item[i], err);
    return status;
}

static enum nm_status heat_process(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && batch->step == 0 && i < batch->n_items; i++)
        if (batch->item[i].verdict == NM_UNSET)
            status = ask(ctx, batch, &batch->item[i], err);
    if (status != NM_OK || batch->pipe->n_commands > 0)
        return status;
    return answer(ctx, batch, err);
}

/* ---- reported ---- */

static enum nm_status heat_reported(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    struct heat *heat = ctx;
    (void)err;
    for (size_t i = 0; batch->step == 0 && i < batch->n_items; i++) {
        struct nm_item *item = &batch->item[i];
        struct item_data *data = item->data;
        if (data->marked && item->verdict == NM_DONE)
            hp_mark(&heat->state, batch->pipe, item->id, &data->view, item->set ? item->score : -1);
        data->marked = false;
    }
    return NM_OK;
}

static const struct nm_input inputs[] = {{.stream = NM_NORMALIZED, .schema = "article", .version = 1},
                                         {.stream = NM_FACETS, .schema = "facet", .version = 1},
                                         {.stream = NM_SIGNALS}};
static const enum nm_stream outputs[] = {NM_FACETS};
static struct nm_script *const scripts[] = {&hp_article_script, &hp_story_script, &hp_signal_script, &hp_due_script,
                                            &hp_mark_script};

const struct nm_worker heat_worker = {
    .name = "heat",
    .summary = "scores how much attention each article deserves now, from quality, story and the site's signals",
    .options = heat_options,
    .ctx_size = sizeof(struct heat),
    .item_size = sizeof(struct item_data),
    .inputs = inputs,
    .n_inputs = sizeof inputs / sizeof *inputs,
    .outputs = outputs,
    .n_outputs = sizeof outputs / sizeof *outputs,
    .scripts = scripts,
    .n_scripts = 5,
    .sets = &hp_due,
    .n_sets = 1,
    .init = heat_init,
    .process = heat_process,
    .reported = heat_reported,
    .fini = heat_fini,
};
