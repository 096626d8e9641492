/* admin.c - the HTTP server of the admin endpoint, and the report that it shows.
 *
 * libmicrohttpd speaks HTTP; it is driven from a thread of ours (its external event loop on epoll), so that a
 * connection can be ended when its time is over, however slowly its bytes come: the library's own limit is for silence
 * only, and it is also what ends a peer that closed its side in the middle of a request. One request a connection: then
 * nobody who keeps one open takes the place of another. A request that does not fit into MEMORY_BYTES is refused by the
 * library.
 *
 * Threads: the worker's thread publishes, the thread of the endpoint reads; the report stands between them under a
 * lock. A copy is made outside of the lock in one of two arenas while the other one is shown. All signals are blocked
 * in our thread, so that they reach the worker's. */
#include "newsmill/admin.h"

#include "admin_internal.h"
#include "newsmill/clock.h"
#include "newsmill/log.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEMORY_BYTES 16384 /* of a connection: its request, and what of the response is on its way */
#define TURN_MS      500   /* how often the age of connections is looked at, at least */

const struct nm_admin_limits nm_admin_default_limits = {
    .connections = NM_ADMIN_CONNECTIONS, .silence_s = 5, .connection_ms = 10000};

struct connection {
    int fd; /* -1: free */
    int64_t since_ms;
};

struct nm_admin {
    const char *worker, *ns;
    struct nm_metrics *metrics;
    char address[300];
    int64_t opened_ms;
    struct nm_admin_limits limits;

    struct MHD_Daemon *daemon; /* NULL: switched off */
    pthread_t thread;
    int wake; /* eventfd */
    atomic_bool closing;
    struct connection connection[NM_ADMIN_CONNECTIONS]; /* the endpoint's thread only */

    pthread_mutex_t lock; /* of the four below */
    struct nm_arena arena[2];
    unsigned shown; /* the arena of `report` */
    bool published;
    struct nm_report report;
};

/* ---- the report ---- */

/* NULL stays NULL; *ok false: out of memory. */
static const char *copy_text(struct nm_arena *arena, const char *text, bool *ok)
{
    if (!text)
        return NULL;
    const char *copy = nm_arena_copy(arena, text, strlen(text));
    *ok = *ok && copy;
    return copy;
}

static bool copy_report(struct nm_arena *arena, const struct nm_report *from, struct nm_report *to)
{
    bool ok = true;
    struct nm_partition_report *part = nm_arena_alloc(arena, from->n_partitions * sizeof *part);
    if (!part)
        return false;
    for (size_t i = 0; i < from->n_partitions; i++) {
        part[i] = from->partition[i];
        part[i].stream = copy_text(arena, from->partition[i].stream, &ok);
    }
    *to = *from;
    to->partition = part;
    to->retrying = copy_text(arena, from->retrying, &ok);
    to->not_live = copy_text(arena, from->not_live, &ok);
    to->redis_address = copy_text(arena, from->redis_address, &ok);
    return ok;
}

void nm_admin_publish(struct nm_admin *admin, const struct nm_report *report)
{
    if (!admin || !admin->daemon)
        return;
    unsigned spare = !admin->shown; /* only this thread changes it */
    struct nm_report copy;
    nm_arena_reset(&admin->arena[spare]);
    if (!copy_report(&admin->arena[spare], report, &copy))
        return;
    (void)pthread_mutex_lock(&admin->lock);
    admin->report = copy;
    admin->shown = spare;
    admin->published = true;
    (void)pthread_mutex_unlock(&admin->lock);
}

/* ---- requests ---- */

static unsigned page_metrics(struct nm_admin *admin, struct nm_buf *out)
{
    nm_metrics_render(admin->metrics, out);
    return MHD_HTTP_OK;
}

static const struct page {
    const char *path, *type;
    unsigned (*of_report)(const struct nm_admin_view *view, struct nm_buf *out);
} pages[] = {
    {"/livez", "text/plain; charset=utf-8", nm_page_livez},
    {"/readyz", "text/plain; charset=utf-8", nm_page_readyz},
    {"/metrics", NM_METRICS_TYPE, NULL},
    {"/status", "application/json", nm_page_status},
};

