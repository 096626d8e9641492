/* log.c - one line an event on stderr.
 *
 * A line is put together in a buffer on the stack and leaves in one write(2), so lines of several threads never mix.
 * It has at most 4,096 bytes, which is PIPE_BUF on Linux: poll(2) says that a pipe can take a whole line, so the
 * write neither blocks nor tears. Where there is no room, the line is dropped: a slow reader of the logs must not stop
 * a worker. Nothing is allocated, so a line about a lack of memory gets out.
 *
 * Text from outside is untrusted. Control characters, and the code points that turn the direction of writing or end a
 * line for some readers, leave as escapes; bytes that are not UTF-8 leave as U+FFFD. In JSON the message stands before
 * the members that say where, so room for those is kept free.
 *
 * Lines that repeat are counted in a table (log_repeats.c) under a lock, which is never held while a line is written:
 * whoever is stuck in a write stops nobody else, the watchdog's last line least of all.
 *
 * Threads: nm_log_setup() comes first, alone; after it the settings are only read. */
#include "newsmill/log.h"

#include "log_internal.h"
#include "newsmill/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

#define LINE_BYTES  4096
#define WORD_BYTES  256 /* most that a worker, event, id or stream takes in a line, escaped */
#define WHERE_BYTES (2 * WORD_BYTES + 160)
#define CUT         "[cut]"

struct line {
    char data[LINE_BYTES];
    size_t len;
    bool json;
};

static struct {
    const char *worker;
    enum nm_log_level level;
    bool json;
} log_settings = {"newsmill", NM_INFO, true};

static pthread_mutex_t repeats_lock = PTHREAD_MUTEX_INITIALIZER;
static struct nm_repeats repeats;

static const char *const level_words[] = {"debug", "info", "warn", "error"};

void nm_log_setup(const char *worker, const char *level, bool json)
{
    log_settings.worker = worker;
    log_settings.level = NM_INFO;
    log_settings.json = json;
    memset(&repeats, 0, sizeof repeats);
    for (size_t i = 0; i < sizeof level_words / sizeof *level_words; i++)
        if (strcmp(level, level_words[i]) == 0)
            log_settings.level = (enum nm_log_level)i;
}

bool nm_log_enabled(enum nm_log_level level)
{
    return level >= log_settings.level;
}

/* Code points that would break a line, hide text or turn its direction. */
static bool is_unsafe(utf8proc_int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x200e || c == 0x200f || c == 0x061c ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* Appends text that needs no escaping; what does not fit is a bug of the sizes above, so it is left out whole. */
static void put(struct line *line, const char *text, size_t len)
{
    if (len > sizeof line->data - line->len)
        return;
    memcpy(line->data + line->len, text, len);
    line->len += len;
}

static void puts_line(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_number(struct line *line, const char *name, long long number)
{
    char text[64];
    int n = snprintf(text, sizeof text, line->json ? ",\"%s\":%lld" : " %s=%lld", name, number);
    if (n > 0 && (size_t)n < sizeof text)
        put(line, text, (size_t)n);
}

/* One code point as it stands in the line; returns the bytes written to `out` (at most 12). */
static size_t escape(utf8proc_int32_t c, bool json, char out[16])
{
    int n = 0;
    if (c == '\n')
        n = snprintf(out, 16, "\\n");
    else if (c == '\t')
        n = snprintf(out, 16, "\\t");
    else if (c == '\\' || (c == '"' && json))
        n = snprintf(out, 16, "\\%c", (char)c);
    else if (is_unsafe(c))
        n = snprintf(out, 16, "\\u%04x", (unsigned)c);
    else
        return (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out);
    return n > 0 ? (size_t)n : 0;
}

/* Appends untrusted text in at most `room` bytes; `cut` says that it has been shortened before. */
static void put_text(struct line *line, const char *text, size_t len, size_t room, bool cut)
{
    size_t end = line->len + room;
    size_t mark = strlen(CUT);
    size_t last_fit = line->len; /* where the mark still fits behind */
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(len - i), &c);
        if (n <= 0) {
            n = 1;
            c = 0xfffd;
        }
        char piece[16];
        size_t piece_len = escape(c, line->json, piece);
        if (line->len + piece_len > end) {
            cut = true;
            break;
        }
        put(line, piece, piece_len);
        if (line->len + mark <= end)
            last_fit = line->len;
        i += (size_t)n;
    }
    if (cut) {
        line->len = last_fit;
        puts_line(line, CUT);
    }
}

static void put_word(struct line *line, const char *name, const char *text)
{
    if (line->json) {
        puts_line(line, ",\"");
        puts_line(line, name);
        puts_line(line, "\":\"");
    } else {
        puts_line(line, " ");
        puts_line(line, name);
        puts_line(line, "=");
    }
    put_text(line, text, strlen(text), WORD_BYTES, false);
    if (line->json)
        puts_line(line, "\"");
}

static void put_time(struct line *line)
{
    struct timespec now = {0};
    struct tm utc = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    char text[64];
    int n = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(now.tv_nsec / 1000000));
    if (n > 0 && (size_t)n < sizeof text)
        put(line, text, (size_t)n);
}

