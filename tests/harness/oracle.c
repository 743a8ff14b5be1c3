/*
 * oracle.c - what the table must hold: the log of the application, replayed.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "harness/session.h"
#include "harness/workload.h"

static const char SQL_ORACLE[] =
    "CREATE SCHEMA oracle;\n"
    "CREATE SEQUENCE oracle.seq;\n"
    "CREATE TABLE oracle.oplog (\n"
    "    seq bigint PRIMARY KEY,\n"
    "    op \"char\" NOT NULL,  -- I insert, U update, K key change, D delete\n"
    "    old_key bigint,\n"
    "    new_key bigint,\n"
    "    payload text[]\n"
    ");";

/* What happened to each key last: a key change takes the row from one key and puts it at another.
 */
static const char SQL_LAST[] =
    "SELECT DISTINCT ON (e.key) e.key, e.is_there, e.payload\n"
    "  FROM oracle.oplog o,\n"
    "       LATERAL (VALUES (o.old_key, false, NULL::text[], 0),\n"
    "                       (o.new_key, true, o.payload, 1)) e (key, is_there, payload, step)\n"
    " WHERE e.key IS NOT NULL\n"
    " ORDER BY e.key, o.seq DESC, e.step DESC";

/* "c1::text, c2::text" */
static void
put_columns_as_text(StrBuf *sql, const WorkloadSpec *spec)
{
    for (int i = 0; i < spec->column_count; i++) {
        strbuf_printf(sql, "%s%s::text", i == 0 ? "" : ", ", spec->columns[i].name);
    }
}

void
workload_prepare(PGconn *conn, const WorkloadSpec *spec)
{
    assert(spec->column_count >= 1 && spec->column_count <= WORKLOAD_MAX_COLUMNS);
    pg_exec(conn, SQL_ORACLE);
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "INSERT INTO oracle.oplog SELECT nextval('oracle.seq'), 'I', NULL, %s, ARRAY[", spec->key);
    put_columns_as_text(&sql, spec);
    strbuf_printf(&sql, "] FROM %s", spec->table);
    pg_exec(conn, sql.text);
}

void
workload_expect(PGconn *conn, const WorkloadSpec *spec)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql,
        "DROP TABLE IF EXISTS oracle.expected;"
        " CREATE TABLE oracle.expected AS SELECT l.key AS %s",
        spec->key);
    for (int i = 0; i < spec->column_count; i++) {
        const char *name = spec->columns[i].name;
        STRBUF_AUTO type_sql = STRBUF_INIT;
        strbuf_printf(&type_sql, "SELECT pg_typeof((NULL::%s).%s)", spec->table, name);
        char *type = pg_text(conn, type_sql.text);
        strbuf_printf(&sql, ", l.payload[%d]::%s AS %s", i + 1, type, name);
        free(type);
    }
    strbuf_printf(&sql, " FROM (%s) l WHERE l.is_there", SQL_LAST);
    pg_exec(conn, sql.text);
}

static void
put_compared(StrBuf *sql, const WorkloadSpec *spec, const char *table)
{
    strbuf_printf(sql, "SELECT %s, ", spec->key);
    put_columns_as_text(sql, spec);
    strbuf_printf(sql, " FROM %s", table);
}

/* Rows on which the expression is false or NULL; the first of them go to `text`. */
static int64_t
check_invariant(PGconn *conn, const WorkloadSpec *spec, const char *invariant_sql, StrBuf *text)
{
    int64_t count =
        pg_intf(conn, "SELECT count(*) FROM %s WHERE (%s) IS NOT TRUE", spec->table, invariant_sql);
    if (count > 0) {
        STRBUF_AUTO sql = STRBUF_INIT;
        strbuf_printf(&sql,
            "SELECT string_agg(line, E'\\n') FROM (SELECT t::text AS line FROM %s t"
            " WHERE (%s) IS NOT TRUE ORDER BY %s LIMIT 20) s",
            spec->table, invariant_sql, spec->key);
        char *lines = pg_text(conn, sql.text);
        strbuf_printf(
            text, "%lld rows where not (%s):\n%s\n", (long long)count, invariant_sql, lines);
        free(lines);
    }
    return count;
}

int64_t
workload_check(PGconn *conn, const WorkloadSpec *spec, const char *invariant_sql, char **message)
{
    workload_expect(conn, spec);
    STRBUF_AUTO expected = STRBUF_INIT;
    STRBUF_AUTO found = STRBUF_INIT;
    put_compared(&expected, spec, "oracle.expected");
    put_compared(&found, spec, spec->table);

    StrBuf text = STRBUF_INIT;
    char *rows = NULL;
    int64_t count = pg_compare(conn, expected.text, found.text, &rows);
    if (rows != NULL) {
        strbuf_printf(&text, "%lld rows differ; left is expected, right is found:\n%s",
            (long long)count, rows);
        free(rows);
    }
    if (invariant_sql != NULL) {
        count += check_invariant(conn, spec, invariant_sql, &text);
    }
    if (message != NULL) {
        *message = text.text;
    } else {
        strbuf_free(&text);
    }
    return count;
}
