/* related.c - the worker that links articles and groups them into stories: articles in, a facet for each article whose
 * story, lead or list changed out.
 *
 * step 0    each article's postings are written, then its terms are asked for: who posts before he asks is found
 * step 1    weights, candidates; one script an article joins, starts or merges stories, and gives the views of all
 *           that changed
 * step 2    of each id the newest view becomes a facet
 * After Redis lost writes the facets of the last minute are read back first: whom they tell of is told anew, as it is
 * now.
 * reported  what was to be sent of others is done; a walk over a story goes on
 *
 * A batch begins only when the one before it asked step 1: what it finds is placed by then. */
#include "related.h"

#include <stdlib.h>
#include <string.h>

enum kind { ARTICLE, RETRACTED, MEMBER, WALK, AGAIN };

struct told { /* another article that a facet was sent of */
    unsigned char id[RL_ID];
    int64_t revision;
};
struct item_data {
    enum kind kind;
    struct rl_article article;
    size_t command; /* index of the reply that the next step reads first */
    struct told *told;
    size_t n_told;
    const char *cursor; /* WALK: where it goes on; "": over */
};

struct related { /* the worker's context; the options come first */
    struct rl_options options;
    struct rl_state state;
    struct nm_terms *text;
    struct nm_buf scratch;
    struct nm_arena doc;
    struct nm_series *placed[7], *merges, *members;
};

static const char *const outcomes[7] = {"new", "join", "update", "moved", "same", "stale", "gone"};

static void open_metrics(struct related *related, struct nm_metrics *metrics)
{
    static const double sizes[] = {1, 2, 5, 10, 20, 50, 100, 500, 1000, 5000, 10000, 50000};
    static const struct nm_metric_spec placed = {
        .kind = NM_COUNTER,
        .name = "related_placed_total",
        .help =
            "Articles by what was done with them: new story, joined one, placed again after an update, moved within "
            "their story, nothing (same), older than what is there (stale), retracted (gone).",
        .label = {"how"},
    };
    static const struct nm_metric_spec merges = {
        .kind = NM_COUNTER,
        .name = "related_merges_total",
        .help = "Stories that became part of another one, because an article lay between the two.",
    };
    static const struct nm_metric_spec members = {
        .kind = NM_HISTOGRAM,
        .name = "related_story_members",
        .help = "Members of its story when an article had been placed, itself among them.",
        .bucket = sizes,
        .n_buckets = sizeof sizes / sizeof *sizes,
    };
    for (size_t i = 0; i < 7; i++)
        related->placed[i] = nm_metric(metrics, &placed, &outcomes[i]);
    related->merges = nm_metric(metrics, &merges, NULL);
    related->members = nm_metric(metrics, &members, NULL);
}

static enum nm_status related_init(void *ctx, const struct nm_deps *deps, struct nm_error *err)
{
    struct related *related = ctx;
    open_metrics(related, deps->metrics);
    enum nm_status status = rl_state_open(&related->state, &related->options, deps->settings, err);
    if (status == NM_OK)
        status = nm_terms_new((size_t)related->options.title_terms, (size_t)related->options.excerpt_terms,
                              &related->text, err);
    return status;
}

static enum nm_status related_connected(void *ctx, struct nm_redis *redis, struct nm_error *err)
{
    struct related *related = ctx;
    return rl_state_check(&related->state, &related->options, redis, err);
}

static void related_fini(void *ctx)
{
    struct related *related = ctx;
    rl_state_close();
    nm_terms_free(related->text);
    nm_buf_clear(&related->scratch);
    nm_arena_clear(&related->doc);
}

/* ---- step 0 ---- */

/* What lies in the out set: an id, or "+" or "r" and the id of a story. */
static void ask_entry(struct related *related, struct nm_batch *batch, struct nm_item *item)
{
    struct item_data *data = item->data;
    bool walk = item->key_len == RL_ID + 1 && (item->key[0] == '+' || item->key[0] == 'r');
    if (!walk && item->key_len != RL_ID) {
        item->verdict = NM_DONE; /* not ours: it is taken out */
        return;
    }
    data->kind = walk ? WALK : MEMBER;
    data->command =
        rl_call(&related->state, batch->pipe, walk ? &rl_walk_script : &rl_view_script, item->partition, walk ? 2 : 1);
    nm_pipe_arg(batch->pipe, item->key, item->key_len);
    if (walk)
        nm_pipe_int(batch->pipe, RL_WALK);
}

