/* tool.c - what the commands of `newsmill` share, see tool.h.
 *
 * Signals only set a counter: every loop of a command asks nm_tool_stopped() at least every 100 ms, so that a stop
 * is orderly. A second signal ends the process, for the case that something blocks after all. SIGPIPE is ignored, so
 * that a closed pipe is an error of one write, which ends the command quietly. One thread. */
#include "tool.h"

#include "newsmill/kafka.h"
#include "newsmill/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static volatile sig_atomic_t n_signals;

static void on_signal(int number)
{
    (void)number;
    if (n_signals)
        _exit(NM_EXIT_FATAL);
    n_signals = 1;
}

static enum nm_status catch_signals(struct nm_error *err)
{
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

    if (sigaction(SIGINT, &stop, NULL) || sigaction(SIGTERM, &stop, NULL) || sigaction(SIGPIPE, &ignore, NULL))
        return nm_fail(err, NM_FATAL, "cannot set signal handlers: %s", strerror(errno));
    return NM_OK;
}

bool nm_tool_stopped(void)
{
    return n_signals != 0;
}

static enum nm_status output_failed(struct nm_error *err)
{
    enum nm_status status = nm_fail(err, NM_FATAL, "cannot write the output: %s", strerror(errno));
    if (errno == EPIPE && err)
        err->msg[0] = '\0';
    return status;
}

enum nm_status nm_tool_write(const char *text, size_t len, struct nm_error *err)
{
    if (fwrite(text, 1, len, stdout) != len)
        return output_failed(err);
    return NM_OK;
}

enum nm_status nm_tool_flush(struct nm_error *err)
{
    if (fflush(stdout) != 0)
        return output_failed(err);
    return NM_OK;
}

bool nm_tool_reader_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = 0};
    return poll(&out, 1, 0) > 0 && (out.revents & POLLERR);
}

unsigned nm_tool_columns(void)
{
    const char *text = getenv("COLUMNS");
    long long columns = 0;
    struct winsize size = {0};

    if (text && nm_number_parse(text, 40, 1000, &columns, NULL) == NM_OK)
        return (unsigned)columns;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col < 1000 ? size.ws_col : 1000;
    return 120;
}

enum nm_status nm_tool_configure(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct nm_problems problems = {0};
    enum nm_status status = nm_config_load(args->config_path, "newsmill", &args->sets, &tool->config, &problems, err);

    if (status == NM_OK)
        status = nm_config_apply(tool->config, nm_common_options, &tool->settings, &problems, err);
    if (status == NM_OK)
        status = nm_settings_finish(&tool->settings, err);
    else if (problems.n) {
        nm_problems_print(&problems, stderr);
        if (err)
            err->msg[0] = '\0'; /* they are the message */
    }
    nm_problems_clear(&problems);
    if (status != NM_OK)
        return status;
    /* What a command has to say, it says itself; the library's own lines help only when asked for. */
    nm_log_setup("newsmill", strcmp(tool->settings.log.level, "debug") == 0 ? "debug" : "error", false);
    return NM_OK;
}

enum nm_status nm_tool_id(const char *text, char out[NM_ID_BYTES], struct nm_error *err)
{
    struct nm_error why = {0};

    if (nm_is_article_id(text, strlen(text))) {
        (void)snprintf(out, NM_ID_BYTES, "%s", text);
        return NM_OK;
    }
    struct nm_url *url = malloc(sizeof *url);
    if (!url)
        return nm_fail(err, NM_FATAL, "out of memory");
    enum nm_status status = nm_url_canonical(text, strlen(text), false, url, &why);
    if (status == NM_OK)
        nm_article_id(url->text, url->len, out);
    else
        status = nm_fail(err, NM_CONFIG, "'%.100s' is neither an article id (32 hex digits) nor a URL: %.120s", text,
                         why.msg);
    free(url);
    return status;
}

#define N_COMMANDS 11

static const struct nm_command *const commands[N_COMMANDS] = {
    &nm_streams_command, &nm_load_command,    &nm_wait_command,    &nm_ps_command,
    &nm_tail_command,    &nm_explain_command, &nm_stories_command, &nm_images_command,
    &nm_dead_command,    &nm_check_command,   &nm_options_command,
};

