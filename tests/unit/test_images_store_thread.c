/* test_images_store_thread.c - the thread that waits for the store: order, bounds, what its end leaves. */
#include "scratch.h"
#include "store_checks.h"

#include "images/store_thread.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { JOBS = 64 };

struct probe {
    struct im_job job; /* first */
    int started[2], gate[2];
    int most_ms; /* at the gate; 0: until it is let go */
    struct im_store *seen;
};

static void note(struct im_job *job, struct im_store *store)
{
    ((struct probe *)job)->seen = store;
}

/* Says that it runs, and waits until it is let go or its time is over. */
static void wait_at_gate(struct im_job *job, struct im_store *store)
{
    struct probe *probe = (struct probe *)job;
    char c = 'x';
    note(job, store);
    struct pollfd gate = {.fd = probe->gate[0], .events = POLLIN};
    (void)!write(probe->started[1], &c, 1);
    (void)poll(&gate, 1, probe->most_ms ? probe->most_ms : -1);
}

static void gate_make(struct probe *probe)
{
    *probe = (struct probe){.job.run = wait_at_gate};
    assert_int_equal(pipe(probe->started), 0);
    assert_int_equal(pipe(probe->gate), 0);
}

static void gate_wait_until_it_runs(const struct probe *probe)
{
    char c;
    assert_int_equal(read(probe->started[0], &c, 1), 1);
}

static void gate_open(const struct probe *probe)
{
    assert_int_equal(write(probe->gate[1], "x", 1), 1);
}

static void gate_clear(struct probe *probe)
{
    for (int i = 0; i < 2; i++) {
        (void)close(probe->started[i]);
        (void)close(probe->gate[i]);
    }
}

static struct im_store_thread *thread_of(struct im_store *store, size_t max_jobs)
{
    struct im_store_thread *thread = NULL;
    struct nm_error err = {0};
    if (im_store_thread_open(store, max_jobs, &thread, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return thread;
}

static bool is_readable(const struct im_store_thread *thread, int wait_ms)
{
    struct pollfd fd = {.fd = im_store_thread_fd(thread), .events = POLLIN};
    return poll(&fd, 1, wait_ms) == 1;
}

static struct im_job *next_job(struct im_store_thread *thread)
{
    assert_true(is_readable(thread, 10000));
    return im_store_thread_next(thread);
}

static void thread__jobs_run_and_come_back_in_order(void **state)
{
    (void)state;
    struct im_store store = {0};
    struct probe probe[JOBS];
    struct im_store_thread *thread = thread_of(&store, JOBS);
    assert_false(is_readable(thread, 0));
    assert_null(im_store_thread_next(thread));
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < JOBS; i++) {
            probe[i] = (struct probe){.job.run = note};
            assert_true(im_store_submit(thread, &probe[i].job));
        }
        for (size_t i = 0; i < JOBS; i++) {
            assert_ptr_equal(next_job(thread), &probe[i].job);
            assert_true(probe[i].job.ran && probe[i].seen == &store);
        }
        assert_null(im_store_thread_next(thread));
        assert_false(is_readable(thread, 0));
    }
    im_store_thread_free(thread);
}

static void thread__a_job_that_waits_holds_up_nobody_who_submits(void **state)
{
    (void)state;
    struct im_store store = {0};
    struct probe slow, quick = {.job.run = note};
    struct im_store_thread *thread = thread_of(&store, 2);
    gate_make(&slow);
    assert_true(im_store_submit(thread, &slow.job));
    gate_wait_until_it_runs(&slow);
    assert_true(im_store_submit(thread, &quick.job));
    assert_null(im_store_thread_next(thread));
    assert_false(is_readable(thread, 0));
    gate_open(&slow);
    assert_ptr_equal(next_job(thread), &slow.job);
    assert_ptr_equal(next_job(thread), &quick.job);
    im_store_thread_free(thread);
    gate_clear(&slow);
}

