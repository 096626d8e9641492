/* runtime.c - a worker as a program: command line, option file, logs, signals, and the order of opening and closing.
 *
 * Only here are exit codes made: 0 drained, 1 fatal (or a second signal, or stopMs passed), 2 configuration or usage.
 */
#include "newsmill/config.h"
#include "newsmill/digest.h"
#include "newsmill/fault.h"
#include "newsmill/log.h"
#include "runtime_internal.h"

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define CLOSE_S 4

volatile sig_atomic_t nm_stop_requested;

enum action { ACTION_RUN, ACTION_CHECK, ACTION_PRINT, ACTION_HELP, ACTION_VERSION };

struct arguments {
    enum action action;
    const char *file;
    struct nm_strings sets; /* borrowed from argv */
    bool json;
};

static void usage(const struct nm_worker *worker, FILE *out)
{
    (void)fprintf(out,
                  "newsmill-%s: %s\n\n"
                  "usage: newsmill-%s -c FILE [--set NAME=VALUE]... [--check | --print-config [--format text|json]]\n"
                  "       newsmill-%s --help | --version\n\n"
                  "  -c FILE          the option file (YAML, or JSON when it ends in .json)\n"
                  "  --set NAME=VALUE one option; wins over the environment (NEWSMILL_...), workers.%s and the file\n"
                  "  --check          reads the option file, prints its problems and ends (0 or 2)\n"
                  "  --print-config   prints every option, its value and where it came from\n\n"
                  "Exit codes: 0 drained after SIGTERM or SIGINT, 1 fatal, 2 configuration or usage.\n",
                  worker->name, worker->summary, worker->name, worker->name, worker->name);
}

static int usage_error(const struct nm_worker *worker, const char *what, const char *argument)
{
    (void)fprintf(stderr, "newsmill-%s: %s '%s'\n", worker->name, what, argument);
    usage(worker, stderr);
    return 2;
}

/* The value of an option that takes one: "--name value" (then *used_next) or "--name=value"; NULL: another option. */
static const char *value_of(const char *name, const char *argument, const char *next, bool *used_next)
{
    size_t len = strlen(name);
    if (strncmp(argument, name, len) != 0)
        return NULL;
    if (argument[len] == '=' && len > 2)
        return argument + len + 1;
    if (argument[len] != '\0')
        return NULL;
    *used_next = next != NULL;
    return next;
}

/* One argument; `next` is the one behind it or NULL. 0, or the exit code. */
static int read_argument(const struct nm_worker *worker, const char *argument, const char *next, bool *used_next,
                         struct arguments *out)
{
    const char *value;
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
        out->action = ACTION_HELP;
    } else if (strcmp(argument, "--version") == 0) {
        out->action = ACTION_VERSION;
    } else if (strcmp(argument, "--check") == 0) {
        out->action = ACTION_CHECK;
    } else if (strcmp(argument, "--print-config") == 0) {
        out->action = ACTION_PRINT;
    } else if ((value = value_of("-c", argument, next, used_next))) {
        out->file = value;
    } else if ((value = value_of("--set", argument, next, used_next))) {
        out->sets.item[out->sets.n++] = (char *)(uintptr_t)value;
    } else if ((value = value_of("--format", argument, next, used_next))) {
        out->json = strcmp(value, "json") == 0;
        if (!out->json && strcmp(value, "text") != 0)
            return usage_error(worker, "--format is text or json, not", value);
    } else {
        return usage_error(worker, "unknown or incomplete argument", argument);
    }
    return 0;
}

/* 0, or the exit code. */
static int read_arguments(const struct nm_worker *worker, int argc, char **argv, struct arguments *out)
{
    int code = 0;
    for (int i = 1; code == 0 && i < argc; i++) {
        bool used_next = false;
        code = read_argument(worker, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used_next, out);
        if (used_next)
            i++;
    }
    if (code == 0 && !out->file && out->action != ACTION_HELP && out->action != ACTION_VERSION)
        return usage_error(worker, "the option file is missing: -c", "FILE");
    return code;
}

static int exit_code(enum nm_status status)
{
    return status == NM_OK ? 0 : status == NM_CONFIG ? 2 : 1;
}

/* ---- signals ---- */

static unsigned stop_s; /* runtime.stopMs, rounded up */

static void on_stop(int signal_number)
{
    (void)signal_number;
    if (nm_stop_requested)
        _exit(1);
    nm_stop_requested = 1;
    (void)alarm(stop_s);
}

static volatile sig_atomic_t
    closing; /* 0, or 1 + the exit code: the work is over, only the clients are left to close */

static void on_alarm(int signal_number)
{
    (void)signal_number;
    static const char late[] = "newsmill: did not stop within runtime.stopMs, ending now\n";
    static const char hung[] = "newsmill: the Kafka client does not close, ending without it\n";
    if (closing)
        (void)!write(STDERR_FILENO, hung, sizeof hung - 1);
    else
        (void)!write(STDERR_FILENO, late, sizeof late - 1);
    _exit(closing ? closing - 1 : 1);
}

