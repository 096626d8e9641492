/* cli.h - the command line as tables: one table of flags a command, read by the parser and by the help text.
 *
 * A command line is `newsmill COMMAND [ACTION] [flags and operands in any order]`. Flags are --name value, --name=value
 * or, for the option file, -c value; `--` ends them; "-" is an operand. Every value is checked here, so that a command
 * sees only numbers in range and known words. What is misspelt is answered with the nearest valid name.
 * Pure but for the writing of help; not thread-safe. */
#ifndef NEWSMILL_CLI_H
#define NEWSMILL_CLI_H

#include "newsmill/option.h"
#include "newsmill/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define NM_MAX_FLAGS 12

enum nm_flag_type {
    NM_FLAG_SWITCH, /* no value                                    */
    NM_FLAG_TEXT,   /* anything but the empty string               */
    NM_FLAG_WORD,   /* one of the words of `arg`: "table|json"     */
    NM_FLAG_INT,    /* min..max                                    */
    NM_FLAG_MS,     /* a duration with unit, min..max milliseconds */
};

struct nm_flag {
    const char *name; /* with its dashes; NULL ends a table                    */
    enum nm_flag_type type;
    const char *arg; /* what stands for the value in the help text            */
    const char *def; /* NULL: none                                            */
    long long min, max;
    const char *help;
};

struct nm_args;
struct nm_tool;

struct nm_command {
    const char *name, *summary;
    const char *actions;  /* "apply|ls": the first operand is one of them; NULL: none  */
    const char *operands; /* "FILE...|-" as shown; NULL: none are taken                */
    size_t min_operands, max_operands;
    bool needs_config;           /* -c and --set are taken, -c is required                    */
    const struct nm_flag *flags; /* at most NM_MAX_FLAGS; NULL: none                          */
    const char *details, *example;
    enum nm_status (*run)(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err);
};

/* Everything is borrowed from argv and the tables but the two arrays. */
struct nm_args {
    const struct nm_command *command;
    const char *action, *config_path;
    struct nm_strings sets;
    char **operand;
    size_t n_operands;
    bool help, given[NM_MAX_FLAGS];
    const char *text[NM_MAX_FLAGS];
    long long number[NM_MAX_FLAGS];
};

/* Reads argv[0..argc), the words after the command's name. With --help nothing but `help` is of use.
 * NM_CONFIG: a usage error, the message names the nearest valid word. Release with nm_args_clear(). */
NM_MUST_USE enum nm_status nm_args_parse(const struct nm_command *command, int argc, char **argv, struct nm_args *out,
                                         struct nm_error *err);
void nm_args_clear(struct nm_args *args);

/* The value of a flag of the command's own table (a name that is not there is a bug): the one given, else its default.
 * Text NULL: neither. Number of INT and MS; a switch is on when given. */
const char *nm_flag_text(const struct nm_args *args, const char *name);
long long nm_flag_number(const struct nm_args *args, const char *name);
bool nm_flag_given(const struct nm_args *args, const char *name);

void nm_command_help(const struct nm_command *command, FILE *out);

/* The word of "a|b|c" or of names[] that is nearest to `word` by edit distance, into out; false: none is near. */
bool nm_nearest_word(const char *word, const char *words, char *out, size_t size);
const char *nm_nearest_name(const char *word, const char *const *names, size_t n);

/* True when `word` is one of "a|b|c". */
bool nm_is_word(const char *word, const char *words);

/* "500ms" "60s" "5m" "2h" to milliseconds, at most 31 days. NM_CONFIG otherwise. */
NM_MUST_USE enum nm_status nm_duration_parse(const char *text, long long *out_ms, struct nm_error *err);

/* Decimal digits (a leading minus is allowed), the whole text, within min..max. NM_CONFIG otherwise. */
NM_MUST_USE enum nm_status nm_number_parse(const char *text, long long min, long long max, long long *out,
                                           struct nm_error *err);

#endif
