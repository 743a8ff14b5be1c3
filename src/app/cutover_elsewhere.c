/*
 * cutover_elsewhere.c - cutover and rollback of a copy to another server: nothing there has another
 * name, so all that can be done is to stop the writes to the source and see to it that none is
 * missing.
 */
#include <stdio.h>

#include "app/cutover.h"
#include "app/drive.h"
#include "app/json.h"
#include "app/text.h"
#include "base/clock.h"
#include "core/format.h"
#include "ops/fence.h"
#include "store/changelog.h"

/* With a fence it is a cutover that was cut off: in whatever state, it goes on. */
static bool
check_begin(const Elsewhere *e, Err *err)
{
    bool there = false;
    return cutover_check_idle(*e->conn, e->job, err) &&
           fence_is_there(e->source, e->job, &there, err) &&
           (there || cutover_check_state(e->job, JOB_SYNCED, err));
}

/* The run has ended caught up, and nobody could write since. */
static bool
check_drained(const Elsewhere *e, const Plan *plan, Err *err)
{
    ChangelogState state;
    if (!changelog_state(e->source, plan, e->job->id, &state, err)) {
        return false;
    }
    if (state.rows == 0 && !state.overflowed) {
        return true;
    }
    (void)err_set(
        err, ERR_FATAL, "%lld changes of the source are not applied yet", (long long)state.rows);
    return err_hint(err, "pghaul cutover %s goes on with it.", e->job->name);
}

/* What an answer means. */
static void
announce(const Elsewhere *e)
{
    if (e->app->options.quiet || e->app->options.json) {
        return;
    }
    STRBUF_AUTO line = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&line,
        "Cutover: writes to %s on the old server will be refused from now on; then the last "
        "changes are drained, and every row is compared. Until that has ended, the application "
        "can write to neither server.",
        e->spec->table);
    text_put_wrapped(&text, "", strbuf_text(&line), term_text_width(&e->app->err));
    (void)fputs(strbuf_text(&text), stderr);
}

static void
print_next(const Elsewhere *e, int sequences, int64_t refused_us)
{
    char refused[FORMAT_SIZE];
    STRBUF_AUTO line = STRBUF_INIT;
    STRBUF_AUTO text = STRBUF_INIT;
    strbuf_printf(&line,
        "cut over: writes to %s on the old server are refused, for %s by now, every row was "
        "compared, %d sequence%s advanced. Now let the application connect to the new server. "
        "Next: pghaul rollback %s lets the old server be written again; it does not bring back "
        "what was written to the new one. pghaul clean %s ends it and removes the fence.",
        e->spec->table, format_duration(refused_us, refused), sequences,
        sequences == 1 ? " was" : "s were", e->job->name, e->job->name);
    text_put_wrapped(&text, "", strbuf_text(&line), term_text_width(&e->app->out));
    app_print(e->app, strbuf_text(&text));
    app_result(e->app, "advanced_sequences", json_integer(sequences));
    app_result(e->app, "refused_ms", json_real((double)refused_us / 1000));
}

static bool
already(const Elsewhere *e, const char *text)
{
    app_print(e->app, text);
    return true;
}

bool
cutover_elsewhere(const Elsewhere *e, Err *err)
{
    Survey survey;
    int sequences = 0;
    if (e->job->state == JOB_CUT_OVER) {
        return already(e, "the job is cut over already\n");
    }
    if (!check_begin(e, err) || !app_survey(e->app, *e->conn, e->source, e->spec, &survey, err)) {
        return false;
    }
    announce(e);
    if (!cutover_ask(e->app, "Refuse writes to the source and cut over?", err) ||
        !fence_put(e->source, &survey.plan, e->job->id, e->stop, err)) {
        return false;
    }
    int64_t since_us = clock_mono_us();
    bool ok = drive_compare(e->app, e->conn, e->source, &survey.plan, err) &&
              check_drained(e, &survey.plan, err) &&
              fence_carry_sequences(e->source, *e->conn, &survey.plan, &sequences, err) &&
              job_set_state(*e->conn, e->job->id, JOB_CUT_OVER, "the source is fenced", err);
    if (!ok) {
        return err_hint(err,
            "Writes to the source are refused: pghaul cutover %s goes on, pghaul rollback %s lets "
            "it be written again.",
            e->job->name, e->job->name);
    }
    print_next(e, sequences, clock_mono_us() - since_us);
    return true;
}

bool
rollback_elsewhere(const Elsewhere *e, Err *err)
{
    bool there = false;
    if (!cutover_check_idle(*e->conn, e->job, err) ||
        !fence_is_there(e->source, e->job, &there, err)) {
        return false;
    }
    if (!there && e->job->state == JOB_SYNCED) {
        return already(e, "the job is not cut over; there is nothing to take back\n");
    }
    bool cut_over = e->job->state == JOB_CUT_OVER;
    if ((!there && !cutover_check_state(e->job, JOB_CUT_OVER, err)) ||
        !cutover_ask(e->app, "Let the source be written again?", err) ||
        !fence_remove(e->source, e->job, e->spec->throttle.yield_after_us, e->stop, err) ||
        (cut_over &&
            !job_set_state(*e->conn, e->job->id, JOB_SYNCED, "the fence was removed", err))) {
        return false;
    }
    app_print(e->app, "rolled back: the old server may be written again\n");
    return true;
}
