/*
 * test_quarantine.c - on_error: quarantine on tables of every kind: exactly the rows that the
 * server refuses are set aside, whatever refuses them; the expression at fault is no reason to set
 * a whole table aside; --retry brings rows back.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/harness.h"
#include "harness/session.h"

#define ASIDE "on_error: quarantine\nbatch: {rows: 7}\nthrottle: {standbys: none}\n"

/* ---- what refuses a row ---- */

typedef struct Refusal {
    const char *title;
    const char *setup; /* table t (id, src, c ..) with rows 1..60, of which 13, 14 and 40 are bad */
    const char *job;
    const char *wrong; /* condition: a row that is not what it should be */
    const char *sqlstate;
} Refusal;

#define IS_BAD "id IN (13, 14, 40)"
#define ROWS_60                                                                                    \
    ";INSERT INTO t (id, src) SELECT g, CASE WHEN g IN (13, 14, 40) THEN 'bad' ELSE g::text END"   \
    " FROM generate_series(1, 60) AS g"
#define PLAIN        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c numeric)" ROWS_60
#define TEXT_C       "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text)" ROWS_60
#define SET(expr)    "backfill: t\nset:\n  c: \"" expr "\"\n"
#define RIGHT(value) "c IS DISTINCT FROM CASE WHEN NOT (" IS_BAD ") THEN " value " END"

static const Refusal REFUSALS[] = {
    {"a value that does not parse", PLAIN, SET("src::numeric"), RIGHT("id"), "22P02"},
    {"strict", PLAIN, SET("src::numeric") "strict: true\n", RIGHT("id"), "22P02"},
    {"one stripe", PLAIN, SET("src::numeric") "stripes: 1\n", RIGHT("id"), "22P02"},
    {"several workers", PLAIN, SET("src::numeric") "workers: 4\n", RIGHT("id"), "22P02"},
    {"without a trigger", PLAIN, SET("src::numeric") "sync: none\n", RIGHT("id"), "22P02"},
    {"a condition that raises", PLAIN, SET("id") "where: \"src::numeric > 0\"\n", RIGHT("id"),
        "22P02"},
    {"division by zero", PLAIN, SET("id / (CASE src WHEN 'bad' THEN 0 ELSE 1 END)"), RIGHT("id"),
        "22012"},
    {"a check constraint", TEXT_C "; ALTER TABLE t ADD CHECK (c <> 'BAD')", SET("upper(src)"),
        RIGHT("upper(src)"), "23514"},
    {"NOT NULL",
        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text NOT NULL DEFAULT '?')" ROWS_60,
        SET("nullif(src, 'bad')"), "c <> CASE WHEN " IS_BAD " THEN '?' ELSE src END", "23502"},
    {"a function that raises",
        TEXT_C ";CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
               " 'BEGIN IF $1 = ''bad'' THEN RAISE EXCEPTION ''no''; END IF; RETURN $1; END'",
        SET("f(src)"), RIGHT("src"), "P0001"},
    {"a domain",
        "CREATE DOMAIN d AS text CHECK (value <> 'BAD');"
        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c d)" ROWS_60,
        SET("upper(src)"), RIGHT("upper(src)"), "23514"},
    {"a unique index",
        TEXT_C ";INSERT INTO t VALUES (61, 'x', 'BAD'); CREATE UNIQUE INDEX ON t (c)",
        SET("CASE id WHEN 61 THEN 'BAD' ELSE nullif(upper(src), '') END"),
        "c IS DISTINCT FROM CASE WHEN id = 61 THEN 'BAD' WHEN NOT (" IS_BAD ") THEN src END",
        "23505"},
    {"a constraint that is checked at COMMIT",
        TEXT_C ";CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
               " IF NEW.c = ''BAD'' THEN RAISE check_violation; END IF; RETURN NULL; END';"
               "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED"
               " FOR EACH ROW EXECUTE FUNCTION late()",
        SET("upper(src)") "allow: [user-triggers]\n", RIGHT("upper(src)"), "23514"},
    {"self-referring",
        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c bigint DEFAULT 5)" ROWS_60,
        SET("c * 2 + 0 * src::int"), "c <> CASE WHEN " IS_BAD " THEN 5 ELSE 10 END", "22P02"},
};

