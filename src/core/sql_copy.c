/*
 * sql_copy.c - the move and verify functions of a copy within one database.
 *
 * Locks: INSERT .. SELECT takes ROW EXCLUSIVE on the target, then ACCESS SHARE on the source, and
 * nothing stronger comes after it; no row of the source is locked.
 */
#include "core/sql_copy.h"

#include "core/sql_batch.h"
#include "core/sql_frame.h"
#include "core/sql_log.h"
#include "core/sql_parts.h"

/* "<before>1, <before>2" */
static void
put_numbered(StrBuf *out, int count, const char *before)
{
    for (int i = 0; i < count; i++) {
        strbuf_printf(out, "%s%s%d", i == 0 ? "" : ", ", before, i + 1);
    }
}

static SliceKind
move_slice(const Plan *plan)
{
    return plan->path == PATH_BLOCK ? SLICE_BLOCK : SLICE_KEY;
}

/* ---- move ---- */

void
sql_put_insert(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "INSERT INTO ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into (");
    sql_put_map_columns(out, plan);
    strbuf_puts(out, ")\n    OVERRIDING SYSTEM VALUE\n    SELECT ");
    sql_put_map_values(out, plan);
    strbuf_puts(out, "\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
}

/* Can the target's column be changed?  Of an identity the server refuses that; the key's columns
 * are what the rows were found equal by. */
static bool
is_updated(const Plan *plan, const ColumnFacts *target)
{
    for (int i = 0; i < plan->key_count; i++) {
        if (plan->copy->key[i] == target) {
            return false;
        }
    }
    return !target->identity;
}

static void
put_updated(StrBuf *out, const Plan *plan, const char *prefix)
{
    const CopyPlan *copy = plan->copy;
    const char *separator = "";
    for (int i = 0; i < copy->map_count; i++) {
        if (is_updated(plan, copy->map[i].target)) {
            strbuf_printf(out, "%s%s", separator, prefix);
            sql_put_ident(out, copy->map[i].target->name);
            separator = ", ";
        }
    }
}

static bool
updates_any(const Plan *plan)
{
    STRBUF_AUTO list = STRBUF_INIT;
    put_updated(&list, plan, "");
    return strbuf_text(&list)[0] != '\0';
}

void
sql_put_on_conflict(StrBuf *out, const Plan *plan)
{
    const CopyPlan *copy = plan->copy;
    ConflictMode mode = plan->spec->on_conflict;
    if (mode == ON_CONFLICT_ERROR) {
        return; /* ON CONFLICT would cost half as much again */
    }
    strbuf_puts(out, "\n        ON CONFLICT (");
    for (int i = 0; i < copy->arbiter->attnum_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_ident(out, facts_column_by_attnum(copy->into, copy->arbiter->attnums[i])->name);
    }
    if (mode != ON_CONFLICT_UPDATE || !updates_any(plan)) {
        strbuf_puts(out, ") DO NOTHING");
        return;
    }
    strbuf_puts(out, ") DO UPDATE\n       SET (");
    put_updated(out, plan, "");
    strbuf_puts(out, ") = ROW(");
    put_updated(out, plan, "EXCLUDED.");
    strbuf_puts(out, ")\n     WHERE pg_catalog.record_image_ne(ROW(");
    put_updated(out, plan, "pghaul_into.");
    strbuf_puts(out, "), ROW(");
    put_updated(out, plan, "EXCLUDED.");
    strbuf_puts(out, "))");
}

/* The key given as "a, b" has an entry in the change log.  The set is hashed once a
 * statement, and only when a row asks for it.  Without columns: TRUNCATE was seen. */
static void
put_is_logged(StrBuf *out, const Plan *plan, int64_t job, const char *key_list)
{
    strbuf_printf(out, "(%s) IN (SELECT ", key_list);
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%sl.k%d", i == 0 ? "" : ", ", i + 1);
    }
    strbuf_puts(out, " FROM ");
    sql_put_function_name(out, plan, "log", job);
    strbuf_puts(out, " AS l WHERE l.k1 IS NOT NULL)");
}

void
sql_put_not_logged(StrBuf *out, const Plan *plan, int64_t job, const char *when)
{
    if (plan->sync_trigger) {
        STRBUF_AUTO key = STRBUF_INIT;
        sql_put_key_list(&key, plan);
        strbuf_printf(out, "\n       AND NOT (%s AND ", when);
        put_is_logged(out, plan, job, strbuf_text(&key));
        strbuf_puts(out, ")");
    }
}

