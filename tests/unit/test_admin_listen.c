/* test_admin_listen.c - where the admin endpoint listens: addresses as text, ports that are taken, and what is told. */
#include "admin_fixture.h"

static void listen__addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port; /* host NULL: refused */
    } cases[] = {
        {"", "", ""},
        {"127.0.0.1:0", "127.0.0.1", "0"},
        {"localhost:9602", "localhost", "9602"},
        {"0.0.0.0:65535", "0.0.0.0", "65535"},
        {"[::1]:9602", "::1", "9602"},
        {"127.0.0.1", NULL, NULL},
        {":9602", NULL, NULL},
        {"[]:1", NULL, NULL},
        {"9602", NULL, NULL},
        {"::1:9602", NULL, NULL},
        {"[::1]", NULL, NULL},
        {"[fe80::1%eth0]:1", NULL, NULL},
        {"[::1:80", NULL, NULL},
        {"a:65536", NULL, NULL},
        {"a:-1", NULL, NULL},
        {"a:", NULL, NULL},
        {"a:80x", NULL, NULL},
        {"a:000080", NULL, NULL},
        {"a b:80", NULL, NULL},
        {"http://a:80", NULL, NULL},
        {"[", NULL, NULL},
        {":", NULL, NULL},
        {"[:1", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_listen listen = {.host = "untouched"};
        struct nm_error err = {0};
        enum nm_status status = nm_listen_parse(cases[i].text, &listen, &err);
        if (status != (cases[i].host ? NM_OK : NM_CONFIG))
            fail_msg("'%s': %d %s", cases[i].text, status, err.msg);
        assert_string_equal(listen.host, cases[i].host ? cases[i].host : "untouched");
        assert_string_equal(listen.port, cases[i].host ? cases[i].port : "");
    }
}

static void listen__a_taken_port_is_told(void **state)
{
    (void)state;
    struct fixture first = open_admin(), second;
    struct nm_error err = {0};
    assert_int_equal(open_on(&second, nm_admin_address(first.admin), NULL, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "the port is taken by another process; give this worker another one "
                                    "(workers.NAME.admin.listen), or 0 for a free one"));
    assert_null(second.admin);
    close_admin(&second);
    assert_answer(&first, "/livez", 200, "live\n");
    close_admin(&first);
    struct nm_error none = {0};
    assert_int_equal(open_on(&second, "127.0.0.1:0", NULL, &none), NM_OK);
    close_admin(&second);
}

static void listen__a_port_can_be_taken_again_at_once(void **state)
{
    (void)state;
    struct fixture first = open_admin(), second;
    char address[100];
    struct nm_error err = {0};
    (void)snprintf(address, sizeof address, "%s", nm_admin_address(first.admin));
    assert_answer(&first, "/livez", 200, "live\n"); /* leaves a connection in TIME_WAIT on our side */
    close_admin(&first);
    if (open_on(&second, address, NULL, &err) != NM_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(nm_admin_address(second.admin), address);
    close_admin(&second);
}

static void listen__problems(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *want;
    } cases[] = {
        {"nobody", "admin.listen is 'nobody', not host:port such as 127.0.0.1:9602 or [::1]:0 (0: a free port)"},
        {":80", "admin.listen is ':80' without a host; 0.0.0.0:80 or [::]:80 is every address of this machine"},
        {"no-such-host.invalid:0", "admin.listen is no-such-host.invalid port 0, but the host is not known: "},
        {"192.0.2.1:0", "admin.listen is 192.0.2.1 port 0, but this machine has no such address"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        struct nm_error err = {0};
        assert_int_equal(open_on(&f, cases[i].listen, NULL, &err), NM_CONFIG);
        if (strncmp(err.msg, cases[i].want, strlen(cases[i].want)) != 0)
            fail_msg("%s", err.msg);
        close_admin(&f);
    }
}

static void listen__v6(void **state)
{
    (void)state;
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has_v6 = fd >= 0 && bind(fd, (struct sockaddr *)&loopback, sizeof loopback) == 0;
    if (fd >= 0)
        (void)close(fd);
    struct fixture f;
    struct nm_error err = {0};
    enum nm_status status = open_on(&f, "[::1]:0", NULL, &err);
    assert_int_equal(status, has_v6 ? NM_OK : NM_CONFIG);
    if (has_v6)
        assert_int_equal(strncmp(nm_admin_address(f.admin), "[::1]:", 6), 0);
    close_admin(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listen__addresses),
        cmocka_unit_test(listen__a_taken_port_is_told),
        cmocka_unit_test(listen__a_port_can_be_taken_again_at_once),
        cmocka_unit_test(listen__problems),
        cmocka_unit_test(listen__v6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
