/* store_s3.c - a store on an S3-compatible server; see store.h.
 *
 * A PUT is atomic and durable once it is answered 200; one that is cut leaves nothing. So there is no temporary name,
 * no rename and no sync. A name is asked for before it is put, which saves the upload of what exists; "If-None-Match:
 * *" goes along for the rest of the race, but servers ignore it. That is harmless: a name means one content. A PUT that
 * failed on the way may have been obeyed. It is looked for and, where it is not there, sent again, once: the same key,
 * the same bytes. */
#include "store_s3.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 2, TIMEOUT_MIN_MS = 100, TIMEOUT_MAX_MS = 600000 };

struct s3_store {
    struct im_store store; /* first */
    struct im_s3 s3;
    struct im_s3_answer answer; /* its body's memory is used again */
    bool plain_put;             /* the server knows no conditional PUT */
    bool curl_ready;
};

static struct s3_store *s3_of(struct im_store *store)
{
    return (struct s3_store *)store;
}

/* ---- calls */

static enum im_reason s3_stat(struct im_store *store, const char *name, struct im_stat *out, struct nm_error *err)
{
    struct s3_store *s3 = s3_of(store);
    struct im_s3_request request = {.method = IM_S3_HEAD, .key = name, .sink_fd = -1};
    bool cut = false;
    enum im_reason reason = im_s3_perform(&s3->s3, &request, &s3->answer, &cut, err);
    if (reason != IM_NONE)
        return reason;
    if (s3->answer.status == 404) {
        *out = (struct im_stat){0};
        return IM_NONE;
    }
    if (s3->answer.status != 200)
        return im_s3_refused(&s3->answer, "look at", name, err);
    if (s3->answer.bytes < 0)
        return im_store_fail(err, IM_store_io, "the S3 server does not say how long %s is", name);
    *out = (struct im_stat){.exists = true, .bytes = s3->answer.bytes, .changed_s = s3->answer.changed_s};
    return IM_NONE;
}

/* One PUT. *cut: it may have been obeyed although it failed. */
static enum im_reason put_once(struct s3_store *s3, const struct im_s3_request *request, bool *stored, bool *cut,
                               struct nm_error *err)
{
    struct im_s3_request now = *request;
    now.if_absent = request->if_absent && !s3->plain_put;
    enum im_reason reason = im_s3_perform(&s3->s3, &now, &s3->answer, cut, err);
    if (reason != IM_NONE)
        return reason;
    long status = s3->answer.status;
    if (status == 200 || (status == 412 && now.if_absent)) {
        *stored = status == 200;
        return IM_NONE;
    }
    if (status == 501 && now.if_absent) {
        s3->plain_put = true;
        return put_once(s3, request, stored, cut, err);
    }
    *cut = status >= 500 || status == 408 || status == 409 || status == 429; /* another PUT under way, or busy */
    return im_s3_refused(&s3->answer, "store", request->key, err);
}

static enum im_reason s3_put(struct im_store *store, const char *name, const struct im_content *content, bool replace,
                             bool *stored, struct nm_error *err)
{
    struct s3_store *s3 = s3_of(store);
    struct im_name parts;
    bool good = im_name_read(name, strlen(name), &parts), done = false;
    assert(good);
    (void)good;
    struct im_s3_request request = {.method = IM_S3_PUT,
                                    .key = name,
                                    .content = content,
                                    .media_type = im_type_name(parts.type),
                                    .if_absent = !replace,
                                    .sink_fd = -1};
    enum im_reason reason = IM_NONE;
    for (int i = 0; i < TRIES; i++) {
        struct im_stat there = {0};
        bool cut = false;
        reason = replace ? IM_NONE : s3_stat(store, name, &there, err);
        if (reason == IM_NONE && there.exists) {
            *stored = i > 0 && there.bytes == content->bytes; /* by the PUT that we heard no more of */
            return IM_NONE;
        }
        if (reason == IM_NONE)
            reason = put_once(s3, &request, &done, &cut, err);
        if (reason == IM_NONE)
            *stored = done;
        if (reason == IM_NONE || !cut)
            return reason;
    }
    return reason;
}

/* The whole object comes into a temporary file first, so that its reader meets no network. */
static enum im_reason s3_open(struct im_store *store, const char *name, int *out_fd, struct im_stat *out,
                              struct nm_error *err)
{
    struct s3_store *s3 = s3_of(store);
    struct im_temp temp;
    bool cut = false;
    enum im_reason reason = im_temp_new(store->temps, &temp, err);
    if (reason != IM_NONE)
        return reason;
    struct im_s3_request request = {.method = IM_S3_GET, .key = name, .sink_fd = temp.fd};
    reason = im_s3_perform(&s3->s3, &request, &s3->answer, &cut, err);
    const struct im_s3_answer *answer = &s3->answer;
    bool missing = answer->status == 404 && strcmp(answer->code, "NoSuchBucket") != 0;
    if (reason == IM_NONE && answer->status != 200 && !missing)
        reason = im_s3_refused(answer, "give", name, err);
    if (reason == IM_NONE && !missing && answer->bytes >= 0 && answer->bytes != answer->n_sunk)
        reason = im_store_fail(err, IM_store_io, "the S3 server gave a part of %s", name);
    int fd = -1;
    if (reason == IM_NONE && !missing && (fd = dup(temp.fd)) < 0)
        reason = im_store_fail(err, IM_store_io, "no file descriptor is left for %s", name);
    im_temp_close(&temp);
    if (reason != IM_NONE)
        return reason;
    *out_fd = fd;
    *out = missing ? (struct im_stat){0}
                   : (struct im_stat){.exists = true, .bytes = answer->n_sunk, .changed_s = answer->changed_s};
    return IM_NONE;
}

