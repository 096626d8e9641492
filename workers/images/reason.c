/* reason.c - the codes and their kinds, from the one list in reason.h. */
#include "reason.h"

#include <string.h>

static const struct {
    const char *name;
    enum im_reason_kind kind;
} reasons[IM_N_REASONS] = {[IM_NONE] = {"", IM_KIND_NONE},
#define X(word, sort) [IM_##word] = {#word, IM_KIND_##sort},
                           IM_REASONS(X)
#undef X
};

const char *im_reason_name(enum im_reason reason)
{
    return reasons[reason].name;
}

enum im_reason_kind im_reason_kind(enum im_reason reason)
{
    return reasons[reason].kind;
}

enum im_reason im_reason_find(const char *name, size_t len)
{
    for (int i = IM_NONE + 1; i < IM_N_REASONS; i++)
        if (strlen(reasons[i].name) == len && memcmp(reasons[i].name, name, len) == 0)
            return (enum im_reason)i;
    return IM_NONE;
}
