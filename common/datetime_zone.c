/* datetime_zone.c - named time zones, read from the system's TZif files.
 *
 * The C library's zones hang on the process-wide TZ, which threads cannot share, so a zone is read here once (RFC 8536)
 * and kept: transitions sorted by time, the offset after each, and the rule of the file's last line for later times
 * ("CET-1CEST,M3.5.0,M10.5.0/3"). The file is bounded and every count in it is checked against its length. A name can
 * only lead below the zone directory. "UTC" needs no file. After nm_zone_open() a zone is only read: thread-safe. */
#include "datetime_internal.h"

#include <stdio.h>
#include <string.h>

#define ZONE_DIRECTORY "/usr/share/zoneinfo/"

enum {
    FILE_MAX_BYTES = 256 * 1024,
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    NAME_MAX_BYTES = 64,
    DAY_S = 86400,
    OFFSET_MAX_S = 26 * 3600, /* RFC 8536: from -25 h to 26 h */
};

enum rule_form { RULE_NONE, RULE_MONTH, RULE_JULIAN, RULE_DAY };

/* When a change happens in each year: M month.week.weekday, Jn (1-365, never 29 February) or n (0-365). */
struct rule {
    enum rule_form form;
    int month, week, day;
    int32_t at_s; /* local time of that day */
};

struct nm_zone {
    size_t n_times;
    int64_t *times_s;
    int32_t *offsets_s;      /* n_times + 1: before the first, after each                       */
    int32_t std_s, summer_s; /* the footer's; used after the last transition where has_footer */
    struct rule to_summer, to_std;
    bool has_footer;
};

void nm_zone_close(struct nm_zone *zone)
{
    if (!zone)
        return;
    free(zone->times_s);
    free(zone->offsets_s);
    free(zone);
}
NM_DEFINE_CLEANUP(struct nm_zone, nm_zone_close)

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t read_i64(const unsigned char *p)
{
    return (int64_t)((uint64_t)read_u32(p) << 32 | read_u32(p + 4));
}

/* The counts of one TZif header. */
struct layout {
    size_t n_utc, n_std, n_leaps, n_times, n_types, n_chars, bytes;
    unsigned char version;
};

/* time_bytes: 4 in the first block, 8 in the second. False: not a header, or more than `len` holds. */
static bool read_layout(const unsigned char *data, size_t len, size_t time_bytes, struct layout *out)
{
    if (len < HEADER_BYTES || memcmp(data, "TZif", 4) != 0)
        return false;
    size_t *counts[] = {&out->n_utc, &out->n_std, &out->n_leaps, &out->n_times, &out->n_types, &out->n_chars};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        *counts[i] = read_u32(data + 20 + 4 * i);
        if (*counts[i] > FILE_MAX_BYTES)
            return false;
    }
    out->version = data[4];
    out->bytes = HEADER_BYTES + out->n_times * (time_bytes + 1) + out->n_types * TYPE_BYTES + out->n_chars +
                 out->n_leaps * (time_bytes + 4) + out->n_std + out->n_utc;
    return out->n_types > 0 && out->bytes <= len;
}

/* The second block (64-bit times): its transitions and offsets. */
static enum nm_status read_transitions(const unsigned char *block, const struct layout *layout, struct nm_zone *zone,
                                       struct nm_error *err)
{
    const unsigned char *times = block + HEADER_BYTES;
    const unsigned char *indexes = times + layout->n_times * 8;
    const unsigned char *types = indexes + layout->n_times;
    zone->times_s = calloc(layout->n_times + 1, sizeof *zone->times_s);
    zone->offsets_s = calloc(layout->n_times + 1, sizeof *zone->offsets_s);
    if (!zone->times_s || !zone->offsets_s)
        return nm_fail(err, NM_FATAL, "out of memory for a time zone");
    zone->n_times = layout->n_times;
    for (size_t i = 0; i <= layout->n_times; i++) {
        size_t type = i == 0 ? 0 : indexes[i - 1];
        if (type >= layout->n_types)
            return nm_fail(err, NM_CONFIG, "a time zone file is damaged: type %zu of %zu", type, layout->n_types);
        int64_t offset = (int32_t)read_u32(types + type * TYPE_BYTES);
        if (offset < -OFFSET_MAX_S || offset > OFFSET_MAX_S)
            return nm_fail(err, NM_CONFIG, "a time zone file is damaged: offset of %lld s", (long long)offset);
        zone->offsets_s[i] = (int32_t)offset;
        if (i == 0)
            continue;
        zone->times_s[i - 1] = read_i64(times + (i - 1) * 8);
        if (i > 1 && zone->times_s[i - 1] <= zone->times_s[i - 2])
            return nm_fail(err, NM_CONFIG, "a time zone file is damaged: its times are not in order");
    }
    return NM_OK;
}

struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_number(struct cursor *c, int most, int *out)
{
    int value = 0, n = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9' && n < 4; c->at++, n++)
        value = value * 10 + (*c->at - '0');
    if (n == 0 || value > most)
        return false;
    *out = value;
    return true;
}

/* "CET" or "<+0330>" */
static bool skip_name(struct cursor *c)
{
    const char *start = c->at;
    if (take(c, '<')) {
        while (c->at < c->end && *c->at != '>')
            c->at++;
        return take(c, '>');
    }
    while (c->at < c->end && ((*c->at >= 'A' && *c->at <= 'Z') || (*c->at >= 'a' && *c->at <= 'z')))
        c->at++;
    return c->at - start >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool take_clock(struct cursor *c, int most_hours, int32_t *out_s)
{
    bool minus = take(c, '-');
    if (!minus)
        (void)take(c, '+');
    int hours, minutes = 0, seconds = 0;
    if (!take_number(c, most_hours, &hours))
        return false;
    if (take(c, ':') && (!take_number(c, 59, &minutes) || (take(c, ':') && !take_number(c, 59, &seconds))))
        return false;
    int32_t s = hours * 3600 + minutes * 60 + seconds;
    *out_s = minus ? -s : s;
    return true;
}

static bool take_rule(struct cursor *c, struct rule *out)
{
    bool good;
    out->at_s = 2 * 3600;
    if (take(c, 'M')) {
        out->form = RULE_MONTH;
        good = take_number(c, 12, &out->month) && out->month > 0 && take(c, '.') && take_number(c, 5, &out->week) &&
               out->week > 0 && take(c, '.') && take_number(c, 6, &out->day);
    } else if (take(c, 'J')) {
        out->form = RULE_JULIAN;
        good = take_number(c, 365, &out->day) && out->day > 0;
    } else {
        out->form = RULE_DAY;
        good = take_number(c, 365, &out->day);
    }
    return good && (!take(c, '/') || take_clock(c, 167, &out->at_s));
}

/* The POSIX TZ line. Its offsets count westwards. */
static bool read_footer(struct cursor c, struct nm_zone *zone)
{
    int32_t west_s;
    if (!skip_name(&c) || !take_clock(&c, 24, &west_s))
        return false;
    zone->std_s = -west_s;
    zone->summer_s = -west_s + 3600;
    if (c.at == c.end)
        return true;
    if (!skip_name(&c))
        return false;
    if (c.at < c.end && *c.at != ',') {
        if (!take_clock(&c, 24, &west_s))
            return false;
        zone->summer_s = -west_s;
    }
    return take(&c, ',') && take_rule(&c, &zone->to_summer) && take(&c, ',') && take_rule(&c, &zone->to_std) &&
           c.at == c.end;
}

enum nm_status nm_zone_read(const unsigned char *data, size_t len, struct nm_zone **out, struct nm_error *err)
{
    struct layout first, second;
    if (!read_layout(data, len, 4, &first) || first.version < '2' ||
        !read_layout(data + first.bytes, len - first.bytes, 8, &second))
        return nm_fail(err, NM_CONFIG, "a time zone file is not TZif version 2 or later");
    NM_AUTO(nm_zone_close) struct nm_zone *zone = calloc(1, sizeof *zone);
    if (!zone)
        return nm_fail(err, NM_FATAL, "out of memory for a time zone");
    enum nm_status s = read_transitions(data + first.bytes, &second, zone, err);
    if (s != NM_OK)
        return s;
    const char *footer = (const char *)data + first.bytes + second.bytes;
    size_t footer_len = len - first.bytes - second.bytes;
    const char *close = footer_len > 1 && footer[0] == '\n' ? memchr(footer + 1, '\n', footer_len - 1) : NULL;
    if (close && close > footer + 1) { /* an empty line: no rule is known for later times */
        zone->has_footer = true;
        if (!read_footer((struct cursor){.at = footer + 1, .end = close}, zone))
            return nm_fail(err, NM_CONFIG, "a time zone file ends with a rule that is not a POSIX TZ string");
    }
    *out = zone;
    zone = NULL;
    return NM_OK;
}

/* Local seconds, counted as if they were UTC, at which the rule strikes in that year. */
static int64_t rule_time_s(const struct rule *rule, int64_t year)
{
    int64_t day = nm_civil_to_days(year, 1, 1);
    if (rule->form == RULE_MONTH) {
        day = nm_civil_to_days(year, rule->month, 1);
        int64_t weekday = (day + 4) % 7; /* 1970-01-01 was a Thursday; days are positive here */
        int64_t of_month = (rule->day - weekday + 7) % 7 + 7 * (rule->week - 1);
        if (of_month >= nm_month_days(year, rule->month))
            of_month -= 7;
        day += of_month;
    } else if (rule->form == RULE_JULIAN) {
        day += rule->day - 1 + (rule->day >= 60 && nm_month_days(year, 2) == 29);
    } else {
        day += rule->day;
    }
    return day * DAY_S + rule->at_s;
}

static int32_t footer_offset_s(const struct nm_zone *zone, int64_t at_s)
{
    if (zone->to_summer.form == RULE_NONE)
        return zone->std_s;
    int64_t year = nm_civil_from_days(nm_floor_div(at_s + zone->std_s, DAY_S)).year;
    int64_t start = rule_time_s(&zone->to_summer, year) - zone->std_s;
    int64_t stop = rule_time_s(&zone->to_std, year) - zone->summer_s;
    bool summer = start < stop ? at_s >= start && at_s < stop : at_s >= start || at_s < stop;
    return summer ? zone->summer_s : zone->std_s;
}

int32_t nm_zone_offset_s(const struct nm_zone *zone, int64_t at_s)
{
    if (zone->has_footer && (zone->n_times == 0 || at_s >= zone->times_s[zone->n_times - 1]))
        return footer_offset_s(zone, at_s);
    size_t low = 0, high = zone->n_times; /* the number of transitions that are not later than at_s */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->times_s[middle] <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return zone->offsets_s ? zone->offsets_s[low] : 0;
}

/* Letters, digits, "/", "_", "+", "-": no dot, so no way up. */
static bool is_zone_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_BYTES || name[0] == '/')
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-") == len;
}

