/* publish_options.c - the options of publish; a table only, linked by every program. */
#include "publish.h"

const struct nm_option publish_options[] = {
    {.name = "publish.minQuality",
     .type = NM_OPT_INT,
     .offset = offsetof(struct pb_options, min_quality),
     .size = sizeof(long long),
     .def = "70",
     .min = -1000,
     .max = 1000,
     .help = "A lead of at least this quality is published (`published: true`)."},
    {.name = NULL},
};
