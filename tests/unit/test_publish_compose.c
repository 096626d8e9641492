/* test_publish_compose.c - a record as bytes: members and their order, facets merged in, leads and members, the card
 * and the order of related ones, the hash that decides whether a record is sent again, records that grow too large. */
#include "publish_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define IMAGES(list)  FACET("images", "{\"images\":[" list "]}")
#define HEAT(n)       FACET("heat", "{\"heat\":" #n "}")
#define STORY(lead)   "\"story\":{\"id\":\"" ID_C "\",\"lead\":\"" lead "\",\"size\":3}"
#define RELATED(lead) FACET("related", "{" STORY(lead) ",\"related\":[{\"id\":\"" ID_B "\"},{\"id\":\"" ID_C "\"}]}")

struct parts { /* messages; NULL: none */
    const char *article, *images, *related, *heat;
};

static struct pb_text kept(enum nm_stream stream, const char *value)
{
    struct pb_event event = {.data = {.s = "", .len = 0}};
    if (value && fixture_read(&f, stream, ID_A, value, &event) != NM_OK)
        fail_msg("%s: %s", value, f.err.msg);
    return event.data;
}

static struct pb_own own_of(const struct parts *parts)
{
    struct pb_own own = {0};
    struct pb_state state = {.id = ID_A,
                             .article = kept(NM_NORMALIZED, parts->article),
                             .images = kept(NM_FACETS, parts->images),
                             .related = kept(NM_FACETS, parts->related),
                             .heat = kept(NM_FACETS, parts->heat)};
    if (pb_make_own(&f.maker, &state, &own, &f.err) != NM_OK)
        fail_msg("%s: %s", parts->article, f.err.msg);
    return own;
}

static struct pb_body body_with(const struct pb_own *own, struct pb_member *member, size_t n, size_t room)
{
    struct pb_body body = {0};
    if (pb_make_body(&f.maker, own, member, n, room, &body, &f.err) != NM_OK)
        fail_msg("%s", f.err.msg);
    return body;
}

static struct pb_body body_of(const struct parts *parts)
{
    struct pb_own own = own_of(parts);
    return body_with(&own, NULL, 0, 1 << 21);
}

static void assert_body(const struct parts *parts, const char *want)
{
    struct pb_body body = body_of(parts);
    if (body.text.len != strlen(want) || memcmp(body.text.s, want, body.text.len) != 0)
        fail_msg("the record is\n  %.*s\nnot\n  %s", (int)body.text.len, body.text.s, want);
}

/* ---- an article by itself ---- */

static const char full_article[] =
    "{\"id\":\"" ID_A "\",\"revision\":1933740140000042,\"sourceTime\":1933740131000,"
    "\"path\":\"_news/2031-04-12-ferry-timetable.md\",\"category\":\"news\",\"type\":\"article\",\"locale\":\"en\","
    "\"title\":\"Ferry & tram \\u00e9\\\"q\\\"\",\"excerpt\":\"One ticket.\",\"publishedDateTime\":"
    "\"2031-04-12T05:30:00Z\",\"originalUrl\":\"https://www.harbour-gazette.example/f?utm_source=feed\","
    "\"webUrl\":\"https://www.harbour-gazette.example/f\",\"ampWebUrl\":\"https://www.harbour-gazette.example/amp\","
    "\"cdnAmpWebUrl\":\"https://cdn.example/c/s/amp\",\"provider\":{\"name\":\"Harbour Gazette\",\"domain\":"
    "\"harbour-gazette.example\",\"images\":[{\"url\":\"https://site.example/50.png\",\"width\":50,\"height\":50}]},"
    "\"topics\":[\"Ferries\",\"Transport\"],\"quality\":86,\"qualityParts\":[{\"rule\":\"event\",\"points\":86}],"
    "\"images\":[{\"url\":\"https://cdn.harbour-gazette.example/a.jpg\",\"width\":1200,\"height\":630},{\"url\":"
    "\"https://cdn.harbour-gazette.example/b.jpg\"}],\"secured\":\"8s0J==;AAAA==\",\"rules\":1}";

#define FULL_IMAGES                                                                                                    \
    "\"images\":[{\"url\":\"https://cdn.harbour-gazette.example/a.jpg\",\"width\":1200,\"height\":630,\"isCached\":"   \
    "false},{\"url\":\"https://cdn.harbour-gazette.example/b.jpg\",\"isCached\":false}]"

