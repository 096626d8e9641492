/* decoder.c - the pool: which process has which job, and what becomes of it.
 *
 * Each slot goes none -> starting -> idle <-> busy, and from anywhere to dying -> none; a job ends exactly once, by a
 * checked reply or by the death of its process. A death is only believed when waitpid() has seen it: then its cause is
 * known, and no zombie is left. */
#include "decoder_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BACKOFF_MS = 100, BACKOFF_MAX_MS = 5000 }; /* after a start that failed */

struct im_decoders {
    struct im_decoder_settings settings;
    struct im_decoder_stats stats;
    uint32_t next_job;
    int failed_starts; /* in a row */
    int next_take;     /* the slot to look at first, so that none is passed over for long */
    struct im_child child[IM_DECODERS_MAX];
};

static enum nm_status check_settings(const struct im_decoder_settings *settings, struct nm_error *err)
{
    if (settings->processes < 1 || settings->processes > IM_DECODERS_MAX)
        return nm_fail(err, NM_CONFIG, "decoder processes: %d is not 1 to %d", (int)settings->processes,
                       IM_DECODERS_MAX);
    if (settings->cpu_ms < 1 || settings->wall_ms < 1 || settings->cpu_ms > 3600000 || settings->wall_ms > 3600000)
        return nm_fail(err, NM_CONFIG, "the decoder's limits of time are not 1 ms to 1 h");
    if (settings->memory_bytes < IM_MEMORY_MIN || settings->memory_bytes > IM_MEMORY_MAX)
        return nm_fail(err, NM_CONFIG, "the decoder's memory: %lld is not %lld to %lld bytes",
                       (long long)settings->memory_bytes, (long long)IM_MEMORY_MIN, (long long)IM_MEMORY_MAX);
    return NM_OK;
}

enum nm_status im_decoders_open(const struct im_decoder_settings *settings, int64_t now_ms, struct im_decoders **out,
                                struct nm_error *err)
{
    enum nm_status status = check_settings(settings, err);
    if (status != NM_OK)
        return status;
    NM_AUTO(im_decoders_close) struct im_decoders *pool = calloc(1, sizeof *pool);
    if (!pool)
        return nm_fail(err, NM_FATAL, "out of memory for the decoder processes");
    pool->settings = *settings;
    for (int i = 0; i < IM_DECODERS_MAX; i++)
        pool->child[i].fd = -1;
    for (int i = 0; i < settings->processes; i++) {
        status = im_child_start(&pool->child[i], &pool->settings, now_ms, err);
        if (status != NM_OK)
            return status;
    }
    *out = pool;
    pool = NULL;
    return NM_OK;
}

