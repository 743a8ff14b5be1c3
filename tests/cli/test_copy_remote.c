/*
 * test_copy_remote.c - copies from one database into another.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/remote_case.h"
#include "cli/type_case.h"
#include "harness/harness.h"
#include "harness/session.h"

#define SOURCE                                                                                     \
    "CREATE TABLE src (id int PRIMARY KEY, region text NOT NULL, amount numeric, note text);"      \
    "INSERT INTO src SELECT i, 'r' || i % 7, i / 4.0, nullif(repeat('n', abs(i) % 5), '')"         \
    "  FROM generate_series(-1000, 4000) AS i WHERE i % 11 <> 0;"                                  \
    "ANALYZE src"
#define TARGET "CREATE TABLE dst (id int PRIMARY KEY, region text, amount numeric, note text)"
#define ALL    "SELECT id, region, amount, note FROM "

/* ---- what arrives ---- */

Test(copy_remote, maps_filters_and_counts_and_leaves_nothing_at_the_source)
{
    RemoteCase test;
    remote_open(&test, SOURCE,
        "CREATE TABLE dst (key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, place text,"
        " cents bigint, made text GENERATED ALWAYS AS (place || '!') STORED,"
        " kind text DEFAULT 'k')");
    remote_write(&test, NULL, NULL,
        "map: {key: id, place: upper(region), cents: (amount * 100)::bigint}\n"
        "where: note IS NOT NULL -- those with a note\nbatch: {rows: 300}\n");
    remote_run(&test, 0);
    remote_expect_equal(&test,
        "SELECT id::bigint, upper(region), (amount * 100)::bigint, upper(region) || '!', 'k'::text"
        " FROM src WHERE note IS NOT NULL",
        "SELECT * FROM dst");
    cr_expect(eq(i64, pg_int(test.source, "SELECT count(*) FROM src WHERE note IS NOT NULL"),
        pg_int(test.target, "SELECT sum(rows) FROM pghaul.ranges")));
    cr_expect(eq(
        i64, 0, pg_int(test.source, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pghaul'")));
    cr_expect(lt(i64, 10, pg_int(test.target, "SELECT sum(batches) FROM pghaul.ranges")));
    remote_close(&test);
}

/* Objects have other OIDs there: such values travel as text. */
Test(copy_remote, types_of_the_users_own_travel_as_text)
{
    static const char TYPES[] =
        "CREATE TYPE mood AS ENUM ('sad', 'a, \"b\"'); CREATE TYPE pair AS (a int, b text);"
        "CREATE DOMAIN few AS numeric(6,2) CHECK (VALUE < 100);";
    RemoteCase test;
    remote_open(&test, TYPES, "CREATE TABLE filler (m text); CREATE TYPE filler2 AS ENUM ('x');");
    pg_exec(test.target, TYPES);
    static const char TABLE[] = "CREATE TABLE %s (id uuid PRIMARY KEY, m mood, ms mood[], p pair,"
                                " ps pair[], f few, r regtype, c varchar(4), b bit(3), x char(5))";
    pg_execf(test.source, TABLE, "src");
    pg_execf(test.target, TABLE, "dst");
    pg_exec(test.source,
        "INSERT INTO src SELECT gen_random_uuid(), 'a, \"b\"', '{sad,NULL,\"a, \\\"b\\\"\"}',"
        " ROW(i, E'x\\t\\n\\\\')::pair, ARRAY[ROW(1, NULL), ROW(NULL, '')]::pair[], i / 10.0,"
        " 'mood'::regtype, 'ab', B'101', 'a' FROM generate_series(1, 500) AS i");
    remote_write(&test, NULL, NULL, "map: {f: f + 0.005, c: c || '  '}\nallow: [lossy]\n");
    remote_run(&test, 0);
    remote_expect_equal(&test,
        "SELECT id, m, ms, p, ps, (f + 0.005)::few, r::text, (c || '  ')::varchar(4), b, x FROM "
        "src",
        "SELECT id, m, ms, p, ps, f, r::text, c, b, x FROM dst");
    remote_close(&test);
}

/* The binary form of an array has the OID of its element's type, another one in each database. */
static void
forget_arrays_of_own_types(char *digest)
{
    char *line = digest;
    while ((line = strstr(line, "type_")) != NULL) {
        char *end = line + strcspn(line, "\n");
        if (memmem(line, (size_t)(end - line), "[]", 2) != NULL) {
            memset(line, '-', (size_t)(end - line));
        }
        line = end;
    }
}

/* With types of users' own all of it travels as text; the server's own alone do so in binary. */
static void
expect_every_type(const RemoteCase *test, const char *format)
{
    remote_write(test, NULL, NULL, "");
    CliResult plan = CLI("plan", test->job_file);
    cr_expect(cli_has(plan.out, format), "%s%s", plan.out, plan.err);
    cli_free(&plan);
    remote_run(test, 0);
    char *is = type_cases_digest(test->source, "src");
    char *has = type_cases_digest(test->target, "dst");
    forget_arrays_of_own_types(is);
    forget_arrays_of_own_types(has);
    cr_expect(eq(str, is, has));
    free(is);
    free(has);
}

Test(copy_remote, every_type_arrives_bit_by_bit_as_text_and_in_binary)
{
    static const char OWN[] =
        "DO $$ DECLARE c text; BEGIN FOR c IN SELECT attname FROM pg_attribute JOIN pg_type t"
        " ON t.oid = atttypid WHERE attrelid = '%s'::regclass AND attnum > 1 AND NOT attisdropped"
        " AND (t.oid >= 10000 OR typname ~ '^reg|vector$') AND typname <> 'tsvector'"
        " LOOP EXECUTE format('ALTER TABLE %s DROP %%I', c); END LOOP; END $$";
    RemoteCase test;
    remote_open(&test, "SELECT 1", "SELECT 1");
    type_cases_create_types(test.source);
    type_cases_create_types(test.target);
    type_cases_create(test.source, "src", "int");
    type_cases_create(test.target, "dst", "int");
    type_cases_fill(test.source, "src");
    expect_every_type(&test, "in text");
    remote_expect_equal(&test, "SELECT n, c73, c76 FROM src", "SELECT n, c73, c76 FROM dst");
    CliResult clean = CLI("clean", "carry", "-d", test.to);
    cr_expect(eq(int, 0, clean.code), "%s", clean.err);
    cli_free(&clean);
    pg_exec(test.target, "TRUNCATE dst");
    pg_execf(test.source, OWN, "src", "src");
    pg_execf(test.target, OWN, "dst", "dst");
    expect_every_type(&test, "in binary");
    remote_close(&test);
}

Test(copy_remote, keys_of_several_columns_in_several_workers)
{
    RemoteCase test;
    remote_open(&test,
        "CREATE TABLE src (a text COLLATE \"C\", b timestamptz, c char(3), v text,"
        " PRIMARY KEY (a, b, c));"
        "INSERT INTO src SELECT 'k ''\\\"' || i % 7, timestamptz '1999-12-31 23:59:58.5+05' "
        "  + i * interval '1 ms', 'c' || i % 3, 'v' || i FROM generate_series(1, 20000) AS i;"
        "ANALYZE src",
        "CREATE TABLE dst (v text, a text COLLATE \"C\", b timestamptz, c char(3),"
        " PRIMARY KEY (a, b, c))");
    remote_write(&test, NULL, NULL, "workers: 3\nbatch: {rows: 700}\n");
    remote_run(&test, 0);
    remote_expect_equal(&test, "SELECT v, a, b, c FROM src", "SELECT * FROM dst");
    remote_close(&test);
}

Test(copy_remote, nothing_is_copied_from_an_empty_table)
{
    RemoteCase test;
    remote_open(&test, "CREATE TABLE src (id int PRIMARY KEY, region text)", TARGET);
    remote_run(&test, 0);
    cr_expect(eq(i64, 0, pg_int(test.target, "SELECT count(*) FROM dst")));
    remote_close(&test);
}

/* ---- keys that the target has ---- */

#define HALF_THERE                                                                                 \
    TARGET ";INSERT INTO dst SELECT i, 'mine', 7, NULL FROM generate_series(1, 1000) AS i;"        \
           "INSERT INTO dst SELECT i, 'r' || i % 7, i / 4.0, nullif(repeat('n', i % 5), '')"       \
           "  FROM generate_series(1001, 1500) AS i"

static void
expect_conflicts(const RemoteCase *test, int64_t rows, int64_t skipped, int64_t updated)
{
    cr_expect(eq(i64, rows, pg_int(test->target, "SELECT sum(rows) FROM pghaul.ranges")));
    cr_expect(eq(i64, skipped, pg_int(test->target, "SELECT sum(skipped) FROM pghaul.ranges")));
    cr_expect(eq(i64, updated, pg_int(test->target, "SELECT sum(updated) FROM pghaul.ranges")));
}

Test(copy_remote, rows_that_the_target_has_are_left_or_changed_and_counted)
{
    RemoteCase test;
    remote_open(&test, SOURCE, HALF_THERE);
    int64_t all = pg_int(test.source, "SELECT count(*) FROM src");
    int64_t mine = pg_int(test.source, "SELECT count(*) FROM src WHERE id BETWEEN 1 AND 1000");
    int64_t same = pg_int(test.source, "SELECT count(*) FROM src WHERE id BETWEEN 1001 AND 1500");
    remote_write(&test, NULL, NULL, "on_conflict: skip\nbatch: {rows: 400}\nworkers: 2\n");
    remote_run(&test, 0);
    expect_conflicts(&test, all - mine - same, mine + same, 0);
    cr_expect(eq(i64, 1000, pg_int(test.target, "SELECT count(*) FROM dst WHERE region = 'mine'")));

    CliResult clean = CLI("clean", "carry", "-d", test.to);
    cr_expect(eq(int, 0, clean.code), "%s", clean.err);
    cli_free(&clean);
    pg_exec(test.target, "DELETE FROM dst WHERE id > 2000 OR id % 11 = 0");
    remote_write(&test, NULL, NULL, "on_conflict: update\nbatch: {rows: 400}\n");
    remote_run(&test, 0);
    remote_expect_equal(&test, ALL "src", ALL "dst");
    cr_expect(eq(i64, mine,
        pg_int(test.target, "SELECT sum(r.updated) FROM pghaul.ranges r JOIN pghaul.job j"
                            " ON j.id = r.job WHERE j.cleaned IS NULL")));
    remote_close(&test);
}

/* ---- what is refused ---- */

Test(copy_remote, refused_row_is_named_by_its_key_and_no_value_is_told)
{
    RemoteCase test;
    remote_open(&test, SOURCE, TARGET ";ALTER TABLE dst ADD CHECK (id <> 1234)");
    remote_write(&test, NULL, NULL, "batch: {rows: 500}\n");
    CliResult run = CLI("run", test.job_file, "--yes", "--quiet");
    cr_expect(eq(int, 1, run.code), "%s", run.err);
    cr_expect(cli_has(run.err, "23514"), "%s", run.err);
    cr_expect(not(cli_has(run.err, "1234")), "%s", run.err);
    cli_free(&run);
    char *key = pg_text(test.target, "SELECT key::text FROM pghaul.quarantine");
    cr_expect(eq(str, "{1234}", key));
    free(key);
    pg_exec(test.target, "ALTER TABLE dst DROP CONSTRAINT dst_id_check");
    remote_run(&test, 0);
    remote_expect_equal(&test, ALL "src", ALL "dst");
    remote_close(&test);
}

Test(copy_remote, expression_that_fails_at_the_source_names_the_row)
{
    RemoteCase test;
    remote_open(&test, SOURCE, TARGET);
    remote_write(&test, NULL, NULL, "map: {amount: 1 / (id - 777)}\nbatch: {rows: 500}\n");
    CliResult run = CLI("run", test.job_file, "--yes", "--quiet");
    cr_expect(eq(int, 1, run.code), "%s", run.err);
    cr_expect(cli_has(run.err, "22012"), "%s", run.err);
    cli_free(&run);
    char *key = pg_text(test.target, "SELECT key::text FROM pghaul.quarantine");
    cr_expect(eq(str, "{777}", key));
    free(key);
    remote_close(&test);
}

Test(copy_remote, target_whose_trigger_drops_rows_ends_the_run)
{
    RemoteCase test;
    remote_open(&test, SOURCE,
        TARGET ";CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
               " 'BEGIN IF NEW.id = 5 THEN RETURN NULL; END IF; RETURN NEW; END';"
               "CREATE TRIGGER g BEFORE INSERT ON dst FOR EACH ROW EXECUTE FUNCTION f()");
    remote_write(&test, NULL, NULL, "allow: [user-triggers]\n");
    CliResult run = CLI("run", test.job_file, "--yes", "--quiet");
    cr_expect(eq(int, 1, run.code), "%s", run.err);
    cr_expect(cli_has(run.err, "One of its triggers leaves rows out"), "%s", run.err);
    cli_free(&run);
    remote_close(&test);
}

/* ---- the source's own life ---- */

/* A batch of this job takes seconds; it holds ACCESS SHARE, for which only DDL waits. */
Test(copy_remote, ddl_on_the_source_is_not_kept_waiting)
{
    RemoteCase test;
    remote_open(&test,
        SOURCE ";CREATE FUNCTION slowly(i int) RETURNS int LANGUAGE plpgsql AS"
               " 'BEGIN PERFORM pg_sleep(0.02); RETURN i; END'",
        TARGET);
    remote_write(&test, NULL, NULL,
        "map: {amount: slowly(id)}\nbatch: {rows: 300}\nworkers: 1\n"
        "allow: [volatile]\n");
    Proc *proc = remote_start(&test);
    PGconn *sql = pg_open(test.from);
    pg_wait_true(sql,
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
        " AND query LIKE 'COPY%' AND state = 'active'",
        HARNESS_TIMEOUT_US);
    pg_exec(sql, "SET lock_timeout = '2s'; BEGIN; LOCK TABLE src IN ACCESS EXCLUSIVE MODE;"
                 "ROLLBACK");
    pg_exec(sql, "CREATE OR REPLACE FUNCTION slowly(i int) RETURNS int LANGUAGE sql AS 'SELECT i'");
    remote_finish(proc, 0);
    remote_expect_equal(&test, "SELECT id, region, id::numeric, note FROM src", ALL "dst");
    pg_close(sql);
    remote_close(&test);
}

Test(copy_remote, source_may_be_a_standby)
{
    RemoteCase test;
    remote_open(&test, SOURCE, TARGET);
    cluster_wait_catch_up(test.from_cluster, HARNESS_TIMEOUT_US);
    remote_write(&test, cluster_standby_uri(test.from_cluster, test.from_dbname), NULL,
        "batch: {rows: 500}\n");
    remote_run(&test, 0);
    remote_expect_equal(&test, ALL "src", ALL "dst");
    remote_close(&test);
}

/* ---- secrets ---- */

Test(copy_remote, password_in_the_job_file_is_refused_and_not_repeated)
{
    RemoteCase test;
    remote_open(&test, SOURCE, TARGET);
    remote_write(&test, "postgresql://app:xyzzy-canary@localhost/x", NULL, "");
    CliResult run = CLI("run", test.job_file, "--yes");
    cr_expect(eq(int, 2, run.code), "%s", run.err);
    cr_expect(not(cli_has(run.err, "xyzzy")));
    cr_expect(not(cli_has(run.out, "xyzzy")));
    cli_free(&run);
    remote_close(&test);
}

/* ---- width ---- */

/* A row of 4 MB, and libpq's buffer of twice as much, whatever their number. */
Test(copy_remote, memory_is_bound_by_the_width_of_a_row)
{
    RemoteCase test;
    remote_open(&test,
        "CREATE TABLE src (id int PRIMARY KEY, v text); ALTER TABLE src ALTER v SET STORAGE "
        "EXTERNAL;"
        "INSERT INTO src SELECT i, 'n' FROM generate_series(1, 5000) AS i;"
        "INSERT INTO src SELECT i, repeat('x', 4000000) FROM generate_series(5001, 5040) AS i;"
        "INSERT INTO src SELECT i, 'n' FROM generate_series(5041, 9000) AS i; ANALYZE src",
        "CREATE TABLE dst (id int PRIMARY KEY, v text); ALTER TABLE dst ALTER v SET STORAGE "
        "EXTERNAL");
    remote_write(&test, NULL, NULL, "workers: 1\n");
    remote_run(&test, 0);
    remote_expect_equal(
        &test, "SELECT id, length(v), md5(v) FROM src", "SELECT id, length(v), md5(v) FROM dst");
    struct rusage usage;
    cr_assert(eq(int, 0, getrusage(RUSAGE_CHILDREN, &usage)));
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
    cr_expect(lt(i64, (int64_t)usage.ru_maxrss, (int64_t)40 * 1024), "%ld KiB", usage.ru_maxrss);
#endif
    remote_close(&test);
}
