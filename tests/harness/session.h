/*
 * session.h - SQL for tests: short helpers that must succeed, and background sessions.
 *
 * The harness speaks libpq directly, so that a fault of pghaul's own pg layer cannot hide itself.
 * Statement texts of tests are constants of the test; nothing here quotes.
 */
#ifndef HARNESS_SESSION_H
#define HARNESS_SESSION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* A connection that must succeed; closed with pg_close(). */
PGconn *pg_open(const char *uri);
void pg_close(PGconn *conn);

/* Run one or more statements that must succeed. */
void pg_exec(PGconn *conn, const char *sql);

/* The same for a text that is put together; mind that % is special here. */
void pg_execf(PGconn *conn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* First column of the first row: as integer (true is 1, NULL is 0); as text, returns owned, NULL
 * for NULL.  No row at all fails the test. */
int64_t pg_int(PGconn *conn, const char *sql);
int64_t pg_intf(PGconn *conn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *pg_text(PGconn *conn, const char *sql);

/* Run what may fail: false with the SQLSTATE ("" when the connection broke). */
bool pg_try(PGconn *conn, const char *sql, char sqlstate[static 6]);

/* Ask until the first column of the first row is true; the test fails when it does not get so. */
void pg_wait_true(PGconn *conn, const char *sql, int64_t timeout_us);

/* Wait until the backend waits for a lock of any kind. */
void pg_wait_blocked(PGconn *observer, int backend_pid, int64_t timeout_us);

/*
 * Rows of one query that the other has not, both ways, duplicates counted.
 *
 * Shape:   0 when both give the same rows; else *message names some rows (owned by the caller);
 *          `message` may be NULL.
 */
int64_t pg_compare(PGconn *conn, const char *left_sql, const char *right_sql, char **message);

/* A connection on which a statement can run while the test goes on. */
typedef struct Session Session;

Session *session_open(const char *uri);
void session_close(Session *session); /* NULL is fine; what it locked is released */

int session_backend_pid(const Session *session);

/* The connection itself, for statements that are waited for. */
PGconn *session_conn(Session *session);

/* Start statements and return at once; one session_wait() or session_expect_*() must follow. */
void session_send(Session *session, const char *sql);

/* True when they have ended, well or not, within the time. */
bool session_wait(Session *session, int64_t timeout_us);

/* SQLSTATE of what ended last: "00000" when all went well, "" when the connection broke. */
const char *session_sqlstate(const Session *session);

void session_expect_ok(Session *session, int64_t timeout_us);
void session_expect_error(Session *session, const char *sqlstate, int64_t timeout_us);

/* Wait until what was sent waits for a lock. */
void session_wait_blocked(Session *session, PGconn *observer, int64_t timeout_us);

/* Open a transaction that holds a lock until session_release(). */
void session_lock_rows(Session *session, const char *table, const char *where);
void session_lock_table(Session *session, const char *table, const char *mode);
void session_release(Session *session);

#endif
