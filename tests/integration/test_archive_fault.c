/*
 * test_archive_fault.c - archive files under faults: each call that writing or settling makes
 * fails, is cut short, or is the last one of the program.
 *
 * What must hold after all of them: a frame of which the writer said that it is on disk is whole,
 * what is not whole is torn and never damage in the middle, and settling ends in a closed file.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "engine/archive_scan.h"
#include "harness/fault.h"
#include "harness/harness.h"
#include "harness/proc.h"

#define NAME   "audit-purge.r1.w0.t0.000001.zst"
#define FRAMES 3

/* One call of the program, in a folder of its own. */
typedef struct Steps {
    char *scratch;
    char folder[300];
    char log[300];
    int exit_code;
    char *printed;
    char *errors;
    bool happened; /* a fault */
    char *calls;   /* the log of the last call */
} Steps;

static void
steps_init(Steps *steps)
{
    *steps = (Steps){.scratch = harness_scratch_new()};
    (void)snprintf(steps->folder, sizeof(steps->folder), "%s/archive", steps->scratch);
    (void)snprintf(steps->log, sizeof(steps->log), "%s/log", steps->scratch);
}

static void
forget_output(Steps *steps)
{
    free(steps->printed);
    free(steps->errors);
    free(steps->calls);
}

static void
steps_free(Steps *steps)
{
    forget_output(steps);
    harness_scratch_remove(steps->scratch);
}

static void
run_steps(Steps *steps, const char *verb, const char *argument, const char *faults)
{
    forget_output(steps);
    FaultEnv env;
    fault_env_init(&env, steps->folder, faults, steps->log);
    char *program = fault_built_path("fault/archive_steps");
    const char *const argv[] = {program, verb, steps->folder, argument, NULL};
    Proc *proc = proc_start(&(ProcSpec){.argv = argv, .env = env.list});
    steps->exit_code = proc_finish(proc, HARNESS_TIMEOUT_US);
    steps->printed = proc_stdout(proc);
    steps->errors = proc_stderr(proc);
    steps->happened = fault_happened(&env);
    steps->calls = fault_log(&env);
    proc_free(proc);
    free(program);
    fault_env_free(&env);
}

static ArchiveVerdict
scan(const Steps *steps)
{
    ArchiveFolder folder;
    ArchiveReader *reader;
    Err err = ERR_INIT;
    cr_assert(archive_folder_open(steps->folder, &folder, &err), "%s", err.message);
    cr_assert(archive_reader_open(&folder, NAME, &reader, &err), "%s", err.message);
    cr_assert(archive_scan(reader, ARCHIVE_ROWS, NULL, NULL, &err), "%s", err.message);
    ArchiveVerdict verdict = *archive_verdict(reader);
    archive_reader_close(reader);
    archive_folder_close(&folder);
    return verdict;
}

static bool
exists(const Steps *steps, const char *name)
{
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", steps->folder, name);
    return access(path, F_OK) == 0;
}

/* Frames of which the program said that they are on disk. */
static int
frames_said(const Steps *steps)
{
    int frames = 0;
    for (const char *at = steps->printed; (at = strstr(at, "frame ")) != NULL; at++) {
        frames++;
    }
    return frames;
}

/* The calls that an undisturbed run makes: their names, and which one of its kind each is. */
typedef struct Calls {
    char name[32][16];
    int nth[32];
    int count;
} Calls;

static Calls
read_calls(const char *log)
{
    Calls calls = {.count = 0};
    for (const char *line = log; *line != '\0' && calls.count < 32;) {
        size_t len = strcspn(line, " ");
        cr_assert(lt(sz, len, sizeof(calls.name[0])));
        memcpy(calls.name[calls.count], line, len);
        calls.nth[calls.count] = (int)strtol(line + len, NULL, 10);
        calls.count++;
        line += strcspn(line, "\n") + 1;
    }
    return calls;
}

static const char *const EFFECTS[] = {
    "EIO", "ENOSPC", "short", "torn", "kill-before", "kill-after"};
#define EFFECT_COUNT (int)(sizeof(EFFECTS) / sizeof(EFFECTS[0]))

