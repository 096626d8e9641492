/* fuzz_image_url.c - URLs of images and redirects from any bytes, and what the log shows of them.
 *
 * The first byte is the kind of limit; a byte 0x01 parts the URL from the Location of a redirect. Held: what is taken
 * is ASCII for a request line, within its limit, the same when it is read again, http or https, with a host of its own
 * form; a redirect never leads away from http and https, never to http from https unasked, and resolves as the URL that
 * it is; what is refused leaves the output alone and has a reason that its function may give; a shown URL is printable.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_image_url tests/fuzz/corpus/image_url */
#include "images/image_url.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

static bool same_url(const struct im_url *a, const struct im_url *b)
{
    return strcmp(a->text, b->text) == 0 && a->len == b->len && a->path_at == b->path_at && a->port == b->port &&
           a->https == b->https && strcmp(a->host, b->host) == 0 && strcmp(a->hash, b->hash) == 0;
}

/* Of an URL that was all zero before. */
static bool is_untouched(const struct im_url *url)
{
    return url->text[0] == '\0' && url->host[0] == '\0' && url->hash[0] == '\0' && url->len == 0 && url->path_at == 0 &&
           url->port == 0 && !url->https;
}

static void check_url(const struct im_url *url, size_t max_bytes)
{
    static struct im_url again;
    char host[NM_HOST_BYTES];
    require(url->len <= max_bytes && strlen(url->text) == url->len, "its length");
    for (size_t i = 0; i < url->len; i++)
        require(url->text[i] > 0x20 && url->text[i] < 0x7f && url->text[i] != '#', "bytes for a request line");
    require(strncmp(url->text, url->https ? "https://" : "http://", url->https ? 8 : 7) == 0, "http or https");
    require(url->path_at < url->len && url->text[url->path_at] == '/', "a path");
    require(!memchr(url->text, '@', url->path_at) && !memchr(url->text, '\\', url->len), "no user, no backslash");
    require(!strstr(url->text, "%00"), "no NUL");
    require(url->port >= 1 && url->port <= 65535, "a port");
    require(nm_host_canonical(url->host, strlen(url->host), host, NULL) == NM_OK && strcmp(host, url->host) == 0,
            "a canonical host");
    require(strncmp(url->text + (url->https ? 8 : 7), url->host, strlen(url->host)) == 0, "the host of the text");
    require(strspn(url->hash, "0123456789abcdef") == IM_URL_HASH_BYTES - 1, "a hash");
    require(im_url_read(url->text, url->len, max_bytes, &again) == IM_NONE && same_url(url, &again), "the same again");
}

static void check_shown(const char *text, size_t len)
{
    char out[IM_URL_SHOWN_BYTES];
    require(im_url_show(text, len, out) == out && strlen(out) < sizeof out, "it fits");
    for (size_t i = 0; out[i]; i++)
        require(out[i] > 0x20 && out[i] < 0x7f, "printable");
    if (strncmp(out, "***@", 4) == 0 || !strchr(out, '@'))
        return;
    const char *host = strstr(out, "://");
    require(host && strchr(host + 3, '/') && strchr(host + 3, '/') < strchr(out, '@'), "no user name");
}

static void check_follow(const struct im_url *from, const char *location, size_t len, size_t max_bytes, bool downgrade)
{
    static struct im_url to, direct;
    memset(&to, 0, sizeof to);
    enum im_reason reason = im_url_follow(from, location, len, max_bytes, downgrade, &to);
    if (reason == IM_NONE) {
        check_url(&to, max_bytes);
        require(to.https || !from->https || downgrade, "no downgrade");
    } else {
        require(reason == IM_redirect_bad || reason == IM_url_userinfo ||
                    (reason == IM_redirect_downgrade && from->https && !downgrade),
                "a reason of redirects");
        require(is_untouched(&to), "untouched");
    }
    if (im_url_read(location, len, max_bytes, &direct) == IM_NONE && (direct.https || !from->https || downgrade))
        require(reason == IM_NONE && same_url(&to, &direct), "an absolute URL means itself");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {4096, NM_FETCH_MAX_BYTES, 40, 1};
    static struct im_url url, base;
    static const char fallback[] = "https://b.example:81/a/b?c";
    if (size == 0)
        return 0;
    size_t max_bytes = limits[data[0] & 3];
    bool downgrade = data[0] & 4;
    const char *text = (const char *)data + 1;
    size_t len = size - 1, left = len;
    const char *mark = len > 0 ? memchr(text, 1, len) : NULL;
    if (mark)
        left = (size_t)(mark - text);
    memset(&url, 0, sizeof url);
    enum im_reason reason = im_url_read(text, left, max_bytes, &url);
    if (reason == IM_NONE) {
        check_url(&url, max_bytes);
        require(im_url_follow(&url, text, left, max_bytes, downgrade, &base) == IM_NONE && same_url(&url, &base),
                "itself");
        if (mark)
            check_follow(&url, mark + 1, len - left - 1, max_bytes, downgrade);
    } else {
        require(reason == IM_url_scheme || reason == IM_url_invalid || reason == IM_url_not_absolute ||
                    reason == IM_url_userinfo,
                "a reason of URLs");
        require(is_untouched(&url), "untouched");
    }
    require(im_url_read(fallback, sizeof fallback - 1, NM_FETCH_MAX_BYTES, &base) == IM_NONE, "a base");
    check_follow(&base, text, len, max_bytes, downgrade);
    check_shown(text, len);
    return 0;
}
