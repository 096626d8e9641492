/* heat_facet.c - from a script's reply to the facet's bytes. */
#include "heat.h"

#include "newsmill/datetime.h"

#include <inttypes.h>
#include <stdio.h>

bool hp_view_read(const struct nm_reply *reply, struct hp_view *out)
{
    const struct nm_reply *how = nm_reply_at(reply, 0);
    int64_t number[12] = {0};
    if (how->type != NM_REPLY_STR)
        return false;
    for (size_t i = 1; i < 12; i++)
        number[i] = nm_reply_int(nm_reply_at(reply, i), 0);
    *out = (struct hp_view){.how = how->str,
                            .emit = number[1] == 1   ? HP_FACET
                                    : number[1] == 2 ? HP_TOMBSTONE
                                                     : HP_SILENT,
                            .revision = number[2],
                            .heat = number[3],
                            .quality = number[4],
                            .related = number[5],
                            .engagement = number[6],
                            .as_of_s = number[7],
                            .next_s = number[8],
                            .dropped = number[9],
                            .forgotten = number[10],
                            .crowded = number[11]};
    return true;
}

static int add_parts(const struct hp_view *view, char *out, size_t size)
{
    if (view->heat < 0)
        return snprintf(out, size, "[]");
    return snprintf(out, size,
                    "[{\"rule\":\"quality\",\"points\":%" PRId64 "},{\"rule\":\"related\",\"points\":%" PRId64
                    "},{\"rule\":\"engagement\",\"points\":%" PRId64 "}]",
                    view->quality, view->related, view->engagement);
}

size_t hp_facet(const char *id, const struct hp_view *view, char out[HP_FACET_BYTES])
{
    char as_of[NM_TIME_TEXT_BYTES], next[NM_TIME_TEXT_BYTES] = "", parts[200];
    int more,
        len = snprintf(out, HP_FACET_BYTES, "{\"id\":\"%s\",\"facet\":\"heat\",\"revision\":%" PRId64 ",\"data\":", id,
                       view->revision);
    if (view->emit == HP_TOMBSTONE) {
        more = snprintf(out + len, HP_FACET_BYTES - (size_t)len, "null}");
        return (size_t)len + (size_t)more;
    }
    nm_time_format(view->as_of_s * 1000, as_of);
    if (view->next_s)
        nm_time_format(view->next_s * 1000, next);
    (void)add_parts(view, parts, sizeof parts);
    more =
        snprintf(out + len, HP_FACET_BYTES - (size_t)len, "{\"heat\":%" PRId64 ",\"asOf\":\"%s\",\"parts\":%s%s%s%s}}",
                 view->heat, as_of, parts, *next ? ",\"next\":\"" : "", next, *next ? "\"" : "");
    return (size_t)len + (size_t)more;
}
