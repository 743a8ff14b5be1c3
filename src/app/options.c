/*
 * options.c - the two tables and the parser over getopt_long.
 */
#include "app/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "core/suggest.h"
#include "core/units.h"
#include "core/utf8.h"

/* ---- verbs ---- */

static const Verb VERBS[VERB_COUNT] = {
    [VERB_NEW] = {"new", "KIND [TABLE]", "a commented job file on standard output",
        "KIND is backfill: fill columns of a table from other columns of the same row;\n"
        "copy: copy and transform a table, here or to another server; or\n"
        "purge: delete old rows, kept in files or in another table if you like.\n",
        "0 done",
        "pghaul new backfill orders > orders.yaml\n"
        "pghaul new copy orders > copy.yaml\n"
        "pghaul new purge audit > purge.yaml\n",
        1, 2, verb_new},
    [VERB_CHECK] = {"check", "JOB", "all findings at once: job file, server, privileges, risks",
        "Reads the catalog and has the server check the expressions. Nothing survives it.\n",
        "0 nothing refuses the job, 3 no connection, 4 refused, 8 the table is locked",
        "pghaul check orders.yaml -d shop\n", 1, 1, verb_check},
    [VERB_PLAN] = {"plan", "JOB", "what will be done: decisions, locks, costs, every statement",
        "What it prints is what run does. Nothing survives it.\n",
        "0 done, 3 no connection, 4 refused, 8 the table is locked",
        "pghaul plan orders.yaml -d shop\n"
        "pghaul plan orders.yaml -d shop --grants\n",
        1, 1, verb_plan},
    [VERB_RUN] = {"run", "JOB", "do it, or go on with it",
        "The first run of a job shows the short plan and asks; elsewhere than on a terminal it "
        "needs --yes. Later runs of the same plan do not ask. Several runs, also on several "
        "hosts, may work on one job together. The first Ctrl-C or SIGTERM ends the batches in "
        "flight and says how to go on; the second one cancels them. A run that was killed in any "
        "way is taken up by the next one without a row lost or changed twice.\n\n"
        "Outside of schedule.window nothing is done and the exit code is 7, as it is when the "
        "window closes during a run, when --max-runtime is over, and when limits.rows of a purge "
        "is used up. With --quiet such ends print nothing either, so that cron has something to "
        "mail only when something is wrong.\n\n"
        "The run of a copy ends when the target is less than a second behind, with --follow not "
        "before it is stopped. After a cutover it brings the old table into step with the new "
        "one.\n\n"
        "Each run of a purge deletes what is old when it begins, so the same job runs every night; "
        "one run of it works at a time, another one ends with 8.\n",
        "0 done, 3 no connection, 4 refused or not accepted, 5 done but rows are set aside, 6 "
        "verify found differences, 7 stopped "
        "with work left, 8 held by another, 9 limit, 130 second signal",
        "pghaul run orders.yaml -d shop\n"
        "pghaul run orders.yaml -d shop --yes --max-runtime 2h\n"
        "pghaul run copy-orders -d shop --follow\n",
        1, 1, verb_run},
    [VERB_STATUS] = {"status", "[JOB]", "how a job is doing, why, and what to do next; or all jobs",
        "Reads the database only, so it works from any host. How a job is doing is one word: "
        "progressing, throttled, paused, stuck, waiting, dead, stopped, failed, differing, "
        "quarantined, done or new. With --watch the exit code is that of the job when it is over; "
        "without JOB that is when all jobs are done. Ctrl-C ends it earlier. Elsewhere than on a "
        "terminal --watch prints a line every 2 s. View pghaul.progress has the same numbers for "
        "a dashboard.\n",
        "0 done, 3 no connection, 4 not permitted; with --watch also 1 the job failed, 5 rows are "
        "set aside, 6 rows differ, 7 it was stopped, 130 Ctrl-C",
        "pghaul status -d shop\n"
        "pghaul status orders-amount -d shop --watch\n"
        "pghaul status orders-amount -d shop --history\n",
        0, 1, verb_status},
    [VERB_BLOCKERS] = {"blockers", "[JOB]",
        "who waits for whose lock, and the statement that ends it",
        "Without JOB: all sessions of the database that wait for a lock, and those that they wait "
        "for. With JOB: the trees that a session of the job or its table stands in, and who holds "
        "a lock on the table, since the trigger cannot be made or removed meanwhile. Both name "
        "transactions that are open for more than 10 s and hold back the removal of dead rows. "
        "Values in queries are shown as ?.\n"
        "It reads only: the statements that it prints are yours to run.\n",
        "0 done, also when nobody waits, 3 no connection, 4 not permitted",
        "pghaul blockers -d shop\n"
        "pghaul blockers orders-amount -d shop\n",
        0, 1, verb_blockers},
    [VERB_PAUSE] = {"pause", "JOB | --all", "hold a job until it is resumed",
        "Its runs, on every host, notice within a second, end the batches in flight and wait; a "
        "run that begins meanwhile waits too, so no cron job undoes it. With --all every job "
        "that is at work is paused.\n\nAlso as SQL functions, with the same words: "
        "pghaul.pause(job, reason), pghaul.resume(job), pghaul.stop(job), "
        "pghaul.set(job, key, value). A role that does not own schema pghaul needs: USAGE on the "
        "schema; EXECUTE on these functions; SELECT on all its tables; UPDATE on job and run; "
        "INSERT on event; INSERT, UPDATE, DELETE on setting. Each call leaves a row in "
        "pghaul.event.\n",
        "0 paused, 3 no connection, 4 the job's state or the role does not allow it",
        "pghaul pause orders-amount -d shop --reason lunch\n"
        "pghaul pause --all -d shop\n",
        0, 1, verb_control},
    [VERB_RESUME] = {"resume", "JOB | --all", "end a pause",
        "Runs that wait go on; without one the job is stopped, and pghaul run goes on with it.\n",
        "0 resumed, or it was not paused; 3 no connection, 4 the job's state or the role does not "
        "allow it",
        "pghaul resume orders-amount -d shop\n", 0, 1, verb_control},
    [VERB_STOP] = {"stop", "JOB | --all", "have the runs of a job end their batches and exit",
        "As the first Ctrl-C would, from any host: they exit with 7, or with 0 where they only "
        "follow a copy that is in sync. Runs that begin later are not affected; pause holds those "
        "too.\n",
        "0 asked for, also when no run is alive; 3 no connection, 4 not permitted",
        "pghaul stop orders-amount -d shop\n", 0, 1, verb_control},
    [VERB_SET] = {"set", "JOB [KEY=VALUE]...", "change workers, batches, throttle, limits of a job",
        "Runs follow within a second and later ones begin with it. KEY=default puts back what "
        "the job file says; several changes at once hold together or not at all. Without "
        "KEY=VALUE: what is in force and where it comes from. A value set here wins over the job "
        "file, and over the number of workers that a run alive was begun with; a run that begins "
        "later with a number of its own keeps that.\n",
        "0 done, 3 no connection, 4 not permitted",
        "pghaul set orders-amount -d shop\n"
        "pghaul set orders-amount workers=1 throttle.lag=1s -d shop\n"
        "pghaul set orders-amount workers=default -d shop\n",
        1, 65, verb_set},
    [VERB_VERIFY] = {"verify", "JOB",
        "compare all rows again with what the job makes of them; --repair mends",
        "A new verify pass over a job whose move has ended, with the job's own throttle and "
        "workers; of a copy also over the target, for rows that are too many. Keys of rows that "
        "differ are in pghaul.difference. With --repair rows that differ are changed in a pass by "
        "key, and all are compared once more; a trigger that was dropped or disabled is put back "
        "first, a change log that was full or met a TRUNCATE begins anew, and a move that it was "
        "missing from does too. The next run or verify --repair goes on with a repair that was cut "
        "off.\n",
        "0 no row differs (any more), 3 no connection, 4 refused, 5 none differs but rows are set "
        "aside, 6 rows differ, 7 stopped, 8 the job is at "
        "work",
        "pghaul verify orders-amount -d shop\n"
        "pghaul verify orders-amount -d shop --repair\n",
        1, 1, verb_verify},
    [VERB_QUARANTINE] = {"quarantine", "JOB", "rows that the server refused; --retry tries them",
        "Prints key, SQLSTATE and message of each: of rows that were set aside (on_error: "
        "quarantine), and of the row at which the last run stopped. With --retry each row that is "
        "set aside is tried again, in a short transaction of its own; rows that are right by now, "
        "or gone, leave quarantine. It may be done while a run is at work.\n",
        "0 done, 3 no connection, 4 refused, 5 rows are still set aside after --retry",
        "pghaul quarantine orders-amount -d shop\n"
        "pghaul quarantine orders-amount -d shop --retry\n",
        1, 1, verb_quarantine},
    [VERB_CUTOVER] = {"cutover", "JOB", "let the application use the target of a copy",
        "For a copy that is synced and verified. Says what is carried over to the new table and "
        "what "
        "cannot be, and asks; elsewhere than on a terminal it needs --yes. Then the last changes "
        "are drained and the names exchanged in one short transaction, which waits for a lock for "
        "throttle.yield_after at most and tries again: the target gets the source's name, and the "
        "source becomes NAME_old. From then on pghaul run (--follow) keeps the old table in step. "
        "A cutover that was killed is repeated: it goes on with what is left.\n\n"
        "Of a copy to another server: writes to the source are refused, with SQLSTATE 25006, the "
        "last changes are drained, every row is compared, for as long as that takes, sequences are "
        "advanced, and the application may connect to the target.\n",
        "0 done, 3 no connection, 4 refused or not agreed to, 6 rows differ, 8 a run of the job is "
        "alive",
        "pghaul cutover copy-orders -d shop\n"
        "pghaul cutover copy-orders -d shop --yes\n",
        1, 1, verb_cutover},
    [VERB_ROLLBACK] = {"rollback", "JOB", "take a cutover back, without losing a write",
        "Drains what was written since into the old table and exchanges the names again, as "
        "cutover does. The copy is synced afterwards, and may be cut over another time. Of a copy "
        "to another server the source may be written again, and what was written to the target "
        "stays there.\n",
        "0 done, 3 no connection, 4 refused or not agreed to, 8 a run of the job is alive",
        "pghaul rollback copy-orders -d shop\n", 1, 1, verb_rollback},
    [VERB_ARCHIVE] = {"archive", "list|verify|restore PATH",
        "what a purge wrote into files: list it, verify it, put it back",
        "PATH is the folder of the files. list and verify read them alone; with a connection "
        "verify also compares them with what the database knows of rows that were deleted. "
        "restore puts the rows back into the table that they are of, or --into another: a job "
        "like any other, shown and accepted first, throttled, and gone on with after it was cut "
        "off; pghaul clean ends it. Of an archive of several tables it restores one after the "
        "other, those that are referred to first. Every value of the files is checked before it "
        "reaches the database.\n",
        "0 done, 2 no such folder, 3 no connection, 4 refused or not accepted, 6 files are damaged "
        "or differ from the database, 7 stopped with work left",
        "pghaul archive list /srv/old\n"
        "pghaul archive verify /srv/old -d shop\n"
        "pghaul archive restore /srv/old -d shop --into t\n",
        2, 2, verb_archive},
    [VERB_CLEAN] = {"clean", "JOB | --all",
        "remove what a job made: triggers, functions, change log",
        "Removes what the job made in the database, of a copy also at its source, and what it "
        "knows of its progress; the history of runs and events stays, and so do both tables of a "
        "copy. With --all every job is cleaned and schema pghaul is dropped. From then on the "
        "application has to write the new columns of a backfill itself, and changes do not reach "
        "the target of a copy any more.\n",
        "0 done, 3 no connection, 4 not permitted, 8 a run is alive",
        "pghaul clean orders-amount -d shop\n"
        "pghaul clean --all -d shop\n",
        0, 1, verb_clean},
    [VERB_HELP] = {"help", "[VERB | job | man | completion]",
        "this text, the page of a verb, or all job file keys",
        "help job lists every key of a job file with values and default, help man prints the man "
        "page, help completion the completion script of bash.\n",
        "0 done",
        "pghaul help set\n"
        "pghaul help job\n",
        0, 1, verb_help},
    [VERB_VERSION] = {"version", "", "version of pghaul and of libpq", "", "0 done", "", 0, 0,
        verb_version},
};

