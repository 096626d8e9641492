/* store_directory.c - a store in a directory; see store.h.
 *
 * Why a kill at any instant leaves no half object: the bytes lie in a file without a name (or with one in tmp/) until
 * they are synced; linkat() gives the name in one step and never overwrites; then the folders are synced, from the
 * object's up to the root, before the caller hears of success. Nothing here opens a name for writing. A name that
 * exists is made durable in the same way before it counts as a dedup hit: its writer may not have come so far.
 *
 * A folder's way up is synced once by each process. That it exists proves nothing: whoever made it may have died
 * before its own sync.
 *
 * Every path is resolved by openat2() with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, so a link that was planted in the
 * store leads nowhere. */
#define _GNU_SOURCE /* O_PATH, O_TMPFILE */
#include "store_directory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FAN_OUT = 256, TREES = 9, PUBLIC = 0755, PRIVATE = 0700, OBJECT_MODE = 0644, DAMAGED_MODE = 0600 };

/* Which <aa>/<bb> folders are durable with all above them: a bit each for o/ (edge 0) and for each thumbnail edge (at
 * most 8). What has no place here is synced each time. */
struct tree {
    bool used;
    int32_t edge;
    uint8_t durable[FAN_OUT * FAN_OUT / 8];
};

struct directory {
    struct im_store store; /* first */
    int root_fd;
    struct tree tree[TREES];
};

static struct directory *directory_of(struct im_store *store)
{
    return (struct directory *)store;
}

int im_directory_openat(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    return (int)fd;
}

/* ---- folders */

/* Makes the folder `path` below root where it is missing; whoever needs it on disk syncs the one above. The mode is set
 * apart from mkdir, which minds the umask. */
static int make_folder(int root, const char *path, mode_t mode)
{
    char parent[IM_NAME_BYTES];
    const char *slash = strrchr(path, '/');
    int n = slash ? snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path)
                  : snprintf(parent, sizeof parent, ".");
    assert(n > 0 && (size_t)n < sizeof parent);
    (void)n;
    int above = im_directory_openat(root, parent, O_RDONLY | O_DIRECTORY);
    if (above < 0)
        return -1;
    int code = mkdirat(above, slash ? slash + 1 : path, mode) == 0 ? 0 : errno;
    int fd = code == 0 ? im_directory_openat(root, path, O_RDONLY | O_DIRECTORY) : -1;
    if (code == 0 && (fd < 0 || fchmod(fd, mode) != 0))
        code = errno;
    if (fd >= 0)
        (void)close(fd);
    (void)close(above);
    errno = code;
    return code == 0 || code == EEXIST ? 0 : -1;
}

/* The folder of `name` for reading, made where it is missing if `make`. -1 and errno. */
static int open_parent(int root, const char *name, bool make)
{
    char path[IM_NAME_BYTES];
    size_t len = (size_t)(strrchr(name, '/') - name);
    memcpy(path, name, len);
    path[len] = '\0';
    int fd = im_directory_openat(root, path, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 || errno != ENOENT || !make)
        return fd;
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = make_folder(root, path, path[0] == 'q' ? PRIVATE : PUBLIC);
        *slash = '/';
        if (failed)
            return -1;
    }
    if (make_folder(root, path, path[0] == 'q' ? PRIVATE : PUBLIC) != 0)
        return -1;
    return im_directory_openat(root, path, O_RDONLY | O_DIRECTORY);
}

/* NULL: no place to remember it. */
static uint8_t *durable_bit(struct directory *directory, const char *name, uint8_t *mask)
{
    struct im_name parts;
    if (!im_name_read(name, strlen(name), &parts) || parts.quarantined)
        return NULL;
    struct tree *tree = directory->tree;
    while (tree < directory->tree + TREES && tree->used && tree->edge != parts.edge)
        tree++;
    if (tree == directory->tree + TREES)
        return NULL;
    tree->used = true;
    tree->edge = parts.edge;
    *mask = (uint8_t)(1U << (parts.sha256[1] & 7U));
    return &tree->durable[(parts.sha256[0] * FAN_OUT + parts.sha256[1]) / 8];
}

/* Syncs the folder of `name` (parent_fd), and those above it unless this process did so before. */
static int sync_folders(struct directory *directory, const char *name, int parent_fd)
{
    uint8_t mask = 0;
    uint8_t *bit = durable_bit(directory, name, &mask);
    if (fsync(parent_fd) != 0)
        return -1;
    if (bit && *bit & mask)
        return 0;
    char path[IM_NAME_BYTES];
    (void)snprintf(path, sizeof path, "%s", name);
    *strrchr(path, '/') = '\0'; /* synced already */
    for (;;) {
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = '\0';
        int fd = im_directory_openat(directory->root_fd, slash ? path : ".", O_RDONLY | O_DIRECTORY);
        int code = fd < 0 || fsync(fd) != 0 ? errno : 0;
        if (fd >= 0)
            (void)close(fd);
        errno = code;
        if (code != 0)
            return -1;
        if (!slash)
            break;
    }
    if (bit)
        *bit |= mask;
    return 0;
}

