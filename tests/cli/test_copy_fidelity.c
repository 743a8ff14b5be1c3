/*
 * test_copy_fidelity.c - a copy is the same to the last bit for every builtin type, and what only
 * looks the same is found by verify.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/type_case.h"
#include "harness/harness.h"
#include "harness/session.h"

#define REST                                                                                       \
    "sync: none\nallow: [append-only, lossy, stable]\nbatch: {rows: 10}\n"                         \
    "throttle: {standbys: none}\n"

static void
expect_verb(const CliBase *base, const char *verb, int code, const char *part)
{
    const char *yes = strcmp(verb, "run") == 0 ? "--yes" : NULL;
    CliResult result = CLI(verb, base->job_file, "-d", base->uri, "--json", yes);
    cr_expect(eq(int, code, result.code), "%s: %s", verb, result.err);
    cr_expect(cli_has(result.out, part), "%s\nis not in\n%s", part, result.out);
    cli_free(&result);
}

Test(copy_fidelity, every_type_arrives_bit_by_bit)
{
    CliBase base = cli_base_new(1);
    type_cases_create_types(base.conn);
    type_cases_create(base.conn, "s", "int");
    type_cases_create(base.conn, "t", "bigint");
    type_cases_fill(base.conn, "s");
    cli_base_write_job(&base, "job: types\ncopy: s\ninto: t\n" REST);
    expect_verb(&base, "run", 0, "\"differing_rows\":0");
    char *source = type_cases_digest(base.conn, "s");
    char *target = type_cases_digest(base.conn, "t");
    cr_expect(eq(str, source, target));
    free(source);
    free(target);
    cli_base_free(&base);
}

/* ---- what is not the same ---- */

typedef struct Lookalike {
    const char *type;
    const char *value;
    const char *other;
} Lookalike;

static const Lookalike LOOKALIKES[] = {
    {"float8", "'0'", "'-0'"},
    {"float4", "'0'", "'-0'"},
    {"numeric", "'1.0'", "'1.00'"},
    {"numeric", "'NaN'", "NULL"},
    {"text", "''", "NULL"},
    {"text", "'a'", "'a '"},
    {"text", "U&'\\00E9'", "U&'e\\0301'"},
    {"varchar(5)", "'a'", "'a '"},
    {"bytea", "''", "'\\x00'"},
    {"json", "'{\"a\":1}'", "'{\"a\": 1}'"},
    {"jsonb", "'1.0'", "'1.00'"},
    {"interval", "'1 day'", "'24 hours'"},
    {"interval", "'1 mon'", "'30 days'"},
    {"timetz", "'12:00+00'", "'13:00+01'"},
    {"timestamptz", "'2024-01-01 00:00+00'", "'2024-01-01 00:00:00.000001+00'"},
    {"date", "'infinity'", "'5874897-12-31'"},
    {"int[]", "'{1,2}'", "'[2:3]={1,2}'"},
    {"int[]", "'{}'", "NULL"},
    {"text[]", "'{NULL}'", "'{\"NULL\"}'"},
    {"numrange", "'[1.0,2.0)'", "'[1.00,2.0)'"},
    {"tsrange", "'(,)'", "'[-infinity,infinity]'"},
    {"lseg", "'[(0,0),(1,1)]'", "'[(1,1),(0,0)]'"},
    {"point", "'(0,0)'", "'(0,-0)'"},
    {"circle", "'<(0,0),1>'", "'<(0,0),1.0000001>'"},
    {"inet", "'10.0.0.0/8'", "'10.0.0.0'"},
    {"boolean", "'f'", "NULL"},
    {"xml", "'<a/>'", "'<a></a>'"},
    {"bit varying(3)", "''", "'0'"},
    {"type_pair", "'(,)'", "NULL"},
    {"type_pair", "'(0,a)'", "'(-0,a)'"},
    {"type_mood", "'ok'", "'b c'"},
    {"\"char\"", "''", "' '"},
    {"text COLLATE blind", "'a'", "'A'"},
    {"text", "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 32768) AS i)",
        "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 32767) AS i)"
        " || md5('32769')"},
};
#define LOOKALIKE_COUNT (int)(sizeof(LOOKALIKES) / sizeof(LOOKALIKES[0]))

/* Each pair has a row of its own. */
static void
make_lookalikes(PGconn *conn)
{
    STRBUF_AUTO table = STRBUF_INIT;
    strbuf_puts(&table, "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', "
                        "deterministic = false);"
                        "CREATE TABLE s (id int PRIMARY KEY");
    for (int i = 0; i < LOOKALIKE_COUNT; i++) {
        strbuf_printf(&table, ", c%d %s", i, LOOKALIKES[i].type);
    }
    strbuf_puts(&table, "); CREATE TABLE t (LIKE s INCLUDING ALL)");
    pg_exec(conn, strbuf_text(&table));
    for (int i = 0; i < LOOKALIKE_COUNT; i++) {
        pg_execf(conn, "INSERT INTO s (id, c%d) SELECT %d, %s", i, i, LOOKALIKES[i].value);
    }
}