static void handle(int signal_number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(signal_number, &action, NULL);
}

/* ---- opening and closing ---- */

#define N_OWN_SCRIPTS 5
static struct nm_script *const own_scripts[N_OWN_SCRIPTS] = {
    &nm_wm_script, &nm_guard_begin_script, &nm_guard_note_script, &nm_set_due_script, &nm_set_clear_script};

static enum nm_status list_scripts(struct nm_runtime *rt, struct nm_error *err)
{
    rt->scripts = calloc(rt->worker->n_scripts + N_OWN_SCRIPTS, sizeof(struct nm_script *));
    if (!rt->scripts)
        return nm_fail(err, NM_FATAL, "out of memory for %zu scripts", rt->worker->n_scripts);
    for (size_t i = 0; i < rt->worker->n_scripts; i++)
        rt->scripts[i] = rt->worker->scripts[i];
    for (size_t i = 0; i < N_OWN_SCRIPTS; i++)
        rt->scripts[rt->worker->n_scripts + i] = own_scripts[i];
    rt->n_scripts = rt->worker->n_scripts + N_OWN_SCRIPTS;
    return NM_OK;
}

static enum nm_status join_group(struct nm_runtime *rt, struct nm_error *err)
{
    struct nm_kafka_hooks hooks = {
        .rebalance = nm_on_rebalance, .error = nm_on_consumer_error, .committed = nm_on_committed, .opaque = rt};
    enum nm_status status = nm_kafka_consumer_open(&rt->settings, rt->group, &hooks, &rt->consumer, err);
    if (status != NM_OK)
        return status;
    nm_kafka_wake(rd_kafka_queue_get_consumer(rt->consumer), rt->wake_fd);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)rt->worker->n_inputs);
    for (size_t i = 0; i < rt->worker->n_inputs; i++)
        (void)rd_kafka_topic_partition_list_add(list, rt->settings.stream[rt->worker->inputs[i].stream].name,
                                                RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(rt->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return nm_fail(err, NM_CONFIG, "subscribing in group %s: %s", rt->group, rd_kafka_err2str(code));
    return NM_OK;
}

static void close_runtime(struct nm_runtime *rt)
{
    rt->closing = true;
    while (rt->n_works) /* librdkafka's messages must be gone before its client */
        nm_work_release(rt, rt->order[0]);
    if (rt->rebalance != NM_REBALANCE_NONE && rt->consumer)
        (void)rd_kafka_assign(rt->consumer, NULL); /* noted but not served: librdkafka waits for an answer */
    if (rt->consumer) {
        (void)rd_kafka_consumer_close(rt->consumer); /* leaves the group, so that the others go on at once */
        rd_kafka_destroy(rt->consumer);
    }
    nm_witness_close(rt);
    nm_producer_drop(rt);
    nm_redis_close(rt->redis);
    if (rt->rebalance_list)
        rd_kafka_topic_partition_list_destroy(rt->rebalance_list);
    nm_works_close(rt);
    nm_group_close(rt);
    nm_beside_close(rt);
    for (size_t i = 0; i < rt->n_parts; i++)
        nm_breaker_clear(&rt->part[i].breaker);
    free(rt->scripts);
    free(rt->part);
    if (rt->wake_fd >= 0)
        (void)close(rt->wake_fd);
}

static enum nm_status prepare(struct nm_runtime *rt, struct nm_error *err)
{
    unsigned char random_bytes[8];
    rt->deps = (struct nm_deps){.settings = &rt->settings, .clock = &nm_wall_clock};
    rt->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (rt->wake_fd < 0 || getrandom(random_bytes, sizeof random_bytes, 0) != (ssize_t)sizeof random_bytes)
        return nm_fail(err, NM_FATAL, "preparing: %s", strerror(errno));
    nm_hex_write(random_bytes, sizeof random_bytes, rt->deps.instance);
    rt->breaker_limits = (struct nm_breaker_limits){.consecutive = (size_t)rt->settings.runtime.breaker.consecutive,
                                                    .window = (size_t)rt->settings.runtime.breaker.window,
                                                    .ratio = rt->settings.runtime.breaker.ratio};
    nm_kafka_group(&rt->settings, rt->worker->name, rt->group);
    rt->session_timeout_ms = nm_kafka_delivery_timeout_ms(&rt->settings) * 3 / 2;
    srandom((unsigned)(nm_boottime_ms() ^ getpid()));
    enum nm_status status = nm_works_open(rt, err);
    return status == NM_OK ? list_scripts(rt, err) : status;
}

static enum nm_status live(struct nm_runtime *rt, struct nm_error *err)
{
    enum nm_status status = prepare(rt, err);
    if (status == NM_OK)
        status = nm_observe_open(rt, err);
    if (status == NM_OK && rt->worker->init)
        status = rt->worker->init(rt->ctx, &rt->deps, err);
    if (status == NM_OK)
        status = nm_witness_open(rt, err);
    if (status == NM_OK)
        status = join_group(rt, err);
    if (status == NM_OK) {
        nm_log(NM_INFO, "start", "version " NM_VERSION ", namespace %s, group %s, brokers %s", rt->settings.ns,
               rt->group, rt->settings.brokers);
        status = nm_loop(rt, err);
    }
    closing = 1 + exit_code(status);
    (void)alarm(stop_s < CLOSE_S ? stop_s : CLOSE_S); /* a consumer of 2.0.2 whose topic was deleted never closes */
    close_runtime(rt);
    if (rt->worker->fini)
        rt->worker->fini(rt->ctx);
    nm_observe_close(rt);
    (void)alarm(0);
    return status;
}

static int run(struct nm_runtime *rt)
{
    stop_s = (unsigned)((rt->settings.runtime.stop_ms + 999) / 1000);
    handle(SIGTERM, on_stop);
    handle(SIGINT, on_stop);
    handle(SIGALRM, on_alarm);
    handle(SIGPIPE, SIG_IGN);
    nm_log_setup(rt->worker->name, rt->settings.log.level, strcmp(rt->settings.log.format, "json") == 0);
    struct nm_error err = {0};
    enum nm_status status = live(rt, &err);
    if (status == NM_OK)
        nm_log(NM_INFO, "stop",
               rt->undrained ? "not drained: whoever comes next reads the rest again; offsets are committed"
                             : "drained; offsets are committed");
    else
        nm_log(NM_ERROR, "stop", "%s; nothing of the last batch is acknowledged", err.msg);
    nm_log_flush();
    return exit_code(status);
}

/* ---- the option file ---- */

static enum nm_status load(struct nm_runtime *rt, const struct arguments *args, struct nm_config **config,
                           struct nm_problems *problems, struct nm_error *err)
{
    enum nm_status status = nm_config_load(args->file, rt->worker->name, &args->sets, config, problems, err);
    if (status == NM_OK)
        status = nm_config_apply(*config, nm_common_options, &rt->settings, problems, err);
    if (status == NM_OK && rt->worker->options)
        status = nm_config_apply(*config, rt->worker->options, rt->ctx, problems, err);
    if (status == NM_OK && rt->worker->options)
        status = nm_options_check(rt->worker->options, rt->ctx, err);
    if (status == NM_OK)
        status = nm_settings_finish(&rt->settings, err);
    return status;
}

static int with_options(struct nm_runtime *rt, const struct arguments *args)
{
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    struct nm_error err = {0};
    enum nm_status status = load(rt, args, &config, &problems, &err);
    nm_problems_print(&problems, stderr);
    if (status != NM_OK && problems.n == 0)
        (void)fprintf(stderr, "%s: error: %s\n", args->file, err.msg);
    nm_problems_clear(&problems);
    if (status != NM_OK)
        return exit_code(status);
    if (args->action == ACTION_PRINT) {
        nm_config_print(config, args->json, stdout);
        return 0;
    }
    if (args->action == ACTION_CHECK) {
        (void)printf("%s: no problems\n", args->file);
        return 0;
    }
    return run(rt);
}

/* glibc gives each of librdkafka's threads an arena of its own, and lets the largest block that was ever freed decide
 * what is given back to the system: messages that one thread unpacks and another one frees then leave tens of MiB of
 * holes. Few arenas, and large blocks apart. */
static void tame_malloc(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_MMAP_THRESHOLD, 512 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
#endif
}

int nm_run(const struct nm_worker *worker, int argc, char **argv)
{
    struct arguments args = {0};
    struct nm_runtime rt = {.worker = worker};
    tame_malloc();
    args.sets.item = calloc((size_t)argc + 1, sizeof *args.sets.item);
    rt.ctx = calloc(1, worker->ctx_size ? worker->ctx_size : 1);
    int code = args.sets.item && rt.ctx ? read_arguments(worker, argc, argv, &args) : 1;
    if (code == 0 && args.action == ACTION_HELP) {
        usage(worker, stdout);
        (void)printf("\nOptions of newsmill-%s:\n", worker->name);
        if (worker->options)
            nm_options_help(worker->options, stdout);
        (void)printf("\nOptions of every program:\n");
        nm_options_help(nm_common_options, stdout);
    } else if (code == 0 && args.action == ACTION_VERSION) {
        (void)printf("newsmill-%s " NM_VERSION "\n", worker->name);
    } else if (code == 0) {
        code = with_options(&rt, &args);
        if (worker->options)
            nm_options_clear(worker->options, rt.ctx);
        nm_settings_clear(&rt.settings);
    }
    free(rt.ctx);
    free(args.sets.item);
    return code;
}
