/* test_images_state_object.c - objects of the images worker on a real Redis: gc, eviction, loss. */
#include "images_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MINUTE 60000LL
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static struct im_answer mark(unsigned object)
{
    return IW_ASK(im_mark(&iw.state, &iw.world.pipe, iw_sha(object)));
}

static struct im_answer deleting(unsigned object, const char *token)
{
    return IW_ASK(im_deleting(&iw.state, &iw.world.pipe, iw_sha(object), token));
}

static struct im_answer deleted(unsigned object, const char *token)
{
    return IW_ASK(im_deleted(&iw.state, &iw.world.pipe, iw_sha(object), token));
}

static struct im_answer object(unsigned n)
{
    return IW_ASK(im_object(&iw.state, &iw.world.pipe, iw_sha(n)));
}

static struct im_answer evict(unsigned n)
{
    return IW_ASK(im_evict(&iw.state, &iw.world.pipe, iw_sha(n)));
}

static struct im_answer member(unsigned url, unsigned id)
{
    char user[64];
    (void)snprintf(user, sizeof user, "%d:%s", nm_partition_of(iw_id(id), IM_ID, iw.state.partitions), iw_id(id));
    return IW_ASK(im_member(&iw.state, &iw.world.pipe, iw_url(url), user));
}

static bool has(const char *kind, const char *of)
{
    return IW_NUMBER("EXISTS", iw_key(kind, of)) == 1;
}

/* An object that two URLs show and nobody has used for long, marked. */
static void make_dying(void)
{
    (void)iw_fetch(1, 1);
    (void)iw_fetch(2, 1);
    iw_advance(30 * DAY);
    assert_int_equal(mark(1).how, IM_HOW_dying);
}

static void gc__removes_what_nobody_uses(void **state)
{
    (void)state;
    make_dying();
    struct im_answer answer = mark(1); /* again: the same */
    assert_int_equal(answer.how, IM_HOW_dying);
    assert_int_equal(answer.value, iw.state.now_ms + HOUR);
    assert_int_equal(deleting(1, "gc").how, IM_HOW_dying);
    iw_advance(HOUR);
    IW_RUN("HDEL", iw_key("", iw_url(2)), "dying");
    assert_int_equal(deleting(1, "gc").how, IM_HOW_used); /* each entry has to be */
    IW_RUN("HSET", iw_key("", iw_url(2)), "dying", "1");
    answer = deleting(1, "gc");
    assert_int_equal(answer.how, IM_HOW_ok);
    assert_int_equal(answer.value, iw.state.now_ms + 30000);
    assert_false(has("", iw_url(1)) || has("", iw_url(2)) || has("urls:", iw_sha(1)));
    assert_true(has("o:", iw_sha(1)));
    assert_int_equal(deleted(1, "gc").how, IM_HOW_ok);
    assert_false(has("o:", iw_sha(1)));
    assert_int_equal(IW_NUMBER("ZCARD", "t:img:lru"), 0);
    assert_int_equal(mark(1).how, IM_HOW_none);
    assert_int_equal(iw_article(1, 1, IW_URLS(1)).image[0].state, IM_PENDING);
}

static void gc__leaves_what_is_used_young_leased_or_full(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    for (unsigned n = 1; n <= 4; n++)
        (void)iw_fetch(n, n);
    assert_int_equal(mark(2).how, IM_HOW_used); /* young, and not idle */
    iw_advance(31 * DAY);
    assert_int_equal(mark(1).how, IM_HOW_used); /* an article shows it */
    assert_int_equal(iw_lease(2, "a").how, IM_HOW_taken);
    assert_int_equal(mark(2).how, IM_HOW_used);
    IW_RUN("HSET", iw_key("", iw_url(3)), "full", "1");
    assert_int_equal(mark(3).how, IM_HOW_used);
    assert_int_equal(object(4).how, IM_HOW_ok); /* a use */
    assert_int_equal(mark(4).how, IM_HOW_used);
    assert_string_equal(iw_field("o:", iw_sha(4), "dying"), "");
    assert_int_equal(deleting(4, "gc").how, IM_HOW_used);
}

static void gc__one_entry_in_use_keeps_the_object(void **state)
{
    (void)state;
    (void)iw_fetch(1, 1);
    (void)iw_fetch(2, 1);
    iw_advance(30 * DAY);
    (void)iw_fetch(3, 1); /* a third URL, just now */
    assert_int_equal(mark(1).how, IM_HOW_used);
    assert_string_equal(iw_field("", iw_url(1), "dying"), "");
}

