/* test_heat_signal.c - heat's pure parts: signals of any kind, articles and facets, heat.kinds, the facet's bytes. */
#include "heat/heat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID     "136ab291632faf53215323ed8744d7a4"
#define NOW_MS 1933740142000

static struct nm_arena doc;

static enum nm_status read_at(const char *value, size_t len, int64_t kafka_ms, struct hp_event *out,
                              struct nm_error *err)
{
    struct nm_item item = {.stream = NM_SIGNALS, .value = value, .value_len = len, .timestamp_ms = kafka_ms};
    *err = (struct nm_error){0};
    return hp_read_signal(&item, NOW_MS, &doc, out, err);
}

static struct hp_event good(const char *value)
{
    struct hp_event event = {0};
    struct nm_error err;
    if (read_at(value, strlen(value), NOW_MS, &event, &err) != NM_OK)
        fail_msg("%s: %s", value, err.msg);
    return event;
}

static void signal__every_member_is_taken(void **state)
{
    (void)state;
    struct hp_event e = good("{\"id\":\"" ID "\",\"kind\":\"share\",\"count\":3,\"at\":\"2031-04-12T05:00:00Z\","
                             "\"source\":\"site-eu\",\"signalId\":\"eu-1\",\"more\":[1e999]}");
    assert_string_equal(e.id, ID);
    assert_int_equal(e.kind, 's');
    assert_int_equal(e.count, 3);
    assert_int_equal(e.at_s, 1933736400);
    assert_memory_equal(e.source, "site-eu", e.source_len);
    assert_true(e.has_hash);
}

static void signal__defaults(void **state)
{
    (void)state;
    struct hp_event e = good("\xEF\xBB\xBF{\"id\":\"" ID "\",\"kind\":\"view\"}");
    assert_int_equal(e.count, 1);
    assert_int_equal(e.at_s, NOW_MS / 1000);
    assert_int_equal(e.source_len, 4);
    assert_memory_equal(e.source, "site", 4);
    assert_false(e.has_hash);
}

static void signal__url_and_id_name_the_same_article(void **state)
{
    (void)state;
    struct hp_event a =
        good("{\"kind\":\"view\",\"url\":\"HTTPS://www.harbour-gazette.example:443/a?utm_source=x#top\"}");
    struct hp_event b = good("{\"kind\":\"view\",\"url\":\"https://www.harbour-gazette.example/a\"}");
    assert_string_equal(a.id, b.id);
}

