/*
 * sql_log_drain.c - the function that drains some entries of the change log: delete the rows of
 * their keys from the target, read the source again, write, and delete exactly these entries.
 */
#include <stdio.h>

#include "core/sql_copy.h"
#include "core/sql_frame.h"
#include "core/sql_log.h"
#include "core/sql_parts.h"

static const char DRAIN_HEAD[] =
    "(pg_catalog.int4, pg_catalog.int8, pg_catalog.uuid, pg_catalog.int8, pg_catalog.int8,\n"
    "    pg_catalog.bool)\n"
    "RETURNS TABLE (pghaul_outcome pg_catalog.text, pghaul_entries pg_catalog.int8,\n"
    "    pghaul_deleted pg_catalog.int8, pghaul_written pg_catalog.int8,\n"
    "    pghaul_last pg_catalog.int8, pghaul_kept pg_catalog.int8, pghaul_first pg_catalog.int8)\n"
    "LANGUAGE plpgsql VOLATILE\n";

/* As for batches; a few keys are looked up in large tables, whatever statistics say. */
static const char DRAIN_SETTINGS[] = "SET lock_timeout = '5ms'\n"
                                     "SET plan_cache_mode = 'force_custom_plan'\n"
                                     "SET enable_seqscan = 'off'\n"
                                     "SET enable_hashjoin = 'off'\n"
                                     "SET enable_mergejoin = 'off'\n"
                                     "SET jit = 'off'\n"
                                     "SET max_parallel_workers_per_gather = 0\n";

static void
put_drain_claim(StrBuf *out, int64_t job)
{
    sql_put_batch_mark(out, job);
    strbuf_printf(out,
        "    pghaul_outcome := 'drained';\n"
        "    pghaul_deleted := 0;\n"
        "    pghaul_written := 0;\n"
        "    pghaul_kept := 0;\n"
        "    -- 1 is the slice still ours?  Nobody else drains its keys while this row is locked\n"
        "    PERFORM FROM pghaul.slice AS s\n"
        "      WHERE s.job = %lld AND s.no = $1 AND s.epoch = $2 AND s.lease = $3\n"
        "        FOR NO KEY UPDATE;\n"
        "    IF NOT FOUND THEN\n"
        "        pghaul_outcome := 'lost';\n"
        "        RETURN NEXT;\n"
        "        RETURN;\n"
        "    END IF;\n",
        (long long)job);
}

/* Exactly these ids: an entry with a smaller one may not have committed yet. */
static void
put_drain_pick(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out,
        "    -- 2 the entries, by id; one that commits later is met later, whatever its id\n"
        "    SELECT pg_catalog.array_agg(s.id), pg_catalog.count(*), pg_catalog.max(s.id),\n"
        "           COALESCE(pg_catalog.bool_or(s.truncated), false)\n"
        "      INTO pghaul_ids, pghaul_entries, pghaul_last, pghaul_truncated\n"
        "      FROM (SELECT pghaul_log.id, pghaul_log.k1 IS NULL AS truncated");
    sql_log_put_from(out, plan, job);
    strbuf_puts(out, "\n     WHERE pghaul_log.id > $5\n       AND ");
    char slices[16];
    (void)snprintf(slices, sizeof(slices), "%d", sql_log_slices(plan));
    sql_log_put_in_slice(out, plan, "$1", slices);
    strbuf_puts(out, "\n     ORDER BY pghaul_log.id LIMIT $4) AS s;\n"
                     "    IF pghaul_truncated THEN\n"
                     "        pghaul_outcome := 'truncated';\n"
                     "    END IF;\n"
                     "    IF pghaul_truncated OR pghaul_ids IS NULL THEN\n"
                     "        RETURN NEXT;\n"
                     "        RETURN;\n"
                     "    END IF;\n");
}

