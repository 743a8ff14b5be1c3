/*
 * plan_text.h - a Plan in words and as an object: decisions, locks, costs, statements.
 */
#ifndef APP_PLAN_TEXT_H
#define APP_PLAN_TEXT_H

#include <jansson.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "core/plan.h"

/* What a job costs, as far as rows, columns and indexes tell. */
typedef struct PlanEstimate {
    int64_t rows;      /* of the table; all may need work */
    int64_t row_bytes; /* without indexes */
    int64_t wal_bytes;
    double heap_growth_ratio; /* 0.125 = an eighth */
    double index_growth_ratio;
    int64_t growth_bytes;
    int64_t purged_rows; /* of a purge: those that match */
    int64_t freed_bytes; /* their room in the table */
    int64_t page_bytes;  /* of WAL beside wal_bytes, if each page is written as a whole once */
} PlanEstimate;

#define PLAN_PAGE_BYTES 8192

/*
 * Source:  measured on PostgreSQL 15, 170-byte rows, two and six indexes: WAL bytes a row are the
 *          row + 104 + 173 for each index without stripes, the row + 47 + 72 with them; of a copy
 *          the row + 26 + 75; of a purge 61, 56 more where rows are locked first, 26 to vacuum.
 */
PlanEstimate plan_estimate(const Plan *plan);

#define PLAN_STATEMENTS_MAX 24

typedef struct PlanStatement {
    const char *title; /* when it runs, and how often */
    const char *sql;
} PlanStatement;

/* Every statement that a run will use, with job number 0; texts live in `arena`. */
int plan_statements(
    const Plan *plan, Arena *arena, PlanStatement statements[static PLAN_STATEMENTS_MAX]);

#define PLAN_NOTES_MAX 24

/* What takes which lock for how long, and what else to know; sentences in `arena`. */
int plan_locks(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX]);
int plan_notes(const Plan *plan, Arena *arena, const char *notes[static PLAN_NOTES_MAX]);

/* One paragraph about the job, its table and the server. */
void plan_put_table(StrBuf *out, const JobSpec *spec, const Facts *facts, int width);

/* The decisions and costs: what is shown before a first run. */
void plan_put_short(StrBuf *out, const Plan *plan, int width);

/* Locks, notes and statements: the rest. */
void plan_put_long(StrBuf *out, const Plan *plan, Arena *arena, int width);

/* All of it as an object. */
json_t *plan_json(const Plan *plan, Arena *arena);

#endif
