/* test_related.c - the pure parts of related: weights, candidates, facets, what comes in. */
#include "related/related.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct rl_options defaults = {.prior_stories = 5000,
                                           .rarity_exponent = 1.5,
                                           .name_span = 0.4,
                                           .excerpt_weight = 0.4,
                                           .gate = 1.6,
                                           .candidates = 8};

static void assert_near(double is, double wanted)
{
    if (fabs(is - wanted) > 1e-9)
        fail_msg("%.12g is not %.12g", is, wanted);
}

/* A term that nobody had is 1; the rest follows the formula. */
static void weigh__follows_the_formula(void **state)
{
    (void)state;
    struct nm_term term[5] = {{.text = "new", .len = 3},
                              {.text = "often", .len = 5},
                              {.text = "Name", .len = 4},
                              {.text = "2031", .len = 4, .weak = true},
                              {.text = "below", .len = 5, .excerpt = true}};
    struct rl_counts counts[5] = {{0}, {.df = 120, .lower = 120}, {.df = 3, .capital = 3}, {0}, {0}};
    double weight[5];
    double norm = rl_weigh(&defaults, term, counts, 5, 1000, weight);
    assert_near(weight[0], 1);
    double often = pow(log(1 + 6000.0 / 120) / log(6001), 1.5) * (1 + 0.4 * (0.5 / 121 - 0.5));
    assert_near(weight[1], often);
    double name = pow(log(1 + 6000.0 / 3) / log(6001), 1.5) * (1 + 0.4 * (3.5 / 4 - 0.5));
    assert_near(weight[2], name);
    assert_near(weight[3], 0.5);
    assert_near(weight[4], 0.4);
    assert_near(norm, sqrt(1 + often * often + name * name + 0.25 + 0.16));
    assert_near(rl_weigh(&defaults, term, counts, 0, 0, weight), 1);
}

enum { MOST_LISTS = 16, MOST_IDS = 64, SELF = 255 };

/* Lists of ids as Redis gives them. */
struct lists {
    char id[256][RL_ID];
    struct nm_reply element[MOST_LISTS][MOST_IDS], list[MOST_LISTS];
    double weight[MOST_LISTS];
    struct nm_arena arena;
    struct rl_candidate best[RL_CANDIDATES];
};

/* `counted`: ids of tests; they differ in one byte. */
static void lists_init(struct lists *lists, bool counted)
{
    *lists = (struct lists){0};
    for (size_t i = 0; i < 256; i++) {
        lists->id[i][RL_ID - 1] = (char)i;
        if (!counted)
            nm_digest_raw(lists->id[i], RL_ID, lists->id[i], RL_ID);
    }
    for (size_t i = 0; i < MOST_LISTS; i++)
        lists->list[i] = (struct nm_reply){.element = lists->element[i], .type = NM_REPLY_ARRAY};
}

static void lists_add(struct lists *lists, size_t term, size_t id)
{
    lists->element[term][lists->list[term].len++] =
        (struct nm_reply){.str = lists->id[id], .len = RL_ID, .type = NM_REPLY_STR};
}

static size_t find(struct lists *lists, const struct rl_options *options, size_t n, double norm)
{
    struct rl_question question = {.options = options,
                                   .id = (const unsigned char *)lists->id[SELF],
                                   .weight = lists->weight,
                                   .n = n,
                                   .norm = norm};
    size_t n_found;
    nm_arena_reset(&lists->arena);
    assert_int_equal(rl_find(&question, lists->list, &lists->arena, lists->best, &n_found, NULL), NM_OK);
    return n_found;
}

static void candidates__sum_up_and_the_best_come_first(void **state)
{
    (void)state;
    struct lists lists;
    lists_init(&lists, true);
    for (size_t term = 0; term < 12; term++) {
        lists.weight[term] = 0.5;
        lists_add(&lists, term, SELF);
        for (size_t id = term; id < 12; id++)
            lists_add(&lists, term, id);
    }
    assert_int_equal(find(&lists, &defaults, 12, 1), 8);
    for (size_t i = 0; i < 8; i++) {
        assert_memory_equal(lists.best[i].id, lists.id[11 - i], RL_ID);
        assert_near(lists.best[i].dot, 0.25 * (double)(12 - i));
        assert_near(lists.best[i].shared, 0.5 * (double)(12 - i));
    }
    nm_arena_clear(&lists.arena);
}

