/* redis_tls.c - TLS on the socket of a Redis connection, with OpenSSL directly, so that any version of hiredis will do.
 *
 * The socket never blocks. OpenSSL reads and writes it through a BIO of our own, because its own one uses write(2),
 * which raises SIGPIPE where the other end is gone. It reads ahead: many records come with one system call, and
 * whoever reads must go on until nothing is left, since poll(2) does not see what OpenSSL holds.
 * The certificates are read again for each connection, so a renewed one is used after the next reconnect.
 * The end of a connection needs no close_notify: where a reply ends, RESP says.
 * OpenSSL's error queue belongs to the thread; it is emptied before each call, since others may have left something. */
#include "newsmill/clock.h"
#include "redis_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct nm_tls {
    SSL *ssl;
    BIO_METHOD *method;
    bool wants_write;
};

void nm_tls_close(struct nm_tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl); /* and the BIO */
    BIO_meth_free(tls->method);
    free(tls);
}
NM_DEFINE_CLEANUP(struct nm_tls, nm_tls_close)
NM_DEFINE_CLEANUP(SSL_CTX, SSL_CTX_free)

bool nm_tls_wants_write(const struct nm_tls *tls)
{
    return tls->wants_write;
}

/* ---- the socket, as OpenSSL sees it ---- */

static int bio_write(BIO *bio, const char *data, int len)
{
    ssize_t n = send((int)(intptr_t)BIO_get_data(bio), data, (size_t)len, MSG_NOSIGNAL);
    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int)n;
}

static int bio_read(BIO *bio, char *data, int size)
{
    ssize_t n = recv((int)(intptr_t)BIO_get_data(bio), data, (size_t)size, 0);
    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing is held back; everything else is not known */
}

static bool attach_socket(struct nm_tls *tls, int fd)
{
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "newsmill socket");
    if (!tls->method || !BIO_meth_set_write(tls->method, bio_write) || !BIO_meth_set_read(tls->method, bio_read) ||
        !BIO_meth_set_ctrl(tls->method, bio_ctrl))
        return false;
    BIO *bio = BIO_new(tls->method);
    if (!bio)
        return false;
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return true;
}

/* ---- what went wrong ---- */

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "it cannot be read";
}

/* What the other end answered, or is, that only the operator can change. */
static const char *advice(unsigned long error)
{
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return NULL;
    switch (ERR_GET_REASON(error)) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE: /* TLS 1.2 says so, too, where a certificate is missing */
        return "it asks for a client certificate (redis.certFile, redis.keyFile), or no cipher suits both";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        return "it does not accept the certificate of redis.certFile";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "it has no safe version of TLS; 1.2 or newer is needed";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_HTTP_REQUEST:
        return "it does not speak TLS; use its TLS port, or redis:// for a plain connection";
    default:
        return NULL;
    }
}

/* `result` is of the call that failed, for other reasons than that it would have to wait. */
static enum nm_status fail_call(const struct nm_tls *tls, int result, struct nm_error *err)
{
    int system = errno;
    unsigned long error = ERR_peek_error();
    int kind = SSL_get_error(tls->ssl, result);
    if (kind == SSL_ERROR_ZERO_RETURN || (kind == SSL_ERROR_SYSCALL && system == 0))
        return nm_fail(err, NM_RETRY, "Redis closed the connection");
    if (kind == SSL_ERROR_SYSCALL)
        return nm_fail(err, NM_RETRY, "TLS connection to Redis: %s", strerror(system));
    const char *what = advice(error);
    if (what)
        return nm_fail(err, NM_CONFIG, "Redis ended the TLS connection: %s (%s)", what, reason());
    return nm_fail(err, NM_RETRY, "TLS connection to Redis: %s", reason());
}

static enum nm_status fail_verification(const struct nm_redis_url *url, long code, struct nm_error *err)
{
    switch (code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return nm_fail(err, NM_CONFIG,
                       "the certificate of Redis at %.100s:%d is not made for %.100s: give redis.url a name that "
                       "stands in it",
                       url->host, url->port, url->host);
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return nm_fail(err, NM_CONFIG,
                       "the certificate of Redis at %.100s:%d: %s: renew it, or set this machine's clock right",
                       url->host, url->port, X509_verify_cert_error_string(code));
    default:
        return nm_fail(err, NM_CONFIG,
                       "the certificate of Redis at %.100s:%d cannot be verified (%s): set redis.caFile to the PEM "
                       "file of the authority that signed it",
                       url->host, url->port, X509_verify_cert_error_string(code));
    }
}

/* ---- files ---- */

/* OpenSSL does not tell why a file cannot be opened. */
static enum nm_status check_readable(const char *option, const char *path, struct nm_error *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return nm_fail(err, NM_CONFIG, "%s '%.150s': %s", option, path, strerror(errno));
    (void)fclose(file);
    ERR_clear_error();
    return NM_OK;
}

static enum nm_status load_authorities(SSL_CTX *ctx, const char *path, struct nm_error *err)
{
    if (!*path) {
        if (SSL_CTX_set_default_verify_paths(ctx))
            return NM_OK;
        return nm_fail(err, NM_CONFIG, "the system's certificates: %s; set redis.caFile", reason());
    }
    enum nm_status status = check_readable("redis.caFile", path, err);
    if (status == NM_OK && !SSL_CTX_load_verify_locations(ctx, path, NULL))
        status = nm_fail(err, NM_CONFIG, "redis.caFile '%.150s': no certificate in PEM form (%s)", path, reason());
    return status;
}

