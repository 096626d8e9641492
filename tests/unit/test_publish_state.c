/* test_publish_state.c - publish's Lua scripts on a real Redis, one rule a test: which versions apply, how revisions
 * grow and who took them, when a mark counts, what waits until when, what is written only while a revision is the
 * newest. How they work together is test_publish_model.c's matter. */
#include "publish/publish_view.h"
#include "state_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID      "136ab291632faf53215323ed8744d7a4"
#define OTHER   "236ab291632faf53215323ed8744d7a4"
#define THIRD   "336ab291632faf53215323ed8744d7a4"
#define KEEP    "86400000"
#define HASH    "0123456789abcdef0123456789abcdef"
#define ME      "00000000000000aa"
#define YOU     "00000000000000bb"

#define RECORD  "t:record:{" ID "}"
#define SHOWN   "t:shown:{" ID "}"
#define DUE     "t:due:publish:0"
#define SHOWN_2 "t:shown:{" OTHER "}"
#define SHOWN_3 "t:shown:{" THIRD "}"

static struct state_world world;

static int open_world(void **state)
{
    (void)state;
    struct nm_script *const scripts[] = {&pb_apply_script, &pb_card_script, &pb_lists_script, &pb_mark_script,
                                         &pb_back_script};
    state_world_open(&world, scripts, sizeof scripts / sizeof *scripts);
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
    return 0;
}

/* Calls a script with these words (ended by NULL), the first n_keys of which are keys. */
static const struct nm_reply *call(const struct nm_script *script, size_t n_keys, const char *const *words)
{
    struct nm_error err = {0};
    size_t n = 0;
    while (words[n])
        n++;
    nm_pipe_reset(&world.pipe);
    (void)nm_pipe_script(&world.pipe, script, n_keys, n - n_keys);
    for (size_t i = 0; i < n; i++)
        nm_pipe_str(&world.pipe, words[i]);
    if (nm_redis_exec(world.redis, &world.pipe, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return nm_pipe_reply(&world.pipe, 0);
}

struct how { /* zero: as usual */
    const char *instance, *expect, *wait_ms;
    bool catching_up;
};
struct outcome {
    char word[8], sent[64];
    int64_t rev, before;
    bool quiet, back;
};

/* Applies "<kind> <revision> <data>". */
static struct outcome apply(char kind, int64_t revision, const char *data, struct how how)
{
    char kind_text[2] = {kind, '\0'}, revision_text[24];
    struct outcome out = {0};
    (void)snprintf(revision_text, sizeof revision_text, "%016" PRId64, revision);
    const struct nm_reply *reply =
        call(&pb_apply_script, PB_APPLY_KEYS,
             (const char *const[]){RECORD, SHOWN, DUE, kind_text, revision_text, data, how.instance ? how.instance : ME,
                                   how.catching_up ? "1" : "0", KEEP, how.expect ? how.expect : "",
                                   how.wait_ms ? how.wait_ms : "2000", ID, NULL});
    (void)snprintf(out.word, sizeof out.word, "%s", nm_reply_at(reply, 0)->str);
    out.rev = nm_reply_int(nm_reply_at(reply, 1), -1);
    out.before = nm_reply_int(nm_reply_at(reply, 2), -1);
    (void)snprintf(out.sent, sizeof out.sent, "%s", nm_reply_at(reply, 3)->str);
    out.quiet = nm_reply_int(nm_reply_at(reply, 4), 0) == 1;
    out.back = nm_reply_int(nm_reply_at(reply, 5), 0) == 1;
    return out;
}

static const struct how usual;

static int64_t mark(int64_t revision, const char *instance)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, revision);
    return nm_reply_int(call(&pb_mark_script, 1, (const char *const[]){RECORD, text, HASH, instance, "0", NULL}), -1);
}

static int64_t back(int64_t revision, const char *awaits)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, revision);
    return nm_reply_int(call(&pb_back_script, 1, (const char *const[]){RECORD, text, HASH, awaits, KEEP, NULL}), -1);
}

static const char *field(const char *name)
{
    return state_world_field(&world, RECORD, name);
}

/* The score of the due entry, ms; -1: none. */
static int64_t due_ms(void)
{
    return nm_reply_int(state_world_run(&world, (const char *const[]){"ZSCORE", DUE, ID, NULL}), -1);
}

static int64_t now_ms(void)
{
    const struct nm_reply *time = state_world_run(&world, (const char *const[]){"TIME", NULL});
    return nm_reply_int(nm_reply_at(time, 0), 0) * 1000 + nm_reply_int(nm_reply_at(time, 1), 0) / 1000;
}

