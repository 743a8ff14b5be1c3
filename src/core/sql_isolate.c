/*
 * sql_isolate.c - the functions for rows that the server refuses: set them aside, try them again,
 * find them.
 *
 * Each row is tried in a sub-block of its own, by its key: another transaction may have moved it to
 * another place meanwhile, and a job that must change each row once would lose it.
 */
#include "core/sql_backfill.h"
#include "core/sql_batch.h"
#include "core/sql_copy.h"
#include "core/sql_frame.h"
#include "core/sql_purge.h"

#define CENSUS_ROWS 100

/*
 * What the row is to blame for: the same states as ERR_POISON of pg/sqlstate.c, each name but the
 * last standing for its class.  All others pass: a lock that was not to be had, a deadlock, a
 * cancel or a full disk fail the transaction, and the batch is tried again.
 */
#define WHEN_REFUSED                                                                               \
    "    WHEN data_exception OR integrity_constraint_violation OR cardinality_violation\n"         \
    "        OR program_limit_exceeded OR raise_exception THEN\n"

/* In a statement a column called sqlstate would win. */
#define TAKE_REASON                                                                                \
    "        pghaul_state := SQLSTATE;\n"                                                          \
    "        pghaul_message := pg_catalog.left(SQLERRM, 2000);\n"
#define DECLARE_REASON                                                                             \
    "    pghaul_state pg_catalog.text;\n"                                                          \
    "    pghaul_message pg_catalog.text;\n"

/* Raise now what a deferred constraint would raise at COMMIT. */
#define CHECK_NOW "    SET CONSTRAINTS ALL IMMEDIATE;\n"

/* ---- pieces ---- */

/* "t"."a" = a1 AND "t"."b" = b1: the row of this key. */
static void
put_is_row(StrBuf *out, const Plan *plan, const char *prefix, const char *suffix)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "" : "\n       AND ");
        sql_put_column(out, plan, plan->key[i].name);
        strbuf_printf(out, " = %s%d%s", prefix, i + 1, suffix);
        if (suffix[0] == ']') {
            strbuf_printf(out, "::%s", plan->key[i].type);
        }
    }
}

/* FOR pghaul_row IN the rows of a slice that are not set aside; pghaul_k1.. and their text. */
static void
put_loop(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind, const char *const stripe[2])
{
    strbuf_puts(out, "    FOR pghaul_row IN SELECT ");
    sql_put_key_text(out, plan);
    strbuf_puts(out, " AS pghaul_text");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, ", ");
        sql_put_column(out, plan, plan->key[i].name);
        strbuf_printf(out, " AS pghaul_k%d", i + 1);
    }
    strbuf_puts(out, "\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    sql_put_slice(out, plan, kind);
    strbuf_puts(out, "\n       AND ");
    sql_put_in_stripe(out, plan, kind, stripe[0], stripe[1]);
    strbuf_puts(out, "\n       AND ");
    sql_put_not_aside(out, plan, job);
    strbuf_puts(out, "\n    LOOP\n");
}

/* What the move does to one row.  That of a copy is not tried when it is in the change log: what is
 * in its way may be an earlier version of it. */
static void
put_move_row(StrBuf *out, const Plan *plan, int64_t job)
{
    if (plan->purge != NULL) {
        STRBUF_AUTO is_row = STRBUF_INIT;
        put_is_row(&is_row, plan, "pghaul_row.pghaul_k", "");
        sql_put_delete_row(out, plan, strbuf_text(&is_row));
        return;
    }
    if (plan->copy != NULL) {
        sql_put_insert(out, plan);
    } else {
        sql_put_update(out, plan);
    }
    put_is_row(out, plan, "pghaul_row.pghaul_k", "");
    sql_put_where(out, plan);
    if (plan->copy != NULL) {
        sql_put_not_logged(out, plan, job, "true");
        sql_put_on_conflict(out, plan);
    } else {
        sql_put_needs_work(out, plan);
    }
    strbuf_puts(out, ";\n");
}

