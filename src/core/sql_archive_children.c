#include "core/sql_archive_children.h"

#include <stdio.h>

#include "core/sql_children.h"
#include "core/sql_parts.h"

static const ChildNode *
node_at(const Plan *plan, int node)
{
    return &plan->purge->children[node];
}

/* $14[..] of the table with this number in the archive. */
static int
number_at(int table, ArchiveNumber number)
{
    return table * ARCHIVE_NUMBERS + (int)number;
}

/* ---- the transaction that reads ---- */

void
sql_archive_child_settings(StrBuf *out, const ChildNode *node)
{
    strbuf_printf(out,
        "SELECT COALESCE(pg_catalog.pg_relation_filenode(c.oid), 0)::pg_catalog.int8,\n"
        "       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a\n"
        "         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
        "           AND a.attgenerated = ''),\n"
        "       c.relnatts\n"
        "  FROM pg_catalog.pg_class AS c WHERE c.oid = %u::pg_catalog.oid",
        node->table->oid);
}

/* ARRAY(..) of the places of a node's rows: those that refer to their parents' places. */
static void
put_places(StrBuf *out, const Plan *plan, int node, const ArchiveRows *rows)
{
    if (node == CHILD_OF_JOB) {
        strbuf_puts(out, "ARRAY(SELECT ");
        sql_put_column(out, plan, "ctid");
        sql_put_archive_rows(out, plan, rows);
        strbuf_puts(out, ")");
        return;
    }
    const ChildNode *child = node_at(plan, node);
    strbuf_puts(out, "ARRAY(");
    for (int i = 0; i < child->link_count; i++) {
        STRBUF_AUTO parents = STRBUF_INIT;
        put_places(&parents, plan, child->links[i].parent, rows); /* NOLINT(misc-no-recursion) */
        strbuf_printf(out, "%sSELECT pghaul_child.ctid\n", i == 0 ? "" : "\n UNION ");
        sql_put_children_of(out, plan, child, &child->links[i], strbuf_text(&parents), NULL);
    }
    strbuf_puts(out, ")");
}

void
sql_archive_read_child(StrBuf *out, const Plan *plan, int node, const ArchiveRows *rows)
{
    const ChildTable *table = node_at(plan, node)->table;
    strbuf_puts(out, "COPY (SELECT pghaul_child.ctid, pghaul_child.xmin");
    for (int i = 0; i < table->column_count; i++) {
        if (!table->columns[i].generated) {
            strbuf_puts(out, ", pghaul_child.");
            sql_put_ident(out, table->columns[i].name);
        }
    }
    strbuf_puts(out, "\n  FROM ");
    sql_put_child_table(out, node_at(plan, node));
    strbuf_puts(out, "\n WHERE pghaul_child.ctid = ANY (");
    put_places(out, plan, node, rows);
    strbuf_puts(out, ")) TO STDOUT");
}

/* ---- rows that somebody holds ---- */

/* Rows of one key, each with the row of the job's table that it comes from. */
static void
put_chain_link(StrBuf *out, const Plan *plan, const ChildNode *node, const ChildLink *link)
{
    bool of_job = link->parent == CHILD_OF_JOB;
    char parent[32] = "pghaul_some";
    if (!of_job) {
        (void)snprintf(parent, sizeof(parent), "pghaul_a%d", link->parent + 1);
    }
    STRBUF_AUTO places = STRBUF_INIT;
    strbuf_printf(&places, "ARRAY(SELECT s.pghaul_tid FROM %s AS s)", parent);
    strbuf_printf(out,
        "SELECT c.pghaul_tid, c.pghaul_xid, p.%s AS pghaul_root\n"
        "  FROM (SELECT pghaul_child.ctid AS pghaul_tid, pghaul_child.xmax AS pghaul_xid,\n"
        "               pghaul_parent.ctid AS pghaul_up\n",
        of_job ? "pghaul_tid" : "pghaul_root");
    sql_put_children_of(out, plan, node, link, strbuf_text(&places), NULL);
    strbuf_printf(out, ") AS c\n  JOIN %s AS p ON p.pghaul_tid = c.pghaul_up", parent);
}

/* pghaul_a1.. has the rows of each node; of them pghaul_f1.. are held by nobody. */
void
sql_put_archive_chain(StrBuf *out, const Plan *plan)
{
    for (int i = 0; i < plan->purge->child_count; i++) {
        const ChildNode *node = node_at(plan, i);
        strbuf_printf(out, ",\npghaul_a%d AS MATERIALIZED (\n", i + 1);
        for (int k = 0; k < node->link_count; k++) {
            strbuf_puts(out, k == 0 ? "" : "\n UNION ALL\n");
            put_chain_link(out, plan, node, &node->links[k]);
        }
        strbuf_printf(out,
            "),\npghaul_f%d AS MATERIALIZED (\n"
            "SELECT pghaul_child.ctid AS pghaul_tid\n  FROM ",
            i + 1);
        sql_put_child_table(out, node);
        strbuf_printf(out,
            "\n WHERE pghaul_child.ctid = ANY (ARRAY(SELECT a.pghaul_tid FROM pghaul_a%d AS a))\n"
            "   FOR UPDATE SKIP LOCKED)",
            i + 1);
    }
}

void
sql_put_archive_chain_held(StrBuf *out, const Plan *plan)
{
    for (int i = 0; i < plan->purge->child_count; i++) {
        strbuf_printf(out,
            "\n UNION ALL\nSELECT a.pghaul_root, a.pghaul_xid FROM pghaul_a%d AS a\n"
            " WHERE NOT EXISTS (SELECT FROM pghaul_f%d AS f WHERE f.pghaul_tid = a.pghaul_tid)",
            i + 1, i + 1);
    }
}