static CliResult
run(const CliBase *base, const char *setup, const char *job, const char *path)
{
    pg_exec(base->conn, "SET client_min_messages = error;"
                        "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
                        "DROP SCHEMA IF EXISTS pghaul CASCADE");
    pg_exec(base->conn, setup);
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "job: test\n%s" ASIDE, job);
    if (path != NULL) {
        strbuf_printf(&text, "path: %s\n", path);
    }
    cli_base_write_job(base, strbuf_text(&text));
    return CLI("run", base->job_file, "-d", base->uri, "--yes");
}

static void
check_refusal(const CliBase *base, const Refusal *refusal, const char *path)
{
    CliResult result = run(base, refusal->setup, refusal->job, path);
    cr_expect(eq(int, 5, result.code), "%s by %s:\n%s", refusal->title, path, result.err);
    cr_expect(cli_has(result.out, "3 rows are refused and set aside"), "%s by %s:\n%s",
        refusal->title, path, result.out);
    cr_expect(eq(i64, 0, pg_intf(base->conn, "SELECT count(*) FROM t WHERE %s", refusal->wrong)),
        "%s by %s", refusal->title, path);
    cr_expect(eq(i64, 1,
                  pg_intf(base->conn,
                      "SELECT array_agg(key[1]::int ORDER BY key[1]::int) = '{13,14,40}'"
                      " AND bool_and(set_aside AND attempts = 1 AND sqlstate = '%s')"
                      " FROM pghaul.quarantine",
                      refusal->sqlstate)),
        "%s by %s", refusal->title, path);
    cr_expect(eq(i64, 1, pg_int(base->conn, "SELECT state = 'complete' FROM pghaul.job")), "%s",
        refusal->title);
    cli_free(&result);
}

Test(quarantine, exactly_the_refused_rows_are_set_aside_whatever_refuses_them)
{
    CliBase base = cli_base_new(1);
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++) {
        check_refusal(&base, &REFUSALS[i], "key");
        bool by_key_only = strstr(REFUSALS[i].job, "sync: none") != NULL ||
                           strstr(REFUSALS[i].title, "self") != NULL;
        if (!by_key_only) {
            check_refusal(&base, &REFUSALS[i], "block");
        }
    }
    cli_base_free(&base);
}

Test(quarantine, keys_of_several_columns_and_odd_texts_are_told_apart)
{
    static const char SETUP[] =
        "CREATE TABLE t (a text, b char(3), src text, c numeric, PRIMARY KEY (a, b));"
        "INSERT INTO t SELECT v, b, CASE WHEN b = 'x' THEN 'bad' ELSE '1' END"
        "  FROM unnest(ARRAY['', ' ', 'NULL', 'a,b', '{\"x\"}', E'back\\\\slash', E'tab\\t\\n',"
        "       '\xc3\xa9']) AS v, unnest(ARRAY['x', 'y', '']) AS b";
    static const char *const PATHS[] = {"key", "block"};
    CliBase base = cli_base_new(1);
    for (int i = 0; i < 2; i++) {
        CliResult result = run(&base, SETUP, SET("src::numeric"), PATHS[i]);
        cr_expect(eq(int, 5, result.code), "%s", result.err);
        cr_expect(eq(i64, 0,
            pg_int(base.conn, "SELECT count(*) FROM t FULL JOIN pghaul.quarantine AS q"
                              " ON q.key = ARRAY[a, b::text]"
                              " WHERE (b = 'x') IS DISTINCT FROM (q.key IS NOT NULL)"
                              "    OR c IS DISTINCT FROM CASE WHEN b <> 'x' THEN 1 END")));
        cli_free(&result);
        result = CLI("quarantine", base.job_file, "-d", base.uri);
        cr_expect(eq(int, 0, result.code), "%s", result.err);
        cr_expect(not(cli_has(result.out, "\t")), "%s", result.out);
        cli_free(&result);
    }
    cli_base_free(&base);
}

/* ---- the expression at fault, and the limit ---- */