static int64_t is_member(const char *key, const char *id)
{
    return nm_reply_int(state_world_run(&world, (const char *const[]){"SISMEMBER", key, id, NULL}), -1);
}

static void assert_word(struct outcome out, const char *word)
{
    assert_string_equal(out.word, word);
}

/* ---- versions and revisions ---- */

static void apply__older_version_is_stale_and_changes_nothing(void **state)
{
    (void)state;
    static const char kinds[] = "airh";
    assert_word(apply('a', 100, "article", usual), "go");
    for (size_t i = 0; i < 4; i++) {
        char name[2] = {kinds[i], '\0'};
        assert_word(apply(kinds[i], 200, "new", usual), "go");
        int64_t rev = apply(kinds[i], 200, "new", usual).rev; /* equal: the same again */
        assert_word(apply(kinds[i], 199, "old", usual), "stale");
        assert_string_equal(field(name), "0000000000000200new");
        assert_int_equal(nm_reply_int(state_world_run(&world, (const char *const[]){"HGET", RECORD, "rev", NULL}), 0),
                         rev);
    }
}

static void apply__largest_revisions_are_compared_exactly(void **state)
{
    (void)state;
    assert_word(apply('a', 9007199254740990, "1", usual), "go");
    assert_word(apply('a', 9007199254740991, "2", usual), "go");
    assert_word(apply('a', 9007199254740990, "1", usual), "stale");
    assert_word(apply('a', 999, "0", usual), "stale");
    assert_string_equal(field("a"), "90071992547409912");
}

static void apply__each_composition_takes_a_revision_of_the_clock(void **state)
{
    (void)state;
    int64_t before_ms = now_ms(), last = 0;
    static const char kinds[] = "aairhtg";
    for (size_t i = 0; i < sizeof kinds - 1; i++) {
        struct outcome out = apply(kinds[i], 100, "x", usual);
        assert_word(out, "go");
        assert_int_equal(out.before, last);
        assert_true(out.rev > last && out.rev >= before_ms * 1000 && out.rev <= (now_ms() + 1) * 1000);
        last = out.rev;
    }
    (void)state_world_run(&world, (const char *const[]){"HSET", RECORD, "rev", "5000000000000000", NULL});
    assert_int_equal(apply('t', 0, "", usual).rev, 5000000000000001); /* the clock is behind */
}

static void apply__by_is_the_instance_and_since_when(void **state)
{
    (void)state;
    char want[40];
    struct outcome first = apply('a', 100, "x", usual);
    (void)apply('t', 0, "", usual);
    (void)snprintf(want, sizeof want, ME "%016" PRId64, first.rev);
    assert_string_equal(field("by"), want);
    struct outcome other = apply('t', 0, "", (struct how){.instance = YOU});
    (void)snprintf(want, sizeof want, YOU "%016" PRId64, other.rev);
    assert_string_equal(field("by"), want);
}

static void apply__facets_before_the_article_are_kept_and_nothing_is_composed(void **state)
{
    (void)state;
    assert_word(apply('i', 7, "[]", usual), "none");
    assert_word(apply('r', 7, "r", usual), "none");
    assert_word(apply('h', 7, "1", usual), "none");
    assert_string_equal(field("rev"), "");
    assert_string_equal(field("h"), "00000000000000071");
    assert_word(apply('h', 6, "0", usual), "stale");
    assert_word(apply('a', 7, "x", usual), "go");
}

static void apply__touch_of_an_unknown_article_leaves_nothing(void **state)
{
    (void)state;
    assert_word(apply('t', 0, "", usual), "none");
    assert_word(apply('g', 0, "", usual), "none");
    assert_word(apply('d', 0, "", usual), "none");
    assert_int_equal(nm_reply_int(state_world_run(&world, (const char *const[]){"DBSIZE", NULL}), -1), 0);
}

static void apply__expiry_is_renewed_for_record_and_shown(void **state)
{
    (void)state;
    static const char *const keys[] = {RECORD, SHOWN};
    (void)state_world_run(&world, (const char *const[]){"SADD", SHOWN, OTHER, NULL});
    (void)apply('h', 7, "1", usual);
    for (size_t i = 0; i < 2; i++) {
        int64_t ttl = nm_reply_int(state_world_run(&world, (const char *const[]){"PTTL", keys[i], NULL}), -1);
        assert_in_range(ttl, 86400000 - 60000, 86400000);
    }
}