static enum im_reason s3_remove(struct im_store *store, const char *name, struct nm_error *err)
{
    struct s3_store *s3 = s3_of(store);
    struct im_s3_request request = {.method = IM_S3_DELETE, .key = name, .sink_fd = -1};
    bool cut = false;
    enum im_reason reason = im_s3_perform(&s3->s3, &request, &s3->answer, &cut, err);
    if (reason != IM_NONE)
        return reason;
    long status = s3->answer.status;
    bool gone = status == 204 || status == 200 || (status == 404 && strcmp(s3->answer.code, "NoSuchBucket") != 0);
    return gone ? IM_NONE : im_s3_refused(&s3->answer, "remove", name, err);
}

/* Everything but what RFC 3986 calls unreserved, as the signature demands it. */
static void add_encoded(struct nm_buf *out, const char *text)
{
    for (; *text; text++)
        if ((*text >= '0' && *text <= '9') || (*text >= 'A' && *text <= 'Z') || (*text >= 'a' && *text <= 'z') ||
            strchr("-._~", *text))
            nm_buf_addc(out, *text);
        else
            nm_buf_addf(out, "%%%02X", (unsigned)(unsigned char)*text);
}

/* Names of the query in order: it is signed as it is written. */
static enum im_reason list_once(struct s3_store *s3, const char *area, size_t max, const char *cursor,
                                struct nm_error *err)
{
    struct nm_buf query = {0};
    bool cut = false;
    nm_buf_addf(&query, "list-type=2&max-keys=%zu&prefix=", max);
    add_encoded(&query, s3->s3.prefix);
    add_encoded(&query, area);
    if (cursor[0]) {
        nm_buf_adds(&query, "&start-after=");
        add_encoded(&query, s3->s3.prefix);
        add_encoded(&query, cursor);
    }
    struct im_s3_request request = {.method = IM_S3_GET, .query = nm_buf_str(&query), .sink_fd = -1};
    enum im_reason reason = nm_buf_ok(&query) ? im_s3_perform(&s3->s3, &request, &s3->answer, &cut, err)
                                              : im_store_fail(err, IM_store_io, "out of memory for a list");
    nm_buf_clear(&query);
    return reason;
}

static enum im_reason s3_list(struct im_store *store, enum im_area area, struct im_page *page, struct nm_error *err)
{
    struct s3_store *s3 = s3_of(store);
    char top[] = {(char)area, '/', '\0'};
    struct nm_error why = {0};
    enum im_reason reason = list_once(s3, top, page->max, page->cursor, err);
    if (reason != IM_NONE)
        return reason;
    if (s3->answer.status != 200)
        return im_s3_refused(&s3->answer, "list", top, err);
    if (im_s3_list_read(s3->answer.body.data, s3->answer.body.len, s3->s3.prefix, page, &why) != NM_OK)
        return im_store_fail(err, IM_store_io, "the S3 server's list of %s: %s", top, why.msg);
    return IM_NONE;
}

static enum im_reason s3_space(struct im_store *store, struct im_space *out, struct nm_error *err)
{
    (void)store;
    (void)err;
    *out = (struct im_space){.known = false};
    return IM_NONE;
}

static void s3_close(struct im_store *store)
{
    struct s3_store *s3 = s3_of(store);
    curl_easy_cleanup(s3->s3.curl);
    if (s3->curl_ready)
        curl_global_cleanup();
    nm_buf_clear(&s3->answer.body);
    explicit_bzero(s3->s3.access, sizeof s3->s3.access);
    explicit_bzero(s3->s3.secret, sizeof s3->s3.secret);
    free(s3);
}

static const struct im_store_ops s3_ops = {s3_put, s3_open, s3_stat, s3_remove, s3_list, s3_space, s3_close};

/* ---- opening */

static bool consists_of(const char *text, const char *others, size_t min, size_t max)
{
    size_t len = strlen(text);
    if (len < min || len > max)
        return false;
    for (; *text; text++)
        if (!((*text >= 'a' && *text <= 'z') || (*text >= '0' && *text <= '9') || strchr(others, *text)))
            return false;
    return true;
}

/* No empty, "." or ".." between slashes: servers and proxies resolve them, and then the signature is wrong. */
static bool is_prefix(const char *text)
{
    for (const char *part = text; *part;) {
        size_t len = strcspn(part, "/");
        if (len == 0 || (len <= 2 && strspn(part, ".") >= len))
            return false;
        part += len;
        part += *part == '/' ? 1 : 0;
    }
    return true;
}

