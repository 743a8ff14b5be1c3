/*
 * fuzz_jobfile.c - libFuzzer over jobfile_parse(): any bytes are a job, or an error with its place
 * in one line that can be printed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/jobfile.h"
#include "core/utf8.h"

/* NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
expect(bool truth)
{
    if (!truth) {
        abort();
    }
}

static void
expect_printable(const char *text, bool may_break)
{
    size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        size_t width = utf8_decode(text + at, len - at, &code);
        bool is_layout = may_break && (code == '\n' || code == '\t');
        /* a text that fills its array may end in the middle of a character */
        expect(width > 0 || (code == 0 && len - at < 4 && len >= 508));
        expect(is_layout || !utf8_is_control(code) || width == 0);
        at += width == 0 ? 1 : width;
    }
}

static void
expect_good_error(const Err *err)
{
    expect(err->cls == ERR_USER);
    expect(strncmp(err->message, "f:", 2) == 0);
    expect(err->message[2] >= '1' && err->message[2] <= '9');
    expect_printable(err->message, false);
    expect_printable(err->hint, false);
    expect_printable(err->excerpt, true);
}

static void
expect_good_job(const JobSpec *spec)
{
    expect(spec->job[0] >= 'a' && spec->job[0] <= 'z');
    expect(spec->table[0] != '\0' && spec->set_count > 0);
    for (int i = 0; i < spec->set_count; i++) {
        expect(spec->set[i].column[0] != '\0' && spec->set[i].expr.text[0] != '\0');
        expect(spec->set[i].expr.place.line > 0 && spec->set[i].expr.place.column > 0);
    }
}

int
/* NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name */
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    Arena arena = ARENA_INIT;
    JobSpec spec;
    Err err = ERR_INIT;
    if (jobfile_parse("f", (const char *)bytes, len, &arena, &spec, &err)) {
        expect_good_job(&spec);
        /* where the server points to in an expression is looked up in the file */
        for (int offset = -1; offset < 3; offset++) {
            (void)jobfile_sql_error(&spec, &spec.set[0].expr, offset, "refused", &err);
            expect_good_error(&err);
            err = ERR_INIT;
        }
    } else {
        expect_good_error(&err);
    }
    arena_reset(&arena);
    return 0;
}
