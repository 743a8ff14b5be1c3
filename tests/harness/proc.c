/*
 * proc.c - spawn programs and wait for them.
 *
 * Between fork and exec only system calls are made, since the harness may have threads.  All
 * descriptors above 2 are closed there: a server that inherited a pipe of the test runner would
 * keep the runner waiting for an end of file.
 */
#include "harness/proc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "harness/harness.h"

#define POLL_NAP_US    2000
#define MAX_GROUPS     64
#define EXIT_NO_EXEC   127
#define SIGNAL_TO_EXIT 128
#define TERMINAL_LINES 24

struct Proc {
    pid_t pid;
    bool has_ended;
    int status;    /* of waitpid(), when it has ended */
    int terminal;  /* our end of its terminal; -1 = none */
    char *scratch; /* folder of the files below that are ours; NULL when both are the caller's */
    char *out_path;
    char *err_path;
};

/* What the child needs, looked up before the fork. */
typedef struct Launch {
    const ProcSpec *spec;
    char **env;
    int out_fd;
    int err_fd;
    int in_fd;
    ServerUser user;
    gid_t groups[MAX_GROUPS];
    int group_count;
    pid_t parent;
} Launch;

ServerUser
server_user(void)
{
    if (geteuid() != 0) {
        return (ServerUser){.uid = geteuid(), .gid = getegid()};
    }
    struct passwd entry;
    struct passwd *found = NULL;
    char names[4096];
    if (getpwnam_r("postgres", &entry, names, sizeof(names), &found) != 0 || found == NULL) {
        harness_fail("we are root and there is no user postgres to run a server");
    }
    return (ServerUser){.uid = entry.pw_uid, .gid = entry.pw_gid, .is_other = true};
}

static bool
is_overridden(const char *entry, const char *const *extra)
{
    size_t name_len = strcspn(entry, "=") + 1;
    for (; extra != NULL && *extra != NULL; extra++) {
        if (strncmp(entry, *extra, name_len) == 0) {
            return true;
        }
    }
    return false;
}

/* libpq's variables of the person who runs the tests must not reach a program under test. */
static bool
is_libpq_variable(const char *entry)
{
    return strncmp(entry, "PG", 2) == 0 && strncmp(entry, "PGHAUL_", 7) != 0 &&
           strncmp(entry, "PG_BIN=", 7) != 0;
}

static char **
build_env(const char *const *extra)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    for (const char *const *entry = extra; entry != NULL && *entry != NULL; entry++) {
        count++;
    }
    char **env = mem_new((count + 1) * sizeof(*env));
    size_t used = 0;
    for (char **entry = environ; *entry != NULL; entry++) {
        if (!is_libpq_variable(*entry) && !is_overridden(*entry, extra)) {
            env[used++] = mem_strdup(*entry);
        }
    }
    for (const char *const *entry = extra; entry != NULL && *entry != NULL; entry++) {
        env[used++] = mem_strdup(*entry);
    }
    return env;
}

static void
free_env(char **env)
{
    for (char **entry = env; *entry != NULL; entry++) {
        free(*entry);
    }
    free(env);
}

static int
open_output(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
        harness_fail("cannot write %s: errno %d", path, errno);
    }
    return fd;
}

static bool
drop_to_server_user(const Launch *launch)
{
    return setgroups((size_t)launch->group_count, launch->groups) == 0 &&
           setresgid(launch->user.gid, launch->user.gid, launch->user.gid) == 0 &&
           setresuid(launch->user.uid, launch->user.uid, launch->user.uid) == 0;
}

