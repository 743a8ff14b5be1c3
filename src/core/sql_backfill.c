/*
 * sql_backfill.c - the move and verify statements of a backfill.
 */
#include "core/sql_backfill.h"

#include <string.h>

#include "core/sql_batch.h"
#include "core/sql_frame.h"
#include "core/sql_parts.h"

static SliceKind
move_slice(const Plan *plan)
{
    return plan->path == PATH_BLOCK ? SLICE_BLOCK : SLICE_KEY;
}

/* ---- move ---- */

/*
 * The rows of the batch: slice, stripe, not set aside, the job's predicate, needs work.
 *
 * The planner orders predicates by cost, and an expression may look cheaper than the test for the
 * stripe; CASE keeps it from being evaluated for the rows of all other stripes, and for those that
 * are set aside because it raises for them.  The test for the stripe is there
 * also when the plan has one stripe: the range says how many it has, and a later run of the job may
 * carve ranges with more.
 */
static void
put_batch_rows(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    sql_put_slice(out, plan, kind);
    strbuf_puts(out, "\n       AND CASE WHEN ");
    sql_put_in_stripe(out, plan, kind, "$5", "pghaul_stripes");
    strbuf_puts(out, "\n       AND ");
    sql_put_not_aside(out, plan, job);
    strbuf_puts(out, "\n       THEN true");
    sql_put_where(out, plan);
    sql_put_needs_work(out, plan);
    strbuf_puts(out, "\n       ELSE false END");
}

void
sql_put_update(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    UPDATE ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n       SET ");
    sql_put_assignments(out, plan);
    strbuf_puts(out, "\n     WHERE ");
}

/*
 * Leave locked rows for a later visit.  Lock first, change in the next statement: its fresh
 * snapshot sees the very versions that are locked.
 */
static void
put_update_skipping(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    strbuf_puts(out, "    SELECT pg_catalog.array_agg(s.pghaul_tid) INTO pghaul_tids\n"
                     "      FROM (SELECT ");
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, " AS pghaul_tid\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_batch_rows(out, plan, job, kind);
    strbuf_puts(out, "\n       FOR NO KEY UPDATE SKIP LOCKED) AS s;\n");
    sql_put_update(out, plan);
    sql_put_column(out, plan, "ctid");
    strbuf_puts(out, " = ANY (pghaul_tids)");
    sql_put_where(out, plan);
    sql_put_needs_work(out, plan);
    strbuf_puts(out, ";\n"
                     "    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n"
                     "    SELECT pg_catalog.count(*) INTO pghaul_left\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_batch_rows(out, plan, job, kind);
    strbuf_puts(out, ";\n    IF pghaul_left > 0 THEN\n"
                     "        SELECT pg_catalog.array_agg(DISTINCT l.pid) INTO pghaul_holders\n"
                     "          FROM pg_catalog.pg_locks AS l\n"
                     "         WHERE l.locktype = 'transactionid' AND l.granted\n"
                     "           AND l.transactionid IN (SELECT s.pghaul_xid FROM (SELECT ");
    sql_put_column(out, plan, "xmax");
    strbuf_puts(out, " AS pghaul_xid\n          FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_batch_rows(out, plan, job, kind);
    strbuf_puts(out, "\n         LIMIT 100) AS s);\n    END IF;\n");
}

static void
put_update_plain(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    sql_put_update(out, plan);
    put_batch_rows(out, plan, job, kind);
    strbuf_puts(out, ";\n    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n");
}

static void
put_move_function(StrBuf *out, const Plan *plan, const char *what, int64_t job, SliceKind kind)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, kind);
    if (plan->may_skip_locked) {
        strbuf_puts(&body, "    pghaul_tids pg_catalog.tid[];\n");
    }
    strbuf_puts(&body, "BEGIN\n");
    sql_put_frame_claim(&body, job);
    sql_put_table_lock(&body, plan);
    /* By key a batch of one stripe walks over the keys of all of them. */
    sql_put_frame_slice(&body, plan, kind, kind == SLICE_KEY ? "$7 * pghaul_stripes" : "$7");
    strbuf_puts(&body, "    -- 3 the rows\n");
    if (plan->may_skip_locked) {
        strbuf_puts(&body, "    IF $8 THEN\n");
        put_update_skipping(&body, plan, job, kind);
        strbuf_puts(&body, "    ELSE\n");
        put_update_plain(&body, plan, job, kind);
        strbuf_puts(&body, "    END IF;\n");
    } else {
        put_update_plain(&body, plan, job, kind);
    }
    sql_put_frame_guards(&body, plan, job, kind);
    sql_put_frame_checkpoint(&body, plan, job, kind);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, what, job, kind, strbuf_text(&body));
}

