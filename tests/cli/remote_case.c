#include "cli/remote_case.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/session.h"

void
remote_open_at(RemoteCase *test, PgCluster *from_cluster, PgCluster *to_cluster, const char *source,
    const char *target)
{
    *test = (RemoteCase){.from_cluster = from_cluster, .to_cluster = to_cluster};
    test->from_dbname = cluster_create_database(from_cluster, NULL);
    test->to_dbname = cluster_create_database(to_cluster, NULL);
    test->from = cluster_uri(from_cluster, test->from_dbname);
    test->to = cluster_uri(to_cluster, test->to_dbname);
    test->source = pg_open(test->from);
    test->target = pg_open(test->to);
    pg_exec(test->source, source);
    pg_exec(test->target, target);
    test->folder = harness_scratch_new();
    (void)snprintf(test->job_file, sizeof(test->job_file), "%s/job.yaml", test->folder);
    remote_write(test, NULL, NULL, "");
}

void
remote_close_at(RemoteCase *test)
{
    pg_close(test->source);
    pg_close(test->target);
    cluster_drop_database(test->from_cluster, test->from_dbname);
    cluster_drop_database(test->to_cluster, test->to_dbname);
    harness_scratch_remove(test->folder);
}

void
remote_open(RemoteCase *test, const char *source, const char *target)
{
    PgCluster *cluster = cluster_shared();
    remote_open_at(test, cluster, cluster, source, target);
}

void
remote_close(RemoteCase *test)
{
    remote_close_at(test);
    cluster_stop(test->from_cluster);
}

void
remote_write_job(const RemoteCase *test, const char *from, const char *to, const char *lines)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "job: carry\ncopy: src\ninto: dst\nfrom: \"%s\"\nto: \"%s\"\n%s",
        from == NULL ? test->from : from, to == NULL ? test->to : to, lines);
    harness_write_file(test->job_file, strbuf_text(&text));
}

void
remote_write(const RemoteCase *test, const char *from, const char *to, const char *lines)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "sync: none\nverify: none\nthrottle: {standbys: none}\n%s", lines);
    remote_write_job(test, from, to, strbuf_text(&text));
}

Proc *
remote_start(const RemoteCase *test)
{
    return proc_start_pghaul(
        (const char *const[]){"run", test->job_file, "--yes", "--quiet", NULL});
}

void
remote_finish(Proc *proc, int code)
{
    int exit_code = proc_finish(proc, HARNESS_TIMEOUT_US);
    char *out = proc_stdout(proc);
    char *err = proc_stderr(proc);
    cr_assert(eq(int, code, exit_code), "%s%s", out, err);
    free(out);
    free(err);
    proc_free(proc);
}

void
remote_run(const RemoteCase *test, int code)
{
    remote_finish(remote_start(test), code);
}

int64_t
remote_batches(const RemoteCase *test)
{
    return pg_int(test->target, "SELECT to_regclass('pghaul.ranges') IS NOT NULL") == 0
               ? 0
               : pg_int(test->target, "SELECT coalesce(sum(batches), 0) FROM pghaul.ranges");
}

bool
remote_wait_batches(const RemoteCase *test, Proc *proc, int64_t before, int64_t more)
{
    int64_t give_up_us = clock_mono_us() + HARNESS_TIMEOUT_US;
    while (remote_batches(test) < before + more) {
        if (proc_wait(proc, 2000)) {
            return false;
        }
        if (clock_mono_us() > give_up_us) {
            harness_fail("no batch of the copy");
        }
    }
    return true;
}

/* Count and hash of all rows, in order of their text. */
static char *
rows_of(PGconn *conn, const char *sql)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text,
        "SELECT count(*) || ':' || md5(coalesce(string_agg(r::text, E'\\n' ORDER BY r::text), ''))"
        " FROM (%s) AS r",
        sql);
    return pg_text(conn, strbuf_text(&text));
}

void
remote_expect_equal(const RemoteCase *test, const char *source_sql, const char *target_sql)
{
    char *is = rows_of(test->source, source_sql);
    char *has = rows_of(test->target, target_sql);
    cr_expect(eq(str, is, has));
    free(is);
    free(has);
}
