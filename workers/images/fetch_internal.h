/* fetch_internal.h - what the parts of fetch share: the fetcher, and one transfer.
 *
 *   fetch.c           the multi handle, its descriptors and timers, budgets, results
 *   fetch_hop.c       the requests of a transfer: one hop, what follows it, what a failure is called
 *   fetch_answer.c    libcurl's callbacks for what comes: headers and body
 *   fetch_body.c      the body of an image, in memory or in a file
 *   fetch_idle.c      connections that are open for another transfer
 *   fetch_gate.c      libcurl's callbacks before a socket is made and before a request is sent
 *
 * A callback that refuses sets transfer->reason (or busy) first and lets libcurl fail; the end of the hop finds it. */
#ifndef IMAGES_FETCH_INTERNAL_H
#define IMAGES_FETCH_INTERNAL_H

#include "fetch.h"

#include <curl/curl.h>

#define IM_HEAD_BYTES       65536 /* of a body, for im_probe_head()                                      */
#define IM_IDLE_CONNECTIONS 64    /* kept for the next request                                      */
#define IM_DRAIN_BYTES      65536 /* of a body that nobody wants, so that its connection can be used again */

/* What one answer says. Zeroed at each status line, so that 1xx answers leave nothing behind. */
struct im_answer {
    int status;
    bool complete;       /* its headers are over: later ones are trailers */
    bool coded, chunked; /* Content-Encoding other than identity; Transfer-Encoding */
    bool has_length, has_location, has_retry_after;
    int64_t length;    /* INT64_MAX: does not fit */
    int64_t max_age_s; /* -1: none                */
    int64_t retry_after_ms;
    char declared[IM_MEDIA_BYTES], etag[IM_ETAG_BYTES], last_modified[IM_DATE_BYTES];
};

/* What the gate has seen in this hop. */
struct im_gate {
    enum im_reason refused; /* the first refusal                    */
    bool opened;            /* at least one socket was made         */
    bool busy, mixed;
    bool survey; /* nothing is connected to: only which addresses the name has */
};

struct im_transfer {
    struct im_transfer *prev, *next; /* in one of the fetcher's two lists */
    struct im_fetcher *fetcher;
    CURL *easy;
    struct curl_slist *headers;  /* of the request */
    bool validated;              /* a validator is sent */
    bool upgraded;               /* this hop is https in place of the http that was asked for */
    bool fresh;                  /* this hop is tried again on a connection of its own */
    bool moved;                  /* the hop that ended last leads to another server */
    struct im_url url;           /* of this hop */
    int64_t started_ms, sent_ms; /* boot time; sent_ms: the request of this hop, 0: not yet */
    int64_t check_at_ms;         /* next look at its speed; INT64_MAX: none */
    bool flowing;                /* the first byte of the answer is there */
    int64_t span_bytes;          /* since the last look */
    size_t header_bytes;         /* of this hop */
    struct im_answer answer;
    struct im_gate gate;
    char *location; /* owned; of this answer, cut at url_bytes + 1 */
    size_t location_len;
    enum im_reason reason;                /* why a callback stopped the hop */
    bool busy, drained;                   /* drained: stopped since the rest of the body is of no use */
    char admitted[IM_ADDRESS_TEXT_BYTES]; /* last address that address_ok() granted */
    int64_t body_bytes;                   /* of this hop */
    uint8_t *body; /* owned; all of the body while it has no file, then its head; NULL: not needed any more */
    size_t body_len, body_size;
    size_t probe_at; /* the next probe is due at this many bytes; SIZE_MAX: there was the last */
    struct im_fetched result;
};
_Static_assert(sizeof(struct im_transfer) + IM_HEAD_BYTES + CURL_MAX_WRITE_SIZE <= IM_FETCH_TRANSFER_BYTES,
               "a transfer has to fit into what it reserves");

struct im_list {
    struct im_transfer *first, *last;
};

struct im_idle { /* a connection that no transfer uses */
    curl_socket_t fd;
    int local_port;
    char host[NM_HOST_BYTES];
};

struct im_fetcher {
    struct im_fetch_config config;
    CURLM *multi;
    struct curl_slist *resolve, *connect;
    int epoll_fd, dir_fd;
    struct im_list running, done;
    int n_items; /* in both lists */
    int64_t temp_reserved;
    int64_t bodies_bytes; /* buffers of bodies, those that were taken and not released among them */
    int64_t timer_at_ms;  /* of libcurl; INT64_MAX: none     */
    int64_t check_at_ms;  /* the least of all transfers      */
    uint64_t last_id;
    struct im_idle idle[IM_IDLE_CONNECTIONS];
    size_t n_idle;
};

/* ---- fetch_idle.c ---- */
/* The transfer is over and libcurl keeps its connection. False: no room for another. */
bool im_idle_add(struct im_transfer *transfer, curl_socket_t fd);
void im_idle_taken(struct im_fetcher *fetcher, int local_port); /* a request goes out from there */
int im_on_close(void *self, curl_socket_t fd);                  /* self: the fetcher */

/* ---- fetch.c ---- */
/* Asks for a look at the transfer's speed at that time (boot time). */
void im_transfer_check_at(struct im_transfer *transfer, int64_t at_ms);
/* Changes what the transfer has reserved of temp_bytes. */
void im_transfer_reserve(struct im_transfer *transfer, int64_t bytes);

/* ---- fetch_hop.c ---- */
/* A transfer with its handle set up; NULL: out of memory. */
struct im_transfer *im_transfer_new(struct im_fetcher *fetcher, const struct im_fetch_request *request);
void im_transfer_free(struct im_transfer *transfer); /* its handle is in no multi handle then; accepts NULL */
/* Prepares the handle for the request to transfer->url. */
NM_MUST_USE enum im_reason im_hop_begin(struct im_transfer *transfer);
/* The hop is over. True: there is another one, prepared. False: transfer->result is complete. */
NM_MUST_USE bool im_hop_end(struct im_transfer *transfer, CURLcode code);
/* What is to be said at check_at_ms; IM_NONE: it may go on, and another time was asked for. */
NM_MUST_USE enum im_reason im_hop_check(struct im_transfer *transfer, int64_t now_ms);
/* The result of a transfer that ends with this reason. */
void im_transfer_fail(struct im_transfer *transfer, enum im_reason reason);

/* ---- fetch_answer.c ---- */
size_t im_on_header(char *data, size_t size, size_t n, void *transfer);
size_t im_on_body(char *data, size_t size, size_t n, void *transfer);

/* ---- fetch_body.c ---- */
NM_MUST_USE enum im_reason im_body_add(struct im_transfer *transfer, const char *data, size_t len);
/* The body is over: its last checks. */
NM_MUST_USE enum im_reason im_body_end(struct im_transfer *transfer);
void im_body_drop(struct im_transfer *transfer); /* the buffer */

/* ---- fetch_gate.c ---- */
curl_socket_t im_on_socket(void *transfer, curlsocktype purpose, struct curl_sockaddr *address);
int im_on_request(void *transfer, char *primary_ip, char *local_ip, int primary_port, int local_port);

#endif
