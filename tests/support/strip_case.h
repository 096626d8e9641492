/* strip_case.h - images in memory for the tests of strip, built from parts. All of it is invented.
 *
 * The pictures are the smallest that have every part; what must not get into a copy holds the word PRIVATE. */
#ifndef NM_TEST_STRIP_CASE_H
#define NM_TEST_STRIP_CASE_H

#include "images/strip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array)                  (sizeof(array) / sizeof *(array))
#define ADD(out, literal)             nm_buf_add(out, literal, sizeof(literal) - 1)
#define HAS(haystack, literal)        case_has(haystack, literal, sizeof(literal) - 1)
#define SEGMENT(out, marker, literal) case_segment(out, marker, literal, sizeof(literal) - 1)
#define CHUNK(out, type, literal)     case_png_chunk(out, type, literal, sizeof(literal) - 1)
#define RIFF(out, type, literal)      case_riff(out, type, literal, sizeof(literal) - 1)

/* Strips `in` and puts the copy into *copy, which is emptied first. Checks what holds for every image: a failure leaves
 * the buffer as it was, a copy has its bound, and the copy of a copy is that copy. */
enum im_reason case_strip(const struct nm_buf *in, enum im_type type, int orientation, bool keep, struct nm_buf *copy);
/* The same with orientation 0 and the texts kept; fails the test unless the copy is exactly `want`. */
void case_gives(const struct nm_buf *in, enum im_type type, const struct nm_buf *want);
/* Fails the test unless it is refused. */
void case_broken(const struct nm_buf *in, enum im_type type, const char *what);

bool case_has(const struct nm_buf *haystack, const void *needle, size_t len);
void case_le(struct nm_buf *out, uint32_t n, int bytes);
void case_be(struct nm_buf *out, uint32_t n, int bytes);

/* ---- metadata ---- */

struct case_tiff {
    bool little;
    int orientation;
    const char *artist, *copyright; /* at most 63 bytes */
};
/* With camera, serial number, maker note, GPS and a thumbnail, each PRIVATE. */
void case_tiff(struct nm_buf *out, const struct case_tiff *tiff);
/* An entry of a big-endian directory. */
void case_entry(struct nm_buf *out, uint32_t tag, uint32_t type, uint32_t count, uint32_t value);
void case_set(struct nm_buf *out, int record, int number, const char *text); /* an IPTC data set         */
void case_8bim(struct nm_buf *out, uint32_t id, const struct nm_buf *data);  /* a resource of Photoshop's */
void case_icc(struct nm_buf *out, size_t size);                              /* a profile of `size` bytes, >= 128 */

/* ---- JPEG ---- */

void case_segment(struct nm_buf *out, int marker, const void *body, size_t len);
void case_exif(struct nm_buf *out, const struct case_tiff *tiff); /* APP1 */
void case_icc_part(struct nm_buf *out, int number, int count, const void *data, size_t len);
void case_jpeg_picture(struct nm_buf *out); /* everything from DQT to EOI */

/* ---- PNG, GIF, WebP ---- */

void case_png_chunk(struct nm_buf *out, const char *type, const void *body, size_t len);
void case_png_start(struct nm_buf *out); /* signature and IHDR */
void case_png_data(struct nm_buf *out);  /* IDAT               */
void case_gif_start(struct nm_buf *out); /* header, screen and its colour table */
void case_gif_frame(struct nm_buf *out);
void case_riff(struct nm_buf *out, const char *type, const void *body, size_t len);
void case_webp_start(struct nm_buf *out);
void case_webp_vp8x(struct nm_buf *out, int flags);
void case_webp_end(struct nm_buf *out); /* tells RIFF its size */

/* A good image with everything that one may hold, for mutations. */
void case_sample(struct nm_buf *out, enum im_type type);

#endif
