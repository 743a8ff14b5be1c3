#include "cli/children_case.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "core/prng.h"
#include "harness/harness.h"

void
children_start_over(const CliBase *base, const char *setup)
{
    pg_exec(base->conn, "SET client_min_messages = error;"
                        "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
                        "DROP SCHEMA IF EXISTS pghaul CASCADE");
    pg_exec(base->conn, setup);
}

void
children_write_job(const CliBase *base, const char *job)
{
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&text, "job: test\n%sbatch: {rows: 7}\nthrottle: {standbys: none}\n", job);
    cli_base_write_job(base, strbuf_text(&text));
}

Proc *
children_start_run(const CliBase *base)
{
    return proc_start_pghaul(
        (const char *const[]){"run", base->job_file, "-d", base->uri, "--yes", NULL});
}

void
children_start_clients(const CliBase *base, Session *clients[CHILDREN_CLIENTS])
{
    for (int i = 0; i < CHILDREN_CLIENTS; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "CALL work(0.%d)", i + 1);
        clients[i] = session_open(base->uri);
        session_send(clients[i], text);
    }
}

void
children_stop_clients(const CliBase *base, Session *clients[CHILDREN_CLIENTS])
{
    pg_exec(base->conn, "ALTER TABLE stop ADD x int; INSERT INTO stop VALUES (1)");
    for (int i = 0; i < CHILDREN_CLIENTS; i++) {
        session_expect_ok(clients[i], SECONDS_US(20));
        session_close(clients[i]);
    }
}

void
children_kill_runs(const CliBase *base, int kills, int64_t least_us, int64_t most_us)
{
    Prng prng;
    prng_init(&prng, harness_seed());
    for (int killed = 0; killed < kills;) {
        Proc *proc = children_start_run(base);
        if (proc_wait(proc, prng_between(&prng, least_us, most_us))) {
            cr_expect(zero(int, proc_exit_code(proc)), "%s", proc_stderr(proc));
            pg_exec(base->conn,
                "WITH new AS (INSERT INTO t SELECT i + (SELECT max(t) FROM said_t), true"
                "  FROM generate_series(1, 200) AS i RETURNING *)"
                " INSERT INTO said_t SELECT id, old FROM new");
        } else {
            proc_signal(proc, SIGKILL);
            (void)proc_finish(proc, HARNESS_TIMEOUT_US);
            killed++;
        }
        proc_free(proc);
    }
}
