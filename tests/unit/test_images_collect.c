/* test_images_collect.c - what of collect.h only time and a failing store show: files go in time or not at all, and a
 * run that ends early leaves everything to the next one. The rest is tests/integration/test_images_collect.py. */
#include "images/collect.h"
#include "images_world.h"
#include "scratch.h"
#include "store_checks.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY INT64_C(86400000)

/* A store that is slow to remove, or fails to. */
static struct {
    struct im_store *real;
    struct im_store_ops ops;
    struct im_store store;
    int slow_ms, n_removed;
    bool fails;
} slow;

static enum im_reason slow_remove(struct im_store *store, const char *name, struct nm_error *err)
{
    (void)store;
    (void)poll(NULL, 0, slow.slow_ms);
    if (slow.fails) {
        (void)!nm_fail(err, NM_RETRY, "the store cannot remove %s", name);
        return IM_store_io;
    }
    slow.n_removed++;
    return slow.real->ops->remove(slow.real, name, err);
}

static enum im_reason real_list(struct im_store *store, enum im_area area, struct im_page *page, struct nm_error *err)
{
    (void)store;
    return im_store_list(slow.real, area, page, err);
}

static enum im_reason real_space(struct im_store *store, struct im_space *out, struct nm_error *err)
{
    (void)store;
    return im_store_space(slow.real, out, err);
}

static char folder[SCRATCH_BYTES];

static int fresh(void **state)
{
    struct nm_error err = {0};
    im_store_close(slow.real);
    memset(&slow, 0, sizeof slow);
    if (im_store_directory_open(folder, &slow.real, &err) != NM_OK)
        fail_msg("%s", err.msg);
    slow.ops = (struct im_store_ops){.remove = slow_remove, .list = real_list, .space = real_space};
    slow.store.ops = &slow.ops;
    return iw_fresh(state);
}

static struct im_collected gc(enum nm_status want)
{
    struct nm_error err = {0};
    struct im_collected out;
    struct im_collect collect = {
        .state = &iw.state, .redis = iw.world.redis, .store = &slow.store, .max_percent = 100, .n_thumbs = 0};
    enum nm_status status = im_gc(&collect, &out, &err);
    if (status != want)
        fail_msg("status %d: %s", (int)status, err.msg);
    return out;
}

/* As many objects without a URL, whose grace is over. */
static void make_dying(unsigned n)
{
    for (unsigned i = 1; i <= n; i++)
        (void)iw_fetch(i, i);
    iw_advance(31 * DAY);
    assert_int_equal(gc(NM_OK).n[IM_DEED_MARK], n);
    iw_advance(DAY);
}

static void remove__in_time_or_not_at_all(void **state)
{
    (void)state;
    struct im_state_options options;
    im_state_defaults(&options);
    options.deleting_ms = 40;
    iw_options(&options);
    (void)iw_fetch(1, 1);
    IW_RUN("HSET", iw_key("o:", iw_sha(1)), "thumbs", "", "type", "?"); /* four names to remove */
    iw_advance(31 * DAY);
    (void)gc(NM_OK);
    iw_advance(DAY);
    slow.slow_ms = 30; /* more than half of it */
    struct im_collected out = gc(NM_OK);
    assert_int_equal(slow.n_removed, 1);
    assert_int_equal(out.n[IM_DEED_REMOVE], 0);
    assert_string_not_equal(iw_field("o:", iw_sha(1), "deleting"), "");
    iw_advance(DAY);
    slow.slow_ms = 0;
    assert_int_equal(gc(NM_OK).n[IM_DEED_REMOVE], 1); /* taken over */
    assert_int_equal(slow.n_removed, 5);
    assert_int_equal(IW_NUMBER("EXISTS", iw_key("o:", iw_sha(1))), 0);
}

static void remove__a_store_that_fails_ends_the_run_soon(void **state)
{
    (void)state;
    make_dying(20);
    slow.fails = true;
    struct im_collected out = gc(NM_RETRY);
    assert_int_equal(out.failed, 5);
    assert_int_equal(out.n[IM_DEED_REMOVE], 0);
    slow.fails = false;
    iw_advance(DAY);
    assert_int_equal(gc(NM_OK).n[IM_DEED_REMOVE], 20);
    assert_int_equal(IW_NUMBER("ZCARD", "t:img:lru"), 0);
}

static bool stop_at_once(void *ctx)
{
    return ++*(int *)ctx > 2;
}

static void stop__is_asked_for_and_heeded(void **state)
{
    (void)state;
    make_dying(3);
    int asked = 0;
    struct nm_error err = {0};
    struct im_collected out;
    struct im_collect collect = {
        .state = &iw.state, .redis = iw.world.redis, .store = &slow.store, .ctx = &asked, .stopped = stop_at_once};
    assert_int_equal(im_gc(&collect, &out, &err), NM_OK);
    assert_true(out.stopped);
    assert_int_equal(out.n[IM_DEED_REMOVE], 0);
}

static int open_all(void **state)
{
    scratch_make(folder, true);
    return iw_open(state);
}

static int close_all(void **state)
{
    im_store_close(slow.real);
    scratch_remove(folder);
    return iw_close(state);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(remove__in_time_or_not_at_all),
        TEST(remove__a_store_that_fails_ends_the_run_soon),
        TEST(stop__is_asked_for_and_heeded),
    };
    return cmocka_run_group_tests_name("images_collect", tests, open_all, close_all);
}
