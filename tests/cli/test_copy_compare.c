/*
 * test_copy_compare.c - verify and repair of copies from one database into another: no difference
 * is overlooked, none is invented.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "cli/remote_case.h"
#include "harness/harness.h"
#include "harness/session.h"

#define TYPES                                                                                      \
    "CREATE TYPE mood AS ENUM ('a', 'b');"                                                         \
    "CREATE TYPE pair AS (a int, b text);"                                                         \
    "CREATE TYPE frange AS RANGE (subtype = float8);"                                              \
    "CREATE DOMAIN code AS varchar(10);"
#define COLUMNS                                                                                    \
    "(id int PRIMARY KEY, c char(5), v varchar(10), t text, t2 text, f4 real, f8 float8,"          \
    " n numeric, m money, b bytea, j json, jb jsonb, ts timestamp, tz timestamptz, d date,"        \
    " iv interval, u uuid, e mood, dm code, cp pair, r int4range, fr frange, a int[], ta text[],"  \
    " bt bit(3), vb varbit, x xml, ip inet, ts2 tsvector, big text)"
#define BASE_ROWS                                                                                  \
    "INSERT INTO src SELECT i, 'ab', NULL, 'x,y', 'z', 1, 0, 1.0, '12.34', '\\x00', '{\"a\":1}',"  \
    " '{\"a\": 1}', '-infinity', '2024-03-31 01:30:00.000001+00', '2024-02-29', '1 day',"          \
    " '00000000-0000-0000-0000-000000000000', 'a', 'A', '(1,\"\")', '[1,4)', '[-0,NaN]', '{1,2}'," \
    " '{\"NULL\"}', B'101', B'1', '<a/>', '10.0.0.1', 'a:1', NULL FROM generate_series(1, 40) AS " \
    "i;"
/* What travels badly: nothing, emptiness, ends of what can be said, a megabyte. */
#define HOSTILE_ROWS                                                                               \
    "INSERT INTO src (id) VALUES (101);"                                                           \
    "INSERT INTO src SELECT 102, '', '', '', '', 'NaN', '-Infinity', 'NaN', '-0.01', '', 'null',"  \
    " 'null', 'infinity', 'infinity', 'infinity', '-1 mon 1 day -00:00:01',"                       \
    " 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'b', '', '(,)', 'empty', 'empty', '{}',"             \
    " '{}', B'000', B'', '', '::1', '', repeat(md5('m'), 32768);"                                  \
    "INSERT INTO src SELECT 103, E'\\n\\t\\\\', ' b ', E'\"(,)\\\\\\r\\n', "                       \
    "U&'\\00e9\\D83D\\DE00', "                                                                     \
    " 1.1, '-0', 1e131000, '-92233720368547758.08', '\\xdeadbeef', '{\"a\":1, \"a\":2}',"          \
    " '{\"\\\"\": \"\\u00e9\"}', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999+00',"     \
    " '5874897-12-31', '178000000 years', md5('u')::uuid, 'a', ' d', ROW(-1, '\"')::pair, '(,)',"  \
    " '(,Infinity)', '[0:1]={NULL,-1}', '{{a,\"b,\"},{NULL,\"\\\\\"}}', B'111', B'0011',"          \
    " '<a>&lt;</a>', '::ffff:1.2.3.4/128', $$'it''s':1A,2B$$, E'\\\\N';"

/* Each makes one row of the target wrong, in one column or with one boundary. */
static const char *const CHANGES[] = {"c = 'ab c'", "v = ''", "t = 'x', t2 = 'y,z'",
    "t = t2, t2 = t", "f4 = 1.0000001", "f8 = '-0'", "n = 1.00", "m = '12.35'", "b = '\\x0000'",
    "j = '{\"a\": 1}'", "jb = '{\"a\": 1.0}'", "ts = 'infinity'", "tz = tz + '1 microsecond'",
    "d = '2024-03-01'", "iv = '24 hours'", "u = '00000000-0000-0000-0000-000000000001'", "e = 'b'",
    "dm = 'a'", "cp = '(1,)'", "r = '[1,3)'", "fr = '[0,NaN]'", "a = '[0:1]={1,2}'",
    "a = '{1,NULL}'", "ta = '{NULL}'", "bt = B'100'", "vb = B'10'", "x = '<a></a>'",
    "ip = '10.0.0.1/31'", "ts2 = 'a:2'", "big = ''"};
