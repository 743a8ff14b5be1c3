/*
 * sql_batch.c - the frame of a batch function: compare-and-set, end of the batch, checkpoint.
 *
 * What is done to the rows in between is one statement or a few, from core/sql_backfill.c.
 */
#include "core/sql_batch.h"

#include <stdio.h>
#include <string.h>

#include "core/drift.h"
#include "core/sql_backfill.h"
#include "core/sql_frame.h"
#include "core/sql_pin.h"

/* ---- function text ---- */

/* A dollar quote that does not occur in the body, which holds text of the user's. */
static void
pick_quote(char *quote, size_t size, const char *body)
{
    (void)snprintf(quote, size, "$pghaul$");
    for (int i = 1; strstr(body, quote) != NULL; i++) {
        (void)snprintf(quote, size, "$pghaul%d$", i);
    }
}

void
sql_put_function(StrBuf *out, const char *head, const char *body)
{
    char quote[32];
    pick_quote(quote, sizeof(quote), body);
    strbuf_printf(out, "%sAS %s\n%s%s", head, quote, body, quote);
}

static const char BATCH_ARGUMENTS[] =
    "(pg_catalog.int8, pg_catalog.int8, pg_catalog.uuid, pg_catalog.int4,\n"
    "    pg_catalog.int4, pg_catalog.text[], pg_catalog.int8, pg_catalog.bool,\n"
    "    pg_catalog.text[], pg_catalog.int8";
static const char ARCHIVE_ARGUMENTS[] =
    ",\n    pg_catalog.tid[], pg_catalog.xid[], pg_catalog.text[], pg_catalog.int8[],\n"
    "    pg_catalog.text, pg_catalog.int4[]";
static const char BATCH_RESULT[] =
    ")\nRETURNS TABLE (pghaul_outcome pg_catalog.text, pghaul_rows pg_catalog.int8,\n"
    "    pghaul_stripe pg_catalog.int4, pghaul_watermark pg_catalog.text[],\n"
    "    pghaul_left pg_catalog.int8, pghaul_holders pg_catalog.int4[],\n"
    "    pghaul_aside pg_catalog.int8)\n"
    "LANGUAGE plpgsql VOLATILE\n";

/* Rows come as what was read of them before. */
static bool
deletes_archived(const Plan *plan, const char *what)
{
    return plan->purge != NULL && plan->purge->archives && strcmp(what, "move") == 0;
}

/* A copy or a restore locks only rows that nobody knows yet, unless foreign keys or triggers of the
 * table lock others; then what it waits for is mostly another worker that extends the same index.
 */
static bool
locks_rows(const Plan *plan)
{
    bool inserts = plan->copy != NULL || plan->restore != NULL;
    const Facts *written = plan->copy != NULL ? plan->copy->into : plan->facts;
    if (!inserts || plan->spec->on_conflict == ON_CONFLICT_UPDATE || written->trigger_count > 0) {
        return true;
    }
    for (int i = 0; i < written->column_count; i++) {
        if (written->columns[i].in_foreign_key) {
            return true;
        }
    }
    return false;
}

const char *
sql_lock_timeout(const Plan *plan)
{
    return locks_rows(plan) ? "5ms" : "50ms";
}

void
sql_put_batch_function(
    StrBuf *out, const Plan *plan, const char *what, int64_t job, SliceKind kind, const char *body)
{
    STRBUF_AUTO head = STRBUF_INIT;
    strbuf_puts(&head, "CREATE FUNCTION ");
    sql_put_function_name(&head, plan, what, job);
    strbuf_puts(&head, BATCH_ARGUMENTS);
    strbuf_puts(&head, deletes_archived(plan, what) ? ARCHIVE_ARGUMENTS : "");
    strbuf_puts(&head, BATCH_RESULT);
    sql_put_meaning_settings(&head, plan);
    /* Settings that decide the access path.  lock_timeout: we may hold row locks that somebody
     * wants while we wait for another; 5 ms bounds that (and the deadlocks it can cause). */
    strbuf_printf(&head, "SET lock_timeout = '%s'\n", sql_lock_timeout(plan));
    strbuf_puts(&head, "SET plan_cache_mode = 'force_custom_plan'\n"
                       "SET enable_seqscan = 'off'\n"
                       "SET jit = 'off'\n"
                       "SET max_parallel_workers_per_gather = 0\n");
    if (kind == SLICE_KEY) {
        strbuf_puts(&head, "SET enable_bitmapscan = 'off'\n"); /* rows are locked in key order */
    }
    if (plan->copy != NULL && strcmp(what, "verify") == 0) {
        /* Both tables are read in key order and merged: nothing is kept in memory, however wide. */
        strbuf_puts(&head, "SET enable_hashjoin = 'off'\n");
    }
    sql_put_function(out, strbuf_text(&head), body);
}