static void print_overview(FILE *out)
{
    (void)fprintf(out, "usage: newsmill COMMAND [ARGUMENTS]\n\n"
                       "The operator's tool of newsmill: creates the streams, loads events, shows what comes out.\n\n"
                       "commands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        (void)fprintf(out, "  %-8s  %s\n", commands[i]->name, commands[i]->summary);
    (void)fprintf(out, "  %-8s  %s\n\n", "help", "this text, or with a command's name how it is used");
    (void)fprintf(out, "exit codes: 0 done, 1 fatal, 2 configuration or usage, 3 a wait or a check did not succeed,\n"
                       "            or the article or image is not known\n\n"
                       "example:\n"
                       "  newsmill streams apply -c newsmill.yaml && newsmill load -c newsmill.yaml events.ndjson\n");
}

static const struct nm_command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[N_COMMANDS + 1] = {"help"};
    struct nm_error clean = {0};

    for (size_t i = 0; i < N_COMMANDS; i++)
        names[i + 1] = commands[i]->name;
    const char *near = nm_nearest_name(name, names, N_COMMANDS + 1);
    (void)!nm_fail(&clean, NM_CONFIG, "unknown command '%.60s'; %s%s%s", name, near ? "did you mean '" : "",
                   near ? near : "'newsmill help' lists them", near ? "'?" : "");
    (void)fprintf(stderr, "newsmill: error: %s\n", clean.msg);
    return NM_EXIT_CONFIG;
}

static int show_help(int n_names, char **names)
{
    if (n_names == 0) {
        print_overview(stdout);
        return NM_EXIT_DONE;
    }
    const struct nm_command *command = find_command(names[0]);
    if (!command)
        return unknown_command(names[0]);
    nm_command_help(command, stdout);
    return NM_EXIT_DONE;
}

static int code_of(enum nm_status status, const struct nm_tool *tool)
{
    if (status == NM_OK)
        return tool->exit_code;
    return status == NM_CONFIG ? NM_EXIT_CONFIG : NM_EXIT_FATAL;
}

static int run_command(const struct nm_command *command, int argc, char **argv)
{
    struct nm_tool tool = {0};
    struct nm_args args = {0};
    struct nm_error err = {0};
    enum nm_status status = nm_args_parse(command, argc, argv, &args, &err);

    if (status != NM_OK) {
        (void)fprintf(stderr, "newsmill: error: %s\nnewsmill: 'newsmill help %s' shows how it is used\n", err.msg,
                      command->name);
        return code_of(status, &tool);
    }
    if (args.help) {
        nm_command_help(command, stdout);
    } else {
        status = catch_signals(&err);
        if (status == NM_OK)
            status = command->run(&tool, &args, &err);
    }
    if (status == NM_RETRY && nm_kafka_judge(NM_OK, &err) != NM_OK)
        status = NM_CONFIG; /* waiting would not have helped */
    if (status == NM_OK)
        status = nm_tool_flush(&err);
    int code = code_of(status, &tool);
    if (status == NM_FATAL && !err.msg[0])
        code = NM_EXIT_DONE;     /* whoever read the output has enough */
    else if (status == NM_RETRY) /* a dependency failed, and Kafka is the only one that the tool has */
        (void)fprintf(stderr, "newsmill: error: %s (kafka.brokers: %s)\n", err.msg,
                      tool.settings.brokers ? tool.settings.brokers : "");
    else if (status != NM_OK && err.msg[0])
        (void)fprintf(stderr, "newsmill: error: %s\n", err.msg);
    nm_settings_clear(&tool.settings);
    nm_config_free(tool.config);
    nm_args_clear(&args);
    return code;
}

int nm_tool_main(int argc, char **argv)
{
    nm_log_setup("newsmill", "error", false);
    if (argc < 2) {
        print_overview(stderr);
        return NM_EXIT_CONFIG;
    }
    if (strcmp(argv[1], "help") == 0)
        return show_help(argc - 2, argv + 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return show_help(0, NULL);
    if (strcmp(argv[1], "--version") == 0) {
        (void)puts("newsmill " NM_VERSION);
        return NM_EXIT_DONE;
    }
    const struct nm_command *command = find_command(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    return run_command(command, argc - 2, argv + 2);
}
