/* test_images_state.c - articles and due entries of the images worker on a real Redis, one rule a test. */
#include "images_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LEASE 15000

static bool shows(unsigned url, unsigned id)
{
    char user[64];
    (void)snprintf(user, sizeof user, "%d:%s", nm_partition_of(iw_id(id), IM_ID, iw.state.partitions), iw_id(id));
    return IW_NUMBER("SISMEMBER", iw_key("users:", iw_url(url)), user) == 1;
}

static void article__notes_its_urls_and_is_due_at_once(void **state)
{
    (void)state;
    struct im_view view = iw_article(1, 5, IW_URLS(1, 2));
    assert_int_equal(view.how, IM_HOW_article);
    assert_int_equal(view.revision, IW_START * 1000);
    assert_false(view.reported);
    assert_int_equal(view.n_images, 2);
    assert_int_equal(view.n_work, 2);
    assert_string_equal(view.image[1].hash, iw_url(2));
    assert_memory_equal(view.image[1].text, "{\"width\":640} \n any bytes", view.image[1].text_len);
    assert_int_equal(view.image[0].state, IM_PENDING);
    assert_int_equal(iw_due(1), IW_START);
    assert_true(shows(1, 1) && shows(2, 1));
    assert_in_range(IW_NUMBER("PTTL", iw_key("a:", iw_id(1))), 399 * 86400000LL, 400 * 86400000LL);
    assert_in_range(IW_NUMBER("PTTL", iw_key("", iw_url(1))), 399 * 86400000LL, 400 * 86400000LL);
    assert_in_range(IW_NUMBER("PTTL", iw_key("users:", iw_url(1))), 399 * 86400000LL, 400 * 86400000LL);
}

static void article__without_images_and_with_a_refused_url(void **state)
{
    (void)state;
    struct im_view view = iw_article(1, 5, IW_URLS(-1));
    assert_int_equal(view.n_images, 0);
    assert_true(view.revision > 0);
    assert_int_equal(iw_due(1), -1);
    struct im_listed refused = {NULL, "x", 1};
    (void)im_article(&iw.state, iw_pipe(), iw_id(2), 1, &refused, 1);
    struct nm_error err = {0};
    assert_int_equal(nm_redis_exec(iw.world.redis, &iw.world.pipe, &err), NM_OK);
    assert_true(im_view_read(nm_pipe_reply(&iw.world.pipe, 0), &view));
    assert_string_equal(view.image[0].hash, "-");
    assert_int_equal(view.n_work, 0);
    assert_int_equal(iw_due(2), -1);
    assert_int_equal(IW_NUMBER("EXISTS", iw_key("", "-")), 0);
}

static void article__a_lower_revision_changes_nothing(void **state)
{
    (void)state;
    (void)iw_article(1, 5, IW_URLS(1));
    assert_int_equal(iw_article(1, 4, IW_URLS(2)).how, IM_HOW_stale);
    assert_int_equal(iw_retract(1, 4).how, IM_HOW_stale);
    assert_true(shows(1, 1));
    assert_false(shows(2, 1));
    assert_int_equal(iw_article(1, 10, IW_URLS(2)).how, IM_HOW_article); /* digits are compared as a number */
}

static void article__again_gives_the_same_facet_with_the_same_revision(void **state)
{
    (void)state;
    struct im_view first = iw_article(1, 5, IW_URLS(1));
    int64_t revision = first.revision;
    iw_advance(1000);
    struct im_view again = iw_article(1, 5, IW_URLS(1));
    assert_int_equal(again.how, IM_HOW_again);
    assert_int_equal(again.revision, revision);
    assert_int_equal(iw_due(1), IW_START); /* as it was: it is late already */
    (void)iw_fetch(1, 1);
    again = iw_article(1, 5, IW_URLS(1));
    assert_true(again.revision > revision);
    assert_int_equal(again.image[0].state, IM_CACHED);
}

