/* config_print.c - --print-config: every option, the value that holds, and where it comes from.
 *
 * The value is stored exactly as nm_config_apply() would store it and then shown, so what is printed is what runs.
 * Secrets show as ***: options of that type, the user and password in a URL, and members of a mapping whose name says
 * that they are one (librdkafka's sasl.password and the like).
 *
 * As text, a line is `name: value  # source` with the value as JSON, which YAML reads, too.
 * Threads: nothing is shared. */
#include "config_internal.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

NM_DEFINE_CLEANUP(json_t, json_decref)

#define MASK "***"

static bool contains(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (; *text; text++)
        if (strncasecmp(text, word, n) == 0)
            return true;
    return false;
}

static bool is_secret_name(const char *name)
{
    static const char *const words[] = {"password", "secret", "token", "key.pem", "oauthbearer.config", "credential"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (contains(name, words[i]))
            return true;
    return false;
}

/* "redis://user:password@host" leaves as "redis://(mask)@host". */
static json_t *text_json(const char *text)
{
    const char *scheme = strstr(text, "://");
    const char *at = scheme ? strrchr(scheme, '@') : NULL;
    if (!at)
        return json_string(text);
    return json_sprintf("%.*s" MASK "%s", (int)(scheme + 3 - text), text, at);
}

static json_t *list_json(const struct nm_strings *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->n; i++)
        (void)json_array_append_new(array, text_json(list->item[i]));
    return array;
}

static json_t *map_json(const struct nm_pairs *pairs)
{
    json_t *object = json_object();
    for (size_t i = 0; i < pairs->n; i++) {
        const struct nm_pair *pair = &pairs->item[i];
        json_t *value = is_secret_name(pair->name) ? json_string(MASK) : text_json(pair->value);
        (void)json_object_set_new(object, pair->name, value);
    }
    return object;
}

static json_t *lists_json(const struct nm_lists *lists)
{
    json_t *object = json_object();
    for (size_t i = 0; i < lists->n; i++)
        (void)json_object_set_new(object, lists->item[i].name, list_json(&lists->item[i].strings));
    return object;
}

/* "1.file" as it is written: {"1": {"file": ...}}. */
static json_t *maps_json(const struct nm_pairs *pairs)
{
    json_t *object = json_object();
    for (size_t i = 0; i < pairs->n; i++) {
        const char *name = pairs->item[i].name;
        size_t len = strcspn(name, ".");
        NM_AUTO(free) char *outer = strndup(name, len);
        json_t *inner = outer ? json_object_get(object, outer) : NULL;
        if (outer && !inner) {
            inner = json_object();
            (void)json_object_set_new(object, outer, inner);
        }
        if (inner)
            (void)json_object_set_new(inner, name + len + 1, text_json(pairs->item[i].value));
    }
    return object;
}

/* Room for the value of any type, in place of a ctx. */
union field {
    char *text;
    long long number;
    double real;
    bool flag;
    struct nm_strings list;
    struct nm_pairs pairs;
    struct nm_lists lists;
};

static json_t *field_json(const struct nm_option *option, const union field *field)
{
    switch (option->type) {
    case NM_OPT_SECRET:
        return json_string(*field->text ? MASK : "");
    case NM_OPT_STR:
    case NM_OPT_PATH:
        return text_json(field->text);
    case NM_OPT_INT:
        return json_integer(field->number);
    case NM_OPT_REAL:
        return json_real(field->real);
    case NM_OPT_BOOL:
        return json_boolean(field->flag);
    case NM_OPT_LIST:
        return list_json(&field->list);
    case NM_OPT_MAP:
        return map_json(&field->pairs);
    case NM_OPT_LISTS:
        return lists_json(&field->lists);
    case NM_OPT_MAPS:
        return maps_json(&field->pairs);
    case NM_OPT_DEFAULT:
        break;
    }
    return NULL;
}

