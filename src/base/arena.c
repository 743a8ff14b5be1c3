#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK_BYTES 4096
#define ALIGNMENT   _Alignof(max_align_t)

struct ArenaBlock {
    ArenaBlock *next;
    size_t used;
    size_t size;
    max_align_t bytes[]; /* the type gives the alignment */
};

static ArenaBlock *
block_new(size_t wanted, ArenaBlock *next)
{
    size_t size = wanted > BLOCK_BYTES ? wanted : BLOCK_BYTES;
    ArenaBlock *block = mem_new(sizeof(ArenaBlock) + size);
    block->next = next;
    block->size = size;
    return block;
}

void *
arena_alloc(Arena *arena, size_t size)
{
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    assert(rounded >= size);

    if (arena->head == NULL || arena->head->size - arena->head->used < rounded) {
        arena->head = block_new(rounded, arena->head);
    }
    void *ptr = (char *)arena->head->bytes + arena->head->used;
    arena->head->used += rounded;
    return ptr;
}

char *
arena_strndup(Arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *
arena_strdup(Arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *
arena_printf(Arena *arena, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    assert(len >= 0);

    size_t size = (size_t)len + 1;
    char *text = arena_alloc(arena, size);
    (void)vsnprintf(text, size, fmt, again);
    va_end(again);
    return text;
}

void
arena_reset(Arena *arena)
{
    ArenaBlock *block = arena->head;
    while (block != NULL) {
        ArenaBlock *next = block->next;
        free(block);
        block = next;
    }
    arena->head = NULL;
}
