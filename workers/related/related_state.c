/* related_state.c - the scripts with their parameters, and what each is called with.
 *
 * Parameters are written into the source, so a call carries none of them; instances with other options load other
 * scripts. Floats in packed values are little-endian, whatever this machine is. */
#include "related.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const struct nm_set rl_out = {.name = "{rel}:out", .grace_ms = 1000};

extern const char related_state_lua[], related_place_lua[], related_retract_lua[], related_view_lua[],
    related_sent_lua[], related_walk_lua[], related_walked_lua[], related_again_lua[];

struct nm_script rl_place_script = {.name = "related.place"}, rl_retract_script = {.name = "related.retract"},
                 rl_view_script = {.name = "related.view"}, rl_sent_script = {.name = "related.sent"},
                 rl_walk_script = {.name = "related.walk"}, rl_walked_script = {.name = "related.walked"},
                 rl_again_script = {.name = "related.again"};

static const struct {
    struct nm_script *script;
    const char *source;
} scripts[] = {
    {&rl_place_script, related_place_lua}, {&rl_retract_script, related_retract_lua},
    {&rl_view_script, related_view_lua},   {&rl_sent_script, related_sent_lua},
    {&rl_walk_script, related_walk_lua},   {&rl_walked_script, related_walked_lua},
    {&rl_again_script, related_again_lua},
};

enum { N_SCRIPTS = sizeof scripts / sizeof *scripts, DAY_S = 86400 };

static void add_parameters(const struct rl_options *o, const struct nm_settings *settings, const struct rl_state *state,
                           struct nm_buf *out)
{
    nm_buf_addf(out,
                "local p = {candidates = %lld, links = %lld, stories = %lld, max_merges = %lld, centroid_keep = %lld, "
                "centroid_max = %lld, max_related = %lld, link_half = %lld, story_half = %lld, window = %lld, ",
                o->candidates, o->links, o->stories, o->max_merges, o->centroid_keep, o->centroid_max,
                settings->max_related, o->link_half_ms / 1000, o->story_half_ms / 1000, o->window_ms / 1000);
    nm_buf_addf(
        out,
        "gate = %.17g, link = %.17g, boost = %.17g, join = %.17g, merge = %.17g, bridge = %.17g, alpha = %.17g, "
        "floor = %.17g, ",
        o->gate, o->link, o->boost, o->join, o->merge, o->bridge, o->alpha, o->floor);
    nm_buf_addf(out, "article_ttl = %" PRId64 ", story_ttl = %" PRId64 "}\n", state->article_ttl_s, state->story_ttl_s);
}

enum nm_status rl_state_open(struct rl_state *state, const struct rl_options *options,
                             const struct nm_settings *settings, struct nm_error *err)
{
    struct rl_state mine = {.article_ttl_s = options->window_ms / 1000 + 2 * DAY_S,
                            .story_ttl_s = options->window_ms / 1000 + DAY_S,
                            .gone_ttl_s = settings->keep_days * DAY_S};
    int len = snprintf(mine.prefix, sizeof mine.prefix, "%s:{rel}:", settings->ns);
    if (len < 0 || (size_t)len >= sizeof mine.prefix)
        return nm_fail(err, NM_CONFIG, "namespace is longer than %d bytes", RL_PREFIX - 10);
    mine.prefix_len = (size_t)len;
    rl_state_close();
    struct nm_buf parameters = {0};
    add_parameters(options, settings, &mine, &parameters);
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < N_SCRIPTS; i++)
        status = nm_script_write(scripts[i].script, nm_buf_str(&parameters), related_state_lua, scripts[i].source, err);
    nm_buf_clear(&parameters);
    if (status == NM_OK)
        *state = mine;
    return status;
}

void rl_state_close(void)
{
    for (size_t i = 0; i < N_SCRIPTS; i++)
        nm_script_clear(scripts[i].script);
}

/* What gives every stored weight its meaning. */
enum nm_status rl_state_check(const struct rl_state *state, const struct rl_options *o, struct nm_redis *redis,
                              struct nm_error *err)
{
    char text[128], key[RL_PREFIX + 16];
    (void)snprintf(text, sizeof text, "1 priorStories=%.17g rarityExponent=%.17g nameSpan=%.17g", o->prior_stories,
                   o->rarity_exponent, o->name_span);
    (void)snprintf(key, sizeof key, "%smeaning", state->prefix);
    struct nm_pipe pipe = {0};
    (void)nm_pipe_command(&pipe, 4);
    nm_pipe_str(&pipe, "SET");
    nm_pipe_str(&pipe, key);
    nm_pipe_str(&pipe, text);
    nm_pipe_str(&pipe, "NX");
    (void)nm_pipe_command(&pipe, 2);
    nm_pipe_str(&pipe, "GET");
    nm_pipe_str(&pipe, key);
    enum nm_status status = nm_redis_exec(redis, &pipe, err);
    const struct nm_reply *stored = status == NM_OK ? nm_pipe_reply(&pipe, 1) : NULL;
    if (stored && (stored->type != NM_REPLY_STR || strcmp(stored->str, text) != 0))
        status = nm_fail(err, NM_CONFIG,
                         "the weights in Redis were made with other options (%.120s); set these again, or use a fresh "
                         "namespace and replay",
                         stored->str);
    nm_pipe_clear(&pipe);
    return status;
}

