/* digest.h - names for contents: the first 16 bytes of SHA-256 as 32 lower-case hex digits. Thread-safe. */
#ifndef NEWSMILL_DIGEST_H
#define NEWSMILL_DIGEST_H

#include <stddef.h>

#define NM_DIGEST_BYTES 33 /* with the NUL */

/* Aborts where libcrypto is unusable: a made-up digest would corrupt what is stored. */
void nm_digest(const void *data, size_t len, char out[NM_DIGEST_BYTES]);

#endif
