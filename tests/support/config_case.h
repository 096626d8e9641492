/* config_case.h - a small set of option tables, and an option file in memory, for the tests of the reader.
 *
 * The tables are invented: every type of option once, an option of a second owner, nothing of a real worker. */
#ifndef NM_TEST_CONFIG_CASE_H
#define NM_TEST_CONFIG_CASE_H

#include "config_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct demo {
    char *text, *word, *secret, *path;
    long long wait_ms, count;
    double share;
    bool flag;
    struct nm_strings list;
    struct nm_pairs map, maps;
    struct nm_lists lists;
};

static inline enum nm_status demo_check(const char *value, struct nm_error *err)
{
    return strcmp(value, "forbidden") == 0 ? nm_fail(err, NM_CONFIG, "is forbidden") : NM_OK;
}

#define DEMO(member) NM_FIELD(struct demo, member)
static const struct nm_option demo_options[] = {
    {"demo.text", NM_OPT_STR, DEMO(text), "hello", 1, 10, NULL, demo_check, "A text."},
    {"demo.word", NM_OPT_STR, DEMO(word), "red", 0, 0, "red|green|blue", NULL, "A colour."},
    {"demo.password", NM_OPT_SECRET, DEMO(secret), "", 0, 20, NULL, NULL, "A secret."},
    {"demo.file", NM_OPT_PATH, DEMO(path), "base.txt", 0, 0, NULL, NULL, "A path."},
    {"demo.waitMs", NM_OPT_INT, DEMO(wait_ms), "20", -5, 1000, NULL, NULL, "A time."},
    {"demo.count", NM_OPT_INT, DEMO(count), "3", INT64_MIN, INT64_MAX, NULL, demo_check, "A number."},
    {"demo.flag", NM_OPT_BOOL, DEMO(flag), "false", 0, 0, NULL, NULL, "A switch."},
    {"demo.list", NM_OPT_LIST, DEMO(list), "a,b", 0, 3, "a|b|c|d", NULL, "A list."},
    {"demo.map", NM_OPT_MAP, DEMO(map), "", 0, 0, NULL, demo_check, "A mapping."},
    {"demo.lists", NM_OPT_LISTS, DEMO(lists), "", 1, 3, "title|url|images", demo_check, "Lists."},
    {"demo.maps", NM_OPT_MAPS, DEMO(maps), "", 1, 4294967295, "file|env", demo_check, "Maps."},
    {"demo.share", NM_OPT_REAL, DEMO(share), "0.5", -1, 2, NULL, demo_check, "A share."},
    {0},
};

struct alpha {
    long long batch_items;
    char *name;
};
static const struct nm_option alpha_options[] = {
    {"alpha.batchItems", NM_OPT_INT, NM_FIELD(struct alpha, batch_items), "64", 1, 100, NULL, NULL, "A size."},
    {"alpha.deep.er.name", NM_OPT_STR, NM_FIELD(struct alpha, name), "", 0, 0, NULL, NULL, "A name."},
    {"demo.count", NM_OPT_DEFAULT, 0, 0, "8", 0, 0, NULL, NULL, "Another default."},
    {0},
};
static const struct nm_option_table demo_tables[] = {
    {"common", demo_options, NULL},
    {"alpha", alpha_options, NULL},
    {NULL, NULL, NULL},
};

/* Everything but `text` may be left out. sets and env end with NULL. */
struct config_case {
    const char *text; /* of the file */
    const char *want; /* what nm_problems_print() shows; NULL or "": nothing */
    const char *path; /* default "t.yaml" */
    char **sets, **env;
};

/* A file and what nm_problems_print() shows; NULL: nothing. */
struct file_case {
    const char *text, *want;
};

/* *config is set when there are no problems. Returns what nm_problems_print() shows; free() it. */
static inline char *load_case(const struct config_case *c, struct nm_config **config)
{
    static char *none[] = {NULL};
    struct nm_strings sets = {.item = c->sets};
    while (c->sets && c->sets[sets.n])
        sets.n++;
    struct nm_config_input input = {.path = c->path ? c->path : "t.yaml",
                                    .data = c->text,
                                    .len = strlen(c->text),
                                    .program = "alpha",
                                    .sets = &sets,
                                    .tables = demo_tables,
                                    .env = c->env ? c->env : none};
    struct nm_problems problems = {0};
    struct nm_error err = {0};
    char *shown = NULL;
    size_t len;
    enum nm_status status = nm_config_load_input(&input, config, &problems, &err);
    assert_int_equal(status, problems.n > 0 ? NM_CONFIG : NM_OK);
    FILE *out = open_memstream(&shown, &len);
    assert_non_null(out);
    nm_problems_print(&problems, out);
    assert_int_equal(fclose(out), 0);
    nm_problems_clear(&problems);
    return shown;
}

static inline void check_case(const struct config_case *c)
{
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    NM_AUTO(free) char *shown = load_case(c, &config);
    if (strcmp(shown, c->want ? c->want : "") != 0)
        fail_msg("for the file\n%s\nwanted\n%s\ngot\n%s", c->text, c->want ? c->want : "(nothing)", shown);
    assert_int_equal(config != NULL, *shown == '\0');
}

/* `base`: the members that all cases share. */
static inline void check_cases(const struct file_case *cases, size_t n, struct config_case base)
{
    for (size_t i = 0; i < n; i++) {
        base.text = cases[i].text;
        base.want = cases[i].want;
        check_case(&base);
    }
}
#define CHECK_CASES(cases, ...) check_cases(cases, sizeof(cases) / sizeof *(cases), (struct config_case){__VA_ARGS__})

/* The values of demo_options; release with nm_options_clear(). */
static inline struct demo demo_of(const struct config_case *c)
{
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    NM_AUTO(free) char *shown = load_case(c, &config);
    assert_string_equal(shown, "");
    struct nm_problems problems = {0};
    struct demo demo = {0};
    assert_int_equal(nm_config_apply(config, demo_options, &demo, &problems, NULL), NM_OK);
    assert_int_equal(problems.n, 0);
    return demo;
}

#endif
