/* test_text.c - cleaning, cutting, slugs, folding and whole words. */
#include "text_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

struct pair {
    const char *in, *want;
};

typedef enum nm_status (*text_fn)(const char *text, size_t len, struct nm_buf *out, struct nm_error *err);

/* Appends behind what is in the buffer already, so that a function that forgets the start is found out. */
static void check_pairs(text_fn fn, const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct nm_buf buf = {0};
        nm_buf_adds(&buf, "before ");
        assert_int_equal(fn(pairs[i].in, strlen(pairs[i].in), &buf, NULL), NM_OK);
        if (strcmp(nm_buf_str(&buf) + 7, pairs[i].want) != 0)
            print_message("input: '%s'\n", pairs[i].in);
        assert_memory_equal(buf.data, "before ", 7);
        assert_string_equal(nm_buf_str(&buf) + 7, pairs[i].want);
        nm_buf_clear(&buf);
    }
}

static void clean__plain_text(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"", ""},
        {"Ferry timetable", "Ferry timetable"},
        {"  Ferry   timetable ", "Ferry timetable"},
        {"Ferry\r\n\ttimetable\v", "Ferry timetable"},
        {" \n ", ""},
        {"a\x01"
         "b\x7f"
         "c",
         "abc"},
        {"a \x01 b", "a b"},
        {"a\u200bb\ufeffc", "abc"},
        {"\ufeffFerry", "Ferry"},
        {"a\xc2\x85"
         "b\u00a0c\u2028d\u2029e\u3000f\u1680g\u202fh\u205fi\u2000j",
         "a b c d e f g h i j"},
        {"a\xc2\x81"
         "b\xc2\x9f"
         "c",
         "abc"},
        {"zero\u200djoin\u200cer stays", "zero\u200djoin\u200cer stays"},
        {"\u00a0 caf\u00e9 \u00a0", "caf\u00e9"},
        {"\u6e2f\u65b0\u805e \u2014 \u201cok\u201d", "\u6e2f\u65b0\u805e \u2014 \u201cok\u201d"},
        {"5 > 3 \"so\" 'yes'", "5 > 3 \"so\" 'yes'"},
    };
    check_pairs(nm_text_clean, cases, N(cases));
}

/* Every byte below 128, and every pair of spaces, at every place in short ASCII texts: the step of eight bytes and the
 * slow way must agree. */
static void clean__ascii_at_every_offset(void **state)
{
    (void)state;
    for (size_t len = 1; len < 36; len++) {
        for (size_t at = 0; at < len * 128; at++) {
            char text[40], want[40];
            size_t n = 0;
            memset(text, 'a', sizeof text);
            text[len / 2] = ' ';
            text[at / 128] = (char)(at % 128);
            if (strchr("<&", text[at / 128]) && text[at / 128])
                continue;
            for (size_t i = 0; i < len; i++) { /* the rules by hand */
                bool space = text[i] == ' ' || (text[i] >= 9 && text[i] <= 13);
                if (space && n > 0 && want[n - 1] != ' ')
                    want[n++] = ' ';
                else if (text[i] > ' ' && text[i] < 127)
                    want[n++] = text[i];
            }
            n -= n > 0 && want[n - 1] == ' ';
            struct nm_buf buf = {0};
            assert_int_equal(nm_text_clean(text, len, &buf, NULL), NM_OK);
            assert_int_equal(buf.len, n);
            assert_memory_equal(nm_buf_str(&buf), want, n);
            nm_buf_clear(&buf);
        }
    }
}

static void clean__normal_form(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"cafe\u0301", "caf\u00e9"},
        {"\u212bngstrom \u2126", "\u00c5ngstrom \u03a9"},
        {"q\u0323\u0307 q\u0307\u0323", "q\u0323\u0307 q\u0323\u0307"},
        {"\u1100\u1161\u11a8", "\uac01"},
        {"e\u200b\u0301", "\u00e9"}, /* what is dropped does not keep letters apart */
        {"e&#x301;", "\u00e9"},
        {"<b>e</b>\u0301", "\u00e9"},
        {"\u304b\u3099", "\u304c"},
        {"\u0958", "\u0915\u093c"},
    };
    check_pairs(nm_text_clean, cases, N(cases));
}

