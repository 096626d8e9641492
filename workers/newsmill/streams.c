/* streams.c - the streams as the brokers have them, see streams.h.
 *
 * All topics are asked for in one metadata request, because asking for one by its name can create it on a cluster that
 * creates topics by itself. A compacted stream has no retention: there the setting is neither sent nor compared. */
#include "streams.h"

#include "ask.h"
#include "tool.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LEADER_PAUSE_MS 50

const char *nm_stream_cleanup(enum nm_stream stream)
{
    return stream == NM_RECORDS ? "compact" : "delete";
}

static enum nm_status kafka_failed(rd_kafka_resp_err_t code, const char *doing, const char *why, struct nm_error *err)
{
    return nm_fail(err, nm_kafka_is_config_error(code) ? NM_CONFIG : NM_RETRY, "%s: %s", doing,
                   why ? why : rd_kafka_err2str(code));
}

static struct nm_stream_state *state_of(struct nm_stream_state *state, const char *topic)
{
    for (int i = 0; i < NM_N_STREAMS; i++) {
        if (strcmp(state[i].topic, topic) == 0)
            return &state[i];
    }
    return NULL;
}

static void take_topic(struct nm_stream_state *to, const rd_kafka_metadata_topic_t *topic)
{
    to->present = topic->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    to->partitions = topic->partition_cnt;
    for (int i = 0; i < topic->partition_cnt; i++) {
        if (i == 0 || topic->partitions[i].replica_cnt < to->replication)
            to->replication = topic->partitions[i].replica_cnt;
    }
}

static enum nm_status look_at_topics(rd_kafka_t *rk, struct nm_stream_state *state, struct nm_error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    enum nm_status status = nm_ask_topics(rk, nm_boottime_ms() + NM_KAFKA_WAIT_MS, &metadata, err);

    if (status != NM_OK)
        return status;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        struct nm_stream_state *to = state_of(state, metadata->topics[i].topic);
        if (to)
            take_topic(to, &metadata->topics[i]);
    }
    rd_kafka_metadata_destroy(metadata);
    return NM_OK;
}

/* Waits for the answer to one admin request. */
static enum nm_status admin_answer(rd_kafka_queue_t *queue, const char *doing, rd_kafka_event_t **out,
                                   struct nm_error *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, NM_KAFKA_WAIT_MS + 1000);

    if (!event)
        return nm_fail(err, NM_RETRY, "%s: no answer", doing);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code) {
        enum nm_status status = kafka_failed(code, doing, rd_kafka_event_error_string(event), err);
        rd_kafka_event_destroy(event);
        return status;
    }
    *out = event;
    return NM_OK;
}

static rd_kafka_AdminOptions_t *admin_options(rd_kafka_t *rk, rd_kafka_admin_op_t operation)
{
    char reason[200];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, operation);

    (void)rd_kafka_AdminOptions_set_request_timeout(options, NM_KAFKA_WAIT_MS, reason, sizeof reason);
    return options;
}

static void take_setting(struct nm_stream_state *to, const char *name, const char *value)
{
    long long number = 0;

    if (!value)
        return;
    if (strcmp(name, "cleanup.policy") == 0)
        (void)snprintf(to->cleanup, sizeof to->cleanup, "%s", value);
    else if (strcmp(name, "message.timestamp.type") == 0)
        (void)snprintf(to->timestamps, sizeof to->timestamps, "%s", value);
    else if (strcmp(name, "retention.ms") == 0 && nm_number_parse(value, -1, INT64_MAX, &number, NULL) == NM_OK)
        to->retention_ms = number;
    else if (strcmp(name, "max.message.bytes") == 0 && nm_number_parse(value, 0, INT64_MAX, &number, NULL) == NM_OK)
        to->max_message_bytes = number;
}

static enum nm_status take_settings(struct nm_stream_state *state, const rd_kafka_event_t *event, struct nm_error *err)
{
    size_t n = 0;
    const rd_kafka_ConfigResource_t **resource = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)(uintptr_t)event), &n);

    for (size_t i = 0; i < n; i++) {
        struct nm_stream_state *to = state_of(state, rd_kafka_ConfigResource_name(resource[i]));
        size_t n_entries = 0;
        rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource[i]);
        if (code)
            return kafka_failed(code, "asking for the settings of a topic",
                                rd_kafka_ConfigResource_error_string(resource[i]), err);
        const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(resource[i], &n_entries);
        for (size_t k = 0; to && k < n_entries; k++)
            take_setting(to, rd_kafka_ConfigEntry_name(entry[k]), rd_kafka_ConfigEntry_value(entry[k]));
    }
    return NM_OK;
}

