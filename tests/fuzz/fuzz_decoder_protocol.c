/* fuzz_decoder_protocol.c - any bytes as a packet to a decoder process, and as one that a broken decoder sends.
 *
 * What is accepted is within the bounds that both ends rely on: sizes that memory is taken for, indices, and for a
 * reply exactly the sizes that follow from its request.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_decoder_protocol tests/fuzz/corpus/decoder_protocol */
#include "images/decoder_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void check_request(const struct im_request *request)
{
    require(request->type >= IM_JPEG && request->type <= IM_WEBP, "a type that is decoded");
    require(request->raw_width >= 1 && request->raw_width <= IM_EDGE_MAX, "a width");
    require(request->raw_height >= 1 && request->raw_height <= IM_EDGE_MAX, "a height");
    require((int64_t)request->raw_width * request->raw_height <= request->max_pixels, "within its pixels");
    require(request->orientation >= 1 && request->orientation <= 8, "an orientation");
    require(request->end >= 1 && request->end <= IM_DECODER_IN_BYTES, "an end");
    require(request->n_thumbs >= 0 && request->n_thumbs <= IM_THUMBS, "thumbnails");
    for (int i = 0; i < request->n_thumbs; i++)
        require(request->thumb[i].edge >= IM_THUMB_EDGE_MIN && request->thumb[i].edge <= IM_THUMB_EDGE_MAX, "an edge");
}

static void as_packet(const uint8_t *data, size_t size, size_t n_files)
{
    struct im_request request;
    struct im_setup setup;
    if (im_request_read(data, size, n_files, &request)) {
        check_request(&request);
        require(n_files == im_request_files(&request) && n_files <= IM_DECODER_FILES, "a file each");
    }
    if (im_setup_read(data, size, &setup))
        require(setup.memory_bytes >= IM_MEMORY_MIN && setup.memory_bytes <= IM_MEMORY_MAX, "memory");
    if (im_ready_read(data, size))
        require(size == sizeof(struct im_ready), "ready");
}

static uint32_t take(const uint8_t **data, size_t *size)
{
    uint32_t value = 0;
    size_t n = *size < sizeof value ? *size : sizeof value;
    memcpy(&value, *data, n);
    *data += n;
    *size -= n;
    return value;
}

/* A job from the first bytes: nearly always one that is accepted. */
static bool make_request(const uint8_t **data, size_t *size, struct im_request *out)
{
    struct im_facts facts = {.type = (enum im_type)(1 + take(data, size) % 4),
                             .raw_width = (int32_t)(take(data, size) % 33000),
                             .raw_height = (int32_t)(take(data, size) % 33000),
                             .orientation = (int)(1 + take(data, size) % 8),
                             .end = take(data, size)};
    struct im_limits limits = {.max_pixels = 50000000, .max_gif_pixels = 16777216, .max_scans = 100};
    struct im_thumb thumb[IM_THUMBS] = {{0}};
    int n = (int)(take(data, size) % (IM_THUMBS + 1));
    for (int i = 0; i < n; i++)
        thumb[i] = (struct im_thumb){.edge = (int32_t)(take(data, size) % 5000), .format = i % 2, .quality = 1 + i};
    uint32_t job = take(data, size);
    if (!im_request_write(&facts, &limits, thumb, n, (enum im_copy)(job % 3), out))
        return false;
    out->job = job;
    return true;
}

static void check_reply(const struct im_reply *reply, const struct im_request *request)
{
    require(reply->job == request->job, "the job");
    require(reply->reason >= IM_NONE && reply->reason < IM_N_REASONS, "a reason");
    if (reply->reason != IM_NONE) {
        require(reply->width == 0 && reply->height == 0 && reply->n_thumbs == 0 && reply->copy_bytes == 0,
                "nothing on a failure");
        return;
    }
    require(reply->width == request->raw_width && reply->height == request->raw_height, "the canvas");
    require((reply->copy_bytes > 0) == (request->copy != IM_COPY_NONE), "a copy if wanted");
    require(reply->copy_bytes <= request->end + IM_STRIP_MORE, "not much larger than the image");
    for (int i = 0; i < IM_THUMBS; i++) {
        const struct im_reply_thumb *thumb = &reply->thumb[i];
        int32_t longer = thumb->width > thumb->height ? thumb->width : thumb->height;
        require(thumb->bytes >= 0 && thumb->bytes <= IM_DECODER_OUT_BYTES, "bytes");
        require((thumb->bytes > 0) == (thumb->width > 0), "bytes of what is made");
        require(longer == 0 || (i < request->n_thumbs && longer == request->thumb[i].edge), "the edge");
    }
}

/* The rest as a reply: as it is, and with the head that gets it past the first look. */
static void as_reply(const uint8_t *data, size_t size)
{
    struct im_request request;
    struct im_reply reply = {0}, head;
    if (!make_request(&data, &size, &request))
        return;
    check_request(&request);
    if (im_reply_read(data, size, &request, &reply))
        check_reply(&reply, &request);
    struct im_reply packet = {0};
    memcpy(&packet, data, size < sizeof packet ? size : sizeof packet);
    im_reply_write(&request, (enum im_reason)(packet.reason % IM_N_REASONS), &head);
    packet.magic = head.magic;
    packet.job = head.job;
    if (im_reply_read(&packet, sizeof packet, &request, &reply))
        check_reply(&reply, &request);
    packet.reason = IM_NONE;
    packet.width = request.raw_width;
    packet.height = request.raw_height;
    packet.n_thumbs = request.n_thumbs;
    if (im_reply_read(&packet, sizeof packet, &request, &reply))
        check_reply(&reply, &request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    as_packet(data + 1, size - 1, data[0] % 12);
    as_reply(data + 1, size - 1);
    return 0;
}
