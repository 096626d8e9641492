/* fetch.c - see fetch.h. The multi handle and what drives it: one epoll descriptor that holds libcurl's sockets, its
 * timer, our own looks at the speed of transfers, the budgets, and the two lists of transfers: running, and done.
 *
 * A transfer is in the running list exactly as long as its handle is in the multi handle. */
#include "fetch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 64
#define ROUNDS 16 /* of EVENTS in one advance(): the rest is still there the next time */

/* ---- lists ---- */

static void list_add(struct im_list *list, struct im_transfer *transfer)
{
    transfer->prev = list->last;
    transfer->next = NULL;
    if (list->last)
        list->last->next = transfer;
    else
        list->first = transfer;
    list->last = transfer;
}

static void list_remove(struct im_list *list, struct im_transfer *transfer)
{
    if (transfer->prev)
        transfer->prev->next = transfer->next;
    else
        list->first = transfer->next;
    if (transfer->next)
        transfer->next->prev = transfer->prev;
    else
        list->last = transfer->prev;
}

/* ---- budgets and times ---- */

void im_transfer_reserve(struct im_transfer *transfer, int64_t bytes)
{
    transfer->fetcher->temp_reserved += bytes - transfer->result.reserved;
    transfer->result.reserved = bytes;
}

void im_transfer_check_at(struct im_transfer *transfer, int64_t at_ms)
{
    transfer->check_at_ms = at_ms;
    if (at_ms < transfer->fetcher->check_at_ms)
        transfer->fetcher->check_at_ms = at_ms;
}

static enum nm_status has_room(const struct im_fetcher *fetcher, struct nm_error *err)
{
    const struct im_fetch_limits *limits = fetcher->config.limits;
    if (fetcher->n_items >= limits->in_flight_items)
        return nm_fail(err, NM_RETRY, "%d transfers are in flight: fetch.inFlightItems is reached", fetcher->n_items);
    if ((fetcher->n_items + 1) * (int64_t)IM_FETCH_TRANSFER_BYTES > limits->in_flight_bytes)
        return nm_fail(err, NM_RETRY, "%d transfers are in flight: fetch.inFlightBytes is reached", fetcher->n_items);
    if (limits->body_bytes > limits->temp_bytes - fetcher->temp_reserved)
        return nm_fail(err, NM_RETRY, "the files of transfers reserve %lld bytes: fetch.tempBytes is reached",
                       (long long)fetcher->temp_reserved);
    return NM_OK;
}

/* ---- libcurl's sockets and timer ---- */

static int on_socket_change(CURL *easy, curl_socket_t fd, int what, void *self, void *unused)
{
    struct im_fetcher *fetcher = self;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) { /* it may be closed already, and gone with that */
        (void)epoll_ctl(fetcher->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (epoll_ctl(fetcher->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
        return 0;
    return epoll_ctl(fetcher->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -1;
}

static int on_timer_change(CURLM *multi, long timeout_ms, void *self)
{
    struct im_fetcher *fetcher = self;
    (void)multi;
    fetcher->timer_at_ms = timeout_ms < 0 ? INT64_MAX : nm_boottime_ms() + timeout_ms;
    return 0;
}

/* ---- open and close ---- */

static bool make_list(const char *const *lines, struct curl_slist **out)
{
    for (size_t i = 0; lines && lines[i]; i++) {
        struct curl_slist *longer = curl_slist_append(*out, lines[i]);
        if (!longer)
            return false;
        *out = longer;
    }
    return true;
}

static enum nm_status check_config(const struct im_fetch_config *config, struct nm_error *err)
{
    const struct im_fetch_limits *limits = config->limits;
    if (limits->url_bytes == 0 || limits->url_bytes > NM_FETCH_MAX_BYTES || limits->max_hops < 0 ||
        limits->connect_ms <= 0 || limits->first_byte_ms <= 0 || limits->slow_bytes < 0 || limits->slow_ms <= 0 ||
        limits->total_ms <= 0 || limits->header_bytes == 0 || limits->body_bytes <= 0 || limits->in_flight_items <= 0 ||
        limits->in_flight_bytes < IM_FETCH_TRANSFER_BYTES || limits->temp_bytes < limits->body_bytes ||
        limits->retry_after_min_ms <= 0 || limits->retry_after_min_ms > limits->retry_after_max_ms)
        return nm_fail(err, NM_CONFIG, "a limit of fetch.* is out of range");
    for (const char *c = config->user_agent; *c; c++)
        if (*c < ' ' || *c > '~')
            return nm_fail(err, NM_CONFIG, "the User-Agent for images is not one line of ASCII");
    const curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
    if (!(version->features & CURL_VERSION_ASYNCHDNS) || !(version->features & CURL_VERSION_SSL))
        return nm_fail(err, NM_CONFIG, "this libcurl (%s) lacks TLS or a resolver that does not block",
                       version->version);
    return NM_OK;
}

static bool set_up_multi(struct im_fetcher *fetcher)
{
    CURLM *multi = fetcher->multi;
    return multi && curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket_change) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, fetcher) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_change) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, fetcher) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)IM_IDLE_CONNECTIONS) == CURLM_OK;
}

