/* test_config_members.c - options that are mappings of lists or of mappings: names, values, precedence, secrets. */
#include "config_case.h"

static void check_strings(const struct nm_strings *strings, const char *const *want)
{
    size_t n = 0;
    for (; want[n]; n++) {
        assert_true(n < strings->n);
        assert_string_equal(strings->item[n], want[n]);
    }
    assert_int_equal(strings->n, n);
}
#define CHECK_STRINGS(strings, ...) check_strings(strings, (const char *const[]){__VA_ARGS__, NULL})

static void lists__are_stored_by_name(void **state)
{
    (void)state;
    struct demo demo = demo_of(&(struct config_case){.text = "demo.lists:\n"
                                                             "  url: [/a, \"/b,c\"]\n"
                                                             "  title:\n"
                                                             "    - /x\n"
                                                             "demo.lists.images: [/i]\n"});
    assert_int_equal(demo.lists.n, 3);
    assert_string_equal(demo.lists.item[0].name, "url");
    CHECK_STRINGS(&demo.lists.item[0].strings, "/a", "/b,c");
    assert_string_equal(demo.lists.item[1].name, "title");
    CHECK_STRINGS(&demo.lists.item[1].strings, "/x");
    assert_string_equal(demo.lists.item[2].name, "images");
    CHECK_STRINGS(&demo.lists.item[2].strings, "/i");
    nm_options_clear(demo_options, &demo);
    assert_null(demo.lists.item);
}

static void maps__are_stored_with_both_names(void **state)
{
    (void)state;
    struct demo demo = demo_of(&(struct config_case){.path = "conf/t.yaml",
                                                     .text = "demo.maps:\n"
                                                             "  1: {file: k1}\n"
                                                             "  2: {env: KEY_2}\n"
                                                             "  3.file: /abs/k3\n"
                                                             "demo.maps.4: {file: k4}\n"
                                                             "demo.maps.4294967295.env: E\n"});
    static const char *const want[][2] = {{"1.file", "conf/k1"},
                                          {"2.env", "KEY_2"},
                                          {"3.file", "/abs/k3"},
                                          {"4.file", "conf/k4"},
                                          {"4294967295.env", "E"}};
    assert_int_equal(demo.maps.n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(demo.maps.item[i].name, want[i][0]);
        assert_string_equal(demo.maps.item[i].value, want[i][1]);
    }
    nm_options_clear(demo_options, &demo);
}

static void json__is_read_alike(void **state)
{
    (void)state;
    struct demo demo = demo_of(&(struct config_case){
        .path = "t.json", .text = "{\"demo\": {\"lists\": {\"url\": [\"/a\"]}, \"maps\": {\"1\": {\"env\": \"E\"}}}}"});
    CHECK_STRINGS(&demo.lists.item[0].strings, "/a");
    assert_string_equal(demo.maps.item[0].name, "1.env");
    nm_options_clear(demo_options, &demo);
}

static void lists__are_checked(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"demo.lists: {}\n", NULL},
        {"demo.lists:\n", NULL},
        {"demo.lists:\n  titel: [/a]\n",
         "t.yaml:2:3: error: unknown member 'titel' of demo.lists; did you mean 'title'?\n"},
        {"demo.lists:\n  nothing: [/a]\n",
         "t.yaml:2:3: error: unknown member 'nothing' of demo.lists; expected one of title, url, images\n"},
        {"demo.lists: {\"\": [/a]}\n", "t.yaml:1:14: error: demo.lists has a member without a name\n"},
        {"demo.lists.image: [/a]\n",
         "t.yaml:1:1: error: unknown member 'image' of demo.lists; did you mean 'images'?\n"},
        {"demo.lists: {url: /a}\n",
         "t.yaml:1:19: error: demo.lists.url is a single value; expected a list such as [a, b]\n"},
        {"demo.lists: {url: {a: b}}\n",
         "t.yaml:1:19: error: demo.lists.url is a mapping; expected a list such as [a, b]\n"},
        {"demo.lists: {url: }\n",
         "t.yaml:1:19: error: demo.lists.url has no value; expected a list, [] where it is empty\n"},
        {"demo.lists: {url: []}\n", "t.yaml:1:19: error: demo.lists.url has 0 entries, not 1 to 3\n"},
        {"demo.lists: {url: [a, b, c, d]}\n", "t.yaml:1:19: error: demo.lists.url has 4 entries, not 1 to 3\n"},
        {"demo.lists: {url: [a, b, c]}\n", NULL},
        {"demo.lists: {url: [a, [b]]}\n", "t.yaml:1:23: error: an entry of demo.lists.url is a list; expected text\n"},
        {"demo.lists: {url: [a, forbidden]}\n", "t.yaml:1:23: error: demo.lists.url is forbidden\n"},
        {"demo.lists: [a]\n", "t.yaml:1:13: error: demo.lists is a list; expected a mapping of names to lists\n"},
        {"demo.lists: {url: [a], url: [b]}\n", "t.yaml:1:24: error: 'url' stands here twice, first in line 1\n"},
        {"demo.lists: {url: [a]}\ndemo.lists.url: [b]\n",
         "t.yaml:2:1: error: demo.lists.url is given twice, first in line 1\n"},
    };
    CHECK_CASES(cases, .path = NULL);
}

