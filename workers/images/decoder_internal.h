/* decoder_internal.h - one decoder process as the pool sees it; shared by decoder*.c of the worker's side only. */
#ifndef IMAGES_DECODER_INTERNAL_H
#define IMAGES_DECODER_INTERNAL_H

#include "decoder.h"

/* Files in memory for the jobs of one process; see decoder_files.c. A descriptor d is held as d + 1, 0: none yet. */
struct im_standing {
    int input, input_read;     /* the same file, for writing and for reading only */
    int output[1 + IM_THUMBS]; /* the copy, the thumbnails */
};

enum im_child_state {
    IM_CHILD_NONE,     /* no process; one is started at due_ms               */
    IM_CHILD_STARTING, /* its `ready` must come before due_ms                */
    IM_CHILD_IDLE,     /* due_ms is INT64_MAX                                */
    IM_CHILD_BUSY,     /* its reply must come before due_ms                  */
    IM_CHILD_DYING,    /* killed; collected by waitpid(), tried again at due_ms */
};

struct im_child {
    enum im_child_state state;
    pid_t pid;         /* valid but in IM_CHILD_NONE */
    int fd;            /* -1: closed */
    int64_t due_ms;    /* see the state */
    int jobs;          /* that it answered */
    bool was_ready;    /* it came out of IM_CHILD_STARTING */
    bool has_job;      /* in IM_CHILD_BUSY and IM_CHILD_DYING */
    bool has_result;   /* that was not taken yet */
    bool in_memory;    /* the files of the job are those of `standing` */
    int64_t limit_s;   /* RLIMIT_CPU that was set last, 0: none yet */
    const char *cause; /* why we killed it; NULL: its exit status will say */
    struct im_standing standing;
    /* the job */
    struct im_request request;
    int output_fd[IM_THUMBS], copy_fd;
    int64_t since_ms; /* when it was given the job */
    int64_t cpu_us;   /* what it had used by then, or at its last answer; 0: nothing is known */
    struct im_decoded result;
};

/* Starts a process for a slot in IM_CHILD_NONE and sends the setup. A failure leaves the slot as it is. */
NM_MUST_USE enum nm_status im_child_start(struct im_child *child, const struct im_decoder_settings *settings,
                                          int64_t now_ms, struct nm_error *err);
/* Kills it; on to IM_CHILD_DYING. cause: a literal, or NULL. */
void im_child_kill(struct im_child *child, const char *cause, int64_t now_ms);
/* false: it is not dead yet. Else *cause is why, a literal, and the slot has no process. */
NM_MUST_USE bool im_child_collect(struct im_child *child, const char **cause);
/* CPU time that it has used so far; -1: not known. */
int64_t im_child_cpu_us(const struct im_child *child);
/* Sets the soft RLIMIT_CPU to used + cpu_ms and sends request and files; false: it takes no packet. */
NM_MUST_USE bool im_child_send(struct im_child *child, const struct im_request *request,
                               const struct im_decoder_job *job, int64_t cpu_ms);
/* ---- decoder_files.c ---- */

/* Puts job->input into the standing files and names them in the job. NM_FATAL: no memory, no descriptors. */
NM_MUST_USE enum nm_status im_standing_give(struct im_standing *standing, struct im_decoder_job *job,
                                            struct nm_error *err);
/* Copies what the reply says was made. false: it is not there. *out NULL: out of memory. */
NM_MUST_USE bool im_standing_take(const struct im_standing *standing, const struct im_reply *reply, uint8_t **out);
void im_standing_close(struct im_standing *standing); /* the process has ended or is killed */

/* ---- decoder_child.c ---- */

/* One packet without waiting. > 0 its length; 0 nothing there; -1: the socket is closed, or the packet is too long or
 * has files with it. */
NM_MUST_USE int im_child_receive(const struct im_child *child, void *packet, size_t size);

#endif
