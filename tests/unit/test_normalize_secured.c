/* test_normalize_secured.c - which private fields are sealed, as what text, and what a newer key changes. */
#include "normalize_fixture.h"

#define KEY_1    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_2    "paWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaU="
#define NOW_MS   1933740142000
#define KAFKA_MS 1933740131000

static struct nz_options options;
static struct nz_rules rules;
static struct nm_arena arena;
static struct nm_error err;

/* fields: pointers with a space between them, "" for none. keys: how many of the two there are. */
static enum nm_status try_open(const char *fields, size_t keys, long long current)
{
    static char text[400], name[2][8] = {"1.env", "2.env"}, variable[2][16] = {"NM_TEST_SEAL_1", "NM_TEST_SEAL_2"};
    static char *field[16];
    static struct nm_pair pair[2];
    size_t n = 0;
    nz_rules_close(&rules);
    memset(&err, 0, sizeof err);
    (void)snprintf(text, sizeof text, "%s", fields);
    for (char *p = text; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        field[n++] = p;
        p += len;
        if (*p)
            *p++ = '\0';
    }
    for (size_t i = 0; i < 2; i++)
        pair[i] = (struct nm_pair){name[i], variable[i]};
    options = fixture_options();
    options.secured_fields = (struct nm_strings){field, n};
    options.secured_keys = (struct nm_pairs){pair, keys};
    options.secured_key = current;
    return nz_rules_open(&options, &rules, &err);
}

static void open_rules(const char *fields, size_t keys, long long current)
{
    if (try_open(fields, keys, current) != NM_OK)
        fail_msg("%s: %s", fields, err.msg);
}

#define EVENT(private) "{\"url\":\"https://river.example/a\",\"title\":\"T\",\"private\":" private "}"

static enum nm_status try_make(const char *event, struct nz_article *out)
{
    struct nz_raw raw;
    memset(&err, 0, sizeof err);
    enum nm_status status = nz_raw_decode(&rules, &arena, NULL, 0, event, strlen(event), &raw, &err);
    return status == NM_OK ? nz_article_make(&rules, &arena, &raw, KAFKA_MS, NOW_MS, out, &err) : status;
}

static struct nz_article make(const char *event)
{
    struct nz_article article = {0};
    if (try_make(event, &article) != NM_OK)
        fail_msg("%s: %s: %s", event, err.code, err.msg);
    return article;
}

/* ---- the plaintext ---- */

static const struct {
    const char *fields, *event, *plain;
} plains[] = {
    {"/private/editor", EVENT("{\"editor\":\"d.wick\",\"batch\":7}"), "{\"editor\":\"d.wick\"}"},
    {"/private/editor", EVENT("{\"batch\":7}"), NULL},
    {"/private/editor", EVENT("{}"), NULL},
    {"/private/editor", EVENT("null"), NULL},
    {"/private/editor", "{\"url\":\"https://river.example/a\",\"title\":\"T\"}", NULL},
    {"/private/editor", EVENT("{\"editor\":null}"), NULL},
    {"/private/editor", EVENT("{\"editor\":\"\"}"), "{\"editor\":\"\"}"},
    {"/private/editor", EVENT("{\"editor\":false}"), "{\"editor\":false}"},
    {"/private/b /private/a", EVENT("{\"b\":1,\"c\":2,\"a\":3}"), "{\"a\":3,\"b\":1}"},
    {"/private/a /private/a", EVENT("{\"a\":3}"), "{\"a\":3}"},
    {"/private/a/x /private/a", EVENT("{\"a\":{\"y\":1,\"x\":2}}"), "{\"a\":{\"x\":2,\"y\":1}}"},
    {"/private/a/x /private/a/y /private/b/z", EVENT("{\"a\":{\"y\":1,\"w\":0,\"x\":2},\"b\":{\"w\":1}}"),
     "{\"a\":{\"x\":2,\"y\":1}}"},
    {"/private/a/x", EVENT("{\"a\":7}"), NULL},
    {"/private/a/0", EVENT("{\"a\":[7]}"), NULL}, /* a pointer leads through objects only */
    {"/private/a/0", EVENT("{\"a\":{\"0\":7}}"), "{\"a\":{\"0\":7}}"},
    {"/private/a~1b /private/~0", EVENT("{\"a/b\":1,\"~\":2}"), "{\"a/b\":1,\"~\":2}"},
    {"/private/ab /private/a /private/B", EVENT("{\"ab\":1,\"a\":2,\"B\":3}"), "{\"B\":3,\"a\":2,\"ab\":1}"},
    {"/private", EVENT("{}"), NULL},
    {"/private", EVENT("{\"n\":null}"), "{\"n\":null}"},
    {"/private",
     EVENT(
         "{ \"z\" : [ {\"b\":1,\"a\":[]}, 1.5, -0.0, 1e999, \"\\u00fc\\/\\n\" ], \"\":true, \"\\u00e9\":{}, \"e\":0 }"),
     "{\"\":true,\"e\":0,\"z\":[{\"a\":[],\"b\":1},1.5,-0.0,1e999,\"\xc3\xbc/\\n\"],\"\xc3\xa9\":{}}"},
};

