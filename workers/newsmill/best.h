/* best.h - the best stories of many: a heap that holds no more than it is asked for. Pure; not thread-safe. */
#ifndef NEWSMILL_BEST_H
#define NEWSMILL_BEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nm_best_row {
    unsigned char id[16], lead[16];
    int64_t size, last_s;  /* last: event time of the newest member           */
    int64_t heat, quality; /* of the lead                                     */
    bool has_heat, has_quality;
    int64_t rank; /* the greatest first, of equals the one with the newest member, then the greater id */
};

struct nm_best {
    struct nm_best_row *row; /* room for `most` */
    size_t n, most;
};

/* heat where it is known, else quality and ten for each other member. */
int64_t nm_best_hot(const struct nm_best_row *row);
/* Takes a row unless it is worse than all of a full heap. The same id twice is once: a scan may give a key again. */
void nm_best_add(struct nm_best *best, const struct nm_best_row *row);
/* The best first; the heap is none any more. */
void nm_best_sort(struct nm_best *best);

#endif
