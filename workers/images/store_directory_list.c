/* store_directory_list.c - a directory store listed page by page; see im_store_list().
 *
 * Names come in the order of their bytes, as S3 lists keys, so that a cursor means the same in both and holds whatever
 * is put or removed between two pages. A folder sorts as its name with a slash behind it. Each folder is read whole and
 * sorted; ours have some hundred entries. */
#define _GNU_SOURCE /* O_PATH */
#include "store_directory.h"

#include "newsmill/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEPTH = 5, /* q/t/<edge>/<aa>/<bb>/ holds files */
    FOLDERS_OF_A_CALL = 1024,
    ENTRIES_OF_A_FOLDER = 1 << 20,
    KEY_BYTES = NAME_MAX + 2 /* an entry's name, the slash of a folder, the NUL */
};

struct listing {
    int root;
    struct im_page *page;
    char start[IM_CURSOR_BYTES]; /* the cursor as it was */
    char last[IM_CURSOR_BYTES];  /* what was looked at last */
    size_t n_folders;
    bool full; /* nothing more goes into the page */
};

struct folder {
    struct nm_arena arena;
    char **key;
    size_t n, cap;
};

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_key(struct folder *folder, const char *name, bool is_folder)
{
    if (folder->n == folder->cap) {
        size_t cap = folder->cap ? 2 * folder->cap : 256;
        char **grown = realloc(folder->key, cap * sizeof *grown);
        if (!grown)
            return false;
        folder->key = grown;
        folder->cap = cap;
    }
    size_t len = strlen(name);
    char *key = nm_arena_alloc(&folder->arena, len + 2);
    if (!key)
        return false;
    memcpy(key, name, len + 1);
    if (is_folder)
        memcpy(key + len, "/", 2);
    folder->key[folder->n++] = key;
    return true;
}

static bool is_folder(int dir_fd, const struct dirent *entry)
{
    struct stat facts;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(dir_fd, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(facts.st_mode);
}

/* errno on failure */
static bool read_entries(DIR *dir, struct folder *out)
{
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry)
            return errno == 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (out->n == ENTRIES_OF_A_FOLDER || !add_key(out, entry->d_name, is_folder(dirfd(dir), entry))) {
            errno = out->n == ENTRIES_OF_A_FOLDER ? EOVERFLOW : ENOMEM;
            return false;
        }
    }
}

/* `path` ends with a slash. A folder that is gone is empty. */
static enum im_reason read_folder(const struct listing *listing, const char *path, struct folder *out,
                                  struct nm_error *err)
{
    int fd = im_directory_openat(listing->root, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return errno == ENOENT ? IM_NONE : im_store_errno(err, errno, "list", path);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int code = errno;
        (void)close(fd);
        return im_store_errno(err, code, "list", path);
    }
    bool read = read_entries(dir, out);
    int code = errno;
    (void)closedir(dir);
    if (!read)
        return im_store_errno(err, code, "list", path);
    if (out->n > 0)
        qsort(out->key, out->n, sizeof *out->key, by_bytes);
    return IM_NONE;
}

static void stop_at(struct listing *listing, const char *cursor)
{
    listing->full = true;
    (void)snprintf(listing->page->cursor, sizeof listing->page->cursor, "%s", cursor);
}

/* A file, link, pipe or the like. */
static enum im_reason list_entry(struct listing *listing, const char *path, struct nm_error *err)
{
    struct im_page *page = listing->page;
    struct im_name parts;
    struct stat facts;
    if (!im_name_read(path, strlen(path), &parts)) {
        page->n_foreign++;
        return IM_NONE;
    }
    int fd = im_directory_openat(listing->root, path, O_PATH | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return IM_NONE; /* removed meanwhile */
    if (fd < 0 && errno == ELOOP) {
        page->n_foreign++;
        return IM_NONE;
    }
    bool known = fd >= 0 && fstat(fd, &facts) == 0;
    int code = errno;
    if (fd >= 0)
        (void)close(fd);
    if (!known)
        return im_store_errno(err, code, "look at", path);
    if (!S_ISREG(facts.st_mode)) {
        page->n_foreign++;
        return IM_NONE;
    }
    struct im_entry *entry = &page->entry[page->n++];
    (void)snprintf(entry->name, sizeof entry->name, "%s", path);
    entry->bytes = facts.st_size;
    entry->changed_s = facts.st_mtime;
    return IM_NONE;
}

/* True when everything below the folder `path` (ends with a slash) sorts before the cursor. */
static bool is_passed(const struct listing *listing, const char *path)
{
    size_t len = strlen(path);
    return strncmp(listing->start, path, len) > 0;
}

static enum im_reason walk(struct listing *listing, const char *path, unsigned depth, struct nm_error *err);

static enum im_reason walk_key(struct listing *listing, const char *path, unsigned depth, struct nm_error *err)
{
    size_t len = strlen(path);
    if (path[len - 1] == '/') {
        if (is_passed(listing, path))
            return IM_NONE;
        if (depth < DEPTH && len < IM_NAME_BYTES)
            return walk(listing, path, depth + 1, err);
        listing->page->n_foreign++;
        return IM_NONE;
    }
    if (strcmp(path, listing->start) <= 0)
        return IM_NONE;
    (void)snprintf(listing->last, sizeof listing->last, "%s", path);
    return list_entry(listing, path, err);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most DEPTH deep */
static enum im_reason walk(struct listing *listing, const char *path, unsigned depth, struct nm_error *err)
{
    if (listing->n_folders++ == FOLDERS_OF_A_CALL) {
        stop_at(listing, path); /* all that lies in it sorts behind its own path */
        return IM_NONE;
    }
    struct folder folder = {0};
    char below[IM_NAME_BYTES + KEY_BYTES];
    enum im_reason reason = read_folder(listing, path, &folder, err);
    for (size_t i = 0; i < folder.n && reason == IM_NONE && !listing->full; i++) {
        (void)snprintf(below, sizeof below, "%s%s", path, folder.key[i]);
        if (listing->page->n == listing->page->max)
            stop_at(listing, listing->last);
        else
            reason = walk_key(listing, below, depth, err);
    }
    free(folder.key);
    nm_arena_clear(&folder.arena);
    return reason;
}

enum im_reason im_directory_list(int root, enum im_area area, struct im_page *page, struct nm_error *err)
{
    struct im_page fresh = {.entry = page->entry, .max = page->max};
    struct listing listing = {.root = root, .page = &fresh};
    char top[] = {(char)area, '/', '\0'};
    memcpy(listing.start, page->cursor, sizeof listing.start);
    memcpy(listing.last, page->cursor, sizeof listing.last);
    enum im_reason reason = walk(&listing, top, 1, err);
    if (reason != IM_NONE)
        return reason;
    fresh.more = listing.full;
    *page = fresh;
    return IM_NONE;
}