static const struct page *find_page(const char *url)
{
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(url, pages[i].path) == 0)
            return &pages[i];
    return NULL;
}

static unsigned make_page(struct nm_admin *admin, const struct page *page, struct nm_buf *out)
{
    if (!page->of_report)
        return page_metrics(admin, out);
    struct nm_admin_view view = {
        .worker = admin->worker, .ns = admin->ns, .uptime_ms = nm_boottime_ms() - admin->opened_ms};
    (void)pthread_mutex_lock(&admin->lock);
    view.report = admin->published ? &admin->report : NULL;
    unsigned code = page->of_report(&view, out);
    (void)pthread_mutex_unlock(&admin->lock);
    return code;
}

/* Takes `body`. A request that cannot be answered ends its connection. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *type, struct nm_buf *body)
{
    size_t len = body->len;
    char *text = nm_buf_take(body);
    struct MHD_Response *response = text ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response) {
        free(text);
        return MHD_NO;
    }
    enum MHD_Result ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (ok == MHD_YES)
        ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (ok == MHD_YES)
        ok = MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (ok == MHD_YES)
        ok = MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (ok == MHD_YES && code == MHD_HTTP_METHOD_NOT_ALLOWED)
        ok = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (ok == MHD_YES)
        ok = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return ok;
}

/* Called when the headers are there; the answer is queued at once, so a body that follows is never read. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **state)
{
    static const char plain[] = "text/plain; charset=utf-8";
    struct nm_admin *admin = cls;
    struct nm_buf body = {0};
    const struct page *page = find_page(url);
    (void)version, (void)upload, (void)state;
    *upload_len = 0; /* nothing of a body is kept */
    if (!page) {
        nm_buf_adds(&body, "not found: the pages are /livez /readyz /metrics /status\n");
        return answer(connection, MHD_HTTP_NOT_FOUND, plain, &body);
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        nm_buf_adds(&body, "only GET and HEAD are allowed\n");
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, plain, &body);
    }
    unsigned code = make_page(admin, page, &body);
    return answer(connection, code, page->type, &body);
}

/* ---- connections ---- */

static void on_connection(void *cls, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct nm_admin *admin = cls;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    (void)state;
    if (!info)
        return;
    int from = code == MHD_CONNECTION_NOTIFY_STARTED ? -1 : info->connect_fd;
    for (size_t i = 0; i < NM_ADMIN_CONNECTIONS; i++) {
        if (admin->connection[i].fd != from)
            continue;
        bool started = from < 0;
        admin->connection[i] = (struct connection){started ? info->connect_fd : -1, nm_boottime_ms()};
        return;
    }
}

/* The library sees the end of a connection whose time is over, and closes it. */
static void end_late(struct nm_admin *admin)
{
    int64_t now_ms = nm_boottime_ms();
    for (size_t i = 0; i < NM_ADMIN_CONNECTIONS; i++) {
        const struct connection *at = &admin->connection[i];
        if (at->fd >= 0 && now_ms - at->since_ms > admin->limits.connection_ms)
            (void)shutdown(at->fd, SHUT_RDWR);
    }
}

__attribute__((format(printf, 2, 0))) static void on_library_log(void *cls, const char *fmt, va_list args)
{
    char text[300];
    (void)cls;
    if (!nm_log_enabled(NM_DEBUG) || vsnprintf(text, sizeof text, fmt, args) < 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    nm_log(NM_DEBUG, "admin.library", "%s", text);
}

static void *serve(void *arg)
{
    struct nm_admin *admin = arg;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd fds[2] = {{.fd = info->epoll_fd, .events = POLLIN}, {.fd = admin->wake, .events = POLLIN}};
    int turn_ms = admin->limits.connection_ms < 2 * TURN_MS ? admin->limits.connection_ms / 2 : TURN_MS;
    while (!atomic_load(&admin->closing)) {
        MHD_UNSIGNED_LONG_LONG wanted = 0;
        int wait_ms = turn_ms;
        if (MHD_get_timeout(admin->daemon, &wanted) == MHD_YES && wanted < (unsigned)turn_ms)
            wait_ms = (int)wanted;
        (void)poll(fds, 2, wait_ms);
        (void)MHD_run(admin->daemon);
        end_late(admin);
    }
    return NULL;
}

/* ---- opening and closing ---- */

/* Signals are for the worker's thread. */
static int start_thread(struct nm_admin *admin)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&admin->thread, NULL, serve, admin);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

