/* work_internal.h - what the files of the work share; see work.h. */
#ifndef IMAGES_WORK_INTERNAL_H
#define IMAGES_WORK_INTERNAL_H

#include "decoder.h"
#include "fetch.h"
#include "state_object.h"
#include "store_thread.h"
#include "work.h"

enum {
    IM_MAX_NEEDS = 12,          /* hosts of one chain of redirects; fetch.maxHops is at most 10            */
    IM_HOST_TASKS = 64,         /* that wait for one host; more are given back                             */
    IM_TURN_MIN_MS = 200,       /* before one that is given back comes again                               */
    IM_MAX_HOSTS = 4096,        /* remembered; idle ones are forgotten first                               */
    IM_MAX_ASKS = 1024,         /* commands of one pipe                                                    */
    IM_MAX_LOOKS = 256,         /* objects that are looked for at once                                     */
    IM_PLACE_MS = 3000,         /* a place goes from task to task; then other instances have their chance  */
    IM_BUSY_ROUNDS = 6,         /* a name whose addresses change all the time is let in then, by its host alone */
    IM_DECODE_AHEAD = 64,       /* bodies that wait for a decoder process; then no other is fetched        */
    IM_STORE_PAUSE_MS = 1000,   /* after a failure of the store, doubling ...                              */
    IM_STORE_PAUSE_MAX = 60000, /* ... up to this                                                          */
};

/* ---- tasks ---- */

enum im_stage {
    IM_STAGE_QUEUED,
    IM_STAGE_SLOT,
    IM_STAGE_LEASE,
    IM_STAGE_START, /* waits for room in the fetcher */
    IM_STAGE_FETCH,
    IM_STAGE_DECODE, /* waits for a process */
    IM_STAGE_DECODING,
    IM_STAGE_STORE, /* waits for room in the store's thread */
    IM_STAGE_STORING,
    IM_STAGE_AWAY,   /* gc removes this object: put again later */
    IM_STAGE_RESULT, /* waits for Redis */
    IM_STAGE_END,    /* gives back what it has */
};

enum im_want { /* commands for the next pipe, in the order in which they are appended */
               IM_WANT_RESULT = 1,
               IM_WANT_SLOT_END = 2,
               IM_WANT_LEASE_END = 4,
               IM_WANT_BACK = 8,
               IM_WANT_EXTEND = 16,
               IM_WANT_SLOT = 32,
               IM_WANT_LEASE = 64,
};

struct im_host;
struct im_need { /* a host that the task talks to */
    struct im_host *host;
    char held[IM_ADDRESS_TEXT_BYTES]; /* address under which its place was asked for; "": not known then */
    bool granted, passed_on;          /* passed_on: to the heir; what the host answered is still to be told */
};

struct im_output {       /* what the decoder made, and our copy of it */
    struct im_temp made; /* closed: it is in memory, in decoded.made  */
    struct im_temp kept;
    struct im_content content; /* of `kept` */
};

