/* test_buf.c - the growable buffer and the arena: content, reuse, alignment, refusal of impossible sizes. */
#include "newsmill/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void buf__appends_in_order(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    assert_string_equal(nm_buf_str(&buf), "");
    nm_buf_adds(&buf, "one");
    nm_buf_addc(&buf, ' ');
    nm_buf_add(&buf, "two\0three", 9);
    nm_buf_addf(&buf, "-%d", 42);
    assert_true(nm_buf_ok(&buf));
    assert_int_equal(buf.len, 16);
    assert_memory_equal(nm_buf_str(&buf), "one two\0three-42", 17);
    nm_buf_clear(&buf);
    assert_null(buf.data);
}

static void buf__reset_keeps_memory(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    nm_buf_addf(&buf, "%500d", 1);
    char *data = buf.data;
    nm_buf_reset(&buf);
    assert_string_equal(nm_buf_str(&buf), "");
    nm_buf_addf(&buf, "%500d", 2);
    assert_ptr_equal(buf.data, data);
    nm_buf_clear(&buf);
}

static void buf__room_is_written_by_the_caller(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    for (size_t n = 0; n < 300; n++) {
        char *room = nm_buf_room(&buf, n);
        assert_non_null(room);
        assert_ptr_equal(room, buf.data + buf.len);
        memset(room, 'r', n);
        buf.len += n / 2; /* less than was asked for is fine */
        assert_true(buf.cap > buf.len);
    }
    assert_int_equal(strspn(nm_buf_str(&buf), "r"), buf.len);
    assert_null(nm_buf_room(&buf, SIZE_MAX));
    assert_false(nm_buf_ok(&buf));
    assert_null(nm_buf_room(&buf, 1));
    nm_buf_clear(&buf);
}

static void buf__format_longer_than_the_room(void **state)
{
    (void)state;
    for (int width = 0; width < 300; width++) {
        struct nm_buf buf = {0};
        nm_buf_adds(&buf, "x");
        nm_buf_addf(&buf, "%*s|", width, "");
        assert_int_equal(buf.len, (size_t)width + 2);
        assert_int_equal(strlen(nm_buf_str(&buf)), (size_t)width + 2);
        assert_int_equal(buf.data[width + 1], '|');
        nm_buf_clear(&buf);
    }
}

static void buf__byte_by_byte_growth(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    for (int i = 0; i < 100000; i++)
        nm_buf_addc(&buf, (char)('a' + i % 26));
    assert_int_equal(strlen(nm_buf_str(&buf)), 100000);
    for (int i = 0; i < 100000; i += 997)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    nm_buf_clear(&buf);
}

static void buf__take_hands_over(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    nm_buf_adds(&buf, "mine");
    char *text = nm_buf_take(&buf);
    assert_string_equal(text, "mine");
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
    free(text);
    text = nm_buf_take(&buf); /* an empty buffer gives an empty string, not NULL */
    assert_string_equal(text, "");
    free(text);
}

static void buf__impossible_size_sets_oom_until_reset(void **state)
{
    (void)state;
    struct nm_buf buf = {0};
    volatile size_t huge = SIZE_MAX - 8;
    nm_buf_adds(&buf, "kept");
    nm_buf_add(&buf, "", huge);
    assert_false(nm_buf_ok(&buf));
    nm_buf_adds(&buf, "lost");
    nm_buf_addf(&buf, "%s", "lost");
    nm_buf_addc(&buf, 'l');
    assert_int_equal(buf.len, 4);
    assert_string_equal(nm_buf_str(&buf), "");
    nm_buf_reset(&buf);
    nm_buf_adds(&buf, "back");
    assert_string_equal(nm_buf_str(&buf), "back");
    nm_buf_add(&buf, "", huge);
    assert_null(nm_buf_take(&buf));
    assert_null(buf.data);
}

static void arena__pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    struct nm_arena arena = {0};
    enum { N = 3000 };
    static unsigned char *piece[N];
    for (size_t i = 0; i < N; i++) {
        size_t size = i * 37 % 701;
        piece[i] = nm_arena_alloc(&arena, size);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        memset(piece[i], (int)(i % 251), size);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < i * 37 % 701; k++)
            assert_int_equal(piece[i][k], i % 251);
    nm_arena_clear(&arena);
    assert_null(arena.first);
}

static void arena__copy_adds_nul(void **state)
{
    (void)state;
    struct nm_arena arena = {0};
    assert_string_equal(nm_arena_copy(&arena, "abcdef", 3), "abc");
    assert_string_equal(nm_arena_copy(&arena, NULL, 0), "");
    nm_arena_clear(&arena);
}

static void arena__last_piece_grows_in_its_place(void **state)
{
    (void)state;
    struct nm_arena arena = {0};
    char *first = nm_arena_resize(&arena, NULL, 0, 100), *second = nm_arena_copy(&arena, "kept", 4);
    assert_ptr_equal(nm_arena_resize(&arena, second, 5, 5000), second); /* the last one grows, */
    assert_ptr_equal(nm_arena_resize(&arena, second, 5000, 5), second); /* gives back what it does not need, */
    assert_ptr_equal(nm_arena_alloc(&arena, 1), second + 16);
    assert_ptr_equal(nm_arena_resize(&arena, first, 100, 10), first); /* any shrinks where it is, */
    char *moved = nm_arena_resize(&arena, second, 5, 3000000);        /* and otherwise a copy is larger */
    assert_ptr_not_equal(moved, second);
    assert_string_equal(moved, "kept");
    memset(moved, 'x', 3000000);
    assert_string_equal(second, "kept");
    assert_null(nm_arena_resize(&arena, moved, 3000000, SIZE_MAX));
    nm_arena_clear(&arena);
}

