/*
 * sql_cutover.h - what a cutover does to the two tables of a copy, and what takes it back, as SQL.
 *
 * Pure.  pg/catalog_carry.h finds the items; here each becomes a step.  Steps of the swap run after
 * the tables have changed their names, and their undo after they have got them back, so both follow
 * the same order.
 */
#ifndef CORE_SQL_CUTOVER_H
#define CORE_SQL_CUTOVER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/strbuf.h"

/* What belongs to a table beside its rows.  Those before CARRY_OWNED can be given to the target at
 * leisure, the others change hands in the swap. */
typedef enum CarryKind {
    CARRY_OWNER = 0, /* name: the role; relation: the target or one of its partitions */
    CARRY_GRANT,     /* name: the role, NULL = PUBLIC; text: privilege; flag: with grant option;
                        relation: a sequence of the target, else the table or its column */
    CARRY_COMMENT,   /* text; column */
    CARRY_DEFAULT,   /* text: expression; column */
    CARRY_CHECK,     /* name, text: definition; flag: to be validated; extra: it is there */
    CARRY_OWNED,   /* relation: a sequence that belongs to `name` of the source and shall belong to
                      `column` of the target; extra: type that it gets for that, or NULL */
    CARRY_COUNTER, /* relation: sequence of the source, text: that of the target; flag: counts up */
    CARRY_FOREIGN, /* name, extra: definition, text: the same or NULL = only taken from the
                      source; flag: validated */
    CARRY_WHOLE,   /* a foreign key of a partitioned target, after its leaves have it */
    CARRY_LEAF,    /* the same for one of them: relation */
    CARRY_INCOMING, /* as CARRY_FOREIGN; relation: the table that refers to the source */
    CARRY_TRIGGER,  /* name, text: definition, NULL = not carried; extra: pg_trigger.tgenabled */
    CARRY_VIEW,     /* relation, text: query, extra: options or NULL */
    CARRY_LOST,     /* text: a sentence; flag: it stands in the way */
} CarryKind;

#define CARRY_KIND_COUNT ((int)CARRY_LOST + 1)

/* Names are spelled as in the catalog, relations are qualified and quoted. */
typedef struct CarryItem {
    CarryKind kind;
    const char *name;
    const char *column; /* of the target; NULL = the table */
    const char *relation;
    const char *text;
    const char *extra;
    bool flag;
} CarryItem;

/* As in what catalog_read_carry() asks for: "owner". */
const char *carrykind_name(CarryKind kind);

/* The tables before and after; one schema. */
typedef struct CutoverNames {
    const char *schema;
    const char *source; /* the name that the application knows */
    const char *into;   /* the target's name before the cutover */
    const char *old;    /* the source's name after it */
} CutoverNames;

typedef struct CutoverStep {
    const char *what;       /* "foreign key orders_customer_fkey" */
    const char *sql;        /* one or more statements, NULL = nothing now */
    const char *undo;       /* NULL = it may stay */
    const char *later;      /* after the cutover, in a transaction of its own; NULL = nothing */
    const char *undo_later; /* after a rollback */
} CutoverStep;

/* Is it given to the target before the swap? */
bool sql_cutover_is_early(CarryKind kind);

/* Owner:   texts of *step live in `arena`. */
void
sql_cutover_step(const CutoverNames *names, const CarryItem *item, Arena *arena, CutoverStep *step);

/* The rename of both tables, whose undo is the rename back. */
void sql_cutover_rename(const CutoverNames *names, Arena *arena, CutoverStep *step);

/* LOCK TABLE of both tables in their order, and of others before or after them. */
void sql_cutover_lock(StrBuf *out, const char *const tables[static 2], const char *const *others,
    int count, bool others_first);

/* Of the table that comes into use in transaction `xid`: who writes it with a snapshot from before,
 * and would miss rows in it, gets the error 40001 that such transactions know. */
typedef struct FreshTrigger {
    const char *function; /* "pghaul.fresh_1_0123456789abcdef" */
    const char *name;
    const char *table; /* quoted */
    const char *xid;
} FreshTrigger;

void sql_fresh_trigger(StrBuf *out, const FreshTrigger *trigger);

/*
 * The fence of a source on another server: CREATE OR REPLACE FUNCTION, and the statements that put
 * its triggers in place or again in place, to be run in one transaction.
 *
 * Shape:   `function` ("pghaul.fence_..") and `table` as SQL spells them; `name` is the table's,
 * for the message.
 */
#define FENCE_STATEMENTS 6
void sql_fence_function(StrBuf *out, const char *function, const char *name);
void sql_fence_trigger(StrBuf *out, const char *function, const char *table, int step);

/* "schema"."name" */
void sql_put_qualified(StrBuf *out, const char *schema, const char *name);

#endif
