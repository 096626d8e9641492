/* digest.h - names for contents: the first bytes of SHA-256, raw or as lower-case hex digits. Thread-safe. */
#ifndef NEWSMILL_DIGEST_H
#define NEWSMILL_DIGEST_H

#include <stddef.h>

#define NM_DIGEST_BYTES 33 /* with the NUL */

/* Aborts where libcrypto is unusable: a made-up digest would corrupt what is stored. */
void nm_digest(const void *data, size_t len, char out[NM_DIGEST_BYTES]); /* 16 bytes in hex */
void nm_digest_raw(const void *data, size_t len, void *out, size_t n);   /* the first n <= 32 bytes */

/* n bytes as 2n lower-case hex digits and a NUL; and back, from lower-case digits that the caller has checked. */
void nm_hex_write(const void *raw, size_t n, char *out);
void nm_hex_read(const char *hex, size_t n, void *out);

#endif
