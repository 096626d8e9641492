/* readers.c - which worker of this build reads which streams.
 *
 * `wait` has to know it without linking a worker: a tool that links every worker would have to be rebuilt with them
 * and would run their code. A new worker adds one row here. Upstream workers stand first: when a worker has caught up,
 * everything that it sends is in the streams that the rows below it read. */
#include "tool.h"

const struct nm_reader nm_readers[] = {
    {.worker = "normalize", .inputs = {NM_RAW}, .n_inputs = 1},
    {.worker = "images", .inputs = {NM_NORMALIZED}, .n_inputs = 1, .optional = true},
    {.worker = "related", .inputs = {NM_NORMALIZED}, .n_inputs = 1, .optional = true, .out = "{rel}:out"},
    {.worker = "heat", .inputs = {NM_NORMALIZED, NM_FACETS, NM_SIGNALS}, .n_inputs = 3, .optional = true},
    {.worker = "publish", .inputs = {NM_NORMALIZED, NM_FACETS}, .n_inputs = 2},
    {0},
};
