/* publish_fleet.h - instances of publish as the runtime would drive them, one small step at a time, on a real Redis.
 *
 * Streams are arrays. Batches overlap: each instance has several under way, their pipes go to Redis whole and in the
 * order of its connection, and commands of other instances come between any two of them. Whoever drives the fleet
 * chooses every next step, so that any interleaving can happen: crashes between two commands, owners that change while
 * a batch is under way, zombies that send late, a Redis that returns to an earlier state.
 *
 * What the runtime promises and the fleet therefore keeps: outputs of a first round go out in the order of the batches;
 * a batch whose outputs went out after its partitions were lost runs its reported() to the end (a process that stood
 * still does not send). What it does not promise can happen. */
#ifndef PUBLISH_FLEET_H
#define PUBLISH_FLEET_H

#include "publish_story.h"
#include "state_world.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLEET_PARTS = 3, FLEET_INSTANCES = 4, FLEET_FLIGHTS = 3, FLEET_ITEMS = 6, FLEET_LOG = 4096 };
enum { FLEET_NORMALIZED, FLEET_FACETS, FLEET_RECORDS, FLEET_STREAMS };

struct fleet_message {
    int id;
    char *value; /* NULL: a tombstone */
    size_t len;
    int64_t revision;
};
struct fleet_log {
    struct fleet_message *message;
    size_t n;
};

/* What is wrong on purpose: the fleet spoils what the worker does. */
enum fleet_mistake {
    FLEET_RIGHT,
    FLEET_NO_TOUCH,   /* touches are not sent                                   */
    FLEET_LISTS_LAST, /* members' cards are read before the lead is in `shown`  */
    FLEET_CARD_LAST,  /* leads are read before the card is written              */
};

struct flight;
struct fleet_instance {
    void *ctx;
    struct nm_deps *deps;
    bool believes[FLEET_PARTS]; /* that it owns the partition */
    size_t next[FLEET_STREAMS][FLEET_PARTS];
    struct flight *flight[FLEET_FLIGHTS]; /* oldest first */
    int n_flights;
    struct flight *on_wire; /* whose commands are under way: the connection is one after the other */
};

struct fleet_position { /* lies in Redis: it returns with it */
    size_t wm[FLEET_STREAMS][FLEET_PARTS];
    bool rebuilding[FLEET_PARTS];
};

struct fleet {
    struct state_world *world;
    struct story *story;
    struct nm_settings *settings;
    enum fleet_mistake mistake;
    uint64_t random;
    int n_instances;
    struct fleet_instance instance[FLEET_INSTANCES];
    int owner[FLEET_PARTS];
    struct fleet_log log[FLEET_STREAMS][FLEET_PARTS];
    struct fleet_position position, saved; /* saved: with the snapshot */
    bool has_snapshot;
    bool thorough; /* a new batch takes all that there is, not what chance picks */
    size_t resend_until[FLEET_STREAMS][FLEET_PARTS], behind_until[FLEET_STREAMS][FLEET_PARTS];
    uint64_t n_started; /* processes so far */
    size_t n_again;     /* items that went round again */
};

/* `expect`: publish.expect as a list of n words; wait_ms: publish.waitMs. Empties Redis. */
void fleet_open(struct fleet *fleet, struct state_world *world, struct story *story, int n_instances,
                const char *const *expect, size_t n_expect, int wait_ms);
void fleet_close(struct fleet *fleet);

int fleet_part(const char *id);
/* One more event on the stream of that kind. */
void fleet_feed(struct fleet *fleet, int id, enum story_kind kind, int version);
/* One small step of an instance, chosen by fleet->random; false: there was nothing to do. */
bool fleet_step(struct fleet *fleet, int instance);

void fleet_crash(struct fleet *fleet, int instance);
void fleet_move(struct fleet *fleet, int part, int instance, bool graceful);
void fleet_notice(struct fleet *fleet, int instance); /* it learns what it lost */
void fleet_snapshot(struct fleet *fleet);
void fleet_rollback(struct fleet *fleet, bool noticed); /* not noticed: every process died with it */
void fleet_lose_all(struct fleet *fleet);               /* Redis is empty: rebuild */
/* Until nothing is left to do; false: it does not come to rest. */
bool fleet_settle(struct fleet *fleet);

#endif
