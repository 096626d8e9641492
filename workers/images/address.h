/* address.h - which addresses an image may be fetched from: the rule that keeps articles away from our own network.
 *
 * im_address_check() is asked when a socket is about to be opened, with the very address that will be connected to: no
 * spelling of a host, no redirect and no second DNS answer gets around it. Everything that is not surely public is
 * refused; a policy of zero bytes refuses everything, since it has no ports.
 *
 * The order: (1) TCP over IPv4 or IPv6, else blocked_addr; (2) an exact pair of the test allow list is allowed at once;
 * (3) the built-in rule, else blocked_addr; (4) the port, else url_port; (5) the operator's networks and our own
 * addresses: blocked_addr. How many connections an address gets is asked elsewhere.
 *
 * The built-in rule. IPv4: everything but the special-purpose networks of IANA's registry (RFC 6890 and its updates),
 * multicast (RFC 5771), the old class E, and 168.63.129.16, by which a cloud's machines reach its platform. IPv6:
 * ::ffff:0:0/96 stands for its IPv4 address; else only 2000::/3 (global unicast, RFC 4291), without 2001::/23 (RFC
 * 2928: Teredo, ORCHID and others), 2001:db8::/32 and 3fff::/20 (documentation), 2002::/16 (6to4) and interface ids
 * 0000:5efe and 0200:5efe (ISATAP, RFC 5214), which carry any IPv4 address. A list of what is allowed need not grow
 * with what IANA assigns. With a NAT64 prefix an address in it stands for the IPv4 address in its last 32 bits.
 *
 * A policy is built at start and only read afterwards: the checks are pure and thread-safe. */
#ifndef IMAGES_ADDRESS_H
#define IMAGES_ADDRESS_H

#include "reason.h"

#include "newsmill/status.h"

#include <stdint.h>
#include <sys/socket.h>

enum {
    IM_ALLOW_MAX = 16, /* pairs of the test allow list: for tests, so few       */
    IM_PORTS_MAX = 64,
    IM_DENY_MAX = 256, /* networks; each check walks them                        */
    IM_OWN_MAX = 256,  /* public addresses of this machine on which we listen    */
};

struct im_address {
    int family;        /* AF_INET or AF_INET6                        */
    uint8_t bytes[16]; /* in network order; of AF_INET the first four */
};
struct im_endpoint {
    struct im_address address;
    uint16_t port; /* in host order */
};
struct im_network {
    struct im_address address; /* bits behind the prefix are 0 */
    int bits;                  /* 0 to 32 or 128               */
};

struct im_policy {
    struct im_endpoint allow[IM_ALLOW_MAX];
    uint16_t port[IM_PORTS_MAX];
    struct im_network deny[IM_DENY_MAX];
    struct im_address own[IM_OWN_MAX];
    struct im_network nat64; /* bits 0: there is none */
    size_t n_allow, n_ports, n_deny, n_own;
};

/* Texts of the options. NM_CONFIG with a message that starts lower-case ("is not a port: ..."), to be put behind the
 * option's name; *out is untouched then. Addresses are numeric as inet_pton(3) takes them: no names, no zones. */
NM_MUST_USE enum nm_status im_endpoint_parse(const char *text, struct im_endpoint *out, struct nm_error *err);
NM_MUST_USE enum nm_status im_port_parse(const char *text, uint16_t *out, struct nm_error *err);
/* "10.0.0.0/8", "2001:db8::/32", or one address. An IPv4 network is not to be written as ::ffff:... */
NM_MUST_USE enum nm_status im_network_parse(const char *text, struct im_network *out, struct nm_error *err);
/* "64:ff9b::/96" or another /96 (RFC 6052); "" is none. */
NM_MUST_USE enum nm_status im_nat64_parse(const char *text, struct im_network *out, struct nm_error *err);

/* Parse and add; what is there already is not added again. NM_CONFIG: also when there are too many. The policy is
 * untouched then. */
NM_MUST_USE enum nm_status im_policy_add_allow(struct im_policy *policy, const char *text, struct nm_error *err);
NM_MUST_USE enum nm_status im_policy_add_port(struct im_policy *policy, const char *text, struct nm_error *err);
NM_MUST_USE enum nm_status im_policy_add_deny(struct im_policy *policy, const char *text, struct nm_error *err);
NM_MUST_USE enum nm_status im_policy_set_nat64(struct im_policy *policy, const char *text, struct nm_error *err);
/* An address on which this process listens, as getsockname(2) tells it: it is denied at every port. A wildcard (0.0.0.0
 * or ::) stands for all addresses that the interfaces have now. What the built-in rule denies is not noted, so set the
 * NAT64 prefix first. NM_CONFIG: too many, or the interfaces cannot be read; some may have been added before that. */
NM_MUST_USE enum nm_status im_policy_add_own(struct im_policy *policy, const struct sockaddr *listening, socklen_t len,
                                             struct nm_error *err);

/* IM_NONE: may be connected to. Else blocked_addr or url_port, in the order above. `address` is as the caller of
 * socket(2) and connect(2) has it, of len bytes, which may be any; socktype without flags. */
enum im_reason im_address_check(const struct im_policy *policy, const struct sockaddr *address, socklen_t len,
                                int socktype);
/* The same for a connection that is already there, whose other end is known as text; what is no address is
 * blocked_addr. port: host order; outside of 1 to 65535 is url_port or blocked_addr. */
enum im_reason im_address_check_text(const struct im_policy *policy, const char *ip, long port);

#endif
