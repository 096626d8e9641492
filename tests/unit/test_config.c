/* test_config.c - which value holds and where it came from, names and their hints, every check of a row, files. */
#include "config_case.h"

#include <jansson.h>
#include <unistd.h>

static void value__each_type_is_stored(void **state)
{
    (void)state;
    struct demo demo = demo_of(&(struct config_case){.path = "conf/t.yaml",
                                                     .text = "demo:\n"
                                                             "  text: words\n"
                                                             "  word: blue\n"
                                                             "  password: open\n"
                                                             "  file: sub/x.txt\n"
                                                             "  waitMs: -5\n"
                                                             "  count: -9223372036854775808\n"
                                                             "  flag: true\n"
                                                             "  list: [c, a, c]\n"
                                                             "  map: {fetch.min.bytes: 1, b: \"\"}\n"});
    assert_string_equal(demo.text, "words");
    assert_string_equal(demo.word, "blue");
    assert_string_equal(demo.secret, "open");
    assert_string_equal(demo.path, "conf/sub/x.txt");
    assert_int_equal(demo.wait_ms, -5);
    assert_true(demo.count == INT64_MIN);
    assert_true(demo.flag);
    assert_int_equal(demo.list.n, 3);
    assert_string_equal(demo.list.item[0], "c");
    assert_string_equal(demo.list.item[2], "c");
    assert_int_equal(demo.map.n, 2);
    assert_string_equal(demo.map.item[0].name, "fetch.min.bytes");
    assert_string_equal(demo.map.item[0].value, "1");
    assert_string_equal(demo.map.item[1].value, "");
    nm_options_clear(demo_options, &demo);
    assert_null(demo.text);
    assert_null(demo.list.item);
    assert_null(demo.map.item);
}

static void value__defaults_hold_without_a_file_value(void **state)
{
    (void)state;
    struct demo demo = demo_of(&(struct config_case){.path = "/etc/t.yaml", .text = "demo:\n"});
    assert_string_equal(demo.text, "hello");
    assert_string_equal(demo.secret, "");
    assert_string_equal(demo.path, "/etc/base.txt");
    assert_int_equal(demo.wait_ms, 20);
    assert_false(demo.flag);
    assert_int_equal(demo.list.n, 2);
    assert_string_equal(demo.list.item[1], "b");
    assert_int_equal(demo.map.n, 0);
    nm_options_clear(demo_options, &demo);
}

static void value__paths_are_relative_to_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *file, *value, *want;
    } cases[] = {
        {"t.yaml", "a/b", "a/b"}, {"x/t.yaml", "a", "x/a"},       {"/t.yaml", "a", "/a"},
        {"x/t.yaml", "/a", "/a"}, {"x/t.yaml", "../a", "x/../a"}, {"x/t.yaml", "\"\"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "demo.file: %s\n", cases[i].value);
        struct demo demo = demo_of(&(struct config_case){.path = cases[i].file, .text = text});
        assert_string_equal(demo.path, cases[i].want);
        nm_options_clear(demo_options, &demo);
    }
}

static void value__rows_are_enforced(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"demo.text: \"\"\n", "t.yaml:1:12: error: demo.text is empty\n"},
        {"demo.text: 12345678901\n", "t.yaml:1:12: error: demo.text has 11 bytes, not 1 to 10\n"},
        {"demo.text: forbidden\n", "t.yaml:1:12: error: demo.text is forbidden\n"},
        {"demo.text: \"a\\tb\"\n", "t.yaml:1:12: error: demo.text has a control character such as a line break\n"},
        {"demo.word: re\n", "t.yaml:1:12: error: demo.word is 're', not one of red, green, blue\n"},
        {"demo.word: red|green\n", "t.yaml:1:12: error: demo.word is 'red|green', not one of red, green, blue\n"},
        {"demo.password: a long and secret text\n", "t.yaml:1:16: error: demo.password has 22 bytes, not 0 to 20\n"},
        {"demo.list: [a, x]\n", "t.yaml:1:16: error: demo.list is 'x', not one of a, b, c, d\n"},
        {"demo.list: [a, \"\"]\n", "t.yaml:1:16: error: demo.list has an empty entry\n"},
        {"demo.list: [a, b, c, d]\n", "t.yaml:1:12: error: demo.list has 4 entries, not 0 to 3\n"},
        {"demo.list: []\n", NULL},
        {"demo.map: {a: forbidden}\n", "t.yaml:1:15: error: demo.map is forbidden\n"},
        {"demo.map: {\"\": x}\n", "t.yaml:1:12: error: demo.map has a member without a name\n"},
        {"demo.map: {a: \"x\\ny\"}\n", NULL}, /* a certificate has lines */
    };
    CHECK_CASES(cases, .path = NULL);
}