const Verb *
verb_at(VerbId id)
{
    assert((int)id >= 0 && (int)id < VERB_COUNT);
    return &VERBS[id];
}

bool
verb_find(const char *name, VerbId *id, Err *err)
{
    const char *names[VERB_COUNT];
    for (int i = 0; i < VERB_COUNT; i++) {
        names[i] = VERBS[i].name;
        if (strcmp(name, names[i]) == 0) {
            *id = (VerbId)i;
            return true;
        }
    }
    char shown[64];
    utf8_shorten(shown, sizeof(shown), name);
    (void)err_set(err, ERR_USER, "there is no verb \"%s\"", shown);
    const char *near = suggest_nearest(name, names, VERB_COUNT);
    if (near != NULL) {
        return err_hint(err, "Did you mean \"%s\"?", near);
    }
    return err_hint(err, "pghaul help lists the verbs.");
}

/* ---- options ---- */

#define BIT(verb)   (1U << (unsigned)(verb))
#define EVERY       ((1U << VERB_COUNT) - 1)
#define CONNECTING  (EVERY & ~(BIT(VERB_NEW) | BIT(VERB_HELP) | BIT(VERB_VERSION)))
#define WORKING     (BIT(VERB_RUN) | BIT(VERB_VERIFY) | BIT(VERB_ARCHIVE))
#define FIELD(name) offsetof(Options, name)

