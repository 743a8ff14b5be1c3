#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
die_without_memory(void)
{
    (void)fputs("pghaul: out of memory\n", stderr);
    abort();
}

void *
mem_new(size_t size)
{
    void *ptr = calloc(1, size == 0 ? 1 : size);
    if (ptr == NULL) {
        die_without_memory();
    }
    return ptr;
}

void *
mem_resize(void *ptr, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        die_without_memory();
    }
    size_t bytes = count * size;
    void *grown = realloc(ptr, bytes == 0 ? 1 : bytes);
    if (grown == NULL) {
        die_without_memory();
    }
    return grown;
}

char *
mem_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = mem_new(size);
    memcpy(copy, text, size);
    return copy;
}
