/* kafka.c - librdkafka clients with the properties that the delivery promise needs.
 *
 * The defaults are those measured with librdkafka 2.0.2 against Kafka 4.1; each row says why. Properties that the
 * promise hangs on are refused in the option file instead of being overridden in silence. Log lines of the library come
 * from its own threads: nm_log is thread-safe. */
#include "newsmill/kafka.h"
#include "newsmill/fault.h"
#include "newsmill/log.h"

#include <stdio.h>
#include <string.h>

struct property {
    const char *name, *value;
};

static const struct property both[] = {
    {"socket.nagle.disable", "true"},    /* on by default in 2.0.2; costs 40 ms here and there   */
    {"socket.keepalive.enable", "true"}, /* finds a peer that is gone without a reset            */
    {"socket.timeout.ms", "10000"},      /* a black hole is noticed within it                    */
    {"socket.connection.setup.timeout.ms", "5000"},
    {"reconnect.backoff.ms", "100"},
    {"reconnect.backoff.max.ms", "2000"},
    {"topic.metadata.refresh.interval.ms", "60000"}, /* new partitions are seen within it */
};

static const struct property consumer[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"}, /* a gap is an operator's decision, never a silent jump */
    {"allow.auto.create.topics", "false"},
    {"partition.assignment.strategy",
     "range"}, /* one instance owns an id in every stream; cooperative is broken in 2.0.2 */
    {"session.timeout.ms", "15000"},
    {"heartbeat.interval.ms", "1000"}, /* a member learns of a rebalance at its next heartbeat */
    {"max.poll.interval.ms", "300000"},
    {"fetch.wait.max.ms", "100"},
    /* Not 500: a stream that was made anew is mostly seen while it is away or shorter than our position. */
    {"fetch.error.backoff.ms", "50"},
    {"queued.min.messages", "10000"},
    {"queued.max.messages.kbytes", "16384"},
    /* Of one partition in one answer, compressed: what comes beyond the queue's bound, and how long the others wait
       behind it. A larger batch comes alone, when its partition is the first in the request. */
    {"fetch.message.max.bytes", "131072"},
    {"check.crcs", "true"},
};

/* On top of them, for single records. */
static const struct property reader[] = {
    {"queued.max.messages.kbytes", "4096"},
    {"fetch.message.max.bytes", "16384"}, /* or one batch, of which one record is wanted */
    {"fetch.wait.max.ms", "10"},          /* what waits at the end of one partition holds up the next question */
};

static const struct property producer[] = {
    {"enable.idempotence", "true"},
    {"partitioner", "murmur2_random"}, /* as Java clients: two partitioners would split an id over two partitions */
    {"linger.ms", "5"},
    {"compression.codec", "lz4"},
    {"batch.size", "1000000"},
    {"request.timeout.ms", "10000"},
    {"retry.backoff.ms", "250"}, /* constant in 2.0.2 */
    {"queue.buffering.max.messages", "200000"},
    {"queue.buffering.max.kbytes", "65536"},
};

/* Not to be changed in the option file, with what to do instead. */
static const struct property fixed[] = {
    {"bootstrap.servers", "use kafka.brokers"},
    {"metadata.broker.list", "use kafka.brokers"},
    {"enable.auto.commit", "newsmill commits explicit offsets after delivery"},
    {"enable.auto.offset.store", "newsmill commits explicit offsets after delivery"},
    {"auto.commit.enable", "newsmill commits explicit offsets after delivery"},
    {"auto.offset.reset", "use runtime.start; a gap stops the worker"},
    {"allow.auto.create.topics", "use `newsmill streams apply`"},
    {"partition.assignment.strategy", "range is needed, so that one instance owns an id in every stream"},
    {"enable.idempotence", "needed for the order of an id's records"},
    {"acks", "all replicas must acknowledge"},
    {"request.required.acks", "all replicas must acknowledge"},
    {"partitioner", "murmur2 is needed, as Java clients have it"},
    {"delivery.timeout.ms", "it follows from session.timeout.ms"},
    {"message.timeout.ms", "it follows from session.timeout.ms"},
    {"client.rack", "fetching from followers is broken in librdkafka 2.0.2"},
    {"group.instance.id", "static membership is not supported"},
    {"transactional.id", "the promise does not hang on transactions"},
    {"message.max.bytes", "it follows from streams.*.maxMessageBytes"},
};

void nm_kafka_close(rd_kafka_t *rk)
{
    if (rk)
        rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void log_line(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    nm_kafka_note_error(text);
    /* What the library retries by itself is noise until the runtime sees a consequence, which it logs itself. */
    nm_log(level <= 3 ? NM_INFO : NM_DEBUG, "kafka.library", "%s: %s", facility, text);
}

static enum nm_status set(rd_kafka_conf_t *conf, const char *name, const char *value, struct nm_error *err)
{
    char reason[200];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK)
        return NM_OK;
    return nm_fail(err, NM_CONFIG, "Kafka property %s: %s", name, reason);
}

