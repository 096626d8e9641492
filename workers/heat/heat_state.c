/* heat_state.c - the scripts with the options written into them, and what each is called with.
 *
 * Instances with other options load other scripts; sums that others stored are made anew, since they name the options
 * that they were made with. */
#include "heat.h"

#include "newsmill/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct nm_set hp_due = {.name = "due:heat", .timed = true};

extern const char heat_state_lua[], heat_article_lua[], heat_story_lua[], heat_signal_lua[], heat_due_lua[],
    heat_mark_lua[];

struct nm_script hp_article_script = {.name = "heat.article"}, hp_story_script = {.name = "heat.story"},
                 hp_signal_script = {.name = "heat.signal"}, hp_due_script = {.name = "heat.due"},
                 hp_mark_script = {.name = "heat.mark"};

static const struct {
    struct nm_script *script;
    const char *source;
} scripts[] = {
    {&hp_article_script, heat_article_lua}, {&hp_story_script, heat_story_lua}, {&hp_signal_script, heat_signal_lua},
    {&hp_due_script, heat_due_lua},         {&hp_mark_script, heat_mark_lua},
};

enum { N_SCRIPTS = sizeof scripts / sizeof *scripts };

static void add_parameters(const struct hp_options *o, const struct hp_kind *kind, const struct nm_settings *settings,
                           struct nm_buf *out)
{
    char name[NM_DIGEST_BYTES];
    int64_t longest = 0, keep_ms = settings->keep_days * 86400000;
    nm_buf_addf(out, "local p = {per_related = %lld, half_life = %.17g, step = %lld, kinds = {", o->per_related,
                (double)o->half_life_ms / 1000, o->step_ms / 1000);
    for (size_t i = 0; i < HP_KINDS; i++) {
        longest = kind[i].window_s > longest ? kind[i].window_s : longest;
        nm_buf_addf(out, "%c = {weight = %" PRId64 ", window = %" PRId64 ", cap = %" PRId64 "}, ", kind[i].letter,
                    kind[i].weight, kind[i].window_s, kind[i].cap);
    }
    nm_digest(nm_buf_str(out), out->len, name);
    int64_t wait_ms = (longest + HP_WAIT_S) * 1000;
    nm_buf_addf(out, "}, max_series = %d, max_buckets = %d, max_ids = %d, keep_ms = %" PRId64 ", wait_ms = %" PRId64,
                HP_MAX_SERIES, HP_MAX_BUCKETS, HP_MAX_IDS, keep_ms, wait_ms < keep_ms ? wait_ms : keep_ms);
    nm_buf_addf(out, ", max_waiting = %lld, name = '%.8s'}\n", o->max_waiting, name);
}

enum nm_status hp_state_open(struct hp_state *state, const struct hp_options *options,
                             const struct nm_settings *settings, struct nm_error *err)
{
    struct hp_kind kind[HP_KINDS];
    enum nm_status status = hp_kinds_read(options, kind, err);
    if (status != NM_OK)
        return status;
    hp_state_close();
    struct nm_buf parameters = {0};
    add_parameters(options, kind, settings, &parameters);
    for (size_t i = 0; status == NM_OK && i < N_SCRIPTS; i++)
        status = nm_script_write(scripts[i].script, nm_buf_str(&parameters), heat_state_lua, scripts[i].source, err);
    nm_buf_clear(&parameters);
    if (status == NM_OK)
        *state =
            (struct hp_state){.settings = settings, .partitions = (int32_t)settings->stream[NM_NORMALIZED].partitions};
    return status;
}

void hp_state_close(void)
{
    for (size_t i = 0; i < N_SCRIPTS; i++)
        nm_script_clear(scripts[i].script);
}

/* ---- calls ---- */

/* The keys, the first two arguments; n more follow. */
static size_t call(const struct hp_state *state, struct nm_pipe *pipe, const struct nm_script *script, const char *id,
                   bool resend, size_t n)
{
    char key[200];
    size_t index = nm_pipe_script(pipe, script, 3, 2 + n);
    int32_t partition = nm_partition_of(id, HP_ID, state->partitions);
    (void)snprintf(key, sizeof key, "%s:heat:{%s}", state->settings->ns, id);
    nm_pipe_str(pipe, key);
    nm_set_key(state->settings, &hp_due, partition, key, sizeof key);
    nm_pipe_str(pipe, key);
    (void)snprintf(key, sizeof key, "%s:heat:waiting:%" PRId32, state->settings->ns, partition);
    nm_pipe_str(pipe, key);
    nm_pipe_arg(pipe, resend ? "1" : "0", 1);
    nm_pipe_arg(pipe, id, HP_ID);
    return index;
}

static void add_text(struct nm_pipe *pipe, const char *form, int64_t a, int64_t b)
{
    char text[64];
    int len = snprintf(text, sizeof text, form, a, b); // NOLINT(clang-diagnostic-format-nonliteral): two literals below
    nm_pipe_arg(pipe, text, (size_t)len);
}

static size_t apply_signal(const struct hp_state *state, struct nm_pipe *pipe, const struct nm_item *item,
                           const struct hp_event *event, bool resend)
{
    size_t index = call(state, pipe, &hp_signal_script, event->id, resend, 7);
    if (item->generation)
        add_text(pipe, "%" PRId64 ".%" PRId64, item->partition, item->generation);
    else
        nm_pipe_int(pipe, item->partition);
    nm_pipe_int(pipe, item->offset);
    nm_pipe_int(pipe, event->at_s);
    nm_pipe_arg(pipe, &event->kind, 1);
    nm_pipe_arg(pipe, event->source, event->source_len);
    nm_pipe_int(pipe, event->count);
    nm_pipe_arg(pipe, event->hash, event->has_hash ? HP_HASH : 0);
    return index;
}

size_t hp_apply(const struct hp_state *state, struct nm_pipe *pipe, const struct nm_item *item,
                const struct hp_event *event)
{
    bool resend = item->resend || item->catching_up;
    if (event->type == HP_SIGNAL_EVENT)
        return apply_signal(state, pipe, item, event, resend);
    if (event->type == HP_DUE) {
        size_t index = call(state, pipe, &hp_due_script, event->id, resend, 1);
        nm_pipe_int(pipe, item->score);
        return index;
    }
    bool article = event->type == HP_ARTICLE;
    size_t index = call(state, pipe, article ? &hp_article_script : &hp_story_script, event->id, resend, 2 + article);
    add_text(pipe, "%016" PRId64, event->revision, 0);
    if (event->gone)
        nm_pipe_arg(pipe, "", 0);
    else if (article)
        add_text(pipe, "%" PRId64 " %" PRId64, event->quality, event->published_s);
    else
        add_text(pipe, "%" PRId64 " %" PRId64, event->size, event->leads);
    if (article)
        nm_pipe_int(pipe, event->published_s);
    return index;
}

void hp_mark(const struct hp_state *state, struct nm_pipe *pipe, const char *id, const struct hp_view *view,
             int64_t due_score)
{
    (void)call(state, pipe, &hp_mark_script, id, false, 3);
    nm_pipe_int(pipe, view->revision);
    if (due_score < 0)
        nm_pipe_arg(pipe, "", 0);
    else
        nm_pipe_int(pipe, due_score);
    if (view->next_s == 0)
        nm_pipe_arg(pipe, "", 0);
    else
        nm_pipe_int(pipe, view->next_s * 1000);
}
