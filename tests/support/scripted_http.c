/* scripted_http.c - see scripted_http.h. */
#include "scripted_http.h"

#include "newsmill/buf.h"
#include "newsmill/clock.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct scripted_http {
    struct scripted_answer answer[SCRIPTED_ANSWERS];
    struct nm_buf request[SCRIPTED_ANSWERS];
    size_t n, n_requests;
    int listener, stop[2];
    char url[64];
    pthread_t thread;
};

/* -1: the header is not there yet. */
static long wanted_bytes(struct nm_buf *request)
{
    const char *text = nm_buf_str(request), *end = strstr(text, "\r\n\r\n");
    if (!end)
        return -1;
    long length = 0;
    for (const char *line = text; line < end; line = strstr(line, "\r\n") + 2)
        if (strncasecmp(line, "content-length:", 15) == 0)
            length = strtol(line + 15, NULL, 10);
    return (long)(end + 4 - text) + length;
}

/* False: the server is to stop. */
static bool wait_for(const struct scripted_http *server, int fd, int wait_ms)
{
    struct pollfd fds[2] = {{.fd = server->stop[0], .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int n = poll(fds, 2, wait_ms);
    return n >= 0 && fds[0].revents == 0;
}

static void serve_one(struct scripted_http *server, int fd)
{
    const struct scripted_answer *answer = &server->answer[server->n_requests];
    struct nm_buf *request = &server->request[server->n_requests++];
    char block[4096];
    for (;;) {
        long wanted = wanted_bytes(request);
        if ((wanted >= 0 && request->len >= (size_t)wanted) || (answer->take && request->len >= answer->take))
            break;
        size_t room =
            answer->take && answer->take - request->len < sizeof block ? answer->take - request->len : sizeof block;
        if (!wait_for(server, fd, -1))
            return;
        ssize_t n = recv(fd, block, room, 0);
        if (n <= 0)
            return;
        nm_buf_add(request, block, (size_t)n);
    }
    int64_t until = nm_boottime_ms() + answer->hold_ms;
    while (nm_boottime_ms() < until) {
        struct pollfd stop = {.fd = server->stop[0], .events = POLLIN};
        if (poll(&stop, 1, (int)(until - nm_boottime_ms())) == 1)
            return;
    }
    size_t len = answer->len ? answer->len : strlen(answer->bytes);
    for (size_t done = 0; done < len;) {
        ssize_t n = send(fd, answer->bytes + done, len - done, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

static void *serve(void *self)
{
    struct scripted_http *server = self;
    while (server->n_requests < server->n && wait_for(server, server->listener, -1)) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve_one(server, fd);
        (void)shutdown(fd, SHUT_RDWR);
        (void)close(fd);
    }
    return NULL;
}

struct scripted_http *scripted_start(const struct scripted_answer *answers, size_t n)
{
    struct scripted_http *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_non_null(server);
    assert_in_range(n, 0, SCRIPTED_ANSWERS);
    if (n > 0)
        memcpy(server->answer, answers, n * sizeof *answers);
    server->n = n;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->listener >= 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 16), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    assert_int_equal(pipe(server->stop), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    return server;
}

const char *scripted_url(const struct scripted_http *server)
{
    return server->url;
}

void scripted_stop(struct scripted_http *server)
{
    (void)!write(server->stop[1], "x", 1);
    (void)pthread_join(server->thread, NULL);
}

const char *scripted_request(const struct scripted_http *server, size_t i)
{
    return i < server->n_requests && server->request[i].data ? server->request[i].data : "";
}

size_t scripted_n_requests(const struct scripted_http *server)
{
    return server->n_requests;
}

void scripted_free(struct scripted_http *server)
{
    for (size_t i = 0; i < SCRIPTED_ANSWERS; i++)
        nm_buf_clear(&server->request[i]);
    (void)close(server->listener);
    (void)close(server->stop[0]);
    (void)close(server->stop[1]);
    free(server);
}
