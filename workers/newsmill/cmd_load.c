/* cmd_load.c - `newsmill load`: files of events to the raw stream.
 *
 * Each file is one of four formats, told by its content or by --format, and may be packed with gzip. A reader
 * (read_*.c, lines.c) takes it apart into events, load.c sends them. A line of NDJSON is sent as it is, whatever it
 * holds: what cannot become an article is dead-lettered by normalize with its reason, where it can be looked at. Only
 * what is no event at all or what Kafka would not take fails here; it is named, and the rest is loaded.
 * Memory is bounded by what is in flight and a few times the largest event. */
#include "ask.h"
#include "format.h"
#include "load.h"
#include "newsmill/clock.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
    struct nm_load load;
    bool choose; /* the format of each file by its content */
    enum nm_format format;
    int said; /* what was last said of a file: its format, and 100 more where it was packed; -1: nothing */
};

static enum nm_status (*const readers[NM_N_FORMATS])(struct nm_source *, const struct nm_sink *, struct nm_error *) = {
    nm_read_lines, nm_read_json, nm_read_feed, nm_read_front_matter};

/* Where it was left to us. Of many files of a kind only the first is mentioned. */
static void say_format(struct job *job, const struct nm_source *source)
{
    bool packed = nm_source_is_gzip(source);
    int what = (int)job->format + (packed ? 100 : 0);
    char text[80];

    if (!job->choose || what == job->said)
        return;
    job->said = what;
    (void)snprintf(text, sizeof text, "is read as %s%s", nm_format_word(job->format), packed ? ", unpacked" : "");
    nm_load_note(&job->load, text);
}

static enum nm_status load_source(struct job *job, struct nm_source *source, struct nm_error *err)
{
    struct nm_sink sink = nm_load_sink(&job->load);
    enum nm_format seems = NM_FORMAT_NDJSON;
    enum nm_status status = nm_format_detect(source, &seems, err); /* also refuses what is packed otherwise */

    if (status != NM_OK || nm_source_stopped(source))
        return status;
    if (job->choose)
        job->format = seems;
    say_format(job, source);
    return readers[job->format](source, &sink, err);
}

static enum nm_status load_file(struct job *job, const char *file, struct nm_error *err)
{
    bool standard = strcmp(file, "-") == 0;
    struct nm_load *load = &job->load;
    struct nm_error why = {0};
    NM_AUTO(nm_source_close) struct nm_source *source = NULL;

    load->file = file;
    int fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return nm_fail(err, NM_CONFIG, "%.200s cannot be opened: %s", file, strerror(errno));
    struct nm_source_options options = {.fd = fd, .idle = nm_load_idle, .opaque = load};
    enum nm_status status = nm_source_open(&options, &source, &why);
    load->source = source;
    if (status == NM_OK)
        status = load_source(job, source, &why);
    load->source = NULL;
    if (source)
        load->past_bytes += nm_source_taken(source);
    if (!standard)
        (void)close(fd);
    if (status == NM_BAD_INPUT) {
        nm_load_refuse_file(load, why.msg);
        return NM_OK;
    }
    if (status != NM_OK && !why.msg[0])
        *err = why; /* whoever read the output of a dry run has enough */
    else if (status != NM_OK)
        status = nm_fail(err, status, "%.200s: %.90s", load->file, why.msg);
    return status;
}

/* Before anything is sent: a misspelt name must not leave half of the files loaded. Regular files only are measured:
 * opening and closing a named pipe would break its writer. */
static enum nm_status check_files(const struct nm_args *args, unsigned long long *total_bytes, struct nm_error *err)
{
    bool known = true;

    for (size_t i = 0; i < args->n_operands; i++) {
        const char *file = args->operand[i];
        struct stat facts = {0};
        if (strcmp(file, "-") == 0) {
            known = false;
            continue;
        }
        if (stat(file, &facts) || access(file, R_OK))
            return nm_fail(err, NM_CONFIG, "%.200s cannot be opened: %s", file, strerror(errno));
        if (S_ISDIR(facts.st_mode))
            return nm_fail(err, NM_CONFIG, "%.200s is a folder", file);
        known = known && S_ISREG(facts.st_mode);
        *total_bytes += (unsigned long long)facts.st_size;
    }
    if (!known)
        *total_bytes = 0;
    return NM_OK;
}

