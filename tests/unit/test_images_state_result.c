/* test_images_state_result.c - leases of the images worker, how fetches end, and places at hosts, on a real Redis. */
#include "images_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LEASE  15000
#define MINUTE 60000LL
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static struct im_answer same(unsigned url, const char *token, int64_t fresh_ms)
{
    struct im_result result = {
        .outcome = IM_RESULT_SAME, .etag = "\"f\"", .last_modified = "yesterday", .fresh_ms = fresh_ms};
    return IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(url), token, 500000, &result));
}

static struct im_answer fail_after(unsigned url, enum im_reason reason, int64_t after_ms, int64_t jitter)
{
    struct im_result result = {.outcome = IM_RESULT_FAILED, .reason = reason, .after_ms = after_ms};
    assert_int_equal(iw_lease(url, "a").how, IM_HOW_taken);
    return IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(url), "a", jitter, &result));
}

static int64_t fetch_until(unsigned url) /* fresh until */
{
    return (int64_t)strtoll(iw_field("", iw_url(url), "expiresAt"), NULL, 10);
}

static void lease__one_of_two_owners_has_it(void **state)
{
    (void)state;
    struct im_answer mine = iw_lease(1, "a"), other = iw_lease(1, "b");
    assert_int_equal(mine.how, IM_HOW_taken);
    assert_int_equal(other.how, IM_HOW_held);
    assert_in_range(other.value, IW_START + LEASE - 10000, IW_START + LEASE);
    assert_int_equal(iw_lease(1, "a").how, IM_HOW_taken); /* asked again: it is still his */
    assert_string_equal(iw_field("", iw_url(1), "token"), "a");
    assert_in_range(IW_NUMBER("PTTL", iw_key("lease:", iw_url(1))), LEASE - 10000, LEASE);
    assert_int_equal(iw_cached(1, "a", 1).how, IM_HOW_cached);
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_done);
    assert_int_equal(IW_NUMBER("EXISTS", iw_key("lease:", iw_url(1))), 0);
}

static void lease__who_comes_back_late_writes_nothing(void **state)
{
    (void)state;
    (void)iw_lease(1, "a");
    iw_advance(LEASE);
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_taken);
    assert_int_equal(iw_cached(1, "a", 1).how, IM_HOW_lost);
    assert_int_equal(iw_failed(1, "a", IM_url_port, 0).how, IM_HOW_lost);
    assert_int_equal(IW_ASK(im_extend(&iw.state, &iw.world.pipe, iw_url(1), "a", true)).how, IM_HOW_lost);
    assert_int_equal(IW_ASK(im_extend(&iw.state, &iw.world.pipe, iw_url(1), "a", false)).how, IM_HOW_lost);
    assert_int_equal(iw_cached(1, "b", 2).how, IM_HOW_cached);
    assert_string_equal(iw_field("", iw_url(1), "sha256"), iw_sha(2));
    assert_int_equal(iw_cached(1, "b", 3).how, IM_HOW_lost); /* the same result again */
    assert_string_equal(iw_field("", iw_url(1), "sha256"), iw_sha(2));
}

static void lease__that_ran_out_is_still_good_where_nobody_took_it(void **state)
{
    (void)state;
    (void)iw_lease(1, "a");
    iw_advance(LEASE + 1);
    assert_int_equal(IW_ASK(im_extend(&iw.state, &iw.world.pipe, iw_url(1), "a", true)).how, IM_HOW_ok);
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_held);
    iw_advance(LEASE + 1);
    assert_int_equal(iw_cached(1, "a", 1).how, IM_HOW_late); /* who knows what gc did meanwhile */
    assert_int_equal(IW_ASK(im_extend(&iw.state, &iw.world.pipe, iw_url(1), "a", true)).how, IM_HOW_ok);
    assert_int_equal(iw_cached(1, "a", 1).how, IM_HOW_cached);
}

