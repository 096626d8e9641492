/* url.c - the canonical form of an article's URL, and the id made from it.
 *
 * Own parser: the id hangs on every byte, so the form may not change with the version of a library. One pass over the
 * text after a check of its bytes, no allocation but for an international host name. What is written goes through
 * put(), which normalises escapes; dot segments and tracking parameters are judged on what was written, so an escaped
 * "%2e%2e" or "%75tm_source" counts as what it stands for.
 * A URL that is fetched may grow while it is written, by escapes: put_char() then refuses what does not fit, and the
 * draft stays `full` although ".." takes bytes back.
 * Invariant: canonicalising a canonical URL gives the same bytes. For that, an escape is left alone where decoding it
 * would complete a broken one before it: "%%341" must not become "%41". */
#include "newsmill/url.h"
#include "newsmill/digest.h"
#include "newsmill/text.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* While it is built the text may be longer than what is accepted in the end: a host grows in punycode. */
enum { DRAFT_BYTES = NM_FETCH_MAX_BYTES + NM_HOST_BYTES + 32, PORT_MAX = 65535 };

struct span {
    const char *at;
    size_t len;
};

/* What differs between the URL of an article and one that is fetched. */
struct form {
    size_t max_bytes;
    bool keep_query;
    bool escape; /* what RFC 3986 does not allow in a path or query */
};

struct draft {
    size_t len;
    bool escape, full;
    char text[DRAFT_BYTES];
};

static bool is_unreserved(unsigned char c)
{
    return (c < 0x80 && isalnum(c)) || c == '-' || c == '.' || c == '_' || c == '~';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Trims white space and checks every byte. NM_BAD_INPUT: a byte that no URL may hold. A space that can be escaped is
 * good here; in a host it is refused later. */
static enum nm_status check_bytes(struct span *in, const struct form *form, struct nm_error *err)
{
    while (in->len > 0 && isspace((unsigned char)in->at[0])) {
        in->at++;
        in->len--;
    }
    while (in->len > 0 && isspace((unsigned char)in->at[in->len - 1]))
        in->len--;
    if (in->len == 0)
        return nm_bad(err, "url_invalid", "the URL is empty");
    if (in->len > form->max_bytes)
        return nm_bad(err, "url_too_long", "the URL has %zu bytes; %zu are allowed", in->len, form->max_bytes);
    bool ascii = true;
    for (size_t i = 0; i < in->len; i++) {
        unsigned char c = (unsigned char)in->at[i];
        if (c < 0x20 || c == 0x7f || (c == ' ' && !form->escape))
            return nm_bad(err, "url_invalid", "the URL holds a space or a control character at byte %zu", i);
        if (c < 0x80)
            continue;
        ascii = false;
        if (c == 0xc2 && i + 1 < in->len && (unsigned char)in->at[i + 1] < 0xa0)
            return nm_bad(err, "url_invalid", "the URL holds a control character at byte %zu", i);
    }
    if (!ascii && !nm_text_is_utf8(in->at, in->len))
        return nm_bad(err, "url_invalid", "the URL is not UTF-8");
    return NM_OK;
}

static bool has_scheme(struct span in)
{
    size_t i = 0;
    while (i < in.len && (isalnum((unsigned char)in.at[i]) || (i > 0 && strchr("+-.", in.at[i]))))
        i++;
    return i > 0 && i < in.len && in.at[i] == ':' && isalpha((unsigned char)in.at[0]);
}

/* Takes "http://" or "https://" off the front. */
static enum nm_status take_scheme(struct span *in, bool *https, struct nm_error *err)
{
    for (size_t n = 7; n <= 8; n++) {
        if (in->len < n || strncasecmp(in->at, n == 7 ? "http://" : "https://", n) != 0)
            continue;
        *https = n == 8;
        in->at += n;
        in->len -= n;
        return NM_OK;
    }
    bool ours =
        (in->len > 4 && strncasecmp(in->at, "http:", 5) == 0) || (in->len > 5 && strncasecmp(in->at, "https:", 6) == 0);
    if (!ours && has_scheme(*in))
        return nm_bad(err, "url_scheme", "the URL's scheme is neither http nor https");
    return nm_bad(err, "url_invalid", "the URL does not begin with http:// or https://");
}

/* "" and the scheme's own port give 0. */
static enum nm_status read_port(struct span in, bool https, int *out, struct nm_error *err)
{
    int port = 0;
    for (size_t i = 0; i < in.len; i++) {
        if (in.at[i] < '0' || in.at[i] > '9' || (port = port * 10 + (in.at[i] - '0')) > PORT_MAX)
            return nm_bad(err, "url_invalid", "the URL's port is not a number from 1 to %d", PORT_MAX);
    }
    if (in.len > 0 && port == 0)
        return nm_bad(err, "url_invalid", "the URL's port is not a number from 1 to %d", PORT_MAX);
    *out = port == (https ? 443 : 80) ? 0 : port;
    return NM_OK;
}

/* Takes host and port off the front; what is left begins with "/", "?", "#" or is empty. */
static enum nm_status take_authority(struct span *in, bool https, char host[NM_HOST_BYTES], int *port,
                                     struct nm_error *err)
{
    struct span all = {.at = in->at, .len = 0};
    const char *colon = NULL; /* the last one outside of an IPv6 literal's brackets */
    for (; all.len < in->len && !strchr("/?#", all.at[all.len]); all.len++) {
        char c = all.at[all.len];
        if (c == '@')
            return nm_bad(err, "url_credentials", "the URL holds a user name; remove it before sending");
        if (c == '\\')
            return nm_bad(err, "url_invalid", "the URL holds a backslash before its path");
        if (c == ':')
            colon = all.at + all.len;
        else if (c == ']')
            colon = NULL;
    }
    size_t host_len = colon ? (size_t)(colon - all.at) : all.len;
    struct span digits = {.at = all.at + host_len, .len = all.len - host_len};
    if (colon) {
        digits.at++;
        digits.len--;
    }
    enum nm_status s = nm_host_canonical(all.at, host_len, host, err);
    if (s == NM_OK)
        s = read_port(digits, https, port, err);
    in->at += all.len;
    in->len -= all.len;
    return s;
}

/* True when a hex digit written now would follow a "%" that has no two digits of its own. */
static bool after_broken_escape(const struct draft *out)
{
    const char *end = out->text + out->len; /* the text begins with a scheme: two bytes are always there */
    return end[-1] == '%' || (end[-2] == '%' && hex_value(end[-1]) >= 0);
}

static void put_char(struct draft *out, char c)
{
    if (out->len < sizeof out->text)
        out->text[out->len++] = c;
    else
        out->full = true;
}

static void put_escape(struct draft *out, unsigned char c)
{
    put_char(out, '%');
    put_char(out, "0123456789ABCDEF"[c >> 4]);
    put_char(out, "0123456789ABCDEF"[c & 15]);
}

/* True for what may not stand in a path or query (RFC 3986, 3.3 and 3.4). "%" and brackets, which may not either, are
 * kept: servers are used to them. */
static bool needs_escape(unsigned char c)
{
    return c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c);
}

