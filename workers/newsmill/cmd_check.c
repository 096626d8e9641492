/* cmd_check.c - `newsmill check`: everything that is wrong with an option file, before a worker refuses it.
 *
 * The file is looked at as each program of the fleet sees it (its workers.NAME section and the environment apply), with
 * the same functions that start a worker, so `check` and a worker cannot disagree. In addition the files that options
 * name are opened. What several programs find alike is printed once. */
#include "newsmill/config.h"
#include "plain.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

NM_DEFINE_CLEANUP(json_t, json_decref)

struct check {
    const char *path;
    const struct nm_strings *sets;
    struct nm_buf said; /* every line that was printed, so that none is printed twice */
    size_t n_problems;
};

static void say(struct check *check, const char *where, const char *msg)
{
    struct nm_buf line = {0};

    (void)nm_plain_line(where, strlen(where), 1000, &line);
    nm_buf_adds(&line, ": error: ");
    (void)nm_plain_line(msg, strlen(msg), 2000, &line);
    nm_buf_addc(&line, '\n');
    if (nm_buf_ok(&line) && !strstr(nm_buf_str(&check->said), nm_buf_str(&line))) {
        (void)fputs(nm_buf_str(&line), stdout);
        nm_buf_adds(&check->said, nm_buf_str(&line));
        check->n_problems++;
    }
    nm_buf_clear(&line);
}

static void say_problems(struct check *check, struct nm_problems *problems)
{
    for (size_t i = 0; i < problems->n; i++) {
        const struct nm_problem *problem = &problems->item[i];
        struct nm_buf where = {0};
        nm_buf_adds(&where, problem->file);
        if (problem->line > 0)
            nm_buf_addf(&where, ":%d:%d", problem->line, problem->column);
        say(check, nm_buf_str(&where), problem->msg);
        nm_buf_clear(&where);
    }
    nm_problems_clear(problems);
}

/* Where the value of an option comes from ("newsmill.yaml:12"), as --print-config tells it; "" when that is nowhere
 * to point at. */
static void find_source(struct nm_config *config, const char *name, struct nm_buf *out)
{
    char *text = NULL;
    size_t len = 0, i = 0;
    json_t *row = NULL;
    FILE *memory = open_memstream(&text, &len);

    if (!memory)
        return;
    nm_config_print(config, true, memory);
    bool written = fclose(memory) == 0;
    NM_AUTO(json_decref) json_t *all = written ? json_loadb(text, len, 0, NULL) : NULL;
    json_array_foreach(all, i, row)
    {
        const char *row_name = json_string_value(json_object_get(row, "name"));
        const char *source = json_string_value(json_object_get(row, "source"));
        if (row_name && source && strcmp(row_name, name) == 0 && strcmp(source, "default") != 0)
            nm_buf_adds(out, source);
    }
    free(text);
}

/* What is wrong with a file that will be read; NULL: nothing. */
static const char *fault_of_file(const char *path)
{
    struct stat facts = {0};
    const char *why = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &facts))
        why = strerror(errno);
    else if (S_ISDIR(facts.st_mode))
        why = "it is a folder";
    if (fd >= 0)
        (void)close(fd);
    return why;
}

/* The same of a folder. It may be missing: a worker makes it, or is on another machine. */
static const char *fault_of_folder(const char *path)
{
    struct stat facts = {0};

    if (stat(path, &facts))
        return errno == ENOENT ? NULL : strerror(errno);
    return S_ISDIR(facts.st_mode) ? NULL : "it is no folder";
}

static void check_path(struct check *check, struct nm_config *config, const struct nm_option *option, const char *path)
{
    size_t len = strlen(option->name);
    bool folder = len > 4 && strcasecmp(option->name + len - 4, "path") == 0;
    const char *why = folder ? fault_of_folder(path) : fault_of_file(path);

    if (why) {
        struct nm_buf source = {0}, msg = {0};
        find_source(config, option->name, &source);
        nm_buf_addf(&msg, "%s: %s cannot be %s: %s", option->name, path, folder ? "used" : "read", why);
        say(check, source.len ? nm_buf_str(&source) : check->path, nm_buf_str(&msg));
        nm_buf_clear(&source);
        nm_buf_clear(&msg);
    }
}

