/* images_world.h - what the tests of the images worker's state share: its scripts on a real Redis, a clock that the
 * test moves, short names for each call. Everything fails the test where a call does not work. Uses cmocka. */
#ifndef IMAGES_WORLD_H
#define IMAGES_WORLD_H

#include "images/state_object.h"
#include "state_world.h"

#define IW_START INT64_C(1900000000000) /* where the clock stands after iw_fresh(); even */

struct images_world {
    struct state_world world;
    struct nm_settings settings;
    struct im_state state; /* its now_ms is the clock */
};
extern struct images_world iw;

int iw_open(void **state); /* for cmocka_run_group_tests() */
int iw_close(void **state);
int iw_fresh(void **state); /* for cmocka_unit_test_setup(): no keys, default options, the clock at its start */
/* Scripts with other numbers. Keys stay. */
void iw_options(const struct im_state_options *options);
/* The clock goes on; leases end that would have. */
void iw_advance(int64_t ms);

/* Names: URL number n, object number n, article number n. Static storage, several live at once. */
const char *iw_url(unsigned n);
const char *iw_sha(unsigned n);
const char *iw_id(unsigned n);

/* An article with URLs, ended by -1; the view's images live until the next call, its content for 63 more views. */
struct im_view iw_article(unsigned id, int64_t revision, const int *urls);
#define IW_URLS(...) ((const int[]){__VA_ARGS__, -1})
struct im_view iw_retract(unsigned id, int64_t revision);
struct im_view iw_claim(unsigned id, int64_t score);
/* The answer of the one command that was appended since iw_pipe(). */
struct nm_pipe *iw_pipe(void);
struct im_answer iw_answer(void);
#define IW_ASK(call) ((void)iw_pipe(), (void)(call), iw_answer())

struct im_answer iw_lease(unsigned url, const char *token);
struct im_answer iw_cached(unsigned url, const char *token, unsigned object);
struct im_answer iw_failed(unsigned url, const char *token, enum im_reason reason, int status);
struct im_answer iw_fetch(unsigned url, unsigned object); /* a lease, then cached */
struct im_answer iw_sent(unsigned id, const struct im_view *view, int64_t claimed);

/* Score of an article's due entry, -1: none. */
int64_t iw_due(unsigned id);
void iw_due_key(unsigned id, char *out, size_t size);
/* A key of the state: kind is "", "a:", "users:"... */
const char *iw_key(const char *kind, const char *name);
const char *iw_field(const char *kind, const char *name, const char *field);
int64_t iw_number(const char *const *words); /* of a command that replies one; -1: nil */
#define IW_NUMBER(...) iw_number((const char *const[]){__VA_ARGS__, NULL})
void iw_run(const char *const *words);
#define IW_RUN(...) iw_run((const char *const[]){__VA_ARGS__, NULL})

#endif
