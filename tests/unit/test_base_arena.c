#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"

Test(arena, gives_zeroed_and_aligned_memory)
{
    Arena arena = ARENA_INIT;
    for (size_t size = 1; size < 300; size++) {
        unsigned char *bytes = arena_alloc(&arena, size);
        cr_assert(eq(sz, (uintptr_t)bytes % _Alignof(max_align_t), 0));
        for (size_t i = 0; i < size; i++) {
            cr_assert(eq(int, bytes[i], 0));
        }
        memset(bytes, 0xff, size);
    }
    arena_reset(&arena);
}

Test(arena, pieces_do_not_overlap)
{
    Arena arena = ARENA_INIT;
    unsigned char *pieces[500];
    for (int i = 0; i < 500; i++) {
        pieces[i] = arena_alloc(&arena, 33);
        memset(pieces[i], i % 251, 33);
    }
    for (int i = 0; i < 500; i++) {
        for (int j = 0; j < 33; j++) {
            cr_assert(eq(int, pieces[i][j], i % 251));
        }
    }
    arena_reset(&arena);
}

Test(arena, takes_a_piece_larger_than_a_block)
{
    Arena arena = ARENA_INIT;
    char *small = arena_strdup(&arena, "small");
    char *large = arena_alloc(&arena, 1000000);
    memset(large, 'x', 1000000);
    cr_assert(eq(str, small, "small"));
    arena_reset(&arena);
}

Test(arena, copies_and_formats_text)
{
    Arena arena = ARENA_INIT;
    char source[] = "orders";
    char *whole = arena_strdup(&arena, source);
    char *part = arena_strndup(&arena, source, 3);
    char *nothing = arena_strndup(&arena, source, 0);
    char *made = arena_printf(&arena, "%s.%d", source, 7);
    memset(source, 'x', sizeof(source) - 1);
    cr_assert(eq(str, whole, "orders"));
    cr_assert(eq(str, part, "ord"));
    cr_assert(eq(str, nothing, ""));
    cr_assert(eq(str, made, "orders.7"));
    arena_reset(&arena);
}

Test(arena, can_be_used_again_after_a_reset)
{
    Arena arena = ARENA_INIT;
    arena_reset(&arena);
    memset(arena_alloc(&arena, 100), 0xff, 100);
    arena_reset(&arena);
    cr_assert(eq(ptr, arena.head, NULL));
    unsigned char *bytes = arena_alloc(&arena, 100);
    for (int i = 0; i < 100; i++) {
        cr_assert(eq(int, bytes[i], 0));
    }
    arena_reset(&arena);
}
