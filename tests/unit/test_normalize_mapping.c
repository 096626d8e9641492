/* test_normalize_mapping.c - whole events of the formats that crawlers and feeds use, and pointers of the option file.
 */
#include "normalize_fixture.h"

static struct nz_options options;
static struct nz_rules rules;
static struct nm_arena arena;
static struct nm_error err;

/* Opens the rules anew with this mapping: names and pointers in turns, NULL at the end; a name stands before its
 * pointers and has no slash. */
static enum nm_status try_open(bool built_in, const char *const *words)
{
    static struct nm_list list[20];
    static char *text[40], copy[40][160];
    size_t n_text = 0;
    nz_rules_close(&rules);
    options = fixture_options();
    options.built_in_mapping = built_in;
    options.mapping = (struct nm_lists){list, 0};
    memset(&err, 0, sizeof err);
    for (; words && *words; words++) {
        struct nm_list *last = options.mapping.n > 0 ? &list[options.mapping.n - 1] : NULL;
        char *kept = copy[n_text];
        (void)snprintf(kept, sizeof copy[0], "%s", *words);
        text[n_text] = kept;
        if (**words != '/')
            list[options.mapping.n++] = (struct nm_list){kept, {&text[n_text + 1], 0}};
        else
            last->strings.n++;
        n_text++;
    }
    return nz_rules_open(&options, &rules, &err);
}
#define OPEN(...)       assert_int_equal(try_open(true, (const char *const[]){__VA_ARGS__, NULL}), NM_OK)
#define OPEN_ALONE(...) assert_int_equal(try_open(false, (const char *const[]){__VA_ARGS__, NULL}), NM_OK)

static struct nz_raw decode(const char *event)
{
    struct nz_raw raw = {0};
    nm_arena_reset(&arena);
    if (nz_raw_decode(&rules, &arena, NULL, 0, event, strlen(event), &raw, &err) != NM_OK)
        fail_msg("%s: %s: %s", event, err.code, err.msg);
    return raw;
}

static void check_code(const char *event, const char *code, const char *named)
{
    struct nz_raw raw;
    nm_arena_reset(&arena);
    memset(&err, 0, sizeof err);
    if (nz_raw_decode(&rules, &arena, NULL, 0, event, strlen(event), &raw, &err) != NM_BAD_INPUT ||
        strcmp(err.code, code) != 0 || !strstr(err.msg, named))
        fail_msg("%s: '%s' (%s), not %s naming %s", event, err.code, err.msg, code, named);
}

/* ---- whole events ---- */

struct want {
    const char *url, *title, *excerpt, *content, *published, *modified, *amp, *locale, *category, *provider, *image;
    size_t n_images;
    int width;
};

static void check_event(const char *event, const struct want *want)
{
    struct nz_raw raw = decode(event);
    check_text(raw.url, want->url);
    check_text(raw.title, want->title);
    check_text(raw.excerpt, want->excerpt);
    check_text(raw.content, want->content);
    check_text(raw.published, want->published);
    check_text(raw.modified, want->modified);
    check_text(raw.amp_url, want->amp);
    check_text(raw.locale, want->locale);
    check_text(raw.category, want->category);
    check_text(raw.provider_name, want->provider);
    check_text(raw.type, NULL);
    assert_int_equal(raw.n_images, want->n_images);
    if (raw.n_images > 0) {
        check_text(raw.image[0].url, want->image);
        assert_int_equal(raw.image[0].width, want->width);
    }
    struct nz_article article;
    if (nz_article_make(&rules, &arena, &raw, 1933740131000, 1933740142000, &article, &err) != NM_OK)
        fail_msg("%s: %s", event, err.msg);
}

