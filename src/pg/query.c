/*
 * query.c - statements and batch transactions over non-blocking libpq.
 */
#include "pg/query.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pg/conn_libpq.h"

#define ROLLBACK_ATTEMPTS 10
#define STOP_POLL_MS      100
#define CANCEL_EVERY_US   1000000

/* ---- waiting for results ---- */

bool
query_flush_all(PgConn *conn, int64_t deadline_us, Err *err)
{
    for (;;) {
        int rc = PQflush(conn->pq);
        if (rc == 0) {
            return true;
        }
        if (rc < 0) {
            return conn_error(conn, NULL, err);
        }
        if (!conn_wait_socket(conn, true, deadline_us, err)) {
            return false;
        }
        /* The server may wait for us to read before it reads on. */
        if (PQconsumeInput(conn->pq) == 0) {
            return conn_error(conn, NULL, err);
        }
    }
}

bool
query_next_result(PgConn *conn, int64_t deadline_us, PGresult **result, Err *err)
{
    while (PQisBusy(conn->pq) != 0) {
        if (!conn_wait_socket(conn, false, deadline_us, err)) {
            return false;
        }
        if (PQconsumeInput(conn->pq) == 0) {
            return conn_error(conn, NULL, err);
        }
    }
    *result = PQgetResult(conn->pq);
    return true;
}

