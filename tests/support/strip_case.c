/* strip_case.c - images in memory for the tests of strip, see strip_case.h. */
#include "strip_case.h"

#include <stdlib.h>
#include <zlib.h>

static const char before[] = "before"; /* what the buffer holds already */

/* In memory of exactly this size, so that a sanitizer sees each byte too far. */
static enum im_reason strip_exact(const void *data, size_t len, const struct im_facts *facts, bool keep,
                                  struct nm_buf *out)
{
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    if (len)
        memcpy(exact, data, len);
    nm_buf_reset(out);
    nm_buf_adds(out, before);
    enum im_reason reason = im_strip(exact, len, facts, keep, out);
    free(exact);
    assert_true(nm_buf_ok(out));
    assert_memory_equal(out->data, before, strlen(before));
    out->len -= strlen(before);
    memmove(out->data, out->data + strlen(before), out->len);
    return reason;
}

enum im_reason case_strip(const struct nm_buf *in, enum im_type type, int orientation, bool keep, struct nm_buf *copy)
{
    struct im_facts facts = {.type = type, .orientation = orientation};
    struct nm_buf again = {0};
    enum im_reason reason = strip_exact(in->data, in->len, &facts, keep, copy);
    if (reason != IM_NONE) {
        assert_int_equal(copy->len, 0);
        return reason;
    }
    assert_true(copy->len <= in->len + IM_STRIP_MORE);
    facts.orientation = 0;
    assert_int_equal(strip_exact(copy->data, copy->len, &facts, keep, &again), IM_NONE);
    assert_int_equal(again.len, copy->len);
    assert_memory_equal(again.data, copy->data, copy->len);
    nm_buf_clear(&again);
    return IM_NONE;
}

void case_gives(const struct nm_buf *in, enum im_type type, const struct nm_buf *want)
{
    struct nm_buf copy = {0};
    assert_int_equal(case_strip(in, type, 0, true, &copy), IM_NONE);
    for (size_t i = 0; i < copy.len && i < want->len; i++)
        if (copy.data[i] != want->data[i])
            fail_msg("byte %zu is %02x, not %02x", i, (uint8_t)copy.data[i], (uint8_t)want->data[i]);
    assert_int_equal(copy.len, want->len);
    nm_buf_clear(&copy);
}

void case_broken(const struct nm_buf *in, enum im_type type, const char *what)
{
    struct nm_buf copy = {0};
    if (case_strip(in, type, 0, true, &copy) != IM_decode_fail)
        fail_msg("not refused: %s", what);
    nm_buf_clear(&copy);
}

bool case_has(const struct nm_buf *haystack, const void *needle, size_t len)
{
    for (size_t i = 0; i + len <= haystack->len; i++)
        if (memcmp(haystack->data + i, needle, len) == 0)
            return true;
    return false;
}

void case_le(struct nm_buf *out, uint32_t n, int bytes)
{
    for (int i = 0; i < bytes; i++)
        nm_buf_addc(out, (char)(n >> 8 * i));
}

void case_be(struct nm_buf *out, uint32_t n, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        nm_buf_addc(out, (char)(n >> 8 * i));
}

/* ---- metadata ---- */

void case_entry(struct nm_buf *out, uint32_t tag, uint32_t type, uint32_t count, uint32_t value)
{
    case_be(out, tag, 2);
    case_be(out, type, 2);
    case_be(out, count, 4);
    case_be(out, value, 4);
}

static void either(struct nm_buf *out, bool little, uint32_t n, int bytes)
{
    (little ? case_le : case_be)(out, n, bytes);
}

static void add_entry(struct nm_buf *out, bool little, uint32_t tag, uint32_t type, uint32_t count, uint32_t value)
{
    either(out, little, tag, 2);
    either(out, little, type, 2);
    either(out, little, count, 4);
    if (type == 3 && count == 1) { /* a SHORT stands in the first two bytes */
        either(out, little, value, 2);
        value = 0;
    }
    either(out, little, value, type == 3 && count == 1 ? 2 : 4);
}

