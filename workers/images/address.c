/* address.c - which addresses an image may be fetched from.
 *
 * One form for every address (family and bytes) and one comparison, covers(), for all networks: the built-in ones, the
 * operator's and the NAT64 prefix. An address is copied out of its sockaddr first, since neither its alignment nor its
 * length is ours. An IPv6 address that stands for an IPv4 one is judged by the latter, and the operator's networks are
 * compared with both forms, so that neither spelling gets around the other. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#define N(array) (sizeof(array) / sizeof *(array))

#define V4(bits, ...)                                                                                                  \
    {                                                                                                                  \
        {AF_INET, {__VA_ARGS__}}, bits                                                                                 \
    }
#define V6(bits, ...)                                                                                                  \
    {                                                                                                                  \
        {AF_INET6, {__VA_ARGS__}}, bits                                                                                \
    }

static const struct im_network refused4[] = {
    V4(8, 0),                 /* this network: Linux takes 0.0.0.0 for itself      */
    V4(8, 10),                /* private                                            */
    V4(10, 100, 64),          /* shared by carriers; some clouds' metadata          */
    V4(8, 127),               /* loopback                                           */
    V4(16, 169, 254),         /* link-local; the metadata of most clouds            */
    V4(12, 172, 16),          /* private                                            */
    V4(24, 192, 0, 0),        /* protocol assignments                               */
    V4(24, 192, 0, 2),        /* documentation                                      */
    V4(24, 192, 88, 99),      /* 6to4 relays                                        */
    V4(16, 192, 168),         /* private                                            */
    V4(15, 198, 18),          /* benchmarks                                         */
    V4(24, 198, 51, 100),     /* documentation                                      */
    V4(24, 203, 0, 113),      /* documentation                                      */
    V4(4, 224),               /* multicast                                          */
    V4(4, 240),               /* reserved, and the broadcast address                */
    V4(32, 168, 63, 129, 16), /* a cloud platform's own address in a public range   */
};

static const struct im_network global6 = V6(3, 0x20);

/* Inside of global6. */
static const struct im_network refused6[] = {
    V6(23, 0x20, 0x01),             /* protocol assignments: Teredo, ORCHID, benchmarks */
    V6(32, 0x20, 0x01, 0x0d, 0xb8), /* documentation                                     */
    V6(16, 0x20, 0x02),             /* 6to4                                              */
    V6(20, 0x3f, 0xff),             /* documentation                                     */
};

static const struct im_network mapped4 = V6(96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

static size_t address_bytes(int family)
{
    return family == AF_INET ? 4 : 16;
}

static bool same_address(const struct im_address *a, const struct im_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, address_bytes(a->family)) == 0;
}

static bool covers(const struct im_network *network, const struct im_address *address)
{
    if (network->address.family != address->family)
        return false;
    size_t whole = (size_t)network->bits / 8;
    unsigned int rest = (unsigned int)network->bits % 8;
    if (memcmp(network->address.bytes, address->bytes, whole) != 0)
        return false;
    return rest == 0 || ((network->address.bytes[whole] ^ address->bytes[whole]) & (0xffU << (8 - rest)) & 0xff) == 0;
}

static bool any_covers(const struct im_network *network, size_t n, const struct im_address *address)
{
    for (size_t i = 0; i < n; i++)
        if (covers(&network[i], address))
            return true;
    return false;
}

/* ---- the rule ---- */

/* True when an IPv6 address only carries an IPv4 one, which is written then. */
static bool inner_address(const struct im_policy *policy, const struct im_address *address, struct im_address *out)
{
    bool is_inner = covers(&mapped4, address) || (policy->nat64.bits > 0 && covers(&policy->nat64, address));
    if (is_inner) {
        *out = (struct im_address){.family = AF_INET};
        memcpy(out->bytes, address->bytes + 12, 4);
    }
    return is_inner;
}

static bool is_isatap(const struct im_address *address)
{
    const uint8_t *id = address->bytes + 8;
    return (id[0] == 0 || id[0] == 2) && id[1] == 0 && id[2] == 0x5e && id[3] == 0xfe;
}

