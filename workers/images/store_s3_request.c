/* store_s3_request.c - one signed request to an S3 server, by libcurl; see store_s3.h.
 *
 * libcurl signs (CURLOPT_AWS_SIGV4). As tried with 7.88: it signs our own x-amz-content-sha256 and needs it for the
 * server to agree on the body; it signs the query as it is written. The hash of the body goes along, so the server
 * refuses what was damaged on the way. The connection is kept between requests. No proxy of the environment, no
 * redirect (it would take the signed request elsewhere), no scheme but http and https.
 *
 * Names consist of characters that need no encoding in a path; the bucket and the prefix are checked at the start. */
#include "store_s3.h"

#include "newsmill/digest.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 5000, HEADER_BYTES = 512 };

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" /* of no bytes */

struct transfer {
    const struct im_s3_request *request;
    struct im_s3_answer *answer;
    CURL *curl;
    int64_t sent;   /* of the content */
    int write_code; /* errno of the temporary file */
    int read_code;
    bool too_long;
};

static size_t on_read(char *data, size_t size, size_t n, void *self)
{
    struct transfer *transfer = self;
    const struct im_content *content = transfer->request->content;
    size_t room = size * n;
    if ((int64_t)room > content->bytes - transfer->sent)
        room = (size_t)(content->bytes - transfer->sent);
    ssize_t got = room == 0 ? 0 : pread(content->fd, data, room, (off_t)transfer->sent);
    if (got < 0 || (got == 0 && room > 0)) { /* also a file that became shorter */
        transfer->read_code = got < 0 ? errno : EIO;
        return CURL_READFUNC_ABORT;
    }
    transfer->sent += got;
    return (size_t)got;
}

/* libcurl sends the body again where a kept connection turned out to be closed. */
static int on_seek(void *self, curl_off_t offset, int origin)
{
    struct transfer *transfer = self;
    if (origin != SEEK_SET || offset < 0 || offset > transfer->request->content->bytes)
        return CURL_SEEKFUNC_FAIL;
    transfer->sent = offset;
    return CURL_SEEKFUNC_OK;
}

static size_t sink(struct transfer *transfer, const char *data, size_t len)
{
    struct im_s3_answer *answer = transfer->answer;
    if (answer->n_sunk + (int64_t)len > IM_OBJECT_BYTES) {
        transfer->too_long = true;
        return 0;
    }
    for (size_t done = 0; done < len;) {
        ssize_t n =
            pwrite(transfer->request->sink_fd, data + done, len - done, (off_t)(answer->n_sunk + (int64_t)done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            transfer->write_code = n < 0 ? errno : ENOSPC;
            return 0;
        }
        done += (size_t)n;
    }
    answer->n_sunk += (int64_t)len;
    return len;
}

static size_t on_write(char *data, size_t size, size_t n, void *self)
{
    struct transfer *transfer = self;
    size_t len = size * n;
    long status = 0;
    (void)curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->request->sink_fd >= 0 && status == 200)
        return sink(transfer, data, len);
    struct nm_buf *body = &transfer->answer->body;
    if (body->len + len > IM_S3_XML_BYTES) {
        transfer->too_long = true;
        return 0;
    }
    nm_buf_add(body, data, len);
    return nm_buf_ok(body) ? len : 0;
}

static bool add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    if (longer)
        *list = longer;
    return longer != NULL;
}

/* "Expect:" takes that header out: asking first costs a round trip, and a second where a server does not know it. */
static bool add_headers(const struct im_s3_request *request, struct curl_slist **list)
{
    char hash[sizeof "x-amz-content-sha256: " + IM_HEX_BYTES], hex[IM_HEX_BYTES] = EMPTY_SHA256, type[HEADER_BYTES];
    if (request->content)
        nm_hex_write(request->content->sha256, IM_SHA256_BYTES, hex);
    (void)snprintf(hash, sizeof hash, "x-amz-content-sha256: %s", hex);
    if (!add_header(list, hash))
        return false;
    if (request->method != IM_S3_PUT)
        return true;
    (void)snprintf(type, sizeof type, "Content-Type: %s", request->media_type);
    return add_header(list, type) && add_header(list, "Cache-Control: public, max-age=31536000, immutable") &&
           add_header(list, "Expect:") && (!request->if_absent || add_header(list, "If-None-Match: *"));
}

