/*
 * exprcheck_needs.c - the rights that an expression needs, and which writers of the table lack
 * them.
 *
 * The sync trigger evaluates the expression as the role that writes.  When that role lacks a right,
 * the trigger cannot tell it from any other failure of the expression and leaves the columns NULL.
 * Writers also come through partitioned or inheritance parents and through views: rights on the
 * table are then those on the parent or of the view's owner, but triggers run as the writer.
 */
#include "pg/exprcheck_parts.h"
#include "pg/params.h"

/*
 * Whatever is pinned, which is all that comes with the server, leaves no trace in pg_depend.  An
 * operator is its function.  16384 is the first object id that initdb does not give: the roles
 * below it are predefined, and whoever is a member of one is judged himself.  INSERT and UPDATE
 * are the bits 8 and 4 of pg_relation_is_updatable().
 */
static const char SQL_NEEDS[] =
    "WITH RECURSIVE target(oid) AS (\n"
    "    SELECT $1::pg_catalog.oid\n"
    "    UNION\n"
    "    SELECT s.oid\n"
    "      FROM target t\n"
    "     CROSS JOIN LATERAL (\n"
    "           SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = t.oid\n"
    "           UNION ALL\n"
    "           SELECT w.ev_class\n"
    "             FROM pg_catalog.pg_depend d\n"
    "             JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid\n"
    "            WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid\n"
    "              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid\n"
    "              AND d.refobjid = t.oid\n"
    "              AND pg_catalog.pg_relation_is_updatable(w.ev_class, false) & 12 <> 0) s(oid)\n"
    "), role AS (\n"
    "    SELECT r.oid, r.rolname, r.rolname = current_user AS is_us\n"
    "      FROM pg_catalog.pg_roles r\n"
    "     WHERE r.rolname = current_user\n"
    "        OR NOT r.rolsuper AND r.oid >= 16384::pg_catalog.oid\n"
    "           AND EXISTS (SELECT FROM target t\n"
    "                        WHERE pg_catalog.has_any_column_privilege(\n"
    "                                  r.oid, t.oid, 'INSERT, UPDATE'))\n"
    "), used AS (\n"
    "    SELECT DISTINCT d.refclassid AS class, d.refobjid AS oid\n"
    "      FROM pg_catalog.pg_rewrite w\n"
    "      JOIN pg_catalog.pg_depend d\n"
    "        ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid AND "
    "d.objid = w.oid\n"
    "     WHERE w.ev_class = 'pg_temp.pghaul_view'::pg_catalog.regclass::pg_catalog.oid\n"
    "       AND d.refobjid NOT IN (w.ev_class, $1::pg_catalog.oid)\n"
    "), thing AS (\n"
    "    SELECT 'f' AS kind, p.oid, p.pronamespace AS namespace, 'EXECUTE' AS privilege,\n"
    "           'FUNCTION ' || (pg_catalog.pg_identify_object(\n"
    "               'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0)).identity AS object\n"
    "      FROM pg_catalog.pg_proc p\n"
    "     WHERE p.oid IN (SELECT u.oid FROM used u\n"
    "                      WHERE u.class = "
    "'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid\n"
    "                      UNION ALL\n"
    "                     SELECT o.oprcode FROM used u\n"
    "                       JOIN pg_catalog.pg_operator o ON o.oid = u.oid\n"
    "                      WHERE u.class = "
    "'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid)\n"
    "    UNION ALL\n"
    "    SELECT c.relkind::pg_catalog.text, c.oid, c.relnamespace,\n"
    "           CASE c.relkind WHEN 'S' THEN 'USAGE' ELSE 'SELECT' END,\n"
    "           CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END\n"
    "           || pg_catalog.format('%I.%I', n.nspname, c.relname)\n"
    "      FROM used u\n"
    "      JOIN pg_catalog.pg_class c ON c.oid = u.oid AND c.relkind <> 'c'\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "     WHERE u.class = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid\n"
    "), need AS (\n"
    "    SELECT t.kind, t.oid, t.privilege, t.object FROM thing t\n"
    "    UNION\n"
    "    SELECT 'n', n.oid, 'USAGE', 'SCHEMA ' || pg_catalog.quote_ident(n.nspname)\n"
    "      FROM pg_catalog.pg_namespace n\n"
    "     WHERE n.nspname <> 'pg_catalog'\n"
    "       AND (n.oid IN (SELECT t.namespace FROM thing t)\n"
    "            OR n.oid IN (SELECT y.typnamespace\n"
    "                       FROM used u JOIN pg_catalog.pg_type y ON y.oid = u.oid\n"
    "                      WHERE u.class = "
    "'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid))\n"
    ")\n"
    "SELECT n.privilege, n.object, pg_catalog.bool_and(h.held) FILTER (WHERE r.is_us),\n"
    "       pg_catalog.array_to_string((pg_catalog.array_agg(\n"
    "           pg_catalog.quote_ident(r.rolname) ORDER BY r.rolname)\n"
    "           FILTER (WHERE NOT r.is_us AND NOT h.held))[1:$2::pg_catalog.int4], ', '),\n"
    "       pg_catalog.count(*) FILTER (WHERE NOT r.is_us AND NOT h.held)\n"
    "  FROM need n\n"
    " CROSS JOIN role r\n"
    " CROSS JOIN LATERAL (SELECT CASE n.kind\n"
    "           WHEN 'f' THEN pg_catalog.has_function_privilege(r.oid, n.oid, 'EXECUTE')\n"
    "           WHEN 'n' THEN pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')\n"
    "           WHEN 'S' THEN pg_catalog.has_sequence_privilege(r.oid, n.oid, 'USAGE, UPDATE')\n"
    "           ELSE pg_catalog.has_any_column_privilege(r.oid, n.oid, 'SELECT')\n"
    "           END) AS h(held)\n"
    " GROUP BY n.kind, n.oid, n.privilege, n.object\n"
    " ORDER BY n.kind = 'n' DESC, n.object";

bool
exprcheck_needs(const Checker *checker, ExprFacts *out, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, checker->facts->table.oid);
    params_int(&params, NEED_WRITERS_NAMED);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(checker->conn, SQL_NEEDS, &params, &result, err)) {
        return err_wrap(err, "rights of the expression");
    }
    out->need_count = result_rows(result);
    out->needs = arena_alloc(checker->arena, ((size_t)out->need_count + 1) * sizeof(*out->needs));
    for (int i = 0; i < out->need_count; i++) {
        out->needs[i] = (NeedFacts){
            .privilege = result_dup(result, i, 0, checker->arena),
            .object = result_dup(result, i, 1, checker->arena),
            .granted = result_bool(result, i, 2),
            .writers = result_dup(result, i, 3, checker->arena),
            .writer_count = (int)result_int(result, i, 4),
        };
    }
    return true;
}
