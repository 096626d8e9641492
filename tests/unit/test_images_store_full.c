/* test_images_store_full.c - a full and a read-only disk under the store of pictures: a small tmpfs in a mount
 * namespace of its own. Not run, with the reason, where there is neither root nor user namespaces. */
#define _GNU_SOURCE /* O_TMPFILE */
#include "scratch.h"
#include "store_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *cannot; /* NULL: mounts of our own */

struct world {
    char path[SCRATCH_BYTES];
    struct im_store *store;
};

/* The store's own 261 folders and little more. */
static struct world mounted(const char *options)
{
    struct world world = {.store = NULL};
    struct nm_error err = {0};
    if (cannot) {
        print_message("not run: %s\n", cannot);
        skip();
    }
    scratch_make(world.path, false);
    if (!scratch_mount(world.path, options)) {
        print_message("not run: a tmpfs cannot be mounted: %s\n", strerror(errno));
        (void)rmdir(world.path);
        skip();
    }
    if (im_store_directory_open(world.path, &world.store, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return world;
}

static void unmounted(struct world *world)
{
    im_store_close(world->store);
    scratch_unmount(world->path);
    (void)rmdir(world->path);
}

/* T139 of the catalogue of hostile cases. */
static void full__is_store_full_and_ends_without_a_restart(void **state)
{
    (void)state;
    struct world world = mounted("size=4m,nr_inodes=270,mode=0755");
    struct im_store *store = world.store;
    struct nm_error err = {0};
    struct piece piece;
    char name[IM_NAME_BYTES];
    enum im_reason reason = IM_NONE;
    enum im_put put;
    unsigned seed = 0;
    while (reason == IM_NONE && seed < 20) { /* until no folder can be made */
        piece_make(store, ++seed, 1000, &piece);
        piece_name(&piece, IM_PNG, 0, name);
        reason = im_store_put(store, name, &piece.content, false, &put, &err);
        if (reason == IM_NONE)
            piece_clear(&piece);
    }
    assert_int_equal(reason, IM_store_full);
    assert_int_equal(err.status, NM_RETRY);
    assert_non_null(strstr(err.msg, "make room"));
    check_missing(store, name);
    struct im_temp temp[8];
    size_t n = 0;
    while (n < 8 && (reason = im_temp_new(store->temps, &temp[n], &err)) == IM_NONE)
        n++;
    assert_int_equal(reason, IM_store_full);
    while (n > 0)
        im_temp_close(&temp[--n]);
    assert_true(scratch_remount(world.path, "nr_inodes=1000"));
    assert_int_equal(im_store_put(store, name, &piece.content, false, &put, &err), IM_NONE);
    piece_clear(&piece);
    for (unsigned i = 1; i <= seed; i++) {
        assert_int_equal(put_piece(store, i, 1000, name), IM_PUT_EXISTED);
        check_holds(store, name, i, 1000);
    }
    unmounted(&world);
}

static void full__no_byte_more(void **state)
{
    (void)state;
    struct world world = mounted("size=1m,mode=0755");
    struct im_space space = {0};
    struct nm_error err = {0};
    struct im_temp temp;
    char name[IM_NAME_BYTES], block[4096] = "";
    (void)put_piece(world.store, 1, 100000, name);
    assert_int_equal(im_temp_new(world.store->temps, &temp, &err), IM_NONE);
    while (write(temp.fd, block, sizeof block) > 0)
        continue;
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(im_store_errno(&err, errno, "write", "a temporary file"), IM_store_full);
    assert_int_equal(im_store_space(world.store, &space, &err), IM_NONE);
    assert_true(space.known && space.free_bytes == 0 && space.total_bytes == 1 << 20);
    im_temp_close(&temp);
    assert_int_equal(im_store_space(world.store, &space, &err), IM_NONE);
    assert_true(space.free_bytes > 500000);
    check_holds(world.store, name, 1, 100000);
    unmounted(&world);
}

/* A temporary file that is open for reading only, so that nothing keeps the mount writable. */
static void piece_for_reading(struct im_store *store, unsigned seed, struct piece *piece)
{
    char path[40];
    piece_make(store, seed, 2000, piece);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", piece->temp.fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(piece->temp.fd);
    piece->temp.fd = piece->content.fd = fd;
}

/* T140. */
static void read_only__is_store_io_and_what_is_there_stays_readable(void **state)
{
    (void)state;
    struct world world = mounted("size=4m,mode=0755");
    struct im_store *store = world.store, *again = NULL;
    struct nm_error err = {0};
    struct piece piece;
    struct im_temp temp;
    char name[IM_NAME_BYTES], there[IM_NAME_BYTES];
    enum im_put put;
    size_t n;
    bool moved;
    (void)put_piece(store, 1, 1000, there);
    piece_for_reading(store, 2, &piece);
    piece_name(&piece, IM_PNG, 0, name);
    assert_true(scratch_read_only(world.path, true));
    assert_int_equal(im_store_put(store, name, &piece.content, false, &put, &err), IM_store_io);
    assert_int_equal(err.status, NM_RETRY);
    assert_int_equal(im_temp_new(store->temps, &temp, &err), IM_store_io);
    assert_int_equal(im_store_remove(store, there, &err), IM_store_io);
    assert_int_equal(im_store_quarantine(store, there, &moved, &err), IM_store_io);
    check_holds(store, there, 1, 1000);
    check_missing(store, name);
    free(list_all(store, IM_OBJECTS, 10, &n));
    assert_int_equal(n, 1);
    assert_int_equal(im_store_directory_open(world.path, &again, &err), NM_CONFIG); /* though its folders are there */
    assert_null(again);
    assert_non_null(strstr(err.msg, "read-only; mount it writable, or set images.store.path to another"));
    assert_true(scratch_read_only(world.path, false));
    assert_int_equal(im_store_put(store, name, &piece.content, false, &put, &err), IM_NONE);
    check_holds(store, name, 2, 2000);
    piece_clear(&piece);
    unmounted(&world);
}

static void read_only__is_refused_at_start_where_a_folder_is_missing(void **state)
{
    (void)state;
    struct world world = mounted("size=4m,mode=0755");
    struct im_store *store = NULL;
    struct nm_error err = {0};
    im_store_close(world.store);
    world.store = NULL;
    assert_int_equal(rmdir(scratch_at(world.path, "o/55")), 0);
    assert_true(scratch_read_only(world.path, true));
    assert_int_equal(im_store_directory_open(world.path, &store, &err), NM_CONFIG);
    assert_true(scratch_read_only(world.path, false));
    assert_int_equal(im_store_directory_open(world.path, &world.store, &err), NM_OK);
    unmounted(&world);
}

/* ---- a disk that fails: the kernel answers EIO to every fsync() of this process */

static bool fail_syncs(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof steps / sizeof *steps, .filter = steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum { AS_WANTED = 0, NO_FILTER = 77 };

/* The child. `again`: the piece is an object already, and is put under its name once more. */
static int put_on_a_failing_disk(struct im_store *store, bool again)
{
    struct piece piece;
    struct nm_error err = {0};
    struct stat facts;
    enum im_put put = IM_PUT_EXISTED;
    char name[IM_NAME_BYTES];
    piece_make(store, 1, 3000, &piece);
    piece_name(&piece, IM_PNG, 0, name);
    if (again && im_store_put(store, name, &piece.content, false, &put, &err) != IM_NONE)
        return 1;
    if (!fail_syncs())
        return NO_FILTER;
    if (im_store_put(store, name, &piece.content, again, &put, &err) != IM_store_io || err.status != NM_RETRY)
        return 2;
    if (fstat(piece.temp.fd, &facts) != 0 || facts.st_size != (again ? 3000 : 0))
        return 3;
    return AS_WANTED;
}

static void failing__what_could_not_be_synced_is_no_object(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool again = i % 2 == 1;
        char path[SCRATCH_BYTES], name[IM_NAME_BYTES];
        struct im_store *store = NULL;
        struct nm_error err = {0};
        int code = 0;
        scratch_make(path, true);
        assert_int_equal(im_store_directory_open(path, &store, &err), NM_OK);
        store->temps->nameless = i < 2;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(put_on_a_failing_disk(store, again));
        assert_int_equal(waitpid(pid, &code, 0), pid);
        assert_true(WIFEXITED(code));
        if (WEXITSTATUS(code) == NO_FILTER) {
            print_message("not run: no seccomp filter can be set\n");
            skip();
        }
        assert_int_equal(WEXITSTATUS(code), AS_WANTED);
        assert_int_equal(put_piece(store, 1, 3000, name), again ? IM_PUT_EXISTED : IM_PUT_STORED);
        check_holds(store, name, 1, 3000);
        im_store_close(store);
        scratch_remove(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full__is_store_full_and_ends_without_a_restart),
        cmocka_unit_test(full__no_byte_more),
        cmocka_unit_test(read_only__is_store_io_and_what_is_there_stays_readable),
        cmocka_unit_test(read_only__is_refused_at_start_where_a_folder_is_missing),
        cmocka_unit_test(failing__what_could_not_be_synced_is_no_object),
    };
    const char *why = NULL;
    if (!scratch_own_mounts(&why))
        cannot = why;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
