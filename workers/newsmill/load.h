/* load.h - the Kafka side of `newsmill load`: sends events, counts what came of them, shows how far it is.
 *
 * "Loaded" means that Kafka's delivery report is good. What is in flight is bounded in bytes and events. A report that
 * failed for another reason than size means that Kafka is gone: then `lost` is set, and reading ends, so that the
 * summary tells how far it came. With --dry-run events go to stdout. One thread: reports are served in the same loop.
 */
#ifndef NEWSMILL_LOAD_H
#define NEWSMILL_LOAD_H

#include "event.h"
#include "newsmill/kafka.h"
#include "source.h"

#include <stdbool.h>
#include <stdint.h>

struct nm_load {
    rd_kafka_t *rk; /* NULL: a dry run                                             */
    const char *topic, *file;
    long long rate;                 /* events a second; 0: as fast as it goes                      */
    size_t max_bytes;               /* of an event                                                 */
    bool terminal;                  /* stderr is one: progress is redrawn in place                 */
    bool quiet;                     /* no progress                                                 */
    unsigned long long total_bytes; /* of all files, packed; 0: not known                */
    unsigned long long past_bytes;  /* of the files that were read to their end          */
    const struct nm_source *source; /* being read, NULL between two files                */
    int64_t started_ms;
    /* results */
    unsigned long long n_sent, n_good, n_failed, n_skipped;
    bool lost;
    char lost_why[200];
    /* load.c's own */
    size_t bytes_in_flight;
    int64_t said_ms;
};

/* load->rk and the rest above are set by the caller, the report hook is nm_load_report with the load as its opaque. */
void nm_load_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

/* What the readers of files give events to. Borrows the load. */
struct nm_sink nm_load_sink(struct nm_load *load);

/* For nm_source_options.idle: serves reports and progress, false when reading should end. */
bool nm_load_idle(void *opaque);

/* A whole file failed, from some place on that is not known by line. */
void nm_load_refuse_file(struct nm_load *load, const char *why);
void nm_load_note(struct nm_load *load, const char *text); /* about load->file */

/* Waits for every report, or for those that come in time, and prints the summary. */
void nm_load_settle(struct nm_load *load);

/* "42 %, 1 min 20 s left" for `done` of `total` bytes after so many milliseconds; "" while it cannot be told. */
void nm_load_eta(unsigned long long done, unsigned long long total, int64_t passed_ms, char out[64]);

#endif