static enum nm_status set_rows(rd_kafka_conf_t *conf, const struct property *rows, size_t n, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < n; i++)
        status = set(conf, rows[i].name, rows[i].value, err);
    return status;
}

/* When a queue is full, 2.0.2 looks again after a second, whatever happens: a worker that reads faster than a queue a
 * second waits for it. Later ones have a property for that. */
static enum nm_status set_queue_backoff(rd_kafka_conf_t *conf, struct nm_error *err)
{
    char reason[200];
    if (rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "10", reason, sizeof reason) != RD_KAFKA_CONF_INVALID)
        return NM_OK;
    return nm_fail(err, NM_CONFIG, "Kafka property fetch.queue.backoff.ms: %s", reason);
}

/* `without` (NULL: none) is left out. */
static enum nm_status set_map(rd_kafka_conf_t *conf, const char *option, const struct nm_pairs *map,
                              const char *without, struct nm_error *err)
{
    enum nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < map->n; i++) {
        for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++)
            if (strcmp(map->item[i].name, fixed[k].name) == 0)
                return nm_fail(err, NM_CONFIG, "%s.%s cannot be set: %s", option, fixed[k].name, fixed[k].value);
        if (without && strcmp(map->item[i].name, without) == 0)
            continue;
        status = set(conf, map->item[i].name, map->item[i].value, err);
    }
    return status;
}

static enum nm_status set_number(rd_kafka_conf_t *conf, const char *name, long long value, struct nm_error *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", value);
    return set(conf, name, text, err);
}

static long long largest_message(const struct nm_settings *settings)
{
    long long most = 0;
    for (int i = 0; i < NM_N_STREAMS; i++)
        if (settings->stream[i].max_message_bytes > most)
            most = settings->stream[i].max_message_bytes;
    return most;
}

/* Defaults of every client, `rows` of its kind, then kafka.common on top. */
static enum nm_status new_conf(const struct nm_settings *settings, const struct nm_kafka_hooks *hooks,
                               const struct property *rows, size_t n_rows, rd_kafka_conf_t **out, struct nm_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!conf)
        return nm_fail(err, NM_FATAL, "out of memory for a Kafka client");
    enum nm_status status = set(conf, "bootstrap.servers", settings->brokers, err);
    if (status == NM_OK)
        status = set_rows(conf, both, sizeof both / sizeof *both, err);
    if (status == NM_OK)
        status = set_rows(conf, rows, n_rows, err);
    if (status == NM_OK)
        status = set_map(conf, "kafka.common", &settings->kafka_common, NULL, err);
    if (status != NM_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_log_cb(conf, log_line);
    if (hooks) {
        rd_kafka_conf_set_opaque(conf, hooks->opaque);
        if (hooks->error)
            rd_kafka_conf_set_error_cb(conf, hooks->error);
    }
    *out = conf;
    return NM_OK;
}

static enum nm_status open_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out, struct nm_error *err)
{
    char reason[200];
    rd_kafka_t *rk = rd_kafka_new(type, conf, reason, sizeof reason);
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        return nm_fail(err, NM_CONFIG, "Kafka client: %s", reason);
    }
    *out = rk;
    return NM_OK;
}

enum nm_status nm_kafka_consumer_open(const struct nm_settings *settings, const char *group,
                                      const struct nm_kafka_hooks *hooks, rd_kafka_t **out, struct nm_error *err)
{
    rd_kafka_conf_t *conf = NULL;
    enum nm_status status = new_conf(settings, hooks, consumer, sizeof consumer / sizeof *consumer, &conf, err);
    if (status != NM_OK)
        return status;
    status = set_queue_backoff(conf, err);
    if (status == NM_OK)
        status = set_map(conf, "kafka.consumer", &settings->kafka_consumer, NULL, err);
    /* librdkafka wants some group even for assign() without one; it is never joined, and nothing is committed. */
    if (status == NM_OK)
        status = set(conf, "group.id", group ? group : "newsmill-tool", err);
    if (status == NM_OK)
        status = set(conf, "enable.partition.eof", "true", err);
    if (status == NM_OK && NM_CONTROL(NM_CONTROL_STORED_OFFSETS))
        status = set(conf, "enable.auto.offset.store", "true", err);
    if (status != NM_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    if (hooks && hooks->rebalance)
        rd_kafka_conf_set_rebalance_cb(conf, hooks->rebalance);
    if (hooks && hooks->committed)
        rd_kafka_conf_set_offset_commit_cb(conf, hooks->committed);
    rd_kafka_t *rk = NULL;
    status = open_client(RD_KAFKA_CONSUMER, conf, &rk, err);
    if (status != NM_OK)
        return status;
    (void)rd_kafka_poll_set_consumer(rk); /* one queue: messages, rebalances, errors, logs */
    *out = rk;
    return NM_OK;
}

/* Without a group it talks to no coordinator, and needs no right on one. */
enum nm_status nm_kafka_reader_open(const struct nm_settings *settings, rd_kafka_t **out, struct nm_error *err)
{
    rd_kafka_conf_t *conf = NULL;
    enum nm_status status = new_conf(settings, NULL, consumer, sizeof consumer / sizeof *consumer, &conf, err);
    if (status != NM_OK)
        return status;
    status = set_map(conf, "kafka.consumer", &settings->kafka_consumer, "group.id", err);
    if (status == NM_OK)
        status = set_rows(conf, reader, sizeof reader / sizeof *reader, err);
    if (status == NM_OK)
        return open_client(RD_KAFKA_CONSUMER, conf, out, err);
    rd_kafka_conf_destroy(conf);
    return status;
}

/* The consumer's session timeout as this fleet has it, ms. */
static long long session_timeout_ms(const struct nm_settings *settings)
{
    const struct nm_pairs *maps[] = {&settings->kafka_common, &settings->kafka_consumer};
    long long value = 15000;
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < maps[m]->n; i++)
            if (strcmp(maps[m]->item[i].name, "session.timeout.ms") == 0)
                value = strtoll(maps[m]->item[i].value, NULL, 10);
    return value;
}

