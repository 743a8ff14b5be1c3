/*
 * test_archive_children.c - rows are archived together with those that refer to them: all of them,
 * each once, and nothing that is still there.
 *
 * PGHAUL_SOAK=1 asks for the full counts.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "cli/children_case.h"
#include "harness/harness.h"

#define KILLS      3
#define KILLS_SOAK 100

static void
write_archive_job(const CliBase *base, size_t folder, const char *more)
{
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(
        &job, "purge: t\nchildren: delete\narchive: %s/archive%zu\n%s", base->folder, folder, more);
    children_write_job(base, strbuf_text(&job));
}

static void
append_frame(int to, const char *path, int64_t at, int64_t bytes)
{
    int from = open(path, O_RDONLY | O_CLOEXEC);
    char *frame = mem_new((size_t)bytes);
    cr_assert(le(int, 0, from), "%s", path);
    cr_assert(pread(from, frame, (size_t)bytes, at) == bytes, "%s is too short", path);
    cr_assert(write(to, frame, (size_t)bytes) == bytes);
    free(frame);
    (void)close(from);
}

/* The committed frames of one table, one after the other. */
static int
collect_frames(const CliBase *base, const char *table, const char *path)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "SELECT f.name, e.at, e.bytes FROM pghaul.archive_frame e JOIN pghaul.archive_file f"
        " ON f.job = e.job AND f.no = e.file WHERE e.fate = 'committed'"
        " AND replace(f.table_name, '\"', '') = 'public.%s' ORDER BY e.file, e.no",
        table);
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    PGresult *frames = PQexec(base->conn, strbuf_text(&sql));
    for (int i = 0; i < PQntuples(frames); i++) {
        STRBUF_AUTO file = STRBUF_INIT;
        strbuf_printf(&file, "%s/archive0/%s", base->folder, PQgetvalue(frames, i, 0));
        append_frame(to, strbuf_text(&file), strtoll(PQgetvalue(frames, i, 1), NULL, 10),
            strtoll(PQgetvalue(frames, i, 2), NULL, 10));
    }
    int count = PQntuples(frames);
    PQclear(frames);
    (void)close(to);
    return count;
}

/* Table archived_X has what was archived of X. */
static void
load_archived(const CliBase *base, const char *table)
{
    STRBUF_AUTO frames = STRBUF_INIT;
    STRBUF_AUTO rows = STRBUF_INIT;
    strbuf_printf(&frames, "%s/committed.zst", base->folder);
    strbuf_printf(&rows, "%s/rows", base->folder);
    harness_write_file(strbuf_text(&rows), "");
    if (collect_frames(base, table, strbuf_text(&frames)) > 0) {
        const char *argv[] = {"/usr/bin/zstd", "-dc", strbuf_text(&frames), NULL};
        proc_run(&(ProcSpec){.argv = argv, .out_path = strbuf_text(&rows)}, HARNESS_TIMEOUT_US);
    }
    char *text = harness_read_file(strbuf_text(&rows));
    STRBUF_AUTO copy = STRBUF_INIT;
    pg_execf(base->conn, "DROP TABLE IF EXISTS archived_%s; CREATE TABLE archived_%s (LIKE %s)",
        table, table, table);
    strbuf_printf(&copy, "COPY archived_%s FROM STDIN", table);
    PGresult *begun = PQexec(base->conn, strbuf_text(&copy));
    cr_assert(eq(int, PGRES_COPY_IN, (int)PQresultStatus(begun)));
    PQclear(begun);
    cr_assert(eq(int, 1, PQputCopyData(base->conn, text, (int)strlen(text))));
    cr_assert(eq(int, 1, PQputCopyEnd(base->conn, NULL)));
    PGresult *end = PQgetResult(base->conn);
    cr_assert(
        eq(int, PGRES_COMMAND_OK, (int)PQresultStatus(end)), "%s", PQerrorMessage(base->conn));
    PQclear(end);
    cr_assert(eq(ptr, PQgetResult(base->conn), NULL));
    free(text);
}

static void
load_all(const CliBase *base)
{
    load_archived(base, "t");
    load_archived(base, "c");
    load_archived(base, "g");
}

static void
run_to_end(const CliBase *base)
{
    Proc *proc = children_start_run(base);
    int code = proc_finish(proc, SECONDS_US(60));
    char *text = proc_stderr(proc);
    cr_expect(zero(int, code), "%s", text);
    free(text);
    proc_free(proc);
}

#define EVERY                                                                                      \
    "CREATE TABLE every_t AS TABLE t; CREATE TABLE every_c AS TABLE c; CREATE TABLE every_g AS "   \
    "TABLE g;"