static void candidates__that_cannot_be_similar_are_left_out(void **state)
{
    (void)state;
    struct lists lists;
    lists_init(&lists, false);
    static const double weight[] = {0.2, 0.9, 0.6}; /* with a norm of 2: 0.2 / 2 * 0.2 / 1.6; 0.25; 0.11 */
    for (size_t i = 0; i < 3; i++) {
        lists.weight[i] = weight[i];
        lists_add(&lists, i, i);
    }
    assert_int_equal(find(&lists, &defaults, 3, 2), 1);
    assert_memory_equal(lists.best[0].id, lists.id[1], RL_ID);
    struct rl_options open = defaults;
    open.gate = 0;
    assert_int_equal(find(&lists, &open, 3, 2), 2);
    assert_memory_equal(lists.best[1].id, lists.id[2], RL_ID);
    nm_arena_clear(&lists.arena);
}

/* The best by sums over all lists, one id after the other. */
static size_t find_plainly(const struct lists *lists, const struct rl_options *options, size_t n, double norm,
                           struct rl_candidate *best)
{
    size_t n_best = 0;
    for (size_t id = 0; id < SELF; id++) {
        struct rl_candidate sum = {.id = (const unsigned char *)lists->id[id]};
        for (size_t term = 0; term < n; term++)
            for (size_t i = 0; i < lists->list[term].len; i++)
                if (lists->element[term][i].str == lists->id[id]) {
                    sum.dot += lists->weight[term] * lists->weight[term];
                    sum.shared += lists->weight[term];
                }
        double bound = sqrt(sum.dot) / norm * (options->gate > 0 ? fmin(1, sum.shared / options->gate) : 1);
        if (bound < RL_LEAST)
            continue;
        size_t at = n_best++;
        for (; at > 0 && (sum.dot > best[at - 1].dot ||
                          (sum.dot >= best[at - 1].dot && memcmp(sum.id, best[at - 1].id, RL_ID) < 0));
             at--)
            best[at] = best[at - 1];
        best[at] = sum;
    }
    return n_best < (size_t)options->candidates ? n_best : (size_t)options->candidates;
}

static void candidates__are_those_of_plain_sums_over_all_lists(void **state)
{
    (void)state;
    unsigned seed = 1;
    size_t n_all = 0;
    for (int round = 0; round < 2000; round++) {
        struct lists lists;
        struct rl_candidate best[256];
        struct rl_options options = defaults;
        double norm = 0;
        size_t n = 1 + (size_t)rand_r(&seed) % MOST_LISTS;
        lists_init(&lists, round % 2 == 0);
        options.gate = round % 3 ? 1.6 : 0;
        for (size_t term = 0; term < n; term++) {
            size_t few = (size_t)rand_r(&seed) % MOST_IDS;
            lists.weight[term] = round % 5 ? rand_r(&seed) % 1000 / 1000.0 : 0.3;
            norm += lists.weight[term] * lists.weight[term];
            for (size_t id = 0; id < SELF; id++)
                if (lists.list[term].len < few && rand_r(&seed) % 4 == 0)
                    lists_add(&lists, term, id);
            lists_add(&lists, term, SELF);
        }
        norm = norm > 0 ? sqrt(norm) : 1;
        size_t n_found = find(&lists, &options, n, norm);
        assert_int_equal(n_found, find_plainly(&lists, &options, n, norm, best));
        for (size_t i = 0; i < n_found; i++) {
            assert_memory_equal(lists.best[i].id, best[i].id, RL_ID);
            assert_false(lists.best[i].dot < best[i].dot || lists.best[i].dot > best[i].dot);
            assert_false(lists.best[i].shared < best[i].shared || lists.best[i].shared > best[i].shared);
        }
        n_all += n_found;
        nm_arena_clear(&lists.arena);
    }
    assert_true(n_all > 4000);
}

