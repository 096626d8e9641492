/* test_normalize_limits.c - every limit of the article's fields: what is at it passes, what is one above does not.
 *
 * Each case is an event with a part of a given length; what comes of it is read back from the bytes of the article. */
#include "normalize_fixture.h"

#include "newsmill/article.h"

#include <jansson.h>

#define NOW_MS   1933740142000 /* 2031-04-12T06:02:22Z */
#define KAFKA_MS 1933740131000

static struct nz_options options;
static struct nz_rules rules;
static struct nm_arena arena;
static struct nm_error err;
static char *topics_file;

NM_DEFINE_CLEANUP(json_t, json_decref)

static enum nm_status try_make(const char *event, struct nz_article *out)
{
    struct nz_raw raw;
    nm_arena_reset(&arena);
    memset(&err, 0, sizeof err);
    enum nm_status status = nz_raw_decode(&rules, &arena, NULL, 0, event, strlen(event), &raw, &err);
    return status == NM_OK ? nz_article_make(&rules, &arena, &raw, KAFKA_MS, NOW_MS, out, &err) : status;
}

/* The article as JSON; json_decref() it. */
static json_t *article_of(const char *event)
{
    struct nz_article article;
    struct nz_str text;
    if (try_make(event, &article) != NM_OK)
        fail_msg("%.200s: %s: %s", event, err.code, err.msg);
    assert_int_equal(nz_article_write(&rules, &arena, &article, 7, article.source_time_ms,
                                      article.dated ? article.published_ms : KAFKA_MS, &text, &err),
                     NM_OK);
    json_t *json = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    return json;
}

/* ---- texts of n bytes ---- */

#define START "{\"url\":\"https://river.example/a\",\"title\":\"T\""

static const struct {
    const char *before, *filling, *after; /* filling is repeated up to n bytes in all */
    size_t most;                          /* bytes of the filling */
    const char *code;                     /* of one byte more; NULL: an article without the member */
    const char *member;                   /* that holds it at the limit; NULL: none does */
    size_t want_bytes;                    /* of the member; 0: as many */
} texts[] = {
    {"{\"url\":\"https://river.example/a\",\"title\":\"", "xx ", "\"}", 65536, "too_big", "title", 1022},
    {START ",\"excerpt\":\"", "y", "\"}", 262144, "too_big", "excerpt", 400},
    {START ",\"content\":\"", "y", "\"}", 1048576 + 1 - sizeof START ",\"content\":\"\"}", "too_big", NULL, 0},
    {"{\"title\":\"T\",\"url\":\"https://river.example/", "u", "\"}", 4096 - 22, "url_too_long", "webUrl", 4096},
    {START ",\"ampUrl\":\"https://river.example/", "u", "\"}", 4096 - 22, NULL, "ampWebUrl", 4096},
    {START ",\"category\":\"", "c", "\"}", 64, NULL, "category", 64},
    {START ",\"type\":\"", "t", "\"}", 64, "wrong_type", "type", 64},
    {START ",\"locale\":\"en-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-", "l", "\"}", 7, "wrong_type",
     "locale", 64},
    {START ",\"private\":{\"a\":\"", "p", "\"}}", 16384 - 8, "too_big", NULL, 0},
    {START ",\"private\" : { \"a\" : \"", "p", "\" , \"b\" : [ ] } }", 16384 - 15, "too_big", NULL, 0},
};

static char *text_event(size_t which, size_t n)
{
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, texts[which].before);
    for (size_t i = 0, len = strlen(texts[which].filling); i < n; i++)
        nm_buf_addc(&buf, texts[which].filling[i % len]);
    nm_buf_adds(&buf, texts[which].after);
    char *event = nm_buf_take(&buf);
    assert_non_null(event);
    return event;
}

