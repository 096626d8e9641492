/* admin_fixture.h - an admin endpoint, and a client of a few lines on a socket, so that a test can also send what no
 * HTTP library would. Every answer is waited for until a deadline. */
#ifndef ADMIN_FIXTURE_H
#define ADMIN_FIXTURE_H

#include "admin_internal.h"
#include "newsmill/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 20000

struct fixture {
    struct nm_settings settings;
    struct nm_metrics *metrics;
    struct nm_admin *admin;
    struct nm_buf reply; /* of the last request */
};

static inline enum nm_status open_on(struct fixture *f, const char *listen, const struct nm_admin_limits *limits,
                                     struct nm_error *err)
{
    *f = (struct fixture){.settings = {.ns = (char *)(uintptr_t) "trial", .admin = {(char *)(uintptr_t)listen}}};
    assert_int_equal(nm_metrics_new("normalize", &f->metrics, NULL), NM_OK);
    if (limits)
        return nm_admin_open_limited(&f->settings, "normalize", f->metrics, limits, &f->admin, err);
    return nm_admin_open(&f->settings, "normalize", f->metrics, &f->admin, err);
}

static inline struct fixture open_admin(void)
{
    struct fixture f;
    struct nm_error err = {0};
    if (open_on(&f, "127.0.0.1:0", NULL, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return f;
}

static inline void close_admin(struct fixture *f)
{
    nm_admin_close(f->admin);
    nm_metrics_free(f->metrics);
    nm_buf_clear(&f->reply);
}

/* ---- a client ---- */

static inline int connect_to(const struct fixture *f)
{
    const char *address = nm_admin_address(f->admin);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(strncmp(address, "127.0.0.1:", 10), 0);
    to.sin_port = htons((uint16_t)strtol(address + 10, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Reads to the end of the connection, then closes it. */
static inline void read_all(int fd, struct nm_buf *reply)
{
    char piece[4096];
    ssize_t n = 1;
    nm_buf_reset(reply);
    while (n > 0) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        if (poll(&in, 1, DEADLINE_MS) != 1)
            fail_msg("the server neither answers nor closes; so far: %s", nm_buf_str(reply));
        n = recv(fd, piece, sizeof piece, 0);
        if (n > 0)
            nm_buf_add(reply, piece, (size_t)n);
    }
    (void)close(fd);
}

static inline void exchange(struct fixture *f, const char *data, size_t len)
{
    int fd = connect_to(f);
    (void)send(fd, data, len, MSG_NOSIGNAL); /* the server may refuse and close in the middle */
    read_all(fd, &f->reply);
}

/* One request; the HTTP status. */
static inline int request(struct fixture *f, const char *method, const char *path)
{
    char text[300];
    int len = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, path);
    exchange(f, text, (size_t)len);
    assert_int_equal(strncmp(nm_buf_str(&f->reply), "HTTP/1.1 ", 9), 0);
    return (int)strtol(nm_buf_str(&f->reply) + 9, NULL, 10);
}

static inline const char *body(struct fixture *f)
{
    const char *end = strstr(nm_buf_str(&f->reply), "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static inline void assert_answer(struct fixture *f, const char *path, int code, const char *want)
{
    assert_int_equal(request(f, "GET", path), code);
    assert_string_equal(body(f), want);
}

static inline void assert_header(struct fixture *f, const char *line)
{
    char want[200];
    (void)snprintf(want, sizeof want, "\r\n%s\r\n", line);
    if (!strstr(nm_buf_str(&f->reply), want))
        fail_msg("no header '%s' in %s", line, nm_buf_str(&f->reply));
}

#endif
