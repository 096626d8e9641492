/* json_scan.h - finds the events in a JSON text without keeping it.
 *
 * Fed piece by piece, so a text of any length needs no more memory than its largest event. It is a splitter, not a
 * parser: brackets and strings are counted, what lies between them is judged by whoever parses the event. A text is any
 * number of values, one after another. An array gives its elements. An object gives the elements of its list where it
 * is a container: `@graph` of JSON-LD, `items` of a JSON Feed (an object that has said `version` before). Any other
 * value is an event itself. Not thread-safe. */
#ifndef NEWSMILL_JSON_SCAN_H
#define NEWSMILL_JSON_SCAN_H

#include "newsmill/buf.h"
#include "newsmill/status.h"

#include <stdbool.h>
#include <stddef.h>

enum nm_json_found {
    NM_JSON_NOTHING,  /* all bytes are taken                                               */
    NM_JSON_EVENT,    /* scan->value holds one; valid until the next call                  */
    NM_JSON_TOO_LONG, /* one ended that was longer than max_bytes                          */
    NM_JSON_BROKEN,   /* scan->why says why nothing from scan->line on can be understood   */
};

enum nm_json_state {
    NM_JSON_TOP,          /* between two values                        */
    NM_JSON_FIRST,        /* behind [                                  */
    NM_JSON_ELEMENT,      /* behind the comma of a list                */
    NM_JSON_LIST_COMMA,   /* behind an element                         */
    NM_JSON_FIRST_KEY,    /* behind {                                  */
    NM_JSON_KEY,          /* behind the comma of an object             */
    NM_JSON_IN_KEY,       /* inside the name of a member               */
    NM_JSON_COLON,        /* behind it                                 */
    NM_JSON_MEMBER,       /* behind the colon                          */
    NM_JSON_OBJECT_COMMA, /* behind a member                           */
    NM_JSON_VALUE,        /* inside an event or a member's value       */
};

struct nm_json_scan {
    size_t max_bytes;
    struct nm_buf value;           /* the event, or what is known of it so far               */
    unsigned long long line;       /* of the byte that comes next, from 1                    */
    unsigned long long item;       /* events found so far, those that were too long included */
    unsigned long long value_line; /* where the event began                                  */
    char title[512], language[65]; /* of the feed whose items come; "": it said nothing      */
    const char *why;
    /* the rest is json_scan.c's own */
    enum nm_json_state state;
    size_t depth;                    /* of brackets inside the value                          */
    size_t key_at, member_at;        /* in `value`: the present member's name and value       */
    bool in_string, escaped, scalar; /* inside the value                                      */
    bool in_object, in_list;         /* of the outermost value; both: the list of a container */
    bool emptied;                    /* the object is a container: its own members are dropped */
    bool too_long, handed_out, is_feed;
};

void nm_json_scan_init(struct nm_json_scan *scan, size_t max_bytes);
void nm_json_scan_clear(struct nm_json_scan *scan);

/* Takes bytes from *at on, up to the end of an event, and moves *at behind them. */
enum nm_json_found nm_json_scan_next(struct nm_json_scan *scan, const char **at, const char *end);

/* The text is over. BROKEN: inside a value. */
enum nm_json_found nm_json_scan_end(struct nm_json_scan *scan);

#endif
