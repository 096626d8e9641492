/* url_amp.c - where an AMP page is found in the AMP Cache.
 *
 * The cache serves every publisher under a subdomain of its own, made from the host name in a way that people can
 * read; where that is impossible (no dot, over 63 bytes, both writing directions in one label) it is a hash. The
 * label need not be a legal IDNA label (doubled hyphens), so punycode is encoded here (RFC 3492, section 6.3) and not
 * by libidn2, which refuses those. Pure function; thread-safe. */
#include "newsmill/digest.h"
#include "newsmill/url.h"

#include <idn2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { LABEL_BYTES = 64, LABEL_MAX_CODES = 2 * NM_HOST_BYTES };

struct codes {
    size_t n;
    uint32_t at[LABEL_MAX_CODES];
};

NM_DEFINE_CLEANUP(char, idn2_free)

/* The host's code points with "-" doubled and "." made "-"; false: not decodable, or both directions in it. */
static bool read_codes(const char *host, struct codes *out)
{
    NM_AUTO(idn2_free) char *decoded = NULL;
    if (strstr(host, "xn--")) {
        if (idn2_to_unicode_8z8z(host, &decoded, 0) != IDN2_OK)
            return false;
        host = decoded;
    }
    bool to_right = false, to_left = false;
    size_t left = strlen(host);
    for (out->n = 0; left > 0;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)host, (utf8proc_ssize_t)left, &code);
        if (n <= 0 || out->n + 2 > LABEL_MAX_CODES)
            return false;
        int direction = utf8proc_get_property(code)->bidi_class;
        to_right |= direction == UTF8PROC_BIDI_CLASS_L;
        to_left |= direction == UTF8PROC_BIDI_CLASS_R || direction == UTF8PROC_BIDI_CLASS_AL;
        if (code == '-')
            out->at[out->n++] = '-';
        out->at[out->n++] = code == '.' ? '-' : (uint32_t)code;
        host += n;
        left -= (size_t)n;
    }
    return !(to_right && to_left);
}

/* "en--us-example-com" would look like an encoded label: it becomes "0-en--us-example-com-0". */
static bool guard_hyphens(struct codes *codes)
{
    if (codes->n < 4 || codes->at[2] != '-' || codes->at[3] != '-')
        return true;
    if (codes->n + 4 > LABEL_MAX_CODES)
        return false;
    memmove(codes->at + 2, codes->at, codes->n * sizeof *codes->at);
    codes->at[0] = '0';
    codes->at[1] = '-';
    codes->n += 2;
    codes->at[codes->n++] = '-';
    codes->at[codes->n++] = '0';
    return true;
}

struct label {
    size_t len;
    char text[LABEL_BYTES];
};

static bool label_add(struct label *out, char c)
{
    if (out->len + 1 >= LABEL_BYTES)
        return false;
    out->text[out->len++] = c;
    out->text[out->len] = '\0';
    return true;
}

/* RFC 3492, 6.1 */
static uint32_t adapt_bias(uint32_t delta, uint32_t n_points, bool first)
{
    delta = first ? delta / 700 : delta / 2;
    delta += delta / n_points;
    uint32_t k = 0;
    for (; delta > 35 * 26 / 2; k += 36)
        delta /= 35;
    return k + 36 * delta / (delta + 38);
}

/* One delta as a variable-length integer. */
static bool put_delta(struct label *out, uint32_t delta, uint32_t bias)
{
    for (uint32_t k = 36;; k += 36) {
        uint32_t t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
        if (delta < t)
            return label_add(out, "abcdefghijklmnopqrstuvwxyz0123456789"[delta]);
        if (!label_add(out, "abcdefghijklmnopqrstuvwxyz0123456789"[t + (delta - t) % (36 - t)]))
            return false;
        delta = (delta - t) / (36 - t);
    }
}

static uint32_t least_code_from(const struct codes *in, uint32_t from)
{
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < in->n; i++)
        if (in->at[i] >= from && in->at[i] < least)
            least = in->at[i];
    return least;
}

/* RFC 3492, 6.3, for a label whose ASCII part is written already. At most 59 code points fit, so that
 * delta stays far from overflow and the time is bounded. */
static bool put_punycode(const struct codes *in, struct label *out, uint32_t n_ascii)
{
    uint32_t done = n_ascii, code = 0x80, delta = 0, bias = 72;
    while (done < in->n) {
        uint32_t next = least_code_from(in, code);
        delta += (next - code) * (done + 1);
        code = next;
        for (size_t i = 0; i < in->n; i++) {
            if (in->at[i] < code)
                delta++;
            if (in->at[i] != code)
                continue;
            if (!put_delta(out, delta, bias))
                return false;
            bias = adapt_bias(delta, done + 1, done == n_ascii);
            delta = 0;
            done++;
        }
        delta++;
        code++;
    }
    return true;
}

/* The readable subdomain; false: the hash must serve. */
static bool readable_label(const char *host, struct label *out)
{
    struct codes codes;
    if (!strchr(host, '.') || !read_codes(host, &codes) || !guard_hyphens(&codes) || codes.n >= LABEL_BYTES)
        return false;
    uint32_t n_ascii = 0;
    for (size_t i = 0; i < codes.n; i++)
        n_ascii += codes.at[i] < 0x80;
    *out = (struct label){0};
    if (n_ascii < codes.n)
        (void)snprintf(out->text, sizeof out->text, "xn--");
    out->len = strlen(out->text);
    for (size_t i = 0; i < codes.n; i++)
        if (codes.at[i] < 0x80 && !label_add(out, (char)codes.at[i]))
            return false;
    if (n_ascii == codes.n)
        return true;
    return (n_ascii == 0 || label_add(out, '-')) && put_punycode(&codes, out, n_ascii);
}

/* Lower-case base32 (RFC 4648) of SHA-256 of the host, without padding: 52 digits. */
static void hashed_label(const char *host, struct label *out)
{
    unsigned char hash[32];
    nm_digest_raw(host, strlen(host), hash, sizeof hash);
    *out = (struct label){0};
    unsigned int bits = 0, n_bits = 0;
    for (size_t i = 0; i < sizeof hash; i++) {
        bits = (bits << 8 | hash[i]) & 0xfff;
        for (n_bits += 8; n_bits >= 5; n_bits -= 5)
            (void)label_add(out, "abcdefghijklmnopqrstuvwxyz234567"[bits >> (n_bits - 5) & 31]);
    }
    (void)label_add(out, "abcdefghijklmnopqrstuvwxyz234567"[bits << (5 - n_bits) & 31]);
}

enum nm_status nm_url_amp_cache(const struct nm_url *url, char out[NM_AMP_URL_BYTES], struct nm_error *err)
{
    static const char middle[] = ".cdn.ampproject.org/c/";
    struct label label;
    if (!readable_label(url->host, &label))
        hashed_label(url->host, &label);
    const char *rest = strstr(url->text, "://");
    size_t rest_len = rest ? strlen(rest + 3) : 0;
    if (rest_len == 0 || 8 + label.len + sizeof middle + 2 + rest_len > NM_AMP_URL_BYTES)
        return nm_bad(err, "url_invalid", "the AMP URL does not fit into an AMP Cache URL");
    (void)snprintf(out, NM_AMP_URL_BYTES, "https://%s%s%s%s", label.text, middle, url->https ? "s/" : "", rest + 3);
    return NM_OK;
}
