/* test_watchdog.c - the watchdog in a child process: it ends what is stuck, with its line and exit code, and nothing
 * else. The child does what it is told through a pipe; its stderr comes back through another one. */
#include "newsmill/clock.h"
#include "newsmill/log.h"
#include "newsmill/watchdog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_ORDERLY 42

struct child {
    pid_t pid;
    int orders, log;
};

/* 'b': a beat; 'o': opens and closes another watchdog; 'p': answers on stderr; the end of the pipe: closes the watchdog
 * and ends. Between two orders it is stuck in read(), as a worker's thread may be. */
static void obey(int orders, long long limit_ms)
{
    struct nm_watchdog *watchdog = NULL;
    char order;
    nm_log_setup("normalize", "info", true);
    if (nm_watchdog_open(limit_ms, &watchdog, NULL) != NM_OK)
        _exit(99);
    while (read(orders, &order, 1) == 1) {
        struct nm_watchdog *another = NULL;
        if (order == 'b')
            nm_watchdog_beat(watchdog);
        else if (order == 'p')
            (void)!write(STDERR_FILENO, "p", 1);
        else if (nm_watchdog_open(3600000, &another, NULL) == NM_OK)
            nm_watchdog_close(another);
    }
    nm_watchdog_close(watchdog);
    _exit(EXIT_ORDERLY);
}

static struct child start(long long limit_ms)
{
    int orders[2], log[2];
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(log), 0);
    struct child child = {.pid = fork(), .orders = orders[1], .log = log[0]};
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        (void)close(orders[1]);
        (void)dup2(log[1], STDERR_FILENO);
        obey(orders[0], limit_ms);
    }
    (void)close(orders[0]);
    (void)close(log[1]);
    return child;
}

static void tell(const struct child *child, char order)
{
    assert_int_equal(write(child->orders, &order, 1), 1);
}

/* Waits for the end of the child; its exit code, and what it wrote. */
static int finish(struct child *child, char text[2000])
{
    int status = 0;
    size_t len = 0;
    ssize_t n;
    if (child->orders >= 0)
        (void)close(child->orders);
    while ((n = read(child->log, text + len, 1999 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    (void)close(child->log);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Time passes in the child; `every_ms` after each other it is told `order` (0: nothing). */
static void let_pass(const struct child *child, int ms, int every_ms, char order)
{
    for (int64_t end_ms = nm_boottime_ms() + ms; nm_boottime_ms() < end_ms;) {
        if (order)
            tell(child, order);
        (void)poll(NULL, 0, every_ms);
    }
}

static void stuck__ends_with_code_1_and_one_line(void **state)
{
    (void)state;
    char text[2000];
    int64_t began_ms = nm_boottime_ms();
    struct child child = start(200);
    struct pollfd said = {.fd = child.log, .events = POLLIN};
    assert_int_equal(poll(&said, 1, 60000), 1); /* its pipe of orders is open and it does nothing */
    int code = finish(&child, text);
    assert_int_equal(code, 1);
    assert_true(nm_boottime_ms() - began_ms >= 200);
    assert_non_null(strstr(text,
                           "\"level\":\"error\",\"worker\":\"normalize\",\"event\":\"watchdog\",\"msg\":\"the worker's "
                           "thread did not come round for 200 ms (runtime.stallMs)"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void alive__beats_keep_it_going(void **state)
{
    (void)state;
    char text[2000];
    struct child child = start(1000);
    let_pass(&child, 2500, 20, 'b');
    assert_int_equal(finish(&child, text), EXIT_ORDERLY);
    assert_string_equal(text, "");
}

/* Beats of another one don't count, and closing one that has an hour to go takes no time. */
static void stuck__other_activity_is_no_beat(void **state)
{
    (void)state;
    char text[2000];
    struct child child = start(300);
    struct pollfd said = {.fd = child.log, .events = POLLIN};
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    int64_t end_ms = nm_boottime_ms() + 60000;
    while (nm_boottime_ms() < end_ms && poll(&said, 1, 20) == 0)
        (void)!write(child.orders, "o", 1);
    (void)signal(SIGPIPE, before);
    assert_int_equal(finish(&child, text), 1);
    assert_non_null(strstr(text, "\"event\":\"watchdog\""));
}

static void stopped__is_not_stuck(void **state)
{
    (void)state;
    char text[2000];
    struct child child = start(2000);
    tell(&child, 'b');
    tell(&child, 'p');
    assert_int_equal(read(child.log, text, 1), 1); /* it has come so far */
    let_pass(&child, 400, 50, 0);                  /* and the watchdog has seen the beat */
    assert_int_equal(kill(child.pid, SIGSTOP), 0);
    int status = 0;
    assert_int_equal(waitpid(child.pid, &status, WUNTRACED), child.pid);
    assert_true(WIFSTOPPED(status));
    let_pass(&child, 3000, 50, 0); /* longer than the limit */
    assert_int_equal(kill(child.pid, SIGCONT), 0);
    let_pass(&child, 400, 50, 0); /* some ticks without a beat: who looks at a clock strikes now */
    assert_int_equal(finish(&child, text), EXIT_ORDERLY);
    assert_string_equal(text, "");
}

static void null__is_harmless(void **state)
{
    (void)state;
    nm_watchdog_beat(NULL);
    nm_watchdog_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stuck__ends_with_code_1_and_one_line),
        cmocka_unit_test(alive__beats_keep_it_going),
        cmocka_unit_test(stuck__other_activity_is_no_beat),
        cmocka_unit_test(stopped__is_not_stuck),
        cmocka_unit_test(null__is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
