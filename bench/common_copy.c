/*
 * common_copy.c - the contenders, each at its best: nothing is compressed, formats are binary,
 * parallel workers build indexes as they do by default.
 */
#include "common_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "common_program.h"
#include "harness/harness.h"
#include "harness/session.h"

#define TARGET_SCHEMA "copied"

const CopyContender COPY_CONTENDERS[] = {
    {.name = "idle", .title = "idle", .kind = COPY_IDLE, .target = TARGET_BARE},
    {.name = "insert", .title = "INSERT, indexed", .kind = COPY_INSERT, .target = TARGET_INDEXED},
    {.name = "pghaul",
        .title = "pghaul, indexed",
        .kind = COPY_PGHAUL,
        .target = TARGET_INDEXED,
        .against = "insert",
        .wanted = 1.5},
    {.name = "insert-after",
        .title = "INSERT, then indexes",
        .kind = COPY_INSERT,
        .target = TARGET_KEYED},
    {.name = "insert-bare",
        .title = "INSERT, then key too",
        .kind = COPY_INSERT,
        .target = TARGET_BARE},
    {.name = "pghaul-after",
        .title = "pghaul, then indexes",
        .kind = COPY_PGHAUL,
        .target = TARGET_KEYED,
        .against = "insert-after",
        .wanted = 1.15},
    {.name = "psql",
        .title = "psql | psql",
        .kind = COPY_PSQL,
        .target = TARGET_BARE,
        .remote = true},
    {.name = "dump",
        .title = "pg_dump | pg_restore",
        .kind = COPY_DUMP,
        .target = TARGET_ABSENT,
        .remote = true},
    {.name = "pgcopydb",
        .title = "pgcopydb",
        .kind = COPY_PGCOPYDB,
        .target = TARGET_ABSENT,
        .remote = true},
    {.name = "pghaul-remote",
        .title = "pghaul, other server",
        .kind = COPY_PGHAUL,
        .target = TARGET_KEYED,
        .remote = true,
        .against = "pgcopydb",
        .wanted = 1.3},
};
const int COPY_CONTENDER_COUNT = sizeof(COPY_CONTENDERS) / sizeof(COPY_CONTENDERS[0]);

static const char SQL_KEY[] = "ALTER TABLE " BENCH_TABLE " ADD PRIMARY KEY (id)";

static PgCluster *
written(const CopyRun *run)
{
    return run->contender->remote ? run->target : run->source;
}

/* A session at the target in which BENCH_TABLE is the copy. */
static PGconn *
open_target(const CopyRun *run)
{
    PGconn *conn = pg_open(cluster_uri(written(run), BENCH_DATABASE));
    if (!run->contender->remote) {
        pg_exec(conn, "SET search_path = " TARGET_SCHEMA);
    }
    return conn;
}

/* ---- before ---- */

static void
make_database(PgCluster *cluster)
{
    PGconn *conn = pg_open(cluster_uri(cluster, "postgres"));
    pg_exec(conn, "DROP DATABASE IF EXISTS " BENCH_DATABASE " WITH (FORCE)");
    pg_exec(conn, "CREATE DATABASE " BENCH_DATABASE);
    pg_close(conn);
}

void
copy_prepare(const CopyRun *run)
{
    const CopyContender *contender = run->contender;
    table_restore(run->source, run->table);
    if (contender->remote) {
        make_database(run->target);
    } else {
        PGconn *conn = pg_open(cluster_uri(run->source, BENCH_DATABASE));
        pg_exec(conn, "CREATE SCHEMA " TARGET_SCHEMA);
        pg_close(conn);
    }
    PGconn *conn = open_target(run);
    if (contender->target != TARGET_ABSENT) {
        table_create(conn, run->table);
    }
    if (contender->target == TARGET_INDEXED || contender->target == TARGET_KEYED) {
        pg_exec(conn, SQL_KEY);
    }
    if (contender->target == TARGET_INDEXED) {
        pg_exec(conn, run->table->index_sql);
    }
    pg_exec(conn, "CHECKPOINT");
    pg_close(conn);
}

/* ---- programs ---- */

static bool
run_program(const CopyRun *run, const char *const *argv)
{
    STRBUF_AUTO log = STRBUF_INIT;
    STRBUF_AUTO source = STRBUF_INIT;
    STRBUF_AUTO target = STRBUF_INIT;
    STRBUF_AUTO folder = STRBUF_INIT;
    strbuf_printf(&source, "SOURCE=%s", cluster_uri(run->source, BENCH_DATABASE));
    strbuf_printf(&target, "TARGET=%s", cluster_uri(written(run), BENCH_DATABASE));
    strbuf_printf(&folder, "FOLDER=%s", run->folder);
    const char *env[] = {strbuf_text(&source), strbuf_text(&target), strbuf_text(&folder), NULL};
    if (run->log_folder != NULL) {
        strbuf_printf(&log, "%s/%s-%s-%d.log", run->log_folder, run->table->name,
            run->contender->name, run->repetition);
    }
    return program_run(&(BenchProgram){.title = run->contender->title,
        .argv = argv,
        .env = env,
        .log_path = run->log_folder == NULL ? NULL : strbuf_text(&log)});
}

/* Programs of the server's release come from its folder ($BIN). */
static bool
run_shell(const CopyRun *run, const char *script)
{
    STRBUF_AUTO text = STRBUF_INIT;
    program_put_script(&text, run->source, script);
    const char *argv[] = {"/bin/bash", "-c", strbuf_text(&text), NULL};
    return run_program(run, argv);
}

