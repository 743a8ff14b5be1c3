/*
 * catalog_carry.c - one question for each kind of thing that belongs to a table.
 *
 * Each answers rows of: kind, name, column of the target, relation, text, extra, flag; see
 * core/sql_cutover.h.  $1 is the source, $2 the target, $3 and $4 their columns that are copied as
 * they are.  `m` pairs these, `same` has those of the source that also have name and type in
 * common, so that an expression over them means the same; foreign keys also join integers of
 * different size (`refers`).
 */
#include "pg/catalog_carry.h"

#include <string.h>

#include "pg/params.h"

#define WITH_MAP                                                                                   \
    "WITH m AS (\n"                                                                                \
    "    SELECT x.s, x.t, a.attname AS source_name, b.attname AS into_name,\n"                     \
    "           a.attname = b.attname AND a.atttypid = b.atttypid AND a.atttypmod = b.atttypmod\n" \
    "           AND a.attcollation = b.attcollation AS is_same,\n"                                 \
    "           a.attname = b.attname AND a.atttypid IN (20, 21, 23)\n"                            \
    "           AND b.atttypid IN (20, 21, 23) AS is_integer\n"                                    \
    "      FROM ROWS FROM (pg_catalog.unnest($3::pg_catalog.int2[]),\n"                            \
    "                      pg_catalog.unnest($4::pg_catalog.int2[])) AS x(s, t)\n"                 \
    "      JOIN pg_catalog.pg_attribute a\n"                                                       \
    "        ON a.attrelid = $1::pg_catalog.oid AND a.attnum = x.s\n"                              \
    "      JOIN pg_catalog.pg_attribute b\n"                                                       \
    "        ON b.attrelid = $2::pg_catalog.oid AND b.attnum = x.t),\n"                            \
    "same AS (\n"                                                                                  \
    "    SELECT COALESCE(pg_catalog.array_agg(m.s) FILTER (WHERE m.is_same), '{}') AS s,\n"        \
    "           COALESCE(pg_catalog.array_agg(m.s) FILTER (WHERE m.is_same OR m.is_integer),\n"    \
    "               '{}') AS refers FROM m),\n"                                                    \
    "tables AS (\n"                                                                                \
    "    SELECT s.relname AS source_name, t.relname AS into_name, s.relowner, s.relacl,\n"         \
    "           s.relnamespace, s.reloptions, s.relreplident, t.relacl AS into_acl,\n"             \
    "           t.reloptions AS into_options, t.relkind AS into_kind,\n"                           \
    "           s.relrowsecurity AND NOT t.relrowsecurity AS loses_security,\n"                    \
    "           s.relforcerowsecurity AND NOT t.relforcerowsecurity AS loses_force,\n"             \
    "           t.relowner AS into_owner,\n"                                                       \
    "           t.relreplident AS into_ident,\n"                                                   \
    "           s.relnamespace <> t.relnamespace AS apart, s.relispartition,\n"                    \
    "           s.reltype, $5::pg_catalog.name AS old_name\n"                                      \
    "      FROM pg_catalog.pg_class s, pg_catalog.pg_class t\n"                                    \
    "     WHERE s.oid = $1 AND t.oid = $2)\n"

#define DEFINITION(constraint)                                                                     \
    "pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(" constraint ".oid), ' NOT "        \
    "VALID$', '')"

/* A relation as SQL names it, of aliases c and n. */
#define QUALIFIED "pg_catalog.format('%I.%I', n.nspname, c.relname)"

/* The owner of a partitioned table does not own its partitions. */
static const char SQL_OWNER[] =
    WITH_MAP "SELECT CASE WHEN pg_catalog.pg_has_role(tables.relowner, 'MEMBER') THEN 'owner'\n"
             "            ELSE 'lost' END,\n"
             "       pg_catalog.pg_get_userbyid(tables.relowner), NULL, " QUALIFIED ",\n"
             "       pg_catalog.format('owner %s: the role of pghaul is no member of it',\n"
             "           pg_catalog.pg_get_userbyid(tables.relowner)), NULL, false\n"
             "  FROM tables, same, pg_catalog.pg_class c\n"
             "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
             " WHERE c.relowner <> tables.relowner AND (c.oid = $2 OR c.oid IN (\n"
             "       SELECT p.relid FROM pg_catalog.pg_partition_tree($2) p))\n"
             " ORDER BY c.oid";

