/* test_normalize_article.c - from a raw event to the facts of an article: URLs, texts, dates, provider, quality, hash.
 */
#include "normalize_fixture.h"

#define NOW_MS   1900000000000 /* 2030-03-17T17:46:40Z */
#define KAFKA_MS 1899999990000

static const char providers[] = "- domain: lantern.example\n"
                                "  name: Lantern Weekly\n"
                                "  weight: 30\n"
                                "  images: [{url: /logos/lantern-50.png, width: 50, height: 50}]\n"
                                "- {domain: labs.lantern.example, name: Lantern Labs, weight: 14}\n";
static const char topics[] =
    "- {id: rail, name: Rail, parent: transport, keywords: [night train, night train, sleeper]}\n"
    "- {id: transport, name: Transport, keywords: [tram]}\n";

static struct nz_options options;
static struct nz_rules rules;
static struct nm_arena arena;
static struct nm_error err;
static char *providers_file, *topics_file;

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
    long long sum = 0;
    for (size_t i = 0; i < article.n_parts; i++)
        sum += article.part[i].points;
    assert_true(article.retracted || sum == article.quality);
    return article;
}

static void check_code(const char *event, const char *code)
{
    struct nz_article article = {.quality = 77};
    if (try_make(event, &article) != NM_BAD_INPUT || strcmp(err.code, code) != 0)
        fail_msg("%s: '%s' (%s), not %s", event, err.code, err.msg, code);
    assert_int_equal(article.quality, 77); /* untouched */
}

/* An event of this URL, title and further members. */
#define EVENT(url, more) "{\"url\":\"" url "\",\"title\":\"Bridge opens\"" more "}"
#define WITH(more)       EVENT("https://river.example/a", "," more)
#define LISTED(more)     EVENT("https://www.lantern.example/a", "," more)

/* ---- texts and URLs ---- */

static void make__texts_are_cleaned_cut_and_defaulted(void **state)
{
    (void)state;
    struct nz_article article = make("{\"url\":\" HTTPS://River.example:443/a/../b?utm_source=x&id=7#top "
                                     "\",\"title\":\" <b>Ferry</b> &amp;\\n tram \","
                                     "\"excerpt\":\"<p>One&nbsp;ticket.</p>\"}");
    check_text(article.title, "Ferry & tram");
    check_text(article.excerpt, "One ticket.");
    check_text(article.original_url, "HTTPS://River.example:443/a/../b?utm_source=x&id=7#top");
    check_text(article.web_url, "https://river.example/b?id=7");
    check_text(article.category, "news");
    check_text(article.type, "article");
    check_text(article.locale, "en");
    char id[NM_ID_BYTES];
    nm_article_id("https://river.example/b?id=7", 28, id);
    assert_string_equal(article.id, id);
    article = make(WITH("\"excerpt\":\"<br>\",\"category\":\"sport\",\"type\":\"video\",\"locale\":\"de-AT\""));
    check_text(article.excerpt, NULL);
    check_text(article.category, "sport");
    check_text(article.type, "video");
    check_text(article.locale, "de-AT");
}

static void make__long_texts_are_cut_at_a_word(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, "{\"url\":\"https://river.example/a\",\"title\":\"");
    for (int i = 0; i < 300; i++)
        nm_buf_adds(&buf, "b\xc3\xbc"
                          "cher ");
    nm_buf_adds(&buf, "\",\"excerpt\":\"");
    for (int i = 0; i < 300; i++)
        nm_buf_adds(&buf, "tram ");
    nm_buf_adds(&buf, "\"}");
    struct nz_article article = make(nm_buf_str(&buf));
    assert_int_equal(article.title.len, 146 * 8 - 1); /* 146 words of 7 code points with their space: 1,021 */
    assert_int_equal(article.excerpt.len, 80 * 5 - 1);
    assert_int_equal(article.quality, -(1021 - 70) / 2 + 2); /* the topic of "tram" by the excerpt */
    nm_buf_clear(&buf);
}

