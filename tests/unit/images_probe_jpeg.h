/* images_probe_jpeg.h - JPEGs for the tests of the probe, with entropy-coded data that a decoder can read.
 *
 * The coefficients are invented: a function of the block and the index, so no image is kept in memory. Coded are
 * sequential scans and all kinds of progressive ones, with end-of-band runs, corrections and restart intervals. */
#ifndef IMAGES_PROBE_JPEG_H
#define IMAGES_PROBE_JPEG_H

#include "images_probe_fixture.h"

struct jpeg_scan {
    int components[4], n; /* indexes */
    int ss, se, ah, al;
};

struct jpeg_spec {
    uint32_t width, height;
    int n_components, h[4], v[4]; /* 0: 1 */
    bool progressive;
    int restart; /* MCUs; 0: none */
};

struct jpeg_code {
    int code, len;
};

struct jpeg_maker {
    struct nm_buf *out;
    struct jpeg_spec spec;
    struct jpeg_code dc[256], ac[256];
    int h_max, v_max;
    unsigned hold;
    int n_bits;
    int band_run;           /* blocks whose end of band is not written yet */
    uint8_t pending[65536]; /* their correction bits                       */
    int n_pending, to_restart, n_restarts;
};

/* Short codes for what is frequent; 2 and 3 bits, the rest 10. */
static const uint8_t ac_counts[16] = {0, 2, 1, 0, 0, 0, 0, 0, 0, 253};
static const uint8_t dc_counts[16] = {0, 0, 0, 12};

static inline uint8_t ac_symbol(int i)
{
    static const uint8_t first[] = {0x00, 0x01, 0x11};
    int symbol = i - 3;
    if (i < 3)
        return first[i];
    for (size_t k = 0; k < sizeof first; k++)
        symbol += symbol >= first[k]; /* first[] is in order: the others in order, without these */
    return (uint8_t)symbol;
}

static inline uint8_t dc_symbol(int i)
{
    return (uint8_t)i;
}

static inline void make_codes(struct jpeg_code *codes, const uint8_t *counts, uint8_t (*symbol)(int))
{
    int code = 0, i = 0;
    for (int len = 1; len <= 16; len++, code <<= 1)
        for (int n = counts[len - 1]; n > 0; n--)
            codes[symbol(i++)] = (struct jpeg_code){code++, len};
}

static inline void put_bits(struct jpeg_maker *m, unsigned value, int n)
{
    m->hold = m->hold << n | (value & ((1u << n) - 1));
    for (m->n_bits += n; m->n_bits >= 8; m->n_bits -= 8) {
        uint8_t byte = (uint8_t)(m->hold >> (m->n_bits - 8));
        nm_buf_addc(m->out, (char)byte);
        if (byte == 0xFF)
            nm_buf_addc(m->out, 0);
    }
}

static inline void put_symbol(struct jpeg_maker *m, const struct jpeg_code *codes, int symbol)
{
    put_bits(m, (unsigned)codes[symbol].code, codes[symbol].len);
}

/* -1500 to 1500 for k = 0; else mostly 0, seldom large. */
static inline int coefficient(int component, int bx, int by, int k)
{
    uint64_t seed = (uint64_t)(component * 7 + bx * 131 + by * 4099 + k * 65537 + 1);
    uint32_t r = next_random(&seed);
    r ^= next_random(&seed);
    if (k == 0)
        return (int)(r % 3001) - 1500;
    if (r % 4 != 0 || (r >> 8) % 5 == 0)
        return 0;
    int value = (r >> 16) % 6 ? 1 + (int)((r >> 20) % 2) : 1 + (int)((r >> 20) % 40);
    return (r >> 12) & 1 ? -value : value;
}

static inline int size_of(int value)
{
    int size = 0;
    for (int v = value < 0 ? -value : value; v > 0; v >>= 1)
        size++;
    return size;
}

static inline void put_value(struct jpeg_maker *m, int value, int size)
{
    put_bits(m, (unsigned)(value < 0 ? value - 1 : value), size);
}

static inline void put_band_run(struct jpeg_maker *m)
{
    if (m->band_run > 0) {
        int bits = size_of(m->band_run) - 1;
        put_symbol(m, m->ac, bits << 4);
        put_bits(m, (unsigned)m->band_run, bits);
        for (int i = 0; i < m->n_pending; i++)
            put_bits(m, m->pending[i], 1);
    }
    m->band_run = m->n_pending = 0;
}

static inline void put_flush(struct jpeg_maker *m)
{
    put_band_run(m);
    if (m->n_bits > 0)
        put_bits(m, 0x7F, 8 - m->n_bits);
}

static inline void put_sequential_block(struct jpeg_maker *m, int c, int bx, int by)
{
    int dc = coefficient(c, bx, by, 0), run = 0;
    put_symbol(m, m->dc, size_of(dc));
    put_value(m, dc, size_of(dc));
    for (int k = 1; k < 64; k++) {
        int value = coefficient(c, bx, by, k);
        if (value == 0) {
            run++;
            continue;
        }
        for (; run > 15; run -= 16)
            put_symbol(m, m->ac, 0xF0);
        put_symbol(m, m->ac, run << 4 | size_of(value));
        put_value(m, value, size_of(value));
        run = 0;
    }
    if (run > 0)
        put_symbol(m, m->ac, 0);
}

