/* datetime.c - the three ways in which feeds write a time, and the one in which we do.
 *
 * A hand-written scanner over the bytes: strptime depends on the locale and accepts what we must refuse. Each reader
 * (ISO 8601, RFC 2822, epoch) takes the whole text or fails, so the order in which they are tried does not matter:
 * only epoch texts are all digits, only RFC 2822 texts have a month's name. Fields land in struct fields, which is
 * checked in one place. Pure functions; thread-safe. */
#include "datetime_internal.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define MS_PER_S      INT64_C(1000)
#define DAY_S         INT64_C(86400)
#define LAST_S        INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define EPOCH_MS_FROM INT64_C(100000000000) /* a number from here on is milliseconds */

enum { TEXT_MAX_BYTES = 128 };

struct cursor {
    const char *at, *end;
};

struct fields {
    int year, month, day, hour, minute, second, ms, offset_s;
};

int64_t nm_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Years begin in March here, so that the leap day is the last one; 400 years have 146,097 days. */
int64_t nm_civil_to_days(int64_t year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = nm_floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

struct nm_civil nm_civil_from_days(int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = nm_floor_div(z, 146097);
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;
    struct nm_civil civil = {.month = (int)(m < 10 ? m + 3 : m - 9), .day = (int)(day_of_year - (153 * m + 2) / 5) + 1};
    civil.year = year_of_era + era * 400 + (civil.month <= 2);
    return civil;
}

int nm_month_days(int64_t year, int month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool at_end(const struct cursor *c)
{
    return c->at == c->end;
}

static bool take(struct cursor *c, char wanted)
{
    if (at_end(c) || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_spaces(struct cursor *c)
{
    const char *start = c->at;
    while (!at_end(c) && is_space(*c->at))
        c->at++;
    return c->at > start;
}

/* From `least` to `most` digits (at most 9), all that are there; returns how many, 0: too few or too many. */
static int take_number(struct cursor *c, int least, int most, int *out)
{
    int n = 0, value = 0;
    while (c->at + n < c->end && is_digit(c->at[n])) {
        if (n == most)
            return 0;
        value = value * 10 + (c->at[n++] - '0');
    }
    if (n < least)
        return 0;
    c->at += n;
    *out = value;
    return n;
}

/* Exactly two digits, whatever follows. */
static bool take_two(struct cursor *c, int *out)
{
    if (c->end - c->at < 2 || !is_digit(c->at[0]) || !is_digit(c->at[1]))
        return false;
    *out = (c->at[0] - '0') * 10 + (c->at[1] - '0');
    c->at += 2;
    return true;
}

/* Digits behind "." or ","; the fourth and later ones are cut off. */
static bool take_fraction(struct cursor *c, int *ms)
{
    int n = 0, value = 0;
    for (; !at_end(c) && is_digit(*c->at); c->at++, n++)
        if (n < 3)
            value = value * 10 + (*c->at - '0');
    for (int i = n; i < 3; i++)
        value *= 10;
    *ms = value;
    return n > 0;
}

/* hh:mm[:ss[.fraction]]; colon false: hhmm[ss[.fraction]] */
static bool take_clock(struct cursor *c, bool colon, struct fields *out)
{
    if (!take_two(c, &out->hour) || (colon && !take(c, ':')) || !take_two(c, &out->minute))
        return false;
    bool seconds = colon ? take(c, ':') : !at_end(c) && is_digit(*c->at);
    if (!seconds)
        return true;
    if (!take_two(c, &out->second))
        return false;
    if (out->second == 60)
        out->second = 59;
    return !(take(c, '.') || take(c, ',')) || take_fraction(c, &out->ms);
}

static bool take_zone_name(struct cursor *c, int *offset_s)
{
    static const struct {
        char name[4];
        int hours;
    } zones[] = {{"Z", 0},    {"UT", 0},   {"UTC", 0},  {"GMT", 0},  {"EST", -5}, {"EDT", -4},
                 {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
    size_t len = 0;
    while (c->at + len < c->end && is_letter(c->at[len]))
        len++;
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        if (strlen(zones[i].name) != len || strncasecmp(zones[i].name, c->at, len) != 0)
            continue;
        c->at += len;
        *offset_s = zones[i].hours * 3600;
        return true;
    }
    return false;
}

/* +hh:mm, +hhmm, +hh or a name */
static bool take_zone(struct cursor *c, int *offset_s)
{
    bool west = take(c, '-');
    if (!west && !take(c, '+'))
        return take_zone_name(c, offset_s);
    int hours, minutes = 0;
    if (!take_two(c, &hours))
        return false;
    if ((take(c, ':') || (!at_end(c) && is_digit(*c->at))) && !take_two(c, &minutes))
        return false;
    if (hours > 23 || minutes > 59)
        return false;
    *offset_s = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
}

/* YYYY-MM-DD[(T| )clock[zone]], or YYYYMMDDTclock[zone] without separators. */
static bool read_iso(struct cursor c, struct fields *out)
{
    int date = 0;
    bool extended = take_number(&c, 4, 4, &out->year) > 0;
    if (extended) {
        if (!take(&c, '-') || !take_two(&c, &out->month) || !take(&c, '-') || !take_two(&c, &out->day))
            return false;
        if (at_end(&c))
            return true;
    } else {
        if (take_number(&c, 8, 8, &date) == 0)
            return false;
        out->year = date / 10000;
        out->month = date / 100 % 100;
        out->day = date % 100;
    }
    if (!take(&c, 'T') && !take(&c, 't') && !(extended && take_spaces(&c)))
        return false;
    if (!take_clock(&c, extended, out))
        return false;
    (void)take_spaces(&c);
    return at_end(&c) || (take_zone(&c, &out->offset_s) && at_end(&c));
}

/* A word of letters that begins one of the names, three letters at least; its number from 1, or 0. */
static int take_name(struct cursor *c, const char *const *names, int n_names)
{
    size_t len = 0;
    while (c->at + len < c->end && is_letter(c->at[len]))
        len++;
    for (int i = 0; i < n_names && len >= 3; i++) {
        if (len > strlen(names[i]) || strncasecmp(names[i], c->at, len) != 0)
            continue;
        c->at += len;
        return i + 1;
    }
    return 0;
}

/* "(…)" at the end: RFC 2822 allows a comment there, often the zone's name. */
static bool take_comment(struct cursor *c)
{
    (void)take_spaces(c);
    if (at_end(c))
        return true;
    if (*c->at != '(' || c->end[-1] != ')')
        return false;
    c->at = c->end;
    return true;
}

/* [day,] D month YYYY clock [zone] */
static bool read_rfc2822(struct cursor c, struct fields *out)
{
    static const char *const days[] = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
    static const char *const months[] = {"january", "february", "march",     "april",   "may",      "june",
                                         "july",    "august",   "september", "october", "november", "december"};
    if (take_name(&c, days, 7) > 0) {
        (void)take_spaces(&c);
        (void)take(&c, ',');
        (void)take_spaces(&c);
    }
    if (take_number(&c, 1, 2, &out->day) == 0 || !take_spaces(&c))
        return false;
    out->month = take_name(&c, months, 12);
    if (out->month == 0 || !take_spaces(&c))
        return false;
    int digits = take_number(&c, 2, 4, &out->year);
    if (digits == 2)
        out->year += out->year < 50 ? 2000 : 1900;
    else if (digits == 3)
        out->year += 1900;
    if (digits == 0 || !take_spaces(&c) || !take_clock(&c, true, out))
        return false;
    (void)take_spaces(&c);
    if (!at_end(&c) && *c.at != '(' && !take_zone(&c, &out->offset_s))
        return false;
    return take_comment(&c);
}

/* Digits, and a fraction behind seconds. */
static bool read_epoch(struct cursor c, int64_t *ms)
{
    int64_t value = 0;
    int n = 0, fraction = 0;
    for (; !at_end(&c) && is_digit(*c.at); c.at++, n++) {
        if (value > LAST_S * MS_PER_S)
            return false;
        value = value * 10 + (*c.at - '0');
    }
    if (n == 0 || (take(&c, '.') && !take_fraction(&c, &fraction)) || !at_end(&c))
        return false;
    *ms = value >= EPOCH_MS_FROM ? value : value * MS_PER_S + fraction;
    return true;
}

/* False: a field that no calendar or clock shows. */
static bool fields_to_ms(const struct fields *f, int64_t *ms)
{
    if (f->month < 1 || f->month > 12 || f->day < 1 || f->day > nm_month_days(f->year, f->month))
        return false;
    if (f->hour > 23 || f->minute > 59 || f->second > 59)
        return false;
    int64_t s = nm_civil_to_days(f->year, f->month, f->day) * DAY_S + f->hour * 3600 + f->minute * 60 + f->second;
    *ms = (s - f->offset_s) * MS_PER_S + f->ms;
    return true;
}

static bool in_range(int64_t ms)
{
    return ms >= 0 && ms < (LAST_S + 1) * MS_PER_S;
}

enum nm_status nm_time_parse(const char *text, size_t len, int64_t *out_ms, struct nm_error *err)
{
    struct cursor c = {.at = text, .end = text + len};
    while (!at_end(&c) && is_space(*c.at))
        c.at++;
    while (!at_end(&c) && is_space(c.end[-1]))
        c.end--;
    if (at_end(&c) || c.end - c.at > TEXT_MAX_BYTES)
        return nm_bad(err, "date_invalid", "a date is empty or longer than %d bytes", TEXT_MAX_BYTES);
    struct fields iso = {0}, rfc = {0};
    int64_t ms = -1;
    bool good = read_epoch(c, &ms) || (read_iso(c, &iso) && fields_to_ms(&iso, &ms)) ||
                (read_rfc2822(c, &rfc) && fields_to_ms(&rfc, &ms));
    if (!good || !in_range(ms))
        return nm_bad(err, "date_invalid", "'%.*s' is not a date from 1970 to 9999 in ISO 8601, RFC 2822 or epoch form",
                      (int)(c.end - c.at), c.at);
    *out_ms = ms;
    return NM_OK;
}

enum nm_status nm_time_from_number(double number, int64_t *out_ms, struct nm_error *err)
{
    double ms = number < (double)EPOCH_MS_FROM ? number * (double)MS_PER_S : number;
    if (!isfinite(number) || number < 0 || ms >= (double)((LAST_S + 1) * MS_PER_S))
        return nm_bad(err, "date_invalid", "a number is not a date from 1970 to 9999 in seconds or milliseconds");
    *out_ms = (int64_t)(ms + 0.001); /* 1.001 * 1000 is a hair less than 1001 */
    return NM_OK;
}

static char *put_digits(char *out, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + width;
}

static char *put_date(char *out, int64_t days)
{
    struct nm_civil civil = nm_civil_from_days(days);
    out = put_digits(out, civil.year, 4);
    *out++ = '-';
    out = put_digits(out, civil.month, 2);
    *out++ = '-';
    return put_digits(out, civil.day, 2);
}

/* What lies outside 1970 to 9999 is shown as the nearest instant inside; it cannot come from nm_time_parse(). */
static int64_t clamp_s(int64_t s)
{
    return s < 0 ? 0 : s > LAST_S ? LAST_S : s;
}

void nm_time_format(int64_t ms, char out[NM_TIME_TEXT_BYTES])
{
    int64_t s = clamp_s(nm_floor_div(ms, MS_PER_S));
    char *p = put_date(out, s / DAY_S);
    *p++ = 'T';
    p = put_digits(p, s % DAY_S / 3600, 2);
    *p++ = ':';
    p = put_digits(p, s % 3600 / 60, 2);
    *p++ = ':';
    p = put_digits(p, s % 60, 2);
    *p++ = 'Z';
    *p = '\0';
}

void nm_zone_date(const struct nm_zone *zone, int64_t ms, char out[11])
{
    int64_t s = clamp_s(nm_floor_div(ms, MS_PER_S));
    int64_t local = s + nm_zone_offset_s(zone, s);
    char *p = put_date(out, nm_floor_div(local > LAST_S ? LAST_S : local, DAY_S));
    *p = '\0';
}
