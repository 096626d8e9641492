/* test_metrics.c - the registry and the page: what Prometheus reads, the bound on series, and rendering while the
 * worker's thread adds.
 *
 *   test_metrics --page    prints a page with every family of the runtime, for promtool */
#include "metrics_internal.h"
#include "newsmill/metrics.h"
#include "runtime_metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static const struct nm_metric_spec visits = {
    .kind = NM_COUNTER, .name = "visits_total", .help = "Visits.", .label = {"room", "kind"}};
static const struct nm_metric_spec heat = {
    .kind = NM_GAUGE, .name = "heat", .help = "A \\ and\na line.", .label = {"room"}};
static const struct nm_metric_spec plain = {.kind = NM_GAUGE, .name = "plain", .help = "No labels."};
static const double bounds[] = {0.1, 1, 10};
static const struct nm_metric_spec wait_s = {.kind = NM_HISTOGRAM,
                                             .name = "wait_seconds",
                                             .help = "Waiting.",
                                             .label = {"room"},
                                             .bucket = bounds,
                                             .n_buckets = 3};

#define LABELS(...) ((const char *const[]){__VA_ARGS__})

static struct nm_metrics *new_metrics(void)
{
    struct nm_metrics *metrics = NULL;
    assert_int_equal(nm_metrics_new("normalize", &metrics, NULL), NM_OK);
    return metrics;
}

static char *page_of(struct nm_metrics *metrics)
{
    struct nm_buf out = {0};
    nm_metrics_render(metrics, &out);
    char *page = nm_buf_take(&out);
    assert_non_null(page);
    return page;
}

/* The lines of the page must hold `lines` as they stand, one after another. */
static void assert_page_has(struct nm_metrics *metrics, const char *lines)
{
    char *page = page_of(metrics);
    if (!strstr(page, lines))
        fail_msg("the page does not have\n%s\nbut\n%s", lines, page);
    free(page);
}

static void assert_page_lacks(struct nm_metrics *metrics, const char *text)
{
    char *page = page_of(metrics);
    if (strstr(page, text))
        fail_msg("the page has '%s':\n%s", text, page);
    free(page);
}

static void page__has_families_in_the_order_of_making(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    struct nm_series *a = nm_metric(metrics, &visits, LABELS("hall", "day"));
    nm_series_set(nm_metric(metrics, &plain, NULL), -2.5);
    struct nm_series *b = nm_metric(metrics, &visits, LABELS("cellar", "night"));
    nm_series_add(a, 1);
    nm_series_add(b, 2);
    nm_series_add(nm_metric(metrics, &visits, LABELS("hall", "day")), 41);
    assert_ptr_equal(nm_metric(metrics, &visits, LABELS("hall", "day")), a);
    assert_page_has(metrics, "# HELP newsmill_visits_total Visits.\n"
                             "# TYPE newsmill_visits_total counter\n"
                             "newsmill_visits_total{room=\"hall\",kind=\"day\"} 42\n"
                             "newsmill_visits_total{room=\"cellar\",kind=\"night\"} 2\n"
                             "# HELP newsmill_plain No labels.\n"
                             "# TYPE newsmill_plain gauge\n"
                             "newsmill_plain -2.5\n");
    nm_metrics_free(metrics);
}

