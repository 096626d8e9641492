/* test_images_fetch_redirect.c - redirects: how many, where to, what of them is kept. Numbers T.. are those of the
 * catalogue of hostile cases. */
#include "images_fetch_fixture.h"

/* What "/l/N" answers as Location, and what comes of it. %d: a port. */
static const struct {
    const char *location;
    bool canary; /* the port is that of a canary */
    const char *want, *path;
} locations[] = {
    {"file:///etc/passwd", false, "redirect_bad", NULL}, /* T47 */
    {"gopher://127.0.0.1:%d/_x", false, "redirect_bad", NULL},
    {"ftp://127.0.0.1:%d/x", false, "redirect_bad", NULL},
    {"data:image/png;base64,AAAA", false, "redirect_bad", NULL},
    {"//[::1]:%d/", true, "blocked_addr", NULL}, /* T49 */
    {"http://0x7f.1:%d/", true, "blocked_addr", NULL},
    {"http://u:p@127.0.0.1:%d/ok", false, "url_userinfo", NULL}, /* T50 */
    {"", false, "redirect_bad", NULL},                           /* T51 */
    {"http://", false, "redirect_bad", NULL},
    {"ok", false, "body", "/l/ok"}, /* T52 */
    {"/ok", false, "body", "/ok"},
    {"?x", false, "body", "/l/11?x"},
    {"../b", false, "body", "/b"},
    {"//127.0.0.1:%d/ok", false, "body", "/ok"},
    {"http://127.0.0.1:%d/a#frag", false, "body", "/a"},
    {"/a b", false, "body", "/a%20b"}, /* T53 */
    {"/b\xc3\xbc", false, "body", "/b%C3%BC"},
    {"/a\rX-Evil: 1", false, "redirect_bad", NULL},
    {"\\\\127.0.0.1:%d\\ok", true, "redirect_bad", NULL},        /* T54 */
    {"/%0d%0aSET%20x%201", false, "body", "/%0D%0ASET%20x%201"}, /* T17 */
    {"/a%00b", false, "redirect_bad", NULL},                     /* T12 */
};

