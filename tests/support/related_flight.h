/* related_flight.h - instances of related as the runtime would drive them, one small step at a time, on a real Redis.
 *
 * Each instance has several batches ("flights") under way and one connection, which in truth is the same for all of
 * them: a pipe is sent a few commands at a time, so that those of other instances come between any two. Whoever drives
 * this chooses every next step. What the runtime promises is kept: pipes of an instance go out whole and one after the
 * other, a batch begins only when the one before it asked step `follows_step`, outputs go out and batches end in their
 * order, and only one batch of the out set is under way. Flights are counted from the oldest, 0. */
#ifndef RELATED_FLIGHT_H
#define RELATED_FLIGHT_H

#include "newsmill/redis.h"
#include "newsmill/settings.h"
#include "newsmill/worker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RF_INSTANCES = 8, RF_FLIGHTS = 4, RF_ITEMS = 512 };

struct rf_flight;
struct rf_instance {
    void *ctx;
    struct nm_deps deps;
    struct rf_flight *flight[RF_FLIGHTS];
    int n_flights;
};
struct rf_fleet {
    const struct nm_settings *settings; /* borrowed */
    struct nm_redis *redis;
    struct rf_instance instance[RF_INSTANCES];
    int n_instances;
};

struct rf_event { /* borrowed until the flight is over */
    const char *key, *value;
    size_t key_len, value_len;
    int32_t partition;
    int64_t offset;
};

/* Adds an instance; takes ctx, which holds its options already. */
NM_MUST_USE enum nm_status rf_start(struct rf_fleet *fleet, void *ctx, struct nm_error *err);
void rf_close(struct rf_fleet *fleet); /* the fleet's connection too; of an instance ctx stays the caller's */

/* Whether the instance may begin a batch now; and one of events, or of at most n_most members of the out set of a
 * partition whatever their age (a test does not wait). *n: how many items it has; 0: none was begun. */
bool rf_may_begin(const struct rf_instance *instance, bool of_set);
NM_MUST_USE enum nm_status rf_begin(struct rf_instance *instance, const struct rf_event *event, size_t n,
                                    struct nm_error *err);
NM_MUST_USE enum nm_status rf_begin_out(struct rf_fleet *fleet, struct rf_instance *instance, int32_t partition,
                                        size_t n_most, size_t *n, struct nm_error *err);

/* The next step of a flight, of its pipe at most n_most commands. Appends a JSON object to `answer`; see
 * tests/unit/related_driver.c. */
NM_MUST_USE enum nm_status rf_step(struct rf_fleet *fleet, struct rf_instance *instance, int at, size_t n_most,
                                   struct nm_buf *answer, struct nm_error *err);

/* kill -9 and a new start. The worker keeps nothing from one batch to the next, so all that goes are its flights. */
void rf_crash(struct rf_instance *instance);

#endif
