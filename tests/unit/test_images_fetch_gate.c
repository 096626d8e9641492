/* test_images_fetch_gate.c - which addresses a fetch connects to: every spelling of a loopback address, directly and by
 * a redirect, against canaries that nobody may reach. Numbers T.. are those of the catalogue of hostile cases. */
#include "images_fetch_fixture.h"

/* "/to/URL" redirects there. */
static bool serve_redirect(struct conn *c)
{
    if (strncmp(c->path, "/to/", 4) == 0)
        return say(c, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", c->path + 4);
    return say_image(c, "");
}

/* In a case: "A" the server's port, "B" the port of the canary, both after a colon. */
static void put_ports(const struct rig *rig, const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (const char *c = text; *c; c++) {
        bool is_port = c > text && c[-1] == ':' && (*c == 'A' || *c == 'B') && (c[1] == '/' || c[1] == '\0');
        int wrote = is_port ? snprintf(out + n, size - n, "%d", *c == 'A' ? rig->server.port : rig->canary_port)
                            : snprintf(out + n, size - n, "%c", *c);
        n += (size_t)wrote;
    }
}

/* Each spelling directly and as the target of a redirect; the canaries are looked at in rig_close(). */
static void check_both(struct rig *rig, const struct fetch_case *cases, size_t n)
{
    char text[512], redirect[600];
    for (size_t i = 0; i < n; i++) {
        put_ports(rig, cases[i].text, text, sizeof text);
        check_case(rig, text, cases[i].want);
        (void)snprintf(redirect, sizeof redirect, "/to/%s", text);
        struct im_fetched f = fetch(rig, redirect);
        if (strcmp(outcome_name(&f), cases[i].want) != 0 || f.hops != 1)
            fail_msg("redirect to %s: %s, hop %d", text, outcome_name(&f), f.hops);
        assert_false(f.try_again && strcmp(cases[i].want, "blocked_addr") == 0);
        assert_int_equal(canary_hits(rig), 0);
    }
}

static void fetch_gate__every_spelling_of_loopback_is_blocked(void **state)
{
    (void)state;
    static const struct fetch_case cases[] = {
        {"http://127.0.0.1:B/", "blocked_addr"},            /* T23 */
        {"http://127.0.0.2:A/", "blocked_addr"},            /* T24 */
        {"http://2130706433:B/", "blocked_addr"},           /* T25 */
        {"http://0x7f000001:B/", "blocked_addr"},           /* T26 */
        {"http://0x7f.1:B/", "blocked_addr"},               /* T26 */
        {"http://017700000001:B/", "blocked_addr"},         /* T27 */
        {"http://0177.0.0.1:B/", "blocked_addr"},           /* T27 */
        {"http://127.1:B/", "blocked_addr"},                /* T28 */
        {"http://0:B/", "blocked_addr"},                    /* T28 */
        {"http://0.0.0.0:B/", "blocked_addr"},              /* T28 */
        {"http://%31%32%37.0.0.1:B/", "blocked_addr"},      /* T29 */
        {"http://localhost:B/", "blocked_addr"},            /* T31 */
        {"http://foo.localhost:B/", "blocked_addr"},        /* T31 */
        {"http://[::1]:A/", "blocked_addr"},                /* T32 */
        {"http://[::]:B/", "blocked_addr"},                 /* T32 */
        {"http://[::ffff:127.0.0.1]:A/", "blocked_addr"},   /* T33: although 127.0.0.1:A is allowed */
        {"http://[::ffff:7f00:1]:A/", "blocked_addr"},      /* T33 */
        {"http://[::127.0.0.1]:B/", "blocked_addr"},        /* T34 */
        {"http://[::ffff:0:127.0.0.1]:B/", "blocked_addr"}, /* T34 */
        {"http://169.254.169.254/", "blocked_addr"},        /* T38, T48; nothing leaves the machine */
        {"http://[fd00:ec2::254]/", "blocked_addr"},        /* T38 */
        {"http://168.63.129.16/", "blocked_addr"},          /* T38 */
        {"http://[64:ff9b::a9fe:a9fe]/", "blocked_addr"},   /* T35 */
        {"http://10.0.0.1/", "blocked_addr"},               /* T39 */
        {"http://9.255.255.255:6379/", "url_port"},         /* T16: a public address, another port */
    };
    struct rig rig;
    rig_open(&rig, serve_redirect);
    check_both(&rig, cases, N(cases));
    rig_close(&rig);
}

static void fetch_gate__foreign_digits_and_dots_are_blocked(void **state)
{
    (void)state;
    static const struct fetch_case cases[] = {
        /* T30 */
        {"http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460:B/", "blocked_addr"},
        {"http://127\u30020\u30020\u30021:B/", "blocked_addr"},
        {"http://\u24c1\u24c4\u24b8\u24b6\u24c1\u24bd\u24c4\u24c8\u24c9:B/", "blocked_addr"},
    };
    struct rig rig;
    rig_open(&rig, serve_redirect);
    check_both(&rig, cases, N(cases));
    rig_close(&rig);
}

/* T1 to T4, T8, T9, T11: nothing is sent for what is no URL of an image. */
static void fetch_gate__other_schemes_and_user_names_send_nothing(void **state)
{
    (void)state;
    static const struct fetch_case cases[] = {
        {"file:///etc/passwd", "url_scheme"},
        {"gopher://127.0.0.1:A/_x", "url_scheme"},
        {"data:image/png;base64,AAAA", "url_scheme"},
        {"javascript:alert(1)", "url_scheme"},
        {"http://user:pw@127.0.0.1:A/ok", "url_userinfo"},
        {"http://good.example@127.0.0.1:B/", "url_userinfo"},
        {"http://127.0.0.1:A\\@good.example/ok", "url_invalid"},
    };
    struct rig rig;
    char text[512];
    rig_open(&rig, serve_redirect);
    for (size_t i = 0; i < N(cases); i++) {
        put_ports(&rig, cases[i].text, text, sizeof text);
        check_case(&rig, text, cases[i].want);
    }
    (void)snprintf(text, sizeof text, "http://127.0.0.1:%d#@good.example/", rig.canary_port);
    check_case(&rig, text, "blocked_addr"); /* T9 */
    assert_int_equal(n_requests(&rig.server), 0);
    rig_close(&rig);
}

/* T43. */
static void fetch_gate__proxy_of_the_environment_is_ignored(void **state)
{
    (void)state;
    static const char *const names[] = {"http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"};
    struct rig rig;
    char proxy[64];
    rig_open(&rig, serve_redirect);
    (void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", rig.canary_port);
    for (size_t i = 0; i < N(names); i++)
        assert_int_equal(setenv(names[i], proxy, 1), 0);
    check_case(&rig, "/ok", "body");
    for (size_t i = 0; i < N(names); i++)
        assert_int_equal(unsetenv(names[i]), 0);
    rig_close(&rig);
}

/* T44: the prereq check, which alone sees connections that are used again. */
static void fetch_gate__open_connection_is_checked_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, serve_redirect);
    check_case(&rig, "/a", "body");
    check_case(&rig, "/b", "body");
    assert_int_equal(n_connections(&rig.server), 1); /* it is used again */
    rig.policy.n_allow = 0;
    check_case(&rig, "/c", "blocked_addr");
    assert_int_equal(n_requests(&rig.server), 2);
    rig_close(&rig);
}

