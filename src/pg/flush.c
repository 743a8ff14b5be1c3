#include "pg/flush.h"

#include <stdio.h>

#include "base/clock.h"
#include "pg/params.h"
#include "pg/query.h"

#define POLL_US 2000
/* Commits of the application flush all that was before them; when none comes for so long, one of
 * ours does it. */
#define NUDGE_AFTER_US 6000
#define GIVE_UP_US     ((int64_t)10 * 1000000)

/* The flushed position is read first, so that the comparison errs on the safe side. */
static const char SQL_POSITIONS[] =
    "SELECT s.flushed >= s.written, s.written\n"
    "  FROM (SELECT pg_catalog.pg_current_wal_flush_lsn() AS flushed,\n"
    "               pg_catalog.pg_current_wal_insert_lsn() AS written OFFSET 0) AS s";

static const char SQL_FLUSHED[] =
    "SELECT pg_catalog.pg_current_wal_flush_lsn() >= $1::pg_catalog.pg_lsn";

/* A commit that has written something is flushed, and all before it: nobody but the log sees it. */
static const char SQL_NUDGE[] = "SELECT pg_catalog.pg_logical_emit_message(true, 'pghaul', '')";

static bool
nudge(PgConn *conn, Err *err)
{
    Err refused = ERR_INIT; /* not granted: the server's own writer comes by, only later */
    if (query_run(conn, SQL_NUDGE, NULL, &refused) || refused.cls != ERR_RECONNECT) {
        return true;
    }
    *err = refused;
    return false;
}

bool
flush_wait(PgConn *conn, Err *err)
{
    if (conn_is_standby(conn)) {
        return true;
    }
    PGRESULT_AUTO *positions = NULL;
    if (!query_one(conn, SQL_POSITIONS, 0, NULL, &positions, err)) {
        return err_wrap(err, "position of the log");
    }
    bool flushed = result_bool(positions, 0, 0);
    bool nudged = false;
    int64_t begun_us = clock_mono_us();
    while (!flushed) {
        int64_t waited_us = clock_mono_us() - begun_us;
        if (waited_us > GIVE_UP_US) {
            return err_set(err, ERR_RETRY, "the server has not flushed its log for 10 s");
        }
        if (!nudged && waited_us > NUDGE_AFTER_US) {
            nudged = true;
            if (!nudge(conn, err)) {
                return false;
            }
        } else {
            clock_sleep_us(POLL_US);
        }
        Params params = PARAMS_INIT;
        params_text(&params, result_text(positions, 0, 1));
        PGRESULT_AUTO *result = NULL;
        if (!query_one_with(conn, SQL_FLUSHED, &params, &result, err)) {
            return err_wrap(err, "position of the log");
        }
        flushed = result_bool(result, 0, 0);
    }
    return true;
}