static void value__numbers_are_decimal_and_in_range(void **state)
{
    (void)state;
    static const char *const bad[] = {"x",   "1x",  "0x10", "010",   "-0",     "+1",   "1_000",
                                      "1.0", "1e3", "--1",  "\"-\"", "\" 1\"", "\"\"", "true"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64], want[160];
        bool quoted = bad[i][0] == '"';
        (void)snprintf(text, sizeof text, "demo.waitMs: %s\n", bad[i]);
        (void)snprintf(want, sizeof want, "t.yaml:1:14: error: demo.waitMs is '%.*s', not a whole number\n",
                       quoted ? (int)strlen(bad[i]) - 2 : (int)strlen(bad[i]), bad[i] + quoted);
        check_case(&(struct config_case){.text = text, .want = want});
    }
    static const struct file_case cases[] = {
        {"demo.waitMs: 1000\n", NULL},
        {"demo.waitMs: -5\n", NULL},
        {"demo.waitMs: 0\n", NULL},
        {"demo.waitMs: \"7\"\n", NULL}, /* quoted, as ${VAR} often is */
        {"demo.waitMs: 1001\n", "t.yaml:1:14: error: demo.waitMs is 1001, not within -5..1000 ms\n"},
        {"demo.waitMs: -6\n", "t.yaml:1:14: error: demo.waitMs is -6, not within -5..1000 ms\n"},
        {"demo.waitMs: 99999999999999999999\n",
         "t.yaml:1:14: error: demo.waitMs is 99999999999999999999, not within -5..1000 ms\n"},
        {"demo.count: 9223372036854775807\n", NULL},
        {"demo.count: 9223372036854775808\n", "t.yaml:1:13: error: demo.count is 9223372036854775808, not within "
                                              "-9223372036854775808..9223372036854775807\n"},
        {"alpha.batchItems: 0\n", "t.yaml:1:19: error: alpha.batchItems is 0, not within 1..100 items\n"},
    };
    CHECK_CASES(cases, .path = NULL);
}

static void value__reals_are_digits_and_a_point(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.text = "demo: {share: 1e-1}",
         .want = "t.yaml:1:15: error: demo.share is '1e-1', not a number such as 0.25\n"},
        {.text = "demo: {share: .5}", .want = "t.yaml:1:15: error: demo.share is '.5', not a number such as 0.25\n"},
        {.text = "demo: {share: 1.}", .want = "t.yaml:1:15: error: demo.share is '1.', not a number such as 0.25\n"},
        {.text = "demo: {share: nan}", .want = "t.yaml:1:15: error: demo.share is 'nan', not a number such as 0.25\n"},
        {.text = "demo: {share: 2.01}", .want = "t.yaml:1:15: error: demo.share is 2.01, not within -1..2\n"},
        {.text = "demo: {share: -1.5}", .want = "t.yaml:1:15: error: demo.share is -1.5, not within -1..2\n"},
        {.text = "demo: {share: 2}"},
        {.text = "demo: {share: -0.25}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NM_AUTO(nm_config_free) struct nm_config *config = NULL;
        NM_AUTO(free) char *shown = load_case(&cases[i], &config);
        assert_string_equal(shown, cases[i].want ? cases[i].want : "");
    }
}

