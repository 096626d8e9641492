/* config.c - loading the option file, and filling the options of a table from it.
 *
 * Loading reads the file into nodes, puts variables in, and collects entries, each checked against its row in any of
 * the tables: a worker refuses a file with a mistake in another worker's options, so that one look at the log of any
 * worker, or one `newsmill check`, finds it. Applying looks every option of one table up, in the order of precedence.
 *
 * A struct nm_config owns one arena; entries and nodes point into it. Threads: nothing is shared. */
#include "config_internal.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

extern char **environ; /* POSIX has it in no header */

void nm_config_free(struct nm_config *config)
{
    if (!config)
        return;
    free(config->entry);
    nm_arena_clear(&config->arena);
    free(config);
}

/* Lasting copies of what names the file. False: no memory. */
static bool set_names(struct nm_config *config, const struct nm_config_input *input)
{
    const char *slash = strrchr(input->path, '/');
    size_t folder_len = slash ? (size_t)(slash - input->path) + 1 : 0;
    config->tables = input->tables;
    config->path = nm_arena_copy(&config->arena, input->path, strlen(input->path));
    config->folder = nm_arena_copy(&config->arena, input->path, folder_len);
    config->program = nm_arena_copy(&config->arena, input->program, strlen(input->program));
    return config->path && config->folder && config->program;
}

static void read_entries(struct nm_config *config, const struct nm_config_input *input, struct nm_report *report)
{
    struct nm_buf content = {0};
    struct nm_node *root = NULL;
    if (input->data || nm_config_read(input->path, &content, report)) {
        struct nm_text_file file = {.data = input->data ? input->data : nm_buf_str(&content),
                                    .len = input->data ? input->len : content.len,
                                    .arena = &config->arena,
                                    .report = report};
        nm_config_nodes(config->path, &file, &root);
    }
    nm_buf_clear(&content);
    if (root)
        nm_expand(root, input->env, &config->arena, report);
    if (!report->oom)
        nm_config_collect(config, input, root, report);
}

enum nm_status nm_config_load_input(const struct nm_config_input *input, struct nm_config **out,
                                    struct nm_problems *problems, struct nm_error *err)
{
    NM_AUTO(nm_config_free) struct nm_config *config = calloc(1, sizeof *config);
    struct nm_report report = {.problems = problems, .path = input->path};
    if (!config || !set_names(config, input))
        return nm_fail(err, NM_FATAL, "out of memory while reading the options of %s", input->path);
    size_t first = problems->n;
    read_entries(config, input, &report);
    nm_report_sort(&report, first);
    enum nm_status status = nm_report_status(&report, err);
    if (status != NM_OK)
        return status;
    *out = config;
    config = NULL;
    return NM_OK;
}

enum nm_status nm_config_load(const char *path, const char *program, const struct nm_strings *sets,
                              struct nm_config **out, struct nm_problems *problems, struct nm_error *err)
{
    struct nm_config_input input = {
        .path = path, .program = program, .sets = sets, .tables = nm_option_tables, .env = environ};
    return nm_config_load_input(&input, out, problems, err);
}

static bool is_of(const struct nm_entry *entry, const char *name, const char *member)
{
    if (strcmp(entry->option->name, name) != 0 || !entry->member != !member)
        return false;
    return !member || strcmp(entry->member, member) == 0;
}

static bool holds(const struct nm_config *config, const struct nm_entry *entry)
{
    return !entry->owner || strcmp(entry->owner, config->program) == 0;
}

const struct nm_entry *nm_config_find(const struct nm_config *config, const char *name, const char *member)
{
    const struct nm_entry *found = NULL;
    for (size_t i = 0; i < config->n_entries; i++) {
        const struct nm_entry *entry = &config->entry[i];
        if (is_of(entry, name, member) && holds(config, entry) && (!found || entry->origin > found->origin))
            found = entry;
    }
    return found;
}

