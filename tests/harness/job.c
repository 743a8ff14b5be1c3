/*
 * job.c - job files, runs and questions about their checkpoint.
 */
#include "harness/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/session.h"

#define ARGS_MAX     16
#define RUN_LIMIT_US SECONDS_US(120)
#define POLL_NAP_US  2000

/* The shortest sleep of the server; shorter ones are had on average, by not sleeping every time. */
#define SLEEP_MIN_US 1100

/* ---- table ---- */

/* What stands around the sleep, quoted for a literal. */
static void
make_slowly(const JobTest *test, const char *before, const char *after, int64_t slow_us)
{
    pg_execf(test->conn,
        "CREATE OR REPLACE FUNCTION slowly(anyelement) RETURNS anyelement LANGUAGE plpgsql"
        " IMMUTABLE AS 'BEGIN IF pg_catalog.random() < %g THEN %s"
        " PERFORM pg_catalog.pg_sleep(%g); %s END IF; RETURN $1; END'",
        (double)slow_us / SLEEP_MIN_US, before,
        (double)(slow_us < SLEEP_MIN_US ? SLEEP_MIN_US : slow_us) / 1e6, after);
}

void
job_set_slow(const JobTest *test, int64_t slow_us)
{
    make_slowly(test, "", "", slow_us);
}

/* The condition is planned only when there is schema pghaul. */
void
job_set_slow_pass(const JobTest *test, const char *pass_kind, int64_t slow_us)
{
    STRBUF_AUTO before = STRBUF_INIT;
    strbuf_printf(&before,
        "IF pg_catalog.to_regclass(''pghaul.job'') IS NOT NULL THEN"
        " IF EXISTS (SELECT FROM pghaul.job j WHERE j.pass_kind = ''%s'') THEN",
        pass_kind);
    make_slowly(test, strbuf_text(&before), "END IF; END IF;", slow_us);
}

void
job_open(JobTest *test, PgCluster *cluster, int64_t rows, int64_t slow_us)
{
    *test = (JobTest){.cluster = cluster};
    test->dbname = cluster_create_database(cluster, NULL);
    test->uri = cluster_uri(cluster, test->dbname);
    test->conn = pg_open(test->uri);
    test->folder = harness_scratch_new();
    STRBUF_AUTO path = STRBUF_INIT;
    strbuf_printf(&path, "%s/job.yaml", test->folder);
    test->path = mem_strdup(strbuf_text(&path));
    job_set_slow(test, slow_us);
    pg_exec(test->conn,
        "CREATE TABLE app (id bigint PRIMARY KEY, amount_text text, note text, amount numeric,"
        " hits bigint NOT NULL DEFAULT 0, hits_before bigint NOT NULL DEFAULT 0)"
        " WITH (fillfactor = 10, autovacuum_enabled = off)");
    pg_execf(test->conn,
        "INSERT INTO app SELECT i, (i %% 1000)::text, NULL, NULL, i %% 77, i %% 77"
        " FROM generate_series(1, %lld) i",
        (long long)rows);
    pg_exec(test->conn, "VACUUM ANALYZE app");
}

void
job_close(JobTest *test)
{
    pg_close(test->conn);
    cluster_drop_database(test->cluster, test->dbname);
    harness_scratch_remove(test->folder);
    free(test->path);
}

void
job_close_cluster(JobTest *test)
{
    job_close(test);
    cluster_stop(test->cluster);
}

void
job_reset_table(const JobTest *test)
{
    pg_exec(test->conn, "ALTER TABLE app DROP COLUMN amount; ALTER TABLE app ADD amount numeric");
    pg_exec(test->conn, "UPDATE app SET hits = hits_before WHERE hits <> hits_before");
}

WorkloadSpec
job_application(const JobTest *test, int64_t key_low, int64_t key_high)
{
    static const WorkloadColumn COLUMNS[] = {
        {"amount_text", "(r % 100000)::text"},
        {"note", "md5(r::text)"},
    };
    return (WorkloadSpec){
        .uri = test->uri,
        .table = "app",
        .key = "id",
        .columns = COLUMNS,
        .column_count = sizeof(COLUMNS) / sizeof(COLUMNS[0]),
        .key_low = key_low,
        .key_high = key_high,
        .clients = 2,
        .hold_us = 1000,
        .think_us = 2000,
    };
}

