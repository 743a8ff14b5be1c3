#include "core/sql_log.h"

#include <string.h>

#include "core/sql_backfill.h"
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

void
sql_log_put_numbered(StrBuf *out, const Plan *plan, const char *before)
{
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%s%s%d", i == 0 ? "" : ", ", before, i + 1);
    }
}

void
sql_log_put_key_text(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, "ARRAY[");
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(out, "%spghaul_log.k%d::pg_catalog.text", i == 0 ? "" : ", ", i + 1);
    }
    strbuf_puts(out, "]");
}

void
sql_log_put_key(StrBuf *out, const Plan *plan)
{
    strbuf_puts(out, plan->key_count > 1 ? "(" : "");
    sql_log_put_numbered(out, plan, "pghaul_log.k");
    strbuf_puts(out, plan->key_count > 1 ? ")" : "");
}

void
sql_log_put_from(StrBuf *out, const Plan *plan, int64_t job)
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

static bool
has_hashable_key(const Plan *plan)
{
    for (int i = 0; i < plan->key_count; i++) {
        if (!is_hashable(plan->copy->key[i])) {
            return false;
        }
    }
    return true;
}

int
sql_log_slices(const Plan *plan)
{
    return sql_log_tells_conflicts(plan) && has_hashable_key(plan) ? LOG_SLICES : 1;
}

/* The hash is taken by the server's own function for the type, not of the text: 1.0 and 1.00 are
 * one key. */
void
sql_log_put_in_slice(StrBuf *out, const Plan *plan, const char *slice_sql, const char *slices_sql)
{
    if (!has_hashable_key(plan)) {
        strbuf_printf(out, "%s = 0", slice_sql);
        return;
    }
    strbuf_printf(out,
        "CASE WHEN %s = 1 THEN %s = 0 ELSE pghaul_log.k1 IS NULL OR pg_catalog.mod(\n"
        "           pg_catalog.hash_record_extended(ROW(",
        slices_sql, slice_sql);
    sql_log_put_numbered(out, plan, "pghaul_log.k");
    strbuf_printf(out, "), 0) & 1048575::pg_catalog.int8, %s) = %s END", slices_sql, slice_sql);
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

void
sql_log_vacuum(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "VACUUM (SKIP_LOCKED) ");
    sql_log_name(out, plan, job);
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
    sql_log_put_numbered(out, plan, "k");
    strbuf_puts(out, ") VALUES (");
    sql_log_put_numbered(out, plan, side);
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
    sql_log_put_numbered(out, plan, "pghaul_old");
    strbuf_puts(out, "),\n            ROW(");
    sql_log_put_numbered(out, plan, "pghaul_new");
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
        "            THEN (SELECT pg_catalog.count(*) FROM (SELECT FROM %s AS l\n"
        "                   WHERE l.id > $1::pg_catalog.int8 LIMIT %d) AS s)\n"
        "            ELSE GREATEST(1, pg_catalog.pg_stat_get_live_tuples(\n"
        "                '%s'::pg_catalog.regclass)) END,\n",
        name, EXACT_BYTES, name, LOG_ROWS_EXACT + 1, name);
    strbuf_printf(out,
        "       COALESCE(GREATEST(0, EXTRACT(epoch FROM pg_catalog.clock_timestamp() - f.at)), "
        "0),\n"
        "       COALESCE((SELECT l.id FROM %s AS l WHERE l.id > $1::pg_catalog.int8\n"
        "                  ORDER BY l.id DESC LIMIT 1), 0),\n"
        "       pg_catalog.pg_relation_size('%s')\n"
        "  FROM ",
        name, name);
    sql_log_overflow_name(out, plan, job);
    strbuf_printf(out,
        " AS o\n"
        "  LEFT JOIN LATERAL (SELECT l.at FROM %s AS l WHERE l.id > $1::pg_catalog.int8\n"
        "                      ORDER BY l.id LIMIT 1) AS f ON true",
        name);
}

void
sql_log_is_drained(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "SELECT NOT EXISTS (SELECT");
    sql_log_put_from(out, plan, job);
    strbuf_puts(out, "\n WHERE pghaul_log.id > $1::pg_catalog.int8"
                     " AND pghaul_log.id <= $2::pg_catalog.int8)");
}

void
sql_log_truncated(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "SELECT EXISTS (SELECT");
    sql_log_put_from(out, plan, job);
    strbuf_puts(out, " WHERE pghaul_log.k1 IS NULL)");
}

void
sql_log_next_key(StrBuf *out, const Plan *plan, int64_t job)
{
    strbuf_puts(out, "SELECT ");
    sql_log_put_key_text(out, plan);
    sql_log_put_from(out, plan, job);
    strbuf_puts(out, "\n WHERE pghaul_log.id > $2::pg_catalog.int8\n   AND ");
    sql_log_put_in_slice(out, plan, "$1::pg_catalog.int4", "$3::pg_catalog.int4");
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
