/* digest.c - see digest.h. Article ids and the hash of a record's body are made here. */
#include "newsmill/digest.h"

#include <openssl/sha.h>
#include <stdlib.h>

void nm_digest(const void *data, size_t len, char out[NM_DIGEST_BYTES])
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    if (!SHA256(data, len, hash))
        abort();
    for (size_t i = 0; i < (NM_DIGEST_BYTES - 1) / 2; i++) {
        out[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    out[NM_DIGEST_BYTES - 1] = '\0';
}
