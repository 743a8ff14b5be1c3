/*
 * verb_plan.c - `pghaul plan JOB`: what a run would do, word for word.
 */
#include <stdio.h>

#include "app/app.h"
#include "app/carry_text.h"
#include "app/json.h"
#include "app/plan_text.h"
#include "core/sql_grants.h"

/* Also for a job that its findings refuse, as it does when rights are missing. */
static void
print_grants(App *app, const JobSpec *spec, const Survey *survey)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    sql_grants(&sql, spec, &survey->facts, &survey->exprs);
    app_print(app, strbuf_text(&sql));
    app_result(app, "grants_sql", json_text(strbuf_text(&sql)));
}

/* Of a copy within one database: what a cutover would do, and could not do. */
static bool
print_cutover(App *app, PgConn *conn, const Plan *plan, Err *err)
{
    Carry carry;
    STRBUF_AUTO text = STRBUF_INIT;
    if (plan->copy == NULL || plan->copy->remote) {
        return true;
    }
    if (!carry_read(conn, plan, &app->arena, &carry, err)) {
        return false;
    }
    strbuf_putc(&text, '\n');
    carry_put_report(&text, &carry, term_text_width(&app->out));
    app_print(app, strbuf_text(&text));
    app_result(app, "cutover", carry_json(&carry));
    return true;
}

bool
verb_plan(App *app, Err *err)
{
    JobSpec spec;
    Survey survey;
    PGCONN_AUTO *conn = NULL;
    PGCONN_AUTO *source = NULL;
    if (!app_open_job(app, app->options.args[0], &spec, &conn, &source, err) ||
        !survey_run(conn, source, &spec, &app->arena, &survey, err)) {
        return false;
    }

    if (app->options.grants) {
        print_grants(app, &spec, &survey);
        return true;
    }
    app_show_ends(app, conn, source);
    int width = term_text_width(&app->out);
    STRBUF_AUTO text = STRBUF_INIT;
    plan_put_table(&text, &spec, &survey.facts, width);
    app_print(app, strbuf_text(&text));
    if (!survey.planned) {
        app_show_findings(app, &survey, stdout);
        return app_refused(&survey, err);
    }
    strbuf_clear(&text);
    plan_put_short(&text, &survey.plan, width);
    strbuf_printf(&text, "fingerprint %s\n\n", survey.plan.fingerprint);
    app_print(app, strbuf_text(&text));
    app_show_findings(app, &survey, stdout);

    strbuf_clear(&text);
    plan_put_long(&text, &survey.plan, &app->arena, width);
    app_print(app, strbuf_text(&text));
    app_result(app, "plan", plan_json(&survey.plan, &app->arena));
    return print_cutover(app, conn, &survey.plan, err);
}
