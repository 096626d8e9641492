/* admin_listen.c - the address of the admin endpoint: reading it, and a listening socket there.
 *
 * The socket is made here and not by the HTTP library, so that a port that is taken is told in words that help, and so
 * that the port which the system chose is known. A host name may have several addresses; the first one that can be
 * bound is taken. Pure or on the caller's thread; nothing is shared. */
#include "admin_internal.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 64

static enum nm_status not_an_address(const char *text, struct nm_error *err)
{
    return nm_fail(err, NM_CONFIG, "is '%s', not host:port such as 127.0.0.1:9602 or [::1]:0 (0: a free port)", text);
}

static bool is_port(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 5 && text[strspn(text, "0123456789")] == '\0' && strtol(text, NULL, 10) <= 65535;
}

enum nm_status nm_listen_parse(const char *text, struct nm_listen *out, struct nm_error *err)
{
    struct nm_listen found = {0};
    bool v6 = *text == '[';
    const char *host = text + v6;
    const char *colon = strrchr(text, ':');
    if (*text == '\0') {
        *out = found;
        return NM_OK;
    }
    if (!colon || !is_port(colon + 1))
        return not_an_address(text, err);
    const char *end = v6 ? colon - 1 : colon;
    if (end < host || (v6 && *end != ']'))
        return not_an_address(text, err);
    size_t len = (size_t)(end - host);
    if (len == 0)
        return nm_fail(err, NM_CONFIG, "is '%s' without a host; 0.0.0.0%s or [::]%s is every address of this machine",
                       text, colon, colon);
    if (len >= sizeof found.host)
        return not_an_address(text, err);
    memcpy(found.host, host, len);
    memcpy(found.port, colon + 1, strlen(colon + 1) + 1);
    static const char v6_bytes[] = "0123456789abcdefABCDEF:.";
    static const char name_bytes[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_";
    size_t good = v6 ? strspn(found.host, v6_bytes) : strspn(found.host, name_bytes);
    if (found.host[good] != '\0')
        return not_an_address(text, err);
    *out = found;
    return NM_OK;
}

/* -1: errno says why. */
static int bind_one(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* a new start must not wait for TIME_WAIT */
    if (info->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)); /* [::] is every address */
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved_errno = errno;
    (void)close(fd);
    errno = saved_errno;
    return -1;
}

static enum nm_status bind_failed(const struct nm_listen *listen, int code, struct nm_error *err)
{
    const char *what = code == EADDRINUSE      ? "the port is taken by another process; give this worker another one "
                                                 "(workers.NAME.admin.listen), or 0 for a free one"
                       : code == EACCES        ? "this user may not use that port; take one from 1024 on, or 0 for a "
                                                 "free one"
                       : code == EADDRNOTAVAIL ? "this machine has no such address; 0.0.0.0 is every one that it has"
                                               : strerror(code);
    return nm_fail(err, NM_CONFIG, "admin.listen is %s port %s, but %s", listen->host, listen->port, what);
}

static enum nm_status read_address(int fd, char address[300], struct nm_error *err)
{
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof name;
    char host[256], port[8];
    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return nm_fail(err, NM_FATAL, "admin.listen: getsockname: %s", strerror(errno));
    int code = getnameinfo((struct sockaddr *)&name, size, host, sizeof host, port, sizeof port,
                           NI_NUMERICHOST | NI_NUMERICSERV);
    if (code != 0)
        return nm_fail(err, NM_FATAL, "admin.listen: getnameinfo: %s", gai_strerror(code));
    const char *format = name.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s";
    struct nm_buf text = {0};
    nm_buf_addf(&text, format, host, port);
    bool fits = nm_buf_ok(&text) && text.len < 300;
    if (fits)
        memcpy(address, nm_buf_str(&text), text.len + 1);
    nm_buf_clear(&text);
    return fits ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for the address of the admin endpoint");
}

enum nm_status nm_listen_open(const struct nm_listen *listen, char address[300], int *out, struct nm_error *err)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int code = getaddrinfo(listen->host, listen->port, &hints, &list);
    if (code != 0)
        return nm_fail(err, NM_CONFIG, "admin.listen is %s port %s, but the host is not known: %s", listen->host,
                       listen->port, gai_strerror(code));
    int fd = -1, why = 0;
    for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next) {
        fd = bind_one(info);
        why = errno;
    }
    freeaddrinfo(list);
    if (fd < 0)
        return bind_failed(listen, why, err);
    enum nm_status status = read_address(fd, address, err);
    if (status != NM_OK) {
        (void)close(fd);
        return status;
    }
    *out = fd;
    return NM_OK;
}
