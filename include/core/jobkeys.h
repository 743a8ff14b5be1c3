/*
 * jobkeys.h - the one table of the keys of a job file.
 *
 * Name, type, default, range, place in the JobSpec and text of every key stand in one row.  The
 * parser, the reference of `pghaul help job`, the templates of `pghaul new`, `pghaul set` and the
 * suggestions for misspelt keys all read it.
 */
#ifndef CORE_JOBKEYS_H
#define CORE_JOBKEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "core/jobspec.h"

typedef enum KeyType {
    KEY_SECTION = 0, /* a mapping whose keys have rows of their own: batch */
    KEY_JOB_NAME,
    KEY_TABLE,
    KEY_CONNECTION,  /* connection string without a password */
    KEY_ASSIGNMENTS, /* column: SQL */
    KEY_SQL,
    KEY_PATH,    /* of a folder, absolute */
    KEY_ARCHIVE, /* a path, or a section of it */
    KEY_WINDOW,
    KEY_COLUMNS, /* one name or a list, as the next two */
    KEY_NAMES,
    KEY_RISKS, /* names out of `words` only */
    KEY_STANDBYS,
    KEY_CHOICE,   /* one of `words` */
    KEY_COUNT,    /* the last three: one of `words`, or a number in the range */
    KEY_DURATION, /* microseconds */
    KEY_SIZE,     /* bytes */
} KeyType;

typedef struct KeyWord {
    const char *word;
    int64_t value;
    const char *text; /* what it means, or NULL where the key's own text says enough */
} KeyWord;

#define JOBKEY_IN(kind) (1U << (unsigned int)(kind))

typedef struct JobKey {
    const char *path; /* "throttle.lag" */
    KeyType type;
    unsigned int kinds;   /* bits JOBKEY_IN() of the kinds that it belongs to; 0 = all of them */
    bool live;            /* may be changed while the job runs: `pghaul set` */
    const KeyWord *words; /* ends with a NULL word; NULL = none */
    const char *min;      /* of numbers, written as in a file: "5s" */
    const char *max;
    const char *fallback; /* default, written as in a file; NULL = see `absent` */
    const char *absent;   /* what holds when the key is not there and has no fallback */
    const char *example;  /* value for the template when there is no fallback */
    const char *text;     /* one line, no final period */
    size_t offset;        /* of the field in JobSpec */
    size_t size;          /* of that field, for numbers and choices */
} JobKey;

size_t jobkeys_count(void);
const JobKey *jobkeys_at(size_t index);

/* The row of this path, or NULL. */
const JobKey *jobkeys_find(const char *path);

/* The last part of the key's path: "lag" of "throttle.lag". */
const char *jobkeys_leaf(const JobKey *key);

/* True when `key` is a direct member of `section` ("" = top level). */
bool jobkeys_is_member(const JobKey *key, const char *section);

/* True when jobs of this kind may have the key. */
bool jobkeys_belongs(const JobKey *key, JobKind kind);

/* Append "copy, purge: " for a key of these kinds, with ", " and ": "; nothing for one of every
 * kind. */
void jobkeys_put_kinds(const JobKey *key, const char *separator, const char *end, StrBuf *out);

/*
 * The nearest known path for the unknown key `leaf` of `section`, also when it stands in another
 * section; NULL when nothing is near.
 */
const char *jobkeys_suggest(const char *section, const char *leaf);

/*
 * Read the value of a choice, count, duration or size.
 *
 * Units:   microseconds, bytes or rows; for words the constant of the field's enum.
 * Errors:  ERR_USER, without the key's name, with a hint of what is permitted.
 */
bool jobkeys_parse(const JobKey *key, const char *text, int64_t *value, Err *err)
    __attribute__((warn_unused_result));

/* Put a value that jobkeys_parse() gave into the key's field of the spec. */
void jobkeys_store(const JobKey *key, int64_t value, JobSpec *spec);

/* Append a regular expression for the form of the values, as PostgreSQL and POSIX read it; their
 * range is not in it. */
void jobkeys_pattern(const JobKey *key, StrBuf *out);

/* Append what values the key takes, on one line: "auto, 1..64". */
void jobkeys_values(const JobKey *key, StrBuf *out);

/* Append the reference of all keys for so many columns: side by side where 100 are there, else
 * below each other. */
void jobkeys_help(StrBuf *out, int columns);

#endif
