/* fetch_answer.c - what a server sends: headers counted and the few of interest read, the body counted; that of an
 * image goes to fetch_body.c. */
#include "fetch_internal.h"

#include <string.h>

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

/* ---- the body ---- */

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
        transfer->reason = im_body_add(transfer, data, len);
        return transfer->reason == IM_NONE ? len : 0;
    }
    transfer->body_bytes += (int64_t)len;
    transfer->drained = transfer->body_bytes > IM_DRAIN_BYTES;
    return transfer->drained ? 0 : len;
}
