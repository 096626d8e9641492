/* publish_options.c - the options of publish; a table only, linked by every program. */
#include "publish.h"

#define F(member) NM_FIELD(struct pb_options, member)

const struct nm_option publish_options[] = {
    {"publish.minQuality", NM_OPT_INT, F(min_quality), "70", -1000, 1000, NULL, NULL,
     "A lead of at least this quality is published (`published: true`)."},
    {"publish.waitMs", NM_OPT_INT, F(wait_ms), "2000", 0, 600000, NULL, NULL,
     "How long it waits for them, counted from the article, in ms; then it is sent without them."},
    {.name = NULL},
};
