/*
 * cutover.c - what is done around the swap, in both directions.
 */
#include "ops/cutover.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "core/plan_reverse.h"
#include "core/sql_backfill.h"
#include "core/sql_log.h"
#include "core/sql_parts.h"
#include "engine/drain_floor.h"
#include "ops/prepare.h"
#include "ops/swap.h"
#include "pg/exprcheck.h"
#include "store/carry.h"
#include "store/changelog.h"
#include "store/guards.h"

/* ---- may it be done ---- */

/* The expressions of `reverse_map:` over the new table, by the names of now. */
static bool
check_reverse(PgConn *conn, const Plan *plan, Arena *arena, Err *err)
{
    Plan reverse;
    ExprReport report;
    ReverseNames now = {
        .source = plan->copy->into->table.name,
        .into = plan->facts->table.name,
    };
    const ColumnFacts *left = plan_reverse(plan, now, arena, &reverse);
    if (left != NULL) {
        return err_set(err, ERR_REFUSED, "reverse_map: does not say what column %s of %s becomes",
            left->name, plan->facts->table.name);
    }
    if (exprcheck_run(conn, reverse.spec, reverse.facts, arena, &report, err)) {
        return true;
    }
    if (err->cls == ERR_USER) {
        err->cls = ERR_REFUSED;
    }
    return err_wrap(err, "reverse_map");
}

bool
cutover_check(PgConn *conn, const Plan *plan, const Carry *carry, Arena *arena, Err *err)
{
    if (carry->obstacle != NULL) {
        return err_set(err, ERR_REFUSED, "%s", carry->obstacle);
    }
    if (plan->copy->invertible) {
        return check_reverse(conn, plan, arena, err);
    }
    if (jobspec_allows(plan->spec, CUTOVER_NO_ROLLBACK)) {
        return true;
    }
    (void)err_set(err, ERR_REFUSED,
        "there would be no way back: nothing says what column %s of %s becomes",
        plan->copy->irreversible->name, plan->facts->table.name);
    return err_hint(
        err, "reverse_map: says it. To go without a way back: allow: [%s].", CUTOVER_NO_ROLLBACK);
}

/* ---- the steps ---- */

#define MORE_STEPS 3

#define FRESH_ENDING "_f" /* of the name of the trigger for old snapshots */

typedef struct Steps {
    CutoverStep *items;
    int count;
} Steps;

/* "DROP TRIGGER IF EXISTS .. ON <table>" for the change log's and the other one. */
static void
put_drop_triggers(StrBuf *out, int64_t job, const char *schema, const char *table)
{
    static const char *const ENDINGS[] = {"", "_t", FRESH_ENDING};
    for (int i = 0; i < 3; i++) {
        strbuf_printf(out, "%sDROP TRIGGER IF EXISTS " PLAN_TRIGGER_PREFIX "%lld%s ON ",
            i == 0 ? "" : ";\n", (long long)job, ENDINGS[i]);
        sql_put_qualified(out, schema, table);
    }
}

static void
put_create_triggers(StrBuf *out, const Plan *plan, int64_t job)
{
    sql_log_trigger(out, plan, job);
    strbuf_puts(out, ";\n");
    sql_sync_enable(out, plan, job);
    strbuf_puts(out, ";\n");
    sql_log_truncate_trigger(out, plan, job);
    strbuf_puts(out, ";\n");
    sql_log_truncate_enable(out, plan, job);
}

static void
log_steps(const Cutover *c, const Plan *reverse, Steps *steps)
{
    const CutoverNames *names = &c->carry->names;
    STRBUF_AUTO off = STRBUF_INIT;
    STRBUF_AUTO on = STRBUF_INIT;
    STRBUF_AUTO off_again = STRBUF_INIT;
    STRBUF_AUTO reverse_on = STRBUF_INIT;
    put_drop_triggers(&off, c->job->id, names->schema, names->old);
    put_create_triggers(&on, c->plan, c->job->id);
    put_drop_triggers(&off_again, c->job->id, names->schema, names->into);
    if (reverse != NULL) {
        put_create_triggers(&reverse_on, reverse, c->job->id);
    }
    steps->items[steps->count++] = (CutoverStep){
        .what = "change log",
        .sql = arena_strdup(c->arena, strbuf_text(&off)),
        .undo = arena_strdup(c->arena, strbuf_text(&on)),
    };
    steps->items[steps->count++] = (CutoverStep){
        .what = "reverse change log",
        .sql = reverse == NULL ? NULL : arena_strdup(c->arena, strbuf_text(&reverse_on)),
        .undo = arena_strdup(c->arena, strbuf_text(&off_again)),
    };
}

