/* normalize.c - the worker that turns raw events into articles.
 *
 * connected  the rules are those that their number stands for
 * step 0  decode and clean each event (pure); bad ones become dead letters; one script an article decides its version
 * step 1  a new version is emitted, and one whose delivery was never reported; a reported re-crawl and an older one are
 * not reported  seen:{id} notes the revisions that were delivered */
#include "normalize.h"
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "newsmill/text.h"
#include "newsmill/worker.h"
#include "normalize_state.h"

#include <stdio.h>
#include <string.h>

struct normalize {
    struct nz_options options; /* first: the option table fills it */
    struct nz_rules rules;
    const struct nm_deps *deps;
    struct nm_buf fingerprint; /* of the rules */
    char keep_ms[24];
};

struct item_data {
    struct nz_article article;
    int64_t revision; /* emitted, not yet reported; 0: none */
    char key[104];    /* <namespace>:seen:{<id>} */
};

/* One log line each. */
static void log_warnings(const char *lines)
{
    for (size_t len; *lines; lines += len + (lines[len] == '\n')) {
        len = strcspn(lines, "\n");
        nm_log(NM_WARN, "seal.exposed", "%.*s", (int)len, lines);
    }
}

static enum nm_status normalize_init(void *ctx, const struct nm_deps *deps, struct nm_error *err)
{
    struct normalize *normalize = ctx;
    normalize->deps = deps;
    (void)snprintf(normalize->keep_ms, sizeof normalize->keep_ms, "%lld", deps->settings->keep_days * 86400000LL);
    enum nm_status status = nz_rules_open(&normalize->options, &normalize->rules, err);
    if (status == NM_OK)
        status = nz_fingerprint(&normalize->rules, &normalize->fingerprint, err);
    if (status == NM_OK && normalize->rules.warnings.len > 0)
        log_warnings(nm_buf_str(&normalize->rules.warnings));
    return status;
}

/* Rules that changed under their number would make the versions of an article contradict each other. */
static enum nm_status check_rules(struct normalize *normalize, const struct nm_reply *reply, struct nm_error *err)
{
    const char *ours = nm_buf_str(&normalize->fingerprint);
    if (reply->type == NM_REPLY_STR && strcmp(reply->str, ours) == 0)
        return NM_OK;
    char changed[200];
    nz_fingerprint_difference(ours, reply->type == NM_REPLY_STR ? reply->str : "", changed, sizeof changed);
    return nm_fail(
        err, NM_CONFIG,
        "normalize.rules %lld stands for other rules in namespace %s (changed since: %s): raise normalize.rules",
        normalize->options.rules, normalize->deps->settings->ns, changed);
}

static enum nm_status normalize_connected(void *ctx, struct nm_redis *redis, struct nm_error *err)
{
    struct normalize *normalize = ctx;
    struct nm_pipe pipe = {0};
    struct nm_buf key = {0};
    nm_buf_addf(&key, "%s:rules:%lld", normalize->deps->settings->ns, normalize->options.rules);
    (void)nm_pipe_script(&pipe, &nz_rules_script, 1, 1);
    nm_pipe_str(&pipe, nm_buf_str(&key));
    nm_pipe_str(&pipe, nm_buf_str(&normalize->fingerprint));
    enum nm_status status = nm_redis_exec(redis, &pipe, err);
    if (status == NM_OK)
        status = check_rules(normalize, nm_pipe_reply(&pipe, 0), err);
    nm_pipe_clear(&pipe);
    nm_buf_clear(&key);
    return status;
}

static void normalize_fini(void *ctx)
{
    struct normalize *normalize = ctx;
    nz_rules_close(&normalize->rules);
    nm_buf_clear(&normalize->fingerprint);
}

/* ---- process ---- */

static enum nm_status make_article(struct normalize *normalize, struct nm_batch *batch, struct nm_item *item,
                                   struct nm_error *err)
{
    struct item_data *data = item->data;
    struct nz_raw raw;
    enum nm_status status = nz_raw_decode(&normalize->rules, batch->arena, item->key, item->key_len, item->value,
                                          item->value_len, &raw, err);
    if (status == NM_OK) {
        int64_t now_ms = normalize->deps->clock->now_ms(normalize->deps->clock->self);
        status =
            nz_article_make(&normalize->rules, batch->arena, &raw, item->timestamp_ms, now_ms, &data->article, err);
    }
    return status;
}

