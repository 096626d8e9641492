/* store_checks.c - see store_checks.h. */
#include "store_checks.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- helpers */

static unsigned char byte_of(unsigned seed, size_t at)
{
    uint64_t x = ((uint64_t)seed << 32 | (at & 0xffffffffU)) * 0x9E3779B97F4A7C15U;
    return (unsigned char)(x >> 56);
}

static void fill(unsigned seed, size_t at, unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = byte_of(seed, at + i);
}

void piece_make(struct im_store *store, unsigned seed, size_t len, struct piece *out)
{
    struct nm_error err = {0};
    unsigned char block[4096];
    if (im_temp_new(store->temps, &out->temp, &err) != IM_NONE)
        fail_msg("%s", err.msg);
    for (size_t at = 0; at < len;) {
        size_t n = len - at < sizeof block ? len - at : sizeof block;
        fill(seed, at, block, n);
        assert_int_equal(write(out->temp.fd, block, n), (ssize_t)n);
        at += n;
    }
    if (im_content_of(out->temp.fd, &out->content, &err) != IM_NONE)
        fail_msg("%s", err.msg);
    assert_int_equal(out->content.bytes, len);
}

void piece_clear(struct piece *piece)
{
    im_temp_close(&piece->temp);
}

void piece_name(const struct piece *piece, enum im_type type, int edge, char out[IM_NAME_BYTES])
{
    struct im_name name = {.type = type, .edge = edge};
    memcpy(name.sha256, piece->content.sha256, IM_SHA256_BYTES);
    im_name_write(&name, out);
}

void quarantine_name(const char *name, char out[IM_NAME_BYTES])
{
    int n = snprintf(out, IM_NAME_BYTES, "q/%s", name);
    assert_in_range(n, 1, IM_NAME_BYTES - 1);
}

static enum im_put put_named(struct im_store *store, const struct piece *piece, const char *name, bool replace)
{
    struct nm_error err = {0};
    enum im_put put = IM_PUT_STORED;
    if (im_store_put(store, name, &piece->content, replace, &put, &err) != IM_NONE)
        fail_msg("%s", err.msg);
    return put;
}

enum im_put put_piece(struct im_store *store, unsigned seed, size_t len, char name[IM_NAME_BYTES])
{
    struct piece piece;
    piece_make(store, seed, len, &piece);
    piece_name(&piece, IM_PNG, 0, name);
    enum im_put put = put_named(store, &piece, name, false);
    piece_clear(&piece);
    return put;
}

void plant(struct im_store *store, const char *name, unsigned seed, size_t len)
{
    struct piece piece;
    struct nm_error err = {0};
    bool stored = false;
    piece_make(store, seed, len, &piece);
    if (store->ops->put_if_absent(store, name, &piece.content, true, &stored, &err) != IM_NONE)
        fail_msg("%s", err.msg);
    assert_true(stored);
    piece_clear(&piece);
}

static void check_file(int fd, unsigned seed, size_t len)
{
    unsigned char block[4096], wanted[sizeof block];
    for (size_t at = 0; at < len;) {
        ssize_t n = pread(fd, block, sizeof block, (off_t)at);
        assert_true(n > 0 && (size_t)n <= len - at);
        fill(seed, at, wanted, (size_t)n);
        assert_memory_equal(block, wanted, (size_t)n);
        at += (size_t)n;
    }
    assert_int_equal(pread(fd, block, 1, (off_t)len), 0);
}

void check_holds(struct im_store *store, const char *name, unsigned seed, size_t len)
{
    struct nm_error err = {0};
    struct im_stat stat = {0}, opened = {0};
    int fd = -1;
    if (im_store_stat(store, name, &stat, &err) != IM_NONE || im_store_open(store, name, &fd, &opened, &err) != IM_NONE)
        fail_msg("%s", err.msg);
    assert_true(stat.exists && opened.exists && fd >= 0);
    assert_int_equal(stat.bytes, len);
    assert_int_equal(opened.bytes, len);
    assert_true(stat.changed_s > 1700000000);
    check_file(fd, seed, len);
    (void)close(fd);
}

