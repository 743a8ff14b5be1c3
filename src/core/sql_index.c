#include "core/sql_index.h"

#include <stdio.h>
#include <string.h>

#include "core/ident.h"
#include "core/sql_parts.h"

bool
sql_index_is_secondary(const IndexDef *def, const CopyPlan *copy)
{
    bool is_arbiter = copy->arbiter != NULL && copy->arbiter->oid == def->oid;
    bool is_walk = copy->walk != NULL && copy->walk->oid == def->oid; /* drain and verify need it */
    return def->kept_for == NULL && !is_arbiter && !is_walk;
}

/* ---- translation ---- */

/* Where the column goes as it is, under its own name if there is a choice; NULL = nowhere. */
static const MapColumn *
copied(const CopyPlan *copy, const char *column)
{
    const MapColumn *found = NULL;
    for (int i = 0; i < copy->map_count; i++) {
        const MapColumn *map = &copy->map[i];
        if (map->source == NULL || strcmp(map->source->name, column) != 0) {
            continue;
        }
        if (found == NULL || strcmp(map->target->name, column) == 0) {
            found = map;
        }
    }
    return found;
}

/* Expressions and predicates are text of the source: good only where nothing of it changes. */
static const char *
flaw_of_column(const IndexDef *def, const CopyPlan *copy, const char *column, Arena *arena)
{
    const MapColumn *map = copied(copy, column);
    if (map == NULL) {
        return arena_printf(arena, "column \"%s\" is not copied as it is", column);
    }
    if (def->plain) {
        return NULL;
    }
    if (strcmp(map->target->name, column) != 0) {
        return arena_printf(arena,
            "its expression or predicate has column \"%s\", which has another name there", column);
    }
    if (strcmp(map->target->type, map->source->type) != 0) {
        return arena_printf(arena,
            "its expression or predicate has column \"%s\", which is %s there", column,
            map->target->type);
    }
    return NULL;
}

/* A unique index of a partitioned table has all columns of the partition keys. */
static const char *
flaw_of_partitions(const IndexDef *def, const IndexDefs *target, const CopyPlan *copy, Arena *arena)
{
    if (!def->unique) {
        return NULL;
    }
    if (target->partition_by_expression) {
        return "it is unique, and the target is partitioned by an expression";
    }
    for (int i = 0; i < target->partition_count; i++) {
        bool has = false;
        for (int k = 0; k < def->key_count && !has; k++) {
            const MapColumn *map = def->columns[k] == NULL ? NULL : copied(copy, def->columns[k]);
            has = map != NULL && strcmp(map->target->name, target->partition[i]) == 0;
        }
        if (!has) {
            return arena_printf(arena,
                "it is unique without column \"%s\", by which the target is partitioned",
                target->partition[i]);
        }
    }
    return NULL;
}

static const char *
flaw(const IndexDef *def, const IndexDefs *target, const CopyPlan *copy, Arena *arena)
{
    if (def->special) {
        return "it is deferrable or excludes, which only a constraint can say";
    }
    if (def->definition == NULL) {
        return "the server spells its definition in a way that is not known";
    }
    const char *why = NULL;
    for (int i = 0; i < def->mention_count && why == NULL; i++) {
        why = flaw_of_column(def, copy, def->mentions[i], arena);
    }
    return why != NULL ? why : flaw_of_partitions(def, target, copy, arena);
}

static void
put_columns(StrBuf *out, const IndexDef *def, const CopyPlan *copy, int from, int to)
{
    for (int i = from; i < to; i++) {
        strbuf_puts(out, i == from ? "" : ", ");
        if (copy == NULL) {
            strbuf_puts(out, def->quoted[i]);
        } else {
            sql_put_ident(out, copied(copy, def->columns[i])->target->name);
        }
        strbuf_puts(out, def->suffixes[i]);
    }
}

/* The columns of a plain index, spelled as the catalog does (`copy` NULL) or under new names. */
static void
put_head(StrBuf *out, const IndexDef *def, const CopyPlan *copy)
{
    strbuf_printf(out, "USING %s (", def->method);
    put_columns(out, def, copy, 0, def->key_count);
    if (def->column_count > def->key_count) {
        strbuf_puts(out, ") INCLUDE (");
        put_columns(out, def, copy, def->key_count, def->column_count);
    }
    strbuf_putc(out, ')');
}

