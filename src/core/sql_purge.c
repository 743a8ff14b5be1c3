/*
 * sql_purge.c - the batch of a purge: the frame of every batch, and a DELETE in it.
 */
#include "core/sql_purge.h"

#include "core/sql_batch.h"
#include "core/sql_children.h"
#include "core/sql_frame.h"
#include "core/sql_parts.h"

/* The rows of the batch: slice and the job's predicate. */
static void
put_batch_rows(StrBuf *out, const Plan *plan)
{
    sql_put_slice(out, plan, SLICE_KEY);
    sql_put_where(out, plan);
}

static void
put_delete(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    DELETE FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
}

static void
put_delete_plain(StrBuf *out, const Plan *plan)
{
    put_delete(out, plan);
    put_batch_rows(out, plan);
    strbuf_puts(out, ";\n    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n");
}

static void
put_lock_rows(StrBuf *out, const Plan *plan, bool skips)
{
    strbuf_puts(out, "    pghaul_tids := ARRAY(SELECT ");
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, "\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_batch_rows(out, plan);
    strbuf_puts(out, "\n     ORDER BY ");
    sql_put_key_list(out, plan);
    strbuf_printf(out, "\n       FOR UPDATE%s);\n", skips ? " SKIP LOCKED" : "");
}

/* Rows that are still there and match.  Those whose children somebody holds are locked by us. */
static void
put_left(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    SELECT pg_catalog.count(*) INTO pghaul_left\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_batch_rows(out, plan);
    strbuf_puts(out, ";\n    IF pghaul_left > 0 THEN\n"
                     "        pghaul_holders := pghaul_holders || ARRAY(\n"
                     "        SELECT DISTINCT l.pid FROM pg_catalog.pg_locks AS l\n"
                     "         WHERE l.locktype = 'transactionid' AND l.granted\n"
                     "           AND l.pid <> pg_catalog.pg_backend_pid()\n"
                     "           AND l.transactionid IN (SELECT s.pghaul_xid FROM (SELECT ");
    sql_put_column(out, plan, "xmax");
    strbuf_puts(out, " AS pghaul_xid\n          FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_batch_rows(out, plan);
    strbuf_puts(out, "\n         LIMIT 100) AS s));\n    END IF;\n");
}

/*
 * Lock first, delete in the next statement: its fresh snapshot sees the very versions that are
 * locked, and the predicate is asked of them once more.
 */
static void
put_delete_locked(StrBuf *out, const Plan *plan, bool skips)
{
    put_lock_rows(out, plan, skips);
    sql_put_lock_children(out, plan, skips);
    sql_put_delete_children(out, plan);
    put_delete(out, plan);
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, " = ANY (pghaul_tids)");
    sql_put_where(out, plan);
    strbuf_puts(out, ";\n    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n"
                     "    IF pghaul_rows <> pg_catalog.cardinality(pghaul_tids) THEN\n"
                     "        RAISE EXCEPTION USING ERRCODE = 'PH004',\n"
                     "            MESSAGE = 'rows were kept from being deleted';\n"
                     "    END IF;\n");
    if (skips) {
        put_left(out, plan);
    }
}

static void
put_rows(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    -- 3 the rows\n    IF $8 THEN\n    pghaul_holders := '{}';\n");
    put_delete_locked(out, plan, true);
    strbuf_puts(out, "    ELSE\n");
    if (plan->purge->counts_locked) {
        put_delete_locked(out, plan, false);
    } else {
        put_delete_plain(out, plan);
    }
    strbuf_puts(out, "    END IF;\n");
}

void
sql_delete_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    strbuf_puts(&body, "    pghaul_tids pg_catalog.tid[];\n");
    sql_put_children_declare(&body, plan);
    strbuf_puts(&body, "BEGIN\n");
    sql_put_frame_claim(&body, job);
    sql_put_frame_pin(&body, job);
    sql_put_table_lock(&body, plan);
    sql_put_children_table_lock(&body, plan);
    sql_put_frame_slice(&body, plan, SLICE_KEY, "$7");
    put_rows(&body, plan);
    sql_put_frame_guards(&body, plan, job, SLICE_KEY);
    sql_put_children_guards(&body, plan);
    sql_put_frame_checkpoint(&body, plan, job, SLICE_KEY);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "move", job, SLICE_KEY, strbuf_text(&body));
}