/* ---- marks ---- */

static void mark__counts_until_something_is_composed(void **state)
{
    (void)state;
    struct outcome first = apply('a', 100, "x", usual);
    assert_string_equal(first.sent, "");
    assert_int_equal(mark(first.rev, ME), 1);
    struct outcome second = apply('t', 0, "", usual);
    assert_string_equal(second.sent, HASH);
    assert_string_equal(apply('t', 0, "", usual).sent, ""); /* second was not reported: it may be on the stream */
}

static void mark__says_who_composed_since(void **state)
{
    (void)state;
    assert_int_equal(mark(100, ME), 0); /* the key is gone */
    int64_t mine = apply('a', 100, "x", usual).rev;
    int64_t next = apply('t', 0, "", usual).rev;
    assert_int_equal(mark(mine, ME), 2); /* a later batch of this instance carries it */
    assert_int_equal(mark(mine, YOU), 0);
    assert_string_equal(field("sent"), "");
    (void)apply('t', 0, "", (struct how){.instance = YOU});
    assert_int_equal(mark(next, ME), 0);
    (void)apply('t', 0, "", usual);
    assert_int_equal(mark(next, ME), 0); /* its own again, but somebody came between */
    int64_t looked = apply('g', 0, "", usual).rev;
    int64_t later = apply('t', 0, "", usual).rev;
    assert_int_equal(mark(looked, ME), 0); /* a second look may be sent after it */
    int64_t last = apply('t', 0, "", usual).rev;
    assert_int_equal(mark(later, ME), 2);
    (void)apply('g', 0, "", usual);
    assert_int_equal(mark(last, ME), 0); /* and before it */
    (void)state_world_run(&world, (const char *const[]){"HSET", RECORD, "rev", "5", NULL});
    assert_int_equal(mark(next, ME), 0); /* Redis lost what came later */
}

static void mark__ends_what_waits(void **state)
{
    (void)state;
    assert_word(apply('a', 100, "article", (struct how){.expect = "r"}), "none");
    struct outcome out = apply('d', 0, "", usual);
    assert_word(out, "go");
    assert_string_not_equal(field("hold"), "");
    assert_int_equal(mark(out.rev, ME), 1);
    assert_string_equal(field("hold"), "");
}

/* ---- hold ---- */

static void hold__waits_for_each_expected_facet(void **state)
{
    (void)state;
    struct how how = {.expect = "ir"};
    int64_t before_ms = now_ms();
    assert_word(apply('a', 100, "article", how), "none");
    int64_t due = due_ms();
    assert_in_range(due, before_ms + 2000, now_ms() + 2000);
    assert_word(apply('h', 7, "1", how), "none");
    assert_word(apply('r', 7, "r", how), "none");
    assert_word(apply('t', 0, "", how), "none");
    assert_int_equal(due_ms(), due); /* counted from the article */
    assert_string_equal(field("rev"), "");
    assert_word(apply('i', 7, "", how), "go"); /* a retracted facet is one too */
    assert_word(apply('a', 101, "article", (struct how){.expect = "irh"}), "go");
}

static void hold__ends_with_its_due_entry_or_time(void **state)
{
    (void)state;
    assert_word(apply('a', 100, "article", (struct how){.expect = "r"}), "none");
    assert_word(apply('d', due_ms(), "", (struct how){.expect = "r"}), "go");
    assert_word(apply('a', 101, "article", (struct how){.expect = "r"}), "go"); /* nothing was reported yet */
    state_world_flush(&world);
    assert_word(apply('a', 100, "article", (struct how){.expect = "r", .wait_ms = "0"}), "go");
    assert_int_equal(due_ms(), -1);
}

static void hold__no_retraction_waits(void **state)
{
    (void)state;
    assert_word(apply('a', 100, "", (struct how){.expect = "r"}), "go");
    assert_word(apply('a', 101, "article", (struct how){.expect = "r"}), "go"); /* the tombstone was the first record */
}

static void due__of_what_was_reported_does_nothing(void **state)
{
    (void)state;
    struct outcome out = apply('a', 100, "article", usual);
    assert_word(apply('d', 0, "", usual), "go"); /* not reported: perhaps nobody else will send it */
    out = apply('t', 0, "", usual);
    assert_int_equal(mark(out.rev, ME), 1);
    assert_word(apply('d', 0, "", usual), "none");
    assert_string_equal(apply('t', 0, "", usual).sent, HASH);
}

/* ---- read back after a loss ---- */

