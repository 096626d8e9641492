/* test_normalize_raw.c - raw events: shapes, limits, codes. */
#include "normalize_fixture.h"

#include "newsmill/text.h"

static struct nz_rules rules;
static struct nm_arena arena;
static struct nm_error err;

static enum nm_status decode_with(const struct nz_options *options, const char *value, size_t len, struct nz_raw *out)
{
    memset(&err, 0, sizeof err);
    nm_arena_reset(&arena);
    rules.options = options; /* none of those that rules were opened with */
    return nz_raw_decode(&rules, &arena, NULL, 0, value, len, out, &err);
}

static struct nz_raw decode(const char *value)
{
    struct nz_options options = fixture_options();
    struct nz_raw raw = {0};
    if (decode_with(&options, value, strlen(value), &raw) != NM_OK)
        fail_msg("%s: %s: %s", value, err.code, err.msg);
    return raw;
}

static void check_code(const char *value, const char *code, const char *named)
{
    struct nz_options options = fixture_options();
    struct nz_raw raw = {.n_topics = 99};
    if (decode_with(&options, value, strlen(value), &raw) != NM_BAD_INPUT)
        fail_msg("%s was accepted", value);
    if (strcmp(err.code, code) != 0 || !strstr(err.msg, named))
        fail_msg("%s: %s (%s), not %s naming %s", value, err.code, err.msg, code, named);
    assert_int_equal(raw.n_topics, 99); /* untouched */
}

/* ---- shapes ---- */

enum which { URL, TITLE, EXCERPT, CONTENT, PUBLISHED, MODIFIED, AMP, LOCALE, CATEGORY, TYPE, NAME, DOMAIN };

static struct nz_str field_of(const struct nz_raw *raw, enum which which)
{
    const struct nz_str all[] = {raw->url,       raw->title,    raw->excerpt,       raw->content,
                                 raw->published, raw->modified, raw->amp_url,       raw->locale,
                                 raw->category,  raw->type,     raw->provider_name, raw->provider_domain};
    return all[which];
}

