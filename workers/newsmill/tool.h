/* tool.h - what the commands of `newsmill` share: the option file, signals, output, limits.
 *
 * One thread; librdkafka's threads never enter these functions. */
#ifndef NEWSMILL_TOOL_H
#define NEWSMILL_TOOL_H

#include "cli.h"
#include "newsmill/buf.h"
#include "newsmill/clock.h"
#include "newsmill/config.h"
#include "newsmill/settings.h"
#include "newsmill/url.h"

#include <stdint.h>

/* How long a command waits for a Kafka that does not answer, ms. */
#define NM_KAFKA_WAIT_MS 10000

enum { NM_EXIT_DONE = 0, NM_EXIT_FATAL = 1, NM_EXIT_CONFIG = 2, NM_EXIT_NOT_REACHED = 3 };

struct nm_tool {
    struct nm_config *config;
    struct nm_settings settings;
    int exit_code; /* of a command that returns NM_OK: 0 unless the command says otherwise */
};

/* A worker of this build and the streams that it reads: what `wait` waits for. Upstream workers stand first. Ended by a
 * row without name. */
struct nm_reader {
    const char *worker;
    enum nm_stream inputs[NM_N_STREAMS];
    size_t n_inputs;
    bool optional;   /* waited for only where it has done something, or publish.expect names it */
    const char *out; /* its out set, as struct nm_set names it: must be empty, too; NULL: none */
};
extern const struct nm_reader nm_readers[];

/* Every command, ended by a row without name. */
extern const struct nm_command nm_streams_command, nm_load_command, nm_wait_command, nm_tail_command, nm_dead_command,
    nm_check_command, nm_options_command, nm_ps_command, nm_explain_command, nm_stories_command, nm_images_command;

/* The whole program; returns the exit code. */
int nm_tool_main(int argc, char **argv);

/* Reads the option file of -c into tool->settings. NM_CONFIG: its problems have been printed on stderr. */
NM_MUST_USE enum nm_status nm_tool_configure(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err);

/* True after SIGINT or SIGTERM. A second one ends the process with exit code 1. */
bool nm_tool_stopped(void);

/* An article id (32 hex digits) as it is, or that of a URL. NM_CONFIG: neither; the message does not name the flag. */
NM_MUST_USE enum nm_status nm_tool_id(const char *text, char out[NM_ID_BYTES], struct nm_error *err);

/* Writes to stdout. NM_FATAL with an empty message: the reader went away (EPIPE), which is no failure. */
NM_MUST_USE enum nm_status nm_tool_write(const char *text, size_t len, struct nm_error *err);
NM_MUST_USE enum nm_status nm_tool_flush(struct nm_error *err);
/* True when stdout is a pipe that nobody reads any more. */
bool nm_tool_reader_gone(void);

/* Columns of the terminal: $COLUMNS, else what the terminal on stdout says, else 120; 40 to 1,000. */
unsigned nm_tool_columns(void);

#endif