static void make__extras_that_are_broken_are_left_out(void **state)
{
    (void)state;
    struct nz_article article = make(
        WITH("\"ampUrl\":\"ftp://river.example/amp\",\"topics\":[\"unknown\"],\"images\":[\"data:image/png;base64,x\","
             "\"/relative.png\",\"https://cdn.example/i.png?w=2&utm_source=x\",\"https://CDN.example/"
             "i.png?w=2&utm_source=x\"]"));
    check_text(article.amp_url, NULL);
    check_text(article.cdn_amp_url, NULL);
    assert_int_equal(article.n_topics, 0);
    assert_int_equal(article.n_images, 1);
    check_text(article.image[0].url, "https://cdn.example/i.png?w=2&utm_source=x");
    article = make(WITH("\"ampUrl\":\"https://River.example/amp?utm_source=x\""));
    check_text(article.amp_url, "https://river.example/amp?utm_source=x");
    check_text(article.cdn_amp_url, "https://river-example.cdn.ampproject.org/c/s/river.example/amp?utm_source=x");
}

static void make__no_more_images_than_allowed(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, "{\"url\":\"https://river.example/a\",\"title\":\"T\",\"images\":[");
    for (int i = 0; i < 40; i++)
        nm_buf_addf(&buf, "%s\"https://cdn.example/%d.png\"", i ? "," : "", i);
    nm_buf_adds(&buf, "]}");
    struct nz_article article = make(nm_buf_str(&buf));
    assert_int_equal(article.n_images, 16);
    check_text(article.image[15].url, "https://cdn.example/15.png");
    options.max_images = 0;
    article = make(nm_buf_str(&buf));
    options.max_images = 16;
    assert_int_equal(article.n_images, 0);
    assert_int_equal(article.quality, 0);
    nm_buf_clear(&buf);
}

static const struct {
    const char *event, *code;
} refused[] = {
    {"{\"title\":\"T\"}", "no_url"},
    {"{\"url\":\"https://river.example/a\"}", "no_title"},
    {"{\"url\":\"https://river.example/a\",\"title\":\"<b> &#32;</b><!-- x -->\"}", "no_title"},
    {EVENT("river.example/a", ""), "url_invalid"},
    {EVENT("ftp://river.example/a", ""), "url_scheme"},
    {EVENT("https://editor:pass@river.example/a", ""), "url_credentials"},
    {WITH("\"published\":\"soon\""), "date_invalid"},
    {WITH("\"published\":\"2030-02-30\""), "date_invalid"},
    {WITH("\"published\":-5"), "date_invalid"},
    {WITH("\"published\":1e999"), "date_invalid"},
    {WITH("\"published\":\"2030-03-18T17:46:41Z\""), "date_future"},
    {WITH("\"published\":1900086401"), "date_future"},
    {WITH("\"updated\":\"soon\""), "date_invalid"},
    {WITH("\"updated\":\"2031-01-01\""), "date_future"},
};

static void refused__each_has_its_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++)
        check_code(refused[i].event, refused[i].code);
    check_code(EVENT("https://editor:sesame@river.example/a", ""), "url_credentials");
    assert_null(strstr(err.msg, "sesame"));
}

/* ---- dates ---- */

static const struct {
    const char *event;
    bool dated;
    int64_t published_ms, source_time_ms;
} dates[] = {
    {WITH("\"x\":1"), false, 0, KAFKA_MS},
    {WITH("\"published\":\"\",\"updated\":null"), false, 0, KAFKA_MS},
    {WITH("\"published\":\"2030-03-17T17:46:40Z\""), true, NOW_MS, KAFKA_MS},
    {WITH("\"published\":\"Sun, 17 Mar 2030 18:46:40 +0100\""), true, NOW_MS, KAFKA_MS},
    {WITH("\"published\":1900000000"), true, NOW_MS, KAFKA_MS},
    {WITH("\"published\":\"1900000000123\""), true, NOW_MS + 123, KAFKA_MS},
    {WITH("\"published\":1900086400"), true, NOW_MS + 86400000, KAFKA_MS}, /* exactly a day ahead */
    {WITH("\"published\":0"), true, 0, KAFKA_MS},
    {WITH("\"published\":\"2030-03-01\",\"updated\":\"2030-03-02\""), true, 1898553600000, 1898640000000},
};