static const OptionDef OPTIONS[] = {
    {"dbname", 'd', "URI", "database: name, URI or key=value string, as psql", CONNECTING,
        OPTION_TEXT, FIELD(target.dbname)},
    {"host", 'h', "HOST", "host or socket directory", CONNECTING, OPTION_TEXT, FIELD(target.host)},
    {"port", 'p', "PORT", "port", CONNECTING, OPTION_TEXT, FIELD(target.port)},
    {"username", 'U', "NAME", "role to connect as", CONNECTING, OPTION_TEXT, FIELD(target.user)},
    {"yes", 'y', NULL, "accept it without asking",
        BIT(VERB_RUN) | BIT(VERB_CUTOVER) | BIT(VERB_ROLLBACK) | BIT(VERB_ARCHIVE), OPTION_FLAG,
        FIELD(yes)},
    {"workers", 'w', "N", "connections that move rows, 1..64", WORKING, OPTION_WORKERS,
        FIELD(workers)},
    {"max-runtime", 0, "T", "stop cleanly after this time: 30m, 2h", WORKING, OPTION_DURATION,
        FIELD(max_runtime_us)},
    {"follow", 0, NULL, "of a copy: go on draining the application's changes until stopped",
        BIT(VERB_RUN), OPTION_FLAG, FIELD(follow)},
    {"repair", 0, NULL, "change the rows that differ, and compare once more", BIT(VERB_VERIFY),
        OPTION_FLAG, FIELD(repair)},
    {"run", 0, "N", "only what this run has archived", BIT(VERB_ARCHIVE), OPTION_NUMBER,
        FIELD(run)},
    {"table", 0, "TABLE", "only rows of this table", BIT(VERB_ARCHIVE), OPTION_TEXT, FIELD(table)},
    {"into", 0, "TABLE", "restore into this table, not the one that the rows are of",
        BIT(VERB_ARCHIVE), OPTION_TEXT, FIELD(into)},
    {"grants", 0, NULL, "print a role with the least privileges for the job, as SQL",
        BIT(VERB_PLAN), OPTION_FLAG, FIELD(grants)},
    {"all", 0, NULL, "every job; with clean schema pghaul itself too",
        BIT(VERB_CLEAN) | BIT(VERB_PAUSE) | BIT(VERB_RESUME) | BIT(VERB_STOP), OPTION_FLAG,
        FIELD(all)},
    {"reason", 0, "TEXT", "why, for everybody who looks at the job", BIT(VERB_PAUSE), OPTION_TEXT,
        FIELD(reason)},
    {"history", 0, NULL, "runs and events of the job, those before a clean too", BIT(VERB_STATUS),
        OPTION_FLAG, FIELD(history)},
    {"watch", 0, NULL, "show it anew every 2 s, until the job is over", BIT(VERB_STATUS),
        OPTION_FLAG, FIELD(watch)},
    {"retry", 0, NULL, "try the rows that are set aside again", BIT(VERB_QUARANTINE), OPTION_FLAG,
        FIELD(retry)},
    {"json", 0, NULL, "JSON lines on standard output, the last one the result", EVERY, OPTION_FLAG,
        FIELD(json)},
    {"quiet", 'q', NULL, "only warnings and errors; a run that goes well prints nothing", EVERY,
        OPTION_FLAG, FIELD(quiet)},
    {"verbose", 'v', NULL, "log each batch, vacuums, failed probes", EVERY, OPTION_FLAG,
        FIELD(verbose)},
    {"log-file", 0, "FILE", "append the log to this file too, each batch", EVERY, OPTION_TEXT,
        FIELD(log_file)},
    {"no-color", 0, NULL, "no colours; NO_COLOR does the same", EVERY, OPTION_FLAG,
        FIELD(no_color)},
    {"help", 0, NULL, "help about the verb", EVERY, OPTION_FLAG, FIELD(help)},
    {"version", 0, NULL, "as the verb version", EVERY, OPTION_FLAG, FIELD(version)},
};
#define OPTION_COUNT (sizeof(OPTIONS) / sizeof(OPTIONS[0]))