/* Also of a sequence of the target's own, whose column had one before. */
static const char SQL_GRANTS[] = WITH_MAP
    "SELECT CASE WHEN g.into_name IS NULL AND g.is_column THEN 'lost' ELSE 'grant' END,\n"
    "       r.rolname, g.into_name, g.relation,\n"
    "       CASE WHEN g.into_name IS NULL AND g.is_column\n"
    "            THEN pg_catalog.format('GRANT %s (%I) TO %s: the column is not copied as it is',\n"
    "                g.privilege_type, g.source_name, COALESCE(r.rolname, 'PUBLIC'))\n"
    "            ELSE g.privilege_type END, NULL,\n"
    "       g.is_grantable AND (g.into_name IS NOT NULL OR NOT g.is_column)\n"
    "  FROM same, (\n"
    "    SELECT a.grantee, a.privilege_type, a.is_grantable, NULL::pg_catalog.name AS into_name,\n"
    "           NULL::pg_catalog.name AS source_name, false AS is_column,\n"
    "           NULL AS relation, tables.into_acl AS acl\n"
    "      FROM tables, pg_catalog.aclexplode(tables.relacl) a\n"
    "     WHERE a.grantee <> tables.relowner\n"
    "     UNION ALL\n"
    "    SELECT a.grantee, a.privilege_type, a.is_grantable, b.attname, c.attname, true, NULL,\n"
    "           b.attacl\n"
    "      FROM tables, pg_catalog.pg_attribute c\n"
    "      LEFT JOIN m ON m.s = c.attnum\n"
    "      LEFT JOIN pg_catalog.pg_attribute b ON b.attrelid = $2 AND b.attnum = m.t,\n"
    "           pg_catalog.aclexplode(c.attacl) a\n"
    "     WHERE c.attrelid = $1 AND c.attnum > 0 AND NOT c.attisdropped\n"
    "       AND a.grantee <> tables.relowner\n"
    "     UNION ALL\n"
    "    SELECT a.grantee, a.privilege_type, a.is_grantable, NULL, NULL, false,\n"
    "           pg_catalog.format('%I.%I', n.nspname, c.relname), c.relacl\n"
    "      FROM tables, m\n"
    "      JOIN pg_catalog.pg_depend d\n"
    "        ON d.refobjid = $1 AND d.refobjsubid = m.s AND d.deptype IN ('a', 'i')\n"
    "       AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "      JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'\n"
    "      JOIN pg_catalog.pg_depend e\n"
    "        ON e.refobjid = $2 AND e.refobjsubid = m.t AND e.deptype IN ('a', 'i')\n"
    "       AND e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "      JOIN pg_catalog.pg_class c ON c.oid = e.objid AND c.relkind = 'S' AND c.oid <> s.oid\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,\n"
    "           pg_catalog.aclexplode(s.relacl) a\n"
    "     WHERE a.grantee <> tables.relowner) g\n"
    "  LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee\n"
    " WHERE (g.grantee = 0 OR r.oid IS NOT NULL)\n"
    "   AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(g.acl) h\n"
    "        WHERE h.grantee = g.grantee AND h.privilege_type = g.privilege_type\n"
    "          AND (h.is_grantable OR NOT g.is_grantable))\n"
    " ORDER BY 1, 4 NULLS FIRST, 3 NULLS FIRST, 2 NULLS FIRST, 5";

static const char SQL_COMMENTS[] =
    WITH_MAP "SELECT 'comment', NULL, b.attname, NULL, d.description, NULL, false\n"
             "  FROM same, pg_catalog.pg_description d\n"
             "  LEFT JOIN m ON m.s = d.objsubid\n"
             "  LEFT JOIN pg_catalog.pg_attribute b ON b.attrelid = $2 AND b.attnum = m.t\n"
             " WHERE d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objoid = $1\n"
             "   AND (d.objsubid = 0 OR m.t IS NOT NULL)\n"
             "   AND NOT EXISTS (SELECT FROM pg_catalog.pg_description e\n"
             "        WHERE e.classoid = d.classoid AND e.objoid = $2\n"
             "          AND e.objsubid = COALESCE(m.t, 0))\n"
             " ORDER BY d.objsubid";

