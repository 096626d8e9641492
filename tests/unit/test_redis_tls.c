/* test_redis_tls.c - rediss:// against a real redis-server with certificates made for the test: whom it trusts, whom it
 * refuses and with which sentence, and that everything else is as on a plain connection. */
#include "fake_redis.h"
#include "newsmill/clock.h"
#include "pipe_checks.h"
#include "real_redis.h"
#include "redis_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_BYTES 600

/* ---- certificates: made once, by tests/support/make-certificates ---- */

static char folder[500];

/* "/tmp/.../NAME"; "" for NULL. */
static char *path_of(const char *name, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s%s%.90s", name ? folder : "", name ? "/" : "", name ? name : "");
    return out;
}

static int make_certificates(void **state)
{
    (void)state;
    char command[PATH_BYTES];
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%.400s/newsmill-tls-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(command, sizeof command, "tests/support/make-certificates %s", folder);
    return system(command); /* NOLINT(cert-env33-c): a script of the tests with a path made here */
}

static int remove_certificates(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    DIR *dir = opendir(folder);
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
        (void)unlink(path_of(entry->d_name, path));
    if (dir)
        (void)closedir(dir);
    return rmdir(folder);
}

/* ---- a server, and settings for it ---- */

struct fixture {
    struct real_redis *server;
    char url[200], warning[300], ca[PATH_BYTES], cert[PATH_BYTES], key[PATH_BYTES];
    struct nm_settings settings;
    struct nm_redis *redis;
    struct nm_error err;
};

/* `cert`: of the server; `auth`: whether it asks clients for theirs; then one argument of it. */
static struct fixture *fixture_new(const char *cert, const char *auth, const char *option, const char *value)
{
    char pem[40], key[40], paths[3][PATH_BYTES];
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(pem, sizeof pem, "%s.pem", cert);
    (void)snprintf(key, sizeof key, "%s.key", cert);
    const char *const extra[] = {"--tls-cert-file",
                                 path_of(pem, paths[0]),
                                 "--tls-key-file",
                                 path_of(key, paths[1]),
                                 "--tls-ca-cert-file",
                                 path_of("ca.pem", paths[2]),
                                 "--tls-auth-clients",
                                 auth,
                                 option,
                                 value,
                                 NULL};
    f->server = real_redis_start(extra);
    f->settings = fake_settings(f->url, "", real_redis_port(f->server), 10000);
    f->settings.redis.connect_timeout_ms = 10000;
    f->settings.redis.ca_file = path_of("ca.pem", f->ca);
    (void)snprintf(f->url, sizeof f->url, "rediss://127.0.0.1:%d/0", real_redis_tls_port(f->server));
    return f;
}

static enum nm_status open_it(struct fixture *f)
{
    nm_redis_close(f->redis);
    f->redis = NULL;
    return nm_redis_open(&f->settings, &f->redis, f->warning, &f->err);
}

static struct fixture *opened(long long timeout_ms)
{
    struct fixture *f = fixture_new("server", "no", "--save", "");
    f->settings.redis.command_timeout_ms = timeout_ms;
    if (open_it(f) != NM_OK)
        fail_msg("%s", f->err.msg);
    return f;
}

static void fixture_free(struct fixture *f)
{
    nm_redis_close(f->redis);
    real_redis_stop(f->server);
    free(f);
}

/* ---- whom it trusts ---- */

struct tls_case {
    const char *name, *server, *auth, *option, *value; /* of the server, as fixture_new() takes them */
    const char *host, *ca, *cert, *key;                /* the client's; NULL: not set */
    enum nm_status want;
    const char *words;
};

