/* test_publish_record.c - a record as bytes: members and their order, what never reaches a reader, the hash that
 * decides whether a record is sent again, tombstones, and articles that are not as normalize writes them. */
#include "publish/publish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID "136ab291632faf53215323ed8744d7a4"

static const char full_article[] =
    "{\"id\":\"" ID "\",\"revision\":1933740140000042,\"sourceTime\":1933740131000,"
    "\"path\":\"_news/2031-04-12-ferry-timetable.md\",\"category\":\"news\",\"type\":\"article\",\"locale\":\"en\","
    "\"title\":\"Ferry & tram \\u00e9\\\"q\\\"\",\"excerpt\":\"One ticket.\",\"publishedDateTime\":\"2031-04-12T05:30:"
    "00Z\","
    "\"originalUrl\":\"https://www.harbour-gazette.example/f?utm_source=feed\","
    "\"webUrl\":\"https://www.harbour-gazette.example/f\",\"ampWebUrl\":\"https://www.harbour-gazette.example/amp\","
    "\"cdnAmpWebUrl\":\"https://cdn.example/c/s/amp\","
    "\"provider\":{\"name\":\"Harbour Gazette\",\"domain\":\"harbour-gazette.example\",\"images\":[{\"url\":\"https://"
    "site.example/50.png\",\"width\":50,\"height\":50}]},"
    "\"topics\":[\"Ferries\",\"Transport\"],\"quality\":86,\"qualityParts\":[{\"rule\":\"event\",\"points\":86}],"
    "\"images\":[{\"url\":\"https://cdn.harbour-gazette.example/a.jpg\",\"width\":1200,\"height\":630},{\"url\":"
    "\"https://cdn.harbour-gazette.example/b.jpg\"}],\"secured\":\"8s0J==;AAAA==\",\"rules\":1}";

static const char full_body[] =
    "\"path\":\"_news/2031-04-12-ferry-timetable.md\",\"category\":\"news\",\"type\":\"article\",\"locale\":\"en\","
    "\"title\":\"Ferry & tram \u00e9\\\"q\\\"\",\"excerpt\":\"One ticket.\",\"publishedDateTime\":\"2031-04-12T05:30:"
    "00Z\","
    "\"originalUrl\":\"https://www.harbour-gazette.example/f?utm_source=feed\","
    "\"webUrl\":\"https://www.harbour-gazette.example/f\",\"ampWebUrl\":\"https://www.harbour-gazette.example/amp\","
    "\"cdnAmpWebUrl\":\"https://cdn.example/c/s/amp\","
    "\"provider\":{\"name\":\"Harbour Gazette\",\"domain\":\"harbour-gazette.example\",\"images\":[{\"url\":\"https://"
    "site.example/50.png\",\"width\":50,\"height\":50}]},"
    "\"topics\":[\"Ferries\",\"Transport\"],\"quality\":86,"
    "\"images\":[{\"url\":\"https://cdn.harbour-gazette.example/a.jpg\",\"width\":1200,\"height\":630,\"isCached\":"
    "false},{\"url\":\"https://cdn.harbour-gazette.example/b.jpg\",\"isCached\":false}],"
    "\"secured\":\"8s0J==;AAAA==\",\"published\":true,\"heat\":86}";

struct composed {
    struct nm_arena arena;
    struct nm_article article;
    struct pb_body body;
    enum nm_status status;
    struct nm_error err;
};

static struct composed compose_at(const char *text, long long min_quality)
{
    struct composed c = {.status = NM_OK};
    struct pb_options options = {.min_quality = min_quality};
    c.status = nm_article_read(text, strlen(text), &c.arena, &c.article, &c.err);
    if (c.status == NM_OK)
        c.status = pb_compose(&options, &c.article, &c.arena, &c.body, &c.err);
    return c;
}

static struct composed compose(const char *text)
{
    return compose_at(text, 70);
}