/* The addresses of a batch repeat after a reset: nothing was allocated anew. */
static void arena__reset_uses_the_same_memory(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 70000, 16, 3000000, 5, 900000, 900000, 64, 2000000, 40000, 40000};
    enum { N = sizeof sizes / sizeof *sizes };
    struct nm_arena arena = {0};
    void *chunks[2] = {0};
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < N; i++)
            memset(nm_arena_alloc(&arena, sizes[i]), round, sizes[i]);
        if (round == 3)
            chunks[0] = arena.current;
        if (round == 5)
            chunks[1] = arena.current;
        nm_arena_reset(&arena);
    }
    assert_ptr_equal(chunks[0], chunks[1]);
    nm_arena_clear(&arena);
}

static void arena__big_piece_leaves_the_current_chunk(void **state)
{
    (void)state;
    struct nm_arena arena = {0};
    char *before = nm_arena_alloc(&arena, 32);
    char *big = nm_arena_alloc(&arena, 5 * 1024 * 1024);
    char *after = nm_arena_alloc(&arena, 32);
    assert_non_null(big);
    assert_ptr_equal(after, before + 32);
    nm_arena_clear(&arena);
}

static void arena__impossible_size_gives_null(void **state)
{
    (void)state;
    struct nm_arena arena = {0};
    volatile size_t huge = SIZE_MAX;
    assert_null(nm_arena_alloc(&arena, huge));
    assert_null(nm_arena_alloc(&arena, huge - 15));
    assert_null(nm_arena_copy(&arena, "", huge));
    assert_non_null(nm_arena_alloc(&arena, 0));
    nm_arena_clear(&arena);
}

/* Two arenas that are large in turn take the same memory; what is bigger than a chunk is not kept. */
static void pool__lends_chunks_to_whoever_needs_them(void **state)
{
    (void)state;
    struct nm_pool pool = {0};
    struct nm_arena one = {.pool = &pool}, other = {.pool = &pool};
    enum { PIECES = 200, SIZE = 4096 };
    for (int round = 0; round < 4; round++) {
        struct nm_arena *arena = round % 2 ? &other : &one;
        for (int i = 0; i < PIECES; i++)
            memset(nm_arena_alloc(arena, SIZE), round, SIZE);
        memset(nm_arena_alloc(arena, 1000000), round, 1000000);
        if (round > 0)
            assert_null(pool.chunk); /* all of it is in use again */
        nm_arena_reset(arena);
        assert_non_null(pool.chunk);
    }
    char *again = nm_arena_alloc(&one, 16);
    assert_ptr_equal(one.first, one.current); /* the chunk that it kept */
    assert_non_null(again);
    nm_arena_clear(&one);
    nm_arena_clear(&other);
    nm_pool_clear(&pool);
    assert_null(pool.chunk);
}

static void pool__lends_buffers_last_first(void **state)
{
    (void)state;
    struct nm_pool pool = {0};
    struct nm_buf small = {0}, large = {0}, taker = {0};
    nm_buf_adds(&small, "small");
    for (int i = 0; i < 1000; i++)
        nm_buf_adds(&large, "large");
    size_t cap = large.cap;
    nm_pool_return(&pool, &small);
    nm_pool_return(&pool, &large);
    assert_null(large.data);
    nm_pool_lend(&pool, &taker);
    assert_int_equal(taker.cap, cap);
    assert_int_equal(taker.len, 0);
    nm_buf_adds(&taker, "kept");
    nm_pool_lend(&pool, &taker); /* has memory: nothing happens */
    assert_string_equal(nm_buf_str(&taker), "kept");
    nm_pool_return(NULL, &taker); /* neither does without a pool */
    assert_string_equal(nm_buf_str(&taker), "kept");
    for (int i = 0; i < 2 * NM_POOL_BUFS; i++) {
        struct nm_buf more = {0};
        nm_buf_addc(&more, 'x');
        nm_pool_return(&pool, &more);
    }
    assert_int_equal(pool.n_bufs, NM_POOL_BUFS);
    nm_buf_clear(&taker);
    nm_pool_clear(&pool);
    assert_int_equal(pool.n_bufs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf__appends_in_order),
        cmocka_unit_test(buf__reset_keeps_memory),
        cmocka_unit_test(buf__room_is_written_by_the_caller),
        cmocka_unit_test(buf__format_longer_than_the_room),
        cmocka_unit_test(buf__byte_by_byte_growth),
        cmocka_unit_test(buf__take_hands_over),
        cmocka_unit_test(buf__impossible_size_sets_oom_until_reset),
        cmocka_unit_test(arena__pieces_are_aligned_and_apart),
        cmocka_unit_test(arena__copy_adds_nul),
        cmocka_unit_test(arena__last_piece_grows_in_its_place),
        cmocka_unit_test(arena__reset_uses_the_same_memory),
        cmocka_unit_test(arena__big_piece_leaves_the_current_chunk),
        cmocka_unit_test(arena__impossible_size_gives_null),
        cmocka_unit_test(pool__lends_chunks_to_whoever_needs_them),
        cmocka_unit_test(pool__lends_buffers_last_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