static bool
keeps_names(const IndexDef *def, const CopyPlan *copy)
{
    for (int i = 0; i < def->mention_count; i++) {
        if (strcmp(copied(copy, def->mentions[i])->target->name, def->mentions[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* Only the list of columns is put anew; what follows it (WITH, NULLS NOT DISTINCT) stays. */
static const char *
renamed(const IndexDef *def, const CopyPlan *copy, Arena *arena)
{
    STRBUF_AUTO was = STRBUF_INIT;
    STRBUF_AUTO now = STRBUF_INIT;
    put_head(&was, def, NULL);
    if (strncmp(def->definition, strbuf_text(&was), was.len) != 0) {
        return NULL;
    }
    put_head(&now, def, copy);
    strbuf_puts(&now, def->definition + was.len);
    return arena_strdup(arena, strbuf_text(&now));
}

void
sql_index_translate(const IndexDef *def, const IndexDefs *target, const CopyPlan *copy,
    Arena *arena, IndexBuild *build)
{
    *build = (IndexBuild){.from = def->name,
        .unique = def->unique,
        .comment = def->comment,
        .why_not = flaw(def, target, copy, arena)};
    if (build->why_not != NULL) {
        return;
    }
    build->definition = keeps_names(def, copy) ? def->definition : renamed(def, copy, arena);
    if (build->definition == NULL) {
        build->why_not = "its columns have other names there, and its definition has more than "
                         "columns and orders";
    }
}

/* ---- names ---- */

/* Most bytes of `text`, at most `room`, that end with a whole character. */
static size_t
whole_characters(const char *text, size_t room)
{
    size_t len = strlen(text);
    if (len <= room) {
        return len;
    }
    len = room;
    while (len > 0 && ((unsigned char)text[len] & 0xC0U) == 0x80U) {
        len--;
    }
    return len;
}

const char *
sql_index_name(const char *name, const char *from, const char *to, int attempt, Arena *arena)
{
    char number[16] = "";
    if (attempt > 0) {
        (void)snprintf(number, sizeof(number), "_%d", attempt);
    }
    size_t len = strlen(from);
    bool has_prefix = strncmp(name, from, len) == 0 && name[len] == '_';
    const char *rest = has_prefix ? name + len + 1 : name;
    size_t room = IDENT_MAX_BYTES - strlen(number);
    const char *full = arena_printf(arena, "%s_%s", to, rest);
    /* What tells the indexes of one table apart is the end of the name. */
    if (strlen(full) > room) {
        size_t rest_len = whole_characters(rest, room / 2);
        size_t to_len = whole_characters(to, room - 1 - rest_len);
        full = arena_printf(arena, "%.*s_%.*s", (int)to_len, to, (int)rest_len, rest);
    }
    return arena_printf(arena, "%s%s", full, number);
}

const char *
sql_index_qualified(const char *schema, const char *name, Arena *arena)
{
    STRBUF_AUTO out = STRBUF_INIT;
    sql_put_ident(&out, schema);
    strbuf_putc(&out, '.');
    sql_put_ident(&out, name);
    return arena_strdup(arena, strbuf_text(&out));
}

/* ---- statements ---- */

void
sql_index_create(
    StrBuf *out, const IndexBuild *build, const char *name, const char *table, IndexWay way)
{
    strbuf_printf(out, "CREATE %sINDEX %s", build->unique ? "UNIQUE " : "",
        way == INDEX_CONCURRENTLY ? "CONCURRENTLY " : "");
    sql_put_ident(out, name);
    strbuf_printf(out, " ON %s%s %s", way == INDEX_ONLY ? "ONLY " : "", table, build->definition);
}

void
sql_index_tablespace(StrBuf *out, const IndexBuild *build)
{
    strbuf_puts(out, "SET default_tablespace = ");
    sql_put_literal(out, build->tablespace == NULL ? "" : build->tablespace);
}

void
sql_index_comment(StrBuf *out, const IndexBuild *build, const char *schema)
{
    strbuf_puts(out, "COMMENT ON INDEX ");
    sql_put_ident(out, schema);
    strbuf_putc(out, '.');
    sql_put_ident(out, build->name);
    strbuf_puts(out, " IS ");
    sql_put_literal(out, build->comment);
}

void
sql_index_drop_all(StrBuf *out, const IndexPlan *indexes, const char *schema)
{
    strbuf_puts(out, "DROP INDEX ");
    for (int i = 0; i < indexes->count; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        sql_put_ident(out, schema);
        strbuf_putc(out, '.');
        sql_put_ident(out, indexes->items[i].name);
    }
}

void
sql_index_table_used(StrBuf *out, const Facts *into)
{
    strbuf_puts(out, "SELECT EXISTS (SELECT FROM ");
    sql_put_ident(out, into->table.schema);
    strbuf_putc(out, '.');
    sql_put_ident(out, into->table.name);
    strbuf_putc(out, ')');
}
