/* publish.h - from articles and facets to records, without Redis; private to this folder. README.md has the algorithm
 * and its proof.
 *
 * publish_event.c     what comes in, cut down to what the state keeps of it
 * publish_state.c     the Lua scripts over record:{id} and shown:{id}
 * publish_compose.c   from the state of an id to its card and its record; pure
 * publish_json.c      JSON as bytes
 * publish_view.c      one id in the steps of a batch: ask, take, prepare, finish
 * publish.c           the descriptor: batches, touches, reports */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "newsmill/article.h"
#include "newsmill/option.h"
#include "newsmill/redis.h"
#include "newsmill/worker.h"

#include <yyjson.h>

struct pb_options { /* publish.* */
    long long min_quality, wait_ms;
    long long max_related; /* of the settings: related has to know it, too */
};
extern const struct nm_option publish_options[];

#define PB_MAX_RELATED 200 /* of publish.maxRelated; what a facet lists beyond it is not kept */
#define PB_ID          32  /* bytes of an article id, without a NUL */

struct pb_text { /* bytes in the batch's arena or in a reply; not NUL-terminated; len 0: nothing */
    const char *s;
    size_t len;
};

/* What pure functions work with. `scratch` is reset by each function that uses it. `doc` holds parsed documents and is
 * reset by pb_read() and pb_make_own(), which keep none: they weigh ten times what is kept of them, and many batches
 * are on their way at once. */
struct pb_maker {
    const struct pb_options *options;
    struct nm_arena *arena, *doc;
    struct nm_buf *scratch;
};

/* ---- publish_json.c: all append to a buffer; out of memory is seen by nm_buf_ok() ---- */

void pb_add_string(struct nm_buf *buf, const char *text, size_t len);
void pb_add_value(struct nm_buf *buf, yyjson_val *value, const yyjson_alc *alc);
/* `,"name":value`; nothing for a NULL value. */
void pb_add_member(struct nm_buf *buf, const char *name, yyjson_val *value, const yyjson_alc *alc);
/* The content without its first `skip` bytes, copied into the arena. NM_FATAL: out of memory, also before. */
NM_MUST_USE enum nm_status pb_keep(const struct nm_buf *buf, size_t skip, struct nm_arena *arena, struct pb_text *out,
                                   struct nm_error *err);
/* A document in the arena `doc`. NM_BAD_INPUT not_json or not_object; `what` names it ("a facet/1"). */
NM_MUST_USE enum nm_status pb_parse(const char *value, size_t len, const char *what, struct nm_arena *doc,
                                    yyjson_val **root, struct nm_error *err);

/* ---- publish_event.c ---- */

/* Also how the scripts name them; the first four are fields of record:{id} too. */
enum pb_kind {
    PB_ARTICLE = 'a',
    PB_IMAGES = 'i',
    PB_RELATED = 'r',
    PB_HEAT = 'h',
    PB_TOUCH = 't', /* compose again: a member changed */
    PB_DUE = 'd',   /* the time of a due entry has come */
    PB_AGAIN = 'g', /* what was reported is old news by now */
    PB_BACK = 'b',  /* a record read back after the state was lost */
};

struct pb_event {
    enum pb_kind kind;
    char id[PB_ID + 1];
    int64_t revision; /* of the article or facet; of the record for PB_BACK; the score for PB_DUE; else 0 */
    /* As the state keeps it; empty: retracted.
     *   article   an object of the members that a record shows
     *   images    an array of objects with the members that a record shows
     *   related   the other members as ids without separators (a lead only), then the story as an object
     *   heat      a decimal number */
    struct pb_text data;
    char hash[PB_ID + 1]; /* PB_BACK: of the record's body                               */
    char awaits[4];       /* PB_BACK: facets that it shows: letters of i, r, h           */
};

/* NM_BAD_INPUT with not_json, not_object, wrong_type or too_many: not such a message, or its key is not its id.
 * NM_FATAL: out of memory. `item` is an event of the right stream. */
NM_MUST_USE enum nm_status pb_read(struct pb_maker *maker, const struct nm_item *item, struct pb_event *out,
                                   struct nm_error *err);

/* ---- publish_compose.c ---- */

/* What record:{id} holds, as pb_apply_script returned it, without the revisions of its parts. */
struct pb_state {
    const char *id;
    struct pb_text article, images, related, heat;
    struct pb_text card;  /* as it is now */
    struct pb_text lists; /* members whose shown:{member} holds this id: ids without separators */
};

/* What an id is before its members are looked at. A card is what a lead shows of a member:
 * "<quality> <publishedDateTime or -> <object>"; empty for a retracted article. */
struct pb_own {
    bool retracted, lead;
    struct pb_text front; /* "path":... up to "story":{...}, as a record has it before `related` */
    struct pb_text card;
    struct pb_text members; /* that this lead lists, at most publish.maxRelated: ids without separators */
};
/* NM_FATAL: out of memory, or a state that publish did not write. */
NM_MUST_USE enum nm_status pb_make_own(struct pb_maker *maker, const struct pb_state *state, struct pb_own *out,
                                       struct nm_error *err);

struct pb_member {
    const char *id;      /* PB_ID bytes */
    struct pb_text card; /* empty: not known (yet), or retracted; left out */
};
/* A record without its head: what follows after `{"id":"...","revision":N,`. */
struct pb_body {
    struct pb_text text;  /* NULL: a tombstone; has room in front for the head */
    char hash[PB_ID + 1]; /* 16 bytes of SHA-256 as hex; zeros for a tombstone */
    size_t n_dropped;     /* related ones that did not fit */
};
/* Sorts `member`. `room`: the most bytes of a record with its head. NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status pb_make_body(struct pb_maker *maker, const struct pb_own *own, struct pb_member *member,
                                        size_t n_members, size_t room, struct pb_body *out, struct nm_error *err);
/* Puts the head in front of the body, in its room. */
struct pb_text pb_record(const char *id, const struct pb_body *body, int64_t revision);

#endif
