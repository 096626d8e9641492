/* read_front_matter.c - events of files as `tail --format front-matter` and `export` write them.
 *
 * A file holds any number of documents, each YAML between two lines of ---, with empty lines between them. Lines are
 * collected until the second one, so one document is all that is ever in memory. A text below the last one (a page of a
 * site may have one) is no part of an event; reading ends there and says so.
 * Of a document only the members that a raw event has are taken, by the table below: `webUrl` becomes `url`, so that
 * the article gets the same id; what newsmill computes itself (heat, related, ...) is computed again. The type of a
 * value is that of its member, not what YAML would guess: a title of digits is text.
 * libyaml's parser gives events, so nothing of the size of an alias bomb can come into being; aliases are refused. */
#include "event.h"
#include "lines.h"

#include <string.h>
#include <strings.h>
#include <yaml.h>
#include <yyjson.h>

#define MAX_DEPTH 32 /* of members that are skipped: YAML's parser keeps a stack          */
#define LARGER    4  /* a record with its related ones is larger than the event it came of */

enum kind { TEXT, WHOLE, TEXT_LIST, OBJECT, OBJECT_LIST };

struct member {
    const char *name, *raw; /* in the document, in the event */
    enum kind kind;
    const struct member *members; /* of OBJECT and OBJECT_LIST, ended by a row without name */
};

static const struct member image_members[] = {
    {"url", "url", TEXT, NULL}, {"width", "width", WHOLE, NULL}, {"height", "height", WHOLE, NULL}, {0}};
static const struct member provider_members[] = {{"name", "name", TEXT, NULL}, {"domain", "domain", TEXT, NULL}, {0}};
static const struct member document_members[] = {
    {"category", "category", TEXT, NULL},
    {"title", "title", TEXT, NULL},
    {"excerpt", "excerpt", TEXT, NULL},
    {"publishedDateTime", "publishedDateTime", TEXT, NULL},
    {"webUrl", "url", TEXT, NULL},
    {"ampWebUrl", "ampUrl", TEXT, NULL},
    {"type", "type", TEXT, NULL},
    {"quality", "quality", WHOLE, NULL},
    {"provider", "provider", OBJECT, provider_members},
    {"topics", "topics", TEXT_LIST, NULL},
    {"images", "images", OBJECT_LIST, image_members},
    {0},
};

struct document {
    yaml_parser_t parser;
    yyjson_mut_doc *json;
    unsigned long long line; /* of its first --- */
    char why[200];           /* not "": refused */
    unsigned long long why_line;
    bool oom;
};

static bool refuse(struct document *document, size_t line, const char *why, const char *detail)
{
    document->why_line = document->line + 1 + line;
    (void)snprintf(document->why, sizeof document->why, "%s%.100s", why, detail);
    return false;
}

/* The next event of YAML. False: there is none that could be used. Give it back with yaml_event_delete(). */
static bool next(struct document *document, yaml_event_t *event)
{
    yaml_parser_t *parser = &document->parser;

    if (!yaml_parser_parse(parser, event)) {
        if (parser->error == YAML_MEMORY_ERROR)
            document->oom = true;
        return refuse(document, parser->problem_mark.line, "no YAML: ", parser->problem ? parser->problem : "?");
    }
    if (event->type != YAML_ALIAS_EVENT)
        return true;
    size_t line = event->start_mark.line;
    yaml_event_delete(event);
    return refuse(document, line, "an alias (*) stands where a value was expected", "");
}

/* Everything up to the end of a value whose first event is given (and is deleted). */
static bool skip(struct document *document, yaml_event_t *event)
{
    size_t depth = 0;

    for (;;) {
        yaml_event_type_t type = event->type;
        size_t line = event->start_mark.line;
        yaml_event_delete(event);
        if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT)
            depth++;
        else if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT)
            depth--;
        if (depth == 0)
            return true;
        if (depth > MAX_DEPTH)
            return refuse(document, line, "nested deeper than 32", "");
        if (!next(document, event))
            return false;
    }
}

static bool is_empty(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    return !*text || (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                      (strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0));
}

static bool text_value(struct document *document, const yaml_event_t *event, yyjson_mut_val **out)
{
    const char *text = (const char *)event->data.scalar.value;

    if (is_empty(event))
        return true;
    *out = yyjson_mut_strncpy(document->json, text, event->data.scalar.length);
    document->oom = !*out;
    return *out != NULL;
}

static bool whole_value(struct document *document, const struct member *member, const yaml_event_t *event,
                        yyjson_mut_val **out)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t len = strspn(digits, "0123456789");

    if (is_empty(event))
        return true;
    if (len == 0 || len > 9 || digits[len] || event->data.scalar.length != strlen(text))
        return refuse(document, event->start_mark.line, member->name, " must be a whole number");
    *out = yyjson_mut_sint(document->json, strtoll(text, NULL, 10));
    document->oom = !*out;
    return *out != NULL;
}

