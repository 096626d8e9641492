/* fuzz_raster.c - any bytes as an image of a given type and size, through its library to thumbnails.
 *
 * The first byte says the type, the next two the size: other bytes than a decoder gets after the probe, which only
 * makes the libraries' work harder. An accepted picture has all its rows and a thumbnail of the right size.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_raster tests/fuzz/corpus/raster */
#include "images/raster.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void check(struct im_thumbs *set)
{
    static int nowhere = -1;
    if (nowhere < 0)
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    require(set->rows == set->height, "every row");
    for (int i = 0; i < set->n; i++) {
        int32_t width, height;
        int64_t bytes;
        require(!set->made[i].width || set->made[i].row == set->made[i].height, "every row of a thumbnail");
        require(im_thumbs_write(set, i, nowhere, &width, &height, &bytes) == IM_NONE, "it is written");
        require((bytes > 0) == (width > 0) && width <= set->want[i].edge && height <= set->want[i].edge, "its size");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct im_thumb want[] = {{10, IM_THUMB_JPEG, 80}, {13, IM_THUMB_WEBP, 80}};
    if (size < 4)
        return 0;
    struct im_source source = {.data = data + 3,
                               .len = size - 3,
                               .type = (enum im_type)(IM_JPEG + data[0] % 4),
                               .raw_width = 1 + data[1],
                               .raw_height = 1 + data[2],
                               .max_scans = 10,
                               .max_pixels = 65536,
                               .no_end = data[0] & 128};
    struct im_thumbs set;
    im_thumbs_init(&set, want, 2, source.raw_width, source.raw_height, 1 + (data[0] >> 2) % 8);
    enum im_reason reason = im_raster_read(&source, &set);
    if (reason == IM_NONE)
        check(&set);
    else
        require(reason == IM_truncated || reason == IM_decode_fail || reason == IM_scans_too_many ||
                    reason == IM_dims_too_big || reason == IM_decode_killed,
                "a reason of its own");
    im_thumbs_clear(&set);
    return 0;
}
