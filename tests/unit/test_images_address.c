/* test_images_address.c - which addresses an image may be fetched from.
 *
 * The table has every network of the rule with its first and last address and its neighbours on both sides, so that a
 * wrong prefix length in either direction is seen. No socket is opened. */
#include "images/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/ipv6.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof *(array))

static struct im_policy new_policy(void)
{
    struct im_policy policy = {0};
    assert_int_equal(im_policy_add_port(&policy, "80", NULL), NM_OK);
    assert_int_equal(im_policy_add_port(&policy, "443", NULL), NM_OK);
    return policy;
}

static socklen_t make(const char *ip, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, ip, &in4.sin_addr) == 1) {
        memcpy(out, &in4, sizeof in4);
        return sizeof in4;
    }
    if (inet_pton(AF_INET6, ip, &in6.sin6_addr) != 1)
        fail_msg("the test's own '%s' is no address", ip);
    memcpy(out, &in6, sizeof in6);
    return sizeof in6;
}

/* Both doors: the sockaddr of a new socket, and the text of a connection that is there. */
static const char *judged(const struct im_policy *policy, const char *ip, int port)
{
    struct sockaddr_storage address;
    socklen_t len = make(ip, port, &address);
    enum im_reason reason = im_address_check(policy, (struct sockaddr *)&address, len, SOCK_STREAM);
    assert_int_equal(im_address_check_text(policy, ip, port), reason);
    return reason == IM_NONE ? "ok" : im_reason_name(reason);
}

static void expect(const struct im_policy *policy, const char *ip, int port, const char *want)
{
    const char *got = judged(policy, ip, port);
    if (strcmp(got, want) != 0)
        fail_msg("%s port %d: %s, not %s", ip, port, got, want);
}

struct vector {
    const char *ip;
    bool open;
};

static void check_vectors(const struct im_policy *policy, const struct vector *vectors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect(policy, vectors[i].ip, 443, vectors[i].open ? "ok" : "blocked_addr");
}

/* T40 of the catalogue of hostile cases, with the next one. */
static void address__ipv4_networks_and_their_neighbours(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        {"0.0.0.0", false},         {"0.255.255.255", false},   {"1.0.0.0", true},          {"9.255.255.255", true},
        {"10.0.0.0", false},        {"10.255.255.255", false},  {"11.0.0.0", true},         {"100.63.255.255", true},
        {"100.64.0.0", false},      {"100.100.100.200", false}, {"100.127.255.255", false}, {"100.128.0.0", true},
        {"126.255.255.255", true},  {"127.0.0.0", false},       {"127.0.0.1", false},       {"127.255.255.255", false},
        {"128.0.0.0", true},        {"169.253.255.255", true},  {"169.254.0.0", false},     {"169.254.169.254", false},
        {"169.254.255.255", false}, {"169.255.0.0", true},      {"172.15.255.255", true},   {"172.16.0.0", false},
        {"172.31.255.255", false},  {"172.32.0.0", true},       {"172.32.0.1", true},       {"191.255.255.255", true},
        {"192.0.0.0", false},       {"192.0.0.192", false},     {"192.0.0.255", false},     {"192.0.1.0", true},
        {"192.0.1.255", true},      {"192.0.2.0", false},       {"192.0.2.255", false},     {"192.0.3.0", true},
        {"192.88.98.255", true},    {"192.88.99.0", false},     {"192.88.99.255", false},   {"192.88.100.0", true},
        {"192.167.255.255", true},  {"192.168.0.0", false},     {"192.168.255.255", false}, {"192.169.0.0", true},
        {"198.17.255.255", true},   {"198.18.0.0", false},      {"198.19.255.255", false},  {"198.20.0.0", true},
        {"198.51.99.255", true},    {"198.51.100.0", false},    {"198.51.100.255", false},  {"198.51.101.0", true},
        {"203.0.112.255", true},    {"203.0.113.0", false},     {"203.0.113.255", false},   {"203.0.114.0", true},
        {"223.255.255.255", true},  {"224.0.0.0", false},       {"239.255.255.255", false}, {"240.0.0.0", false},
        {"255.255.255.254", false}, {"255.255.255.255", false}, {"168.63.129.15", true},    {"168.63.129.16", false},
        {"168.63.129.17", true},
    };
    struct im_policy policy = new_policy();
    check_vectors(&policy, vectors, N(vectors));
}

