/* event.h - what the readers of files hand their events to, and what they all know of an event.
 *
 * A reader takes a source apart and gives each event to a sink; what cannot be an event is refused by name, and
 * reading goes on. One thread. */
#ifndef NEWSMILL_EVENT_H
#define NEWSMILL_EVENT_H

#include "newsmill/buf.h"
#include "newsmill/status.h"
#include "source.h"

#include <stdbool.h>
#include <stddef.h>
#include <yyjson.h>

/* Where an event stands in its file. item counts from 1; 0: the line says it all. */
struct nm_place {
    unsigned long long line, item;
};

struct nm_sink {
    /* One event, borrowed. A status other than NM_OK ends the reading. */
    enum nm_status (*take)(void *self, const char *text, size_t len, struct nm_place place, struct nm_error *err);
    /* Something that cannot be an event, or the place from which nothing more can be read. */
    void (*refuse)(void *self, struct nm_place place, const char *why);
    /* n parts of the file are no articles and were left out on purpose. */
    void (*skip)(void *self, size_t n);
    /* Something to know about the file that is no failure. */
    void (*remark)(void *self, struct nm_place place, const char *text);
    void *self;
    size_t max_bytes; /* of an event; a larger one is refused without being kept */
};

/* Readers. NM_OK: read to the end, or stopped, or refused from some place on (the sink was told). NM_BAD_INPUT: the
 * source gave up. NM_FATAL: out of memory, the file cannot be read, or the sink's failure. */
NM_MUST_USE enum nm_status nm_read_lines(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err);
NM_MUST_USE enum nm_status nm_read_json(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err);
NM_MUST_USE enum nm_status nm_read_feed(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err);
NM_MUST_USE enum nm_status nm_read_front_matter(struct nm_source *source, const struct nm_sink *sink,
                                                struct nm_error *err);

/* What a feed says of all its items. Borrowed; NULL: nothing. */
struct nm_feed_facts {
    const char *title, *language;
};

/* Adds "language" and "source" to an item that has none of its own; a language that is no word of a locale is left
 * out, since it would cost every item. False: out of memory. */
bool nm_event_add_facts(yyjson_mut_doc *doc, yyjson_mut_val *item, const struct nm_feed_facts *facts);

/* The members under which an article's URL may stand: its first usable string, for Kafka's key, which keeps an
 * article's versions in one partition. NULL: none. Borrowed from doc. */
const char *nm_event_key(yyjson_doc *doc, size_t *len);

#endif