static void lease__ends_without_an_outcome(void **state)
{
    (void)state;
    (void)iw_lease(1, "a");
    assert_int_equal(IW_ASK(im_extend(&iw.state, &iw.world.pipe, iw_url(1), "a", false)).how, IM_HOW_ok);
    assert_int_equal(iw_cached(1, "a", 1).how, IM_HOW_lost);
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_taken);
}

static void cached__wakes_every_article_and_registers_the_object(void **state)
{
    (void)state;
    for (unsigned id = 1; id <= 20; id++) {
        (void)iw_article(id, 1, IW_URLS(1));
        struct im_view view = iw_claim(id, iw_due(id));
        assert_int_equal(view.how, IM_HOW_claimed);
    }
    iw_advance(100);
    struct im_answer answer = iw_fetch(1, 1);
    assert_int_equal(answer.value, 20);
    for (unsigned id = 1; id <= 20; id++)
        assert_int_equal(iw_due(id), IW_START + 100);
    assert_int_equal(IW_NUMBER("PTTL", iw_key("", iw_url(1))), -1); /* leaves by gc only */
    assert_int_equal(IW_NUMBER("PTTL", iw_key("users:", iw_url(1))), -1);
    assert_int_equal(IW_NUMBER("SISMEMBER", iw_key("urls:", iw_sha(1)), iw_url(1)), 1);
    assert_int_equal(IW_NUMBER("ZSCORE", "t:img:lru", iw_sha(1)), IW_START + 100);
    assert_string_equal(iw_field("o:", iw_sha(1), "bytes"), "98231");
    assert_string_equal(iw_field("", iw_url(1), "orientation"), "6");
    assert_int_equal(fetch_until(1), IW_START + 100 + 30 * DAY);
}

/* As many as a URL notes: each is woken, in one short script. */
static void cached__wakes_a_thousand_in_one_call(void **state)
{
    (void)state;
    enum { N = 1000 };
    for (unsigned id = 1; id <= N; id++)
        (void)iw_article(id, 1, IW_URLS(1));
    for (int i = 0; i < iw.state.partitions; i++) {
        char key[40];
        (void)snprintf(key, sizeof key, "t:due:images:%d", i);
        IW_RUN("DEL", key);
    }
    (void)iw_lease(1, "a");
    struct timespec before, after;
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(iw_cached(1, "a", 1).value, N);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    print_message("1000 articles woken: %.1f ms\n",
                  (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6);
    for (unsigned id = 1; id <= N; id++)
        assert_int_equal(iw_due(id), IW_START);
}

static void cached__five_urls_of_the_same_bytes_are_one_object(void **state)
{
    (void)state;
    for (unsigned url = 1; url <= 5; url++)
        (void)iw_fetch(url, 1);
    assert_int_equal(IW_NUMBER("SCARD", iw_key("urls:", iw_sha(1))), 5);
    assert_int_equal(IW_NUMBER("ZCARD", "t:img:lru"), 1);
}

static void cached__again_after_it_went_stale(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    (void)iw_fetch(1, 1);
    struct im_view view = iw_claim(1, iw_due(1));
    (void)iw_sent(1, &view, view.score);
    iw_advance(30 * DAY);
    view = iw_article(1, 1, IW_URLS(1));
    assert_true(view.image[0].needs_work && view.image[0].state == IM_CACHED && view.reported);
    assert_string_equal(view.image[0].etag, "\"e\"");
    view = iw_claim(1, iw_due(1));
    assert_int_equal(iw_lease(1, "a").how, IM_HOW_taken);
    assert_int_equal(same(1, "a", 1).how, IM_HOW_same); /* max-age of a millisecond: an hour */
    assert_int_equal(fetch_until(1), IW_START + 30 * DAY + HOUR);
    assert_string_equal(iw_field("", iw_url(1), "lastModified"), "yesterday");
    assert_int_equal(iw_due(1), view.score); /* nothing changed: nobody is woken */
    assert_true(iw_article(1, 1, IW_URLS(1)).reported);
    iw_advance(2 * HOUR);
    assert_int_equal(iw_fetch(1, 2).value, 1); /* other bytes */
    assert_int_equal(IW_NUMBER("EXISTS", iw_key("urls:", iw_sha(1))), 0);
    assert_int_equal(IW_NUMBER("EXISTS", iw_key("o:", iw_sha(1))), 1); /* left to gc */
    iw_advance(31 * DAY);
    (void)iw_lease(1, "a");
    assert_int_equal(same(1, "a", 400 * DAY).how, IM_HOW_same);
    assert_int_equal(fetch_until(1), iw.state.now_ms + 30 * DAY);
}

static void same__of_what_was_lost_meanwhile_is_nothing(void **state)
{
    (void)state;
    (void)iw_fetch(1, 1);
    iw_advance(31 * DAY);
    (void)iw_lease(1, "a");
    (void)IW_ASK(im_reset(&iw.state, &iw.world.pipe, iw_url(1), iw_sha(1)));
    assert_int_equal(same(1, "a", -1).how, IM_HOW_none);
    assert_string_equal(iw_field("", iw_url(1), "state"), "");
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_taken);
}

