/* explain_doc.c - what is known of an article as one JSON document, see explain.h. Pure.
 *
 * Reasons are words for scripts; the sentences are those of explain_text.c. A member that is not known is left out. */
#include "explain.h"
#include "message.h"

#include <math.h>
#include <string.h>

void nm_explain_clear(struct nm_explain *explain)
{
    json_decref(explain->article.root);
    for (size_t i = 0; i < NM_N_FACETS; i++)
        json_decref(explain->facet[i].root);
    json_decref(explain->letters);
    for (size_t i = 0; i < explain->n_ties; i++)
        nm_known_clear(&explain->tie[i].known);
    free(explain->tie);
    for (size_t i = 0; i < explain->n_near; i++)
        nm_known_clear(&explain->near[i].known);
    nm_known_clear(&explain->self);
    nm_known_clear(&explain->lead);
    nm_known_clear(&explain->second);
    *explain = (struct nm_explain){0};
}

/* Four decimals. */
static json_t *real_json(double value)
{
    return json_real(isfinite(value) ? round(value * 1e4) / 1e4 : 0);
}

static json_t *time_json(int64_t us)
{
    char text[21];
    nm_time_text(us / 1000, text);
    return text[0] ? json_string(text) : NULL;
}

/* ---- what it is ---- */

/* The newest that anybody knows: its revision, -1 where it is not known, and whether it was retracted by it. */
static int64_t newest(const struct nm_explain *explain, bool *retracted)
{
    const struct nm_known *self = &explain->self;
    int64_t revision = -1;

    *retracted = false;
    if (explain->article.root) {
        revision = explain->article.revision;
        *retracted = json_is_true(json_object_get(explain->article.root, "retracted"));
    }
    if (self->part_revision[NM_PART_ARTICLE] > revision) {
        revision = self->part_revision[NM_PART_ARTICLE];
        *retracted = self->part_empty[NM_PART_ARTICLE];
    }
    if ((self->linked || self->gone) && self->related_revision > revision) {
        revision = self->related_revision;
        *retracted = self->gone;
    }
    return revision;
}

const json_t *nm_explain_article(const struct nm_explain *explain)
{
    const json_t *sent = explain->article.root;
    return sent && !json_is_true(json_object_get(sent, "retracted")) ? sent : explain->self.article;
}

static const char *state_of(const struct nm_explain *explain)
{
    bool retracted = false;
    if (newest(explain, &retracted) >= 0)
        return retracted ? "retracted" : "known";
    return json_array_size(explain->letters) ? "dead" : "unknown";
}