/* ---- frame ---- */

void
sql_put_frame_declare(StrBuf *out, const Plan *plan, SliceKind kind)
{
    strbuf_puts(out, "#variable_conflict use_column\n"
                     "DECLARE\n"
                     "    pghaul_low pg_catalog.text[];\n"
                     "    pghaul_high pg_catalog.text[];\n"
                     "    pghaul_at pg_catalog.text[];\n"
                     "    pghaul_stripes pg_catalog.int4;\n"
                     "    pghaul_before pg_catalog.int8;\n"
                     "    pghaul_last pg_catalog.bool := true;\n"
                     "    pghaul_clean pg_catalog.bool := false;\n");
    if (plan->copy != NULL) {
        strbuf_puts(out, "    pghaul_skipped pg_catalog.int8 := 0;\n"
                         "    pghaul_updated pg_catalog.int8 := 0;\n");
    }
    sql_put_slice_declare(out, plan, kind);
    strbuf_puts(out, kind == SLICE_KEY ? "    pghaul_end pg_catalog.text[];\n"
                                       : "    pghaul_block pg_catalog.int8;\n");
    if (plan->purge != NULL) {
        strbuf_puts(out, "    " SQL_PIN_VARIABLE " pg_catalog.timestamptz;\n");
    }
    if (plan->purge != NULL && plan->purge->least != NULL) {
        strbuf_printf(out, "    pghaul_least %s;\n", plan->purge->least->base_type);
    }
}

void
sql_put_frame_pin(StrBuf *out, int64_t job)
{
    strbuf_printf(out,
        "    SELECT j.pinned INTO STRICT " SQL_PIN_VARIABLE "\n"
        "      FROM pghaul.job AS j WHERE j.id = %lld;\n",
        (long long)job);
}

/* Not in the SET clause: a setting of that name is the superuser's to store, everybody's to set. */
void
sql_put_batch_mark(StrBuf *out, int64_t job)
{
    strbuf_printf(
        out, "    PERFORM pg_catalog.set_config('pghaul.batch', '%lld', true);\n", (long long)job);
}

static void
put_set_aside(StrBuf *out, int64_t job)
{
    strbuf_printf(out,
        "\n           SELECT q.key FROM pghaul.quarantine AS q"
        "\n            WHERE q.job = %lld AND q.set_aside",
        (long long)job);
}

/* The plan is made for the values of the variables: where nothing is set aside this folds to true
 * and costs nothing for each row; else the keys are hashed once a statement. */
void
sql_put_not_aside(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "(pghaul_clean OR NOT ");
    sql_put_key_text(out, plan);
    strbuf_puts(out, " OPERATOR(pg_catalog.=) ANY (");
    put_set_aside(out, job);
    strbuf_puts(out, "))");
}

void
sql_put_frame_claim(StrBuf *out, int64_t job)
{
    sql_put_batch_mark(out, job);
    strbuf_puts(out, "    pghaul_rows := 0;\n"
                     "    pghaul_left := 0;\n    pghaul_aside := 0;\n"
                     "    -- 1 compare and set: is the range still ours, and at this very place?\n"
                     "    SELECT r.low, r.high, r.stripes, r.leftover, NOT EXISTS (");
    put_set_aside(out, job);
    strbuf_puts(out, ")\n"
                     "      INTO pghaul_low, pghaul_high, pghaul_stripes, pghaul_before,\n"
                     "           pghaul_clean\n"
                     "      FROM pghaul.ranges AS r\n");
    strbuf_printf(out, "     WHERE r.job = %lld AND r.pass = $4 AND r.no = $1\n", (long long)job);
    strbuf_puts(out,
        "       AND r.epoch = $2 AND r.lease = $3 AND r.state = 'leased'\n"
        "       AND r.stripe = $5\n"
        "       AND pg_catalog.array_eq(COALESCE(r.watermark, '{}'), COALESCE($6, '{}'))\n"
        "       FOR NO KEY UPDATE;\n"
        "    IF NOT FOUND THEN\n"
        "        pghaul_outcome := 'lost';\n"
        "        RETURN NEXT;\n"
        "        RETURN;\n"
        "    END IF;\n"
        "    pghaul_at := COALESCE($6, pghaul_low);\n");
}