static void article__facet_revision_grows_where_the_clock_does_not(void **state)
{
    (void)state;
    int64_t first = iw_article(1, 5, IW_URLS(1)).revision;
    assert_int_equal(iw_article(1, 6, IW_URLS(1, 2)).revision, first + 1);
    iw.state.now_ms -= 5000;
    assert_int_equal(iw_article(1, 7, IW_URLS(2)).revision, first + 2);
}

static void article__leaves_urls_that_it_no_longer_lists(void **state)
{
    (void)state;
    (void)iw_article(1, 5, IW_URLS(1, 2, 3));
    struct im_view view = iw_article(1, 6, IW_URLS(3));
    assert_int_equal(view.n_images, 1);
    assert_false(shows(1, 1) || shows(2, 1));
    assert_true(shows(3, 1));
    assert_int_equal(IW_NUMBER("HEXISTS", iw_key("a:", iw_id(1)), "2"), 0);
}

static void article__full_url_notes_no_more(void **state)
{
    (void)state;
    struct im_state_options options;
    im_state_defaults(&options);
    options.max_users = 2;
    iw_options(&options);
    for (unsigned id = 1; id <= 2; id++)
        (void)iw_article(id, 1, IW_URLS(1));
    assert_string_equal(iw_field("", iw_url(1), "full"), "");
    (void)iw_article(2, 2, IW_URLS(1)); /* is in already */
    assert_string_equal(iw_field("", iw_url(1), "full"), "");
    (void)iw_article(3, 1, IW_URLS(1));
    assert_false(shows(1, 3));
    assert_string_equal(iw_field("", iw_url(1), "full"), "1");
    assert_int_equal(iw_due(3), IW_START); /* learns by its own entry */
}

static void article__cached_urls_need_nothing_and_failed_ones_later(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1, 2));
    (void)iw_fetch(1, 1);
    assert_int_equal(iw_lease(2, "a").how, IM_HOW_taken);
    struct im_answer failed = iw_failed(2, "a", IM_bad_status, 404);
    struct im_view view = iw_article(2, 1, IW_URLS(1));
    assert_int_equal(view.n_work, 0);
    assert_int_equal(iw_due(2), -1);
    view = iw_article(3, 1, IW_URLS(1, 2));
    assert_int_equal(view.n_work, 0);
    assert_int_equal(view.image[1].reason, IM_bad_status);
    assert_int_equal(view.image[1].next_try_ms, failed.value);
    assert_int_equal(iw_due(3), failed.value);
    assert_int_equal(view.image[0].width, 1200);
    assert_string_equal(view.image[0].sha256, iw_sha(1));
    assert_string_equal(view.image[0].thumbs, "320 jpg");
}

static void article__a_newer_version_revives_what_gave_up(void **state)
{
    (void)state;
    struct im_state_options options;
    im_state_defaults(&options);
    options.rounds = 1;
    iw_options(&options);
    (void)iw_article(1, 1, IW_URLS(1, 2));
    (void)iw_lease(1, "a");
    assert_int_equal(iw_failed(1, "a", IM_bad_status, 404).value, 0);
    (void)iw_lease(2, "a");
    assert_int_equal(iw_failed(2, "a", IM_url_port, 0).value, 0);
    assert_int_equal(iw_article(1, 1, IW_URLS(1, 2)).n_work, 0);
    struct im_view view = iw_article(1, 2, IW_URLS(1, 2));
    assert_true(view.image[0].needs_work);
    assert_false(view.image[1].needs_work); /* never */
}