Test(copy_fidelity, what_only_looks_the_same_differs)
{
    CliBase base = cli_base_new(1);
    type_cases_create_types(base.conn);
    make_lookalikes(base.conn);
    cli_base_write_job(&base, "job: lookalikes\ncopy: s\ninto: t\n" REST);
    expect_verb(&base, "run", 0, "\"differing_rows\":0");
    for (int i = 0; i < LOOKALIKE_COUNT; i++) {
        pg_execf(base.conn, "UPDATE t SET c%d = %s WHERE id = %d", i, LOOKALIKES[i].other, i);
    }
    STRBUF_AUTO all = STRBUF_INIT;
    strbuf_printf(&all, "\"differing_rows\":%d,", LOOKALIKE_COUNT);
    expect_verb(&base, "verify", 6, strbuf_text(&all));

    cli_base_write_job(&base, "job: update\ncopy: s\ninto: t\non_conflict: update\n" REST);
    STRBUF_AUTO updated = STRBUF_INIT;
    strbuf_printf(&updated, "\"updated_rows\":%d,", LOOKALIKE_COUNT);
    expect_verb(&base, "run", 0, strbuf_text(&updated));
    cli_base_free(&base);
}

/* ---- other types in the target ---- */

/* A column of the source, one of the target, and the value that an INSERT of the server's makes. */
typedef struct Coercion {
    const char *from;
    const char *to;
    const char *value;
} Coercion;

static const Coercion COERCIONS[] = {
    {"int4", "int8", "7"},
    {"int8", "int4", "7"},
    {"int4", "float4", "16777217"},
    {"float8", "float4", "0.1"},
    {"float8", "int4", "2.5"},
    {"numeric", "numeric(6,1)", "1.25"},
    {"numeric", "int4", "2.5"},
    {"text", "varchar(3)", "'a  '"},
    {"text", "varchar(3)", "'a         '"},
    {"text", "char(4)", "'a'"},
    {"char(8)", "text", "'a'"},
    {"char(8)", "varchar(3)", "'a'"},
    {"varchar(20)", "varchar(5)", "'abcde   '"},
    {"text", "type_short", "'ab'"},
    {"text", "name", "repeat('n', 70)"},
    {"timestamp", "timestamp(0)", "'2024-01-01 00:00:00.6'"},
    {"timestamp", "date", "'2024-01-01 23:00'"},
    {"timestamptz", "timestamp", "'2024-01-01 23:00+05'"},
    {"timestamptz", "date", "'2024-01-01 23:00-05'"},
    {"timestamp", "timestamptz", "'2024-01-01 23:00'"},
    {"interval", "interval hour to minute", "'1 day 02:03:04'"},
    {"bit(5)", "bit varying(5)", "'10101'"},
    {"bit varying(5)", "bit(5)", "'10101'"},
    {"json", "jsonb", "'{\"b\": 1.00, \"a\": 2, \"a\": 3}'"},
    {"jsonb", "json", "'{\"b\": 1.00, \"a\": 2}'"},
    {"int4[]", "int8[]", "'{1,NULL}'"},
    {"text[]", "varchar(3)[]", "'{\"a  \"}'"},
    {"int4", "numeric(9,3)", "5"},
    {"numeric", "money", "1.005"},
    {"inet", "cidr", "'10.1.2.3/8'"},
    {"type_pair", "type_positive", "'(1,x)'"},
    {"xml", "text", "'<a/>'"},
    {"type_mood", "text", "'ok'"},
    {"regclass", "oid", "'pg_class'"},
};
#define COERCION_COUNT (int)(sizeof(COERCIONS) / sizeof(COERCIONS[0]))

Test(copy_fidelity, other_types_are_assigned_as_the_server_does_and_compare_right)
{
    CliBase base = cli_base_new(1);
    type_cases_create_types(base.conn);
    STRBUF_AUTO tables = STRBUF_INIT;
    STRBUF_AUTO target = STRBUF_INIT;
    strbuf_puts(&tables, "CREATE TABLE s (id int PRIMARY KEY");
    strbuf_puts(&target, ", at text); CREATE TABLE t (id int PRIMARY KEY");
    for (int i = 0; i < COERCION_COUNT; i++) {
        strbuf_printf(&tables, ", c%d %s", i, COERCIONS[i].from);
        strbuf_printf(&target, ", c%d %s", i, COERCIONS[i].to);
    }
    strbuf_printf(&tables,
        "%s, at text); CREATE TABLE u (LIKE t); INSERT INTO s (id) VALUES (1), "
        "(2)",
        strbuf_text(&target));
    pg_exec(base.conn, strbuf_text(&tables));
    for (int i = 0; i < COERCION_COUNT; i++) {
        pg_execf(base.conn, "UPDATE s SET c%d = %s WHERE id = 1", i, COERCIONS[i].value);
    }
    cli_base_write_job(&base, "job: coercions\ncopy: s\ninto: t\n" REST);
    expect_verb(&base, "run", 0, "\"compared_rows\":2,\"differing_rows\":0");
    pg_exec(base.conn, "SET TimeZone = 'UTC'; INSERT INTO u SELECT * FROM s");
    cr_expect(eq(i64, 2,
        pg_int(base.conn, "SELECT count(*) FROM t JOIN u USING (id) WHERE record_image_eq(t, u)")));
    cli_base_free(&base);
}
