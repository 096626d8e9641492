/* test_watermark.c - the text of wm, and where a partition is taken up: every combination of what Kafka and Redis know.
 *
 * The rule that the table checks: begin at the smaller of the committed offset and wm; state or a stream that is not
 * what it was stops the worker (NM_CONFIG) and never moves a position in silence. */
#include "newsmill/watermark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- parsing ---- */

static void wm_parse__good_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct nm_watermark want;
    } cases[] = {
        {"0 1700000000000000 - - -", {0, 1700000000000000, -1, -1, -1, 0, NM_NO_MARK}},
        {"17 1700000000000001 1700000000123 1700000000100 0000beef",
         {17, 1700000000000001, 1700000000123, 1700000000100, 0xbeef, 0, NM_NO_MARK}},
        {"9223372036854775807 1 0 0 ffffffff", {INT64_MAX, 1, 0, 0, 0xffffffff, 0, NM_NO_MARK}},
        {"1 2 3 4 00000000", {1, 2, 3, 4, 0, 0, NM_NO_MARK}},
        {"1 2 3 4 0000beef 12", {1, 2, 3, 4, 0xbeef, 12, NM_NO_MARK}},
        {"9 2 3 4 0000beef 0 7 5 0000f00d", {9, 2, 3, 4, 0xbeef, 0, {7, 5, 0xf00d}}},
        {"9 2 3 - 0000beef 3 1 - 00000000", {9, 2, 3, -1, 0xbeef, 3, {1, -1, 0}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_watermark wm;
        struct nm_error err = {0};
        if (nm_watermark_parse(cases[i].text, &wm, &err) != NM_OK)
            fail_msg("'%s': %s", cases[i].text, err.msg);
        assert_int_equal(wm.next, cases[i].want.next);
        assert_int_equal(wm.redis_us, cases[i].want.redis_us);
        assert_int_equal(wm.event_ms, cases[i].want.event_ms);
        assert_int_equal(wm.last_ms, cases[i].want.last_ms);
        assert_int_equal(wm.last_crc, cases[i].want.last_crc);
        assert_int_equal(wm.generation, cases[i].want.generation);
        assert_int_equal(wm.anchor.next, cases[i].want.anchor.next);
        assert_int_equal(wm.anchor.ms, cases[i].want.anchor.ms);
        assert_int_equal(wm.anchor.crc, cases[i].want.anchor.crc);
    }
}

static void wm_parse__foreign_values_are_fatal_and_leave_out_alone(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " ",
        "-",
        "5",
        "5 1",
        "1 2 3 4",
        "- 1 2 3 4",
        "-5 1 2 3 4",
        "1 -2 3 4 5",
        "1 2 3 4 5 6 7",
        "1 2 3 4 5 6 7 8",
        "1 2 3 4 5 6 7 8 -",
        "1 2 3 4 5 6 - 8 9",
        "1 2 3 4 5 6 0 8 9",
        "1 2 3 4 5 6 7 8 9 10",
        "1 2 3 4 5 -",
        "1 2 3 4 5 -1",
        "1 2 3 4 5 x",
        "1 2 3 4 5x",
        "1 2 3 4 xyz",
        "1 2 3 4 -1",
        "x 1 2 3 4",
        "1x 1 2 3 4",
        "+1 1 2 3 4",
        "0x10 1 2 3 4",
        "1.5 1 2 3 4",
        "\t1 1 2 3 4",
        "1 2 3 4 \n",
        "9223372036854775808 1 2 3 4",
        "1 99999999999999999999 2 3 4",
        "1 2 3 4 ffffffffffffffffff",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nm_watermark wm = {.next = 77};
        struct nm_error err = {0};
        if (nm_watermark_parse(cases[i], &wm, &err) != NM_FATAL)
            fail_msg("'%s' was taken", cases[i]);
        assert_int_equal(wm.next, 77);
        assert_string_not_equal(err.msg, "");
    }
}

