/*
 * test_kill_remote.c - a copy between two servers while everything dies: the run, backends on
 * either side, servers, the answer to a COMMIT.  No row is lost, and none arrives twice.
 *
 * The target has a unique key, so a batch that came twice would end the run.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>

#include "cli/remote_case.h"
#include "harness/harness.h"
#include "harness/proxy.h"
#include "harness/session.h"

#define ROWS        5000
#define KILLS       4
#define KILLS_SOAK  60
#define FAULTS      4
#define FAULTS_SOAK 60
#define CUTS        3
#define CUTS_SOAK   60

/* One row a block, so that there are several ranges; one in fifty takes its time, on the source. */
#define SOURCE                                                                                     \
    "CREATE FUNCTION slowly(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN IF i % 50 = 0 THEN"      \
    " PERFORM pg_sleep(s) FROM public.nap; END IF; RETURN i; END'; CREATE TABLE nap AS SELECT "    \
    "0.02 AS s;"                                                                                   \
    "CREATE TABLE src (id int PRIMARY KEY, v text); ALTER TABLE src ALTER v SET STORAGE PLAIN;"    \
    "INSERT INTO src SELECT i, repeat(md5(i::text), 130) FROM generate_series(1, 5000) AS i;"      \
    "ANALYZE src"
#define TARGET "CREATE TABLE dst (id int PRIMARY KEY, v text, n int)"
#define JOB    "map: {n: slowly(id)}\nbatch: {rows: 50}\nworkers: 2\nallow: [volatile]\n"

static int64_t
wanted(int64_t usual, int64_t soak)
{
    return harness_env("PGHAUL_SOAK", NULL) == NULL ? usual : soak;
}

static void
open_case(RemoteCase *test, PgCluster *from, PgCluster *to)
{
    remote_open_at(test, from, to, SOURCE, TARGET);
    remote_write(test, NULL, NULL, JOB);
}

/* How long such a row takes. */
static void
set_nap(const RemoteCase *test, const char *seconds)
{
    pg_execf(test->source, "UPDATE nap SET s = %s", seconds);
}

static void
expect_all(const RemoteCase *test)
{
    remote_expect_equal(test, "SELECT id, v, id FROM src", "SELECT id, v, n FROM dst");
    cr_expect(eq(i64, ROWS,
        pg_int(test->target, "SELECT sum(rows) FROM pghaul.ranges r JOIN"
                             " pghaul.job j ON j.id = r.job"
                             " WHERE j.cleaned IS NULL")));
    cr_expect(eq(i64, 0,
        pg_int(test->target, "SELECT count(*) FROM pghaul.ranges"
                             " WHERE state <> 'done'")));
}

/* A finished job makes room for the next one. */
static void
begin_again(const RemoteCase *test)
{
    expect_all(test);
    CliResult clean = CLI("clean", "carry", "-d", test->to);
    cr_assert(eq(int, 0, clean.code), "%s", clean.err);
    cli_free(&clean);
    pg_exec(test->target, "TRUNCATE dst");
}

Test(kill_remote, killed_runs_are_gone_on_with)
{
    RemoteCase test;
    PgCluster *cluster = cluster_shared();
    open_case(&test, cluster, cluster);
    Prng prng;
    prng_init(&prng, harness_seed());
    int64_t kills = wanted(KILLS, KILLS_SOAK);
    while (kills > 0) {
        Proc *proc = remote_start(&test);
        if (!remote_wait_batches(&test, proc, remote_batches(&test), 1)) {
            remote_finish(proc, 0);
            begin_again(&test);
            continue;
        }
        harness_nap_us((int64_t)(prng_next(&prng) % 150000));
        proc_signal(proc, SIGKILL);
        cr_assert(proc_wait(proc, HARNESS_TIMEOUT_US));
        proc_free(proc);
        kills--;
    }
    remote_run(&test, 0);
    expect_all(&test);
    remote_close(&test);
}

static const char SQL_TERMINATE[] =
    "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'pghaul/carry/w%'"
    " ORDER BY random() LIMIT 1) s";

Test(kill_remote, run_survives_that_backends_on_either_side_are_terminated)
{
    RemoteCase test;
    PgCluster *cluster = cluster_shared();
    open_case(&test, cluster, cluster);
    int64_t faults = wanted(FAULTS, FAULTS_SOAK);
    Proc *proc = remote_start(&test);
    while (faults > 0) {
        if (!remote_wait_batches(&test, proc, remote_batches(&test), 1)) {
            remote_finish(proc, 0);
            begin_again(&test);
            proc = remote_start(&test);
            continue;
        }
        faults -= pg_int(faults % 2 == 0 ? test.source : test.target, SQL_TERMINATE);
    }
    remote_finish(proc, 0);
    expect_all(&test);
    remote_close(&test);
}

Test(kill_remote, run_survives_a_crash_of_the_source_and_one_of_the_target)
{
    for (int side = 0; side < 2; side++) {
        PgCluster *shared = cluster_shared();
        PgCluster *own = cluster_start(&(ClusterOptions){.with_standby = false});
        RemoteCase test;
        open_case(&test, side == 0 ? own : shared, side == 0 ? shared : own);
        Proc *proc = remote_start(&test);
        cr_assert(remote_wait_batches(&test, proc, 0, 5));
        cluster_stop_immediate(own);
        cluster_restart(own);
        PGconn **lost = side == 0 ? &test.source : &test.target;
        pg_close(*lost);
        *lost = pg_open(side == 0 ? test.from : test.to);
        remote_finish(proc, 0);
        expect_all(&test);
        remote_close_at(&test);
        cluster_stop(own);
        cluster_stop(shared);
    }
}