static void page__begins_with_build_info_and_ends_with_the_process(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    char *page = page_of(metrics);
    assert_int_equal(strncmp(page, "# HELP newsmill_build_info ", 27), 0);
    assert_non_null(strstr(page, "\nnewsmill_build_info{worker=\"normalize\",version=\"" NM_VERSION "\"} 1\n"));
    static const struct {
        const char *name, *type;
        double min, max;
    } rows[] = {
        {"process_resident_memory_bytes", "gauge", 100000, 1e12},
        {"process_cpu_seconds_total", "counter", 0, 1e6},
        {"process_open_fds", "gauge", 3, 10000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char want[128];
        (void)snprintf(want, sizeof want, "\n# TYPE %s %s\n%s ", rows[i].name, rows[i].type, rows[i].name);
        const char *at = strstr(page, want);
        if (!at)
            fail_msg("no %s in %s", rows[i].name, page);
        double value = strtod(at + strlen(want), NULL);
        assert_true(value >= rows[i].min && value <= rows[i].max);
    }
    const char *start = strstr(page, "\nprocess_start_time_seconds ");
    assert_non_null(start);
    double age_s = (double)time(NULL) - strtod(start + 28, NULL);
    assert_true(age_s > -2 && age_s < 3600);
    assert_int_equal(page[strlen(page) - 1], '\n');
    free(page);
    nm_metrics_free(metrics);
}

static void process__counts_open_files(void **state)
{
    (void)state;
    struct nm_buf before = {0}, after = {0};
    nm_process_render(0, &before);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    nm_process_render(0, &after);
    (void)close(fds[0]);
    (void)close(fds[1]);
    const char *name = "\nprocess_open_fds ";
    const char *x = strstr(nm_buf_str(&before), name), *y = strstr(nm_buf_str(&after), name);
    assert_non_null(x);
    assert_non_null(y);
    assert_int_equal(strtol(y + strlen(name), NULL, 10) - strtol(x + strlen(name), NULL, 10), 2);
    assert_null(strstr(nm_buf_str(&before), "start_time")); /* not known is left out */
    nm_buf_clear(&before);
    nm_buf_clear(&after);
}

static void labels__are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *value, *shown;
    } cases[] = {
        {"a\"b", "a\\\"b"},
        {"a\\b", "a\\\\b"},
        {"a\nb", "a\\nb"},
        {"\xc3\xa4", "\xc3\xa4"},
        {"bad \xff", "bad \xef\xbf\xbd"},
        {"half \xe2\x82", "half \xef\xbf\xbd\xef\xbf\xbd"},
        {"", ""},
        {"{},=", "{},="},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_metrics *metrics = new_metrics();
        char want[200];
        nm_series_set(nm_metric(metrics, &heat, LABELS(cases[i].value)), 1);
        (void)snprintf(want, sizeof want,
                       "# HELP newsmill_heat A \\\\ and\\na line.\n# TYPE newsmill_heat gauge\n"
                       "newsmill_heat{room=\"%s\"} 1\n",
                       cases[i].shown);
        assert_page_has(metrics, want);
        nm_metrics_free(metrics);
    }
}

static void labels__long_ones_are_cut_before_a_character(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    char value[NM_LABEL_BYTES + 50], want[NM_LABEL_BYTES + 50];
    memset(value, 'x', sizeof value);
    memcpy(value + NM_LABEL_BYTES - 1, "\xc3\xa4", 2); /* would be cut in two */
    value[sizeof value - 1] = '\0';
    nm_series_set(nm_metric(metrics, &heat, LABELS(value)), 7);
    memset(want, 'x', sizeof want);
    (void)snprintf(want + NM_LABEL_BYTES - 1, 10, "\"} 7\n");
    assert_page_has(metrics, want);
    nm_metrics_free(metrics);
}

static void numbers__read_back_the_same(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *shown;
    } cases[] = {
        {0, "0"},
        {1, "1"},
        {0.1, "0.1"},
        {-1.5, "-1.5"},
        {123456789012345, "123456789012345"},
        {1e21, "1e+21"},
        {1.0 / 3, "0.333333333333333"},
        {NAN, "NaN"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_buf out = {0};
        nm_metrics_number(cases[i].value, &out);
        double back = strtod(nm_buf_str(&out), NULL);
        if (i == 6) /* needs more digits than 15 */
            assert_int_equal(strncmp(nm_buf_str(&out), cases[i].shown, strlen(cases[i].shown)), 0);
        else
            assert_string_equal(nm_buf_str(&out), cases[i].shown);
        assert_true(back == cases[i].value || isnan(cases[i].value));
        nm_buf_clear(&out);
    }
}

static void counter__never_goes_down(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    struct nm_series *series = nm_metric(metrics, &visits, LABELS("hall", "day"));
    nm_series_add(series, 5);
    nm_series_add(series, -3);
    nm_series_add(series, NAN);
    assert_page_has(metrics, "newsmill_visits_total{room=\"hall\",kind=\"day\"} 5\n");
    nm_metrics_free(metrics);
}

static void gauge__goes_up_and_down(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    struct nm_series *series = nm_metric(metrics, &plain, NULL);
    nm_series_set(series, 10);
    nm_series_add(series, -12);
    assert_page_has(metrics, "newsmill_plain -2\n");
    nm_metrics_free(metrics);
}

