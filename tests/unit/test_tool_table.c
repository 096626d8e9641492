/* test_tool_table.c - untrusted text on a terminal: cleaning, width, columns; JSON and byte escapes. */
#include "newsmill/latest.h"
#include "newsmill/plain.h"
#include "newsmill/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

static void plain__lines(void **state)
{
    static const struct {
        const char *in;
        unsigned columns;
        const char *want;
        unsigned used;
    } cases[] = {
        {"plain", 10, "plain", 5},
        {"  a\t\n b  ", 10, "a b", 3},
        {"\x1b[31mred\x1b[0m", 20, "[31mred [0m", 11},
        {"a\x7f\xc2\x9b"
         "b",
         10, "a b", 3}, /* DEL and C1 */
        {"a\xe2\x80\xae"
         "b",
         10, "ab", 2},                                   /* right-to-left override */
        {"\xff\xc0", 10, "\xef\xbf\xbd\xef\xbf\xbd", 2}, /* no UTF-8 */
        {"abcdefgh", 5, "abcd…", 5},
        {"abc defgh", 5, "abc…", 4},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5, "\xe6\x97\xa5\xe6\x9c\xac…", 5}, /* two columns each */
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4, "\xe6\x97\xa5…", 3},
        {"e\xcc\x81"
         "e",
         2,
         "e\xcc\x81"
         "e",
         2}, /* a combining mark has no width */
        {"\xcc\x81"
         "e",
         5, "e", 1},
        {"abc", 1, "…", 1},
        {"abc", 0, "", 0},
        {"", 5, "", 0},
        {"a\xc2\xa0\xe2\x80\xa8"
         "b",
         5, "a b", 3}, /* other white space */
    };
    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        struct nm_buf out = {0};
        unsigned used = nm_plain_line(cases[i].in, strlen(cases[i].in), cases[i].columns, &out);
        assert_string_equal(nm_buf_str(&out), cases[i].want);
        assert_int_equal(used, cases[i].used);
        nm_buf_clear(&out);
    }
}

struct pair {
    const char *in, *want;
};

static void check(void (*fn)(const char *, size_t, struct nm_buf *), const struct pair *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct nm_buf out = {0};
        fn(cases[i].in, strlen(cases[i].in), &out);
        assert_string_equal(nm_buf_str(&out), cases[i].want);
        nm_buf_clear(&out);
    }
}

static void plain__json_and_bytes(void **state)
{
    static const struct pair strings[] = {
        {"a\"b\\c\n", "\"a\\\"b\\\\c\\n\""},
        {"\x01\x7f\xc2\x9b", "\"\\u0001\\u007f\\u009b\""},
        {"\xff", "\"\xef\xbf\xbd\""},
        {"\xf3\xa0\x80\x81", "\"\\udb40\\udc01\""}, /* U+E0001, a format character */
        {"\xf0\x9f\x9a\xa2 ferry", "\"\xf0\x9f\x9a\xa2 ferry\""},
    };
    static const struct pair safe[] = {
        {"{\"a\":\"\xc2\x9b\x7f\xe2\x80\xae\xc3\xa9\"}", "{\"a\":\"\\u009b\\u007f\\u202e\xc3\xa9\"}"},
        {"[1,2]", "[1,2]"},
    };
    static const struct pair bytes[] = {
        {"a\n\t\r\\", "a\\n\\t\\r\\\\"},
        {"\x1b[0m\xff\xc3\xa9", "\\x1b[0m\\xff\xc3\xa9"},
        {"\xc2\x9b", "\\xc2\\x9b"},
    };
    (void)state;
    check(nm_json_string, strings, N(strings));
    check(nm_json_safe, safe, N(safe));
    check(nm_visible_bytes, bytes, N(bytes));
}

static const struct nm_column columns[] = {{"heat", true, 4, 8}, {"title", false, 8, 40}, {"id", false, 4, 10}, {0}};

static void fill(struct nm_table *table)
{
    nm_table_init(table, columns);
    nm_table_number(table, 126);
    nm_table_cells(table, "A long title that will not fit everywhere");
    nm_table_cells(table, "abc");
    nm_table_number(table, -1);
    nm_table_cells(table, "\xe6\x97\xa5\xe6\x9c\xac");
    nm_table_cells(table, NULL);
    nm_table_cells(table, "of a row that is not full");
}

static void table__fits_the_width(void **state)
{
    static const struct {
        unsigned width;
        const char *want;
    } cases[] = {
        {80, "heat  title                                     id\n"
             " 126  A long title that will not fit everywhe…  abc\n"
             "  -1  \xe6\x97\xa5\xe6\x9c\xac                                      \n"},
        {30, "heat  title                id\n"
             " 126  A long title that…   abc\n"
             "  -1  \xe6\x97\xa5\xe6\x9c\xac                 \n"},
        {5, "heat  title     id\n"
            " 126  A long…   abc\n"
            "  -1  \xe6\x97\xa5\xe6\x9c\xac      \n"},
    };
    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        struct nm_table table;
        struct nm_buf out = {0};
        fill(&table);
        assert_int_equal(nm_table_print(&table, cases[i].width, &out, NULL), NM_OK);
        assert_string_equal(nm_buf_str(&out), cases[i].want);
        nm_buf_clear(&out);
        nm_table_clear(&table);
    }
}