/* Workers take turns at this, so that the limit holds for all of them together. */
static void
put_set_row_aside(StrBuf *out, int64_t job)
{
    long long no = (long long)job;
    strbuf_puts(out, "    EXCEPTION\n" WHEN_REFUSED TAKE_REASON);
    strbuf_printf(
        out, "        PERFORM FROM pghaul.job AS j WHERE j.id = %lld FOR NO KEY UPDATE;\n", no);
    strbuf_printf(out,
        "        IF $7 <= (SELECT pg_catalog.count(*) FROM pghaul.quarantine AS q\n"
        "                   WHERE q.job = %lld AND q.set_aside) THEN\n"
        "            RAISE EXCEPTION USING ERRCODE = 'PH003',\n"
        "                MESSAGE = 'too many rows are refused';\n"
        "        END IF;\n",
        no);
    strbuf_printf(out,
        "        INSERT INTO pghaul.quarantine AS q (job, key, set_aside, pass, sqlstate, "
        "message)\n"
        "        VALUES (%lld, pghaul_row.pghaul_text, true, $4, pghaul_state, pghaul_message)\n"
        "            ON CONFLICT (job, key) DO UPDATE\n"
        "           SET set_aside = true, pass = EXCLUDED.pass, sqlstate = EXCLUDED.sqlstate,\n"
        "               message = EXCLUDED.message, attempts = q.attempts + 1, at = EXCLUDED.at;\n"
        "        pghaul_aside := pghaul_aside + 1;\n"
        "    END;\n"
        "    END LOOP;\n",
        no);
}

/* ---- isolate ---- */

/* A row that somebody holds is left for a later visit, as in a batch. */
static void
put_skip_held(StrBuf *out, const Plan *plan)
{
    if (!plan->may_skip_locked) {
        return;
    }
    strbuf_puts(out, "    IF $8 THEN\n"
                     "        PERFORM FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_is_row(out, plan, "pghaul_row.pghaul_k", "");
    strbuf_puts(out, "\n       FOR NO KEY UPDATE SKIP LOCKED;\n"
                     "        IF NOT FOUND THEN\n"
                     "            pghaul_left := pghaul_left + 1;\n"
                     "            CONTINUE;\n"
                     "        END IF;\n"
                     "    END IF;\n");
}

static const char *const CLAIMED_STRIPE[2] = {"$5", "pghaul_stripes"};

void
sql_isolate_function(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, kind);
    strbuf_puts(&body, "    pghaul_row pg_catalog.record;\n"
                       "    pghaul_changed pg_catalog.int8;\n" DECLARE_REASON "BEGIN\n");
    sql_put_frame_claim(&body, job);
    sql_put_table_lock(&body, plan);
    sql_put_frame_slice(&body, plan, kind, kind == SLICE_KEY ? "pghaul_stripes" : "1");
    strbuf_puts(&body, "    -- 3 the rows, one by one\n");
    put_loop(&body, plan, job, kind, CLAIMED_STRIPE);
    put_skip_held(&body, plan);
    strbuf_puts(&body, "    BEGIN\n");
    put_move_row(&body, plan, job);
    strbuf_puts(&body, "    GET DIAGNOSTICS pghaul_changed = ROW_COUNT;\n" CHECK_NOW
                       "    pghaul_rows := pghaul_rows + pghaul_changed;\n");
    put_set_row_aside(&body, job);
    sql_put_frame_guards(&body, plan, job, kind);
    sql_put_frame_checkpoint(&body, plan, job, kind);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    const char *what = kind == SLICE_KEY ? "isolate_key" : "isolate_block";
    sql_put_batch_function(out, plan, what, job, kind, strbuf_text(&body));
}