long long nm_kafka_delivery_timeout_ms(const struct nm_settings *settings)
{
    long long most = session_timeout_ms(settings) * 2 / 3;
    return most < 1000 ? 1000 : most;
}

enum nm_status nm_kafka_producer_open(const struct nm_settings *settings, const struct nm_kafka_hooks *hooks,
                                      rd_kafka_t **out, struct nm_error *err)
{
    rd_kafka_conf_t *conf = NULL;
    enum nm_status status = new_conf(settings, hooks, producer, sizeof producer / sizeof *producer, &conf, err);
    if (status != NM_OK)
        return status;
    status = set_number(conf, "delivery.timeout.ms", nm_kafka_delivery_timeout_ms(settings), err);
    if (status == NM_OK)
        status = set_number(conf, "message.max.bytes", largest_message(settings), err);
    if (status == NM_OK)
        status = set_map(conf, "kafka.producer", &settings->kafka_producer, NULL, err);
    if (status != NM_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    if (hooks && hooks->report)
        rd_kafka_conf_set_dr_msg_cb(conf, hooks->report);
    return open_client(RD_KAFKA_PRODUCER, conf, out, err);
}

void nm_kafka_group(const struct nm_settings *settings, const char *worker, char out[256])
{
    for (size_t i = 0; i < settings->kafka_consumer.n; i++) {
        if (strcmp(settings->kafka_consumer.item[i].name, "group.id") == 0) {
            (void)snprintf(out, 256, "%s", settings->kafka_consumer.item[i].value);
            return;
        }
    }
    (void)snprintf(out, 256, "%s.%s", settings->ns, worker);
}

bool nm_kafka_is_config_error(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
        return true;
    default:
        return false;
    }
}

static enum nm_status count_partitions(const struct rd_kafka_metadata *metadata, const char *topic, int32_t *out,
                                       struct nm_error *err)
{
    if (metadata->topic_cnt != 1)
        return nm_fail(err, NM_RETRY, "the cluster does not tell about topic %s yet", topic);
    rd_kafka_resp_err_t code = metadata->topics[0].err;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        return nm_fail(err, NM_CONFIG, "topic %s does not exist: run `newsmill streams apply` first", topic);
    if (code)
        return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY, "topic %s: %s", topic,
                       rd_kafka_err2str(code));
    *out = metadata->topics[0].partition_cnt;
    return NM_OK;
}

enum nm_status nm_kafka_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, int32_t *out,
                                   struct nm_error *err)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    if (!handle)
        return nm_fail(err, NM_CONFIG, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, handle, &metadata, timeout_ms);
    enum nm_status status = NM_OK;
    if (code)
        status = nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY, "asking for topic %s: %s", topic,
                         rd_kafka_err2str(code));
    else
        status = count_partitions(metadata, topic, out, err);
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return status == NM_RETRY ? nm_kafka_judge(status, err) : status;
}

enum nm_status nm_kafka_ends(rd_kafka_t *rk, const char *topic, int32_t partition, int timeout_ms, int64_t *oldest,
                             int64_t *end, struct nm_error *err)
{
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(rk, topic, partition, &low, &high, timeout_ms);
    if (code)
        return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY, "asking for the ends of %s/%d: %s",
                       topic, partition, rd_kafka_err2str(code));
    *oldest = low;
    *end = high;
    return NM_OK;
}

void nm_kafka_wake(rd_kafka_queue_t *queue, int fd)
{
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue); /* the client keeps its own hold */
}

long nm_kafka_header(const rd_kafka_message_t *message, const char *name, char *out, size_t size)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t len = 0;
    out[0] = '\0';
    if (rd_kafka_message_headers(message, &headers) || rd_kafka_header_get_last(headers, name, &value, &len) || !value)
        return -1;
    size_t n = len < size - 1 ? len : size - 1;
    memcpy(out, value, n);
    out[n] = '\0';
    return (long)len;
}
