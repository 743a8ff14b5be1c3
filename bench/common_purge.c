/*
 * common_purge.c - the contenders, each at its best: prepared statements, one round trip a batch
 * where that is enough, and compression of the same level and format.
 */
#include "common_purge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "common_program.h"
#include "harness/harness.h"
#include "harness/session.h"

#define BATCH_ROWS "1000"
#define KEPT_TABLE "old_orders"

const PurgeContender PURGE_CONTENDERS[] = {
    {.name = "idle", .title = "idle", .kind = PURGE_IDLE},
    {.name = "delete", .title = "one DELETE", .kind = PURGE_DELETE},
    {.name = "loop", .title = "loop, 1,000 rows", .kind = PURGE_LOOP},
    {.name = "pghaul1", .title = "pghaul, 1 worker", .kind = PURGE_PGHAUL, .workers = 1},
    {.name = "pghaul2",
        .title = "pghaul, 2 workers",
        .kind = PURGE_PGHAUL,
        .workers = 2,
        .against = {"delete", "loop"},
        .wanted = {0.95}},
    {.name = "rows", .title = "row by row, to a file", .kind = PURGE_ROWS},
    {.name = "cte", .title = "WITH .. INSERT", .kind = PURGE_CTE},
    {.name = "psql", .title = "psql COPY | zstd -1", .kind = PURGE_PSQL},
    {.name = "archive1",
        .title = "pghaul, 1 worker, zstd 1",
        .kind = PURGE_PGHAUL,
        .workers = 1,
        .level = 1,
        .against = {"psql", "cte", "rows"}},
    {.name = "archive2",
        .title = "pghaul, 2 workers, zstd 1",
        .kind = PURGE_PGHAUL,
        .workers = 2,
        .level = 1,
        .against = {"psql", "cte", "rows", "delete"},
        .wanted = {1.2, 1.4, 20}},
    {.name = "archive2-3",
        .title = "pghaul, 2 workers, zstd 3",
        .kind = PURGE_PGHAUL,
        .workers = 2,
        .level = 3,
        .against = {"psql", "cte", "rows"}},
    {.name = "into",
        .title = "pghaul, 2 workers, into",
        .kind = PURGE_PGHAUL,
        .workers = 2,
        .into = true,
        .against = {"cte"}},
    {.name = "cascade",
        .title = "one DELETE, CASCADE",
        .kind = PURGE_DELETE,
        .with_children = true},
    {.name = "children",
        .title = "pghaul, with children",
        .kind = PURGE_PGHAUL,
        .workers = 2,
        .with_children = true,
        .against = {"cascade"}},
};
const int PURGE_CONTENDER_COUNT = sizeof(PURGE_CONTENDERS) / sizeof(PURGE_CONTENDERS[0]);

/* Row number i was created i seconds after the first moment. */
void
purge_put_where(StrBuf *out, bool scattered, int64_t rows)
{
    if (scattered) {
        strbuf_puts(out, "extract(epoch FROM created_at)::bigint % 10 < 3");
    } else {
        strbuf_printf(out,
            "created_at <= timestamptz '2024-01-01 00:00:00Z' + %lld * interval '1 second'",
            (long long)(rows * 3 / 10));
    }
}

const char PURGE_CHILDREN_SQL[] =
    "CREATE TABLE lines (id bigint PRIMARY KEY, order_id bigint NOT NULL"
    " REFERENCES " BENCH_TABLE " ON DELETE CASCADE, note text NOT NULL);"
    "CREATE TABLE notes (id bigint PRIMARY KEY, order_id bigint NOT NULL"
    " REFERENCES " BENCH_TABLE " ON DELETE CASCADE, note text NOT NULL);"
    "INSERT INTO lines SELECT id, id, left(repeat(md5(id::text), 2), 50) FROM " BENCH_TABLE ";"
    "INSERT INTO notes SELECT id, id, left(repeat(md5(id::text), 2), 50) FROM " BENCH_TABLE ";"
    "CREATE INDEX ON lines (order_id);"
    "CREATE INDEX ON notes (order_id)";

