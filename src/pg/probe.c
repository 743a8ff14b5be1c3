#include "pg/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "core/lagring.h"
#include "pg/params.h"

/* ---- locks ---- */

/*
 * A session that waits for a row waits for the holder's transaction id, and holds the tuple lock
 * meanwhile; that tells the table.  pg_locks is readable by everybody, unlike the wait events of
 * pg_stat_activity.
 */
static const char SQL_LOCKS[] =
    "WITH l AS MATERIALIZED (\n"
    "    SELECT x.pid, x.locktype, x.relation, x.granted, x.waitstart\n"
    "      FROM pg_catalog.pg_locks x\n"
    "     WHERE x.pid <> ALL ($2::pg_catalog.int4[])),\n"
    "w AS MATERIALIZED (\n"
    "    SELECT l.pid, l.waitstart, pg_catalog.pg_blocking_pids(l.pid) AS blockers\n"
    "      FROM l WHERE NOT l.granted)\n"
    "SELECT (SELECT pg_catalog.count(DISTINCT w.pid) FROM w\n"
    "         WHERE EXISTS (SELECT FROM l WHERE l.pid = w.pid\n"
    "                          AND l.relation = $1::pg_catalog.oid\n"
    "                          AND (l.locktype = 'tuple' OR NOT l.granted))),\n"
    "       (SELECT pg_catalog.count(DISTINCT w.pid) FROM w\n"
    "         WHERE w.blockers && $2::pg_catalog.int4[]),\n"
    "       (SELECT pg_catalog.array_agg(DISTINCT b.pid::pg_catalog.text)\n"
    "          FROM w, LATERAL pg_catalog.unnest(w.blockers) AS b(pid)\n"
    "         WHERE b.pid = ANY ($2::pg_catalog.int4[])\n"
    "           AND w.waitstart < pg_catalog.clock_timestamp()\n"
    "               - $3 * '1 us'::pg_catalog.interval)";

static const char *
format_pids(const int *pids, int count, Arena *arena)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_putc(&text, '{');
    for (int i = 0; i < count; i++) {
        strbuf_printf(&text, "%s%d", i == 0 ? "" : ",", pids[i]);
    }
    strbuf_putc(&text, '}');
    return arena_strdup(arena, strbuf_text(&text));
}

static bool
take_overdue(const PgResult *result, Arena *arena, LockSignals *signals, Err *err)
{
    if (result_is_null(result, 0, 2)) {
        return true;
    }
    const char **items = NULL;
    if (!pg_array_parse(result_text(result, 0, 2), arena, &items, &signals->overdue_count, err)) {
        return false;
    }
    signals->overdue_pids = arena_alloc(arena, (size_t)signals->overdue_count * sizeof(int));
    for (int i = 0; i < signals->overdue_count; i++) {
        signals->overdue_pids[i] = (int)strtol(items[i], NULL, 10);
    }
    return true;
}

bool
probe_locks(
    PgConn *conn, const LockQuestion *question, Arena *arena, LockSignals *signals, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, question->table_oid);
    params_text(&params, format_pids(question->ours, question->our_count, arena));
    params_int(&params, question->overdue_us);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_LOCKS, &params, &result, err)) {
        return err_wrap(err, "probe locks");
    }
    *signals = (LockSignals){
        .table_waiters = (int)result_int(result, 0, 0),
        .blocked_by_us = (int)result_int(result, 0, 1),
    };
    return take_overdue(result, arena, signals, err);
}

/* ---- replication ---- */

/*
 * Physical standbys only: what a logical slot feeds is a subscriber.  A base backup and a WAL
 * receiver that only stores have no replay position; both are told by their state or by a NULL
 * position that our role could read.
 */