static void failed__tries_of_a_round_are_nobody_elses_matter(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    struct im_view view = iw_claim(1, iw_due(1));
    struct im_answer answer = fail_after(1, IM_timeout_total, 0, 999999);
    assert_int_equal(answer.how, IM_HOW_again);
    assert_int_equal(answer.value, IW_START + 999); /* full jitter: up to 1 s, then up to 4 s */
    assert_int_equal(iw_due(1), view.score);
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_done);
    iw_advance(999);
    answer = fail_after(1, IM_length_mismatch, 0, 500000);
    assert_int_equal(answer.value, IW_START + 999 + 2000);
    assert_int_equal(iw_article(1, 1, IW_URLS(1)).image[0].state, IM_PENDING);
    iw_advance(2000);
    answer = fail_after(1, IM_timeout_total, 0, 0);
    assert_int_equal(answer.how, IM_HOW_failed);
    assert_int_equal(answer.value, iw.state.now_ms + MINUTE);
    assert_int_equal(iw_due(1), iw.state.now_ms - iw.state.now_ms % 2); /* woken */
    view = iw_article(1, 1, IW_URLS(1));
    assert_int_equal(view.image[0].state, IM_FAILED);
    assert_int_equal(view.image[0].reason, IM_timeout_total);
    assert_int_equal(view.image[0].next_try_ms, answer.value);
}

/* Rounds of one try: how long the negative cache holds, in minutes. */
static void failed__rounds_double_up_to_a_limit_and_end(void **state)
{
    (void)state;
    static const struct {
        enum im_reason reason;
        int status;
        int minutes[4], last;
    } cases[] = {
        {IM_timeout_connect, 0, {1, 2, 4, 8}, 60},
        {IM_bad_status, 503, {1, 2, 4, 8}, 60},
        {IM_bad_status, 404, {15, 30, 60, 120}, 1440},
        {IM_decode_fail, 0, {15, 30, 60, 120}, 1440},
        {IM_bad_status, 410, {10080, 10080, 10080, 10080}, 10080},
        {IM_blocked_addr, 0, {1440, 1440, 1440, 1440}, 1440},
    };
    struct im_state_options options;
    im_state_defaults(&options);
    options.tries = 1;
    iw_options(&options);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int round = 1; round <= 12; round++) {
            assert_int_equal(iw_lease(i, "a").how, IM_HOW_taken);
            struct im_answer answer = iw_failed(i, "a", cases[i].reason, cases[i].status);
            assert_int_equal(answer.how, IM_HOW_failed);
            int64_t delay = answer.value - iw.state.now_ms;
            if (round == 12) { /* never again by itself */
                assert_int_equal(answer.value, 0);
                continue;
            }
            assert_int_equal(delay, (round <= 4 ? cases[i].minutes[round - 1] : delay / MINUTE) * MINUTE);
            if (round == 11)
                assert_int_equal(delay, cases[i].last * MINUTE);
            iw_advance(delay - 1);
            assert_int_equal(iw_lease(i, "a").how, IM_HOW_done);
            iw_advance(1);
        }
}

