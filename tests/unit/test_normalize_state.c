/* test_normalize_state.c - normalize's Lua scripts on a real Redis, against a model in C: versions ordered by (source
 * time, rules, content hash), re-crawls, first dates, resends, and reports that come late; rules by their number. */
#include "normalize/normalize_state.h"
#include "state_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { IDS = 40, OPERATIONS = 12000, LATE = 64 };

#define KEEP "86400000"

struct version {
    int64_t source_ms, rules;
    char hash[40];
};

struct model {
    bool there;
    struct version newest; /* source_ms: the greatest seen with this content */
    int64_t sent_source_ms, first_date_ms, rev, reported;
};

struct report {
    int id;
    int64_t rev;
};

static struct state_world world;
static struct model models[IDS];
static struct report late[LATE];
static size_t n_late;

static int open_world(void **state)
{
    (void)state;
    struct nm_script *const scripts[] = {&nz_version_script, &nz_reported_script, &nz_rules_script};
    state_world_open(&world, scripts, 3);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    state_world_close(&world);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    state_world_flush(&world);
    memset(models, 0, sizeof models);
    n_late = 0;
    return 0;
}

static const char *key_of(int id)
{
    static char key[32];
    (void)snprintf(key, sizeof key, "t:seen:{%d}", id);
    return key;
}

struct outcome {
    char verdict[8];
    int64_t rev, source_ms, first_date_ms, before_us, after_us;
    bool reported;
};

static struct outcome ask(int id, const struct version *version, int64_t kafka_ms, bool resend)
{
    struct outcome out = {0};
    char source[24], rules[24], kafka[24];
    (void)snprintf(source, sizeof source, "%" PRId64, version->source_ms);
    (void)snprintf(rules, sizeof rules, "%" PRId64, version->rules);
    (void)snprintf(kafka, sizeof kafka, "%" PRId64, kafka_ms);
    const char *const args[] = {source, rules, version->hash, kafka, resend ? "1" : "0", KEEP, NULL};
    const struct nm_reply *reply =
        state_world_call(&world, &nz_version_script, key_of(id), args, &out.before_us, &out.after_us);
    (void)snprintf(out.verdict, sizeof out.verdict, "%s", nm_reply_at(reply, 0)->str);
    out.rev = nm_reply_int(nm_reply_at(reply, 1), -1);
    out.source_ms = nm_reply_int(nm_reply_at(reply, 2), -1);
    out.first_date_ms = nm_reply_int(nm_reply_at(reply, 3), -1);
    out.reported = nm_reply_int(nm_reply_at(reply, 4), -1) == 1;
    return out;
}

static struct outcome ask_simply(int64_t source_ms, int64_t rules, const char *hash)
{
    struct version version = {.source_ms = source_ms, .rules = rules};
    (void)snprintf(version.hash, sizeof version.hash, "%s", hash);
    return ask(1, &version, source_ms, false);
}

static bool report(int id, int64_t revision)
{
    char rev[24];
    (void)snprintf(rev, sizeof rev, "%" PRId64, revision);
    const char *const args[] = {rev, NULL};
    int64_t got = nm_reply_int(state_world_call(&world, &nz_reported_script, key_of(id), args, NULL, NULL), -1);
    assert_in_range(got, 0, 1);
    return got == 1;
}

static void check_new_rev(int64_t old, const struct outcome *out)
{
    if (old >= out->after_us)
        assert_int_equal(out->rev, old + 1);
    else
        assert_in_range(out->rev, old + 1 > out->before_us ? old + 1 : out->before_us, out->after_us);
}

/* ---- single steps ---- */

static void seen__order_of_versions(void **state)
{
    (void)state;
    static const struct {
        int64_t source_ms, rules;
        const char *hash, *want;
    } second[] = {
        {1000, 2, "m", "same"},  {999, 2, "m", "same"},   {5000, 2, "m", "same"}, {1001, 2, "a", "new"},
        {1001, 1, "a", "new"},   {1000, 3, "a", "new"},   {1000, 3, "m", "new"},  {1000, 2, "n", "new"},
        {1000, 2, "a", "stale"}, {1000, 1, "z", "stale"}, {999, 2, "z", "stale"}, {999, 3, "z", "stale"},
        {999, 3, "m", "stale"},  {1000, 1, "m", "stale"}, {0, 2, "z", "stale"},   {1001, 1, "m", "new"},
    };
    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        (void)fresh(state);
        assert_string_equal(ask_simply(1000, 2, "m").verdict, "new");
        struct outcome out = ask_simply(second[i].source_ms, second[i].rules, second[i].hash);
        if (strcmp(out.verdict, second[i].want) != 0)
            fail_msg("(%" PRId64 ", %" PRId64 ", %s) is %s, wanted %s", second[i].source_ms, second[i].rules,
                     second[i].hash, out.verdict, second[i].want);
    }
}