static void facet__scores_have_four_decimals_without_zeros_at_the_end(void **state)
{
    (void)state;
    static const struct {
        float score;
        const char *text;
    } cases[] = {{0.64123f, "0.6412"},
                 {0.64127f, "0.6413"},
                 {0.5f, "0.5"},
                 {0.01f, "0.01"},
                 {0.0001f, "0.0001"},
                 {0.00006f, "0.0001"},
                 {0.00004f, "0"},
                 {0.99996f, "1"},
                 {1, "1"},
                 {1.5f, "1"},
                 {0, "0"},
                 {-0.5f, "0"},
                 {(float)NAN, "0"},
                 {0.1f, "0.1"},
                 {0.1001f, "0.1001"},
                 {0.99994f, "0.9999"},
                 {1e-30f, "0"},
                 {(float)INFINITY, "1"}};
    struct nm_arena arena = {0};
    struct nm_buf scratch = {0};
    char id[RL_ID] = "an id of 16 byte", link[RL_ID + 4] = "another of 16 by", want[64];
    const char *text;
    size_t len;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(link + RL_ID, &cases[i].score, 4);
        struct rl_view view = {
            .id = id, .story = id, .lead = id, .size = 2, .revision = 1, .links = link, .n_links = 1};
        assert_int_equal(rl_facet(&view, &scratch, &arena, &text, &len, NULL), NM_OK);
        (void)snprintf(want, sizeof want, "\"score\":%s}]}}", cases[i].text);
        if (!strstr(text, want))
            fail_msg("%g: %s", (double)cases[i].score, text);
    }
    nm_buf_clear(&scratch);
    nm_arena_clear(&arena);
}

static void facet__has_its_members_in_order(void **state)
{
    (void)state;
    struct nm_arena arena = {0};
    struct nm_buf scratch = {0};
    char id[RL_ID], story[RL_ID], links[2 * (RL_ID + 4)];
    const char *text;
    size_t len;
    float scores[2] = {0.64123f, 0.5f};
    memset(id, 0x0f, sizeof id);
    memset(story, 0xa1, sizeof story);
    for (size_t i = 0; i < 2; i++) {
        memset(links + i * (RL_ID + 4), (int)i + 1, RL_ID);
        memcpy(links + i * (RL_ID + 4) + RL_ID, &scores[i], 4);
    }
    struct rl_view view = {.id = id,
                           .story = story,
                           .lead = id,
                           .size = 3,
                           .revision = 1933740143100000,
                           .links = links,
                           .n_links = 2,
                           .shown = links,
                           .n_shown = 1};
    assert_int_equal(rl_facet(&view, &scratch, &arena, &text, &len, NULL), NM_OK);
    assert_string_equal(
        text,
        "{\"id\":\"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\",\"facet\":\"related\",\"revision\":1933740143100000,\"data\":"
        "{\"story\":{\"id\":\"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\",\"lead\":\"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\","
        "\"size\":3},\"related\":[{\"id\":\"01010101010101010101010101010101\",\"score\":0.6412}],"
        "\"links\":[{\"id\":\"01010101010101010101010101010101\",\"score\":0.6412},"
        "{\"id\":\"02020202020202020202020202020202\",\"score\":0.5}]}}");
    assert_int_equal(len, strlen(text));
    view.gone = true;
    assert_int_equal(rl_facet(&view, &scratch, &arena, &text, &len, NULL), NM_OK);
    assert_string_equal(text, "{\"id\":\"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\",\"facet\":\"related\","
                              "\"revision\":1933740143100000,\"data\":null}");
    nm_buf_clear(&scratch);
    nm_arena_clear(&arena);
}

#define STR(text, n) ((struct nm_reply){.str = (text), .len = (n), .type = NM_REPLY_STR})