static void clean__tags(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"<p>One ticket from June.</p>", "One ticket from June."},
        {"<b>one</b><i>two</i>", "onetwo"},
        {"one<br>two<BR/>three<p>four<div>five</div>six", "one two three four five six"},
        {"<ul><li>a</li><li>b</li></ul><table><tr><td>c<td>d</table>", "a b c d"},
        {"<custom-tag a=b>x</custom-tag>", "x"},
        {"<a title=\"a > b\" href='x>y'>link</a>", "link"},
        {"<a title = \"<b>\"q>x", "x"},
        {"<a \"x>y", "y"},
        {"<a =\"x>y\">z", "y\">z"},
        {"<a b=c/>d<a/b>e</a/x y='>'>f", "def"},
        {"a<!-- b <p> > -- c -->d", "ad"},
        {"a<!-->b<!--->c<!--x--!>d<!--x--->e", "abcde"},
        {"a<!-- open", "a"},
        {"a<!DOCTYPE html>b<?php echo '>' ?>c", "ab' ?>c"},
        {"a</>b</ >c</3>d</", "abcd</"},
        {"a <b", "a"},
        {"a <b c='", "a"},
        {"a < b and c > d", "a < b and c > d"},
        {"a<3 <", "a<3 <"},
        {"<<b>x</b>>", "<x>"},
        {"<![CDATA[Ferry <b>news</b>]]> today", "Ferry news today"},
        {"<![CDATA[a]]>b]]>c<![CDATA[d", "ab]]>cd"},
        {"<![CDATA[<a t=\"]]>\">x]]>y", "x]]>y"},
    };
    check_pairs(nm_text_clean, cases, N(cases));
}

static void clean__hidden_content(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"a<script>if (a < b) x = '</p>';</script>b", "ab"},
        {"a<SCRIPT src=x>y</scripty></ScRipt >b", "ab"},
        {"a<style>p > a {}</style\n>b<style>", "ab"},
        {"a<script>no end <p>b", "a"},
        {"<head><title>Hidden</title><meta x>\n<script>1</script></head>Shown", "Shown"},
        {"<html><head><link><p>Shown", "Shown"},
        {"<head> <base> text ends it", "text ends it"},
        {"<head>&amp; too", "& too"},
        {"<head><x>y", "y"},
        {"<title>Hidden &amp; gone</title>Shown<iframe>no</iframe><noscript>yes</noscript>", "Shownyes"},
        {"<header>a</header><headline>b", "a b"},
        {"<template>x</template>y", "y"},
    };
    check_pairs(nm_text_clean, cases, N(cases));
}

static void clean__entities(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"Ferry &amp; tram", "Ferry & tram"},
        {"&amp;lt;b&amp;gt; &amp;amp;", "&lt;b&gt; &amp;"},
        {"&lt;script&gt;x&lt;/script&gt;", "<script>x</script>"},
        {"caf&eacute; &#233; &#xe9; &#XE9;", "caf\u00e9 \u00e9 \u00e9 \u00e9"},
        {"a&nbsp;b&ensp;c&NewLine;d&Tab;e", "a b c d e"},
        {"&ldquo;x&rdquo;&hellip;&lcub;&Zcaron;&AElig", "\u201cx\u201d\u2026{\u017d\u00c6"},
        {"&bne;&fjlig;", "=\u20e5fj"},
        {"AT&T, R&D; &; & &x &unknown; &amp", "AT&T, R&D; &; & &x &unknown; &"},
        {"&notit; &ampere &copy2031 &lt3 &hellip", "\u00acit; &ere \u00a92031 <3 &hellip"},
        {"&#39;&#8217;&#146;&#x80;&#128", "'\u2019\u2019\u20ac\u20ac"},
        {"&#; &#x; &#xg &#", "&#; &#x; &#xg &#"},
        {"&#0;&#xd800;&#x110000;&#99999999999999999999;", "\ufffd\ufffd\ufffd\ufffd"},
        {"a&#7;&#8203;b&#x1F600", "ab\U0001f600"},
        {"&CounterClockwiseContourIntegral;&zwnj;&yuml", "\u2233\u200c\u00ff"},
        {"&AMP;&amp &Amp;", "&& &Amp;"},
    };
    check_pairs(nm_text_clean, cases, N(cases));
}

