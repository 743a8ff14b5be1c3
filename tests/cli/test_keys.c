/*
 * test_keys.c - a walk by key visits each row once, whatever the key's type and its odd values.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "cli/move_case.h"
#include "harness/session.h"

typedef struct KeyType {
    const char *title;
    const char *type;
    const char *values; /* query of one column: the keys */
} KeyType;

#define SERIES " FROM generate_series(1, 60) AS g "

static const KeyType NUMBERS[] = {
    {"smallint", "smallint",
        "SELECT g::int2 FROM generate_series(-30, 30) AS g UNION SELECT -32768 UNION SELECT 32767"},
    {"integer", "integer",
        "SELECT g FROM generate_series(-30, 30) AS g UNION SELECT -2147483648"
        " UNION SELECT 2147483647"},
    {"sparse bigint with both ends", "bigint",
        "SELECT g * 1000000007::bigint FROM generate_series(-30, 30) AS g"
        " UNION SELECT -9223372036854775808 UNION SELECT 9223372036854775807"},
    {"domain over integer", "positive", "SELECT g" SERIES},
    {"numeric with NaN and infinities", "numeric",
        "SELECT g / 7.0" SERIES "UNION SELECT 'NaN' UNION SELECT 'Infinity'"
        " UNION SELECT '-Infinity' UNION SELECT 1e300 UNION SELECT -1e-300"},
    {"numeric with a scale", "numeric(9,2)", "SELECT g / 7.0" SERIES "UNION SELECT 'NaN'"},
    {"money", "money", "SELECT g::money" SERIES},
    {"oid", "oid", "SELECT g::oid" SERIES "UNION SELECT 4294967295"},
    {"boolean", "boolean", "SELECT true UNION SELECT false"},
    {"bit", "bit(12)", "SELECT g::bit(12)" SERIES},
    {"varbit", "varbit", "SELECT g::bit(12)::varbit" SERIES "UNION SELECT ''"},
};

static const KeyType TEXTS[] = {
    {"text with everything that needs quoting", "text",
        "SELECT 'k' || g" SERIES "UNION SELECT '' UNION SELECT repeat('long', 600)"
        " UNION SELECT 'a,b' UNION SELECT '{\"x\",NULL}' UNION SELECT 'NULL'"
        " UNION SELECT E'back\\\\slash' UNION SELECT '\xc3\xa9' UNION SELECT chr(128512)"
        " UNION SELECT E'tab\\t line\\n' UNION SELECT '  blanks  '"},
    {"text in collation C", "text COLLATE \"C\"",
        "SELECT 'k' || g" SERIES "UNION SELECT '' UNION SELECT '\xc3\xa9' UNION SELECT 'B'"
        " UNION SELECT 'a'"},
    {"text in a collation of ICU", "text COLLATE \"de-x-icu\"",
        "SELECT 'k' || g" SERIES "UNION SELECT '' UNION SELECT '\xc3\xa9' UNION SELECT 'B'"
        " UNION SELECT 'a' UNION SELECT 'A'"},
    {"varchar", "varchar(20)", "SELECT 'k' || g" SERIES "UNION SELECT ''"},
    {"char(n)", "char(6)", "SELECT 'k' || g" SERIES "UNION SELECT '' UNION SELECT 'zz'"},
    {"bpchar", "bpchar", "SELECT 'k' || g" SERIES "UNION SELECT ''"},
    {"domain over varchar", "short_name", "SELECT 'k' || g" SERIES},
    {"name", "name", "SELECT ('k' || g)::name" SERIES},
    {"\"char\"", "\"char\"", "SELECT chr(g)::\"char\" FROM generate_series(1, 127) AS g"},
    {"enum", "mood", "SELECT unnest(enum_range(NULL::mood))"},
    {"bytea", "bytea",
        "SELECT sha256(g::text::bytea)" SERIES "UNION SELECT '' UNION SELECT '\\x00'"
        " UNION SELECT '\\xff'"},
    {"uuid", "uuid",
        "SELECT md5(g::text)::uuid" SERIES
        "UNION SELECT '00000000-0000-0000-0000-000000000000'::uuid"
        " UNION SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid"},
};

