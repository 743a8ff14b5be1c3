#include "core/sql_grants.h"

#include <string.h>

#include "core/findings.h"
#include "core/ident.h"
#include "core/plan_children.h"
#include "core/plan_copy.h"
#include "core/sql_parts.h"
#include "core/utf8.h"

typedef struct Grants {
    StrBuf *out;
    const JobSpec *spec;
    const Facts *facts;
    const ExprReport *exprs;
    bool trigger;
} Grants;

static void
put_table(const Grants *g, StrBuf *out)
{
    sql_put_ident(out, g->facts->table.schema);
    strbuf_putc(out, '.');
    sql_put_ident(out, g->facts->table.name);
}

/* ---- role and database ---- */

static void
put_role(const Grants *g)
{
    strbuf_printf(g->out,
        "-- What a role needs to run job %s from its first run to clean; run this as a "
        "superuser.\n-- How it logs in is for you to decide: a password, or a line of "
        "pg_hba.conf.\nCREATE ROLE " GRANTS_ROLE " LOGIN;\n\n",
        g->spec->job);
}

static void
put_database(const Grants *g, const char *privileges)
{
    strbuf_printf(g->out, "GRANT %s ON DATABASE ", privileges);
    sql_put_ident(g->out, g->facts->server.database);
    strbuf_puts(g->out, " TO " GRANTS_ROLE ";\n");
}

static void
put_schema(const Grants *g)
{
    strbuf_puts(g->out, "GRANT USAGE ON SCHEMA ");
    sql_put_ident(g->out, g->facts->table.schema);
    strbuf_puts(g->out, " TO " GRANTS_ROLE ";\n\n");
}

static void
put_home(const Grants *g)
{
    strbuf_puts(g->out, "-- CREATE: schema pghaul holds the progress of jobs and is made by the "
                        "first run.\n-- TEMPORARY: expressions are tried on an empty temporary "
                        "table.\n");
    put_database(g, "CONNECT, CREATE, TEMPORARY");
    put_schema(g);
}

/* ---- the table ---- */

/* In a comment, which a line break in the name must not end. */
static void
put_table_in_comment(const Grants *g)
{
    STRBUF_AUTO name = STRBUF_INIT;
    char shown[4 * IDENT_MAX_BYTES];
    put_table(g, &name);
    utf8_shorten(shown, sizeof(shown), strbuf_text(&name));
    strbuf_puts(g->out, shown);
}

static void
put_owner(const Grants *g, const char *why)
{
    StrBuf *out = g->out;
    const TableFacts *table = &g->facts->table;
    strbuf_printf(out,
        "-- Only the owner of a table may %s.  Membership in the owner gives all rights on it.\n",
        why);
    if (table->owner_is_superuser) {
        strbuf_puts(out, "-- The owner is a superuser, whose members may become one.  Give the "
                         "table an owner of its own:\n"
                         "--   CREATE ROLE table_owner NOLOGIN;\n--   ALTER TABLE ");
        put_table_in_comment(g);
        strbuf_puts(out, " OWNER TO table_owner;\n"
                         "--   GRANT table_owner TO " GRANTS_ROLE ";\n\n");
        return;
    }
    strbuf_puts(out, "GRANT ");
    sql_put_ident(out, table->owner);
    strbuf_puts(out, " TO " GRANTS_ROLE ";\n\n");
}

static bool
mentions(const ExprFacts *expr, int attnum)
{
    for (int i = 0; i < expr->source_count; i++) {
        if (expr->sources[i] == attnum) {
            return true;
        }
    }
    return false;
}

/* Set by a backfill, or copied as it is. */
static bool
is_taken(const Grants *g, const ColumnFacts *column)
{
    const Facts *into = g->facts->into;
    for (int i = 0; g->spec->kind == KIND_COPY && i < into->column_count; i++) {
        const ColumnFacts *target = &into->columns[i];
        if (!target->generated &&
            copy_map_column(g->spec, g->facts, g->exprs, target).source == column) {
            return true;
        }
    }
    return g->spec->kind != KIND_COPY && jobspec_sets(g->spec, column->name);
}

