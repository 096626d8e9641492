/* state.c - the scripts with the options written into them, and what each is called with.
 *
 * Instances with other options load other scripts. What the caller hands over goes into Redis as it is, as an argument,
 * never into the text of a script. */
#include "state_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const struct nm_set im_due = {.name = "due:images", .timed = true};

extern const char images_state_lua[];

#define X(word) extern const char images_##word##_lua[];
IM_SCRIPTS(X)
#undef X
static struct nm_script written[IM_N_SCRIPTS] = {
#define X(word) {.name = "images." #word},
    IM_SCRIPTS(X)
#undef X
};
struct nm_script *const im_scripts[IM_N_SCRIPTS] = {
#define X(word) &written[IM_SCRIPT_##word],
    IM_SCRIPTS(X)
#undef X
};
static const char *const sources[IM_N_SCRIPTS] = {
#define X(word) images_##word##_lua,
    IM_SCRIPTS(X)
#undef X
};
_Static_assert((int)IM_SCRIPT_COUNT == (int)IM_N_SCRIPTS, "state.h counts the scripts");

#define MINUTE ((int64_t)60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

void im_state_defaults(struct im_state_options *out)
{
    *out = (struct im_state_options){.policy = "0",
                                     .facet = "0",
                                     .lease_ms = 15000,
                                     .lease_jitter_ms = 500,
                                     .max_users = 1000,
                                     .max_urls = 200,
                                     .tries = 3,
                                     .rounds = 12,
                                     .retry_base_ms = 1000,
                                     .after_min_ms = 1000,
                                     .after_max_ms = HOUR,
                                     .after_default_ms = MINUTE,
                                     .retry_round_ms = MINUTE,
                                     .retry_round_max_ms = HOUR,
                                     .later_round_ms = 15 * MINUTE,
                                     .later_round_max_ms = DAY,
                                     .gone_ms = 7 * DAY,
                                     .policy_ms = DAY,
                                     .fresh_ms = 30 * DAY,
                                     .fresh_min_ms = HOUR,
                                     .fresh_max_ms = 30 * DAY,
                                     .per_host = 4,
                                     .per_address = 8,
                                     .host_rate = 10,
                                     .host_burst = 20,
                                     .slot_ms = 35000,
                                     .slot_retry_ms = 250,
                                     .breaker_failures = 10,
                                     .breaker_open_ms = MINUTE,
                                     .breaker_open_max_ms = 15 * MINUTE,
                                     .host_ms = DAY,
                                     .touch_ms = HOUR,
                                     .idle_ms = 30 * DAY,
                                     .grace_ms = HOUR,
                                     .min_age_ms = HOUR,
                                     .deleting_ms = MINUTE};
}

#define FIELD(name, option, least, most)                                                                               \
    {                                                                                                                  \
#name, option, offsetof(struct im_state_options, name), least, most                                            \
    }
/* The name of a number in the scripts is its name here without "_ms". max: hard limits of images.md 2.4 where it has
 * one, else what keeps sums of times exact. */
