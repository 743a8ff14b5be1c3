/*
 * test_indexes.c - `indexes: after`: the target's indexes after a copy are what they were before
 * it, or what the source has, whatever came between.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/session.h"

#define ROWS "2000"

/* No transaction of a test has an xid when the job begins, so the fence of `sync: none` is open. */
#define JOB(map)                                                                                   \
    "job: c\ncopy: src\ninto: dst\n" map "sync: none\nindexes: after\n"                            \
    "throttle: {standbys: none}\n"

static const char SOURCE[] =
    "CREATE TABLE src (id int PRIMARY KEY, a int NOT NULL, b text, c int[], d point, u int);"
    "INSERT INTO src SELECT g, g % 17, 'B' || g, ARRAY[g, g + 1], point(g, g), g"
    "  FROM generate_series(1, " ROWS ") AS g";

/* Every index of dst and its partitions as the server spells it, but those of constraints. */
#define SQL_DEFINITIONS                                                                            \
    "SELECT string_agg(pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid || ' '"                \
    "                  || COALESCE(obj_description(i.indexrelid), ''), E'\\n'"                     \
    "                  ORDER BY c.relname)"                                                        \
    "  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"                                    \
    " WHERE i.indrelid::regclass::text LIKE 'dst%'"                                                \
    "   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)"

#define SQL_DIFFERING                                                                              \
    "SELECT count(*) FROM src FULL JOIN dst USING (id) WHERE src.id IS NULL OR dst.id IS NULL"

static Proc *
start(const CliBase *base)
{
    const char *const args[] = {"run", base->job_file, "-d", base->uri, "--yes", NULL};
    return proc_start_pghaul(args);
}

/* Ends with this code, and has said this (NULL = anything) on one of its streams. */
static void
expect_end(Proc *proc, int code, const char *part)
{
    int ended = proc_finish(proc, HARNESS_TIMEOUT_US);
    char *out = proc_stdout(proc);
    char *err = proc_stderr(proc);
    cr_assert(eq(int, code, ended), "%s%s", out, err);
    cr_expect(part == NULL || cli_has(out, part) || cli_has(err, part), "%s: %s%s", part, out, err);
    free(out);
    free(err);
    proc_free(proc);
}

static void
expect_run(const CliBase *base, int code, const char *part)
{
    expect_end(start(base), code, part);
}

static void
expect_plan(const CliBase *base, const char *part)
{
    CliResult plan = CLI("plan", base->job_file, "-d", base->uri);
    cr_expect(eq(int, 0, plan.code), "%s", plan.err);
    cr_expect(cli_has(plan.out, part), "%s: %s", part, plan.out);
    cli_free(&plan);
}

static CliBase
open_base(const char *target, const char *job)
{
    CliBase base = cli_base_new(0);
    pg_exec(base.conn, SOURCE);
    pg_exec(base.conn, target);
    cli_base_write_job(&base, job);
    return base;
}

/* ---- the target's own ---- */

#define OWN_TARGET                                                                                 \
    "CREATE TABLE dst (id int PRIMARY KEY, a int NOT NULL, b text, c int[], d point, u int,"       \
    "                  CONSTRAINT dst_stays UNIQUE (u, id));"                                      \
    "CREATE INDEX dst_desc ON dst (a DESC NULLS LAST, b);"                                         \
    "CREATE INDEX dst_expression ON dst (lower(b));"                                               \
    "CREATE INDEX dst_partial ON dst (a) WHERE b <> 'it''s; WHERE';"                               \
    "CREATE UNIQUE INDEX \"dst Include\" ON dst (u) INCLUDE (a) WITH (fillfactor = 70);"           \
    "CREATE INDEX dst_pattern ON dst (b COLLATE \"C\" text_pattern_ops);"                          \
    "CREATE INDEX dst_hash ON dst USING hash (a);"                                                 \
    "CREATE INDEX dst_gin ON dst USING gin (c);"                                                   \
    "CREATE INDEX dst_gist ON dst USING gist (d);"                                                 \
    "CREATE INDEX dst_brin ON dst USING brin (id) WITH (pages_per_range = 4);"                     \
    "CREATE INDEX dst_replica ON dst (a, id);"                                                     \
    "CREATE UNIQUE INDEX dst_identity ON dst (a, id);"                                             \
    "ALTER TABLE dst REPLICA IDENTITY USING INDEX dst_identity;"                                   \
    "COMMENT ON INDEX dst_gin IS 'it''s kept'"