static void back__nothing_is_sent_until_caught_up(void **state)
{
    (void)state;
    struct how behind = {.catching_up = true};
    assert_int_equal(back(5000, "r"), 1);
    struct outcome out = apply('a', 100, "article", behind);
    assert_word(out, "go");
    assert_true(out.quiet && out.back && out.rev > 5000);
    int64_t due = due_ms();
    assert_true(due >= now_ms() + 5000);
    out = apply('r', 7, "r", behind);
    assert_true(out.quiet);
    assert_string_equal(out.sent, HASH); /* what is on the stream still is */
    assert_true(due_ms() > due);
    due = due_ms();
    assert_word(apply('d', due, "", behind), "none");
    assert_true(due_ms() > due); /* another score: the entry stays */
    out = apply('d', due_ms(), "", usual);
    assert_word(out, "go");
    assert_true(!out.quiet && out.back);
    assert_string_equal(out.sent, HASH);
    assert_int_equal(mark(out.rev, ME), 1);
    assert_false(apply('t', 0, "", usual).back);
}

static void back__awaits_the_facets_that_it_had_for_an_hour(void **state)
{
    (void)state;
    assert_int_equal(back(5000, "rh"), 1);
    int64_t before_ms = now_ms();
    assert_true(apply('a', 100, "article", usual).quiet);
    int64_t due = due_ms();
    assert_in_range(due, before_ms + 3600000, now_ms() + 3600000);
    assert_true(apply('r', 7, "r", usual).quiet);
    assert_int_equal(due_ms(), due);
    assert_word(apply('d', due - 1, "", usual), "none");
    struct outcome out = apply('d', due, "", usual);
    assert_word(out, "go");
    assert_false(out.quiet);
    assert_int_equal(back(INT64_C(4000000000000000), "rh"), 1);
    assert_true(apply('r', 8, "r", usual).quiet);
    assert_false(apply('h', 7, "1", usual).quiet); /* all there */
    assert_int_equal(back(INT64_C(5000000000000000), "rh"), 1);
    assert_false(apply('a', 101, "", usual).quiet); /* a retraction needs none */
}

static void back__older_record_after_a_newer_one_leaves_no_mark(void **state)
{
    (void)state;
    assert_int_equal(back(5000, ""), 1);
    assert_int_equal(back(5000, ""), 1);
    assert_string_equal(field("sent"), HASH);
    (void)back(4000, "");
    assert_string_equal(field("rev"), "5000");
    assert_string_equal(apply('a', 100, "article", usual).sent, "");
}

/* An event that came after the loss and before it was noticed: what was made of it says too little. */
static void back__composition_from_an_emptied_state_is_quieted(void **state)
{
    (void)state;
    struct how behind = {.catching_up = true};
    struct outcome early = apply('a', 100, "article", usual);
    assert_false(early.quiet);
    assert_int_equal(back(5000, "r"), 0);
    assert_int_equal(back(6000, ""), 0); /* the first one's facets are enough to wait for */
    struct outcome out = apply('a', 100, "article", behind);
    assert_true(out.quiet && out.back && out.rev > early.rev);
    assert_true(apply('a', 100, "article", usual).quiet); /* still without its story */
    out = apply('r', 7, "r", usual);
    assert_false(out.quiet);
    assert_string_equal(out.sent, ""); /* what the stream says is unknown */
    assert_int_equal(mark(out.rev, ME), 1);
    (void)back(6000, "r");
    assert_false(apply('h', 7, "1", usual).back); /* reported: it is on the stream, whatever comes below it */
}

/* ---- what is written only while the revision is the newest ---- */

static void card__is_written_while_the_revision_is_the_newest(void **state)
{
    (void)state;
    char rev[24];
    struct outcome out = apply('a', 100, "x", usual);
    (void)snprintf(rev, sizeof rev, "%" PRId64, out.rev);
    const struct nm_reply *reply = call(&pb_card_script, 1, (const char *const[]){RECORD, rev, "card", NULL});
    assert_int_equal(nm_reply_int(reply, -1), 1);
    assert_string_equal(field("card"), "card");
    assert_string_equal(field("untold"), rev);
    reply = call(&pb_card_script, 1, (const char *const[]){RECORD, rev, "", NULL});
    assert_int_equal(nm_reply_int(reply, -1), 1);
    assert_string_equal(field("card"), "");
    (void)apply('t', 0, "", usual);
    reply = call(&pb_card_script, 1, (const char *const[]){RECORD, rev, "old", NULL});
    assert_int_equal(nm_reply_int(reply, -1), 0);
    assert_string_equal(field("card"), "");
}

