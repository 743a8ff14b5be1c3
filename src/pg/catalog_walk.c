/*
 * catalog_walk.c - what EXPLAIN says of a purge's predicate, as facts.
 *
 * It is asked twice: without reading the whole table, where it names an index and the condition
 * that is looked up there, and by reading all of it, where it prints the predicate as a whole.
 */
#include "pg/catalog_walk.h"

#include <jansson.h>
#include <string.h>

#include "core/sql_pin.h"
#include "core/sql_walk.h"
#include "core/walkterm.h"

#define EXPLAIN_NOW "pg_catalog.now()"

/*
 * Per column of the index: number, order as that of the column (0: ascending, NULLs last; 3: the
 * very contrary), and how many rows share a value.
 */
static const char SQL_INDEX[] =
    "SELECT m.amname, i.indexprs IS NOT NULL, i.indpred IS NOT NULL,\n"
    "       i.indkey[k.n]::pg_catalog.int4,\n"
    "       o.opcdefault AND i.indcollation[k.n] = a.attcollation\n"
    "       AND i.indoption[k.n] IN (0, 3) AND i.indoption[k.n] = i.indoption[0],\n"
    "       COALESCE(CASE WHEN s.n_distinct > 0 THEN c.reltuples / s.n_distinct\n"
    "                     WHEN s.n_distinct < 0 THEN -1 / s.n_distinct END, -1),\n"
    "       COALESCE(c.reltuples * s.most_common_freqs[1], 0)\n"
    "  FROM pg_catalog.pg_index i\n"
    "  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid\n"
    "  JOIN pg_catalog.pg_am m ON m.oid = x.relam\n"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.indrelid\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " CROSS JOIN pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k(n)\n"
    "  JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[k.n]\n"
    "  LEFT JOIN pg_catalog.pg_attribute a\n"
    "    ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n]\n"
    "  LEFT JOIN pg_catalog.pg_stats s\n"
    "    ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname\n"
    "   AND NOT s.inherited\n"
    " WHERE i.indrelid = $1::pg_catalog.oid AND x.relname = $2::pg_catalog.text\n"
    " ORDER BY k.n\n"
    " LIMIT $3::pg_catalog.int4";

/* ---- questions ---- */

static bool
ask(PgConn *conn, const Plan *plan, WalkMethod method, const BatchCall *question, PgResult **result,
    Err *err)
{
    Arena arena = ARENA_INIT;
    const char *begin[SQL_WALK_BEGIN_MAX];
    BatchCall call = *question;
    call.begin_count = sql_walk_begin(plan, method, &arena, begin);
    call.begin = begin;
    call.timeout_us = QUERY_TIMEOUT_US;
    bool ok = query_batch(conn, &call, result, err);
    arena_reset(&arena);
    return ok;
}

bool
catalog_walk_query(PgConn *conn, const Plan *plan, const char *sql, const Params *params,
    PgResult **result, Err *err)
{
    BatchCall call = {.sql = sql, .count = params->count, .values = params->values};
    return ask(conn, plan, WALK_BY_INDEX, &call, result, err);
}

/* What the server says of the statement; NULL with an empty *err when it refuses. */
static bool
explain_in(PgConn *conn, const Plan *plan, const WalkTable *table, WalkMethod method, json_t **root,
    Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "EXPLAIN (FORMAT JSON)\n");
    sql_walk_matching_in(&sql, plan, table->schema, table->name, EXPLAIN_NOW);
    BatchCall call = {.sql = strbuf_text(&sql)};
    PGRESULT_AUTO *rows = NULL;
    *root = NULL;
    if (!ask(conn, plan, method, &call, &rows, err)) {
        return false;
    }
    *root = result_rows(rows) == 1 ? json_loads(result_text(rows, 0, 0), 0, NULL) : NULL;
    return *root != NULL || err_set(err, ERR_FATAL,
                                "the server explains a statement in words that "
                                "are not JSON");
}

static bool
explain(PgConn *conn, const Plan *plan, WalkMethod method, json_t **root, Err *err)
{
    WalkTable table = {.schema = plan->facts->table.schema, .name = plan->facts->table.name};
    return explain_in(conn, plan, &table, method, root, err);
}

/* A server that cannot evaluate the predicate's constants says so when it plans. */
static bool
is_refusal(const Err *err)
{
    return err->cls != ERR_RECONNECT && err->cls != ERR_FATAL && err->sqlstate[0] != '\0';
}

/* ---- answers ---- */

static const json_t *
node_of(const json_t *root)
{
    return json_object_get(json_array_get(root, 0), "Plan");
}

/* "" when it is absent. */
static const char *
text_of(const json_t *node, const char *name)
{
    const char *text = json_string_value(json_object_get(node, name));
    return text == NULL ? "" : text;
}

static bool
has(const WalkFacts *walk, int attnum)
{
    for (int i = 0; i < walk->strict_count; i++) {
        if (walk->strict[i] == attnum) {
            return true;
        }
    }
    return false;
}

/* Comparisons are not true for NULL. */
static void
take_strict(const WalkTerm *terms, int count, WalkFacts *walk)
{
    for (int i = 0; i < count; i++) {
        if (!has(walk, terms[i].column->attnum)) {
            walk->strict[walk->strict_count++] = terms[i].column->attnum;
        }
    }
}