void im_decoders_close(struct im_decoders *pool)
{
    if (!pool)
        return;
    /* All are killed before the first is waited for. */
    for (int i = 0; i < pool->settings.processes; i++)
        if (pool->child[i].state != IM_CHILD_NONE)
            im_child_kill(&pool->child[i], NULL, 0);
    for (int i = 0; i < pool->settings.processes; i++) {
        if (pool->child[i].has_result)
            free(pool->child[i].result.made);
        if (pool->child[i].state == IM_CHILD_NONE)
            continue;
        while (waitpid(pool->child[i].pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    free(pool);
}

static bool takes_job(const struct im_child *child)
{
    return child->state == IM_CHILD_IDLE && !child->has_result;
}

int im_decoders_idle(const struct im_decoders *pool)
{
    int n = 0;
    for (int i = 0; i < pool->settings.processes; i++)
        n += takes_job(&pool->child[i]);
    return n;
}

/* ---- a result comes back ---- */

static void finish(struct im_decoders *pool, struct im_child *child, enum im_reason reason, const char *cause,
                   int64_t now_ms)
{
    child->result.reason = reason;
    child->result.cause = cause;
    child->result.wall_ms = now_ms > child->since_ms ? now_ms - child->since_ms : 0;
    child->has_job = false;
    child->has_result = true;
    pool->stats.jobs++;
}

/* Whether the files hold what the reply says: a decoder that was taken over may say anything. */
static bool files_match(const struct im_child *child, const struct im_reply *reply)
{
    struct stat info;
    if (child->request.copy != IM_COPY_NONE && (fstat(child->copy_fd, &info) != 0 || info.st_size != reply->copy_bytes))
        return false;
    for (int i = 0; i < child->request.n_thumbs; i++) {
        if (fstat(child->output_fd[i], &info) != 0 || info.st_size != reply->thumb[i].bytes)
            return false;
    }
    return true;
}

/* The same for outputs in memory, which are copied here. Without memory for them it was our failure, not the picture's.
 */
static bool outputs_match(struct im_child *child, struct im_reply *reply)
{
    if (!child->in_memory)
        return files_match(child, reply);
    if (!im_standing_take(&child->standing, reply, &child->result.made))
        return false;
    if (!child->result.made)
        im_reply_write(&child->request, IM_store_io, reply);
    return true;
}

static void take_reply(struct im_decoders *pool, struct im_child *child, const void *packet, size_t len, int64_t now_ms)
{
    struct im_reply reply;
    if (!im_reply_read(packet, len, &child->request, &reply) ||
        (reply.reason == IM_NONE && !outputs_match(child, &reply))) {
        pool->stats.forged++;
        im_child_kill(child, "forged reply", now_ms);
        return;
    }
    int64_t used_us = im_child_cpu_us(child);
    child->result.width = reply.width;
    child->result.height = reply.height;
    child->result.copy_bytes = reply.copy_bytes;
    memcpy(child->result.thumb, reply.thumb, sizeof reply.thumb);
    child->result.cpu_us = used_us < 0 ? -1 : used_us - child->cpu_us;
    child->cpu_us = used_us < 0 ? 0 : used_us; /* between two jobs it uses next to nothing */
    finish(pool, child, (enum im_reason)reply.reason, reply.reason == IM_decode_killed ? "memory limit" : "", now_ms);
    child->state = IM_CHILD_IDLE;
    child->due_ms = INT64_MAX;
    if (++child->jobs < IM_DECODER_JOBS)
        return;
    pool->stats.recycled++;
    im_child_kill(child, "recycled", now_ms);
}

/* One packet, or the end of the socket; false: there was nothing. */
static bool read_one(struct im_decoders *pool, struct im_child *child, int64_t now_ms)
{
    char packet[sizeof(struct im_reply)];
    int n = im_child_receive(child, packet, sizeof packet);
    if (n == 0)
        return false;
    if (n < 0) {
        im_child_kill(child, NULL, now_ms); /* mostly it is dead already, and its status says why */
    } else if (child->state == IM_CHILD_BUSY) {
        take_reply(pool, child, packet, (size_t)n, now_ms);
    } else if (child->state == IM_CHILD_STARTING && im_ready_read(packet, (size_t)n)) {
        child->state = IM_CHILD_IDLE;
        child->was_ready = true;
        child->due_ms = INT64_MAX;
        pool->failed_starts = 0;
    } else {
        pool->stats.forged++;
        im_child_kill(child, "forged reply", now_ms);
    }
    return true;
}

/* ---- a job goes out ---- */

static bool can_be_written(int fd)
{
    struct stat info;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
           info.st_size == 0;
}

static enum nm_status check_files(const struct im_decoder_job *job, struct nm_error *err)
{
    struct stat info;
    if (job->input)
        return NM_OK;
    int flags = fcntl(job->input_fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) != O_RDONLY || fstat(job->input_fd, &info) != 0 || !S_ISREG(info.st_mode))
        return nm_bad(err, "image_job", "the image is no regular file that is open for reading only");
    if (info.st_size < (off_t)job->facts.end)
        return nm_bad(err, "image_job", "the image has %lld bytes, the probe saw %zu", (long long)info.st_size,
                      job->facts.end);
    for (int i = 0; i < job->n_thumbs; i++) {
        if (!can_be_written(job->output_fd[i]))
            return nm_bad(err, "image_job", "output %d is no empty regular file that is open for writing", i);
    }
    if (job->copy != IM_COPY_NONE && !can_be_written(job->copy_fd))
        return nm_bad(err, "image_job", "the copy's file is no empty regular file that is open for writing");
    return NM_OK;
}

static void note_job(struct im_child *child, const struct im_request *request, const struct im_decoder_job *job,
                     int64_t now_ms, int64_t wall_ms)
{
    child->state = IM_CHILD_BUSY;
    child->has_job = true;
    child->request = *request;
    memcpy(child->output_fd, job->output_fd, sizeof child->output_fd);
    child->copy_fd = job->copy_fd;
    child->in_memory = job->input != NULL;
    child->since_ms = now_ms;
    child->due_ms = now_ms + wall_ms;
    child->result = (struct im_decoded){.owner = job->owner, .cause = "", .cpu_us = -1};
}

enum nm_status im_decoders_submit(struct im_decoders *pool, const struct im_decoder_job *job, int64_t now_ms,
                                  struct nm_error *err)
{
    struct im_request request;
    if (!im_request_write(&job->facts, &job->limits, job->thumb, job->n_thumbs, job->copy, &request))
        return nm_bad(err, "image_job", "facts, limits or thumbnail sizes are out of range");
    request.job = pool->next_job;
    enum nm_status status = check_files(job, err);
    if (status != NM_OK)
        return status;
    for (int i = 0; i < pool->settings.processes; i++) {
        struct im_child *child = &pool->child[i];
        if (!takes_job(child))
            continue;
        /* An idle process has nothing to say: this one is dead, or talks out of turn. The job is not for it. */
        if (read_one(pool, child, now_ms))
            continue;
        struct im_decoder_job given = *job;
        if (job->input && (status = im_standing_give(&child->standing, &given, err)) != NM_OK)
            return status;
        if (!im_child_send(child, &request, &given, pool->settings.cpu_ms)) {
            im_child_kill(child, NULL, now_ms);
            continue;
        }
        pool->next_job++;
        note_job(child, &request, &given, now_ms, pool->settings.wall_ms);
        return NM_OK;
    }
    return nm_fail(err, NM_RETRY, "no decoder process is idle");
}

/* ---- time passes ---- */

static int64_t backoff_ms(int failed)
{
    int64_t wait = BACKOFF_MS;
    for (int i = 1; i < failed && wait < BACKOFF_MAX_MS; i++)
        wait *= 2;
    return wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
}

static void failed_start(struct im_decoders *pool, struct im_child *child, int64_t now_ms)
{
    pool->stats.failed_starts++;
    if (pool->failed_starts < INT32_MAX)
        pool->failed_starts++;
    child->due_ms = now_ms + backoff_ms(pool->failed_starts);
}

static void bury(struct im_decoders *pool, struct im_child *child, int64_t now_ms)
{
    const char *cause;
    if (!im_child_collect(child, &cause))
        return;
    child->due_ms = now_ms;
    if (child->has_job)
        finish(pool, child, IM_decode_killed, cause, now_ms);
    if (!child->was_ready)
        failed_start(pool, child, now_ms);
    else if (child->cause == NULL || strcmp(child->cause, "recycled") != 0)
        pool->stats.kills++;
}

static void tick_one(struct im_decoders *pool, struct im_child *child, int64_t now_ms)
{
    if (child->fd >= 0)
        while (read_one(pool, child, now_ms) && child->fd >= 0)
            continue;
    if (child->fd >= 0 && now_ms >= child->due_ms)
        im_child_kill(child, "wall limit", now_ms);
    if (child->state == IM_CHILD_DYING && now_ms >= child->due_ms)
        bury(pool, child, now_ms);
    if (child->state == IM_CHILD_NONE && now_ms >= child->due_ms &&
        im_child_start(child, &pool->settings, now_ms, NULL) != NM_OK)
        failed_start(pool, child, now_ms);
}

void im_decoders_tick(struct im_decoders *pool, int64_t now_ms)
{
    for (int i = 0; i < pool->settings.processes; i++)
        tick_one(pool, &pool->child[i], now_ms);
}

bool im_decoders_take(struct im_decoders *pool, struct im_decoded *out)
{
    int n = pool->settings.processes;
    for (int i = 0; i < n; i++) {
        struct im_child *child = &pool->child[(pool->next_take + i) % n];
        if (!child->has_result)
            continue;
        *out = child->result;
        child->has_result = false;
        pool->next_take = (pool->next_take + i + 1) % n;
        return true;
    }
    return false;
}

/* ---- looks from outside ---- */

size_t im_decoders_fds(const struct im_decoders *pool, struct pollfd *out, size_t n)
{
    size_t used = 0;
    for (int i = 0; i < pool->settings.processes && used < n; i++)
        if (pool->child[i].fd >= 0)
            out[used++] = (struct pollfd){.fd = pool->child[i].fd, .events = POLLIN};
    return used;
}

int64_t im_decoders_due_ms(const struct im_decoders *pool)
{
    int64_t due_ms = INT64_MAX;
    for (int i = 0; i < pool->settings.processes; i++)
        if (pool->child[i].due_ms < due_ms)
            due_ms = pool->child[i].due_ms;
    return due_ms;
}

enum nm_status im_decoders_check(const struct im_decoders *pool, struct nm_error *err)
{
    if (pool->failed_starts < IM_DECODER_BROKEN)
        return NM_OK;
    return nm_fail(err, NM_CONFIG,
                   "the last %d decoder processes ended before they were ready; what they wrote to standard error says "
                   "why. Allow seccomp(2), and give them memory (images.decoder.memoryBytes)",
                   pool->failed_starts);
}

struct im_decoder_stats im_decoders_stats(const struct im_decoders *pool)
{
    return pool->stats;
}

size_t im_decoders_pids(const struct im_decoders *pool, pid_t *out, size_t n)
{
    size_t used = 0;
    for (int i = 0; i < pool->settings.processes && used < n; i++)
        if (pool->child[i].state != IM_CHILD_NONE)
            out[used++] = pool->child[i].pid;
    return used;
}
