/* seal.c - sealing and opening; see seal.h for the format.
 *
 * The nonce is derived from what is sealed, so there is no randomness that could repeat and no state to keep: equal
 * nonces mean equal id and plaintext, and then the ciphertext is the same anyway. The key of the HMAC is derived from
 * the key by HKDF, so that the two algorithms do not share one.
 * What libcrypto looks up by name is looked up once: a look-up costs more than sealing a short text. Derived keys are
 * computed when a key is added. Everything that held key material is wiped.
 * Threads: none shared; contexts are used again by every call, so one thread at a time. */
#include "newsmill/seal.h"

#include "seal_internal.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <string.h>

#define ID_BYTES     32
#define TAG_BYTES    16
#define NUMBER_BYTES 4
#define NONCE_BYTES  12
#define TRAIL_BYTES  (NUMBER_BYTES + NONCE_BYTES)
#define TRAIL_CHARS  24 /* base64 of it */
#define HASH_BYTES   32
#define MAX_BYTES    ((size_t)1 << 28) /* far below what AES-GCM and int can take */

struct key {
    uint32_t number;
    unsigned char key[NM_SEAL_KEY_BYTES], nonce_key[HASH_BYTES], digest_key[HASH_BYTES];
};

struct nm_seal {
    struct key key[NM_SEAL_MAX_KEYS];
    size_t n;
    const struct key *current, *oldest; /* oldest: of the smallest number */
    EVP_CIPHER *aes;
    EVP_CIPHER_CTX *cipher;
    EVP_MAC *hmac;
    EVP_MAC_CTX *mac;
};

static enum nm_status crypto_failed(struct nm_error *err)
{
    return nm_fail(err, NM_FATAL, "libcrypto failed while sealing");
}

void nm_seal_free(struct nm_seal *seal)
{
    if (!seal)
        return;
    EVP_CIPHER_CTX_free(seal->cipher);
    EVP_CIPHER_free(seal->aes);
    EVP_MAC_CTX_free(seal->mac);
    EVP_MAC_free(seal->hmac);
    OPENSSL_cleanse(seal, sizeof *seal);
    free(seal);
}

enum nm_status nm_seal_new(struct nm_seal **out, struct nm_error *err)
{
    NM_AUTO(nm_seal_free) struct nm_seal *seal = calloc(1, sizeof *seal);
    if (!seal)
        return nm_fail(err, NM_FATAL, "out of memory for keys");
    seal->aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    seal->cipher = EVP_CIPHER_CTX_new();
    seal->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    seal->mac = seal->hmac ? EVP_MAC_CTX_new(seal->hmac) : NULL;
    if (!seal->aes || !seal->cipher || !seal->mac)
        return nm_fail(err, NM_FATAL, "out of memory, or libcrypto has no AES-256-GCM");
    *out = seal;
    seal = NULL;
    return NM_OK;
}

/* ---- keys ---- */

static bool derive(const unsigned char key[NM_SEAL_KEY_BYTES], const char *label, unsigned char out[HASH_BYTES])
{
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key, NM_SEAL_KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)label, strlen(label)),
        OSSL_PARAM_construct_end()};
    bool good = ctx && EVP_KDF_derive(ctx, out, HASH_BYTES, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(hkdf);
    return good;
}

static const struct key *find_key(const struct nm_seal *seal, uint32_t number)
{
    for (size_t i = 0; i < seal->n; i++)
        if (seal->key[i].number == number)
            return &seal->key[i];
    return NULL;
}

enum nm_status nm_seal_add(struct nm_seal *seal, uint32_t number, const unsigned char key[NM_SEAL_KEY_BYTES],
                           struct nm_error *err)
{
    if (number == 0 || find_key(seal, number))
        return nm_fail(err, NM_CONFIG, number ? "key %u is given twice" : "a key has the number %u", number);
    if (seal->n == NM_SEAL_MAX_KEYS)
        return nm_fail(err, NM_CONFIG, "there are more than %d keys", NM_SEAL_MAX_KEYS);
    struct key *added = &seal->key[seal->n];
    added->number = number;
    memcpy(added->key, key, NM_SEAL_KEY_BYTES);
    if (!derive(key, NM_SEAL_NONCE_LABEL, added->nonce_key) || !derive(key, NM_SEAL_DIGEST_LABEL, added->digest_key)) {
        OPENSSL_cleanse(added, sizeof *added);
        return nm_fail(err, NM_FATAL, "out of memory, or libcrypto has no HKDF");
    }
    seal->n++;
    if (!seal->oldest || number < seal->oldest->number)
        seal->oldest = added;
    return NM_OK;
}

