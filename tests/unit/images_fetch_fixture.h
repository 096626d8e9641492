/* images_fetch_fixture.h - a hostile HTTP server of the test's own, and a fetcher that may talk to it alone.
 *
 * The server listens on a port of the kernel's choice and answers byte for byte what the test's `serve` writes; each
 * connection has a thread, each request is logged. Canaries are listeners nobody may connect to: their backlog is the
 * witness. Waiting is for events: the other side's close, a descriptor, a time limit of the fetcher under test. */
#ifndef IMAGES_FETCH_FIXTURE_H
#define IMAGES_FETCH_FIXTURE_H

#include "images/fetch.h"
#include "images_probe_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define N(array)     (sizeof(array) / sizeof *(array))
#define CONNECTIONS  256
#define CANARIES     4
#define REQUEST_SIZE 16384

struct server;
struct conn {
    struct server *server;
    int fd;
    SSL *ssl; /* NULL: plain */
    pthread_t thread;
    char request[REQUEST_SIZE];
    char path[REQUEST_SIZE];
};

struct server {
    int fd;
    int port;
    pthread_t thread;
    pthread_mutex_t lock; /* for what follows */
    struct conn *conn[CONNECTIONS];
    int n_conns, n_requests;
    char last[REQUEST_SIZE];       /* request */
    SSL_CTX *tls;                  /* NULL: plain; borrowed */
    bool (*serve)(struct conn *c); /* answers c->path; false: close the connection */
};

/* ---- what `serve` uses ---- */