static enum nm_status load_own_certificate(SSL_CTX *ctx, const char *cert, const char *key, struct nm_error *err)
{
    static char no_pass_phrase[] = "";
    if (!*cert && !*key)
        return NM_OK;
    if (!*cert || !*key)
        return nm_fail(err, NM_CONFIG, "redis.certFile and redis.keyFile belong together: set both, or neither");
    enum nm_status status = check_readable("redis.certFile", cert, err);
    if (status == NM_OK && SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        status =
            nm_fail(err, NM_CONFIG, "redis.certFile '%.150s': no usable certificate in PEM form (%s)", cert, reason());
    if (status == NM_OK)
        status = check_readable("redis.keyFile", key, err);
    if (status != NM_OK)
        return status;
    SSL_CTX_set_default_passwd_cb_userdata(ctx, no_pass_phrase); /* instead of asking for it on the terminal */
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1)
        return NM_OK;
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
        return nm_fail(err, NM_CONFIG, "redis.keyFile '%.150s' is not the key of the certificate in redis.certFile",
                       key);
    return nm_fail(err, NM_CONFIG, "redis.keyFile '%.150s': no private key in PEM form without a pass phrase (%s)", key,
                   reason());
}

/* ---- opening ---- */

static enum nm_status new_context(const struct nm_settings *settings, SSL_CTX **out, struct nm_error *err)
{
    NM_AUTO(SSL_CTX_free) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION))
        return nm_fail(err, NM_FATAL, "out of memory for TLS");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, NM_REDIS_READ_BYTES);
    enum nm_status status = load_authorities(ctx, settings->redis.ca_file, err);
    if (status == NM_OK)
        status = load_own_certificate(ctx, settings->redis.cert_file, settings->redis.key_file, err);
    if (status != NM_OK)
        return status;
    *out = ctx;
    ctx = NULL;
    return NM_OK;
}

/* Whom the certificate must name. An address is not sent as a server name (RFC 6066). */
static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static enum nm_status wait_for_socket(int fd, short events, int64_t deadline_ms, struct nm_error *err)
{
    int64_t left_ms = deadline_ms - nm_boottime_ms();
    struct pollfd one = {.fd = fd, .events = events};
    int n = left_ms > 0 ? poll(&one, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX) : 0;
    if (n == 0)
        return nm_fail(err, NM_RETRY,
                       "Redis did not finish the TLS handshake within redis.connectTimeoutMs: is redis.url its TLS "
                       "port? redis:// is for plain connections");
    if (n < 0 && errno != EINTR)
        return nm_fail(err, NM_RETRY, "waiting for Redis: %s", strerror(errno));
    return NM_OK;
}

static enum nm_status handshake(struct nm_tls *tls, int fd, const struct nm_redis_url *url, int64_t deadline_ms,
                                struct nm_error *err)
{
    enum nm_status status = NM_OK;
    while (status == NM_OK) {
        ERR_clear_error();
        errno = 0;
        int result = SSL_connect(tls->ssl);
        if (result == 1)
            return NM_OK;
        int kind = SSL_get_error(tls->ssl, result);
        long verified = SSL_get_verify_result(tls->ssl);
        if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
            status = wait_for_socket(fd, kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline_ms, err);
        else if (verified != X509_V_OK)
            status = fail_verification(url, verified, err);
        else
            status = fail_call(tls, result, err);
    }
    return status;
}

enum nm_status nm_tls_open(int fd, const struct nm_redis_url *url, const struct nm_settings *settings,
                           int64_t deadline_ms, struct nm_tls **out, struct nm_error *err)
{
    NM_AUTO(SSL_CTX_free) SSL_CTX *ctx = NULL;
    ERR_clear_error();
    enum nm_status status = new_context(settings, &ctx, err);
    if (status != NM_OK)
        return status;
    NM_AUTO(nm_tls_close) struct nm_tls *tls = calloc(1, sizeof *tls);
    if (tls)
        tls->ssl = SSL_new(ctx);
    if (!tls || !tls->ssl || !attach_socket(tls, fd))
        return nm_fail(err, NM_FATAL, "out of memory for TLS");
    if (!expect_host(tls->ssl, url->host))
        return nm_fail(err, NM_CONFIG, "redis.url: '%.200s' is no name or address that a certificate can hold",
                       url->host);
    status = handshake(tls, fd, url, deadline_ms, err);
    if (status != NM_OK)
        return status;
    *out = tls;
    tls = NULL;
    return NM_OK;
}

/* ---- moving data ---- */

enum nm_status nm_tls_read(struct nm_tls *tls, void *data, size_t size, size_t *n, struct nm_error *err)
{
    ERR_clear_error();
    errno = 0;
    tls->wants_write = false;
    *n = 0;
    int result = SSL_read_ex(tls->ssl, data, size, n);
    if (result == 1)
        return NM_OK;
    int kind = SSL_get_error(tls->ssl, result);
    tls->wants_write = kind == SSL_ERROR_WANT_WRITE;
    return kind == SSL_ERROR_WANT_READ || tls->wants_write ? NM_OK : fail_call(tls, result, err);
}

enum nm_status nm_tls_write(struct nm_tls *tls, const void *data, size_t len, size_t *n, struct nm_error *err)
{
    ERR_clear_error();
    errno = 0;
    *n = 0;
    int result = SSL_write_ex(tls->ssl, data, len, n);
    if (result == 1)
        return NM_OK;
    int kind = SSL_get_error(tls->ssl, result);
    return kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE ? NM_OK : fail_call(tls, result, err);
}