static void failed__never_and_other_rules(void **state)
{
    (void)state;
    assert_int_equal(fail_after(1, IM_url_userinfo, 0, 0).value, 0);
    assert_int_equal(fail_after(2, IM_too_big, 0, 0).value, IW_START + DAY);
    assert_int_equal(iw_lease(2, "b").how, IM_HOW_done);
    struct im_state_options options;
    im_state_defaults(&options);
    memcpy(options.policy, "2", 2);
    iw_options(&options);
    assert_int_equal(iw_lease(2, "b").how, IM_HOW_taken); /* other rules may let it pass */
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_done);
    iw_advance(399 * DAY);
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_done);
}

static void failed__what_is_ours_is_not_held_against_it(void **state)
{
    (void)state;
    (void)iw_article(1, 1, IW_URLS(1));
    assert_int_equal(fail_after(1, IM_store_full, 0, 0).how, IM_HOW_ours);
    struct im_view view = iw_article(1, 1, IW_URLS(1));
    assert_int_equal(view.image[0].state, IM_PENDING);
    assert_int_equal(view.image[0].tries, 0);
    assert_int_equal(iw_lease(1, "b").how, IM_HOW_taken);
}

static void failed__cached_stays_while_its_origin_is_out_of_reach(void **state)
{
    (void)state;
    struct im_state_options options;
    im_state_defaults(&options);
    options.tries = 1;
    options.rounds = 3;
    iw_options(&options);
    (void)iw_article(1, 1, IW_URLS(1, 2));
    (void)iw_fetch(1, 1);
    (void)iw_fetch(2, 2);
    iw_advance(31 * DAY);
    for (int round = 1; round < 3; round++) {
        assert_int_equal(fail_after(1, IM_timeout_total, 0, 0).how, IM_HOW_stays);
        struct im_view view = iw_article(1, 1, IW_URLS(1, 2));
        assert_int_equal(view.image[0].state, IM_CACHED);
        iw_advance(HOUR);
    }
    assert_int_equal(fail_after(1, IM_timeout_total, 0, 0).how, IM_HOW_failed);
    assert_int_equal(IW_NUMBER("EXISTS", iw_key("urls:", iw_sha(1))), 0);
    (void)iw_lease(2, "a");
    assert_int_equal(iw_failed(2, "a", IM_bad_status, 404).how, IM_HOW_failed); /* that is an answer */
    struct im_view view = iw_article(1, 1, IW_URLS(1, 2));
    assert_true(view.image[0].state == IM_FAILED && view.image[1].state == IM_FAILED);
    assert_in_range(IW_NUMBER("PTTL", iw_key("", iw_url(2))), 399 * DAY, 400 * DAY);
}

static void failed__after_success_begins_anew_and_dimensions_are_kept(void **state)
{
    (void)state;
    struct im_result avif = {.outcome = IM_RESULT_FAILED, .reason = IM_type_not_allowed, .width = 800, .height = 600};
    (void)iw_lease(1, "a");
    struct im_answer answer = IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(1), "a", 999999, &avif));
    assert_int_equal(answer.value, IW_START + 15 * MINUTE + 15 * MINUTE / 10 - 1); /* a tenth of jitter */
    assert_string_equal(iw_field("", iw_url(1), "width"), "800");
    iw_advance(DAY);
    (void)iw_fetch(1, 1);
    assert_string_equal(iw_field("", iw_url(1), "rounds"), "");
    assert_string_equal(iw_field("", iw_url(1), "reason"), "");
    iw_advance(31 * DAY);
    assert_int_equal(fail_after(1, IM_truncated, 0, 0).value, iw.state.now_ms + 15 * MINUTE);
    assert_int_equal(fail_after(2, IM_timeout_total, 120000, 0).value, iw.state.now_ms + 120000);
}

