/*
 * catalog.c - find the table of a job, then ask for everything about it.
 *
 * Sessions pin search_path, so that it cannot say which table an unqualified name means; and the
 * path of this role need not be that of the application.  A name is therefore good when only one
 * schema has it, and refused as ambiguous otherwise.
 */
#include "pg/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/ident.h"
#include "core/suggest.h"
#include "pg/catalog_children.h"
#include "pg/catalog_parts.h"
#include "pg/params.h"

/* Relations that a person may take for a table; the findings say why only some will do. */
static const char SQL_TABLES[] =
    "SELECT c.oid, n.nspname, c.relname\n"
    "  FROM pg_catalog.pg_class c\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE c.relname = $2::pg_catalog.text\n"
    "   AND c.relkind IN ('r', 'p', 'v', 'm', 'f')\n"
    "   AND CASE WHEN $1::pg_catalog.text IS NOT NULL THEN n.nspname = $1::pg_catalog.text\n"
    "            ELSE n.nspname !~ '^pg_'\n"
    "                 AND n.nspname NOT IN ('information_schema', 'pghaul') END\n"
    " ORDER BY n.nspname";

/* Names to choose a suggestion from; a database with more tables gets one from the largest. */
static const char SQL_TABLE_NAMES[] =
    "SELECT c.relname\n"
    "  FROM pg_catalog.pg_class c\n"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    " WHERE c.relkind IN ('r', 'p')\n"
    "   AND n.nspname !~ '^pg_'\n"
    "   AND n.nspname NOT IN ('information_schema', 'pghaul')\n"
    "   AND ($1::pg_catalog.text IS NULL OR n.nspname = $1::pg_catalog.text)\n"
    " ORDER BY c.relpages DESC, c.relname\n"
    " LIMIT 2000";

static bool
report_unknown(const CatalogReader *reader, const char *schema, const char *name, Err *err)
{
    Params params = PARAMS_INIT;
    params_text(&params, schema);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_TABLE_NAMES, &params, &result, err)) {
        return false;
    }
    int count = result_rows(result);
    const char **names = arena_alloc(reader->arena, ((size_t)count + 1) * sizeof(*names));
    for (int i = 0; i < count; i++) {
        names[i] = result_text(result, i, 0);
    }
    const CatalogTable *table = &reader->table;
    const char *near = suggest_nearest(name, names, (size_t)count);
    (void)err_set(err, ERR_USER, "%s:%d:%d: there is no table %s", reader->spec->file,
        table->place.line, table->place.column, table->name);
    if (near != NULL) {
        return err_hint(err, "Did you mean %s?", near);
    }
    return err_hint(err, "Is %s the right database?  Quote names with capitals: '\"Orders\"'.",
        conn_describe(reader->conn));
}

static bool
report_ambiguous(const CatalogReader *reader, const PgResult *result, Err *err)
{
    STRBUF_AUTO names = STRBUF_INIT;
    for (int i = 0; i < result_rows(result); i++) {
        strbuf_printf(&names, "%s%s.%s", i == 0 ? "" : ", ", result_text(result, i, 1),
            result_text(result, i, 2));
    }
    const CatalogTable *table = &reader->table;
    (void)err_set(err, ERR_USER, "%s:%d:%d: table %s is in %d schemas", reader->spec->file,
        table->place.line, table->place.column, table->name, result_rows(result));
    return err_hint(err, "Name one of %s.", strbuf_text(&names));
}

static bool
find_table(CatalogReader *reader, Err *err)
{
    const char *schema = NULL;
    const char *name = NULL;
    if (!ident_parse_qualified(reader->table.name, reader->arena, &schema, &name, err)) {
        return false;
    }
    Params params = PARAMS_INIT;
    params_text(&params, schema);
    params_text(&params, name);
    PGRESULT_AUTO *result = NULL;
    if (!query_with(reader->conn, SQL_TABLES, &params, &result, err)) {
        return false;
    }
    if (result_rows(result) == 0) {
        return report_unknown(reader, schema, name, err);
    }
    if (result_rows(result) > 1) {
        return report_ambiguous(reader, result, err);
    }
    reader->oid = result_dup(result, 0, 0, reader->arena);
    return true;
}

CatalogTable
catalog_source(const JobSpec *spec)
{
    return (CatalogTable){.name = spec->table, .place = spec->table_place};
}

/* On another server it may go without saying that the name is the same. */
CatalogTable
catalog_target(const JobSpec *spec)
{
    CatalogTable table = catalog_source(spec);
    if (spec->into != NULL) {
        table = (CatalogTable){.name = spec->into, .place = spec->into_place};
    }
    table.is_target = true;
    return table;
}

bool
catalog_find_table(
    PgConn *conn, const JobSpec *spec, CatalogTable table, Arena *arena, uint32_t *oid, Err *err)
{
    CatalogReader reader = {.conn = conn, .spec = spec, .table = table, .arena = arena, .oid = "0"};
    if (!find_table(&reader, err)) {
        return err->cls == ERR_USER ? false : err_wrap(err, "catalog");
    }
    *oid = (uint32_t)strtoul(reader.oid, NULL, 10);
    return true;
}

/* A server that was restarted between the two questions counts as another one. */
static const char SQL_IDENTITY[] =
    "SELECT pg_catalog.concat_ws(' ', s.system_identifier, pg_catalog.pg_postmaster_start_time(),\n"
    "                            pg_catalog.current_database())\n"
    "  FROM pg_catalog.pg_control_system() s";

bool
catalog_same_database(PgConn *a, PgConn *b, bool *same, Err *err)
{
    PGRESULT_AUTO *of_a = NULL;
    PGRESULT_AUTO *of_b = NULL;
    if (!query_one(a, SQL_IDENTITY, 0, NULL, &of_a, err) ||
        !query_one(b, SQL_IDENTITY, 0, NULL, &of_b, err)) {
        return err_wrap(err, "identity of the servers");
    }
    *same = strcmp(result_text(of_a, 0, 0), result_text(of_b, 0, 0)) == 0;
    return true;
}

bool
catalog_read(
    PgConn *conn, const JobSpec *spec, CatalogTable table, Arena *arena, Facts *facts, Err *err)
{
    *facts = (Facts){.columns = NULL};
    CatalogReader reader = {
        .conn = conn, .spec = spec, .table = table, .arena = arena, .facts = facts};
    bool ok = find_table(&reader, err) && catalog_read_server(&reader, err) &&
              catalog_read_strangers(&reader, err) && catalog_read_standbys(&reader, err) &&
              catalog_read_table(&reader, err) &&
              (spec->kind == KIND_BACKFILL || catalog_read_of_copy(&reader, err)) &&
              catalog_read_columns(&reader, err) && catalog_read_indexes(&reader, err) &&
              catalog_read_triggers(&reader, err) && catalog_read_publications(&reader, err) &&
              catalog_read_children(&reader, err);
    /* What is wrong in the job file has its own place. */
    return ok || (err->cls == ERR_USER ? false : err_wrap(err, "catalog"));
}
