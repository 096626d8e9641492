/* state_object.h - the shared state of the images worker in Redis: places at hosts, objects, gc and eviction.
 * Everything as state.h says; each reply is read by im_answer_read(). */
#ifndef IMAGES_STATE_OBJECT_H
#define IMAGES_STATE_OBJECT_H

#include "state.h"

/* OK (value: when the place ends); PAUSED, OPEN (breaker), HOST, ADDRESS, RATE: value says when to ask again. RATE:
 * there is room, and nobody else wants it: who has the place already keeps it. address "": not known yet. The same
 * holder may ask again. */
size_t im_slot(const struct im_state *state, struct nm_pipe *pipe, const char *host, const char *address,
               const char *holder);
enum im_host_answer { IM_HOST_NONE, IM_HOST_GOOD, IM_HOST_BAD };
/* OK; value: until when the breaker is open, 0: it is not. pause_ms: of the whole host from now, 0: none. stays: the
 * places are not given back, the same holder asks for its next transfer with im_slot(). */
size_t im_slot_end(const struct im_state *state, struct nm_pipe *pipe, const char *host, const char *address,
                   const char *holder, enum im_host_answer answer, int64_t pause_ms, bool stays);

/* Before a put, and when it was read. OK (value: stored at), NONE, DELETING. */
size_t im_object(const struct im_state *state, struct nm_pipe *pipe, const char *sha256);
/* A walk of the store found it. OK: known; ADOPTED: now an object without URLs; DELETING. */
size_t im_adopt(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, int64_t stored_ms,
                const char *type, int64_t bytes);
/* The URL is pending again, its articles are woken (value). missed: NONE unless it shows this object; NULL: in any
 * case. */
size_t im_reset(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *missed);
/* An object is missing or damaged. OK; MORE: call again (value: URLs left). */
size_t im_lost(const struct im_state *state, struct nm_pipe *pipe, const char *sha256);

/* gc and eviction, in this order: im_member() for each user, im_mark() or im_evict(), after the grace
 * (value) im_deleting(), the file, im_deleted(). member is "<partition>:<id>". */
size_t im_member(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *member);
size_t im_mark(const struct im_state *state, struct nm_pipe *pipe, const char *sha256); /* DYING USED NONE DELETING */
/* The same for another time without use. alone: as if no article showed it, where state->dry. */
size_t im_mark_idle(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, int64_t idle_ms,
                    bool alone);
size_t im_evict(const struct im_state *state, struct nm_pipe *pipe, const char *sha256); /* OK MORE SPARED NONE      */
/* OK: remove the file before value, or not at all. HELD (value: until when), DYING, USED, NONE. */
size_t im_deleting(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, const char *token);
/* OK; LOST: it was not ours any more, its URLs are fetched again; MORE: call again; HELD: another gc has it. */
size_t im_deleted(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, const char *token);

/* An operator wants it gone: im_evict(), im_deleting() and im_deleted() without any age or grace, and nothing is spared
 * but what is deleting already. It stays so until gc calls im_deleted() when gc.graceMs are over: a writer may have
 * seen the file, and is told to put it again. */
size_t im_purge(const struct im_state *state, struct nm_pipe *pipe, const char *sha256); /* OK MORE SPARED NONE */
size_t im_purging(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, const char *token);
size_t im_purged(const struct im_state *state, struct nm_pipe *pipe, const char *sha256, const char *token);

#endif