enum nm_status nm_seal_use(struct nm_seal *seal, uint32_t number, struct nm_error *err)
{
    const struct key *key = find_key(seal, number);
    if (!key)
        return nm_fail(err, NM_CONFIG, "there is no key %u", number);
    seal->current = key;
    return NM_OK;
}

/* ---- HMAC ---- */

static enum nm_status hmac(struct nm_seal *seal, const unsigned char key[HASH_BYTES], const char *id, const char *plain,
                           size_t len, unsigned char out[HASH_BYTES], struct nm_error *err)
{
    char digest[] = "SHA256";
    size_t n = 0;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    if (EVP_MAC_init(seal->mac, key, HASH_BYTES, params) != 1 ||
        EVP_MAC_update(seal->mac, (const unsigned char *)id, ID_BYTES) != 1 ||
        EVP_MAC_update(seal->mac, (const unsigned char *)plain, len) != 1 ||
        EVP_MAC_final(seal->mac, out, &n, HASH_BYTES) != 1 || n != HASH_BYTES)
        return crypto_failed(err);
    return NM_OK;
}

enum nm_status nm_seal_digest(struct nm_seal *seal, const char *id, const char *plain, size_t len,
                              unsigned char out[NM_SEAL_DIGEST_BYTES], struct nm_error *err)
{
    unsigned char whole[HASH_BYTES];
    if (!seal->oldest)
        return nm_fail(err, NM_FATAL, "no key to seal with");
    enum nm_status status = hmac(seal, seal->oldest->digest_key, id, plain, len, whole, err);
    if (status == NM_OK)
        memcpy(out, whole, NM_SEAL_DIGEST_BYTES);
    return status;
}

/* ---- sealing ---- */

/* Appends base64 of `data`. */
static void add_base64(struct nm_buf *out, const unsigned char *data, size_t len)
{
    unsigned char four[5];
    for (size_t at = 0; at < len; at += 3) {
        int n = len - at < 3 ? (int)(len - at) : 3;
        nm_buf_add(out, four, (size_t)EVP_EncodeBlock(four, data + at, n));
    }
}

static bool encrypt(struct nm_seal *seal, const char *id, const char *plain, size_t len,
                    const unsigned char nonce[NONCE_BYTES], unsigned char *out)
{
    int n = 0, more = 0;
    return EVP_EncryptInit_ex2(seal->cipher, seal->aes, seal->current->key, nonce, NULL) == 1 &&
           EVP_EncryptUpdate(seal->cipher, NULL, &n, (const unsigned char *)id, ID_BYTES) == 1 &&
           EVP_EncryptUpdate(seal->cipher, out, &n, (const unsigned char *)plain, (int)len) == 1 &&
           EVP_EncryptFinal_ex(seal->cipher, out + n, &more) == 1 && n + more == (int)len &&
           EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, out + len) == 1;
}

enum nm_status nm_seal_text(struct nm_seal *seal, const char *id, const char *plain, size_t len, struct nm_buf *out,
                            struct nm_error *err)
{
    unsigned char whole[HASH_BYTES], trail[TRAIL_BYTES];
    if (!seal->current)
        return nm_fail(err, NM_FATAL, "no key to seal with");
    if (len > MAX_BYTES)
        return nm_fail(err, NM_FATAL, "a text of %zu bytes is too long to be sealed", len);
    enum nm_status status = hmac(seal, seal->current->nonce_key, id, plain, len, whole, err);
    if (status != NM_OK)
        return status;
    for (int i = 0; i < NUMBER_BYTES; i++)
        trail[i] = (unsigned char)(seal->current->number >> (8 * (NUMBER_BYTES - 1 - i)));
    memcpy(trail + NUMBER_BYTES, whole, NONCE_BYTES);
    unsigned char *body = malloc(len + TAG_BYTES);
    if (!body)
        return nm_fail(err, NM_FATAL, "out of memory for a sealed text");
    if (encrypt(seal, id, plain, len, trail + NUMBER_BYTES, body)) {
        add_base64(out, body, len + TAG_BYTES);
        nm_buf_addc(out, ';');
        add_base64(out, trail, sizeof trail);
        if (!nm_buf_ok(out))
            status = nm_fail(err, NM_FATAL, "out of memory for a sealed text");
    } else {
        status = crypto_failed(err);
    }
    free(body);
    return status;
}