static void plain__is_compact_sorted_and_nothing_but_the_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(plains); i++) {
        open_rules(plains[i].fields, 1, 1);
        struct nz_article article = make(plains[i].event);
        if (!same(article.secret, plains[i].plain))
            fail_msg("%s of %s gave '%.*s'", plains[i].fields, plains[i].event, (int)article.secret.len,
                     article.secret.data ? article.secret.data : "");
    }
}

static void plain__names_that_stand_twice_are_refused_where_we_read(void **state)
{
    (void)state;
    static const char *const twice[] = {EVENT("{\"a\":1,\"a\":2}"), EVENT("{\"a\":{\"x\":1,\"x\":2}}"),
                                        EVENT("{\"a\":[{\"x\":1,\"x\":2}]}")};
    struct nz_article article;
    open_rules("/private/a", 1, 1);
    for (size_t i = 0; i < COUNT(twice); i++) {
        assert_int_equal(try_make(twice[i], &article), NM_BAD_INPUT);
        assert_string_equal(err.code, "duplicate_key");
    }
    open_rules("", 0, 1);
    for (size_t i = 0; i < COUNT(twice); i++)
        check_text(make(twice[i]).secret, NULL);
}

/* As deep as the option allows at most: nothing recurses without bound. */
static void plain__deepest_event_is_sealed(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    open_rules("/private", 1, 1);
    options.max_depth = 128;
    nm_buf_adds(&buf, "{\"url\":\"https://river.example/a\",\"title\":\"T\",\"private\":");
    for (int i = 0; i < 127; i++)
        nm_buf_adds(&buf, i == 0 ? "{\"a\":" : i < 126 ? "[" : "[]");
    for (int i = 0; i < 126; i++)
        nm_buf_adds(&buf, i < 125 ? "]" : "}");
    nm_buf_adds(&buf, "}");
    struct nz_article article = make(nm_buf_str(&buf));
    assert_int_equal(article.secret.len, 6 + 2 * 126);
    nm_buf_clear(&buf);
}

/* ---- the member ---- */

/* free() it. */
static char *written(const struct nz_article *article)
{
    struct nz_str out = {0};
    assert_int_equal(nz_article_write(&rules, &arena, article, 7, KAFKA_MS, KAFKA_MS, &out, &err), NM_OK);
    return strndup(out.data, out.len);
}

/* Python's cryptography made it, from the id of https://river.example/a, KEY_1 and {"editor":"d.wick"}. */
#define SEALED "BrzT1WAP4Ho4YvQFpFhljFPcAMKMsJmbUSsFfvWhmmA2td4=;AAAAAb/E7cvkJSEDFRO30A=="