static void
write_job(const CopyRun *run, const char *path)
{
    const CopyContender *contender = run->contender;
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "job: bench-copy\ncopy: public." BENCH_TABLE "\n");
    if (contender->remote) {
        strbuf_printf(&text, "from: \"%s\"\n", cluster_uri(run->source, BENCH_DATABASE));
    } else {
        strbuf_puts(&text, "into: " TARGET_SCHEMA "." BENCH_TABLE "\n");
    }
    strbuf_printf(&text, "workers: %d\nverify: none\nindexes: %s\n", COPY_JOBS,
        contender->target == TARGET_INDEXED ? "before" : "after");
    harness_write_file(path, strbuf_text(&text));
}

/* Defaults but for the number of workers; verify takes another pass that nobody else does. */
static bool
run_pghaul(const CopyRun *run)
{
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&job, "%s/job.yaml", run->folder);
    write_job(run, strbuf_text(&job));
    const char *argv[] = {harness_env("PGHAUL_BIN", "build/release/pghaul"), "run", "--json", "-d",
        cluster_uri(written(run), BENCH_DATABASE), strbuf_text(&job), "--yes", NULL};
    return run_program(run, argv);
}

/* ---- copies ---- */

static void
build_rest(PGconn *conn, const CopyRun *run)
{
    if (run->contender->target == TARGET_BARE) {
        pg_exec(conn, SQL_KEY);
    }
    if (run->contender->target != TARGET_INDEXED) {
        pg_exec(conn, run->table->index_sql);
    }
}

static bool
run_insert(const CopyRun *run)
{
    PGconn *conn = open_target(run);
    pg_exec(conn, "INSERT INTO " BENCH_TABLE " SELECT * FROM public." BENCH_TABLE);
    build_rest(conn, run);
    pg_close(conn);
    return true;
}

static bool
run_psql(const CopyRun *run)
{
    if (!run_shell(run,
            "\"$BIN/psql\" -X -d \"$SOURCE\" -c 'COPY " BENCH_TABLE
            " TO STDOUT (FORMAT binary)' | \"$BIN/psql\" -X -d \"$TARGET\" -c 'COPY " BENCH_TABLE
            " FROM STDIN (FORMAT binary)'")) {
        return false;
    }
    PGconn *conn = open_target(run);
    build_rest(conn, run);
    pg_close(conn);
    return true;
}

static bool
run_dump(const CopyRun *run)
{
    return run_shell(run, "\"$BIN/pg_dump\" -Fc -Z0 -d \"$SOURCE\" |"
                          " \"$BIN/pg_restore\" --no-owner -d \"$TARGET\"");
}

static bool
run_pgcopydb(const CopyRun *run)
{
    STRBUF_AUTO script = STRBUF_INIT;
    strbuf_printf(&script,
        "rm -rf \"$FOLDER/pgcopydb\"\n"
        "exec pgcopydb clone --source \"$SOURCE\" --target \"$TARGET\" --dir \"$FOLDER/pgcopydb\""
        " --table-jobs %d --index-jobs %d --split-tables-larger-than 100MB --no-owner --no-acl\n",
        COPY_JOBS, COPY_JOBS);
    return run_shell(run, strbuf_text(&script));
}

bool
copy_run(const CopyRun *run)
{
    switch (run->contender->kind) {
    case COPY_IDLE:
        harness_nap_us(SECONDS_US(run->idle_s));
        return true;
    case COPY_INSERT:
        return run_insert(run);
    case COPY_PGHAUL:
        return run_pghaul(run);
    case COPY_PSQL:
        return run_psql(run);
    case COPY_DUMP:
        return run_dump(run);
    case COPY_PGCOPYDB:
        return run_pgcopydb(run);
    }
    return false;
}

/* ---- after ---- */

/* The same for the same rows in any order. */
static const char SQL_DIGEST[] =
    "SELECT count(*) || ' rows, ' || COALESCE(sum(hashtextextended(o::text, 0)::numeric), 0)"
    " FROM " BENCH_TABLE " o";
static const char SQL_COUNT[] = "SELECT count(*) || ' rows' FROM " BENCH_TABLE;
static const char SQL_INDEXES[] = "SELECT count(*) || ' indexes' FROM pg_index"
                                  " WHERE indrelid = '" BENCH_TABLE "'::regclass AND indisvalid";

static bool
is_same(const CopyRun *run, const char *sql)
{
    PGconn *source = pg_open(cluster_uri(run->source, BENCH_DATABASE));
    PGconn *target = open_target(run);
    char *wanted = pg_text(source, sql);
    char *found = pg_text(target, sql);
    bool same = strcmp(wanted, found) == 0;
    if (!same) {
        (void)fprintf(stderr, "copy: %s, %s: the source has %s, the target %s\n", run->table->name,
            run->contender->title, wanted, found);
    }
    free(wanted);
    free(found);
    pg_close(source);
    pg_close(target);
    return same;
}

bool
copy_check(const CopyRun *run, bool is_loaded)
{
    return run->contender->kind == COPY_IDLE ||
           (is_same(run, is_loaded ? SQL_COUNT : SQL_DIGEST) && is_same(run, SQL_INDEXES));
}

int64_t
copy_wal_bytes(const CopyRun *run)
{
    PGconn *conn = pg_open(cluster_uri(written(run), "postgres"));
    int64_t bytes = pg_int(conn,
        "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::bigint");
    pg_close(conn);
    return bytes;
}
