/* test_images_settings.c - from an option file to what the parts of images take: every part accepts the defaults and
 * what is at the end of its range, nothing is mixed up, and the start asks for what it needs. */
#include "config_internal.h"
#include "images/images_settings.h"
#include "scratch.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <arpa/inet.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define GOOD         "images.contact: https://site.example/bot\nimages.store.path: /srv/pictures\n"

static const struct nm_option_table tables[] = {{"images", images_options, NULL}, {NULL, NULL, NULL}};

static struct im_options options_of(const char *text)
{
    char *none[] = {NULL};
    struct im_options options = {0};
    struct nm_config_input input = {
        .path = "t.yaml", .data = text, .len = strlen(text), .program = "images", .tables = tables, .env = none};
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    struct nm_error err = {0};
    if (nm_config_load_input(&input, &config, &problems, &err) != NM_OK ||
        nm_config_apply(config, images_options, &options, &problems, &err) != NM_OK)
        fail_msg("%s: %s", text, problems.n > 0 ? problems.item[0].msg : err.msg);
    return options;
}

struct made {
    struct im_options options;
    struct im_settings settings;
};

static struct made *make(const char *more)
{
    char text[2000];
    struct made *made = calloc(1, sizeof *made);
    struct nm_error err = {0};
    assert_non_null(made);
    (void)snprintf(text, sizeof text, GOOD "%s", more);
    made->options = options_of(text);
    if (im_settings_read(&made->options, &made->settings, &err) != NM_OK)
        fail_msg("%s: %s", text, err.msg);
    return made;
}

static void drop(struct made *made)
{
    im_settings_clear(&made->settings);
    im_settings_clear(&made->settings); /* harmless */
    nm_options_clear(images_options, &made->options);
    free(made);
}

static void refused(const char *text, const char *want)
{
    struct im_options options = options_of(text);
    struct im_settings settings = {.max_bytes = 77};
    struct nm_error err = {0};
    assert_int_equal(im_settings_read(&options, &settings, &err), NM_CONFIG);
    if (!strstr(err.msg, want))
        fail_msg("for %s: %s", text, err.msg);
    assert_int_equal(settings.max_bytes, 77);
    assert_null(settings.temp_path);
    nm_options_clear(images_options, &options);
}

/* The worker's own parts take these settings. */
static void accepted(const struct made *made, const char *folder)
{
    const struct im_settings *s = &made->settings;
    struct nm_error err = {0};
    struct nm_settings common = {.ns = (char *)(uintptr_t) "news", .keep_days = 400};
    struct im_state state;
    struct im_fetcher *fetcher = NULL;
    common.stream[NM_NORMALIZED].partitions = 8;
    if (im_state_open(&state, &s->state, &common, &err) != NM_OK)
        fail_msg("state: %s", err.msg);
    im_state_close();
    struct im_fetch_config config = {.limits = &s->fetch,
                                     .check = &s->check,
                                     .policy = &s->policy,
                                     .user_agent = s->user_agent,
                                     .temp_dir = folder,
                                     .ca_file = s->ca_file,
                                     .resolve = s->resolve,
                                     .clock = NULL};
    if (im_fetcher_open(&config, &fetcher, &err) != NM_OK)
        fail_msg("fetch: %s", err.msg);
    im_fetcher_close(fetcher);
}

static void defaults__are_those_of_the_parts(void **state)
{
    (void)state;
    struct made *made = make("");
    const struct im_settings *s = &made->settings;
    struct im_state_options want;
    im_state_defaults(&want);
    size_t marks = offsetof(struct im_state_options, lease_ms); /* and what lies between the members; numbers follow */
    assert_memory_equal((const char *)&s->state + marks, (const char *)&want + marks, sizeof want - marks);
    assert_int_equal(strspn(s->state.policy, "0123456789abcdef"), 16);
    assert_int_equal(strspn(s->state.facet, "0123456789abcdef"), 16);
    assert_string_not_equal(s->state.policy, s->state.facet);
    assert_string_equal(s->user_agent, "newsmill/" NM_VERSION " (+https://site.example/bot)");
    assert_string_equal(s->temp_path, "/srv/pictures/tmp");
    assert_null(s->public_base);
    assert_null(s->resolve);
    assert_null(s->ca_file);
    assert_true(s->strict_type && s->try_https);
    assert_false(s->test || s->is_s3 || s->http2 || s->reject_mixed || s->allow_downgrade || s->refuse_bombs);
    assert_int_equal(s->copy, IM_COPY_CREDITED);
    assert_int_equal(s->n_thumbs, 2);
    assert_int_equal(s->thumb[0].edge, 320);
    assert_int_equal(s->thumb[1].edge, 1200);
    assert_int_equal(s->thumb[1].quality, 80);
    assert_int_equal(s->thumb[1].format, IM_THUMB_JPEG);
    assert_in_range(s->decoder.processes, 1, IM_DECODERS_MAX);
    assert_int_equal(s->policy.n_ports, 2);
    assert_int_equal(s->policy.n_allow + s->policy.n_deny + s->policy.n_own, 0);
    assert_int_equal(s->fetch.in_flight_bytes / IM_FETCH_TRANSFER_BYTES, 1024);
    drop(made);
}

