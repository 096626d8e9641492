/* config.h - the option file: one file for the whole fleet, checked strictly.
 *
 * A value is looked for in this order; the first found wins:
 *   1. --set NAME=VALUE on the command line (the last one of a name wins)
 *   2. the environment: NEWSMILL_ and the name in capitals, dots and camel humps as underscores
 *      (runtime.batchItems -> NEWSMILL_RUNTIME_BATCH_ITEMS); scalars and lists ("a,b") only
 *   3. workers.NAME.<option> in the file, for the program that runs
 *   4. <option> in the file
 *   5. the default of the table
 * Each member of a mapping (kafka.consumer) is looked for by itself, so workers.NAME and --set
 * kafka.consumer.NAME=VALUE add to what the file says. A path may be written with dots in the file, too:
 * `runtime.batchMs: 5`.
 * ${VAR}, ${VAR:-default} and ${VAR:?message} are replaced in scalar values of the file after parsing; $$ is a dollar.
 *
 * YAML with libyaml (a file that ends in .json: JSON with jansson). Refused, each with file:line:column: unknown keys
 * (with the nearest valid name), duplicate keys, wrong types, values out of range, aliases and anchors, tags, more
 * than one document, more than 1 MiB, nesting deeper than 16. A section `workers.NAME` is valid for "newsmill"
 * and every owner in nm_option_tables but "common", which is no program; options in it are checked like the others.
 * Variables NEWSMILL_... that are no option are refused, too, but for NEWSMILL_HOME and Kubernetes' service links.
 *
 * All problems are collected, not only the first. Nothing here logs or exits. Not thread-safe. */
#ifndef NEWSMILL_CONFIG_H
#define NEWSMILL_CONFIG_H

#include "newsmill/option.h"

struct nm_config;

struct nm_problem {
    char *file;       /* "--set", "environment" or the file's path */
    int line, column; /* 1-based; 0: not in a file */
    char *msg;
};
struct nm_problems {
    struct nm_problem *item;
    size_t n;
};
void nm_problems_clear(struct nm_problems *problems);
/* `file:line:column: error: msg` a line (without line: `file: error: msg`). */
void nm_problems_print(const struct nm_problems *problems, FILE *out);

/* Reads `path`, replaces ${...}, adds `sets` ("NAME=VALUE" each) and checks every key of file, sets and environment
 * against nm_option_tables. `program`: the owner whose workers.NAME section applies ("normalize"; the operator's
 * tool passes "newsmill"). NM_CONFIG: see *problems (at least one). NM_FATAL: out of memory. */
NM_MUST_USE enum nm_status nm_config_load(const char *path, const char *program, const struct nm_strings *sets,
                                          struct nm_config **out, struct nm_problems *problems, struct nm_error *err);
void nm_config_free(struct nm_config *config); /* NULL is fine */
NM_DEFINE_CLEANUP(struct nm_config, nm_config_free)

/* Stores the values of one table into `ctx` (zeroed by the caller; release with nm_options_clear). Required options
 * that are missing are problems too. NM_CONFIG: see *problems, ctx is cleared. */
NM_MUST_USE enum nm_status nm_config_apply(struct nm_config *config, const struct nm_option *options, void *ctx,
                                           struct nm_problems *problems, struct nm_error *err);

/* The value of one option (NM_OPT_INT or NM_OPT_REAL) of any table, for a program that shows another program's options:
 * loaded with that one's name, workers.NAME holds. NM_CONFIG: the value is not valid; a name that is none is a bug. */
NM_MUST_USE enum nm_status nm_config_number(struct nm_config *config, const char *name, double *out,
                                            struct nm_error *err);

/* Every option of every table with its value and where it came from (default, file:line, workers.NAME file:line,
 * environment NAME, --set). json: an array of {name, value, source, type, default, help}. Secrets print as ***. */
void nm_config_print(struct nm_config *config, bool json, FILE *out);

#endif