/* getopt_long's value of option i; above every letter. */
#define OPTION_VALUE 256

size_t
option_count(void)
{
    return OPTION_COUNT;
}

const OptionDef *
option_at(size_t index)
{
    assert(index < OPTION_COUNT);
    return &OPTIONS[index];
}

bool
option_is_general(const OptionDef *def)
{
    return def->verbs == EVERY || def->verbs == CONNECTING;
}

/* ---- parser ---- */

static bool
store_number(const OptionDef *def, const char *text, void *field, Err *err)
{
    int64_t value = 0;
    Err cause = ERR_INIT;
    bool workers = def->type == OPTION_WORKERS;
    bool is_time = def->type == OPTION_DURATION;
    if (!units_parse(is_time ? UNIT_DURATION : UNIT_COUNT, text, &value, &cause)) {
        (void)err_set(err, ERR_USER, "--%s: %s", def->name, cause.message);
        return err_hint(err, "%s", cause.hint);
    }
    if (workers && (value < 1 || value > 64)) {
        return err_set(err, ERR_USER, "--%s takes 1..64", def->name);
    }
    if (value == 0) {
        return err_set(err, ERR_USER, "--%s must be more than 0", def->name);
    }
    if (workers) {
        int narrow = (int)value;
        memcpy(field, &narrow, sizeof(narrow));
    } else {
        memcpy(field, &value, sizeof(value));
    }
    return true;
}

