/* format.h - which kind of file an input is, by its content. */
#ifndef NEWSMILL_FORMAT_H
#define NEWSMILL_FORMAT_H

#include "event.h"
#include "source.h"

enum nm_format { NM_FORMAT_NDJSON, NM_FORMAT_JSON, NM_FORMAT_RSS, NM_FORMAT_FRONT_MATTER, NM_N_FORMATS };

/* "ndjson", "json", "rss", "front-matter". */
const char *nm_format_word(enum nm_format format);
/* False: another word ("auto"). */
bool nm_format_from_word(const char *word, enum nm_format *out);

/* Looks at the beginning of the input and takes nothing; waits for no more than it needs, so a pipe that goes on for
 * ever works. What is none of the others is NDJSON, whose bad lines are dead letters.
 * NM_BAD_INPUT: packed with something else than gzip, or twice. Other statuses of nm_source_peek(). */
NM_MUST_USE enum nm_status nm_format_detect(struct nm_source *source, enum nm_format *out, struct nm_error *err);

/* The same for one piece of input; false: more of it is needed. `ended`: there is no more. */
bool nm_format_of(const char *data, size_t n, bool ended, enum nm_format *out);

#endif