static void
put_batch_rows(StrBuf *out, const Plan *plan, SliceKind kind)
{
    sql_put_slice(out, plan, kind);
    sql_put_where(out, plan);
}

/* With $8 those of them that are not in the change log; else the test is folded away. */
static void
put_unlogged_rows(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    put_batch_rows(out, plan, kind);
    sql_put_not_logged(out, plan, job, "$8");
}

/* How many rows there were to be copied, and of them how many keys the target had already; the
 * snapshot is that of the INSERT beside it. */
static void
put_counted_insert(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    bool updates = plan->spec->on_conflict == ON_CONFLICT_UPDATE;
    strbuf_puts(out, "    WITH pghaul_put AS (\n    ");
    sql_put_insert(out, plan);
    put_unlogged_rows(out, plan, job, kind);
    sql_put_on_conflict(out, plan);
    strbuf_puts(out, "\n    RETURNING 1)\n"
                     "    SELECT (SELECT pg_catalog.count(*) FROM pghaul_put),\n"
                     "           (SELECT pg_catalog.count(*) FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_unlogged_rows(out, plan, job, kind);
    strbuf_puts(out, ")");
    if (updates) {
        strbuf_puts(out, ",\n           (SELECT pg_catalog.count(*) FROM ");
        sql_put_only_table(out, plan);
        strbuf_puts(out, " WHERE ");
        put_unlogged_rows(out, plan, job, kind);
        strbuf_puts(out, "\n       AND EXISTS (SELECT FROM ");
        sql_put_into_table(out, plan);
        strbuf_puts(out, " AS pghaul_into\n           WHERE ");
        sql_put_same_key(out, plan);
        strbuf_puts(out, "))");
    }
    strbuf_printf(
        out, "\n      INTO pghaul_rows, pghaul_wanted%s;\n", updates ? ", pghaul_had" : "");
    if (updates) {
        strbuf_puts(out, "    pghaul_updated := GREATEST(pghaul_rows - pghaul_wanted + pghaul_had, "
                         "0);\n");
    }
}

/* Raise if a row of the batch whose key the target has, or has not, is not in the change log
 * either. That may be long: it is read only if there are such rows. */
static void
put_refuse_unlogged(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind, bool there)
{
    strbuf_puts(out, "    PERFORM FROM (SELECT ");
    sql_put_key_list(out, plan);
    strbuf_puts(out, "\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    put_batch_rows(out, plan, kind);
    strbuf_printf(out, "\n       AND %sEXISTS (SELECT FROM ", there ? "" : "NOT ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into\n           WHERE ");
    sql_put_same_key(out, plan);
    strbuf_puts(out, ")\n    OFFSET 0) AS ");
    sql_put_ident(out, plan->facts->table.name);
    strbuf_printf(out, "\n     WHERE %s", there ? "$4 = 1" : "true");
    sql_put_not_logged(out, plan, job, "true");
    strbuf_puts(out, ";\n"
                     "    IF FOUND THEN\n"
                     "        RAISE EXCEPTION USING ERRCODE = 'unique_violation',\n"
                     "            MESSAGE = 'a unique value is taken';\n"
                     "    END IF;\n");
}

/*
 * With $8 around unique values that are taken: by a row that was copied before the application
 * moved it, or that has handed its value on.  Both are in the change log, and the drain's.  A pass
 * that walks over a rewritten table anew, which is not the first, meets every row that was copied.
 */
static void
put_rows_around(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    strbuf_puts(out, "    IF $8 THEN\n");
    put_refuse_unlogged(out, plan, job, kind, true);
    strbuf_puts(out, "    ");
    sql_put_insert(out, plan);
    put_batch_rows(out, plan, kind);
    strbuf_puts(out, "\n        ON CONFLICT DO NOTHING;\n"
                     "    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n");
    put_refuse_unlogged(out, plan, job, kind, false);
    strbuf_puts(out, "    ELSE\n");
}

static void
put_rows(StrBuf *out, const Plan *plan, int64_t job, SliceKind kind)
{
    if (plan->spec->on_conflict != ON_CONFLICT_ERROR) {
        put_counted_insert(out, plan, job, kind);
        strbuf_puts(out, "    pghaul_skipped := pghaul_wanted - pghaul_rows;\n"
                         "    pghaul_rows := pghaul_rows - pghaul_updated;\n");
        return;
    }
    bool around = plan->sync_trigger && sql_log_tells_conflicts(plan);
    if (around) {
        put_rows_around(out, plan, job, kind);
    }
    strbuf_puts(out, "    ");
    sql_put_insert(out, plan);
    if (around) {
        put_batch_rows(out, plan, kind);
    } else {
        put_unlogged_rows(out, plan, job, kind);
    }
    strbuf_puts(out, ";\n    GET DIAGNOSTICS pghaul_rows = ROW_COUNT;\n");
    strbuf_puts(out, around ? "    END IF;\n" : "");
}

void
sql_copy_function(StrBuf *out, const Plan *plan, int64_t job)
{
    SliceKind kind = move_slice(plan);
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, kind);
    strbuf_puts(&body, "    pghaul_wanted pg_catalog.int8;\n"
                       "    pghaul_had pg_catalog.int8;\n"
                       "BEGIN\n");
    sql_put_frame_claim(&body, job);
    sql_put_frame_slice(&body, plan, kind, "$7");
    strbuf_puts(&body, "    -- 3 the rows\n");
    put_rows(&body, plan, job, kind);
    sql_put_frame_guards(&body, plan, job, kind);
    sql_put_frame_checkpoint(&body, plan, job, kind);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "move", job, kind, strbuf_text(&body));
}

