/* images.c - the worker that keeps the pictures of articles: articles in, an images facet out at once and again when
 * one of its pictures changes.
 *
 * step 0    one script an article or due entry applies it and replies what the facet says now
 * step 1    that becomes a facet, unless the last one said the same and was reported, or may still be; URLs that need
 *           work become tasks
 * reported  the mark; a due entry that was claimed goes, or on to when something is to be done
 * beside    the tasks (work.h), which wake their articles through the due sets */
#include "images_article.h"
#include "images_facet.h"
#include "work.h"

#include "newsmill/log.h"
#include "newsmill/url.h"

#include <locale.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

enum { CONTENT_BYTES = 41 }; /* SHA-1 in hex digits, with the NUL */

struct item_data {
    enum { NOTHING, ARTICLE, RETRACTION, DUE } type;
    bool answered, works; /* works: some of its URLs became tasks, or will */
    size_t command;
    int64_t revision, score; /* of the facet; of the claimed entry, -1: none */
    int64_t back_ms;         /* when the claimed entry fires again; 0: as the marks say */
    char content[CONTENT_BYTES];
};

struct images { /* the worker's context; the options come first */
    struct im_options options;
    struct im_settings settings;
    struct im_state state;
    struct im_store *store;
    struct im_work *work;
    struct nm_arena doc;
    struct nm_buf text;
    struct nm_series *facets, *hits;
};

/* ---- open, close ---- */

static void open_metrics(struct images *images, struct nm_metrics *metrics)
{
    static const struct nm_metric_spec hits = {
        .kind = NM_COUNTER,
        .name = "images_cache_hits_total",
        .help = "Pictures of new versions of articles that were cached already.",
    };
    static const struct nm_metric_spec allowed = {
        .kind = NM_GAUGE,
        .name = "images_test_allow_entries",
        .help = "Entries of images.testAllow, which lets tests reach our own network; must be 0 in production.",
    };
    images->hits = nm_metric(metrics, &hits, NULL);
    nm_series_set(nm_metric(metrics, &allowed, NULL), (double)images->settings.policy.n_allow);
}

/* No article may reach our own pages, whatever address they have. */
static enum nm_status deny_own(struct im_policy *policy, const char *listening, struct nm_error *err)
{
    struct im_endpoint own;
    if (!listening || !*listening)
        return NM_OK;
    enum nm_status status = im_endpoint_parse(listening, &own, err);
    if (status != NM_OK)
        return nm_fail(err, NM_FATAL, "the address of the admin pages, %s, is none", listening);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(own.port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(own.port)};
    memcpy(&in.sin_addr, own.address.bytes, sizeof in.sin_addr);
    memcpy(&in6.sin6_addr, own.address.bytes, sizeof in6.sin6_addr);
    if (own.address.family == AF_INET)
        return im_policy_add_own(policy, (const struct sockaddr *)&in, sizeof in, err);
    return im_policy_add_own(policy, (const struct sockaddr *)&in6, sizeof in6, err);
}

static enum nm_status images_init(void *ctx, const struct nm_deps *deps, struct nm_error *err)
{
    struct images *images = ctx;
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    enum nm_status status = im_settings_read(&images->options, &images->settings, err);
    if (status == NM_OK)
        status = deny_own(&images->settings.policy, deps->listening, err);
    if (status == NM_OK)
        status = im_settings_files(&images->settings, err);
    if (status == NM_OK)
        status = im_state_open(&images->state, &images->settings.state, deps->settings, err);
    if (status == NM_OK)
        status = im_settings_store(&images->options, &images->store, err);
    if (status == NM_RETRY) /* a store that is away or full at the start: the operator sees it */
        status = NM_FATAL;
    if (status != NM_OK)
        return status;
    open_metrics(images, deps->metrics);
    if (images->settings.policy.n_allow)
        nm_log(NM_WARN, "images.test",
               "images.testAllow lets articles reach %zu addresses of our own; never in production",
               images->settings.policy.n_allow);
    struct im_work_config config = {.settings = &images->settings,
                                    .state = &images->state,
                                    .store = images->store,
                                    .clock = deps->clock,
                                    .metrics = deps->metrics};
    return im_work_open(&config, &images->work, err);
}