static bool part_is(CURLU *url, CURLUPart part, const char *a, const char *b)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, 0);
    bool is = code == CURLUE_OK ? (a && strcmp(text, a) == 0) || (b && strcmp(text, b) == 0) : a == NULL;
    curl_free(text);
    return is;
}

/* "scheme://host[:port]" and perhaps a last slash, by the only URL parser that the requests will meet. */
static bool is_endpoint(const char *text)
{
    CURLU *url = curl_url();
    bool good = url && strlen(text) <= 400 &&
                curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) == CURLUE_OK &&
                part_is(url, CURLUPART_SCHEME, "https", "http") && part_is(url, CURLUPART_PATH, "/", NULL) &&
                part_is(url, CURLUPART_QUERY, NULL, NULL) && part_is(url, CURLUPART_FRAGMENT, NULL, NULL);
    curl_url_cleanup(url);
    return good;
}

static enum nm_status take_options(struct im_s3 *s3, const struct im_s3_options *options, struct nm_error *err)
{
    size_t len = strlen(options->endpoint), prefix_len = strlen(options->prefix);
    if (!is_endpoint(options->endpoint))
        return nm_fail(err, NM_CONFIG, "images.store.s3.endpoint must be https://host[:port] or http://host[:port]");
    if (!consists_of(options->region, "-", 1, 32))
        return nm_fail(err, NM_CONFIG, "images.store.s3.region must be 1 to 32 of a-z, 0-9 and -");
    if (!consists_of(options->bucket, ".-", 3, 63) || options->bucket[0] == '.' || options->bucket[0] == '-')
        return nm_fail(err, NM_CONFIG, "images.store.s3.bucket must be 3 to 63 of a-z, 0-9, . and -");
    if (!consists_of(options->prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZ._/-", 0, 128) || !is_prefix(options->prefix))
        return nm_fail(err, NM_CONFIG,
                       "images.store.s3.prefix must be at most 128 of A-Z, a-z, 0-9, . _ - and single slashes");
    if (options->timeout_ms < TIMEOUT_MIN_MS || options->timeout_ms > TIMEOUT_MAX_MS)
        return nm_fail(err, NM_CONFIG, "images.store.s3.timeoutMs must be %d to %d", TIMEOUT_MIN_MS, TIMEOUT_MAX_MS);
    bool slash = len > 0 && options->endpoint[len - 1] == '/';
    (void)snprintf(s3->base, sizeof s3->base, "%s%s%s/", options->endpoint, slash ? "" : "/", options->bucket);
    bool ends = prefix_len > 0 && options->prefix[prefix_len - 1] == '/';
    (void)snprintf(s3->prefix, sizeof s3->prefix, "%s%s", options->prefix, prefix_len == 0 || ends ? "" : "/");
    (void)snprintf(s3->signer, sizeof s3->signer, "aws:amz:%s:s3", options->region);
    s3->timeout_ms = options->timeout_ms;
    enum nm_status status = im_s3_secret_read(options->access_key_file, s3->access, err);
    return status == NM_OK ? im_s3_secret_read(options->secret_key_file, s3->secret, err) : status;
}

/* Is the bucket there, and do the keys open it? */
static enum nm_status try_bucket(struct s3_store *s3, struct nm_error *err)
{
    struct im_entry entry;
    struct im_page page = {.entry = &entry, .max = 1};
    struct nm_error why = {0};
    s3->answer.status = 0;
    if (s3_list(&s3->store, IM_OBJECTS, &page, &why) == IM_NONE)
        return NM_OK;
    long status = s3->answer.status;
    bool passes = status == 0 || status == 408 || status == 429 || status >= 500;
    return nm_fail(err, passes ? NM_RETRY : NM_CONFIG, "%s", why.msg);
}

static enum nm_status open_parts(struct s3_store *s3, const struct im_s3_options *options, struct nm_error *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return nm_fail(err, NM_FATAL, "libcurl does not start");
    s3->curl_ready = true;
    s3->s3.curl = curl_easy_init();
    s3->store.checked = im_checked_new();
    if (!s3->s3.curl || !s3->store.checked)
        return nm_fail(err, NM_FATAL, "out of memory for the store");
    enum nm_status status = take_options(&s3->s3, options, err);
    if (status == NM_OK)
        status = im_temps_open(options->temp_path, &s3->store.temps, err);
    return status == NM_OK ? try_bucket(s3, err) : status;
}

enum nm_status im_store_s3_open(const struct im_s3_options *options, struct im_store **out, struct nm_error *err)
{
    struct s3_store *s3 = calloc(1, sizeof *s3);
    if (!s3)
        return nm_fail(err, NM_FATAL, "out of memory for the store");
    s3->store.ops = &s3_ops;
    enum nm_status status = open_parts(s3, options, err);
    if (status != NM_OK) {
        im_store_close(&s3->store);
        return status;
    }
    *out = &s3->store;
    return NM_OK;
}