/* T42, and the order in which the other address comes behind the one that answers. */
static void fetch_gate__mixed_answers(void **state)
{
    (void)state;
    static const char *const orders[] = {"10.0.0.1,127.0.0.1", "127.0.0.1,10.0.0.1"};
    for (size_t i = 0; i < 2 * N(orders); i++) {
        struct rig rig;
        char resolve[2][96], url[96];
        rig_open(&rig, serve_redirect);
        (void)snprintf(resolve[0], sizeof resolve[0], "mixed.test:%d:%s", rig.server.port, orders[i / 2]);
        (void)snprintf(resolve[1], sizeof resolve[1], "plain.test:%d:127.0.0.1", rig.server.port);
        rig.config.resolve = (const char *const[]){resolve[0], resolve[1], NULL};
        rig.config.reject_mixed = i % 2 == 1;
        (void)snprintf(url, sizeof url, "http://mixed.test:%d/ok", rig.server.port);
        struct im_fetched f = fetch(&rig, url);
        assert_string_equal(outcome_name(&f), i % 2 ? "dns_mixed_private" : "body");
        assert_int_equal(f.mixed, i == 0); /* seen, and skipped */
        assert_int_equal(n_requests(&rig.server), i % 2 ? 0 : 1);
        im_fetcher_release(rig.fetcher, &f);
        (void)snprintf(url, sizeof url, "http://plain.test:%d/ok", rig.server.port);
        check_case(&rig, url, "body");
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", rig.canary_port);
        check_case(&rig, url, "blocked_addr");
        rig_close(&rig);
    }
}

/* T19: a name beyond ASCII is asked for in punycode. */
static void fetch_gate__names_are_punycode(void **state)
{
    (void)state;
    struct rig rig;
    char resolve[96], url[96], want[96];
    rig_open(&rig, serve_redirect);
    (void)snprintf(resolve, sizeof resolve, "xn--bcher-kva.test:%d:127.0.0.1", rig.server.port);
    rig.config.resolve = (const char *const[]){resolve, NULL};
    (void)snprintf(url, sizeof url, "http://b\u00fccher.test:%d/ok", rig.server.port);
    check_case(&rig, url, "body");
    (void)snprintf(want, sizeof want, "\r\nHost: xn--bcher-kva.test:%d\r\n", rig.server.port);
    assert_non_null(strstr(rig.server.last, want));
    rig_close(&rig);
}

