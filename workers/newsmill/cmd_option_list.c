/* cmd_option_list.c - `newsmill options`: every option of every program, from the tables that check them.
 *
 * (Not cmd_options.c: CMake takes files of that ending for tables of options.) */
#include "newsmill/option.h"
#include "tool.h"

#include <string.h>

static enum nm_status options_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    bool markdown = nm_flag_given(args, "--markdown");

    (void)tool;
    for (const struct nm_option_table *table = nm_option_tables; table->owner; table++) {
        bool common = strcmp(table->owner, "common") == 0;
        if (table->options[0].name == NULL)
            continue;
        (void)printf(markdown ? "%s**%s**\n\n| option | type | default | range | meaning |\n|---|---|---|---|---|\n"
                              : "%s%s\n",
                     table == nm_option_tables ? "" : "\n", common ? "every program" : table->owner);
        if (markdown)
            nm_options_markdown(table->options, stdout);
        else
            nm_options_help(table->options, stdout);
    }
    return nm_tool_flush(err);
}

static const struct nm_flag flags[] = {
    {"--markdown", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "as tables for a README"},
    {0},
};

const struct nm_command nm_options_command = {
    .name = "options",
    .summary = "lists every option of the option file",
    .flags = flags,
    .details = "Lists every option of every program with its type, default, range and meaning.",
    .example = "  newsmill options --markdown",
    .run = options_command,
};