/* address: not one that carries another. */
static bool is_public(const struct im_address *address)
{
    if (address->family == AF_INET)
        return !any_covers(refused4, N(refused4), address);
    return covers(&global6, address) && !any_covers(refused6, N(refused6), address) && !is_isatap(address);
}

static bool is_allowed(const struct im_policy *policy, const struct im_endpoint *peer)
{
    for (size_t i = 0; i < policy->n_allow; i++)
        if (policy->allow[i].port == peer->port && same_address(&policy->allow[i].address, &peer->address))
            return true;
    return false;
}

static bool has_port(const struct im_policy *policy, uint16_t port)
{
    for (size_t i = 0; i < policy->n_ports; i++)
        if (policy->port[i] == port)
            return true;
    return false;
}

static bool is_own(const struct im_policy *policy, const struct im_address *address)
{
    for (size_t i = 0; i < policy->n_own; i++)
        if (same_address(&policy->own[i], address))
            return true;
    return false;
}

static bool is_denied(const struct im_policy *policy, const struct im_address *address)
{
    return any_covers(policy->deny, policy->n_deny, address) || is_own(policy, address);
}

static enum im_reason judge(const struct im_policy *policy, const struct im_endpoint *peer)
{
    struct im_address inner;
    if (is_allowed(policy, peer))
        return IM_NONE;
    bool has_inner = inner_address(policy, &peer->address, &inner);
    if (!is_public(has_inner ? &inner : &peer->address))
        return IM_blocked_addr;
    if (!has_port(policy, peer->port))
        return IM_url_port;
    if (is_denied(policy, &peer->address) || (has_inner && is_denied(policy, &inner)))
        return IM_blocked_addr;
    return IM_NONE;
}

/* False: no address of IPv4 or IPv6, or not all of it. */
static bool read_sockaddr(const struct sockaddr *address, socklen_t len, struct im_endpoint *out)
{
    struct sockaddr_storage copy = {0};
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    if (!address || len < sizeof(struct sockaddr_in) || len > sizeof copy)
        return false;
    memcpy(&copy, address, len);
    if (copy.ss_family == AF_INET) {
        memcpy(&in4, &copy, sizeof in4);
        out->port = ntohs(in4.sin_port);
        memcpy(out->address.bytes, &in4.sin_addr, 4);
    } else if (copy.ss_family == AF_INET6 && len >= sizeof in6) {
        memcpy(&in6, &copy, sizeof in6);
        out->port = ntohs(in6.sin6_port);
        memcpy(out->address.bytes, &in6.sin6_addr, 16);
    } else {
        return false;
    }
    out->address.family = copy.ss_family;
    return true;
}

enum im_reason im_address_check(const struct im_policy *policy, const struct sockaddr *address, socklen_t len,
                                int socktype)
{
    struct im_endpoint peer = {0};
    if (socktype != SOCK_STREAM || !read_sockaddr(address, len, &peer))
        return IM_blocked_addr;
    return judge(policy, &peer);
}

static bool read_address(const char *text, struct im_address *out)
{
    struct im_address read = {.family = AF_INET};
    if (inet_pton(AF_INET, text, read.bytes) != 1) {
        read.family = AF_INET6;
        if (inet_pton(AF_INET6, text, read.bytes) != 1)
            return false;
    }
    *out = read;
    return true;
}

enum im_reason im_address_check_text(const struct im_policy *policy, const char *ip, long port)
{
    struct im_endpoint peer = {0};
    if (!ip || !read_address(ip, &peer.address))
        return IM_blocked_addr;
    if (port > 0 && port <= UINT16_MAX) /* else it stays 0, which no policy has */
        peer.port = (uint16_t)port;
    return judge(policy, &peer);
}

/* ---- texts of the options ---- */

/* A decimal number without sign and leading zeros, at most `max`; -1 for anything else. */
static int read_number(const char *text, int max)
{
    int number = 0;
    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        number = number * 10 + (*text - '0');
        if (number > max)
            return -1;
    }
    return number;
}

