/* scratch.h - a folder of its own for a test, gone with all that lies in it; and a small file system on it. */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

#define SCRATCH_BYTES 256

/* Below $TMPDIR or /tmp; `quick`: below /dev/shm where that can be written to, for tests that sync often and want no
 * disk. Fails the running test. */
void scratch_make(char path[SCRATCH_BYTES], bool quick);
void scratch_remove(const char *path);

/* "path/name", of at most SCRATCH_BYTES; the static buffer of the call before the last one is used again. */
const char *scratch_at(const char *path, const char *name);

/* Gives this process mounts of its own, so that what is mounted goes with it: as root, or in a user namespace. False
 * where neither works; `why` says what failed. To be called before any thread starts. */
bool scratch_own_mounts(const char **why);

/* tmpfs on the folder `path` with options such as "size=1m,nr_inodes=300"; other options for it; the mount read-only
 * (nothing may be open for writing) or no longer. */
bool scratch_mount(const char *path, const char *options);
bool scratch_remount(const char *path, const char *options);
bool scratch_read_only(const char *path, bool read_only);
void scratch_unmount(const char *path);

#endif
