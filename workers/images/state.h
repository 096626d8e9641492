/* state.h - the shared state of the images worker in Redis: articles, URLs, leases; state_object.h has objects and
 * hosts. One function for each Lua script, one reader for its reply.
 *
 * state.lua says which keys there are and what lies in them. Each call appends one command to a pipe and returns its
 * index; nothing is retained. All times are ms since 1970, by Redis' clock, or by now_ms where that is not negative
 * (tests). A lease saves work, its token protects the entry; a repeated call finds what the first one left and changes
 * nothing. Ids are 32 hex digits, hashes and tokens NUL-terminated; jitter is a random number from 0 to 999,999 (ppm).
 * A script touches keys of several hash tags, so there is no Redis cluster. One set of scripts a process: open and
 * close belong to one thread, the calls to whoever owns the pipe. */
#ifndef IMAGES_STATE_H
#define IMAGES_STATE_H

#include "image_url.h"
#include "reason.h"

#include "newsmill/redis.h"
#include "newsmill/settings.h"
#include "newsmill/worker.h"

enum {
    IM_ID = 32,           /* bytes of an article's id                                 */
    IM_MAX_IMAGES = 16,   /* of an article (messages.md)                              */
    IM_TOKEN_BYTES = 33,  /* 16 random bytes as hex digits, with the NUL              */
    IM_SHA_BYTES = 65,    /* SHA-256 of an object, likewise                           */
    IM_TEXT_MAX = 20000,  /* bytes that the caller stores with an image of an article */
    IM_THUMBS_MAX = 2000, /* bytes that he stores with the thumbnails of an object    */
    IM_MARK_BYTES = 17,   /* names of options, [0-9A-Za-z._-], with the NUL           */
};

/* Every number of the scripts. In ms where nothing else is said. Defaults: images.md 2.4 (im_state_defaults()). */
struct im_state_options {
    char policy[IM_MARK_BYTES], facet[IM_MARK_BYTES]; /* name the options that refuse images, and that shape facets */
    int64_t lease_ms, lease_jitter_ms;                /* R17; what is added to a lease's end before another looks   */
    int64_t max_users, max_urls;                      /* articles of a URL; URLs of an object that gc still removes */
    int64_t tries, rounds, retry_base_ms;             /* retry.*; the base is multiplied by 4 with each try         */
    int64_t after_min_ms, after_max_ms, after_default_ms; /* Retry-After                                            */
    int64_t retry_round_ms, retry_round_max_ms;           /* 5xx, timeout, DNS: first delay between rounds, longest */
    int64_t later_round_ms, later_round_max_ms;           /* 404, bad type, undecodable                             */
    int64_t gone_ms, policy_ms;                           /* 410; refused by our own rules                          */
    int64_t fresh_ms, fresh_min_ms, fresh_max_ms;         /* without max-age; limits of max-age                     */
    int64_t per_host, per_address, host_rate, host_burst; /* transfers; requests a second, and at once              */
    int64_t slot_ms, slot_retry_ms;                       /* totalMs + 5 s; when to ask again for a place           */
    int64_t breaker_failures, breaker_open_ms, breaker_open_max_ms;
    int64_t host_ms, touch_ms;                          /* a host is remembered; img:lru moves at most that often */
    int64_t idle_ms, grace_ms, min_age_ms, deleting_ms; /* gc.*; deleting: 60 s of R25                            */
};
void im_state_defaults(struct im_state_options *out);

extern const struct nm_set im_due; /* "due:images" */
enum { IM_N_SCRIPTS = 18 };
extern struct nm_script *const im_scripts[IM_N_SCRIPTS];

struct im_state {
    char prefix[96]; /* "<namespace>:" */
    int32_t partitions;
    int64_t now_ms; /* < 0: Redis' clock */
    bool dry;       /* im_member(), im_mark() and im_evict() only say what they would do */
    struct im_state_options options;
};

/* Writes the scripts; load them at each connection. NM_CONFIG: an option is out of its range (the message says which);
 * NM_FATAL: out of memory. *out is written on NM_OK. */
NM_MUST_USE enum nm_status im_state_open(struct im_state *out, const struct im_state_options *options,
                                         const struct nm_settings *settings, struct nm_error *err);
void im_state_close(void);

/* A URL's or an object's: 64 lower-case hex digits. */
bool im_is_hash(const char *text, size_t len);

/* ---- articles: im_view_read() ---- */

struct im_listed {    /* an image as the article lists it */
    const char *hash; /* of its URL; NULL: the URL was refused, and never asked for */
    const char *text; /* whatever the facet needs of it; kept as it is              */
    size_t text_len;  /* at most IM_TEXT_MAX                                        */
};
/* STALE: a newer version is known, nothing changed. Else ARTICLE, or AGAIN for the version that is known. n is at most
 * IM_MAX_IMAGES; revision 0 to 9,999,999,999,999,999. */
size_t im_article(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t revision,
                  const struct im_listed *image, size_t n);
/* STALE; else RETRACTED or AGAIN, without images: a tombstone is sent. */
size_t im_retract(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t revision);
/* A due entry with the score that was read, or claimed before: then it is claimed for another lease. CLAIMED; MOVED:
 * somebody set it anew, leave it; GONE: there is no such article, and now no entry. */
