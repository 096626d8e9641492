/* normalize.h - from a raw event to an article; private to this folder.
 *
 * raw bytes -> nz_raw (borrowed strings, checked shapes) -> nz_article (cleaned facts) -> JSON of article/1.
 * All of it is pure: no clock but the one that is passed in, no I/O after the registries were read.
 * Strings live in the arena of the batch. */
#ifndef NORMALIZE_H
#define NORMALIZE_H

#include "newsmill/buf.h"
#include "newsmill/datetime.h"
#include "newsmill/option.h"
#include "newsmill/status.h"
#include "newsmill/url.h"

#include <stdbool.h>
#include <stdint.h>

/* A borrowed run of UTF-8; data NULL: absent. */
struct nz_str {
    const char *data;
    size_t len;
};

/* Filled by normalize_options[] (defaults.*, providers.*, topics.*, quality.*, normalize.*). */
struct nz_options {
    char *category, *type, *locale, *time_zone; /* defaults.* */
    char *providers_file, *topics_file;         /* "" : none */
    struct nm_strings search_in;                /* title, excerpt, content */
    char *match;                                /* word, prefix */
    struct nm_strings always;                   /* topic ids */
    long long rules, max_bytes, max_depth, excerpt_chars, max_future_ms, max_images;
    bool trust_quality, built_in_mapping;
    struct nm_lists mapping;          /* field -> JSON pointers, put in front of the built-in ones */
    struct nm_strings secured_fields; /* JSON pointers, below /private */
    long long secured_key;            /* number of the key that seals */
    struct nm_pairs secured_keys;     /* "1.file", "2.env" */
    /* quality.*, the reference profile as defaults; points */
    char *profile;
    long long q_topic, q_keyword, q_image, q_amp, q_featured, q_title_free, q_title_step;
};
extern const struct nm_option normalize_options[];

/* Checks of single values, in normalize_options.c for the table's sake. */
#define NZ_MAX_STEPS 16
bool nz_is_pointer(const char *text);          /* RFC 6901, 1 to NZ_MAX_STEPS steps, at most 128 bytes */
bool nz_is_locale(const char *text, size_t n); /* well-formed BCP 47, at most 64 bytes; "_" passes for "-" */

/* ---- registries (normalize_providers.c, normalize_topics.c) ---- */

struct nz_image {
    struct nz_str url;
    int width, height; /* px, 0: unknown */
};
struct nz_provider {
    char *domain, *name;
    int weight;
    struct nz_image *image;
    size_t n_images;
};
struct nz_providers; /* by domain */
/* YAML or JSON list of {domain, name, weight, images}. NM_CONFIG with file:line:column for anything else (unknown
 * member, duplicate domain, weight outside -1000..1000, > 100,000 entries). path "": an empty registry. */
NM_MUST_USE enum nm_status nz_providers_open(const char *path, struct nz_providers **out, struct nm_error *err);
void nz_providers_free(struct nz_providers *providers);
/* The entry of the longest suffix of `host` at a label boundary; NULL: not listed. */
const struct nz_provider *nz_providers_find(const struct nz_providers *providers, const char *host);
/* All of them, sorted by domain. */
const struct nz_provider *nz_providers_list(const struct nz_providers *providers, size_t *n);

struct nz_topics;
/* YAML or JSON list of {id, name, parent, keywords}. NM_CONFIG for unknown members, duplicate ids, unknown or circular
 * parents, > 10,000 topics or > 100,000 keywords, unknown ids in `always`. path "": none. */
NM_MUST_USE enum nm_status nz_topics_open(const char *path, const struct nz_options *options, struct nz_topics **out,
                                          struct nm_error *err);
void nz_topics_free(struct nz_topics *topics);

/* Everything that process() needs, opened once. */
struct nz_rules {
    const struct nz_options *options;
    struct nz_mapping *mapping;
    struct nz_secured *secured; /* NULL: nothing is sealed */
    struct nz_providers *providers;
    struct nz_topics *topics;
    struct nm_zone *zone;
    struct nz_scratch *scratch; /* buffers that every article uses again, so one thread at a time */
    struct nm_buf warnings;     /* lines for the log, of the opening */
};
/* options is borrowed until nz_rules_close(). */
NM_MUST_USE enum nm_status nz_rules_open(const struct nz_options *options, struct nz_rules *out, struct nm_error *err);
void nz_rules_close(struct nz_rules *rules);