/* clang-format off */
static const struct tls_case tls_cases[] = {
    {"by name", "server", "no", "--save", "", "localhost", "ca.pem", NULL, NULL, NM_OK, ""},
    {"by address", "server", "no", "--save", "", "127.0.0.1", "ca.pem", NULL, NULL, NM_OK, ""},
    {"by name, upper case", "server", "no", "--save", "", "LOCALHOST", "ca.pem", NULL, NULL, NM_OK, ""},
    {"TLS 1.2", "server", "no", "--tls-protocols", "TLSv1.2", "localhost", "ca.pem", NULL, NULL, NM_OK, ""},
    {"client certificate, not asked for", "server", "no", "--save", "", "localhost", "ca.pem", "client.pem", "client.key", NM_OK, ""},
    {"client certificate", "server", "yes", "--save", "", "localhost", "ca.pem", "client.pem", "client.key", NM_OK, ""},
    {"other authority", "server", "no", "--save", "", "localhost", "other-ca.pem", NULL, NULL, NM_CONFIG, "set redis.caFile"},
    {"the system's authorities", "server", "no", "--save", "", "localhost", NULL, NULL, NULL, NM_CONFIG, "set redis.caFile"},
    {"the certificate itself is no authority", "server", "no", "--save", "", "localhost", "client.pem", NULL, NULL, NM_CONFIG, "set redis.caFile"},
    {"other name", "other-name", "no", "--save", "", "localhost", "ca.pem", NULL, NULL, NM_CONFIG, "not made for localhost"},
    {"other address", "other-name", "no", "--save", "", "127.0.0.1", "ca.pem", NULL, NULL, NM_CONFIG, "not made for 127.0.0.1"},
    {"a name only, asked by address", "only-name", "no", "--save", "", "127.0.0.1", "ca.pem", NULL, NULL, NM_CONFIG, "not made for 127.0.0.1"},
    {"expired", "expired", "no", "--save", "", "localhost", "ca.pem", NULL, NULL, NM_CONFIG, "has expired"},
    {"no client certificate", "server", "yes", "--save", "", "localhost", "ca.pem", NULL, NULL, NM_CONFIG, "redis.certFile"},
    {"no client certificate, TLS 1.2", "server", "yes", "--tls-protocols", "TLSv1.2", "localhost", "ca.pem", NULL, NULL, NM_CONFIG, "redis.certFile"},
    {"client certificate of another authority", "server", "yes", "--save", "", "localhost", "ca.pem", "other-client.pem", "other-client.key", NM_CONFIG, "redis.certFile"},
    {"no such authority file", "server", "no", "--save", "", "localhost", "none.pem", NULL, NULL, NM_CONFIG, "redis.caFile"},
    {"authority file is a key", "server", "no", "--save", "", "localhost", "ca.key", NULL, NULL, NM_CONFIG, "redis.caFile"},
    {"certificate without key", "server", "no", "--save", "", "localhost", "ca.pem", "client.pem", NULL, NM_CONFIG, "redis.keyFile"},
    {"key without certificate", "server", "no", "--save", "", "localhost", "ca.pem", NULL, "client.key", NM_CONFIG, "redis.certFile"},
    {"no such certificate", "server", "no", "--save", "", "localhost", "ca.pem", "none.pem", "client.key", NM_CONFIG, "redis.certFile"},
    {"certificate is a key", "server", "no", "--save", "", "localhost", "ca.pem", "client.key", "client.key", NM_CONFIG, "redis.certFile"},
    {"no such key", "server", "no", "--save", "", "localhost", "ca.pem", "client.pem", "none.key", NM_CONFIG, "redis.keyFile"},
    {"key is a certificate", "server", "no", "--save", "", "localhost", "ca.pem", "client.pem", "client.pem", NM_CONFIG, "redis.keyFile"},
    {"key of another certificate", "server", "no", "--save", "", "localhost", "ca.pem", "client.pem", "server.key", NM_CONFIG, "is not the key"},
    {"key behind a pass phrase", "server", "no", "--save", "", "localhost", "ca.pem", "client.pem", "locked.key", NM_CONFIG, "pass phrase"},
};
/* clang-format on */

static void check_case(const struct tls_case *c, unsigned *bad)
{
    struct fixture *f = fixture_new(c->server, c->auth, c->option, c->value);
    (void)snprintf(f->url, sizeof f->url, "rediss://%s:%d/0", c->host, real_redis_tls_port(f->server));
    f->settings.redis.ca_file = path_of(c->ca, f->ca);
    f->settings.redis.cert_file = path_of(c->cert, f->cert);
    f->settings.redis.key_file = path_of(c->key, f->key);
    enum nm_status status = open_it(f);
    bool words = status == NM_OK || strstr(f->err.msg, c->words);
    if (status != c->want || !words || (status == NM_OK) != (f->redis != NULL)) {
        print_error("%s: wanted %d, got %d: %s\n", c->name, (int)c->want, (int)status, f->err.msg);
        (*bad)++;
    }
    fixture_free(f);
}

static void open__table(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof tls_cases / sizeof *tls_cases; i++)
        check_case(&tls_cases[i], &bad);
    assert_int_equal(bad, 0);
}

static void open__the_systems_store_is_the_default(void **state)
{
    (void)state;
    struct fixture *f = fixture_new("server", "no", "--save", "");
    char none[] = "";
    assert_int_equal(setenv("SSL_CERT_FILE", f->ca, 1), 0); /* where OpenSSL looks for the system's */
    f->settings.redis.ca_file = none;
    assert_int_equal(open_it(f), NM_OK);
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
    fixture_free(f);
}

static void open__password_is_asked_for_over_tls(void **state)
{
    (void)state;
    static const struct {
        const char *userinfo;
        enum nm_status want;
    } cases[] = {{":hunter2@", NM_OK}, {":hunter3@", NM_CONFIG}, {"", NM_CONFIG}};
    struct fixture *f = fixture_new("server", "no", "--requirepass", "hunter2");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)snprintf(f->url, sizeof f->url, "rediss://%slocalhost:%d", cases[i].userinfo,
                       real_redis_tls_port(f->server));
        assert_int_equal(open_it(f), cases[i].want);
        assert_null(strstr(f->err.msg, "hunter"));
    }
    fixture_free(f);
}

/* ---- the wrong kind of port ---- */

