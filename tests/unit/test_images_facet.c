/* test_images_facet.c - the bytes of images facets, and the text of thumbnails as it comes back from Redis. */
#include "images/images_article.h"
#include "images/images_facet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <yyjson.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ID           "136ab291632faf53215323ed8744d7a4"
#define SHA          "9f2c000000000000000000000000000000000000000000000000000000000001"
#define SHA_A        "aaaa000000000000000000000000000000000000000000000000000000000001"
#define SHA_B        "bbbb000000000000000000000000000000000000000000000000000000000001"
#define HASH         "cccc000000000000000000000000000000000000000000000000000000000001"
#define BASE         "https://img.site.example"
#define START        "{\"id\":\"" ID "\",\"facet\":\"images\",\"revision\":1933740142500000,\"data\":"

static struct nm_buf out;

static struct im_view view_of(const struct im_picture *pictures, size_t n)
{
    struct im_view view = {.how = IM_HOW_article, .revision = 1933740142500000, .content = "0", .n_images = n};
    if (n > 0)
        memcpy(view.image, pictures, n * sizeof *pictures);
    return view;
}

static struct im_picture picture(const char *text)
{
    return (struct im_picture){.text = text,
                               .text_len = strlen(text),
                               .hash = HASH,
                               .sha256 = "",
                               .type = "",
                               .etag = "",
                               .last_modified = "",
                               .thumbs = ""};
}

static struct im_picture cached(void)
{
    struct im_picture made = picture("1 - 23 https://a.example/1.jpg");
    made.state = IM_CACHED;
    made.sha256 = SHA;
    made.type = "image/jpeg";
    made.width = 1200;
    made.height = 630;
    made.bytes = 98231;
    made.thumbs = "320 320 168 jpg " SHA_A ";1000 1000 525 webp " SHA_B;
    return made;
}

static void check_view(const struct im_view *view, const char *base, const char *want)
{
    struct nm_error err = {0};
    nm_buf_adds(&out, "what was there");
    if (im_facet_write(&out, ID, view, base, &err) != NM_OK)
        fail_msg("%s", err.msg);
    if (strcmp(nm_buf_str(&out), want) != 0)
        fail_msg("\nwanted %s\ngot    %s", want, nm_buf_str(&out));
    yyjson_doc *json = yyjson_read(out.data, out.len, 0);
    assert_non_null(json);
    yyjson_doc_free(json);
}

static void check(const struct im_picture *image, const char *base, const char *want)
{
    char all[2000];
    struct im_view view = view_of(image, 1);
    (void)snprintf(all, sizeof all, START "{\"images\":[%s]}}", want);
    check_view(&view, base, all);
}

#define CACHED                                                                                                         \
    "{\"url\":\"https://a.example/1.jpg\",\"state\":\"cached\",\"isCached\":true,\"width\":1200,\"height\":630,"       \
    "\"type\":\"image/jpeg\",\"bytes\":98231,\"sha256\":\"" SHA "\""
#define CACHED_URL ",\"cachedUrl\":\"" BASE "/img/" SHA ".jpg\""

static void facet__cached_as_the_document_shows_it(void **state)
{
    (void)state;
    struct im_picture image = cached();
    check(&image, BASE,
          CACHED CACHED_URL ",\"thumbnails\":[{\"url\":\"" BASE "/t/320/" SHA
                            ".jpg\",\"width\":320,\"height\":168},{\"url\":\"" BASE "/t/1000/" SHA
                            ".webp\",\"width\":1000,\"height\":525}]}");
    check(&image, NULL, CACHED "}");
    image.thumbs = "";
    check(&image, BASE, CACHED CACHED_URL "}");
    image.thumbs = "320 jpg"; /* of another version */
    check(&image, BASE, CACHED CACHED_URL "}");
    image.reason = IM_bad_status; /* of a round that failed: not shown */
    image.next_try_ms = 1;
    check(&image, BASE, CACHED CACHED_URL "}");
}

static void facet__types_and_their_endings(void **state)
{
    (void)state;
    static const char *const types[][2] = {
        {"image/jpeg", "jpg"}, {"image/png", "png"}, {"image/gif", "gif"}, {"image/webp", "webp"}};
    for (size_t i = 0; i < COUNT(types); i++) {
        struct im_picture image = cached();
        struct nm_error err;
        char want[200];
        image.type = types[i][0];
        struct im_view view = view_of(&image, 1);
        assert_int_equal(im_facet_write(&out, ID, &view, BASE, &err), NM_OK);
        (void)snprintf(want, sizeof want, "/img/" SHA ".%s\"", types[i][1]);
        assert_non_null(strstr(nm_buf_str(&out), want));
        (void)snprintf(want, sizeof want, "\"type\":\"%s\"", types[i][0]);
        assert_non_null(strstr(nm_buf_str(&out), want));
    }
}

