/*
 * verb_check.c - `pghaul check JOB`: everything that speaks against a job, at once.
 */
#include <stdio.h>

#include "app/app.h"
#include "app/json.h"
#include "app/plan_text.h"
#include "app/text.h"

bool
verb_check(App *app, Err *err)
{
    JobSpec spec;
    Survey survey;
    PGCONN_AUTO *conn = NULL;
    PGCONN_AUTO *source = NULL;
    if (!app_open_job(app, app->options.args[0], &spec, &conn, &source, err)) {
        return false;
    }
    if (!survey_run(conn, source, &spec, &app->arena, &survey, err)) {
        app_show_findings(app, &survey, stdout); /* beside the expression that the server refused */
        return false;
    }

    app_show_ends(app, conn, source);
    STRBUF_AUTO text = STRBUF_INIT;
    plan_put_table(&text, &spec, &survey.facts, term_text_width(&app->out));
    app_print(app, strbuf_text(&text));
    app_show_findings(app, &survey, stdout);

    strbuf_clear(&text);
    text_put_counts(&text, &survey.findings);
    strbuf_puts(&text, survey.planned ? ": the job may start\n" : ": the job would not start\n");
    app_print(app, strbuf_text(&text));
    app_result(app, "refused", json_boolean(!survey.planned));
    app->exit_code = survey.planned ? 0 : 4;
    return true;
}