size_t im_claim(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t score);

/* clang-format off */
#define IM_HOWS(X) \
    X(stale) X(article) X(again) X(retracted) X(claimed) X(moved) X(gone) X(ok) X(old) X(taken) X(held) X(done) \
    X(lost) X(cached) X(same) X(stays) X(failed) X(ours) X(none) X(deleting) X(dying) X(used) X(spared) X(more) \
    X(adopted) X(late) X(paused) X(open) X(host) X(address) X(rate)
/* clang-format on */
enum im_how {
    IM_HOW_NONE = 0,
#define X(name) IM_HOW_##name,
    IM_HOWS(X)
#undef X
};

struct im_picture {          /* strings are the reply's; "" for what is not known */
    const char *text, *hash; /* hash "-": the URL was refused                      */
    size_t text_len;
    bool needs_work;
    int64_t lease_left_ms; /* somebody fetches it, for that long at least        */
    enum { IM_PENDING = 0, IM_CACHED, IM_FAILED } state;
    const char *sha256, *type, *etag, *last_modified, *thumbs;
    int64_t width, height, bytes;
    enum im_reason reason;           /* IM_FAILED; IM_NONE for one that this version does not know */
    int64_t next_try_ms, expires_ms; /* 0: none */
    int64_t tries, rounds;           /* that failed */
};
struct im_view {
    enum im_how how;
    int64_t revision;    /* of the facet; 0 where there is none to send                     */
    bool reported;       /* this very facet was reported: nothing has to be sent            */
    bool on_its_way;     /* CLAIMED: an event or another claim made it less than a lease ago and its report may come:
                            nothing has to be sent, im_facet_sent() gets content ""         */
    const char *content; /* names what it says; for im_facet_sent()                         */
    int64_t score;       /* CLAIMED: that of the due entry now                              */
    size_t n_images, n_work;
    struct im_picture image[IM_MAX_IMAGES];
};
/* False: no reply of these three, which is a bug or a foreign script; *out is untouched. */
NM_MUST_USE bool im_view_read(const struct nm_reply *reply, struct im_view *out);

/* ---- all others: im_answer_read() ---- */

struct im_answer {
    enum im_how how;
    int64_t value;    /* as each function says */
    int64_t since_ms; /* deleting: when that began, for im_result() */
};
/* False as above. */
NM_MUST_USE bool im_answer_read(const struct nm_reply *reply, struct im_answer *out);

/* OK; MOVED: the entry is no longer ours. Where the report of the article's last facet has not come it fires by a lease
 * after that was made. */
size_t im_back(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t claimed, int64_t at_ms);
/* After the report. claimed < 0: it came from no due entry. content "": it was not sent, see on_its_way. OK; OLD: a
 * newer facet was made since; MOVED: the due entry stays as somebody else set it. value: when it fires next, 0: it is
 * gone. */
size_t im_facet_sent(const struct im_state *state, struct nm_pipe *pipe, const char *id, int64_t revision,
                     const char *content, int64_t claimed, int64_t jitter);

/* TAKEN, HELD by another (value: its end), DONE: nothing is to be fetched now. */
size_t im_lease(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *token);
/* goes_on false: it ends without an outcome (a host is busy). OK, LOST. */
size_t im_extend(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *token, bool goes_on);

struct im_result {
    enum { IM_RESULT_CACHED, IM_RESULT_SAME, IM_RESULT_FAILED } outcome;
    const char *sha256, *type, *thumbs;         /* CACHED; thumbs may be ""                                */
    int64_t width, height, bytes;               /* width and height also of FAILED, 0: unknown             */
    int64_t raw_width, raw_height, orientation; /* CACHED                                                  */
    const char *etag, *last_modified;           /* CACHED, SAME; "": none                                  */
    int64_t fresh_ms;                           /* max-age; < 0: not given                                 */
    int64_t put_again_ms;                       /* since_ms of DELETING where it was put again; 0: was not */
    bool existed;                               /* CACHED: one of its files was found and not written      */
    enum im_reason reason;                      /* FAILED                                                  */
    int status;                                 /* of HTTP, decides for bad_status; 0: none                */
    int64_t after_ms;                           /* FAILED: not before, from now; of im_retry_after()       */
};
/* CACHED (value: articles woken), SAME, STAYS (cached as before, its origin is out of reach; value: when it is tried
 * again), AGAIN (a further try of this round; value: when), FAILED (value: when, 0: never), OURS (nothing is held
 * against the URL), NONE (SAME of what is not cached any more). LOST: another has the lease, nothing was written.
 * DELETING: gc is removing this object; wait until value, put it again even where its name exists, and come again with
 * put_again_ms and a lease that was kept up. LATE (only for CACHED): the lease ran out, but nobody took it, or (value
 * 1) a file was found that gc may have removed since: extend it, put the object again, with value 1 even where its name
 * exists, come again. Between the put and this call must lie less than gc.graceMs. */
size_t im_result(const struct im_state *state, struct nm_pipe *pipe, const char *hash, const char *token,
                 int64_t jitter, const struct im_result *result);
/* Retry-After in seconds, whatever a server sent (negative, enormous); has false: none. In ms, within the limits. */
int64_t im_retry_after(const struct im_state_options *options, bool has, int64_t seconds);

#endif