struct counts {
    int asked_addresses, asked_hosts;
    bool address_ok, host_ok;
    char address[64], host[256];
};

static bool count_address(void *ctx, void *token, const char *address)
{
    struct counts *counts = ctx;
    assert_ptr_equal(token, counts);
    counts->asked_addresses++;
    (void)snprintf(counts->address, sizeof counts->address, "%s", address);
    return counts->address_ok;
}

static bool count_host(void *ctx, void *token, const char *host)
{
    struct counts *counts = ctx;
    assert_ptr_equal(token, counts);
    counts->asked_hosts++;
    (void)snprintf(counts->host, sizeof counts->host, "%s", host);
    return counts->host_ok;
}

/* R24: the count of the real address decides, also for a connection that is used again; "busy" is no failure. */
static void fetch_gate__busy_address_and_host(void **state)
{
    (void)state;
    struct rig rig;
    struct counts counts = {.address_ok = true, .host_ok = true};
    char resolve[96], text[128];
    rig_open(&rig, serve_redirect);
    (void)snprintf(resolve, sizeof resolve, "other.test:%d:127.0.0.1", rig.server.port);
    rig.config.resolve = (const char *const[]){resolve, NULL};
    rig.config.address_ok = count_address;
    rig.config.host_ok = count_host;
    rig.config.ctx = &counts;
    struct im_fetch_request request = {.token = &counts};
    (void)snprintf(text, sizeof text, "/to/http://other.test:%d/ok", rig.server.port);
    struct im_fetched f = fetch_with(&rig, text, request);
    assert_string_equal(outcome_name(&f), "body");
    im_fetcher_release(rig.fetcher, &f);
    assert_int_equal(counts.asked_addresses, 1); /* the same address twice is one */
    assert_string_equal(counts.address, "127.0.0.1");
    assert_string_equal(counts.host, "other.test");
    counts.host_ok = false;
    f = fetch_with(&rig, text, request);
    assert_string_equal(outcome_name(&f), "busy");
    assert_int_equal(f.reason, IM_NONE);
    assert_string_equal(f.host, "other.test");
    assert_int_equal(f.hops, 1);
    int before = n_requests(&rig.server);
    request.hops = f.hops;
    request.spent_ms = f.spent_ms;
    struct im_fetched went_on =
        fetch_with(&rig, f.next, request); /* from where it stood, without asking the first host */
    assert_string_equal(outcome_name(&went_on), "body");
    assert_int_equal(went_on.hops, 1);
    assert_int_equal(n_requests(&rig.server), before + 1);
    im_fetcher_release(rig.fetcher, &f);
    assert_null(f.next);
    im_fetcher_release(rig.fetcher, &went_on);
    request.spent_ms = rig.config.limits->total_ms; /* nothing is left of the time of all hops */
    f = fetch_with(&rig, "/ok", request);
    assert_string_equal(outcome_name(&f), "timeout_total");
    im_fetcher_release(rig.fetcher, &f);
    request.hops = 0;
    request.spent_ms = 0;
    counts.address_ok = false;
    before = n_requests(&rig.server);
    f = fetch_with(&rig, "/ok", request); /* an open connection is there */
    assert_string_equal(outcome_name(&f), "busy");
    im_fetcher_close(rig.fetcher);
    rig.fetcher = NULL;
    f = fetch_with(&rig, "/ok", request); /* none is */
    assert_string_equal(outcome_name(&f), "busy");
    assert_int_equal(n_requests(&rig.server), before);
    rig_close(&rig);
}

struct keeper {
    bool keep;
    int n_asked;
};

static bool count_keep(void *ctx, const struct im_fetched *fetched)
{
    struct keeper *keeper = ctx;
    assert_string_equal(outcome_name(fetched), "body");
    keeper->n_asked++;
    return keeper->keep;
}

/* Connections of the server whose client has ended them, once there are `want`. */
static void wait_ended(struct server *server, int want)
{
    for (int n = 0; n < want; n++) {
        pthread_mutex_lock(&server->lock);
        struct conn *c = n < server->n_conns ? server->conn[n] : NULL;
        pthread_mutex_unlock(&server->lock);
        assert_non_null(c);
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 10000), 1);
    }
}

