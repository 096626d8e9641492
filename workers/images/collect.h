/* collect.h - how objects leave the store: garbage collection, eviction, orphans, the scrubber, an operator's purge.
 *
 * Everything goes through the scripts of state_object.h, so that it is safe beside workers and beside a second run of
 * any of these, and a run that was killed is continued by the next one: what is under way stands in Redis. Memory does
 * not depend on how much there is: pages with cursors. Every call may take hours and waits for Redis and the store,
 * with the callbacks in between. One thread at a time. */
#ifndef IMAGES_COLLECT_H
#define IMAGES_COLLECT_H

#include "state_object.h"
#include "store.h"
#include "thumbnails.h"

enum im_deed {
    IM_DEED_ADOPT,   /* a file that Redis did not know is an unused object now             */
    IM_DEED_ORPHAN,  /* a thumbnail without an object, or that its object no longer lists  */
    IM_DEED_MARK,    /* nobody has used it for long: it goes when the grace is over        */
    IM_DEED_UNUSED,  /* the store is full: the same for one that has no article            */
    IM_DEED_EVICT,   /* the store is full: in use, its articles are told                   */
    IM_DEED_REMOVE,  /* the file is gone                                                   */
    IM_DEED_DAMAGED, /* bytes are not what the name says: quarantine, fetched again        */
    IM_DEED_MISSING, /* Redis has it and the store has not: fetched again                  */
    IM_N_DEEDS
};
const char *im_deed_word(enum im_deed deed); /* "adopt"... */

struct im_collected { /* of one run */
    int64_t n[IM_N_DEEDS], bytes[IM_N_DEEDS];
    int64_t objects, object_bytes;    /* in Redis, without what was removed; bytes with thumbnails, guessed */
    int64_t waiting, waiting_bytes;   /* dying, the grace is not over                 */
    int64_t files, thumbs, foreign;   /* in the store; foreign: have no name of ours  */
    int64_t hashed, hashed_bytes;     /* by the scrubber                              */
    int64_t members;                  /* articles that were taken out of a URL        */
    int64_t held, lost, failed;       /* another gc has it; put again meanwhile; the store could not remove it */
    int64_t short_bytes, short_files; /* above the store's cap, and nothing more may go */
    bool stopped;
};

struct im_collect {
    const struct im_state *state; /* its scripts are loaded */
    struct nm_redis *redis;
    struct im_store *store;
    int64_t max_percent, max_bytes;   /* caps as of im_settings; max_bytes 0: none; evicts down to 15/16 of a cap */
    struct im_thumb thumb[IM_THUMBS]; /* of the options: where Redis does not say which thumbnails an object has */
    int n_thumbs;
    bool dry_run; /* nothing is changed; deeds are those that a run would do now */
    /* Any may be NULL. tell: often; `what` is a literal. deed: since_ms: last use, or when it was marked or stored, by
     * the clock of Redis. stopped: asked often; true ends the run in order. */
    void *ctx;
    void (*tell)(void *ctx, const char *what, const struct im_collected *so_far);
    void (*deed)(void *ctx, enum im_deed deed, const char *name, int64_t bytes, int64_t since_ms);
    bool (*stopped)(void *ctx);
    /* Redis failed after a file was removed, and has to be told: another connection, with the scripts loaded, in place
     * of the one that failed. It may wait. NULL: the run ends, and who misses the file tells Redis. */
    enum nm_status (*again)(void *ctx, struct nm_redis **out, struct nm_error *err);
};

/* Statuses of all: NM_RETRY: Redis or the store failed, the same call later goes on; others of redis.h. *out counts
 * what was done, also then. */

/* Adopts what Redis does not know, finds orphans, marks, removes what was marked gc.graceMs ago, evicts. */
NM_MUST_USE enum nm_status im_gc(const struct im_collect *collect, struct im_collected *out, struct nm_error *err);

/* Hashes the next `percent` (0.01 to 100) of all objects and their thumbnails, from where the last run ended. */
NM_MUST_USE enum nm_status im_scrub(const struct im_collect *collect, double percent, struct im_collected *out,
                                    struct nm_error *err);

enum im_purged { IM_PURGED, IM_PURGED_ELSEWHERE /* another gc removes it now */, IM_PURGED_NONE /* no such object */ };
/* Its URLs are `evicted`, their articles told, and the files gone, now. */
NM_MUST_USE enum nm_status im_purge_object(const struct im_collect *collect, const char *sha256, enum im_purged *how,
                                           struct im_collected *out, struct nm_error *err);

#endif
