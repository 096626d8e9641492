/* fetch_hop.c - the requests of one transfer: set up, sent one after another, and what their ends mean.
 *
 * libcurl follows no redirect by itself: each hop is a request of its own with what is left of the time, its URL read
 * by our parser and its addresses asked for at our gate. libcurl has timeouts for connecting and for the whole; waiting
 * for the first byte and the speed are measured here, in spans of fixed length, since libcurl's own speed limit is in
 * whole seconds and its average forgets slowly. */
#include "fetch_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT "Accept: image/webp,image/png,image/jpeg,image/gif;q=0.8" /* no AVIF: CDNs would send it */

/* ---- set up ---- */

static bool add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    *list = longer ? longer : *list;
    return longer != NULL;
}

static bool add_validator(struct im_transfer *transfer, const char *name, const char *value)
{
    char line[IM_ETAG_BYTES + 32];
    (void)snprintf(line, sizeof line, "%s: %s", name, value);
    transfer->validated = true;
    return add_line(&transfer->headers, line);
}

static bool make_headers(struct im_transfer *transfer, const struct im_fetch_request *request)
{
    char etag[IM_ETAG_BYTES] = "", date[IM_DATE_BYTES] = "";
    if (request->etag)
        im_header_etag((struct im_value){request->etag, strlen(request->etag)}, etag);
    if (request->last_modified)
        im_header_date((struct im_value){request->last_modified, strlen(request->last_modified)}, date);
    return add_line(&transfer->headers, ACCEPT) && add_line(&transfer->headers, "Accept-Encoding: identity") &&
           (!*etag || add_validator(transfer, "If-None-Match", etag)) &&
           (!*date || add_validator(transfer, "If-Modified-Since", date));
}

/* What holds for all hops. Every answer of libcurl counts: an option that it does not know is a hole in the gate. */
static bool set_up(struct im_transfer *transfer)
{
    const struct im_fetch_config *config = &transfer->fetcher->config;
    CURL *easy = transfer->easy;
    CURLcode bad = CURLE_OK;
#define SET(option, value) bad = bad != CURLE_OK ? bad : curl_easy_setopt(easy, option, value)
    SET(CURLOPT_PRIVATE, transfer);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, ""); /* else http_proxy in the environment leads around the gate */
    SET(CURLOPT_OPENSOCKETFUNCTION, im_on_socket);
    SET(CURLOPT_OPENSOCKETDATA, transfer);
    SET(CURLOPT_CLOSESOCKETFUNCTION, im_on_close);
    SET(CURLOPT_CLOSESOCKETDATA, transfer->fetcher); /* a connection outlives its transfer */
    SET(CURLOPT_PREREQFUNCTION, im_on_request);
    SET(CURLOPT_PREREQDATA, transfer);
    SET(CURLOPT_HEADERFUNCTION, im_on_header);
    SET(CURLOPT_HEADERDATA, transfer);
    SET(CURLOPT_WRITEFUNCTION, im_on_body);
    SET(CURLOPT_WRITEDATA, transfer);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_PATH_AS_IS, 1L); /* image_url.h has resolved the dots */
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_HTTP_VERSION, config->http2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PIPEWAIT, config->http2 ? 1L : 0L); /* one connection a host, not one for each of the first transfers */
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* else the end of a transfer waits for a resolver thread that nobody answers */
    SET(CURLOPT_MAXLIFETIME_CONN, 300L); /* seconds: a host that moves is followed in time */
    SET(CURLOPT_MAXAGE_CONN, 30L);
    SET(CURLOPT_USERAGENT, config->user_agent);
    SET(CURLOPT_HTTPHEADER, transfer->headers);
    SET(CURLOPT_RESOLVE, transfer->fetcher->resolve);
    SET(CURLOPT_CONNECT_TO, transfer->fetcher->connect);
    if (config->ca_file)
        SET(CURLOPT_CAINFO, config->ca_file);
#undef SET
    return bad == CURLE_OK;
}

