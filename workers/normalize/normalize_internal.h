/* normalize_internal.h - what the parts of normalize's pure logic share; nobody else includes it.
 *
 * raw event: normalize_json.c (bytes to a checked tree), normalize_mapping.c (where each field stands),
 * normalize_take.c (tree to values), normalize_raw.c (the event), normalize_secured.c (private fields). registries:
 * normalize_registry.c (files to nodes), normalize_providers.c, normalize_topics.c (file, lookup), normalize_match.c
 * (keywords in a text). article: normalize_article.c, normalize_quality.c, normalize_write.c. */
#ifndef NORMALIZE_INTERNAL_H
#define NORMALIZE_INTERNAL_H

#include "normalize.h"

#include "newsmill/seal.h"

#include <openssl/evp.h>
#include <yyjson.h>

#define NZ_LAST_MS 253402300799999 /* the end of 9999 */

/* ---- strings ---- */

struct nz_str nz_str_of(const char *text);           /* borrowed */
struct nz_str nz_trim(struct nz_str text);           /* ASCII white space around; data NULL when nothing is left */
bool nz_str_equal(struct nz_str a, struct nz_str b); /* bytes */
bool nz_is_word(struct nz_str text);                 /* 1 to 64 bytes of [A-Za-z0-9_-] */

/* Untrusted text for a message: at most 60 bytes, cut at a code point, quotes and controls replaced. */
#define NZ_SHOWN_BYTES 64
const char *nz_shown(struct nz_str text, char out[NZ_SHOWN_BYTES]);

/* ---- raw events ---- */

/* Size, UTF-8, byte order mark, depth, syntax: the root object of one raw event. Codes: see nz_raw_decode(). */
NM_MUST_USE enum nm_status nz_json_open(const struct nz_options *options, struct nm_arena *arena, const char *value,
                                        size_t len, yyjson_val **out, struct nm_error *err);
/* NM_BAD_INPUT `duplicate_key` when a name stands twice in `object`; linear times log, whatever the names are. */
NM_MUST_USE enum nm_status nz_json_keys(struct nm_arena *arena, yyjson_val *object, struct nm_error *err);

enum nz_found {
    NZ_ABSENT, /* null, "", or a container without anything of use: as if it were not there */
    NZ_WRONG,  /* a type that this field can never use                                      */
    NZ_USABLE,
    NZ_FAILED, /* the event is refused: taker->status and the error say why                 */
};
struct nz_taker {
    struct nm_arena *arena;
    struct nm_error *err;
    enum nm_status status;            /* of NZ_FAILED */
    bool own;                         /* the value stands under the field's own name, not under one of another format */
    bool (*fits)(struct nz_str text); /* which texts of a string field are usable; NULL: all */
    enum nz_found misfit;             /* what the others are: NZ_WRONG or NZ_ABSENT */
};
struct nz_field {
    const char *name, *wants; /* for messages: what it is, what to send */
    enum nz_found (*take)(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw);
    size_t offset;               /* of the nz_str that nz_take_text, _url, _link, _word and _locale fill */
    size_t max_bytes;            /* of it; more is `too_big`; 0: only the event's size counts */
    const char *const *pointers; /* JSON pointers, tried in order, NULL at the end */
};

/* ---- where the fields stand (normalize_mapping.c) ---- */

/* The fields of a raw event in the order in which they are read. The first decides whether it is a retraction, which
 * needs nothing but the next two. */
enum nz_field_number {
    NZ_RETRACTED,
    NZ_URL,
    NZ_MODIFIED,
    NZ_TITLE, /* the first that a retraction does not need */
    NZ_QUALITY = 16,
    NZ_N_FIELDS
};
struct nz_step {
    const char *name;
    size_t len;
    size_t index; /* where the value is an array; SIZE_MAX: no element */
};
struct nz_pointer {
    const char *text; /* as it was written */
    const struct nz_step *step;
    size_t n;
    bool own; /* the field's own name */
};
struct nz_route {
    const struct nz_field *field;
    struct nz_pointer *pointer; /* tried in order */
    size_t n;
};
struct nz_mapping {
    struct nm_arena arena; /* holds everything below */
    struct nz_route route[NZ_N_FIELDS];
};
/* NM_CONFIG: no pointer for what every article needs. */
NM_MUST_USE enum nm_status nz_mapping_open(const struct nz_options *options, struct nz_mapping **out,
                                           struct nm_error *err);