static PGconn *
open_database(const PurgeRun *run)
{
    return pg_open(cluster_uri(run->cluster, BENCH_DATABASE));
}

/* ---- programs ---- */

static bool
run_program(const PurgeRun *run, const char *const *argv)
{
    STRBUF_AUTO log = STRBUF_INIT;
    STRBUF_AUTO source = STRBUF_INIT;
    STRBUF_AUTO folder = STRBUF_INIT;
    STRBUF_AUTO where = STRBUF_INIT;
    strbuf_printf(&source, "SOURCE=%s", cluster_uri(run->cluster, BENCH_DATABASE));
    strbuf_printf(&folder, "FOLDER=%s", run->folder);
    strbuf_printf(&where, "OLD=%s", run->where);
    const char *env[] = {strbuf_text(&source), strbuf_text(&folder), strbuf_text(&where), NULL};
    if (run->log_folder != NULL) {
        strbuf_printf(&log, "%s/%s-%s-%d.log", run->log_folder, run->table->name,
            run->contender->name, run->repetition);
    }
    return program_run(&(BenchProgram){.title = run->contender->title,
        .argv = argv,
        .env = env,
        .log_path = run->log_folder == NULL ? NULL : strbuf_text(&log)});
}

static bool
run_shell(const PurgeRun *run, const char *script)
{
    STRBUF_AUTO text = STRBUF_INIT;
    program_put_script(&text, run->cluster, script);
    const char *argv[] = {"/bin/bash", "-c", strbuf_text(&text), NULL};
    return run_program(run, argv);
}

/* ---- before ---- */

void
purge_prepare(const PurgeRun *run)
{
    table_restore(run->cluster, run->table);
    if (!run_shell(run, "rm -rf \"$FOLDER/archive\" \"$FOLDER\"/rows.*\n")) {
        harness_fail("the files of the run before could not be removed");
    }
    PGconn *conn = open_database(run);
    pg_exec(conn, "CREATE TABLE " KEPT_TABLE " (LIKE " BENCH_TABLE ")");
    pg_exec(conn, "CHECKPOINT");
    pg_close(conn);
}

int64_t
purge_rows(const PurgeRun *run)
{
    bool one_by_one = run->contender->kind == PURGE_ROWS;
    return one_by_one && run->slow_rows < run->old_rows ? run->slow_rows : run->old_rows;
}

/* ---- the contenders ---- */

static void
run_statement(const PurgeRun *run, const char *before, const char *after)
{
    PGconn *conn = open_database(run);
    pg_execf(conn, "%s%s%s", before, run->where, after);
    pg_close(conn);
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

/* Returns owned. */
static PGresult *
run_prepared(PGconn *conn, const char *name, const char *value)
{
    PGresult *result = PQexecPrepared(conn, name, 1, &value, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        harness_fail("%s failed: %s", name, PQerrorMessage(conn));
    }
    return result;
}

/* Each statement is a transaction of its own; the next one begins behind the last key. */
static void
run_loop(const PurgeRun *run)
{
    PGconn *conn = open_database(run);
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "WITH d AS (DELETE FROM " BENCH_TABLE " WHERE id = ANY (ARRAY(SELECT id FROM " BENCH_TABLE
        " WHERE id > $1 AND %s ORDER BY id LIMIT " BATCH_ROWS ")) RETURNING id)"
        " SELECT id FROM d ORDER BY id DESC LIMIT 1",
        run->where);
    prepare(conn, "batch", strbuf_text(&sql));
    char low[64];
    (void)snprintf(low, sizeof(low), "%s", run->table->lowest_key);
    for (bool more = true; more;) {
        PGresult *result = run_prepared(conn, "batch", low);
        more = PQntuples(result) > 0;
        if (more) {
            (void)snprintf(low, sizeof(low), "%s", PQgetvalue(result, 0, 0));
        }
        PQclear(result);
    }
    pg_close(conn);
}

