/*
 * exits.h - the one table of exit codes; help, man page and README say the same.
 *
 * What fails with which code is decided by err_exit_code() and by the verbs.
 */
#ifndef APP_EXITS_H
#define APP_EXITS_H

#include <stddef.h>

typedef struct ExitCode {
    int code;
    const char *text; /* no final period */
} ExitCode;

size_t exit_code_count(void);
const ExitCode *exit_code_at(size_t index);

#endif