/* ---- put */

static mode_t mode_for(const char *name)
{
    return name[0] == 'q' ? DAMAGED_MODE : OBJECT_MODE;
}

/* Links the open file to the name in the open folder; through /proc, since a file without a name has nothing else. */
static int link_open_file(int fd, int parent_fd, const char *base)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, parent_fd, base, AT_SYMLINK_FOLLOW);
}

/* Over what is there: a second name in tmp/ first, then rename(), so that readers find an object at every moment. */
static int replace(struct directory *directory, int fd, int parent_fd, const char *base)
{
    char temp[20];
    int tmp = directory->store.temps->dir_fd;
    if (!im_temp_name(temp) || link_open_file(fd, tmp, temp) != 0)
        return -1;
    int code = renameat(tmp, temp, parent_fd, base) == 0 ? 0 : errno;
    (void)unlinkat(tmp, temp, 0); /* rename() leaves it where both are names of this very file */
    errno = code;
    return code == 0 ? 0 : -1;
}

static int link_as(struct directory *directory, int fd, int parent_fd, const char *base, bool over)
{
    return over ? replace(directory, fd, parent_fd, base) : link_open_file(fd, parent_fd, base);
}

/* True for a file that had a name and lost it: Linux gives it no other. So it is with what is put again (R25). */
static bool lost_its_name(int fd)
{
    struct stat facts;
    return fstat(fd, &facts) == 0 && facts.st_nlink == 0;
}

static int copy_file(int from, int to)
{
    char block[16384];
    for (off_t at = 0;;) {
        ssize_t n = pread(from, block, sizeof block, at);
        if (n == 0)
            return 0;
        if (n < 0 || pwrite(to, block, (size_t)n, at) != n)
            return -1;
        at += n;
    }
}

/* The same bytes as a new file. */
static enum im_reason link_copy(struct directory *directory, const struct im_content *content, int parent_fd,
                                const char *name, bool over, bool *linked, struct nm_error *err)
{
    struct im_temp temp;
    enum im_reason reason = im_temp_new(directory->store.temps, &temp, err);
    if (reason != IM_NONE)
        return reason;
    errno = EIO; /* of a write that was short */
    bool done = copy_file(content->fd, temp.fd) == 0 && fchmod(temp.fd, mode_for(name)) == 0 && fsync(temp.fd) == 0 &&
                link_as(directory, temp.fd, parent_fd, strrchr(name, '/') + 1, over) == 0;
    if (!done && (over || errno != EEXIST))
        reason = im_store_errno(err, errno, "copy", name);
    im_temp_close(&temp);
    *linked = done;
    return reason;
}

static enum im_reason check_parent(int fd, const char *name, struct nm_error *err)
{
    struct nm_error why = {0};
    if (im_folder_check(fd, "its folder", &why) == NM_OK)
        return IM_NONE;
    return im_store_fail(err, IM_store_io, "the store cannot write %s: %s", name, why.msg);
}

/* After a sync that failed the kernel may say yes to the next one without having the bytes on disk. So the temporary
 * file is emptied, and putting it again fails by its length; but never a file that an object has as its own. */
static void give_up(const struct directory *directory, int fd)
{
    struct stat facts;
    nlink_t own = directory->store.temps->nameless ? 0 : 1;
    if (fstat(fd, &facts) == 0 && facts.st_nlink == own)
        (void)!ftruncate(fd, 0);
}

static enum im_reason directory_put(struct im_store *store, const char *name, const struct im_content *content,
                                    bool over, bool *stored, struct nm_error *err)
{
    struct directory *directory = directory_of(store);
    if (fchmod(content->fd, mode_for(name)) != 0 || fsync(content->fd) != 0) {
        int code = errno;
        give_up(directory, content->fd);
        return im_store_errno(err, code, "sync the file of", name);
    }
    int parent = open_parent(directory->root_fd, name, true);
    if (parent < 0)
        return im_store_errno(err, errno, "open the folder of", name);
    enum im_reason reason = check_parent(parent, name, err);
    bool linked = false;
    if (reason == IM_NONE) {
        linked = link_as(directory, content->fd, parent, strrchr(name, '/') + 1, over) == 0;
        if (!linked && errno == ENOENT && lost_its_name(content->fd))
            reason = link_copy(directory, content, parent, name, over, &linked, err);
        else if (!linked && (over || errno != EEXIST))
            reason = im_store_errno(err, errno, "link", name);
    }
    if (reason == IM_NONE && sync_folders(directory, name, parent) != 0)
        reason = im_store_errno(err, errno, "sync the folder of", name);
    (void)close(parent);
    if (reason == IM_NONE)
        *stored = linked;
    return reason;
}