static const struct {
    const char *event;
    enum which which;
    const char *want;
} shapes[] = {
    {"{\"url\":\"u\"}", URL, "u"},
    {"{\"url\":\" \\tu\\n \"}", URL, "u"},
    {"{\"webUrl\":\"u\"}", URL, "u"},
    {"{\"originalUrl\":\"u\"}", URL, "u"},
    {"{\"link\":\"u\"}", URL, "u"},
    {"{\"external_url\":\"u\"}", URL, "u"},
    {"{\"mainEntityOfPage\":{\"@type\":\"WebPage\",\"@id\":\"u\"}}", URL, "u"},
    {"{\"@id\":\"u\"}", URL, "u"},
    {"{\"@id\":\"late\",\"webUrl\":\"second\",\"url\":\"first\"}", URL, "first"},
    {"{\"url\":null,\"webUrl\":\"u\"}", URL, "u"},
    {"{\"url\":\"\",\"link\":\"u\"}", URL, "u"},
    {"{\"url\":5,\"link\":\"u\"}", URL, "u"},
    {"{\"link\":{\"href\":\"u\"}}", URL, "u"},
    {"{\"link\":{\"#text\":\"u\"}}", URL, "u"},
    {"{\"link\":[{\"rel\":\"self\",\"href\":\"feed\"},{\"rel\":\"alternate\",\"href\":\"u\"}]}", URL, "u"},
    {"{\"link\":{\"rel\":\"self\",\"href\":\"feed\"},\"@id\":\"u\"}", URL, "u"},
    {"{\"link\":[\"\",null,7,\"u\"]}", URL, "u"},
    {"{\"title\":\"t\"}", TITLE, "t"},
    {"{\"headline\":\"t\"}", TITLE, "t"},
    {"{\"name\":\"t\"}", TITLE, "t"},
    {"{\"title\":{\"@value\":\"t\",\"@language\":\"en\"}}", TITLE, "t"},
    {"{\"title\":{\"name\":\"t\"}}", TITLE, "t"},
    {"{\"title\":{\"#text\":\"t\",\"type\":\"html\"}}", TITLE, "t"},
    {"{\"title\":[null,\"\",{\"@value\":\"t\"},\"late\"]}", TITLE, "t"},
    {"{\"title\":{\"@value\":[\"t\"]}}", TITLE, "t"},
    {"{\"title\":{},\"headline\":\"t\"}", TITLE, "t"},
    {"{\"title\":\"  \",\"headline\":\"t\"}", TITLE, "t"},
    {"{\"title\":7,\"headline\":\"t\"}", TITLE, "t"},
    {"{\"title\":[]}", TITLE, NULL},
    {"{\"\\u0074itle\":\"t\"}", TITLE, "t"},
    {"{\"title\":\"a \\u00fc \\ud83d\\ude00\"}", TITLE, "a \xc3\xbc \xf0\x9f\x98\x80"},
    {"{\"excerpt\":\"e\"}", EXCERPT, "e"},
    {"{\"description\":\"e\"}", EXCERPT, "e"},
    {"{\"summary\":\"e\"}", EXCERPT, "e"},
    {"{\"articleBody\":\"c\"}", CONTENT, "c"},
    {"{\"content_html\":\"c\"}", CONTENT, "c"},
    {"{\"content_text\":\"c\"}", CONTENT, "c"},
    {"{\"content:encoded\":\"c\"}", CONTENT, "c"},
    {"{\"datePublished\":\"d\"}", PUBLISHED, "d"},
    {"{\"date_published\":\"d\"}", PUBLISHED, "d"},
    {"{\"pubDate\":\"d\"}", PUBLISHED, "d"},
    {"{\"published\":\"d\"}", PUBLISHED, "d"},
    {"{\"dc:date\":{\"@value\":\"d\"}}", PUBLISHED, "d"},
    {"{\"publishedDateTime\":0}", PUBLISHED, "0"},
    {"{\"publishedDateTime\":1e999}", PUBLISHED, "1e999"},
    {"{\"dateModified\":\"d\"}", MODIFIED, "d"},
    {"{\"date_modified\":\"d\"}", MODIFIED, "d"},
    {"{\"updated\":\"d\"}", MODIFIED, "d"},
    {"{\"ampUrl\":\"a\"}", AMP, "a"},
    {"{\"ampWebUrl\":\"a\"}", AMP, "a"},
    {"{\"amphtml\":{\"rel\":\"amphtml\",\"href\":\"a\"}}", AMP, "a"},
    {"{\"inLanguage\":{\"name\":\"de\"}}", LOCALE, "de"},
    {"{\"language\":\"pt-BR\"}", LOCALE, "pt-BR"},
    {"{\"dc:language\":\"fr\"}", LOCALE, "fr"},
    {"{\"locale\":\"British English\",\"language\":\"en-GB\"}", LOCALE, "en-GB"},
    {"{\"language\":\"en_GB\"}", LOCALE, "en-GB"},
    {"{\"language\":\"British English\"}", LOCALE, NULL},
    {"{\"inLanguage\":[{\"name\":\"British English\"},\"en-GB\"]}", LOCALE, "en-GB"},
    {"{\"category\":\"sport_2\"}", CATEGORY, "sport_2"},
    {"{\"category\":\"two words\"}", CATEGORY, NULL},
    {"{\"category\":[\"Local news\",{\"#text\":\"sport\",\"domain\":\"x\"},\"late\"]}", CATEGORY, "sport"},
    {"{\"category\":{\"term\":\"sport\"}}", CATEGORY, NULL},
    {"{\"type\":\"video\"}", TYPE, "video"},
    {"{\"@type\":\"NewsArticle\"}", TYPE, NULL},
    {"{\"provider\":\"Lantern Weekly\"}", NAME, "Lantern Weekly"},
    {"{\"publisher\":{\"@type\":\"Organization\",\"name\":\"Lantern Weekly\"}}", NAME, "Lantern Weekly"},
    {"{\"source\":{\"#text\":\"Lantern Weekly\",\"url\":\"feed\"}}", NAME, "Lantern Weekly"},
    {"{\"provider\":[{},{\"name\":\"Lantern Weekly\"}]}", NAME, "Lantern Weekly"},
    {"{\"provider\":{\"name\":\"L\",\"domain\":\"lantern.example\"}}", DOMAIN, "lantern.example"},
    {"{\"provider\":{\"domain\":\"lantern.example\"},\"source\":\"late\"}", NAME, NULL},
    {"\xEF\xBB\xBF{\"title\":\"t\"}", TITLE, "t"},
    {"{\"title\":\"t\",\"unknown\":{\"a\":[1e999,{}]},\"id\":5}", TITLE, "t"},
};

