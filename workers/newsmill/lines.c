/* lines.c - lines of a file or a pipe, see lines.h.
 *
 * One buffer of the longest allowed line plus a block. Every byte is scanned for a line feed once (`scanned`), and the
 * rest of a block is moved to the front only when the buffer is full, so time is linear in the input. A line longer
 * than allowed is not kept: its bytes are dropped until its line feed comes. */
#include "lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)256 << 10)
#define MARK        "\xEF\xBB\xBF"

enum nm_status nm_lines_init(struct nm_lines *lines, int fd, size_t max_bytes, struct nm_error *err)
{
    memset(lines, 0, sizeof *lines);
    lines->fd = fd;
    lines->max_bytes = max_bytes;
    lines->cap = max_bytes + BLOCK_BYTES;
    lines->data = malloc(lines->cap);
    if (!lines->data)
        return nm_fail(err, NM_FATAL, "out of memory for a line of %zu bytes", max_bytes);
    return NM_OK;
}

void nm_lines_clear(struct nm_lines *lines)
{
    free(lines->data);
    memset(lines, 0, sizeof *lines);
}

static void make_room(struct nm_lines *lines)
{
    if (lines->len < lines->cap)
        return;
    memmove(lines->data, lines->data + lines->from, lines->len - lines->from);
    lines->len -= lines->from;
    lines->scanned -= lines->from;
    lines->from = 0;
}

/* Reads once. *got false: nothing there yet. */
static enum nm_status fill(struct nm_lines *lines, int wait_ms, bool *got, struct nm_error *err)
{
    struct pollfd in = {.fd = lines->fd, .events = POLLIN};

    *got = false;
    make_room(lines);
    int ready = poll(&in, 1, wait_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR))
        return NM_OK;
    ssize_t n = ready < 0 ? -1 : read(lines->fd, lines->data + lines->len, lines->cap - lines->len);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return NM_OK;
    if (n < 0)
        return nm_fail(err, NM_FATAL, "cannot be read: %s", strerror(errno));
    *got = true;
    lines->at_end = n == 0;
    lines->len += (size_t)n;
    return NM_OK;
}

/* Hands out data[from..end); `next` is where the line after it begins. */
static enum nm_line hand_out(struct nm_lines *lines, size_t end, size_t next, const char **line, size_t *len)
{
    bool skipped = lines->skipping;
    size_t from = lines->from;

    lines->from = lines->scanned = next;
    lines->skipping = false;
    lines->number++;
    if (lines->number == 1 && end - from >= strlen(MARK) && memcmp(lines->data + from, MARK, strlen(MARK)) == 0)
        from += strlen(MARK);
    if (end > from && lines->data[end - 1] == '\r')
        end--;
    if (skipped || end - from > lines->max_bytes)
        return NM_LINE_TOO_LONG;
    *line = lines->data + from;
    *len = end - from;
    return NM_LINE;
}

enum nm_status nm_lines_next(struct nm_lines *lines, int wait_ms, enum nm_line *what, const char **line, size_t *len,
                             struct nm_error *err)
{
    for (;;) {
        char *feed = memchr(lines->data + lines->scanned, '\n', lines->len - lines->scanned);
        if (feed) {
            size_t end = (size_t)(feed - lines->data);
            *what = hand_out(lines, end, end + 1, line, len);
            return NM_OK;
        }
        lines->scanned = lines->len;
        if (lines->at_end) {
            bool rest = lines->len > lines->from || lines->skipping;
            *what = rest ? hand_out(lines, lines->len, lines->len, line, len) : NM_LINE_END;
            return NM_OK;
        }
        if (lines->skipping || lines->len - lines->from > lines->max_bytes + strlen(MARK) + 1) {
            lines->skipping = true; /* none of this line is wanted */
            lines->from = lines->len = lines->scanned = 0;
        }
        bool got = false;
        enum nm_status status = fill(lines, wait_ms, &got, err);
        if (status != NM_OK)
            return status;
        if (!got) {
            *what = NM_LINE_NOT_YET;
            return NM_OK;
        }
    }
}