/* Where the target has none; a sequence of the source's identity is no default. */
static const char SQL_DEFAULTS[] = WITH_MAP
    "SELECT CASE WHEN a.attidentity <> '' THEN 'lost' ELSE 'default' END, NULL, b.attname, NULL,\n"
    "       CASE WHEN a.attidentity <> ''\n"
    "            THEN pg_catalog.format('column %I is an identity of the old table, and has no '\n"
    "                'default in the new one', b.attname)\n"
    "            ELSE pg_catalog.pg_get_expr(f.adbin, f.adrelid) END, NULL, false\n"
    "  FROM same, m\n"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = $1 AND a.attnum = m.s\n"
    "  JOIN pg_catalog.pg_attribute b ON b.attrelid = $2 AND b.attnum = m.t\n"
    "  LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = $1 AND f.adnum = m.s\n"
    " WHERE NOT b.atthasdef AND b.attidentity = '' AND a.attgenerated = ''\n"
    "   AND (a.attidentity <> '' OR f.oid IS NOT NULL)\n"
    " ORDER BY m.t";

#define NOT_AT_THE_TARGET                                                                          \
    "NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o\n"                                         \
    "        WHERE o.conrelid = $2 AND o.contype = k.contype AND o.convalidated >= "               \
    "k.convalidated\n"                                                                             \
    "          AND " DEFINITION("o") " = " DEFINITION("k") ")"

#define NAME_IS_TAKEN                                                                              \
    "EXISTS (SELECT FROM pg_catalog.pg_constraint o\n"                                             \
    "        WHERE o.conrelid = $2 AND o.conname = k.conname)"

/* One that is there and not validated is of a cutover that was cut off. */
static const char SQL_CHECKS[] = WITH_MAP
    "SELECT CASE WHEN k.fits THEN 'check' ELSE 'lost' END, k.conname, NULL, NULL,\n"
    "       CASE WHEN k.fits THEN k.definition\n"
    "            ELSE pg_catalog.format('check constraint %I: %s', k.conname,\n"
    "                CASE WHEN k.other THEN 'the new table has another one of that name'\n"
    "                ELSE 'it uses columns that are not copied as they are' END) END,\n"
    "       CASE WHEN k.taken THEN 'there' END, k.fits AND k.convalidated\n"
    "  FROM (SELECT k.*, o.oid IS NOT NULL AS taken, o.definition <> k.definition AS other,\n"
    "               COALESCE(k.conkey, '{}') <@ same.s\n"
    "               AND COALESCE(o.definition = k.definition, true) AS fits\n"
    "          FROM same, (SELECT k.*, " DEFINITION(
        "k") " AS definition\n"
             "                        FROM pg_catalog.pg_constraint k) k\n"
             "          LEFT JOIN (SELECT o.oid, o.conname, " DEFINITION(
                 "o") " AS definition\n"
                      "                       FROM pg_catalog.pg_constraint o WHERE o.conrelid = "
                      "$2) o\n"
                      "            ON o.conname = k.conname\n"
                      "         WHERE k.conrelid = $1 AND k.contype = 'c'\n"
                      "           AND " NOT_AT_THE_TARGET ") k\n"
                      " ORDER BY k.conname";

/* ---- sequences ---- */

/* Of a serial column: the target's default uses it too, and where that is bigint counts as far.
 * Else the target's column has one of its own, which goes on counting where the source's stands. */
static const char SQL_SEQUENCES[] = WITH_MAP
    "SELECT CASE WHEN own.relation IS NULL THEN 'owned' ELSE 'counter' END,\n"
    "       m.source_name, m.into_name, " QUALIFIED ", own.relation,\n"
    "       CASE WHEN b.atttypid = 20 AND q.seqtypid <> 20 THEN 'bigint' END, q.seqincrement > 0\n"
    "  FROM same, m\n"
    "  JOIN pg_catalog.pg_depend d\n"
    "    ON d.refobjid = $1 AND d.refobjsubid = m.s AND d.deptype IN ('a', 'i')\n"
    "   AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "  JOIN pg_catalog.pg_sequence q ON q.seqrelid = c.oid\n"
    "  JOIN pg_catalog.pg_attribute b ON b.attrelid = $2 AND b.attnum = m.t\n"
    "  LEFT JOIN LATERAL (\n"
    "       SELECT pg_catalog.format('%I.%I', on_.nspname, o.relname) AS relation\n"
    "         FROM pg_catalog.pg_depend e\n"
    "         JOIN pg_catalog.pg_class o ON o.oid = e.objid AND o.relkind = 'S'\n"
    "         JOIN pg_catalog.pg_namespace on_ ON on_.oid = o.relnamespace\n"
    "        WHERE e.refobjid = $2 AND e.refobjsubid = m.t AND e.deptype IN ('a', 'i')\n"
    "          AND e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "          AND e.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) own ON true\n"
    " WHERE d.deptype = 'a' OR own.relation IS NOT NULL\n"
    " ORDER BY m.s";

