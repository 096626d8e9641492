/* decoder_internal.h - one decoder process as the pool sees it; shared by decoder.c and decoder_child.c only. */
#ifndef IMAGES_DECODER_INTERNAL_H
#define IMAGES_DECODER_INTERNAL_H

#include "decoder.h"

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
    const char *cause; /* why we killed it; NULL: its exit status will say */
    /* the job, in IM_CHILD_BUSY and IM_CHILD_DYING */
    bool has_job;
    struct im_request request;
    int output_fd[IM_THUMBS], copy_fd;
    int64_t since_ms, cpu_us; /* when it was given the job, and what it had used by then */
    /* a result that was not taken yet */
    bool has_result;
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
/* One packet without waiting. > 0 its length; 0 nothing there; -1: the socket is closed, or the packet is too long or
 * has files with it. */
NM_MUST_USE int im_child_receive(const struct im_child *child, void *packet, size_t size);

#endif
