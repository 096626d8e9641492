/* test_tool_front_matter_read.c - front matter as events: what newsmill writes is read back, and nothing else. */
#include "load_world.h"
#include "newsmill/front_matter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

static const size_t blocks[] = {1, 4, 0};

static void front_matter__what_is_written_is_read_back(void **state)
{
    static const char record[] =
        "{\"id\":\"136ab291632faf53215323ed8744d7a4\",\"revision\":5,\"path\":\"_news/x.md\",\"category\":\"news\","
        "\"type\":\"article\",\"locale\":\"en\",\"title\":\"A: \\\"b\\\" # \xE2\x80\x99 \\u202e 'c'\",\"excerpt\":\"- "
        "e\","
        "\"publishedDateTime\":\"2031-04-12T05:30:00Z\",\"originalUrl\":\"https://a.example/?utm_source=x\","
        "\"webUrl\":\"https://a.example/\",\"ampWebUrl\":\"https://a.example/amp\",\"cdnAmpWebUrl\":\"https://"
        "c.example/\","
        "\"provider\":{\"name\":\"123\",\"domain\":\"a.example\",\"images\":[{\"url\":\"l\",\"width\":5,\"height\":6}]}"
        ","
        "\"topics\":[\"Ferries\",\"true\",\"C#: all\"],\"quality\":-3,\"images\":[{\"url\":\"i\",\"width\":1200,"
        "\"height\":630,\"isCached\":true,\"cachedUrl\":\"c\",\"thumbnails\":[{\"url\":\"t\",\"width\":1,\"height\":2}]"
        "},"
        "{\"url\":\"j\",\"isCached\":false}],\"secured\":\"AA==;AA==\",\"published\":true,\"heat\":126,"
        "\"related\":[{\"title\":\"R\",\"webUrl\":\"https://b.example/\",\"quality\":1}]}";
    static const char event[] =
        "{\"category\":\"news\",\"title\":\"A: \\\"b\\\" # \xE2\x80\x99 \xE2\x80\xAE 'c'\",\"excerpt\":\"- e\","
        "\"publishedDateTime\":\"2031-04-12T05:30:00Z\",\"url\":\"https://a.example/\",\"ampUrl\":\"https://a.example/"
        "amp\","
        "\"type\":\"article\",\"quality\":-3,\"provider\":{\"name\":\"123\",\"domain\":\"a.example\"},"
        "\"topics\":[\"Ferries\",\"true\",\"C#: all\"],\"images\":[{\"url\":\"i\",\"width\":1200,\"height\":630},"
        "{\"url\":\"j\"}]}\n";
    struct load_world world = {0};
    struct nm_buf text = {0}, want = {0};

    (void)state;
    for (int i = 0; i < 3; i++) { /* as tail writes them: an empty line after each */
        assert_int_equal(nm_front_matter(record, strlen(record), &text, NULL), NM_OK);
        nm_buf_addc(&text, '\n');
        nm_buf_adds(&want, event);
    }
    for (size_t b = 0; b < N(blocks); b++) {
        world.block = blocks[b];
        load_world_read(&world, nm_read_front_matter, text.data, text.len);
        assert_string_equal(nm_buf_str(&world.events), nm_buf_str(&want));
        assert_string_equal(nm_buf_str(&world.said), "");
    }
    nm_buf_clear(&text);
    nm_buf_clear(&want);
    load_world_clear(&world);
}

