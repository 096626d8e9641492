/* settings.h - the options that every program shares: where Kafka and Redis are, the streams, the runtime's bounds.
 *
 * Filled by nm_config_apply(config, nm_common_options, &settings, ...). Read-only after start. */
#ifndef NEWSMILL_SETTINGS_H
#define NEWSMILL_SETTINGS_H

#include "newsmill/option.h"

enum nm_stream { NM_RAW, NM_NORMALIZED, NM_FACETS, NM_SIGNALS, NM_RECORDS, NM_DEAD, NM_N_STREAMS };

struct nm_stream_settings {
    char *name; /* topic name; "" in the file means the default of nm_settings_finish() */
    long long partitions, replication, retention_ms, max_message_bytes;
};

struct nm_settings {
    char *ns; /* namespace: prefix of Redis keys and consumer groups */
    char *brokers;
    struct nm_pairs kafka_common, kafka_consumer, kafka_producer;
    struct {
        char *url, *username, *password_file, *ca_file, *cert_file, *key_file;
        long long connect_timeout_ms, command_timeout_ms;
        bool allow_unsafe;
    } redis;
    struct {
        char *level, *format;
    } log;
    struct {
        char *listen; /* "host:port", "[v6]:port"; "": switched off */
    } admin;
    struct nm_stream_settings stream[NM_N_STREAMS];
    struct {
        long long batch_items, batch_bytes, batch_ms, in_flight_items, in_flight_bytes, commit_ms, drain_ms, stop_ms;
        long long stall_ms;
        char *start;         /* oldest, newest or a time */
        char *on_state_loss; /* stop, rebuild */
        char *on_gap;        /* stop, oldest, newest */
        struct {
            double ratio; /* above 0, at most 1 */
            long long window, consecutive;
        } breaker;
    } runtime;
    long long replay_ahead_ms;
    long long max_related;    /* publish.maxRelated */
    struct nm_strings expect; /* publish.expect: images, related, heat */
    long long keep_days;
};

extern const struct nm_option nm_common_options[];

/* Short word of a stream, as in the option file: "raw", "normalized", "facets", "signals", "records", "dead". */
const char *nm_stream_word(enum nm_stream stream);
/* False: an unknown word. */
bool nm_stream_from_word(const char *word, enum nm_stream *out);

/* Fills in what depends on other options: a stream without a name is called `articles.<word>`, and in another
 * namespace than the default "news" the streams that newsmill writes are called `<namespace>.articles.<word>`
 * (raw and signals are shared by all namespaces). NM_CONFIG: streams keyed by id (normalized, facets, records)
 * differ in their number of partitions, or two streams share a name. */
NM_MUST_USE enum nm_status nm_settings_finish(struct nm_settings *settings, struct nm_error *err);
void nm_settings_clear(struct nm_settings *settings);

#endif
