#include "cli/type_case.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "harness/session.h"

typedef struct TypeCase {
    const char *type;
    const char *values; /* a list of literals; each is cast to the type */
} TypeCase;

/* Text that does not compress: a megabyte, and enough to be stored out of line. */
#define MEGABYTE "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 32768) AS i)"
#define LONG     "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) AS i)"

#define TEXTS                                                                                      \
    "'', 'NULL', '{}', '\"', '''', '\\', '\\N', '\\.', '\\\\', E'\\n', E'\\r\\n', E'\\t', ' ',"    \
    " '  a  ', E'\\x01\\x1b\\x7f', U&'\\+01F600', U&'\\202Ea', U&'e\\0301', U&'\\00E9',"           \
    " U&'\\FEFF', U&'\\+10FFFF', '$1', ',', '(a,b)', '%s%n'"

static const TypeCase CASES[] = {
    {"boolean", "'t', 'f'"},
    {"smallint", "'0', '-32768', '32767'"},
    {"integer", "'0', '-2147483648', '2147483647'"},
    {"bigint", "'0', '-9223372036854775808', '9223372036854775807'"},
    {"numeric",
        "'0', '0.000', '-0.1', '1.0', '1.00', 'NaN', 'Infinity', '-Infinity', '1e-1000', '1e1000',"
        " '12345678901234567890.12345678901234567890'"},
    {"numeric(10,2)", "'0', '99999999.99', '-0.01', '1.10', 'NaN'"},
    {"real", "'0', '-0', 'NaN', 'Infinity', '-Infinity', '1e-45', '3.4028235e38', '0.1'"},
    {"double precision",
        "'0', '-0', 'NaN', 'Infinity', '-Infinity', '5e-324', '1.7976931348623157e308', '0.1',"
        " '0.30000000000000004'"},
    {"money", "'0', '-92233720368547758.08', '92233720368547758.07', '0.01'"},
    {"text", TEXTS ", " MEGABYTE},
    {"varchar(9)", "'', 'abcdefghi', '   ', 'a  ', E'\\t'"},
    {"char(5)", "'', 'a', 'abcde', ' b', E'\\t'"},
    {"char", "'a', ''"},
    {"\"char\"", "'', 'a', E'\\x01'"},
    {"name", "'', 'a', repeat('n', 63)"},
    {"bytea", "'', '\\x00', '\\x00ff5c0a0d', convert_to(" MEGABYTE ", 'UTF8')::text"},
    {"bit(5)", "'00000', '10101'"},
    {"bit varying(70)", "'', '1', '0', repeat('10', 35)"},
    {"date", "'epoch', 'infinity', '-infinity', '4713-01-01 BC', '5874897-12-31', '2000-02-29'"},
    {"time", "'00:00', '24:00', '23:59:59.999999'"},
    {"time(0)", "'00:00:01', '24:00'"},
    {"timetz", "'00:00+15:59', '24:00-15:59', '12:00+00', '13:00+01', '12:00:00.000001+05:30:15'"},
    {"timestamp",
        "'epoch', 'infinity', '-infinity', '4713-01-01 00:00 BC', '294276-12-31 23:59:59.999999'"},
    {"timestamptz", "'epoch', 'infinity', '-infinity', '2024-03-31 02:30 Europe/Berlin',"
                    " '294276-12-31 23:59:59.999999+00', '0044-03-15 BC'"},
    {"interval", "'0', '1 day', '24 hours', '1 mon', '30 days', '-178000000 years', '1 us ago',"
                 " '1 mon -1 day +00:00:01'"},
    {"interval day to second(3)", "'1 day 00:00:00.123', '0'"},
    {"uuid", "'00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'"},
    {"json", "'{\"a\": 1}', '{\"a\":1}', '{\"a\":1,\"a\":2}', ' null', '1.0', '\"\\u0041\"', '[]'"},
    {"jsonb", "'{}', '1.0', '1.00', 'null', '\"\\u00e9\"', '{\"b\":1,\"a\":[null,1e500]}',"
              " to_jsonb(" LONG ")::text"},
    {"jsonpath", "'$.a[*] ? (@ > 1)', 'strict $'"},
    {"xml", "'<a/>', '', '<a b=\"&lt;\">x</a>', 'a &amp; b'"},
    {"tsvector", "'', '''it''''s'':1A b:2,3'"},
    {"tsquery", "'', 'a & !b | c:*', 'a <-> b'"},
    {"inet", "'0.0.0.0', '192.168.1.5/24', '::1', '::ffff:1.2.3.4/100'"},
    {"cidr", "'10.0.0.0/8', '::/0'"},
    {"macaddr", "'00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff'"},
    {"macaddr8", "'00:00:00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff:ff:ff'"},
    {"point", "'(0,-0)', '(NaN,Infinity)', '(0.1,1e-300)'"},
    {"line", "'{1,-1,0}', '{0.1,0.2,-0}'"},
    {"lseg", "'[(0,0),(1,1)]', '[(1,1),(0,0)]'"},
    {"box", "'(1,1),(0,0)', '(NaN,0),(0,NaN)'"},
    {"path", "'[(0,0),(1,1)]', '((0,0),(1,1))'"},
    {"polygon", "'((0,0),(1,1),(2,0))', '((0,-0))'"},
    {"circle", "'<(0,0),0>', '<(0.1,-0),NaN>'"},
    {"oid", "'0', '4294967295'"},
    {"xid", "'0', '4294967295'"},
    {"xid8", "'0', '18446744073709551615'"},
    {"cid", "'0', '4294967295'"},
    {"tid", "'(0,0)', '(4294967295,65535)'"},
    {"pg_lsn", "'0/0', 'FFFFFFFF/FFFFFFFF'"},
    {"pg_snapshot", "'1:1:', '10:20:10,14,15'"},
    {"regtype", "'integer', 'text'"},
    {"regclass", "'pg_class'"},
    {"int2vector", "'', '1 -2 3'"},
    {"oidvector", "'', '1 2'"},
    {"refcursor", "'', 'a'"},
    {"integer[]", "'{}', '{1,NULL,3}', '{{1,2},{3,4}}', '[-2:0]={1,2,3}', '[2:2]={NULL}',"
                  " array_fill(7, ARRAY[20000])::text"},
    {"text[]",
        "'{}', '{NULL,\"NULL\",\"\",\"a,b\",\"\\\"\",\"\\\\\"}', ARRAY[E'\\n', ' ', '{}']::text,"
        " ARRAY[" LONG ", NULL]::text"},
    {"varchar(3)[]", "'{abc,\"\",NULL}'"},
    {"numeric(6,2)[]", "'{1.00,NaN}'"},
    {"timestamptz[]", "'{infinity,epoch}'"},
    {"jsonb[]", "ARRAY['{}', 'null']::jsonb[]::text"},
    {"int4range", "'empty', '[1,2)', '(,)', '[5,)', '[-2147483648,2147483647)'"},
    {"int8range", "'empty', '(,5)'"},
    {"numrange", "'[1.0,1.00]', '(1,2]', 'empty', '[NaN,NaN]'"},
    {"tsrange", "'[-infinity,infinity]', '(,)'"},
    {"tstzrange", "'[epoch,infinity)', 'empty'"},
    {"daterange", "'[2024-01-01,infinity]', '(,)'"},
    {"int4multirange", "'{}', '{[1,2),[5,9)}', '{(,)}'"},
    {"nummultirange", "'{[1.0,1.5],(2,3)}'"},
    {"tstzmultirange", "'{[epoch,infinity)}'"},
    {"type_mood", "'ok', 'b c', ''"},
    {"type_mood[]", "'{ok,\"\",NULL}'"},
    {"type_short", "'', 'abcd'"},
    {"type_pair", "'(,)', '(1,\"\")', '(-0,\"a,b\")', ROW(1.5, " LONG ")::type_pair::text"},
    {"type_pair[]", "ARRAY[ROW(0, '\"'), NULL]::type_pair[]::text"},
    {"type_positive", "'(1,x)'"},
    {"type_span", "'[a,b]', 'empty', '(,\"\")'"},
};
#define CASE_COUNT (sizeof(CASES) / sizeof(CASES[0]))

