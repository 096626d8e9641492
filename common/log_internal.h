/* log_internal.h - the table of lines that repeat. Pure: the time comes from the caller. */
#ifndef NM_LOG_INTERNAL_H
#define NM_LOG_INTERNAL_H

#include "newsmill/log.h"

#include <stddef.h>

#define NM_REPEAT_MS    10000
#define NM_REPEAT_SLOTS 64
#define NM_REPEAT_TEXT  600 /* bytes of a message that are kept for the line about its repeats */

/* A line before it is known whether it repeats. */
struct nm_saying {
    enum nm_log_level level;
    const char *event, *text;
    size_t len;
    const struct nm_where *where; /* may be NULL */
    bool any_numbers;             /* texts that differ only in their digits are the same */
};

/* One message that was written, and what came again since. */
struct nm_repeat {
    bool used, any_numbers;
    enum nm_log_level level;
    uint64_t hash;  /* of event and message */
    int64_t end_ms; /* of the present window */
    uint64_t n;     /* lines that were not written in it */
    char event[64], text[NM_REPEAT_TEXT];
    size_t len; /* of the message, which `text` may hold only the beginning of */
    /* where the last of them was; "" or negative: nowhere */
    char id[48], stream[128];
    int32_t partition;
    int64_t offset;
};

struct nm_repeats {
    struct nm_repeat slot[NM_REPEAT_SLOTS];
};

/* True: the line is to be written. False: it repeats, and was counted. `out` gets a message that had to make room and
 * has repeats (n > 0) which nobody has been told of, else n is 0. */
bool nm_repeats_new(struct nm_repeats *repeats, const struct nm_saying *saying, int64_t now_ms, struct nm_repeat *out);
/* One message whose window is over at now_ms and that repeated in it (all of them: INT64_MAX), into out; its next
 * window begins. False: there is none. To be called until it is false. Forgets messages that did not repeat. */
bool nm_repeats_due(struct nm_repeats *repeats, int64_t now_ms, struct nm_repeat *out);

#endif
