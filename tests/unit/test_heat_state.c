/* test_heat_state.c - heat's scripts on a real Redis, one rule a test: revisions, marks, timers, what waits, limits.
 * How they work together is test_heat_model.c's matter. */
#include "heat/heat.h"
#include "state_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define ID   "136ab291632faf53215323ed8744d7a4"
#define KEY  "t:heat:{" ID "}"
#define STEP 900
#define DAY  86400
#define OLD  1577880000 /* a step */

static struct state_world world;
static struct nm_settings settings;
static struct hp_state heat;
static struct hp_options options = {.per_related = 10, .step_ms = STEP * 1000, .max_waiting = 1000};
static struct nm_script *const scripts[] = {&hp_article_script, &hp_story_script, &hp_signal_script, &hp_due_script,
                                            &hp_mark_script};
static int64_t next_offset, generation;

static int open_world(void **state)
{
    (void)state;
    static char ns[] = "t";
    struct nm_error err = {0};
    settings = (struct nm_settings){.ns = ns, .keep_days = 400};
    settings.stream[NM_NORMALIZED].partitions = 4;
    if (hp_state_open(&heat, &options, &settings, &err) != NM_OK)
        return -1;
    state_world_open(&world, scripts, sizeof scripts / sizeof *scripts);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    state_world_close(&world);
    hp_state_close();
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    state_world_flush(&world);
    next_offset = generation = 0;
    return 0;
}

static struct hp_view apply(const struct nm_item *item, const struct hp_event *event)
{
    struct nm_error err = {0};
    struct hp_view view = {0};
    nm_pipe_reset(&world.pipe);
    (void)hp_apply(&heat, &world.pipe, item, event);
    if (nm_redis_exec(world.redis, &world.pipe, &err) != NM_OK)
        fail_msg("%s", err.msg);
    assert_true(hp_view_read(nm_pipe_reply(&world.pipe, 0), &view));
    return view;
}

static struct hp_view article(int64_t revision, int64_t quality)
{
    struct hp_event e = {.type = HP_ARTICLE, .id = ID, .revision = revision, .quality = quality, .published_s = OLD};
    return apply(&(struct nm_item){0}, &e);
}

static struct hp_view retract(int64_t revision)
{
    struct hp_event e = {.type = HP_ARTICLE, .id = ID, .revision = revision, .gone = true};
    return apply(&(struct nm_item){0}, &e);
}

static struct hp_view story(int64_t revision, int64_t size, bool leads)
{
    struct hp_event e = {
        .type = HP_STORY, .id = ID, .revision = revision, .size = size, .leads = leads, .gone = size == 0};
    return apply(&(struct nm_item){0}, &e);
}

static struct hp_view signal_of(int64_t offset, const char *source, int64_t at_s, int64_t count, const char *name)
{
    struct hp_event e = {
        .type = HP_SIGNAL_EVENT, .id = ID, .kind = 'c', .count = count, .at_s = at_s, .source = source};
    struct nm_item item = {.stream = NM_SIGNALS, .partition = 2, .offset = offset, .generation = generation};
    e.source_len = strlen(source);
    e.has_hash = name != NULL;
    if (name)
        memcpy(e.hash, name, HP_HASH);
    return apply(&item, &e);
}

static struct hp_view clicks(int64_t at_s, int64_t count)
{
    return signal_of(next_offset++, "site", at_s, count, NULL);
}

static struct hp_view timer(int64_t score)
{
    struct hp_event e = {.type = HP_DUE, .id = ID};
    return apply(&(struct nm_item){.set = &hp_due, .score = score}, &e);
}

static void report(const struct hp_view *view, int64_t score)
{
    struct nm_error err = {0};
    nm_pipe_reset(&world.pipe);
    hp_mark(&heat, &world.pipe, ID, view, score);
    if (nm_redis_exec(world.redis, &world.pipe, &err) != NM_OK)
        fail_msg("%s", err.msg);
}

