/* fetch_answer.c - what a server sends: headers counted and the few of interest read, the body counted, looked at and
 * written to a file.
 *
 * The file is made when the first bytes are an image's, so error pages cost none. Until then all that came is in the
 * head, which is looked at again each time it has doubled: the work stays linear however small the pieces are. */
#define _GNU_SOURCE /* O_TMPFILE */
#include "fetch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- headers ---- */

/* Keeps the first Location, one byte more than any that is followed. */
static enum im_reason keep_location(struct im_transfer *transfer, struct im_value value)
{
    if (transfer->answer.has_location)
        return IM_NONE;
    size_t most = transfer->fetcher->config.limits->url_bytes + 1;
    size_t len = value.len < most ? value.len : most;
    char *copy = malloc(len + 1);
    if (!copy)
        return IM_store_io; /* out of memory: ours, and the URL is not to blame */
    memcpy(copy, value.text, len);
    copy[len] = '\0';
    free(transfer->location);
    transfer->location = copy;
    transfer->location_len = len;
    transfer->answer.has_location = true;
    return IM_NONE;
}

static enum im_reason read_length(struct im_answer *answer, struct im_value value)
{
    int64_t length;
    if (!im_header_length(value, &length))
        return IM_protocol_error;
    if (answer->has_length && answer->length != length)
        return IM_length_mismatch;
    answer->has_length = true;
    answer->length = length;
    return IM_NONE;
}

static void read_max_age(struct im_answer *answer, struct im_value value)
{
    int64_t age = im_header_max_age(value);
    if (age >= 0 && (answer->max_age_s < 0 || age < answer->max_age_s))
        answer->max_age_s = age;
}

static void read_retry_after(struct im_transfer *transfer, struct im_value value)
{
    const struct im_fetch_config *config = &transfer->fetcher->config;
    const struct im_fetch_limits *limits = config->limits;
    transfer->answer.has_retry_after = true;
    transfer->answer.retry_after_ms =
        im_header_retry_after(value, config->clock->now_ms(config->clock->self), limits->retry_after_min_ms,
                              limits->retry_after_max_ms, limits->retry_after_default_ms);
}

static enum im_reason read_header(struct im_transfer *transfer, const char *line, size_t len)
{
    struct im_answer *answer = &transfer->answer;
    struct im_value value;
    if (im_header_is(line, len, "content-length", &value))
        return read_length(answer, value);
    if (im_header_is(line, len, "location", &value))
        return keep_location(transfer, value);
    if (im_header_is(line, len, "transfer-encoding", &value)) {
        answer->chunked = true;
        if (!im_header_is_chunked(value))
            return IM_content_encoding; /* before libcurl inflates any of it */
    } else if (im_header_is(line, len, "content-encoding", &value)) {
        answer->coded = answer->coded || !im_header_is_identity(value);
    } else if (im_header_is(line, len, "content-type", &value)) {
        im_header_media(value, answer->declared);
    } else if (im_header_is(line, len, "etag", &value)) {
        im_header_etag(value, answer->etag);
    } else if (im_header_is(line, len, "last-modified", &value)) {
        im_header_date(value, answer->last_modified);
    } else if (im_header_is(line, len, "cache-control", &value)) {
        read_max_age(answer, value);
    } else if (im_header_is(line, len, "retry-after", &value)) {
        read_retry_after(transfer, value);
    }
    return IM_NONE;
}

/* The headers of a final answer are over: may its body come? */
static enum im_reason judge_headers(struct im_transfer *transfer)
{
    const struct im_answer *answer = &transfer->answer;
    if (answer->status != 200)
        return IM_NONE;
    if (answer->coded)
        return IM_content_encoding;
    if (!answer->has_length)
        return IM_NONE;
    if (answer->chunked) /* two lengths: whoever is behind us may have cut it elsewhere than we do */
        (void)curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
    else if (answer->length != INT64_MAX && answer->length > transfer->fetcher->config.limits->body_bytes)
        return IM_too_big;
    else if (answer->length <= transfer->fetcher->config.limits->body_bytes)
        im_transfer_reserve(transfer, answer->length);
    return IM_NONE;
}

static enum im_reason take_line(struct im_transfer *transfer, const char *line, size_t len)
{
    struct im_answer *answer = &transfer->answer;
    if (transfer->header_bytes > transfer->fetcher->config.limits->header_bytes)
        return IM_header_too_big;
    if (answer->complete)
        return IM_NONE;
    if (answer->status == 0) {
        answer->status = im_header_status(line, len);
        answer->max_age_s = -1;
        return answer->status == 0 ? IM_protocol_error : IM_NONE;
    }
    if (*line != '\r' && *line != '\n')
        return read_header(transfer, line, len);
    if (answer->status < 200) { /* another answer follows this one */
        *answer = (struct im_answer){0};
        return IM_NONE;
    }
    answer->complete = true;
    return judge_headers(transfer);
}

