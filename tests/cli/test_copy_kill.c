/*
 * test_copy_kill.c - kill -9 at random instants of a copy and run again: every row is in the target
 * once, and clean leaves no trace but the rows.
 *
 * PGHAUL_SOAK=1 asks for the full counts.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/prng.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"

#define ROWS          8000
#define SLOW_US       100
#define RUN_ON_MAX_US 150000
#define KILLS         4
#define KILLS_SOAK    60

#define TARGET                                                                                     \
    "CREATE TABLE moved (id bigint, amount numeric, note text, hits bigint, part int,"             \
    " PRIMARY KEY (id, part)) PARTITION BY HASH (part);"                                           \
    "CREATE TABLE moved_0 PARTITION OF moved FOR VALUES WITH (MODULUS 2, REMAINDER 0);"            \
    "CREATE TABLE moved_1 PARTITION OF moved FOR VALUES WITH (MODULUS 2, REMAINDER 1)"
#define JOB                                                                                        \
    "job: " JOB_NAME "\ncopy: app\ninto: moved\nsync: none\nallow: [append-only]\nmap:\n"          \
    "  amount: slowly(amount_text)::numeric\n  part: id % 5\n"                                     \
    "workers: 2\nbatch: {time: 20ms}\nthrottle: {standbys: none}\n"

static void
expect_copied(const JobTest *test)
{
    char *message = NULL;
    int64_t differ = pg_compare(test->conn,
        "SELECT id, amount_text::numeric AS amount, note, hits, (id % 5)::int AS part FROM app",
        "SELECT id, amount, note, hits, part FROM moved", &message);
    cr_expect(eq(i64, 0, differ), "%s", message == NULL ? "" : message);
    free(message);
    cr_expect(eq(i64, ROWS, pg_int(test->conn, "SELECT count(*) FROM moved")));
    cr_expect(eq(i64, ROWS,
        pg_int(test->conn, "SELECT sum(rows) FROM pghaul.ranges r JOIN"
                           " pghaul.job j ON j.id = r.job"
                           " WHERE r.pass = 1 AND j.cleaned IS NULL")));
    cr_expect(job_is_state(test, "complete"));
}

/* Begin it anew when it is through; what was made for it is gone but for the rows. */
static void
begin_anew(const JobTest *test, const char *catalog)
{
    expect_copied(test);
    job_expect_verb(test, "clean", NULL, 0);
    char *after = job_catalog(test);
    cr_expect(eq(str, after, (char *)(uintptr_t)catalog));
    free(after);
    pg_exec(test->conn, "TRUNCATE moved");
}

/* True when it was killed between the first and the last batch of the move. */
static bool
run_and_kill(const JobTest *test, Prng *prng, bool *ended)
{
    Proc *proc = job_start(test);
    bool has_moved = job_wait_batches(test, proc, job_batches(test), 1);
    *ended = !has_moved || proc_wait(proc, prng_between(prng, 0, RUN_ON_MAX_US));
    if (*ended) {
        job_expect_exit(proc, 0);
        return false;
    }
    proc_signal(proc, SIGKILL);
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    proc_free(proc);
    cr_expect(code == 0 || code == 128 + SIGKILL, "exit code %d", code);
    *ended = code == 0;
    return !*ended && job_is_moving(test);
}

Test(copy_kill, every_row_is_in_the_target_once)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, SLOW_US);
    pg_exec(test.conn, TARGET);
    harness_write_file(test.path, JOB);
    char *catalog = job_catalog(&test);
    Prng prng;
    prng_init(&prng, harness_seed());
    int wanted = harness_env("PGHAUL_SOAK", NULL) == NULL ? KILLS : KILLS_SOAK;
    for (int killed = 0; killed < wanted;) {
        bool ended = false;
        killed += run_and_kill(&test, &prng, &ended) ? 1 : 0;
        if (ended) {
            begin_anew(&test, catalog);
        }
    }
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    begin_anew(&test, catalog);
    free(catalog);
    job_close_cluster(&test);
}