static void date__published_and_source_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(dates); i++) {
        struct nz_article article = make(dates[i].event);
        assert_int_equal(article.dated, dates[i].dated);
        assert_int_equal(article.published_ms, dates[i].published_ms);
        assert_int_equal(article.source_time_ms, dates[i].source_time_ms);
    }
}

/* ---- provider ---- */

static const struct {
    const char *event, *name, *domain;
    bool listed;
} provider_cases[] = {
    {LISTED("\"x\":1"), "Lantern Weekly", "lantern.example", true},
    {LISTED("\"provider\":{\"name\":\"Other name\"}"), "Lantern Weekly", "lantern.example", true},
    {LISTED("\"provider\":{\"domain\":\"river.example\",\"name\":\"River <i>Post</i> &amp; Co\"}"), "River Post & Co",
     "river.example", false},
    {WITH("\"provider\":{\"domain\":\"WWW.Lantern.example\"}"), "Lantern Weekly", "lantern.example", true},
    {WITH("\"provider\":{\"domain\":\"news.river.example\"}"), "news.river.example", "news.river.example", false},
    {WITH("\"provider\":{\"domain\":\"https://x/y z\",\"name\":\"River Post\"}"), "River Post", "river.example", false},
    {EVENT("https://a.b.river.co.uk/x", ""), "river.co.uk", "river.co.uk", false},
    {EVENT("https://a.b.river.co.uk/x", ",\"provider\":\"<br>\""), "river.co.uk", "river.co.uk", false},
    {EVENT("http://192.0.2.7/x", ""), "192.0.2.7", "192.0.2.7", false},
    {EVENT("https://x.labs.lantern.example/x", ""), "Lantern Labs", "labs.lantern.example", true},
};

static void provider__listed_or_by_domain(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(provider_cases); i++) {
        struct nz_article article = make(provider_cases[i].event);
        check_text(article.provider_name, provider_cases[i].name);
        check_text(article.provider_domain, provider_cases[i].domain);
        assert_int_equal(article.provider != NULL, provider_cases[i].listed);
    }
}

/* ---- quality ---- */

#define TITLE_77 "A sleeper leaves Ostmark each evening, and the council pays for it until 2040"
#define AMP      "\"ampUrl\":\"https://www.lantern.example/amp/a\""
#define IMAGE    "\"image\":\"https://cdn.example/i.png\""

static const struct {
    const char *event, *parts;
} qualities[] = {
    {"{\"url\":\"https://www.lantern.example/a\",\"title\":\"" TITLE_77 "\"," AMP "," IMAGE "}",
     "topics 4, keywords 15, image 20, amp 20, provider 30, title -3 = 86"},
    {WITH("\"x\":1"), " = 0"},
    {WITH("\"topics\":[\"rail\"]"), "topics 4 = 4"},
    {"{\"url\":\"https://river.example/a\",\"title\":\"Night train, night train\"}", "topics 4, keywords 30 = 34"},
    {"{\"url\":\"https://river.example/a\",\"title\":\"Night train\",\"excerpt\":\"tram\"}",
     "topics 4, keywords 30 = 34"},
    {WITH("\"featuredContent\":\"<iframe></iframe>\""), "featured 50 = 50"},
    {WITH("\"quality\":86,\"featuredContent\":\"x\""), "event 86 = 86"},
    {WITH("\"quality\":0"), "event 0 = 0"},
    {WITH("\"quality\":-1000"), "event -1000 = -1000"},
    {LISTED(IMAGE), "image 20, provider 30 = 50"},
    {LISTED("\"image\":\"ftp://cdn.example/i.png\""), "provider 30 = 30"},
};