static void seen__recrawl_gives_the_same_bytes_and_raises_the_source_time(void **state)
{
    (void)state;
    struct outcome first = ask_simply(1000, 1, "m");
    struct outcome again = ask_simply(3000, 1, "m");
    assert_string_equal(again.verdict, "same");
    assert_int_equal(again.rev, first.rev);
    assert_int_equal(again.source_ms, 1000); /* what was sent with that revision */
    assert_int_equal(again.first_date_ms, 1000);
    assert_string_equal(ask_simply(2000, 1, "z").verdict, "stale"); /* older than the re-crawl */
    assert_string_equal(ask_simply(3001, 1, "a").verdict, "new");
}

static void seen__reported_only_for_the_newest_revision(void **state)
{
    (void)state;
    struct outcome first = ask_simply(1000, 1, "m");
    assert_false(first.reported);
    assert_false(ask_simply(1000, 1, "m").reported);
    assert_true(report(1, first.rev));
    assert_true(ask_simply(1000, 1, "m").reported);
    struct outcome second = ask_simply(2000, 1, "n");
    assert_false(second.reported);
    assert_false(report(1, first.rev));
    assert_false(ask_simply(2000, 1, "n").reported);
    assert_true(report(1, second.rev));
    assert_true(ask_simply(2000, 1, "n").reported);
}

static void seen__first_date_stays(void **state)
{
    (void)state;
    struct version version = {.source_ms = 1000, .rules = 1, .hash = "a"};
    assert_int_equal(ask(1, &version, 555, false).first_date_ms, 555);
    version = (struct version){.source_ms = 2000, .rules = 1, .hash = "b"};
    assert_int_equal(ask(1, &version, 777, false).first_date_ms, 555);
    version = (struct version){.source_ms = 100, .rules = 1, .hash = "c"};
    assert_int_equal(ask(1, &version, 111, false).first_date_ms, 555);
}

static void seen__resend_takes_a_new_revision_and_unreports(void **state)
{
    (void)state;
    struct version version = {.source_ms = 1000, .rules = 1, .hash = "m"};
    struct outcome first = ask(1, &version, 1000, false);
    assert_true(report(1, first.rev));
    struct outcome again = ask(1, &version, 1000, true);
    assert_string_equal(again.verdict, "same");
    assert_true(again.rev > first.rev);
    assert_false(again.reported);
    assert_false(report(1, first.rev));
    assert_true(report(1, again.rev));
    struct version older = {.source_ms = 10, .rules = 1, .hash = "o"};
    assert_string_equal(ask(1, &older, 10, true).verdict, "stale");
    struct outcome after = ask(1, &version, 1000, false); /* the next re-crawl sends the newest again */
    assert_string_equal(after.verdict, "same");
    assert_true(after.rev > again.rev);
    assert_false(after.reported);
}

static void seen__report_of_a_key_that_is_gone(void **state)
{
    (void)state;
    assert_false(report(1, 5));
    assert_int_equal(nm_reply_int(state_world_run(&world, (const char *const[]){"EXISTS", key_of(1), NULL}), -1), 0);
}

static void seen__expiry_counts_from_the_last_event(void **state)
{
    (void)state;
    (void)ask_simply(1000, 1, "m");
    (void)state_world_run(&world, (const char *const[]){"PEXPIRE", key_of(1), "5000", NULL});
    (void)ask_simply(1000, 1, "m");
    int64_t ttl = nm_reply_int(state_world_run(&world, (const char *const[]){"PTTL", key_of(1), NULL}), -1);
    assert_in_range(ttl, 86400000 - 60000, 86400000);
}

/* ---- any order of anything ---- */

/* Below 0, 0 or above 0, as versions are ordered. */
static int compare(const struct version *a, const struct version *b)
{
    if (a->source_ms != b->source_ms)
        return a->source_ms < b->source_ms ? -1 : 1;
    if (a->rules != b->rules)
        return a->rules < b->rules ? -1 : 1;
    return strcmp(a->hash, b->hash);
}