static int64_t due_ms(void)
{
    char key[100];
    nm_set_key(&settings, &hp_due, nm_partition_of(ID, HP_ID, 4), key, sizeof key);
    return nm_reply_int(state_world_run(&world, (const char *const[]){"ZSCORE", key, ID, NULL}), -1);
}

static int64_t now_s(void)
{
    return nm_reply_int(nm_reply_at(state_world_run(&world, (const char *const[]){"TIME", NULL}), 0), 0);
}

static int64_t ttl_ms(void)
{
    return nm_reply_int(state_world_run(&world, (const char *const[]){"PTTL", KEY, NULL}), -1);
}

static void lead__reference_profile_and_member(void **state)
{
    (void)state;
    assert_int_equal(article(1, 86).heat, 86);
    struct hp_view view = story(1, 5, true);
    assert_int_equal(view.heat, 126);
    assert_int_equal(view.related, 40);
    assert_int_equal(view.next_s, 0);
    assert_int_equal(story(2, 5, false).heat, -1);
    assert_int_equal(story(3, 0, false).heat, 86); /* no story any more */
    assert_int_equal(article(2, -50).heat, 0);
    assert_string_equal(story(1, 9, true).how, "stale");
    assert_string_equal(article(1, 86).how, "stale");
}

static void revision__grows_by_the_clock_and_is_read_back(void **state)
{
    (void)state;
    int64_t now = now_s();
    struct hp_view first = article(1, 86);
    assert_true(first.revision >= now * 1000000 && first.revision <= (now_s() + 1) * 1000000);
    struct hp_view again = article(1, 86);
    assert_int_equal(again.emit, HP_FACET);
    assert_int_equal(again.revision, first.revision);
    (void)state_world_run(&world, (const char *const[]){"HSET", KEY, "rev", "9000000000000000", NULL});
    assert_int_equal(article(2, 87).revision, 9000000000000001);
}

static void mark__suppresses_until_something_else_was_taken(void **state)
{
    (void)state;
    struct hp_view first = article(1, 86);
    assert_int_equal(article(2, 86).emit, HP_FACET); /* the first was not reported */
    struct hp_view view = article(3, 86);
    report(&first, -1); /* no longer the newest */
    assert_int_equal(article(4, 86).emit, HP_FACET);
    view = article(5, 86);
    report(&view, -1);
    assert_int_equal(article(6, 86).emit, HP_SILENT);
    assert_int_equal(article(6, 86).emit, HP_FACET); /* again: always sent */
    view = article(7, 87);
    report(&view, -1);
    assert_int_equal(article(8, 86).emit, HP_FACET);
    struct hp_event e = {.type = HP_ARTICLE, .id = ID, .revision = 9, .quality = 86, .published_s = OLD};
    view = article(8, 86);
    report(&view, -1);
    assert_int_equal(apply(&(struct nm_item){.resend = true}, &e).emit, HP_FACET);
    assert_int_equal(apply(&(struct nm_item){.catching_up = true}, &e).emit, HP_FACET);
}

static void signal__lower_offsets_count_no_more_and_are_sent_again(void **state)
{
    (void)state;
    (void)article(1, 86);
    assert_int_equal(signal_of(5, "site", OLD, 3, NULL).engagement, 3);
    struct hp_view again = signal_of(5, "site", OLD, 3, NULL);
    assert_string_equal(again.how, "again");
    assert_int_equal(again.emit, HP_FACET);
    assert_int_equal(again.engagement, 3);
    assert_int_equal(signal_of(4, "site", OLD, 3, NULL).engagement, 3);
    assert_int_equal(signal_of(6, "site", OLD, 3, NULL).engagement, 6);
}