static void address__ipv6_networks_and_their_neighbours(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        {"::", false},
        {"::1", false},
        {"::8.8.8.8", false}, /* IPv4-compatible */
        {"::127.0.0.1", false},
        {"::fffe:ffff:ffff", false},
        {"::ffff:0:8.8.8.8", false}, /* translated */
        {"::ffff:0:127.0.0.1", false},
        {"64:ff9b::8.8.8.8", false},
        {"64:ff9b::a9fe:a9fe", false},
        {"64:ff9b:1::a00:1", false},
        {"100::1", false},
        {"1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"2000::", true},
        {"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"2001::", false},
        {"2001::1", false},
        {"2001:0:ce49:7601:e866:efff:62c3:fffe", false}, /* Teredo */
        {"2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"2001:200::", true},
        {"2001:200::1", true},
        {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"2001:db8::", false},
        {"2001:db8::1", false},
        {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"2001:db9::", true},
        {"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"2002::", false},
        {"2002:a00:1::", false},
        {"2002:808:808::1", false},
        {"2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"2003::", true},
        {"2606:4700:4700::1111", true},
        {"3ffe::1", true},
        {"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"3fff::", false},
        {"3fff::1", false},
        {"3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"3fff:1000::", true},
        {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"4000::", false},
        {"5f00::1", false},
        {"fbff::1", false},
        {"fc00::1", false},
        {"fd00::1", false},
        {"fd00:ec2::254", false},
        {"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"fe00::1", false},
        {"fe80::1", false},
        {"febf::1", false},
        {"fec0::1", false},
        {"ff00::", false},
        {"ff02::1", false},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
    };
    struct im_policy policy = new_policy();
    check_vectors(&policy, vectors, N(vectors));
}

static void address__an_address_inside_another_is_judged(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        {"::ffff:8.8.8.8", true},
        {"::ffff:808:808", true},
        {"::ffff:9.255.255.255", true},
        {"::ffff:10.0.0.0", false},
        {"::ffff:127.0.0.1", false},
        {"::ffff:7f00:1", false},
        {"::ffff:169.254.169.254", false},
        {"::ffff:168.63.129.16", false},
        {"::ffff:0.0.0.0", false},
        {"::ffff:255.255.255.255", false},
        /* ISATAP: any IPv4 address behind either interface id, under any prefix */
        {"2003:1::5efe:a00:1", false},
        {"2003:1::5efe:808:808", false},
        {"2003:1:2:3:200:5efe:a00:1", false},
        {"2003:1::5efd:a00:1", true},
        {"2003:1::5eff:a00:1", true},
        {"2003:1::5dfe:a00:1", true},
        {"2003:1::5ffe:a00:1", true},
        {"2003:1:2:3:100:5efe:a00:1", true},
        {"2003:1:2:3:300:5efe:a00:1", true},
        {"2003:1:2:3:2:5efe:a00:1", true},
        {"2003:1:2:3:201:5efe:a00:1", true},
    };
    struct im_policy policy = new_policy();
    check_vectors(&policy, vectors, N(vectors));
}

static void address__nat64_prefix_stands_for_ipv4(void **state)
{
    (void)state;
    static const struct vector known[] = {
        {"64:ff9b::8.8.8.8", true},    {"64:ff9b::169.254.169.254", false}, {"64:ff9b::10.0.0.1", false},
        {"64:ff9b::127.0.0.1", false}, {"64:ff9b::168.63.129.16", false},   {"64:ff9b::1:808:808", false},
        {"64:ff9b:1::8.8.8.8", false}, {"::ffff:10.0.0.1", false},          {"2606:4700::1", true},
        {"64:ff9b::172.32.0.1", true}, {"64:ff9b::172.31.0.1", false},
    };
    static const struct vector own[] = {
        {"2a00:64::8.8.8.8", true},  {"2a00:64::192.168.0.1", false}, {"2a00:64::1:a00:1", true},
        {"64:ff9b::8.8.8.8", false}, {"fd00::8.8.8.8", false},
    };
    struct im_policy policy = new_policy();
    assert_int_equal(im_policy_set_nat64(&policy, "64:ff9b::/96", NULL), NM_OK);
    check_vectors(&policy, known, N(known));
    assert_int_equal(im_policy_set_nat64(&policy, "2a00:64::/96", NULL), NM_OK);
    check_vectors(&policy, own, N(own));
    assert_int_equal(im_policy_set_nat64(&policy, "", NULL), NM_OK);
    expect(&policy, "64:ff9b::8.8.8.8", 443, "blocked_addr");
    expect(&policy, "2a00:64::192.168.0.1", 443, "ok"); /* an address like any other again */
}

static void address__allow_rule_is_the_exact_pair(void **state)
{
    (void)state;
    struct im_policy policy = new_policy();
    assert_int_equal(im_policy_add_allow(&policy, "127.0.0.1:18081", NULL), NM_OK);
    assert_int_equal(im_policy_add_allow(&policy, "[::1]:18082", NULL), NM_OK);
    static const struct {
        const char *ip;
        int port;
        const char *want;
    } cases[] = {
        {"127.0.0.1", 18081, "ok"},
        {"127.0.0.1", 18082, "blocked_addr"},
        {"127.0.0.1", 18080, "blocked_addr"},
        {"127.0.0.1", 80, "blocked_addr"},
        {"127.0.0.2", 18081, "blocked_addr"},
        {"::1", 18082, "ok"},
        {"::1", 18081, "blocked_addr"},
        {"::2", 18082, "blocked_addr"},
        {"::", 18082, "blocked_addr"},
        {"::ffff:127.0.0.1", 18081, "blocked_addr"}, /* another family than the allowed pair */
        {"::127.0.0.1", 18081, "blocked_addr"},
        {"7f00:1::", 18081, "blocked_addr"}, /* begins with the same bytes */
        {"10.0.0.1", 18081, "blocked_addr"},
        {"8.8.8.8", 18081, "url_port"}, /* the port is open for that pair only */
    };
    for (size_t i = 0; i < N(cases); i++)
        expect(&policy, cases[i].ip, cases[i].port, cases[i].want);
}

static void address__allow_rule_comes_before_all_others(void **state)
{
    (void)state;
    struct im_policy policy = {0};
    assert_int_equal(im_policy_add_allow(&policy, "127.0.0.1:18081", NULL), NM_OK);
    assert_int_equal(im_policy_add_deny(&policy, "0.0.0.0/0", NULL), NM_OK);
    expect(&policy, "127.0.0.1", 18081, "ok");
    struct sockaddr_storage address;
    socklen_t len = make("127.0.0.1", 18081, &address);
    assert_int_equal(im_address_check(&policy, (struct sockaddr *)&address, len, SOCK_DGRAM), IM_blocked_addr);
    policy.n_allow = 0; /* taken out: a connection that is still there is not used again */
    expect(&policy, "127.0.0.1", 18081, "blocked_addr");
}

static void address__ports(void **state)
{
    (void)state;
    struct im_policy policy = new_policy(), none = {0};
    expect(&policy, "8.8.8.8", 80, "ok");
    expect(&policy, "8.8.8.8", 443, "ok");
    expect(&policy, "8.8.8.8", 6379, "url_port");
    expect(&policy, "8.8.8.8", 0, "url_port");
    expect(&policy, "2606:4700::1", 8443, "url_port");
    expect(&policy, "10.0.0.1", 6379, "blocked_addr"); /* the address is asked first */
    expect(&none, "8.8.8.8", 80, "url_port");
    assert_int_equal(im_policy_add_port(&policy, "8443", NULL), NM_OK);
    expect(&policy, "2606:4700::1", 8443, "ok");
    static const long odd[] = {0, -1, 65536, 65536 + 443, -65093};
    for (size_t i = 0; i < N(odd); i++)
        assert_int_equal(im_address_check_text(&policy, "8.8.8.8", odd[i]), IM_url_port);
}

static void address__operators_networks(void **state)
{
    (void)state;
    struct im_policy policy = new_policy();
    assert_int_equal(im_policy_add_deny(&policy, "8.8.8.0/22", NULL), NM_OK);
    assert_int_equal(im_policy_add_deny(&policy, "9.9.9.9", NULL), NM_OK);
    assert_int_equal(im_policy_add_deny(&policy, "2a00:1450::/29", NULL), NM_OK);
    assert_int_equal(im_policy_set_nat64(&policy, "64:ff9b::/96", NULL), NM_OK);
    static const struct vector vectors[] = {
        {"8.8.7.255", true},          {"8.8.8.0", false},          {"8.8.11.255", false},
        {"8.8.12.0", true},           {"9.9.9.8", true},           {"9.9.9.9", false},
        {"9.9.9.10", true},           {"2a00:144f::1", true},      {"2a00:1450::", false},
        {"2a00:1457:ffff::1", false}, {"2a00:1458::1", true},      {"::ffff:8.8.8.8", false},
        {"::ffff:8.8.12.0", true},    {"64:ff9b::8.8.8.8", false}, {"64:ff9b::9.9.9.9", false},
        {"64:ff9b::9.9.9.8", true},
    };
    check_vectors(&policy, vectors, N(vectors));
    expect(&policy, "8.8.8.8", 81, "url_port"); /* the port is asked before */
    /* One that is wider than another with the same beginning, and one by the outer form of an address. */
    assert_int_equal(im_policy_add_deny(&policy, "8.8.8.0/21", NULL), NM_OK);
    expect(&policy, "8.8.12.0", 80, "blocked_addr");
    assert_int_equal(im_policy_add_deny(&policy, "64:ff9b::909:908/127", NULL), NM_OK);
    expect(&policy, "64:ff9b::9.9.9.8", 80, "blocked_addr");
    expect(&policy, "9.9.9.8", 80, "ok");
}

static void address__what_is_no_address_is_blocked(void **state)
{
    (void)state;
    struct im_policy policy = new_policy();
    struct sockaddr_storage address;
    socklen_t len = make("8.8.8.8", 80, &address);
    const struct sockaddr *sa = (struct sockaddr *)&address;
    assert_int_equal(im_address_check(&policy, sa, len, SOCK_STREAM), IM_NONE);
    assert_int_equal(im_address_check(&policy, sa, len, SOCK_DGRAM), IM_blocked_addr);
    assert_int_equal(im_address_check(&policy, sa, len, SOCK_RAW), IM_blocked_addr);
    assert_int_equal(im_address_check(&policy, sa, 0, SOCK_STREAM), IM_blocked_addr);
    assert_int_equal(im_address_check(&policy, sa, 1, SOCK_STREAM), IM_blocked_addr);
    assert_int_equal(im_address_check(&policy, sa, len - 1, SOCK_STREAM), IM_blocked_addr);
    assert_int_equal(im_address_check(&policy, sa, sizeof address + 1, SOCK_STREAM), IM_blocked_addr);
    assert_int_equal(im_address_check(&policy, NULL, len, SOCK_STREAM), IM_blocked_addr);
    len = make("2606:4700::1", 80, &address);
    assert_int_equal(im_address_check(&policy, sa, len, SOCK_STREAM), IM_NONE);
    assert_int_equal(im_address_check(&policy, sa, len - 1, SOCK_STREAM), IM_blocked_addr);
    char moved[sizeof address + 1]; /* any alignment */
    memcpy(moved + 1, &address, sizeof address);
    assert_int_equal(im_address_check(&policy, (const void *)(moved + 1), len, SOCK_STREAM), IM_NONE);
    static const sa_family_t families[] = {AF_UNSPEC, AF_UNIX, AF_PACKET, 65535};
    for (size_t i = 0; i < N(families); i++) {
        address.ss_family = families[i];
        assert_int_equal(im_address_check(&policy, sa, sizeof address, SOCK_STREAM), IM_blocked_addr);
    }
    static const char *const texts[] = {"",          "h.example", "8.8.8.8 ",   "8.8.8",    "134744072",
                                        "0x8.8.8.8", "[2606::1]", "fe80::1%lo", "010.8.8.8"};
    for (size_t i = 0; i < N(texts); i++)
        assert_int_equal(im_address_check_text(&policy, texts[i], 80), IM_blocked_addr);
    assert_int_equal(im_address_check_text(&policy, NULL, 80), IM_blocked_addr);
}

typedef enum nm_status adder(struct im_policy *policy, const char *text, struct nm_error *err);

static void check_refused(adder *add, const char *const *texts, size_t n, const char *hint)
{
    static struct im_policy policy, before;
    for (size_t i = 0; i < n; i++) {
        struct nm_error err = {0};
        if (add(&policy, texts[i], &err) != NM_CONFIG)
            fail_msg("'%s' is taken", texts[i]);
        if (!strstr(err.msg, hint))
            fail_msg("'%s': %s", texts[i], err.msg);
        assert_true(err.msg[0] >= 'a' && err.msg[0] <= 'z');
        assert_memory_equal(&policy, &before, sizeof policy);
    }
}

static void address__option_texts_that_are_refused(void **state)
{
    (void)state;
    static const char *const pairs[] = {"",
                                        ":",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:0",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:080",
                                        "127.0.0.1:+80",
                                        "127.0.0.1: 80",
                                        " 127.0.0.1:80",
                                        "127.0.0.1:80 ",
                                        "127.0.0.1:80x",
                                        "127.0.0.0/8:80",
                                        "localhost:80",
                                        "h.example:80",
                                        "127.1:80",
                                        "0x7f.0.0.1:80",
                                        "2130706433:80",
                                        "0177.0.0.1:80",
                                        "::1:80",
                                        "[::1]",
                                        "[::1]:",
                                        "[::1]80",
                                        "[::1:80",
                                        "::1]:80",
                                        "[]:80",
                                        "[127.0.0.1]:80",
                                        "[::1%lo]:80",
                                        "[[::1]]:80",
                                        "*:80",
                                        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:80"};
    static const char *const ports[] = {"",    "0",  "-1",  "+80", "080", "65536", "99999999999999999999",
                                        "80 ", "8o", "http"};
    static const char *const shapes[] = {"",
                                         "/8",
                                         "10.0.0/8",
                                         "10/8",
                                         "h.example",
                                         "10.0.0.0 /8",
                                         "fe80::1%lo/64",
                                         "[2001:db8::]/32",
                                         "10.0.0.0-10.0.0.9"};
    static const char *const lengths[] = {"10.0.0.0/",    "10.0.0.0/33",    "10.0.0.0/-1",       "10.0.0.0/08",
                                          "10.0.0.0/8/8", "2001:db8::/129", "10.0.0.0/255.0.0.0"};
    static const char *const rests[] = {"10.0.0.1/8", "10.0.0.0/4", "2001:db8::1/64", "0.0.0.1/0"};
    static const char *const forms[] = {"::ffff:8.8.8.0/120", "::ffff:0:0/96", "::ffff:8.8.8.8"};
    static const char *const prefixes[] = {"64:ff9b::", "64:ff9b::/64", "64:ff9b::/97", "10.0.0.0/8",
                                           "2a00:64:0:0:100::/96"};
    check_refused(im_policy_add_allow, pairs, N(pairs), "write 127.0.0.1:18081 or [::1]:18082");
    check_refused(im_policy_add_port, ports, N(ports), "from 1 to 65535");
    check_refused(im_policy_add_deny, shapes, N(shapes), "write it as 10.0.0.0/8");
    check_refused(im_policy_add_deny, lengths, N(lengths), "behind the /");
    check_refused(im_policy_add_deny, rests, N(rests), "bits behind its prefix");
    check_refused(im_policy_add_deny, forms, N(forms), "writes an IPv4 network as IPv6");
    check_refused(im_policy_set_nat64, prefixes, N(prefixes), "64:ff9b::/96");
    check_refused(im_policy_set_nat64, shapes + 1, N(shapes) - 1, "is not a network");
}

static void address__refusal_says_what_to_write(void **state)
{
    (void)state;
    struct im_network network;
    struct nm_error err;
    assert_int_equal(im_network_parse("10.1.2.3/8", &network, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "write 10.0.0.0/8,"));
    assert_int_equal(im_network_parse("2001:db8::1/33", &network, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "write 2001:db8::/33,"));
    assert_int_equal(im_network_parse("::ffff:8.8.8.0/120", &network, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "write 8.8.8.0/24"));
}

static void address__tables_are_bounded(void **state)
{
    (void)state;
    static struct im_policy policy;
    char text[64];
    struct nm_error err;
    memset(&policy, 0, sizeof policy);
    for (int round = 0; round < 2; round++) { /* what is there already takes no room */
        for (int i = 1; i <= IM_ALLOW_MAX; i++) {
            (void)snprintf(text, sizeof text, "127.0.0.1:%d", i);
            assert_int_equal(im_policy_add_allow(&policy, text, NULL), NM_OK);
        }
        for (int i = 1; i <= IM_PORTS_MAX; i++) {
            (void)snprintf(text, sizeof text, "%d", i);
            assert_int_equal(im_policy_add_port(&policy, text, NULL), NM_OK);
        }
        for (int i = 0; i < IM_DENY_MAX; i++) {
            (void)snprintf(text, sizeof text, "8.%d.0.0/16", i);
            assert_int_equal(im_policy_add_deny(&policy, text, NULL), NM_OK);
        }
    }
    assert_int_equal(policy.n_allow, IM_ALLOW_MAX);
    assert_int_equal(policy.n_ports, IM_PORTS_MAX);
    assert_int_equal(policy.n_deny, IM_DENY_MAX);
    assert_int_equal(im_policy_add_deny(&policy, "8.7.6.0/24", NULL), NM_OK); /* inside of one that is there */
    assert_int_equal(im_policy_add_allow(&policy, "127.0.0.1:17", &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "more than 16"));
    assert_int_equal(im_policy_add_port(&policy, "65", &err), NM_CONFIG);
    assert_int_equal(im_policy_add_deny(&policy, "9.0.0.0/8", &err), NM_CONFIG);
    assert_int_equal(policy.n_allow + policy.n_ports + policy.n_deny, IM_ALLOW_MAX + IM_PORTS_MAX + IM_DENY_MAX);
    expect(&policy, "127.0.0.1", 16, "ok");
    expect(&policy, "8.255.0.1", 64, "blocked_addr");
    expect(&policy, "9.0.0.1", 64, "ok");
}

static void add_own(struct im_policy *policy, const char *ip)
{
    struct sockaddr_storage address;
    socklen_t len = make(ip, 9464, &address);
    assert_int_equal(im_policy_add_own(policy, (struct sockaddr *)&address, len, NULL), NM_OK);
}

static void address__own_addresses_are_denied_at_every_port(void **state)
{
    (void)state;
    struct im_policy policy = new_policy();
    add_own(&policy, "8.8.4.4");
    add_own(&policy, "8.8.4.4");
    add_own(&policy, "2606:4700::7");
    add_own(&policy, "::ffff:9.9.9.9");
    add_own(&policy, "127.0.0.1"); /* denied anyway */
    assert_int_equal(policy.n_own, 3);
    static const struct vector vectors[] = {
        {"8.8.4.4", false},     {"8.8.4.5", true},  {"::ffff:8.8.4.4", false}, {"2606:4700::7", false},
        {"2606:4700::8", true}, {"9.9.9.9", false}, {"::ffff:9.9.9.9", false},
    };
    check_vectors(&policy, vectors, N(vectors));
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    assert_int_equal(im_policy_add_own(&policy, (struct sockaddr *)&local, sizeof local, NULL), NM_OK);
    assert_int_equal(policy.n_own, 3);
    for (int i = 0; policy.n_own < IM_OWN_MAX; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "11.0.%d.%d", i / 256, i % 256);
        add_own(&policy, text);
    }
    struct sockaddr_storage more;
    struct nm_error err;
    socklen_t len = make("12.0.0.1", 1, &more);
    assert_int_equal(im_policy_add_own(&policy, (struct sockaddr *)&more, len, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "more than 256 public addresses"));
}

/* Every address of this machine's interfaces is refused once we listen on all of them. */
static void address__a_wildcard_stands_for_all_interfaces(void **state)
{
    (void)state;
    struct im_policy policy = new_policy();
    struct ifaddrs *list = NULL;
    add_own(&policy, "0.0.0.0");
    add_own(&policy, "::");
    assert_int_equal(getifaddrs(&list), 0);
    size_t n = 0;
    for (struct ifaddrs *at = list; at; at = at->ifa_next) {
        if (!at->ifa_addr || (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6))
            continue;
        struct sockaddr_storage address = {0};
        socklen_t len = at->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        memcpy(&address, at->ifa_addr, len);
        ((struct sockaddr_in *)&address)->sin_port = htons(443); /* at the same place in both */
        assert_int_equal(im_address_check(&policy, (struct sockaddr *)&address, len, SOCK_STREAM), IM_blocked_addr);
        n++;
    }
    freeifaddrs(list);
    assert_true(n > 0 && policy.n_own <= n);
    expect(&policy, "8.8.8.8", 443, "ok");
}

/* In a network namespace of its own, whose only interface has two public addresses. Exit status 77: not possible here.
 */
static int own_public_address(const char *wildcard)
{
    struct im_policy policy = new_policy();
    struct sockaddr_storage address;
    struct ifreq request = {.ifr_name = "lo"};
    if (syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return 77;
    struct in6_ifreq request6 = {.ifr6_prefixlen = 64, .ifr6_ifindex = (int)if_nametoindex("lo")};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0);
    memcpy(&request.ifr_addr, &address, make("8.8.4.4", 0, &address));
    if (fd < 0 || fd6 < 0 || ioctl(fd, SIOCSIFADDR, &request) != 0 ||
        inet_pton(AF_INET6, "2606:4700::7", &request6.ifr6_addr) != 1 || ioctl(fd6, SIOCSIFADDR, &request6) != 0)
        return 77;
    (void)close(fd);
    (void)close(fd6);
    add_own(&policy, wildcard);
    expect(&policy, "8.8.4.4", 443, "blocked_addr");
    expect(&policy, "8.8.4.5", 443, "ok");
    expect(&policy, "2606:4700::7", 443, "blocked_addr");
    expect(&policy, "2606:4700::8", 443, "ok");
    return policy.n_own == 2 ? 0 : 1;
}

static void address__a_wildcard_finds_public_addresses(void **state)
{
    (void)state;
    static const char *const wildcards[] = {"0.0.0.0", "::"};
    for (size_t i = 0; i < N(wildcards); i++) {
        int status = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(own_public_address(wildcards[i]));
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
            print_message("not run: no network namespace of its own\n");
            skip();
        }
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address__ipv4_networks_and_their_neighbours),
        cmocka_unit_test(address__ipv6_networks_and_their_neighbours),
        cmocka_unit_test(address__an_address_inside_another_is_judged),
        cmocka_unit_test(address__nat64_prefix_stands_for_ipv4),
        cmocka_unit_test(address__allow_rule_is_the_exact_pair),
        cmocka_unit_test(address__allow_rule_comes_before_all_others),
        cmocka_unit_test(address__ports),
        cmocka_unit_test(address__operators_networks),
        cmocka_unit_test(address__what_is_no_address_is_blocked),
        cmocka_unit_test(address__option_texts_that_are_refused),
        cmocka_unit_test(address__refusal_says_what_to_write),
        cmocka_unit_test(address__tables_are_bounded),
        cmocka_unit_test(address__own_addresses_are_denied_at_every_port),
        cmocka_unit_test(address__a_wildcard_stands_for_all_interfaces),
        cmocka_unit_test(address__a_wildcard_finds_public_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