Test(kill_remote, commit_without_answer_is_looked_up)
{
    RemoteCase test;
    PgCluster *cluster = cluster_shared();
    open_case(&test, cluster, cluster);
    Proxy *proxy = proxy_start(cluster);
    remote_write(&test, NULL, proxy_uri(proxy, test.to_dbname), JOB);
    set_nap(&test, "0.1");
    Proc *proc = remote_start(&test);
    cr_assert(remote_wait_batches(&test, proc, 0, 3));
    for (int i = 0; i < 4; i++) {
        proxy_cut(proxy, i % 2 == 0 ? PROXY_CUT_AFTER : PROXY_CUT_BEFORE, "COMMIT", 1 + i % 3);
        cr_expect(proxy_wait_cut(proxy, HARNESS_TIMEOUT_US));
    }
    set_nap(&test, "0");
    remote_finish(proc, 0);
    expect_all(&test);
    proxy_stop(proxy);
    remote_close(&test);
}

Test(kill_remote, two_runs_share_the_work)
{
    RemoteCase test;
    PgCluster *cluster = cluster_shared();
    open_case(&test, cluster, cluster);
    set_nap(&test, "0.2");
    Proc *first = remote_start(&test);
    cr_assert(remote_wait_batches(&test, first, 0, 1));
    Proc *second = remote_start(&test);
    pg_wait_true(
        test.target, "SELECT count(*) = 2 FROM pghaul.run WHERE rows > 0", HARNESS_TIMEOUT_US);
    set_nap(&test, "0");
    remote_finish(first, 0);
    remote_finish(second, 0);
    expect_all(&test);
    cr_expect(eq(i64, 2, pg_int(test.target, "SELECT count(*) FROM pghaul.run WHERE rows > 0")));
    remote_close(&test);
}

/* ---- cutover ---- */

/* `pghaul VERB` must succeed once the sessions of what was killed before have ended. */
static void
expect_verb(const RemoteCase *test, const char *verb)
{
    pg_wait_true(test->source,
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pghaul/%'"
        " AND datname = current_database()",
        HARNESS_TIMEOUT_US);
    pg_wait_true(test->target,
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pghaul/%'"
        " AND datname = current_database()",
        HARNESS_TIMEOUT_US);
    CliResult result = CLI(verb, test->job_file, "--yes", "--quiet");
    cr_assert(eq(int, 0, result.code), "%s: %s%s", verb, result.out, result.err);
    cli_free(&result);
}

/* All of it or nothing; without it the job is where it was before. */
static bool
has_fence(const RemoteCase *test)
{
    int64_t triggers = pg_int(test->source, "SELECT count(*) FROM pg_trigger g JOIN pg_proc p"
                                            " ON p.oid = tgfoid WHERE proname ~ '^fence_'");
    bool synced = pg_int(test->target, "SELECT state = 'synced' FROM pghaul.job") == 1;
    cr_expect(eq(i64, triggers == 0 ? 0 : 2, triggers));
    cr_expect(triggers > 0 || synced, "the source may be written and the job is cut over");
    return triggers > 0;
}

static bool
may_write(const RemoteCase *test)
{
    char state[6];
    return pg_try(test->source, "INSERT INTO src (note) VALUES ('more')", state);
}

Test(kill_remote, killed_cutover_is_gone_on_with_or_taken_back)
{
    RemoteCase test;
    remote_open(&test,
        "CREATE TABLE src (id serial PRIMARY KEY, note text);"
        "INSERT INTO src (note) SELECT 'n' || g FROM generate_series(1, 500) g",
        "CREATE TABLE dst (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)");
    remote_write_job(&test, NULL, NULL, "throttle: {standbys: none}\n");
    Prng prng;
    prng_init(&prng, harness_seed());
    for (int64_t kills = wanted(CUTS, CUTS_SOAK); kills > 0; kills--) {
        expect_verb(&test, "run");
        Proc *proc = proc_start_pghaul(
            (const char *const[]){"cutover", test.job_file, "--yes", "--quiet", NULL});
        (void)proc_wait(proc, 50000 + (int64_t)(prng_next(&prng) % 700000));
        proc_signal(proc, SIGKILL);
        cr_assert(proc_wait(proc, HARNESS_TIMEOUT_US));
        proc_free(proc);
        if (kills % 2 == 1) {
            expect_verb(&test, "cutover");
            cr_expect(has_fence(&test));
            cr_expect(not(may_write(&test)));
            remote_expect_equal(&test, "SELECT id, note FROM src", "SELECT id, note FROM dst");
            cr_expect(lt(i64, pg_int(test.source, "SELECT max(id) FROM src"),
                pg_int(test.target, "SELECT nextval(pg_get_serial_sequence('dst', 'id'))")));
        }
        (void)has_fence(&test);
        expect_verb(&test, "rollback");
        cr_expect(may_write(&test));
    }
    expect_verb(&test, "run");
    remote_expect_equal(&test, "SELECT id, note FROM src", "SELECT id, note FROM dst");
    remote_close(&test);
}
