/* fetch.h - HTTP transfers for images: many at once in one thread, each within fixed limits of time, bytes and memory.
 *
 * A transfer is one image URL: redirects are followed here, one by one, on one budget of time. It ends as the body, in
 * memory or in a temp file, as "not modified", as busy, as cancelled, or with a reason. Nothing here blocks, except
 * writes to the temp files: names are resolved in threads of libcurl.
 *
 *     start() ... { poll(im_fetcher_fd(), im_fetcher_timeout_ms()); advance(); while (take()) ...; release() }
 *
 * What a server can do: it chooses every byte that comes. The gate (address.h) is asked with the very address before
 * each socket is made and again before each request; content codings are refused, nothing is inflated; a body is
 * stopped at its first 16 bytes if they are no image's, and as soon as its dimensions are beyond the limits. Whether
 * the file is a whole image im_probe_file() says afterwards.
 *
 * Requests are GET over HTTP/1.1 with Host, User-Agent, Accept, Accept-Encoding: identity, and the two validators where
 * the caller has them. No Referer, cookies, credentials; no proxy, whatever the environment says.
 *
 * One fetcher and everything with it belong to one thread. curl_global_init() is called by im_fetcher_open(), so the
 * first one is opened before other threads start. SIGPIPE has to be ignored. Hosts are in punycode (image_url.h). */
#ifndef IMAGES_FETCH_H
#define IMAGES_FETCH_H

#include "address.h"
#include "fetch_headers.h"
#include "image_url.h"
#include "probe.h"

#include "newsmill/clock.h"
#include "newsmill/status.h"

#define IM_ADDRESS_TEXT_BYTES 46 /* INET6_ADDRSTRLEN */
/* Bytes of memory that a transfer reserves: 64 KiB of the body for the probe, libcurl's buffer of 16 KiB, URLs, headers
 * and the rest. A Location is held beside it while a redirect is read, at most url_bytes. */
#define IM_FETCH_TRANSFER_BYTES (96 * 1024)
/* A body up to so many bytes stays in memory (four times the average picture of the web), as long as all of them, with
 * those that were taken and not released, have not more than the second: slow ones must not hold what 1,000 transfers
 * may have, and beside their heads it stays below 128 MiB in all. */
#define IM_BODY_BYTES   (256 * 1024)
#define IM_BODIES_BYTES (24 * 1024 * 1024)

/* Options fetch.* and retry.after*; defaults and maxima stand in images_options.c. All are > 0 where not said. */
struct im_fetch_limits {
    size_t url_bytes;      /* of each URL of the chain; at most NM_FETCH_MAX_BYTES                 */
    int max_hops;          /* redirects that are followed; >= 0                                    */
    int32_t connect_ms;    /* name, TCP and TLS, of each hop                                       */
    int32_t first_byte_ms; /* from the request to the first byte of the answer, of each hop        */
    int32_t slow_bytes;    /* bytes a second, in each span of slow_ms since the request; >= 0      */
    int32_t slow_ms;
    int32_t total_ms;        /* all hops together                                                    */
    size_t header_bytes;     /* all headers of one hop, those of 1xx answers and trailers among them */
    int64_t body_bytes;      /* of the image; a file never gets more                                 */
    int in_flight_items;     /* transfers started and not taken                                      */
    int64_t in_flight_bytes; /* IM_FETCH_TRANSFER_BYTES each                                       */
    int64_t temp_bytes;      /* bodies, from start() to release(), in files or not              */
    int64_t retry_after_min_ms, retry_after_max_ms, retry_after_default_ms;
};

struct im_fetched;

/* Everything is borrowed and has to outlive the fetcher. The policy and limits may be changed between calls. */
struct im_fetch_config {
    const struct im_fetch_limits *limits;
    const struct im_limits *check; /* for the early stop                                                  */
    const struct im_policy *policy;
    const char *user_agent;       /* one line                                                              */
    const char *temp_dir;         /* on local disk                                                         */
    const char *ca_file;          /* NULL: the system's                                                    */
    const char *const *resolve;   /* tests: "NAME:PORT:ADDRESS[,ADDRESS]" up to a NULL; NULL: none         */
    const char *const *connect;   /* tests: "NAME:PORT:ADDRESS:PORT" up to a NULL: where to go instead     */
    const struct nm_clock *clock; /* for dates in Retry-After                                             */
    bool allow_downgrade;         /* redirects from https to http                                          */
    bool reject_mixed;            /* a name with public and refused addresses fails; else the refused are skipped */
    bool strict_type;             /* an image declared as HTML is refused                                  */
    bool http2;                   /* also HTTP/2, where TLS agrees on it                                   */
    /* May the transfer `token` connect to this address, or (host_ok) follow a redirect to this host? False ends it as
     * busy. What was granted is used until the transfer is taken; both may be asked again about the same and have to
     * grant it again. They must not call the fetcher. NULL: always. The address is numeric, IPv4 where it stands for
     * that. */
    bool (*address_ok)(void *ctx, void *token, const char *address);
    bool (*host_ok)(void *ctx, void *token, const char *host);
    /* A transfer is over (its result is complete, the next take() may give it) and its connection could be used again:
     * false closes it. NULL: always. It stays open where another transfer goes over it (HTTP/2), and is closed unasked
     * where a redirect led elsewhere. Must not call the fetcher. */
    bool (*keep)(void *ctx, const struct im_fetched *fetched);
    void *ctx;
};

