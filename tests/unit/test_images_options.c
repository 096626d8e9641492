/* test_images_options.c - the option table of images: defaults, ranges at and one beyond, values, what belongs
 * together.
 */
#include "config_internal.h"
#include "images/images_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct nm_option_table tables[] = {{"images", images_options, NULL}, {NULL, NULL, NULL}};

/* What is wrong with a file, by its rows or else by the check of the whole; "" is nothing. free() it. */
static char *problems_of(const char *text, struct im_options *out)
{
    char *none[] = {NULL};
    struct nm_config_input input = {
        .path = "t.yaml", .data = text, .len = strlen(text), .program = "images", .tables = tables, .env = none};
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    struct nm_error err = {0};
    struct nm_buf shown = {0};
    enum nm_status status = nm_config_load_input(&input, &config, &problems, &err);
    if (status == NM_OK)
        status = nm_config_apply(config, images_options, out, &problems, &err);
    for (size_t i = 0; i < problems.n; i++)
        nm_buf_addf(&shown, "%s\n", problems.item[i].msg);
    nm_problems_clear(&problems);
    if (status == NM_OK && images_options_check(out, &err) != NM_OK)
        nm_buf_addf(&shown, "%s\n", err.msg);
    nm_buf_adds(&shown, "");
    return nm_buf_take(&shown);
}

/* want: a part of the one problem; NULL: none. */
static void check(const char *text, const char *want)
{
    struct im_options options = {0};
    NM_AUTO(free) char *shown = problems_of(text, &options);
    if (want ? !strstr(shown, want) : *shown)
        fail_msg("for\n%s\nwanted\n%s\ngot\n%s", text, want ? want : "(nothing)", shown);
    nm_options_clear(images_options, &options);
}

static void defaults__are_as_documented(void **state)
{
    (void)state;
    struct im_options o = {0};
    NM_AUTO(free) char *shown = problems_of("{}", &o);
    assert_string_equal(shown, "");
    assert_string_equal(o.mode, "normal");
    assert_string_equal(o.store.kind, "directory");
    assert_string_equal(o.fetch.mixed_answers, "skip");
    assert_string_equal(o.fetch.http_version, "1.1");
    assert_int_equal(o.fetch.ports.n, 2);
    assert_string_equal(o.fetch.ports.item[1], "443");
    assert_int_equal(o.thumbnails.edges.n, 2);
    assert_true(o.keep_copyright && o.check.strict_type && o.fetch.try_https);
    assert_false(o.check.refuse_bombs || o.fetch.allow_downgrade);
    assert_int_equal(o.fetch.body_bytes, 10485760);
    assert_int_equal(o.fetch.in_flight_bytes, 96 << 20);
    assert_int_equal(o.fetch.temp_bytes, INT64_C(4) << 30);
    assert_int_equal(o.fresh_ms, 30 * INT64_C(86400000));
    assert_int_equal(o.gc.min_age_ms, 3600000);
    assert_int_equal(o.test_allow.n + o.test_resolve.n + o.fetch.deny_networks.n, 0);
    assert_string_equal(o.contact, "");
    nm_options_clear(images_options, &o);
}

static const struct {
    const char *name;
    long long least, most; /* most: the hard maximum of the design; 0: it has none */
} ranges[] = {
    {"fetch.urlBytes", 64, 8192},
    {"fetch.maxHops", 0, 10},
    {"fetch.connectMs", 50, 15000},
    {"fetch.firstByteMs", 50, 30000},
    {"fetch.totalMs", 100, 120000},
    {"fetch.headerBytes", 1024, 262144},
    {"fetch.bodyBytes", 1024, 64 << 20},
    {"fetch.inFlightItems", 1, 4096},
    {"fetch.inFlightBytes", 98304, 1 << 30},
    {"fetch.perHost", 1, 16},
    {"fetch.perAddress", 1, 32},
    {"check.maxPixels", 1, 100000000},
    {"check.maxEdgePixels", 2, 32767},
    {"check.maxGifPixels", 1, 50000000},
    {"check.maxFrames", 1, 4096},
    {"check.maxScans", 1, 500},
    {"decoder.cpuMs", 100, 30000},
    {"decoder.wallMs", 100, 30000},
    {"decoder.memoryBytes", 268435456, 4294967296},
    {"decoder.processes", 0, 64},
    {"thumbnails.quality", 1, 100},
    {"retry.tries", 1, 6},
    {"freshMs", 1000, 7776000000},
    {"maxUsers", 1, 2000},
    {"gc.graceMs", 60000, 2592000000},
    {"gc.minAgeMs", 3600000, 2592000000},
};