/* ---- foreign keys ---- */

/* Before 18 a partitioned table takes no NOT VALID one: its leaves do. */
#define BY_LEAVES                                                                                  \
    "(tables.into_kind = 'p'\n"                                                                    \
    "        AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 180000)"

#define OUTGOING                                                                                   \
    "(SELECT k.*, " DEFINITION(                                                                    \
        "k") " AS definition, " NAME_IS_TAKEN " AS taken,\n"                                       \
             "               NOT " NOT_AT_THE_TARGET " AS there, k.conkey <@ same.refers\n"        \
             "               AND (k.confrelid <> $1 OR k.confkey <@ same.refers) AS fits\n"        \
             "          FROM same, pg_catalog.pg_constraint k\n"                                   \
             "         WHERE k.conrelid = $1 AND k.contype = 'f' AND k.conparentid = 0) k"

static const char SQL_OUTGOING[] = WITH_MAP
    "SELECT x.kind, k.conname, NULL, x.relation, x.text, k.definition,\n"
    "       k.convalidated AND x.kind <> 'lost'\n"
    "  FROM tables, " OUTGOING ",\n"
    "LATERAL (\n"
    "    SELECT 'foreign' AS kind, NULL AS relation, CASE WHEN k.fits AND NOT k.there\n"
    "           AND NOT k.taken AND NOT " BY_LEAVES " THEN k.definition END AS text\n"
    "     UNION ALL\n"
    "    SELECT 'whole', NULL, k.definition\n"
    "     WHERE k.fits AND NOT k.there AND NOT k.taken AND " BY_LEAVES "\n"
    "     UNION ALL\n"
    "    SELECT 'leaf', " QUALIFIED ", k.definition\n"
    "      FROM pg_catalog.pg_partition_tree($2) p\n"
    "      JOIN pg_catalog.pg_class c ON c.oid = p.relid\n"
    "      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "     WHERE k.fits AND NOT k.there AND NOT k.taken AND " BY_LEAVES " AND p.isleaf\n"
    "     UNION ALL\n"
    "    SELECT 'lost', NULL, pg_catalog.format('foreign key %I: %s', k.conname,\n"
    "           CASE WHEN k.fits THEN 'the new table has another constraint of that name'\n"
    "           ELSE 'it uses columns that are not copied as they are' END)\n"
    "     WHERE NOT k.there AND (k.taken OR NOT k.fits)) x\n"
    " ORDER BY k.conname, x.kind";

/* It needs a unique index over exactly the columns that it refers to. */
static const char SQL_INCOMING[] = WITH_MAP
    "SELECT x.kind, k.conname, NULL, k.relation, x.text, k.definition,\n"
    "       k.convalidated AND x.kind <> 'lost'\n"
    "  FROM (SELECT k.conname, k.convalidated, " DEFINITION(
        "k") " AS definition,\n"
             "               " QUALIFIED " AS relation, c.relkind = 'p' AS by_leaves,\n"
             "               k.confkey <@ same.refers AND EXISTS (\n"
             "                   SELECT FROM pg_catalog.pg_index i\n"
             "                    WHERE i.indrelid = $2 AND i.indisunique AND i.indisvalid\n"
             "                      AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS "
             "NULL\n"
             "                      AND i.indnkeyatts = pg_catalog.cardinality(k.confkey)\n"
             "                      AND (i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1] @> "
             "ARRAY(\n"
             "                          SELECT m.t FROM m WHERE m.s = ANY (k.confkey))) AS fits\n"
             "          FROM same, pg_catalog.pg_constraint k\n"
             "          JOIN pg_catalog.pg_class c ON c.oid = k.conrelid\n"
             "          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
             "         WHERE k.confrelid = $1 AND k.conrelid <> $1 AND k.contype = 'f'\n"
             "           AND k.conparentid = 0 AND k.conrelid <> $2) k,\n"
             "LATERAL (\n"
             "    SELECT 'incoming' AS kind,\n"
             "           CASE WHEN k.fits AND NOT k.by_leaves THEN k.definition END AS text\n"
             "     UNION ALL\n"
             "    SELECT 'lost', pg_catalog.format('foreign key %I of %s, which is dropped: %s', "
             "k.conname,\n"
             "           k.relation, CASE WHEN k.fits THEN 'that table is partitioned'\n"
             "           ELSE 'the new table has no unique index over these columns' END)\n"
             "     WHERE NOT k.fits OR k.by_leaves) x\n"
             " ORDER BY k.relation, k.conname, x.kind";