static void histogram__buckets_are_cumulative_and_include_their_bound(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    struct nm_series *series = nm_metric(metrics, &wait_s, LABELS("hall"));
    static const double values[] = {0.05, 0.1, 0.2, 1, 9.5, 10, 10.5, 1000};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        nm_series_observe(series, values[i]);
    nm_series_observe(series, NAN);
    assert_page_has(metrics, "# TYPE newsmill_wait_seconds histogram\n"
                             "newsmill_wait_seconds_bucket{room=\"hall\",le=\"0.1\"} 2\n"
                             "newsmill_wait_seconds_bucket{room=\"hall\",le=\"1\"} 4\n"
                             "newsmill_wait_seconds_bucket{room=\"hall\",le=\"10\"} 6\n"
                             "newsmill_wait_seconds_bucket{room=\"hall\",le=\"+Inf\"} 8\n"
                             "newsmill_wait_seconds_sum{room=\"hall\"} 1031.35\n"
                             "newsmill_wait_seconds_count{room=\"hall\"} 8\n");
    nm_metrics_free(metrics);
}

static void null__is_harmless(void **state)
{
    (void)state;
    nm_series_add(NULL, 1);
    nm_series_set(NULL, 1);
    nm_series_observe(NULL, 1);
    nm_series_remove(NULL);
    nm_metrics_free(NULL);
    assert_null(nm_metric(NULL, &plain, NULL));
}

static void bound__further_series_are_other(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    struct nm_series *first = NULL, *kept = NULL;
    for (int i = 0; i < NM_METRIC_SERIES + 500; i++) {
        char room[16];
        (void)snprintf(room, sizeof room, "r%d", i);
        struct nm_series *series = nm_metric(metrics, &visits, LABELS(room, "day"));
        nm_series_add(series, 1);
        if (i == 0)
            first = series;
        if (i == NM_METRIC_SERIES)
            kept = series;
        if (i > NM_METRIC_SERIES)
            assert_ptr_equal(series, kept);
    }
    assert_page_has(metrics, "newsmill_visits_total{room=\"r999\",kind=\"day\"} 1\n"
                             "newsmill_visits_total{room=\"other\",kind=\"other\"} 500\n");
    nm_series_remove(kept); /* stays: it is everybody's */
    assert_page_has(metrics, "{room=\"other\",kind=\"other\"} 500\n");
    nm_series_remove(first); /* makes room for one */
    assert_ptr_not_equal(nm_metric(metrics, &visits, LABELS("new", "day")), kept);
    assert_ptr_equal(nm_metric(metrics, &visits, LABELS("newer", "day")), kept);
    nm_metrics_free(metrics);
}

static void remove__takes_the_series_from_the_page(void **state)
{
    (void)state;
    static const char *const rooms[] = {"a", "b", "c"};
    for (size_t gone = 0; gone < 3; gone++) {
        struct nm_metrics *metrics = new_metrics();
        struct nm_series *series[3];
        for (size_t i = 0; i < 3; i++)
            series[i] = nm_metric(metrics, &heat, &rooms[i]);
        nm_series_remove(series[gone]);
        char text[64];
        (void)snprintf(text, sizeof text, "room=\"%s\"", rooms[gone]);
        assert_page_lacks(metrics, text);
        nm_series_set(nm_metric(metrics, &heat, LABELS("d")), 4); /* goes behind the last one */
        (void)snprintf(text, sizeof text, "newsmill_heat{room=\"%s\"} 0\nnewsmill_heat{room=\"d\"} 4\n",
                       gone == 2 ? "b" : "c");
        assert_page_has(metrics, text);
        nm_metrics_free(metrics);
    }
    struct nm_metrics *metrics = new_metrics();
    nm_series_remove(nm_metric(metrics, &heat, LABELS("only")));
    assert_page_lacks(metrics, "newsmill_heat"); /* nor a head without a sample */
    nm_metrics_free(metrics);
}

/* ---- two threads ---- */

struct reader {
    struct nm_metrics *metrics;
    atomic_bool stop;
    atomic_ulong pages;
    bool torn;
};

/* Every page must be whole, and its histogram in agreement with itself. */
static void *read_pages(void *arg)
{
    struct reader *reader = arg;
    while (!atomic_load(&reader->stop)) {
        struct nm_buf out = {0};
        nm_metrics_render(reader->metrics, &out);
        const char *page = nm_buf_str(&out);
        const char *inf = strstr(page, "le=\"+Inf\"} "), *count = strstr(page, "_count{room=\"hall\"} ");
        if (!strstr(page, "process_open_fds ") || !inf || !count ||
            strtol(inf + 11, NULL, 10) != strtol(count + 20, NULL, 10))
            reader->torn = true;
        nm_buf_clear(&out);
        atomic_fetch_add(&reader->pages, 1);
    }
    return NULL;
}

