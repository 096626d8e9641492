/* fetch_gate.c - which addresses a transfer may talk to: asked before a socket is made, and before a request is sent.
 *
 * The second time is for connections that are used again: no socket is made for them, and the policy may have changed.
 * To libcurl a refusal looks like a host that does not answer; the reason is kept in the transfer.
 *
 * With reject_mixed each hop begins with a survey: no socket is made, so libcurl comes with all addresses of the name
 * in turn, and the real attempt finds the name in its cache. Otherwise an address behind one that answers would never
 * be seen. */
#include "fetch_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* An address as text, in one spelling: IPv4 for an IPv6 address that stands for it. False: not an IP address. */
static bool show_address(const struct sockaddr *address, size_t len, char out[IM_ADDRESS_TEXT_BYTES])
{
    if (address->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return inet_ntop(AF_INET, &in.sin_addr, out, IM_ADDRESS_TEXT_BYTES) != NULL;
    }
    if (address->sa_family != AF_INET6 || len < sizeof(struct sockaddr_in6))
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
        return inet_ntop(AF_INET, &in6.sin6_addr.s6_addr[12], out, IM_ADDRESS_TEXT_BYTES) != NULL;
    return inet_ntop(AF_INET6, &in6.sin6_addr, out, IM_ADDRESS_TEXT_BYTES) != NULL;
}

/* Whether the caller's count for the address has room. Asked once for an address that comes again. */
static bool is_granted(struct im_transfer *transfer, const char *text)
{
    const struct im_fetch_config *config = &transfer->fetcher->config;
    if (!config->address_ok || strcmp(transfer->admitted, text) == 0)
        return true;
    if (!config->address_ok(config->ctx, transfer->result.token, text))
        return false;
    memcpy(transfer->admitted, text, strlen(text) + 1);
    return true;
}

curl_socket_t im_on_socket(void *self, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct im_transfer *transfer = self;
    struct im_gate *gate = &transfer->gate;
    char text[IM_ADDRESS_TEXT_BYTES];
    (void)purpose; /* libcurl makes no other socket for HTTP */
    enum im_reason reason =
        im_address_check(transfer->fetcher->config.policy, &address->addr, address->addrlen, address->socktype);
    if (reason == IM_NONE && !show_address(&address->addr, address->addrlen, text))
        reason = IM_blocked_addr;
    if (reason != IM_NONE) {
        gate->refused = gate->refused == IM_NONE ? reason : gate->refused;
        return CURL_SOCKET_BAD;
    }
    if (gate->survey) {
        gate->opened = true; /* it would have been */
        return CURL_SOCKET_BAD;
    }
    if (!is_granted(transfer, text)) {
        gate->busy = true;
        return CURL_SOCKET_BAD;
    }
    gate->opened = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The address in the one spelling of show_address(). */
static void unmap(const char *ip, char out[IM_ADDRESS_TEXT_BYTES])
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_in in = {.sin_family = AF_INET};
    bool shown = false;
    if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
        shown = show_address((const struct sockaddr *)&in, sizeof in, out);
    else if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1)
        shown = show_address((const struct sockaddr *)&in6, sizeof in6, out);
    if (!shown)
        *out = '\0';
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type */
int im_on_request(void *self, char *primary_ip, char *local_ip, int primary_port, int local_port)
{
    struct im_transfer *transfer = self;
    (void)local_ip;
    im_idle_taken(transfer->fetcher, local_port);
    enum im_reason reason = im_address_check_text(transfer->fetcher->config.policy, primary_ip, primary_port);
    if (reason != IM_NONE) {
        transfer->reason = reason;
        return CURL_PREREQFUNC_ABORT;
    }
    unmap(primary_ip, transfer->result.address);
    if (!is_granted(transfer, transfer->result.address)) {
        transfer->busy = true;
        return CURL_PREREQFUNC_ABORT;
    }
    transfer->result.mixed = transfer->result.mixed || transfer->gate.refused != IM_NONE;
    transfer->sent_ms = nm_boottime_ms();
    im_transfer_check_at(transfer, transfer->sent_ms + transfer->fetcher->config.limits->first_byte_ms);
    return CURL_PREREQFUNC_OK;
}