static bool
is_read(const Grants *g, const ColumnFacts *column)
{
    const char *why = NULL;
    const IndexFacts *key = findings_key_index(g->spec, g->facts, &why);
    bool read = is_taken(g, column) ||
                (g->exprs->where != NULL && mentions(g->exprs->where, column->attnum));
    for (int i = 0; key != NULL && i < key->attnum_count; i++) {
        read = read || key->attnums[i] == column->attnum;
    }
    for (int i = 0; i < g->spec->set_count; i++) {
        read = read || mentions(&g->exprs->set[i], column->attnum);
    }
    return read;
}

static void
put_read_columns(const Grants *g, const char *separator)
{
    for (int i = 0; i < g->facts->column_count; i++) {
        if (is_read(g, &g->facts->columns[i])) {
            strbuf_puts(g->out, separator);
            sql_put_ident(g->out, g->facts->columns[i].name);
            separator = ", ";
        }
    }
    strbuf_puts(g->out, ") ON ");
    put_table(g, g->out);
    strbuf_puts(g->out, " TO " GRANTS_ROLE ";\n");
}

/* ctid and xmax: rows that somebody holds are looked up by them. */
static void
put_columns(const Grants *g)
{
    StrBuf *out = g->out;
    strbuf_puts(out, "-- Key, sources and the columns to be set.\nGRANT SELECT (ctid, xmax");
    put_read_columns(g, ", ");
    strbuf_puts(out, "GRANT UPDATE (");
    for (int i = 0; i < g->spec->set_count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_ident(out, g->spec->set[i].column);
    }
    strbuf_puts(out, ") ON ");
    put_table(g, out);
    strbuf_puts(out, " TO " GRANTS_ROLE ";\n\n");
}

static void
put_maintain(const Grants *g)
{
    strbuf_puts(g->out, "-- To vacuum it now and then (or set vacuum: off).\nGRANT MAINTAIN ON ");
    put_table(g, g->out);
    strbuf_puts(g->out, " TO " GRANTS_ROLE ";\n\n");
}

/* ---- the expressions ---- */

static void
put_need(StrBuf *out, const NeedFacts *need)
{
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line, "GRANT %s ON %s TO " GRANTS_ROLE ";\n", need->privilege, need->object);
    if (strstr(strbuf_text(out), strbuf_text(&line)) == NULL) {
        strbuf_puts(out, strbuf_text(&line));
    }
}

static void
put_needs(const Grants *g)
{
    STRBUF_AUTO lines = STRBUF_INIT;
    for (int i = 0; i <= g->spec->set_count; i++) {
        const ExprFacts *expr = i < g->spec->set_count ? &g->exprs->set[i] : g->exprs->where;
        for (int k = 0; expr != NULL && k < expr->need_count; k++) {
            put_need(&lines, &expr->needs[k]);
        }
    }
    if (lines.len > 0) {
        strbuf_printf(g->out, "-- What the expressions of the job use.%s\n%s\n",
            g->spec->kind == KIND_BACKFILL ? "  The sync trigger runs as the role that writes:\n"
                                             "-- roles of the application need the same."
                                           : "",
            strbuf_text(&lines));
    }
}

/* ---- a copy ---- */

static const char MONITOR[] = "-- The lag of standbys, and what other sessions do.\n"
                              "GRANT pg_monitor TO " GRANTS_ROLE ";\n\n";

static void
put_target(const Grants *g)
{
    if (g->spec->indexes == INDEXES_AFTER) {
        put_owner(g, "drop and make its indexes");
        return;
    }
    strbuf_printf(g->out,
        "-- Rows are written and compared; DELETE: changed ones are replaced.\n"
        "GRANT SELECT, INSERT, DELETE%s ON ",
        g->spec->on_conflict == ON_CONFLICT_UPDATE ? ", UPDATE" : "");
    put_table(g, g->out);
    strbuf_puts(g->out, " TO " GRANTS_ROLE ";\n\n");
}

static void
put_source(const Grants *g)
{
    if (g->trigger) {
        put_owner(g, "make and drop the trigger of the change log and have it fire ALWAYS");
    } else {
        strbuf_puts(g->out, "-- Key, sources and columns that are copied as they are.\n"
                            "GRANT SELECT (");
        put_read_columns(g, "");
        strbuf_putc(g->out, '\n');
    }
    put_needs(g);
}

