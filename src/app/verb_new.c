/*
 * verb_new.c - `pghaul new KIND [TABLE]`: a job file to begin with.
 */
#include <string.h>

#include "app/app.h"
#include "app/json.h"
#include "core/jobfile.h"
#include "core/suggest.h"
#include "core/utf8.h"

static bool
unknown_kind(const char *kind, Err *err)
{
    static const char *const KINDS[] = {"backfill"};
    char shown[64];
    utf8_shorten(shown, sizeof(shown), kind);
    if (strcmp(kind, "copy") == 0 || strcmp(kind, "purge") == 0) {
        (void)err_set(err, ERR_USER, "this version moves with backfill only, not with %s", kind);
        return err_hint(err, "Usage: pghaul new backfill [TABLE]");
    }
    (void)err_set(err, ERR_USER, "there is no kind of job \"%s\"", shown);
    if (suggest_nearest(kind, KINDS, 1) != NULL) {
        return err_hint(err, "Did you mean \"backfill\"?");
    }
    return err_hint(err, "Usage: pghaul new backfill [TABLE]");
}

bool
verb_new(App *app, Err *err)
{
    if (strcmp(app->options.args[0], "backfill") != 0) {
        return unknown_kind(app->options.args[0], err);
    }
    STRBUF_AUTO text = STRBUF_INIT;
    jobfile_template(&text, app->options.arg_count > 1 ? app->options.args[1] : NULL);
    app_print(app, strbuf_text(&text));
    app_result(app, "job_file", json_text(strbuf_text(&text)));
    return true;
}
