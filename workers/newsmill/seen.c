/* seen.c - which revision of a record was seen last, see seen.h.
 *
 * Ids are the beginning of a hash, so their last 64 bits are as good a slot as any; the whole id is kept. */
#include "seen.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define N_SLOTS  65536 /* 2^16; 2.5 MiB */
#define ID_BYTES 32

struct slot {
    char id[ID_BYTES];
    int64_t revision; /* 0: free */
};

struct nm_seen {
    struct slot slot[N_SLOTS];
};

enum nm_status nm_seen_new(struct nm_seen **out, struct nm_error *err)
{
    struct nm_seen *seen = calloc(1, sizeof *seen);
    if (!seen)
        return nm_fail(err, NM_FATAL, "out of memory");
    *out = seen;
    return NM_OK;
}

void nm_seen_free(struct nm_seen *seen)
{
    free(seen);
}

static struct slot *slot_of(struct nm_seen *seen, const char *id)
{
    uint64_t number = 0;
    memcpy(&number, id + ID_BYTES - sizeof number, sizeof number);
    /* hex digits fill only half of each byte; the upper bits of the product depend on all of them */
    return &seen->slot[number * 0x9E3779B97F4A7C15u >> 48];
}

enum nm_sight nm_seen_note(struct nm_seen *seen, const char *id, int64_t revision)
{
    struct slot *slot = slot_of(seen, id);
    bool known = slot->revision != 0 && memcmp(slot->id, id, ID_BYTES) == 0;

    if (known && revision <= slot->revision)
        return revision == slot->revision ? NM_SIGHT_AGAIN : NM_SIGHT_OLDER;
    memcpy(slot->id, id, ID_BYTES);
    slot->revision = revision;
    return known ? NM_SIGHT_UPDATE : NM_SIGHT_FIRST;
}