/* ---- calls ---- */

struct term_key { /* "<prefix>p:<term>" or a field of the counters */
    char bytes[RL_PREFIX + 16];
    size_t len;
};

static void posting_key(const struct rl_state *state, const unsigned char term[RL_KEY], struct term_key *key)
{
    memcpy(key->bytes, state->prefix, state->prefix_len);
    memcpy(key->bytes + state->prefix_len, "p:", 2);
    memcpy(key->bytes + state->prefix_len + 2, term, RL_KEY);
    key->len = state->prefix_len + 2 + RL_KEY;
}

static void ask_counts(const struct rl_state *state, struct nm_pipe *pipe, const struct rl_article *article,
                       int64_t epoch)
{
    static const char before[] = {'\0', 'u', 'l'};
    char key[RL_PREFIX + 32];
    (void)snprintf(key, sizeof key, "%sdf:%" PRId64, state->prefix, epoch);
    (void)nm_pipe_command(pipe, 3 + 3 * article->n_terms);
    nm_pipe_arg(pipe, "HMGET", 5);
    nm_pipe_str(pipe, key);
    nm_pipe_arg(pipe, "S", 1);
    for (size_t i = 0; i < article->n_terms; i++)
        for (size_t k = 0; k < 3; k++) {
            char field[1 + RL_KEY];
            field[0] = before[k];
            memcpy(field + 1, article->key[i], RL_KEY);
            nm_pipe_arg(pipe, before[k] ? field : field + 1, before[k] ? sizeof field : RL_KEY);
        }
}

static void post(const struct rl_state *state, const struct rl_options *options, struct nm_pipe *pipe,
                 const struct rl_article *article, size_t i)
{
    struct term_key key;
    posting_key(state, article->key[i], &key);
    (void)nm_pipe_command(pipe, 4);
    nm_pipe_arg(pipe, "ZADD", 4);
    nm_pipe_arg(pipe, key.bytes, key.len);
    nm_pipe_int(pipe, article->at_s);
    nm_pipe_arg(pipe, article->id, RL_ID);
    (void)nm_pipe_command(pipe, 4);
    nm_pipe_arg(pipe, "ZREMRANGEBYRANK", 15);
    nm_pipe_arg(pipe, key.bytes, key.len);
    nm_pipe_arg(pipe, "0", 1);
    nm_pipe_int(pipe, -options->postings - 1);
    (void)nm_pipe_command(pipe, 3);
    nm_pipe_arg(pipe, "EXPIRE", 6);
    nm_pipe_arg(pipe, key.bytes, key.len);
    nm_pipe_int(pipe, state->story_ttl_s);
}

static void ask_postings(const struct rl_state *state, const struct rl_options *options, struct nm_pipe *pipe,
                         const struct rl_article *article, size_t i)
{
    struct term_key key;
    posting_key(state, article->key[i], &key);
    (void)nm_pipe_command(pipe, 7);
    nm_pipe_arg(pipe, "ZREVRANGEBYSCORE", 16);
    nm_pipe_arg(pipe, key.bytes, key.len);
    nm_pipe_int(pipe, article->at_s + RL_SKEW_S);
    nm_pipe_int(pipe, article->at_s - options->window_ms / 1000);
    nm_pipe_arg(pipe, "LIMIT", 5);
    nm_pipe_arg(pipe, "0", 1);
    nm_pipe_int(pipe, options->postings);
}

void rl_post(const struct rl_state *state, const struct rl_options *options, struct nm_pipe *pipe,
             const struct rl_article *article)
{
    for (size_t i = 0; i < article->n_terms; i++)
        post(state, options, pipe, article, i);
}

size_t rl_ask(const struct rl_state *state, const struct rl_options *options, struct nm_pipe *pipe,
              const struct rl_article *article)
{
    rl_post(state, options, pipe, article);
    size_t first = pipe->n_commands;
    ask_counts(state, pipe, article, article->at_s / RL_EPOCH_S);
    ask_counts(state, pipe, article, article->at_s / RL_EPOCH_S - 1);
    for (size_t i = 0; i < article->n_terms && i < (size_t)options->query_terms; i++)
        ask_postings(state, options, pipe, article, i);
    return first;
}