static void retract__leaves_everything_and_stays(void **state)
{
    (void)state;
    int64_t first = iw_article(1, 5, IW_URLS(1)).revision;
    struct im_view gone = iw_retract(1, 6);
    assert_int_equal(gone.how, IM_HOW_retracted);
    assert_int_equal(gone.revision, first + 1);
    assert_int_equal(gone.n_images, 0);
    assert_false(shows(1, 1));
    assert_int_equal(iw_due(1), -1);
    assert_int_equal(iw_retract(1, 6).revision, first + 1);
    assert_int_equal(iw_article(1, 5, IW_URLS(1)).how, IM_HOW_stale);
    assert_in_range(IW_NUMBER("PTTL", iw_key("a:", iw_id(1))), 399 * 86400000LL, 400 * 86400000LL);
    assert_int_equal(iw_article(1, 7, IW_URLS(1)).how, IM_HOW_article);
    assert_true(shows(1, 1));
    assert_int_equal(iw_retract(2, 1).how, IM_HOW_retracted); /* one that was never seen */
}

static void claim__moves_the_score_and_only_from_the_one_read(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    assert_int_equal(iw_claim(1, IW_START + 2).how, IM_HOW_moved);
    struct im_view view = iw_claim(1, IW_START);
    assert_int_equal(view.how, IM_HOW_claimed);
    assert_int_equal(view.score, IW_START + LEASE + 1);
    assert_int_equal(iw_due(1), view.score);
    assert_int_equal(view.n_work, 1);
    assert_int_equal(iw_claim(1, IW_START).how, IM_HOW_moved); /* the second of two owners */
    int64_t first = view.score;
    view = iw_claim(1, first); /* goes on, within the same millisecond */
    assert_int_equal(view.how, IM_HOW_claimed);
    assert_true(view.score != first);
    (void)iw_retract(1, 2);
    assert_int_equal(iw_claim(1, view.score).how, IM_HOW_moved);
}

static void claim__of_an_article_that_is_not_there_removes_the_entry(void **state)
{
    (void)state;
    char key[100];
    iw_due_key(9, key, sizeof key);
    IW_RUN("ZADD", key, "500", iw_id(9));
    assert_int_equal(iw_claim(9, 500).how, IM_HOW_gone);
    assert_int_equal(iw_due(9), -1);
}

static void sent__removes_the_claimed_entry_when_all_is_done(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    (void)iw_fetch(1, 1);
    struct im_view view = iw_claim(1, iw_due(1));
    assert_int_equal(view.image[0].state, IM_CACHED);
    struct im_answer sent = iw_sent(1, &view, view.score);
    assert_int_equal(sent.how, IM_HOW_ok);
    assert_int_equal(sent.value, 0);
    assert_int_equal(iw_due(1), -1);
    assert_true(iw_article(1, 1, IW_URLS(1)).reported);
    assert_int_equal(iw_sent(1, &view, view.score).how, IM_HOW_moved);
}

static void sent__an_entry_moved_meanwhile_stays(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    struct im_view view = iw_claim(1, iw_due(1));
    iw_advance(LEASE + 1000); /* the claim ended, it has only not fired yet */
    (void)iw_fetch(1, 1);     /* by somebody else: wakes the article */
    int64_t woken = iw_due(1);
    assert_int_not_equal(woken, view.score);
    assert_int_equal(iw_sent(1, &view, view.score).how, IM_HOW_moved);
    assert_int_equal(iw_due(1), woken);
    assert_int_equal(IW_ASK(im_back(&iw.state, &iw.world.pipe, iw_id(1), view.score, 77)).how, IM_HOW_moved);
    assert_int_equal(iw_due(1), woken);
}

static void sent__moves_on_to_the_next_look(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1, 2));
    (void)iw_fetch(1, 1);
    (void)iw_lease(2, "a");
    int64_t next = iw_failed(2, "a", IM_bad_status, 404).value;
    struct im_view view = iw_claim(1, iw_due(1));
    assert_int_equal(iw_sent(1, &view, view.score).value, next);
    assert_int_equal(iw_due(1), next + next % 2);
    /* Another fetches: at the end of its lease, in case it dies. */
    (void)iw_article(2, 1, IW_URLS(3));
    (void)iw_lease(3, "other");
    view = iw_claim(2, iw_due(2));
    assert_in_range(view.image[0].lease_left_ms, LEASE - 10000, LEASE);
    (void)iw_sent(2, &view, view.score);
    assert_in_range(iw_due(2), IW_START + LEASE - 10000, IW_START + LEASE);
}

