/* config_yaml.c - YAML to nodes, by libyaml's events.
 *
 * Events, not documents, because only they show anchors, aliases and tags, all of which are refused: an option file
 * needs none of them, and an alias is how a small file becomes a huge tree. libyaml lets duplicate keys pass, so they
 * are looked for here; the number of keys in a mapping is bounded to keep that cheap. It refuses escapes of surrogates
 * (\uD83D\uDE00), which JSON allows, with a message that is explained. Depth is checked while reading, so a file of
 * brackets ends after seventeen.
 *
 * A mistake of meaning is reported and reading goes on; a mistake of syntax ends it.
 * Threads: nothing is shared. */
#include "config_internal.h"

#include <limits.h>
#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    const struct nm_text_file *file;
    bool failed; /* syntax, depth or memory: stop */
};

static int one_based(size_t n)
{
    return n < INT_MAX ? (int)n + 1 : INT_MAX;
}

static struct nm_place place_of(yaml_mark_t mark)
{
    return (struct nm_place){.line = one_based(mark.line), .column = one_based(mark.column)};
}

/* libyaml's reader knows only the offset of a byte that is not text. */
static struct nm_place place_of_offset(const struct nm_text_file *file, size_t offset)
{
    struct nm_place place = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset && i < file->len; i++) {
        unsigned char c = (unsigned char)file->data[i];
        if (c == '\n') {
            place.line++;
            place.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

/* True: the line (0-based) is indented with a tab. */
static bool has_tab_indent(const struct nm_text_file *file, size_t line)
{
    const char *p = file->data, *end = p + file->len;
    while (line > 0 && p < end) {
        p = memchr(p, '\n', (size_t)(end - p));
        if (!p)
            return false;
        p++;
        line--;
    }
    while (p < end && *p == ' ')
        p++;
    return p < end && *p == '\t';
}

static void report_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    struct nm_report *report = r->file->report;
    const char *problem = p->problem ? p->problem : "unknown problem";
    r->failed = true;
    switch (p->error) {
    case YAML_MEMORY_ERROR:
        report->oom = true;
        return;
    case YAML_READER_ERROR:
        nm_report_add(report, place_of_offset(r->file, p->problem_offset), "not a text in UTF-8: %s (0x%02X)", problem,
                      (unsigned)p->problem_value);
        return;
    default:
        break;
    }
    struct nm_place place = place_of(p->problem_mark);
    if (has_tab_indent(r->file, p->problem_mark.line))
        nm_report_add(report, place, "not valid YAML: a tab in the indentation; use spaces");
    else if (strstr(problem, "invalid Unicode character escape code"))
        nm_report_add(report, place,
                      "not valid YAML: an escape that is no character; instead of a pair of \\u escapes write the "
                      "character itself, or \\U and eight digits");
    else if (p->context && p->context_mark.line != p->problem_mark.line)
        nm_report_add(report, place, "not valid YAML: %s (%s in line %d)", problem, p->context,
                      one_based(p->context_mark.line));
    else
        nm_report_add(report, place, "not valid YAML: %s", problem);
}

static bool next_event(struct reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event) == 1)
        return true;
    report_syntax(r);
    return false;
}

static struct nm_node *new_node(struct reader *r, enum nm_node_kind kind, yaml_mark_t mark)
{
    struct nm_node *node = nm_node_new(r->file->arena, kind, place_of(mark), r->file->report);
    r->failed |= !node;
    return node;
}

/* Copies a scalar; NULL: it has a NUL inside (reported), or there is no memory. */
static const char *copy_text(struct reader *r, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    if (memchr(text, '\0', len)) {
        nm_report_add(r->file->report, place_of(event->start_mark), "a NUL character is not allowed");
        return NULL;
    }
    const char *copy = nm_arena_copy(r->file->arena, text, len);
    if (!copy)
        r->failed = r->file->report->oom = true;
    return copy;
}

static bool is_null(const yaml_event_t *event)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp((const char *)event->data.scalar.value, words[i]) == 0)
            return true;
    return false;
}

/* What an option file does not need. True: reported. */
static bool has_extras(struct reader *r, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    struct nm_report *report = r->file->report;
    struct nm_place place = place_of(event->start_mark);
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        nm_report_add(report, place, "an alias ('*%s') is not allowed; write the value out", event->data.alias.anchor);
        return true;
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        nm_report_add(report, place, "an anchor ('&%s') is not allowed", anchor);
    if (tag)
        nm_report_add(report, place, "a tag ('%s') is not allowed", tag);
    return anchor || tag;
}

static struct nm_node *read_node(struct reader *r, const yaml_event_t *event, int depth);

static struct nm_node *read_next(struct reader *r, int depth)
{
    yaml_event_t event;
    if (!next_event(r, &event))
        return NULL;
    struct nm_node *node = read_node(r, &event, depth);
    yaml_event_delete(&event);
    return node;
}

