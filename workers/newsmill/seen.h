/* seen.h - which revision of a record was seen last, to say of the next one what it is.
 *
 * A table of fixed size in which a later id may push out an earlier one: what was forgotten looks like new. Not
 * thread-safe. */
#ifndef NEWSMILL_SEEN_H
#define NEWSMILL_SEEN_H

#include "newsmill/status.h"

#include <stdint.h>

enum nm_sight { NM_SIGHT_FIRST, NM_SIGHT_UPDATE, NM_SIGHT_AGAIN, NM_SIGHT_OLDER };

struct nm_seen;

/* NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_seen_new(struct nm_seen **out, struct nm_error *err);
void nm_seen_free(struct nm_seen *seen);
NM_DEFINE_CLEANUP(struct nm_seen, nm_seen_free)

/* id: 32 hex digits. revision: > 0. */
enum nm_sight nm_seen_note(struct nm_seen *seen, const char *id, int64_t revision);

#endif
