/* related_driver.c - related step by step, without Kafka: a test says what happens next, and in which order.
 *
 *   related_driver OPTION-FILE INSTANCES [NAME=VALUE...]      options as for newsmill-related, Redis from the file
 *
 * Obeys a line of standard input at a time and answers each with a line of JSON. Instances, partitions and offsets
 * count from 0; F is a batch of the instance, 0 the oldest one under way.
 *
 *   put P KEY VALUE      the next event of a partition              {"offset"}
 *   begin I P FROM N...  a batch of N events of partition P from offset FROM on, of several partitions in turn
 *   out I P N            a batch of at most N members of the out set of P; both: {"items"}; 0: none was begun
 *   step I F [K]         goes on with a batch, at most K commands of its pipe (0: the worker is called, nothing sent)
 *   crash I              kill -9 and a new start: every batch of the instance is gone
 *
 * A step answers {"at": "process" | "report" | "clear", "step", "of", "sent", "calls"}: `sent` of the `of` commands of
 * the pipe have gone out; calls: how, revision, sha, args (hex; without the prefix) of the articles that were placed
 * or taken out; {"at": "produce", "outputs": [{key, revision, value}], "dead": [codes]}; {"at": "done"}; or {"at":
 * "wait"}: something else comes first by the runtime's rules (related_flight.h). begin and out answer the same.
 * Exit code 1: the worker or Redis failed, 2: a line or the options are wrong; why is on standard error. */
#define _GNU_SOURCE /* getline */
#include "newsmill/config.h"
#include "related/related.h"
#include "related_flight.h"
#include "runtime_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct nm_worker related_worker;

enum { PARTITIONS = 16, WORDS = 16 };

struct log { /* what stands for a partition of the stream */
    struct rf_event *event;
    size_t n;
};
struct driver {
    struct nm_settings settings;
    struct rf_fleet fleet;
    void *ctx[RF_INSTANCES];
    struct log log[PARTITIONS];
    struct nm_buf answer;
};

static enum nm_status open_redis(struct driver *driver, struct nm_error *err)
{
    static struct nm_script *const runtime_scripts[] = {&nm_set_due_script, &nm_set_clear_script};
    struct nm_redis *redis;
    enum nm_status status = nm_redis_open(&driver->settings, &redis, NULL, err);
    if (status != NM_OK)
        return status;
    driver->fleet.redis = redis;
    status = nm_redis_load(redis, related_worker.scripts, related_worker.n_scripts, err);
    if (status == NM_OK)
        status = nm_redis_load(redis, runtime_scripts, 2, err);
    return status == NM_OK ? related_worker.connected(driver->ctx[0], redis, err) : status;
}

static enum nm_status open_all(struct driver *driver, struct nm_config *config, int n, struct nm_problems *problems,
                               struct nm_error *err)
{
    enum nm_status status = nm_config_apply(config, nm_common_options, &driver->settings, problems, err);
    if (status == NM_OK)
        status = nm_settings_finish(&driver->settings, err);
    driver->fleet.settings = &driver->settings;
    for (int i = 0; status == NM_OK && i < n; i++) {
        driver->ctx[i] = calloc(1, related_worker.ctx_size);
        if (!driver->ctx[i])
            return nm_fail(err, NM_FATAL, "out of memory");
        status = nm_config_apply(config, related_options, driver->ctx[i], problems, err);
        if (status == NM_OK)
            status = rf_start(&driver->fleet, driver->ctx[i], err);
    }
    return status == NM_OK ? open_redis(driver, err) : status;
}

static void close_all(struct driver *driver)
{
    rf_close(&driver->fleet);
    for (int i = 0; i < RF_INSTANCES; i++) {
        if (driver->ctx[i])
            nm_options_clear(related_options, driver->ctx[i]);
        free(driver->ctx[i]);
    }
    for (int p = 0; p < PARTITIONS; p++) {
        for (size_t i = 0; i < driver->log[p].n; i++) {
            free((char *)(uintptr_t)driver->log[p].event[i].key);
            free((char *)(uintptr_t)driver->log[p].event[i].value);
        }
        free(driver->log[p].event);
    }
    nm_buf_clear(&driver->answer);
    nm_settings_clear(&driver->settings);
}

/* ---- lines ---- */

static enum nm_status put(struct driver *driver, char *line, struct nm_error *err)
{
    char *end;
    long partition = strtol(line, &end, 10);
    char *key = *end == ' ' ? end + 1 : end, *value = strchr(key, ' ');
    if (partition < 0 || partition >= PARTITIONS || !value)
        return nm_fail(err, NM_CONFIG, "put P KEY VALUE");
    struct log *log = &driver->log[partition];
    struct rf_event *event = realloc(log->event, (log->n + 1) * sizeof *event);
    if (!event)
        return nm_fail(err, NM_FATAL, "out of memory");
    log->event = event;
    *value++ = '\0';
    event += log->n++;
    *event = (struct rf_event){.key = strdup(key),
                               .key_len = strlen(key),
                               .value = strdup(value),
                               .value_len = strlen(value),
                               .partition = (int32_t)partition,
                               .offset = (int64_t)log->n - 1};
    if (!event->key || !event->value)
        return nm_fail(err, NM_FATAL, "out of memory");
    nm_buf_addf(&driver->answer, "{\"offset\":%zu}", log->n - 1);
    return NM_OK;
}

