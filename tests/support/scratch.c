/* scratch.c - see scratch.h. */
#define _GNU_SOURCE /* unshare */
#include "scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void scratch_make(char path[SCRATCH_BYTES], bool quick)
{
    const char *above = getenv("TMPDIR");
    if (quick && access("/dev/shm", R_OK | W_OK | X_OK) == 0)
        above = "/dev/shm";
    int n = snprintf(path, SCRATCH_BYTES, "%s/newsmill-test-XXXXXX", above && *above ? above : "/tmp");
    assert_in_range(n, 1, SCRATCH_BYTES - 1);
    assert_non_null(mkdtemp(path));
}

static int remove_one(const char *path, const struct stat *facts, int type, struct FTW *ftw)
{
    (void)facts;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scratch_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_at(const char *path, const char *name)
{
    static char text[2][SCRATCH_BYTES];
    static unsigned turn;
    char *out = text[turn++ % 2];
    int n = snprintf(out, SCRATCH_BYTES, "%s/%s", path, name);
    assert_in_range(n, 1, SCRATCH_BYTES - 1);
    return out;
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    return written;
}

static bool own_users(void)
{
    char users[64], groups[64];
    (void)snprintf(users, sizeof users, "0 %u 1", (unsigned)geteuid());
    (void)snprintf(groups, sizeof groups, "0 %u 1", (unsigned)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", users) && write_file("/proc/self/gid_map", groups);
}

bool scratch_own_mounts(const char **why)
{
    *why = "neither root nor user namespaces";
    if (geteuid() == 0 ? unshare(CLONE_NEWNS) != 0 : !own_users())
        return false;
    *why = "mounts cannot be made private";
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool scratch_mount(const char *path, const char *options)
{
    return mount("tmpfs", path, "tmpfs", 0, options) == 0;
}

bool scratch_remount(const char *path, const char *options)
{
    return mount(NULL, path, NULL, MS_REMOUNT, options) == 0;
}

bool scratch_read_only(const char *path, bool read_only)
{
    return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | (read_only ? MS_RDONLY : 0U), NULL) == 0;
}

void scratch_unmount(const char *path)
{
    (void)umount2(path, MNT_DETACH);
}