static void
delete_each(PGconn *conn, const PGresult *rows, FILE *file)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        for (int column = 0; column < PQnfields(rows); column++) {
            (void)fprintf(file, "%s%s", column == 0 ? "" : "\t", PQgetvalue(rows, i, column));
        }
        (void)fputc('\n', file);
        PQclear(run_prepared(conn, "one", PQgetvalue(rows, i, 0)));
    }
}

/* pt-archiver --limit 1000 --txn-size 1000 --file: a transaction of 1,000 rows, each of which is
 * written to a file and then deleted by its key. */
static void
run_rows(const PurgeRun *run)
{
    PGconn *conn = open_database(run);
    STRBUF_AUTO path = STRBUF_INIT;
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&path, "%s/rows.txt", run->folder);
    strbuf_printf(&sql,
        "SELECT * FROM " BENCH_TABLE " WHERE id > $1 AND %s ORDER BY id LIMIT " BATCH_ROWS,
        run->where);
    prepare(conn, "some", strbuf_text(&sql));
    prepare(conn, "one", "DELETE FROM " BENCH_TABLE " WHERE id = $1");
    FILE *file = fopen(strbuf_text(&path), "we");
    if (file == NULL) {
        harness_fail("cannot write %s", strbuf_text(&path));
    }
    char low[64];
    (void)snprintf(low, sizeof(low), "%s", run->table->lowest_key);
    for (int64_t rows = 0; rows < purge_rows(run);) {
        pg_exec(conn, "BEGIN");
        PGresult *result = run_prepared(conn, "some", low);
        int count = PQntuples(result);
        delete_each(conn, result, file);
        if (count > 0) {
            (void)snprintf(low, sizeof(low), "%s", PQgetvalue(result, count - 1, 0));
        }
        PQclear(result);
        pg_exec(conn, "COMMIT");
        rows += count == 0 ? purge_rows(run) : count;
    }
    (void)fclose(file);
    pg_close(conn);
}

/* Defaults but for workers and vacuum: nobody else vacuums within the time that is measured. */
static void
write_job(const PurgeRun *run, const char *path)
{
    const PurgeContender *contender = run->contender;
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text,
        "job: bench-purge\npurge: " BENCH_TABLE "\nwhere: |\n  %s\nworkers: %d\nvacuum: off\n",
        run->where, contender->workers);
    if (contender->level > 0) {
        strbuf_printf(
            &text, "archive: {path: %s/archive, level: %d}\n", run->folder, contender->level);
    }
    strbuf_puts(&text, contender->into ? "into: " KEPT_TABLE "\n" : "");
    strbuf_puts(&text, contender->with_children ? "children: delete\n" : "");
    harness_write_file(path, strbuf_text(&text));
}

static bool
run_pghaul(const PurgeRun *run)
{
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&job, "%s/job.yaml", run->folder);
    write_job(run, strbuf_text(&job));
    const char *argv[] = {harness_env("PGHAUL_BIN", "build/release/pghaul"), "run", "--json", "-d",
        cluster_uri(run->cluster, BENCH_DATABASE), strbuf_text(&job), "--yes", NULL};
    return run_program(run, argv);
}

bool
purge_run(const PurgeRun *run)
{
    switch (run->contender->kind) {
    case PURGE_IDLE:
        harness_nap_us(SECONDS_US(run->idle_s));
        return true;
    case PURGE_DELETE:
        run_statement(run, "DELETE FROM " BENCH_TABLE " WHERE ", "");
        return true;
    case PURGE_LOOP:
        run_loop(run);
        return true;
    case PURGE_ROWS:
        run_rows(run);
        return true;
    case PURGE_CTE:
        run_statement(run, "WITH d AS (DELETE FROM " BENCH_TABLE " WHERE ",
            " RETURNING *) INSERT INTO " KEPT_TABLE " SELECT * FROM d");
        return true;
    case PURGE_PSQL:
        return run_shell(run,
            "\"$BIN/psql\" -X -d \"$SOURCE\" -c \"COPY (DELETE FROM " BENCH_TABLE " WHERE $OLD"
            " RETURNING *) TO STDOUT\" | zstd -q -1 -o \"$FOLDER/rows.zst\"\n"
            "sync \"$FOLDER/rows.zst\"\n");
    case PURGE_PGHAUL:
        return run_pghaul(run);
    }
    return false;
}