static const char full_body[] =
    "\"path\":\"_news/2031-04-12-ferry-timetable.md\",\"category\":\"news\",\"type\":\"article\",\"locale\":\"en\","
    "\"title\":\"Ferry & tram \u00e9\\\"q\\\"\",\"excerpt\":\"One ticket.\",\"publishedDateTime\":"
    "\"2031-04-12T05:30:00Z\",\"originalUrl\":\"https://www.harbour-gazette.example/f?utm_source=feed\","
    "\"webUrl\":\"https://www.harbour-gazette.example/f\",\"ampWebUrl\":\"https://www.harbour-gazette.example/amp\","
    "\"cdnAmpWebUrl\":\"https://cdn.example/c/s/amp\",\"provider\":{\"name\":\"Harbour Gazette\",\"domain\":"
    "\"harbour-gazette.example\",\"images\":[{\"url\":\"https://site.example/50.png\",\"width\":50,\"height\":50}]},"
    "\"topics\":[\"Ferries\",\"Transport\"],\"quality\":86," FULL_IMAGES
    ",\"secured\":\"8s0J==;AAAA==\",\"published\":true,\"heat\":86}";

static const char full_card[] =
    "86 2031-04-12T05:30:00Z {\"title\":\"Ferry & tram \u00e9\\\"q\\\"\",\"excerpt\":\"One ticket.\","
    "\"publishedDateTime\":\"2031-04-12T05:30:00Z\",\"webUrl\":\"https://www.harbour-gazette.example/f\","
    "\"ampWebUrl\":\"https://www.harbour-gazette.example/amp\",\"cdnAmpWebUrl\":\"https://cdn.example/c/s/amp\","
    "\"type\":\"article\",\"provider\":{\"name\":\"Harbour Gazette\",\"domain\":\"harbour-gazette.example\"},"
    "\"quality\":86," FULL_IMAGES "}";

static void record__full_article_members_and_order(void **state)
{
    (void)state;
    struct parts parts = {.article = full_article};
    assert_body(&parts, full_body);
    struct pb_body body = body_of(&parts);
    struct pb_text record = pb_record(ID_A, &body, 1933740145000000);
    char want[4096];
    int want_len = snprintf(want, sizeof want, "{\"id\":\"" ID_A "\",\"revision\":1933740145000000,%s", full_body);
    assert_int_equal(record.len, want_len);
    assert_memory_equal(record.s, want, record.len);
    record = pb_record(ID_A, &body, INT64_MAX);
    assert_memory_equal(record.s, "{\"id\":\"" ID_A "\",\"revision\":9223372036854775807,\"path\"", 76);
}

static void card__what_a_lead_shows(void **state)
{
    (void)state;
    struct pb_own own = own_of(&(struct parts){.article = full_article});
    assert_int_equal(own.card.len, strlen(full_card));
    assert_memory_equal(own.card.s, full_card, strlen(full_card));
    struct pb_own other = own_of(&(struct parts){.article = ARTICLE(",\"path\":\"p\",\"quality\":-5")});
    assert_int_equal(other.card.len, strlen("-5 - {\"quality\":-5}"));
    assert_memory_equal(other.card.s, "-5 - {\"quality\":-5}", 19);
    /* a date that is none must not break the card in two (the fuzzer's find) */
    own = own_of(&(struct parts){.article = ARTICLE(",\"publishedDateTime\":\"2031- 4-12T05:30:00Z\"")});
    assert_memory_equal(own.card.s, "0 - {\"published", 15);
    /* what a lead does not show changes nothing */
    struct parts unseen = {
        .article = ARTICLE(",\"path\":\"q\",\"topics\":[],\"quality\":-5"), .heat = HEAT(7), .related = RELATED(ID_B)};
    own = own_of(&unseen);
    assert_int_equal(own.card.len, other.card.len);
    assert_memory_equal(own.card.s, other.card.s, own.card.len);
}

