/* fuzz_url.c - canonical URLs, hosts and AMP Cache URLs from any bytes.
 *
 * Held: what is canonical stays the same when it is made canonical again, is UTF-8 without controls and spaces, fits
 * its limits, and has a registrable domain inside its host and an AMP Cache URL. */
#include "newsmill/text.h"
#include "newsmill/url.h"

#include <stdint.h>
#include <string.h>

static void require(bool held)
{
    if (!held)
        abort();
}

static void check_host(const char *host)
{
    char again[NM_HOST_BYTES];
    require(nm_host_canonical(host, strlen(host), again, NULL) == NM_OK);
    require(strcmp(host, again) == 0);
    const char *domain = nm_host_registrable(host);
    require(domain >= host && domain <= host + strlen(host));
}

static void check_url(const struct nm_url *url, bool keep_query)
{
    static struct nm_url again;
    static char amp[NM_AMP_URL_BYTES];
    require(url->len <= NM_URL_MAX_BYTES && strlen(url->text) == url->len);
    require(nm_text_is_utf8(url->text, url->len));
    for (size_t i = 0; i < url->len; i++)
        require((unsigned char)url->text[i] > 0x20 && url->text[i] != 0x7f);
    require(url->text[url->path_at] == '/');
    require(nm_url_canonical(url->text, url->len, keep_query, &again, NULL) == NM_OK);
    require(strcmp(url->text, again.text) == 0 && strcmp(url->host, again.host) == 0);
    require(url->port == again.port && url->https == again.https && url->path_at == again.path_at);
    check_host(url->host);
    require(nm_url_amp_cache(url, amp, NULL) == NM_OK);
    size_t label = strcspn(amp + strlen("https://"), ".");
    require(label >= 1 && label <= 63);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct nm_url url;
    struct nm_error err;
    char id[NM_ID_BYTES], host[NM_HOST_BYTES];
    if (size == 0)
        return 0;
    bool keep_query = data[0] & 1;
    const char *text = (const char *)data + 1;
    if (nm_url_canonical(text, size - 1, keep_query, &url, &err) == NM_OK) {
        check_url(&url, keep_query);
        nm_article_id(url.text, url.len, id);
        require(nm_is_article_id(id, strlen(id)));
    } else {
        require(strncmp(err.code, "url_", 4) == 0 && err.msg[0] != '\0');
    }
    if (nm_host_canonical(text, size - 1, host, NULL) == NM_OK)
        check_host(host);
    return 0;
}