static void signal__offsets_of_a_recreated_stream_are_its_own(void **state)
{
    (void)state;
    (void)article(1, 86);
    assert_int_equal(signal_of(5, "site", OLD, 3, NULL).engagement, 3);
    generation = 1;
    assert_int_equal(signal_of(0, "site", OLD, 1, NULL).engagement, 4);
    assert_string_equal(signal_of(0, "site", OLD, 1, NULL).how, "again");
    generation = 12;
    assert_int_equal(signal_of(0, "site", OLD, 1, NULL).engagement, 5);
    generation = 0; /* late, from a process that had not seen it */
    assert_string_equal(signal_of(5, "site", OLD, 3, NULL).how, "again");
}

static void signal__same_id_counts_once_in_its_window(void **state)
{
    (void)state;
    (void)article(1, 86);
    assert_int_equal(signal_of(1, "site", OLD, 3, "aaaaaaaa").engagement, 3);
    assert_string_equal(signal_of(2, "site", OLD + STEP, 3, "aaaaaaaa").how, "twice");
    assert_int_equal(signal_of(3, "site", OLD, 3, "aaaaaaab").engagement, 6);
    assert_string_equal(signal_of(4, "site", OLD + DAY - STEP, 3, "aaaaaaaa").how, "twice");
    assert_int_equal(signal_of(5, "site", OLD + DAY, 4, "aaaaaaaa").engagement, 4); /* both are over */
}

static void signal__cap_holds_for_each_source(void **state)
{
    (void)state;
    (void)article(1, 0);
    assert_int_equal(signal_of(1, "a", OLD, 900, NULL).engagement, 900);
    assert_int_equal(signal_of(2, "a", OLD + STEP, 900, NULL).engagement, 1000);
    assert_int_equal(signal_of(3, "b", OLD, 70, NULL).engagement, 1070);
}

static void signal__late_one_changes_nothing(void **state)
{
    (void)state;
    (void)article(1, 0);
    struct hp_view view = clicks(OLD + 3 * DAY, 1);
    report(&view, -1);
    view = clicks(OLD + 2 * DAY, 7);
    assert_string_equal(view.how, "late");
    assert_int_equal(view.emit, HP_SILENT);
    assert_int_equal(clicks(OLD + 2 * DAY + STEP, 7).engagement, 8);
}

static void waiting__signals_of_an_unknown_article_expire_and_are_bounded(void **state)
{
    (void)state;
    struct hp_view view = clicks(OLD, 2);
    assert_string_equal(view.how, "waits");
    assert_int_equal(view.emit, HP_SILENT);
    assert_int_equal(due_ms(), -1);
    assert_in_range(ttl_ms(), 1, (3 * DAY + HP_WAIT_S) * 1000LL);
    int64_t dropped = 0;
    for (int i = 0; i < HP_MAX_SERIES + 6; i++) {
        char source[16];
        (void)snprintf(source, sizeof source, "s%d", i);
        dropped += signal_of(next_offset++, source, OLD + STEP * (i + 1LL), 1, NULL).dropped;
    }
    assert_int_equal(dropped, 7); /* the oldest: site, s0, ... s5 */
    view = article(1, 0);
    assert_int_equal(view.engagement, 64);
    assert_true(ttl_ms() > 390LL * DAY * 1000);
    assert_true(due_ms() > 0);
}

/* Signals for ids that nobody knows take a bounded place: those that were silent for longest go, but no article does.
 */
static void waiting__invented_ids_make_room_for_each_other(void **state)
{
    (void)state;
    int64_t crowded = 0;
    (void)clicks(OLD, 7); /* of an article that comes in time */
    assert_int_equal(article(1, 0).engagement, 7);
    for (int i = 0; i < 12000; i++) {
        struct hp_event e = {
            .type = HP_SIGNAL_EVENT, .kind = 'c', .count = 1, .at_s = OLD, .source = "x", .source_len = 1};
        struct nm_item item = {.stream = NM_SIGNALS, .partition = 2, .offset = 100 + i};
        (void)snprintf(e.id, sizeof e.id, "%032x", i);
        crowded += apply(&item, &e).crowded;
    }
    int64_t keys = nm_reply_int(state_world_run(&world, (const char *const[]){"DBSIZE", NULL}), 0);
    assert_in_range(keys, 4000,
                    4 * 1000 + 4 + 3); /* in each of four partitions: ids, their set; the article and its timer */
    assert_int_equal(crowded, 12000 - 4 * 1000);
    assert_int_equal(clicks(OLD, 1).engagement, 8);
}

