/*
 * test_tables.c - tables in every shape and with every name, and tables with triggers of the
 * user's own.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "cli/move_case.h"
#include "harness/session.h"

#define COLUMNS " (id bigint PRIMARY KEY, src text, c text)"
#define TABLE   "CREATE TABLE t" COLUMNS ";"
#define JOB     "backfill: t\nset:\n  c: src\n"
#define WRONG   "SELECT count(*) FROM t WHERE c IS DISTINCT FROM src"

static void
check_all(const MoveCase *moves, size_t count)
{
    CliBase base = cli_base_new(1);
    move_cases_run(&base, "", moves, (int)count, BY_KEY | BY_BLOCK);
    cli_base_free(&base);
}
#define CHECK_ALL(moves) check_all(moves, sizeof(moves) / sizeof((moves)[0]))

Test(tables, any_amount_and_layout_of_rows)
{
    static const MoveCase MOVES[] = {
        {.title = "empty", .setup = TABLE, .job = JOB, .wrong = WRONG, .rows = 0},
        {.title = "one row",
            .setup = TABLE "INSERT INTO t VALUES (1, 'a')",
            .job = JOB,
            .wrong = WRONG,
            .rows = 1},
        {.title = "all rows right",
            .setup = TABLE "INSERT INTO t SELECT g, g, g FROM generate_series(1, 60) AS g",
            .job = JOB,
            .wrong = WRONG,
            .rows = 0},
        {.title = "analysed, nearly all right",
            .setup = TABLE "INSERT INTO t SELECT g, g, g FROM generate_series(1, 60) AS g;"
                           "UPDATE t SET c = 'x' WHERE id = 37; ANALYZE t",
            .job = JOB,
            .wrong = WRONG,
            .rows = 1},
        {.title = "values of 100 kB",
            .setup = TABLE "ALTER TABLE t ALTER src SET STORAGE EXTERNAL;"
                           "INSERT INTO t SELECT g, repeat(md5(g::text), 3200), NULL"
                           "  FROM generate_series(1, 30) AS g;"
                           "UPDATE t SET c = src WHERE id <= 10",
            .job = JOB,
            .wrong = WRONG,
            .rows = 20},
        {.title = "fillfactor 50",
            .setup = "CREATE TABLE t" COLUMNS " WITH (fillfactor = 50);"
                     "INSERT INTO t SELECT g, g FROM generate_series(1, 1000) AS g",
            .job = JOB,
            .wrong = WRONG,
            .rows = 1000},
        {.title = "dead rows everywhere",
            .setup = "CREATE TABLE t" COLUMNS " WITH (autovacuum_enabled = off);"
                     "INSERT INTO t SELECT g, g FROM generate_series(1, 3000) AS g;"
                     "DELETE FROM t WHERE id % 3 <> 0; UPDATE t SET src = src || 'u'",
            .job = JOB,
            .wrong = WRONG,
            .rows = 1000},
        {.title = "dropped columns",
            .setup = "CREATE TABLE t (a int, id bigint PRIMARY KEY, b text, src text, d int,"
                     "                c text);"
                     "INSERT INTO t (id, src) SELECT g, g FROM generate_series(1, 60) AS g;"
                     "ALTER TABLE t DROP a, DROP b, DROP d",
            .job = JOB,
            .wrong = WRONG,
            .rows = 60},
        {.title = "leaf of a partitioned table",
            .setup = "CREATE TABLE p (id bigint, src text, c text) PARTITION BY RANGE (id);"
                     "CREATE TABLE t PARTITION OF p (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (99);"
                     "CREATE TABLE u PARTITION OF p DEFAULT;"
                     "INSERT INTO p SELECT g, g FROM generate_series(1, 120) AS g",
            .job = JOB,
            .wrong = "SELECT count(*) FROM p"
                     " WHERE c IS DISTINCT FROM CASE WHEN id < 99 THEN src END",
            .rows = 98},
    };
    CHECK_ALL(MOVES);
}

Test(tables, names_that_are_easily_taken_for_something_else)
{
    static const MoveCase MOVES[] = {
        {.title = "quotes, capitals and an emoji",
            .setup = "CREATE TABLE \"Weird \"\"\xf0\x9f\x98\x80\"\" N\xc3\xa4me\" ("
                     "  \"I D\" bigint PRIMARY KEY, \"Src\"\"q\" text, \"select\" text);"
                     "INSERT INTO \"Weird \"\"\xf0\x9f\x98\x80\"\" N\xc3\xa4me\""
                     "  SELECT g, g FROM generate_series(1, 60) AS g",
            .job = "backfill: '\"Weird \"\"\xf0\x9f\x98\x80\"\" N\xc3\xa4me\"'\n"
                   "set:\n  select: '\"Src\"\"q\" || \"Weird \"\"\xf0\x9f\x98\x80\"\" "
                   "N\xc3\xa4me\".\"I D\"'\n",
            .wrong = "SELECT count(*) FROM \"Weird \"\"\xf0\x9f\x98\x80\"\" N\xc3\xa4me\""
                     " WHERE \"select\" IS DISTINCT FROM \"Src\"\"q\" || \"I D\"",
            .rows = 60},
        {.title = "table new",
            .setup = "CREATE TABLE \"new\" (id bigint PRIMARY KEY, \"new\" text, old text,"
                     "                      found text);"
                     "INSERT INTO \"new\" SELECT g, g, g + 1 FROM generate_series(1, 60) AS g",
            .job = "backfill: new\nset:\n  found: new || old || \"new\".\"new\"\n",
            .wrong = "SELECT count(*) FROM \"new\" AS t"
                     " WHERE found IS DISTINCT FROM t.\"new\" || old || t.\"new\"",
            .rows = 60},
        {.title = "table old",
            .setup = "CREATE TABLE old (id bigint PRIMARY KEY, \"new\" text, old text, found text);"
                     "INSERT INTO old SELECT g, g, g + 1 FROM generate_series(1, 60) AS g",
            .job = "backfill: old\nset:\n  found: new || old.old\n",
            .wrong = "SELECT count(*) FROM old AS t"
                     " WHERE found IS DISTINCT FROM t.\"new\" || t.old",
            .rows = 60},
        {.title = "table select",
            .setup = "CREATE TABLE \"select\" (id bigint PRIMARY KEY, \"from\" text, \"select\" "
                     "text); INSERT INTO \"select\" SELECT g, g FROM generate_series(1, 60) AS g",
            .job = "backfill: '\"select\"'\nset:\n  select: '\"from\" || \"select\".id'\n",
            .wrong = "SELECT count(*) FROM \"select\" AS t"
                     " WHERE t.\"select\" IS DISTINCT FROM \"from\" || id",
            .rows = 60},
        {.title = "columns named as what we use",
            .setup = "CREATE TABLE t (id bigint PRIMARY KEY, moved text, bound text, found text,"
                     " \"new\" text, old text, epoch text, stripe text, watermark text, range text,"
                     " pass text, job text, no text, lease text, state text, rows text, low text,"
                     " high text, leftover text, visits text, r text, s text, l text, j text,"
                     " key text, token text, t text, pid text, tgrelid text);"
                     "INSERT INTO t (id, moved) SELECT g, g FROM generate_series(1, 60) AS g",
            .job = "backfill: t\nwhere: moved <> ''\nset:\n  found: moved || 'f'\n"
                   "  new: moved || 'n'\n  epoch: moved\n  watermark: t.moved || t.id\n"
                   "  rows: moved\n  leftover: moved\n  t: moved\n  s: moved\n  r: moved\n"
                   "  l: moved\n  old: moved\n  range: moved\n  bound: moved\n  stripe: moved\n",
            .wrong = "SELECT count(*) FROM t WHERE (found, \"new\", watermark, t.t, s, r, rows)"
                     " IS DISTINCT FROM (moved || 'f', moved || 'n', moved || id, moved, moved,"
                     " moved, moved)",
            .rows = 60},
        {.title = "key columns named as what we use",
            .setup = "CREATE TABLE t (epoch bigint, stripe int, watermark text, range text,"
                     " found text, \"new\" text, old text, moved text,"
                     " PRIMARY KEY (epoch, stripe, watermark));"
                     "INSERT INTO t SELECT g, g % 3, g FROM generate_series(1, 60) AS g",
            .job = "backfill: t\nset:\n  moved: epoch || watermark || stripe\n",
            .wrong = "SELECT count(*) FROM t"
                     " WHERE moved IS DISTINCT FROM epoch || watermark || stripe",
            .rows = 60},
    };
    CHECK_ALL(MOVES);
}

Test(tables, another_schema_is_where_its_functions_are_looked_up)
{
    static const MoveCase MOVE = {
        .title = "schema",
        .setup = "DROP SCHEMA IF EXISTS \"Other\" CASCADE; CREATE SCHEMA \"Other\";"
                 "CREATE FUNCTION public.f(text) RETURNS text IMMUTABLE LANGUAGE sql"
                 "  AS 'SELECT ''wrong''';"
                 "CREATE FUNCTION \"Other\".f(text) RETURNS text IMMUTABLE LANGUAGE sql"
                 "  AS 'SELECT $1 || ''right''';"
                 "CREATE TABLE \"Other\".\"T\"" COLUMNS ";"
                 "INSERT INTO \"Other\".\"T\" SELECT g, g FROM generate_series(1, 60) AS g",
        .job = "backfill: '\"Other\".\"T\"'\nset:\n  c: f(src)\n",
        .wrong = "SELECT count(*) FROM \"Other\".\"T\" WHERE c IS DISTINCT FROM src || 'right'",
        .rows = 60,
    };
    CliBase base = cli_base_new(1);
    move_case_run(&base, &MOVE, BY_KEY | BY_BLOCK);
    cli_base_free(&base);
}

/* A writer of the application has a temporary table of the same name and one of a function's. */
Test(tables, temporary_objects_of_a_writer_do_not_shadow_ours)
{
    static const MoveCase MOVE = {
        .title = "temporary schema",
        .setup = TABLE "CREATE TABLE names (k bigint PRIMARY KEY, v text);"
                       "INSERT INTO t SELECT g, g FROM generate_series(1, 60) AS g;"
                       "INSERT INTO names SELECT g, 'v' || g FROM generate_series(1, 70) AS g",
        .job = "backfill: t\nallow: [stable]\nset:\n  c: (SELECT v FROM names WHERE k = t.id)\n",
        .wrong = "SELECT count(*) FROM t WHERE c IS DISTINCT FROM 'v' || id",
        .rows = 60,
    };
    CliBase base = cli_base_new(1);
    move_case_run(&base, &MOVE, BY_BLOCK);
    pg_exec(base.conn, "CREATE TEMPORARY TABLE names (k bigint, v text);"
                       "INSERT INTO names SELECT g, 'shadow' FROM generate_series(1, 70) AS g;"
                       "INSERT INTO public.t VALUES (61, 'x')");
    cr_expect(eq(i64, 1, pg_int(base.conn, "SELECT c = 'v61' FROM t WHERE id = 61")));
    cli_base_free(&base);
}