static void
write_job(const JobTest *test, const char *kind, const char *text)
{
    STRBUF_AUTO file = STRBUF_INIT;
    strbuf_printf(&file, "job: " JOB_NAME "\n%s: app\n%s", kind, text);
    harness_write_file(test->path, strbuf_text(&file));
}

void
job_write(const JobTest *test, const char *text)
{
    write_job(test, "backfill", text);
}

void
job_write_purge(const JobTest *test, const char *text)
{
    write_job(test, "purge", text);
}

/* ---- runs ---- */

Proc *
job_start_verb(const JobTest *test, const char *verb, const char *uri, const char *const *more)
{
    const char *args[ARGS_MAX] = {verb, test->path, "-d", uri == NULL ? test->uri : uri};
    int count = 4;
    for (; more != NULL && *more != NULL && count < ARGS_MAX - 1; more++) {
        args[count++] = *more;
    }
    return proc_start_pghaul(args);
}

Proc *
job_start(const JobTest *test)
{
    const char *const more[] = {"--yes", NULL};
    return job_start_verb(test, "run", NULL, more);
}

void
job_expect_exit(Proc *proc, int exit_code)
{
    int code = proc_finish(proc, RUN_LIMIT_US);
    if (code != exit_code) {
        char *out = proc_stdout(proc);
        char *err = proc_stderr(proc);
        harness_fail("exit code %d instead of %d; it printed:\n%s\n%s", code, exit_code, out, err);
    }
    proc_free(proc);
}

void
job_expect_verb(const JobTest *test, const char *verb, const char *const *more, int exit_code)
{
    job_expect_exit(job_start_verb(test, verb, NULL, more), exit_code);
}

char *
job_verb_output(const JobTest *test, const char *verb, const char *const *more, int exit_code)
{
    Proc *proc = job_start_verb(test, verb, NULL, more);
    int code = proc_finish(proc, RUN_LIMIT_US);
    char *out = proc_stdout(proc);
    char *err = proc_stderr(proc);
    proc_free(proc);
    if (code != exit_code) {
        harness_fail("%s: exit code %d instead of %d:\n%s\n%s", verb, code, exit_code, out, err);
    }
    STRBUF_AUTO both = STRBUF_INIT;
    strbuf_printf(&both, "%s%s", out, err);
    free(out);
    free(err);
    return mem_strdup(strbuf_text(&both));
}

void
job_expect_run(const JobTest *test, int exit_code)
{
    job_expect_exit(job_start(test), exit_code);
}

/* ---- what the database says ---- */

static bool
has_schema(const JobTest *test)
{
    return pg_int(test->conn, "SELECT to_regclass('pghaul.meta') IS NOT NULL") == 1;
}

#define FROM_RANGES                                                                                \
    " FROM pghaul.ranges r JOIN pghaul.job j ON j.id = r.job"                                      \
    " WHERE j.cleaned IS NULL AND j.name = '" JOB_NAME "'"

int64_t
job_batches(const JobTest *test)
{
    if (!has_schema(test)) {
        return 0;
    }
    return pg_int(test->conn, "SELECT COALESCE(sum(r.batches), 0)" FROM_RANGES);
}

int64_t
job_moved_rows(const JobTest *test)
{
    return pg_int(test->conn,
        "SELECT COALESCE(sum(r.rows), 0)" FROM_RANGES " AND (j.pass_kind = 'move' OR r.pass <"
        " j.pass)");
}

bool
job_is_moving(const JobTest *test)
{
    return has_schema(test) &&
           pg_int(test->conn, "SELECT EXISTS (SELECT FROM pghaul.job j WHERE j.cleaned IS NULL"
                              " AND j.pass_kind = 'move' AND (NOT j.carved OR EXISTS (SELECT"
                              " FROM pghaul.ranges r WHERE r.job = j.id AND r.pass = j.pass"
                              " AND r.state <> 'done')))") == 1;
}

bool
job_is_in_batch(const JobTest *test)
{
    return pg_int(test->conn,
               "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
               " AND state = 'active' AND query LIKE 'SELECT * FROM pghaul.move%'"
               " AND application_name LIKE 'pghaul/%/w%')") == 1;
}

bool
job_is_state(const JobTest *test, const char *state)
{
    return pg_intf(test->conn,
               "SELECT EXISTS (SELECT FROM pghaul.job WHERE cleaned IS NULL AND state = '%s')",
               state) == 1;
}

