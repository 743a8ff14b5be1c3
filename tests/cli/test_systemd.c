/*
 * test_systemd.c - the units of scripts/systemd, as systemd reads them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/harness.h"

#define INSTALLED "/usr/local/bin/pghaul"

/* A copy of the unit in the folder, under the name of an instance, with the binary of this build.
 */
static void
copy_unit(const char *folder, const char *suffix)
{
    char from[128];
    char to[PATH_MAX];
    char binary[PATH_MAX];
    (void)snprintf(from, sizeof(from), "scripts/systemd/pghaul@.%s", suffix);
    (void)snprintf(to, sizeof(to), "%s/pghaul@night.%s", folder, suffix);
    cr_assert(realpath(harness_env("PGHAUL_BIN", "build/release/pghaul"), binary) != NULL);
    char *unit = harness_read_file(from);
    char *at = strstr(unit, INSTALLED);
    STRBUF_AUTO text = STRBUF_INIT;
    if (at == NULL) {
        strbuf_puts(&text, unit);
    } else {
        strbuf_put(&text, unit, (size_t)(at - unit));
        strbuf_puts(&text, binary);
        strbuf_puts(&text, at + strlen(INSTALLED));
    }
    harness_write_file(to, strbuf_text(&text));
    free(unit);
}

/* It exits with 0 for some mistakes, of which it only warns. */
static CliResult
verify(const char *folder, const char *suffix)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/pghaul@night.%s", folder, suffix);
    ProcSpec spec = {
        .argv = (const char *const[]){"/usr/bin/systemd-analyze", "verify", "--man=no", path, NULL},
        .env = (const char *const[]){"SYSTEMD_LOG_LEVEL=warning", "SYSTEMD_LOG_COLOR=0", NULL},
    };
    Proc *proc = proc_start(&spec);
    CliResult result = {.code = proc_finish(proc, HARNESS_TIMEOUT_US)};
    result.out = proc_stdout(proc);
    result.err = proc_stderr(proc);
    proc_free(proc);
    return result;
}

/* Other units of this host are read too and may have faults of their own. */
static void
expect_accepted(const char *folder, const char *suffix)
{
    CliResult result = verify(folder, suffix);
    cr_expect(eq(int, result.code, 0), "%s%s", result.out, result.err);
    cr_expect(not(cli_has(result.err, "pghaul@")), "%s", result.err);
    cli_free(&result);
}

Test(systemd, service_and_timer_are_accepted)
{
    char *folder = harness_scratch_new();
    copy_unit(folder, "service");
    copy_unit(folder, "timer");
    expect_accepted(folder, "service");
    expect_accepted(folder, "timer");
    harness_scratch_remove(folder);
}

/* Else the test above could not fail. */
Test(systemd, a_mistake_in_a_unit_is_noticed)
{
    char *folder = harness_scratch_new();
    copy_unit(folder, "service");
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/pghaul@night.service", folder);
    char *unit = harness_read_file(path);
    char *at = strstr(unit, "ProtectSystem=strict");
    cr_assert(at != NULL);
    at[strlen("ProtectSystem=stri")] = 'k';
    harness_write_file(path, unit);
    CliResult result = verify(folder, "service");
    cr_expect(cli_has(result.err, "pghaul@"), "%s", result.err);
    cli_free(&result);
    free(unit);
    harness_scratch_remove(folder);
}
