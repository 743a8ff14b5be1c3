#include "cli/archive_case.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "harness/session.h"

ArchiveCase
archive_case_new(const char *setup)
{
    ArchiveCase test = {.base = cli_base_new(1)};
    (void)snprintf(test.path, sizeof(test.path), "%s/archive", test.base.folder);
    pg_exec(test.base.conn, setup);
    return test;
}

void
archive_case_free(ArchiveCase *test)
{
    cli_base_free(&test->base);
}

void
archive_case_purge(const ArchiveCase *test, const char *table, const char *where, const char *lines)
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
archive_case_run(const ArchiveCase *test, const char *word, int code, const char *const more[4])
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
archive_case_expect(const ArchiveCase *test, const char *word, int code, const char *part,
    const char *const more[4])
{
    char *text = archive_case_run(test, word, code, more);
    cr_expect(cli_has(text, part), "%s: \"%s\" is not in\n%s", word, part, text);
    free(text);
}

char *
archive_case_file(const ArchiveCase *test)
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
archive_case_flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+e");
    cr_assert(file != NULL);
    int whence = at < 0 ? SEEK_END : SEEK_SET;
    cr_assert(fseek(file, at, whence) == 0);
    int byte = fgetc(file);
    cr_assert(byte != EOF && fseek(file, at, whence) == 0 && fputc(byte ^ 0x20, file) != EOF);
    cr_assert(fclose(file) == 0);
}