static void read_list(struct reader *r, struct nm_node *list, int depth)
{
    while (!r->failed) {
        yaml_event_t event;
        if (!next_event(r, &event))
            return;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        struct nm_node *child = end ? NULL : read_node(r, &event, depth);
        yaml_event_delete(&event);
        if (!child)
            return;
        nm_node_append(list, child);
    }
}

/* A duplicate is reported at its second place and dropped. True: it was one. */
static bool is_duplicate(struct reader *r, const struct nm_node *map, const struct nm_node *child)
{
    for (const struct nm_node *other = map->first; other; other = other->next) {
        if (strcmp(other->key, child->key) == 0) {
            nm_report_add(r->file->report, child->key_at, "'%s' stands here twice, first in line %d", child->key,
                          other->key_at.line);
            return true;
        }
    }
    return false;
}

/* Reads the key's event and the value behind it. A key that is refused makes the value disappear, too. */
static void read_member(struct reader *r, struct nm_node *map, const yaml_event_t *event, int depth)
{
    const char *key = NULL;
    if (event->type == YAML_SCALAR_EVENT || event->type == YAML_ALIAS_EVENT) {
        if (!has_extras(r, event))
            key = copy_text(r, event);
    } else {
        nm_report_add(r->file->report, place_of(event->start_mark), "a key must be a word, not a list or mapping");
        (void)read_node(r, event, depth);
    }
    struct nm_node *child = r->failed ? NULL : read_next(r, depth);
    if (!child || !key)
        return;
    child->key = key;
    child->key_at = place_of(event->start_mark);
    if (map->n_children >= NM_CONFIG_MAX_KEYS) {
        nm_report_add(r->file->report, child->key_at, "more than %d keys in one mapping", NM_CONFIG_MAX_KEYS);
        r->failed = true;
    } else if (!is_duplicate(r, map, child)) {
        nm_node_append(map, child);
    }
}

static void read_map(struct reader *r, struct nm_node *map, int depth)
{
    while (!r->failed) {
        yaml_event_t event;
        if (!next_event(r, &event))
            return;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        if (!end)
            read_member(r, map, &event, depth);
        yaml_event_delete(&event);
        if (end)
            return;
    }
}

static struct nm_node *read_scalar(struct reader *r, const yaml_event_t *event)
{
    struct nm_node *node = new_node(r, is_null(event) ? NM_NODE_NULL : NM_NODE_TEXT, event->start_mark);
    if (!node || node->kind == NM_NODE_NULL)
        return node;
    node->text = copy_text(r, event);
    if (!node->text)
        node->kind = NM_NODE_BAD;
    return r->failed ? NULL : node;
}

/* NULL: reading has failed. */
static struct nm_node *read_node(struct reader *r, const yaml_event_t *event, int depth)
{
    bool extras = has_extras(r, event);
    if (event->type == YAML_ALIAS_EVENT)
        return new_node(r, NM_NODE_BAD, event->start_mark);
    if (event->type == YAML_SCALAR_EVENT)
        return extras ? new_node(r, NM_NODE_BAD, event->start_mark) : read_scalar(r, event);
    if (depth >= NM_CONFIG_MAX_DEPTH) {
        nm_report_add(r->file->report, place_of(event->start_mark), "nested deeper than %d", NM_CONFIG_MAX_DEPTH);
        r->failed = true;
        return NULL;
    }
    bool map = event->type == YAML_MAPPING_START_EVENT;
    struct nm_node *node = new_node(r, map ? NM_NODE_MAP : NM_NODE_LIST, event->start_mark);
    if (!node)
        return NULL;
    if (map)
        read_map(r, node, depth + 1);
    else
        read_list(r, node, depth + 1);
    return r->failed ? NULL : node;
}

/* The stream: a start, at most one document, an end. */
static void read_stream(struct reader *r, struct nm_node **out)
{
    struct nm_node *root = NULL;
    int documents = 0;
    for (bool end = false; !end && !r->failed;) {
        yaml_event_t event;
        if (!next_event(r, &event))
            return;
        end = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && documents++ > 0) {
            nm_report_add(r->file->report, place_of(event.start_mark), "a second document is not allowed");
            r->failed = true;
        } else if (event.type == YAML_DOCUMENT_START_EVENT) {
            root = read_next(r, 0);
        }
        yaml_event_delete(&event);
    }
    if (!r->failed)
        *out = root;
}

void nm_yaml_read(const struct nm_text_file *file, struct nm_node **out)
{
    struct reader r = {.file = file};
    if (yaml_parser_initialize(&r.parser) != 1) {
        file->report->oom = true;
        return;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)file->data, file->len);
    read_stream(&r, out);
    yaml_parser_delete(&r.parser);
}
