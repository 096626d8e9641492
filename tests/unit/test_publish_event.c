/* test_publish_event.c - what publish takes from articles, facets and records read back: what it keeps of them, and
 * what becomes a dead letter with which code. */
#include "publish_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct pb_event read_ok(enum nm_stream stream, const char *value)
{
    struct pb_event event = {0};
    if (fixture_read(&f, stream, ID_A, value, &event) != NM_OK)
        fail_msg("%s: %s: %s", value ? value : "tombstone", f.err.code, f.err.msg);
    assert_string_equal(event.id, ID_A);
    return event;
}

static void assert_kept(const struct pb_event *event, const char *want)
{
    if (event->data.len != strlen(want) || memcmp(event->data.s, want, event->data.len) != 0)
        fail_msg("kept '%.*s', not '%s'", (int)event->data.len, event->data.s, want);
}

static void article__keeps_what_a_record_shows(void **state)
{
    (void)state;
    static const struct {
        const char *article, *kept;
    } cases[] = {
        {ARTICLE(",\"title\":\"t\",\"quality\":7,\"qualityParts\":[],\"rules\":1"), "{\"title\":\"t\",\"quality\":7}"},
        {ARTICLE(""), "{}"},
        {ARTICLE(",\"retracted\":true"), ""},
        {ARTICLE(",\"retracted\":true,\"title\":\"t\""), ""},
        {ARTICLE(",\"retracted\":false,\"title\":\"t\""), "{\"title\":\"t\"}"},
        /* the order of a record, whatever the order of the article; white space and escapes as we write them */
        {ARTICLE(",\"secured\":\"s\",\"images\":[],\"title\": \"\\u0074\\u000a\\\"\" ,\"path\":\"p\""),
         "{\"path\":\"p\",\"title\":\"t\\n\\\"\",\"images\":[],\"secured\":\"s\"}"},
        {ARTICLE(",\"images\":[{\"url\":\"u\",\"width\":1,\"height\":65535,\"credit\":\"x\"},{\"url\":\"v\"}]"),
         "{\"images\":[{\"url\":\"u\",\"width\":1,\"height\":65535},{\"url\":\"v\"}]}"},
        {ARTICLE(",\"images\":[{\"url\":\"u\"}]"), "{\"images\":[{\"url\":\"u\"}]}"},
        /* members that only a record has, and those of a newer article/1 */
        {ARTICLE(",\"published\":true,\"heat\":7,\"story\":{},\"related\":[],\"new\":{\"a\":[1]}"), "{}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb_event event = read_ok(NM_NORMALIZED, cases[i].article);
        assert_int_equal(event.kind, PB_ARTICLE);
        assert_int_equal(event.revision, 5);
        assert_kept(&event, cases[i].kept);
    }
}

#define STORY(lead) "\"story\":{\"id\":\"" ID_C "\",\"lead\":\"" lead "\",\"size\":3}"
#define KEPT(lead)  "{\"id\":\"" ID_C "\",\"lead\":\"" lead "\",\"size\":3}"

static void facet__keeps_what_a_record_shows(void **state)
{
    (void)state;
    static const struct {
        const char *facet, *kept;
        enum pb_kind kind;
    } cases[] = {
        {FACET("images", "{\"images\":[]}"), "[]", PB_IMAGES},
        {FACET("images", "{\"images\":[{\"url\":\"u\",\"state\":\"cached\",\"isCached\":true,\"width\":3,\"height\":4,"
                         "\"type\":\"image/png\",\"bytes\":7,\"sha256\":\"x\",\"cachedUrl\":\"c\",\"thumbnails\":[{"
                         "\"url\":\"t\",\"width\":1,\"height\":1}]}]}"),
         "[{\"url\":\"u\",\"width\":3,\"height\":4,\"isCached\":true,\"cachedUrl\":\"c\",\"thumbnails\":[{\"url\":"
         "\"t\","
         "\"width\":1,\"height\":1}]}]",
         PB_IMAGES},
        {FACET("images", "{\"images\":[{\"url\":\"u\",\"state\":\"failed\",\"isCached\":false,\"reason\":\"r\","
                         "\"nextTry\":\"n\"},{\"url\":\"v\"}]}"),
         "[{\"url\":\"u\",\"isCached\":false,\"reason\":\"r\",\"nextTry\":\"n\"},{\"url\":\"v\"}]", PB_IMAGES},
        {FACET("related", "{" STORY(ID_A) ",\"related\":[],\"links\":[]}"), KEPT(ID_A), PB_RELATED},
        {FACET("related", "{" STORY(ID_A) ",\"related\":[{\"id\":\"" ID_B "\",\"score\":1},{\"id\":\"" ID_C "\"}]}"),
         ID_B ID_C KEPT(ID_A), PB_RELATED},
        /* itself, twice the same, and the list of one that is no lead */
        {FACET("related",
               "{" STORY(ID_A) ",\"related\":[{\"id\":\"" ID_A "\"},{\"id\":\"" ID_B "\"},{\"id\":\"" ID_B "\"}]}"),
         ID_B KEPT(ID_A), PB_RELATED},
        {FACET("related", "{" STORY(ID_B) ",\"related\":[{\"id\":\"" ID_C "\"}]}"), KEPT(ID_B), PB_RELATED},
        {FACET("heat", "{\"heat\":126,\"asOf\":\"x\",\"parts\":[]}"), "126", PB_HEAT},
        {FACET("heat", "{\"heat\":-1}"), "-1", PB_HEAT},
        {FACET("heat", "null"), "", PB_HEAT},
        {FACET("related", "null"), "", PB_RELATED},
        {FACET("images", "null"), "", PB_IMAGES},
        {"{\"id\":\"" ID_A "\",\"facet\":\"touch\"}", "", PB_TOUCH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb_event event = read_ok(NM_FACETS, cases[i].facet);
        assert_int_equal(event.kind, cases[i].kind);
        assert_int_equal(event.revision, event.kind == PB_TOUCH ? 0 : 9); /* the header says 77: the value wins */
        assert_kept(&event, cases[i].kept);
    }
}

static void bad__messages_get_a_code(void **state)
{
    (void)state;
    static const struct {
        enum nm_stream stream;
        const char *value, *code;
    } cases[] = {
        {NM_NORMALIZED, NULL, "not_json"},
        {NM_NORMALIZED, "", "not_json"},
        {NM_NORMALIZED, "[]", "not_object"},
        {NM_NORMALIZED, "{}", "wrong_type"},
        {NM_NORMALIZED, ARTICLE(",\"images\":[\"x\"]"), "wrong_type"},
        {NM_NORMALIZED, ARTICLE(",\"images\":[{}]"), "wrong_type"},
        {NM_NORMALIZED, ARTICLE(",\"images\":[{\"url\":\"u\",\"width\":0}]"), "wrong_type"},
        {NM_NORMALIZED, ARTICLE(",\"images\":[{\"url\":\"u\",\"height\":65536}]"), "wrong_type"},
        {NM_NORMALIZED, ARTICLE(",\"images\":{\"url\":\"u\"}"), "wrong_type"},
        {NM_NORMALIZED, ARTICLE(",\"images\":null"), "wrong_type"},
        {NM_FACETS, NULL, "not_json"},
        {NM_FACETS, "{", "not_json"},
        {NM_FACETS, "7", "not_object"},
        {NM_FACETS, "{}", "wrong_type"},
        {NM_FACETS, "{\"id\":\"xyz\",\"facet\":\"touch\"}", "wrong_type"},
        {NM_FACETS, "{\"id\":\"" ID_B "\",\"facet\":\"touch\"}", "wrong_type"}, /* the key is another */
        {NM_FACETS, "{\"id\":\"" ID_A "\"}", "wrong_type"},
        {NM_FACETS, "{\"id\":\"" ID_A "\",\"facet\":7}", "wrong_type"},
        {NM_FACETS, FACET("mood", "{}"), "wrong_type"},
        {NM_FACETS, "{\"id\":\"" ID_A "\",\"facet\":\"heat\",\"data\":{\"heat\":1}}", "wrong_type"},
        {NM_FACETS, "{\"id\":\"" ID_A "\",\"facet\":\"heat\",\"revision\":0,\"data\":{\"heat\":1}}", "wrong_type"},
        {NM_FACETS, "{\"id\":\"" ID_A "\",\"facet\":\"heat\",\"revision\":9007199254740992,\"data\":{\"heat\":1}}",
         "wrong_type"},
        {NM_FACETS, "{\"id\":\"" ID_A "\",\"facet\":\"heat\",\"revision\":1.5,\"data\":{\"heat\":1}}", "wrong_type"},
        {NM_FACETS, "{\"id\":\"" ID_A "\",\"facet\":\"heat\",\"revision\":9}", "wrong_type"},
        {NM_FACETS, FACET("heat", "7"), "wrong_type"},
        {NM_FACETS, FACET("heat", "{\"heat\":-2}"), "wrong_type"},
        {NM_FACETS, FACET("heat", "{\"heat\":1000001}"), "wrong_type"},
        {NM_FACETS, FACET("heat", "{\"heat\":\"7\"}"), "wrong_type"},
        {NM_FACETS, FACET("images", "{}"), "wrong_type"},
        {NM_FACETS, FACET("images", "{\"images\":[{\"url\":\"u\",\"isCached\":1}]}"), "wrong_type"},
        {NM_FACETS, FACET("images", "{\"images\":[{\"url\":\"u\",\"thumbnails\":\"x\"}]}"), "wrong_type"},
        {NM_FACETS, FACET("images", "{\"images\":[{\"url\":\"u\",\"cachedUrl\":7}]}"), "wrong_type"},
        {NM_FACETS, FACET("related", "{\"related\":[]}"), "wrong_type"},
        {NM_FACETS, FACET("related", "{" STORY("xyz") ",\"related\":[]}"), "wrong_type"},
        {NM_FACETS, FACET("related", "{" STORY(ID_A) "}"), "wrong_type"},
        {NM_FACETS, FACET("related", "{" STORY(ID_A) ",\"related\":[7]}"), "wrong_type"},
        {NM_FACETS, FACET("related", "{" STORY(ID_A) ",\"related\":[{\"id\":\"x\"}]}"), "wrong_type"},
        {NM_RECORDS, "{}", "wrong_type"},
        {NM_RECORDS, "{\"id\":\"" ID_A "\"}", "wrong_type"},
        {NM_RECORDS, "{\"id\": \"" ID_A "\",\"revision\":9,\"heat\":1}", "wrong_type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb_event event = {.revision = -5};
        enum nm_status status = fixture_read(&f, cases[i].stream, ID_A, cases[i].value, &event);
        if (status != NM_BAD_INPUT || strcmp(f.err.code, cases[i].code) != 0)
            fail_msg("%s: status %d, code %s", cases[i].value, (int)status, f.err.code);
        assert_int_equal(event.revision, -5);
    }
    struct pb_event event;
    assert_int_equal(fixture_read(&f, NM_NORMALIZED, NULL, ARTICLE(""), &event), NM_BAD_INPUT);
    assert_int_equal(fixture_read(&f, NM_RECORDS, "no id", NULL, &event), NM_BAD_INPUT);
}

static void bad__lists_without_end_are_too_many(void **state)
{
    (void)state;
    struct nm_buf images = {0}, related = {0};
    nm_buf_adds(&images, "{\"id\":\"" ID_A "\",\"facet\":\"images\",\"revision\":9,\"data\":{\"images\":[");
    nm_buf_adds(&related,
                "{\"id\":\"" ID_A "\",\"facet\":\"related\",\"revision\":9,\"data\":{" STORY(ID_A) ",\"related\":[");
    for (int i = 0; i < 257; i++) {
        nm_buf_addf(&images, "%s{\"url\":\"%d\"}", i ? "," : "", i);
        nm_buf_addf(&related, "%s{\"id\":\"%032d\"}", i ? "," : "", i);
    }
    nm_buf_adds(&images, "]}}");
    nm_buf_adds(&related, "]}}");
    struct pb_event event;
    assert_int_equal(fixture_read(&f, NM_FACETS, ID_A, nm_buf_str(&images), &event), NM_BAD_INPUT);
    assert_string_equal(f.err.code, "too_many");
    assert_int_equal(fixture_read(&f, NM_FACETS, ID_A, nm_buf_str(&related), &event), NM_BAD_INPUT);
    assert_string_equal(f.err.code, "too_many");
    nm_buf_clear(&images);
    nm_buf_clear(&related);
}

static void related__keeps_no_more_than_a_record_may_list(void **state)
{
    (void)state;
    struct nm_buf text = {0};
    nm_buf_adds(&text,
                "{\"id\":\"" ID_A "\",\"facet\":\"related\",\"revision\":9,\"data\":{" STORY(ID_A) ",\"related\":[");
    for (int i = 0; i < 256; i++)
        nm_buf_addf(&text, "%s{\"id\":\"%032d\"}", i ? "," : "", i);
    nm_buf_adds(&text, "]}}");
    struct pb_event event = read_ok(NM_FACETS, nm_buf_str(&text));
    assert_int_equal(event.data.len, PB_MAX_RELATED * PB_ID + strlen(KEPT(ID_A)));
    nm_buf_clear(&text);
}

#define RECORD(members) "{\"id\":\"" ID_A "\",\"revision\":9," members "}"

static void record__read_back_names_what_it_shows(void **state)
{
    (void)state;
    static const struct {
        const char *record, *awaits;
    } cases[] = {
        {RECORD("\"quality\":70,\"published\":true,\"heat\":70"), ""},
        {RECORD("\"quality\":70,\"published\":true,\"heat\":71"), "h"},
        {RECORD("\"quality\":70,\"images\":[{\"url\":\"u\",\"isCached\":false}],\"heat\":70"), ""},
        {RECORD("\"quality\":70,\"images\":[{\"url\":\"u\",\"isCached\":true}],\"heat\":70"), "i"},
        {RECORD("\"quality\":70,\"images\":[{\"url\":\"u\",\"isCached\":false,\"reason\":\"r\"}],\"heat\":70"), "i"},
        {RECORD("\"quality\":70,\"heat\":-1," STORY(ID_B)), "r"},
        {RECORD("\"quality\":70,\"heat\":-1," STORY(ID_A)), "rh"},
        {RECORD("\"quality\":70,\"images\":[{\"url\":\"u\",\"isCached\":true}],\"heat\":7," STORY(ID_A)), "irh"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb_event event = read_ok(NM_RECORDS, cases[i].record);
        assert_int_equal(event.kind, PB_BACK);
        assert_int_equal(event.revision, 9);
        assert_string_equal(event.awaits, cases[i].awaits);
    }
    struct pb_event event = read_ok(NM_RECORDS, NULL);
    assert_int_equal(event.revision, 77); /* a tombstone has it in its header alone */
    assert_string_equal(event.hash, "00000000000000000000000000000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(article__keeps_what_a_record_shows),
        cmocka_unit_test(facet__keeps_what_a_record_shows),
        cmocka_unit_test(bad__messages_get_a_code),
        cmocka_unit_test(bad__lists_without_end_are_too_many),
        cmocka_unit_test(related__keeps_no_more_than_a_record_may_list),
        cmocka_unit_test(record__read_back_names_what_it_shows),
    };
    return cmocka_run_group_tests_name("publish_event", tests, open_fixture, close_fixture);
}