/* That leads were told is true whatever was composed since, but only of the card that they were told of. */
static void card__is_untold_until_its_touches_are_reported(void **state)
{
    (void)state;
    static const struct {
        const char *told, *left;
    } cases[] = {{"0", "7"}, {"6", "7"}, {"7", ""}, {"7", ""}};
    (void)apply('a', 100, "x", usual);
    (void)state_world_run(&world, (const char *const[]){"HSET", RECORD, "untold", "7", NULL});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const quiet[] = {RECORD, "5", "", ME, cases[i].told, NULL};
        assert_int_equal(nm_reply_int(call(&pb_mark_script, 1, quiet), -1), 1);
        assert_string_equal(field("untold"), cases[i].left);
        assert_string_equal(field("srev"), "");
    }
}

static void lists__move_with_the_newest_revision_only(void **state)
{
    (void)state;
    char rev[24];
    struct outcome out = apply('a', 100, "x", usual);
    (void)snprintf(rev, sizeof rev, "%" PRId64, out.rev);
    const struct nm_reply *reply =
        call(&pb_lists_script, 2, (const char *const[]){RECORD, SHOWN_2, rev, ID, KEEP, "1", OTHER, NULL});
    assert_int_equal(nm_reply_int(reply, -1), 1);
    assert_int_equal(is_member(SHOWN_2, ID), 1);
    assert_in_range(nm_reply_int(state_world_run(&world, (const char *const[]){"PTTL", SHOWN_2, NULL}), -1), 86000000,
                    86400000);
    reply = call(&pb_lists_script, 3, (const char *const[]){RECORD, SHOWN_3, SHOWN_2, rev, ID, KEEP, "1", THIRD, NULL});
    assert_int_equal(nm_reply_int(reply, -1), 1);
    assert_int_equal(is_member(SHOWN_2, ID), 0);
    assert_int_equal(is_member(SHOWN_3, ID), 1);
    assert_string_equal(field("lists"), THIRD);
    (void)apply('t', 0, "", usual);
    reply = call(&pb_lists_script, 2, (const char *const[]){RECORD, SHOWN_3, rev, ID, KEEP, "0", "", NULL});
    assert_int_equal(nm_reply_int(reply, -1), 0);
    assert_int_equal(is_member(SHOWN_3, ID), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(apply__older_version_is_stale_and_changes_nothing, fresh),
        cmocka_unit_test_setup(apply__largest_revisions_are_compared_exactly, fresh),
        cmocka_unit_test_setup(apply__each_composition_takes_a_revision_of_the_clock, fresh),
        cmocka_unit_test_setup(apply__by_is_the_instance_and_since_when, fresh),
        cmocka_unit_test_setup(apply__facets_before_the_article_are_kept_and_nothing_is_composed, fresh),
        cmocka_unit_test_setup(apply__touch_of_an_unknown_article_leaves_nothing, fresh),
        cmocka_unit_test_setup(apply__expiry_is_renewed_for_record_and_shown, fresh),
        cmocka_unit_test_setup(mark__counts_until_something_is_composed, fresh),
        cmocka_unit_test_setup(mark__says_who_composed_since, fresh),
        cmocka_unit_test_setup(mark__ends_what_waits, fresh),
        cmocka_unit_test_setup(hold__waits_for_each_expected_facet, fresh),
        cmocka_unit_test_setup(hold__ends_with_its_due_entry_or_time, fresh),
        cmocka_unit_test_setup(hold__no_retraction_waits, fresh),
        cmocka_unit_test_setup(due__of_what_was_reported_does_nothing, fresh),
        cmocka_unit_test_setup(back__nothing_is_sent_until_caught_up, fresh),
        cmocka_unit_test_setup(back__awaits_the_facets_that_it_had_for_an_hour, fresh),
        cmocka_unit_test_setup(back__older_record_after_a_newer_one_leaves_no_mark, fresh),
        cmocka_unit_test_setup(back__composition_from_an_emptied_state_is_quieted, fresh),
        cmocka_unit_test_setup(card__is_written_while_the_revision_is_the_newest, fresh),
        cmocka_unit_test_setup(card__is_untold_until_its_touches_are_reported, fresh),
        cmocka_unit_test_setup(lists__move_with_the_newest_revision_only, fresh),
    };
    return cmocka_run_group_tests_name("publish_state", tests, open_world, close_world);
}
