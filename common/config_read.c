/* config_read.c - the bytes of an option file, and the nodes that they become.
 *
 * A file is read to its end, not by its size, so /dev/null and a shell's <(command) work; what is longer than the limit
 * is refused after one byte too many. A byte order mark is taken off here, so that line 1 column 1 is the first letter
 * for both formats; UTF-16 is refused with a sentence instead of a parser's riddle.
 *
 * Threads: nothing is shared. */
#include "config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct nm_node *nm_node_new(struct nm_arena *arena, enum nm_node_kind kind, struct nm_place at,
                            struct nm_report *report)
{
    struct nm_node *node = nm_arena_alloc(arena, sizeof *node);
    if (node)
        *node = (struct nm_node){.kind = kind, .at = at};
    report->oom |= !node;
    return node;
}

void nm_node_append(struct nm_node *parent, struct nm_node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->n_children++;
}

const char *nm_node_kind_text(const struct nm_node *node)
{
    switch (node->kind) {
    case NM_NODE_LIST:
        return "a list";
    case NM_NODE_MAP:
        return "a mapping";
    case NM_NODE_NULL:
        return "empty";
    case NM_NODE_TEXT:
    case NM_NODE_BAD:
        break;
    }
    return "a single value";
}

static bool read_all(int fd, struct nm_buf *out)
{
    char chunk[16384];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        nm_buf_add(out, chunk, (size_t)n);
        if (!nm_buf_ok(out) || out->len > NM_CONFIG_MAX_BYTES)
            return true;
    }
}

bool nm_config_read(const char *path, struct nm_buf *out, struct nm_report *report)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && read_all(fd, out);
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    if (!done) {
        nm_report_add(report, (struct nm_place){0}, "cannot be read: %s", strerror(error));
        return false;
    }
    report->oom |= !nm_buf_ok(out);
    return !report->oom;
}

/* True: an encoding that is not ours. */
static bool is_utf16(const char *data, size_t len)
{
    return len >= 2 && (memcmp(data, "\xff\xfe", 2) == 0 || memcmp(data, "\xfe\xff", 2) == 0);
}

static bool is_json(const char *path)
{
    size_t len = strlen(path);
    return len >= 5 && strcmp(path + len - 5, ".json") == 0;
}

void nm_config_nodes(const char *path, const struct nm_text_file *file, struct nm_node **out)
{
    static const char mark[] = "\xef\xbb\xbf";
    struct nm_text_file text = *file;
    if (text.len > NM_CONFIG_MAX_BYTES) {
        nm_report_add(text.report, (struct nm_place){0}, "is larger than 1 MiB");
        return;
    }
    if (is_utf16(text.data, text.len)) {
        nm_report_add(text.report, (struct nm_place){0}, "is UTF-16; save it as UTF-8");
        return;
    }
    if (text.len >= strlen(mark) && memcmp(text.data, mark, strlen(mark)) == 0) {
        text.data += strlen(mark);
        text.len -= strlen(mark);
    }
    if (is_json(path))
        nm_json_read(&text, out);
    else
        nm_yaml_read(&text, out);
}
