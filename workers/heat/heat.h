/* heat.h - private contract between the files of the heat worker.
 *
 * Events come in as bytes, are checked and cut down to what the scripts take of them (heat_event.c, heat_signal.c); one
 * script an event decides everything in Redis (heat_state.c and the .lua files); what it replies becomes the facet
 * (heat_facet.c). All functions are pure but for the static script sources. */
#ifndef HEAT_H
#define HEAT_H

#include "newsmill/worker.h"

#include <yyjson.h>

enum {
    HP_ID = 32,            /* hex digits */
    HP_KINDS = 5,          /* click share comment mention view                                 */
    HP_SOURCE = 64,        /* most bytes of a source or signalId                               */
    HP_HASH = 8,           /* bytes kept of a signalId                                         */
    HP_SIGNAL = 65536,     /* most bytes of a signal                                           */
    HP_MAX_STEPS = 1000,   /* most steps of a window                                           */
    HP_MAX_SERIES = 64,    /* kinds x sources kept of an article                               */
    HP_MAX_BUCKETS = 4096, /* steps in which something was counted, over all series            */
    HP_MAX_IDS = 128,      /* signalIds in each of sixteen parts of an article's               */
    HP_COUNT = 1000000,    /* most that one signal counts                                      */
    HP_AHEAD_MS = 300000,  /* how far ahead of the clock a signal's time may be                */
    HP_WAIT_S = 604800,    /* how long signals wait for their article beyond the longest window */
};

struct hp_options {
    long long per_related, half_life_ms, step_ms, max_waiting;
    struct nm_pairs kinds; /* "click.weight" and so on, as written */
};
extern const struct nm_option heat_options[];
NM_MUST_USE enum nm_status heat_options_check(const void *ctx, struct nm_error *err); /* ctx: struct hp_options */

struct hp_kind {
    const char *name;
    char letter;
    int64_t weight; /* thousandths */
    int64_t window_s, cap;
};
/* The kinds with what the options say of them; what they leave out is as by default. NM_CONFIG: a sentence. */
NM_MUST_USE enum nm_status hp_kinds_read(const struct hp_options *options, struct hp_kind out[HP_KINDS],
                                         struct nm_error *err);
extern const struct hp_kind hp_default_kinds[HP_KINDS];

/* ---- what comes in ---- */

enum hp_type { HP_NOTHING, HP_ARTICLE, HP_STORY, HP_SIGNAL_EVENT, HP_DUE };

struct hp_event {
    enum hp_type type;
    char id[HP_ID + 1];
    int64_t revision; /* article, story */
    bool gone;        /* retracted; a story: data is null */
    int64_t quality, published_s;
    int64_t size; /* of the story */
    bool leads;
    char kind; /* letter */
    int64_t count, at_s;
    const char *source; /* borrowed: from the document, or a literal */
    size_t source_len;
    unsigned char hash[HP_HASH];
    bool has_hash;
};

/* Article or facet of our own streams; NM_BAD_INPUT not_json not_object wrong_type, date_invalid. A facet that heat
 * does not look at is HP_NOTHING. `doc` is reset; event->source lives until it is again. */
NM_MUST_USE enum nm_status hp_read(const struct nm_item *item, struct nm_arena *doc, struct hp_event *out,
                                   struct nm_error *err);
/* Whatever the site sent. now_ms: wall clock; it and Kafka's timestamp bound the time of a signal.
 * NM_BAD_INPUT with the codes of README.md. */
NM_MUST_USE enum nm_status hp_read_signal(const struct nm_item *item, int64_t now_ms, struct nm_arena *doc,
                                          struct hp_event *out, struct nm_error *err);

/* ---- what goes out ---- */

enum hp_emit { HP_SILENT, HP_FACET, HP_TOMBSTONE };
struct hp_view {
    const char *how; /* borrowed from the reply */
    enum hp_emit emit;
    int64_t revision, heat, quality, related, engagement;
    int64_t as_of_s, next_s;    /* next_s 0: none */
    int64_t dropped, forgotten; /* buckets, signalIds */
    int64_t crowded;            /* other ids that waited for their article */
};
/* What a script replied; false: not such a reply. */
bool hp_view_read(const struct nm_reply *reply, struct hp_view *out);

#define HP_FACET_BYTES 512
/* The facet as JSON into out; returns its length. */
size_t hp_facet(const char *id, const struct hp_view *view, char out[HP_FACET_BYTES]);

/* ---- state ---- */

struct hp_state {
    const struct nm_settings *settings;
    int32_t partitions; /* of normalized */
};

extern struct nm_script hp_article_script, hp_story_script, hp_signal_script, hp_due_script, hp_mark_script;
extern const struct nm_set hp_due;

/* Makes the sources of the scripts, with the options written into them. */
NM_MUST_USE enum nm_status hp_state_open(struct hp_state *state, const struct hp_options *options,
                                         const struct nm_settings *settings, struct nm_error *err);
void hp_state_close(void);

/* Applies an event; returns the index of the reply. */
size_t hp_apply(const struct hp_state *state, struct nm_pipe *pipe, const struct nm_item *item,
                const struct hp_event *event);
/* After the report of a view. due_score: of the timer that it answers, -1: none. */
void hp_mark(const struct hp_state *state, struct nm_pipe *pipe, const char *id, const struct hp_view *view,
             int64_t due_score);

#endif