enum nm_status im_port_parse(const char *text, uint16_t *out, struct nm_error *err)
{
    int port = read_number(text, UINT16_MAX);
    if (port <= 0)
        return nm_fail(err, NM_CONFIG, "is not a port: '%.60s'; write a whole number from 1 to 65535", text);
    *out = (uint16_t)port;
    return NM_OK;
}

/* What stands before `end`, if it fits. */
static bool take_address(const char *text, const char *end, struct im_address *out)
{
    char piece[INET6_ADDRSTRLEN];
    size_t len = (size_t)(end - text);
    if (len >= sizeof piece)
        return false;
    memcpy(piece, text, len);
    piece[len] = '\0';
    return read_address(piece, out);
}

enum nm_status im_endpoint_parse(const char *text, struct im_endpoint *out, struct nm_error *err)
{
    struct im_endpoint read = {0};
    const char *colon = strrchr(text, ':');
    bool brackets = text[0] == '[';
    bool good = false;
    if (colon && brackets)
        good = colon[-1] == ']' && take_address(text + 1, colon - 1, &read.address);
    else if (colon)
        good = take_address(text, colon, &read.address);
    if (!good || (read.address.family == AF_INET6) != brackets || im_port_parse(colon + 1, &read.port, NULL) != NM_OK)
        return nm_fail(err, NM_CONFIG,
                       "is not an address with a port: '%.60s'; write 127.0.0.1:18081 or [::1]:18082, no name", text);
    *out = read;
    return NM_OK;
}

/* Clears what stands behind the prefix; true if something did. */
static bool clear_rest(struct im_network *network)
{
    bool any = false;
    for (int i = network->bits; i < (int)address_bytes(network->address.family) * 8; i++) {
        uint8_t bit = (uint8_t)(0x80 >> (i % 8));
        any = any || (network->address.bytes[i / 8] & bit);
        network->address.bytes[i / 8] &= (uint8_t)~bit;
    }
    return any;
}

enum nm_status im_network_parse(const char *text, struct im_network *out, struct nm_error *err)
{
    struct im_network read = {0};
    char base[INET6_ADDRSTRLEN] = "";
    const char *slash = strchr(text, '/');
    if (!take_address(text, slash ? slash : text + strlen(text), &read.address))
        return nm_fail(err, NM_CONFIG,
                       "is not a network: '%.60s'; write it as 10.0.0.0/8 or 2001:db8::/32, or one address", text);
    int max = (int)address_bytes(read.address.family) * 8;
    read.bits = slash ? read_number(slash + 1, max) : max;
    if (read.bits < 0)
        return nm_fail(err, NM_CONFIG,
                       "has no prefix length in '%.60s'; write a whole number from 0 to %d behind the /", text, max);
    if (clear_rest(&read)) {
        (void)inet_ntop(read.address.family, read.address.bytes, base, sizeof base);
        return nm_fail(err, NM_CONFIG, "has bits behind its prefix: '%.60s'; write %s/%d, or a longer prefix", text,
                       base, read.bits);
    }
    if (read.bits >= mapped4.bits && covers(&mapped4, &read.address)) {
        (void)inet_ntop(AF_INET, read.address.bytes + 12, base, sizeof base);
        return nm_fail(err, NM_CONFIG, "writes an IPv4 network as IPv6: '%.60s'; write %s/%d", text, base,
                       read.bits - mapped4.bits);
    }
    *out = read;
    return NM_OK;
}

enum nm_status im_nat64_parse(const char *text, struct im_network *out, struct nm_error *err)
{
    struct im_network read = {0};
    if (text[0] != '\0') {
        enum nm_status status = im_network_parse(text, &read, err);
        if (status != NM_OK)
            return status;
        /* Byte 8 is reserved in every such prefix and zero: RFC 6052, 2.2. */
        if (read.bits != 96 || read.address.bytes[8] != 0)
            return nm_fail(err, NM_CONFIG,
                           "is not a NAT64 prefix of 96 bits: '%.60s'; write the one of your network, as 64:ff9b::/96, "
                           "or nothing",
                           text);
    }
    *out = read;
    return NM_OK;
}

