/* images_probe_fixture.h - images of every kind, written byte by byte, and how tests ask the probe about them.
 *
 * PNG, GIF, WebP and AVIF have the structure of good files with invented pixels (the probe decodes none); JPEG is in
 * images_probe_jpeg.h. A builder appends to an nm_buf, so that a test can add, cut or change bytes before it asks. */
#ifndef IMAGES_PROBE_FIXTURE_H
#define IMAGES_PROBE_FIXTURE_H

#include "images/probe.h"

#include "newsmill/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

/* Small enough for tests to exceed each; the minima let tiny images through. */
static const struct im_limits test_limits = {.max_pixels = 1000000,
                                             .max_gif_pixels = 250000,
                                             .max_total_pixels = 2000000,
                                             .min_bytes = 20,
                                             .metadata_bytes = 1048576,
                                             .max_edge = 4096,
                                             .min_edge = 1,
                                             .max_frames = 16,
                                             .max_scans = 20};

/* ---- bytes ---- */

static inline void put_be(struct nm_buf *b, uint64_t value, int bytes)
{
    while (bytes > 0)
        nm_buf_addc(b, (char)(uint8_t)(value >> (8 * --bytes)));
}

static inline void put_le(struct nm_buf *b, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        nm_buf_addc(b, (char)(uint8_t)(value >> (8 * i)));
}

static inline void put_zeros(struct nm_buf *b, size_t n)
{
    for (; n > 0; n--)
        nm_buf_addc(b, 0);
}

/* A small generator of numbers that are the same in each run. */
static inline uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* ---- asking ---- */

/* The file in memory of exactly its size, so that a sanitizer sees each byte read behind it. */
static inline enum im_reason ask(enum im_reason (*probe)(const uint8_t *, size_t, const struct im_limits *,
                                                         struct im_facts *),
                                 const void *data, size_t len, const struct im_limits *limits, struct im_facts *facts)
{
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    if (len > 0)
        memcpy(exact, data, len);
    enum im_reason reason = probe(exact, len, limits, facts);
    free(exact);
    return reason;
}

static inline enum im_reason ask_file(const struct nm_buf *b, struct im_facts *facts)
{
    assert_true(nm_buf_ok(b));
    return ask(im_probe_file, b->data, b->len, &test_limits, facts);
}

/* Checks the reason, and that the facts are untouched by a refusal; clears the buffer. */
static inline void expect_at(int line, struct nm_buf *b, enum im_reason want)
{
    struct im_facts facts, before;
    memset(&facts, 0x5A, sizeof facts);
    before = facts;
    enum im_reason got = ask_file(b, &facts);
    if (got != want)
        fail_msg("line %d: %s instead of %s", line, im_reason_name(got), im_reason_name(want));
    if (want != IM_NONE && facts.type != IM_AVIF)
        assert_memory_equal(&facts, &before, sizeof facts);
    nm_buf_clear(b);
}
#define EXPECT(b, want) expect_at(__LINE__, (b), IM_##want)

/* The facts of a good file; clears the buffer. */
static inline struct im_facts facts_of(struct nm_buf *b)
{
    struct im_facts facts = {0};
    enum im_reason reason = ask_file(b, &facts);
    if (reason != IM_NONE)
        fail_msg("a good file is %s", im_reason_name(reason));
    nm_buf_clear(b);
    return facts;
}

/* ---- EXIF ---- */

struct exif {
    bool big;
    int entries;     /* before the orientation */
    int orientation; /* 0: no such entry       */
    uint32_t offset; /* of IFD 0; 0: 8         */
};

static inline void put_exif(struct nm_buf *b, const struct exif *e)
{
    void (*put)(struct nm_buf *, uint64_t, int) = e->big ? put_be : put_le;
    nm_buf_add(b, e->big ? "MM\0*" : "II*\0", 4);
    put(b, e->offset ? e->offset : 8, 4);
    put(b, (uint64_t)(e->entries + (e->orientation != 0)), 2);
    for (int i = 0; i <= e->entries; i++) {
        if (i == e->entries && !e->orientation)
            break;
        put(b, i < e->entries ? 0x0100 : 0x0112, 2);
        put(b, 3, 2);
        put(b, 1, 4);
        put(b, i < e->entries ? 7 : (uint64_t)e->orientation, 2);
        put(b, 0, 2);
    }
    put(b, 8, 4); /* the next directory is this one again */
}

