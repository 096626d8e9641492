/* test_normalize_write.c - the bytes of article/1: members, their order, what is left out, paths. */
#include "normalize_fixture.h"

#include <jansson.h>

#define NOW_MS   1933740142000
#define KAFKA_MS 1933740131000 /* 2031-04-12 */

static const char providers[] = "- domain: lantern.example\n"
                                "  name: \"Lantern \\\"Weekly\\\"\"\n"
                                "  weight: 30\n"
                                "  images: [{url: /logos/lantern-50.png, width: 50, height: 50}, {url: /l.png}]\n";
static const char topics[] = "- {id: rail, name: Rail, parent: transport, keywords: [sleeper]}\n"
                             "- {id: transport, name: Transport}\n";

static struct nz_options options;
static struct nz_rules rules;
static struct nm_arena arena;
static char *providers_file, *topics_file;

static struct nz_str write_at(const char *event, int64_t revision, int64_t published_ms)
{
    struct nz_raw raw;
    struct nz_article article;
    struct nz_str out = {0};
    struct nm_error err = {0};
    if (nz_raw_decode(&rules, &arena, NULL, 0, event, strlen(event), &raw, &err) != NM_OK ||
        nz_article_make(&rules, &arena, &raw, KAFKA_MS, NOW_MS, &article, &err) != NM_OK ||
        nz_article_write(&rules, &arena, &article, revision, article.source_time_ms,
                         article.dated ? article.published_ms : published_ms, &out, &err) != NM_OK)
        fail_msg("%s: %s", event, err.msg);
    assert_non_null(out.data);
    return out;
}

#define WHOLE                                                                                                          \
    "{\"url\":\" https://www.lantern.example/a/b?utm_source=feed \",\"title\":\"A sleeper &quot;leaves&quot; "         \
    "\\\\ \\u00dcberlingen\",\"excerpt\":\"<p>Each "                                                                   \
    "evening.</p>\",\"publishedDateTime\":\"2031-04-12T07:30:00+02:00\","                                              \
    "\"modifiedDateTime\":\"2031-04-12T06:02:11Z\",\"ampUrl\":\"https://www.lantern.example/amp/a\","                  \
    "\"images\":[{\"url\":\"https://cdn.example/i.png\",\"width\":640,\"height\":480},\"https://cdn.example/j.png\"]," \
    "\"content\":\"x\",\"featuredContent\":\"x\",\"private\":{\"a\":1}}"

static void write__whole_article_has_these_bytes(void **state)
{
    (void)state;
    struct nz_str out = write_at(WHOLE, 1933740140000042, 5);
    char id[NM_ID_BYTES], want[2048];
    nm_article_id("https://www.lantern.example/a/b", 31, id);
    (void)snprintf(
        want, sizeof want,
        "{\"id\":\"%s\",\"revision\":1933740140000042,\"sourceTime\":1933740131000,"
        "\"path\":\"_news/2031-04-12-a-sleeper-leaves-uberlingen.md\",\"category\":\"news\",\"type\":\"article\","
        "\"locale\":\"en\",\"title\":\"A sleeper \\\"leaves\\\" \\\\ \xc3\x9c"
        "berlingen\",\"excerpt\":\"Each evening.\","
        "\"publishedDateTime\":\"2031-04-12T05:30:00Z\","
        "\"originalUrl\":\"https://www.lantern.example/a/b?utm_source=feed\","
        "\"webUrl\":\"https://www.lantern.example/a/b\",\"ampWebUrl\":\"https://www.lantern.example/amp/a\","
        "\"cdnAmpWebUrl\":\"https://www-lantern-example.cdn.ampproject.org/c/s/www.lantern.example/amp/a\","
        "\"provider\":{\"name\":\"Lantern \\\"Weekly\\\"\",\"domain\":\"lantern.example\",\"images\":[{\"url\":"
        "\"/logos/lantern-50.png\",\"width\":50,\"height\":50},{\"url\":\"/l.png\"}]},"
        "\"topics\":[\"Rail\",\"Transport\"],\"quality\":139,\"qualityParts\":[{\"rule\":\"topics\",\"points\":4},"
        "{\"rule\":\"keywords\",\"points\":15},{\"rule\":\"image\",\"points\":20},{\"rule\":\"amp\",\"points\":20},"
        "{\"rule\":\"provider\",\"points\":30},{\"rule\":\"featured\",\"points\":50}],"
        "\"images\":[{\"url\":\"https://cdn.example/i.png\",\"width\":640,\"height\":480},{\"url\":"
        "\"https://cdn.example/j.png\"}],\"rules\":1}",
        id);
    check_text(out, want);
}