static Steps
make_steps(const Cutover *c, const Plan *reverse)
{
    const Carry *carry = c->carry;
    size_t size = (size_t)(carry->count + MORE_STEPS) * sizeof(CutoverStep);
    Steps steps = {.items = arena_alloc(c->arena, size)};
    sql_cutover_rename(&carry->names, c->arena, &steps.items[steps.count++]);
    log_steps(c, reverse, &steps);
    for (int i = 0; i < carry->count; i++) {
        CarryKind kind = carry->items[i].kind;
        if (!sql_cutover_is_early(kind) && kind != CARRY_LOST) {
            steps.items[steps.count++] = carry->steps[i];
        }
    }
    for (int i = 0; reverse == NULL && i < steps.count; i++) {
        steps.items[i].undo = NULL;
    }
    return steps;
}

static const char *
join(const Steps *steps, Arena *arena)
{
    STRBUF_AUTO script = STRBUF_INIT;
    for (int i = 0; i < steps->count; i++) {
        if (steps->items[i].sql != NULL) {
            strbuf_printf(&script, "%s%s", script.len == 0 ? "" : ";\n", steps->items[i].sql);
        }
    }
    return arena_strdup(arena, strbuf_text(&script));
}

/* ---- forward ---- */

static bool
settle_cutover(const Swap *swap, Err *err)
{
    const Steps *steps = swap->arg;
    return carry_record(swap->conn, swap->job->id, steps->items, steps->count, err);
}

/* Log, capture and drain of the way back; a cutover that was cut off may have made them, and then
 * nothing was recorded yet. */
static bool
make_reverse(const Cutover *c, Plan *reverse, Err *err)
{
    const CutoverNames *names = &c->carry->names;
    ReverseNames then = {.source = names->source, .into = names->old};
    (void)plan_reverse(c->plan, then, c->arena, reverse);
    return prepare_functions(c->conn, reverse, c->job->id, err);
}

static const char *
fresh_name(const JobRow *job, Arena *arena)
{
    return arena_printf(arena, PLAN_TRIGGER_PREFIX "%lld" FRESH_ENDING, (long long)job->id);
}

static const char *
quoted(Arena *arena, const char *schema, const char *name)
{
    STRBUF_AUTO text = STRBUF_INIT;
    sql_put_qualified(&text, schema, name);
    return arena_strdup(arena, strbuf_text(&text));
}

static void
take_result(const Swap *swap, CutoverResult *result)
{
    *result = (CutoverResult){
        .attempts = swap->attempts,
        .blocked_us = swap->blocked_us,
        .entries = swap->drained,
    };
}

bool
cutover_run(const Cutover *c, CutoverResult *result, Err *err)
{
    const CutoverNames *names = &c->carry->names;
    Plan plan;
    const Plan *reverse = c->plan->copy->invertible ? &plan : NULL;
    if (!carry_early(c->conn, c->carry, c->plan, c->stop, err) ||
        (reverse != NULL && !make_reverse(c, &plan, err))) {
        return false;
    }
    Steps steps = make_steps(c, reverse);
    const char *live = quoted(c->arena, names->schema, names->source);
    Swap swap = {
        .conn = c->conn,
        .job = c->job,
        .stop = c->stop,
        .yield_us = c->plan->spec->throttle.yield_after_us,
        .fingerprint = c->plan->fingerprint,
        .what = "cut over",
        .from = JOB_SYNCED,
        .to = JOB_CUT_OVER,
        .live_oid = c->plan->facts->table.oid,
        .live = live,
        .other = quoted(c->arena, names->schema, names->into),
        .script = join(&steps, c->arena),
        .fresh =
            {
                .function = arena_printf(
                    c->arena, "pghaul.fresh_%lld_%s", (long long)c->job->id, c->plan->fingerprint),
                .name = fresh_name(c->job, c->arena),
                .table = live,
            },
        .settle = settle_cutover,
        .arg = &steps,
    };
    bool ok = swap_run(&swap, err);
    take_result(&swap, result);
    return ok;
}