static void record__optional_members(void **state)
{
    (void)state;
    static const struct {
        const char *article, *want;
    } cases[] = {
        {ARTICLE(""), "\"published\":false,\"heat\":0}"},
        {ARTICLE(",\"title\":\"t\",\"quality\":70"), "\"title\":\"t\",\"quality\":70,\"published\":true,\"heat\":70}"},
        {ARTICLE(",\"quality\":69"), "\"quality\":69,\"published\":false,\"heat\":69}"},
        {ARTICLE(",\"quality\":-12"), "\"quality\":-12,\"published\":false,\"heat\":-12}"},
        {ARTICLE(",\"images\":[]"), "\"published\":false,\"heat\":0}"},
        {ARTICLE(",\"images\":[{\"url\":\"u\"}]"),
         "\"images\":[{\"url\":\"u\",\"isCached\":false}],\"published\":false,\"heat\":0}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_body(&(struct parts){.article = cases[i].article}, cases[i].want);
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
        f.options.min_quality = cases[i].min;
        (void)snprintf(text, sizeof text, ARTICLE(",\"quality\":%lld"), cases[i].quality);
        struct pb_body body = body_of(&(struct parts){.article = text});
        f.options.min_quality = 70;
        char *shown = nm_arena_copy(&f.arena, body.text.s, body.text.len);
        assert_int_equal(strstr(shown, "\"published\":true") != NULL, cases[i].want);
    }
}

static void record__retracted_article_is_a_tombstone(void **state)
{
    (void)state;
    struct parts parts = {.article = ARTICLE(",\"retracted\":true"), .related = RELATED(ID_A), .heat = HEAT(7)};
    struct pb_own own = own_of(&parts);
    assert_true(own.retracted);
    assert_int_equal(own.card.len + own.members.len, 0);
    struct pb_body body = body_with(&own, NULL, 0, 1 << 21);
    assert_null(body.text.s);
    assert_string_equal(body.hash, "00000000000000000000000000000000");
    assert_null(pb_record(ID_A, &body, 9).s);
}

/* ---- facets ---- */

#define TWO ARTICLE(",\"quality\":80,\"images\":[{\"url\":\"u\",\"width\":10,\"height\":20},{\"url\":\"v\"}]")

static void images__facet_and_article_are_merged(void **state)
{
    (void)state;
    static const struct {
        const char *article, *facet, *want;
    } cases[] = {
        {TWO, NULL, "{\"url\":\"u\",\"width\":10,\"height\":20,\"isCached\":false},{\"url\":\"v\",\"isCached\":false}"},
        {TWO, FACET("images", "null"),
         "{\"url\":\"u\",\"width\":10,\"height\":20,\"isCached\":false},{\"url\":\"v\",\"isCached\":false}"},
        {TWO,
         IMAGES("{\"url\":\"u\",\"isCached\":true,\"width\":1,\"height\":2,\"cachedUrl\":\"c\"},"
                "{\"url\":\"v\",\"isCached\":true,\"width\":3,\"height\":4,\"thumbnails\":[{\"url\":\"t\"}]}"),
         "{\"url\":\"u\",\"width\":1,\"height\":2,\"isCached\":true,\"cachedUrl\":\"c\"},"
         "{\"url\":\"v\",\"width\":3,\"height\":4,\"isCached\":true,\"thumbnails\":[{\"url\":\"t\"}]}"},
        /* not stored (AVIF), or it failed: the article's own size */
        {TWO,
         IMAGES("{\"url\":\"u\",\"isCached\":false,\"reason\":\"type_not_allowed\"},"
                "{\"url\":\"v\",\"isCached\":false,\"reason\":\"timeout\",\"nextTry\":\"n\"}"),
         "{\"url\":\"u\",\"width\":10,\"height\":20,\"isCached\":false,\"reason\":\"type_not_allowed\"},"
         "{\"url\":\"v\",\"isCached\":false,\"reason\":\"timeout\",\"nextTry\":\"n\"}"},
        /* a facet of an older list: by URL, whatever the place; what it does not know is not cached */
        {TWO, IMAGES("{\"url\":\"x\",\"isCached\":true},{\"url\":\"u\",\"isCached\":true,\"width\":1,\"height\":2}"),
         "{\"url\":\"u\",\"width\":1,\"height\":2,\"isCached\":true},{\"url\":\"v\",\"isCached\":false}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char want[1024];
        (void)snprintf(want, sizeof want, "\"quality\":80,\"images\":[%s],\"published\":true,\"heat\":80}",
                       cases[i].want);
        assert_body(&(struct parts){.article = cases[i].article, .images = cases[i].facet}, want);
    }
    assert_body(&(struct parts){.article = ARTICLE(",\"quality\":80"), .images = IMAGES("{\"url\":\"u\"}")},
                "\"quality\":80,\"published\":true,\"heat\":80}");
}

#define SHOWN_STORY(lead) ",\"story\":{\"id\":\"" ID_C "\",\"lead\":\"" lead "\",\"size\":3}}"

static void story__lead_and_member(void **state)
{
    (void)state;
    static const struct {
        struct parts parts;
        const char *want;
    } cases[] = {
        {{.article = ARTICLE(",\"quality\":80"), .heat = HEAT(126)}, "\"quality\":80,\"published\":true,\"heat\":126}"},
        {{.article = ARTICLE(",\"quality\":80"), .related = RELATED(ID_A)},
         "\"quality\":80,\"published\":true,\"heat\":80" SHOWN_STORY(ID_A)},
        {{.article = ARTICLE(",\"quality\":80"), .related = RELATED(ID_A), .heat = HEAT(126)},
         "\"quality\":80,\"published\":true,\"heat\":126" SHOWN_STORY(ID_A)},
        {{.article = ARTICLE(",\"quality\":80"), .related = RELATED(ID_B), .heat = HEAT(126)},
         "\"quality\":80,\"published\":false,\"heat\":-1" SHOWN_STORY(ID_B)},
        {{.article = ARTICLE(",\"quality\":80"), .related = RELATED(ID_B)},
         "\"quality\":80,\"published\":false,\"heat\":-1" SHOWN_STORY(ID_B)},
        {{.article = ARTICLE(",\"quality\":80"), .related = FACET("related", "null"), .heat = FACET("heat", "null")},
         "\"quality\":80,\"published\":true,\"heat\":80}"},
        {{.article = ARTICLE(",\"quality\":60"), .related = RELATED(ID_A), .heat = HEAT(0)},
         "\"quality\":60,\"published\":false,\"heat\":0" SHOWN_STORY(ID_A)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_body(&cases[i].parts, cases[i].want);
}

static void story__members_are_listed_by_a_lead_up_to_the_option(void **state)
{
    (void)state;
    struct parts parts = {.article = ARTICLE(",\"quality\":80"), .related = RELATED(ID_A)};
    struct pb_own own = own_of(&parts);
    assert_int_equal(own.members.len, 2 * PB_ID);
    assert_memory_equal(own.members.s, ID_B ID_C, 2 * PB_ID);
    f.options.max_related = 1;
    assert_int_equal(own_of(&parts).members.len, PB_ID);
    f.options.max_related = 0;
    assert_int_equal(own_of(&parts).members.len, 0);
    f.options.max_related = 20;
    parts.related = RELATED(ID_B);
    assert_int_equal(own_of(&parts).members.len, 0);
}

/* ---- related ---- */

static struct pb_member member(const char *id, const char *card)
{
    return (struct pb_member){.id = id, .card = {.s = card, .len = strlen(card)}};
}

#define CARD(words, object) words " " object

static void related__best_first_then_oldest_then_greater_id(void **state)
{
    (void)state;
    struct pb_own own = own_of(&(struct parts){.article = ARTICLE(",\"quality\":80"), .related = RELATED(ID_A)});
    static const char want[] = "\"quality\":80,\"published\":true,\"heat\":80,\"story\":{\"id\":\"" ID_C
                               "\",\"lead\":\"" ID_A "\",\"size\":3},\"related\":[{1},{2},{3},{4},{5}]}";
    for (unsigned round = 0; round < 6; round++) {
        struct pb_member members[8] = {
            member(ID_B, CARD("-3 2031-04-12T05:30:00Z", "{5}")),
            member(ID_C, CARD("70 2031-04-12T05:30:00Z", "{3}")),
            member(ID_B, CARD("70 2031-04-12T05:30:00Z", "{4}")),
            member(ID_A, CARD("70 2031-04-11T05:30:00Z", "{2}")),
            member(ID_A, CARD("100 2031-04-12T05:30:00Z", "{1}")),
            /* not there, or not as we write it: left out */
            member(ID_A, ""),
            member(ID_A, "70"),
            member(ID_A, "70 2031-04-12T05:30:00Z"),
        };
        for (unsigned i = 0; i < 8; i++) {
            struct pb_member held = members[i];
            members[i] = members[(i * 5 + round) % 8];
            members[(i * 5 + round) % 8] = held;
        }
        struct pb_body body = body_with(&own, members, 8, 1 << 21);
        assert_int_equal(body.text.len, strlen(want));
        assert_memory_equal(body.text.s, want, body.text.len);
        assert_int_equal(body.n_dropped, 0);
    }
}

static void related__last_ones_are_dropped_until_the_record_fits(void **state)
{
    (void)state;
    struct pb_own own = own_of(&(struct parts){.article = ARTICLE(",\"quality\":80"), .related = RELATED(ID_A)});
    for (size_t room = 100; room < 500; room++) {
        struct pb_member members[3] = {
            member(ID_A, CARD("3 -", "{\"title\":\"first of three\"}")),
            member(ID_B, CARD("2 -", "{\"title\":\"second\"}")),
            member(ID_C, CARD("1 -", "{\"title\":\"third\"}")),
        };
        struct pb_body body = body_with(&own, members, 3, room);
        struct pb_text record = pb_record(ID_A, &body, INT64_MAX);
        yyjson_doc *doc = yyjson_read(record.s, record.len, 0);
        assert_non_null(doc);
        size_t shown = yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "related"));
        assert_int_equal(shown, 3 - body.n_dropped);
        if (shown > 0)
            assert_true(record.len <= room);
        assert_int_equal(yyjson_obj_get(yyjson_doc_get_root(doc), "related") != NULL, shown > 0);
        yyjson_doc_free(doc);
        if (room == 499)
            assert_int_equal(shown, 3);
    }
}

/* ---- the hash ---- */

static void hash__same_body_same_hash_whatever_is_inside(void **state)
{
    (void)state;
    struct pb_body first = body_of(&(struct parts){.article = ARTICLE(",\"title\":\"t\",\"quality\":1")});
    assert_int_equal(strspn(first.hash, "0123456789abcdef"), 32);
    static const char *const same[] = {
        "{\"id\":\"" ID_A
        "\",\"revision\":6,\"sourceTime\":9,\"title\":\"t\",\"quality\":1,\"qualityParts\":[{\"rule\":"
        "\"x\",\"points\":1}],\"rules\":2}",
        "{ \"id\" : \"" ID_A "\", \"revision\":5, \"sourceTime\":7,\n \"title\": \"\\u0074\", \"quality\": 1 }",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_string_equal(body_of(&(struct parts){.article = same[i]}).hash, first.hash);
}

static void hash__every_visible_change_changes_it(void **state)
{
    (void)state;
    static const struct parts cases[] = {
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":1")},
        {.article = ARTICLE(",\"title\":\"T\",\"quality\":1")},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":2")},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":1,\"excerpt\":\"e\"")},
        {.article = ARTICLE(",\"title\":\"t \",\"quality\":1")},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":1,\"images\":[{\"url\":\"u\"}]")},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":1,\"images\":[{\"url\":\"u\"}]"),
         .images = IMAGES("{\"url\":\"u\",\"isCached\":true}")},
        {.article = ARTICLE(",\"excerpt\":\"t\",\"quality\":1")},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":70")},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":1,\"secured\":\"x\"")},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":1,\"topics\":[]")},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":1"), .heat = HEAT(2)},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":1"), .related = RELATED(ID_A)},
        {.article = ARTICLE(",\"title\":\"t\",\"quality\":1"), .related = RELATED(ID_B)},
    };
    enum { N = sizeof cases / sizeof *cases };
    char hash[N][33];
    for (size_t i = 0; i < N; i++) {
        memcpy(hash[i], body_of(&cases[i]).hash, 33);
        for (size_t k = 0; k < i; k++)
            if (strcmp(hash[i], hash[k]) == 0)
                fail_msg("%zu and %zu have one hash", i, k);
    }
}

