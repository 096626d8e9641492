/* json_scan.c - finds the events in a JSON text, see json_scan.h.
 *
 * Two levels. Outside of a value every byte is a step of `state`. Inside (NM_JSON_VALUE) only quotes, backslashes and
 * brackets matter, and runs between them are kept at once. Of the outermost object everything is kept, since it may be
 * an event itself, until it turns out to be a container: then `emptied` says that nothing but the elements is kept.
 * Every byte is looked at once, so time is linear; depth is a number, so nesting costs nothing. */
#include "json_scan.h"

#include <string.h>
#include <yyjson.h>

void nm_json_scan_init(struct nm_json_scan *scan, size_t max_bytes)
{
    *scan = (struct nm_json_scan){.max_bytes = max_bytes, .line = 1};
}

void nm_json_scan_clear(struct nm_json_scan *scan)
{
    nm_buf_clear(&scan->value);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* True when the value that is read now is an event of its own and not a member of the outermost object. */
static bool is_event(const struct nm_json_scan *scan)
{
    return scan->in_list || !scan->in_object;
}

static void keep(struct nm_json_scan *scan, const char *data, size_t n)
{
    if (scan->too_long || (scan->emptied && !scan->in_list))
        return;
    if (n > scan->max_bytes - scan->value.len) {
        scan->too_long = true;
        nm_buf_reset(&scan->value);
        return;
    }
    nm_buf_add(&scan->value, data, n);
}

static enum nm_json_found broken(struct nm_json_scan *scan, const char *why)
{
    scan->why = why;
    return NM_JSON_BROKEN;
}

static enum nm_json_found found(struct nm_json_scan *scan)
{
    scan->item++;
    scan->handed_out = true;
    return scan->too_long ? NM_JSON_TOO_LONG : NM_JSON_EVENT;
}

static void forget(struct nm_json_scan *scan)
{
    nm_buf_reset(&scan->value);
    scan->too_long = scan->handed_out = false;
}

static enum nm_json_found begin_value(struct nm_json_scan *scan, char c)
{
    if (!c || !strchr("{[\"-0123456789tfn", c))
        return broken(scan, "a value was expected");
    scan->state = NM_JSON_VALUE;
    scan->depth = 0;
    scan->in_string = scan->escaped = false;
    scan->scalar = c != '{' && c != '[' && c != '"';
    if (is_event(scan))
        scan->value_line = scan->line;
    return NM_JSON_NOTHING;
}

static bool key_is(const struct nm_json_scan *scan, const char *name)
{
    size_t len = strlen(name);
    if (scan->too_long || scan->value.len < scan->key_at + len + 2)
        return false;
    const char *key = scan->value.data + scan->key_at;
    return memcmp(key + 1, name, len) == 0 && key[len + 1] == '"';
}

/* The member's value where it is a string that fits, else "". */
static void read_string(const struct nm_json_scan *scan, char *out, size_t size)
{
    yyjson_doc *doc = yyjson_read(scan->value.data + scan->member_at, scan->value.len - scan->member_at, 0);
    const char *text = yyjson_get_str(yyjson_doc_get_root(doc));
    size_t len = yyjson_get_len(yyjson_doc_get_root(doc));

    out[0] = '\0';
    if (text && len < size && !memchr(text, 0, len))
        memcpy(out, text, len + 1);
    yyjson_doc_free(doc);
}

static void note_member(struct nm_json_scan *scan)
{
    char version[64];

    scan->state = NM_JSON_OBJECT_COMMA;
    if (scan->too_long || scan->emptied)
        return;
    if (key_is(scan, "title"))
        read_string(scan, scan->title, sizeof scan->title);
    else if (key_is(scan, "language"))
        read_string(scan, scan->language, sizeof scan->language);
    if (!key_is(scan, "version"))
        return;
    read_string(scan, version, sizeof version);
    scan->is_feed = strstr(version, "//jsonfeed.org/version/") != NULL;
}

/* Inside a value: up to `end`, or behind its last byte. True: it is over. */
static bool value_bytes(struct nm_json_scan *scan, const char **at, const char *end)
{
    const char *from = *at, *p = from;
    bool over = false;

    for (; p < end && !over; p++) {
        char c = *p;
        scan->line += c == '\n';
        if (scan->escaped) {
            scan->escaped = false;
        } else if (scan->in_string) {
            scan->escaped = c == '\\';
            scan->in_string = c != '"';
            over = !scan->in_string && scan->depth == 0;
        } else if (c == '"') {
            scan->in_string = true;
        } else if (c == '{' || c == '[') {
            scan->depth++;
        } else if (c == '}' || c == ']') {
            over = --scan->depth == 0; /* the first byte was a bracket, so it is above 0 */
        }
    }
    keep(scan, from, (size_t)(p - from));
    *at = p;
    return over;
}

/* A number or a word ends before the first byte that cannot belong to it. */
static bool scalar_bytes(struct nm_json_scan *scan, const char **at, const char *end)
{
    const char *p = *at;

    while (p < end && !is_space(*p) && !strchr("[]{},:\"", *p))
        p++;
    keep(scan, *at, (size_t)(p - *at));
    *at = p;
    return p < end;
}

static enum nm_json_found end_list(struct nm_json_scan *scan)
{
    scan->in_list = false;
    scan->state = scan->in_object ? NM_JSON_OBJECT_COMMA : NM_JSON_TOP;
    return NM_JSON_NOTHING;
}

static void begin_object(struct nm_json_scan *scan)
{
    scan->in_object = true;
    scan->is_feed = false;
    scan->title[0] = scan->language[0] = '\0';
    scan->value_line = scan->line;
    scan->state = NM_JSON_FIRST_KEY;
    keep(scan, "{", 1);
}

static enum nm_json_found end_object(struct nm_json_scan *scan)
{
    bool container = scan->emptied;

    keep(scan, "}", 1);
    scan->in_object = scan->emptied = false;
    scan->state = NM_JSON_TOP;
    return container ? NM_JSON_NOTHING : found(scan);
}

/* `[` as a member's value: the list of a container, or a value like any other. */
static bool begins_container(const struct nm_json_scan *scan, char c)
{
    return c == '[' && !scan->emptied && (key_is(scan, "@graph") || (scan->is_feed && key_is(scan, "items")));
}

/* States in which the byte begins something; taken is false where it is part of the value that begins. */
static enum nm_json_found begin_something(struct nm_json_scan *scan, char c, bool *taken)
{
    if (scan->state == NM_JSON_FIRST && c == ']')
        return end_list(scan);
    if (scan->state == NM_JSON_TOP && c == '[') {
        scan->in_list = true;
        scan->state = NM_JSON_FIRST;
        return NM_JSON_NOTHING;
    }
    if (scan->state == NM_JSON_TOP && c == '{') {
        begin_object(scan);
        return NM_JSON_NOTHING;
    }
    if (scan->state == NM_JSON_MEMBER && begins_container(scan, c)) {
        forget(scan);
        scan->in_list = scan->emptied = true;
        scan->state = NM_JSON_FIRST;
        return NM_JSON_NOTHING;
    }
    if (scan->state == NM_JSON_MEMBER)
        scan->member_at = scan->value.len;
    *taken = false;
    return begin_value(scan, c);
}

static enum nm_json_found begin_key(struct nm_json_scan *scan, char c)
{
    if (scan->state == NM_JSON_FIRST_KEY && c == '}')
        return end_object(scan);
    if (c != '"')
        return broken(scan, "the name of a member was expected");
    scan->key_at = scan->value.len;
    scan->escaped = false;
    scan->state = NM_JSON_IN_KEY;
    keep(scan, &c, 1);
    return NM_JSON_NOTHING;
}

static enum nm_json_found in_key(struct nm_json_scan *scan, char c)
{
    keep(scan, &c, 1);
    if (scan->escaped)
        scan->escaped = false;
    else if (c == '\\')
        scan->escaped = true;
    else if (c == '"')
        scan->state = NM_JSON_COLON;
    return NM_JSON_NOTHING;
}

/* One byte outside of a value. */
static enum nm_json_found step(struct nm_json_scan *scan, char c, bool *taken)
{
    switch (scan->state) {
    case NM_JSON_LIST_COMMA:
        if (c == ']')
            return end_list(scan);
        scan->state = NM_JSON_ELEMENT;
        return c == ',' ? NM_JSON_NOTHING : broken(scan, "a comma or the end of the list was expected");
    case NM_JSON_OBJECT_COMMA:
        if (c == '}')
            return end_object(scan);
        keep(scan, ",", 1);
        scan->state = NM_JSON_KEY;
        return c == ',' ? NM_JSON_NOTHING : broken(scan, "a comma or the end of the object was expected");
    case NM_JSON_COLON:
        keep(scan, ":", 1);
        scan->state = NM_JSON_MEMBER;
        return c == ':' ? NM_JSON_NOTHING : broken(scan, "a colon was expected");
    case NM_JSON_FIRST_KEY:
    case NM_JSON_KEY:
        return begin_key(scan, c);
    case NM_JSON_IN_KEY:
        return in_key(scan, c);
    default:
        return begin_something(scan, c, taken);
    }
}

enum nm_json_found nm_json_scan_next(struct nm_json_scan *scan, const char **at, const char *end)
{
    enum nm_json_found what = NM_JSON_NOTHING;

    if (scan->handed_out)
        forget(scan);
    while (*at < end && what == NM_JSON_NOTHING) {
        bool taken = true;
        if (scan->state == NM_JSON_VALUE) {
            bool over = scan->scalar ? scalar_bytes(scan, at, end) : value_bytes(scan, at, end);
            if (over && !is_event(scan)) {
                note_member(scan);
            } else if (over) {
                scan->state = scan->in_list ? NM_JSON_LIST_COMMA : NM_JSON_TOP;
                what = found(scan);
            }
            continue;
        }
        if (scan->state == NM_JSON_IN_KEY || !is_space(**at))
            what = step(scan, **at, &taken);
        if (what != NM_JSON_BROKEN && taken) {
            scan->line += **at == '\n';
            ++*at;
        }
    }
    return what;
}

enum nm_json_found nm_json_scan_end(struct nm_json_scan *scan)
{
    if (scan->handed_out)
        forget(scan);
    if (scan->state == NM_JSON_VALUE && scan->scalar && !scan->in_list && !scan->in_object) {
        scan->state = NM_JSON_TOP;
        return found(scan);
    }
    return scan->state == NM_JSON_TOP ? NM_JSON_NOTHING : broken(scan, "the text ends inside a value");
}
