/* load.c - sends the events of `newsmill load`, see load.h. */
#include "load.h"

#include "newsmill/clock.h"
#include "tool.h"

#include <stdio.h>
#include <string.h>
#include <yyjson.h>

#define IN_FLIGHT_BYTES ((size_t)32 << 20)
#define IN_FLIGHT_LINES 50000
#define POLL_MS         100
#define STOP_MS         12000 /* a delivery report comes within delivery.timeout.ms, 10 s */
#define LOST_MS         1000
#define SAY_MS          2000
#define REDRAW_MS       500
#define SURE_MS         1000 /* before that a rate says little about the rest */
#define MAX_NAMED       20   /* failures that are printed */

/* Travels with a message and comes back in its report. */
struct note {
    const char *file;
    struct nm_place place;
};

static const char *clear_line(const struct nm_load *load)
{
    return load->terminal ? "\r\033[K" : "";
}

static void name_failed(struct nm_load *load, const char *file, struct nm_place place, const char *why)
{
    char item[48] = "";

    load->n_failed++;
    if (place.item)
        (void)snprintf(item, sizeof item, "item %llu not loaded: ", place.item);
    if (load->n_failed <= MAX_NAMED)
        (void)fprintf(stderr, "%s%s:%llu: error: %s%s\n", clear_line(load), file, place.line, item, why);
    else if (load->n_failed == MAX_NAMED + 1)
        (void)fprintf(stderr, "%snewsmill: there are more errors, which are only counted\n", clear_line(load));
}

static void refuse(void *self, struct nm_place place, const char *why)
{
    struct nm_load *load = self;
    name_failed(load, load->file, place, why);
}

void nm_load_refuse_file(struct nm_load *load, const char *why)
{
    load->n_failed++;
    (void)fprintf(stderr, "%s%s: error: %s\n", clear_line(load), load->file, why);
}

void nm_load_note(struct nm_load *load, const char *text)
{
    (void)fprintf(stderr, "%snewsmill: note: %s %s\n", clear_line(load), load->file, text);
}

static void skip(void *self, size_t n)
{
    struct nm_load *load = self;
    load->n_skipped += n;
}

static void remark(void *self, struct nm_place place, const char *text)
{
    struct nm_load *load = self;
    (void)fprintf(stderr, "%s%s:%llu: note: %s\n", clear_line(load), load->file, place.line, text);
}

/* A failure of one line says so itself; that of an item gets its number in name_failed(). */
static void send_failed(struct nm_load *load, const struct note *note, const char *why)
{
    char text[200];
    (void)snprintf(text, sizeof text, "%s%s", note->place.item ? "" : "not loaded: ", why);
    name_failed(load, note->file, note->place, text);
}

void nm_load_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct nm_load *load = opaque;
    struct note *note = message->_private;

    (void)rk;
    load->bytes_in_flight -= message->len + message->key_len;
    if (!message->err) {
        load->n_good++;
    } else {
        send_failed(load, note, rd_kafka_err2str(message->err));
        if (message->err != RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && !load->lost) {
            load->lost = true;
            (void)snprintf(load->lost_why, sizeof load->lost_why, "%s", rd_kafka_err2str(message->err));
        }
    }
    free(note);
}

static unsigned long long in_flight(const struct nm_load *load)
{
    return load->rk ? (unsigned long long)rd_kafka_outq_len(load->rk) : 0;
}

void nm_load_eta(unsigned long long done, unsigned long long total, int64_t passed_ms, char out[64])
{
    out[0] = '\0';
    if (total == 0)
        return;
    double share = done < total ? (double)done / (double)total : 1;
    int n = snprintf(out, 64, "%d %%", (int)(share * 100));
    if (n < 0 || share <= 0 || passed_ms < SURE_MS)
        return;
    double left_s = (double)passed_ms / 1000 * (1 - share) / share;
    long long s = left_s < 1e9 ? (long long)(left_s + 0.5) : 1000000000;
    if (s < 60)
        (void)snprintf(out + n, 64 - (size_t)n, ", %lld s left", s);
    else if (s < 3600)
        (void)snprintf(out + n, 64 - (size_t)n, ", %lld min %lld s left", s / 60, s % 60);
    else
        (void)snprintf(out + n, 64 - (size_t)n, ", %lld h %lld min left", s / 3600, s % 3600 / 60);
}