/* The whole file in `data`; its length, 0 when it cannot be read or is too long. */
static size_t read_file(const char *path, unsigned char *data, size_t size)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return 0;
    size_t len = fread(data, 1, size, file);
    bool whole = !ferror(file) && len < size;
    (void)fclose(file);
    return whole ? len : 0;
}

enum nm_status nm_zone_open(const char *name, struct nm_zone **out, struct nm_error *err)
{
    if (!is_zone_name(name))
        return nm_fail(err, NM_CONFIG, "'%s' is not a time zone name such as Europe/Berlin", name);
    if (strcmp(name, "UTC") == 0) {
        struct nm_zone *utc = calloc(1, sizeof *utc);
        if (!utc)
            return nm_fail(err, NM_FATAL, "out of memory for a time zone");
        *out = utc;
        return NM_OK;
    }
    char path[sizeof ZONE_DIRECTORY + NAME_MAX_BYTES];
    NM_AUTO(free) char *data = malloc(FILE_MAX_BYTES);
    if (!data)
        return nm_fail(err, NM_FATAL, "out of memory for a time zone");
    (void)snprintf(path, sizeof path, ZONE_DIRECTORY "%s", name);
    size_t len = read_file(path, (unsigned char *)data, FILE_MAX_BYTES);
    if (len == 0)
        return nm_fail(err, NM_CONFIG, "no time zone '%s': install tzdata, or correct the name", name);
    return nm_zone_read((const unsigned char *)data, len, out, err);
}
