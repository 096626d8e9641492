/* store_thread.h - the one thread that may wait for the store, so that a worker's loop never does.
 *
 *   job->run = put_it; if (!im_store_submit(thread, job)) ...come again later...
 *   poll im_store_thread_fd(); while ((job = im_store_thread_next(thread))) ...what it brought...
 *
 * A job is the caller's memory with its own arguments and results around it. Between submit and next it belongs to the
 * thread; `run` is called there, with the store, and nothing else may use the store meanwhile. Jobs run one at a time
 * in the order of their submission and come back in that order, each exactly once. The number of jobs that were
 * submitted and not taken back is bounded.
 *
 * submit, next and close are called by one thread, the worker's. */
#ifndef IMAGES_STORE_THREAD_H
#define IMAGES_STORE_THREAD_H

#include "store.h"

struct im_job {
    void (*run)(struct im_job *job, struct im_store *store);
    bool ran;            /* out: false: the thread was closed before its turn came */
    struct im_job *next; /* private                                                */
};

struct im_store_thread;

/* max_jobs: 1 to 65,536. The store is borrowed until im_store_thread_free(). NM_FATAL: no thread, no memory. */
NM_MUST_USE enum nm_status im_store_thread_open(struct im_store *store, size_t max_jobs, struct im_store_thread **out,
                                                struct nm_error *err);
/* Readable while jobs are to be taken back. */
int im_store_thread_fd(const struct im_store_thread *thread);
/* False: max_jobs are out, or the thread is closed; the job stays the caller's. Never blocks on the store. */
NM_MUST_USE bool im_store_submit(struct im_store_thread *thread, struct im_job *job);
/* The oldest job that is done, NULL: none. */
struct im_job *im_store_thread_next(struct im_store_thread *thread);
/* Waits for the job that runs now (a request's time limit at most) and starts no other; all that are out can be taken
 * back then, those that did not run with `ran` false. */
void im_store_thread_close(struct im_store_thread *thread);
/* Closes. Jobs that were not taken back are forgotten, their memory is the caller's. NULL is fine. */
void im_store_thread_free(struct im_store_thread *thread);

#endif
