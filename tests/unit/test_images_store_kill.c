/* test_images_store_kill.c - kill -9 between any two system calls of a put in a directory.
 *
 * A child writes a temporary file and puts it. It is traced and killed before its first system call, the next one
 * before its second, and so on until one comes to its end. After each kill an object is there whole or not at all,
 * nothing is left in tmp/ but what the next start removes, and the same put succeeds. */
#define _GNU_SOURCE /* PTRACE_O_* */
#include "scratch.h"
#include "store_checks.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 9000, OLD_BYTES = 9001, OLD_SEED = 100000, AT_MOST = 2000, NO_TRACE = 77 };

struct scenario {
    bool named;   /* temporary files have names                     */
    bool damaged; /* other bytes lie under the name before the put  */
};

static void name_of(struct im_store *store, unsigned seed, char name[IM_NAME_BYTES])
{
    struct piece piece;
    piece_make(store, seed, BYTES, &piece);
    piece_name(&piece, IM_PNG, 0, name);
    piece_clear(&piece);
}

/* The child. */
static void put_and_exit(struct im_store *store, unsigned seed)
{
    char name[IM_NAME_BYTES];
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(NO_TRACE);
    (void)raise(SIGSTOP);
    (void)put_piece(store, seed, BYTES, name);
    _exit(0);
}

/* Lets the child come to its `n`th system call and kills it there. True: it ended before. */
static bool kill_at(pid_t pid, unsigned n)
{
    int code = 0;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    if (WIFEXITED(code) && WEXITSTATUS(code) == NO_TRACE) {
        print_message("not run: ptrace is not allowed here\n");
        skip();
    }
    assert_true(WIFSTOPPED(code));
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
    for (unsigned stops = 0; stops < 2 * n - 1; stops++) { /* each call stops twice: before and after */
        assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &code, 0), pid);
        if (WIFEXITED(code)) {
            assert_int_equal(WEXITSTATUS(code), 0);
            return true;
        }
        assert_true(WIFSTOPPED(code) && WSTOPSIG(code) == (SIGTRAP | 0x80));
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &code, 0), pid);
    assert_true(WIFSIGNALED(code));
    return false;
}

/* *left: files with a temporary name; anything else fails. */
static unsigned count_left(const char *root)
{
    DIR *dir = opendir(scratch_at(root, "tmp"));
    unsigned n = 0;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            assert_int_equal(strncmp(entry->d_name, ".t", 2), 0);
            assert_int_equal(strlen(entry->d_name), 18);
            n++;
        }
    (void)closedir(dir);
    return n;
}

static bool exists(struct im_store *store, const char *name, int64_t *bytes)
{
    struct im_stat stat = {0};
    struct nm_error err = {0};
    assert_int_equal(im_store_stat(store, name, &stat, &err), IM_NONE);
    *bytes = stat.bytes;
    return stat.exists;
}

/* True: the child ended by itself. */
static bool kill_one(struct im_store *store, const char *root, const struct scenario *scenario, unsigned n)
{
    char name[IM_NAME_BYTES], again[IM_NAME_BYTES];
    int64_t bytes = 0;
    name_of(store, n, name);
    if (scenario->damaged)
        plant(store, name, OLD_SEED, OLD_BYTES);
    unsigned left = count_left(root);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        put_and_exit(store, n);
    bool ended = kill_at(pid, n);
    bool there = exists(store, name, &bytes);
    assert_true(there || (!ended && !scenario->damaged));
    if (there && bytes == OLD_BYTES && scenario->damaged)
        check_holds(store, name, OLD_SEED, OLD_BYTES);
    else if (there)
        check_holds(store, name, n, BYTES);
    assert_true(!ended || bytes == BYTES);
    assert_in_range(count_left(root) - left, 0, scenario->named || scenario->damaged ? 1 : 0);
    (void)put_piece(store, n, BYTES, again);
    check_holds(store, name, n, BYTES);
    return ended;
}

static void kill_everywhere(struct scenario scenario)
{
    char root[SCRATCH_BYTES];
    struct im_store *store = NULL;
    struct nm_error err = {0};
    unsigned n = 1;
    scratch_make(root, true);
    assert_int_equal(im_store_directory_open(root, &store, &err), NM_OK);
    store->temps->nameless = !scenario.named;
    while (n < AT_MOST && !kill_one(store, root, &scenario, n))
        n++;
    print_message("killed before each of %u system calls\n", n - 1);
    assert_in_range(n, 20, AT_MOST - 1);
    im_store_close(store);
    scratch_remove(root);
}

/* T137 of the catalogue of hostile cases, with the next two. */
static void kill__a_file_without_a_name(void **state)
{
    (void)state;
    kill_everywhere((struct scenario){0});
}

static void kill__a_file_with_a_name(void **state)
{
    (void)state;
    kill_everywhere((struct scenario){.named = true});
}

static void kill__while_damage_is_put_right(void **state)
{
    (void)state;
    kill_everywhere((struct scenario){.damaged = true});
}

/* ---- order: a kill leaves what the kernel holds, a power cut does not; so the calls themselves are looked at */

/* One letter a call of the child until it ends: S fsync, L linkat, R renameat, M mkdirat. */
static void trace(pid_t pid, char *out, size_t size)
{
    int code = 0;
    size_t n = 0;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    if (WIFEXITED(code) && WEXITSTATUS(code) == NO_TRACE) {
        print_message("not run: ptrace is not allowed here\n");
        skip();
    }
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
    for (;;) {
        struct __ptrace_syscall_info info;
        assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &code, 0), pid);
        if (WIFEXITED(code))
            break;
        assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0);
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        char letter = info.entry.nr == SYS_fsync      ? 'S'
                      : info.entry.nr == SYS_linkat   ? 'L'
                      : info.entry.nr == SYS_renameat ? 'R'
                      : info.entry.nr == SYS_mkdirat  ? 'M'
                                                      : '\0';
        if (letter && n + 1 < size)
            out[n++] = letter;
    }
    out[n] = '\0';
    assert_int_equal(WEXITSTATUS(code), 0);
}

static void put_traced(struct im_store *store, char *out, size_t size)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        put_and_exit(store, 1);
    trace(pid, out, size);
}

static void order__the_file_is_synced_before_it_has_a_name_and_its_folders_after(void **state)
{
    (void)state;
    char root[SCRATCH_BYTES], name[IM_NAME_BYTES], calls[64];
    struct im_store *store = NULL;
    struct nm_error err = {0};
    scratch_make(root, true);
    assert_int_equal(im_store_directory_open(root, &store, &err), NM_OK);
    put_traced(store, calls, sizeof calls);
    assert_string_equal(calls, "SMMMLSSSS"); /* the folder o/aa/bb is missing; then bb, aa, o and the root */
    put_traced(store, calls, sizeof calls);
    assert_string_equal(calls, "SLSSSS"); /* a hit: whoever linked it may not have come so far */
    (void)put_piece(store, 1, BYTES, name);
    put_traced(store, calls, sizeof calls);
    assert_string_equal(calls, "SLS"); /* the process, here its parent, has synced the folders above before */
    plant(store, name, OLD_SEED, OLD_BYTES);
    put_traced(store, calls, sizeof calls);
    assert_string_equal(calls, "SLS" /* exists */ "SMMMMLSSSSS" /* to quarantine */ "SLRS" /* put over it */);
    im_store_close(store);
    scratch_remove(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill__a_file_without_a_name),
        cmocka_unit_test(kill__a_file_with_a_name),
        cmocka_unit_test(kill__while_damage_is_put_right),
        cmocka_unit_test(order__the_file_is_synced_before_it_has_a_name_and_its_folders_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
