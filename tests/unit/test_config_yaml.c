/* test_config_yaml.c - the two formats: what is refused and where, positions, variables, hostile files. */
#include "config_case.h"

static void yaml__syntax_is_reported_with_its_place(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"demo:\n\ttext: x\n", "t.yaml:2:1: error: not valid YAML: a tab in the indentation; use spaces\n"},
        {"demo: {text: x\n",
         "t.yaml:2:1: error: not valid YAML: did not find expected ',' or '}' (while parsing a flow "
         "mapping in line 1)\n"},
        {"demo: x: y\n", "t.yaml:1:8: error: not valid YAML: mapping values are not allowed in this context\n"},
        {"demo:\n  text: \"\\ud83d\\ude00\"\n",
         "t.yaml:2:12: error: not valid YAML: an escape that is no character; instead of a pair of \\u escapes write "
         "the character itself, or \\U and eight digits\n"},
        {"demo:\n  text: \"a\\0b\"\n", "t.yaml:2:9: error: a NUL character is not allowed\n"},
        {"\xc3\xa4: 1\n\xc3\xa4\xff: 2\n",
         "t.yaml:2:2: error: not a text in UTF-8: invalid leading UTF-8 octet (0xFF)\n"},
        {"demo: \x01\n", "t.yaml:1:7: error: not a text in UTF-8: control characters are not allowed (0x01)\n"},
        {"\xff\xfe"
         "d\n",
         "t.yaml: error: is UTF-16; save it as UTF-8\n"},
        {"- a\n", "t.yaml:1:1: error: the file is a list; expected options such as `namespace: news`\n"},
        {"word\n", "t.yaml:1:1: error: the file is a single value; expected options such as `namespace: news`\n"},
        {"---\ndemo: {}\n---\ndemo: {}\n", "t.yaml:3:1: error: a second document is not allowed\n"},
    };
    CHECK_CASES(cases, .path = NULL);
}

static void yaml__extras_are_refused(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"demo:\n  text: &a x\n", "t.yaml:2:9: error: an anchor ('&a') is not allowed\n"},
        {"demo: &m\n  text: x\n", "t.yaml:1:7: error: an anchor ('&m') is not allowed\n"},
        {"demo:\n  list: &l [a]\n", "t.yaml:2:9: error: an anchor ('&l') is not allowed\n"},
        {"demo:\n  text: *a\n", "t.yaml:2:9: error: an alias ('*a') is not allowed; write the value out\n"},
        {"*a : x\n", "t.yaml:1:1: error: an alias ('*a') is not allowed; write the value out\n"},
        {"demo:\n  text: !!str x\n", "t.yaml:2:9: error: a tag ('tag:yaml.org,2002:str') is not allowed\n"},
        {"demo:\n  text: !x y\n", "t.yaml:2:9: error: a tag ('!x') is not allowed\n"},
        {"demo:\n  waitMs: !!int x\n", "t.yaml:2:11: error: a tag ('tag:yaml.org,2002:int') is not allowed\n"},
        {"!a demo: {}\n", "t.yaml:1:1: error: a tag ('!a') is not allowed\n"},
        {"demo: !!map {}\n", "t.yaml:1:7: error: a tag ('tag:yaml.org,2002:map') is not allowed\n"},
        {"? [a]\n: x\n", "t.yaml:1:3: error: a key must be a word, not a list or mapping\n"},
        {"? {a: b}\n: x\ndemo: {}\n", "t.yaml:1:3: error: a key must be a word, not a list or mapping\n"},
        {"demo: {<<: {text: x}}\n", "t.yaml:1:8: error: unknown option 'demo.<<'\n"},
    };
    CHECK_CASES(cases, .path = NULL);
}

