/* log.h - one line an event on stderr, as JSON or text.
 *
 * JSON members: time (UTC, ms), level, worker, event, msg, and where known id, stream, partition, offset; repeats.
 * The first line of an event and message is written at once. The same event, level and message again within 10 s is
 * only counted; when the 10 s are over one line follows with "repeats": how many were not written. So what repeats
 * without end takes one line in 10 s. Which id or partition it is about makes no difference; the last one is shown.
 * Untrusted text in a message is escaped. Never a secret: what holds one (a Redis URL, a password) is not passed to a
 * log call. Writing never blocks for long and never fails the caller; a line that cannot be written is dropped.
 * nm_log_setup() is called once before threads start; the rest is thread-safe (one write(2) a line). */
#ifndef NEWSMILL_LOG_H
#define NEWSMILL_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum nm_log_level { NM_DEBUG, NM_INFO, NM_WARN, NM_ERROR };

struct nm_where { /* the event that a line is about; members that are not known are NULL or negative */
    const char *id, *stream;
    int32_t partition;
    int64_t offset;
};

/* level: "debug" "info" "warn" "error"; json: JSON or text; `worker` is borrowed for good. */
void nm_log_setup(const char *worker, const char *level, bool json);
bool nm_log_enabled(enum nm_log_level level);
void nm_log(enum nm_log_level level, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void nm_log_at(enum nm_log_level level, const char *event, const struct nm_where *where, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* For what comes again and again with other numbers in it (how often, for how long): texts that differ only in their
 * digits are the same, and the line about the repeats has the numbers of the last one. */
void nm_log_again(enum nm_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes the lines about repeats whose time is over; every log call does so too. To be called about once a second, so
 * that they come although nothing else is logged. Cheap. */
void nm_log_tick(void);
/* Writes the lines about repeats that are still counted: before the process ends. */
void nm_log_flush(void);

#endif
