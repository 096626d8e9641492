/* test_images_url.c - the URLs of images: what is refused and why, one key a picture, redirects, log lines. */
#include "images/image_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))
#define MAX      4096

struct pair {
    const char *in, *want;
};

/* The canonical text, or the reason. */
static const char *result(enum im_reason reason, const struct im_url *url)
{
    if (reason != IM_NONE)
        return im_reason_name(reason);
    assert_int_equal(strlen(url->text), url->len);
    return url->text;
}

static const char *read_url(const char *in)
{
    static struct im_url url;
    return result(im_url_read(in, strlen(in), MAX, &url), &url);
}

static void check_read(const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_string_equal(read_url(pairs[i].in), pairs[i].want);
}

static void image_url__canonical_form(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"http://h.example", "http://h.example/"},
        {"HTTPS://H.Example:443/a.png#x", "https://h.example/a.png"},
        {"http://h.example:080/a/../b/./c.png", "http://h.example/b/c.png"},
        {"http://h.example:443/%7e", "http://h.example:443/~"},
        {"\x01\x1f http://h.example/a.png \r\n", "http://h.example/a.png"},
        {"http://h.example/a\x01", "http://h.example/a"},
        {"http://b\u00fccher.test:81/x", "http://xn--bcher-kva.test:81/x"},
        {"http://h.example/a?utm_source=a&b&c=&&fbclid=1", "http://h.example/a?utm_source=a&b&c=&&fbclid=1"},
        {"http://h.example/a?", "http://h.example/a"},
        {"http://h.example/\u00e9?q=\u6e2f", "http://h.example/%C3%A9?q=%E6%B8%AF"},
        {"http://h.example/my image.png?t=a b", "http://h.example/my%20image.png?t=a%20b"},
        {"http://h.example/a\"<>\\^`{|}", "http://h.example/a%22%3C%3E%5C%5E%60%7B%7C%7D"},
        {"http://h.example/a;b=1,2!$&'()*+:@[]%zz%", "http://h.example/a;b=1,2!$&'()*+:@[]%zz%"},
        {"http://h.example/%0d%0aSET%20x%201", "http://h.example/%0D%0ASET%20x%201"},
        {"http://h.example/%2500", "http://h.example/%2500"},
        {"http://h.example/@user/a.png?a@b", "http://h.example/@user/a.png?a@b"},
        {"http://good.example#@127.0.0.1:81/", "http://good.example/"},
        {"http://127.0.0.1:81#@good.example/", "http://127.0.0.1:81/"},
        {"http://h.example/a?b#c?d#e", "http://h.example/a?b"},
    };
    check_read(cases, N(cases));
}

static void image_url__other_schemes_are_refused(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"file:///etc/passwd", "url_scheme"},
        {"gopher://127.0.0.1:81/_x", "url_scheme"},
        {"dict://h.example/", "url_scheme"},
        {"ftp://h.example/a.png", "url_scheme"},
        {"ldap://h.example/", "url_scheme"},
        {"smb://h.example/", "url_scheme"},
        {"tftp://h.example/", "url_scheme"},
        {"scp://h.example/", "url_scheme"},
        {"data:image/png;base64,iVBORw0KGgo=", "url_scheme"},
        {" data:image/png;base64,iVBO\r\nRw0KGgo=", "url_scheme"},
        {"javascript:alert(1)", "url_scheme"},
        {"blob:http://h.example/1", "url_scheme"},
        {"about:blank", "url_scheme"},
        {"httpss://h.example/", "url_scheme"},
        {"x+y-z.1:", "url_scheme"},
        {"view-source:http://h.example/", "url_scheme"},
    };
    check_read(cases, N(cases));
}

