/* normalize_registry.c - a registry file (providers, topics) as a tree of nodes with positions, and its members.
 *
 * A file ending in ".json" is read by normalize_registry_json.c, anything else by normalize_registry_yaml.c. Both make
 * the same small tree, so that the registries check one thing: a list of maps. Size, number of nodes and nesting are
 * bounded here. Registries are the operator's: every deviation is NM_CONFIG with `file:line:column`, never a silent
 * default.
 * Threads: none shared. */
#include "normalize_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_FILE_BYTES ((size_t)64 << 20)
#define MAX_NODES      3000000
#define MAX_LEVELS     5 /* list, entry, member, image, its member */

enum nm_status nz_registry_fail(const char *path, const struct nz_node *node, struct nm_error *err, const char *fmt,
                                ...)
{
    char what[200];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return nm_fail(err, NM_CONFIG, "%s:%d:%d: %s", path, node->line, node->column, what);
}

enum nm_status nz_reader_oom(const struct nz_reader *reader)
{
    return nm_fail(reader->err, NM_FATAL, "out of memory for %s", reader->path);
}

static enum nm_status read_whole(const char *path, struct nm_buf *out, struct nm_error *err)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return nm_fail(err, NM_CONFIG, "%s: cannot be opened: %s", path, strerror(errno));
    char part[16384];
    size_t n;
    while (out->len <= MAX_FILE_BYTES && (n = fread(part, 1, sizeof part, file)) > 0)
        nm_buf_add(out, part, n);
    bool broken = ferror(file) != 0;
    (void)fclose(file);
    if (broken)
        return nm_fail(err, NM_CONFIG, "%s: cannot be read", path);
    if (out->len > MAX_FILE_BYTES)
        return nm_fail(err, NM_CONFIG, "%s: has more than %zu bytes", path, MAX_FILE_BYTES);
    return nm_buf_ok(out) ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for %s", path);
}

enum nm_status nz_reader_children(struct nz_reader *reader, struct nz_node *node, enum nz_kind kind, size_t n,
                                  int level)
{
    if (level >= MAX_LEVELS)
        return nz_registry_fail(reader->path, node, reader->err, "nested too deeply");
    reader->n_nodes += n;
    if (reader->n_nodes > MAX_NODES)
        return nz_registry_fail(reader->path, node, reader->err, "more than %d values in one file", MAX_NODES);
    struct nz_node *child = nm_arena_alloc(reader->arena, n * sizeof *child);
    if (!child)
        return nz_reader_oom(reader);
    memset(child, 0, n * sizeof *child);
    node->kind = kind;
    node->child = child;
    node->n = n;
    return NM_OK;
}

/* A name and where it stands. */
struct name {
    const char *text;
    const struct nz_node *node;
};

static int by_name(const void *a, const void *b)
{
    const struct name *left = a, *right = b;
    return strcmp(left->text, right->text);
}

/* Names are few where the file is right and may be many where it is not, so they are sorted. */
enum nm_status nz_reader_duplicates(const struct nz_reader *reader, const struct nz_node *map)
{
    struct name *name = nm_arena_alloc(reader->arena, (map->n + 1) * sizeof *name);
    if (!name)
        return nz_reader_oom(reader);
    for (size_t i = 0; i < map->n; i++)
        name[i] = (struct name){map->child[i].name, &map->child[i]};
    qsort(name, map->n, sizeof *name, by_name);
    for (size_t i = 1; i < map->n; i++) {
        const struct nz_node *a = name[i - 1].node, *b = name[i].node;
        if (strcmp(a->name, b->name) == 0)
            return nz_registry_fail(reader->path, a < b ? b : a, reader->err, "\"%.60s\" stands twice", a->name);
    }
    return NM_OK;
}

static bool is_json(const char *path)
{
    size_t len = strlen(path);
    return len > 5 && strcmp(path + len - 5, ".json") == 0;
}

