#include "cli/move_case.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/strbuf.h"
#include "harness/session.h"

/* A few rows a batch, so that one small table has many watermarks. */
static void
put_job(StrBuf *out, const char *name, const char *path, const char *job)
{
    strbuf_printf(out, "job: %s\n%s", name, job);
    if (path != NULL) {
        strbuf_printf(out, "path: %s\n", path);
    }
    strbuf_puts(out, "batch: {rows: 7}\nthrottle: {standbys: none}\n");
}

static void
run_by(const CliBase *base, const MoveCase *move, const char *prelude, const char *path)
{
    pg_exec(base->conn, "SET client_min_messages = error;"
                        "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
                        "DROP SCHEMA IF EXISTS pghaul CASCADE");
    pg_exec(base->conn, prelude);
    pg_exec(base->conn, move->setup);
    STRBUF_AUTO job = STRBUF_INIT;
    put_job(&job, "test", path, move->job);
    cli_base_write_job(base, strbuf_text(&job));

    CliResult result = CLI("run", base->job_file, "-d", base->uri, "--yes", "--quiet");
    cr_expect(eq(int, move->code, result.code), "%s by %s:\n%s", move->title, path, result.err);
    cr_expect(eq(i64, 0, pg_int(base->conn, move->wrong)), "%s by %s", move->title, path);
    cr_expect(eq(i64, move->rows,
                  pg_int(base->conn, "SELECT coalesce(sum(rows), 0) FROM pghaul.ranges"
                                     " WHERE pass = 1")),
        "%s by %s", move->title, path);
    cr_expect(eq(i64, 0,
                  pg_int(base->conn, "SELECT count(*) FROM pghaul.ranges"
                                     " WHERE state <> 'done'")),
        "%s by %s", move->title, path);
    cli_free(&result);
}

void
move_cases_run(
    const CliBase *base, const char *prelude, const MoveCase *moves, int count, unsigned paths)
{
    for (int i = 0; i < count; i++) {
        if ((paths & BY_KEY) != 0) {
            run_by(base, &moves[i], prelude, "key");
        }
        if ((paths & BY_BLOCK) != 0) {
            run_by(base, &moves[i], prelude, "block");
        }
    }
}

void
move_case_run(const CliBase *base, const MoveCase *move, unsigned paths)
{
    move_cases_run(base, "", move, 1, paths);
}