static void text__the_last_byte_passes_and_the_next_does_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const char *member = texts[i].member;
        NM_AUTO(free) char *event = text_event(i, texts[i].most), *longer = text_event(i, texts[i].most + 1);
        NM_AUTO(json_decref) json_t *article = article_of(event);
        size_t len = member ? json_string_length(json_object_get(article, member)) : 0;
        if (len != texts[i].want_bytes)
            fail_msg("%s has %zu bytes, not %zu", member, len, texts[i].want_bytes);
        if (texts[i].code) {
            struct nz_article none;
            if (try_make(longer, &none) != NM_BAD_INPUT || strcmp(err.code, texts[i].code) != 0)
                fail_msg("%.60s: '%s' (%s), not %s", longer, err.code, err.msg, texts[i].code);
            continue;
        }
        NM_AUTO(json_decref) json_t *without = article_of(longer);
        json_t *value = json_object_get(without, member);
        assert_true(!value || json_string_length(value) < texts[i].want_bytes);
    }
}

/* ---- texts of n characters ---- */

static const struct {
    const char *before, *after, *member, *inner;
    size_t most;
} chars[] = {
    {"{\"url\":\"https://river.example/a\",\"title\":\"", "\"}", "title", NULL, 1024},
    {START ",\"excerpt\":\"", "\"}", "excerpt", NULL, 400},
    {START ",\"provider\":\"", "\"}", "provider", "name", 256},
};

static void chars__longer_texts_are_cut_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(chars); i++) {
        for (size_t more = 0; more < 3; more++) {
            struct nm_buf buf = {0};
            nm_buf_adds(&buf, chars[i].before);
            for (size_t k = 0; k < chars[i].most + more; k++)
                nm_buf_adds(&buf, "\xe6\x97\xa5"); /* three bytes, one character; no word ends */
            nm_buf_adds(&buf, chars[i].after);
            NM_AUTO(json_decref) json_t *article = article_of(nm_buf_str(&buf));
            json_t *value = json_object_get(article, chars[i].member);
            value = chars[i].inner ? json_object_get(value, chars[i].inner) : value;
            assert_int_equal(json_string_length(value), 3 * chars[i].most);
            nm_buf_clear(&buf);
        }
    }
}

static void path__has_at_most_180_bytes(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 149, 150, 151, 1024, 4000};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct nm_buf buf = {0};
        nm_buf_adds(&buf, "{\"url\":\"https://river.example/a\",\"publishedDateTime\":\"2031-04-12\",\"title\":\"");
        for (size_t k = 0; k < lengths[i]; k++)
            nm_buf_adds(&buf, "\xc3\xa6"); /* one character, two letters of a slug */
        nm_buf_adds(&buf, "\"}");
        NM_AUTO(json_decref) json_t *article = article_of(nm_buf_str(&buf));
        const char *path = json_string_value(json_object_get(article, "path"));
        size_t want = strlen("_news/2031-04-12-.md") + (2 * lengths[i] < 150 ? 2 * lengths[i] : 150);
        assert_int_equal(strlen(path), want);
        assert_true(strlen(path) <= 180);
        assert_string_equal(path + strlen(path) - 3, ".md");
        nm_buf_clear(&buf);
    }
}

/* ---- numbers ---- */

static const struct {
    const char *size; /* of an image, as JSON */
    int px;           /* 0: left out */
} sizes[] = {
    {"1", 1},
    {"0", 0},
    {"-1", 0},
    {"65535", 65535},
    {"65536", 0},
    {"65535.0", 65535},
    {"65535.9", 0},
    {"1.9", 1},
    {"0.9", 0},
    {"\"65535\"", 65535},
    {"\"65536\"", 0},
    {"\"65535px\"", 65535},
    {"\"65536px\"", 0},
    {"1e999", 0},
    {"18446744073709551615", 0},
    {"9007199254740993", 0},
    {"\"px\"", 0},
    {"{\"value\":65535}", 65535},
    {"{\"value\":65536}", 0},
    {"null", 0},
};