void
sql_move_function(StrBuf *out, const Plan *plan, int64_t job)
{
    put_move_function(out, plan, "move", job, move_slice(plan));
}

void
sql_repair_function(StrBuf *out, const Plan *plan, int64_t job)
{
    put_move_function(out, plan, "repair", job, SLICE_KEY);
}

/* ---- verify ---- */

void
sql_put_differences(StrBuf *out, int64_t job)
{
    long long no = (long long)job;
    strbuf_printf(out,
        "    IF pghaul_differing > 0 THEN\n"
        "        UPDATE pghaul.ranges AS r SET differing = r.differing + pghaul_differing\n"
        "         WHERE r.job = %lld AND r.pass = $4 AND r.no = $1;\n"
        "        INSERT INTO pghaul.difference AS d (job, pass, key)\n"
        "        SELECT %lld, $4, ARRAY(SELECT pg_catalog.unnest(pghaul_keys[s.i:s.i]))\n"
        "          FROM pg_catalog.generate_subscripts(pghaul_keys, 1) AS s(i)\n"
        "            ON CONFLICT (job, pass, key) DO NOTHING;\n"
        "        pghaul_left := pghaul_differing;\n"
        "    END IF;\n",
        no, no);
}

void
sql_verify_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    strbuf_puts(&body, "    pghaul_differing pg_catalog.int8;\n"
                       "    pghaul_keys pg_catalog.text[];\n"
                       "BEGIN\n");
    sql_put_frame_claim(&body, job);
    sql_put_frame_slice(&body, plan, SLICE_KEY, "$7");
    strbuf_puts(&body,
        "    -- 3 one statement, one snapshot: a row is right or it is not\n"
        "    SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE s.pghaul_differs),\n"
        "           (pg_catalog.array_agg(s.pghaul_key) FILTER (WHERE s.pghaul_differs))[1:5]\n"
        "      INTO pghaul_rows, pghaul_differing, pghaul_keys\n"
        "      FROM (SELECT ");
    sql_put_key_text(&body, plan);
    strbuf_puts(&body, " AS pghaul_key,\n           ");
    sql_put_differs(&body, plan);
    strbuf_puts(&body, " AS pghaul_differs\n      FROM ");
    sql_put_only_table(&body, plan);
    strbuf_puts(&body, "\n     WHERE ");
    sql_put_slice(&body, plan, SLICE_KEY);
    strbuf_puts(&body, "\n       AND CASE WHEN ");
    sql_put_not_aside(&body, plan, job);
    strbuf_puts(&body, "\n       THEN true");
    sql_put_where(&body, plan);
    strbuf_puts(&body, "\n       ELSE false END OFFSET 0) AS s;\n");
    sql_put_frame_guards(&body, plan, job, SLICE_KEY);
    sql_put_frame_checkpoint(&body, plan, job, SLICE_KEY);
    sql_put_differences(&body, job);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "verify", job, SLICE_KEY, strbuf_text(&body));
}

/* ---- sync trigger ---- */

void
sql_sync_name(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_printf(out, PLAN_TRIGGER_PREFIX "%lld", (long long)job);
    if (plan->copy != NULL && plan->copy->remote) {
        strbuf_printf(out, "_%s", plan->fingerprint);
    }
}

static bool
all_immutable(const Plan *plan)
{
    for (int i = 0; i < plan->spec->set_count; i++) {
        if (!plan->exprs[i].immutable) {
            return false;
        }
    }
    return true;
}

/* When the expression fails, a column that may be NULL becomes NULL (verify finds the row); one
 * that may not keeps what the application gave it: its write never fails because of us. */
static void
put_sync_failed(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "        NULL;\n");
    for (int i = 0; i < plan->spec->set_count; i++) {
        const ColumnFacts *column = facts_column(plan->facts, plan->spec->set[i].column);
        if (column != NULL && !column->not_null) {
            strbuf_puts(out, "        NEW.");
            sql_put_ident(out, column->name);
            strbuf_puts(out, " := NULL;\n");
        }
    }
}

/* FROM the new row under the table's name. */
static void
put_from_new(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "\n          FROM (SELECT NEW.*) AS ");
    sql_put_ident(out, plan->facts->table.name);
}

static void
put_sync_evaluation(StrBuf *out, const Plan *plan)
{
    const JobSpec *spec = plan->spec;
    if (spec->where.text != NULL) {
        strbuf_puts(out, "        IF (SELECT ");
        sql_put_expr(out, &spec->where);
        put_from_new(out, plan);
        strbuf_puts(out, ") THEN\n");
    }
    strbuf_puts(out, "        SELECT ");
    for (int i = 0; i < spec->set_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_expr(out, &spec->set[i].expr);
    }
    strbuf_puts(out, "\n          INTO ");
    for (int i = 0; i < spec->set_count; i++) {
        strbuf_puts(out, i == 0 ? "NEW." : ", NEW.");
        sql_put_ident(out, spec->set[i].column);
    }
    put_from_new(out, plan);
    strbuf_puts(out, spec->where.text != NULL ? ";\n        END IF;\n" : ";\n");
}