/* "a" or ("a", "b") of source or target, compared with the log. */
static void
put_row(StrBuf *out, const Plan *plan, bool into)
{
    strbuf_puts(out, plan->key_count > 1 ? "(" : "");
    if (into) {
        sql_put_into_key_list(out, plan);
    } else {
        sql_put_key_list(out, plan);
    }
    strbuf_puts(out, plan->key_count > 1 ? ")" : "");
}

/* The row of source or target with the entry's key. */
static void
put_row_of_entry(StrBuf *out, const Plan *plan, bool into)
{
    if (into) {
        sql_put_into_table(out, plan);
        strbuf_puts(out, " AS pghaul_into");
    } else {
        sql_put_only_table(out, plan);
    }
    strbuf_puts(out, "\n     WHERE ");
    put_row(out, plan, into);
    strbuf_puts(out, " = ");
    sql_log_put_key(out, plan);
}

/*
 * Entries whose key has the same row on both sides already are done, if the target has no more of
 * that key: by block a row that moved may have been copied twice, into two partitions.  The
 * snapshot is later than the pick: what it shows of the source includes the change that the entry
 * stands for.
 *
 * The user's expressions are evaluated where only the source's columns are in reach by their names.
 */
static void
put_drain_work(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "    -- 3 those whose rows differ\n"
                     "    SELECT pg_catalog.array_agg(pghaul_log.id) INTO pghaul_work");
    sql_log_put_from(out, plan, job);
    strbuf_puts(out, "\n     WHERE pghaul_log.id = ANY (pghaul_ids) AND (NOT EXISTS (\n"
                     "           SELECT FROM (SELECT ROW(");
    for (int i = 0; i < plan->copy->map_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_map_coerced(out, plan, &plan->copy->map[i]);
    }
    strbuf_puts(out, ") AS pghaul_is\n      FROM ");
    put_row_of_entry(out, plan, false);
    sql_put_where(out, plan);
    strbuf_puts(out, " OFFSET 0) AS pghaul_source,\n           ");
    put_row_of_entry(out, plan, true);
    strbuf_puts(out, "\n       AND pg_catalog.record_image_eq(pghaul_source.pghaul_is, ROW(");
    for (int i = 0; i < plan->copy->map_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_into_column(out, plan->copy->map[i].target->name);
    }
    strbuf_puts(out, ")))");
    if (plan->copy->arbiter->attnum_count > plan->key_count) {
        strbuf_puts(out, "\n        OR 1 < (SELECT pg_catalog.count(*) FROM ");
        put_row_of_entry(out, plan, true);
        strbuf_puts(out, ")");
    }
    strbuf_puts(out, ");\n");
}

/* .. IN (the keys of the work) */
static void
put_of_work(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, " IN (\n           SELECT ");
    sql_log_put_numbered(out, plan, "pghaul_log.k");
    sql_log_put_from(out, plan, job);
    strbuf_puts(out, " WHERE pghaul_log.id = ANY (pghaul_work))");
}

/* Which rows a unique value of another kept out: the source has them, and the target has not. */
static void
put_drain_kept(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "    SELECT pg_catalog.array_agg(pghaul_log.id), pg_catalog.count(*),\n"
                     "           pg_catalog.min(pghaul_log.id)\n"
                     "      INTO pghaul_keep, pghaul_kept, pghaul_first");
    sql_log_put_from(out, plan, job);
    strbuf_puts(out, "\n     WHERE pghaul_log.id = ANY (pghaul_work)\n"
                     "       AND NOT EXISTS (SELECT FROM ");
    put_row_of_entry(out, plan, true);
    strbuf_puts(out, ")\n       AND EXISTS (SELECT FROM ");
    put_row_of_entry(out, plan, false);
    sql_put_where(out, plan);
    strbuf_puts(out, ");\n");
}

static void
put_drain_insert(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "    ");
    sql_put_insert(out, plan);
    put_row(out, plan, false);
    put_of_work(out, plan, job);
    sql_put_where(out, plan);
}

