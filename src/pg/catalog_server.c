/*
 * catalog_server.c - facts about the server: identity, rights of our role, room, standbys.
 */
#include <stdlib.h>

#include "pg/catalog_parts.h"
#include "pg/query.h"
#include "pg/window.h"

/*
 * The timeline comes from the name of the WAL file that is written now: what pg_control_checkpoint
 * says lags behind after a promotion.  pg_walfile_name() raises on a standby, which nobody writes.
 *
 * The reset value of default_transaction_read_only is what server, database and role say, which our
 * sessions override: some providers set it when the disk is full.  A superuser is a member of every
 * role, so that trust in the owner of schema pghaul needs the owner to be as powerful as he is.
 */
static const char SQL_SERVER[] =
    "SELECT pg_catalog.current_setting('server_version_num'),\n"
    "       (SELECT s.system_identifier FROM pg_catalog.pg_control_system() s),\n"
    "       CASE WHEN pg_catalog.pg_is_in_recovery()\n"
    "            THEN (SELECT pg_catalog.to_hex(k.timeline_id)\n"
    "                    FROM pg_catalog.pg_control_checkpoint() k)\n"
    "            ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(\n"
    "                pg_catalog.pg_current_wal_lsn()), 1, 8) END,\n"
    "       pg_catalog.current_database(), current_user, r.rolsuper,\n"
    "       pg_catalog.pg_has_role(r.oid, 'pg_read_all_stats', 'USAGE'),\n"
    "       pg_catalog.pg_is_in_recovery(),\n"
    "       (SELECT pg_catalog.bool_or(s.reset_val = 'on')\n"
    "          FROM pg_catalog.pg_settings s\n"
    "         WHERE s.name = 'default_transaction_read_only'),\n"
    "       pg_catalog.pg_encoding_to_char(d.encoding),\n"
    "       pg_catalog.has_database_privilege(d.oid, 'CREATE'),\n"
    "       n.oid IS NOT NULL, o.rolname,\n"
    "       CASE WHEN r.rolsuper THEN o.rolsuper\n"
    "            ELSE pg_catalog.pg_has_role(r.oid, n.nspowner, 'MEMBER') END,\n"
    "       pg_catalog.has_database_privilege(d.oid, 'TEMPORARY'),\n"
    "       pg_catalog.pg_postmaster_start_time()\n"
    "  FROM pg_catalog.pg_roles r\n"
    "  JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()\n"
    "  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = 'pghaul'\n"
    "  LEFT JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner\n"
    " WHERE r.rolname = current_user";

/*
 * Room for more sessions: of the server, of the database and of the role.  Every row of
 * pg_stat_activity shows its database and its role to everybody.
 */
static const char SQL_CONNECTIONS[] =
    "SELECT LEAST(\n"
    "         pg_catalog.current_setting('max_connections')::pg_catalog.int8\n"
    "         - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int8\n"
    "         - COALESCE(pg_catalog.current_setting('reserved_connections', true)\n"
    "                    ::pg_catalog.int8, 0)\n"
    "         - pg_catalog.count(*),\n"
    "         CASE WHEN d.datconnlimit >= 0 THEN d.datconnlimit\n"
    "              - pg_catalog.count(*) FILTER (WHERE a.datid = d.oid) END,\n"
    "         CASE WHEN r.rolconnlimit >= 0 THEN r.rolconnlimit\n"
    "              - pg_catalog.count(*) FILTER (WHERE a.usesysid = r.oid) END)\n"
    "  FROM pg_catalog.pg_stat_activity a\n"
    " CROSS JOIN pg_catalog.pg_roles r\n"
    " CROSS JOIN pg_catalog.pg_database d\n"
    " WHERE a.datid IS NOT NULL\n"
    "   AND r.rolname = current_user\n"
    "   AND d.datname = pg_catalog.current_database()\n"
    " GROUP BY d.oid, d.datconnlimit, r.oid, r.rolconnlimit";

/*
 * Physical standbys.  Logical receivers are counted with the publications; base backups and
 * receivers that only store WAL replay nothing.  Where the state is hidden from us, the row counts.
 */
static const char SQL_STANDBYS[] =
    "SELECT COALESCE(s.application_name, ''), COALESCE(s.state, ''), s.replay_lsn IS NOT NULL\n"
    "  FROM pg_catalog.pg_stat_replication s\n"
    " WHERE NOT EXISTS (SELECT\n"
    "                     FROM pg_catalog.pg_replication_slots p\n"
    "                    WHERE p.active_pid = s.pid AND p.slot_type = 'logical')\n"
    "   AND (s.state IS NULL OR s.replay_lsn IS NOT NULL)\n"
    " ORDER BY 1";

bool
catalog_read_server(const CatalogReader *reader, Err *err)
{
    PGRESULT_AUTO *row = NULL;
    PGRESULT_AUTO *room = NULL;
    if (!query_one(reader->conn, SQL_SERVER, 0, NULL, &row, err) ||
        !query_one(reader->conn, SQL_CONNECTIONS, 0, NULL, &room, err)) {
        return false;
    }
    Arena *arena = reader->arena;
    reader->facts->server = (ServerFacts){
        .version_num = (int)result_int(row, 0, 0),
        .system_id = result_dup(row, 0, 1, arena),
        .timeline = strtoll(result_text(row, 0, 2), NULL, 16),
        .database = result_dup(row, 0, 3, arena),
        .role = result_dup(row, 0, 4, arena),
        .role_is_superuser = result_bool(row, 0, 5),
        .role_reads_stats = result_bool(row, 0, 6),
        .in_recovery = result_bool(row, 0, 7),
        .read_only = result_bool(row, 0, 8),
        .encoding = result_dup(row, 0, 9, arena),
        .connections_free = (int)result_int(room, 0, 0),
        .may_create_schema = result_bool(row, 0, 10),
        .has_schema = result_bool(row, 0, 11),
        .schema_owner = result_dup(row, 0, 12, arena),
        .schema_owner_trusted = result_bool(row, 0, 13),
        .may_create_temporary = result_bool(row, 0, 14),
        .started = result_dup(row, 0, 15, arena),
    };
    return window_find_zone(
        reader->conn, &reader->spec->window, arena, &reader->facts->server, err);
}

bool
catalog_read_standbys(const CatalogReader *reader, Err *err)
{
    PGRESULT_AUTO *result = NULL;
    if (!query_run(reader->conn, SQL_STANDBYS, &result, err)) {
        return false;
    }
    int count = result_rows(result);
    StandbyFacts *standbys = arena_alloc(reader->arena, ((size_t)count + 1) * sizeof(*standbys));
    for (int i = 0; i < count; i++) {
        standbys[i] = (StandbyFacts){
            .name = result_dup(result, i, 0, reader->arena),
            .state = result_dup(result, i, 1, reader->arena),
            .readable = result_bool(result, i, 2),
        };
    }
    reader->facts->standbys = standbys;
    reader->facts->standby_count = count;
    return true;
}