static size_t size_of_values(const struct nm_option *options)
{
    size_t size = 1;
    for (; options->name; options++) {
        if (options->offset + options->size > size)
            size = options->offset + options->size;
    }
    return size;
}

/* Values of one table, what several of them say together, and the files that they name. */
static enum nm_status check_table(struct check *check, struct nm_config *config, const struct nm_option *options,
                                  struct nm_error *err)
{
    struct nm_problems problems = {0};
    /* a table tells offsets but not its struct's size; that ends with its last member at the latest */
    void *ctx = calloc(1, size_of_values(options));

    if (!ctx)
        return nm_fail(err, NM_FATAL, "out of memory");
    enum nm_status status = nm_config_apply(config, options, ctx, &problems, err);
    if (status == NM_CONFIG) {
        say_problems(check, &problems);
        free(ctx);
        return NM_OK;
    }
    for (const struct nm_option *option = options; option->name && status == NM_OK; option++) {
        char *path = NULL;
        if (option->type != NM_OPT_PATH)
            continue;
        memcpy(&path, (const char *)ctx + option->offset, sizeof path);
        if (path && *path)
            check_path(check, config, option, path);
    }
    struct nm_error why = {0};
    if (status == NM_OK && nm_options_check(options, ctx, &why) != NM_OK)
        say(check, check->path, why.msg);
    nm_options_clear(options, ctx);
    free(ctx);
    return status;
}

/* What depends on several options. */
static enum nm_status check_settings(struct check *check, struct nm_config *config, struct nm_error *err)
{
    struct nm_settings settings = {0};
    struct nm_problems problems = {0};
    struct nm_error why = {0};
    enum nm_status status = nm_config_apply(config, nm_common_options, &settings, &problems, &why);

    nm_problems_clear(&problems); /* check_table() has said them */
    if (status == NM_OK) {
        status = nm_settings_finish(&settings, &why);
        if (status == NM_CONFIG)
            say(check, check->path, why.msg);
        nm_settings_clear(&settings);
    }
    return status == NM_FATAL ? nm_fail(err, status, "%s", why.msg) : NM_OK;
}

static enum nm_status check_program(struct check *check, const char *program, const struct nm_option *own,
                                    struct nm_error *err)
{
    NM_AUTO(nm_config_free) struct nm_config *config = NULL;
    struct nm_problems problems = {0};
    enum nm_status status = nm_config_load(check->path, program, check->sets, &config, &problems, err);

    if (status == NM_CONFIG) {
        say_problems(check, &problems);
        return NM_OK;
    }
    if (status == NM_OK)
        status = check_table(check, config, nm_common_options, err);
    if (status == NM_OK && own)
        status = check_table(check, config, own, err);
    return status == NM_OK ? check_settings(check, config, err) : status;
}

static enum nm_status check_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct check check = {.path = args->config_path, .sets = &args->sets};

    if (access(check.path, R_OK))
        return nm_fail(err, NM_CONFIG, "%.200s cannot be opened: %s", check.path, strerror(errno));
    enum nm_status status = check_program(&check, "newsmill", NULL, err);
    for (const struct nm_option_table *table = nm_option_tables; table->owner && status == NM_OK; table++) {
        if (table->options != nm_common_options)
            status = check_program(&check, table->owner, table->options, err);
    }
    if (status == NM_OK && check.n_problems) {
        (void)fprintf(stderr, "newsmill: %zu problem%s in %s\n", check.n_problems, check.n_problems == 1 ? "" : "s",
                      check.path);
        tool->exit_code = NM_EXIT_NOT_REACHED;
    } else if (status == NM_OK) {
        (void)printf("%s: no problems\n", check.path);
    }
    nm_buf_clear(&check.said);
    return status;
}

const struct nm_command nm_check_command = {
    .name = "check",
    .summary = "finds what is wrong with an option file",
    .needs_config = true,
    .details =
        "Checks the option file as every worker would: names, types, ranges, what belongs together, and whether the\n"
        "files that it names can be read. Each problem is a line FILE:LINE:COLUMN: error: TEXT on standard output.\n"
        "Exit code 3 when there is one.",
    .example = "  newsmill check -c newsmill.yaml",
    .run = check_command,
};
