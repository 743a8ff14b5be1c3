/*
 * plan_text.c - a Plan as text and as JSON.
 */
#include "app/plan_text.h"

#include <stdio.h>

#include "app/json.h"
#include "app/plan_parts.h"
#include "app/plan_walk.h"
#include "app/text.h"
#include "core/format.h"
#include "core/sql_parts.h"

static const char *
path_name(const Plan *plan)
{
    return plan->path == PATH_BLOCK ? "block" : "key";
}

/* ---- text ---- */

void
plan_put_table(StrBuf *out, const JobSpec *spec, const Facts *facts, int width)
{
    if (spec->kind == KIND_COPY) {
        plan_copy_put_table(out, spec, facts, width);
        return;
    }
    char rows[FORMAT_SIZE];
    char bytes[FORMAT_SIZE];
    const TableFacts *table = &facts->table;
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "job %s: %s of %s.%s", spec->job, jobspec_kind_name(spec->kind),
        table->schema, table->name);
    if (table->rows >= 0) {
        strbuf_printf(&line, ", about %s rows", format_count((int64_t)table->rows, rows));
    }
    strbuf_printf(&line, ", %s with %d index%s", format_bytes(table->total_bytes, bytes),
        table->index_count, table->index_count == 1 ? "" : "es");
    text_put_wrapped(out, "", strbuf_text(&line), width);
    strbuf_clear(&line);
    strbuf_printf(&line, "PostgreSQL %d.%d, database %s, role %s",
        facts->server.version_num / 10000, facts->server.version_num % 10000,
        facts->server.database, facts->server.role);
    text_put_wrapped(out, "", strbuf_text(&line), width);
    strbuf_putc(out, '\n');
}

void
plan_put_fact(StrBuf *out, const char *label, const char *text, int width)
{
    char first[32];
    (void)snprintf(first, sizeof(first), "%-12s", label);
    text_put_wrapped(out, first, text, width);
}

void
plan_put_expressions(StrBuf *out, const Plan *plan, const char *label, int width)
{
    for (int i = 0; i < plan->spec->set_count; i++) {
        const Assignment *set = &plan->spec->set[i];
        STRBUF_AUTO line = STRBUF_INIT;
        strbuf_printf(&line, "%s = %s", set->column, set->expr.text);
        plan_put_fact(out, i == 0 ? label : "", strbuf_text(&line), width);
    }
    if (plan->spec->where.text != NULL) {
        plan_put_fact(out, "where", plan->spec->where.text, width);
    }
}

static void
put_walk(StrBuf *out, const Plan *plan, int width)
{
    if (plan->purge != NULL) {
        plan_walk_put(out, plan, width);
        return;
    }
    STRBUF_AUTO key = STRBUF_INIT;
    for (int i = 0; i < plan->key_count; i++) {
        strbuf_printf(&key, "%s%s", i == 0 ? "" : ", ", plan->key[i].name);
    }
    strbuf_printf(&key, " (index %s)", plan->key_index);
    plan_put_fact(out, "key", strbuf_text(&key), width);

    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "%s: %s", path_name(plan), plan->path_reason);
    plan_put_fact(out, "path", strbuf_text(&line), width);

    if (plan->copy == NULL) {
        strbuf_clear(&line);
        strbuf_printf(&line, "%d: %s", plan->stripes, plan->stripes_reason);
        plan_put_fact(out, "stripes", strbuf_text(&line), width);
    }
}

static void
put_workers(StrBuf *out, const Plan *plan, int width)
{
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "%d, each with its own connection; ranges of about %lld %s", plan->workers,
        (long long)plan->range_size, plan->path == PATH_BLOCK ? "blocks" : "rows");
    plan_put_fact(out, "workers", strbuf_text(&line), width);
}

static void
put_batch(StrBuf *out, const Plan *plan, int width)
{
    char aim[FORMAT_SIZE];
    char rows[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "aim %s each", format_duration(plan->spec->batch_time_us, aim));
    if (plan->spec->batch_rows > 0) {
        strbuf_printf(&line, ", %s rows", format_count(plan->spec->batch_rows, rows));
    }
    plan_put_fact(out, "batch", strbuf_text(&line), width);
    if (plan->copy != NULL) {
        plan_copy_put_target(out, plan, width);
        return;
    }
    if (plan->purge != NULL) {
        plan_purge_put_rest(out, plan, width);
        return;
    }
    plan_put_fact(out, "sync",
        plan->sync_trigger ? "a BEFORE INSERT OR UPDATE trigger keeps rows right that the "
                             "application writes; it stays until pghaul clean"
                           : "no trigger: rows that the application writes are its own affair",
        width);
    plan_put_fact(
        out, "verify", plan->verify ? "a second pass compares every row" : "no verify pass", width);
    plan_put_fact(
        out, "vacuum", plan->vacuum ? "after a share of the table has changed" : "off", width);
}

