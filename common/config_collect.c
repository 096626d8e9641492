/* config_collect.c - from the file's tree, the environment and --set to one list of entries.
 *
 * An entry is one value of one option, checked against its row, with the place that it came from; which of several
 * wins is decided when it is asked for (nm_config_find), so that --print-config can name the winner. A key means an
 * option by its full path; `runtime: {batchMs: 5}` and `runtime.batchMs: 5` are the same, and giving both is a
 * duplicate. The members of a mapping such as kafka.consumer are entries of their own.
 *
 * Kubernetes puts variables into every container that are named after its services (NEWSMILL_PUBLISH_PORT_9602_TCP):
 * those are no misspelt options and are passed over, and so is NEWSMILL_HOME, the folder of the deploy scripts.
 *
 * Threads: nothing is shared. */
#include "config_internal.h"

#include <regex.h>
#include <string.h>

struct collector {
    struct nm_config *config;
    const struct nm_option_table *tables;
    struct nm_report *report;
};

static bool is_enough(const struct collector *c)
{
    return c->report->oom || c->report->n > NM_CONFIG_MAX_PROBLEMS;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static struct nm_entry *find_same(const struct collector *c, const struct nm_entry *entry)
{
    for (size_t i = 0; i < c->config->n_entries; i++) {
        struct nm_entry *other = &c->config->entry[i];
        if (other->origin == entry->origin && same(other->option->name, entry->option->name) &&
            same(other->member, entry->member) && same(other->owner, entry->owner))
            return other;
    }
    return NULL;
}

static void report_twice(const struct collector *c, const struct nm_entry *entry, const struct nm_entry *first)
{
    const char *dot = entry->member ? "." : "", *member = entry->member ? entry->member : "";
    if (first->node->key_at.line > 0)
        nm_report_add(c->report, entry->node->key_at, "%s%s%.100s is given twice, first in line %d",
                      entry->option->name, dot, member, first->node->key_at.line);
    else
        nm_report_add(c->report, entry->node->key_at, "%s%s%.100s is given twice", entry->option->name, dot, member);
}

static void append_entry(const struct collector *c, const struct nm_entry *entry)
{
    struct nm_config *config = c->config;
    if (config->n_entries == config->cap) {
        size_t cap = config->cap ? 2 * config->cap : 64;
        struct nm_entry *grown = realloc(config->entry, cap * sizeof *grown);
        if (!grown) {
            c->report->oom = true;
            return;
        }
        config->entry = grown;
        config->cap = cap;
    }
    config->entry[config->n_entries++] = *entry;
}

/* Checks the value. The last --set of a name wins, the first variable; twice in the file is a problem. */
static void add_entry(const struct collector *c, const struct nm_entry *entry)
{
    bool good = entry->member ? nm_member_check(entry->option, entry->member, entry->node, c->report)
                              : nm_value_store(entry->option, entry->node, "", NULL, c->report);
    struct nm_entry *first = find_same(c, entry);
    if (!first && good)
        append_entry(c, entry);
    else if (first && entry->origin == NM_FROM_SET && good)
        *first = *entry;
    else if (first && entry->origin <= NM_FROM_WORKER)
        report_twice(c, entry, first);
}

/* ---- the file */

/* Of an NM_OPT_MAPS, "1: {file: x}" is the member "1.file". */
static void take_inner(const struct collector *c, struct nm_entry *entry, const char *outer, const struct nm_node *map)
{
    if (!map->first)
        nm_report_add(c->report, map->at, "%s.%.100s has no members", entry->option->name, outer);
    for (const struct nm_node *child = map->first; child && !is_enough(c); child = child->next) {
        struct nm_buf name = {0};
        nm_buf_addf(&name, "%s.%s", outer, child->key);
        entry->node = child;
        entry->member = nm_buf_ok(&name) ? nm_arena_copy(&c->config->arena, name.data, name.len) : NULL;
        nm_buf_clear(&name);
        if (entry->member)
            add_entry(c, entry);
        else
            c->report->oom = true;
    }
}

/* `member` lasts. */
static void take_member(const struct collector *c, struct nm_entry *entry, const char *member,
                        const struct nm_node *node)
{
    entry->node = node;
    entry->member = member;
    if (entry->option->type == NM_OPT_MAPS && node->kind == NM_NODE_MAP)
        take_inner(c, entry, member, node);
    else
        add_entry(c, entry);
}

static void take_members(const struct collector *c, struct nm_entry *entry, const struct nm_node *map)
{
    if (map->kind != NM_NODE_MAP) {
        if (map->kind == NM_NODE_TEXT || map->kind == NM_NODE_LIST)
            (void)nm_value_store(entry->option, map, "", NULL, c->report); /* says what was expected */
        return;
    }
    for (const struct nm_node *child = map->first; child && !is_enough(c); child = child->next)
        take_member(c, entry, child->key, child);
}

static void walk(const struct collector *c, const struct nm_node *map, const char *prefix);

/* A section: other options stand below it. */
static void take_section(const struct collector *c, const struct nm_node *node, const char *path, const char *example)
{
    if (node->kind == NM_NODE_MAP)
        walk(c, node, path);
    else if (node->kind == NM_NODE_TEXT || node->kind == NM_NODE_LIST)
        nm_report_add(c->report, node->at, "%s is %s; expected a section with options such as %s", path,
                      nm_node_kind_text(node), example);
}

/* An option's name, without workers.NAME in front; `path` is with it. */
static void take_name(const struct collector *c, const struct nm_node *node, const char *path, const char *name,
                      const char *owner)
{
    struct nm_entry entry = {.owner = owner, .origin = owner ? NM_FROM_WORKER : NM_FROM_FILE, .node = node};
    entry.option = nm_name_find(c->tables, name);
    if (entry.option) {
        if (nm_option_has_members(entry.option))
            take_members(c, &entry, node);
        else
            add_entry(c, &entry);
        return;
    }
    const char *member = NULL;
    entry.option = nm_name_find_map(c->tables, name, &member);
    if (entry.option) { /* `name` is the caller's: keep the member */
        char *kept = nm_arena_copy(&c->config->arena, member, strlen(member));
        c->report->oom |= !kept;
        if (kept)
            take_member(c, &entry, kept, node);
        return;
    }
    const struct nm_option *example = nm_name_section(c->tables, name);
    if (example) {
        take_section(c, node, path, example->name);
        return;
    }
    char hint[NM_HINT_BYTES];
    nm_name_hint(c->tables, name, hint);
    nm_report_add(c->report, node->key_at, "unknown option '%.100s'%s", name, hint);
}

static void take_key(const struct collector *c, const struct nm_node *node, const char *path)
{
    static const char workers[] = "workers.";
    if (strcmp(path, "workers") == 0) {
        take_section(c, node, path, "workers.NAME.runtime.batchItems");
        return;
    }
    if (strncmp(path, workers, strlen(workers)) != 0) {
        take_name(c, node, path, path, NULL);
        return;
    }
    const char *name = path + strlen(workers);
    size_t len = strcspn(name, ".");
    const char *owner = nm_name_owner(c->tables, name, len);
    if (!owner) {
        char unknown[NM_NAME_BYTES], hint[NM_HINT_BYTES];
        (void)snprintf(unknown, sizeof unknown, "%.*s", len < sizeof unknown ? (int)len : (int)sizeof unknown - 1,
                       name);
        nm_name_owner_hint(c->tables, unknown, hint);
        nm_report_add(c->report, node->key_at, "no worker is called '%s'%s", unknown, hint);
    } else if (name[len] == '\0') {
        take_section(c, node, path, "runtime.batchItems");
    } else {
        take_name(c, node, path, name + len + 1, owner);
    }
}

/* Not deeper than the tree, which is bounded. */
static void walk(const struct collector *c, const struct nm_node *map, const char *prefix)
{
    for (const struct nm_node *child = map->first; child && !is_enough(c); child = child->next) {
        char path[4 * NM_NAME_BYTES];
        int n = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", child->key);
        if (n < 0 || (size_t)n >= sizeof path)
            nm_report_add(c->report, child->key_at, "unknown option '%.60s...'", path);
        else
            take_key(c, child, path);
    }
}

/* ---- --set and the environment */

/* `text` is copied. NULL: no memory. */
static const struct nm_node *outside_node(const struct collector *c, const char *where, const char *text)
{
    struct nm_place at = {.file = where};
    struct nm_node *node = nm_node_new(&c->config->arena, NM_NODE_TEXT, at, c->report);
    if (!node)
        return NULL;
    node->outside = true;
    node->key_at = at;
    node->text = nm_arena_copy(&c->config->arena, text, strlen(text));
    c->report->oom |= !node->text;
    return node->text ? node : NULL;
}

static void report_set_name(const struct collector *c, struct nm_place at, const char *name)
{
    const struct nm_option *example = nm_name_section(c->tables, name);
    char hint[NM_HINT_BYTES];
    nm_name_hint(c->tables, name, hint);
    if (example)
        nm_report_add(c->report, at, "%s is a section; set one of its options, such as %s", name, example->name);
    else if (strncmp(name, "workers.", strlen("workers.")) == 0)
        nm_report_add(c->report, at, "'%.100s': --set is for the program that it is given to; leave out workers.NAME",
                      name);
    else
        nm_report_add(c->report, at, "unknown option '%.100s'%s", name, hint);
}

static void take_set(const struct collector *c, const char *set)
{
    static const char where[] = "--set";
    struct nm_place at = {.file = where};
    const char *equals = strchr(set, '=');
    if (!equals) {
        nm_report_add(c->report, at, "'%.100s' is not NAME=VALUE", set);
        return;
    }
    char *name = nm_arena_copy(&c->config->arena, set, (size_t)(equals - set));
    struct nm_entry entry = {.origin = NM_FROM_SET, .node = outside_node(c, where, equals + 1)};
    if (!name || !entry.node) {
        c->report->oom = true;
        return;
    }
    entry.option = nm_name_find(c->tables, name);
    if (!entry.option)
        entry.option = nm_name_find_map(c->tables, name, &entry.member);
    if (!entry.option)
        report_set_name(c, at, name);
    else if (nm_option_has_members(entry.option) && !entry.member)
        nm_report_add(c->report, at, "%s is a mapping; set its members: %s.NAME=VALUE", name, name);
    else
        add_entry(c, &entry);
}

static void take_variable(const struct collector *c, const char *variable, const regex_t *foreign)
{
    static const char where[] = "environment";
    const char *equals = strchr(variable, '=');
    if (!equals || strncmp(variable, NM_ENV_PREFIX, strlen(NM_ENV_PREFIX)) != 0)
        return;
    size_t len = (size_t)(equals - variable);
    char *name = nm_arena_copy(&c->config->arena, variable, len);
    struct nm_entry entry = {.origin = NM_FROM_ENV, .var = name, .node = outside_node(c, where, equals + 1)};
    if (!name || !entry.node) {
        c->report->oom = true;
        return;
    }
    entry.option = nm_name_find_env(c->tables, name, len);
    if (entry.option && !nm_option_has_members(entry.option)) {
        add_entry(c, &entry);
    } else if (entry.option) {
        nm_report_add(c->report, entry.node->at, "%s: a mapping cannot stand in a variable; use --set %s.NAME=VALUE",
                      name, entry.option->name);
    } else if (regexec(foreign, name, 0, NULL, 0) != 0) {
        char hint[NM_HINT_BYTES];
        nm_name_env_hint(c->tables, name, hint);
        nm_report_add(c->report, entry.node->at, "no option has the variable %.100s%s", name, hint);
    }
}

void nm_config_collect(struct nm_config *config, const struct nm_config_input *input, const struct nm_node *root,
                       struct nm_report *report)
{
    static const char foreign_names[] = "^NEWSMILL_HOME$|_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?"
                                        "|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$";
    struct collector c = {.config = config, .tables = input->tables, .report = report};
    regex_t foreign;
    if (regcomp(&foreign, foreign_names, REG_EXTENDED | REG_NOSUB) != 0) {
        report->oom = true;
        return;
    }
    if (root && root->kind == NM_NODE_MAP)
        walk(&c, root, "");
    else if (root && root->kind != NM_NODE_NULL && root->kind != NM_NODE_BAD)
        nm_report_add(report, root->at, "the file is %s; expected options such as `namespace: news`",
                      nm_node_kind_text(root));
    for (char *const *variable = input->env; *variable && !is_enough(&c); variable++)
        take_variable(&c, *variable, &foreign);
    for (size_t i = 0; input->sets && i < input->sets->n && !is_enough(&c); i++)
        take_set(&c, input->sets->item[i]);
    regfree(&foreign);
}