static void retry_after__is_clamped(void **state)
{
    (void)state;
    const struct im_state_options *o = &iw.state.options;
    assert_int_equal(im_retry_after(o, false, 5), MINUTE);
    assert_int_equal(im_retry_after(o, true, -217534667), 1000);
    assert_int_equal(im_retry_after(o, true, INT64_MIN), 1000);
    assert_int_equal(im_retry_after(o, true, 0), 1000);
    assert_int_equal(im_retry_after(o, true, 120), 120000);
    assert_int_equal(im_retry_after(o, true, 99999999999), HOUR);
    assert_int_equal(im_retry_after(o, true, INT64_MAX), HOUR);
}

/* ---- places ---- */

static struct im_answer slot(const char *host, const char *address, const char *holder)
{
    return IW_ASK(im_slot(&iw.state, &iw.world.pipe, host, address, holder));
}

static struct im_answer slot_end(const char *host, const char *address, const char *holder, enum im_host_answer answer,
                                 int64_t pause_ms)
{
    return IW_ASK(im_slot_end(&iw.state, &iw.world.pipe, host, address, holder, answer, pause_ms, false));
}

static void slot__four_of_a_host_eight_of_an_address(void **state)
{
    (void)state;
    char host[20], holder[20];
    int taken = 0;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(host, sizeof host, "h%d.example", i);
        (void)snprintf(holder, sizeof holder, "%d", i);
        taken += slot("one.example", "", holder).how == IM_HOW_ok;
    }
    assert_int_equal(taken, 4);
    for (int i = taken = 0; i < 40; i++) {
        (void)snprintf(host, sizeof host, "h%d.example", i);
        (void)snprintf(holder, sizeof holder, "%d", i);
        struct im_answer answer = slot(host, "203.0.113.7", holder);
        taken += answer.how == IM_HOW_ok;
        assert_int_equal(answer.how, i < 8 ? IM_HOW_ok : IM_HOW_address);
    }
    assert_int_equal(taken, 8);
    assert_int_equal(IW_NUMBER("EXISTS", "t:img:slots:{h9.example}"), 0); /* nothing is taken by half */
    assert_int_equal(slot("one.example", "", "0").how, IM_HOW_ok);        /* is in already */
    (void)slot_end("one.example", "", "0", IM_HOST_NONE, 0);
    assert_int_equal(slot("one.example", "", "9").how, IM_HOW_ok);
    assert_int_equal(slot("one.example", "", "10").how, IM_HOW_host);
    iw_advance(35000); /* the holders died */
    assert_int_equal(slot("one.example", "", "10").how, IM_HOW_ok);
    assert_int_equal(IW_NUMBER("ZCARD", "t:img:slots:{one.example}"), 1);
}

/* What a transfer says about its host counts at once, while its place goes on to the next one of the same process. */
static void slot_end__that_stays_gives_no_place_to_others(void **state)
{
    (void)state;
    char holder[8];
    for (int i = 0; i < 4; i++) {
        (void)snprintf(holder, sizeof holder, "%d", i);
        assert_int_equal(slot("h.example", "203.0.113.7", holder).how, IM_HOW_ok);
    }
    assert_int_equal(
        IW_ASK(im_slot_end(&iw.state, &iw.world.pipe, "h.example", "203.0.113.7", "0", IM_HOST_BAD, 0, true)).how,
        IM_HOW_ok);
    assert_int_equal(IW_NUMBER("HGET", "t:img:host:{h.example}", "failures"), 1);
    assert_int_equal(slot("h.example", "203.0.113.7", "4").how, IM_HOW_host);
    assert_int_equal(IW_NUMBER("ZCARD", "t:img:slots:{203.0.113.7}"), 4);
    assert_int_equal(slot("h.example", "203.0.113.7", "0").how, IM_HOW_ok); /* its next transfer */
    (void)slot_end("h.example", "203.0.113.7", "0", IM_HOST_GOOD, 0);
    assert_int_equal(slot("h.example", "203.0.113.7", "4").how, IM_HOW_ok);
}

