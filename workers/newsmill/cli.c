/* cli.c - parser and help text of the command tables, see cli.h.
 *
 * getopt_long() is not used: it prints by itself, cannot name the nearest flag, and takes abbreviations, so that a new
 * flag could change what an old script means. The parser walks argv once; every value is checked when it is stored,
 * and defaults go through the same checks, so a wrong default in a table fails at the first call. One thread. */
#include "cli.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define MAX_WORD_BYTES  64
#define MAX_DURATION_MS (31LL * 24 * 3600 * 1000)

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edit distance with one row of memory; a longer word than MAX_WORD_BYTES is far from everything. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[MAX_WORD_BYTES + 1];

    if (a_len > MAX_WORD_BYTES || b_len > MAX_WORD_BYTES)
        return MAX_WORD_BYTES;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = min_of(change, min_of(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b_len];
}

static size_t near_limit(const char *word)
{
    size_t third = strlen(word) / 3;
    return third > 2 ? third : 2;
}

bool nm_nearest_word(const char *word, const char *words, char *out, size_t size)
{
    size_t best = near_limit(word) + 1, best_len = 0;
    const char *best_at = NULL;

    for (const char *at = words; *at;) {
        size_t len = strcspn(at, "|");
        size_t d = distance(word, strlen(word), at, len);
        if (d < best && d < len) {
            best = d;
            best_at = at;
            best_len = len;
        }
        at += len + (at[len] == '|');
    }
    if (!best_at || best_len >= size)
        return false;
    memcpy(out, best_at, best_len);
    out[best_len] = '\0';
    return true;
}

const char *nm_nearest_name(const char *word, const char *const *names, size_t n)
{
    size_t best = near_limit(word) + 1;
    const char *found = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, strlen(word), names[i], strlen(names[i]));
        if (d < best && d < strlen(names[i])) {
            best = d;
            found = names[i];
        }
    }
    return found;
}

bool nm_is_word(const char *word, const char *words)
{
    size_t word_len = strlen(word);

    for (const char *at = words; *at;) {
        size_t len = strcspn(at, "|");
        if (len == word_len && memcmp(at, word, len) == 0)
            return true;
        at += len + (at[len] == '|');
    }
    return false;
}

enum nm_status nm_number_parse(const char *text, long long min, long long max, long long *out, struct nm_error *err)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t len = strspn(digits, "0123456789");

    if (len == 0 || digits[len])
        return nm_fail(err, NM_CONFIG, "'%.60s' is not a whole number", text);
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno || value < min || value > max)
        return nm_fail(err, NM_CONFIG, "%.60s is not within %lld to %lld", text, min, max);
    *out = value;
    return NM_OK;
}

enum nm_status nm_duration_parse(const char *text, long long *out_ms, struct nm_error *err)
{
    static const struct {
        const char *unit;
        long long ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t len = strspn(text, "0123456789");
    char number[20];

    for (size_t i = 0; i < sizeof units / sizeof *units && len > 0 && len < sizeof number; i++) {
        if (strcmp(text + len, units[i].unit) != 0)
            continue;
        long long value = 0;
        memcpy(number, text, len);
        number[len] = '\0';
        if (nm_number_parse(number, 0, MAX_DURATION_MS / units[i].ms, &value, NULL) != NM_OK)
            return nm_fail(err, NM_CONFIG, "'%.60s' is longer than 31 days", text);
        *out_ms = value * units[i].ms;
        return NM_OK;
    }
    return nm_fail(err, NM_CONFIG, "'%.60s' is not a duration with its unit, such as 500ms, 60s, 5m or 2h", text);
}

static size_t n_flags(const struct nm_command *command)
{
    size_t n = 0;
    while (command->flags && command->flags[n].name)
        n++;
    assert(n <= NM_MAX_FLAGS);
    return n;
}

static size_t flag_index(const struct nm_args *args, const char *name)
{
    size_t n = n_flags(args->command), i = 0;
    while (i < n && strcmp(args->command->flags[i].name, name) != 0)
        i++;
    assert(i < n);
    return i;
}

const char *nm_flag_text(const struct nm_args *args, const char *name)
{
    return args->text[flag_index(args, name)];
}

long long nm_flag_number(const struct nm_args *args, const char *name)
{
    return args->number[flag_index(args, name)];
}

bool nm_flag_given(const struct nm_args *args, const char *name)
{
    return args->given[flag_index(args, name)];
}

/* "; did you mean 'x'?" or the list of what there is. */
static void hint(const char *word, const char *words, char *out, size_t size)
{
    char near[MAX_WORD_BYTES + 1];

    if (nm_nearest_word(word, words, near, sizeof near))
        (void)snprintf(out, size, "did you mean '%s'?", near);
    else
        (void)snprintf(out, size, "it is one of %.180s", words);
}

static enum nm_status store_value(struct nm_args *args, size_t i, const char *value, struct nm_error *err)
{
    const struct nm_flag *flag = &args->command->flags[i];
    struct nm_error why = {0};
    enum nm_status status = NM_OK;