/* ---- what is left to do ---- */

typedef struct Finish {
    PgConn *conn;
    const JobRow *job;
    StopToken *stop;
    int warnings;
} Finish;

/* Rows that do not satisfy a constraint somebody else must look at: it stays NOT VALID. */
static bool
finish_row(Finish *finish, const CarryRow *row, const char *sql, Err *err)
{
    static const char EXISTS[] = "42710";
    if (sql != NULL && !carry_run_long(finish->conn, sql, finish->stop, err) &&
        strcmp(err->sqlstate, EXISTS) != 0) {
        bool of_parts = err->cls == ERR_TIMEOUT && finish->warnings > 0; /* one is not valid */
        if (err->cls != ERR_POISON && !of_parts) {
            return err_wrap(err, "%s", row->what);
        }
        finish->warnings++;
        log_line(LOG_WARNING, NULL, "%s stays NOT VALID: its rows do not satisfy it", row->what);
    }
    *err = ERR_INIT;
    return carry_done(finish->conn, finish->job->id, row->no, err);
}

static bool
analyze(const Finish *finish, Arena *arena, bool forward, Err *err)
{
    CarryTables tables;
    STRBUF_AUTO sql = STRBUF_INIT;
    if (!carry_tables(finish->conn, finish->job->id, arena, &tables, err)) {
        return false;
    }
    strbuf_printf(&sql, "ANALYZE %s", forward ? tables.into : tables.source);
    return carry_run_long(finish->conn, strbuf_text(&sql), finish->stop, err);
}

bool
cutover_finish(PgConn *conn, const JobRow *job, StopToken *stop, int *warnings, Err *err)
{
    Arena arena = ARENA_INIT;
    CarryList list = {.count = 0};
    Finish finish = {.conn = conn, .job = job, .stop = stop};
    bool forward = job->state == JOB_CUT_OVER;
    bool ok = carry_list(conn, job->id, false, &arena, &list, err);
    for (int i = list.count - 1; ok && i >= 0; i--) {
        const CarryRow *row = &list.rows[i];
        ok = finish_row(&finish, row, forward ? row->later : row->undo_later, err);
    }
    if (ok && list.count > 0) {
        ok =
            analyze(&finish, &arena, forward, err) && (forward || carry_forget(conn, job->id, err));
    }
    *warnings = finish.warnings;
    arena_reset(&arena);
    return ok;
}

/* ---- back ---- */

static bool
settle_rollback(const Swap *swap, Err *err)
{
    return carry_reopen(swap->conn, swap->job->id, err) &&
           guards_renew(swap->conn, swap->job->id, err);
}

static bool
undo_script(PgConn *conn, const JobRow *job, Arena *arena, const char **script, Err *err)
{
    CarryList list = {.count = 0};
    STRBUF_AUTO text = STRBUF_INIT;
    if (!carry_list(conn, job->id, true, arena, &list, err)) {
        return false;
    }
    if (list.count == 0 || list.rows[0].undo == NULL) {
        (void)err_set(
            err, ERR_REFUSED, "there is no way back: job %s was cut over without one", job->name);
        return err_hint(err, "pghaul clean %s ends it.", job->name);
    }
    for (int i = 0; i < list.count; i++) {
        if (list.rows[i].undo != NULL) {
            strbuf_printf(&text, "%s%s", i == 0 ? "" : ";\n", list.rows[i].undo);
        }
    }
    *script = arena_strdup(arena, strbuf_text(&text));
    return true;
}

/* The swap that leads back; everything about it stands in the database. */
static bool
rollback_swap(PgConn *conn, const JobRow *job, Arena *arena, Swap *swap, Err *err)
{
    CarryTables tables;
    char *reversed = arena_alloc(arena, 17);
    plan_reverse_fingerprint(job->fingerprint, reversed);
    *swap = (Swap){
        .conn = conn,
        .job = job,
        .fingerprint = reversed,
        .what = "roll back",
        .from = JOB_CUT_OVER,
        .to = JOB_SYNCED,
        .settle = settle_rollback,
    };
    if (!undo_script(conn, job, arena, &swap->script, err) ||
        !carry_tables(conn, job->id, arena, &tables, err)) {
        return false;
    }
    swap->live_oid = tables.into_oid;
    swap->live = tables.into;
    swap->other = tables.source;
    swap->fresh = (FreshTrigger){
        .function = arena_printf(arena, "pghaul.fresh_%lld_%s", (long long)job->id, reversed),
        .name = fresh_name(job, arena),
        .table = tables.into, /* the name that the old table gets back */
    };
    return true;
}