static void json_ld__news_article_is_read_whole(void **state)
{
    (void)state;
    OPEN(NULL);
    check_event(
        "{\"@context\":\"https://schema.org\",\"@type\":\"NewsArticle\",\"@id\":\"https://river.example/"
        "ferry#article\","
        "\"mainEntityOfPage\":{\"@type\":\"WebPage\",\"@id\":\"https://river.example/ferry\"},"
        "\"headline\":\"Ferry returns\",\"alternativeHeadline\":\"x\",\"name\":\"late\",\"description\":\"After "
        "years.\","
        "\"articleBody\":\"The ferry is back.\",\"articleSection\":\"Local news\",\"keywords\":[\"ferry\"],"
        "\"datePublished\":\"2031-04-12T07:30:00+02:00\","
        "\"dateModified\":{\"@type\":\"DateTime\",\"@value\":\"2031-04-12T08:00:00+02:00\"},"
        "\"image\":[{\"@type\":\"ImageObject\",\"url\":\"https://cdn.example/f.jpg\",\"width\":{\"value\":1200},"
        "\"height\":630},\"https://cdn.example/g.jpg\"],\"thumbnailUrl\":\"https://cdn.example/late.jpg\","
        "\"author\":{\"@type\":\"Person\",\"name\":\"R. Aster\"},\"inLanguage\":\"en_GB\",\"isAccessibleForFree\":true,"
        "\"publisher\":{\"@type\":\"NewsMediaOrganization\",\"name\":\"River "
        "Post\",\"logo\":{\"@type\":\"ImageObject\","
        "\"url\":\"https://cdn.example/logo.png\"}}}",
        &(struct want){.url = "https://river.example/ferry",
                       .title = "Ferry returns",
                       .excerpt = "After years.",
                       .content = "The ferry is back.",
                       .published = "2031-04-12T07:30:00+02:00",
                       .modified = "2031-04-12T08:00:00+02:00",
                       .locale = "en-GB",
                       .provider = "River Post",
                       .image = "https://cdn.example/f.jpg",
                       .n_images = 2,
                       .width = 1200});
}

/* As content systems write it: everything refers to other nodes of the graph. */
static void json_ld__references_are_passed_over(void **state)
{
    (void)state;
    OPEN(NULL);
    check_event("{\"@type\":[\"Article\",\"NewsArticle\"],\"@id\":\"https://river.example/ferry/#article\","
                "\"isPartOf\":{\"@id\":\"https://river.example/ferry/\"},\"headline\":\"Ferry returns\","
                "\"datePublished\":\"2031-04-12\",\"image\":{\"@id\":\"https://river.example/ferry/#primaryimage\"},"
                "\"thumbnailUrl\":\"https://cdn.example/f.jpg\",\"publisher\":{\"@id\":\"https://river.example/#org\"},"
                "\"inLanguage\":{\"@type\":\"Language\",\"name\":\"Espa\xc3\xb1ol\"}}",
                &(struct want){.url = "https://river.example/ferry/#article",
                               .title = "Ferry returns",
                               .published = "2031-04-12",
                               .image = "https://cdn.example/f.jpg",
                               .n_images = 1});
}

static void json_feed__item_is_read_whole(void **state)
{
    (void)state;
    OPEN(NULL);
    check_event(
        "{\"id\":\"https://river.example/?p=7\",\"url\":\"https://river.example/ferry\","
        "\"external_url\":\"https://elsewhere.example/\",\"title\":\"Ferry returns\",\"content_html\":\"<p>It is "
        "back.</p>\",\"content_text\":\"late\",\"summary\":\"After years.\",\"image\":\"https://cdn.example/f.jpg\","
        "\"banner_image\":\"https://cdn.example/late.jpg\",\"date_published\":\"2031-04-12T07:30:00Z\","
        "\"date_modified\":\"2031-04-12T08:00:00Z\",\"authors\":[{\"name\":\"R. Aster\"}],\"tags\":[\"ferry\"],"
        "\"language\":\"en\",\"attachments\":[{\"url\":\"https://cdn.example/f.mp3\",\"mime_type\":\"audio/mpeg\"}],"
        "\"source\":\"River Post\"}",
        &(struct want){.url = "https://river.example/ferry",
                       .title = "Ferry returns",
                       .excerpt = "After years.",
                       .content = "<p>It is back.</p>",
                       .published = "2031-04-12T07:30:00Z",
                       .modified = "2031-04-12T08:00:00Z",
                       .locale = "en",
                       .provider = "River Post",
                       .image = "https://cdn.example/f.jpg",
                       .n_images = 1});
    check_event("{\"id\":7,\"external_url\":\"https://river.example/x\",\"title\":\"T\"}",
                &(struct want){.url = "https://river.example/x", .title = "T"});
}

