/* runtime_internal.h - what the files of the runtime share. One thread; librdkafka's own threads reach it only through
 * callbacks that are served inside rd_kafka_consumer_poll(), rd_kafka_poll() and rd_kafka_flush() on that thread.
 *
 *   runtime.c        the program: command line, option file, open, close
 *   loop.c           the turn: move what is in flight, take more, wait for whatever comes first; back off, stop
 *   fill.c           from Kafka's messages to the items of a work; when to take none
 *   pause.c          partitions that are not fetched for a while
 *   work.c           the memory of a batch on its way ("work"), and the bounded window of them
 *   deliver.c        the stages of a work, from process() to its last mark
 *   breaker.c        stops the worker when nearly everything is dying, before the letters are sent
 *   guard.c          events that end the process are found and put aside
 *   produce.c        outputs and delivery reports
 *   deadletter.c     what a dead letter carries
 *   position.c       how far each partition is finished: wm, then Kafka's commit
 *   sets.c           due sets and out sets of the partitions that are ours
 *   beside.c         turns of what a worker does beside its batches
 *   assignment.c     rebalances: taking partitions and giving them back
 *   resume.c         where each partition is taken up
 *   witness.c        whether a stream is still the one that was processed
 *   group.c          how far the whole group is
 *   observe.c        what the runtime tells about itself
 *   redis_session.c  what must hold after each connection to Redis
 *   watermark.c      wm, pure
 */
#ifndef NM_RUNTIME_INTERNAL_H
#define NM_RUNTIME_INTERNAL_H

#include "breaker.h"
#include "newsmill/kafka.h"
#include "newsmill/watermark.h"
#include "newsmill/worker.h"
#include "observe.h"

#include <poll.h>
#include <signal.h>

#define NM_MAX_WORKS 8 /* batches on their way at once; what they may hold is bounded by runtime.inFlight* */
/* One question to Kafka; a broker that does not answer is asked again by the next turn, so that a signal is obeyed
 * soon. */
#define NM_KAFKA_WAIT_MS 2000
#define NM_POLL_MS       100 /* the longest sleep of the loop */

struct nm_output {
    enum nm_stream stream;
    struct nm_item *item; /* that it was made from */
    const char *key, *value;
    size_t key_len, len;
    int64_t revision;
    bool dead;       /* a dead letter: headers of its own */
    bool cut;        /* dead: the value is only the beginning of the item's */
    bool taken_back; /* too large; not sent */
};

struct nm_partition {
    size_t input; /* index into worker->inputs */
    int32_t id;
    char key[NM_WM_KEY_BYTES];     /* of wm in Redis                                 */
    char try_key[NM_WM_KEY_BYTES]; /* of the crash guard                             */
    int64_t polled;                /* everything below is in a work or finished      */
    int64_t done;                  /* everything below is finished and in wm         */
    int64_t committed;             /* Kafka's, as far as it answered                 */
    int64_t asked;                 /* the last commit that was sent                  */
    int64_t resend_until;          /* offsets below: no mark suppresses an output    */
    int64_t end;                   /* of the stream, as far as known; -1             */
    int64_t caught_up_ms;          /* wall clock when it was last seen without lag; 0: never */
    int64_t behind_until;          /* end when it was taken up; 0 in a new group     */
    int64_t progress_ms, furthest; /* boot time of the last progress, or when there was nothing to do; how far it was */
    int64_t rebuild_until;         /* of an input that is read at times only: its end; -1: not read now */
    int64_t skip_from, skip_to;    /* Kafka said that between them there is nothing but markers */
    bool lost;                     /* its state is gone: read again from the oldest  */
    bool held;                     /* not fetched until what is read first is read   */
    bool make_wm;                  /* write wm before anything is taken              */
    bool rolled_back;              /* Redis had lost writes at the last beginning    */
    bool gap;                      /* the offsets committed so far mean nothing any more */
    bool rebuilt;                  /* what is read again was put back from records: marks hold */
    bool fetched, paused;
    bool ahead; /* in a replay: waits for slower partitions of the group */
    bool has_wm;
    struct nm_watermark wm; /* last read or written */
    char wm_text[NM_WM_BYTES];
    /* finished, to be written to wm: the position after it */
    bool blocked;       /* an older work that holds some of it is not finished; of one pass over the works */
    bool dirty, moving; /* moving: in the pipeline that is in flight */
    struct nm_watermark next;
    int64_t event_ms;             /* greatest event time that was polled; -1: unknown */
    struct nm_resume_facts facts; /* of the last beginning */
    /* records that were processed and must still be there (witness.c) */
    bool asked_for; /* `wanted` is being read */
    struct nm_mark wanted, anchor, next_anchor;
    struct nm_mark newest; /* of the last record below wm; between them there may be markers */
    /* crash guard: events below are taken one by one */
    int64_t suspect_until;
    struct nm_breaker breaker;
};

