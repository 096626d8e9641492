/* test_images_decoder_pool.c - decoder processes that misbehave: what they may not do, limits, kills, forged replies.
 */
#include "decoder_files.h"
#include "decoder_rig.h"
#include "newsmill/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 24, EDGE = 4000 }; /* no thumbnail is smaller than the picture: the outputs stay empty */

static struct nm_buf image;         /* that of `small` */
static struct im_decoder_job small; /* a good job; the quality of its thumbnail is what a hooked process does */

static int make_small(void **state)
{
    (void)state;
    struct df_picture picture = df_draw(SIDE, SIDE, 3);
    df_png(&picture, &(struct df_png){0}, &image);
    small = (struct im_decoder_job){.facts = dr_facts(IM_PNG, SIDE, SIDE, 1, image.len),
                                    .limits = dr_limits(),
                                    .input_fd = dr_file(image.data, image.len),
                                    .n_thumbs = 1,
                                    .thumb = {{.edge = EDGE, .quality = 80}}};
    small.output_fd[0] = dr_empty();
    free(picture.data);
    return 0;
}

static int close_small(void **state)
{
    (void)state;
    (void)close(small.input_fd);
    (void)close(small.output_fd[0]);
    nm_buf_clear(&image);
    return 0;
}

static struct im_decoder_job deed(enum dr_deed what)
{
    struct im_decoder_job job = small;
    job.thumb[0].quality = (int32_t)what;
    job.thumb[0].edge = what == DR_FORGE_FILE ? IM_THUMB_EDGE_MIN : EDGE;
    job.copy = what == DR_FORGE_COPY ? IM_COPY_BARE : IM_COPY_NONE;
    job.copy_fd = small.output_fd[0]; /* stays empty too */
    return job;
}

static int open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

/* Closes a pool, which must leave no process and no file behind. */
static void close_clean(struct im_decoders *pool, int files_before)
{
    im_decoders_close(pool);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(open_files(), files_before);
}

static pid_t only_pid(const struct im_decoders *pool)
{
    pid_t pid = 0;
    assert_int_equal(im_decoders_pids(pool, &pid, 1), 1);
    return pid;
}

/* Until the only process has said something, or is dead, that the pool does not know yet. */
static void until_it_speaks(const struct im_decoders *pool)
{
    struct pollfd fd;
    assert_int_equal(im_decoders_fds(pool, &fd, 1), 1);
    assert_int_equal(poll(&fd, 1, 20000), 1);
}

static void expect_killed_with(struct im_decoders *pool, struct im_decoder_job job, const char *cause)
{
    int what = job.thumb[0].quality;
    pid_t before = only_pid(pool);
    struct im_decoded got = dr_run(pool, &job);
    if (got.reason != IM_decode_killed || (cause && strcmp(got.cause, cause) != 0))
        fail_msg("deed %d: %s, %s", what, im_reason_name(got.reason), got.cause);
    assert_int_equal(got.width, 0);
    assert_int_equal(got.cpu_us, -1);
    got = dr_run(pool, &small);
    assert_int_equal(got.reason, IM_NONE);
    assert_int_equal(got.width, SIDE);
    assert_int_not_equal(only_pid(pool), before);
}

/* With files of the caller, and with the image in memory. */
static void expect_killed(struct im_decoders *pool, enum dr_deed what, const char *cause)
{
    struct im_decoder_job job = deed(what);
    expect_killed_with(pool, job, cause);
    job.input = (const uint8_t *)image.data;
    job.input_fd = job.output_fd[0] = job.copy_fd = -1;
    expect_killed_with(pool, job, cause);
}

static void sandbox__forbidden_calls_kill_the_process(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open("--hooked", 1, 5000, 80000);
    for (int what = DR_SOCKET; what < DR_CRASH; what++)
        expect_killed(pool, (enum dr_deed)what, "seccomp");
    expect_killed(pool, DR_FORGE_FILES, "seccomp"); /* sendmsg() */
    assert_int_equal(im_decoders_stats(pool).kills, 2 * (DR_CRASH - DR_SOCKET + 1));
    assert_int_equal(im_decoders_stats(pool).forged, 0);
    close_clean(pool, files);
}

