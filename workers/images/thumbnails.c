/* thumbnails.c - the area average, and turning its result upright.
 *
 * Weights are integers: in units of 1/out of a source pixel a thumbnail's pixel is `in` units wide and a source pixel
 * `out` units. So a row sums to at most 255 x 255 x 32767 (with alpha) and fits 32 bits, a column of such rows 64. */
#include "thumbnails.h"

#include <string.h>

bool im_thumb_size(int32_t width, int32_t height, int32_t edge, int32_t *out_width, int32_t *out_height)
{
    int32_t longer = width > height ? width : height, shorter = width > height ? height : width;
    if (edge >= longer)
        return false;
    int64_t small = ((int64_t)shorter * edge * 2 + longer) / (2 * (int64_t)longer);
    if (small < 1)
        small = 1;
    *out_width = width >= height ? edge : (int32_t)small;
    *out_height = width >= height ? (int32_t)small : edge;
    return true;
}

void im_thumbs_init(struct im_thumbs *set, const struct im_thumb *want, int n, int32_t raw_width, int32_t raw_height,
                    int orientation)
{
    *set = (struct im_thumbs){.n = n, .raw_width = raw_width, .raw_height = raw_height, .orientation = orientation};
    for (int i = 0; i < n; i++) {
        int32_t width, height;
        set->want[i] = want[i];
        /* The size depends on the longer edge only, so it may be computed before the picture is turned. */
        if (!im_thumb_size(raw_width, raw_height, want[i].edge, &width, &height))
            continue;
        set->made[i].width = width;
        set->made[i].height = height;
    }
}

void im_thumbs_clear(struct im_thumbs *set)
{
    for (int i = 0; i < set->n; i++) {
        free(set->made[i].pixels);
        free(set->made[i].sums);
    }
    free(set->icc);
    free(set->line);
    *set = (struct im_thumbs){0};
}

bool im_thumbs_fit(const struct im_thumbs *set, int32_t width, int32_t height)
{
    for (int i = 0; i < set->n; i++)
        if (set->made[i].width > width || set->made[i].height > height)
            return false;
    return true;
}

void im_thumbs_profile(struct im_thumbs *set, const uint8_t *data, size_t len)
{
    /* Bytes 16..19 of the 128 of a profile's header name the colour space of what it describes (ICC.1:2010, 7.2). A
     * profile of CMYK or of a palette's grey means nothing for the samples that we write. */
    const char *space = set->channels <= 2 ? "GRAY" : "RGB ";
    if (!data || len < 128 || len > IM_ICC_BYTES || memcmp(data + 16, space, 4) != 0 || set->icc)
        return;
    set->icc = malloc(len);
    if (!set->icc)
        return;
    memcpy(set->icc, data, len);
    set->icc_len = len;
}

enum im_reason im_thumbs_begin(struct im_thumbs *set, int32_t width, int32_t height, int channels)
{
    if (width < 1 || height < 1 || width > set->raw_width || height > set->raw_height ||
        !im_thumbs_fit(set, width, height) || set->channels)
        return IM_decode_fail;
    set->width = width;
    set->height = height;
    set->channels = channels;
    int32_t widest = 0;
    for (int i = 0; i < set->n; i++) {
        struct im_scaled *made = &set->made[i];
        if (!made->width)
            continue;
        size_t line = (size_t)made->width * (size_t)channels;
        made->pixels = malloc(line * (size_t)made->height);
        made->sums = calloc(line, sizeof *made->sums);
        if (!made->pixels || !made->sums)
            return IM_decode_killed;
        if (made->width > widest)
            widest = made->width;
    }
    set->line = calloc((size_t)widest * (size_t)channels + 1, sizeof *set->line);
    return set->line ? IM_NONE : IM_decode_killed;
}

/* The sum of one channel over source pixels [from, to), each counted once; with alpha weighted by it. */
static inline uint32_t plain_sum(const uint8_t *row, int32_t from, int32_t to, int channels, int c)
{
    uint32_t sum = 0;
    for (int32_t x = from; x < to; x++)
        sum += row[(size_t)x * (size_t)channels + (size_t)c];
    return sum;
}

static inline uint32_t alpha_sum(const uint8_t *row, int32_t from, int32_t to, int channels, int c)
{
    uint32_t sum = 0;
    for (int32_t x = from; x < to; x++) {
        const uint8_t *pixel = row + (size_t)x * (size_t)channels;
        sum += (uint32_t)pixel[c] * pixel[channels - 1];
    }
    return sum;
}

static inline uint32_t span_sum(const uint8_t *row, int32_t from, int32_t to, int channels, int c)
{
    bool weighted = (channels == 2 || channels == 4) && c < channels - 1;
    return weighted ? alpha_sum(row, from, to, channels, c) : plain_sum(row, from, to, channels, c);
}

