/* test_publish_state.c - publish's Lua scripts on a real Redis, against a model in C that is written from the rules and
 * not from the scripts (design: revisions grow, an older article stays out, a mark never survives a change of the
 * body).
 *
 * Over 10,000 random operations: articles out of order, the same again, another body for the same article (changed
 * options), resends, and sent marks that come late, twice, or for what is no longer the newest. */
#include "publish/publish.h"
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

struct model {
    int64_t article_rev, rev; /* -1: nothing there */
    char article[64], hash[33], sent[33];
    int64_t sent_rev;
};

struct mark { /* of a record that was emitted some time ago */
    int64_t rev;
    int id;
    char hash[33];
};

static struct state_world world;
static struct model models[IDS];
static struct mark late[LATE];
static size_t n_late;

static int open_world(void **state)
{
    (void)state;
    struct nm_script *const scripts[] = {&pb_apply_script, &pb_sent_script};
    state_world_open(&world, scripts, 2);
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
    for (size_t i = 0; i < IDS; i++)
        models[i] = (struct model){.article_rev = -1};
    n_late = 0;
    return 0;
}

static const char *key_of(int id)
{
    static char key[32];
    (void)snprintf(key, sizeof key, "t:record:{%d}", id);
    return key;
}

struct outcome {
    bool stale;
    int64_t rev, before_us, after_us;
    char sent[33];
};

static struct outcome apply(int id, int64_t article_rev, const char *article, const char *hash, bool resend)
{
    struct outcome out = {0};
    char rev[24];
    (void)snprintf(rev, sizeof rev, "%" PRId64, article_rev);
    const char *const args[] = {rev, article, hash, resend ? "1" : "0", KEEP, NULL};
    const struct nm_reply *reply =
        state_world_call(&world, &pb_apply_script, key_of(id), args, &out.before_us, &out.after_us);
    out.stale = strcmp(nm_reply_at(reply, 0)->str, "stale") == 0;
    if (!out.stale)
        assert_string_equal(nm_reply_at(reply, 0)->str, "ok");
    out.rev = nm_reply_int(nm_reply_at(reply, 1), -1);
    (void)snprintf(out.sent, sizeof out.sent, "%s", nm_reply_at(reply, 2)->str);
    return out;
}

static bool mark_sent(int id, int64_t record_rev, const char *hash)
{
    char rev[24];
    (void)snprintf(rev, sizeof rev, "%" PRId64, record_rev);
    const char *const args[] = {rev, hash, KEEP, NULL};
    int64_t got = nm_reply_int(state_world_call(&world, &pb_sent_script, key_of(id), args, NULL, NULL), -1);
    assert_in_range(got, 0, 1);
    return got == 1;
}

/* The revision after a change: the clock, or one more where the clock is behind. */
static void check_new_rev(int64_t old, const struct outcome *out)
{
    if (old >= out->after_us)
        assert_int_equal(out->rev, old + 1);
    else
        assert_in_range(out->rev, old + 1 > out->before_us ? old + 1 : out->before_us, out->after_us);
}

/* ---- single steps ---- */

static void state__first_article_has_no_mark_and_an_expiry(void **state)
{
    (void)state;
    struct outcome out = apply(1, 100, "a1", "h1", false);
    assert_false(out.stale);
    check_new_rev(0, &out);
    assert_string_equal(out.sent, "");
    assert_string_equal(state_world_field(&world, key_of(1), "a"), "a1");
    int64_t ttl = nm_reply_int(state_world_run(&world, (const char *const[]){"PTTL", key_of(1), NULL}), -1);
    assert_in_range(ttl, 86400000 - 60000, 86400000);
}

static void state__redelivery_keeps_the_revision(void **state)
{
    (void)state;
    struct outcome first = apply(1, 100, "a1", "h1", false);
    struct outcome again = apply(1, 100, "a1", "h1", false);
    assert_int_equal(again.rev, first.rev);
    assert_string_equal(again.sent, "");
    assert_true(mark_sent(1, first.rev, "h1"));
    again = apply(1, 100, "a1", "h1", false);
    assert_int_equal(again.rev, first.rev);
    assert_string_equal(again.sent, "h1");
}

static void state__newer_article_with_the_same_body_keeps_the_mark(void **state)
{
    (void)state;
    struct outcome first = apply(1, 100, "a1", "h1", false);
    assert_true(mark_sent(1, first.rev, "h1"));
    struct outcome next = apply(1, 101, "a2", "h1", false);
    assert_true(next.rev > first.rev);
    assert_string_equal(next.sent, "h1");
    assert_string_equal(state_world_field(&world, key_of(1), "a"), "a2");
}