void nz_mapping_free(struct nz_mapping *mapping);
/* text: a pointer as nz_is_pointer() wants it. Everything lives in the arena. */
NM_MUST_USE enum nm_status nz_pointer_compile(struct nm_arena *arena, const char *text, struct nz_pointer *out,
                                              struct nm_error *err);
/* The value in an event whose own members were checked already; *out NULL: not there. NM_BAD_INPUT: duplicate_key. */
NM_MUST_USE enum nm_status nz_pointer_find(const struct nz_pointer *pointer, struct nm_arena *arena, yyjson_val *root,
                                           yyjson_val **out, struct nm_error *err);

/* ---- values ---- */

enum nz_found nz_take_retracted(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                                struct nz_raw *raw);
enum nz_found nz_take_text(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw);
enum nz_found nz_take_word(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw);
/* The same, but a text that is no word is as good as absent: a feed's categories are free text. */
enum nz_found nz_take_category(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                               struct nz_raw *raw);
/* A language tag; "_" becomes "-". Another text is wrong under the field's own name, else as good as absent. */
enum nz_found nz_take_locale(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw);
enum nz_found nz_take_url(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw);
/* A URL that may be one of a feed's links: only `rel` alternate and canonical (or none) lead to the article. */
enum nz_found nz_take_link(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw);
enum nz_found nz_take_published(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                                struct nz_raw *raw);
enum nz_found nz_take_modified(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                               struct nz_raw *raw);
enum nz_found nz_take_provider(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                               struct nz_raw *raw);
enum nz_found nz_take_topics(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw);
enum nz_found nz_take_images(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field, struct nz_raw *raw);
enum nz_found nz_take_featured(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                               struct nz_raw *raw);
enum nz_found nz_take_private(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                              struct nz_raw *raw);
enum nz_found nz_take_quality(struct nz_taker *taker, yyjson_val *val, const struct nz_field *field,
                              struct nz_raw *raw);

/* ---- private fields (normalize_secured.c) ---- */

struct nz_secured; /* which members are sealed, and the keys; NULL: none */
/* *out NULL: no fields are to be sealed. *warnings gets a line for each key that others may read. */
NM_MUST_USE enum nm_status nz_secured_open(const struct nz_options *options, struct nz_secured **out,
                                           struct nm_buf *warnings, struct nm_error *err);
void nz_secured_free(struct nz_secured *secured);
/* The plaintext of what is to be sealed of `private`: compact JSON, members sorted; data NULL: nothing of it is there.
 * NM_BAD_INPUT: duplicate_key. */
NM_MUST_USE enum nm_status nz_secured_plain(const struct nz_secured *secured, struct nm_arena *arena,
                                            yyjson_val *private_object, struct nz_str *out, struct nm_error *err);
/* The `secured` member of an article with a secret. */
NM_MUST_USE enum nm_status nz_secured_seal(struct nz_secured *secured, struct nm_arena *arena,
                                           const struct nz_article *article, struct nz_str *out, struct nm_error *err);
/* nm_seal_digest() of its secret. */
NM_MUST_USE enum nm_status nz_secured_digest(struct nz_secured *secured, const struct nz_article *article,
                                             unsigned char out[NM_SEAL_DIGEST_BYTES], struct nm_error *err);
/* The fields as text: the same for every order and repetition that means the same. */
void nz_secured_describe(const struct nz_secured *secured, struct nm_buf *out);

/* ---- registry files ---- */

enum nz_kind { NZ_NULL, NZ_TEXT, NZ_LIST, NZ_MAP };
struct nz_node {
    enum nz_kind kind;
    bool plain;            /* NZ_TEXT: not quoted, so that it may be a number */
    int line, column;      /* 1-based; in a JSON file those of the list's entry that holds the node */
    const char *name;      /* of a map's member; else NULL */
    const char *text;      /* NZ_TEXT */
    struct nz_node *child; /* NZ_LIST, NZ_MAP */
    size_t n;
};
/* A file that is being read. */
struct nz_reader {
    const char *path, *text;
    size_t len, n_nodes;
    struct nm_arena *arena;
    struct nm_error *err;
};
NM_MUST_USE enum nm_status nz_read_yaml(struct nz_reader *reader, struct nz_node *out);
NM_MUST_USE enum nm_status nz_read_json(struct nz_reader *reader, struct nz_node *out);
NM_MUST_USE enum nm_status nz_reader_oom(const struct nz_reader *reader);
/* Makes `node` a list or map with room for n children, all zero, within the bounds of nesting and number. */
NM_MUST_USE enum nm_status nz_reader_children(struct nz_reader *reader, struct nz_node *node, enum nz_kind kind,
                                              size_t n, int level);
