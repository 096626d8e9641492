/* test_images_article.c - articles as images reads them: every image is listed, a bad URL costs its image only; and the
 * text that comes back from Redis. */
#include "images/images_article.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ID           "136ab291632faf53215323ed8744d7a4"
#define HEAD         "{\"id\":\"" ID "\",\"revision\":7,\"sourceTime\":1"

static struct nm_arena doc;
static struct im_article_event event;

static enum nm_status read_bytes(const char *value, size_t len, size_t url_bytes, struct nm_error *err)
{
    struct nm_item item = {.value = value, .value_len = len, .key = ID, .key_len = IM_ID};
    *err = (struct nm_error){0};
    memset(&event, 0, sizeof event);
    return im_article_read(&item, url_bytes, &doc, &event, err);
}

static void read_article(const char *value)
{
    struct nm_error err;
    if (read_bytes(value, strlen(value), 4096, &err) != NM_OK)
        fail_msg("%s: %s", value, err.msg);
}

/* An article with this as its images. */
static void read_images(const char *images)
{
    char value[4000];
    (void)snprintf(value, sizeof value, HEAD ",\"images\":%s}", images);
    read_article(value);
}

/* What is listed of image i comes back from its text. */
static struct im_listed_text listed(size_t i)
{
    struct im_listed_text text = {0};
    const struct im_article_image *image = &event.image[i];
    struct im_url url;
    assert_true(im_listed_read(event.listed[i].text, event.listed[i].text_len, &text));
    assert_int_equal(text.url_len, image->url_len);
    assert_memory_equal(text.url, image->url, text.url_len);
    assert_int_equal(text.reason, image->reason);
    assert_int_equal(im_listed_url(&text, image->get ? image->get->hash : "-", &url), image->get != NULL);
    if (image->get) {
        assert_string_equal(url.text, image->get->text);
        assert_ptr_equal(event.listed[i].hash, image->get->hash);
    } else {
        assert_null(event.listed[i].hash);
    }
    return text;
}

static void article__images_are_listed_in_order(void **state)
{
    (void)state;
    read_article(HEAD
                 ",\"title\":\"t\",\"images\":[{\"url\":\"https://a.example/1.jpg\",\"width\":1200,\"height\":630},"
                 "{\"url\":\" HTTPS://A.Example:443/x/../1.jpg#top \"},{\"url\":\"data:image/png;base64,AA\"},"
                 "{\"url\":\"https://a.example/1.jpg\",\"width\":65536,\"height\":-1}]}");
    assert_string_equal(event.id, ID);
    assert_int_equal(event.revision, 7);
    assert_false(event.retracted);
    assert_int_equal(event.n, 4);
    assert_int_equal(event.image[0].width, 1200);
    assert_int_equal(event.image[0].height, 630);
    assert_int_equal(event.image[3].width + event.image[3].height, 0);
    assert_string_equal(event.image[1].get->text, "https://a.example/1.jpg");
    assert_string_equal(event.listed[0].hash, event.listed[1].hash);
    assert_string_equal(event.listed[0].hash, event.listed[3].hash); /* twice in the article, twice in the list */
    assert_string_equal(event.listed[0].text, "1 - 23 https://a.example/1.jpg");
    assert_string_equal(event.listed[1].text, "1 - 38  HTTPS://A.Example:443/x/../1.jpg#top https://a.example/1.jpg");
    assert_string_equal(event.listed[2].text, "1 url_scheme 24 data:image/png;base64,AA");
    for (size_t i = 0; i < event.n; i++)
        (void)listed(i);
}

static void article__without_images_and_retracted(void **state)
{
    (void)state;
    read_article(HEAD "}");
    assert_int_equal(event.n, 0);
    read_images("[]");
    assert_int_equal(event.n, 0);
    read_article(HEAD ",\"retracted\":true,\"images\":[{\"url\":\"https://a.example/\"}]}");
    assert_true(event.retracted);
    assert_int_equal(event.n, 0);
}