/* What a scan that leaves out the low bits sees of a coefficient. */
static inline int shifted(int value, int al)
{
    return value < 0 ? -(-value >> al) : value >> al;
}

static inline void put_first_block(struct jpeg_maker *m, const struct jpeg_scan *s, int bx, int by)
{
    int run = 0;
    for (int k = s->ss; k <= s->se; k++) {
        int value = shifted(coefficient(s->components[0], bx, by, k), s->al);
        if (value == 0) {
            run++;
            continue;
        }
        put_band_run(m);
        for (; run > 15; run -= 16)
            put_symbol(m, m->ac, 0xF0);
        put_symbol(m, m->ac, run << 4 | size_of(value));
        put_value(m, value, size_of(value));
        run = 0;
    }
    if (run > 0 && ++m->band_run == 0x7FFF)
        put_band_run(m);
}

static inline void put_refined_block(struct jpeg_maker *m, const struct jpeg_scan *s, int bx, int by)
{
    uint8_t corrections[64];
    int run = 0, n = 0, last_new = -1;
    for (int k = s->ss; k <= s->se; k++)
        if (abs(shifted(coefficient(s->components[0], bx, by, k), s->al)) == 1)
            last_new = k;
    for (int k = s->ss; k <= s->se; k++) {
        int value = shifted(coefficient(s->components[0], bx, by, k), s->al);
        if (value == 0) {
            run++;
            continue;
        }
        for (; run > 15 && k <= last_new; run -= 16) {
            put_band_run(m);
            put_symbol(m, m->ac, 0xF0);
            for (int i = 0; i < n; i++)
                put_bits(m, corrections[i], 1);
            n = 0;
        }
        if (abs(value) > 1) {
            corrections[n++] = (uint8_t)(abs(value) & 1);
            continue;
        }
        put_band_run(m);
        put_symbol(m, m->ac, run << 4 | 1);
        put_bits(m, value > 0, 1);
        for (int i = 0; i < n; i++)
            put_bits(m, corrections[i], 1);
        run = n = 0;
    }
    if (run == 0 && n == 0)
        return;
    memcpy(m->pending + m->n_pending, corrections, (size_t)n);
    m->n_pending += n;
    if (++m->band_run == 0x7FFF || m->n_pending > 65000)
        put_band_run(m);
}

static inline void put_block(struct jpeg_maker *m, const struct jpeg_scan *s, int c, int bx, int by)
{
    if (!m->spec.progressive) {
        put_sequential_block(m, c, bx, by);
    } else if (s->ss > 0) {
        if (s->ah > 0)
            put_refined_block(m, s, bx, by);
        else
            put_first_block(m, s, bx, by);
    } else if (s->ah > 0) {
        put_bits(m, (unsigned)(coefficient(c, bx, by, 0) >> s->al), 1);
    } else {
        int dc = shifted(coefficient(c, bx, by, 0), s->al);
        put_symbol(m, m->dc, size_of(dc));
        put_value(m, dc, size_of(dc));
    }
}

static inline void put_restart(struct jpeg_maker *m)
{
    if (m->spec.restart == 0 || m->to_restart-- > 0)
        return;
    put_flush(m);
    put_be(m->out, 0xFFD0u + (unsigned)(m->n_restarts++ & 7), 2);
    m->to_restart = m->spec.restart - 1;
}

static inline int up(int a, int b)
{
    return (a + b - 1) / b;
}

static inline void put_scan_data(struct jpeg_maker *m, const struct jpeg_scan *s)
{
    const struct jpeg_spec *spec = &m->spec;
    int first = s->components[0], width = (int)spec->width, height = (int)spec->height;
    int across = up(width, 8 * m->h_max), down = up(height, 8 * m->v_max);
    if (s->n == 1) {
        across = up(up(width * spec->h[first], m->h_max), 8);
        down = up(up(height * spec->v[first], m->v_max), 8);
    }
    m->to_restart = spec->restart;
    m->n_restarts = 0;
    for (int i = 0; i < across * down; i++) {
        put_restart(m);
        for (int c = 0; c < s->n; c++) {
            int h = s->n == 1 ? 1 : spec->h[s->components[c]], v = s->n == 1 ? 1 : spec->v[s->components[c]];
            for (int b = 0; b < h * v; b++)
                put_block(m, s, s->components[c], i % across * h + b % h, i / across * v + b / h);
        }
    }
    put_flush(m);
}

static inline void put_segment(struct nm_buf *b, int marker, const void *data, size_t len)
{
    put_be(b, 0xFF00u | (unsigned)marker, 2);
    put_be(b, len + 2, 2);
    if (len > 0)
        nm_buf_add(b, data, len);
}