static void gc__a_use_takes_dying_back(void **state)
{
    (void)state;
    make_dying();
    struct im_view view = iw_article(1, 1, IW_URLS(2));
    assert_int_equal(view.image[0].state, IM_CACHED);
    assert_string_equal(iw_field("o:", iw_sha(1), "dying"), "");
    assert_string_equal(iw_field("", iw_url(2), "dying"), "");
    iw_advance(HOUR);
    assert_int_equal(deleting(1, "gc").how, IM_HOW_used);
    assert_true(has("", iw_url(1)));
    assert_int_equal(mark(1).how, IM_HOW_used);
}

static void gc__every_other_use_takes_it_back_too(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        state_world_flush(&iw.world);
        iw_options(&iw.state.options);
        make_dying();
        if (way == 0)
            (void)object(1);
        if (way == 1)
            (void)iw_fetch(3, 1);
        if (way == 2) {
            struct im_result same = {.outcome = IM_RESULT_SAME, .etag = "", .last_modified = "", .fresh_ms = -1};
            (void)iw_lease(1, "a");
            (void)IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(1), "a", 0, &same));
        }
        if (way == 3)
            (void)iw_lease(1, "a"); /* on its way: not deleted while it lasts */
        iw_advance(way == 3 ? 0 : HOUR);
        if (way == 3)
            IW_RUN("HSET", iw_key("o:", iw_sha(1)), "dying", "1");
        assert_int_equal(deleting(1, "gc").how, IM_HOW_used);
        assert_true(has("", iw_url(1)));
    }
}

static void gc__takes_out_members_that_are_gone(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    (void)iw_article(2, 1, IW_URLS(1));
    (void)iw_article(3, 1, IW_URLS(1));
    IW_RUN("DEL", iw_key("a:", iw_id(1)));                  /* its time ran out */
    IW_RUN("HSET", iw_key("a:", iw_id(2)), "1", "- other"); /* lists it no more */
    assert_int_equal(member(1, 1).how, IM_HOW_ok);
    assert_int_equal(member(1, 2).how, IM_HOW_ok);
    assert_int_equal(member(1, 3).how, IM_HOW_used);
    assert_int_equal(member(1, 1).how, IM_HOW_none);
    assert_int_equal(IW_NUMBER("SCARD", iw_key("users:", iw_url(1))), 1);
}

static struct im_answer put_again(unsigned url, const char *token, unsigned n, int64_t since_ms)
{
    struct im_result result = {.outcome = IM_RESULT_CACHED,
                               .sha256 = iw_sha(n),
                               .type = "image/png",
                               .thumbs = "",
                               .etag = "",
                               .last_modified = "",
                               .fresh_ms = -1,
                               .put_again_ms = since_ms};
    return IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(url), token, 0, &result));
}

static void writer__that_meets_deleting_puts_again(void **state)
{
    (void)state;
    make_dying();
    iw_advance(HOUR);
    int64_t since = iw.state.now_ms;
    assert_int_equal(deleting(1, "gc").how, IM_HOW_ok);
    (void)iw_lease(7, "w");
    assert_int_equal(object(1).how, IM_HOW_deleting);
    struct im_answer answer = put_again(7, "w", 1, 0);
    assert_int_equal(answer.how, IM_HOW_deleting);
    assert_int_equal(answer.value, since + MINUTE);
    assert_int_equal(answer.since_ms, since);
    assert_int_equal(put_again(7, "w", 1, since).how, IM_HOW_deleting); /* too soon */
    assert_string_equal(iw_field("", iw_url(7), "state"), "");
    iw_advance(MINUTE);
    assert_int_equal(IW_ASK(im_extend(&iw.state, &iw.world.pipe, iw_url(7), "w", true)).how, IM_HOW_ok);
    assert_int_equal(put_again(7, "w", 1, 0).how, IM_HOW_deleting); /* has not put it again */
    assert_int_equal(put_again(7, "w", 1, since).how, IM_HOW_cached);
    assert_string_equal(iw_field("o:", iw_sha(1), "deleting"), "");
    /* The first gc was stopped in between: what it removed is fetched again. */
    assert_int_equal(deleted(1, "gc").how, IM_HOW_lost);
    assert_false(has("o:", iw_sha(1)));
    assert_string_equal(iw_field("", iw_url(7), "state"), "");
    assert_int_equal(iw_lease(7, "x").how, IM_HOW_taken);
}

static void gc__one_left_in_deleting_is_taken_over(void **state)
{
    (void)state;
    make_dying();
    iw_advance(HOUR);
    assert_int_equal(deleting(1, "dead").how, IM_HOW_ok);
    assert_int_equal(deleting(1, "next").how, IM_HOW_held);
    assert_int_equal(mark(1).how, IM_HOW_deleting);
    assert_int_equal(evict(1).how, IM_HOW_spared);
    iw_advance(MINUTE);
    assert_int_equal(deleting(1, "next").how, IM_HOW_ok);
    assert_int_equal(deleted(1, "dead").how, IM_HOW_held); /* wakes up: the next one goes on */
    assert_true(has("o:", iw_sha(1)));
    assert_int_equal(deleted(1, "next").how, IM_HOW_ok);
    assert_false(has("o:", iw_sha(1)));
}