static const struct {
    const char *text, *events, *said;
} cases[] = {
    {"", "", ""},
    {"\n\n", "", ""},
    {"---\ntitle: x\n---\n", "{\"title\":\"x\"}\n", ""},
    {"---\r\ntitle: x\r\n---\r\n", "{\"title\":\"x\"}\n", ""},
    {"--- \ntitle: x\n...\n\n---\ntitle: y\n---", "{\"title\":\"x\"}\n{\"title\":\"y\"}\n", ""},
    {"---\ntitle: 123\nexcerpt: true\ncategory: ~\ntype: ''\ntopics:\nimages: []\n---\n",
     "{\"title\":\"123\",\"excerpt\":\"true\"}\n", ""},
    {"---\ntitle: |\n  a\n  b\nexcerpt: >\n  c\n  d\n---\n", "{\"title\":\"a\\nb\\n\",\"excerpt\":\"c d\\n\"}\n", ""},
    {"---\nlayout: post\ntags: [a, {b: [c]}]\ntitle: x\n---\n\n# A page\n\n---\n\nmore\n", "{\"title\":\"x\"}\n",
     "7:0 (note) the text from here on is no front matter, and is not read\n"},
    {"---\nimages:\n  - url: a\n    width: 5\n    alt: {x: 1}\n  -\n  - {}\n---\n",
     "{\"images\":[{\"url\":\"a\",\"width\":5},{}]}\n", ""},
    {"---\nquality: high\n---\n---\ntitle: y\n---\n", "{\"title\":\"y\"}\n", "2:1 quality must be a whole number\n"},
    {"---\n\nquality: 12345678901\n---\n", "", "3:1 quality must be a whole number\n"},
    {"---\ntitle:\n  a: b\n---\n", "", "3:1 title must be text\n"},
    {"---\ntopics: a\n---\n", "", "2:1 topics must be a list of texts\n"},
    {"---\ntopics:\n  - a: b\n---\n", "", "3:1 topics must be a list of texts\n"},
    {"---\nprovider: a\n---\n", "", "2:1 provider must have members of its own\n"},
    {"---\nimages:\n  - a\n---\n", "", "3:1 images must be a list of objects\n"},
    {"---\ntitle: x\ntitle: y\n---\n", "", "3:1 title stands there twice\n"},
    {"---\na: &x [1]\nb: *x\n---\n", "", "3:1 an alias (*) stands where a value was expected\n"},
    {"---\n? [a]\n: b\n---\n", "", "2:1 the name of a member is not a word\n"},
    {"---\n- a\n---\n", "", "2:1 no members, such as title: ...\n"},
    {"---\n---\n", "", "2:1 there is nothing between the lines of ---\n"},
    {"---\n# nothing\n---\n", "", "2:1 there is nothing between the lines of ---\n"},
    {"---\ntitle: x\n", "", "1:1 the line of --- that ends the front matter is missing\n"},
    {"title: x\n", "", "1:0 front matter begins with a line of ---\n"},
};

static void front_matter__cases(void **state)
{
    struct load_world world = {0};

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        for (size_t b = 0; b < N(blocks); b++) {
            world.block = blocks[b];
            load_world_read(&world, nm_read_front_matter, cases[i].text, strlen(cases[i].text));
            assert_int_equal(world.status, NM_OK);
            assert_string_equal(nm_buf_str(&world.events), cases[i].events);
            assert_string_equal(nm_buf_str(&world.said), cases[i].said);
        }
    }
    load_world_clear(&world);
}

static void front_matter__what_the_parser_refuses_names_the_line(void **state)
{
    static const char *const texts[] = {"---\na: 1\ntitle: \"x\n---\n---\ntitle: y\n---\n",
                                        "---\na: 1\ntitle: \xFF\n---\n---\ntitle: y\n---\n",
                                        "---\na: 1\n\ttitle: x\n---\n---\ntitle: y\n---\n"};
    struct load_world world = {0};

    (void)state;
    for (size_t i = 0; i < N(texts); i++) {
        load_world_read(&world, nm_read_front_matter, texts[i], strlen(texts[i]));
        assert_string_equal(nm_buf_str(&world.events), "{\"title\":\"y\"}\n");
        assert_non_null(strstr(nm_buf_str(&world.said), ":1 no YAML: "));
    }
    load_world_clear(&world);
}

static void front_matter__bounds(void **state)
{
    struct load_world world = {.max_bytes = 1000};
    struct nm_buf text = {0};

    (void)state;
    nm_buf_adds(&text, "---\ntitle: \"");
    for (int i = 0; i < 1000; i++)
        nm_buf_adds(&text, "01234\\\n ");
    nm_buf_adds(&text, "\"\n---\n---\nx: ");
    for (int i = 0; i < 40; i++)
        nm_buf_addc(&text, '[');
    for (int i = 0; i < 40; i++)
        nm_buf_addc(&text, ']');
    nm_buf_adds(&text, "\n---\n---\ntitle: y\n---\n");
    load_world_read(&world, nm_read_front_matter, text.data, text.len);
    assert_string_equal(nm_buf_str(&world.events), "{\"title\":\"y\"}\n");
    assert_string_equal(nm_buf_str(&world.said), "1:1 longer than maxMessageBytes of this stream\n"
                                                 "1005:2 nested deeper than 32\n");
    nm_buf_clear(&text);
    load_world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(front_matter__what_is_written_is_read_back),
        cmocka_unit_test(front_matter__cases),
        cmocka_unit_test(front_matter__what_the_parser_refuses_names_the_line),
        cmocka_unit_test(front_matter__bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
