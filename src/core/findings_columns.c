/*
 * findings_columns.c - findings about the SET columns and the expressions of a job.
 */
#include <string.h>

#include "core/findings_collector.h"

/* ---- the columns ---- */

static void
report_missing(const Collector *c, const Assignment *assignment)
{
    const char *near = finding_suggest_column(c, c->facts, assignment->column);
    finding_add(c, FINDING_REFUSE, "set-column",
        near != NULL
            ? near
            : arena_printf(c->arena, "ALTER TABLE %s ADD COLUMN %s ...; without a default first.",
                  c->table, finding_ident(c, assignment->column)),
        "%s:%d:%d: column \"%s\" does not exist in %s", c->spec->file, assignment->place.line,
        assignment->place.column, assignment->column, c->table);
}

static bool
is_key_column(const Collector *c, const ColumnFacts *column)
{
    const char *why = NULL;
    const IndexFacts *index = findings_key_index(c->spec, c->facts, &why);
    for (int i = 0; index != NULL && i < index->attnum_count; i++) {
        if (index->attnums[i] == column->attnum) {
            return true;
        }
    }
    return false;
}

static void
check_writable(const Collector *c, const ColumnFacts *column)
{
    if (column->generated) {
        finding_add(c, FINDING_REFUSE, "set-generated", "The server computes it; leave it out.",
            "column \"%s\" of %s is generated", column->name, c->table);
    }
    if (column->identity) {
        finding_add(c, FINDING_REFUSE, "set-identity",
            arena_printf(c->arena, "ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY; if it must be.",
                c->table, finding_ident(c, column->name)),
            "column \"%s\" of %s is an identity column", column->name, c->table);
    }
    if (is_key_column(c, column)) {
        finding_add(c, FINDING_REFUSE, "set-key",
            "Rows would move while the job walks by key; choose another key: or copy the table.",
            "column \"%s\" is part of the key that the job walks by", column->name);
    }
    if (!column->may_update) {
        finding_add(c, FINDING_REFUSE, "privilege",
            arena_printf(c->arena, "GRANT UPDATE (%s) ON %s TO %s;", finding_ident(c, column->name),
                c->table, c->role),
            "role %s lacks UPDATE on column \"%s\" of %s", c->role, column->name, c->table);
    }
    /* Whether a row needs work is told by its present value. */
    finding_check_select(c, column);
}

/* The application's own writes pass through the sync trigger and meet these constraints. */
static void
check_constraints(const Collector *c, const ColumnFacts *column)
{
    const char *by_trigger = c->trigger ? ": writes of the application may fail as well" : "";
    if (column->in_check || column->not_null) {
        finding_add(c, FINDING_WARN, "set-check",
            "Make sure that the expression satisfies it for every row, also for NULL.",
            "column \"%s\" %s%s", column->name,
            column->in_check ? "is in a check constraint" : "is NOT NULL", by_trigger);
    }
    if (column->in_unique || column->in_foreign_key) {
        finding_add(c, c->spec->strict ? FINDING_REFUSE : FINDING_WARN, "set-unique",
            c->spec->strict ? "The job can then wait for a row of the application's while it holds "
                              "others; use strict: false or create the constraint afterwards."
                            : "Create it after the job, if you can.",
            "column \"%s\" is in a %s%s", column->name,
            column->in_unique ? "unique index" : "foreign key", by_trigger);
    }
    if (column->indexed) {
        finding_add(c, FINDING_NOTE, "set-indexed",
            "Create the index after the job, if you can: the job is then faster and the table "
            "grows less.",
            "column \"%s\" is indexed: no update of it is heap-only, so stripes do not help",
            column->name);
    }
}

void
findings_columns(const Collector *c)
{
    for (int i = 0; i < c->spec->set_count; i++) {
        const Assignment *assignment = &c->spec->set[i];
        const ColumnFacts *column = facts_column(c->facts, assignment->column);
        if (column == NULL) {
            report_missing(c, assignment);
            continue;
        }
        check_writable(c, column);
        check_constraints(c, column);
    }
}

/* ---- the expressions ---- */