bool
cutover_rollback(PgConn *conn, const JobRow *job, int64_t yield_us, StopToken *stop,
    CutoverResult *result, Err *err)
{
    Arena arena = ARENA_INIT;
    Swap swap;
    bool ok = rollback_swap(conn, job, &arena, &swap, err);
    if (ok) {
        swap.stop = stop;
        swap.yield_us = yield_us;
        ok = swap_run(&swap, err);
        take_result(&swap, result);
    }
    arena_reset(&arena);
    return ok;
}

/* ---- in between ---- */

typedef struct Following {
    const CutoverFollow *follow;
    Swap swap;
    DrainFloor floor;
    CutoverStanding standing;
} Following;

static bool
ask(Following *f, bool between_rounds, bool *more, Err *err)
{
    f->standing.drained = f->swap.drained;
    f->standing.between_rounds = between_rounds;
    return f->follow->go_on(f->follow->arg, &f->standing, more, err);
}

static bool
ask_before_batch(Swap *swap, bool *more, Err *err)
{
    return ask(swap->may_go_on_arg, false, more, err);
}

/* A round that met somebody's lock, or another run's lease, is tried again. */
static bool
follow_round(Following *f, Err *err)
{
    ChangelogState state;
    Plan named = {.spec = NULL};
    (void)snprintf(named.fingerprint, sizeof(named.fingerprint), "%s", f->swap.fingerprint);
    if (swap_drain_once(&f->swap, &state, err)) {
        f->standing.rows = state.rows;
        f->standing.age_s = state.age_s;
        bool ok =
            drain_floor_raise(&f->floor, f->swap.conn, &named, f->swap.job->id, state.last_id, err);
        f->swap.after = f->floor.id;
        return ok;
    }
    bool again = err->cls == ERR_RETRY || err->cls == ERR_TIMEOUT;
    if (again) {
        *err = ERR_INIT;
    }
    return again;
}

bool
cutover_follow(const CutoverFollow *follow, CutoverStanding *standing, Err *err)
{
    Arena arena = ARENA_INIT;
    Following f = {.follow = follow, .standing = {.rows = -1}};
    StopToken stop;
    stop_init(&stop); /* nobody raises it */
    bool more = true;
    bool ok = rollback_swap(follow->conn, follow->job, &arena, &f.swap, err);
    f.swap.stop = &stop;
    f.swap.run = follow->run;
    f.swap.may_go_on = ask_before_batch;
    f.swap.may_go_on_arg = &f;
    while (ok && more) {
        ok = ask(&f, true, &more, err) && follow_round(&f, err);
    }
    f.standing.drained = f.swap.drained;
    *standing = f.standing;
    stop_destroy(&stop);
    arena_reset(&arena);
    return ok;
}

bool
cutover_drop_text(PgConn *conn, const JobRow *job, Arena *arena, const char **text, Err *err)
{
    CarryTables tables;
    if (!carry_tables(conn, job->id, arena, &tables, err)) {
        return false;
    }
    *text = arena_printf(arena, "DROP TABLE %s;", tables.source);
    return true;
}

bool
cutover_left_sql(PgConn *conn, const JobRow *job, StrBuf *out, Err *err)
{
    Arena arena = ARENA_INIT;
    CarryList list = {.count = 0};
    bool ok = carry_list(conn, job->id, false, &arena, &list, err);
    for (int i = list.count - 1; ok && i >= 0; i--) {
        const CarryRow *row = &list.rows[i];
        const char *sql = job->state == JOB_CUT_OVER ? row->later : row->undo_later;
        strbuf_printf(out, "%s%s", sql == NULL ? "" : sql, sql == NULL ? "" : ";\n");
    }
    arena_reset(&arena);
    return ok;
}
