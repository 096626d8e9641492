/* test_option.c - a table as text and as Markdown, units, sizes. */
#include "config_case.h"

#include "newsmill/settings.h"

static char *shown(void (*show)(const struct nm_option *, FILE *), const struct nm_option *options)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    show(options, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

struct some {
    char *a, *b, *c, *d;
    long long n;
    bool flag;
    struct nm_strings list;
    struct nm_pairs map, maps;
    struct nm_lists lists;
};
#define SOME(member) NM_FIELD(struct some, member)
static const struct nm_option some_options[] = {
    {"a.name", NM_OPT_STR, SOME(a), "x", 1, 64, NULL, NULL, "Name of a|b."},
    {"a.word", NM_OPT_STR, SOME(b), NULL, 0, 0, "on|off", NULL, "A word."},
    {"a.key", NM_OPT_SECRET, SOME(c), "k", 0, 0, NULL, NULL, "A key."},
    {"a.file", NM_OPT_PATH, SOME(d), "", 0, 0, NULL, NULL, "A file."},
    {"a.waitMs", NM_OPT_INT, SOME(n), "20", 0, 100, NULL, NULL, "A time."},
    {"a.flag", NM_OPT_BOOL, SOME(flag), "true", 0, 0, NULL, NULL, "A switch."},
    {"a.list", NM_OPT_LIST, SOME(list), "p,q", 1, 5, NULL, NULL, "A list."},
    {"a.map", NM_OPT_MAP, SOME(map), "", 0, 0, NULL, NULL, "A mapping."},
    {"a.lists", NM_OPT_LISTS, SOME(lists), "", 1, 4, "one|two", NULL, "Lists."},
    {"a.maps", NM_OPT_MAPS, SOME(maps), "", 1, 99, "file|env", NULL, "Maps."},
    {0},
};

static void help__shows_type_range_default_and_meaning(void **state)
{
    (void)state;
    NM_AUTO(free) char *text = shown(nm_options_help, some_options);
    assert_string_equal(text,
                        "  a.name (text, 1..64 bytes; default: x)\n      Name of a|b.\n"
                        "  a.word (text, one of on, off; required)\n      A word.\n"
                        "  a.key (secret; default: ***)\n      A key.\n"
                        "  a.file (path; default: empty)\n      A file.\n"
                        "  a.waitMs (integer, 0..100 ms; default: 20)\n      A time.\n"
                        "  a.flag (boolean, true or false; default: true)\n      A switch.\n"
                        "  a.list (list, 1..5 entries; default: p,q)\n      A list.\n"
                        "  a.map (mapping; default: empty)\n      A mapping.\n"
                        "  a.lists (mapping of lists, names: one, two; 1..4 entries each; default: empty)\n"
                        "      Lists.\n"
                        "  a.maps (mapping of mappings, names: 1..99; each with one of file, env; default: empty)\n"
                        "      Maps.\n");
}

static void markdown__rows_are_cells_with_bars_escaped(void **state)
{
    (void)state;
    NM_AUTO(free) char *text = shown(nm_options_markdown, some_options);
    assert_string_equal(text, "| `a.name` | text | `x` | 1..64 bytes | Name of a\\|b. |\n"
                              "| `a.word` | text | required | one of on, off | A word. |\n"
                              "| `a.key` | secret | `***` |  | A key. |\n"
                              "| `a.file` | path | empty |  | A file. |\n"
                              "| `a.waitMs` | integer | `20` | 0..100 ms | A time. |\n"
                              "| `a.flag` | boolean | `true` | true or false | A switch. |\n"
                              "| `a.list` | list | `p,q` | 1..5 entries | A list. |\n"
                              "| `a.map` | mapping | empty |  | A mapping. |\n"
                              "| `a.lists` | mapping of lists | empty | names: one, two; 1..4 entries each | Lists. |\n"
                              "| `a.maps` | mapping of mappings | empty | names: 1..99; each with one of file, env | "
                              "Maps. |\n");
}

static void unit__is_the_last_word_of_the_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *unit;
    } cases[] = {
        {"runtime.batchMs", "ms"},
        {"runtime.batchBytes", "bytes"},
        {"runtime.batchItems", "items"},
        {"state.keepDays", "days"},
        {"normalize.excerptChars", "characters"},
        {"runtime.start", ""},
        {"a.items", ""}, /* no camel hump: a thing, not a unit */
        {"Ms", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(nm_option_unit(cases[i].name), cases[i].unit);
}

static void size__must_fit_the_type(void **state)
{
    (void)state;
    static const struct {
        enum nm_opt_type type;
        size_t size, other;
    } cases[] = {
        {NM_OPT_STR, sizeof(char *), sizeof(struct nm_strings)},
        {NM_OPT_SECRET, sizeof(char *), 1},
        {NM_OPT_PATH, sizeof(char *), 1},
        {NM_OPT_INT, sizeof(long long), sizeof(int)},
        {NM_OPT_BOOL, sizeof(bool), sizeof(long long)},
        {NM_OPT_LIST, sizeof(struct nm_strings), sizeof(char *)},
        {NM_OPT_MAP, sizeof(struct nm_pairs), sizeof(char *)},
        {NM_OPT_LISTS, sizeof(struct nm_lists), sizeof(char *)},
        {NM_OPT_MAPS, sizeof(struct nm_pairs), sizeof(char *)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_option row = {.name = "x", .type = cases[i].type, .size = cases[i].size};
        assert_true(nm_option_size_is_right(&row));
        row.size = cases[i].other;
        assert_false(nm_option_size_is_right(&row));
    }
}

static void clear__is_harmless_twice_and_on_zeros(void **state)
{
    (void)state;
    struct some some = {0};
    nm_options_clear(some_options, &some);
    some.a = strdup("x");
    some.list.item = calloc(2, sizeof *some.list.item);
    assert_non_null(some.list.item);
    some.list.n = 2; /* half filled: the second is NULL */
    some.list.item[0] = strdup("y");
    some.map.item = calloc(1, sizeof *some.map.item);
    assert_non_null(some.map.item);
    some.map.n = 1;
    some.map.item[0].name = strdup("z");
    some.lists.item = calloc(1, sizeof *some.lists.item);
    assert_non_null(some.lists.item);
    some.lists.n = 1;
    some.lists.item[0].name = strdup("w");
    nm_options_clear(some_options, &some);
    nm_options_clear(some_options, &some);
    assert_null(some.a);
    assert_null(some.list.item);
    assert_int_equal(some.map.n, 0);
    assert_null(some.lists.item);
}

/* Every table that is linked: rows that could not work, before an operator meets them. */
static void tables__every_row_is_sound(void **state)
{
    (void)state;
    char *none[] = {NULL};
    struct nm_config_input input = {
        .path = "none.yaml", .data = "", .program = "newsmill", .tables = nm_option_tables, .env = none};
    for (const struct nm_option_table *table = nm_option_tables; table->owner; table++) {
        for (const struct nm_option *row = table->options; row->name; row++) {
            assert_true(nm_option_size_is_right(row));
            assert_true(strlen(row->name) < NM_NAME_BYTES);
            assert_non_null(row->help);
            assert_true(strlen(row->help) > 10 && row->help[strlen(row->help) - 1] == '.');
            if (row->type == NM_OPT_DEFAULT)
                continue;
            if (nm_name_section(nm_option_tables, row->name))
                fail_msg("%s is an option and a section", row->name);
            const char *member;
            if (nm_name_find_map(nm_option_tables, row->name, &member))
                fail_msg("%s stands inside of a mapping", row->name);
        }
        /* Every default passes the checks of its row. */
        NM_AUTO(nm_config_free) struct nm_config *config = NULL;
        struct nm_problems problems = {0};
        assert_int_equal(nm_config_load_input(&input, &config, &problems, NULL), NM_OK);
        struct nm_report report = {.problems = &problems, .path = "none.yaml"};
        for (const struct nm_option *row = table->options; row->name; row++) {
            struct nm_node node = {.kind = NM_NODE_TEXT, .outside = true, .text = row->def};
            const struct nm_option *option =
                row->type == NM_OPT_DEFAULT ? nm_name_find(nm_option_tables, row->name) : row;
            assert_non_null(option);
            if (row->def && !nm_option_has_members(option))
                (void)nm_value_store(option, &node, "", NULL, &report);
        }
        nm_problems_print(&problems, stdout);
        assert_int_equal(report.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help__shows_type_range_default_and_meaning),
        cmocka_unit_test(markdown__rows_are_cells_with_bars_escaped),
        cmocka_unit_test(unit__is_the_last_word_of_the_name),
        cmocka_unit_test(size__must_fit_the_type),
        cmocka_unit_test(clear__is_harmless_twice_and_on_zeros),
        cmocka_unit_test(tables__every_row_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