Test(quarantine, an_expression_that_fails_for_every_row_sets_nothing_aside)
{
    static const char SETUP[] =
        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c numeric);"
        "INSERT INTO t (id, src) SELECT g, 'bad' FROM generate_series(1, 2000) AS g";
    static const char *const PATHS[] = {"key", "block"};
    CliBase base = cli_base_new(1);
    for (int i = 0; i < 2; i++) {
        CliResult result = run(&base, SETUP, SET("src::numeric"), PATHS[i]);
        cr_expect(eq(int, 1, result.code), "%s", result.err);
        cr_expect(cli_has(result.err, "every one of the first 100 rows is refused: nothing was"
                                      " set aside"),
            "%s", result.err);
        cr_expect(cli_has(result.err, "22P02"), "%s", result.err);
        cr_expect(eq(i64, 1,
            pg_int(base.conn, "SELECT count(*) = 1 AND bool_and(key = '{1}' AND NOT set_aside)"
                              " FROM pghaul.quarantine")));
        cli_free(&result);

        pg_exec(base.conn, "UPDATE t SET src = id");
        result = CLI("run", base.job_file, "-d", base.uri);
        cr_expect(eq(int, 0, result.code), "%s", result.err);
        cr_expect(eq(i64, 0, pg_int(base.conn, "SELECT count(*) FROM pghaul.quarantine")));
        cli_free(&result);
    }
    cli_base_free(&base);
}

Test(quarantine, bad_rows_at_the_beginning_of_a_good_table_are_set_aside)
{
    static const char SETUP[] =
        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c numeric);"
        "INSERT INTO t (id, src) SELECT g, CASE WHEN g < 60 THEN 'bad' ELSE '1' END"
        " FROM generate_series(1, 2000) AS g";
    static const char *const PATHS[] = {"key", "block"};
    CliBase base = cli_base_new(1);
    for (int i = 0; i < 2; i++) {
        CliResult result = run(&base, SETUP, SET("src::numeric"), PATHS[i]);
        cr_expect(eq(int, 5, result.code), "%s", result.err);
        cr_expect(eq(i64, 59, pg_int(base.conn, "SELECT count(*) FROM pghaul.quarantine")));
        cr_expect(eq(i64, 1941, pg_int(base.conn, "SELECT count(c) FROM t")));
        cli_free(&result);
    }
    cli_base_free(&base);
}

Test(quarantine, the_limit_ends_the_run_and_is_never_passed)
{
    static const char SETUP[] =
        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c numeric) WITH (fillfactor = 10);"
        "INSERT INTO t (id, src) SELECT g, CASE WHEN g % 100 = 50 THEN 'bad' ELSE '1' END"
        " FROM generate_series(1, 2000) AS g";
    static const char *const PATHS[] = {"key", "block"};
    CliBase base = cli_base_new(1);
    for (int i = 0; i < 2; i++) {
        CliResult result = run(
            &base, SETUP, SET("src::numeric") "workers: 4\nlimits: {quarantine: 6}\n", PATHS[i]);
        cr_expect(eq(int, 9, result.code), "%s", result.err);
        cr_expect(cli_has(result.err, "more than 6 rows are refused"), "%s", result.err);
        cr_expect(cli_has(result.err, "pghaul set test limits.quarantine=N"), "%s", result.err);
        cr_expect(eq(i64, 6, pg_int(base.conn, "SELECT count(*) FROM pghaul.quarantine")));
        cr_expect(eq(i64, 1, pg_int(base.conn, "SELECT state = 'stopped' FROM pghaul.job")));
        cli_free(&result);

        result = CLI("set", "test", "limits.quarantine=20", "-d", base.uri);
        cr_expect(eq(int, 0, result.code), "%s", result.err);
        cli_free(&result);
        result = CLI("run", "test", "-d", base.uri);
        cr_expect(eq(int, 5, result.code), "%s", result.err);
        cr_expect(eq(i64, 20, pg_int(base.conn, "SELECT count(*) FROM pghaul.quarantine")));
        cr_expect(eq(i64, 1980, pg_int(base.conn, "SELECT count(c) FROM t")));
        cli_free(&result);
    }
    cli_base_free(&base);
}

Test(quarantine, a_job_that_stopped_may_be_told_to_set_rows_aside)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, PLAIN);
    cli_base_write_job(&base, "job: test\n" SET("src::numeric") "throttle: {standbys: none}\n");
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes");
    cr_expect(eq(int, 1, result.code), "%s", result.err);
    cr_expect(
        cli_has(result.err, "SQLSTATE 22P02 (invalid_text_representation)"), "%s", result.err);
    cli_free(&result);
    result = CLI("set", "test", "on_error=quarantine", "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    result = CLI("run", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 5, result.code), "%s", result.err);
    cr_expect(eq(i64, 1,
        pg_int(base.conn, "SELECT count(*) = 3 AND bool_and(set_aside) FROM pghaul.quarantine")));
    cli_free(&result);
    cli_base_free(&base);
}