static void article__a_bad_url_costs_its_image_only(void **state)
{
    (void)state;
    static const struct {
        const char *image, *url;
        enum im_reason reason;
    } cases[] = {
        {"{\"url\":\"\"}", "\"\"", IM_url_invalid},
        {"{\"url\":\"   \"}", "   ", IM_url_invalid},
        {"{\"url\":7}", "7", IM_url_invalid},
        {"{\"url\":null}", "null", IM_url_invalid},
        {"{\"url\":{\"a\":[1]}}", "{\"a\":[1]}", IM_url_invalid},
        {"{}", "null", IM_url_invalid},
        {"7", "7", IM_url_invalid},
        {"null", "null", IM_url_invalid},
        {"\"https://a.example/\"", "https://a.example/", IM_url_invalid}, /* no object */
        {"{\"url\":\"//a.example/\"}", "//a.example/", IM_url_not_absolute},
        {"{\"url\":\"ftp://a.example/\"}", "ftp://a.example/", IM_url_scheme},
        {"{\"url\":\"http://u@a.example/\"}", "http://u@a.example/", IM_url_userinfo},
        {"{\"url\":\"http://a.example:0/\"}", "http://a.example:0/", IM_url_invalid},
        {"{\"url\":\"http://a.example/\\r\\nX: 1\"}", "http://a.example/\r\nX: 1", IM_url_invalid},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char images[300];
        (void)snprintf(images, sizeof images, "[%s,{\"url\":\"https://b.example/\"}]", cases[i].image);
        read_images(images);
        assert_int_equal(event.n, 2);
        struct im_listed_text text = listed(0);
        assert_int_equal(text.url_len, strlen(cases[i].url));
        assert_memory_equal(text.url, cases[i].url, text.url_len);
        assert_int_equal(text.reason, cases[i].reason);
        assert_int_equal(listed(1).reason, IM_NONE);
    }
}

static void article__a_nul_in_a_url_stays_in_its_text(void **state)
{
    (void)state;
    read_images("[{\"url\":\"https://a.example/\\u0000b\"}]");
    assert_int_equal(event.image[0].reason, IM_url_invalid);
    assert_int_equal(listed(0).url_len, 20);
}

/* An article with an image whose URL is `start` and n times `unit`. */
static char *long_url(const char *start, const char *unit, size_t n)
{
    size_t len = strlen(unit);
    struct nm_buf buf = {0};
    nm_buf_addf(&buf, HEAD ",\"images\":[{\"url\":\"%s", start);
    for (size_t i = 0; i < n; i++)
        nm_buf_add(&buf, unit, len);
    nm_buf_adds(&buf, "\"}]}");
    return nm_buf_take(&buf);
}

static void article__length_of_a_url_is_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *start, *unit;
        size_t n, url_bytes, kept;
        enum im_reason reason;
    } cases[] = {
        {"http://a.example/", "b", 4096 - 17, 4096, 4096, IM_NONE},
        {"http://a.example/", "b", 4097 - 17, 4096, 4097, IM_url_invalid},
        {"http://a.example/", "b", 8192 - 17, 8192, 8192, IM_NONE},
        {"http://a.example/", " ", 8192 - 17, 4096, 8192, IM_NONE},
        {"http://a.example/", " ", 8193 - 17, 4096, 8192, IM_url_invalid}, /* it would not be as in the article */
        {"", "a", 1000000, 4096, 8192, IM_url_invalid},
        {"x", "\u00e9", 5000, 4096, 8191, IM_url_invalid}, /* cut at a character */
        {"data:", "\u20ac", 5000, 4096, 8192, IM_url_scheme},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nm_error err;
        NM_AUTO(free) char *value = long_url(cases[i].start, cases[i].unit, cases[i].n);
        assert_int_equal(read_bytes(value, strlen(value), cases[i].url_bytes, &err), NM_OK);
        assert_int_equal(event.image[0].reason, cases[i].reason);
        assert_int_equal(listed(0).url_len, cases[i].kept);
        assert_true(event.listed[0].text_len <= IM_TEXT_MAX);
    }
}

static void article__the_first_images_are_taken(void **state)
{
    (void)state;
    struct nm_buf images = {0};
    for (int i = 0; i < IM_MAX_IMAGES + 2; i++)
        nm_buf_addf(&images, "%c{\"url\":\"https://a.example/%d\"}", i ? ',' : '[', i);
    nm_buf_addc(&images, ']');
    read_images(nm_buf_str(&images));
    nm_buf_clear(&images);
    assert_int_equal(event.n, IM_MAX_IMAGES);
    assert_string_equal(event.image[IM_MAX_IMAGES - 1].get->text, "https://a.example/15");
}