/* In a comment: a line break in the name must not end it. */
static void
put_place(const Grants *g, const char *end)
{
    char shown[4 * IDENT_MAX_BYTES];
    utf8_shorten(shown, sizeof(shown), g->facts->server.database);
    strbuf_printf(g->out, "-- ==== In database %s, the %s ====\n\n", shown, end);
}

static void
put_remote_source(const Grants *g)
{
    const ServerFacts *server = &g->facts->server;
    put_place(g, "source");
    if (strcmp(server->system_id, g->facts->into->server.system_id) != 0) {
        strbuf_puts(g->out, "CREATE ROLE " GRANTS_ROLE " LOGIN;\n\n");
    }
    if (g->trigger) {
        strbuf_puts(g->out, "-- CREATE: schema pghaul holds the change log.\n");
    }
    put_database(g, g->trigger ? "CONNECT, CREATE, TEMPORARY" : "CONNECT, TEMPORARY");
    put_schema(g);
    put_source(g);
    strbuf_puts(g->out, MONITOR);
}

static void
put_copy(const Grants *source)
{
    bool remote = facts_is_remote(source->facts);
    Grants target = *source;
    target.facts = source->facts->into;
    put_role(source);
    if (remote) {
        put_place(&target, "target");
    }
    put_home(&target);
    put_target(&target);
    if (remote) {
        strbuf_puts(source->out, MONITOR);
        put_remote_source(source);
        return;
    }
    if (strcmp(source->facts->table.schema, target.facts->table.schema) != 0) {
        put_schema(source);
    }
    put_source(source);
    strbuf_puts(source->out, MONITOR);
}

/* ---- a purge ---- */

/* All columns where they are kept, else key and predicate. */
static void
put_deletes(const Grants *g)
{
    StrBuf *out = g->out;
    const char *why = NULL;
    const IndexFacts *key = findings_key_index(g->spec, g->facts, &why);
    bool reads_all = g->spec->archive.path != NULL || g->facts->into != NULL;
    strbuf_puts(out, "-- Rows are read, locked and deleted; UPDATE (of any column): without it the "
                     "server\n-- locks no row.\n");
    if (reads_all) {
        strbuf_puts(out, "GRANT SELECT ON ");
        put_table(g, out);
        strbuf_puts(out, " TO " GRANTS_ROLE ";\n");
    } else {
        strbuf_puts(out, "GRANT SELECT (ctid, xmax");
        put_read_columns(g, ", ");
    }
    if (key != NULL) {
        strbuf_puts(out, "GRANT UPDATE (");
        sql_put_ident(out, facts_column_by_attnum(g->facts, key->attnums[0])->name);
        strbuf_puts(out, ") ON ");
        put_table(g, out);
        strbuf_puts(out, " TO " GRANTS_ROLE ";\n");
    }
    strbuf_puts(out, "GRANT DELETE ON ");
    put_table(g, out);
    strbuf_puts(out, " TO " GRANTS_ROLE ";\n\n");
}

static void
put_keeper(const Grants *g)
{
    Grants target = *g;
    target.facts = g->facts->into;
    strbuf_puts(g->out, "-- The table that keeps the rows.\n");
    if (strcmp(g->facts->table.schema, target.facts->table.schema) != 0) {
        put_schema(&target);
    }
    strbuf_puts(g->out, "GRANT INSERT ON ");
    put_table(&target, g->out);
    strbuf_puts(g->out, " TO " GRANTS_ROLE ";\n\n");
}

