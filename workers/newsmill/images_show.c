/* images_show.c - `newsmill images show`: all that Redis knows of one URL, one object or one article's images.
 *
 * What was given decides what is looked for: 64 hex digits are the hash of a URL or of an object, 32 an article's id, a
 * URL is an image's, or else an article's. Nothing is written. */
#include "images.h"

#include "plain.h"

#include <inttypes.h>
#include <string.h>

enum { USERS = 100, URLS = 100 };

/* ---- parts of the document ---- */

/* At most `most` members of a set, with how many there are. */
static enum nm_status ask_members(struct nm_images *images, const char *kind, const char *name, int most, int64_t *n,
                                  struct nm_error *err)
{
    char key[256], number[12];
    nm_images_key(images, kind, name, key);
    (void)snprintf(number, sizeof number, "%d", most);
    nm_pipe_reset(&images->pipe);
    NM_IMAGES_ADD(images, "SCARD", key);
    NM_IMAGES_ADD(images, "SRANDMEMBER", key, number);
    enum nm_status status = nm_images_exec(images, err);
    if (status == NM_OK)
        *n = nm_reply_int(nm_pipe_reply(&images->pipe, 0), 0);
    return status;
}

static enum nm_status add_users(struct nm_images *images, const char *hash, json_t *out, char first[NM_ID_BYTES],
                                struct nm_error *err)
{
    int64_t n = 0;
    char id[NM_ID_BYTES];
    json_t *ids = json_array();
    enum nm_status status = ask_members(images, "users:", hash, USERS, &n, err);
    first[0] = '\0';
    if (status == NM_OK) {
        const struct nm_reply *members = nm_pipe_reply(&images->pipe, 1);
        for (size_t i = 0; members->type == NM_REPLY_ARRAY && i < members->len && i < USERS; i++) {
            if (!nm_images_member_id(nm_reply_at(members, i), id))
                continue;
            (void)json_array_append_new(ids, json_string(id));
            if (!first[0])
                memcpy(first, id, sizeof id);
        }
        (void)json_object_set_new(out, "users", json_integer(n));
    }
    (void)json_object_set_new(out, "articles", ids);
    return status;
}

static enum nm_status add_url_text(struct nm_images *images, const char *id, const char *hash, json_t *out,
                                   struct nm_error *err)
{
    struct nm_images_listed *listed = malloc(sizeof *listed);
    if (!listed)
        return nm_fail(err, NM_FATAL, "out of memory");
    nm_pipe_reset(&images->pipe);
    nm_images_ask_article(images, id);
    enum nm_status status = nm_images_exec(images, err);
    if (status == NM_OK) {
        nm_images_url_of(nm_pipe_reply(&images->pipe, 0), hash, listed);
        if (listed->url.text[0])
            (void)json_object_set_new(out, "url", json_string(listed->url.text));
    }
    free(listed);
    return status;
}

/* The object with the URLs that show it; *known false: there is none. */
static enum nm_status add_object(struct nm_images *images, const char *sha256, json_t *document, bool *known,
                                 struct nm_error *err)
{
    int64_t n = 0;
    nm_pipe_reset(&images->pipe);
    nm_images_ask_object(images, sha256);
    enum nm_status status = nm_images_exec(images, err);
    if (status != NM_OK)
        return status;
    *known = nm_images_is_known(nm_pipe_reply(&images->pipe, 0));
    json_t *object = *known ? nm_images_object_json(nm_pipe_reply(&images->pipe, 0)) : NULL;
    if (!object)
        return NM_OK;
    (void)json_object_set_new(object, "sha256", json_string(sha256));
    (void)json_object_set_new(document, "object", object);
    json_t *urls = json_array();
    status = ask_members(images, "urls:", sha256, URLS, &n, err);
    const struct nm_reply *members = status == NM_OK ? nm_pipe_reply(&images->pipe, 1) : NULL;
    for (size_t i = 0; members && members->type == NM_REPLY_ARRAY && i < members->len && i < URLS; i++)
        if (nm_reply_at(members, i)->type == NM_REPLY_STR && nm_images_is_hash(nm_reply_at(members, i)->str))
            (void)json_array_append_new(urls, json_string(nm_reply_at(members, i)->str));
    (void)json_object_set_new(object, "urls", json_integer(n));
    (void)json_object_set_new(object, "urlHashes", urls);
    return status;
}

