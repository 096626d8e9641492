/* instances.c - announcements of workers, see instances.h.
 *
 * An announcement is taken whole or not at all: every member that is shown has its type checked once, here, so that
 * nothing after it can stumble. Members that are not known are dropped: they may be a newer worker's. */
#include "instances.h"

#include "newsmill/announce.h"
#include "newsmill/datetime.h"
#include "plain.h"

#include <inttypes.h>
#include <string.h>

#define SILENT_MS (2 * NM_ANNOUNCE_EVERY_MS) /* one announcement may come late */

static bool is_partition(const json_t *number)
{
    json_int_t value = json_integer_value(number);
    return json_is_integer(number) && value >= 0 && value <= INT32_MAX;
}

static bool are_partitions(const json_t *list)
{
    if (!json_is_array(list))
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i), *numbers = json_object_get(row, "partitions");
        if (!json_is_string(json_object_get(row, "stream")) || !json_is_array(numbers))
            return false;
        for (size_t k = 0; k < json_array_size(numbers); k++)
            if (!is_partition(json_array_get(numbers, k)))
                return false;
    }
    return true;
}

/* False: not an announcement. Fills only on success. */
static bool take(json_t *root, struct nm_instance *out)
{
    struct nm_instance found = *out;
    const json_t *pid = json_object_get(root, "pid"), *lag = json_object_get(root, "lag");
    const json_t *ready = json_object_get(root, "ready");
    found.version = json_string_value(json_object_get(root, "version"));
    found.host = json_string_value(json_object_get(root, "host"));
    found.admin = json_string_value(json_object_get(root, "admin"));
    found.started = json_string_value(json_object_get(root, "startedAt"));
    if (!found.version || !found.host || !found.admin || !found.started || !json_is_integer(pid) ||
        !json_is_integer(lag) || !json_is_boolean(ready) || !are_partitions(json_object_get(root, "partitions")))
        return false;
    if (nm_time_parse(found.started, strlen(found.started), &found.started_ms, NULL) != NM_OK)
        return false;
    found.pid = json_integer_value(pid);
    found.lag = json_integer_value(lag);
    found.state = json_is_true(ready) ? NM_INSTANCE_READY : NM_INSTANCE_NOT_READY;
    if (found.age_ms > SILENT_MS)
        found.state = NM_INSTANCE_SILENT;
    found.root = root;
    *out = found;
    return true;
}

static char *copy(const char *text, size_t len)
{
    struct nm_buf buf = {0};
    nm_buf_add(&buf, text, len);
    return nm_buf_take(&buf);
}

enum nm_status nm_instance_read(const char *member, size_t member_len, const char *json, size_t len, int64_t left_ms,
                                struct nm_instance *out, struct nm_error *err)
{
    size_t colon = member_len;
    while (colon > 0 && member[colon - 1] != ':')
        colon--;
    size_t worker_len = colon ? colon - 1 : member_len, id_at = colon ? colon : member_len;
    struct nm_instance found = {.state = json ? NM_INSTANCE_BROKEN : NM_INSTANCE_GONE, .age_ms = -1, .lag = -1};
    found.worker = copy(member, worker_len);
    found.id = copy(member + id_at, member_len - id_at);
    if (!found.worker || !found.id) {
        nm_instance_clear(&found);
        return nm_fail(err, NM_FATAL, "out of memory");
    }
    if (json && left_ms >= 0 && left_ms <= NM_ANNOUNCE_MS)
        found.age_ms = NM_ANNOUNCE_MS - left_ms;
    json_t *root = json && len <= NM_ANNOUNCE_BYTES ? json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!take(root, &found))
        json_decref(root);
    *out = found;
    return NM_OK;
}

void nm_instance_clear(struct nm_instance *instance)
{
    free(instance->worker);
    free(instance->id);
    json_decref(instance->root);
    *instance = (struct nm_instance){0};
}

int nm_instance_compare(const void *a, const void *b)
{
    const struct nm_instance *x = a, *y = b;
    int by_worker = strcmp(x->worker, y->worker);
    if (by_worker)
        return by_worker;
    if (!x->root != !y->root)
        return x->root ? -1 : 1;
    if (x->started_ms != y->started_ms)
        return x->started_ms < y->started_ms ? -1 : 1;
    return strcmp(x->id, y->id);
}

static const char *const state_words[] = {
    [NM_INSTANCE_READY] = "ready", [NM_INSTANCE_NOT_READY] = "notReady", [NM_INSTANCE_SILENT] = "silent",
    [NM_INSTANCE_GONE] = "gone",   [NM_INSTANCE_BROKEN] = "broken",
};

void nm_instance_state_text(const struct nm_instance *instance, struct nm_buf *out)
{
    if (instance->state == NM_INSTANCE_SILENT)
        nm_buf_addf(out, "silent %" PRId64 "s", instance->age_ms / 1000);
    else
        nm_buf_adds(out, instance->state == NM_INSTANCE_NOT_READY ? "not ready" : state_words[instance->state]);
}

/* "0-3,7" of rising numbers; others stand alone. */
static void add_ranges(const json_t *numbers, struct nm_buf *out)
{
    size_t n = json_array_size(numbers);
    for (size_t i = 0; i < n;) {
        json_int_t first = json_integer_value(json_array_get(numbers, i)), last = first;
        const char *comma = i ? "," : "";
        for (i++; i < n && json_integer_value(json_array_get(numbers, i)) == last + 1; i++)
            last++;
        nm_buf_addf(out, "%s%lld", comma, (long long)first);
        if (last > first)
            nm_buf_addf(out, "-%lld", (long long)last);
    }
}

void nm_instance_assignment(const struct nm_instance *instance, struct nm_buf *out)
{
    const json_t *list = json_object_get(instance->root, "partitions");
    size_t shown = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i), *numbers = json_object_get(row, "partitions");
        if (json_array_size(numbers) == 0)
            continue;
        nm_buf_addf(out, "%s%s ", shown++ ? "; " : "", json_string_value(json_object_get(row, "stream")));
        add_ranges(numbers, out);
    }
    if (!shown)
        nm_buf_adds(out, "-");
}

void nm_instance_json(const struct nm_instance *instance, struct nm_buf *out)
{
    static const char *const members[] = {"version", "host", "pid", "admin", "startedAt", "ready", "partitions", "lag"};
    nm_buf_adds(out, "{\"worker\":");
    nm_json_string(instance->worker, strlen(instance->worker), out);
    nm_buf_adds(out, ",\"instance\":");
    nm_json_string(instance->id, strlen(instance->id), out);
    nm_buf_addf(out, ",\"state\":\"%s\",\"ageMs\":", state_words[instance->state]);
    if (instance->age_ms >= 0)
        nm_buf_addf(out, "%" PRId64, instance->age_ms);
    else
        nm_buf_adds(out, "null");
    for (size_t i = 0; instance->root && i < sizeof members / sizeof *members; i++) {
        char *text = json_dumps(json_object_get(instance->root, members[i]), JSON_COMPACT | JSON_ENCODE_ANY);
        nm_buf_addf(out, ",\"%s\":", members[i]);
        if (text)
            nm_json_safe(text, strlen(text), out);
        else
            out->oom = true;
        free(text);
    }
    nm_buf_adds(out, "}\n");
}