enum nm_status im_fetcher_open(const struct im_fetch_config *config, struct im_fetcher **out, struct nm_error *err)
{
    enum nm_status status = check_config(config, err);
    if (status != NM_OK)
        return status;
    NM_AUTO(im_fetcher_close) struct im_fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(fetcher);
        fetcher = NULL;
        return nm_fail(err, NM_FATAL, "out of memory for the fetcher");
    }
    fetcher->config = *config;
    fetcher->timer_at_ms = fetcher->check_at_ms = INT64_MAX;
    fetcher->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    fetcher->dir_fd = open(config->temp_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fetcher->epoll_fd < 0)
        return nm_fail(err, NM_FATAL, "cannot make an epoll descriptor: %s", strerror(errno));
    if (fetcher->dir_fd < 0)
        return nm_fail(err, NM_CONFIG, "cannot open the directory '%s' for temp files: %s", config->temp_dir,
                       strerror(errno));
    fetcher->multi = curl_multi_init();
    if (!set_up_multi(fetcher) || !make_list(config->resolve, &fetcher->resolve) ||
        !make_list(config->connect, &fetcher->connect))
        return nm_fail(err, NM_FATAL, "out of memory for the fetcher");
    *out = fetcher;
    fetcher = NULL;
    return NM_OK;
}

static void stop(struct im_transfer *transfer)
{
    (void)curl_multi_remove_handle(transfer->fetcher->multi, transfer->easy);
    list_remove(&transfer->fetcher->running, transfer);
}

void im_fetcher_close(struct im_fetcher *fetcher)
{
    if (!fetcher)
        return;
    while (fetcher->running.first) {
        struct im_transfer *transfer = fetcher->running.first;
        stop(transfer);
        im_transfer_free(transfer);
    }
    while (fetcher->done.first) {
        struct im_transfer *transfer = fetcher->done.first;
        list_remove(&fetcher->done, transfer);
        im_transfer_free(transfer);
    }
    if (fetcher->multi)
        (void)curl_multi_cleanup(fetcher->multi);
    curl_slist_free_all(fetcher->resolve);
    curl_slist_free_all(fetcher->connect);
    if (fetcher->epoll_fd >= 0)
        (void)close(fetcher->epoll_fd);
    if (fetcher->dir_fd >= 0)
        (void)close(fetcher->dir_fd);
    free(fetcher);
    curl_global_cleanup();
}

/* ---- transfers ---- */

/* The result is complete: what only the transfer itself needs goes back. */
static void finish(struct im_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
    list_add(&transfer->fetcher->done, transfer);
}