void
sql_isolate_verify_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    strbuf_puts(&body, "    pghaul_row pg_catalog.record;\n"
                       "    pghaul_differs pg_catalog.bool;\n" DECLARE_REASON
                       "    pghaul_differing pg_catalog.int8 := 0;\n"
                       "    pghaul_keys pg_catalog.text[];\n"
                       "BEGIN\n");
    sql_put_frame_claim(&body, job);
    sql_put_frame_slice(&body, plan, SLICE_KEY, "1");
    strbuf_puts(&body, "    -- 3 the rows, one by one\n");
    put_loop(&body, plan, job, SLICE_KEY, CLAIMED_STRIPE);
    strbuf_puts(&body, "    BEGIN\n"
                       "    SELECT ");
    sql_put_differs(&body, plan);
    strbuf_puts(&body, " INTO pghaul_differs\n      FROM ");
    sql_put_only_table(&body, plan);
    strbuf_puts(&body, "\n     WHERE ");
    put_is_row(&body, plan, "pghaul_row.pghaul_k", "");
    sql_put_where(&body, plan);
    strbuf_puts(&body, ";\n"
                       "    IF FOUND THEN\n"
                       "        pghaul_rows := pghaul_rows + 1;\n"
                       "        IF pghaul_differs THEN\n"
                       "            pghaul_differing := pghaul_differing + 1;\n"
                       "            pghaul_keys := pg_catalog.array_cat(pghaul_keys,\n"
                       "                ARRAY[pghaul_row.pghaul_text]);\n"
                       "        END IF;\n"
                       "    END IF;\n");
    put_set_row_aside(&body, job);
    sql_put_frame_guards(&body, plan, job, SLICE_KEY);
    sql_put_frame_checkpoint(&body, plan, job, SLICE_KEY);
    sql_put_differences(&body, job);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "isolate_verify", job, SLICE_KEY, strbuf_text(&body));
}

/* ---- retry ---- */

void
sql_retry_function(StrBuf *out, const Plan *plan, int64_t job)
{
    long long no = (long long)job;
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    strbuf_puts(&body, DECLARE_REASON "BEGIN\n");
    sql_put_batch_mark(&body, job);
    strbuf_printf(&body,
        "    pghaul_rows := 0;\n"
        "    -- is it set aside still, and nobody else at it?\n"
        "    PERFORM FROM pghaul.quarantine AS q\n"
        "      WHERE q.job = %lld AND q.key = $6 AND q.set_aside FOR UPDATE;\n"
        "    IF NOT FOUND THEN\n"
        "        pghaul_outcome := 'lost';\n"
        "        RETURN NEXT;\n"
        "        RETURN;\n"
        "    END IF;\n",
        no);
    sql_put_table_lock(&body, plan);
    strbuf_puts(&body, "    BEGIN\n");
    sql_put_update(&body, plan);
    put_is_row(&body, plan, "($6)[", "]");
    sql_put_where(&body, plan);
    sql_put_needs_work(&body, plan);
    strbuf_puts(&body, ";\n"
                       "    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n" CHECK_NOW);
    strbuf_printf(&body,
        "    DELETE FROM pghaul.quarantine AS q WHERE q.job = %lld AND q.key = $6;\n"
        "    pghaul_outcome := 'done';\n"
        "    EXCEPTION\n" WHEN_REFUSED TAKE_REASON "        UPDATE pghaul.quarantine AS q\n"
        "           SET sqlstate = pghaul_state, message = pghaul_message,\n"
        "               attempts = q.attempts + 1, at = pg_catalog.clock_timestamp()\n"
        "         WHERE q.job = %lld AND q.key = $6;\n"
        "        pghaul_rows := 0;\n"
        "        pghaul_outcome := 'refused';\n"
        "    END;\n",
        no, no);
    sql_put_frame_guards(&body, plan, job, SLICE_KEY);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "retry", job, SLICE_KEY, strbuf_text(&body));
}

/* ---- locate ---- */