static bool serve_hops(struct conn *c)
{
    int n = 0;
    if (is_numbered(c, "/chain/", &n) && n > 0)
        return say(c, "HTTP/1.1 302 Found\r\nLocation: %d\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nno", n - 1);
    if (is_path(c, "/self"))
        return say(c, "HTTP/1.1 302 Found\r\nLocation: /self\r\nContent-Length: 0\r\n\r\n");
    if (is_path(c, "/none"))
        return say(c, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
    if (is_numbered(c, "/code/", &n))
        return say(c, "HTTP/1.1 %d X\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", n);
    if (is_numbered(c, "/slow/", &n))
        return pace(c, 250) && say(c, "HTTP/1.1 302 Found\r\nLocation: %d\r\nContent-Length: 0\r\n\r\n", n + 1);
    if (is_path(c, "/two"))
        return say(c, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nLocation: /self\r\nContent-Length: 0\r\n\r\n");
    if (is_path(c, "/big")) {
        static const char zeros[16384];
        bool ok = say(c, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 20000000\r\n\r\n");
        for (size_t sent = 0; ok && sent < 20000000; sent += sizeof zeros)
            ok = say_bytes(c, zeros, sizeof zeros);
        return false;
    }
    if (is_path(c, "/short"))
        return say(c, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 100\r\n\r\nless") && false;
    return say_image(c, "");
}

static struct rig *current; /* for the ports in Location */

static bool serve_location(struct conn *c)
{
    int i = 0;
    char value[256];
    if (!is_numbered(c, "/l/", &i) || i < 0 || i >= (int)N(locations))
        return say_image(c, "");
    int port = locations[i].canary ? current->canary_port : c->server->port;
    const char *at = strstr(locations[i].location, "%d");
    if (at)
        (void)snprintf(value, sizeof value, "%.*s%d%s", (int)(at - locations[i].location), locations[i].location, port,
                       at + 2);
    else
        (void)snprintf(value, sizeof value, "%s", locations[i].location);
    return say(c, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", value);
}

/* T47, T49 to T54, T12, T17. */
static void fetch_redirect__location_is_read_by_our_parser(void **state)
{
    (void)state;
    struct rig rig;
    char path[32], line[128];
    rig_open(&rig, serve_location);
    current = &rig;
    for (size_t i = 0; i < N(locations); i++) {
        (void)snprintf(path, sizeof path, "/l/%zu", i);
        int before = n_requests(&rig.server);
        struct im_fetched f = fetch(&rig, path);
        if (strcmp(outcome_name(&f), locations[i].want) != 0)
            fail_msg("'%s': %s", locations[i].location, outcome_name(&f));
        assert_int_equal(n_requests(&rig.server) - before, locations[i].path ? 2 : 1);
        if (locations[i].path) {
            (void)snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n", locations[i].path);
            assert_memory_equal(rig.server.last, line, strlen(line));
        }
        assert_null(strstr(rig.server.last, "Evil"));
        im_fetcher_release(rig.fetcher, &f);
    }
    rig_close(&rig);
}

/* T45, T46, T51. */
static void fetch_redirect__hops_are_counted(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, serve_hops);
    struct im_fetched f = fetch(&rig, "/chain/3");
    assert_string_equal(outcome_name(&f), "body");
    assert_int_equal(f.hops, 3);
    assert_int_equal(f.received - f.bytes, 3 * 2); /* "no" of each hop */
    im_fetcher_release(rig.fetcher, &f);
    int before = n_requests(&rig.server);
    check_case(&rig, "/chain/4", "redirect_limit");
    assert_int_equal(n_requests(&rig.server) - before, 4);
    check_case(&rig, "/self", "redirect_limit");
    check_case(&rig, "/none", "redirect_bad");
    check_case(&rig, "/two", "body");
    check_case(&rig, "/short", "body"); /* what becomes of a redirect's body is all the same */
    rig.limits.max_hops = 0;
    check_case(&rig, "/chain/1", "redirect_limit");
    check_case(&rig, "/chain/0", "body");
    rig_close(&rig);
}

/* T56: always GET; other codes with a Location lead nowhere. */
static void fetch_redirect__codes(void **state)
{
    (void)state;
    static const int good[] = {301, 302, 303, 307, 308}, bad[] = {201, 300, 304, 305, 306, 309, 404};
    struct rig rig;
    char path[32];
    rig_open(&rig, serve_hops);
    for (size_t i = 0; i < N(good); i++) {
        (void)snprintf(path, sizeof path, "/code/%d", good[i]);
        check_case(&rig, path, "body");
        assert_memory_equal(rig.server.last, "GET /ok HTTP/1.1\r\n", 18);
    }
    for (size_t i = 0; i < N(bad); i++) {
        (void)snprintf(path, sizeof path, "/code/%d", bad[i]);
        check_case(&rig, path, "bad_status");
    }
    rig_close(&rig);
}

/* T57, T58: nothing of an answer comes back with the next request. */
static void fetch_redirect__next_request_carries_nothing_over(void **state)
{
    (void)state;
    struct rig rig;
    char want[512];
    rig_open(&rig, serve_hops);
    check_case(&rig, "/chain/1", "body");
    (void)snprintf(want, sizeof want,
                   "GET /chain/0 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                   "User-Agent: newsmill/test (+https://news.example/about)\r\n"
                   "Accept: image/webp,image/png,image/jpeg,image/gif;q=0.8\r\nAccept-Encoding: identity\r\n\r\n",
                   rig.server.port);
    assert_string_equal(rig.server.last, want);
    rig_close(&rig);
}

/* T59: one budget for all hops. */
static void fetch_redirect__slow_hops_share_one_budget(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, serve_hops);
    rig.limits.total_ms = 600;
    struct im_fetched f = fetch(&rig, "/slow/0");
    assert_string_equal(outcome_name(&f), "timeout_total");
    assert_in_range(f.hops, 0, 2);
    assert_true(f.spent_ms >= 590); /* libcurl's clock is another one */
    assert_true(f.try_again);
    rig_close(&rig);
}

/* T60. */
static void fetch_redirect__large_body_is_not_read(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, serve_hops);
    struct im_fetched f = fetch(&rig, "/big");
    assert_string_equal(outcome_name(&f), "body");
    assert_in_range(f.received, 65536, 65536 + 2 * 16384);
    im_fetcher_release(rig.fetcher, &f);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetch_redirect__location_is_read_by_our_parser),
        cmocka_unit_test(fetch_redirect__hops_are_counted),
        cmocka_unit_test(fetch_redirect__codes),
        cmocka_unit_test(fetch_redirect__next_request_carries_nothing_over),
        cmocka_unit_test(fetch_redirect__slow_hops_share_one_budget),
        cmocka_unit_test(fetch_redirect__large_body_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