/* Writes the character at in.at[i], or the escape; returns how many bytes of `in` that was. */
static size_t put(struct draft *out, struct span in, size_t i)
{
    char c = in.at[i];
    int high = -1, low = -1;
    if (c == '%' && in.len - i > 2) {
        high = hex_value(in.at[i + 1]);
        low = hex_value(in.at[i + 2]);
    }
    if (high < 0 || low < 0) {
        if (out->escape && needs_escape((unsigned char)c))
            put_escape(out, (unsigned char)c);
        else
            put_char(out, c);
        return 1;
    }
    char decoded = (char)(high * 16 + low);
    if (is_unreserved((unsigned char)decoded) && !(hex_value(decoded) >= 0 && after_broken_escape(out)))
        put_char(out, decoded);
    else
        put_escape(out, (unsigned char)decoded);
    return 3;
}

/* Ends the path segment that begins at `segment`: "." and ".." are taken back (RFC 3986, 5.2.4). */
static void end_segment(struct draft *out, size_t path, size_t segment, bool slash)
{
    const char *name = out->text + segment;
    size_t len = out->len - segment;
    if (len == 1 && name[0] == '.') {
        out->len = segment;
    } else if (len == 2 && name[0] == '.' && name[1] == '.') {
        out->len = segment;
        if (segment > path + 1)
            out->len--; /* the "/" in front, then the segment before it */
        while (out->text[out->len - 1] != '/')
            out->len--;
    } else if (slash) {
        put_char(out, '/');
    }
}

static void put_path(struct draft *out, struct span in)
{
    size_t path = out->len;
    put_char(out, '/');
    size_t segment = out->len;
    for (size_t i = in.len > 0; i < in.len;) {
        if (in.at[i] != '/') {
            i += put(out, in, i);
            continue;
        }
        end_segment(out, path, segment, true);
        segment = out->len;
        i++;
    }
    end_segment(out, path, segment, false);
}

