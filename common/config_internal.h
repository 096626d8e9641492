/* config_internal.h - the parts of the option file's reader that its own files share.
 *
 *   config_problems.c  what is wrong         config_read.c    the bytes of a file
 *   config_yaml.c    YAML to nodes            config_json.c   JSON to nodes
 *   config_expand.c  ${VAR} in values         config_names.c  which option a name means, the nearest name
 *   config_value.c   a node to a value, with every check of the table   config_members.c  the same for mappings
 *   config.c         load and apply           config_print.c  --print-config
 *
 * A node knows where it stands. What comes from the command line, the environment or a default becomes a node, too, so
 * that all of them pass the same checks. Nodes, entries and their texts live in the config's arena. */
#ifndef NM_CONFIG_INTERNAL_H
#define NM_CONFIG_INTERNAL_H

#include "newsmill/buf.h"
#include "newsmill/config.h"

#define NM_CONFIG_MAX_BYTES    (1024 * 1024)
#define NM_CONFIG_MAX_DEPTH    16
#define NM_CONFIG_MAX_KEYS     1000 /* in one mapping                       */
#define NM_CONFIG_MAX_PROBLEMS 100  /* reported; later ones are not shown   */
#define NM_NAME_BYTES          128  /* of a full option name, and its NUL   */
#define NM_HINT_BYTES          (2 * NM_NAME_BYTES + 32)
#define NM_ENV_PREFIX          "NEWSMILL_"

/* ---- problems */