    if (flag->type == NM_FLAG_WORD && !nm_is_word(value, flag->arg)) {
        char text[220];
        hint(value, flag->arg, text, sizeof text);
        return nm_fail(err, NM_CONFIG, "%s: unknown word '%.60s'; %s", flag->name, value, text);
    }
    if (flag->type == NM_FLAG_INT) {
        status = nm_number_parse(value, flag->min, flag->max, &args->number[i], &why);
    } else if (flag->type == NM_FLAG_MS) {
        status = nm_duration_parse(value, &args->number[i], &why);
        if (status == NM_OK && (args->number[i] < flag->min || args->number[i] > flag->max))
            status = nm_fail(&why, NM_CONFIG, "'%.60s' is not within %lld to %lld ms", value, flag->min, flag->max);
    } else if (flag->type != NM_FLAG_SWITCH && !*value) {
        status = nm_fail(&why, NM_CONFIG, "the value is empty");
    }
    if (status != NM_OK)
        return nm_fail(err, status, "%s: %s", flag->name, why.msg);
    args->text[i] = value;
    return NM_OK;
}

static enum nm_status unknown_flag(const struct nm_command *command, const char *word, struct nm_error *err)
{
    const char *names[NM_MAX_FLAGS + 3] = {"--help"};
    size_t n = 1;
    char name[MAX_WORD_BYTES];

    if (command->needs_config) {
        names[n++] = "-c";
        names[n++] = "--set";
    }
    for (size_t i = 0; i < n_flags(command); i++)
        names[n++] = command->flags[i].name;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    const char *near = nm_nearest_name(name, names, n);
    if (near)
        return nm_fail(err, NM_CONFIG, "unknown flag '%.60s'; did you mean '%s'?", name, near);
    return nm_fail(err, NM_CONFIG, "unknown flag '%.60s'; 'newsmill help %s' shows those of this command", name,
                   command->name);
}

struct walk {
    int argc, at;
    char **argv;
};

/* The value of a flag: after "=", else the next word. */
static enum nm_status take_value(struct walk *walk, const char *name, const char *equals, const char **out,
                                 struct nm_error *err)
{
    if (equals) {
        *out = equals + 1;
        return NM_OK;
    }
    if (walk->at + 1 >= walk->argc)
        return nm_fail(err, NM_CONFIG, "%s needs a value", name);
    *out = walk->argv[++walk->at];
    return NM_OK;
}

static enum nm_status take_own_flag(struct nm_args *args, struct walk *walk, size_t name_len, struct nm_error *err)
{
    const struct nm_command *command = args->command;
    const char *word = walk->argv[walk->at];
    const char *equals = word[name_len] ? word + name_len : NULL;
    const char *value = "";

    for (size_t i = 0; i < n_flags(command); i++) {
        const struct nm_flag *flag = &command->flags[i];
        if (strlen(flag->name) != name_len || memcmp(flag->name, word, name_len) != 0)
            continue;
        if (flag->type == NM_FLAG_SWITCH && equals)
            return nm_fail(err, NM_CONFIG, "%s takes no value", flag->name);
        if (flag->type != NM_FLAG_SWITCH && take_value(walk, flag->name, equals, &value, err) != NM_OK)
            return NM_CONFIG;
        args->given[i] = true;
        return store_value(args, i, value, err);
    }
    return unknown_flag(command, word, err);
}

static enum nm_status take_flag(struct nm_args *args, struct walk *walk, struct nm_error *err)
{
    const char *word = walk->argv[walk->at], *value = NULL;
    size_t name_len = strcspn(word, "=");
    const char *equals = word[name_len] ? word + name_len : NULL;

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        args->help = true;
        return NM_OK;
    }
    if (args->command->needs_config && strncmp(word, "-c", 2) == 0) {
        if (word[2]) /* -cFILE */
            args->config_path = word + 2;
        else if (take_value(walk, "-c", NULL, &args->config_path, err) != NM_OK)
            return NM_CONFIG;
        return NM_OK;
    }
    if (args->command->needs_config && name_len == 5 && strncmp(word, "--set", 5) == 0) {
        if (take_value(walk, "--set", equals, &value, err) != NM_OK)
            return NM_CONFIG;
        if (!strchr(value, '=') || value[0] == '=')
            return nm_fail(err, NM_CONFIG, "--set: '%.60s' is not NAME=VALUE", value);
        /* item is char ** because option files own their strings; these are only read */
        memcpy(&args->sets.item[args->sets.n++], &value, sizeof value);
        return NM_OK;
    }
    return take_own_flag(args, walk, name_len, err);
}

static enum nm_status take_operand(struct nm_args *args, char *word, struct nm_error *err)
{
    const struct nm_command *command = args->command;

    if (command->actions && !args->action) {
        if (!nm_is_word(word, command->actions)) {
            char text[220];
            hint(word, command->actions, text, sizeof text);
            return nm_fail(err, NM_CONFIG, "%s: unknown action '%.60s'; %s", command->name, word, text);
        }
        args->action = word;
        return NM_OK;
    }
    if (args->n_operands >= command->max_operands)
        return nm_fail(err, NM_CONFIG, "%s: '%.60s' is one argument too many", command->name, word);
    args->operand[args->n_operands++] = word;
    return NM_OK;
}

