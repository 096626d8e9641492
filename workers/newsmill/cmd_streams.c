/* cmd_streams.c - `newsmill streams apply|ls`: creates and compares the streams.
 *
 * `apply` creates what is missing and changes nothing that is there: raising partitions moves ids to other partitions,
 * and a shorter retention deletes, so a difference is shown and left to the operator. */
#include "plain.h"
#include "streams.h"
#include "table.h"
#include "tool.h"

#include <inttypes.h>
#include <string.h>

static const char *word_of(const struct nm_stream_state *state, bool created)
{
    if (!state->present)
        return "missing";
    if (state->n_differences)
        return "differs";
    return created ? "created" : "ok";
}

/* 604800000 as "7d"; -1 as "forever". */
static void duration_text(int64_t ms, char out[32])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;

    if (ms < 0) {
        (void)snprintf(out, 32, "forever");
        return;
    }
    while (ms % units[i].ms)
        i++;
    (void)snprintf(out, 32, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
}

static void add_row(const struct nm_stream_state *state, bool created, struct nm_table *table)
{
    char text[32];

    nm_table_cells(table, nm_stream_word(state->stream));
    nm_table_cells(table, state->topic);
    nm_table_cells(table, word_of(state, created));
    if (!state->present) {
        for (int i = 0; i < 6; i++)
            nm_table_cells(table, "-");
        return;
    }
    nm_table_number(table, state->partitions);
    nm_table_number(table, state->replication);
    nm_table_cells(table, state->cleanup);
    duration_text(state->retention_ms, text);
    nm_table_cells(table, state->stream == NM_RECORDS ? "-" : text);
    nm_table_number(table, state->max_message_bytes);
    nm_table_number(table, state->messages);
}

static enum nm_status print_table(const struct nm_stream_state *state, const bool *created, struct nm_error *err)
{
    static const struct nm_column columns[] = {{"stream", false, 6, 12},      {"topic", false, 12, 249},
                                               {"state", false, 7, 7},        {"partitions", true, 10, 10},
                                               {"replication", true, 11, 11}, {"cleanup", false, 7, 16},
                                               {"retention", true, 9, 16},    {"max bytes", true, 9, 12},
                                               {"messages", true, 8, 20},     {0}};
    struct nm_table table;
    struct nm_buf out = {0};

    nm_table_init(&table, columns);
    for (int i = 0; i < NM_N_STREAMS; i++)
        add_row(&state[i], created[i], &table);
    enum nm_status status = nm_table_print(&table, nm_tool_columns(), &out, err);
    for (int i = 0; i < NM_N_STREAMS && status == NM_OK; i++) {
        for (size_t k = 0; k < state[i].n_differences; k++)
            nm_buf_addf(&out, "%s (%s): %s is %s, the option file says %s\n", nm_stream_word(state[i].stream),
                        state[i].topic, state[i].difference[k].setting, state[i].difference[k].broker,
                        state[i].difference[k].file);
    }
    if (status == NM_OK && !nm_buf_ok(&out))
        status = nm_fail(err, NM_FATAL, "out of memory");
    if (status == NM_OK)
        status = nm_tool_write(out.data, out.len, err);
    nm_buf_clear(&out);
    nm_table_clear(&table);
    return status;
}

static void json_text(struct nm_buf *out, const char *name, const char *value)
{
    nm_buf_addf(out, "\"%s\":", name);
    nm_json_string(value, strlen(value), out);
    nm_buf_addc(out, ',');
}

static void json_row(const struct nm_stream_state *state, bool created, struct nm_buf *out)
{
    nm_buf_addc(out, '{');
    json_text(out, "stream", nm_stream_word(state->stream));
    json_text(out, "topic", state->topic);
    json_text(out, "state", word_of(state, created));
    if (state->present) {
        json_text(out, "cleanup", state->cleanup);
        nm_buf_addf(out, "\"partitions\":%d,\"replication\":%d,", state->partitions, state->replication);
        nm_buf_addf(out, "\"retentionMs\":%" PRId64 ",\"maxMessageBytes\":%" PRId64 ",\"messages\":%" PRId64 ",",
                    state->retention_ms, state->max_message_bytes, state->messages);
    }
    nm_buf_adds(out, "\"differences\":[");
    for (size_t i = 0; i < state->n_differences; i++) {
        nm_buf_adds(out, i ? ",{" : "{");
        json_text(out, "setting", state->difference[i].setting);
        json_text(out, "broker", state->difference[i].broker);
        nm_buf_adds(out, "\"file\":");
        nm_json_string(state->difference[i].file, strlen(state->difference[i].file), out);
        nm_buf_addc(out, '}');
    }
    nm_buf_adds(out, "]}");
}

static enum nm_status print_json(const struct nm_stream_state *state, const bool *created, struct nm_error *err)
{
    struct nm_buf out = {0};

    nm_buf_adds(&out, "[");
    for (int i = 0; i < NM_N_STREAMS; i++) {
        nm_buf_adds(&out, i ? ",\n " : "");
        json_row(&state[i], created[i], &out);
    }
    nm_buf_adds(&out, "]\n");
    enum nm_status status =
        nm_buf_ok(&out) ? nm_tool_write(out.data, out.len, err) : nm_fail(err, NM_FATAL, "out of memory");
    nm_buf_clear(&out);
    return status;
}

static enum nm_status streams_command(struct nm_tool *tool, const struct nm_args *args, struct nm_error *err)
{
    struct nm_stream_state state[NM_N_STREAMS];
    bool apply = strcmp(args->action, "apply") == 0, created[NM_N_STREAMS] = {false};
    NM_AUTO(nm_kafka_close) rd_kafka_t *rk = NULL;
    enum nm_status status = nm_tool_configure(tool, args, err);

    if (status == NM_OK)
        status = nm_kafka_consumer_open(&tool->settings, NULL, NULL, &rk, err);
    if (status == NM_OK)
        status = nm_streams_look(rk, &tool->settings, state, err);
    if (status == NM_OK && apply) {
        status = nm_streams_create(rk, &tool->settings, state, err);
        for (int i = 0; i < NM_N_STREAMS; i++)
            created[i] = state[i].created;
        if (status == NM_OK)
            status = nm_streams_look(rk, &tool->settings, state, err);
    }
    if (status != NM_OK)
        return status;
    for (int i = 0; i < NM_N_STREAMS && apply; i++) {
        if (state[i].n_differences || !state[i].present)
            tool->exit_code = NM_EXIT_CONFIG;
    }
    return nm_flag_given(args, "--json") ? print_json(state, created, err) : print_table(state, created, err);
}

static const struct nm_flag flags[] = {
    {"--json", NM_FLAG_SWITCH, NULL, NULL, 0, 0, "one JSON array"},
    {0},
};

const struct nm_command nm_streams_command = {
    .name = "streams",
    .summary = "creates, compares and lists the streams",
    .actions = "apply|ls",
    .needs_config = true,
    .flags = flags,
    .details =
        "apply creates the streams that are missing, as the option file says, and compares the others. What differs\n"
        "is shown and never changed: then the exit code is 2. ls only shows.",
    .example = "  newsmill streams apply -c newsmill.yaml\n"
               "  newsmill streams ls -c newsmill.yaml --json",
    .run = streams_command,
};
