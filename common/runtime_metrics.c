/* runtime_metrics.c - the rows of the runtime's metrics, see runtime_metrics.h. The names are a contract with whoever
 * draws or alerts on them. One thread. */
#include "runtime_metrics.h"

#include <inttypes.h>
#include <stdio.h>

static const double seconds_buckets[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                         0.1,    0.25,  0.5,    1,     2.5,  5,     10};
static const double items_buckets[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};

#define N_OF(array) (sizeof(array) / sizeof *(array))

static const struct nm_metric_spec lag_messages = {
    .kind = NM_GAUGE,
    .name = "lag_messages",
    .help = "Messages of an assigned partition that are not finished yet.",
    .label = {"stream", "partition"},
};
static const struct nm_metric_spec lag_seconds = {
    .kind = NM_GAUGE,
    .name = "lag_seconds",
    .help = "Age of the next message of an assigned partition; 0 without lag.",
    .label = {"stream", "partition"},
};
static const struct nm_metric_spec events_total = {
    .kind = NM_COUNTER,
    .name = "events_total",
    .help = "Events finished, by what became of them.",
    .label = {"stream", "outcome"},
};
static const struct nm_metric_spec messages_out_total = {
    .kind = NM_COUNTER,
    .name = "messages_out_total",
    .help = "Messages that Kafka acknowledged.",
    .label = {"stream"},
};
static const struct nm_metric_spec dead_total = {
    .kind = NM_COUNTER,
    .name = "dead_total",
    .help = "Dead letters, by reason.",
    .label = {"code"},
};
static const struct nm_metric_spec retries_total = {
    .kind = NM_COUNTER,
    .name = "retries_total",
    .help = "Times that work was tried again because a dependency failed.",
    .label = {"dependency"},
};
static const struct nm_metric_spec loop_seconds_total = {
    .kind = NM_COUNTER,
    .name = "loop_seconds_total",
    .help = "Where the time of the worker's thread went.",
    .label = {"phase"},
};
static const struct nm_metric_spec batch_items = {
    .kind = NM_HISTOGRAM,
    .name = "batch_items",
    .help = "Events of a batch.",
    .bucket = items_buckets,
    .n_buckets = N_OF(items_buckets),
};
static const struct nm_metric_spec redis_seconds = {
    .kind = NM_HISTOGRAM,
    .name = "redis_seconds",
    .help = "Time of one Redis pipeline, from sending to the last reply.",
    .bucket = seconds_buckets,
    .n_buckets = N_OF(seconds_buckets),
};
static const struct nm_metric_spec produce_seconds = {
    .kind = NM_HISTOGRAM,
    .name = "produce_seconds",
    .help = "Time from the first message of a batch to its last delivery report.",
    .bucket = seconds_buckets,
    .n_buckets = N_OF(seconds_buckets),
};
static const struct nm_metric_spec in_flight_items = {
    .kind = NM_GAUGE,
    .name = "in_flight_items",
    .help = "Events taken from Kafka and not finished.",
};
static const struct nm_metric_spec in_flight_bytes = {
    .kind = NM_GAUGE,
    .name = "in_flight_bytes",
    .help = "Bytes of the events taken from Kafka and not finished.",
};
static const struct nm_metric_spec paused_partitions = {
    .kind = NM_GAUGE,
    .name = "paused_partitions",
    .help = "Assigned partitions from which nothing is taken at the moment.",
};
static const struct nm_metric_spec set_members = {
    .kind = NM_GAUGE,
    .name = "set_members",
    .help =
        "Members of a due set or an out set, in the partitions of this process: what is to be done without an event.",
    .label = {"set"},
};
static const struct nm_metric_spec rebalances_total = {
    .kind = NM_COUNTER,
    .name = "rebalances_total",
    .help = "Times that the consumer group gave or took partitions.",
};
static const struct nm_metric_spec state_losses_total = {
    .kind = NM_COUNTER,
    .name = "state_losses_total",
    .help = "Times that Redis was seen to have lost writes.",
};
static const struct nm_metric_spec breaker_open = {
    .kind = NM_GAUGE,
    .name = "breaker_open",
    .help = "1 when nearly every event died and the worker stopped because of it.",
};

static const char *const outcome_words[NM_N_OUTCOMES] = {
    [NM_OUTCOME_OK] = "ok", [NM_OUTCOME_DEAD] = "dead", [NM_OUTCOME_STALE] = "stale"};