size_t im_on_header(char *data, size_t size, size_t n, void *self)
{
    struct im_transfer *transfer = self;
    size_t len = size * n;
    transfer->header_bytes += len;
    transfer->span_bytes += (int64_t)len;
    transfer->reason = len > 0 ? take_line(transfer, data, len) : IM_NONE;
    return transfer->reason == IM_NONE ? len : 0;
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
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(transfer->result.fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && (errno == ENOSPC || errno == EDQUOT) ? IM_store_full : IM_store_io;
        at += n;
        len -= (size_t)n;
    }
    return IM_NONE;
}

/* Makes the file; all that came so far is in the head. */
static enum im_reason begin_file(struct im_transfer *transfer)
{
    transfer->result.fd = open_temp(transfer);
    if (transfer->result.fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? IM_store_full : IM_store_io;
    return write_file(transfer, transfer->head, transfer->head_len);
}

/* ---- the body ---- */

static enum im_reason probe(struct im_transfer *transfer)
{
    const struct im_fetch_config *config = &transfer->fetcher->config;
    enum im_reason reason = im_probe_head(transfer->head, transfer->head_len, config->check, &transfer->result.facts);
    if (reason != IM_NONE)
        return reason;
    const char *declared = transfer->answer.declared;
    bool is_page = strcmp(declared, "text/html") == 0 || strcmp(declared, "application/xhtml+xml") == 0;
    return is_page && config->strict_type ? IM_type_mismatch : IM_NONE;
}

/* It was looked at for the last time: its whole pages go back, but for that of the signature, so that a long transfer
 * holds little. */
static void forget_head(struct im_transfer *transfer)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t kept = IM_SIGNATURE_BYTES;
    kept += (page - (uintptr_t)(transfer->head + kept) % page) % page;
    if (kept < IM_HEAD_BYTES)
        (void)madvise(transfer->head + kept, (IM_HEAD_BYTES - kept) / page * page, MADV_DONTNEED);
}

/* What the beginning says, each time it has doubled. */
static enum im_reason look(struct im_transfer *transfer)
{
    if (transfer->head_len < transfer->probe_at)
        return IM_NONE;
    enum im_reason reason = probe(transfer);
    size_t twice = transfer->head_len * 2;
    transfer->probe_at = transfer->head_len == IM_HEAD_BYTES ? SIZE_MAX : twice < IM_HEAD_BYTES ? twice : IM_HEAD_BYTES;
    if (transfer->head_len == IM_HEAD_BYTES && transfer->result.fd >= 0) /* all of it is in the file */
        forget_head(transfer);
    return reason;
}

static enum im_reason take_image(struct im_transfer *transfer, const char *data, size_t len)
{
    bool has_file = transfer->result.fd >= 0;
    if ((int64_t)len > transfer->fetcher->config.limits->body_bytes - transfer->body_bytes)
        return IM_too_big;
    size_t room = IM_HEAD_BYTES - transfer->head_len;
    size_t n = len < room ? len : room;
    memcpy(transfer->head + transfer->head_len, data, n);
    transfer->head_len += n;
    transfer->body_bytes += (int64_t)len;
    enum im_reason reason = look(transfer);
    if (reason == IM_NONE && has_file)
        return write_file(transfer, data, len);
    /* libcurl's pieces are smaller than the head, so without a file all is in it. */
    return reason == IM_NONE && transfer->head_len >= IM_SIGNATURE_BYTES ? begin_file(transfer) : reason;
}

size_t im_on_body(char *data, size_t size, size_t n, void *self)
{
    struct im_transfer *transfer = self;
    size_t len = size * n;
    transfer->span_bytes += (int64_t)len;
    transfer->result.received += (int64_t)len;
    if (!transfer->answer.complete) {
        transfer->reason = IM_protocol_error;
        return 0;
    }
    if (transfer->answer.status == 200) {
        transfer->reason = take_image(transfer, data, len);
        return transfer->reason == IM_NONE ? len : 0;
    }
    transfer->body_bytes += (int64_t)len;
    transfer->drained = transfer->body_bytes > IM_DRAIN_BYTES;
    return transfer->drained ? 0 : len;
}

enum im_reason im_body_end(struct im_transfer *transfer)
{
    enum im_reason reason = IM_NONE;
    if (transfer->body_bytes == 0)
        return IM_too_small;
    if (im_probe_signature(transfer->head, transfer->head_len) == IM_UNKNOWN)
        return IM_type_not_allowed; /* less than a signature, or it was found out before */
    if (transfer->body_bytes < transfer->fetcher->config.check->min_bytes)
        return IM_too_small;
    if (transfer->result.fd < 0)
        reason = probe(transfer);
    if (reason == IM_NONE && transfer->result.fd < 0)
        reason = begin_file(transfer);
    if (reason == IM_NONE && lseek(transfer->result.fd, 0, SEEK_SET) != 0)
        reason = IM_store_io;
    return reason;
}