/* What is looked up in the index. */
static void
take_condition(const WalkTerm *terms, int count, WalkFacts *walk)
{
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < walk->column_count; k++) {
            bool same = walk->columns[k].attnum == terms[i].column->attnum;
            walk->narrowed = walk->narrowed || (same && k == 0);
            walk->columns[k].fixed =
                walk->columns[k].fixed || (same && terms[i].comparison == WALK_EQUAL);
        }
    }
}

static bool
read_index(PgConn *conn, const Facts *facts, Arena *arena, WalkFacts *walk, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, facts->table.oid);
    params_text(&params, walk->index);
    params_int(&params, WALK_COLUMNS_MAX);
    PGRESULT_AUTO *rows = NULL;
    if (!query_with(conn, SQL_INDEX, &params, &rows, err)) {
        return err_wrap(err, "index of the predicate");
    }
    walk->column_count = result_rows(rows);
    walk->method = result_rows(rows) == 0 ? "" : result_dup(rows, 0, 0, arena);
    walk->has_expressions = result_rows(rows) > 0 && result_bool(rows, 0, 1);
    walk->holds_all = result_rows(rows) > 0 && result_bool(rows, 0, 2);
    for (int i = 0; i < walk->column_count; i++) {
        walk->columns[i] = (WalkColumn){
            .attnum = (int)result_int(rows, i, 3),
            .in_order = result_bool(rows, i, 4),
            .ties = result_float(rows, i, 5),
            .longest = result_float(rows, i, 6),
        };
    }
    return true;
}

/* An index that is read from end to end is none that serves, unless it is partial. */
static bool
take_index(
    PgConn *conn, const Facts *facts, Arena *arena, const json_t *node, WalkFacts *walk, Err *err)
{
    WalkTerm terms[WALK_TERMS_MAX];
    if (strcmp(text_of(node, "Node Type"), "Index Scan") != 0) {
        return true;
    }
    walk->index = arena_strdup(arena, text_of(node, "Index Name"));
    if (!read_index(conn, facts, arena, walk, err)) {
        return false;
    }
    int count = walkterm_parse(facts, text_of(node, "Index Cond"), terms, NULL);
    take_strict(terms, count, walk);
    take_condition(terms, count, walk);
    return true;
}

/* The whole predicate, which a scan of the table has as its filter. */
static const char *
filter_of(const json_t *node)
{
    return strcmp(text_of(node, "Node Type"), "Seq Scan") == 0 ? text_of(node, "Filter") : "";
}

/* The column of a filter that is all of `column < something without columns`; else NULL. */
static const ColumnFacts *
lesser_column(const Facts *facts, const json_t *node)
{
    WalkTerm terms[WALK_TERMS_MAX];
    bool whole = false;
    (void)walkterm_parse(facts, filter_of(node), terms, &whole);
    bool less = whole && terms[0].bare && terms[0].plain &&
                (terms[0].comparison == WALK_LESS || terms[0].comparison == WALK_LESS_EQUAL);
    return less ? terms[0].column : NULL;
}

static void
take_filter(const Facts *facts, const json_t *node, WalkFacts *walk)
{
    WalkTerm terms[WALK_TERMS_MAX];
    const ColumnFacts *column = lesser_column(facts, node);
    take_strict(terms, walkterm_parse(facts, filter_of(node), terms, NULL), walk);
    walk->least = column == NULL ? 0 : column->attnum;
}

/* ---- all of it ---- */

static bool
read_both(PgConn *conn, const Plan *plan, Arena *arena, WalkFacts *walk, Err *err)
{
    json_t *by_index = NULL;
    json_t *by_table = NULL;
    bool ok = explain(conn, plan, WALK_BY_INDEX, &by_index, err) &&
              explain(conn, plan, WALK_BY_TABLE, &by_table, err) &&
              take_index(conn, plan->facts, arena, node_of(by_index), walk, err);
    if (ok) {
        take_filter(plan->facts, node_of(by_table), walk);
    }
    json_decref(by_index);
    json_decref(by_table);
    return ok;
}

bool
catalog_walk_read(PgConn *conn, const JobSpec *spec, const Facts *facts, Arena *arena,
    const WalkFacts **walk, Err *err)
{
    const PurgePlan purge = {.into = NULL};
    const Plan plan = {.spec = spec, .facts = facts, .purge = &purge};
    WalkFacts *found = arena_alloc(arena, sizeof(*found));
    found->strict = arena_alloc(arena, ((size_t)facts->column_count + 1) * sizeof(*found->strict));
    *walk = found;
    if (read_both(conn, &plan, arena, found, err)) {
        return true;
    }
    if (!is_refusal(err)) {
        return err_wrap(err, "plan of the predicate");
    }
    *found = (WalkFacts){.refusal = arena_strdup(arena, err->sqlstate)};
    *err = ERR_INIT;
    return true;
}

bool
catalog_walk_column(PgConn *conn, const JobSpec *spec, const Facts *facts, const WalkTable *table,
    const ColumnFacts **column, Err *err)
{
    const PurgePlan purge = {.into = NULL};
    const Plan plan = {.spec = spec, .facts = facts, .purge = &purge};
    json_t *root = NULL;
    *column = NULL;
    if (!explain_in(conn, &plan, table, WALK_BY_TABLE, &root, err)) {
        bool refused = is_refusal(err);
        *err = refused ? ERR_INIT : *err;
        return refused;
    }
    *column = lesser_column(facts, node_of(root));
    json_decref(root);
    return true;
}