/* ---- PNG ---- */

static inline void put_chunk(struct nm_buf *b, const char *name, const void *data, size_t len)
{
    put_be(b, len, 4);
    size_t from = b->len;
    nm_buf_add(b, name, 4);
    if (len > 0)
        nm_buf_add(b, data, len);
    assert_true(nm_buf_ok(b));
    put_be(b, crc32(0, (const Bytef *)b->data + from, (uInt)(len + 4)), 4);
}

/* Signature and IHDR. */
static inline void put_png_header(struct nm_buf *b, uint32_t width, uint32_t height, int depth, int color, int adam7)
{
    struct nm_buf h = {0};
    nm_buf_add(b, "\x89PNG\r\n\x1A\n", 8);
    put_be(&h, width, 4);
    put_be(&h, height, 4);
    put_be(&h, (uint64_t)depth, 1);
    put_be(&h, (uint64_t)color, 1);
    put_be(&h, (uint64_t)adam7, 3); /* compression and filter are 0 */
    put_chunk(b, "IHDR", h.data, h.len);
    nm_buf_clear(&h);
}

static inline void put_png_end(struct nm_buf *b)
{
    static const uint8_t pixels[40] = {0x78, 0x9C, 1, 2, 3, 4, 5};
    put_chunk(b, "IDAT", pixels, sizeof pixels);
    put_chunk(b, "IDAT", pixels, 17);
    put_chunk(b, "IEND", NULL, 0);
}

static inline void put_png(struct nm_buf *b, uint32_t width, uint32_t height, int depth, int color, int adam7)
{
    put_png_header(b, width, height, depth, color, adam7);
    if (color == 3)
        put_chunk(b, "PLTE", "redgrnblu", 9);
    put_png_end(b);
}

/* ---- GIF ---- */

static inline void put_gif_header(struct nm_buf *b, const char *version, uint32_t width, uint32_t height)
{
    nm_buf_adds(b, version);
    put_le(b, width, 2);
    put_le(b, height, 2);
    nm_buf_add(b, "\x81\0\0", 3); /* a table of 4 colours */
    nm_buf_add(b, "redgrnblublk", 12);
}

struct gif_frame {
    uint32_t x, y, width, height;
    int packed, code_bits, blocks; /* 0 code bits: 2; blocks of 5 bytes, 0: 2, -1: none */
};

static inline void put_gif_frame(struct nm_buf *b, const struct gif_frame *f)
{
    nm_buf_addc(b, ',');
    put_le(b, f->x, 2);
    put_le(b, f->y, 2);
    put_le(b, f->width, 2);
    put_le(b, f->height, 2);
    put_le(b, (uint64_t)f->packed, 1);
    if (f->packed & 0x80)
        put_zeros(b, (size_t)3 << ((f->packed & 7) + 1));
    put_le(b, f->code_bits ? (uint64_t)f->code_bits : 2, 1);
    for (int i = f->blocks ? f->blocks : 2; i > 0; i--)
        nm_buf_add(b, "\x05,;!\0\x2C", 6); /* looks like other blocks, and is none */
    nm_buf_addc(b, 0);
}

/* ---- WebP ---- */

static inline void put_riff(struct nm_buf *b, const char *name, const void *data, size_t len)
{
    nm_buf_add(b, name, 4);
    put_le(b, len, 4);
    if (len > 0)
        nm_buf_add(b, data, len);
    put_zeros(b, len & 1);
}

/* Begins a file; webp_close() writes its size. */
static inline void put_webp(struct nm_buf *b)
{
    nm_buf_add(b, "RIFF\0\0\0\0WEBP", 12);
}

static inline void webp_close(struct nm_buf *b)
{
    assert_true(nm_buf_ok(b));
    for (int i = 0; i < 4; i++)
        b->data[4 + i] = (char)(uint8_t)((b->len - 8) >> (8 * i));
}