/* in: what stands behind the "?". */
static void put_query(struct draft *out, struct span in, bool keep_all)
{
    size_t query = out->len;
    bool any = false;
    put_char(out, '?');
    for (size_t i = 0; i <= in.len; i++) { /* one turn a parameter, the last may be empty */
        size_t before = out->len;
        if (any)
            put_char(out, '&');
        size_t name = out->len, equals = 0;
        while (i < in.len && in.at[i] != '&') {
            if (in.at[i] == '=' && equals == 0)
                equals = out->len;
            i += put(out, in, i);
        }
        size_t name_len = (equals ? equals : out->len) - name;
        if (!keep_all && nm_url_is_tracking(out->text + name, name_len))
            out->len = before;
        else
            any = true;
    }
    if (out->len == query + 1)
        out->len = query;
}

static void put_rest(struct draft *out, struct span in, bool keep_query)
{
    const char *hash = memchr(in.at, '#', in.len);
    if (hash)
        in.len = (size_t)(hash - in.at);
    const char *mark = memchr(in.at, '?', in.len);
    struct span path = {.at = in.at, .len = mark ? (size_t)(mark - in.at) : in.len};
    put_path(out, path);
    if (mark)
        put_query(out, (struct span){.at = mark + 1, .len = in.len - path.len - 1}, keep_query);
}

static void put_literal(struct draft *out, const char *text)
{
    size_t len = strlen(text);
    memcpy(out->text + out->len, text, len);
    out->len += len;
}

static void put_port(struct draft *out, int port)
{
    char digits[8];
    size_t n = sizeof digits;
    for (digits[--n] = '\0'; port > 0; port /= 10)
        digits[--n] = (char)('0' + port % 10);
    put_literal(out, ":");
    put_literal(out, digits + n);
}

static enum nm_status canonical(struct span in, const struct form *form, struct nm_url *out, struct nm_error *err)
{
    struct draft draft; /* 8 KiB that need no clearing; only what is used is copied to *out */
    char host[NM_HOST_BYTES];
    bool https = false;
    int port = 0;
    enum nm_status s = check_bytes(&in, form, err);
    if (s == NM_OK)
        s = take_scheme(&in, &https, err);
    if (s == NM_OK)
        s = take_authority(&in, https, host, &port, err);
    if (s != NM_OK)
        return s;
    draft.len = 0;
    draft.escape = form->escape;
    draft.full = false;
    put_literal(&draft, https ? "https://" : "http://");
    put_literal(&draft, host);
    if (port)
        put_port(&draft, port);
    size_t path_at = draft.len;
    put_rest(&draft, in, form->keep_query);
    if (draft.full || draft.len > form->max_bytes)
        return nm_bad(err, "url_too_long", "the URL has %s%zu bytes in canonical form; %zu are allowed",
                      draft.full ? "over " : "", draft.len, form->max_bytes);
    memcpy(out->text, draft.text, draft.len);
    out->text[draft.len] = '\0';
    out->len = draft.len;
    memcpy(out->host, host, strlen(host) + 1);
    out->path_at = path_at;
    out->port = port;
    out->https = https;
    return NM_OK;
}

enum nm_status nm_url_canonical(const char *text, size_t len, bool keep_query, struct nm_url *out, struct nm_error *err)
{
    const struct form form = {.max_bytes = NM_URL_MAX_BYTES, .keep_query = keep_query};
    return canonical((struct span){.at = text, .len = len}, &form, out, err);
}

enum nm_status nm_url_fetchable(const char *text, size_t len, size_t max_bytes, struct nm_url *out,
                                struct nm_error *err)
{
    const struct form form = {.max_bytes = max_bytes, .keep_query = true, .escape = true};
    assert(max_bytes <= NM_FETCH_MAX_BYTES);
    return canonical((struct span){.at = text, .len = len}, &form, out, err);
}

bool nm_url_is_tracking(const char *name, size_t len)
{
    static const char *const names[] = {"fbclid", "gclid",  "gclsrc", "dclid", "gbraid", "wbraid", "msclkid",
                                        "mc_cid", "mc_eid", "igshid", "yclid", "_hsenc", "_hsmi",  "mkt_tok"};
    if (len >= 4 && strncasecmp(name, "utm_", 4) == 0)
        return true;
    if (len < 5 || len > 7)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
            return true;
    return false;
}

void nm_article_id(const char *canonical, size_t len, char out[NM_ID_BYTES])
{
    nm_digest(canonical, len, out);
}

bool nm_is_article_id(const char *text, size_t len)
{
    if (len != NM_ID_BYTES - 1)
        return false;
    for (size_t i = 0; i < len; i++)
        if (hex_value(text[i]) < 0 || (text[i] >= 'A' && text[i] <= 'F'))
            return false;
    return true;
}