static void add_field(struct nm_buf *out, const char *text)
{
    char field[64] = {0};
    memcpy(field, text, strlen(text));
    nm_buf_add(out, field, sizeof field);
}

void case_tiff(struct nm_buf *out, const struct case_tiff *tiff)
{
    enum { ENTRIES = 6, VALUES = 8 + 2 + ENTRIES * 12 + 4, SUB = VALUES + 3 * 64, SUB_BYTES = 2 + 12 + 4 };
    bool little = tiff->little;
    const char *artist = tiff->artist ? tiff->artist : "", *copyright = tiff->copyright ? tiff->copyright : "";
    nm_buf_adds(out, little ? "II" : "MM");
    either(out, little, 42, 2);
    either(out, little, 8, 4);
    either(out, little, ENTRIES, 2);
    add_entry(out, little, 0x010F, 2, 64, VALUES); /* make */
    add_entry(out, little, 0x0112, 3, 1, (uint32_t)tiff->orientation);
    add_entry(out, little, 0x013B, 2, 64, VALUES + 64);
    add_entry(out, little, 0x8298, 2, 64, VALUES + 128);
    add_entry(out, little, 0x8769, 4, 1, SUB);             /* EXIF */
    add_entry(out, little, 0x8825, 4, 1, SUB + SUB_BYTES); /* GPS */
    either(out, little, SUB + 2 * SUB_BYTES, 4);           /* the thumbnail's directory */
    add_field(out, "PRIVATE camera");
    add_field(out, artist);
    add_field(out, copyright);
    static const uint32_t subs[][2] = {{0x927C, 7}, {0x0002, 2}, {0x0201, 7}}; /* maker note, latitude, thumbnail */
    for (size_t i = 0; i < COUNT(subs); i++) {
        either(out, little, 1, 2);
        add_entry(out, little, subs[i][0], subs[i][1], 64, SUB + 3 * SUB_BYTES);
        either(out, little, 0, 4);
    }
    add_field(out, "PRIVATE note, place, small picture");
}

void case_set(struct nm_buf *out, int record, int number, const char *text)
{
    nm_buf_addc(out, 0x1C);
    nm_buf_addc(out, (char)record);
    nm_buf_addc(out, (char)number);
    case_be(out, (uint32_t)strlen(text), 2);
    nm_buf_adds(out, text);
}

void case_8bim(struct nm_buf *out, uint32_t id, const struct nm_buf *data)
{
    nm_buf_adds(out, "8BIM");
    case_be(out, id, 2);
    case_be(out, 0, 2);
    case_be(out, (uint32_t)data->len, 4);
    nm_buf_add(out, data->data, data->len);
    if (data->len & 1)
        nm_buf_addc(out, 0);
}

void case_icc(struct nm_buf *out, size_t size)
{
    size_t start = out->len;
    case_be(out, (uint32_t)size, 4);
    nm_buf_adds(out, "none");
    while (out->len - start < 36)
        nm_buf_addc(out, 0);
    nm_buf_adds(out, "acsp");
    for (uint32_t i = 0; out->len - start < size; i++)
        nm_buf_addc(out, (char)(i * 2654435761U >> 24));
}

/* ---- JPEG ---- */

void case_segment(struct nm_buf *out, int marker, const void *body, size_t len)
{
    nm_buf_addc(out, (char)0xFF);
    nm_buf_addc(out, (char)marker);
    case_be(out, (uint32_t)len + 2, 2);
    nm_buf_add(out, body, len);
}

void case_exif(struct nm_buf *out, const struct case_tiff *tiff)
{
    struct nm_buf body = {0};
    ADD(&body, "Exif\0\0");
    case_tiff(&body, tiff);
    case_segment(out, 0xE1, body.data, body.len);
    nm_buf_clear(&body);
}