static void ask_version(struct normalize *normalize, struct nm_batch *batch, struct nm_item *item)
{
    struct item_data *data = item->data;
    memcpy(item->id, data->article.id, sizeof item->id);
    (void)snprintf(data->key, sizeof data->key, "%s:seen:{%s}", normalize->deps->settings->ns, item->id);
    (void)nm_pipe_script(batch->pipe, &nz_version_script, 1, 6);
    nm_pipe_str(batch->pipe, data->key);
    nm_pipe_int(batch->pipe, data->article.source_time_ms);
    nm_pipe_int(batch->pipe, normalize->options.rules);
    nm_pipe_str(batch->pipe, data->article.hash);
    nm_pipe_int(batch->pipe, item->timestamp_ms);
    nm_pipe_str(batch->pipe, item->resend || item->catching_up ? "1" : "0");
    nm_pipe_str(batch->pipe, normalize->keep_ms);
}

static enum nm_status emit(struct normalize *normalize, struct nm_batch *batch, struct nm_item *item,
                           const struct nm_reply *reply, struct nm_error *err)
{
    struct item_data *data = item->data;
    int64_t source_time_ms = nm_reply_int(nm_reply_at(reply, 2), data->article.source_time_ms);
    int64_t published_ms =
        data->article.dated ? data->article.published_ms : nm_reply_int(nm_reply_at(reply, 3), item->timestamp_ms);
    data->revision = nm_reply_int(nm_reply_at(reply, 1), 0);
    struct nz_str value;
    enum nm_status status = nz_article_write(&normalize->rules, batch->arena, &data->article, data->revision,
                                             source_time_ms, published_ms, &value, err);
    if (status == NM_OK)
        nm_emit(batch, item, NM_NORMALIZED, item->id, value.data, value.len, data->revision);
    return status;
}

static enum nm_status read_version(struct normalize *normalize, struct nm_batch *batch, struct nm_item *item,
                                   const struct nm_reply *reply, struct nm_error *err)
{
    const char *verdict = nm_reply_at(reply, 0)->str;
    item->verdict = NM_STALE;
    if (strcmp(verdict, "stale") == 0)
        return NM_OK;
    item->verdict = NM_DONE;
    bool same = strcmp(verdict, "same") == 0;
    if (same && (nm_reply_int(nm_reply_at(reply, 4), 0) == 1 || NM_CONTROL(NM_CONTROL_SETNX_SKIP)))
        return NM_OK; /* a re-crawl of what was delivered */
    return emit(normalize, batch, item, reply, err);
}

static enum nm_status normalize_process(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    struct normalize *normalize = ctx;
    size_t at = 0;
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < batch->n_items; i++) {
        struct nm_item *item = &batch->item[i];
        if (item->verdict != NM_UNSET)
            continue;
        if (batch->step > 0) {
            status = read_version(normalize, batch, item, nm_pipe_reply(batch->replies, at++), err);
            continue;
        }
        struct nm_error why = {0};
        status = make_article(normalize, batch, item, &why);
        if (status == NM_OK) {
            ask_version(normalize, batch, item);
        } else if (status == NM_BAD_INPUT) {
            nm_item_dead(batch, item, &why);
            status = NM_OK;
        } else {
            *err = why;
        }
    }
    return status;
}

/* ---- reported ---- */

static enum nm_status normalize_reported(void *ctx, struct nm_batch *batch, struct nm_error *err)
{
    (void)ctx;
    (void)err;
    for (size_t i = 0; batch->step == 0 && i < batch->n_items; i++) {
        struct item_data *data = batch->item[i].data;
        if (!data->revision || batch->item[i].verdict == NM_REJECTED)
            continue;
        (void)nm_pipe_script(batch->pipe, &nz_reported_script, 1, 1);
        nm_pipe_str(batch->pipe, data->key);
        nm_pipe_int(batch->pipe, data->revision);
        data->revision = 0;
    }
    return NM_OK;
}

static const struct nm_input inputs[] = {{.stream = NM_RAW}};
static const enum nm_stream outputs[] = {NM_NORMALIZED};
static struct nm_script *const scripts[] = {&nz_version_script, &nz_reported_script, &nz_rules_script};

const struct nm_worker normalize_worker = {
    .name = "normalize",
    .summary = "cleans raw events into articles",
    .options = normalize_options,
    .ctx_size = sizeof(struct normalize),
    .item_size = sizeof(struct item_data),
    .inputs = inputs,
    .n_inputs = 1,
    .outputs = outputs,
    .n_outputs = 1,
    .scripts = scripts,
    .n_scripts = 3,
    .init = normalize_init,
    .connected = normalize_connected,
    .process = normalize_process,
    .reported = normalize_reported,
    .fini = normalize_fini,
};
