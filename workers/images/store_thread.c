/* store_thread.c - see store_thread.h. Two lists under one lock, a condition for the thread, an eventfd for the worker:
 * it counts nothing, it is readable exactly while the list of done jobs is not empty. */
#include "store_thread.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { JOBS_MAX = 65536 };

struct queue {
    struct im_job *first, **last;
};

struct im_store_thread {
    struct im_store *store;
    size_t max_jobs;
    int done_fd;
    pthread_t thread;
    bool started;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    struct queue waiting, done;
    size_t n_out; /* submitted and not taken back */
    bool closing;
};

static void queue_add(struct queue *queue, struct im_job *job)
{
    job->next = NULL;
    *queue->last = job;
    queue->last = &job->next;
}

static struct im_job *queue_take(struct queue *queue)
{
    struct im_job *job = queue->first;
    if (!job)
        return NULL;
    queue->first = job->next;
    if (!queue->first)
        queue->last = &queue->first;
    return job;
}

/* Under the lock. */
static void give_back(struct im_store_thread *thread, struct im_job *job)
{
    if (!thread->done.first)
        (void)eventfd_write(thread->done_fd, 1);
    queue_add(&thread->done, job);
}

static void *serve(void *self)
{
    struct im_store_thread *thread = self;
    (void)pthread_mutex_lock(&thread->lock);
    while (!thread->closing) {
        struct im_job *job = queue_take(&thread->waiting);
        if (!job) {
            (void)pthread_cond_wait(&thread->wake, &thread->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&thread->lock);
        job->run(job, thread->store);
        job->ran = true;
        (void)pthread_mutex_lock(&thread->lock);
        give_back(thread, job);
    }
    (void)pthread_mutex_unlock(&thread->lock);
    return NULL;
}

/* Signals are for the worker's thread. */
static int start(struct im_store_thread *thread)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread->thread, NULL, serve, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    thread->started = code == 0;
    return code;
}

enum nm_status im_store_thread_open(struct im_store *store, size_t max_jobs, struct im_store_thread **out,
                                    struct nm_error *err)
{
    assert(max_jobs >= 1 && max_jobs <= JOBS_MAX);
    struct im_store_thread *thread = calloc(1, sizeof *thread);
    if (!thread || pthread_mutex_init(&thread->lock, NULL) != 0) {
        free(thread);
        return nm_fail(err, NM_FATAL, "out of memory for the store's thread");
    }
    if (pthread_cond_init(&thread->wake, NULL) != 0) {
        (void)pthread_mutex_destroy(&thread->lock);
        free(thread);
        return nm_fail(err, NM_FATAL, "out of memory for the store's thread");
    }
    thread->store = store;
    thread->max_jobs = max_jobs;
    thread->waiting.last = &thread->waiting.first;
    thread->done.last = &thread->done.first;
    thread->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int code = thread->done_fd < 0 ? errno : start(thread);
    if (code != 0) {
        im_store_thread_free(thread);
        return nm_fail(err, NM_FATAL, "no thread for the store: %s", strerror(code));
    }
    *out = thread;
    return NM_OK;
}

int im_store_thread_fd(const struct im_store_thread *thread)
{
    return thread->done_fd;
}

bool im_store_submit(struct im_store_thread *thread, struct im_job *job)
{
    (void)pthread_mutex_lock(&thread->lock);
    bool taken = !thread->closing && thread->n_out < thread->max_jobs;
    if (taken) {
        job->ran = false;
        thread->n_out++;
        queue_add(&thread->waiting, job);
        (void)pthread_cond_signal(&thread->wake);
    }
    (void)pthread_mutex_unlock(&thread->lock);
    return taken;
}

struct im_job *im_store_thread_next(struct im_store_thread *thread)
{
    eventfd_t count;
    (void)pthread_mutex_lock(&thread->lock);
    struct im_job *job = queue_take(&thread->done);
    if (job)
        thread->n_out--;
    if (job && !thread->done.first)
        (void)eventfd_read(thread->done_fd, &count);
    (void)pthread_mutex_unlock(&thread->lock);
    return job;
}

void im_store_thread_close(struct im_store_thread *thread)
{
    (void)pthread_mutex_lock(&thread->lock);
    thread->closing = true;
    (void)pthread_cond_signal(&thread->wake);
    (void)pthread_mutex_unlock(&thread->lock);
    if (!thread->started)
        return;
    (void)pthread_join(thread->thread, NULL);
    thread->started = false;
    struct im_job *job;
    (void)pthread_mutex_lock(&thread->lock);
    while ((job = queue_take(&thread->waiting)))
        give_back(thread, job);
    (void)pthread_mutex_unlock(&thread->lock);
}

void im_store_thread_free(struct im_store_thread *thread)
{
    if (!thread)
        return;
    im_store_thread_close(thread);
    if (thread->done_fd >= 0)
        (void)close(thread->done_fd);
    (void)pthread_cond_destroy(&thread->wake);
    (void)pthread_mutex_destroy(&thread->lock);
    free(thread);
}
