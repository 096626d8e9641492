/* fuzz_probe.c - any bytes as an image, and as the beginning of one.
 *
 * What is accepted is within the limits. What a beginning is refused for the file is refused for too, and no beginning
 * has other dimensions than the file. What lies behind the end of an image does not change it.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_probe tests/fuzz/corpus/probe */
#include "images/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct im_limits limits = {.max_pixels = 1000000,
                                        .max_gif_pixels = 250000,
                                        .max_total_pixels = 2000000,
                                        .metadata_bytes = 4096,
                                        .max_edge = 4096,
                                        .min_edge = 2,
                                        .max_frames = 16,
                                        .max_scans = 20};

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void check_facts(const struct im_facts *f, size_t size)
{
    int64_t pixels = (int64_t)f->raw_width * f->raw_height;
    bool swap = f->orientation >= 5;
    require(f->type >= IM_JPEG && f->type <= IM_WEBP && im_type_ext(f->type)[0], "a type");
    require(f->raw_width >= 2 && f->raw_width <= 4096 && f->raw_height >= 2 && f->raw_height <= 4096, "edges");
    require(pixels <= (f->type == IM_GIF ? 250000 : 1000000), "pixels");
    require(f->orientation >= 1 && f->orientation <= 8, "an orientation");
    require(f->width == (swap ? f->raw_height : f->raw_width), "the width as laid out");
    require(f->height == (swap ? f->raw_width : f->raw_height), "the height as laid out");
    require(f->frames == 1 || (f->frames > 1 && f->frames <= 16 && f->frames * pixels <= 2000000), "frames");
    require(f->type == IM_JPEG ? f->scans >= 1 && f->scans <= 20 : f->scans == 0, "scans");
    require(f->bit_depth >= 1 && f->bit_depth <= 16 && f->channels >= 1 && f->channels <= 4, "samples");
    require(f->end > 12 && f->end <= size && (!f->no_end || f->type == IM_JPEG), "an end");
}

/* The first `n` bytes of a file that is refused for `reason`, or accepted with these facts. */
static void check_head(const uint8_t *data, size_t n, enum im_reason reason, const struct im_facts *facts)
{
    struct im_facts head = {0};
    uint8_t *exact = malloc(n ? n : 1); /* so that a byte read behind it is seen */
    if (!exact)
        return;
    if (n > 0)
        memcpy(exact, data, n);
    enum im_reason early = im_probe_head(exact, n, &limits, &head);
    free(exact);
    require(early != IM_truncated, "a head is never truncated");
    require(early == IM_NONE || early == reason, "the reason of a beginning is the reason of the file");
    if (early == IM_NONE && reason == IM_NONE && head.raw_width > 0)
        require(head.type == facts->type && head.raw_width == facts->raw_width && head.raw_height == facts->raw_height,
                "a beginning has the dimensions of the file");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct im_facts f, again, before;
    memset(&f, 0x5A, sizeof f);
    before = again = f;
    enum im_reason reason = im_probe_file(data, size, &limits, &f);
    if (reason == IM_NONE)
        check_facts(&f, size);
    else if (im_probe_signature(data, size) != IM_AVIF)
        require(memcmp(&f, &before, sizeof f) == 0, "a refusal writes nothing");
    for (size_t n = size; n > 0; n = n * 3 / 4)
        check_head(data, n, reason, &f);
    check_head(data, size < 40 ? size : 40, reason, &f);
    if (reason == IM_NONE) {
        require(im_probe_file(data, f.end, &limits, &again) == IM_NONE, "the image alone is one");
        require(again.end == f.end && again.width == f.width && again.frames == f.frames, "and the same");
    }
    return 0;
}