/* One source row in `out` pixels of a thumbnail: sums of weight `in`. Inlined with a constant number of channels. */
static inline void shrink_line(const uint8_t *row, int32_t in, int32_t out, int channels, uint32_t *line)
{
    for (int32_t x = 0; x < out; x++) {
        int64_t start = (int64_t)x * in, end = start + in;
        int32_t first = (int32_t)(start / out), last = (int32_t)(end / out);
        uint32_t head = (uint32_t)((int64_t)(first + 1) * out - start), tail = (uint32_t)(end - (int64_t)last * out);
        for (int c = 0; c < channels; c++) {
            uint32_t sum = head * span_sum(row, first, first + 1, channels, c);
            sum += (uint32_t)out * span_sum(row, first + 1, last, channels, c);
            if (tail)
                sum += tail * span_sum(row, last, last + 1, channels, c);
            line[(size_t)x * (size_t)channels + (size_t)c] = sum;
        }
    }
}

static void shrink(const uint8_t *row, int32_t in, int32_t out, int channels, uint32_t *line)
{
    if (channels == 3)
        shrink_line(row, in, out, 3, line);
    else if (channels == 4)
        shrink_line(row, in, out, 4, line);
    else if (channels == 1)
        shrink_line(row, in, out, 1, line);
    else
        shrink_line(row, in, out, 2, line);
}

/* The sums of a finished row become samples, and the next row starts from zero. */
static void finish_row(const struct im_thumbs *set, struct im_scaled *made)
{
    int channels = set->channels;
    bool alpha = channels == 2 || channels == 4;
    uint64_t weight = (uint64_t)set->width * (uint64_t)set->height;
    size_t n = (size_t)made->width * (size_t)channels;
    uint8_t *out = made->pixels + (size_t)made->row * n;
    for (size_t i = 0; i < n; i++) {
        size_t c = i % (size_t)channels;
        uint64_t divisor = weight;
        if (alpha && c < (size_t)channels - 1)
            divisor = made->sums[i - c + (size_t)channels - 1];
        uint64_t average = divisor ? (made->sums[i] + divisor / 2) / divisor : 0;
        out[i] = (uint8_t)average;
    }
    memset(made->sums, 0, n * sizeof *made->sums);
    made->row++;
    made->filled = 0;
}

static void add_line(struct im_scaled *made, const uint32_t *line, size_t n, uint64_t weight)
{
    for (size_t i = 0; i < n; i++)
        made->sums[i] += line[i] * weight;
    made->filled += (int64_t)weight;
}

void im_thumbs_row(struct im_thumbs *set, const uint8_t *row)
{
    if (set->rows >= set->height)
        return;
    set->rows++;
    for (int i = 0; i < set->n; i++) {
        struct im_scaled *made = &set->made[i];
        if (!made->pixels || made->row >= made->height)
            continue;
        size_t n = (size_t)made->width * (size_t)set->channels;
        shrink(row, set->width, made->width, set->channels, set->line);
        /* This row is `made->height` units high, of which the growing row still lacks `room`. */
        int64_t room = set->height - made->filled, left = made->height - room;
        add_line(made, set->line, n, (uint64_t)(left > 0 ? room : made->height));
        if (made->filled == set->height)
            finish_row(set, made);
        if (left > 0)
            add_line(made, set->line, n, (uint64_t)left);
    }
}

void im_thumbs_upright(const struct im_thumbs *set, int i, int32_t y, uint8_t *out)
{
    const struct im_scaled *made = &set->made[i];
    size_t channels = (size_t)set->channels;
    /* EXIF 2.32, tag 0x0112: where row 0 and column 0 of what is stored belong. From 5 on, rows are columns. */
    bool swap = set->orientation >= 5;
    bool flip_x = set->orientation == 2 || set->orientation == 3 || set->orientation == 7 || set->orientation == 8;
    bool flip_y = set->orientation == 3 || set->orientation == 4 || set->orientation == 6 || set->orientation == 7;
    int32_t width = swap ? made->height : made->width;
    for (int32_t x = 0; x < width; x++) {
        int32_t from_x = swap ? y : x, from_y = swap ? x : y;
        if (flip_x)
            from_x = made->width - 1 - from_x;
        if (flip_y)
            from_y = made->height - 1 - from_y;
        size_t from = (size_t)from_y * (size_t)made->width + (size_t)from_x;
        memcpy(out + (size_t)x * channels, made->pixels + from * channels, channels);
    }
}

enum im_reason im_thumbs_write(const struct im_thumbs *set, int i, int fd, int32_t *width, int32_t *height,
                               int64_t *bytes)
{
    const struct im_scaled *made = &set->made[i];
    struct im_drawing drawing = {.set = set, .index = i, .quality = set->want[i].quality, .fd = fd};
    if (made->width) {
        bool swap = set->orientation >= 5;
        drawing.width = swap ? made->height : made->width;
        drawing.height = swap ? made->width : made->height;
        enum im_reason reason =
            set->want[i].format == IM_THUMB_WEBP ? im_encode_webp(&drawing) : im_encode_jpeg(&drawing);
        if (reason != IM_NONE)
            return reason;
    }
    *width = drawing.width;
    *height = drawing.height;
    *bytes = drawing.bytes;
    return IM_NONE;
}
