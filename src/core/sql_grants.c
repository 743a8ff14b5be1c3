#include "core/sql_grants.h"

#include <string.h>

#include "core/findings.h"
#include "core/ident.h"
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
    StrBuf *out = g->out;
    strbuf_printf(out,
        "-- What a role needs to run job %s from its first run to clean; run this as ",
        g->spec->job);
    strbuf_puts(out, "a superuser.\n-- How it logs in is for you to decide: a password, or a line "
                     "of pg_hba.conf.\nCREATE ROLE " GRANTS_ROLE " LOGIN;\n\n");
    strbuf_puts(out, "-- CREATE: schema pghaul holds the progress of jobs and is made by the first "
                     "run.\n-- TEMPORARY: expressions are tried on an empty temporary table.\n"
                     "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE ");
    sql_put_ident(out, g->facts->server.database);
    strbuf_puts(out, " TO " GRANTS_ROLE ";\nGRANT USAGE ON SCHEMA ");
    sql_put_ident(out, g->facts->table.schema);
    strbuf_puts(out, " TO " GRANTS_ROLE ";\n\n");
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
put_owner(const Grants *g)
{
    StrBuf *out = g->out;
    const TableFacts *table = &g->facts->table;
    strbuf_printf(out,
        "-- Only the owner of a table may %s.  Membership in the owner gives all rights on it.\n",
        !g->trigger       ? "vacuum it (or set vacuum: off)"
        : g->spec->vacuum ? "make and drop the sync trigger, have it fire ALWAYS, and vacuum it"
                          : "make and drop the sync trigger and have it fire ALWAYS");
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

static bool
is_read(const Grants *g, const ColumnFacts *column)
{
    const char *why = NULL;
    const IndexFacts *key = findings_key_index(g->spec, g->facts, &why);
    bool read = jobspec_sets(g->spec, column->name) ||
                (g->exprs->where != NULL && mentions(g->exprs->where, column->attnum));
    for (int i = 0; key != NULL && i < key->attnum_count; i++) {
        read = read || key->attnums[i] == column->attnum;
    }
    for (int i = 0; i < g->spec->set_count; i++) {
        read = read || mentions(&g->exprs->set[i], column->attnum);
    }
    return read;
}

/* ctid and xmax: rows that somebody holds are looked up by them. */
static void
put_columns(const Grants *g)
{
    StrBuf *out = g->out;
    strbuf_puts(out, "-- Key, sources and the columns to be set.\nGRANT SELECT (ctid, xmax");
    for (int i = 0; i < g->facts->column_count; i++) {
        if (is_read(g, &g->facts->columns[i])) {
            strbuf_puts(out, ", ");
            sql_put_ident(out, g->facts->columns[i].name);
        }
    }
    strbuf_puts(out, ") ON ");
    put_table(g, out);
    strbuf_puts(out, " TO " GRANTS_ROLE ";\nGRANT UPDATE (");
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
        strbuf_printf(g->out,
            "-- What the expressions of the job use.  The sync trigger runs as the role that "
            "writes:\n-- roles of the application need the same.\n%s\n",
            strbuf_text(&lines));
    }
}

/* ---- all ---- */

void
sql_grants(StrBuf *out, const JobSpec *spec, const Facts *facts, const ExprReport *exprs)
{
    Grants g = {.out = out,
        .spec = spec,
        .facts = facts,
        .exprs = exprs,
        .trigger = findings_wants_trigger(spec, exprs)};
    bool can_maintain = facts->server.version_num >= FACTS_FIRST_WITH_MAINTAIN;
    put_role(&g);
    if (g.trigger || (spec->vacuum && !can_maintain)) {
        put_owner(&g);
    } else {
        put_columns(&g);
    }
    if (!g.trigger && spec->vacuum && can_maintain) {
        put_maintain(&g);
    }
    put_needs(&g);
    strbuf_puts(out, "-- The lag of standbys, and what other sessions do.\n"
                     "GRANT pg_monitor TO " GRANTS_ROLE ";\n\n"
                     "-- After the first run, for a role that only watches (status):\n"
                     "--   GRANT USAGE ON SCHEMA pghaul TO a_role;\n"
                     "--   GRANT SELECT ON ALL TABLES IN SCHEMA pghaul TO a_role;\n"
                     "-- and for one that may also pause, resume, stop and change settings:\n"
                     "--   GRANT UPDATE ON pghaul.job, pghaul.run TO a_role;\n"
                     "--   GRANT INSERT ON pghaul.event TO a_role;\n"
                     "--   GRANT INSERT, UPDATE, DELETE ON pghaul.setting TO a_role;\n"
                     "--   GRANT EXECUTE ON FUNCTION pghaul.pause, pghaul.resume, pghaul.stop, "
                     "pghaul.set\n--     TO a_role;\n");
}
