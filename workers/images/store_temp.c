/* store_temp.c - temporary files; see store.h.
 *
 * With O_TMPFILE a crash leaves nothing. Where the file system does not know it (some network and FUSE file systems)
 * a file has a name of its own, and what a crash left is removed at the next start, an hour after it was last written
 * to: another worker may share the folder and its transfers may be under way. */
#define _GNU_SOURCE /* O_TMPFILE */
#include "store_internal.h"

#include "newsmill/clock.h"
#include "newsmill/digest.h"
#include "newsmill/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEFT_OVER_S = 3600, NAME_LEN = 18 };

enum nm_status im_folder_check(int fd, const char *what, struct nm_error *err)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0)
        return nm_fail(err, NM_RETRY, "cannot look at %s: %s", what, strerror(errno));
    if (!S_ISDIR(facts.st_mode))
        return nm_fail(err, NM_CONFIG, "%s is not a folder", what);
    if (facts.st_uid != geteuid())
        return nm_fail(err, NM_CONFIG, "%s belongs to user %u, not to user %u who runs this; chown it", what,
                       (unsigned)facts.st_uid, (unsigned)geteuid());
    if (facts.st_mode & (S_IWGRP | S_IWOTH))
        return nm_fail(err, NM_CONFIG, "%s has mode %04o, others can write to it; chmod go-w it", what,
                       (unsigned)facts.st_mode & 07777U);
    if ((facts.st_mode & S_IRWXU) != S_IRWXU)
        return nm_fail(err, NM_CONFIG, "%s has mode %04o, its owner cannot use it; chmod u+rwx it", what,
                       (unsigned)facts.st_mode & 07777U);
    return NM_OK;
}

bool im_temp_name(char out[20])
{
    unsigned char random[8];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    out[0] = '.';
    out[1] = 't';
    nm_hex_write(random, sizeof random, out + 2);
    return true;
}

static bool is_temp_name(const char *name)
{
    return strncmp(name, ".t", 2) == 0 && strlen(name) == NAME_LEN &&
           strspn(name + 2, "0123456789abcdef") == NAME_LEN - 2;
}

/* Removes what crashes left. Failing here is no reason not to start: the files are in nobody's way. */
static void remove_left_over(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    int64_t now_s = nm_wall_clock.now_ms(nm_wall_clock.self) / 1000;
    unsigned removed = 0;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        struct stat facts;
        if (is_temp_name(entry->d_name) && fstatat(dir_fd, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(facts.st_mode) && facts.st_mtime < now_s - LEFT_OVER_S && unlinkat(dir_fd, entry->d_name, 0) == 0)
            removed++;
    }
    (void)closedir(dir);
    if (removed > 0)
        nm_log(NM_DEBUG, "store.tempRemoved", "removed %u temporary files that nobody wrote to for an hour", removed);
}

enum nm_status im_temps_take(int dir_fd, const char *what, struct im_temps **out, struct nm_error *err)
{
    enum nm_status status = im_folder_check(dir_fd, what, err);
    struct im_temps *temps = status == NM_OK ? calloc(1, sizeof *temps) : NULL;
    if (!temps) {
        (void)close(dir_fd);
        return status == NM_OK ? nm_fail(err, NM_FATAL, "out of memory for temporary files") : status;
    }
    temps->dir_fd = dir_fd;
    int probe = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    temps->nameless = probe >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT);
    if (probe >= 0)
        (void)close(probe);
    remove_left_over(dir_fd);
    *out = temps;
    return NM_OK;
}

enum nm_status im_temps_open(const char *path, struct im_temps **out, struct nm_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return nm_fail(err, errno == EIO ? NM_RETRY : NM_CONFIG,
                       "cannot open the folder %s for temporary files: %s; make it", path, strerror(errno));
    return im_temps_take(fd, path, out, err);
}

void im_temps_close(struct im_temps *temps)
{
    if (!temps)
        return;
    (void)close(temps->dir_fd);
    free(temps);
}

enum im_reason im_temp_new(struct im_temps *temps, struct im_temp *out, struct nm_error *err)
{
    struct im_temp temp = {.temps = temps};
    if (temps->nameless) {
        temp.fd = openat(temps->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    } else {
        if (!im_temp_name(temp.name))
            return im_store_errno(err, errno, "name", "a temporary file");
        temp.fd = openat(temps->dir_fd, temp.name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    }
    if (temp.fd < 0)
        return im_store_errno(err, errno, "make", "a temporary file");
    *out = temp;
    return IM_NONE;
}

void im_temp_close(struct im_temp *temp)
{
    if (!temp->temps)
        return;
    if (temp->name[0])
        (void)unlinkat(temp->temps->dir_fd, temp->name, 0);
    (void)close(temp->fd);
    *temp = (struct im_temp){.fd = -1};
}
