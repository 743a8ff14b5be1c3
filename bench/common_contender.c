/*
 * common_contender.c - the contenders, each at its best: the loop needs two round trips a batch and
 * keeps its statements prepared, which few frameworks do.
 */
#include "common_contender.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/proc.h"
#include "harness/session.h"

#define PGHAUL_LIMIT_US SECONDS_US(3 * 3600)
#define JOB_NAME        "bench-backfill"

const Contender CONTENDERS[] = {
    {.name = "idle", .title = "idle", .kind = CONTENDER_IDLE},
    {.name = "update", .title = "one UPDATE", .kind = CONTENDER_UPDATE},
    {.name = "loop", .title = "loop, 1,000 rows", .kind = CONTENDER_LOOP},
    {.name = "pghaul1", .title = "pghaul, 1 worker", .kind = CONTENDER_PGHAUL, .workers = 1},
    {.name = "pghaul2", .title = "pghaul, 2 workers", .kind = CONTENDER_PGHAUL, .workers = 2},
};
const int CONTENDER_COUNT = sizeof(CONTENDERS) / sizeof(CONTENDERS[0]);

static const char SQL_UPDATE[] = "UPDATE " BENCH_TABLE " SET " BENCH_COLUMN " = " BENCH_EXPRESSION;

static const char SQL_BOUNDARY[] =
    "SELECT id FROM " BENCH_TABLE " WHERE id > $1 ORDER BY id OFFSET 999 LIMIT 1";

static const char SQL_BATCH[] =
    "UPDATE " BENCH_TABLE " SET " BENCH_COLUMN " = " BENCH_EXPRESSION " WHERE id > $1 AND id <= $2";

static const char SQL_LAST_BATCH[] =
    "UPDATE " BENCH_TABLE " SET " BENCH_COLUMN " = " BENCH_EXPRESSION " WHERE id > $1";

static void
run_update(PGconn *conn)
{
    pg_exec(conn, SQL_UPDATE);
}

static void
prepare(PGconn *conn, const char *name, const char *sql)
{
    PGresult *result = PQprepare(conn, name, sql, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        harness_fail("cannot prepare %s: %s", sql, PQerrorMessage(conn));
    }
    PQclear(result);
}

/* Run a prepared statement that must succeed; returns owned. */
static PGresult *
run_prepared(PGconn *conn, const char *name, const char *const *values, int count)
{
    PGresult *result = PQexecPrepared(conn, name, count, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        harness_fail("the loop failed: %s", PQerrorMessage(conn));
    }
    return result;
}

/* Each UPDATE is a transaction of its own: its end is the COMMIT. */
static void
run_loop(PGconn *conn, const BenchTable *table)
{
    prepare(conn, "boundary", SQL_BOUNDARY);
    prepare(conn, "batch", SQL_BATCH);
    prepare(conn, "last", SQL_LAST_BATCH);

    char low[64];
    (void)snprintf(low, sizeof(low), "%s", table->lowest_key);
    for (;;) {
        char high[64];
        const char *const values[] = {low, high};
        PGresult *boundary = run_prepared(conn, "boundary", values, 1);
        bool is_last = PQntuples(boundary) == 0;
        (void)snprintf(high, sizeof(high), "%s", is_last ? "" : PQgetvalue(boundary, 0, 0));
        PQclear(boundary);
        PQclear(run_prepared(conn, is_last ? "last" : "batch", values, is_last ? 1 : 2));
        if (is_last) {
            return;
        }
        (void)snprintf(low, sizeof(low), "%s", high);
    }
}

static void
job_path(const ContenderRun *run, StrBuf *path)
{
    strbuf_printf(path, "%s/job.yaml", run->job_folder);
}

/* Defaults but for the number of workers; the verify pass is measured apart. */
static void
write_job(const ContenderRun *run)
{
    STRBUF_AUTO path = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    job_path(run, &path);
    strbuf_printf(&text,
        "job: " JOB_NAME "\nbackfill: " BENCH_TABLE "\nset:\n  " BENCH_COLUMN ": " BENCH_EXPRESSION
        "\nworkers: %d\nverify: none\n",
        run->contender->workers);
    harness_write_file(path.text, text.text);
}

/* Run pghaul to its end; what it prints is shown when its exit code is not 0. */
static bool
run_pghaul(const ContenderRun *run, const char *verb)
{
    STRBUF_AUTO job = STRBUF_INIT;
    STRBUF_AUTO log = STRBUF_INIT;
    job_path(run, &job);
    if (run->log_folder != NULL) {
        strbuf_printf(
            &log, "%s/%s-%s-%s.log", run->log_folder, run->table->name, run->contender->name, verb);
    }
    bool is_run = verb[0] == 'r';
    const char *argv[] = {harness_env("PGHAUL_BIN", "build/release/pghaul"), verb, "--json", "-d",
        cluster_uri(run->cluster, BENCH_DATABASE), job.text, is_run ? "--yes" : NULL, NULL};
    const char *log_path = run->log_folder == NULL ? NULL : strbuf_text(&log);
    Proc *proc = proc_start(&(ProcSpec){.argv = argv, .out_path = log_path, .err_path = log_path});
    int code = proc_finish(proc, PGHAUL_LIMIT_US);
    if (code != 0) {
        char *out = proc_stdout(proc);
        char *err = proc_stderr(proc);
        (void)fprintf(stderr, "pghaul %s ended with exit code %d:\n%s\n%s\n", verb, code, out,
            log_path == NULL ? err : "");
        free(out);
        free(err);
    }
    proc_free(proc);
    return code == 0;
}

bool
contender_run(const ContenderRun *run)
{
    switch (run->contender->kind) {
    case CONTENDER_IDLE:
        harness_nap_us(SECONDS_US(run->idle_s));
        return true;
    case CONTENDER_PGHAUL:
        write_job(run);
        return run_pghaul(run, "run");
    case CONTENDER_UPDATE:
    case CONTENDER_LOOP:
        break;
    }
    PGconn *conn = pg_open(cluster_uri(run->cluster, BENCH_DATABASE));
    if (run->contender->kind == CONTENDER_UPDATE) {
        run_update(conn);
    } else {
        run_loop(conn, run->table);
    }
    pg_close(conn);
    return true;
}

bool
contender_verify(const ContenderRun *run)
{
    return run_pghaul(run, "verify");
}
