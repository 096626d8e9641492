/* seal.h - private fields of an article as one text that only a holder of the key can read.
 *
 *   base64(ciphertext || 16-byte tag) ";" base64(4-byte key number, big-endian || 12-byte nonce)
 *
 * AES-256-GCM under the key itself, additional data: the 32 bytes of the article's id. So any library with AES-GCM
 * opens it, and a text that was moved to another article does not open. The nonce is the first 12 bytes of
 * HMAC-SHA-256(k, id || plaintext), k = HKDF-SHA-256(key, no salt, NM_SEAL_NONCE_LABEL): the same input gives the same
 * bytes, and two inputs never share a nonce. NM_SEAL_DIGEST_LABEL names the key of nm_seal_digest() in the same way.
 * Base64 is that of RFC 4648, with padding; only its canonical form is opened.
 *
 * Keys are numbered; one of them seals, all of them open, so a key is changed by adding one. Key material is wiped when
 * it is released and never in a message. One thread at a time a struct nm_seal. */
#ifndef NEWSMILL_SEAL_H
#define NEWSMILL_SEAL_H

#include "newsmill/buf.h"
#include "newsmill/option.h"
#include "newsmill/status.h"

#include <stdint.h>

#define NM_SEAL_KEY_BYTES    32
#define NM_SEAL_DIGEST_BYTES 16
#define NM_SEAL_MAX_KEYS     64
#define NM_SEAL_NONCE_LABEL  "newsmill seal/1 nonce"
#define NM_SEAL_DIGEST_LABEL "newsmill seal/1 digest"

struct nm_seal;

NM_MUST_USE enum nm_status nm_seal_new(struct nm_seal **out, struct nm_error *err);
void nm_seal_free(struct nm_seal *seal); /* wipes; NULL is fine */
NM_DEFINE_CLEANUP(struct nm_seal, nm_seal_free)

/* number: 1 or more. `key` is copied. NM_CONFIG: this number is there already, or NM_SEAL_MAX_KEYS are. */
NM_MUST_USE enum nm_status nm_seal_add(struct nm_seal *seal, uint32_t number,
                                       const unsigned char key[NM_SEAL_KEY_BYTES], struct nm_error *err);
/* The key that seals from now on. NM_CONFIG: it was not added. */
NM_MUST_USE enum nm_status nm_seal_use(struct nm_seal *seal, uint32_t number, struct nm_error *err);

/* A key as an operator writes it: 64 hex digits or base64 of 32 bytes, white space around. NM_CONFIG: anything else. */
NM_MUST_USE enum nm_status nm_seal_read_key(const char *text, size_t len, unsigned char out[NM_SEAL_KEY_BYTES],
                                            struct nm_error *err);

/* The keys of the option file. keys: an NM_OPT_MAPS, "<number>.file" (path) or "<number>.env" (name of a variable);
 * option: its name, for messages; current: the number of the key that seals. *warnings gets a line for each file that
 * others may read. NM_CONFIG, with the option's full name: a key that cannot be read, or none of the number `current`.
 */
NM_MUST_USE enum nm_status nm_seal_load(const char *option, const struct nm_pairs *keys, long long current,
                                        struct nm_seal **out, struct nm_buf *warnings, struct nm_error *err);

/* Appends the sealed text to `out`. id: 32 bytes. NM_FATAL: no key in use, or libcrypto fails. */
NM_MUST_USE enum nm_status nm_seal_text(struct nm_seal *seal, const char *id, const char *plain, size_t len,
                                        struct nm_buf *out, struct nm_error *err);

/* Appends the plaintext to `out`, which stays as it was on failure. NM_BAD_INPUT: seal_form (not such a text), seal_key
 * (its key is not listed), seal_broken (changed, of another article, or sealed with another key of this number). */
NM_MUST_USE enum nm_status nm_seal_open(struct nm_seal *seal, const char *id, const char *sealed, size_t len,
                                        struct nm_buf *out, struct nm_error *err);

/* Says whether two plaintexts of one article are equal without telling anything about them to whoever has no key:
 * HMAC-SHA-256 under the key of the smallest number, so it stays the same while newer keys are added. */
NM_MUST_USE enum nm_status nm_seal_digest(struct nm_seal *seal, const char *id, const char *plain, size_t len,
                                          unsigned char out[NM_SEAL_DIGEST_BYTES], struct nm_error *err);

#endif