static json_t *article_json(const struct nm_explain *explain)
{
    static const char *const names[] = {"title",    "webUrl",   "provider", "publishedDateTime", "locale",
                                        "category", "revision", "rules",    "quality",           "qualityParts"};
    const json_t *article = nm_explain_article(explain);
    bool retracted = false;
    json_t *out = json_object();

    if (newest(explain, &retracted) < 0 || retracted || !article) {
        json_decref(out);
        return NULL;
    }
    (void)json_object_set_new(out, "from", json_string(article == explain->self.article ? "record" : "stream"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(article, names[i]))
            (void)json_object_set(out, names[i], json_object_get(article, names[i]));
    if (!json_object_get(out, "revision"))
        (void)json_object_set_new(out, "revision", json_integer(explain->self.part_revision[NM_PART_ARTICLE]));
    json_t *time = time_json(json_integer_value(json_object_get(out, "revision")));
    if (time)
        (void)json_object_set_new(out, "revisionTime", time);
    return out;
}

static json_t *retracted_json(const struct nm_explain *explain)
{
    bool retracted = false;
    int64_t revision = newest(explain, &retracted);
    if (!retracted)
        return NULL;
    return json_pack("{s:I, s:o*}", "revision", (json_int_t)revision, "time", time_json(revision));
}

/* ---- published, heat ---- */

/* As publish sees it: the member of a story that another one leads. */
static bool is_member(const struct nm_explain *explain)
{
    const char *lead = json_string_value(json_object_get(explain->self.story, "lead"));
    return lead && strcmp(lead, explain->id) != 0;
}

static json_t *published_json(const struct nm_explain *explain)
{
    const json_t *quality = json_object_get(explain->self.article, "quality");
    bool retracted = false;
    (void)newest(explain, &retracted);
    const char *reason = "lead";

    if (retracted)
        reason = "retracted";
    else if (!json_is_integer(quality))
        reason = "no_record";
    else if (explain->self.holds)
        reason = "waits";
    else if (is_member(explain))
        reason = "member";
    else if ((double)json_integer_value(quality) < explain->min_quality)
        reason = "below_min_quality";
    json_t *out = json_pack("{s:b, s:s, s:o}", "published", strcmp(reason, "lead") == 0, "reason", reason, "minQuality",
                            json_integer((json_int_t)explain->min_quality));
    if (json_is_integer(quality))
        (void)json_object_set_new(out, "quality", json_integer(json_integer_value(quality)));
    if (explain->self.revision >= 0)
        (void)json_object_set_new(out, "recordRevision", json_integer(explain->self.revision));
    return out;
}

/* What the parts of a heat do not add up to: the half-life, or the bounds. NULL: they do. */
static json_t *faded_json(const struct nm_explain *explain, const json_t *data)
{
    const json_t *parts = json_object_get(data, "parts"), *part = NULL;
    const char *published = json_string_value(json_object_get(explain->self.article, "publishedDateTime"));
    long long points = 0;
    size_t i = 0;
    char rule[160] = "heat is 0 to 1000000";

    json_array_foreach((json_t *)parts, i, part) points += json_integer_value(json_object_get(part, "points"));
    points = json_integer_value(json_object_get(data, "heat")) - points;
    if (i == 0 || points == 0)
        return NULL;
    if (explain->half_life_ms > 0)
        (void)snprintf(rule, sizeof rule, "half of it goes every %.0f ms from its date on%s%.40s",
                       explain->half_life_ms, published ? ", " : "", published ? published : "");
    return json_pack("{s:s, s:I}", "rule", rule, "points", (json_int_t)points);
}

/* What the record shows, why, and the facet. */
static json_t *heat_json(const struct nm_explain *explain)
{
    const struct nm_found *facet = &explain->facet[NM_FACET_HEAT];
    const json_t *data = json_object_get(facet->root, "data");
    const json_t *quality = json_object_get(explain->self.article, "quality");
    json_t *out = json_object();

    if (is_member(explain))
        (void)json_object_update_new(out, json_pack("{s:i, s:s}", "heat", -1, "reason", "member"));
    else if (explain->self.has_heat)
        (void)json_object_update_new(
            out, json_pack("{s:I, s:s}", "heat", (json_int_t)explain->self.heat, "reason", "facet"));
    else if (json_is_integer(quality))
        (void)json_object_update_new(
            out, json_pack("{s:I, s:s}", "heat", (json_int_t)json_integer_value(quality), "reason", "no_facet_yet"));
    if (json_is_object(data)) {
        json_t *copy = json_copy((json_t *)data);
        (void)json_object_set_new(copy, "revision", json_integer(facet->revision));
        (void)json_object_set_new(out, "facet", copy);
        json_t *faded = faded_json(explain, data);
        if (faded)
            (void)json_object_set_new(out, "faded", faded);
    }
    return out;
}

/* ---- the story ---- */

/* Why `best` stands before `other` in the order of a story. */
static const char *why_before(const struct nm_known *best, const struct nm_known *other)
{
    if (best->quality != other->quality)
        return best->quality > other->quality ? "quality" : "lags";
    if (best->at_s != other->at_s)
        return best->at_s < other->at_s ? "older" : "lags";
    return strcmp(best->id, other->id) > 0 ? "greater_id" : "lags";
}

static json_t *other_json(const struct nm_known *other)
{
    json_t *out = json_pack("{s:s}", "id", other->id);
    const json_t *title = json_object_get(other->article, "title");
    const json_t *provider = json_object_get(json_object_get(other->article, "provider"), "name");

    if (json_is_string(title))
        (void)json_object_set(out, "title", (json_t *)title);
    if (json_is_string(provider))
        (void)json_object_set(out, "provider", (json_t *)provider);
    if (other->linked) {
        char text[21];
        nm_time_text(other->at_s * 1000, text);
        (void)json_object_set_new(out, "quality", json_integer(other->quality));
        (void)json_object_set_new(out, "publishedDateTime", json_string(text));
    }
    return out;
}

static json_t *story_json(const struct nm_explain *explain)
{
    const struct nm_story *story = &explain->story;
    const struct nm_known *self = &explain->self;
    char id[NM_ID_BYTES], lead[NM_ID_BYTES];

    if (!self->linked || !story->there || !story->has_lead)
        return NULL;
    nm_hex_write(story->name, NM_RAW_ID, id);
    nm_hex_write(story->lead, NM_RAW_ID, lead);
    bool leads = strcmp(lead, explain->id) == 0;
    const struct nm_known *than = leads ? &explain->second : &explain->lead;
    const char *why =
        !than->linked ? (leads ? "only_one" : "lags") : why_before(leads ? self : than, leads ? than : self);
    json_t *out =
        json_pack("{s:s, s:I, s:s, s:s, s:I, s:b}", "id", id, "size", (json_int_t)story->n, "role",
                  leads ? "lead" : "member", "why", why, "quality", (json_int_t)self->quality, "moving", story->moving);
    if (explain->place >= 0)
        (void)json_object_set_new(out, "place", json_integer(explain->place + 1));
    (void)json_object_set_new(out, "lead", other_json(leads ? self : &explain->lead));
    if (leads && than->linked)
        (void)json_object_set_new(out, "next", other_json(than));
    return out;
}

static json_t *thresholds_json(const struct nm_linking *linking)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "link", real_json(linking->link), "boost",
                     real_json(linking->boost), "join", real_json(linking->join), "merge", real_json(linking->merge),
                     "bridge", real_json(linking->bridge), "gate", real_json(linking->gate));
}

