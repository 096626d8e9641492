/* log_repeats.c - which lines of the log repeat.
 *
 * A dependency that is down, or a feed full of the same mistake, must not fill a disk. The first line of a message
 * opens a window of NM_REPEAT_MS; what comes again in it is counted. A window with repeats is followed by the next one,
 * so an endless repetition costs one line a window; a window without any ends the matter. The table is small and fixed:
 * when it is full, the message that was opened first makes room, so a flood of different lines is written as it comes.
 *
 * Messages are the same when event, level, length, hash and the text as far as it is kept are. Pure; the lock is
 * the caller's. */
#include "log_internal.h"

#include <stdio.h>
#include <string.h>

static uint64_t hash_bytes(uint64_t hash, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3;
    return hash;
}

/* The partition too: what is said of one does not stand for another. */
static uint64_t hash_message(const char *event, const char *text, size_t len, const struct nm_where *where)
{
    uint64_t hash = hash_bytes(hash_bytes(0xcbf29ce484222325, event, strlen(event) + 1), text, len);
    if (where && where->stream) {
        hash = hash_bytes(hash, where->stream, strlen(where->stream) + 1);
        hash = hash_bytes(hash, (const char *)&where->partition, sizeof where->partition);
    }
    return hash;
}

static bool is_same(const struct nm_repeat *slot, const struct nm_repeat *message, const char *text)
{
    size_t kept = message->len < sizeof slot->text ? message->len : sizeof slot->text - 1;
    return slot->used && slot->hash == message->hash && slot->level == message->level && slot->len == message->len &&
           strcmp(slot->event, message->event) == 0 && memcmp(slot->text, text, kept) == 0;
}

static void note_where(struct nm_repeat *slot, const struct nm_where *where)
{
    (void)snprintf(slot->id, sizeof slot->id, "%s", where && where->id ? where->id : "");
    (void)snprintf(slot->stream, sizeof slot->stream, "%s", where && where->stream ? where->stream : "");
    slot->partition = where ? where->partition : -1;
    slot->offset = where ? where->offset : -1;
}

/* A free slot, else the one whose window ends first. */
static struct nm_repeat *choose_slot(struct nm_repeats *repeats)
{
    struct nm_repeat *chosen = &repeats->slot[0];
    for (size_t i = 0; i < NM_REPEAT_SLOTS && chosen->used; i++) {
        struct nm_repeat *slot = &repeats->slot[i];
        if (!slot->used || slot->end_ms < chosen->end_ms)
            chosen = slot;
    }
    return chosen;
}

bool nm_repeats_new(struct nm_repeats *repeats, enum nm_log_level level, const char *event, const char *text,
                    size_t len, const struct nm_where *where, int64_t now_ms, struct nm_repeat *out)
{
    struct nm_repeat message = {.used = true,
                                .level = level,
                                .len = len,
                                .hash = hash_message(event, text, len, where),
                                .end_ms = now_ms + NM_REPEAT_MS};
    out->n = 0;
    (void)snprintf(message.event, sizeof message.event, "%s", event);
    for (size_t i = 0; i < NM_REPEAT_SLOTS; i++) {
        struct nm_repeat *slot = &repeats->slot[i];
        if (!is_same(slot, &message, text))
            continue;
        slot->n++;
        note_where(slot, where);
        return false;
    }
    size_t kept = len < sizeof message.text ? len : sizeof message.text - 1;
    memcpy(message.text, text, kept);
    struct nm_repeat *slot = choose_slot(repeats);
    if (slot->used)
        *out = *slot;
    *slot = message;
    return true;
}

bool nm_repeats_due(struct nm_repeats *repeats, int64_t now_ms, struct nm_repeat *out)
{
    for (size_t i = 0; i < NM_REPEAT_SLOTS; i++) {
        struct nm_repeat *slot = &repeats->slot[i];
        if (!slot->used || slot->end_ms > now_ms)
            continue;
        if (slot->n == 0) {
            slot->used = false;
            continue;
        }
        *out = *slot;
        slot->n = 0;
        slot->end_ms = now_ms > INT64_MAX - NM_REPEAT_MS ? now_ms : now_ms + NM_REPEAT_MS;
        return true;
    }
    return false;
}