static bool wrong_kind(struct document *document, const struct member *member, yaml_event_t *event)
{
    static const char *const wanted[] = {" must be text", " must be a whole number", " must be a list of texts",
                                         " must have members of its own", " must be a list of objects"};
    size_t line = event->start_mark.line;

    yaml_event_delete(event);
    return refuse(document, line, member->name, wanted[member->kind]);
}

static bool object(struct document *document, const struct member *members, yyjson_mut_val **out);

/* One element of a list, or a member's own value; *out NULL: it says nothing. The event is deleted. */
static bool value_of(struct document *document, const struct member *member, enum kind kind, yaml_event_t *event,
                     yyjson_mut_val **out)
{
    bool scalar = event->type == YAML_SCALAR_EVENT, ok = false;

    *out = NULL;
    if (scalar && (kind == TEXT || kind == WHOLE || is_empty(event))) {
        ok = kind == WHOLE ? whole_value(document, member, event, out) : text_value(document, event, out);
        yaml_event_delete(event);
        return ok;
    }
    if (kind != OBJECT || event->type != YAML_MAPPING_START_EVENT)
        return wrong_kind(document, member, event);
    yaml_event_delete(event);
    return object(document, member->members, out);
}

static bool list(struct document *document, const struct member *member, yyjson_mut_val **out)
{
    yyjson_mut_val *array = yyjson_mut_arr(document->json), *element = NULL;
    yaml_event_t event;

    document->oom = !array;
    while (array && next(document, &event)) {
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            *out = yyjson_mut_arr_size(array) ? array : NULL;
            return true;
        }
        if (!value_of(document, member, member->kind == TEXT_LIST ? TEXT : OBJECT, &event, &element))
            return false;
        if (element)
            (void)yyjson_mut_arr_append(array, element);
    }
    return false;
}

static bool member_value(struct document *document, const struct member *member, yyjson_mut_val **out)
{
    bool is_list = member->kind == TEXT_LIST || member->kind == OBJECT_LIST;
    yaml_event_t event;

    if (!next(document, &event))
        return false;
    if (!is_list || event.type == YAML_SCALAR_EVENT) {
        bool empty = is_list && is_empty(&event); /* "topics:" and nothing below it */
        if (is_list && !empty)
            return wrong_kind(document, member, &event);
        return value_of(document, member, is_list ? TEXT : member->kind, &event, out);
    }
    if (event.type != YAML_SEQUENCE_START_EVENT)
        return wrong_kind(document, member, &event);
    yaml_event_delete(&event);
    return list(document, member, out);
}

static const struct member *find(const struct member *members, const char *name)
{
    for (; members->name; members++)
        if (strcmp(members->name, name) == 0)
            return members;
    return NULL;
}

/* A name and its value. */
static bool one_member(struct document *document, const struct member *members, yaml_event_t *name,
                       yyjson_mut_val *into)
{
    yyjson_mut_val *value = NULL;
    yaml_event_t event;

    if (name->type != YAML_SCALAR_EVENT) {
        size_t line = name->start_mark.line;
        yaml_event_delete(name);
        return refuse(document, line, "the name of a member is not a word", "");
    }
    const struct member *member = find(members, (const char *)name->data.scalar.value);
    size_t line = name->start_mark.line;
    yaml_event_delete(name);
    if (!member)
        return next(document, &event) && skip(document, &event);
    if (yyjson_mut_obj_get(into, member->raw))
        return refuse(document, line, member->name, " stands there twice");
    if (!member_value(document, member, &value))
        return false;
    document->oom = value && !yyjson_mut_obj_add_val(document->json, into, member->raw, value);
    return !document->oom;
}

static bool object(struct document *document, const struct member *members, yyjson_mut_val **out)
{
    yyjson_mut_val *into = yyjson_mut_obj(document->json);
    yaml_event_t event;

    document->oom = !into;
    while (into && next(document, &event)) {
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            *out = into;
            return true;
        }
        if (!one_member(document, members, &event, into))
            return false;
    }
    return false;
}

