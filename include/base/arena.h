/*
 * arena.h - memory with one lifetime: many small allocations, freed all at once.
 *
 * A job file, the facts of a catalog, one turn of a worker: each owns an arena, and nothing in it
 * outlives the arena's next reset.  Allocation never fails (see mem.h).
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
    ArenaBlock *head; /* newest block first */
} Arena;

#define ARENA_INIT ((Arena){.head = NULL})

/* Zeroed memory, aligned for any object. */
void *arena_alloc(Arena *arena, size_t size) __attribute__((returns_nonnull));

char *arena_strdup(Arena *arena, const char *text) __attribute__((returns_nonnull));

/* A copy of the first `len` bytes of `text`, zero-terminated. */
char *arena_strndup(Arena *arena, const char *text, size_t len) __attribute__((returns_nonnull));

char *arena_printf(Arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));

/* Give up everything in the arena; pointers into it are dead, the arena may be used again. */
void arena_reset(Arena *arena);

#endif
