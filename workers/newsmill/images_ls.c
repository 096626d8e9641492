/* images_ls.c - `newsmill images ls`: the URLs of images that Redis knows, filtered.
 *
 * There is no list of all URLs, so their keys are scanned, a page at a time, in no order. With --json what is found is
 * printed at once, so memory does not depend on how many there are; a table has a limit. A scan may miss what is made
 * or goes while it runs, and show one twice. */
#include "images.h"

#include "plain.h"
#include "table.h"

#include <inttypes.h>
#include <string.h>

enum { PAGE = 500, CHUNK = 16, TELL_MS = 2000, MOST_ROWS = 10000 };

struct found {
    const char *hash;
    json_t *entry;                  /* owned   */
    struct nm_images_listed listed; /* its URL */
    char id[NM_ID_BYTES];           /* of one article; "": none */
    int64_t n_users;
};

struct list {
    struct nm_images *images;
    const char *state, *reason;
    char host[NM_HOST_BYTES]; /* "": any */
    long long left;
    size_t n_seen;
    int64_t told_ms;
    size_t prefix_len;
    char (*hash)[IM_URL_HASH_BYTES]; /* of one page of the scan */
    struct found *found;             /* of the same page */
    size_t n, cap;
    struct nm_table table;
};

static const struct nm_column columns[] = {
    {"state", false, 7, 7}, {"reason", false, 6, 18},  {"size", true, 4, 11},
    {"bytes", true, 5, 10}, {"fetched", false, 7, 20}, {"next try", false, 8, 20},
    {"users", true, 5, 5},  {"url", false, 24, 300},   {0},
};

/* ---- a page of keys ---- */

static enum nm_status take_keys(struct list *list, const struct nm_reply *keys, struct nm_error *err)
{
    size_t n = keys->type == NM_REPLY_ARRAY ? keys->len : 0, len = IM_URL_HASH_BYTES - 1;
    list->n = 0;
    if (n > list->cap) {
        char(*hash)[IM_URL_HASH_BYTES] = realloc(list->hash, n * sizeof *hash);
        if (!hash)
            return nm_fail(err, NM_FATAL, "out of memory for %zu URLs", n);
        list->hash = hash;
        struct found *found = realloc(list->found, n * sizeof *found);
        if (!found)
            return nm_fail(err, NM_FATAL, "out of memory for %zu URLs", n);
        list->found = found;
        list->cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        const struct nm_reply *key = nm_reply_at(keys, i);
        char *out = list->hash[list->n];
        if (key->type != NM_REPLY_STR || key->len != list->prefix_len + len + 1)
            continue;
        memcpy(out, key->str + list->prefix_len, len);
        out[len] = '\0';
        list->n += nm_images_is_hash(out);
    }
    return NM_OK;
}

static enum nm_status scan_page(struct list *list, char cursor[24], struct nm_error *err)
{
    struct nm_images *images = list->images;
    char pattern[256], most[12];
    nm_images_key(images, "", "*", pattern); /* a namespace has no sign that a pattern has */
    (void)snprintf(most, sizeof most, "%d", PAGE);
    nm_pipe_reset(&images->pipe);
    NM_IMAGES_ADD(images, "SCAN", cursor, "MATCH", pattern, "COUNT", most);
    enum nm_status status = nm_images_exec(images, err);
    if (status != NM_OK)
        return status;
    const struct nm_reply *reply = nm_pipe_reply(&images->pipe, 0), *next = nm_reply_at(reply, 0);
    if (next->type != NM_REPLY_STR || next->len >= 24)
        return nm_fail(err, NM_FATAL, "Redis answers a scan without a cursor");
    status = take_keys(list, nm_reply_at(reply, 1), err);
    memcpy(cursor, next->str, next->len + 1);
    return status;
}

/* ---- rows ---- */

static bool is_wanted(const struct list *list, const struct nm_reply *fields)
{
    const struct nm_reply *reason = nm_images_reason(fields);
    if (!nm_images_is_known(fields) || (list->state && strcmp(nm_images_state(fields), list->state) != 0))
        return false;
    return !list->reason || (reason->type == NM_REPLY_STR && strcmp(reason->str, list->reason) == 0);
}