bool
job_wait_batches(const JobTest *test, Proc *proc, int64_t before, int64_t more)
{
    int64_t deadline_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    for (;;) {
        bool was_running = !proc_wait(proc, 0); /* asked first: its last batches count */
        if (job_batches(test) >= before + more) {
            return true;
        }
        if (!was_running) {
            return false;
        }
        if (clock_mono_us() > deadline_us) {
            char *err = proc_stderr(proc);
            harness_fail("no batch has committed for a long time; the run printed:\n%s", err);
        }
        harness_nap_us(POLL_NAP_US);
    }
}

int64_t
job_count_wrong(const JobTest *test, const char *right_sql)
{
    return pg_intf(
        test->conn, "SELECT count(*) FROM app WHERE (%s) IS DISTINCT FROM true", right_sql);
}

int64_t
job_count_functions(const JobTest *test)
{
    return pg_int(test->conn, "SELECT count(*) FROM pg_proc p JOIN pg_namespace n"
                              " ON n.oid = p.pronamespace WHERE n.nspname = 'pghaul'"
                              " AND p.proname ~ '_[0-9a-f]{16}$'");
}

char *
job_catalog(const JobTest *test)
{
    return pg_text(test->conn,
        "WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname = 'pghaul'"
        "    OR nspname ~ '^pg_(toast|temp)')"
        "SELECT string_agg(s.what, E'\\n' ORDER BY s.what) FROM ("
        "SELECT concat_ws(' ', 'class', oid, relnamespace::regnamespace, relname, relkind, relacl,"
        "       reloptions, relhasrules, relrowsecurity, relreplident, relispartition) AS what"
        "  FROM pg_class WHERE relnamespace NOT IN (TABLE ours)"
        " UNION ALL SELECT concat_ws(' ', 'column', attrelid::regclass, attnum, attname, atttypid,"
        "       attnotnull, atthasdef, attisdropped, attidentity, attgenerated, attacl,"
        "       attoptions) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
        " WHERE relnamespace NOT IN (TABLE ours)"
        " UNION ALL SELECT concat_ws(' ', 'proc', oid, pronamespace::regnamespace, proname, proacl)"
        "  FROM pg_proc WHERE pronamespace NOT IN (TABLE ours)"
        " UNION ALL SELECT concat_ws(' ', 'trigger', g.oid, tgrelid::regclass, tgname, tgenabled)"
        "  FROM pg_trigger g JOIN pg_class c ON c.oid = tgrelid"
        " WHERE relnamespace NOT IN (TABLE ours)"
        " UNION ALL SELECT concat_ws(' ', 'event trigger', oid, evtname) FROM pg_event_trigger"
        " UNION ALL SELECT concat_ws(' ', 'constraint', oid, conname, contype, conrelid::regclass,"
        "       convalidated) FROM pg_constraint WHERE connamespace NOT IN (TABLE ours)"
        " UNION ALL SELECT concat_ws(' ', 'type', oid, typnamespace::regnamespace, typname)"
        "  FROM pg_type WHERE typnamespace NOT IN (TABLE ours)"
        " UNION ALL SELECT concat_ws(' ', 'depends on', refobjid::regclass, refobjsubid, deptype,"
        "       count(*)) FROM pg_depend JOIN pg_class c ON c.oid = refobjid"
        " WHERE refclassid = 'pg_class'::regclass AND relnamespace NOT IN (TABLE ours)"
        " GROUP BY refobjid, refobjsubid, deptype"
        " UNION ALL SELECT concat_ws(' ', 'default acl', d.*) FROM pg_default_acl d"
        " UNION ALL SELECT concat_ws(' ', 'schema', oid, nspname, nspacl) FROM pg_namespace"
        " WHERE oid NOT IN (TABLE ours)) s");
}

char *
job_catalog_counts(const JobTest *test)
{
    char *sql = pg_text(test->conn,
        "SELECT format('SELECT string_agg(name || '' '' || rows, E''\\n'' ORDER BY name) FROM (%s)"
        " AS s', string_agg(format('SELECT %L AS name, count(*) AS rows FROM %s%s', relname,"
        "     oid::regclass, CASE relname WHEN 'pg_shdepend' THEN ' WHERE dbid = (SELECT oid FROM"
        " pg_database WHERE datname = current_database())' ELSE '' END), ' UNION ALL '))"
        "  FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'"
        "   AND relname !~ '^pg_statistic' AND (NOT relisshared OR relname = 'pg_shdepend')");
    char *counts = pg_text(test->conn, sql);
    free(sql);
    return counts;
}
