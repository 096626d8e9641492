/* test_url.c - canonical URLs, ids, hosts, registrable domains and AMP Cache URLs.
 *
 * The three ids in url__id_vectors belong to the specification of the canonical form: when they change, every stored
 * id is wrong. The property test draws URLs from a seeded generator, so a failure repeats. */
#include "newsmill/text.h"
#include "newsmill/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

struct pair {
    const char *in, *want;
};

static const char *canonical(const char *in, bool keep_query)
{
    static struct nm_url url;
    static struct nm_error err;
    if (nm_url_canonical(in, strlen(in), keep_query, &url, &err) != NM_OK)
        return err.code;
    assert_int_equal(strlen(url.text), url.len);
    return url.text;
}

static void check_pairs(const struct pair *pairs, size_t n, bool keep_query)
{
    for (size_t i = 0; i < n; i++)
        assert_string_equal(canonical(pairs[i].in, keep_query), pairs[i].want);
}

static void url__id_vectors(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"https://www.harbour-gazette.example/2031/04/12/ferry-timetable", "136ab291632faf53215323ed8744d7a4"},
        {"https://news.example/", "0af489147a38f6da8ce911c6546decff"},
        {"https://xn--bcher-kva.example/a%20b?id=7&page=2", "c0020d6441046e4691626d2436105bb0"},
        /* other spellings of the same three */
        {"HTTPS://WWW.Harbour-Gazette.Example:443/2031/04/./12/x/../ferry-timetable?utm_source=feed#top",
         "136ab291632faf53215323ed8744d7a4"},
        {"  https://news.example. ", "0af489147a38f6da8ce911c6546decff"},
        {"https://B\u00dcCHER.example/a%20b?fbclid=x&id=7&%55TM_term=1&page=2", "c0020d6441046e4691626d2436105bb0"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        const char *text = canonical(cases[i].in, false);
        char id[NM_ID_BYTES];
        nm_article_id(text, strlen(text), id);
        assert_string_equal(id, cases[i].want);
        assert_true(nm_is_article_id(id, strlen(id)));
    }
}

static void url__is_article_id(void **state)
{
    (void)state;
    assert_true(nm_is_article_id("00112233445566778899aabbccddeeff", 32));
    assert_false(nm_is_article_id("00112233445566778899aabbccddeeff", 31));
    assert_false(nm_is_article_id("00112233445566778899AABBCCDDEEFF", 32));
    assert_false(nm_is_article_id("00112233445566778899aabbccddeefg", 32));
    assert_false(nm_is_article_id("", 0));
}

static void url__scheme_and_host(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"http://tide.example", "http://tide.example/"},
        {"HTTP://TIDE.example:443/", "http://tide.example:443/"},
        {"https://tide.example:443/", "https://tide.example/"},
        {"http://tide.example:80", "http://tide.example/"},
        {"http://tide.example:080/", "http://tide.example/"},
        {"http://tide.example:/a", "http://tide.example/a"},
        {"http://tide.example:00008080/a", "http://tide.example:8080/a"},
        {"http://tide.example.:8080?q", "http://tide.example:8080/?q"},
        {"http://www.tide.example/", "http://www.tide.example/"},
        {"http://r3---x_y.tide.example/", "http://r3---x_y.tide.example/"},
        {"http://t%69de%2Eexample/", "http://tide.example/"},
        {"http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/"},
        {"http://XN--BCHER-KVA.example/", "http://xn--bcher-kva.example/"},
        {"http://stra\u00dfe.example/", "http://xn--strae-oqa.example/"},
        {"http://\uff54\uff49\uff44\uff45\u3002example\u3002/", "http://tide.example/"},
        {"http://[::1]:80/", "http://[::1]/"},
        {"http://[::1]/a:b", "http://[::1]/a:b"},
        {"http://[2001:DB8:0:0:0:0:0:7]:8080", "http://[2001:db8::7]:8080/"},
        {"http://192.0.2.7/", "http://192.0.2.7/"},
        {"\t\r\n http://tide.example/ \f\v", "http://tide.example/"},
    };
    check_pairs(cases, N(cases), false);
}

