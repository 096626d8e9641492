/* test_tool_feed.c - items of RSS 2.0, RSS 1.0 and Atom as JSON, and what hostile feeds get for an answer. */
#include "load_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array)   (sizeof(array) / sizeof *(array))
#define RSS(items) "<rss version=\"2.0\"><channel>" items "</channel></rss>"
#define STOP       "; nothing more of this file is read\n"

struct feed_case {
    const char *text, *events, *said;
};

static const size_t blocks[] = {1, 3, 0};

static void check_cases(const struct feed_case *cases, size_t n)
{
    struct load_world world = {0};

    for (size_t i = 0; i < n; i++) {
        for (size_t b = 0; b < N(blocks); b++) {
            world.block = blocks[b];
            load_world_read(&world, nm_read_feed, cases[i].text, strlen(cases[i].text));
            assert_int_equal(world.status, NM_OK);
            assert_string_equal(nm_buf_str(&world.events), cases[i].events);
            assert_string_equal(nm_buf_str(&world.said), cases[i].said);
        }
    }
    load_world_clear(&world);
}

static void feed__elements_become_members(void **state)
{
    static const struct feed_case cases[] = {
        {RSS(""), "", ""},
        {RSS("<item/>"), "{}\n", ""},
        {RSS("<item><title> A &amp; B\n</title><link>u</link><x/><y> </y></item>"),
         "{\"title\":\"A & B\",\"link\":\"u\"}\n", ""},
        {RSS("<item><a>1</a><b/><a>2</a><a>3</a></item>"), "{\"a\":[\"1\",\"2\",\"3\"]}\n", ""},
        {RSS("<item><guid isPermaLink=\"false\">g</guid><e url=\"x?a=1&amp;b=&#38;2&lt;\" n=''/></item>"),
         "{\"guid\":{\"#text\":\"g\",\"isPermaLink\":\"false\"},\"e\":{\"url\":\"x?a=1&b=&2<\",\"n\":\"\"}}\n", ""},
        {RSS("<item><description><![CDATA[<p>a &amp; b</p>]]> c</description></item>"),
         "{\"description\":\"<p>a &amp; b</p> c\"}\n", ""},
        {RSS("<item><author><name>N</name><name>M</name> and</author></item>"),
         "{\"author\":{\"#text\":\"and\",\"name\":[\"N\",\"M\"]}}\n", ""},
        {RSS("<item><title>A &lt; B <b class=\"x\">c<br/>d</b> &amp;e</title></item>"),
         "{\"title\":\"A &lt; B <b>c<br></br>d</b> &amp;e\"}\n", ""},
        {RSS("<item><m:content xmlns:m=\"http://search.yahoo.com/mrss/\" url=\"i\" m:x=\"1\"/></item>"),
         "{\"media:content\":{\"url\":\"i\",\"media:x\":\"1\"}}\n", ""},
        {RSS("<item><undeclared:x>1</undeclared:x></item>"), "{\"undeclared:x\":\"1\"}\n", ""},
        {RSS("<item><title>&#x1F6A2; caf\xC3\xA9</title></item>"), "{\"title\":\"\xF0\x9F\x9A\xA2 caf\xC3\xA9\"}\n",
         ""},
    };
    (void)state;
    check_cases(cases, N(cases));
}

static void feed__language_and_title_where_an_item_has_none(void **state)
{
#define DC    "xmlns:dc=\"http://purl.org/dc/elements/1.1/\""
#define RDF   "xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" xmlns=\"http://purl.org/rss/1.0/\" " DC
#define A     "http://www.w3.org/2005/Atom"
#define ITEM1 "{\"title\":\"1\",\"language\":\"en-gb\",\"source\":\"News\"}\n"
    static const struct feed_case cases[] = {
        {RSS("<title> News\n</title><image><title>no</title></image><language>en-gb</language><item><title>1</title>"
             "</item><item><dc:language " DC ">de</dc:language><source url=\"s\">Own</source></item>"),
         ITEM1 "{\"dc:language\":\"de\",\"source\":{\"#text\":\"Own\",\"url\":\"s\"}}\n", ""},
        {RSS("<language>en, fr</language><item><title>1</title></item>"), "{\"title\":\"1\"}\n", ""},
        {"<rdf:RDF " RDF "><image><title>no</title></image><channel><title>News</title><dc:language>en-gb</dc:language>"
         "</channel><item rdf:about=\"u\"><title>1</title></item></rdf:RDF>",
         ITEM1, ""},
        {"<feed xmlns=\"" A "\" xml:lang=\"en-gb\"><title>News</title><title>2</title><entry><title>1</title></entry>"
         "</feed>",
         ITEM1, ""},
        {"<a:feed xmlns:a=\"" A "\"><a:entry><a:title>1</a:title><a:link href=\"h\"/></a:entry></a:feed>",
         "{\"title\":\"1\",\"link\":{\"href\":\"h\"}}\n", ""},
        {"<feed xmlns=\"" A "\"><entry><content type=\"xhtml\"><div xmlns=\"http://www.w3.org/1999/xhtml\">a <i>b</i>"
         "</div></content></entry></feed>",
         "{\"content\":{\"#text\":\"<div>a <i>b</i></div>\",\"type\":\"xhtml\"}}\n", ""},
        {"<entry xmlns=\"" A "\"><title>alone</title></entry>", "{\"title\":\"alone\"}\n", ""},
        {RSS("<item><atom:link xmlns:atom=\"" A "\" href=\"h\"/></item>"), "{\"atom:link\":{\"href\":\"h\"}}\n", ""},
    };
    (void)state;
    check_cases(cases, N(cases));
}