void check_missing(struct im_store *store, const char *name)
{
    struct nm_error err = {0};
    struct im_stat stat = {.exists = true}, opened = {.exists = true};
    int fd = 7;
    if (im_store_stat(store, name, &stat, &err) != IM_NONE || im_store_open(store, name, &fd, &opened, &err) != IM_NONE)
        fail_msg("%s", err.msg);
    assert_false(stat.exists || opened.exists);
    assert_int_equal(fd, -1);
}

char (*list_all(struct im_store *store, enum im_area area, size_t max, size_t *n))[IM_NAME_BYTES]
{
    struct im_entry entry[IM_LIST_MAX];
    struct im_page page = {.entry = entry, .max = max};
    struct nm_error err = {0};
    char(*all)[IM_NAME_BYTES] = NULL;
    *n = 0;
    do {
        if (im_store_list(store, area, &page, &err) != IM_NONE)
            fail_msg("%s", err.msg);
        assert_in_range(page.n, 0, max);
        char(*grown)[IM_NAME_BYTES] = realloc(all, (*n + page.n + 1) * sizeof *all);
        assert_non_null(grown);
        all = grown;
        for (size_t i = 0; i < page.n; i++) {
            assert_true(entry[i].name[0] == (char)area && entry[i].bytes >= 0 && entry[i].changed_s > 1700000000);
            assert_true(*n == 0 || strcmp(all[*n - 1], entry[i].name) < 0);
            memcpy(all[(*n)++], entry[i].name, IM_NAME_BYTES);
        }
    } while (page.more);
    return all;
}

static size_t count_of(struct im_store *store, enum im_area area, const char *name)
{
    size_t n, found = 0;
    char(*all)[IM_NAME_BYTES] = list_all(store, area, IM_LIST_MAX, &n);
    for (size_t i = 0; i < n; i++)
        found += strcmp(all[i], name) == 0;
    free(all);
    return found;
}

/* ---- the table; each check has seeds of its own, so that none meets another's objects */

static void put__what_was_put_is_read_back(void **state)
{
    static const size_t lens[] = {0, 1, 4095, 65536, 100000, 3000000};
    struct im_store *store = *state;
    char name[IM_NAME_BYTES];
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        assert_int_equal(put_piece(store, 100 + (unsigned)i, lens[i], name), IM_PUT_STORED);
        check_holds(store, name, 100 + (unsigned)i, lens[i]);
        assert_int_equal(count_of(store, IM_OBJECTS, name), 1);
    }
}

static void put__the_same_bytes_again_are_one_object(void **state)
{
    struct im_store *store = *state;
    char name[IM_NAME_BYTES], again[IM_NAME_BYTES];
    assert_int_equal(put_piece(store, 200, 5000, name), IM_PUT_STORED);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(put_piece(store, 200, 5000, again), IM_PUT_EXISTED);
        assert_string_equal(again, name);
    }
    assert_int_equal(count_of(store, IM_OBJECTS, name), 1);
    check_holds(store, name, 200, 5000);
}

static void put__another_length_goes_to_quarantine(void **state)
{
    struct im_store *store = *state;
    char name[IM_NAME_BYTES], damaged[IM_NAME_BYTES];
    (void)put_piece(store, 300, 5000, name);
    plant(store, name, 301, 4999);
    quarantine_name(name, damaged);
    assert_int_equal(put_piece(store, 300, 5000, name), IM_PUT_REPLACED);
    check_holds(store, name, 300, 5000);
    check_holds(store, damaged, 301, 4999);
    assert_int_equal(count_of(store, IM_QUARANTINE, damaged), 1);
}

static void put__a_hit_is_hashed_once_a_day(void **state)
{
    struct im_store *store = *state;
    char name[IM_NAME_BYTES], damaged[IM_NAME_BYTES];
    (void)put_piece(store, 400, 5000, name);
    quarantine_name(name, damaged);
    plant(store, name, 401, 5000); /* the same length */
    assert_int_equal(put_piece(store, 400, 5000, name), IM_PUT_REPLACED);
    check_holds(store, name, 400, 5000);
    check_holds(store, damaged, 401, 5000);
    plant(store, name, 402, 5000);
    assert_int_equal(put_piece(store, 400, 5000, name), IM_PUT_EXISTED); /* looked at today */
    plant(store, name, 403, 5001);
    assert_int_equal(put_piece(store, 400, 5000, name), IM_PUT_REPLACED); /* its length always */
    check_holds(store, name, 400, 5000);
    check_holds(store, damaged, 401, 5000); /* the first one stays */
}

