/* test_tool_cli.c - the command tables' parser: values, order of words, nearest names, help. */
#include "newsmill/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

static const struct nm_flag test_flags[] = {
    {"--format", NM_FLAG_WORD, "table|json|front-matter", "table", 0, 0, "how"},
    {"--top", NM_FLAG_INT, "N", NULL, 1, 100, "how many"},
    {"--timeout", NM_FLAG_MS, "TIME", "60s", 0, 3600000, "how long"},
    {"--id", NM_FLAG_TEXT, "ID", NULL, 0, 0, "which"},
    {"--json", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "as JSON"},
    {0},
};
static const struct nm_command test_command = {
    .name = "probe",
    .summary = "is for tests",
    .actions = "apply|ls",
    .operands = "[FILE...]",
    .max_operands = 2,
    .needs_config = true,
    .flags = test_flags,
    .details = "Details of the probe.",
    .example = "  newsmill probe ls -c x",
};

/* Splits a literal at its spaces, parses it, and joins what came out; an error gives its message. */
static const char *parse(const char *line)
{
    static char out[700];
    char copy[300], *word[20];
    int n = 0;
    struct nm_args args = {0};
    struct nm_error err = {0};

    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *at = copy; *at;) {
        word[n++] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    if (nm_args_parse(&test_command, n, word, &args, &err) != NM_OK) {
        assert_int_equal(err.status, NM_CONFIG);
        (void)snprintf(out, sizeof out, "%s", err.msg);
        return out;
    }
    if (args.help) {
        nm_args_clear(&args);
        return "help";
    }
    const char *id = nm_flag_text(&args, "--id");
    (void)snprintf(out, sizeof out, "%s %s %s top=%lld ms=%lld id=%s json=%d sets=%zu files=%zu", args.action,
                   args.config_path, nm_flag_text(&args, "--format"), nm_flag_number(&args, "--top"),
                   nm_flag_number(&args, "--timeout"), id ? id : "-", nm_flag_given(&args, "--json"), args.sets.n,
                   args.n_operands);
    nm_args_clear(&args);
    return out;
}

struct pair {
    const char *in, *want;
};

static void args__good_lines(void **state)
{
    static const struct pair cases[] = {
        {"ls -c f", "ls f table top=0 ms=60000 id=- json=0 sets=0 files=0"},
        {"-cf apply", "apply f table top=0 ms=60000 id=- json=0 sets=0 files=0"},
        {"--top=7 ls --format json -c f", "ls f json top=7 ms=60000 id=- json=0 sets=0 files=0"},
        {"ls --timeout 500ms -c f --json", "ls f table top=0 ms=500 id=- json=1 sets=0 files=0"},
        {"ls -c f --set a=1 --set=b=2 x y", "ls f table top=0 ms=60000 id=- json=0 sets=2 files=2"},
        {"ls -c f - -- --json", "ls f table top=0 ms=60000 id=- json=0 sets=0 files=2"},
        {"ls -c f --id=a=b", "ls f table top=0 ms=60000 id=a=b json=0 sets=0 files=0"},
        {"ls -c f --top 1 --top 2", "ls f table top=2 ms=60000 id=- json=0 sets=0 files=0"},
        {"--help", "help"},
        {"ls --top 3 -h", "help"},
    };
    (void)state;
    for (size_t i = 0; i < N(cases); i++)
        assert_string_equal(parse(cases[i].in), cases[i].want);
}

