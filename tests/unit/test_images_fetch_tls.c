/* test_images_fetch_tls.c - fetches over TLS: certificates, steps down to http, and https tried in place of http. The
 * certificate is made anew in each run. Numbers T.. are those of the catalogue of hostile cases. */
#include "images_fetch_fixture.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static SSL_CTX *context;
static char ca_file[] = P_tmpdir "/newsmill-fetch-ca-XXXXXX";

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* A certificate for secure.test and down.test that is its own authority. */
static int make_certificate(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    assert_true(key && cert);
    assert_int_equal(X509_set_version(cert, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -86400));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 86400));
    X509_NAME *name = X509_get_subject_name(cert);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0), 1);
    assert_int_equal(X509_set_issuer_name(cert, name), 1);
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, NID_subject_alt_name, "DNS:secure.test,DNS:down.test");
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    context = SSL_CTX_new(TLS_server_method());
    assert_non_null(context);
    assert_int_equal(SSL_CTX_use_certificate(context, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    int fd = mkstemp(ca_file);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    assert_int_equal(fclose(file), 0);
    X509_free(cert);
    EVP_PKEY_free(key);
    return 0;
}

static int drop_certificate(void **state)
{
    (void)state;
    SSL_CTX_free(context);
    (void)unlink(ca_file);
    return 0;
}

static bool serve_secure(struct conn *c)
{
    if (is_path(c, "tls"))
        return say(c, "HTTP/1.1 400 Bad Request\r\n\r\n") && false;
    if (is_path(c, "/down"))
        return say(c, "HTTP/1.1 302 Found\r\nLocation: http://secure.test/ok\r\nContent-Length: 0\r\n\r\n");
    if (is_path(c, "/up"))
        return say(c, "HTTP/1.1 302 Found\r\nLocation: https://secure.test/ok\r\nContent-Length: 0\r\n\r\n");
    return say_image(c, "");
}

/* secure.test: https at the TLS server, http at the plain one. wrong.test: the same with a certificate for others.
 * dead.test, plain.test: https where nobody listens, and at the plain server. barred.test: https at a canary.
 * closed.test: https at a port that is not allowed. */
struct secure_rig {
    struct rig rig;
    struct server secure;
    char lines[12][96];
    const char *connect[13];
};

static void secure_open(struct secure_rig *s)
{
    static const char *const names[] = {"secure", "wrong", "dead", "plain", "barred", "closed"};
    int dead = 0;
    rig_open(&s->rig, serve_secure);
    server_open(&s->secure, context, serve_secure);
    (void)close(listen_at("127.0.0.1", 0, &dead));
    allow(&s->rig, "127.0.0.1", s->secure.port);
    allow(&s->rig, "127.0.0.1", dead);
    const int tls_ports[] = {s->secure.port, s->secure.port, dead, s->rig.server.port, s->rig.canary_port, 8443};
    for (size_t i = 0; i < N(names); i++) {
        (void)snprintf(s->lines[2 * i], 96, "%s.test:80:127.0.0.1:%d", names[i], s->rig.server.port);
        (void)snprintf(s->lines[2 * i + 1], 96, "%s.test:443:%s:%d", names[i], i == 5 ? "9.9.9.9" : "127.0.0.1",
                       tls_ports[i]); /* a public address: the port alone is refused, before anything is sent */
        s->connect[2 * i] = s->lines[2 * i];
        s->connect[2 * i + 1] = s->lines[2 * i + 1];
    }
    s->connect[12] = NULL;
    s->rig.config.connect = s->connect;
    s->rig.config.ca_file = ca_file;
}

static void secure_close(struct secure_rig *s)
{
    rig_close(&s->rig);
    server_close(&s->secure);
}

static void fetch_tls__certificates_are_checked(void **state)
{
    (void)state;
    struct secure_rig s;
    secure_open(&s);
    check_case(&s.rig, "https://secure.test/ok", "body");
    struct im_fetched f = fetch(&s.rig, "https://wrong.test/ok");
    assert_string_equal(outcome_name(&f), "tls_fail");
    assert_false(f.try_again);
    check_case(&s.rig, "https://plain.test/ok", "tls_fail");
    assert_int_equal(n_requests(&s.secure), 1);
    secure_close(&s);
    secure_open(&s);
    s.rig.config.ca_file = NULL; /* nobody else knows this authority */
    check_case(&s.rig, "https://secure.test/ok", "tls_fail");
    assert_int_equal(n_requests(&s.secure), 0);
    secure_close(&s);
}

/* T55. */
static void fetch_tls__no_step_down(void **state)
{
    (void)state;
    struct secure_rig s;
    secure_open(&s);
    check_case(&s.rig, "https://secure.test/down", "redirect_downgrade");
    assert_int_equal(n_requests(&s.rig.server), 0);
    check_case(&s.rig, "http://secure.test/up", "body");
    assert_int_equal(n_requests(&s.rig.server), 1);
    secure_close(&s);
    secure_open(&s);
    s.rig.config.allow_downgrade = true;
    check_case(&s.rig, "https://secure.test/down", "body");
    secure_close(&s);
}

static bool serve_silent(struct conn *c)
{
    char handshake[256];
    while (recv(c->fd, handshake, sizeof handshake, 0) > 0)
        continue;
    return false;
}

/* T64: the server takes the first bytes of the handshake and never answers. */
static void fetch_tls__handshake_without_end(void **state)
{
    (void)state;
    struct rig rig;
    char url[64];
    rig_open(&rig, serve_silent);
    rig.limits.connect_ms = 400;
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%d/", rig.server.port);
    struct im_fetched f = fetch(&rig, url);
    assert_string_equal(outcome_name(&f), "timeout_connect");
    assert_true(f.try_again);
    rig_close(&rig);
}

/* R3. */
static void fetch_tls__https_is_tried_first(void **state)
{
    (void)state;
    static const struct {
        const char *url, *want;
        bool secure, failed;
    } cases[] = {{"http://secure.test/ok", "body", true, false},
                 {"http://secure.test/down", "body", true, false}, /* http is what was asked for */
                 {"http://wrong.test/ok", "body", false, true},
                 {"http://dead.test/ok", "body", false, true},
                 {"http://plain.test/ok", "body", false, true},
                 {"http://barred.test/ok", "blocked_addr", false, false},
                 {"http://closed.test/ok", "body", false, true}, /* https at a port that is not allowed */
                 {"/ok", "body", false, false}};                 /* another port than 80 */
    struct secure_rig s;
    secure_open(&s);
    for (size_t i = 0; i < N(cases); i++) {
        int before = n_requests(&s.secure);
        struct im_fetched f = fetch_with(&s.rig, cases[i].url, (struct im_fetch_request){.try_https = true});
        if (strcmp(outcome_name(&f), cases[i].want) != 0 || f.https_failed != cases[i].failed ||
            n_requests(&s.secure) - before != cases[i].secure)
            fail_msg("%s: %s, https failed: %d, %d requests there", cases[i].url, outcome_name(&f), f.https_failed,
                     n_requests(&s.secure) - before);
        im_fetcher_release(s.rig.fetcher, &f);
    }
    secure_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetch_tls__certificates_are_checked),
        cmocka_unit_test(fetch_tls__no_step_down),
        cmocka_unit_test(fetch_tls__handshake_without_end),
        cmocka_unit_test(fetch_tls__https_is_tried_first),
    };
    return cmocka_run_group_tests(tests, make_certificate, drop_certificate);
}