static void article__bad_ones_have_a_code(void **state)
{
    (void)state;
    static const struct {
        const char *value, *code;
    } cases[] = {
        {"", "not_json"},
        {"{", "not_json"},
        {"[]", "not_object"},
        {"{\"id\":\"136AB291632faf53215323ed8744d7a4\",\"revision\":7,\"sourceTime\":1}", "wrong_type"},
        {"{\"id\":\"" ID "\",\"revision\":0,\"sourceTime\":1}", "wrong_type"},
        {"{\"id\":\"036ab291632faf53215323ed8744d7a4\",\"revision\":7,\"sourceTime\":1}", "wrong_type"}, /* the key */
        {HEAD ",\"images\":{}}", "wrong_type"},
        {HEAD ",\"images\":null}", "wrong_type"},
        {HEAD ",\"retracted\":1}", "wrong_type"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct nm_error err;
        assert_int_equal(read_bytes(cases[i].value, strlen(cases[i].value), 4096, &err), NM_BAD_INPUT);
        assert_string_equal(err.code, cases[i].code);
        assert_true(strlen(err.msg) > 10);
        assert_int_equal(event.revision, 0); /* untouched */
    }
    struct nm_error err;
    assert_int_equal(read_bytes(NULL, 0, 4096, &err), NM_BAD_INPUT);
    assert_string_equal(err.code, "not_json");
}

static void listed__only_what_is_written_is_read(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "1",
        "1 - 18",
        "1 - 18 ",
        "2 - 18 https://a.example/",
        "1  18 https://a.example/",
        "1 - 018 https://a.example/",
        "1 - 0 https://a.example/",
        "1 - 1e https://a.example/",
        "1 - 19 https://a.example/",
        "1 - 8193 https://a.example/",
        "1 - 99999999999999999999 https://a.example/",
        "1 - 17 https://a.example/",
        "1 - 18 https://a.example/https://a.example/", /* the same twice */
        "1 - 3 xyzftp://a.example/",
        "1 - 3 xyzhttp://a.example/ b",
        "1 - 3 xyzhttp://a.example/\xc3\xa9",
        "1 - 7 http://",
        "1 url_scheme 3 xyzhttp://a.example/",
        "1 url_other 3 xyz",
        "1 evicted 3 xyz",
        "1 url_ 3 xyz",
        "1 url_scheme 3 x\xffz",
        "1 url_scheme 3  xyz",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct im_listed_text text = {.url_len = 77};
        if (im_listed_read(bad[i], strlen(bad[i]), &text))
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(text.url_len, 77);
    }
}

static void listed__url_is_canonical_and_that_of_the_hash(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"1 - 18 https://a.example/", true},
        {"1 - 3 xyzhttps://a.example/", true}, /* the form of another version of this program */
        {"1 - 3 xyzhttps://b.example/", false},
        {"1 - 3 xyzhttps://A.example/", false},
        {"1 - 3 xyzhttps://a.example:443/", false},
        {"1 - 3 xyzhttps://u@a.example/", false},
        {"1 url_scheme 3 xyz", false},
    };
    struct im_url url, got;
    assert_int_equal(im_url_read("https://a.example/", 18, 4096, &url), IM_NONE);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct im_listed_text text;
        assert_true(im_listed_read(cases[i].text, strlen(cases[i].text), &text));
        assert_int_equal(im_listed_url(&text, url.hash, &got), cases[i].good);
    }
}

static int clear(void **state)
{
    (void)state;
    nm_arena_clear(&doc);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(article__images_are_listed_in_order),
        cmocka_unit_test(article__without_images_and_retracted),
        cmocka_unit_test(article__a_bad_url_costs_its_image_only),
        cmocka_unit_test(article__a_nul_in_a_url_stays_in_its_text),
        cmocka_unit_test(article__length_of_a_url_is_bounded),
        cmocka_unit_test(article__the_first_images_are_taken),
        cmocka_unit_test(article__bad_ones_have_a_code),
        cmocka_unit_test(listed__only_what_is_written_is_read),
        cmocka_unit_test(listed__url_is_canonical_and_that_of_the_hash),
    };
    return cmocka_run_group_tests(tests, NULL, clear);
}