static void url__path(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"http://h.example/..", "http://h.example/"},
        {"http://h.example/../../a", "http://h.example/a"},
        {"http://h.example/a/b/../c", "http://h.example/a/c"},
        {"http://h.example/a/b/..", "http://h.example/a/"},
        {"http://h.example/a/.", "http://h.example/a/"},
        {"http://h.example/a/./b/.//c", "http://h.example/a/b//c"},
        {"http://h.example/a//../b", "http://h.example/a/b"},
        {"http://h.example//..//a", "http://h.example//a"},
        {"http://h.example/%2e%2E/%2e/a", "http://h.example/a"},
        {"http://h.example/x/%2e%2e/y", "http://h.example/y"},
        {"http://h.example/.../a/..b/c./.d", "http://h.example/.../a/..b/c./.d"},
        {"http://h.example/a/?b=/../c", "http://h.example/a/?b=/../c"},
        {"http://h.example/%7euser/%c3%a9/%2f", "http://h.example/~user/%C3%A9/%2F"},
        {"http://h.example/%zz%4%", "http://h.example/%zz%4%"},
        {"http://h.example/%%341", "http://h.example/%%341"},
        {"http://h.example/%4%31", "http://h.example/%4%31"},
        {"http://h.example/%%7a", "http://h.example/%z"},
        {"http://h.example/%2541", "http://h.example/%2541"},
        {"http://h.example/caf\u00e9\\x|<>\"", "http://h.example/caf\u00e9\\x|<>\""},
        {"http://h.example/A/B", "http://h.example/A/B"},
        {"http://h.example/a/", "http://h.example/a/"},
        {"http://h.example/a#b?c", "http://h.example/a"},
        {"http://h.example#", "http://h.example/"},
    };
    check_pairs(cases, N(cases), false);
}

static void url__query_drops_tracking(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"http://h.example/?", "http://h.example/"},
        {"http://h.example/?#f", "http://h.example/"},
        {"http://h.example/?utm_source=a", "http://h.example/"},
        {"http://h.example/?UTM_X&b=2&gclid=1", "http://h.example/?b=2"},
        {"http://h.example/?a=1&utm_source=a&b=2", "http://h.example/?a=1&b=2"},
        {"http://h.example/?b=2&a=1&b=1", "http://h.example/?b=2&a=1&b=1"},
        {"http://h.example/?a=1&&b=2&", "http://h.example/?a=1&&b=2&"},
        {"http://h.example/?&", "http://h.example/?&"},
        {"http://h.example/?utm_a=1&", "http://h.example/"},
        {"http://h.example/?utm_a=1&&b", "http://h.example/?&b"},
        {"http://h.example/?%75tm%5fsource=a&b=%7e%2f", "http://h.example/?b=~%2F"},
        {"http://h.example/?a=utm_source&xutm_a=1&utm", "http://h.example/?a=utm_source&xutm_a=1&utm"},
        {"http://h.example/?fbclid&gclsrc=&dclid=1&gbraid=1&wbraid=1&msclkid=1&mc_cid=1&mc_eid=1&igshid=1",
         "http://h.example/"},
        {"http://h.example/?YCLID=1&_hsenc=1&_hsmi=1&mkt_tok=1&ref=1", "http://h.example/?ref=1"},
        {"http://h.example/?fbclid%3D=1", "http://h.example/?fbclid%3D=1"},
        {"http://h.example/?a=b=utm_&utm_=b=c?d", "http://h.example/?a=b=utm_"},
    };
    static const struct pair kept[] = {
        {"http://h.example/a.png?utm_source=a&w=3&", "http://h.example/a.png?utm_source=a&w=3&"},
        {"http://h.example/a.png?#x", "http://h.example/a.png"},
    };
    check_pairs(cases, N(cases), false);
    check_pairs(kept, N(kept), true);
}