static void update_model(struct model *m, const struct version *version, int64_t kafka_ms, bool resend,
                         const struct outcome *out)
{
    bool same = m->there && version->rules == m->newest.rules && strcmp(version->hash, m->newest.hash) == 0;
    bool new = !same && (!m->there || compare(version, &m->newest) > 0);
    assert_string_equal(out->verdict, new ? "new" : same ? "same" : "stale");
    if (new || resend) {
        check_new_rev(m->rev, out);
        m->rev = out->rev;
    }
    assert_int_equal(out->rev, m->rev);
    if (!m->there)
        m->first_date_ms = kafka_ms;
    m->there = true;
    if (new) {
        m->newest = *version;
        m->sent_source_ms = version->source_ms;
    } else if (same && version->source_ms > m->newest.source_ms) {
        m->newest.source_ms = version->source_ms;
    }
    assert_int_equal(out->source_ms, m->sent_source_ms);
    assert_int_equal(out->first_date_ms, m->first_date_ms);
    assert_int_equal(out->reported, m->reported == m->rev);
}

static void random_event(void)
{
    int id = (int)state_world_pick(&world, IDS);
    struct model *m = &models[id];
    int64_t base_ms = m->there ? m->newest.source_ms : 1000000;
    struct version version = {.source_ms = base_ms + (int64_t)state_world_pick(&world, 5) - 2,
                              .rules = 1 + state_world_pick(&world, 2)};
    (void)snprintf(version.hash, sizeof version.hash, "%032x", state_world_pick(&world, 4));
    if (m->there && state_world_pick(&world, 3) == 0) { /* a re-crawl, at any time */
        int64_t source_ms = version.source_ms;
        version = m->newest;
        version.source_ms = source_ms;
    }
    int64_t kafka_ms = 1000000 + state_world_pick(&world, 1000);
    bool resend = state_world_pick(&world, 10) == 0;
    struct outcome out = ask(id, &version, kafka_ms, resend);
    update_model(m, &version, kafka_ms, resend, &out);
    size_t at = n_late < LATE ? n_late++ : state_world_pick(&world, LATE);
    late[at] = (struct report){.id = id, .rev = out.rev};
}

static void random_report(void)
{
    if (n_late == 0)
        return;
    struct report chosen = late[state_world_pick(&world, (unsigned)n_late)];
    struct model *m = &models[chosen.id];
    bool newest = chosen.rev == m->rev;
    assert_int_equal(report(chosen.id, chosen.rev), newest);
    if (newest)
        m->reported = m->rev;
}

static void random_jump(void)
{
    struct model *m = &models[state_world_pick(&world, IDS)];
    if (!m->there)
        return;
    char text[24];
    m->rev += 1 + state_world_pick(&world, 5000000);
    (void)snprintf(text, sizeof text, "%" PRId64, m->rev);
    (void)state_world_run(&world, (const char *const[]){"HSET", key_of((int)(m - models)), "rev", text, NULL});
}

static void seen__random_operations_match_the_model(void **state)
{
    (void)state;
    for (int i = 0; i < OPERATIONS; i++) {
        unsigned what = state_world_pick(&world, 100);
        if (what < 60)
            random_event();
        else if (what < 98)
            random_report();
        else
            random_jump();
    }
}

static void check_rules(const char *key, const char *ours, const char *want)
{
    const struct nm_reply *reply =
        state_world_call(&world, &nz_rules_script, key, (const char *const[]){ours, NULL}, NULL, NULL);
    assert_int_equal(reply->type, NM_REPLY_STR);
    assert_string_equal(reply->str, want);
}

static void rules__the_first_of_a_number_stay(void **state)
{
    (void)state;
    check_rules("t:rules:1", "rules/1 a=1", "rules/1 a=1");
    check_rules("t:rules:1", "rules/1 a=1", "rules/1 a=1");
    check_rules("t:rules:1", "rules/1 a=2", "rules/1 a=1");
    check_rules("t:rules:2", "rules/1 a=2", "rules/1 a=2");
    check_rules("t:rules:1", "rules/1 a=1", "rules/1 a=1"); /* back to the number before, with its rules */
    const struct nm_reply *left = state_world_run(&world, (const char *const[]){"PTTL", "t:rules:1", NULL});
    assert_int_equal(nm_reply_int(left, 0), -1); /* never forgotten */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(seen__order_of_versions, fresh),
        cmocka_unit_test_setup(seen__recrawl_gives_the_same_bytes_and_raises_the_source_time, fresh),
        cmocka_unit_test_setup(seen__reported_only_for_the_newest_revision, fresh),
        cmocka_unit_test_setup(seen__first_date_stays, fresh),
        cmocka_unit_test_setup(seen__resend_takes_a_new_revision_and_unreports, fresh),
        cmocka_unit_test_setup(seen__report_of_a_key_that_is_gone, fresh),
        cmocka_unit_test_setup(seen__expiry_counts_from_the_last_event, fresh),
        cmocka_unit_test_setup(seen__random_operations_match_the_model, fresh),
        cmocka_unit_test_setup(rules__the_first_of_a_number_stay, fresh),
    };
    return cmocka_run_group_tests_name("normalize_state", tests, open_world, close_world);
}