static void signal__times(void **state)
{
    (void)state;
    static const struct {
        const char *at;
        int64_t kafka_ms, want_s; /* -1: refused */
    } cases[] = {
        {"1933740000", NOW_MS, 1933740000},
        {"1933740000500", NOW_MS, 1933740000},
        {"\"1933740000\"", NOW_MS, 1933740000},
        {"1933740442", NOW_MS, 1933740442},
        {"1933740443", NOW_MS, -1},
        {"1933740442", NOW_MS - 60000, -1}, /* ahead of Kafka's clock */
        {"1933740442", NOW_MS + 900000, 1933740442},
        {"1933740443", NOW_MS + 900000, -1},
        {"0", 0, 0},
        {"-1", NOW_MS, -1},
        {"true", NOW_MS, -1},
        {"null", NOW_MS, -1},
        {"1e400", NOW_MS, -1},
        {"\"\"", NOW_MS, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        struct hp_event e = {.at_s = -1};
        struct nm_error err;
        (void)snprintf(text, sizeof text, "{\"id\":\"" ID "\",\"kind\":\"view\",\"at\":%s}", cases[i].at);
        (void)read_at(text, strlen(text), cases[i].kafka_ms, &e, &err);
        if (e.at_s != cases[i].want_s)
            fail_msg("%s gives %lld: %s", cases[i].at, (long long)e.at_s, err.msg);
    }
}

#define START "{\"id\":\"" ID "\",\"kind\":\"click\""

static void signal__bad_ones_have_a_code_and_say_what_to_do(void **state)
{
    (void)state;
    static const struct {
        const char *value, *code;
    } cases[] = {
        {"", "not_json"},
        {"{", "not_json"},
        {"{} {}", "not_json"},
        {"[]", "not_object"},
        {"7", "not_object"},
        {"{\"a\":\"\xC0\x80\"}", "utf8_invalid"},
        {"{\"kind\":\"click\"}", "signal_target"},
        {START ",\"url\":\"https://a.example/\"}", "signal_target"},
        {"{\"id\":7,\"kind\":\"click\"}", "signal_target"},
        {"{\"id\":\"136AB291632faf53215323ed8744d7a4\",\"kind\":\"click\"}", "signal_target"},
        {"{\"url\":7,\"kind\":\"click\"}", "wrong_type"},
        {"{\"url\":\"\",\"kind\":\"click\"}", "url_invalid"},
        {"{\"url\":\"ftp://a.example/\",\"kind\":\"click\"}", "url_scheme"},
        {"{\"url\":\"https://u@a.example/\",\"kind\":\"click\"}", "url_credentials"},
        {"{\"id\":\"" ID "\"}", "signal_kind"},
        {"{\"id\":\"" ID "\",\"kind\":\"Click\"}", "signal_kind"},
        {"{\"id\":\"" ID "\",\"kind\":null}", "signal_kind"},
        {START ",\"count\":0}", "signal_count"},
        {START ",\"count\":1000001}", "signal_count"},
        {START ",\"count\":1.5}", "signal_count"},
        {START ",\"count\":\"3\"}", "signal_count"},
        {START ",\"count\":1e400}", "signal_count"},
        {START ",\"at\":\"yesterday\"}", "date_invalid"},
        {START ",\"at\":{}}", "wrong_type"},
        {START ",\"at\":9999999999}", "date_future"},
        {START ",\"source\":\"\"}", "wrong_type"},
        {START ",\"source\":\"0123456789012345678901234567890123456789012345678901234567890123x\"}", "too_big"},
        {START ",\"signalId\":\"0123456789012345678901234567890123456789012345678901234567890123x\"}", "too_big"},
        {START ",\"signalId\":1}", "wrong_type"},
        {START ",\"k\\u0069nd\":\"view\"}", "duplicate_key"},
        {START
         ",\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"a\":1,\"b\":1,\"c\":1,\"d\":1,"
         "\"e\":1,\"f\":1,\"g\":1,\"3\":1}",
         "duplicate_key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hp_event event;
        struct nm_error err;
        assert_int_equal(read_at(cases[i].value, strlen(cases[i].value), NOW_MS, &event, &err), NM_BAD_INPUT);
        if (strcmp(err.code, cases[i].code) != 0)
            fail_msg("%s is %s: %s", cases[i].value, err.code, err.msg);
        assert_true(strlen(err.msg) > 10);
    }
    static char large[HP_SIGNAL + 1];
    struct hp_event event;
    struct nm_error err;
    memset(large, ' ', sizeof large);
    assert_int_equal(read_at(large, sizeof large, NOW_MS, &event, &err), NM_BAD_INPUT);
    assert_string_equal(err.code, "too_big");
    assert_int_equal(read_at(NULL, 0, NOW_MS, &event, &err), NM_BAD_INPUT);
    assert_string_equal(err.code, "not_json");
}

/* ---- our own streams ---- */

static enum nm_status read_own(enum nm_stream stream, const char *key, const char *value, struct hp_event *out,
                               struct nm_error *err)
{
    struct nm_item item = {
        .stream = stream, .key = key, .key_len = strlen(key), .value = value, .value_len = value ? strlen(value) : 0};
    *err = (struct nm_error){0};
    return hp_read(&item, &doc, out, err);
}

#define ARTICLE(more)     "{\"id\":\"" ID "\",\"revision\":5,\"sourceTime\":0" more "}"
#define FACET(name, data) "{\"id\":\"" ID "\",\"facet\":\"" name "\",\"revision\":9,\"data\":" data "}"
#define STORY             "{\"story\":{\"id\":\"" ID "\",\"lead\":\"" ID "\",\"size\":5},\"related\":[],\"links\":[]}"

static void own__what_is_taken_of_articles_and_stories(void **state)
{
    (void)state;
    struct hp_event e;
    struct nm_error err;
    assert_int_equal(read_own(NM_NORMALIZED, ID,
                              ARTICLE(",\"publishedDateTime\":\"2031-04-12T05:30:00Z\",\"quality\":-7"), &e, &err),
                     NM_OK);
    assert_int_equal(e.type, HP_ARTICLE);
    assert_int_equal(e.quality, -7);
    assert_int_equal(e.published_s, 1933738200);
    assert_int_equal(read_own(NM_NORMALIZED, ID, ARTICLE(",\"retracted\":true"), &e, &err), NM_OK);
    assert_true(e.gone);
    assert_int_equal(read_own(NM_FACETS, ID, FACET("related", STORY), &e, &err), NM_OK);
    assert_int_equal(e.type, HP_STORY);
    assert_int_equal(e.size, 5);
    assert_true(e.leads && !e.gone);
    assert_int_equal(read_own(NM_FACETS, ID, FACET("related", "null"), &e, &err), NM_OK);
    assert_true(e.gone);
}

static void own__other_facets_are_nothing(void **state)
{
    (void)state;
    static const char *const others[] = {FACET("heat", "{\"heat\":1}"),
                                         FACET("images", "{}"),
                                         FACET("relatives", "1"),
                                         "{\"id\":\"" ID "\",\"facet\":\"touch\"}",
                                         "{ \"id\": 7, \"facet\": \"heat\"}",
                                         "{}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct hp_event e = {.type = HP_STORY};
        struct nm_error err;
        assert_int_equal(read_own(NM_FACETS, ID, others[i], &e, &err), NM_OK);
        assert_int_equal(e.type, HP_NOTHING);
    }
}

static void own__bad_ones(void **state)
{
    (void)state;
    static const struct {
        enum nm_stream stream;
        const char *key, *value, *code;
    } cases[] = {
        {NM_NORMALIZED, ID, "{", "not_json"},
        {NM_NORMALIZED, ID, ARTICLE(",\"publishedDateTime\":\"2031-04-12T05:30:00Z\",\"quality\":1001"), "wrong_type"},
        {NM_NORMALIZED, ID, ARTICLE(",\"quality\":1"), "wrong_type"},
        {NM_NORMALIZED, ID, ARTICLE(",\"publishedDateTime\":\"x\",\"quality\":1"), "date_invalid"},
        {NM_NORMALIZED, "x", ARTICLE(",\"retracted\":true"), "wrong_type"},
        {NM_FACETS, ID, "", "not_json"},
        {NM_FACETS, ID, "[]", "not_object"},
        {NM_FACETS, "x", FACET("related", STORY), "wrong_type"},
        {NM_FACETS, ID, FACET("related", "{}"), "wrong_type"},
        {NM_FACETS, ID, FACET("related", "{\"story\":{\"lead\":\"" ID "\",\"size\":0}}"), "wrong_type"},
        {NM_FACETS, ID, "{\"id\":\"" ID "\",\"facet\":\"related\",\"data\":null}", "wrong_type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hp_event e;
        struct nm_error err;
        assert_int_equal(read_own(cases[i].stream, cases[i].key, cases[i].value, &e, &err), NM_BAD_INPUT);
        if (strcmp(err.code, cases[i].code) != 0)
            fail_msg("%s is %s: %s", cases[i].value, err.code, err.msg);
    }
}

/* ---- heat.kinds ---- */

static enum nm_status kinds(char *name, char *value, struct hp_kind out[HP_KINDS], struct nm_error *err)
{
    struct nm_pair pair = {name, value};
    struct hp_options options = {.step_ms = 900000, .kinds = {.item = &pair, .n = 1}};
    return hp_kinds_read(&options, out, err);
}

static void kinds__what_is_left_out_is_as_by_default(void **state)
{
    (void)state;
    char name[] = "view.weight", value[] = "0.25", cap[] = "view.capPerSource", five[] = "5",
         window[] = "view.windowMs", hour[] = "3600000";
    struct hp_kind kind[HP_KINDS];
    assert_int_equal(kinds(name, value, kind, NULL), NM_OK);
    assert_int_equal(kind[4].weight, 250);
    assert_int_equal(kind[4].cap, hp_default_kinds[4].cap);
    assert_memory_equal(kind, hp_default_kinds, 4 * sizeof *kind);
    assert_int_equal(kinds(cap, five, kind, NULL), NM_OK);
    assert_int_equal(kind[4].cap, 5);
    assert_int_equal(kinds(window, hour, kind, NULL), NM_OK);
    assert_int_equal(kind[4].window_s, 3600);
}

static void kinds__bad_ones_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static char cases[][2][40] = {
        {"like.weight", "1"},
        {"weight", "1"},
        {"click.weight", "-1"},
        {"click.weight", "1.2345"},
        {"click.weight", "1000.001"},
        {"click.weight", "1."},
        {"click.weight", ".5"},
        {"click.weight", "1e3"},
        {"click.weight", "99999999999999999999"},
        {"click.windowMs", "1500"},
        {"click.windowMs", "0"},
        {"click.windowMs", "900001000"},
        {"click.windowMs", "5184000000.5"},
        {"click.capPerSource", "0"},
        {"click.capPerSource", "1000001"},
        {"click.capPerSource", "many"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hp_kind kind[HP_KINDS];
        struct nm_error err = {0};
        if (kinds(cases[i][0], cases[i][1], kind, &err) != NM_CONFIG)
            fail_msg("%s %s is taken", cases[i][0], cases[i][1]);
        assert_non_null(strstr(err.msg, "heat.kinds"));
    }
}

/* ---- the facet ---- */

static void facet__bytes(void **state)
{
    (void)state;
    char text[HP_FACET_BYTES];
    struct hp_view view = {.emit = HP_FACET,
                           .revision = 1933740144000000,
                           .heat = 126,
                           .quality = 86,
                           .related = 40,
                           .as_of_s = 1933740144,
                           .next_s = 1933743600};
    size_t len = hp_facet(ID, &view, text);
    assert_int_equal(len, strlen(text));
    assert_string_equal(text,
                        "{\"id\":\"" ID "\",\"facet\":\"heat\",\"revision\":1933740144000000,\"data\":{\"heat\":126,"
                        "\"asOf\":\"2031-04-12T06:02:24Z\",\"parts\":[{\"rule\":\"quality\",\"points\":86},"
                        "{\"rule\":\"related\",\"points\":40},{\"rule\":\"engagement\",\"points\":0}],"
                        "\"next\":\"2031-04-12T07:00:00Z\"}}");
    view = (struct hp_view){.emit = HP_FACET, .revision = 7, .heat = -1, .as_of_s = 1933740144};
    (void)hp_facet(ID, &view, text);
    assert_string_equal(text, "{\"id\":\"" ID "\",\"facet\":\"heat\",\"revision\":7,\"data\":{\"heat\":-1,"
                              "\"asOf\":\"2031-04-12T06:02:24Z\",\"parts\":[]}}");
    view.emit = HP_TOMBSTONE;
    (void)hp_facet(ID, &view, text);
    assert_string_equal(text, "{\"id\":\"" ID "\",\"facet\":\"heat\",\"revision\":7,\"data\":null}");
}

static int clear(void **state)
{
    (void)state;
    nm_arena_clear(&doc);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signal__every_member_is_taken),
        cmocka_unit_test(signal__defaults),
        cmocka_unit_test(signal__url_and_id_name_the_same_article),
        cmocka_unit_test(signal__times),
        cmocka_unit_test(signal__bad_ones_have_a_code_and_say_what_to_do),
        cmocka_unit_test(own__what_is_taken_of_articles_and_stories),
        cmocka_unit_test(own__other_facets_are_nothing),
        cmocka_unit_test(own__bad_ones),
        cmocka_unit_test(kinds__what_is_left_out_is_as_by_default),
        cmocka_unit_test(kinds__bad_ones_are_refused_with_a_sentence),
        cmocka_unit_test(facet__bytes),
    };
    return cmocka_run_group_tests(tests, NULL, clear);
}
