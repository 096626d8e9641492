/* cmd_explain.c - `newsmill explain`: why an article is published or not, where it stands, and with whom.
 *
 * Reads Redis, the article's partitions of two streams, and the dead letters; writes nothing. Every source may be
 * behind the others or know nothing: what is not known is said. Options of other workers are read as those workers read
 * them, workers.NAME included. */
#include "explain.h"
#include "plain.h"
#include "tool.h"

#include <string.h>

/* Options as the program `program` has them. */
static enum nm_status load(const struct nm_args *args, const char *program, struct nm_config **out,
                           struct nm_error *err)
{
    struct nm_problems problems = {0};
    enum nm_status status = nm_config_load(args->config_path, program, &args->sets, out, &problems, err);
    nm_problems_clear(&problems); /* the tool has loaded this file before: they would have been printed then */
    return status;
}

static enum nm_status read_linking(const struct nm_args *args, struct nm_linking *out, struct nm_error *err)
{
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    const struct {
        const char *name;
        double *value, divisor;
    } rows[] = {
        {"related.link", &out->link, 1},
        {"related.boost", &out->boost, 1},
        {"related.join", &out->join, 1},
        {"related.merge", &out->merge, 1},
        {"related.bridge", &out->bridge, 1},
        {"related.gate", &out->gate, 1},
        {"related.floor", &out->floor, 1},
        {"related.alpha", &out->alpha, 1},
        {"related.linkHalfMs", &out->link_half_s, 1000},
        {"related.storyHalfMs", &out->story_half_s, 1000},
        {"related.windowMs", &out->window_s, 1000},
        {"related.queryTerms", &out->query_terms, 1},
        {"related.postings", &out->postings, 1},
    };
    enum nm_status status = load(args, "related", &config, err);
    for (size_t i = 0; status == NM_OK && i < sizeof rows / sizeof *rows; i++) {
        status = nm_config_number(config, rows[i].name, rows[i].value, err);
        *rows[i].value /= rows[i].divisor;
    }
    return status;
}

static enum nm_status read_number(const struct nm_args *args, const char *program, const char *name, double *out,
                                  struct nm_error *err)
{
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    enum nm_status status = load(args, program, &config, err);
    return status == NM_OK ? nm_config_number(config, name, out, err) : status;
}

static enum nm_status read_options(const struct nm_args *args, struct nm_explain *explain, struct nm_error *err)
{
    enum nm_status status = read_number(args, "publish", "publish.minQuality", &explain->min_quality, err);
    if (status == NM_OK)
        status = read_number(args, "heat", "heat.halfLifeMs", &explain->half_life_ms, err);
    return status == NM_OK ? read_linking(args, &explain->linking, err) : status;
}

/* The two that tell why the story is led as it is. */
static enum nm_status read_leads(struct nm_state *state, struct nm_explain *explain, struct nm_error *err)
{
    struct nm_known pair[2] = {0};
    enum nm_status status = nm_state_order(state, &explain->story, explain->id, &explain->place, pair[1].id, err);

    nm_hex_write(explain->story.lead, NM_RAW_ID, pair[0].id);
    if (status == NM_OK)
        status = nm_state_articles(state, pair, pair[1].id[0] ? 2 : 1, err);
    explain->lead = pair[0];
    explain->second = pair[1];
    return status;
}

static enum nm_status read_redis(struct nm_state *state, struct nm_explain *explain, struct nm_error *err)
{
    (void)snprintf(explain->self.id, sizeof explain->self.id, "%s", explain->id);
    explain->place = -1;
    enum nm_status status = nm_state_articles(state, &explain->self, 1, err);
    if (status != NM_OK || !explain->self.linked)
        return status;
    status = nm_state_story(state, explain->self.story_name, &explain->story, err);
    if (status == NM_OK && explain->story.there && explain->story.has_lead)
        status = read_leads(state, explain, err);
    return status == NM_OK ? nm_explain_links(state, explain, err) : status;
}

static enum nm_status print(const struct nm_explain *explain, bool json, bool *unknown, struct nm_error *err)
{
    json_t *document = nm_explain_json(explain);
    struct nm_buf out = {0};
    char *dump = json && document ? json_dumps(document, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;

    if (dump) {
        nm_json_safe(dump, strlen(dump), &out);
        nm_buf_addc(&out, '\n');
    } else if (document && !json) {
        nm_explain_text(document, &out);
    }
    const char *state = json_string_value(json_object_get(document, "state"));
    *unknown = state && strcmp(state, "unknown") == 0;
    enum nm_status status = state && nm_buf_ok(&out) && out.len ? nm_tool_write(nm_buf_str(&out), out.len, err)
                                                                : nm_fail(err, NM_FATAL, "out of memory");
    free(dump);
    json_decref(document);
    nm_buf_clear(&out);
    return status;
}

/* A URL that is refused may still be the key of a dead letter that says why. */
static enum nm_status read_target(const char *text, struct nm_explain *explain, struct nm_error *err)
{
    enum nm_status status = nm_tool_id(text, explain->id, err);

    explain->asked = text;
    explain->has_id = status == NM_OK;
    return status == NM_CONFIG && strstr(text, "://") ? NM_OK : status;
}

static enum nm_status explain_all(struct nm_tool *tool, const struct nm_args *args, struct nm_state *state,
                                  struct nm_explain *explain, struct nm_error *err)
{
    bool unknown = false;
    enum nm_status status = read_options(args, explain, err);

    if (status == NM_OK)
        status = nm_state_open(&tool->settings, state, err);
    explain->notes = state->problems;
    if (status == NM_OK && explain->has_id)
        status = read_redis(state, explain, err);
    if (status == NM_OK)
        status = nm_explain_streams(&tool->settings, explain, err);
    if (status == NM_OK)
        status = nm_words_read(nm_explain_article(explain), &explain->words, err);
    if (status == NM_OK)
        status = print(explain, nm_flag_given(args, "--json"), &unknown, err);
    if (unknown)
        tool->exit_code = NM_EXIT_NOT_REACHED;
    return status;
}

static enum nm_status explain_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct nm_explain *explain = calloc(1, sizeof *explain);
    struct nm_state state = {0};

    if (!explain)
        return nm_fail(err, NM_FATAL, "out of memory");
    enum nm_status status = read_target(args->operand[0], explain, err);
    for (size_t i = 0; i < NM_N_PARTS; i++)
        explain->self.part_revision[i] = -1;
    explain->self.revision = -1;
    if (status == NM_OK)
        status = nm_tool_configure(tool, args, err);
    if (status == NM_OK)
        status = explain_all(tool, args, &state, explain, err);
    nm_explain_clear(explain);
    free(explain);
    nm_state_close(&state);
    return status;
}

static const struct nm_flag flags[] = {
    {"--json", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "one JSON document"},
    {0},
};

const struct nm_command nm_explain_command = {
    .name = "explain",
    .summary = "says why an article is as it is: quality, heat, story, links",
    .operands = "ID|URL",
    .min_operands = 1,
    .max_operands = 1,
    .needs_config = true,
    .flags = flags,
    .details =
        "Shows what is known of an article: its quality and heat with their parts, whether it is published and\n"
        "why, its story and why it leads it or not, its links with the words that they rest on, what was close\n"
        "but not taken, and which worker made what. Exit code 3: nothing is known of it, not even a dead letter.",
    .example = "  newsmill explain -c newsmill.yaml https://www.harbour-gazette.example/2031/04/12/ferry-timetable\n"
               "  newsmill explain -c newsmill.yaml 136ab291632faf53215323ed8744d7a4 --json | jq .story",
    .run = explain_command,
};
