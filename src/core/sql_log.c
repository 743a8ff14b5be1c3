#include "core/sql_log.h"

#include <string.h>

#include "core/sql_backfill.h"
#include "core/sql_copy.h"
#include "core/sql_frame.h"
#include "core/sql_parts.h"

/* ---- names ---- */

void
sql_log_name(StrBuf *out, const Plan *plan, int64_t job)
{
    sql_put_function_name(out, plan, "log", job);
}

void
sql_log_overflow_name(StrBuf *out, const Plan *plan, int64_t job)
{
    sql_put_function_name(out, plan, "overflow", job);
}

void
sql_log_truncate_name(StrBuf *out, const Plan *plan, int64_t job)
{
    sql_sync_name(out, plan, job);
    strbuf_puts(out, "_t");
}

/* "<before>1, <before>2" */
static void
put_numbered(StrBuf *out, const Plan *plan, const char *before)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%s%s%d", i == 0 ? "" : ", ", before, i + 1);
    }
}

void
sql_log_put_key(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, plan->key_count > 1 ? "(" : "");
    put_numbered(out, plan, "pghaul_log.k");
    strbuf_puts(out, plan->key_count > 1 ? ")" : "");
}

/* FROM pghaul.log_.. AS pghaul_log */
static void
put_from_log(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, " FROM ");
    sql_log_name(out, plan, job);
    strbuf_puts(out, " AS pghaul_log");
}

/* ---- slices ---- */

/* Types whose hash function of the catalog gives equal values equal hashes. */
static bool
is_hashable(const ColumnFacts *column)
{
    static const char *const TYPES[] = {"int2", "int4", "int8", "oid", "text", "varchar", "bpchar",
        "name", "uuid", "bytea", "bool", "char", "date", "time", "timetz", "timestamp",
        "timestamptz", "interval", "numeric", "float4", "float8", "inet", "cidr", "macaddr",
        "macaddr8", "jsonb"};
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
        if (strcmp(column->base_type_name, TYPES[i]) == 0) {
            return column->collation_deterministic;
        }
    }
    return false;
}

/* Of a constraint that is deferrable the server does not tell whether a row would break it. */
bool
sql_log_tells_conflicts(const Plan *plan)
{
    const Facts *into = plan->copy->into;
    for (int i = 0; i < into->index_count; i++) {
        if (!into->indexes[i].immediate) {
            return false;
        }
    }
    return true;
}

int
sql_log_slices(const Plan *plan)
{
    if (!sql_log_tells_conflicts(plan)) {
        return 1;
    }
    for (int i = 0; i < plan->key_count; i++) {
        if (!is_hashable(plan->copy->key[i])) {
            return 1;
        }
    }
    return LOG_SLICES_MAX;
}

/* The hash is taken by the server's own function for the type, not of the text: 1.0 and 1.00 are
 * one key. */
void
sql_log_put_in_slice(StrBuf *out, const Plan *plan, const char *slice_sql)
{
    int slices = sql_log_slices(plan);
    if (slices == 1) {
        strbuf_puts(out, "true");
        return;
    }
    strbuf_puts(out, "(pghaul_log.k1 IS NULL OR pg_catalog.mod(\n"
                     "           pg_catalog.hash_record_extended(ROW(");
    put_numbered(out, plan, "pghaul_log.k");
    strbuf_printf(out, "), 0) & 1048575, %d) = %s)", slices, slice_sql);
}

/* ---- objects ---- */

/* Vacuum by the number of dead entries, since the table's size says nothing of a queue's. */
void
sql_log_table(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "CREATE TABLE ");
    sql_log_name(out, plan, job);
    strbuf_puts(out, " (\n"
                     "    id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
                     "    at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, ",\n    k%d %s", i + 1, sql_bound_type(plan, i));
    }
    strbuf_puts(out, ")\n    WITH (autovacuum_vacuum_scale_factor = 0,\n"
                     "          autovacuum_vacuum_threshold = 5000,\n"
                     "          autovacuum_vacuum_cost_delay = 0,\n"
                     "          autovacuum_analyze_scale_factor = 0,\n"
                     "          autovacuum_analyze_threshold = 100000)");
}

void
sql_log_overflow(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "CREATE SEQUENCE ");
    sql_log_overflow_name(out, plan, job);
}

/* ---- capture ---- */

static void
put_capture_declare(StrBuf *out, const Plan *plan)
{
    static const char *const SIDES[] = {"pghaul_old", "pghaul_new"};
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < plan->key_count; i++) {
            strbuf_printf(out, "    %s%d %s;\n", SIDES[side], i + 1, sql_bound_type(plan, i));
        }
    }
}

/* pghaul_old1 := OLD."id"; .. */
static void
put_capture_side(StrBuf *out, const Plan *plan, const char *side, const char *record)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "                %s%d := %s.", side, i + 1, record);
        sql_put_ident(out, plan->key[i].name);
        strbuf_puts(out, ";\n");
    }
}