static void table__streamed_lines_align(void **state)
{
    struct nm_table table;
    struct nm_buf out = {0};

    (void)state;
    nm_table_init(&table, columns);
    assert_int_equal(nm_table_header(&table, 26, &out, NULL), NM_OK);
    for (int i = 0; i < 2; i++) {
        nm_table_number(&table, i * 1000);
        nm_table_cells(&table, i ? "b" : "a");
        nm_table_cells(&table, "id");
        assert_int_equal(nm_table_stream(&table, 26, &out, NULL), NM_OK);
    }
    assert_string_equal(nm_buf_str(&out), "   heat  title     id\n"
                                          "      0  a         id\n"
                                          "   1000  b         id\n");
    nm_buf_clear(&out);
    nm_table_clear(&table);
}

static void table__empty_has_a_header(void **state)
{
    struct nm_table table;
    struct nm_buf out = {0};

    (void)state;
    nm_table_init(&table, columns);
    assert_int_equal(nm_table_print(&table, 80, &out, NULL), NM_OK);
    assert_string_equal(nm_buf_str(&out), "heat  title  id\n");
    nm_buf_clear(&out);
    nm_table_clear(&table);
}

/* ---- the newest revision of each record */

static void add(struct nm_latest *latest, int id, int64_t revision, int heat, const char *published)
{
    char name[NM_ID_BYTES], record[120];

    (void)snprintf(name, sizeof name, "%032d", id);
    (void)snprintf(record, sizeof record, "{\"heat\":%d,\"publishedDateTime\":\"%s\"}", heat,
                   published ? published : "");
    assert_int_equal(
        nm_latest_add(latest, name, revision, published ? record : NULL, strlen(record), record, strlen(record), NULL),
        NM_OK);
}

static void check_order(struct nm_latest *latest, const int *ids, size_t n)
{
    assert_int_equal(nm_latest_sort(latest), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(strtol(latest->row[i]->id, NULL, 10), ids[i]);
}

static void latest__newest_revision_and_order(void **state)
{
    struct nm_latest latest = {.max_rows = 100, .max_bytes = 100000};

    (void)state;
    add(&latest, 1, 10, 50, "2031-04-12T05:30:00Z");
    add(&latest, 2, 10, 90, "2031-04-12T05:30:00Z");
    add(&latest, 3, 10, 50, "2031-04-13T05:30:00Z"); /* as hot as 1, newer */
    add(&latest, 4, 10, 99, "2031-04-12T05:30:00Z");
    check_order(&latest, (const int[]){4, 2, 3, 1}, 4);
    add(&latest, 4, 11, 1, NULL);                   /* retracted */
    add(&latest, 4, 9, 99, "2031-04-12T05:30:00Z"); /* an older one, sent again */
    add(&latest, 1, 11, 95, "2031-04-12T05:30:00Z");
    add(&latest, 1, 10, 5, "2031-04-12T05:30:00Z");
    check_order(&latest, (const int[]){1, 2, 3}, 3);
    add(&latest, 4, 12, 10, "2031-04-12T05:30:00Z");
    check_order(&latest, (const int[]){1, 2, 3, 4}, 4);
    nm_latest_clear(&latest);
}

static void latest__bounded_rows_keep_the_hottest(void **state)
{
    struct nm_latest latest = {.max_rows = 20, .max_bytes = 100000};

    (void)state;
    for (int i = 0; i < 1000; i++)
        add(&latest, i, 1, i * 7919 % 1000, "2031-04-12T05:30:00Z");
    size_t n = nm_latest_sort(&latest);
    assert_true(n <= 20 && n >= 17);
    assert_int_equal(latest.n_dropped + n, 1000);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(latest.row[i]->heat, 999 - (int64_t)i);
    nm_latest_clear(&latest);
}

static void latest__bounded_bytes(void **state)
{
    struct nm_latest latest = {.max_rows = 1000, .max_bytes = 1000};

    (void)state;
    for (int i = 0; i < 200; i++) {
        add(&latest, i, 1, i, "2031-04-12T05:30:00Z");
        assert_true(latest.n_bytes <= 1000);
    }
    assert_true(latest.n_dropped > 150 && latest.n_rows > 5);
    nm_latest_clear(&latest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain__lines),
        cmocka_unit_test(plain__json_and_bytes),
        cmocka_unit_test(table__fits_the_width),
        cmocka_unit_test(table__streamed_lines_align),
        cmocka_unit_test(table__empty_has_a_header),
        cmocka_unit_test(latest__newest_revision_and_order),
        cmocka_unit_test(latest__bounded_rows_keep_the_hottest),
        cmocka_unit_test(latest__bounded_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