struct im_fetch_request {
    const struct im_url *url;         /* copied                                                      */
    const char *etag, *last_modified; /* validators of an earlier answer, or NULL. Copied; what im_header_etag()
                                       * or im_header_date() would not take is not sent               */
    int hops;                         /* redirects followed before, and their time: of a result that was busy */
    int64_t spent_ms;
    bool try_https; /* http on port 80 only: first the same over https, and http where that
                     * cannot be connected to                                       */
    void *token;    /* comes back with the result                                  */
};

enum im_outcome {
    IM_FETCH_FAILED = 0, /* reason says why                                                       */
    IM_FETCH_BODY,       /* data or fd holds the body                                             */
    IM_FETCH_UNCHANGED,  /* 304 to a validator                                                    */
    IM_FETCH_BUSY,       /* address_ok or host_ok said no: it was no try, nothing is held against */
};

struct im_fetched {
    void *token;
    uint64_t id; /* of im_fetcher_start() */
    enum im_outcome outcome;
    enum im_reason reason; /* IM_NONE unless IM_FETCH_FAILED                                               */
    bool try_again;        /* a failure that may pass: the same again within the round may help            */
    bool mixed;            /* a name had refused addresses beside the one that was taken                   */
    bool https_failed;     /* try_https: it could not be connected to, so http was taken                   */
    int status;            /* of the last answer; 0: there was none                                        */
    int hops;              /* redirects followed                                                           */
    uint8_t *data;         /* IM_FETCH_BODY: the body, owned until im_fetcher_release(); NULL: it is in fd   */
    int fd;                /* the same, for reading and writing, at its beginning, without a name; else -1 */
    int64_t bytes;         /* of the body                                                                  */
    int64_t received;      /* of bodies, all hops                                                          */
    int64_t spent_ms;
    struct im_facts facts;  /* as far as the first 64 KiB tell; type and perhaps dimensions. Also of a refused AVIF */
    int64_t max_age_s;      /* -1: none                                                                     */
    int64_t retry_after_ms; /* with 429, and 5xx that said so: clamped, > 0; else 0                         */
    char declared[IM_MEDIA_BYTES]; /* Content-Type, never trusted; "": none                                 */
    char etag[IM_ETAG_BYTES], last_modified[IM_DATE_BYTES];
    char host[NM_HOST_BYTES];            /* of the last URL                                                 */
    char address[IM_ADDRESS_TEXT_BYTES]; /* last one that a request was sent to; "": none                   */
    char shown[IM_URL_SHOWN_BYTES];      /* the last URL, fit for a log line                                */
    int64_t reserved, held_bytes;        /* of temp_bytes, of IM_BODIES_BYTES; for im_fetcher_release() */
    char *next; /* IM_FETCH_BUSY behind a redirect: the URL that was about to be asked for, to go on with; else NULL.
                 * Released with the rest */
};

struct im_fetcher;

/* NM_CONFIG: the temp directory cannot be used, a setting is out of range, or this libcurl lacks something; NM_FATAL:
 * out of memory or descriptors. */
NM_MUST_USE enum nm_status im_fetcher_open(const struct im_fetch_config *config, struct im_fetcher **out,
                                           struct nm_error *err);
/* Ends every transfer; results not taken are lost, their files too. Files that were taken stay open. Accepts NULL. */
void im_fetcher_close(struct im_fetcher *fetcher);
NM_DEFINE_CLEANUP(struct im_fetcher, im_fetcher_close)

/* Starts a transfer; *id names it and is never used again. NM_RETRY: full (items, memory or temp files); try again when
 * results were taken and released. NM_FATAL: out of memory. Nothing is sent before im_fetcher_advance(). */
NM_MUST_USE enum nm_status im_fetcher_start(struct im_fetcher *fetcher, const struct im_fetch_request *request,
                                            uint64_t *id, struct nm_error *err);
/* Ends a transfer without a result. False: it is over already, so its result has been or can be taken. */
bool im_fetcher_cancel(struct im_fetcher *fetcher, uint64_t id);

/* One descriptor for poll(2) with POLLIN; it stays the same. And how long to wait at most: -1 for ever, 0 not at all.
 * The time changes with every other call. */
int im_fetcher_fd(const struct im_fetcher *fetcher);
int im_fetcher_timeout_ms(const struct im_fetcher *fetcher);

/* Moves everything on as far as it goes without waiting. NM_FATAL: libcurl's state is unknown. */
NM_MUST_USE enum nm_status im_fetcher_advance(struct im_fetcher *fetcher, struct nm_error *err);

/* The next result, in the order in which they ended; false: none. *out is the caller's then, to be released once. */
bool im_fetcher_take(struct im_fetcher *fetcher, struct im_fetched *out);
/* Frees the body and `next`, closes the file unless fd is -1 (the caller may have taken it), and gives their shares
 * back. */
void im_fetcher_release(struct im_fetcher *fetcher, struct im_fetched *fetched);

/* Closes a connection to this host that keep() left open and no transfer has used since, if there is one. */
void im_fetcher_hang_up(struct im_fetcher *fetcher, const char *host);

int im_fetcher_in_flight(const struct im_fetcher *fetcher); /* started and not taken */

#endif
