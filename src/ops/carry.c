#include "ops/carry.h"

#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "core/ident.h"
#include "ops/ddl.h"
#include "pg/catalog_carry.h"
#include "pg/query.h"
#include "pg/sqlstate.h"

#define LONG_TIMEOUT_US ((int64_t)24 * 3600 * 1000000)
#define RETRY_NAP_US    200000

/* ---- look ---- */

/* Columns that are copied as they are: of the source, or where they go. */
static const char *
columns(const Plan *plan, bool of_source, Arena *arena)
{
    STRBUF_AUTO text = STRBUF_INIT;
    for (int i = 0; i < plan->copy->map_count; i++) {
        const MapColumn *map = &plan->copy->map[i];
        if (map->source != NULL) {
            strbuf_printf(&text, "%s%d", text.len == 0 ? "{" : ",",
                of_source ? map->source->attnum : map->target->attnum);
        }
    }
    strbuf_puts(&text, text.len == 0 ? "{}" : "}");
    return arena_strdup(arena, strbuf_text(&text));
}

bool
carry_read(PgConn *conn, const Plan *plan, Arena *arena, Carry *carry, Err *err)
{
    const TableFacts *source = &plan->facts->table;
    const TableFacts *into = &plan->copy->into->table;
    *carry = (Carry){
        .names =
            {
                .schema = source->schema,
                .source = source->name,
                .into = into->name,
                .old = arena_printf(arena, "%s" CARRY_OLD_SUFFIX, source->name),
            },
    };
    if (strlen(carry->names.old) > IDENT_MAX_BYTES) {
        carry->obstacle = arena_printf(arena, "the name %s is too long for a table (%d bytes)",
            carry->names.old, IDENT_MAX_BYTES);
        return true;
    }
    CarryQuestion question = {
        .source_oid = source->oid,
        .into_oid = into->oid,
        .source_columns = columns(plan, true, arena),
        .into_columns = columns(plan, false, arena),
        .old_name = carry->names.old,
    };
    if (!catalog_read_carry(conn, &question, arena, &carry->items, &carry->count, err)) {
        return false;
    }
    carry->steps = arena_alloc(arena, (size_t)carry->count * sizeof(*carry->steps));
    for (int i = 0; i < carry->count; i++) {
        const CarryItem *item = &carry->items[i];
        sql_cutover_step(&carry->names, item, arena, &carry->steps[i]);
        if (item->kind == CARRY_LOST && item->flag && carry->obstacle == NULL) {
            carry->obstacle = item->text;
        }
    }
    return true;
}

/* ---- before the swap ---- */

/* Long enough for an autovacuum to give way, where writers do not mind us. */
#define BEGIN_WEAK "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '1500ms'"
/* Writers wait behind us, and while it lasts: a foreign key whose parts are validated takes a
 * moment. */
#define BEGIN_STRONG                                                                               \
    "BEGIN; SET LOCAL statement_timeout = '500ms'; SET LOCAL lock_timeout = '100ms'"

static bool
run_once(PgConn *conn, const char *sql, Err *err)
{
    Statement statement = {.sql = sql, .timeout_us = LONG_TIMEOUT_US};
    const char *begin = strstr(sql, " ADD CONSTRAINT ") != NULL ? BEGIN_STRONG : BEGIN_WEAK;
    bool ok = query_script(conn, begin, err) && query_statement(conn, &statement, NULL, err);
    return query_end(conn, ok, err);
}

bool
carry_run_long(PgConn *conn, const char *sql, StopToken *stop, Err *err)
{
    while (!run_once(conn, sql, err)) {
        if (strcmp(err->sqlstate, SQLSTATE_LOCKED) != 0) {
            return false;
        }
        *err = ERR_INIT;
        if (stop_sleep_us(stop, RETRY_NAP_US) != STOP_NONE) {
            return err_set(err, ERR_STOPPED, "stopped while waiting for a lock");
        }
    }
    return true;
}

static bool
give(PgConn *conn, const CutoverStep *step, const Plan *plan, StopToken *stop, Err *err)
{
    DdlStep ddl = {
        .table_oid = plan->copy->into->table.oid,
        .what = step->what,
        .statements = &step->sql,
        .count = 1,
    };
    return (step->sql == NULL ||
               ddl_run(conn, &ddl, plan->spec->throttle.yield_after_us, stop, err)) &&
           (step->later == NULL || carry_run_long(conn, step->later, stop, err) ||
               err_wrap(err, "%s", step->what));
}

bool
carry_early(PgConn *conn, const Carry *carry, const Plan *plan, StopToken *stop, Err *err)
{
    for (int i = 0; i < carry->count; i++) {
        if (sql_cutover_is_early(carry->items[i].kind) &&
            !give(conn, &carry->steps[i], plan, stop, err)) {
            return false;
        }
    }
    return true;
}
