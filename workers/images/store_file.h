/* store_file.h - what the store of pictures puts: names, temporary files, contents; see store.h.
 *
 * Names are the same in every store:
 *   o/<aa>/<bb>/<sha256>.<ext>           object: jpg png gif webp; the name is the SHA-256 of its bytes
 *   t/<edge>/<aa>/<bb>/<sha256>.<ext>    thumbnail: jpg webp; the SHA-256 is that of its object, the edge in pixels
 *   q/<one of these>                     quarantine: what did not hold what its name says
 * <aa> and <bb> are the first four digits of the hash. Thread-safe: names are pure, and nothing in an im_temps changes
 * after it was opened; a temporary file has one owner at a time. Out parameters are untouched on failure. */
#ifndef IMAGES_STORE_FILE_H
#define IMAGES_STORE_FILE_H

#include "newsmill/status.h"
#include "probe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IM_SHA256_BYTES 32
#define IM_NAME_BYTES   96                  /* of a name with its NUL; the longest has 85 bytes */
#define IM_OBJECT_BYTES ((int64_t)64 << 20) /* largest object; the hard maximum of fetch.bodyBytes */

/* ---- names */

struct im_name {
    enum im_type type;               /* JPEG, PNG, GIF, WebP; of a thumbnail JPEG or WebP    */
    int32_t edge;                    /* 10 to 99,999 pixels for a thumbnail, 0 for an object */
    bool quarantined;                /* under q/                                             */
    uint8_t sha256[IM_SHA256_BYTES]; /* of the object                                        */
};

/* `name` must be of the ranges above. */
void im_name_write(const struct im_name *name, char out[IM_NAME_BYTES]);
/* False for what no im_name_write() writes; *out is untouched then. */
bool im_name_read(const char *text, size_t len, struct im_name *out);

/* ---- temporary files: a name only where the file system knows no O_TMPFILE, ".t" and 16 hex digits then */

struct im_temps;
struct im_temp {
    struct im_temps *temps; /* NULL: closed                    */
    int fd;                 /* for reading and writing, 0600   */
    char name[20];          /* "" for a file without a name    */
};

/* The folder must be there, belong to this user and be closed to writers of other users, else NM_CONFIG. Removes
 * temporary files that nobody wrote to for an hour (more than any transfer lasts). NM_RETRY: the disk fails. */
NM_MUST_USE enum nm_status im_temps_open(const char *path, struct im_temps **out, struct nm_error *err);
void im_temps_close(struct im_temps *temps); /* NULL is fine; files that are open stay usable */

NM_MUST_USE enum im_reason im_temp_new(struct im_temps *temps, struct im_temp *out, struct nm_error *err);
void im_temp_close(struct im_temp *temp); /* removes its name; a closed one and {0} are fine */

/* ---- contents */

struct im_content {
    int fd; /* borrowed; read from offset 0 by pread(), its position does not matter */
    int64_t bytes;
    uint8_t sha256[IM_SHA256_BYTES]; /* of the bytes */
};

/* Reads the whole file; more than IM_OBJECT_BYTES is store_io. */
NM_MUST_USE enum im_reason im_content_of(int fd, struct im_content *out, struct nm_error *err);

#endif
