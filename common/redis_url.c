/* redis_url.c - what stands in redis.url, and what an error reply of Redis asks for. Pure. */
#include "redis_internal.h"

#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes into out[size]; false when it does not fit or holds a NUL. */
static bool decode(const char *text, size_t len, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0) {
            c = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        }
        if (!c || n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

/* Decimal digits up to `max`; -1 for anything else. */
static int number(const char *text, size_t len, int max)
{
    int value = 0;
    if (len == 0 || len > 6)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value <= max ? value : -1;
}

static bool parse_credentials(const char *text, size_t len, struct nm_redis_url *url)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon ? (size_t)(colon - text) : len;
    if (!decode(text, user_len, url->user, sizeof url->user))
        return false;
    return !colon || decode(colon + 1, len - user_len - 1, url->password, sizeof url->password);
}

static bool parse_host_port(const char *text, size_t len, struct nm_redis_url *url)
{
    size_t host_len;
    const char *host = text;
    if (len && text[0] == '[') {
        const char *end = memchr(text, ']', len);
        if (!end)
            return false;
        host++;
        host_len = (size_t)(end - host);
        text = end + 1;
        len -= host_len + 2;
    } else {
        const char *colon = memchr(text, ':', len);
        host_len = colon ? (size_t)(colon - text) : len;
        text += host_len;
        len -= host_len;
    }
    if (host_len == 0 || !decode(host, host_len, url->host, sizeof url->host))
        return false;
    if (len == 0)
        return true;
    url->port = text[0] == ':' ? number(text + 1, len - 1, 65535) : -1;
    return url->port > 0;
}

enum nm_status nm_redis_url_parse(const char *text, struct nm_redis_url *out, struct nm_error *err)
{
    struct nm_redis_url url = {.port = 6379};
    const char *rest = NULL;
    if (strncmp(text, "redis://", 8) == 0) {
        rest = text + 8;
    } else if (strncmp(text, "rediss://", 9) == 0) {
        rest = text + 9;
        url.tls = true;
    }
    if (!rest)
        return nm_fail(err, NM_CONFIG, "redis.url must start with redis:// or rediss://");
    size_t len = strcspn(rest, "/?#");
    const char *db = rest + len;
    const char *at = NULL;
    for (size_t i = 0; i < len; i++)
        if (rest[i] == '@')
            at = rest + i;
    if (at && !parse_credentials(rest, (size_t)(at - rest), &url))
        return nm_fail(err, NM_CONFIG, "redis.url: user name or password is too long or holds a NUL");
    const char *host = at ? at + 1 : rest;
    if (!parse_host_port(host, len - (size_t)(host - rest), &url))
        return nm_fail(err, NM_CONFIG, "redis.url must be redis://[user:password@]host[:port][/database]");
    if (db[0] == '/' && db[1]) {
        url.db = number(db + 1, strlen(db + 1), 65535);
        if (url.db < 0)
            return nm_fail(err, NM_CONFIG, "redis.url: the database after the last / must be a number");
    } else if (db[0] && db[0] != '/') {
        return nm_fail(err, NM_CONFIG, "redis.url takes no query or fragment");
    }
    *out = url;
    return NM_OK;
}

enum nm_status nm_redis_classify(const char *error_reply)
{
    static const struct {
        const char *word;
        enum nm_status status;
    } known[] = {
        {"LOADING", NM_RETRY},     {"READONLY", NM_RETRY}, {"MASTERDOWN", NM_RETRY}, {"NOREPLICAS", NM_RETRY},
        {"OOM", NM_RETRY},         {"MISCONF", NM_RETRY},  {"BUSY", NM_RETRY},       {"NOSCRIPT", NM_RETRY},
        {"CLUSTERDOWN", NM_RETRY}, {"TRYAGAIN", NM_RETRY}, {"UNKILLABLE", NM_RETRY}, {"NOAUTH", NM_CONFIG},
        {"WRONGPASS", NM_CONFIG},  {"NOPERM", NM_CONFIG},  {"MOVED", NM_CONFIG},     {"ASK", NM_CONFIG},
        {"CROSSSLOT", NM_CONFIG},  {"DENIED", NM_CONFIG},
    };
    size_t len = strcspn(error_reply, " ");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].word) == len && memcmp(known[i].word, error_reply, len) == 0)
            return known[i].status;
    if (strncmp(error_reply, "ERR max number of clients", 25) == 0)
        return NM_RETRY;
    /* What the user may not do by hand, a script may not do for it; Redis 7.0 and 7.2 word it so. */
    if (strstr(error_reply, "The user executing the script can't") || strstr(error_reply, "ACL failure in script"))
        return NM_CONFIG;
    /* A script that ends in such an error wraps it: "ERR Error running script (...): ... -READONLY You can't write
     * ...". */
    bool script = strstr(error_reply, "script") != NULL;
    for (size_t i = 0; script && i < sizeof known / sizeof *known; i++) {
        const char *at = strstr(error_reply, known[i].word);
        if (at > error_reply && known[i].status == NM_RETRY && strchr("- '", at[-1]))
            return NM_RETRY;
    }
    return NM_FATAL;
}