static void write__absent_members_are_left_out(void **state)
{
    (void)state;
    struct nz_str out = write_at("{\"url\":\"https://river.example/a\",\"title\":\"Bridge opens\"}", 7, KAFKA_MS);
    char id[NM_ID_BYTES], want[1024];
    nm_article_id("https://river.example/a", 23, id);
    (void)snprintf(want, sizeof want,
                   "{\"id\":\"%s\",\"revision\":7,\"sourceTime\":1933740131000,"
                   "\"path\":\"_news/2031-04-12-bridge-opens.md\",\"category\":\"news\",\"type\":\"article\","
                   "\"locale\":\"en\",\"title\":\"Bridge opens\",\"publishedDateTime\":\"2031-04-12T06:02:11Z\","
                   "\"originalUrl\":\"https://river.example/a\",\"webUrl\":\"https://river.example/a\","
                   "\"provider\":{\"name\":\"river.example\",\"domain\":\"river.example\"},\"topics\":[],\"quality\":0,"
                   "\"qualityParts\":[],\"rules\":1}",
                   id);
    check_text(out, want);
}

static void write__retraction_has_four_members(void **state)
{
    (void)state;
    struct nz_str out =
        write_at("{\"retracted\":true,\"id\":\"136ab291632faf53215323ed8744d7a4\",\"title\":\"T\"}", 9, 5);
    check_text(out, "{\"id\":\"136ab291632faf53215323ed8744d7a4\",\"revision\":9,\"sourceTime\":1933740131000,"
                    "\"retracted\":true}");
}

static void write__same_arguments_give_the_same_bytes(void **state)
{
    (void)state;
    struct nz_str first = write_at(WHOLE, 42, 5), second = write_at(WHOLE, 42, 5);
    assert_ptr_not_equal(first.data, second.data);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
}

/* ---- paths ---- */

static const struct {
    const char *zone, *title, *path; /* %s: the first 12 digits of the id */
} paths[] = {
    {"UTC",
     "Caf\xc3\xa9 \xe2\x80\x93 Stra\xc3\x9f"
     "e & more!",
     "_news/2031-04-12-cafe-strasse-more.md"},
    {"UTC", "\xe6\x9c\x88\xe9\x9d\xa2", "_news/2031-04-12-%s.md"},
    {"UTC", "!!! ???", "_news/2031-04-12-%s.md"},
    {"Pacific/Honolulu", "Bridge opens", "_news/2031-04-11-bridge-opens.md"},
    {"Pacific/Auckland", "Bridge opens", "_news/2031-04-12-bridge-opens.md"},
};

static void path__date_in_the_zone_and_slug_of_the_title(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct nm_zone *utc = rules.zone;
        assert_int_equal(nm_zone_open(paths[i].zone, &rules.zone, NULL), NM_OK);
        char event[512], want[256], id[NM_ID_BYTES];
        (void)snprintf(event, sizeof event, "{\"url\":\"https://river.example/a\",\"title\":\"%s\"}", paths[i].title);
        struct nz_str out = write_at(event, 1, KAFKA_MS);
        nm_article_id("https://river.example/a", 23, id);
        id[12] = '\0';
        const char *marker = strstr(paths[i].path, "%s");
        (void)snprintf(want, sizeof want, "\"path\":\"%.*s%s%s\",",
                       (int)(marker ? marker - paths[i].path : (long)strlen(paths[i].path)), paths[i].path,
                       marker ? id : "", marker ? marker + 2 : "");
        if (!out.data || !strstr(out.data, want))
            fail_msg("%s is not in %.*s", want, (int)out.len, out.data);
        nm_zone_close(rules.zone);
        rules.zone = utc;
    }
}

static void path__of_a_long_title_fits(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, "{\"url\":\"https://river.example/a\",\"title\":\"");
    for (int i = 0; i < 100; i++)
        nm_buf_adds(&buf, i < 50 ? "longest" : "bridge ");
    nm_buf_adds(&buf, "\"}");
    struct nz_str out = write_at(nm_buf_str(&buf), 1, KAFKA_MS);
    json_t *article = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(article);
    assert_in_range(json_string_length(json_object_get(article, "path")), 100, 180);
    json_decref(article);
    nm_buf_clear(&buf);
}

static int setup(void **state)
{
    (void)state;
    struct nm_error err = {0};
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
        cmocka_unit_test(write__whole_article_has_these_bytes),
        cmocka_unit_test(write__absent_members_are_left_out),
        cmocka_unit_test(write__retraction_has_four_members),
        cmocka_unit_test(write__same_arguments_give_the_same_bytes),
        cmocka_unit_test(path__date_in_the_zone_and_slug_of_the_title),
        cmocka_unit_test(path__of_a_long_title_fits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
