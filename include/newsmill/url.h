/* url.h - canonical article URLs, ids, hosts and AMP Cache URLs.
 *
 * Canonical form (the article id hangs on it; changing a rule needs a fresh namespace):
 *   ASCII white space around is trimmed; refused: control characters, inner white space, a backslash before the path,
 *   more than 4,096 bytes, another scheme than http or https, credentials, an empty host. Scheme and host in lower
 *   case, host in punycode (UTS 46 by libpsl/libidn2), its final dot and the default port dropped. Dot segments
 *   resolved (RFC 3986, 5.2.4), empty path "/". %xx in upper case, escaped unreserved characters decoded, the rest
 *   kept byte for byte. Query: tracking parameters dropped (nm_url_is_tracking), order kept, an empty query loses its
 *   "?". Fragment dropped. "www.", a trailing slash, http or https stay.
 * Pure functions; thread-safe. */
#ifndef NEWSMILL_URL_H
#define NEWSMILL_URL_H

#include "newsmill/status.h"

#include <stdbool.h>
#include <stddef.h>

#define NM_URL_MAX_BYTES   4096
#define NM_FETCH_MAX_BYTES 8192 /* most that nm_url_fetchable() takes */
#define NM_ID_BYTES        33   /* 32 lower-case hex digits and the NUL */
#define NM_HOST_BYTES      254

struct nm_url {
    char text[NM_URL_MAX_BYTES * 3 + 1]; /* canonical, NUL-terminated                          */
    size_t len;
    char host[NM_HOST_BYTES]; /* lower case, punycode; "[::1]" for an IPv6 literal  */
    size_t path_at;           /* offset of the path in text                          */
    int port;                 /* 0: the scheme's default                             */
    bool https;
};

/* keep_query true: no parameter is dropped (image URLs).
 * NM_BAD_INPUT with code url_invalid, url_scheme, url_credentials or url_too_long (in or out over 4,096 bytes). */
NM_MUST_USE enum nm_status nm_url_canonical(const char *text, size_t len, bool keep_query, struct nm_url *out,
                                            struct nm_error *err);

/* The form in which a URL is fetched: as nm_url_canonical() with keep_query, but what RFC 3986 does not allow in a path
 * or query (a space, "<>\^`{|} and all that is not ASCII) is escaped, so that it can stand in a request line, and a
 * name in UTF-8 is the same URL as its escapes. A "%" without two hex digits and brackets stay. Not for ids of
 * articles. max_bytes: at most NM_FETCH_MAX_BYTES, for what comes in and what goes out. NM_BAD_INPUT: the same codes.
 */
NM_MUST_USE enum nm_status nm_url_fetchable(const char *text, size_t len, size_t max_bytes, struct nm_url *out,
                                            struct nm_error *err);

/* True for a query parameter's name that carries tracking only (case ignored): utm_* fbclid gclid gclsrc dclid gbraid
 * wbraid msclkid mc_cid mc_eid igshid yclid _hsenc _hsmi mkt_tok. */
bool nm_url_is_tracking(const char *name, size_t len);

/* First 16 bytes of SHA-256 of the canonical URL, as 32 lower-case hex digits. */
void nm_article_id(const char *canonical, size_t len, char out[NM_ID_BYTES]);
bool nm_is_article_id(const char *text, size_t len);

/* Lower-cases and punycodes a host name given by itself (no port, no scheme). NM_BAD_INPUT `url_invalid`. */
NM_MUST_USE enum nm_status nm_host_canonical(const char *text, size_t len, char out[NM_HOST_BYTES],
                                             struct nm_error *err);

/* The registrable domain of a canonical host by the Public Suffix List ("a.b.co.uk" -> "b.co.uk"); the host itself
 * where there is none (an address, a public suffix, one label). Points into `host`. */
const char *nm_host_registrable(const char *host);

/* AMP Cache URL of an AMP page (canonical): https://<sub>.cdn.ampproject.org/c/[s/]<host[:port]><path and query>.
 * <sub> by the AMP Cache URL format,
 * https://amp.dev/documentation/guides-and-tutorials/learn/amp-caches-and-cors/amp-cache-urls/ : punycode decoded, "-"
 * doubled, "." to "-", punycode encoded; where that is longer than 63 bytes, has no "-" of its own to stand for a dot,
 * or mixes directions: lower-case base32 without padding of SHA-256 of the host. out: NM_URL_MAX_BYTES * 3 + 256 bytes;
 * NM_BAD_INPUT `url_invalid` when it does not fit. */
#define NM_AMP_URL_BYTES (NM_URL_MAX_BYTES * 3 + 256)
NM_MUST_USE enum nm_status nm_url_amp_cache(const struct nm_url *url, char out[NM_AMP_URL_BYTES], struct nm_error *err);

#endif
