#include "core/sql_archive.h"

#include "core/sql_archive_children.h"
#include "core/sql_batch.h"
#include "core/sql_children.h"
#include "core/sql_frame.h"
#include "core/sql_parts.h"
#include "core/sql_pin.h"
#include "core/sql_relay.h"

/* ---- the transaction that reads ---- */

static void
put_config(StrBuf *out, const char *name, const char *value)
{
    strbuf_printf(out, ",\n       pg_catalog.set_config('%s', ", name);
    sql_put_literal(out, value);
    strbuf_puts(out, ", true)");
}

/* Of the transaction, not of the session, which a pooler may hand to somebody else. */
void
sql_archive_settings(StrBuf *out, const Plan *plan, int64_t job)
{
    uint32_t oid = plan->facts->table.oid;
    STRBUF_AUTO path = STRBUF_INIT;
    sql_put_search_path(&path, plan);
    sql_relay_bounds(out);
    strbuf_printf(out,
        ",\n       pg_catalog.pg_relation_filenode(%u)::pg_catalog.int8"
        ",\n       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a\n"
        "         WHERE a.attrelid = %u::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped)"
        ",\n       (SELECT c.relnatts FROM pg_catalog.pg_class AS c WHERE c.oid = "
        "%u::pg_catalog.oid)"
        ",\n       (SELECT pg_catalog.set_config('pghaul.now', j.pinned::pg_catalog.text, true)\n"
        "          FROM pghaul.job AS j WHERE j.id = %lld)"
        ",\n       pg_catalog.set_config('pghaul.held', COALESCE($3::pg_catalog.text, '{}'), true)",
        oid, oid, oid, (long long)job);
    put_config(out, "search_path", strbuf_text(&path));
    put_config(out, "DateStyle", "ISO, YMD");
    put_config(out, "IntervalStyle", "postgres");
    put_config(out, "TimeZone", "UTC");
    put_config(out, "extra_float_digits", "3");
    put_config(out, "bytea_output", "hex");
    put_config(out, "lc_monetary", "C"); /* its digits are those of a locale */
    put_config(out, "xmloption", "content");
    put_config(out, "transform_null_equals", "off");
    put_config(out, "enable_seqscan", "off");
    put_config(out, "enable_bitmapscan", "off");
    put_config(out, "plan_cache_mode", "force_custom_plan");
    put_config(out, "jit", "off");
    put_config(out, "max_parallel_workers_per_gather", "0");
}

bool
sql_archive_has(const ColumnFacts *column)
{
    return !column->generated;
}

static void
put_system_column(StrBuf *out, const Plan *plan, const char *column, const char *name)
{
    sql_put_column(out, plan, column);
    strbuf_printf(out, " AS %s", name);
}

/* The next rows between the bounds. */
void
sql_put_archive_rows(StrBuf *out, const Plan *plan, const ArchiveRows *rows)
{
    strbuf_puts(out, "\n  FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n WHERE true");
    if (!rows->from_open) {
        sql_put_setting_bound(out, plan, "from", ">");
    }
    if (!rows->to_open) {
        sql_put_setting_bound(out, plan, "to", "<=");
    }
    sql_put_pinned_where(out, plan, SQL_PIN_SETTING);
    if (rows->around) {
        strbuf_puts(out, "\n   AND ");
        sql_put_column(out, plan, "ctid");
        strbuf_puts(out, " <> ALL ((SELECT pg_catalog.current_setting('pghaul.held')"
                         "::pg_catalog.tid[])::pg_catalog.tid[])");
    }
    strbuf_puts(out, "\n ORDER BY ");
    sql_put_key_list(out, plan);
    if (rows->rows_most > 0) {
        strbuf_printf(out, "\n LIMIT %lld", (long long)rows->rows_most);
    }
}

void
sql_archive_read(StrBuf *out, const Plan *plan, const ArchiveRows *rows)
{
    strbuf_puts(out, "COPY (SELECT ");
    put_system_column(out, plan, "ctid", "pghaul_tid");
    strbuf_puts(out, ", ");
    put_system_column(out, plan, "xmin", "pghaul_xid");
    for (int i = 0; i < plan->facts->column_count; i++) {
        if (sql_archive_has(&plan->facts->columns[i])) {
            strbuf_puts(out, ", ");
            sql_put_column(out, plan, plan->facts->columns[i].name);
        }
    }
    sql_put_archive_rows(out, plan, rows);
    strbuf_puts(out, plan->purge->child_count == 0 ? ") TO STDOUT; COMMIT" : ") TO STDOUT");
}