/* ---- triggers and views ---- */

static const char SQL_TRIGGERS[] = WITH_MAP
    "SELECT x.kind, g.tgname, NULL, NULL, x.text, g.tgenabled, false\n"
    "  FROM (SELECT g.tgname, g.tgenabled, pg_catalog.pg_get_triggerdef(g.oid) AS definition,\n"
    "               EXISTS (SELECT FROM pg_catalog.pg_trigger o\n"
    "                        WHERE o.tgrelid = $2 AND o.tgname = g.tgname) AS there,\n"
    "               (g.tgnewtable IS NOT NULL OR g.tgoldtable IS NOT NULL)\n"
    "               AND (g.tgtype & 1) = 1 AND tables.into_kind = 'p' AS refused,\n"
    "               NOT EXISTS (\n"
    "                   SELECT FROM pg_catalog.pg_depend d\n"
    "                    WHERE d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass\n"
    "                      AND d.objid = g.oid AND d.refobjid = $1 AND d.refobjsubid <> 0\n"
    "                      AND d.refobjsubid <> ALL (same.s)) AS fits\n"
    "          FROM tables, same, pg_catalog.pg_trigger g\n"
    "          JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid\n"
    "         WHERE g.tgrelid = $1 AND NOT g.tgisinternal\n"
    "           AND p.pronamespace <> ALL (ARRAY(SELECT n.oid FROM pg_catalog.pg_namespace n\n"
    "                                             WHERE n.nspname = 'pghaul'))) g,\n"
    "LATERAL (\n"
    "    SELECT 'trigger' AS kind,\n"
    "           CASE WHEN g.fits AND NOT g.there AND NOT g.refused THEN g.definition END AS text\n"
    "     UNION ALL\n"
    "    SELECT 'lost', pg_catalog.format('trigger %I: %s', g.tgname,\n"
    "           CASE WHEN NOT g.fits THEN 'it uses columns that are not copied as they are'\n"
    "           WHEN g.there THEN 'the new table has one of that name, which stays'\n"
    "           ELSE 'a row trigger of a partitioned table has no transition tables' END)\n"
    "     WHERE NOT g.fits OR g.there OR g.refused) x\n"
    " ORDER BY g.tgname, x.kind";

static const char SQL_VIEWS[] = WITH_MAP
    "SELECT CASE WHEN v.why IS NULL THEN 'view' ELSE 'lost' END, NULL, NULL, v.relation,\n"
    "       CASE WHEN v.why IS NULL THEN v.definition\n"
    "            ELSE pg_catalog.format('%s %s, which goes on showing the old table: %s',\n"
    "                CASE v.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'\n"
    "                ELSE 'rule of' END, v.relation, v.why) END,\n"
    "       v.options, false\n"
    "  FROM (SELECT " QUALIFIED " AS relation, c.relkind,\n"
    "               pg_catalog.array_to_string(c.reloptions, ', ') AS options,\n"
    "               CASE WHEN c.relkind = 'v' THEN pg_catalog.rtrim(\n"
    "                   pg_catalog.pg_get_viewdef(c.oid), ';') END AS definition,\n"
    "               CASE WHEN c.relkind <> 'v' THEN 'it must be made anew by hand'\n"
    "                    WHEN NOT pg_catalog.pg_has_role(c.relowner, 'MEMBER')\n"
    "                    THEN 'the role of pghaul is no member of its owner'\n"
    "                    WHEN NOT d.columns <@ same.s\n"
    "                    THEN 'it uses columns that are not copied as they are' END AS why\n"
    "          FROM same, (\n"
    "              SELECT w.ev_class, "
    "COALESCE(pg_catalog.array_agg(d.refobjsubid::pg_catalog.int2)\n"
    "                         FILTER (WHERE d.refobjsubid <> 0), '{}') AS columns\n"
    "                FROM pg_catalog.pg_depend d\n"
    "                JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid\n"
    "               WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass\n"
    "                 AND d.refobjid = $1 AND w.ev_class <> $1\n"
    "                 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "               GROUP BY w.ev_class) d\n"
    "          JOIN pg_catalog.pg_class c ON c.oid = d.ev_class\n"
    "          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) v\n"
    " ORDER BY 1 DESC, v.relation";

