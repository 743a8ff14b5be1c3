/*
 * test_restore_hostile.c - archives that somebody made up, and restores that are killed.
 *
 * PGHAUL_SOAK=1 asks for the full count of kills, PGHAUL_KILLS=N for N of them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/strbuf.h"
#include "cli/restore_case.h"
#include "engine/archive_file.h"
#include "harness/harness.h"
#include "harness/session.h"

/* ---- forged files ---- */

typedef struct Forgery {
    const char *title;
    const char *column; /* the second one; the first is id int */
    const char *type;
    const char *encoding;
    const char *text;
    int64_t rows; /* as the head says */
    int code;
    const char *words;
} Forgery;

static const Forgery FORGERIES[] = {
    {"SQL in a column's name", "note) FROM PROGRAM 'touch /tmp/pghaul-was-here' --", "text", "UTF8",
        "1\ta\n", 1, 4, "has no column"},
    {"a type that is not the column's", "note", "text; DROP TABLE s", "UTF8", "1\ta\n", 1, 4,
        "another one"},
    {"SQL in the encoding", "note", "text", "UTF8'); DROP TABLE s; --", "1\ta\n", 1, 1,
        "columns or encoding"},
    {"an encoding that there is not", "note", "text", "KLINGON", "1\ta\n", 1, 1, "22023"},
    {"fewer rows than its head says", "note", "text", "UTF8", "1\ta\n", 7, 1, " at 0: "},
    {"an end of data in the middle", "note", "text", "UTF8", "1\ta\n\\.\n2\tb\n", 3, 1, "error"},
    {"a row with more fields", "note", "text", "UTF8", "1\ta\n2\tb\tc\n", 2, 1, "22P04"},
    {"bytes that are no text", "note", "text", "UTF8", "1\t\xff\xfe\n", 1, 1, "22021"},
};
#define FORGERY_COUNT (sizeof(FORGERIES) / sizeof(FORGERIES[0]))

/* A file of one frame, of a table whose first column is id int. */
typedef struct Forged {
    const char *table;
    int table_no;
    ArchiveColumn second;
    const char *encoding;
    const char *text;
    int64_t rows;
} Forged;

static void
forge(const RestoreCase *test, const Forged *forged)
{
    const ArchiveColumn columns[] = {{"id", "integer"}, forged->second};
    const ArchiveOrigin origin = {
        .job = "forged",
        .job_uuid = "00000000-0000-0000-0000-00000000f00d",
        .run = 1,
        .worker = 1,
        .file_no = 1 + forged->table_no,
        .table_no = forged->table_no,
        .database = "d",
        .schema = "public",
        .table = forged->table,
        .columns = columns,
        .column_count = 2,
        .system_id = "1",
        .timeline = 1,
        .server_version = "15.4",
        .encoding = forged->encoding,
    };
    const ArchiveBatch batch = {.pass = 1,
        .range = 1,
        .rows = forged->rows,
        .text = forged->text,
        .len = strlen(forged->text),
        .before = ARCHIVE_NONE};
    Err err = ERR_INIT;
    ArchiveFolder folder = ARCHIVE_FOLDER_INIT;
    ArchiveWriter *writer = NULL;
    ArchivePlace place;
    int64_t bytes = 0;
    ArchiveEncoder *encoder = archive_encoder_new(1);
    cr_assert(archive_folder_make(test->path, &folder, &err), "%s", err.message);
    cr_assert(archive_create(&folder, &origin, &writer, &err), "%s", err.message);
    cr_assert(archive_append(writer, encoder, &batch, &place, &err), "%s", err.message);
    cr_assert(archive_finish(writer, ARCHIVE_COMMITTED, &bytes, &err), "%s", err.message);
    archive_encoder_free(encoder);
    archive_folder_close(&folder);
}

static void
expect_refused(const RestoreCase *test, const Forgery *forgery)
{
    const Forged forged = {
        "s", 0, {forgery->column, forgery->type}, forgery->encoding, forgery->text, forgery->rows};
    forge(test, &forged);
    char *text = ARCHIVE_RUN(test, "restore", forgery->code, "-d", test->base.uri, "--yes");
    CliResult shown = CLI("quarantine", "restore-forged", "-d", test->base.uri);
    cr_expect(cli_has(text, forgery->words) || cli_has(shown.out, forgery->words), "%s:\n%s\n%s",
        forgery->title, text, shown.out);
    cr_expect(eq(i64, 0, pg_int(test->base.conn, "SELECT count(*) FROM s")), "%s", forgery->title);
    cli_free(&shown);
    free(text);
    CliResult clean = CLI("clean", "--all", "-d", test->base.uri);
    cli_free(&clean);
    char *file = restore_case_file(test);
    cr_assert(remove(file) == 0);
    free(file);
}