static void threads__pages_are_whole_while_series_come_and_go(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    struct nm_series *histogram = nm_metric(metrics, &wait_s, LABELS("hall"));
    struct nm_series *counter = nm_metric(metrics, &visits, LABELS("hall", "day"));
    struct reader reader = {.metrics = metrics};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_pages, &reader), 0);
    struct nm_series *gauge[200] = {NULL};
    unsigned long rounds = 0;
    for (; atomic_load(&reader.pages) < 300; rounds++) {
        char room[24];
        size_t at = rounds * 7 % 200; /* all over the list */
        (void)snprintf(room, sizeof room, "%lu", rounds);
        nm_series_remove(gauge[at]);
        gauge[at] = nm_metric(metrics, &heat, LABELS(room));
        nm_series_set(gauge[at], (double)rounds);
        nm_series_observe(histogram, (double)(rounds % 20));
        nm_series_add(counter, 1);
    }
    atomic_store(&reader.stop, true);
    (void)pthread_join(thread, NULL);
    assert_false(reader.torn);
    char want[100];
    (void)snprintf(want, sizeof want, "newsmill_visits_total{room=\"hall\",kind=\"day\"} %lu\n", rounds);
    assert_page_has(metrics, want);
    nm_metrics_free(metrics);
}

/* ---- the runtime's ---- */

static const struct nm_input inputs[] = {{.stream = NM_RAW}};
static const enum nm_stream outputs[] = {NM_NORMALIZED};
static const struct nm_worker worker = {
    .name = "normalize", .inputs = inputs, .n_inputs = 1, .outputs = outputs, .n_outputs = 1};

/* The contract of dashboards and alerts: family, type and labels. */
static const char *const contract[] = {
    "# TYPE newsmill_lag_messages gauge\nnewsmill_lag_messages{stream=\"raw\",partition=\"3\"} 12\n",
    "# TYPE newsmill_lag_seconds gauge\nnewsmill_lag_seconds{stream=\"raw\",partition=\"3\"} 1.5\n",
    "# TYPE newsmill_events_total counter\nnewsmill_events_total{stream=\"raw\",outcome=\"ok\"} 0\n"
    "newsmill_events_total{stream=\"raw\",outcome=\"dead\"} 2\n"
    "newsmill_events_total{stream=\"raw\",outcome=\"stale\"} 0\n",
    "# TYPE newsmill_messages_out_total counter\nnewsmill_messages_out_total{stream=\"normalized\"} 0\n"
    "newsmill_messages_out_total{stream=\"dead\"} 0\n",
    "# TYPE newsmill_dead_total counter\nnewsmill_dead_total{code=\"no_title\"} 2\n",
    "# TYPE newsmill_retries_total counter\nnewsmill_retries_total{dependency=\"redis\"} 0\n"
    "newsmill_retries_total{dependency=\"kafka\"} 0\n",
    "# TYPE newsmill_loop_seconds_total counter\nnewsmill_loop_seconds_total{phase=\"poll\"} 0\n"
    "newsmill_loop_seconds_total{phase=\"process\"} 0\nnewsmill_loop_seconds_total{phase=\"redis\"} 0\n"
    "newsmill_loop_seconds_total{phase=\"produce\"} 0\nnewsmill_loop_seconds_total{phase=\"ack\"} 0\n"
    "newsmill_loop_seconds_total{phase=\"commit\"} 0\nnewsmill_loop_seconds_total{phase=\"beside\"} "
    "0\nnewsmill_loop_seconds_total{phase=\"idle\"} 0\n",
    "# TYPE newsmill_batch_items histogram\nnewsmill_batch_items_bucket{le=\"1\"} 0\n",
    "newsmill_batch_items_bucket{le=\"+Inf\"} 1\nnewsmill_batch_items_sum 7\nnewsmill_batch_items_count 1\n",
    "# TYPE newsmill_redis_seconds histogram\n",
    "# TYPE newsmill_produce_seconds histogram\n",
    "# TYPE newsmill_in_flight_items gauge\nnewsmill_in_flight_items 0\n",
    "# TYPE newsmill_in_flight_bytes gauge\nnewsmill_in_flight_bytes 0\n",
    "# TYPE newsmill_paused_partitions gauge\nnewsmill_paused_partitions 0\n",
    "# TYPE newsmill_rebalances_total counter\nnewsmill_rebalances_total 0\n",
    "# TYPE newsmill_state_losses_total counter\nnewsmill_state_losses_total 0\n",
    "# TYPE newsmill_breaker_open gauge\nnewsmill_breaker_open 0\n",
};