/* ---- what cannot be carried ---- */

/* What would change what the application sees, or what nobody could put right afterwards. */
static const char SQL_REFUSED[] = WITH_MAP
    "SELECT 'lost', NULL, NULL, NULL, x.text, NULL, true\n"
    "  FROM tables, same, LATERAL (\n"
    "    SELECT 'the new table is in another schema: ALTER TABLE .. SET SCHEMA before the copy '\n"
    "           'begins' AS text WHERE tables.apart\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('the name %I is taken, which the old table is to have',\n"
    "           tables.old_name)\n"
    "     WHERE EXISTS (SELECT FROM pg_catalog.pg_type o\n"
    "                    WHERE o.typnamespace = tables.relnamespace AND o.typname = "
    "tables.old_name\n"
    "                      AND o.typcategory <> 'A')\n"
    "        OR EXISTS (SELECT FROM pg_catalog.pg_class o\n"
    "                    WHERE o.relnamespace = tables.relnamespace AND o.relname = "
    "tables.old_name)\n"
    "     UNION ALL\n"
    "    SELECT 'row security is on at the old table and off at the new one: everybody with SELECT "
    "'\n"
    "           'would see all rows' WHERE tables.loses_security\n"
    "     UNION ALL\n"
    "    SELECT 'row security is forced at the old table and not at the new one: its owner would "
    "'\n"
    "           'see all rows' WHERE tables.loses_force AND NOT tables.loses_security\n"
    "     UNION ALL\n"
    "    SELECT 'the old table is a partition, and the new one would not be'\n"
    "     WHERE tables.relispartition\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('the old table inherits from, or is inherited by %s',\n"
    "           CASE i.inhrelid WHEN $1 THEN i.inhparent ELSE i.inhrelid END\n"
    "               ::pg_catalog.regclass)\n"
    "      FROM pg_catalog.pg_inherits i\n"
    "     WHERE $1 IN (i.inhrelid, i.inhparent) AND NOT tables.relispartition) x\n"
    " ORDER BY x.text";

/* Of the definition of an index i what follows its name and table. */
#define INDEX_BODY(index)                                                                          \
    "pg_catalog.substr(pg_catalog.pg_get_indexdef(" index ".indexrelid),\n"                        \
    "           pg_catalog.strpos(pg_catalog.pg_get_indexdef(" index ".indexrelid), ' USING '))"

static const char SQL_LOST_INDEXES[] = WITH_MAP
    "SELECT 'lost', NULL, NULL, NULL, pg_catalog.format('%s %I: the new table has none like it',\n"
    "       CASE WHEN i.indisunique THEN 'unique index' ELSE 'index' END, c.relname), NULL, false\n"
    "  FROM same, pg_catalog.pg_index i\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid\n"
    " WHERE i.indrelid = $1 AND i.indisvalid AND NOT EXISTS (\n"
    "       SELECT FROM pg_catalog.pg_index o\n"
    "        WHERE o.indrelid = $2 AND o.indisvalid AND o.indisunique >= i.indisunique\n"
    "          AND " INDEX_BODY("o") " = " INDEX_BODY(
        "i") ")\n"
             " ORDER BY i.indisunique DESC, c.relname";

static const char SQL_LOST_COLUMNS[] = WITH_MAP
    "SELECT 'lost', NULL, NULL, NULL, x.text, NULL, false\n"
    "  FROM same, m\n"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = $1 AND a.attnum = m.s\n"
    "  JOIN pg_catalog.pg_attribute b ON b.attrelid = $2 AND b.attnum = m.t, LATERAL (\n"
    "    SELECT pg_catalog.format('column %I: NOT NULL', b.attname) AS text\n"
    "     WHERE a.attnotnull AND NOT b.attnotnull\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('column %I: generated in the old table, plain in the new one',\n"
    "           b.attname) WHERE a.attgenerated <> '' AND b.attgenerated = ''\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('column %I: storage, statistics target or options', b.attname)\n"
    "     WHERE a.atttypid = b.atttypid AND (a.attstorage <> b.attstorage\n"
    "           OR a.attcompression <> b.attcompression\n"
    "           OR a.attstattarget IS DISTINCT FROM b.attstattarget\n"
    "           OR ARRAY(SELECT o FROM pg_catalog.unnest(a.attoptions) AS o\n"
    "                     WHERE pg_catalog.starts_with(o, 'n_distinct'))\n"
    "              <> ARRAY(SELECT o FROM pg_catalog.unnest(b.attoptions) AS o\n"
    "                        WHERE pg_catalog.starts_with(o, 'n_distinct')))) x\n"
    " ORDER BY m.s, x.text";

