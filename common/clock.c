/* clock.c - see clock.h. */
#include "newsmill/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t read_ms(clockid_t which)
{
    struct timespec now = {0};
    (void)clock_gettime(which, &now); /* cannot fail for these two */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t nm_boottime_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

static int64_t wall_ms(void *self)
{
    (void)self;
    return read_ms(CLOCK_REALTIME);
}

const struct nm_clock nm_wall_clock = {.now_ms = wall_ms, .self = NULL};