struct im_task {
    struct im_task *next;      /* of the queue that it is in                              */
    struct im_task *hash_next; /* of the table; not once it ended                         */
    struct im_task *all_next, *all_prev;
    struct im_task *want_next;               /* of those with something to ask                          */
    struct im_task *lease_next, *lease_prev; /* of those with a lease, the one to be extended next first */
    struct im_work *work;
    enum im_stage stage;
    unsigned wants; /* IM_WANT_..., to be appended */
    size_t n_asked; /* commands in flight          */
    bool in_wants, leased, lost, decoded_once, replace;
    bool holds; /* waits in its host's queue with a place */
    bool kept;  /* its place came with a connection, over which nothing of it went yet */
    char hash[IM_URL_HASH_BYTES], token[IM_TOKEN_BYTES], id[IM_ID + 1];
    char place[IM_TOKEN_BYTES]; /* holder of its places; a name that goes along with them to the next task */
    int64_t place_since_ms;     /* boot time at which they were granted to the first of them              */
    struct im_task *heir;       /* takes over its places; only while results are taken                    */
    int64_t claimed;
    int64_t back_ms; /* ms since 1970: when its article looks again; < 0: it is woken */
    int64_t extended_ms;
    char *url, *etag, *last_modified; /* one allocation, of `url` */
    struct im_need need[IM_MAX_NEEDS];
    size_t n_needs, at_need, n_slots_asked;
    size_t first_need; /* whose places are asked for: the hosts before it have answered */
    char *resume;      /* owned: the URL behind a redirect where it goes on; NULL: the first one */
    int hops;          /* before that, and their time */
    int64_t spent_ms;
    int64_t refused_ms; /* latest time that a slot named, ms since 1970; 0: none refused */
    enum im_host_answer answer;
    int64_t pause_ms;
    int busy_rounds;
    uint64_t fetch_id;
    struct im_fetched fetched;
    bool has_body;
    bool is_made; /* counted in n_made */
    bool existed; /* a file of it was found in the store */
    struct im_facts facts;
    struct im_temp spool; /* the body, where it was in memory and does not stay there */
    int input_fd;         /* read-only, for the decoder; -1: the body is in memory */
    struct im_output copy, thumb[IM_THUMBS];
    struct im_decoded decoded;
    struct im_job job; /* of the store */
    enum im_reason stored;
    struct nm_error why;
    enum im_put put;
    char sha256[IM_SHA_BYTES], thumbs[IM_THUMBS_MAX];
    int64_t away_ms; /* when it is put again */
    struct im_result result;
};

struct im_queue {
    struct im_task *first, **end;
    size_t n;
};

struct im_look { /* a job of the store */
    struct im_job job;
    char hash[IM_URL_HASH_BYTES], sha256[IM_SHA_BYTES], name[IM_NAME_BYTES];
    enum { IM_LOOK_FREE = 0, IM_LOOK_OUT, IM_LOOK_MISSING, IM_LOOK_ASKED } state;
    bool exists;
};

/* ---- hosts ---- */

struct im_host {
    struct im_host *hash_next;
    struct im_host *line_next; /* of those with a queue */
    bool in_line;
    struct im_queue queue;
    struct im_queue held; /* who waits for his turn with a place; served first */
    size_t n_uses;        /* tasks that need it */
    size_t active;        /* tasks of its queue that are between slot and the end of the fetch */
    int64_t not_before_ms;
    bool waits_turn;                     /* until then only for the rate of the fleet */
    int64_t n_sent_away;                 /* since its queue was at most half full */
    char address[IM_ADDRESS_TEXT_BYTES]; /* last one that a transfer would have used */
    char leads_to[NM_HOST_BYTES];        /* where its URLs were redirected to; "": nowhere */
    char name[NM_HOST_BYTES];
};

struct im_ask {
    struct im_task *task; /* NULL: a look */
    struct im_look *look;
    enum im_want kind;
    size_t need, index;
};

struct im_counts { /* series */
    struct nm_series *in_flight, *in_flight_bytes, *queued, *decode_seconds, *kills, *leases_lost, *dedup, *stored,
        *bytes_in, *bombs, *mixed, *mismatch, *paused, *no_end;
};

struct im_work {
    struct im_work_config config;
    struct im_fetch_config fetch_config;
    struct im_fetcher *fetcher;
    struct im_decoders *decoders;
    struct im_store_thread *store_thread;
    struct im_task **table; /* by hash */
    size_t table_size, n_tasks, max_tasks;
    struct im_host **hosts;
    size_t n_hosts;
    struct im_host *line_first, *line_last;
    struct im_task *all;
    struct im_task *want_first, **want_end;
    struct im_task *lease_first, *lease_last;
    struct im_queue start, decode, store, away;
    size_t n_fetching; /* from slot to the end of the fetch */
    size_t n_made;     /* from the decoder to the end: what was made is in memory */
    int64_t hosts_due_ms;
    struct im_look look[IM_MAX_LOOKS];
    size_t n_looks; /* missing, or asked about */
    struct im_ask ask[IM_MAX_ASKS];
    size_t n_asks;
    int64_t clock_ms, clock_boot_ms;   /* Redis' clock, ms since 1970, and when that was */
    int64_t paused_until_ms, pause_ms; /* the store failed; 0: it did not */
    uint64_t seen_kills;
    struct im_counts counts;
};