/* ---- links ---- */

/* [{term or key, weight, otherWeight}] */
static json_t *terms_json(const struct nm_explain *explain, const struct nm_vector *other)
{
    struct nm_shared shared[NM_ARTICLE_TERMS];
    size_t n = nm_vector_shared(&explain->self.vector, other, shared);
    json_t *out = json_array();

    for (size_t i = 0; i < n; i++) {
        const char *word = nm_words_find(&explain->words, shared[i].key);
        char hex[2 * NM_TERM_KEY_BYTES + 1];
        nm_hex_write(shared[i].key, NM_TERM_KEY_BYTES, hex);
        (void)json_array_append_new(out,
                                    json_pack("{s:s, s:o, s:o}", word ? "term" : "key", word ? word : hex, "weight",
                                              real_json(shared[i].weight), "otherWeight", real_json(shared[i].other)));
    }
    return out;
}

static json_t *links_json(const struct nm_explain *explain)
{
    json_t *out = json_array();

    for (size_t i = 0; i < explain->n_ties; i++) {
        const struct nm_tie *tie = &explain->tie[i];
        json_t *row = other_json(&tie->known);
        (void)json_object_set_new(row, "score", real_json(tie->score));
        (void)json_object_set_new(row, "sameStory", json_boolean(tie->same_story));
        if (!tie->known.linked)
            (void)json_object_set_new(row, "gone", json_true());
        (void)json_object_set_new(row, "terms", terms_json(explain, &tie->known.vector));
        (void)json_array_append_new(out, row);
    }
    return out;
}