void
sql_archive_held(StrBuf *out, const Plan *plan, const ArchiveRows *rows)
{
    strbuf_puts(out, "WITH pghaul_some AS MATERIALIZED (\nSELECT ");
    put_system_column(out, plan, "ctid", "pghaul_tid");
    strbuf_puts(out, ", ");
    put_system_column(out, plan, "xmax", "pghaul_xid");
    strbuf_puts(out, ", ");
    sql_put_key_text(out, plan);
    strbuf_puts(out, " AS pghaul_key,\n       pg_catalog.row_number() OVER (ORDER BY ");
    sql_put_key_list(out, plan);
    strbuf_puts(out, ") AS pghaul_no");
    sql_put_archive_rows(out, plan, rows);
    strbuf_puts(out, "),\npghaul_free AS MATERIALIZED (\nSELECT ");
    put_system_column(out, plan, "ctid", "pghaul_tid");
    strbuf_puts(out, "\n  FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n WHERE ");
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, " = ANY (ARRAY(SELECT s.pghaul_tid FROM pghaul_some AS s))\n"
                     "   FOR UPDATE SKIP LOCKED)");
    sql_put_archive_chain(out, plan);
    strbuf_puts(out,
        ",\npghaul_held AS (\n"
        "SELECT s.pghaul_tid, s.pghaul_xid FROM pghaul_some AS s\n"
        " WHERE NOT EXISTS (SELECT FROM pghaul_free AS f WHERE f.pghaul_tid = s.pghaul_tid)");
    sql_put_archive_chain_held(out, plan);
    strbuf_puts(out,
        ")\nSELECT (SELECT pg_catalog.count(*) FROM pghaul_some),\n"
        "       (SELECT s.pghaul_key FROM pghaul_some AS s ORDER BY s.pghaul_no DESC LIMIT 1),\n"
        "       (SELECT pg_catalog.array_agg(DISTINCT h.pghaul_tid) FROM pghaul_held AS h),\n"
        "       (SELECT pg_catalog.count(DISTINCT h.pghaul_tid) FROM pghaul_held AS h),\n"
        "       (SELECT pg_catalog.array_agg(DISTINCT l.pid) FROM pg_catalog.pg_locks AS l\n"
        "         WHERE l.locktype = 'transactionid' AND l.granted\n"
        "           AND l.transactionid IN (SELECT h.pghaul_xid FROM pghaul_held AS h))");
}

/* ---- the transaction that deletes ---- */

/* The key of the last row; while that is as it was read, it is where the batch ended. */
static void
put_end(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    -- 2 the end of the batch\n"
                     "    pghaul_last := $8;\n"
                     "    pghaul_end := $13;\n"
                     "    IF NOT pghaul_last AND pghaul_end IS NULL THEN\n"
                     "        SELECT ");
    sql_put_key_text(out, plan);
    strbuf_puts(out, " INTO pghaul_end\n          FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n         WHERE ");
    sql_put_column(out, plan, "ctid");
    strbuf_printf(out, " = $11[$14[%d]];\n", ARCHIVE_NUMBER_ROWS);
    strbuf_puts(out, "    END IF;\n"
                     "    IF NOT pghaul_last THEN\n"
                     "        pghaul_high := pghaul_end;\n"
                     "    END IF;\n");
    sql_put_key_bounds(out, plan);
}

/*
 * The row versions that were read.
 *
 * A line pointer is used again only for a row that was inserted after the old one was of no use to
 * any snapshot, so after our reading; and what inserts then had not committed before, as every xmin
 * of the rows that were read had.  So `ctid is one of those, and xmin is one of those` is the pair,
 * in the same file of the table, and the server need not join two lists.  The test of xmin is also
 * what a version fails that an update leaves behind while we wait for it.
 */