void case_icc_part(struct nm_buf *out, int number, int count, const void *data, size_t len)
{
    struct nm_buf body = {0};
    ADD(&body, "ICC_PROFILE\0");
    nm_buf_addc(&body, (char)number);
    nm_buf_addc(&body, (char)count);
    nm_buf_add(&body, data, len);
    case_segment(out, 0xE2, body.data, body.len);
    nm_buf_clear(&body);
}

void case_jpeg_picture(struct nm_buf *out)
{
    char table[65] = {0};
    memset(table + 1, 7, 64);
    case_segment(out, 0xDB, table, sizeof table);
    SEGMENT(out, 0xC0, "\x08\x00\x08\x00\x08\x01\x01\x11\x00");
    SEGMENT(out, 0xC4, "\x00\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\3");
    SEGMENT(out, 0xDD, "\0\4");
    SEGMENT(out, 0xDA, "\x01\x01\x00\x00\x3F\x00");
    ADD(out, "one\xFF\x00two\xFF\xD0three\xFF\xD9");
}

/* ---- PNG ---- */

void case_png_chunk(struct nm_buf *out, const char *type, const void *body, size_t len)
{
    size_t at = out->len;
    case_be(out, (uint32_t)len, 4);
    nm_buf_adds(out, type);
    nm_buf_add(out, body, len);
    case_be(out, (uint32_t)crc32(0, (const Bytef *)out->data + at + 4, (uInt)len + 4), 4);
}

void case_png_start(struct nm_buf *out)
{
    ADD(out, "\x89PNG\r\n\x1A\n");
    CHUNK(out, "IHDR", "\0\0\0\2\0\0\0\2\x08\0\0\0\0");
}

void case_png_data(struct nm_buf *out)
{
    static const Bytef rows[] = {0, 10, 20, 0, 30, 40};
    Bytef packed[64];
    uLongf n = sizeof packed;
    assert_int_equal(compress(packed, &n, rows, sizeof rows), Z_OK);
    case_png_chunk(out, "IDAT", packed, n);
}

/* ---- GIF ---- */

void case_gif_start(struct nm_buf *out)
{
    ADD(out, "GIF89a\2\0\2\0\x80\0\0\0\0\0\xFF\xFF\xFF");
}

void case_gif_frame(struct nm_buf *out)
{
    ADD(out, "\x2C\0\0\0\0\2\0\2\0\x80\1\2\3\4\5\6\2\3\x84\x51\x05\0"); /* with a colour table of its own */
}

/* ---- WebP ---- */

void case_riff(struct nm_buf *out, const char *type, const void *body, size_t len)
{
    nm_buf_adds(out, type);
    case_le(out, (uint32_t)len, 4);
    nm_buf_add(out, body, len);
    if (len & 1)
        nm_buf_addc(out, 0);
}

void case_webp_start(struct nm_buf *out)
{
    ADD(out, "RIFF????WEBP");
}

void case_webp_vp8x(struct nm_buf *out, int flags)
{
    const char body[10] = {(char)flags, 0, 0, 0, 7, 0, 0, 7, 0, 0};
    case_riff(out, "VP8X", body, sizeof body);
}

void case_webp_end(struct nm_buf *out)
{
    for (int i = 0; i < 4; i++)
        out->data[4 + i] = (char)((out->len - 8) >> 8 * i);
}

/* ---- samples ---- */

static const struct case_tiff sample_tiff = {true, 6, "Ada Vance", "Harbour Gazette"};