static void clean__invalid_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"a\xff", "<b>\xc3</b>", "\xed\xa0\x80", "e\u0301\x80"};
    for (size_t i = 0; i < N(bad); i++) {
        struct nm_buf buf = {0};
        struct nm_error err;
        nm_buf_adds(&buf, "kept");
        assert_int_equal(nm_text_clean(bad[i], strlen(bad[i]), &buf, &err), NM_BAD_INPUT);
        assert_string_equal(err.code, "utf8_invalid");
        assert_string_equal(nm_buf_str(&buf), "kept");
        nm_buf_clear(&buf);
    }
}

static void repeat(struct nm_buf *buf, const char *unit, size_t bytes)
{
    while (buf->len < bytes)
        nm_buf_adds(buf, unit);
}

/* Each of these is quadratic in some parser or in a careless one. Twice the text may take at most about twice the
 * time; the bound is so wide (1 s for 512 KiB, 100 times what is needed) that a slow machine does not matter. */
static void clean__hostile_input_is_linear(void **state)
{
    (void)state;
    static const struct {
        const char *start, *unit;
    } cases[] = {
        {"", "<"},
        {"", "<a"},
        {"", "<div>"},
        {"<a ", "x1 "},
        {"<i><i><i>", "</b>"},
        {"", "<!--"},
        {"", "<![CDATA["},
        {"", "&"},
        {"", "&aaaaaaaaaaa;"},
        {"", "<a b='"},
        {"<script>", "</"},
        {"", "<script>"},
        {"", "]]>"},
        {"a", "\u0301\u0323"},
        {"", "&#x301;&#x323;"},
        {"", "</a"},
        {"<!--", "-"},
        {"a", "\u0f73"},
        {"", "<?"},
        {"", "\u00a0\u200b"},
        {"&#", "9"},
        {"<title>", "</tit"},
        {"<head>", "<p "},
        {"", "<![CDATA[]]"},
        {"", "&#1"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        struct nm_buf in = {0}, out = {0};
        nm_buf_adds(&in, cases[i].start);
        repeat(&in, cases[i].unit, 512 * 1024);
        clock_t before = clock();
        assert_int_equal(nm_text_clean(nm_buf_str(&in), in.len, &out, NULL), NM_OK);
        assert_true(clock() - before < CLOCKS_PER_SEC);
        assert_true(nm_text_is_utf8(nm_buf_str(&out), out.len));
        nm_buf_clear(&in);
        nm_buf_clear(&out);
    }
}

static void clean__mark_runs_are_capped(void **state)
{
    (void)state;
    struct nm_buf in = {0}, out = {0}, again = {0};
    nm_buf_adds(&in, "z");
    repeat(&in, "\u0344", 200);
    nm_buf_adds(&in, "y\u0301");
    assert_int_equal(nm_text_clean(nm_buf_str(&in), in.len, &out, NULL), NM_OK);
    assert_int_equal(nm_text_length(out.data, out.len), 1 + 30 + 1);
    assert_int_equal(nm_text_clean(out.data, out.len, &again, NULL), NM_OK);
    assert_string_equal(nm_buf_str(&again), nm_buf_str(&out));
    nm_buf_clear(&in);
    nm_buf_clear(&out);
    nm_buf_clear(&again);
}

/* What nm_text_is_inert() calls inert is so for utf8proc, alone and behind letters that compose. */
static void clean__inert_ranges_agree_with_utf8proc(void **state)
{
    (void)state;
    static const uint32_t neighbours[] = {'a', 0xe9, 0x915, 0x304b, 0xac00, 0x1100};
    for (uint32_t code = 0x80; code < 0x20000; code++) {
        if (!nm_text_is_inert(code))
            continue;
        struct nm_buf buf = {0};
        for (size_t i = 0; i < N(neighbours); i++) {
            nm_text_encode(neighbours[i], &buf);
            nm_text_encode(code, &buf);
        }
        utf8proc_uint8_t *nfc = utf8proc_NFC((const utf8proc_uint8_t *)nm_buf_str(&buf));
        assert_string_equal((const char *)nfc, nm_buf_str(&buf));
        free(nfc);
        nm_buf_clear(&buf);
    }
}

static void text__white_space_agrees_with_unicode(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x30000; code++) {
        utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
        bool white = category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
                     category == UTF8PROC_CATEGORY_ZP || (code >= 9 && code <= 13) || code == 0x85;
        assert_int_equal(nm_text_is_white(code), white);
    }
}

