/*
 * test_archive.c - what a purge writes to its archive, and what the next run says of a folder that
 * is not as it was left.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "cli/archive_case.h"
#include "harness/harness.h"

#define ROWS 2000
#define ONE  "workers: 1\nbatch: {rows: 300}\n"

/* `run --yes` must exit with this code and say these words. */
static void
expect_run(const ArchiveCase *c, int code, const char *words)
{
    char *out = job_verb_output(&c->test, "run", (const char *const[]){"--yes", NULL}, code);
    cr_expect(ne(ptr, strstr(out, words), NULL), "%s is missing in:\n%s", words, out);
    free(out);
}

static ArchiveCase
open_archived(const char *more)
{
    ArchiveCase c;
    archive_case_open(&c, cluster_shared(), more);
    archive_case_fill(&c, ROWS);
    job_expect_run(&c.test, 0);
    archive_case_check(&c, true, "first run");
    return c;
}

/* What `zstd -dc` makes of the file; returns owned. */
static char *
plain_rows(const ArchiveCase *c, int no)
{
    char *file = archive_case_file(c, no);
    STRBUF_AUTO out = STRBUF_INIT;
    strbuf_printf(&out, "%s/plain", c->test.folder);
    (void)unlink(strbuf_text(&out));
    const char *argv[] = {"/usr/bin/zstd", "-dc", file, NULL};
    proc_run(&(ProcSpec){.argv = argv, .out_path = strbuf_text(&out)}, HARNESS_TIMEOUT_US);
    free(file);
    return harness_read_file(strbuf_text(&out));
}

Test(archive, zstd_gives_the_rows_as_copy_text)
{
    ArchiveCase c;
    archive_case_open(&c, cluster_shared(), ONE);
    pg_exec(c.test.conn, "INSERT INTO item VALUES (1, true, E'a\\tb\\\\c\\nd'), (2, true, NULL),"
                         " (3, false, 'x'), (4, true, 'Zoë')");
    expect_run(&c, 0, "archived        ");
    char *rows = plain_rows(&c, 1);
    cr_expect(eq(str, rows, "1\tt\ta\\tb\\\\c\\nd\n2\tt\t\\N\n4\tt\tZoë\n"));
    free(rows);
    cr_expect(eq(i64, 1, pg_int(c.test.conn, "SELECT count(*) FROM item")));
    struct stat status;
    char *file = archive_case_file(&c, 1);
    cr_assert(eq(int, 0, stat(file, &status)));
    cr_expect(eq(int, 0600, (int)(status.st_mode & 07777)));
    cr_expect(eq(i64, status.st_size,
        pg_int(c.test.conn, "SELECT bytes FROM pghaul.archive_file WHERE closed IS NOT NULL")));
    cr_assert(eq(int, 0, stat(c.archive, &status)));
    cr_expect(eq(int, 0700, (int)(status.st_mode & 07777)));
    cr_expect(eq(i64, 1,
        pg_int(c.test.conn, "SELECT count(*) FROM pghaul.run WHERE archived_bytes ="
                            " (SELECT sum(bytes) FROM pghaul.archive_frame)")));
    free(file);
    archive_case_close(&c);
}

Test(archive, each_worker_of_each_run_has_a_file)
{
    ArchiveCase c = open_archived("workers: 2\nbatch: {rows: 50}\n");
    archive_case_fill(&c, ROWS);
    job_expect_run(&c.test, 0);
    archive_case_check(&c, true, "second run");
    cr_expect(eq(i64, 1,
        pg_int(c.test.conn, "SELECT count(*) BETWEEN 2 AND 4 AND"
                            " count(DISTINCT run) = 2 AND count(closed) = count(*)"
                            " FROM pghaul.archive_file")));
    job_expect_run(&c.test, 0);
    cr_expect(eq(i64, 2,
                  pg_int(c.test.conn, "SELECT count(DISTINCT run) FROM"
                                      " pghaul.archive_file")),
        "no file without a row");
    archive_case_close(&c);
}

Test(archive, has_the_columns_that_the_table_has_when_the_run_begins)
{
    ArchiveCase c = open_archived(ONE);
    pg_exec(c.test.conn, "ALTER TABLE item ADD COLUMN twice bigint GENERATED ALWAYS AS (id * 2)"
                         " STORED, ADD COLUMN more text DEFAULT 'new'; INSERT INTO item"
                         " VALUES (900000, true, 'v')");
    job_expect_run(&c.test, 0);
    char *rows = plain_rows(&c, 2);
    cr_expect(eq(str, rows, "900000\tt\tv\tnew\n"));
    free(rows);
    archive_case_close(&c);
}

/* ---- rows that somebody holds ---- */

Test(archive, rows_that_somebody_holds_are_left_for_later)
{
    ArchiveCase c;
    archive_case_open(&c, cluster_shared(), ONE);
    archive_case_fill(&c, ROWS);
    Session *holder = session_open(c.test.uri);
    session_lock_rows(holder, "item", "id IN (7, 700, 701, 1999)");
    Proc *proc = job_start(&c.test);
    pg_wait_true(c.test.conn, "SELECT count(*) = 4 FROM item WHERE id > 0", HARNESS_TIMEOUT_US);
    cr_expect(proc_wait_output(proc, "are locked by", HARNESS_TIMEOUT_US));
    session_release(holder);
    session_close(holder);
    job_expect_exit(proc, 0);
    archive_case_check(&c, true, "released");
    archive_case_close(&c);
}

/* ---- a folder that is not as it was left ---- */