enum nm_status im_fetcher_start(struct im_fetcher *fetcher, const struct im_fetch_request *request, uint64_t *id,
                                struct nm_error *err)
{
    enum nm_status status = has_room(fetcher, err);
    if (status != NM_OK)
        return status;
    struct im_transfer *transfer = im_transfer_new(fetcher, request);
    enum im_reason begun = transfer ? im_hop_begin(transfer) : IM_NONE;
    if (!transfer || (begun == IM_NONE && curl_multi_add_handle(fetcher->multi, transfer->easy) != CURLM_OK)) {
        im_transfer_free(transfer);
        return nm_fail(err, NM_FATAL, "out of memory for a transfer");
    }
    transfer->result.id = ++fetcher->last_id;
    fetcher->n_items++;
    *id = transfer->result.id;
    if (begun != IM_NONE) { /* no time is left for it */
        im_transfer_fail(transfer, begun);
        finish(transfer);
        return NM_OK;
    }
    im_transfer_reserve(transfer, fetcher->config.limits->body_bytes);
    list_add(&fetcher->running, transfer);
    return NM_OK;
}

bool im_fetcher_cancel(struct im_fetcher *fetcher, uint64_t id)
{
    for (struct im_transfer *transfer = fetcher->running.first; transfer; transfer = transfer->next) {
        if (transfer->result.id != id)
            continue;
        stop(transfer);
        im_transfer_reserve(transfer, 0);
        im_transfer_free(transfer);
        fetcher->n_items--;
        return true;
    }
    return false;
}

/* The socket of a connection that libcurl keeps after this request; CURL_SOCKET_BAD: it has closed it. To be asked
 * before anything else is done with libcurl, which may give the number to another socket. */
static curl_socket_t kept_socket(const struct im_transfer *transfer)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    return curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK ? fd : CURL_SOCKET_BAD;
}

/* HTTP/2: whether another transfer goes over the same connection. libcurl 7.88 names no socket then, later ones may. */
static bool is_shared(const struct im_transfer *transfer)
{
    const struct im_url *url = &transfer->url;
    long version = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
    if (version < CURL_HTTP_VERSION_2_0)
        return false;
    for (const struct im_transfer *other = transfer->fetcher->running.first; other; other = other->next)
        if (other->url.https == url->https && other->url.port == url->port && strcmp(other->url.host, url->host) == 0)
            return true;
    return false;
}

static bool stays_open(const struct im_transfer *transfer, bool goes_on)
{
    const struct im_fetch_config *config = &transfer->fetcher->config;
    if (goes_on)
        return !transfer->moved;
    return !config->keep || config->keep(config->ctx, &transfer->result);
}

/* Takes the ends of hops; each is followed by another hop, or by a result. */
static void collect(struct im_fetcher *fetcher)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(fetcher->multi, &left)) != NULL) {
        struct im_transfer *transfer = NULL;
        CURLcode code = message->data.result; /* the message is gone with the handle */
        if (message->msg != CURLMSG_DONE ||
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer) != CURLE_OK || !transfer)
            continue;
        curl_socket_t fd = kept_socket(transfer);
        stop(transfer);
        bool shared = is_shared(transfer);
        bool goes_on = im_hop_end(transfer, code);
        if (fd != CURL_SOCKET_BAD && !shared && (!stays_open(transfer, goes_on) || !im_idle_add(transfer, fd)))
            (void)shutdown(fd, SHUT_RDWR);
        if (goes_on && curl_multi_add_handle(fetcher->multi, transfer->easy) == CURLM_OK) {
            list_add(&fetcher->running, transfer);
            continue;
        }
        if (goes_on)
            im_transfer_fail(transfer, IM_store_io); /* out of memory */
        finish(transfer);
    }
}

/* Looks at the speed of those whose time has come, after everything that lay there was read. */
static void check_speeds(struct im_fetcher *fetcher)
{
    int64_t now_ms = nm_boottime_ms();
    if (now_ms < fetcher->check_at_ms)
        return;
    fetcher->check_at_ms = INT64_MAX;
    struct im_transfer *next;
    for (struct im_transfer *transfer = fetcher->running.first; transfer; transfer = next) {
        next = transfer->next;
        if (now_ms < transfer->check_at_ms) {
            im_transfer_check_at(transfer, transfer->check_at_ms);
            continue;
        }
        enum im_reason reason = im_hop_check(transfer, now_ms);
        if (reason == IM_NONE)
            continue;
        stop(transfer);
        im_transfer_fail(transfer, reason);
        finish(transfer);
    }
}