/* The same URL with the other scheme, which keeps a port only if it was written. */
static bool change_scheme(struct im_url *url, bool https)
{
    char text[NM_FETCH_MAX_BYTES + 16];
    const char *rest = strstr(url->text, "://");
    int n = snprintf(text, sizeof text, "%s%s", https ? "https" : "http", rest ? rest : "");
    return n > 0 && (size_t)n < sizeof text && im_url_read(text, (size_t)n, NM_FETCH_MAX_BYTES, url) == IM_NONE;
}

struct im_transfer *im_transfer_new(struct im_fetcher *fetcher, const struct im_fetch_request *request)
{
    struct im_transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer)
        return NULL;
    transfer->fetcher = fetcher;
    transfer->url = *request->url;
    transfer->result.token = request->token;
    transfer->result.fd = -1;
    transfer->result.hops = request->hops;
    transfer->started_ms = nm_boottime_ms() - request->spent_ms;
    transfer->easy = curl_easy_init();
    if (!transfer->easy || !make_headers(transfer, request) || !set_up(transfer)) {
        im_transfer_free(transfer);
        return NULL;
    }
    if (request->try_https && request->hops == 0 && !transfer->url.https && transfer->url.port == 80)
        transfer->upgraded = change_scheme(&transfer->url, true); /* a URL that grows too long stays http */
    return transfer;
}

void im_transfer_free(struct im_transfer *transfer)
{
    if (!transfer)
        return;
    if (transfer->easy)
        curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    free(transfer->location);
    free(transfer->result.next);
    im_body_drop(transfer);
    if (transfer->result.fd >= 0)
        (void)close(transfer->result.fd);
    free(transfer);
}

/* ---- one hop ---- */

static enum im_reason send_request(struct im_transfer *transfer, bool survey)
{
    const struct im_fetch_limits *limits = transfer->fetcher->config.limits;
    int64_t left_ms = transfer->started_ms + limits->total_ms - nm_boottime_ms();
    if (left_ms <= 0)
        return IM_timeout_total;
    transfer->gate = (struct im_gate){.survey = survey};
    transfer->answer = (struct im_answer){0};
    transfer->reason = IM_NONE;
    transfer->busy = transfer->drained = transfer->flowing = false;
    transfer->sent_ms = transfer->span_bytes = transfer->body_bytes = 0;
    transfer->header_bytes = transfer->body_len = 0;
    transfer->probe_at = IM_SIGNATURE_BYTES;
    transfer->check_at_ms = INT64_MAX;
    CURL *easy = transfer->easy;
    long connect_ms = left_ms < limits->connect_ms ? (long)left_ms : limits->connect_ms;
    if (curl_easy_setopt(easy, CURLOPT_URL, transfer->url.text) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, survey || transfer->fresh ? 1L : 0L) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 0L) != CURLE_OK)
        return IM_store_io; /* out of memory */
    return IM_NONE;
}

enum im_reason im_hop_begin(struct im_transfer *transfer)
{
    return send_request(transfer, transfer->fetcher->config.reject_mixed);
}

enum im_reason im_hop_check(struct im_transfer *transfer, int64_t now_ms)
{
    const struct im_fetch_limits *limits = transfer->fetcher->config.limits;
    if (!transfer->flowing) {
        curl_off_t first_us = 0; /* of raw bytes: a header line that trickles in is not yet a line */
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T, &first_us);
        if (first_us == 0)
            return IM_timeout_first_byte;
        transfer->flowing = true;
        if (transfer->sent_ms + limits->slow_ms > now_ms) { /* the first span began with the request */
            im_transfer_check_at(transfer, transfer->sent_ms + limits->slow_ms);
            return IM_NONE;
        }
    }
    if (transfer->span_bytes * 1000 < (int64_t)limits->slow_bytes * limits->slow_ms)
        return IM_too_slow;
    transfer->span_bytes = 0;
    im_transfer_check_at(transfer, now_ms + limits->slow_ms);
    return IM_NONE;
}

/* ---- its end ---- */

static enum im_reason name_timeout(struct im_transfer *transfer)
{
    curl_off_t name_us = 0;
    if (nm_boottime_ms() >= transfer->started_ms + transfer->fetcher->config.limits->total_ms || transfer->sent_ms != 0)
        return IM_timeout_total;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_NAMELOOKUP_TIME_T, &name_us);
    return name_us == 0 ? IM_dns_fail : IM_timeout_connect;
}

