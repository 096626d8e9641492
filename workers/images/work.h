/* work.h - what the images worker does beside its batches: it gets pictures, checks, cleans and stores them.
 *
 * A task is one URL on its way, from a claimed due entry to an outcome in Redis:
 *
 *   queued     behind others of its host            work_host.c
 *   slot       a place at each host, for the fleet  work_redis.c
 *   lease      one of all instances fetches it
 *   fetch      libcurl, then the probe              work_fetch.c
 *   decode     public copy and thumbnails           work_picture.c
 *   store      copied, hashed, put, durable
 *   result     the URL's entry; its articles wake   work_redis.c
 *
 * No article waits for a task: who shows the URL is woken through the due sets by the script that writes the outcome. A
 * task that ends without one gives its lease, its places and the due entry back. The number of tasks is bounded, and
 * that of one host, so that no host keeps others out.
 *
 * One thread, the worker's loop; nothing blocks. Times are boot time where nothing else is said. */
#ifndef IMAGES_WORK_H
#define IMAGES_WORK_H

#include "images_settings.h"
#include "state.h"
#include "store.h"

#include "newsmill/clock.h"
#include "newsmill/metrics.h"
#include "newsmill/worker.h"

struct im_work;

struct im_work_config { /* borrowed until im_work_close() */
    const struct im_settings *settings;
    const struct im_state *state;
    struct im_store *store;
    const struct nm_clock *clock;
    struct nm_metrics *metrics; /* NULL is fine */
};

/* NM_CONFIG: the decoder cannot be started, or something of the fetcher's settings; NM_FATAL. */
NM_MUST_USE enum nm_status im_work_open(const struct im_work_config *config, struct im_work **out,
                                        struct nm_error *err);
void im_work_close(struct im_work *work); /* ends everything at once; NULL is fine */
NM_DEFINE_CLEANUP(struct im_work, im_work_close)

struct im_wanted {
    const char *id; /* of the article whose due entry was claimed, and with which score */
    int64_t claimed;
    const struct im_url *url;
    const char *etag, *last_modified; /* validators; "" for none */
};
enum im_taken {
    IM_TAKEN, /* it is on its way */
    IM_FULL,  /* too many tasks: let the due entry fire again */
    IM_WAIT,  /* its host has no room before *later_ms (ms since 1970): give the entry back until then */
};
/* Everything is copied. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status im_work_add(struct im_work *work, const struct im_wanted *wanted, enum im_taken *taken,
                                       int64_t *later_ms, struct nm_error *err);

/* An article's URL was refused before it became a task. */
void im_work_refused(struct im_work *work, enum im_reason reason);

/* A picture is used: looks whether its object is really there; where it is not, the URL is fetched again. */
void im_work_look(struct im_work *work, const char *hash, const char *sha256, const char *type);

int64_t im_jitter(void); /* a random number, ppm */

/* See struct nm_beside. */
NM_MUST_USE enum nm_status im_work_turn(struct im_work *work, struct nm_turn *turn, struct nm_error *err);
size_t im_work_fds(struct im_work *work, struct pollfd *out, size_t max);
int64_t im_work_due_ms(const struct im_work *work);
size_t im_work_room(const struct im_work *work); /* articles that may be claimed now */
void im_work_dropped(struct im_work *work);

#endif
