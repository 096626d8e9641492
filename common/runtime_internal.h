/* runtime_internal.h - what the files of the runtime share. One thread; librdkafka's own threads reach it only through
 * callbacks that are served inside rd_kafka_consumer_poll(), rd_kafka_poll() and rd_kafka_flush() on that thread.
 *
 *   runtime.c      the program: command line, option file, open, close
 *   loop.c         fill a batch, run it, back off, stop
 *   assignment.c   rebalances, and where each partition is taken up
 *   deliver.c      one batch from process() to wm and commit
 *   produce.c      outputs and delivery reports
 *   deadletter.c   what a dead letter carries
 *   batch.c        the batch's memory
 *   watermark.c    wm, pure
 */
#ifndef NM_RUNTIME_INTERNAL_H
#define NM_RUNTIME_INTERNAL_H

#include "newsmill/kafka.h"
#include "newsmill/watermark.h"
#include "newsmill/worker.h"

#include <signal.h>

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
    char key[NM_WM_KEY_BYTES]; /* of wm in Redis */
    int64_t done;              /* everything below is finished: outputs delivered, marks set */
    int64_t committed;         /* Kafka's, as far as it answered            */
    int64_t asked;             /* the last commit that was sent            */
    int64_t resend_until;      /* offsets below: no mark suppresses an output */
    int64_t behind_until;      /* end when it was taken up; 0 in a new group */
    bool has_wm;
    struct nm_watermark wm; /* last read or written */
    char wm_text[NM_WM_BYTES];
    /* of the batch that runs: the position after it */
    bool touched;
    struct nm_watermark next;
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
    struct nm_redis *redis;
    struct nm_script **scripts; /* the worker's and wm */
    size_t n_scripts;
    int64_t max_revision;  /* highest that was sent or read, us */
    int64_t redis_seen_ms; /* boot time of the last good reply */
    long long session_timeout_ms;

    struct nm_partition *part;
    size_t n_parts;
    bool member;   /* the group gave us an assignment (which may be empty) */
    bool resolved; /* the positions are known and librdkafka fetches */
    bool behind;   /* some partition has not passed its behind_until */
    bool closing;
    enum nm_rebalance rebalance; /* waiting to be served */
    rd_kafka_topic_partition_list_t *rebalance_list;
    bool rebalance_lost;

    struct nm_batch batch;
    rd_kafka_message_t **message; /* of each item */
    char *item_data;
    size_t batch_bytes;
    int64_t last_commit_ms;

    bool producing;               /* from the first message of a batch to its last good report */
    size_t outstanding, n_failed; /* delivery reports of the batch */
    rd_kafka_resp_err_t first_failure;
    enum nm_status kafka_status; /* set by callbacks: not NM_OK stops the worker */
    struct nm_error kafka_error;
    unsigned failures; /* in a row, for the backoff */
};

/* One question to Kafka; a broker that does not answer is asked again by the next turn, so that a signal is obeyed
 * soon. */
#define NM_KAFKA_WAIT_MS 2000

extern volatile sig_atomic_t nm_stop_requested;

/* loop.c */
void nm_on_consumer_error(rd_kafka_t *rk, int code, const char *reason, void *opaque);
NM_MUST_USE enum nm_status nm_loop(struct nm_runtime *rt, struct nm_error *err);

/* batch.c */
NM_MUST_USE enum nm_status nm_batch_open(struct nm_runtime *rt, struct nm_error *err);
void nm_batch_close(struct nm_runtime *rt);
void nm_batch_forget(struct nm_runtime *rt); /* drops the batch; its events are read again */
/* One more output, zeroed; NULL: out of memory, which the batch notes. */
struct nm_output *nm_batch_output(struct nm_batch *batch);

/* assignment.c */
void nm_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t *list, void *opaque);
NM_MUST_USE enum nm_status nm_rebalance_serve(struct nm_runtime *rt, struct nm_error *err);
/* Reads wm and the committed offsets, decides where to begin, and makes librdkafka fetch from there. */
NM_MUST_USE enum nm_status nm_assignment_resolve(struct nm_runtime *rt, struct nm_error *err);
/* Stops fetching and forgets every position above wm; nm_assignment_resolve() must follow. */
void nm_assignment_drop(struct nm_runtime *rt);
/* Index into worker->inputs; n_inputs where the topic is none of them. */
size_t nm_input_find(const struct nm_runtime *rt, const char *topic);
struct nm_partition *nm_partition_find(struct nm_runtime *rt, enum nm_stream stream, int32_t id);
NM_MUST_USE enum nm_status nm_commit(struct nm_runtime *rt, bool wait, struct nm_error *err);
void nm_on_committed(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque);

/* deliver.c */
NM_MUST_USE enum nm_status nm_deliver(struct nm_runtime *rt, struct nm_error *err);
NM_MUST_USE enum nm_status nm_redis_reconnect(struct nm_runtime *rt, struct nm_error *err);

/* deadletter.c */
#define NM_ENVELOPE_BYTES                                                                                              \
    4096 /* what a message may cost beside key and value: our headers, the record's and batch's frame */
extern const char *const nm_schemas[NM_N_STREAMS]; /* value of the header nm-schema; NULL: none */
/* Fills an output for a rejected item: key and value as received, cut where the stream could not take them. */
void nm_dead_letter(const struct nm_runtime *rt, struct nm_item *item, struct nm_output *out);
/* Headers as received, then the reason. The caller owns them; NULL: out of memory. */
rd_kafka_headers_t *nm_dead_headers(const struct nm_runtime *rt, const struct nm_output *output,
                                    const rd_kafka_message_t *source);
bool nm_header_text(rd_kafka_headers_t *headers, const char *name, const char *value);
bool nm_header_number(rd_kafka_headers_t *headers, const char *name, int64_t value);

/* produce.c */
void nm_on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);
NM_MUST_USE enum nm_status nm_producer_start(struct nm_runtime *rt, struct nm_error *err);
void nm_producer_drop(struct nm_runtime *rt); /* with everything that it still had to send */
NM_MUST_USE enum nm_status nm_produce(struct nm_runtime *rt, struct nm_error *err);
NM_MUST_USE enum nm_status nm_reports_wait(struct nm_runtime *rt, struct nm_error *err);

#endif