Test(tables, inheritance_children_are_not_touched_and_are_named)
{
    static const MoveCase MOVE = {
        .title = "children",
        .setup = TABLE "INSERT INTO t SELECT g, g FROM generate_series(1, 60) AS g;"
                       "CREATE TABLE child_of_t () INHERITS (t);"
                       "INSERT INTO child_of_t SELECT g, g FROM generate_series(100, 160) AS g",
        .job = JOB,
        .wrong = "SELECT count(*) FROM t"
                 " WHERE c IS DISTINCT FROM CASE WHEN tableoid = 't'::regclass THEN src END",
        .rows = 60,
    };
    CliBase base = cli_base_new(1);
    move_case_run(&base, &MOVE, BY_KEY | BY_BLOCK);
    CliResult plan = CLI("plan", base.job_file, "-d", base.uri);
    cr_expect(eq(int, 0, plan.code), "%s", plan.err);
    cr_expect(cli_has(plan.out, "child_of_t"), "%s", plan.out);
    cli_free(&plan);
    cli_base_free(&base);
}

#define TRIGGER(when, body)                                                                        \
    "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN " body " END$$;"           \
    "CREATE TRIGGER mine " when " UPDATE ON t FOR EACH ROW EXECUTE FUNCTION mine();"
#define ROWS TABLE "INSERT INTO t SELECT g, g FROM generate_series(1, 60) AS g;"

