/* publish_flight.h - one batch of the fleet on its way through process(), outputs, reported() and wm; private to the
 * fleet. */
#ifndef PUBLISH_FLIGHT_H
#define PUBLISH_FLIGHT_H

#include "publish/publish_view.h"
#include "publish_fleet.h"

extern const struct nm_worker publish_worker;

/* Takes events and due entries into a new batch; false: there are none. */
bool flight_begin(struct fleet *fleet, struct fleet_instance *instance);
/* One small step; false: it waits for another batch. A batch that is through leaves the instance and is freed. */
bool flight_step(struct fleet *fleet, struct fleet_instance *instance, struct flight *flight);
bool flight_is_sent(const struct flight *flight);   /* some output of it went out */
bool flight_sent_late(const struct flight *flight); /* by an instance that did not own it any more */
bool flight_is_done(const struct flight *flight);   /* but for wm */
void flight_free(struct flight *flight);

/* publish_fleet.c: a message at the end of a stream, copied. */
void fleet_append(struct fleet *fleet, int stream, int id, const char *value, size_t len, int64_t revision);

#endif