/* ---- the transaction that deletes ---- */

/* $11[first : first + rows - 1] of a table. */
static void
put_part(StrBuf *out, int parameter, int table, ArchiveNumber first, ArchiveNumber count)
{
    strbuf_printf(out, "$%d[$14[%d] : $14[%d] + $14[%d] - 1]", parameter, number_at(table, first),
        number_at(table, first), number_at(table, count));
}

/* The row `alias` is one of the versions that were read. */
static void
put_is_version(StrBuf *out, const char *alias, int table)
{
    strbuf_printf(out, "%s.ctid = ANY (", alias);
    put_part(out, 11, table, ARCHIVE_NUMBER_FIRST, ARCHIVE_NUMBER_ROWS);
    strbuf_printf(out, ")\n           AND %s.xmin = ANY (", alias);
    put_part(out, 12, table, ARCHIVE_NUMBER_FIRST_XID, ARCHIVE_NUMBER_XIDS);
    strbuf_puts(out, ")");
}

static void
put_changed(StrBuf *out)
{
    strbuf_puts(out, " THEN\n"
                     "            RAISE EXCEPTION USING ERRCODE = 'PH005',\n"
                     "                MESSAGE = 'rows were changed since they were archived';\n"
                     "        END IF;\n");
}

static void
put_lock_rows(StrBuf *out, const Plan *plan)
{
    STRBUF_AUTO alias = STRBUF_INIT;
    sql_put_ident(&alias, plan->facts->table.name);
    strbuf_puts(out, "        pghaul_tids := ARRAY(SELECT ");
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, "\n          FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n         WHERE ");
    put_is_version(out, strbuf_text(&alias), 0);
    sql_put_where(out, plan);
    strbuf_puts(out, "\n         ORDER BY ");
    sql_put_key_list(out, plan);
    strbuf_puts(out, "\n           FOR UPDATE);\n");
}

/* What is locked is what was read, in the file and with the columns that it was read from. */
static void
put_compare_child(StrBuf *out, const Plan *plan, int node, int table)
{
    const ChildNode *child = node_at(plan, node);
    int rows = number_at(table, ARCHIVE_NUMBER_ROWS);
    strbuf_printf(out,
        "        IF pg_catalog.cardinality(pghaul_c%d) <> $14[%d]\n"
        "            OR pg_catalog.cardinality(pghaul_c%d) > 0 AND (\n"
        "            pg_catalog.pg_relation_filenode(%u)::pg_catalog.int8 <> $14[%d]\n"
        "            OR (SELECT c.relnatts FROM pg_catalog.pg_class AS c WHERE c.oid = "
        "%u::pg_catalog.oid)\n"
        "               <> $14[%d]\n"
        "            OR (SELECT pg_catalog.count(*) FROM ",
        node + 1, rows, node + 1, child->table->oid, number_at(table, ARCHIVE_NUMBER_FILENODE),
        child->table->oid, number_at(table, ARCHIVE_NUMBER_ATTRIBUTES));
    sql_put_child_table(out, child);
    strbuf_printf(out, "\n         WHERE pghaul_child.ctid = ANY (pghaul_c%d) AND ", node + 1);
    put_is_version(out, "pghaul_child", table);
    strbuf_printf(out, ") <> $14[%d])", rows);
    put_changed(out);
}

void
sql_put_archive_children_delete(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    -- 3 the rows\n"
                     "    IF $14 IS NOT NULL THEN\n");
    put_lock_rows(out, plan);
    sql_put_lock_children(out, plan, false);
    strbuf_printf(out, "        IF pg_catalog.cardinality(pghaul_tids) <> $14[%d]",
        number_at(0, ARCHIVE_NUMBER_ROWS));
    put_changed(out);
    int table = 0;
    for (int i = 0; i < plan->purge->child_count; i++) {
        if (node_at(plan, i)->deleted) {
            put_compare_child(out, plan, i, ++table);
        }
    }
    sql_put_delete_children(out, plan);
    strbuf_puts(out, "        DELETE FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n         WHERE ");
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, " = ANY (pghaul_tids);\n"
                     "        GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n"
                     "        IF pghaul_rows <> pg_catalog.cardinality(pghaul_tids) THEN\n"
                     "            RAISE EXCEPTION USING ERRCODE = 'PH004',\n"
                     "                MESSAGE = 'a trigger keeps rows from being deleted';\n"
                     "        END IF;\n"
                     "    END IF;\n");
}

void
sql_put_archive_children_frames(StrBuf *out, const Plan *plan, int64_t job)
{
    int table = 0;
    for (int i = 0; i < plan->purge->child_count; i++) {
        if (!node_at(plan, i)->deleted) {
            continue;
        }
        int at = ++table * ARCHIVE_NUMBERS;
        strbuf_printf(out,
            "    IF $14[%d] > 0 THEN\n"
            "        INSERT INTO pghaul.archive_frame AS f (job, file, no, fate, run, pass, "
            "range,\n"
            "            rows, at, bytes, raw_bytes, hash)\n"
            "        VALUES (%lld, $14[%d], $14[%d], 'committed', $14[%d], $4, $1, $14[%d],\n"
            "            $14[%d], $14[%d], $14[%d], pg_catalog.substr($15, %d, 32));\n"
            "    END IF;\n",
            at + ARCHIVE_NUMBER_FILE, (long long)job, at + ARCHIVE_NUMBER_FILE,
            at + ARCHIVE_NUMBER_FRAME, at + ARCHIVE_NUMBER_RUN, at + ARCHIVE_NUMBER_ROWS,
            at + ARCHIVE_NUMBER_AT, at + ARCHIVE_NUMBER_BYTES, at + ARCHIVE_NUMBER_RAW_BYTES,
            table * 32 + 1);
    }
}
