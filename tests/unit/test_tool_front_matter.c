/* test_tool_front_matter.c - records as YAML front matter: layout, order, and strings that YAML would take for
 * something else. What the writer makes is read back with libyaml, which is not what wrote it. */
#include "newsmill/front_matter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

static const char *make(const char *json, struct nm_buf *out)
{
    nm_buf_reset(out);
    assert_int_equal(nm_front_matter(json, strlen(json), out, NULL), NM_OK);
    return nm_buf_str(out);
}

static void front_matter__every_member_in_order(void **state)
{
    static const char json[] =
        "{\"id\":\"136ab291632faf53215323ed8744d7a4\",\"revision\":1933740145000000,\"path\":\"_news/x.md\","
        "\"heat\":126,\"title\":\"Ferry: a "
        "\\\"first\\\"\",\"category\":\"news\",\"type\":\"article\",\"locale\":\"en\","
        "\"excerpt\":\"One "
        "ticket.\",\"publishedDateTime\":\"2031-04-12T05:30:00Z\",\"originalUrl\":\"https://a.example/?x\","
        "\"webUrl\":\"https://a.example/\",\"ampWebUrl\":\"https://a.example/amp\",\"cdnAmpWebUrl\":\"https://a.cdn/\","
        "\"published\":true,\"quality\":86,\"provider\":{\"name\":\"Harbour Gazette\",\"domain\":\"a.example\","
        "\"images\":[{\"url\":\"https://l.example/l.png\",\"width\":50,\"height\":40}]},\"topics\":[\"Ferries\",\"C++: "
        "all\"],"
        "\"images\":[{\"url\":\"https://i.example/"
        "i.jpg\",\"width\":1200,\"height\":630,\"isCached\":true,\"state\":\"cached\","
        "\"cachedUrl\":\"https://c.example/i\",\"thumbnails\":[{\"url\":\"https://t.example/"
        "t\",\"width\":320,\"height\":168}]},"
        "{\"url\":\"https://i.example/"
        "j.jpg\",\"isCached\":false,\"reason\":\"blocked_addr\",\"nextTry\":\"2031-04-13T05:30:00Z\"}],"
        "\"secured\":\"8s0==;AA==\",\"story\":{\"id\":\"a\",\"lead\":\"b\",\"size\":2},"
        "\"related\":[{\"title\":\"Second\",\"excerpt\":\"E\",\"publishedDateTime\":\"2031-04-12T09:10:00Z\","
        "\"webUrl\":\"https://b.example/"
        "\",\"type\":\"article\",\"provider\":{\"name\":\"Post\",\"domain\":\"b.example\"},"
        "\"quality\":-3,\"images\":[{\"url\":\"https://b.example/i\",\"width\":1,\"height\":2,\"isCached\":false}]},"
        "{\"title\":\"Third\"}]}";
    static const char want[] = "---\n"
                               "category: news\n"
                               "title: \"Ferry: a \\\"first\\\"\"\n"
                               "excerpt: \"One ticket.\"\n"
                               "publishedDateTime: 2031-04-12T05:30:00Z\n"
                               "originalUrl: \"https://a.example/?x\"\n"
                               "webUrl: \"https://a.example/\"\n"
                               "ampWebUrl: \"https://a.example/amp\"\n"
                               "cdnAmpWebUrl: \"https://a.cdn/\"\n"
                               "type: article\n"
                               "quality: 86\n"
                               "heat: 126\n"
                               "published: true\n"
                               "\n"
                               "provider:\n"
                               "  name: Harbour Gazette\n"
                               "  domain: a.example\n"
                               "  images:\n"
                               "    - url: \"https://l.example/l.png\"\n"
                               "      width: 50\n"
                               "      height: 40\n"
                               "\n"
                               "topics:\n"
                               "  - Ferries\n"
                               "  - \"C++: all\"\n"
                               "\n"
                               "images:\n"
                               "  - url: \"https://i.example/i.jpg\"\n"
                               "    width: 1200\n"
                               "    height: 630\n"
                               "    isCached: true\n"
                               "    cachedUrl: \"https://c.example/i\"\n"
                               "    thumbnails:\n"
                               "      - url: \"https://t.example/t\"\n"
                               "        width: 320\n"
                               "        height: 168\n"
                               "  - url: \"https://i.example/j.jpg\"\n"
                               "    isCached: false\n"
                               "\n"
                               "related:\n"
                               "  - title: \"Second\"\n"
                               "    excerpt: \"E\"\n"
                               "    publishedDateTime: 2031-04-12T09:10:00Z\n"
                               "    webUrl: \"https://b.example/\"\n"
                               "    type: article\n"
                               "    provider:\n"
                               "      name: Post\n"
                               "      domain: b.example\n"
                               "    quality: -3\n"
                               "    images:\n"
                               "      - url: \"https://b.example/i\"\n"
                               "        width: 1\n"
                               "        height: 2\n"
                               "        isCached: false\n"
                               "  - title: \"Third\"\n"
                               "\n"
                               "secured: \"8s0==;AA==\"\n"
                               "---\n";
    struct nm_buf out = {0};

    (void)state;
    assert_string_equal(make(json, &out), want);
    nm_buf_clear(&out);
}