/* In the child; never returns. */
static void
run_child(const Launch *launch)
{
    const ProcSpec *spec = launch->spec;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);

    bool ok = dup2(launch->in_fd, STDIN_FILENO) >= 0 && dup2(launch->out_fd, STDOUT_FILENO) >= 0 &&
              dup2(launch->err_fd, STDERR_FILENO) >= 0;
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    if (ok && spec->terminal_columns > 0) {
        ok = setsid() >= 0 && ioctl(STDIN_FILENO, TIOCSCTTY, 0) == 0;
    }
    if (ok && spec->as_server_user && launch->user.is_other) {
        ok = drop_to_server_user(launch);
    }
    if (ok && spec->cwd != NULL) {
        ok = chdir(spec->cwd) == 0;
    }
    /* After the change of user, which clears it; and the parent may be gone already. */
    int death_signal = spec->death_signal == 0 ? SIGKILL : spec->death_signal;
    ok = ok && prctl(PR_SET_PDEATHSIG, death_signal) == 0 && getppid() == launch->parent;
    if (ok) {
        /* The strings are only read; execve() has no const for historical reasons. */
        union {
            const char *const *readable;
            char *const *accepted;
        } argv = {.readable = spec->argv};
        (void)execve(spec->argv[0], argv.accepted, launch->env);
    }
    _exit(EXIT_NO_EXEC);
}

static void
look_up_groups(Launch *launch)
{
    launch->user = server_user();
    launch->group_count = MAX_GROUPS;
    if (getgrouplist("postgres", launch->user.gid, launch->groups, &launch->group_count) < 0) {
        harness_fail("user postgres has too many groups");
    }
}

static char *
own_file(Proc *proc, const char *name)
{
    if (proc->scratch == NULL) {
        proc->scratch = harness_scratch_new();
    }
    StrBuf path = STRBUF_INIT;
    strbuf_printf(&path, "%s/%s", proc->scratch, name);
    return path.text;
}

/* A new terminal; the program's end of it. */
static int
open_terminal(Proc *proc, int columns)
{
    char name[64];
    const struct winsize size = {.ws_row = TERMINAL_LINES, .ws_col = (unsigned short)columns};
    proc->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (proc->terminal < 0 || grantpt(proc->terminal) != 0 || unlockpt(proc->terminal) != 0 ||
        ptsname_r(proc->terminal, name, sizeof(name)) != 0 ||
        ioctl(proc->terminal, TIOCSWINSZ, &size) != 0) {
        harness_fail("cannot make a terminal: errno %d", errno);
    }
    int fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        harness_fail("cannot open terminal %s: errno %d", name, errno);
    }
    return fd;
}

static void
open_streams(Proc *proc, Launch *launch)
{
    proc->terminal = -1;
    if (launch->spec->terminal_columns > 0) {
        launch->in_fd = open_terminal(proc, launch->spec->terminal_columns);
        launch->out_fd = dup(launch->in_fd);
        launch->err_fd = dup(launch->in_fd);
    } else {
        launch->in_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        launch->out_fd = open_output(proc->out_path);
        launch->err_fd = open_output(proc->err_path);
    }
}

/* A terminal holds a page or so: what came there goes to the file of standard output. */
static void
drain_terminal(const Proc *proc)
{
    char bytes[4096];
    ssize_t count = 0;
    while (proc->terminal >= 0 && (count = read(proc->terminal, bytes, sizeof(bytes))) > 0) {
        int fd = open_output(proc->out_path);
        if (write(fd, bytes, (size_t)count) != count) {
            harness_fail("cannot write %s: errno %d", proc->out_path, errno);
        }
        (void)close(fd);
    }
}

Proc *
proc_start(const ProcSpec *spec)
{
    Proc *proc = mem_new(sizeof(*proc));
    proc->out_path = spec->out_path != NULL ? mem_strdup(spec->out_path) : own_file(proc, "stdout");
    proc->err_path = spec->err_path != NULL ? mem_strdup(spec->err_path) : own_file(proc, "stderr");

    Launch launch = {
        .spec = spec,
        .env = build_env(spec->env),
        .parent = getpid(),
    };
    open_streams(proc, &launch);
    if (spec->as_server_user) {
        look_up_groups(&launch);
    }
    proc->pid = fork();
    if (proc->pid == 0) {
        run_child(&launch);
    }
    if (proc->pid < 0) {
        harness_fail("cannot fork: errno %d", errno);
    }
    (void)close(launch.out_fd);
    (void)close(launch.err_fd);
    (void)close(launch.in_fd);
    free_env(launch.env);
    return proc;
}