static const char SQL_LOST_REST[] = WITH_MAP
    "SELECT 'lost', NULL, NULL, NULL, x.text, NULL, false\n"
    "  FROM tables, same, LATERAL (\n"
    "    SELECT pg_catalog.format('row security policy %I', p.polname) AS text\n"
    "      FROM pg_catalog.pg_policy p WHERE p.polrelid = $1 AND NOT EXISTS (\n"
    "           SELECT FROM pg_catalog.pg_policy o\n"
    "            WHERE o.polrelid = $2 AND o.polname = p.polname)\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('rule %I', w.rulename)\n"
    "      FROM pg_catalog.pg_rewrite w WHERE w.ev_class = $1\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('publication %I: its subscribers stay with the old table',\n"
    "           p.pubname)\n"
    "      FROM pg_catalog.pg_publication_rel r\n"
    "      JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid\n"
    "     WHERE r.prrelid = $1\n"
    "     UNION ALL\n"
    "    SELECT 'replica identity, which is not the default' WHERE tables.relreplident <> 'd'\n"
    "       AND tables.relreplident <> tables.into_ident\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('statistics object %I', e.stxname)\n"
    "      FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid = $1\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('storage parameters: %s',\n"
    "           pg_catalog.array_to_string(tables.reloptions, ', '))\n"
    "     WHERE NOT COALESCE(tables.into_options, '{}') @> tables.reloptions\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('%s, which goes on with the old table',\n"
    "           pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid))\n"
    "      FROM pg_catalog.pg_depend d\n"
    "     WHERE d.deptype = 'n'\n"
    "       AND (d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid IN (\n"
    "                SELECT y.oid FROM pg_catalog.pg_type y\n"
    "                 WHERE y.oid = tables.reltype OR y.typelem = tables.reltype)\n"
    "            OR d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "               AND d.refobjid = $1\n"
    "               AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass)) x\n"
    " GROUP BY x.text ORDER BY x.text";

static const char SQL_LOST_BESIDE[] = WITH_MAP
    "SELECT 'lost', NULL, NULL, NULL, x.text, NULL, false\n"
    "  FROM tables, same, LATERAL (\n"
    "    SELECT pg_catalog.format('%s of %s, which only the new table grants, stays',\n"
    "           a.privilege_type, COALESCE(r.rolname, 'PUBLIC')) AS text\n"
    "      FROM pg_catalog.aclexplode(tables.into_acl) a\n"
    "      LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee\n"
    "     WHERE a.grantee NOT IN (tables.relowner, tables.into_owner) AND NOT EXISTS (\n"
    "           SELECT FROM pg_catalog.aclexplode(tables.relacl) h\n"
    "            WHERE h.grantee = a.grantee AND h.privilege_type = a.privilege_type)\n"
    "     UNION ALL\n"
    "    SELECT pg_catalog.format('CLUSTER ON %s', i.indexrelid::pg_catalog.regclass)\n"
    "      FROM pg_catalog.pg_index i WHERE i.indrelid = $1 AND i.indisclustered\n"
    "     UNION ALL\n"
    "    SELECT 'comment on ' || pg_catalog.pg_describe_object(d.classoid, d.objoid, 0)\n"
    "      FROM pg_catalog.pg_description d\n"
    "     WHERE d.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objoid IN (\n"
    "               SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.conrelid = $1)\n"
    "        OR d.classoid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND d.objoid IN (\n"
    "               SELECT g.oid FROM pg_catalog.pg_trigger g WHERE g.tgrelid = $1)) x\n"
    " ORDER BY x.text";

/* ---- all of it ---- */

static const char *const QUESTIONS[] = {SQL_OWNER, SQL_GRANTS, SQL_COMMENTS, SQL_DEFAULTS,
    SQL_CHECKS, SQL_SEQUENCES, SQL_OUTGOING, SQL_INCOMING, SQL_TRIGGERS, SQL_VIEWS, SQL_REFUSED,
    SQL_LOST_INDEXES, SQL_LOST_COLUMNS, SQL_LOST_REST, SQL_LOST_BESIDE};
#define QUESTION_COUNT (sizeof(QUESTIONS) / sizeof(QUESTIONS[0]))