static enum nm_status ask_again(struct related *related, struct nm_batch *batch, struct nm_item *item,
                                struct nm_error *err)
{
    struct item_data *data = item->data;
    unsigned char id[RL_ID];
    bool ours = false;
    enum nm_status status = rl_read_facet(item, &related->doc, &ours, id, err);
    if (status != NM_OK)
        return status;
    data->kind = AGAIN;
    item->verdict = ours ? NM_UNSET : NM_DONE;
    if (!ours)
        return NM_OK;
    data->command = rl_call(&related->state, batch->pipe, &rl_again_script, item->partition, 1);
    nm_pipe_arg(batch->pipe, id, RL_ID);
    return NM_OK;
}

static enum nm_status ask(struct related *related, struct nm_batch *batch, struct nm_item *item, struct nm_error *err)
{
    struct item_data *data = item->data;
    struct nm_error why = {0};
    if (item->set) {
        ask_entry(related, batch, item);
        return NM_OK;
    }
    bool again = item->stream == NM_FACETS;
    enum nm_status status = again ? ask_again(related, batch, item, &why)
                                  : rl_read(related->text, item, &related->doc, batch->arena, &data->article, &why);
    if (status == NM_BAD_INPUT) {
        nm_item_dead(batch, item, &why);
        return NM_OK;
    }
    if (status != NM_OK) {
        *err = why;
        return status;
    }
    if (again)
        return NM_OK;
    memcpy(item->id, data->article.hex, sizeof item->id);
    data->kind = data->article.retracted ? RETRACTED : ARTICLE;
    data->command = data->article.retracted ? rl_retract(&related->state, batch->pipe, item->partition, &data->article)
                                            : rl_ask(&related->state, &related->options, batch->pipe, &data->article);
    return NM_OK;
}

/* ---- what is sent ---- */

static enum nm_status emit(struct related *related, struct nm_batch *batch, struct nm_item *item,
                           const struct rl_view *view, struct nm_error *err)
{
    const char *text;
    size_t len;
    enum nm_status status = rl_facet(view, &related->scratch, batch->arena, &text, &len, err);
    char *key = status == NM_OK ? nm_arena_alloc(batch->arena, RL_HEX + 1) : NULL;
    if (status == NM_OK && !key)
        return nm_fail(err, NM_FATAL, "out of memory for a facet's key");
    if (status != NM_OK)
        return status;
    nm_hex_write(view->id, RL_ID, key);
    nm_emit(batch, item, NM_FACETS, key, text, len, view->revision);
    return NM_OK;
}

/* Notes whom the views of a reply tell something, but for the article itself. */
static enum nm_status note_told(struct nm_batch *batch, struct nm_item *item, const struct nm_reply *reply,
                                struct nm_error *err)
{
    struct item_data *data = item->data;
    struct rl_view view;
    data->told = reply->len > 1 ? nm_arena_alloc(batch->arena, reply->len * sizeof *data->told) : NULL;
    if (reply->len > 1 && !data->told)
        return nm_fail(err, NM_FATAL, "out of memory for %zu facets", (size_t)reply->len);
    for (size_t i = 1; i < reply->len; i++)
        if (rl_view_read(nm_reply_at(reply, i), &view) && memcmp(view.id, data->article.id, RL_ID) != 0) {
            struct told *told = &data->told[data->n_told++];
            memcpy(told->id, view.id, RL_ID);
            told->revision = view.revision;
        }
    return NM_OK;
}

static void judge(struct related *related, struct nm_item *item, const struct nm_reply *reply)
{
    const struct nm_reply *how = nm_reply_at(reply, 0);
    item->verdict = NM_DONE;
    for (size_t i = 0; i < 7; i++)
        if (how->type == NM_REPLY_STR && strcmp(how->str, outcomes[i]) == 0) {
            nm_series_add(related->placed[i], 1);
            item->verdict = i == 5 ? NM_STALE : NM_DONE;
        }
}

/* The size of the story that an article is in now; and of how many stories it made one. */
static void measure(struct related *related, const struct nm_reply *reply)
{
    struct rl_view view;
    if (rl_view_read(nm_reply_at(reply, 1), &view) && !view.gone)
        nm_series_observe(related->members, (double)view.size);
    nm_series_add(related->merges, (double)nm_reply_int(nm_reply_at(reply, reply->len - 1), 0));
}

/* All views of a reply, as they are: for what a single item asked. */
static enum nm_status emit_all(struct related *related, struct nm_batch *batch, struct nm_item *item,
                               const struct nm_reply *reply, struct nm_error *err)
{
    struct rl_view view;
    enum nm_status status = NM_OK;
    for (size_t i = 1; status == NM_OK && i < reply->len; i++)
        if (rl_view_read(nm_reply_at(reply, i), &view))
            status = emit(related, batch, item, &view, err);
    return status;
}