/* Text of the fault, false when a call of that kind cannot have it. */
static bool
fault_text(char *out, size_t size, const Calls *calls, int call, int effect)
{
    bool halves = strcmp(EFFECTS[effect], "short") == 0 || strcmp(EFFECTS[effect], "torn") == 0;
    (void)snprintf(out, size, "%s:%d:%s", calls->name[call], calls->nth[call], EFFECTS[effect]);
    return !halves || strcmp(calls->name[call], "write") == 0;
}

static bool
is_killed(const char *fault)
{
    return strstr(fault, "kill") != NULL || strstr(fault, "torn") != NULL;
}

/* Settle without faults: closed, with every frame that was whole before. */
static void
expect_settles(Steps *steps, const char *fault)
{
    ArchiveVerdict before = scan(steps);
    run_steps(steps, "settle", NAME, "");
    cr_assert(eq(int, steps->exit_code, 0), "%s: %s", fault, steps->errors);
    ArchiveVerdict after = scan(steps);
    cr_assert(eq(int, after.frames, before.frames), "%s", fault);
    bool empty = before.whole_bytes == 0;
    cr_assert(
        eq(int, (int)after.state, (int)(empty ? ARCHIVE_WHOLE : ARCHIVE_CLOSED)), "%s", fault);
}

static void
expect_append_survives(const char *fault)
{
    Steps steps;
    steps_init(&steps);
    run_steps(&steps, "append", "3", fault);
    cr_assert(steps.happened, "%s", fault);
    bool shortened = strstr(fault, "short") != NULL;
    int expected = shortened ? 0 : is_killed(fault) ? 128 + 9 : 1;
    cr_assert(eq(int, steps.exit_code, expected), "%s: %s", fault, steps.errors);
    cr_assert(strstr(steps.printed, "a failed writer was finished") == NULL);
    cr_assert(eq(int, strstr(steps.printed, "closed") != NULL, shortened));
    if (expected == 1) {
        const char *reason = strstr(fault, "EIO") != NULL ? "Input/output error" : "No space left";
        cr_assert(strstr(steps.errors, reason) != NULL, "%s: %s", fault, steps.errors);
    }
    int said = frames_said(&steps);
    if (exists(&steps, NAME)) {
        ArchiveVerdict verdict = scan(&steps);
        cr_assert(le(int, said, verdict.frames), "%s", fault);
        cr_assert(le(int, verdict.frames, said + 1), "%s", fault);
        cr_assert(ne(int, (int)verdict.state, (int)ARCHIVE_DAMAGED), "%s", fault);
        if (strstr(fault, "torn") != NULL) {
            cr_assert(eq(int, (int)verdict.state, (int)ARCHIVE_TORN), "%s", fault);
        }
        expect_settles(&steps, fault);
    } else {
        cr_assert(eq(int, said, 0), "%s", fault);
    }
    steps_free(&steps);
}

Test(archive_fault, writing_survives_a_fault_at_every_call)
{
    Steps steps;
    steps_init(&steps);
    run_steps(&steps, "append", "3", "");
    cr_assert(eq(int, steps.exit_code, 0), "%s", steps.errors);
    cr_assert_str_eq(steps.calls,
        "open 1 -\nfsync 1 -\n"
        "write 1 -\nfdatasync 1 -\nwrite 2 -\nfdatasync 2 -\n"
        "write 3 -\nfdatasync 3 -\nwrite 4 -\nfdatasync 4 -\nclose 1 -\n");
    Calls calls = read_calls(steps.calls);
    steps_free(&steps);
    for (int call = 0; call < calls.count; call++) {
        for (int effect = 0; effect < EFFECT_COUNT; effect++) {
            char fault[64];
            if (fault_text(fault, sizeof(fault), &calls, call, effect)) {
                expect_append_survives(fault);
            }
        }
    }
}

Test(archive_fault, a_full_disk_stays_full_and_the_file_keeps_what_it_has)
{
    Steps steps;
    steps_init(&steps);
    run_steps(&steps, "append", "9", "write:5:short,write:6+:ENOSPC");
    cr_assert(eq(int, steps.exit_code, 1));
    cr_assert(eq(int, frames_said(&steps), 4));
    ArchiveVerdict verdict = scan(&steps);
    cr_assert(eq(int, (int)verdict.state, (int)ARCHIVE_TORN));
    cr_assert(eq(int, verdict.frames, 4));
    expect_settles(&steps, "full disk");
    steps_free(&steps);
}