static void image_url__not_absolute_invalid_or_with_a_user(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"//127.0.0.1:81/ok", "url_not_absolute"},
        {"/img.png", "url_not_absolute"},
        {"img.png", "url_not_absolute"},
        {"www.h.example/img.png", "url_not_absolute"},
        {"?a", "url_not_absolute"},
        {"#a", "url_not_absolute"},
        {"\\\\h.example\\a.png", "url_not_absolute"},
        {"://h.example/", "url_not_absolute"},
        {"127.0.0.1:81/a", "url_not_absolute"},
        {"+http://h.example/", "url_not_absolute"},
        {"http:127.0.0.1:81/ok", "url_invalid"},
        {"http:/127.0.0.1:81/ok", "url_invalid"},
        {"http:///127.0.0.1:81/ok", "url_invalid"},
        {"http:", "url_invalid"},
        {"http://", "url_invalid"},
        {"http:\\\\h.example\\a", "url_invalid"},
        {"http://127.0.0.1:81\\@good.example/ok", "url_invalid"},
        {"http://h.example\\a", "url_invalid"},
        {"http://127.0.0.1:81/a%00b.png", "url_invalid"},
        {"http://h.example/a?b%00", "url_invalid"},
        {"http://127.0.0.1%00.x/", "url_invalid"},
        {"http://h.example/x\r\nX-Evil: 1", "url_invalid"},
        {"/x\r\nX-Evil: 1", "url_invalid"},
        {"http://h.example/a\tb", "url_invalid"},
        {"/a\x7f", "url_invalid"},
        {"/\xff", "url_invalid"},
        {"java\tscript:alert(1)", "url_invalid"},
        {"http://h.example/a\x01"
         "b",
         "url_invalid"},
        {"http://h.example/a\x7f", "url_invalid"},
        {"http://h.example/a\xc2\x85"
         "b",
         "url_invalid"},
        {"http://h.example:118081/", "url_invalid"},
        {"http://h.example:0/", "url_invalid"},
        {"http://h.example:8o/", "url_invalid"},
        {"http://h.example/\xff.png", "url_invalid"},
        {"http://h.example/\xc0\xaf", "url_invalid"},
        {"http://a b.example/", "url_invalid"},
        {"http://h.example:8 0/", "url_invalid"},
        {"http://a\u3000b.example/", "url_invalid"},
        {"http://h.example\u2044x/", "url_invalid"},
        {"http://[::1/", "url_invalid"},
        {"http://[fe80::1%25lo]:81/", "url_invalid"},
        {"http://[fe80::1%lo]:81/", "url_invalid"},
        {"http://[v1.x]/", "url_invalid"},
        {"", "url_invalid"},
        {" \r\n\t ", "url_invalid"},
        {"http://user:pw@127.0.0.1:81/ok", "url_userinfo"},
        {"http://good.example@127.0.0.1:81/", "url_userinfo"},
        {"http://@h.example/", "url_userinfo"},
        {"https://h.example:80@127.0.0.1/", "url_userinfo"},
        {"http://u%40x:p@h.example/", "url_userinfo"},
    };
    check_read(cases, N(cases));
}

/* None of these is refused: which address it is, is seen when the socket is to be opened. */
static void image_url__hosts_that_become_addresses(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"http://2130706433:81/", "http://2130706433:81/"},
        {"http://0x7F000001:81/", "http://0x7f000001:81/"},
        {"http://0x7f.1:81/", "http://0x7f.1:81/"},
        {"http://017700000001:81/", "http://017700000001:81/"},
        {"http://0177.0.0.1:81/", "http://0177.0.0.1:81/"},
        {"http://127.1:81/", "http://127.1:81/"},
        {"http://0:81/", "http://0:81/"},
        {"http://0.0.0.0:81/", "http://0.0.0.0:81/"},
        {"http://%31%32%37.0.0.1:81/", "http://127.0.0.1:81/"},
        {"http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460:81/", "http://127.0.0.1:81/"},
        {"http://\uff11\uff12\uff17.0.0.1:81/", "http://127.0.0.1:81/"},
        {"http://127\u30020\u30020\u30021:81/", "http://127.0.0.1:81/"},
        {"http://\u24c1\u24c4\u24b8\u24b6\u24c1\u24bd\u24c4\u24c8\u24c9:81/", "http://localhost:81/"},
        {"http://foo.localhost:81/", "http://foo.localhost:81/"},
        {"http://LOCALHOST.:81/", "http://localhost:81/"},
        {"http://[::1]:81/", "http://[::1]:81/"},
        {"http://[0:0:0:0:0:0:0:0]:81/", "http://[::]:81/"},
        {"http://[::FFFF:7f00:1]:81/", "http://[::ffff:127.0.0.1]:81/"},
        {"http://[::ffff:127.0.0.1]:81/", "http://[::ffff:127.0.0.1]:81/"},
        {"http://[64:ff9b::a9fe:a9fe]/", "http://[64:ff9b::a9fe:a9fe]/"},
        {"http://169.254.169.254/latest/meta-data/", "http://169.254.169.254/latest/meta-data/"},
        {"http://0xA9FEA9FE/", "http://0xa9fea9fe/"},
    };
    check_read(cases, N(cases));
}