static const char *parts_of(const struct nz_article *article)
{
    static char out[512];
    size_t len = 0;
    for (size_t i = 0; i < article->n_parts; i++)
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%s %lld", i ? ", " : "", article->part[i].rule,
                                article->part[i].points);
    (void)snprintf(out + len, sizeof out - len, " = %lld", article->quality);
    return out;
}

static void quality__is_the_sum_of_its_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(qualities); i++) {
        struct nz_article article = make(qualities[i].event);
        assert_string_equal(parts_of(&article), qualities[i].parts);
    }
}

static void quality__titles_cost_a_point_for_each_full_step(void **state)
{
    (void)state;
    static const struct {
        int chars;
        long long points;
    } cases[] = {{70, 0}, {71, 0}, {72, -1}, {73, -1}, {74, -2}, {170, -50}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char event[512], title[400] = "";
        for (int c = 0; c < cases[i].chars; c++)
            memcpy(title + strlen(title), "\xc3\xbc", 3); /* two bytes, one code point */
        (void)snprintf(event, sizeof event, "{\"url\":\"https://river.example/a\",\"title\":\"%s\"}", title);
        assert_int_equal(make(event).quality, cases[i].points);
    }
}

static void quality__is_clamped_with_a_part_of_its_own(void **state)
{
    (void)state;
    options.q_image = 1000;
    struct nz_article article = make(LISTED(IMAGE));
    assert_string_equal(parts_of(&article), "image 1000, provider 30, clamp -30 = 1000");
    options.q_image = -1000;
    article = make(WITH(IMAGE ",\"topics\":[\"rail\"]"));
    assert_string_equal(parts_of(&article), "topics 4, image -1000 = -996");
    options.q_topic = -1000;
    article = make(WITH(IMAGE ",\"topics\":[\"rail\"]"));
    assert_string_equal(parts_of(&article), "topics -2000, image -1000, clamp 2000 = -1000");
    options.q_image = 20;
    options.q_topic = 2;
    options.trust_quality = false;
    article = make(WITH("\"quality\":86"));
    assert_string_equal(parts_of(&article), " = 0");
    options.trust_quality = true;
}

/* ---- hash ---- */

static const struct {
    const char *event;
    bool same; /* as the first */
} hashes[] = {
    {WITH("\"published\":1899000000,\"excerpt\":\"E\",\"image\":\"https://cdn.example/i\""), true},
    {WITH("\"date_published\":1899000000.9,\"summary\":\" <p>E\",\"images\":[\"https://cdn.example/i\"]"), true},
    {WITH("\"published\":1899000000,\"excerpt\":\"E\",\"image\":\"https://cdn.example/i\",\"updated\":1899000001"),
     true},
    {WITH("\"published\":1899000001,\"excerpt\":\"E\",\"image\":\"https://cdn.example/i\""), false},
    {WITH("\"excerpt\":\"E\",\"image\":\"https://cdn.example/i\""), false},
    {WITH("\"published\":1899000000,\"excerpt\":\"F\",\"image\":\"https://cdn.example/i\""), false},
    {WITH("\"published\":1899000000,\"image\":\"https://cdn.example/i\""), false},
    {WITH("\"published\":1899000000,\"excerpt\":\"E\",\"image\":\"https://cdn.example/j\""), false},
    {WITH("\"published\":1899000000,\"excerpt\":\"E\",\"image\":{\"url\":\"https://cdn.example/i\",\"width\":9}"),
     false},
    {WITH("\"published\":1899000000,\"excerpt\":\"E\",\"image\":\"https://cdn.example/i\",\"locale\":\"de\""), false},
    {WITH("\"published\":1899000000,\"excerpt\":\"E\",\"image\":\"https://cdn.example/i\",\"provider\":\"P\""), false},
    {WITH("\"published\":1899000000,\"excerpt\":\"E\",\"image\":\"https://cdn.example/i\",\"topics\":[\"rail\"]"),
     false},
    {WITH("\"published\":1899000000,\"excerpt\":\"E\",\"image\":\"https://cdn.example/i\",\"quality\":22"), false},
    {EVENT("https://river.example/a#x",
           ",\"published\":1899000000,\"excerpt\":\"E\",\"image\":\"https://cdn.example/i\""),
     false},
};

