/* collect_internal.h - what the files behind collect.h share. */
#ifndef IMAGES_COLLECT_INTERNAL_H
#define IMAGES_COLLECT_INTERNAL_H

#include "collect.h"
#include "images_facet.h"

enum { IM_ROWS = 200, IM_FILES_PAGE = IM_LIST_MAX, IM_EDGES = 64, IM_KEY = 256, IM_SCORE_BYTES = 40 };

/* An object as Redis has it; numbers of others are taken as they are when they can be, else as none. */
struct im_row {
    char sha[IM_SHA_BYTES], score[IM_SCORE_BYTES];
    int64_t used_ms, stored_ms;    /* stored_ms -1: there is no such object */
    int64_t dying_ms, deleting_ms; /* -1: it is not */
    int64_t all_bytes, n_files;    /* with the thumbnails, whose bytes are guessed */
};

/* A place in img:lru, the least used first. Members may move and go while one walks. */
struct im_place {
    char score[IM_SCORE_BYTES];
    int64_t skip; /* how many of that score were seen */
    bool over;
};

struct im_edge { /* a kind of thumbnail that there may be */
    int32_t edge;
    enum im_type type;
};

struct im_run {
    const struct im_collect *collect;
    struct im_collected *out;
    struct nm_redis *redis;
    struct im_state state; /* with `dry` */
    struct nm_pipe pipe;
    char token[IM_TOKEN_BYTES];
    int64_t now_ms; /* of Redis */
    struct im_edge edge[IM_EDGES];
    size_t n_edges;
    struct im_row *row; /* a page: IM_ROWS */
    size_t n_rows;
    struct im_entry *entry; /* a page of the store: IM_FILES_PAGE */
    bool strict;            /* the first failure of the store ends it */
};

/* Clear it in any case. */
NM_MUST_USE enum nm_status im_run_open(struct im_run *run, const struct im_collect *collect, struct im_collected *out,
                                       struct nm_error *err);
void im_run_clear(struct im_run *run);
NM_MUST_USE enum nm_status im_run_clock(struct im_run *run, struct nm_error *err); /* now_ms anew */
bool im_run_stopped(struct im_run *run, const char *what);                         /* tells, too */
void im_run_did(struct im_run *run, enum im_deed deed, const char *name, int64_t bytes, int64_t since_ms);
void im_run_edge(struct im_run *run, int32_t edge, enum im_type type); /* there may be such thumbnails */

/* A pipe with one answer of state_object.h each. */
NM_MUST_USE enum nm_status im_run_exec(struct im_run *run, struct nm_error *err);
NM_MUST_USE enum nm_status im_run_answer(struct im_run *run, size_t i, struct im_answer *out, struct nm_error *err);
/* One command, appended by the caller to a pipe that was reset. */
NM_MUST_USE enum nm_status im_run_ask(struct im_run *run, struct im_answer *out, struct nm_error *err);
void im_run_key(const struct im_run *run, const char *kind, const char *name, char out[IM_KEY]);
void im_run_plain_key(const struct im_run *run, const char *name, char out[IM_KEY]);
/* Adds a command of words, ended by NULL. */
void im_run_add(struct im_run *run, const char *const *words);
#define IM_ADD(run, ...) im_run_add(run, (const char *const[]){__VA_ARGS__, NULL})

/* The next page of the index into run->row. */
NM_MUST_USE enum nm_status im_rows_next(struct im_run *run, struct im_place *place, struct nm_error *err);
/* One that was taken out of the index, so that the place behind it holds. */
void im_rows_gone(struct im_place *place, const struct im_row *row);
/* The thumbnails that an object has; false: the text cannot be read. */
bool im_thumbs_of(const struct nm_reply *text, struct im_thumb_file file[IM_THUMBS], size_t *n);
bool im_row_of(const struct nm_reply *fields, struct im_row *row); /* of im_rows_ask(); false: no such object */
void im_rows_ask(struct im_run *run, const char *sha);
bool im_row_idle(const struct im_run *run, const struct im_row *row); /* old enough to be marked */

/* A store that fails: counted, and NM_RETRY when it fails again and again. */
NM_MUST_USE enum nm_status im_run_failed(struct im_run *run, const struct nm_error *why, struct nm_error *err);

/* Names of the object's file and its thumbnails, as far as they are known; at most IM_FILES. */
enum { IM_FILES = IM_EDGES + 8 };
NM_MUST_USE enum nm_status im_run_names(struct im_run *run, const char *sha, char (*name)[IM_NAME_BYTES], size_t *n,
                                        struct nm_error *err);
/* `deleting` is ours since started_ms (boot time): every file, in time or not at all. *done: all are gone. */
NM_MUST_USE enum nm_status im_run_remove(struct im_run *run, const char *sha, int64_t started_ms, bool *done,
                                         struct nm_error *err);

/* Calls a script again while it replies `more`. */
typedef size_t im_step(const struct im_state *state, struct nm_pipe *pipe, const char *sha256);
NM_MUST_USE enum nm_status im_run_steps(struct im_run *run, im_step *step, const char *sha, struct im_answer *out,
                                        struct nm_error *err);

NM_MUST_USE enum nm_status im_gc_store(struct im_run *run, struct nm_error *err);  /* adopts */
NM_MUST_USE enum nm_status im_gc_thumbs(struct im_run *run, struct nm_error *err); /* orphans */
NM_MUST_USE enum nm_status im_gc_evict(struct im_run *run, struct nm_error *err);

/* What name a file of the store has as an object: its hash in hex. */
void im_entry_sha(const struct im_name *name, char out[IM_SHA_BYTES]);

#endif