static bool
status_is_ok(ExecStatusType status)
{
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

static PgResult *
result_wrap(PGresult *pq)
{
    PgResult *result = mem_new(sizeof(*result));
    result->pq = pq;
    return result;
}

bool
query_collect(PgConn *conn, int64_t deadline_us, PgResult **result, Err *err)
{
    if (!query_flush_all(conn, deadline_us, err)) {
        return false;
    }
    PGresult *last = NULL;
    bool failed = false;
    for (;;) {
        PGresult *one = NULL;
        if (!query_next_result(conn, deadline_us, &one, failed ? &(Err){.cls = ERR_NONE} : err)) {
            PQclear(last);
            return false;
        }
        if (one == NULL) {
            break;
        }
        if (!status_is_ok(PQresultStatus(one))) {
            if (!failed) {
                (void)conn_error(conn, one, err);
            }
            failed = true;
            PQclear(one);
            continue;
        }
        PQclear(last);
        last = one;
    }
    if (failed || result == NULL) {
        PQclear(last);
        return !failed;
    }
    *result = result_wrap(last);
    return true;
}

/* ---- single statements ---- */

/* Wait for the answer, and ask for the end of the statement once the token is raised: again and
 * again, since a request that comes before the statement has begun is lost. */
static bool
await_or_cancel(PgConn *conn, StopToken *stop, int64_t deadline_us, Err *err)
{
    int64_t cancel_us = 0;
    if (!query_flush_all(conn, deadline_us, err)) {
        return false;
    }
    while (PQisBusy(conn->pq) != 0) {
        int64_t now_us = clock_mono_us();
        if (now_us > deadline_us) {
            return err_set(err, ERR_RECONNECT, "the server did not answer in time");
        }
        if (stop_level(stop) != STOP_NONE && now_us - cancel_us > CANCEL_EVERY_US) {
            cancel_us = now_us;
            conn_cancel(conn);
        }
        struct pollfd fd = {.fd = PQsocket(conn->pq), .events = POLLIN};
        int rc = poll(&fd, 1, STOP_POLL_MS);
        if (rc < 0 && errno != EINTR) {
            return err_set(err, ERR_RECONNECT, "waiting for the server failed");
        }
        if (rc > 0 && PQconsumeInput(conn->pq) == 0) {
            return conn_error(conn, NULL, err);
        }
    }
    return true;
}

bool
query_statement(PgConn *conn, const Statement *statement, PgResult **result, Err *err)
{
    conn_assert_owner(conn);
    int64_t deadline_us = clock_mono_us() + statement->timeout_us;
    if (PQsendQueryParams(conn->pq, statement->sql, statement->count, NULL, statement->values, NULL,
            NULL, 0) == 0) {
        return conn_error(conn, NULL, err);
    }
    if (statement->stop != NULL && !await_or_cancel(conn, statement->stop, deadline_us, err)) {
        return false;
    }
    return query_collect(conn, deadline_us, result, err);
}

bool
query_run(PgConn *conn, const char *sql, PgResult **result, Err *err)
{
    Statement statement = {.sql = sql, .timeout_us = QUERY_TIMEOUT_US};
    return query_statement(conn, &statement, result, err);
}

bool
query_one(PgConn *conn, const char *sql, int count, const char *const *values, PgResult **result,
    Err *err)
{
    Statement statement = {
        .sql = sql, .count = count, .values = values, .timeout_us = QUERY_TIMEOUT_US};
    if (!query_statement(conn, &statement, result, err)) {
        return false;
    }
    if (result_rows(*result) != 1) {
        int rows = result_rows(*result);
        result_free(*result);
        *result = NULL;
        return err_set(err, ERR_FATAL, "expected one row, the server sent %d", rows);
    }
    return true;
}

bool
query_script(PgConn *conn, const char *sql, Err *err)
{
    conn_assert_owner(conn);
    int64_t deadline_us = clock_mono_us() + QUERY_TIMEOUT_US;
    if (PQsendQuery(conn->pq, sql) == 0) {
        return conn_error(conn, NULL, err);
    }
    return query_collect(conn, deadline_us, NULL, err);
}

bool
query_end(PgConn *conn, bool ok, Err *err)
{
    if (ok) {
        return query_script(conn, "COMMIT", err);
    }
    Err ignored = ERR_INIT; /* the failure before is the one to report */
    (void)!query_script(conn, "ROLLBACK", &ignored);
    return false;
}

bool
query_parse(PgConn *conn, const char *sql, QueryShape *shape, Err *err)
{
    conn_assert_owner(conn);
    int64_t deadline_us = clock_mono_us() + QUERY_TIMEOUT_US;
    if (PQsendPrepare(conn->pq, "", sql, 0, NULL) == 0) {
        return conn_error(conn, NULL, err);
    }
    if (!query_collect(conn, deadline_us, NULL, err)) {
        return false;
    }
    if (PQsendDescribePrepared(conn->pq, "") == 0) {
        return conn_error(conn, NULL, err);
    }
    PGRESULT_AUTO *result = NULL;
    if (!query_collect(conn, deadline_us, &result, err)) {
        return false;
    }
    /* Out of range, libpq says 0. */
    *shape = (QueryShape){.column_count = PQnfields(result->pq),
        .type_oid = PQftype(result->pq, 0),
        .type_mod = PQfmod(result->pq, 0),
        .table_oid = PQftable(result->pq, 0),
        .attnum = PQftablecol(result->pq, 0)};
    return true;
}

/* ---- batch transactions ---- */

static bool
batch_send(PgConn *conn, const BatchCall *call, Err *err)
{
    if (PQenterPipelineMode(conn->pq) == 0) {
        return conn_error(conn, NULL, err);
    }
    bool sent = true;
    for (int i = 0; i < call->begin_count && sent; i++) {
        sent = PQsendQueryParams(conn->pq, call->begin[i], 0, NULL, NULL, NULL, NULL, 0) != 0;
    }
    sent = sent &&
           PQsendQueryParams(conn->pq, call->sql, call->count, NULL, call->values, call->lengths,
               call->formats, 0) != 0 &&
           (call->stays_open ||
               PQsendQueryParams(conn->pq, "COMMIT", 0, NULL, NULL, NULL, NULL, 0) != 0) &&
           PQpipelineSync(conn->pq) != 0;
    return sent || conn_error(conn, NULL, err);
}

typedef struct BatchAnswer {
    PGresult *rows; /* of the call; owned */
    bool committed;
    bool failed; /* *err is set */
    int command; /* index of the command whose results are read now */
} BatchAnswer;

static void
batch_take(PgConn *conn, const BatchCall *call, PGresult *one, BatchAnswer *answer, Err *err)
{
    ExecStatusType status = PQresultStatus(one);
    if (status == PGRES_PIPELINE_ABORTED) {
        PQclear(one); /* skipped because of an earlier failure, which is reported */
        return;
    }
    if (!status_is_ok(status)) {
        if (!answer->failed) {
            (void)conn_error(conn, one, err);
            answer->failed = true;
        }
        PQclear(one);
        return;
    }
    if (answer->command == call->begin_count && answer->rows == NULL) {
        answer->rows = one;
        return;
    }
    if (answer->command == call->begin_count + 1) {
        /* A failed transaction answers COMMIT with the tag ROLLBACK. */
        answer->committed = strcmp(PQcmdStatus(one), "COMMIT") == 0;
    }
    PQclear(one);
}

/* Read up to the sync point; false when the session is lost and the outcome unknown. */
static bool
batch_read(PgConn *conn, const BatchCall *call, int64_t deadline_us, BatchAnswer *answer, Err *err)
{
    for (;;) {
        PGresult *one = NULL;
        Err lost = ERR_INIT;
        if (!query_next_result(conn, deadline_us, &one, &lost)) {
            *err = lost;
            return false;
        }
        if (one == NULL) {
            if (PQstatus(conn->pq) == CONNECTION_BAD) {
                *err = ERR_INIT;
                return conn_error(conn, NULL, err);
            }
            answer->command++;
            continue;
        }
        if (PQresultStatus(one) == PGRES_PIPELINE_SYNC) {
            PQclear(one);
            return true;
        }
        batch_take(conn, call, one, answer, err);
        if (answer->failed && PQstatus(conn->pq) == CONNECTION_BAD) {
            err->cls = ERR_RECONNECT;
            return false;
        }
    }
}

bool
query_roll_back(PgConn *conn, Err *err)
{
    for (int i = 0; i < ROLLBACK_ATTEMPTS; i++) {
        Err cause = ERR_INIT;
        if (!query_script(conn, "ROLLBACK", &cause) && cause.cls == ERR_RECONNECT) {
            *err = cause;
            return false;
        }
        if (PQtransactionStatus(conn->pq) == PQTRANS_IDLE) {
            return true;
        }
    }
    *err = ERR_INIT;
    return err_set(err, ERR_RECONNECT, "the session does not roll back");
}

static bool
batch_finish(PgConn *conn, const BatchCall *call, BatchAnswer *answer, Err *err)
{
    if (PQexitPipelineMode(conn->pq) == 0) {
        *err = ERR_INIT;
        return err_set(err, ERR_RECONNECT, "the session did not leave pipeline mode");
    }
    bool goes_on = call->stays_open && !answer->failed;
    if (!goes_on && PQtransactionStatus(conn->pq) != PQTRANS_IDLE && !query_roll_back(conn, err)) {
        return false;
    }
    if (goes_on || answer->failed) {
        return goes_on;
    }
    if (!answer->committed) {
        return err_set(err, ERR_RETRY, "the transaction was rolled back by the server");
    }
    return true;
}

bool
query_batch(PgConn *conn, const BatchCall *call, PgResult **result, Err *err)
{
    conn_assert_owner(conn);
    int64_t deadline_us = clock_mono_us() + call->timeout_us;
    BatchAnswer answer = {.rows = NULL};

    bool ok = batch_send(conn, call, err) && query_flush_all(conn, deadline_us, err) &&
              batch_read(conn, call, deadline_us, &answer, err) &&
              batch_finish(conn, call, &answer, err);
    if (!ok) {
        PQclear(answer.rows);
        return false;
    }
    *result = result_wrap(answer.rows);
    return true;
}

/* ---- results ---- */

int
result_rows(const PgResult *result)
{
    return PQntuples(result->pq);
}

bool
result_is_null(const PgResult *result, int row, int column)
{
    assert(row < PQntuples(result->pq) && column < PQnfields(result->pq));
    return PQgetisnull(result->pq, row, column) != 0;
}

const char *
result_text(const PgResult *result, int row, int column)
{
    assert(row < PQntuples(result->pq) && column < PQnfields(result->pq));
    return PQgetvalue(result->pq, row, column);
}

int64_t
result_int(const PgResult *result, int row, int column)
{
    return strtoll(result_text(result, row, column), NULL, 10);
}

double
result_float(const PgResult *result, int row, int column)
{
    return strtod(result_text(result, row, column), NULL);
}

bool
result_bool(const PgResult *result, int row, int column)
{
    return result_text(result, row, column)[0] == 't';
}

const char *
result_dup(const PgResult *result, int row, int column, Arena *arena)
{
    if (result_is_null(result, row, column)) {
        return NULL;
    }
    return arena_strdup(arena, result_text(result, row, column));
}

int64_t
result_affected(const PgResult *result)
{
    return strtoll(PQcmdTuples(result->pq), NULL, 10);
}

void
result_free(PgResult *result)
{
    if (result == NULL) {
        return;
    }
    PQclear(result->pq);
    free(result);
}

void
result_cleanup(PgResult **result)
{
    result_free(*result);
    *result = NULL;
}
