/* images_facet.h - the facet of an article as bytes, and the text that is kept with the thumbnails of an object.
 *
 * The same view gives the same bytes. The text of the thumbnails lies in Redis and is checked when it comes back; for
 * each file, smallest edge first, and ";" between them: "<edge> <width> <height> <ext> <sha256>". Pure; thread-safe. */
#ifndef IMAGES_FACET_H
#define IMAGES_FACET_H

#include "state.h"
#include "thumbnails.h"

#include "newsmill/buf.h"

struct im_thumb_file {
    int32_t edge, width, height; /* pixels: the edge that was asked for, and what became of it */
    bool webp;                   /* else JPEG                                                  */
    char sha256[IM_SHA_BYTES];   /* of the thumbnail's own bytes, 64 lower-case hex digits     */
};

/* For im_result(); returns the length. n is 0 (the text is "") to IM_THUMBS, in any order, each edge once. */
size_t im_thumbs_text_write(const struct im_thumb_file *file, size_t n, char out[IM_THUMBS_MAX]);
/* False for what is no such text; out and *n are untouched then. */
NM_MUST_USE bool im_thumbs_text_read(const char *text, struct im_thumb_file out[IM_THUMBS], size_t *n);

/* Writes the facet/1 of the article into `out`, which is reset first. view: with a revision. A retracted article's data
 * is null. public_base: without a slash at its end; NULL: no cachedUrl and no thumbnails. What is unreadable among the
 * thumbnails leaves them out; a failure that this version has no word for is shown as pending.
 * NM_FATAL: out of memory, or the state holds what this version did not write; the sentence says what. */
NM_MUST_USE enum nm_status im_facet_write(struct nm_buf *out, const char *id, const struct im_view *view,
                                          const char *public_base, struct nm_error *err);

#endif
