/* decoder_files.c - files in memory through which a process gets images and gives back what it made.
 *
 * They belong to one process as long as it lives and are used for each of its jobs in memory: making and unmaking files
 * for each picture costs more than everything else that the worker does with it. A process that was taken over could do
 * to the files of its later jobs what it could do to its answers. The next process gets files of its own.
 *
 * What was made is read from them once, by the worker, when the answer comes: from then on it is the worker's copy that
 * counts. It is read, not mapped, since the process may cut a file at any time.
 *
 * Their pages stay, so that nothing has to be zeroed again; those of a large picture are given back. */
#define _GNU_SOURCE /* memfd_create() */
#include "decoder_internal.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT_BYTES (512 * 1024) /* of a file between two jobs; more than nearly every picture */

static enum nm_status no_file(struct nm_error *err)
{
    return nm_fail(err, NM_FATAL, "no file in memory for a decoder process: %s", strerror(errno));
}

static bool make(int *held)
{
    if (*held)
        return true;
    int fd = memfd_create("newsmill-picture", MFD_CLOEXEC);
    if (fd >= 0)
        *held = fd + 1;
    return fd >= 0;
}

static bool make_input(struct im_standing *standing)
{
    char path[40];
    if (standing->input_read)
        return true;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", standing->input - 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        standing->input_read = fd + 1;
    return fd >= 0;
}

static bool read_all(int fd, uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        ssize_t n = pread(fd, data + at, len - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* Ready to be written from its beginning; what an earlier job left behind its end is not read. */
static bool ready(int *held)
{
    return make(held) && lseek(*held - 1, 0, SEEK_SET) == 0;
}

enum nm_status im_standing_give(struct im_standing *standing, struct im_decoder_job *job, struct nm_error *err)
{
    int64_t written = 0;
    if (!ready(&standing->input) || !make_input(standing) ||
        im_output(standing->input - 1, job->input, job->facts.end, &written) != IM_NONE)
        return no_file(err);
    job->input_fd = standing->input_read - 1;
    if (job->copy != IM_COPY_NONE && !ready(&standing->output[0]))
        return no_file(err);
    job->copy_fd = standing->output[0] - 1;
    for (int i = 0; i < job->n_thumbs; i++) {
        if (!ready(&standing->output[1 + i]))
            return no_file(err);
        job->output_fd[i] = standing->output[1 + i] - 1;
    }
    return NM_OK;
}

static bool take_one(int held, uint8_t *to, int64_t bytes)
{
    bool whole = bytes == 0 || read_all(held - 1, to, (size_t)bytes);
    if (bytes > KEPT_BYTES)
        (void)!ftruncate(held - 1, 0);
    return whole;
}

bool im_standing_take(const struct im_standing *standing, const struct im_reply *reply, uint8_t **out)
{
    int64_t bytes = reply->copy_bytes;
    for (int i = 0; i < reply->n_thumbs; i++)
        bytes += reply->thumb[i].bytes;
    if (bytes > IM_MADE_BYTES)
        return false; /* nobody gives jobs that could make so much */
    uint8_t *made = malloc(bytes > 0 ? (size_t)bytes : 1);
    *out = made;
    if (!made)
        return true;
    bool whole = take_one(standing->output[0], made, reply->copy_bytes);
    uint8_t *at = made + reply->copy_bytes;
    for (int i = 0; i < reply->n_thumbs; i++) {
        whole = whole && take_one(standing->output[1 + i], at, reply->thumb[i].bytes);
        at += reply->thumb[i].bytes;
    }
    if (!whole) {
        free(made);
        *out = NULL;
    }
    return whole;
}

static void close_one(int *held)
{
    if (*held)
        (void)close(*held - 1);
    *held = 0;
}

void im_standing_close(struct im_standing *standing)
{
    close_one(&standing->input);
    close_one(&standing->input_read);
    for (int i = 0; i <= IM_THUMBS; i++)
        close_one(&standing->output[i]);
}
