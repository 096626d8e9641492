/* clock.h - the two clocks: what time it is, and how long something took.
 *
 * Thread-safe. Revisions do not come from here: they are Redis' TIME, the only clock that instances share. */
#ifndef NEWSMILL_CLOCK_H
#define NEWSMILL_CLOCK_H

#include <stdint.h>

/* Milliseconds since boot; counts on while the machine sleeps, so that a process that was frozen knows. Never goes
 * back. */
int64_t nm_boottime_ms(void);

/* Wall clock, ms since 1970, as workers get it; tests put another one in its place. */
struct nm_clock {
    int64_t (*now_ms)(void *self);
    void *self;
};
extern const struct nm_clock nm_wall_clock;

#endif