/* ---- step 1 ---- */

static enum nm_status find(struct related *related, const struct nm_batch *batch, const struct item_data *data,
                           const double *weight, double norm, struct rl_candidate *found, size_t *n_found,
                           struct nm_error *err)
{
    const struct rl_article *article = &data->article;
    size_t most = (size_t)related->options.query_terms;
    struct rl_question question = {.options = &related->options,
                                   .id = article->id,
                                   .weight = weight,
                                   .n = article->n_terms < most ? article->n_terms : most,
                                   .norm = norm};
    *n_found = 0;
    if (question.n == 0)
        return NM_OK;
    nm_arena_reset(&related->doc); /* which stays in the processor's cache, as the batch's does not */
    return rl_find(&question, nm_pipe_reply(batch->replies, data->command + 2), &related->doc, found, n_found, err);
}

/* Whether an item before this one is of the same article. */
static bool came_before(const struct nm_batch *batch, const struct nm_item *item)
{
    for (const struct nm_item *other = batch->item; other < item; other++)
        if (!other->set && memcmp(other->id, item->id, sizeof item->id) == 0)
            return true;
    return false;
}

static enum nm_status place(struct related *related, struct nm_batch *batch, struct nm_item *item, struct nm_error *err)
{
    struct item_data *data = item->data;
    struct rl_counts counts[RL_TERMS];
    double weight[RL_TERMS];
    struct rl_candidate found[RL_CANDIDATES];
    size_t n = data->article.n_terms, n_found = 0;
    int64_t stories;
    rl_counts_read(nm_pipe_reply(batch->replies, data->command), nm_pipe_reply(batch->replies, data->command + 1), n,
                   counts, &stories);
    double norm = rl_weigh(&related->options, data->article.term, counts, n, stories, weight);
    enum nm_status status = find(related, batch, data, weight, norm, found, &n_found, err);
    struct rl_placement placement = {&data->article, weight, norm, found, n_found};
    /* The version before it takes out postings that it does not have, also those that this one wrote at step 0. */
    if (status == NM_OK && came_before(batch, item))
        rl_post(&related->state, &related->options, batch->pipe, &data->article);
    if (status == NM_OK)
        data->command = rl_place(&related->state, batch->pipe, item->partition, &placement, &related->scratch);
    return status;
}

static enum nm_status answer(struct related *related, struct nm_batch *batch, struct nm_item *item,
                             struct nm_error *err)
{
    struct item_data *data = item->data;
    if (data->kind == ARTICLE)
        return place(related, batch, item, err);
    const struct nm_reply *reply = nm_pipe_reply(batch->replies, data->command);
    enum nm_status status = NM_OK;
    judge(related, item, reply);
    if (data->kind == RETRACTED)
        status = note_told(batch, item, reply, err);
    if (data->kind == WALK) {
        const struct nm_reply *cursor = nm_reply_at(reply, 0);
        data->cursor = nm_arena_copy(batch->arena, cursor->str, cursor->len);
        if (!data->cursor)
            return nm_fail(err, NM_FATAL, "out of memory for a walk");
    }
    return status == NM_OK ? emit_all(related, batch, item, reply, err) : status;
}

/* ---- step 2 ---- */

struct change { /* a view of this batch */
    struct rl_view view;
    struct nm_item *item;
    size_t order;
    bool newest;
};

static int by_id(const void *a, const void *b)
{
    const struct change *x = *(const struct change *const *)a, *y = *(const struct change *const *)b;
    int order = memcmp(x->view.id, y->view.id, RL_ID);
    return order ? order : x->order < y->order ? -1 : 1;
}

/* A lead that several articles of the batch touched is told of once, as it is after the last of them. */
static enum nm_status mark_newest(struct change *change, size_t n, struct nm_arena *arena, struct nm_error *err)
{
    struct change **sorted = nm_arena_alloc(arena, (n + 1) * sizeof(struct change *));
    if (!sorted)
        return nm_fail(err, NM_FATAL, "out of memory for %zu views", n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &change[i];
    qsort(sorted, n, sizeof(struct change *), by_id);
    for (size_t i = 0; i < n; i++)
        sorted[i]->newest = i + 1 == n || memcmp(sorted[i]->view.id, sorted[i + 1]->view.id, RL_ID) != 0;
    return NM_OK;
}

static enum nm_status take_views(struct related *related, struct nm_batch *batch, struct change *change, size_t *n,
                                 struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++) {
        struct nm_item *item = &batch->item[i];
        if (item->verdict != NM_UNSET)
            continue;
        const struct nm_reply *reply = nm_pipe_reply(batch->replies, ((struct item_data *)item->data)->command);
        judge(related, item, reply);
        measure(related, reply);
        status = note_told(batch, item, reply, err);
        for (size_t k = 1; k < reply->len; k++)
            if (rl_view_read(nm_reply_at(reply, k), &change[*n].view)) {
                change[*n].item = item;
                change[*n].order = *n;
                ++*n;
            }
    }
    return status;
}

