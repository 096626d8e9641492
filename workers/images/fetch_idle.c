/* fetch_idle.c - connections that libcurl keeps for another transfer, so that they can be closed.
 *
 * libcurl has no call for that, and does not say which of them a transfer takes: the socket is noted when its transfer
 * is over, forgotten when a request goes out from its local port or libcurl closes it, and shut down in between.
 * libcurl finds out that such a one is over when it looks for one. */
#include "fetch_internal.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void forget(struct im_fetcher *fetcher, struct im_idle *idle)
{
    *idle = fetcher->idle[--fetcher->n_idle];
}

bool im_idle_add(struct im_transfer *transfer, curl_socket_t fd)
{
    struct im_fetcher *fetcher = transfer->fetcher;
    long port = 0;
    if (fetcher->n_idle == IM_IDLE_CONNECTIONS ||
        curl_easy_getinfo(transfer->easy, CURLINFO_LOCAL_PORT, &port) != CURLE_OK)
        return false;
    struct im_idle *idle = &fetcher->idle[fetcher->n_idle++];
    *idle = (struct im_idle){.fd = fd, .local_port = (int)port};
    memcpy(idle->host, transfer->url.host, sizeof idle->host);
    return true;
}

void im_idle_taken(struct im_fetcher *fetcher, int local_port)
{
    for (size_t i = 0; i < fetcher->n_idle; i++)
        if (fetcher->idle[i].local_port == local_port) {
            forget(fetcher, &fetcher->idle[i]);
            return;
        }
}

int im_on_close(void *self, curl_socket_t fd)
{
    struct im_fetcher *fetcher = self;
    for (size_t i = 0; i < fetcher->n_idle; i++)
        if (fetcher->idle[i].fd == fd) {
            forget(fetcher, &fetcher->idle[i]);
            break;
        }
    return close(fd);
}

void im_fetcher_hang_up(struct im_fetcher *fetcher, const char *host)
{
    for (size_t i = 0; i < fetcher->n_idle; i++)
        if (strcmp(fetcher->idle[i].host, host) == 0) {
            (void)shutdown(fetcher->idle[i].fd, SHUT_RDWR);
            forget(fetcher, &fetcher->idle[i]);
            return;
        }
}