static enum nm_status look_at_settings(rd_kafka_t *rk, struct nm_stream_state *state, struct nm_error *err)
{
    rd_kafka_ConfigResource_t *resource[NM_N_STREAMS];
    size_t n = 0;
    rd_kafka_event_t *event = NULL;

    for (int i = 0; i < NM_N_STREAMS; i++) {
        if (state[i].present)
            resource[n++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, state[i].topic);
    }
    if (n == 0)
        return NM_OK;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = admin_options(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_DescribeConfigs(rk, resource, n, options, queue);
    enum nm_status status = admin_answer(queue, "asking for the settings of the topics", &event, err);
    if (status == NM_OK)
        status = take_settings(state, event, err);
    rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy_array(resource, n);
    return status;
}

static enum nm_status count_messages(rd_kafka_t *rk, struct nm_stream_state *state, struct nm_error *err)
{
    int64_t deadline_ms = nm_boottime_ms() + NM_KAFKA_WAIT_MS;

    for (int i = 0; i < NM_N_STREAMS; i++) {
        for (int32_t k = 0; state[i].present && k < state[i].partitions; k++) {
            int64_t oldest = 0, end = 0;
            enum nm_status status = nm_ask_ends(rk, state[i].topic, k, deadline_ms, &oldest, &end, err);
            if (status != NM_OK)
                return status;
            state[i].messages += end - oldest;
        }
    }
    return NM_OK;
}

static void differ_text(struct nm_stream_state *state, const char *setting, const char *broker, const char *file)
{
    if (strcmp(broker, file) == 0 || state->n_differences == NM_MAX_DIFFERENCES)
        return;
    struct nm_difference *difference = &state->difference[state->n_differences++];
    difference->setting = setting;
    (void)snprintf(difference->broker, sizeof difference->broker, "%s", broker);
    (void)snprintf(difference->file, sizeof difference->file, "%s", file);
}

static void differ(struct nm_stream_state *state, const char *setting, int64_t broker, int64_t file)
{
    char left[24], right[24];
    (void)snprintf(left, sizeof left, "%" PRId64, broker);
    (void)snprintf(right, sizeof right, "%" PRId64, file);
    differ_text(state, setting, left, right);
}

static void compare(struct nm_stream_state *state, const struct nm_stream_settings *file)
{
    differ(state, "partitions", state->partitions, file->partitions);
    differ(state, "replication", state->replication, file->replication);
    differ_text(state, "cleanup.policy", state->cleanup, nm_stream_cleanup(state->stream));
    if (state->stream != NM_RECORDS)
        differ(state, "retention.ms", state->retention_ms, file->retention_ms);
    differ(state, "max.message.bytes", state->max_message_bytes, file->max_message_bytes);
    differ_text(state, "message.timestamp.type", state->timestamps, "CreateTime");
}

enum nm_status nm_streams_look(rd_kafka_t *rk, const struct nm_settings *settings,
                               struct nm_stream_state out[NM_N_STREAMS], struct nm_error *err)
{
    struct nm_stream_state state[NM_N_STREAMS];

