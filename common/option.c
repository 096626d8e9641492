/* option.c - what can be said of a table of options without any values: its help, its Markdown, its memory.
 *
 * The unit of a number is the last word of its name ("batchMs"), so it is read from there and cannot disagree with it.
 * A row's size is checked against its type before anything is written through its offset: a long long written into a
 * one-byte bool would destroy its neighbours.
 *
 * Threads: nothing is shared. */
#include "config_internal.h"

#include <string.h>

static const struct {
    const char *suffix, *unit;
} units[] = {
    {"Ms", "ms"},       {"Seconds", "seconds"},  {"Days", "days"},       {"Bytes", "bytes"},
    {"Items", "items"}, {"Chars", "characters"}, {"Percent", "percent"},
};

const char *nm_option_unit(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i].suffix);
        if (len > n && strcmp(name + len - n, units[i].suffix) == 0)
            return units[i].unit;
    }
    return "";
}

const char *nm_option_type_text(enum nm_opt_type type)
{
    switch (type) {
    case NM_OPT_STR:
        return "text";
    case NM_OPT_SECRET:
        return "secret";
    case NM_OPT_PATH:
        return "path";
    case NM_OPT_INT:
        return "integer";
    case NM_OPT_REAL:
        return "number";
    case NM_OPT_BOOL:
        return "boolean";
    case NM_OPT_LIST:
        return "list";
    case NM_OPT_MAP:
        return "mapping";
    case NM_OPT_LISTS:
        return "mapping of lists";
    case NM_OPT_MAPS:
        return "mapping of mappings";
    case NM_OPT_DEFAULT:
        return "other default";
    }
    return "";
}

bool nm_option_has_members(const struct nm_option *option)
{
    return option->type == NM_OPT_MAP || option->type == NM_OPT_LISTS || option->type == NM_OPT_MAPS;
}

bool nm_option_size_is_right(const struct nm_option *option)
{
    switch (option->type) {
    case NM_OPT_STR:
    case NM_OPT_SECRET:
    case NM_OPT_PATH:
        return option->size == sizeof(char *);
    case NM_OPT_INT:
        return option->size == sizeof(long long);
    case NM_OPT_REAL:
        return option->size == sizeof(double);
    case NM_OPT_BOOL:
        return option->size == sizeof(bool);
    case NM_OPT_LIST:
        return option->size == sizeof(struct nm_strings);
    case NM_OPT_MAP:
    case NM_OPT_MAPS:
        return option->size == sizeof(struct nm_pairs);
    case NM_OPT_LISTS:
        return option->size == sizeof(struct nm_lists);
    case NM_OPT_DEFAULT:
        return true;
    }
    return false;
}

static void clear_strings(struct nm_strings *strings)
{
    for (size_t i = 0; i < strings->n; i++)
        free(strings->item[i]);
    free(strings->item);
    *strings = (struct nm_strings){0};
}

static void clear_pairs(struct nm_pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++) {
        free(pairs->item[i].name);
        free(pairs->item[i].value);
    }
    free(pairs->item);
    *pairs = (struct nm_pairs){0};
}

static void clear_lists(struct nm_lists *lists)
{
    for (size_t i = 0; i < lists->n; i++) {
        free(lists->item[i].name);
        clear_strings(&lists->item[i].strings);
    }
    free(lists->item);
    *lists = (struct nm_lists){0};
}

void nm_option_clear(const struct nm_option *option, void *ctx)
{
    void *field = (char *)ctx + option->offset;
    switch (option->type) {
    case NM_OPT_STR:
    case NM_OPT_SECRET:
    case NM_OPT_PATH:
        free(*(char **)field);
        *(char **)field = NULL;
        break;
    case NM_OPT_LIST:
        clear_strings(field);
        break;
    case NM_OPT_MAP:
    case NM_OPT_MAPS:
        clear_pairs(field);
        break;
    case NM_OPT_LISTS:
        clear_lists(field);
        break;
    case NM_OPT_INT:
    case NM_OPT_REAL:
    case NM_OPT_BOOL:
    case NM_OPT_DEFAULT:
        break;
    }
}