static void forged__replies_are_refused(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open("--hooked", 1, 5000, 80000);
    for (int what = DR_FORGE_MAGIC; what < DR_FORGE_FILES; what++)
        expect_killed(pool, (enum dr_deed)what, what == DR_FORGE_LONG ? NULL : "forged reply");
    assert_int_equal(im_decoders_stats(pool).forged, 2 * (DR_FORGE_FILES - DR_FORGE_MAGIC - 1));
    close_clean(pool, files);
}

static void forged__a_second_reply_ends_the_process_but_not_the_next_job(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open("--hooked", 1, 5000, 80000);
    struct im_decoder_job job = deed(DR_REPLY_TWICE);
    assert_int_equal(dr_run(pool, &job).reason, IM_NONE);
    if (im_decoders_stats(pool).forged == 0)
        until_it_speaks(pool);
    assert_int_equal(dr_run(pool, &small).reason, IM_NONE);
    assert_int_equal(im_decoders_stats(pool).forged, 1);
    close_clean(pool, files);
}

static void crash__fails_its_own_job_only(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open("--hooked", 1, 5000, 80000);
    expect_killed(pool, DR_CRASH, NULL); /* a sanitizer turns the signal into an exit */
    expect_killed(pool, DR_LEAVE, "exit");
    close_clean(pool, files);
}

static void cpu__limit_kills_and_counts_from_each_job_anew(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open("--hooked", 1, 1000, 80000);
    struct im_decoder_job job = deed(DR_SPIN);
    struct im_decoded got = dr_run(pool, &job);
    assert_int_equal(got.reason, IM_decode_killed);
    assert_string_equal(got.cause, "cpu limit");
    assert_true(got.wall_ms >= 900);
    assert_int_equal(dr_run(pool, &small).reason, IM_NONE);
    close_clean(pool, files);
}

/* What the clock says is the caller's word: here it jumps. */
static void wall__limit_kills_what_waits(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open("--hooked", 1, 5000, 10000);
    struct im_decoder_job job = deed(DR_HANG);
    struct im_decoded got;
    dr_wait_idle(pool, 1);
    int64_t start_ms = nm_boottime_ms();
    assert_int_equal(im_decoders_submit(pool, &job, start_ms, NULL), NM_OK);
    assert_int_equal(im_decoders_due_ms(pool), start_ms + 10000);
    im_decoders_tick(pool, start_ms + 9999);
    assert_int_equal(im_decoders_fds(pool, (struct pollfd[1]){{0}}, 1), 1);
    im_decoders_tick(pool, start_ms + 10000); /* it may be dead, and the next one started, before this returns */
    while (!im_decoders_take(pool, &got))
        im_decoders_tick(pool, ++start_ms + 10000);
    assert_int_equal(got.reason, IM_decode_killed);
    assert_string_equal(got.cause, "wall limit");
    assert_true(got.wall_ms >= 10000);
    close_clean(pool, files);
}

static void kill9__in_every_state(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open("--hooked", 1, 5000, 80000);
    (void)kill(only_pid(pool), SIGKILL); /* while it starts */
    assert_int_equal(dr_run(pool, &small).reason, IM_NONE);
    (void)kill(only_pid(pool), SIGKILL); /* idle, and the pool does not know yet: the job must not be lost */
    until_it_speaks(pool);
    assert_int_equal(dr_run(pool, &small).reason, IM_NONE);
    struct im_decoder_job job = deed(DR_HANG);
    dr_wait_idle(pool, 1);
    assert_int_equal(im_decoders_submit(pool, &job, nm_boottime_ms(), NULL), NM_OK);
    (void)kill(only_pid(pool), SIGKILL); /* busy */
    struct im_decoded got = dr_wait(pool);
    assert_int_equal(got.reason, IM_decode_killed);
    assert_string_equal(got.cause, "killed");
    assert_int_equal(dr_run(pool, &small).reason, IM_NONE);
    assert_int_equal(im_decoders_check(pool, NULL), NM_OK);
    close_clean(pool, files);
}