/* A connection that the caller does not keep is closed at once, one that a redirect leaves behind too. */
static void fetch_gate__connection_that_is_not_kept_ends(void **state)
{
    (void)state;
    struct rig rig;
    struct keeper keeper = {.keep = true};
    char resolve[96], text[128];
    rig_open(&rig, serve_redirect);
    (void)snprintf(resolve, sizeof resolve, "other.test:%d:127.0.0.1", rig.server.port);
    rig.config.resolve = (const char *const[]){resolve, NULL};
    rig.config.keep = count_keep;
    rig.config.ctx = &keeper;
    check_case(&rig, "/ok", "body");
    check_case(&rig, "/ok", "body");
    assert_int_equal(n_connections(&rig.server), 1);
    keeper.keep = false;
    check_case(&rig, "/ok", "body");
    assert_int_equal(n_connections(&rig.server), 1);
    assert_int_equal(keeper.n_asked, 3);
    wait_ended(&rig.server, 1);
    keeper.keep = true;
    check_case(&rig, "/ok", "body"); /* libcurl still has the one that is over, and finds out */
    assert_int_equal(n_connections(&rig.server), 2);
    (void)snprintf(text, sizeof text, "/to/http://other.test:%d/ok", rig.server.port);
    check_case(&rig, text, "body");
    assert_int_equal(keeper.n_asked, 5); /* not between the hops */
    assert_int_equal(n_connections(&rig.server), 3);
    wait_ended(&rig.server, 2);
    rig_close(&rig);
}

static bool serve_late(struct conn *c)
{
    return pace(c, strcmp(c->path, "/late") == 0 ? 300 : 0) && say_image(c, "");
}

/* A kept connection can be closed afterwards, unless a transfer goes over it. */
static void fetch_gate__kept_connection_is_closed_on_demand(void **state)
{
    (void)state;
    struct rig rig;
    struct keeper keeper = {.keep = true};
    rig_open(&rig, serve_late);
    rig.config.keep = count_keep;
    rig.config.ctx = &keeper;
    check_case(&rig, "/ok", "body");
    im_fetcher_hang_up(rig.fetcher, "other.test");
    (void)start(&rig, "/late", (struct im_fetch_request){0});
    while (n_requests(&rig.server) < 2)
        turn(rig.fetcher);
    im_fetcher_hang_up(rig.fetcher, "127.0.0.1"); /* in use */
    struct im_fetched f = wait_one(&rig);
    assert_string_equal(outcome_name(&f), "body");
    im_fetcher_release(rig.fetcher, &f);
    assert_int_equal(n_connections(&rig.server), 1);
    im_fetcher_hang_up(rig.fetcher, "127.0.0.1");
    im_fetcher_hang_up(rig.fetcher, "127.0.0.1"); /* there is no other */
    wait_ended(&rig.server, 1);
    check_case(&rig, "/ok", "body");
    assert_int_equal(n_connections(&rig.server), 2);
    rig_close(&rig);
}

static void fetch_gate__dead_port_and_unknown_name(void **state)
{
    (void)state;
    struct rig rig;
    int port = 0;
    char url[64];
    rig_open(&rig, serve_redirect);
    int fd = listen_at("127.0.0.1", 0, &port);
    (void)close(fd); /* nobody listens there now */
    allow(&rig, "127.0.0.1", port);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
    struct im_fetched f = fetch(&rig, url);
    assert_string_equal(outcome_name(&f), "connect_fail");
    assert_true(f.try_again);
    f = fetch(&rig, "http://nobody.invalid/");
    assert_string_equal(outcome_name(&f), "dns_fail");
    rig_close(&rig);
}

/* The control: a connection to a canary is seen, so that none in the other tests means none. */
static void fetch_gate__canary_would_tell(void **state)
{
    (void)state;
    struct rig rig;
    char url[64];
    rig_open(&rig, serve_redirect);
    allow(&rig, "127.0.0.1", rig.canary_port);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", rig.canary_port);
    uint64_t id = start(&rig, url, (struct im_fetch_request){0});
    while (canary_hits(&rig) == 0)
        turn(rig.fetcher);
    assert_true(im_fetcher_cancel(rig.fetcher, id));
    (void)close(accept(rig.canary[0], NULL, NULL));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetch_gate__canary_would_tell),
        cmocka_unit_test(fetch_gate__every_spelling_of_loopback_is_blocked),
        cmocka_unit_test(fetch_gate__foreign_digits_and_dots_are_blocked),
        cmocka_unit_test(fetch_gate__other_schemes_and_user_names_send_nothing),
        cmocka_unit_test(fetch_gate__proxy_of_the_environment_is_ignored),
        cmocka_unit_test(fetch_gate__open_connection_is_checked_again),
        cmocka_unit_test(fetch_gate__mixed_answers),
        cmocka_unit_test(fetch_gate__names_are_punycode),
        cmocka_unit_test(fetch_gate__busy_address_and_host),
        cmocka_unit_test(fetch_gate__connection_that_is_not_kept_ends),
        cmocka_unit_test(fetch_gate__kept_connection_is_closed_on_demand),
        cmocka_unit_test(fetch_gate__dead_port_and_unknown_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
