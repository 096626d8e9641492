/* strip_jpeg.c - a JPEG without its APPn and comments, but for what strip.h keeps.
 *
 * Markers and segments: ITU-T T.81, annex B. What stands in front of the first SOS is looked through for JFIF, EXIF,
 * IPTC, ICC and Adobe's marker, since decoders look no further; these are written behind SOI in a fixed order. Then
 * frame, tables and scans follow as they are. Bytes between two segments and spare 0xFF in front of a marker are what a
 * decoder passes over: they are left out. A segment must have exactly the length that its content needs, so that none
 * carries anything behind it. */
#include "strip_internal.h"

#include <string.h>

enum {
    TEM = 0x01,
    SOF0 = 0xC0,
    DHT = 0xC4,
    JPG = 0xC8,
    DAC = 0xCC,
    SOF15 = 0xCF,
    RST0 = 0xD0,
    RST7 = 0xD7,
    SOI = 0xD8,
    EOI = 0xD9,
    SOS = 0xDA,
    DQT = 0xDB,
    DNL = 0xDC,
    DRI = 0xDD,
    APP0 = 0xE0,
    APP15 = 0xEF,
    COM = 0xFE
};
enum { SEGMENT_BYTES = 65533, JFIF_BYTES = 14, ADOBE_BYTES = 12 };

static const char exif_prefix[6] = "Exif\0"; /* and a NUL; in practice any byte */
static const char icc_prefix[12] = "ICC_PROFILE";
enum { ICC_PART_BYTES = SEGMENT_BYTES - sizeof icc_prefix - 2 }; /* number and count of parts */

struct jpeg {
    struct im_strip *job;
    struct im_span rest; /* not read yet */
    struct im_span jfif, adobe;
    bool has_exif;
    struct im_exif exif;
    struct im_iptc iptc;
    struct im_span icc[256]; /* by number, from 1 */
    unsigned n_icc;          /* of how many parts the profile consists; 0: none */
    bool icc_broken;
    bool frame, scan;
};

/* The next marker of `rest`, which then begins behind it; 0 at the end. */
static uint8_t next_marker(struct im_span *rest)
{
    const uint8_t *end = rest->data + rest->len, *p = rest->data;
    while ((p = memchr(p, 0xFF, (size_t)(end - p)))) {
        while (p < end && *p == 0xFF)
            p++;
        if (p == end)
            break;
        if (*p++ != 0) {
            *rest = (struct im_span){p, (size_t)(end - p)};
            return p[-1];
        }
    }
    *rest = (struct im_span){end, 0};
    return 0;
}

/* What stands behind the length of a segment. */
static bool take_body(struct im_span *rest, struct im_span *body)
{
    struct im_span length;
    return im_take(rest, 2, &length) && im_be16(length.data) >= 2 && im_take(rest, im_be16(length.data) - 2, body);
}

static bool is_alone(uint8_t marker)
{
    return marker == TEM || (marker >= RST0 && marker <= RST7);
}

/* ---- first time: the metadata ---- */

static void take_icc(struct jpeg *jpeg, struct im_span body)
{
    unsigned number = body.data[sizeof icc_prefix], count = body.data[sizeof icc_prefix + 1];
    struct im_span *part = &jpeg->icc[number];
    if (number == 0 || number > count || (jpeg->n_icc && count != jpeg->n_icc) || part->data)
        jpeg->icc_broken = true;
    jpeg->n_icc = count;
    *part = (struct im_span){body.data + sizeof icc_prefix + 2, body.len - sizeof icc_prefix - 2};
}