static const struct number {
    const char *field, *name;
    size_t offset;
    int64_t min, max;
} numbers[] = {
    FIELD(lease_ms, "lease_ms", 10, 10 * MINUTE),
    FIELD(lease_jitter_ms, "lease_jitter", 0, MINUTE),
    FIELD(max_users, "max_users", 1, 2000),
    FIELD(max_urls, "max_urls", 1, 1000),
    FIELD(tries, "tries", 1, 6),
    FIELD(rounds, "rounds", 1, 1000),
    FIELD(retry_base_ms, "retry_base", 1, MINUTE),
    FIELD(after_min_ms, "after_min", 0, DAY),
    FIELD(after_max_ms, "after_max", 0, DAY),
    FIELD(after_default_ms, "after_default", 0, DAY),
    FIELD(retry_round_ms, "retry_round", 1, 7 * DAY),
    FIELD(retry_round_max_ms, "retry_round_max", 1, 7 * DAY),
    FIELD(later_round_ms, "later_round", 1, 7 * DAY),
    FIELD(later_round_max_ms, "later_round_max", 1, 7 * DAY),
    FIELD(gone_ms, "gone_ms", 1, 90 * DAY),
    FIELD(policy_ms, "policy_ms", 1, 90 * DAY),
    FIELD(fresh_ms, "fresh_ms", 1, 90 * DAY),
    FIELD(fresh_min_ms, "fresh_min", 1, 90 * DAY),
    FIELD(fresh_max_ms, "fresh_max", 1, 90 * DAY),
    FIELD(per_host, "per_host", 1, 16),
    FIELD(per_address, "per_address", 1, 32),
    FIELD(host_rate, "host_rate", 1, 1000),
    FIELD(host_burst, "host_burst", 1, 1000),
    FIELD(slot_ms, "slot_ms", 1, 10 * MINUTE),
    FIELD(slot_retry_ms, "slot_retry", 1, MINUTE),
    FIELD(breaker_failures, "breaker_failures", 1, 1000),
    FIELD(breaker_open_ms, "breaker_open", 1, DAY),
    FIELD(breaker_open_max_ms, "breaker_open_max", 1, DAY),
    FIELD(host_ms, "host_ms", 1, 30 * DAY),
    FIELD(touch_ms, "touch_ms", 0, DAY),
    FIELD(idle_ms, "idle", 1, 400 * DAY),
    FIELD(grace_ms, "grace", 1, 30 * DAY),
    FIELD(min_age_ms, "min_age", 1, 30 * DAY),
    FIELD(deleting_ms, "deleting_ms", 1, DAY),
};

static int64_t number_of(const struct im_state_options *options, const struct number *row)
{
    int64_t value;
    memcpy(&value, (const char *)options + row->offset, sizeof value);
    return value;
}

/* A mark goes into the text of a script. */
static bool good_mark(const char mark[IM_MARK_BYTES])
{
    static const char allowed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";
    size_t len = strnlen(mark, IM_MARK_BYTES);
    return len > 0 && len < IM_MARK_BYTES && strspn(mark, allowed) == len;
}

static enum nm_status check(const struct im_state_options *options, struct nm_error *err)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int64_t value = number_of(options, &numbers[i]);
        if (value < numbers[i].min || value > numbers[i].max)
            return nm_fail(err, NM_CONFIG,
                           "images: %s is %" PRId64 "; set the option to something from %" PRId64 " to %" PRId64,
                           numbers[i].field, value, numbers[i].min, numbers[i].max);
    }
    if (options->after_min_ms > options->after_max_ms || options->fresh_min_ms > options->fresh_max_ms)
        return nm_fail(err, NM_CONFIG, "images: the least Retry-After or freshness is above the most; exchange them");
    if (!good_mark(options->policy) || !good_mark(options->facet))
        return nm_fail(err, NM_CONFIG,
                       "images: the names of policy and facet options must be 1 to %d of [0-9A-Za-z._-]",
                       IM_MARK_BYTES - 1);
    return NM_OK;
}

static void add_parameters(const struct im_state_options *options, const struct nm_settings *settings,
                           struct nm_buf *out)
{
    nm_buf_addf(out, "local p = {policy = '%s', facet = '%s', keep_ms = %lld", options->policy, options->facet,
                settings->keep_days * (long long)DAY);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        nm_buf_addf(out, ", %s = %" PRId64, numbers[i].name, number_of(options, &numbers[i]));
    nm_buf_adds(out, "}\n");
}

enum nm_status im_state_open(struct im_state *out, const struct im_state_options *options,
                             const struct nm_settings *settings, struct nm_error *err)
{
    struct im_state mine = {.partitions = (int32_t)settings->stream[NM_NORMALIZED].partitions, .now_ms = -1};
    enum nm_status status = check(options, err);
    if (status != NM_OK)
        return status;
    int len = snprintf(mine.prefix, sizeof mine.prefix, "%s:", settings->ns);
    if (len < 0 || (size_t)len >= sizeof mine.prefix)
        return nm_fail(err, NM_CONFIG, "namespace is longer than %zu bytes", sizeof mine.prefix - 2);
    mine.options = *options;
    im_state_close();
    struct nm_buf parameters = {0};
    add_parameters(options, settings, &parameters);
    for (size_t i = 0; status == NM_OK && i < IM_N_SCRIPTS; i++)
        status = nm_script_write(im_scripts[i], nm_buf_str(&parameters), images_state_lua, sources[i], err);
    nm_buf_clear(&parameters);
    if (status == NM_OK)
        *out = mine;
    return status;
}