/* Appends one line that tells rules apart which give the same event other articles (normalize_fingerprint.c); keys are
 * not in it. */
NM_MUST_USE enum nm_status nz_fingerprint(const struct nz_rules *rules, struct nm_buf *out, struct nm_error *err);
/* Names the parts of the option file in which two fingerprints differ: "topics, quality". */
void nz_fingerprint_difference(const char *ours, const char *other, char *out, size_t size);

/* ---- decoding (normalize_raw.c) ---- */

#define NZ_MAX_IN 256 /* topics or images in one raw event; more is `too_many` */
struct nz_raw {
    struct nz_str url, id, title, excerpt, content, published, modified, amp_url, locale, category, type;
    double published_number, modified_number; /* where the member was a JSON number; else 0 */
    struct nz_str provider_name, provider_domain;
    struct nz_str *topic;
    size_t n_topics;
    struct nz_image *image;
    size_t n_images;
    bool has_quality, featured, retracted;
    long long quality;
    struct yyjson_val *private_object;
    struct nz_str secret; /* what is to be sealed of it: compact JSON, members sorted */
};
/* Decodes one raw event. key: used as URL or id of a retraction when the value is empty (NULL or no bytes).
 * NM_BAD_INPUT: too_big utf8_invalid not_json not_object too_deep duplicate_key wrong_type too_many
 * retraction_target (neither a URL nor an id). NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nz_raw_decode(const struct nz_rules *rules, struct nm_arena *arena, const char *key,
                                         size_t key_len, const char *value, size_t len, struct nz_raw *out,
                                         struct nm_error *err);

/* ---- the article (normalize_article.c, normalize_quality.c, normalize_write.c) ---- */

#define NZ_MAX_TOPICS 32
struct nz_part {
    const char *rule;
    long long points;
};
struct nz_article {
    char id[NM_ID_BYTES];
    bool retracted; /* then only id, source_time_ms and hash are of use */
    struct nz_str original_url, web_url, amp_url, cdn_amp_url;
    struct nz_str title, excerpt, category, type, locale;
    bool dated;             /* the event named a date */
    int64_t published_ms;   /* dated only */
    int64_t source_time_ms; /* modifiedDateTime if given, else the Kafka timestamp */
    struct nz_str provider_name, provider_domain;
    const struct nz_provider *provider; /* NULL: not listed */
    struct nz_str topic[NZ_MAX_TOPICS];
    size_t n_topics;
    struct nz_image *image;
    size_t n_images;
    long long quality;
    struct nz_part part[64];
    size_t n_parts;
    struct nz_str secret; /* plaintext of `secured` */
    /* Of everything that the article says but source_time, and the date where the event gave none; hex. Of the secret
     * it has a digest under the oldest key, not the sealed text, so that a newer key makes no new version. A retraction
     * has the greatest hash, so that it wins among versions of the same time. */
    char hash[33];
};
/* now_ms: wall clock, for `date_future` only. kafka_ms: the message's timestamp.
 * NM_BAD_INPUT: no_title no_url url_* date_invalid date_future wrong_type retraction_target. */
NM_MUST_USE enum nm_status nz_article_make(const struct nz_rules *rules, struct nm_arena *arena,
                                           const struct nz_raw *raw, int64_t kafka_ms, int64_t now_ms,
                                           struct nz_article *out, struct nm_error *err);

/* The JSON of article/1, members in the order of messages.md. published_ms: the article's own date, or the one first
 * given to this id. Bytes live in the arena. The same arguments give the same bytes. */
NM_MUST_USE enum nm_status nz_article_write(const struct nz_rules *rules, struct nm_arena *arena,
                                            const struct nz_article *article, int64_t revision, int64_t source_time_ms,
                                            int64_t published_ms, struct nz_str *out, struct nm_error *err);

#endif