static void image_url__one_key_for_one_picture(void **state)
{
    (void)state;
    static const char *const same[] = {
        "http://h.example/b/~x.png?a=1&b=2",      "http://h.example/b/~x.png?a=1&b=2#x",
        "http://h.example:80/b/~x.png?a=1&b=2",   "HTTP://H.EXAMPLE./b/~x.png?a=1&b=2",
        "http://h.example/b/%7ex.png?a=1&b=2",    "http://h.example/a/../b/./%7Ex.png?a=1&b=2",
        " http://h.example/b/~x.png?%61=1&b=2\n",
    };
    static const char *const other[] = {"http://h.example/b/~x.png?b=2&a=1",
                                        "https://h.example/b/~x.png?a=1&b=2",
                                        "http://h.example/b/~x.png",
                                        "http://h.example/B/~x.png?a=1&b=2",
                                        "http://www.h.example/b/~x.png?a=1&b=2",
                                        "http://h.example:81/b/~x.png?a=1&b=2",
                                        "http://h.example/b/~x.png?a=1&b=2&"};
    static struct im_url first, url;
    assert_int_equal(im_url_read(same[0], strlen(same[0]), MAX, &first), IM_NONE);
    for (size_t i = 0; i < N(same); i++) {
        assert_int_equal(im_url_read(same[i], strlen(same[i]), MAX, &url), IM_NONE);
        assert_string_equal(url.hash, first.hash);
    }
    for (size_t i = 0; i < N(other); i++) {
        assert_int_equal(im_url_read(other[i], strlen(other[i]), MAX, &url), IM_NONE);
        assert_string_not_equal(url.hash, first.hash);
    }
}

static void image_url__parts(void **state)
{
    (void)state;
    static struct im_url url;
    const char *text = "HTTPS://B\u00fccher.example:8443/a/../b.png?c";
    assert_int_equal(im_url_read(text, strlen(text), MAX, &url), IM_NONE);
    assert_string_equal(url.text, "https://xn--bcher-kva.example:8443/b.png?c");
    assert_string_equal(url.text + url.path_at, "/b.png?c");
    assert_string_equal(url.host, "xn--bcher-kva.example");
    assert_int_equal(url.port, 8443);
    assert_true(url.https);
    /* by `printf %s https://xn--bcher-kva.example:8443/b.png?c | sha256sum` */
    assert_string_equal(url.hash, "7e8cd1f8d8e62c3c85f0c2fce0f921edd9fdf4537d749413ac2fe4dc72925668");
    assert_int_equal(im_url_read("https://[::1]", 13, MAX, &url), IM_NONE);
    assert_string_equal(url.host, "[::1]");
    assert_int_equal(url.port, 443);
    assert_int_equal(im_url_read("http://h:443", 12, MAX, &url), IM_NONE);
    assert_int_equal(url.port, 443);
    assert_false(url.https);
    assert_int_equal(im_url_read("http://h", 8, MAX, &url), IM_NONE);
    assert_int_equal(url.port, 80);
}

static void overwrite(char *text, const char *start)
{
    while (*start)
        *text++ = *start++;
}