static void jpeg_sample(struct nm_buf *out)
{
    struct nm_buf part = {0}, payload = {0};
    ADD(out, "\xFF\xD8");
    SEGMENT(out, 0xE0, "JFIF\0\1\2\1\0\x48\0\x48\1\1abc");
    case_exif(out, &sample_tiff);
    case_set(&part, 2, 80, "Ada Vance");
    case_set(&part, 2, 90, "PRIVATE city");
    case_set(&part, 2, 116, "Harbour Gazette");
    ADD(&payload, "Photoshop 3.0\0");
    case_8bim(&payload, 0x0404, &part);
    case_segment(out, 0xED, payload.data, payload.len);
    nm_buf_reset(&part);
    case_icc(&part, 200);
    case_icc_part(out, 1, 2, part.data, 150);
    case_icc_part(out, 2, 2, part.data + 150, 50);
    SEGMENT(out, 0xEE, "Adobe\0\x64\0\0\0\0\1");
    SEGMENT(out, 0xFE, "PRIVATE comment");
    case_jpeg_picture(out);
    ADD(out, "PRIVATE tail");
    nm_buf_clear(&part);
    nm_buf_clear(&payload);
}

static void png_sample(struct nm_buf *out)
{
    struct nm_buf part = {0};
    Bytef packed[400];
    uLongf n = sizeof packed;
    case_png_start(out);
    CHUNK(out, "gAMA", "\0\0\xB1\x8F");
    case_icc(&part, 200);
    assert_int_equal(compress(packed, &n, (const Bytef *)part.data, part.len), Z_OK);
    nm_buf_reset(&part);
    ADD(&part, "PRIVATE name\0\0");
    nm_buf_add(&part, packed, n);
    case_png_chunk(out, "iCCP", part.data, part.len);
    nm_buf_reset(&part);
    case_tiff(&part, &sample_tiff);
    case_png_chunk(out, "eXIf", part.data, part.len);
    CHUNK(out, "tEXt", "Author\0Ada Vance");
    CHUNK(out, "iTXt", "Copyright\0\0\0en\0Rechte\0Harbour Gazette");
    CHUNK(out, "acTL", "\0\0\0\1\0\0\0\0");
    CHUNK(out, "fcTL", "\0\0\0\0\0\0\0\2\0\0\0\2\0\0\0\0\0\0\0\0\0\1\0\1\0\0");
    case_png_data(out);
    CHUNK(out, "IEND", "");
    ADD(out, "PRIVATE tail");
    nm_buf_clear(&part);
}

static void gif_sample(struct nm_buf *out)
{
    case_gif_start(out);
    ADD(out, "\x21\xFF\x0BNETSCAPE2.0\3\1\0\0\0\x21\xFE\7PRIVATE\0\x21\xF9\4\4\x0A\0\1\0");
    case_gif_frame(out);
    ADD(out, "\x21\x01\x0C............\7PRIVATE\0\x3BPRIVATE tail");
}

static void webp_sample(struct nm_buf *out)
{
    struct nm_buf part = {0};
    case_webp_start(out);
    case_webp_vp8x(out, 0x2E);
    case_icc(&part, 200);
    case_riff(out, "ICCP", part.data, part.len);
    RIFF(out, "ANIM", "\xFF\xFF\xFF\xFF\0\0");
    nm_buf_reset(&part);
    ADD(&part, "0123456789abcdef");
    RIFF(&part, "ALPH", "alpha");
    RIFF(&part, "junk", "PRIVATE");
    RIFF(&part, "VP8 ", "picture");
    case_riff(out, "ANMF", part.data, part.len);
    nm_buf_reset(&part);
    case_tiff(&part, &sample_tiff);
    case_riff(out, "EXIF", part.data, part.len);
    RIFF(out, "XMP ", "PRIVATE");
    case_webp_end(out);
    ADD(out, "PRIVATE tail");
    nm_buf_clear(&part);
}

void case_sample(struct nm_buf *out, enum im_type type)
{
    nm_buf_reset(out);
    if (type == IM_JPEG)
        jpeg_sample(out);
    else if (type == IM_PNG)
        png_sample(out);
    else if (type == IM_GIF)
        gif_sample(out);
    else
        webp_sample(out);
}
