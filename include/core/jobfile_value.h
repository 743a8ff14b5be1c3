/*
 * jobfile_value.h - single values of a job file: text, names, SQL with its place.
 */
#ifndef CORE_JOBFILE_VALUE_H
#define CORE_JOBFILE_VALUE_H

#include "core/jobfile_tree.h"
#include "core/jobspec.h"

/* What every reader of a value needs. */
typedef struct JobReader {
    const JobText *text;
    Arena *arena; /* of the JobSpec */
    Err *err;
} JobReader;

/* Make an error at the node out of one that knows no place; "path: message".  Returns false. */
bool
jobvalue_fail(const JobReader *reader, const JobNode *node, const char *path, const Err *cause);

/* The text of a scalar that is not blank; `path` names the key in errors, as everywhere here. */
bool jobvalue_text(const JobReader *reader, const JobNode *node, const char *path,
    const char **text) __attribute__((warn_unused_result));

/* One name or a list of different names, each as the catalog spells it. */
bool jobvalue_names(const JobReader *reader, const JobNode *node, const char *path, NameList *names)
    __attribute__((warn_unused_result));

/*
 * SQL text without the blank lines before and the blanks behind it.
 *
 * Errors:  ERR_USER, also when YAML cut a plain scalar at " #" and took the rest for a comment.
 */
bool jobvalue_sql(const JobReader *reader, const JobNode *node, const char *path, RawSql *sql)
    __attribute__((warn_unused_result));

/* A window; in an error the caret stands where the text stops making sense, if one can count up to
 * there. */
bool jobvalue_window(const JobReader *reader, const JobNode *node, const char *path,
    WindowSpec *window) __attribute__((warn_unused_result));

#endif