Test(indexes, of_the_target_are_the_same_after_the_copy)
{
    CliBase base = open_base(OWN_TARGET, JOB(""));
    char *before = pg_text(base.conn, SQL_DEFINITIONS);
    int64_t kept = pg_int(base.conn, "SELECT 'dst_identity'::regclass::oid");
    int64_t dropped = pg_int(base.conn, "SELECT 'dst_gin'::regclass::oid");
    expect_plan(&base, "10 indexes of \"public\".\"dst\" are dropped when");
    expect_run(&base, 0, NULL);
    char *after = pg_text(base.conn, SQL_DEFINITIONS);
    cr_expect_str_eq(after, before);
    cr_expect(eq(i64, kept, pg_int(base.conn, "SELECT 'dst_identity'::regclass::oid")));
    cr_expect(ne(i64, dropped, pg_int(base.conn, "SELECT 'dst_gin'::regclass::oid")));
    cr_expect(eq(i64, 0, pg_int(base.conn, SQL_DIFFERING)));
    cr_expect(eq(i64, 1,
        pg_int(base.conn, "SELECT bool_and(dropped AND built > created)"
                          "  FROM pghaul.index_build, pghaul.job")));
    free(before);
    free(after);
    cli_base_free(&base);
}

Test(indexes, of_a_target_with_rows_stay)
{
    CliBase base = open_base("CREATE TABLE dst (LIKE src, PRIMARY KEY (id));"
                             "CREATE INDEX dst_a ON dst (a); INSERT INTO dst (id, a) VALUES (1, 1)",
        JOB("on_conflict: update\n"));
    int64_t oid = pg_int(base.conn, "SELECT 'dst_a'::regclass::oid");
    expect_plan(&base, "has rows: its indexes");
    expect_run(&base, 0, NULL);
    cr_expect(eq(i64, oid, pg_int(base.conn, "SELECT 'dst_a'::regclass::oid")));
    cr_expect(eq(i64, 0, pg_int(base.conn, "SELECT count(*) FROM pghaul.index_build")));
    cli_base_free(&base);
}

/* ---- the source's ---- */

#define SOURCE_INDEXES                                                                             \
    "CREATE INDEX src_a_b ON src (a, b DESC);"                                                     \
    "CREATE INDEX \"Odd\" ON src USING gin (c);"                                                   \
    "CREATE UNIQUE INDEX src_u ON src (u) INCLUDE (b);"                                            \
    "CREATE INDEX src_lower ON src (lower(b));"                                                    \
    "CREATE INDEX src_d ON src USING gist (d);"                                                    \
    "CREATE INDEX src_partial ON src (a) WHERE a > 3;"                                             \
    "CREATE INDEX taken ON src (u);"                                                               \
    "CREATE INDEX dst_taken ON src (id, a);"

Test(indexes, of_the_source_are_built_on_a_target_that_has_none)
{
    CliBase base = open_base(SOURCE_INDEXES
        "CREATE TABLE dst (id bigint PRIMARY KEY, a int, bee text, c int[], d text, u bigint)",
        JOB("map: {bee: b, d: 'd::text', id: id}\n"));
    expect_plan(&base, "6 indexes of \"public\".\"dst\" are built, as the source's");
    expect_run(&base, 0, NULL);
    char *after = pg_text(base.conn, SQL_DEFINITIONS);
    cr_expect_str_eq(after,
        "CREATE INDEX \"dst_Odd\" ON public.dst USING gin (c) true \n"
        "CREATE INDEX dst_a_b ON public.dst USING btree (a, bee DESC) true \n"
        "CREATE INDEX dst_dst_taken ON public.dst USING btree (id, a) true \n"
        "CREATE INDEX dst_partial ON public.dst USING btree (a) WHERE (a > 3) true \n"
        "CREATE INDEX dst_taken_1 ON public.dst USING btree (u) true \n"
        "CREATE UNIQUE INDEX dst_u ON public.dst USING btree (u) INCLUDE (bee) true ");
    free(after);
    cli_base_free(&base);
}

