/* probe_jpeg.c - the segments of a JPEG (ITU-T T.81), from SOI to EOI.
 *
 * Accepted is what browsers show: baseline, extended and progressive Huffman coding of 8 bits with 1, 3 or 4
 * components. Arithmetic coding, lossless and hierarchical frames are refused. Like the decoders this skips bytes that
 * stand between segments, and does not look into the entropy-coded data: FF never stands there alone, so markers are
 * found by it. Only a file without EOI is looked at closer, for whether that is all it lacks (probe_jpeg_scan.c).
 *
 * A length that leads past the end of the file is a cut file, unless the file ends in EOI: then the length lies. */
#include "probe_internal.h"

#include <string.h>

enum {
    M_TEM = 0x01,
    M_SOF0 = 0xC0,
    M_SOF1 = 0xC1,
    M_SOF2 = 0xC2,
    M_DHT = 0xC4,
    M_DAC = 0xCC,
    M_RST0 = 0xD0,
    M_RST7 = 0xD7,
    M_EOI = 0xD9,
    M_SOS = 0xDA,
    M_DQT = 0xDB,
    M_DNL = 0xDC,
    M_DRI = 0xDD,
    M_APP0 = 0xE0,
    M_APP1 = 0xE1,
    M_APP15 = 0xEF,
    M_COM = 0xFE
};

#define EXIF_BYTES      6  /* "Exif", NUL and one byte more, before the TIFF structure */
#define MAX_LOW_BIT     13 /* of a progressive scan: T.81, table B.3                   */
#define MAX_TABLE_CODES 256

struct reader {
    struct im_walk *walk;
    struct im_jpeg jpeg;
    size_t pos;
    bool exif_read;
};

struct segment {
    const uint8_t *data;
    size_t len;
};

/* Moves behind the next marker; -1 at the end of the bytes. */
static int next_marker(struct reader *r)
{
    const uint8_t *data = r->walk->data;
    size_t len = r->walk->len;
    while (r->pos < len) {
        const uint8_t *ff = memchr(data + r->pos, 0xFF, len - r->pos);
        if (!ff)
            return -1;
        r->pos = (size_t)(ff - data);
        while (r->pos < len && data[r->pos] == 0xFF)
            r->pos++;
        if (r->pos < len && data[r->pos] != 0)
            return data[r->pos++];
    }
    return -1;
}

/* Of a file that ended before its EOI. */
static enum im_reason judge_end(struct reader *r)
{
    const struct im_walk *walk = r->walk;
    const uint8_t *behind;
    if (!walk->whole || !im_jpeg_complete(&r->jpeg, walk->data + walk->len, &behind))
        return IM_truncated;
    r->walk->facts.no_end = true;
    r->walk->facts.end = (size_t)(behind - walk->data);
    return IM_NONE;
}

static enum im_reason next_segment(struct reader *r, struct segment *segment)
{
    const struct im_walk *walk = r->walk;
    if (!im_has(walk, r->pos, 2))
        return IM_truncated;
    size_t len = im_be16(walk->data + r->pos);
    if (len < 2)
        return IM_decode_fail;
    if (!im_has(walk, r->pos, len))
        return walk->whole && im_be16(walk->data + walk->len - 2) == 0xFFD9 ? IM_decode_fail : IM_truncated;
    *segment = (struct segment){.data = walk->data + r->pos + 2, .len = len - 2};
    r->pos += len;
    return IM_NONE;
}

static enum im_reason read_frame(struct reader *r, int marker, const struct segment *s)
{
    struct im_jpeg *jpeg = &r->jpeg;
    struct im_facts *facts = &r->walk->facts;
    int n = s->len >= 6 ? s->data[5] : 0;
    if (jpeg->n_components > 0 || (n != 1 && n != 3 && n != 4) || s->len != 6 + 3 * (size_t)n || s->data[0] != 8)
        return IM_decode_fail;
    for (int i = 0; i < n; i++) {
        const uint8_t *p = s->data + 6 + (size_t)i * 3;
        int h = p[1] >> 4, v = p[1] & 15;
        if (h < 1 || h > 4 || v < 1 || v > 4)
            return IM_decode_fail;
        jpeg->component[i].id = p[0];
        jpeg->component[i].h = h;
        jpeg->component[i].v = v;
        jpeg->h_max = h > jpeg->h_max ? h : jpeg->h_max;
        jpeg->v_max = v > jpeg->v_max ? v : jpeg->v_max;
    }
    jpeg->n_components = n;
    jpeg->progressive = marker == M_SOF2;
    jpeg->height = (int32_t)im_be16(s->data + 1); /* 0: a DNL segment tells it later, which no browser takes */
    jpeg->width = (int32_t)im_be16(s->data + 3);
    memset(jpeg->missing, -1, sizeof jpeg->missing);
    facts->bit_depth = 8;
    facts->channels = n;
    facts->frames = 1;
    facts->interlaced = jpeg->progressive;
    return im_walk_canvas(r->walk, jpeg->width, jpeg->height);
}

static enum im_reason read_tables(struct reader *r, const struct segment *s)
{
    for (size_t at = 0; at < s->len;) {
        if (s->len - at < 17)
            return IM_decode_fail;
        const uint8_t *p = s->data + at;
        size_t n = 0;
        for (int i = 1; i <= 16; i++)
            n += p[i];
        if (p[0] >> 4 > 1 || (p[0] & 15) >= IM_JPEG_TABLES || n > MAX_TABLE_CODES || n > s->len - at - 17)
            return IM_decode_fail;
        r->jpeg.tables[p[0] >> 4][p[0] & 15] = (struct im_jpeg_table){.counts = p + 1, .symbols = p + 17};
        at += 17 + n;
    }
    return IM_NONE;
}