static void text__cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t max_chars;
        const char *want;
    } cases[] = {
        {"", 5, ""},
        {"Ferry news", 10, "Ferry news"},
        {"Ferry news", 99, "Ferry news"},
        {"Ferry news", 9, "Ferry"},
        {"Ferry news", 6, "Ferry"},
        {"Ferry news", 5, "Ferry"},
        {"Ferry news", 4, "Ferr"},
        {"Ferry news", 0, ""},
        {"Ferry news ", 99, "Ferry news"},
        {"one two three", 7, "one two"},
        {"one two three", 8, "one two"},
        {"\u00fcber die Stra\u00dfe", 4, "\u00fcber"},
        {"\u00fcber die Stra\u00dfe", 3, "\u00fcbe"},
        {"\u6e2f\u65b0\u805e", 2, "\u6e2f\u65b0"},
        {"xq\u0323\u0307y", 2, "x"},
        {"xq\u0323\u0307y", 3, "x"},
        {"xq\u0323\u0307y", 4, "xq\u0323\u0307"},
        {"q\u0323\u0307y", 2, ""},
        {"\U0001f469\u200d\U0001f52c\U0001f469\u200d\U0001f52c", 4, "\U0001f469\u200d\U0001f52c"},
        {"a\u3000bcd", 3, "a"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        size_t cut = nm_text_cut(cases[i].text, strlen(cases[i].text), cases[i].max_chars);
        assert_int_equal(cut, strlen(cases[i].want));
        assert_memory_equal(cases[i].text, cases[i].want, cut);
    }
}

static void text__length_in_code_points(void **state)
{
    (void)state;
    assert_int_equal(nm_text_length("", 0), 0);
    assert_int_equal(nm_text_length("caf\u00e9", 5), 4);
    assert_int_equal(nm_text_length("\U0001f600\u6e2f", 7), 2);
}

static enum nm_status slug150(const char *text, size_t len, struct nm_buf *out, struct nm_error *err)
{
    return nm_text_slug(text, len, 150, out, err);
}

static void slug__letters_and_symbols(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"", ""},
        {"Ferry & tram timetables merge in Ostmark", "ferry-tram-timetables-merge-in-ostmark"},
        {"Cr\u00e8me br\u00fbl\u00e9e\u2122 & Stra\u00dfe \u2013 \u00d8rsted's 50% off",
         "creme-brulee-strasse-orsteds-50-off"},
        {"cre\u0300me", "creme"},
        {"\u00c6r\u00f8 \u0141\u00f3d\u017a \u00de\u00f3r \u0110\u00e0 N\u1eb5ng \u0153uvre \u0130zm\u0131r",
         "aero-lodz-thor-da-nang-oeuvre-izmir"},
        {"\u01fe\u212b\u212a \ufb01n \u1e9e", "oak-fin-ss"},
        {"C++ / C#: what's new?", "c-c-whats-new"},
        {"snake_case a.b,c", "snakecase-abc"},
        {"-- a --- b - ", "a-b"},
        {"e-mail re-use", "e-mail-re-use"},
        {"a \u2014 b\u2014c", "a-bc"},
        {"a\u00a0b\tc", "a-b-c"},
        {"\u6e2f\u65b0\u805e", ""},
        {"\u6e2f 7 \u65b0", "7"},
        {"\u2122 \u00ae \u00b2 \u00bd \uff21", ""},
        {"../../etc/passwd\\%00", "etcpasswd00"},
        {"\u0416 & \u03a9", ""},
    };
    check_pairs(slug150, cases, N(cases));
}