static json_t *reasons_json(const struct nm_linking *linking, const struct nm_near *near)
{
    json_t *out = json_array();
    bool joins = near->fit.score >= linking->join || (linking->merge > 0 && near->fit.cosine >= linking->merge);

    if ((double)near->apart_s > linking->window_s)
        (void)json_array_append_new(out, json_string("outside_window"));
    if (near->similarity < linking->link)
        (void)json_array_append_new(out, json_string("below_link"));
    if (!joins)
        (void)json_array_append_new(out, json_string("below_join"));
    if (json_array_size(out) == 0)
        (void)json_array_append_new(out, json_string("later"));
    return out;
}

static json_t *near_json(const struct nm_explain *explain)
{
    json_t *out = json_array();

    for (size_t i = 0; i < explain->n_near; i++) {
        const struct nm_near *near = &explain->near[i];
        char story[NM_ID_BYTES];
        nm_hex_write(near->story.name, NM_RAW_ID, story);
        json_t *row = other_json(&near->known);
        (void)json_object_set_new(row, "similarity", real_json(near->similarity));
        (void)json_object_set_new(row, "sharedWeight", real_json(near->shared));
        (void)json_object_set_new(row, "story",
                                  json_pack("{s:s, s:I, s:o, s:o}", "id", story, "size", (json_int_t)near->story.n,
                                            "cosine", real_json(near->fit.cosine), "score",
                                            real_json(near->fit.score)));
        (void)json_object_set_new(row, "reasons", reasons_json(&explain->linking, near));
        (void)json_object_set_new(row, "terms", terms_json(explain, &near->known.vector));
        (void)json_array_append_new(out, row);
    }
    return out;
}

/* ---- who made what ---- */

static void add_maker(json_t *list, const char *what, const char *worker, const char *schema, int64_t revision)
{
    if (revision < 0)
        return;
    (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:o*}", "what", what, "worker", worker, "schema",
                                                schema, "revision", (json_int_t)revision, "time", time_json(revision)));
}

/* The revision that publish works with beside the newest on the stream: they differ while it is behind. */
static json_t *made_json(const struct nm_explain *explain)
{
    const struct nm_known *self = &explain->self;
    json_t *out = json_array();

    add_maker(out, "article", "normalize", explain->article.root ? explain->article.schema : "article/1",
              explain->article.root ? explain->article.revision : self->part_revision[NM_PART_ARTICLE]);
    for (size_t i = 0; i < NM_N_FACETS; i++) {
        const struct nm_found *facet = &explain->facet[i];
        int64_t taken = self->part_revision[NM_PART_IMAGES + i];
        size_t before = json_array_size(out);
        add_maker(out, nm_facet_names[i], nm_facet_names[i], facet->root ? facet->schema : "facet/1",
                  facet->root ? facet->revision : taken);
        json_t *row = json_array_get(out, before);
        if (row && taken >= 0)
            (void)json_object_set_new(row, "takenRevision", json_integer(taken));
        if (row && json_is_null(json_object_get(facet->root, "data")))
            (void)json_object_set_new(row, "retracted", json_true());
    }
    add_maker(out, "record", "publish", "record/1", self->revision);
    return out;
}

static void set(json_t *root, const char *name, json_t *value)
{
    if (value)
        (void)json_object_set_new(root, name, value);
}

json_t *nm_explain_json(const struct nm_explain *explain)
{
    const char *state = state_of(explain);
    bool known = strcmp(state, "known") == 0;
    json_t *out = json_object();

    if (explain->has_id)
        set(out, "id", json_string(explain->id));
    set(out, "state", json_string(state));
    set(out, "article", article_json(explain));
    set(out, "retracted", retracted_json(explain));
    if (known || strcmp(state, "retracted") == 0)
        set(out, "published", published_json(explain));
    if (known) {
        set(out, "heat", heat_json(explain));
        set(out, "thresholds", thresholds_json(&explain->linking));
        set(out, "story", story_json(explain));
        set(out, "links", links_json(explain));
        set(out, "near", near_json(explain));
    }
    set(out, "made", made_json(explain));
    set(out, "deadLetters", explain->letters ? json_incref(explain->letters) : json_array());
    set(out, "notes", explain->notes ? json_incref(explain->notes) : json_array());
    return out;
}