static void limits__oldest_buckets_go_and_ids_are_forgotten(void **state)
{
    (void)state;
    int64_t dropped = 0, forgotten = 0, n = 0;
    (void)article(1, 0);
    for (int s = 0; s < 50; s++)
        for (int i = 0; i < 90; i++, n++) {
            char source[16], name[HP_HASH + 1];
            (void)snprintf(source, sizeof source, "s%d", s);
            (void)snprintf(name, sizeof name, "%c%07d", 'a' + (int)(n % 16), (int)n);
            struct hp_view view = signal_of(n, source, OLD + i * STEP, 1, name);
            dropped += view.dropped;
            forgotten += view.forgotten;
        }
    assert_in_range(dropped, 400, 4500 - 3500);
    assert_int_equal(forgotten, 4500 - 16 * HP_MAX_IDS);
    assert_true(timer((OLD + 89LL * STEP) * 1000).engagement <= HP_MAX_BUCKETS);
}

static void timer__lets_old_signals_fade_as_far_as_the_clock(void **state)
{
    (void)state;
    (void)article(1, 86);
    (void)clicks(OLD, 3);
    assert_int_equal(clicks(OLD + STEP, 4).engagement, 7);
    int64_t score = due_ms();
    assert_int_equal(score, (OLD + DAY) * 1000LL);
    struct hp_view view = timer(score);
    assert_int_equal(view.engagement, 0); /* the next timer had passed too */
    assert_int_equal(view.as_of_s, OLD + DAY + STEP);
    assert_int_equal(view.next_s, 0);
    assert_int_equal(due_ms(), score); /* until it is reported */
    report(&view, score);
    assert_int_equal(due_ms(), -1);
}

static void timer__set_anew_meanwhile_stays(void **state)
{
    (void)state;
    int64_t now = now_s();
    (void)article(1, 86);
    (void)clicks(OLD, 3);
    int64_t score = due_ms();
    struct hp_view view = timer(score);
    (void)clicks(now, 1);
    int64_t next = due_ms();
    assert_int_equal(next, (now - now % STEP + DAY) * 1000);
    report(&view, score);
    assert_int_equal(due_ms(), next);
    assert_string_equal(timer(score).how, "due"); /* comes again after a crash: nothing changes */
    assert_int_equal(due_ms(), next);
}

static void retraction__drops_what_was_counted_and_stays_as_a_mark(void **state)
{
    (void)state;
    (void)article(5, 86);
    (void)signal_of(3, "site", now_s(), 3, "aaaaaaaa");
    struct hp_view view = retract(6);
    assert_int_equal(view.emit, HP_TOMBSTONE);
    assert_int_equal(due_ms(), -1);
    assert_string_equal(article(5, 86).how, "stale");
    report(&view, -1);
    assert_string_equal(signal_of(4, "site", now_s(), 3, NULL).how, "gone");
    assert_int_equal(signal_of(5, "site", now_s(), 3, NULL).emit, HP_SILENT);
    assert_string_equal(timer(1000).how, "none");
    assert_int_equal(article(7, 86).heat, 86);
    assert_string_equal(signal_of(3, "site", now_s(), 3, NULL).how, "again"); /* redelivered from before */
    assert_int_equal(signal_of(6, "site", now_s(), 3, "aaaaaaaa").engagement, 3);
}

