/* fuzz_load.h - what the fuzz targets of `newsmill load` share: bytes through a file to a reader, its results as text.
 *
 * Held for every reader: an event is one line; where it must be JSON it is, and an object where it must be one; a
 * refusal says something on one line; the status is NM_OK, or NM_BAD_INPUT of a source that gave up. */
#ifndef FUZZ_LOAD_H
#define FUZZ_LOAD_H

#include "newsmill/event.h"

#include <stdint.h>

enum expected { ANY_LINE, ANY_JSON, JSON_OBJECT };

struct outcome {
    struct nm_buf events, refusals; /* a line each */
    size_t n_events, n_refusals;
    enum expected expected;
    enum nm_status status;
};

typedef enum nm_status reader(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err);

void fuzz_require(bool held);

/* Reads data in pieces of `block` bytes (0: as many as there are); release with fuzz_clear(). */
struct outcome fuzz_read(reader *read, enum expected expected, const void *data, size_t len, size_t block,
                         size_t max_bytes);
void fuzz_clear(struct outcome *outcome);

/* Aborts unless both gave the same. */
void fuzz_same(const struct outcome *a, const struct outcome *b);

#endif
