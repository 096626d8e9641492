/* store.h - where pictures lie: one interface, a directory or an S3-compatible store behind it, and temporary files.
 *
 * An object is written as a temporary file on local disk, checked, and then put under its name in one step: there is
 * never half an object under a name, whoever dies when. When a put has returned IM_NONE the object is durable; a
 * directory has synced the file, then the folders that lead to it.
 *
 * A failure is never the picture's fault: im_store_* return IM_store_full (make room) or IM_store_io (anything else
 * that keeps the store from working) and fill *err with NM_RETRY and a sentence. The same call may succeed later and is
 * harmless when repeated, a put with a temporary file that was written anew: what could not be synced is not trusted
 * again. Out parameters are untouched then.
 *
 * Every call may block (fsync, network), so a worker calls them in jobs of store_thread.h only. A store belongs to one
 * thread at a time; its temporary files may be made and closed by others (store_file.h). */
#ifndef IMAGES_STORE_H
#define IMAGES_STORE_H

#include "store_file.h"

#define IM_CURSOR_BYTES 1025 /* a key of S3 has at most 1,024 bytes */
#define IM_LIST_MAX     1000 /* entries of a page; what S3 gives at most */

/* ---- the store */

enum im_put {
    IM_PUT_STORED,   /* the name is new                                                            */
    IM_PUT_EXISTED,  /* the same bytes lie there already: a dedup hit                              */
    IM_PUT_REPLACED, /* the name is ours now: other bytes lay there, or `replace` was asked for    */
};

struct im_stat {
    bool exists;       /* false: the rest is 0 */
    int64_t bytes;     /* of the file          */
    int64_t changed_s; /* s since 1970, by the clock of the store */
};

struct im_entry {
    char name[IM_NAME_BYTES];
    int64_t bytes, changed_s; /* as in im_stat */
};

enum im_area { IM_OBJECTS = 'o', IM_THUMBNAILS = 't', IM_QUARANTINE = 'q' };

struct im_page {
    struct im_entry *entry; /* the caller's, room for `max` */
    size_t max;             /* 1 to IM_LIST_MAX             */
    /* In: "" or what the last page left. Out: where the next page goes on. Valid across restarts and in another
     * process: names are listed in the order of their bytes, and the cursor is a place in that order. */
    char cursor[IM_CURSOR_BYTES];
    size_t n;         /* out; may be 0 although there is more */
    size_t n_foreign; /* out: what has no name of ours, links and folders included; not listed */
    bool more;        /* out */
};

struct im_space {
    bool known; /* false: the store has no volume (S3) */
    int64_t total_bytes, free_bytes, total_inodes, free_inodes;
};

struct im_store;

/* What a kind of store does; the callers below check the arguments. */
struct im_store_ops {
    /* *stored false: the name is taken (never with `replace`). `replace` leaves no moment without an object. */
    enum im_reason (*put_if_absent)(struct im_store *store, const char *name, const struct im_content *content,
                                    bool replace, bool *stored, struct nm_error *err);
    enum im_reason (*open)(struct im_store *store, const char *name, int *fd, struct im_stat *out,
                           struct nm_error *err);
    enum im_reason (*stat)(struct im_store *store, const char *name, struct im_stat *out, struct nm_error *err);
    enum im_reason (*remove)(struct im_store *store, const char *name, struct nm_error *err);
    enum im_reason (*list)(struct im_store *store, enum im_area area, struct im_page *page, struct nm_error *err);
    enum im_reason (*space)(struct im_store *store, struct im_space *out, struct nm_error *err);
    void (*close)(struct im_store *store);
};

struct im_checked;
struct im_store {
    const struct im_store_ops *ops;
    struct im_temps *temps;     /* owned; for the callers' temporary files, of the store's own disk where it has one */
    struct im_checked *checked; /* owned; which objects were hashed when */
};

/* A directory. It is made where only its last folder is missing, and so are o/ with its 256 folders, t/, q/ and tmp/.
 * NM_CONFIG: not ours, open to writers of other users, a link in place of a folder, no /proc, Linux before 5.6.
 * NM_RETRY: the disk is full or fails. Objects are 0644 and their folders 0755, for a web server of another user; q/
 * and tmp/ are 0700. */
NM_MUST_USE enum nm_status im_store_directory_open(const char *path, struct im_store **out, struct nm_error *err);

/* An S3-compatible store, by libcurl, path style (endpoint/bucket/key), signed with AWS Signature Version 4. */
struct im_s3_options {
    const char *endpoint;        /* "https://host[:port]", http:// for tests and networks of one's own */
    const char *region;          /* [a-z0-9-], 1 to 32                                     */
    const char *bucket;          /* [a-z0-9.-], 3 to 63; must exist                        */
    const char *prefix;          /* "" or [A-Za-z0-9._/-], at most 128: in front of names  */
    const char *access_key_file; /* of this user or root, 0600 or 0400; one line           */
    const char *secret_key_file;
    const char *temp_path; /* folder for temporary files, see im_temps_open()        */
    int timeout_ms;        /* of one request, 100 to 600,000                         */
};

/* Asks for one name of the bucket. NM_CONFIG: an option, a key file or the server's refusal (bucket, keys, region).
 * NM_RETRY: it cannot be reached. The options are borrowed during the call. */
NM_MUST_USE enum nm_status im_store_s3_open(const struct im_s3_options *options, struct im_store **out,
                                            struct nm_error *err);
void im_store_close(struct im_store *store); /* NULL is fine */

/* Puts the content under `name`, which is of an object or a thumbnail; an object's name is its content's SHA-256. Where
 * the name exists its size is compared, and its hash where this process has not done so for a day (at most 32,768
 * objects a day; what has no place among them is compared by size only). Other bytes under an object's name go to
 * quarantine, those of a thumbnail are given up: it was made with other settings.
 * replace: put it there whatever the name holds (its removal may be under way, R25). */
NM_MUST_USE enum im_reason im_store_put(struct im_store *store, const char *name, const struct im_content *content,
                                        bool replace, enum im_put *out, struct nm_error *err);

/* *fd: for reading, the caller closes it; -1 where the name does not exist. A file that is removed meanwhile stays
 * readable. S3: the whole object has been fetched into a temporary file. */
NM_MUST_USE enum im_reason im_store_open(struct im_store *store, const char *name, int *fd, struct im_stat *out,
                                         struct nm_error *err);
NM_MUST_USE enum im_reason im_store_stat(struct im_store *store, const char *name, struct im_stat *out,
                                         struct nm_error *err);
/* A name that does not exist is removed already. */
NM_MUST_USE enum im_reason im_store_remove(struct im_store *store, const char *name, struct nm_error *err);

/* One page of an area. Bounded work: at most IM_LIST_MAX entries and 1,024 folders; `more` says whether to go on. What
 * is put or removed meanwhile may be in it or not. */
NM_MUST_USE enum im_reason im_store_list(struct im_store *store, enum im_area area, struct im_page *page,
                                         struct nm_error *err);

/* Moves what lies under `name` to q/; *moved false: nothing lies there. An older one in q/ under that name stays. */
NM_MUST_USE enum im_reason im_store_quarantine(struct im_store *store, const char *name, bool *moved,
                                               struct nm_error *err);
NM_MUST_USE enum im_reason im_store_space(struct im_store *store, struct im_space *out, struct nm_error *err);

#endif
