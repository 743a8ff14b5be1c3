#include "core/sql_cutover.h"

#include <string.h>

#include "core/sql_parts.h"

static const char *const NAMES[CARRY_KIND_COUNT] = {
    [CARRY_OWNER] = "owner",
    [CARRY_GRANT] = "grant",
    [CARRY_COMMENT] = "comment",
    [CARRY_DEFAULT] = "default",
    [CARRY_CHECK] = "check",
    [CARRY_OWNED] = "owned",
    [CARRY_COUNTER] = "counter",
    [CARRY_FOREIGN] = "foreign",
    [CARRY_WHOLE] = "whole",
    [CARRY_LEAF] = "leaf",
    [CARRY_INCOMING] = "incoming",
    [CARRY_TRIGGER] = "trigger",
    [CARRY_VIEW] = "view",
    [CARRY_LOST] = "lost",
};

const char *
carrykind_name(CarryKind kind)
{
    return NAMES[kind];
}

bool
sql_cutover_is_early(CarryKind kind)
{
    return kind < CARRY_OWNED;
}

/* ---- words ---- */

void
sql_put_qualified(StrBuf *out, const char *schema, const char *name)
{
    sql_put_ident(out, schema);
    strbuf_putc(out, '.');
    sql_put_ident(out, name);
}

static const char *
keep(Arena *arena, const StrBuf *text)
{
    return arena_strdup(arena, strbuf_text(text));
}

static const char *
qualified(Arena *arena, const char *schema, const char *name)
{
    STRBUF_AUTO text = STRBUF_INIT;
    sql_put_qualified(&text, schema, name);
    return keep(arena, &text);
}

static const char *
ident(Arena *arena, const char *name)
{
    STRBUF_AUTO text = STRBUF_INIT;
    sql_put_ident(&text, name);
    return keep(arena, &text);
}

static const char *
literal(Arena *arena, const char *value)
{
    STRBUF_AUTO text = STRBUF_INIT;
    sql_put_literal(&text, value);
    return keep(arena, &text);
}

/* ---- before the swap ---- */

typedef struct Writer {
    const CutoverNames *names;
    const CarryItem *item;
    Arena *arena;
    CutoverStep *step;
    const char *live; /* the table that the application uses, under its name */
    const char *old;  /* the source after the swap */
    const char *into; /* the target before the swap */
    const char *name; /* of the item, quoted; NULL if it has none */
} Writer;

static void
write_owner(const Writer *w)
{
    w->step->what = arena_printf(w->arena, "owner %s of %s", w->item->name, w->item->relation);
    w->step->sql = arena_printf(w->arena, "ALTER TABLE %s OWNER TO %s", w->item->relation, w->name);
}

static void
write_grant(const Writer *w)
{
    const CarryItem *item = w->item;
    const char *role = w->name == NULL ? "PUBLIC" : w->name;
    const char *column =
        item->column == NULL ? "" : arena_printf(w->arena, " (%s)", ident(w->arena, item->column));
    const char *object = item->relation == NULL
                             ? arena_printf(w->arena, "TABLE %s", w->into)
                             : arena_printf(w->arena, "SEQUENCE %s", item->relation);
    w->step->what = arena_printf(w->arena, "GRANT %s%s TO %s", item->text, column, role);
    w->step->sql = arena_printf(w->arena, "GRANT %s%s ON %s TO %s%s", item->text, column, object,
        role, item->flag ? " WITH GRANT OPTION" : "");
}

static void
write_comment(const Writer *w)
{
    const char *column = w->item->column;
    const char *object =
        column == NULL ? arena_printf(w->arena, "TABLE %s", w->into)
                       : arena_printf(w->arena, "COLUMN %s.%s", w->into, ident(w->arena, column));
    w->step->what = column == NULL ? "comment on the table"
                                   : arena_printf(w->arena, "comment on column %s", column);
    w->step->sql =
        arena_printf(w->arena, "COMMENT ON %s IS %s", object, literal(w->arena, w->item->text));
}

static void
write_default(const Writer *w)
{
    w->step->what = arena_printf(w->arena, "default of column %s", w->item->column);
    w->step->sql = arena_printf(w->arena, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s", w->into,
        ident(w->arena, w->item->column), w->item->text);
}