/* Redis comes back as it was before `deleting`, while the file goes. */
static void gc__a_rollback_across_it_leaves_nothing_cached(void **state)
{
    (void)state;
    make_dying();
    (void)iw_article(1, 1, IW_URLS(1));
    assert_int_equal(deleted(1, "gc").how, IM_HOW_lost);
    struct im_view view = iw_article(1, 1, IW_URLS(1, 2));
    assert_int_equal(view.image[0].state, IM_PENDING);
    assert_int_equal(iw_due(1), iw.state.now_ms);
    assert_int_equal(iw_lease(2, "a").how, IM_HOW_taken);
}

static void evict__articles_learn_before_the_file_goes(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1, 2));
    (void)iw_fetch(1, 1);
    (void)iw_fetch(2, 1);
    struct im_view view = iw_claim(1, iw_due(1));
    (void)iw_sent(1, &view, view.score);
    assert_int_equal(evict(1).how, IM_HOW_spared); /* young */
    iw_advance(HOUR);
    (void)iw_lease(3, "a");
    assert_int_equal(evict(1).how, IM_HOW_ok);
    assert_int_equal(iw_due(1), iw.state.now_ms);
    view = iw_claim(1, iw_due(1));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(view.image[i].state, IM_FAILED);
        assert_int_equal(view.image[i].reason, IM_evicted);
        assert_int_equal(view.image[i].next_try_ms, 0);
    }
    assert_int_equal(view.n_work, 0);
    assert_int_equal(deleting(1, "gc").how, IM_HOW_dying);
    iw_advance(HOUR);
    assert_int_equal(deleting(1, "gc").how, IM_HOW_ok);
    assert_int_equal(deleted(1, "gc").how, IM_HOW_ok);
    assert_int_equal(evict(1).how, IM_HOW_none);
}

static void evict__spares_leased_and_full_and_comes_in_steps(void **state)
{
    (void)state;
    struct im_state_options options;
    im_state_defaults(&options);
    options.max_users = 2;
    iw_options(&options);
    for (unsigned url = 1; url <= 4; url++) {
        (void)iw_article(url, 1, IW_URLS((int)url));
        (void)iw_fetch(url, 1);
    }
    iw_advance(31 * DAY);
    (void)iw_lease(2, "a");
    assert_int_equal(evict(1).how, IM_HOW_spared);
    (void)IW_ASK(im_extend(&iw.state, &iw.world.pipe, iw_url(2), "a", false));
    IW_RUN("HSET", iw_key("", iw_url(2)), "full", "1");
    assert_int_equal(evict(1).how, IM_HOW_spared);
    IW_RUN("HDEL", iw_key("", iw_url(2)), "full");
    assert_int_equal(evict(1).how, IM_HOW_more); /* a URL and its article count two */
    assert_int_equal(evict(1).how, IM_HOW_more);
    assert_int_equal(evict(1).how, IM_HOW_more);
    assert_int_equal(evict(1).how, IM_HOW_ok);
    for (unsigned id = 1; id <= 4; id++)
        assert_in_range(iw_due(id), IW_START, iw.state.now_ms);
}