static void hash__says_whether_two_events_say_the_same(void **state)
{
    (void)state;
    struct nz_article first = make(hashes[0].event);
    assert_int_equal(strlen(first.hash), 32);
    for (size_t i = 0; i < COUNT(hashes); i++) {
        struct nz_article article = make(hashes[i].event);
        if ((strcmp(article.hash, first.hash) == 0) != hashes[i].same)
            fail_msg("%s", hashes[i].event);
    }
}

/* The same letters in a row, but another member ends elsewhere. */
static void hash__knows_where_a_member_ends(void **state)
{
    (void)state;
    struct nz_article a = make(WITH("\"category\":\"ab\",\"type\":\"c\""));
    struct nz_article b = make(WITH("\"category\":\"a\",\"type\":\"bc\""));
    assert_string_not_equal(a.hash, b.hash);
}

static void hash__does_not_depend_on_the_kafka_time(void **state)
{
    (void)state;
    static const char event[] = WITH("\"excerpt\":\"E\"");
    struct nz_raw raw;
    struct nz_article early, late;
    assert_int_equal(nz_raw_decode(&rules, &arena, NULL, 0, event, strlen(event), &raw, NULL), NM_OK);
    assert_int_equal(nz_article_make(&rules, &arena, &raw, 5000, NOW_MS, &early, NULL), NM_OK);
    assert_int_equal(nz_article_make(&rules, &arena, &raw, 9000, NOW_MS, &late, NULL), NM_OK);
    assert_string_equal(early.hash, late.hash);
    assert_int_equal(early.source_time_ms, 5000);
    assert_int_equal(late.source_time_ms, 9000);
}

/* ---- retractions ---- */

#define ID  "136ab291632faf53215323ed8744d7a4" /* of the URL below */
#define URL "https://www.harbour-gazette.example/2031/04/12/ferry-timetable"

static void retraction__by_url_or_id(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"retracted\":true,\"url\":\"" URL "?utm_source=x#y\"}",
        "{\"retracted\":true,\"id\":\"" ID "\"}",
        "{\"retracted\":true,\"id\":\"" ID "\",\"url\":\"" URL "\",\"title\":7,\"published\":\"bad\"}",
    };
    struct nz_article first = make(events[0]);
    for (size_t i = 0; i < COUNT(events); i++) {
        struct nz_article article = make(events[i]);
        assert_true(article.retracted);
        assert_string_equal(article.id, ID);
        assert_string_equal(article.hash, first.hash);
        assert_int_equal(article.source_time_ms, KAFKA_MS);
    }
    check_code("{\"retracted\":true,\"id\":\"" ID "\",\"url\":\"" URL "/\"}", "retraction_target");
    check_code("{\"retracted\":true,\"url\":\"ftp://river.example/\"}", "url_scheme");
    check_code("{\"retracted\":true,\"url\":\"" URL "\",\"updated\":\"bad\"}", "date_invalid");
}

/* Versions are ordered by source time, rules, hash: of the same time, the retraction is the newest. */
static void retraction__has_a_version_and_wins_a_tie(void **state)
{
    (void)state;
    struct nz_article article = make(WITH("\"updated\":1899000000"));
    struct nz_article retraction =
        make("{\"retracted\":true,\"url\":\"https://river.example/a\",\"updated\":1899000000}");
    assert_string_equal(retraction.id, article.id);
    assert_int_equal(retraction.source_time_ms, article.source_time_ms);
    assert_true(strcmp(retraction.hash, article.hash) > 0);
    assert_int_equal(strlen(retraction.hash), 32);
}

