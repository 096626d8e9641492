/* redis_link.c - the non-blocking socket under a Redis connection, plain or with TLS on it: what can be moved now is
 * moved, nothing waits. */
#include "redis_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum nm_status nm_link_read(struct nm_link *link, void *data, size_t size, size_t *n, bool *more, struct nm_error *err)
{
    if (link->tls) {
        enum nm_status status = nm_tls_read(link->tls, data, size, n, err);
        *more = status == NM_OK && *n > 0; /* OpenSSL gives one record, and may hold the next */
        return status;
    }
    ssize_t got = recv(link->fd, data, size, 0);
    if (got == 0)
        return nm_fail(err, NM_RETRY, "Redis closed the connection");
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        return nm_fail(err, NM_RETRY, "reading from Redis: %s", strerror(errno));
    *n = got > 0 ? (size_t)got : 0;
    *more = *n == size;
    return NM_OK;
}

enum nm_status nm_link_write(struct nm_link *link, const struct iovec *part, int n_parts, size_t *n,
                             struct nm_error *err)
{
    if (link->tls)
        return nm_tls_write(link->tls, part->iov_base, part->iov_len, n, err);
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)part, .msg_iovlen = (size_t)n_parts};
    ssize_t put = sendmsg(link->fd, &message, MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN && errno != EINTR)
        return nm_fail(err, NM_RETRY, "writing to Redis: %s", strerror(errno));
    *n = put > 0 ? (size_t)put : 0;
    return NM_OK;
}

bool nm_link_wants_write(const struct nm_link *link)
{
    return link->tls && nm_tls_wants_write(link->tls);
}

void nm_link_close(struct nm_link *link)
{
    nm_tls_close(link->tls);
    link->tls = NULL;
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
}