static void range__ends_where_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ranges); i++) {
        char text[100], name[60];
        (void)snprintf(name, sizeof name, "images.%s", ranges[i].name);
        const struct {
            long long value;
            bool good;
        } cases[] = {
            {ranges[i].least, true}, {ranges[i].least - 1, false}, {ranges[i].most, true}, {ranges[i].most + 1, false}};
        for (size_t k = 0; k < COUNT(cases); k++) {
            (void)snprintf(text, sizeof text, "%s: %lld\n", name, cases[k].value);
            check(text, cases[k].good ? NULL : name);
        }
    }
}

struct value_case {
    const char *text, *want;
};

static void value__is_checked_by_its_row(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"images.fetch.ports: [80, 8080, 65535]", NULL},
        {"images.fetch.ports: []", "images.fetch.ports has 0 entries"},
        {"images.fetch.ports: [0]", "'0', which is not a port"},
        {"images.fetch.ports: [65536]", "not a port"},
        {"images.fetch.ports: [\"080\"]", "not a port"},
        {"images.fetch.ports: [http]", "not a port"},
        {"images.fetch.denyNetworks: [203.0.0.0/8, \"2001:db8::/32\", 8.8.8.8, \"::/0\"]", NULL},
        {"images.fetch.denyNetworks: [203.0.0.0/33]", "not a network"},
        {"images.fetch.denyNetworks: [\"2001:db8::/129\"]", "not a network"},
        {"images.fetch.denyNetworks: [203.0/16]", "not a network"},
        {"images.fetch.denyNetworks: [a.example]", "not a network"},
        {"images.fetch.denyNetworks: [10.0.0.0/]", "not a network"},
        {"images.fetch.nat64Prefix: \"64:ff9b::/96\"", NULL},
        {"images.fetch.nat64Prefix: \"64:ff9b::/64\"", "not a NAT64 prefix"},
        {"images.fetch.mixedAnswers: both", "not one of skip, reject"},
        {"images.fetch.httpVersion: 3", "not one of 1.1, 2"},
        {"images.thumbnails.edgePixels: []", NULL},
        {"images.thumbnails.edgePixels: [9]", "from 10 to 4096"},
        {"images.thumbnails.edgePixels: [10, 4096]", NULL},
        {"images.thumbnails.edgePixels: [4097]", "from 10 to 4096"},
        {"images.thumbnails.edgePixels: [10,20,30,40,50,60,70,80,90]", "9 entries"},
        {"images.thumbnails.edgePixels: [320, 20, 320]", "has 320 twice"},
        {"images.thumbnails.edgePixels: [20, 320, 320]", "has 320 twice"},
        {"images.contact: https://site.example/bot", NULL},
        {"images.contact: mailto:crawler@site.example", NULL},
        {"images.contact: crawler@site.example", "images.contact is not a URL"},
        {"images.contact: \"https://a.example/) evil\"", "images.contact is not a URL"},
        {"images.contact: \"https://\"", "images.contact is not a URL"},
        {"images.publicBase: https://img.site.example/", NULL},
        {"images.publicBase: http://127.0.0.1:8080/a/b", NULL},
        {"images.publicBase: img.site.example", "images.publicBase is not where"},
        {"images.publicBase: \"https://img.site.example?a\"", "images.publicBase is not where"},
        {"images.publicBase: https://u:p@img.site.example", "images.publicBase is not where"},
        {"images.publicBase: https:///a", "images.publicBase is not where"},
        {"images.store.kind: ftp", "not one of directory, s3"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check(cases[i].text, cases[i].want);
}

