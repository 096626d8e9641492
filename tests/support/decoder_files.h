/* decoder_files.h - pictures drawn by the tests of the decoder, written by the libraries, and read back.
 *
 * Every function ends the test on a failure. Buffers are the caller's to clear. */
#ifndef TEST_DECODER_FILES_H
#define TEST_DECODER_FILES_H

#include "newsmill/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct df_picture {
    int width, height, channels; /* 1 grey, 2 with alpha, 3 RGB, 4 with alpha */
    uint8_t *data;               /* free it */
};

/* Slopes of light with a disc on them: smooth enough that a good codec keeps it within a few steps of 255. */
struct df_picture df_draw(int width, int height, int channels);

/* The same picture, its orientation `orientation` undone the slow way: as a browser shows it. */
struct df_picture df_upright(const struct df_picture *picture, int orientation);

/* The exact area average, in floating point, alpha weighted; with 2 or 4 channels on white if `flat`. */
struct df_picture df_average(const struct df_picture *picture, int width, int height, bool flat);

/* On white, in place: 3 channels or 1 are left. */
void df_flatten(struct df_picture *picture);

/* A colour profile with nothing but a header that libpng accepts; space: "RGB " or "GRAY"; len: 132 to 65535. */
void df_profile(const char *space, uint8_t *icc, size_t len);

struct df_jpeg {
    int quality;
    bool progressive, cmyk; /* cmyk: Adobe's inverted inks of an RGB picture */
    bool full_chroma;       /* no subsampling */
    const void *icc;
    unsigned icc_len;
};
void df_jpeg(const struct df_picture *picture, const struct df_jpeg *how, struct nm_buf *out);

struct df_png {
    int depth; /* 8 or 16; with `palette` 8 */
    bool adam7, palette;
    const void *icc;
    unsigned icc_len;
    const char *text; /* a zTXt chunk of it, of text_len bytes */
    size_t text_len;
    const char *copyright; /* a tEXt chunk */
};
void df_png(const struct df_picture *picture, const struct df_png *how, struct nm_buf *out);

struct df_gif {
    int screen_width, screen_height, left, top;
    bool interlaced, clear; /* clear: the palette's colour 0 is transparent */
    int frames;
};
/* Grey pictures only: the palette is the 256 greys. */
void df_gif(const struct df_picture *picture, const struct df_gif *how, struct nm_buf *out);

void df_webp(const struct df_picture *picture, bool lossless, struct nm_buf *out);
/* An animation of two frames: the picture at (left, top) of the canvas, both even, then the same again. */
void df_webp_moving(const struct df_picture *picture, int canvas_width, int canvas_height, int left, int top,
                    struct nm_buf *out);

/* Reads a JPEG or WebP back with as many channels as it has; *icc_len is that of its colour profile. */
struct df_picture df_read(const void *file, size_t len, size_t *icc_len);

/* The mean and the largest difference of a sample; both pictures must have the same size and channels. */
double df_difference(const struct df_picture *a, const struct df_picture *b, int *largest);

#endif