/* Make a file whose last frame is torn; returns the size of it. */
static int64_t
make_torn(Steps *steps)
{
    steps_init(steps);
    run_steps(steps, "append", "3", "write:3:torn");
    cr_assert(eq(int, steps->exit_code, 128 + 9));
    return scan(steps).file_bytes;
}

/* The torn bytes are in one of the copies, or still in the file. */
static void
expect_tail_kept(const Steps *steps, int64_t tail, int64_t whole, const char *fault)
{
    bool kept = scan(steps).file_bytes >= whole + tail;
    for (int i = 1; i < 4 && !kept; i++) {
        char path[400];
        char suffix[8] = "";
        if (i > 1) {
            (void)snprintf(suffix, sizeof(suffix), ".%d", i);
        }
        (void)snprintf(
            path, sizeof(path), "%s/" NAME ".torn-%ld%s", steps->folder, (long)whole, suffix);
        struct stat status;
        kept = stat(path, &status) == 0 && status.st_size == tail;
    }
    cr_assert(kept, "%s", fault);
}

Test(archive_fault, settling_survives_a_fault_at_every_call)
{
    Steps steps;
    int64_t bytes = make_torn(&steps);
    int64_t whole = scan(&steps).whole_bytes;
    int64_t tail = bytes - whole;
    cr_assert(lt(i64, 0, tail));
    run_steps(&steps, "settle", NAME, "");
    cr_assert_str_eq(steps.calls,
        "open 1 -\nopen 2 -\nfsync 1 -\nwrite 1 -\nfsync 2 -\nclose 1 -\n"
        "ftruncate 1 -\nfsync 3 -\nwrite 2 -\nfdatasync 1 -\nclose 2 -\n");
    Calls calls = read_calls(steps.calls);
    steps_free(&steps);
    for (int call = 0; call < calls.count; call++) {
        for (int effect = 0; effect < EFFECT_COUNT; effect++) {
            char fault[64];
            if (!fault_text(fault, sizeof(fault), &calls, call, effect)) {
                continue;
            }
            Steps again;
            (void)make_torn(&again);
            run_steps(&again, "settle", NAME, fault);
            cr_assert(again.happened, "%s", fault);
            cr_assert(eq(int, again.exit_code != 0, strstr(fault, "short") == NULL), "%s", fault);
            cr_assert(eq(int, scan(&again).frames, FRAMES - 1), "%s", fault);
            expect_tail_kept(&again, tail, whole, fault);
            expect_settles(&again, fault);
            expect_tail_kept(&again, tail, whole, fault);
            steps_free(&again);
        }
    }
}

Test(archive_fault, a_stopped_writer_goes_on_and_cannot_be_settled_meanwhile)
{
    Steps steps;
    steps_init(&steps);
    FaultEnv env;
    fault_env_init(&env, steps.folder, "write:2:stop-before", steps.log);
    char *program = fault_built_path("fault/archive_steps");
    const char *const argv[] = {program, "append", steps.folder, "3", NULL};
    Proc *proc = proc_start(&(ProcSpec){.argv = argv, .env = env.list});
    for (int64_t waited = 0; !fault_happened(&env); waited += 1000) {
        cr_assert(lt(i64, waited, HARNESS_TIMEOUT_US));
        harness_nap_us(1000);
    }
    const char *const settle[] = {program, "settle", steps.folder, NAME, NULL};
    Proc *other = proc_start(&(ProcSpec){.argv = settle});
    cr_assert(eq(int, proc_finish(other, HARNESS_TIMEOUT_US), 1));
    char *errors = proc_stderr(other);
    cr_assert(strstr(errors, "is still open for writing elsewhere") != NULL, "%s", errors);
    free(errors);
    proc_free(other);
    proc_signal(proc, SIGCONT);
    cr_assert(eq(int, proc_finish(proc, HARNESS_TIMEOUT_US), 0));
    proc_free(proc);
    ArchiveVerdict verdict = scan(&steps);
    cr_assert(eq(int, (int)verdict.state, (int)ARCHIVE_CLOSED));
    cr_assert(eq(int, verdict.frames, FRAMES));
    free(program);
    fault_env_free(&env);
    steps_free(&steps);
}
