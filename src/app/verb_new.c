/*
 * verb_new.c - `pghaul new KIND [TABLE]`: a job file to begin with.
 */
#include <string.h>

#include "app/app.h"
#include "app/json.h"
#include "core/jobfile.h"
#include "core/suggest.h"
#include "core/utf8.h"

#define USAGE "Usage: pghaul new backfill|copy|purge [TABLE]"

static const char *const KINDS[] = {
    [KIND_BACKFILL] = "backfill", [KIND_COPY] = "copy", [KIND_PURGE] = "purge"};
#define KIND_COUNT (sizeof(KINDS) / sizeof(KINDS[0]))

static bool
unknown_kind(const char *kind, Err *err)
{
    char shown[64];
    utf8_shorten(shown, sizeof(shown), kind);
    (void)err_set(err, ERR_USER, "there is no kind of job \"%s\"", shown);
    const char *nearest = suggest_nearest(kind, KINDS, KIND_COUNT);
    return nearest == NULL ? err_hint(err, USAGE) : err_hint(err, "Did you mean \"%s\"?", nearest);
}

bool
verb_new(App *app, Err *err)
{
    size_t kind = 0;
    while (kind < KIND_COUNT && strcmp(app->options.args[0], KINDS[kind]) != 0) {
        kind++;
    }
    if (kind == KIND_COUNT) {
        return unknown_kind(app->options.args[0], err);
    }
    STRBUF_AUTO text = STRBUF_INIT;
    jobfile_template(
        &text, (JobKind)kind, app->options.arg_count > 1 ? app->options.args[1] : NULL);
    app_print(app, strbuf_text(&text));
    app_result(app, "job_file", json_text(strbuf_text(&text)));
    return true;
}
