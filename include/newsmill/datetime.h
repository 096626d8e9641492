/* datetime.h - points in time as milliseconds since 1970-01-01T00:00:00Z (UTC, no leap seconds).
 *
 * Pure functions without state; thread-safe. */
#ifndef NEWSMILL_DATETIME_H
#define NEWSMILL_DATETIME_H

#include "newsmill/status.h"

#include <stddef.h>
#include <stdint.h>

#define NM_TIME_TEXT_BYTES 21 /* "YYYY-MM-DDTHH:MM:SSZ" and the NUL */

/* Reads ISO 8601 (date, or date and time with T or a space; seconds and fraction optional; Z, +hh:mm, +hhmm, +hh or
 * nothing, which is UTC), RFC 2822 / RFC 822 (day name optional, 2-digit years as RFC 2822 section 4.3, zone names GMT
 * UT UTC Z EST EDT CST CDT MST MDT PST PDT), or epoch digits: seconds, or milliseconds from 10^11 on; an optional
 * fraction of seconds is allowed. White space around is ignored. Leap second :60 reads as :59.
 * NM_BAD_INPUT `date_invalid`: not one of these, a day that does not exist, before 1970 or after 9999. */
NM_MUST_USE enum nm_status nm_time_parse(const char *text, size_t len, int64_t *out_ms, struct nm_error *err);

/* The same rules for a JSON number: seconds below 10^11, else milliseconds. */
NM_MUST_USE enum nm_status nm_time_from_number(double number, int64_t *out_ms, struct nm_error *err);

/* "YYYY-MM-DDTHH:MM:SSZ", milliseconds cut off. ms: 1970 to 9999. */
void nm_time_format(int64_t ms, char out[NM_TIME_TEXT_BYTES]);

/* "YYYY-MM-DD" of that instant in a named zone ("UTC", "Europe/Berlin"); out has 11 bytes.
 * The zone is looked up once with nm_zone_open(); NM_CONFIG: no such zone (tzdata missing, a misspelt name). */
struct nm_zone;
NM_MUST_USE enum nm_status nm_zone_open(const char *name, struct nm_zone **out, struct nm_error *err);
void nm_zone_close(struct nm_zone *zone);
void nm_zone_date(const struct nm_zone *zone, int64_t ms, char out[11]);

#endif