/* ---- after ---- */

static bool
expect_count(const PurgeRun *run, const char *what, int64_t wanted, int64_t found)
{
    if (wanted != found) {
        (void)fprintf(stderr, "purge: %s, %s: %lld rows %s, expected %lld\n", run->table->name,
            run->contender->title, (long long)found, what, (long long)wanted);
    }
    return wanted == found;
}

/* The number that the script writes to $FOLDER/rows.count. */
static int64_t
count_by(const PurgeRun *run, const char *script)
{
    STRBUF_AUTO path = STRBUF_INIT;
    strbuf_printf(&path, "%s/rows.count", run->folder);
    if (!run_shell(run, script)) {
        return -1;
    }
    char *text = harness_read_file(strbuf_text(&path));
    int64_t count = strtoll(text, NULL, 10);
    free(text);
    return count;
}

#define FILES "$(if [[ -d archive ]]; then echo archive/*.zst; else echo rows.zst; fi)"

static bool
has_files(const PurgeRun *run)
{
    return run->contender->level > 0 || run->contender->kind == PURGE_PSQL;
}

/* A frame of rows is one of zstd's; it skips the heads. */
static int64_t
count_lines(const PurgeRun *run)
{
    return count_by(run, "cd \"$FOLDER\"\nzstd -dcq " FILES " | wc -l >rows.count\n");
}

/* Rows in files beside those that are gone: of frames that are void, because the application has
 * changed a row of them between read and delete. */
static int64_t
void_rows(const PurgeRun *run, PGconn *conn)
{
    return run->contender->level == 0
               ? 0
               : pg_int(conn, "SELECT COALESCE(sum(rows), 0)::bigint FROM pghaul.archive_frame"
                              " WHERE fate = 'void'");
}

bool
purge_check(const PurgeRun *run)
{
    const PurgeContender *contender = run->contender;
    if (contender->kind == PURGE_IDLE) {
        return true;
    }
    PGconn *conn = open_database(run);
    int64_t gone = purge_rows(run);
    bool ok = expect_count(run, "match still", run->old_rows - gone,
        pg_intf(conn, "SELECT count(*) FROM " BENCH_TABLE " WHERE %s", run->where));
    if (contender->into || contender->kind == PURGE_CTE) {
        ok = expect_count(run, "are in the other table", gone,
                 pg_int(conn, "SELECT count(*) FROM " KEPT_TABLE)) &&
             ok;
    }
    if (contender->with_children) {
        ok = expect_count(run, "refer to nothing", 0,
                 pg_int(conn,
                     "SELECT count(*) FROM lines l WHERE NOT EXISTS (SELECT FROM " BENCH_TABLE
                     " o WHERE o.id = l.order_id)")) &&
             ok;
    }
    if (has_files(run)) {
        ok = expect_count(run, "are in the files", gone + void_rows(run, conn), count_lines(run)) &&
             ok;
    }
    pg_close(conn);
    return ok;
}

int64_t
purge_file_bytes(const PurgeRun *run)
{
    return has_files(run) ? count_by(run, "cd \"$FOLDER\"\ncat " FILES " | wc -c >rows.count\n")
                          : 0;
}

double
purge_run_s(const PurgeRun *run)
{
    if (run->contender->kind != PURGE_PGHAUL) {
        return (double)NAN;
    }
    PGconn *conn = open_database(run);
    int64_t took_us = pg_int(conn,
        "SELECT (extract(epoch FROM max(ended) - min(started)) * 1000000)::bigint FROM pghaul.run");
    pg_close(conn);
    return (double)took_us / 1e6;
}

int64_t
purge_wal_bytes(const PurgeRun *run)
{
    PGconn *conn = open_database(run);
    int64_t bytes = pg_int(conn,
        "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::bigint");
    pg_close(conn);
    return bytes;
}
