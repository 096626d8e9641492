/* fetch_body.c - where the body of an image is kept until it is taken, and the looks at its beginning.
 *
 * In memory, while it is not longer than IM_BODY_BYTES and all of them together not more than IM_BODIES_BYTES: most
 * pictures of news are, and a file that is thrown away again costs more than all else that is done with one. Else in a
 * file without a name, and in memory only its head until that was looked at for the last time.
 *
 * The head is looked at again each time it has doubled, until it tells how large the picture is: the work stays linear
 * however small the pieces are. An error page is found out at its first 16 bytes and never gets into a file. */
#define _GNU_SOURCE /* O_TMPFILE */
#include "fetch_internal.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES 16384 /* of the buffer, where no length was told */

/* ---- memory ---- */

static void set_buffer(struct im_transfer *transfer, uint8_t *data, size_t size)
{
    transfer->fetcher->bodies_bytes += (int64_t)size - (int64_t)transfer->body_size;
    transfer->body = data;
    transfer->body_size = size;
}

void im_body_drop(struct im_transfer *transfer)
{
    free(transfer->body);
    set_buffer(transfer, NULL, 0);
    transfer->body_len = 0;
}

/* How large the buffer is to be for `need` bytes: as long as the body says it is, else twice what it was. */
static size_t wanted_size(const struct im_transfer *transfer, size_t need)
{
    const struct im_answer *answer = &transfer->answer;
    if (answer->has_length && answer->length >= (int64_t)need && answer->length <= IM_BODY_BYTES)
        return (size_t)answer->length;
    size_t size = transfer->body_size ? transfer->body_size : FIRST_BYTES;
    while (size < need)
        size *= 2;
    return size < IM_BODY_BYTES ? size : IM_BODY_BYTES;
}

/* False: the body has to go on in a file. For the head there is always room. */
static bool has_room(struct im_transfer *transfer, size_t need)
{
    if (need <= transfer->body_size)
        return true;
    if (need > IM_BODY_BYTES)
        return false;
    size_t size = wanted_size(transfer, need);
    int64_t others = transfer->fetcher->bodies_bytes - (int64_t)transfer->body_size;
    if (size > IM_HEAD_BYTES && others + (int64_t)size > IM_BODIES_BYTES)
        size = IM_HEAD_BYTES;
    uint8_t *data = size >= need ? realloc(transfer->body, size) : NULL;
    if (!data)
        return false;
    set_buffer(transfer, data, size);
    return true;
}

/* ---- the file ---- */

static int open_temp(const struct im_transfer *transfer)
{
    int dir = transfer->fetcher->dir_fd;
    int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    char name[64]; /* a file system without nameless files: a name that is gone at once */
    (void)snprintf(name, sizeof name, ".t%ld-%llu", (long)getpid(), (unsigned long long)transfer->result.id);
    fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        (void)unlinkat(dir, name, 0);
    return fd;
}

static enum im_reason write_file(struct im_transfer *transfer, const void *data, size_t len)
{
    int64_t written = 0;
    return im_output(transfer->result.fd, data, len, &written);
}

/* Makes the file; all that came so far is in memory, where the head stays until it is complete. */
static enum im_reason begin_file(struct im_transfer *transfer)
{
    transfer->result.fd = open_temp(transfer);
    if (transfer->result.fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? IM_store_full : IM_store_io;
    enum im_reason reason = write_file(transfer, transfer->body, transfer->body_len);
    if (transfer->probe_at == SIZE_MAX)
        im_body_drop(transfer);
    return reason;
}

/* ---- the body ---- */

static size_t head_len(const struct im_transfer *transfer)
{
    return transfer->body_len < IM_HEAD_BYTES ? transfer->body_len : IM_HEAD_BYTES;
}

static enum im_reason probe(struct im_transfer *transfer)
{
    const struct im_fetch_config *config = &transfer->fetcher->config;
    enum im_reason reason = im_probe_head(transfer->body, head_len(transfer), config->check, &transfer->result.facts);
    if (reason != IM_NONE)
        return reason;
    const char *declared = transfer->answer.declared;
    bool is_page = strcmp(declared, "text/html") == 0 || strcmp(declared, "application/xhtml+xml") == 0;
    return is_page && config->strict_type ? IM_type_mismatch : IM_NONE;
}

/* What the beginning says, each time it has doubled. */
static enum im_reason look(struct im_transfer *transfer)
{
    size_t len = head_len(transfer);
    if (len < transfer->probe_at)
        return IM_NONE;
    enum im_reason reason = probe(transfer);
    bool is_last = len == IM_HEAD_BYTES || (reason == IM_NONE && transfer->result.facts.width > 0);
    transfer->probe_at = is_last ? SIZE_MAX : 2 * len < IM_HEAD_BYTES ? 2 * len : IM_HEAD_BYTES;
    if (is_last && transfer->result.fd >= 0) /* all of it is in the file */
        im_body_drop(transfer);
    return reason;
}

static void append(struct im_transfer *transfer, const char *data, size_t len)
{
    memcpy(transfer->body + transfer->body_len, data, len);
    transfer->body_len += len;
}

enum im_reason im_body_add(struct im_transfer *transfer, const char *data, size_t len)
{
    if ((int64_t)len > transfer->fetcher->config.limits->body_bytes - transfer->body_bytes)
        return IM_too_big;
    enum im_reason reason = IM_NONE;
    if (transfer->result.fd < 0 && !has_room(transfer, transfer->body_len + len))
        reason = begin_file(transfer);
    if (reason == IM_NONE && transfer->result.fd >= 0)
        reason = write_file(transfer, data, len);
    if (reason != IM_NONE)
        return reason;
    transfer->body_bytes += (int64_t)len;
    if (transfer->result.fd >= 0) { /* then only the head is of interest */
        size_t left = transfer->probe_at == SIZE_MAX ? 0 : IM_HEAD_BYTES - transfer->body_len;
        len = len < left ? len : left;
    }
    if (len == 0)
        return IM_NONE;
    if (!has_room(transfer, transfer->body_len + len) || !transfer->body)
        return IM_store_io; /* out of memory */
    append(transfer, data, len);
    return look(transfer);
}

enum im_reason im_body_end(struct im_transfer *transfer)
{
    if (transfer->body_bytes == 0)
        return IM_too_small;
    if (transfer->result.fd < 0 && im_probe_signature(transfer->body, transfer->body_len) == IM_UNKNOWN)
        return IM_type_not_allowed; /* less than a signature, or it was found out before */
    if (transfer->body_bytes < transfer->fetcher->config.check->min_bytes)
        return IM_too_small;
    if (transfer->result.fd >= 0)
        return lseek(transfer->result.fd, 0, SEEK_SET) == 0 ? IM_NONE : IM_store_io;
    return transfer->probe_at == SIZE_MAX ? IM_NONE : probe(transfer);
}