#define SAME(table)                                                                                \
    pg_compare(base.conn, "TABLE every_" table,                                                    \
        "SELECT * FROM (SELECT * FROM " table " UNION ALL SELECT * FROM archived_" table ") AS r", \
        NULL)

Test(archive_children, what_went_is_in_files_of_its_own)
{
    CliBase base = cli_base_new(1);
    children_start_over(&base, PARENT CHILD("ON DELETE CASCADE") GRANDCHILD
        "ALTER TABLE c ADD z int, ADD x text;"
        " ALTER TABLE c DROP z; UPDATE c SET x = E'a\\tb\\n' || id WHERE id % 3 = 0;" EVERY);
    write_archive_job(&base, 0, "where: old\nworkers: 2\n");
    run_to_end(&base);
    load_all(&base);
    cr_expect(eq(i64, 0, pg_int(base.conn, T_WRONG C_WRONG G_WRONG)));
    cr_expect(eq(i64, 0, SAME("t")));
    cr_expect(eq(i64, 0, SAME("c")));
    cr_expect(eq(i64, 0, SAME("g")));
    cr_expect(eq(i64, 0,
        pg_int(base.conn, "SELECT count(*) FROM pghaul.archive_file WHERE closed IS NULL")));
    STRBUF_AUTO path = STRBUF_INIT;
    strbuf_printf(&path, "%s/archive0", base.folder);
    CliResult verify = CLI("archive", "verify", strbuf_text(&path), "-d", base.uri);
    cr_expect(zero(int, verify.code), "%s%s", verify.out, verify.err);
    cli_free(&verify);
    CliResult restore = CLI("archive", "restore", strbuf_text(&path), "-d", base.uri, "--yes");
    cr_expect(zero(int, restore.code), "%s%s", restore.out, restore.err);
    cli_free(&restore);
    cr_expect(eq(i64, 0, pg_compare(base.conn, "TABLE every_t", "TABLE t", NULL)));
    cr_expect(eq(i64, 0, pg_compare(base.conn, "TABLE every_c", "TABLE c", NULL)));
    cr_expect(eq(i64, 0, pg_compare(base.conn, "TABLE every_g", "TABLE g", NULL)));
    cli_base_free(&base);
}

/* More than a frame takes: the batch ends where the parents that were read end. */
Test(archive_children, rows_that_are_very_wide_go_in_batches_of_a_few)
{
    CliBase base = cli_base_new(1);
    children_start_over(&base,
        "CREATE TABLE t (id int PRIMARY KEY, old bool NOT NULL, v text);"
        "INSERT INTO t SELECT i, i % 2 = 0, repeat(chr(64 + i), 3000000) FROM generate_series(1, "
        "24) i;"
        "CREATE TABLE c (id int PRIMARY KEY, t int REFERENCES t, v text); CREATE INDEX ON c (t);"
        "INSERT INTO c SELECT i, 1 + i % 24, repeat(chr(64 + i), 500000) FROM generate_series(1, "
        "48) i;"
        "CREATE TABLE every_t AS TABLE t; CREATE TABLE every_c AS TABLE c;");
    write_archive_job(&base, 0, "where: old\nworkers: 1\n");
    run_to_end(&base);
    load_archived(&base, "t");
    load_archived(&base, "c");
    cr_expect(eq(i64, 12, pg_int(base.conn, "SELECT count(*) FROM t WHERE NOT old")));
    cr_expect(eq(i64, 24, pg_int(base.conn, "SELECT count(*) FROM c")));
    cr_expect(eq(i64, 0, SAME("t")));
    cr_expect(eq(i64, 0, SAME("c")));
    cr_expect(le(i64, 1,
        pg_int(base.conn, "SELECT count(*) FROM pghaul.archive_frame WHERE fate = 'committed'"
                          " AND file = 1 AND raw_bytes > 15000000")));
    cli_base_free(&base);
}

/* What the application writes there from then on is in no frame. */
Test(archive_children, a_column_that_is_computed_no_more_ends_the_run)
{
    CliBase base = cli_base_new(1);
    children_start_over(&base,
        SLOW PARENT CHILD("") "ALTER TABLE c ADD twice int GENERATED ALWAYS AS (id * 2) STORED");
    write_archive_job(&base, 0, "where: slow(old)\nworkers: 1\n");
    Proc *proc = children_start_run(&base);
    pg_wait_true(base.conn, "SELECT count(*) < 600 FROM c", HARNESS_TIMEOUT_US);
    pg_exec(base.conn, "ALTER TABLE c ALTER twice DROP EXPRESSION; UPDATE c SET twice = 7");
    cr_expect(eq(int, 1, proc_finish(proc, SECONDS_US(60))));
    char *text = proc_stderr(proc);
    cr_expect(cli_has(text, "other columns than when the run began"), "%s", text);
    free(text);
    proc_free(proc);
    run_to_end(&base);
    cr_expect(eq(i64, 0, pg_int(base.conn, T_WRONG C_WRONG)));
    cli_base_free(&base);
}