static inline void put_scan(struct jpeg_maker *m, const struct jpeg_scan *s)
{
    struct nm_buf h = {0};
    put_be(&h, (uint64_t)s->n, 1);
    for (int i = 0; i < s->n; i++)
        put_be(&h, (uint64_t)(s->components[i] + 1) << 8, 2);
    put_be(&h, (uint64_t)(m->spec.progressive ? s->ss << 16 | s->se << 8 | s->ah << 4 | s->al : 63 << 8), 3);
    put_segment(m->out, 0xDA, h.data, h.len);
    nm_buf_clear(&h);
    put_scan_data(m, s);
}

static inline void put_frame_header(struct nm_buf *b, int marker, const struct jpeg_spec *spec)
{
    struct nm_buf h = {0};
    put_be(&h, 8, 1);
    put_be(&h, spec->height, 2);
    put_be(&h, spec->width, 2);
    put_be(&h, (uint64_t)spec->n_components, 1);
    for (int i = 0; i < spec->n_components; i++) {
        put_be(&h, (uint64_t)i + 1, 1);
        put_be(&h, (uint64_t)((spec->h[i] ? spec->h[i] : 1) << 4 | (spec->v[i] ? spec->v[i] : 1)), 1);
        put_be(&h, 0, 1);
    }
    put_segment(b, marker, h.data, h.len);
    nm_buf_clear(&h);
}

/* SOI up to the first scan, which put_scan() writes. The maker is large: static in its test. */
static inline void jpeg_open(struct jpeg_maker *m, struct nm_buf *out, const struct jpeg_spec *spec)
{
    struct nm_buf t = {0};
    *m = (struct jpeg_maker){.out = out, .spec = *spec};
    for (int i = 0; i < spec->n_components; i++) {
        m->spec.h[i] = spec->h[i] ? spec->h[i] : 1;
        m->spec.v[i] = spec->v[i] ? spec->v[i] : 1;
        m->h_max = m->spec.h[i] > m->h_max ? m->spec.h[i] : m->h_max;
        m->v_max = m->spec.v[i] > m->v_max ? m->spec.v[i] : m->v_max;
    }
    make_codes(m->dc, dc_counts, dc_symbol);
    make_codes(m->ac, ac_counts, ac_symbol);
    nm_buf_add(out, "\xFF\xD8", 2);
    put_segment(out, 0xE0, "JFIF\0\1\1\0\0\1\0\1\0\0", 14);
    nm_buf_addc(&t, 0);
    for (int i = 0; i < 64; i++)
        nm_buf_addc(&t, 8);
    put_segment(out, 0xDB, t.data, t.len);
    put_frame_header(out, spec->progressive ? 0xC2 : 0xC0, spec);
    nm_buf_reset(&t);
    nm_buf_addc(&t, 0);
    nm_buf_add(&t, dc_counts, 16);
    for (int i = 0; i < 12; i++)
        nm_buf_addc(&t, (char)dc_symbol(i));
    nm_buf_addc(&t, 0x10);
    nm_buf_add(&t, ac_counts, 16);
    for (int i = 0; i < 256; i++)
        nm_buf_addc(&t, (char)ac_symbol(i));
    put_segment(out, 0xC4, t.data, t.len);
    if (spec->restart) {
        nm_buf_reset(&t);
        put_be(&t, (uint64_t)spec->restart, 2);
        put_segment(out, 0xDD, t.data, t.len);
    }
    nm_buf_clear(&t);
}

/* Every coefficient: one scan, or a script with all kinds of progressive ones that ends in a refinement of AC. */
static inline void put_jpeg(struct nm_buf *out, const struct jpeg_spec *spec)
{
    static struct jpeg_maker m;
    struct jpeg_scan all = {.components = {0, 1, 2, 3}, .n = spec->n_components, .se = 63};
    jpeg_open(&m, out, spec);
    if (!spec->progressive) {
        put_scan(&m, &all);
    } else {
        struct jpeg_scan dc = {.components = {0, 1, 2, 3}, .n = spec->n_components, .al = 1};
        put_scan(&m, &dc);
        for (int c = spec->n_components - 1; c >= 0; c--) {
            put_scan(&m, &(struct jpeg_scan){.components = {c}, .n = 1, .ss = 1, .se = 5, .al = 2});
            put_scan(&m, &(struct jpeg_scan){.components = {c}, .n = 1, .ss = 6, .se = 63, .al = 2});
            put_scan(&m, &(struct jpeg_scan){.components = {c}, .n = 1, .ss = 1, .se = 63, .ah = 2, .al = 1});
        }
        dc.ah = 1;
        dc.al = 0;
        put_scan(&m, &dc);
        for (int c = spec->n_components - 1; c >= 0; c--)
            put_scan(&m, &(struct jpeg_scan){.components = {c}, .n = 1, .ss = 1, .se = 63, .ah = 1});
    }
    nm_buf_add(out, "\xFF\xD9", 2);
}

#endif
