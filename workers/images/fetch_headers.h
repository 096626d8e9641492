/* fetch_headers.h - the values of the few response headers that a fetch heeds, read from hostile bytes.
 *
 * Pure functions; thread-safe. A value is borrowed, any bytes, not NUL-terminated. What is not well-formed is as if it
 * had not been sent, unless a function says otherwise. */
#ifndef IMAGES_FETCH_HEADERS_H
#define IMAGES_FETCH_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IM_ETAG_BYTES     257        /* with the NUL; longer ones are dropped, usual ones have under 70          */
#define IM_DATE_BYTES     40         /* with the NUL; the longest date of RFC 9110, 5.6.7 has 33 characters      */
#define IM_MEDIA_BYTES    64         /* with the NUL; "application/octet-stream" has 24                           */
#define IM_MAX_AGE_MOST_S 2147483647 /* seconds; RFC 9111, 1.2.2: what is larger counts as 2^31 at least */

struct im_value {
    const char *text;
    size_t len;
};

/* Whether the line, as it came with its line end, is the header `name` (lower case); *value = what follows the colon,
 * without the blanks around it. *value is untouched otherwise. A blank before the colon makes it no header. */
bool im_header_is(const char *line, size_t len, const char *name, struct im_value *value);

/* Status code of a status line ("HTTP/1.1 200 OK", "HTTP/2 200"), 100 to 999; 0 where it is none. */
int im_header_status(const char *line, size_t len);

/* Content-Length. False: no plain number. *bytes = the number, INT64_MAX for all that do not fit. */
bool im_header_length(struct im_value value, int64_t *bytes);

/* Content-Encoding: whether the bytes are sent as they are (identity, or nothing named). */
bool im_header_is_identity(struct im_value value);
/* Transfer-Encoding: whether it is chunked alone, or nothing. */
bool im_header_is_chunked(struct im_value value);

/* Content-Type without parameters, in lower case: "image/jpeg"; "" where it is none. */
void im_header_media(struct im_value value, char out[IM_MEDIA_BYTES]);

/* Copies a validator fit to be sent back as it is, or "". ETag: an entity tag of RFC 9110, 8.8.3, ASCII only.
 * Last-Modified: a date that newsmill/datetime.h reads, no number. */
void im_header_etag(struct im_value value, char out[IM_ETAG_BYTES]);
void im_header_date(struct im_value value, char out[IM_DATE_BYTES]);

/* Cache-Control: seconds of max-age, 0 for no-store and no-cache; the smallest where several are named. -1: none. */
int64_t im_header_max_age(struct im_value value);

/* Retry-After as milliseconds from now_ms (wall clock, ms since 1970): a number of seconds or a date, clamped to min_ms
 * to max_ms; default_ms where it is neither. 0 <= min_ms <= max_ms. */
int64_t im_header_retry_after(struct im_value value, int64_t now_ms, int64_t min_ms, int64_t max_ms,
                              int64_t default_ms);

#endif
