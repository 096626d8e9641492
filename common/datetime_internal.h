/* datetime_internal.h - parts shared by datetime.c, datetime_zone.c and their tests. */
#ifndef NEWSMILL_DATETIME_INTERNAL_H
#define NEWSMILL_DATETIME_INTERNAL_H

#include "newsmill/datetime.h"

#include <stdbool.h>

struct nm_civil {
    int64_t year;
    int month, day; /* from 1 */
};

/* Days from 1970-01-01 in the proleptic Gregorian calendar, and back. */
int64_t nm_civil_to_days(int64_t year, int month, int day);
struct nm_civil nm_civil_from_days(int64_t days);
int nm_month_days(int64_t year, int month);
int64_t nm_floor_div(int64_t a, int64_t b);

/* Reads the bytes of a TZif file (RFC 8536). NM_CONFIG: it is not one. */
NM_MUST_USE enum nm_status nm_zone_read(const unsigned char *data, size_t len, struct nm_zone **out,
                                        struct nm_error *err);

/* Seconds east of UTC at that moment. */
int32_t nm_zone_offset_s(const struct nm_zone *zone, int64_t at_s);

#endif