static enum nm_status read_users(struct list *list, struct found *found, size_t n, struct nm_error *err)
{
    struct nm_images *images = list->images;
    char key[256];
    nm_pipe_reset(&images->pipe);
    for (size_t i = 0; i < n; i++) {
        nm_images_key(images, "users:", found[i].hash, key);
        NM_IMAGES_ADD(images, "SCARD", key);
        NM_IMAGES_ADD(images, "SRANDMEMBER", key);
    }
    enum nm_status status = nm_images_exec(images, err);
    for (size_t i = 0; status == NM_OK && i < n; i++) {
        found[i].n_users = nm_reply_int(nm_pipe_reply(&images->pipe, 2 * i), 0);
        if (!nm_images_member_id(nm_pipe_reply(&images->pipe, 2 * i + 1), found[i].id))
            found[i].id[0] = '\0';
    }
    nm_pipe_reset(&images->pipe);
    for (size_t i = 0; i < n; i++)
        nm_images_ask_article(images, found[i].id);
    if (status == NM_OK)
        status = nm_images_exec(images, err);
    for (size_t i = 0; status == NM_OK && i < n; i++)
        nm_images_url_of(nm_pipe_reply(&images->pipe, i), found[i].hash, &found[i].listed);
    return status;
}

static const char *text_of(const json_t *entry, const char *name)
{
    const char *text = json_string_value(json_object_get(entry, name));
    return text ? text : "";
}

static void add_row(struct list *list, const struct found *found)
{
    struct nm_table *table = &list->table;
    char size[32] = "";
    long long width = json_integer_value(json_object_get(found->entry, "width"));
    long long height = json_integer_value(json_object_get(found->entry, "height"));
    const json_t *bytes = json_object_get(found->entry, "bytes");
    if (width && height)
        (void)snprintf(size, sizeof size, "%lldx%lld", width, height);
    nm_table_cells(table, text_of(found->entry, "state"));
    nm_table_cells(table, text_of(found->entry, "reason"));
    nm_table_cells(table, size);
    if (bytes)
        nm_table_number(table, json_integer_value(bytes));
    else
        nm_table_cells(table, "");
    nm_table_cells(table, text_of(found->entry, "fetchedAt"));
    nm_table_cells(table, text_of(found->entry, "nextTry"));
    nm_table_number(table, found->n_users);
    nm_table_cells(table, found->listed.url.text[0] ? found->listed.url.text : found->hash);
}

static enum nm_status print_row(struct list *list, const struct found *found, struct nm_error *err)
{
    struct nm_buf out = {0};
    enum nm_status status = NM_OK;
    if (list->images->json) {
        char *text = NULL;
        json_t *row = json_object();
        (void)json_object_set_new(row, "hash", json_string(found->hash));
        if (found->listed.url.text[0])
            (void)json_object_set_new(row, "url", json_string(found->listed.url.text));
        (void)json_object_update(row, found->entry);
        (void)json_object_set_new(row, "users", json_integer(found->n_users));
        text = json_dumps(row, JSON_COMPACT);
        if (text)
            nm_json_safe(text, strlen(text), &out);
        nm_buf_addc(&out, '\n');
        free(text);
        json_decref(row);
    } else {
        add_row(list, found);
        return NM_OK;
    }
    if (status == NM_OK)
        status =
            nm_buf_ok(&out) ? nm_tool_write(nm_buf_str(&out), out.len, err) : nm_fail(err, NM_FATAL, "out of memory");
    nm_buf_clear(&out);
    return status;
}

static enum nm_status print_chunk(struct list *list, struct found *found, size_t n, struct nm_error *err)
{
    enum nm_status status = n ? read_users(list, found, n, err) : NM_OK;
    for (size_t i = 0; i < n; i++) {
        bool here =
            !list->host[0] || (found[i].listed.url.text[0] && strcmp(found[i].listed.url.host, list->host) == 0);
        if (status == NM_OK && here && list->left > 0) {
            status = print_row(list, &found[i], err);
            list->left--;
        }
    }
    return status;
}

