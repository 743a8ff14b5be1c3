#include "cli/remote_case.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/session.h"

void
remote_open(RemoteCase *test, PgCluster *cluster, const char *source, const char *target)
{
    *test = (RemoteCase){.cluster = cluster};
    test->from_dbname = cluster_create_database(cluster, NULL);
    test->to_dbname = cluster_create_database(cluster, NULL);
    test->from = cluster_uri(cluster, test->from_dbname);
    test->to = cluster_uri(cluster, test->to_dbname);
    test->source = pg_open(test->from);
    test->target = pg_open(test->to);
    pg_exec(test->source, source);
    pg_exec(test->target, target);
    test->folder = harness_scratch_new();
    (void)snprintf(test->job_file, sizeof(test->job_file), "%s/job.yaml", test->folder);
    remote_write(test, NULL, NULL, "");
}

void
remote_close(RemoteCase *test)
{
    pg_close(test->source);
    pg_close(test->target);
    cluster_drop_database(test->cluster, test->from_dbname);
    cluster_drop_database(test->cluster, test->to_dbname);
    harness_scratch_remove(test->folder);
    cluster_stop(test->cluster);
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

void
remote_run(const RemoteCase *test, int code)
{
    CliResult result = CLI("run", test->job_file, "--yes", "--quiet");
    cr_expect(eq(int, code, result.code), "%s%s", result.out, result.err);
    cli_free(&result);
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
