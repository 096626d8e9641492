/* publish_view.h - publish's state in Redis, and one id on its way through the steps of a batch; private to this
 * folder. */
#ifndef PUBLISH_VIEW_H
#define PUBLISH_VIEW_H

#include "publish.h"

/* ---- publish_state.c; texts of revisions that order parts have 16 digits ---- */

/* KEYS record, shown, due; ARGV kind, revision, data, instance, catching up 0/1, keep ms, expected letters, wait ms,
 * id. Replies {"stale"} | {"none"} | {"go", rev, rev before, hash of the last report while nothing was composed since
 * (else ""), quiet 0/1, back 0/1, a, i, r, h, card, lists, untold}; a..h with their revisions in front. */
extern struct nm_script pb_apply_script;
#define PB_APPLY_KEYS 3
#define PB_APPLY_ARGS 9
/* KEYS record; ARGV rev, card. Writes or removes the card if rev is still the newest. Replies 0/1. */
extern struct nm_script pb_card_script;
/* KEYS record, shown of added members, shown of removed ones; ARGV rev, id, keep ms, number added, new list.
 * Only if rev is still the newest. Replies 0/1. */
extern struct nm_script pb_lists_script;
/* KEYS record; ARGV rev, hash of the body ("": no record belongs to it), instance, revision of the card that leads were
 * told of. After a report. Replies 1: marked; 2: newer revisions, all of this instance since; 0: somebody else composed
 * since. */
extern struct nm_script pb_mark_script;
/* KEYS record; ARGV rev, hash of the body, awaited letters, keep ms. A record as it lies on the stream. */
extern struct nm_script pb_back_script;

extern const struct nm_set pb_due;

/* ---- publish_view.c ---- */

struct publish { /* the worker's context; the options come first */
    struct pb_options options;
    const struct nm_settings *settings;
    char instance[17], keep_ms[24], expect[4]; /* expect: letters of publish.expect */
    size_t room;                               /* most bytes of a record's value */
    struct nm_buf scratch;
    struct nm_arena doc;
    struct nm_series *dropped; /* related ones that did not fit */
};

static inline struct pb_maker pb_maker_of(struct publish *publish, const struct nm_batch *batch)
{
    return (struct pb_maker){&publish->options, batch->arena, &publish->doc, &publish->scratch};
}

/* Ids in the order of a batch, each with what belongs to it: an open table in the batch's arena. */
struct pb_table {
    const char **id;
    void **value;
    size_t mask;
};
NM_MUST_USE enum nm_status pb_table_init(struct pb_table *table, size_t most, struct nm_arena *arena,
                                         struct nm_error *err);
/* The place of an id's value; NULL in it where it was not there before. The id is borrowed. */
void **pb_table_at(struct pb_table *table, const char *id);

/* An id as one item sees it. */
struct pb_view {
    struct nm_item *item;
    const char *id;
    size_t command;    /* index of its first command in the pipe of this step             */
    bool again, fresh; /* composed once more; no mark may suppress the record              */
    bool retells;      /* nor a touch: the card may have been another one in a lost timeline */
    bool composes;     /* it is the last of its id in the batch that changed or asked anything */
    bool quiet, back;  /* state is kept up, no record is sent; it was read back            */
    bool writes_card, asks_leads, writes_lists;
    bool emitted, marked; /* a record was sent; a mark belongs to its report                   */
    int64_t revision, before;
    int64_t untold;       /* revision of a card that leads are told of with this; 0: none      */
    struct pb_text sent;  /* hash of the last reported body where that counts; or nothing      */
    char hash[PB_ID + 1]; /* of the body that is composed now; "" where no record belongs to it */
    struct pb_state state;
    struct pb_own own;
};

/* Appends the script call that applies the event (step 0). */
void pb_view_ask(struct publish *publish, struct nm_batch *batch, struct pb_view *view, const struct pb_event *event);
/* Its reply: the item's verdict; true where something is to be composed. */
bool pb_view_take(struct pb_view *view, const struct nm_reply *reply);
/* Makes the card, appends what must be written and read before the record is composed (step 1). */
NM_MUST_USE enum nm_status pb_view_prepare(struct publish *publish, struct nm_batch *batch, struct pb_view *view,
                                           struct nm_error *err);
/* Composes, and emits the record if it differs. */
NM_MUST_USE enum nm_status pb_view_finish(struct publish *publish, struct nm_batch *batch, struct pb_view *view,
                                          struct nm_error *err);
/* The leads that show this id and must be told; NIL where none were asked for. */
const struct nm_reply *pb_view_leads(const struct nm_batch *batch, const struct pb_view *view);

#ifdef NM_CHAOS
/* ---- publish_control.c: the negative control lead_by_anyone ---- */

struct pb_control { /* the leads of one item */
    struct pb_view *view;
    size_t n_views;
};
/* Instead of touches (step 2): the leads' records are composed here, whoever owns them. Then steps 3 and 4. */
NM_MUST_USE enum nm_status pb_control_begin(struct publish *publish, struct nm_batch *batch, struct nm_item *item,
                                            const struct nm_reply *leads, struct pb_control *out, struct nm_error *err);
NM_MUST_USE enum nm_status pb_control_step(struct publish *publish, struct nm_batch *batch, struct pb_control *control,
                                           struct nm_error *err);
#endif

#endif