static void maps__are_checked_and_never_quote_a_value(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"demo.maps: {}\n", NULL},
        {"demo.maps: {1: {file: x, env: y}}\n", NULL}, /* which of them is the worker's to say */
        {"demo.maps: {1: {fil: x}}\n",
         "t.yaml:1:17: error: unknown member 'fil' of demo.maps.1; did you mean 'file'?\n"},
        {"demo.maps: {1: {inline: x}}\n",
         "t.yaml:1:17: error: unknown member 'inline' of demo.maps.1; expected one of file, env\n"},
        {"demo.maps: {1: sesame}\n",
         "t.yaml:1:16: error: demo.maps.1 is a single value; expected a mapping such as {file: ...}\n"},
        {"demo.maps: {1: [a]}\n",
         "t.yaml:1:16: error: demo.maps.1 is a list; expected a mapping such as {file: ...}\n"},
        {"demo.maps: {1: }\n",
         "t.yaml:1:16: error: demo.maps.1 has no value; expected a mapping such as {file: ...}\n"},
        {"demo.maps: {1: {}}\n", "t.yaml:1:16: error: demo.maps.1 has no members\n"},
        {"demo.maps: {0: {env: E}}\n",
         "t.yaml:1:17: error: '0' in demo.maps is not a whole number within 1..4294967295\n"},
        {"demo.maps: {01: {env: E}}\n",
         "t.yaml:1:18: error: '01' in demo.maps is not a whole number within 1..4294967295\n"},
        {"demo.maps: {4294967296: {env: E}}\n",
         "t.yaml:1:26: error: '4294967296' in demo.maps is not a whole number within 1..4294967295\n"},
        {"demo.maps: {first: {env: E}}\n",
         "t.yaml:1:21: error: 'first' in demo.maps is not a whole number within 1..4294967295\n"},
        {"demo.maps: {1: {file: \"\"}}\n", "t.yaml:1:23: error: demo.maps.1.file is empty\n"},
        {"demo.maps: {1: {file: [a]}}\n", "t.yaml:1:23: error: demo.maps.1.file is a list; expected text\n"},
        {"demo.maps: {1: {env: \"a\\nb\"}}\n",
         "t.yaml:1:22: error: demo.maps.1.env has a control character such as a line break\n"},
        {"demo.maps: {1: {env: forbidden}}\n", "t.yaml:1:22: error: demo.maps.1.env is forbidden\n"},
        {"demo.maps: x\n",
         "t.yaml:1:12: error: demo.maps is a single value; expected a mapping of names to mappings\n"},
        {"demo.maps.1.file: a\ndemo.maps: {1: {file: b}}\n",
         "t.yaml:2:17: error: demo.maps.1.file is given twice, first in line 1\n"},
    };
    CHECK_CASES(cases, .path = NULL);
}

static void order__each_member_is_looked_for_by_itself(void **state)
{
    (void)state;
    static char *sets[] = {"demo.lists.url=/s, /t", "demo.maps.1.file=k", NULL};
    struct demo demo = demo_of(&(struct config_case){
        .path = "conf/t.yaml",
        .text = "demo: {lists: {url: [/f], title: [/f], images: [/f]}, maps: {1: {file: f}, 2: {file: f}}}\n"
                "workers: {alpha: {demo.lists: {title: [/w]}, demo.maps: {2: {file: w}}}}\n",
        .sets = sets});
    assert_int_equal(demo.lists.n, 3);
    CHECK_STRINGS(&demo.lists.item[0].strings, "/s", "/t");
    CHECK_STRINGS(&demo.lists.item[1].strings, "/w");
    CHECK_STRINGS(&demo.lists.item[2].strings, "/f");
    assert_string_equal(demo.maps.item[0].value, "conf/k");
    assert_string_equal(demo.maps.item[1].value, "conf/w");
    nm_options_clear(demo_options, &demo);
}

static void set__needs_a_member(void **state)
{
    (void)state;
    static const struct {
        char *set;
        const char *want;
    } cases[] = {
        {"demo.lists=/a", "--set: error: demo.lists is a mapping; set its members: demo.lists.NAME=VALUE\n"},
        {"demo.lists.titel=/a", "--set: error: unknown member 'titel' of demo.lists; did you mean 'title'?\n"},
        {"demo.lists.url=", "--set: error: demo.lists.url has 0 entries, not 1 to 3\n"},
        {"demo.maps.1=sesame", "--set: error: demo.maps.1 is a single value; expected a mapping such as {file: ...}\n"},
        {"demo.maps.1.env=\xff", "--set: error: demo.maps.1.env is not UTF-8\n"},
        {"demo.maps.=x", "--set: error: demo.maps. is a single value; expected a mapping such as {file: ...}\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *sets[] = {cases[i].set, NULL};
        check_case(&(struct config_case){.text = "", .want = cases[i].want, .sets = sets});
    }
    char *env[] = {"NEWSMILL_DEMO_LISTS=/a", NULL};
    check_case(&(struct config_case){.text = "",
                                     .want = "environment: error: NEWSMILL_DEMO_LISTS: a mapping cannot stand in a "
                                             "variable; use --set demo.lists.NAME=VALUE\n",
                                     .env = env});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists__are_stored_by_name),
        cmocka_unit_test(maps__are_stored_with_both_names),
        cmocka_unit_test(json__is_read_alike),
        cmocka_unit_test(lists__are_checked),
        cmocka_unit_test(maps__are_checked_and_never_quote_a_value),
        cmocka_unit_test(order__each_member_is_looked_for_by_itself),
        cmocka_unit_test(set__needs_a_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