Test(archive, a_file_that_is_gone_stops_the_run)
{
    ArchiveCase c = open_archived(ONE);
    archive_case_fill(&c, 10);
    char *file = archive_case_file(&c, 1);
    STRBUF_AUTO away = STRBUF_INIT;
    strbuf_printf(&away, "%s/away", c.test.folder);
    cr_assert(eq(int, 0, rename(file, strbuf_text(&away))));
    expect_run(&c, 1, "is missing, and rows that it has are deleted");
    cr_expect(eq(i64, 10, pg_int(c.test.conn, "SELECT count(*) FROM item")));
    cr_assert(eq(int, 0, symlink(strbuf_text(&away), file)));
    expect_run(&c, 1, "is not as large as when it was closed");
    cr_assert(eq(int, 0, unlink(file)));
    cr_assert(eq(int, 0, rename(strbuf_text(&away), file)));
    job_expect_run(&c.test, 0);
    archive_case_check(&c, true, "brought back");

    STRBUF_AUTO elsewhere = STRBUF_INIT;
    strbuf_printf(&elsewhere, "%s.elsewhere", c.archive);
    cr_assert(eq(int, 0, rename(c.archive, strbuf_text(&elsewhere))));
    expect_run(&c, 1, "is missing, and rows that its files have are deleted");
    cr_expect(eq(int, 0, rename(strbuf_text(&elsewhere), c.archive)), "a folder was made");

    cr_assert(eq(int, 0, rename(file, strbuf_text(&away))));
    pg_exec(c.test.conn, "UPDATE pghaul.archive_file SET bytes = NULL WHERE no = 1");
    job_expect_run(&c.test, 0);
    free(file);
    archive_case_close(&c);
}

Test(archive, a_file_that_was_cut_stops_the_run)
{
    ArchiveCase c = open_archived(ONE);
    char *file = archive_case_file(&c, 1);
    struct stat status;
    cr_assert(eq(int, 0, stat(file, &status)));
    cr_assert(eq(int, 0, truncate(file, status.st_size - 1)));
    expect_run(&c, 1, "is not as large as when it was closed");
    free(file);
    archive_case_close(&c);
}

static void
flip_byte(const char *path, int64_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char byte = 0;
    cr_assert(pread(fd, &byte, 1, at) == 1);
    byte = (char)(byte ^ 0x20);
    cr_assert(pwrite(fd, &byte, 1, at) == 1);
    (void)close(fd);
}

Test(archive, a_frame_that_is_damaged_stops_the_run_and_is_left_alone)
{
    ArchiveCase c = open_archived(ONE);
    char *file = archive_case_file(&c, 1);
    pg_exec(c.test.conn, "UPDATE pghaul.archive_file SET closed = NULL, bytes = NULL");
    int64_t end = pg_int(c.test.conn, "SELECT max(at + bytes) FROM pghaul.archive_frame");
    struct stat before;
    struct stat after;
    for (int i = 0; i < 2; i++) {
        /* in the middle of the file, then in its last frame, where it could be a torn tail */
        int64_t at = i == 0 ? end / 2 : end - 10;
        cr_assert(eq(int, 0, truncate(file, end)));
        flip_byte(file, at);
        cr_assert(eq(int, 0, stat(file, &before)));
        expect_run(&c, 1, i == 0 ? "is damaged" : "has no whole frame");
        cr_assert(eq(int, 0, stat(file, &after)));
        cr_expect(eq(i64, before.st_size, after.st_size));
        flip_byte(file, at);
    }
    job_expect_run(&c.test, 0);
    archive_case_check(&c, true, "mended");
    cr_expect(eq(i64, 0, archive_case_open_files(&c)));
    free(file);
    archive_case_close(&c);
}

Test(archive, a_file_that_the_database_does_not_know_is_refused)
{
    ArchiveCase c = open_archived(ONE);
    archive_case_fill(&c, 10);
    pg_exec(c.test.conn, "DROP SCHEMA pghaul CASCADE");
    expect_run(&c, 4, "this database does not know archive file");
    cr_expect(eq(i64, 10, pg_int(c.test.conn, "SELECT count(*) FROM item")));
    archive_case_close(&c);
}

Test(archive, a_job_that_was_cleaned_and_made_anew_leaves_the_old_files_alone)
{
    ArchiveCase c = open_archived(ONE);
    job_expect_verb(&c.test, "clean", NULL, 0);
    archive_case_fill(&c, ROWS);
    job_expect_run(&c.test, 0);
    archive_case_check(&c, true, "made anew");
    cr_expect(eq(i64, 2,
        pg_int(c.test.conn, "SELECT count(DISTINCT job) FROM"
                            " pghaul.archive_file")));
    archive_case_close(&c);
}

Test(archive, a_folder_that_is_not_ours_alone_is_refused)
{
    ArchiveCase c = open_archived(ONE);
    cr_assert(eq(int, 0, chmod(c.archive, 0770)));
    expect_run(&c, 4, c.archive);
    cr_assert(eq(int, 0, chmod(c.archive, 0700)));
    STRBUF_AUTO away = STRBUF_INIT;
    strbuf_printf(&away, "%s/away", c.test.folder);
    cr_assert(eq(int, 0, rename(c.archive, strbuf_text(&away))));
    cr_assert(eq(int, 0, symlink(strbuf_text(&away), c.archive)));
    expect_run(&c, 4, c.archive);
    cr_assert(eq(int, 0, unlink(c.archive)));
    expect_run(&c, 1, "is missing");
    cr_assert(eq(int, 0, rmdir(c.archive)), "it was made, and nothing in it");
    cr_assert(eq(int, 0, rename(strbuf_text(&away), c.archive)));
    if (geteuid() == 0) {
        cr_assert(eq(int, 0, chown(c.archive, 1, 1)));
        expect_run(&c, 4, c.archive);
        cr_assert(eq(int, 0, chown(c.archive, 0, 0)));
    }
    job_expect_run(&c.test, 0);
    archive_case_close(&c);
}
