/* test_images_decoder_protocol.c - the packets between worker and decoder: what is written is read, and nothing else.
 */
#include "images/decoder_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct im_thumb thumbs[] = {
    {320, IM_THUMB_JPEG, 80}, {1200, IM_THUMB_WEBP, 75}, {2000, IM_THUMB_JPEG, 80}};

static struct im_request request_of(int orientation)
{
    struct im_facts facts = {
        .type = IM_JPEG, .raw_width = 1600, .raw_height = 900, .orientation = orientation, .end = 12345};
    struct im_limits limits = {.max_pixels = 50000000, .max_gif_pixels = 1, .max_scans = 100};
    struct im_request request;
    assert_true(im_request_write(&facts, &limits, thumbs, 3, IM_COPY_BARE, &request));
    request.job = 77;
    return request;
}

/* The reply of an honest decoder. */
static struct im_reply reply_of(const struct im_request *request)
{
    struct im_reply reply;
    bool swap = request->orientation >= 5;
    im_reply_write(request, IM_NONE, &reply);
    reply.width = 1600;
    reply.height = 900;
    reply.n_thumbs = 3;
    reply.copy_bytes = 12345 + IM_STRIP_MORE;
    reply.thumb[0] = (struct im_reply_thumb){swap ? 180 : 320, swap ? 320 : 180, 1000};
    reply.thumb[1] = (struct im_reply_thumb){swap ? 675 : 1200, swap ? 1200 : 675, 2000};
    return reply;
}

static void request__what_is_written_is_read(void **state)
{
    (void)state;
    struct im_request request = request_of(6), got;
    assert_true(im_request_read(&request, sizeof request, 5, &got));
    assert_memory_equal(&request, &got, sizeof got);
    assert_false(im_request_read(&request, sizeof request - 1, 5, &got));
    assert_false(im_request_read(&request, sizeof request, 4, &got));
    assert_false(im_request_read(&request, sizeof request, 6, &got));
}

#define BROKEN(member, ...)                                                                                            \
    do {                                                                                                               \
        struct im_request broken = request_of(1), got = {.job = 1}, before = got;                                      \
        broken.member = __VA_ARGS__;                                                                                   \
        if (im_request_read(&broken, sizeof broken, im_request_files(&broken), &got))                                  \
            fail_msg("%s = %s is taken", #member, #__VA_ARGS__);                                                       \
        assert_memory_equal(&got, &before, sizeof got);                                                                \
    } while (0)

static void request__out_of_range_is_refused(void **state)
{
    (void)state;
    BROKEN(magic, 0);
    BROKEN(copy, -1);
    BROKEN(copy, 3);
    BROKEN(type, IM_UNKNOWN);
    BROKEN(type, IM_AVIF);
    BROKEN(raw_width, 0);
    BROKEN(raw_width, -1);
    BROKEN(raw_width, IM_EDGE_MAX + 1);
    BROKEN(raw_height, 0);
    BROKEN(raw_height, IM_EDGE_MAX + 1);
    BROKEN(orientation, 0);
    BROKEN(orientation, 9);
    BROKEN(no_end, 2);
    BROKEN(max_scans, 0);
    BROKEN(end, 0);
    BROKEN(end, IM_DECODER_IN_BYTES + 1);
    BROKEN(max_pixels, 1600 * 900 - 1);
    BROKEN(n_thumbs, -1);
    BROKEN(n_thumbs, IM_THUMBS + 1);
    BROKEN(n_thumbs, 2);
    BROKEN(thumb[0].edge, IM_THUMB_EDGE_MIN - 1);
    BROKEN(thumb[2].edge, IM_THUMB_EDGE_MAX + 1);
    BROKEN(thumb[1].format, 2);
    BROKEN(thumb[1].quality, 0);
    BROKEN(thumb[1].quality, 101);
}

static void request__a_gif_has_its_own_cap(void **state)
{
    (void)state;
    struct im_facts facts = {.type = IM_GIF, .raw_width = 100, .raw_height = 100, .orientation = 1, .end = 43};
    struct im_limits limits = {.max_pixels = 50000000, .max_gif_pixels = 9999, .max_scans = 100};
    struct im_request request;
    assert_false(im_request_write(&facts, &limits, NULL, 0, IM_COPY_NONE, &request));
    limits.max_gif_pixels = 10000;
    assert_true(im_request_write(&facts, &limits, NULL, 0, IM_COPY_NONE, &request));
    assert_int_equal(request.max_pixels, 10000);
}

static void reply__of_an_honest_decoder_is_taken(void **state)
{
    (void)state;
    for (int orientation = 1; orientation <= 8; orientation++) {
        struct im_request request = request_of(orientation);
        struct im_reply reply = reply_of(&request), got;
        assert_true(im_reply_read(&reply, sizeof reply, &request, &got));
        assert_memory_equal(&reply, &got, sizeof got);
    }
    static const enum im_reason reasons[] = {IM_truncated,    IM_decode_fail, IM_decode_killed, IM_scans_too_many,
                                             IM_dims_too_big, IM_store_full,  IM_store_io};
    struct im_request request = request_of(1);
    int taken = 0;
    for (int reason = -1; reason <= IM_N_REASONS; reason++) {
        struct im_reply reply, got;
        im_reply_write(&request, (enum im_reason)reason, &reply);
        taken += im_reply_read(&reply, sizeof reply, &request, &got);
    }
    assert_int_equal(taken, sizeof reasons / sizeof *reasons);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        struct im_reply reply, got;
        im_reply_write(&request, reasons[i], &reply);
        assert_true(im_reply_read(&reply, sizeof reply, &request, &got));
    }
}