/* null: required and not given. */
static json_t *value_json(const struct nm_config *config, const struct nm_option *option)
{
    struct nm_option row = *option;
    struct nm_problems problems = {0};
    struct nm_report report = {.problems = &problems, .path = config->path};
    union field field = {0};
    bool given = false;
    row.offset = 0;
    bool good = nm_option_size_is_right(&row) && nm_config_store(config, &row, &field, &given, &report);
    json_t *value = good && given ? field_json(&row, &field) : json_null();
    nm_option_clear(&row, &field);
    nm_problems_clear(&problems);
    return value;
}

static json_t *default_json(const struct nm_config *config, const struct nm_option *option)
{
    struct nm_config empty = {.folder = "", .path = config->path, .program = config->program, .tables = config->tables};
    return value_json(&empty, option);
}

static void put_source(const struct nm_entry *entry, const char *path, struct nm_buf *out)
{
    char line[32] = "";
    if (entry->node->at.line > 0)
        (void)snprintf(line, sizeof line, ":%d", entry->node->at.line);
    switch (entry->origin) {
    case NM_FROM_FILE:
        nm_buf_addf(out, "%s%s", path, line);
        break;
    case NM_FROM_WORKER:
        nm_buf_addf(out, "workers.%s %s%s", entry->owner, path, line);
        break;
    case NM_FROM_ENV:
        nm_buf_addf(out, "environment %s", entry->var);
        break;
    case NM_FROM_SET:
        nm_buf_adds(out, "--set");
        break;
    }
}

/* A mapping may come from several places: all of them, each once. */
static void put_map_sources(const struct nm_config *config, const struct nm_option *option, struct nm_buf *out)
{
    const struct nm_entry *last = NULL;
    for (size_t i = 0; i < config->n_entries; i++) {
        const struct nm_entry *entry = &config->entry[i];
        if (strcmp(entry->option->name, option->name) != 0 || !nm_config_is_first(config, entry))
            continue;
        const struct nm_entry *winner = nm_config_find(config, option->name, entry->member);
        if (last && last->origin == winner->origin && last->node->at.line == winner->node->at.line)
            continue;
        if (last)
            nm_buf_adds(out, ", ");
        put_source(winner, config->path, out);
        last = winner;
    }
}

static void source_text(const struct nm_config *config, const struct nm_option *option, struct nm_buf *out)
{
    nm_buf_reset(out);
    if (nm_option_has_members(option)) {
        put_map_sources(config, option, out);
    } else {
        const struct nm_entry *entry = nm_config_find(config, option->name, NULL);
        if (entry)
            put_source(entry, config->path, out);
    }
    bool own;
    if (out->len == 0 && nm_config_default(config, option, &own))
        nm_buf_addf(out, own ? "default of %s" : "default", config->program);
    else if (out->len == 0)
        nm_buf_adds(out, "not given");
}

static void print_text(const struct nm_option *option, json_t *value, const char *source, FILE *out)
{
    NM_AUTO(free) char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    (void)fprintf(out, "%s: %s  # %s\n", option->name, text ? text : "null", source);
}

/* The option file's name is not always UTF-8, so the source is made of it with care. */
static json_t *describe(const struct nm_config *config, const struct nm_option *option, const char *source)
{
    json_t *where = json_string(source);
    return json_pack("{s:s, s:o, s:o, s:s, s:o, s:s}", "name", option->name, "value", value_json(config, option),
                     "source", where ? where : json_string("option file"), "type", nm_option_type_text(option->type),
                     "default", default_json(config, option), "help", option->help);
}

void nm_config_print(struct nm_config *config, bool json, FILE *out)
{
    NM_AUTO(json_decref) json_t *all = json_array();
    struct nm_buf source = {0};
    for (const struct nm_option_table *table = config->tables; table->owner; table++) {
        for (const struct nm_option *option = table->options; option->name; option++) {
            if (option->type == NM_OPT_DEFAULT)
                continue;
            source_text(config, option, &source);
            if (json) {
                (void)json_array_append_new(all, describe(config, option, nm_buf_str(&source)));
                continue;
            }
            NM_AUTO(json_decref) json_t *value = value_json(config, option);
            print_text(option, value, nm_buf_str(&source), out);
        }
    }
    nm_buf_clear(&source);
    if (json && json_dumpf(all, out, JSON_INDENT(2)) == 0)
        (void)fputc('\n', out);
}