enum nm_status nm_options_check(const struct nm_option *options, const void *ctx, struct nm_error *err)
{
    for (const struct nm_option_table *table = nm_option_tables; table->owner; table++)
        if (table->options == options && table->check)
            return table->check(ctx, err);
    return NM_OK;
}

void nm_options_clear(const struct nm_option *options, void *ctx)
{
    for (; options->name; options++)
        nm_option_clear(options, ctx);
}

static void put_words(const char *before, const char *words, struct nm_buf *out)
{
    nm_buf_adds(out, before);
    for (const char *p = words; *p; p++)
        nm_buf_adds(out, *p == '|' ? ", " : (char[]){*p, '\0'});
}

/* "one of oldest, newest", "1..64 bytes", "" where anything goes. */
static void range_text(const struct nm_option *option, struct nm_buf *out)
{
    nm_buf_reset(out);
    if (option->values && !nm_option_has_members(option)) {
        put_words("one of ", option->values, out);
        return;
    }
    switch (option->type) {
    case NM_OPT_INT:
    case NM_OPT_REAL:
        nm_buf_addf(out, "%lld..%lld", option->min, option->max);
        if (*nm_option_unit(option->name))
            nm_buf_addf(out, " %s", nm_option_unit(option->name));
        break;
    case NM_OPT_BOOL:
        nm_buf_adds(out, "true or false");
        break;
    case NM_OPT_LIST:
        if (option->max > 0)
            nm_buf_addf(out, "%lld..%lld entries", option->min, option->max);
        break;
    case NM_OPT_STR:
    case NM_OPT_SECRET:
    case NM_OPT_PATH:
        if (option->max > 0)
            nm_buf_addf(out, "%lld..%lld bytes", option->min, option->max);
        break;
    case NM_OPT_LISTS:
        if (option->values)
            put_words("names: ", option->values, out);
        if (option->max > 0)
            nm_buf_addf(out, "%s%lld..%lld entries each", out->len ? "; " : "", option->min, option->max);
        break;
    case NM_OPT_MAPS:
        if (option->max > 0)
            nm_buf_addf(out, "names: %lld..%lld", option->min, option->max);
        if (option->values)
            put_words(out->len ? "; each with one of " : "each with one of ", option->values, out);
        break;
    case NM_OPT_MAP:
    case NM_OPT_DEFAULT:
        break;
    }
}

/* "" and a default that is a secret need words. */
static const char *default_text(const struct nm_option *option)
{
    if (!option->def)
        return "required";
    if (*option->def == '\0')
        return "empty";
    return option->type == NM_OPT_SECRET ? "***" : option->def;
}

void nm_options_help(const struct nm_option *options, FILE *out)
{
    struct nm_buf range = {0};
    for (; options->name; options++) {
        range_text(options, &range);
        const char *text = nm_buf_str(&range);
        (void)fprintf(out, "  %s (%s%s%s; %s%s)\n      %s\n", options->name, nm_option_type_text(options->type),
                      *text ? ", " : "", text, options->def ? "default: " : "", default_text(options), options->help);
    }
    nm_buf_clear(&range);
}

/* A bar would end the cell. */
static void put_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
}

void nm_options_markdown(const struct nm_option *options, FILE *out)
{
    struct nm_buf range = {0};
    for (; options->name; options++) {
        bool literal = options->def && *options->def;
        range_text(options, &range);
        (void)fprintf(out, "| `%s` | %s | %s", options->name, nm_option_type_text(options->type), literal ? "`" : "");
        put_cell(default_text(options), out);
        (void)fprintf(out, "%s | ", literal ? "`" : "");
        put_cell(nm_buf_str(&range), out);
        (void)fprintf(out, " | ");
        put_cell(options->help, out);
        (void)fprintf(out, " |\n");
    }
    nm_buf_clear(&range);
}
