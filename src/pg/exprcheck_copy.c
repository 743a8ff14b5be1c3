/*
 * exprcheck_copy.c - what a copy asks of an expression: does its value go into the target's column?
 *
 * The target may be on another server, so a temporary table at the source stands for it, of one
 * column with the target's type.  A type that the source does not have travels as text and is
 * judged by the target when rows arrive.
 */
#include <string.h>

#include "core/castrules.h"
#include "core/ident.h"
#include "core/jobfile.h"
#include "pg/exprcheck_parts.h"
#include "pg/params.h"

static const char SQL_TYPE[] =
    "SELECT t.typname, pg_catalog.format_type(t.oid, $2::pg_catalog.int4)\n"
    "  FROM pg_catalog.pg_type t\n"
    " WHERE t.oid = $1::pg_catalog.oid";

/* The server resolves domains in what it says of a result. */
static bool
read_type(const Checker *checker, const QueryShape *shape, CastType *type, ExprFacts *out, Err *err)
{
    Params params = PARAMS_INIT;
    params_int(&params, shape->type_oid);
    params_int(&params, shape->type_mod);
    PGRESULT_AUTO *row = NULL;
    if (!query_one_with(checker->conn, SQL_TYPE, &params, &row, err)) {
        return false;
    }
    *type = (CastType){.name = result_dup(row, 0, 0, checker->arena), .modifier = shape->type_mod};
    out->result_type = result_dup(row, 0, 1, checker->arena);
    return true;
}

/* False in *stands when the source does not know the type. */
static bool
create_target(const Checker *checker, const ColumnFacts *target, bool *stands, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_puts(&sql, "CREATE TEMPORARY TABLE pghaul_target (");
    if (!quote_ident(&sql, target->name, err)) {
        return false;
    }
    strbuf_printf(&sql, " %s)", target->type);
    Err answer = ERR_INIT;
    if (!exprcheck_attempt(checker, strbuf_text(&sql), &answer, err)) {
        return false;
    }
    *stands = answer.cls == ERR_NONE;
    return !*stands || query_run(checker->conn, strbuf_text(&sql), NULL, err);
}

static bool
try_assignment(const Checker *checker, const RawSql *expr, const ColumnFacts *target, Err *err)
{
    bool stands = false;
    if (!create_target(checker, target, &stands, err) || !stands) {
        return err->cls == ERR_NONE;
    }
    Probe probe = exprcheck_probe(
        checker, expr, "INSERT INTO pg_temp.pghaul_target\nSELECT (", exprcheck_from(checker, ")"));
    return exprcheck_parse(checker, &probe, NULL, err) &&
           query_run(checker->conn, "DROP TABLE pg_temp.pghaul_target", NULL, err);
}

bool
exprcheck_assign(
    const Checker *checker, const RawSql *expr, const ColumnFacts *target, ExprFacts *out, Err *err)
{
    QueryShape shape;
    CastType from;
    Probe probe = exprcheck_probe(checker, expr, "SELECT (", exprcheck_from(checker, ")"));
    if (!exprcheck_parse(checker, &probe, &shape, err) ||
        !read_type(checker, &shape, &from, out, err)) {
        return false;
    }
    out->column = shape.table_oid == checker->facts->table.oid ? shape.attnum : 0;
    if (target == NULL || target->generated) {
        return true; /* findings name it */
    }
    CastType to = {.name = target->base_type_name, .modifier = target->base_type_mod};
    out->lossy = castrules_lossy(from, to);
    return checker->parses_only || try_assignment(checker, expr, target, err);
}

bool
exprcheck_as_is(const Checker *checker, const ColumnFacts *source, const ColumnFacts *target,
    ExprFacts *out, Err *err)
{
    const JobSpec *spec = checker->spec;
    const Place *place = spec->into == NULL ? &spec->table_place : &spec->into_place;
    out->column = source->attnum;
    out->result_type = source->type;
    if (strcmp(source->type, target->type) == 0) {
        return true;
    }
    STRBUF_AUTO name = STRBUF_INIT;
    if (!quote_ident(&name, source->name, err)) {
        return false;
    }
    RawSql column = {.text = arena_strdup(checker->arena, strbuf_text(&name)), .place = *place};
    if (exprcheck_assign(checker, &column, target, out, err)) {
        return true;
    }
    if (err->cls != ERR_USER) {
        return false;
    }
    *err = ERR_INIT;
    (void)err_set(err, ERR_USER, "%s:%d:%d: column \"%s\" is %s at the source and %s in the target",
        spec->file, place->line, place->column, source->name, source->type, target->type);
    return err_hint(err, "Say in map: what it becomes, for instance %s: %s::%s.", source->name,
        source->name, target->type);
}