/* What a work holds of one partition. */
struct nm_span {
    size_t part; /* index into runtime.part */
    struct nm_watermark next;
    size_t n_items;
    const struct nm_item *last;
    int64_t first_ms; /* Kafka's timestamp of its first event */
    bool ends_dead;   /* its last event goes to the dead letters */
    bool taken;       /* counted into the partition's position   */
};

enum nm_stage {
    NM_STAGE_FREE,
    NM_STAGE_FILLING,
    NM_STAGE_PROCESS,  /* steps of process()                                  */
    NM_STAGE_JUDGE,    /* every verdict is there; waiting to be sent in turn  */
    NM_STAGE_SENT,     /* waiting for delivery reports                        */
    NM_STAGE_REPORTED, /* steps of reported()                                 */
    NM_STAGE_CLEAR,    /* members of sets that are finished are taken out     */
    NM_STAGE_DONE,     /* waiting until everything below is finished too      */
    NM_STAGE_DROPPED,  /* not sent, since its partitions were lost            */
};

/* A batch on its way. */
struct nm_work {
    struct nm_batch batch;
    rd_kafka_message_t **message; /* of each item; NULL: a member of a set */
    char *item_data;
    size_t bytes;
    enum nm_stage stage;
    unsigned round;    /* of process(), because reported() asked for another */
    bool waiting;      /* batch.pipe is in flight                            */
    bool judged;       /* the breaker has seen it                            */
    int64_t filled_ms; /* boot time of the first event                       */
    int64_t asked_ms;  /* when the first of the state that its outputs stand on was asked for */
    int64_t judged_ms; /* boot time                                          */
    int64_t sent_ms;
    int64_t asked_ns, sent_ns;    /* monotonic, for the metrics */
    size_t outstanding, n_failed; /* delivery reports */
    rd_kafka_resp_err_t first_failure;
    struct nm_span *span;
    size_t n_spans;
    size_t n_looks;        /* of nm_state_ask(), behind the last step's commands */
    struct nm_runtime *rt; /* for its delivery reports */
};

/* A partition of the group's inputs, whoever owns it. */
struct nm_peer {
    const char *topic;
    int32_t id;
    char key[NM_WM_KEY_BYTES];
    int64_t end;            /* when we began */
    int64_t until;          /* the same; 0: nothing of it was finished then */
    int64_t next, event_ms; /* of its wm, as last seen */
};
struct nm_peers {
    struct nm_peer *peer;
    size_t n;
    struct nm_pipe pipe; /* the look that is in flight */
    bool waiting;
    bool replaying; /* some partition of the group is below the end that it had when we began */
    int64_t at_ms;  /* next look */
};

struct nm_witness {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;               /* of all answers */
    rd_kafka_topic_t *topic[NM_N_STREAMS]; /* of the inputs  */
    size_t turn;                           /* partition that is asked for next */
    int64_t at_ms;                         /* boot time of the next round; 0: not known yet */
    int64_t by_ms;                         /* when what is asked now must be answered */
};

enum nm_rebalance { NM_REBALANCE_NONE, NM_REBALANCE_ASSIGN, NM_REBALANCE_REVOKE };

struct nm_runtime {
    const struct nm_worker *worker;
    void *ctx;
    struct nm_settings settings;
    struct nm_deps deps;
    char group[256];

    rd_kafka_t *consumer, *producer;
    rd_kafka_topic_t *topic[NM_N_STREAMS]; /* the producer's, for outputs and dead */
    int32_t n_partitions[NM_N_STREAMS];    /* of the inputs */
    struct nm_redis *redis;
    struct nm_script **scripts; /* the worker's and the runtime's */
    size_t n_scripts;
    int64_t max_revision; /* highest that was sent or read, us */
    long long session_timeout_ms;
    struct nm_breaker_limits breaker_limits;

    struct nm_partition *part;
    size_t n_parts;
    struct nm_witness witness;
    struct nm_peers peers;
    rd_kafka_topic_partition_list_t *rebalance_list;