static void sent__an_older_facet_is_not_noted(void **state)
{
    (void)state;
    struct im_view old = iw_article(1, 1, IW_URLS(1));
    (void)iw_fetch(1, 1);
    struct im_view view = iw_claim(1, iw_due(1));
    old.content = "other";
    assert_int_equal(iw_sent(1, &old, -1).how, IM_HOW_old);
    assert_false(iw_article(1, 1, IW_URLS(1)).reported);
    view = iw_article(1, 1, IW_URLS(1));
    assert_int_equal(iw_sent(1, &view, -1).how, IM_HOW_ok);
    assert_true(iw_article(1, 1, IW_URLS(1)).reported);
}

/* The state goes there and back: the facet in between may have been reported, so the first one is sent again. */
static void sent__counts_no_more_once_another_facet_was_made(void **state)
{
    (void)state;
    struct im_view view = iw_article(1, 1, IW_URLS(1));
    assert_int_equal(iw_sent(1, &view, -1).how, IM_HOW_ok);
    (void)iw_fetch(1, 1);
    (void)iw_article(1, 1, IW_URLS(1));
    (void)IW_ASK(im_reset(&iw.state, &iw.world.pipe, iw_url(1), NULL));
    view = iw_article(1, 1, IW_URLS(1));
    assert_int_equal(view.image[0].state, IM_PENDING);
    assert_false(view.reported);
    assert_false(iw_article(1, 1, IW_URLS(1)).reported);
}

/* The entry fires before the event's facet was reported: nothing is sent again while that may come. */
static void claim__leaves_a_facet_that_is_on_its_way(void **state)
{
    (void)state;
    struct im_view made = iw_article(1, 1, IW_URLS(1));
    assert_false(made.on_its_way); /* an event is answered */
    struct im_view view = iw_claim(1, iw_due(1));
    assert_true(view.on_its_way && !view.reported);
    assert_int_equal(view.revision, made.revision);
    assert_int_equal(view.n_work, 1);
    assert_int_equal(iw_sent(1, &made, -1).how, IM_HOW_ok);
    view = iw_claim(1, view.score);
    assert_true(view.reported && !view.on_its_way);
    /* What says something else is sent. */
    (void)iw_fetch(1, 1);
    view = iw_claim(1, iw_due(1));
    assert_false(view.reported || view.on_its_way);
}

/* Whoever made it has died, and no event brings it again: it comes all the same. */
static void claim__sends_what_was_not_reported_within_a_lease(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    (void)iw_fetch(1, 1);
    struct im_view made = iw_article(1, 1, IW_URLS(1));
    iw_advance(2000);
    struct im_view view = iw_claim(1, iw_due(1));
    assert_true(view.on_its_way);
    assert_int_equal(iw_sent(1, &view, view.score).value, IW_START + LEASE); /* though nothing is to be fetched */
    assert_int_equal(iw_due(1), IW_START + LEASE);
    iw_advance(LEASE - 2001);
    assert_true(iw_claim(1, iw_due(1)).on_its_way);
    iw_advance(1);
    view = iw_claim(1, iw_due(1));
    assert_false(view.reported || view.on_its_way);
    assert_int_equal(view.revision, made.revision);
    assert_int_equal(iw_sent(1, &view, view.score).value, 0);
    assert_int_equal(iw_due(1), -1);
    /* An event that comes again makes it again; a clock that was ahead holds up nothing. */
    (void)IW_ASK(im_reset(&iw.state, &iw.world.pipe, iw_url(1), NULL));
    (void)iw_article(1, 1, IW_URLS(1));
    iw_advance(LEASE + 1000);
    (void)iw_article(1, 1, IW_URLS(1));
    assert_true(iw_claim(1, iw_due(1)).on_its_way);
    iw.state.now_ms -= LEASE;
    assert_false(iw_claim(1, iw_due(1)).on_its_way);
}

