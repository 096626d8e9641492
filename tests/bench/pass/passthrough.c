/* passthrough.c - the least that a Kafka worker can do: consume, produce the same value to another topic, commit.
 *
 *   passthrough -c FILE --group GROUP --out TOPIC IN...    [--set NAME=VALUE]...
 *
 * It opens its clients as newsmill's workers do, with the same properties (nm_kafka_*_open), so that a worker beside it
 * differs by its own work only. At least once: offsets are committed every runtime.commitMs, when the delivery report
 * of everything before them is there. SIGTERM ends it with 0, after a last commit; anything that fails ends it with 1.
 * One thread besides librdkafka's own. */
#include "newsmill/clock.h"
#include "newsmill/config.h"
#include "newsmill/kafka.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 500, MAX_IN = 8, WAIT_MS = 100 }; /* BATCH: messages between two looks at reports and clock */

struct arguments {
    const char *file, *group, *out, *in[MAX_IN];
    int n_in;
    struct nm_strings sets; /* borrowed from argv */
};

struct pass {
    struct nm_settings settings;
    rd_kafka_t *consumer, *producer;
    rd_kafka_topic_t *out;
    rd_kafka_topic_partition_list_t *done; /* next offsets of what was taken since the last commit */
    int n_taken, n_waiting, n_failed;
    int64_t committed_ms;
};

static volatile sig_atomic_t stop;

static void on_stop(int number)
{
    (void)number;
    stop = 1;
}

static int fail(const struct nm_error *err)
{
    (void)fprintf(stderr, "passthrough: %s\n", err->msg);
    return 1;
}

static bool read_arguments(int argc, char **argv, struct arguments *out)
{
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (argv[i][0] != '-' && out->n_in < MAX_IN) {
            out->in[out->n_in++] = argv[i];
            continue;
        }
        if (!next)
            return false;
        if (strcmp(argv[i], "-c") == 0)
            out->file = next;
        else if (strcmp(argv[i], "--group") == 0)
            out->group = next;
        else if (strcmp(argv[i], "--out") == 0)
            out->out = next;
        else if (strcmp(argv[i], "--set") == 0)
            out->sets.item[out->sets.n++] = argv[i + 1];
        else
            return false;
        i++;
    }
    return out->file && out->group && out->out && out->n_in;
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct pass *pass = opaque;
    pass->n_waiting--;
    pass->n_failed += message->err != 0;
}

/* New groups begin at the oldest message, as runtime.start says; later ones where they committed. */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)opaque;
    if (event != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        (void)rd_kafka_assign(rk, NULL);
        return;
    }
    (void)rd_kafka_committed(rk, list, 10000);
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].offset < 0)
            list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
    (void)rd_kafka_assign(rk, list);
}

static enum nm_status open_clients(struct pass *pass, const struct arguments *args, struct nm_error *err)
{
    struct nm_kafka_hooks hooks = {.rebalance = on_rebalance, .report = on_report, .opaque = pass};
    enum nm_status status = nm_kafka_consumer_open(&pass->settings, args->group, &hooks, &pass->consumer, err);
    if (status == NM_OK)
        status = nm_kafka_producer_open(&pass->settings, &hooks, &pass->producer, err);
    if (status != NM_OK)
        return status;
    int32_t n;
    status = nm_kafka_partitions(pass->producer, args->out, 10000, &n, err);
    pass->out = rd_kafka_topic_new(pass->producer, args->out, NULL);
    pass->done = rd_kafka_topic_partition_list_new(16);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(args->n_in);
    for (int i = 0; i < args->n_in; i++)
        (void)rd_kafka_topic_partition_list_add(list, args->in[i], RD_KAFKA_PARTITION_UA);
    if (status == NM_OK && rd_kafka_subscribe(pass->consumer, list))
        status = nm_fail(err, NM_FATAL, "subscribing failed");
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* One message on its way; false: it cannot be sent. */
static bool take(struct pass *pass, rd_kafka_message_t *message)
{
    const char *topic = rd_kafka_topic_name(message->rkt);
    rd_kafka_topic_partition_t *part = rd_kafka_topic_partition_list_find(pass->done, topic, message->partition);
    if (!part)
        part = rd_kafka_topic_partition_list_add(pass->done, topic, message->partition);
    part->offset = message->offset + 1;
    while (rd_kafka_produce(pass->out, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, message->payload, message->len,
                            message->key, message->key_len, NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return false;
        (void)rd_kafka_poll(pass->producer, 10);
    }
    pass->n_waiting++;
    pass->n_taken++;
    return true;
}

/* Every report first. */
static bool commit(struct pass *pass)
{
    while (pass->n_waiting)
        (void)rd_kafka_poll(pass->producer, WAIT_MS);
    if (pass->n_failed || rd_kafka_commit(pass->consumer, pass->done, 1))
        return false;
    rd_kafka_topic_partition_list_destroy(pass->done);
    pass->done = rd_kafka_topic_partition_list_new(16);
    pass->n_taken = 0;
    pass->committed_ms = nm_boottime_ms();
    return true;
}

static int work(struct pass *pass)
{
    bool ok = true;
    while (ok && !stop) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(pass->consumer, pass->n_taken ? 0 : WAIT_MS);
        if (message && !message->err)
            ok = take(pass, message);
        if (ok && pass->n_taken % BATCH == 0)
            (void)rd_kafka_poll(pass->producer, 0);
        bool due =
            pass->n_taken % BATCH == 0 && nm_boottime_ms() - pass->committed_ms >= pass->settings.runtime.commit_ms;
        if (ok && pass->n_taken && (!message || due))
            ok = commit(pass);
        if (message)
            rd_kafka_message_destroy(message);
    }
    ok = ok && (!pass->n_taken || commit(pass));
    if (!ok)
        (void)fprintf(stderr, "passthrough: something was not delivered or not committed\n");
    (void)rd_kafka_consumer_close(pass->consumer);
    rd_kafka_topic_partition_list_destroy(pass->done);
    rd_kafka_topic_destroy(pass->out);
    rd_kafka_destroy(pass->consumer);
    rd_kafka_destroy(pass->producer);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct arguments args = {.sets.item = calloc((size_t)argc, sizeof(char *))};
    struct pass pass = {0};
    struct nm_error err = {0};
    struct nm_problems problems = {0};
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    if (!args.sets.item || !read_arguments(argc, argv, &args)) {
        (void)fprintf(stderr, "usage: passthrough -c FILE --group GROUP --out TOPIC IN... [--set NAME=VALUE]...\n");
        return 2;
    }
    (void)signal(SIGTERM, on_stop);
    enum nm_status status = nm_config_load(args.file, "newsmill", &args.sets, &config, &problems, &err);
    if (status == NM_OK)
        status = nm_config_apply(config, nm_common_options, &pass.settings, &problems, &err);
    if (status == NM_OK)
        status = nm_settings_finish(&pass.settings, &err);
    nm_problems_print(&problems, stderr);
    if (status == NM_OK)
        status = open_clients(&pass, &args, &err);
    int code = status == NM_OK ? work(&pass) : fail(&err);
    nm_settings_clear(&pass.settings);
    free(args.sets.item);
    return code;
}
