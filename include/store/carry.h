/*
 * carry.h - what a cutover did and how to take it back: pghaul.carry.
 *
 * Rows are written before the swap; they mean something while the job is cut_over, and after a
 * rollback until what it left to do is done.
 */
#ifndef STORE_CARRY_H
#define STORE_CARRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "core/sql_cutover.h"
#include "pg/conn.h"

typedef struct CarryRow {
    int no;
    const char *what;
    const char *undo;       /* NULL = nothing */
    const char *later;      /* NULL = nothing */
    const char *undo_later; /* NULL = nothing */
} CarryRow;

/* The two tables of the job, by the names that they have now, qualified and quoted. */
typedef struct CarryTables {
    uint32_t source_oid, into_oid;
    const char *source;
    const char *into;
} CarryTables;

/* ERR_DRIFT when one of them is gone; names live in `arena`. */
bool carry_tables(PgConn *conn, int64_t job, Arena *arena, CarryTables *tables, Err *err)
    __attribute__((warn_unused_result));

/* Replace the rows of the job by these steps, numbered from 1; in the caller's transaction. */
bool carry_record(PgConn *conn, int64_t job, const CutoverStep *steps, int count, Err *err)
    __attribute__((warn_unused_result));

typedef struct CarryList {
    CarryRow *rows;
    int count;
} CarryList;

/* Rows of the job in order, all of them or those that are not done; texts live in `arena`. */
bool carry_list(PgConn *conn, int64_t job, bool all, Arena *arena, CarryList *list, Err *err)
    __attribute__((warn_unused_result));

/* Nothing is left to do of the row. */
bool carry_done(PgConn *conn, int64_t job, int no, Err *err) __attribute__((warn_unused_result));

/* All rows count again: for a rollback. */
bool carry_reopen(PgConn *conn, int64_t job, Err *err) __attribute__((warn_unused_result));

bool carry_forget(PgConn *conn, int64_t job, Err *err) __attribute__((warn_unused_result));

#endif