static const char SQL_REPLICATION[] =
    "SELECT pg_catalog.pg_current_wal_lsn(), s.application_name, s.state, s.replay_lsn\n"
    "  FROM (SELECT) AS one\n"
    "  LEFT JOIN pg_catalog.pg_stat_replication s\n"
    "    ON COALESCE(s.state, '') NOT IN ('backup', 'startup', 'stopping')\n"
    "   AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots p\n"
    "                    WHERE p.active_pid = s.pid AND p.slot_type = 'logical')";

bool
probe_replication(PgConn *conn, Arena *arena, Signals *signals, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_run(conn, SQL_REPLICATION, &result, err)) {
        return err_wrap(err, "probe replication");
    }
    int rows = result_rows(result);
    StandbySignal *standbys = arena_alloc(arena, (size_t)rows * sizeof(*standbys));
    int count = 0;
    for (int i = 0; i < rows; i++) {
        if (!lsn_parse(result_text(result, i, 0), &signals->primary_lsn)) {
            return err_set(err, ERR_FATAL, "not a WAL position: %s", result_text(result, i, 0));
        }
        if (result_is_null(result, i, 1)) {
            continue;
        }
        StandbySignal *standby = &standbys[count++];
        *standby = (StandbySignal){
            .name = result_dup(result, i, 1, arena),
            .connected = true,
            .readable = !result_is_null(result, i, 3),
        };
        if (standby->readable && !lsn_parse(result_text(result, i, 3), &standby->replay_lsn)) {
            return err_set(err, ERR_FATAL, "not a WAL position: %s", result_text(result, i, 3));
        }
    }
    signals->standbys = standbys;
    signals->standby_count = count;
    signals->sampled_us = clock_mono_us();
    return true;
}

/* ---- identity ---- */

/* pg_control_checkpoint() lags behind a promotion; the name of the WAL file does not. */
static const char SQL_IDENTITY[] =
    "SELECT (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c),\n"
    "       pg_catalog.pg_is_in_recovery(),\n"
    "       pg_catalog.current_setting('transaction_read_only') = 'on',\n"
    "       CASE WHEN pg_catalog.pg_is_in_recovery()\n"
    "            THEN (SELECT pg_catalog.to_hex(k.timeline_id)\n"
    "                    FROM pg_catalog.pg_control_checkpoint() k)\n"
    "       ELSE pg_catalog.substr(\n"
    "            pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END,\n"
    "       pg_catalog.pg_postmaster_start_time()";

bool
probe_identity(PgConn *conn, ServerIdentity *identity, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_IDENTITY, 0, NULL, &result, err)) {
        return err_wrap(err, "identify the server");
    }
    *identity = (ServerIdentity){
        .in_recovery = result_bool(result, 0, 1),
        .read_only = result_bool(result, 0, 2),
    };
    (void)snprintf(
        identity->system_id, sizeof(identity->system_id), "%s", result_text(result, 0, 0));
    identity->timeline = strtol(result_text(result, 0, 3), NULL, 16);
    (void)snprintf(identity->started, sizeof(identity->started), "%s", result_text(result, 0, 4));
    return true;
}

/* ---- activity ---- */

static const char SQL_ACTIVITY[] =
    "SELECT pg_catalog.pg_stat_get_tuples_updated($1::pg_catalog.oid),\n"
    "       pg_catalog.pg_stat_get_tuples_hot_updated($1::pg_catalog.oid)";

bool
probe_activity(PgConn *conn, uint32_t table_oid, TableActivity *activity, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, table_oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_ACTIVITY, &params, &result, err)) {
        return err_wrap(err, "probe activity");
    }
    activity->updated = result_int(result, 0, 0);
    activity->hot_updated = result_int(result, 0, 1);
    return true;
}

/* What may hold back the removal of dead versions; sessions of other roles show NULL without
 * pg_monitor and are then left out. */
