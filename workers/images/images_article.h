/* images_article.h - an article of the stream as far as images needs it, and the text that is kept with each of its
 * images.
 *
 * Articles are written by our own normalize; what an article says in its images is not trusted. A bad URL costs its
 * image and never the article: it is listed with a reason. The text comes back from Redis in a view (state.h) and is
 * checked like anything foreign. One text for one meaning:
 *
 *   "1 <reason> <n> <n bytes: the URL as the article has it><its canonical form, where it differs>"
 *
 * reason "-": the URL is good; else a url_* code, and no canonical form. Pure functions; thread-safe as far as the
 * arena is not shared. */
#ifndef IMAGES_ARTICLE_H
#define IMAGES_ARTICLE_H

#include "image_url.h"
#include "state.h"

#include "newsmill/buf.h"
#include "newsmill/worker.h"

/* Bytes that are kept of a URL as the article has it; a longer one is url_invalid, and cut. */
#define IM_URL_TEXT_BYTES 8192

struct im_article_image {
    const char *url; /* as the article has it, UTF-8, may hold anything. What is no text, or empty, is its JSON: "7" */
    size_t url_len;  /* 1 to IM_URL_TEXT_BYTES; cut at a character */
    int32_t width, height;    /* that the article tells, 1 to 65,535; 0: it does not */
    enum im_reason reason;    /* of im_url_read()                                    */
    const struct im_url *get; /* what is to be fetched; NULL where there is a reason */
};

struct im_article_event {
    char id[IM_ID + 1];
    int64_t revision;
    bool retracted; /* then there are no images */
    size_t n;
    struct im_article_image image[IM_MAX_IMAGES]; /* in the article's order; the same URL twice is here twice */
    struct im_listed listed[IM_MAX_IMAGES];       /* the same for im_article()                                */
};

/* Reads an article/1. url_bytes: most of a URL, 1 to NM_FETCH_MAX_BYTES. Of more than IM_MAX_IMAGES images the first
 * ones are taken. `doc` is reset; what *out points to lives until it is again. NM_BAD_INPUT not_json, not_object,
 * wrong_type (also: "images" is no array; the key is not the id); NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status im_article_read(const struct nm_item *item, size_t url_bytes, struct nm_arena *doc,
                                           struct im_article_event *out, struct nm_error *err);

struct im_listed_text { /* borrowed from the text */
    const char *url;
    size_t url_len;
    enum im_reason reason;
    const char *get; /* the canonical form; NULL where there is a reason */
    size_t get_len;
};
/* False for what im_article_read() does not write; *out is untouched then. */
NM_MUST_USE bool im_listed_read(const char *text, size_t len, struct im_listed_text *out);
/* The URL to be fetched. False: it was refused, is not canonical, or is not the one of this hash; *out is anything. */
NM_MUST_USE bool im_listed_url(const struct im_listed_text *text, const char *hash, struct im_url *out);

#endif
