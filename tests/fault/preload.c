/*
 * preload.c - calls of the file system that fail on demand, for LD_PRELOAD.
 *
 * Only files below one folder count; everything else is passed on untouched.  What is to happen
 * stands in the environment, see tests/README.md; tests/harness/fault.h sets it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FAULTS_MAX 16

typedef enum Call {
    CALL_OPEN, /* for writing; also creates */
    CALL_WRITE,
    CALL_FDATASYNC,
    CALL_FSYNC,
    CALL_FTRUNCATE,
    CALL_CLOSE,
    CALL_COUNT,
} Call;

static const char *const CALL_NAMES[] = {
    "open", "write", "fdatasync", "fsync", "ftruncate", "close"};

typedef enum Effect {
    EFFECT_NONE,
    EFFECT_EIO,
    EFFECT_ENOSPC,
    EFFECT_SHORT,       /* write half, and say so */
    EFFECT_TORN,        /* write half, then SIGKILL */
    EFFECT_KILL_BEFORE, /* SIGKILL instead of the call */
    EFFECT_KILL_AFTER,
    EFFECT_STOP_BEFORE, /* SIGSTOP; the call is made after SIGCONT */
    EFFECT_STOP_AFTER,
    EFFECT_COUNT,
} Effect;

static const char *const EFFECT_NAMES[] = {"-", "EIO", "ENOSPC", "short", "torn", "kill-before",
    "kill-after", "stop-before", "stop-after"};

typedef struct Fault {
    Call call;
    long nth;
    bool and_later;
    Effect effect;
} Fault;

/* Set once, before main(). */
static struct {
    char folder[PATH_MAX];
    size_t folder_len; /* 0 = nothing is to happen */
    int log;           /* -1 = none */
    Fault faults[FAULTS_MAX];
    int count;
    int (*open)(const char *, int, ...);
    int (*openat)(int, const char *, int, ...);
    ssize_t (*write)(int, const void *, size_t);
    ssize_t (*writev)(int, const struct iovec *, int);
    int (*fdatasync)(int);
    int (*fsync)(int);
    int (*ftruncate)(int, off_t);
    int (*close)(int);
} real;

static atomic_long calls[CALL_COUNT];

static int
index_of(const char *const *names, int count, const char *name, size_t len)
{
    for (int i = 0; i < count; i++) {
        if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0) {
            return i;
        }
    }
    (void)fprintf(stderr, "PGHAUL_FAULT: unknown word in it\n");
    abort();
}

/* "write:3:EIO,fsync:1+:kill-before" */
static void
parse_faults(const char *text)
{
    while (*text != '\0' && real.count < FAULTS_MAX) {
        Fault *fault = &real.faults[real.count++];
        size_t len = strcspn(text, ":");
        fault->call = (Call)index_of(CALL_NAMES, CALL_COUNT, text, len);
        char *end;
        fault->nth = strtol(text + len + 1, &end, 10);
        fault->and_later = *end == '+';
        text = end + (fault->and_later ? 2 : 1);
        len = strcspn(text, ",");
        fault->effect = (Effect)index_of(EFFECT_NAMES, EFFECT_COUNT, text, len);
        text += text[len] == ',' ? len + 1 : len;
    }
}

/* A function pointer out of dlsym()'s object pointer, in the way that POSIX asks for. */
#define LOAD(name) (*(void **)&real.name = dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void
set_up(void)
{
    LOAD(open);
    LOAD(openat);
    LOAD(write);
    LOAD(writev);
    LOAD(fdatasync);
    LOAD(fsync);
    LOAD(ftruncate);
    LOAD(close);
    real.log = -1;
    /* NOLINTBEGIN(concurrency-mt-unsafe): before any thread */
    const char *folder = getenv("PGHAUL_FAULT_FOLDER");
    const char *faults = getenv("PGHAUL_FAULT");
    const char *log = getenv("PGHAUL_FAULT_LOG");
    /* NOLINTEND(concurrency-mt-unsafe) */
    if (folder == NULL) {
        return;
    }
    (void)snprintf(real.folder, sizeof(real.folder), "%s", folder);
    real.folder_len = strlen(real.folder);
    parse_faults(faults == NULL ? "" : faults);
    if (log != NULL) {
        real.log = real.open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }
}

static bool
is_below(const char *path)
{
    return strncmp(path, real.folder, real.folder_len) == 0 &&
           (path[real.folder_len] == '/' || path[real.folder_len] == '\0');
}

static bool
fd_counts(int fd)
{
    if (real.folder_len == 0) {
        return false;
    }
    char link[64];
    char path[PATH_MAX];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    path[len < 0 ? 0 : len] = '\0';
    return is_below(path);
}

static bool
open_counts(int folder, const char *path, int flags)
{
    if (real.folder_len == 0 || (flags & O_ACCMODE) == O_RDONLY) {
        return false;
    }
    return path[0] == '/' || folder == AT_FDCWD ? is_below(path) : fd_counts(folder);
}

