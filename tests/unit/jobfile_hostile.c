#include "unit/jobfile_hostile.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/jobfile.h"
#include "core/utf8.h"

static bool
is_printable(const char *text, const char *layout)
{
    size_t len = strlen(text);
    while (len > 0) {
        uint32_t code = 0;
        size_t width = utf8_decode(text, len, &code);
        bool is_layout = code < 0x80 && strchr(layout, (int)code) != NULL;
        if (width == 0 || (utf8_is_control(code) && !is_layout)) {
            return false;
        }
        text += width;
        len -= width;
    }
    return true;
}

/* Parse a copy of the exact size, so that the sanitizer notices a read past its end. */
static bool
parse(const char *source, size_t len, Arena *arena, JobSpec *spec, Err *err)
{
    char *copy = malloc(len + 1);
    cr_assert(ne(ptr, copy, NULL));
    char *exact = realloc(copy, len > 0 ? len : 1);
    cr_assert(ne(ptr, exact, NULL));
    memcpy(exact, source, len);
    *err = ERR_INIT;
    bool ok = jobfile_parse("f.yaml", exact, len, arena, spec, err);
    free(exact);
    return ok;
}

void
expect_refused(const char *title, const char *source, size_t len, const char *place,
    const char *message, const char *hint)
{
    Arena arena = ARENA_INIT;
    JobSpec spec;
    Err err;
    if (parse(source, len, &arena, &spec, &err)) {
        cr_expect(false, "%s: taken", title);
        arena_reset(&arena);
        return;
    }
    char start[64];
    (void)snprintf(start, sizeof(start), "f.yaml:%s: ", place);
    cr_expect(eq(int, ERR_USER, err.cls), "%s", title);
    cr_expect(eq(int, 0, strncmp(err.message, start, strlen(start))), "%s: want %s in '%s'", title,
        start, err.message);
    cr_expect(ne(ptr, strstr(err.message, message), NULL), "%s: want '%s' in '%s'", title, message,
        err.message);
    cr_expect(hint == NULL || strstr(err.hint, hint) != NULL, "%s: want hint '%s' in '%s'", title,
        hint, err.hint);
    cr_expect(is_printable(err.message, ""), "%s: message '%s'", title, err.message);
    cr_expect(is_printable(err.hint, ""), "%s: hint '%s'", title, err.hint);
    cr_expect(is_printable(err.excerpt, "\n\t"), "%s: excerpt '%s'", title, err.excerpt);
    const char *caret = strrchr(err.excerpt, '^');
    cr_expect(caret != NULL && caret[1] == '\0', "%s: excerpt '%s'", title, err.excerpt);
    arena_reset(&arena);
}

void
expect_taken(const char *title, const char *source, size_t len)
{
    Arena arena = ARENA_INIT;
    JobSpec spec;
    Err err;
    bool ok = parse(source, len, &arena, &spec, &err);
    cr_expect(ok, "%s: %s", title, err.message);
    if (ok) {
        cr_expect(eq(int, 0, strcmp(spec.job, "j")), "%s", title);
        cr_expect(lt(int, 0, spec.set_count), "%s", title);
    }
    arena_reset(&arena);
}