#define CHANGE_COUNT ((int)(sizeof(CHANGES) / sizeof(CHANGES[0])))

static void
open_types(RemoteCase *test)
{
    remote_open(test, TYPES "CREATE TABLE src " COLUMNS ";" BASE_ROWS HOSTILE_ROWS "ANALYZE src",
        TYPES "CREATE TABLE dst " COLUMNS);
    /* Sessions get other habits on each side. */
    pg_execf(test->source,
        "ALTER DATABASE %s SET datestyle = 'SQL, DMY'; ALTER DATABASE %s SET timezone = "
        "'Asia/Tokyo';"
        "ALTER DATABASE %s SET extra_float_digits = 0; ALTER DATABASE %s SET bytea_output = "
        "'escape'",
        test->from_dbname, test->from_dbname, test->from_dbname, test->from_dbname);
    pg_execf(test->target,
        "ALTER DATABASE %s SET intervalstyle = 'iso_8601'; ALTER DATABASE %s SET timezone = "
        "'America/New_York'",
        test->to_dbname, test->to_dbname);
}

/* Runs verify; the rows that differ. */
static int64_t
verify(const RemoteCase *test, int code)
{
    CliResult result = CLI("verify", test->job_file, "--quiet");
    cr_expect(eq(int, code, result.code), "%s%s", result.out, result.err);
    cli_free(&result);
    return pg_int(test->target, "SELECT sum(differing) FROM pghaul.ranges r JOIN pghaul.job j"
                                " ON j.id = r.job AND j.pass = r.pass");
}

static void
repair(const RemoteCase *test)
{
    CliResult result = CLI("verify", test->job_file, "--repair", "--quiet");
    cr_expect(eq(int, 0, result.code), "%s%s", result.out, result.err);
    cli_free(&result);
}

Test(copy_compare, finds_each_single_change_and_invents_none)
{
    RemoteCase test;
    open_types(&test);
    remote_write(&test, NULL, NULL, "");
    remote_run(&test, 0);
    cr_expect(zero(i64, verify(&test, 0)), "after the copy");

    for (int i = 0; i < CHANGE_COUNT; i++) {
        pg_execf(test.target, "UPDATE dst SET %s WHERE id = %d", CHANGES[i], i + 1);
    }
    pg_exec(test.target,
        "UPDATE dst SET big = overlay(big placing 'X' from 1048576) WHERE id = 102;"
        "DELETE FROM dst WHERE id = 103;"
        "INSERT INTO dst (id) VALUES (-7), (50)");
    cr_expect(eq(i64, CHANGE_COUNT + 4, verify(&test, 6)));

    repair(&test);
    cr_expect(zero(i64, verify(&test, 0)), "after the repair");
    remote_expect_equal(&test, "SELECT * FROM src", "SELECT * FROM dst");
    remote_close(&test);
}

/* ---- live ---- */

#define SOURCE                                                                                     \
    "CREATE TABLE src (id int PRIMARY KEY, v int NOT NULL, note text);"                            \
    "INSERT INTO src SELECT i, i, 'n' || i FROM generate_series(1, 5000) AS i; ANALYZE src"
#define TARGET "CREATE TABLE dst (id bigint PRIMARY KEY, v int NOT NULL, note text)"

static const char MAPPED[] = "SELECT id::bigint, v, note FROM src";