static void front_matter__absent_and_odd_members_are_left_out(void **state)
{
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"{}", "---\n---\n"},
        {"{\"title\":\"T\"}", "---\ntitle: \"T\"\n---\n"},
        {"{\"title\":5,\"heat\":\"hot\",\"published\":1,\"quality\":1.5,\"topics\":{},\"images\":[],\"provider\":[]}",
         "---\n---\n"},
        {"{\"topics\":[1,null],\"images\":[7,{}],\"provider\":{\"name\":null},\"related\":[[]]}", "---\n---\n"},
        {"{\"publishedDateTime\":\"2031-02-31T05:30:00Z\"}", "---\npublishedDateTime: \"2031-02-31T05:30:00Z\"\n---\n"},
        {"{\"images\":[{\"width\":\"x\",\"height\":3}]}", "---\n\nimages:\n  - height: 3\n---\n"},
        {"{\"provider\":{\"images\":[{\"url\":\"u\"}]}}", "---\n\nprovider:\n  images:\n    - url: \"u\"\n---\n"},
        {"{\"related\":[{\"provider\":{\"name\":\"P\"}}]}", "---\n\nrelated:\n  - provider:\n      name: P\n---\n"},
        {"{\"quality\":18446744073709551615,\"heat\":-9223372036854775808}",
         "---\nquality: 18446744073709551615\nheat: -9223372036854775808\n---\n"},
    };
    struct nm_buf out = {0};

    (void)state;
    for (size_t i = 0; i < N(cases); i++)
        assert_string_equal(make(cases[i].json, &out), cases[i].want);
    nm_buf_clear(&out);
}

static void front_matter__no_record_appends_nothing(void **state)
{
    static const char *const cases[] = {"", "not json", "[1]", "\"text\"", "{\"a\":1", "{\"title\":\"\xff\"}"};
    struct nm_buf out = {0};
    struct nm_error err = {0};

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        assert_int_equal(nm_front_matter(cases[i], strlen(cases[i]), &out, &err), NM_BAD_INPUT);
        assert_int_equal(out.len, 0);
        assert_true(strcmp(err.code, "not_json") == 0 || strcmp(err.code, "not_object") == 0);
    }
    nm_buf_clear(&out);
}

/* The scalar that libyaml reads in "key: <yaml>\n"; false: an error, or something else than one string. */
static bool read_back(const char *scalar, struct nm_buf *got)
{
    struct nm_buf yaml = {0};
    yaml_parser_t parser;
    yaml_event_t event;
    int n = 0;
    bool good = true, over = false;

    nm_buf_addf(&yaml, "key: %s\n", scalar);
    nm_buf_reset(got);
    assert_true(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)nm_buf_str(&yaml), yaml.len);
    while (good && !over) {
        good = yaml_parser_parse(&parser, &event) != 0;
        if (good && event.type == YAML_SCALAR_EVENT && ++n == 2) {
            nm_buf_add(got, event.data.scalar.value, event.data.scalar.length);
        }
        over = good && event.type == YAML_STREAM_END_EVENT;
        if (good)
            yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    nm_buf_clear(&yaml);
    return good && n == 2;
}