Test(restore_hostile, nothing_of_a_forged_archive_reaches_the_table)
{
    RestoreCase test = restore_case_new("CREATE TABLE s (id int, note text)");
    for (size_t i = 0; i < FORGERY_COUNT; i++) {
        expect_refused(&test, &FORGERIES[i]);
    }
    struct stat status;
    cr_expect(ne(int, 0, stat("/tmp/pghaul-was-here", &status)));
    restore_case_free(&test);
}

/* ---- several tables ---- */

Test(restore_hostile, parents_come_back_before_their_children)
{
    static const Forged PARENTS = {"s", 0, {"note", "text"}, "UTF8", "1\ta\n2\t\\N\n", 2};
    static const Forged CHILDREN = {"c", 1, {"s", "integer"}, "UTF8", "7\t1\n8\t2\n9\t1\n", 3};
    RestoreCase test =
        restore_case_new("CREATE TABLE s (id int PRIMARY KEY, note text);"
                         "CREATE TABLE c (id int PRIMARY KEY, s int NOT NULL REFERENCES s)");
    forge(&test, &CHILDREN);
    forge(&test, &PARENTS);
    ARCHIVE_EXPECT(
        &test, "restore", 2, "rows of 2 tables", "-d", test.base.uri, "--yes", "--into=s");
    ARCHIVE_EXPECT(&test, "restore", 0, "restored", "-d", test.base.uri, "--yes");
    cr_expect(eq(i64, 2, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    cr_expect(eq(i64, 3, pg_int(test.base.conn, "SELECT count(*) FROM c JOIN s ON s.id = c.s")));
    CliResult shown = CLI("status", "-d", test.base.uri);
    cr_expect(cli_has(shown.out, "restore-forged-t1"), "%s", shown.out);
    cli_free(&shown);
    restore_case_free(&test);
}

/* ---- kills ---- */

#define ROWS       3000
#define KILLS      4
#define KILLS_SOAK 80

static int64_t
kills_wanted(void)
{
    const char *count = harness_env("PGHAUL_KILLS", NULL);
    if (count != NULL) {
        return strtoll(count, NULL, 10);
    }
    return harness_env("PGHAUL_SOAK", NULL) == NULL ? KILLS : KILLS_SOAK;
}

static int64_t
frames_done(const RestoreCase *test)
{
    return pg_int(test->base.conn,
        "SELECT count(*) FROM pghaul.ranges r JOIN pghaul.job j ON j.id = r.job"
        " WHERE j.name = 'restore-old-rows' AND j.cleaned IS NULL AND r.state = 'done'");
}

/* Let a run restore some frames and kill it; false when it was faster. */
static bool
run_and_kill(const RestoreCase *test, Prng *prng)
{
    const char *args[] = {
        "archive", "restore", test->path, "-d", test->base.uri, "--yes", "-q", "-w2", NULL};
    int64_t before = frames_done(test);
    Proc *proc = proc_start_pghaul(args);
    bool ended = false;
    while (!ended && frames_done(test) == before) {
        ended = proc_wait(proc, 5000);
    }
    if (!ended) {
        (void)proc_wait(proc, prng_between(prng, 0, 150000));
    }
    proc_signal(proc, SIGKILL);
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    char *text = proc_stderr(proc);
    cr_expect(code == 0 || code == 128 + SIGKILL, "exit code %d: %s", code, text);
    free(text);
    proc_free(proc);
    return code != 0;
}

Test(restore_hostile, killed_restore_goes_on_and_each_row_is_there_once)
{
    RestoreCase test = restore_case_new("SELECT 1");
    pg_execf(test.base.conn,
        "CREATE TABLE s (id int PRIMARY KEY, note text);"
        "INSERT INTO s SELECT i, md5(i::text) FROM generate_series(1, %d) AS i;"
        "CREATE TABLE kept AS TABLE s",
        ROWS);
    restore_case_purge(&test, "s", "true", "");
    pg_exec(test.base.conn, "ALTER TABLE s DROP CONSTRAINT s_pkey"); /* it would hide a mistake */
    Prng prng;
    prng_init(&prng, harness_seed());
    int64_t kills = 0;
    for (int64_t wanted = kills_wanted(); kills < wanted;) {
        if (run_and_kill(&test, &prng)) {
            kills++;
            continue;
        }
        CliResult clean = CLI("clean", "restore-old-rows", "-d", test.base.uri);
        cr_assert(eq(int, 0, clean.code), "%s", clean.err);
        cli_free(&clean);
        cr_expect(eq(i64, ROWS, pg_int(test.base.conn, "SELECT count(*) FROM s")));
        pg_exec(test.base.conn, "TRUNCATE s");
    }
    ARCHIVE_EXPECT(&test, "restore", 0, "", "-d", test.base.uri, "--yes");
    cr_expect(eq(i64, ROWS, pg_int(test.base.conn, "SELECT count(*) FROM s")));
    cr_expect(
        eq(i64, ROWS, pg_int(test.base.conn, "SELECT count(*) FROM s JOIN kept USING (id, note)")));
    restore_case_free(&test);
}
