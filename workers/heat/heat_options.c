/* heat_options.c - the options of heat; a table only, linked by every program. heat_kinds.c reads heat.kinds. */
#include "heat.h"

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
    {"heat.kinds", NM_OPT_MAPS, F(kinds), "", 0, 0, "weight|windowMs|capPerSource", NULL,
     "How signals count, for click, share, comment, mention, view: weight of one, how long it counts (windowMs, in "
     "ms), "
     "most that one source counts in it; what is left out is as by default."},
    {.name = NULL},
};
