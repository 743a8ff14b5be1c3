/*
 * options.h - the verbs and options of the command line, each in one table.
 *
 * The parser and every help text read the same two tables.
 */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "pg/conn.h"

#define PGHAUL_VERSION "0.1.0"
#define PGHAUL_DATE    "2026-11-22" /* of this version */

typedef struct App App;

typedef enum VerbId {
    VERB_NEW = 0,
    VERB_CHECK,
    VERB_PLAN,
    VERB_RUN,
    VERB_STATUS,
    VERB_BLOCKERS,
    VERB_PAUSE,
    VERB_RESUME,
    VERB_STOP,
    VERB_SET,
    VERB_VERIFY,
    VERB_QUARANTINE,
    VERB_CUTOVER,
    VERB_ROLLBACK,
    VERB_ARCHIVE,
    VERB_CLEAN,
    VERB_HELP,
    VERB_VERSION,
} VerbId;

#define VERB_COUNT ((int)VERB_VERSION + 1)

typedef struct Verb {
    const char *name;
    const char *arguments; /* "JOB"; "" */
    const char *summary;   /* one line, no final period */
    const char *text;      /* paragraphs, each ended by a line break */
    const char *exits;     /* exit codes beside 1 and 2: "0 done, 4 refused" */
    const char *examples;  /* command lines, each ended by a line break; "" */
    int min_args;
    int max_args;
    /* Do it; false leaves the message in *err, app->exit_code overrides the code of its class. */
    bool (*run)(App *app, Err *err);
} Verb;

const Verb *verb_at(VerbId id);

/* Sets *id; ERR_USER with the nearest verb as a hint. */
bool verb_find(const char *name, VerbId *id, Err *err) __attribute__((warn_unused_result));

typedef enum OptionType {
    OPTION_FLAG = 0,
    OPTION_TEXT,
    OPTION_WORKERS,
    OPTION_NUMBER,
    OPTION_DURATION
} OptionType;

typedef struct OptionDef {
    const char *name;     /* long name, without dashes */
    char letter;          /* short name, 0 = none */
    const char *argument; /* "URI"; NULL for flags */
    const char *text;     /* one line, no final period */
    unsigned verbs;       /* bits of VerbId */
    OptionType type;
    size_t offset; /* of the field in Options */
} OptionDef;

size_t option_count(void);
const OptionDef *option_at(size_t index);

/* True when every verb takes it, or every verb that connects. */
bool option_is_general(const OptionDef *def);

typedef struct Options {
    VerbId verb;
    bool has_verb;
    char **args; /* after the verb; borrowed from argv */
    int arg_count;
    ConnTarget target;
    bool json;
    bool quiet;
    bool verbose;
    bool no_color;
    bool help;
    bool version;
    const char *log_file;
    bool yes;
    bool all;
    bool repair;
    bool grants;
    const char *reason;
    bool history;
    bool watch;
    bool retry;
    bool follow;
    int workers;            /* 0 = as the plan says */
    int64_t max_runtime_us; /* 0 = none */
    int64_t run;            /* of an archive; 0 = all */
    const char *table;      /* of an archive; NULL = all */
    const char *into;       /* of a restore; NULL = the table that they were of */
} Options;

/*
 * Read the command line.  Options may stand anywhere; argv is reordered.
 *
 * Errors:  ERR_USER with a hint; what was read before the error is in *options, so that --json
 *          holds for the error's own message.
 */
bool options_parse(int argc, char **argv, Options *options, Err *err)
    __attribute__((warn_unused_result));

/* Append the overview of `pghaul help`, lines at most `width` wide. */
void options_help(StrBuf *out, int width);

/* Append the page of one verb. */
void options_help_verb(StrBuf *out, VerbId id, int width);

#endif