static inline bool say_bytes(struct conn *c, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = c->ssl ? SSL_write(c->ssl, at, (int)len) : send(c->fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static inline bool say(struct conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline bool say(struct conn *c, const char *fmt, ...)
{
    char text[REQUEST_SIZE];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return n >= 0 && (size_t)n < sizeof text && say_bytes(c, text, (size_t)n);
}

static inline bool is_path(const struct conn *c, const char *path)
{
    return strcmp(c->path, path) == 0;
}

/* Whether the path is this beginning and a number. */
static inline bool is_numbered(const struct conn *c, const char *start, int *n)
{
    size_t len = strlen(start);
    char *end;
    if (strncmp(c->path, start, len) != 0)
        return false;
    *n = (int)strtol(c->path + len, &end, 10);
    return end > c->path + len && *end == '\0';
}

/* A good PNG with these headers (each with its line end). */
static inline bool say_image(struct conn *c, const char *headers)
{
    struct nm_buf png = {0};
    put_png(&png, 640, 480, 8, 2, 0);
    bool ok =
        say(c, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n", headers, png.len) && say_bytes(c, png.data, png.len);
    nm_buf_clear(&png);
    return ok;
}

/* Waits until the client goes, at most ms (-1: for ever); false: it went. */
static inline bool pace(struct conn *c, int ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return poll(&p, 1, ms) == 0;
}

/* ---- the server ---- */

/* Reads one request; false: the client went. The first byte of a TLS handshake at a plain server is the path "tls". */
static inline bool read_request(struct conn *c)
{
    size_t len = 0;
    memset(c->request, 0, sizeof c->request);
    while (!strstr(c->request, "\r\n\r\n")) {
        ssize_t n = c->ssl ? SSL_read(c->ssl, c->request + len, 1)
                           : recv(c->fd, c->request + len, 1, 0); /* slow and exact: nothing of the next request */
        if (n <= 0 || ++len == sizeof c->request - 1)
            return false;
        if (len == 1 && c->request[0] == 0x16) {
            memcpy(c->path, "tls", 4);
            return true;
        }
    }
    char *space = strchr(c->request, ' ');
    char *end = space ? strchr(space + 1, ' ') : NULL;
    if (!end)
        return false;
    memset(c->path, 0, sizeof c->path);
    memcpy(c->path, space + 1, (size_t)(end - space - 1));
    pthread_mutex_lock(&c->server->lock);
    c->server->n_requests++;
    memcpy(c->server->last, c->request, sizeof c->request);
    pthread_mutex_unlock(&c->server->lock);
    return true;
}

static inline void *serve_connection(void *self)
{
    struct conn *c = self;
    if (c->server->tls)
        c->ssl = SSL_new(c->server->tls);
    bool ok = !c->ssl || (SSL_set_fd(c->ssl, c->fd) == 1 && SSL_accept(c->ssl) == 1);
    while (ok && read_request(c) && c->server->serve(c))
        continue;
    if (ok && c->ssl)
        (void)SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    (void)shutdown(c->fd, SHUT_RDWR);
    return NULL;
}

static inline void *serve_all(void *self)
{
    struct server *server = self;
    int fd;
    while ((fd = accept(server->fd, NULL, NULL)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        pthread_mutex_lock(&server->lock);
        if (!c || server->n_conns == CONNECTIONS)
            abort();
        c->server = server;
        c->fd = fd;
        server->conn[server->n_conns++] = c;
        if (pthread_create(&c->thread, NULL, serve_connection, c) != 0)
            abort();
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

/* A listener; port 0: the kernel chooses. -1 where there is no such address. */
static inline int listen_at(const char *ip, int port, int *got)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_v6 = strchr(ip, ':') != NULL;
    assert_int_equal(inet_pton(is_v6 ? AF_INET6 : AF_INET, ip, is_v6 ? (void *)&in6.sin6_addr : &in.sin_addr), 1);
    struct sockaddr *address = is_v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
    socklen_t len = is_v6 ? sizeof in6 : sizeof in;
    int on = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (is_v6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, address, len) != 0 || listen(fd, 64) != 0 || getsockname(fd, address, &len) != 0) {
        (void)close(fd);
        return -1;
    }
    *got = ntohs(is_v6 ? in6.sin6_port : in.sin_port);
    return fd;
}

static inline void server_open(struct server *server, SSL_CTX *tls, bool (*serve)(struct conn *))
{
    *server = (struct server){.serve = serve, .tls = tls};
    server->fd = listen_at("127.0.0.1", 0, &server->port);
    assert_true(server->fd >= 0);
    pthread_mutex_init(&server->lock, NULL);
    assert_int_equal(pthread_create(&server->thread, NULL, serve_all, server), 0);
}

static inline void server_close(struct server *server)
{
    (void)shutdown(server->fd, SHUT_RDWR); /* accept() returns */
    pthread_join(server->thread, NULL);
    for (int i = 0; i < server->n_conns; i++) {
        (void)shutdown(server->conn[i]->fd, SHUT_RDWR);
        pthread_join(server->conn[i]->thread, NULL);
        (void)close(server->conn[i]->fd);
        free(server->conn[i]);
    }
    (void)close(server->fd);
    pthread_mutex_destroy(&server->lock);
}

static inline int n_requests(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    int n = server->n_requests;
    pthread_mutex_unlock(&server->lock);
    return n;
}

static inline int n_connections(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    int n = server->n_conns;
    pthread_mutex_unlock(&server->lock);
    return n;
}

/* ---- the fetcher ---- */

#define CLOCK_MS 1700000000000 /* 2023-11-14T22:13:20Z */
static inline int64_t fixed_now(void *self)
{
    (void)self;
    return CLOCK_MS;
}

struct rig {
    struct server server;
    int canary[CANARIES]; /* -1: none */
    int canary_port;      /* of 127.0.0.1; the others have the server's port */
    struct im_policy policy;
    struct im_fetch_limits limits;
    struct im_limits check;
    struct nm_clock clock;
    struct im_fetch_config config; /* changed between rig_open() and the first fetch() */
    struct im_fetcher *fetcher;
};

static inline void allow(struct rig *rig, const char *ip, int port)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s:%d", ip, port);
    assert_int_equal(im_policy_add_allow(&rig->policy, text, NULL), NM_OK);
}

/* Limits are wide, so that a busy machine fails no test; tests of time shrink theirs. */
static inline void rig_open(struct rig *rig, bool (*serve)(struct conn *))
{
    memset(rig, 0, sizeof *rig);
    (void)signal(SIGPIPE, SIG_IGN);
    server_open(&rig->server, NULL, serve);
    int port = rig->server.port;
    rig->canary[0] = listen_at("127.0.0.1", 0, &rig->canary_port);
    rig->canary[1] = listen_at("127.0.0.2", port, &port);
    rig->canary[2] = listen_at("::1", port, &port);
    rig->canary[3] = listen_at("::1", rig->canary_port, &port);
    allow(rig, "127.0.0.1", rig->server.port);
    assert_int_equal(im_policy_add_port(&rig->policy, "80", NULL), NM_OK);
    assert_int_equal(im_policy_add_port(&rig->policy, "443", NULL), NM_OK);
    rig->limits = (struct im_fetch_limits){.url_bytes = 4096,
                                           .max_hops = 3,
                                           .connect_ms = 10000,
                                           .first_byte_ms = 10000,
                                           .slow_bytes = 1,
                                           .slow_ms = 10000,
                                           .total_ms = 20000,
                                           .header_bytes = 65536,
                                           .body_bytes = 1000000,
                                           .in_flight_items = 64,
                                           .in_flight_bytes = 64 * IM_FETCH_TRANSFER_BYTES,
                                           .temp_bytes = 64000000,
                                           .retry_after_min_ms = 1000,
                                           .retry_after_max_ms = 3600000,
                                           .retry_after_default_ms = 60000};
    rig->check = test_limits;
    rig->check.min_bytes = 64;
    rig->clock.now_ms = fixed_now;
    rig->config = (struct im_fetch_config){.limits = &rig->limits,
                                           .check = &rig->check,
                                           .policy = &rig->policy,
                                           .user_agent = "newsmill/test (+https://news.example/about)",
                                           .temp_dir = P_tmpdir,
                                           .clock = &rig->clock,
                                           .strict_type = true};
}

static inline struct im_fetcher *rig_fetcher(struct rig *rig)
{
    struct nm_error err = {0};
    if (!rig->fetcher && im_fetcher_open(&rig->config, &rig->fetcher, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return rig->fetcher;
}

/* Connections that a canary got. */
static inline int canary_hits(struct rig *rig)
{
    int hits = 0;
    for (int i = 0; i < CANARIES; i++) {
        struct pollfd p = {.fd = rig->canary[i], .events = POLLIN};
        hits += poll(&p, 1, 0) > 0;
    }
    return hits;
}

static inline void rig_close(struct rig *rig)
{
    im_fetcher_close(rig->fetcher);
    assert_int_equal(canary_hits(rig), 0);
    for (int i = 0; i < CANARIES; i++)
        if (rig->canary[i] >= 0)
            (void)close(rig->canary[i]);
    server_close(&rig->server);
}

/* One turn: waits for an event or a time limit. */
static inline void turn(struct im_fetcher *fetcher)
{
    struct nm_error err = {0};
    struct pollfd p = {.fd = im_fetcher_fd(fetcher), .events = POLLIN};
    (void)poll(&p, 1, im_fetcher_timeout_ms(fetcher));
    if (im_fetcher_advance(fetcher, &err) != NM_OK)
        fail_msg("%s", err.msg);
}

/* The next result, however long it takes: the fetcher's own limits bound it. */
static inline struct im_fetched wait_one(struct rig *rig)
{
    struct im_fetched fetched;
    assert_true(im_fetcher_in_flight(rig->fetcher) > 0);
    while (!im_fetcher_take(rig->fetcher, &fetched))
        turn(rig->fetcher);
    return fetched;
}

/* The URL in full, or a path on the server. */
static inline enum im_reason url_of(struct rig *rig, const char *text, struct im_url *url)
{
    char full[8192];
    if (*text == '/' && text[1] != '/')
        (void)snprintf(full, sizeof full, "http://127.0.0.1:%d%s", rig->server.port, text);
    else
        (void)snprintf(full, sizeof full, "%s", text);
    return im_url_read(full, strlen(full), rig->limits.url_bytes, url);
}

static inline uint64_t start(struct rig *rig, const char *text, struct im_fetch_request request)
{
    struct im_url url;
    uint64_t id = 0;
    struct nm_error err = {0};
    enum im_reason reason = url_of(rig, text, &url);
    if (reason != IM_NONE)
        fail_msg("%s: %s", text, im_reason_name(reason));
    request.url = &url;
    if (im_fetcher_start(rig_fetcher(rig), &request, &id, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return id;
}

static inline struct im_fetched fetch_with(struct rig *rig, const char *text, struct im_fetch_request request)
{
    (void)start(rig, text, request);
    return wait_one(rig);
}

/* Also a URL that is refused before anything is sent. */
static inline struct im_fetched fetch(struct rig *rig, const char *text)
{
    struct im_url url;
    enum im_reason reason = url_of(rig, text, &url);
    if (reason != IM_NONE)
        return (struct im_fetched){.reason = reason, .fd = -1};
    return fetch_with(rig, text, (struct im_fetch_request){0});
}

static inline const char *outcome_name(const struct im_fetched *fetched)
{
    static const char *const names[] = {[IM_FETCH_FAILED] = "failed",
                                        [IM_FETCH_BODY] = "body",
                                        [IM_FETCH_UNCHANGED] = "unchanged",
                                        [IM_FETCH_BUSY] = "busy"};
    return fetched->outcome == IM_FETCH_FAILED ? im_reason_name(fetched->reason) : names[fetched->outcome];
}

/* One row of a table: what is fetched, and its outcome or reason. */
struct fetch_case {
    const char *text, *want;
};

static inline void check_case(struct rig *rig, const char *text, const char *want)
{
    struct im_fetched fetched = fetch(rig, text);
    if (strcmp(outcome_name(&fetched), want) != 0)
        fail_msg("%s: %s instead of %s", text, outcome_name(&fetched), want);
    assert_int_equal(fetched.data != NULL || fetched.fd >= 0, fetched.outcome == IM_FETCH_BODY);
    im_fetcher_release(rig_fetcher(rig), &fetched);
}

static inline void check_cases(struct rig *rig, const struct fetch_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_case(rig, cases[i].text, cases[i].want);
}

#endif
