/* normalize_registry_json.c - a registry file in JSON, by jansson.
 *
 * jansson is strict (duplicate names are refused) and says where the syntax is wrong, but keeps no positions of values.
 * An operator needs them, so a second look at the text finds where each entry of the outermost list starts; whatever
 * lies in an entry is reported there. That look needs no checks: jansson has accepted the text.
 * Threads: none shared. */
#include "normalize_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct cursor {
    const char *at, *end;
    int line, column; /* of `at` */
};

static void step(struct cursor *cursor)
{
    cursor->column++;
    if (*cursor->at++ == '\n') {
        cursor->line++;
        cursor->column = 1;
    }
}

static void skip_string(struct cursor *cursor)
{
    step(cursor);
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if (*cursor->at == '\\')
            step(cursor);
        if (cursor->at < cursor->end)
            step(cursor);
    }
}

/* To the next character that opens, closes or separates an entry of the outermost list. */
static void next_mark(struct cursor *cursor, int *depth)
{
    while (cursor->at < cursor->end) {
        char c = *cursor->at;
        if (c == '"')
            skip_string(cursor);
        if (cursor->at < cursor->end)
            step(cursor);
        *depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        if ((c == '[' || c == ',') && *depth == 1)
            return;
    }
}

static void skip_spaces(struct cursor *cursor)
{
    while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at))
        step(cursor);
}

/* Gives every entry of the outermost list its line and column. */
static void place_entries(const char *text, size_t len, struct nz_node *list)
{
    struct cursor cursor = {.at = text, .end = text + len, .line = 1, .column = 1};
    int depth = 0;
    for (size_t i = 0; i < list->n; i++) {
        next_mark(&cursor, &depth);
        skip_spaces(&cursor);
        list->child[i].line = cursor.line;
        list->child[i].column = cursor.column;
    }
}

static enum nm_status read_scalar(struct nz_reader *reader, const json_t *in, struct nz_node *out)
{
    char number[32] = "";
    if (json_is_null(in))
        return NM_OK;
    if (json_is_integer(in))
        (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(in));
    else if (!json_is_string(in))
        return nz_registry_fail(reader->path, out, reader->err, "\"%.60s\" is neither text nor a whole number",
                                out->name ? out->name : "an element");
    out->kind = NZ_TEXT;
    out->plain = json_is_integer(in);
    const char *text = out->plain ? number : json_string_value(in);
    out->text = nm_arena_copy(reader->arena, text, strlen(text));
    return out->text ? NM_OK : nz_reader_oom(reader);
}

static enum nm_status read_node(struct nz_reader *reader, json_t *in, int level, struct nz_node *out);

static enum nm_status read_object(struct nz_reader *reader, json_t *in, int level, struct nz_node *out)
{
    enum nm_status status = nz_reader_children(reader, out, NZ_MAP, json_object_size(in), level);
    struct nz_node *child = out->child;
    void *iter = json_object_iter(in);
    for (; status == NM_OK && iter; iter = json_object_iter_next(in, iter), child++) {
        const char *name = json_object_iter_key(iter);
        child->line = out->line;
        child->column = out->column;
        child->name = nm_arena_copy(reader->arena, name, strlen(name));
        status =
            child->name ? read_node(reader, json_object_iter_value(iter), level + 1, child) : nz_reader_oom(reader);
    }
    return status;
}

static enum nm_status read_array(struct nz_reader *reader, json_t *in, int level, struct nz_node *out)
{
    enum nm_status status = nz_reader_children(reader, out, NZ_LIST, json_array_size(in), level);
    if (status == NM_OK && level == 0)
        place_entries(reader->text, reader->len, out);
    for (size_t i = 0; status == NM_OK && i < out->n; i++) {
        if (level > 0) {
            out->child[i].line = out->line;
            out->child[i].column = out->column;
        }
        status = read_node(reader, json_array_get(in, i), level + 1, &out->child[i]);
    }
    return status;
}

/* Recursion ends at the nesting that nz_reader_children() allows. */
static enum nm_status read_node(struct nz_reader *reader, json_t *in, int level, struct nz_node *out)
{
    if (json_is_object(in))
        return read_object(reader, in, level, out);
    if (json_is_array(in))
        return read_array(reader, in, level, out);
    return read_scalar(reader, in, out);
}

enum nm_status nz_read_json(struct nz_reader *reader, struct nz_node *out)
{
    json_error_t why;
    json_t *root = json_loadb(reader->text, reader->len, JSON_REJECT_DUPLICATES, &why);
    if (!root && json_error_code(&why) == json_error_out_of_memory)
        return nz_reader_oom(reader);
    if (!root)
        return nm_fail(reader->err, NM_CONFIG, "%s:%d:%d: %s", reader->path, why.line, why.column, why.text);
    enum nm_status status = read_node(reader, root, 0, out);
    json_decref(root);
    return status;
}