/* A row that `where` leaves out says nothing about the expression. */
static void
put_skip_unwanted(StrBuf *out, const Plan *plan)
{
    if (plan->spec->where.text == NULL) {
        return;
    }
    strbuf_puts(out, "    PERFORM FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_is_row(out, plan, "pghaul_row.pghaul_k", "");
    sql_put_where(out, plan);
    strbuf_puts(out, ";\n"
                     "    IF NOT FOUND THEN\n"
                     "        CONTINUE;\n"
                     "    END IF;\n");
}

static void
put_locate_loop(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    static const char *const STRIPE[2] = {"$4", "$5"};
    put_loop(out, plan, job, kind, STRIPE);
    strbuf_puts(out, "    BEGIN\n");
    put_skip_unwanted(out, plan);
    put_move_row(out, plan, job);
    strbuf_puts(out, CHECK_NOW
        "    RAISE EXCEPTION USING ERRCODE = 'PH009'; -- take it back\n"
        "    EXCEPTION\n"
        "    WHEN SQLSTATE 'PH009' THEN\n"
        "        pghaul_tried := pghaul_tried + 1;\n"
        "        EXIT WHEN $6;\n"
        "    WHEN lock_not_available THEN\n"
        "        NULL; -- held by somebody, which is not why the batch was refused\n" WHEN_REFUSED
        "        pghaul_tried := pghaul_tried + 1;\n"
        "        pghaul_refused := pghaul_refused + 1;\n"
        "        IF pghaul_key IS NULL THEN\n"
        "            pghaul_key := pghaul_row.pghaul_text;\n" TAKE_REASON "        END IF;\n");
    strbuf_printf(out,
        "        EXIT WHEN NOT $6 OR pghaul_tried >= %d;\n"
        "    END;\n"
        "    END LOOP;\n"
        "    RETURN NEXT;\n",
        CENSUS_ROWS);
}

void
sql_locate_function(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    STRBUF_AUTO head = STRBUF_INIT;
    strbuf_puts(&head, "CREATE FUNCTION ");
    sql_put_function_name(&head, plan, kind == SLICE_KEY ? "locate_key" : "locate_block", job);
    strbuf_puts(&head,
        "(pg_catalog.text[], pg_catalog.text[], pg_catalog.int8, pg_catalog.int4,\n"
        "    pg_catalog.int4, pg_catalog.bool)\n"
        "RETURNS TABLE (pghaul_key pg_catalog.text[], pghaul_state pg_catalog.text,\n"
        "    pghaul_message pg_catalog.text, pghaul_tried pg_catalog.int8,\n"
        "    pghaul_refused pg_catalog.int8)\n"
        "LANGUAGE plpgsql VOLATILE\n");
    sql_put_meaning_settings(&head, plan);
    strbuf_puts(&head, "SET lock_timeout = '5ms'\n"
                       "SET plan_cache_mode = 'force_custom_plan'\n"
                       "SET enable_seqscan = 'off'\n");

    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, kind);
    if (plan->purge != NULL) {
        strbuf_puts(&body, "    pghaul_rows pg_catalog.int8;\n");
        sql_put_purge_declare(&body, plan);
    }
    strbuf_puts(&body, "    pghaul_row pg_catalog.record;\n"
                       "BEGIN\n"
                       "    pghaul_at := $1;\n"
                       "    pghaul_high := $2;\n"
                       "    pghaul_tried := 0;\n"
                       "    pghaul_refused := 0;\n");
    sql_put_batch_mark(&body, job);
    if (plan->purge != NULL) {
        sql_put_frame_pin(&body, job);
    }
    sql_put_table_lock(&body, plan);
    sql_put_frame_slice(&body, plan, kind, kind == SLICE_KEY ? "$3 * $5" : "$3");
    put_locate_loop(&body, plan, job, kind);
    strbuf_puts(&body, "END\n");
    sql_put_function(out, strbuf_text(&head), strbuf_text(&body));
}

void
sql_locate_call(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    strbuf_puts(out, "SELECT * FROM ");
    sql_put_function_name(out, plan, kind == SLICE_KEY ? "locate_key" : "locate_block", job);
    strbuf_puts(out, "($1::pg_catalog.text[], $2::pg_catalog.text[], $3::pg_catalog.int8,\n"
                     "    $4::pg_catalog.int4, $5::pg_catalog.int4, $6::pg_catalog.bool)");
}
