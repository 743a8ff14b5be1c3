/*
 * test_archive_disk.c - the disk of the archive fails, fills up or hangs: rows stay in the table
 * until they are safe in a file, the next run puts all right, and the application does not notice.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "cli/archive_case.h"
#include "harness/fault.h"
#include "harness/harness.h"

#define ROWS  3000
#define BATCH "workers: 1\nbatch: {rows: 100}\n"

/* The address sanitizer wants to be loaded before any other library. */
#ifdef __SANITIZE_ADDRESS__
#define NO_PRELOAD true
#else
#define NO_PRELOAD false
#endif

typedef struct FaultRun {
    FaultEnv env;
    Proc *proc;
} FaultRun;

static FaultRun
start_with(const ArchiveCase *c, const char *faults)
{
    FaultRun run;
    STRBUF_AUTO log = STRBUF_INIT;
    strbuf_printf(&log, "%s/calls", c->test.folder);
    fault_env_init(&run.env, c->archive, faults, strbuf_text(&log));
    const char *argv[] = {harness_env("PGHAUL_BIN", "build/release/pghaul"), "run", c->test.path,
        "-d", c->test.uri, "--yes", NULL};
    run.proc = proc_start(&(ProcSpec){.argv = argv, .env = run.env.list});
    return run;
}

typedef struct FaultCase {
    const char *faults;
    int code;
    const char *words;
} FaultCase;

static const FaultCase FAULTS[] = {
    {"open:1:ENOSPC", 1, "No space left on device"},
    {"fsync:1:EIO", 1, "Input/output error"},
    {"write:1:ENOSPC", 1, "No space left on device"},
    {"write:4:EIO", 1, "write of archive file"},
    {"write:4:short", 0, ""},
    {"fdatasync:1:EIO", 1, "fdatasync of archive file"},
    {"fdatasync:5:ENOSPC", 1, "No space left on device"},
    {"write:5:short,write:6:ENOSPC", 1, "No space left on device"},
    {"close:1:EIO", 0, "is left open, the next run closes it"},
    {"write:3:torn", 128 + SIGKILL, ""},
    {"write:3:kill-before", 128 + SIGKILL, ""},
    {"write:3:kill-after", 128 + SIGKILL, ""},
    {"fdatasync:1:kill-before", 128 + SIGKILL, ""},
    {"fdatasync:6:kill-after", 128 + SIGKILL, ""},
};

static void
expect_fault(ArchiveCase *c, const FaultCase *fault)
{
    archive_case_fill(c, ROWS);
    FaultRun run = start_with(c, fault->faults);
    int code = proc_finish(run.proc, HARNESS_TIMEOUT_US);
    char *printed = proc_stderr(run.proc);
    cr_expect(fault_happened(&run.env), "%s", fault->faults);
    cr_expect(eq(int, fault->code, code), "%s:\n%s", fault->faults, printed);
    cr_expect(ne(ptr, strstr(printed, fault->words), NULL), "%s:\n%s", fault->faults, printed);
    free(printed);
    proc_free(run.proc);
    fault_env_free(&run.env);
    archive_case_check(c, code == 0, fault->faults);
    job_expect_run(&c->test, 0);
    archive_case_check(c, true, fault->faults);
    cr_expect(eq(i64, 0, archive_case_open_files(c)), "%s", fault->faults);
}

Test(archive_disk, no_failure_of_a_write_or_sync_loses_a_row, .disabled = NO_PRELOAD)
{
    ArchiveCase c;
    archive_case_open(&c, cluster_shared(), BATCH);
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        expect_fault(&c, &FAULTS[i]);
    }
    cr_expect(lt(i64, 0,
        pg_int(c.test.conn, "SELECT count(*) FROM pghaul.archive_frame"
                            " WHERE fate = 'void'")));
    archive_case_close(&c);
}

/* ---- a mover that hangs ---- */

static void
wait_for_fault(const FaultRun *run)
{
    for (int i = 0; !fault_happened(&run->env); i++) {
        cr_assert(lt(int, i, 6000), "no fault");
        harness_nap_us(10000);
    }
}

static const char *const STOPS[] = {"write:5:stop-before", "write:5:stop-after",
    "fdatasync:5:stop-before", "fdatasync:5:stop-after"};