static void url__refused_with_code(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"", "url_invalid"},
        {" \t ", "url_invalid"},
        {"http:/x", "url_invalid"},
        {"http:", "url_invalid"},
        {"http://", "url_invalid"},
        {"http:///x", "url_invalid"},
        {"http://?q", "url_invalid"},
        {"http://:80/", "url_invalid"},
        {"http://./", "url_invalid"},
        {"//h.example/", "url_invalid"},
        {"/a/b", "url_invalid"},
        {"h.example/a", "url_invalid"},
        {"://h.example", "url_invalid"},
        {"http:\\\\h.example\\a", "url_invalid"},
        {"http://h.example\\a", "url_invalid"},
        {"http://h.example /", "url_invalid"},
        {"http://h.example/a b", "url_invalid"},
        {"http://h.example/a\tb", "url_invalid"},
        {"http://h.example/a\nb", "url_invalid"},
        {"http://h.example/\x7f", "url_invalid"},
        {"http://h.example/\xc2\x9b[m", "url_invalid"},
        {"http://h.example/\xff", "url_invalid"},
        {"http://h.example/\xed\xa0\x80", "url_invalid"},
        {"http://h.example:99999/", "url_invalid"},
        {"http://h.example:65536/", "url_invalid"},
        {"http://h.example:99999999999999999999/", "url_invalid"},
        {"http://h.example:0/", "url_invalid"},
        {"http://h.example:8a/", "url_invalid"},
        {"http://h.example:-1/", "url_invalid"},
        {"http://[zz]/", "url_invalid"},
        {"http://[::1/", "url_invalid"},
        {"http://[::1]x/", "url_invalid"},
        {"http://[fe80::1%25eth0]/", "url_invalid"},
        {"http://[]/", "url_invalid"},
        {"http://::1/", "url_invalid"},
        {"http://a..example/", "url_invalid"},
        {"http://.a.example/", "url_invalid"},
        {"http://h.example../", "url_invalid"},
        {"http://h%00.example/", "url_invalid"},
        {"http://h%2fx.example/", "url_invalid"},
        {"http://h%zz.example/", "url_invalid"},
        {"http://h!.example/", "url_invalid"},
        {"http://a\uff0fb.example/", "url_invalid"},
        {"http://%ff%fe.example/", "url_invalid"},
        {"ftp://h.example/", "url_scheme"},
        {"javascript:alert(1)", "url_scheme"},
        {"mailto:d@h.example", "url_scheme"},
        {"httpss://h.example/", "url_scheme"},
        {"h.example:80/a", "url_scheme"},
        {"http://user:pw@h.example/", "url_credentials"},
        {"http://@h.example/", "url_credentials"},
        {"https://h.example:80@other.example/", "url_credentials"},
    };
    check_pairs(cases, N(cases), false);
}

static void overwrite(char *text, const char *start)
{
    while (*start)
        *text++ = *start++;
}

static const char *fetchable(const char *in, size_t max_bytes)
{
    static struct nm_url url;
    static struct nm_error err;
    if (nm_url_fetchable(in, strlen(in), max_bytes, &url, &err) != NM_OK)
        return err.code;
    assert_int_equal(strlen(url.text), url.len);
    return url.text;
}

static void url__fetchable_is_fit_for_a_request_line(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"HTTP://H.example:80/a/../b.png?utm_source=a&w=3&#x", "http://h.example/b.png?utm_source=a&w=3&"},
        {"http://h.example/caf\u00e9\\x|<>\"?^`{}\u6e2f",
         "http://h.example/caf%C3%A9%5Cx%7C%3C%3E%22?%5E%60%7B%7D%E6%B8%AF"},
        {"http://h.example/a b?c d", "http://h.example/a%20b?c%20d"},
        {"http://h.example/%%\u00e9%4\u00e9%zz[]", "http://h.example/%%%C3%A9%4%C3%A9%zz[]"},
        {"http://h.example/%\u00e9/..%20/. ./x", "http://h.example/%%C3%A9/..%20/.%20./x"},
        {" https://h.example ", "https://h.example/"},
        {"http://a b.example/", "url_invalid"},
        {"http://h.example:8 0/", "url_invalid"},
        {"http://h.example /", "url_invalid"},
        {"http://h.example/a\tb", "url_invalid"},
        {"http://h.example/\xff", "url_invalid"},
        {"http://h.example/\xc2\x9b[m", "url_invalid"},
        {"ftp://h.example/", "url_scheme"},
        {"http://u@h.example/", "url_credentials"},
    };
    for (size_t i = 0; i < N(cases); i++)
        assert_string_equal(fetchable(cases[i].in, NM_FETCH_MAX_BYTES), cases[i].want);
    assert_string_equal(fetchable("http://h.example/abc", 20), "http://h.example/abc");
    assert_string_equal(fetchable("http://h.example/abc", 19), "url_too_long");
    assert_string_equal(fetchable("http://h.example/\u00e9", 23), "http://h.example/%C3%A9");
    assert_string_equal(fetchable("http://h.example/\u00e9", 22), "url_too_long");
    assert_string_equal(fetchable("http://h.example", 16), "url_too_long"); /* the "/" */
}

