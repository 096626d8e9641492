/* redis_link.c - the non-blocking socket under a Redis connection: what can be moved now is moved, nothing waits. */
#include "redis_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum nm_status nm_link_read(struct nm_link *link, void *data, size_t size, size_t *n, struct nm_error *err)
{
    ssize_t got = recv(link->fd, data, size, 0);
    if (got == 0)
        return nm_fail(err, NM_RETRY, "Redis closed the connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        return nm_fail(err, NM_RETRY, "reading from Redis: %s", strerror(errno));
    *n = got > 0 ? (size_t)got : 0;
    return NM_OK;
}

enum nm_status nm_link_write(struct nm_link *link, const struct iovec *part, int n_parts, size_t *n,
                             struct nm_error *err)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)part, .msg_iovlen = (size_t)n_parts};
    ssize_t put = sendmsg(link->fd, &message, MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN && errno != EINTR)
        return nm_fail(err, NM_RETRY, "writing to Redis: %s", strerror(errno));
    *n = put > 0 ? (size_t)put : 0;
    return NM_OK;
}

void nm_link_close(struct nm_link *link)
{
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
}
