#include "pg/snapshots.h"

#include "pg/query.h"

/* What a session of another role does, and since when, is hidden without pg_monitor; its snapshot
 * is not, and then counts. */
static const char SQL_LASTING[] =
    "SELECT pg_catalog.string_agg(s.text, '; ' ORDER BY s.pid) FROM (\n"
    "    SELECT a.pid, 'pid ' || a.pid || COALESCE(' (' || NULLIF(a.application_name, '') || ')',\n"
    "               '') || COALESCE(', ' || a.state, '') || COALESCE(', open for '\n"
    "               || EXTRACT(epoch FROM pg_catalog.clock_timestamp()\n"
    "                  - a.xact_start)::pg_catalog.int8 || ' s', '') AS text\n"
    "      FROM pg_catalog.pg_stat_activity a\n"
    "     WHERE a.backend_xmin IS NOT NULL AND a.backend_type = 'client backend'\n"
    "       AND a.pid <> pg_catalog.pg_backend_pid()\n"
    "       AND a.datname = pg_catalog.current_database()\n"
    "       AND NOT pg_catalog.starts_with(a.application_name, 'pghaul/')\n"
    "       AND COALESCE(a.xact_start <> a.query_start OR a.state <> 'active', true)\n"
    "       AND pg_catalog.pg_backend_pid() <> ALL (pg_catalog.pg_blocking_pids(a.pid))\n"
    "     ORDER BY a.xact_start LIMIT 3) AS s";

bool
probe_lasting_snapshots(PgConn *conn, Arena *arena, const char **who, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_LASTING, 0, NULL, &result, err)) {
        return err_wrap(err, "look for old snapshots");
    }
    *who = result_dup(result, 0, 0, arena);
    return true;
}