static enum nm_status check_list(const char *path, const struct nz_node *root, size_t max_entries, struct nm_error *err)
{
    if (root->kind != NZ_LIST)
        return nz_registry_fail(path, root, err, "expected a list of entries");
    if (root->n > max_entries)
        return nz_registry_fail(path, root, err, "more than %zu entries", max_entries);
    for (size_t i = 0; i < root->n; i++)
        if (root->child[i].kind != NZ_MAP)
            return nz_registry_fail(path, &root->child[i], err, "an entry is a mapping of names to values");
    return NM_OK;
}

enum nm_status nz_registry_read(const char *path, size_t max_entries, struct nm_arena *arena, struct nz_node **out,
                                struct nm_error *err)
{
    struct nz_reader reader = {.path = path, .arena = arena, .err = err};
    struct nm_buf text = {0};
    struct nz_node *root = nm_arena_alloc(arena, sizeof *root);
    if (!root)
        return nz_reader_oom(&reader);
    *root = (struct nz_node){.line = 1, .column = 1};
    enum nm_status status = read_whole(path, &text, err);
    reader.text = nm_buf_str(&text);
    reader.len = text.len;
    if (status == NM_OK)
        status = is_json(path) ? nz_read_json(&reader, root) : nz_read_yaml(&reader, root);
    nm_buf_clear(&text);
    if (status == NM_OK)
        status = check_list(path, root, max_entries, err);
    if (status == NM_OK)
        *out = root;
    return status;
}

enum nm_status nz_registry_members(const char *path, const struct nz_node *map, const char *what,
                                   const char *const *names, struct nm_error *err)
{
    if (map->kind != NZ_MAP)
        return nz_registry_fail(path, map, err, "%s is a mapping of names to values", what);
    for (size_t i = 0; i < map->n; i++) {
        const char *const *name = names;
        while (*name && strcmp(*name, map->child[i].name) != 0)
            name++;
        if (!*name)
            return nz_registry_fail(path, &map->child[i], err, "\"%.60s\" is not a member of %s", map->child[i].name,
                                    what);
    }
    return NM_OK;
}

const struct nz_node *nz_registry_member(const struct nz_node *map, const char *name)
{
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->child[i].name, name) == 0)
            return map->child[i].kind == NZ_NULL ? NULL : &map->child[i];
    return NULL;
}

enum nm_status nz_registry_check_text(const char *path, const struct nz_node *node, const char *what, size_t max_bytes,
                                      struct nm_error *err)
{
    if (node->kind != NZ_TEXT)
        return nz_registry_fail(path, node, err, "\"%s\" is a text", what);
    size_t len = strlen(node->text);
    if (len == 0 || len > max_bytes)
        return nz_registry_fail(path, node, err, "\"%s\" has %zu bytes, not 1 to %zu", what, len, max_bytes);
    for (const char *p = node->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return nz_registry_fail(path, node, err, "\"%s\" holds a control character", what);
    return NM_OK;
}

enum nm_status nz_registry_text(const char *path, const struct nz_node *map, const char *name, size_t max_bytes,
                                const char **out, struct nm_error *err)
{
    const struct nz_node *node = nz_registry_member(map, name);
    if (!node)
        return nz_registry_fail(path, map, err, "\"%s\" is missing", name);
    enum nm_status status = nz_registry_check_text(path, node, name, max_bytes, err);
    if (status == NM_OK)
        *out = node->text;
    return status;
}

enum nm_status nz_registry_int(const char *path, const struct nz_node *map, const char *name, long min, long max,
                               int *out, struct nm_error *err)
{
    const struct nz_node *node = nz_registry_member(map, name);
    if (!node)
        return NM_OK;
    char *end = NULL;
    errno = 0;
    long number = node->kind == NZ_TEXT && node->plain ? strtol(node->text, &end, 10) : 0;
    if (!end || end == node->text || *end || errno)
        return nz_registry_fail(path, node, err, "\"%s\" is a whole number", name);
    if (number < min || number > max)
        return nz_registry_fail(path, node, err, "\"%s\" is %ld, not %ld to %ld", name, number, min, max);
    *out = (int)number;
    return NM_OK;
}