static int64_t sum_at(const struct nm_reply *a, const struct nm_reply *b, size_t i)
{
    int64_t sum = nm_reply_int(nm_reply_at(a, i), 0) + nm_reply_int(nm_reply_at(b, i), 0);
    return sum > 0 ? sum : 0;
}

void rl_counts_read(const struct nm_reply *present, const struct nm_reply *before, size_t n, struct rl_counts *counts,
                    int64_t *stories)
{
    *stories = sum_at(present, before, 0);
    for (size_t i = 0; i < n; i++)
        counts[i] = (struct rl_counts){.df = sum_at(present, before, 1 + 3 * i),
                                       .capital = sum_at(present, before, 2 + 3 * i),
                                       .lower = sum_at(present, before, 3 + 3 * i)};
}

size_t rl_call(const struct rl_state *state, struct nm_pipe *pipe, const struct nm_script *script, int32_t partition,
               size_t n)
{
    size_t index = nm_pipe_script(pipe, script, 1, 1 + n);
    nm_pipe_arg(pipe, state->prefix, state->prefix_len);
    nm_pipe_int(pipe, partition);
    return index;
}

static void add_float(struct nm_buf *buf, double value)
{
    float number = (float)value;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    unsigned char bytes[4] = {(unsigned char)bits, (unsigned char)(bits >> 8), (unsigned char)(bits >> 16),
                              (unsigned char)(bits >> 24)};
    nm_buf_add(buf, bytes, sizeof bytes);
}

static void add_real(struct nm_pipe *pipe, double value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.7g", value);
    nm_pipe_str(pipe, text);
}

/* Where an updated founder goes whose story still bears its id. */
static void spare_id(const struct rl_article *article, unsigned char out[RL_ID])
{
    unsigned char from[RL_ID + 8];
    memcpy(from, article->id, RL_ID);
    for (size_t i = 0; i < 8; i++)
        from[RL_ID + i] = (unsigned char)((uint64_t)article->revision >> (56 - 8 * i));
    nm_digest_raw(from, sizeof from, out, RL_ID);
}

static void add_terms(struct nm_pipe *pipe, const struct rl_placement *placement, struct nm_buf *scratch)
{
    const struct rl_article *article = placement->article;
    char sighting[RL_TERMS];
    nm_buf_reset(scratch);
    for (size_t i = 0; i < article->n_terms; i++) {
        enum nm_term_case how = article->term[i].sighting;
        nm_buf_add(scratch, article->key[i], RL_KEY);
        add_float(scratch, placement->weight[i]);
        sighting[i] = how == NM_TERM_CASE_CAPITAL ? 'u' : how == NM_TERM_CASE_LOWER ? 'l' : '1';
    }
    nm_pipe_arg(pipe, nm_buf_str(scratch), scratch->len);
    nm_pipe_arg(pipe, sighting, article->n_terms);
}

static void add_candidates(struct nm_pipe *pipe, const struct rl_placement *placement, struct nm_buf *scratch)
{
    nm_buf_reset(scratch);
    for (size_t i = 0; i < placement->n_found; i++) {
        const struct rl_candidate *found = &placement->found[i];
        nm_buf_add(scratch, found->id, RL_ID);
        add_float(scratch, found->dot);
        add_float(scratch, found->shared);
    }
    nm_pipe_arg(pipe, nm_buf_str(scratch), scratch->len);
}

size_t rl_place(const struct rl_state *state, struct nm_pipe *pipe, int32_t partition,
                const struct rl_placement *placement, struct nm_buf *scratch)
{
    const struct rl_article *article = placement->article;
    unsigned char spare[RL_ID];
    size_t index = rl_call(state, pipe, &rl_place_script, partition, 10);
    spare_id(article, spare);
    nm_pipe_arg(pipe, article->id, RL_ID);
    nm_pipe_int(pipe, article->revision);
    nm_pipe_arg(pipe, spare, RL_ID);
    nm_pipe_int(pipe, article->at_s);
    add_real(pipe, placement->norm);
    nm_pipe_int(pipe, article->quality);
    nm_pipe_arg(pipe, article->hash, RL_HASH);
    add_terms(pipe, placement, scratch);
    add_candidates(pipe, placement, scratch);
    if (!nm_buf_ok(scratch))
        pipe->request.oom = true;
    return index;
}

size_t rl_retract(const struct rl_state *state, struct nm_pipe *pipe, int32_t partition,
                  const struct rl_article *article)
{
    size_t index = rl_call(state, pipe, &rl_retract_script, partition, 3);
    nm_pipe_arg(pipe, article->id, RL_ID);
    nm_pipe_int(pipe, article->revision);
    nm_pipe_int(pipe, state->gone_ttl_s);
    return index;
}
