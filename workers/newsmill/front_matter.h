/* front_matter.h - a record as YAML front matter, for `tail --format front-matter` and exported files.
 *
 * Pure; thread-safe. */
#ifndef NEWSMILL_FRONT_MATTER_H
#define NEWSMILL_FRONT_MATTER_H

#include "newsmill/buf.h"
#include "newsmill/status.h"

/* Appends `---`, the members of the record that front matter knows in their fixed order, and `---`, each with a line
 * feed. Members that are absent or of another type than a record's are left out; so are those that are JSON only.
 * NM_BAD_INPUT not_json or not_object: nothing is appended. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_front_matter(const char *record, size_t len, struct nm_buf *out, struct nm_error *err);

/* Appends one YAML scalar that every YAML parser reads back as exactly this string (valid UTF-8 is required): plain
 * where `plain` is set and nothing could take it for something else, else in double quotes on one line. */
void nm_yaml_string(const char *text, size_t len, bool plain, struct nm_buf *out);

#endif