static void feed__encodings(void **state)
{
    static const char latin[] = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" RSS("<item><t>caf\xE9</t></item>");
    static const char utf8[] = "\xEF\xBB\xBF" RSS("<item><t>caf\xC3\xA9</t></item>");
    static const char overlong[] = RSS("<item><t><![CDATA[x\xC1\x89]]></t></item><item><t>1</t></item>");
    struct load_world world = {0};
    struct nm_buf wide = {0};

    (void)state;
    nm_buf_add(&wide, "\xFF\xFE", 2);
    for (const char *c = RSS("<item><t>caf\xE9</t></item>"); *c; c++) {
        nm_buf_addc(&wide, *c);
        nm_buf_addc(&wide, 0);
    }
    for (size_t b = 0; b < N(blocks); b++) {
        world.block = blocks[b];
        load_world_read(&world, nm_read_feed, latin, strlen(latin));
        assert_string_equal(nm_buf_str(&world.events), "{\"t\":\"caf\xC3\xA9\"}\n");
        load_world_read(&world, nm_read_feed, utf8, strlen(utf8));
        assert_string_equal(nm_buf_str(&world.events), "{\"t\":\"caf\xC3\xA9\"}\n");
        load_world_read(&world, nm_read_feed, wide.data, wide.len);
        assert_string_equal(nm_buf_str(&world.events), "{\"t\":\"caf\xC3\xA9\"}\n");
        load_world_read(&world, nm_read_feed, overlong, strlen(overlong));
        assert_string_equal(nm_buf_str(&world.events), "{\"t\":\"1\"}\n");
        assert_string_equal(nm_buf_str(&world.said), "1:1 text in it is not UTF-8\n");
        load_world_read(&world, nm_read_feed, latin + 44, strlen(latin) - 44); /* not what it says: no UTF-8 */
        assert_string_equal(nm_buf_str(&world.events), "");
        assert_non_null(strstr(nm_buf_str(&world.said), "no XML: "));
    }
    nm_buf_clear(&wide);
    load_world_clear(&world);
}

static void feed__nothing_declared_or_external_takes_part(void **state)
{
#define DECLARES ":0 its document type declares entities or elements, which is not read" STOP
    static const struct feed_case cases[] = {
        {"<!DOCTYPE rss>" RSS("<item><t>1</t></item>"), "{\"t\":\"1\"}\n", ""},
        {"<!DOCTYPE rss SYSTEM \"file:///etc/passwd\">" RSS("<item><t>1</t></item>"), "{\"t\":\"1\"}\n", ""},
        {"<!DOCTYPE rss SYSTEM \"file:///etc/passwd\">" RSS("<item><t>1</t></item>\n<item><t>&x;</t></item>"),
         "{\"t\":\"1\"}\n", "2:0 an entity that XML does not have: x" STOP},
        {"<!DOCTYPE r [\n<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>" RSS("<item><t>&b;</t></item>"), "",
         "2" DECLARES},
        {"<!DOCTYPE r [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>" RSS("<item><t>&a;</t></item>"), "", "1" DECLARES},
        {"<!DOCTYPE r [<!ENTITY % a SYSTEM \"http://127.0.0.1:1/x\"> %a;]>" RSS(""), "", "1" DECLARES},
        {"<!DOCTYPE r [<!ATTLIST item x CDATA \"default\">]>" RSS("<item><t>1</t></item>"), "", "1" DECLARES},
        {"<!DOCTYPE r [<!ATTLIST item x (a|b) \"a\">]>" RSS("<item/>"), "", "1" DECLARES},
        {"<!DOCTYPE r [<!ELEMENT item (a|b)*>]>" RSS("<item/>"), "", "1" DECLARES},
    };
    (void)state;
    check_cases(cases, N(cases));
}