/* ---- building a policy ---- */

enum nm_status im_policy_add_allow(struct im_policy *policy, const char *text, struct nm_error *err)
{
    struct im_endpoint pair = {0};
    enum nm_status status = im_endpoint_parse(text, &pair, err);
    if (status != NM_OK || is_allowed(policy, &pair))
        return status;
    if (policy->n_allow == N(policy->allow))
        return nm_fail(err, NM_CONFIG, "has more than %d pairs; leave out what the test does not need", IM_ALLOW_MAX);
    policy->allow[policy->n_allow++] = pair;
    return NM_OK;
}

enum nm_status im_policy_add_port(struct im_policy *policy, const char *text, struct nm_error *err)
{
    uint16_t port = 0;
    enum nm_status status = im_port_parse(text, &port, err);
    if (status != NM_OK || has_port(policy, port))
        return status;
    if (policy->n_ports == N(policy->port))
        return nm_fail(err, NM_CONFIG, "has more than %d ports; leave some out", IM_PORTS_MAX);
    policy->port[policy->n_ports++] = port;
    return NM_OK;
}

enum nm_status im_policy_add_deny(struct im_policy *policy, const char *text, struct nm_error *err)
{
    struct im_network network = {0};
    enum nm_status status = im_network_parse(text, &network, err);
    if (status != NM_OK)
        return status;
    for (size_t i = 0; i < policy->n_deny; i++)
        if (policy->deny[i].bits <= network.bits && covers(&policy->deny[i], &network.address))
            return NM_OK;
    if (policy->n_deny == N(policy->deny))
        return nm_fail(err, NM_CONFIG, "has more than %d networks; write neighbours as one", IM_DENY_MAX);
    policy->deny[policy->n_deny++] = network;
    return NM_OK;
}

enum nm_status im_policy_set_nat64(struct im_policy *policy, const char *text, struct nm_error *err)
{
    return im_nat64_parse(text, &policy->nat64, err);
}

static enum nm_status add_own(struct im_policy *policy, const struct im_address *address, struct nm_error *err)
{
    struct im_address inner;
    if (inner_address(policy, address, &inner))
        address = &inner;
    if (!is_public(address) || is_own(policy, address))
        return NM_OK;
    if (policy->n_own == N(policy->own))
        return nm_fail(err, NM_CONFIG, "this machine has more than %d public addresses; listen on one of them",
                       IM_OWN_MAX);
    policy->own[policy->n_own++] = *address;
    return NM_OK;
}

static enum nm_status add_interfaces(struct im_policy *policy, struct nm_error *err)
{
    struct ifaddrs *list = NULL;
    struct im_endpoint one;
    enum nm_status status = NM_OK;
    if (getifaddrs(&list) != 0)
        return nm_fail(err, NM_CONFIG, "cannot read this machine's addresses: %s; listen on one address instead of all",
                       strerror(errno));
    for (struct ifaddrs *at = list; at && status == NM_OK; at = at->ifa_next) {
        if (!at->ifa_addr)
            continue;
        bool wide = at->ifa_addr->sa_family == AF_INET6;
        socklen_t len = wide ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
        if (read_sockaddr(at->ifa_addr, len, &one))
            status = add_own(policy, &one.address, err);
    }
    freeifaddrs(list);
    return status;
}

enum nm_status im_policy_add_own(struct im_policy *policy, const struct sockaddr *listening, socklen_t len,
                                 struct nm_error *err)
{
    static const uint8_t wildcard[16];
    struct im_endpoint own = {0};
    if (!read_sockaddr(listening, len, &own))
        return NM_OK; /* a local socket: no URL leads there */
    if (memcmp(own.address.bytes, wildcard, address_bytes(own.address.family)) == 0)
        return add_interfaces(policy, err);
    return add_own(policy, &own.address, err);
}