static enum nm_status take_words(struct nm_args *args, int argc, char **argv, struct nm_error *err)
{
    struct walk walk = {.argc = argc, .argv = argv};
    bool flags_over = false;

    for (; walk.at < argc && !args->help; walk.at++) {
        char *word = argv[walk.at];
        enum nm_status status = NM_OK;
        if (!flags_over && strcmp(word, "--") == 0)
            flags_over = true;
        else if (!flags_over && word[0] == '-' && word[1])
            status = take_flag(args, &walk, err);
        else
            status = take_operand(args, word, err);
        if (status != NM_OK)
            return status;
    }
    return NM_OK;
}

static enum nm_status check_complete(const struct nm_args *args, struct nm_error *err)
{
    const struct nm_command *command = args->command;

    if (args->help)
        return NM_OK;
    if (command->actions && !args->action)
        return nm_fail(err, NM_CONFIG, "%s needs an action: %s", command->name, command->actions);
    if (command->needs_config && !args->config_path)
        return nm_fail(err, NM_CONFIG, "%s needs the option file: -c FILE", command->name);
    if (args->n_operands < command->min_operands)
        return nm_fail(err, NM_CONFIG, "%s needs %s", command->name, command->operands);
    return NM_OK;
}

enum nm_status nm_args_parse(const struct nm_command *command, int argc, char **argv, struct nm_args *out,
                             struct nm_error *err)
{
    struct nm_args args = {.command = command};
    size_t slots = (size_t)(argc > 0 ? argc : 0) + 1;
    enum nm_status status = NM_OK;

    args.operand = calloc(slots, sizeof *args.operand);
    args.sets.item = calloc(slots, sizeof *args.sets.item);
    if (!args.operand || !args.sets.item) {
        nm_args_clear(&args);
        return nm_fail(err, NM_FATAL, "out of memory");
    }
    for (size_t i = 0; i < n_flags(command) && status == NM_OK; i++) {
        if (command->flags[i].def)
            status = store_value(&args, i, command->flags[i].def, err);
    }
    if (status == NM_OK)
        status = take_words(&args, argc, argv, err);
    if (status == NM_OK)
        status = check_complete(&args, err);
    if (status != NM_OK) {
        nm_args_clear(&args);
        return status;
    }
    *out = args;
    return NM_OK;
}

void nm_args_clear(struct nm_args *args)
{
    free(args->operand);
    free(args->sets.item);
    memset(args, 0, sizeof *args);
}

static void help_row(const char *name, const char *arg, const char *def, const char *text, FILE *out)
{
    char left[100];

    (void)snprintf(left, sizeof left, "%s%s%s", name, arg ? " " : "", arg ? arg : "");
    if (strlen(left) > 24)
        (void)fprintf(out, "  %s\n  %-24s", left, "");
    else
        (void)fprintf(out, "  %-24s", left);
    (void)fprintf(out, "  %s", text);
    if (def)
        (void)fprintf(out, " (default: %s)", def);
    (void)fputc('\n', out);
}

/* One piece of the usage line, on a line of its own where it would become too long. */
static void usage_piece(FILE *out, size_t *column, const char *open, const char *name, const char *arg,
                        const char *close)
{
    size_t len = 1 + strlen(open) + strlen(name) + (arg ? 1 + strlen(arg) : 0) + strlen(close);

    if (*column + len > 100) {
        (void)fprintf(out, "\n     ");
        *column = 5;
    }
    (void)fprintf(out, " %s%s%s%s%s", open, name, arg ? " " : "", arg ? arg : "", close);
    *column += len;
}

static void usage_line(const struct nm_command *command, FILE *out)
{
    size_t column = strlen("usage: newsmill");

    (void)fprintf(out, "usage: newsmill");
    usage_piece(out, &column, "", command->name, command->actions, "");
    if (command->needs_config) {
        usage_piece(out, &column, "", "-c FILE", NULL, "");
        usage_piece(out, &column, "[", "--set", "NAME=VALUE", "]...");
    }
    for (size_t i = 0; i < n_flags(command); i++)
        usage_piece(out, &column, "[", command->flags[i].name, command->flags[i].arg, "]");
    if (command->operands)
        usage_piece(out, &column, "", command->operands, NULL, "");
}

void nm_command_help(const struct nm_command *command, FILE *out)
{
    size_t n = n_flags(command);

    usage_line(command, out);
    (void)fprintf(out, "\n\n%s\n\n", command->details);
    if (command->needs_config) {
        help_row("-c", "FILE", NULL, "the option file", out);
        help_row("--set", "NAME=VALUE", NULL, "one option from the command line; it wins over the file", out);
    }
    for (size_t i = 0; i < n; i++)
        help_row(command->flags[i].name, command->flags[i].arg, command->flags[i].def, command->flags[i].help, out);
    (void)fprintf(out, "\nexample:\n%s\n", command->example);
}
