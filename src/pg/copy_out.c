#include "pg/copy_out.h"

#include "base/clock.h"
#include "pg/conn_libpq.h"
#include "pg/query.h"

/* How long the server may take to end what was cancelled. */
#define CLEANUP_US ((int64_t)5 * 1000000)

/* All rows that are here or come; *cut ends it before. */
static bool
take_rows(const CopyOut *copy, bool *cut, Err *err)
{
    PgConn *conn = copy->conn;
    int64_t deadline_us = clock_mono_us() + copy->idle_us;
    for (;;) {
        char *row = NULL;
        int len = PQgetCopyData(conn->pq, &row, 1);
        if (len == -1) {
            return true;
        }
        if (len == -2) {
            return conn_error(conn, NULL, err);
        }
        if (len > 0) {
            *cut = *cut || !copy->take(copy->ctx, row, (size_t)len);
            PQfreemem(row);
            if (*cut) {
                return true;
            }
            continue;
        }
        if (!conn_wait_socket(conn, false, deadline_us, err)) {
            return false;
        }
        if (PQconsumeInput(conn->pq) == 0) {
            return conn_error(conn, NULL, err);
        }
        deadline_us = clock_mono_us() + copy->idle_us;
    }
}

static bool
drop_row(void *ctx, const char *row, size_t len)
{
    (void)ctx;
    (void)row;
    (void)len;
    return true;
}

/* The server may have sent all of it before it hears of the cancel: either end is one. */
static bool
give_up(const CopyOut *copy, Err *err)
{
    CopyOut rest = *copy;
    rest.take = drop_row;
    rest.idle_us = CLEANUP_US;
    bool ignored = false;
    conn_cancel(copy->conn);
    if (!take_rows(&rest, &ignored, err)) {
        return false;
    }
    Err cancelled = ERR_INIT;
    if (!query_collect(copy->conn, clock_mono_us() + CLEANUP_US, NULL, &cancelled) &&
        cancelled.cls == ERR_RECONNECT) {
        *err = cancelled;
        return false;
    }
    return true;
}

bool
copy_out(const CopyOut *copy, bool *cut, Err *err)
{
    PgConn *conn = copy->conn;
    conn_assert_owner(conn);
    *cut = false;
    int64_t deadline_us = clock_mono_us() + copy->idle_us;
    if (PQsendQuery(conn->pq, copy->sql) == 0) {
        return conn_error(conn, NULL, err);
    }
    PGresult *result = NULL;
    if (!query_flush_all(conn, deadline_us, err) ||
        !query_next_result(conn, deadline_us, &result, err)) {
        return false;
    }
    bool begun = PQresultStatus(result) == PGRES_COPY_OUT;
    if (!begun) {
        (void)conn_error(conn, result, err);
    }
    PQclear(result);
    if (begun && !take_rows(copy, cut, err)) {
        return false;
    }
    if (*cut) {
        return give_up(copy, err);
    }
    Err more = ERR_INIT;
    bool ended = query_collect(conn, clock_mono_us() + copy->idle_us, NULL, &more);
    if (begun || more.cls == ERR_RECONNECT) {
        *err = more;
    }
    return begun && ended;
}