static void
put_drain_write(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "    IF pghaul_work IS NOT NULL THEN\n"
                     "        -- 4 away with what the target has, so that unique values and\n"
                     "        -- partitions may change hands; then the source as it is now\n"
                     "    DELETE FROM ");
    sql_put_into_table(out, plan);
    strbuf_puts(out, " AS pghaul_into\n     WHERE ");
    put_row(out, plan, true);
    put_of_work(out, plan, job);
    strbuf_puts(out, ";\n    GET DIAGNOSTICS pghaul_deleted = ROW_COUNT;\n");
    if (sql_log_tells_conflicts(plan)) {
        strbuf_puts(out, "    IF NOT $6 THEN\n"
                         "        -- a value may still be with a row of another slice, or of a\n"
                         "        -- later entry: those rows are tried again\n");
        put_drain_insert(out, plan, job);
        strbuf_puts(out, "\n        ON CONFLICT DO NOTHING;\n"
                         "    GET DIAGNOSTICS pghaul_written = ROW_COUNT;\n");
        put_drain_kept(out, plan, job);
        strbuf_puts(out, "    ELSE\n");
    }
    put_drain_insert(out, plan, job);
    strbuf_puts(out, ";\n    GET DIAGNOSTICS pghaul_written = ROW_COUNT;\n");
    strbuf_puts(
        out, sql_log_tells_conflicts(plan) ? "    END IF;\n    END IF;\n" : "    END IF;\n");
}

static void
put_drain_end(StrBuf *out, const Plan *plan, int64_t job)
{
    if (!plan->copy->reversed) {
        strbuf_puts(
            out, "    -- both tables are those that were recorded; we hold locks on them\n");
        sql_put_drain_guards(out, plan, job);
    }
    strbuf_puts(out, "    -- 5 the entries are done\n    DELETE");
    sql_log_put_from(out, plan, job);
    strbuf_printf(out,
        " WHERE pghaul_log.id = ANY (pghaul_ids)\n"
        "       AND (pghaul_keep IS NULL OR pghaul_log.id <> ALL (pghaul_keep));\n"
        "    UPDATE pghaul.slice AS s\n"
        "       SET entries = s.entries + pghaul_entries - pghaul_kept,\n"
        "           written = s.written + pghaul_written, deleted = s.deleted + pghaul_deleted,\n"
        "           batches = s.batches + 1, drained = pg_catalog.clock_timestamp()\n"
        "     WHERE s.job = %lld AND s.no = $1;\n"
        "    RETURN NEXT;\nEND\n",
        (long long)job);
}

void
sql_drain_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO head = STRBUF_INIT;
    strbuf_puts(&head, "CREATE FUNCTION ");
    sql_put_function_name(&head, plan, "drain", job);
    strbuf_puts(&head, DRAIN_HEAD);
    sql_put_meaning_settings(&head, plan);
    strbuf_puts(&head, DRAIN_SETTINGS);

    STRBUF_AUTO body = STRBUF_INIT;
    strbuf_puts(&body, "#variable_conflict use_column\n"
                       "DECLARE\n"
                       "    pghaul_ids pg_catalog.int8[];\n"
                       "    pghaul_work pg_catalog.int8[];\n"
                       "    pghaul_keep pg_catalog.int8[];\n"
                       "    pghaul_truncated pg_catalog.bool;\n"
                       "BEGIN\n");
    put_drain_claim(&body, job);
    put_drain_pick(&body, plan, job);
    put_drain_work(&body, plan, job);
    put_drain_write(&body, plan, job);
    put_drain_end(&body, plan, job);
    sql_put_function(out, strbuf_text(&head), strbuf_text(&body));
}

void
sql_drain_call(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "SELECT * FROM ");
    sql_put_function_name(out, plan, "drain", job);
    strbuf_puts(out, "($1::pg_catalog.int4, $2::pg_catalog.int8, $3::pg_catalog.uuid,\n"
                     "    $4::pg_catalog.int8, $5::pg_catalog.int8, $6::pg_catalog.bool)");
}
