/* cmd_load.c - `newsmill load`: lines of NDJSON to the raw stream.
 *
 * A line is sent as it is, whatever it holds: what cannot become an article is dead-lettered by normalize with its
 * reason, where it can be looked at. Only what Kafka itself would not take (a line above the stream's size) fails here.
 * "Loaded" means that Kafka's delivery report is good. Memory is bounded by IN_FLIGHT_BYTES and one line.
 * A report that failed for another reason than size means that Kafka is gone: reading stops there, so that the summary
 * tells how far it came. One thread: reports are served by rd_kafka_poll() in the same loop. */
#include "ask.h"
#include "lines.h"
#include "newsmill/kafka.h"
#include "newsmill/url.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#define IN_FLIGHT_BYTES ((size_t)32 << 20)
#define IN_FLIGHT_LINES 50000
#define POLL_MS         100
#define STOP_MS         12000 /* a delivery report comes within delivery.timeout.ms, 10 s */
#define LOST_MS         1000
#define MAX_NAMED       20 /* failed lines whose number is printed */

struct load {
    rd_kafka_t *rk;
    const char *topic, *file;
    unsigned long long n_sent, n_good, n_failed;
    size_t bytes_in_flight;
    long long rate; /* 0: as fast as it goes */
    int64_t started_ms, said_ms;
    bool terminal, lost; /* lost: Kafka does not take events any more */
    char lost_why[200];
};

/* Travels with a message and comes back in its report. */
struct note {
    const char *file;
    unsigned long long line;
};

static void name_failed(struct load *load, const char *file, unsigned long long line, const char *why)
{
    load->n_failed++;
    if (load->n_failed <= MAX_NAMED)
        (void)fprintf(stderr, "%s%s:%llu: error: not loaded: %s\n", load->terminal ? "\r\033[K" : "", file, line, why);
    else if (load->n_failed == MAX_NAMED + 1)
        (void)fprintf(stderr, "newsmill: more lines failed, which are only counted\n");
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct load *load = opaque;
    struct note *note = message->_private;

    (void)rk;
    load->bytes_in_flight -= message->len + message->key_len;
    if (!message->err) {
        load->n_good++;
    } else {
        name_failed(load, note->file, note->line, rd_kafka_err2str(message->err));
        if (message->err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && !load->lost) {
            load->lost = true;
            (void)snprintf(load->lost_why, sizeof load->lost_why, "%s", rd_kafka_err2str(message->err));
        }
    }
    free(note);
}

static unsigned long long in_flight(const struct load *load)
{
    return (unsigned long long)rd_kafka_outq_len(load->rk);
}

static void say_progress(struct load *load, bool last)
{
    int64_t now_ms = nm_boottime_ms(), every_ms = load->terminal ? 1000 : 2000;

    if (!last && now_ms - load->said_ms < every_ms)
        return;
    load->said_ms = now_ms;
    double seconds = (double)(now_ms - load->started_ms) / 1000;
    double rate = seconds > 0 ? (double)load->n_good / seconds : 0;
    (void)fprintf(stderr, "%s%s %llu events into %s, %.0f/s, %llu failed%s", load->terminal ? "\r\033[K" : "",
                  last ? "loaded" : "loading:", load->n_good, load->topic, rate, load->n_failed,
                  load->terminal && !last ? "" : "\n");
    (void)fflush(stderr);
}

static void serve(struct load *load, int wait_ms)
{
    (void)rd_kafka_poll(load->rk, wait_ms);
    say_progress(load, false);
}

/* The event's URL, which keeps an article's versions in one partition; NULL where it has none. Points into doc. */
static const char *event_key(yyjson_doc *doc, size_t *len)
{
    static const char *const names[] = {"url", "webUrl", "link", "id"};
    yyjson_val *root = yyjson_doc_get_root(doc);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        yyjson_val *value = yyjson_obj_get(root, names[i]);
        *len = yyjson_get_len(value);
        if (yyjson_is_str(value) && *len > 0 && *len <= NM_URL_MAX_BYTES)
            return yyjson_get_str(value);
    }
    *len = 0;
    return NULL;
}