static void test_access__only_in_mode_test_and_numeric(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"images: {testAllow: [\"127.0.0.1:18081\"]}", "images.testAllow opens the way"},
        {"images: {testResolve: {\"a.test:80\": [127.0.0.1]}}", "images.testResolve opens the way"},
        {"images: {mode: test, testAllow: [\"127.0.0.1:18081\", \"[::1]:18082\"], testResolve: {\"a.test:80\": "
         "[127.0.0.1, \"::1\"]}}",
         NULL},
        {"images: {mode: test, testAllow: [\"localhost:18081\"]}", "no name"},
        {"images: {mode: test, testAllow: [\"127.0.0.0/8:18081\"]}", "no name"},
        {"images: {mode: test, testAllow: [\"127.0.0.1\"]}", "no name"},
        {"images: {mode: test, testAllow: [\"::1:18081\"]}", "no name"},
        {"images: {mode: test, testAllow: [\"[127.0.0.1]:18081\"]}", "no name"},
        {"images: {mode: test, testAllow: [\"[:18081\"]}", "no name"},
        {"images: {mode: test, testAllow: [\"127.0.0.1:0\"]}", "no name"},
        {"images: {mode: test, testResolve: {\"a.test:80\": [localhost]}}", "not a numeric address"},
        {"images: {mode: test, testResolve: {\"a.test:80\": []}}", "0 entries"},
        {"images: {mode: tests}", "not one of normal, test"},
        {"images: {mode: test, gc: {graceMs: 1, minAgeMs: 1}}", NULL},
        {"images: {gc: {graceMs: 59999}}", "images.gc.graceMs is 59999"},
        {"images: {gc: {minAgeMs: 3599999}}", "images.gc.minAgeMs is 3599999"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check(cases[i].text, cases[i].want);
}

static void limits__must_leave_room_for_an_image(void **state)
{
    (void)state;
    static const struct value_case cases[] = {
        {"images: {fetch: {tempBytes: 10485760}}", NULL},
        {"images: {fetch: {tempBytes: 10485759}}", "images.fetch.tempBytes (10485759)"},
        {"images: {retry: {afterMinMs: 60000, afterMaxMs: 60000}}", NULL},
        {"images: {retry: {afterMinMs: 60001}}", "images.retry.afterDefaultMs (60000)"},
        {"images: {retry: {afterMaxMs: 59999}}", "images.retry.afterDefaultMs (60000)"},
        {"images: {retry: {afterMinMs: 3600001, afterDefaultMs: 3600000}}", "images.retry.afterDefaultMs"},
        {"images: {check: {minEdgePixels: 20, maxEdgePixels: 19}}", "minEdgePixels (20) is above"},
        {"images: {check: {minBytes: 1025}, fetch: {bodyBytes: 1024}}", "minBytes (1025) is above"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check(cases[i].text, cases[i].want);
}

static void s3__needs_its_options_and_a_local_folder(void **state)
{
    (void)state;
    static const char all[] =
        "images: {tempPath: /t, store: {kind: s3, s3: {endpoint: 'https://s3.example', bucket: b, "
        "accessKeyFile: /a, secretKeyFile: /s}}}";
    static const struct {
        const char *value, *missing;
    } cases[] = {
        {"/t", "images.tempPath is missing"},
        {"'https://s3.example'", "images.store.s3.endpoint is missing"},
        {"b,", "images.store.s3.bucket is missing"},
        {"/a", "images.store.s3.accessKeyFile is missing"},
        {"/s}", "images.store.s3.secretKeyFile is missing"},
    };
    check(all, NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[sizeof all + 8];
        const char *at = strstr(all, i == 2 ? "b, " : cases[i].value);
        size_t len = strlen(cases[i].value) - (i == 2 || i == 4 ? 1 : 0);
        (void)snprintf(text, sizeof text, "%.*s\"\"%s", (int)(at - all), all, at + len);
        check(text, cases[i].missing);
    }
    check("images: {store: {s3: {bucket: b}}}", NULL); /* not the kind that is used */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults__are_as_documented),
        cmocka_unit_test(range__ends_where_the_table_says),
        cmocka_unit_test(value__is_checked_by_its_row),
        cmocka_unit_test(test_access__only_in_mode_test_and_numeric),
        cmocka_unit_test(limits__must_leave_room_for_an_image),
        cmocka_unit_test(s3__needs_its_options_and_a_local_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