static void shape__each_gives_its_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct nz_raw raw = decode(shapes[i].event);
        if (!same(field_of(&raw, shapes[i].which), shapes[i].want))
            fail_msg("%s gave '%.*s'", shapes[i].event, (int)field_of(&raw, shapes[i].which).len,
                     field_of(&raw, shapes[i].which).data);
    }
}

static void shape__numbers_are_dates(void **state)
{
    (void)state;
    struct nz_raw raw = decode("{\"published\":1900000000,\"updated\":1900000000123.5}");
    assert_true(raw.published_number == 1900000000);
    assert_true(raw.modified_number == 1900000000123.5);
    assert_null(raw.published.data);
}

static const struct {
    const char *event;
    size_t n;
    const char *first;
    int width, height;
} image_shapes[] = {
    {"{\"images\":[{\"url\":\"i\",\"width\":640,\"height\":480},\"j\"]}", 2, "i", 640, 480},
    {"{\"image\":\"i\"}", 1, "i", 0, 0},
    {"{\"image\":{\"@type\":\"ImageObject\",\"url\":\"i\",\"width\":\"640px\",\"height\":\"480\"}}", 1, "i", 640, 480},
    {"{\"image\":{\"@id\":\"i\",\"width\":{\"@type\":\"QuantitativeValue\",\"value\":640}}}", 1, "i", 640, 0},
    {"{\"media:content\":{\"url\":\"i\",\"medium\":\"image\"}}", 1, "i", 0, 0},
    {"{\"enclosure\":[{\"url\":\"a\",\"type\":\"audio/mpeg\"},{\"url\":\"i\",\"type\":\"image/png\"}]}", 1, "i", 0, 0},
    {"{\"media:content\":{\"url\":\"v\",\"medium\":\"video\"},\"thumbnailUrl\":\"i\"}", 1, "i", 0, 0},
    {"{\"banner_image\":{\"href\":\"i\"}}", 1, "i", 0, 0},
    {"{\"image\":{\"@type\":\"ImageObject\",\"contentUrl\":\"i\",\"@id\":\"page#image\"}}", 1, "i", 0, 0},
    {"{\"image\":{\"@id\":\"page#image\"},\"thumbnailUrl\":\"i\"}", 1, "i", 0, 0},
    {"{\"image\":{\"@id\":\"i\"},\"thumbnailUrl\":\"late\"}", 1, "i", 0, 0},
    {"{\"images\":[],\"image\":\"i\"}", 1, "i", 0, 0},
    {"{\"images\":[null,\"\",{}],\"image\":\"i\"}", 1, "i", 0, 0},
    {"{\"images\":[7,\"i\"]}", 1, "i", 0, 0},
    {"{\"images\":{\"url\":\"i\",\"width\":0,\"height\":65536}}", 1, "i", 0, 0},
    {"{\"images\":{\"url\":\"i\",\"width\":-4,\"height\":\"70000\"}}", 1, "i", 0, 0},
    {"{\"images\":{\"url\":\"i\",\"width\":\"99999999999999999999\",\"height\":\"wide\"}}", 1, "i", 0, 0},
    {"{\"images\":{\"width\":640}}", 0, NULL, 0, 0},
};

static void shape__images_come_in_many_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(image_shapes); i++) {
        struct nz_raw raw = decode(image_shapes[i].event);
        if (raw.n_images != image_shapes[i].n)
            fail_msg("%s gave %zu images", image_shapes[i].event, raw.n_images);
        if (raw.n_images == 0)
            continue;
        check_text(raw.image[0].url, image_shapes[i].first);
        assert_int_equal(raw.image[0].width, image_shapes[i].width);
        assert_int_equal(raw.image[0].height, image_shapes[i].height);
    }
}

static void shape__our_own_is_read_whole(void **state)
{
    (void)state;
    struct nz_raw raw = decode("{\"url\":\"https://lantern.example/a\",\"title\":\"Bridge "
                               "opens\",\"topics\":[\"bridges\",{\"name\":\"Rivers\"},7],"
                               "\"quality\":-12.0,\"featuredContent\":\"<iframe></"
                               "iframe>\",\"private\":{\"editor\":\"x\"},\"retracted\":false}");
    check_text(raw.url, "https://lantern.example/a");
    assert_int_equal(raw.n_topics, 2);
    check_text(raw.topic[0], "bridges");
    check_text(raw.topic[1], "Rivers");
    assert_true(raw.has_quality && raw.featured && !raw.retracted);
    assert_int_equal(raw.quality, -12);
    raw = decode("{\"topics\":\"one\",\"quality\":null,\"featuredContent\":\"\"}");
    assert_int_equal(raw.n_topics, 1);
    assert_false(raw.has_quality || raw.featured);
}