/* LOCK TABLE asks for the privilege on the whole table, and whoever calls may have that of an
 * UPDATE on columns only: then the UPDATE takes the lock. */
void
sql_put_table_lock(StrBuf *out, const Plan *plan)
{
    if (plan->copy != NULL) {
        return;
    }
    strbuf_puts(out,
        "    -- the lock of the change before a weaker one: whoever asks for more than we hold is\n"
        "    -- not deadlocked by us asking for more as well\n");
    if (plan->purge == NULL) {
        strbuf_printf(out, "    IF pg_catalog.has_table_privilege(%u, 'UPDATE') THEN\n",
            plan->facts->table.oid);
    }
    strbuf_puts(out, "    LOCK TABLE ONLY ");
    sql_put_table(out, plan);
    strbuf_puts(out, " IN ROW EXCLUSIVE MODE;\n");
    strbuf_puts(out, plan->purge == NULL ? "    END IF;\n" : "");
}

/* pghaul_from1.. or pghaul_to1.. from a checkpoint's text[]. */
static void
put_bound_values(StrBuf *out, const Plan *plan, const char *bound, const char *values)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(
            out, "    %s%d := %s[%d]::%s;\n", bound, i + 1, values, i + 1, sql_bound_type(plan, i));
    }
}

void
sql_put_key_bounds(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    pghaul_from_open := pghaul_at IS NULL;\n"
                     "    pghaul_to_open := pghaul_high IS NULL;\n");
    put_bound_values(out, plan, "pghaul_from", "pghaul_at");
    put_bound_values(out, plan, "pghaul_to", "pghaul_high");
}

/* The batch ends with the key that `probe` finds, or where its range does; that may be one. */
static void
put_key_end(StrBuf *out, const Plan *plan, const char *probe)
{
    strbuf_printf(out, "    SELECT %s;\n    IF FOUND THEN\n", probe);
    put_bound_values(out, plan, "pghaul_to", "pghaul_end");
    strbuf_puts(out,
        "        pghaul_to_open := false;\n"
        "        pghaul_last := COALESCE(pg_catalog.array_eq(pghaul_end, pghaul_high), false);\n"
        "    END IF;\n");
}

static void
put_source_end(StrBuf *out, const Plan *plan, const char *size_sql)
{
    STRBUF_AUTO probe = STRBUF_INIT;
    sql_put_key_text(&probe, plan);
    strbuf_puts(&probe, " INTO pghaul_end\n      FROM (SELECT ");
    sql_put_key_list(&probe, plan);
    strbuf_puts(&probe, "\n      FROM ");
    sql_put_only_table(&probe, plan);
    strbuf_puts(&probe, "\n     WHERE ");
    sql_put_slice(&probe, plan, SLICE_KEY);
    if (plan->purge != NULL && plan->purge->served) {
        sql_put_where(&probe, plan);
    }
    strbuf_puts(&probe, "\n     ORDER BY ");
    sql_put_key_list(&probe, plan);
    strbuf_printf(&probe, "\n    OFFSET %s - 1 LIMIT 1) AS ", size_sql);
    sql_put_ident(&probe, plan->facts->table.name);
    put_key_end(out, plan, strbuf_text(&probe));
}

void
sql_put_frame_into_end(StrBuf *out, const Plan *plan, const char *size_sql)
{
    STRBUF_AUTO probe = STRBUF_INIT;
    sql_put_into_key_text(&probe, plan);
    strbuf_puts(&probe, " INTO pghaul_end\n      FROM (SELECT ");
    sql_put_into_key_list(&probe, plan);
    strbuf_puts(&probe, "\n      FROM ");
    sql_put_into_table(&probe, plan);
    strbuf_puts(&probe, " AS pghaul_into\n     WHERE ");
    sql_put_into_slice(&probe, plan);
    strbuf_puts(&probe, "\n     ORDER BY ");
    sql_put_into_key_list(&probe, plan);
    strbuf_printf(&probe, "\n    OFFSET %s - 1 LIMIT 1) AS pghaul_into", size_sql);
    put_key_end(out, plan, strbuf_text(&probe));
}

