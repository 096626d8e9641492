/* settings.c - the options that every program shares, and what follows from them.
 *
 * The table is the only place that knows a name, a default or a range; --help, the README's table and the checks of
 * the option file come from it. The six streams have the same options, so their rows come from one macro.
 *
 * A namespace other than the default writes streams of its own, so that two installations on one Kafka never read
 * each other's articles; raw and signals come from outside and are shared.
 *
 * Pure functions; nothing is shared between threads. */
#include "newsmill/settings.h"

#include "admin_internal.h"
#include "newsmill/buf.h"
#include "newsmill/datetime.h"
#include "redis_internal.h"

#include <stdint.h>
#include <string.h>

#define LOWER   "abcdefghijklmnopqrstuvwxyz"
#define UPPER   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"
#define WEEK_MS "604800000"

static const char *const stream_words[NM_N_STREAMS] = {
    [NM_RAW] = "raw",         [NM_NORMALIZED] = "normalized", [NM_FACETS] = "facets",
    [NM_SIGNALS] = "signals", [NM_RECORDS] = "records",       [NM_DEAD] = "dead",
};

/* A namespace becomes part of Redis keys, consumer groups and topic names. */
static enum nm_status check_namespace(const char *value, struct nm_error *err)
{
    if (*value == '\0' || !strchr(LOWER DIGITS, *value) || value[strspn(value, LOWER DIGITS "._-")] != '\0')
        return nm_fail(err, NM_CONFIG, "is '%s', but takes only a-z, 0-9, '.', '_' and '-', a letter or a digit first",
                       value);
    return NM_OK;
}

/* The client's own rules, told here with the line in the file; its sentences begin with the option's name. */
static enum nm_status check_redis_url(const char *value, struct nm_error *err)
{
    static const char name[] = "redis.url";
    struct nm_redis_url url;
    struct nm_error why = {0};
    if (nm_redis_url_parse(value, &url, &why) == NM_OK)
        return NM_OK;
    const char *msg = why.msg;
    if (strncmp(msg, name, strlen(name)) == 0)
        msg += strlen(name);
    return nm_fail(err, NM_CONFIG, "%s", msg + strspn(msg, ": "));
}