bool nm_config_is_first(const struct nm_config *config, const struct nm_entry *entry)
{
    for (const struct nm_entry *other = config->entry; other < entry; other++)
        if (is_of(other, entry->option->name, entry->member) && holds(config, other))
            return false;
    return holds(config, entry);
}

/* Every member is looked for by itself, so workers.NAME and --set add to the mapping of the file. */
static bool store_members(const struct nm_config *config, const struct nm_option *option, void *field, bool *any,
                          struct nm_report *report)
{
    for (size_t i = 0; i < config->n_entries; i++) {
        const struct nm_entry *entry = &config->entry[i];
        if (strcmp(entry->option->name, option->name) != 0 || !nm_config_is_first(config, entry))
            continue;
        const struct nm_entry *winner = nm_config_find(config, option->name, entry->member);
        if (!nm_member_store(option, winner->member, winner->node, config->folder, field, report))
            return false;
        *any = true;
    }
    return true;
}

const char *nm_config_default(const struct nm_config *config, const struct nm_option *option, bool *own)
{
    *own = false;
    for (const struct nm_option_table *table = config->tables; table->owner; table++)
        for (const struct nm_option *row = table->options; row->name && strcmp(table->owner, config->program) == 0;
             row++)
            if (row->type == NM_OPT_DEFAULT && strcmp(row->name, option->name) == 0) {
                *own = true;
                return row->def;
            }
    return option->def;
}

bool nm_config_store(const struct nm_config *config, const struct nm_option *option, void *ctx, bool *given,
                     struct nm_report *report)
{
    *given = true;
    if (nm_option_has_members(option)) {
        *given = option->def != NULL;
        return store_members(config, option, (char *)ctx + option->offset, given, report);
    }
    const struct nm_entry *entry = nm_config_find(config, option->name, NULL);
    if (entry)
        return nm_value_store(option, entry->node, config->folder, ctx, report);
    bool own;
    const char *def = nm_config_default(config, option, &own);
    *given = def != NULL;
    if (!*given)
        return true;
    struct nm_node node = {.kind = NM_NODE_TEXT, .outside = true, .text = def};
    return nm_value_store(option, &node, config->folder, ctx, report);
}

enum nm_status nm_config_apply(struct nm_config *config, const struct nm_option *options, void *ctx,
                               struct nm_problems *problems, struct nm_error *err)
{
    struct nm_report report = {.problems = problems, .path = config->path};
    for (const struct nm_option *option = options; option->name; option++)
        if (!nm_option_size_is_right(option))
            return nm_fail(err, NM_FATAL, "the table's row %s has a field of the wrong type", option->name);
    for (const struct nm_option *option = options; option->name && !report.oom; option++) {
        bool given;
        if (option->type == NM_OPT_DEFAULT)
            continue;
        bool good = nm_config_store(config, option, ctx, &given, &report);
        if (good && !given)
            nm_report_add(&report, (struct nm_place){0}, "%s is required: %s", option->name, option->help);
    }
    enum nm_status status = nm_report_status(&report, err);
    if (status != NM_OK)
        nm_options_clear(options, ctx);
    return status;
}

struct number {
    long long whole;
    double real;
};

enum nm_status nm_config_number(struct nm_config *config, const char *name, double *out, struct nm_error *err)
{
    const struct nm_option *option = nm_name_find(config->tables, name);
    assert(option && (option->type == NM_OPT_INT || option->type == NM_OPT_REAL));
    struct number value = {0};
    struct nm_option row = *option;
    row.offset = row.type == NM_OPT_INT ? offsetof(struct number, whole) : offsetof(struct number, real);
    struct nm_problems problems = {0};
    struct nm_report report = {.problems = &problems, .path = config->path};
    bool given = false, good = nm_config_store(config, &row, &value, &given, &report);
    nm_problems_clear(&problems);
    if (!good || !given)
        return nm_fail(err, report.oom ? NM_FATAL : NM_CONFIG, "%s has no valid value; 'newsmill check' says why",
                       name);
    *out = row.type == NM_OPT_INT ? (double)value.whole : value.real;
    return NM_OK;
}
