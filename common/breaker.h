/* breaker.h - counts how many of a partition's events die, and says when it is too many. Pure.
 *
 * Events are counted in the order of their offsets, before the dead letters among them are sent. */
#ifndef NM_BREAKER_H
#define NM_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nm_breaker_limits {
    size_t consecutive; /* so many dead in a row trip it; > 0                                */
    size_t window;      /* of so many events, once there were as many, ...                   */
    double ratio;       /* ... more than this share dead trips it; 0 to 1                    */
};

struct nm_breaker {
    unsigned char *ring; /* of `window` bits: dead or not */
    size_t at, n, n_dead;
    size_t streak;        /* dead in a row, up to the last one counted      */
    int64_t streak_begin; /* offset of the first of them                    */
};

void nm_breaker_clear(struct nm_breaker *breaker); /* frees, forgets */
/* Counts one event. False: tripped. Out of memory counts the streak only. */
bool nm_breaker_count(struct nm_breaker *breaker, const struct nm_breaker_limits *limits, int64_t offset, bool dead);

#endif
