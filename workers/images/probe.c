/* probe.c - what kind of image this is, and the limits that hold for all kinds.
 *
 * Each format has a walker of its own (probe_internal.h). This file picks it by the first bytes, and makes of "the
 * bytes end before the image does" what the caller asked for: nothing yet, or `truncated`. */
#include "probe_internal.h"

#include <string.h>

static const struct {
    const char *name, *ext;
    enum im_reason (*walk)(struct im_walk *walk);
} types[] = {
    [IM_UNKNOWN] = {"", "", NULL},
    [IM_JPEG] = {"image/jpeg", "jpg", im_walk_jpeg},
    [IM_PNG] = {"image/png", "png", im_walk_png},
    [IM_GIF] = {"image/gif", "gif", im_walk_gif},
    [IM_WEBP] = {"image/webp", "webp", im_walk_webp},
    [IM_AVIF] = {"image/avif", "avif", im_walk_avif},
};

/* `len` bytes of `text` stand at `offset`; '?' is any byte. No signature of a format holds one. */
static const struct {
    const char *text;
    size_t len, offset;
    enum im_type type;
} signatures[] = {
    {"\xFF\xD8\xFF", 3, 0, IM_JPEG}, {"\x89PNG\r\n\x1A\n", 8, 0, IM_PNG}, {"GIF87a", 6, 0, IM_GIF},
    {"GIF89a", 6, 0, IM_GIF},        {"RIFF????WEBP", 12, 0, IM_WEBP},    {"ftypavif", 8, 4, IM_AVIF},
    {"ftypavis", 8, 4, IM_AVIF},
};

enum im_type im_probe_signature(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        size_t n = 0;
        while (n < signatures[i].len && signatures[i].offset + n < len &&
               (signatures[i].text[n] == '?' || (uint8_t)signatures[i].text[n] == data[signatures[i].offset + n]))
            n++;
        if (n == signatures[i].len)
            return signatures[i].type;
    }
    return IM_UNKNOWN;
}

const char *im_type_name(enum im_type type)
{
    return types[type].name;
}

enum im_type im_type_stored(const char *name)
{
    for (enum im_type type = IM_JPEG; type <= IM_WEBP; type++)
        if (strcmp(im_type_name(type), name) == 0)
            return type;
    return IM_UNKNOWN;
}

const char *im_type_ext(enum im_type type)
{
    return types[type].ext;
}

enum im_reason im_walk_canvas(struct im_walk *walk, int64_t width, int64_t height)
{
    const struct im_limits *limits = walk->limits;
    if (width <= 0 || height <= 0 || width > INT32_MAX || height > INT32_MAX)
        return IM_dims_invalid;
    walk->facts.raw_width = walk->facts.width = (int32_t)width;
    walk->facts.raw_height = walk->facts.height = (int32_t)height;
    im_walk_orient(walk, walk->facts.orientation);
    if (width < limits->min_edge || height < limits->min_edge)
        return IM_too_small;
    int64_t pixels = width * height; /* both fit 31 bits */
    if (width > limits->max_edge || height > limits->max_edge || pixels > limits->max_pixels ||
        (walk->facts.type == IM_GIF && pixels > limits->max_gif_pixels))
        return IM_dims_too_big;
    return IM_NONE;
}

enum im_reason im_walk_frame(struct im_walk *walk)
{
    const struct im_limits *limits = walk->limits;
    int64_t pixels = (int64_t)walk->facts.raw_width * walk->facts.raw_height;
    if (walk->facts.frames >= limits->max_frames)
        return IM_frames_too_many;
    walk->facts.frames++;
    /* A division, since the product of a canvas of 62 bits and the frames need not fit. One frame is a still image. */
    if (walk->facts.frames > 1 && pixels > limits->max_total_pixels / walk->facts.frames)
        return IM_frames_too_many;
    return IM_NONE;
}

void im_walk_orient(struct im_walk *walk, int orientation)
{
    bool swap = orientation >= 5;
    walk->facts.orientation = orientation;
    walk->facts.width = swap ? walk->facts.raw_height : walk->facts.raw_width;
    walk->facts.height = swap ? walk->facts.raw_width : walk->facts.raw_height;
}

static struct im_walk begin(const uint8_t *data, size_t len, const struct im_limits *limits, bool whole)
{
    struct im_walk walk = {.data = data, .len = len, .limits = limits, .whole = whole};
    walk.facts.type = im_probe_signature(data, len);
    walk.facts.orientation = 1;
    return walk;
}

enum im_reason im_probe_head(const uint8_t *data, size_t len, const struct im_limits *limits, struct im_facts *facts)
{
    struct im_walk walk = begin(data, len, limits, false);
    enum im_reason reason = IM_NONE;
    if (walk.facts.type != IM_UNKNOWN)
        reason = types[walk.facts.type].walk(&walk);
    else if (len >= IM_SIGNATURE_BYTES)
        reason = IM_type_not_allowed;
    if (reason == IM_truncated)
        reason = IM_NONE;
    if (reason == IM_NONE || walk.facts.type == IM_AVIF)
        *facts = walk.facts;
    return reason;
}

enum im_reason im_probe_file(const uint8_t *data, size_t len, const struct im_limits *limits, struct im_facts *facts)
{
    struct im_walk walk = begin(data, len, limits, true);
    if (len > INT64_MAX || (int64_t)len < limits->min_bytes)
        return IM_too_small;
    if (walk.facts.type == IM_UNKNOWN)
        return IM_type_not_allowed;
    enum im_reason reason = types[walk.facts.type].walk(&walk);
    if (reason == IM_NONE || walk.facts.type == IM_AVIF)
        *facts = walk.facts;
    return reason;
}