void
sql_put_frame_slice(StrBuf *out, const Plan *plan, SliceKind kind, const char *size_sql)
{
    if (kind == SLICE_KEY) {
        strbuf_puts(out, "    -- 2 the end of the batch, by a probe of the key's index\n");
        sql_put_key_bounds(out, plan);
        put_source_end(out, plan, size_sql);
        return;
    }
    strbuf_printf(out,
        "    -- 2 the end of the batch, by arithmetic\n"
        "    pghaul_block := LEAST(pghaul_at[1]::pg_catalog.int8 + %s,\n"
        "        pghaul_high[1]::pg_catalog.int8);\n"
        "    pghaul_last := pghaul_block = pghaul_high[1]::pg_catalog.int8;\n"
        "    pghaul_from := ('(' || pghaul_at[1] || ',0)')::pg_catalog.tid;\n"
        "    pghaul_to := pg_catalog.concat('(', pghaul_block, ',0)')::pg_catalog.tid;\n",
        size_sql);
}

/* pghaul.what(oid, '{columns}', '{key}', */
static void
put_signature(StrBuf *out, const char *what, uint32_t oid, const StrBuf *columns, const StrBuf *key)
{
    strbuf_printf(
        out, "pghaul.%s(%u, '%s', '%s', ", what, oid, strbuf_text(columns), strbuf_text(key));
}

static void
put_raise_drift(StrBuf *out, const char *what)
{
    strbuf_printf(out,
        " THEN\n"
        "        RAISE EXCEPTION USING ERRCODE = 'PH001',\n"
        "            MESSAGE = '%s is not as it was when the job began';\n"
        "    END IF;\n",
        what);
}

static void
put_source_guards(StrBuf *out, const Plan *plan, int64_t job, const char *recorded_sql)
{
    STRBUF_AUTO used = STRBUF_INIT;
    STRBUF_AUTO key = STRBUF_INIT;
    drift_put_used_columns(&used, plan);
    drift_put_key_columns(&key, plan);
    strbuf_puts(out, "    IF NOT COALESCE(pg_catalog.array_eq(");
    put_signature(out, plan->copy == NULL ? "table_signature" : "copy_signature",
        plan->facts->table.oid, &used, &key);
    if (plan->copy == NULL) {
        strbuf_puts(out, plan->sync_trigger || plan->purge != NULL ? "true" : "false");
    } else if (plan->sync_trigger) {
        strbuf_putc(out, '\'');
        sql_sync_name(out, plan, job);
        strbuf_putc(out, '\'');
    } else {
        strbuf_puts(out, "NULL");
    }
    strbuf_printf(out, "), %s), false)", recorded_sql);
    put_raise_drift(out, "the table");
}

/* What was recorded of the target is read here: only the source's signature is a parameter. */
static void
put_target_guards(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO used = STRBUF_INIT;
    STRBUF_AUTO key = STRBUF_INIT;
    drift_put_into_columns(&used, plan);
    drift_put_into_key(&key, plan);
    strbuf_puts(out, "    IF NOT COALESCE(pg_catalog.array_eq(");
    put_signature(out, "table_signature", plan_into(plan)->table.oid, &used, &key);
    strbuf_printf(out,
        "false), (\n"
        "        SELECT j.into_signature FROM pghaul.job j WHERE j.id = %lld)), false)",
        (long long)job);
    put_raise_drift(out, "the target");
}

/* A column that was added, or is computed no more, has values that nobody would keep. */
static void
put_columns_guard(StrBuf *out, const Plan *plan)
{
    int kept = plan->facts->column_count;
    for (int i = 0; i < plan->facts->column_count; i++) {
        kept -= plan->facts->columns[i].generated;
    }
    strbuf_printf(out,
        "    IF (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a\n"
        "         WHERE a.attrelid = %u::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped\n"
        "           AND a.attgenerated = '') <> %d",
        plan->facts->table.oid, kept);
    put_raise_drift(out, "the list of columns");
}

