#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "harness/session.h"

CliResult
cli_run(const char *const *args)
{
    Proc *proc = proc_start_pghaul(args);
    CliResult result = {.code = proc_finish(proc, HARNESS_TIMEOUT_US)};
    result.out = proc_stdout(proc);
    result.err = proc_stderr(proc);
    proc_free(proc);
    return result;
}

void
cli_free(CliResult *result)
{
    free(result->out);
    free(result->err);
    *result = (CliResult){.code = -1};
}

bool
cli_has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static const char JOB_FILE[] = "job: orders-amount\n"
                               "backfill: orders\n"
                               "set:\n"
                               "  amount: amount_text::numeric\n"
                               "throttle: {standbys: none}\n";

CliBase
cli_base_new(int rows)
{
    CliBase base = {.cluster = cluster_shared()};
    base.dbname = cluster_create_database(base.cluster, NULL);
    base.uri = cluster_uri(base.cluster, base.dbname);
    base.conn = pg_open(base.uri);
    pg_exec(base.conn, "CREATE TABLE orders (id bigint PRIMARY KEY, amount_text text NOT NULL,"
                       " amount numeric)");
    pg_execf(base.conn, "INSERT INTO orders SELECT g, g || '.50' FROM generate_series(1, %d) AS g",
        rows);
    pg_exec(base.conn, "ANALYZE orders");
    base.folder = harness_scratch_new();
    (void)snprintf(base.job_file, sizeof(base.job_file), "%s/job.yaml", base.folder);
    cli_base_write_job(&base, JOB_FILE);
    return base;
}

void
cli_base_free(CliBase *base)
{
    pg_close(base->conn);
    cluster_drop_database(base->cluster, base->dbname);
    harness_scratch_remove(base->folder);
    cluster_stop(base->cluster);
}

void
cli_base_write_job(const CliBase *base, const char *text)
{
    harness_write_file(base->job_file, text);
}
