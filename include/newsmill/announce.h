/* announce.h - how a running worker makes itself known to `newsmill ps`.
 *
 *   <namespace>:ps:<worker>:<instance>   string, JSON, expires NM_ANNOUNCE_MS after the last announcement
 *   <namespace>:ps                       sorted set of "<worker>:<instance>" by the time of the last announcement (ms
 *                                        since 1970, the worker's clock): finds the strings without a scan of all keys
 *
 * An instance that the set knows and whose string has expired ended without saying so; announcements forget it after
 * NM_ANNOUNCE_FORGET_MS. Nothing hangs on these keys but what people see. Not thread-safe; no state. */
#ifndef NEWSMILL_ANNOUNCE_H
#define NEWSMILL_ANNOUNCE_H

#include "newsmill/buf.h"
#include "newsmill/redis.h"
#include "newsmill/report.h"
#include "newsmill/settings.h"
#include "newsmill/status.h"

#include <stdint.h>

#define NM_ANNOUNCE_MS        15000
#define NM_ANNOUNCE_EVERY_MS  5000 /* how often a worker should do it */
#define NM_ANNOUNCE_FORGET_MS 3600000
#define NM_ANNOUNCE_BYTES     65536 /* a longer announcement is broken */

/* Who announces: everything is borrowed. */
struct nm_announcer {
    const char *worker;
    const char *instance; /* 16 hex digits                                 */
    const char *admin;    /* nm_admin_address()                            */
    int64_t started_ms;   /* wall clock when the process began, ms since 1970 */
};

/* Appends {"worker","version","instance","host","pid","admin","startedAt","ready","partitions":[{"stream","partitions":
 * [numbers, rising]}],"lag"} in one line. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_announce_json(const struct nm_announcer *who, const struct nm_report *report,
                                            struct nm_buf *out, struct nm_error *err);

/* Appends the commands of one announcement; now_ms: wall clock. Their replies say nothing of interest. */
void nm_announce_append(struct nm_pipe *pipe, const struct nm_settings *settings, const char *worker,
                        const char *instance, const char *json, int64_t now_ms);
/* Appends the commands that take it back, for a clean exit. */
void nm_announce_remove_append(struct nm_pipe *pipe, const struct nm_settings *settings, const char *worker,
                               const char *instance);

/* Key of an instance ("<worker>:<instance>"), or of the set (NULL), into out, NUL-terminated, cut at size - 1 bytes. */
void nm_announce_key(const struct nm_settings *settings, const char *instance_of_worker, char *out, size_t size);

#endif