static void yaml__duplicate_keys_are_refused_at_every_depth(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"demo: {text: a}\ndemo: {word: red}\n", "t.yaml:2:1: error: 'demo' stands here twice, first in line 1\n"},
        {"demo:\n  text: a\n  word: red\n  \"text\": b\n",
         "t.yaml:4:3: error: 'text' stands here twice, first in line 2\n"},
        {"demo:\n  map:\n    x: 1\n    x: 1\n", "t.yaml:4:5: error: 'x' stands here twice, first in line 3\n"},
        {"demo.text: a\ndemo:\n  text: b\n", "t.yaml:3:3: error: demo.text is given twice, first in line 1\n"},
        {"demo.map.x: a\ndemo:\n  map: {x: b}\n", "t.yaml:3:9: error: demo.map.x is given twice, first in line 1\n"},
        {"demo.text: a\nworkers.alpha.demo.text: b\n", NULL}, /* two places, no duplicate */
    };
    CHECK_CASES(cases, .path = NULL);
}

static void yaml__empty_files_mean_defaults(void **state)
{
    (void)state;
    static const char *const files[] = {
        "",
        "\n",
        "# nothing here\n\n  # nor here\n",
        "---\n",
        "{}\n",
        "\xef\xbb\xbf",
        "null\n",
        "%YAML 1.1\n---\ndemo: {}\n",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct demo demo = demo_of(&(struct config_case){.text = files[i]});
        assert_string_equal(demo.text, "hello");
        assert_int_equal(demo.wait_ms, 20);
        nm_options_clear(demo_options, &demo);
    }
}

static void yaml__byte_order_mark_does_not_move_the_columns(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"\xef\xbb\xbf"
         "dem: 1\n",
         "t.yaml:1:1: error: unknown option 'dem'; did you mean 'demo'?\n"},
    };
    CHECK_CASES(cases, .path = NULL);
}

static void yaml__values_keep_their_text(void **state)
{
    (void)state;
    static const struct {
        const char *file, *want;
    } cases[] = {
        {"demo: {text: \"q \\u00e4\\n\"}\n", NULL}, /* a line break inside: refused */
        {"demo: {text: \"q \\u00e4\"}\n", "q \xc3\xa4"},
        {"demo: {text: 'it''s'}\n", "it's"},
        {"demo:\n  text: 007\n", "007"},
        {"demo:\n  text: yes\n", "yes"},
        {"demo:\n  text: \"null\"\n", "null"},
        {"demo:\n  text: 'x' # a comment\n", "x"},
        {"demo:\n  text: >-\n    a\n    b\n", "a b"},
        {"demo.text: \"\\U0001F600\"\n", "\xf0\x9f\x98\x80"},
    };
    for (size_t i = 1; i < sizeof cases / sizeof *cases; i++) {
        struct demo demo = demo_of(&(struct config_case){.text = cases[i].file});
        assert_string_equal(demo.text, cases[i].want);
        nm_options_clear(demo_options, &demo);
    }
    check_case(&(struct config_case){
        .text = cases[0].file, .want = "t.yaml:1:14: error: demo.text has a control character such as a line break\n"});
}

/* `n` times `unit`, between `head` and `tail`; free() it. */
static char *repeat(const char *head, const char *unit, size_t n, const char *tail)
{
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, head);
    for (size_t i = 0; i < n; i++)
        nm_buf_adds(&buf, unit);
    nm_buf_adds(&buf, tail);
    char *text = nm_buf_take(&buf);
    assert_non_null(text);
    return text;
}

static void yaml__hostile_sizes_end_early(void **state)
{
    (void)state;
    NM_AUTO(free) char *deep = repeat("", "[", 500000, "");
    NM_AUTO(free) char *deep_block = repeat("demo: ", "{a: ", 16, "");
    NM_AUTO(free) char *large = repeat("# ", "x", 1024 * 1024, "\n");
    NM_AUTO(free) char *full = repeat("# ", "x", 1024 * 1024 - 3, "\n");
    const struct file_case cases[] = {
        {deep, "t.yaml:1:17: error: nested deeper than 16\n"},
        {deep_block, "t.yaml:1:67: error: nested deeper than 16\n"},
        {large, "t.yaml: error: is larger than 1 MiB\n"},
        {full, NULL},
    };
    CHECK_CASES(cases, .path = NULL);
    struct nm_buf keys = {0};
    nm_buf_adds(&keys, "demo:\n  map:\n");
    for (int i = 0; i < 60000; i++)
        nm_buf_addf(&keys, "    k%d: 1\n", i);
    check_case(&(struct config_case){.text = nm_buf_str(&keys),
                                     .want = "t.yaml:1003:5: error: more than 1000 keys in one mapping\n"});
    nm_buf_reset(&keys);
    for (int i = 0; i < 300; i++)
        nm_buf_addf(&keys, "unknown%d: 1\n", i);
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    NM_AUTO(free) char *shown = load_case(&(struct config_case){.text = nm_buf_str(&keys)}, &config);
    assert_non_null(strstr(shown, "t.yaml:100:1: error: unknown option 'unknown99'\n"
                                  "t.yaml: error: there are more problems; they are not shown\n"));
    assert_null(strstr(shown, "unknown100"));
    nm_buf_clear(&keys);
}