/* A host that is busy for long gives the entry back; the facet does not wait for that. */
static void back__not_beyond_the_report_of_the_last_facet(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    struct im_view view = iw_claim(1, iw_due(1));
    (void)IW_ASK(im_back(&iw.state, &iw.world.pipe, iw_id(1), view.score, IW_START + 120000));
    assert_int_equal(iw_due(1), IW_START + LEASE);
}

/* The newer one came with an event, which changed no due entry: its report may fail. */
static void sent__fires_again_where_a_newer_facet_was_made(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    (void)iw_fetch(1, 1);
    struct im_view view = iw_claim(1, iw_due(1));
    iw_advance(1000);
    (void)iw_article(1, 2, IW_URLS(-1));
    assert_int_equal(iw_due(1), view.score);
    struct im_answer answer = iw_sent(1, &view, view.score);
    assert_int_equal(answer.how, IM_HOW_old);
    assert_int_equal(answer.value, IW_START + 1000 + LEASE);
    assert_int_equal(iw_due(1), IW_START + 1000 + LEASE);
}

static void back__gives_the_entry_back_at_its_time(void **state)
{
    (void)state;
    struct im_view made = iw_article(1, 1, IW_URLS(1)), view = iw_claim(1, iw_due(1));
    (void)iw_sent(1, &made, -1);
    int64_t at = IW_START + 120001;
    assert_int_equal(IW_ASK(im_back(&iw.state, &iw.world.pipe, iw_id(1), view.score, at)).how, IM_HOW_ok);
    assert_int_equal(iw_due(1), at + 1); /* scores of entries that nobody claimed are even */
    (void)iw_article(1, 1, IW_URLS(1));
    assert_int_equal(iw_due(1), IW_START); /* needs work: now */
}

static void flushall__everything_comes_again(void **state)
{
    (void)state;
    struct im_view view = iw_article(1, 5, IW_URLS(1));
    (void)iw_fetch(1, 1);
    (void)iw_lease(2, "late");
    IW_RUN("FLUSHALL");
    struct nm_error err = {0};
    assert_int_equal(nm_redis_load(iw.world.redis, im_scripts, IM_N_SCRIPTS, &err), NM_OK);
    assert_int_equal(iw_cached(2, "late", 2).how, IM_HOW_lost); /* no wrong `cached` */
    assert_int_equal(iw_sent(1, &view, -1).how, IM_HOW_old);
    iw_advance(1000);
    view = iw_article(1, 5, IW_URLS(1));
    assert_int_equal(view.how, IM_HOW_article);
    assert_int_equal(view.image[0].state, IM_PENDING);
    assert_int_equal(iw_due(1), IW_START + 1000);
    (void)iw_fetch(1, 1);
    assert_int_equal(iw_article(1, 5, IW_URLS(1)).image[0].state, IM_CACHED);
}

static void clock__is_that_of_redis_where_none_is_passed(void **state)
{
    (void)state;
    static const char ms[] = "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)";
    iw.state.now_ms = -1;
    int64_t before = IW_NUMBER("EVAL", ms, "0");
    struct im_view view = iw_article(1, 1, IW_URLS(1));
    int64_t after = IW_NUMBER("EVAL", ms, "0");
    assert_in_range(view.revision, before * 1000, after * 1000 + 999);
    assert_in_range(iw_due(1), before - 1, after);
    struct im_answer taken = iw_lease(1, "a");
    assert_in_range(taken.value, before + LEASE, IW_NUMBER("EVAL", ms, "0") + LEASE);
    assert_int_equal(iw_cached(1, "a", 1).how, IM_HOW_cached);
}