static inline void put_vp8(struct nm_buf *b, uint32_t width, uint32_t height)
{
    struct nm_buf v = {0};
    put_le(&v, 9u << 5 | 1u << 4, 3); /* shown key frame, first partition of 9 bytes */
    nm_buf_add(&v, "\x9D\x01\x2A", 3);
    put_le(&v, width, 2);
    put_le(&v, height, 2);
    nm_buf_add(&v, "invented pixels", 15);
    put_riff(b, "VP8 ", v.data, v.len);
    nm_buf_clear(&v);
}

static inline void put_vp8l(struct nm_buf *b, uint32_t width, uint32_t height, uint32_t alpha)
{
    struct nm_buf v = {0};
    nm_buf_addc(&v, 0x2F);
    put_le(&v, (width - 1) | (height - 1) << 14 | alpha << 28, 4);
    nm_buf_add(&v, "invented pixels", 15);
    put_riff(b, "VP8L", v.data, v.len);
    nm_buf_clear(&v);
}

static inline void put_vp8x(struct nm_buf *b, int flags, uint32_t width, uint32_t height)
{
    struct nm_buf v = {0};
    put_le(&v, (uint64_t)flags, 4);
    put_le(&v, width - 1, 3);
    put_le(&v, height - 1, 3);
    put_riff(b, "VP8X", v.data, v.len);
    nm_buf_clear(&v);
}

struct webp_frame {
    uint32_t x, y, width, height;           /* x and y are even              */
    uint32_t picture_width, picture_height; /* of the bitstream; 0: the same */
    bool lossless;
};

static inline void put_webp_frame(struct nm_buf *b, const struct webp_frame *f)
{
    struct nm_buf v = {0};
    uint32_t width = f->picture_width ? f->picture_width : f->width;
    uint32_t height = f->picture_height ? f->picture_height : f->height;
    put_le(&v, f->x / 2, 3);
    put_le(&v, f->y / 2, 3);
    put_le(&v, f->width - 1, 3);
    put_le(&v, f->height - 1, 3);
    put_le(&v, 100, 4); /* milliseconds, flags */
    if (f->lossless) {
        put_vp8l(&v, width, height, 1);
    } else {
        put_riff(&v, "ALPH", "\0alpha", 6);
        put_vp8(&v, width, height);
    }
    put_riff(b, "ANMF", v.data, v.len);
    nm_buf_clear(&v);
}

/* ---- AVIF ---- */

static inline void put_box(struct nm_buf *b, const char *name, const struct nm_buf *content)
{
    put_be(b, content->len + 8, 4);
    nm_buf_add(b, name, 4);
    if (content->len > 0)
        nm_buf_add(b, content->data, content->len);
}

/* An item 7 with the properties 2 (size) and 3 (turns); the item 6 has the size 1 and is not the main one. */
static inline void put_avif(struct nm_buf *b, uint32_t width, uint32_t height, int turns)
{
    struct nm_buf one = {0}, ipco = {0}, iprp = {0}, meta = {0};
    nm_buf_add(&one, "avif\0\0\0\0avifmif1", 16);
    put_box(b, "ftyp", &one);
    put_be(&meta, 0, 4);
    nm_buf_reset(&one);
    nm_buf_add(&one, "\0\0\0\0\0\x07", 6);
    put_box(&meta, "pitm", &one);
    for (uint32_t size = 0; size < 2; size++) {
        nm_buf_reset(&one);
        put_be(&one, 0, 4);
        put_be(&one, size ? width : 160, 4);
        put_be(&one, size ? height : 160, 4);
        put_box(&ipco, "ispe", &one);
    }
    nm_buf_reset(&one);
    put_be(&one, (uint64_t)turns, 1);
    put_box(&ipco, "irot", &one);
    put_box(&iprp, "ipco", &ipco);
    nm_buf_reset(&one);
    nm_buf_add(&one, "\0\0\0\0\0\0\0\x02\0\x06\x01\x01\0\x07\x02\x82\x83", 17);
    put_box(&iprp, "ipma", &one);
    put_box(&meta, "iprp", &iprp);
    put_box(b, "meta", &meta);
    nm_buf_reset(&one);
    put_zeros(&one, 30);
    put_box(b, "mdat", &one);
    nm_buf_clear(&one);
    nm_buf_clear(&ipco);
    nm_buf_clear(&iprp);
    nm_buf_clear(&meta);
}

#endif
