/* test_images_fetch.c - transfers of images: the request that is sent, what comes back, budgets, statuses, validators.
 * Numbers T.. are those of the catalogue of hostile cases. */
#include "images_fetch_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

static bool serve_plain(struct conn *c)
{
    int status = 0;
    if (is_path(c, "/ok"))
        return say_image(
            c, "Content-Type: image/png\r\nETag: W/\"a-1\"\r\nLast-Modified: Tue, 14 Nov 2023 10:00:00 GMT\r\n"
               "Cache-Control: public, max-age=7200\r\n");
    if (is_path(c, "/chunked")) {
        struct nm_buf png = {0};
        put_png(&png, 64, 48, 8, 2, 0);
        bool ok = say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (size_t i = 0; ok && i < png.len; i++)
            ok = say(c, "1\r\n") && say_bytes(c, png.data + i, 1) && say(c, "\r\n");
        nm_buf_clear(&png);
        return ok && say(c, "0\r\n\r\n");
    }
    if (is_path(c, "/etag") || is_path(c, "/304"))
        return strstr(c->request, "If-None-Match: \"v1\"\r\n") || is_path(c, "/304")
                   ? say(c, "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n\r\n")
                   : say_image(c, "");
    if (is_path(c, "/bad-etag"))
        return say_image(c, "ETag: \"a b\"\r\nLast-Modified: yesterday\r\n");
    if (is_numbered(c, "/status/", &status))
        return say(c, "HTTP/1.1 %d X\r\nContent-Length: 4\r\n\r\nGIF8", status) && status >= 200;
    if (strncmp(c->path, "/later/", 7) == 0)
        return say(c, "HTTP/1.1 %.3s X\r\nContent-Length: 0\r\n", c->path + 7) &&
               (!c->path[10] || say(c, "Retry-After: %s\r\n", c->path + 11)) && say(c, "\r\n");
    return say_image(c, "");
}