Test(indexes, that_cannot_be_carried_are_named_by_plan)
{
    CliBase base = open_base(SOURCE_INDEXES
        "CREATE TABLE dst (id int, a int, bee text, c int, d text, u int, PRIMARY KEY (id, a))"
        "  PARTITION BY LIST (a); CREATE TABLE dst_rest PARTITION OF dst DEFAULT",
        JOB("map: {bee: b, d: 'd::text', c: 'c[1]'}\n"));
    expect_plan(&base, "column \"d\" is not copied as it is");
    expect_plan(&base, "expression or predicate has");
    expect_plan(&base, "it is unique without column \"a\"");
    cli_base_free(&base);
}

/* ---- cut off ---- */

/* Two runs, of which one builds while the other waits; it is killed, then stopped by a signal. */
Test(indexes, build_that_was_cut_off_is_done_again)
{
    CliBase base = open_base("CREATE INDEX src_a ON src (a); CREATE INDEX src_b ON src (b);"
                             "CREATE TABLE dst (LIKE src, PRIMARY KEY (id))",
        JOB(""));
    /* A build waits for it in the middle, when its index is there and is not valid. */
    Session *holder = session_open(base.uri);
    session_lock_table(holder, "dst", "ROW EXCLUSIVE");
    Proc *builds = start(&base);
    pg_wait_true(base.conn,
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid"
        "                WHERE c.relname = 'dst_a' AND NOT i.indisvalid)",
        HARNESS_TIMEOUT_US);
    Proc *waits = start(&base);
    pg_wait_true(base.conn,
        "SELECT count(*) = 2 FROM pg_stat_activity"
        " WHERE application_name = 'pghaul/c/index' AND datname = current_database()",
        HARNESS_TIMEOUT_US);
    proc_signal(builds, SIGKILL);
    (void)proc_finish(builds, HARNESS_TIMEOUT_US);
    proc_free(builds);
    cr_expect(proc_wait_output(waits, "dst_a is invalid", HARNESS_TIMEOUT_US));
    pg_wait_true(base.conn,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active'"
        "   AND datname = current_database() AND query LIKE 'DROP INDEX CONCURRENTLY%'",
        HARNESS_TIMEOUT_US);
    proc_signal(waits, SIGTERM);
    expect_end(waits, 7, "stopped by a signal");
    session_release(holder);
    expect_run(&base, 0, NULL);
    cr_expect(eq(i64, 3,
        pg_int(base.conn, "SELECT count(*) FROM pg_index"
                          " WHERE indrelid = 'dst'::regclass AND indisvalid")));
    session_close(holder);
    cli_base_free(&base);
}

Test(indexes, unique_one_that_finds_equal_rows_ends_the_run_and_is_built_when_they_are_mended)
{
    CliBase base = open_base("UPDATE src SET u = 1 WHERE id = 2;"
                             "CREATE TABLE dst (LIKE src, PRIMARY KEY (id));"
                             "CREATE INDEX dst_a ON dst (a); CREATE UNIQUE INDEX dst_u ON dst (u)",
        JOB(""));
    expect_run(&base, 1, "unique index dst_u cannot be built: rows of \"public\".\"dst\"");
    cr_expect(eq(i64, 1,
        pg_int(base.conn, "SELECT to_regclass('dst_u') IS NULL"
                          "   AND to_regclass('dst_a') IS NOT NULL")));
    cr_expect(eq(i64, 1, pg_int(base.conn, "SELECT state = 'failed' FROM pghaul.job")));
    pg_exec(base.conn, "UPDATE src SET u = 2 WHERE id = 2; UPDATE dst SET u = 2 WHERE id = 2");
    expect_run(&base, 0, NULL);
    cr_expect(eq(i64, 1,
        pg_int(base.conn, "SELECT indisvalid FROM pg_index"
                          " WHERE indexrelid = 'dst_u'::regclass")));
    cli_base_free(&base);
}

