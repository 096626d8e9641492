/* test_tool_explain_linkage.c - vectors as they lie in Redis, shared terms, similarity, and how well a story fits. */
#include "newsmill/linkage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DAY 86400

static const struct nm_linking linking = {
    .gate = 1.6, .floor = 0.4, .alpha = 0.4, .link_half_s = 3 * DAY, .story_half_s = 4 * DAY};

static void assert_near(double value, double want)
{
    if (fabs(value - want) > 1e-6)
        fail_msg("%.9f is not %.9f", value, want);
}

/* A term a letter: its key is the letter and zeros. */
static struct nm_vector vector_of(const char *letters, const double *weight)
{
    struct nm_vector vector = {.n = strlen(letters)};
    for (size_t i = 0; i < vector.n; i++) {
        vector.term[i].key[0] = (unsigned char)letters[i];
        vector.term[i].weight = weight[i];
    }
    return vector;
}

static void vector__is_read_as_it_lies_there(void **state)
{
    (void)state;
    static const unsigned char bytes[] = "abcdefgh\0\0\0\x3f" /* 0.5 */
                                         "ABCDEFGH\0\0\x80\x3f";
    struct nm_vector vector;
    assert_true(nm_vector_read(bytes, 24, 128, &vector));
    assert_int_equal(vector.n, 2);
    assert_near(nm_vector_weight(&vector, (const unsigned char *)"abcdefgh"), 0.5);
    assert_near(nm_vector_weight(&vector, (const unsigned char *)"ABCDEFGH"), 1);
    assert_near(nm_vector_weight(&vector, (const unsigned char *)"abcdefgx"), 0);
    assert_near(nm_vector_length(&vector), sqrt(1.25));
    assert_true(nm_vector_read("", 0, 128, &vector));
    assert_int_equal(vector.n, 0);
    assert_near(nm_vector_length(&vector), 1);
}

static void vector__other_bytes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len, most;
    } cases[] = {
        {"abcdefgh\0\0\0", 11, 128},       {"abcdefgh\0\0\0\x3f?", 13, 128}, {"abcdefgh\0\0\0\xbf", 12, 128}, /* -0.5 */
        {"abcdefgh\0\0\x80\x7f", 12, 128}, /* infinite */
        {"abcdefgh\0\0\xc0\x7f", 12, 128}, /* no number */
        {"abcdefgh\0\0\0\x3f", 12, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_vector vector = {.n = 77};
        assert_false(nm_vector_read(cases[i].bytes, cases[i].len, cases[i].most, &vector));
        assert_int_equal(vector.n, 77);
    }
}

static void shared__are_sorted_by_weight(void **state)
{
    (void)state;
    struct nm_vector a = vector_of("abcd", (const double[]){0.2, 0.9, 0.5, 0.7});
    struct nm_vector b = vector_of("xcba", (const double[]){1, 0.25, 0.5, 0.75});
    struct nm_shared shared[NM_ARTICLE_TERMS];
    assert_int_equal(nm_vector_shared(&a, &b, shared), 3);
    assert_int_equal(shared[0].key[0], 'b');
    assert_near(shared[0].weight, 0.9);
    assert_near(shared[0].other, 0.5);
    assert_int_equal(shared[1].key[0], 'c');
    assert_int_equal(shared[2].key[0], 'a');
    assert_int_equal(nm_vector_shared(&a, &(struct nm_vector){0}, shared), 0);
}

/* The weights are those of the younger one, whichever way they are given. */
static void similarity__as_when_the_younger_was_placed(void **state)
{
    (void)state;
    struct nm_vector v = vector_of("abc", (const double[]){1, 0.5, 0.5}),
                     w = vector_of("ab", (const double[]){0.8, 0.6});
    struct nm_linked old = {&v, 1.2, 1000000}, young = {&w, 1, 1000000 + 3 * DAY};
    double want = (0.64 + 0.36) / 1.2 * (1.4 / 1.6) * (0.4 + 0.6 * 0.5);
    assert_near(nm_similarity(&linking, &young, &old), want);
    assert_near(nm_similarity(&linking, &old, &young), want);
    struct nm_linking plain = {.floor = 0.4};
    assert_near(nm_similarity(&plain, &old, &young), 1 / 1.2); /* no gate, no decay */
    young.norm = 0.1;
    assert_near(nm_similarity(&plain, &old, &young), 1);
    struct nm_vector none = {0};
    struct nm_linked empty = {&none, 1, 0};
    assert_near(nm_similarity(&linking, &old, &empty), 0);
}

static void story__fades_and_mixes(void **state)
{
    (void)state;
    struct nm_vector v = vector_of("ab", (const double[]){0.6, 0.8}), c = vector_of("bc", (const double[]){3, 4});
    struct nm_linked article = {&v, 1, 1000000};
    struct nm_fit fit = nm_story_fit(&linking, &article, &c, 1000000 - 4 * DAY, 0.5);
    assert_near(fit.cosine, 0.5 * 0.8 * 3 / 5);
    assert_near(fit.score, 0.5 * 0.4 * 0.5 + 0.6 * fit.cosine);
    fit = nm_story_fit(&linking, &article, &c, 1000000 + DAY, 0.5); /* the story is younger: it has not faded */
    assert_near(fit.cosine, 0.8 * 3 / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector__is_read_as_it_lies_there),
        cmocka_unit_test(vector__other_bytes_are_refused),
        cmocka_unit_test(shared__are_sorted_by_weight),
        cmocka_unit_test(similarity__as_when_the_younger_was_placed),
        cmocka_unit_test(story__fades_and_mixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