static void put__replace_puts_it_whatever_is_there(void **state)
{
    struct im_store *store = *state;
    struct piece piece;
    char name[IM_NAME_BYTES];
    piece_make(store, 500, 700, &piece);
    piece_name(&piece, IM_GIF, 0, name);
    assert_int_equal(put_named(store, &piece, name, true), IM_PUT_REPLACED);
    check_holds(store, name, 500, 700);
    plant(store, name, 501, 700);
    assert_int_equal(put_named(store, &piece, name, true), IM_PUT_REPLACED);
    check_holds(store, name, 500, 700);
    piece_clear(&piece);
}

static void put__thumbnails_of_other_settings_are_replaced(void **state)
{
    struct im_store *store = *state;
    struct piece object, old, new;
    char name[IM_NAME_BYTES], other[IM_NAME_BYTES], damaged[IM_NAME_BYTES];
    piece_make(store, 600, 9000, &object);
    piece_make(store, 601, 800, &old);
    piece_make(store, 602, 900, &new);
    piece_name(&object, IM_JPEG, 320, name);
    piece_name(&object, IM_WEBP, 1200, other);
    assert_int_equal(put_named(store, &old, name, false), IM_PUT_STORED);
    assert_int_equal(put_named(store, &old, other, false), IM_PUT_STORED);
    assert_int_equal(put_named(store, &old, name, false), IM_PUT_EXISTED);
    assert_int_equal(put_named(store, &new, name, false), IM_PUT_REPLACED);
    check_holds(store, name, 602, 900);
    check_holds(store, other, 601, 800);
    quarantine_name(name, damaged);
    check_missing(store, damaged);
    assert_int_equal(count_of(store, IM_THUMBNAILS, name) + count_of(store, IM_THUMBNAILS, other), 2);
    piece_clear(&object);
    piece_clear(&old);
    piece_clear(&new);
}

static void put__a_file_that_changed_after_its_hash_is_refused(void **state)
{
    struct im_store *store = *state;
    struct piece piece;
    struct nm_error err = {0};
    enum im_put put = IM_PUT_EXISTED;
    char name[IM_NAME_BYTES];
    piece_make(store, 650, 700, &piece);
    piece_name(&piece, IM_PNG, 0, name);
    assert_int_equal(ftruncate(piece.temp.fd, 699), 0);
    assert_int_equal(im_store_put(store, name, &piece.content, false, &put, &err), IM_store_io);
    assert_int_equal(err.status, NM_RETRY);
    assert_int_equal(put, IM_PUT_EXISTED);
    check_missing(store, name);
    piece_clear(&piece);
}

static void quarantine__moves_what_is_there(void **state)
{
    struct im_store *store = *state;
    struct nm_error err = {0};
    char name[IM_NAME_BYTES], damaged[IM_NAME_BYTES];
    bool moved = false;
    (void)put_piece(store, 700, 1234, name);
    quarantine_name(name, damaged);
    assert_int_equal(im_store_quarantine(store, name, &moved, &err), IM_NONE);
    assert_true(moved);
    check_missing(store, name);
    check_holds(store, damaged, 700, 1234);
    assert_int_equal(im_store_quarantine(store, name, &moved, &err), IM_NONE);
    assert_false(moved);
    plant(store, name, 701, 99);
    assert_int_equal(im_store_quarantine(store, name, &moved, &err), IM_NONE);
    assert_true(moved);
    check_missing(store, name);
    check_holds(store, damaged, 700, 1234);
    assert_int_equal(im_store_remove(store, damaged, &err), IM_NONE);
    check_missing(store, damaged);
}

