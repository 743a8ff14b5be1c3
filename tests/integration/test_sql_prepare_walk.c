/*
 * test_sql_prepare_walk.c - the ranges that are carved by key, and the batches in them, have every
 * row once.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/sql_batch.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "pg/params.h"

#define THROTTLE "throttle: {standbys: none}\n"

/* Cut the whole table into slices of seven rows; counts the rows of all slices. */
static int64_t
walk(JobFixture *f, const char *upper, int *slices)
{
    Err err = ERR_INIT;
    STRBUF_AUTO probe = STRBUF_INIT;
    STRBUF_AUTO rest = STRBUF_INIT;
    sql_carve_probe(&probe, &f->survey.plan);
    sql_carve_rest(&rest, &f->survey.plan);
    const char *from = NULL;
    for (*slices = 1;; (*slices)++) {
        Params params = PARAMS_INIT;
        params_text(&params, from);
        params_text(&params, upper);
        params_int(&params, 7);
        PGRESULT_AUTO *result = NULL;
        cr_assert(
            query_with(f->conn, strbuf_text(&probe), &params, &result, &err), "%s", err.message);
        if (result_rows(result) == 1) {
            from = result_dup(result, 0, 0, &f->arena);
            continue;
        }
        PGRESULT_AUTO *last = NULL;
        cr_assert(
            query_one_with(f->conn, strbuf_text(&rest), &params, &last, &err), "%s", err.message);
        return (int64_t)(*slices - 1) * 7 + result_int(last, 0, 0);
    }
}

static void
check_walk(const char *type, const char *keys)
{
    JobFixture f;
    STRBUF_AUTO setup = STRBUF_INIT;
    strbuf_printf(&setup,
        "CREATE TYPE pair AS (a int, b text);"
        "CREATE TABLE t (k %s PRIMARY KEY, src text, c text);"
        "INSERT INTO t SELECT s.k, 'v' FROM (%s) AS s(k)",
        type, keys);
    job_fixture_open(&f, strbuf_text(&setup),
        "job: j\nbackfill: t\npath: key\nset:\n  c: upper(src)\n" THROTTLE);
    int64_t rows = pg_int(f.sql, "SELECT count(*) FROM t");
    int slices = 0;
    cr_expect(eq(i64, rows, walk(&f, f.job.upper, &slices)), "%s up to the last key", type);
    cr_expect(eq(i64, rows / 7 + 1, slices), "%s", type);
    cr_expect(eq(i64, rows, walk(&f, NULL, &slices)), "%s", type);

    /* The same through the verify function, batch by batch. */
    RangeLease lease = job_fixture_range(&f, NULL, f.job.upper, 1);
    pg_exec(f.sql, "UPDATE t SET src = src"); /* the sync trigger fills every row */
    int64_t seen = 0;
    for (bool more = true; more;) {
        const char *call = job_fixture_call(&f, "verify", &lease, "7, false");
        PGresult *answer = PQexec(f.sql, call);
        cr_assert(eq(int, PGRES_TUPLES_OK, PQresultStatus(answer)), "%s", PQerrorMessage(f.sql));
        more = strcmp(PQgetvalue(answer, 0, BATCH_OUTCOME), "more") == 0;
        seen += strtoll(PQgetvalue(answer, 0, BATCH_ROWS), NULL, 10);
        cr_expect(eq(str, PQgetvalue(answer, 0, BATCH_LEFT), "0"), "%s", type);
        lease.watermark = arena_strdup(&f.arena, PQgetvalue(answer, 0, BATCH_WATERMARK));
        PQclear(answer);
    }
    cr_expect(eq(i64, rows, seen), "%s", type);
    job_fixture_close(&f);
}

Test(sql_prepare_walk, ranges_and_verify_batches_cover_every_key_once)
{
    check_walk("bigint", "SELECT g FROM generate_series(-30, 30) AS g"
                         " UNION SELECT -9223372036854775808 UNION SELECT 9223372036854775807");
    check_walk("char(6)", "SELECT 'k' || g FROM generate_series(1, 60) AS g UNION SELECT ''");
    check_walk("bit(9)", "SELECT g::bit(9) FROM generate_series(1, 60) AS g");
    check_walk("pair", "SELECT ROW(g, 'x')::pair FROM generate_series(1, 60) AS g");
    check_walk("numeric", "SELECT g / 7.0 FROM generate_series(1, 60) AS g UNION SELECT 'NaN'"
                          " UNION SELECT 'Infinity' UNION SELECT '-Infinity'");
    check_walk("timestamptz", "SELECT now() + g * interval '1 us' FROM generate_series(1, 60) AS g"
                              " UNION SELECT 'infinity' UNION SELECT '-infinity'");
    check_walk("text COLLATE \"C\"", "SELECT 'k' || g FROM generate_series(1, 60) AS g"
                                     " UNION SELECT '' UNION SELECT '{\"a\\b\",NULL}'");
}
