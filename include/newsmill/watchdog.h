/* watchdog.h - ends the process when its main thread is stuck.
 *
 * A thread of its own looks at every tick whether nm_watchdog_beat() was called since the last one. After limit_ms
 * without a beat it writes one log line and ends the process with exit code 1, at once and without cleaning up: the
 * stuck thread may hold any lock, and nothing that is not acknowledged is lost. Ticks are counted, not time: a process
 * that was stopped (SIGSTOP, a suspended machine) or starved sees no ticks meanwhile, so it is not taken for stuck. */
#ifndef NEWSMILL_WATCHDOG_H
#define NEWSMILL_WATCHDOG_H

#include "newsmill/status.h"

struct nm_watchdog;

/* limit_ms: > 0, longer than anything that the watched thread may rightly wait for. The first beat is the opening.
 * NM_FATAL: no thread or no memory. */
NM_MUST_USE enum nm_status nm_watchdog_open(long long limit_ms, struct nm_watchdog **out, struct nm_error *err);
void nm_watchdog_close(struct nm_watchdog *watchdog); /* NULL is fine; returns at once */
NM_DEFINE_CLEANUP(struct nm_watchdog, nm_watchdog_close)

/* "I came round." Costs one atomic addition; any thread, NULL is fine. */
void nm_watchdog_beat(struct nm_watchdog *watchdog);

#endif