static void rss__item_is_read_whole(void **state)
{
    (void)state;
    OPEN(NULL);
    check_event(
        "{\"title\":\"Ferry returns\",\"link\":\"https://river.example/ferry\",\"guid\":{\"#text\":\"r-7\","
        "\"isPermaLink\":\"false\"},\"description\":\"<p>After years.</p>\",\"content:encoded\":\"<p>It is "
        "back.</p>\",\"dc:creator\":\"R. Aster\",\"category\":[\"Local news\",\"Harbour & sea\"],"
        "\"pubDate\":\"Sat, 12 Apr 2031 07:30:00 +0200\",\"source\":{\"#text\":\"River Post\","
        "\"url\":\"https://river.example/feed\"},\"enclosure\":[{\"url\":\"https://cdn.example/f.mp3\",\"type\":"
        "\"audio/mpeg\",\"length\":\"7\"},{\"url\":\"https://cdn.example/f.jpg\",\"type\":\"image/jpeg\","
        "\"length\":\"99\"}],\"language\":\"en-us\"}",
        &(struct want){.url = "https://river.example/ferry",
                       .title = "Ferry returns",
                       .excerpt = "<p>After years.</p>",
                       .content = "<p>It is back.</p>",
                       .published = "Sat, 12 Apr 2031 07:30:00 +0200",
                       .locale = "en-us",
                       .provider = "River Post",
                       .image = "https://cdn.example/f.jpg",
                       .n_images = 1});
    check_event("{\"title\":\"T\",\"link\":\"https://river.example/x\",\"category\":\"Local "
                "news\",\"dc:date\":\"2031-04-12\",\"dc:language\":\"English (UK)\",\"media:content\":{\"url\":"
                "\"https://cdn.example/f.jpg\",\"medium\":\"image\",\"width\":\"800\",\"height\":\"600\"}}",
                &(struct want){.url = "https://river.example/x",
                               .title = "T",
                               .published = "2031-04-12",
                               .image = "https://cdn.example/f.jpg",
                               .n_images = 1,
                               .width = 800});
}

static void atom__entry_is_read_whole(void **state)
{
    (void)state;
    OPEN(NULL);
    check_event(
        "{\"id\":\"tag:river.example,2031:7\",\"title\":{\"#text\":\"Ferry returns\",\"type\":\"text\"},"
        "\"link\":[{\"rel\":\"self\",\"href\":\"https://river.example/atom/7\"},{\"rel\":\"alternate\",\"href\":"
        "\"https://river.example/ferry\"},{\"rel\":\"enclosure\",\"href\":\"https://cdn.example/f.mp3\"}],"
        "\"summary\":{\"#text\":\"After years.\",\"type\":\"html\"},\"content\":{\"#text\":\"It is back.\","
        "\"type\":\"html\"},\"published\":\"2031-04-12T07:30:00Z\",\"updated\":\"2031-04-12T08:00:00Z\","
        "\"author\":{\"name\":\"R. Aster\"},\"category\":{\"term\":\"Local news\"},\"language\":\"en\","
        "\"source\":\"River Post\"}",
        &(struct want){.url = "https://river.example/ferry",
                       .title = "Ferry returns",
                       .excerpt = "After years.",
                       .content = "It is back.",
                       .published = "2031-04-12T07:30:00Z",
                       .modified = "2031-04-12T08:00:00Z",
                       .locale = "en",
                       .provider = "River Post"});
}

/* ---- pointers of the option file ---- */