static void value__booleans_are_true_and_false(void **state)
{
    (void)state;
    static const char *const bad[] = {"yes", "no", "on", "off", "True", "FALSE", "1", "0", "t", "y"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64], want[160];
        (void)snprintf(text, sizeof text, "demo.flag: %s\n", bad[i]);
        (void)snprintf(want, sizeof want, "t.yaml:1:12: error: demo.flag is '%s'; expected true or false\n", bad[i]);
        check_case(&(struct config_case){.text = text, .want = want});
    }
    check_case(&(struct config_case){.text = "demo.flag: true\n"});
}

static void value__kinds_are_checked(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"demo.text: [a]\n", "t.yaml:1:12: error: demo.text is a list; expected text\n"},
        {"demo.text: {a: b}\n", "t.yaml:1:12: error: demo.text is a mapping; expected text\n"},
        {"demo.text:\n", "t.yaml:1:11: error: demo.text has no value; expected text, \"\" where it is empty\n"},
        {"demo.text: ~\n", "t.yaml:1:12: error: demo.text has no value; expected text, \"\" where it is empty\n"},
        {"demo.waitMs: [1]\n", "t.yaml:1:14: error: demo.waitMs is a list; expected a whole number\n"},
        {"demo.waitMs:\n", "t.yaml:1:13: error: demo.waitMs has no value; expected a whole number\n"},
        {"demo.flag: {}\n", "t.yaml:1:12: error: demo.flag is a mapping; expected true or false\n"},
        {"demo.list: a\n", "t.yaml:1:12: error: demo.list is a single value; expected a list such as [a, b]\n"},
        {"demo.list: {a: b}\n", "t.yaml:1:12: error: demo.list is a mapping; expected a list such as [a, b]\n"},
        {"demo.list:\n", "t.yaml:1:11: error: demo.list has no value; expected a list, [] where it is empty\n"},
        {"demo.list: [[a]]\n", "t.yaml:1:13: error: an entry of demo.list is a list; expected text\n"},
        {"demo.list: [a, ]\n", NULL},
        {"demo.list: [a, ~]\n", "t.yaml:1:16: error: an entry of demo.list has no value; expected text\n"},
        {"demo.map: x\n", "t.yaml:1:11: error: demo.map is a single value; expected a mapping of names to values\n"},
        {"demo.map: [x]\n", "t.yaml:1:11: error: demo.map is a list; expected a mapping of names to values\n"},
        {"demo.map: {a: [x]}\n", "t.yaml:1:15: error: demo.map.a is not a text or number; expected a single value\n"},
        {"demo.map: {a: }\n", "t.yaml:1:15: error: demo.map.a has no value; expected a single value\n"},
        {"demo.map:\n", NULL},
        {"demo: x\n", "t.yaml:1:7: error: demo is a single value; expected a section with options such as demo.text\n"},
        {"demo: [x]\n", "t.yaml:1:7: error: demo is a list; expected a section with options such as demo.text\n"},
        {"alpha.deep: 1\n", "t.yaml:1:13: error: alpha.deep is a single value; expected a section with options such "
                            "as alpha.deep.er.name\n"},
        {"workers: 1\n", "t.yaml:1:10: error: workers is a single value; expected a section with options such as "
                         "workers.NAME.runtime.batchItems\n"},
    };
    CHECK_CASES(cases, .path = NULL);
}