static void wm_parse__long_text_is_cut_in_the_message(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    struct nm_watermark wm;
    struct nm_error err = {0};
    assert_int_equal(nm_watermark_parse(text, &wm, &err), NM_FATAL);
    assert_true(strlen(err.msg) < sizeof err.msg);
}

/* ---- the script call ---- */

static void wm_append__unknown_parts_are_dashes(void **state)
{
    (void)state;
    struct nm_pipe pipe = {0};
    memcpy(nm_wm_script.sha, "0123456789012345678901234567890123456789", 41);
    struct nm_watermark wm = {
        .next = 42, .event_ms = -1, .last_ms = 1700000000100, .last_crc = 0xbeef, .generation = 3};
    wm.anchor = NM_NO_MARK;
    nm_watermark_append(&pipe, "k", "", &wm);
    static const char want[] =
        "*11\r\n$7\r\nEVALSHA\r\n$40\r\n0123456789012345678901234567890123456789\r\n$1\r\n1\r\n"
        "$1\r\nk\r\n$0\r\n\r\n$2\r\n42\r\n$1\r\n-\r\n$13\r\n1700000000100\r\n$8\r\n0000beef\r\n$1\r\n3\r\n$0\r\n\r\n";
    assert_string_equal(nm_buf_str(&pipe.request), want);
    assert_int_equal(pipe.n_commands, 1);
    nm_pipe_clear(&pipe);
    nm_wm_script.sha[0] = '\0';
}

/* ---- where to begin ---- */

enum { NONE = -1, STOP = -2, BACK = 1 };

/* wm, mine: next offsets, or NONE; wm_us, mine_us: when Redis wrote them; want: the beginning, or STOP. */
struct resume_case {
    const char *name;
    int64_t committed, wm, wm_us, mine, mine_us, oldest, end, fresh, want;
    int rolled_back;
};

