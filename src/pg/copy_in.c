#include "pg/copy_in.h"

#include "base/clock.h"
#include "pg/conn_libpq.h"

#define GIVE_UP_US ((int64_t)5 * 1000000)

static int64_t
deadline(const CopyIn *copy)
{
    return clock_mono_us() + copy->idle_us;
}

bool
copy_in_begin(const CopyIn *copy, const char *sql, Err *err)
{
    PgConn *conn = copy->conn;
    conn_assert_owner(conn);
    PGresult *result = NULL;
    if (PQsendQuery(conn->pq, sql) == 0) {
        return conn_error(conn, NULL, err);
    }
    if (!query_flush_all(conn, deadline(copy), err) ||
        !query_next_result(conn, deadline(copy), &result, err)) {
        return false;
    }
    bool begun = PQresultStatus(result) == PGRES_COPY_IN;
    if (!begun) {
        (void)conn_error(conn, result, err);
    }
    PQclear(result);
    Err more = ERR_INIT;
    if (!begun && !query_collect(conn, deadline(copy), NULL, &more)) {
        err->cls = more.cls == ERR_RECONNECT ? ERR_RECONNECT : err->cls;
    }
    return begun;
}

bool
copy_in_put(const CopyIn *copy, const char *bytes, size_t len, Err *err)
{
    return (PQputCopyData(copy->conn->pq, bytes, (int)len) == 1 ||
               conn_error(copy->conn, NULL, err)) &&
           query_flush_all(copy->conn, deadline(copy), err);
}

bool
copy_in_end(const CopyIn *copy, int64_t *rows, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (PQputCopyEnd(copy->conn->pq, NULL) != 1) {
        return conn_error(copy->conn, NULL, err);
    }
    if (!query_collect(copy->conn, deadline(copy), &result, err)) {
        return false;
    }
    *rows = result_affected(result);
    return true;
}

void
copy_in_give_up(const CopyIn *copy, Err *err)
{
    Err answer = ERR_INIT;
    bool told =
        PQputCopyEnd(copy->conn->pq, "given up") == 1 || conn_error(copy->conn, NULL, &answer);
    if (told && !query_collect(copy->conn, clock_mono_us() + GIVE_UP_US, NULL, &answer) &&
        answer.cls != ERR_RECONNECT) {
        return;
    }
    if (answer.cls == ERR_RECONNECT) {
        *err = answer;
    }
}
