/* test_tool_json.c - events of JSON texts: arrays, containers, values one by one, and what is broken. */
#include "load_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

struct json_case {
    const char *text, *events, *said;
    size_t n_skipped;
};

static const size_t blocks[] = {1, 2, 3, 5, 0};

static void check_cases(const struct json_case *cases, size_t n, size_t max_bytes)
{
    struct load_world world = {.max_bytes = max_bytes};

    for (size_t i = 0; i < n; i++) {
        for (size_t b = 0; b < N(blocks); b++) {
            world.block = blocks[b];
            load_world_read(&world, nm_read_json, cases[i].text, strlen(cases[i].text));
            assert_int_equal(world.status, NM_OK);
            assert_string_equal(nm_buf_str(&world.events), cases[i].events);
            assert_string_equal(nm_buf_str(&world.said), cases[i].said ? cases[i].said : "");
            assert_int_equal(world.n_skipped, cases[i].n_skipped);
        }
    }
    load_world_clear(&world);
}

static void json__arrays_and_values(void **state)
{
    static const struct json_case cases[] = {
        {"", "", "", 0},
        {" \n", "", "", 0},
        {"[]", "", "", 0},
        {"[ ]\n[\n]", "", "", 0},
        {"[{\"a\": 1}]", "{\"a\":1}\n", "", 0},
        {"\xEF\xBB\xBF[ {\"a\" : [1, {\"b\": \"]}\\\"\"}]} , {} ]", "{\"a\":[1,{\"b\":\"]}\\\"\"}]}\n{}\n", "", 0},
        {"[1.10, 123456789012345678901234567890, \"s]\", null, [[]], true]",
         "1.10\n123456789012345678901234567890\n\"s]\"\nnull\n[[]]\ntrue\n", "", 0},
        {"{\"a\": {\"items\": [1]},\n \"b\": \"x\\\\\"}", "{\"a\":{\"items\":[1]},\"b\":\"x\\\\\"}\n", "", 0},
        {"{\"a\": 1}{\"b\": 2}\n{\"c\": 3} 4 \"5\"", "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n4\n\"5\"\n", "", 0},
        {"{\"a\": 1, \"a\": 2}", "{\"a\":1,\"a\":2}\n", "", 0},            /* for normalize to refuse */
        {"{\"items\": [{\"a\": 1}]}", "{\"items\":[{\"a\":1}]}\n", "", 0}, /* no feed */
        {"{}", "{}\n", "", 0},
    };
    (void)state;
    check_cases(cases, N(cases), 0);
}

static void json__feeds_are_unpacked(void **state)
{
#define VERSION "\"version\": \"https://jsonfeed.org/version/1.1\""
    static const struct json_case cases[] = {
        {"{" VERSION ", \"title\": \"T\", \"language\": \"en\", \"items\": [{\"url\": \"a\"}, {\"url\": \"b\", "
         "\"language\": \"de\", \"provider\": 1}], \"x\": [1, {}]}",
         "{\"url\":\"a\",\"language\":\"en\",\"source\":\"T\"}\n{\"url\":\"b\",\"language\":\"de\",\"provider\":1}\n",
         "", 0},
        /* the version comes last: taken apart in memory, with all that the feed says */
        {"{\"items\": [{\"url\": \"a\"}], \"title\": \"T\", " VERSION "}", "{\"url\":\"a\",\"source\":\"T\"}\n", "", 0},
        /* a language that no article may have is not passed on, nor is an empty title */
        {"{" VERSION ", \"title\": \"\", \"language\": \"en, fr\", \"items\": [{\"url\": \"a\"}]}", "{\"url\":\"a\"}\n",
         "", 0},
        {"{" VERSION ", \"title\": \"\\u00e9\\\"\", \"items\": [{}]}", "{\"source\":\"\xC3\xA9\\\"\"}\n", "", 0},
        {"{" VERSION ", \"items\": []}{\"a\": 1}", "{\"a\":1}\n", "", 0},
        {"{" VERSION ", \"items\": [5, {\"@graph\": [{\"a\": 1}]}]}", "5\n{\"a\":1}\n", "", 0},
        {"[{" VERSION ", \"title\": \"T\", \"items\": [{\"url\": \"a\"}]}]", "{\"url\":\"a\",\"source\":\"T\"}\n", "",
         0},
    };
#undef VERSION
    (void)state;
    check_cases(cases, N(cases), 0);
}

