/*
 * jobfile.h - from the bytes of a job file to a JobSpec, with errors that point to the place.
 *
 * Pure: no file is opened here.  YAML (and so JSON) is read with libyaml's event parser.  One
 * table of keys, core/jobkeys.c, says name, type, unit, default, range and text of every key; the
 * parser, `pghaul help job`, the templates of `pghaul new` and the docs check all read it.
 */
#ifndef CORE_JOBFILE_H
#define CORE_JOBFILE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "core/jobspec.h"

/*
 * Parse `len` bytes of `source`; `file` names it in messages.
 *
 * Errors:  ERR_USER; message "FILE:LINE:COLUMN: what is wrong", excerpt with the line and a caret,
 *          hint with the nearest key name or the permitted values.
 * Owner:   everything in *spec lives in `arena`, also copies of `file` and `source`.
 */
bool jobfile_parse(const char *file, const char *source, size_t len, Arena *arena, JobSpec *spec,
    Err *err) __attribute__((warn_unused_result));

/* What the job file says at this path ("throttle.lag"), as written; NULL when it does not say it.
 */
const char *jobfile_written(const JobSpec *spec, const char *path, Arena *arena);

/*
 * Make an ERR_USER about SQL of the user's that the server refused.
 *
 * Shape:   `offset` in characters from 0 into sql->text, or -1 when the server named no position.
 */
bool jobfile_sql_error(
    const JobSpec *spec, const RawSql *sql, int offset, const char *message, Err *err);

/* Append the commented template of `pghaul new KIND [table]`. */
void jobfile_template(StrBuf *out, JobKind kind, const char *table);

#endif