static void slug__cut_at_a_word(void **state)
{
    (void)state;
    static const struct {
        const char *title;
        size_t max_bytes;
        const char *want;
    } cases[] = {
        {"one two three", 13, "one-two-three"},
        {"one two three", 12, "one-two"},
        {"one two three", 7, "one-two"},
        {"one two three", 6, "one"},
        {"one two three", 3, "one"},
        {"one two three", 2, "on"},
        {"one two three", 0, ""},
        {"\u00e6\u00e6\u00e6", 3, "aea"},
        {"one    !!!   ", 3, "one"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        struct nm_buf buf = {0};
        nm_buf_adds(&buf, "x");
        assert_int_equal(nm_text_slug(cases[i].title, strlen(cases[i].title), cases[i].max_bytes, &buf, NULL), NM_OK);
        assert_string_equal(nm_buf_str(&buf) + 1, cases[i].want);
        nm_buf_clear(&buf);
    }
}

static void fold__cases(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"", ""},
        {"Power APPS", "power apps"},
        {"STRASSE Stra\u00dfe", "strasse strasse"},
        {"\u00c9COLE e\u0301cole", "\u00e9cole \u00e9cole"},
        {"\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c3"},
        {"\ufb01n \u0130", "fin i\u0307"},
        {"\u041c\u041e\u0420\u0415 \u6e2f", "\u043c\u043e\u0440\u0435 \u6e2f"},
    };
    check_pairs(nm_text_fold, cases, N(cases));
    struct nm_buf buf = {0};
    assert_int_equal(nm_text_fold("a\xff", 2, &buf, NULL), NM_OK); /* shown as U+FFFD, never a crash */
    assert_true(nm_text_is_utf8(nm_buf_str(&buf), buf.len));
    nm_buf_clear(&buf);
}

/* What most texts never see: all of it by the library. */
static void check_fold(const char *text, size_t len)
{
    struct nm_buf buf = {0};
    utf8proc_uint8_t *want = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &want,
                                      UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    assert_true(n >= 0);
    assert_int_equal(nm_text_fold(text, len, &buf, NULL), NM_OK);
    if (buf.len != (size_t)n || memcmp(nm_buf_str(&buf), want, buf.len) != 0)
        fail_msg("'%.*s' becomes '%s', not '%s'", (int)len, text, nm_buf_str(&buf), (const char *)want);
    nm_buf_clear(&buf);
    free(want);
}

static void fold__is_that_of_the_library_for_every_code_point(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    for (uint32_t code = 1; code < 0x110000; code++) {
        if (code >= 0xd800 && code < 0xe000)
            continue;
        nm_buf_reset(&buf);
        nm_buf_adds(&buf, "Word NINE by nine ");
        nm_text_encode(code, &buf);
        nm_buf_adds(&buf, "A");
        check_fold(buf.data, buf.len);
    }
    nm_buf_clear(&buf);
}

