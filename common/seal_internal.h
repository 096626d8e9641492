/* seal_internal.h - base64 as seal.c and seal_keys.c share it; nobody else includes it. */
#ifndef NM_SEAL_INTERNAL_H
#define NM_SEAL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

/* Canonical base64 with padding: a multiple of four characters, unused bits zero. `out` has room for len / 4 * 3 bytes;
 * the number of bytes is the result, SIZE_MAX where the text is no such base64. */
size_t nm_base64_decode(const char *text, size_t len, unsigned char *out);

#endif