static void images_fini(void *ctx)
{
    struct images *images = ctx;
    im_work_close(images->work);
    im_store_close(images->store);
    im_state_close();
    im_settings_clear(&images->settings);
    nm_arena_clear(&images->doc);
    nm_buf_clear(&images->text);
}

/* ---- step 0 ---- */

static void ask_due(struct images *images, struct nm_batch *batch, struct nm_item *item)
{
    struct item_data *data = item->data;
    if (!nm_is_article_id(item->key, item->key_len)) { /* put there by somebody else: it is taken out */
        item->verdict = NM_DONE;
        return;
    }
    data->type = DUE;
    memcpy(item->id, item->key, IM_ID);
    data->command = im_claim(&images->state, batch->pipe, item->id, item->score);
}

static enum nm_status ask(struct images *images, struct nm_batch *batch, struct nm_item *item, struct nm_error *err)
{
    struct item_data *data = item->data;
    struct im_article_event article;
    struct nm_error why = {0};
    if (item->set) {
        ask_due(images, batch, item);
        return NM_OK;
    }
    enum nm_status status = im_article_read(item, images->settings.fetch.url_bytes, &images->doc, &article, &why);
    if (status == NM_BAD_INPUT) {
        nm_item_dead(batch, item, &why);
        return NM_OK;
    }
    if (status != NM_OK) {
        *err = why;
        return status;
    }
    memcpy(item->id, article.id, sizeof item->id);
    data->type = article.retracted ? RETRACTION : ARTICLE;
    data->command = article.retracted ? im_retract(&images->state, batch->pipe, article.id, article.revision)
                                      : im_article(&images->state, batch->pipe, article.id, article.revision,
                                                   article.listed, article.n);
    return NM_OK;
}

/* ---- step 1 ---- */

/* Its URLs that nobody fetches become tasks. */
static enum nm_status work_on(struct images *images, struct nm_item *item, const struct im_view *view,
                              struct nm_error *err)
{
    struct item_data *data = item->data;
    enum nm_status status = NM_OK;
    int64_t back_ms = 0;
    for (size_t i = 0; status == NM_OK && i < view->n_images; i++) {
        const struct im_picture *picture = &view->image[i];
        struct im_listed_text listed;
        struct im_url url;
        enum im_taken taken;
        int64_t later_ms = 0;
        if (!picture->needs_work || picture->lease_left_ms > 0 ||
            !im_listed_read(picture->text, picture->text_len, &listed) || !im_listed_url(&listed, picture->hash, &url))
            continue;
        struct im_wanted wanted = {.id = item->id,
                                   .claimed = view->score,
                                   .url = &url,
                                   .etag = picture->state == IM_CACHED ? picture->etag : "",
                                   .last_modified = picture->state == IM_CACHED ? picture->last_modified : ""};
        status = im_work_add(images->work, &wanted, &taken, &later_ms, err);
        data->works = data->works || taken != IM_WAIT;
        if (taken == IM_WAIT && (back_ms == 0 || later_ms < back_ms))
            back_ms = later_ms;
    }
    data->back_ms = data->works ? 0 : back_ms;
    return status;
}

/* What a new version of an article shows at once. */
static void count(struct images *images, const struct im_picture *picture)
{
    struct im_listed_text listed;
    if (picture->state == IM_CACHED)
        nm_series_add(images->hits, 1);
    else if (strcmp(picture->hash, "-") == 0 && im_listed_read(picture->text, picture->text_len, &listed))
        im_work_refused(images->work, listed.reason);
}

static void look_at(struct images *images, const struct im_view *view)
{
    for (size_t i = 0; i < view->n_images; i++) {
        const struct im_picture *picture = &view->image[i];
        if (view->how == IM_HOW_article)
            count(images, picture);
        if (picture->state == IM_CACHED && !images->settings.is_s3) /* there each look is a request */
            im_work_look(images->work, picture->hash, picture->sha256, picture->type);
    }
}

static enum nm_status emit(struct images *images, struct nm_batch *batch, struct nm_item *item,
                           const struct im_view *view, struct nm_error *err)
{
    enum nm_status status = im_facet_write(&images->text, item->id, view, images->settings.public_base, err);
    if (status != NM_OK)
        return status;
    char *value = nm_arena_copy(batch->arena, images->text.data, images->text.len);
    if (!value)
        return nm_fail(err, NM_FATAL, "out of memory for the facet of %s", item->id);
    nm_emit(batch, item, NM_FACETS, item->id, value, images->text.len, view->revision);
    return NM_OK;
}