/* What the scripts do not write is no view, whatever lies in Redis. */
static void view__is_checked(void **state)
{
    (void)state;
    static const char id[] = "0123456789abcdef", links[] = "0123456789abcdef....";
    const struct nm_reply good[7] = {STR(id, 16),  STR(id, 16),    STR(id, 16), STR("2", 1),
                                     STR("99", 2), STR(links, 20), STR("", 0)};
    const struct nm_reply bad[7] = {STR(id, 15), STR(id, 15),    STR(id, 1),   STR("x", 1),
                                    STR("", 0),  STR(links, 19), STR(links, 7)};
    struct nm_reply element[7];
    struct nm_reply reply = {.element = element, .len = 7, .type = NM_REPLY_ARRAY};
    struct rl_view view;
    memcpy(element, good, sizeof good);
    assert_true(rl_view_read(&reply, &view));
    assert_int_equal(view.size, 2);
    assert_int_equal(view.revision, 99);
    assert_int_equal(view.n_links, 1);
    assert_false(view.gone);
    for (size_t i = 0; i < 7; i++) {
        memcpy(element, good, sizeof good);
        element[i] = bad[i];
        assert_false(rl_view_read(&reply, &view));
    }
    memcpy(element, good, sizeof good);
    reply.len = 5;
    assert_false(rl_view_read(&reply, &view));
    assert_false(rl_view_read(&(struct nm_reply){.str = "", .type = NM_REPLY_NIL}, &view));
}

#define KEY           "136ab291632faf53215323ed8744d7a4"
#define ARTICLE(more) "{\"id\":\"" KEY "\",\"revision\":7,\"sourceTime\":1" more "}"
#define WHOLE                                                                                                          \
    ",\"quality\":86,\"title\":\"Ferry Sonnblick aground\",\"locale\":\"en\",\"publishedDateTime\":"                   \
    "\"2031-04-12T05:30:00Z\""

static void read__takes_articles_and_refuses_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *value, *key, *code;
    } cases[] = {
        {ARTICLE(WHOLE), KEY, NULL},
        {ARTICLE(",\"retracted\":true"), KEY, NULL},
        {ARTICLE(WHOLE), "136ab291632faf53215323ed8744d7a5", "wrong_type"},
        {"{", KEY, "not_json"},
        {"[]", KEY, "not_object"},
        {ARTICLE(",\"title\":\"x\",\"publishedDateTime\":\"2031-04-12T05:30:00Z\""), KEY, "wrong_type"},
        {ARTICLE(",\"quality\":1001,\"title\":\"x\",\"publishedDateTime\":\"2031-04-12T05:30:00Z\""), KEY,
         "wrong_type"},
        {ARTICLE(",\"quality\":1,\"publishedDateTime\":\"2031-04-12T05:30:00Z\""), KEY, "wrong_type"},
        {ARTICLE(",\"quality\":1,\"title\":\"x\",\"publishedDateTime\":\"yesterday\""), KEY, "date_invalid"},
        {ARTICLE(",\"quality\":1,\"title\":\"x\",\"excerpt\":7,\"publishedDateTime\":\"2031-04-12\""), KEY,
         "wrong_type"},
    };
    struct nm_terms *terms = NULL;
    struct nm_arena doc = {0}, arena = {0};
    assert_int_equal(nm_terms_new(40, 24, &terms, NULL), NM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_item item = {
            .key = cases[i].key, .key_len = 32, .value = cases[i].value, .value_len = strlen(cases[i].value)};
        struct rl_article article = {0};
        struct nm_error err = {0};
        enum nm_status status = rl_read(terms, &item, &doc, &arena, &article, &err);
        assert_int_equal(status, cases[i].code ? NM_BAD_INPUT : NM_OK);
        assert_string_equal(err.code, cases[i].code ? cases[i].code : "");
        assert_int_equal(article.retracted, i == 1);
        if (i == 0) {
            assert_int_equal(article.n_terms, 3);
            assert_int_equal(article.at_s, 1933738200);
            assert_int_equal(article.quality, 86);
        }
    }
    nm_terms_free(terms);
    nm_arena_clear(&doc);
    nm_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weigh__follows_the_formula),
        cmocka_unit_test(candidates__sum_up_and_the_best_come_first),
        cmocka_unit_test(candidates__that_cannot_be_similar_are_left_out),
        cmocka_unit_test(candidates__are_those_of_plain_sums_over_all_lists),
        cmocka_unit_test(facet__scores_have_four_decimals_without_zeros_at_the_end),
        cmocka_unit_test(facet__has_its_members_in_order),
        cmocka_unit_test(view__is_checked),
        cmocka_unit_test(read__takes_articles_and_refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