static CarryKind
parse_kind(const char *name)
{
    int kind = 0;
    while (kind < CARRY_LOST && strcmp(name, carrykind_name((CarryKind)kind)) != 0) {
        kind++;
    }
    return (CarryKind)kind;
}

static void
take_rows(const PgResult *result, CarryKind kind, Arena *arena, CarryItem *items, int *count)
{
    for (int i = 0; i < result_rows(result); i++) {
        if (parse_kind(result_text(result, i, 0)) != kind) {
            continue;
        }
        items[(*count)++] = (CarryItem){
            .kind = kind,
            .name = result_dup(result, i, 1, arena),
            .column = result_dup(result, i, 2, arena),
            .relation = result_dup(result, i, 3, arena),
            .text = result_dup(result, i, 4, arena),
            .extra = result_dup(result, i, 5, arena),
            .flag = result_bool(result, i, 6),
        };
    }
}

static bool
ask(PgConn *conn, const CarryQuestion *question, PgResult *results[], int *rows, Err *err)
{
    *rows = 0;
    for (size_t i = 0; i < QUESTION_COUNT; i++) {
        Params params = PARAMS_INIT;
        params_int(&params, question->source_oid);
        params_int(&params, question->into_oid);
        params_text(&params, question->source_columns);
        params_text(&params, question->into_columns);
        params_text(&params, question->old_name);
        if (!query_with(conn, QUESTIONS[i], &params, &results[i], err)) {
            return err_wrap(err, "look for what belongs to the table");
        }
        *rows += result_rows(results[i]);
    }
    return true;
}

bool
catalog_read_carry(PgConn *conn, const CarryQuestion *question, Arena *arena, CarryItem **items,
    int *count, Err *err)
{
    PgResult *results[QUESTION_COUNT] = {NULL};
    int rows = 0;
    *count = 0;
    bool ok = ask(conn, question, results, &rows, err);
    if (ok) {
        *items = arena_alloc(arena, (size_t)rows * sizeof(**items));
    }
    for (int kind = 0; ok && kind < CARRY_KIND_COUNT; kind++) {
        for (size_t i = 0; i < QUESTION_COUNT; i++) {
            take_rows(results[i], (CarryKind)kind, arena, *items, count);
        }
    }
    for (size_t i = 0; i < QUESTION_COUNT; i++) {
        result_free(results[i]);
    }
    return ok;
}

/* Referred-to tables only where the role may lock them, which it need not to drop the foreign key.
 * To change nobody's mind about its owner is how a view alone is locked: LOCK TABLE goes on to all
 * that the view reads. */
static const char SQL_NEIGHBOURS[] =
    "SELECT false, " QUALIFIED "\n"
    "  FROM pg_catalog.pg_constraint k\n"
    "  JOIN pg_catalog.pg_class c\n"
    "    ON c.oid = CASE k.confrelid WHEN $1 THEN k.conrelid ELSE k.confrelid END\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE $1::pg_catalog.oid IN (k.confrelid, k.conrelid) AND k.conrelid <> k.confrelid\n"
    "   AND k.contype = 'f' AND k.conparentid = 0\n"
    "   AND (k.confrelid = $1\n"
    "        OR pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'))\n"
    " UNION\n"
    "SELECT true, pg_catalog.format('ALTER VIEW %I.%I OWNER TO %I', n.nspname, c.relname,\n"
    "           pg_catalog.pg_get_userbyid(c.relowner))\n"
    "  FROM pg_catalog.pg_depend d\n"
    "  JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = w.ev_class\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refobjid = $1\n"
    "   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.relkind = 'v'\n"
    "   AND pg_catalog.pg_has_role(c.relowner, 'USAGE')\n"
    " ORDER BY 1, 2";

bool
catalog_neighbours(PgConn *conn, uint32_t table_oid, Arena *arena, Neighbours *neighbours, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, table_oid);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(conn, SQL_NEIGHBOURS, &params, &result, err)) {
        return err_wrap(err, "look for what is changed together with the table");
    }
    int rows = result_rows(result);
    const char **texts = arena_alloc(arena, (size_t)(rows + 1) * sizeof(*texts));
    *neighbours = (Neighbours){.tables = texts};
    for (int i = 0; i < rows; i++) {
        texts[i] = result_dup(result, i, 1, arena);
        neighbours->table_count += result_bool(result, i, 0) ? 0 : 1;
    }
    neighbours->views = texts + neighbours->table_count;
    neighbours->view_count = rows - neighbours->table_count;
    return true;
}