/* ---- rows that differ ---- */

Test(quarantine, verify_records_keys_of_rows_that_differ_and_does_not_log_them)
{
    static const char SETUP[] =
        "CREATE TABLE t (id bigint, part text, src text, c numeric, PRIMARY KEY (part, id));"
        "INSERT INTO t SELECT g, 'part,' || g % 3, g FROM generate_series(1, 60) AS g";
    CliBase base = cli_base_new(1);
    CliResult result = run(&base, SETUP, SET("src::numeric"), NULL);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    pg_exec(base.conn, "SET pghaul.batch = '1'; UPDATE t SET c = 0 WHERE id IN (7, 50)");
    result = CLI("verify", "test", "-d", base.uri);
    cr_expect(eq(int, 6, result.code), "%s", result.err);
    cr_expect(cli_has(result.err, "2 rows of 60 differ"), "%s", result.err);
    cr_expect(
        cli_has(result.err, "FROM pghaul.difference WHERE job = 1 AND pass = 3"), "%s", result.err);
    cr_expect(not(cli_has(result.err, "part,")), "%s", result.err);
    cr_expect(eq(i64, 1,
        pg_int(base.conn, "SELECT array_agg(key::text ORDER BY key) ="
                          " ARRAY['{\"part,1\",7}', '{\"part,2\",50}']"
                          " FROM pghaul.difference WHERE job = 1 AND pass = 3")));
    cli_free(&result);
    cli_base_free(&base);
}

/* ---- afterwards ---- */

static json_t *
last_object(char *out)
{
    size_t len = strlen(out);
    cr_assert(lt(sz, 0, len));
    out[len - 1] = '\0';
    const char *line = strrchr(out, '\n');
    json_t *object = json_loads(line == NULL ? out : line + 1, 0, NULL);
    cr_assert(ne(ptr, object, NULL), "%s", out);
    return object;
}

static void
expect_number(const CliBase *base, const char *verb, const char *option, int code, const char *name,
    int64_t number)
{
    CliResult result = CLI(verb, "test", "-d", base->uri, "--json", option);
    cr_expect(eq(int, code, result.code), "%s: %s", verb, result.err);
    json_t *object = last_object(result.out);
    cr_expect(
        eq(i64, number, json_integer_value(json_object_get(object, name))), "%s: %s", verb, name);
    json_decref(object);
    cli_free(&result);
}

Test(quarantine, a_job_with_rows_set_aside_says_so_until_they_are_retried)
{
    CliBase base = cli_base_new(1);
    CliResult result = run(&base, PLAIN, SET("src::numeric"), NULL);
    cr_expect(eq(int, 5, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, "57 rows compared, none differs; 3 set aside are left out"), "%s",
        result.out);
    cr_expect(cli_has(result.err, "refused and set aside"), "%s", result.err);
    cr_expect(not(cli_has(result.err, "bad")), "%s", result.err);
    cli_free(&result);
    expect_number(&base, "run", NULL, 5, "quarantined_rows", 3);
    expect_number(&base, "verify", NULL, 5, "quarantined_rows", 3);
    expect_number(&base, "verify", NULL, 5, "compared_rows", 57);

    expect_number(&base, "quarantine", "--retry", 5, "refused_rows", 3);
    cr_expect(eq(
        i64, 6, pg_int(base.conn, "SELECT sum(attempts) FROM pghaul.quarantine WHERE set_aside")));
    pg_exec(base.conn, "UPDATE t SET src = '99' WHERE id = 13; DELETE FROM t WHERE id = 14");
    expect_number(&base, "quarantine", "--retry", 5, "right_rows", 2);
    cr_expect(eq(i64, 99, pg_int(base.conn, "SELECT c FROM t WHERE id = 13")));
    pg_exec(base.conn, "SET pghaul.batch = '1'; UPDATE t SET src = '77' WHERE id = 40;"
                       "RESET pghaul.batch"); /* past the trigger */
    expect_number(&base, "quarantine", "--retry", 0, "changed_rows", 1);
    cr_expect(eq(i64, 77, pg_int(base.conn, "SELECT c FROM t WHERE id = 40")));
    expect_number(&base, "quarantine", "--retry", 0, "quarantined_rows", 0);
    expect_number(&base, "run", NULL, 0, "quarantined_rows", 0);
    expect_number(&base, "verify", NULL, 0, "compared_rows", 59);
    cli_base_free(&base);
}