static void args__wrong_lines_say_what(void **state)
{
    static const struct pair cases[] = {
        {"ls", "probe needs the option file: -c FILE"},
        {"-c f", "probe needs an action: apply|ls"},
        {"-c", "-c needs a value"},
        {"aply -c f", "probe: unknown action 'aply'; did you mean 'apply'?"},
        {"remove -c f", "probe: unknown action 'remove'; it is one of apply|ls"},
        {"ls -c f --foramt json", "unknown flag '--foramt'; did you mean '--format'?"},
        {"ls -c f --jsn", "unknown flag '--jsn'; did you mean '--json'?"},
        {"ls -c f --quite", "unknown flag '--quite'; 'newsmill help probe' shows those of this command"},
        {"ls -c f --format front-mater", "--format: unknown word 'front-mater'; did you mean 'front-matter'?"},
        {"ls -c f --top 0", "--top: 0 is not within 1 to 100"},
        {"ls -c f --top 99999999999999999999", "--top: 99999999999999999999 is not within 1 to 100"},
        {"ls -c f --top 5x", "--top: '5x' is not a whole number"},
        {"ls -c f --top=", "--top: '' is not a whole number"},
        {"ls -c f --id=", "--id: the value is empty"},
        {"ls -c f --json=1", "--json takes no value"},
        {"ls -c f --timeout 2h", "--timeout: '2h' is not within 0 to 3600000 ms"},
        {"ls -c f --set a", "--set: 'a' is not NAME=VALUE"},
        {"ls -c f x y z", "probe: 'z' is one argument too many"},
    };
    (void)state;
    for (size_t i = 0; i < N(cases); i++)
        assert_string_equal(parse(cases[i].in), cases[i].want);
}

static void duration__units(void **state)
{
    static const struct {
        const char *text;
        long long ms; /* -1: refused */
    } cases[] = {{"500ms", 500},      {"60s", 60000}, {"5m", 300000}, {"2h", 7200000},
                 {"0s", 0},           {"60", -1},     {"s", -1},      {"", -1},
                 {"1.5s", -1},        {"-1s", -1},    {"5 m", -1},    {"99999999999999999999s", -1},
                 {"9999999999h", -1}, {"5mm", -1}};
    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        long long ms = -1;
        enum nm_status status = nm_duration_parse(cases[i].text, &ms, NULL);
        assert_int_equal(status, cases[i].ms < 0 ? NM_CONFIG : NM_OK);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void number__limits(void **state)
{
    long long out = 7;

    (void)state;
    assert_int_equal(nm_number_parse("9223372036854775807", 0, INT64_MAX, &out, NULL), NM_OK);
    assert_true(out == INT64_MAX);
    assert_int_equal(nm_number_parse("9223372036854775808", 0, INT64_MAX, &out, NULL), NM_CONFIG);
    assert_int_equal(nm_number_parse("-1", -1, 0, &out, NULL), NM_OK);
    assert_int_equal(out, -1);
    assert_int_equal(nm_number_parse("-", -1, 0, &out, NULL), NM_CONFIG);
    assert_int_equal(nm_number_parse(" 1", 0, 9, &out, NULL), NM_CONFIG);
    assert_int_equal(out, -1); /* untouched on failure */
}

static void nearest__names(void **state)
{
    static const char *const names[] = {"streams", "load", "wait", "tail"};
    static const struct pair cases[] = {{"stream", "streams"}, {"laod", "load"}, {"tial", "tail"},
                                        {"x", NULL},           {"", NULL},       {"explain", NULL}};
    char longer[300];

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        const char *found = nm_nearest_name(cases[i].in, names, N(names));
        if (cases[i].want)
            assert_string_equal(found, cases[i].want);
        else
            assert_null(found);
    }
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_null(nm_nearest_name(longer, names, N(names)));
}

static void help__shows_every_flag(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(out);
    nm_command_help(&test_command, out);
    assert_int_equal(fclose(out), 0);
    for (const struct nm_flag *flag = test_flags; flag->name; flag++)
        assert_non_null(strstr(text, flag->name));
    assert_non_null(strstr(text, "usage: newsmill probe apply|ls -c FILE"));
    assert_non_null(strstr(text, "how long (default: 60s)"));
    assert_non_null(strstr(text, "example:\n  newsmill probe ls -c x"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(args__good_lines), cmocka_unit_test(args__wrong_lines_say_what),
        cmocka_unit_test(duration__units),  cmocka_unit_test(number__limits),
        cmocka_unit_test(nearest__names),   cmocka_unit_test(help__shows_every_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