struct nm_report {
    struct nm_problems *problems;
    const char *path; /* the option file, for problems that are nowhere else */
    size_t n;         /* problems met, reported or not */
    bool oom;
};
struct nm_place {
    const char *file; /* NULL: the option file */
    int line, column; /* 1-based; 0: not in a file */
};
/* Control characters and bytes that are not UTF-8 become '?'. */
void nm_report_add(struct nm_report *report, struct nm_place place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Sorts the problems from the index `first` on: those of the file by line and column, then the others as they came. */
void nm_report_sort(const struct nm_report *report, size_t first);
/* NM_OK, NM_CONFIG (there are problems) or NM_FATAL (out of memory). */
NM_MUST_USE enum nm_status nm_report_status(const struct nm_report *report, struct nm_error *err);

/* ---- nodes */

enum nm_node_kind {
    NM_NODE_TEXT,
    NM_NODE_NULL, /* nothing after the colon, null or ~ */
    NM_NODE_LIST,
    NM_NODE_MAP,
    NM_NODE_BAD, /* has been reported already */
};
struct nm_node {
    enum nm_node_kind kind;
    bool outside; /* from --set, the environment or a default: a list is written "a,b" */
    struct nm_place at, key_at;
    const char *key;  /* in a mapping */
    const char *text; /* NM_NODE_TEXT */
    struct nm_node *first, *last, *next;
    size_t n_children;
};
/* NULL and report->oom: no memory. */
struct nm_node *nm_node_new(struct nm_arena *arena, enum nm_node_kind kind, struct nm_place at,
                            struct nm_report *report);
void nm_node_append(struct nm_node *parent, struct nm_node *child);
const char *nm_node_kind_text(const struct nm_node *node); /* "a list", for messages */

/* What a parser of a format needs; *out stays NULL after an error, and for a file that holds no value. */
struct nm_text_file {
    const char *data;
    size_t len;
    struct nm_arena *arena;
    struct nm_report *report;
};
/* By the name's ending; the size and the encoding are checked before. */
void nm_config_nodes(const char *path, const struct nm_text_file *file, struct nm_node **out);
void nm_yaml_read(const struct nm_text_file *file, struct nm_node **out);
void nm_json_read(const struct nm_text_file *file, struct nm_node **out);

/* Replaces ${...} in every text of the tree. env: like environ. */
void nm_expand(struct nm_node *root, char *const *env, struct nm_arena *arena, struct nm_report *report);

/* ---- names */

const struct nm_option *nm_name_find(const struct nm_option_table *tables, const char *name);
/* The option with members (NM_OPT_MAP and its kind) that `name` is inside of ("kafka.common.debug"); *member points
 * behind its dot. */
const struct nm_option *nm_name_find_map(const struct nm_option_table *tables, const char *name, const char **member);
/* An option that stands below `name` ("kafka"), or NULL. */
const struct nm_option *nm_name_section(const struct nm_option_table *tables, const char *name);
/* The owner of a section workers.NAME as a lasting string; NULL: there is none. `len` bytes. */
const char *nm_name_owner(const struct nm_option_table *tables, const char *name, size_t len);
/* The first option with that variable; `len` bytes. */
const struct nm_option *nm_name_find_env(const struct nm_option_table *tables, const char *var, size_t len);
/* "NEWSMILL_RUNTIME_BATCH_ITEMS". */
void nm_name_env(const char *name, char out[2 * NM_NAME_BYTES]);
/* "; did you mean 'kafka.brokers'?", or "" when nothing is near. */
void nm_name_hint(const struct nm_option_table *tables, const char *name, char out[NM_HINT_BYTES]);
void nm_name_env_hint(const struct nm_option_table *tables, const char *name, char out[NM_HINT_BYTES]);
void nm_name_owner_hint(const struct nm_option_table *tables, const char *name, char out[NM_HINT_BYTES]);
/* words: "oldest|newest". */
void nm_name_word_hint(const char *words, const char *name, char out[NM_HINT_BYTES]);

/* ---- values */

/* values: "oldest|newest". */
bool nm_is_one_of(const char *values, const char *text);

/* Checks `node` against the row and, with a ctx, stores the value. Problems go to the report; false: there was one.
 * `folder` ("" or "conf/") is put in front of relative paths. Options with members: only says what was expected. */
bool nm_value_store(const struct nm_option *option, const struct nm_node *node, const char *folder, void *ctx,
                    struct nm_report *report);
/* Checks one member of an NM_OPT_MAP. */
bool nm_value_check_member(const struct nm_option *option, const char *member, const struct nm_node *node,
                           struct nm_report *report);
/* Checks one member of an option with members: "title" of an NM_OPT_LISTS, "1.file" of an NM_OPT_MAPS. */
bool nm_member_check(const struct nm_option *option, const char *member, const struct nm_node *node,
                     struct nm_report *report);
/* Checks it and appends it to `field`, the nm_pairs or nm_lists of the option. False: reported. */
bool nm_member_store(const struct nm_option *option, const char *member, const struct nm_node *node, const char *folder,
                     void *field, struct nm_report *report);
/* True for NM_OPT_MAP, NM_OPT_LISTS and NM_OPT_MAPS: each member is looked for by itself. */
bool nm_option_has_members(const struct nm_option *option);
bool nm_option_size_is_right(const struct nm_option *option);
void nm_option_clear(const struct nm_option *option, void *ctx);
/* "ms" for "runtime.batchMs"; "" where the name has no unit. */
const char *nm_option_unit(const char *name);
const char *nm_option_type_text(enum nm_opt_type type);

/* ---- the whole */

enum nm_origin { NM_FROM_FILE, NM_FROM_WORKER, NM_FROM_ENV, NM_FROM_SET }; /* a later one wins */

struct nm_entry {
    const struct nm_option *option;
    const char *member; /* options with members only */
    const char *owner;  /* NM_FROM_WORKER only */
    const char *var;    /* NM_FROM_ENV only */
    enum nm_origin origin;
    const struct nm_node *node;
};
struct nm_config {
    struct nm_arena arena;
    const struct nm_option_table *tables;
    const char *path, *folder, *program;
    struct nm_entry *entry;
    size_t n_entries, cap;
};

struct nm_config_input {
    const char *path; /* of the option file; where `data` is given, only a name */
    const char *data; /* NULL: read the file */
    size_t len;
    const char *program;
    const struct nm_strings *sets; /* may be NULL */
    const struct nm_option_table *tables;
    char *const *env; /* like environ */
};
/* nm_config_load() with everything from outside as a parameter. */
NM_MUST_USE enum nm_status nm_config_load_input(const struct nm_config_input *input, struct nm_config **out,
                                                struct nm_problems *problems, struct nm_error *err);

/* Reads a whole file into `out`; false: reported. */
bool nm_config_read(const char *path, struct nm_buf *out, struct nm_report *report);

/* Fills config->entry from the file's tree, the environment and --set. */
void nm_config_collect(struct nm_config *config, const struct nm_config_input *input, const struct nm_node *root,
                       struct nm_report *report);

/* The entry that holds for the program that runs; NULL: the default does. member: NULL but for options with members. */
const struct nm_entry *nm_config_find(const struct nm_config *config, const char *name, const char *member);
/* True: no entry before this one is of the same member, so walking over all entries meets each member once. */
bool nm_config_is_first(const struct nm_config *config, const struct nm_entry *entry);
/* The default of a row for the program that runs; *own: the program has one of its own. */
const char *nm_config_default(const struct nm_config *config, const struct nm_option *option, bool *own);
/* Stores the value of one row, the default included. A row without default and value stores nothing; *given: whether
 * there was one. False: reported. */
bool nm_config_store(const struct nm_config *config, const struct nm_option *option, void *ctx, bool *given,
                     struct nm_report *report);

#endif