static void
put_standbys(StrBuf *out, const Plan *plan, int width)
{
    const ThrottleSpec *throttle = &plan->spec->throttle;
    const Facts *written = plan->copy == NULL ? plan->facts : plan->copy->into;
    STRBUF_AUTO line = STRBUF_INIT;
    if (throttle->standby_mode == STANDBYS_NAMED) {
        for (int i = 0; i < throttle->standbys.count; i++) {
            strbuf_printf(&line, "%s%s", i == 0 ? "" : ", ", throttle->standbys.names[i]);
        }
    } else if (throttle->standby_mode == STANDBYS_AUTO) {
        for (int i = 0; i < written->standby_count; i++) {
            strbuf_printf(&line, "%s%s", i == 0 ? "" : ", ", written->standbys[i].name);
        }
    }
    plan_put_fact(
        out, "standbys", line.len == 0 ? "none that must keep up" : strbuf_text(&line), width);
}

static void
put_throttle(StrBuf *out, const Plan *plan, int width)
{
    const ThrottleSpec *throttle = &plan->spec->throttle;
    char lag[FORMAT_SIZE];
    char bytes[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    if (throttle->lag_us > 0) {
        strbuf_printf(&line, "lag %s, ", format_duration(throttle->lag_us, lag));
    }
    if (throttle->lag_bytes > 0) {
        strbuf_printf(&line, "lag %s, ", format_bytes(throttle->lag_bytes, bytes));
    }
    if (throttle->lock_waiters > 0) {
        strbuf_printf(
            &line, "%d sessions waiting for locks on the table, ", throttle->lock_waiters);
    }
    strbuf_puts(&line, "a probe older than 5 s");
    plan_put_fact(out, "pauses at", strbuf_text(&line), width);

    strbuf_clear(&line);
    char runtime[FORMAT_SIZE];
    char rows[FORMAT_SIZE];
    if (plan->spec->limits.runtime_us > 0) {
        strbuf_printf(&line, "after %s", format_duration(plan->spec->limits.runtime_us, runtime));
    }
    if (plan->spec->limits.rows > 0) {
        strbuf_printf(&line, "%safter %s rows", line.len == 0 ? "" : ", ",
            format_count(plan->spec->limits.rows, rows));
    }
    if (line.len > 0) {
        plan_put_fact(out, "ends", strbuf_text(&line), width);
    }
}

static void
put_costs(StrBuf *out, const Plan *plan, int width)
{
    PlanEstimate estimate = plan_estimate(plan);
    char wal[FORMAT_SIZE];
    char growth[FORMAT_SIZE];
    char rows[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line,
        "about %s of WAL and %s of growth (table %.1f %%, indexes %.0f %%) if all %s rows need "
        "work",
        format_bytes(estimate.wal_bytes, wal), format_bytes(estimate.growth_bytes, growth),
        estimate.heap_growth_ratio * 100, estimate.index_growth_ratio * 100,
        format_count(estimate.rows, rows));
    plan_put_fact(out, "estimate", strbuf_text(&line), width);
}

void
plan_put_short(StrBuf *out, const Plan *plan, int width)
{
    if (plan->restore != NULL) {
        plan_restore_put(out, plan, width);
        put_standbys(out, plan, width);
        put_throttle(out, plan, width);
        return;
    }
    if (plan->purge != NULL) {
        plan_purge_put_rows(out, plan, width);
    } else if (plan->copy != NULL) {
        plan_copy_put_map(out, plan, width);
    } else {
        plan_put_expressions(out, plan, "set", width);
    }
    put_walk(out, plan, width);
    put_workers(out, plan, width);
    put_batch(out, plan, width);
    put_standbys(out, plan, width);
    put_throttle(out, plan, width);
    if (plan->purge != NULL) {
        plan_purge_put_costs(out, plan, width);
    } else if (plan->copy != NULL) {
        plan_copy_put_costs(out, plan, width);
    } else {
        put_costs(out, plan, width);
    }
}

void
plan_put_long(StrBuf *out, const Plan *plan, Arena *arena, int width)
{
    const char *notes[PLAN_NOTES_MAX];
    int count = plan_locks(plan, arena, notes);
    strbuf_puts(out, "\nLocks\n");
    for (int i = 0; i < count; i++) {
        text_put_wrapped(out, "  - ", notes[i], width);
    }
    count = plan_notes(plan, arena, notes);
    strbuf_puts(out, count > 0 ? "\nTo know\n" : "");
    for (int i = 0; i < count; i++) {
        text_put_wrapped(out, "  - ", notes[i], width);
    }

    PlanStatement statements[PLAN_STATEMENTS_MAX];
    count = plan_statements(plan, arena, statements);
    strbuf_puts(out, "\nStatements\n");
    text_put_wrapped(out, "  ",
        "Beside these, schema pghaul is created and kept. The number of the job, printed as 0, is "
        "given at the first run.",
        width);
    for (int i = 0; i < count; i++) {
        strbuf_printf(out, "\n-- %s\n", statements[i].title);
        text_put_safe(out, statements[i].sql);
    }
}

/* ---- JSON ---- */

static json_t *
texts(const char *const *items, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_append(list, json_text(items[i]));
    }
    return list;
}

