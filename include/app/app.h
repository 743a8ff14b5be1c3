/*
 * app.h - what every verb is given, and the steps that several verbs share.
 *
 * stdout has results, stderr has progress, log and errors.  With --json stdout is JSON lines, the
 * last of them {"type":"result",..}; a verb adds fields to it and main prints it.
 */
#ifndef APP_APP_H
#define APP_APP_H

#include <jansson.h>
#include <stdbool.h>

#include "app/options.h"
#include "app/term.h"
#include "base/arena.h"
#include "base/err.h"
#include "core/jobspec.h"
#include "ops/survey.h"
#include "pg/conn.h"
#include "store/job.h"

/* A job file is a page of text; something larger is not one. */
#define JOB_FILE_MAX_BYTES ((size_t)1024 * 1024)

#define CONNECT_TIMEOUT_US ((int64_t)15 * 1000000)

struct App {
    Options options;   /* options.target is where the state of the job lives: as -d says, of a copy
                          as its `to:` says */
    ConnTarget source; /* of a copy whose source is in another database, else all NULL */
    bool remote;       /* there is such a source; set by app_open_job() */
    bool has_ends;     /* the job file has been asked for them */
    Terminal out;      /* stdout */
    Terminal err;      /* stderr */
    Arena arena;       /* everything that a verb reads */
    json_t *result;    /* fields of the last line; always there */
    int exit_code;     /* of a verb that returned true, or instead of its error's if not 0 */
};

/* Add a field to the result; takes `value`. */
void app_result(App *app, const char *name, json_t *value);

/* Is this a run that cron began, which only speaks of what is wrong? */
bool app_is_silent(const App *app);

/* Print text on stdout unless --json asked for objects, or nothing shall be said. */
void app_print(const App *app, const char *text);

/* Is JOB the name of a file, not of a job? */
bool app_names_file(const char *job);

/* Open the session of the verb; every failure to do so is ERR_CONNECT. */
bool app_connect(const App *app, const char *label, PgConn **conn, Err *err)
    __attribute__((warn_unused_result));

/* Read and parse a job file. */
bool app_read_job_file(App *app, const char *path, JobSpec *spec, Err *err)
    __attribute__((warn_unused_result));

/*
 * Find a job's row by its name.
 *
 * Errors:  ERR_USER when there is no such job, with the nearest name as a hint.
 */
bool app_find_job(App *app, PgConn *conn, const char *name, JobRow *job, Err *err)
    __attribute__((warn_unused_result));

/*
 * From JOB to its spec and sessions: a file is parsed before connecting, a name is looked up in
 * the database, whose stored text is parsed again.
 *
 * Shape:   *conn is where the state of the job lives; *source a session to the source of a copy,
 *          NULL when it is in the same database.  A verb that asks the source nothing gives NULL.
 * Errors:  ERR_USER also when the ends of a copy are named twice, or not at all.
 * Owner:   *conn and *source are the caller's, also NULL on failure: PGCONN_AUTO.
 */
bool app_open_job(App *app, const char *job, JobSpec *spec, PgConn **conn, PgConn **source,
    Err *err) __attribute__((warn_unused_result));

/* Say between which databases a copy moves rows; nothing when it is one. */
void app_show_ends(App *app, PgConn *conn, PgConn *source);

/* Only the name of JOB: that in the file, or the argument itself. */
bool app_job_name(App *app, const char *job, const char **name, Err *err)
    __attribute__((warn_unused_result));

/* A verb that takes JOB or --all was given exactly one of them. */
bool app_job_or_all(const Options *options, Err *err) __attribute__((warn_unused_result));

/* Make an error of missing privileges, of a standby or of a lock one that says what to do; returns
 * false. */
bool app_explain_refusal(Err *err);

/* Add the findings to the result; print them on `stream` unless --json. */
void app_show_findings(App *app, const Survey *survey, FILE *stream);

/* The error of a job that the findings refuse. */
bool app_refused(const Survey *survey, Err *err);

/*
 * From the spec of a job to its plan (`source` as app_open_job() gave it); findings that refuse it
 * are shown.
 *
 * Errors:  of survey_run(); ERR_REFUSED; ERR_DRIFT when the job is under way and its table changed.
 */
bool app_survey(App *app, PgConn *conn, PgConn *source, const JobSpec *spec, Survey *survey,
    Err *err) __attribute__((warn_unused_result));

/* A session that is closed at the end of the block. */
void app_conn_cleanup(PgConn **conn);
#define PGCONN_AUTO __attribute__((cleanup(app_conn_cleanup))) PgConn

/* ---- verbs, one file each ---- */

bool verb_new(App *app, Err *err);
bool verb_check(App *app, Err *err);
bool verb_plan(App *app, Err *err);
bool verb_run(App *app, Err *err);
bool verb_status(App *app, Err *err);
bool verb_blockers(App *app, Err *err);
bool verb_control(App *app, Err *err); /* pause, resume, stop */
bool verb_set(App *app, Err *err);
bool verb_verify(App *app, Err *err);
bool verb_quarantine(App *app, Err *err);
bool verb_cutover(App *app, Err *err);
bool verb_rollback(App *app, Err *err); /* in verb_cutover.c */
bool verb_archive(App *app, Err *err);
bool verb_clean(App *app, Err *err);
bool verb_help(App *app, Err *err);
bool verb_version(App *app, Err *err);

#endif
