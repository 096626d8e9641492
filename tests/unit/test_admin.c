/* test_admin.c - the admin endpoint over real HTTP: every page in every state, and whoever speaks no HTTP. Where it
 * listens: test_admin_listen.c. */
#include "admin_fixture.h"
#include "newsmill/clock.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

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
        cmocka_unit_test(off__does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
