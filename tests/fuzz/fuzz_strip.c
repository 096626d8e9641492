/* fuzz_strip.c - any bytes as an image whose public copy is made.
 *
 * A copy is deterministic, has its bound, ends where its format ends, holds no private block, and the copy of the copy
 * is that copy, whatever the facts said first. A refusal leaves the buffer alone. Half of the mutants of a PNG get
 * right CRCs, so that what stands behind them is reached.
 *
 *   cmake -DNM_FUZZ=ON -DNM_SANITIZE=address,undefined …; fuzz_strip tests/fuzz/corpus/strip */
#include "images/strip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static struct nm_buf first, second;

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "broken: %s\n", what);
    abort();
}

static bool same(const struct nm_buf *a, const struct nm_buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static bool ends_with(const struct nm_buf *copy, const char *end, size_t len)
{
    return copy->len >= len && memcmp(copy->data + copy->len - len, end, len) == 0;
}

static void check_end(const struct nm_buf *copy, enum im_type type)
{
    const uint8_t *p = (const uint8_t *)copy->data;
    if (type == IM_JPEG)
        require(ends_with(copy, "\xFF\xD9", 2), "EOI");
    else if (type == IM_PNG)
        require(ends_with(copy, "\0\0\0\0IEND\xAE\x42\x60\x82", 12), "IEND");
    else if (type == IM_GIF)
        require(ends_with(copy, "\x3B", 1), "trailer");
    else
        require(copy->len == 8 + ((size_t)p[4] | (size_t)p[5] << 8 | (size_t)p[6] << 16 | (size_t)p[7] << 24), "size");
}

/* Segments up to the first scan, by a reader of its own. */
static void check_jpeg(const struct nm_buf *copy)
{
    const uint8_t *p = (const uint8_t *)copy->data;
    for (size_t at = 2; p[at + 1] != 0xDA;) {
        require(p[at] == 0xFF && at + 4 < copy->len, "segments follow each other");
        uint8_t marker = p[at + 1];
        bool app = (marker >= 0xE0 && marker <= 0xEF) || marker == 0xFE;
        require(!app || marker == 0xE0 || marker == 0xE1 || marker == 0xE2 || marker == 0xED || marker == 0xEE, "APPn");
        require(marker != 0xE1 || memcmp(p + at + 4, "Exif\0\0MM\0*\0\0\0\x08", 14) == 0, "our EXIF");
        at += 2 + ((size_t)p[at + 2] << 8 | p[at + 3]);
    }
}

static void check_png(const struct nm_buf *copy)
{
    static const char known[] = "IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV mDCv cLLI cLLi bKGD pHYs "
                                "acTL fcTL fdAT eXIf tEXt iTXt";
    const uint8_t *p = (const uint8_t *)copy->data;
    for (size_t at = 8; at < copy->len;) {
        char type[5] = {0};
        size_t n = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];
        memcpy(type, p + at + 4, 4);
        require(strstr(known, type) != NULL, "a chunk that stays");
        require(n <= copy->len - at - 12, "a whole chunk");
        at += n + 12;
    }
}

static void strip(const uint8_t *data, size_t size, enum im_type type, int orientation, bool keep)
{
    struct im_facts facts = {.type = type, .orientation = orientation};
    nm_buf_reset(&first);
    nm_buf_adds(&first, "+");
    enum im_reason reason = im_strip(data, size, &facts, keep, &first);
    if (reason != IM_NONE) {
        require(reason == IM_decode_fail && first.len == 1 && first.data[0] == '+',
                "a refusal leaves the buffer alone");
        return;
    }
    memmove(first.data, first.data + 1, --first.len);
    require(first.len <= size + IM_STRIP_MORE, "the bound");
    nm_buf_reset(&second);
    require(im_strip(data, size, &facts, keep, &second) == IM_NONE && same(&first, &second), "the same again");
    facts.orientation = 0;
    nm_buf_reset(&second);
    reason = im_strip((const uint8_t *)first.data, first.len, &facts, keep, &second);
    require(reason == IM_NONE && same(&first, &second), "a copy of the copy");
    check_end(&first, type);
    if (type == IM_JPEG)
        check_jpeg(&first);
    else if (type == IM_PNG)
        check_png(&first);
}

static enum im_type type_of(const uint8_t *data, size_t size)
{
    if (size < 4)
        return IM_UNKNOWN;
    return data[0] == 0xFF ? IM_JPEG : data[0] == 0x89 ? IM_PNG : data[0] == 'G' ? IM_GIF : IM_WEBP;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum im_type type = type_of(data, size);
    if (type == IM_UNKNOWN)
        return 0;
    strip(data, size, type, 0, true);
    strip(data, size, type, (int)(size % 9), false);
    return 0;
}

static void repair_crcs(uint8_t *data, size_t size)
{
    for (size_t at = 8; size >= 12 && at <= size - 12;) {
        size_t n = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
        if (n > size - 12 - at)
            return;
        uint32_t crc = (uint32_t)crc32_z(0, data + at + 4, n + 4);
        for (int i = 0; i < 4; i++)
            data[at + 8 + n + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += n + 12;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (type_of(data, size) == IM_PNG && seed % 2)
        repair_crcs(data, size);
    return size;
}