static void state__body_there_and_back_has_no_mark(void **state)
{
    (void)state;
    struct outcome first = apply(1, 100, "a1", "A", false);
    assert_true(mark_sent(1, first.rev, "A"));
    assert_string_equal(apply(1, 101, "a2", "B", false).sent, "");
    struct outcome back = apply(1, 102, "a3", "A", false);
    assert_string_equal(back.sent, "");
    assert_false(mark_sent(1, first.rev, "A")); /* the report of the first A comes late */
    assert_string_equal(apply(1, 102, "a3", "A", false).sent, "");
    assert_true(mark_sent(1, back.rev, "A"));
    assert_string_equal(apply(1, 102, "a3", "A", false).sent, "A");
}

static void state__older_article_changes_nothing(void **state)
{
    (void)state;
    struct outcome first = apply(1, 100, "a1", "h1", false);
    for (int resend = 0; resend < 2; resend++) {
        assert_true(apply(1, 99, "a0", "h0", resend).stale);
        assert_string_equal(state_world_field(&world, key_of(1), "a"), "a1");
        assert_int_equal(apply(1, 100, "a1", "h1", false).rev, first.rev);
    }
}

static void state__tombstone_keeps_older_versions_out(void **state)
{
    (void)state;
    (void)apply(1, 100, "a1", "h1", false);
    struct outcome gone = apply(1, 200, "r", "retracted", false);
    assert_true(mark_sent(1, gone.rev, "retracted"));
    assert_true(apply(1, 150, "a2", "h2", false).stale);
    assert_string_equal(apply(1, 200, "r", "retracted", false).sent, "retracted");
    assert_false(apply(1, 201, "a3", "h3", false).stale); /* published again, on purpose */
}

static void state__resend_takes_a_new_revision(void **state)
{
    (void)state;
    struct outcome first = apply(1, 100, "a1", "h1", false);
    assert_true(mark_sent(1, first.rev, "h1"));
    struct outcome again = apply(1, 100, "a1", "h1", true);
    assert_true(again.rev > first.rev);
    assert_false(mark_sent(1, first.rev, "h1"));
    assert_true(mark_sent(1, again.rev, "h1"));
}

static void state__other_body_of_the_same_article_takes_a_new_revision(void **state)
{
    (void)state;
    struct outcome first = apply(1, 100, "a1", "h1", false);
    assert_true(mark_sent(1, first.rev, "h1"));
    struct outcome other = apply(1, 100, "a1", "h2", false); /* publish.minQuality was changed */
    assert_true(other.rev > first.rev);
    assert_string_equal(other.sent, "");
}

static void state__clock_behind_the_last_revision(void **state)
{
    (void)state;
    struct outcome first = apply(1, 100, "a1", "h1", false);
    char ahead[24];
    (void)snprintf(ahead, sizeof ahead, "%" PRId64, first.rev + 3600000000);
    (void)state_world_run(&world, (const char *const[]){"HSET", key_of(1), "rev", ahead, NULL});
    assert_int_equal(apply(1, 101, "a2", "h2", false).rev, first.rev + 3600000001);
    assert_int_equal(apply(1, 102, "a3", "h3", false).rev, first.rev + 3600000002);
}

static void state__mark_of_a_key_that_is_gone(void **state)
{
    (void)state;
    assert_false(mark_sent(1, 100, "h1"));
    assert_int_equal(nm_reply_int(state_world_run(&world, (const char *const[]){"EXISTS", key_of(1), NULL}), -1), 0);
}

/* Article revisions are exact to 2^53-1, and compared as numbers. */
static void state__largest_revisions_are_compared_exactly(void **state)
{
    (void)state;
    assert_false(apply(1, 9007199254740990, "a1", "h1", false).stale);
    assert_false(apply(1, 9007199254740991, "a2", "h2", false).stale);
    assert_true(apply(1, 9007199254740990, "a1", "h1", false).stale);
    assert_true(apply(1, 999, "a0", "h0", false).stale);
    assert_string_equal(state_world_field(&world, key_of(1), "arev"), "9007199254740991");
}

/* ---- any order of anything ---- */

static void remember(int id, int64_t rev, const char *hash)
{
    size_t at = n_late < LATE ? n_late++ : state_world_pick(&world, LATE);
    late[at] = (struct mark){.id = id, .rev = rev};
    (void)snprintf(late[at].hash, sizeof late[at].hash, "%s", hash);
}