/* Of several JFIF and Adobe markers the last one counts, as for the decoders. */
static void take_app(struct jpeg *jpeg, uint8_t marker, struct im_span body)
{
    struct im_span prefix;
    if (marker == APP0 && body.len >= JFIF_BYTES && im_starts(body, "JFIF", 5))
        jpeg->jfif = body;
    else if (marker == APP0 + 1 && !jpeg->has_exif && im_starts(body, exif_prefix, 5) &&
             im_take(&body, sizeof exif_prefix, &prefix))
        jpeg->has_exif = im_exif_read(body, &jpeg->exif);
    else if (marker == APP0 + 2 && body.len >= sizeof icc_prefix + 2 && im_starts(body, icc_prefix, sizeof icc_prefix))
        take_icc(jpeg, body);
    else if (marker == APP0 + 13)
        im_iptc_read(body, &jpeg->iptc);
    else if (marker == APP0 + 14 && body.len >= ADOBE_BYTES && im_starts(body, "Adobe", 5))
        jpeg->adobe = body;
}

/* Until the first scan, or something that the second reading refuses. */
static void read_metadata(struct jpeg *jpeg)
{
    struct im_span rest = jpeg->rest, body;
    for (uint8_t marker = next_marker(&rest); marker && marker != SOS && marker != EOI; marker = next_marker(&rest)) {
        if (is_alone(marker))
            continue;
        if (!take_body(&rest, &body))
            return;
        take_app(jpeg, marker, body);
    }
}

static void add_segment(struct nm_buf *out, uint8_t marker, struct im_span body)
{
    nm_buf_addc(out, (char)0xFF);
    nm_buf_addc(out, (char)marker);
    im_add_be16(out, (uint32_t)body.len + 2);
    im_add_span(out, body);
}

static void add_jfif(struct jpeg *jpeg)
{
    uint8_t body[JFIF_BYTES];
    if (!jpeg->jfif.data)
        return;
    memcpy(body, jpeg->jfif.data, sizeof body);
    body[12] = body[13] = 0; /* no thumbnail */
    add_segment(jpeg->job->out, APP0, (struct im_span){body, sizeof body});
}

/* The block in scratch, with what stands in front of it. */
static void add_block(struct jpeg *jpeg, uint8_t marker, const char *prefix, size_t prefix_len)
{
    struct nm_buf *out = jpeg->job->out, *block = &jpeg->job->scratch;
    if (block->len == 0)
        return;
    add_segment(out, marker, (struct im_span){(const uint8_t *)prefix, prefix_len});
    nm_buf_add(out, block->data, block->len);
    if (!nm_buf_ok(out))
        return;
    size_t length = 2 + prefix_len + block->len;
    char *place = out->data + out->len - length;
    place[0] = (char)(length >> 8);
    place[1] = (char)length;
}

/* The profile in parts as large as they can be. One that is not whole is left out, as decoders do. */
static void add_icc(struct jpeg *jpeg)
{
    struct nm_buf *out = jpeg->job->out, *profile = &jpeg->job->scratch;
    nm_buf_reset(profile);
    for (unsigned i = 1; i <= jpeg->n_icc && !jpeg->icc_broken; i++) {
        jpeg->icc_broken = !jpeg->icc[i].data;
        im_add_span(profile, jpeg->icc[i]);
    }
    struct im_span rest = {(const uint8_t *)profile->data, profile->len}, part;
    rest.len = jpeg->icc_broken ? 0 : im_icc_size(rest);
    unsigned count = (unsigned)((rest.len + ICC_PART_BYTES - 1) / ICC_PART_BYTES);
    for (unsigned i = 1; i <= count; i++) {
        size_t n = rest.len < ICC_PART_BYTES ? rest.len : (size_t)ICC_PART_BYTES;
        nm_buf_add(out, "\xFF\xE2", 2);
        im_add_be16(out, (uint32_t)(2 + sizeof icc_prefix + 2 + n));
        nm_buf_add(out, icc_prefix, sizeof icc_prefix);
        nm_buf_addc(out, (char)i);
        nm_buf_addc(out, (char)count);
        if (im_take(&rest, n, &part))
            im_add_span(out, part);
    }
}

static void add_metadata(struct jpeg *jpeg)
{
    add_jfif(jpeg);
    im_exif_write(jpeg->job, &jpeg->exif);
    add_block(jpeg, APP0 + 1, exif_prefix, sizeof exif_prefix);
    im_iptc_write(jpeg->job, &jpeg->iptc);
    add_block(jpeg, APP0 + 13, NULL, 0);
    add_icc(jpeg);
    if (jpeg->adobe.data)
        add_segment(jpeg->job->out, APP0 + 14, (struct im_span){jpeg->adobe.data, ADOBE_BYTES});
}

