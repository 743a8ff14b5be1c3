/*
 * err.h - one error value: what failed, what may be done about it, and where.
 *
 * A function that can fail returns bool and takes `Err *err` as its last argument.  On false it
 * has filled *err exactly once and has logged nothing; the caller that stops the error from
 * travelling further (a worker loop, the monitor loop, main) is the only place that logs it.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

/* What the caller may do about the failure; decided once, at the origin or by pg/sqlstate.c. */
typedef enum ErrClass {
    ERR_NONE = 0,
    ERR_RETRY,      /* transient, the same batch may succeed: 40001, 40P01, 55P03 */
    ERR_TIMEOUT,    /* 57014: our own timer or somebody's cancel: halve the batch */
    ERR_RECONNECT,  /* the session is gone; whether a COMMIT happened is unknown */
    ERR_SLOTS,      /* 53300: no connection to be had; one worker less */
    ERR_RESOURCE,   /* disk full, out of memory, read-only: pause until cleared */
    ERR_POISON,     /* a row that the server refuses: class 22, 23, P0001 */
    ERR_CORRUPT,    /* XX001, XX002: a row that cannot be read */
    ERR_STOPPED,    /* we were asked to stop; not a failure */
    ERR_DRIFT,      /* something under the job changed: trigger, column, table file */
    ERR_USER,       /* bad job file, option or expression; exit code 2 */
    ERR_CONNECT,    /* no connection to begin with; exit code 3 */
    ERR_REFUSED,    /* a fact about the server forbids it; exit code 4 */
    ERR_DIFFERENCE, /* verify found rows that differ; exit code 6 */
    ERR_BUSY,       /* somebody else holds it; exit code 8 */
    ERR_LIMIT,      /* a hard limit was hit; exit code 9 */
    ERR_FATAL,      /* everything else; exit code 1 */
} ErrClass;

typedef struct Err {
    ErrClass cls;
    char sqlstate[6];  /* "" when the error did not come from the server */
    char message[512]; /* lower-case sentence without a final period */
    char hint[512];    /* what helps, a sentence; "" when there is nothing to say */
    char excerpt[512]; /* the offending line of a job file and a caret below it; "" if none */
    char context[256]; /* outermost first: "range 3: batch 912: apply" */
    int position;      /* of a server error in the statement, in characters from 1; 0 = none */
    const char *file;  /* __FILE__ of the origin, static storage */
    int line;
} Err;

#define ERR_INIT ((Err){.cls = ERR_NONE})

/* Set *err and return false, so that call sites read `return err_set(...)`. */
#define err_set(err, cls, ...) err_set_at((err), (cls), __FILE__, __LINE__, __VA_ARGS__)

bool err_set_at(Err *err, ErrClass cls, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Add the hint to an error that is already set; returns false. */
bool err_hint(Err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put `fmt` in front of the context of an error that is already set; returns false. */
bool err_wrap(Err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The exit code of a process that ends with this error (design: command line). */
int err_exit_code(const Err *err);

#endif