void
sql_sync_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO head = STRBUF_INIT;
    strbuf_puts(&head, "CREATE FUNCTION ");
    sql_put_function_name(&head, plan, "sync", job);
    strbuf_puts(&head, "()\nRETURNS trigger LANGUAGE plpgsql\n");
    /* Each SET clause costs the application's write; an immutable expression needs only names. */
    if (all_immutable(plan)) {
        sql_put_parser_settings(&head, plan);
    } else {
        sql_put_meaning_settings(&head, plan);
    }

    STRBUF_AUTO body = STRBUF_INIT;
    strbuf_puts(&body, "#variable_conflict use_column\n"
                       "BEGIN\n"
                       "    -- the block only evaluates, so it takes no transaction id\n"
                       "    BEGIN\n");
    put_sync_evaluation(&body, plan);
    /* A column was renamed: its name must not even be mentioned. */
    strbuf_puts(&body, "    EXCEPTION WHEN undefined_column THEN\n"
                       "        NULL;\n"
                       "    WHEN OTHERS THEN\n");
    put_sync_failed(&body, plan);
    strbuf_puts(&body, "    END;\n"
                       "    RETURN NEW;\n"
                       "END\n");
    sql_put_function(out, strbuf_text(&head), strbuf_text(&body));
}

void
sql_sync_trigger(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "CREATE TRIGGER ");
    sql_sync_name(out, plan, job);
    strbuf_puts(out, " BEFORE INSERT OR UPDATE ON ");
    sql_put_table(out, plan);
    strbuf_puts(out, "\n    FOR EACH ROW");
    if (plan->trigger_skips_batches) {
        /* Our own batches set the column themselves; the test is evaluated without a call. */
        strbuf_printf(out,
            "\n    WHEN (pg_catalog.current_setting('pghaul.batch', true) IS DISTINCT FROM "
            "'%lld')",
            (long long)job);
    }
    strbuf_puts(out, "\n    EXECUTE FUNCTION ");
    sql_put_function_name(out, plan, "sync", job);
    strbuf_puts(out, "()");
}

void
sql_sync_enable(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "ALTER TABLE ");
    sql_put_table(out, plan);
    strbuf_puts(out, " ENABLE ALWAYS TRIGGER ");
    sql_sync_name(out, plan, job);
}

/* ---- contract ---- */

/* Not NULL without a long lock: a check that is validated apart serves SET NOT NULL. */
static void
put_contract_column(StrBuf *out, const Plan *plan, const char *column)
{
    STRBUF_AUTO table = STRBUF_INIT;
    STRBUF_AUTO name = STRBUF_INIT;
    sql_put_table(&table, plan);
    sql_put_ident(&name, column);
    const char *t = strbuf_text(&table);
    const char *c = strbuf_text(&name);
    strbuf_printf(out,
        "ALTER TABLE %s ADD CONSTRAINT pghaul_not_null CHECK (%s IS NOT NULL) "
        "NOT VALID;\n",
        t, c);
    strbuf_printf(out, "ALTER TABLE %s VALIDATE CONSTRAINT pghaul_not_null;\n", t);
    strbuf_printf(out, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;\n", t, c);
    strbuf_printf(out, "ALTER TABLE %s DROP CONSTRAINT pghaul_not_null;\n", t);
    strbuf_printf(out, "CREATE INDEX CONCURRENTLY ON %s (%s);\n", t, c);
}

void
sql_contract_steps(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "-- if the new column must not be NULL, or is searched:\n");
    for (int i = 0; i < plan->spec->set_count; i++) {
        put_contract_column(out, plan, plan->spec->set[i].column);
    }
    strbuf_printf(out,
        "-- when the application writes the new column itself:\n"
        "--   pghaul clean %s\n",
        plan->spec->job);
    strbuf_puts(out, "-- later, when nothing reads the old columns:\n--   ALTER TABLE ");
    sql_put_table(out, plan);
    strbuf_puts(out, " DROP COLUMN ...;\n-- to go back instead: pghaul clean, then\n");
    for (int i = 0; i < plan->spec->set_count; i++) {
        strbuf_puts(out, "--   ALTER TABLE ");
        sql_put_table(out, plan);
        strbuf_puts(out, " DROP COLUMN ");
        sql_put_ident(out, plan->spec->set[i].column);
        strbuf_puts(out, ";\n");
    }
}