/* ---- codes ---- */

static const struct {
    const char *event, *code, *named;
} refused[] = {
    {"{", "not_json", "byte"},
    {"{} {}", "not_json", "byte"},
    {"{\"a\":NaN}", "not_json", "byte"},
    {"{\"a\":01}", "not_json", "byte"},
    {"{\"title\":\"\\ud800\"}", "not_json", "byte"},
    {"{\"title\":\"open", "not_json", "byte"},
    {"{\"a\":1,}", "not_json", "byte"},
    {"  ", "not_json", ""},
    {"\xEF\xBB\xBF", "not_json", "byte order mark"},
    {"[]", "not_object", "array"},
    {"7", "not_object", ""},
    {"{\"title\":\"\xff\"}", "utf8_invalid", "UTF-8"},
    {"{\"title\":\"\xed\xa0\x80\"}", "utf8_invalid", "UTF-8"},
    {"{\"title\":\"\xc0\xaf\"}", "utf8_invalid", "UTF-8"},
    {"{\"a\":1,\"b\":2,\"a\":3}", "duplicate_key", "\"a\""},
    {"{\"title\":\"t\",\"\\u0074itle\":\"t\"}", "duplicate_key", "\"title\""},
    {"{\"provider\":{\"name\":\"a\",\"name\":\"b\"}}", "duplicate_key", "\"name\""},
    {"{\"images\":[{\"url\":\"a\",\"url\":\"b\"}]}", "duplicate_key", "\"url\""},
    {"{\"title\":7}", "wrong_type", "\"title\""},
    {"{\"title\":[true]}", "wrong_type", "\"title\""},
    {"{\"title\":{\"@value\":7}}", "wrong_type", "\"title\""},
    {"{\"headline\":false}", "wrong_type", "\"headline\""},
    {"{\"title\":null,\"headline\":5,\"name\":\"\"}", "wrong_type", "\"headline\""},
    {"{\"url\":5}", "wrong_type", "\"url\""},
    {"{\"content\":5}", "wrong_type", "\"content\""},
    {"{\"pubDate\":true}", "wrong_type", "\"pubDate\""},
    {"{\"images\":5}", "wrong_type", "\"images\""},
    {"{\"topics\":[1,2]}", "wrong_type", "\"topics\""},
    {"{\"provider\":5}", "wrong_type", "\"provider\""},
    {"{\"category\":7}", "wrong_type", "\"category\""},
    {"{\"type\":\"a/b\"}", "wrong_type", "\"type\""},
    {"{\"locale\":\"01234567890123456789012345678901234567890123456789012345678901234\"}", "wrong_type", "\"locale\""},
    {"{\"quality\":\"86\"}", "wrong_type", "\"quality\""},
    {"{\"quality\":86.5}", "wrong_type", "\"quality\""},
    {"{\"quality\":1001}", "wrong_type", "\"quality\""},
    {"{\"quality\":-1001}", "wrong_type", "\"quality\""},
    {"{\"featuredContent\":true}", "wrong_type", "\"featuredContent\""},
    {"{\"private\":\"x\"}", "wrong_type", "\"private\""},
    {"{\"retracted\":\"true\"}", "wrong_type", "\"retracted\""},
    {"{\"retracted\":true}", "retraction_target", "url or id"},
    {"{\"retracted\":true,\"url\":\"\",\"id\":\"\"}", "retraction_target", "url or id"},
    {"{\"retracted\":true,\"id\":\"0123\"}", "retraction_target", "\"id\""},
    {"{\"retracted\":true,\"id\":5}", "wrong_type", "\"id\""},
};

static void refused__each_has_its_code_and_names_the_member(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++)
        check_code(refused[i].event, refused[i].code, refused[i].named);
}

