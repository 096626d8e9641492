/* store_internal.h - what the files of the store share. */
#ifndef IMAGES_STORE_INTERNAL_H
#define IMAGES_STORE_INTERNAL_H

#include "store.h"

#define IM_HEX_BYTES (2 * IM_SHA256_BYTES + 1)

struct im_temps {
    int dir_fd;
    bool nameless; /* the file system knows O_TMPFILE */
};

/* Fills *err with NM_RETRY and the sentence; returns `reason`. */
NM_MUST_USE enum im_reason im_store_fail(struct nm_error *err, enum im_reason reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a call that failed with `code`: no room is store_full, all else store_io. "cannot DO NAME: why". */
NM_MUST_USE enum im_reason im_store_errno(struct nm_error *err, int code, const char *what, const char *name);

/* For im_store.checked; free() it. NULL: out of memory. */
struct im_checked *im_checked_new(void);

/* Takes the folder's descriptor, also on failure. */
NM_MUST_USE enum nm_status im_temps_take(int dir_fd, const char *what, struct im_temps **out, struct nm_error *err);

/* NM_CONFIG unless the open folder belongs to this user and no other may write to it. */
NM_MUST_USE enum nm_status im_folder_check(int fd, const char *what, struct nm_error *err);

/* A name for a temporary file, or for what is renamed at once. */
NM_MUST_USE bool im_temp_name(char out[20]);

#endif
