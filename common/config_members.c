/* config_members.c - one member of an option that is a mapping: its name, its value, and where it is kept.
 *
 * A member of a mapping of lists is checked as a list would be, one of a mapping of mappings as a text or a path: each
 * by a row made for it, named as the operator wrote it ("normalize.mapping.title", "secured.keys.1.file"), so that one
 * set of checks and messages serves all. What a text of a mapping of mappings holds is never quoted: next to the name
 * of a key's file somebody may write the key. Threads: nothing is shared. */
#include "config_internal.h"

#include <errno.h>
#include <string.h>

#define MAX_TEXT_BYTES 4095

struct member {
    const struct nm_option *option;
    const char *name; /* "title", "1.file" */
    const struct nm_node *node;
    struct nm_report *report;
};

/* The nearest of the words, or all of them. */
static void report_unknown(const struct member *m, const char *owner, const char *name)
{
    char hint[NM_HINT_BYTES];
    nm_name_word_hint(m->option->values, name, hint);
    struct nm_buf words = {0};
    for (const char *p = m->option->values; *p && !*hint; p++)
        nm_buf_adds(&words, *p == '|' ? ", " : (char[]){*p, '\0'});
    nm_report_add(m->report, m->node->key_at, "unknown member '%.100s' of %s%s%s", name, owner,
                  *hint ? hint : "; expected one of ", nm_buf_str(&words));
    nm_buf_clear(&words);
}

/* A whole number within the row's range, written as everybody writes it. */
static bool is_number_of(const struct nm_option *option, const char *name)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(name, &end, 10);
    bool plain = *name >= '1' && *name <= '9';
    return plain && *end == '.' && errno == 0 && number >= option->min && number <= option->max;
}

/* False: reported. */
static bool check_list_name(const struct member *m)
{
    const struct nm_option *option = m->option;
    if (*m->name == '\0') {
        nm_report_add(m->report, m->node->key_at, "%s has a member without a name", option->name);
        return false;
    }
    if (!option->values || nm_is_one_of(option->values, m->name))
        return true;
    report_unknown(m, option->name, m->name);
    return false;
}

static bool check_map_name(const struct member *m)
{
    const struct nm_option *option = m->option;
    size_t len = strcspn(m->name, ".");
    if (m->name[len] == '\0') {
        if (m->node->kind != NM_NODE_BAD)
            nm_report_add(m->report, m->node->at, "%s.%.100s %s%s; expected a mapping such as {%.*s: ...}",
                          option->name, m->name, m->node->kind == NM_NODE_NULL ? "has no value" : "is ",
                          m->node->kind == NM_NODE_NULL ? "" : nm_node_kind_text(m->node),
                          option->values ? (int)strcspn(option->values, "|") : 4,
                          option->values ? option->values : "name");
        return false;
    }
    if (option->max > 0 && !is_number_of(option, m->name)) {
        nm_report_add(m->report, m->node->key_at, "'%.*s' in %s is not a whole number within %lld..%lld",
                      len < 100 ? (int)len : 100, m->name, option->name, option->min, option->max);
        return false;
    }
    const char *inner = m->name + len + 1;
    if (len == 0 || *inner == '\0') {
        nm_report_add(m->report, m->node->key_at, "%s has a member without a name", option->name);
        return false;
    }
    if (!option->values || nm_is_one_of(option->values, inner))
        return true;
    char owner[2 * NM_NAME_BYTES];
    (void)snprintf(owner, sizeof owner, "%s.%.*s", option->name, len < 100 ? (int)len : 100, m->name);
    report_unknown(m, owner, inner);
    return false;
}

/* The row for the member's value; `full` is its name. */
static struct nm_option row_of(const struct member *m, char full[2 * NM_NAME_BYTES])
{
    struct nm_option row = *m->option;
    (void)snprintf(full, 2 * NM_NAME_BYTES, "%s.%.100s", m->option->name, m->name);
    row.name = full;
    row.offset = 0;
    row.values = NULL;
    row.type = NM_OPT_LIST;
    if (m->option->type == NM_OPT_LISTS)
        return row;
    const char *dot = strchr(m->name, '.');
    row.type = dot && strcmp(dot, ".file") == 0 ? NM_OPT_PATH : NM_OPT_STR;
    row.min = 1;
    row.max = MAX_TEXT_BYTES;
    return row;
}

bool nm_member_check(const struct nm_option *option, const char *member, const struct nm_node *node,
                     struct nm_report *report)
{
    struct member m = {option, member, node, report};
    char full[2 * NM_NAME_BYTES];
    if (option->type == NM_OPT_MAP)
        return nm_value_check_member(option, member, node, report);
    if (option->type == NM_OPT_LISTS ? !check_list_name(&m) : !check_map_name(&m))
        return false;
    struct nm_option row = row_of(&m, full);
    return nm_value_store(&row, node, "", NULL, report);
}

static bool add_pair(struct nm_pairs *pairs, const char *name, const char *value)
{
    struct nm_pair pair = {.name = strdup(name), .value = strdup(value)};
    struct nm_pair *grown = NULL;
    if (pair.name && pair.value)
        grown = realloc(pairs->item, (pairs->n + 1) * sizeof *grown);
    if (!grown) {
        free(pair.name);
        free(pair.value);
        return false;
    }
    pairs->item = grown;
    pairs->item[pairs->n++] = pair;
    return true;
}

/* Takes `strings` over where it succeeds. */
static bool add_list(struct nm_lists *lists, const char *name, const struct nm_strings *strings)
{
    struct nm_list *grown = realloc(lists->item, (lists->n + 1) * sizeof *grown);
    if (!grown)
        return false;
    lists->item = grown;
    char *copy = strdup(name);
    if (copy)
        lists->item[lists->n++] = (struct nm_list){copy, *strings};
    return copy != NULL;
}

static bool store_list(const struct member *m, struct nm_lists *lists)
{
    char full[2 * NM_NAME_BYTES];
    struct nm_option row = row_of(m, full);
    struct nm_strings strings = {0};
    if (!nm_value_store(&row, m->node, "", &strings, m->report))
        return false;
    if (add_list(lists, m->name, &strings))
        return true;
    nm_option_clear(&row, &strings);
    m->report->oom = true;
    return false;
}

static bool store_pair(const struct member *m, const char *folder, struct nm_pairs *pairs)
{
    char full[2 * NM_NAME_BYTES];
    struct nm_option row = row_of(m, full);
    char *text = NULL;
    bool plain = m->option->type == NM_OPT_MAP;
    if (!plain && !nm_value_store(&row, m->node, folder, &text, m->report))
        return false;
    bool kept = add_pair(pairs, m->name, plain ? m->node->text : text);
    free(text);
    m->report->oom |= !kept;
    return kept;
}

bool nm_member_store(const struct nm_option *option, const char *member, const struct nm_node *node, const char *folder,
                     void *field, struct nm_report *report)
{
    struct member m = {option, member, node, report};
    if (!nm_member_check(option, member, node, report))
        return false;
    return option->type == NM_OPT_LISTS ? store_list(&m, field) : store_pair(&m, folder, field);
}