void
sql_put_frame_guards(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    uint32_t table = plan->facts->table.oid;
    strbuf_puts(out, "    -- 4 table, columns and triggers are those that were recorded; we hold a "
                     "lock on the table now\n");
    if (plan->copy == NULL || !plan->copy->remote) {
        put_source_guards(out, plan, job, "$9");
    }
    if (plan_into(plan) != NULL) {
        put_target_guards(out, plan, job);
    }
    if (plan_keeps_rows(plan)) {
        put_columns_guard(out, plan);
    }
    if (kind == SLICE_BLOCK) {
        strbuf_printf(out,
            "    IF pg_catalog.pg_relation_filenode(%u)::pg_catalog.int8 IS DISTINCT FROM $10 "
            "THEN\n"
            "        RAISE EXCEPTION USING ERRCODE = 'PH002',\n"
            "            MESSAGE = 'the table was rewritten; its blocks are counted anew';\n"
            "    END IF;\n",
            table);
    }
}

void
sql_put_drain_guards(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO recorded = STRBUF_INIT;
    strbuf_printf(&recorded, "(\n        SELECT j.signature FROM pghaul.job j WHERE j.id = %lld)",
        (long long)job);
    put_source_guards(out, plan, job, strbuf_text(&recorded));
    put_target_guards(out, plan, job);
}

static void
put_watermark(StrBuf *out, const Plan *plan, SliceKind kind)
{
    if (kind == SLICE_BLOCK) {
        strbuf_puts(out, "ARRAY[pghaul_block::pg_catalog.text]");
        return;
    }
    strbuf_puts(out, "ARRAY[");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%spghaul_to%d::pg_catalog.text", i == 0 ? "" : ", ", i + 1);
    }
    strbuf_puts(out, "]");
}

/* Fenced off, so that no index over the column is read from its least value on instead. */
static void
put_least(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "    -- what is left of the batch, for the passes to come\n"
                     "    SELECT pg_catalog.min(s.pghaul_value) INTO pghaul_least\n"
                     "      FROM (SELECT ");
    sql_put_column(out, plan, plan->purge->least->name);
    strbuf_printf(out, "::%s AS pghaul_value\n      FROM ", plan->purge->least->base_type);
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    sql_put_slice(out, plan, SLICE_KEY);
    strbuf_puts(out, "\n    OFFSET 0) AS s;\n");
}

void
sql_put_frame_checkpoint(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    bool remembers = plan->purge != NULL && plan->purge->least != NULL;
    if (remembers) {
        put_least(out, plan);
    }
    strbuf_puts(out, "    -- 5 the checkpoint, in the same transaction\n"
                     "    pghaul_outcome := 'more';\n"
                     "    pghaul_stripe := $5;\n"
                     "    IF NOT pghaul_last THEN\n"
                     "        pghaul_watermark := ");
    put_watermark(out, plan, kind);
    strbuf_puts(out, ";\n"
                     "    ELSIF $5 + 1 < pghaul_stripes THEN\n"
                     "        pghaul_stripe := $5 + 1;\n"
                     "    ELSIF pghaul_before + pghaul_left = 0 THEN\n"
                     "        pghaul_outcome := 'done';\n"
                     "    ELSE\n"
                     "        pghaul_outcome := 'partial';\n"
                     "        pghaul_stripe := 0;\n"
                     "    END IF;\n"
                     "    UPDATE pghaul.ranges AS r\n"
                     "       SET watermark = pghaul_watermark, stripe = pghaul_stripe,\n"
                     "           rows = r.rows + pghaul_rows, batches = r.batches + 1,\n");
    if (plan->copy != NULL) {
        strbuf_puts(out, "           skipped = r.skipped + pghaul_skipped,\n"
                         "           updated = r.updated + pghaul_updated,\n");
    } else if (plan->purge != NULL && plan->purge->child_count > 0) {
        strbuf_puts(out, "           updated = r.updated + pghaul_gone,\n");
    }
    if (remembers) {
        strbuf_printf(out,
            "           least = CASE WHEN pghaul_outcome <> 'partial' THEN\n"
            "               LEAST(r.least::%s, pghaul_least)::pg_catalog.text END,\n",
            plan->purge->least->base_type);
    }
    strbuf_puts(out,
        "           leftover = CASE pghaul_outcome WHEN 'partial' THEN 0\n"
        "                      ELSE r.leftover + pghaul_left END,\n"
        "           visits = r.visits + (pghaul_outcome = 'partial')::pg_catalog.int4,\n"
        "           retry_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(\n"
        "               secs => LEAST(10, pg_catalog.power(2, LEAST(r.visits, 10) - 3))),\n"
        "           state = CASE pghaul_outcome WHEN 'more' THEN 'leased'\n"
        "                   ELSE pghaul_outcome END,\n"
        "           lease = CASE pghaul_outcome WHEN 'more' THEN r.lease END\n");
    strbuf_printf(out, "     WHERE r.job = %lld AND r.pass = $4 AND r.no = $1;\n", (long long)job);
}