Test(quarantine, a_retried_row_of_a_self_referring_job_is_changed_once)
{
    CliBase base = cli_base_new(1);
    CliResult result =
        run(&base, "CREATE TABLE t (id bigint PRIMARY KEY, src text, c bigint DEFAULT 5)" ROWS_60,
            SET("c * 2 + 0 * src::int"), NULL);
    cr_expect(eq(int, 5, result.code), "%s", result.err);
    cli_free(&result);
    pg_exec(base.conn, "UPDATE t SET src = '0' WHERE id IN (13, 40)");
    expect_number(&base, "quarantine", "--retry", 5, "changed_rows", 2);
    expect_number(&base, "quarantine", "--retry", 5, "changed_rows", 0);
    cr_expect(eq(i64, 0,
        pg_int(
            base.conn, "SELECT count(*) FROM t WHERE c <> CASE WHEN id = 14 THEN 5 ELSE 10 END")));
    cli_base_free(&base);
}

Test(quarantine, a_row_that_somebody_holds_stays_for_the_next_retry)
{
    CliBase base = cli_base_new(1);
    CliResult result = run(&base, PLAIN, SET("src::numeric"), NULL);
    cr_expect(eq(int, 5, result.code), "%s", result.err);
    cli_free(&result);
    pg_exec(base.conn, "SET pghaul.batch = '1'; UPDATE t SET src = '1' WHERE " IS_BAD);
    Session *holder = session_open(base.uri);
    session_lock_rows(holder, "t", "id = 40");
    expect_number(&base, "quarantine", "--retry", 5, "held_rows", 1);
    cr_expect(eq(i64, 1,
        pg_int(base.conn, "SELECT count(*) = 1 AND bool_and(key = '{40}' AND attempts = 1)"
                          " FROM pghaul.quarantine")));
    session_close(holder);
    expect_number(&base, "quarantine", "--retry", 0, "changed_rows", 1);
    cli_base_free(&base);
}

Test(quarantine, list_has_key_state_and_message_for_people_and_programs)
{
    CliBase base = cli_base_new(1);
    CliResult result = run(&base,
        "CREATE TABLE t (id bigint PRIMARY KEY, src text, c numeric);"
        "INSERT INTO t VALUES (1, '1'), (2, E'x\\ny\\033[31m')",
        SET("src::numeric"), NULL);
    cr_expect(eq(int, 5, result.code), "%s", result.err);
    cli_free(&result);

    result = CLI("quarantine", "test", "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(cli_has(result.out, "{2}  ") && cli_has(result.out, "22P02"), "%s", result.out);
    cr_expect(cli_has(result.out, "invalid input syntax for type numeric: \"x y?[31m\""), "%s",
        result.out);
    cli_free(&result);

    result = CLI("quarantine", "test", "-d", base.uri, "--json");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    json_t *object = last_object(result.out);
    json_t *row = json_array_get(json_object_get(object, "rows"), 0);
    const char *key = json_string_value(json_array_get(json_object_get(row, "key"), 0));
    const char *message = json_string_value(json_object_get(row, "message"));
    cr_expect(key != NULL && strcmp(key, "2") == 0);
    cr_expect(message != NULL && strstr(message, "x\ny\033[31m") != NULL);
    cr_expect(eq(int, 1, json_is_true(json_object_get(row, "set_aside"))));
    json_decref(object);
    cli_free(&result);

    result = CLI("clean", "test", "-d", base.uri);
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cr_expect(eq(i64, 0, pg_int(base.conn, "SELECT count(*) FROM pghaul.quarantine")));
    cr_expect(eq(i64, 0,
        pg_int(base.conn, "SELECT count(*) FROM pg_proc WHERE proname ~ '_[0-9a-f]{16}$'"
                          " AND pronamespace = 'pghaul'::regnamespace")));
    cli_free(&result);
    cli_base_free(&base);
}