static double rate_of(const struct nm_load *load, int64_t now_ms)
{
    double seconds = (double)(now_ms - load->started_ms) / 1000;
    return seconds > 0 ? (double)load->n_good / seconds : 0;
}

static void say_progress(struct nm_load *load)
{
    int64_t now_ms = nm_boottime_ms();
    char eta[64];

    if (load->quiet || now_ms - load->said_ms < (load->terminal ? REDRAW_MS : SAY_MS))
        return;
    load->said_ms = now_ms;
    nm_load_eta(load->past_bytes + (load->source ? nm_source_taken(load->source) : 0), load->total_bytes,
                now_ms - load->started_ms, eta);
    (void)fprintf(stderr, "%sloading: %llu events into %s, %.0f/s, %s%s%llu failed%s", clear_line(load), load->n_good,
                  load->topic, rate_of(load, now_ms), eta, *eta ? ", " : "", load->n_failed,
                  load->terminal ? "" : "\n");
    (void)fflush(stderr);
}

static void say_end(struct nm_load *load)
{
    int64_t now_ms = nm_boottime_ms();

    if (load->rk)
        (void)fprintf(stderr, "%sloaded %llu events into %s, %.0f/s", clear_line(load), load->n_good, load->topic,
                      rate_of(load, now_ms));
    else
        (void)fprintf(stderr, "%sread %llu events, sent none (dry run)", clear_line(load), load->n_good);
    (void)fprintf(stderr, ", %llu failed", load->n_failed);
    if (load->n_skipped)
        (void)fprintf(stderr, "; left out %llu that %s no article%s", load->n_skipped,
                      load->n_skipped == 1 ? "is" : "are", load->n_skipped == 1 ? "" : "s");
    (void)fputc('\n', stderr);
}

static void serve(struct nm_load *load, int wait_ms)
{
    if (load->rk)
        (void)rd_kafka_poll(load->rk, wait_ms);
    say_progress(load);
}

bool nm_load_idle(void *opaque)
{
    struct nm_load *load = opaque;
    serve(load, 0);
    return !nm_tool_stopped() && !load->lost;
}

static enum nm_status enqueue(struct nm_load *load, const char *text, size_t len, struct note *note,
                              rd_kafka_resp_err_t *code, struct nm_error *err)
{
    yyjson_doc *doc = yyjson_read(text, len, 0);
    size_t key_len = 0;
    const char *key = nm_event_key(doc, &key_len);

    *code = rd_kafka_producev(load->rk, RD_KAFKA_V_TOPIC(load->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_VALUE((void *)(uintptr_t)text, len),
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
static bool has_turn(struct nm_load *load)
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

/* A line of a file may hold anything; what is printed is what would be sent. */
static enum nm_status print(struct nm_load *load, const char *text, size_t len, struct nm_error *err)
{
    enum nm_status status = nm_tool_write(text, len, err);
    if (status == NM_OK)
        status = nm_tool_write("\n", 1, err);
    load->n_sent++;
    load->n_good++;
    return status;
}

static enum nm_status take(void *self, const char *text, size_t len, struct nm_place place, struct nm_error *err)
{
    struct nm_load *load = self;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__QUEUE_FULL;
    enum nm_status status = NM_OK;

    if (!load->rk)
        return has_turn(load) ? print(load, text, len, err) : NM_OK;
    struct note *note = malloc(sizeof *note);
    if (!note)
        return nm_fail(err, NM_FATAL, "out of memory");
    *note = (struct note){load->file, place};
    while (status == NM_OK && code == RD_KAFKA_RESP_ERR__QUEUE_FULL && has_turn(load)) {
        status = enqueue(load, text, len, note, &code, err);
        serve(load, code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? POLL_MS : 0);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return status; /* the report frees the note */
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        send_failed(load, note, "larger than Kafka takes, with its key");
    free(note);
    return status;
}

struct nm_sink nm_load_sink(struct nm_load *load)
{
    return (struct nm_sink){
        .take = take, .refuse = refuse, .skip = skip, .remark = remark, .self = load, .max_bytes = load->max_bytes};
}

void nm_load_settle(struct nm_load *load)
{
    int64_t deadline_ms = nm_boottime_ms() + (load->lost ? LOST_MS : STOP_MS);

    while (in_flight(load) > 0 && nm_boottime_ms() < deadline_ms)
        serve(load, POLL_MS);
    if (in_flight(load) > 0) {
        (void)rd_kafka_purge(load->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        (void)rd_kafka_flush(load->rk, 1000);
    }
    say_end(load);
}
