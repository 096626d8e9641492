/* config_names.c - which option a name means, and the nearest one when it means none.
 *
 * Tables are short (some hundred rows in all) and read once at start, so every search is a plain walk over them.
 * Names from outside are of any length; the distance is computed only for those that could be near an option, and the
 * number of problems, so of hints, is bounded: a hostile file costs little.
 *
 * Pure functions; thread-safe. */
#include "config_internal.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Walks over all rows of all tables that are options. */
struct rows {
    const struct nm_option_table *table;
    const struct nm_option *option;
};

static const struct nm_option *next_row(struct rows *rows)
{
    while (rows->table->owner) {
        if (!rows->option)
            rows->option = rows->table->options;
        else if (rows->option->name)
            rows->option++;
        if (rows->option->name && rows->option->type == NM_OPT_DEFAULT)
            continue;
        if (rows->option->name)
            return rows->option;
        rows->table++;
        rows->option = NULL;
    }
    return NULL;
}

const struct nm_option *nm_name_find(const struct nm_option_table *tables, const char *name)
{
    struct rows rows = {.table = tables};
    const struct nm_option *option;
    while ((option = next_row(&rows)))
        if (strcmp(option->name, name) == 0)
            return option;
    return NULL;
}

const struct nm_option *nm_name_find_map(const struct nm_option_table *tables, const char *name, const char **member)
{
    struct rows rows = {.table = tables};
    const struct nm_option *option;
    while ((option = next_row(&rows))) {
        size_t len = strlen(option->name);
        if (nm_option_has_members(option) && strncmp(option->name, name, len) == 0 && name[len] == '.') {
            *member = name + len + 1;
            return option;
        }
    }
    return NULL;
}

const struct nm_option *nm_name_section(const struct nm_option_table *tables, const char *name)
{
    struct rows rows = {.table = tables};
    size_t len = strlen(name);
    const struct nm_option *option;
    while ((option = next_row(&rows)))
        if (strncmp(option->name, name, len) == 0 && option->name[len] == '.')
            return option;
    return NULL;
}

/* "newsmill" is the operator's tool: it has no table of its own, but options can be set for it. "common" is no
 * program, so a section of that name would silently do nothing. */
const char *nm_name_owner(const struct nm_option_table *tables, const char *name, size_t len)
{
    static const char tool[] = "newsmill";
    if (len == strlen(tool) && memcmp(name, tool, len) == 0)
        return tool;
    for (; tables->owner; tables++)
        if (strlen(tables->owner) == len && memcmp(tables->owner, name, len) == 0)
            return strcmp(tables->owner, "common") == 0 ? NULL : tables->owner;
    return NULL;
}

void nm_name_env(const char *name, char out[2 * NM_NAME_BYTES])
{
    size_t n = strlen(NM_ENV_PREFIX);
    memcpy(out, NM_ENV_PREFIX, n);
    for (; *name && n < 2 * NM_NAME_BYTES - 2; name++) {
        if (isupper((unsigned char)*name))
            out[n++] = '_';
        out[n++] = isalnum((unsigned char)*name) ? (char)toupper((unsigned char)*name) : '_';
    }
    out[n] = '\0';
}

const struct nm_option *nm_name_find_env(const struct nm_option_table *tables, const char *var, size_t len)
{
    struct rows rows = {.table = tables};
    const struct nm_option *option;
    while ((option = next_row(&rows))) {
        char env[2 * NM_NAME_BYTES];
        nm_name_env(option->name, env);
        if (strlen(env) == len && memcmp(env, var, len) == 0)
            return option;
    }
    return NULL;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap two neighbours) that make `b` of `a`; SIZE_MAX when the lengths alone are more
 * than `limit` apart or a name is too long. Three rows of the usual matrix are enough. */
