#include "common_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "harness/proc.h"

#define RUN_LIMIT_US SECONDS_US(3 * 3600)

bool
program_run(const BenchProgram *program)
{
    const char *log_path = program->log_path;
    Proc *proc = proc_start(&(ProcSpec){
        .argv = program->argv, .env = program->env, .out_path = log_path, .err_path = log_path});
    int code = proc_finish(proc, RUN_LIMIT_US);
    if (code != 0) {
        char *out = proc_stdout(proc);
        char *err = proc_stderr(proc);
        (void)fprintf(stderr, "%s ended with exit code %d (%s):\n%s\n%s\n", program->title, code,
            log_path == NULL ? "" : log_path, log_path == NULL ? out : "",
            log_path == NULL ? err : "");
        free(out);
        free(err);
    }
    proc_free(proc);
    return code == 0;
}

void
program_put_script(StrBuf *out, PgCluster *cluster, const char *script)
{
    const char *psql = cluster_program(cluster, "psql");
    strbuf_printf(out, "set -euo pipefail\nBIN=%.*s\n%s", (int)(strlen(psql) - strlen("/psql")),
        psql, script);
}
