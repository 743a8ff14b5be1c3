/*
 * findings_collector.h - how the parts of the findings report; for src/core/findings*.c only.
 */
#ifndef CORE_FINDINGS_COLLECTOR_H
#define CORE_FINDINGS_COLLECTOR_H

#include "base/strbuf.h"
#include "core/findings.h"

typedef struct Collector {
    const JobSpec *spec;
    const Facts *facts;
    const ExprReport *exprs; /* NULL = not checked */
    Arena *arena;
    Findings *findings;
    const char *table; /* schema.name, quoted */
    const char *role;  /* quoted */
    bool trigger;      /* a sync trigger will be installed */
    bool is_target;    /* `facts` are those of a copy's target */
} Collector;

/* Report; `hint` may be NULL and must outlive the findings (static or of the arena). */
void finding_add(const Collector *c, FindingSeverity severity, const char *code, const char *hint,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Report a risk: a refusal, or a warning when `allow:` has the word `code`. */
void finding_risk(const Collector *c, const char *code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Report what should be known: a warning, or a note when `allow:` has the word `code`. */
void finding_caution(const Collector *c, const char *code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A name of the catalog in double quotes; lives in the arena. */
const char *finding_ident(const Collector *c, const char *name);

/* "a view", of pg_class.relkind. */
const char *finding_kind_word(char relkind);

/* Append a name, with a comma before it where it is not the first. */
void finding_put_name(StrBuf *list, const char *name);

/* "Did you mean orders_id?" of the columns of `facts`, or NULL. */
const char *finding_suggest_column(const Collector *c, const Facts *facts, const char *name);

/* Report a missing SELECT privilege on `column`, once. */
void finding_check_select(const Collector *c, const ColumnFacts *column);

/* The parts, each for one kind of fact. */
void findings_server(const Collector *c);
void findings_source_server(const Collector *c); /* of a copy from another server */
void findings_table(const Collector *c);
void findings_source(const Collector *c); /* of a copy */
void findings_target(const Collector *c); /* of a copy */
void findings_key(const Collector *c);
void findings_copy(const Collector *source, const Collector *target);

struct CopyKey;

/* Report when both tables are one, or parts of one.  Returns false then. */
bool findings_two_tables(const Collector *source, const Collector *target);

/* Report a target that rows would not stay in: a view, a table that is not logged. */
void findings_target_kind(const Collector *target);

/* Of a purge: privileges, subscribers, where the rows are kept; `target` is NULL without one. */
void findings_partitions(const Collector *c);
void findings_purge(const Collector *c, const Collector *target);

/* Of a purge: what happens on standbys. */
void findings_aftercare(const Collector *c);

/* Of findings_copy(): the target as a table, and its indexes beside the map's key. */
void findings_into(const Collector *source, const Collector *target);
void findings_into_indexes(const Collector *target, const struct CopyKey *copied, int key_count);

/* Of a purge: rows of other tables that refer to those to be deleted. */
void findings_children(const Collector *c);

void findings_restore(const Collector *c);
void findings_columns(const Collector *c);
void findings_expressions(const Collector *c);
void findings_needs(const Collector *c);
void findings_past(const Collector *c);

/* What keeps the columns of `index` from being a key, a static phrase, or NULL when nothing does;
 * *column is the one to blame. */
const char *
findings_key_flaw(const Facts *facts, const IndexFacts *index, const ColumnFacts **column);

#endif
