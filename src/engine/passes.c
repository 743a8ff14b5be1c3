#include "engine/passes.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "core/sql_batch.h"
#include "pg/probe.h"
#include "pg/query.h"
#include "store/index_build.h"
#include "store/ranges.h"

static int64_t
estimated_rows(const Plan *plan, int64_t blocks)
{
    return (int64_t)(plan->rows_per_block * (double)blocks);
}

static bool
begin(PgConn *conn, int64_t job, const PassStart *start, Err *err)
{
    bool begun = false; /* another run may have been faster; both is well */
    return job_begin_pass(conn, job, start, &begun, err);
}

static bool
begin_move_by_key(
    PgConn *conn, PgConn *source, const Plan *plan, int64_t job, PassStart start, Err *err)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_last_key(&sql, plan);
    PGRESULT_AUTO *result = NULL;
    if (!query_run(source == NULL ? conn : source, strbuf_text(&sql), &result, err)) {
        return err_wrap(err, "upper bound");
    }
    start.empty = result_rows(result) == 0;
    start.upper = start.empty ? NULL : result_text(result, 0, 0);
    /* Of a purge the pass before is kept: what it found may be worth knowing. */
    return begin(conn, job, &start, err) &&
           (plan->purge == NULL || ranges_forget(conn, job, start.from_pass, err));
}

/* Of the source on another server what the survey saw is good enough: it makes an estimate. */
static bool
count_blocks(PgConn *conn, const Plan *plan, int64_t *blocks, Err *err)
{
    *blocks = plan->facts->table.blocks;
    return facts_is_remote(plan->facts) || probe_blocks(conn, plan->facts->table.oid, blocks, err);
}

bool
passes_begin_move(
    PgConn *conn, PgConn *source, const Plan *plan, int64_t job, int from_pass, Err *err)
{
    int64_t blocks = 0;
    if (!count_blocks(conn, plan, &blocks, err)) {
        return false;
    }
    PassStart start = {
        .from_pass = from_pass,
        .kind = PASS_MOVE,
        .est_rows = estimated_rows(plan, blocks),
    };
    if (plan->purge != NULL && plan->purge->served) {
        /* Rows that match end by themselves, since now() stands still during the pass. */
        start.est_rows = (int64_t)plan->where->match_rows;
        return begin(conn, job, &start, err) && ranges_forget(conn, job, from_pass, err);
    }
    if (plan->path == PATH_KEY) {
        return begin_move_by_key(conn, source, plan, job, start, err);
    }
    char upper[32];
    (void)snprintf(upper, sizeof(upper), "{%lld}", (long long)blocks);
    start.upper = upper;
    start.empty = blocks == 0;
    return begin(conn, job, &start, err);
}

bool
passes_restart_move(PgConn *conn, const Plan *plan, int64_t job, int from_pass, Err *err)
{
    if (!query_script(conn, "BEGIN", err)) {
        return false;
    }
    bool ok = job_lock(conn, job, err) &&
              job_record_filenode(conn, job, plan->facts->table.oid, err) &&
              passes_begin_move(conn, NULL, plan, job, from_pass, err);
    return query_end(conn, ok, err);
}

/* Over the current extent, open at both ends; a copy without sync, over what was moved. */
static bool
begin_open(PgConn *conn, const Plan *plan, int64_t job, PassStart start, Err *err)
{
    int64_t blocks = 0;
    if (!count_blocks(conn, plan, &blocks, err)) {
        return false;
    }
    start.est_rows = estimated_rows(plan, blocks);
    /* Without a change log nothing beyond the move's end was to be copied. */
    start.keep_upper = plan->copy != NULL && !plan->sync_trigger;
    return begin(conn, job, &start, err);
}

bool
passes_begin_verify(PgConn *conn, const Plan *plan, int64_t job, int from_pass, Err *err)
{
    PassStart start = {.from_pass = from_pass, .kind = PASS_VERIFY};
    return begin_open(conn, plan, job, start, err);
}

bool
passes_begin_repair(PgConn *conn, const Plan *plan, int64_t job, int from_pass, Err *err)
{
    PassStart start = {.from_pass = from_pass, .kind = PASS_REPAIR};
    return begin_open(conn, plan, job, start, err);
}

bool
passes_are_repairing(PgConn *conn, const JobRow *job, bool *repairing, Err *err)
{
    bool done = true;
    int64_t differing = 0;
    *repairing = job->pass_kind == PASS_REPAIR;
    bool asked = job->repair || job->last_pass_kind == PASS_REPAIR;
    if (*repairing || job->pass_kind != PASS_VERIFY || !asked) {
        return true;
    }
    if (!job_pass_is_done(conn, job->id, job->pass, &done, err) ||
        !job_differing(conn, job->id, job->pass, &differing, err)) {
        return false;
    }
    *repairing = !done || (job->repair && differing > 0);
    return true;
}

/* The pass of this job is done: what follows? */
static bool
turn_page(PgConn *conn, const Plan *plan, const JobRow *job, PassStep *step, Err *err)
{
    int64_t differing = 0;
    *step = PASS_STEP_BEGUN;
    switch (job->pass_kind) {
    case PASS_MOVE:
        if (plan->verify) {
            return passes_begin_verify(conn, plan, job->id, job->pass, err);
        }
        break;
    case PASS_REPAIR:
        return passes_begin_verify(conn, plan, job->id, job->pass, err);
    case PASS_VERIFY:
        if (job->repair && !job_differing(conn, job->id, job->pass, &differing, err)) {
            return false;
        }
        if (differing > 0) {
            return passes_begin_repair(conn, plan, job->id, job->pass, err);
        }
        break;
    }
    *step = PASS_STEP_FINISHED;
    return true;
}

/* The move of a copy is through only with the indexes that are built after it. */
static bool
may_turn(PgConn *conn, const Plan *plan, const JobRow *job, bool *may, Err *err)
{
    int left = 0;
    if (job->pass_kind == PASS_MOVE && plan->spec->indexes == INDEXES_AFTER &&
        !index_build_left(conn, job->id, &left, err)) {
        return false;
    }
    *may = left == 0;
    return true;
}

bool
passes_advance(PgConn *conn, const Plan *plan, const JobRow *job, PassStep *step, Err *err)
{
    bool done = false;
    if (!job_pass_is_done(conn, job->id, job->pass, &done, err) ||
        (done && !may_turn(conn, plan, job, &done, err))) {
        return false;
    }
    *step = PASS_STEP_WORK;
    return !done || turn_page(conn, plan, job, step, err);
}