    struct nm_work work[NM_MAX_WORKS];
    struct nm_work *order[NM_MAX_WORKS]; /* those that are not free, oldest first */
    size_t n_works;
    size_t in_flight_items, in_flight_bytes;
    int64_t full_since_ms; /* boot time; 0: the window has room */

    struct nm_pipe wm_pipe; /* the move of wm, or the look at it, that is in flight */
    int64_t wm_asked_ms;
    int64_t last_commit_ms;

    struct nm_pool pool;     /* of the arenas and pipes of all works */
    struct nm_pipe set_pipe; /* the look into the sets that is in flight */
    int64_t set_at_ms;       /* next look */

    struct nm_pipe beside_pipe[2]; /* of the worker's beside: one is appended to, or in flight, the other is read */
    unsigned beside_asked;         /* index of the one that was asked last */

    uint64_t redis_connects, begun_connects; /* connections made; at the last beginning */
    struct nm_observer observer;

    int wake_fd;                 /* eventfd: a message, event or report waits */
    unsigned failures;           /* in a row, for the backoff */
    enum nm_rebalance rebalance; /* waiting to be served */
    bool member;                 /* the group gave us an assignment (which may be empty) */
    bool resolved;               /* the positions are known and librdkafka fetches */
    bool verifying;
    bool behind; /* some partition of the group has not passed the end that it had when we began */
    bool suspicious;
    bool window_paused; /* all partitions, since the window is full */
    bool closing;
    bool rebalance_lost; /* of the last rebalance: the partitions were taken from us */
    bool fenced;         /* others may own our partitions: what was sent is looked at, nothing else goes on */
    bool wm_waiting, wm_looks;
    bool set_waiting, set_more;
    bool beside_waiting; /* beside_pipe[beside_asked] is in flight, or its replies were not given yet */
    bool draining;
    bool undrained;  /* at the end: something in flight was left to whoever comes next */
    bool kafka_down; /* the client said that no broker answers */
};

/* Its position is kept; else it is read at times only. */
static inline bool nm_has_position(const struct nm_runtime *rt, const struct nm_partition *part)
{
    return rt->worker->inputs[part->input].when == NM_ALWAYS;
}

/* Nothing more is sent, counted or committed. */
static inline bool nm_is_fenced(const struct nm_runtime *rt)
{
    return rt->fenced || rt->rebalance_lost;
}

extern volatile sig_atomic_t nm_stop_requested;

/* loop.c */
NM_MUST_USE enum nm_status nm_loop(struct nm_runtime *rt, struct nm_error *err);
/* Drains before partitions are given up, within runtime.drainMs and a second more. NM_RETRY: not all was finished,
 * which is logged as `event`, and what was sent has been looked at. */
NM_MUST_USE enum nm_status nm_drain_to_leave(struct nm_runtime *rt, const char *event, struct nm_error *err);
/* Drops everything in flight and above wm. */
void nm_drop_all(struct nm_runtime *rt);

/* fill.c */
void nm_on_consumer_error(rd_kafka_t *rk, int code, const char *reason, void *opaque);
/* Takes what is there, up to one work and to the bounds; starts it when it is full or old enough. *busy is set when
 * there is more to do at once. */
NM_MUST_USE enum nm_status nm_fill(struct nm_runtime *rt, bool *busy, struct nm_error *err);
/* Polls once without taking work. *got: something came. */
NM_MUST_USE enum nm_status nm_poll_idle(struct nm_runtime *rt, int wait_ms, bool *got, struct nm_error *err);
/* Boot time at which the work being filled must start; INT64_MAX without one. */
int64_t nm_fill_deadline_ms(const struct nm_runtime *rt);

/* pause.c */
void nm_pause_window(struct nm_runtime *rt, bool pause);
bool nm_pause_ahead(struct nm_runtime *rt); /* after each look at the group; true: some partition waits for others */
void nm_pause_end(struct nm_runtime *rt);   /* resumes everything */

/* work.c */
NM_MUST_USE enum nm_status nm_works_open(struct nm_runtime *rt, struct nm_error *err);
void nm_works_close(struct nm_runtime *rt);
/* A free one, which becomes the youngest; NULL: the window is full. */
struct nm_work *nm_work_take(struct nm_runtime *rt, enum nm_stage stage);
void nm_work_release(struct nm_runtime *rt, struct nm_work *work); /* its events may be read again */
bool nm_window_full(const struct nm_runtime *rt);
/* The work that is being filled, or NULL. */
struct nm_work *nm_work_filling(const struct nm_runtime *rt);
struct nm_span *nm_work_span(struct nm_work *work, size_t part); /* found or added */
/* One more output, zeroed; NULL: out of memory, which the batch notes. */
struct nm_output *nm_batch_output(struct nm_batch *batch);