static void remove__is_harmless_when_repeated(void **state)
{
    struct im_store *store = *state;
    struct nm_error err = {0};
    struct im_stat stat = {0};
    char name[IM_NAME_BYTES];
    int fd = -1;
    (void)put_piece(store, 800, 77777, name);
    assert_int_equal(im_store_open(store, name, &fd, &stat, &err), IM_NONE);
    assert_int_equal(im_store_remove(store, name, &err), IM_NONE);
    check_missing(store, name);
    check_file(fd, 800, 77777); /* who reads it comes to its end */
    (void)close(fd);
    assert_int_equal(im_store_remove(store, name, &err), IM_NONE);
    assert_int_equal(count_of(store, IM_OBJECTS, name), 0);
    assert_int_equal(put_piece(store, 800, 77777, name), IM_PUT_STORED);
    check_holds(store, name, 800, 77777);
}

static void missing__is_no_failure(void **state)
{
    struct im_store *store = *state;
    struct im_name name = {.type = IM_JPEG, .edge = 99999, .quarantined = true};
    char text[IM_NAME_BYTES];
    memset(name.sha256, 0xfe, sizeof name.sha256);
    im_name_write(&name, text);
    check_missing(store, text);
    name.quarantined = false;
    im_name_write(&name, text);
    check_missing(store, text);
}

/* Pages of any length give the same names, in order, each once. */
static void list__pages_of_any_length(void **state)
{
    static const size_t maxima[] = {1, 2, 7, IM_LIST_MAX};
    struct im_store *store = *state;
    char name[IM_NAME_BYTES];
    size_t n, n_first;
    for (unsigned i = 0; i < 12; i++)
        (void)put_piece(store, 900 + i, 10 + i, name);
    char(*first)[IM_NAME_BYTES] = list_all(store, IM_OBJECTS, 3, &n_first);
    assert_true(n_first >= 12);
    for (size_t i = 0; i < sizeof maxima / sizeof *maxima; i++) {
        char(*all)[IM_NAME_BYTES] = list_all(store, IM_OBJECTS, maxima[i], &n);
        assert_int_equal(n, n_first);
        for (size_t at = 0; at < n; at++)
            assert_string_equal(all[at], first[at]);
        free(all);
    }
    free(first);
}

static void list__a_cursor_outlives_what_it_names(void **state)
{
    struct im_store *store = *state;
    struct im_entry entry[2];
    struct im_page page = {.entry = entry, .max = 2};
    struct nm_error err = {0};
    char name[IM_NAME_BYTES];
    size_t n, n_left;
    for (unsigned i = 0; i < 5; i++)
        (void)put_piece(store, 950 + i, 20, name);
    char(*all)[IM_NAME_BYTES] = list_all(store, IM_OBJECTS, 100, &n);
    assert_int_equal(im_store_list(store, IM_OBJECTS, &page, &err), IM_NONE);
    assert_true(page.n == 2 && page.more);
    assert_int_equal(im_store_remove(store, entry[0].name, &err), IM_NONE);
    assert_int_equal(im_store_remove(store, entry[1].name, &err), IM_NONE);
    assert_int_equal(im_store_list(store, IM_OBJECTS, &page, &err), IM_NONE);
    assert_string_equal(entry[0].name, all[2]);
    free(all);
    all = list_all(store, IM_OBJECTS, 100, &n_left);
    assert_int_equal(n_left, n - 2);
    free(all);
}

const struct CMUnitTest store_checks[] = {
    cmocka_unit_test(missing__is_no_failure),
    cmocka_unit_test(put__what_was_put_is_read_back),
    cmocka_unit_test(put__the_same_bytes_again_are_one_object),
    cmocka_unit_test(put__another_length_goes_to_quarantine),
    cmocka_unit_test(put__a_hit_is_hashed_once_a_day),
    cmocka_unit_test(put__replace_puts_it_whatever_is_there),
    cmocka_unit_test(put__thumbnails_of_other_settings_are_replaced),
    cmocka_unit_test(put__a_file_that_changed_after_its_hash_is_refused),
    cmocka_unit_test(quarantine__moves_what_is_there),
    cmocka_unit_test(remove__is_harmless_when_repeated),
    cmocka_unit_test(list__pages_of_any_length),
    cmocka_unit_test(list__a_cursor_outlives_what_it_names),
};
const size_t n_store_checks = sizeof store_checks / sizeof *store_checks;
