/* test_tool_explain.c - from what is known of an article to the document and the text, without servers. */
#include "newsmill/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LEAD   "000000000000000000000000000000aa"
#define MEMBER "000000000000000000000000000000bb"

static const char title[] = "Ferry \x1b[31mSonnblick\xe2\x80\xae aground";

static struct nm_known known_of(const char *id, int64_t quality, int64_t at_s)
{
    struct nm_known known = {.linked = true, .at_s = at_s, .quality = quality, .norm = 1, .revision = 7};
    (void)snprintf(known.id, sizeof known.id, "%s", id);
    known.article = json_pack("{s:s, s:s, s:I, s:{s:s}}", "title", title, "locale", "en", "quality",
                              (json_int_t)quality, "provider", "name", "Harbour Gazette");
    known.part_revision[NM_PART_ARTICLE] = 5;
    for (size_t i = NM_PART_IMAGES; i < NM_N_PARTS; i++)
        known.part_revision[i] = -1;
    return known;
}

/* A member of a story of two, led by an article of quality 90. */
static void fill(struct nm_explain *explain, int64_t quality)
{
    *explain = (struct nm_explain){.id = MEMBER, .asked = MEMBER, .has_id = true, .min_quality = 70};
    explain->linking = (struct nm_linking){.link = 0.2, .join = 0.17, .merge = 0.25, .gate = 1.6, .window_s = 1000};
    explain->self = known_of(MEMBER, quality, 100);
    explain->self.story = json_pack("{s:s, s:s, s:i}", "id", LEAD, "lead", LEAD, "size", 2);
    explain->lead = known_of(LEAD, 90, 50);
    explain->story = (struct nm_story){.there = true, .n = 2, .has_lead = true};
    nm_hex_read(LEAD, NM_RAW_ID, explain->story.name);
    nm_hex_read(LEAD, NM_RAW_ID, explain->story.lead);
    explain->place = 1;
    explain->letters = json_array();
}

static json_t *document_of(struct nm_explain *explain)
{
    json_t *document = nm_explain_json(explain);
    assert_non_null(document);
    return document;
}

static void assert_holds(const json_t *document, const char *words)
{
    struct nm_buf out = {0};
    nm_explain_text(document, &out);
    if (!strstr(nm_buf_str(&out), words))
        fail_msg("'%s' is not in\n%s", words, nm_buf_str(&out));
    for (size_t i = 0; i < out.len; i++)
        assert_true(out.data[i] == '\n' || (unsigned char)out.data[i] >= ' ');
    nm_buf_clear(&out);
}

static const char *at(const json_t *document, const char *section, const char *name)
{
    return json_string_value(json_object_get(json_object_get(document, section), name));
}

static void member__why(void **state)
{
    (void)state;
    static const struct {
        int64_t quality, at_s;
        const char *why, *words;
    } cases[] = {
        {60, 100, "quality", "because quality 60 is below 90 of the lead"},
        {90, 100, "older", "because the lead has the same quality, 90, and is older"},
        {95, 100, "lags", "the story is changing: look again"},
        {90, 50, "lags", "the story is changing: look again"}, /* of equals the greater id leads */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_explain *explain = calloc(1, sizeof *explain);
        fill(explain, cases[i].quality);
        explain->self.at_s = cases[i].at_s;
        json_t *document = document_of(explain);
        assert_string_equal(at(document, "story", "why"), cases[i].why);
        assert_string_equal(at(document, "story", "role"), "member");
        assert_string_equal(at(document, "published", "reason"), "member");
        assert_string_equal(at(document, "heat", "reason"), "member");
        assert_holds(document, cases[i].words);
        assert_holds(document, "Ferry [31mSonnblick aground"); /* cleaned */
        json_decref(document);
        nm_explain_clear(explain);
        free(explain);
    }
}