/* ---- opening ---- */

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t nm_base64_decode(const char *text, size_t len, unsigned char *out)
{
    if (len == 0 || len % 4 != 0)
        return len == 0 ? 0 : SIZE_MAX;
    size_t padding = (size_t)(text[len - 1] == '=') + (size_t)(text[len - 1] == '=' && text[len - 2] == '=');
    size_t n = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        int six = i < len - padding ? sextet(text[i]) : 0;
        if (six < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)six;
        if (i % 4 != 3)
            continue;
        unsigned char three[3] = {(unsigned char)(bits >> 16), (unsigned char)(bits >> 8), (unsigned char)bits};
        size_t take = i + 1 == len ? 3 - padding : 3;
        for (size_t k = take; k < 3; k++)
            if (three[k])
                return SIZE_MAX; /* not canonical: unused bits */
        memcpy(out + n, three, take);
        n += take;
        bits = 0;
    }
    return n;
}

static bool decrypt(struct nm_seal *seal, const struct key *key, const char *id, unsigned char *body, size_t len,
                    const unsigned char nonce[NONCE_BYTES])
{
    int n = 0, more = 0;
    return EVP_DecryptInit_ex2(seal->cipher, seal->aes, key->key, nonce, NULL) == 1 &&
           EVP_DecryptUpdate(seal->cipher, NULL, &n, (const unsigned char *)id, ID_BYTES) == 1 &&
           EVP_DecryptUpdate(seal->cipher, body, &n, body, (int)len) == 1 &&
           EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, body + len) == 1 &&
           EVP_DecryptFinal_ex(seal->cipher, body + n, &more) == 1 && n + more == (int)len;
}

static enum nm_status bad_form(struct nm_error *err)
{
    return nm_bad(err, "seal_form", "not a sealed text: two runs of base64 with a semicolon between them");
}

static enum nm_status open_body(struct nm_seal *seal, const char *id, unsigned char *body, size_t len,
                                const unsigned char trail[TRAIL_BYTES], struct nm_buf *out, struct nm_error *err)
{
    uint32_t number = 0;
    for (int i = 0; i < NUMBER_BYTES; i++)
        number = number << 8 | trail[i];
    const struct key *key = find_key(seal, number);
    if (!key)
        return nm_bad(err, "seal_key", "sealed with key %u, which is not listed", number);
    if (!decrypt(seal, key, id, body, len, trail + NUMBER_BYTES))
        return nm_bad(err, "seal_broken", "key %u does not open it: it was changed, or belongs to another article",
                      number);
    nm_buf_add(out, body, len);
    return nm_buf_ok(out) ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for a text of %zu bytes", len);
}

enum nm_status nm_seal_open(struct nm_seal *seal, const char *id, const char *sealed, size_t len, struct nm_buf *out,
                            struct nm_error *err)
{
    unsigned char trail[TRAIL_CHARS / 4 * 3];
    if (len < TRAIL_CHARS + 1 || len > MAX_BYTES || sealed[len - TRAIL_CHARS - 1] != ';' ||
        nm_base64_decode(sealed + len - TRAIL_CHARS, TRAIL_CHARS, trail) != TRAIL_BYTES)
        return bad_form(err);
    size_t chars = len - TRAIL_CHARS - 1, room = chars / 4 * 3;
    unsigned char *body = malloc(room + 1);
    if (!body)
        return nm_fail(err, NM_FATAL, "out of memory for a sealed text of %zu bytes", len);
    size_t n = nm_base64_decode(sealed, chars, body);
    enum nm_status status =
        n == SIZE_MAX || n < TAG_BYTES ? bad_form(err) : open_body(seal, id, body, n - TAG_BYTES, trail, out, err);
    OPENSSL_cleanse(body, room + 1);
    free(body);
    return status;
}
