/*
 * test_schema.c - schema pghaul: installed, upgraded in place, and its rules those of the program.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/jobkeys.h"
#include "core/jobstate.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "pg/conn.h"
#include "store/schema.h"

typedef struct SchemaTest {
    PgCluster *cluster;
    const char *dbname;
    PGconn *sql;
    PgConn *conn;
} SchemaTest;

static SchemaTest
open_database(PgCluster *cluster)
{
    SchemaTest test = {.cluster = cluster};
    test.dbname = cluster_create_database(test.cluster, NULL);
    const char *uri = cluster_uri(test.cluster, test.dbname);
    test.sql = pg_open(uri);
    Err err = ERR_INIT;
    ConnTarget target = {.dbname = uri};
    cr_assert(conn_open(&target, CONN_CATALOG, "test", SECONDS_US(20), &test.conn, &err), "%s",
        err.message);
    return test;
}

static void
close_database(SchemaTest *test)
{
    conn_close(test->conn);
    pg_close(test->sql);
    cluster_drop_database(test->cluster, test->dbname);
}

static void
install_v1(const SchemaTest *test)
{
    STRBUF_AUTO path = STRBUF_INIT;
    strbuf_printf(&path, "%s/integration/schema_v1.sql", harness_env("PGHAUL_TEST_DIR", "tests"));
    char *text = harness_read_file(strbuf_text(&path));
    cr_assert(ne(str, text, ""), "%s is missing", strbuf_text(&path));
    pg_exec(test->sql, text);
    free(text);
}

/* Everything in the schema as text, without numbers that differ from one database to the next and
 * without the order of columns. */
static const char CATALOG[] =
    "SELECT string_agg(s.what, E'\\n' ORDER BY s.what) FROM ("
    "SELECT concat_ws(' ', 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),"
    "       a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)) AS what"
    "  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT "
    "a.attisdropped"
    "  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
    " WHERE c.relnamespace = 'pghaul'::regnamespace AND c.relkind IN ('r', 'v')"
    " UNION ALL SELECT concat_ws(' ', 'relation', c.relname, c.relkind, c.reloptions, c.relacl)"
    "  FROM pg_class c WHERE c.relnamespace = 'pghaul'::regnamespace"
    " UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname,"
    "       pg_get_constraintdef(oid))"
    "  FROM pg_constraint WHERE connamespace = 'pghaul'::regnamespace"
    " UNION ALL SELECT concat_ws(' ', 'index', indexdef) FROM pg_indexes"
    " WHERE schemaname = 'pghaul'"
    " UNION ALL SELECT concat_ws(' ', 'function', oid::regprocedure, proacl,"
    "       pg_get_functiondef(oid))"
    "  FROM pg_proc WHERE pronamespace = 'pghaul'::regnamespace"
    " UNION ALL SELECT concat_ws(' ', 'view', viewname, definition) FROM pg_views"
    " WHERE schemaname = 'pghaul'"
    " UNION ALL SELECT concat_ws(' ', 'comment', c.relname, d.objsubid, d.description)"
    "  FROM pg_description d JOIN pg_class c ON c.oid = d.objoid"
    " WHERE c.relnamespace = 'pghaul'::regnamespace"
    " UNION ALL SELECT concat_ws(' ', 'version', version) FROM pghaul.meta"
    " UNION ALL SELECT concat_ws(' ', 'transition', from_state, to_state) FROM pghaul.transition"
    " UNION ALL SELECT concat_ws(' ', 'key', key, permitted, pattern) FROM pghaul.setting_key) s";

Test(schema, upgrade_of_version_1_gives_what_a_fresh_install_gives)
{
    PgCluster *cluster = cluster_shared();
    SchemaTest old = open_database(cluster);
    SchemaTest fresh = open_database(cluster);
    Err err = ERR_INIT;
    install_v1(&old);
    pg_exec(old.sql, "INSERT INTO pghaul.job (name, kind, table_name, spec, fingerprint, state,"
                     " system_id, timeline) VALUES ('j', 'backfill', 't', '', '', 'new', '1',"
                     " 1)");
    cr_assert(schema_install(old.conn, &err), "%s", err.message);
    cr_assert(schema_install(old.conn, &err), "again: %s", err.message);
    cr_assert(schema_install(fresh.conn, &err), "%s", err.message);
    char *upgraded = pg_text(old.sql, CATALOG);
    char *installed = pg_text(fresh.sql, CATALOG);
    cr_expect(eq(str, upgraded, installed));
    cr_expect(eq(i64, 1, pg_int(old.sql, "SELECT count(*) FROM pghaul.progress")));
    free(upgraded);
    free(installed);
    close_database(&old);
    close_database(&fresh);
    cluster_stop(cluster);
}