static const char numbers[] = "images.fetch: {mixedAnswers: reject, httpVersion: '2', allowDowngrade: true, tryHttps: "
                              "false, caFile: /ca.pem}\n"
                              "images.check: {strictType: false, refuseBombs: true}\n"
                              "images.breaker.openMs: 3600000\n"
                              "images: {keepCopyright: false, publicBase: 'https://img.site.example/a//', tempPath: "
                              "/fast}\n"
                              "images.thumbnails: {edgePixels: [1200, 4096, 64], format: webp, quality: 7}\n";

static void check_fetch(const struct im_fetch_limits *f)
{
    const int64_t fetched[] = {(int64_t)f->url_bytes,
                               f->max_hops,
                               f->connect_ms,
                               f->first_byte_ms,
                               f->slow_bytes,
                               f->slow_ms,
                               f->total_ms,
                               (int64_t)f->header_bytes,
                               f->body_bytes,
                               f->in_flight_items,
                               f->in_flight_bytes,
                               f->temp_bytes,
                               f->retry_after_min_ms,
                               f->retry_after_max_ms,
                               f->retry_after_default_ms};
    const int64_t fetch[] = {101, 2, 103, 104, 105, 106, 107, 1108, 1109, 110, 98311, 1112, 304, 305, 304};
    assert_memory_equal(fetched, fetch, sizeof fetch);
}

static void every_number__reaches_its_member(void **state)
{
    (void)state;
    struct made *made =
        make("images.fetch: {urlBytes: 101, maxHops: 2, connectMs: 103, firstByteMs: 104, slowBytes: "
             "105, slowMs: 106, totalMs: 107, headerBytes: 1108, bodyBytes: 1109, inFlightItems: 110, "
             "inFlightBytes: 98311, tempBytes: 1112, perHost: 13, perAddress: 14, hostRate: 115, "
             "hostBurst: 116}\n"
             "images.check: {minBytes: 201, minEdgePixels: 202, maxPixels: 203, maxEdgePixels: 204, "
             "maxGifPixels: 205, maxFrames: 206, maxTotalPixels: 207, maxScans: 208, metadataBytes: 209, "
             "bombRatio: 210}\n"
             "images.retry: {tries: 1, baseMs: 302, rounds: 303, afterMinMs: 304, afterMaxMs: 305, "
             "afterDefaultMs: 304}\n"
             "images.breaker: {failures: 401, openMs: 402}\n"
             "images.gc: {idleMs: 501, graceMs: 60502, minAgeMs: 3600503}\n"
             "images.decoder: {processes: 6, cpuMs: 602, wallMs: 603, memoryBytes: 268435460}\n"
             "images: {freshMs: 1701, leaseMs: 702, maxUsers: 703}\n"
             "images.store.maxPercent: 81\nimages.store.maxBytes: 802\n");
    const struct im_settings *s = &made->settings;
    struct im_limits check = {203, 205, 207, 201, 209, 204, 202, 206, 208};
    assert_memory_equal(&s->check, &check, sizeof check);
    check_fetch(&s->fetch);
    const int64_t got[] = {s->bomb_ratio,
                           s->state.per_host,
                           s->state.per_address,
                           s->state.host_rate,
                           s->state.host_burst,
                           s->state.tries,
                           s->state.retry_base_ms,
                           s->state.rounds,
                           s->state.after_min_ms,
                           s->state.after_max_ms,
                           s->state.after_default_ms,
                           s->state.breaker_failures,
                           s->state.breaker_open_ms,
                           s->state.idle_ms,
                           s->state.grace_ms,
                           s->state.min_age_ms,
                           s->state.fresh_ms,
                           s->state.fresh_min_ms,
                           s->state.fresh_max_ms,
                           s->state.lease_ms,
                           s->state.max_users,
                           s->state.slot_ms,
                           s->decoder.processes,
                           s->decoder.cpu_ms,
                           s->decoder.wall_ms,
                           s->decoder.memory_bytes,
                           s->max_percent,
                           s->max_bytes};
    const int64_t want[] = {210,   13,      14,   115,  116,  1,   302, 303,  304, 305, 304, 401,       402, 501,
                            60502, 3600503, 1701, 1701, 1701, 702, 703, 5107, 6,   602, 603, 268435460, 81,  802};
    assert_int_equal(COUNT(got), COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++)
        if (got[i] != want[i])
            fail_msg("number %zu is %lld, not %lld", i, (long long)got[i], (long long)want[i]);
    drop(made);
}