static void refused__messages_do_not_echo_long_or_hostile_names(void **state)
{
    (void)state;
    char event[2048] = "{", name[700];
    memset(name, 'k', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    (void)snprintf(event, sizeof event, "{\"%s\":1,\"%s\":2}", name, name);
    check_code(event, "duplicate_key", "kkk...");
    assert_true(strlen(err.msg) < 150);
    check_code("{\"a\\n\\\"\\u001b[31m\":1,\"a\\n\\\"\\u001b[31m\":2}", "duplicate_key", "a???[31m");
}

static void refused__untrusted_quality_is_not_even_read(void **state)
{
    (void)state;
    struct nz_options options = fixture_options();
    options.trust_quality = false;
    struct nz_raw raw = {0};
    static const char event[] = "{\"quality\":\"none\"}";
    assert_int_equal(decode_with(&options, event, strlen(event), &raw), NM_OK);
    assert_false(raw.has_quality);
}

/* ---- limits ---- */

/* {"NAME":"xxx…"} with n bytes of text. */
static char *long_event(const char *before, size_t n, const char *after)
{
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, before);
    for (size_t i = 0; i < n; i++)
        nm_buf_addc(&buf, 'x');
    nm_buf_adds(&buf, after);
    char *event = nm_buf_take(&buf);
    assert_non_null(event);
    return event;
}

static const struct {
    const char *before, *after, *code;
    size_t most;
} limits[] = {
    {"{\"title\":\"", "\"}", "too_big", 65536},
    {"{\"excerpt\":\"", "\"}", "too_big", 262144},
    {"{\"a\":\"", "\"}", "too_big", 1048576 - 8},
    {"{\"type\":\"", "\"}", "wrong_type", 64},
    {"{\"private\":{\"a\":\"", "\"}}", "too_big", 16384 - 8},
};

static void limit__the_last_byte_passes_and_the_next_does_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(limits); i++) {
        char *event = long_event(limits[i].before, limits[i].most, limits[i].after);
        (void)decode(event);
        free(event);
        event = long_event(limits[i].before, limits[i].most + 1, limits[i].after);
        check_code(event, limits[i].code, "");
        free(event);
    }
}

static void limit__depth_counts_outside_strings_only(void **state)
{
    (void)state;
    struct nz_options options = fixture_options();
    struct nz_raw raw;
    options.max_depth = 3;
    static const struct {
        const char *event, *code;
    } cases[] = {
        {"{\"a\":[{}]}", ""},
        {"{\"a\":[[[]]]}", "too_deep"},
        {"{\"a\":[{\"b\":{}}]}", "too_deep"},
        {"{\"a\":\"[[[[[[\",\"b\":[[]],\"c\":[[]]}", ""},
        {"{\"a\":\"\\\"[[[[[[\\\\\",\"b\":[[]]}", ""},
        {"{\"a\":\"\\\\\",\"b\":[[[]]]}", "too_deep"},
        {"{\"a\":\"\\\\\\\"[[[[\"}", ""},
        {"[[[[[[[", "too_deep"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum nm_status status = decode_with(&options, cases[i].event, strlen(cases[i].event), &raw);
        assert_int_equal(status, *cases[i].code ? NM_BAD_INPUT : NM_OK);
        assert_string_equal(err.code, cases[i].code);
    }
}

static void limit__hostile_nesting_is_refused_quickly(void **state)
{
    (void)state;
    char *event = malloc(1000001);
    assert_non_null(event);
    memset(event, '[', 1000000);
    event[1000000] = '\0';
    check_code(event, "too_deep", "32");
    memset(event, '\\', 1000000); /* one endless run of backslashes in a string that never ends */
    event[0] = '"';
    check_code(event, "not_json", "");
    free(event);
}

static char *event_with_list(const char *name, size_t n)
{
    struct nm_buf buf = {0};
    nm_buf_addf(&buf, "{\"%s\":[", name);
    for (size_t i = 0; i < n; i++)
        nm_buf_addf(&buf, "%s\"n%zu\"", i ? "," : "", i);
    nm_buf_adds(&buf, "]}");
    char *event = nm_buf_take(&buf);
    assert_non_null(event);
    return event;
}

static void limit__256_topics_or_images_are_the_most(void **state)
{
    (void)state;
    static const char *const names[] = {"topics", "images"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char *event = event_with_list(names[i], 256);
        struct nz_raw raw = decode(event);
        assert_int_equal(i == 0 ? raw.n_topics : raw.n_images, 256);
        free(event);
        event = event_with_list(names[i], 257);
        check_code(event, "too_many", names[i]);
        free(event);
    }
}

/* 60,000 names of which the last is there twice: found by sorting, in far less than the test's time. */
static void limit__duplicates_among_many_names_are_found(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, "{");
    for (size_t i = 0; i < 60000; i++)
        nm_buf_addf(&buf, "\"%05zu\":1,", i);
    size_t unique = buf.len - 1;
    nm_buf_adds(&buf, "\"59999\":1}");
    assert_true(nm_buf_ok(&buf));
    check_code(nm_buf_str(&buf), "duplicate_key", "59999");
    buf.data[unique] = '}';
    buf.data[unique + 1] = '\0';
    (void)decode(buf.data);
    nm_buf_clear(&buf);
}

