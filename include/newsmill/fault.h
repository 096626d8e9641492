/* fault.h - crash points and negative controls of the chaos build (-DNM_CHAOS=ON); nothing at all in any other build.
 *
 * NM_FAULT=point:1/N,...   at each passing of the point the process kills itself (SIGKILL) with that probability
 * NM_FAULT_SEED=n          seed of the choice
 * NM_FAULT_STOPS=n         it stops itself in place of that (SIGSTOP: somebody must wake it), n times at most
 * NM_FAULT_AFTER=text      both only once it began an event whose value holds the text
 * NM_POISON=text           the process aborts when it begins an event whose value holds the text
 * NM_CONTROL=word          makes the runtime wrong on purpose, so that tests/chaos can show that its checker sees it */
#ifndef NEWSMILL_FAULT_H
#define NEWSMILL_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum nm_point {
    NM_POINT_POLLED,
    NM_POINT_REDIS_SENT,
    NM_POINT_REDIS_DONE,
    NM_POINT_PRODUCED,
    NM_POINT_REPORTED,
    NM_POINT_MARKED,
    NM_POINT_WM_WRITTEN,
    NM_POINT_COMMITTED,
    NM_POINT_ASSIGNED,
    NM_POINT_REVOKED,
    NM_POINT_MADE,  /* beside the batches: something was made and is not kept yet, */
    NM_POINT_KEPT,  /* lies on disk, which Redis does not know yet,                */
    NM_POINT_KNOWN, /* is known, and nobody was told                               */
    NM_N_POINTS
};

enum nm_control {
    NM_CONTROL_NONE,
    NM_CONTROL_COMMIT_BEFORE_REPORT, /* wm and commit before the delivery reports                      */
    NM_CONTROL_STORED_OFFSETS,       /* asynchronous commit of what librdkafka stored, resumed from it */
    NM_CONTROL_SETNX_SKIP,           /* a dedup mark suppresses an output                              */
    NM_CONTROL_COMMITTED_ONLY,       /* resume from the committed offset, wm ignored                   */
    NM_CONTROL_RETRY_BATCH,          /* the same batch is tried again across a reconnect               */
    NM_CONTROL_LEAD_BY_ANYONE,       /* a lead's record is composed by whoever sees the change         */
    NM_CONTROL_LATE_SENDER,          /* who stood still sends all the same, one batch                  */
};

#ifdef NM_CHAOS
void nm_fault_at(enum nm_point point);
bool nm_control_is(enum nm_control control);
bool nm_control_once(enum nm_control control); /* true the first time only */
void nm_fault_begun(const void *value, size_t len);
#define NM_BEGUN(value, len)   nm_fault_begun(value, len)
#define NM_FAULT(point)        nm_fault_at(point)
#define NM_CONTROL(which)      nm_control_is(which)
#define NM_CONTROL_ONCE(which) nm_control_once(which)
#else
#define NM_BEGUN(value, len)   ((void)0)
#define NM_FAULT(point)        ((void)0)
#define NM_CONTROL(which)      false
#define NM_CONTROL_ONCE(which) false
#endif

#endif