static void feed__what_is_no_feed_names_the_line(void **state)
{
    static const struct {
        const char *text, *events, *said;
    } cases[] = {
        {"", "", "1:0 no XML: "},
        {"<html>\n<p>", "", "1:0 neither rss, RDF nor feed, but html"},
        {"<html xml:lang='en' id='x'>\n<p>", "", "1:0 neither rss, RDF nor feed, but html"},
        {RSS("<item><t>1</t></item>\n<item><t></item>"), "{\"t\":\"1\"}\n",
         "2:0 no XML: Opening and ending tag mismatch"},
        {"<rss><channel><item><t>1</t></item>\n<item>\n", "{\"t\":\"1\"}\n", "2:0 no XML: the XML ends too early"},
        {RSS("<item><t>1</t></item>\n<item><t>&nbsp;</t></item>"), "{\"t\":\"1\"}\n", "2:0 no XML: Entity 'nbsp'"},
        {RSS("<item><t>\x01</t></item>"), "", "1:0 no XML: "},
        {RSS("<item/>") "\n<rss/>", "{}\n", "2:0 no XML: "},
    };
    struct load_world world = {0};

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        for (size_t b = 0; b < N(blocks); b++) {
            world.block = blocks[b];
            load_world_read(&world, nm_read_feed, cases[i].text, strlen(cases[i].text));
            assert_int_equal(world.status, NM_OK);
            assert_string_equal(nm_buf_str(&world.events), cases[i].events);
            if (strncmp(nm_buf_str(&world.said), cases[i].said, strlen(cases[i].said)) != 0)
                fail_msg("'%s' says: %s", cases[i].text, nm_buf_str(&world.said));
        }
    }
    load_world_clear(&world);
}

static void repeat(struct nm_buf *out, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        nm_buf_adds(out, text);
}

/* begin, n times text, end: an item that is too much is named, and the one behind it is taken. */
static void feed__bounds_of_an_item(void **state)
{
    static const struct {
        const char *begin, *text, *end, *why;
        size_t n;
    } cases[] = {
        {"<t>", "0123456789", "</t>", "longer than maxMessageBytes of this stream", 6600},
        {"<title>", "<b/>", "</title>", "longer than maxMessageBytes of this stream", 9000},
        {"<t>", "&lt;", "</t>", "longer than maxMessageBytes of this stream", 70000},
        {"", "<t>1</t>", "", "more than 1,024 elements in it", 1025},
        {"<t", " a:b='1' xmlns:a='u'", "/>", NULL, 1},
    };
    struct load_world world = {0};
    struct nm_buf text = {0}, want = {0};

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        nm_buf_reset(&text);
        nm_buf_reset(&want);
        nm_buf_adds(&text, "<rss><channel><item>");
        nm_buf_adds(&text, cases[i].begin);
        repeat(&text, cases[i].n, cases[i].text);
        nm_buf_adds(&text, cases[i].end);
        nm_buf_adds(&text, "</item>\n<item><t>good</t></item></channel></rss>");
        load_world_read(&world, nm_read_feed, text.data, text.len);
        if (cases[i].why)
            nm_buf_addf(&want, "1:1 %s\n", cases[i].why);
        assert_string_equal(nm_buf_str(&world.said), nm_buf_str(&want));
        assert_non_null(strstr(nm_buf_str(&world.events), "{\"t\":\"good\"}\n"));
        assert_int_equal(world.events.len > strlen("{\"t\":\"good\"}\n"), cases[i].why == NULL);
    }
    nm_buf_clear(&text);
    nm_buf_clear(&want);
    load_world_clear(&world);
}

static void feed__bounds_of_nesting_and_attributes(void **state)
{
    struct load_world world = {0};
    struct nm_buf text = {0};

    (void)state;
    nm_buf_adds(&text, "<rss><channel><item>");
    repeat(&text, 17, "<a>");
    repeat(&text, 17, "</a>");
    nm_buf_adds(&text, "</item><item><t");
    for (int i = 0; i < 65; i++)
        nm_buf_addf(&text, " a%d='1'", i);
    nm_buf_adds(&text, "/></item><item>");
    repeat(&text, 16, "<a>");
    nm_buf_addc(&text, '1');
    repeat(&text, 16, "</a>");
    nm_buf_adds(&text, "</item></channel></rss>");
    load_world_read(&world, nm_read_feed, text.data, text.len);
    assert_string_equal(nm_buf_str(&world.said), "1:1 its elements are nested deeper than 16\n"
                                                 "1:2 an element in it has more than 64 attributes\n");
    assert_int_equal(world.events.len, 16 * strlen("{\"a\":}") + strlen("\"1\"\n"));

    nm_buf_reset(&text);
    nm_buf_adds(&text, "<rss><channel><item><t");
    for (int i = 0; i < 20000; i++)
        nm_buf_addf(&text, " a%d=''", i);
    nm_buf_adds(&text, "/></item></channel></rss>"); /* each attribute is compared with all: never so many at once */
    load_world_read(&world, nm_read_feed, text.data, text.len);
    assert_string_equal(nm_buf_str(&world.said), "1:0 a tag or a comment of more than 64 KiB" STOP);

    nm_buf_reset(&text);
    nm_buf_adds(&text, "<rss>");
    repeat(&text, 100000, "<a>");
    load_world_read(&world, nm_read_feed, text.data, text.len);
    assert_non_null(strstr(nm_buf_str(&world.said), "no XML: "));
    nm_buf_clear(&text);
    load_world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feed__elements_become_members),
        cmocka_unit_test(feed__language_and_title_where_an_item_has_none),
        cmocka_unit_test(feed__encodings),
        cmocka_unit_test(feed__nothing_declared_or_external_takes_part),
        cmocka_unit_test(feed__what_is_no_feed_names_the_line),
        cmocka_unit_test(feed__bounds_of_an_item),
        cmocka_unit_test(feed__bounds_of_nesting_and_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