/* What libcurl's own verdict means. */
static enum im_reason name_code(struct im_transfer *transfer, CURLcode code)
{
    switch (code) {
    case CURLE_URL_MALFORMAT:
        return transfer->result.hops > 0 ? IM_redirect_bad : IM_url_invalid;
    case CURLE_LOGIN_DENIED: /* a user name in the URL */
        return IM_url_userinfo;
    case CURLE_COULDNT_RESOLVE_HOST:
        return IM_dns_fail;
    case CURLE_COULDNT_CONNECT:
        return !transfer->gate.opened && transfer->gate.refused != IM_NONE ? transfer->gate.refused : IM_connect_fail;
    case CURLE_OPERATION_TIMEDOUT:
        return name_timeout(transfer);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CACERT_BADFILE:
        return IM_tls_fail;
    case CURLE_PARTIAL_FILE:
        return IM_length_mismatch;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING: /* a reset; within a body it came short */
        return transfer->answer.complete ? IM_length_mismatch : IM_connect_fail;
    case CURLE_OUT_OF_MEMORY: /* also for a header line above 100 KiB */
        return transfer->sent_ms != 0 && !transfer->answer.complete ? IM_header_too_big : IM_store_io;
    case CURLE_BAD_CONTENT_ENCODING:
        return IM_content_encoding;
    default:
        return IM_protocol_error;
    }
}

static bool is_transient_status(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

/* What every end has in common. */
static void fill_result(struct im_transfer *transfer)
{
    struct im_fetched *result = &transfer->result;
    const struct im_answer *answer = &transfer->answer;
    result->spent_ms = nm_boottime_ms() - transfer->started_ms;
    result->status = answer->status;
    result->max_age_s = answer->complete ? answer->max_age_s : -1;
    memcpy(result->declared, answer->declared, sizeof result->declared);
    memcpy(result->etag, answer->etag, sizeof result->etag);
    memcpy(result->last_modified, answer->last_modified, sizeof result->last_modified);
    memcpy(result->host, transfer->url.host, sizeof result->host);
    (void)im_url_show(transfer->url.text, transfer->url.len, result->shown);
    if (answer->has_retry_after && is_transient_status(answer->status))
        result->retry_after_ms = answer->retry_after_ms;
    else if (answer->status == 429)
        result->retry_after_ms = transfer->fetcher->config.limits->retry_after_default_ms;
    result->bytes = result->outcome == IM_FETCH_BODY ? transfer->body_bytes : 0;
    im_transfer_reserve(transfer, result->bytes);
}

void im_transfer_fail(struct im_transfer *transfer, enum im_reason reason)
{
    struct im_fetched *result = &transfer->result;
    result->outcome = IM_FETCH_FAILED;
    result->reason = reason;
    result->try_again = reason == IM_bad_status ? is_transient_status(transfer->answer.status)
                                                : im_reason_kind(reason) == IM_KIND_RETRY;
    if (result->fd >= 0)
        (void)close(result->fd);
    result->fd = -1;
    im_body_drop(transfer);
    fill_result(transfer);
}

static bool end_with(struct im_transfer *transfer, enum im_outcome outcome)
{
    transfer->result.outcome = outcome;
    transfer->result.reason = IM_NONE;
    fill_result(transfer);
    return false;
}

/* Without memory for the place where it stands it begins from the first URL. */
static bool end_busy(struct im_transfer *transfer)
{
    transfer->result.next = transfer->result.hops > 0 ? strdup(transfer->url.text) : NULL;
    return end_with(transfer, IM_FETCH_BUSY);
}

static bool end_failed(struct im_transfer *transfer, enum im_reason reason)
{
    im_transfer_fail(transfer, reason);
    return false;
}

static bool go_on(struct im_transfer *transfer, enum im_reason begun)
{
    return begun == IM_NONE ? true : end_failed(transfer, begun);
}

/* A redirect: the next hop, if it may be followed. */
static bool follow(struct im_transfer *transfer)
{
    const struct im_fetch_config *config = &transfer->fetcher->config;
    char host[NM_HOST_BYTES];
    if (transfer->result.hops >= config->limits->max_hops)
        return end_failed(transfer, IM_redirect_limit);
    memcpy(host, transfer->url.host, sizeof host);
    int port = transfer->url.port;
    /* Where we made the URL https ourselves, http is what was asked for, not a step down. */
    enum im_reason reason =
        im_url_follow(&transfer->url, transfer->answer.has_location ? transfer->location : NULL, transfer->location_len,
                      config->limits->url_bytes, config->allow_downgrade || transfer->upgraded, &transfer->url);
    if (reason != IM_NONE)
        return end_failed(transfer, reason);
    transfer->result.hops++;
    transfer->upgraded = transfer->fresh = false;
    transfer->moved = strcmp(host, transfer->url.host) != 0 || transfer->url.port != port;
    if (config->host_ok && strcmp(host, transfer->url.host) != 0 &&
        !config->host_ok(config->ctx, transfer->result.token, transfer->url.host))
        return end_busy(transfer);
    return go_on(transfer, im_hop_begin(transfer));
}

static bool judge_answer(struct im_transfer *transfer)
{
    switch (transfer->answer.status) {
    case 200: {
        enum im_reason reason = im_body_end(transfer);
        return reason == IM_NONE ? end_with(transfer, IM_FETCH_BODY) : end_failed(transfer, reason);
    }
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return follow(transfer);
    case 304:
        return transfer->validated ? end_with(transfer, IM_FETCH_UNCHANGED) : end_failed(transfer, IM_bad_status);
    case 429:
        return end_failed(transfer, IM_rate_limited);
    default:
        return end_failed(transfer, IM_bad_status);
    }
}

/* The survey is over: either nothing is mixed and the request follows, or this is the end. */
static bool end_survey(struct im_transfer *transfer, CURLcode code)
{
    if (code != CURLE_COULDNT_CONNECT)
        return end_failed(transfer, name_code(transfer, code));
    if (!transfer->gate.opened)
        return end_failed(transfer, name_code(transfer, code));
    if (transfer->gate.refused != IM_NONE)
        return end_failed(transfer, IM_dns_mixed_private);
    return go_on(transfer, send_request(transfer, false));
}

/* No answer on a connection that was used before: what lay there was the rest of an earlier body, longer than its
 * Content-Length said. That is not held against this URL. */
static bool is_stale(struct im_transfer *transfer)
{
    long n_connects = 1;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &n_connects);
    return transfer->answer.status == 0 && transfer->sent_ms != 0 && !transfer->fresh && n_connects == 0;
}

