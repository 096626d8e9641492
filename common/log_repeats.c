/* log_repeats.c - which lines of the log repeat.
 *
 * A dependency that is down, or a feed full of the same mistake, must not fill a disk. The first line of a message
 * opens a window of NM_REPEAT_MS; what comes again in it is counted. A window with repeats is followed by the next one,
 * so an endless repetition costs one line a window; a window without any ends the matter. The table is small and fixed:
 * when it is full, the message that was opened first makes room, so a flood of different lines is written as it comes.
 *
 * Messages are the same when event, level, length, hash and the text as far as it is kept are; where numbers do not
 * matter, the text without its digits. Pure; the lock is the caller's. */
#include "log_internal.h"

#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static uint64_t hash_bytes(uint64_t hash, const char *data, size_t len, bool any_numbers)
{
    for (size_t i = 0; i < len; i++)
        if (!any_numbers || !is_digit(data[i]))
            hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3;
    return hash;
}

/* The partition too: what is said of one does not stand for another. */
static uint64_t hash_message(const struct nm_saying *saying)
{
    uint64_t hash = hash_bytes(0xcbf29ce484222325, saying->event, strlen(saying->event) + 1, false);
    hash = hash_bytes(hash, saying->text, saying->len, saying->any_numbers);
    const struct nm_where *where = saying->where;
    if (where && where->stream) {
        hash = hash_bytes(hash, where->stream, strlen(where->stream) + 1, false);
        hash = hash_bytes(hash, (const char *)&where->partition, sizeof where->partition, false);
    }
    return hash;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* As far as both are kept. */
static bool is_same_but_numbers(const struct nm_repeat *slot, const struct nm_saying *saying)
{
    size_t n = least(slot->len, sizeof slot->text - 1), m = least(saying->len, sizeof slot->text - 1);
    size_t i = 0, k = 0;
    for (;;) {
        while (i < n && is_digit(slot->text[i]))
            i++;
        while (k < m && is_digit(saying->text[k]))
            k++;
        if (i == n || k == m)
            return (i == n && k == m) || n < slot->len || m < saying->len; /* the hash is of the whole */
        if (slot->text[i++] != saying->text[k++])
            return false;
    }
}

static bool is_same(const struct nm_repeat *slot, const struct nm_repeat *message, const struct nm_saying *saying)
{
    if (!slot->used || slot->hash != message->hash || slot->level != message->level ||
        slot->any_numbers != message->any_numbers || strcmp(slot->event, message->event) != 0)
        return false;
    if (slot->any_numbers)
        return is_same_but_numbers(slot, saying);
    return slot->len == message->len && memcmp(slot->text, saying->text, least(slot->len, sizeof slot->text - 1)) == 0;
}

static void keep_text(struct nm_repeat *slot, const struct nm_saying *saying)
{
    slot->len = saying->len;
    memcpy(slot->text, saying->text, least(saying->len, sizeof slot->text - 1));
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

bool nm_repeats_new(struct nm_repeats *repeats, const struct nm_saying *saying, int64_t now_ms, struct nm_repeat *out)
{
    struct nm_repeat message = {.used = true,
                                .any_numbers = saying->any_numbers,
                                .level = saying->level,
                                .len = saying->len,
                                .hash = hash_message(saying),
                                .end_ms = now_ms + NM_REPEAT_MS};
    out->n = 0;
    (void)snprintf(message.event, sizeof message.event, "%s", saying->event);
    for (size_t i = 0; i < NM_REPEAT_SLOTS; i++) {
        struct nm_repeat *slot = &repeats->slot[i];
        if (!is_same(slot, &message, saying))
            continue;
        slot->n++;
        keep_text(slot, saying);
        note_where(slot, saying->where);
        return false;
    }
    keep_text(&message, saying);
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