static json_t *
estimate_json(const Plan *plan)
{
    PlanEstimate estimate = plan_estimate(plan);
    json_t *object = json_object();
    json_put(object, "table_rows", json_integer(estimate.rows));
    json_put(object, "row_bytes", json_integer(estimate.row_bytes));
    json_put(object, "wal_bytes", json_integer(estimate.wal_bytes));
    json_put(object, "growth_bytes", json_integer(estimate.growth_bytes));
    json_put(object, "heap_growth_ratio", json_real(estimate.heap_growth_ratio));
    json_put(object, "index_growth_ratio", json_real(estimate.index_growth_ratio));
    return object;
}

static json_t *
statements_json(const Plan *plan, Arena *arena)
{
    PlanStatement statements[PLAN_STATEMENTS_MAX];
    int count = plan_statements(plan, arena, statements);
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_t *object = json_object();
        json_put(object, "title", json_text(statements[i].title));
        json_put(object, "sql", json_text(statements[i].sql));
        json_append(list, object);
    }
    return list;
}

static json_t *
key_json(const Plan *plan)
{
    const char *names[PLAN_KEY_COLUMNS_MAX];
    for (int i = 0; i < plan->key_count; i++) {
        names[i] = plan->key[i].name;
    }
    return texts(names, plan->key_count);
}

json_t *
plan_json(const Plan *plan, Arena *arena)
{
    const char *notes[PLAN_NOTES_MAX];
    json_t *object = json_object();
    json_put(object, "fingerprint", json_text(plan->fingerprint));
    json_put(object, "schema", json_text(plan->facts->table.schema));
    json_put(object, "table", json_text(plan->facts->table.name));
    json_put(object, "key", key_json(plan));
    json_put(object, "key_index", json_text(plan->key_index));
    json_put(object, "path", json_text(path_name(plan)));
    json_put(object, "path_reason", json_text(plan->path_reason));
    json_put(object, "stripes", json_integer(plan->stripes));
    json_put(object, "stripes_reason", json_text(plan->stripes_reason));
    json_put(object, "workers", json_integer(plan->workers));
    json_put(object, "batch_aim_ms", json_integer(plan->spec->batch_time_us / 1000));
    json_put(object, "sync_trigger", json_boolean(plan->sync_trigger));
    json_put(object, "self_referring", json_boolean(plan->self_referring));
    json_put(object, "verify", json_boolean(plan->verify));
    json_put(object, "vacuum", json_boolean(plan->vacuum));
    json_put(object, "estimate", estimate_json(plan));
    if (plan->copy != NULL) {
        plan_copy_json(object, plan);
    } else if (plan->purge != NULL) {
        plan_purge_json(object, plan);
        plan_walk_json(object, plan);
    } else if (plan->restore != NULL) {
        plan_restore_json(object, plan);
    }
    int count = plan_locks(plan, arena, notes);
    json_put(object, "locks", texts(notes, count));
    count = plan_notes(plan, arena, notes);
    json_put(object, "notes", texts(notes, count));
    json_put(object, "statements", statements_json(plan, arena));
    return object;
}