static void open__names_the_option_that_is_out_of_range(void **state)
{
    (void)state;
    struct im_state_options options;
    struct im_state untouched = {.partitions = 77};
    struct nm_error err = {0};
    im_state_defaults(&options);
    options.max_users = 2001;
    assert_int_equal(im_state_open(&untouched, &options, &iw.settings, &err), NM_CONFIG);
    assert_non_null(strstr(err.msg, "max_users is 2001"));
    im_state_defaults(&options);
    memcpy(options.policy, "a'b", 4); /* would end a text of the script */
    assert_int_equal(im_state_open(&untouched, &options, &iw.settings, &err), NM_CONFIG);
    im_state_defaults(&options);
    options.fresh_min_ms = options.fresh_max_ms + 1;
    assert_int_equal(im_state_open(&untouched, &options, &iw.settings, &err), NM_CONFIG);
    assert_int_equal(untouched.partitions, 77);
}

static void read__what_is_no_reply_of_ours_is_refused(void **state)
{
    (void)state;
    struct nm_reply word = {.str = "cached", .len = 6, .type = NM_REPLY_STR}, number = {.str = "1", .len = 1};
    number.type = NM_REPLY_INT;
    struct nm_reply two[] = {word, word}, one[] = {word},
                    odd[] = {{.str = "x", .len = 1, .type = NM_REPLY_STR}, number};
    struct nm_reply replies[] = {{.element = two, .len = 2, .type = NM_REPLY_ARRAY},
                                 {.element = one, .len = 1, .type = NM_REPLY_ARRAY},
                                 {.element = odd, .len = 2, .type = NM_REPLY_ARRAY},
                                 word,
                                 number};
    struct im_answer answer = {.value = 77};
    struct im_view view = {.revision = 77};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        assert_false(im_answer_read(&replies[i], &answer));
        assert_false(im_view_read(&replies[i], &view));
    }
    assert_int_equal(answer.value, 77);
    assert_int_equal(view.revision, 77);
}

#define TEST(name) cmocka_unit_test_setup(name, iw_fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(article__notes_its_urls_and_is_due_at_once),
        TEST(article__without_images_and_with_a_refused_url),
        TEST(article__a_lower_revision_changes_nothing),
        TEST(article__again_gives_the_same_facet_with_the_same_revision),
        TEST(article__facet_revision_grows_where_the_clock_does_not),
        TEST(article__leaves_urls_that_it_no_longer_lists),
        TEST(article__full_url_notes_no_more),
        TEST(article__cached_urls_need_nothing_and_failed_ones_later),
        TEST(article__a_newer_version_revives_what_gave_up),
        TEST(retract__leaves_everything_and_stays),
        TEST(claim__moves_the_score_and_only_from_the_one_read),
        TEST(claim__of_an_article_that_is_not_there_removes_the_entry),
        TEST(sent__removes_the_claimed_entry_when_all_is_done),
        TEST(sent__an_entry_moved_meanwhile_stays),
        TEST(sent__moves_on_to_the_next_look),
        TEST(sent__an_older_facet_is_not_noted),
        TEST(sent__counts_no_more_once_another_facet_was_made),
        TEST(claim__leaves_a_facet_that_is_on_its_way),
        TEST(claim__sends_what_was_not_reported_within_a_lease),
        TEST(back__not_beyond_the_report_of_the_last_facet),
        TEST(sent__fires_again_where_a_newer_facet_was_made),
        TEST(back__gives_the_entry_back_at_its_time),
        TEST(flushall__everything_comes_again),
        TEST(clock__is_that_of_redis_where_none_is_passed),
        TEST(open__names_the_option_that_is_out_of_range),
        TEST(read__what_is_no_reply_of_ours_is_refused),
    };
    return cmocka_run_group_tests(tests, iw_open, iw_close);
}