/* As many URLs as one call looks at; of more than that the object stays. */
static void gc__two_hundred_urls_are_one_short_call(void **state)
{
    (void)state;
    for (unsigned url = 0; url < 200; url++)
        (void)iw_fetch(url, 1);
    iw_advance(30 * DAY);
    struct timespec before, after;
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(mark(1).how, IM_HOW_dying);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    print_message("200 URLs marked: %.1f ms\n",
                  (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6);
    iw_advance(HOUR);
    IW_RUN("SADD", iw_key("urls:", iw_sha(1)), "one more");
    assert_int_equal(deleting(1, "gc").how, IM_HOW_used);
    assert_int_equal(evict(1).how, IM_HOW_spared);
    IW_RUN("SREM", iw_key("urls:", iw_sha(1)), "one more");
    assert_int_equal(deleting(1, "gc").how, IM_HOW_ok);
    assert_false(has("", iw_url(0)) || has("", iw_url(199)));
}

static void lost__goes_back_to_pending_and_wakes(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    (void)iw_article(2, 1, IW_URLS(2));
    (void)iw_fetch(1, 1);
    (void)iw_fetch(2, 1);
    for (unsigned id = 1; id <= 2; id++) {
        struct im_view view = iw_claim(id, iw_due(id));
        (void)iw_sent(id, &view, view.score);
        assert_int_equal(iw_due(id), -1);
    }
    assert_int_equal(IW_ASK(im_reset(&iw.state, &iw.world.pipe, iw_url(1), iw_sha(9))).how, IM_HOW_none);
    assert_int_equal(IW_ASK(im_lost(&iw.state, &iw.world.pipe, iw_sha(1))).how, IM_HOW_ok);
    assert_in_range(IW_NUMBER("PTTL", iw_key("", iw_url(1))), 399 * DAY, 400 * DAY);
    assert_in_range(IW_NUMBER("PTTL", iw_key("users:", iw_url(1))), 399 * DAY, 400 * DAY);
    for (unsigned id = 1; id <= 2; id++) {
        struct im_view view = iw_claim(id, iw_due(id));
        assert_int_equal(view.image[0].state, IM_PENDING);
        assert_string_equal(view.image[0].etag, ""); /* or a 304 would bring back nothing */
        assert_true(view.image[0].needs_work);
    }
    assert_false(has("o:", iw_sha(1)));
    assert_in_range(IW_NUMBER("PTTL", iw_key("", iw_url(1))), 399 * DAY, 400 * DAY);
    assert_int_equal(iw_fetch(1, 1).how, IM_HOW_cached);
    assert_int_equal(iw_fetch(2, 1).how, IM_HOW_cached);
    assert_int_equal(IW_NUMBER("SCARD", iw_key("urls:", iw_sha(1))), 2);
}

static void reset__ignores_the_negative_cache(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    (void)iw_lease(1, "a");
    (void)iw_failed(1, "a", IM_url_port, 0);
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_done);
    assert_int_equal(IW_ASK(im_reset(&iw.state, &iw.world.pipe, iw_url(1), NULL)).value, 1);
    assert_int_equal(iw_article(1, 1, IW_URLS(1)).image[0].state, IM_PENDING);
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_taken);
    assert_int_equal(IW_ASK(im_reset(&iw.state, &iw.world.pipe, iw_url(5), NULL)).how, IM_HOW_ok);
    assert_false(has("", iw_url(5))); /* makes nothing up */
}

static void lru__moves_once_an_hour(void **state)
{
    (void)state;
    (void)iw_fetch(1, 1);
    iw_advance(HOUR - 1);
    (void)iw_article(1, 1, IW_URLS(1));
    assert_int_equal(IW_NUMBER("ZSCORE", "t:img:lru", iw_sha(1)), IW_START);
    iw_advance(1);
    (void)iw_article(1, 1, IW_URLS(1));
    assert_int_equal(IW_NUMBER("ZSCORE", "t:img:lru", iw_sha(1)), IW_START + HOUR);
}

static void adopt__a_file_that_redis_does_not_know_is_unused(void **state)
{
    (void)state;
    int64_t stored = IW_START - 40 * DAY;
    struct im_answer answer = IW_ASK(im_adopt(&iw.state, &iw.world.pipe, iw_sha(1), stored, "image/png", 5));
    assert_int_equal(answer.how, IM_HOW_adopted);
    answer = IW_ASK(im_adopt(&iw.state, &iw.world.pipe, iw_sha(1), stored + 5, "image/png", 5));
    assert_int_equal(answer.how, IM_HOW_ok);
    assert_int_equal(answer.value, stored);
    assert_int_equal(mark(1).how, IM_HOW_dying);
    iw_advance(HOUR);
    assert_int_equal(deleting(1, "gc").how, IM_HOW_ok);
    assert_int_equal(deleted(1, "gc").how, IM_HOW_ok);
    assert_int_equal(object(1).how, IM_HOW_none);
}

#define TEST(name) cmocka_unit_test_setup(name, iw_fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gc__removes_what_nobody_uses),
        TEST(gc__leaves_what_is_used_young_leased_or_full),
        TEST(gc__one_entry_in_use_keeps_the_object),
        TEST(gc__a_use_takes_dying_back),
        TEST(gc__every_other_use_takes_it_back_too),
        TEST(gc__takes_out_members_that_are_gone),
        TEST(writer__that_meets_deleting_puts_again),
        TEST(gc__one_left_in_deleting_is_taken_over),
        TEST(gc__a_rollback_across_it_leaves_nothing_cached),
        TEST(evict__articles_learn_before_the_file_goes),
        TEST(evict__spares_leased_and_full_and_comes_in_steps),
        TEST(gc__two_hundred_urls_are_one_short_call),
        TEST(lost__goes_back_to_pending_and_wakes),
        TEST(reset__ignores_the_negative_cache),
        TEST(lru__moves_once_an_hour),
        TEST(adopt__a_file_that_redis_does_not_know_is_unused),
    };
    return cmocka_run_group_tests(tests, iw_open, iw_close);
}
