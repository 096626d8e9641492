/* watchdog.c - see watchdog.h.
 *
 * The thread sleeps on a condition variable, so that closing wakes it, by CLOCK_MONOTONIC, which stands still while the
 * machine is suspended. It counts its own wakings and never asks how late it is: after SIGSTOP, or when the process got
 * no CPU, many milliseconds are one tick. So the limit may come later than configured, never earlier. */
#include "newsmill/watchdog.h"

#include "newsmill/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICKS        20 /* in the limit, where that gives ticks of MIN_TICK_MS to MAX_TICK_MS */
#define MIN_TICK_MS  10
#define MAX_TICK_MS  500
#define EXIT_STALLED 1

struct nm_watchdog {
    atomic_ulong beats;
    long long limit_ms, tick_ms;
    pthread_t thread;
    pthread_mutex_t lock; /* of closing */
    pthread_cond_t wake;
    bool closing;
};

void nm_watchdog_beat(struct nm_watchdog *watchdog)
{
    if (watchdog)
        (void)atomic_fetch_add_explicit(&watchdog->beats, 1, memory_order_relaxed);
}

/* One tick from now, or until it is closed; true: it is closed. */
static bool sleep_tick(struct nm_watchdog *watchdog)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(watchdog->tick_ms / 1000);
    until.tv_nsec += (long)(watchdog->tick_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&watchdog->lock);
    int code = 0;
    while (!watchdog->closing && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&watchdog->wake, &watchdog->lock, &until);
    bool closing = watchdog->closing;
    (void)pthread_mutex_unlock(&watchdog->lock);
    return closing;
}

static void *watch(void *arg)
{
    struct nm_watchdog *watchdog = arg;
    unsigned long seen = 0;
    long long idle_ms = 0;
    while (!sleep_tick(watchdog)) {
        unsigned long beats = atomic_load_explicit(&watchdog->beats, memory_order_relaxed);
        idle_ms = beats == seen ? idle_ms + watchdog->tick_ms : 0;
        seen = beats;
        if (idle_ms >= watchdog->limit_ms) {
            nm_log(NM_ERROR, "watchdog",
                   "the worker's thread did not come round for %lld ms (runtime.stallMs); ending now, nothing that is "
                   "in flight is acknowledged",
                   idle_ms);
            _exit(EXIT_STALLED);
        }
    }
    return NULL;
}

/* 0 or an error number. */
static int start(struct nm_watchdog *watchdog)
{
    pthread_condattr_t attr;
    sigset_t all, before;
    int code = pthread_condattr_init(&attr);
    if (code == 0)
        code = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (code == 0)
        code = pthread_cond_init(&watchdog->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (code == 0)
        code = pthread_mutex_init(&watchdog->lock, NULL);
    if (code != 0)
        return code;
    (void)sigfillset(&all); /* signals are for the worker's thread */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

enum nm_status nm_watchdog_open(long long limit_ms, struct nm_watchdog **out, struct nm_error *err)
{
    struct nm_watchdog *watchdog = calloc(1, sizeof *watchdog);
    if (!watchdog)
        return nm_fail(err, NM_FATAL, "out of memory for the watchdog");
    long long tick_ms = limit_ms / TICKS;
    watchdog->limit_ms = limit_ms;
    watchdog->tick_ms = tick_ms < MIN_TICK_MS ? MIN_TICK_MS : tick_ms > MAX_TICK_MS ? MAX_TICK_MS : tick_ms;
    int code = start(watchdog);
    if (code != 0) {
        free(watchdog);
        return nm_fail(err, NM_FATAL, "no thread for the watchdog: %s", strerror(code));
    }
    *out = watchdog;
    return NM_OK;
}

void nm_watchdog_close(struct nm_watchdog *watchdog)
{
    if (!watchdog)
        return;
    (void)pthread_mutex_lock(&watchdog->lock);
    watchdog->closing = true;
    (void)pthread_cond_signal(&watchdog->wake);
    (void)pthread_mutex_unlock(&watchdog->lock);
    (void)pthread_join(watchdog->thread, NULL);
    (void)pthread_cond_destroy(&watchdog->wake);
    (void)pthread_mutex_destroy(&watchdog->lock);
    free(watchdog);
}