static void idle__death_is_noticed_without_a_job(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open(NULL, 1, 5000, 80000);
    dr_wait_idle(pool, 1);
    pid_t pid = only_pid(pool);
    (void)kill(pid, SIGKILL);
    while (im_decoders_stats(pool).kills == 0)
        im_decoders_tick(pool, nm_boottime_ms());
    dr_wait_idle(pool, 1);
    assert_int_not_equal(only_pid(pool), pid);
    close_clean(pool, files);
}

static void submit__as_many_jobs_as_processes(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open("--hooked", 3, 5000, 80000);
    struct im_decoder_job job = deed(DR_HANG);
    struct nm_error err = {0};
    dr_wait_idle(pool, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(im_decoders_submit(pool, &job, nm_boottime_ms(), &err), NM_OK);
    assert_int_equal(im_decoders_submit(pool, &small, nm_boottime_ms(), &err), NM_RETRY);
    assert_int_equal(im_decoders_idle(pool), 0);
    close_clean(pool, files); /* three of them busy */
}

static void submit__a_result_waits_until_it_is_taken(void **state)
{
    (void)state;
    struct im_decoders *pool = dr_open(NULL, 1, 5000, 80000);
    struct im_decoder_job job = small;
    struct im_decoded got;
    int mark = 7;
    job.owner = &mark;
    dr_wait_idle(pool, 1);
    assert_int_equal(im_decoders_submit(pool, &job, nm_boottime_ms(), NULL), NM_OK);
    while (im_decoders_stats(pool).jobs == 0)
        im_decoders_tick(pool, nm_boottime_ms());
    assert_int_equal(im_decoders_submit(pool, &job, nm_boottime_ms(), NULL), NM_RETRY);
    assert_true(im_decoders_take(pool, &got));
    assert_ptr_equal(got.owner, &mark);
    assert_false(im_decoders_take(pool, &got));
    assert_int_equal(im_decoders_idle(pool), 1);
    im_decoders_close(pool);
}

static void submit__what_no_decoder_accepts(void **state)
{
    (void)state;
    struct im_decoders *pool = dr_open(NULL, 1, 5000, 80000);
    dr_wait_idle(pool, 1);
    for (int i = 0; i < 16; i++) {
        struct im_decoder_job job = small;
        struct nm_error err = {0};
        int folder = open("/", O_RDONLY | O_CLOEXEC), none[2];
        assert_int_equal(pipe(none), 0);
        job.facts.type = i == 0 ? IM_AVIF : job.facts.type;
        job.facts.raw_width = i == 1 ? 0 : i == 2 ? IM_EDGE_MAX + 1 : SIDE;
        job.facts.orientation = i == 3 ? 9 : 1;
        job.facts.end += i == 4;
        job.facts.end = i == 5 ? 0 : job.facts.end;
        job.limits.max_pixels = i == 6 ? SIDE * SIDE - 1 : job.limits.max_pixels;
        job.n_thumbs = i == 7 ? IM_THUMBS + 1 : 1;
        job.thumb[0].edge = i == 8 ? IM_THUMB_EDGE_MAX + 1 : EDGE;
        job.thumb[0].quality = i == 9 ? 101 : 80;
        job.thumb[0].format = i == 10 ? 2 : IM_THUMB_JPEG;
        job.input_fd = i == 11 ? small.output_fd[0] : i == 12 ? folder : small.input_fd;
        job.output_fd[0] = i == 13 ? small.input_fd : small.output_fd[0];
        job.copy = i == 14 ? (enum im_copy)3 : i == 15 ? IM_COPY_BARE : IM_COPY_NONE;
        job.copy_fd = i == 14 ? small.output_fd[0] : small.input_fd;
        if (im_decoders_submit(pool, &job, nm_boottime_ms(), &err) != NM_BAD_INPUT)
            fail_msg("case %d is taken", i);
        assert_string_equal(err.code, "image_job");
        (void)close(folder);
        (void)close(none[0]);
        (void)close(none[1]);
    }
    im_decoders_close(pool);
}

static void recycle__after_a_thousand_jobs(void **state)
{
    (void)state;
    int files = open_files();
    struct im_decoders *pool = dr_open(NULL, 1, 5000, 80000);
    dr_wait_idle(pool, 1);
    pid_t first = only_pid(pool);
    long early_kb = 0, late_kb = 0;
    for (int i = 0; i < IM_DECODER_JOBS; i++) {
        early_kb = i == 100 ? dr_memory_kb(pool, "VmSize:") : early_kb;
        late_kb = i == IM_DECODER_JOBS - 1 ? dr_memory_kb(pool, "VmSize:") : late_kb;
        assert_int_equal(only_pid(pool), first);
        assert_int_equal(dr_run(pool, &small).reason, IM_NONE);
    }
    assert_true(dr_sanitized() ||
                late_kb < early_kb + 1000); /* nothing is kept of a job, not even the mapping of its file */
    assert_int_equal(dr_run(pool, &small).reason, IM_NONE);
    assert_int_not_equal(only_pid(pool), first);
    assert_int_equal(im_decoders_stats(pool).recycled, 1);
    assert_int_equal(im_decoders_stats(pool).kills, 0);
    close_clean(pool, files);
}

static void start__failures_back_off_and_are_told(void **state)
{
    (void)state;
    static const char *const arguments[] = {"--lame", "--rude"};
    for (size_t i = 0; i < 2; i++) {
        int files = open_files();
        struct im_decoders *pool = dr_open(arguments[i], 1, 5000, 80000);
        struct nm_error err = {0};
        int64_t now_ms = nm_boottime_ms(), start_ms = now_ms;
        while (im_decoders_check(pool, &err) == NM_OK) {
            int64_t due_ms = im_decoders_due_ms(pool);
            im_decoders_tick(pool, now_ms); /* the clock jumps to what is due, unless that is a process to wait for */
            now_ms = due_ms > now_ms && due_ms < now_ms + 6000 ? due_ms : now_ms;
        }
        assert_int_equal(im_decoders_stats(pool).failed_starts, IM_DECODER_BROKEN);
        assert_true(now_ms - start_ms >= 100 + 200 + 400 + 800);
        assert_non_null(strstr(err.msg, "standard error"));
        assert_int_equal(im_decoders_idle(pool), 0);
        close_clean(pool, files);
    }
}

static void open__settings_out_of_range(void **state)
{
    (void)state;
    int files = open_files();
    for (int i = 0; i < 8; i++) {
        struct im_decoder_settings settings = {
            .processes = i == 0   ? 0
                         : i == 1 ? IM_DECODERS_MAX + 1
                                  : 1,
            .cpu_ms = i == 2 ? 0 : 1000,
            .wall_ms = i == 3   ? 0
                       : i == 4 ? 3600001
                                : 1000,
            .memory_bytes = i == 5   ? IM_MEMORY_MIN - 1
                            : i == 6 ? IM_MEMORY_MAX + 1
                                     : IM_MEMORY_MAX,
            .program = i == 7 ? "/no/such/program" : NULL,
        };
        struct im_decoders *pool = NULL;
        struct nm_error err = {0};
        assert_int_equal(im_decoders_open(&settings, 0, &pool, &err), NM_CONFIG);
        assert_null(pool);
        assert_true(strlen(err.msg) > 10);
    }
    assert_int_equal(open_files(), files);
}

int main(int argc, char **argv)
{
    dr_be_decoder(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sandbox__forbidden_calls_kill_the_process),
        cmocka_unit_test(forged__replies_are_refused),
        cmocka_unit_test(forged__a_second_reply_ends_the_process_but_not_the_next_job),
        cmocka_unit_test(crash__fails_its_own_job_only),
        cmocka_unit_test(cpu__limit_kills_and_counts_from_each_job_anew),
        cmocka_unit_test(wall__limit_kills_what_waits),
        cmocka_unit_test(kill9__in_every_state),
        cmocka_unit_test(idle__death_is_noticed_without_a_job),
        cmocka_unit_test(submit__as_many_jobs_as_processes),
        cmocka_unit_test(submit__a_result_waits_until_it_is_taken),
        cmocka_unit_test(submit__what_no_decoder_accepts),
        cmocka_unit_test(recycle__after_a_thousand_jobs),
        cmocka_unit_test(start__failures_back_off_and_are_told),
        cmocka_unit_test(open__settings_out_of_range),
    };
    return cmocka_run_group_tests(tests, make_small, close_small);
}
