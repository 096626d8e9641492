/* worker.h - the contract between a worker and the runtime.
 *
 * A worker is one const descriptor and pure logic. The runtime owns Kafka, offsets, Redis' connection, retries, dead
 * letters, signals and logs. For every batch it runs, in this order (README.md, "Delivery"):
 *
 *   process() steps   Redis effects, one round trip a step; the last step emits outputs
 *   produce           everything emitted, and the dead letters
 *   reports           every delivery report is good
 *   reported() steps  what may suppress a later output ("sent" marks); may ask for items to be processed again
 *   wm, commit        the next offset of each partition, in Redis and then in Kafka
 *
 * Batches overlap: process() of the next batch begins while this one waits for Redis or for its reports. What they have
 * in common: commands are sent to Redis in the order of the batches, and so are outputs. process() must be harmless
 * when it is repeated for the same items, at any later time, after any of these steps. No function of a worker blocks,
 * sleeps, calls Kafka or keeps a pointer into a batch after it. One thread calls all of them. */
#ifndef NEWSMILL_WORKER_H
#define NEWSMILL_WORKER_H

#include "newsmill/buf.h"
#include "newsmill/clock.h"
#include "newsmill/metrics.h"
#include "newsmill/redis.h"
#include "newsmill/settings.h"
#include "newsmill/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nm_verdict {
    NM_UNSET = 0, /* not decided yet; after the last step of process() this is a bug                  */
    NM_DONE,      /* finished: its effects are in the pipe or applied, its outputs emitted (or none)  */
    NM_STALE,     /* finished: an older version of something newer; no effect, no output              */
    NM_REJECTED,  /* can never succeed: a dead letter; set with nm_item_dead()                        */
};

struct nm_item {
    enum nm_stream stream;
    int32_t partition;
    int64_t offset;
    int64_t generation;   /* of the stream: an offset means the same event only within one (deleted and recreated
                             streams begin anew); kept with wm                                       */
    int64_t timestamp_ms; /* Kafka's, ms since 1970; 0 where the producer gave none          */
    int64_t revision;     /* header nm-revision; 0 where there is none                       */
    const char *key;      /* NULL: none                                                      */
    size_t key_len;
    const char *value; /* NULL: a tombstone; not NUL-terminated                           */
    size_t value_len;
    /* No mark may suppress an output: up to the end offset at which Redis was seen to have lost writes. */
    bool resend;
    /* Some partition of the group, whoever owns it, is still below the end that it had when this process began. What
     * was sent before may be missing in the state without a sign (the worker died together with Redis), and events of
     * one article that lie in different partitions come in another order than before. */
    bool catching_up;
    bool again;               /* set by reported(): process this item again from step 0                       */
    const struct nm_set *set; /* not NULL: no event but a member (`key`) of this set; no value, offset -1   */
    int64_t score;            /* then its score                                                  */
    enum nm_verdict verdict;
    struct nm_error *dead; /* NM_REJECTED: the reason, in the batch's arena                          */
    char id[33];           /* the article's id where the worker knows it (dead letters, logs)    */
    void *data;            /* worker->item_size zeroed bytes, kept through every step            */
};

struct nm_output;
struct nm_batch {
    struct nm_item *item;
    size_t n_items;
    unsigned step;        /* 0 at the first call of process() or reported(), then 1, 2, ...            */
    struct nm_pipe *pipe; /* append commands here; replies of the step before are read from `replies`, which are gone
                             after this step */
    struct nm_pipe *replies;
    struct nm_arena *arena;   /* lives until the batch is over                                             */
    struct nm_output *output; /* runtime's */
    size_t n_outputs, output_cap;
    bool oom;
};

/* Sends `value` (len bytes, borrowed until the batch is over, so no part of a reply; NULL: a tombstone) to a stream
 * under `key` (32 hex digits, borrowed likewise) with header nm-revision (none for revision 0: a touch). Several
 * outputs an item are allowed; their order is kept per key. */
void nm_emit(struct nm_batch *batch, struct nm_item *item, enum nm_stream stream, const char *key, const char *value,
             size_t len, int64_t revision);

/* What a message may cost beside key and value: our headers, the record's and batch's frame. An output whose key and
 * value leave less than that of streams.X.maxMessageBytes turns its item into a dead letter, too_big. */
#define NM_ENVELOPE_BYTES 4096

/* Verdict NM_REJECTED with *err's code and message (status NM_BAD_INPUT). */
void nm_item_dead(struct nm_batch *batch, struct nm_item *item, const struct nm_error *err);

/* A sorted set in Redis for each partition of inputs[0], "<namespace>:<name>:<partition>", that the worker's scripts
 * fill (ZADD) with article ids of that partition. Only the owner of the partition reads it: each member comes to
 * process() as an item of its own, again and again until its outputs are reported. Then the runtime takes it out, but
 * only if its score is still the one that came; a worker that gives it another score meanwhile has scheduled it anew.
 */
struct nm_set {
    const char *name; /* "due:publish" */
    bool timed;       /* scores are times (ms since 1970) and members come when Redis' clock has reached them; else they
                         are revisions (µs), lowest first, and members come when they are grace_ms old: what a batch on
                         its way sends anyway need not come twice */
    int grace_ms;
};

