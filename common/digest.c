/* digest.c - see digest.h. Article ids and the hash of a record's body are made here. */
#include "newsmill/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Looked up once: that costs more than the digest of a word, and SHA256() does it each time. Kept for good. */
static EVP_MD *sha256;
static pthread_once_t looked_up = PTHREAD_ONCE_INIT;

static void look_up(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

void nm_digest_raw(const void *data, size_t len, void *out, size_t n)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    assert(n <= sizeof hash);
    if (pthread_once(&looked_up, look_up) || !sha256 || !EVP_Digest(data, len, hash, NULL, sha256, NULL))
        abort();
    memcpy(out, hash, n);
}

void nm_digest(const void *data, size_t len, char out[NM_DIGEST_BYTES])
{
    unsigned char raw[(NM_DIGEST_BYTES - 1) / 2];
    nm_digest_raw(data, len, raw, sizeof raw);
    nm_hex_write(raw, sizeof raw, out);
}

void nm_hex_write(const void *raw, size_t n, char *out)
{
    const unsigned char *byte = raw;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[byte[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[byte[i] & 15];
    }
    out[2 * n] = '\0';
}

static unsigned digit(char hex)
{
    return (unsigned)(hex <= '9' ? hex - '0' : hex - 'a' + 10);
}

void nm_hex_read(const char *hex, size_t n, void *out)
{
    unsigned char *byte = out;
    for (size_t i = 0; i < n; i++)
        byte[i] = (unsigned char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
}