#define FORGED(member, ...)                                                                                            \
    do {                                                                                                               \
        struct im_request request = request_of(1);                                                                     \
        struct im_reply forged = reply_of(&request), got = {.job = 1}, before = got;                                   \
        forged.member = __VA_ARGS__;                                                                                   \
        if (im_reply_read(&forged, sizeof forged, &request, &got))                                                     \
            fail_msg("%s = %s is taken", #member, #__VA_ARGS__);                                                       \
        assert_memory_equal(&got, &before, sizeof got);                                                                \
    } while (0)

static void reply__forged_is_refused(void **state)
{
    (void)state;
    FORGED(magic, 0);
    FORGED(job, 78);
    FORGED(reason, -1);
    FORGED(reason, IM_N_REASONS);
    FORGED(reason, IM_blocked_addr);
    FORGED(reason, IM_decode_fail); /* with sizes */
    FORGED(width, 1599);
    FORGED(height, 901);
    FORGED(n_thumbs, 2);
    FORGED(copy_bytes, 0);
    FORGED(copy_bytes, 12345 + IM_STRIP_MORE + 1);
    FORGED(n_thumbs, IM_THUMBS + 1);
    FORGED(thumb[0].width, 321);
    FORGED(thumb[0].height, 181);
    FORGED(thumb[0].bytes, 0);
    FORGED(thumb[0].bytes, -1);
    FORGED(thumb[0].bytes, IM_DECODER_OUT_BYTES + 1);
    FORGED(thumb[2].bytes, 1); /* not smaller than the picture: none is made */
    FORGED(thumb[2].width, 2000);
    FORGED(thumb[3].width, 1); /* none was asked for */
    FORGED(thumb[IM_THUMBS - 1].bytes, 1);
    struct im_request request = request_of(1);
    struct im_reply reply = reply_of(&request), got;
    assert_false(im_reply_read(&reply, sizeof reply - 1, &request, &got));
    assert_false(im_reply_read(&reply, 0, &request, &got));
    request.copy = IM_COPY_NONE; /* which nobody wanted then */
    assert_false(im_reply_read(&reply, sizeof reply, &request, &got));
    reply.copy_bytes = 0;
    assert_true(im_reply_read(&reply, sizeof reply, &request, &got));
}

static void setup__and_ready(void **state)
{
    (void)state;
    static const struct {
        int64_t bytes;
        bool want;
    } cases[] = {{IM_MEMORY_MIN, true},
                 {IM_MEMORY_MAX, true},
                 {IM_MEMORY_MIN - 1, false},
                 {IM_MEMORY_MAX + 1, false},
                 {-1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct im_setup setup, got;
        im_setup_write(cases[i].bytes, &setup);
        assert_int_equal(im_setup_read(&setup, sizeof setup, &got), cases[i].want);
        assert_false(im_setup_read(&setup, sizeof setup - 1, &got));
        setup.zero = 1;
        assert_false(im_setup_read(&setup, sizeof setup, &got));
    }
    struct im_ready ready;
    im_ready_write(&ready);
    assert_true(im_ready_read(&ready, sizeof ready));
    assert_false(im_ready_read(&ready, sizeof ready - 1));
    ready.magic++;
    assert_false(im_ready_read(&ready, sizeof ready));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request__what_is_written_is_read), cmocka_unit_test(request__out_of_range_is_refused),
        cmocka_unit_test(request__a_gif_has_its_own_cap),   cmocka_unit_test(reply__of_an_honest_decoder_is_taken),
        cmocka_unit_test(reply__forged_is_refused),         cmocka_unit_test(setup__and_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
