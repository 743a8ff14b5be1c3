#include "pg/peer.h"

#include <stdio.h>

#include "pg/params.h"

static const char SQL_KNOWN_TYPES[] =
    "SELECT t.name IS NULL OR pg_catalog.to_regtype(t.name) IS NOT NULL\n"
    "  FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS t(name, place)\n"
    " ORDER BY t.place";

bool
peer_known_types(PgConn *conn, const char *const *types, int count, bool *known, Err *err)
{
    Arena arena = ARENA_INIT;
    Params params = PARAMS_INIT;
    params_text(&params, pg_array_format(types, count, &arena));
    PGRESULT_AUTO *result = NULL;
    bool ok = query_with(conn, SQL_KNOWN_TYPES, &params, &result, err);
    arena_reset(&arena);
    if (!ok) {
        return err_wrap(err, "look for types");
    }
    for (int i = 0; i < count && i < result_rows(result); i++) {
        known[i] = result_bool(result, i, 0);
    }
    return true;
}

/* One of each library is enough: it gives its own version, not that of the locale. */
static const char SQL_SORT_VERSIONS[] =
    "SELECT (SELECT pg_catalog.pg_collation_actual_version(c.oid)\n"
    "          FROM pg_catalog.pg_collation c\n"
    "         WHERE c.collprovider = 'c' AND c.collcollate !~ '^(C|POSIX)($|[.])'\n"
    "         ORDER BY c.oid LIMIT 1)\n"
    "       || COALESCE('/' || (SELECT pg_catalog.pg_collation_actual_version(c.oid)\n"
    "          FROM pg_catalog.pg_collation c\n"
    "         WHERE c.collprovider = 'i' AND c.collname = 'und-x-icu' LIMIT 1), '')";

bool
peer_sort_versions(PgConn *conn, Arena *arena, const char **versions, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_SORT_VERSIONS, 0, NULL, &result, err)) {
        return err_wrap(err, "versions of collations");
    }
    *versions = result_dup(result, 0, 0, arena);
    return true;
}

static const char SQL_FLUSHED_TO[] = "SELECT pg_catalog.pg_current_wal_flush_lsn()";

bool
peer_flushed_to(PgConn *conn, char lsn[24], Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_one(conn, SQL_FLUSHED_TO, 0, NULL, &result, err)) {
        return err_wrap(err, "flushed position");
    }
    (void)snprintf(lsn, 24, "%s", result_text(result, 0, 0));
    return true;
}

/* A standby that only stores (no replay) counts as well; one whose columns are hidden has no
 * state. */
static const char SQL_DURABLE[] =
    "SELECT pg_catalog.count(*) FILTER (WHERE NOT EXISTS (\n"
    "           SELECT FROM pg_catalog.pg_stat_replication r\n"
    "            WHERE r.application_name = n.name AND r.flush_lsn >= $2::pg_catalog.pg_lsn)),\n"
    "       pg_catalog.count(*) FILTER (WHERE EXISTS (\n"
    "           SELECT FROM pg_catalog.pg_stat_replication r\n"
    "            WHERE r.application_name = n.name AND r.state IS NULL))\n"
    "  FROM pg_catalog.unnest($1::pg_catalog.text[]) AS n(name)";

bool
peer_is_durable(
    PgConn *conn, const char *lsn, const NameList *standbys, PeerDurable *durable, Err *err)
{
    *durable = PEER_DURABLE;
    if (standbys->count == 0) {
        return true;
    }
    Arena arena = ARENA_INIT;
    Params params = PARAMS_INIT;
    params_text(
        &params, pg_array_format((const char *const *)standbys->names, standbys->count, &arena));
    params_text(&params, lsn);
    PGRESULT_AUTO *result = NULL;
    bool ok = query_one_with(conn, SQL_DURABLE, &params, &result, err);
    arena_reset(&arena);
    if (!ok) {
        return err_wrap(err, "positions of standbys");
    }
    if (result_int(result, 0, 0) > 0) {
        *durable = result_int(result, 0, 1) > 0 ? PEER_UNREADABLE : PEER_NOT_YET;
    }
    return true;
}