static void switches__reach_their_members(void **state)
{
    (void)state;
    struct made *made = make(numbers);
    const struct im_settings *s = &made->settings;
    assert_true(s->reject_mixed && s->http2 && s->allow_downgrade && s->refuse_bombs);
    assert_false(s->try_https || s->strict_type);
    assert_string_equal(s->ca_file, "/ca.pem");
    assert_string_equal(s->public_base, "https://img.site.example/a");
    assert_string_equal(s->temp_path, "/fast");
    assert_int_equal(s->copy, IM_COPY_BARE);
    assert_int_equal(s->state.breaker_open_max_ms, 3600000);
    assert_int_equal(s->n_thumbs, 3);
    const struct im_thumb want[] = {{64, IM_THUMB_WEBP, 7}, {1200, IM_THUMB_WEBP, 7}, {4096, IM_THUMB_WEBP, 7}};
    assert_memory_equal(s->thumb, want, sizeof want);
    drop(made);
}

static void parts__accept_defaults_and_the_ends_of_ranges(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "",
        "images.mode: test\nimages.fetch: {urlBytes: 64, maxHops: 0, connectMs: 50, firstByteMs: 50, slowBytes: 0, "
        "slowMs: 100, totalMs: 100, headerBytes: 1024, bodyBytes: 1024, inFlightItems: 1, inFlightBytes: 98304, "
        "tempBytes: 1024, perHost: 1, perAddress: 1, hostRate: 1, hostBurst: 1}\n"
        "images.retry: {tries: 1, baseMs: 1, rounds: 1, afterMinMs: 1, afterMaxMs: 1, afterDefaultMs: 1}\n"
        "images.breaker: {failures: 1, openMs: 1}\nimages.gc: {idleMs: 1, graceMs: 1, minAgeMs: 1}\n"
        "images: {freshMs: 1000, leaseMs: 100, maxUsers: 1}\n"
        "images.testResolve: {\"B\u00fccher.test:81\": [127.0.0.1, '::1']}\n",
        "images.fetch: {urlBytes: 8192, maxHops: 10, connectMs: 15000, firstByteMs: 30000, slowBytes: 10485760, "
        "slowMs: 120000, totalMs: 120000, headerBytes: 262144, bodyBytes: 67108864, inFlightItems: 4096, "
        "inFlightBytes: "
        "1073741824, tempBytes: 1099511627776, perHost: 16, perAddress: 32, hostRate: 1000, hostBurst: 1000}\n"
        "images.retry: {tries: 6, baseMs: 60000, rounds: 1000, afterMinMs: 86400000, afterMaxMs: 86400000, "
        "afterDefaultMs: 86400000}\n"
        "images.breaker: {failures: 1000, openMs: 86400000}\n"
        "images.gc: {idleMs: 34560000000, graceMs: 2592000000, minAgeMs: 2592000000}\n"
        "images: {freshMs: 7776000000, leaseMs: 600000, maxUsers: 2000}\n",
    };
    char folder[SCRATCH_BYTES];
    scratch_make(folder, false);
    for (size_t i = 0; i < COUNT(lists); i++) {
        struct made *made = make(lists[i]);
        accepted(made, folder);
        drop(made);
    }
    scratch_remove(folder);
}

static enum im_reason asks(const struct im_policy *policy, const char *ip, int port)
{
    return im_address_check_text(policy, ip, port);
}