static void pixels__are_1_to_65535_or_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char event[300];
        (void)snprintf(event, sizeof event,
                       START ",\"images\":[{\"url\":\"https://cdn.example/i.png\",\"width\":%s,\"height\":%s}]}",
                       sizes[i].size, sizes[i].size);
        NM_AUTO(json_decref) json_t *article = article_of(event);
        json_t *image = json_array_get(json_object_get(article, "images"), 0);
        const char *const names[] = {"width", "height"};
        for (size_t k = 0; k < 2; k++) {
            json_t *value = json_object_get(image, names[k]);
            if (json_integer_value(value) != sizes[i].px || (value != NULL) != (sizes[i].px > 0))
                fail_msg("%s gave %lld", sizes[i].size, (long long)json_integer_value(value));
        }
    }
}

static const struct {
    const char *more, *code; /* NULL: accepted */
} numbers[] = {
    {",\"quality\":1000", NULL},
    {",\"quality\":1001", "wrong_type"},
    {",\"quality\":-1000", NULL},
    {",\"quality\":-1001", "wrong_type"},
    {",\"quality\":1e999", "wrong_type"},
    {",\"quality\":9007199254740993", "wrong_type"},
    {",\"publishedDateTime\":\"1970-01-01T00:00:00Z\"", NULL},
    {",\"publishedDateTime\":\"1969-12-31T23:59:59Z\"", "date_invalid"},
    {",\"publishedDateTime\":\"2031-04-13T06:02:22Z\"", NULL}, /* a day ahead */
    {",\"publishedDateTime\":\"2031-04-13T06:02:23Z\"", "date_future"},
    {",\"modifiedDateTime\":\"2031-04-13T06:02:22Z\"", NULL},
    {",\"modifiedDateTime\":\"2031-04-13T06:02:23Z\"", "date_future"},
    {",\"publishedDateTime\":1933826542", NULL},
    {",\"publishedDateTime\":1933826543", "date_future"},
    {",\"publishedDateTime\":99999999999", "date_future"}, /* seconds: the year 5138 */
    {",\"publishedDateTime\":100000000000", NULL},         /* milliseconds: 1973 */
    {",\"publishedDateTime\":-1", "date_invalid"},
    {",\"modifiedDateTime\":9007199254740993", "date_invalid"},
};

static void number__is_in_its_range_or_has_its_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        char event[300];
        struct nz_article article;
        (void)snprintf(event, sizeof event, START "%s}", numbers[i].more);
        enum nm_status status = try_make(event, &article);
        if (status != (numbers[i].code ? NM_BAD_INPUT : NM_OK) ||
            strcmp(err.code, numbers[i].code ? numbers[i].code : ""))
            fail_msg("%s: '%s' (%s)", event, err.code, err.msg);
    }
}

/* revision and sourceTime are written exactly up to 2^53-1, and the readers take no more. */
static void integer__is_exact_to_the_last(void **state)
{
    (void)state;
    static const int64_t revisions[] = {1, 9007199254740991, 9007199254740992};
    for (size_t i = 0; i < COUNT(revisions); i++) {
        struct nz_article article;
        struct nm_article read = {0};
        struct nz_str text;
        assert_int_equal(try_make(START "}", &article), NM_OK);
        assert_int_equal(nz_article_write(&rules, &arena, &article, revisions[i], revisions[i], 0, &text, &err), NM_OK);
        enum nm_status status = nm_article_read(text.data, text.len, &arena, &read, &err);
        assert_int_equal(status, i == 2 ? NM_BAD_INPUT : NM_OK);
        assert_true(i == 2 || (read.revision == revisions[i] && read.source_time == revisions[i]));
    }
}

/* ---- lists ---- */

static json_t *article_with_list(const char *name, size_t n)
{
    struct nm_buf buf = {0};
    nm_buf_addf(&buf, START ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++)
        nm_buf_addf(&buf, strcmp(name, "topics") == 0 ? "%s\"t%zu\"" : "%s\"https://cdn.example/%zu.png\"",
                    i ? "," : "", i);
    nm_buf_adds(&buf, "]}");
    json_t *article = article_of(nm_buf_str(&buf));
    nm_buf_clear(&buf);
    return article;
}