static void yaml__text_of_the_file_cannot_steer_the_terminal(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"\"\\e[31mred\": 1\n", "t.yaml:1:1: error: unknown option '?[31mred'\n"},
        {"demo.word: \"\\u202ered\"\n", "t.yaml:1:12: error: demo.word is '\?\?\?red', not one of red, green, blue\n"},
        {"\"a\\nb\": 1\n", "t.yaml:1:1: error: unknown option 'a?b'\n"},
    };
    CHECK_CASES(cases, .path = NULL);
}

static void json__is_read_by_the_name(void **state)
{
    (void)state;
    struct config_case c = {
        .path = "t.json",
        .text = "{\"demo\": {\"text\": \"\\ud83d\\ude00\", \"waitMs\": -5, \"flag\": true, \"list\": [\"c\"], "
                "\"map\": {\"r\": 0.5, \"b\": false, \"n\": 12}}}"};
    struct demo demo = demo_of(&c);
    assert_string_equal(demo.text, "\xf0\x9f\x98\x80");
    assert_int_equal(demo.wait_ms, -5);
    assert_true(demo.flag);
    assert_int_equal(demo.list.n, 1);
    assert_string_equal(demo.list.item[0], "c");
    assert_int_equal(demo.map.n, 3);
    assert_string_equal(demo.map.item[0].value, "0.5");
    assert_string_equal(demo.map.item[1].value, "false");
    assert_string_equal(demo.map.item[2].value, "12");
    nm_options_clear(demo_options, &demo);
}

static void json__problems(void **state)
{
    (void)state;
    NM_AUTO(free) char *deep = repeat("{\"demo\": ", "[", 16, "]]]]]]]]]]]]]]]]}");
    const struct file_case cases[] = {
        {"", "t.json:1:1: error: not valid JSON: '[' or '{' expected near end of file\n"},
        {"{\n \"demo\": {\"text\": }\n}", "t.json:2:19: error: not valid JSON: unexpected token near '}'\n"},
        {"{\"a\": 1, \"a\": 2}", "t.json:1:12: error: not valid JSON: duplicate object key near '\"a\"'\n"},
        {"{} {}", "t.json:1:4: error: not valid JSON: end of file expected near '{'\n"},
        {"[]", "t.json: error: the file is a list; expected options such as `namespace: news`\n"},
        {"{\"demo\": {\"waitMs\": 1.5}}", "t.json: error: demo.waitMs is '1.5', not a whole number\n"},
        {"{\"demo\": {\"waitMs\": null}}", "t.json: error: demo.waitMs has no value; expected a whole number\n"},
        {"{\"dmo\": 1}", "t.json: error: unknown option 'dmo'; did you mean 'demo'?\n"},
        {"{\"demo\": {\"text\": \"a\\u0000b\"}}", "t.json:1:28: error: a NUL character is not allowed\n"},
        {deep, "t.json: error: nested deeper than 16\n"},
    };
    CHECK_CASES(cases, .path = "t.json");
}

static char *variables[] = {"HOST=h.example", "EMPTY=", "DOLLAR=${HOST}$$", "BAD=\xff", "NUMBER=12", NULL};