static enum nm_status begin(struct driver *driver, struct rf_instance *instance, const size_t *word, size_t n_words,
                            struct nm_error *err)
{
    struct rf_event event[RF_ITEMS];
    size_t n = 0;
    for (size_t i = 0; i + 2 < n_words; i += 3) {
        const struct log *log = word[i] < PARTITIONS ? &driver->log[word[i]] : NULL;
        if (!log || word[i + 1] > log->n || word[i + 2] > log->n - word[i + 1] || word[i + 2] > RF_ITEMS - n)
            return nm_fail(err, NM_CONFIG, "no such events");
        for (size_t k = 0; k < word[i + 2]; k++)
            event[n++] = log->event[word[i + 1] + k];
    }
    nm_buf_addf(&driver->answer, "{\"items\":%zu}", n);
    return n ? rf_begin(instance, event, n, err) : NM_OK;
}

static enum nm_status begin_out(struct driver *driver, struct rf_instance *instance, const size_t *word,
                                struct nm_error *err)
{
    size_t n = 0;
    enum nm_status status = rf_begin_out(&driver->fleet, instance, (int32_t)word[0], word[1], &n, err);
    nm_buf_addf(&driver->answer, "{\"items\":%zu}", n);
    return status;
}

static enum nm_status obey_instance(struct driver *driver, const char *what, size_t *word, size_t n,
                                    struct nm_error *err)
{
    if (n == 0 || word[0] >= (size_t)driver->fleet.n_instances)
        return nm_fail(err, NM_CONFIG, "%s: no such instance", what);
    struct rf_instance *instance = &driver->fleet.instance[word[0]];
    bool begins = strcmp(what, "begin") == 0, out = strcmp(what, "out") == 0;
    if ((begins || out) && !rf_may_begin(instance, out)) {
        nm_buf_adds(&driver->answer, "{\"at\":\"wait\"}");
        return NM_OK;
    }
    if (begins)
        return begin(driver, instance, word + 1, n - 1, err);
    if (out && n == 3)
        return begin_out(driver, instance, word + 1, err);
    if (strcmp(what, "step") == 0 && n >= 2 && word[1] < (size_t)instance->n_flights)
        return rf_step(&driver->fleet, instance, (int)word[1], n > 2 ? word[2] : SIZE_MAX, &driver->answer, err);
    if (strcmp(what, "crash") != 0)
        return nm_fail(err, NM_CONFIG, "%s: not understood", what);
    rf_crash(instance);
    nm_buf_adds(&driver->answer, "{\"at\":\"done\"}");
    return NM_OK;
}

static enum nm_status obey(struct driver *driver, char *line, struct nm_error *err)
{
    size_t word[WORDS], n = 0;
    nm_buf_reset(&driver->answer);
    line[strcspn(line, "\n")] = '\0';
    char *rest = strchr(line, ' ');
    if (!rest)
        return nm_fail(err, NM_CONFIG, "'%.40s': not understood", line);
    *rest++ = '\0';
    if (strcmp(line, "put") == 0)
        return put(driver, rest, err);
    for (char *end; n < WORDS; rest = end) {
        word[n] = strtoul(rest, &end, 10);
        if (end == rest)
            break;
        n++;
    }
    return obey_instance(driver, line, word, n, err);
}

static enum nm_status serve(struct driver *driver, struct nm_error *err)
{
    NM_AUTO(free) char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        enum nm_status status = obey(driver, line, err);
        if (status != NM_OK)
            return status;
        if (!nm_buf_ok(&driver->answer))
            return nm_fail(err, NM_FATAL, "out of memory");
        (void)puts(nm_buf_str(&driver->answer));
        (void)fflush(stdout);
    }
    return NM_OK;
}

int main(int argc, char **argv)
{
    static struct driver driver;
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    struct nm_error err = {0};
    long n = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (n < 1 || n > RF_INSTANCES) {
        (void)fprintf(stderr, "usage: related_driver OPTION-FILE INSTANCES [NAME=VALUE...]; at most %d\n",
                      RF_INSTANCES);
        return 2;
    }
    struct nm_strings sets = {argv + 3, (size_t)argc - 3};
    enum nm_status status = nm_config_load(argv[1], related_worker.name, &sets, &config, &problems, &err);
    if (status == NM_OK)
        status = open_all(&driver, config, (int)n, &problems, &err);
    nm_problems_print(&problems, stderr);
    nm_problems_clear(&problems);
    if (status == NM_OK)
        status = serve(&driver, &err);
    if (status != NM_OK)
        (void)fprintf(stderr, "related_driver: %s\n", err.msg);
    close_all(&driver);
    return status == NM_OK ? 0 : status == NM_CONFIG ? 2 : 1;
}