void im_state_close(void)
{
    for (size_t i = 0; i < IM_N_SCRIPTS; i++)
        nm_script_clear(im_scripts[i]);
}

/* ---- calls ---- */

size_t im_call(const struct im_state *state, struct nm_pipe *pipe, enum im_script script, size_t n)
{
    size_t index = nm_pipe_script(pipe, im_scripts[script], 1, 1 + n);
    nm_pipe_str(pipe, state->prefix);
    if (state->now_ms < 0)
        nm_pipe_arg(pipe, "", 0);
    else
        nm_pipe_int(pipe, state->now_ms);
    return index;
}

/* The same with the article and its partition; n further ones. */
static size_t call_article(const struct im_state *state, struct nm_pipe *pipe, enum im_script script, const char *id,
                           size_t n)
{
    size_t index = im_call(state, pipe, script, 2 + n);
    nm_pipe_arg(pipe, id, IM_ID);
    nm_pipe_int(pipe, nm_partition_of(id, IM_ID, state->partitions));
    return index;
}

/* A number, or nothing where it is below `least`. */
static void add_number(struct nm_pipe *pipe, int64_t value, int64_t least)
{
    if (value < least)
        nm_pipe_arg(pipe, "", 0);
    else
        nm_pipe_int(pipe, value);
}

static void add_revision(struct nm_pipe *pipe, int64_t revision)
{
    char digits[32];
    (void)snprintf(digits, sizeof digits, "%016" PRId64, revision);
    nm_pipe_str(pipe, digits);
}

static void add_image(struct nm_pipe *pipe, const struct im_listed *image, struct nm_buf *scratch)
{
    assert(image->text_len <= IM_TEXT_MAX);
    nm_buf_reset(scratch);
    nm_buf_adds(scratch, image->hash ? image->hash : "-");
    nm_buf_addc(scratch, ' ');
    nm_buf_add(scratch, image->text, image->text_len);
    if (!nm_buf_ok(scratch))
        pipe->request.oom = true;
    nm_pipe_arg(pipe, nm_buf_str(scratch), scratch->len);
}

size_t im_article(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t revision,
                  const struct im_listed *image, size_t n)
{
    assert(n <= IM_MAX_IMAGES);
    struct nm_buf scratch = {0};
    size_t index = call_article(state, pipe, IM_SCRIPT_article, id, 1 + n);
    add_revision(pipe, revision);
    for (size_t i = 0; i < n; i++)
        add_image(pipe, &image[i], &scratch);
    nm_buf_clear(&scratch);
    return index;
}

size_t im_retract(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t revision)
{
    size_t index = call_article(state, pipe, IM_SCRIPT_retract, id, 1);
    add_revision(pipe, revision);
    return index;
}

size_t im_claim(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t score)
{
    size_t index = call_article(state, pipe, IM_SCRIPT_claim, id, 1);
    nm_pipe_int(pipe, score);
    return index;
}

size_t im_back(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t claimed, int64_t at_ms)
{
    size_t index = call_article(state, pipe, IM_SCRIPT_back, id, 2);
    nm_pipe_int(pipe, claimed);
    nm_pipe_int(pipe, at_ms);
    return index;
}

size_t im_facet_sent(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t revision,
                     const char *content, int64_t claimed, int64_t jitter)
{
    size_t index = call_article(state, pipe, IM_SCRIPT_facet_sent, id, 4);
    nm_pipe_int(pipe, revision);
    nm_pipe_str(pipe, content);
    add_number(pipe, claimed, 0);
    nm_pipe_int(pipe, jitter);
    return index;
}