static enum nm_status enqueue(struct load *load, const char *line, size_t len, struct note *note,
                              rd_kafka_resp_err_t *code, struct nm_error *err)
{
    yyjson_doc *doc = yyjson_read(line, len, 0);
    size_t key_len = 0;
    const char *key = event_key(doc, &key_len);

    *code = rd_kafka_producev(load->rk, RD_KAFKA_V_TOPIC(load->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_VALUE((void *)(uintptr_t)line, len),
                              RD_KAFKA_V_KEY((void *)(uintptr_t)key, key_len), RD_KAFKA_V_OPAQUE(note), RD_KAFKA_V_END);
    yyjson_doc_free(doc);
    if (*code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        load->n_sent++;
        load->bytes_in_flight += len + key_len;
        return NM_OK;
    }
    if (*code == RD_KAFKA_RESP_ERR__QUEUE_FULL || *code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return NM_OK;
    return nm_fail(err, nm_kafka_is_config_error(*code) ? NM_CONFIG : NM_FATAL, "sending to %s: %s", load->topic,
                   rd_kafka_err2str(*code));
}

/* Waits for room in flight and for --rate; false: stopped meanwhile. */
static bool has_turn(struct load *load)
{
    for (;;) {
        if (nm_tool_stopped() || load->lost)
            return false;
        bool room = load->bytes_in_flight < IN_FLIGHT_BYTES && in_flight(load) < IN_FLIGHT_LINES;
        int64_t early_ms = 0;
        if (load->rate) {
            int64_t passed_ms = nm_boottime_ms() - load->started_ms;
            int64_t due_ms = (int64_t)(load->n_sent * 1000 / (unsigned long long)load->rate);
            early_ms = due_ms - passed_ms;
        }
        if (room && early_ms <= 0)
            return true;
        serve(load, room && early_ms < POLL_MS ? (int)early_ms : POLL_MS);
    }
}

static enum nm_status send_line(struct load *load, const char *line, size_t len, unsigned long long number,
                                struct nm_error *err)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__QUEUE_FULL;
    enum nm_status status = NM_OK;
    struct note *note = malloc(sizeof *note);

    if (!note)
        return nm_fail(err, NM_FATAL, "out of memory");
    note->file = load->file;
    note->line = number;
    while (status == NM_OK && code == RD_KAFKA_RESP_ERR__QUEUE_FULL && has_turn(load)) {
        status = enqueue(load, line, len, note, &code, err);
        serve(load, code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? POLL_MS : 0);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return status; /* the report frees the note */
    free(note);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        name_failed(load, load->file, number, "larger than Kafka takes, with its key");
    return status;
}

static bool is_blank(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    }
    return true;
}

static enum nm_status load_lines(struct load *load, struct nm_lines *lines, struct nm_error *err)
{
    for (;;) {
        enum nm_line what = NM_LINE_END;
        const char *line = NULL;
        size_t len = 0;
        if (nm_tool_stopped() || load->lost)
            return NM_OK;
        /* events on their way are served while a pipe is silent, so their reports do not wait for its next line */
        enum nm_status status = nm_lines_next(lines, POLL_MS, &what, &line, &len, err);
        if (status != NM_OK || what == NM_LINE_END)
            return status;
        if (what == NM_LINE_NOT_YET)
            serve(load, 0);
        else if (what == NM_LINE_TOO_LONG)
            name_failed(load, load->file, lines->number, "longer than maxMessageBytes of this stream");
        else if (!is_blank(line, len))
            status = send_line(load, line, len, lines->number, err);
        if (status != NM_OK)
            return status;
    }
}

static enum nm_status load_file(struct load *load, const char *file, size_t max_bytes, struct nm_error *err)
{
    bool standard = strcmp(file, "-") == 0;
    struct nm_error why = {0};
    struct nm_lines lines = {0};

    load->file = standard ? "-" : file;
    int fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return nm_fail(err, NM_CONFIG, "%.200s cannot be opened: %s", file, strerror(errno));
    enum nm_status status = nm_lines_init(&lines, fd, max_bytes, &why);
    if (status == NM_OK)
        status = load_lines(load, &lines, &why);
    if (status != NM_OK)
        status = nm_fail(err, status, "%.200s: %.90s", load->file, why.msg);
    nm_lines_clear(&lines);
    if (!standard)
        (void)close(fd);
    return status;
}

static bool is_gzip(const char *file)
{
    unsigned char magic[2] = {0};
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    bool gzip = fd >= 0 && read(fd, magic, sizeof magic) == sizeof magic && magic[0] == 0x1F && magic[1] == 0x8B;

    if (fd >= 0)
        (void)close(fd);
    return gzip;
}

/* Before anything is sent: a misspelt name must not leave half of the files loaded. Only regular files are opened here:
 * opening and closing a named pipe would break its writer. */
static enum nm_status check_files(const struct nm_args *args, bool any_content, struct nm_error *err)
{
    for (size_t i = 0; i < args->n_operands; i++) {
        const char *file = args->operand[i];
        struct stat facts = {0};
        if (strcmp(file, "-") == 0)
            continue;
        if (stat(file, &facts) || access(file, R_OK))
            return nm_fail(err, NM_CONFIG, "%.200s cannot be opened: %s", file, strerror(errno));
        if (S_ISDIR(facts.st_mode))
            return nm_fail(err, NM_CONFIG, "%.200s is a folder", file);
        if (S_ISREG(facts.st_mode) && !any_content && is_gzip(file))
            return nm_fail(err, NM_CONFIG, "%.200s is compressed; use: gzip -dc FILE | newsmill load -c FILE -", file);
    }
    return NM_OK;
}

/* Every report, or those that come in time; from a Kafka that is gone not many will. */
static void settle(struct load *load)
{
    int64_t deadline_ms = nm_boottime_ms() + (load->lost ? LOST_MS : STOP_MS);

    while (in_flight(load) > 0 && nm_boottime_ms() < deadline_ms)
        serve(load, POLL_MS);
    if (in_flight(load) > 0) {
        (void)rd_kafka_purge(load->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        (void)rd_kafka_flush(load->rk, 1000);
    }
}

static enum nm_status run_load(struct nm_tool *tool, const struct nm_args *args, struct load *load,
                               struct nm_error *err)
{
    enum nm_stream stream = NM_RAW;
    int32_t partitions = 0;
    enum nm_status status = NM_OK;

    (void)nm_stream_from_word(nm_flag_text(args, "--stream"), &stream);
    load->topic = tool->settings.stream[stream].name;
    status = nm_ask_partitions(load->rk, load->topic, nm_boottime_ms() + NM_KAFKA_WAIT_MS, &partitions, err);
    if (status != NM_OK)
        return status;
    load->started_ms = load->said_ms = nm_boottime_ms();
    for (size_t i = 0; i < args->n_operands && status == NM_OK && !nm_tool_stopped() && !load->lost; i++)
        status = load_file(load, args->operand[i], (size_t)tool->settings.stream[stream].max_message_bytes, err);
    settle(load);
    say_progress(load, true);
    if (status != NM_OK)
        return status;
    if (load->lost)
        return nm_fail(err, NM_RETRY, "Kafka took no more events: %s", load->lost_why);
    if (nm_tool_stopped())
        return nm_fail(err, NM_FATAL, "stopped by a signal after %llu events", load->n_good);
    if (load->n_failed)
        return nm_fail(err, NM_BAD_INPUT, "%llu line%s not loaded", load->n_failed,
                       load->n_failed == 1 ? " was" : "s were");
    return NM_OK;
}

static enum nm_status load_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct load load = {.terminal = isatty(STDERR_FILENO) != 0, .rate = nm_flag_number(args, "--rate")};
    struct nm_kafka_hooks hooks = {.report = on_report, .opaque = &load};
    NM_AUTO(nm_kafka_close) rd_kafka_t *rk = NULL;
    enum nm_status status = check_files(args, strcmp(nm_flag_text(args, "--format"), "ndjson") == 0, err);

    if (status == NM_OK)
        status = nm_tool_configure(tool, args, err);
    if (status == NM_OK)
        status = nm_kafka_producer_open(&tool->settings, &hooks, &rk, err);
    if (status != NM_OK)
        return status;
    load.rk = rk;
    return run_load(tool, args, &load, err);
}

static const struct nm_flag flags[] = {
    {"--stream", NM_FLAG_WORD, "raw|signals", "raw", 0, 0, "where to; the other streams are written by workers"},
    {"--format", NM_FLAG_WORD, "auto|ndjson", "auto", 0, 0, "ndjson: whatever the file seems to be"},
    {"--rate", NM_FLAG_INT, "N", "0", 0, 10000000, "at most N events a second; 0: as fast as it goes"},
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
        "Loads NDJSON: one JSON object a line, sent as it is under the event's URL as key. Empty lines are skipped.\n"
        "A line that is no JSON is loaded too, and becomes a dead letter. A line that is too long is not loaded:\n"
        "its number is printed, the others are loaded, and the exit code is 1. Ends when Kafka has acknowledged\n"
        "every event; Ctrl-C stops after those that were sent.",
    .example = "  newsmill load -c newsmill.yaml events.ndjson\n"
               "  gzip -dc events.ndjson.gz | newsmill load -c newsmill.yaml --rate 500 -",
    .run = load_command,
};