/* What is written grows past every buffer, in each of the places that write; ".." does not make it fit again. */
static void url__fetchable_grows_and_stays_within_bounds(void **state)
{
    (void)state;
    static const char *const tails[] = {"/////", "&&&&&", "?????", "%41%2f", "/../..", "aaaaa", "\u00e9\u00e9\u00e9"};
    static char text[NM_FETCH_MAX_BYTES + 1];
    static struct nm_url url;
    struct nm_error err;
    for (size_t t = 0; t < N(tails); t++) {
        for (size_t spaces = 2600; spaces <= 2800; spaces++) {
            size_t n = (size_t)snprintf(text, sizeof text, "http://h.example/%s", t % 2 ? "?" : "");
            memset(text + n, ' ', spaces);
            for (n += spaces; n + 8 < sizeof text && n < spaces + 400; n += strlen(tails[t]))
                memcpy(text + n, tails[t], strlen(tails[t]));
            if (nm_url_fetchable(text, n, NM_FETCH_MAX_BYTES, &url, &err) == NM_OK)
                assert_in_range(url.len, 1, NM_FETCH_MAX_BYTES);
            else
                assert_string_equal(err.code, "url_too_long");
        }
    }
    memset(text, ' ', sizeof text);
    overwrite(text, "http://h.example/");
    overwrite(text + 8000, "/../a");
    assert_int_equal(nm_url_fetchable(text, 8005, NM_FETCH_MAX_BYTES, &url, &err), NM_BAD_INPUT);
    assert_string_equal(err.code, "url_too_long");
}

static void url__nul_inside_is_refused(void **state)
{
    (void)state;
    struct nm_url url;
    struct nm_error err;
    assert_int_equal(nm_url_canonical("http://h.example/a\0b", 20, false, &url, &err), NM_BAD_INPUT);
    assert_string_equal(err.code, "url_invalid");
}

static void url__failure_leaves_out_untouched(void **state)
{
    (void)state;
    static struct nm_url url, before;
    memset(&url, 7, sizeof url);
    memset(&before, 7, sizeof before);
    assert_int_equal(nm_url_canonical("http://h.example:x/", 19, false, &url, NULL), NM_BAD_INPUT);
    assert_memory_equal(&url, &before, sizeof url);
}

static void url__length_limits(void **state)
{
    (void)state;
    static char text[2 * NM_URL_MAX_BYTES];
    static struct nm_url url;
    struct nm_error err;
    memset(text, 'a', sizeof text);
    overwrite(text, "http://h.example/");
    assert_int_equal(nm_url_canonical(text, NM_URL_MAX_BYTES, false, &url, &err), NM_OK);
    assert_int_equal(url.len, NM_URL_MAX_BYTES);
    assert_int_equal(nm_url_canonical(text, NM_URL_MAX_BYTES + 1, false, &url, &err), NM_BAD_INPUT);
    assert_string_equal(err.code, "url_too_long");
    overwrite(text, "http://\u00fc.example/"); /* six bytes longer in punycode */
    assert_int_equal(nm_url_canonical(text, NM_URL_MAX_BYTES - 5, false, &url, &err), NM_OK);
    assert_int_equal(nm_url_canonical(text, NM_URL_MAX_BYTES, false, &url, &err), NM_BAD_INPUT);
    assert_string_equal(err.code, "url_too_long");
}

static void url__parts(void **state)
{
    (void)state;
    static struct nm_url url;
    const char *text = "HTTPS://B\u00fccher.example:8443/a/../b?c";
    assert_int_equal(nm_url_canonical(text, strlen(text), false, &url, NULL), NM_OK);
    assert_string_equal(url.text, "https://xn--bcher-kva.example:8443/b?c");
    assert_string_equal(url.host, "xn--bcher-kva.example");
    assert_string_equal(url.text + url.path_at, "/b?c");
    assert_int_equal(url.port, 8443);
    assert_true(url.https);
}

