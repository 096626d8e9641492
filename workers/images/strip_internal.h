/* strip_internal.h - what the parts of strip share: one job, spans of its input, numbers, and the texts that stay.
 *
 * Spans point into the input and are valid as long as it is. Writers append to an nm_buf without checking; im_strip()
 * asks once at the end. Every reader takes hostile bytes: it reads inside its span, and answers false for what is
 * broken. */
#ifndef IMAGES_STRIP_INTERNAL_H
#define IMAGES_STRIP_INTERNAL_H

#include "numbers.h"
#include "strip.h"

struct im_span {
    const uint8_t *data;
    size_t len;
};

/* One image on its way from `in` to `out`. */
struct im_strip {
    struct im_span in;
    int orientation; /* 1 to 8: what the copy shall say; 0: what its EXIF says */
    bool keep_copyright;
    struct nm_buf *out;
    struct nm_buf scratch; /* one block at a time: reset before use */
};

NM_MUST_USE enum im_reason im_strip_jpeg(struct im_strip *job);
NM_MUST_USE enum im_reason im_strip_png(struct im_strip *job);
NM_MUST_USE enum im_reason im_strip_gif(struct im_strip *job);
NM_MUST_USE enum im_reason im_strip_webp(struct im_strip *job);

/* ---- numbers ---- */

void im_add_be16(struct nm_buf *out, uint32_t n); /* n < 65,536 */
void im_add_be32(struct nm_buf *out, uint32_t n);
void im_add_le32(struct nm_buf *out, uint32_t n);
void im_add_span(struct nm_buf *out, struct im_span span);

/* ---- spans ---- */

/* Takes `n` bytes from the front of *rest to *taken; false, and nothing changes, where there are fewer. */
NM_MUST_USE bool im_take(struct im_span *rest, size_t n, struct im_span *taken);
/* Whether the span begins with the `len` bytes at `start`. */
bool im_starts(struct im_span span, const void *start, size_t len);

/* ---- texts that stay ---- */

struct im_text {
    size_t len; /* 0: none */
    char data[IM_STRIP_TEXT];
};
/* The text of `raw` in one line, cut at a character of UTF-8; leaves *text alone if it is taken or nothing is left. */
void im_text_take(struct im_text *text, struct im_span raw);

/* ---- EXIF: the TIFF block, without the "Exif" before it ---- */

struct im_exif {
    int orientation; /* 1 to 8; 0: none */
    struct im_text artist, copyright;
};
/* False where the block has no readable first directory. Entries that are broken are passed over. */
NM_MUST_USE bool im_exif_read(struct im_span block, struct im_exif *exif);
/* Puts the new block into job->scratch: what stays of *exif in this job. It is empty where nothing stays. */
void im_exif_write(struct im_strip *job, const struct im_exif *exif);

/* ---- IPTC: the payload of a JPEG's APP13 ---- */

#define IM_BYLINES     8 /* more of them are left out; a photograph has one or two */
#define IM_IPTC_PREFIX "Photoshop 3.0"
struct im_iptc {
    bool utf8; /* the record says that its texts are UTF-8 */
    size_t n_bylines;
    struct im_text byline[IM_BYLINES], credit, copyright;
};
/* Adds what the payload holds to *iptc, which the caller zeroed before the first one. */
void im_iptc_read(struct im_span payload, struct im_iptc *iptc);
/* Puts a new payload into job->scratch, or nothing where nothing stays. */
void im_iptc_write(struct im_strip *job, const struct im_iptc *iptc);

/* ---- ICC ---- */

#define IM_ICC_HEADER 128               /* bytes, ICC.1 section 7.2 */
#define IM_ICC_MAX    (4 * 1024 * 1024) /* bytes; the large profiles of printing have 1 to 3 MB */
/* Bytes of the profile at the front of the span, by its header; 0 where it is none or not whole. */
size_t im_icc_size(struct im_span profile);

#endif