static void random_apply(void)
{
    int id = (int)state_world_pick(&world, IDS);
    struct model *m = &models[id];
    int64_t base = m->article_rev < 0 ? 1000 : m->article_rev;
    int64_t article_rev = base + (int64_t)state_world_pick(&world, 9) - 4;
    char article[64], hash[33];
    (void)snprintf(article, sizeof article, "article %" PRId64, article_rev);
    /* few bodies, so that they return; sometimes the options make another one of the same article */
    (void)snprintf(hash, sizeof hash, "h%" PRId64, (article_rev + (state_world_pick(&world, 8) == 0)) % 3);
    bool resend = state_world_pick(&world, 10) == 0;
    struct outcome out = apply(id, article_rev, article, hash, resend);

    assert_int_equal(out.stale, article_rev < m->article_rev);
    if (out.stale)
        return;
    bool other_body = m->article_rev < 0 || strcmp(hash, m->hash) != 0;
    if (article_rev > m->article_rev || other_body || resend) {
        check_new_rev(m->rev, &out);
        m->rev = out.rev;
    }
    if (other_body)
        m->sent[0] = '\0';
    m->article_rev = article_rev;
    (void)snprintf(m->article, sizeof m->article, "%s", article);
    (void)snprintf(m->hash, sizeof m->hash, "%s", hash);
    assert_int_equal(out.rev, m->rev);
    assert_string_equal(out.sent, m->sent);
    remember(id, out.rev, hash);
}

static void random_mark(void)
{
    if (n_late == 0)
        return;
    struct mark mark = late[state_world_pick(&world, (unsigned)n_late)];
    struct model *m = &models[mark.id];
    bool newest = mark.rev == m->rev;
    assert_int_equal(mark_sent(mark.id, mark.rev, mark.hash), newest);
    if (newest) {
        assert_string_equal(mark.hash, m->hash); /* one revision, one body */
        (void)snprintf(m->sent, sizeof m->sent, "%s", mark.hash);
        m->sent_rev = mark.rev;
    }
}

/* Time goes on or stands still: a key whose revision is ahead of the clock. */
static void random_jump(void)
{
    struct model *m = &models[state_world_pick(&world, IDS)];
    if (m->article_rev < 0)
        return;
    char text[24];
    m->rev += state_world_pick(&world, 5000000);
    (void)snprintf(text, sizeof text, "%" PRId64, m->rev);
    (void)state_world_run(&world, (const char *const[]){"HSET", key_of((int)(m - models)), "rev", text, NULL});
}

static void check_state(int id)
{
    const struct model *m = &models[id];
    if (m->article_rev < 0)
        return;
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, m->rev);
    assert_string_equal(state_world_field(&world, key_of(id), "rev"), text);
    (void)snprintf(text, sizeof text, "%" PRId64, m->article_rev);
    assert_string_equal(state_world_field(&world, key_of(id), "arev"), text);
    assert_string_equal(state_world_field(&world, key_of(id), "a"), m->article);
    const char *sent = state_world_field(&world, key_of(id), "sent");
    assert_string_equal(sent, m->sent);
    if (*sent)
        assert_string_equal(sent, m->hash);
}

static void state__random_operations_match_the_model(void **state)
{
    (void)state;
    for (int i = 0; i < OPERATIONS; i++) {
        unsigned what = state_world_pick(&world, 100);
        if (what < 55)
            random_apply();
        else if (what < 98)
            random_mark();
        else
            random_jump();
    }
    for (int id = 0; id < IDS; id++)
        check_state(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(state__first_article_has_no_mark_and_an_expiry, fresh),
        cmocka_unit_test_setup(state__redelivery_keeps_the_revision, fresh),
        cmocka_unit_test_setup(state__newer_article_with_the_same_body_keeps_the_mark, fresh),
        cmocka_unit_test_setup(state__body_there_and_back_has_no_mark, fresh),
        cmocka_unit_test_setup(state__older_article_changes_nothing, fresh),
        cmocka_unit_test_setup(state__tombstone_keeps_older_versions_out, fresh),
        cmocka_unit_test_setup(state__resend_takes_a_new_revision, fresh),
        cmocka_unit_test_setup(state__other_body_of_the_same_article_takes_a_new_revision, fresh),
        cmocka_unit_test_setup(state__clock_behind_the_last_revision, fresh),
        cmocka_unit_test_setup(state__mark_of_a_key_that_is_gone, fresh),
        cmocka_unit_test_setup(state__largest_revisions_are_compared_exactly, fresh),
        cmocka_unit_test_setup(state__random_operations_match_the_model, fresh),
    };
    return cmocka_run_group_tests_name("publish_state", tests, open_world, close_world);
}