static void fold__is_that_of_the_library_for_mixed_texts(void **state)
{
    (void)state;
    static const uint32_t some[] = {'a',    'Z',    '@',    '[',    '`',     '{',    ' ',    0xc9,
                                    0xd7,   0xdf,   0xe9,   0x130,  0x131,   0x149,  0x17f,  0x1f0,
                                    0x300,  0x301,  0x323,  0x3a3,  0x3c2,   0x41c,  0x43c,  0x6e2f,
                                    0x30ab, 0xac00, 0x1100, 0x1161, 0x1f600, 0x1e9e, 0xfb01, 0x10400};
    struct nm_buf buf = {0};
    uint64_t random = 7;
    for (int round = 0; round < 20000; round++) {
        nm_buf_reset(&buf);
        for (size_t n = random % 40; n > 0; n--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            nm_text_encode(some[(random >> 33) % ((random >> 60) < 9 ? 11 : N(some))], &buf);
        }
        random += 1;
        if (buf.len > 0)
            check_fold(buf.data, buf.len);
    }
    nm_buf_clear(&buf);
}

static void word__whole_and_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *text, *needle;
        bool whole, prefix;
    } cases[] = {
        {"canvas apps in bloom", "canvas app", false, true},
        {"canvas apps in bloom", "canvas apps", true, true},
        {"canvas apps", "apps", true, true},
        {"canvas apps", "canvas", true, true},
        {"canvas apps", "vas", false, false},
        {"canvas", "canvas", true, true},
        {"x canvases canvas", "canvas", true, true},
        {"canvases", "canvas", false, true},
        {"a-i, (ai)", "ai", true, true},
        {"ai2", "ai", false, true},
        {"2ai", "ai", false, false},
        {"\u00e9cole", "cole", false, false},
        {"ai\u0301", "ai", false, true},
        {"\u6e2fai", "ai", false, false},
        {"ai\u00e9 ai", "ai", true, true},
        {"c++ and c", "c++", true, true},
        {"see .net core", ".net", true, true},
        {"asp.net", ".net", false, false},
        {"snake_ai_case", "ai", true, true},
        {"", "a", false, false},
        {"a", "", false, false},
        {"", "", false, false},
        {"aaaa aaa", "aaa", true, true},
    };
    for (size_t i = 0; i < N(cases); i++) {
        const char *text = cases[i].text, *needle = cases[i].needle;
        assert_int_equal(nm_text_has_word(text, strlen(text), needle, strlen(needle), false), cases[i].whole);
        assert_int_equal(nm_text_has_word(text, strlen(text), needle, strlen(needle), true), cases[i].prefix);
    }
}

static void word__repeats_are_linear(void **state)
{
    (void)state;
    struct nm_buf text = {0}, needle = {0};
    repeat(&text, "a", 512 * 1024);
    repeat(&needle, "a", 20000);
    clock_t before = clock();
    nm_buf_addc(&needle, ' ');
    assert_false(nm_text_has_word(nm_buf_str(&text), text.len, nm_buf_str(&needle), needle.len, false));
    needle.len--;
    assert_false(nm_text_has_word(nm_buf_str(&text), text.len, nm_buf_str(&needle), needle.len, false));
    assert_true(clock() - before < CLOCKS_PER_SEC);
    nm_buf_clear(&text);
    nm_buf_clear(&needle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean__plain_text),
        cmocka_unit_test(clean__ascii_at_every_offset),
        cmocka_unit_test(clean__normal_form),
        cmocka_unit_test(clean__tags),
        cmocka_unit_test(clean__hidden_content),
        cmocka_unit_test(clean__entities),
        cmocka_unit_test(clean__invalid_utf8_is_refused),
        cmocka_unit_test(clean__hostile_input_is_linear),
        cmocka_unit_test(clean__mark_runs_are_capped),
        cmocka_unit_test(clean__inert_ranges_agree_with_utf8proc),
        cmocka_unit_test(text__white_space_agrees_with_unicode),
        cmocka_unit_test(text__cut),
        cmocka_unit_test(text__length_in_code_points),
        cmocka_unit_test(slug__letters_and_symbols),
        cmocka_unit_test(slug__cut_at_a_word),
        cmocka_unit_test(fold__cases),
        cmocka_unit_test(fold__is_that_of_the_library_for_every_code_point),
        cmocka_unit_test(fold__is_that_of_the_library_for_mixed_texts),
        cmocka_unit_test(word__whole_and_prefix),
        cmocka_unit_test(word__repeats_are_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