static void name__unknown_ones_get_the_nearest(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"dmeo: {text: x}\n", "t.yaml:1:1: error: unknown option 'dmeo'; did you mean 'demo'?\n"},
        {"demo: {wiatMs: 1}\n", "t.yaml:1:8: error: unknown option 'demo.wiatMs'; did you mean 'demo.waitMs'?\n"},
        {"demo: {waitms: 1}\n", "t.yaml:1:8: error: unknown option 'demo.waitms'; did you mean 'demo.waitMs'?\n"},
        {"demo: {passwrd: 1}\n", "t.yaml:1:8: error: unknown option 'demo.passwrd'; did you mean 'demo.password'?\n"},
        {"demo: {colour: 1}\n", "t.yaml:1:8: error: unknown option 'demo.colour'\n"},
        {"demo: {pw: 1}\n", "t.yaml:1:8: error: unknown option 'demo.pw'\n"},
        {"batchItems: 1\n", "t.yaml:1:1: error: unknown option 'batchItems'; did you mean 'alpha.batchItems'?\n"},
        {"alpha: {deep: {er: {nam: x}}}\n",
         "t.yaml:1:21: error: unknown option 'alpha.deep.er.nam'; did you mean 'alpha.deep.er.name'?\n"},
        {"worker: {}\n", "t.yaml:1:1: error: unknown option 'worker'; did you mean 'workers'?\n"},
        {"workers: {alpa: {}}\n", "t.yaml:1:11: error: no worker is called 'alpa'; did you mean 'alpha'?\n"},
        {"workers: {common: {}}\n", "t.yaml:1:11: error: no worker is called 'common'\n"},
        {"workers: {alpha: {demo: {txt: x}}}\n",
         "t.yaml:1:26: error: unknown option 'demo.txt'; did you mean 'demo.text'?\n"},
        {"workers: {alpha: {workers: {alpha: {}}}}\n", "t.yaml:1:19: error: unknown option 'workers'\n"},
        {"workers: {newsmill: {demo: {text: x}}}\n", NULL},
        {"workers: {alpha: }\n", NULL},
        {"demo.: 1\n", "t.yaml:1:1: error: unknown option 'demo.'; did you mean 'demo'?\n"},
        {"\"\": 1\n", "t.yaml:1:1: error: unknown option ''\n"},
        {"demo: {text.x: 1}\n", "t.yaml:1:8: error: unknown option 'demo.text.x'\n"},
    };
    CHECK_CASES(cases, .path = NULL);
}

static void name__all_problems_are_told_in_the_order_of_the_file(void **state)
{
    (void)state;
    static char *sets[] = {"demo.txt=1", NULL}, *env[] = {"NEWSMILL_NO=1", NULL};
    check_case(&(struct config_case){.text = "demo:\n"
                                             "  waitMs: x\n"
                                             "  text: ${NONE}\n"
                                             "  flag: yes\n"
                                             "  flag: true\n",
                                     .want = "t.yaml:2:11: error: demo.waitMs is 'x', not a whole number\n"
                                             "t.yaml:3:9: error: environment variable NONE is not set\n"
                                             "t.yaml:4:9: error: demo.flag is 'yes'; expected true or false\n"
                                             "t.yaml:5:3: error: 'flag' stands here twice, first in line 4\n"
                                             "environment: error: no option has the variable NEWSMILL_NO\n"
                                             "--set: error: unknown option 'demo.txt'; did you mean 'demo.text'?\n",
                                     .sets = sets,
                                     .env = env});
}