static enum nm_status check_topic(const char *value, struct nm_error *err)
{
    if (value[strspn(value, LOWER UPPER DIGITS "._-")] != '\0' || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
        return nm_fail(err, NM_CONFIG, "is '%s', but a Kafka topic takes only a-z, A-Z, 0-9, '.', '_' and '-'", value);
    return NM_OK;
}

/* Kafka understands 0, and throws everything away. */
static enum nm_status check_retention(const char *value, struct nm_error *err)
{
    if (strcmp(value, "-1") != 0 && strtoll(value, NULL, 10) < 60000)
        return nm_fail(err, NM_CONFIG, "is %s, less than a minute (60000 ms); -1 keeps messages for ever", value);
    return NM_OK;
}

static enum nm_status check_start(const char *value, struct nm_error *err)
{
    int64_t ms;
    if (strcmp(value, "oldest") == 0 || strcmp(value, "newest") == 0 ||
        nm_time_parse(value, strlen(value), &ms, NULL) == NM_OK)
        return NM_OK;
    return nm_fail(err, NM_CONFIG, "is '%s', not oldest, newest or a time such as 2026-01-31T12:00:00Z", value);
}

static enum nm_status check_ratio(const char *value, struct nm_error *err)
{
    if (strtod(value, NULL) > 0)
        return NM_OK;
    return nm_fail(err, NM_CONFIG, "is %s, not above 0", value);
}

static enum nm_status check_listen(const char *value, struct nm_error *err)
{
    struct nm_listen listen;
    return nm_listen_parse(value, &listen, err);
}

#define FIELD(member) NM_FIELD(struct nm_settings, member)

/* clang-format off */
#define STREAM_ROWS(word, which, where, retention_ms_default, bytes_default)                                           \
    {"streams." word ".name", NM_OPT_STR, FIELD(stream[which].name), "", 0, 249, NULL, check_topic,                    \
     "Kafka topic of the " word " stream; empty: " where "."},                                                         \
    {"streams." word ".partitions", NM_OPT_INT, FIELD(stream[which].partitions), "8", 1, 1000, NULL, NULL,             \
     "Partitions that `newsmill streams apply` creates the topic with; it is the most instances that can share the work."}, \
    {"streams." word ".replication", NM_OPT_INT, FIELD(stream[which].replication), "1", 1, 15, NULL, NULL,             \
     "Brokers that keep a copy of each message; use 3 where there are three brokers."},                                \
    {"streams." word ".retentionMs", NM_OPT_INT, FIELD(stream[which].retention_ms), retention_ms_default, -1,          \
     3153600000000, NULL, check_retention, "How long Kafka keeps a message; -1: for ever."},                            \
    {"streams." word ".maxMessageBytes", NM_OPT_INT, FIELD(stream[which].max_message_bytes), bytes_default, 1024,      \
     104857600, NULL, NULL, "Largest message that the topic takes."}

const struct nm_option nm_common_options[] = {
    {"namespace", NM_OPT_STR, FIELD(ns), "news", 1, 64, NULL, check_namespace,
     "Prefix of Redis keys and consumer groups, and, unless it is news, of the streams that newsmill writes."},

    {"kafka.brokers", NM_OPT_STR, FIELD(brokers), "127.0.0.1:9092", 1, 4096, NULL, NULL,
     "Kafka brokers to connect to first, host:port with commas between them."},
    {"kafka.common", NM_OPT_MAP, FIELD(kafka_common), "", 0, 0, NULL, NULL,
     "librdkafka properties for consumers and producers, such as security.protocol."},
    {"kafka.consumer", NM_OPT_MAP, FIELD(kafka_consumer), "", 0, 0, NULL, NULL,
     "librdkafka properties for consumers only, such as fetch.min.bytes or group.id."},
    {"kafka.producer", NM_OPT_MAP, FIELD(kafka_producer), "", 0, 0, NULL, NULL,
     "librdkafka properties for producers only, such as linger.ms or compression.type."},

    {"redis.url", NM_OPT_STR, FIELD(redis.url), "redis://127.0.0.1:6379/0", 1, 4096, NULL, check_redis_url,
     "Redis server and database, rediss:// for TLS; keep the password out of it and use redis.passwordFile."},
    {"redis.username", NM_OPT_STR, FIELD(redis.username), "", 0, 256, NULL, NULL,
     "Redis ACL user; empty: the default user."},
    {"redis.passwordFile", NM_OPT_PATH, FIELD(redis.password_file), "", 0, 4095, NULL, NULL,
     "File whose first line is the Redis password; empty: no password."},
    {"redis.caFile", NM_OPT_PATH, FIELD(redis.ca_file), "", 0, 4095, NULL, NULL,
     "PEM file of the authorities that may sign the certificate of a rediss:// server; empty: those of the system."},
    {"redis.certFile", NM_OPT_PATH, FIELD(redis.cert_file), "", 0, 4095, NULL, NULL,
     "PEM file of this client's certificate and its chain, for a rediss:// server that asks for one."},
    {"redis.keyFile", NM_OPT_PATH, FIELD(redis.key_file), "", 0, 4095, NULL, NULL,
     "PEM file of the private key, without a pass phrase, of redis.certFile."},
    {"redis.connectTimeoutMs", NM_OPT_INT, FIELD(redis.connect_timeout_ms), "1000", 10, 60000, NULL, NULL,
     "How long connecting to Redis may take before it is tried again."},
    {"redis.commandTimeoutMs", NM_OPT_INT, FIELD(redis.command_timeout_ms), "2000", 10, 60000, NULL, NULL,
     "How long a Redis command may take before the batch is tried again."},
    {"redis.allowUnsafe", NM_OPT_BOOL, FIELD(redis.allow_unsafe), "false", 0, 0, NULL, NULL,
     "Start although Redis may evict keys, or frees large expired ones while everybody waits; for trials only."},

    {"admin.listen", NM_OPT_STR, FIELD(admin.listen), "127.0.0.1:0", 0, 300, NULL, check_listen,
     "Where the pages /livez /readyz /metrics /status are; port 0: a free one, shown by `newsmill ps`; empty: nowhere."},

    {"log.level", NM_OPT_STR, FIELD(log.level), "info", 0, 0, "debug|info|warn|error", NULL,
     "Least important lines that are written to stderr."},
    {"log.format", NM_OPT_STR, FIELD(log.format), "json", 0, 0, "json|text", NULL,
     "Log lines as JSON objects for machines, or as text for people."},

    STREAM_ROWS("raw", NM_RAW, "articles.raw", WEEK_MS, "1114112"),
    STREAM_ROWS("normalized", NM_NORMALIZED, "articles.normalized, after the namespace where that is not news",
                "2592000000", "2097152"),
    STREAM_ROWS("facets", NM_FACETS, "articles.facets, after the namespace where that is not news",
                "2592000000", "2097152"),
    STREAM_ROWS("signals", NM_SIGNALS, "articles.signals", WEEK_MS, "1114112"),
    STREAM_ROWS("records", NM_RECORDS, "articles.records, after the namespace where that is not news",
                "-1", "2097152"),
    STREAM_ROWS("dead", NM_DEAD, "articles.dead, after the namespace where that is not news",
                "2592000000", "2097152"),

    {"runtime.batchItems", NM_OPT_INT, FIELD(runtime.batch_items), "500", 1, 100000, NULL, NULL,
     "Most events in a batch; Redis commands of a batch travel together."},
    {"runtime.batchBytes", NM_OPT_INT, FIELD(runtime.batch_bytes), "1048576", 1024, 268435456, NULL, NULL,
     "A batch is full at this size; a larger single event is a batch of its own."},
    {"runtime.batchMs", NM_OPT_INT, FIELD(runtime.batch_ms), "20", 0, 10000, NULL, NULL,
     "How long a batch waits for more events after its first one; a tenth of that while nothing else is under way."},
    {"runtime.inFlightItems", NM_OPT_INT, FIELD(runtime.in_flight_items), "2000", 1, 1000000, NULL, NULL,
     "Most events that are taken and not finished; at this bound no more are taken."},
    {"runtime.inFlightBytes", NM_OPT_INT, FIELD(runtime.in_flight_bytes), "33554432", 1024, 1073741824, NULL, NULL,
     "The same bound in bytes of events."},
    {"runtime.commitMs", NM_OPT_INT, FIELD(runtime.commit_ms), "1000", 10, 60000, NULL, NULL,
     "Longest time between two commits of offsets to Kafka."},
    {"runtime.drainMs", NM_OPT_INT, FIELD(runtime.drain_ms), "5000", 0, 60000, NULL, NULL,
     "How long a stopping worker may finish and deliver what it has begun."},
    {"runtime.stopMs", NM_OPT_INT, FIELD(runtime.stop_ms), "10000", 100, 600000, NULL, NULL,
     "A worker that has not stopped by then ends at once with exit code 1."},
    {"runtime.stallMs", NM_OPT_INT, FIELD(runtime.stall_ms), "30000", 3000, 3600000, NULL, NULL,
     "A worker whose thread is stuck for so long ends with exit code 1; without progress for so long /livez says 503."},
    {"runtime.start", NM_OPT_STR, FIELD(runtime.start), "oldest", 1, 64, NULL, check_start,
     "Where a consumer group without committed offsets begins: oldest, newest, or a time such as 2026-01-31T12:00:00Z."},
    {"runtime.onStateLoss", NM_OPT_STR, FIELD(runtime.on_state_loss), "stop", 0, 0, "stop|rebuild", NULL,
     "What to do when Redis lost its whole state: stop, or rebuild it from the oldest events of the streams."},
    {"runtime.onGap", NM_OPT_STR, FIELD(runtime.on_gap), "stop", 0, 0, "stop|oldest|newest", NULL,
     "What to do when a stream was recreated or lost events that were not processed: stop, or go on from its oldest or newest."},
    {"runtime.breaker.ratio", NM_OPT_REAL, FIELD(runtime.breaker.ratio), "0.5", 0, 1, NULL, check_ratio,
     "A larger share of dead letters among the last runtime.breaker.window events of a partition stops the worker."},
    {"runtime.breaker.window", NM_OPT_INT, FIELD(runtime.breaker.window), "1000", 1, 1000000, NULL, NULL,
     "Events of a partition over which runtime.breaker.ratio is taken."},
    {"runtime.breaker.consecutive", NM_OPT_INT, FIELD(runtime.breaker.consecutive), "100", 1, 1000000, NULL, NULL,
     "So many dead letters of a partition in a row stop the worker before the first of them is sent."},

    {"replay.aheadMs", NM_OPT_INT, FIELD(replay_ahead_ms), "21600000", 1000, 31536000000, NULL, NULL,
     "How far a partition may be ahead of the slowest one in event time while the group catches up."},
    {"publish.maxRelated", NM_OPT_INT, FIELD(max_related), "20", 0, 200, NULL, NULL,
     "Other members of a story that its lead shows; the best ones."},
    {"publish.expect", NM_OPT_LIST, FIELD(expect), "related", 0, 3, "images|related|heat", NULL,
     "Facets that the first record of an article waits for; `newsmill wait` waits for the workers that send them."},

    {"state.keepDays", NM_OPT_INT, FIELD(keep_days), "400", 1, 36500, NULL, NULL,
     "How long Redis keeps what is known of an article, counted from the last change."},
    {0},
};
/* clang-format on */

const char *nm_stream_word(enum nm_stream stream)
{
    return stream_words[stream];
}

bool nm_stream_from_word(const char *word, enum nm_stream *out)
{
    for (int i = 0; i < NM_N_STREAMS; i++) {
        if (strcmp(word, stream_words[i]) == 0) {
            *out = (enum nm_stream)i;
            return true;
        }
    }
    return false;
}

static enum nm_status name_stream(struct nm_settings *settings, enum nm_stream stream, struct nm_error *err)
{
    char **name = &settings->stream[stream].name;
    if (*name && **name)
        return NM_OK;
    struct nm_buf buf = {0};
    bool shared = stream == NM_RAW || stream == NM_SIGNALS;
    if (!shared && strcmp(settings->ns, "news") != 0)
        nm_buf_addf(&buf, "%s.", settings->ns);
    nm_buf_addf(&buf, "articles.%s", stream_words[stream]);
    char *text = nm_buf_take(&buf);
    if (!text)
        return nm_fail(err, NM_FATAL, "out of memory for the name of the %s stream", stream_words[stream]);
    free(*name);
    *name = text;
    return NM_OK;
}

/* The worker's thread waits for a connection, and for the first answers on it, without coming round. A server that does
 * not answer ends that wait at the first limit, so this is the longest one that means nothing. */
static enum nm_status check_stall(const struct nm_settings *settings, struct nm_error *err)
{
    long long wait_ms = settings->redis.connect_timeout_ms + settings->redis.command_timeout_ms;
    if (settings->runtime.stall_ms > wait_ms)
        return NM_OK;
    return nm_fail(err, NM_CONFIG,
                   "runtime.stallMs is %lld, but a worker may wait %lld ms for Redis (redis.connectTimeoutMs and "
                   "redis.commandTimeoutMs): make it larger than that",
                   settings->runtime.stall_ms, wait_ms);
}

enum nm_status nm_settings_finish(struct nm_settings *settings, struct nm_error *err)
{
    struct nm_stream_settings *stream = settings->stream;
    long long partitions = stream[NM_NORMALIZED].partitions;
    if (stream[NM_FACETS].partitions != partitions || stream[NM_RECORDS].partitions != partitions)
        return nm_fail(err, NM_CONFIG,
                       "streams.normalized.partitions is %lld, streams.facets.partitions %lld and "
                       "streams.records.partitions %lld: streams keyed by article id need the same number",
                       partitions, stream[NM_FACETS].partitions, stream[NM_RECORDS].partitions);
    for (int i = 0; i < NM_N_STREAMS; i++) {
        enum nm_status status = name_stream(settings, (enum nm_stream)i, err);
        if (status != NM_OK)
            return status;
    }
    for (int i = 0; i < NM_N_STREAMS; i++)
        for (int j = i + 1; j < NM_N_STREAMS; j++)
            if (strcmp(stream[i].name, stream[j].name) == 0)
                return nm_fail(err, NM_CONFIG,
                               "streams.%s.name and streams.%s.name are both '%s': each stream needs "
                               "a topic of its own",
                               stream_words[i], stream_words[j], stream[i].name);
    return check_stall(settings, err);
}

void nm_settings_clear(struct nm_settings *settings)
{
    nm_options_clear(nm_common_options, settings);
}