static void
put_capture_insert(StrBuf *out, const Plan *plan, int64_t job, const char *side)
{
    strbuf_puts(out, "INSERT INTO ");
    sql_log_name(out, plan, job);
    strbuf_puts(out, " AS l (");
    put_numbered(out, plan, "k");
    strbuf_puts(out, ") VALUES (");
    put_numbered(out, plan, side);
    strbuf_puts(out, ");\n");
}

/* In numbers, since names of tables cannot be variables of a statement that is not dynamic. */
static void
put_capture_entries(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "    IF TG_OP = 'TRUNCATE' THEN\n        INSERT INTO ");
    sql_log_name(out, plan, job);
    strbuf_puts(out, " DEFAULT VALUES;\n        RETURN NULL;\n    END IF;\n"
                     "    IF TG_OP = 'DELETE'\n"
                     "        OR TG_OP = 'UPDATE' AND pg_catalog.record_image_ne(ROW(");
    put_numbered(out, plan, "pghaul_old");
    strbuf_puts(out, "),\n            ROW(");
    put_numbered(out, plan, "pghaul_new");
    strbuf_puts(out, ")) THEN\n        ");
    put_capture_insert(out, plan, job, "pghaul_old");
    strbuf_puts(out, "    END IF;\n    IF TG_OP <> 'DELETE' THEN\n        ");
    put_capture_insert(out, plan, job, "pghaul_new");
    strbuf_puts(out, "    END IF;\n");
}

void
sql_capture_function(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO head = STRBUF_INIT;
    STRBUF_AUTO log = STRBUF_INIT;
    STRBUF_AUTO overflow = STRBUF_INIT;
    sql_log_name(&log, plan, job);
    sql_log_overflow_name(&overflow, plan, job);
    strbuf_puts(&head, "CREATE FUNCTION ");
    sql_put_function_name(&head, plan, "capture", job);
    strbuf_puts(&head, "()\nRETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n"
                       "SET search_path = pg_catalog, pg_temp\n");

    STRBUF_AUTO body = STRBUF_INIT;
    strbuf_puts(&body, "#variable_conflict use_column\nDECLARE\n"
                       "    pghaul_may pg_catalog.bool;\n");
    put_capture_declare(&body, plan);
    strbuf_printf(&body,
        "BEGIN\n"
        "    pghaul_may := COALESCE(pg_catalog.pg_relation_size(\n"
        "        pg_catalog.to_regclass('%s')) <= %lld, false);\n",
        strbuf_text(&log), (long long)plan->spec->limits.log_bytes);
    strbuf_puts(&body, "    IF pghaul_may AND TG_OP <> 'TRUNCATE' THEN\n"
                       "        -- a key that was renamed or has another type now; the block only\n"
                       "        -- evaluates, so it takes no transaction id\n"
                       "        BEGIN\n"
                       "            IF TG_OP <> 'INSERT' THEN\n");
    put_capture_side(&body, plan, "pghaul_old", "OLD");
    strbuf_puts(&body, "            END IF;\n            IF TG_OP <> 'DELETE' THEN\n");
    put_capture_side(&body, plan, "pghaul_new", "NEW");
    strbuf_printf(&body,
        "            END IF;\n"
        "        EXCEPTION WHEN OTHERS THEN\n"
        "            pghaul_may := false;\n"
        "        END;\n"
        "    END IF;\n"
        "    IF NOT pghaul_may THEN\n"
        "        -- not recorded: the sequence says so, whatever becomes of the transaction\n"
        "        IF pg_catalog.to_regclass('%s') IS NOT NULL THEN\n"
        "            PERFORM pg_catalog.nextval('%s');\n"
        "        END IF;\n"
        "        RETURN NULL;\n"
        "    END IF;\n",
        strbuf_text(&overflow), strbuf_text(&overflow));
    put_capture_entries(&body, plan, job);
    strbuf_puts(&body, "    RETURN NULL;\nEND\n");
    sql_put_function(out, strbuf_text(&head), strbuf_text(&body));
}

/* ---- triggers ---- */

typedef void NamePutter(StrBuf *out, const Plan *plan, int64_t job);

static void
put_trigger(StrBuf *out, const Plan *plan, int64_t job, NamePutter *name, const char *events)
{
    strbuf_puts(out, "CREATE TRIGGER ");
    name(out, plan, job);
    strbuf_printf(out, " AFTER %s ON ", events);
    sql_put_table(out, plan);
    strbuf_printf(out, "\n    FOR EACH %s EXECUTE FUNCTION ",
        name == sql_log_truncate_name ? "STATEMENT" : "ROW");
    sql_put_function_name(out, plan, "capture", job);
    strbuf_puts(out, "()");
}

void
sql_log_trigger(StrBuf *out, const Plan *plan, int64_t job)
{
    put_trigger(out, plan, job, sql_sync_name, "INSERT OR UPDATE OR DELETE");
}

void
sql_log_truncate_trigger(StrBuf *out, const Plan *plan, int64_t job)
{
    put_trigger(out, plan, job, sql_log_truncate_name, "TRUNCATE");
}