static void fetch__request_headers_are_exactly_these(void **state)
{
    (void)state;
    struct rig rig;
    char want[512];
    rig_open(&rig, serve_plain);
    check_case(&rig, "/a/../b.png?x=1&y#f", "body");
    (void)snprintf(want, sizeof want,
                   "GET /b.png?x=1&y HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                   "User-Agent: newsmill/test (+https://news.example/about)\r\n"
                   "Accept: image/webp,image/png,image/jpeg,image/gif;q=0.8\r\nAccept-Encoding: identity\r\n\r\n",
                   rig.server.port);
    assert_string_equal(rig.server.last, want);
    rig_close(&rig);
}

/* T7, T14: the longest URL is sent as it is. */
static void fetch__long_url_and_upper_case_scheme(void **state)
{
    (void)state;
    struct rig rig;
    char url[5001];
    rig_open(&rig, serve_plain);
    int n = snprintf(url, sizeof url, "HTTP://127.0.0.1:%d/", rig.server.port);
    memset(url + n, 'a', sizeof url - (size_t)n - 1);
    url[5000] = '\0';
    check_case(&rig, url, "url_invalid");
    assert_int_equal(n_requests(&rig.server), 0);
    url[4096] = '\0';
    check_case(&rig, url, "body");
    assert_int_equal(strcspn(rig.server.last + 4, " "), 4096 - (size_t)n + 1);
    rig_close(&rig);
}

static void fetch__image_arrives_whole(void **state)
{
    (void)state;
    struct rig rig;
    struct nm_buf png = {0};
    put_png(&png, 640, 480, 8, 2, 0);
    rig_open(&rig, serve_plain);
    struct im_fetched f = fetch_with(&rig, "/ok", (struct im_fetch_request){.token = &png});
    assert_int_equal(f.outcome, IM_FETCH_BODY);
    assert_ptr_equal(f.token, &png);
    assert_int_equal(f.status, 200);
    assert_int_equal(f.hops, 0);
    assert_int_equal(f.bytes, png.len);
    assert_int_equal(f.received, png.len);
    assert_int_equal(f.fd, -1);
    assert_non_null(f.data);
    assert_memory_equal(f.data, png.data, png.len);
    assert_int_equal(f.facts.type, IM_PNG);
    assert_int_equal(f.facts.width, 640);
    assert_string_equal(f.declared, "image/png");
    assert_string_equal(f.etag, "W/\"a-1\"");
    assert_string_equal(f.last_modified, "Tue, 14 Nov 2023 10:00:00 GMT");
    assert_int_equal(f.max_age_s, 7200);
    assert_string_equal(f.host, "127.0.0.1");
    assert_string_equal(f.address, "127.0.0.1");
    im_fetcher_release(rig.fetcher, &f);
    check_case(&rig, "/chunked", "body");
    nm_buf_clear(&png);
    rig_close(&rig);
}

/* A PNG header, then bytes that tell where they stand; with a Content-Length or without. */
static bool serve_large(struct conn *c)
{
    int bytes = 0;
    bool told = is_numbered(c, "/told/", &bytes);
    if (!told && !is_numbered(c, "/untold/", &bytes))
        return false;
    struct nm_buf png = {0};
    put_png(&png, 640, 480, 8, 2, 0);
    while (png.len < (size_t)bytes)
        nm_buf_addc(&png, (char)(png.len * 31 >> 8 ^ png.len));
    png.len = (size_t)bytes;
    bool ok = (told ? say(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", bytes)
                    : say(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")) &&
              say_bytes(c, png.data, png.len);
    nm_buf_clear(&png);
    return ok && told;
}

/* Every byte in its place, in memory or in a file that has no name. */
static void expect_body(const struct im_fetched *f, int bytes, bool in_memory)
{
    struct nm_buf want = {0};
    assert_int_equal(f->outcome, IM_FETCH_BODY);
    assert_int_equal(f->bytes, bytes);
    assert_int_equal(f->data != NULL, in_memory);
    assert_int_equal(f->fd < 0, in_memory);
    uint8_t *got = in_memory ? f->data : malloc((size_t)bytes);
    if (!in_memory) {
        struct stat info;
        assert_int_equal(fstat(f->fd, &info), 0);
        assert_int_equal(info.st_nlink, 0); /* nothing is left behind by a crash */
        assert_int_equal(info.st_mode & 0777, 0600);
        assert_int_equal(info.st_size, bytes);
        assert_int_equal(read(f->fd, got, (size_t)bytes), bytes);
    }
    put_png(&want, 640, 480, 8, 2, 0);
    while (want.len < (size_t)bytes)
        nm_buf_addc(&want, (char)(want.len * 31 >> 8 ^ want.len));
    assert_memory_equal(got, want.data, (size_t)bytes);
    if (!in_memory)
        free(got);
    nm_buf_clear(&want);
}

static void fetch__large_body_goes_on_in_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int bytes;
        bool in_memory;
    } cases[] = {{"/told/65536", 65536, true},     {"/untold/65537", 65537, true},    {"/told/100000", 100000, true},
                 {"/untold/200000", 200000, true}, {"/told/262144", 262144, true},    {"/untold/262144", 262144, true},
                 {"/told/262145", 262145, false},  {"/untold/262145", 262145, false}, {"/told/1000000", 1000000, false},
                 {"/untold/700001", 700001, false}};
    struct rig rig;
    rig_open(&rig, serve_large);
    for (size_t i = 0; i < N(cases); i++) {
        struct im_fetched f = fetch(&rig, cases[i].path);
        expect_body(&f, cases[i].bytes, cases[i].in_memory);
        im_fetcher_release(rig.fetcher, &f);
    }
    rig_close(&rig);
}

/* Bodies that were taken count until they are released: beyond the bound the next ones are files. */
static void fetch__bodies_in_memory_are_bounded(void **state)
{
    (void)state;
    enum { BYTES = 250000, FIT = IM_BODIES_BYTES / BYTES };
    struct rig rig;
    struct im_fetched held[FIT];
    rig_open(&rig, serve_large);
    rig.limits.temp_bytes = (int64_t)2 * IM_BODIES_BYTES;
    for (int i = 0; i < FIT; i++) {
        held[i] = fetch(&rig, "/told/250000");
        expect_body(&held[i], BYTES, true);
    }
    struct im_fetched f = fetch(&rig, "/told/250000");
    expect_body(&f, BYTES, false);
    im_fetcher_release(rig.fetcher, &f);
    f = fetch(&rig, "/untold/250000");
    expect_body(&f, BYTES, false);
    im_fetcher_release(rig.fetcher, &f);
    f = fetch(&rig, "/told/60000"); /* for heads there is always room */
    expect_body(&f, 60000, true);
    im_fetcher_release(rig.fetcher, &f);
    for (int i = 0; i < FIT; i++)
        im_fetcher_release(rig.fetcher, &held[i]);
    f = fetch(&rig, "/told/250000");
    expect_body(&f, BYTES, true);
    im_fetcher_release(rig.fetcher, &f);
    rig_close(&rig);
}

/* T85, T86, T95, T92 and R7: which statuses are refused, and which may pass. */
static void fetch__status_decides(void **state)
{
    (void)state;
    static const struct {
        const char *want;
        int status;
        bool again;
    } cases[] = {
        {"bad_status", 201, false}, {"bad_status", 203, false},  {"bad_status", 206, false}, {"bad_status", 300, false},
        {"bad_status", 304, false}, {"bad_status", 305, false},  {"bad_status", 400, false}, {"bad_status", 401, false},
        {"bad_status", 403, false}, {"bad_status", 404, false},  {"bad_status", 408, true},  {"bad_status", 410, false},
        {"bad_status", 425, true},  {"rate_limited", 429, true}, {"bad_status", 451, false}, {"bad_status", 500, true},
        {"bad_status", 502, true},  {"bad_status", 503, true},   {"bad_status", 504, true},  {"bad_status", 522, true},
        {"bad_status", 524, true},  {"bad_status", 204, false},  {"bad_status", 205, false}};
    struct rig rig;
    char path[32];
    rig_open(&rig, serve_plain);
    for (size_t i = 0; i < N(cases); i++) {
        (void)snprintf(path, sizeof path, "/status/%d", cases[i].status);
        struct im_fetched f = fetch(&rig, path);
        if (strcmp(outcome_name(&f), cases[i].want) != 0 || f.try_again != cases[i].again ||
            f.status != cases[i].status)
            fail_msg("%d: %s, again %d, status %d", cases[i].status, outcome_name(&f), f.try_again, f.status);
    }
    rig_close(&rig);
}

/* T88 to T90: Retry-After as it comes back, in ms. */
static void fetch__retry_after_is_clamped(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int64_t ms;
    } cases[] = {{"/later/429/120", 120000},
                 {"/later/429", 60000},
                 {"/later/429/garbage", 60000},
                 {"/later/429/99999999999", 3600000},
                 {"/later/429/0", 1000},
                 {"/later/503/30", 30000},
                 {"/later/503", 0},
                 {"/later/404/30", 0}};
    struct rig rig;
    rig_open(&rig, serve_plain);
    for (size_t i = 0; i < N(cases); i++) {
        struct im_fetched f = fetch(&rig, cases[i].path);
        if (f.retry_after_ms != cases[i].ms)
            fail_msg("%s: %lld", cases[i].path, (long long)f.retry_after_ms);
    }
    rig_close(&rig);
}

/* T91 to T93. */
static void fetch__validators(void **state)
{
    (void)state;
    struct rig rig;
    char long_etag[10240];
    memset(long_etag, 'x', sizeof long_etag);
    long_etag[0] = long_etag[sizeof long_etag - 2] = '"';
    long_etag[sizeof long_etag - 1] = '\0';
    rig_open(&rig, serve_plain);
    struct im_fetched f = fetch_with(&rig, "/etag", (struct im_fetch_request){.etag = "\"v1\""});
    assert_string_equal(outcome_name(&f), "unchanged");
    assert_int_equal(f.max_age_s, 60);
    assert_int_equal(f.fd, -1);
    f = fetch_with(&rig, "/etag", (struct im_fetch_request){.last_modified = "Tue, 14 Nov 2023 10:00:00 GMT"});
    assert_string_equal(outcome_name(&f), "body");
    assert_non_null(strstr(rig.server.last, "\r\nIf-Modified-Since: Tue, 14 Nov 2023 10:00:00 GMT\r\n"));
    im_fetcher_release(rig.fetcher, &f);
    check_case(&rig, "/304", "bad_status"); /* T92 */
    static const char *const bad[] = {"v1", "\"a\r\nX-Evil: 1\"", "\"", ""};
    for (size_t i = 0; i <= N(bad); i++) {
        f = fetch_with(&rig, "/304", (struct im_fetch_request){.etag = i < N(bad) ? bad[i] : long_etag});
        assert_string_equal(outcome_name(&f), "bad_status"); /* T93: nothing was sent that 304 could answer */
        assert_null(strstr(rig.server.last, "If-None-Match"));
        assert_null(strstr(rig.server.last, "Evil"));
    }
    f = fetch(&rig, "/bad-etag");
    assert_string_equal(f.etag, "");
    assert_string_equal(f.last_modified, "");
    im_fetcher_release(rig.fetcher, &f);
    rig_close(&rig);
}

static enum nm_status try_start(struct rig *rig)
{
    struct im_url url;
    uint64_t id;
    struct nm_error err = {0};
    assert_int_equal(url_of(rig, "/ok", &url), IM_NONE);
    enum nm_status status = im_fetcher_start(rig_fetcher(rig), &(struct im_fetch_request){.url = &url}, &id, &err);
    assert_int_equal(status == NM_OK, *err.msg == '\0');
    return status;
}

static void fetch__budgets_refuse_what_is_too_much(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, serve_plain);
    rig.limits.in_flight_items = 3;
    assert_int_equal(try_start(&rig), NM_OK);
    assert_int_equal(try_start(&rig), NM_OK);
    rig.limits.in_flight_bytes = 2 * IM_FETCH_TRANSFER_BYTES;
    assert_int_equal(try_start(&rig), NM_RETRY);
    rig.limits.in_flight_bytes = 64 * IM_FETCH_TRANSFER_BYTES;
    assert_int_equal(try_start(&rig), NM_OK);
    assert_int_equal(try_start(&rig), NM_RETRY); /* items */
    assert_int_equal(im_fetcher_in_flight(rig.fetcher), 3);
    struct im_fetched f[3];
    for (size_t i = 0; i < N(f); i++) {
        f[i] = wait_one(&rig);
        assert_int_equal(f[i].outcome, IM_FETCH_BODY);
    }
    rig.limits.temp_bytes = rig.limits.body_bytes + 2 * f[0].bytes; /* three files are there still */
    assert_int_equal(try_start(&rig), NM_RETRY);
    for (size_t i = 0; i < N(f); i++)
        im_fetcher_release(rig.fetcher, &f[i]);
    assert_int_equal(try_start(&rig), NM_OK);
    assert_int_equal(try_start(&rig), NM_RETRY); /* the first has reserved body_bytes */
    f[0] = wait_one(&rig);
    im_fetcher_release(rig.fetcher, &f[0]);
    rig_close(&rig);
}