static void list__has_at_most_so_many_out(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t most;
    } lists[] = {{"topics", 32}, {"images", 16}};
    for (size_t i = 0; i < COUNT(lists); i++) {
        const size_t in[] = {1, lists[i].most, lists[i].most + 1, 256};
        for (size_t k = 0; k < COUNT(in); k++) {
            NM_AUTO(json_decref) json_t *article = article_with_list(lists[i].name, in[k]);
            assert_int_equal(json_array_size(json_object_get(article, lists[i].name)),
                             in[k] < lists[i].most ? in[k] : lists[i].most);
        }
    }
}

static void list__of_257_is_refused_also_where_it_is_mapped(void **state)
{
    (void)state;
    static const char *const names[] = {"topics", "images", "image", "media:content"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct nm_buf buf = {0};
        struct nz_article article;
        nm_buf_addf(&buf, START ",\"%s\":[\"https://cdn.example/i\"", names[i]);
        for (int k = 0; k < 255; k++)
            nm_buf_adds(&buf, ",\"\"");
        nm_buf_adds(&buf, "]}");
        assert_int_equal(try_make(nm_buf_str(&buf), &article), NM_OK);
        buf.len -= 2;
        nm_buf_adds(&buf, ",\"\"]}");
        assert_int_equal(try_make(nm_buf_str(&buf), &article), NM_BAD_INPUT);
        assert_string_equal(err.code, "too_many");
        nm_buf_clear(&buf);
    }
}

static void depth__of_the_option_passes_and_one_more_does_not(void **state)
{
    (void)state;
    static const long long depths[] = {2, 32, 128};
    for (size_t i = 0; i < COUNT(depths); i++) {
        options.max_depth = depths[i];
        for (long long more = 0; more < 2; more++) {
            struct nm_buf buf = {0};
            struct nz_article article;
            nm_buf_adds(&buf, START ",\"x\":");
            for (long long k = 1; k < depths[i] + more; k++)
                nm_buf_addc(&buf, '[');
            for (long long k = 1; k < depths[i] + more; k++)
                nm_buf_addc(&buf, ']');
            nm_buf_addc(&buf, '}');
            assert_int_equal(try_make(nm_buf_str(&buf), &article), more ? NM_BAD_INPUT : NM_OK);
            assert_string_equal(err.code, more ? "too_deep" : "");
            nm_buf_clear(&buf);
        }
    }
    options.max_depth = 32;
}

static void bytes__of_the_option_pass_and_one_more_does_not(void **state)
{
    (void)state;
    char event[1100] = START ",\"x\":\"";
    struct nz_article article;
    size_t len = strlen(event);
    options.max_bytes = 1024;
    memset(event + len, 'x', 1024 - len - 2);
    memcpy(event + 1022, "\"}", 3);
    assert_int_equal(try_make(event, &article), NM_OK);
    memcpy(event + 1022, "x\"}", 4);
    assert_int_equal(try_make(event, &article), NM_BAD_INPUT);
    assert_string_equal(err.code, "too_big");
    options.max_bytes = 1048576;
}

static int setup(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    for (int i = 0; i < 256; i++)
        nm_buf_addf(&buf, "- {id: t%d, name: Topic %d}\n", i, i);
    topics_file = fixture_file(".yaml", nm_buf_str(&buf));
    nm_buf_clear(&buf);
    options = fixture_options();
    options.topics_file = topics_file;
    return nz_rules_open(&options, &rules, &err) == NM_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    nz_rules_close(&rules);
    nm_arena_clear(&arena);
    fixture_unlink(topics_file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text__the_last_byte_passes_and_the_next_does_not),
        cmocka_unit_test(chars__longer_texts_are_cut_there),
        cmocka_unit_test(path__has_at_most_180_bytes),
        cmocka_unit_test(pixels__are_1_to_65535_or_unknown),
        cmocka_unit_test(number__is_in_its_range_or_has_its_code),
        cmocka_unit_test(integer__is_exact_to_the_last),
        cmocka_unit_test(list__has_at_most_so_many_out),
        cmocka_unit_test(list__of_257_is_refused_also_where_it_is_mapped),
        cmocka_unit_test(depth__of_the_option_passes_and_one_more_does_not),
        cmocka_unit_test(bytes__of_the_option_pass_and_one_more_does_not),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