static void lead__published_or_not(void **state)
{
    (void)state;
    static const struct {
        int64_t quality;
        bool holds;
        const char *reason, *words;
    } cases[] = {
        {70, false, "lead", "yes: it leads, and quality 70 is not below publish.minQuality 70"},
        {69, false, "below_min_quality", "no: quality 69 is below publish.minQuality 70"},
        {70, true, "waits", "waits for the facets of publish.expect"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_explain *explain = calloc(1, sizeof *explain);
        fill(explain, cases[i].quality);
        json_decref(explain->self.story);
        explain->self.story = NULL;
        explain->self.holds = cases[i].holds;
        nm_hex_read(MEMBER, NM_RAW_ID, explain->story.lead);
        json_t *document = document_of(explain);
        assert_string_equal(at(document, "published", "reason"), cases[i].reason);
        assert_string_equal(at(document, "story", "why"), "only_one");
        assert_string_equal(at(document, "heat", "reason"), "no_facet_yet");
        assert_holds(document, cases[i].words);
        json_decref(document);
        nm_explain_clear(explain);
        free(explain);
    }
}

/* The newest word counts, whoever has it. */
static void state__known_retracted_dead_or_unknown(void **state)
{
    (void)state;
    static const struct {
        int64_t publish, related; /* revisions; negative: none  */
        bool empty, gone, letter; /* the articles are retracted */
        const char *want;
    } cases[] = {
        {-1, -1, false, false, false, "unknown"}, {-1, -1, false, false, true, "dead"},
        {5, -1, false, false, true, "known"},     {5, -1, true, false, false, "retracted"},
        {5, 6, false, true, false, "retracted"},  {6, 5, false, true, false, "known"},
        {-1, 5, false, true, false, "retracted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_explain *explain = calloc(1, sizeof *explain);
        *explain = (struct nm_explain){.id = MEMBER, .has_id = true, .letters = json_array()};
        explain->self.part_revision[NM_PART_ARTICLE] = cases[i].publish;
        explain->self.part_empty[NM_PART_ARTICLE] = cases[i].empty;
        explain->self.related_revision = cases[i].related;
        explain->self.gone = cases[i].gone;
        if (cases[i].letter)
            (void)json_array_append_new(explain->letters,
                                        json_pack("{s:s, s:s}", "position", "0:1", "code", "not_json"));
        json_t *document = document_of(explain);
        assert_string_equal(json_string_value(json_object_get(document, "state")), cases[i].want);
        assert_holds(document, MEMBER);
        json_decref(document);
        nm_explain_clear(explain);
        free(explain);
    }
}

static void links__name_the_shared_words(void **state)
{
    (void)state;
    struct nm_explain *explain = calloc(1, sizeof *explain);
    fill(explain, 60);
    assert_int_equal(nm_words_read(explain->self.article, &explain->words, NULL), NM_OK);
    assert_string_equal(explain->words.word[0].text, "ferri");
    memcpy(explain->self.vector.term[0].key, explain->words.word[0].key, NM_TERM_KEY_BYTES);
    explain->self.vector.term[0].weight = 0.91;
    memset(explain->self.vector.term[1].key, 0xab, NM_TERM_KEY_BYTES); /* of an earlier text */
    explain->self.vector.term[1].weight = 0.5;
    explain->self.vector.n = 2;
    explain->tie = calloc(1, sizeof *explain->tie);
    explain->n_ties = 1;
    explain->tie[0] = (struct nm_tie){.score = 0.64123, .same_story = true, .known = known_of(LEAD, 90, 50)};
    explain->tie[0].known.vector = explain->self.vector;
    explain->n_near = 1;
    explain->near[0] = (struct nm_near){.known = known_of("000000000000000000000000000000cc", 40, 99999),
                                        .similarity = 0.1,
                                        .apart_s = 2000,
                                        .story = {.there = true, .n = 1},
                                        .fit = {.cosine = 0.26, .score = 0.1}};
    json_t *document = document_of(explain);
    const json_t *terms = json_object_get(json_array_get(json_object_get(document, "links"), 0), "terms");
    assert_string_equal(json_string_value(json_object_get(json_array_get(terms, 0), "term")), "ferri");
    assert_string_equal(json_string_value(json_object_get(json_array_get(terms, 1), "key")), "abababababababab");
    assert_holds(document, "0.6412  Ferry");
    assert_holds(document, "shared: ferri 0.91, ? 0.50");
    assert_holds(document, "further apart than related.windowMs");
    const json_t *reasons = json_object_get(json_array_get(json_object_get(document, "near"), 0), "reasons");
    assert_int_equal(json_array_size(reasons), 2); /* its cosine would be enough to join */
    json_decref(document);
    nm_explain_clear(explain);
    free(explain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(member__why),
        cmocka_unit_test(lead__published_or_not),
        cmocka_unit_test(state__known_retracted_dead_or_unknown),
        cmocka_unit_test(links__name_the_shared_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