/* work.c */
void im_queue_add(struct im_queue *queue, struct im_task *task);
void im_queue_add_first(struct im_queue *queue, struct im_task *task);
struct im_task *im_queue_take(struct im_queue *queue); /* NULL: it is empty */
void im_task_want(struct im_task *task, unsigned wants);
/* Ends it: what it holds is given back, its due entry at back_ms (ms since 1970; < 0: not). Not while it is in a
 * queue, or its decoder or store job is out. */
void im_task_end(struct im_task *task, int64_t back_ms);
void im_task_free_if_over(struct im_task *task);
void im_task_need(struct im_task *task, struct im_host *host); /* one more; at most IM_MAX_NEEDS */
void im_task_result(struct im_task *task);                     /* task->result is complete and goes to Redis */
void im_task_lease(struct im_task *task, bool leased); /* in or out of the list of leases; in again: at its end */
int64_t im_work_now_ms(const struct im_work *work);    /* by Redis' clock, ms since 1970 */

/* work_host.c */
NM_MUST_USE enum nm_status im_host_find(struct im_work *work, const char *name, struct im_host **out,
                                        struct nm_error *err);
void im_host_enqueue(struct im_task *task, bool first);
/* Its queue is full: how long it takes until there will be room for this one more. */
int64_t im_host_turn_ms(const struct im_work *work, struct im_host *host);
/* Takes tasks whose hosts may have room, up to the limits, and wants slots for them. */
void im_hosts_serve(struct im_work *work);
/* The task goes back to its queue. until_ms: since 1970; for_rate: nothing but its rate keeps the host from serving it.
 */
void im_host_refused(struct im_task *task, int64_t until_ms, bool for_rate);
void im_host_left(struct im_task *task); /* the task needs no place any more */
/* The next one of the same host, out of its queue, if it can take over the place of this one and with it the
 * connection; NULL: there is none. Then im_host_pass_on() gives it. */
struct im_task *im_host_heir(const struct im_task *task);
void im_host_pass_on(struct im_task *task, struct im_task *heir);
/* It gives its places back: wants that, and the connection that came with one ends before. */
void im_host_give_up(struct im_task *task);
void im_hosts_close(struct im_work *work);

/* work_redis.c */
void im_work_ask(struct im_work *work, struct nm_pipe *pipe);
NM_MUST_USE enum nm_status im_work_answered(struct im_work *work, const struct nm_pipe *replies, struct nm_error *err);

/* work_fetch.c */
NM_MUST_USE enum nm_status im_fetch_open(struct im_work *work, struct nm_error *err);
NM_MUST_USE enum nm_status im_fetch_move(struct im_work *work, struct nm_error *err);
void im_task_failed(struct im_task *task, enum im_reason reason); /* result FAILED, of a task that holds a lease */
void im_task_release(struct im_task *task);                       /* its body */
int64_t im_fresh_ms(const struct im_fetched *fetched);            /* for im_result */

/* work_picture.c */
NM_MUST_USE enum nm_status im_picture_move(struct im_work *work, struct nm_error *err);
/* Makes the body, which was probed, ready for the decoder. */
NM_MUST_USE enum im_reason im_picture_input(struct im_task *task);
void im_picture_clear(struct im_task *task); /* its files, and what was made */
void im_picture_waits(struct im_task *task); /* for long, with what was made: it is not counted in n_made meanwhile */
/* Nothing is held against the URL; for a while nothing is fetched. */
void im_store_failed(struct im_task *task, enum im_reason reason, const char *why);

/* work_metrics.c */
void im_counts_open(struct im_work *work);
void im_count_outcome(struct im_work *work, const char *host, const char *outcome, const char *reason);
void im_counts_tick(struct im_work *work);

#endif