static void image_url__lengths(void **state)
{
    (void)state;
    static char text[1 << 20];
    static struct im_url url;
    memset(text, 'a', sizeof text);
    assert_int_equal(im_url_read(text, sizeof text, MAX, &url), IM_url_invalid);
    overwrite(text, "http://h.example/");
    assert_int_equal(im_url_read(text, MAX, MAX, &url), IM_NONE);
    assert_int_equal(url.len, MAX);
    assert_int_equal(im_url_read(text, MAX + 1, MAX, &url), IM_url_invalid);
    assert_int_equal(im_url_read(text, 5000, MAX, &url), IM_url_invalid);
    assert_int_equal(im_url_read(text, 5000, 5000, &url), IM_NONE);
    assert_int_equal(im_url_read(text, NM_FETCH_MAX_BYTES, NM_FETCH_MAX_BYTES, &url), IM_NONE);
    assert_int_equal(url.len, NM_FETCH_MAX_BYTES);
    assert_int_equal(im_url_read(text, NM_FETCH_MAX_BYTES + 1, NM_FETCH_MAX_BYTES, &url), IM_url_invalid);
    memset(text + 17, ' ', 100); /* each is three bytes when written */
    assert_int_equal(im_url_read(text, MAX - 200, MAX, &url), IM_NONE);
    assert_int_equal(url.len, MAX);
    assert_int_equal(im_url_read(text, MAX - 199, MAX, &url), IM_url_invalid);
    memset(text + 17, ' ', sizeof text - 17);
    text[NM_FETCH_MAX_BYTES - 1] = 'a';
    assert_int_equal(im_url_read(text, NM_FETCH_MAX_BYTES, NM_FETCH_MAX_BYTES, &url), IM_url_invalid);
    memset(text, ' ', sizeof text);
    overwrite(text + 500000, "http://h.example/"); /* what is trimmed does not count */
    assert_int_equal(im_url_read(text, sizeof text, MAX, &url), IM_NONE);
    overwrite(text, "data:");
    assert_int_equal(im_url_read(text, sizeof text, MAX, &url), IM_url_scheme);
    overwrite(text, "about:"); /* of the length of "https" */
    assert_int_equal(im_url_read(text, sizeof text, MAX, &url), IM_url_scheme);
    assert_int_equal(im_url_read(NULL, 0, MAX, &url), IM_url_invalid);
    assert_int_equal(im_url_read("http://h.example/a\0b", 20, MAX, &url), IM_url_invalid);
    assert_int_equal(im_url_read("http://h.example/a\0", 19, MAX, &url), IM_NONE);
}

static void image_url__failure_leaves_out_untouched(void **state)
{
    (void)state;
    static struct im_url url, before, from;
    memset(&url, 7, sizeof url);
    memset(&before, 7, sizeof before);
    static const char *const texts[] = {"http://h.example/%00", "http://u@h.example/", "ftp://h.example/", "/a", ""};
    assert_int_equal(im_url_read("https://h.example/", 18, MAX, &from), IM_NONE);
    for (size_t i = 0; i < N(texts); i++) {
        assert_int_not_equal(im_url_read(texts[i], strlen(texts[i]), MAX, &url), IM_NONE);
        assert_memory_equal(&url, &before, sizeof url);
    }
    assert_int_equal(im_url_follow(&from, "http://h.example/", 17, MAX, false, &url), IM_redirect_downgrade);
    assert_int_equal(im_url_follow(&from, "ftp://h.example/", 16, MAX, false, &url), IM_redirect_bad);
    assert_memory_equal(&url, &before, sizeof url);
}

/* ---- redirects ---- */

static const char *follow_from(const char *base, const char *location)
{
    static struct im_url from, to;
    assert_int_equal(im_url_read(base, strlen(base), MAX, &from), IM_NONE);
    return result(im_url_follow(&from, location, location ? strlen(location) : 0, MAX, false, &to), &to);
}

static void check_follow(const char *base, const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = follow_from(base, pairs[i].in);
        if (strcmp(got, pairs[i].want) != 0)
            fail_msg("'%s': %s, not %s", pairs[i].in ? pairs[i].in : "(none)", got, pairs[i].want);
    }
}