static void fill_runtime(struct nm_runtime_metrics *rm, struct nm_metrics *metrics)
{
    nm_runtime_metrics_init(rm, metrics, &worker);
    nm_runtime_metrics_lag(rm, NM_RAW, 3, 12, 1500);
    nm_series_add(rm->events[NM_RAW][NM_OUTCOME_DEAD], 2);
    nm_runtime_metrics_dead(rm, "no_title");
    nm_runtime_metrics_dead(rm, "no_title");
    nm_series_observe(rm->batch_items, 7);
}

static void runtime__names_are_as_documented(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    struct nm_runtime_metrics rm;
    fill_runtime(&rm, metrics);
    for (size_t i = 0; i < sizeof contract / sizeof *contract; i++)
        assert_page_has(metrics, contract[i]);
    assert_null(rm.events[NM_FACETS][NM_OUTCOME_OK]);
    assert_null(rm.messages_out[NM_RAW]);
    nm_metrics_free(metrics);
}

static void runtime__partitions_given_back_leave_the_page(void **state)
{
    (void)state;
    struct nm_metrics *metrics = new_metrics();
    struct nm_runtime_metrics rm;
    fill_runtime(&rm, metrics);
    nm_runtime_metrics_lag(&rm, NM_RAW, 4, 0, 0);
    nm_runtime_metrics_lag(&rm, NM_RAW, 5, 9, -1);
    nm_runtime_metrics_give_back(&rm, NM_RAW, 3);
    assert_page_lacks(metrics, "partition=\"3\"");
    assert_page_has(metrics, "lag_messages{stream=\"raw\",partition=\"4\"} 0\n");
    assert_page_has(metrics, "lag_messages{stream=\"raw\",partition=\"5\"} 9\n");
    assert_page_lacks(metrics, "lag_seconds{stream=\"raw\",partition=\"5\"}"); /* unknown */
    nm_metrics_free(metrics);
}

static void runtime__works_without_metrics(void **state)
{
    (void)state;
    struct nm_runtime_metrics rm;
    fill_runtime(&rm, NULL);
    nm_runtime_metrics_give_back(&rm, NM_RAW, 3);
    assert_null(rm.batch_items);
}

static int print_page(void)
{
    struct nm_metrics *metrics = NULL;
    struct nm_runtime_metrics rm;
    struct nm_buf out = {0};
    if (nm_metrics_new("normalize", &metrics, NULL) != NM_OK)
        return 1;
    fill_runtime(&rm, metrics);
    nm_series_set(nm_metric(metrics, &heat, LABELS("a \"quoted\" \\ back\nslash \xff")), NAN);
    nm_metrics_render(metrics, &out);
    (void)fputs(nm_buf_str(&out), stdout);
    nm_buf_clear(&out);
    nm_metrics_free(metrics);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page__has_families_in_the_order_of_making),
        cmocka_unit_test(page__begins_with_build_info_and_ends_with_the_process),
        cmocka_unit_test(process__counts_open_files),
        cmocka_unit_test(labels__are_escaped),
        cmocka_unit_test(labels__long_ones_are_cut_before_a_character),
        cmocka_unit_test(numbers__read_back_the_same),
        cmocka_unit_test(counter__never_goes_down),
        cmocka_unit_test(gauge__goes_up_and_down),
        cmocka_unit_test(histogram__buckets_are_cumulative_and_include_their_bound),
        cmocka_unit_test(null__is_harmless),
        cmocka_unit_test(bound__further_series_are_other),
        cmocka_unit_test(remove__takes_the_series_from_the_page),
        cmocka_unit_test(threads__pages_are_whole_while_series_come_and_go),
        cmocka_unit_test(runtime__names_are_as_documented),
        cmocka_unit_test(runtime__partitions_given_back_leave_the_page),
        cmocka_unit_test(runtime__works_without_metrics),
    };
    if (argc == 2 && strcmp(argv[1], "--page") == 0)
        return print_page();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