static bool serve_never(struct conn *c)
{
    (void)pace(c, -1);
    return false;
}

static void fetch__cancelled_transfer_has_no_result(void **state)
{
    (void)state;
    struct rig rig;
    struct im_fetched f;
    rig_open(&rig, serve_never);
    uint64_t a = start(&rig, "/a", (struct im_fetch_request){0}), b = start(&rig, "/b", (struct im_fetch_request){0});
    while (n_requests(&rig.server) < 2)
        turn(rig.fetcher);
    assert_true(im_fetcher_cancel(rig.fetcher, a));
    assert_false(im_fetcher_cancel(rig.fetcher, a));
    assert_int_equal(im_fetcher_in_flight(rig.fetcher), 1);
    assert_false(im_fetcher_take(rig.fetcher, &f));
    assert_true(im_fetcher_cancel(rig.fetcher, b));
    assert_int_equal(im_fetcher_timeout_ms(rig.fetcher) <= 10000, 1);
    rig_close(&rig); /* its server threads end only if the connections are closed */
}

static void fetch__many_at_once_all_arrive(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, serve_plain);
    for (int i = 0; i < 60; i++)
        (void)start(&rig, "/ok", (struct im_fetch_request){0});
    for (int i = 0; i < 60; i++) {
        struct im_fetched f = wait_one(&rig);
        assert_int_equal(f.outcome, IM_FETCH_BODY);
        im_fetcher_release(rig.fetcher, &f);
    }
    assert_int_equal(im_fetcher_in_flight(rig.fetcher), 0);
    assert_int_equal(n_requests(&rig.server), 60);
    rig_close(&rig);
}

