#include "pg/snapshots.h"

#include <time.h>

#include "base/clock.h"
#include "pg/params.h"

/* What a statement of a transaction that reads what is committed has, most are gone in. */
#define PATIENCE_US 30000
#define NAP_NS      3000000L

/* What a session of another role does, and since when, is hidden without pg_monitor; its snapshot
 * is not, and then counts. */
static const char SQL_LASTING[] =
    "WITH s AS MATERIALIZED (\n"
    "    SELECT a.pid, pg_catalog.concat_ws(' ', a.pid, a.backend_xmin, a.xact_start) AS "
    "snapshot,\n"
    "           pg_catalog.row_number() OVER (ORDER BY a.xact_start) AS place,\n"
    "           'pid ' || a.pid || COALESCE(' (' || NULLIF(a.application_name, '') || ')', '')\n"
    "               || COALESCE(', ' || a.state, '') || COALESCE(', open for '\n"
    "               || EXTRACT(epoch FROM pg_catalog.clock_timestamp()\n"
    "                  - a.xact_start)::pg_catalog.int8 || ' s', '') AS text\n"
    "      FROM pg_catalog.pg_stat_activity a\n"
    "     WHERE a.backend_xmin IS NOT NULL AND a.backend_type = 'client backend'\n"
    "       AND a.pid <> pg_catalog.pg_backend_pid()\n"
    "       AND a.datname = pg_catalog.current_database()\n"
    "       AND NOT pg_catalog.starts_with(a.application_name, 'pghaul/')\n"
    "       AND COALESCE(a.xact_start <> a.query_start OR a.state <> 'active', true)\n"
    "       AND pg_catalog.pg_backend_pid() <> ALL (pg_catalog.pg_blocking_pids(a.pid)))\n"
    "SELECT pg_catalog.string_agg(s.text, '; ' ORDER BY s.pid) FILTER (WHERE s.place <= 3),\n"
    "       pg_catalog.array_agg(s.snapshot)\n"
    "  FROM s\n"
    " WHERE $1::pg_catalog.text[] IS NULL OR s.snapshot = ANY ($1)";

/* Of those that were there at the last look (NULL: of all) *left are still there. */
static bool
look(PgConn *conn, Arena *arena, const char **left, const char **who, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, *left);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_LASTING, &params, &result, err)) {
        return err_wrap(err, "look for old snapshots");
    }
    *who = result_dup(result, 0, 0, arena);
    *left = result_dup(result, 0, 1, arena);
    return true;
}

bool
probe_lasting_snapshots(PgConn *conn, Arena *arena, const char **who, Err *err)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    const char *left = NULL;
    int64_t until_us = clock_mono_us() + PATIENCE_US;
    while (look(conn, arena, &left, who, err)) {
        if (*who == NULL || clock_mono_us() > until_us) {
            return true;
        }
        (void)nanosleep(&nap, NULL);
    }
    return false;
}
