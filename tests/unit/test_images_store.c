/* test_images_store.c - the store of pictures in a directory: the table of every store, and what only a directory has.
 */
#define _GNU_SOURCE /* O_TMPFILE */
#include "scratch.h"
#include "store_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HEX "ab12cdef0123456789abcdef0123456789abcdef0123456789abcdef01234567"

struct world {
    char path[SCRATCH_BYTES];
    struct im_store *store;
};

static struct im_store *open_at(const char *path)
{
    struct im_store *store = NULL;
    struct nm_error err = {0};
    if (im_store_directory_open(path, &store, &err) != NM_OK)
        fail_msg("%s", err.msg);
    return store;
}

static void make_world(void **state, bool quick)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    scratch_make(world->path, quick);
    world->store = open_at(world->path);
    *state = world;
}

static int setup(void **state)
{
    make_world(state, true);
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    im_store_close(world->store);
    scratch_remove(world->path);
    free(world);
    return 0;
}

static mode_t mode_of(const char *root, const char *name)
{
    struct stat facts;
    if (lstat(scratch_at(root, name), &facts) != 0)
        fail_msg("%s: %s", name, strerror(errno));
    return facts.st_mode & 07777;
}

/* ---- names */

static void name__what_is_written_is_read_back(void **state)
{
    (void)state;
    static const struct {
        struct im_name name;
        const char *text;
    } cases[] = {
        {{.type = IM_JPEG}, "o/ab/12/" HEX ".jpg"},
        {{.type = IM_PNG}, "o/ab/12/" HEX ".png"},
        {{.type = IM_GIF}, "o/ab/12/" HEX ".gif"},
        {{.type = IM_WEBP}, "o/ab/12/" HEX ".webp"},
        {{.type = IM_JPEG, .edge = 10}, "t/10/ab/12/" HEX ".jpg"},
        {{.type = IM_WEBP, .edge = 99999, .quarantined = true}, "q/t/99999/ab/12/" HEX ".webp"},
        {{.type = IM_GIF, .quarantined = true}, "q/o/ab/12/" HEX ".gif"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct im_name name = cases[i].name, back = {0};
        char text[IM_NAME_BYTES];
        memcpy(name.sha256,
               "\xab\x12\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67"
               "\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67",
               IM_SHA256_BYTES);
        im_name_write(&name, text);
        assert_string_equal(text, cases[i].text);
        assert_true(im_name_read(text, strlen(text), &back));
        assert_memory_equal(back.sha256, name.sha256, IM_SHA256_BYTES);
        assert_true(back.type == name.type && back.edge == name.edge && back.quarantined == name.quarantined);
        for (size_t len = 0; len < strlen(text); len++)
            assert_false(im_name_read(text, len, &back));
    }
}

static void name__anything_else_is_none(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "o/ab/12/" HEX,
        "o/ab/12/" HEX ".",
        "o/ab/12/" HEX ".svg",
        "o/ab/12/" HEX ".jpeg",
        "o/ab/12/" HEX ".jpg/",
        "/o/ab/12/" HEX ".jpg",
        "o/ab/12/../12/" HEX ".jpg",
        "o/ba/12/" HEX ".jpg",
        "o/ab/21/" HEX ".jpg",
        "o/ab/12/AB12cdef0123456789abcdef0123456789abcdef0123456789abcdef01234567.jpg",
        "o/ab/12/gb12cdef0123456789abcdef0123456789abcdef0123456789abcdef01234567.jpg",
        "o/ab/12/" HEX "8.jpg",
        "o/10/ab/12/" HEX ".jpg",
        "t/ab/12/" HEX ".jpg",
        "t//ab/12/" HEX ".jpg",
        "t/9/ab/12/" HEX ".jpg",
        "t/0320/ab/12/" HEX ".jpg",
        "t/100000/ab/12/" HEX ".jpg",
        "t/+320/ab/12/" HEX ".jpg",
        "t/320/ab/12/" HEX ".png",
        "t/320/ab/12/" HEX ".gif",
        "q/" HEX ".jpg",
        "q/q/o/ab/12/" HEX ".jpg",
        "x/ab/12/" HEX ".jpg",
        "tmp/.t0123456789abcdef",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct im_name name = {.edge = 77};
        if (im_name_read(cases[i], strlen(cases[i]), &name))
            fail_msg("taken: %s", cases[i]);
        assert_int_equal(name.edge, 77);
    }
}