static void redirect__refused_with_its_reason(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {NULL, "redirect_bad"},
        {"", "redirect_bad"},
        {" \t", "redirect_bad"},
        {"http://", "redirect_bad"},
        {"https:///a", "redirect_bad"},
        {"http:a", "redirect_bad"},
        {"https:/a", "redirect_bad"},
        {"///a", "redirect_bad"},
        {"//", "redirect_bad"},
        {"file:///etc/passwd", "redirect_bad"},
        {"gopher://127.0.0.1/", "redirect_bad"},
        {"ftp://h.example/", "redirect_bad"},
        {"data:image/png;base64,AA==", "redirect_bad"},
        {"a:b", "redirect_bad"},
        {"/a\r\nX-Evil: 1", "redirect_bad"},
        {"/a\tb", "redirect_bad"},
        {"/\xff", "redirect_bad"},
        {"/a%00b", "redirect_bad"},
        {"/a#\r\nX-Evil: 1", "redirect_bad"},
        {"/a#\xff", "redirect_bad"},
        {"//h.example:0/", "redirect_bad"},
        {"//h.example:99999/", "redirect_bad"},
        {"//a b/", "redirect_bad"},
        {"\\\\127.0.0.1:81\\ok", "redirect_bad"},
        {"\\ok", "redirect_bad"},
        {"/\\127.0.0.1:81/ok", "redirect_bad"},
        {"//127.0.0.1:81\\@h.example/", "redirect_bad"},
        {"http:\\\\h.example\\", "redirect_bad"},
        {"http://u:p@127.0.0.1:81/ok", "url_userinfo"},
        {"//u@h.example/ok", "url_userinfo"},
        {"https://@h.example/ok", "url_userinfo"},
    };
    check_follow("http://cdn.example:81/a/b.png?q", cases, N(cases));
}

static void redirect__resolved_against_this_hop(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"ok", "http://cdn.example:81/a/ok"},
        {"/ok", "http://cdn.example:81/ok"},
        {"?x", "http://cdn.example:81/a/b.png?x"},
        {"?", "http://cdn.example:81/a/b.png"},
        {"#x", "http://cdn.example:81/a/b.png?q=/c/d"},
        {"ok#a/../../b", "http://cdn.example:81/a/ok"},
        {"//127.0.0.1:82/ok", "http://127.0.0.1:82/ok"},
        {"//[::1]:81/", "http://[::1]:81/"},
        {"//h.example", "http://h.example/"},
        {"http://0x7f.1:81/", "http://0x7f.1:81/"},
        {"http://169.254.169.254/", "http://169.254.169.254/"},
        {"HTTPS://h.example/x?y#z", "https://h.example/x?y"},
        {".", "http://cdn.example:81/a/"},
        {"./c", "http://cdn.example:81/a/c"},
        {"../c", "http://cdn.example:81/c"},
        {"../../../c", "http://cdn.example:81/c"},
        {"%2e%2e/c", "http://cdn.example:81/c"},
        {"/..//127.0.0.1:82/", "http://cdn.example:81//127.0.0.1:82/"},
        {"c?d/../e?f", "http://cdn.example:81/a/c?d/../e?f"},
        {"a b\u00e9?c d", "http://cdn.example:81/a/a%20b%C3%A9?c%20d"},
        {"a\\b", "http://cdn.example:81/a/a%5Cb"},
        {"127.0.0.1:82/x", "http://cdn.example:81/a/127.0.0.1:82/x"},
        {"./a:b", "http://cdn.example:81/a/a:b"},
        {"@h.example/", "http://cdn.example:81/a/@h.example/"},
        {" /ok \r\n", "http://cdn.example:81/ok"},
        {"?@//h.example:1", "http://cdn.example:81/a/b.png?@//h.example:1"},
        {";x", "http://cdn.example:81/a/;x"},
    };
    check_follow("http://cdn.example:81/a/b.png?q=/c/d", cases, N(cases));
    assert_string_equal(follow_from("http://cdn.example", "ok"), "http://cdn.example/ok");
    assert_string_equal(follow_from("https://cdn.example?a/b", "ok"), "https://cdn.example/ok");
    assert_string_equal(follow_from("https://cdn.example/a/", "//h.example/b"), "https://h.example/b");
    assert_string_equal(follow_from("https://[2606::7]:81/a/", "b"), "https://[2606::7]:81/a/b");
}

/* The reference examples of RFC 3986, 5.4, whose base is http: and whose answers are http: too. */
static void redirect__examples_of_the_rfc(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"//g", "http://g/"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"g;x?y#s", "http://a/b/c/g;x?y"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../..", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g:h", "redirect_bad"},
        {"http:g", "redirect_bad"}, /* strict: it has a scheme and no host */
    };
    check_follow("http://a/b/c/d;p?q", cases, N(cases));
}