static enum im_reason read_restart(struct reader *r, const struct segment *s)
{
    if (s->len != 2)
        return IM_decode_fail;
    r->jpeg.restart = im_be16(s->data);
    return IM_NONE;
}

static void read_app1(struct reader *r, const struct segment *s)
{
    if (r->exif_read || r->jpeg.n_scans > 0 || s->len < EXIF_BYTES || memcmp(s->data, "Exif\0", 5) != 0)
        return;
    size_t len = s->len - EXIF_BYTES;
    if ((int64_t)len > r->walk->limits->metadata_bytes)
        return;
    int orientation = im_exif_orientation(s->data + EXIF_BYTES, len);
    r->exif_read = orientation > 0;
    if (orientation)
        im_walk_orient(r->walk, orientation);
}

/* The component that a scan header names, which it may name once; -1: there is none. */
static int find_component(const struct im_jpeg *jpeg, const struct im_jpeg_scan *scan, uint8_t id)
{
    for (int i = 0; i < jpeg->n_components; i++) {
        bool taken = false;
        for (int k = 0; k < scan->n_components; k++)
            taken |= scan->component[k] == i;
        if (jpeg->component[i].id == id && !taken)
            return i;
    }
    return -1;
}

/* T.81, G.1.1.1: the band and the bits of a progressive scan. */
static bool band_is_right(const struct im_jpeg_scan *scan)
{
    if (scan->ss == 0 ? scan->se != 0 : scan->se < scan->ss || scan->se > 63 || scan->n_components != 1)
        return false;
    return scan->al <= MAX_LOW_BIT && (scan->ah == 0 || scan->ah == scan->al + 1);
}

static bool read_scan_header(const struct im_jpeg *jpeg, const struct segment *s, struct im_jpeg_scan *scan)
{
    int n = s->len > 0 ? s->data[0] : 0;
    if (jpeg->n_components == 0 || n < 1 || n > jpeg->n_components || s->len != 4 + 2 * (size_t)n)
        return false;
    for (int i = 0; i < n; i++) {
        const uint8_t *p = s->data + 1 + (size_t)i * 2;
        int dc = p[1] >> 4, ac = p[1] & 15, component = find_component(jpeg, scan, p[0]);
        if (component < 0 || dc >= IM_JPEG_TABLES || ac >= IM_JPEG_TABLES)
            return false;
        scan->dc[i] = jpeg->tables[0][dc];
        scan->ac[i] = jpeg->tables[1][ac];
        scan->component[i] = component;
        scan->n_components++;
    }
    const uint8_t *p = s->data + s->len - 3;
    scan->restart = jpeg->restart;
    scan->se = 63; /* whatever a sequential scan says of its band, it is all of it */
    if (!jpeg->progressive)
        return true;
    scan->ss = p[0];
    scan->se = p[1];
    scan->ah = (uint8_t)(p[2] >> 4);
    scan->al = (uint8_t)(p[2] & 15);
    return band_is_right(scan);
}

static enum im_reason read_scan(struct reader *r, const struct segment *s)
{
    struct im_jpeg *jpeg = &r->jpeg;
    struct im_jpeg_scan scan = {.data = r->walk->data + r->pos};
    if (!read_scan_header(jpeg, s, &scan))
        return IM_decode_fail;
    for (int i = 0; i < scan.n_components; i++)
        memset(&jpeg->missing[scan.component[i]][scan.ss], scan.al, (size_t)scan.se - (size_t)scan.ss + 1);
    if (jpeg->n_scans < IM_JPEG_KEPT_SCANS)
        jpeg->scans[jpeg->n_scans] = scan;
    if (jpeg->n_scans >= r->walk->limits->max_scans)
        return IM_scans_too_many;
    r->walk->facts.scans = ++jpeg->n_scans;
    return IM_NONE;
}

static enum im_reason read_segment(struct reader *r, int marker)
{
    struct segment s;
    bool app = marker >= M_APP0 && marker <= M_APP15;
    bool known = app || marker == M_COM || marker == M_DQT || marker == M_DNL || marker == M_DAC || marker == M_DRI ||
                 marker == M_DHT || marker == M_SOS || (marker >= M_SOF0 && marker <= M_SOF2);
    if (!known)
        return IM_decode_fail;
    enum im_reason reason = next_segment(r, &s);
    if (reason != IM_NONE)
        return reason;
    switch (marker) {
    case M_SOF0:
    case M_SOF1:
    case M_SOF2:
        return read_frame(r, marker, &s);
    case M_DHT:
        return read_tables(r, &s);
    case M_DRI:
        return read_restart(r, &s);
    case M_SOS:
        return read_scan(r, &s);
    case M_APP1:
        read_app1(r, &s);
        return IM_NONE;
    default:
        return IM_NONE;
    }
}

enum im_reason im_walk_jpeg(struct im_walk *walk)
{
    struct reader r = {.walk = walk, .pos = 2};
    enum im_reason reason = IM_NONE;
    while (reason == IM_NONE) {
        int marker = next_marker(&r);
        if (marker < 0)
            return judge_end(&r);
        if (marker == M_EOI) {
            walk->facts.end = r.pos;
            return r.jpeg.n_scans > 0 ? IM_NONE : IM_decode_fail;
        }
        if (marker != M_TEM && (marker < M_RST0 || marker > M_RST7))
            reason = read_segment(&r, marker);
    }
    return reason;
}