static void member__stands_before_rules_and_repeats_itself(void **state)
{
    (void)state;
    open_rules("/private/editor", 2, 1);
    struct nz_article article = make(EVENT("{\"editor\":\"d.wick\",\"batch\":7}"));
    char *first = written(&article), *second = written(&article);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, ",\"secured\":\"" SEALED "\",\"rules\":1}"));
    assert_null(strstr(first, "d.wick"));
    assert_null(strstr(first, "batch"));
    free(first);
    free(second);
    article = make(EVENT("{\"batch\":7}"));
    first = written(&article);
    assert_null(strstr(first, "secured"));
    free(first);
    article = make("{\"url\":\"https://river.example/a\",\"retracted\":true,\"private\":{\"editor\":\"x\"}}");
    first = written(&article);
    assert_null(strstr(first, "secured"));
    free(first);
}

/* ---- the hash ---- */

static void hash__says_whether_the_private_fields_are_the_same(void **state)
{
    (void)state;
    open_rules("/private/editor", 1, 1);
    struct nz_article first = make(EVENT("{\"editor\":\"d.wick\",\"batch\":7}"));
    assert_string_equal(make(EVENT("{\"batch\":8,\"editor\":\"d.wick\"}")).hash, first.hash); /* what is dropped */
    assert_string_not_equal(make(EVENT("{\"editor\":\"e.wick\"}")).hash, first.hash);
    assert_string_not_equal(make(EVENT("{\"batch\":7}")).hash, first.hash);
}

static void hash__is_kept_while_newer_keys_come(void **state)
{
    (void)state;
    static const char event[] = EVENT("{\"editor\":\"d.wick\"}");
    open_rules("/private/editor", 1, 1);
    struct nz_article before = make(event);
    char *old = written(&before), hash[33];
    memcpy(hash, before.hash, sizeof hash);
    open_rules("/private/editor", 2, 2);
    struct nz_article after = make(event);
    char *new = written(&after);
    assert_string_equal(after.hash, hash);
    assert_string_not_equal(old, new);
    assert_non_null(strstr(new, ";AAAAA")); /* of key 2 */
    free(old);
    free(new);
    open_rules("", 0, 1); /* nothing sealed: as before there was sealing */
    struct nz_article none = make(event);
    assert_string_not_equal(none.hash, hash);
    assert_string_equal(none.hash, make("{\"url\":\"https://river.example/a\",\"title\":\"T\"}").hash);
}

static void open__keys_must_be_there(void **state)
{
    (void)state;
    assert_int_equal(try_open("/private/editor", 0, 1), NM_CONFIG);
    assert_non_null(strstr(err.msg, "secured.keys has no key 1"));
    assert_int_equal(try_open("/private/editor", 1, 2), NM_CONFIG);
    assert_non_null(strstr(err.msg, "secured.keys has no key 2"));
    assert_int_equal(try_open("", 0, 5), NM_OK);
    assert_null(rules.secured);
    assert_int_equal(unsetenv("NM_TEST_SEAL_1"), 0);
    assert_int_equal(try_open("/private/editor", 1, 1), NM_CONFIG);
    assert_non_null(strstr(err.msg, "secured.keys.1.env"));
    assert_int_equal(setenv("NM_TEST_SEAL_1", KEY_1, 1), 0);
}

static int setup(void **state)
{
    (void)state;
    return setenv("NM_TEST_SEAL_1", KEY_1, 1) || setenv("NM_TEST_SEAL_2", KEY_2, 1);
}

static int teardown(void **state)
{
    (void)state;
    nz_rules_close(&rules);
    nm_arena_clear(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain__is_compact_sorted_and_nothing_but_the_fields),
        cmocka_unit_test(plain__names_that_stand_twice_are_refused_where_we_read),
        cmocka_unit_test(plain__deepest_event_is_sealed),
        cmocka_unit_test(member__stands_before_rules_and_repeats_itself),
        cmocka_unit_test(hash__says_whether_the_private_fields_are_the_same),
        cmocka_unit_test(hash__is_kept_while_newer_keys_come),
        cmocka_unit_test(open__keys_must_be_there),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