/* ---- second time: the picture ---- */

/* Quantisation tables: precision and number, then 64 values of one or two bytes. */
static bool dqt_fits(struct im_span body)
{
    struct im_span head, values;
    while (im_take(&body, 1, &head))
        if (!im_take(&body, head.data[0] >> 4 ? 128 : 64, &values))
            return false;
    return true;
}

/* Huffman tables: class and number, how many codes of each length, the symbols. */
static bool dht_fits(struct im_span body)
{
    struct im_span head, symbols;
    while (im_take(&body, 17, &head)) {
        size_t n = 0;
        for (int i = 1; i < 17; i++)
            n += head.data[i];
        if (n > 256 || !im_take(&body, n, &symbols))
            return false;
    }
    return body.len == 0;
}

static bool is_frame(uint8_t marker)
{
    return marker >= SOF0 && marker <= SOF15 && marker != DHT && marker != JPG && marker != DAC;
}

/* Whether the segment is part of a picture, in its place, and has the length that its content needs. */
static bool fits(const struct jpeg *jpeg, uint8_t marker, struct im_span body)
{
    if (is_frame(marker))
        return !jpeg->frame && body.len > 6 && body.len == 6 + 3U * body.data[5];
    switch (marker) {
    case SOS:
        return jpeg->frame && body.len > 4 && body.len == 4 + 2U * body.data[0];
    case DHT:
        return dht_fits(body);
    case DQT:
        return dqt_fits(body);
    case DAC:
        return body.len % 2 == 0;
    case DRI:
        return body.len == 2;
    case DNL:
        return jpeg->scan && body.len == 2;
    default:
        return false; /* reserved, or of a hierarchical JPEG, which no browser shows */
    }
}

/* The coded data of a scan, up to the marker that ends it; a stuffed zero and RST are part of it. */
static void copy_scan(struct jpeg *jpeg)
{
    const uint8_t *start = jpeg->rest.data, *end = start + jpeg->rest.len, *p = start, *stop = end;
    while ((p = memchr(p, 0xFF, (size_t)(end - p)))) {
        stop = p;
        while (p < end && *p == 0xFF)
            p++;
        if (p == end || !(*p == 0 || (*p >= RST0 && *p <= RST7)))
            break;
        stop = end;
        p++;
    }
    im_add_span(jpeg->job->out, (struct im_span){start, (size_t)(stop - start)});
    jpeg->rest = (struct im_span){stop, (size_t)(end - stop)};
}

static bool copy_segment(struct jpeg *jpeg, uint8_t marker)
{
    struct im_span body;
    if (is_alone(marker))
        return true;
    if (!take_body(&jpeg->rest, &body))
        return false;
    if ((marker >= APP0 && marker <= APP15) || marker == COM)
        return true;
    if (!fits(jpeg, marker, body))
        return false;
    add_segment(jpeg->job->out, marker, body);
    jpeg->frame = jpeg->frame || is_frame(marker);
    if (marker == SOS) {
        jpeg->scan = true;
        copy_scan(jpeg);
    }
    return true;
}

enum im_reason im_strip_jpeg(struct im_strip *job)
{
    struct jpeg jpeg = {.job = job, .rest = job->in};
    struct im_span start;
    if (!im_starts(jpeg.rest, "\xFF\xD8", 2) || !im_take(&jpeg.rest, 2, &start))
        return IM_decode_fail;
    read_metadata(&jpeg);
    im_add_span(job->out, start);
    add_metadata(&jpeg);
    for (uint8_t marker = next_marker(&jpeg.rest); marker && marker != EOI; marker = next_marker(&jpeg.rest))
        if (!copy_segment(&jpeg, marker))
            return IM_decode_fail;
    nm_buf_add(job->out, "\xFF\xD9", 2);
    return jpeg.scan ? IM_NONE : IM_decode_fail;
}
