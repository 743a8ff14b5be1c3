/*
 * conn_libpq.h - what the modules of layer pg share about a session; nobody else includes it.
 */
#ifndef PG_CONN_LIBPQ_H
#define PG_CONN_LIBPQ_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "pg/conn.h"
#include "pg/query.h"

struct PgConn {
    /* set at creation */
    pthread_t owner;
    ConnRole role;
    int backend_pid;
    char backend_start[40];
    char describe[256];

    /* owner thread only */
    PGconn *pq;

    pthread_mutex_t cancel_lock;
    PGcancel *cancel; /* under cancel_lock */
};

struct PgResult {
    PGresult *pq;
};

/* Asserts that the calling thread owns the session. */
void conn_assert_owner(const PgConn *conn);

/* How long poll() may wait for the socket, with so much time left. */
int conn_poll_ms(const PgConn *conn, int64_t left_us);

/* Wait until the socket is readable (or also writable), or may be; ERR_RECONNECT at the
 * deadline. */
bool conn_wait_socket(PgConn *conn, bool also_write, int64_t deadline_us, Err *err)
    __attribute__((warn_unused_result));

/* Fill *err from a failed result, or from the connection when `result` is NULL. */
bool conn_error(PgConn *conn, const PGresult *result, Err *err);

/* Send all that is queued. */
bool
query_flush_all(PgConn *conn, int64_t deadline_us, Err *err) __attribute__((warn_unused_result));

/* The next result, or NULL between commands; false when the session is lost. */
bool query_next_result(PgConn *conn, int64_t deadline_us, PGresult **result, Err *err)
    __attribute__((warn_unused_result));

/* Send what is queued and read all results: keeps the last good one, reports the first error.
 * `result` may be NULL. */
bool query_collect(PgConn *conn, int64_t deadline_us, PgResult **result, Err *err)
    __attribute__((warn_unused_result));

/* Pin the settings of the role and learn pid and start of the backend. */
bool session_pin(PgConn *conn, ConnRole role, int64_t timeout_us, Err *err)
    __attribute__((warn_unused_result));

#endif