static enum nm_status act(struct im_fetcher *fetcher, curl_socket_t fd, int mask, struct nm_error *err)
{
    int running;
    CURLMcode code = curl_multi_socket_action(fetcher->multi, fd, mask, &running);
    if (code == CURLM_OK || code == CURLM_BAD_SOCKET) /* a socket that an earlier event of this round closed */
        return NM_OK;
    return nm_fail(err, NM_FATAL, "libcurl: %s", curl_multi_strerror(code));
}

static enum nm_status serve_sockets(struct im_fetcher *fetcher, struct nm_error *err)
{
    struct epoll_event events[EVENTS];
    int n = EVENTS;
    for (int round = 0; round < ROUNDS && n == EVENTS; round++) {
        n = epoll_wait(fetcher->epoll_fd, events, EVENTS, 0);
        if (n < 0 && errno != EINTR)
            return nm_fail(err, NM_FATAL, "epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            int mask = (events[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                       (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                       (events[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);
            enum nm_status status = act(fetcher, events[i].data.fd, mask, err);
            if (status != NM_OK)
                return status;
        }
    }
    return NM_OK;
}

enum nm_status im_fetcher_advance(struct im_fetcher *fetcher, struct nm_error *err)
{
    enum nm_status status = serve_sockets(fetcher, err);
    if (status == NM_OK && nm_boottime_ms() >= fetcher->timer_at_ms) {
        fetcher->timer_at_ms = INT64_MAX; /* libcurl sets the next one in the call */
        status = act(fetcher, CURL_SOCKET_TIMEOUT, 0, err);
    }
    if (status != NM_OK)
        return status;
    collect(fetcher);
    check_speeds(fetcher);
    return NM_OK;
}

int im_fetcher_fd(const struct im_fetcher *fetcher)
{
    return fetcher->epoll_fd;
}

int im_fetcher_timeout_ms(const struct im_fetcher *fetcher)
{
    int64_t at_ms = fetcher->timer_at_ms < fetcher->check_at_ms ? fetcher->timer_at_ms : fetcher->check_at_ms;
    if (fetcher->done.first)
        return 0;
    if (at_ms == INT64_MAX)
        return -1;
    int64_t wait_ms = at_ms - nm_boottime_ms();
    return wait_ms < 0 ? 0 : wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}

int im_fetcher_in_flight(const struct im_fetcher *fetcher)
{
    return fetcher->n_items;
}

bool im_fetcher_take(struct im_fetcher *fetcher, struct im_fetched *out)
{
    struct im_transfer *transfer = fetcher->done.first;
    if (!transfer)
        return false;
    list_remove(&fetcher->done, transfer);
    fetcher->n_items--;
    *out = transfer->result;
    if (out->outcome == IM_FETCH_BODY && out->fd < 0) {
        out->data = transfer->body;
        out->held_bytes = (int64_t)transfer->body_size;
        transfer->body = NULL; /* it counts until it is released */
        transfer->body_size = 0;
    }
    transfer->result.fd = -1; /* it is the caller's */
    transfer->result.next = NULL;
    im_transfer_free(transfer);
    return true;
}

void im_fetcher_release(struct im_fetcher *fetcher, struct im_fetched *fetched)
{
    if (fetched->fd >= 0)
        (void)close(fetched->fd);
    fetched->fd = -1;
    free(fetched->data);
    fetched->data = NULL;
    fetcher->bodies_bytes -= fetched->held_bytes;
    fetched->held_bytes = 0;
    free(fetched->next);
    fetched->next = NULL;
    fetcher->temp_reserved -= fetched->reserved;
    fetched->reserved = 0;
}
