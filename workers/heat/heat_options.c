/* heat_options.c - the options of heat, linked by every program, and heat.kinds: how each kind of signal counts.
 * Strict: a name or number that is not one is refused. */
#include "heat.h"

#include <stdio.h>
#include <string.h>

#define F(member) NM_FIELD(struct hp_options, member)

static enum nm_status check_seconds(const char *value, struct nm_error *err)
{
    size_t len = strlen(value);
    if (len < 4 || strcmp(value + len - 3, "000") != 0)
        return nm_fail(err, NM_CONFIG, "is not a whole number of seconds, such as 900000");
    return NM_OK;
}

const struct nm_option heat_options[] = {
    {"heat.perRelated", NM_OPT_INT, F(per_related), "10", 0, 1000, NULL, NULL,
     "Points of a lead for each other article of its story."},
    {"heat.halfLifeMs", NM_OPT_INT, F(half_life_ms), "0", 0, 315360000000, NULL, NULL,
     "Time since its date in which an article loses half of its heat, in ms; 0: heat does not fade with age."},
    {"heat.stepMs", NM_OPT_INT, F(step_ms), "900000", 1000, 86400000, NULL, check_seconds,
     "Times are rounded down to this, in ms (whole seconds), so that a recomputation gives the same number."},
    {"heat.maxWaiting", NM_OPT_INT, F(max_waiting), "50000", 1, 10000000, NULL, NULL,
     "Ids of one partition whose signals wait for their article; beyond it those that were silent for longest go."},
    {"heat.kinds", NM_OPT_MAPS, F(kinds), "", 0, 0, "weight|windowMs|capPerSource", NULL,
     "How signals count, for click, share, comment, mention, view: weight of one, how long it counts (windowMs, in "
     "ms), "
     "most that one source counts in it; what is left out is as by default."},
    {.name = NULL},
};

/* ---- heat.kinds ---- */

#define DAY_S 86400

const struct hp_kind hp_default_kinds[HP_KINDS] = {
    {"click", 'c', 1000, DAY_S, 1000},      {"share", 's', 5000, 2 * DAY_S, 200},
    {"comment", 'o', 3000, 2 * DAY_S, 200}, {"mention", 'm', 8000, 3 * DAY_S, 100},
    {"view", 'v', 100, DAY_S, 10000},
};

/* Digits with at most `decimals` of them behind a point, as a whole number of the last; -1: not such a number, or above
 * 10^15. */
static int64_t read_number(const char *text, int decimals)
{
    int64_t number = 0;
    int behind = -1;
    if (*text < '0' || *text > '9')
        return -1;
    for (; *text; text++) {
        if (*text == '.' && behind < 0 && decimals > 0 && text[1]) {
            behind = 0;
            continue;
        }
        if (*text < '0' || *text > '9' || behind == decimals || number > 100000000000000)
            return -1;
        number = number * 10 + (*text - '0');
        behind += behind >= 0;
    }
    for (int i = behind > 0 ? behind : 0; i < decimals; i++)
        number = number > 100000000000000 ? number : number * 10;
    return number;
}

static struct hp_kind *find_kind(struct hp_kind kind[HP_KINDS], const char *name, size_t len)
{
    for (size_t i = 0; i < HP_KINDS; i++)
        if (strlen(kind[i].name) == len && memcmp(kind[i].name, name, len) == 0)
            return &kind[i];
    return NULL;
}

static enum nm_status take(struct hp_kind *kind, const char *member, const char *value, struct nm_error *err)
{
    bool weight = strcmp(member, "weight") == 0, window = strcmp(member, "windowMs") == 0;
    int64_t number = read_number(value, weight ? 3 : 0);
    if (weight && (number < 0 || number > 1000000))
        return nm_fail(err, NM_CONFIG,
                       "heat.kinds.%s.weight '%.40s' is not a number from 0 to 1000 with at most 3 decimals",
                       kind->name, value);
    if (window && (number < 1000 || number % 1000))
        return nm_fail(err, NM_CONFIG,
                       "heat.kinds.%s.windowMs '%.40s' is not a whole number of seconds, such as 86400000", kind->name,
                       value);
    if (!weight && !window && (number < 1 || number > HP_COUNT))
        return nm_fail(err, NM_CONFIG, "heat.kinds.%s.capPerSource '%.40s' is not a whole number from 1 to %d",
                       kind->name, value, HP_COUNT);
    if (weight)
        kind->weight = number;
    else if (window)
        kind->window_s = number / 1000;
    else
        kind->cap = number;
    return NM_OK;
}

enum nm_status hp_kinds_read(const struct hp_options *options, struct hp_kind out[HP_KINDS], struct nm_error *err)
{
    struct hp_kind kinds[HP_KINDS];
    enum nm_status status = NM_OK;
    memcpy(kinds, hp_default_kinds, sizeof kinds);
    for (size_t i = 0; status == NM_OK && i < options->kinds.n; i++) {
        const struct nm_pair *pair = &options->kinds.item[i];
        const char *dot = strrchr(pair->name, '.');
        size_t len = dot ? (size_t)(dot - pair->name) : strlen(pair->name);
        struct hp_kind *kind = find_kind(kinds, pair->name, len);
        if (!kind || !dot)
            return nm_fail(err, NM_CONFIG, "heat.kinds has '%.*s'; kinds are click, share, comment, mention and view",
                           len < 60 ? (int)len : 60, pair->name);
        status = take(kind, dot + 1, pair->value, err);
    }
    for (size_t i = 0; status == NM_OK && i < HP_KINDS; i++)
        if (kinds[i].window_s * 1000 > options->step_ms * HP_MAX_STEPS)
            return nm_fail(err, NM_CONFIG,
                           "heat.kinds.%s.windowMs is more than %d times heat.stepMs (%lld); shorten the window or "
                           "lengthen the step",
                           kinds[i].name, HP_MAX_STEPS, options->step_ms);
    if (status == NM_OK)
        memcpy(out, kinds, sizeof kinds);
    return status;
}

enum nm_status heat_options_check(const void *ctx, struct nm_error *err)
{
    struct hp_kind kinds[HP_KINDS];
    return hp_kinds_read(ctx, kinds, err);
}