static void json__graphs_give_their_articles(void **state)
{
    static const struct json_case cases[] = {
        {"{\"@context\": \"https://schema.org\", \"@graph\": [{\"@type\": \"NewsArticle\", \"a\": 1}, "
         "{\"@type\": \"WebPage\"}, {\"@type\": \"https://schema.org/Organization\"}, {\"b\": 2}]}",
         "{\"@type\":\"NewsArticle\",\"a\":1}\n{\"b\":2}\n", "", 2},
        {"[{\"@graph\": [{\"@type\": [\"WebPage\", \"NewsArticle\"]}, {\"@type\": [\"Person\", \"Organization\"]}]}]",
         "{\"@type\":[\"WebPage\",\"NewsArticle\"]}\n", "", 1},
        {"{\"@graph\": {\"a\": 1}}", "{\"a\":1}\n", "", 0},
        {"{\"@graph\": []}{\"@type\": \"Person\"}", "{\"@type\":\"Person\"}\n", "", 0}, /* not in a graph: sent */
        {"{\"@graph\": [{\"@type\": 5}, {\"@type\": []}]}", "{\"@type\":5}\n{\"@type\":[]}\n", "", 0},
    };
    (void)state;
    check_cases(cases, N(cases), 0);
}

static void json__broken_texts_name_the_line(void **state)
{
    static const struct json_case cases[] = {
        {"[1\n2]", "1\n",
         "2:0 a comma or the end of the list was expected behind item 1; nothing more of this file is "
         "read\n",
         0},
        {"[{\"a\":\n\n1},\n{\"b\"\n: 2} 3]", "{\"a\":1}\n{\"b\":2}\n",
         "5:0 a comma or the end of the list was expected behind item 2; nothing more of this file is read\n", 0},
        {"[1,]", "1\n", "1:0 a value was expected behind item 1; nothing more of this file is read\n", 0},
        {"[1}", "1\n",
         "1:0 a comma or the end of the list was expected behind item 1; nothing more of this file is read\n", 0},
        {"[{\"a\": 1},\n\n{\"b\":", "{\"a\":1}\n",
         "3:0 the text ends inside a value behind item 1; nothing more of this file is read\n", 0},
        {"[", "", "1:0 the text ends inside a value behind item 0; nothing more of this file is read\n", 0},
        {"\n{a: 1}", "", "2:0 the name of a member was expected behind item 0; nothing more of this file is read\n", 0},
        {"{\"a\" 1}", "", "1:0 a colon was expected behind item 0; nothing more of this file is read\n", 0},
        {"{\"a\": 1 \"b\"}", "",
         "1:0 a comma or the end of the object was expected behind item 0; nothing more of this file is read\n", 0},
        {"{\"a\": 1,}", "", "1:0 the name of a member was expected behind item 0; nothing more of this file is read\n",
         0},
        {"<html>", "", "1:0 a value was expected behind item 0; nothing more of this file is read\n", 0},
        {"]", "", "1:0 a value was expected behind item 0; nothing more of this file is read\n", 0},
    };
    (void)state;
    check_cases(cases, N(cases), 0);
}

static void json__what_is_too_long_is_named_and_left_out(void **state)
{
    static const char why[] = "longer than maxMessageBytes of this stream";
    struct load_world world = {.max_bytes = 32};
    struct nm_buf text = {0}, want = {0};

    (void)state;
    nm_buf_adds(&text, "[{\"a\": 1},\n\"");
    for (int i = 0; i < 100; i++)
        nm_buf_adds(&text, "[\\\"{");
    nm_buf_adds(&text,
                "\", {\"b\": 12345678901234567890}]\n{\"c\": \"0123456789\", \"@graph\": [1], \"d\": \"0123456789\"}");
    nm_buf_adds(&text, "{\"0123456789\": 1, \"0123456789\": {\"0123456789\": 2}}{\"d\": 4}");
    for (size_t b = 0; b < N(blocks); b++) {
        world.block = blocks[b];
        load_world_read(&world, nm_read_json, text.data, text.len);
        assert_string_equal(nm_buf_str(&world.events), "{\"a\":1}\n{\"b\":12345678901234567890}\n1\n{\"d\":4}\n");
        nm_buf_reset(&want);
        nm_buf_addf(&want, "2:2 %s\n3:5 %s\n", why, why);
        assert_string_equal(nm_buf_str(&world.said), nm_buf_str(&want));
    }
    nm_buf_clear(&text);
    nm_buf_clear(&want);
    load_world_clear(&world);
}