/* As many rows as the longest list has values, and some NULLs more. */
#define ROWS 29

int
type_cases_count(void)
{
    return (int)CASE_COUNT;
}

void
type_cases_create_types(PGconn *conn)
{
    pg_exec(conn, "CREATE TYPE type_mood AS ENUM ('ok', 'b c', '');"
                  "CREATE DOMAIN type_short AS varchar(4);"
                  "CREATE TYPE type_pair AS (a float8, b text);"
                  "CREATE DOMAIN type_positive AS type_pair CHECK ((value).a > 0);"
                  "CREATE TYPE type_span AS RANGE (subtype = text, collation = \"C\")");
}

void
type_cases_create(PGconn *conn, const char *table, const char *key_type)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql, "CREATE TABLE %s (n %s PRIMARY KEY", table, key_type);
    for (size_t i = 0; i < CASE_COUNT; i++) {
        strbuf_printf(&sql, ", c%zu %s", i + 1, CASES[i].type);
    }
    strbuf_puts(&sql, ")");
    pg_exec(conn, strbuf_text(&sql));
}

void
type_cases_fill(PGconn *conn, const char *table)
{
    pg_execf(conn, "INSERT INTO %s (n) SELECT g FROM generate_series(1, %d) AS g", table, ROWS);
    for (size_t i = 0; i < CASE_COUNT; i++) {
        pg_execf(conn,
            "UPDATE %s SET c%zu = v.t[NULLIF(n %% (cardinality(v.t) + 1), 0)]::%s"
            "  FROM (SELECT ARRAY[%s]::text[] AS t) AS v",
            table, i + 1, CASES[i].type, CASES[i].values);
    }
}

char *
type_cases_digest(PGconn *conn, const char *table)
{
    STRBUF_AUTO ask = STRBUF_INIT;
    strbuf_printf(&ask,
        "SELECT string_agg(format('SELECT %%L || md5(string_agg(COALESCE(encode(%%s(%%s), ''hex''),"
        " ''NULL''), '','' ORDER BY n)) FROM %s', attname || ' ' || format_type(atttypid, "
        "atttypmod)"
        " || ' ', typsend, quote_ident(attname) || CASE typname WHEN 'refcursor' THEN '::text' "
        "ELSE '' END), ' UNION ALL ' ORDER BY attnum)"
        "  FROM pg_attribute JOIN pg_type t ON t.oid = atttypid"
        " WHERE attrelid = '%s'::regclass AND attnum > 1",
        table, table);
    char *union_all = pg_text(conn, strbuf_text(&ask));
    STRBUF_AUTO digest = STRBUF_INIT;
    strbuf_printf(&digest, "SELECT string_agg(l, E'\\n' ORDER BY l) FROM (%s) AS s(l)", union_all);
    free(union_all);
    return pg_text(conn, strbuf_text(&digest));
}