Test(indexes, unique_one_is_tried_again_while_the_drain_catches_up)
{
    CliBase base = open_base("UPDATE src SET u = 1 WHERE id = 2;"
                             "CREATE TABLE dst (LIKE src, PRIMARY KEY (id));"
                             "CREATE UNIQUE INDEX dst_u ON dst (u)",
        "job: c\ncopy: src\ninto: dst\nindexes: after\nthrottle: {standbys: none}\n");
    Proc *proc = start(&base);
    cr_assert(proc_wait_output(proc, "dst_u finds equal values", HARNESS_TIMEOUT_US));
    pg_exec(base.conn, "UPDATE src SET u = 2 WHERE id = 2");
    expect_end(proc, 0, NULL);
    cr_expect(eq(i64, 1,
        pg_int(base.conn, "SELECT indisvalid FROM pg_index"
                          " WHERE indexrelid = 'dst_u'::regclass")));
    cli_base_free(&base);
}

Test(indexes, that_were_dropped_and_not_built_are_printed_by_clean)
{
    CliBase base = open_base("UPDATE src SET u = 1 WHERE id = 2;"
                             "CREATE TABLE dst (LIKE src, PRIMARY KEY (id));"
                             "CREATE UNIQUE INDEX dst_u ON dst (u); CREATE INDEX z ON dst (b)",
        JOB(""));
    expect_run(&base, 1, "unique index dst_u cannot be built");
    CliResult clean = CLI("clean", "c", "-d", base.uri);
    cr_expect(eq(int, 0, clean.code), "%s", clean.err);
    const char *sql = strstr(clean.out, "CREATE ");
    cr_assert(sql != NULL && cli_has(sql, "UNIQUE INDEX CONCURRENTLY \"dst_u\""), "%s", clean.out);
    cr_expect(
        cli_has(sql, "CREATE INDEX CONCURRENTLY \"z\" ON \"public\".\"dst\" USING btree (b);"),
        "%s", clean.out);
    cli_free(&clean);
    cli_base_free(&base);
}

/* ---- a partitioned target ---- */

#define PARTITIONED                                                                                \
    "CREATE TABLE dst (LIKE src, PRIMARY KEY (id)) PARTITION BY RANGE (id);"                       \
    "CREATE TABLE dst_low PARTITION OF dst FOR VALUES FROM (0) TO (500);"                          \
    "CREATE TABLE dst_high PARTITION OF dst FOR VALUES FROM (500) TO (9000)"                       \
    "  PARTITION BY LIST (id);"                                                                    \
    "CREATE TABLE dst_high_1 PARTITION OF dst_high FOR VALUES IN (600);"                           \
    "CREATE TABLE dst_high_2 PARTITION OF dst_high DEFAULT;"

Test(indexes, of_a_partitioned_target_are_built_partition_by_partition)
{
    CliBase base = open_base(PARTITIONED
        "CREATE INDEX dst_b_idx ON dst (b) WHERE a > 2; CREATE UNIQUE INDEX dst_two ON dst (a, id);"
        "CREATE INDEX dst_low_two_1 ON dst_low (u)",
        JOB(""));
    /* Left by a build that was killed: one part is valid but hangs on nothing. */
    expect_plan(&base, "on each partition");
    expect_run(&base, 0, NULL);
    cr_expect(eq(i64, 10,
        pg_int(base.conn,
            "SELECT count(*) FROM pg_partition_tree('dst_b_idx') t JOIN pg_index i"
            "    ON i.indexrelid = t.relid AND i.indisvalid CROSS JOIN generate_series(1, 2)")));
    cr_expect(eq(i64, 5,
        pg_int(base.conn, "SELECT count(*) FROM pg_partition_tree('dst_two') t JOIN pg_index i"
                          "    ON i.indexrelid = t.relid AND i.indisvalid")));
    char *part = pg_text(base.conn, "SELECT pg_get_indexdef('dst_high_2_b_idx'::regclass)");
    cr_expect_str_eq(
        part, "CREATE INDEX dst_high_2_b_idx ON public.dst_high_2 USING btree (b) WHERE (a > 2)");
    free(part);
    cr_expect(eq(i64, 0, pg_int(base.conn, SQL_DIFFERING)));
    cli_base_free(&base);
}