static void
put_versions(StrBuf *out, const Plan *plan)
{
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n         WHERE ");
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, " = ANY ($11)\n           AND ");
    sql_put_column(out, plan, "xmin");
    strbuf_puts(out, " = ANY ($12)");
    sql_put_where(out, plan);
}

static void
put_raise(StrBuf *out, const char *state, const char *message)
{
    strbuf_printf(out, "RAISE EXCEPTION USING ERRCODE = '%s',\n                MESSAGE = '%s';\n",
        state, message);
}

/* A row that is there and stays is kept by a trigger; of any other the application was faster. */
static void
put_delete(StrBuf *out, const Plan *plan)
{
    /* Thousands of ctids cost more to be looked at by the planner than a general plan for any. */
    strbuf_puts(out, "    -- 3 the rows\n"
                     "    IF $14 IS NOT NULL THEN\n"
                     "        PERFORM pg_catalog.set_config('plan_cache_mode', 'auto', true);\n"
                     "        DELETE FROM ");
    put_versions(out, plan);
    strbuf_puts(out, ";\n"
                     "        GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n"
                     "        IF pghaul_rows <> pg_catalog.cardinality($11) THEN\n"
                     "            PERFORM 1 FROM ");
    put_versions(out, plan);
    strbuf_puts(out, ";\n            IF FOUND THEN\n                ");
    put_raise(out, "PH004", "a trigger keeps rows from being deleted");
    strbuf_puts(out, "            END IF;\n            ");
    put_raise(out, "PH005", "rows were changed since they were archived");
    strbuf_puts(out, "        END IF;\n"
                     "    END IF;\n");
}

/* Ctids are of the file that was read; a rewrite deals them out anew, to rows of the same xmin. And
 * a column that was added has values that nobody wrote down. */
static void
put_file_guard(StrBuf *out, const Plan *plan)
{
    uint32_t oid = plan->facts->table.oid;
    strbuf_printf(out,
        "    IF pg_catalog.pg_relation_filenode(%u)::pg_catalog.int8 IS DISTINCT FROM $10\n"
        "        OR (SELECT c.relnatts FROM pg_catalog.pg_class AS c WHERE c.oid = "
        "%u::pg_catalog.oid) <> $14[7]\n"
        "    THEN\n        ",
        oid, oid);
    put_raise(out, "PH005", "the table was altered since its rows were archived");
    strbuf_puts(out, "    END IF;\n");
}

/* The primary key decides: whoever doubts what became of this frame has inserted a void one. */
static void
put_frame(StrBuf *out, int64_t job)
{
    strbuf_printf(out,
        "    IF $14 IS NOT NULL THEN\n"
        "        INSERT INTO pghaul.archive_frame AS f (job, file, no, fate, run, pass, range,\n"
        "            rows, at, bytes, raw_bytes, hash)\n"
        "        VALUES (%lld, $14[1], $14[2], 'committed', $14[3], $4, $1, pghaul_rows,\n"
        "            $14[4], $14[5], $14[6], pg_catalog.substr($15, 1, 32));\n"
        "    END IF;\n",
        (long long)job);
}

void
sql_archive_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    bool alone = plan->purge->child_count == 0;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    if (!alone) {
        strbuf_puts(&body, "    pghaul_tids pg_catalog.tid[];\n");
    }
    sql_put_children_declare(&body, plan);
    strbuf_puts(&body, "BEGIN\n");
    sql_put_frame_claim(&body, job);
    sql_put_frame_pin(&body, job);
    sql_put_table_lock(&body, plan);
    sql_put_children_table_lock(&body, plan);
    put_end(&body, plan);
    if (alone) {
        put_delete(&body, plan);
    } else {
        sql_put_archive_children_delete(&body, plan);
    }
    strbuf_puts(&body, "    pghaul_left := $7;\n    pghaul_holders := $16;\n");
    sql_put_frame_guards(&body, plan, job, SLICE_KEY);
    sql_put_children_guards(&body, plan);
    put_file_guard(&body, plan);
    put_frame(&body, job);
    sql_put_archive_children_frames(&body, plan, job);
    sql_put_frame_checkpoint(&body, plan, job, SLICE_KEY);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "move", job, SLICE_KEY, strbuf_text(&body));
}