/* Who waits for a token keeps his place only as long as nobody else is sent away for it. */
static void slot__place_that_others_want_is_not_kept_for_the_rate(void **state)
{
    (void)state;
    char holder[8];
    for (int i = 0; i < 20; i++)
        assert_int_equal(slot("h.example", "203.0.113.7", "a").how, IM_HOW_ok); /* all tokens */
    assert_int_equal(slot("h.example", "203.0.113.7", "a").how, IM_HOW_rate);
    for (int i = 0; i < 8; i++) {
        (void)snprintf(holder, sizeof holder, "%d", i);
        (void)slot(i < 4 ? "x.example" : "y.example", "203.0.113.7", holder);
    }
    assert_int_equal(slot("z.example", "203.0.113.7", "z").how, IM_HOW_address);
    struct im_answer answer = slot("h.example", "203.0.113.7", "a");
    assert_int_equal(answer.how, IM_HOW_host);
    assert_int_equal(answer.value, iw.state.now_ms + 100);
    assert_int_equal(IW_NUMBER("ZCARD", "t:img:slots:{h.example}"), 1); /* it is given back by its holder */
    iw.state.now_ms += 60;
    assert_int_equal(IW_NUMBER("PEXPIRE", "t:img:wanted:{203.0.113.7}", "1"), 1);
    while (IW_NUMBER("EXISTS", "t:img:wanted:{203.0.113.7}"))
        continue;
    assert_int_equal(slot("h.example", "203.0.113.7", "a").how, IM_HOW_rate);
}

static void slot__rate_is_ten_a_second_and_twenty_at_once(void **state)
{
    (void)state;
    int taken = 0;
    for (int ms = 0; ms < 2000; ms += 20) {
        if (slot("h.example", "", "a").how == IM_HOW_ok)
            taken++;
        iw.state.now_ms += 20;
    }
    assert_in_range(taken, 38, 40);
    struct im_answer answer;
    do
        answer = slot("h.example", "", "a");
    while (answer.how == IM_HOW_ok);
    assert_int_equal(answer.how, IM_HOW_rate);
    iw.state.now_ms = answer.value - 1;
    assert_int_equal(slot("h.example", "", "a").how, IM_HOW_rate);
    iw.state.now_ms = answer.value;
    assert_int_equal(slot("h.example", "", "a").how, IM_HOW_ok);
}

static void slot__pause_holds_for_everyone_and_is_not_shortened(void **state)
{
    (void)state;
    (void)slot("h.example", "", "a");
    (void)slot_end("h.example", "", "a", IM_HOST_GOOD, 120000);
    (void)slot_end("h.example", "", "b", IM_HOST_GOOD, 1000);
    struct im_answer answer = slot("h.example", "", "c");
    assert_int_equal(answer.how, IM_HOW_paused);
    assert_int_equal(answer.value, IW_START + 120000);
    iw_advance(120000);
    assert_int_equal(slot("h.example", "", "c").how, IM_HOW_ok);
    assert_in_range(IW_NUMBER("PTTL", "t:img:host:{h.example}"), DAY - 10000, DAY);
}