/* A stored mark must stay valid over restarts and versions: the hash is a fact of the bytes, not of the process. */
static void hash__is_the_first_half_of_sha256_of_the_body(void **state)
{
    (void)state;
    struct pb_body body = body_of(&(struct parts){.article = ARTICLE(",\"title\":\"t\",\"quality\":70")});
    /* printf '%s' '"title":"t","quality":70,"published":true,"heat":70}' | sha256sum | cut -c 1-32 */
    assert_string_equal(body.hash, "4b52ac9e2459b674580dc04548845957");
    struct pb_event back;
    struct pb_text record = pb_record(ID_A, &body, 9);
    assert_int_equal(fixture_read(&f, NM_RECORDS, ID_A, nm_arena_copy(&f.arena, record.s, record.len), &back), NM_OK);
    assert_string_equal(back.hash, body.hash); /* as it is read back from the stream */
}

/* ---- anything ---- */

/* Whatever the members hold, record and card are JSON with each name once, or the message is bad input. */
static void record__any_member_gives_json_with_unique_names(void **state)
{
    (void)state;
    static const char *const members[] = {
        "title",   "quality", "images",           "provider", "topics",  "published", "heat",
        "story",   "related", "isCached",         "path",     "unknown", "type",      "webUrl",
        "secured", "excerpt", "publishedDateTime"};
    static const char *const values[] = {"null",
                                         "true",
                                         "1",
                                         "-1",
                                         "1.5",
                                         "1e300",
                                         "9223372036854775807",
                                         "18446744073709551615",
                                         "\"\"",
                                         "\"\\u0000\\u001f\\\\\"",
                                         "[]",
                                         "{}",
                                         "[{}]",
                                         "[{\"isCached\":true}]",
                                         "[[[[1]]]]"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            char text[300];
            struct pb_event event;
            (void)snprintf(text, sizeof text, ARTICLE(",\"%s\":%s"), members[i], values[k]);
            if (fixture_read(&f, NM_NORMALIZED, ID_A, text, &event) != NM_OK)
                continue;
            struct parts parts = {.article = text};
            struct pb_own own = own_of(&parts);
            struct pb_member self = {.id = ID_B, .card = own.card}; /* so that its card is in the record, too */
            struct pb_body body = body_with(&own, &self, 1, 1 << 21);
            struct pb_text record = pb_record(ID_A, &body, 9);
            yyjson_doc *doc = yyjson_read(record.s, record.len, 0);
            if (!doc)
                fail_msg("%s became %.*s", text, (int)record.len, record.s);
            yyjson_val *root = yyjson_doc_get_root(doc);
            assert_int_equal(yyjson_arr_size(yyjson_obj_get(root, "related")), 1);
            yyjson_obj_iter iter = yyjson_obj_iter_with(root);
            for (yyjson_val *key = yyjson_obj_iter_next(&iter); key; key = yyjson_obj_iter_next(&iter))
                if (yyjson_obj_get(root, yyjson_get_str(key)) != yyjson_obj_iter_get_val(key))
                    fail_msg("%s became %.*s", text, (int)record.len, record.s);
            yyjson_doc_free(doc);
        }
}

