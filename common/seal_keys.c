/* seal_keys.c - keys as an operator gives them: a file or an environment variable with base64 or hex.
 *
 * What a key's file or variable holds never gets into a message, nor does what stands where the name of a variable is
 * expected unless it looks like one. Buffers that held key material are wiped.
 * Threads: none shared. */
#include "newsmill/seal.h"

#include "seal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_CHARS      (2 * NM_SEAL_KEY_BYTES)
#define BASE64_CHARS   44
#define MAX_FILE_BYTES 4096
#define MAX_NAME_BYTES 63 /* of a variable; shorter than a key in hex */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_hex(const char *text, unsigned char out[NM_SEAL_KEY_BYTES])
{
    for (size_t i = 0; i < NM_SEAL_KEY_BYTES; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool read_base64(const char *text, unsigned char out[NM_SEAL_KEY_BYTES])
{
    unsigned char bytes[BASE64_CHARS / 4 * 3];
    bool good = nm_base64_decode(text, BASE64_CHARS, bytes) == NM_SEAL_KEY_BYTES;
    if (good)
        memcpy(out, bytes, NM_SEAL_KEY_BYTES);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return good;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

enum nm_status nm_seal_read_key(const char *text, size_t len, unsigned char out[NM_SEAL_KEY_BYTES],
                                struct nm_error *err)
{
    unsigned char key[NM_SEAL_KEY_BYTES];
    while (len > 0 && is_space(text[0])) {
        text++;
        len--;
    }
    while (len > 0 && is_space(text[len - 1]))
        len--;
    bool good = (len == HEX_CHARS && read_hex(text, key)) || (len == BASE64_CHARS && read_base64(text, key));
    if (good)
        memcpy(out, key, sizeof key);
    OPENSSL_cleanse(key, sizeof key);
    if (good)
        return NM_OK;
    return nm_fail(err, NM_CONFIG,
                   "holds no key: 64 hex digits, or the 44 characters of base64 that `openssl rand -base64 32` prints");
}

/* ---- files and variables ---- */

struct source {
    const char *option, *name, *value; /* "secured.keys", "1.file", the path */
    struct nm_buf *warnings;
    struct nm_error *err;
};

static enum nm_status failed(const struct source *source, const char *what, const char *why)
{
    return nm_fail(source->err, NM_CONFIG, "%s.%.40s: %.150s %s", source->option, source->name, what, why);
}

static enum nm_status unreadable(const struct source *source)
{
    char why[100];
    (void)snprintf(why, sizeof why, "cannot be read: %.80s", strerror(errno));
    return failed(source, source->value, why);
}

static enum nm_status take_text(const struct source *source, const char *what, const char *text, size_t len,
                                unsigned char out[NM_SEAL_KEY_BYTES])
{
    struct nm_error why = {0};
    enum nm_status status = nm_seal_read_key(text, len, out, &why);
    return status == NM_OK ? NM_OK : failed(source, what, why.msg);
}

/* Up to `size` bytes; a negative number: errno says why. */
static ssize_t read_all(int file, char *out, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(file, out + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return n;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static enum nm_status read_open(const struct source *source, int file, unsigned char out[NM_SEAL_KEY_BYTES])
{
    char text[MAX_FILE_BYTES];
    struct stat facts = {0};
    if (fstat(file, &facts) != 0)
        return unreadable(source);
    if (!S_ISREG(facts.st_mode))
        return failed(source, source->value, "is not a file");
    ssize_t len = read_all(file, text, sizeof text);
    enum nm_status status = len < 0 ? unreadable(source) : take_text(source, source->value, text, (size_t)len, out);
    OPENSSL_cleanse(text, sizeof text);
    if (status == NM_OK && facts.st_mode & (S_IROTH | S_IWOTH))
        nm_buf_addf(source->warnings, "%s.%s: others may read or change %s; take that away with chmod o-rwx\n",
                    source->option, source->name, source->value);
    return status;
}

static enum nm_status read_file(const struct source *source, unsigned char out[NM_SEAL_KEY_BYTES])
{
    int file = open(source->value, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0)
        return unreadable(source);
    enum nm_status status = read_open(source, file, out);
    (void)close(file);
    return status;
}

static bool is_variable_name(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_", digits[] = "0123456789";
    size_t len = strlen(name), at = 0;
    while (at < len && (strchr(letters, name[at]) || (at > 0 && strchr(digits, name[at]))))
        at++;
    return len > 0 && len <= MAX_NAME_BYTES && at == len;
}

static enum nm_status read_variable(const struct source *source, unsigned char out[NM_SEAL_KEY_BYTES])
{
    if (!is_variable_name(source->value))
        return failed(source, "its value", "is not the name of an environment variable; the key does not stand here");
    const char *text = getenv(source->value);
    if (!text)
        return failed(source, source->value, "is not set in the environment");
    return take_text(source, source->value, text, strlen(text), out);
}

static enum nm_status add_key(struct nm_seal *seal, const struct source *source)
{
    unsigned char key[NM_SEAL_KEY_BYTES];
    struct nm_error why = {0};
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(source->name, &end, 10);
    bool file = strcmp(end, ".file") == 0;
    if (errno || number == 0 || number > UINT32_MAX || (!file && strcmp(end, ".env") != 0))
        return failed(source, "a key", "is named by its number and has a file or an env");
    enum nm_status status = file ? read_file(source, key) : read_variable(source, key);
    if (status == NM_OK) {
        status = nm_seal_add(seal, (uint32_t)number, key, &why);
        if (status == NM_CONFIG)
            status = failed(source, why.msg, "(a key has either a file or an env)");
    }
    OPENSSL_cleanse(key, sizeof key);
    return status;
}

enum nm_status nm_seal_load(const char *option, const struct nm_pairs *keys, long long current, struct nm_seal **out,
                            struct nm_buf *warnings, struct nm_error *err)
{
    NM_AUTO(nm_seal_free) struct nm_seal *seal = NULL;
    enum nm_status status = nm_seal_new(&seal, err);
    for (size_t i = 0; status == NM_OK && i < keys->n; i++) {
        struct source source = {option, keys->item[i].name, keys->item[i].value, warnings, err};
        status = add_key(seal, &source);
    }
    if (status == NM_OK && (current < 1 || current > UINT32_MAX || nm_seal_use(seal, (uint32_t)current, NULL) != NM_OK))
        status =
            nm_fail(err, NM_CONFIG, "%s has no key %lld, which is the one to seal with: list it with a file or env",
                    option, current);
    if (status != NM_OK)
        return status;
    *out = seal;
    seal = NULL;
    return NM_OK;
}