static void put_head(struct line *line, enum nm_log_level level, const char *event)
{
    if (line->json)
        puts_line(line, "{\"time\":\"");
    put_time(line);
    if (line->json) {
        puts_line(line, "\",\"level\":\"");
        puts_line(line, level_words[level]);
        puts_line(line, "\"");
        put_word(line, "worker", log_settings.worker);
        put_word(line, "event", event);
        puts_line(line, ",\"msg\":\"");
        return;
    }
    puts_line(line, " ");
    puts_line(line, level_words[level]);
    puts_line(line, " ");
    put_text(line, log_settings.worker, strlen(log_settings.worker), WORD_BYTES, false);
    puts_line(line, " ");
    put_text(line, event, strlen(event), WORD_BYTES, false);
    puts_line(line, ": ");
}

struct message {
    char text[LINE_BYTES]; /* still more than there is room for: put_text() cuts at a character */
    size_t len;
    bool cut;
};

static void format_message(struct message *message, const char *fmt, va_list args)
{
    static const char bad[] = "(a message that cannot be formatted)";
    int n = vsnprintf(message->text, sizeof message->text, fmt, args);
    if (n < 0)
        memcpy(message->text, bad, sizeof bad);
    size_t len = n < 0 ? sizeof bad - 1 : (size_t)n;
    message->cut = len >= sizeof message->text;
    message->len = message->cut ? sizeof message->text - 1 : len;
}

static void put_where(struct line *line, const struct nm_where *where)
{
    if (where->id)
        put_word(line, "id", where->id);
    if (where->stream)
        put_word(line, "stream", where->stream);
    if (where->partition >= 0)
        put_number(line, "partition", where->partition);
    if (where->offset >= 0)
        put_number(line, "offset", where->offset);
}

/* POLLERR is a pipe without a reader: writing there would raise SIGPIPE. */
static void send_line(const struct line *line)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) != 1 || out.revents != POLLOUT)
        return;
    ssize_t written = write(STDERR_FILENO, line->data, line->len);
    (void)written; /* nobody is left to tell */
}

static void write_line(enum nm_log_level level, const char *event, const struct message *message,
                       const struct nm_where *where, uint64_t n_repeats)
{
    struct line line = {.json = log_settings.json};
    put_head(&line, level, event);
    put_text(&line, message->text, message->len, sizeof line.data - line.len - WHERE_BYTES, message->cut);
    if (line.json)
        puts_line(&line, "\"");
    if (where)
        put_where(&line, where);
    if (n_repeats)
        put_number(&line, "repeats", (long long)n_repeats);
    puts_line(&line, line.json ? "}\n" : "\n");
    send_line(&line);
}

static void write_repeat(const struct nm_repeat *repeat)
{
    struct nm_where where = {.id = *repeat->id ? repeat->id : NULL,
                             .stream = *repeat->stream ? repeat->stream : NULL,
                             .partition = repeat->partition,
                             .offset = repeat->offset};
    struct message message = {.len = repeat->len, .cut = repeat->len >= sizeof repeat->text};
    if (message.cut)
        message.len = sizeof repeat->text - 1;
    memcpy(message.text, repeat->text, message.len);
    write_line(repeat->level, repeat->event, &message, &where, repeat->n);
}

static void write_due(int64_t now_ms)
{
    struct nm_repeat repeat;
    bool due = true;
    while (due) {
        (void)pthread_mutex_lock(&repeats_lock);
        due = nm_repeats_due(&repeats, now_ms, &repeat);
        (void)pthread_mutex_unlock(&repeats_lock);
        if (due)
            write_repeat(&repeat);
    }
}

/* All of `saying` but its text. */
static void log_line(struct nm_saying saying, const char *fmt, va_list args)
{
    int saved_errno = errno;
    struct message message;
    struct nm_repeat displaced;
    int64_t now_ms = nm_boottime_ms();
    format_message(&message, fmt, args);
    saying.text = message.text;
    saying.len = message.len;
    write_due(now_ms);
    (void)pthread_mutex_lock(&repeats_lock);
    bool new = nm_repeats_new(&repeats, &saying, now_ms, &displaced);
    (void)pthread_mutex_unlock(&repeats_lock);
    if (new &&displaced.n > 0)
        write_repeat(&displaced);
    if (new)
        write_line(saying.level, saying.event, &message, saying.where, 0);
    errno = saved_errno;
}

void nm_log_tick(void)
{
    write_due(nm_boottime_ms());
}

void nm_log_flush(void)
{
    write_due(INT64_MAX);
}

void nm_log(enum nm_log_level level, const char *event, const char *fmt, ...)
{
    if (!nm_log_enabled(level))
        return;
    va_list args;
    va_start(args, fmt);
    log_line((struct nm_saying){.level = level, .event = event}, fmt, args);
    va_end(args);
}

void nm_log_again(enum nm_log_level level, const char *event, const char *fmt, ...)
{
    if (!nm_log_enabled(level))
        return;
    va_list args;
    va_start(args, fmt);
    log_line((struct nm_saying){.level = level, .event = event, .any_numbers = true}, fmt, args);
    va_end(args);
}

void nm_log_at(enum nm_log_level level, const char *event, const struct nm_where *where, const char *fmt, ...)
{
    if (!nm_log_enabled(level))
        return;
    va_list args;
    va_start(args, fmt);
    log_line((struct nm_saying){.level = level, .event = event, .where = where}, fmt, args);
    va_end(args);
}