static size_t distance(const char *a, const char *b, size_t limit)
{
    size_t n = strlen(a), m = strlen(b);
    if (n >= 2 * NM_NAME_BYTES || m >= 2 * NM_NAME_BYTES || (n > m ? n - m : m - n) > limit)
        return SIZE_MAX;
    size_t store[3][2 * NM_NAME_BYTES];
    size_t *before = store[0], *last = store[1], *row = store[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t replaced = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(least(last[j], row[j - 1]) + 1, replaced);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[m];
}

/* The nearest name met so far. */
struct nearest {
    const char *name;
    size_t distance, limit;
    char best[2 * NM_NAME_BYTES];
};

/* Near is: a third of the word's letters at most, and at most three. */
static struct nearest nearest_to(const char *name, char separator)
{
    const char *word = strrchr(name, separator);
    size_t len = strlen(word ? word + 1 : name);
    size_t limit = len / 3 < 1 ? 1 : least(len / 3, 3);
    return (struct nearest){.name = name, .distance = limit + 1, .limit = limit};
}

static void consider(struct nearest *nearest, const char *candidate, size_t len)
{
    char text[2 * NM_NAME_BYTES];
    if (len >= sizeof text)
        return;
    memcpy(text, candidate, len);
    text[len] = '\0';
    size_t d = distance(nearest->name, text, nearest->limit);
    if (d > 0 && d < nearest->distance) { /* 0: the right word in the wrong place */
        nearest->distance = d;
        memcpy(nearest->best, text, len + 1);
    }
}

static void write_hint(const char *name, char out[NM_HINT_BYTES])
{
    *out = '\0';
    if (*name)
        (void)snprintf(out, NM_HINT_BYTES, "; did you mean '%s'?", name);
}

/* The only option whose last word is `word`, capitals aside: "batchItems" was written outside of its section. */
static const char *elsewhere(const struct nm_option_table *tables, const char *word)
{
    struct rows rows = {.table = tables};
    const struct nm_option *option;
    const char *found = "";
    while ((option = next_row(&rows))) {
        const char *last = strrchr(option->name, '.');
        if (strcasecmp(last ? last + 1 : option->name, word) != 0 || strcmp(found, option->name) == 0)
            continue;
        if (*found)
            return "";
        found = option->name;
    }
    return found;
}

void nm_name_hint(const struct nm_option_table *tables, const char *name, char out[NM_HINT_BYTES])
{
    struct nearest nearest = nearest_to(name, '.');
    struct rows rows = {.table = tables};
    const struct nm_option *option;
    consider(&nearest, "workers", strlen("workers"));
    while ((option = next_row(&rows))) {
        for (const char *dot = strchr(option->name, '.'); dot; dot = strchr(dot + 1, '.'))
            consider(&nearest, option->name, (size_t)(dot - option->name));
        consider(&nearest, option->name, strlen(option->name));
    }
    const char *word = strrchr(name, '.');
    write_hint(*nearest.best ? nearest.best : elsewhere(tables, word ? word + 1 : name), out);
}

void nm_name_env_hint(const struct nm_option_table *tables, const char *name, char out[NM_HINT_BYTES])
{
    struct nearest nearest = nearest_to(name, '_');
    struct rows rows = {.table = tables};
    const struct nm_option *option;
    while ((option = next_row(&rows))) {
        char env[2 * NM_NAME_BYTES];
        nm_name_env(option->name, env);
        if (!nm_option_has_members(option))
            consider(&nearest, env, strlen(env));
    }
    write_hint(nearest.best, out);
}

void nm_name_owner_hint(const struct nm_option_table *tables, const char *name, char out[NM_HINT_BYTES])
{
    struct nearest nearest = nearest_to(name, '.');
    for (; tables->owner; tables++)
        if (strcmp(tables->owner, "common") != 0)
            consider(&nearest, tables->owner, strlen(tables->owner));
    consider(&nearest, "newsmill", strlen("newsmill"));
    write_hint(nearest.best, out);
}

void nm_name_word_hint(const char *words, const char *name, char out[NM_HINT_BYTES])
{
    struct nearest nearest = nearest_to(name, '.');
    for (const char *p = words; *p; p += *p == '|') {
        size_t n = strcspn(p, "|");
        consider(&nearest, p, n);
        p += n;
    }
    write_hint(nearest.best, out);
}