/* ---- calls ---- */

void
sql_batch_call(StrBuf *out, const Plan *plan, const char *what, int64_t job)
{
    strbuf_puts(out, "SELECT * FROM ");
    sql_put_function_name(out, plan, what, job);
    strbuf_puts(out, "($1::pg_catalog.int8, $2::pg_catalog.int8, $3::pg_catalog.uuid,\n"
                     "    $4::pg_catalog.int4, $5::pg_catalog.int4, $6::pg_catalog.text[],\n"
                     "    $7::pg_catalog.int8, $8::pg_catalog.bool, $9::pg_catalog.text[],\n"
                     "    $10::pg_catalog.int8");
    if (deletes_archived(plan, what)) {
        strbuf_puts(out, ",\n    $11::pg_catalog.tid[], $12::pg_catalog.xid[],"
                         " $13::pg_catalog.text[],\n    $14::pg_catalog.int8[],"
                         " $15::pg_catalog.text, $16::pg_catalog.int4[]");
    }
    strbuf_putc(out, ')');
}

/* ---- carving by key ---- */

/* A key bound given as parameter $n of type text[]. */
static void
put_parameter_bound(StrBuf *out, const Plan *plan, int number, const char *operation)
{
    strbuf_printf(out, "($%d::pg_catalog.text[] IS NULL OR ", number);
    sql_put_key_row(out, plan);
    strbuf_printf(out, " %s %s", operation, plan->key_count > 1 ? "(" : "");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%s($%d::pg_catalog.text[])[%d]::%s", i == 0 ? "" : ", ", number, i + 1,
            plan->key[i].type);
    }
    strbuf_puts(out, plan->key_count > 1 ? "))" : ")");
}

/* A walk that an index serves counts the rows that match, and meets no others. */
static void
put_served_where(StrBuf *out, const Plan *plan)
{
    if (plan->purge != NULL && plan->purge->served) {
        /* so that the parameter is there also where the predicate asks for no time */
        strbuf_puts(out, "\n   AND $4::pg_catalog.timestamptz IS NOT NULL");
        sql_put_pinned_where(out, plan, "$4::pg_catalog.timestamptz");
    }
}

static void
put_parameter_slice(StrBuf *out, const Plan *plan)
{
    put_parameter_bound(out, plan, 1, ">");
    strbuf_puts(out, "\n   AND ");
    put_parameter_bound(out, plan, 2, "<=");
}

void
sql_carve_probe(StrBuf *out, const Plan *plan)
{
    /* Text is made of the one row that is wanted, not of all that are stepped over. */
    strbuf_puts(out, "SELECT ");
    sql_put_key_text(out, plan);
    strbuf_puts(out, "\n  FROM (SELECT ");
    sql_put_key_list(out, plan);
    strbuf_puts(out, "\n  FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n WHERE ");
    put_parameter_slice(out, plan);
    put_served_where(out, plan);
    strbuf_puts(out, "\n ORDER BY ");
    sql_put_key_list(out, plan);
    strbuf_puts(out, "\nOFFSET $3::pg_catalog.int8 - 1 LIMIT 1) AS ");
    sql_put_ident(out, plan->facts->table.name);
}

void
sql_carve_rest(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "SELECT pg_catalog.count(*)\n  FROM (SELECT 1\n  FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n WHERE ");
    put_parameter_slice(out, plan);
    put_served_where(out, plan);
    strbuf_puts(out, "\n LIMIT $3::pg_catalog.int8) AS s");
}

void
sql_last_key(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "SELECT ");
    sql_put_key_text(out, plan);
    strbuf_puts(out, "\n  FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n ORDER BY ");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_column(out, plan, plan->key[i].name);
        strbuf_puts(out, " DESC");
    }
    strbuf_puts(out, "\n LIMIT 1");
}
