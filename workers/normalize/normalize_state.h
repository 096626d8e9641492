/* normalize_state.h - seen:{id}, the versions that normalize has let through; private to this folder.
 *
 * A hash: st source time (the greatest seen with this content, ms), ru rules, ch content hash, rev revision (us), vst
 * source time that was sent with it, fd first date given to an undated article (ms), rep revision whose delivery was
 * reported. */
#ifndef NORMALIZE_STATE_H
#define NORMALIZE_STATE_H

#include "newsmill/redis.h"

/* KEYS seen; ARGV source time, rules, content hash, Kafka timestamp, resend 0/1, keep ms.
 * Replies {"new" | "same" | "stale", revision, source time to send, first date, reported 0/1}. */
extern struct nm_script nz_version_script;
/* KEYS seen; ARGV revision. Notes that this revision was delivered, if it is still the newest. */
extern struct nm_script nz_reported_script;
/* KEYS rules:<number>; ARGV a fingerprint. Notes it where there is none, and replies the one that stands there. */
extern struct nm_script nz_rules_script;

#endif