static void fetch__bad_settings_are_refused(void **state)
{
    (void)state;
    struct rig rig;
    struct im_fetcher *fetcher = NULL;
    struct nm_error err;
    rig_open(&rig, serve_plain);
    rig.config.temp_dir = "/nowhere/at/all";
    assert_int_equal(im_fetcher_open(&rig.config, &fetcher, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "/nowhere/at/all"));
    rig.config.temp_dir = P_tmpdir;
    rig.config.user_agent = "a\r\nX-Evil: 1";
    assert_int_equal(im_fetcher_open(&rig.config, &fetcher, &err), NM_CONFIG);
    rig.config.user_agent = "a";
    rig.limits.total_ms = 0;
    assert_int_equal(im_fetcher_open(&rig.config, &fetcher, &err), NM_CONFIG);
    assert_null(fetcher);
    im_fetcher_close(NULL);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetch__request_headers_are_exactly_these),
        cmocka_unit_test(fetch__long_url_and_upper_case_scheme),
        cmocka_unit_test(fetch__image_arrives_whole),
        cmocka_unit_test(fetch__large_body_goes_on_in_a_file),
        cmocka_unit_test(fetch__bodies_in_memory_are_bounded),
        cmocka_unit_test(fetch__status_decides),
        cmocka_unit_test(fetch__retry_after_is_clamped),
        cmocka_unit_test(fetch__validators),
        cmocka_unit_test(fetch__budgets_refuse_what_is_too_much),
        cmocka_unit_test(fetch__cancelled_transfer_has_no_result),
        cmocka_unit_test(fetch__many_at_once_all_arrive),
        cmocka_unit_test(fetch__bad_settings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
