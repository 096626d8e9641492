/* fuzz_seal.c - any bytes as a sealed text, as a key, and as something to seal.
 *
 * Checked: what opens is exactly what nm_seal_text() makes of its plaintext, so only one text opens to it; what is
 * sealed opens to what it was, and does not when one of its characters is another; base64 that is decoded encodes to
 * the same text. The first byte chooses what the rest is.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_seal tests/fuzz/corpus/seal */
#include "newsmill/seal.h"

#include "seal_internal.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ID "136ab291632faf53215323ed8744d7a4"

int LLVMFuzzerInitialize(int *argc, char ***argv); // NOLINT(readability-non-const-parameter)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nm_seal *seal;

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) // NOLINT(readability-non-const-parameter): given by libFuzzer
{
    (void)argc;
    (void)argv;
    unsigned char key[NM_SEAL_KEY_BYTES];
    require(nm_seal_new(&seal, NULL) == NM_OK, "a struct");
    for (unsigned i = 0; i < NM_SEAL_KEY_BYTES; i++)
        key[i] = (unsigned char)i;
    require(nm_seal_add(seal, 1, key, NULL) == NM_OK, "a key");
    key[0] = 0xff;
    require(nm_seal_add(seal, 0x61626364, key, NULL) == NM_OK, "another key");
    require(nm_seal_use(seal, 1, NULL) == NM_OK, "a key in use");
    return 0;
}

/* Only texts sealed by the key in use can be made again. */
static void try_open(const char *text, size_t len)
{
    struct nm_buf plain = {0}, again = {0};
    struct nm_error err = {0};
    enum nm_status status = nm_seal_open(seal, ID, text, len, &plain, &err);
    require(status == NM_OK || (status == NM_BAD_INPUT && strncmp(err.code, "seal_", 5) == 0), "a status and its code");
    require(status == NM_OK || plain.len == 0, "nothing comes out of what does not open");
    if (status == NM_OK) {
        require(nm_seal_text(seal, ID, nm_buf_str(&plain), plain.len, &again, NULL) == NM_OK, "it is sealed again");
        require(again.len == len && memcmp(again.data, text, len) == 0, "to the same text");
    }
    nm_buf_clear(&plain);
    nm_buf_clear(&again);
}

static void try_seal(const char *text, size_t len)
{
    struct nm_buf sealed = {0}, plain = {0};
    require(nm_seal_text(seal, ID, text, len, &sealed, NULL) == NM_OK, "any bytes can be sealed");
    try_open(sealed.data, sealed.len);
    require(nm_seal_open(seal, ID, sealed.data, sealed.len, &plain, NULL) == NM_OK, "what was sealed opens");
    require(plain.len == len && (len == 0 || memcmp(plain.data, text, len) == 0), "to what it was");
    size_t at = len % sealed.len;
    sealed.data[at] = sealed.data[at] == 'A' ? 'B' : 'A';
    require(nm_seal_open(seal, ID, sealed.data, sealed.len, &plain, NULL) == NM_BAD_INPUT, "a changed one does not");
    nm_buf_clear(&sealed);
    nm_buf_clear(&plain);
}

static void try_base64(const char *text, size_t len)
{
    unsigned char *bytes = malloc(len / 4 * 3 + 1), *again = malloc(len + 5);
    require(bytes && again, "memory");
    size_t n = nm_base64_decode(text, len, bytes);
    if (n != SIZE_MAX && n > 0) {
        int chars = EVP_EncodeBlock(again, bytes, (int)n);
        require((size_t)chars == len && memcmp(again, text, len) == 0, "canonical base64");
    }
    free(bytes);
    free(again);
}

static void try_key(const char *text, size_t len)
{
    unsigned char key[NM_SEAL_KEY_BYTES];
    struct nm_error err = {0};
    enum nm_status status = nm_seal_read_key(text, len, key, &err);
    require(status == NM_OK || (status == NM_CONFIG && err.msg[0]), "a key or a message");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = malloc(size > 1 ? size - 1 : 1); /* exactly as long, so that reading past it is seen */
    require(text != NULL, "memory");
    memcpy(text, data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        try_open(text, size - 1);
        break;
    case 1:
        try_seal(text, size - 1);
        break;
    case 2:
        try_base64(text, size - 1);
        break;
    default:
        try_key(text, size - 1);
    }
    free(text);
    return 0;
}
