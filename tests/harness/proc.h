/*
 * proc.h - run a real program: spawn, wait with a deadline, signal by pid, read what it printed.
 *
 * Standard input is /dev/null, or the terminal of a program that gets one.  A child never outlives
 * the process that started it: the kernel signals it when the thread that called proc_start() ends,
 * so call it from the main thread.
 */
#ifndef HARNESS_PROC_H
#define HARNESS_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Proc Proc;

typedef struct ProcSpec {
    const char *const *argv; /* argv[0] is a path; NULL at the end */
    const char *const *env;  /* "NAME=value" on top of ours without PG*; NULL-ended, or NULL */
    const char *cwd;         /* NULL: ours */
    const char *out_path;    /* appended to; NULL: a file of its own, see proc_stdout() */
    const char *err_path;    /* the same for standard error */
    int terminal_columns;    /* not 0: all three streams are a terminal of 24 lines, so wide */
    bool as_server_user;     /* when we are root: as user postgres */
    int death_signal;        /* what it gets when we die; 0: SIGKILL */
} ProcSpec;

/* Start the program; returns owned, see proc_free(). */
Proc *proc_start(const ProcSpec *spec);

/* Start the pghaul binary (PGHAUL_BIN) with arguments; `args` is NULL-ended, without argv[0]. */
Proc *proc_start_pghaul(const char *const *args);

/* True when it has ended within the time. */
bool proc_wait(Proc *proc, int64_t timeout_us);

/* Wait, fail the test when it does not end in time, and return the exit code. */
int proc_finish(Proc *proc, int64_t timeout_us);

/* Exit code of an ended program; 128 + signal number when a signal ended it. */
int proc_exit_code(const Proc *proc);

/* Did an ended program leave a core dump, wherever the kernel puts it? */
bool proc_dumped_core(const Proc *proc);

/* Send a signal unless it has ended (SIGKILL, SIGSTOP, SIGCONT, SIGTERM, ...). */
void proc_signal(Proc *proc, int signo);

/* Type on its terminal; "\003" is Ctrl-C. */
void proc_type(Proc *proc, const char *keys);

pid_t proc_pid(const Proc *proc);

/* What it has printed so far; returns owned.  On a terminal all of it, with what was typed, is
 * standard output, and lines end with "\r\n". */
char *proc_stdout(const Proc *proc);
char *proc_stderr(const Proc *proc);

/* Wait until its output (either stream) contains `text`; false when time or the program ends. */
bool proc_wait_output(Proc *proc, const char *text, int64_t timeout_us);

/* Kill it if it still runs, reap it, remove its files; NULL is fine. */
void proc_free(Proc *proc);

/* Run a program to its end; fails the test, with its output, unless it exits with 0. */
void proc_run(const ProcSpec *spec, int64_t timeout_us);

/* The user that runs the servers: postgres when we are root, else ourselves. */
typedef struct ServerUser {
    uid_t uid;
    gid_t gid;
    bool is_other; /* not ourselves: drop to it */
} ServerUser;

ServerUser server_user(void);

#endif
