/* image_url.h - the URL of an image: what an article or a redirect says, checked and in one form.
 *
 * The form is nm_url_fetchable() of newsmill/url.h: no query parameter dropped, order kept, ASCII only. Two texts with
 * the same form are one picture: one key, one fetch. `hash` names it in Redis.
 *
 * Hosts are judged by what they are, not by what they look like. How spellings end that lead to an address:
 *   %31%32%37.0.0.1, full-width or circled digits and letters, ideographic dots   decoded to 127.0.0.1, localhost
 *   [::ffff:7f00:1]                                                               kept, as [::ffff:127.0.0.1]
 *   2130706433, 0x7f000001, 0177.0.0.1, 127.1, 0                                  kept; the resolver makes addresses
 *   localhost, x.localhost, LOCALHOST. (its final dot is dropped)                 kept; the resolver says 127.0.0.1
 *   [fe80::1%25eth0], [fe80::1%eth0]                                              url_invalid: no zones
 *   127.0.0.1%00.x, 127.0.0.1\@h.example, a space                                 url_invalid
 * None of those that are kept is refused here: address.h decides when the socket is to be opened, by the very address,
 * and by the port. Pure functions; thread-safe. */
#ifndef IMAGES_IMAGE_URL_H
#define IMAGES_IMAGE_URL_H

#include "reason.h"

#include "newsmill/url.h"

#define IM_URL_HASH_BYTES  65  /* SHA-256 as lower-case hex digits and the NUL */
#define IM_URL_SHOWN_BYTES 256 /* of im_url_show(), with the NUL               */

struct im_url {
    char text[NM_FETCH_MAX_BYTES + 1]; /* canonical, NUL-terminated; only [!-~], no fragment    */
    size_t len;
    size_t path_at;               /* offset of the path in text; it begins with "/"        */
    char hash[IM_URL_HASH_BYTES]; /* SHA-256 of text                                        */
    char host[NM_HOST_BYTES];     /* lower case, punycode; "[::1]" for an IPv6 literal      */
    int port;                     /* 1 to 65535; the scheme's default where none is written */
    bool https;
};

/* Reads the URL of an image: C0 controls and spaces around it are trimmed. max_bytes: 1 to NM_FETCH_MAX_BYTES, of the
 * trimmed text and of the canonical one. text may be NULL when len is 0. *out is written only with IM_NONE. Else:
 * url_scheme: another scheme than http and https, whatever follows and however long it is;
 * url_invalid: empty or too long, not UTF-8, a control character inside, "%00" in path or query, no or no good host or
 *   port, no "//" (nothing is repaired), a backslash before the path;
 * url_not_absolute: no scheme;
 * url_userinfo: a user name, even an empty one. */
enum im_reason im_url_read(const char *text, size_t len, size_t max_bytes, struct im_url *out);

/* Where a redirect from `from` leads: the value of its Location, resolved as RFC 3986, 5.2 says. location NULL: there
 * was none. `out` may be `from`; it is written only with IM_NONE. Else: url_userinfo: a user name in it;
 * redirect_downgrade: from https to http, unless that is allowed;
 * redirect_bad: everything else that cannot be followed: none, empty, another scheme, what im_url_read() calls invalid,
 *   or a beginning with a backslash, or slash and backslash, which browsers take for "//". Other backslashes are part
 *   of the path or query. Too long is also what is longer than max_bytes before its dot segments are resolved.
 * Whether the port and address are good is asked when the socket is to be opened. */
enum im_reason im_url_follow(const struct im_url *from, const char *location, size_t len, size_t max_bytes,
                             bool allow_downgrade, struct im_url *out);

/* Any text that was sent as a URL, for a log line: its query and fragment cut ("?..."), clipped ("..."), all but [!-~]
 * as %XX. No user name and password: where it is not clear what is host and what is not, everything up to the last "@"
 * is left out ("***@h.example/a"). text may be NULL when len is 0. Returns out. */
const char *im_url_show(const char *text, size_t len, char out[IM_URL_SHOWN_BYTES]);

#endif