Test(tables, triggers_of_the_user_fire_and_what_they_change_is_followed)
{
    static const MoveCase MOVES[] = {
        {.title = "BEFORE trigger that changes a source column",
            .setup = ROWS TRIGGER("BEFORE", "NEW.src := NEW.src || '!'; RETURN NEW;"),
            .job = "backfill: t\nallow: [user-triggers]\nset:\n  c: src\n",
            .wrong = "SELECT count(*) FROM t WHERE c IS DISTINCT FROM src OR src NOT LIKE '%!'",
            .rows = 60},
        {.title = "AFTER trigger that writes elsewhere",
            .setup = ROWS "CREATE TABLE seen (id bigint);" TRIGGER(
                "AFTER", "INSERT INTO seen VALUES (NEW.id); RETURN NULL;"),
            .job = "backfill: t\nallow: [user-triggers]\nset:\n  c: src\n",
            .wrong = "SELECT count(*) FROM t FULL JOIN seen USING (id)"
                     " WHERE c IS DISTINCT FROM src OR seen.id IS NULL",
            .rows = 60},
        {.title = "BEFORE trigger that keeps a row from being changed: verify finds it",
            .setup = ROWS TRIGGER("BEFORE", "IF NEW.id = 7 THEN RETURN NULL; END IF; RETURN NEW;"),
            .job = "backfill: t\nallow: [user-triggers]\nset:\n  c: src\n",
            .wrong = "SELECT count(*) FROM t"
                     " WHERE c IS DISTINCT FROM CASE WHEN id <> 7 THEN src END",
            .rows = 59,
            .code = 6},
    };
    CHECK_ALL(MOVES);
}