static void redirect__downgrade(void **state)
{
    (void)state;
    static struct im_url from, to;
    assert_string_equal(follow_from("https://h.example/a", "http://h.example/a"), "redirect_downgrade");
    assert_string_equal(follow_from("https://h.example/a", "http://u@h.example/a"), "url_userinfo");
    assert_string_equal(follow_from("https://h.example/a", "http://h.example:0/a"), "redirect_bad");
    assert_string_equal(follow_from("http://h.example/a", "https://h.example/a"), "https://h.example/a");
    assert_int_equal(im_url_read("https://h.example/a", 19, MAX, &from), IM_NONE);
    assert_int_equal(im_url_follow(&from, "http://h.example/b", 18, MAX, true, &to), IM_NONE);
    assert_string_equal(to.text, "http://h.example/b");
    assert_int_equal(to.port, 80);
}

static void redirect__arguments(void **state)
{
    (void)state;
    static struct im_url url, other;
    assert_int_equal(im_url_read("http://h.example/a/b", 20, MAX, &url), IM_NONE);
    assert_int_equal(im_url_follow(&url, "//x/", 1, MAX, false, &other), IM_NONE); /* "/": what follows is not ours */
    assert_string_equal(other.text, "http://h.example/");
    assert_int_equal(im_url_follow(&url, NULL, 5, MAX, false, &other), IM_redirect_bad);
    assert_int_equal(im_url_read("http://h.example/a/b", 20, MAX, &url), IM_NONE);
    assert_int_equal(im_url_follow(&url, "c", 1, MAX, false, &url), IM_NONE);
    assert_string_equal(url.text, "http://h.example/a/c");
    assert_int_equal(im_url_read("http://h.example/a/c", 20, MAX, &other), IM_NONE);
    assert_string_equal(url.hash, other.hash);
}

static void redirect__lengths(void **state)
{
    (void)state;
    static char text[4 * NM_FETCH_MAX_BYTES];
    static struct im_url from, to;
    size_t max = NM_FETCH_MAX_BYTES;
    memset(text, 'a', sizeof text);
    overwrite(text, "https://h.example/");
    text[max - 1] = '/';
    assert_int_equal(im_url_read(text, max, max, &from), IM_NONE);
    assert_int_equal(from.len, max);
    memset(text, 'b', sizeof text);
    assert_int_equal(im_url_follow(&from, text, max, max, false, &to), IM_redirect_bad); /* the largest join */
    assert_int_equal(im_url_follow(&from, text, max + 1, max, false, &to), IM_redirect_bad);
    assert_int_equal(im_url_follow(&from, text, sizeof text, max, false, &to), IM_redirect_bad);
    assert_int_equal(im_url_follow(&from, "b", 1, max, false, &to), IM_redirect_bad);
    text[0] = '/';
    assert_int_equal(im_url_follow(&from, text, max - 17, max, false, &to), IM_NONE);
    assert_int_equal(to.len, max);
    assert_int_equal(im_url_follow(&from, text, max - 16, max, false, &to), IM_redirect_bad);
    assert_int_equal(im_url_follow(&from, text, MAX - 17, MAX, false, &to), IM_NONE);
    assert_int_equal(im_url_follow(&from, text, MAX - 16, MAX, false, &to), IM_redirect_bad);
}

/* ---- log lines ---- */

