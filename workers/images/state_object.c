/* state_object.c - what the scripts of hosts and objects are called with. */
#include "state_object.h"
#include "state_internal.h"

#include <inttypes.h>
#include <stdio.h>

size_t im_slot(const struct im_state *state, struct nm_pipe *pipe, const char *host, const char *address,
               const char *holder)
{
    return im_call_texts(state, pipe, IM_SCRIPT_slot, IM_TEXTS(host, address, holder));
}

size_t im_slot_end(const struct im_state *state, struct nm_pipe *pipe, const char *host, const char *address,
                   const char *holder, enum im_host_answer answer, int64_t pause_ms, bool stays)
{
    static const char *const words[] = {[IM_HOST_NONE] = "none", [IM_HOST_GOOD] = "good", [IM_HOST_BAD] = "bad"};
    char pause[24];
    (void)snprintf(pause, sizeof pause, "%" PRId64, pause_ms > 0 ? pause_ms : 0);
    return im_call_texts(state, pipe, IM_SCRIPT_slot_end,
                         IM_TEXTS(host, address, holder, words[answer], pause, stays ? "stays" : ""));
}

size_t im_object(const struct im_state *state, struct nm_pipe *pipe, const char *sha256)
{
    return im_call_texts(state, pipe, IM_SCRIPT_object, IM_TEXTS(sha256, "", "", ""));
}

size_t im_adopt(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, int64_t stored_ms,
                const char *type, int64_t bytes)
{
    char stored[24], size[24];
    (void)snprintf(stored, sizeof stored, "%" PRId64, stored_ms);
    (void)snprintf(size, sizeof size, "%" PRId64, bytes);
    return im_call_texts(state, pipe, IM_SCRIPT_object, IM_TEXTS(sha256, stored, type, size));
}

size_t im_reset(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *missed)
{
    return im_call_texts(state, pipe, IM_SCRIPT_reset, IM_TEXTS(hash, missed ? missed : ""));
}

size_t im_lost(const struct im_state *state, struct nm_pipe *pipe, const char *sha256)
{
    return im_call_texts(state, pipe, IM_SCRIPT_lost, IM_TEXTS(sha256));
}

/* ---- gc */

static const char *dry(const struct im_state *state)
{
    return state->dry ? "dry" : "";
}

size_t im_member(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *member)
{
    return im_call_texts(state, pipe, IM_SCRIPT_member, IM_TEXTS(hash, member, dry(state)));
}

size_t im_mark(const struct im_state *state, struct nm_pipe *pipe, const char *sha256)
{
    return im_call_texts(state, pipe, IM_SCRIPT_mark, IM_TEXTS(sha256, "", dry(state), ""));
}

size_t im_mark_idle(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, int64_t idle_ms, bool alone)
{
    char idle[24];
    (void)snprintf(idle, sizeof idle, "%" PRId64, idle_ms);
    return im_call_texts(state, pipe, IM_SCRIPT_mark, IM_TEXTS(sha256, idle, dry(state), alone ? "alone" : ""));
}

size_t im_evict(const struct im_state *state, struct nm_pipe *pipe, const char *sha256)
{
    return im_call_texts(state, pipe, IM_SCRIPT_evict, IM_TEXTS(sha256, "", dry(state)));
}

size_t im_purge(const struct im_state *state, struct nm_pipe *pipe, const char *sha256)
{
    return im_call_texts(state, pipe, IM_SCRIPT_evict, IM_TEXTS(sha256, "purge", dry(state)));
}

size_t im_deleting(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, const char *token)
{
    return im_call_texts(state, pipe, IM_SCRIPT_deleting, IM_TEXTS(sha256, token, ""));
}

size_t im_purging(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, const char *token)
{
    return im_call_texts(state, pipe, IM_SCRIPT_deleting, IM_TEXTS(sha256, token, "purge"));
}

size_t im_deleted(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, const char *token)
{
    return im_call_texts(state, pipe, IM_SCRIPT_deleted, IM_TEXTS(sha256, token, ""));
}

size_t im_purged(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, const char *token)
{
    return im_call_texts(state, pipe, IM_SCRIPT_deleted, IM_TEXTS(sha256, token, "purge"));
}