/* Rows of other tables that refer to those that are deleted. */
static void
put_children(const Grants *g)
{
    Arena arena = ARENA_INIT;
    PurgePlan purge = {.children = NULL};
    plan_decide_children(g->spec, g->facts, &arena, &purge);
    strbuf_puts(g->out, purge.child_count == 0 ? "" : "-- Tables that refer to it.\n");
    for (int i = 0; i < purge.child_count; i++) {
        const ChildTable *table = purge.children[i].table;
        if (strcmp(table->schema, g->facts->table.schema) != 0) {
            strbuf_puts(g->out, "GRANT USAGE ON SCHEMA ");
            sql_put_ident(g->out, table->schema);
            strbuf_puts(g->out, " TO " GRANTS_ROLE ";\n");
        }
        strbuf_printf(
            g->out, "GRANT SELECT, UPDATE%s ON ", purge.children[i].deleted ? ", DELETE" : "");
        sql_put_ident(g->out, table->schema);
        strbuf_putc(g->out, '.');
        sql_put_ident(g->out, table->name);
        strbuf_puts(g->out, " TO " GRANTS_ROLE ";\n");
    }
    strbuf_puts(g->out, purge.child_count == 0 ? "" : "\n");
    arena_reset(&arena);
}

static void
put_purge(const Grants *g)
{
    bool can_maintain = g->facts->server.version_num >= FACTS_FIRST_WITH_MAINTAIN;
    bool vacuum = g->spec->vacuum;
    put_role(g);
    put_home(g);
    if (g->spec->keeps_tail || (vacuum && !can_maintain)) {
        put_owner(
            g, g->spec->keeps_tail ? "set vacuum_truncate" : "vacuum it (or set vacuum: off)");
    } else {
        put_deletes(g);
    }
    if (vacuum && can_maintain && !g->spec->keeps_tail) {
        put_maintain(g);
    }
    if (g->facts->into != NULL) {
        put_keeper(g);
    }
    put_children(g);
    put_needs(g);
    strbuf_puts(g->out, MONITOR);
}

static void
put_restore(const Grants *g)
{
    put_role(g);
    put_home(g);
    strbuf_puts(g->out, "GRANT INSERT ON ");
    put_table(g, g->out);
    strbuf_puts(g->out, " TO " GRANTS_ROLE ";\n\n");
    strbuf_puts(g->out, MONITOR);
}

/* ---- all ---- */

static void
put_backfill(const Grants *g)
{
    bool vacuum = g->spec->vacuum;
    bool can_maintain = g->facts->server.version_num >= FACTS_FIRST_WITH_MAINTAIN;
    put_role(g);
    put_home(g);
    if (g->trigger || (vacuum && !can_maintain)) {
        put_owner(g, !g->trigger ? "vacuum it (or set vacuum: off)"
                     : vacuum ? "make and drop the sync trigger, have it fire ALWAYS, and vacuum it"
                              : "make and drop the sync trigger and have it fire ALWAYS");
    } else {
        put_columns(g);
    }
    if (!g->trigger && vacuum && can_maintain) {
        put_maintain(g);
    }
    put_needs(g);
    strbuf_puts(g->out, MONITOR);
}

void
sql_grants(StrBuf *out, const JobSpec *spec, const Facts *facts, const ExprReport *exprs)
{
    Grants g = {.out = out,
        .spec = spec,
        .facts = facts,
        .exprs = exprs,
        .trigger = findings_wants_trigger(spec, exprs)};
    if (spec->kind == KIND_COPY) {
        put_copy(&g);
    } else if (spec->kind == KIND_PURGE) {
        put_purge(&g);
    } else if (spec->kind == KIND_RESTORE) {
        put_restore(&g);
    } else {
        put_backfill(&g);
    }
    strbuf_puts(out, "-- After the first run, for a role that only watches (status):\n"
                     "--   GRANT USAGE ON SCHEMA pghaul TO a_role;\n"
                     "--   GRANT SELECT ON ALL TABLES IN SCHEMA pghaul TO a_role;\n"
                     "-- and for one that may also pause, resume, stop and change settings:\n"
                     "--   GRANT UPDATE ON pghaul.job, pghaul.run TO a_role;\n"
                     "--   GRANT INSERT ON pghaul.event TO a_role;\n"
                     "--   GRANT INSERT, UPDATE, DELETE ON pghaul.setting TO a_role;\n"
                     "--   GRANT EXECUTE ON FUNCTION pghaul.pause, pghaul.resume, pghaul.stop, "
                     "pghaul.set\n--     TO a_role;\n");
}