Test(archive_disk, nobody_waits_for_a_mover_that_hangs_in_a_frame, .disabled = NO_PRELOAD)
{
    ArchiveCase c;
    archive_case_open(&c, cluster_shared(), BATCH);
    for (size_t i = 0; i < sizeof(STOPS) / sizeof(STOPS[0]); i++) {
        archive_case_fill(&c, ROWS);
        FaultRun run = start_with(&c, STOPS[i]);
        wait_for_fault(&run);
        pg_exec(c.test.conn, "BEGIN; SET LOCAL lock_timeout = '100ms';"
                             "SELECT FROM item FOR UPDATE; LOCK TABLE item; COMMIT");
        cr_expect(eq(i64, 0,
                      pg_int(c.test.conn, "SELECT count(*) FROM pg_stat_activity WHERE"
                                          " application_name LIKE 'pghaul/%/w%' AND"
                                          " datname = current_database() AND"
                                          " (backend_xmin IS NOT NULL OR state <> 'idle')")),
            "%s: nor does it hold a snapshot", STOPS[i]);
        proc_signal(run.proc, SIGCONT);
        job_expect_exit(run.proc, 0);
        fault_env_free(&run.env);
        archive_case_check(&c, true, STOPS[i]);
    }
    archive_case_close(&c);
}

Test(archive_disk, a_run_that_only_seems_dead_keeps_its_file, .disabled = NO_PRELOAD)
{
    ArchiveCase c;
    archive_case_open(&c, cluster_shared(), BATCH);
    archive_case_fill(&c, ROWS);
    FaultRun run = start_with(&c, "write:5:stop-after");
    wait_for_fault(&run);
    char *out = job_verb_output(&c.test, "run", (const char *const[]){"--yes", NULL}, 8);
    cr_expect(ne(ptr, strstr(out, "at work"), NULL), "%s", out);
    free(out);
    pg_exec(c.test.conn, "UPDATE pghaul.run SET heartbeat = heartbeat - interval '1 hour'");
    out = job_verb_output(&c.test, "run", (const char *const[]){"--yes", NULL}, 8);
    cr_expect(ne(ptr, strstr(out, "still open for writing elsewhere"), NULL), "%s", out);
    free(out);
    proc_signal(run.proc, SIGKILL);
    (void)proc_finish(run.proc, HARNESS_TIMEOUT_US);
    proc_free(run.proc);
    fault_env_free(&run.env);
    job_expect_run(&c.test, 0);
    archive_case_check(&c, true, "after all");
    archive_case_close(&c);
}

/* ---- a disk that is full ---- */

Test(archive_disk, a_full_disk_ends_the_run_and_a_larger_one_lets_it_go_on)
{
    ArchiveCase c;
    archive_case_open(&c, cluster_shared(), "workers: 2\nbatch: {rows: 200}\n");
    archive_case_fill(&c, (int64_t)8 * ROWS);
    STRBUF_AUTO place = STRBUF_INIT;
    strbuf_printf(&place, "%s/disk", c.test.folder);
    cr_assert(eq(int, 0, mkdir(strbuf_text(&place), 0700)));
    if (mount("none", strbuf_text(&place), "tmpfs", 0, "size=200k,mode=700") != 0) {
        cr_log_warn("not tested: no tmpfs may be mounted here; the faults above stand for it");
        archive_case_close(&c);
        cr_skip_test("no tmpfs");
    }
    free(c.archive);
    StrBuf archive = STRBUF_INIT;
    strbuf_printf(&archive, "%s/archive", strbuf_text(&place));
    c.archive = archive.text;
    archive_case_write_job(&c, "workers: 2\nbatch: {rows: 200}\n");
    char *out = job_verb_output(&c.test, "run", (const char *const[]){"--yes", NULL}, 1);
    cr_expect(ne(ptr, strstr(out, "No space left on device"), NULL), "%s", out);
    free(out);
    archive_case_check(&c, false, "full");
    cr_expect(lt(i64, 0, pg_int(c.test.conn, "SELECT count(*) FROM item")));
    cr_assert(eq(int, 0, mount("none", strbuf_text(&place), "tmpfs", MS_REMOUNT, "size=64m")));
    job_expect_run(&c.test, 0);
    archive_case_check(&c, true, "larger");
    cr_expect(eq(i64, 0, archive_case_open_files(&c)));
    cr_expect(eq(int, 0, umount(strbuf_text(&place))));
    archive_case_close(&c);
}
