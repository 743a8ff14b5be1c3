#include "cli/restore_case.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "harness/session.h"

RestoreCase
restore_case_new(const char *setup)
{
    RestoreCase test = {.base = cli_base_new(1)};
    (void)snprintf(test.path, sizeof(test.path), "%s/archive", test.base.folder);
    pg_exec(test.base.conn, setup);
    return test;
}

void
restore_case_free(RestoreCase *test)
{
    cli_base_free(&test->base);
}

void
restore_case_purge(const RestoreCase *test, const char *table, const char *where, const char *lines)
{
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&job,
        "job: old-rows\npurge: '%s'\nwhere: %s\narchive: %s\nbatch: {rows: 10}\n"
        "throttle: {standbys: none}\n%s",
        table, where, test->path, lines);
    cli_base_write_job(&test->base, strbuf_text(&job));
    CliResult result = CLI("run", test->base.job_file, "-d", test->base.uri, "--yes");
    cr_assert(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
}

char *
restore_case_run(const RestoreCase *test, const char *word, int code, const char *const more[4])
{
    CliResult result =
        CLI("archive", word, test->path, "--no-color", more[0], more[1], more[2], more[3]);
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "%s\n%s", result.out, result.err);
    cr_expect(eq(int, code, result.code), "%s:\n%s", word, strbuf_text(&text));
    cli_free(&result);
    return strdup(strbuf_text(&text));
}

void
restore_case_expect(const RestoreCase *test, const char *word, int code, const char *part,
    const char *const more[4])
{
    char *text = restore_case_run(test, word, code, more);
    cr_expect(cli_has(text, part), "%s: \"%s\" is not in\n%s", word, part, text);
    free(text);
}

char *
restore_case_file(const RestoreCase *test)
{
    struct dirent **entries = NULL;
    char *path = NULL;
    int count = scandir(test->path, &entries, NULL, alphasort);
    cr_assert(lt(int, 0, count));
    for (int i = 0; i < count; i++) {
        if (path == NULL && entries[i]->d_name[0] != '.') {
            STRBUF_AUTO whole = STRBUF_INIT;
            strbuf_printf(&whole, "%s/%s", test->path, entries[i]->d_name);
            path = strdup(strbuf_text(&whole));
        }
        free(entries[i]);
    }
    free((void *)entries);
    cr_assert(path != NULL);
    return path;
}

void
restore_case_flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+e");
    cr_assert(file != NULL);
    int whence = at < 0 ? SEEK_END : SEEK_SET;
    cr_assert(fseek(file, at, whence) == 0);
    int byte = fgetc(file);
    cr_assert(byte != EOF && fseek(file, at, whence) == 0 && fputc(byte ^ 0x20, file) != EOF);
    cr_assert(fclose(file) == 0);
}
