/*
 * test_kill.c - kill -9 at random instants and run again: no row is lost, wrong or moved twice.
 *
 * Many kills share one job; when it completes, the table is reset and the next one begins.  A kill
 * counts only between the first and the last batch of the move.  PGHAUL_SOAK=1 asks for the full
 * counts, PGHAUL_KILLS=N for N kills of each kind.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "harness/job.h"
#include "harness/session.h"
#include "harness/workload.h"

#define ROWS            48000
#define SLOW_US         100
#define RUN_ON_MAX_US   150000
#define RESUME_LIMIT_US SECONDS_US(2) /* on average */
#define INSIDE_PERCENT  30 /* of the kills fall inside of a batch; it goes on until they do */

/* Under the address sanitizer everything is slower, and the server's promises are the same. */
#ifdef __SANITIZE_ADDRESS__
#define KILLS 5
#else
#define KILLS 12
#endif
#define KILLS_SOAK 334

static const WorkloadColumn COLUMNS[] = {
    {"amount_text", "(r % 100000)::text"},
    {"note", "CASE WHEN r % 3 = 0 THEN NULL ELSE md5(r::text) END"},
};

typedef struct KillCase {
    const char *title;
    const char *job; /* lines of the job file */
    const char *right_sql;
    bool keys_fixed;
} KillCase;

typedef struct Tally {
    int64_t killed; /* between the first and the last batch */
    int64_t inside; /* of them inside of a batch */
    int64_t outside_of_move;
    int64_t jobs;
    int64_t resumed_max_us;
    int64_t resumed_total_us;
    int64_t resumed;
    int64_t wrong_rows;
} Tally;

static int64_t
kills_wanted(void)
{
    const char *count = harness_env("PGHAUL_KILLS", NULL);
    if (count != NULL) {
        return strtoll(count, NULL, 10);
    }
    return harness_env("PGHAUL_SOAK", NULL) == NULL ? KILLS : KILLS_SOAK;
}

static WorkloadSpec
application(const JobTest *test, const KillCase *kind)
{
    return (WorkloadSpec){
        .uri = test->uri,
        .table = "app",
        .key = "id",
        .columns = COLUMNS,
        .column_count = 2,
        .key_low = 1,
        .key_high = ROWS + ROWS / 10,
        .clients = 2,
        .keys_fixed = kind->keys_fixed,
        .hold_us = 2000,
        .think_us = 3000,
    };
}

/* The job is complete: look at its rows, and give way to the next one. */
static void
finish_job(const JobTest *test, const KillCase *kind, Tally *tally, bool is_last)
{
    cr_expect(job_is_state(test, "complete"), "%s: the job is not complete", kind->title);
    int64_t wrong = job_count_wrong(test, kind->right_sql);
    cr_expect(eq(i64, 0, wrong), "%s: wrong rows after the job", kind->title);
    tally->wrong_rows += wrong;
    tally->jobs++;
    if (!is_last) {
        job_expect_verb(test, "clean", NULL, 0);
        job_reset_table(test);
    }
}

static void
note_resume(Tally *tally, int64_t begun_us)
{
    int64_t took_us = clock_mono_us() - begun_us;
    tally->resumed++;
    tally->resumed_total_us += took_us;
    if (took_us > tally->resumed_max_us) {
        tally->resumed_max_us = took_us;
    }
}

/* Start a run, let it go on for a random time after its first batch and kill it; false when it
 * came to its end before. */
static bool
run_and_kill(const JobTest *test, Prng *prng, Tally *tally)
{
    int64_t before = job_batches(test);
    int64_t begun_us = clock_mono_us();
    Proc *proc = job_start(test);
    bool has_moved = job_wait_batches(test, proc, before, 1);
    if (has_moved && before > 0) {
        note_resume(tally, begun_us);
    }
    bool ended = !has_moved || proc_wait(proc, prng_between(prng, 0, RUN_ON_MAX_US));
    if (ended) {
        job_expect_exit(proc, 0);
        return false;
    }
    bool inside = job_is_in_batch(test);
    proc_signal(proc, SIGKILL);
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    proc_free(proc);
    cr_expect(code == 0 || code == 128 + SIGKILL, "exit code %d", code);
    if (code == 0) {
        return false;
    }
    if (job_is_moving(test)) {
        tally->killed++;
        tally->inside += inside ? 1 : 0;
    } else {
        tally->outside_of_move++;
    }
    return true;
}

static void
report(const KillCase *kind, const Tally *tally)
{
    double resumed_s = (double)tally->resumed_total_us / 1e6;
    (void)fprintf(stderr,
        "figures: kill -9, %s: %lld kills between first and last batch, %lld inside of a batch;"
        " %lld jobs, %lld wrong rows; restart to first commit %.2f s at most, %.2f s on average\n",
        kind->title, (long long)tally->killed, (long long)tally->inside, (long long)tally->jobs,
        (long long)tally->wrong_rows, (double)tally->resumed_max_us / 1e6,
        tally->resumed == 0 ? 0 : resumed_s / (double)tally->resumed);
}

static void
expect_survival(const KillCase *kind)
{
    JobTest test;
    job_open(&test, cluster_shared(), ROWS, SLOW_US);
    job_write(&test, kind->job);
    WorkloadSpec spec = application(&test, kind);
    workload_prepare(test.conn, &spec);
    Workload *workload = workload_start(&spec);
    Prng prng;
    prng_init(&prng, harness_seed());

    Tally tally = {.killed = 0};
    int64_t wanted = kills_wanted();
    while (tally.killed < wanted || tally.inside * 100 < tally.killed * INSIDE_PERCENT) {
        if (!run_and_kill(&test, &prng, &tally)) {
            finish_job(&test, kind, &tally, false);
        }
    }
    job_set_slow(&test, 0);
    job_expect_run(&test, 0);
    WorkloadStats stats = workload_finish(workload);
    finish_job(&test, kind, &tally, true);

    char *message = NULL;
    int64_t differences = workload_check(test.conn, &spec, kind->right_sql, &message);
    cr_expect(eq(i64, 0, differences), "%s: %s", kind->title, message == NULL ? "" : message);
    cr_expect(eq(i64, 0, workload_unexpected_errors(&stats)), "%s", stats.first_unexpected);
    cr_expect(lt(i64, 0, stats.committed));
    cr_expect(lt(i64, 0, tally.resumed));
    cr_expect(le(i64, tally.resumed_total_us, tally.resumed * RESUME_LIMIT_US));
    report(kind, &tally);
    free(message);
    job_close_cluster(&test);
}

Test(kill, block_path_goes_on_without_a_row_lost_or_wrong)
{
    expect_survival(&(KillCase){
        .title = "block path",
        .job = JOB_SET_AMOUNT "path: block\nworkers: 2\nbatch: {time: 20ms}\n",
        .right_sql = JOB_AMOUNT_RIGHT,
    });
}

Test(kill, key_path_goes_on_without_a_row_lost_or_wrong)
{
    expect_survival(&(KillCase){
        .title = "key path",
        .job = JOB_SET_AMOUNT "path: key\nworkers: 2\nbatch: {time: 20ms}\n",
        .right_sql = JOB_AMOUNT_RIGHT,
    });
}

Test(kill, self_referring_expression_is_applied_exactly_once)
{
    expect_survival(&(KillCase){
        .title = "self-referring",
        .job = JOB_SET_HITS "workers: 2\nbatch: {time: 20ms}\n",
        .right_sql = JOB_HITS_RIGHT,
        .keys_fixed = true,
    });
}
