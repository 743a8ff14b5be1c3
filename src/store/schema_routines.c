/*
 * schema_routines.c - functions and views of schema pghaul; made anew by every upgrade.
 */
#include "store/schema_parts.h"

/*
 * What a job relies on, one item each: the table's identity, the columns $2, a unique index on the
 * key $3, and if $4 the triggers, for ours with the function's version.  A trigger that was
 * disabled and enabled again differs by its xmin.  Every item begins with kind and number, fields
 * are separated by tabs (core/drift.c puts differences into words).
 *
 * Every batch calls it, so its plan is kept: 60 us a call instead of a millisecond.
 */
static const char SQL_SIGNATURE[] =
    "CREATE FUNCTION pghaul.table_signature(pg_catalog.oid, pg_catalog.int2[], pg_catalog.int2[],\n"
    "    pg_catalog.bool) RETURNS pg_catalog.text[]\n"
    "LANGUAGE plpgsql STABLE SET search_path = 'pg_catalog'\n"
    "SET plan_cache_mode = 'force_generic_plan' AS $pghaul$\n"
    "BEGIN\n"
    "    RETURN ARRAY(\n"
    "        SELECT concat_ws(E'\\t', 'table', c.oid, format('%I.%I', n.nspname, c.relname),\n"
    "                   c.relkind, c.relpersistence, row_security_active(c.oid))\n"
    "          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n"
    "         WHERE c.oid = $1)\n"
    "        || ARRAY(\n"
    "        SELECT concat_ws(E'\\t', 'column', a.attnum, quote_ident(a.attname),\n"
    "                   format_type(a.atttypid, a.atttypmod), a.attcollation,\n"
    "                   a.attgenerated::text || a.attidentity::text,\n"
    "                   a.attnotnull OR a.attnum <> ALL ($3))\n"
    "          FROM pg_attribute a\n"
    "         WHERE a.attrelid = $1 AND a.attnum = ANY ($2) AND NOT a.attisdropped\n"
    "         ORDER BY a.attnum)\n"
    "        || CASE WHEN EXISTS (\n"
    "        SELECT FROM pg_index i\n"
    "         WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate\n"
    "           AND i.indpred IS NULL AND i.indexprs IS NULL\n"
    "           AND (i.indkey::int2[])[0:i.indnkeyatts - 1] = $3\n"
    "           AND (i.indcollation::oid[])[0:i.indnkeyatts - 1] = ARRAY(\n"
    "               SELECT k.attcollation\n"
    "                 FROM unnest($3) WITH ORDINALITY AS s(attnum, at)\n"
    "                 JOIN pg_attribute k ON k.attrelid = $1 AND k.attnum = s.attnum\n"
    "                ORDER BY s.at)) THEN ARRAY['key'] END\n"
    "        || CASE WHEN $4 THEN ARRAY(\n"
    "        SELECT concat_ws(E'\\t', 'trigger', g.oid, quote_ident(g.tgname), g.tgenabled,\n"
    "                   g.xmin, CASE WHEN n.nspname = 'pghaul' THEN p.xmin END)\n"
    "          FROM pg_trigger g\n"
    "          JOIN pg_proc p ON p.oid = g.tgfoid\n"
    "          JOIN pg_namespace n ON n.oid = p.pronamespace\n"
    "         WHERE g.tgrelid = $1 AND NOT g.tgisinternal\n"
    "         ORDER BY g.oid) END;\n"
    "END\n"
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

const char *const schema_routines[] = {SQL_SIGNATURE, SQL_PROGRESS, schema_set_state, schema_pause,
    schema_stop, schema_set, schema_assert, NULL};

const char schema_drop_routines[] =
    "DROP VIEW IF EXISTS pghaul.progress;\n"
    "DROP FUNCTION IF EXISTS pghaul.trigger_signature(oid),\n"
    "    pghaul.table_signature(oid, int2[], int2[], bool),\n"
    "    pghaul.set_state(int8, text, text, bool), pghaul.find_job(text),\n"
    "    pghaul.runs_alive(int8), pghaul.of_runs(int8, text, text),\n"
    "    pghaul.pause(text, text), pghaul.resume(text), pghaul.stop(text),\n"
    "    pghaul.set(text, text, text), pghaul.assert_done(text, bool);\n";
