/* feed_item.h - one item of a feed as JSON: an object of its child elements.
 *
 * An element is its text; {"#text", its attributes} where it has some; an object of its children where it has those; an
 * array where it repeats. What holds text for people (title, description, summary, content) stays text when markup
 * stands in it: tags without their attributes. Empty elements are left out.
 * Bounded in bytes, elements, attributes and nesting: an item that is more is refused with the reason, and swallows the
 * rest of its calls. Not thread-safe. */
#ifndef NEWSMILL_FEED_ITEM_H
#define NEWSMILL_FEED_ITEM_H

#include "event.h"
#include "newsmill/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <yyjson.h>

#define NM_FEED_DEPTH 16

struct nm_feed_frame {
    yyjson_mut_val *name, *object; /* object: attributes and children */
    struct nm_buf text;
    bool for_people; /* may hold markup   */
    size_t markup;   /* open tags of it   */
    bool has_markup; /* text is escaped   */
};

struct nm_feed_item {
    size_t max_bytes, n_bytes, n_elements, depth;
    yyjson_mut_doc *doc;
    struct nm_feed_frame frame[NM_FEED_DEPTH + 1]; /* [0] is the item itself */
    const char *why;                               /* not NULL: refused      */
    bool oom;
};

/* Calls come in the order of the document: begin, then start (attribute...), text and end in any nesting, then finish.
 * clear: in the end, or to leave an item. */
void nm_feed_item_begin(struct nm_feed_item *item, size_t max_bytes);
void nm_feed_item_start(struct nm_feed_item *item, const char *name);
void nm_feed_item_attribute(struct nm_feed_item *item, const char *name, const char *value, size_t len);
void nm_feed_item_text(struct nm_feed_item *item, const char *text, size_t len);
void nm_feed_item_end(struct nm_feed_item *item, const char *name);
void nm_feed_item_clear(struct nm_feed_item *item);

/* The item on one line (free it), with what the feed says of it. *why in place of it: it is refused. NM_FATAL: out of
 * memory. */
NM_MUST_USE enum nm_status nm_feed_item_finish(struct nm_feed_item *item, const struct nm_feed_facts *facts,
                                               char **text, size_t *len, const char **why, struct nm_error *err);

#endif