static void options__other_ones_make_the_sums_anew(void **state)
{
    (void)state;
    struct nm_error err = {0};
    (void)article(1, 86);
    assert_int_equal(clicks(OLD, 3).engagement, 3);
    char name[] = "click.weight", value[] = "2.5";
    struct nm_pair pair = {name, value};
    struct hp_options other = {
        .per_related = 10, .step_ms = 2 * STEP * 1000, .max_waiting = 1000, .kinds = {.item = &pair, .n = 1}};
    assert_int_equal(hp_state_open(&heat, &other, &settings, &err), NM_OK);
    assert_int_equal(nm_redis_load(world.redis, scripts, sizeof scripts / sizeof *scripts, &err), NM_OK);
    struct hp_view view = article(1, 86); /* read again after the change */
    assert_int_equal(view.engagement, 8);
    assert_int_equal(hp_state_open(&heat, &options, &settings, &err), NM_OK);
    assert_int_equal(nm_redis_load(world.redis, scripts, sizeof scripts / sizeof *scripts, &err), NM_OK);
}

/* The most usual case, a batch of it: nothing is lost between the fast way and the slow one. Prints what it costs. */
static void signal__many_for_one_bucket(void **state)
{
    (void)state;
    struct nm_error err = {0};
    struct timespec began, ended;
    enum { BATCH = 500, ROUNDS = 40 };
    int64_t now = now_s(), user_us = 0;
    (void)article(1, 86);
    for (int i = 0; i < 96; i++)
        (void)clicks(now - 95 * STEP + i * STEP, 1);
    for (int round = 0; round < ROUNDS; round++) {
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
        nm_pipe_reset(&world.pipe);
        for (int i = 0; i < BATCH; i++) {
            struct hp_event e = {
                .type = HP_SIGNAL_EVENT, .id = ID, .kind = 'c', .count = 1, .at_s = now, .source = "site"};
            e.source_len = 4;
            (void)hp_apply(&heat, &world.pipe, &(struct nm_item){.partition = 2, .offset = next_offset++}, &e);
        }
        if (nm_redis_exec(world.redis, &world.pipe, &err) != NM_OK)
            fail_msg("%s", err.msg);
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
        user_us += (ended.tv_sec - began.tv_sec) * 1000000 + (ended.tv_nsec - began.tv_nsec) / 1000;
    }
    assert_int_equal(clicks(now, 1).engagement, 1000); /* the cap */
    assert_int_equal(nm_reply_int(state_world_run(&world, (const char *const[]){"HLEN", KEY, NULL}), 0), 8);
    print_message("a signal: %.1f us of CPU here, without reading it\n", (double)user_us / (BATCH * ROUNDS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lead__reference_profile_and_member, fresh),
        cmocka_unit_test_setup(revision__grows_by_the_clock_and_is_read_back, fresh),
        cmocka_unit_test_setup(mark__suppresses_until_something_else_was_taken, fresh),
        cmocka_unit_test_setup(signal__lower_offsets_count_no_more_and_are_sent_again, fresh),
        cmocka_unit_test_setup(signal__offsets_of_a_recreated_stream_are_its_own, fresh),
        cmocka_unit_test_setup(signal__same_id_counts_once_in_its_window, fresh),
        cmocka_unit_test_setup(signal__cap_holds_for_each_source, fresh),
        cmocka_unit_test_setup(signal__late_one_changes_nothing, fresh),
        cmocka_unit_test_setup(waiting__signals_of_an_unknown_article_expire_and_are_bounded, fresh),
        cmocka_unit_test_setup(waiting__invented_ids_make_room_for_each_other, fresh),
        cmocka_unit_test_setup(limits__oldest_buckets_go_and_ids_are_forgotten, fresh),
        cmocka_unit_test_setup(timer__lets_old_signals_fade_as_far_as_the_clock, fresh),
        cmocka_unit_test_setup(timer__set_anew_meanwhile_stays, fresh),
        cmocka_unit_test_setup(retraction__drops_what_was_counted_and_stays_as_a_mark, fresh),
        cmocka_unit_test_setup(options__other_ones_make_the_sums_anew, fresh),
        cmocka_unit_test_setup(signal__many_for_one_bucket, fresh),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
