/* url_host.c - host names: canonical form and registrable domain.
 *
 * A host of ASCII bytes is only lower-cased and checked: DNS resolves labels that IDNA refuses ("r3---x", "_x",
 * emoji in punycode), and the article id may not change with the Unicode version of a library. Only a host with other
 * bytes goes through UTS 46 (libidn2, non-transitional), and what comes out is checked like any ASCII host, since the
 * mapping can yield characters such as "/". An IPv6 literal gets its RFC 5952 form. Pure functions; thread-safe. */
#include "newsmill/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <idn2.h>
#include <libpsl.h>
#include <stdio.h>
#include <string.h>

/* 253 code points of four bytes; more can never be a host name. */
enum { HOST_RAW_BYTES = 1024, LABEL_MAX_BYTES = 63 };

NM_DEFINE_CLEANUP(char, idn2_free)

static bool is_host_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Lower case, no final dot, labels of 1 to 63 bytes, 253 in all. */
static bool ascii_host(const char *text, size_t len, char out[NM_HOST_BYTES])
{
    if (len > 0 && text[len - 1] == '.')
        len--;
    if (len == 0 || len >= NM_HOST_BYTES)
        return false;
    size_t label = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 'A' && c <= 'Z')
            c = (unsigned char)(c - 'A' + 'a');
        out[i] = (char)c;
        if (c == '.' && label > 0)
            label = 0;
        else if (!is_host_char(c) || ++label > LABEL_MAX_BYTES)
            return false;
    }
    out[len] = '\0';
    return label > 0;
}

/* text: "[...]" */
static bool ipv6_host(const char *text, size_t len, char out[NM_HOST_BYTES])
{
    char inner[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (len < 4 || len - 2 >= sizeof inner || text[len - 1] != ']')
        return false;
    memcpy(inner, text + 1, len - 2);
    inner[len - 2] = '\0';
    if (strlen(inner) != len - 2 || inet_pton(AF_INET6, inner, &address) != 1 ||
        !inet_ntop(AF_INET6, &address, inner, sizeof inner))
        return false;
    (void)snprintf(out, NM_HOST_BYTES, "[%s]", inner);
    return true;
}

/* text: NUL-terminated, with bytes above 127 */
static bool international_host(const char *text, char out[NM_HOST_BYTES])
{
    NM_AUTO(idn2_free) char *ascii = NULL;
    int rc = idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    return rc == IDN2_OK && ascii_host(ascii, strlen(ascii), out);
}

/* Decodes "%xx"; *ascii tells whether all bytes are. Returns the length, 0 when it is too long or holds a NUL. */
static size_t decode(const char *text, size_t len, char out[HOST_RAW_BYTES], bool *ascii)
{
    size_t n = 0;
    *ascii = true;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%' && len - i > 2 && isxdigit((unsigned char)text[i + 1]) && isxdigit((unsigned char)text[i + 2])) {
            unsigned int value = 0;
            for (size_t k = i + 1; k <= i + 2; k++) {
                unsigned char digit = (unsigned char)text[k];
                value = value * 16 + (unsigned int)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
            }
            c = (char)value;
            i += 2;
        }
        if (c == '\0' || n + 1 >= HOST_RAW_BYTES)
            return 0;
        if ((unsigned char)c >= 0x80)
            *ascii = false;
        out[n++] = c;
    }
    out[n] = '\0';
    return n;
}

enum nm_status nm_host_canonical(const char *text, size_t len, char out[NM_HOST_BYTES], struct nm_error *err)
{
    char raw[HOST_RAW_BYTES], host[NM_HOST_BYTES];
    bool ascii, good;
    size_t n = decode(text, len, raw, &ascii);
    if (len == 0)
        return nm_bad(err, "url_invalid", "the host name is empty");
    if (n > 0 && text[0] == '[')
        good = ipv6_host(text, len, host);
    else if (ascii)
        good = ascii_host(raw, n, host);
    else
        good = n > 0 && international_host(raw, host);
    if (!good)
        return nm_bad(err, "url_invalid", "the host name is not valid");
    memcpy(out, host, strlen(host) + 1);
    return NM_OK;
}

const char *nm_host_registrable(const char *host)
{
    struct in_addr address;
    if (host[0] == '[' || inet_pton(AF_INET, host, &address) == 1)
        return host;
    const psl_ctx_t *psl = psl_builtin();
    const char *domain = psl ? psl_registrable_domain(psl, host) : NULL;
    return domain ? domain : host;
}