/* True when every option was taken. */
static bool set_common(struct im_s3 *s3, struct transfer *transfer, const char *url, struct curl_slist *headers)
{
    CURL *curl = s3->curl;
    long connect_ms = s3->timeout_ms < CONNECT_MS ? s3->timeout_ms : CONNECT_MS;
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)s3->timeout_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, s3->signer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERNAME, s3->access) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PASSWORD, s3->secret) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "newsmill/" NM_VERSION) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FILETIME, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_write) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer) == CURLE_OK;
}

static bool set_method(CURL *curl, struct transfer *transfer)
{
    switch (transfer->request->method) {
    case IM_S3_GET:
        return curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    case IM_S3_HEAD:
        return curl_easy_setopt(curl, CURLOPT_NOBODY, 1L) == CURLE_OK;
    case IM_S3_DELETE:
        return curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "DELETE") == CURLE_OK;
    case IM_S3_PUT:
        break;
    }
    return curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->request->content->bytes) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_READDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SEEKDATA, transfer) == CURLE_OK;
}

static void read_facts(CURL *curl, struct im_s3_answer *answer)
{
    curl_off_t length = -1, changed_s = -1;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    (void)curl_easy_getinfo(curl, CURLINFO_FILETIME_T, &changed_s);
    answer->bytes = length < 0 ? -1 : length;
    answer->changed_s = changed_s < 0 ? 0 : changed_s;
    if (answer->status >= 300 && answer->body.len > 0)
        im_s3_error_code(answer->body.data, answer->body.len, answer->code);
}

static enum im_reason failed(const struct transfer *transfer, CURLcode code, const char *base, bool *cut,
                             struct nm_error *err)
{
    if (transfer->write_code)
        return im_store_errno(err, transfer->write_code, "write", "a temporary file");
    if (transfer->read_code)
        return im_store_errno(err, transfer->read_code, "read", "a temporary file");
    if (transfer->too_long)
        return im_store_fail(err, IM_store_io, "%s answers with more than can be", base);
    *cut = code != CURLE_OUT_OF_MEMORY;
    return im_store_fail(err, IM_store_io, "%s: %s", base, curl_easy_strerror(code));
}

enum im_reason im_s3_perform(struct im_s3 *s3, const struct im_s3_request *request, struct im_s3_answer *answer,
                             bool *cut, struct nm_error *err)
{
    char url[sizeof s3->base + sizeof s3->prefix + IM_NAME_BYTES + 4 * IM_CURSOR_BYTES + 64];
    struct transfer transfer = {.request = request, .answer = answer, .curl = s3->curl};
    struct curl_slist *headers = NULL;
    assert((request->method == IM_S3_PUT) == (request->content != NULL));
    int n = request->key ? snprintf(url, sizeof url, "%s%s%s", s3->base, s3->prefix, request->key)
                         : snprintf(url, sizeof url, "%.*s?%s", (int)strlen(s3->base) - 1, s3->base, request->query);
    assert(n > 0 && (size_t)n < sizeof url);
    (void)n;
    nm_buf_reset(&answer->body);
    answer->n_sunk = 0;
    answer->code[0] = '\0';
    curl_easy_reset(s3->curl); /* keeps the connection */
    enum im_reason reason = IM_NONE;
    if (!add_headers(request, &headers) || !set_common(s3, &transfer, url, headers) ||
        !set_method(s3->curl, &transfer)) {
        reason = im_store_fail(err, IM_store_io, "libcurl does not take an option; it must be 7.85 or newer");
    } else {
        CURLcode code = curl_easy_perform(s3->curl);
        read_facts(s3->curl, answer);
        if (code != CURLE_OK)
            reason = failed(&transfer, code, s3->base, cut, err);
    }
    curl_easy_reset(s3->curl); /* forgets the headers before they are freed */
    curl_slist_free_all(headers);
    return reason;
}

enum im_reason im_s3_refused(const struct im_s3_answer *answer, const char *what, const char *name,
                             struct nm_error *err)
{
    static const char *const full[] = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull",
                                       "XMinioStorageQuotaExceeded", "StorageFull"};
    bool is_full = answer->status == 507;
    for (size_t i = 0; i < sizeof full / sizeof *full; i++)
        is_full = is_full || strcmp(answer->code, full[i]) == 0;
    const char *hint = is_full                                         ? "; make room"
                       : answer->status == 403                         ? "; check the keys, the region and the clock"
                       : answer->status >= 300 && answer->status < 400 ? "; check the endpoint and the region"
                                                                       : "";
    return im_store_fail(err, is_full ? IM_store_full : IM_store_io, "the S3 server refuses to %s %s: HTTP %ld%s%s%s",
                         what, name, answer->status, answer->code[0] ? " " : "", answer->code, hint);
}