/* clang-format off */
static const struct resume_case resume_cases[] = {
    /*                                        committed   wm  us  mine  us oldest  end fresh  want */
    {"new group, start oldest",                    NONE, NONE, 0, NONE, 0,    0,   50,    0,    0, 0},
    {"new group, start oldest, old part gone",     NONE, NONE, 0, NONE, 0,   20,   50,   20,   20, 0},
    {"new group, start newest",                    NONE, NONE, 0, NONE, 0,    0,   50,   50,   50, 0},
    {"new group, start at a time",                 NONE, NONE, 0, NONE, 0,   10,   50,   33,   33, 0},
    {"new group, empty stream",                    NONE, NONE, 0, NONE, 0,    0,    0,    0,    0, 0},
    {"new group, everything expired",              NONE, NONE, 0, NONE, 0,   50,   50,   50,   50, 0},

    {"only committed",                               30, NONE, 0, NONE, 0,    0,   50,    0, STOP, 0},
    {"only committed, nothing read yet",              0, NONE, 0, NONE, 0,    0,   50,    0, STOP, 0},
    {"only committed, start newest",                 30, NONE, 0, NONE, 0,    0,   50,   50, STOP, 0},
    {"wm vanished under us, commit known",           30, NONE, 0,   30, 5,    0,   50,    0, STOP, 0},
    {"wm vanished under us, nothing committed",    NONE, NONE, 0,   30, 5,    0,   50,    0, STOP, 0},

    {"only wm: offsets of the group expired",      NONE,   30, 9, NONE, 0,    0,   50,    0,   30, 0},
    {"only wm, start newest is no matter",         NONE,   30, 9, NONE, 0,    0,   50,   50,   30, 0},
    {"only wm, at 0",                              NONE,    0, 9, NONE, 0,    0,   50,   50,    0, 0},
    {"only wm, at the end",                        NONE,   50, 9, NONE, 0,    0,   50,    0,   50, 0},

    {"both equal",                                   30,   30, 9, NONE, 0,    0,   50,    0,   30, 0},
    {"commit behind wm: crash between the two",      20,   30, 9, NONE, 0,    0,   50,   50,   20, 0},
    {"commit at 0, wm ahead",                         0,   30, 9, NONE, 0,    0,   50,   50,    0, 0},
    {"both at the end",                              50,   50, 9, NONE, 0,    0,   50,    0,   50, 0},
    {"both at 0 of an empty stream",                  0,    0, 9, NONE, 0,    0,    0,    0,    0, 0},

    {"rollback: commit ahead of wm",                 40,   30, 9, NONE, 0,    0,   50,    0,   30, BACK},
    {"rollback: commit one ahead of wm",             31,   30, 9, NONE, 0,    0,   50,    0,   30, BACK},
    {"rollback to the first wm",                     40,    0, 9, NONE, 0,    0,   50,    0,    0, BACK},
    {"rollback: ours was further",                   20,   30, 9,   40, 12,   0,   50,    0,   20, BACK},
    {"rollback: ours was further, no commit",      NONE,   30, 9,   40, 12,   0,   50,    0,   30, BACK},
    {"rollback: same offset, older writing",         30,   30, 9,   30, 12,   0,   50,    0,   30, BACK},
    {"rollback: further offset, older writing",      30,   35, 9,   30, 12,   0,   50,    0,   30, BACK},
    {"ours is what Redis has",                       30,   30, 9,   30, 9,    0,   50,    0,   30, 0},
    {"another instance moved on",                    30,   45, 15,  30, 9,    0,   50,    0,   30, 0},
    {"another instance moved on and committed",      45,   45, 15,  30, 9,    0,   50,    0,   45, 0},

    {"gap: retention took what was not done",        30,   30, 9, NONE, 0,   31,   50,    0, STOP, 0},
    {"gap: no commit",                             NONE,   30, 9, NONE, 0,   31,   50,    0, STOP, 0},
    {"gap: only the commit is inside the stream",    40,   30, 9, NONE, 0,   35,   50,    0, STOP, 0},
    {"gap: everything expired",                      30,   30, 9, NONE, 0,   50,   50,    0, STOP, 0},
    {"no gap: position is the oldest",               30,   30, 9, NONE, 0,   30,   50,    0,   30, 0},
    {"no gap: everything done and expired",          50,   50, 9, NONE, 0,   50,   50,    0,   50, 0},
    {"no gap: retention took a finished part",       20,   40, 9, NONE, 0,   30,   50,    0,   30, 0},
    {"no gap: finished up to the oldest",            20,   30, 9, NONE, 0,   30,   50,    0,   30, 0},

    {"recreated: empty stream, old wm",            NONE,   30, 9, NONE, 0,    0,    0,    0, STOP, 0},
    {"recreated: empty stream, old wm and commit",   30,   30, 9, NONE, 0,    0,    0,    0, STOP, 0},
    {"recreated: shorter stream",                  NONE,   30, 9, NONE, 0,    0,   29,    0, STOP, 0},
    {"truncated: one event less than wm",            50,   50, 9, NONE, 0,    0,   49,    0, STOP, 0},
    {"truncated below wm, commit behind",            20,   30, 9, NONE, 0,    0,   25,    0, STOP, 0},
    {"truncated below the commit, Redis went back",  40,   20, 9, NONE, 0,    0,   30,    0, STOP, 0},
};
/* clang-format on */

static struct nm_watermark wm_of(int64_t next, int64_t redis_us)
{
    return (struct nm_watermark){
        .next = next, .redis_us = redis_us, .event_ms = -1, .last_ms = -1, .last_crc = -1, .anchor = NM_NO_MARK};
}