static enum nm_status answer(struct images *images, struct nm_batch *batch, struct nm_item *item, struct nm_error *err)
{
    struct item_data *data = item->data;
    struct im_view view;
    if (!im_view_read(nm_pipe_reply(batch->replies, data->command), &view))
        return nm_fail(err, NM_FATAL, "a script of images replied something else than it should");
    item->verdict = view.how == IM_HOW_stale ? NM_STALE : NM_DONE;
    if (view.revision == 0 || view.how == IM_HOW_moved || view.how == IM_HOW_gone)
        return NM_OK;
    data->answered = true;
    data->revision = view.revision;
    data->score = view.how == IM_HOW_claimed ? view.score : -1;
    /* An event that comes again is answered again. A due entry that fires while the facet of its event is under way
     * sends nothing, and notes nothing as sent. */
    bool sends = !item->set || item->resend || (!view.reported && !view.on_its_way);
    if (sends || view.reported)
        (void)strncpy(data->content, view.content, sizeof data->content - 1);
    enum nm_status status = NM_OK;
    if (view.how == IM_HOW_claimed && view.n_work)
        status = work_on(images, item, &view, err);
    look_at(images, &view);
    if (status == NM_OK && sends)
        status = emit(images, batch, item, &view, err);
    return status;
}

static enum nm_status images_process(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && batch->step == 0 && i < batch->n_items; i++)
        if (batch->item[i].verdict == NM_UNSET)
            status = ask(ctx, batch, &batch->item[i], err);
    if (status != NM_OK || batch->pipe->n_commands > 0)
        return status;
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++)
        if (batch->item[i].verdict == NM_UNSET)
            status = answer(ctx, batch, &batch->item[i], err);
    return status;
}

/* ---- reported ---- */

static enum nm_status images_reported(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    struct images *images = ctx;
    (void)err;
    for (size_t i = 0; batch->step == 0 && i < batch->n_items; i++) {
        const struct nm_item *item = &batch->item[i];
        const struct item_data *data = item->data;
        if (!data->answered || item->verdict != NM_DONE)
            continue;
        /* A claim that tasks work on stays until they wake the article, or fires again. */
        bool keeps = data->works || data->back_ms > 0;
        (void)im_facet_sent(&images->state, batch->pipe, item->id, data->revision, data->content,
                            keeps ? -1 : data->score, im_jitter());
        if (data->back_ms > 0)
            (void)im_back(&images->state, batch->pipe, item->id, data->score, data->back_ms);
    }
    return NM_OK;
}

/* ---- beside ---- */

static enum nm_status turn(void *ctx, struct nm_turn *turn, struct nm_error *err)
{
    return im_work_turn(((struct images *)ctx)->work, turn, err);
}
static size_t fds(void *ctx, struct pollfd *out, size_t max)
{
    return im_work_fds(((struct images *)ctx)->work, out, max);
}
static int64_t due_ms(const void *ctx)
{
    return im_work_due_ms(((const struct images *)ctx)->work);
}
static size_t room(const void *ctx)
{
    return im_work_room(((const struct images *)ctx)->work);
}
static void dropped(void *ctx)
{
    im_work_dropped(((struct images *)ctx)->work);
}

static const struct nm_beside beside = {.turn = turn, .fds = fds, .due_ms = due_ms, .room = room, .dropped = dropped};
static const struct nm_input inputs[] = {{.stream = NM_NORMALIZED, .schema = "article", .version = 1}};
static const enum nm_stream outputs[] = {NM_FACETS};

const struct nm_worker images_worker = {
    .name = "images",
    .summary = "fetches each picture of an article once, checks and cleans it, and serves it from a store of our own",
    .options = images_options,
    .ctx_size = sizeof(struct images),
    .item_size = sizeof(struct item_data),
    .inputs = inputs,
    .n_inputs = sizeof inputs / sizeof *inputs,
    .outputs = outputs,
    .n_outputs = sizeof outputs / sizeof *outputs,
    .scripts = im_scripts,
    .n_scripts = IM_N_SCRIPTS,
    .sets = &im_due,
    .n_sets = 1,
    .init = images_init,
    .process = images_process,
    .reported = images_reported,
    .beside = &beside,
    .fini = images_fini,
};
