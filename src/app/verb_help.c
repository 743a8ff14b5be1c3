/*
 * verb_help.c - `pghaul help` and `pghaul version`.
 */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/json.h"
#include "app/manual.h"
#include "core/jobkeys.h"

/* What help tells about beside the verbs. */
static bool
put_topic(StrBuf *out, const char *name, int width)
{
    if (strcmp(name, "job") == 0) {
        jobkeys_help(out, width);
    } else if (strcmp(name, "man") == 0) {
        manual_put_page(out);
    } else if (strcmp(name, "completion") == 0) {
        manual_put_completion(out);
    } else {
        return false;
    }
    return true;
}

bool
verb_help(App *app, Err *err)
{
    const Options *options = &app->options;
    int width = term_text_width(&app->out);
    STRBUF_AUTO text = STRBUF_INIT;
    VerbId verb = options->verb;
    bool of_verb = options->help && options->has_verb && verb != VERB_HELP;
    if (!of_verb && options->arg_count > 0 && !put_topic(&text, options->args[0], width)) {
        if (!verb_find(options->args[0], &verb, err)) {
            return false;
        }
        of_verb = true;
    }
    if (of_verb) {
        options_help_verb(&text, verb, width);
    } else if (text.len == 0) {
        options_help(&text, width);
    }
    app_print(app, strbuf_text(&text));
    app_result(app, "text", json_text(strbuf_text(&text)));
    return true;
}

bool
verb_version(App *app, Err *err)
{
    (void)err;
    char library[32];
    char line[96];
    int version = conn_library_version();
    (void)snprintf(library, sizeof(library), "%d.%d", version / 10000, version % 10000);
    (void)snprintf(line, sizeof(line), "pghaul %s (libpq %s)\n", PGHAUL_VERSION, library);
    app_print(app, line);
    app_result(app, "version", json_text(PGHAUL_VERSION));
    app_result(app, "libpq_version", json_text(library));
    return true;
}