/* The text between the two lines as an event; false: refused, or out of memory. */
static bool read_document(struct document *document, const struct nm_buf *text, yyjson_mut_val **out)
{
    yaml_event_t event;
    yaml_event_type_t type = YAML_NO_EVENT;

    yaml_parser_set_input_string(&document->parser, (const unsigned char *)(text->len ? text->data : ""), text->len);
    yaml_parser_set_encoding(&document->parser, YAML_UTF8_ENCODING);
    while (type == YAML_NO_EVENT || type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT) {
        if (!next(document, &event))
            return false;
        type = event.type;
        size_t line = event.start_mark.line;
        yaml_event_delete(&event);
        if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT)
            return refuse(document, line, "no members, such as title: ...", "");
    }
    if (type != YAML_MAPPING_START_EVENT)
        return refuse(document, 0, "there is nothing between the lines of ---", "");
    return object(document, document_members, out);
}

static enum nm_status take_document(const struct nm_sink *sink, const struct nm_buf *text, struct nm_place place,
                                    struct nm_error *err)
{
    struct document document = {.json = yyjson_mut_doc_new(NULL), .line = place.line};
    yyjson_mut_val *event = NULL;
    enum nm_status status = NM_OK;
    size_t len = 0;

    document.oom = !document.json || !nm_buf_ok(text) || !yaml_parser_initialize(&document.parser);
    bool ok = !document.oom && read_document(&document, text, &event);
    char *line = ok ? yyjson_mut_val_write(event, YYJSON_WRITE_NOFLAG, &len) : NULL;
    if (line)
        status = sink->take(sink->self, line, len, place, err);
    else if (!document.oom && !ok)
        sink->refuse(sink->self, (struct nm_place){document.why_line, place.item}, document.why);
    else
        status = nm_fail(err, NM_FATAL, "out of memory for an event");
    free(line);
    yaml_parser_delete(&document.parser);
    yyjson_mut_doc_free(document.json);
    return status;
}

/* "---", also with white space behind it; a document may end with "..." too. */
static bool is_rule(const char *line, size_t len, bool ends)
{
    if (len < 3 || (memcmp(line, "---", 3) != 0 && !(ends && memcmp(line, "...", 3) == 0)))
        return false;
    while (len > 3 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    return len == 3;
}

static bool is_blank(const char *line, size_t len)
{
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    return len == 0;
}

struct reading {
    const struct nm_sink *sink;
    struct nm_buf text;
    struct nm_place place;
    bool inside, too_long, over;
};

static void keep_line(struct reading *reading, const char *line, size_t len)
{
    if (len + 1 > reading->sink->max_bytes * LARGER - reading->text.len)
        reading->too_long = true;
    if (reading->too_long)
        return;
    nm_buf_add(&reading->text, line, len);
    nm_buf_addc(&reading->text, '\n');
}

/* Before a document. */
static void outside(struct reading *reading, const char *line, size_t len, unsigned long long number)
{
    const struct nm_sink *sink = reading->sink;

    if (is_rule(line, len, false)) {
        nm_buf_reset(&reading->text);
        reading->inside = true;
        reading->too_long = false;
        reading->place = (struct nm_place){number, reading->place.item + 1};
    } else if (!is_blank(line, len)) {
        reading->over = true;
        if (reading->place.item == 0)
            sink->refuse(sink->self, (struct nm_place){number, 0}, "front matter begins with a line of ---");
        else
            sink->remark(sink->self, (struct nm_place){number, 0},
                         "the text from here on is no front matter, and is not read");
    }
}

static enum nm_status one_line(struct reading *reading, const char *line, size_t len, unsigned long long number,
                               struct nm_error *err)
{
    const struct nm_sink *sink = reading->sink;

    if (!reading->inside) {
        outside(reading, line, len, number);
        return NM_OK;
    }
    if (!is_rule(line, len, true)) {
        keep_line(reading, line, len);
        return NM_OK;
    }
    reading->inside = false;
    if (!reading->too_long)
        return take_document(sink, &reading->text, reading->place, err);
    sink->refuse(sink->self, reading->place, "longer than maxMessageBytes of this stream");
    return NM_OK;
}

enum nm_status nm_read_front_matter(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err)
{
    struct reading reading = {.sink = sink};
    struct nm_lines lines = {0};
    enum nm_status status = nm_lines_init(&lines, source, sink->max_bytes * LARGER, err);

    while (status == NM_OK && !reading.over) {
        enum nm_line what = NM_LINE_END;
        const char *line = "";
        size_t len = 0;
        status = nm_lines_next(&lines, &what, &line, &len, err);
        if (status != NM_OK || what == NM_LINE_END)
            break;
        if (what == NM_LINE_TOO_LONG && reading.inside)
            reading.too_long = true;
        else
            status = one_line(&reading, line, len, lines.number, err);
    }
    if (status == NM_OK && reading.inside && !nm_source_stopped(source))
        sink->refuse(sink->self, reading.place, "the line of --- that ends the front matter is missing");
    nm_lines_clear(&lines);
    nm_buf_clear(&reading.text);
    return status;
}