static const KeyType OTHERS[] = {
    {"timestamptz with infinities", "timestamptz",
        "SELECT timestamptz '2024-03-31 00:59:59.999990+00' + g * interval '1 us'" SERIES
        "UNION SELECT 'infinity' UNION SELECT '-infinity' UNION SELECT '4000-01-01 BC'"},
    {"timestamp", "timestamp(0)",
        "SELECT timestamp '2024-02-01' + g * interval '1 day'" SERIES "UNION SELECT 'infinity'"},
    {"date with infinities", "date",
        "SELECT date '2024-01-31' + g" SERIES "UNION SELECT 'infinity' UNION SELECT '-infinity'"
        " UNION SELECT '4000-01-01 BC'"},
    {"time", "time", "SELECT time '00:00' + g * interval '1 s'" SERIES "UNION SELECT '24:00'"},
    {"timetz", "timetz", "SELECT timetz '00:00+05' + g * interval '1 s'" SERIES},
    {"interval", "interval",
        "SELECT g * interval '1 day'" SERIES "UNION SELECT '1 year' UNION SELECT '-5 mons'"},
    {"inet", "inet", "SELECT '10.0.0.0'::inet + g" SERIES "UNION SELECT '::1'"},
    {"array", "int[]", "SELECT ARRAY[g, g + 1]" SERIES "UNION SELECT '{}' UNION SELECT '{NULL}'"},
    {"range", "int4range",
        "SELECT int4range(g, g + 5)" SERIES "UNION SELECT 'empty' UNION SELECT '(,)'"},
    {"composite type", "pair", "SELECT ROW(g, 'x')::pair" SERIES},
};

static const char TYPES[] = "CREATE TYPE mood AS ENUM ('sad', 'a,b', 'happy \"q\"');"
                            "CREATE DOMAIN positive AS int CHECK (value > 0);"
                            "CREATE DOMAIN short_name AS varchar(7);"
                            "CREATE TYPE pair AS (a int, b text);";

#define JOB   "backfill: t\nset:\n  filled: upper(src)\n"
#define WRONG "SELECT count(*) FROM t WHERE filled IS DISTINCT FROM upper(src)"

static void
check_type(const CliBase *base, const KeyType *key)
{
    char count[1024];
    char setup[2048];
    (void)snprintf(count, sizeof(count), "SELECT count(*) FROM (%s) AS s", key->values);
    (void)snprintf(setup, sizeof(setup),
        "CREATE TABLE t (k %s PRIMARY KEY, src text NOT NULL, filled text);"
        "INSERT INTO t SELECT s.k, 'v' FROM (%s) AS s(k)",
        key->type, key->values);
    /* The types must be there to count. */
    pg_exec(base->conn, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    pg_exec(base->conn, TYPES);
    MoveCase move = {
        .title = key->title,
        .setup = setup,
        .job = JOB,
        .wrong = WRONG,
        .rows = pg_int(base->conn, count),
    };
    move_cases_run(base, TYPES, &move, 1, BY_KEY);
}

static void
check_types(const KeyType *keys, size_t count)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn, "SET client_min_messages = error");
    for (size_t i = 0; i < count; i++) {
        check_type(&base, &keys[i]);
    }
    cli_base_free(&base);
}

Test(keys, numbers_are_walked_completely)
{
    check_types(NUMBERS, sizeof(NUMBERS) / sizeof(NUMBERS[0]));
}

Test(keys, texts_are_walked_completely)
{
    check_types(TEXTS, sizeof(TEXTS) / sizeof(TEXTS[0]));
}

