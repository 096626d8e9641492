/* test_tool_best.c - the best stories of many, compared with sorting all of them. */
#include "newsmill/best.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct nm_best_row row_of(unsigned n)
{
    struct nm_best_row row = {.size = 1, .last_s = n % 7, .rank = n * 7919 % 101};
    memcpy(row.id, &n, sizeof n);
    return row;
}

static int by_rank(const void *a, const void *b)
{
    const struct nm_best_row *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank > right->rank ? -1 : 1;
    if (left->last_s != right->last_s)
        return left->last_s > right->last_s ? -1 : 1;
    return memcmp(right->id, left->id, sizeof left->id);
}

static void best__is_what_sorting_gives(void **state)
{
    (void)state;
    static const struct {
        size_t rows, most;
    } cases[] = {{0, 5}, {1, 5}, {5, 5}, {500, 1}, {500, 20}, {500, 499}, {500, 1000}, {7, 0}};
    struct nm_best_row all[500], kept[1000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_best best = {.row = kept, .most = cases[i].most};
        for (unsigned n = 0; n < cases[i].rows; n++) {
            all[n] = row_of(n);
            nm_best_add(&best, &all[n]);
            nm_best_add(&best, &all[n / 2]); /* a scan gives keys again */
        }
        nm_best_sort(&best);
        qsort(all, cases[i].rows, sizeof *all, by_rank);
        assert_int_equal(best.n, cases[i].rows < cases[i].most ? cases[i].rows : cases[i].most);
        assert_memory_equal(best.row, all, best.n * sizeof *all);
    }
}

static void hot__heat_or_quality_and_size(void **state)
{
    (void)state;
    static const struct {
        struct nm_best_row row;
        int64_t want;
    } cases[] = {
        {{.size = 1, .has_heat = true, .heat = 126, .has_quality = true, .quality = 86}, 126},
        {{.size = 5, .has_heat = true, .heat = -1}, -1},
        {{.size = 1, .has_quality = true, .quality = 86}, 86},
        {{.size = 5, .has_quality = true, .quality = -20}, 20},
        {{.size = 3}, 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(nm_best_hot(&cases[i].row), cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best__is_what_sorting_gives),
        cmocka_unit_test(hot__heat_or_quality_and_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