/* ---- the other calls */

/* A missing folder means a missing object. */
static bool is_missing(int code)
{
    return code == ENOENT;
}

static enum im_reason stat_of(int fd, const char *name, struct im_stat *out, struct nm_error *err)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0)
        return im_store_errno(err, errno, "look at", name);
    if (!S_ISREG(facts.st_mode))
        return im_store_fail(err, IM_store_io, "%s in the store is no file; remove it", name);
    *out = (struct im_stat){.exists = true, .bytes = facts.st_size, .changed_s = facts.st_mtime};
    return IM_NONE;
}

/* O_NONBLOCK: a pipe that was planted under a name must not stop the thread. */
static enum im_reason directory_open(struct im_store *store, const char *name, int *out_fd, struct im_stat *out,
                                     struct nm_error *err)
{
    int fd = im_directory_openat(directory_of(store)->root_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && !is_missing(errno))
        return im_store_errno(err, errno, "open", name);
    if (fd < 0) {
        *out_fd = -1;
        *out = (struct im_stat){0};
        return IM_NONE;
    }
    enum im_reason reason = stat_of(fd, name, out, err);
    if (reason != IM_NONE)
        (void)close(fd);
    else
        *out_fd = fd;
    return reason;
}

static enum im_reason directory_stat(struct im_store *store, const char *name, struct im_stat *out,
                                     struct nm_error *err)
{
    int fd = im_directory_openat(directory_of(store)->root_fd, name, O_PATH | O_NOFOLLOW);
    if (fd < 0 && !is_missing(errno))
        return im_store_errno(err, errno, "look at", name);
    if (fd < 0) {
        *out = (struct im_stat){0};
        return IM_NONE;
    }
    enum im_reason reason = stat_of(fd, name, out, err);
    (void)close(fd);
    return reason;
}

static enum im_reason directory_remove(struct im_store *store, const char *name, struct nm_error *err)
{
    int parent = open_parent(directory_of(store)->root_fd, name, false);
    if (parent < 0)
        return is_missing(errno) ? IM_NONE : im_store_errno(err, errno, "open the folder of", name);
    int code = unlinkat(parent, strrchr(name, '/') + 1, 0) == 0 ? 0 : errno;
    if (code == 0 && fsync(parent) != 0) /* else a crash brings it back without a key in Redis */
        code = errno;
    (void)close(parent);
    return code == 0 || is_missing(code) ? IM_NONE : im_store_errno(err, code, "remove", name);
}

static enum im_reason directory_list(struct im_store *store, enum im_area area, struct im_page *page,
                                     struct nm_error *err)
{
    return im_directory_list(directory_of(store)->root_fd, area, page, err);
}

static int64_t product(uint64_t blocks, uint64_t size)
{
    return size > 0 && blocks > (uint64_t)INT64_MAX / size ? INT64_MAX : (int64_t)(blocks * size);
}

static enum im_reason directory_space(struct im_store *store, struct im_space *out, struct nm_error *err)
{
    struct statvfs facts;
    if (fstatvfs(directory_of(store)->root_fd, &facts) != 0)
        return im_store_errno(err, errno, "ask for the room of", "its volume");
    *out = (struct im_space){.known = true,
                             .total_bytes = product(facts.f_blocks, facts.f_frsize),
                             .free_bytes = product(facts.f_bavail, facts.f_frsize),
                             .total_inodes = product(facts.f_files, 1),
                             .free_inodes = product(facts.f_favail, 1)};
    return IM_NONE;
}

static void directory_close(struct im_store *store)
{
    struct directory *directory = directory_of(store);
    if (directory->root_fd >= 0)
        (void)close(directory->root_fd);
    free(directory);
}

static const struct im_store_ops directory_ops = {directory_put,  directory_open,  directory_stat, directory_remove,
                                                  directory_list, directory_space, directory_close};

/* ---- opening */

/* What a failure at start means: a full or failing disk may recover, all else is for the operator. A disk that becomes
 * read-only later is another matter: then there is work on its way, and it goes on by itself once that is over. */
