/*
 * test_traps.c - whoever may create objects in the schema of the table cannot have our statements
 * call them: every operator that fits types better than one of the server's own is a trap there.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/session.h"

/* For all pairs of types for which the server has no operator of its own. */
/* The SQLSTATE tells which, by places in the list: TRACB is int8 with int4. */
static const char SQL_TRAPS[] =
    "DO $$ DECLARE r record; all_of text[] := '{int2,int4,int8,oid,numeric,float8,text,name,bool,"
    "interval,timestamptz,date,xid,regclass,int4[],text[]}'; BEGIN\n"
    "  FOR r IN SELECT a.t AS a, b.t AS b, 'TRA' || chr(64 + a.n::int) || chr(64 + b.n::int) AS s"
    "      FROM unnest(all_of) WITH ORDINALITY AS a(t, n), unnest(all_of) WITH ORDINALITY AS b(t, "
    "n) LOOP\n"
    "    EXECUTE format('CREATE FUNCTION public.trap(%s, %s) RETURNS bool LANGUAGE plpgsql AS %L',"
    "      r.a, r.b, format('BEGIN RAISE EXCEPTION USING ERRCODE = %L; END', r.s));\n"
    "  END LOOP;\n"
    "  FOR r IN SELECT o.name, p.a, p.b FROM unnest('{=,<>,<,>,<=,>=,+,-,*,/,^,||,%,~,&}'::text[])"
    "      AS o(name),\n"
    "      (SELECT f.proargtypes[0]::regtype AS a, f.proargtypes[1]::regtype AS b FROM pg_proc f"
    "        WHERE f.proname = 'trap') AS p\n"
    "      WHERE NOT EXISTS (SELECT FROM pg_operator x WHERE x.oprname = o.name"
    "        AND x.oprleft = p.a AND x.oprright = p.b) LOOP\n"
    "    EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.trap, LEFTARG = %s,"
    "      RIGHTARG = %s)', r.name, r.a, r.b);\n"
    "  END LOOP; END $$";

#define PURGE "purge: t\nwhere: at < now() - interval '30 days'\n"
#define COUNT 9

static const struct {
    const char *setup;
    const char *job;
    bool archives;
} JOBS[COUNT] = {
    {"", PURGE, false},
    {"", PURGE "into: kept\n", false},
    {"", PURGE "allow: [append-only]\n", false},
    {"", PURGE, true},
    {"CREATE INDEX ON t (at);", PURGE, true},
    {"ALTER TABLE c ADD FOREIGN KEY (t) REFERENCES t;", PURGE "children: delete\n", false},
    {"ALTER TABLE c ADD FOREIGN KEY (t) REFERENCES t;", PURGE "children: delete\n", true},
    {"", "backfill: t\nset: {n: '7'}\n", false},
    {"", "copy: t\ninto: kept\n", false},
};

static void
run_untrapped(const CliBase *base, int number)
{
    pg_exec(base->conn, "DROP SCHEMA IF EXISTS pghaul CASCADE; DROP TABLE IF EXISTS c, t, kept;"
                        "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz NOT NULL, n int);"
                        "CREATE TABLE kept (id bigint PRIMARY KEY, at timestamptz, n int);"
                        "CREATE TABLE c (id int PRIMARY KEY, t bigint); CREATE INDEX ON c (t);"
                        "INSERT INTO t SELECT i, now() - i::float8 * '1 day'::interval, i"
                        "  FROM generate_series(1, 100) AS i;"
                        "INSERT INTO c SELECT i, i FROM generate_series(1, 100) AS i");
    pg_exec(base->conn, JOBS[number].setup);
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(
        &text, "job: j\nthrottle: {standbys: none}\nbatch: {rows: 10}\n%s", JOBS[number].job);
    if (JOBS[number].archives) {
        strbuf_printf(&text, "archive: %s/archive%d\n", base->folder, number);
    }
    cli_base_write_job(base, strbuf_text(&text));
    for (int i = 0; i < 2; i++) {
        CliResult result = CLI("run", base->job_file, "-d", base->uri, "--yes");
        cr_expect(zero(int, result.code), "%s\n%s", JOBS[number].job, result.err);
        cli_free(&result);
    }
}

Test(traps, operators_in_the_schema_of_the_table_are_not_called)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, SQL_TRAPS);
    for (int i = 0; i < COUNT; i++) {
        run_untrapped(&base, i);
    }
    cli_base_free(&base);
}
