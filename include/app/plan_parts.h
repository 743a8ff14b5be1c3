/*
 * plan_parts.h - what the texts of all plans share, and those of a copy; for src/app/plan_*.c only.
 */
#ifndef APP_PLAN_PARTS_H
#define APP_PLAN_PARTS_H

#include "app/plan_text.h"

/* One decision: a label and sentences. */
void plan_put_fact(StrBuf *out, const char *label, const char *text, int width);

/* The expressions of `set:` or `map:`, and `where:`, under this label. */
void plan_put_expressions(StrBuf *out, const Plan *plan, const char *label, int width);

typedef struct PlanLister {
    const Plan *plan;
    Arena *arena;
    PlanStatement *statements; /* of PLAN_STATEMENTS_MAX */
    int count;
} PlanLister;

/* Add the statement that `make` appends for job 0. */
typedef void PlanMakeText(StrBuf *out, const Plan *plan, int64_t job);
void plan_add_made(PlanLister *lister, const char *title, PlanMakeText *make);

/* The same for a statement that does not depend on the job's number. */
void
plan_add_query(PlanLister *lister, const char *title, void (*make)(StrBuf *out, const Plan *plan));

/* Inheritance children of the table, or NULL. */
const char *plan_list_children(const Plan *plan, Arena *arena);

/* ---- of a copy ---- */

PlanEstimate plan_copy_estimate(const Plan *plan);
void plan_copy_put_table(StrBuf *out, const JobSpec *spec, const Facts *facts, int width);
void plan_copy_put_map(StrBuf *out, const Plan *plan, int width);
void plan_copy_put_target(StrBuf *out, const Plan *plan, int width);
void plan_copy_put_costs(StrBuf *out, const Plan *plan, int width);
int plan_copy_locks(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX]);
int plan_copy_notes(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX]);

/* The change log; its triggers, which call a function of the job; what carries rows between two
 * servers. */
void plan_copy_add_log(PlanLister *lister);
void plan_copy_add_triggers(PlanLister *lister);
void plan_copy_add_relay(PlanLister *lister);

/* Put what only a copy has. */
void plan_copy_json(json_t *object, const Plan *plan);

/* ---- of a purge ---- */

PlanEstimate plan_purge_estimate(const Plan *plan);
void plan_purge_put_rows(StrBuf *out, const Plan *plan, int width); /* which, and what keeps them */
void plan_purge_put_rest(StrBuf *out, const Plan *plan, int width); /* after-care, schedule */
void plan_purge_put_costs(StrBuf *out, const Plan *plan, int width);
int plan_purge_locks(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX]);
int plan_purge_notes(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX]);
void plan_purge_json(json_t *object, const Plan *plan);

/* Tables that refer to its own; NULL = no rows of others are locked. */
void plan_children_put(StrBuf *out, const Plan *plan, int width);
const char *plan_children_lock(const Plan *plan, Arena *arena);
json_t *plan_children_json(const Plan *plan);

/* ---- of a restore ---- */

PlanEstimate plan_restore_estimate(const Plan *plan);
void plan_restore_put(StrBuf *out, const Plan *plan, int width);
int plan_restore_locks(const char *notes[static PLAN_NOTES_MAX]);
int plan_restore_notes(const char *notes[static PLAN_NOTES_MAX]);
void plan_restore_put_frame(StrBuf *out, const Plan *plan); /* its transaction */
void plan_restore_json(json_t *object, const Plan *plan);

#endif