static const char SQL_OLDEST[] =
    "SELECT s.text FROM (\n"
    "    SELECT 'pid ' || a.pid || ' (' || a.application_name || '), open for '\n"
    "           || EXTRACT(epoch FROM pg_catalog.clock_timestamp()\n"
    "              - a.xact_start)::pg_catalog.int8 || ' s' AS text,\n"
    "           GREATEST(pg_catalog.age(a.backend_xmin), pg_catalog.age(a.backend_xid)) AS age\n"
    "      FROM pg_catalog.pg_stat_activity a\n"
    "     WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)\n"
    "       AND a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()\n"
    "       AND a.xact_start < pg_catalog.clock_timestamp()\n"
    "           - $1 * '1 s'::pg_catalog.interval\n"
    "    UNION ALL\n"
    "    SELECT 'standby ' || r.application_name || ' (hot_standby_feedback)',\n"
    "           pg_catalog.age(r.backend_xmin)\n"
    "      FROM pg_catalog.pg_stat_replication r\n"
    "     WHERE pg_catalog.age(r.backend_xmin) > 1000\n"
    "    UNION ALL\n"
    "    SELECT 'replication slot ' || p.slot_name, pg_catalog.age(p.xmin)\n"
    "      FROM pg_catalog.pg_replication_slots p\n"
    "     WHERE pg_catalog.age(p.xmin) > 1000\n"
    "    UNION ALL\n"
    "    SELECT 'prepared transaction ' || x.gid, pg_catalog.age(x.transaction)\n"
    "      FROM pg_catalog.pg_prepared_xacts x) AS s\n"
    " ORDER BY s.age DESC LIMIT 1";

bool
probe_oldest_snapshot(PgConn *conn, int older_s, char *text, int size, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, older_s);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_OLDEST, &params, &result, err)) {
        return err_wrap(err, "probe snapshots");
    }
    const char *found = result_rows(result) == 0 ? "" : result_text(result, 0, 0);
    (void)snprintf(text, (size_t)size, "%s", found);
    return true;
}

static const char SQL_DESCRIBE[] =
    "SELECT pg_catalog.string_agg('pid ' || p.pid || COALESCE(' (' ||\n"
    "           NULLIF(a.application_name, '') || ')', ''), ', ' ORDER BY p.pid)\n"
    "  FROM pg_catalog.unnest($1::pg_catalog.int4[]) AS p(pid)\n"
    "  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid";

bool
probe_describe_pids(PgConn *conn, const char *pids, char *text, int size, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, pids);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_DESCRIBE, &params, &result, err)) {
        return err_wrap(err, "name sessions");
    }
    (void)snprintf(text, (size_t)size, "%s", result_text(result, 0, 0));
    return true;
}

static const char SQL_BLOCKS[] =
    "SELECT pg_catalog.pg_relation_size($1::pg_catalog.oid::pg_catalog.regclass)\n"
    "       / pg_catalog.current_setting('block_size')::pg_catalog.int8";

bool
probe_blocks(PgConn *conn, uint32_t table_oid, int64_t *blocks, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, table_oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_BLOCKS, &params, &result, err)) {
        return err_wrap(err, "size of the table");
    }
    *blocks = result_int(result, 0, 0);
    return true;
}

/* ---- fence ---- */

static const char SQL_FENCE_TAKE[] = "SELECT pg_catalog.pg_current_xact_id()";

static const char SQL_FENCE_PASSED[] =
    "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())\n"
    "       > $1::pg_catalog.xid8";

bool
probe_fence_take(PgConn *conn, char xid[24], Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_FENCE_TAKE, 0, NULL, &result, err)) {
        return err_wrap(err, "take a fence");
    }
    (void)snprintf(xid, 24, "%s", result_text(result, 0, 0));
    return true;
}

bool
probe_fence_passed(PgConn *conn, const char *xid, bool *passed, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, xid);
    PGRESULT_AUTO *result = NULL;
    if (!query_one_with(conn, SQL_FENCE_PASSED, &params, &result, err)) {
        return err_wrap(err, "ask the fence");
    }
    *passed = result_bool(result, 0, 0);
    return true;
}