static void record__deep_articles_pass_through(void **state)
{
    (void)state;
    enum { DEPTH = 20000 };
    struct nm_buf text = {0};
    nm_buf_adds(&text, "{\"id\":\"" ID_A "\",\"revision\":5,\"sourceTime\":0,\"topics\":");
    for (int i = 0; i < DEPTH; i++)
        nm_buf_addc(&text, '[');
    for (int i = 0; i < DEPTH; i++)
        nm_buf_addc(&text, ']');
    nm_buf_adds(&text, "}");
    assert_true(body_of(&(struct parts){.article = nm_buf_str(&text)}).text.len > 2 * DEPTH);
    nm_buf_clear(&text);
}

static void state__that_publish_did_not_write_is_fatal(void **state)
{
    (void)state;
    static const struct pb_state cases[] = {
        {.id = ID_A, .article = {.s = "{", .len = 1}},
        {.id = ID_A, .article = {.s = "[]", .len = 2}},
        {.id = ID_A, .article = {.s = "{}", .len = 2}, .images = {.s = "{}", .len = 2}},
        {.id = ID_A, .article = {.s = "{}", .len = 2}, .images = {.s = "[", .len = 1}},
        {.id = ID_A, .article = {.s = "{}", .len = 2}, .related = {.s = "{}", .len = 2}},
        {.id = ID_A, .article = {.s = "{}", .len = 2}, .related = {.s = ID_B, .len = 32}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb_own own;
        assert_int_equal(pb_make_own(&f.maker, &cases[i], &own, &f.err), NM_FATAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record__full_article_members_and_order),
        cmocka_unit_test(card__what_a_lead_shows),
        cmocka_unit_test(record__optional_members),
        cmocka_unit_test(record__min_quality_is_the_option),
        cmocka_unit_test(record__retracted_article_is_a_tombstone),
        cmocka_unit_test(images__facet_and_article_are_merged),
        cmocka_unit_test(story__lead_and_member),
        cmocka_unit_test(story__members_are_listed_by_a_lead_up_to_the_option),
        cmocka_unit_test(related__best_first_then_oldest_then_greater_id),
        cmocka_unit_test(related__last_ones_are_dropped_until_the_record_fits),
        cmocka_unit_test(hash__same_body_same_hash_whatever_is_inside),
        cmocka_unit_test(hash__every_visible_change_changes_it),
        cmocka_unit_test(hash__is_the_first_half_of_sha256_of_the_body),
        cmocka_unit_test(record__any_member_gives_json_with_unique_names),
        cmocka_unit_test(record__deep_articles_pass_through),
        cmocka_unit_test(state__that_publish_did_not_write_is_fatal),
    };
    return cmocka_run_group_tests_name("publish_compose", tests, open_fixture, close_fixture);
}