/* The body of `text`, copied to `out`. */
static void body_of(const char *text, char out[4096])
{
    struct composed c = compose(text);
    if (c.status != NM_OK)
        fail_msg("%s: %s", text, c.err.msg);
    assert_true(c.body.len < 4095);
    memcpy(out, c.body.text, c.body.len);
    out[c.body.len] = '\0';
    nm_arena_clear(&c.arena);
}

static void hash_of(const char *text, char out[33])
{
    struct composed c = compose(text);
    if (c.status != NM_OK)
        fail_msg("%s: %s", text, c.err.msg);
    memcpy(out, c.body.hash, 33);
    nm_arena_clear(&c.arena);
}

static void record__full_article_members_and_order(void **state)
{
    (void)state;
    struct composed c = compose(full_article);
    assert_int_equal(c.status, NM_OK);
    const char *record;
    size_t len;
    assert_int_equal(pb_record(c.article.id, &c.body, 1933740145000000, &c.arena, &record, &len, &c.err), NM_OK);
    char want[4096];
    int want_len = snprintf(want, sizeof want, "{\"id\":\"" ID "\",\"revision\":1933740145000000,%s", full_body);
    assert_int_equal(len, want_len);
    assert_memory_equal(record, want, len);
    yyjson_doc *doc = yyjson_read(record, len, 0);
    assert_non_null(doc);
    yyjson_doc_free(doc);
    nm_arena_clear(&c.arena);
}

#define SMALL(members) "{\"id\":\"" ID "\",\"revision\":5,\"sourceTime\":0" members "}"

