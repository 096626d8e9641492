/* test_admin.c - the admin endpoint over real HTTP: every page in every state, and whoever speaks no HTTP.
 *
 * The client is a few lines on a socket, so that it can also send what no HTTP library would. Every answer is waited
 * for until a deadline. */
#include "admin_internal.h"
#include "newsmill/admin.h"
#include "newsmill/clock.h"
#include "runtime_metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 20000

struct fixture {
    struct nm_settings settings;
    struct nm_metrics *metrics;
    struct nm_admin *admin;
    struct nm_buf reply; /* of the last request */
};

static enum nm_status open_on(struct fixture *f, const char *listen, const struct nm_admin_limits *limits,
                              struct nm_error *err)
{
    *f = (struct fixture){.settings = {.ns = (char *)(uintptr_t) "trial", .admin = {(char *)(uintptr_t)listen}}};
    assert_int_equal(nm_metrics_new("normalize", &f->metrics, NULL), NM_OK);
    if (limits)
        return nm_admin_open_limited(&f->settings, "normalize", f->metrics, limits, &f->admin, err);
    return nm_admin_open(&f->settings, "normalize", f->metrics, &f->admin, err);
}

static struct fixture open_admin(void)
{
    struct fixture f;
    struct nm_error err = {0};
    if (open_on(&f, "127.0.0.1:0", NULL, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return f;
}

static void close_admin(struct fixture *f)
{
    nm_admin_close(f->admin);
    nm_metrics_free(f->metrics);
    nm_buf_clear(&f->reply);
}

/* ---- a client ---- */

static int connect_to(const struct fixture *f)
{
    const char *address = nm_admin_address(f->admin);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(strncmp(address, "127.0.0.1:", 10), 0);
    to.sin_port = htons((uint16_t)strtol(address + 10, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Reads to the end of the connection, then closes it. */
static void read_all(int fd, struct nm_buf *reply)
{
    char piece[4096];
    ssize_t n = 1;
    nm_buf_reset(reply);
    while (n > 0) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        if (poll(&in, 1, DEADLINE_MS) != 1)
            fail_msg("the server neither answers nor closes; so far: %s", nm_buf_str(reply));
        n = recv(fd, piece, sizeof piece, 0);
        if (n > 0)
            nm_buf_add(reply, piece, (size_t)n);
    }
    (void)close(fd);
}

static void exchange(struct fixture *f, const char *data, size_t len)
{
    int fd = connect_to(f);
    (void)send(fd, data, len, MSG_NOSIGNAL); /* the server may refuse and close in the middle */
    read_all(fd, &f->reply);
}

/* One request; the HTTP status. */
static int request(struct fixture *f, const char *method, const char *path)
{
    char text[300];
    int len = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, path);
    exchange(f, text, (size_t)len);
    assert_int_equal(strncmp(nm_buf_str(&f->reply), "HTTP/1.1 ", 9), 0);
    return (int)strtol(nm_buf_str(&f->reply) + 9, NULL, 10);
}

static const char *body(struct fixture *f)
{
    const char *end = strstr(nm_buf_str(&f->reply), "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static void assert_answer(struct fixture *f, const char *path, int code, const char *want)
{
    assert_int_equal(request(f, "GET", path), code);
    assert_string_equal(body(f), want);
}

static void assert_header(struct fixture *f, const char *line)
{
    char want[200];
    (void)snprintf(want, sizeof want, "\r\n%s\r\n", line);
    if (!strstr(nm_buf_str(&f->reply), want))
        fail_msg("no header '%s' in %s", line, nm_buf_str(&f->reply));
}

/* ---- reports ---- */

static const struct nm_partition_report rows[] = {
    {.stream = "raw",
     .partition = 0,
     .next = 5,
     .committed = 3,
     .end = 9,
     .in_flight = 2,
     .paused = true,
     .lag_ms = 1500},
    {.stream = "raw", .partition = 7, .next = -1, .committed = -1, .end = -1, .lag_ms = -1},
};

static struct nm_report good_report(void)
{
    return (struct nm_report){.joined = true,
                              .redis_ok = true,
                              .kafka_ok = true,
                              .redis_address = "127.0.0.1:6379",
                              .redis_connects = 3,
                              .partition = rows,
                              .n_partitions = 2};
}

static void start__live_and_not_ready(void **state)
{
    (void)state;
    struct fixture f = open_admin();
    assert_answer(&f, "/livez", 200, "live\n");
    assert_answer(&f, "/readyz", 503, "not ready: starting\n");
    close_admin(&f);
}

static void readyz__says_what_is_missing(void **state)
{
    (void)state;
    static const struct {
        bool joined, redis_ok, kafka_ok;
        const char *retrying, *address, *want;
    } cases[] = {
        {true, true, true, NULL, NULL, "ready\n"},
        {true, true, true, "a batch", NULL, "ready\n"},
        {true, false, true, NULL, "db:6379", "not ready: Redis at db:6379 does not answer\n"},
        {true, false, true, NULL, NULL, "not ready: Redis does not answer\n"},
        {true, true, false, NULL, NULL, "not ready: Kafka does not answer\n"},
        {false, true, true, NULL, NULL, "not ready: the consumer group has not given an assignment yet\n"},
        {false, false, false, "connecting to db:6379", "db:6379",
         "not ready: Kafka does not answer\nnot ready: Redis at db:6379 does not answer\n"
         "not ready: the consumer group has not given an assignment yet\nretrying: connecting to db:6379\n"},
    };
    struct fixture f = open_admin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_report report = {.joined = cases[i].joined,
                                   .redis_ok = cases[i].redis_ok,
                                   .kafka_ok = cases[i].kafka_ok,
                                   .retrying = cases[i].retrying,
                                   .redis_address = cases[i].address};
        nm_admin_publish(f.admin, &report);
        assert_answer(&f, "/readyz", strcmp(cases[i].want, "ready\n") == 0 ? 200 : 503, cases[i].want);
        assert_answer(&f, "/livez", 200, "live\n");
    }
    close_admin(&f);
}

static void livez__gives_the_reason(void **state)
{
    (void)state;
    struct fixture f = open_admin();
    struct nm_report report = good_report();
    report.not_live = "no progress on raw 3 for 30000 ms";
    nm_admin_publish(f.admin, &report);
    assert_answer(&f, "/livez", 503, "not live: no progress on raw 3 for 30000 ms\n");
    report.not_live = NULL;
    nm_admin_publish(f.admin, &report);
    assert_answer(&f, "/livez", 200, "live\n");
    close_admin(&f);
}

static void status__is_the_report_as_json(void **state)
{
    (void)state;
    struct fixture f = open_admin();
    struct nm_report report = good_report();
    report.retrying = "Redis \"db\" is away";
    nm_admin_publish(f.admin, &report);
    assert_int_equal(request(&f, "GET", "/status"), 200);
    assert_header(&f, "Content-Type: application/json");
    json_t *root = json_loads(body(&f), 0, NULL);
    assert_non_null(root);
    assert_in_range(json_integer_value(json_object_get(root, "uptimeMs")), 0, 60000);
    (void)json_object_del(root, "uptimeMs");
    json_t *want = json_loads(
        "{\"worker\":\"normalize\",\"version\":\"" NM_VERSION
        "\",\"namespace\":\"trial\",\"ready\":true,\"assignment\":["
        "{\"stream\":\"raw\",\"partition\":0,\"next\":5,\"committed\":3,\"end\":9,\"inFlight\":2,\"paused\":true,"
        "\"lagMs\":1500},"
        "{\"stream\":\"raw\",\"partition\":7,\"next\":null,\"committed\":null,\"end\":null,\"inFlight\":0,"
        "\"paused\":false,\"lagMs\":null}],"
        "\"redis\":{\"address\":\"127.0.0.1:6379\",\"ok\":true,\"connects\":3},\"kafka\":{\"ok\":true},"
        "\"retrying\":\"Redis \\\"db\\\" is away\",\"notLive\":null}",
        0, NULL);
    assert_non_null(want);
    if (!json_equal(root, want))
        fail_msg("not as wanted: %s", body(&f));
    json_decref(want);
    json_decref(root);
    close_admin(&f);
}

static void status__before_the_first_report(void **state)
{
    (void)state;
    struct fixture f = open_admin();
    assert_int_equal(request(&f, "GET", "/status"), 200);
    json_t *root = json_loads(body(&f), 0, NULL);
    assert_true(json_is_false(json_object_get(root, "ready")));
    assert_int_equal(json_array_size(json_object_get(root, "assignment")), 0);
    assert_true(json_is_null(json_object_get(root, "retrying")));
    json_decref(root);
    close_admin(&f);
}

static void metrics__page_is_rendered_anew(void **state)
{
    (void)state;
    static const struct nm_metric_spec spec = {.kind = NM_GAUGE, .name = "answer", .help = "x"};
    struct fixture f = open_admin();
    struct nm_series *series = nm_metric(f.metrics, &spec, NULL);
    for (int i = 41; i < 43; i++) {
        char want[40];
        (void)snprintf(want, sizeof want, "\nnewsmill_answer %d\n", i);
        nm_series_set(series, i);
        assert_int_equal(request(&f, "GET", "/metrics"), 200);
        assert_non_null(strstr(body(&f), want));
    }
    assert_header(&f, "Content-Type: text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(body(&f), "newsmill_build_info{worker=\"normalize\""));
    close_admin(&f);
}

static void requests__are_answered_by_path_and_method(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        int code;
    } cases[] = {
        {"GET", "/livez?verbose=1", 200}, {"HEAD", "/livez", 200},     {"HEAD", "/readyz", 503},
        {"HEAD", "/metrics", 200},        {"GET", "/", 404},           {"GET", "/livez/", 404},
        {"GET", "/LIVEZ", 404},           {"GET", "/../livez", 404},   {"POST", "/livez", 405},
        {"PUT", "/status", 405},          {"DELETE", "/metrics", 405}, {"OPTIONS", "/readyz", 405},
        {"PATCH", "/status", 405},        {"get", "/livez", 405},      {"POST", "/quit", 404},
        {"BREW", "/status", 405},         {"GET", "/%6Civez", 200},
    };
    struct fixture f = open_admin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = request(&f, cases[i].method, cases[i].path);
        if (code != cases[i].code)
            fail_msg("%s %s: %d, not %d", cases[i].method, cases[i].path, code, cases[i].code);
        if (strcmp(cases[i].method, "HEAD") == 0)
            assert_string_equal(body(&f), "");
        if (code == 405)
            assert_header(&f, "Allow: GET, HEAD");
        assert_header(&f, "Connection: close");
    }
    assert_int_equal(request(&f, "HEAD", "/livez"), 200);
    assert_header(&f, "Content-Length: 5");
    close_admin(&f);
}

/* ---- hostile peers ---- */

static const struct {
    const char *data;
    size_t repeat; /* the last byte of data so often */
} hostile[] = {
    {"\r\n\r\n", 1},
    {"GET\r\n\r\n", 1},
    {"GET  /livez\r\n\r\n", 1},
    {"GET /livez HTTP/9.9\r\nHost: a\r\n\r\n", 1},
    {"GET /livez HTTP/1.1\r\n\r\n", 1},
    {"GET http://other.example/livez HTTP/1.1\r\nHost: a\r\n\r\n", 1},
    {"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 1},
    {"GET /livez HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 1},
    {"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 1},
    {"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 1},
    {"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx", 100000},
    {"POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nx\r\n", 1},
    {"POST /status HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx", 5000},
    {"POST /status HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", 1},
    {"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", 1},
    {"GET /livez HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHost: a\r\n\r\n", 1},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1},
    {"\x16\x03\x01\x02\x01\x01\xfc\x03\x03 a TLS greeting\r\n\r\n", 1},
    {"GET /\x01\xff\xc0\xaf%zz%u0041 HTTP/1.1\r\nHost: a\r\n\r\n", 1},
    {"GET /x", 100000},
    {"GET /livez HTTP/1.1\r\nHost: a", 100000},
    {"GET /livez HTTP/1.1\r\nHost: a\r\nX", 100000},
    {"GET /livez HTTP/1.1\r\n", 100000},
};

/* Each is answered or closed, nothing of ours says 200 to what is no request, and the next one is served. */
static void hostile__next_request_is_served(void **state)
{
    (void)state;
    static const struct nm_admin_limits limits = {.connections = 8, .silence_s = 60, .connection_ms = 400};
    struct fixture f;
    assert_int_equal(open_on(&f, "127.0.0.1:0", &limits, NULL), NM_OK);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct nm_buf data = {0};
        nm_buf_adds(&data, hostile[i].data);
        for (size_t n = 1; n < hostile[i].repeat; n++)
            nm_buf_addc(&data, hostile[i].data[strlen(hostile[i].data) - 1]);
        int fd = connect_to(&f);
        (void)send(fd, data.data, data.len, MSG_NOSIGNAL);
        (void)shutdown(fd, SHUT_WR);
        read_all(fd, &f.reply);
        nm_buf_clear(&data);
        if (f.reply.len && strncmp(nm_buf_str(&f.reply), "HTTP/1.", 7) != 0)
            fail_msg("case %zu: %s", i, nm_buf_str(&f.reply));
        assert_answer(&f, "/livez", 200, "live\n");
    }
    close_admin(&f);
}

/* A fixed pseudo-random sequence: bytes, and requests with bytes changed. */
static void hostile__random_bytes(void **state)
{
    (void)state;
    static const char good[] = "GET /status HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n";
    static const struct nm_admin_limits limits = {.connections = 8, .silence_s = 60, .connection_ms = 40};
    struct fixture f;
    assert_int_equal(open_on(&f, "127.0.0.1:0", &limits, NULL), NM_OK);
    uint64_t seed = 88172645463325252;
    for (int i = 0; i < 200; i++) {
        char data[300];
        size_t len = i % 2 ? sizeof good - 1 : sizeof data;
        memcpy(data, good, sizeof good);
        for (size_t k = 0; k < len; k++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            if (i % 2 == 0 || seed % 20 == 0)
                data[k] = (char)(seed >> 32);
        }
        int fd = connect_to(&f);
        (void)send(fd, data, len, MSG_NOSIGNAL);
        (void)shutdown(fd, SHUT_WR);
        read_all(fd, &f.reply);
    }
    assert_answer(&f, "/livez", 200, "live\n");
    close_admin(&f);
}

/* Bytes come all the time, so it is never silent; it is closed all the same. */
static void slow__connection_is_ended(void **state)
{
    (void)state;
    static const struct nm_admin_limits limits = {.connections = 8, .silence_s = 60, .connection_ms = 300};
    struct fixture f;
    assert_int_equal(open_on(&f, "127.0.0.1:0", &limits, NULL), NM_OK);
    int fd = connect_to(&f);
    struct pollfd in = {.fd = fd, .events = POLLIN};
    int64_t began_ms = nm_boottime_ms();
    (void)send(fd, "GET /livez HTTP/1.1\r\nX: ", 24, MSG_NOSIGNAL);
    while (poll(&in, 1, 20) == 0 && nm_boottime_ms() - began_ms < DEADLINE_MS)
        (void)send(fd, "x", 1, MSG_NOSIGNAL);
    assert_in_range(nm_boottime_ms() - began_ms, 300, DEADLINE_MS - 1);
    read_all(fd, &f.reply);
    close_admin(&f);
}

/* Whoever takes every place keeps it for a bounded time only. */
static void crowd__others_are_served_in_the_end(void **state)
{
    (void)state;
    static const struct nm_admin_limits limits = {.connections = 3, .silence_s = 60, .connection_ms = 300};
    struct fixture f;
    int fd[12];
    assert_int_equal(open_on(&f, "127.0.0.1:0", &limits, NULL), NM_OK);
    for (size_t i = 0; i < 12; i++) {
        fd[i] = connect_to(&f);
        (void)send(fd[i], "GET /", 5, MSG_NOSIGNAL);
    }
    assert_answer(&f, "/livez", 200, "live\n");
    for (size_t i = 0; i < 12; i++)
        (void)close(fd[i]);
    assert_answer(&f, "/livez", 200, "live\n");
    close_admin(&f);
}

/* The endpoint may be closed while somebody is connected. */
static void close__with_open_connections(void **state)
{
    (void)state;
    struct fixture f = open_admin();
    int fd[5];
    for (size_t i = 0; i < 5; i++) {
        fd[i] = connect_to(&f);
        (void)send(fd[i], "GET /livez", 10, MSG_NOSIGNAL);
    }
    assert_answer(&f, "/livez", 200, "live\n");
    int64_t began_ms = nm_boottime_ms();
    close_admin(&f);
    assert_true(nm_boottime_ms() - began_ms < 5000);
    for (size_t i = 0; i < 5; i++)
        (void)close(fd[i]);
}

/* ---- publishing ---- */

static void publish__keeps_nothing_of_the_caller(void **state)
{
    (void)state;
    struct fixture f = open_admin();
    char *stream = strdup("raw"), *why = strdup("too slow");
    struct nm_partition_report *part = calloc(1, sizeof *part);
    assert_non_null(part);
    part->stream = stream;
    struct nm_report report = {.not_live = why, .partition = part, .n_partitions = 1};
    nm_admin_publish(f.admin, &report);
    memset(stream, 'X', 3);
    memset(why, 'X', 8);
    free(stream);
    free(why);
    free(part);
    assert_answer(&f, "/livez", 503, "not live: too slow\n");
    assert_int_equal(request(&f, "GET", "/status"), 200);
    assert_non_null(strstr(body(&f), "\"stream\": \"raw\""));
    close_admin(&f);
}

struct publisher {
    struct nm_admin *admin;
    atomic_bool stop;
};

/* Reports of changing size, whose reason says how many partitions they have. */
static void *publish_all_the_time(void *arg)
{
    struct publisher *publisher = arg;
    struct nm_partition_report part[200] = {0};
    for (size_t i = 0; i < 200; i++)
        part[i].stream = "normalized";
    for (size_t n = 0; !atomic_load(&publisher->stop); n = (n + 37) % 200) {
        char why[20];
        (void)snprintf(why, sizeof why, "%zu", n);
        struct nm_report report = {.not_live = why, .partition = part, .n_partitions = n};
        nm_admin_publish(publisher->admin, &report);
    }
    return NULL;
}

static void publish__while_pages_are_read(void **state)
{
    (void)state;
    struct fixture f = open_admin();
    struct publisher publisher = {.admin = f.admin};
    struct nm_report empty = {.not_live = "0"};
    pthread_t thread;
    nm_admin_publish(f.admin, &empty);
    assert_int_equal(pthread_create(&thread, NULL, publish_all_the_time, &publisher), 0);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(request(&f, "GET", "/status"), 200);
        json_t *root = json_loads(body(&f), 0, NULL);
        assert_non_null(root);
        const char *why = json_string_value(json_object_get(root, "notLive"));
        assert_int_equal(json_array_size(json_object_get(root, "assignment")), strtol(why, NULL, 10));
        json_decref(root);
    }
    atomic_store(&publisher.stop, true);
    (void)pthread_join(thread, NULL);
    close_admin(&f);
}

/* ---- addresses ---- */

static void listen__addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port; /* host NULL: refused */
    } cases[] = {
        {"", "", ""},
        {"127.0.0.1:0", "127.0.0.1", "0"},
        {"localhost:9602", "localhost", "9602"},
        {"0.0.0.0:65535", "0.0.0.0", "65535"},
        {"[::1]:9602", "::1", "9602"},
        {"127.0.0.1", NULL, NULL},
        {":9602", NULL, NULL},
        {"[]:1", NULL, NULL},
        {"9602", NULL, NULL},
        {"::1:9602", NULL, NULL},
        {"[::1]", NULL, NULL},
        {"[fe80::1%eth0]:1", NULL, NULL},
        {"[::1:80", NULL, NULL},
        {"a:65536", NULL, NULL},
        {"a:-1", NULL, NULL},
        {"a:", NULL, NULL},
        {"a:80x", NULL, NULL},
        {"a:000080", NULL, NULL},
        {"a b:80", NULL, NULL},
        {"http://a:80", NULL, NULL},
        {"[", NULL, NULL},
        {":", NULL, NULL},
        {"[:1", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_listen listen = {.host = "untouched"};
        struct nm_error err = {0};
        enum nm_status status = nm_listen_parse(cases[i].text, &listen, &err);
        if (status != (cases[i].host ? NM_OK : NM_CONFIG))
            fail_msg("'%s': %d %s", cases[i].text, status, err.msg);
        assert_string_equal(listen.host, cases[i].host ? cases[i].host : "untouched");
        assert_string_equal(listen.port, cases[i].host ? cases[i].port : "");
    }
}

static void listen__a_taken_port_is_told(void **state)
{
    (void)state;
    struct fixture first = open_admin(), second;
    struct nm_error err = {0};
    assert_int_equal(open_on(&second, nm_admin_address(first.admin), NULL, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "the port is taken by another process; give this worker another one "
                                    "(workers.NAME.admin.listen), or 0 for a free one"));
    assert_null(second.admin);
    close_admin(&second);
    assert_answer(&first, "/livez", 200, "live\n");
    close_admin(&first);
    struct nm_error none = {0};
    assert_int_equal(open_on(&second, "127.0.0.1:0", NULL, &none), NM_OK);
    close_admin(&second);
}

static void listen__a_port_can_be_taken_again_at_once(void **state)
{
    (void)state;
    struct fixture first = open_admin(), second;
    char address[100];
    struct nm_error err = {0};
    (void)snprintf(address, sizeof address, "%s", nm_admin_address(first.admin));
    assert_answer(&first, "/livez", 200, "live\n"); /* leaves a connection in TIME_WAIT on our side */
    close_admin(&first);
    if (open_on(&second, address, NULL, &err) != NM_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(nm_admin_address(second.admin), address);
    close_admin(&second);
}

static void listen__problems(void **state)
{
    (void)state;
    static const struct {
        const char *listen, *want;
    } cases[] = {
        {"nobody", "admin.listen is 'nobody', not host:port such as 127.0.0.1:9602 or [::1]:0 (0: a free port)"},
        {":80", "admin.listen is ':80' without a host; 0.0.0.0:80 or [::]:80 is every address of this machine"},
        {"no-such-host.invalid:0", "admin.listen is no-such-host.invalid port 0, but the host is not known: "},
        {"192.0.2.1:0", "admin.listen is 192.0.2.1 port 0, but this machine has no such address"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        struct nm_error err = {0};
        assert_int_equal(open_on(&f, cases[i].listen, NULL, &err), NM_CONFIG);
        if (strncmp(err.msg, cases[i].want, strlen(cases[i].want)) != 0)
            fail_msg("%s", err.msg);
        close_admin(&f);
    }
}

static void listen__v6(void **state)
{
    (void)state;
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has_v6 = fd >= 0 && bind(fd, (struct sockaddr *)&loopback, sizeof loopback) == 0;
    if (fd >= 0)
        (void)close(fd);
    struct fixture f;
    struct nm_error err = {0};
    enum nm_status status = open_on(&f, "[::1]:0", NULL, &err);
    assert_int_equal(status, has_v6 ? NM_OK : NM_CONFIG);
    if (has_v6)
        assert_int_equal(strncmp(nm_admin_address(f.admin), "[::1]:", 6), 0);
    close_admin(&f);
}

static void off__does_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct nm_report report = good_report();
    assert_int_equal(open_on(&f, "", NULL, NULL), NM_OK);
    assert_string_equal(nm_admin_address(f.admin), "");
    nm_admin_publish(f.admin, &report);
    close_admin(&f);
    nm_admin_publish(NULL, &report);
    nm_admin_close(NULL);
    assert_string_equal(nm_admin_address(NULL), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start__live_and_not_ready),
        cmocka_unit_test(readyz__says_what_is_missing),
        cmocka_unit_test(livez__gives_the_reason),
        cmocka_unit_test(status__is_the_report_as_json),
        cmocka_unit_test(status__before_the_first_report),
        cmocka_unit_test(metrics__page_is_rendered_anew),
        cmocka_unit_test(requests__are_answered_by_path_and_method),
        cmocka_unit_test(hostile__next_request_is_served),
        cmocka_unit_test(hostile__random_bytes),
        cmocka_unit_test(slow__connection_is_ended),
        cmocka_unit_test(crowd__others_are_served_in_the_end),
        cmocka_unit_test(close__with_open_connections),
        cmocka_unit_test(publish__keeps_nothing_of_the_caller),
        cmocka_unit_test(publish__while_pages_are_read),
        cmocka_unit_test(listen__addresses),
        cmocka_unit_test(listen__a_taken_port_is_told),
        cmocka_unit_test(listen__a_port_can_be_taken_again_at_once),
        cmocka_unit_test(listen__problems),
        cmocka_unit_test(listen__v6),
        cmocka_unit_test(off__does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