static bool
store_option(const OptionDef *def, const char *text, Options *options, Err *err)
{
    void *field = (char *)options + def->offset;
    bool set = true;
    switch (def->type) {
    case OPTION_FLAG:
        memcpy(field, &set, sizeof(set));
        return true;
    case OPTION_TEXT:
        memcpy(field, (const void *)&text, sizeof(text));
        return true;
    case OPTION_WORKERS:
    case OPTION_NUMBER:
    case OPTION_DURATION:
        break;
    }
    return store_number(def, text, field, err);
}

static const OptionDef *
option_of_value(int value)
{
    if (value >= OPTION_VALUE) {
        return option_at((size_t)(value - OPTION_VALUE));
    }
    for (size_t i = 0; value > 0 && i < OPTION_COUNT; i++) {
        if (OPTIONS[i].letter == value) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

/* `word` is what stands on the command line; a value after = may be a secret and is cut off. */
static bool
unknown_option(const char *word, Err *err)
{
    if (optopt >= OPTION_VALUE) {
        return err_set(err, ERR_USER, "option --%s takes no value", option_of_value(optopt)->name);
    }
    if (optopt > 0) {
        return err_set(err, ERR_USER, "there is no option -%c", optopt);
    }
    char shown[64];
    char name[64];
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
    utf8_shorten(shown, sizeof(shown), name);
    (void)err_set(err, ERR_USER, "there is no option %s", shown);
    if (strcmp(name, "--password") == 0) {
        return err_hint(err, "Use PGPASSFILE, a service file or PGPASSWORD.");
    }
    const char *names[OPTION_COUNT];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        names[i] = OPTIONS[i].name;
    }
    const char *near = suggest_nearest(name + strspn(name, "-"), names, OPTION_COUNT);
    if (near != NULL) {
        return err_hint(err, "Did you mean --%s?", near);
    }
    return err_hint(err, "pghaul help lists the options.");
}

static void
getopt_tables(char *letters, struct option *longs)
{
    *letters++ = ':'; /* a missing argument is told apart */
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        longs[i] = (struct option){
            .name = OPTIONS[i].name,
            .has_arg = OPTIONS[i].argument == NULL ? no_argument : required_argument,
            .val = OPTION_VALUE + (int)i,
        };
        if (OPTIONS[i].letter != 0) {
            *letters++ = OPTIONS[i].letter;
        }
        if (OPTIONS[i].letter != 0 && OPTIONS[i].argument != NULL) {
            *letters++ = ':';
        }
    }
    longs[OPTION_COUNT] = (struct option){.name = NULL};
    *letters = '\0';
}