/* deliver.c */
/* Moves every work as far as it goes without waiting. */
NM_MUST_USE enum nm_status nm_works_advance(struct nm_runtime *rt, struct nm_error *err);
NM_MUST_USE enum nm_status nm_work_start(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err);

/* breaker.c, the part that knows works */
NM_MUST_USE enum nm_status nm_work_judge(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err);
/* Whether its dead letters must wait until it is known whether their streak goes on. */
bool nm_work_held(struct nm_runtime *rt, const struct nm_work *work);

/* guard.c */
extern struct nm_script nm_guard_begin_script, nm_guard_note_script;
NM_MUST_USE enum nm_status nm_guard_begin(struct nm_runtime *rt, struct nm_error *err);
/* Before the only event of a work is processed: notes it, or makes it a dead letter. */
NM_MUST_USE enum nm_status nm_guard_note(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err);
/* A clean end is no crash: forgets the counts. */
void nm_guard_end(struct nm_runtime *rt);

/* position.c */
/* Counts finished works into the positions, and moves wm: *idle when nothing is on its way. */
NM_MUST_USE enum nm_status nm_positions_advance(struct nm_runtime *rt, bool *idle, struct nm_error *err);
NM_MUST_USE enum nm_status nm_commit(struct nm_runtime *rt, bool wait, struct nm_error *err);
NM_MUST_USE enum nm_status nm_commit_beginning(struct nm_runtime *rt, struct nm_error *err);
/* Behind a step's commands: whether wm is there. An emptied Redis keeps its connections, and what is composed from what
 * little it knows then must not be sent. NM_RETRY: it is gone. */
void nm_state_ask(struct nm_runtime *rt, struct nm_work *work);
NM_MUST_USE enum nm_status nm_state_check(const struct nm_work *work, struct nm_error *err);
void nm_on_committed(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque);
/* Reads the answer to nm_watermark_append() for a partition. */
NM_MUST_USE enum nm_status nm_position_moved(struct nm_partition *part, const struct nm_reply *reply,
                                             struct nm_error *err);
/* Chaos build: reads the present watermarks as if they were ours. */
NM_MUST_USE enum nm_status nm_positions_adopt(struct nm_runtime *rt, struct nm_error *err);

/* sets.c */
extern struct nm_script nm_set_due_script, nm_set_clear_script;
NM_MUST_USE enum nm_status nm_sets_advance(struct nm_runtime *rt, struct nm_error *err);
void nm_sets_reset(struct nm_runtime *rt); /* look again at once */
/* Appends to the work's pipe what takes its finished members out. */
void nm_sets_clear(struct nm_runtime *rt, struct nm_work *work);
int64_t nm_sets_deadline_ms(const struct nm_runtime *rt);

/* beside.c; each is harmless where the worker has none */
/* redis: its pipe may be used now. *idle is cleared while something has to be waited for before a drain ends. */
NM_MUST_USE enum nm_status nm_beside_turn(struct nm_runtime *rt, bool redis, bool *idle, struct nm_error *err);
size_t nm_beside_fds(struct nm_runtime *rt, struct pollfd *out);
int64_t nm_beside_deadline_ms(const struct nm_runtime *rt);
size_t nm_beside_room(const struct nm_runtime *rt); /* for members of sets */
void nm_beside_drop(struct nm_runtime *rt);         /* the connection to Redis is gone, or nothing is in flight on it */
void nm_beside_close(struct nm_runtime *rt);

/* assignment.c */
void nm_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t *list, void *opaque);
NM_MUST_USE enum nm_status nm_rebalance_serve(struct nm_runtime *rt, struct nm_error *err);
/* Stops fetching and forgets every position above wm; nm_assignment_resolve() must follow. */
void nm_assignment_drop(struct nm_runtime *rt);
/* Index into worker->inputs; n_inputs where the topic is none of them. */
size_t nm_input_find(const struct nm_runtime *rt, const char *topic);
struct nm_partition *nm_partition_find(struct nm_runtime *rt, size_t input, int32_t id);
struct nm_partition *nm_item_partition(struct nm_runtime *rt, const struct nm_item *item);
const char *nm_partition_topic(const struct nm_runtime *rt, const struct nm_partition *part);