/* The server's words, with the place in the job file. */
static void
report_refusal(const Collector *c, const ExprFacts *expr)
{
    finding_add(c, FINDING_REFUSE, "expression",
        expr->refusal_hint != NULL ? expr->refusal_hint : "Correct the expression in the job file.",
        "%s", expr->refusal);
}

static void
check_mutability(const Collector *c, const char *what, const ExprFacts *expr)
{
    if (expr->is_volatile) {
        finding_risk(c, "volatile",
            c->spec->kind == KIND_PURGE
                ? "Its value differs at each call, so which rows go is up to chance; now() is one "
                  "moment for the whole run."
                : "Its value differs at each call, so rows cannot be verified by computing them "
                  "again.",
            "%s is volatile", what);
    } else if (!expr->immutable && c->spec->kind != KIND_PURGE) {
        /* A purge asks the moment it deletes; that it depends on the time is its point. */
        finding_risk(c, "stable",
            "Name what it depends on, such as a time zone: (created AT TIME ZONE 'UTC')::date.",
            "%s is not immutable: it depends on settings, the time or other tables", what);
    }
}

static void
check_sources(const Collector *c, const char *what, const ExprFacts *expr)
{
    if (c->trigger && c->spec->kind == KIND_BACKFILL && expr->generated_source != NULL) {
        finding_add(c, FINDING_REFUSE, "generated-source",
            "Write its expression out, or use sync: none.",
            "%s reads generated column \"%s\", which is not yet computed when the sync trigger "
            "fires",
            what, expr->generated_source);
    }
    for (int i = 0; i < expr->source_count; i++) {
        const ColumnFacts *column = facts_column_by_attnum(c->facts, expr->sources[i]);
        if (column != NULL) {
            finding_check_select(c, column);
        }
    }
}

static void
check_self_reference(const Collector *c, const char *what)
{
    if (c->spec->sync == SYNC_TRIGGER) {
        finding_add(c, FINDING_REFUSE, "self-trigger", "Use sync: none.",
            "%s builds on a column that the job sets: a trigger would apply it at each write",
            what);
    }
    if (c->spec->path == PATH_BLOCK) {
        finding_add(c, FINDING_REFUSE, "self-block", "Use path: key.",
            "%s builds on a column that the job sets: rows move between blocks and would be "
            "changed twice",
            what);
    }
}

static void
check_assignment(const Collector *c, const Assignment *assignment, const ExprFacts *expr)
{
    const char *what = arena_printf(c->arena, "the expression of \"%s\"", assignment->column);
    check_mutability(c, what, expr);
    check_sources(c, what, expr);
    if (expr->self_referring) {
        check_self_reference(c, what);
    }
    const Facts *facts = c->facts->into == NULL ? c->facts : c->facts->into;
    const ColumnFacts *column = facts_column(facts, assignment->column);
    if (expr->lossy && column != NULL) {
        finding_risk(c, "lossy",
            arena_printf(c->arena, "Round or cut it yourself: (...)::%s.", column->type),
            "%s is %s and loses something as %s", what, expr->result_type, column->type);
    }
}

void
findings_expressions(const Collector *c)
{
    if (c->spec->path == PATH_BLOCK && !c->trigger) {
        finding_add(c, FINDING_REFUSE, "block-trigger", "Use path: key, or sync: trigger.",
            "path: block needs the sync trigger: without it a row that the application moves to "
            "another block is missed");
    }
    if (c->exprs == NULL) {
        return;
    }
    for (int i = 0; i < c->spec->set_count; i++) {
        if (c->exprs->set[i].refusal != NULL) {
            report_refusal(c, &c->exprs->set[i]);
            continue;
        }
        check_assignment(c, &c->spec->set[i], &c->exprs->set[i]);
    }
    const ExprFacts *where = c->exprs->where;
    if (where == NULL) {
        return;
    }
    if (where->refusal != NULL) {
        report_refusal(c, where);
        return;
    }
    check_mutability(c, "where:", where);
    check_sources(c, "where:", where);
    if (where->self_referring) {
        finding_add(c, FINDING_REFUSE, "where-set",
            "Leave it out: rows that already have the right value are skipped anyway.",
            "where: mentions a column that the job sets, so that rows leave it by being changed");
    }
}