static void variables__are_put_into_values(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"${HOST}", "h.example"},
        {"<${NUMBER}>", "<12>"},
        {"${NONE:-d e}", "d e"},
        {"${EMPTY:-x}", "x"},
        {"${NONE:-}${NUMBER}", "12"},
        {"${NUMBER:?m}", "12"},
        {"$$", "$"},
        {"$${HOST}", "${HOST}"},
        {"$", "$"},
        {"a$b$", "a$b$"},
        {"$$$$", "$$"},
        {"${DOLLAR}", "${HOST}$$"}, /* no second round */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf file = {0};
        nm_buf_addf(&file, "demo: {text: \"%s\"}\n", cases[i].in);
        struct demo demo = demo_of(&(struct config_case){.text = nm_buf_str(&file), .env = variables});
        assert_string_equal(demo.text, cases[i].want);
        nm_options_clear(demo_options, &demo);
        nm_buf_clear(&file);
    }
}

static void variables__problems(void **state)
{
    (void)state;
    static const struct file_case cases[] = {
        {"demo:\n  text: ${NONE}\n", "t.yaml:2:9: error: environment variable NONE is not set\n"},
        {"demo:\n  text: ${NONE:?say where}\n", "t.yaml:2:9: error: environment variable NONE: say where\n"},
        {"demo:\n  text: ${EMPTY:?}\n", "t.yaml:2:9: error: environment variable EMPTY is not set\n"},
        {"demo.text: ${HOST\n",
         "t.yaml:1:12: error: '${HOST' is none of ${VAR}, ${VAR:-default}, ${VAR:?message}; $$ is a dollar\n"},
        {"demo.text: \"${1X}\"\n",
         "t.yaml:1:12: error: '${1X}' is none of ${VAR}, ${VAR:-default}, ${VAR:?message}; $$ is a dollar\n"},
        {"demo.text: \"${A:-${B}}\"\n",
         "t.yaml:1:12: error: '${A:-${B}}' is none of ${VAR}, ${VAR:-default}, ${VAR:?message}; $$ is a dollar\n"},
        {"demo.text: \"${A:+b}\"\n",
         "t.yaml:1:12: error: '${A:+b}' is none of ${VAR}, ${VAR:-default}, ${VAR:?message}; $$ is a dollar\n"},
        {"demo.text: ${BAD}\n", "t.yaml:1:12: error: the value is not UTF-8 after variables are put in\n"},
        {"demo.waitMs: ${HOST}\n", "t.yaml:1:14: error: demo.waitMs is 'h.example', not a whole number\n"},
        {"demo.list: [a, \"${NONE}\"]\n", "t.yaml:1:16: error: environment variable NONE is not set\n"},
        {"demo.map: {x: \"${NONE}\"}\n", "t.yaml:1:15: error: environment variable NONE is not set\n"},
        {"\"${HOST}\": 1\n", "t.yaml:1:1: error: unknown option '${HOST}'\n"},
    };
    CHECK_CASES(cases, .env = variables);
}

static void variables__growth_is_bounded(void **state)
{
    (void)state;
    NM_AUTO(free) char *big = repeat("BIG=", "x", 100000, "");
    char *env[] = {big, NULL};
    NM_AUTO(free) char *file = repeat("demo.map.x: \"", "${BIG}", 100000, "\"\n");
    check_case(&(struct config_case){
        .text = file,
        .want = "t.yaml:1:13: error: the values are longer than 4 MiB after variables are put in\n",
        .env = env});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml__syntax_is_reported_with_its_place),
        cmocka_unit_test(yaml__extras_are_refused),
        cmocka_unit_test(yaml__duplicate_keys_are_refused_at_every_depth),
        cmocka_unit_test(yaml__empty_files_mean_defaults),
        cmocka_unit_test(yaml__byte_order_mark_does_not_move_the_columns),
        cmocka_unit_test(yaml__values_keep_their_text),
        cmocka_unit_test(yaml__hostile_sizes_end_early),
        cmocka_unit_test(yaml__text_of_the_file_cannot_steer_the_terminal),
        cmocka_unit_test(json__is_read_by_the_name),
        cmocka_unit_test(json__problems),
        cmocka_unit_test(variables__are_put_into_values),
        cmocka_unit_test(variables__problems),
        cmocka_unit_test(variables__growth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
