#include "app/aftercare_text.h"

#include "app/json.h"
#include "base/log.h"
#include "core/format.h"

bool
aftercare_of_run(Drive *drive, int exit_code, Err *err)
{
    Err cause = ERR_INIT;
    if (drive->plan->purge == NULL || !drive->has_worked) {
        return true;
    }
    drive->care = (Aftercare){
        .run = drive->run,
        .rows = drive->final.run_rows,
        .complete = exit_code == 0 || exit_code == 5,
        .backlog_rows = -1,
        .freed_bytes = -1,
    };
    if (aftercare_record(*drive->conn, drive->plan, drive->job->id, &drive->care, &cause)) {
        return true;
    }
    if (cause.cls == ERR_RECONNECT) {
        *err = cause;
        return false;
    }
    log_line(LOG_WARNING, NULL, "%s: %s", cause.context, cause.message);
    return true;
}

void
aftercare_put(StrBuf *out, const Drive *drive)
{
    const Aftercare *care = &drive->care;
    char number[FORMAT_SIZE];
    if (drive->plan->purge == NULL || care->run == 0) {
        return;
    }
    if (care->freed_bytes > 0) {
        strbuf_printf(out,
            "  freed           about %s, for new rows of the table; the system gets it back by "
            "VACUUM FULL, which locks everybody out, or pg_repack\n",
            format_bytes(care->freed_bytes, number));
    }
    if (care->complete) {
        strbuf_puts(out, "  left            nothing that was old when the run began\n");
    } else if (care->backlog_rows >= 0) {
        strbuf_printf(out, "  left            about %s rows%s\n",
            format_count(care->backlog_rows, number),
            care->grew ? ", more than the run before it left" : "");
    }
    App *app = drive->app;
    app_result(app, "freed_bytes", json_count(care->freed_bytes));
    app_result(app, "backlog_rows", json_count(care->backlog_rows));
    app_result(app, "backlog_grew", json_boolean(care->grew));
}
