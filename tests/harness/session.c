/*
 * session.c - SQL helpers on plain libpq.
 */
#include "harness/session.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "harness/harness.h"

#define POLL_NAP_US 2000

struct Session {
    PGconn *conn;
    bool is_busy;
    char sqlstate[6];
    char message[512];
};

static void
drop_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

PGconn *
pg_open(const char *uri)
{
    PGconn *conn = PQconnectdb(uri);
    if (PQstatus(conn) != CONNECTION_OK) {
        harness_fail("cannot connect: %s", PQerrorMessage(conn));
    }
    (void)PQsetNoticeReceiver(conn, drop_notice, NULL);
    return conn;
}

void
pg_close(PGconn *conn)
{
    PQfinish(conn);
}

static bool
has_succeeded(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

static PGresult *
run_ok(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    if (!has_succeeded(result)) {
        harness_fail("%s failed: %s", sql, PQerrorMessage(conn));
    }
    return result;
}

static PGresult *
run_row(PGconn *conn, const char *sql)
{
    PGresult *result = run_ok(conn, sql);
    if (PQntuples(result) < 1 || PQnfields(result) < 1) {
        harness_fail("no row from: %s", sql);
    }
    return result;
}

void
pg_exec(PGconn *conn, const char *sql)
{
    PQclear(run_ok(conn, sql));
}

static char *
format_sql(const char *fmt, va_list args)
{
    char *sql = NULL;
    if (vasprintf(&sql, fmt, args) < 0) {
        harness_fail("cannot format: %s", fmt);
    }
    return sql;
}

void
pg_execf(PGconn *conn, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *sql = format_sql(fmt, args);
    va_end(args);
    pg_exec(conn, sql);
    free(sql);
}

int64_t
pg_int(PGconn *conn, const char *sql)
{
    PGresult *result = run_row(conn, sql);
    const char *text = PQgetvalue(result, 0, 0);
    int64_t value = text[0] == 't' ? 1 : strtoll(text, NULL, 10);
    PQclear(result);
    return value;
}

int64_t
pg_intf(PGconn *conn, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *sql = format_sql(fmt, args);
    va_end(args);
    int64_t value = pg_int(conn, sql);
    free(sql);
    return value;
}

char *
pg_text(PGconn *conn, const char *sql)
{
    PGresult *result = run_row(conn, sql);
    char *text = PQgetisnull(result, 0, 0) == 1 ? NULL : mem_strdup(PQgetvalue(result, 0, 0));
    PQclear(result);
    return text;
}

static void
copy_sqlstate(char sqlstate[static 6], const PGresult *result)
{
    const char *found = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    (void)snprintf(sqlstate, 6, "%s", found == NULL ? "" : found);
}

bool
pg_try(PGconn *conn, const char *sql, char sqlstate[static 6])
{
    PGresult *result = PQexec(conn, sql);
    bool ok = has_succeeded(result);
    (void)snprintf(sqlstate, 6, "00000");
    if (!ok) {
        copy_sqlstate(sqlstate, result);
    }
    PQclear(result);
    return ok;
}

void
pg_wait_true(PGconn *conn, const char *sql, int64_t timeout_us)
{
    int64_t deadline_us = clock_mono_us() + timeout_us;
    while (pg_int(conn, sql) != 1) {
        if (clock_mono_us() >= deadline_us) {
            harness_fail("did not get true in time: %s", sql);
        }
        harness_nap_us(POLL_NAP_US);
    }
}

void
pg_wait_blocked(PGconn *observer, int backend_pid, int64_t timeout_us)
{
    char sql[160];
    (void)snprintf(sql, sizeof(sql),
        "SELECT count(*) > 0 FROM pg_catalog.pg_locks WHERE pid = %d AND NOT granted", backend_pid);
    pg_wait_true(observer, sql, timeout_us);
}

/* Some rows of `sql` for people, one a line. */
static void
describe_rows(PGconn *conn, const char *sql, StrBuf *out)
{
    PGresult *result = run_ok(conn, sql);
    for (int row = 0; row < PQntuples(result); row++) {
        strbuf_printf(out, "%s %s\n", PQgetvalue(result, row, 0), PQgetvalue(result, row, 1));
    }
    PQclear(result);
}

int64_t
pg_compare(PGconn *conn, const char *left_sql, const char *right_sql, char **message)
{
    STRBUF_AUTO difference = STRBUF_INIT;
    strbuf_printf(&difference,
        "(SELECT 'only left:' AS side, l::text FROM (%s EXCEPT ALL %s) l"
        " UNION ALL SELECT 'only right:', r::text FROM (%s EXCEPT ALL %s) r)",
        left_sql, right_sql, right_sql, left_sql);

    STRBUF_AUTO count_sql = STRBUF_INIT;
    strbuf_printf(&count_sql, "SELECT count(*) FROM %s d", difference.text);
    int64_t count = pg_int(conn, count_sql.text);
    if (message != NULL) {
        *message = NULL;
        if (count > 0) {
            StrBuf text = STRBUF_INIT;
            strbuf_printf(&difference, " ORDER BY 2, 1 LIMIT 20");
            describe_rows(conn, difference.text, &text);
            *message = text.text;
        }
    }
    return count;
}

Session *
session_open(const char *uri)
{
    Session *session = mem_new(sizeof(*session));
    session->conn = pg_open(uri);
    return session;
}

void
session_close(Session *session)
{
    if (session == NULL) {
        return;
    }
    PQfinish(session->conn);
    free(session);
}

int
session_backend_pid(const Session *session)
{
    return PQbackendPID(session->conn);
}

PGconn *
session_conn(Session *session)
{
    return session->conn;
}

void
session_send(Session *session, const char *sql)
{
    assert(!session->is_busy);
    if (PQsendQuery(session->conn, sql) != 1) {
        harness_fail("cannot send %s: %s", sql, PQerrorMessage(session->conn));
    }
    session->is_busy = true;
    (void)snprintf(session->sqlstate, sizeof(session->sqlstate), "00000");
    session->message[0] = '\0';
}

/* Take one result; false when there is no other. */
static bool
take_result(Session *session)
{
    PGresult *result = PQgetResult(session->conn);
    if (result == NULL) {
        session->is_busy = false;
        return false;
    }
    if (!has_succeeded(result)) {
        copy_sqlstate(session->sqlstate, result);
        (void)snprintf(
            session->message, sizeof(session->message), "%s", PQresultErrorMessage(result));
    }
    PQclear(result);
    return true;
}

/* Wait for bytes of the server, until the deadline. */
static void
wait_readable(PGconn *conn, int64_t deadline_us)
{
    struct pollfd waited = {.fd = PQsocket(conn), .events = POLLIN};
    int64_t left_us = deadline_us - clock_mono_us();
    if (waited.fd >= 0 && left_us > 0) {
        (void)poll(&waited, 1, (int)(left_us / 1000) + 1);
    }
}

bool
session_wait(Session *session, int64_t timeout_us)
{
    int64_t deadline_us = clock_mono_us() + timeout_us;
    while (session->is_busy) {
        while (PQisBusy(session->conn) == 0 && take_result(session)) {
        }
        if (!session->is_busy) {
            break;
        }
        if (clock_mono_us() >= deadline_us) {
            return false;
        }
        wait_readable(session->conn, deadline_us);
        (void)PQconsumeInput(session->conn); /* a broken connection shows in the next result */
    }
    return true;
}

const char *
session_sqlstate(const Session *session)
{
    assert(!session->is_busy);
    return session->sqlstate;
}

void
session_expect_ok(Session *session, int64_t timeout_us)
{
    session_expect_error(session, "00000", timeout_us);
}

void
session_expect_error(Session *session, const char *sqlstate, int64_t timeout_us)
{
    if (!session_wait(session, timeout_us)) {
        harness_fail("a session's statement did not end in time");
    }
    if (strcmp(session->sqlstate, sqlstate) != 0) {
        harness_fail(
            "expected SQLSTATE %s, got '%s': %s", sqlstate, session->sqlstate, session->message);
    }
}

void
session_wait_blocked(Session *session, PGconn *observer, int64_t timeout_us)
{
    pg_wait_blocked(observer, session_backend_pid(session), timeout_us);
}

void
session_lock_rows(Session *session, const char *table, const char *where)
{
    pg_execf(session->conn, "BEGIN; SELECT 1 FROM %s WHERE %s FOR UPDATE", table, where);
}

void
session_lock_table(Session *session, const char *table, const char *mode)
{
    pg_execf(session->conn, "BEGIN; LOCK TABLE %s IN %s MODE", table, mode);
}

void
session_release(Session *session)
{
    pg_exec(session->conn, "ROLLBACK");
}
