/* output.c - see output.h. A full disk is no fault of the picture, so it has a reason of its own. */
#include "output.h"

#include <errno.h>
#include <unistd.h>

enum im_reason im_output(int fd, const void *data, size_t len, int64_t *bytes)
{
    const char *from = data;
    while (len > 0) {
        ssize_t n = write(fd, from, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 && (errno == ENOSPC || errno == EDQUOT) ? IM_store_full : IM_store_io;
        from += n;
        len -= (size_t)n;
        *bytes += n;
    }
    return IM_NONE;
}