Test(schema, upgrade_is_refused_while_a_job_is_not_cleaned_and_changes_nothing)
{
    static const char *const BEGUN[] = {"ready", "running", "stopped", "failed", "complete"};
    PgCluster *cluster = cluster_shared();
    SchemaTest test = open_database(cluster);
    install_v1(&test);
    pg_exec(test.sql, "INSERT INTO pghaul.job (name, kind, table_name, spec, fingerprint,"
                      " system_id, timeline) VALUES ('j', 'backfill', 't', '', '', '1', 1)");
    for (size_t i = 0; i < sizeof(BEGUN) / sizeof(BEGUN[0]); i++) {
        Err err = ERR_INIT;
        pg_execf(test.sql, "UPDATE pghaul.job SET state = '%s'", BEGUN[i]);
        cr_expect(not(schema_install(test.conn, &err)), "%s", BEGUN[i]);
        cr_expect(eq(int, ERR_REFUSED, err.cls));
        cr_expect(strstr(err.message, "job j, which is ") != NULL, "%s", err.message);
        cr_expect(strstr(err.hint, "pghaul clean --all") != NULL, "%s", err.hint);
    }
    cr_expect(eq(i64, 1, pg_int(test.sql, "SELECT version FROM pghaul.meta")));
    cr_expect(eq(i64, 1, pg_int(test.sql, "SELECT count(*) FROM pghaul.progress")));
    Err err = ERR_INIT;
    pg_exec(test.sql, "UPDATE pghaul.job SET cleaned = now()");
    cr_expect(schema_install(test.conn, &err), "%s", err.message);
    close_database(&test);
    cluster_stop(cluster);
}

/* An old pghaul goes on with its plan at this moment: whoever is first has it. */
Test(schema, upgrade_waits_for_whoever_changes_a_job_and_then_sees_it)
{
    PgCluster *cluster = cluster_shared();
    SchemaTest test = open_database(cluster);
    install_v1(&test);
    pg_exec(test.sql, "INSERT INTO pghaul.job (name, kind, table_name, spec, fingerprint,"
                      " system_id, timeline) VALUES ('j', 'backfill', 't', '', '', '1', 1)");
    Session *old = session_open(cluster_uri(cluster, test.dbname));
    pg_exec(session_conn(old), "BEGIN; UPDATE pghaul.job SET state = 'ready'");
    session_send(old, "SELECT pg_sleep(0.3); COMMIT");
    Err err = ERR_INIT;
    cr_expect(not(schema_install(test.conn, &err)));
    cr_expect(eq(int, ERR_REFUSED, err.cls), "%s", err.message);
    session_expect_ok(old, HARNESS_TIMEOUT_US);
    cr_expect(eq(i64, 1, pg_int(test.sql, "SELECT version FROM pghaul.meta")));
    session_close(old);
    close_database(&test);
    cluster_stop(cluster);
}

Test(schema, set_state_goes_exactly_the_ways_of_the_program)
{
    PgCluster *cluster = cluster_shared();
    SchemaTest test = open_database(cluster);
    Err err = ERR_INIT;
    cr_assert(schema_install(test.conn, &err), "%s", err.message);
    pg_exec(test.sql, "INSERT INTO pghaul.job (name, kind, table_name, spec, fingerprint,"
                      " system_id, timeline) VALUES ('j', 'backfill', 't', '', '', '1', 1)");
    pg_exec(test.sql, "UPDATE pghaul.job SET signature = pghaul.table_signature(table_oid,"
                      " used_columns, key_columns, false)"); /* nothing has changed */
    for (int i = 0; i < JOB_STATE_COUNT * JOB_STATE_COUNT; i++) {
        JobState from = (JobState)(i / JOB_STATE_COUNT);
        JobState to = (JobState)(i % JOB_STATE_COUNT);
        bool allowed = jobstate_allows(from, to) && from != JOB_COMPLETE;
        bool kept = from == JOB_PAUSED && to != JOB_COMPLETE;
        pg_execf(test.sql, "UPDATE pghaul.job SET state = '%s'", jobstate_name(from));
        STRBUF_AUTO call = STRBUF_INIT;
        strbuf_printf(
            &call, "SELECT pghaul.set_state(id, '%s', 'why') FROM pghaul.job", jobstate_name(to));
        char *state = pg_text(test.sql, strbuf_text(&call));
        const char *wanted = jobstate_name(allowed && !kept ? to : from);
        cr_expect(eq(int, 0, strcmp(state, wanted)), "%s to %s is %s", jobstate_name(from),
            jobstate_name(to), state);
        free(state);
    }
    cr_expect(eq(i64, 8,
        pg_int(test.sql, "SELECT count(*) FROM pghaul.event WHERE what = 'state'"
                         " AND reason IN ('stopped while paused: why', 'complete: why',"
                         " 'running: why')")));
    close_database(&test);
    cluster_stop(cluster);
}