static void url__host_labels_and_length(void **state)
{
    (void)state;
    char name[300], out[NM_HOST_BYTES];
    memset(name, 'a', sizeof name);
    assert_int_equal(nm_host_canonical(name, 63, out, NULL), NM_OK);
    assert_int_equal(nm_host_canonical(name, 64, out, NULL), NM_BAD_INPUT);
    for (size_t i = 50; i < sizeof name; i += 51)
        name[i] = '.';
    assert_int_equal(nm_host_canonical(name, 253, out, NULL), NM_OK);
    assert_int_equal(strlen(out), 253);
    assert_int_equal(nm_host_canonical(name, 254, out, NULL), NM_BAD_INPUT);
    assert_int_equal(nm_host_canonical("", 0, out, NULL), NM_BAD_INPUT);
    assert_int_equal(nm_host_canonical("h:80", 4, out, NULL), NM_BAD_INPUT);
    assert_int_equal(nm_host_canonical("Tide.Example.", 13, out, NULL), NM_OK);
    assert_string_equal(out, "tide.example");
}

static void url__registrable_domain(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"news.tide.co.uk", "tide.co.uk"},
        {"tide.co.uk", "tide.co.uk"},
        {"co.uk", "co.uk"},
        {"uk", "uk"},
        {"www.harbour-gazette.example", "harbour-gazette.example"},
        {"a.b.xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"localhost", "localhost"},
        {"192.0.2.7", "192.0.2.7"},
        {"[2001:db8::7]", "[2001:db8::7]"},
    };
    for (size_t i = 0; i < N(cases); i++) {
        const char *got = nm_host_registrable(cases[i].in);
        assert_string_equal(got, cases[i].want);
        assert_in_range((uintptr_t)got, (uintptr_t)cases[i].in, (uintptr_t)cases[i].in + strlen(cases[i].in));
    }
}