static enum nm_status finish(struct related *related, struct nm_batch *batch, struct nm_error *err)
{
    size_t most = 1, n = 0;
    for (size_t i = 0; i < batch->n_items; i++)
        if (batch->item[i].verdict == NM_UNSET)
            most += nm_pipe_reply(batch->replies, ((struct item_data *)batch->item[i].data)->command)->len;
    struct change *change = nm_arena_alloc(batch->arena, most * sizeof *change);
    if (!change)
        return nm_fail(err, NM_FATAL, "out of memory for %zu views", most);
    enum nm_status status = take_views(related, batch, change, &n, err);
    if (status == NM_OK)
        status = mark_newest(change, n, batch->arena, err);
    for (size_t i = 0; status == NM_OK && i < n; i++)
        if (change[i].newest)
            status = emit(related, batch, change[i].item, &change[i].view, err);
    return status;
}

static enum nm_status related_process(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && batch->step < 2 && i < batch->n_items; i++)
        if (batch->item[i].verdict == NM_UNSET)
            status =
                batch->step == 0 ? ask(ctx, batch, &batch->item[i], err) : answer(ctx, batch, &batch->item[i], err);
    return status == NM_OK && batch->step == 2 ? finish(ctx, batch, err) : status;
}

/* ---- reported ---- */

static size_t count_told(struct nm_batch *batch, size_t first)
{
    size_t n = 0;
    for (size_t i = first; i < batch->n_items; i++)
        if (batch->item[i].partition == batch->item[first].partition)
            n += ((struct item_data *)batch->item[i].data)->n_told;
    return n;
}

/* One call for each partition that the batch is of. */
static void clear_told(struct related *related, struct nm_batch *batch, size_t first)
{
    size_t n = count_told(batch, first);
    if (n == 0)
        return;
    (void)rl_call(&related->state, batch->pipe, &rl_sent_script, batch->item[first].partition, 2 * n);
    for (size_t i = first; i < batch->n_items; i++) {
        struct item_data *data = batch->item[i].data;
        if (batch->item[i].partition != batch->item[first].partition)
            continue;
        for (size_t k = 0; k < data->n_told; k++) {
            nm_pipe_arg(batch->pipe, data->told[k].id, RL_ID);
            nm_pipe_int(batch->pipe, data->told[k].revision);
        }
        data->n_told = 0;
    }
}

static enum nm_status related_reported(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    struct related *related = ctx;
    (void)err;
    for (size_t i = 0; batch->step == 0 && i < batch->n_items; i++) {
        struct nm_item *item = &batch->item[i];
        struct item_data *data = item->data;
        if (data->n_told)
            clear_told(related, batch, i);
        if (data->kind != WALK || !data->cursor)
            continue;
        (void)rl_call(&related->state, batch->pipe, &rl_walked_script, item->partition, 3);
        nm_pipe_arg(batch->pipe, item->key, item->key_len);
        nm_pipe_int(batch->pipe, item->score);
        nm_pipe_str(batch->pipe, data->cursor);
    }
    return NM_OK;
}

static const struct nm_input inputs[] = {
    {.stream = NM_NORMALIZED, .schema = "article", .version = 1},
    {.stream = NM_FACETS, .schema = "facet", .version = 1, .when = NM_AFTER_ROLLBACK}};
static const enum nm_stream outputs[] = {NM_FACETS};
static struct nm_script *const scripts[] = {&rl_place_script, &rl_retract_script, &rl_view_script, &rl_sent_script,
                                            &rl_walk_script,  &rl_walked_script,  &rl_again_script};

const struct nm_worker related_worker = {
    .name = "related",
    .summary = "links articles about the same event and groups them into stories",
    .options = related_options,
    .ctx_size = sizeof(struct related),
    .item_size = sizeof(struct item_data),
    .inputs = inputs,
    .n_inputs = sizeof inputs / sizeof *inputs,
    .outputs = outputs,
    .n_outputs = 1,
    .scripts = scripts,
    .n_scripts = 7,
    .sets = &rl_out,
    .n_sets = 1,
    .follows_step = 1,
    .init = related_init,
    .connected = related_connected,
    .process = related_process,
    .reported = related_reported,
    .fini = related_fini,
};