static enum nm_status result(const struct nm_load *load, struct nm_error *err)
{
    if (load->lost)
        return nm_fail(err, NM_RETRY, "Kafka took no more events: %s", load->lost_why);
    if (nm_tool_stopped())
        return nm_fail(err, NM_FATAL, "stopped by a signal after %llu events", load->n_good);
    if (load->n_failed)
        return nm_fail(err, NM_BAD_INPUT, "%llu failed, named above; everything else was loaded", load->n_failed);
    return NM_OK;
}

static enum nm_status run_load(const struct nm_args *args, struct job *job, struct nm_error *err)
{
    struct nm_load *load = &job->load;
    int32_t partitions = 0;
    enum nm_status status = NM_OK;

    if (load->rk)
        status = nm_ask_partitions(load->rk, load->topic, nm_boottime_ms() + NM_KAFKA_WAIT_MS, &partitions, err);
    if (status != NM_OK)
        return status;
    load->started_ms = load->said_ms = nm_boottime_ms();
    for (size_t i = 0; i < args->n_operands && status == NM_OK && !nm_tool_stopped() && !load->lost; i++)
        status = load_file(job, args->operand[i], err);
    nm_load_settle(load);
    return status == NM_OK ? result(load, err) : status;
}

static enum nm_status check_format(struct job *job, const struct nm_args *args, struct nm_error *err)
{
    const char *word = nm_flag_text(args, "--format");

    job->choose = !nm_format_from_word(word, &job->format);
    if (strcmp(nm_flag_text(args, "--stream"), "signals") == 0 && !job->choose && job->format >= NM_FORMAT_RSS)
        return nm_fail(err, NM_CONFIG, "--format %s: signals are JSON", word);
    return NM_OK;
}

static enum nm_status load_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct job job = {.load = {.terminal = isatty(STDERR_FILENO) != 0, .rate = nm_flag_number(args, "--rate")},
                      .said = -1};
    struct nm_kafka_hooks hooks = {.report = nm_load_report, .opaque = &job.load};
    NM_AUTO(nm_kafka_close) rd_kafka_t *rk = NULL;
    bool dry = nm_flag_given(args, "--dry-run");
    enum nm_stream stream = NM_RAW;
    enum nm_status status = check_format(&job, args, err);

    if (status == NM_OK)
        status = check_files(args, &job.load.total_bytes, err);
    if (status == NM_OK)
        status = nm_tool_configure(tool, args, err);
    if (status == NM_OK && !dry)
        status = nm_kafka_producer_open(&tool->settings, &hooks, &rk, err);
    if (status != NM_OK)
        return status;
    (void)nm_stream_from_word(nm_flag_text(args, "--stream"), &stream);
    job.load.rk = rk;
    job.load.topic = tool->settings.stream[stream].name;
    job.load.max_bytes = (size_t)tool->settings.stream[stream].max_message_bytes;
    job.load.quiet = dry && isatty(STDOUT_FILENO);
    return run_load(args, &job, err);
}

static const struct nm_flag flags[] = {
    {"--stream", NM_FLAG_WORD, "raw|signals", "raw", 0, 0, "where to; the other streams are written by workers"},
    {"--format", NM_FLAG_WORD, "auto|ndjson|json|rss|front-matter", "auto", 0, 0, "auto: by the content of each file"},
    {"--rate", NM_FLAG_INT, "N", "0", 0, 10000000, "at most N events a second; 0: as fast as it goes"},
    {"--dry-run", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "prints the events as NDJSON and sends nothing"},
    {0},
};

const struct nm_command nm_load_command = {
    .name = "load",
    .summary = "loads raw events from files or standard input",
    .operands = "FILE...|-",
    .min_operands = 1,
    .max_operands = INT_MAX,
    .needs_config = true,
    .flags = flags,
    .details =
        "Loads events under their URL as key, from files that may be packed with gzip:\n"
        "  ndjson        one event a line, sent as it is; one that is no JSON becomes a dead letter\n"
        "  json          arrays, JSON Feed (its items), JSON-LD (the articles of its @graph), values one by one\n"
        "  rss           RSS 2.0, RSS 1.0, Atom: each item as an object of its elements\n"
        "  front-matter  what `newsmill tail --format front-matter` writes; the article gets the id that it had\n"
        "What cannot be loaded is printed with its line, the rest is loaded, and the exit code is 1.\n"
        "Ends when Kafka has acknowledged every event; Ctrl-C stops after those that were sent.",
    .example = "  newsmill load -c newsmill.yaml events.ndjson.gz\n"
               "  newsmill load -c newsmill.yaml --dry-run feed.xml | head -n 1\n"
               "  curl -s https://a.example/feed | newsmill load -c newsmill.yaml --rate 50 -",
    .run = load_command,
};