size_t im_call_texts(const struct im_state *state, struct nm_pipe *pipe, enum im_script script,
                     const char *const *words)
{
    size_t n = 0;
    while (words[n])
        n++;
    size_t index = im_call(state, pipe, script, n);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(pipe, words[i]);
    return index;
}

size_t im_lease(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *token)
{
    return im_call_texts(state, pipe, IM_SCRIPT_lease, IM_TEXTS(hash, token));
}

size_t im_extend(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *token, bool goes_on)
{
    return im_call_texts(state, pipe, IM_SCRIPT_extend, IM_TEXTS(hash, token, goes_on ? "1" : "0"));
}

/* ---- how a fetch ended ---- */

/* Answers that a moment later may be others (images.md 2.4). */
static bool passing(int status)
{
    static const int codes[] = {408, 425, 429, 500, 502, 503, 504, 522, 524};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == status)
            return true;
    return false;
}

static const char *class_of(enum im_reason reason, int status)
{
    static const char *const words[] = {
        [IM_KIND_NONE] = "later",  [IM_KIND_NEVER] = "never", [IM_KIND_POLICY] = "policy",
        [IM_KIND_RETRY] = "retry", [IM_KIND_LATER] = "later", [IM_KIND_OURS] = "ours",
    };
    if (reason == IM_bad_status && status == 410)
        return "gone";
    if (reason == IM_bad_status && passing(status))
        return "retry";
    return words[im_reason_kind(reason)];
}

static void add_cached(struct nm_pipe *pipe, const struct im_result *result)
{
    const int64_t sizes[] = {result->width,     result->height,     result->bytes,
                             result->raw_width, result->raw_height, result->orientation};
    assert(strlen(result->thumbs) <= IM_THUMBS_MAX);
    nm_pipe_str(pipe, result->sha256);
    nm_pipe_str(pipe, result->type);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        nm_pipe_int(pipe, sizes[i]);
    nm_pipe_str(pipe, result->etag);
    nm_pipe_str(pipe, result->last_modified);
    add_number(pipe, result->fresh_ms, 0);
    nm_pipe_str(pipe, result->thumbs);
    add_number(pipe, result->put_again_ms, 1);
    nm_pipe_str(pipe, result->existed ? "existed" : "");
}

size_t im_result(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *token,
                 int64_t jitter, const struct im_result *result)
{
    static const size_t n_more[] = {[IM_RESULT_CACHED] = 14, [IM_RESULT_SAME] = 3, [IM_RESULT_FAILED] = 5};
    static const char *const words[] = {
        [IM_RESULT_CACHED] = "cached", [IM_RESULT_SAME] = "same", [IM_RESULT_FAILED] = "failed"};
    size_t index = im_call(state, pipe, IM_SCRIPT_result, 4 + n_more[result->outcome]);
    nm_pipe_str(pipe, hash);
    nm_pipe_str(pipe, token);
    nm_pipe_int(pipe, jitter);
    nm_pipe_str(pipe, words[result->outcome]);
    switch (result->outcome) {
    case IM_RESULT_CACHED:
        add_cached(pipe, result);
        break;
    case IM_RESULT_SAME:
        nm_pipe_str(pipe, result->etag);
        nm_pipe_str(pipe, result->last_modified);
        add_number(pipe, result->fresh_ms, 0);
        break;
    case IM_RESULT_FAILED:
        nm_pipe_str(pipe, im_reason_name(result->reason));
        nm_pipe_str(pipe, class_of(result->reason, result->status));
        nm_pipe_int(pipe, result->after_ms > 0 ? result->after_ms : 0);
        add_number(pipe, result->width, 1);
        add_number(pipe, result->height, 1);
        break;
    }
    return index;
}

int64_t im_retry_after(const struct im_state_options *options, bool has, int64_t seconds)
{
    if (!has)
        return options->after_default_ms;
    if (seconds < options->after_min_ms / 1000)
        return options->after_min_ms;
    return seconds > options->after_max_ms / 1000 ? options->after_max_ms : seconds * 1000;
}