NM_MUST_USE enum nm_status nz_reader_duplicates(const struct nz_reader *reader, const struct nz_node *map);

/* Reads a list of at most max_entries maps; the nodes live in the arena. NM_CONFIG: `path:line:column: what`. */
NM_MUST_USE enum nm_status nz_registry_read(const char *path, size_t max_entries, struct nm_arena *arena,
                                            struct nz_node **out, struct nm_error *err);
/* NM_CONFIG with the position of `node`. */
NM_MUST_USE enum nm_status nz_registry_fail(const char *path, const struct nz_node *node, struct nm_error *err,
                                            const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Refuses members of `map` that are not among `names` (NULL at the end). `what` names the map in the message. */
NM_MUST_USE enum nm_status nz_registry_members(const char *path, const struct nz_node *map, const char *what,
                                               const char *const *names, struct nm_error *err);
/* NULL: not there, or null. */
const struct nz_node *nz_registry_member(const struct nz_node *map, const char *name);
/* 1 to max_bytes bytes of text without control characters; `what` names it in the message. */
NM_MUST_USE enum nm_status nz_registry_check_text(const char *path, const struct nz_node *node, const char *what,
                                                  size_t max_bytes, struct nm_error *err);
/* The text of a required member: 1 to max_bytes bytes without control characters. */
NM_MUST_USE enum nm_status nz_registry_text(const char *path, const struct nz_node *map, const char *name,
                                            size_t max_bytes, const char **out, struct nm_error *err);
/* A whole number; `def` when it is not there. */
NM_MUST_USE enum nm_status nz_registry_int(const char *path, const struct nz_node *map, const char *name, long min,
                                           long max, int *out, struct nm_error *err);

/* ---- topics ---- */

/* One keyword of one topic. The same word may stand there several times: for several topics, or listed twice. */
struct nz_keyword {
    const char *word; /* folded */
    size_t len;
    uint32_t topic;
};
#define NZ_BEGINNINGS 65536
struct nz_keywords {
    struct nz_keyword *item; /* sorted by word */
    size_t n;
    size_t first[257]; /* item[first[b]] is the first whose word starts with byte b or a greater one */
    unsigned char begins[NZ_BEGINNINGS / 8]; /* a bit for the hash of each beginning of four bytes */
    bool is_short[256];                      /* a word of fewer bytes starts with that one */
    bool prefix;                             /* a keyword may be the start of a word */
};
/* Sorts and indexes. */
void nz_keywords_index(struct nz_keywords *keywords);
/* Calls hit() for every keyword at every place in `text` (folded) where nm_text_has_word() would find it. */
void nz_keywords_find(const struct nz_keywords *keywords, struct nz_str text,
                      void (*hit)(void *self, const struct nz_keyword *keyword), void *self);

/* Buffers that every article uses again, so that a steady stream allocates nothing; one thread at a time. */
struct nz_scratch {
    struct nm_buf text, fold;
    struct nm_arena doc; /* the article while it is written; only its text is kept */
    EVP_MD_CTX *digest;
    EVP_MD *sha256;
};
struct nz_scratch *nz_scratch_new(void); /* NULL: out of memory */
void nz_scratch_free(struct nz_scratch *scratch);

/* Cleans `in` into the arena, cut at max_chars code points (0: not cut); data NULL when nothing is left. */
NM_MUST_USE enum nm_status nz_clean(const struct nz_rules *rules, struct nm_arena *arena, struct nz_str in,
                                    size_t max_chars, struct nz_str *out, struct nm_error *err);

/* Fills the topics of an article that has its title and excerpt; *keyword_hits: keywords of these topics in the title,
 * each counted as often as it is listed. */
NM_MUST_USE enum nm_status nz_topics_match(const struct nz_rules *rules, struct nm_arena *arena,
                                           const struct nz_raw *raw, struct nz_article *article,
                                           long long *keyword_hits, struct nm_error *err);

/* Fills quality and its parts; everything else of the article is there. */
void nz_quality(const struct nz_options *options, const struct nz_raw *raw, long long keyword_hits,
                struct nz_article *article);

/* Fills article->hash. */
NM_MUST_USE enum nm_status nz_hash(const struct nz_rules *rules, struct nz_article *article, struct nm_error *err);

#endif