static void show__no_secret_and_no_control(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"https://h.example/a.png", "https://h.example/a.png"},
        {"https://h.example/a.png?token=secret", "https://h.example/a.png?..."},
        {"https://h.example?secret", "https://h.example?..."},
        {"https://h.example/a#secret", "https://h.example/a?..."},
        {"http://user:secret@h.example/a", "***@h.example/a"},
        {"http://user:sec@ret@h.example:81/a?b", "***@h.example:81/a?..."},
        {"http://user:secret\\@h.example/a", "***@h.example/a"},
        {"http:user:secret@h.example/a", "***@h.example/a"},
        {"http:///user:secret@h.example/a", "***@h.example/a"},
        {"http:\\\\user:secret@h.example/a", "***@h.example/a"},
        {"https//user:secret@h.example/a", "***@h.example/a"},
        {"ftp://user:secret@h.example/a", "***@h.example/a"},
        {"ftp://h.example/a@b", "***@b"},
        {"http:xyz/a@b", "***@b"},
        {"http://h.example\\a/b@c", "***@c"},
        {"http://h.example#a@b", "http://h.example?..."},
        {"//user:secret@h.example/a", "***@h.example/a"},
        {"user@h.example/a", "***@h.example/a"},
        {"user:secret@h.example/a", "***@h.example/a"},
        {"http://user:sec/ret@h.example/a", "***@h.example/a"},
        {"http://user:sec?ret@h.example/a", "***@h.example/a"},
        {"http://user:sec#ret@h.example/a?b", "***@h.example/a?..."},
        {"http://h.example:0x/a", "http://h.example:0x/a"},
        {"http://[::1]/a@b", "http://[::1]/a@b"},
        {"http://[::1]:81/a@b", "http://[::1]:81/a@b"},
        {"http://[::1]:x/a@b", "***@b"},
        {"http://h.example:/a@b", "http://h.example:/a@b"},
        {"https://h.example/@user/a", "https://h.example/@user/a"},
        {"HTTPS://h.example?a@b", "HTTPS://h.example?..."},
        {"http:///a@b", "***@b"},
        {"data:image/png;base64,AAAA", "data:image/png;base64,AAAA"},
        {"mailto:user@h.example", "***@h.example"},
        {"/a b\r\n\x1b[m\xff", "/a%20b%0D%0A%1B[m%FF"},
        {"", ""},
        {" \n", ""},
        {"@", "***@"},
        {":", ":"},
        {"http:", "http:"},
    };
    char out[IM_URL_SHOWN_BYTES];
    for (size_t i = 0; i < N(cases); i++)
        assert_string_equal(im_url_show(cases[i].in, strlen(cases[i].in), out), cases[i].want);
    assert_string_equal(im_url_show(NULL, 0, out), "");
    assert_string_equal(im_url_show("http://user\0:secret@h.example", 29, out), "***@h.example");
}

static void show__clipped(void **state)
{
    (void)state;
    char text[1000], out[IM_URL_SHOWN_BYTES];
    memset(text, 'a', sizeof text);
    assert_int_equal(strlen(im_url_show(text, IM_URL_SHOWN_BYTES - 4, out)), IM_URL_SHOWN_BYTES - 4);
    assert_null(strstr(out, "..."));
    assert_int_equal(strlen(im_url_show(text, IM_URL_SHOWN_BYTES - 3, out)), IM_URL_SHOWN_BYTES - 1);
    assert_string_equal(out + IM_URL_SHOWN_BYTES - 6, "aa...");
    assert_int_equal(strlen(im_url_show(text, sizeof text, out)), IM_URL_SHOWN_BYTES - 1);
    memset(text, '\n', sizeof text);
    text[0] = text[999] = 'a';
    assert_int_equal(strlen(im_url_show(text, sizeof text, out)), 1 + 83 * 3 + 3); /* no half of an escape */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_url__canonical_form),
        cmocka_unit_test(image_url__other_schemes_are_refused),
        cmocka_unit_test(image_url__not_absolute_invalid_or_with_a_user),
        cmocka_unit_test(image_url__hosts_that_become_addresses),
        cmocka_unit_test(image_url__one_key_for_one_picture),
        cmocka_unit_test(image_url__parts),
        cmocka_unit_test(image_url__lengths),
        cmocka_unit_test(image_url__failure_leaves_out_untouched),
        cmocka_unit_test(redirect__refused_with_its_reason),
        cmocka_unit_test(redirect__resolved_against_this_hop),
        cmocka_unit_test(redirect__examples_of_the_rfc),
        cmocka_unit_test(redirect__downgrade),
        cmocka_unit_test(redirect__arguments),
        cmocka_unit_test(redirect__lengths),
        cmocka_unit_test(show__no_secret_and_no_control),
        cmocka_unit_test(show__clipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
