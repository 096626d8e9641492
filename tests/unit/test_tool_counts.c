/* test_tool_counts.c - what the tool counts and remembers: time left of a load, kinds of dead letters, revisions seen.
 */
#include "newsmill/dead_stats.h"
#include "newsmill/load.h"
#include "newsmill/seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

static void load__time_left(void **state)
{
    static const struct {
        unsigned long long done, total;
        int64_t passed_ms;
        const char *text;
    } cases[] = {
        {0, 0, 5000, ""},
        {50, 0, 5000, ""},
        {0, 100, 5000, "0 %"},
        {50, 100, 999, "50 %"}, /* too early to tell */
        {50, 100, 10000, "50 %, 10 s left"},
        {99, 100, 99000, "99 %, 1 s left"},
        {25, 100, 60000, "25 %, 3 min 0 s left"},
        {1, 1000, 10000, "0 %, 2 h 46 min left"},
        {100, 100, 10000, "100 %, 0 s left"},
        {120, 100, 10000, "100 %, 0 s left"}, /* a file that grew */
        {1, UINT64_MAX, INT64_MAX, "0 %, 277777 h 46 min left"},
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        nm_load_eta(cases[i].done, cases[i].total, cases[i].passed_ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void dead_stats__most_frequent_first(void **state)
{
    static const char want[] =
        "{\"code\":\"b\",\"worker\":\"w\",\"stream\":\"s\",\"first\":\"1970-01-01T00:00:01Z\",\"last\":"
        "\"1970-01-01T00:00:03Z\",\"count\":3,\"share\":0.6000}\n"
        "{\"code\":\"a\",\"worker\":\"w\",\"stream\":\"s\",\"first\":\"1970-01-01T00:00:09Z\",\"last\":"
        "\"1970-01-01T00:00:09Z\",\"count\":1,\"share\":0.2000}\n"
        "{\"code\":\"a\",\"worker\":\"w\",\"stream\":\"t\",\"count\":1,\"share\":0.2000}\n";
    struct nm_dead_stats *stats = calloc(1, sizeof *stats);
    struct nm_buf out = {0};

    (void)state;
    assert_non_null(stats);
    nm_dead_stats_add(stats, "a", "w", "t", -1);
    nm_dead_stats_add(stats, "b", "w", "s", 2000);
    nm_dead_stats_add(stats, "a", "w", "s", 9000);
    nm_dead_stats_add(stats, "b", "w", "s", 1000);
    nm_dead_stats_add(stats, "b", "w", "s", 3000);
    nm_dead_stats_sort(stats);
    assert_int_equal(nm_dead_stats_print(stats, true, 100, &out, NULL), NM_OK);
    assert_string_equal(nm_buf_str(&out), want);
    nm_buf_clear(&out);
    free(stats);
}

static void dead_stats__kinds_are_bounded(void **state)
{
    struct nm_dead_stats *stats = calloc(1, sizeof *stats);
    char code[200];

    (void)state;
    assert_non_null(stats);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < NM_DEAD_GROUPS + 100; i++) {
            (void)snprintf(code, sizeof code, "%0100d", i); /* cut where it is kept: all look alike */
            nm_dead_stats_add(stats, i % 2 ? code : code + 95, "w", "s", i);
        }
    }
    assert_int_equal(stats->n, 2 * (NM_DEAD_GROUPS + 100));
    assert_int_equal(stats->n_groups, (NM_DEAD_GROUPS + 100) / 2 + 1);
    for (int i = 0; i < 3 * NM_DEAD_GROUPS; i++) {
        (void)snprintf(code, sizeof code, "c%d", i);
        nm_dead_stats_add(stats, code, "w", "s", i);
    }
    assert_int_equal(stats->n_groups, NM_DEAD_GROUPS + 1);
    assert_string_equal(stats->group[NM_DEAD_GROUPS].code, "(other)");
    assert_true(stats->group[NM_DEAD_GROUPS].n > 1000);
    free(stats);
}

static void seen__tells_updates_from_the_rest(void **state)
{
    static const char one[] = "136ab291632faf53215323ed8744d7a4", two[] = "136ab291632faf53215323ed8744d7a5";
    struct nm_seen *seen = NULL;

    (void)state;
    assert_int_equal(nm_seen_new(&seen, NULL), NM_OK);
    assert_int_equal(nm_seen_note(seen, one, 5), NM_SIGHT_FIRST);
    assert_int_equal(nm_seen_note(seen, two, 5), NM_SIGHT_FIRST);
    assert_int_equal(nm_seen_note(seen, one, 7), NM_SIGHT_UPDATE);
    assert_int_equal(nm_seen_note(seen, one, 6), NM_SIGHT_OLDER);
    assert_int_equal(nm_seen_note(seen, one, 7), NM_SIGHT_AGAIN);
    assert_int_equal(nm_seen_note(seen, two, 6), NM_SIGHT_UPDATE);
    nm_seen_free(seen);
}

/* Most of as many ids as there is room for are remembered, and what was forgotten looks new, never like another one. */
static void seen__forgets_and_never_mixes_up(void **state)
{
    struct nm_seen *seen = NULL;
    char id[33];
    int n_known = 0;

    (void)state;
    assert_int_equal(nm_seen_new(&seen, NULL), NM_OK);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 30000; i++) {
            (void)snprintf(id, sizeof id, "%024x%08x", i, i * 2654435761u);
            enum nm_sight sight = nm_seen_note(seen, id, round + 1);
            assert_true(sight == NM_SIGHT_FIRST || (round == 1 && sight == NM_SIGHT_UPDATE));
            n_known += sight == NM_SIGHT_UPDATE;
        }
    }
    assert_true(n_known > 15000);
    nm_seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load__time_left),
        cmocka_unit_test(dead_stats__most_frequent_first),
        cmocka_unit_test(dead_stats__kinds_are_bounded),
        cmocka_unit_test(seen__tells_updates_from_the_rest),
        cmocka_unit_test(seen__forgets_and_never_mixes_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
