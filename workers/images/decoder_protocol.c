/* decoder_protocol.c - one check for each packet. Writing a request ends in the same check as reading one, so what the
 * worker sends is what the decoder accepts. */
#include "decoder_protocol.h"

#include <assert.h>
#include <string.h>

/* Where the packets change, the last digit of their magic does. */
#define SETUP   0x494d5301u
#define READY   0x494d5201u
#define REQUEST 0x494d4a02u
#define REPLY   0x494d4102u

static_assert(sizeof(struct im_setup) == 16, "no padding");
static_assert(sizeof(struct im_ready) == 8, "no padding");
static_assert(sizeof(struct im_thumb) == 12, "no padding");
static_assert(sizeof(struct im_request) == 56 + 12 * IM_THUMBS, "no padding");
static_assert(sizeof(struct im_reply) == 32 + 16 * IM_THUMBS, "no padding");

static bool within(int64_t value, int64_t min, int64_t max)
{
    return value >= min && value <= max;
}

static bool thumbs_valid(const struct im_request *request)
{
    static const struct im_thumb none = {0};
    if (!within(request->n_thumbs, 0, IM_THUMBS))
        return false;
    for (int i = 0; i < IM_THUMBS; i++) {
        const struct im_thumb *thumb = &request->thumb[i];
        if (i >= request->n_thumbs) {
            if (memcmp(thumb, &none, sizeof none) != 0)
                return false;
            continue;
        }
        if (!within(thumb->edge, IM_THUMB_EDGE_MIN, IM_THUMB_EDGE_MAX) ||
            !within(thumb->format, IM_THUMB_JPEG, IM_THUMB_WEBP) || !within(thumb->quality, 1, 100))
            return false;
    }
    return true;
}

static bool request_valid(const struct im_request *request)
{
    return request->magic == REQUEST && within(request->copy, IM_COPY_NONE, IM_COPY_CREDITED) &&
           within(request->type, IM_JPEG, IM_WEBP) && within(request->raw_width, 1, IM_EDGE_MAX) &&
           within(request->raw_height, 1, IM_EDGE_MAX) && within(request->orientation, 1, 8) &&
           within(request->no_end, 0, 1) && within(request->max_scans, 1, INT32_MAX) &&
           within(request->end, 1, IM_DECODER_IN_BYTES) && within(request->max_pixels, 1, INT64_MAX) &&
           (int64_t)request->raw_width * request->raw_height <= request->max_pixels && thumbs_valid(request);
}

bool im_request_write(const struct im_facts *facts, const struct im_limits *limits, const struct im_thumb *thumb,
                      int n_thumbs, enum im_copy copy, struct im_request *out)
{
    if (n_thumbs < 0 || n_thumbs > IM_THUMBS || facts->end > IM_DECODER_IN_BYTES)
        return false;
    struct im_request request = {.magic = REQUEST,
                                 .copy = (int32_t)copy,
                                 .type = (int32_t)facts->type,
                                 .raw_width = facts->raw_width,
                                 .raw_height = facts->raw_height,
                                 .orientation = facts->orientation,
                                 .no_end = facts->no_end,
                                 .max_scans = limits->max_scans,
                                 .end = (int64_t)facts->end,
                                 .max_pixels = facts->type == IM_GIF ? limits->max_gif_pixels : limits->max_pixels,
                                 .n_thumbs = n_thumbs};
    for (int i = 0; i < n_thumbs; i++)
        request.thumb[i] = thumb[i];
    if (!request_valid(&request))
        return false;
    *out = request;
    return true;
}

size_t im_request_files(const struct im_request *request)
{
    return 1 + (size_t)request->n_thumbs + (request->copy != IM_COPY_NONE);
}

bool im_request_read(const void *packet, size_t len, size_t n_files, struct im_request *out)
{
    struct im_request request;
    if (len != sizeof request)
        return false;
    memcpy(&request, packet, sizeof request);
    if (!request_valid(&request) || n_files != im_request_files(&request))
        return false;
    *out = request;
    return true;
}

void im_setup_write(int64_t memory_bytes, struct im_setup *out)
{
    *out = (struct im_setup){.magic = SETUP, .memory_bytes = memory_bytes};
}

bool im_setup_read(const void *packet, size_t len, struct im_setup *out)
{
    struct im_setup setup;
    if (len != sizeof setup)
        return false;
    memcpy(&setup, packet, sizeof setup);
    if (setup.magic != SETUP || setup.zero != 0 || !within(setup.memory_bytes, IM_MEMORY_MIN, IM_MEMORY_MAX))
        return false;
    *out = setup;
    return true;
}

void im_ready_write(struct im_ready *out)
{
    *out = (struct im_ready){.magic = READY};
}

bool im_ready_read(const void *packet, size_t len)
{
    struct im_ready ready;
    if (len != sizeof ready)
        return false;
    memcpy(&ready, packet, sizeof ready);
    return ready.magic == READY && ready.zero == 0;
}

void im_reply_write(const struct im_request *request, enum im_reason reason, struct im_reply *out)
{
    *out = (struct im_reply){.magic = REPLY, .job = request->job, .reason = (int32_t)reason};
}

static bool failure_valid(const struct im_reply *reply)
{
    static const struct im_reply_thumb none[IM_THUMBS] = {{0}};
    switch (reply->reason) {
    case IM_truncated:
    case IM_decode_fail:
    case IM_decode_killed:
    case IM_scans_too_many:
    case IM_dims_too_big:
    case IM_store_full:
    case IM_store_io:
        return reply->width == 0 && reply->height == 0 && reply->n_thumbs == 0 && reply->copy_bytes == 0 &&
               memcmp(reply->thumb, none, sizeof none) == 0;
    default:
        return false;
    }
}

static bool success_valid(const struct im_reply *reply, const struct im_request *request)
{
    if (reply->width != request->raw_width || reply->height != request->raw_height ||
        reply->n_thumbs != request->n_thumbs)
        return false;
    bool copy = request->copy != IM_COPY_NONE;
    if (!within(reply->copy_bytes, copy ? 1 : 0, copy ? request->end + IM_STRIP_MORE : 0))
        return false;
    bool swap = request->orientation >= 5;
    for (int i = 0; i < IM_THUMBS; i++) {
        int32_t width = 0, height = 0;
        bool made = i < request->n_thumbs && im_thumb_size(swap ? request->raw_height : request->raw_width,
                                                           swap ? request->raw_width : request->raw_height,
                                                           request->thumb[i].edge, &width, &height);
        const struct im_reply_thumb *thumb = &reply->thumb[i];
        if (thumb->width != width || thumb->height != height ||
            !within(thumb->bytes, made ? 1 : 0, made ? IM_DECODER_OUT_BYTES : 0))
            return false;
    }
    return true;
}

bool im_reply_read(const void *packet, size_t len, const struct im_request *request, struct im_reply *out)
{
    struct im_reply reply;
    if (len != sizeof reply)
        return false;
    memcpy(&reply, packet, sizeof reply);
    if (reply.magic != REPLY || reply.job != request->job)
        return false;
    if (reply.reason == IM_NONE ? !success_valid(&reply, request) : !failure_valid(&reply))
        return false;
    *out = reply;
    return true;
}