#define PENDING "{\"url\":\"https://a.example/\",\"state\":\"pending\",\"isCached\":false}"
#define FAILED  "{\"url\":\"https://a.example/\",\"state\":\"failed\",\"isCached\":false,\"reason\":"

static void facet__pending_and_failed(void **state)
{
    (void)state;
    static const struct {
        int state;
        enum im_reason reason;
        int64_t next_try_ms;
        const char *want;
    } cases[] = {
        {IM_PENDING, IM_NONE, 0, PENDING},
        {IM_PENDING, IM_bad_status, 1933824600000, PENDING},
        {IM_FAILED, IM_blocked_addr, 1933824600000, FAILED "\"blocked_addr\",\"nextTry\":\"2031-04-13T05:30:00Z\"}"},
        {IM_FAILED, IM_bad_status, 1933824600999, FAILED "\"bad_status\",\"nextTry\":\"2031-04-13T05:30:00Z\"}"},
        {IM_FAILED, IM_evicted, 0, FAILED "\"evicted\"}"},
        {IM_FAILED, IM_too_big, 253402300799999, FAILED "\"too_big\",\"nextTry\":\"9999-12-31T23:59:59Z\"}"},
        {IM_FAILED, IM_too_big, 253402300800000, FAILED "\"too_big\"}"},
        {IM_FAILED, IM_too_big, -1, FAILED "\"too_big\"}"},
        {IM_FAILED, IM_NONE, 1933824600000, PENDING}, /* a word of another version */
        {IM_FAILED, IM_store_full, 1933824600000, PENDING},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct im_picture image = picture("1 - 18 https://a.example/");
        image.state = cases[i].state == IM_FAILED ? IM_FAILED : IM_PENDING;
        image.reason = cases[i].reason;
        image.next_try_ms = cases[i].next_try_ms;
        image.width = 600; /* of an AVIF */
        check(&image, BASE, cases[i].want);
    }
}

static void facet__refused_url_is_shown_as_the_article_has_it(void **state)
{
    (void)state;
    struct im_picture image = picture("1 url_scheme 24 data:image/png;base64,AA");
    image.hash = "-";
    check(&image, BASE,
          "{\"url\":\"data:image/png;base64,AA\",\"state\":\"failed\",\"isCached\":false,\"reason\":\"url_scheme\"}");
    image.text = "1 url_invalid 8 \"\\\n\x01\x7f\xc3\xa9/";
    image.text_len = strlen(image.text);
    check(&image, BASE,
          "{\"url\":\"\\\"\\\\\\u000A\\u0001\x7f\xc3\xa9/\",\"state\":\"failed\",\"isCached\":false,\"reason\":"
          "\"url_invalid\"}");
    image.text = "1 url_invalid 3 a\0b";
    image.text_len = 19;
    check(&image, BASE, "{\"url\":\"a\\u0000b\",\"state\":\"failed\",\"isCached\":false,\"reason\":\"url_invalid\"}");
}

static void facet__canonical_form_is_not_shown(void **state)
{
    (void)state;
    struct im_picture image = picture("1 - 18 HTTPS://A.example/https://a.example/");
    check(&image, BASE, "{\"url\":\"HTTPS://A.example/\",\"state\":\"pending\",\"isCached\":false}");
}

static void facet__several_none_and_a_tombstone(void **state)
{
    (void)state;
    struct im_picture images[3] = {picture("1 - 18 https://a.example/"), picture("1 url_scheme 2 a:"),
                                   picture("1 - 18 https://a.example/")};
    images[1].hash = "-";
    struct im_view view = view_of(images, 3);
    check_view(&view, NULL,
               START "{\"images\":[" PENDING ",{\"url\":\"a:\",\"state\":\"failed\",\"isCached\":false,\"reason\":"
                     "\"url_scheme\"}," PENDING "]}}");
    view = view_of(NULL, 0);
    check_view(&view, NULL, START "{\"images\":[]}}");
    view.how = IM_HOW_again;
    check_view(&view, NULL, START "{\"images\":[]}}");
    view.content = "x"; /* gone before */
    check_view(&view, NULL, START "null}");
    view.content = "";
    view.how = IM_HOW_retracted;
    check_view(&view, NULL, START "null}");
}

static void refuse(const struct im_picture *image, const char *want)
{
    struct nm_error err = {0};
    struct im_view view = view_of(image, 1);
    assert_int_equal(im_facet_write(&out, ID, &view, BASE, &err), NM_FATAL);
    if (!strstr(err.msg, want) || !strstr(err.msg, ID))
        fail_msg("%s", err.msg);
}