/* ---- retractions ---- */

#define ID "00112233445566778899aabbccddeeff"

static const struct {
    const char *key, *value;
    const char *url, *id, *code;
} retractions[] = {
    {NULL, "{\"retracted\":true,\"url\":\"https://lantern.example/a\"}", "https://lantern.example/a", NULL, NULL},
    {NULL, "{\"retracted\":true,\"id\":\"" ID "\"}", NULL, ID, NULL},
    {"x", "{\"retracted\":true,\"id\":\"" ID "\",\"title\":7,\"quality\":\"bad\"}", NULL, ID, NULL},
    {"https://lantern.example/a", "", "https://lantern.example/a", NULL, NULL},
    {" HTTP://lantern.example/a ", "", "HTTP://lantern.example/a", NULL, NULL},
    {ID, "", NULL, ID, NULL},
    {ID, NULL, NULL, ID, NULL},
    {"lantern", "", NULL, NULL, "retraction_target"},
    {"00112233445566778899AABBCCDDEEFF", "", NULL, NULL, "retraction_target"},
    {"", "", NULL, NULL, "retraction_target"},
    {NULL, NULL, NULL, NULL, "retraction_target"},
    {"https://lantern.example/a", "{\"retracted\":true}", NULL, NULL, "retraction_target"},
};

static void retraction__by_member_or_by_key(void **state)
{
    (void)state;
    struct nz_options options = fixture_options();
    rules.options = &options;
    for (size_t i = 0; i < COUNT(retractions); i++) {
        const char *key = retractions[i].key, *value = retractions[i].value;
        struct nz_raw raw = {0};
        memset(&err, 0, sizeof err);
        enum nm_status status =
            nz_raw_decode(&rules, &arena, key, key ? strlen(key) : 0, value, value ? strlen(value) : 0, &raw, &err);
        assert_int_equal(status, retractions[i].code ? NM_BAD_INPUT : NM_OK);
        assert_string_equal(err.code, retractions[i].code ? retractions[i].code : "");
        if (status != NM_OK)
            continue;
        assert_true(raw.retracted);
        check_text(raw.url, retractions[i].url);
        check_text(raw.id, retractions[i].id);
        check_text(raw.title, NULL);
    }
}

static void retraction__false_or_null_is_an_ordinary_event(void **state)
{
    (void)state;
    struct nz_raw raw = decode("{\"retracted\":false,\"title\":\"t\"}");
    assert_false(raw.retracted);
    check_text(raw.title, "t");
    raw = decode("{\"retracted\":null,\"title\":\"t\",\"id\":\"" ID "\"}");
    assert_false(raw.retracted);
    check_text(raw.id, NULL);
}

static int setup(void **state)
{
    (void)state;
    static struct nz_options options;
    options = fixture_options();
    return nz_rules_open(&options, &rules, &err) == NM_OK ? 0 : -1;
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
        cmocka_unit_test(shape__each_gives_its_field),
        cmocka_unit_test(shape__numbers_are_dates),
        cmocka_unit_test(shape__images_come_in_many_forms),
        cmocka_unit_test(shape__our_own_is_read_whole),
        cmocka_unit_test(refused__each_has_its_code_and_names_the_member),
        cmocka_unit_test(refused__messages_do_not_echo_long_or_hostile_names),
        cmocka_unit_test(refused__untrusted_quality_is_not_even_read),
        cmocka_unit_test(limit__the_last_byte_passes_and_the_next_does_not),
        cmocka_unit_test(limit__depth_counts_outside_strings_only),
        cmocka_unit_test(limit__hostile_nesting_is_refused_quickly),
        cmocka_unit_test(limit__256_topics_or_images_are_the_most),
        cmocka_unit_test(limit__duplicates_among_many_names_are_found),
        cmocka_unit_test(retraction__by_member_or_by_key),
        cmocka_unit_test(retraction__false_or_null_is_an_ordinary_event),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