static void policy__is_that_of_the_options(void **state)
{
    (void)state;
    struct made *made =
        make("images.fetch: {ports: [80, 8443], denyNetworks: [8.8.0.0/16], nat64Prefix: '64:ff9b::/96'}\n"
             "images: {mode: test, testAllow: ['127.0.0.1:18081']}\n");
    const struct im_policy *policy = &made->settings.policy;
    assert_int_equal(asks(policy, "1.1.1.1", 8443), IM_NONE);
    assert_int_equal(asks(policy, "1.1.1.1", 443), IM_url_port);
    assert_int_equal(asks(policy, "8.8.8.8", 80), IM_blocked_addr);
    assert_int_equal(asks(policy, "64:ff9b::101:101", 80), IM_NONE);
    assert_int_equal(asks(policy, "127.0.0.1", 18081), IM_NONE);
    assert_int_equal(asks(policy, "127.0.0.1", 80), IM_blocked_addr);
    drop(made);
}

static void resolve__is_as_libcurl_takes_it(void **state)
{
    (void)state;
    struct made *made =
        make("images: {mode: test, testResolve: {\"B\u00fccher.test:81\": [127.0.0.1, '::1'], 'a.test:80': "
             "[10.0.0.1]}}\n");
    assert_string_equal(made->settings.resolve[0], "xn--bcher-kva.test:81:127.0.0.1,[::1]");
    assert_string_equal(made->settings.resolve[1], "a.test:80:10.0.0.1");
    assert_null(made->settings.resolve[2]);
    assert_true(made->settings.test);
    drop(made);
}

static void start__asks_for_what_it_needs(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"images.store.path: /p", "images.contact is missing"},
        {"images.contact: https://a.example/", "images.store.path is missing"},
        {"images.mode: test", "images.store.path is missing"},
        {GOOD "images.testAllow: ['127.0.0.1:80']", "images.testAllow opens the way"},
        {GOOD "images.store.kind: s3", "images.store.s3.endpoint is missing"},
        {GOOD "images.fetch.denyNetworks: [10.0.0.1/8]", "images.fetch.denyNetworks has bits behind its prefix"},
        {GOOD "images.fetch.nat64Prefix: '64:ff9b::1/96'", "images.fetch.nat64Prefix has bits behind"},
        {GOOD "images: {mode: test, testResolve: {a.test: [127.0.0.1]}}", "images.testResolve has 'a.test'"},
        {GOOD "images: {mode: test, testResolve: {'a.test:0': [127.0.0.1]}}", "images.testResolve has 'a.test:0'"},
        {GOOD "images: {mode: test, testResolve: {'a b:1': [127.0.0.1]}}", "images.testResolve has 'a b:1'"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        refused(cases[i].text, cases[i].want);
    struct im_options options = options_of("images: {mode: test, store: {path: /p}}");
    struct im_settings settings;
    assert_int_equal(im_settings_read(&options, &settings, NULL), NM_OK);
    assert_string_equal(settings.user_agent, "newsmill/" NM_VERSION " (test)");
    im_settings_clear(&settings);
    nm_options_clear(images_options, &options);
}