static void url__amp_cache(void **state)
{
    (void)state;
#define C ".cdn.ampproject.org/c/"
    static const struct pair cases[] = {
        {"https://www.harbour-gazette.example/amp/ferry-timetable",
         "https://www-harbour--gazette-example" C "s/www.harbour-gazette.example/amp/ferry-timetable"},
        {"http://tide.example", "https://tide-example" C "tide.example/"},
        {"https://tide.example:8443/a?b=c", "https://tide-example" C "s/tide.example:8443/a?b=c"},
        {"https://quays--b.example/", "https://quays----b-example" C "s/quays--b.example/"},
        {"https://no-tide.example/", "https://0-no--tide-example-0" C "s/no-tide.example/"},
        {"https://192.0.2.7/", "https://192-0-2-7" C "s/192.0.2.7/"},
        {"https://b\u00fccher.example/", "https://xn--bcher-example-wob" C "s/xn--bcher-kva.example/"},
        {"https://\u6e2f\u65b0\u805e.example/", "https://xn---example-bl4qv39dbx9b" C "s/xn--efvz2qbyp.example/"},
        /* no dot, over 63 bytes, both directions, an undecodable label: SHA-256 */
        {"https://quay/", "https://goei4mdcmkkm3vfcdwsrjt6md4tjjseuqidw4bs7p2wbylhugg6q" C "s/quay/"},
        {"https://a-very-long-name-for-a-very-small-harbour.and-another-one.example/",
         "https://dmauyxg3abfoo4qyne6br6hv5sp3t4qjuvstg3cvdpywxnpsqs4a" C
         "s/a-very-long-name-for-a-very-small-harbour.and-another-one.example/"},
        {"https://tide.xn--hebdf.example/",
         "https://3mwqbpf5ar5sqqlsaaojlbunzarmb5n57krxgjemvy2o7p6icfva" C "s/tide.xn--hebdf.example/"},
        {"https://xn--0.example/", "https://su6pjvsf4iaswe25cpqrqf26atr3ay72oypsoryo2zpc7blsx7wq" C "s/xn--0.example/"},
    };
#undef C
    for (size_t i = 0; i < N(cases); i++) {
        static struct nm_url url;
        static char out[NM_AMP_URL_BYTES];
        assert_int_equal(nm_url_canonical(cases[i].in, strlen(cases[i].in), true, &url, NULL), NM_OK);
        assert_int_equal(nm_url_amp_cache(&url, out, NULL), NM_OK);
        assert_string_equal(out, cases[i].want);
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

/* Pieces that meet in all orders: broken escapes, dots, separators, tracking names, other scripts. */
static size_t random_url(uint32_t *seed, char *out, size_t size)
{
    static const char *const starts[] = {"http://h.example", "HTTPS://\u00dc.example:443", "http://[::1]:81",
                                         "http://a.b:080"};
    static const char *const pieces[] = {"/",       ".",      "..",     "%2e", "%2E%2e", "%",      "%3",  "%41", "4",
                                         "1",       "%2",     "%25",    "a",   "z",      "&",      "?",   "=",   "utm_",
                                         "%75tm_x", "fbclid", "#",      ";",   "\\",     "~",      "%7e", "%c",  "%zz",
                                         "B",       "%33",    "\u00e9", ":",   "%c3",    "\u65b0", "+",   "%2f"};
    size_t len = (size_t)snprintf(out, size, "%s", starts[next_random(seed) % N(starts)]);
    for (uint32_t n = next_random(seed) % 24; n > 0; n--) {
        if (out[len - 1] != '/' && !memchr(out + 8, '/', len - 8))
            out[len++] = '/'; /* most of the mix should be path and query */
        len += (size_t)snprintf(out + len, size - len, "%s", pieces[next_random(seed) % N(pieces)]);
    }
    return len;
}

static void url__canonical_twice_is_the_same(void **state)
{
    (void)state;
    static struct nm_url once, twice;
    uint32_t seed = 20310412;
    for (int i = 0; i < 200000; i++) {
        char text[512];
        size_t len = random_url(&seed, text, sizeof text);
        bool keep = i % 4 == 0;
        if (i % 4 == 1) {
            assert_int_equal(nm_url_fetchable(text, len, NM_FETCH_MAX_BYTES, &once, NULL), NM_OK);
            assert_int_equal(nm_url_fetchable(once.text, once.len, NM_FETCH_MAX_BYTES, &twice, NULL), NM_OK);
            assert_string_equal(once.text, twice.text);
            continue;
        }
        assert_int_equal(nm_url_canonical(text, len, keep, &once, NULL), NM_OK);
        assert_int_equal(nm_url_canonical(once.text, once.len, keep, &twice, NULL), NM_OK);
        assert_string_equal(once.text, twice.text);
        assert_string_equal(once.host, twice.host);
        assert_true(once.len <= len + 7); /* the host grows in punycode, the path by "/" */
        assert_int_equal(once.text[once.path_at], '/');
        assert_true(nm_text_is_utf8(once.text, once.len));
    }
}

static void text__utf8_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"", true},
        {"plain ascii, longer than eight bytes", true},
        {"\u00e9\u20ac\U0001f600", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"12345678\xc3", false},
        {"\x80", false},
        {"\xc0\xaf", false},
        {"\xe0\x80\xaf", false},
        {"\xf0\x80\x80\xaf", false},
        {"\xed\xa0\x80", false},
        {"\xed\x9f\xbf", true},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xe2\x82", false},
        {"\xe2\x28\xa1", false},
    };
    for (size_t i = 0; i < N(cases); i++)
        assert_int_equal(nm_text_is_utf8(cases[i].text, strlen(cases[i].text)), cases[i].good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url__id_vectors),
        cmocka_unit_test(url__is_article_id),
        cmocka_unit_test(url__scheme_and_host),
        cmocka_unit_test(url__path),
        cmocka_unit_test(url__query_drops_tracking),
        cmocka_unit_test(url__refused_with_code),
        cmocka_unit_test(url__fetchable_is_fit_for_a_request_line),
        cmocka_unit_test(url__fetchable_grows_and_stays_within_bounds),
        cmocka_unit_test(url__nul_inside_is_refused),
        cmocka_unit_test(url__failure_leaves_out_untouched),
        cmocka_unit_test(url__length_limits),
        cmocka_unit_test(url__parts),
        cmocka_unit_test(url__host_labels_and_length),
        cmocka_unit_test(url__registrable_domain),
        cmocka_unit_test(url__amp_cache),
        cmocka_unit_test(url__canonical_twice_is_the_same),
        cmocka_unit_test(text__utf8_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