static struct nm_resume_facts facts_of(const struct resume_case *c)
{
    struct nm_resume_facts facts = {
        .committed = c->committed, .oldest = c->oldest, .end = c->end, .fresh = c->fresh, .has_wm = c->wm != NONE};
    facts.wm = wm_of(c->wm, c->wm_us);
    facts.had_wm = c->mine != NONE;
    facts.mine = wm_of(c->mine, c->mine_us);
    return facts;
}

static void resume__table(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof resume_cases / sizeof *resume_cases; i++) {
        const struct resume_case *c = &resume_cases[i];
        struct nm_resume_facts facts = facts_of(c);
        struct nm_resume got = {.start = 777, .rolled_back = true};
        struct nm_error err = {0};
        enum nm_status status = nm_resume_decide("articles.raw/3", &facts, &got, &err);
        bool right = c->want == STOP ? status == NM_CONFIG && got.start == 777
                                     : status == NM_OK && got.start == c->want && got.rolled_back == c->rolled_back;
        if (!right) {
            print_error("%s: wanted %lld, got status %d, start %lld, rolled_back %d (%s)\n", c->name,
                        (long long)c->want, (int)status, (long long)got.start, got.rolled_back, err.msg);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void resume__every_refusal_names_the_partition(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof resume_cases / sizeof *resume_cases; i++) {
        if (resume_cases[i].want != STOP)
            continue;
        struct nm_resume_facts facts = facts_of(&resume_cases[i]);
        struct nm_resume got;
        struct nm_error err = {0};
        if (nm_resume_decide("articles.raw/3", &facts, &got, &err) == NM_OK)
            continue; /* told by the table above */
        assert_non_null(strstr(err.msg, "articles.raw/3"));
        if (strstr(err.msg, "-1"))
            fail_msg("%s: the sentence speaks of offset -1: %s", resume_cases[i].name, err.msg);
    }
}

/* All small worlds: nothing that is not finished is ever jumped over, and the beginning lies inside the stream. */
static void resume__no_position_skips_unfinished_events(void **state)
{
    (void)state;
    enum { N = 5 };
    for (int code = 0; code < 6 * 6 * 6 * 5 * 5; code++) {
        int rest = code;
        int64_t committed = rest % 6 - 1, wm = (rest /= 6) % 6 - 1, mine = (rest /= 6) % 6 - 1;
        int64_t oldest = (rest /= 6) % 5, end = rest / 5 % 5;
        if (oldest > end)
            continue;
        struct resume_case c = {"", committed, wm, 9, mine, 9, oldest, end, oldest, 0, 0};
        struct nm_resume_facts facts = facts_of(&c);
        struct nm_resume got = {.start = N + 1};
        if (nm_resume_decide("s/0", &facts, &got, NULL) != NM_OK)
            continue;
        assert_true(got.start >= oldest && got.start <= end);
        if (wm >= 0)
            assert_true(got.start <= wm || got.start == oldest);
        if (wm >= 0 && got.start > wm)
            fail_msg("begins at %d, above wm %d", (int)got.start, (int)wm);
        if (wm < 0)
            assert_true(committed < 0 && mine < 0);
        if (committed > wm && wm >= 0)
            assert_true(got.rolled_back);
    }
}

/* ---- the note of a commit ---- */

static void commit_note__read_back_and_foreign_ones_say_nothing(void **state)
{
    (void)state;
    char note[NM_COMMIT_NOTE_BYTES];
    struct nm_resume_facts facts = {0};
    nm_commit_note(1795720197602702, 9000, note);
    nm_commit_note_read(note, strlen(note), &facts);
    assert_int_equal(facts.committed_us, 1795720197602702);
    assert_int_equal(facts.committed_resend, 9000);
    static const char *const foreign[] = {"",         "nm1",       "nm1 ",     "nm1 x 1", "nm1 5",
                                          "nm2 5 6",  "nm1 5 6 7", "nm1 -5 6", "console", "nm1 5 99999999999999999999",
                                          "nm1 5 6\n"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        nm_commit_note_read(foreign[i], strlen(foreign[i]), &facts);
        assert_int_equal(facts.committed_us, -1);
        assert_int_equal(facts.committed_resend, 0);
    }
    nm_commit_note_read(NULL, 0, &facts);
    assert_int_equal(facts.committed_us, -1);
    char long_note[200];
    memset(long_note, '1', sizeof long_note);
    nm_commit_note_read(long_note, sizeof long_note, &facts); /* not NUL-terminated */
    assert_int_equal(facts.committed_us, -1);
}

/* A state from another timeline may be ahead of the offset: only the time of the commit tells. */
static void resume__state_older_than_the_commit_begins_at_the_commit_and_sends_again(void **state)
{
    (void)state;
    struct nm_resume_facts facts = {.committed = 20, .committed_us = 500, .has_wm = true, .oldest = 0, .end = 90};
    facts.wm = wm_of(60, 400);
    struct nm_resume got;
    assert_int_equal(nm_resume_decide("s/0", &facts, &got, NULL), NM_OK);
    assert_true(got.rolled_back);
    assert_int_equal(got.start, 20);
    assert_int_equal(got.resend_until, 90);
    facts.committed_us = 400;
    facts.committed_resend = 70; /* its owner died before it had sent everything again */
    assert_int_equal(nm_resume_decide("s/0", &facts, &got, NULL), NM_OK);
    assert_false(got.rolled_back);
    assert_int_equal(got.resend_until, 70);
}

/* ---- what the operator chose ---- */

static void resume__on_gap_and_on_state_loss_are_obeyed(void **state)
{
    (void)state;
    struct nm_resume got;
    struct nm_resume_facts gone = {.committed = 30, .oldest = 5, .end = 50, .rebuild = true};
    assert_int_equal(nm_resume_decide("s/0", &gone, &got, NULL), NM_OK);
    assert_true(got.state_lost && !got.gap);
    assert_int_equal(got.start, 5);
    struct nm_resume_facts cut = {.committed = 30, .has_wm = true, .oldest = 40, .end = 50};
    cut.wm = wm_of(30, 9);
    struct nm_resume_facts shorter = cut, other = cut;
    shorter.oldest = 0, shorter.end = 12;
    other.oldest = 0, other.recreated = true;
    struct nm_resume_facts *const all[] = {&cut, &shorter, &other};
    for (size_t i = 0; i < 3; i++) {
        all[i]->on_gap = NM_GAP_STOP;
        assert_int_equal(nm_resume_decide("s/0", all[i], &got, NULL), NM_CONFIG);
        all[i]->on_gap = NM_GAP_OLDEST;
        assert_int_equal(nm_resume_decide("s/0", all[i], &got, NULL), NM_OK);
        assert_true(got.gap);
        assert_int_equal(got.recreated, i > 0);
        assert_int_equal(got.start, all[i]->oldest);
        all[i]->on_gap = NM_GAP_NEWEST;
        assert_int_equal(nm_resume_decide("s/0", all[i], &got, NULL), NM_OK);
        assert_int_equal(got.start, all[i]->end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wm_parse__good_values),
        cmocka_unit_test(wm_parse__foreign_values_are_fatal_and_leave_out_alone),
        cmocka_unit_test(wm_parse__long_text_is_cut_in_the_message),
        cmocka_unit_test(wm_append__unknown_parts_are_dashes),
        cmocka_unit_test(resume__table),
        cmocka_unit_test(resume__every_refusal_names_the_partition),
        cmocka_unit_test(resume__no_position_skips_unfinished_events),
        cmocka_unit_test(commit_note__read_back_and_foreign_ones_say_nothing),
        cmocka_unit_test(resume__state_older_than_the_commit_begins_at_the_commit_and_sends_again),
        cmocka_unit_test(resume__on_gap_and_on_state_loss_are_obeyed),
    };
    return cmocka_run_group_tests_name("watermark", tests, NULL, NULL);
}