static const char *const dependency_words[NM_N_DEPENDENCIES] = {
    [NM_DEPENDENCY_REDIS] = "redis", [NM_DEPENDENCY_KAFKA] = "kafka"};
static const char *const phase_words[NM_N_PHASES] = {
    [NM_PHASE_POLL] = "poll",       [NM_PHASE_PROCESS] = "process", [NM_PHASE_REDIS] = "redis",
    [NM_PHASE_PRODUCE] = "produce", [NM_PHASE_ACK] = "ack",         [NM_PHASE_COMMIT] = "commit",
    [NM_PHASE_BESIDE] = "beside",   [NM_PHASE_IDLE] = "idle"};

static void init_streams(struct nm_runtime_metrics *rm, const struct nm_worker *worker)
{
    for (size_t i = 0; i < worker->n_inputs; i++) {
        enum nm_stream stream = worker->inputs[i].stream;
        for (int o = 0; o < NM_N_OUTCOMES; o++)
            rm->events[stream][o] =
                nm_metric(rm->metrics, &events_total, (const char *[]){nm_stream_word(stream), outcome_words[o]});
    }
    for (size_t i = 0; i <= worker->n_outputs; i++) {
        enum nm_stream stream = i < worker->n_outputs ? worker->outputs[i] : NM_DEAD;
        rm->messages_out[stream] =
            nm_metric(rm->metrics, &messages_out_total, (const char *[]){nm_stream_word(stream)});
    }
}

void nm_runtime_metrics_init(struct nm_runtime_metrics *rm, struct nm_metrics *metrics, const struct nm_worker *worker)
{
    *rm = (struct nm_runtime_metrics){.metrics = metrics};
    init_streams(rm, worker);
    for (int i = 0; i < NM_N_DEPENDENCIES; i++)
        rm->retries[i] = nm_metric(metrics, &retries_total, &dependency_words[i]);
    for (int i = 0; i < NM_N_PHASES; i++)
        rm->loop_seconds[i] = nm_metric(metrics, &loop_seconds_total, &phase_words[i]);
    rm->batch_items = nm_metric(metrics, &batch_items, NULL);
    rm->redis_seconds = nm_metric(metrics, &redis_seconds, NULL);
    rm->produce_seconds = nm_metric(metrics, &produce_seconds, NULL);
    rm->in_flight_items = nm_metric(metrics, &in_flight_items, NULL);
    rm->in_flight_bytes = nm_metric(metrics, &in_flight_bytes, NULL);
    rm->paused_partitions = nm_metric(metrics, &paused_partitions, NULL);
    rm->rebalances = nm_metric(metrics, &rebalances_total, NULL);
    rm->state_losses = nm_metric(metrics, &state_losses_total, NULL);
    rm->breaker_open = nm_metric(metrics, &breaker_open, NULL);
    for (size_t s = 0; s < worker->n_sets; s++)
        nm_runtime_metrics_set(rm, worker->sets[s].name, 0);
}

static void set_or_remove(struct nm_runtime_metrics *rm, const struct nm_metric_spec *spec, const char *const *labels,
                          int64_t number, double scale)
{
    struct nm_series *series = nm_metric(rm->metrics, spec, labels);
    if (number < 0)
        nm_series_remove(series);
    else
        nm_series_set(series, (double)number / scale);
}

void nm_runtime_metrics_lag(struct nm_runtime_metrics *rm, enum nm_stream stream, int32_t partition, int64_t messages,
                            int64_t lag_ms)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%" PRId32, partition);
    const char *const labels[] = {nm_stream_word(stream), number};
    set_or_remove(rm, &lag_messages, labels, messages, 1);
    set_or_remove(rm, &lag_seconds, labels, lag_ms, 1000);
}

void nm_runtime_metrics_give_back(struct nm_runtime_metrics *rm, enum nm_stream stream, int32_t partition)
{
    nm_runtime_metrics_lag(rm, stream, partition, -1, -1);
}

void nm_runtime_metrics_set(struct nm_runtime_metrics *rm, const char *set, int64_t members)
{
    nm_series_set(nm_metric(rm->metrics, &set_members, &set), (double)members);
}

void nm_runtime_metrics_dead(struct nm_runtime_metrics *rm, const char *code)
{
    nm_series_add(nm_metric(rm->metrics, &dead_total, &code), 1);
}
