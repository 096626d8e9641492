/* config_json.c - JSON to nodes, by jansson.
 *
 * jansson does not remember where a value stood, so nodes have no line; mistakes of syntax and duplicate keys, which it
 * finds while parsing, do. Numbers become text again and pass the same checks as a YAML file's.
 *
 * Threads: nothing is shared. */
#include "config_internal.h"

#include <jansson.h>
#include <string.h>

NM_DEFINE_CLEANUP(json_t, json_decref)

static struct nm_node *convert(json_t *value, const struct nm_text_file *file, int depth);

static struct nm_node *new_text(const struct nm_text_file *file, const char *text, size_t len)
{
    struct nm_node *node = nm_node_new(file->arena, NM_NODE_TEXT, (struct nm_place){0}, file->report);
    if (!node)
        return NULL;
    node->text = nm_arena_copy(file->arena, text, len);
    file->report->oom |= !node->text;
    return node->text ? node : NULL;
}

static struct nm_node *convert_number(const json_t *value, const struct nm_text_file *file)
{
    char text[64];
    int n = json_is_integer(value) ? snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value))
                                   : snprintf(text, sizeof text, "%.15g", json_real_value(value));
    return new_text(file, text, n > 0 ? (size_t)n : 0);
}

static struct nm_node *convert_map(json_t *value, const struct nm_text_file *file, int depth)
{
    struct nm_node *map = nm_node_new(file->arena, NM_NODE_MAP, (struct nm_place){0}, file->report);
    if (json_object_size(value) > NM_CONFIG_MAX_KEYS) {
        nm_report_add(file->report, (struct nm_place){0}, "more than %d keys in one mapping", NM_CONFIG_MAX_KEYS);
        return NULL;
    }
    const char *key;
    json_t *member;
    json_object_foreach(value, key, member)
    {
        struct nm_node *child = map ? convert(member, file, depth) : NULL;
        if (!child)
            return NULL;
        child->key = nm_arena_copy(file->arena, key, strlen(key));
        if (!child->key) {
            file->report->oom = true;
            return NULL;
        }
        nm_node_append(map, child);
    }
    return map;
}

static struct nm_node *convert_list(json_t *value, const struct nm_text_file *file, int depth)
{
    struct nm_node *list = nm_node_new(file->arena, NM_NODE_LIST, (struct nm_place){0}, file->report);
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
    {
        struct nm_node *child = list ? convert(item, file, depth) : NULL;
        if (!child)
            return NULL;
        nm_node_append(list, child);
    }
    return list;
}

/* NULL: reported. */
static struct nm_node *convert(json_t *value, const struct nm_text_file *file, int depth)
{
    bool inner = json_is_object(value) || json_is_array(value);
    if (inner && depth >= NM_CONFIG_MAX_DEPTH) {
        nm_report_add(file->report, (struct nm_place){0}, "nested deeper than %d", NM_CONFIG_MAX_DEPTH);
        return NULL;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return convert_map(value, file, depth + 1);
    case JSON_ARRAY:
        return convert_list(value, file, depth + 1);
    case JSON_STRING:
        return new_text(file, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
    case JSON_REAL:
        return convert_number(value, file);
    case JSON_TRUE:
        return new_text(file, "true", 4);
    case JSON_FALSE:
        return new_text(file, "false", 5);
    case JSON_NULL:
        break;
    }
    return nm_node_new(file->arena, NM_NODE_NULL, (struct nm_place){0}, file->report);
}

void nm_json_read(const struct nm_text_file *file, struct nm_node **out)
{
    json_error_t error;
    NM_AUTO(json_decref) json_t *root = json_loadb(file->data, file->len, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        struct nm_place place = {.line = error.line > 0 ? error.line : 1,
                                 .column = error.column > 0 ? error.column : 1};
        enum json_error_code code = json_error_code(&error);
        if (code == json_error_out_of_memory || error.text[0] == '\0') /* jansson is not always so clear */
            file->report->oom = true;
        else if (code == json_error_null_character || code == json_error_null_byte_in_key)
            nm_report_add(file->report, place, "a NUL character is not allowed");
        else
            nm_report_add(file->report, place, "not valid JSON: %s", error.text);
        return;
    }
    *out = convert(root, file, 0);
}
