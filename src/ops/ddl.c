/*
 * ddl.c - take a strong table lock for a moment, politely.
 *
 * Whoever waits for such a lock stops every writer that comes after, so we wait at most
 * yield_after and try again.  Two cases where even asking is wrong are seen beforehand: an
 * autovacuum, which gives way only after deadlock_timeout of waiting, and a transaction that has
 * held its lock for long and will hold it on.
 */
#include "ops/ddl.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/prng.h"
#include "core/retry.h"
#include "pg/params.h"

#define BACKOFF_BASE_US 100000
#define BACKOFF_CAP_US  ((int64_t)3 * 1000000)
#define REPORT_EVERY_US ((int64_t)5 * 1000000)

/*
 * Who stands in the way for longer than a moment: autovacuum workers, and sessions whose lock on
 * the table is older than a second.  pg_locks needs no privilege, times of other roles' sessions
 * do; without it only autovacuum of a visible type is seen, and lock_timeout bounds the rest.
 */
static const char SQL_IN_THE_WAY[] =
    "SELECT pg_catalog.string_agg(DISTINCT CASE a.backend_type\n"
    "           WHEN 'autovacuum worker' THEN 'autovacuum'\n"
    "           ELSE COALESCE(NULLIF(a.application_name, ''), 'a session') END\n"
    "           || ' (pid ' || l.pid || ')', ', ')\n"
    "  FROM pg_catalog.pg_locks l\n"
    "  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid\n"
    " WHERE l.locktype = 'relation' AND l.granted AND l.relation = $1::pg_catalog.oid\n"
    "   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d\n"
    "                      WHERE d.datname = pg_catalog.current_database())\n"
    "   AND l.pid <> pg_catalog.pg_backend_pid()\n"
    "   AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock',\n"
    "                  'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')\n"
    "   AND (a.backend_type = 'autovacuum worker'\n"
    "        OR a.xact_start < pg_catalog.clock_timestamp() - '1 s'::pg_catalog.interval)";

bool
ddl_in_the_way(PgConn *conn, uint32_t table_oid, char *who, size_t size, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, table_oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_IN_THE_WAY, &params, &result, err)) {
        return false;
    }
    (void)snprintf(who, size, "%s", result_text(result, 0, 0));
    return true;
}

static bool
run_statements(PgConn *conn, const DdlStep *step, int64_t lock_timeout_us, Err *err)
{
    char timeout[64];
    (void)snprintf(timeout, sizeof(timeout), "SET LOCAL lock_timeout = %lld",
        (long long)(lock_timeout_us / 1000));
    if (!query_run(conn, "BEGIN", NULL, err)) {
        return false;
    }
    bool ok = query_run(conn, timeout, NULL, err);
    for (int i = 0; ok && i < step->count; i++) {
        ok = query_run(conn, step->statements[i], NULL, err);
    }
    if (!ok) {
        Err ignored = ERR_INIT; /* the failure before is the one to report */
        if (err->cls != ERR_RECONNECT && !query_run(conn, "ROLLBACK", NULL, &ignored)) {
            err->cls = ERR_RECONNECT;
        }
        return false;
    }
    return query_run(conn, "COMMIT", NULL, err);
}

static void
report_wait(const DdlStep *step, const char *who, int64_t *reported_us)
{
    int64_t now_us = clock_mono_us();
    if (*reported_us != 0 && now_us - *reported_us < REPORT_EVERY_US) {
        return;
    }
    *reported_us = now_us;
    log_line(LOG_INFO, NULL, "waiting to %s: the table is in use by %s", step->what,
        who[0] == '\0' ? "other transactions" : who);
}

bool
ddl_run(PgConn *conn, const DdlStep *step, int64_t yield_after_us, StopToken *stop, Err *err)
{
    Backoff backoff = BACKOFF_INIT;
    Prng prng;
    prng_init(&prng, (uint64_t)clock_mono_us());
    int64_t reported_us = 0;
    for (;;) {
        char who[200] = "";
        if (step->table_oid != 0 && !ddl_in_the_way(conn, step->table_oid, who, sizeof(who), err)) {
            return err_wrap(err, "%s", step->what);
        }
        if (who[0] == '\0') {
            if (run_statements(conn, step, yield_after_us, err)) {
                return true;
            }
            if (err->cls != ERR_RETRY && err->cls != ERR_TIMEOUT) {
                return err_wrap(err, "%s", step->what);
            }
            *err = ERR_INIT;
        }
        report_wait(step, who, &reported_us);
        BackoffPolicy policy = {.base_us = BACKOFF_BASE_US, .cap_us = BACKOFF_CAP_US};
        if (stop_sleep_us(stop, backoff_next_us(&backoff, policy, &prng)) != STOP_NONE) {
            return err_set(err, ERR_STOPPED, "stopped while waiting to %s", step->what);
        }
    }
}