/* Takes `fd`; a library that does not start has closed it or not, and says nothing: then the process ends anyway. */
static enum nm_status start(struct nm_admin *admin, int fd, struct nm_error *err)
{
    admin->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, admin, MHD_OPTION_EXTERNAL_LOGGER, on_library_log,
        NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, admin->limits.connections,
        MHD_OPTION_CONNECTION_TIMEOUT, admin->limits.silence_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)MEMORY_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, admin, MHD_OPTION_END);
    if (!admin->daemon)
        return nm_fail(err, NM_FATAL, "the admin endpoint on %s cannot be started", admin->address);
    int code = start_thread(admin);
    if (code == 0)
        return NM_OK;
    MHD_stop_daemon(admin->daemon); /* closes the socket */
    admin->daemon = NULL;
    return nm_fail(err, NM_FATAL, "no thread for the admin endpoint: %s", strerror(code));
}

enum nm_status nm_admin_open_limited(const struct nm_settings *settings, const char *worker, struct nm_metrics *metrics,
                                     const struct nm_admin_limits *limits, struct nm_admin **out, struct nm_error *err)
{
    struct nm_listen listen = {0};
    struct nm_error why = {0};
    int fd = -1;
    if (nm_listen_parse(settings->admin.listen, &listen, &why) != NM_OK)
        return nm_fail(err, NM_CONFIG, "admin.listen %s", why.msg);
    struct nm_admin *admin = calloc(1, sizeof *admin);
    if (!admin || pthread_mutex_init(&admin->lock, NULL) != 0) {
        free(admin);
        return nm_fail(err, NM_FATAL, "out of memory for the admin endpoint");
    }
    admin->worker = worker;
    admin->ns = settings->ns;
    admin->metrics = metrics;
    assert(limits->connections <= NM_ADMIN_CONNECTIONS);
    admin->limits = *limits;
    admin->opened_ms = nm_boottime_ms();
    for (size_t i = 0; i < NM_ADMIN_CONNECTIONS; i++)
        admin->connection[i].fd = -1;
    enum nm_status status = NM_OK;
    admin->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (admin->wake < 0)
        status = nm_fail(err, NM_FATAL, "the admin endpoint: eventfd: %s", strerror(errno));
    if (status == NM_OK && listen.host[0])
        status = nm_listen_open(&listen, admin->address, &fd, err);
    if (status == NM_OK && listen.host[0])
        status = start(admin, fd, err);
    if (status != NM_OK) {
        nm_admin_close(admin);
        return status;
    }
    *out = admin;
    return NM_OK;
}

enum nm_status nm_admin_open(const struct nm_settings *settings, const char *worker, struct nm_metrics *metrics,
                             struct nm_admin **out, struct nm_error *err)
{
    return nm_admin_open_limited(settings, worker, metrics, &nm_admin_default_limits, out, err);
}

void nm_admin_close(struct nm_admin *admin)
{
    if (!admin)
        return;
    if (admin->daemon) {
        atomic_store(&admin->closing, true);
        (void)eventfd_write(admin->wake, 1);
        (void)pthread_join(admin->thread, NULL);
        MHD_stop_daemon(admin->daemon);
    }
    if (admin->wake >= 0)
        (void)close(admin->wake);
    nm_arena_clear(&admin->arena[0]);
    nm_arena_clear(&admin->arena[1]);
    (void)pthread_mutex_destroy(&admin->lock);
    free(admin);
}

const char *nm_admin_address(const struct nm_admin *admin)
{
    return admin ? admin->address : "";
}
