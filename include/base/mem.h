/*
 * mem.h - allocation that cannot fail: running out of memory ends the process with a message.
 *
 * There is no useful way on for a mover without memory, and the checkpoint in the database makes
 * an abrupt end safe.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Zeroed memory for one object of `size` bytes; returns owned, freed with free(). */
void *mem_new(size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));

/* `ptr` grown or shrunk to count * size bytes; checks the product for overflow. */
void *mem_resize(void *ptr, size_t count, size_t size)
    __attribute__((returns_nonnull, warn_unused_result));

/* A copy of `text`; returns owned. */
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull, warn_unused_result));

#endif