Proc *
proc_start_pghaul(const char *const *args)
{
    size_t count = 0;
    while (args[count] != NULL) {
        count++;
    }
    const char **argv = mem_new((count + 2) * sizeof(*argv));
    argv[0] = harness_env("PGHAUL_BIN", "build/release/pghaul");
    for (size_t i = 0; i < count; i++) {
        argv[i + 1] = args[i];
    }
    Proc *proc = proc_start(&(ProcSpec){.argv = argv});
    free(argv);
    return proc;
}

static bool
has_ended(Proc *proc)
{
    drain_terminal(proc);
    if (!proc->has_ended && waitpid(proc->pid, &proc->status, WNOHANG) == proc->pid) {
        proc->has_ended = true;
    }
    return proc->has_ended;
}

bool
proc_wait(Proc *proc, int64_t timeout_us)
{
    int64_t deadline_us = clock_mono_us() + timeout_us;
    while (!has_ended(proc)) {
        if (clock_mono_us() >= deadline_us) {
            return false;
        }
        harness_nap_us(POLL_NAP_US);
    }
    return true;
}

int
proc_finish(Proc *proc, int64_t timeout_us)
{
    if (!proc_wait(proc, timeout_us)) {
        char *out = proc_stdout(proc);
        char *err = proc_stderr(proc);
        harness_fail("the program did not end in time; it printed:\n%s\n%s", out, err);
    }
    return proc_exit_code(proc);
}

int
proc_exit_code(const Proc *proc)
{
    assert(proc->has_ended);
    return WIFSIGNALED(proc->status) ? SIGNAL_TO_EXIT + WTERMSIG(proc->status)
                                     : WEXITSTATUS(proc->status);
}

bool
proc_dumped_core(const Proc *proc)
{
    assert(proc->has_ended);
    return WIFSIGNALED(proc->status) && WCOREDUMP(proc->status);
}

void
proc_signal(Proc *proc, int signo)
{
    if (!has_ended(proc)) {
        (void)kill(proc->pid, signo);
    }
}

void
proc_type(Proc *proc, const char *keys)
{
    ssize_t len = (ssize_t)strlen(keys);
    if (write(proc->terminal, keys, (size_t)len) != len) {
        harness_fail("cannot type: errno %d", errno);
    }
}

pid_t
proc_pid(const Proc *proc)
{
    return proc->pid;
}

char *
proc_stdout(const Proc *proc)
{
    drain_terminal(proc);
    return harness_read_file(proc->out_path);
}

char *
proc_stderr(const Proc *proc)
{
    return harness_read_file(proc->err_path);
}

static bool
output_contains(const Proc *proc, const char *text)
{
    char *out = proc_stdout(proc);
    char *err = proc_stderr(proc);
    bool found = strstr(out, text) != NULL || strstr(err, text) != NULL;
    free(out);
    free(err);
    return found;
}

bool
proc_wait_output(Proc *proc, const char *text, int64_t timeout_us)
{
    int64_t deadline_us = clock_mono_us() + timeout_us;
    for (;;) {
        bool was_running = !has_ended(proc); /* asked first: its last words count */
        if (output_contains(proc, text)) {
            return true;
        }
        if (!was_running || clock_mono_us() >= deadline_us) {
            return false;
        }
        harness_nap_us(POLL_NAP_US);
    }
}

void
proc_free(Proc *proc)
{
    if (proc == NULL) {
        return;
    }
    proc_signal(proc, SIGKILL);
    if (!proc->has_ended) {
        (void)waitpid(proc->pid, &proc->status, 0);
    }
    if (proc->terminal >= 0) {
        (void)close(proc->terminal);
    }
    if (proc->scratch != NULL) {
        harness_scratch_remove(proc->scratch);
    }
    free(proc->out_path);
    free(proc->err_path);
    free(proc);
}

void
proc_run(const ProcSpec *spec, int64_t timeout_us)
{
    Proc *proc = proc_start(spec);
    int code = proc_finish(proc, timeout_us);
    if (code != 0) {
        char *out = proc_stdout(proc);
        char *err = proc_stderr(proc);
        harness_fail("%s ended with exit code %d:\n%s\n%s", spec->argv[0], code, out, err);
    }
    proc_free(proc);
}
