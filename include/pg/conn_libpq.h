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

/* Wait until the socket is readable (or also writable); ERR_RECONNECT at the deadline. */
bool conn_wait_socket(PgConn *conn, bool also_write, int64_t deadline_us, Err *err)
    __attribute__((warn_unused_result));

/* Fill *err from a failed result, or from the connection when `result` is NULL. */
bool conn_error(PgConn *conn, const PGresult *result, Err *err);

/* Pin the settings of the role and learn pid and start of the backend. */
bool session_pin(PgConn *conn, ConnRole role, int64_t timeout_us, Err *err)
    __attribute__((warn_unused_result));

#endif
