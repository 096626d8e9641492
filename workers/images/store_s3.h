/* store_s3.h - the parts of the S3 store: one signed request (store_s3_request.c), what a server answers in XML
 * (store_s3_xml.c), the files with the keys (store_s3_keys.c), the calls of the store (store_s3.c). */
#ifndef IMAGES_STORE_S3_H
#define IMAGES_STORE_S3_H

#include "store_internal.h"

#include "newsmill/buf.h"

#include <curl/curl.h>

#define IM_S3_KEY_BYTES    1100 /* of a key, prefix included                                               */
#define IM_S3_SECRET_BYTES 257
#define IM_S3_XML_BYTES    (4 << 20) /* of an answer; 1,000 keys of 1,024 bytes with all their members are 2 MiB */
#define IM_S3_CODE_BYTES   64

/* ---- keys */

/* Reads one line of printable characters. The file must belong to this user or to root and be closed to all others.
 * NM_CONFIG with the file's name, never with what it holds. */
NM_MUST_USE enum nm_status im_s3_secret_read(const char *path, char out[IM_S3_SECRET_BYTES], struct nm_error *err);

/* ---- XML. Pure; the bytes are a server's and as hostile as any */

/* The word in <Error><Code>, "" where there is none. */
void im_s3_error_code(const char *xml, size_t len, char out[IM_S3_CODE_BYTES]);

/* A page of ListObjectsV2: keys that begin with `prefix` (without it they are names), strictly behind page->cursor and
 * in order. NM_BAD_INPUT: anything else, with what is wrong; the page is untouched then. */
NM_MUST_USE enum nm_status im_s3_list_read(const char *xml, size_t len, const char *prefix, struct im_page *page,
                                           struct nm_error *err);

/* ---- requests */

struct im_s3 {
    CURL *curl;
    char base[600];   /* "https://host/bucket/" */
    char prefix[132]; /* "" or ends with a slash */
    char signer[64];  /* for CURLOPT_AWS_SIGV4   */
    char access[IM_S3_SECRET_BYTES], secret[IM_S3_SECRET_BYTES];
    int timeout_ms;
};

enum im_s3_method { IM_S3_GET, IM_S3_HEAD, IM_S3_PUT, IM_S3_DELETE };

struct im_s3_request {
    enum im_s3_method method;
    const char *key;                  /* without the prefix of the store; NULL: of the bucket        */
    const char *query;                /* NULL, or sorted by name and encoded: it is signed as it is  */
    const struct im_content *content; /* PUT                                                         */
    const char *media_type;           /* PUT                                                         */
    bool if_absent;                   /* PUT; a server may ignore it                                 */
    int sink_fd;                      /* GET of an object goes there, at most IM_OBJECT_BYTES; or -1 */
};

struct im_s3_answer {
    long status;                 /* HTTP                                     */
    int64_t bytes;               /* Content-Length, -1 unknown               */
    int64_t changed_s;           /* Last-Modified, s since 1970; 0 unknown   */
    int64_t n_sunk;              /* bytes that went to sink_fd               */
    char code[IM_S3_CODE_BYTES]; /* of an error with a body, else ""         */
    struct nm_buf body;          /* what did not go to sink_fd; the caller's */
};

/* One request. IM_NONE: the server answered, whatever its status; else store_io (or store_full for a full temporary
 * folder), and *cut says that the connection failed on the way, so that the request may have been obeyed. */
NM_MUST_USE enum im_reason im_s3_perform(struct im_s3 *s3, const struct im_s3_request *request,
                                         struct im_s3_answer *answer, bool *cut, struct nm_error *err);

/* What a status that the caller did not expect means. */
NM_MUST_USE enum im_reason im_s3_refused(const struct im_s3_answer *answer, const char *what, const char *name,
                                         struct nm_error *err);

#endif
