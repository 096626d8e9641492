/* instances.h - running workers as they announced themselves (newsmill/announce.h), read with suspicion: whoever can
 * write to Redis can write anything there. Pure; not thread-safe. */
#ifndef NEWSMILL_INSTANCES_H
#define NEWSMILL_INSTANCES_H

#include "newsmill/buf.h"
#include "newsmill/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nm_instance_state {
    NM_INSTANCE_READY,
    NM_INSTANCE_NOT_READY,
    NM_INSTANCE_SILENT, /* its last announcement is too old                     */
    NM_INSTANCE_GONE,   /* it ended without saying so: killed, or cut off       */
    NM_INSTANCE_BROKEN, /* what stands there is no announcement                 */
};

struct nm_instance {
    char *worker, *id; /* as the set names it, "<worker>:<id>" */
    enum nm_instance_state state;
    int64_t age_ms; /* of the announcement; -1: not known */
    /* all NULL, 0 or -1 for GONE and BROKEN */
    json_t *root; /* owned; its members are borrowed by the next ones */
    const char *version, *host, *admin, *started;
    int64_t pid, lag, started_ms;
};

/* One name of the set, and the string that belongs to it: `json` (len bytes) NULL when there is none, and left_ms its
 * remaining life (negative: not known). NM_FATAL: out of memory. Release with nm_instance_clear(). */
NM_MUST_USE enum nm_status nm_instance_read(const char *member, size_t member_len, const char *json, size_t len,
                                            int64_t left_ms, struct nm_instance *out, struct nm_error *err);
void nm_instance_clear(struct nm_instance *instance);

/* qsort's: by worker, then the oldest first; what is gone or broken behind the others of its worker. */
int nm_instance_compare(const void *a, const void *b);

/* "ready", "not ready", "silent 12s", "gone", "broken". */
void nm_instance_state_text(const struct nm_instance *instance, struct nm_buf *out);
/* "raw 0-3,7; facets 0-3"; "-" for none. */
void nm_instance_assignment(const struct nm_instance *instance, struct nm_buf *out);
/* One JSON object in one line: {"worker","instance","state","ageMs"} and what was announced. */
void nm_instance_json(const struct nm_instance *instance, struct nm_buf *out);

#endif
