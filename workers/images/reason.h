/* reason.h - why an image is not cached: the stable codes that facets, metrics and logs carry. */
#ifndef IMAGES_REASON_H
#define IMAGES_REASON_H

#include <stdbool.h>
#include <stddef.h>

/* name, and what may help: NEVER nothing but another URL; POLICY other options; RETRY the same again within the round;
 * LATER the same in some minutes to days; OURS it is not the image's fault and is never held against its URL. */
#define IM_REASONS(X)                                                                                                  \
    X(url_invalid, NEVER)                                                                                              \
    X(url_not_absolute, NEVER)                                                                                         \
    X(url_scheme, NEVER)                                                                                               \
    X(url_port, NEVER)                                                                                                 \
    X(url_userinfo, NEVER)                                                                                             \
    X(blocked_addr, POLICY)                                                                                            \
    X(dns_fail, RETRY)                                                                                                 \
    X(dns_mixed_private, POLICY)                                                                                       \
    X(connect_fail, RETRY)                                                                                             \
    X(tls_fail, LATER)                                                                                                 \
    X(timeout_connect, RETRY)                                                                                          \
    X(timeout_first_byte, RETRY)                                                                                       \
    X(timeout_total, RETRY)                                                                                            \
    X(too_slow, RETRY)                                                                                                 \
    X(redirect_limit, POLICY)                                                                                          \
    X(redirect_downgrade, POLICY)                                                                                      \
    X(redirect_bad, POLICY)                                                                                            \
    X(protocol_error, LATER)                                                                                           \
    X(bad_status, LATER)                                                                                               \
    X(rate_limited, RETRY)                                                                                             \
    X(header_too_big, POLICY)                                                                                          \
    X(content_encoding, POLICY)                                                                                        \
    X(too_big, POLICY)                                                                                                 \
    X(too_small, POLICY)                                                                                               \
    X(length_mismatch, RETRY)                                                                                          \
    X(type_not_allowed, LATER)                                                                                         \
    X(type_mismatch, LATER)                                                                                            \
    X(truncated, LATER)                                                                                                \
    X(dims_invalid, LATER)                                                                                             \
    X(dims_too_big, POLICY)                                                                                            \
    X(frames_too_many, POLICY)                                                                                         \
    X(scans_too_many, POLICY)                                                                                          \
    X(bomb_ratio, POLICY)                                                                                              \
    X(decode_fail, LATER)                                                                                              \
    X(decode_killed, LATER)                                                                                            \
    X(store_full, OURS)                                                                                                \
    X(store_io, OURS)                                                                                                  \
    X(evicted, NEVER)                                                                                                  \
    X(robots_noimage, POLICY)

enum im_reason {
    IM_NONE = 0,
#define X(name, kind) IM_##name,
    IM_REASONS(X)
#undef X
        IM_N_REASONS
};

enum im_reason_kind { IM_KIND_NONE = 0, IM_KIND_NEVER, IM_KIND_POLICY, IM_KIND_RETRY, IM_KIND_LATER, IM_KIND_OURS };

const char *im_reason_name(enum im_reason reason); /* a literal; "" for IM_NONE */
enum im_reason_kind im_reason_kind(enum im_reason reason);
/* IM_NONE for what is no code. */
enum im_reason im_reason_find(const char *name, size_t len);

#endif
