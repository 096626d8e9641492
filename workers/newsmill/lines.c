/* lines.c - lines of a source, see lines.h.
 *
 * One buffer of the longest allowed line plus a block. Every byte is scanned for a line feed once (`scanned`), and the
 * rest of a block is moved to the front only when the buffer is full, so time is linear in the input. A line longer
 * than allowed is not kept: its bytes are dropped until its line feed comes. */
#include "lines.h"

#include "event.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)256 << 10)
#define MARK        "\xEF\xBB\xBF"

enum nm_status nm_lines_init(struct nm_lines *lines, struct nm_source *source, size_t max_bytes, struct nm_error *err)
{
    memset(lines, 0, sizeof *lines);
    lines->source = source;
    lines->max_bytes = max_bytes;
    lines->cap = max_bytes + BLOCK_BYTES;
    lines->data = calloc(1, lines->cap); /* untouched pages cost nothing */
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

static enum nm_status fill(struct nm_lines *lines, struct nm_error *err)
{
    size_t n = 0;

    make_room(lines);
    enum nm_status status = nm_source_read(lines->source, lines->data + lines->len, lines->cap - lines->len, &n, err);
    lines->at_end = n == 0;
    lines->len += n;
    return status;
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

enum nm_status nm_lines_next(struct nm_lines *lines, enum nm_line *what, const char **line, size_t *len,
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
        if (lines->at_end) { /* the rest of an input that was stopped may be half a line */
            bool rest = !nm_source_stopped(lines->source) && (lines->len > lines->from || lines->skipping);
            *what = rest ? hand_out(lines, lines->len, lines->len, line, len) : NM_LINE_END;
            return NM_OK;
        }
        if (lines->skipping || lines->len - lines->from > lines->max_bytes + strlen(MARK) + 1) {
            lines->skipping = true; /* none of this line is wanted */
            lines->from = lines->len = lines->scanned = 0;
        }
        enum nm_status status = fill(lines, err);
        if (status != NM_OK)
            return status;
    }
}

static bool is_blank(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        /* The source filled it. NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    }
    return true;
}

enum nm_status nm_read_lines(struct nm_source *source, const struct nm_sink *sink, struct nm_error *err)
{
    struct nm_lines lines = {0};
    enum nm_status status = nm_lines_init(&lines, source, sink->max_bytes, err);
    enum nm_line what = NM_LINE;

    while (status == NM_OK && what != NM_LINE_END) {
        const char *line = NULL;
        size_t len = 0;
        status = nm_lines_next(&lines, &what, &line, &len, err);
        if (status != NM_OK || what == NM_LINE_END)
            break;
        struct nm_place place = {.line = lines.number};
        if (what == NM_LINE_TOO_LONG)
            sink->refuse(sink->self, place, "not loaded: longer than maxMessageBytes of this stream");
        else if (!is_blank(line, len))
            status = sink->take(sink->self, line, len, place, err);
    }
    nm_lines_clear(&lines);
    return status;
}