static void yaml_string__is_read_back_equal(void **state)
{
    static const char *const cases[] = {"plain words",
                                        "",
                                        " ",
                                        "- dash",
                                        "-",
                                        "#hash",
                                        "a #comment",
                                        "a: b",
                                        "key:",
                                        "'single'",
                                        "\"double\"",
                                        "back\\slash",
                                        "\\x41",
                                        "true",
                                        "No",
                                        "null",
                                        "~",
                                        "123",
                                        "1e3",
                                        "0x1F",
                                        "12:30:45",
                                        "2031-04-12",
                                        "2031-04-12T05:30:00Z",
                                        "=",
                                        "<<",
                                        "{a}",
                                        "[a]",
                                        "a, b",
                                        "&anchor",
                                        "*alias",
                                        "!tag",
                                        "|",
                                        ">",
                                        "%directive",
                                        "@at",
                                        "`tick",
                                        "?",
                                        "? q",
                                        "---",
                                        "...",
                                        "--- a",
                                        "end ",
                                        " start",
                                        "tab\tin",
                                        "line\nbreak",
                                        "bell\a",
                                        "esc\x1b[31m",
                                        "del\x7f",
                                        "nel\xc2\x85",
                                        "csi\xc2\x9b",
                                        "nbsp\xc2\xa0x",
                                        "ls\xe2\x80\xa8x",
                                        "bom\xef\xbb\xbfx",
                                        "rtl\xe2\x80\xaex",
                                        "\xf0\x9f\x9a\xa2 emoji \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac",
                                        "\xef\xbf\xbe nonchar",
                                        "\xf4\x8f\xbf\xbf",
                                        "China\xe2\x80\x99s \xe2\x80\x98quote\xe2\x80\x99",
                                        "\xe6\x97\xa5\xe6\x9c\xac"};
    struct nm_buf yaml = {0}, got = {0};

    (void)state;
    for (size_t i = 0; i < N(cases) * 2; i++) {
        const char *text = cases[i / 2];
        nm_buf_reset(&yaml);
        nm_yaml_string(text, strlen(text), i % 2, &yaml);
        assert_null(memchr(nm_buf_str(&yaml), '\n', yaml.len));
        if (!read_back(nm_buf_str(&yaml), &got) || strcmp(nm_buf_str(&got), text) != 0)
            fail_msg("'%s' was written as %s and read as '%s'", text, nm_buf_str(&yaml), nm_buf_str(&got));
    }
    nm_buf_clear(&yaml);
    nm_buf_clear(&got);
}

static void yaml_string__plain_only_where_nothing_else_is_meant(void **state)
{
    static const struct {
        const char *text;
        bool plain;
    } cases[] = {{"news", true},
                 {"Computer Vision", true},
                 {"techcrunch.com", true},
                 {"a-b_c.d", true},
                 {"yes", false},
                 {"TRUE", false},
                 {"Null", false},
                 {"n", false},
                 {"on", false},
                 {"1st", false},
                 {"-a", false},
                 {".a", false},
                 {"a  b", false},
                 {"a ", false},
                 {"C++", false},
                 {"AT&T", false},
                 {"onward", true},
                 {"é", false},
                 {"", false}};
    struct nm_buf yaml = {0};

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        nm_buf_reset(&yaml);
        nm_yaml_string(cases[i].text, strlen(cases[i].text), true, &yaml);
        assert_int_equal(nm_buf_str(&yaml)[0] != '"', cases[i].plain);
    }
    nm_buf_clear(&yaml);
}

/* A great many small elements: linear time, no deep stack. */
static void front_matter__large_record(void **state)
{
    struct nm_buf json = {0}, out = {0};

    (void)state;
    nm_buf_adds(&json, "{\"related\":[");
    for (int i = 0; i < 50000; i++)
        nm_buf_adds(&json, i ? ",{\"title\":\"t\"}" : "{\"title\":\"t\"}");
    nm_buf_adds(&json, "],\"x\":");
    for (int i = 0; i < 100000; i++)
        nm_buf_addc(&json, '[');
    for (int i = 0; i < 100000; i++)
        nm_buf_addc(&json, ']');
    nm_buf_adds(&json, "}");
    assert_int_equal(nm_front_matter(json.data, json.len, &out, NULL), NM_OK);
    assert_int_equal(out.len, strlen("---\n\nrelated:\n---\n") + 50000 * strlen("  - title: \"t\"\n"));
    nm_buf_clear(&json);
    nm_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(front_matter__every_member_in_order),
        cmocka_unit_test(front_matter__absent_and_odd_members_are_left_out),
        cmocka_unit_test(front_matter__no_record_appends_nothing),
        cmocka_unit_test(yaml_string__is_read_back_equal),
        cmocka_unit_test(yaml_string__plain_only_where_nothing_else_is_meant),
        cmocka_unit_test(front_matter__large_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