static enum nm_status start_failed(struct nm_error *err, int code, const char *path, const char *folder)
{
    bool passes = code == ENOSPC || code == EDQUOT || code == EIO || code == EMFILE || code == ENFILE;
    if (code == EROFS)
        return nm_fail(err, NM_CONFIG,
                       "the store %.100s: folder %s is read-only; mount it writable, or set "
                       "images.store.path to another",
                       path, folder);
    return nm_fail(err, passes ? NM_RETRY : NM_CONFIG, "the store %s: folder %s: %s", path, folder,
                   code == ELOOP ? "is a link; put the folder itself there" : strerror(code));
}

static enum nm_status ready_folder(struct directory *directory, const char *path, const char *folder, mode_t mode,
                                   struct nm_error *err)
{
    char what[200];
    enum nm_status status;
    int fd = im_directory_openat(directory->root_fd, folder, O_RDONLY | O_DIRECTORY);
    if (fd < 0 && errno == ENOENT) {
        if (make_folder(directory->root_fd, folder, mode) != 0)
            return start_failed(err, errno, path, folder);
        fd = im_directory_openat(directory->root_fd, folder, O_RDONLY | O_DIRECTORY);
    }
    if (fd < 0)
        return start_failed(err, errno, path, folder);
    if (faccessat(fd, ".", W_OK, AT_EACCESS) != 0) { /* all folders may be there already */
        status = start_failed(err, errno, path, folder);
        (void)close(fd);
        return status;
    }
    (void)snprintf(what, sizeof what, "folder %s of the store %.120s", folder, path);
    status = im_folder_check(fd, what, err);
    if (status == NM_OK && strcmp(folder, "tmp") == 0)
        return im_temps_take(fd, what, &directory->store.temps, err);
    (void)close(fd);
    return status;
}

static enum nm_status ready_folders(struct directory *directory, const char *path, struct nm_error *err)
{
    static const struct {
        const char *name;
        mode_t mode;
    } top[] = {{"o", PUBLIC}, {"t", PUBLIC}, {"q", PRIVATE}, {"tmp", PRIVATE}};
    enum nm_status status = im_folder_check(directory->root_fd, path, err);
    for (size_t i = 0; i < sizeof top / sizeof *top && status == NM_OK; i++)
        status = ready_folder(directory, path, top[i].name, top[i].mode, err);
    for (unsigned aa = 0; aa < FAN_OUT && status == NM_OK; aa++) {
        char folder[8];
        (void)snprintf(folder, sizeof folder, "o/%02x", aa);
        status = ready_folder(directory, path, folder, PUBLIC, err);
    }
    int fd = status == NM_OK ? im_directory_openat(directory->root_fd, "o", O_RDONLY | O_DIRECTORY) : -1;
    if (status == NM_OK && (fd < 0 || fsync(fd) != 0 || fsync(directory->root_fd) != 0))
        status = start_failed(err, errno, path, "o");
    if (fd >= 0)
        (void)close(fd);
    return status;
}

/* openat2() and /proc are asked for once, here, with a sentence that says what is missing. */
static enum nm_status open_root(struct directory *directory, const char *path, struct nm_error *err)
{
    char self[40];
    struct stat facts;
    if (mkdir(path, PUBLIC) == 0 && chmod(path, PUBLIC) != 0)
        return start_failed(err, errno, path, ".");
    directory->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->root_fd < 0)
        return start_failed(err, errno, path, ".");
    int again = im_directory_openat(directory->root_fd, ".", O_RDONLY | O_DIRECTORY);
    if (again < 0 && (errno == ENOSYS || errno == EPERM))
        return nm_fail(err, NM_CONFIG, "the store %s needs openat2(): Linux 5.6, and no filter that forbids it", path);
    if (again < 0)
        return start_failed(err, errno, path, ".");
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", again);
    bool proc = lstat(self, &facts) == 0;
    (void)close(again);
    return proc ? NM_OK : nm_fail(err, NM_CONFIG, "the store %s needs /proc; mount it", path);
}

enum nm_status im_store_directory_open(const char *path, struct im_store **out, struct nm_error *err)
{
    struct directory *directory = calloc(1, sizeof *directory);
    if (!directory)
        return nm_fail(err, NM_FATAL, "out of memory for the store");
    directory->store.ops = &directory_ops;
    directory->root_fd = -1;
    directory->store.checked = im_checked_new();
    enum nm_status status = directory->store.checked ? NM_OK : nm_fail(err, NM_FATAL, "out of memory for the store");
    if (status == NM_OK)
        status = open_root(directory, path, err);
    if (status == NM_OK)
        status = ready_folders(directory, path, err);
    if (status != NM_OK) {
        im_store_close(&directory->store);
        return status;
    }
    *out = &directory->store;
    return NM_OK;
}