/* All options, wherever they stand; *used gets a bit for each. */
static bool
parse_options(int argc, char **argv, Options *options, unsigned *used, Err *err)
{
    char letters[2 * OPTION_COUNT + 2];
    struct option longs[OPTION_COUNT + 1];
    getopt_tables(letters, longs);
    opterr = 0;
    optind = 0; /* glibc: forget an earlier scan */
    for (;;) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread */
        int value = getopt_long(argc, argv, letters, longs, NULL);
        if (value == -1) {
            return true;
        }
        if (value == '?') {
            return unknown_option(argv[optind - 1], err);
        }
        const OptionDef *def = option_of_value(value == ':' ? optopt : value);
        if (value == ':') {
            return err_set(err, ERR_USER, "option --%s needs a value: %s",
                def == NULL ? "?" : def->name, def == NULL ? "?" : def->argument);
        }
        assert(def != NULL);
        *used |= 1U << (size_t)(def - OPTIONS);
        if (!store_option(def, optarg, options, err)) {
            return false;
        }
    }
}

static bool
check_used(unsigned used, const Options *options, Err *err)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if ((used & 1U << i) != 0 && (OPTIONS[i].verbs & BIT(options->verb)) == 0) {
            (void)err_set(err, ERR_USER, "pghaul %s has no option --%s", VERBS[options->verb].name,
                OPTIONS[i].name);
            return err_hint(err, "pghaul help %s lists its options.", VERBS[options->verb].name);
        }
    }
    return true;
}

static bool
check_args(const Options *options, Err *err)
{
    const Verb *verb = &VERBS[options->verb];
    if (options->arg_count >= verb->min_args && options->arg_count <= verb->max_args) {
        return true;
    }
    (void)err_set(err, ERR_USER, "pghaul %s: %s", verb->name,
        options->arg_count < verb->min_args ? "an argument is missing" : "too many arguments");
    return err_hint(
        err, "Usage: pghaul %s%s%s", verb->name, *verb->arguments ? " " : "", verb->arguments);
}

/* A connection string without -d would be quoted as the name of a verb or job. */
static bool
check_no_target(int argc, char **argv, Err *err)
{
    for (int i = optind; i < argc; i++) {
        bool is_keywords = strchr(argv[i], '=') != NULL && strcasestr(argv[i], "password") != NULL;
        if (is_keywords || strstr(argv[i], "://") != NULL) {
            (void)err_set(
                err, ERR_USER, "a connection string stands in the place of a verb or JOB");
            return err_hint(err, "Write -d in front of it, and no password into it.");
        }
    }
    return true;
}

bool
options_parse(int argc, char **argv, Options *options, Err *err)
{
    *options = (Options){.verb = VERB_HELP};
    unsigned used = 0;
    if (!parse_options(argc, argv, options, &used, err)) {
        return false;
    }
    if (optind >= argc) {
        if (options->help || options->version) {
            return true;
        }
        (void)err_set(err, ERR_USER, "no verb given");
        return err_hint(err, "pghaul help lists the verbs.");
    }
    if (!check_no_target(argc, argv, err) || !verb_find(argv[optind], &options->verb, err)) {
        return false;
    }
    options->has_verb = true;
    options->args = argv + optind + 1;
    options->arg_count = argc - optind - 1;
    if (options->help || options->version) {
        return true;
    }
    return check_used(used, options, err) && check_args(options, err) &&
           conn_check_target(&options->target, "-d", err);
}