    memset(state, 0, sizeof state);
    for (int i = 0; i < NM_N_STREAMS; i++) {
        state[i].stream = (enum nm_stream)i;
        state[i].topic = settings->stream[i].name;
    }
    enum nm_status status = look_at_topics(rk, state, err);
    if (status == NM_OK)
        status = look_at_settings(rk, state, err);
    if (status == NM_OK)
        status = count_messages(rk, state, err);
    if (status != NM_OK)
        return status;
    for (int i = 0; i < NM_N_STREAMS; i++) {
        if (state[i].present)
            compare(&state[i], &settings->stream[i]);
    }
    memcpy(out, state, sizeof state);
    return NM_OK;
}

static rd_kafka_NewTopic_t *new_topic(const struct nm_stream_state *state, const struct nm_stream_settings *file)
{
    char reason[200], number[24];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(state->topic, (int)file->partitions, (int)file->replication, reason, sizeof reason);

    if (!topic)
        return NULL;
    (void)rd_kafka_NewTopic_set_config(topic, "cleanup.policy", nm_stream_cleanup(state->stream));
    (void)rd_kafka_NewTopic_set_config(topic, "message.timestamp.type", "CreateTime");
    (void)snprintf(number, sizeof number, "%lld", file->max_message_bytes);
    (void)rd_kafka_NewTopic_set_config(topic, "max.message.bytes", number);
    if (state->stream != NM_RECORDS) {
        (void)snprintf(number, sizeof number, "%lld", file->retention_ms);
        (void)rd_kafka_NewTopic_set_config(topic, "retention.ms", number);
    }
    return topic;
}

static enum nm_status take_created(struct nm_stream_state *state, const rd_kafka_event_t *event, struct nm_error *err)
{
    size_t n = 0;
    const rd_kafka_topic_result_t **result = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result((rd_kafka_event_t *)(uintptr_t)event), &n);

    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(result[i]);
        const char *name = rd_kafka_topic_result_name(result[i]), *why = rd_kafka_topic_result_error_string(result[i]);
        struct nm_stream_state *to = state_of(state, name);
        if (code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            continue; /* somebody else was faster; the next look compares it */
        if (code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
            code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR_NOT_CONTROLLER)
            return nm_fail(err, NM_RETRY, "creating topic %s: %s", name, why ? why : rd_kafka_err2str(code));
        if (code)
            return nm_fail(err, NM_CONFIG, "creating topic %s: %s", name, why ? why : rd_kafka_err2str(code));
        if (to)
            to->created = true;
    }
    return NM_OK;
}

/* Until each new topic is known with all its partitions: who reads it at once must not be told that it is missing. */
static enum nm_status wait_for_leaders(rd_kafka_t *rk, const struct nm_settings *settings,
                                       const struct nm_stream_state *state, struct nm_error *err)
{
    int64_t deadline_ms = nm_boottime_ms() + NM_KAFKA_WAIT_MS;

    for (int i = 0; i < NM_N_STREAMS; i++) {
        int32_t n = 0;
        enum nm_status status = NM_RETRY;
        int64_t oldest = 0, end = 0;
        while (!state[i].present && status != NM_OK) {
            status = nm_kafka_partitions(rk, state[i].topic, NM_KAFKA_WAIT_MS, &n, err);
            if (status == NM_OK && n < settings->stream[i].partitions)
                status = nm_fail(err, NM_RETRY, "topic %s has %d partitions as yet", state[i].topic, (int)n);
            for (int32_t k = 0; k < n && status == NM_OK; k++)
                status = nm_kafka_ends(rk, state[i].topic, k, 1000, &oldest, &end, err);
            if (status != NM_OK && (nm_boottime_ms() > deadline_ms || nm_tool_stopped()))
                return status;
            if (status != NM_OK)
                (void)poll(NULL, 0, LEADER_PAUSE_MS);
        }
    }
    return NM_OK;
}

enum nm_status nm_streams_create(rd_kafka_t *rk, const struct nm_settings *settings,
                                 struct nm_stream_state state[NM_N_STREAMS], struct nm_error *err)
{
    rd_kafka_NewTopic_t *topic[NM_N_STREAMS];
    size_t n = 0;
    enum nm_status status = NM_OK;
    rd_kafka_event_t *event = NULL;

    for (int i = 0; i < NM_N_STREAMS && status == NM_OK; i++) {
        if (state[i].present)
            continue;
        topic[n] = new_topic(&state[i], &settings->stream[i]);
        if (topic[n])
            n++;
        else
            status = nm_fail(err, NM_CONFIG, "topic %s: the client refuses its name or numbers", state[i].topic);
    }
    if (n > 0 && status == NM_OK) {
        rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
        rd_kafka_AdminOptions_t *options = admin_options(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_CreateTopics(rk, topic, n, options, queue);
        status = admin_answer(queue, "creating topics", &event, err);
        if (status == NM_OK)
            status = take_created(state, event, err);
        rd_kafka_event_destroy(event);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_queue_destroy(queue);
    }
    rd_kafka_NewTopic_destroy_array(topic, n);
    return status == NM_OK ? wait_for_leaders(rk, settings, state, err) : status;
}