static void thread__what_is_out_is_bounded(void **state)
{
    (void)state;
    struct im_store store = {0};
    struct probe slow, more[3] = {{.job.run = note}, {.job.run = note}, {.job.run = note}};
    struct im_store_thread *thread = thread_of(&store, 2);
    gate_make(&slow);
    assert_true(im_store_submit(thread, &slow.job));
    assert_true(im_store_submit(thread, &more[0].job));
    assert_false(im_store_submit(thread, &more[1].job));
    gate_open(&slow);
    assert_ptr_equal(next_job(thread), &slow.job); /* only what was taken back makes room */
    assert_true(im_store_submit(thread, &more[1].job));
    assert_false(im_store_submit(thread, &more[2].job));
    assert_ptr_equal(next_job(thread), &more[0].job);
    assert_ptr_equal(next_job(thread), &more[1].job);
    assert_true(im_store_submit(thread, &more[2].job));
    assert_ptr_equal(next_job(thread), &more[2].job);
    im_store_thread_free(thread);
    gate_clear(&slow);
}

static void thread__closing_gives_every_job_back(void **state)
{
    (void)state;
    struct im_store store = {0};
    struct probe slow, later[3] = {{.job.run = note}, {.job.run = note}, {.job.run = note}};
    struct im_store_thread *thread = thread_of(&store, 8);
    gate_make(&slow);
    slow.most_ms = 300; /* nobody lets it go: close() waits for it */
    assert_true(im_store_submit(thread, &slow.job));
    gate_wait_until_it_runs(&slow);
    for (size_t i = 0; i < 3; i++)
        assert_true(im_store_submit(thread, &later[i].job));
    im_store_thread_close(thread);
    assert_false(im_store_submit(thread, &slow.job));
    assert_ptr_equal(next_job(thread), &slow.job);
    assert_true(slow.job.ran);
    bool gap = false; /* on a machine that stood still for 300 ms the first ones may have run */
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(next_job(thread), &later[i].job);
        assert_true(later[i].job.ran == (later[i].seen == &store));
        assert_false(gap && later[i].job.ran);
        gap = !later[i].job.ran;
    }
    assert_null(im_store_thread_next(thread));
    im_store_thread_close(thread); /* again is harmless */
    im_store_thread_free(thread);
    gate_clear(&slow);
}

struct put {
    struct im_job job; /* first */
    struct piece piece;
    char name[IM_NAME_BYTES];
    enum im_put how;
    enum im_reason reason;
    struct nm_error err;
};

static void put_it(struct im_job *job, struct im_store *store)
{
    struct put *put = (struct put *)job;
    put->reason = im_store_put(store, put->name, &put->piece.content, false, &put->how, &put->err);
}

static void thread__puts_into_a_real_store(void **state)
{
    (void)state;
    char path[SCRATCH_BYTES];
    struct im_store *store = NULL;
    struct nm_error err = {0};
    static struct put put[16];
    scratch_make(path, true);
    assert_int_equal(im_store_directory_open(path, &store, &err), NM_OK);
    for (unsigned i = 0; i < 16; i++) {
        put[i].job.run = put_it;
        piece_make(store, i / 2, 4000, &put[i].piece); /* each twice */
        piece_name(&put[i].piece, IM_WEBP, 0, put[i].name);
    }
    struct im_store_thread *thread = thread_of(store, 16);
    for (unsigned i = 0; i < 16; i++)
        assert_true(im_store_submit(thread, &put[i].job));
    for (unsigned i = 0; i < 16; i++) {
        assert_ptr_equal(next_job(thread), &put[i].job);
        assert_int_equal(put[i].reason, IM_NONE);
        assert_int_equal(put[i].how, i % 2 ? IM_PUT_EXISTED : IM_PUT_STORED);
    }
    im_store_thread_free(thread);
    for (unsigned i = 0; i < 16; i++) {
        check_holds(store, put[i].name, i / 2, 4000);
        piece_clear(&put[i].piece);
    }
    im_store_close(store);
    scratch_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread__jobs_run_and_come_back_in_order),
        cmocka_unit_test(thread__a_job_that_waits_holds_up_nobody_who_submits),
        cmocka_unit_test(thread__what_is_out_is_bounded),
        cmocka_unit_test(thread__closing_gives_every_job_back),
        cmocka_unit_test(thread__puts_into_a_real_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
