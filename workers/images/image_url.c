/* image_url.c - the URL of an image, of a redirect, and for a log line.
 *
 * The canonical form is made in one place, common/url.c. Here stand the order of the checks, since an article learns
 * one reason, and the joining of a relative reference: base and reference become one absolute text, which is then read
 * like any other, so that a redirect meets the same checks as an article's URL. */
#include "image_url.h"

#include "newsmill/digest.h"
#include "newsmill/text.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *at;
    size_t len;
};

static void trim(struct span *in)
{
    while (in->len > 0 && (unsigned char)in->at[0] <= 0x20) {
        in->at++;
        in->len--;
    }
    while (in->len > 0 && (unsigned char)in->at[in->len - 1] <= 0x20)
        in->len--;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Length of a scheme in front (RFC 3986, 3.1), without its ":"; 0: there is none. */
static size_t scheme_len(struct span in)
{
    size_t i = 0;
    while (i < in.len && (is_letter(in.at[i]) ||
                          (i > 0 && (is_digit(in.at[i]) || in.at[i] == '+' || in.at[i] == '-' || in.at[i] == '.'))))
        i++;
    return i < in.len && in.at[i] == ':' ? i : 0;
}

static bool is_http(struct span in, size_t scheme)
{
    return (scheme == 4 && strncasecmp(in.at, "http", 4) == 0) || (scheme == 5 && strncasecmp(in.at, "https", 5) == 0);
}

/* True for UTF-8 without control characters of ASCII; a space is none. */
static bool is_clean(struct span in)
{
    for (size_t i = 0; i < in.len; i++)
        if ((unsigned char)in.at[i] < 0x20 || in.at[i] == 0x7f)
            return false;
    return nm_text_is_utf8(in.at, in.len);
}

static enum im_reason reason_of(const struct nm_error *err)
{
    if (strcmp(err->code, "url_credentials") == 0)
        return IM_url_userinfo;
    if (strcmp(err->code, "url_scheme") == 0)
        return IM_url_scheme;
    return IM_url_invalid;
}

static enum im_reason canonical(struct span in, size_t max_bytes, struct im_url *out)
{
    struct nm_url url;
    struct nm_error err = {0};
    unsigned char sum[(IM_URL_HASH_BYTES - 1) / 2];
    if (nm_url_fetchable(in.at, in.len, max_bytes, &url, &err) != NM_OK)
        return reason_of(&err);
    if (strstr(url.text, "%00")) /* no server means it, and what reads the path as a C string would cut it there */
        return IM_url_invalid;
    memcpy(out->text, url.text, url.len + 1);
    out->len = url.len;
    out->path_at = url.path_at;
    nm_digest_raw(url.text, url.len, sum, sizeof sum);
    nm_hex_write(sum, sizeof sum, out->hash);
    memcpy(out->host, url.host, strlen(url.host) + 1);
    out->https = url.https;
    out->port = url.port;
    if (out->port == 0)
        out->port = url.https ? 443 : 80;
    return IM_NONE;
}

enum im_reason im_url_read(const char *text, size_t len, size_t max_bytes, struct im_url *out)
{
    struct span in = {.at = text, .len = len};
    assert(max_bytes > 0 && max_bytes <= NM_FETCH_MAX_BYTES);
    trim(&in);
    size_t scheme = scheme_len(in);
    if (scheme > 0 && !is_http(in, scheme)) /* before the length: a picture in a data: URL is long */
        return IM_url_scheme;
    if (in.len == 0 || in.len > max_bytes || !is_clean(in))
        return IM_url_invalid;
    if (scheme == 0)
        return IM_url_not_absolute;
    return canonical(in, max_bytes, out);
}

/* ---- redirects ---- */

struct joined {
    size_t len;
    char text[2 * NM_FETCH_MAX_BYTES + 8]; /* base and reference, each within its limit, and "https:" */
};

static void add(struct joined *out, const char *text, size_t len)
{
    assert(len <= sizeof out->text - out->len);
    memcpy(out->text + out->len, text, len);
    out->len += len;
}

/* What `ref`, which has no scheme and no fragment, means at `base` (RFC 3986, 5.2.2 and 5.2.3); dot segments stay. */
static void join(const struct im_url *base, struct span ref, struct joined *out)
{
    size_t keep = base->len; /* bytes of the base that stay: of an empty reference all */
    if (ref.len >= 2 && ref.at[0] == '/' && ref.at[1] == '/') {
        keep = base->https ? strlen("https:") : strlen("http:");
    } else if (ref.len > 0 && ref.at[0] == '/') {
        keep = base->path_at;
    } else if (ref.len > 0) {
        const char *query = memchr(base->text, '?', base->len);
        if (query)
            keep = (size_t)(query - base->text);
        while (ref.at[0] != '?' && base->text[keep - 1] != '/') /* the path begins with one */
            keep--;
    }
    out->len = 0;
    add(out, base->text, keep);
    add(out, ref.at, ref.len);
}

/* True for what browsers take for "//host" although it is none, so that nobody knows where it leads. */
static bool is_ambiguous(struct span ref)
{
    return ref.at[0] == '\\' || (ref.len > 1 && ref.at[0] == '/' && ref.at[1] == '\\');
}

enum im_reason im_url_follow(const struct im_url *from, const char *location, size_t len, size_t max_bytes,
                             bool allow_downgrade, struct im_url *out)
{
    struct span ref = {.at = location, .len = location ? len : 0};
    struct joined joined;
    struct im_url to;
    assert(max_bytes > 0 && max_bytes <= NM_FETCH_MAX_BYTES);
    trim(&ref);
    if (ref.len == 0 || ref.len > max_bytes || !is_clean(ref) || is_ambiguous(ref))
        return IM_redirect_bad;
    if (scheme_len(ref) == 0) {
        const char *fragment = memchr(ref.at, '#', ref.len);
        if (fragment)
            ref.len = (size_t)(fragment - ref.at);
        join(from, ref, &joined);
        ref = (struct span){.at = joined.text, .len = joined.len};
    }
    enum im_reason reason = canonical(ref, max_bytes, &to);
    if (reason != IM_NONE)
        return reason == IM_url_userinfo ? reason : IM_redirect_bad;
    if (from->https && !to.https && !allow_downgrade)
        return IM_redirect_downgrade;
    *out = to;
    return IM_NONE;
}

/* ---- for a log line ---- */

struct shown {
    size_t len;
    char *out; /* IM_URL_SHOWN_BYTES, of which the last four are for "..." and the NUL */
    bool full;
};

static void show_char(struct shown *shown, char c)
{
    unsigned char byte = (unsigned char)c;
    bool plain = byte > 0x20 && byte < 0x7f;
    shown->full = shown->full || shown->len + (plain ? 1 : 3) > IM_URL_SHOWN_BYTES - 4;
    if (shown->full)
        return;
    if (plain) {
        shown->out[shown->len++] = c;
        return;
    }
    shown->out[shown->len++] = '%';
    shown->out[shown->len++] = "0123456789ABCDEF"[byte >> 4];
    shown->out[shown->len++] = "0123456789ABCDEF"[byte & 15];
}

static void show(struct shown *shown, struct span text)
{
    for (size_t i = 0; i < text.len && !shown->full; i++)
        show_char(shown, text.at[i]);
}

/* True when something other than digits follows the last ":" outside of brackets. */
static bool has_odd_port(struct span authority)
{
    size_t i = authority.len;
    while (i > 0 && is_digit(authority.at[i - 1]))
        i--;
    if (i > 0 && authority.at[i - 1] == ':')
        return false;
    while (i > 0 && authority.at[i - 1] != ':' && authority.at[i - 1] != ']')
        i--;
    return i > 0 && authority.at[i - 1] == ':';
}

/* True when nobody can take anything in it for a user name: http or https, "//", a host that ends at a "/", "?" or "#",
 * and a port that is a number. Elsewhere an "@" may end a user name, wherever it stands. */
static bool has_clear_host(struct span in)
{
    size_t scheme = scheme_len(in);
    if (!is_http(in, scheme) || in.len < scheme + 3 || in.at[scheme + 1] != '/' || in.at[scheme + 2] != '/')
        return false;
    struct span host = {.at = in.at + scheme + 3, .len = 0};
    size_t most = in.len - (scheme + 3);
    for (; host.len < most; host.len++) {
        char c = host.at[host.len];
        if (c == '/' || c == '?' || c == '#')
            break;
        if (c == '@' || c == '\\')
            return false;
    }
    return host.len > 0 && !has_odd_port(host);
}

const char *im_url_show(const char *text, size_t len, char out[IM_URL_SHOWN_BYTES])
{
    static const struct span hidden = {.at = "***@", .len = 4}, cut = {.at = "?...", .len = 4};
    struct shown shown = {.out = out};
    struct span in = {.at = len > 0 ? text : "", .len = len};
    trim(&in);
    size_t start = 0, end;
    if (!has_clear_host(in)) {
        for (size_t i = 0; i < in.len; i++)
            if (in.at[i] == '@')
                start = i + 1;
    }
    for (end = start; end < in.len && in.at[end] != '?' && in.at[end] != '#';)
        end++;
    if (start > 0)
        show(&shown, hidden);
    show(&shown, (struct span){.at = in.at + start, .len = end - start});
    if (end < in.len)
        show(&shown, cut);
    memcpy(out + shown.len, shown.full ? "..." : "", shown.full ? 4 : 1);
    return out;
}