/* ---- folders and modes */

static void directory__a_web_server_can_read_the_objects_only(void **state)
{
    struct world *world = *state;
    char name[IM_NAME_BYTES], folder[IM_NAME_BYTES], damaged[IM_NAME_BYTES];
    struct nm_error err = {0};
    bool moved;
    (void)put_piece(world->store, 1, 100, name);
    (void)snprintf(folder, sizeof folder, "%.7s", name);
    assert_int_equal(mode_of(world->path, name), 0644);
    assert_int_equal(mode_of(world->path, folder), 0755);
    assert_int_equal(mode_of(world->path, "o"), 0755);
    assert_int_equal(mode_of(world->path, "o/00"), 0755);
    assert_int_equal(mode_of(world->path, "o/ff"), 0755);
    assert_int_equal(mode_of(world->path, "q"), 0700);
    assert_int_equal(mode_of(world->path, "tmp"), 0700);
    assert_int_equal(im_store_quarantine(world->store, name, &moved, &err), IM_NONE);
    quarantine_name(name, damaged);
    assert_int_equal(mode_of(world->path, damaged), 0600);
    assert_int_equal(mode_of(world->path, "q/o"), 0700);
}

static void directory__what_is_there_is_found_after_a_restart(void **state)
{
    struct world *world = *state;
    char name[IM_NAME_BYTES];
    (void)put_piece(world->store, 2, 5000, name);
    im_store_close(world->store);
    world->store = open_at(world->path);
    check_holds(world->store, name, 2, 5000);
    assert_int_equal(put_piece(world->store, 2, 5000, name), IM_PUT_EXISTED);
}

static void expect_config(const char *path, const char *why)
{
    struct im_store *store = NULL;
    struct nm_error err = {0};
    assert_int_equal(im_store_directory_open(path, &store, &err), NM_CONFIG);
    assert_null(store);
    if (!strstr(err.msg, why))
        fail_msg("'%s' is not in: %s", why, err.msg);
}

static void directory__wrong_modes_are_the_operators(void **state)
{
    static const struct {
        const char *folder, *why;
        mode_t mode, good;
    } cases[] = {
        {".", "chmod go-w", 0777, 0755},  {"o", "chmod go-w", 0775, 0755},    {"o/7f", "chmod go-w", 0757, 0755},
        {"q", "chmod go-w", 0720, 0700},  {"tmp", "chmod go-w", 01777, 0700}, {"o/00", "chmod u+rwx", 0500, 0755},
        {"t", "chmod u+rwx", 0400, 0755},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(chmod(scratch_at(world->path, cases[i].folder), cases[i].mode), 0);
        expect_config(world->path, cases[i].why);
        assert_int_equal(chmod(scratch_at(world->path, cases[i].folder), cases[i].good), 0);
        im_store_close(open_at(world->path));
    }
}

static void directory__folders_of_another_user_are_the_operators(void **state)
{
    struct world *world = *state;
    if (geteuid() != 0) {
        print_message("not run: only root can give a folder away\n");
        skip();
    }
    assert_int_equal(chown(scratch_at(world->path, "o/31"), 65534, (gid_t)-1), 0);
    expect_config(world->path, "chown");
}