static const char *
drop_constraint(const Writer *w, const char *table)
{
    return arena_printf(w->arena, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", table, w->name);
}

static const char *
add_constraint(const Writer *w, const char *table, const char *definition, const char *validity)
{
    return arena_printf(
        w->arena, "ALTER TABLE %s ADD CONSTRAINT %s %s%s", table, w->name, definition, validity);
}

static const char *
validate_constraint(const Writer *w, const char *table)
{
    return !w->item->flag
               ? NULL
               : arena_printf(w->arena, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table, w->name);
}

/* Validated apart, under a lock that stops no writer. */
static void
write_check(const Writer *w)
{
    w->step->what = arena_printf(w->arena, "check constraint %s", w->item->name);
    w->step->sql =
        w->item->extra != NULL ? NULL : add_constraint(w, w->into, w->item->text, " NOT VALID");
    w->step->later = validate_constraint(w, w->into);
}

/* ---- in the swap ---- */

static void
write_owned(const Writer *w)
{
    const CarryItem *item = w->item;
    const char *type = item->extra == NULL ? "" : arena_printf(w->arena, " AS %s", item->extra);
    w->step->what = arena_printf(w->arena, "ownership of sequence %s%s%s", item->relation,
        item->extra == NULL ? "" : ", which becomes ", item->extra == NULL ? "" : item->extra);
    w->step->sql = arena_printf(w->arena, "ALTER SEQUENCE %s%s OWNED BY %s.%s", item->relation,
        type, w->live, ident(w->arena, item->column));
    w->step->undo = arena_printf(
        w->arena, "ALTER SEQUENCE %s OWNED BY %s.%s", item->relation, w->live, w->name);
}

/* The counter of `to` goes on where that of `from` stands, unless it is further already. */
static const char *
advance(const Writer *w, const char *from, const char *to)
{
    const char *sign = w->item->flag ? "" : "-";
    return arena_printf(w->arena,
        "SELECT pg_catalog.setval(%s::pg_catalog.regclass, f.last_value, f.is_called)\n"
        "  FROM %s AS f, %s AS t\n"
        " WHERE (%sf.last_value::pg_catalog.numeric, f.is_called)\n"
        "       > (%st.last_value::pg_catalog.numeric, t.is_called)",
        literal(w->arena, to), from, to, sign, sign);
}

static void
write_counter(const Writer *w)
{
    w->step->what = arena_printf(w->arena, "counter of sequence %s", w->item->text);
    w->step->sql = advance(w, w->item->relation, w->item->text);
    w->step->undo = advance(w, w->item->text, w->item->relation);
}

/* The table that lags behind must not have it: a row that the application has deleted is there for
 * a moment longer, and would make the delete of the row that it refers to fail. */
static void
write_foreign(const Writer *w)
{
    const CarryItem *item = w->item;
    const char *drop = drop_constraint(w, w->old);
    w->step->what = arena_printf(w->arena, "foreign key %s", item->name);
    w->step->sql = item->text == NULL ? drop
                                      : arena_printf(w->arena, "%s;\n%s", drop,
                                            add_constraint(w, w->live, item->text, " NOT VALID"));
    w->step->later = item->text == NULL ? NULL : validate_constraint(w, w->live);
    const char *back = add_constraint(w, w->live, item->extra, " NOT VALID");
    w->step->undo = item->text == NULL
                        ? back
                        : arena_printf(w->arena, "%s;\n%s", drop_constraint(w, w->into), back);
    w->step->undo_later = validate_constraint(w, w->live);
}

static void
write_leaf(const Writer *w)
{
    const CarryItem *item = w->item;
    w->step->what = arena_printf(w->arena, "foreign key %s on %s", item->name, item->relation);
    w->step->sql = add_constraint(w, item->relation, item->text, " NOT VALID");
    w->step->later = validate_constraint(w, item->relation);
    w->step->undo = drop_constraint(w, item->relation);
}

/* When all leaves have it validated the server takes it for the whole without looking at rows.
 * Dropping it drops those of the leaves. */
static void
write_whole(const Writer *w)
{
    w->step->what = arena_printf(w->arena, "foreign key %s on the whole", w->item->name);
    w->step->later = add_constraint(w, w->live, w->item->text, "");
    w->step->undo = drop_constraint(w, w->into);
}

/* Its definition says the name that the application knows, whichever table has it. */
static void
write_incoming(const Writer *w)
{
    const CarryItem *item = w->item;
    const char *drop = drop_constraint(w, item->relation);
    const char *back = add_constraint(w, item->relation, item->extra, " NOT VALID");
    w->step->what = arena_printf(w->arena, "foreign key %s of %s", item->name, item->relation);
    w->step->sql = item->text == NULL
                       ? drop
                       : arena_printf(w->arena, "%s;\n%s", drop,
                             add_constraint(w, item->relation, item->text, " NOT VALID"));
    w->step->later = item->text == NULL ? NULL : validate_constraint(w, item->relation);
    w->step->undo = item->text == NULL ? back : arena_printf(w->arena, "%s;\n%s", drop, back);
    w->step->undo_later = validate_constraint(w, item->relation);
}

/* "ENABLE ALWAYS", by pg_trigger.tgenabled. */
static const char *
firing(const char *enabled)
{
    switch (enabled[0]) {
    case 'A':
        return "ENABLE ALWAYS";
    case 'R':
        return "ENABLE REPLICA";
    case 'D':
        return "DISABLE";
    default:
        return "ENABLE";
    }
}

/* What is applied to the table that lags behind has fired them already. */
static void
write_trigger(const Writer *w)
{
    const CarryItem *item = w->item;
    STRBUF_AUTO sql = STRBUF_INIT;
    STRBUF_AUTO undo = STRBUF_INIT;
    strbuf_printf(&sql, "ALTER TABLE %s DISABLE TRIGGER %s", w->old, w->name);
    if (item->text != NULL) {
        strbuf_printf(&sql, ";\n%s;\nALTER TABLE %s %s TRIGGER %s", item->text, w->live,
            firing(item->extra), w->name);
        strbuf_printf(&undo, "DROP TRIGGER IF EXISTS %s ON %s;\n", w->name, w->into);
    }
    strbuf_printf(&undo, "ALTER TABLE %s %s TRIGGER %s", w->live, firing(item->extra), w->name);
    w->step->what = arena_printf(w->arena, "trigger %s", item->name);
    w->step->sql = keep(w->arena, &sql);
    w->step->undo = keep(w->arena, &undo);
}

static void
write_view(const Writer *w)
{
    const CarryItem *item = w->item;
    w->step->what = arena_printf(w->arena, "view %s", item->relation);
    w->step->sql = arena_printf(w->arena, "CREATE OR REPLACE VIEW %s%s%s%s AS\n%s", item->relation,
        item->extra == NULL ? "" : " WITH (", item->extra == NULL ? "" : item->extra,
        item->extra == NULL ? "" : ")", item->text);
    w->step->undo = w->step->sql;
}

static void
write_lost(const Writer *w)
{
    w->step->what = w->item->text;
}

void
sql_cutover_step(const CutoverNames *names, const CarryItem *item, Arena *arena, CutoverStep *step)
{
    static void (*const WRITERS[CARRY_KIND_COUNT])(const Writer *w) = {
        [CARRY_OWNER] = write_owner,
        [CARRY_GRANT] = write_grant,
        [CARRY_COMMENT] = write_comment,
        [CARRY_DEFAULT] = write_default,
        [CARRY_CHECK] = write_check,
        [CARRY_OWNED] = write_owned,
        [CARRY_COUNTER] = write_counter,
        [CARRY_FOREIGN] = write_foreign,
        [CARRY_WHOLE] = write_whole,
        [CARRY_LEAF] = write_leaf,
        [CARRY_INCOMING] = write_incoming,
        [CARRY_TRIGGER] = write_trigger,
        [CARRY_VIEW] = write_view,
        [CARRY_LOST] = write_lost,
    };
    *step = (CutoverStep){.what = NULL};
    Writer w = {
        .names = names,
        .item = item,
        .arena = arena,
        .step = step,
        .live = qualified(arena, names->schema, names->source),
        .old = qualified(arena, names->schema, names->old),
        .into = qualified(arena, names->schema, names->into),
        .name = item->name == NULL ? NULL : ident(arena, item->name),
    };
    WRITERS[item->kind](&w);
}

/* ---- the tables themselves ---- */

void
sql_cutover_rename(const CutoverNames *names, Arena *arena, CutoverStep *step)
{
    const char *live = qualified(arena, names->schema, names->source);
    const char *old = qualified(arena, names->schema, names->old);
    const char *into = qualified(arena, names->schema, names->into);
    const char *source_name = ident(arena, names->source);
    *step = (CutoverStep){
        .what = arena_printf(arena, "%s becomes %s, %s becomes %s", names->source, names->old,
            names->into, names->source),
        .sql = arena_printf(arena, "ALTER TABLE %s RENAME TO %s;\nALTER TABLE %s RENAME TO %s",
            live, ident(arena, names->old), into, source_name),
        .undo = arena_printf(arena, "ALTER TABLE %s RENAME TO %s;\nALTER TABLE %s RENAME TO %s",
            live, ident(arena, names->into), old, source_name),
    };
}

void
sql_cutover_lock(StrBuf *out, const char *const tables[static 2], const char *const *others,
    int count, bool others_first)
{
    strbuf_puts(out, "LOCK TABLE ");
    for (int i = 0; others_first && i < count; i++) {
        strbuf_printf(out, "%s, ", others[i]);
    }
    strbuf_printf(out, "%s, %s", tables[0], tables[1]);
    for (int i = 0; !others_first && i < count; i++) {
        strbuf_printf(out, ", %s", others[i]);
    }
    strbuf_puts(out, " IN ACCESS EXCLUSIVE MODE");
}

/* ---- sessions with an old snapshot ---- */

void
sql_fresh_trigger(StrBuf *out, const FreshTrigger *trigger)
{
    strbuf_printf(out,
        "CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $pghaul$\n"
        "BEGIN\n"
        "    IF NOT pg_catalog.pg_visible_in_snapshot('%s'::pg_catalog.xid8,\n"
        "        pg_catalog.pg_current_snapshot()) THEN\n"
        "        RAISE EXCEPTION 'could not serialize access: the table was replaced by another '\n"
        "            'after this transaction took its snapshot'\n"
        "            USING ERRCODE = '40001', HINT = 'Try the transaction again.';\n"
        "    END IF;\n"
        "    RETURN NULL;\n"
        "END\n"
        "$pghaul$;\n"
        "REVOKE ALL ON FUNCTION %s() FROM PUBLIC;\n"
        "DROP TRIGGER IF EXISTS %s ON %s;\n"
        "CREATE TRIGGER %s BEFORE INSERT OR UPDATE OR DELETE ON %s\n"
        "    FOR EACH STATEMENT EXECUTE FUNCTION %s();\n"
        "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s",
        trigger->function, trigger->xid, trigger->function, trigger->name, trigger->table,
        trigger->name, trigger->table, trigger->function, trigger->table, trigger->name);
}

/* ---- the fence ---- */

/* Read-only, as far as the application can tell: it may know what to do about that. */
void
sql_fence_function(StrBuf *out, const char *function, const char *name)
{
    STRBUF_AUTO message = STRBUF_INIT;
    strbuf_printf(&message, "table %s takes no more writes: it was moved to another server", name);
    strbuf_printf(out,
        "CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $pghaul$\n"
        "BEGIN\n"
        "    RAISE EXCEPTION USING ERRCODE = '25006',\n"
        "        HINT = 'Connect to the new server; pghaul rollback lets it be written again.',\n"
        "        MESSAGE = ",
        function);
    sql_put_literal(out, strbuf_text(&message));
    strbuf_printf(out, ";\nEND\n$pghaul$;\nREVOKE ALL ON FUNCTION %s() FROM PUBLIC", function);
}

/* What is there is dropped first, so that a fence that was tampered with is whole again. */
void
sql_fence_trigger(StrBuf *out, const char *function, const char *table, int step)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "zzzz_%s%s", strchr(function, '.') + 1, step % 2 == 0 ? "" : "_t");
    const char *name = strbuf_text(&text);
    switch (step / 2) {
    case 0:
        strbuf_printf(out, "DROP TRIGGER IF EXISTS %s ON %s", name, table);
        break;
    case 1:
        strbuf_printf(out, "CREATE TRIGGER %s BEFORE %s ON %s FOR EACH %s EXECUTE FUNCTION %s()",
            name, step % 2 == 0 ? "INSERT OR UPDATE OR DELETE" : "TRUNCATE", table,
            step % 2 == 0 ? "ROW" : "STATEMENT", function);
        break;
    default:
        strbuf_printf(out, "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table, name);
        break;
    }
}