Test(archive_children, a_table_that_several_keys_lead_to_is_archived_once)
{
    CliBase base = cli_base_new(1);
    children_start_over(&base,
        PARENT CHILD(
            "") "CREATE TABLE g (c int REFERENCES c, t int REFERENCES t, s int REFERENCES"
                "  t ON DELETE SET NULL);"
                "CREATE INDEX ON g (c); CREATE INDEX ON g (t); CREATE INDEX ON g (s);"
                "INSERT INTO g SELECT i, 1 + i % 199 FROM generate_series(1, 600) i;" EVERY);
    write_archive_job(&base, 0, "where: old\nallow: [set-null]\n");
    run_to_end(&base);
    load_all(&base);
    cr_expect(eq(i64, 0, SAME("t")));
    cr_expect(eq(i64, 0, SAME("c")));
    cr_expect(eq(i64, 0, SAME("g")));
    cr_expect(eq(i64, 0, pg_int(base.conn, T_WRONG C_WRONG)));
    cli_base_free(&base);
}

Test(archive_children, rows_that_the_application_holds_are_left_with_their_parents)
{
    static const char *const HOLDS[] = {
        "DELETE FROM g WHERE c = 99", "INSERT INTO c VALUES (1000, 100)"};
    CliBase base = cli_base_new(1);
    for (size_t i = 0; i < sizeof(HOLDS) / sizeof(HOLDS[0]); i++) {
        children_start_over(&base, PARENT CHILD("") GRANDCHILD SLOW);
        write_archive_job(&base, i, "where: slow(old)\n");
        Session *application = session_open(base.uri);
        Proc *proc = children_start_run(&base);
        pg_wait_true(base.conn, "SELECT count(*) < 100 FROM t WHERE old", SECONDS_US(30));
        pg_exec(session_conn(application), "BEGIN");
        pg_exec(session_conn(application), HOLDS[i]);
        pg_wait_true(base.conn, "SELECT count(*) = 1 FROM t WHERE old", SECONDS_US(30));
        cr_expect(proc_wait_output(proc, "locked by", SECONDS_US(20)), "%s", HOLDS[i]);
        pg_exec(session_conn(application), "COMMIT");
        cr_expect(zero(int, proc_finish(proc, SECONDS_US(30))), "%s", HOLDS[i]);
        cr_expect(eq(i64, 0, pg_int(base.conn, T_WRONG C_WRONG)), "%s", HOLDS[i]);
        proc_free(proc);
        session_close(application);
    }
    cli_base_free(&base);
}

/* What was said last of a child that is gone is what was archived of it, once. */
#define LOST                                                                                       \
    "SELECT (SELECT count(*) FROM said_c s WHERE s.t IS NOT NULL"                                  \
    "          AND NOT EXISTS (SELECT FROM c WHERE c.id = s.c)"                                    \
    "          AND (SELECT count(*) FROM archived_c a WHERE a.id = s.c AND a.t = s.t) <> 1)"       \
    "     + (SELECT count(*) FROM archived_c a JOIN c USING (id))"                                 \
    "     + (SELECT count(*) FROM archived_t a JOIN t USING (id))"                                 \
    "     + (SELECT count(*) FROM said_t s WHERE NOT EXISTS (SELECT FROM t WHERE t.id = s.t)"      \
    "          AND (SELECT count(*) FROM archived_t a WHERE a.id = s.t) <> 1)"

Test(archive_children, no_row_is_lost_or_doubled_while_runs_are_killed)
{
    CliBase base = cli_base_new(1);
    Session *clients[CHILDREN_CLIENTS];
    children_start_over(&base, PARENT CHILD("") GRANDCHILD SLOW APPLICATION);
    write_archive_job(&base, 0, "where: slow(old)\nworkers: 2\n");
    children_start_clients(&base, clients);
    int kills = harness_env("PGHAUL_SOAK", NULL) == NULL ? KILLS : KILLS_SOAK;
    for (int killed = 0; killed < kills; killed++) {
        children_kill_runs(&base, 1, 50000, 400000);
        load_all(&base);
    }
    children_stop_clients(&base, clients);
    run_to_end(&base);
    load_all(&base);
    cr_expect(eq(i64, 0, pg_int(base.conn, BROKEN)));
    cr_expect(eq(i64, 0, pg_int(base.conn, LOST)));
    cr_expect(eq(i64, 0, pg_int(base.conn, "SELECT count(*) FROM t WHERE old")));
    cli_base_free(&base);
}