static void facet__never_true_without_a_whole_object(void **state)
{
    (void)state;
    struct im_picture image;
#define BREAK(member, value)                                                                                           \
    do {                                                                                                               \
        image = cached();                                                                                              \
        image.member = value;                                                                                          \
        refuse(&image, "not whole");                                                                                   \
    } while (0)
    BREAK(sha256, "");
    BREAK(sha256, "9F2C000000000000000000000000000000000000000000000000000000000001");
    BREAK(sha256, SHA "0");
    BREAK(type, "");
    BREAK(type, "image/avif");
    BREAK(type, "image/jpeg\",\"x\":\"");
    BREAK(width, 0);
    BREAK(width, 65536);
    BREAK(height, 0);
    BREAK(height, 65536);
    BREAK(bytes, 0);
    BREAK(bytes, (int64_t)1 << 53);
#undef BREAK
    image = cached();
    image.text = "1 url_scheme 2 a:";
    image.text_len = strlen(image.text);
    image.hash = "-";
    refuse(&image, "not whole");
    image = picture("1 url_scheme 2 a:"); /* with the hash of a good one */
    refuse(&image, "cannot be read");
    image = picture("1 - 18 https://a.example/");
    image.hash = "-";
    refuse(&image, "cannot be read");
    image = picture("{\"width\":640}");
    refuse(&image, "cannot be read");
}

static void thumbs__are_written_smallest_first_and_read_back(void **state)
{
    (void)state;
    static const struct im_thumb_file files[] = {
        {1200, 1200, 630, false, SHA_A}, {10, 10, 1, true, SHA_B}, {320, 168, 320, false, SHA}};
    struct im_thumb_file got[IM_THUMBS];
    char text[IM_THUMBS_MAX];
    size_t n = 77;
    size_t len = im_thumbs_text_write(files, 3, text);
    assert_string_equal(text, "10 10 1 webp " SHA_B ";320 168 320 jpg " SHA ";1200 1200 630 jpg " SHA_A);
    assert_int_equal(len, strlen(text));
    assert_true(im_thumbs_text_read(text, got, &n));
    assert_int_equal(n, 3);
    assert_memory_equal(&got[0], &files[1], sizeof *files);
    assert_memory_equal(&got[1], &files[2], sizeof *files);
    assert_memory_equal(&got[2], &files[0], sizeof *files);
    assert_int_equal(im_thumbs_text_write(files, 0, text), 0);
    assert_true(im_thumbs_text_read(text, got, &n));
    assert_int_equal(n, 0);
}

static void thumbs__as_many_as_there_may_be_fit(void **state)
{
    (void)state;
    struct im_thumb_file files[IM_THUMBS], got[IM_THUMBS];
    char text[IM_THUMBS_MAX], more[IM_THUMBS_MAX + 100];
    size_t n = 0;
    for (int i = 0; i < IM_THUMBS; i++)
        files[i] = (struct im_thumb_file){IM_THUMB_EDGE_MAX - i, 65535, 65535, true, SHA};
    assert_true(im_thumbs_text_write(files, IM_THUMBS, text) < IM_THUMBS_MAX / 2);
    assert_true(im_thumbs_text_read(text, got, &n));
    assert_int_equal(n, IM_THUMBS);
    (void)snprintf(more, sizeof more, "10 10 1 webp " SHA ";%s", text);
    assert_false(im_thumbs_text_read(more, got, &n));
}

static void thumbs__anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        " ",
        ";",
        "320 jpg",
        "320 320 168 jpg " SHA ";",
        ";320 320 168 jpg " SHA,
        "320 320 168 jpg " SHA " ",
        "320 320 168 jpg " SHA "0",
        "320 320 168 jpg 9f2c",
        "320 320 168 jpg 9F2C000000000000000000000000000000000000000000000000000000000001",
        "320 320 168 png " SHA,
        "320 320 168  jpg " SHA,
        "320 0 168 jpg " SHA,
        "320 320 0168 jpg " SHA,
        "320 320 65536 jpg " SHA,
        "320 99999999999 168 jpg " SHA,
        "320 -1 168 jpg " SHA,
        "9 9 9 jpg " SHA,
        "4097 9 9 jpg " SHA,
        "320 320 168 jpg " SHA ";320 320 168 jpg " SHA,
        "320 320 168 jpg " SHA ";300 300 168 jpg " SHA,
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct im_thumb_file got[IM_THUMBS] = {{.edge = 5}};
        size_t n = 77;
        if (im_thumbs_text_read(bad[i], got, &n))
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(n, 77);
        assert_int_equal(got[0].edge, 5);
    }
}

static int clear(void **state)
{
    (void)state;
    nm_buf_clear(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facet__cached_as_the_document_shows_it),
        cmocka_unit_test(facet__types_and_their_endings),
        cmocka_unit_test(facet__pending_and_failed),
        cmocka_unit_test(facet__refused_url_is_shown_as_the_article_has_it),
        cmocka_unit_test(facet__canonical_form_is_not_shown),
        cmocka_unit_test(facet__several_none_and_a_tombstone),
        cmocka_unit_test(facet__never_true_without_a_whole_object),
        cmocka_unit_test(thumbs__are_written_smallest_first_and_read_back),
        cmocka_unit_test(thumbs__as_many_as_there_may_be_fit),
        cmocka_unit_test(thumbs__anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, clear);
}
