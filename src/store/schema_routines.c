/*
 * schema_routines.c - functions and views of schema pghaul; made anew by every upgrade.
 */
#include "store/schema_parts.h"

/* Triggers of a table as one text: identity, state, and for ours the function's version.  A
 * trigger that was disabled and enabled again differs by its xmin. */
static const char SQL_SIGNATURE[] =
    "CREATE FUNCTION pghaul.trigger_signature(pg_catalog.oid) RETURNS pg_catalog.text\n"
    "LANGUAGE sql STABLE AS $pghaul$\n"
    "    SELECT pg_catalog.string_agg(g.oid || ':' || g.xmin || ':'\n"
    "               || g.tgenabled::pg_catalog.text\n"
    "               || CASE WHEN n.nspname = 'pghaul' THEN ':' || p.xmin ELSE '' END,\n"
    "               ',' ORDER BY g.oid)\n"
    "      FROM pg_catalog.pg_trigger g\n"
    "      JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace\n"
    "     WHERE g.tgrelid = $1 AND NOT g.tgisinternal\n"
    "$pghaul$;\n";

static const char SQL_PROGRESS[] =
    "CREATE VIEW pghaul.progress AS\n"
    "SELECT j.id AS job, j.name, j.kind, j.table_name, j.state, j.reason, j.pass, j.pass_kind,\n"
    "       r.ranges, r.ranges_done, r.rows, r.differing, r.leftover, r.est_done, j.est_rows,\n"
    "       u.runs, u.rows_per_s, u.run_reason, j.carved, j.started, j.finished\n"
    "  FROM pghaul.job j\n"
    "  LEFT JOIN LATERAL (\n"
    "       SELECT pg_catalog.count(*) AS ranges,\n"
    "              pg_catalog.count(*) FILTER (WHERE state = 'done') AS ranges_done,\n"
    "              COALESCE(pg_catalog.sum(rows), 0)::pg_catalog.int8 AS rows,\n"
    "              COALESCE(pg_catalog.sum(differing), 0)::pg_catalog.int8 AS differing,\n"
    "              COALESCE(pg_catalog.sum(leftover), 0)::pg_catalog.int8 AS leftover,\n"
    "              COALESCE(pg_catalog.sum(CASE WHEN state = 'done' THEN est_rows\n"
    "                  ELSE est_rows * stripe / stripes END), 0)::pg_catalog.int8 AS est_done\n"
    "         FROM pghaul.ranges x WHERE x.job = j.id AND x.pass = j.pass) r ON true\n"
    "  LEFT JOIN LATERAL (\n"
    "       SELECT pg_catalog.count(*) AS runs, pg_catalog.sum(rows_per_s) AS rows_per_s,\n"
    "              pg_catalog.max(reason) AS run_reason\n"
    "         FROM pghaul.run x WHERE x.job = j.id AND x.ended IS NULL\n"
    "          AND x.heartbeat > pg_catalog.clock_timestamp() - '30 s'::pg_catalog.interval) u\n"
    "       ON true\n"
    " WHERE j.cleaned IS NULL;\n";

const char *const schema_routines[] = {SQL_SIGNATURE, SQL_PROGRESS, NULL};

const char schema_drop_routines[] = "DROP VIEW IF EXISTS pghaul.progress;\n"
                                    "DROP FUNCTION IF EXISTS pghaul.trigger_signature(oid);\n";