/* https in place of http did not come about: no answer, and the host is not there, has no good certificate, or may not
 * be asked at that port. */
static bool falls_back(struct im_transfer *transfer, enum im_reason reason)
{
    return transfer->upgraded && transfer->sent_ms == 0 &&
           (reason == IM_connect_fail || reason == IM_tls_fail || reason == IM_timeout_connect ||
            reason == IM_url_port);
}

bool im_hop_end(struct im_transfer *transfer, CURLcode code)
{
    transfer->moved = false;
    if (transfer->gate.survey)
        return end_survey(transfer, code);
    if (transfer->busy || (code == CURLE_COULDNT_CONNECT && transfer->gate.busy))
        return end_busy(transfer);
    if ((transfer->reason == IM_protocol_error || code == CURLE_UNSUPPORTED_PROTOCOL) && is_stale(transfer)) {
        transfer->fresh = true;
        return go_on(transfer, im_hop_begin(transfer));
    }
    if (transfer->reason != IM_NONE)
        return end_failed(transfer, transfer->reason);
    if (transfer->answer.complete && transfer->answer.status != 200)
        code = CURLE_OK; /* whatever became of its body: nobody wants it */
    if (code == CURLE_OK)
        return transfer->answer.complete ? judge_answer(transfer) : end_failed(transfer, IM_protocol_error);
    enum im_reason reason = name_code(transfer, code);
    if (!falls_back(transfer, reason) || !change_scheme(&transfer->url, false))
        return end_failed(transfer, reason);
    transfer->upgraded = false;
    transfer->result.https_failed = true;
    return go_on(transfer, im_hop_begin(transfer));
}
