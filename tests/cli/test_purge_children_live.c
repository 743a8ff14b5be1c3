/*
 * test_purge_children_live.c - a purge of a table that others refer to, while an application writes
 * all of them: no row goes unseen.
 *
 * PGHAUL_SOAK=1 asks for the full counts.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "cli/children_case.h"
#include "harness/harness.h"

#define KILLS      3
#define KILLS_SOAK 100

/* While a transaction of the application is open everything goes but what it holds on to; then
 * the rest. */
static void
expect_left_behind(const CliBase *base, const char *holds, const char *end, const char *kept)
{
    children_start_over(base, PARENT CHILD("") GRANDCHILD SLOW);
    children_write_job(base, "purge: t\nwhere: slow(old)\nchildren: delete\n");
    Session *application = session_open(base->uri);
    Proc *proc = children_start_run(base);
    pg_wait_true(base->conn, "SELECT count(*) < 100 FROM t WHERE old", SECONDS_US(30));
    pg_exec(session_conn(application), "BEGIN");
    pg_exec(session_conn(application), holds);
    pg_wait_true(base->conn, "SELECT count(*) = 1 FROM t WHERE old", SECONDS_US(30));
    cr_expect(proc_wait_output(proc, "locked by", SECONDS_US(20)), "%s", holds);
    cr_expect(eq(i64, 1, pg_int(base->conn, "SELECT count(*) FROM t WHERE old AND id = 100")));
    cr_expect(eq(i64, 3, pg_int(base->conn, "SELECT count(*) FROM c WHERE t = 100")));
    pg_exec(session_conn(application), end);
    cr_expect(zero(int, proc_finish(proc, SECONDS_US(30))), "%s", holds);
    cr_expect(eq(i64, 0, pg_int(base->conn, kept)), "%s", holds);
    proc_free(proc);
    session_close(application);
}

Test(purge_children_live, rows_that_the_application_holds_are_left_with_their_parents)
{
#define ALL_GONE T_WRONG C_WRONG G_WRONG
    static const struct {
        const char *holds;
        const char *end;
        const char *kept;
    } CASES[] = {
        {"DELETE FROM g WHERE c = 99", "COMMIT", ALL_GONE},
        {"INSERT INTO g VALUES (99)", "COMMIT", ALL_GONE},
        {"INSERT INTO c VALUES (1000, 100)", "COMMIT", ALL_GONE},
        {"INSERT INTO c VALUES (1000, 100)", "UPDATE t SET old = false WHERE id = 100; COMMIT",
            "SELECT count(*) - 4 FROM c WHERE t = 100"},
        {"UPDATE c SET t = 101 WHERE id = 99", "COMMIT",
            "SELECT count(*) - 4 FROM c WHERE t = 101"},
        {"SELECT FROM c WHERE id = 99 FOR SHARE", "UPDATE c SET t = 101 WHERE id = 99; COMMIT",
            "SELECT count(*) - 4 FROM c WHERE t = 101"},
    };
    CliBase base = cli_base_new(1);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        expect_left_behind(&base, CASES[i].holds, CASES[i].end, CASES[i].kept);
    }
    cli_base_free(&base);
}

Test(purge_children_live, a_foreign_key_that_is_new_stops_the_job)
{
    CliBase base = cli_base_new(1);
    children_start_over(&base, PARENT SLOW);
    children_write_job(&base, "purge: t\nwhere: slow(old)\n");
    Proc *proc = proc_start_pghaul(
        (const char *const[]){"run", base.job_file, "-d", base.uri, "--yes", NULL});
    pg_wait_true(base.conn, "SELECT count(*) < 195 FROM t", SECONDS_US(20));
    pg_exec(base.conn, "CREATE TABLE c (t int REFERENCES t ON DELETE CASCADE)");
    pg_exec(base.conn, "INSERT INTO c SELECT id FROM t");
    cr_expect(lt(int, 0, proc_finish(proc, SECONDS_US(30))));
    char *text = proc_stderr(proc);
    cr_expect(cli_has(text, "foreign keys"), "%s", text);
    free(text);
    proc_free(proc);
    cr_expect(eq(i64, pg_int(base.conn, "SELECT count(*) FROM t"),
        pg_int(base.conn, "SELECT count(*) FROM c")));
    cli_base_free(&base);
}

Test(purge_children_live, no_row_goes_unseen_while_runs_are_killed)
{
    CliBase base = cli_base_new(1);
    Session *clients[CHILDREN_CLIENTS];
    children_start_over(&base, PARENT CHILD("") GRANDCHILD SLOW APPLICATION);
    children_write_job(&base, "purge: t\nwhere: slow(old)\nchildren: delete\nworkers: 2\n");
    children_start_clients(&base, clients);
    children_kill_runs(
        &base, harness_env("PGHAUL_SOAK", NULL) == NULL ? KILLS : KILLS_SOAK, 50000, 400000);
    children_stop_clients(&base, clients);
    cr_expect(eq(i64, 0, pg_int(base.conn, BROKEN)));
    Proc *proc = children_start_run(&base);
    cr_expect(zero(int, proc_finish(proc, SECONDS_US(60))));
    proc_free(proc);
    cr_expect(eq(i64, 0, pg_int(base.conn, BROKEN)));
    cr_expect(eq(i64, 0, pg_int(base.conn, "SELECT count(*) FROM t WHERE old")));
    cli_base_free(&base);
}