/* ---- verify ---- */

/* A row of one side: pghaul_k1.. as bounds are typed, pghaul_c1.. as the target has them. */
static void
put_source_side(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "(SELECT true AS pghaul_here");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, ", ");
        sql_put_column(out, plan, plan->key[i].name);
        strbuf_printf(out, " AS pghaul_k%d", i + 1);
    }
    for (int i = 0; i < plan->copy->map_count; i++) {
        strbuf_puts(out, ",\n           ");
        sql_put_map_coerced(out, plan, &plan->copy->map[i]);
        strbuf_printf(out, " AS pghaul_c%d", i + 1);
    }
    strbuf_puts(out, "\n      FROM ");
    sql_put_only_table(out, plan);
    strbuf_puts(out, "\n     WHERE ");
    sql_put_slice(out, plan, SLICE_KEY);
    sql_put_where(out, plan);
    strbuf_puts(out, ") AS pghaul_is");
}

static void
put_target_side(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "(SELECT true AS pghaul_here");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_puts(out, ", ");
        sql_put_into_column(out, plan->copy->key[i]->name);
        strbuf_printf(out, " AS pghaul_k%d", i + 1);
    }
    for (int i = 0; i < plan->copy->map_count; i++) {
        strbuf_puts(out, ", ");
        sql_put_into_column(out, plan->copy->map[i].target->name);
        strbuf_printf(out, " AS pghaul_c%d", i + 1);
    }
    strbuf_puts(out, "\n      FROM ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into\n     WHERE ");
    sql_put_into_slice(out, plan);
    strbuf_puts(out, ") AS pghaul_has");
}

/* Missing, extra, or not the same in every byte; image inequality is right for json, 1.0 and 1.00,
 * -0 and collations where 'a' equals 'A'.  With skip what the target had is as it may be. */
static void
put_differs(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "CASE WHEN pghaul_is.pghaul_here IS NULL OR pghaul_has.pghaul_here IS NULL "
                     "THEN true\n           ELSE ");
    if (plan->spec->on_conflict == ON_CONFLICT_SKIP) {
        strbuf_puts(out, "false");
    } else {
        strbuf_puts(out, "pg_catalog.record_image_ne(ROW(");
        put_numbered(out, plan->copy->map_count, "pghaul_is.pghaul_c");
        strbuf_puts(out, "),\n               ROW(");
        put_numbered(out, plan->copy->map_count, "pghaul_has.pghaul_c");
        strbuf_puts(out, "))");
    }
    strbuf_puts(out, " END");
    if (plan->sync_trigger) {
        STRBUF_AUTO key = STRBUF_INIT;
        for (int i = 0; i < plan->key_count; i++) {
            strbuf_printf(&key, "%sCOALESCE(pghaul_is.pghaul_k%d, pghaul_has.pghaul_k%d)",
                i == 0 ? "" : ", ", i + 1, i + 1);
        }
        strbuf_puts(out, "\n           AND NOT ");
        put_is_logged(out, plan, job, strbuf_text(&key));
    }
}

/* Only where the target was empty is a row too many ours. */
static bool
finds_extras(const Plan *plan)
{
    return plan->spec->on_conflict == ON_CONFLICT_ERROR;
}