static const struct {
    const char *pointer, *event, *title;
} pointers[] = {
    {"/a", "{\"a\":\"t\",\"title\":\"late\"}", "t"},
    {"/a/b", "{\"a\":{\"b\":\"t\"},\"title\":\"late\"}", "t"},
    {"/a/b", "{\"a\":\"t\",\"title\":\"late\"}", "late"},
    {"/a/b", "{\"a\":{\"c\":\"t\"},\"title\":\"late\"}", "late"},
    {"/a/b", "{\"a\":{\"b\":\"\"},\"title\":\"late\"}", "late"},
    {"/a/b", "{\"a\":{\"b\":7},\"title\":\"late\"}", "late"},
    {"/a/b", "{\"a\":{\"b\":{\"@value\":\"t\"}}}", "t"},
    {"/a~1b", "{\"a/b\":\"t\"}", "t"},
    {"/a~0b", "{\"a~b\":\"t\"}", "t"},
    {"/a~01", "{\"a~1\":\"t\"}", "t"},
    {"/", "{\"\":\"t\"}", "t"},
    {"/a//b", "{\"a\":{\"\":{\"b\":\"t\"}}}", "t"},
    {"/a/0", "{\"a\":[\"t\",\"u\"]}", "t"},
    {"/a/1", "{\"a\":[\"t\",\"u\"]}", "u"},
    {"/a/2", "{\"a\":[\"t\",\"u\"],\"title\":\"late\"}", "late"},
    {"/a/01", "{\"a\":[\"t\",\"u\"],\"title\":\"late\"}", "late"},
    {"/a/-", "{\"a\":[\"t\",\"u\"],\"title\":\"late\"}", "late"},
    {"/a/99999999999999999999", "{\"a\":[\"t\"],\"title\":\"late\"}", "late"},
    {"/a/0/b", "{\"a\":[{\"b\":\"t\"}]}", "t"},
    {"/0", "{\"0\":\"t\"}", "t"},
    {"/a/0", "{\"a\":{\"0\":\"t\"}}", "t"},
    {"/\xc3\xa4", "{\"\\u00e4\":\"t\"}", "t"},
    {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16",
     "{\"1\":{\"2\":{\"3\":{\"4\":{\"5\":{\"6\":{\"7\":{\"8\":{\"9\":{\"10\":{\"11\":{\"12\":{\"13\":{\"14\":{\"15\":{"
     "\"16\":\"t\"}}}}}}}}}}}}}}}}",
     "t"},
};

static void pointer__leads_where_rfc_6901_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pointers); i++) {
        OPEN("title", pointers[i].pointer);
        struct nz_raw raw = decode(pointers[i].event);
        if (!same(raw.title, pointers[i].title))
            fail_msg("%s of %s gave '%.*s'", pointers[i].pointer, pointers[i].event, (int)raw.title.len,
                     raw.title.data ? raw.title.data : "");
    }
}

static void mapping__stands_before_the_built_in_one(void **state)
{
    (void)state;
    OPEN("title", "/first", "/second", "images", "/media:thumbnail", "topics", "/keywords");
    check_text(decode("{\"title\":\"c\",\"second\":\"b\",\"first\":\"a\"}").title, "a");
    check_text(decode("{\"title\":\"c\",\"second\":\"b\"}").title, "b");
    check_text(decode("{\"headline\":\"c\"}").title, "c");
    struct nz_raw raw = decode("{\"media:thumbnail\":{\"url\":\"i\",\"width\":\"90\"},\"image\":\"late\","
                               "\"keywords\":[\"ferries\",\"x\"],\"topics\":[\"late\"]}");
    check_text(raw.image[0].url, "i");
    assert_int_equal(raw.image[0].width, 90);
    assert_int_equal(raw.n_topics, 2);
}

static void mapping__alone_leaves_nothing_built_in(void **state)
{
    (void)state;
    OPEN_ALONE("url", "/where", "title", "/what/text");
    struct nz_raw raw =
        decode("{\"where\":\"u\",\"url\":\"x\",\"what\":{\"text\":\"t\"},\"title\":\"x\",\"excerpt\":\"x\","
               "\"published\":7,\"quality\":\"x\",\"private\":7,\"retracted\":true,\"type\":7}");
    check_text(raw.url, "u");
    check_text(raw.title, "t");
    check_text(raw.excerpt, NULL);
    assert_true(raw.published_number == 0);
    assert_false(raw.has_quality || raw.retracted);
    check_text(decode("{\"webUrl\":\"x\",\"headline\":\"x\"}").url, NULL);
}

static void mapping__without_url_or_title_is_refused(void **state)
{
    (void)state;
    static const char *const no_title[] = {"url", "/u", NULL}, *const no_url[] = {"title", "/t", NULL};
    assert_int_equal(try_open(false, no_title), NM_CONFIG);
    assert_non_null(strstr(err.msg, "normalize.mapping has no title"));
    assert_int_equal(try_open(false, no_url), NM_CONFIG);
    assert_non_null(strstr(err.msg, "normalize.mapping has no url"));
    assert_int_equal(try_open(false, NULL), NM_CONFIG);
}

