/* watermark.h - `wm`: how far a group has finished a partition, kept in Redis beside the state.
 *
 * Value, one line of text: "<next offset> <Redis time, us> <event time, ms> <timestamp, ms> <crc32 of the value>", the
 * last two of the record just below the next offset; "-" where it is not known. Behind it " <generation>" where that is
 * not 0 or more follows, then " <next offset> <timestamp, ms> <crc32 of the value>" of the anchor, an older record that
 * was processed and seen on the stream again later: what is below wm may be of another stream than the anchor, and only
 * the anchor tells. Because Redis keeps its writes in order, a Redis that lost its last writes lost them here too, and
 * the lost part is applied again. Pure but for the script; thread-safe. */
#ifndef NEWSMILL_WATERMARK_H
#define NEWSMILL_WATERMARK_H

#include "newsmill/redis.h"
#include "newsmill/status.h"

#include <stdbool.h>
#include <stdint.h>

#define NM_WM_BYTES     160 /* of the value, with the NUL */
#define NM_WM_KEY_BYTES 704 /* of the key, likewise: namespace 64, group 255, topic 249 bytes at most */

/* What is kept of a record, so that it can be known again. */
struct nm_mark {
    int64_t next; /* the offset behind it            */
    int64_t ms;   /* Kafka timestamp; -1: unknown    */
    int64_t crc;  /* CRC-32 of its value; -1: no record is known */
};
#define NM_NO_MARK ((struct nm_mark){.next = 0, .ms = -1, .crc = -1})

struct nm_watermark {
    int64_t next;       /* offset; >= 0                                      */
    int64_t redis_us;   /* Redis' TIME when it was written                   */
    int64_t event_ms;   /* greatest event time below it; -1: unknown         */
    int64_t last_ms;    /* Kafka timestamp of the record below it; -1: unknown */
    int64_t last_crc;   /* CRC-32 of its value; -1: unknown                  */
    int64_t generation; /* how often the stream was seen to be recreated: the offsets of each are its own */
    struct nm_mark anchor;
};

/* "<namespace>:wm:<group>:<topic>:<partition>" */
void nm_watermark_key(const char *ns, const char *group, const char *topic, int32_t partition,
                      char out[NM_WM_KEY_BYTES]);

/* Compare-and-set: KEYS wm; ARGV the value last read or written ("" for none), next, event, timestamp, crc, generation,
 * the rest of the value ("" or what stands behind the generation) as text. Replies {1, new value} or {0, present
 * value}. */
extern struct nm_script nm_wm_script;

/* NM_FATAL: not such a value (written by something else). */
NM_MUST_USE enum nm_status nm_watermark_parse(const char *text, struct nm_watermark *out, struct nm_error *err);

/* Notes in *wm what it keeps of the record below `next`: its Kafka timestamp (<= 0: none) and the CRC-32 of its value
 * (NULL: a tombstone). */
void nm_watermark_note(struct nm_watermark *wm, int64_t timestamp_ms, const void *value, size_t len);

/* The record below wm, where it is known. */
static inline struct nm_mark nm_watermark_last(const struct nm_watermark *wm)
{
    return (struct nm_mark){.next = wm->next, .ms = wm->last_ms, .crc = wm->last_crc};
}

/* Appends the script call that moves `key` from `from` to `to` (its redis_us is Redis' own). */
void nm_watermark_append(struct nm_pipe *pipe, const char *key, const char *from, const struct nm_watermark *to);

/* What to do when the stream no longer has what comes next: runtime.onGap. */
enum nm_on_gap { NM_GAP_STOP, NM_GAP_OLDEST, NM_GAP_NEWEST };

/* What is known of one partition when it is assigned. */
struct nm_resume_facts {
    int64_t committed;        /* Kafka's; -1: none                                             */
    int64_t committed_us;     /* redis_us of the wm that it followed; -1: unknown              */
    int64_t committed_resend; /* what its owner still had to send again: up to this offset     */
    bool has_wm;
    struct nm_watermark wm; /* as Redis has it now                                           */
    bool had_wm;
    struct nm_watermark mine; /* as this process last read or wrote it                         */
    int64_t oldest, end;      /* of the stream                                                 */
    int64_t fresh;            /* where runtime.start says that a new group begins              */
    bool recreated;           /* a record that was processed is not the one that wm knows      */
    int64_t recreated_at;     /* its offset                                                    */
    enum nm_on_gap on_gap;
    bool rebuild; /* runtime.onStateLoss: rebuild, not stop */
};
struct nm_resume {
    int64_t start;
    int64_t resend_until; /* up to this offset no mark suppresses an output; 0: none */
    bool rolled_back;     /* Redis lost writes that were there before                          */
    bool state_lost;      /* Redis has nothing: everything is read again, from the oldest event */
    bool gap;             /* events are missing; `start` is where runtime.onGap goes on         */
    bool recreated;       /* a gap because it is another stream than before                     */
};
/* What a commit carries beside its offset, so that whoever is next knows what only its owner could see: "nm1 <redis_us
 * of wm> <resend until>". A Redis that is put back to a state from another timeline may well be ahead of the offset. */
#define NM_COMMIT_NOTE_BYTES 64
void nm_commit_note(int64_t redis_us, int64_t resend_until, char out[NM_COMMIT_NOTE_BYTES]);
/* Anything else than such a note leaves committed_us at -1. `note` need not be NUL-terminated. */
void nm_commit_note_read(const char *note, size_t len, struct nm_resume_facts *out);

/* NM_CONFIG: the state or the stream is not what it was, and the options say stop; the message says what to do. */
NM_MUST_USE enum nm_status nm_resume_decide(const char *what, const struct nm_resume_facts *facts,
                                            struct nm_resume *out, struct nm_error *err);

#endif