/* Deep nesting costs nothing here, and the parser behind does not recurse. */
static void json__depth_is_only_a_number(void **state)
{
    struct load_world world = {.max_bytes = 1 << 20};
    struct nm_buf text = {0};

    (void)state;
    nm_buf_addc(&text, '[');
    for (int i = 0; i < 400000; i++)
        nm_buf_addc(&text, '[');
    for (int i = 0; i < 400000; i++)
        nm_buf_addc(&text, ']');
    nm_buf_adds(&text, ",1]");
    load_world_read(&world, nm_read_json, text.data, text.len);
    assert_int_equal(world.events.len, 800001 + 2);
    assert_string_equal(nm_buf_str(&world.said), "");
    nm_buf_clear(&text);
    load_world_clear(&world);
}

/* Two cases that are broken inside of an event: the others are taken. */
static void json__what_the_parser_refuses_is_named(void **state)
{
    static const char *const texts[] = {"[{\"a\": 1],\n{\"b\": 2}]", "[{\"a\": tru},\n{\"b\": 2}]"};
    struct load_world world = {0};

    (void)state;
    for (size_t i = 0; i < N(texts); i++) {
        load_world_read(&world, nm_read_json, texts[i], strlen(texts[i]));
        assert_string_equal(nm_buf_str(&world.events), "{\"b\":2}\n");
        assert_non_null(strstr(nm_buf_str(&world.said), "1:1 not JSON: "));
    }
    load_world_clear(&world);
}

static void event__key_is_where_the_article_lives(void **state)
{
    static const struct {
        const char *event, *key;
    } cases[] = {
        {"{\"url\": \"u\", \"webUrl\": \"w\"}", "u"},
        {"{\"url\": \"\", \"webUrl\": 5, \"link\": \"l\", \"id\": \"i\"}", "l"},
        {"{\"link\": {\"href\": \"h\", \"rel\": \"alternate\"}}", "h"},
        {"{\"link\": [{\"href\": \"s\", \"rel\": \"self\"}, {\"href\": \"h\"}]}", "h"},
        {"{\"link\": [{\"href\": \"s\", \"rel\": \"self\"}], \"id\": \"i\"}", "i"},
        {"{\"mainEntityOfPage\": {\"@id\": \"m\"}}", "m"},
        {"{\"@id\": \"a\", \"id\": \"i\"}", "a"},
        {"{\"external_url\": \"e\"}", "e"},
        {"{\"title\": \"t\"}", NULL},
        {"[\"url\"]", NULL},
        {"not json", NULL},
    };

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        yyjson_doc *doc = yyjson_read(cases[i].event, strlen(cases[i].event), 0);
        size_t len = 7;
        const char *key = nm_event_key(doc, &len);
        if (cases[i].key) {
            assert_non_null(key);
            assert_int_equal(len, strlen(cases[i].key));
            assert_memory_equal(key, cases[i].key, len);
        } else {
            assert_null(key);
            assert_int_equal(len, 0);
        }
        yyjson_doc_free(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json__arrays_and_values),
        cmocka_unit_test(json__feeds_are_unpacked),
        cmocka_unit_test(json__graphs_give_their_articles),
        cmocka_unit_test(json__broken_texts_name_the_line),
        cmocka_unit_test(json__what_is_too_long_is_named_and_left_out),
        cmocka_unit_test(json__depth_is_only_a_number),
        cmocka_unit_test(json__what_the_parser_refuses_is_named),
        cmocka_unit_test(event__key_is_where_the_article_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
