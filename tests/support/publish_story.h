/* publish_story.h - invented histories for publish and what must come of them; shares no code with the project.
 *
 * A story has a few ids. Of each id there are versions of its article and of its three facets; what a version says
 * follows from the seed, the id, the kind and the number of the version alone. Versions are delivered in any order,
 * several times or never; the greatest that was delivered counts. */
#ifndef PUBLISH_STORY_H
#define PUBLISH_STORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORY_IDS = 7, STORY_VERSIONS = 4, STORY_TEXT = 8192 };
enum story_kind { STORY_ARTICLE, STORY_IMAGES, STORY_RELATED, STORY_HEAT, STORY_KINDS };

struct story {
    uint64_t seed;
    char id[STORY_IDS][33];
    int latest[STORY_IDS][STORY_KINDS]; /* greatest version delivered; 0: none */
};

/* Options that the expectation hangs on. */
enum { STORY_MIN_QUALITY = 50, STORY_MAX_RELATED = 3 };

uint64_t story_random(uint64_t *state);                     /* xorshift; state not 0 */
unsigned story_pick(uint64_t *state, unsigned n);           /* 0 to n-1 */
void story_init(struct story *story, uint64_t seed);        /* nothing delivered */
int story_index(const struct story *story, const char *id); /* -1: none of its ids */

/* The message of that version, as normalize, images, related or heat would write it; versions 1 to STORY_VERSIONS. */
void story_message(const struct story *story, int id, enum story_kind kind, int version, char out[STORY_TEXT]);
void story_deliver(struct story *story, int id, enum story_kind kind, int version);

/* The record that must be the last word on this id: what follows after the revision. False: none was ever to be sent.
 * "" is a tombstone. */
bool story_expected(const struct story *story, int id, char out[STORY_TEXT]);

#endif