static void
put_comparison(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out,
        "    -- 3 one statement, one snapshot: a row is right or it is not\n"
        "    SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE s.pghaul_differs),\n"
        "           pg_catalog.array_agg(s.pghaul_key) FILTER (WHERE s.pghaul_differs)\n"
        "      INTO pghaul_rows, pghaul_differing, pghaul_keys\n"
        "      FROM (SELECT ARRAY[");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out,
            "%sCOALESCE(pghaul_is.pghaul_k%d::pg_catalog.text, "
            "pghaul_has.pghaul_k%d::pg_catalog.text)",
            i == 0 ? "" : ", ", i + 1, i + 1);
    }
    strbuf_puts(out, "] AS pghaul_key,\n           ");
    put_differs(out, plan, job);
    strbuf_puts(out, " AS pghaul_differs\n      FROM ");
    put_source_side(out, plan);
    strbuf_puts(out, finds_extras(plan) ? "\n      FULL JOIN " : "\n      LEFT JOIN ");
    put_target_side(out, plan);
    strbuf_puts(out, "\n        ON ");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%spghaul_is.pghaul_k%d = pghaul_has.pghaul_k%d", i == 0 ? "" : " AND ",
            i + 1, i + 1);
    }
    strbuf_puts(out, "\n    OFFSET 0) AS s;\n");
}

/* To mend a row is to log its key: only whoever drains the log writes the target.  Half of the log
 * stays the application's; a batch that does not fit is tried again, and smaller. */
static void
put_repair(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO log = STRBUF_INIT;
    sql_log_name(&log, plan, job);
    strbuf_printf(out,
        "    IF $8 AND pghaul_differing > 0 AND pg_catalog.pg_relation_size('%s')\n"
        "        + pghaul_differing * %d > %lld THEN\n"
        "        RAISE EXCEPTION USING ERRCODE = 'serialization_failure',\n"
        "            MESSAGE = 'the change log has no room for a repair, until it is drained';\n"
        "    END IF;\n",
        strbuf_text(&log), LOG_ENTRY_BYTES,
        (long long)plan->spec->limits.log_bytes / LOG_REPAIR_DIVISOR);
    strbuf_puts(out, "    IF $8 THEN\n        INSERT INTO ");
    sql_put_function_name(out, plan, "log", job);
    strbuf_puts(out, " AS l (");
    put_numbered(out, plan->key_count, "k");
    strbuf_puts(out, ")\n        SELECT ");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(
            out, "%spghaul_keys[s.i][%d]::%s", i == 0 ? "" : ", ", i + 1, sql_bound_type(plan, i));
    }
    strbuf_puts(out, "\n          FROM pg_catalog.generate_subscripts(pghaul_keys, 1) AS s(i);\n"
                     "        pghaul_rows := pghaul_differing;\n"
                     "        pghaul_differing := 0;\n"
                     "    END IF;\n");
}

void
sql_compare_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO body = STRBUF_INIT;
    sql_put_frame_declare(&body, plan, SLICE_KEY);
    strbuf_puts(&body, "    pghaul_differing pg_catalog.int8;\n"
                       "    pghaul_keys pg_catalog.text[];\n"
                       "BEGIN\n");
    sql_put_frame_claim(&body, job);
    sql_put_frame_slice(&body, plan, SLICE_KEY, "$7");
    if (finds_extras(plan)) {
        sql_put_frame_into_end(&body, plan, "$7");
    }
    put_comparison(&body, plan, job);
    put_repair(&body, plan, job);
    sql_put_frame_guards(&body, plan, job, SLICE_KEY);
    sql_put_frame_checkpoint(&body, plan, job, SLICE_KEY);
    strbuf_puts(&body, "    pghaul_keys := pghaul_keys[1:5];\n");
    sql_put_differences(&body, job);
    strbuf_puts(&body, "    RETURN NEXT;\nEND\n");
    sql_put_batch_function(out, plan, "verify", job, SLICE_KEY, strbuf_text(&body));
}

/* ---- what comes next ---- */

void
sql_copy_steps(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "ANALYZE ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, ";\n");
    if (!plan->sync_trigger) {
        strbuf_puts(out, "-- rows that were written to the source since are not in it\n");
    }
    strbuf_printf(out, "%s%s%s-- when pghaul is not needed any more:\n--   pghaul clean %s\n",
        plan->sync_trigger ? "-- when the application is to use it:\n--   pghaul cutover " : "",
        plan->sync_trigger ? plan->spec->job : "", plan->sync_trigger ? "\n" : "", plan->spec->job);
}