void
sql_log_truncate_enable(StrBuf *out, const Plan *plan, int64_t job)
{
    sql_sync_enable(out, plan, job);
    strbuf_puts(out, "_t");
}

/* ---- drain ---- */

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
    put_from_log(out, plan, job);
    strbuf_puts(out, "\n     WHERE pghaul_log.id > $5\n       AND ");
    sql_log_put_in_slice(out, plan, "$1");
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
 * Entries whose key has the same row on both sides already are done.  The snapshot is later than
 * the pick: what it shows of the source includes the change that the entry stands for.
 *
 * The user's expressions are evaluated where only the source's columns are in reach by their names.
 */
static void
put_drain_work(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "    -- 3 those whose rows differ\n"
                     "    SELECT pg_catalog.array_agg(pghaul_log.id) INTO pghaul_work");
    put_from_log(out, plan, job);
    strbuf_puts(out, "\n     WHERE pghaul_log.id = ANY (pghaul_ids) AND NOT EXISTS (\n"
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
    strbuf_puts(out, ")));\n");
}

/* .. IN (the keys of the work) */
static void
put_of_work(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, " IN (\n           SELECT ");
    put_numbered(out, plan, "pghaul_log.k");
    put_from_log(out, plan, job);
    strbuf_puts(out, " WHERE pghaul_log.id = ANY (pghaul_work))");
}

/* Which rows a unique value of another kept out: the source has them, and the target has not. */
static void
put_drain_kept(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "    SELECT pg_catalog.array_agg(pghaul_log.id), pg_catalog.count(*),\n"
                     "           pg_catalog.min(pghaul_log.id)\n"
                     "      INTO pghaul_keep, pghaul_kept, pghaul_first");
    put_from_log(out, plan, job);
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
    strbuf_puts(out, "    -- 5 the entries are done\n    DELETE");
    put_from_log(out, plan, job);
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

/* ---- questions ---- */

/* A log that is large is counted by the server's statistics; whether it is empty is always exact.
 */
#define EXACT_BYTES 33554432

void
sql_log_state(StrBuf *out, const Plan *plan, int64_t job)
{
    STRBUF_AUTO log = STRBUF_INIT;
    sql_log_name(&log, plan, job);
    const char *name = strbuf_text(&log);
    strbuf_puts(out, "SELECT o.is_called,\n       CASE WHEN f.at IS NULL THEN 0\n");
    strbuf_printf(out,
        "            WHEN pg_catalog.pg_relation_size('%s') <= %d\n"
        "            THEN (SELECT pg_catalog.count(*)\n"
        "                    FROM (SELECT FROM %s LIMIT %d) AS s)\n"
        "            ELSE GREATEST(1, pg_catalog.pg_stat_get_live_tuples(\n"
        "                '%s'::pg_catalog.regclass)) END,\n",
        name, EXACT_BYTES, name, LOG_ROWS_EXACT + 1, name);
    strbuf_printf(out,
        "       COALESCE(GREATEST(0, EXTRACT(epoch FROM pg_catalog.clock_timestamp() - f.at)), "
        "0),\n"
        "       COALESCE((SELECT l.id FROM %s AS l ORDER BY l.id DESC LIMIT 1), 0)\n"
        "  FROM ",
        name);
    sql_log_overflow_name(out, plan, job);
    strbuf_printf(out,
        " AS o\n"
        "  LEFT JOIN LATERAL (SELECT l.at FROM %s AS l ORDER BY l.id LIMIT 1) AS f ON true",
        name);
}

void
sql_log_behind(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "SELECT EXISTS (SELECT");
    put_from_log(out, plan, job);
    strbuf_puts(out, " WHERE pghaul_log.id <= $1::pg_catalog.int8)");
}

void
sql_log_truncated(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "SELECT EXISTS (SELECT");
    put_from_log(out, plan, job);
    strbuf_puts(out, " WHERE pghaul_log.k1 IS NULL)");
}

void
sql_log_first_key(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "SELECT ARRAY[");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%spghaul_log.k%d::pg_catalog.text", i == 0 ? "" : ", ", i + 1);
    }
    strbuf_puts(out, "]");
    put_from_log(out, plan, job);
    strbuf_puts(out, "\n WHERE pghaul_log.id > $2::pg_catalog.int8\n   AND ");
    sql_log_put_in_slice(out, plan, "$1::pg_catalog.int4");
    strbuf_puts(out, "\n ORDER BY pghaul_log.id LIMIT 1");
}

void
sql_log_reset(StrBuf *out, const Plan *plan, int64_t job, int step)
{
    switch (step) {
    case 0:
        strbuf_puts(out, "LOCK TABLE ONLY ");
        sql_put_table(out, plan);
        strbuf_puts(out, " IN SHARE ROW EXCLUSIVE MODE");
        break;
    case 1:
        strbuf_puts(out, "TRUNCATE ");
        sql_log_name(out, plan, job);
        break;
    default:
        strbuf_puts(out, "SELECT pg_catalog.setval('");
        sql_log_overflow_name(out, plan, job);
        strbuf_puts(out, "', 1, false)");
        break;
    }
}