static void directory__links_and_files_are_no_folders(void **state)
{
    struct world *world = *state;
    assert_int_equal(rmdir(scratch_at(world->path, "o/31")), 0);
    assert_int_equal(symlink("/etc", scratch_at(world->path, "o/31")), 0);
    expect_config(world->path, "is a link");
    assert_int_equal(unlink(scratch_at(world->path, "o/31")), 0);
    int fd = open(scratch_at(world->path, "o/31"), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    expect_config(world->path, "o/31");
    expect_config(scratch_at(world->path, "no/such"), "No such file");
}

/* A link in the way of an object leads nowhere: nothing is written or read behind it. */
static void directory__a_planted_link_is_refused(void **state)
{
    struct world *world = *state;
    struct piece piece;
    struct nm_error err = {0};
    struct im_stat stat = {0};
    enum im_put put;
    char name[IM_NAME_BYTES], folder[IM_NAME_BYTES], outside[SCRATCH_BYTES];
    int fd = -1;
    scratch_make(outside, true);
    piece_make(world->store, 3, 500, &piece);
    piece_name(&piece, IM_PNG, 0, name);
    (void)snprintf(folder, sizeof folder, "%.7s", name);
    assert_int_equal(symlink(outside, scratch_at(world->path, folder)), 0);
    assert_int_equal(im_store_put(world->store, name, &piece.content, false, &put, &err), IM_store_io);
    assert_int_equal(im_store_put(world->store, name, &piece.content, true, &put, &err), IM_store_io);
    assert_int_equal(im_store_open(world->store, name, &fd, &stat, &err), IM_store_io);
    assert_int_equal(im_store_stat(world->store, name, &stat, &err), IM_store_io);
    assert_int_equal(im_store_remove(world->store, name, &err), IM_store_io);
    assert_int_equal(rmdir(outside), 0); /* nothing was put there */
    piece_clear(&piece);
}

/* Links, pipes and folders under an object's name. */
static void directory__no_file_under_a_name_is_refused(void **state)
{
    struct world *world = *state;
    struct im_stat stat = {0};
    enum im_put put;
    for (unsigned kind = 0; kind < 3; kind++) {
        struct piece piece;
        struct nm_error err = {0};
        char name[IM_NAME_BYTES], folder[IM_NAME_BYTES];
        int fd = -1;
        piece_make(world->store, 10 + kind, 500, &piece);
        piece_name(&piece, IM_PNG, 0, name);
        (void)snprintf(folder, sizeof folder, "%.7s", name);
        assert_true(mkdir(scratch_at(world->path, folder), 0755) == 0 || errno == EEXIST);
        const char *path = scratch_at(world->path, name);
        assert_int_equal(kind == 0   ? symlink("/etc/passwd", path)
                         : kind == 1 ? mkfifo(path, 0644)
                                     : mkdir(path, 0755),
                         0);
        assert_int_equal(im_store_open(world->store, name, &fd, &stat, &err), IM_store_io);
        assert_int_equal(im_store_put(world->store, name, &piece.content, false, &put, &err), IM_store_io);
        piece_clear(&piece);
    }
}

static void directory__a_folder_that_others_can_write_to_takes_nothing(void **state)
{
    struct world *world = *state;
    struct piece piece;
    struct nm_error err = {0};
    enum im_put put;
    char name[IM_NAME_BYTES], folder[IM_NAME_BYTES];
    piece_make(world->store, 4, 500, &piece);
    piece_name(&piece, IM_PNG, 0, name);
    (void)snprintf(folder, sizeof folder, "%.7s", name);
    assert_int_equal(mkdir(scratch_at(world->path, folder), 0700), 0);
    assert_int_equal(chmod(scratch_at(world->path, folder), 0777), 0);
    assert_int_equal(im_store_put(world->store, name, &piece.content, false, &put, &err), IM_store_io);
    assert_non_null(strstr(err.msg, "chmod"));
    check_missing(world->store, name);
    piece_clear(&piece);
}

/* ---- lists */

static void list__what_is_not_ours_is_counted_and_passed(void **state)
{
    struct world *world = *state;
    struct im_entry entry[10];
    struct im_page page = {.entry = entry, .max = 10};
    struct nm_error err = {0};
    char name[IM_NAME_BYTES];
    (void)put_piece(world->store, 5, 50, name);
    assert_int_equal(symlink(name, scratch_at(world->path, "o/00/link")), 0);
    assert_int_equal(mkdir(scratch_at(world->path, "o/00/11"), 0755), 0);
    assert_int_equal(mkdir(scratch_at(world->path, "o/00/11/deep"), 0755), 0);
    assert_int_equal(mkdir(scratch_at(world->path, "o/00/11/deep/er"), 0755), 0);
    assert_int_equal(mkdir(scratch_at(world->path, "o/00/11/deep/er/than"), 0755), 0);
    assert_int_equal(mkfifo(scratch_at(world->path, "o/ff/pipe"), 0644), 0);
    assert_int_equal(symlink("/etc", scratch_at(world->path, "o/zz")), 0);
    assert_int_equal(im_store_list(world->store, IM_OBJECTS, &page, &err), IM_NONE);
    assert_true(page.n == 1 && !page.more);
    assert_string_equal(entry[0].name, name);
    assert_int_equal(entry[0].bytes, 50);
    assert_int_equal(page.n_foreign, 4); /* the link, the folder that is too deep, the pipe, the link to /etc */
}

static void list__empty_folders_do_not_hold_up_a_call(void **state)
{
    struct world *world = *state;
    struct im_entry entry[4];
    struct im_page page = {.entry = entry, .max = 4};
    struct nm_error err = {0};
    char name[IM_NAME_BYTES];
    size_t n = 0, pages = 0;
    for (unsigned i = 0; i < 10 * 256; i++) {
        char folder[16];
        (void)snprintf(folder, sizeof folder, "o/%02x/%02x", i / 256, i % 256);
        assert_int_equal(mkdir(scratch_at(world->path, folder), 0755), 0);
    }
    for (unsigned i = 0; i < 6; i++)
        (void)put_piece(world->store, 20 + i, 50, name);
    do {
        assert_int_equal(im_store_list(world->store, IM_OBJECTS, &page, &err), IM_NONE);
        n += page.n;
    } while (++pages < 20 && page.more);
    assert_int_equal(n, 6);
    assert_in_range(pages, 3, 6);
}

/* ---- temporary files */

static void make_file(const char *path, time_t age_s)
{
    struct timespec times[2];
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    times[0].tv_sec = times[1].tv_sec = time(NULL) - age_s;
    times[0].tv_nsec = times[1].tv_nsec = 0;
    assert_int_equal(futimens(fd, times), 0);
    (void)close(fd);
}

static bool is_there(const char *root, const char *name)
{
    struct stat facts;
    return lstat(scratch_at(root, name), &facts) == 0;
}

static void temp__left_over_ones_go_at_the_start_after_an_hour(void **state)
{
    struct world *world = *state;
    make_file(scratch_at(world->path, "tmp/.t00000000000000a1"), 3700);
    make_file(scratch_at(world->path, "tmp/.t00000000000000a2"), 3500);
    make_file(scratch_at(world->path, "tmp/.t00000000000000a3x"), 99999); /* none of ours */
    make_file(scratch_at(world->path, "tmp/notes"), 99999);
    assert_int_equal(mkdir(scratch_at(world->path, "tmp/.t00000000000000a4"), 0700), 0);
    im_store_close(open_at(world->path));
    assert_false(is_there(world->path, "tmp/.t00000000000000a1"));
    assert_true(is_there(world->path, "tmp/.t00000000000000a2"));
    assert_true(is_there(world->path, "tmp/.t00000000000000a3x"));
    assert_true(is_there(world->path, "tmp/notes"));
}

/* As on a file system without O_TMPFILE. */
static void temp__with_a_name_where_it_must_have_one(void **state)
{
    struct world *world = *state;
    struct piece piece;
    struct nm_error err = {0};
    struct im_store *store = world->store;
    char name[IM_NAME_BYTES], temp[32];
    enum im_put put;
    assert_true(store->temps->nameless);
    store->temps->nameless = false;
    piece_make(store, 6, 4000, &piece);
    (void)snprintf(temp, sizeof temp, "tmp/%s", piece.temp.name);
    assert_int_equal(mode_of(world->path, temp), 0600);
    piece_name(&piece, IM_PNG, 0, name);
    assert_int_equal(im_store_put(store, name, &piece.content, false, &put, &err), IM_NONE);
    piece_clear(&piece);
    assert_false(is_there(world->path, temp));
    check_holds(store, name, 6, 4000);
    assert_int_equal(put_piece(store, 6, 4000, name), IM_PUT_EXISTED);
    plant(store, name, 7, 3999);
    assert_int_equal(put_piece(store, 6, 4000, name), IM_PUT_REPLACED);
    check_holds(store, name, 6, 4000);
    piece_make(store, 8, 10, &piece); /* never put */
    (void)snprintf(temp, sizeof temp, "tmp/%s", piece.temp.name);
    piece_clear(&piece);
    assert_false(is_there(world->path, temp));
    assert_int_equal(rmdir(scratch_at(world->path, "tmp")), 0); /* nothing is left in it */
}

/* ---- several writers */

enum { WRITERS = 4, PIECES = 24 };

/* Exit code: how many names this writer made. */
static int write_all(const char *path, int start_fd)
{
    struct im_store *store = open_at(path);
    int made = 0;
    char name[IM_NAME_BYTES], go;
    if (read(start_fd, &go, 1) < 0)
        return 255;
    for (unsigned i = 0; i < PIECES; i++) {
        made += put_piece(store, 40 + i, 3000, name) == IM_PUT_STORED;
        check_holds(store, name, 40 + i, 3000);
    }
    im_store_close(store);
    return made;
}

static void race__writers_of_the_same_bytes_make_one_object(void **state)
{
    struct world *world = *state;
    int start[2], made = 0;
    pid_t pid[WRITERS];
    assert_int_equal(pipe(start), 0);
    for (int i = 0; i < WRITERS; i++) {
        pid[i] = fork();
        assert_true(pid[i] >= 0);
        if (pid[i] == 0) {
            (void)close(start[1]);
            _exit(write_all(world->path, start[0]));
        }
    }
    (void)close(start[0]);
    (void)close(start[1]); /* all begin */
    for (int i = 0; i < WRITERS; i++) {
        int code = 0;
        assert_int_equal(waitpid(pid[i], &code, 0), pid[i]);
        assert_true(WIFEXITED(code) && WEXITSTATUS(code) <= PIECES);
        made += WEXITSTATUS(code);
    }
    assert_int_equal(made, PIECES);
    size_t n;
    free(list_all(world->store, IM_OBJECTS, 100, &n));
    assert_int_equal(n, PIECES);
}

static void space__is_that_of_the_volume(void **state)
{
    struct world *world = *state;
    struct im_space space = {0};
    struct nm_error err = {0};
    assert_int_equal(im_store_space(world->store, &space, &err), IM_NONE);
    assert_true(space.known && space.total_bytes > 0 && space.free_bytes >= 0);
    assert_true(space.free_bytes <= space.total_bytes && space.free_inodes <= space.total_inodes);
}

/* The world of the table of every store; on disk. */
static struct world *shared;

static int give_store(void **state)
{
    void *world = NULL;
    make_world(&world, false);
    shared = world;
    *state = shared->store;
    return 0;
}

static int take_store(void **state)
{
    void *world = shared;
    (void)state;
    return teardown(&world);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name__what_is_written_is_read_back),
        cmocka_unit_test(name__anything_else_is_none),
        T(directory__a_web_server_can_read_the_objects_only),
        T(directory__what_is_there_is_found_after_a_restart),
        T(directory__wrong_modes_are_the_operators),
        T(directory__folders_of_another_user_are_the_operators),
        T(directory__links_and_files_are_no_folders),
        T(directory__a_planted_link_is_refused),
        T(directory__no_file_under_a_name_is_refused),
        T(directory__a_folder_that_others_can_write_to_takes_nothing),
        T(list__what_is_not_ours_is_counted_and_passed),
        T(list__empty_folders_do_not_hold_up_a_call),
        T(temp__left_over_ones_go_at_the_start_after_an_hour),
        T(temp__with_a_name_where_it_must_have_one),
        T(race__writers_of_the_same_bytes_make_one_object),
        T(space__is_that_of_the_volume),
    };
    int failed = _cmocka_run_group_tests("store_checks", store_checks, n_store_checks, give_store, take_store);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