/* The entries of one page that are wanted, into list->found. */
static enum nm_status read_page(struct list *list, size_t *n, struct nm_error *err)
{
    struct nm_images *images = list->images;
    nm_pipe_reset(&images->pipe);
    for (size_t i = 0; i < list->n; i++)
        nm_images_ask_entry(images, list->hash[i]);
    enum nm_status status = list->n ? nm_images_exec(images, err) : NM_OK;
    *n = 0;
    for (size_t i = 0; status == NM_OK && i < list->n; i++) {
        const struct nm_reply *fields = nm_pipe_reply(&images->pipe, i);
        list->n_seen++;
        if (!is_wanted(list, fields))
            continue;
        struct found *found = &list->found[(*n)++];
        *found = (struct found){.hash = list->hash[i], .entry = nm_images_entry_json(fields)};
        if (!found->entry)
            status = nm_fail(err, NM_FATAL, "out of memory");
    }
    return status;
}

/* Few articles at once: the images of one may be large. */
static enum nm_status show_page(struct list *list, struct nm_error *err)
{
    size_t n = 0;
    enum nm_status status = read_page(list, &n, err);
    for (size_t from = 0; status == NM_OK && from < n && list->left > 0; from += CHUNK)
        status = print_chunk(list, list->found + from, n - from < CHUNK ? n - from : CHUNK, err);
    for (size_t i = 0; i < n; i++)
        json_decref(list->found[i].entry);
    return status;
}

static void tell(struct list *list)
{
    if (nm_boottime_ms() - list->told_ms < TELL_MS)
        return;
    (void)fprintf(stderr, "newsmill: %zu URLs so far\n", list->n_seen);
    list->told_ms = nm_boottime_ms();
}

static enum nm_status print_table(struct list *list, struct nm_error *err)
{
    struct nm_buf out = {0};
    enum nm_status status = nm_table_print(&list->table, nm_tool_columns(), &out, err);
    if (status == NM_OK)
        status = nm_tool_write(nm_buf_str(&out), out.len, err);
    nm_buf_clear(&out);
    return status;
}

static enum nm_status read_args(struct list *list, const struct nm_args *args, struct nm_error *err)
{
    const char *host = nm_flag_text(args, "--host");
    struct nm_error why = {0};
    list->state = nm_flag_text(args, "--state");
    list->reason = nm_flag_text(args, "--reason");
    list->left = nm_flag_number(args, "--limit");
    list->told_ms = nm_boottime_ms();
    if (list->left > MOST_ROWS && !list->images->json)
        return nm_fail(err, NM_CONFIG, "--limit: a table has at most %d rows; --json has no such limit", MOST_ROWS);
    if (list->reason && im_reason_find(list->reason, strlen(list->reason)) == IM_NONE)
        return nm_fail(err, NM_CONFIG, "--reason: '%.60s' is no reason; the README of images lists them", list->reason);
    if (host && nm_host_canonical(host, strlen(host), list->host, &why) != NM_OK)
        return nm_fail(err, NM_CONFIG, "--host: %.150s", why.msg);
    return NM_OK;
}

enum nm_status nm_images_ls(struct nm_images *images, struct nm_error *err)
{
    struct list list = {.images = images};
    char cursor[24] = "0", prefix[256];
    nm_table_init(&list.table, columns);
    enum nm_status status = read_args(&list, images->args, err);
    if (status == NM_OK)
        status = nm_images_open(images, NM_IMAGES_REDIS, err);
    nm_images_key(images, "", "", prefix);
    list.prefix_len = strlen(prefix) - 1;
    while (status == NM_OK) {
        status = scan_page(&list, cursor, err);
        if (status == NM_OK)
            status = show_page(&list, err);
        tell(&list);
        if (strcmp(cursor, "0") == 0 || list.left == 0 || nm_tool_stopped() || nm_tool_reader_gone())
            break;
    }
    if (status == NM_OK && !images->json)
        status = print_table(&list, err);
    if (status == NM_OK && list.n_seen == 0)
        (void)fprintf(stderr, "newsmill: namespace %s knows no images\n", images->settings.ns);
    nm_table_clear(&list.table);
    free(list.hash);
    free(list.found);
    return status;
}