/* Count the call, note it down, and say what is to happen.  Keeps errno. */
static Effect
next_effect(Call call)
{
    int error = errno;
    long nth = atomic_fetch_add(&calls[call], 1) + 1;
    Effect effect = EFFECT_NONE;
    for (int i = 0; i < real.count; i++) {
        const Fault *fault = &real.faults[i];
        if (fault->call == call && (nth == fault->nth || (fault->and_later && nth > fault->nth))) {
            effect = fault->effect;
        }
    }
    if (real.log >= 0) {
        char line[80];
        int len = snprintf(
            line, sizeof(line), "%s %ld %s\n", CALL_NAMES[call], nth, EFFECT_NAMES[effect]);
        (void)real.write(real.log, line, (size_t)len);
    }
    errno = error;
    return effect;
}

/* What happens instead of the call or before it; false: the call fails, errno is set. */
static bool
before(Effect effect)
{
    if (effect == EFFECT_KILL_BEFORE) {
        (void)kill(getpid(), SIGKILL);
    }
    if (effect == EFFECT_STOP_BEFORE) {
        (void)kill(getpid(), SIGSTOP);
    }
    if (effect == EFFECT_EIO || effect == EFFECT_ENOSPC) {
        errno = effect == EFFECT_EIO ? EIO : ENOSPC;
        return false;
    }
    return true;
}

static void
after(Effect effect)
{
    int error = errno;
    if (effect == EFFECT_KILL_AFTER || effect == EFFECT_TORN) {
        (void)kill(getpid(), SIGKILL);
    }
    if (effect == EFFECT_STOP_AFTER) {
        (void)kill(getpid(), SIGSTOP);
    }
    errno = error;
}

/* ---- the calls ---- */

/* The system's headers name parameters in their own way. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

static int
do_openat(int folder, const char *path, int flags, mode_t mode)
{
    if (!open_counts(folder, path, flags)) {
        return real.openat(folder, path, flags, mode);
    }
    Effect effect = next_effect(CALL_OPEN);
    if (!before(effect)) {
        return -1;
    }
    int fd = real.openat(folder, path, flags, mode);
    after(effect);
    return fd;
}

/* The mode, when the flags say that there is one. */
#define GET_MODE(mode, flags)                                                                      \
    mode_t mode = 0;                                                                               \
    if (((flags)&O_CREAT) != 0) {                                                                  \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        (mode) = va_arg(args, mode_t);                                                             \
        va_end(args);                                                                              \
    }

int
openat(int folder, const char *path, int flags, ...)
{
    GET_MODE(mode, flags)
    return do_openat(folder, path, flags, mode);
}

int
open(const char *path, int flags, ...)
{
    GET_MODE(mode, flags)
    return do_openat(AT_FDCWD, path, flags, mode);
}

static size_t
half_of(Effect effect, size_t len)
{
    return effect == EFFECT_SHORT || effect == EFFECT_TORN ? (len + 1) / 2 : len;
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
    if (!fd_counts(fd)) {
        return real.write(fd, bytes, len);
    }
    Effect effect = next_effect(CALL_WRITE);
    if (!before(effect)) {
        return -1;
    }
    ssize_t written = real.write(fd, bytes, half_of(effect, len));
    after(effect);
    return written;
}

/* Half of what the parts hold together, joined. */
static ssize_t
write_half(int fd, const struct iovec *parts, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        total += parts[i].iov_len;
    }
    char *joined = malloc(total + 1);
    size_t at = 0;
    for (int i = 0; i < count && joined != NULL; i++) {
        memcpy(joined + at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    ssize_t written = real.write(fd, joined, half_of(EFFECT_SHORT, at));
    free(joined);
    return written;
}

ssize_t
writev(int fd, const struct iovec *parts, int count)
{
    if (!fd_counts(fd)) {
        return real.writev(fd, parts, count);
    }
    Effect effect = next_effect(CALL_WRITE);
    if (!before(effect)) {
        return -1;
    }
    bool whole = effect != EFFECT_SHORT && effect != EFFECT_TORN;
    ssize_t written = whole ? real.writev(fd, parts, count) : write_half(fd, parts, count);
    after(effect);
    return written;
}

static int
sync_with(Call call, int (*sync)(int), int fd)
{
    if (!fd_counts(fd)) {
        return sync(fd);
    }
    Effect effect = next_effect(call);
    if (!before(effect)) {
        return -1;
    }
    int result = sync(fd);
    after(effect);
    return result;
}

int
fdatasync(int fd)
{
    return sync_with(CALL_FDATASYNC, real.fdatasync, fd);
}

int
fsync(int fd)
{
    return sync_with(CALL_FSYNC, real.fsync, fd);
}

int
ftruncate(int fd, off_t len)
{
    if (!fd_counts(fd)) {
        return real.ftruncate(fd, len);
    }
    Effect effect = next_effect(CALL_FTRUNCATE);
    if (!before(effect)) {
        return -1;
    }
    int result = real.ftruncate(fd, len);
    after(effect);
    return result;
}

/* Only what was open for writing counts; a close that fails has closed nevertheless. */
int
close(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || !fd_counts(fd)) {
        return real.close(fd);
    }
    Effect effect = next_effect(CALL_CLOSE);
    bool good = before(effect);
    int error = errno;
    int result = real.close(fd);
    after(effect);
    if (!good) {
        errno = error;
        return -1;
    }
    return result;
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