static void open__plain_server_behind_rediss(void **state)
{
    (void)state;
    struct fixture *f = fixture_new("server", "no", "--save", "");
    (void)snprintf(f->url, sizeof f->url, "rediss://127.0.0.1:%d", real_redis_port(f->server));
    f->settings.redis.connect_timeout_ms = 200;
    int64_t began = nm_boottime_ms();
    assert_int_equal(open_it(f), NM_RETRY); /* it waits for the end of a command */
    assert_in_range(nm_boottime_ms() - began, 190, 10000);
    assert_non_null(strstr(f->err.msg, "TLS port"));
    fixture_free(f);
}

static void open__tls_server_behind_redis(void **state)
{
    (void)state;
    struct fixture *f = fixture_new("server", "no", "--save", "");
    char none[] = "";
    (void)snprintf(f->url, sizeof f->url, "redis://127.0.0.1:%d", real_redis_tls_port(f->server));
    f->settings.redis.ca_file = none;
    assert_int_equal(open_it(f), NM_RETRY);
    assert_non_null(strstr(f->err.msg, "rediss://"));
    fixture_free(f);
}

/* What a server says that is none, and one that hangs up. */
static void tls__handshake_with_something_else(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum nm_status want;
        const char *words;
    } cases[] = {
        {"-ERR unknown command\r\n", NM_CONFIG, "does not speak TLS"},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", NM_CONFIG, "does not speak TLS"},
        {"\x15\x03\x01\x00\x02\x02\x46", NM_CONFIG, "1.2 or newer"}, /* alert: protocol version */
        {"", NM_RETRY, "closed the connection"},
    };
    struct nm_redis_url url = {.host = "localhost", .port = 1, .tls = true};
    char text[200];
    struct nm_settings settings = fake_settings(text, "", 1, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int ends[2];
        struct nm_tls *tls = NULL;
        struct nm_error err = {0};
        size_t len = i == 2 ? 7 : strlen(cases[i].answer);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(send(ends[0], cases[i].answer, len, 0), len);
        assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
        enum nm_status status = nm_tls_open(ends[1], &url, &settings, nm_boottime_ms() + 5000, &tls, &err);
        if (status != cases[i].want || !strstr(err.msg, cases[i].words))
            fail_msg("case %zu: got %d: %s", i, (int)status, err.msg);
        assert_null(tls);
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
}

/* ---- moving data ---- */

/* 20 MB each way. */
static void submit__a_large_pipeline(void **state)
{
    (void)state;
    struct fixture *f = opened(30000);
    pipe_check_many(f->redis, 100, 500);
    fixture_free(f);
}

static void exec__one_value_of_twenty_mebibytes_there_and_back(void **state)
{
    (void)state;
    struct fixture *f = opened(30000);
    pipe_check_large_value(f->redis);
    assert_true(nm_redis_probe(f->redis)); /* what TLS sends by itself is no surplus */
    fixture_free(f);
}

static void submit__server_stops_or_dies_in_the_middle(void **state)
{
    (void)state;
    static const int signals[] = {SIGSTOP, SIGKILL};
    for (size_t s = 0; s < 2; s++) {
        struct fixture *f = opened(400);
        struct nm_pipe done = {0}, cut = {0};
        pipe_add(&done, "SET", "k", "1", NULL);
        assert_int_equal(nm_redis_exec(f->redis, &done, &f->err), NM_OK);
        real_redis_signal(f->server, signals[s]);
        for (int i = 0; i < 100000; i++)
            pipe_add(&cut, "ECHO", "more than the socket takes", NULL, NULL);
        enum nm_status status = nm_redis_submit(f->redis, &cut, &f->err);
        while (status == NM_OK)
            status = pipe_wait_and_advance(f->redis, &f->err);
        assert_int_equal(status, NM_RETRY);
        assert_false(nm_redis_alive(f->redis));
        assert_true(nm_pipe_done(&done) && !nm_pipe_done(&cut));
        nm_pipe_clear(&done);
        nm_pipe_clear(&cut);
        f->settings.redis.connect_timeout_ms = 200;
        assert_int_equal(open_it(f), NM_RETRY);
        fixture_free(f);
    }
}

static void probe__sees_that_the_server_died(void **state)
{
    (void)state;
    struct fixture *f = opened(2000);
    assert_true(nm_redis_probe(f->redis));
    real_redis_signal(f->server, SIGKILL);
    struct pollfd fd = {.fd = nm_redis_fd(f->redis), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 10000), 1);
    assert_false(nm_redis_probe(f->redis));
    assert_false(nm_redis_alive(f->redis));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__table),
        cmocka_unit_test(open__the_systems_store_is_the_default),
        cmocka_unit_test(open__password_is_asked_for_over_tls),
        cmocka_unit_test(open__plain_server_behind_rediss),
        cmocka_unit_test(open__tls_server_behind_redis),
        cmocka_unit_test(tls__handshake_with_something_else),
        cmocka_unit_test(submit__a_large_pipeline),
        cmocka_unit_test(exec__one_value_of_twenty_mebibytes_there_and_back),
        cmocka_unit_test(submit__server_stops_or_dies_in_the_middle),
        cmocka_unit_test(probe__sees_that_the_server_died),
    };
    return cmocka_run_group_tests_name("redis_tls", tests, make_certificates, remove_certificates);
}