/* 'p': the mark of the policy changes, 'f': that of facets, '-': none. */
static void marks__change_with_exactly_their_options(void **state)
{
    (void)state;
    static const struct {
        char which;
        const char *text;
    } cases[] = {
        {'-', ""},
        {'p', "images.fetch.urlBytes: 4095"},
        {'p', "images.fetch.maxHops: 4"},
        {'p', "images.fetch.headerBytes: 65535"},
        {'p', "images.fetch.bodyBytes: 10485759"},
        {'p', "images.fetch.allowDowngrade: true"},
        {'p', "images.fetch.mixedAnswers: reject"},
        {'p', "images.fetch.nat64Prefix: '64:ff9b::/96'"},
        {'p', "images.fetch.ports: [80]"},
        {'p', "images.fetch.denyNetworks: [8.8.8.8]"},
        {'p', "images: {mode: test, testAllow: ['127.0.0.1:80']}"},
        {'p', "images.check.minBytes: 65"},
        {'p', "images.check.minEdgePixels: 3"},
        {'p', "images.check.maxPixels: 1000"},
        {'p', "images.check.maxEdgePixels: 1000"},
        {'p', "images.check.maxGifPixels: 1000"},
        {'p', "images.check.maxFrames: 10"},
        {'p', "images.check.maxTotalPixels: 1000"},
        {'p', "images.check.maxScans: 10"},
        {'p', "images.check.strictType: false"},
        {'p', "images.check.refuseBombs: true"},
        {'-', "images.check.bombRatio: 10"},
        {'-', "images.check.metadataBytes: 10"},
        {'-', "images.fetch: {connectMs: 100, totalMs: 1000, inFlightItems: 7, perHost: 1, tryHttps: false}"},
        {'-', "images.mode: test"},
        {'-', "images.thumbnails: {edgePixels: [64], format: webp}"},
        {'-', "images.publicBase: ''"},
        {'f', "images.publicBase: 'https://img.site.example'"},
    };
    struct made *first = make("");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct made *other = make(cases[i].text);
        bool policy = strcmp(first->settings.state.policy, other->settings.state.policy) != 0;
        bool facet = strcmp(first->settings.state.facet, other->settings.state.facet) != 0;
        if (policy != (cases[i].which == 'p') || facet != (cases[i].which == 'f'))
            fail_msg("%s: policy %d, facet %d", cases[i].text, policy, facet);
        drop(other);
    }
    drop(first);
    struct made *plain = make("images.publicBase: 'https://i.example'"),
                *slash = make("images.publicBase: 'https://i.example/'");
    assert_string_equal(plain->settings.state.facet, slash->settings.state.facet);
    drop(plain);
    drop(slash);
}

static void store__is_the_one_chosen(void **state)
{
    (void)state;
    char folder[SCRATCH_BYTES], text[SCRATCH_BYTES + 100];
    struct nm_error err = {0};
    struct im_store *store = NULL;
    struct im_space space = {0};
    scratch_make(folder, false);
    (void)snprintf(text, sizeof text, "images.store.path: %s/pictures", folder);
    struct im_options options = options_of(text);
    if (im_settings_store(&options, &store, &err) != NM_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(im_store_space(store, &space, &err), IM_NONE);
    assert_true(space.known);
    im_store_close(store);
    nm_options_clear(images_options, &options);
    options = options_of("images: {tempPath: /t, store: {kind: s3, path: /p, s3: {endpoint: 'ftp://a', bucket: b}}}");
    assert_int_equal(im_settings_store(&options, &store, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "images.store.s3.endpoint"));
    nm_options_clear(images_options, &options);
    scratch_remove(folder);
}

/* With 2 decoder processes and n thumbnails: 320, 2 * (4 + n), 2 * 64 * (1 + n) beside the transfers. */
static void files__are_raised_within_the_hard_limit(void **state)
{
    (void)state;
    struct rlimit before, now;
    struct nm_error err = {0};
    struct made *made = make("");
    struct im_settings *s = &made->settings;
    s->decoder.processes = 2;
    s->n_thumbs = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){500, before.rlim_max}), 0);
    s->fetch.in_flight_items = 10;
    assert_int_equal(im_settings_files(s, &err), NM_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, 500); /* enough already: it stays */
    s->fetch.in_flight_items = 100;
    assert_int_equal(im_settings_files(s, &err), NM_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, 2 * 100 + 320 + 2 * 4 + 128);
    s->n_thumbs = 2;
    s->decoder.processes = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){1333, 1333}), 0);
    s->fetch.in_flight_items = 123;
    assert_int_equal(im_settings_files(s, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "images.fetch.inFlightItems: 123 needs 1334 open files"));
    assert_non_null(strstr(err.msg, "set it to 122 or less"));
    s->fetch.in_flight_items = 122;
    assert_int_equal(im_settings_files(s, &err), NM_OK);
    drop(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults__are_those_of_the_parts),
        cmocka_unit_test(every_number__reaches_its_member),
        cmocka_unit_test(switches__reach_their_members),
        cmocka_unit_test(parts__accept_defaults_and_the_ends_of_ranges),
        cmocka_unit_test(policy__is_that_of_the_options),
        cmocka_unit_test(resolve__is_as_libcurl_takes_it),
        cmocka_unit_test(start__asks_for_what_it_needs),
        cmocka_unit_test(marks__change_with_exactly_their_options),
        cmocka_unit_test(store__is_the_one_chosen),
        cmocka_unit_test(files__are_raised_within_the_hard_limit), /* last: it lowers the hard limit */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