/* The same option from one place after the other; the last row that is on wins. */
static void order__set_environment_worker_file_default(void **state)
{
    (void)state;
    static char *set[] = {"demo.text=first", "demo.text=set", NULL}, *env[] = {"NEWSMILL_DEMO_TEXT=env", NULL};
    static const struct {
        const char *file;
        bool env, set;
        const char *want;
    } cases[] = {
        {"", false, false, "hello"},
        {"demo.text: file\n", false, false, "file"},
        {"demo.text: file\nworkers.beta.demo.text: x\n", false, false, NULL},
        {"demo.text: file\nworkers.newsmill.demo.text: other\n", false, false, "file"},
        {"demo.text: file\nworkers.alpha.demo.text: mine\n", false, false, "mine"},
        {"workers: {alpha: {demo: {text: mine}}}\ndemo.text: file\n", false, false, "mine"},
        {"demo.text: file\nworkers.alpha.demo.text: mine\n", true, false, "env"},
        {"demo.text: file\nworkers.alpha.demo.text: mine\n", true, true, "set"},
        {"", false, true, "set"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_case c = {
            .text = cases[i].file, .env = cases[i].env ? env : NULL, .sets = cases[i].set ? set : NULL};
        if (!cases[i].want) {
            c.want = "t.yaml:2:1: error: no worker is called 'beta'\n";
            check_case(&c);
            continue;
        }
        struct demo demo = demo_of(&c);
        assert_string_equal(demo.text, cases[i].want);
        nm_options_clear(demo_options, &demo);
    }
}

static void order__members_of_a_mapping_are_looked_for_one_by_one(void **state)
{
    (void)state;
    static char *sets[] = {"demo.map.c=set", "demo.map.new.name=a=b", "demo.map.c=last", NULL};
    struct demo demo = demo_of(&(struct config_case){.text = "demo.map: {a: file, b: file, c: file}\n"
                                                             "workers: {alpha: {demo: {map: {b: mine, d: mine}}},\n"
                                                             "          newsmill: {demo: {map: {a: other}}}}\n",
                                                     .sets = sets});
    static const char *const want[][2] = {
        {"a", "file"}, {"b", "mine"}, {"c", "last"}, {"d", "mine"}, {"new.name", "a=b"}};
    assert_int_equal(demo.map.n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(demo.map.item[i].name, want[i][0]);
        assert_string_equal(demo.map.item[i].value, want[i][1]);
    }
    nm_options_clear(demo_options, &demo);
}

static void set__is_checked(void **state)
{
    (void)state;
    static const struct {
        char *set;
        const char *want;
    } cases[] = {
        {"demo.text", "--set: error: 'demo.text' is not NAME=VALUE\n"},
        {"=x", "--set: error: unknown option ''\n"},
        {"dem.text=x", "--set: error: unknown option 'dem.text'; did you mean 'demo.text'?\n"},
        {"demo=x", "--set: error: demo is a section; set one of its options, such as demo.text\n"},
        {"demo.map=x", "--set: error: demo.map is a mapping; set its members: demo.map.NAME=VALUE\n"},
        {"demo.map.=x", "--set: error: demo.map has a member without a name\n"},
        {"demo.waitMs=2000", "--set: error: demo.waitMs is 2000, not within -5..1000 ms\n"},
        {"demo.list=a,,b", "--set: error: demo.list has an empty entry\n"},
        {"demo.list=a,b,c,d", "--set: error: demo.list has 4 entries, not 0 to 3\n"},
        {"demo.list=a, x", "--set: error: demo.list is 'x', not one of a, b, c, d\n"},
        {"demo.text=\xff", "--set: error: demo.text is not UTF-8\n"},
        {"demo.map.a=\xff", "--set: error: demo.map.a is not UTF-8\n"},
        {"workers.alpha.demo.text=x", "--set: error: 'workers.alpha.demo.text': --set is for the program that it is "
                                      "given to; leave out workers.NAME\n"},
        {"demo.text=${HOME}", NULL}, /* variables are for the file */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *sets[] = {cases[i].set, NULL};
        check_case(&(struct config_case){.text = "", .want = cases[i].want, .sets = sets});
    }
    char *lists[] = {"demo.list= a , c", NULL}, *empty[] = {"demo.list=", NULL};
    struct demo demo = demo_of(&(struct config_case){.text = "", .sets = lists});
    assert_int_equal(demo.list.n, 2);
    assert_string_equal(demo.list.item[1], "c");
    nm_options_clear(demo_options, &demo);
    demo = demo_of(&(struct config_case){.text = "", .sets = empty});
    assert_int_equal(demo.list.n, 0);
    nm_options_clear(demo_options, &demo);
}

static void environment__is_checked(void **state)
{
    (void)state;
    static const struct {
        char *variable;
        const char *want;
    } cases[] = {
        {"NEWSMILL_DEMO_WAIT_MS=5", NULL},
        {"NEWSMILL_ALPHA_BATCH_ITEMS=5", NULL},
        {"NEWSMILL_ALPHA_DEEP_ER_NAME=5", NULL},
        {"NEWSMILL_DEMO_LIST=a,b", NULL},
        {"NEWSMILL_DEMO_WAIT_MS=", "environment: error: demo.waitMs is '', not a whole number\n"},
        {"NEWSMILL_DEMO_WAITMS=5", "environment: error: no option has the variable NEWSMILL_DEMO_WAITMS; did you mean "
                                   "'NEWSMILL_DEMO_WAIT_MS'?\n"},
        {"NEWSMILL_DEMO_MAP=a", "environment: error: NEWSMILL_DEMO_MAP: a mapping cannot stand in a variable; use "
                                "--set demo.map.NAME=VALUE\n"},
        {"NEWSMILL_=1", "environment: error: no option has the variable NEWSMILL_\n"},
        {"NEWSMILLDEMO=1", NULL},
        {"NEWSMILL_HOME=/srv", NULL},             /* of the scripts in deploy/ */
        {"NEWSMILL_SERVICE_HOST=10.0.0.1", NULL}, /* Kubernetes, for a service called newsmill, and the next */
        {"NEWSMILL_PORT=tcp://10.0.0.1:80", NULL},
        {"NEWSMILL_PUBLISH_SERVICE_PORT_ADMIN=9602", NULL},
        {"NEWSMILL_PUBLISH_PORT_9602_TCP_ADDR=10.0.0.1", NULL},
        {"NEWSMILL_PORTS=1", "environment: error: no option has the variable NEWSMILL_PORTS\n"},
        {"NEWSMILL_DEMO_TEXT=\xff", "environment: error: demo.text is not UTF-8\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *env[] = {"PATH=/bin", cases[i].variable, NULL};
        check_case(&(struct config_case){.text = "", .want = cases[i].want, .env = env});
    }
}

static const struct nm_option required_options[] = {
    {"demo.text", NM_OPT_STR, DEMO(text), "hello", 0, 0, NULL, NULL, "A text."},
    {"demo.word", NM_OPT_STR, DEMO(word), NULL, 0, 0, NULL, NULL, "A colour."},
    {"demo.waitMs", NM_OPT_INT, DEMO(wait_ms), NULL, 0, 10, NULL, NULL, "A time."},
    {0},
};

static void apply__required_options_are_missed(void **state)
{
    (void)state;
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    NM_AUTO(free) char *shown = load_case(&(struct config_case){.text = "demo.waitMs: 11\n"}, &config);
    assert_string_equal(shown, "");
    struct demo demo = {0};
    struct nm_problems problems = {0};
    struct nm_error err = {0};
    assert_int_equal(nm_config_apply(config, required_options, &demo, &problems, &err), NM_CONFIG);
    assert_string_equal(err.msg, "the options of t.yaml have 2 problems");
    assert_null(demo.text); /* cleared */
    assert_int_equal(problems.n, 2);
    assert_string_equal(problems.item[0].msg, "demo.word is required: A colour.");
    assert_string_equal(problems.item[0].file, "t.yaml");
    assert_int_equal(problems.item[0].line, 0);
    assert_string_equal(problems.item[1].msg, "demo.waitMs is 11, not within 0..10 ms");
    assert_int_equal(problems.item[1].line, 1);
    nm_problems_clear(&problems);
}

static void apply__a_field_of_the_wrong_size_is_refused(void **state)
{
    (void)state;
    static const struct nm_option rows[] = {
        {"demo.waitMs", NM_OPT_INT, DEMO(flag), "1", 0, 10, NULL, NULL, "A long long written into a bool."}, {0}};
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    NM_AUTO(free) char *shown = load_case(&(struct config_case){.text = ""}, &config);
    assert_non_null(shown);
    struct demo demo = {0};
    struct nm_problems problems = {0};
    struct nm_error err = {0};
    assert_int_equal(nm_config_apply(config, rows, &demo, &problems, &err), NM_FATAL);
    assert_string_equal(err.msg, "the table's row demo.waitMs has a field of the wrong type");
    assert_false(demo.flag);
    assert_int_equal(problems.n, 0);
}

static void file__problems_name_the_path(void **state)
{
    (void)state;
    char folder[] = "/tmp/nm_test_config_XXXXXX";
    assert_non_null(mkdtemp(folder));
    char missing[64];
    (void)snprintf(missing, sizeof missing, "%s/none.yaml", folder);
    const struct {
        const char *path, *why;
    } cases[] = {{folder, "cannot be read: Is a directory"}, {missing, "cannot be read: No such file or directory"}};
    for (size_t i = 0; i < 2; i++) {
        NM_AUTO(nm_config_free) struct nm_config *config = NULL;
        struct nm_problems problems = {0};
        struct nm_error err = {0};
        assert_int_equal(nm_config_load(cases[i].path, "alpha", NULL, &config, &problems, &err), NM_CONFIG);
        assert_null(config);
        assert_int_equal(problems.n, 1);
        assert_string_equal(problems.item[0].file, cases[i].path);
        assert_string_equal(problems.item[0].msg, cases[i].why);
        assert_non_null(strstr(err.msg, cases[i].path));
        nm_problems_clear(&problems);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void file__is_read_with_the_linked_tables(void **state)
{
    (void)state;
    char path[] = "/tmp/nm_test_config_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "namespace: trial\nkafka: {broker: x}\n";
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    char *item[] = {"namespace=other"};
    struct nm_strings sets = {item, 1};
    assert_int_equal(nm_config_load(path, "newsmill", &sets, &config, &problems, NULL), NM_CONFIG);
    assert_int_equal(problems.n, 1);
    assert_string_equal(problems.item[0].msg, "unknown option 'kafka.broker'; did you mean 'kafka.brokers'?");
    assert_int_equal(problems.item[0].line, 2);
    assert_int_equal(problems.item[0].column, 9);
    nm_problems_clear(&problems);
    assert_int_equal(nm_config_load("/dev/null", "newsmill", &sets, &config, &problems, NULL), NM_OK);
    (void)unlink(path);
}

static char *print_case(const struct config_case *c, bool json)
{
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    NM_AUTO(free) char *shown = load_case(c, &config);
    assert_string_equal(shown, "");
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    nm_config_print(config, json, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static char *print_sets[] = {"demo.map.x=1", "demo.waitMs=7", NULL}, *print_env[] = {"NEWSMILL_DEMO_FLAG=true", NULL};
static const struct config_case print_input = {
    .path = "d/t.yaml",
    .text = "demo:\n"
            "  text: \"a: b\"\n"
            "  password: hunter2\n"
            "  map: {url: \"http://u:p@h/x\", sasl.password: p, ssl.key.pem: p}\n"
            "  lists: {url: [/a, /b]}\n"
            "  maps: {2: {file: k2}, 1: {env: K}}\n"
            "workers: {alpha: {demo: {list: [c]}}}\n",
    .sets = print_sets,
    .env = print_env,
};

static void print__text_names_value_and_source(void **state)
{
    (void)state;
    NM_AUTO(free) char *text = print_case(&print_input, false);
    assert_string_equal(text, "demo.text: \"a: b\"  # d/t.yaml:2\n"
                              "demo.word: \"red\"  # default\n"
                              "demo.password: \"***\"  # d/t.yaml:3\n"
                              "demo.file: \"d/base.txt\"  # default\n"
                              "demo.waitMs: 7  # --set\n"
                              "demo.count: 8  # default of alpha\n"
                              "demo.flag: true  # environment NEWSMILL_DEMO_FLAG\n"
                              "demo.list: [\"c\"]  # workers.alpha d/t.yaml:7\n"
                              "demo.map: {\"url\":\"http://***@h/x\",\"sasl.password\":\"***\",\"ssl.key.pem\":\"***\","
                              "\"x\":\"1\"}  # d/t.yaml:4, --set\n"
                              "demo.lists: {\"url\":[\"/a\",\"/b\"]}  # d/t.yaml:5\n"
                              "demo.maps: {\"2\":{\"file\":\"d/k2\"},\"1\":{\"env\":\"K\"}}  # d/t.yaml:6\n"
                              "demo.share: 0.5  # default\n"
                              "alpha.batchItems: 64  # default\n"
                              "alpha.deep.er.name: \"\"  # default\n");
    NM_AUTO(nm_config_free) struct nm_config *config = NULL; /* what was printed can be read again */
    NM_AUTO(free) char *shown = load_case(&(struct config_case){.text = text}, &config);
    assert_string_equal(shown, "");
}

static void print__json_has_typed_values(void **state)
{
    (void)state;
    NM_AUTO(free) char *text = print_case(&print_input, true);
    json_t *all = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(all), 14);
    const char *name, *source, *type, *help;
    json_t *value, *def;
    assert_int_equal(json_unpack(json_array_get(all, 4), "{s:s, s:o, s:s, s:s, s:o, s:s !}", "name", &name, "value",
                                 &value, "source", &source, "type", &type, "default", &def, "help", &help),
                     0);
    assert_string_equal(name, "demo.waitMs");
    assert_int_equal(json_integer_value(value), 7);
    assert_string_equal(source, "--set");
    assert_string_equal(type, "integer");
    assert_int_equal(json_integer_value(def), 20);
    assert_string_equal(help, "A time.");
    assert_true(json_is_true(json_object_get(json_array_get(all, 6), "value")));
    assert_int_equal(json_array_size(json_object_get(json_array_get(all, 7), "default")), 2);
    assert_null(strstr(text, "hunter2"));
    json_decref(all);
}

static void number__of_any_table_as_the_program_has_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
        double want;
    } cases[] = {
        {"demo:\n", "demo.waitMs", 20},
        {"demo.waitMs: 7\n", "demo.waitMs", 7},
        {"demo:\n", "demo.count", 8}, /* of its own */
        {"demo:\n", "demo.share", 0.5},
        {"demo.share: 1\nworkers: {alpha: {demo: {share: 0.25}}}\n", "demo.share", 0.25},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NM_AUTO(nm_config_free) struct nm_config *config = NULL;
        NM_AUTO(free) char *shown = load_case(&(struct config_case){.text = cases[i].text}, &config);
        double value = -1;
        assert_string_equal(shown, "");
        assert_int_equal(nm_config_number(config, cases[i].name, &value, NULL), NM_OK);
        assert_true(value >= cases[i].want && value <= cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value__each_type_is_stored),
        cmocka_unit_test(value__defaults_hold_without_a_file_value),
        cmocka_unit_test(value__paths_are_relative_to_the_file),
        cmocka_unit_test(value__rows_are_enforced),
        cmocka_unit_test(value__numbers_are_decimal_and_in_range),
        cmocka_unit_test(value__reals_are_digits_and_a_point),
        cmocka_unit_test(value__booleans_are_true_and_false),
        cmocka_unit_test(value__kinds_are_checked),
        cmocka_unit_test(name__unknown_ones_get_the_nearest),
        cmocka_unit_test(name__all_problems_are_told_in_the_order_of_the_file),
        cmocka_unit_test(order__set_environment_worker_file_default),
        cmocka_unit_test(order__members_of_a_mapping_are_looked_for_one_by_one),
        cmocka_unit_test(set__is_checked),
        cmocka_unit_test(environment__is_checked),
        cmocka_unit_test(apply__required_options_are_missed),
        cmocka_unit_test(apply__a_field_of_the_wrong_size_is_refused),
        cmocka_unit_test(file__problems_name_the_path),
        cmocka_unit_test(file__is_read_with_the_linked_tables),
        cmocka_unit_test(number__of_any_table_as_the_program_has_it),
        cmocka_unit_test(print__text_names_value_and_source),
        cmocka_unit_test(print__json_has_typed_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