Test(keys, times_and_compound_values_are_walked_completely)
{
    check_types(OTHERS, sizeof(OTHERS) / sizeof(OTHERS[0]));
}

Test(keys, several_columns_are_compared_as_a_row)
{
    static const MoveCase MOVE = {
        .title = "three columns",
        .setup = "CREATE TABLE t (a text, b int, c date, src text, filled text,"
                 "                PRIMARY KEY (b, a, c));"
                 "INSERT INTO t SELECT v, b, d, 'v'"
                 "  FROM unnest(ARRAY['', 'x', 'NULL']) AS v, generate_series(-2, 2) AS b,"
                 "       unnest(ARRAY['-infinity', '2024-01-01', 'infinity']::date[]) AS d",
        .job = JOB,
        .wrong = WRONG,
        .rows = 45,
    };
    CliBase base = cli_base_new(1);
    move_case_run(&base, &MOVE, BY_KEY | BY_BLOCK);
    cli_base_free(&base);
}

Test(keys, another_unique_index_may_be_the_key)
{
    static const MoveCase MOVE = {
        .title = "unique index",
        .setup = "CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL, src text, filled text);"
                 "CREATE UNIQUE INDEX ON t (code);"
                 "INSERT INTO t SELECT g, md5(g::text), 'v' FROM generate_series(1, 60) AS g",
        .job = "backfill: t\nkey: [code]\nset:\n  filled: upper(src)\n",
        .wrong = WRONG,
        .rows = 60,
    };
    CliBase base = cli_base_new(1);
    move_case_run(&base, &MOVE, BY_KEY);
    cli_base_free(&base);
}

Test(keys, settings_of_the_role_do_not_change_what_a_checkpoint_means)
{
    static const MoveCase MOVE = {
        .title = "role settings",
        .setup = "CREATE TABLE t (k timestamptz, d date, i interval, b bytea, src text,"
                 "                filled text, PRIMARY KEY (k, d, i, b));"
                 "INSERT INTO t SELECT timestamptz '2024-01-02 03:04:05.678+00'"
                 "       + g * interval '25 h', date '2024-01-02' + g, g * interval '33 h',"
                 "       g::text::bytea, 'v' FROM generate_series(1, 60) AS g",
        .job = "backfill: t\nallow: [stable]\nset:\n  filled: \"k::text || d || i || b::text\"\n",
        .wrong = "SELECT count(*) FROM t WHERE filled IS NULL OR filled NOT LIKE '____-__-__ %'",
        .rows = 60,
    };
    CliBase base = cli_base_new(1);
    static const char *const SETTINGS[] = {
        "\"DateStyle\" = 'SQL, DMY'",
        "\"IntervalStyle\" = 'sql_standard'",
        "\"TimeZone\" = 'America/St_Johns'",
        "bytea_output = 'escape'",
        "search_path = 'nowhere'",
        "default_transaction_isolation = 'repeatable read'",
    };
    for (size_t i = 0; i < sizeof(SETTINGS) / sizeof(SETTINGS[0]); i++) {
        pg_execf(
            base.conn, "ALTER ROLE postgres IN DATABASE \"%s\" SET %s", base.dbname, SETTINGS[i]);
    }
    move_case_run(&base, &MOVE, BY_KEY | BY_BLOCK);
    cli_base_free(&base);
}

Test(keys, a_nondeterministic_collation_is_refused)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn,
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
        "CREATE TABLE t (k text COLLATE ci PRIMARY KEY, src text, filled text)");
    cli_base_write_job(&base, "job: test\n" JOB);
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes");
    cr_expect(eq(int, 4, result.code), "%s", result.err);
    cr_expect(cli_has(result.err, "nondeterministic collation"), "%s", result.err);
    cr_expect(eq(i64, 1, pg_int(base.conn, "SELECT to_regnamespace('pghaul') IS NULL")));
    cli_free(&result);
    cli_base_free(&base);
}
