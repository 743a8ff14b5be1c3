/*
 * catalog_schema.c - facts about schema pghaul: objects of strangers in it, leftovers of jobs.
 */
#include <string.h>

#include "pg/catalog_parts.h"
#include "pg/params.h"

/*
 * Whoever owns a function or a table in our schema (which may have triggers) has his code run in
 * our session.  As with the schema itself: a superuser trusts superusers only.
 */
static const char SQL_STRANGERS[] =
    "WITH object(text, owner) AS (\n"
    "    SELECT 'FUNCTION ' || (pg_catalog.pg_identify_object(\n"
    "               'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0)).identity, p.proowner\n"
    "      FROM pg_catalog.pg_proc p\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'pghaul'\n"
    "    UNION ALL\n"
    "    SELECT 'TABLE ' || pg_catalog.format('%I.%I', n.nspname, c.relname), c.relowner\n"
    "      FROM pg_catalog.pg_class c\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'pghaul'\n"
    "     WHERE c.relkind NOT IN ('i', 'S', 't'))\n"
    "SELECT pg_catalog.count(*), pg_catalog.min(x.text COLLATE \"C\"),\n"
    "       (pg_catalog.array_agg(o.rolname ORDER BY x.text COLLATE \"C\"))[1]\n"
    "  FROM object x\n"
    "  JOIN pg_catalog.pg_roles o ON o.oid = x.owner\n"
    "  JOIN pg_catalog.pg_roles r ON r.rolname = current_user\n"
    " WHERE NOT o.rolsuper\n"
    "   AND (r.rolsuper OR NOT pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER'))";

/* Triggers of a copy whose job is in another database: with its fingerprint, as numbers there are
 * others. */
#define ELSEWHERE "^zzzz_pghaul_[0-9]+_[0-9a-f]{16}(_t)?$"

/*
 * The number of the job stands in the name of each of its objects, and `ending` is what the names
 * of its functions, of its change log and of the mark beside that have in common.
 */
static const char SQL_LEFTOVERS[] =
    "WITH object(name, drop, ending) AS (\n"
    "    SELECT pg_catalog.format('%I.%I', n.nspname, p.proname),\n"
    "           pg_catalog.format('DROP FUNCTION %s;', (pg_catalog.pg_identify_object(\n"
    "               'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0)).identity),\n"
    "           pg_catalog.substring(p.proname, '^[a-z_]+_([0-9]{1,18}_[0-9a-f]{16})$')\n"
    "      FROM pg_catalog.pg_proc p\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace\n"
    "     WHERE n.nspname = 'pghaul'\n"
    "    UNION ALL\n"
    "    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),\n"
    "           pg_catalog.format('DROP %s %I.%I;', CASE c.relkind WHEN 'S' THEN 'SEQUENCE'\n"
    "               ELSE 'TABLE' END, n.nspname, c.relname),\n"
    "           pg_catalog.substring(c.relname, '^[a-z_]+_([0-9]{1,18}_[0-9a-f]{16})$')\n"
    "      FROM pg_catalog.pg_class c\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "     WHERE n.nspname = 'pghaul' AND c.relkind IN ('r', 'S'))\n"
    "SELECT x.is_trigger, x.name, x.drop, x.elsewhere\n"
    "  FROM (SELECT true, t.tgname::pg_catalog.text,\n"
    "               pg_catalog.format('DROP TRIGGER %I ON %I.%I;', t.tgname, n.nspname,\n"
    "                                 c.relname),\n"
    "               pg_catalog.substring(t.tgname, '^zzzz_pghaul_([0-9]{1,18})(?:_[tf])?$'),\n"
    "               t.tgname ~ '" ELSEWHERE "'\n"
    "          FROM pg_catalog.pg_trigger t\n"
    "          JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid\n"
    "          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "         WHERE t.tgrelid = $1::pg_catalog.oid AND NOT t.tgisinternal\n"
    "        UNION ALL\n"
    "        SELECT false, o.name, o.drop, pg_catalog.split_part(o.ending, '_', 1), false\n"
    "          FROM object o\n"
    "         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t\n"
    "                WHERE t.tgname ~ '" ELSEWHERE "'\n"
    "                  AND pg_catalog.starts_with(t.tgname, 'zzzz_pghaul_' || o.ending))\n"
    "       ) AS x(is_trigger, name, drop, job, elsewhere)\n"
    " WHERE x.elsewhere\n"
    "    OR x.job <> '' AND x.job::pg_catalog.int8 <> ALL ($2::pg_catalog.int8[])\n"
    " ORDER BY x.is_trigger DESC, x.name COLLATE \"C\"";

bool
catalog_read_strangers(const CatalogReader *reader, Err *err)
{
    ServerFacts *server = &reader->facts->server;
    if (!server->has_schema) {
        return true;
    }
    PGRESULT_AUTO *row = NULL;
    if (!query_one(reader->conn, SQL_STRANGERS, 0, NULL, &row, err)) {
        return false;
    }
    server->strange_count = (int)result_int(row, 0, 0);
    server->strange = result_dup(row, 0, 1, reader->arena);
    server->strange_owner = result_dup(row, 0, 2, reader->arena);
    return true;
}

bool
catalog_read_leftovers(PgConn *conn, const char *job_ids, Arena *arena, Facts *facts, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, facts->table.oid);
    params_text(&params, job_ids);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_LEFTOVERS, &params, &result, err)) {
        return err_wrap(err, "leftovers");
    }
    int count = result_rows(result);
    facts->leftovers = arena_alloc(arena, ((size_t)count + 1) * sizeof(*facts->leftovers));
    facts->leftover_count = count;
    for (int i = 0; i < count; i++) {
        facts->leftovers[i] = (LeftoverFacts){
            .is_trigger = result_bool(result, i, 0),
            .name = result_dup(result, i, 1, arena),
            .drop = result_dup(result, i, 2, arena),
            .elsewhere = result_bool(result, i, 3),
        };
    }
    return true;
}