static void breaker__opens_after_ten_in_a_row_doubling(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++)
        assert_int_equal(slot_end("h.example", "", "a", IM_HOST_BAD, 0).value, 0);
    (void)slot_end("h.example", "", "a", IM_HOST_GOOD, 0); /* not in a row */
    for (int i = 0; i < 9; i++)
        assert_int_equal(slot_end("h.example", "", "a", i % 2 ? IM_HOST_BAD : IM_HOST_NONE, 0).value, 0);
    for (int i = 4; i < 9; i++)
        assert_int_equal(slot_end("h.example", "", "a", IM_HOST_BAD, 0).value, 0);
    assert_int_equal(slot_end("h.example", "", "a", IM_HOST_BAD, 0).value, IW_START + MINUTE);
    assert_int_equal(slot_end("h.example", "", "b", IM_HOST_BAD, 0).value, IW_START + MINUTE); /* began before */
    assert_int_equal(slot("h.example", "", "a").how, IM_HOW_open);
    assert_int_equal(slot("other.example", "", "a").how, IM_HOW_ok);
    static const int minutes[] = {2, 4, 8, 15, 15};
    iw_advance(MINUTE);
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        assert_int_equal(slot("h.example", "", "a").how, IM_HOW_ok);
        assert_int_equal(slot("h.example", "", "b").how, IM_HOW_host); /* one tries for all */
        assert_int_equal(slot_end("h.example", "", "a", IM_HOST_BAD, 0).value, iw.state.now_ms + minutes[i] * MINUTE);
        iw_advance(minutes[i] * MINUTE);
    }
    assert_int_equal(slot("h.example", "", "a").how, IM_HOW_ok);
    assert_int_equal(slot_end("h.example", "", "a", IM_HOST_GOOD, 0).value, 0);
    assert_int_equal(slot("h.example", "", "a").how, IM_HOW_ok);
    assert_int_equal(slot("h.example", "", "b").how, IM_HOW_ok);
}

#define TEST(name) cmocka_unit_test_setup(name, iw_fresh)

static void cached__a_file_that_was_found_counts_only_with_its_object(void **state)
{
    (void)state;
    struct im_result result = {.outcome = IM_RESULT_CACHED,
                               .sha256 = iw_sha(1),
                               .type = "image/png",
                               .thumbs = "",
                               .etag = "",
                               .last_modified = "",
                               .fresh_ms = -1,
                               .existed = true};
    assert_int_equal(iw_lease(1, "a").how, IM_HOW_taken);
    struct im_answer answer = IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(1), "a", 0, &result));
    assert_int_equal(answer.how, IM_HOW_late);
    assert_int_equal(answer.value, 1); /* gc may have removed it: write it */
    assert_string_equal(iw_field("", iw_url(1), "state"), "");
    result.existed = false;
    assert_int_equal(IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(1), "a", 0, &result)).how, IM_HOW_cached);
    result.existed = true;
    assert_int_equal(iw_lease(2, "a").how, IM_HOW_taken);
    assert_int_equal(IW_ASK(im_result(&iw.state, &iw.world.pipe, iw_url(2), "a", 0, &result)).how, IM_HOW_cached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lease__one_of_two_owners_has_it),
        TEST(lease__who_comes_back_late_writes_nothing),
        TEST(cached__a_file_that_was_found_counts_only_with_its_object),
        TEST(lease__that_ran_out_is_still_good_where_nobody_took_it),
        TEST(lease__ends_without_an_outcome),
        TEST(cached__wakes_every_article_and_registers_the_object),
        TEST(cached__wakes_a_thousand_in_one_call),
        TEST(cached__five_urls_of_the_same_bytes_are_one_object),
        TEST(cached__again_after_it_went_stale),
        TEST(same__of_what_was_lost_meanwhile_is_nothing),
        TEST(failed__tries_of_a_round_are_nobody_elses_matter),
        TEST(failed__rounds_double_up_to_a_limit_and_end),
        TEST(failed__never_and_other_rules),
        TEST(failed__what_is_ours_is_not_held_against_it),
        TEST(failed__cached_stays_while_its_origin_is_out_of_reach),
        TEST(failed__after_success_begins_anew_and_dimensions_are_kept),
        TEST(retry_after__is_clamped),
        TEST(slot__four_of_a_host_eight_of_an_address),
        TEST(slot_end__that_stays_gives_no_place_to_others),
        TEST(slot__place_that_others_want_is_not_kept_for_the_rate),
        TEST(slot__rate_is_ten_a_second_and_twenty_at_once),
        TEST(slot__pause_holds_for_everyone_and_is_not_shortened),
        TEST(breaker__opens_after_ten_in_a_row_doubling),
    };
    return cmocka_run_group_tests(tests, iw_open, iw_close);
}