static enum nm_status add_lease(struct nm_images *images, const char *hash, json_t *out, struct nm_error *err)
{
    char key[256];
    nm_images_key(images, "lease:", hash, key);
    nm_pipe_reset(&images->pipe);
    NM_IMAGES_ADD(images, "PTTL", key);
    enum nm_status status = nm_images_exec(images, err);
    int64_t left = status == NM_OK ? nm_reply_int(nm_pipe_reply(&images->pipe, 0), -1) : -1;
    if (left >= 0)
        (void)json_object_set_new(out, "leaseMs", json_integer(left));
    return status;
}

static enum nm_status show_url(struct nm_images *images, const char *hash, const char *text, json_t *document,
                               bool *known, struct nm_error *err)
{
    char first[NM_ID_BYTES], sha256[IM_SHA_BYTES] = "";
    bool there;
    nm_pipe_reset(&images->pipe);
    nm_images_ask_entry(images, hash);
    enum nm_status status = nm_images_exec(images, err);
    if (status != NM_OK)
        return status;
    *known = nm_images_is_known(nm_pipe_reply(&images->pipe, 0));
    if (!*known)
        return NM_OK;
    json_t *url = json_object(), *entry = nm_images_entry_json(nm_pipe_reply(&images->pipe, 0));
    (void)json_object_set_new(url, "hash", json_string(hash));
    if (text)
        (void)json_object_set_new(url, "url", json_string(text));
    (void)json_object_update(url, entry);
    const char *sha = json_string_value(json_object_get(entry, "sha256"));
    if (sha && nm_images_is_hash(sha))
        memcpy(sha256, sha, IM_SHA_BYTES);
    json_decref(entry);
    (void)json_object_set_new(document, "url", url);
    status = add_lease(images, hash, url, err);
    if (status == NM_OK)
        status = add_users(images, hash, url, first, err);
    if (status == NM_OK && !text)
        status = add_url_text(images, first, hash, url, err);
    if (status == NM_OK && sha256[0])
        status = add_object(images, sha256, document, &there, err);
    return status;
}

/* ---- an article ---- */

static json_t *listed_json(const struct nm_images_listed *listed, const struct nm_reply *fields)
{
    json_t *out = json_object(), *entry = NULL;
    if (listed->reason != IM_NONE) { /* it is asked for nowhere, so there is no entry */
        (void)json_object_set_new(out, "url", json_string(listed->shown));
        (void)json_object_set_new(out, "state", json_string("failed"));
        (void)json_object_set_new(out, "reason", json_string(im_reason_name(listed->reason)));
        return out;
    }
    if (listed->url.text[0])
        (void)json_object_set_new(out, "url", json_string(listed->url.text));
    entry = nm_images_entry_json(fields);
    (void)json_object_set_new(out, "hash", json_string(listed->hash));
    (void)json_object_update(out, entry);
    json_decref(entry);
    return out;
}

static enum nm_status show_article(struct nm_images *images, const char *id, json_t *document, bool *known,
                                   struct nm_error *err)
{
    struct nm_images_listed *listed = calloc(IM_MAX_IMAGES, sizeof *listed);
    size_t n = 0;
    if (!listed)
        return nm_fail(err, NM_FATAL, "out of memory");
    nm_pipe_reset(&images->pipe);
    nm_images_ask_article(images, id);
    enum nm_status status = nm_images_exec(images, err);
    if (status == NM_OK) {
        const struct nm_reply *fields = nm_pipe_reply(&images->pipe, 0);
        *known = nm_images_is_known(fields);
        while (n < IM_MAX_IMAGES && nm_images_listed(fields, n, &listed[n]))
            n++;
        if (*known) {
            (void)json_object_set_new(document, "article", json_string(id));
            if (nm_reply_at(fields, 1)->type == NM_REPLY_STR)
                (void)json_object_set_new(document, "retracted", json_true());
        }
    }
    nm_pipe_reset(&images->pipe);
    for (size_t i = 0; i < n; i++)
        nm_images_ask_entry(images, listed[i].hash);
    if (status == NM_OK && n)
        status = nm_images_exec(images, err);
    json_t *all = status == NM_OK && *known ? json_array() : NULL;
    for (size_t i = 0; all && i < n; i++)
        (void)json_array_append_new(all, listed_json(&listed[i], nm_pipe_reply(&images->pipe, i)));
    if (all)
        (void)json_object_set_new(document, "images", all);
    free(listed);
    return status;
}