/* resume.c */
/* Reads wm and the committed offsets, decides where to begin, and makes librdkafka fetch from there. */
NM_MUST_USE enum nm_status nm_assignment_resolve(struct nm_runtime *rt, struct nm_error *err);
/* Goes on when it is known whether the streams are still the same. */
NM_MUST_USE enum nm_status nm_resume_verified(struct nm_runtime *rt, struct nm_error *err);
/* Ends a rebuild when what it reads first is finished. */
NM_MUST_USE enum nm_status nm_resume_rebuilt(struct nm_runtime *rt, struct nm_error *err);

/* witness.c */
NM_MUST_USE enum nm_status nm_witness_open(struct nm_runtime *rt, struct nm_error *err);
void nm_witness_close(struct nm_runtime *rt); /* before the partitions are forgotten */
/* Asks for a record of each partition that must still be there: its anchor, or else the one below wm. */
NM_MUST_USE enum nm_status nm_witness_begin(struct nm_runtime *rt, struct nm_error *err);
/* *done: every answer is in the facts. NM_RETRY: too late. */
NM_MUST_USE enum nm_status nm_witness_begun(struct nm_runtime *rt, bool *done, struct nm_error *err);
/* Looks at the anchors now and then. NM_RETRY: a stream is another one; the beginning that follows finds it, too. */
NM_MUST_USE enum nm_status nm_witness_advance(struct nm_runtime *rt, struct nm_error *err);
void nm_witness_drop(struct nm_runtime *rt); /* asks for nothing any more */

/* group.c */
NM_MUST_USE enum nm_status nm_group_begin(struct nm_runtime *rt, struct nm_error *err);
NM_MUST_USE enum nm_status nm_group_advance(struct nm_runtime *rt, struct nm_error *err);
/* When the next look is due; INT64_MAX: there is none, or one is under way. */
int64_t nm_group_deadline_ms(const struct nm_runtime *rt);
void nm_group_close(struct nm_runtime *rt);

/* observe.c */
NM_MUST_USE enum nm_status nm_observe_open(struct nm_runtime *rt, struct nm_error *err);
void nm_observe_close(struct nm_runtime *rt);
int64_t nm_observe_clock_ns(void); /* monotonic */
/* The loop goes over to another phase; the time since the last call belongs to the one before. */
void nm_observe_phase(struct nm_runtime *rt, enum nm_phase next);
void nm_observe_beat(struct nm_runtime *rt); /* to the watchdog, between two waits */
void nm_observe_retry(struct nm_runtime *rt, const struct nm_error *why);
void nm_observe_recovered(struct nm_runtime *rt);
void nm_observe_done(struct nm_runtime *rt, const struct nm_work *work);
/* Several times a second: beats, reports, announces. */
NM_MUST_USE enum nm_status nm_observe_tick(struct nm_runtime *rt, struct nm_error *err);
void nm_observe_forget(struct nm_runtime *rt); /* the partitions are given back */
void nm_observe_leave(struct nm_runtime *rt);  /* a clean end */

/* redis_session.c */
NM_MUST_USE enum nm_status nm_redis_reconnect(struct nm_runtime *rt, struct nm_error *err);

/* deadletter.c */
extern const char *const nm_schemas[NM_N_STREAMS]; /* value of the header nm-schema; NULL: none */
/* Fills an output for a rejected item: key and value as received, cut where the stream could not take them. */
void nm_dead_letter(const struct nm_runtime *rt, struct nm_item *item, struct nm_output *out);
/* Headers as received (source NULL: none), then the reason. The caller owns them; NULL: out of memory. */
rd_kafka_headers_t *nm_dead_headers(const struct nm_runtime *rt, const struct nm_output *output,
                                    const rd_kafka_message_t *source);
bool nm_header_text(rd_kafka_headers_t *headers, const char *name, const char *value);
bool nm_header_number(rd_kafka_headers_t *headers, const char *name, int64_t value);

/* produce.c */
void nm_on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);
NM_MUST_USE enum nm_status nm_producer_start(struct nm_runtime *rt, struct nm_error *err);
void nm_producer_drop(struct nm_runtime *rt); /* with everything that it still had to send */
/* Outputs that no broker would take are taken back, and their items become dead letters. */
void nm_reject_oversized(struct nm_runtime *rt, struct nm_batch *batch);
NM_MUST_USE enum nm_status nm_produce(struct nm_runtime *rt, struct nm_work *work, struct nm_error *err);
/* NM_OK with *all: every report came and is good. */
NM_MUST_USE enum nm_status nm_reports_look(struct nm_runtime *rt, struct nm_work *work, bool *all,
                                           struct nm_error *err);

#endif