static void mapping__every_field_can_be_mapped(void **state)
{
    (void)state;
    OPEN("retracted", "/m/gone", "url", "/m/u", "modifiedDateTime", "/m/md", "title", "/m/t", "excerpt", "/m/e",
         "content", "/m/c", "publishedDateTime", "/m/pd", "images", "/m/i", "provider", "/m/p", "ampUrl", "/m/a",
         "locale", "/m/l", "category", "/m/ca", "type", "/m/ty", "topics", "/m/to", "featuredContent", "/m/f");
    struct nz_raw raw =
        decode("{\"m\":{\"u\":\"u\",\"md\":5,\"t\":\"t\",\"e\":\"e\",\"c\":\"c\",\"pd\":\"d\",\"i\":[\"i\"],"
               "\"p\":{\"name\":\"n\",\"domain\":\"d.example\"},\"a\":\"a\",\"l\":\"de\",\"ca\":\"sport\","
               "\"ty\":\"video\",\"to\":\"x\",\"f\":\"<b>\",\"gone\":false}}");
    check_text(raw.url, "u");
    assert_true(raw.modified_number == 5);
    check_text(raw.title, "t");
    check_text(raw.excerpt, "e");
    check_text(raw.content, "c");
    check_text(raw.published, "d");
    assert_int_equal(raw.n_images, 1);
    check_text(raw.provider_name, "n");
    check_text(raw.provider_domain, "d.example");
    check_text(raw.amp_url, "a");
    check_text(raw.locale, "de");
    check_text(raw.category, "sport");
    check_text(raw.type, "video");
    assert_int_equal(raw.n_topics, 1);
    assert_true(raw.featured);
    raw = decode("{\"m\":{\"u\":\"u\",\"gone\":true,\"t\":7}}");
    assert_true(raw.retracted);
    OPEN("quality", "/m/q", "private", "/m/x");
    raw = decode("{\"m\":{\"q\":17,\"x\":{\"editor\":\"e\"}},\"quality\":3,\"private\":7}");
    assert_int_equal(raw.quality, 17);
    assert_non_null(raw.private_object);
}

static void refused__the_pointer_is_named(void **state)
{
    (void)state;
    OPEN("title", "/a/b", "/c");
    check_code("{\"a\":{\"b\":7}}", "wrong_type", "\"/a/b\" cannot be used as title");
    check_code("{\"c\":7}", "wrong_type", "\"c\" cannot be used as title");
    check_code("{\"a\":{\"b\":\"t\",\"b\":\"u\"}}", "duplicate_key", "\"b\"");
    check_code("{\"a\":{\"x\":1,\"x\":2}}", "duplicate_key", "\"x\"");
    OPEN("title", "/a/0/b");
    check_code("{\"a\":[{\"b\":7,\"c\":1,\"c\":1}]}", "duplicate_key", "\"c\"");
    OPEN("locale", "/lang"); /* not the field's own name: what does not fit is passed over */
    check_text(decode("{\"lang\":\"British English\"}").locale, NULL);
    check_code("{\"locale\":\"British English\"}", "wrong_type", "\"locale\"");
    OPEN("retracted", "/gone");
    check_code("{\"gone\":\"yes\"}", "wrong_type", "\"gone\" cannot be used as retracted: send true");
    OPEN("private", "/x");
    check_code("{\"x\":[]}", "wrong_type", "\"x\" cannot be used as private: send an object");
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
        cmocka_unit_test(json_ld__news_article_is_read_whole),
        cmocka_unit_test(json_ld__references_are_passed_over),
        cmocka_unit_test(json_feed__item_is_read_whole),
        cmocka_unit_test(rss__item_is_read_whole),
        cmocka_unit_test(atom__entry_is_read_whole),
        cmocka_unit_test(pointer__leads_where_rfc_6901_says),
        cmocka_unit_test(mapping__stands_before_the_built_in_one),
        cmocka_unit_test(mapping__alone_leaves_nothing_built_in),
        cmocka_unit_test(mapping__without_url_or_title_is_refused),
        cmocka_unit_test(mapping__every_field_can_be_mapped),
        cmocka_unit_test(refused__the_pointer_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