/* ---- text ---- */

static void print_object(const json_t *object, int indent, struct nm_buf *out);

static void print_value(const char *name, const json_t *value, int indent, struct nm_buf *out)
{
    const char *text = json_string_value(value);
    nm_buf_addf(out, "%*s%-14s", indent, "", name);
    if (text)
        (void)nm_plain_line(text, strlen(text), 300, out);
    else if (json_is_integer(value))
        nm_buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        nm_buf_adds(out, json_is_true(value) ? "yes" : "no");
    nm_buf_addc(out, '\n');
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the documents of this file, four */
static void print_list(const char *name, const json_t *list, int indent, struct nm_buf *out)
{
    size_t i;
    json_t *value;
    nm_buf_addf(out, "%*s%s\n", indent, "", name);
    json_array_foreach(list, i, value)
    {
        if (json_is_object(value)) {
            nm_buf_addf(out, "%*s%zu\n", indent + 2, "", i + 1);
            print_object(value, indent + 4, out);
        } else {
            print_value("", value, indent + 2 - 14 < 0 ? 0 : indent + 2 - 14, out);
        }
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): likewise */
static void print_object(const json_t *object, int indent, struct nm_buf *out)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (json_is_object(value)) {
            nm_buf_addf(out, "%*s%s\n", indent, "", name);
            print_object(value, indent + 2, out);
        } else if (json_is_array(value)) {
            if (json_array_size(value))
                print_list(name, value, indent, out);
        } else {
            print_value(name, value, indent, out);
        }
    }
}

enum nm_status nm_images_print(struct nm_images *images, json_t *document, struct nm_error *err)
{
    struct nm_buf out = {0};
    if (images->json) {
        char *text = json_dumps(document, JSON_INDENT(2));
        if (text)
            nm_json_safe(text, strlen(text), &out);
        nm_buf_addc(&out, '\n');
        free(text);
    } else {
        print_object(document, 0, &out);
    }
    enum nm_status status =
        nm_buf_ok(&out) ? nm_tool_write(nm_buf_str(&out), out.len, err) : nm_fail(err, NM_FATAL, "out of memory");
    nm_buf_clear(&out);
    json_decref(document);
    return status;
}

/* ---- which it is ---- */

static enum nm_status show_hash(struct nm_images *images, const char *hash, json_t *document, bool *known,
                                struct nm_error *err)
{
    bool object = false;
    enum nm_status status = show_url(images, hash, NULL, document, known, err);
    if (status == NM_OK && !*known)
        status = add_object(images, hash, document, &object, err);
    *known = *known || object;
    return status;
}

static enum nm_status show_text(struct nm_images *images, const char *text, json_t *document, bool *known,
                                struct nm_error *err)
{
    struct im_url *url = malloc(sizeof *url);
    char id[NM_ID_BYTES];
    if (!url)
        return nm_fail(err, NM_FATAL, "out of memory");
    enum nm_status status = NM_OK;
    if (im_url_read(text, strlen(text), NM_FETCH_MAX_BYTES, url) == IM_NONE)
        status = show_url(images, url->hash, url->text, document, known, err);
    if (status == NM_OK && !*known)
        status = nm_tool_id(text, id, err);
    if (status == NM_OK && !*known)
        status = show_article(images, id, document, known, err);
    free(url);
    return status;
}

enum nm_status nm_images_show(struct nm_images *images, struct nm_error *err)
{
    const char *text = images->args->operand[0];
    bool known = false;
    json_t *document = json_object();
    enum nm_status status = nm_images_open(images, NM_IMAGES_REDIS, err);
    if (status == NM_OK && nm_images_is_hash(text))
        status = show_hash(images, text, document, &known, err);
    else if (status == NM_OK)
        status = show_text(images, text, document, &known, err);
    if (status == NM_OK && known)
        return nm_images_print(images, document, err);
    json_decref(document);
    if (status == NM_OK) {
        (void)fprintf(stderr, "newsmill: nothing is known of this image; `newsmill images ls` lists the URLs\n");
        images->tool->exit_code = NM_EXIT_NOT_REACHED;
    }
    return status;
}