static void date__hostile_kafka_times_stay_in_the_calendar(void **state)
{
    (void)state;
    static const char event[] = WITH("\"excerpt\":\"E\"");
    static const int64_t times[][2] = {{-5, 0}, {INT64_MIN, 0}, {INT64_MAX, NZ_LAST_MS}, {NZ_LAST_MS, NZ_LAST_MS}};
    for (size_t i = 0; i < COUNT(times); i++) {
        struct nz_raw raw;
        struct nz_article article;
        struct nz_str out;
        assert_int_equal(nz_raw_decode(&rules, &arena, NULL, 0, event, strlen(event), &raw, NULL), NM_OK);
        assert_int_equal(nz_article_make(&rules, &arena, &raw, times[i][0], NOW_MS, &article, NULL), NM_OK);
        assert_int_equal(article.source_time_ms, times[i][1]);
        assert_int_equal(nz_article_write(&rules, &arena, &article, 1, 0, times[i][0], &out, NULL), NM_OK);
        assert_non_null(strstr(out.data, times[i][1] ? "\"9999-12-31T23:59:59Z\"" : "\"1970-01-01T00:00:00Z\""));
    }
}

static void rules__faults_of_any_part_are_refused(void **state)
{
    (void)state;
    struct nz_options bad = options;
    struct nz_rules untouched = {0};
    static char missing[] = "/nonexistent/file.yaml", nowhere[] = "Nowhere/Atlantis";
    bad.providers_file = missing;
    assert_int_equal(nz_rules_open(&bad, &untouched, &err), NM_CONFIG);
    bad = options;
    bad.topics_file = missing;
    assert_int_equal(nz_rules_open(&bad, &untouched, &err), NM_CONFIG);
    bad = options;
    bad.time_zone = nowhere;
    assert_int_equal(nz_rules_open(&bad, &untouched, &err), NM_CONFIG);
    assert_null(untouched.providers);
}

static int setup(void **state)
{
    (void)state;
    providers_file = fixture_file(".yaml", providers);
    topics_file = fixture_file(".yaml", topics);
    options = fixture_options();
    options.topics_file = topics_file;
    options.providers_file = providers_file;
    if (nz_rules_open(&options, &rules, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nz_rules_close(&rules);
    nm_arena_clear(&arena);
    fixture_unlink(providers_file);
    fixture_unlink(topics_file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(make__texts_are_cleaned_cut_and_defaulted),
        cmocka_unit_test(make__long_texts_are_cut_at_a_word),
        cmocka_unit_test(make__extras_that_are_broken_are_left_out),
        cmocka_unit_test(make__no_more_images_than_allowed),
        cmocka_unit_test(refused__each_has_its_code),
        cmocka_unit_test(date__published_and_source_time),
        cmocka_unit_test(provider__listed_or_by_domain),
        cmocka_unit_test(quality__is_the_sum_of_its_parts),
        cmocka_unit_test(quality__titles_cost_a_point_for_each_full_step),
        cmocka_unit_test(quality__is_clamped_with_a_part_of_its_own),
        cmocka_unit_test(hash__says_whether_two_events_say_the_same),
        cmocka_unit_test(hash__knows_where_a_member_ends),
        cmocka_unit_test(hash__does_not_depend_on_the_kafka_time),
        cmocka_unit_test(date__hostile_kafka_times_stay_in_the_calendar),
        cmocka_unit_test(retraction__by_url_or_id),
        cmocka_unit_test(retraction__has_a_version_and_wins_a_tie),
        cmocka_unit_test(rules__faults_of_any_part_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
