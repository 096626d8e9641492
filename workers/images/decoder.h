/* decoder.h - the worker's side: a few decoder processes, each with one job at a time.
 *
 * A process is this program again (decoder_process.h), reached over one socket. It may be broken by any image: so each
 * job has a limit of CPU time (the process dies by SIGXCPU) and one of the clock (it is killed), whatever it answers is
 * checked, and after 1,000 jobs, or whatever goes wrong, another process takes its place. Only the job that it had
 * fails then, with decode_killed.
 *
 * A process that was taken over keeps the files that it was given and may write to them when its answer is long taken.
 * So what is to be kept is copied from an output file and hashed from the copy, never kept as that file.
 *
 * An image that is in memory needs no files of the caller: the pool has some in memory for each process, which are used
 * for one job after the other (decoder_files.c), and copies out of them what was made.
 *
 * Nothing here blocks but im_decoders_close(), and there are no other threads: the caller waits with poll() for
 * im_decoders_fds(), at most until im_decoders_due_ms(), and then calls im_decoders_tick(). Not thread-safe. Times are
 * monotonic milliseconds as the caller reads them. SIGCHLD may be anything; only own children are waited for. */
#ifndef IMAGES_DECODER_H
#define IMAGES_DECODER_H

#include "decoder_protocol.h"

#include <poll.h>
#include <sys/types.h>

#define IM_DECODERS_MAX   64                 /* processes                                                     */
#define IM_DECODER_JOBS   1000               /* of one process, then another takes its place                  */
#define IM_MADE_BYTES     (16 * 1024 * 1024) /* what may be made of an image in memory, all of it together */
#define IM_DECODER_BROKEN 5                  /* starts in a row that fail before im_decoders_check() complains */

struct im_decoder_settings {
    const char *program;  /* NULL: /proc/self/exe; borrowed while the pool lives */
    const char *argument; /* its only argument; NULL: "--decoder"; borrowed      */
    int32_t processes;    /* 1..IM_DECODERS_MAX                                  */
    int64_t cpu_ms;       /* of one job, > 0; rounded up to the second in which it is used up */
    int64_t wall_ms;      /* of one job, > 0                                     */
    int64_t memory_bytes; /* IM_MEMORY_MIN..IM_MEMORY_MAX of address space       */
};

struct im_decoders;

struct im_decoder_job {
    struct im_facts facts;   /* of the header probe, for the same bytes                */
    struct im_limits limits; /* max_scans, max_pixels and max_gif_pixels are used      */
    const uint8_t *input;    /* the image, facts.end bytes, borrowed in the call; NULL: it is in a file. More than
                              * IM_MADE_BYTES of outputs are a forged reply */
    int input_fd;            /* the file, opened O_RDONLY: the process may not write it; unused with input  */
    struct im_thumb thumb[IM_THUMBS];
    int output_fd[IM_THUMBS]; /* an empty regular file each, writable; unused with input */
    int n_thumbs;             /* 0..IM_THUMBS                                            */
    enum im_copy copy;        /* the public copy (strip.h)                               */
    int copy_fd;              /* an empty regular file, writable; unused with input and IM_COPY_NONE */
    void *owner;              /* comes back with the result                              */
};

struct im_decoded {
    void *owner;
    enum im_reason reason; /* IM_NONE, truncated, decode_fail, scans_too_many, dims_too_big, decode_killed, store_full,
                              store_io; but for IM_NONE the outputs hold nothing of use */
    const char *cause;     /* of decode_killed, a literal: "cpu limit", "seccomp", "wall limit", ...; else "" */
    int32_t width, height; /* decoded, as stored; 0 on a failure                                      */
    int64_t copy_bytes;    /* of the public copy; 0: none was wanted                   */
    struct im_reply_thumb thumb[IM_THUMBS]; /* width 0: not smaller than the picture, none made         */
    uint8_t *made; /* of a job with input: the copy, then the thumbnails in their order; free() it. Else NULL */
    int64_t cpu_us, wall_ms; /* that the job took; cpu_us -1: not known, the process died */
};

struct im_decoder_stats { /* since the pool was opened */
    uint64_t jobs, kills, recycled, forged, failed_starts;
};

/* Starts the processes. NM_CONFIG: a setting is out of range, or the program cannot be started. */
NM_MUST_USE enum nm_status im_decoders_open(const struct im_decoder_settings *settings, int64_t now_ms,
                                            struct im_decoders **out, struct nm_error *err);
/* Kills the processes and waits for their end (they are killed, so this takes no longer than the kernel does). Jobs
 * under way give no result. NULL is fine. */
void im_decoders_close(struct im_decoders *pool);

/* How many jobs would be taken now. */
int im_decoders_idle(const struct im_decoders *pool);

/* Gives a job to an idle process. The files stay the caller's: the output files are looked at once more when the answer
 * comes, so they must stay open until the result is taken. NM_RETRY: no process is idle, try after the next tick.
 * NM_BAD_INPUT: facts, sizes or files that no decoder accepts; the message says which. NM_FATAL: no memory for input.
 */
NM_MUST_USE enum nm_status im_decoders_submit(struct im_decoders *pool, const struct im_decoder_job *job,
                                              int64_t now_ms, struct nm_error *err);

/* What to poll for: at most IM_DECODERS_MAX entries; returns how many. Good until the next call with this pool. */
size_t im_decoders_fds(const struct im_decoders *pool, struct pollfd *out, size_t n);
/* When the next tick is due whatever poll() says; INT64_MAX: never. */
int64_t im_decoders_due_ms(const struct im_decoders *pool);
/* Reads answers, kills what is over its limit, collects the dead, starts new ones. */
void im_decoders_tick(struct im_decoders *pool, int64_t now_ms);
/* The next finished job; false: none. A process takes its next job when its result was taken. */
NM_MUST_USE bool im_decoders_take(struct im_decoders *pool, struct im_decoded *out);

/* NM_CONFIG: the last IM_DECODER_BROKEN starts ended before the process was ready, so no job will ever be taken. */
NM_MUST_USE enum nm_status im_decoders_check(const struct im_decoders *pool, struct nm_error *err);
struct im_decoder_stats im_decoders_stats(const struct im_decoders *pool);
/* The processes that live, for a look from outside; returns how many, at most n. */
size_t im_decoders_pids(const struct im_decoders *pool, pid_t *out, size_t n);

NM_DEFINE_CLEANUP(struct im_decoders, im_decoders_close)

#endif