static void record__optional_members(void **state)
{
    (void)state;
    static const struct {
        const char *article, *want;
    } cases[] = {
        {SMALL(""), "\"published\":false,\"heat\":0}"},
        {SMALL(",\"title\":\"t\",\"quality\":70"), "\"title\":\"t\",\"quality\":70,\"published\":true,\"heat\":70}"},
        {SMALL(",\"quality\":69"), "\"quality\":69,\"published\":false,\"heat\":69}"},
        {SMALL(",\"quality\":-12"), "\"quality\":-12,\"published\":false,\"heat\":-12}"},
        {SMALL(",\"images\":[]"), "\"images\":[],\"published\":false,\"heat\":0}"},
        {SMALL(",\"images\":[{\"url\":\"u\"}]"),
         "\"images\":[{\"url\":\"u\",\"isCached\":false}],\"published\":false,\"heat\":0}"},
        /* members of a newer article/1, or of somebody else: not a reader's business, and never twice in a record */
        {SMALL(",\"new\":{\"a\":[1]}"), "\"published\":false,\"heat\":0}"},
        {SMALL(",\"published\":true,\"heat\":7,\"story\":{},\"related\":[]"), "\"published\":false,\"heat\":0}"},
        {SMALL(",\"retracted\":false"), "\"published\":false,\"heat\":0}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[4096];
        body_of(cases[i].article, body);
        assert_string_equal(body, cases[i].want);
    }
}

static void record__min_quality_is_the_option(void **state)
{
    (void)state;
    static const struct {
        long long quality, min;
        bool want;
    } cases[] = {{-1000, -1000, true}, {0, 0, true},   {0, 1, false},   {1000, 1000, true},
                 {999, 1000, false},   {70, 70, true}, {69, 70, false}, {-1, 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, SMALL(",\"quality\":%lld"), cases[i].quality);
        struct composed c = compose_at(text, cases[i].min);
        assert_int_equal(c.status, NM_OK);
        assert_int_equal(strstr(c.body.text, "\"published\":true") != NULL, cases[i].want);
        nm_arena_clear(&c.arena);
    }
}

/* ---- the hash ---- */

static void hash__same_body_same_hash_whatever_is_inside(void **state)
{
    (void)state;
    char first[33], other[33];
    hash_of("{\"id\":\"" ID
            "\",\"revision\":5,\"sourceTime\":7,\"title\":\"t\",\"quality\":1,\"qualityParts\":[],\"rules\":1}",
            first);
    assert_int_equal(strlen(first), 32);
    assert_int_equal(strspn(first, "0123456789abcdef"), 32);
    static const char *const same[] = {
        "{\"id\":\"" ID "\",\"revision\":6,\"sourceTime\":9,\"title\":\"t\",\"quality\":1,\"qualityParts\":[{\"rule\":"
        "\"x\",\"points\":1}],\"rules\":2}",
        "{ \"id\" : \"" ID "\", \"revision\":5, \"sourceTime\":7,\n \"title\": \"\\u0074\", \"quality\": 1 }",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        hash_of(same[i], other);
        assert_string_equal(other, first);
    }
}

static void hash__every_visible_change_changes_it(void **state)
{
    (void)state;
    static const char *const cases[] = {
        SMALL(",\"title\":\"t\",\"quality\":1"),
        SMALL(",\"title\":\"T\",\"quality\":1"),
        SMALL(",\"title\":\"t\",\"quality\":2"),
        SMALL(",\"title\":\"t\",\"quality\":1,\"excerpt\":\"e\""),
        SMALL(",\"title\":\"t \",\"quality\":1"),
        SMALL(",\"title\":\"t\",\"quality\":1,\"images\":[]"),
        SMALL(",\"excerpt\":\"t\",\"quality\":1"),
        SMALL(",\"title\":\"t\",\"quality\":70"),
        SMALL(",\"title\":\"t\",\"quality\":1,\"secured\":\"x\""),
        SMALL(",\"title\":\"t\",\"quality\":1,\"topics\":[]"),
    };
    enum { N = sizeof cases / sizeof *cases };
    char hash[N][33];
    for (size_t i = 0; i < N; i++) {
        hash_of(cases[i], hash[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(hash[i], hash[k]) == 0)
                fail_msg("%s and %s have one hash", cases[i], cases[k]);
    }
}

/* A stored mark must stay valid over restarts and versions: the hash is a fact of the bytes, not of the process. */
static void hash__is_the_first_half_of_sha256_of_the_body(void **state)
{
    (void)state;
    char hash[33];
    hash_of(SMALL(",\"title\":\"t\",\"quality\":70"), hash);
    /* printf '%s' '"title":"t","quality":70,"published":true,"heat":70}' | sha256sum | cut -c 1-32 */
    assert_string_equal(hash, "4b52ac9e2459b674580dc04548845957");
}

/* ---- tombstones ---- */

static void record__retracted_article_is_a_tombstone(void **state)
{
    (void)state;
    static const char *const cases[] = {
        SMALL(",\"retracted\":true"),
        SMALL(",\"retracted\":true,\"title\":\"t\",\"quality\":99"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct composed c = compose(cases[i]);
        assert_int_equal(c.status, NM_OK);
        assert_null(c.body.text);
        assert_string_equal(c.body.hash, "retracted");
        const char *record = "x";
        size_t len = 1;
        assert_int_equal(pb_record(c.article.id, &c.body, 9, &c.arena, &record, &len, &c.err), NM_OK);
        assert_null(record);
        assert_int_equal(len, 0);
        nm_arena_clear(&c.arena);
    }
}

/* ---- articles that normalize would not write ---- */

static void record__odd_articles_are_bad_input_and_never_fatal(void **state)
{
    (void)state;
    static const char *const cases[] = {
        SMALL(",\"images\":[\"x\"]"), SMALL(",\"images\":[{\"url\":\"u\"},7]"), SMALL(",\"images\":[null]"),
        SMALL(",\"images\":\"x\""),   SMALL(",\"images\":{\"url\":\"u\"}"),     SMALL(",\"images\":null"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct composed c = compose(cases[i]);
        if (c.status != NM_BAD_INPUT)
            fail_msg("%s: status %d: %s", cases[i], (int)c.status, c.err.msg);
        assert_string_equal(c.err.code, "wrong_type");
        nm_arena_clear(&c.arena);
    }
}

/* Whatever the members hold, the record is JSON with each name once, or the article is bad input. */
static void record__any_member_gives_json_with_unique_names(void **state)
{
    (void)state;
    static const char *const members[] = {"title", "quality", "images",  "provider", "topics", "published",
                                          "heat",  "story",   "related", "isCached", "path",   "unknown"};
    static const char *const values[] = {"null",
                                         "true",
                                         "1",
                                         "-1",
                                         "1.5",
                                         "1e300",
                                         "9223372036854775807",
                                         "18446744073709551615",
                                         "\"\"",
                                         "\"\\u0000\"",
                                         "[]",
                                         "{}",
                                         "[{}]",
                                         "[{\"isCached\":true}]",
                                         "[[[[1]]]]"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            char text[300];
            (void)snprintf(text, sizeof text, SMALL(",\"%s\":%s"), members[i], values[k]);
            struct composed c = compose(text);
            assert_true(c.status == NM_OK || c.status == NM_BAD_INPUT);
            const char *record = NULL;
            size_t len = 0;
            if (c.status == NM_OK)
                assert_int_equal(pb_record(c.article.id, &c.body, 9, &c.arena, &record, &len, &c.err), NM_OK);
            yyjson_doc *doc = record ? yyjson_read(record, len, 0) : NULL;
            if (record && !doc)
                fail_msg("%s became %.*s", text, (int)len, record);
            yyjson_obj_iter iter;
            yyjson_obj_iter_init(yyjson_doc_get_root(doc), &iter);
            for (yyjson_val *key = yyjson_obj_iter_next(&iter); key; key = yyjson_obj_iter_next(&iter))
                if (yyjson_obj_get(yyjson_doc_get_root(doc), yyjson_get_str(key)) != yyjson_obj_iter_get_val(key))
                    fail_msg("%s became %.*s", text, (int)len, record);
            yyjson_doc_free(doc);
            nm_arena_clear(&c.arena);
        }
}

static void record__deep_and_wide_articles_pass_through(void **state)
{
    (void)state;
    enum { DEPTH = 20000 };
    struct nm_buf text = {0};
    nm_buf_adds(&text, "{\"id\":\"" ID "\",\"revision\":5,\"sourceTime\":0,\"topics\":");
    for (int i = 0; i < DEPTH; i++)
        nm_buf_addc(&text, '[');
    for (int i = 0; i < DEPTH; i++)
        nm_buf_addc(&text, ']');
    nm_buf_adds(&text, ",\"images\":[");
    for (int i = 0; i < DEPTH; i++)
        nm_buf_addf(&text, "%s{\"url\":\"https://cdn.example/%d\"}", i ? "," : "", i);
    nm_buf_adds(&text, "]}");
    struct composed c = compose(nm_buf_str(&text));
    assert_int_equal(c.status, NM_OK);
    assert_true(c.body.len > text.len - 200);
    nm_arena_clear(&c.arena);
    nm_buf_clear(&text);
}

static void record__largest_numbers_in_the_head(void **state)
{
    (void)state;
    struct composed c = compose(SMALL(""));
    const char *record;
    size_t len;
    assert_int_equal(pb_record(ID, &c.body, INT64_MAX, &c.arena, &record, &len, &c.err), NM_OK);
    static const char want[] = "{\"id\":\"" ID "\",\"revision\":9223372036854775807,\"published\":false,\"heat\":0}";
    assert_int_equal(len, sizeof want - 1);
    assert_memory_equal(record, want, len);
    nm_arena_clear(&c.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record__full_article_members_and_order),
        cmocka_unit_test(record__optional_members),
        cmocka_unit_test(record__min_quality_is_the_option),
        cmocka_unit_test(hash__same_body_same_hash_whatever_is_inside),
        cmocka_unit_test(hash__every_visible_change_changes_it),
        cmocka_unit_test(hash__is_the_first_half_of_sha256_of_the_body),
        cmocka_unit_test(record__retracted_article_is_a_tombstone),
        cmocka_unit_test(record__odd_articles_are_bad_input_and_never_fatal),
        cmocka_unit_test(record__any_member_gives_json_with_unique_names),
        cmocka_unit_test(record__deep_and_wide_articles_pass_through),
        cmocka_unit_test(record__largest_numbers_in_the_head),
    };
    return cmocka_run_group_tests_name("publish_record", tests, NULL, NULL);
}