/* A run ends with this in its reason; --repair makes it right. */
static void
expect_way_back(const RemoteCase *test, const char *reason)
{
    CliResult run = CLI("run", test->job_file, "--yes", "--quiet");
    cr_expect(eq(int, 1, run.code), "%s%s", run.out, run.err);
    cr_expect(cli_has(run.err, reason), "%s", run.err);
    cli_free(&run);
    repair(test);
    remote_expect_equal(test, MAPPED, "SELECT * FROM dst");
}

Test(copy_compare, what_the_log_cannot_tell_is_found_on_the_other_server)
{
    RemoteCase test;
    remote_open(&test, SOURCE, TARGET);
    remote_write_job(&test, NULL, NULL, "throttle: {standbys: none}\n");
    remote_run(&test, 0);
    pg_exec(test.source, "UPDATE src SET v = -v WHERE id % 100 = 0; DELETE FROM src WHERE id = 7;"
                         "INSERT INTO src VALUES (30000, 1, 'new')");
    pg_exec(test.target, "UPDATE dst SET note = NULL WHERE id IN (1111, 500)");
    cr_expect(eq(i64, 1, verify(&test, 6)), "500 has an entry and is drained meanwhile");
    repair(&test);
    remote_expect_equal(&test, MAPPED, "SELECT * FROM dst");

    pg_exec(
        test.source, "TRUNCATE src; INSERT INTO src SELECT i, 0, 't' FROM generate_series(1, 9) i");
    expect_way_back(&test, "truncated");
    pg_exec(test.source,
        "DO $$ BEGIN EXECUTE (SELECT string_agg(format('DROP TRIGGER %I ON src', tgname), ';')"
        " FROM pg_trigger WHERE tgname LIKE 'zzzz%'); END $$;"
        "UPDATE src SET v = 1");
    expect_way_back(&test, "trigger");
    pg_exec(test.source, "UPDATE src SET v = 2");
    remote_run(&test, 0);
    remote_expect_equal(&test, MAPPED, "SELECT * FROM dst");

    CliResult clean = CLI("clean", test.job_file, "--quiet"); /* which is read twice */
    cr_expect(zero(int, clean.code), "%s%s", clean.out, clean.err);
    cli_free(&clean);
    cr_expect(
        zero(i64, pg_int(test.source, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal")));
    cr_expect(zero(i64,
        pg_int(test.source, "SELECT count(*) FROM pg_class WHERE relname ~ '^(log|overflow)_'")));
    cr_expect(
        zero(i64, pg_int(test.source, "SELECT count(*) FROM pg_proc WHERE proname ~ '^capture_'")));
    remote_close(&test);
}

/* ---- encodings ---- */

Test(copy_compare, databases_of_two_encodings_compare_equal)
{
    RemoteCase test;
    remote_open(&test, SOURCE, "CREATE TABLE dst (id int PRIMARY KEY, name text)");
    pg_execf(test.source,
        "CREATE DATABASE %s_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
        test.from_dbname);
    STRBUF_AUTO name = STRBUF_INIT;
    strbuf_printf(&name, "%s_latin", test.from_dbname);
    const char *from = cluster_uri(test.from_cluster, strbuf_text(&name));
    PGconn *latin = pg_open(from);
    pg_exec(latin,
        "CREATE TABLE src (id int PRIMARY KEY, name text);"
        "INSERT INTO src SELECT i, chr(223 + i % 30) || 'x' FROM generate_series(1, 300) i");
    remote_write_job(&test, from, NULL, "throttle: {standbys: none}\n");
    remote_run(&test, 0);
    pg_exec(test.target, "UPDATE dst SET name = 'x' WHERE id = 5");
    cr_expect(eq(i64, 1, verify(&test, 6)));
    repair(&test);
    cr_expect(eq(i64, 1, pg_int(test.target, "SELECT name = U&'\\00e4x' FROM dst WHERE id = 5")));
    pg_close(latin);
    pg_execf(test.source, "DROP DATABASE %s_latin WITH (FORCE)", test.from_dbname);
    remote_close(&test);
}
