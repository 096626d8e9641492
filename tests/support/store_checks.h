/* store_checks.h - what must hold of every store of pictures, the same table for each kind; and helpers for its tests.
 * Fails the running cmocka test where it does not hold. */
#ifndef STORE_CHECKS_H
#define STORE_CHECKS_H

#include "images/store_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The table. The state of its group is a struct im_store *, which was empty before the first one. */
extern const struct CMUnitTest store_checks[];
extern const size_t n_store_checks;

/* A temporary file that is filled and hashed. */
struct piece {
    struct im_temp temp;
    struct im_content content;
};
/* `len` bytes that only depend on `seed`. */
void piece_make(struct im_store *store, unsigned seed, size_t len, struct piece *out);
void piece_clear(struct piece *piece);

/* The name of the piece as an object, of a thumbnail of that object for an edge above 0. */
void piece_name(const struct piece *piece, enum im_type type, int edge, char out[IM_NAME_BYTES]);
void quarantine_name(const char *name, char out[IM_NAME_BYTES]);

/* Makes a piece, puts it as an object and returns what the store said; its name is left in `name`. */
enum im_put put_piece(struct im_store *store, unsigned seed, size_t len, char name[IM_NAME_BYTES]);

/* Writes a piece under a name that is not its own, past the checks: what damage looks like. */
void plant(struct im_store *store, const char *name, unsigned seed, size_t len);

/* Asserts that `name` holds the `len` bytes of `seed`, or that it does not exist. */
void check_holds(struct im_store *store, const char *name, unsigned seed, size_t len);
void check_missing(struct im_store *store, const char *name);

/* All names of an area in pages of `max`, in one list that the caller frees; each page is checked. */
char (*list_all(struct im_store *store, enum im_area area, size_t max, size_t *n))[IM_NAME_BYTES];

#endif
