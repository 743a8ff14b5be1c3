/*
 * conn.h - one session with a PostgreSQL server: the only way to libpq.
 *
 * Non-blocking libpq under poll() with a deadline.  A PgConn belongs to the thread that opened it;
 * every call asserts that, except conn_cancel().  A statement that runs over its deadline or a
 * socket that fails is ERR_RECONNECT: the session is then useless and is closed by the owner.
 */
#ifndef PG_CONN_H
#define PG_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

typedef struct PgConn PgConn;

/* What a session is for; decides its settings (table in pg/session.c). */
typedef enum ConnRole {
    CONN_WORKER,  /* batches */
    CONN_MONITOR, /* probes, heartbeats, samples */
    CONN_CATALOG, /* survey, checks, DDL, state */
    CONN_VACUUM,  /* VACUUM of the table; no statement timeout */
} ConnRole;

/* How to reach the server: as psql, `-d URI -h -p -U`; NULL = leave it to libpq's environment. */
typedef struct ConnTarget {
    const char *dbname; /* name, URI or keyword string */
    const char *host;
    const char *port;
    const char *user;
} ConnTarget;

/*
 * May these settings have been given on the command line, or in a job file?  No server is asked.
 *
 * Shape:   `where` names the place in the message: "-d".
 * Errors:  ERR_USER for a string that contains a password or that libpq cannot read; the message
 *          quotes nothing of it.
 */
bool conn_check_target(const ConnTarget *target, const char *where, Err *err)
    __attribute__((warn_unused_result));

/*
 * Open a session and pin its settings.
 *
 * Shape:   `label` ends application_name: "pghaul/<label>".
 * Units:   timeout_us for connect and settings together.
 * Errors:  ERR_CONNECT (never reached), ERR_SLOTS (53300), ERR_RECONNECT (57P03, starting up).
 *          Messages never contain the connection string; later ones of a session in which rows
 *          flow (CONN_WORKER, CONN_VACUUM) never contain a value: see pg/sqlstate.h.
 */
bool conn_open(const ConnTarget *target, ConnRole role, const char *label, int64_t timeout_us,
    PgConn **conn, Err *err) __attribute__((warn_unused_result));

/* Close; NULL is fine. */
void conn_close(PgConn *conn);

/* Ask the server to cancel what this session is running.  Threads: any; the only such call. */
void conn_cancel(PgConn *conn);

/* Change what application_name ends with: whom the session works for is known only later. */
bool conn_set_label(PgConn *conn, const char *label, Err *err) __attribute__((warn_unused_result));

/* Is it in recovery? */
bool conn_is_standby(const PgConn *conn);

int conn_backend_pid(const PgConn *conn);
const char *conn_backend_start(const PgConn *conn); /* as the server prints it, UTC */

/* True when no transaction is open and the session is usable. */
bool conn_is_idle(const PgConn *conn);

/* "host=... port=... dbname=... user=..." for people; lives as long as the session. */
const char *conn_describe(const PgConn *conn);

/* Of the client library: 150015. */
int conn_library_version(void);

#endif
