/* images.h - what the actions of `newsmill images` share: options as the images worker reads them, Redis, entries as
 * JSON.
 *
 * Whoever can write to Redis can write anything there: only known fields are read, and what has not the form that the
 * worker writes is left out. One thread. */
#ifndef NEWSMILL_IMAGES_H
#define NEWSMILL_IMAGES_H

#include "images/collect.h"
#include "images/images_article.h"
#include "images/images_facet.h"
#include "images/images_settings.h"
#include "newsmill/redis.h"
#include "tool.h"

#include <jansson.h>

struct nm_images {
    struct nm_tool *tool;
    const struct nm_args *args;
    struct nm_config *config;
    struct nm_settings settings; /* as of newsmill-images, workers.images included */
    struct im_options options;
    struct im_settings image; /* where it was asked for */
    struct im_state state;
    struct nm_redis *redis;
    struct nm_pipe pipe;
    struct im_store *store;
    bool json;
};

enum { NM_IMAGES_REDIS = 0, NM_IMAGES_SCRIPTS = 1, NM_IMAGES_STORE = 2 };
/* Redis; with the scripts, and with the store too. Release with nm_images_close(), also when it failed. */
NM_MUST_USE enum nm_status nm_images_open(struct nm_images *images, int what, struct nm_error *err);
void nm_images_close(struct nm_images *images);
/* The same Redis again, after it failed, with the scripts: for a minute, or until a stop is asked for. */
NM_MUST_USE enum nm_status nm_images_again(struct nm_images *images, struct nm_error *err);

/* NM_RETRY of Redis is NM_FATAL here: waiting is up to the operator. */
NM_MUST_USE enum nm_status nm_images_exec(struct nm_images *images, struct nm_error *err);
void nm_images_key(const struct nm_images *images, const char *kind, const char *name, char out[256]);
/* Adds a command of words, ended by NULL. */
void nm_images_add(struct nm_images *images, const char *const *words);
#define NM_IMAGES_ADD(images, ...) nm_images_add(images, (const char *const[]){__VA_ARGS__, NULL})

/* ---- entries ---- */

/* HMGET of the fields that an entry has, or an object. */
void nm_images_ask_entry(struct nm_images *images, const char *hash);
void nm_images_ask_object(struct nm_images *images, const char *sha256);
bool nm_images_is_known(const struct nm_reply *fields);     /* any field is there */
const char *nm_images_state(const struct nm_reply *fields); /* "pending", "cached", "failed"; of an entry */
const struct nm_reply *nm_images_reason(const struct nm_reply *fields);
/* {state, reason...}: times as text, numbers as numbers. NULL: out of memory. */
json_t *nm_images_entry_json(const struct nm_reply *fields);
json_t *nm_images_object_json(const struct nm_reply *fields);

/* The URL whose hash this is, out of what an article that shows it says ("" where nobody says it). `fields` are those
 * of nm_images_ask_article(). */
enum { NM_IMAGES_ARTICLE_FIELDS = IM_MAX_IMAGES + 2 };
void nm_images_ask_article(struct nm_images *images, const char *id);
/* Image i of such an article; false: there is none. */
struct nm_images_listed {
    char hash[IM_URL_HASH_BYTES];   /* "-": refused                              */
    enum im_reason reason;          /* why                                       */
    char shown[IM_URL_SHOWN_BYTES]; /* what the article says, where it is refused */
    struct im_url url;              /* text "": not known                        */
};
bool nm_images_listed(const struct nm_reply *fields, size_t i, struct nm_images_listed *out);
void nm_images_url_of(const struct nm_reply *fields, const char *hash, struct nm_images_listed *out);
/* The id of "<partition>:<id>"; false: it is none. */
bool nm_images_member_id(const struct nm_reply *member, char out[NM_ID_BYTES]);

bool nm_images_is_hash(const char *text); /* 64 lower-case hex digits */
/* Prints the document; text is for people. Takes it. */
NM_MUST_USE enum nm_status nm_images_print(struct nm_images *images, json_t *document, struct nm_error *err);

/* ---- actions ---- */

NM_MUST_USE enum nm_status nm_images_ls(struct nm_images *images, struct nm_error *err);
NM_MUST_USE enum nm_status nm_images_show(struct nm_images *images, struct nm_error *err);
NM_MUST_USE enum nm_status nm_images_refetch(struct nm_images *images, struct nm_error *err);
NM_MUST_USE enum nm_status nm_images_purge(struct nm_images *images, struct nm_error *err);
NM_MUST_USE enum nm_status nm_images_gc(struct nm_images *images, struct nm_error *err);
NM_MUST_USE enum nm_status nm_images_scrub(struct nm_images *images, struct nm_error *err);

#endif
