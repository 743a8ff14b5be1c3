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

/* "a", "b": what the table that keeps the rows gets. */
static void
put_kept_columns(StrBuf *out, const Plan *plan, const char *alias)
{
    const char *separator = "";
    for (int i = 0; i < plan->facts->column_count; i++) {
        const ColumnFacts *column = &plan->facts->columns[i];
        if (!column->generated) {
            strbuf_printf(out, "%s%s", separator, alias);
            sql_put_ident(out, column->name);
            separator = ", ";
        }
    }
}

/* One statement: a row is in one of the two tables, whoever looks. */
static void
put_move(StrBuf *out, const Plan *plan, const char *predicate)
{
    STRBUF_AUTO table = STRBUF_INIT;
    sql_put_ident(&table, plan->facts->table.name);
    strbuf_putc(&table, '.');
    strbuf_puts(out, "    WITH pghaul_gone AS (\n    DELETE FROM ");
    sql_put_only_table(out, plan);
    strbuf_printf(out, "\n     WHERE %s\n RETURNING ", predicate);
    put_kept_columns(out, plan, strbuf_text(&table));
    strbuf_puts(out, "), pghaul_came AS (\n    INSERT INTO ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " (");
    put_kept_columns(out, plan, "");
    strbuf_puts(out, ") OVERRIDING SYSTEM VALUE\n    SELECT ");
    put_kept_columns(out, plan, "g.");
    strbuf_puts(out,
        "\n      FROM pghaul_gone AS g RETURNING 1)\n"
        "    SELECT (SELECT pg_catalog.count(*) FROM pghaul_gone),\n"
        "           (SELECT pg_catalog.count(*) FROM pghaul_came)\n"
        "      INTO pghaul_rows, pghaul_kept;\n"
        "    IF pghaul_kept <> pghaul_rows THEN\n"
        "        RAISE EXCEPTION USING ERRCODE = 'PH004',\n"
        "            MESSAGE = 'the table that keeps the rows did not take all of them',\n"
        "            HINT = 'A trigger there returns NULL, or a rule does something else.';\n"
        "    END IF;\n");
}

static void
put_delete(StrBuf *out, const Plan *plan, const char *predicate)
{
    if (plan->purge->into != NULL) {
        put_move(out, plan, predicate);
        return;
    }
    strbuf_puts(out, "    DELETE FROM ");
    sql_put_only_table(out, plan);
    strbuf_printf(
        out, "\n     WHERE %s;\n    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n", predicate);
}

static void
put_lock_rows(StrBuf *out, const Plan *plan, const char *predicate, bool skips)
{
    strbuf_puts(out, "    pghaul_tids := ARRAY(SELECT ");
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, "\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_printf(out, "\n     WHERE %s\n     ORDER BY ", predicate);
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
                     "        pghaul_holders := pg_catalog.array_cat(pghaul_holders, ARRAY(\n"
                     "        SELECT DISTINCT l.pid FROM pg_catalog.pg_locks AS l\n"
                     "         WHERE l.locktype = 'transactionid' AND l.granted\n"
                     "           AND l.pid <> pg_catalog.pg_backend_pid()\n"
                     "           AND l.transactionid IN (SELECT s.pghaul_xid FROM (SELECT ");
    sql_put_column(out, plan, "xmax");
    strbuf_puts(out, " AS pghaul_xid\n          FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_batch_rows(out, plan);
    strbuf_puts(out, "\n         LIMIT 100) AS s)));\n    END IF;\n");
}

/*
 * Fewer rows are gone than were locked.  A predicate that reads other tables may have turned false
 * meanwhile: such rows stay, but rows that refer to them must stay as well.
 */
static void
put_compare_counts(StrBuf *out, const Plan *plan, const char *locked)
{
    strbuf_puts(out, "    IF pghaul_rows <> pg_catalog.cardinality(pghaul_tids) THEN\n"
                     "        PERFORM FROM ");
    sql_put_only_table(out, plan);
    strbuf_printf(out,
        "\n     WHERE %s;\n"
        "        IF FOUND THEN\n"
        "            RAISE EXCEPTION USING ERRCODE = 'PH004',\n"
        "                MESSAGE = 'rows were kept from being deleted',\n"
        "                HINT = 'A BEFORE DELETE trigger returns NULL for them: leave such rows '\n"
        "                    'out by where:, or disable the trigger.';\n"
        "        END IF;\n",
        locked);
    if (plan->purge->child_count > 0) {
        strbuf_puts(out, "        RAISE EXCEPTION USING ERRCODE = 'PH005',\n"
                         "            MESSAGE = 'rows do not match any more';\n");
    }
    strbuf_puts(out, "    END IF;\n");
}

/*
 * Lock first, delete in the next statement: its fresh snapshot sees the very versions that are
 * locked, and the predicate is asked of them once more.
 */
static void
put_delete_locked(StrBuf *out, const Plan *plan, const char *predicate, bool skips)
{
    STRBUF_AUTO locked = STRBUF_INIT;
    sql_put_column(&locked, plan, "ctid");
    strbuf_puts(&locked, " = ANY (pghaul_tids)");
    if (plan->purge->child_count == 0) { /* else it was judged when its children were there */
        sql_put_where(&locked, plan);
    }
    put_lock_rows(out, plan, predicate, skips);
    sql_put_lock_children(out, plan, skips);
    sql_put_delete_children(out, plan);
    put_delete(out, plan, strbuf_text(&locked));
    put_compare_counts(out, plan, strbuf_text(&locked));
}

void
sql_put_purge_declare(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    pghaul_tids pg_catalog.tid[];\n");
    if (plan->purge->into != NULL) {
        strbuf_puts(out, "    pghaul_kept pg_catalog.int8;\n");
    }
    sql_put_children_declare(out, plan);
}

void
sql_put_delete_row(StrBuf *out, const Plan *plan, const char *is_row)
{
    STRBUF_AUTO predicate = STRBUF_INIT;
    strbuf_puts(&predicate, is_row);
    sql_put_where(&predicate, plan);
    put_delete_locked(out, plan, strbuf_text(&predicate), false);
}

static void
put_rows(StrBuf *out, const Plan *plan)
{
    STRBUF_AUTO rows = STRBUF_INIT;
    put_batch_rows(&rows, plan);
    strbuf_puts(out, "    -- 3 the rows\n    IF $8 THEN\n    pghaul_holders := '{}';\n");
    put_delete_locked(out, plan, strbuf_text(&rows), true);
    put_left(out, plan);
    strbuf_puts(out, "    ELSE\n");
    if (plan->purge->counts_locked) {
        put_delete_locked(out, plan, strbuf_text(&rows), false);
    } else {
        put_delete(out, plan, strbuf_text(&rows));
    }
    strbuf_puts(out, "    END IF;\n");
}

void
sql_delete_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    sql_put_purge_declare(&body, plan);
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