/* "<namespace>:<name>:<partition>" into out, cut at size - 1 bytes. */
void nm_set_key(const struct nm_settings *settings, const struct nm_set *set, int32_t partition, char *out,
                size_t size);

/* The partition of a key in a stream of n partitions, as every producer of newsmill and Java's choose it (murmur2). */
int32_t nm_partition_of(const char *key, size_t len, int32_t n_partitions);

/* One input of a worker. schema: "article", version: the highest nm-schema number it understands; NULL for streams
 * that crawlers and the site write, where neither nm-schema nor nm-ns is looked at. */
struct nm_input {
    enum nm_stream stream;
    const char *schema;
    int version;
    /* What is read only at times is read before any other input of that partition.
     * AFTER_LOSS: when the state of the partition is gone and runtime.onStateLoss is rebuild; from its oldest offset.
     * AFTER_ROLLBACK: when Redis lost writes, or was away and may have; from a minute before the newest position that
     * is known in Redis. What it holds of then may belong to a timeline that nobody else knows of. */
    enum nm_when { NM_ALWAYS, NM_AFTER_LOSS, NM_AFTER_ROLLBACK } when;
};

/* Work beside the batches, for a worker that waits for others than Kafka and Redis: transfers, processes, a thread. The
 * loop polls its descriptors and gives it turns; what it learns reaches articles through Redis and a set. Nothing here
 * blocks. A drop of the batches (rebalance, failure) does not touch it. */
struct nm_turn {
    struct nm_pipe *pipe;          /* for commands; NULL: the last are not answered yet, or Redis is not there */
    const struct nm_pipe *replies; /* to what an earlier turn appended, in this turn only; NULL: none          */
    bool stopping;                 /* the process ends: begin nothing, give back what others may take up       */
    bool idle;                     /* out, where it is stopping: nothing is left to wait for                   */
};
enum { NM_BESIDE_FDS = 80 };
struct pollfd;
struct nm_beside {
    /* Moves everything as far as it goes without waiting. NM_OK, or NM_CONFIG or NM_FATAL to stop. */
    enum nm_status (*turn)(void *ctx, struct nm_turn *turn, struct nm_error *err);
    /* What to poll for, at most `max` entries; returns how many. */
    size_t (*fds)(void *ctx, struct pollfd *out, size_t max);
    /* Boot time of the next turn whatever poll() says; INT64_MAX: none. */
    int64_t (*due_ms)(const void *ctx);
    /* How many members of sets may come now; 0: the sets are not looked into. */
    size_t (*room)(const void *ctx);
    /* The commands of an earlier turn are not answered: any of them may have been applied, or lost. */
    void (*dropped)(void *ctx);
};

/* What enters from outside, so that tests can put something else there. */
struct nm_deps {
    const struct nm_settings *settings;
    const struct nm_clock *clock;
    struct nm_metrics *metrics; /* for series of the worker's own; NULL in tests is fine */
    const char *listening;      /* where the admin pages are, "127.0.0.1:43211"; "" or NULL: nowhere  */
    char instance[17];          /* 16 hex digits, of this process alone */
};

struct nm_worker {
    const char *name, *summary;      /* name = folder, log tag, consumer group               */
    const struct nm_option *options; /* parsed into ctx before init(); NULL: none            */
    size_t ctx_size, item_size;      /* ctx and every item's data are zeroed by the runtime  */
    const struct nm_input *inputs;
    size_t n_inputs;
    const enum nm_stream *outputs; /* besides dead */
    size_t n_outputs;
    struct nm_script *const *scripts; /* loaded into Redis at each connection */
    size_t n_scripts;
    const struct nm_set *sets; /* drained on assignment, then looked at several times a second */
    size_t n_sets;

    /* deps is borrowed until fini(). NM_CONFIG: exit 2. May be NULL. */
    enum nm_status (*init)(void *ctx, const struct nm_deps *deps, struct nm_error *err);
    /* After each connection to Redis, with the scripts loaded and before anything is read; may be NULL. NM_CONFIG: exit
     * 2. NM_RETRY: the connection is given up and made again. */
    enum nm_status (*connected)(void *ctx, struct nm_redis *redis, struct nm_error *err);
    /* A batch begins only when the one before it was asked this step of process(), so that what it asks at step 0 is
     * answered behind that. 0: at once. */
    unsigned follows_step;
    /* One step: reads batch->replies (empty at step 0) and appends to batch->pipe. A step that appends nothing ends the
     * work: then every item has a verdict. Items that have one already are skipped. Returns NM_OK, or NM_CONFIG or
     * NM_FATAL to stop. */
    enum nm_status (*process)(void *ctx, struct nm_batch *batch, struct nm_error *err);
    /* The same after every delivery report; may be NULL. Also called when the partitions were lost meanwhile. */
    enum nm_status (*reported)(void *ctx, struct nm_batch *batch, struct nm_error *err);
    const struct nm_beside *beside; /* NULL: nothing */
    void (*fini)(void *ctx);        /* also after a failed init(); may be NULL */
};

/* The whole program of a worker: command line, option file, run until a signal. Returns the exit code: 0 drained, 1
 * fatal, 2 configuration or usage (also what --check found). */
int nm_run(const struct nm_worker *worker, int argc, char **argv);

#endif
