/*
 * fault.h - programs whose file system calls below one folder fail, stop or kill them.
 *
 * A fault is "CALL:N:EFFECT": what happens at the N-th such call on files below the folder, of all
 * threads together; with "N+" also at each later one.  Several are separated by commas.
 *
 *   CALL    open (for writing), write (and writev), fdatasync, fsync, ftruncate, close
 *   EFFECT  EIO, ENOSPC          it fails
 *           short, torn          half is written; then it says so, or the program is killed
 *           kill-before, -after  SIGKILL; before: the call is not made
 *           stop-before, -after  SIGSTOP; goes on with SIGCONT
 */
#ifndef HARNESS_FAULT_H
#define HARNESS_FAULT_H

#include <stdbool.h>

/* Environment of a program under faults, for ProcSpec.env; the log has one line for each call that
 * was counted: "write 3 EIO", or "-" when nothing happened to it. */
typedef struct FaultEnv {
    char *text[4];
    const char *list[5]; /* NULL-ended */
    char *log_path;
} FaultEnv;

/* `folder` is an absolute path without links, which need not exist; `faults` may be "": then calls
 * are only counted.  The log is a file of its own, truncated here. */
void fault_env_init(FaultEnv *env, const char *folder, const char *faults, const char *log_path);
void fault_env_free(FaultEnv *env);

/* The log so far; returns owned. */
char *fault_log(const FaultEnv *env);

/* Did one of the faults happen? */
bool fault_happened(const FaultEnv *env);

/* Path of a file that is built beside the binary under test: "fault/preload.so"; returns owned. */
char *fault_built_path(const char *name);

#endif
